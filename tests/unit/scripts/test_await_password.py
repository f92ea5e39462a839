"""await-password.sh: it ends when every server accepts the password."""

from __future__ import annotations

from unit.scripts.waiting import PASSES, await_copy
from unit.servers import PASSWORD, SYSTEM_PASSWORD, Makes


def test_a_rotation_is_awaited_on_every_server(make: Makes) -> None:
    primary, replica, job = make("primary", "replica", "job")
    primary.serve()
    replica.serve("replica")
    await_copy(replica)
    for pod in (primary, job):
        pod.credentials(password="the-new-one", previous=PASSWORD)
    assert primary.probe("ready") == PASSES

    awaiting = job.begin("await-password.sh", ADDRESSES="primary:6379 replica:6379")
    awaiting.await_output("primary:6379 accepts the password\n")
    awaiting.await_output("replica:6379: ")
    assert awaiting.process.poll() is None

    replica.credentials(password="the-new-one", previous=PASSWORD)
    assert replica.probe("ready") == PASSES
    assert awaiting.wait() == 0
    assert awaiting.output.endswith("replica:6379 accepts the password\n")
    assert not any(secret in awaiting.output for secret in ("the-new-one", PASSWORD, SYSTEM_PASSWORD))


def test_a_server_that_is_not_there_yet_is_awaited(make: Makes) -> None:
    primary, job = make("primary", "job")
    awaiting = job.begin("await-password.sh", ADDRESSES="primary:6379")
    awaiting.await_output("primary:6379: ")
    primary.serve()
    assert awaiting.wait() == 0
