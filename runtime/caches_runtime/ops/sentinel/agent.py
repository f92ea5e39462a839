"""The agent of one member: watches its own server closely and the others steadily, and does what is known for certain."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from caches_runtime.ops.sentinel import handover
from caches_runtime.ops.sentinel.certificate import Renewal
from caches_runtime.ops.sentinel.election import NotElected, elect
from caches_runtime.ops.sentinel.handover import NoSuccessor
from caches_runtime.ops.sentinel.hearing import Hearing, Limits
from caches_runtime.ops.sentinel.members import UNREACHABLE, Member, ServerState, ask
from caches_runtime.ops.sentinel.roles import UNAVAILABLE
from caches_runtime.ops.sentinel.routing import Routing, Shower
from caches_runtime.ops.sentinel.spinning import Watch
from caches_runtime.ops.sentinel.status import Status, restored_of
from caches_runtime.ops.sentinel.succession import HANDOVER_SECONDS, Claim, Progress, Record, successor
from caches_runtime.ops.sentinel.survey import named, survey

log = logging.getLogger(__name__)

WATCH_SECONDS = 0.1
SURVEY_SECONDS = 1.0
# Nodes apply changes of endpoints at most once a second by default (kube-proxy's minSyncPeriod), and the end of a pod is one.
# In a roll it comes right after another one, a pod that got ready, and waits for up to a second itself. After this time the
# Service's change is applied at once.
_QUIET_SECONDS = 2.1
_POLL_SECONDS = 0.02
# How long the own server may not answer and still count as serving: a slow command must not cost its clients their connections.
_SILENT_SECONDS = 1.0
_ATTEMPTS = 3
FAILED = (NoSuccessor, NotElected, *UNREACHABLE, *UNAVAILABLE)


class Agent:
    """Runs until its pod is stopped."""

    def __init__(self, group: str, members: list[Member], own: Member, limits: Limits, roles: Shower, run: Path, data: Path) -> None:
        self._group = group
        self._members = members
        self._own = own
        self._routing = Routing(own, roles)
        self._run = run
        self._record = Record(data / "progress.json")
        self._hearing = Hearing(members, own, limits)
        self.status = Status(self._record.read, self._hearing.silence)
        self._was_master = False
        self._was_linked = False
        # The epoch that the group agreed on it in, while the own server is the master.
        self._led_epoch: int | None = None
        self._heard = 0.0
        self._settled = False
        self._on_disk = False
        # What was said already, so that it is not said ten times a second.
        self._failures: dict[str, str] = {}
        self._sentinel_watch = Watch(own)
        self._renewal = Renewal(run, members, own)
        self._stopping = asyncio.Event()
        self._wake = asyncio.Event()
        self._masterless_since: float | None = None
        self._second_master_since: float | None = None

    async def run(self) -> None:
        """Returns when the pod is being stopped and its server has ended."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stopping.set)
        async with asyncio.TaskGroup() as tasks:
            works = (self._hearing.run(self._replace_lost), self._follow_news(), self._send_clients_on())
            beside = [tasks.create_task(work) for work in works]
            await asyncio.gather(self._watch(), self._survey_for_ever())
            for task in beside:
                task.cancel()

    async def _watch(self) -> None:
        """The own server, at short intervals: a planned stop and a dead process are noticed at once."""
        released = self._run / "released"
        while True:
            state = await self._own_state()
            if state is not None:
                if state.is_master is not self._was_master:
                    # Nothing is told until the group agrees.
                    self.status.withdraw()
                    self._wake.set()
                self._was_master = state.is_master
                if not state.is_master:
                    self._led_epoch = None
                if self._was_linked and not state.link_up:
                    self._wake.set()
                self._was_linked = state.link_up
            if state is None and self._stopping.is_set():
                self._wake.set()
                return
            if self._stop_wanted() and not released.exists():
                await self._try("hand over", self._release)
                released.touch()
            elif state is not None and state.is_master and not state.keeps_writes:
                await self._try("leave the full disk", self._leave_full_disk)
            await asyncio.sleep(WATCH_SECONDS)

    async def _own_state(self) -> ServerState | None:
        try:
            state = await self._own.state()
        except UNREACHABLE:
            if time.monotonic() - self._heard >= _SILENT_SECONDS:
                self.status.withdraw()
            if self._was_master and await self._own.is_refused():
                # There is no process any more. When it is started again, it is no master.
                self._was_master = False
                self.status.withdraw()
                await self._try("replace the dead master", self._replace_own)
            return None
        self._heard = time.monotonic()
        return state

    def _stop_wanted(self) -> bool:
        return self._stopping.is_set() or (self._run / "stopping").exists()

    async def _release(self) -> None:
        """Before the own server stops: another one is the master, and the Service has followed."""
        if not (await self._own.state()).is_master:
            return
        # Unless the server was told to end already: who deletes a pod by force does not wait.
        await self._serves_for(_QUIET_SECONDS)
        new = await self._repeat(handover.hand_over, self._serves_for)
        # At once: while two say that they are the master, a front leads to none.
        self.status.withdraw()
        await self._routing.hand_over(new)

    async def _serves_for(self, seconds: float) -> bool:
        """Whether the own server does not begin to end in that time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if (await self._own.state()).stopping:
                    return False
            except UNREACHABLE:
                if await self._own.is_refused():
                    return False
            await asyncio.sleep(WATCH_SECONDS)
        return True

    async def _leave_full_disk(self) -> None:
        """It refuses writes, and others may not have to."""
        if any(state.keeps_writes for state in (await handover.followers(self._members, self._own)).values()):
            await self._repeat(handover.hand_over, self._serves_for)

    async def _replace_own(self) -> None:
        async def wait(seconds: float) -> bool:
            await asyncio.sleep(seconds)
            return True

        await self._repeat(handover.take_over, wait)

    async def _replace_lost(self, master: Member) -> None:
        """Enough agents have not heard the master for too long, and this one acts for them."""

        async def replace() -> None:
            if (await named(self._members))[0] is master:
                await handover.take_over(self._members, self._group, master, lambda: self._hearing.misses(master))

        await self._try("replace the lost master", replace)

    async def _follow_news(self) -> None:
        """A new master is shown at once: the survey may still be waiting for the old one's answer."""

        async def follow() -> None:
            async for switched in self._own.news(SURVEY_SECONDS):
                if switched:
                    self._wake.set()
                    await self._show_new_master()

        while True:
            await self._try("listen to the sentinel", follow)
            await asyncio.sleep(SURVEY_SECONDS)

    async def _show_new_master(self) -> None:
        state = await self._own.state()
        deadline = time.monotonic() + SURVEY_SECONDS
        while state.is_master and time.monotonic() < deadline:
            master, epoch = await named(self._members)
            if master is self._own:
                self.status.update(state, serving=True)
                await self._routing.show_master(epoch)
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def _send_clients_on(self) -> None:
        while True:
            await self._try("send clients on", self._routing.send_clients_on)

    async def _repeat(
        self, move: Callable[[Sequence[Member], str, Member], Awaitable[Member]], wait: Callable[[float], Awaitable[bool]]
    ) -> Member:
        """Moves the role away from the own server, with some patience: votes may go to somebody else, a replica may be behind.

        `wait` waits for so many seconds, and tells whether to try again after them.
        """
        for _ in range(_ATTEMPTS - 1):
            try:
                return await move(self._members, self._group, self._own)
            except FAILED as error:
                log.warning("could not %s yet: %s", move.__name__, error)
                if not await wait(SURVEY_SECONDS):
                    raise
        return await move(self._members, self._group, self._own)

    async def _survey_for_ever(self) -> None:
        while not (self._stopping.is_set() and self._wake.is_set()):
            await self._try("look at the group", self._look)
            await self._try("look at the sentinel", self._look_at_sentinel)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), SURVEY_SECONDS if self._settled else WATCH_SECONDS)
            if not self._stopping.is_set():
                self._wake.clear()

    async def _look_at_sentinel(self) -> None:
        if self._settled:
            await self._sentinel_watch.look()
            await self._renewal.look()

    async def _look(self) -> None:
        self._settled = False
        seen = await survey(self._members)
        if self._was_master and seen.master is not self._own:
            # Said also while the own server hangs, and can't be asked.
            self.status.withdraw()
        own = await self._own.state()
        if seen.master is None:
            self.status.update(own, serving=False)
            return
        if seen.state is not None and seen.state.is_master:
            self._masterless_since = None
            await self._fit_in(seen.master, seen.epoch, own)
        elif seen.state is not None or not own.linked_once or own.is_master:
            # It was restarted, and so were perhaps all others, or the own server was promoted and nobody was told. One that is only
            # gone is the sentinels' matter.
            await self._begin()
        elif own.master == seen.master.address:
            # It may have gone before it was ever seen from here.
            await self._stand_by(seen.master, own)

    async def _fit_in(self, master: Member, epoch: int, own: ServerState) -> None:
        """There is a master: the own server is it, or follows it."""
        if own.is_master and master is not self._own:
            await self._step_down(master, epoch)
        else:
            self._second_master_since = None
            # Asked once more: a master that hung may have been waited for, and another one be named since.
            if master is not self._own and own.master != master.address and (await named(self._members))[0] is master:
                await handover.follow(self._own, master)
        own = await self._own.state()
        if master is not self._own and not own.is_master:
            self._routing.leave()
        is_master = own.is_master and master is self._own
        self._settled = is_master or own.link_up
        self.status.update(own, serving=self._settled)
        if self._settled:
            self._led_epoch = epoch if is_master else None
            await self._stand_by(master, own)
            self._note(epoch, own)
            await (self._routing.show_master(epoch) if is_master else self._routing.show_replica())

    async def _stand_by(self, master: Member, own: ServerState) -> None:
        """The own server has the data of the group: it may be chosen when the master is lost, and that will be noticed here too."""
        self._hearing.listen_to(master)
        if not own.eligible:
            await handover.make_eligible(self._own)

    def _note(self, epoch: int, own: ServerState) -> None:
        """Keeps the own progress, once it is that of the data on disk. A rewrite that begins on a master changes nothing of that."""
        if not own.rewriting:
            self._on_disk = True
        elif not own.is_master:
            self._on_disk = False
        if self._on_disk:
            self._record.keep(Progress(epoch, own.offset))

    async def _step_down(self, master: Member, epoch: int) -> None:
        """The own server was cut off or stopped for a while, and another one is the master now.

        Unless it is about to be one itself, and the sentinels are not told yet: then it has led in no epoch before.
        """
        now = time.monotonic()
        self._second_master_since = self._second_master_since or now
        replaced = self._led_epoch is not None and epoch > self._led_epoch
        if replaced or now - self._second_master_since >= HANDOVER_SECONDS:
            log.warning("%s was master beside %s and becomes its replica: writes that only it had are lost", self._own, master)
            await handover.follow(self._own, master)

    async def _begin(self) -> None:
        """Nobody is master: if the newest data is here, the own server begins."""
        self._masterless_since = self._masterless_since or time.monotonic()
        if await self._successor() is not self._own:
            return
        epoch = await elect(self._members, self._group)
        # Once more, now that nobody else can act: the votes took time.
        if await self._successor() is self._own:
            await handover.promote(self._own)
            await handover.settle(self._members, self._group, self._own, epoch)
            log.warning("nobody was master: %s began in epoch %d", self._own, epoch)
            self._wake.set()

    async def _successor(self) -> Member | None:
        waited = time.monotonic() - (self._masterless_since or time.monotonic())
        states = await ask(self._members, lambda member: member.state())
        restored = await ask(list(states), self._restored)
        claims = {member: Claim(state, restored[member]) for member, state in states.items() if member in restored}
        return successor(claims, len(self._members), waited)

    async def _restored(self, member: Member) -> Progress:
        return self._record.read() if member is self._own else await restored_of(member)

    async def _try(self, what: str, action: Callable[[], Awaitable[None]]) -> None:
        """What fails is tried again when it is needed again."""
        try:
            await action()
            self._failures.pop(what, None)
        except FAILED as error:
            if self._failures.get(what) != str(error):
                log.warning("could not %s: %s", what, error)
            self._failures[what] = str(error)
