"""What is a connection, and what is told of one that is none."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from caches_runtime.client import ConnectionRefusedError, connect, connect_async
from unit.client.processes import PASSWORD

GOOD: dict[str, Any] = {"engine": "redis", "mode": "standalone", "host": "cache.shop.svc", "port": 6379, "password": PASSWORD, "tls": False}
SENTINEL: dict[str, Any] = {**GOOD, "mode": "sentinel", "sentinels": ["10.0.0.1:26379"], "master_name": "cache"}
BAD: dict[str, tuple[Any, str]] = {
    "no mapping": ("redis://somewhere", "a connection is a mapping of fields, .* no str"),
    "empty": ({}, "mode: missing; give the whole connection"),
    "unknown mode": ({**GOOD, "mode": "ring"}, "mode: 'ring' is unknown; it is one of standalone, sentinel, cluster"),
    "unknown engine": ({**GOOD, "engine": "dragon"}, "engine: 'dragon' is unknown; it is one of redis, valkey"),
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
    "a cloud's login": ({**GOOD, "auth": "iam"}, "auth: 'iam' can't be used yet; give the tokens as `credentials`"),
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


@pytest.mark.parametrize("budget", [0, -1, float("nan")])
def test_a_budget_is_more_than_nothing(budget: float) -> None:
    with pytest.raises(ConnectionRefusedError, match=r"budget = .* more than 0 seconds"):
        connect(GOOD, budget=budget)


def test_a_client_does_not_show_its_password() -> None:
    for client in (connect(GOOD), connect(SENTINEL)):
        assert isinstance(client, redis.Redis)
        assert PASSWORD not in repr(client) + repr(client.connection_pool)
