"""A cache over several clouds at once, and one with a standby in another cloud."""

from caches_runtime.multicloud.blocking import MultiCloudCache
from caches_runtime.multicloud.cache import AsyncMultiCloudCache
from caches_runtime.multicloud.errors import FencedError, MultiCloudError, QueueFullError, QuorumError, RefusedError
from caches_runtime.multicloud.events import Event
from caches_runtime.multicloud.policy import Policy

__all__ = [
    "AsyncMultiCloudCache",
    "Event",
    "FencedError",
    "MultiCloudCache",
    "MultiCloudError",
    "Policy",
    "QueueFullError",
    "QuorumError",
    "RefusedError",
]
