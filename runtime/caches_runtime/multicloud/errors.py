"""What a cache over several clouds raises."""


class MultiCloudError(Exception):
    """Anything that went wrong with a cache over several clouds."""


class RefusedError(MultiCloudError, ValueError):
    """Bad input: what is wrong, the value, the limit, what to do. Nothing was written."""


class QuorumError(MultiCloudError):
    """Too few clouds answered in time. A write may have happened at some, and may still become what is read."""


class QueueFullError(MultiCloudError):
    """Clouds have been away for so long that no more can be remembered for them. Nothing was written."""


class FencedError(MultiCloudError):
    """Another primary was chosen since this client last looked. Nothing was written."""


class NotConvergedError(MultiCloudError):
    """Two clouds have not the same, so nothing was changed."""
