"""The ConfigMap of a cache: named by its content, so that changed content is a new object.

That rolls the pods, and the old one stays until they have.
"""

import hashlib
from typing import Any

import pulumi
import pulumi_kubernetes as k8s


def config_name(name: str, files: dict[str, str]) -> str:
    """The ConfigMap's name from its content."""
    digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
    return f"{name}-config-{digest[:10]}"


def make_config(
    name: str, files: dict[str, str], metadata: dict[str, Any], opts: pulumi.ResourceOptions
) -> tuple[str, k8s.core.v1.ConfigMap]:
    """Creates the ConfigMap, and says its name; `metadata` has its namespace and labels."""
    config_map = config_name(name, files)
    made = k8s.core.v1.ConfigMap(f"{name}-config", metadata={**metadata, "name": config_map}, data=files, immutable=True, opts=opts)
    return config_map, made
