"""A cache over several clouds at once, and one with a standby in another cloud."""

from caches_runtime.multicloud.blocking import MultiCloudCache, PrimaryStandby
from caches_runtime.multicloud.cache import AsyncMultiCloudCache
from caches_runtime.multicloud.errors import FencedError, MultiCloudError, NotConvergedError, QueueFullError, QuorumError, RefusedError
from caches_runtime.multicloud.events import Event
from caches_runtime.multicloud.policy import Policy, StandbyPolicy
from caches_runtime.multicloud.primary_standby import AsyncPrimaryStandby

__all__ = [
    "AsyncMultiCloudCache",
    "AsyncPrimaryStandby",
    "Event",
    "FencedError",
    "MultiCloudCache",
    "MultiCloudError",
    "NotConvergedError",
    "Policy",
    "PrimaryStandby",
    "QueueFullError",
    "QuorumError",
    "RefusedError",
    "StandbyPolicy",
]
