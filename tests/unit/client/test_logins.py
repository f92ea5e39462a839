"""Logins of clouds: AWS' tokens as they are signed; those of token endpoints on loopback at servers whose user has them as password."""

from __future__ import annotations

import json
import re
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import redis
from caches_runtime.client import BudgetSpentError
from caches_runtime.client.connection import Connection
from caches_runtime.client.logins import MissingExtraError, login_of
from caches_runtime.ops.cluster_state import Place, Wanted
from certificates import certify
from common.waiting import until
from unit.client.both import Connects, fails_in
from unit.client.processes import Processes, processes
from unit.cluster_nodes import cluster_nodes
from unit.test_cluster_repair import made, rights
from unit.warmup.servers import web

OBJECT = "0f9a2c5e-1111-2222-3333-444455556666"
BUDGET = 0.5
# Of a machine that does much else. A wait without a bound has no end.
SLACK = 2.0
AWS: dict[str, Any] = {
    "engine": "valkey",
    "mode": "standalone",
    "host": "sessions.abc.euc1.cache.amazonaws.com",
    "port": 6379,
    "tls": True,
    "auth": "iam",
    "provider": "aws",
    "region": "eu-central-1",
    "cache_name": "Sessions",
    "username": "app-user",
}


@pytest.fixture(autouse=True)
def nothing_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No login of whoever runs this, and no network beyond loopback."""
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "CLOUDSDK_CONFIG"):
        monkeypatch.setenv(name, str(tmp_path / "nothing"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "GOOGLE_APPLICATION_CREDENTIALS", "AZURE_CLIENT_ID"):
        monkeypatch.delenv(name, raising=False)


def dummy_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-dummy-secret")


@pytest.mark.parametrize("serverless", [False, True])
def test_a_token_of_elasticache_is_a_signed_request_to_connect(monkeypatch: pytest.MonkeyPatch, serverless: bool) -> None:
    dummy_keys(monkeypatch)
    began = time.monotonic()
    token = login_of(Connection.read({**AWS, "serverless": serverless})).token()
    assert token.username == "app-user"
    assert token.password.startswith("sessions/?"), "the cache's name in small letters, and no scheme"
    query = {name: values[0] for name, values in parse_qs(urlsplit(f"https://{token.password}").query).items()}
    assert (query.pop("Action"), query.pop("User")) == ("connect", "app-user")
    assert query.pop("ResourceType", None) == ("ServerlessCache" if serverless else None)
    assert query.pop("X-Amz-Algorithm") == "AWS4-HMAC-SHA256"
    assert query.pop("X-Amz-Expires") == "900"
    date = datetime.strptime(query.pop("X-Amz-Date") + "+0000", "%Y%m%dT%H%M%SZ%z")
    assert query.pop("X-Amz-Credential") == f"AKIDEXAMPLE/{date:%Y%m%d}/eu-central-1/elasticache/aws4_request"
    assert query.pop("X-Amz-SignedHeaders") == "host"
    assert len(query.pop("X-Amz-Signature")) == 64
    assert query == {}
    assert "a-dummy-secret" not in token.password
    assert began + 590 < token.renew_at < time.monotonic() + 600, "kept for less than its 15 minutes"
    assert token.password not in repr(token)


def test_a_token_of_elasticache_is_kept_until_it_is_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    dummy_keys(monkeypatch)
    tokens = login_of(Connection.read(AWS))
    assert tokens.token() is tokens.token()


def test_a_token_of_elasticache_is_its_users_password(connects: Connects, monkeypatch: pytest.MonkeyPatch) -> None:
    dummy_keys(monkeypatch)
    with processes("valkey", certify("DNS:a.cache")) as server:
        server.serve(1)
        cache = connects({**AWS, **server.connection(1, password=None)})
        token = cache._client.connection_pool.connection_kwargs["credential_provider"].token()
        server.ask(1, "ACL", "SETUSER", "app-user", "on", f">{token.password}", "~*", "+@all")
        assert cache.incr("number") == 1
        assert cache.acl_whoami() == "app-user"


def test_a_call_without_aws_credentials_says_so_when_its_budget_is_spent(connects: Connects, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    with processes("redis", certify("DNS:a.cache")) as server:
        server.serve(1)
        given = {**AWS, **server.connection(1, password=None)}
        with pytest.raises(BudgetSpentError, match=r"there is no token .* there are no AWS credentials: give the pod or machine a role"):
            connects(given, budget=BUDGET).get("key")


def test_a_cloud_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "caches_runtime.client.logins.aws", None)
    with pytest.raises(MissingExtraError, match=r"needs botocore .*pip install 'caches-runtime\[aws\]'"):
        login_of(Connection.read(AWS))


def nth_token(number: int) -> str:
    """What a cloud gives when it is asked for the nth time."""
    claims = urlsafe_b64encode(json.dumps({"oid": OBJECT, "number": number}).encode()).rstrip(b"=").decode()
    return f"header.{claims}.signature"


class Cloud:
    """Gives tokens over HTTP. What it gives is made the only password of the user before."""

    def __init__(self, accept: Callable[..., None], life_seconds: int) -> None:
        self._accept = accept
        self._life_seconds = life_seconds
        self.given: list[str] = []
        self.asked: list[str] = []
        self.serves = threading.Event()
        self.serves.set()

    def entra(self, request: BaseHTTPRequestHandler) -> None:
        """As a managed identity's endpoint does."""
        expires = int(time.time()) + self._life_seconds
        self._answer(request, {"access_token": self._token(OBJECT), "expires_on": str(expires), "resource": "r", "token_type": "Bearer"})

    def google(self, request: BaseHTTPRequestHandler) -> None:
        """As the metadata server does."""
        if request.path.split("?")[0].endswith("/token"):
            token = self._token("google-user")
            self._answer(request, {"access_token": token, "expires_in": self._life_seconds, "token_type": "Bearer"})
        elif "recursive" in request.path:
            self._answer(request, {"email": "app@project.iam.gserviceaccount.com", "scopes": [], "aliases": ["default"]})
        else:
            self._answer(request, "")

    def _token(self, user: str) -> str:
        self.serves.wait(60)
        token = nth_token(len(self.given))
        self._accept("ACL", "SETUSER", user, "on", "resetpass", f">{token}", "~*", "+@all")
        self.given.append(token)
        return token

    def _answer(self, request: BaseHTTPRequestHandler, content: Any) -> None:
        self.asked.append(request.path)
        body = (content if isinstance(content, str) else json.dumps(content)).encode()
        request.send_response(200)
        request.send_header("Content-Type", "application/json" if body else "text/plain")
        request.send_header("Metadata-Flavor", "Google")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


@pytest.fixture(params=["entra", "google"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


GIVEN = {
    "entra": {"auth": "entra", "provider": "azure", "password": None},
    "google": {"auth": "iam", "provider": "gcp", "username": "google-user", "password": None},
}


@pytest.fixture
def clouds(kind: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Cloud]]:
    """Makes one on loopback, which its own library finds as in the cloud."""
    with ExitStack() as closing:

        def cloud(accept: Callable[..., None], life_seconds: int = 3600) -> Cloud:
            made = Cloud(accept, life_seconds)
            address = closing.enter_context(web(getattr(made, kind)))
            closing.callback(made.serves.set)
            monkeypatch.setenv("IDENTITY_ENDPOINT", f"{address}/token")
            monkeypatch.setenv("IDENTITY_HEADER", "a-header")
            host = address.removeprefix("http://")
            monkeypatch.setenv("GCE_METADATA_HOST", host)
            monkeypatch.setenv("GCE_METADATA_IP", host)
            # Which the library has read already, when it was imported.
            monkeypatch.setattr("google.auth.compute_engine._metadata._GCE_METADATA_HOST", host)
            monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "a-project")
            return made

        yield cloud


@pytest.fixture
def server() -> Iterator[Processes]:
    with processes("redis", certify("DNS:a.cache")) as made:
        made.serve(1)
        yield made


def test_live_connections_log_in_anew_when_a_token_is_renewed(
    server: Processes, connects: Connects, kind: str, clouds: Callable[..., Cloud]
) -> None:
    cloud = clouds(partial(server.ask, 1), life_seconds=3)
    cache = connects(server.connection(1, **GIVEN[kind]), budget=10)
    own = cache.client_id()

    def logins() -> int:
        return int(server.client(1).info("commandstats")["cmdstat_auth"]["calls"])

    # The tests' own connections log in too, each that asks.
    before, asked = logins(), len(cloud.given)
    while len(cloud.given) < asked + 2:
        cache.incr("number")
    assert cache.client_id() == own, "it is the same connection"
    assert cache.together(("INCR", "number"))[-1] == cache.incr("number") - 1
    assert logins() - before >= 2 * (len(cloud.given) - asked)


def test_a_token_service_that_hangs_holds_no_call_longer_than_its_budget(
    server: Processes, connects: Connects, kind: str, clouds: Callable[..., Cloud]
) -> None:
    cloud = clouds(partial(server.ask, 1))
    cloud.serves.clear()
    cache = connects(server.connection(1, **GIVEN[kind]), budget=BUDGET)
    assert fails_in(BudgetSpentError, lambda: cache.incr("number")) < BUDGET + SLACK
    cloud.serves.set()
    assert until(lambda: _answers(cache), 30)
    assert cloud.given
    assert not [token for token in cloud.given if token in repr(cache)]


def _answers(cache: Any) -> bool:
    try:
        return bool(cache.ping())
    except redis.RedisError:
        return False


@pytest.mark.parametrize("kind", ["entra"], indirect=True)
def test_a_token_that_is_still_valid_serves_while_the_service_hangs(
    server: Processes, connects: Connects, kind: str, clouds: Callable[..., Cloud]
) -> None:
    cloud = clouds(partial(server.ask, 1), life_seconds=12)
    cache = connects(server.connection(1, **GIVEN[kind]), budget=BUDGET)
    assert until(lambda: _answers(cache), 30)
    cloud.serves.clear()
    due = cache._client.connection_pool.connection_kwargs["credential_provider"].token().renew_at
    assert until(lambda: _answers(cache) and time.monotonic() > due, 60, every=0.05)
    assert all(_answers(cache) for _ in range(20))


@pytest.mark.parametrize("kind", ["google"], indirect=True)
def test_every_node_of_a_cluster_is_logged_in_to_with_each_token(connects: Connects, kind: str, clouds: Callable[..., Cloud]) -> None:
    # All nodes know the tokens before: telling six of them could take longer than a token lives.
    cloud = clouds(lambda *_: None, life_seconds=3)
    tokens = [f">{nth_token(number)}" for number in range(100)]
    with cluster_nodes("valkey", rights(), certify("DNS:a.cluster")) as nodes:
        made(nodes)
        for place in Wanted(3, 1).places():
            nodes.ask(place, "ACL", "SETUSER", "google-user", "on", *tokens, "~*", "+@all")

        def logins() -> list[int]:
            """At each master."""
            said = [nodes.ask(Place(shard, 0), "INFO", "commandstats") for shard in range(3)]
            return [int(re.findall(r"cmdstat_auth:calls=(\d+)", each)[0]) for each in said]

        assert nodes.ca_file
        given = {"engine": "valkey", "mode": "cluster", "host": nodes.hosts.of(Place(0, 0)), "port": 6379, "tls": True}
        cache = connects({**given, "ca_pem": nodes.ca_file.read_text(), **GIVEN[kind]}, budget=30, decode_responses=True)

        def reads_all() -> bool:
            return [cache.get(f"key{number}") for number in range(20)] == list(map(str, range(20)))

        assert reads_all()
        before, asked = logins(), len(cloud.given)
        while len(cloud.given) < asked + 2:
            assert reads_all()
        assert reads_all()
        now = logins()
        assert all(then + 2 <= late for then, late in zip(before, now, strict=True)), (before, now)
