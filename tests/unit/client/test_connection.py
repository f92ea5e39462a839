"""What is a connection, and what is told of one that is none."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from caches_runtime.client import ConnectionRefusedError, connect, connect_async
from unit.client.processes import PASSWORD

GOOD: dict[str, Any] = {"engine": "redis", "mode": "standalone", "host": "cache.shop.svc", "port": 6379, "password": PASSWORD, "tls": False}
SENTINEL: dict[str, Any] = {**GOOD, "mode": "sentinel", "sentinels": ["10.0.0.1:26379"], "master_name": "cache"}
IAM: dict[str, Any] = {**GOOD, "tls": True, "auth": "iam", "provider": "aws", "username": "u", "cache_name": "c", "region": "r"}
MEMCACHED: dict[str, Any] = {"engine": "memcached", "mode": "sharded", "host": "m", "port": 11211, "nodes": ["m-0:11211"], "auth": "none"}
BAD: dict[str, tuple[Any, str]] = {
    "no mapping": (["redis"], "a connection is a mapping of fields, .* no list"),
    "empty": ({}, "engine: missing; give the whole connection"),
    "unknown mode": ({**GOOD, "mode": "ring"}, "mode: 'ring' is unknown; it is one of standalone, sentinel, cluster"),
    "unknown engine": ({**GOOD, "engine": "dragon"}, "engine: 'dragon' is unknown; it is one of redis, valkey, memcached"),
    "no host": ({**GOOD, "host": ""}, "host: missing"),
    "a host that is none": ({**GOOD, "host": 5}, "host: a int, where a text is needed"),
    "no port": ({**GOOD, "port": None}, "port: missing"),
    "port in parts": ({**GOOD, "port": 6379.5}, r"port: 6379\.5 is no port; it is a whole number from 1 to 65535"),
    "endless port": ({**GOOD, "port": float("inf")}, "port: inf is no port"),
    "text as port": ({**GOOD, "port": "6379"}, "port: '6379' is no port"),
    "truth as port": ({**GOOD, "port": True}, "port: True is no port"),
    "port too large": ({**GOOD, "port": 70000}, "port: 70000 is no port"),
    "no password": ({**GOOD, "password": None}, "password: missing; give it, or `credentials`, or auth = none"),
    "a secret that is not shown": (
        {**GOOD, "password": {"4dabf18193072939515e22adb298388d": "x"}},
        "password: a dict, .* shown with its secrets",
    ),
    "a login that is none": ({**GOOD, "auth": "kerberos"}, "auth: 'kerberos' is unknown; it is one of iam, entra, none"),
    "a login of no cloud": ({**GOOD, "auth": "iam", "provider": "kubernetes"}, "provider: 'kubernetes' has no login by auth = iam"),
    "a token in the clear": ({**GOOD, "auth": "iam", "provider": "aws"}, "tls: must be true with auth = iam"),
    "IAM without a user": ({**IAM, "username": None}, "username: missing; a login by IAM at ElastiCache needs it"),
    "IAM without the cache": ({**IAM, "cache_name": None}, "cache_name: missing"),
    "IAM without a region": ({**IAM, "region": ""}, "region: missing"),
    "a cloud's login of Memcached": ({**MEMCACHED, "auth": "iam"}, "auth: 'iam' is no login of Memcached"),
    "Memcached as a cluster": ({**MEMCACHED, "mode": "cluster"}, "mode: 'cluster' is unknown; it is one of sharded, standalone"),
    "no shards": ({**MEMCACHED, "nodes": []}, "nodes: missing or empty; mode sharded needs"),
    "TLS that is no truth": ({**GOOD, "tls": "yes"}, "tls: 'yes' is neither true nor false"),
    "authority that is none": ({**GOOD, "tls": True, "ca_pem": "no certificate"}, "ca_pem: it has no certificate in PEM"),
    "a group without sentinels": ({**SENTINEL, "sentinels": []}, "sentinels: missing or empty"),
    "a group without name": ({**SENTINEL, "master_name": None}, "master_name: missing"),
    "sentinels that are no list": ({**SENTINEL, "sentinels": "10.0.0.1:26379"}, "sentinels: '10.0.0.1:26379' is no list"),
    "a sentinel without port": ({**SENTINEL, "sentinels": ["10.0.0.1"]}, "sentinels: '10.0.0.1' is not HOST:PORT"),
    "a reader without port": ({**GOOD, "reader_host": "reader"}, "reader_port: missing"),
}


@pytest.mark.parametrize("make", [connect, connect_async])
@pytest.mark.parametrize(("given", "told"), BAD.values(), ids=list(BAD))
def test_a_connection_that_is_none_is_refused_with_what_is_wrong(make: Any, given: Any, told: str) -> None:
    with pytest.raises(ConnectionRefusedError, match=told) as caught:
        make(given)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("make", [connect, connect_async])
@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"repeat": ["SET"]}, "repeat: makes no sense for Memcached: no command of Memcached is sent twice"),
        ({"reader": True}, "reader: makes no sense for Memcached"),
        ({"decode_responses": True}, "decode_responses: makes no sense for Memcached"),
        ({"budget": 0}, "budget = 0: it is more than 0 seconds"),
    ],
)
def test_options_that_memcached_has_not_are_refused(make: Any, option: dict[str, Any], told: str) -> None:
    with pytest.raises(ConnectionRefusedError, match=told):
        make(MEMCACHED, **option)


@pytest.mark.parametrize("given", [GOOD, MEMCACHED])
def test_an_option_that_there_is_none_of_is_told_with_those_that_there_are(given: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"timeout: no such option; there are budget, .*name"):
        connect(given, timeout=3)


@pytest.mark.parametrize("budget", [0, -1, float("nan")])
def test_a_budget_is_more_than_nothing(budget: float) -> None:
    with pytest.raises(ConnectionRefusedError, match=r"budget = .* more than 0 seconds"):
        connect(GOOD, budget=budget)


def test_a_client_does_not_show_its_password() -> None:
    for client in (connect(GOOD), connect(SENTINEL)):
        assert isinstance(client, redis.Redis)
        assert PASSWORD not in repr(client) + repr(client.connection_pool)
