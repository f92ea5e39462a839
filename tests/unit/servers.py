"""Pods without a cluster: the scripts and real servers, each in its own network and with the files it has in its pod.

Where it can be, a pod is a Debian with Redis and Valkey that can't be written, run by the user that it has in the cluster.
A pod's network and mounts are held by a process that waits for the end of its input. They are nowhere mounted and have no
name, so that nothing is left of them when the test's process ends, however it does.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import redis
from availability import unavailable
from certificates import Certified
from common.console import Failure
from common.waiting import until
from embedded import rootfs
from pulumi_caches.arguments import Arguments
from pulumi_caches.kubernetes import redis_conf
from pulumi_caches.kubernetes.pod import SCRIPTS, SENTINEL_SCRIPTS, USER, config_files
from pulumi_caches.kubernetes.server import Server, ServerArgs, read_server
from redis.backoff import NoBackoff
from redis.retry import Retry

PASSWORD = "the-password"
SYSTEM_PASSWORD = "the-system-password"
# As components make it of the system user's.
EXPORTER_PASSWORD = hashlib.sha256(f"exporter:{SYSTEM_PASSWORD}".encode()).hexdigest()
HEADLESS = "headless"
AnyPod = TypeVar("AnyPod", bound="Pod")
NAMESPACE = "shop"
_SWITCH = "switch"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Its arguments: the Debian and the pod's folder.
_MAKE_ROOT = r"""
set -e
mount --bind "$1" "$1"
mount --options remount,bind,ro "$1"
mount --types overlay --options "ro,lowerdir=$2/overlay:$1/etc" overlay "$1/etc"
mount --bind "$2/etc" "$1/etc/cache"
mount --types tmpfs tmpfs "$1/run"
mkdir "$1/run/cache"
mount --bind "$2/run" "$1/run/cache"
mount --bind "$2/data" "$1/data"
mount --types proc proc "$1/proc"
exec chroot "$1" sh -c 'echo held; exec cat'
"""
_SHARE_ROOT = 'set -e; mount --bind "$2/overlay/hosts" /etc/hosts; cd /; echo held; exec cat'


@dataclass(frozen=True)
class Programs:
    """An engine's programs: those of a Debian in a folder, or this machine's."""

    engine: str
    root: Path | None

    @property
    def path(self) -> str:
        """Where they are found."""
        return _PATH if self.root else os.environ["PATH"]

    def all(self) -> dict[str, str]:
        """The programs that a script could call, and where it would find them."""
        found: dict[str, str] = {}
        for folder in reversed(self.path.split(":")):
            here = (self.root or Path("/")) / folder.lstrip("/")
            found |= {program.name: f"{folder}/{program.name}" for program in (here.iterdir() if here.is_dir() else ())}
        return found


@cache
def find_programs(engine: str) -> Programs:
    """Prefers the Debian: its versions and shell are known."""
    reason = "it takes root to use another Debian's"
    if os.geteuid() == 0:
        try:
            return Programs(engine, rootfs.folder())
        except (Failure, OSError) as problem:
            reason = f"no Debian to take them from: {problem}"
    own = [engine] if engine in ("memcached", "promtool") else [f"{engine}-server", f"{engine}-cli"]
    missing = [program for program in (*own, "nsenter", "ip") if not shutil.which(program)]
    if missing:
        unavailable(f"{', '.join(missing)} not found, and {reason}")
    return Programs(engine, None)


def call(client: redis.Redis, *words: str) -> Any:
    """Runs a command, word by word; for those that the client has no typed method for."""
    return client.execute_command(*words)  # type: ignore[no-untyped-call]


def send(client: redis.Redis, *words: str) -> None:
    """Sends a command and does not wait for its answer."""
    assert client.connection is not None
    client.connection.send_command(*words)  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Script:
    """A running script, or the server that it became."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self.log.read_text(errors="replace")

    def await_output(self, text: str, seconds: float = 10) -> None:
        """Waits until it has printed the text."""
        assert until(lambda: text in self.output, seconds, every=0.01), f"{text!r} not in: {self.output}"

    def wait(self, seconds: float = 10) -> int:
        """Its exit code."""
        return self.process.wait(seconds)

    def started(self) -> list[int]:
        """The processes that it has started and not become."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(child) for child in children.read_text().split()] if children.exists() else []

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Sends a signal, unless it has ended, and waits until it has. Killed, it takes along what it has started, as a container does."""
        children = self.started() if number is signal.SIGKILL else []
        if self.process.poll() is None:
            self.process.send_signal(number)
        assert until(lambda: self.process.poll() is not None, 10, every=0.01), self.output
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


class Pod:
    """A pod's files, its network and what runs in it."""

    def __init__(self, programs: Programs, folder: Path, address: str, hosts: str, network: Network) -> None:
        self.name = folder.name
        self.address = address
        self.programs = programs
        self.folder = folder
        self.network = network
        self.role = "primary"
        self.announce = "address"
        # What only a topology knows.
        self.replication = {"repl-backlog-size": "1mb", "min-replicas-to-write": "0"}
        self.server: Script
        self.tls: Path | None = None
        """Folder of the certificate."""
        self._closing = ExitStack()
        for path in ("etc/config", "etc/credentials", "run", "data", "overlay/cache"):
            (folder / path).mkdir(parents=True)
        (folder / "overlay" / "hosts").write_text(hosts)
        if programs.root:
            for path in ("run", "data"):
                os.chown(folder / path, USER, USER)
        self.credentials(password=PASSWORD, system=SYSTEM_PASSWORD)
        self.configure()
        self._holder = self._closing.enter_context(network.hold_pod(programs, folder))
        network.plug_in(self.name, self._holder, address)

    def close(self) -> None:
        """Ends all that runs in it."""
        self._closing.close()

    @property
    def known_as(self) -> str:
        """What other members of a group call it."""
        return f"{self.name}.{NAMESPACE}.svc" if self.announce == "hostname" else self.address

    def credentials(self, **passwords: str | bytes | None) -> None:
        """Writes `password`, `previous` and `system` as the mounted Secret has them; None removes one."""
        for key, password in passwords.items():
            file = self.folder / "etc" / "credentials" / {"previous": "previous-password", "system": "system-password"}.get(key, key)
            if password is None:
                file.unlink(missing_ok=True)
                continue
            self._mount(file, password.encode() if isinstance(password, str) else password)

    def certify(self, certificate: Certified) -> None:
        """Writes the certificate as the mounted Secret has it: all speak TLS from the next start on."""
        self.tls = self.folder / "etc" / "tls"
        self.tls.mkdir(exist_ok=True)
        for name, content in certificate.files().items():
            self._mount(self.tls / name, content.encode())

    def _mount(self, file: Path, content: bytes) -> None:
        # Replaced, as a kubelet does: a script never reads half of it.
        written = self.folder / "written"
        written.write_bytes(content)
        written.chmod(0o440)
        if self.programs.root:
            os.chown(written, 0, USER)
        written.rename(file)

    def configure(self, **arguments: Any) -> Server:
        """Writes the ConfigMap's files for the component's arguments."""
        # Tests connect by the socket: they are in no pod's network. The other line spares them a wait for more replicas.
        ours = [f"unixsocket {self._inside('run', '/run/cache')}/socket", "repl-diskless-sync-delay 0"]
        arguments = {"engine": self.programs.engine, **arguments, "extra_config": [*ours, *arguments.get("extra_config", [])]}
        reader = Arguments("Test", "cache", 63, arguments, ServerArgs)
        server = read_server(reader)
        reader.finish()
        rendered = redis_conf.render(server, self.replication)
        rendered = rendered.replace("dir /data\n", f"dir {self._inside('data', '/data')}\n")
        for name, content in config_files(rendered, (*SCRIPTS, *SENTINEL_SCRIPTS)).items():
            (self.folder / "etc" / "config" / name).write_text(content)
        return server

    def start(self, role: str = "primary", *, path: str = "", **arguments: Any) -> Script:
        """Runs start.sh, with the component's arguments and perhaps another search path for programs."""
        self.role = role
        server = self.configure(**arguments)
        environment = {"DATA_FILE": server.data_file}
        if path:
            environment["PATH"] = path
        self.server = self.begin("start.sh", **environment)
        return self.server

    def serve(self, role: str = "primary", **arguments: Any) -> Script:
        """Runs start.sh and waits until the server answers."""
        server = self.start(role, **arguments)
        assert until(lambda: server.process.poll() is not None or self._answers(), 10, every=0.01), server.output
        assert server.process.poll() is None, server.output
        return server

    def lose_data(self) -> None:
        """Kills the server and empties its volume."""
        self.server.end(signal.SIGKILL)
        for content in (self.folder / "data").iterdir():
            shutil.rmtree(content) if content.is_dir() else content.unlink()

    def begin(self, script: str, *arguments: str, **environment: str) -> Script:
        """Runs a script in the background; it ends with the pod."""
        log = self.folder / f"{script}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self._command(script, *arguments),
                env=self._environment(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        running = Script(process, log)
        self._closing.callback(running.end, signal.SIGKILL)
        return running

    def run(self, script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs a script to its end."""
        command, variables = self._command(script, *arguments), self._environment(environment)
        return subprocess.run(command, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)

    def cli(self, *words: str, port: int = 6379, user: str = "system", password: str = SYSTEM_PASSWORD) -> str:
        """What the server or sentinel in the pod answers."""
        variables = self._environment({"REDISCLI_AUTH": password})
        trust = ["--tls", "--cacert", f"{self._inside('etc', '/etc/cache')}/tls/ca.crt"] if self.tls else []
        command = self._entering(f"{self.programs.engine}-cli", *trust, "--user", user, "-p", str(port), *words)
        done = subprocess.run(command, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
        return (done.stdout + done.stderr).strip()

    def beside(self, *words: str) -> list[str]:
        """A command of this machine's, run in the pod's network."""
        return [*self.network.entering(self._holder), *words]

    def probe(self, kind: str, **environment: str) -> str:
        """Nothing when probe.sh passes, else what it says."""
        done = self.run("probe.sh", kind, **environment)
        if done.returncode == 0:
            return ""
        return done.stderr.strip() or f"ended with {done.returncode} and said nothing"

    def connect(self, password: str | None = PASSWORD, user: str = "default", seconds: float = 10) -> redis.Redis:
        """A client with one connection, which it neither retries nor makes anew."""
        client = redis.Redis(
            unix_socket_path=str(self.folder / "run" / "socket"),
            username=user if password is not None else None,
            password=password,
            decode_responses=True,
            protocol=2,
            socket_timeout=seconds,
            retry=Retry(NoBackoff(), 0),
            single_connection_client=True,
            driver_info=None,  # else it sends commands of its own, which not everybody may
        )
        self._closing.callback(client.close)
        return client

    def accepts(self, password: str | None, user: str = "default") -> bool:
        """Whether a new connection with that password, or without one, can do anything."""
        client = self.connect(None)
        try:
            if password is not None:
                call(client, "AUTH", user, password)
            return bool(client.ping())
        except redis.AuthenticationError:
            return False
        finally:
            client.close()

    def info(self, field: str, password: str = PASSWORD) -> str:
        """A field of INFO."""
        report: dict[str, Any] = self.connect(password).info()
        return str(report.get(field))

    def await_info(self, field: str, value: str, seconds: float = 15) -> None:
        """Waits until INFO has a field so."""
        assert until(lambda: self.info(field) == value, seconds, every=0.02), f"{self.name}: {field} is {self.info(field)}"

    def record_arguments(self) -> tuple[str, Path]:
        """A search path of programs that note what they are called with, and the file where they do."""
        folder = self.folder / "data" / "bin"
        folder.mkdir()
        record = self._inside("data", "/data")
        for name, program in self.programs.all().items():
            script = folder / name
            script.write_text(f'#!/bin/sh\nprintf "%s " "$0" "$@" >>{record}/arguments\nexec {program} "$@"\n')
            script.chmod(0o755)
        arguments = self.folder / "data" / "arguments"
        arguments.touch()
        arguments.chmod(0o666)
        return f"{record}/bin:{self.programs.path}", arguments

    def _answers(self) -> bool:
        try:
            return bool(self.connect(None).ping())
        except (redis.AuthenticationError, redis.BusyLoadingError):
            return True
        except redis.ConnectionError:
            return False

    def _inside(self, folder: str, mounted: str) -> str:
        """Where a script finds one of the pod's folders."""
        return mounted if self.programs.root else str(self.folder / folder)

    def _environment(self, more: dict[str, str]) -> dict[str, str]:
        environment = {
            "PATH": self.programs.path,
            "ENGINE": self.programs.engine,
            "ROLE": self.role,
            "POD": self.name,
            "NAMESPACE": NAMESPACE,
            "ANNOUNCE": self.announce,
            "PRIMARY_HOST": "primary",
            "PEERS": HEADLESS,
            "MAX_STALE_SECONDS": "60",
        }
        if not self.programs.root:
            environment |= {f"CACHE_{folder.upper()}": str(self.folder / folder) for folder in ("etc", "run", "data")}
        return environment | more

    def _command(self, script: str, *arguments: str) -> list[str]:
        return self._entering("sh", f"{self._inside('etc', '/etc/cache')}/config/{script}", *arguments)

    def _entering(self, *words: str) -> list[str]:
        # As in the pod: no privilege, and no way to get one. The server ends with the test's process.
        unprivileged = ["setpriv", "--pdeathsig=KILL", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"]
        if self.programs.root:
            unprivileged += [f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
        return [*self.network.entering(self._holder, "--mount", "--root", "--wd"), *unprivileged, *words]


class Network:
    """A switch that pods are plugged into."""

    def __init__(self) -> None:
        # Without root, a user namespace of which one is root; all pods are in it.
        self._owned = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        self._switch: subprocess.Popen[str]

    @contextmanager
    def up(self) -> Iterator[Network]:
        """Makes the switch."""
        with _hold(["unshare", *self._owned, "--net", "sh", "-c", "echo held; exec cat"]) as self._switch:
            self._ip(self._switch, f"link add {_SWITCH} type bridge", f"link set {_SWITCH} up")
            yield self

    @contextmanager
    def hold_pod(self, programs: Programs, folder: Path) -> Iterator[subprocess.Popen[str]]:
        """A network and the mounts of a pod."""
        make_root = _MAKE_ROOT if programs.root else _SHARE_ROOT
        command = ["unshare", "--net", "--mount", "sh", "-c", make_root, "sh", str(programs.root), str(folder)]
        with _hold([*self.entering(self._switch), *command]) as holder:
            yield holder

    def plug_in(self, name: str, pod: subprocess.Popen[str], address: str) -> None:
        """Gives a pod its address."""
        self._ip(
            self._switch,
            f"link add {name} type veth peer name eth0 netns {pod.pid}",
            f"link set {name} master {_SWITCH} up",
        )
        length = "64 nodad" if ":" in address else "24"
        self._ip(pod, "link set lo up", f"address add {address}/{length} dev eth0", "link set eth0 up")

    def entering(self, space: subprocess.Popen[str], *more: str) -> list[str]:
        """What to put before a command that shall run in the network of the process."""
        owned = ["--user", "--preserve-credentials"] if self._owned else []
        return ["nsenter", f"--target={space.pid}", *owned, "--net", *more, "--"]

    def _ip(self, space: subprocess.Popen[str], *commands: str) -> None:
        command = [*self.entering(space), "ip", "-batch", "-"]
        subprocess.run(command, input="\n".join(commands), text=True, check=True)


@contextmanager
def _hold(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/")
    with process:
        assert process.stdout is not None
        said = process.stdout.readline()
        if said != "held\n":
            process.kill()
            unavailable(f"no network of a test's own can be made: {said}{process.stdout.read()}")
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def pods_of(kind: type[AnyPod], programs: Programs, *names: str, network: str = "10.0.0.") -> Iterator[list[AnyPod]]:
    """Pods that know each other by name, and all of them by the name of the headless service; `network` begins their addresses."""
    addresses = {name: f"{network}{number}" for number, name in enumerate(names, start=1)}
    hosts = "127.0.0.1 localhost\n" + "".join(
        f"{address} {name} {name}.{NAMESPACE}.svc {HEADLESS}\n" for name, address in addresses.items()
    )
    # Directly in the machine's temporary folder: a socket's path has at most 108 characters.
    with tempfile.TemporaryDirectory(prefix="pods-") as folder, Network().up() as switch, ExitStack() as closing:
        made = []
        for name, address in addresses.items():
            pod = kind(programs, Path(folder, name), address, hosts, switch)
            closing.callback(pod.close)
            made.append(pod)
        yield made


# What makes the named pods of one network, for an engine that is chosen elsewhere.
Makes = Callable[..., list[Pod]]


def pods(programs: Programs, *names: str, network: str = "10.0.0.") -> AbstractContextManager[list[Pod]]:
    """Pods of Redis or Valkey."""
    return pods_of(Pod, programs, *names, network=network)
