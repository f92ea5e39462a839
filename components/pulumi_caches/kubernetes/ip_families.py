"""Which IP versions Services have: arguments, checks, and what a Service's spec says of them."""

from enum import StrEnum
from typing import Any, NotRequired, TypedDict

from pulumi_caches.arguments import Arguments


class IpFamily(StrEnum):
    """A version of IP, as Kubernetes names it."""

    IPV4 = "IPv4"
    IPV6 = "IPv6"


class IpFamilyPolicy(StrEnum):
    """Whether Services have addresses of one version or of both, as Kubernetes names it."""

    SINGLE_STACK = "SingleStack"
    PREFER_DUAL_STACK = "PreferDualStack"
    """Both where the cluster has both."""
    REQUIRE_DUAL_STACK = "RequireDualStack"
    """Both, or refused by the cluster."""


class IpFamilyArgs(TypedDict):
    """Arguments of everything whose Services may have addresses of either IP version."""

    ip_families: NotRequired[list[IpFamily]]
    """IPv4, IPv6 or both in the order that counts; the first can't change. Default: the cluster's."""
    ip_family_policy: NotRequired[IpFamilyPolicy]
    """SingleStack, PreferDualStack or RequireDualStack. Default: SingleStack, with two ip_families RequireDualStack."""


def read_ip_families(arguments: Arguments) -> dict[str, Any]:
    """Reads and checks IpFamilyArgs: what is added to the spec of each Service; nothing unless the person chose."""
    known = [family.value for family in IpFamily]
    families = arguments.texts("ip_families", [])
    for family in families:
        if family not in known:
            arguments.refuse("ip_families", f"{family!r} is not one of {', '.join(known)}")
    if len(set(families)) < len(families):
        arguments.refuse("ip_families", "names one twice")
    both = len(families) > 1
    policy = arguments.choice("ip_family_policy", IpFamilyPolicy.REQUIRE_DUAL_STACK if both else IpFamilyPolicy.SINGLE_STACK)
    if both and policy is IpFamilyPolicy.SINGLE_STACK:
        arguments.refuse(
            "ip_family_policy", f"has room for one of ip_families = {families}: give one, or PreferDualStack or RequireDualStack"
        )
    spec: dict[str, Any] = {"ip_families": families} if families else {}
    if both or arguments.given("ip_family_policy"):
        spec["ip_family_policy"] = policy.value
    return spec
