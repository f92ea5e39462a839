"""How a cache over several clouds answers: whom it waits for, what it reads, where keys may be."""

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from caches_runtime.multicloud.errors import RefusedError

_MAXIMUM = 7


@dataclass(frozen=True)
class Policy:
    """All can be left out."""

    write: Literal["quorum", "local", "all"] = "quorum"
    """Whom a write waits for: `quorum` clouds, the one called `local`, or all."""
    read: Literal["nearest", "quorum"] = "nearest"
    """Whom a read asks: the cloud that answers soonest, or so many that the last acknowledged write is among them."""
    local: str | None = None
    """The cloud that this process is in; only write="local" needs it."""
    quorum: int | None = None
    """How many clouds a write needs. Default: more than half of those that the key may be in."""
    budget_seconds: float = 2.0
    """How long a call may take."""
    cloud_seconds: float = 0.5
    """How long one cloud may take before it counts as failed."""
    residency: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Keys that may only be in some clouds: patterns with * and ?, the first that matches counts. Default: none."""
    tombstone_seconds: float = 3600
    """How long deleted and expired keys are remembered. A cloud that was away for longer is filled anew first."""
    max_drift_seconds: float = 60
    """How far clocks of writers may be ahead of this one's."""
    max_value_bytes: int = 1 << 20
    """The largest value."""
    queue_limit: int = 100_000
    """How many keys are remembered for clouds that are away; beyond that writes are refused."""

    def check(self, clouds: Sequence[str]) -> None:
        """Raises RefusedError for what can't work with these clouds."""
        if not 2 <= len(clouds) <= _MAXIMUM:
            raise RefusedError(f"{len(clouds)} clouds: there must be 2 to {_MAXIMUM}")
        for name, known in (("write", ("quorum", "local", "all")), ("read", ("nearest", "quorum"))):
            if getattr(self, name) not in known:
                raise RefusedError(f"{name} = {getattr(self, name)!r}: must be one of {', '.join(known)}")
        for name in ("budget_seconds", "cloud_seconds", "tombstone_seconds", "max_drift_seconds", "max_value_bytes", "queue_limit"):
            if not getattr(self, name) > 0:
                raise RefusedError(f"{name} = {getattr(self, name)!r}: must be above 0")
        if self.local is not None and self.local not in clouds:
            raise RefusedError(f"local = {self.local!r}: must be one of {', '.join(clouds)}")
        if self.write == "local" and self.local is None:
            raise RefusedError('write = "local" needs `local`, the cloud that this process is in')
        if self.quorum is not None and not 1 <= self.quorum <= len(clouds):
            raise RefusedError(f"quorum = {self.quorum}: there are {len(clouds)} clouds, so it must be from 1 to {len(clouds)}")
        for pattern, names in self.residency.items():
            if isinstance(names, str) or not names:
                raise RefusedError(f"residency[{pattern!r}] = {names!r}: must be a list of clouds")
            if strangers := [name for name in names if name not in clouds]:
                raise RefusedError(f"residency[{pattern!r}]: there is no cloud {strangers[0]!r}, only {', '.join(clouds)}")
            if self.quorum is not None and len(set(names)) < self.quorum:
                raise RefusedError(
                    f"residency[{pattern!r}] = {list(names)}: too few for quorum = {self.quorum}: allow more clouds, or a smaller quorum"
                )
            if self.write == "local" and self.local not in names:
                raise RefusedError(f'residency[{pattern!r}]: write = "local" needs {self.local!r} among its clouds')

    def homes(self, key: bytes, clouds: Sequence[str]) -> list[str]:
        """Where a key may be."""
        text = key.decode(errors="surrogateescape")
        for pattern, names in self.residency.items():
            if fnmatch.fnmatchcase(text, pattern):
                return [name for name in clouds if name in names]
        return list(clouds)

    def needed_to_write(self, homes: int) -> int:
        """How many of a key's homes a write needs."""
        if self.write == "all":
            return homes
        return 1 if self.write == "local" else self.quorum or homes // 2 + 1

    def needed_to_read(self, homes: int) -> int:
        """How many of a key's homes are sure to have the last acknowledged write among them."""
        return homes - self.needed_to_write(homes) + 1


@dataclass(frozen=True)
class StandbyPolicy:
    """All can be left out."""

    acknowledged_by: Literal["both", "primary"] = "both"
    """Whom a write waits for. A standby that is away is not waited for: what it misses is in this process's folder."""
    automatic: bool = True
    """Whether the standby takes over by itself."""
    budget_seconds: float = 2.0
    """How long a call may take, a failover included."""
    cloud_seconds: float = 0.2
    """How long a cloud may take before it counts as failed; three failures make it away."""
    tombstone_seconds: float = 3600
    """How long deleted and expired keys are remembered."""
    max_drift_seconds: float = 60
    """How far clocks of writers may be ahead of this one's."""
    max_value_bytes: int = 1 << 20
    """The largest value."""
    queue_limit: int = 100_000
    """How many keys are remembered for a standby that is away."""
