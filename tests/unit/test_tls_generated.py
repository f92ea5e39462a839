"""A certificate that is made by the program: whom it is for, how long, and that it stays."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from pulumi.runtime.rpc import is_rpc_secret
from pulumi_caches.kubernetes import MemcachedShards, RedisClusterWithInit, RedisStatefulSet, SentinelGroup, tls_authority
from unit import mocks, wiring
from unit.refusal import refused

HOSTS: dict[Any, list[str]] = {
    RedisStatefulSet: ["cache", "cache-reader", "*.cache-headless"],
    SentinelGroup: ["cache", "cache-reader", "cache-front", *(f"cache-{ordinal}" for ordinal in range(9)), "*.cache-headless"],
    RedisClusterWithInit: ["cache", "*.cache-headless"],
    MemcachedShards: ["cache", "*.cache-headless"],
}


def make(component: Any, answers: dict[str, dict[str, Any]] | None = None, **args: Any) -> mocks.Registered:
    given = {"namespace": "shop", "tls_generated": True, **args}
    return mocks.run(lambda: component("cache", given) and None, answers=answers)


def openssl(*words: str) -> str:
    return subprocess.run(["openssl", *words], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("component", HOSTS)
def test_strict_clients_trust_it_for_every_name_of_the_cache(component: Any, tmp_path: Path) -> None:
    data = make(component).named("Secret")["cache-certificate"]["stringData"]
    for name, text in data.items():
        (tmp_path / name).write_text(text)
    trusted = ["-x509_strict", "-CAfile", str(tmp_path / "ca.crt")]
    for purpose in ("sslserver", "sslclient"):
        assert "OK" in openssl("verify", *trusted, "-purpose", purpose, str(tmp_path / "tls.crt"))
    names = openssl("x509", "-in", str(tmp_path / "tls.crt"), "-noout", "-ext", "subjectAltName").split("\n")[1]
    wanted = [each for host in HOSTS[component] for each in (host, f"{host}.shop.svc")]
    assert [name.strip().removeprefix("DNS:") for name in names.split(",")] == wanted
    key = openssl("pkey", "-in", str(tmp_path / "tls.key"), "-pubout")
    assert key == openssl("x509", "-in", str(tmp_path / "tls.crt"), "-noout", "-pubkey")


@pytest.mark.parametrize("component", HOSTS)
def test_pods_and_connection_take_it_and_nothing_is_read(component: Any) -> None:
    registered = make(component)
    assert "cache-tls" not in registered.named("Secret")
    [volume] = [
        volume
        for volume in next(iter(registered.named("StatefulSet").values()))["spec"]["template"]["spec"]["volumes"]
        if volume["name"] == "tls"
    ]
    assert volume["secret"]["secretName"] == "cache-tls"
    given = wiring.connection(component, tls_generated=True)
    assert given["tls"] is True
    assert "BEGIN CERTIFICATE" in given["ca_pem"]
    assert "PRIVATE" not in given["ca_pem"]


def test_a_certificate_stays_and_the_next_version_is_another_by_the_same_authority() -> None:
    first = make(RedisStatefulSet)
    kept = {name: {"output": inputs["input"]} for name, inputs in first.named("Stash").items() if "tls" in name}
    assert set(kept) == {"cache-tls-authority", "cache-tls-certificate-1"}

    def certificate(registered: mocks.Registered) -> dict[str, str]:
        return dict(registered.named("Secret")["cache-certificate"]["stringData"])

    before, again, after = (
        certificate(first),
        certificate(make(RedisStatefulSet, kept)),
        certificate(make(RedisStatefulSet, kept, tls_certificate_version=2)),
    )
    assert again == before
    assert after["ca.crt"] == before["ca.crt"]
    assert after["tls.crt"] != before["tls.crt"]


def test_no_key_is_anywhere_but_in_secret_values() -> None:
    for resource in make(RedisStatefulSet).resources:
        shown = {key: value for key, value in resource.inputs.items() if not is_rpc_secret(value)}
        assert "PRIVATE KEY" not in repr(shown), resource.name


def test_a_warning_comes_a_year_before_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", said.append)
    make(RedisStatefulSet)
    assert said == []
    monkeypatch.setattr(tls_authority, "CERTIFICATE_YEARS", 1)
    make(RedisStatefulSet)
    assert said == ["cache: the generated certificate ends in 364 days: give tls_certificate_version = 2"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            {"tls_generated": True, "tls_secret_name": "mine"},
            "tls_generated = True: the certificate is in tls_secret_name: give one of the two",
        ),
        ({"tls_certificate_version": 2}, "tls_certificate_version = 2: needs tls_generated"),
        ({"tls_generated": True, "tls_certificate_version": 0}, "tls_certificate_version = 0: must be from 1"),
        ({"tls_generated": "yes"}, "tls_generated = 'yes': must be true or false"),
    ],
)
@pytest.mark.parametrize("component", HOSTS)
def test_what_contradicts_is_refused(component: Any, args: dict[str, Any], message: str) -> None:
    assert message in refused(component, args)
