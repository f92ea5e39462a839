"""Who is let in by token at an emulated cloud's caches, and who is not: tokens are checked as the cloud does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
import redis
from botocore.auth import SigV4QueryAuth  # type: ignore[import-untyped]
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import Credentials  # type: ignore[import-untyped]
from clouds import test_emulator_aws, test_emulator_azure
from clouds.emulator import aws_kinds, azure_kinds, entra
from clouds.emulator.aws_caches import GROUP, SERVERLESS, USER, USER_GROUP
from clouds.emulator.client import open_client
from clouds.emulator.cloud import Cloud
from clouds.emulator.servers import address_of
from clouds.test_emulator_azure import PERSON
from common.waiting import until
from redis.backoff import NoBackoff
from redis.retry import Retry

OTHER = PERSON.replace("a", "b")


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """With the caches `sessions`, and `carts`, which is serverless; app and other log in to both by IAM, tool by password."""
    cloud = Cloud(tmp_path_factory.mktemp("clouds") / "aws", aws_kinds.KINDS, aws_kinds.INVOKES)
    user, group, cache, serverless = (test_emulator_aws.GOOD[token] for token in (USER, USER_GROUP, GROUP, SERVERLESS))
    try:
        for name in ("app", "other"):
            cloud.create(USER, {**user, "userId": name, "userName": name})
        cloud.create(USER, {**user, "userId": "tool", "userName": "tool", "authenticationMode": test_emulator_aws.PASSWORDS})
        cloud.create(USER_GROUP, {**group, "userIds": ["app", "other", "tool"]})
        cloud.create(GROUP, {**cache, "replicationGroupId": "sessions", "numCacheClusters": 1})
        cloud.create(SERVERLESS, {**serverless, "name": "carts", "userGroupId": "cache"})
        yield cloud
    finally:
        cloud.remove()


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """With a cluster, whom one person may use."""
    cloud = Cloud(tmp_path_factory.mktemp("clouds") / "azure", azure_kinds.KINDS, azure_kinds.INVOKES)
    made = test_emulator_azure
    try:
        cloud.create("azure-native:resources:ResourceGroup", {"resourceGroupName": "shop", "location": "eastus"})
        cloud.create("azure-native:redisenterprise:RedisEnterprise", made.CLUSTER)
        cloud.create("azure-native:redisenterprise:Database", made.DATABASE)
        assignment = {**made.ASSIGNMENT, "accessPolicyName": "default", "user": {"objectId": PERSON}}
        cloud.create("azure-native:redisenterprise:AccessPolicyAssignment", assignment)
        yield cloud
    finally:
        cloud.remove()


def host(cloud: Cloud, name: str = "sessions") -> str:
    """The address of a cache."""
    [found] = [each for each in cloud.everything() if each.processes and name in each.id]
    return address_of(cloud.folder, found.id.partition("/databases/")[0])


def client(cloud: Cloud, name: str, user: str, password: str, protocol: int = 3) -> redis.Redis:
    """One that gives what it is told as it connects."""
    port = 10000 if cloud.folder.name == "azure" else 6379
    login: dict[str, Any] = {"username": user, "password": password, "protocol": protocol}
    trust: dict[str, Any] = {"ssl": True, "ssl_ca_certs": str(cloud.folder / "authorities.pem")}
    once = Retry(NoBackoff(), 0)
    return redis.Redis(host(cloud, name), port, **trust, **login, retry=once)


def admits(cloud: Cloud, name: str, user: str, password: str, protocol: int = 3) -> bool:
    with client(cloud, name, user, password, protocol) as opened:
        try:
            return bool(opened.execute_command("ACL", "WHOAMI") == user.encode())
        except redis.AuthenticationError:
            return False


class Signature(SigV4QueryAuth):  # type: ignore[misc]
    """Of another moment than now."""

    def __init__(self, age: float, *of: Any) -> None:
        super().__init__(*of)
        self._moment = datetime.now(UTC) - timedelta(seconds=age)

    def _modify_request_before_signing(self, request: Any) -> None:
        request.context["timestamp"] = self._moment.strftime("%Y%m%dT%H%M%SZ")
        super()._modify_request_before_signing(request)


def signed(
    user: str = "app",
    cache: str = "sessions",
    more: str = "",
    key: tuple[str, str] = ("emulated", "emulated"),
    region: str = "us-east-1",
    service: str = "elasticache",
    valid: int = 900,
    age: float = 0,
) -> str:
    """A token of ElastiCache."""
    request = AWSRequest("GET", f"https://{cache}/?Action=connect&User={user}{more}")
    Signature(age, Credentials(*key), service, region, valid).add_auth(request)
    return str(request.url).removeprefix("https://")


ON_SERVERLESS = {"cache": "carts", "more": "&ResourceType=ServerlessCache"}
AWS: list[tuple[str, dict[str, Any], bool]] = [
    ("sessions", {}, True),
    ("sessions", {"valid": 60, "age": 30}, True),
    ("sessions", {"age": 840}, True),
    ("carts", ON_SERVERLESS, True),
    ("sessions", {"cache": "carts"}, False),
    ("sessions", {"cache": "Sessions"}, False),
    ("sessions", {"user": "other"}, False),
    ("sessions", {"key": ("somebody", "emulated")}, False),
    ("sessions", {"key": ("emulated", "a-guess")}, False),
    ("sessions", {"key": ("emulated", "emulated", "of-a-session")}, False),
    ("sessions", {"region": "us-west-2"}, False),
    ("sessions", {"service": "memorydb"}, False),
    ("sessions", {"age": 901}, False),
    ("sessions", {"valid": 60, "age": 61}, False),
    ("sessions", {"valid": 3600}, False),
    ("sessions", {"age": -3600}, False),
    ("sessions", {"more": "&ResourceType=ServerlessCache"}, False),
    ("sessions", {"more": "&Purpose=none"}, False),
    ("carts", {"cache": "carts"}, False),
    ("carts", {**ON_SERVERLESS, "cache": "sessions"}, False),
]


@pytest.mark.parametrize(("cache", "given", "good"), AWS)
def test_a_token_of_elasticache_is_looked_at(aws: Cloud, cache: str, given: dict[str, Any], good: bool) -> None:
    assert admits(aws, cache, "app", signed(**given)) == good


@pytest.mark.parametrize(
    "altered",
    [
        lambda token: token.replace("Expires=900", "Expires=800"),
        lambda token: token.replace("&User=app", "&User=app&User=app"),
        lambda token: token[:-1] + ("0" if token[-1] != "0" else "1"),
        lambda token: token.partition("&X-Amz-Signature")[0],
        lambda token: token.partition("?")[2],
        lambda _: "sessions/?Action=connect&User=app",
        lambda _: "a-token",
        lambda _: "a wrong token",
        lambda _: "",
        lambda _: "\udcff".encode(errors="surrogateescape").decode("latin-1"),
    ],
)
def test_a_token_of_elasticache_that_was_altered_lets_nobody_in(aws: Cloud, altered: Any) -> None:
    assert not admits(aws, "sessions", "app", altered(signed()))


def test_who_has_a_password_logs_in_as_before(aws: Cloud) -> None:
    for protocol in (2, 3):
        assert admits(aws, "sessions", "app", signed(), protocol)
        assert admits(aws, "sessions", "tool", "x" * 16, protocol)
        assert not admits(aws, "sessions", "tool", "y" * 16, protocol)
        assert not admits(aws, "sessions", "tool", signed(user="tool"), protocol)
        assert not admits(aws, "sessions", "nobody", signed(user="nobody"), protocol)


NOW = int(time.time())
AZURE: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"aud": ["https://redis.azure.com", "https://graph.microsoft.com"]}, True),
    ({"aud": "https://graph.microsoft.com"}, False),
    ({"oid": OTHER}, False),
    ({"oid": PERSON.upper()}, False),
    ({"exp": NOW - 1}, False),
    ({"exp": "soon"}, False),
    ({"nbf": NOW + 3600}, False),
]


@pytest.mark.parametrize(("claims", "good"), AZURE)
def test_a_token_of_entra_is_looked_at(azure: Cloud, claims: dict[str, Any], good: bool) -> None:
    assert admits(azure, "sessions", PERSON, entra.token_for(azure.folder, PERSON, **claims)) == good


def test_a_token_that_entra_has_not_signed_lets_nobody_in(azure: Cloud, tmp_path: Path) -> None:
    claims = {"aud": "https://redis.azure.com", "oid": PERSON, "exp": NOW + 3600}
    unsigned = jwt.encode(claims, "", algorithm="none")
    good = entra.token_for(azure.folder, PERSON)
    altered = ".".join([good.split(".")[0], jwt.encode(claims, "k" * 32).split(".")[1], good.split(".")[2]])
    for token in (entra.token_for(tmp_path, PERSON), unsigned, altered, jwt.encode(claims, "k" * 32), "a-token", ""):
        assert not admits(azure, "sessions", PERSON, token)
    assert not admits(azure, "sessions", OTHER, entra.token_for(azure.folder, OTHER)), "whom nobody has let in"


def test_a_connection_that_logs_in_again_outlives_its_first_token(azure: Cloud) -> None:
    short = entra.token_for(azure.folder, PERSON, exp=int(time.time()) + 5)
    with client(azure, "sessions", PERSON, short) as left, client(azure, "sessions", PERSON, short) as renewed:
        one, other = left.connection_pool.get_connection(), renewed.connection_pool.get_connection()

        def said(connection: Any, *words: str) -> Any:
            connection.send_command(*words)
            return connection.read_response()

        assert said(one, "PING") == b"PONG"
        with pytest.raises(redis.AuthenticationError, match="invalid username-password pair"):
            said(other, "AUTH", PERSON, entra.token_for(azure.folder, OTHER))
        assert said(other, "ACL", "WHOAMI") == PERSON.encode(), "a login that fails changes nothing"
        assert said(other, "AUTH", PERSON, entra.token_for(azure.folder, PERSON)) == b"OK"

        def is_cut() -> bool:
            try:
                return said(one, "PING") is None
            except redis.ConnectionError:
                return True

        assert until(is_cut, 60)
        assert said(other, "PING") == b"PONG"


def test_the_runtime_logs_in_with_tokens_of_its_own(aws: Cloud, azure: Cloud) -> None:
    by_iam = {"engine": "valkey", "port": 6379, "tls": True, "auth": "iam", "provider": "aws", "region": "us-east-1", "username": "app"}
    by_entra = {"engine": "redis", "mode": "cluster", "port": 10000, "tls": True, "auth": "entra", "provider": "azure"}
    serverless = {"mode": "cluster", "cache_name": "carts", "serverless": True, "host": host(aws, "carts")}
    caches = [
        (aws, {**by_iam, "mode": "standalone", "cache_name": "sessions", "host": host(aws)}),
        (aws, {**by_iam, **serverless}),
        (azure, {**by_entra, "cache_name": "sessions", "host": host(azure)}),
    ]
    for cloud, connection in caches:
        with open_client(cloud, connection, budget=20) as cache:
            for number in range(20):
                cache.set(f"key-{number}", number)
            assert [cache.get(f"key-{number}") for number in range(20)] == [str(number).encode() for number in range(20)]


@pytest.mark.long
def test_the_runtimes_connections_outlive_their_tokens(azure: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entra, "_SECONDS", 10)
    given = {"engine": "redis", "mode": "cluster", "port": 10000, "tls": True, "auth": "entra", "provider": "azure", "host": host(azure)}
    with open_client(azure, given, budget=10) as cache:
        own, began = cache.client_id(), time.monotonic()
        while time.monotonic() < began + 30:
            cache.incr("number")
        assert cache.client_id() == own
