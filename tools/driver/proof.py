"""Shows that what was deployed works: a value written through the Service is still there after the pod was restarted."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from common.console import Failure, say, step, table
from common.waiting import until

from driver import memcached_proof
from driver.stack import Stack, connections, words

KEY = "pulumi-caches:proof"
# A restarted pod loads its data and is found by its Service again.
RESTART_SECONDS = 180


@dataclass(frozen=True)
class _Cache:
    """One deployed cache, by what its connection says."""

    name: str
    namespace: str
    pod: str
    engine: str
    connection: dict[str, Any]

    @property
    def operated(self) -> bool:
        """Whether an operator runs it, in which things have other names and a restart is the operator's matter."""
        mode = self.connection["mode"]
        ours = mode == "standalone" or self.connection.get("master_name") == self.name or self.pod == f"{self.name}-0-0"
        return self.engine in ("redis", "valkey") and not ours

    @property
    def service(self) -> str:
        """The Service that leads to who takes writes."""
        return self.connection["host"].split(".")[0] if self.operated else self.name


def prove(stack: Stack, changes: dict[str, int]) -> None:
    """Writes, restarts and reads after something was created; otherwise only reads what is there, and disturbs nothing."""
    caches = _caches(stack)
    for cache in caches:
        if cache.engine == "memcached":
            memcached_proof.prove(stack, cache.name, cache.namespace, cache.connection, restart=bool(changes.get("create")))
        elif changes.get("create") and cache.operated:
            _prove_service(stack, cache)
        elif changes.get("create"):
            _prove_restart(stack, cache)
        elif value := _command(stack, cache, cache.service, "GET", KEY):
            say(f"{cache.name}: serves the value written when it was made ({value})")
        else:
            say(f"{cache.name}: serves (the value written when it was made has been removed since)")


def describe(stack: Stack) -> str:
    """How to connect, for a person."""
    caches = _caches(stack)
    rows = [
        (
            cache.name,
            cache.engine,
            f"{cache.connection['host']}:{cache.connection['port']}",
            f"{cache.connection['reader_host']}:{cache.connection['reader_port']}" if "reader_host" in cache.connection else "-",
        )
        for cache in caches
    ]
    lines = [table(rows, header=("CACHE", "ENGINE", "WRITES", "READS"))]
    if first := next((cache for cache in caches if cache.engine != "memcached"), None):
        shell = words(stack, ["-n", first.namespace, "exec", "-it", first.pod, "--", "sh", "-c", f"'{_client(first, first.service)}'"])
        lines += ["", "A client's shell:", f"  {shell}", "The password:", f"  make password STACK={stack.name} CACHE={first.name}"]
    return "\n".join(lines)


def _prove_service(stack: Stack, cache: _Cache) -> None:
    value = secrets.token_hex(8)
    with step(f"{cache.name}: writing through the Service, reading back"):
        _command(stack, cache, cache.service, "SET", KEY, value)
        _await_value(stack, cache, cache.service, value)
    say(f"{cache.name}: serves what was written ({value})")


def _prove_restart(stack: Stack, cache: _Cache) -> None:
    value = secrets.token_hex(8)
    with step(f"{cache.name}: writing through the Service, restarting the pod, reading back"):
        _command(stack, cache, cache.name, "SET", KEY, value)
        pod = _serving_pod(stack, cache)
        for arguments in (
            ("delete", "pod", pod),
            ("rollout", "status", f"statefulset/{pod.rpartition('-')[0]}", f"--timeout={RESTART_SECONDS}s"),
        ):
            done = stack.kubectl("-n", cache.namespace, *arguments)
            if done.returncode:
                raise Failure(f"{cache.name}: `kubectl {' '.join(arguments)}` failed: {done.stderr.strip()}")
        _await_value(stack, cache, cache.name, value)
    say(f"{cache.name}: the value survived the restart ({value})")
    if "reader_host" in cache.connection:
        _await_value(stack, cache, f"{cache.name}-reader", value)
        say(f"{cache.name}: a read replica serves it too")


def _await_value(stack: Stack, cache: _Cache, host: str, value: str) -> None:
    def serves() -> bool:
        try:
            return _command(stack, cache, host, "GET", KEY) == value
        except Failure:
            return False

    if not until(serves, RESTART_SECONDS, every=0.5):
        raise Failure(f"{host} does not serve the value that was written before the restart")


def _command(stack: Stack, cache: _Cache, host: str, *command: str) -> str:
    # Run in the pod: it reaches the Service wherever the cluster is, and the password never leaves it.
    inside = (
        "-n",
        cache.namespace,
        "exec",
        cache.pod,
        *([] if cache.operated else ["-c", cache.engine]),
        "--",
        "sh",
        "-c",
        f'{_client(cache, host)} -e "$@"',  # -e: an error that the server replies is a failure
        "sh",
        *command,
    )
    done = stack.kubectl(*inside)
    if done.returncode:
        raise Failure(f"{cache.name}: {command[0]} through the Service {host} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()


def _client(cache: _Cache, host: str) -> str:
    # A cluster's client goes on to the node that has the key.
    follow = " -c" if cache.connection["mode"] == "cluster" else ""
    trust = " --tls --cacert /etc/cache/tls/ca.crt" if cache.connection["tls"] else ""
    password = "$REDIS_PASSWORD" if cache.operated else "$(cat /etc/cache/credentials/password)"
    return f"REDISCLI_AUTH={password} exec {cache.engine}-cli{trust}{follow} -h {host}"


def _serving_pod(stack: Stack, cache: _Cache) -> str:
    """The pod that takes the writes."""
    if cache.connection["mode"] != "sentinel":
        return cache.pod
    endpoint = "jsonpath={.endpoints[0].targetRef.name}"
    done = stack.kubectl("-n", cache.namespace, "get", "endpointslice", f"{cache.name}-master", "--output", endpoint)
    if done.returncode:
        raise Failure(f"{cache.name}: its master is not known: {done.stderr.strip()}")
    return done.stdout


def _caches(stack: Stack) -> list[_Cache]:
    return [
        _Cache(
            name=name,
            namespace=connection["host"].split(".")[-2],
            pod=next(iter(connection.get("nodes", [])), "").split(".")[0],
            engine=connection["engine"],
            connection=connection,
        )
        for name, connection in sorted(connections(stack).items())
    ]
