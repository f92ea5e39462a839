"""What every cache exports and every consumer takes: how to reach it, the same in a pod or in a cloud."""

from collections.abc import Callable, Sequence
from typing import Any, NotRequired, TypedDict, cast

import pulumi

from pulumi_caches.arguments import Arguments


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
    auth: NotRequired[str]
    """iam, entra or none; absent with a password."""
    tls: bool
    """Whether the port speaks TLS."""
    ca_pem: NotRequired[str]
    """Certificate authority to trust, where it is not a public one."""
    provider: str
    """kubernetes, aws, azure or gcp."""
    region: NotRequired[str]
    """The cloud's region."""


def when_ready(
    connect: Callable[..., Connection],
    parts: Sequence[pulumi.Input[str] | pulumi.Output[str | None] | None],
    ready: Sequence[pulumi.Resource],
) -> pulumi.Output[Connection]:
    """What `connect` makes of the parts, such as namespace and password; secret, and known once all of `ready` are made."""
    # One secret part makes the whole one. Output.secret around it would too, and make an Output of each value on the way.
    secret = pulumi.Output.secret(None)
    known = pulumi.Output.all(*parts, secret, *[resource.urn for resource in ready])
    return known.apply(lambda values: connect(*values[: len(parts)]))


def read_connection(arguments: Arguments, key: str, problem: Callable[[Connection], str]) -> pulumi.Input[Connection]:
    """A cache's connection. A plain one is refused at once when `problem` says why; an Output is for who gets to know it."""
    connection: Any = arguments.value(key, None)
    if isinstance(connection, dict):
        if said := problem(cast("Connection", connection)):
            # Without its value: it holds the password.
            arguments.refuse(key, said, shown=False)
    elif not isinstance(connection, pulumi.Output):
        arguments.refuse(key, "must be what a cache's component exports as connection")
    return cast("pulumi.Input[Connection]", connection)
