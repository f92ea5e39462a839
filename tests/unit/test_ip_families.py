"""IP families: what a person may choose, and what every Service then says."""

from __future__ import annotations

from typing import Any, cast

import pytest
from pulumi_caches.kubernetes import SentinelGroup, SentinelGroupArgs
from unit import mocks
from unit.refusal import refused


def said(**args: Any) -> list[dict[str, Any]]:
    """What the Services of a group say of IP, each thing once."""
    given = cast(SentinelGroupArgs, {"front_replicas": 2, **args})
    services = mocks.run(lambda: SentinelGroup("cache", given) and None).named("Service").values()
    assert len(services) == 7
    parts = [{key: value for key, value in service["spec"].items() if key.startswith("ipFamil")} for service in services]
    return [part for number, part in enumerate(parts) if part not in parts[:number]]


@pytest.mark.parametrize(
    ("args", "spec"),
    [
        ({}, {}),
        ({"ip_families": ["IPv6"]}, {"ipFamilies": ["IPv6"]}),
        ({"ip_families": ["IPv6"], "ip_family_policy": "SingleStack"}, {"ipFamilies": ["IPv6"], "ipFamilyPolicy": "SingleStack"}),
        ({"ip_families": ["IPv6", "IPv4"]}, {"ipFamilies": ["IPv6", "IPv4"], "ipFamilyPolicy": "RequireDualStack"}),
        (
            {"ip_families": ["IPv4", "IPv6"], "ip_family_policy": "PreferDualStack"},
            {"ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "PreferDualStack"},
        ),
        ({"ip_family_policy": "PreferDualStack"}, {"ipFamilyPolicy": "PreferDualStack"}),
        (
            {"ip_families": ["IPv6"], "ip_family_policy": "RequireDualStack"},
            {"ipFamilies": ["IPv6"], "ipFamilyPolicy": "RequireDualStack"},
        ),
    ],
    ids=str,
)
def test_every_service_says_what_was_chosen_and_nothing_else(args: dict[str, Any], spec: dict[str, Any]) -> None:
    assert said(**args) == [spec]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"ip_families": ["ipv4"]}, "ip_families = ['ipv4']: 'ipv4' is not one of IPv4, IPv6"),
        ({"ip_families": "IPv4"}, "ip_families = 'IPv4': must be a list of strings"),
        ({"ip_families": ["IPv4", "IPv4"]}, "ip_families = ['IPv4', 'IPv4']: names one twice"),
        (
            {"ip_family_policy": "DualStack"},
            "ip_family_policy = 'DualStack': must be one of SingleStack, PreferDualStack, RequireDualStack",
        ),
        (
            {"ip_families": ["IPv4", "IPv6"], "ip_family_policy": "SingleStack"},
            "ip_family_policy = 'SingleStack': has room for one of ip_families = ['IPv4', 'IPv6']: give one, or PreferDualStack",
        ),
    ],
)
def test_what_kubernetes_would_refuse_is_refused(args: dict[str, Any], message: str) -> None:
    assert message in refused(SentinelGroup, args)
