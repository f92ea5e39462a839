"""Kinds of nodes of ElastiCache: what they hold, where they are, and the smallest that holds what is asked for.

regions.json: families by region, of AWS's API as cfn-lint 1.58.0 published it on 2026-10-20; each has all its sizes wherever it is.
"""

import functools
import json
from pathlib import Path

# reserved-memory-percent of the default parameter groups: left free for backups and failovers.
RESERVED = 0.25
_LARGE = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge")
_OLD = ("large", "xlarge", "2xlarge", "4xlarge", "12xlarge", "24xlarge")
_SMALL = ("micro", "small", "medium")
_SIZES = {
    **dict.fromkeys(("t4g", "t3"), _SMALL),
    **dict.fromkeys(("m7g", "m6g", "r7g", "r6g", "m8g", "r8g", "c7gn", "c8gn"), _LARGE),
    **dict.fromkeys(("m5", "r5"), _OLD),
    "r6gd": _LARGE[1:],
}
_BURSTABLE_GIB = {"micro": 0.5, "small": 1.37, "medium": 3.09}
_GENERAL_GIB = {
    **{"large": 6.38, "xlarge": 12.93, "2xlarge": 26.04, "4xlarge": 52.26, "8xlarge": 103.68},
    **{"12xlarge": 157.12, "16xlarge": 209.55, "24xlarge": 314.32},
}
_MEMORY_GIB = {
    **{"large": 13.07, "xlarge": 26.32, "2xlarge": 52.82, "4xlarge": 105.81, "8xlarge": 209.55},
    **{"12xlarge": 317.77, "16xlarge": 419.09, "24xlarge": 635.61},
}
# GiB of each size, by family, as ElastiCache's price page had them in 2026: those that may be chosen for their memory, the first of two
# that are alike. Others are for processing or for values on disk, or their memory was not found in print.
_GIB = {
    **dict.fromkeys(("t4g", "t3"), _BURSTABLE_GIB),
    **dict.fromkeys(("m7g", "m6g", "m5"), _GENERAL_GIB),
    **dict.fromkeys(("r7g", "r6g", "r5"), _MEMORY_GIB),
}
TIERED = "r6gd"
"""The family with values on disk too."""
VALKEY_ONLY = ("m8g", "r8g", "c8gn")
"""Families without a price for Redis and Memcached."""


@functools.cache
def regions() -> dict[str, list[str]]:
    """Families of nodes, by region."""
    return dict(json.loads(Path(__file__).with_name("regions.json").read_text()))


def family_of(node_type: str) -> str:
    """r7g of cache.r7g.large."""
    return node_type.split(".")[1]


def node_types(region: str) -> list[str]:
    """Every kind of node that a region has."""
    return [f"cache.{family}.{size}" for family in regions().get(region, []) for size in _SIZES[family]]


def usable_gib(node_type: str) -> float | None:
    """GiB for data; None where it is not known."""
    _, family, size = node_type.split(".")
    return round(_GIB[family][size] * (1 - RESERVED), 4) if family in _GIB else None


def node_type_for(memory_gib: float, region: str, *, burstable: bool) -> str | None:
    """The smallest of a region with that much for data; None when there is none. `burstable`: whether those of t families will do."""
    fitting = [
        (usable, list(_GIB).index(family_of(each)), each)
        for each in node_types(region)
        if (usable := usable_gib(each)) is not None and usable >= memory_gib and (burstable or not family_of(each).startswith("t"))
    ]
    return min(fitting)[2] if fitting else None
