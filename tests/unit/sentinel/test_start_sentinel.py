"""start-sentinel.sh and the sentinel's probe, with real sentinels: what one has learnt outlives it, all else is written anew."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL, SIGSTOP

import pytest
from common.waiting import until
from pulumi_caches.kubernetes.sentinel_pod import SENTINEL_PORT
from unit.sentinel.group import GROUP, Group, group
from unit.servers import EXPORTER_PASSWORD, PASSWORD, SYSTEM_PASSWORD, Pod, find_programs

SOME_ID = "a" * 40
LEARNT = f"""\
sentinel monitor {GROUP} {{master}} 6379 2
sentinel config-epoch {GROUP} 7
sentinel leader-epoch {GROUP} 9
sentinel current-epoch 9
sentinel known-sentinel {GROUP} {{sentinel}} 26379 {SOME_ID}
"""


@pytest.fixture(params=["redis", "valkey"])
def members(request: pytest.FixtureRequest) -> Iterator[Group]:
    """Three pods, of which nothing runs yet."""
    with group(find_programs(request.param)) as made:
        yield made


@pytest.fixture
def pod(members: Group) -> Pod:
    return members.pods[0]


def serve(members: Group, pod: Pod) -> None:
    """Starts the pod's sentinel and waits until it answers."""
    sentinel = members.start_sentinel(pod)
    assert until(lambda: ask(pod, "ping") == "PONG" or sentinel.process.poll() is not None, 15, every=0.05), sentinel.output
    assert sentinel.process.poll() is None, sentinel.output


def ask(pod: Pod, *words: str, user: str = "system", password: str = SYSTEM_PASSWORD) -> str:
    return pod.cli(*words, port=SENTINEL_PORT, user=user, password=password)


def described(pod: Pod, what: str = "master") -> dict[str, str]:
    """The fields of SENTINEL MASTER."""
    words = ask(pod, "sentinel", what, GROUP).split("\n")
    return dict(zip(words[::2], words[1::2], strict=True))


def vote(pod: Pod, epoch: int) -> str:
    """Whom the sentinel votes for in an epoch, when this candidate asks."""
    return ask(pod, "sentinel", "is-master-down-by-addr", described(pod)["ip"], "6379", str(epoch), "candidate").split("\n")[1]


def probe(pod: Pod) -> str:
    return pod.probe("sentinel", CACHE_PORT=str(SENTINEL_PORT))


def conf(pod: Pod) -> Path:
    return pod.folder / "data" / "sentinel.conf"


def test_it_watches_the_first_member_and_knows_the_others_at_once(members: Group, pod: Pod) -> None:
    serve(members, pod)
    found = described(pod)
    assert (found["name"], found["ip"], found["port"]) == (GROUP, pod.address, "6379")
    assert (found["quorum"], found["down-after-milliseconds"], found["failover-timeout"]) == ("2", "1000", "5000")
    assert found["num-slaves"] == "2"
    replicas = ask(pod, "sentinel", "replicas", GROUP)
    assert all(f"{other.address}:6379" in replicas for other in members.others(pod))


def test_its_id_is_its_pods_and_stays(members: Group, pod: Pod) -> None:
    ids = []
    for each in (pod, members.pods[1], pod):
        serve(members, each)
        ids.append(ask(each, "sentinel", "myid"))
        members.sentinels[each].end(SIGKILL)
        conf(each).unlink()
    first, other, again = ids
    assert len(first) == 40
    assert first == again
    assert first != other


def test_what_it_has_learnt_is_kept_and_everything_else_is_dropped(members: Group, pod: Pod) -> None:
    master, sentinel = members.pods[1].address, members.pods[2].address
    garbage = f"sentinel known-sent\n\x01\x02\nuser default on nopass ~* &* +@all\nsentinel notification-script {GROUP} /bin/sh\nport 1\n"
    conf(pod).write_text(garbage + LEARNT.format(master=master, sentinel=sentinel) + "sentinel current-ep")
    serve(members, pod)
    found = described(pod)
    assert (found["ip"], found["config-epoch"], found["num-other-sentinels"]) == (master, "7", "1")
    assert found["num-slaves"] == "2"
    assert vote(pod, 9) != "candidate", "it has voted in that epoch"
    assert vote(pod, 10) == "candidate"
    assert "NOAUTH" in ask(pod, "ping", user="default", password="")
    assert not {"notification-script", "nopass"} & set(conf(pod).read_text().split())


@pytest.mark.parametrize(("kept_epoch", "follows"), [(5, True), (7, False), (8, False)])
def test_it_begins_with_the_master_that_others_have_agreed_on_since(members: Group, pod: Pod, kept_epoch: int, follows: bool) -> None:
    """Not with the one of before its restart: clients ask it at once."""
    other = members.pods[1]
    conf(other).write_text(LEARNT.format(master=other.address, sentinel=pod.address))
    serve(members, other)
    kept = LEARNT.format(master=pod.address, sentinel=other.address)
    conf(pod).write_text(kept.replace(f"config-epoch {GROUP} 7", f"config-epoch {GROUP} {kept_epoch}"))
    serve(members, pod)
    found = described(pod)
    assert (found["ip"], found["config-epoch"]) == ((other.address, "7") if follows else (pod.address, str(kept_epoch)))
    assert vote(pod, 9) != "candidate", "it has voted in that epoch"


def test_addresses_of_another_time_are_dropped_and_epochs_are_kept(members: Group, pod: Pod) -> None:
    """As after a group was destroyed, and made again with the volumes that it had."""
    conf(pod).write_text(LEARNT.format(master="10.9.9.9", sentinel="10.9.9.8"))
    serve(members, pod)
    found = described(pod)
    assert (found["ip"], found["config-epoch"], found["num-other-sentinels"]) == (pod.address, "7", "0")
    assert vote(pod, 9) != "candidate"
    assert "10.9.9" not in conf(pod).read_text()


def test_votes_outlive_it(members: Group, pod: Pod) -> None:
    serve(members, pod)
    assert vote(pod, 5) == "candidate"
    members.sentinels[pod].end(SIGKILL)
    serve(members, pod)
    assert vote(pod, 5) != "candidate"
    assert vote(pod, 6) == "candidate"


def test_wherever_a_crash_has_cut_the_file_it_starts(members: Group, pod: Pod) -> None:
    serve(members, pod)
    members.sentinels[pod].end(SIGKILL)
    whole = conf(pod).read_bytes()
    for part in (0, 1, len(whole) // 3, len(whole) // 2, len(whole) - 2):
        conf(pod).write_bytes(whole[:part])
        serve(members, pod)
        assert described(pod)["ip"] == pod.address
        members.sentinels[pod].end(SIGKILL)


def test_without_a_password_it_does_not_start_and_keeps_what_it_has_learnt(members: Group, pod: Pod) -> None:
    kept = LEARNT.format(master=pod.address, sentinel=members.pods[1].address)
    conf(pod).write_text(kept)
    pod.credentials(password=None)
    started = members.start_sentinel(pod)
    assert started.wait() != 0
    assert "start-sentinel: no password" in started.output
    assert conf(pod).read_text() == kept


def test_the_exporter_may_ask_how_the_group_does_and_change_nothing(members: Group, pod: Pod) -> None:
    serve(members, pod)
    for allowed in (
        "info all",
        "sentinel masters",
        f"sentinel ckquorum {GROUP}",
        f"sentinel sentinels {GROUP}",
        f"sentinel slaves {GROUP}",
    ):
        assert "NOPERM" not in (said := ask(pod, *allowed.split(), user="exporter", password=EXPORTER_PASSWORD)), said
    for refused in (f"sentinel failover {GROUP}", f"sentinel remove {GROUP}", "publish news text", "acl list", "shutdown"):
        assert "NOPERM" in (said := ask(pod, *refused.split(), user="exporter", password=EXPORTER_PASSWORD)), f"{refused}: {said}"


def test_clients_may_ask_for_the_master_and_change_nothing(members: Group, pod: Pod) -> None:
    serve(members, pod)

    def as_client(command: str) -> str:
        return ask(pod, *command.split(), user="default", password=PASSWORD)

    assert as_client(f"sentinel get-master-addr-by-name {GROUP}") == f"{pod.address}\n6379"
    for allowed in (
        "ping",
        "sentinel masters",
        f"sentinel replicas {GROUP}",
        f"sentinel sentinels {GROUP}",
        "role",
        "info",
        "client setname x",
    ):
        assert "ERR" not in (said := as_client(allowed)), said
        assert "NOPERM" not in said, said
    for refused in (
        "publish __sentinel__:hello x",
        f"sentinel failover {GROUP}",
        f"sentinel set {GROUP} quorum 1",
        f"sentinel remove {GROUP}",
        "sentinel monitor other 10.0.0.9 6379 1",
        "sentinel reset *",
        f"sentinel is-master-down-by-addr {pod.address} 6379 99 candidate",
        "sentinel config set loglevel debug",
        "acl list",
        "shutdown nosave",
    ):
        assert "NOPERM" in (said := as_client(refused)), f"{refused}: {said}"
    assert "WRONGPASS" in ask(pod, "ping", user="default", password="wrong")


def test_no_password_is_in_its_arguments_or_environment(members: Group, pod: Pod) -> None:
    serve(members, pod)
    process = Path("/proc", str(members.sentinels[pod].process.pid))
    texts = [(process / file).read_text() for file in ("cmdline", "environ")]
    assert "sentinel" in texts[0]
    assert [secret for secret in (PASSWORD, SYSTEM_PASSWORD) for text in texts if secret in text] == []
    assert oct(conf(pod).stat().st_mode & 0o777) == "0o600"


def test_its_probe_applies_a_changed_password(members: Group, pod: Pod) -> None:
    serve(members, pod)
    assert probe(pod) == ""
    pod.credentials(password="new", previous=PASSWORD)
    assert probe(pod) == ""
    assert [ask(pod, "ping", user="default", password=each) for each in ("new", PASSWORD)] == ["PONG", "PONG"]
    pod.credentials(previous=None)
    assert probe(pod) == ""
    assert ask(pod, "ping", user="default", password="new") == "PONG"
    assert "WRONGPASS" in ask(pod, "ping", user="default", password=PASSWORD)
    assert ask(pod, "ping") == "PONG", "the system user's stays"


def test_its_probe_notices_one_that_hangs_or_is_gone(members: Group, pod: Pod) -> None:
    assert "Connection refused" in probe(pod)
    serve(members, pod)
    members.sentinels[pod].process.send_signal(SIGSTOP)
    began = time.monotonic()
    assert "no answer" in probe(pod)
    # Below the 10 s that a kubelet gives it.
    assert time.monotonic() - began < 8
