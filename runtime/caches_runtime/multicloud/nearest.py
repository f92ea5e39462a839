"""Which cloud is read: the one that answers soonest, and not another one for a small difference."""

from collections.abc import Iterable

from caches_runtime.multicloud.cloud import Cloud

# Another cloud has to be so much quicker; clouds that are alike would take turns else, each with another age.
_QUICKER = 0.7
_AT_LEAST_SECONDS = 0.001


class Nearest:
    """Remembers which it was."""

    def __init__(self) -> None:
        self._last: Cloud | None = None

    def order(self, clouds: Iterable[Cloud]) -> list[Cloud]:
        """Those that can be asked, the nearest first."""
        able = sorted((cloud for cloud in clouds if cloud.circuit.closed and cloud.whole), key=_distance)
        if not able:
            return []
        last, best = self._last, able[0]
        if last in able and not _clearly(best, last):
            able.remove(last)
            able.insert(0, last)
        else:
            self._last = best
        return able


def _distance(cloud: Cloud) -> float:
    return cloud.round_trip_seconds if cloud.round_trip_seconds is not None else float("inf")


def _clearly(one: Cloud, other: Cloud) -> bool:
    return _distance(one) < _distance(other) * _QUICKER and _distance(other) - _distance(one) > _AT_LEAST_SECONDS
