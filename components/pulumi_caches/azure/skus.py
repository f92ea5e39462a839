"""Sizes of Azure Managed Redis: what each SKU holds, and the smallest that holds what is asked for.

Sizes and what is reserved of them: Microsoft's "Azure Managed Redis architecture"; names: the enum SkuName of its REST API 2025-07-01.
"""

from dataclasses import dataclass
from enum import StrEnum

from pulumi_caches.arguments import Arguments, suggest

# Of what a SKU has, the service keeps a fifth for replication and fail-over.
RESERVED = 0.2
GB_PER_GIB = 1.073741824
# Without shards, one process holds everything.
UNSHARDED_MAXIMUM_GB = 25


class Tier(StrEnum):
    """What a size is made for. Sizes hold the same in each, with more or fewer processors."""

    BALANCED = "balanced"
    """1 processor for 4 GB."""
    MEMORY = "memory"
    """1 processor for 8 GB; from 12 GB."""
    COMPUTE = "compute"
    """1 processor for 2 GB; from 3 GB."""
    FLASH = "flash"
    """A fifth in memory, the rest on flash disks; from 240 GB. A preview of Azure's."""


@dataclass(frozen=True)
class Sku:
    """A size in a tier."""

    name: str
    tier: Tier
    size_gb: float

    @property
    def usable_gb(self) -> float:
        """What is left for data."""
        return self.size_gb * (1 - RESERVED)

    @property
    def replicates_geographically(self) -> bool:
        """Whether active geo-replication works with it."""
        return self.tier is not Tier.FLASH and self.name not in ("Balanced_B0", "Balanced_B1")


# By the number in the SKU's name: gigabytes.
_GIGABYTES: dict[int, float] = {
    0: 0.5,
    1: 1,
    3: 3,
    5: 6,
    10: 12,
    20: 24,
    50: 60,
    100: 120,
    150: 180,
    250: 240,
    350: 360,
    500: 480,
    700: 720,
    1000: 960,
    1500: 1440,
    2000: 1920,
    4500: 4500,
}
_NUMBERS = {
    Tier.BALANCED: ("Balanced_B", (0, 1, 3, 5, 10, 20, 50, 100, 150, 250, 350, 500, 700, 1000)),
    Tier.MEMORY: ("MemoryOptimized_M", (10, 20, 50, 100, 150, 250, 350, 500, 700, 1000, 1500, 2000)),
    Tier.COMPUTE: ("ComputeOptimized_X", (3, 5, 10, 20, 50, 100, 150, 250, 350, 500, 700)),
    Tier.FLASH: ("FlashOptimized_A", (250, 500, 700, 1000, 1500, 2000, 4500)),
}
SKUS = {
    f"{prefix}{number}": Sku(f"{prefix}{number}", tier, _GIGABYTES[number])
    for tier, (prefix, numbers) in _NUMBERS.items()
    for number in numbers
}


def _fitting(tier: Tier, memory_gb: float, *, geographic: bool) -> Sku | None:
    """The smallest of a tier that has this much memory for data; None when there is none."""
    holding = [sku for sku in SKUS.values() if sku.tier is tier and sku.usable_gb >= memory_gb]
    allowed = [sku for sku in holding if sku.replicates_geographically or not geographic]
    # What replicates nowhere is refused with what asks for it.
    return min(allowed or holding, key=lambda sku: sku.size_gb, default=None)


def read_sku(arguments: Arguments, memory_gib: float, *, geographic: bool) -> Sku:
    """Reads `azure_sku`, or `azure_tier` for that much memory."""
    tier = arguments.choice("azure_tier", Tier.BALANCED)
    memory_gb = memory_gib * GB_PER_GIB
    named: str = arguments.value("azure_sku", "")
    if not named:
        sku = _fitting(tier, memory_gb, geographic=geographic)
        if sku is None:
            largest = max((each for each in SKUS.values() if each.tier is tier), key=lambda each: each.size_gb)
            limit = largest.usable_gb / GB_PER_GIB
            arguments.refuse("memory_gib", f"tier {tier.value} has at most {limit:.0f} GiB for data: give less, or another azure_tier")
            return largest
        return sku
    if named not in SKUS:
        arguments.refuse("azure_sku", f"is no size of Azure Managed Redis{suggest(named, list(SKUS))}")
        return SKUS["Balanced_B3"]
    sku = SKUS[named]
    if arguments.given("azure_tier") and sku.tier is not tier:
        arguments.refuse("azure_tier", f"{named} is of tier {sku.tier.value}: leave one of them out")
    if arguments.given("memory_gib") and sku.usable_gb < memory_gb:
        reserved = f"{sku.size_gb:g} GB, of which Azure keeps {RESERVED:.0%}"
        arguments.refuse("azure_sku", f"has {reserved}, less than memory_gib: leave one of them out")
    return sku
