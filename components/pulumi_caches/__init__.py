"""Caches as Pulumi components. Each platform is a module of its own, imported only by who uses it: `pulumi_caches.kubernetes`."""

import importlib.metadata

from pulumi_caches.arguments import ArgumentError
from pulumi_caches.connection import Connection

__all__ = ["ArgumentError", "Connection"]

# The first whose component host understands NotRequired keys; pulumi.Stash, which keeps passwords, is older (3.208).
PULUMI_MINIMUM = (3, 237)


def require_pulumi(found: str) -> None:
    """Raises ImportError when this version of the Pulumi SDK lacks what the components stand on."""
    if tuple(int(part) for part in found.split(".")[:2]) < PULUMI_MINIMUM:
        wanted = ".".join(map(str, PULUMI_MINIMUM))
        raise ImportError(f"pulumi {found} is too old for pulumi-caches: run `pip install 'pulumi>={wanted}'`")


require_pulumi(importlib.metadata.version("pulumi"))
