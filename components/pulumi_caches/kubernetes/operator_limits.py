"""Which operators and modes there are, and what each of them can't do: refused in the preview, never silently ignored."""

from dataclasses import replace
from enum import StrEnum

from pulumi_caches.arguments import Arguments
from pulumi_caches.kubernetes.ot_operator import OPERATORS_LABELS
from pulumi_caches.kubernetes.server import Engine, Server, read_server


class Operator(StrEnum):
    """The operators that can be asked for a cache."""

    OT = "ot"
    """OT-CONTAINER-KIT/redis-operator."""
    VALKEY = "valkey"
    """valkey-io/valkey-operator."""


class OperatorMode(StrEnum):
    """How the servers work together."""

    CLUSTER = "cluster"
    """Shards, each with replicas."""
    SENTINEL = "sentinel"
    """One primary with replicas, and sentinels that choose another one when it fails."""


_ENGINES = {Operator.OT: Engine.REDIS, Operator.VALKEY: Engine.VALKEY}
_OF_MODE = {"shards": OperatorMode.CLUSTER, "sentinels": OperatorMode.SENTINEL, "sentinel_image": OperatorMode.SENTINEL}
# Beginnings of directives that the operators set for each server.
_OPERATORS_DIRECTIVES = ("cluster-announce-", "cluster-config-file", "tls-", "appendfilename", "pidfile", "shutdown-on-sigterm")


def read_operated_server(arguments: Arguments, operator: Operator) -> Server:
    """Reads and checks ServerArgs (but for `image`) for servers that an operator runs: it decides the engine."""
    server, engine = read_server(arguments), _ENGINES[operator]
    if arguments.given("engine") and server.engine is not engine:
        arguments.refuse("engine", f"operator {operator.value} runs {engine.value} only")
    if not server.persistent:
        arguments.refuse("persistence", "a restarted primary would be empty and would empty its replicas: choose rdb or aof")
    _refuse_directives(arguments, server, operator)
    return replace(server, engine=engine)


def refuse_unsupported(arguments: Arguments, operator: Operator, mode: OperatorMode, sentinels: int, labels: dict[str, str]) -> None:
    """Refuses what the operator or the mode can't do."""
    if operator is Operator.VALKEY and mode is OperatorMode.SENTINEL:
        arguments.refuse("mode", "operator valkey has no sentinels: choose cluster, or operator ot")
    if operator is Operator.VALKEY and not arguments.flag("evictable", True):
        arguments.refuse("evictable", "operator valkey always lets a drain evict one pod at a time")
    for key, needed in _OF_MODE.items():
        if arguments.given(key) and mode is not needed:
            arguments.refuse(key, f"needs mode {needed.value}")
    if arguments.given("databases") and mode is OperatorMode.CLUSTER:
        arguments.refuse("databases", "a cluster has only database 0")
    if sentinels % 2 == 0:
        arguments.refuse("sentinels", "must be odd: an even number outvotes no more failures than one less")
    if operator is Operator.OT:
        for label in OPERATORS_LABELS:
            if label in labels:
                arguments.refuse("labels", f"{label!r} is a label that the operator selects pods by")


def _refuse_directives(arguments: Arguments, server: Server, operator: Operator) -> None:
    names = [line.split(maxsplit=1)[0].lower() for line in server.extra_config if line.strip()]
    for line, name in zip(server.extra_config, names, strict=False):
        if name.startswith(_OPERATORS_DIRECTIVES):
            arguments.refuse("extra_config", f"{name} can't be set here: the operator sets it")
        elif operator is Operator.VALKEY and (names.count(name) > 1 or line.strip().lower() == name):
            arguments.refuse("extra_config", f"{line!r}: operator valkey takes one value for each directive")
