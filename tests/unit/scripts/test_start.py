"""start.sh: the server that it becomes, and when it refuses to become one."""

from __future__ import annotations

from pathlib import Path
from signal import SIGSTOP

import pytest
import redis
from hypothesis import example, given, settings
from hypothesis import strategies as st
from unit.scripts.waiting import PASSES, await_copy, await_probe, await_value
from unit.servers import EXPORTER_PASSWORD, PASSWORD, SYSTEM_PASSWORD, Makes, Pod, call

# The users and their passwords


def test_the_server_runs_with_the_rendered_configuration(pod: Pod) -> None:
    pod.serve(maxmemory_mib=123, maxmemory_policy="allkeys-lfu", persistence="aof+rdb", rdb_save_points=["77 7"])
    expected = {"maxmemory": str(123 * 1024 * 1024), "maxmemory-policy": "allkeys-lfu", "appendonly": "yes", "save": "77 7", "port": "6379"}
    client = pod.connect()
    assert {name: client.config_get(name)[name] for name in expected} == expected


def test_only_the_password_is_accepted(pod: Pod) -> None:
    pod.serve()
    assert [pod.accepts(password) for password in (PASSWORD, "wrong", "", PASSWORD + "\n", None)] == [True, False, False, False, False]


def test_the_previous_password_is_accepted_too(pod: Pod) -> None:
    pod.credentials(previous="before")
    pod.serve()
    assert [pod.accepts(password) for password in (PASSWORD, "before", "wrong", None)] == [True, True, False, False]


def test_an_empty_previous_password_opens_nothing(pod: Pod) -> None:
    for empty in ("", "\n"):
        pod.credentials(previous=empty)
        server = pod.serve()
        assert [pod.accepts(password) for password in (PASSWORD, "", None)] == [True, False, False]
        server.end()


def test_the_system_user_can_only_do_what_probes_and_replication_need(pod: Pod) -> None:
    pod.serve()
    assert pod.accepts(SYSTEM_PASSWORD, "system")
    assert not pod.accepts(PASSWORD, "system")
    assert not pod.accepts(SYSTEM_PASSWORD)
    system = pod.connect(SYSTEM_PASSWORD, "system")
    assert system.info("server")
    for command in ("GET key", "SET key value", "CONFIG GET *", "KEYS *", "FLUSHALL", "ACL LIST", "REPLICAOF NO ONE", "SHUTDOWN", "SAVE"):
        with pytest.raises(redis.exceptions.NoPermissionError):
            call(system, *command.split())


def test_the_exporters_user_can_only_ask_how_the_server_does(pod: Pod) -> None:
    pod.serve()
    exporter = pod.connect(EXPORTER_PASSWORD, "exporter")
    assert exporter.info("all")
    for command in ("CLIENT SETNAME exporter", "SLOWLOG GET 1", "SLOWLOG LEN", "LATENCY LATEST", "LATENCY HISTOGRAM"):
        call(exporter, *command.split())
    for command in ("GET key", "SET key value", "CONFIG GET *", "KEYS *", "SLOWLOG RESET", "CLIENT LIST", "ACL SETUSER system", "SHUTDOWN"):
        with pytest.raises(redis.exceptions.NoPermissionError):
            call(exporter, *command.split())


@pytest.mark.parametrize("password", [None, "", "\n", "\n\n"], ids=["missing", "empty", "newline", "newlines"])
def test_without_a_password_nothing_starts(pod: Pod, password: str | None) -> None:
    pod.credentials(password=password, previous="before")
    started = pod.start()
    assert started.wait() != 0
    assert "/credentials/password" in started.output
    assert not (pod.folder / "run" / "server.conf").exists()


@pytest.mark.parametrize(
    ("written", "password"),
    [
        ("secret\n", "secret"),
        (" a b ", " a b "),
        ("""'"`""", """'"`"""),
        ("$HOME${PATH}$(id)", "$HOME${PATH}$(id)"),
        ("%s%d%%\\n\\\\", "%s%d%%\\n\\\\"),
        ("-n >#* ~ +@all", "-n >#* ~ +@all"),
        ("pässwörd→🔑", "pässwörd→🔑"),
    ],
    ids=["newline", "spaces", "quotes", "dollar", "percent-backslash", "acl-syntax", "unicode"],
)
def test_any_character_of_a_password_is_taken_as_it_is(pod: Pod, written: str, password: str) -> None:
    pod.credentials(password=written)
    pod.serve()
    assert pod.accepts(password)
    assert not pod.accepts(password[:-1])
    done = pod.run("await-password.sh", ADDRESSES="primary:6379")
    assert (done.returncode, done.stdout) == (0, "primary:6379 accepts the password\n")


def test_any_text_is_a_password(pod: Pod) -> None:
    pod.serve()

    @settings(max_examples=15, deadline=None, database=None)
    @given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\n"), min_size=1))
    @example("\r")
    @example("\x7f\t\x1b")
    def accepted(password: str) -> None:
        pod.credentials(password=password)
        assert pod.probe("ready") == PASSES
        assert pod.accepts(password)

    accepted()


def test_no_password_is_an_argument_of_a_process_or_in_the_config_map(make: Makes) -> None:
    secrets = ("current-secret", "previous-secret", "system-secret")
    for pod, role in zip(make("primary", "replica"), ("primary", "replica"), strict=True):
        pod.credentials(password=secrets[0], previous=secrets[1], system=secrets[2])
        path, record = pod.record_arguments()
        server = pod.serve(role, path=path)
        pod.probe("alive", PATH=path)
        pod.credentials(password=secrets[1], previous=secrets[0])
        await_probe(pod, "ready", passes=True, PATH=path)
        assert pod.run("await-password.sh", ADDRESSES=f"{pod.name}:6379", PATH=path).returncode == 0
        arguments = record.read_text()
        # Else nothing would have been recorded, and nothing proved.
        for program in ("sha256sum", f"{pod.programs.engine}-cli", f"{pod.programs.engine}-server"):
            assert program in arguments
        process = Path("/proc", str(server.process.pid))
        texts = [arguments, *((process / file).read_text() for file in ("cmdline", "environ"))]
        texts += [file.read_text() for file in (pod.folder / "etc" / "config").iterdir()]
        assert [secret for secret in secrets for text in texts if secret in text] == []


def test_what_is_written_is_only_for_the_server(pod: Pod) -> None:
    pod.serve()
    written = [file for file in (pod.folder / "run").iterdir() if file.is_file()]
    assert {file.name: oct(file.stat().st_mode & 0o777) for file in written} == {"server.conf": "0o600", "accepted-6379": "0o600"}


# Replicas


def test_a_replica_follows_the_primary_also_after_a_restart(pair: tuple[Pod, Pod]) -> None:
    primary, replica = pair
    assert replica.connect().get("fruit") == "apple"
    with pytest.raises(redis.exceptions.ReadOnlyError):
        replica.connect().set("fruit", "nut")
    replica.server.end()
    replica.serve("replica")
    assert replica.info("role") == "slave"
    primary.connect().set("fruit", "pear")
    await_value(replica, "fruit", "pear")


def test_a_restarted_primary_has_its_data_and_its_replicas(pair: tuple[Pod, Pod]) -> None:
    primary, replica = pair
    primary.server.end()
    primary.serve()
    await_value(primary, "fruit", "apple")
    await_copy(replica)
    assert replica.connect().get("fruit") == "apple"


# A primary that lost its data


def test_a_primary_without_data_does_not_erase_its_replica(pair: tuple[Pod, Pod]) -> None:
    primary, replica = pair
    primary.lose_data()
    started = primary.start()
    assert started.wait() != 0
    assert "holds data" in started.output
    assert replica.address in started.output
    assert replica.connect().get("fruit") == "apple"


def test_each_replica_counts(make: Makes) -> None:
    primary, *replicas = make("primary", "replica-0", "replica-1")
    primary.serve()
    for replica in replicas:
        replica.serve("replica")
        await_copy(replica)
    primary.lose_data()
    call(replicas[1].connect(), "REPLICAOF", "NO", "ONE")
    replicas[1].connect().set("fruit", "apple")
    started = primary.start()
    assert started.wait() != 0
    assert replicas[1].address in started.output
    assert replicas[0].address not in started.output


@pytest.mark.parametrize(("before", "after"), [("rdb", "aof"), ("aof", "rdb"), ("rdb", "aof+rdb")])
def test_a_primary_does_not_ignore_what_another_persistence_has_kept(pod: Pod, before: str, after: str) -> None:
    pod.serve(persistence=before)
    pod.connect().set("fruit", "apple")
    pod.server.end()
    started = pod.start(persistence=after)
    assert started.wait() != 0
    assert "it would start empty" in started.output
    pod.serve(persistence=before)
    await_value(pod, "fruit", "apple")


def test_a_primary_without_data_does_not_take_a_silent_replica_for_an_empty_one(pair: tuple[Pod, Pod]) -> None:
    primary, replica = pair
    primary.lose_data()
    replica.server.process.send_signal(SIGSTOP)
    started = primary.start()
    assert started.wait() != 0
    assert f"{replica.address} does not say whether it holds data" in started.output


def test_a_primary_without_data_does_not_start_while_names_do_not_resolve(pair: tuple[Pod, Pod]) -> None:
    primary, _ = pair
    primary.lose_data()
    started = primary.begin("start.sh", ROLE="primary", DATA_FILE="appendonlydir", PEERS="nowhere")
    assert started.wait(20) != 0
    assert "nowhere does not resolve" in started.output


def test_a_primary_without_data_starts_when_its_replica_is_emptied_as_the_message_says(pair: tuple[Pod, Pod]) -> None:
    primary, replica = pair
    primary.lose_data()
    started = primary.start()
    assert started.wait() != 0
    client = replica.connect()
    advice = started.output.partition("on the replica: ")[2]
    for command in advice.split(";"):
        call(client, *command.split())
    primary.serve()
    primary.connect().set("fruit", "pear")
    await_value(replica, "fruit", "pear")
    await_probe(replica, "ready", passes=True)


def test_a_primary_without_data_starts_when_its_replica_has_none(make: Makes) -> None:
    primary, replica = make("primary", "replica")
    primary.serve()
    replica.serve("replica")
    await_copy(replica)
    primary.lose_data()
    primary.serve()


@pytest.mark.parametrize("persistence", ["aof", "rdb", "aof+rdb"])
def test_a_primary_with_data_starts_beside_its_replica(pair: tuple[Pod, Pod], persistence: str) -> None:
    primary, replica = pair
    primary.server.end()
    primary.lose_data()
    replica.server.end()
    primary.serve(persistence=persistence)
    primary.connect().set("fruit", "pear")
    replica.serve("replica", persistence=persistence)
    await_value(replica, "fruit", "pear")
    primary.server.end()
    primary.serve(persistence=persistence)
    await_value(primary, "fruit", "pear")


def test_a_primary_that_keeps_nothing_starts_beside_any_replica(pair: tuple[Pod, Pod]) -> None:
    primary, _ = pair
    primary.lose_data()
    primary.serve(persistence="none")


def test_a_replica_without_data_starts(pair: tuple[Pod, Pod]) -> None:
    _, replica = pair
    replica.lose_data()
    replica.serve("replica")
    await_value(replica, "fruit", "apple")
