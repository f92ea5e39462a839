"""The scripts that run in the pods, against real Redis and Valkey servers in a network of their own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from signal import SIGKILL, SIGSTOP

import pytest
import redis
from embedded.waiting import until
from hypothesis import example, given, settings
from hypothesis import strategies as st
from unit.servers import PASSWORD, SYSTEM_PASSWORD, Pod, call, find_programs, pods, send

Makes = Callable[..., list[Pod]]
PASSES = ""


@pytest.fixture(params=["redis", "valkey"])
def make(request: pytest.FixtureRequest) -> Iterator[Makes]:
    """Makes the named pods of one network."""
    programs = find_programs(request.param)
    with ExitStack() as closing:
        yield lambda *names: closing.enter_context(pods(programs, *names))


@pytest.fixture
def pod(make: Makes) -> Pod:
    """A single pod, the primary's."""
    return make("primary")[0]


@pytest.fixture
def pair(make: Makes) -> tuple[Pod, Pod]:
    """A primary with data, and a replica that has it too."""
    primary, replica = make("primary", "replica")
    primary.serve()
    primary.connect().set("fruit", "apple")
    replica.serve("replica")
    await_copy(replica)
    return primary, replica


def await_copy(replica: Pod) -> None:
    """Waits until a replica has the primary's data, also on disk: before, it does not end when it is asked to."""
    replica.await_info("master_link_status", "up")
    replica.await_info("aof_rewrite_in_progress", "0")


def await_value(pod: Pod, key: str, value: str) -> None:
    """Waits until the pod's server has a key so."""
    client = pod.connect()
    assert until(lambda: client.get(key) == value, 10, every=0.02), f"{pod.name}: {key} is {client.get(key)!r}"


def await_probe(pod: Pod, kind: str, passes: bool, seconds: float = 10, **environment: str) -> str:
    """What probe.sh says once it passes, or does not."""
    said = ["nothing yet"]

    def as_wanted() -> bool:
        said.append(pod.probe(kind, **environment))
        return (said[-1] == PASSES) is passes

    assert until(as_wanted, seconds, every=0.05), said[-1]
    return said[-1]


# start.sh: the users and their passwords


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
    done = pod.run("await-password.sh", HOSTS="primary")
    assert (done.returncode, done.stdout) == (0, "primary accepts the password\n")


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
        assert pod.run("await-password.sh", HOSTS=pod.name, PATH=path).returncode == 0
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
    assert {file.name: oct(file.stat().st_mode & 0o777) for file in written} == {"server.conf": "0o600", "accepted": "0o600"}


# start.sh: replicas


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
    assert primary.connect().get("fruit") == "apple"
    await_copy(replica)
    assert replica.connect().get("fruit") == "apple"


# start.sh: a primary that lost its data


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
    assert pod.connect().get("fruit") == "apple"


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
    assert primary.connect().get("fruit") == "pear"


def test_a_primary_that_keeps_nothing_starts_beside_any_replica(pair: tuple[Pod, Pod]) -> None:
    primary, _ = pair
    primary.lose_data()
    primary.serve(persistence="none")


def test_a_replica_without_data_starts(pair: tuple[Pod, Pod]) -> None:
    _, replica = pair
    replica.lose_data()
    replica.serve("replica")
    await_value(replica, "fruit", "apple")


# probe.sh


def test_a_healthy_primary_is_alive_and_ready(pod: Pod) -> None:
    pod.serve()
    assert (pod.probe("alive"), pod.probe("ready")) == (PASSES, PASSES)


def test_a_healthy_replica_is_alive_and_ready(pair: tuple[Pod, Pod]) -> None:
    _, replica = pair
    assert (replica.probe("alive"), replica.probe("ready")) == (PASSES, PASSES)


def test_where_nothing_listens_it_is_neither_alive_nor_ready(pod: Pod) -> None:
    pod.serve().end()
    for kind in ("alive", "ready"):
        assert "Connection refused" in pod.probe(kind)


def test_a_stopped_server_is_not_alive_and_the_probe_does_not_hang(pod: Pod) -> None:
    pod.serve().process.send_signal(SIGSTOP)
    began = time.monotonic()
    assert pod.probe("alive") != PASSES
    # Below the 10 s that a kubelet gives it.
    assert time.monotonic() - began < 6


def test_while_data_is_loaded_it_is_alive_but_not_ready(pod: Pod) -> None:
    pod.serve(persistence="rdb")
    pod.connect().mset({f"key {number}": "x" * 100 for number in range(5000)})
    pod.server.end()
    # 10 s for all of it, with a look at the clients every few keys.
    pod.serve(persistence="rdb", extra_config=["key-load-delay 2000", "loading-process-events-interval-bytes 1024"])
    assert pod.probe("alive") == PASSES
    assert "loading" in pod.probe("ready")
    pod.connect().config_set("key-load-delay", 0)
    await_probe(pod, "ready", passes=True)


def test_while_a_script_blocks_the_server_it_is_alive_but_not_ready(pod: Pod) -> None:
    pod.serve(extra_config=["busy-reply-threshold 10"])
    send(pod.connect(), "EVAL", "while true do end", "0")
    other = pod.connect()

    def busy() -> bool:
        try:
            return not other.ping()
        except redis.ResponseError as refused:
            return "BUSY" in str(refused)

    assert until(busy, 5, every=0.01)
    assert pod.probe("alive") == PASSES
    assert "BUSY" in pod.probe("ready")
    other.script_kill()
    await_probe(pod, "ready", passes=True)


def test_with_all_connections_taken_it_is_alive(pod: Pod) -> None:
    pod.serve(max_clients=3)

    def full() -> bool:
        try:
            return not pod.connect().ping()
        except redis.ConnectionError as refused:
            return "max number of clients" in str(refused)

    assert until(full, 5, every=0.01)
    # More than once: how much of the refusal a client reads is a matter of luck.
    assert [pod.probe("alive") for _ in range(20)] == [PASSES] * 20


def test_a_server_that_knows_another_system_password_is_alive(pod: Pod) -> None:
    pod.serve()
    pod.credentials(system="another")
    assert pod.probe("alive") == PASSES
    assert pod.probe("ready") != PASSES


def test_a_replica_that_never_had_the_data_is_not_ready(make: Makes) -> None:
    _, replica = make("primary", "replica")
    replica.serve("replica")
    assert "has not copied" in replica.probe("ready")
    assert replica.probe("alive") == PASSES


def test_a_replica_that_lost_its_primary_is_ready_for_a_limited_time(pair: tuple[Pod, Pod]) -> None:
    primary, replica = pair
    primary.server.end(SIGKILL)
    replica.await_info("master_link_status", "down")
    assert replica.probe("ready", MAX_STALE_SECONDS="1") == PASSES
    assert "lost the primary" in await_probe(replica, "ready", passes=False, MAX_STALE_SECONDS="1")
    assert replica.probe("ready", MAX_STALE_SECONDS="60") == PASSES
    assert replica.probe("alive") == PASSES
    primary.serve()
    await_probe(replica, "ready", passes=True, MAX_STALE_SECONDS="1")


def test_a_server_in_another_role_is_not_ready(pair: tuple[Pod, Pod]) -> None:
    primary, replica = pair
    call(replica.connect(), "REPLICAOF", "NO", "ONE")
    assert "is a primary and should be a replica" in replica.probe("ready")
    call(primary.connect(), "REPLICAOF", replica.name, "6379")
    assert "is a replica and should be the primary" in primary.probe("ready")


def test_without_a_password_it_is_not_ready_and_keeps_the_ones_it_has(pod: Pod) -> None:
    pod.serve()
    for empty in ("", "\n", None):
        pod.credentials(password=empty)
        assert "/credentials/password" in pod.probe("ready")
        assert [pod.accepts(password) for password in (PASSWORD, "", None)] == [True, False, False]


# Rotation


class Writer:
    """A client that writes all the time, on one connection."""

    def __init__(self, pod: Pod) -> None:
        self._client = pod.connect()
        self._ended = threading.Event()
        self._problem: Exception | None = None
        self._thread = threading.Thread(target=self._write)
        self.written = 0

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def goes_on(self) -> bool:
        """Whether it wrote something after this was called."""
        before = self.written
        return until(lambda: self.written > before + 1 or self._problem is not None, 5, every=0.001) and self._problem is None

    def _write(self) -> None:
        try:
            while not self._ended.is_set():
                self._client.set("number", self.written)
                self.written += 1
        except redis.RedisError as problem:
            self._problem = problem


def test_passwords_rotate_without_disturbing_anybody(pair: tuple[Pod, Pod]) -> None:
    primary, replica = pair
    full_copies = primary.info("sync_full")
    with Writer(primary) as writer:
        assert writer.goes_on()

        for pod in pair:
            pod.credentials(password="new", previous=PASSWORD)
            assert pod.probe("ready") == PASSES
            assert [pod.accepts(password) for password in ("new", PASSWORD, "wrong", None)] == [True, True, False, False]
        assert writer.goes_on()

        for pod in pair:
            pod.credentials(previous=None)
            assert pod.probe("ready") == PASSES
            assert [pod.accepts(password) for password in ("new", PASSWORD, "wrong", None)] == [True, False, False, False]
            assert pod.accepts(SYSTEM_PASSWORD, "system")
        assert writer.goes_on()

    assert replica.info("master_link_status", "new") == "up"
    assert primary.info("sync_full", "new") == full_copies


def test_a_restarted_server_knows_the_rotated_passwords(pod: Pod) -> None:
    pod.serve()
    pod.credentials(password="new", previous=PASSWORD)
    assert pod.probe("ready") == PASSES
    pod.server.end()
    pod.serve()
    assert [pod.accepts(password) for password in ("new", PASSWORD, None)] == [True, True, False]
    pod.credentials(previous=None)
    assert pod.probe("ready") == PASSES
    assert [pod.accepts(password) for password in ("new", PASSWORD)] == [True, False]


def test_passwords_that_could_not_be_applied_are_tried_again(pod: Pod) -> None:
    pod.serve().end()
    pod.credentials(password="new")
    for _ in range(2):
        assert "passwords could not be changed" in pod.probe("ready")


# await-password.sh


def test_a_rotation_is_awaited_on_every_server(make: Makes) -> None:
    primary, replica, job = make("primary", "replica", "job")
    primary.serve()
    replica.serve("replica")
    await_copy(replica)
    for pod in (primary, job):
        pod.credentials(password="the-new-one", previous=PASSWORD)
    assert primary.probe("ready") == PASSES

    awaiting = job.begin("await-password.sh", HOSTS="primary replica")
    awaiting.await_output("primary accepts the password\n")
    awaiting.await_output("replica: ")
    assert awaiting.process.poll() is None

    replica.credentials(password="the-new-one", previous=PASSWORD)
    assert replica.probe("ready") == PASSES
    assert awaiting.wait() == 0
    assert awaiting.output.endswith("replica accepts the password\n")
    assert not any(secret in awaiting.output for secret in ("the-new-one", PASSWORD, SYSTEM_PASSWORD))


def test_a_server_that_is_not_there_yet_is_awaited(make: Makes) -> None:
    primary, job = make("primary", "job")
    awaiting = job.begin("await-password.sh", HOSTS="primary")
    awaiting.await_output("primary: ")
    primary.serve()
    assert awaiting.wait() == 0
