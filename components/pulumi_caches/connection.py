"""What every cache exports and every consumer takes: how to reach it, the same in a pod or in a cloud."""

from collections.abc import Callable, Sequence
from typing import Any, NotRequired, TypedDict, cast
from weakref import WeakKeyDictionary

import pulumi

from pulumi_caches.arguments import Arguments

# Of connections that a component has promised: known before the first deployment, when nothing else of them is.
_ENGINES: WeakKeyDictionary[pulumi.Output[Any], str] = WeakKeyDictionary()


class Connection(TypedDict):
    """How to reach one cache. Secret as a whole, because it holds the password."""

    engine: str
    """redis, valkey or memcached."""
    mode: str
    """standalone, sentinel, cluster or sharded."""
    host: str
    """Where writes go."""
    port: int
    """Where writes go."""
    reader_host: NotRequired[str]
    """Where reads that may be slightly old go; absent without read replicas."""
    reader_port: NotRequired[int]
    """Port of reader_host."""
    nodes: NotRequired[list[str]]
    """Every server as host:port, where a client may need them one by one."""
    sentinels: NotRequired[list[str]]
    """Every sentinel as host:port, in mode sentinel."""
    master_name: NotRequired[str]
    """What the sentinels call the group, in mode sentinel."""
    username: NotRequired[str]
    """ACL user; absent for the default user."""
    password: NotRequired[str]
    """Absent when `auth` says how to get in, or when manifests are only rendered and the password is in an existing Secret."""
    exporter_password: NotRequired[str]
    """Of the ACL user `exporter`, who may only ask how servers do; absent where there is no such user."""
    exporter_pods: NotRequired[dict[str, str]]
    """Labels of the servers' pods, where each has an exporter; absent where they have none."""
    auth: NotRequired[str]
    """iam, entra or none; absent with a password."""
    cache_name: NotRequired[str]
    """What a login by `auth` is for, as the cloud calls the cache."""
    serverless: NotRequired[bool]
    """Whether the cloud's cache has no nodes of its own, which a login by `auth` says."""
    tls: bool
    """Whether the port speaks TLS."""
    ca_pem: NotRequired[str]
    """Certificate authority to trust, where it is not a public one."""
    provider: str
    """kubernetes, aws, azure or gcp."""
    region: NotRequired[str]
    """The cloud's region."""
    purpose: NotRequired[str]
    """cache, session or queue; absent where nobody said what it is for."""


def when_ready(
    connect: Callable[..., Connection],
    engine: str,
    parts: Sequence[pulumi.Input[Any] | None],
    ready: Sequence[pulumi.Resource],
) -> pulumi.Output[Connection]:
    """What `connect` makes of the parts, such as namespace and password; secret, and known once all of `ready` are made."""
    # One secret part makes the whole one. Output.secret around it would too, and make an Output of each value on the way.
    secret = pulumi.Output.secret(None)
    known = pulumi.Output.all(*parts, secret, *[resource.urn for resource in ready])
    connection = known.apply(lambda values: connect(*values[: len(parts)]))
    _ENGINES[connection] = engine
    return connection


def host_of(connection: pulumi.Input[Connection]) -> pulumi.Output[str]:
    """Where a cache is; that is no secret."""
    return pulumi.Output.unsecret(pulumi.Output.from_input(connection).apply(lambda known: str(known.get("host", ""))))


def read_connection(
    arguments: Arguments,
    key: str,
    problem: Callable[[Connection], str],
    engine_problem: Callable[[str], str] = lambda engine: "",
) -> pulumi.Input[Connection]:
    """A cache's connection, refused when `problem` says why.

    An Output is for who gets to know it, but for its engine, where a component of this program has promised it.
    """
    connection: Any = arguments.value(key, None)
    said = ""
    if isinstance(connection, dict):
        said = problem(cast("Connection", connection))
    elif not isinstance(connection, pulumi.Output):
        arguments.refuse(key, "must be what a cache's component exports as connection")
    elif engine := _ENGINES.get(connection):
        said = engine_problem(engine)
    if said:
        # Without its value: it holds the password.
        arguments.refuse(key, said, shown=False)
    return cast("pulumi.Input[Connection]", connection)
