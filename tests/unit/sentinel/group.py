"""A SentinelGroup without a cluster: pods with a server, a sentinel and an agent each, started as in their containers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis
from common.waiting import until
from pulumi_caches.kubernetes.sentinel_pod import FAILOVER_TIMEOUT_MILLISECONDS, HANDOVER_SECONDS, SENTINEL_PORT
from unit.servers import NAMESPACE, SYSTEM_PASSWORD, Pod, Programs, Script, pods

GROUP = "cache"
# As SentinelGroup renders them.
REPLICATION = {"repl-backlog-size": "1mb", "min-replicas-to-write": "1", "min-replicas-max-lag": "3"}
DRIVER = Path(__file__).with_name("driver.py")


class Group:
    """Three members, of which nothing runs yet. Nothing restarts what has ended: tests do."""

    def __init__(self, members: Sequence[Pod], folder: Path, closing: ExitStack, announce: str = "address") -> None:
        self.pods = list(members)
        self.service = folder / "service"
        self._closing = closing
        self.sentinels: dict[Pod, Script] = {}
        self.agents: dict[Pod, subprocess.Popen[bytes]] = {}
        # Of who must not notice a hung master in a test.
        self.sentinels_down_after_milliseconds = 1000
        self.agents_down_after_seconds = 1.0
        for pod in self.pods:
            pod.replication = REPLICATION
            pod.announce = announce

    def begin(self, **arguments: Any) -> None:
        """Starts everything, without waiting for a master."""
        for pod in self.pods:
            self.start_server(pod, **arguments)
        for pod in self.pods:
            self.start_sentinel(pod)
            self.start_agent(pod)

    def serve(self, **arguments: Any) -> Pod:
        """Starts everything; the master, once the group has settled."""
        self.begin(**arguments)
        return self.await_settled()

    def start_server(self, pod: Pod, **arguments: Any) -> Script:
        return pod.start("member", **arguments)

    def start_sentinel(self, pod: Pod, **environment: str) -> Script:
        self.sentinels[pod] = pod.begin("start-sentinel.sh", **{**self.sentinel_environment(), **environment})
        return self.sentinels[pod]

    def sentinel_environment(self) -> dict[str, str]:
        """Of the sentinel's container."""
        return {
            "GROUP": GROUP,
            "MEMBERS": str(len(self.pods)),
            "QUORUM": str(len(self.pods) // 2 + 1),
            "CACHE_PORT": str(SENTINEL_PORT),
            "DOWN_AFTER_MILLISECONDS": str(self.sentinels_down_after_milliseconds),
            "FAILOVER_TIMEOUT_MILLISECONDS": str(FAILOVER_TIMEOUT_MILLISECONDS),
            "HANDOVER_SECONDS": str(HANDOVER_SECONDS),
        }

    def start_agent(self, pod: Pod) -> None:
        folders = {"run": str(pod.folder / "run"), "data": str(pod.folder / "data")}
        given = {**self._given(), "own": self.pods.index(pod), "down_after_seconds": self.agents_down_after_seconds, **folders}
        with (pod.folder / "agent.log").open("ab") as log:
            words = pod.beside("setpriv", "--pdeathsig=KILL", sys.executable, str(DRIVER), "agent", json.dumps(given))
            agent = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.agents[pod] = agent
        self._closing.callback(end, agent)

    def stop_agents(self) -> None:
        """Kills them, so that only what a test does itself is done."""
        for agent in self.agents.values():
            end(agent)

    def restart_server(self, pod: Pod, **arguments: Any) -> None:
        """As the kubelet does with a container that ended."""
        pod.server.end(signal.SIGKILL)
        self.start_server(pod, **arguments)

    def replace_master(self, master: Pod) -> None:
        """Kills the master's server, and starts it again when another one is the master."""
        master.server.process.kill()
        assert until(lambda: self.shown() is not master, 20, every=0.01), self.logs()
        self.restart_server(master)

    def kill_all(self) -> None:
        """Ends all servers, sentinels and agents, as if the power had failed everywhere."""
        for pod in self.pods:
            pod.server.process.kill()
        for pod in self.pods:
            pod.server.end(signal.SIGKILL)
            self.sentinels[pod].end(signal.SIGKILL)
            end(self.agents[pod])

    def drive(self, command: str, beside: int = 0, seconds: float = 60, **given: Any) -> Any:
        """What a command of the driver gives, run in the network of a pod."""
        words = self.pods[beside].beside(sys.executable, str(DRIVER), command, json.dumps({**self._given(), **given}))
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, env=dict(os.environ))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def shown(self) -> Pod | None:
        """The pod that the master's Service leads to."""
        name = self.service.read_text() if self.service.exists() else ""
        return next((pod for pod in self.pods if pod.name == name), None)

    def roles(self) -> dict[str, str]:
        """Of each server that answers: `master`, or what it follows, with `?` while the link is down."""
        found = {}
        for pod in self.pods:
            try:
                with pod.connect(seconds=1) as client:
                    info: dict[str, Any] = client.info("replication")
            except redis.RedisError:
                continue
            link = "" if info.get("master_link_status") == "up" else "?"
            found[pod.name] = "master" if info["role"] == "master" else f"{info['master_host']}{link}"
        return found

    def named(self) -> dict[str, str]:
        """Whom each sentinel names as the master."""
        return {pod.name: pod.cli("sentinel", "get-master-addr-by-name", GROUP, port=SENTINEL_PORT).split("\n")[0] for pod in self.pods}

    def await_settled(self, seconds: float = 40) -> Pod:
        """The master, once there is one, all others follow it, all sentinels name it and the Service leads to it."""

        def settled() -> bool:
            master, roles = self.shown(), self.roles()
            if master is None or roles != {pod.name: "master" if pod is master else master.known_as for pod in self.pods}:
                return False
            return set(self.named().values()) == {master.known_as}

        assert until(settled, seconds, every=0.1), f"{self.roles()}\n{self.named()}\n{self.logs()}"
        master = self.shown()
        assert master is not None
        return master

    def others(self, pod: Pod) -> list[Pod]:
        return [other for other in self.pods if other is not pod]

    def logs(self) -> str:
        """What all agents and sentinels have said."""
        agents = [f"{pod.name}: {file.read_text()}" for pod in self.pods if (file := pod.folder / "agent.log").exists()]
        return "\n".join([*agents, *(f"{pod.name}, sentinel: {sentinel.output}" for pod, sentinel in self.sentinels.items())])

    def _given(self) -> dict[str, Any]:
        return {
            "group": GROUP,
            "addresses": [pod.known_as for pod in self.pods],
            "hosts": [pod.address for pod in self.pods],
            "password": SYSTEM_PASSWORD,
            "service": str(self.service),
            "ca_file": str(self.pods[0].tls / "ca.crt") if self.pods[0].tls else None,
        }


@contextmanager
def group(programs: Programs, members: int = 3, network: str = "10.0.0.", announce: str = "address") -> Iterator[Group]:
    """The pods of a group; `network` begins their addresses, and `announce` is as in the component."""
    names = [f"{GROUP}-{ordinal}" for ordinal in range(members)]
    with pods(programs, *names, network=network) as made, ExitStack() as closing:
        yield Group(made, made[0].folder.parent, closing, announce)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kills a process that may have ended."""
    process.kill()
    process.wait()


def empty(folder: Path) -> None:
    """Removes what is in a volume."""
    for content in folder.iterdir():
        shutil.rmtree(content) if content.is_dir() else content.unlink()


__all__ = ["GROUP", "NAMESPACE", "Group", "empty", "end", "group"]
