"""Whole groups of real servers, sentinels and agents: one master, and no lost write, through everything that can happen to one."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
import redis
from common.waiting import until
from pulumi_caches.kubernetes.sentinel_pod import SENTINEL_PORT
from unit.sentinel.group import Group, empty, end, group
from unit.sentinel.writer import Writer
from unit.servers import PASSWORD, Pod, call, find_programs

# With everysec a server answers up to two seconds before it writes to its file; a restart would lose that, whoever begins.
SYNCED = {"aof_fsync": "always"}
ON_THREE_DISKS = "WAITAOF 1 2 2000"
ON_TWO_DISKS = "WAITAOF 1 1 2000"
# In milliseconds: longer than any test takes.
NEVER = 600_000


@pytest.fixture(params=["redis", "valkey"])
def members(request: pytest.FixtureRequest) -> Iterator[Group]:
    """Three members, of which nothing runs yet."""
    with group(find_programs(request.param)) as made:
        yield made


def await_noted(pods: list[Pod]) -> None:
    """Waits until members that go on have noted how far they are, as they do once a second."""
    noted = {pod: pod.folder / "data" / "progress.json" for pod in pods}
    before = {pod: file.exists() and file.read_text() for pod, file in noted.items()}
    assert until(lambda: all(file.exists() and file.read_text() != before[pod] for pod, file in noted.items()), 20)


def test_of_three_empty_members_the_first_begins_and_the_others_follow(members: Group) -> None:
    assert members.serve() is members.pods[0]
    assert members.service.with_suffix(".log").read_text().count("master") == 1
    assert all(pod.probe("ready") == "" for pod in members.pods)


def test_a_stopped_pod_hands_over_first_and_no_acknowledged_write_is_lost(members: Group) -> None:
    master = members.serve()
    with Writer(members) as writer:
        writer.await_more()
        # As the kubelet does: both hooks, then the end of server, sentinel and agent.
        stopping = master.run("stop.sh", HANDOVER_SECONDS="15")
        assert stopping.returncode == 0
        new = members.shown()
        assert new is not None
        assert new is not master, "the hook ended before another one was the master"
        assert set(members.named().values()) == {new.address}
        master.server.end()
        writer.await_more()
        members.start_server(master)
        assert members.await_settled() is new
    assert len(writer.acknowledged) >= 40
    for pod in members.pods:
        assert until(lambda pod=pod: writer.lost(pod) == [], 10), f"{pod.name} lost {writer.lost(pod)}"  # type: ignore[misc]


def test_a_pod_that_is_deleted_by_force_is_replaced_while_its_server_ends(members: Group) -> None:
    """Server and agent are told to end at the same time, and have a second for it."""
    members.sentinels_down_after_milliseconds = NEVER
    members.agents_down_after_seconds = NEVER / 1000
    master = members.serve()
    with Writer(members, confirmed="WAIT 1 1000") as writer:
        writer.await_more()
        for process in (members.agents[master], master.server.process):
            process.send_signal(signal.SIGTERM)
        assert until(lambda: members.shown() is not master, 20), members.logs()
        writer.await_more()
        new = members.shown()
    said = (master.folder / "agent.log").read_text()
    assert "handed over from" in said or "took over" in said
    assert new is not None
    assert writer.lost(new) == []


def test_a_replica_that_was_promoted_by_who_did_not_live_to_say_so_becomes_the_master(members: Group) -> None:
    members.sentinels_down_after_milliseconds = NEVER
    members.agents_down_after_seconds = NEVER / 1000
    master = members.serve()
    with Writer(members, confirmed="WAIT 1 1000") as writer:
        writer.await_more()
        await_noted(members.others(master))
        # The agent that moves the role ends with its pod, in the middle of that.
        end(members.agents[master])
        master.server.process.kill()
        promoted, other = members.others(master)
        assert promoted.cli("replicaof", "no", "one") == "OK"
        assert other.cli("replicaof", promoted.known_as, "6379") == "OK"
        assert until(lambda: members.shown() is promoted, 20), members.logs()
        writer.await_more()
    assert writer.lost(promoted) == []
    members.restart_server(master)
    members.start_agent(master)
    assert members.await_settled() is promoted


def test_a_replica_that_is_stopped_needs_no_handover(members: Group) -> None:
    master = members.serve()
    replica = members.others(master)[0]
    assert replica.run("stop.sh", HANDOVER_SECONDS="15").returncode == 0
    assert (replica.folder / "run" / "released").exists()
    assert members.shown() is master


def test_a_killed_master_is_replaced_and_comes_back_as_a_replica_without_a_loss(members: Group) -> None:
    master = members.serve()
    with Writer(members, confirmed="WAIT 1 1000") as writer:
        writer.await_more()
        members.replace_master(master)
        writer.await_more()
        new = members.await_settled()
    assert new is not master
    assert writer.lost(new) == []
    assert until(lambda: writer.lost(master) == [], 10)


def test_after_a_loss_of_everything_the_newest_data_begins(members: Group) -> None:
    """Each survives on its disk alone: what two disks have is never lost."""
    master = members.serve(**SYNCED)
    with Writer(members, confirmed=ON_THREE_DISKS) as writer:
        writer.await_more()
        members.kill_all()
    written = len(writer.acknowledged)
    again = members.serve(**SYNCED)
    assert written >= 20
    assert writer.lost(again) == []
    for pod in members.pods:
        assert until(lambda pod=pod: writer.lost(pod) == [], 10), f"{pod.name} of {master.name}"  # type: ignore[misc]


def test_a_member_that_was_away_does_not_begin_before_one_with_newer_data(members: Group) -> None:
    master = members.serve(**SYNCED)
    behind = members.others(master)[0]
    with Writer(members, confirmed=ON_TWO_DISKS) as writer:
        writer.await_more()
        behind.server.end(signal.SIGKILL)
        end(members.agents[behind])
        writer.await_more()
        await_noted(members.others(behind))
    members.kill_all()
    again = members.serve(**SYNCED)
    assert again is not behind
    assert writer.lost(again) == []


def test_a_member_that_was_away_does_not_begin_either_when_only_the_servers_restart(members: Group) -> None:
    """Their agents go on, and have started when nothing was written yet."""
    behind = members.serve(**SYNCED)
    assert behind.run("stop.sh", HANDOVER_SECONDS="15").returncode == 0
    others = members.others(behind)
    with Writer(members, confirmed=ON_TWO_DISKS) as writer:
        writer.await_more()
        behind.server.end(signal.SIGKILL)
        writer.await_more()
        await_noted(others)
    for pod in others:
        pod.server.process.kill()
    for pod in members.pods:
        members.restart_server(pod, **SYNCED)
    again = members.await_settled()
    assert again is not behind
    assert writer.lost(again) == []


def test_an_emptied_volume_never_wins(members: Group) -> None:
    """Of the member that was master, and begins when all are equal."""
    master = members.serve(**SYNCED)
    with Writer(members, confirmed=ON_THREE_DISKS) as writer:
        writer.await_more()
        await_noted(members.pods)
    members.kill_all()
    empty(master.folder / "data")
    again = members.serve(**SYNCED)
    assert again is not master
    assert writer.lost(again) == []
    assert until(lambda: writer.lost(master) == [], 10)


def test_sentinel_does_not_choose_among_restarted_servers_while_the_last_master_is_away(members: Group) -> None:
    """It would take any of them, and the one with an emptied volume would empty the other."""
    master = members.serve(**SYNCED)
    with Writer(members, confirmed=ON_THREE_DISKS) as writer:
        writer.await_more()
        await_noted(members.pods)
    members.kill_all()
    emptied, kept = members.others(master)
    empty(emptied.folder / "data")
    for pod in (emptied, kept):
        members.start_server(pod, **SYNCED)
        members.start_sentinel(pod)
        members.start_agent(pod)
    tried = members.sentinels[kept], members.sentinels[emptied]
    assert until(lambda: any("-failover-abort-no-good-slave" in sentinel.output for sentinel in tried), 30), tried[0].output
    assert "master" not in members.roles().values()
    members.start_server(master, **SYNCED)
    members.start_sentinel(master)
    members.start_agent(master)
    again = members.await_settled()
    assert again is not emptied
    assert writer.lost(again) == []
    assert until(lambda: writer.lost(emptied) == [], 10)


@pytest.fixture(params=["agents", "sentinels"])
def watched(request: pytest.FixtureRequest, members: Group) -> Group:
    """Members of which only one half notices that the master hangs."""
    if request.param == "agents":
        members.sentinels_down_after_milliseconds = NEVER
    else:
        members.agents_down_after_seconds = NEVER / 1000
    return members


def test_a_master_that_hung_is_replaced_and_becomes_a_replica_when_it_goes_on(watched: Group) -> None:
    members = watched
    master = members.serve()
    with Writer(members, confirmed="WAIT 1 1000") as writer:
        writer.await_more()
        # Sentinel goes by offsets that it asked for up to 10 s ago: it would also take a replica that does not get them yet.
        writer.await_everywhere()
        master.server.process.send_signal(signal.SIGSTOP)
        try:
            # A sentinel that was not scheduled for 2 s does nothing for 30 s.
            assert until(lambda: members.shown() is not master, 120, every=0.05), members.logs()
            writer.await_more()
        finally:
            master.server.process.send_signal(signal.SIGCONT)
        new = members.await_settled()
    assert new is not master
    assert writer.lost(new) == []


def test_a_master_that_hung_before_the_agents_had_seen_it_is_replaced(watched: Group) -> None:
    master = watched.serve()
    watched.stop_agents()
    for replica in watched.others(master):
        replica.cli("config", "set", "replica-priority", "0")  # as its server started
    master.server.process.send_signal(signal.SIGSTOP)
    try:
        for pod in watched.pods:
            watched.start_agent(pod)
        assert until(lambda: watched.shown() is not master, 60, every=0.05), watched.logs()
    finally:
        master.server.process.send_signal(signal.SIGCONT)
    assert watched.await_settled() is not master


def test_clients_that_come_to_a_former_master_after_its_restart_are_sent_on(members: Group) -> None:
    """The Service may still have led there."""
    master = members.serve()
    members.replace_master(master)
    assert until(lambda: master.probe("alive") == "", 10)
    with master.connect() as client:
        assert until(lambda: is_disconnected(client), 20), members.logs()


def is_disconnected(client: redis.Redis) -> bool:
    try:
        client.ping()
    except redis.ConnectionError:
        return True
    return False


def test_sentinels_that_connect_anew_lose_sight_of_nobody(members: Group) -> None:
    master = members.serve()
    # Two of each sentinel to each server, one of each to each other.
    assert until(lambda: len(links(members)) == 24, 40)
    before = links(members)
    members.drive("connect_anew")
    assert until(lambda: len(links(members)) == 24 and not before & links(members), 40)
    assert members.await_settled() is master
    assert not any("+sdown" in sentinel.output for sentinel in members.sentinels.values())


def links(members: Group) -> set[tuple[str, str]]:
    """The connections of all sentinels: to servers, which the system user may not ask for them, and to sentinels."""
    listed = {
        pod.name: pod.cli("client", "list", user="default", password=PASSWORD) + "\n" + pod.cli("client", "list", port=SENTINEL_PORT)
        for pod in members.pods
    }
    return {(name, line.split()[1]) for name, lines in listed.items() for line in lines.splitlines() if " name=sentinel-" in line}


def test_an_agent_that_nobody_confirms_does_not_replace_a_master_that_hangs(members: Group) -> None:
    members.sentinels_down_after_milliseconds = NEVER
    master = members.serve()
    alone, other = members.others(master)
    for pod in (master, other):
        end(members.agents[pod])
    master.server.process.send_signal(signal.SIGSTOP)
    try:
        assert until(lambda: members.drive("silences")[alone.name]["seconds"] > 3, 40), members.logs()
        assert members.roles()[other.name] == master.address, "nobody was promoted"
        assert members.shown() is master
    finally:
        master.server.process.send_signal(signal.SIGCONT)
    members.start_agent(master)
    members.start_agent(other)
    assert members.await_settled() is master


def test_of_two_who_replace_a_lost_master_the_second_one_publishes_the_first_ones_choice(members: Group) -> None:
    """Both are elected, one after the other, and the first has promoted a server and published nothing yet."""
    members.sentinels_down_after_milliseconds = NEVER
    master = members.serve()
    members.stop_agents()
    master.server.process.kill()
    # The second one alone would choose the other.
    promoted, other = members.others(master)
    promoted.cli("replicaof", "no", "one")
    assert members.drive("take_over", master=members.pods.index(master)) == members.pods.index(promoted)
    assert until(lambda: members.roles() == {promoted.name: "master", other.name: promoted.address}, 10), members.roles()
    assert until(lambda: set(members.named().values()) == {promoted.address}, 10)


def test_without_a_majority_of_sentinels_nothing_is_moved(members: Group) -> None:
    """Whoever can't know what the others do must not make a second master."""
    master = members.serve()
    for pod in members.others(master):
        members.sentinels[pod].end(signal.SIGKILL)
    members.stop_agents()
    assert "no majority voted" in str(members.drive("hand_over", master=members.pods.index(master)))
    assert members.roles()[master.name] == "master"
    # Paused, it would refuse to answer.
    with master.connect(seconds=5) as client:
        assert call(client, "SET", "fruit", "apple")
