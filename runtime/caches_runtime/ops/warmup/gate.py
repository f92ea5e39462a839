"""Lets traffic in: pods wait for a key of a ConfigMap, which is written once the cache is warm and never taken away."""

from datetime import UTC, datetime

import httpx2
import lightkube
from lightkube.core.exceptions import ApiError, ConfigError
from lightkube.resources.core_v1 import ConfigMap
from lightkube.types import PatchType

from caches_runtime.ops.migrate.errors import RefusedError, UnfinishedError

KEY = "warm"
_REFUSALS = (401, 403, 404)


def open_gate(config_map: str) -> None:
    """In the pod's namespace. Raises RefusedError or UnfinishedError."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        client = lightkube.Client()
        client.patch(ConfigMap, config_map, {"data": {KEY: now}}, patch_type=PatchType.MERGE)
    except ApiError as error:
        problem = f"ConfigMap {config_map} can't be written: {error.status.message}"
        if error.status.code in _REFUSALS:
            raise RefusedError(f"{problem}; it must be there, and the pod's service account must be allowed to patch it") from None
        raise UnfinishedError(problem) from None
    except (httpx2.HTTPError, ConfigError) as error:
        raise UnfinishedError(f"the API server, to write ConfigMap {config_map}: {error}") from None
