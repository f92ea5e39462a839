"""What servers and sentinels say, and what follows from what several of them say."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from caches_runtime.ops.sentinel.members import Member, ServerState, ask, majority, parse_info
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ResponseError
from unit.sentinel.loop import run

# Replies of Redis 8.0.2 and Valkey 8.1.1, but for the fields that say nothing here.
COMMON = """\
# Server
redis_version:8.0.2

# Persistence
loading:{loading}
async_loading:0

# Replication
"""
MASTER = """\
role:master
connected_slaves:1
slave0:ip=10.0.0.2,port=6379,state=online,offset=4711,lag=0
master_failover_state:no-failover
master_replid:0755db28a8b02727cee0a48193ec6fc3af25f7af
master_replid2:0000000000000000000000000000000000000000
master_repl_offset:4711
second_repl_offset:-1
repl_backlog_active:1
"""
LINKED = """\
role:slave
master_host:10.0.0.1
master_port:6379
master_link_status:up
master_last_io_seconds_ago:0
master_sync_in_progress:0
slave_read_repl_offset:4711
slave_repl_offset:4700
slave_read_only:1
master_repl_offset:4699
"""
LOST = """\
role:slave
master_host:10.0.0.1
master_port:6379
master_link_status:down
master_last_io_seconds_ago:-1
master_sync_in_progress:0
slave_read_repl_offset:4711
slave_repl_offset:4711
master_link_down_since_seconds:{down}
slave_read_only:1
master_repl_offset:4711
"""
NEVER = """\
role:slave
master_host:127.0.0.1
master_port:1
master_link_status:down
master_last_io_seconds_ago:-1
master_sync_in_progress:0
slave_read_repl_offset:1
slave_repl_offset:1
master_link_down_since_seconds:-1
slave_read_only:1
master_repl_offset:0
"""
STOPPING = "# Server\nshutdown_in_milliseconds:9998\n"


def reply(replication: str, *, loading: int = 0, before: str = "") -> str:
    return before + COMMON.format(loading=loading) + replication


def master(**fields: Any) -> ServerState:
    streams = {"stream": "0755db28a8b02727cee0a48193ec6fc3af25f7af", "former_stream": 40 * "0"}
    return ServerState("master", 4711, "", False, True, **{"loading": False, "stopping": False, **streams, **fields})


def replica(master: str, offset: int, link_up: bool, linked_once: bool, **fields: Any) -> ServerState:
    return ServerState("slave", offset, master, link_up, linked_once, **{"loading": False, "stopping": False, **fields})


@pytest.mark.parametrize(
    ("info", "state"),
    [
        (reply(MASTER), master()),
        (reply(MASTER.replace("id2:000", "id2:123")), master(former_stream="123" + 37 * "0")),
        (reply(LINKED), replica("10.0.0.1", 4700, True, True)),
        (reply(LOST.format(down=0)), replica("10.0.0.1", 4711, False, True)),
        (reply(LOST.format(down=86_400)), replica("10.0.0.1", 4711, False, True)),
        (reply(LINKED + "slave_priority:100\n"), replica("10.0.0.1", 4700, True, True)),
        (reply(LINKED + "slave_priority:0\n"), replica("10.0.0.1", 4700, True, True, eligible=False)),
        (reply(LINKED, before="aof_rewrite_in_progress:1\n"), replica("10.0.0.1", 4700, True, True, rewriting=True)),
        (reply(LINKED, before="aof_rewrite_scheduled:1\n"), replica("10.0.0.1", 4700, True, True, rewriting=True)),
        (reply(LINKED, before="aof_last_bgrewrite_status:err\n"), replica("10.0.0.1", 4700, True, True, rewriting=True)),
        (reply(LINKED, before="aof_last_bgrewrite_status:ok\n"), replica("10.0.0.1", 4700, True, True)),
        (reply(LINKED, before="aof_last_write_status:err\n"), replica("10.0.0.1", 4700, True, True, keeps_writes=False)),
        (reply(LINKED, before="aof_last_write_status:ok\n"), replica("10.0.0.1", 4700, True, True)),
        (reply(LINKED, before="uptime_in_seconds:77\n"), replica("10.0.0.1", 4700, True, True, uptime_seconds=77)),
        (reply(NEVER), replica("127.0.0.1", 1, False, False)),
        (reply(NEVER, loading=1), replica("127.0.0.1", 1, False, False, loading=True)),
        (reply(MASTER, before=STOPPING), master(stopping=True)),
        (reply(LINKED, before=STOPPING), replica("10.0.0.1", 4700, True, True, stopping=True)),
    ],
    ids=lambda given: given.replace("\n", " ")[-60:] if isinstance(given, str) else "",
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_info_says_how_a_server_replicates(info: str, state: ServerState, line_end: str) -> None:
    assert parse_info(info.replace("\n", line_end)) == state


@pytest.mark.parametrize(
    ("values", "total", "value"),
    [
        ([], 3, None),
        (["a"], 3, None),
        (["a", "a"], 3, "a"),
        (["a", "b"], 3, None),
        (["b", "a", "b"], 3, "b"),
        (["a", "b", "c"], 3, None),
        (["a", "a"], 5, None),
        (["a", "a", "a"], 5, "a"),
        (["a", "a", "b", "b"], 5, None),
        (["a", "a"], 4, None),
    ],
)
def test_a_majority_is_more_than_half_of_all_however_many_answered(values: list[str], total: int, value: str | None) -> None:
    assert majority(values, total) == value


@given(st.lists(st.sampled_from("abc"), max_size=9), st.data())
def test_two_majorities_of_the_same_votes_never_differ(votes: list[str], data: st.DataObject) -> None:
    """Two agents that hear different parts of them."""
    total = max(len(votes), 1)
    heard = st.lists(st.sampled_from(range(total)), unique=True) if votes else st.just([])
    found = {majority([votes[index] for index in data.draw(heard)], total) for _ in range(2)} - {None}
    assert len(found) <= 1


def test_only_those_that_answer_are_in_the_answers() -> None:
    members = [Member(ordinal, "10.0.0.1", "password", "cache") for ordinal in range(5)]
    problems = {1: TimeoutError("late"), 2: ConnectionRefusedError("gone"), 3: ResponseError("BUSY")}

    async def question(member: Member) -> int:
        if member.ordinal in problems:
            raise problems[member.ordinal]
        return 10 * member.ordinal

    assert run(ask(members, question)) == {members[0]: 0, members[4]: 40}


@pytest.mark.parametrize(
    ("prompt", "patience", "answered"),
    [(2, 0.05, 2), (1, 0.05, 3), (2, None, 3)],
    ids=["most have answered", "most have not", "all are waited for"],
)
def test_with_a_patience_the_last_ones_are_not_waited_for(prompt: int, patience: float | None, answered: int) -> None:
    members = [Member(ordinal, "10.0.0.1", "password", "cache") for ordinal in range(3)]

    async def question(member: Member) -> int:
        await asyncio.sleep(0 if member.ordinal < prompt else 0.3)
        return member.ordinal

    assert run(ask(members, question, patience)) == {member: member.ordinal for member in members[:answered]}


def test_a_mistake_of_ours_is_not_taken_for_a_member_that_does_not_answer() -> None:
    async def question(member: Member) -> int:
        raise KeyError("ours")

    with pytest.raises(KeyError):
        run(ask([Member(0, "10.0.0.1", "password", "cache")], question))
