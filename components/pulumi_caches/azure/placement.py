"""Where a cache is in Azure, and what it is called: name, tags, region, zones and resource group."""

import re
from collections.abc import Mapping

import pulumi
from pulumi_azure_native import resources

from pulumi_caches.arguments import Arguments, suggest
from pulumi_caches.managed import warn_of_region

# Of a cache; a component's name has at most as many characters. Pattern: the operations of Azure's REST API 2025-07-01.
NAME_MAXIMUM = 60
CACHE_NAME = re.compile(r"(?=.{1,60}$)[A-Za-z0-9]+(-[A-Za-z0-9]+)*")
CACHE_NAME_RULE = "must be 1 to 60 letters, digits and single hyphens, which may not be first or last"
ZONES = ["1", "2", "3"]
_NOT_IN_TAGS = re.compile(r"[<>%&\\?/]")
_TAG_VALUE_MAXIMUM = 256

# Of the public cloud. Azure opens more: an unknown one is only warned of.
# fmt: off
REGIONS = [
    "australiacentral", "australiaeast", "australiasoutheast", "austriaeast", "belgiumcentral", "brazilsouth", "canadacentral",
    "canadaeast", "centralindia", "centralus", "chilecentral", "eastasia", "eastus", "eastus2", "francecentral", "germanywestcentral",
    "indonesiacentral", "israelcentral", "italynorth", "japaneast", "japanwest", "koreacentral", "koreasouth", "malaysiawest",
    "mexicocentral", "newzealandnorth", "northcentralus", "northeurope", "norwayeast", "polandcentral", "qatarcentral",
    "southafricanorth", "southcentralus", "southeastasia", "southindia", "spaincentral", "swedencentral", "switzerlandnorth",
    "uaenorth", "uksouth", "ukwest", "westcentralus", "westeurope", "westindia", "westus", "westus2", "westus3",
]
# fmt: on


def read_region(arguments: Arguments) -> str:
    """Reads `region`, and says in the preview when it is not known here."""
    region: str = arguments.value("region", "")
    if not isinstance(region, str) or not re.fullmatch(r"[a-z]+[0-9]*", region):
        written = re.sub(r"[^a-z0-9]", "", str(region).lower())
        arguments.refuse("region", f"must be Azure's name of a region, such as westeurope{suggest(written, REGIONS)}")
        return "westeurope"
    warn_of_region(region, REGIONS, "Azure's")
    return region


def resource_id(kind: str) -> re.Pattern[str]:
    """What the ids of a kind look like, such as `Microsoft.Cache/redis/[^/]+`."""
    return re.compile(rf"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/{kind}", re.IGNORECASE)


def read_zones(arguments: Arguments, *, high_availability: bool) -> list[str]:
    """Reads `azure_zones`."""
    zones = arguments.texts("azure_zones", [])
    if any(zone not in ZONES for zone in zones) or len(set(zones)) != len(zones):
        arguments.refuse("azure_zones", f"must be different ones of {', '.join(ZONES)}")
    if high_availability and len(zones) == 1:
        arguments.refuse("azure_zones", "with one zone, both servers would be lost with it: give two or three, or leave it out")
    return zones


def refuse_tags(arguments: Arguments, tags: Mapping[str, str]) -> None:
    """Refuses tags that Azure Resource Manager does not take."""
    for name, text in tags.items():
        if _NOT_IN_TAGS.search(name) or len(text) > _TAG_VALUE_MAXIMUM:
            rule = f"no <>%&\\?/ in names, and at most {_TAG_VALUE_MAXIMUM} characters in values"
            arguments.refuse("tags", f"{name!r}: Azure has {rule}", shown=False)


def resource_group(name: str, given: pulumi.Input[str] | None, region: str, opts: pulumi.ResourceOptions) -> pulumi.Input[str]:
    """The name of the resource group: the given one, or that of one made under the component's name."""
    return given if given is not None else resources.ResourceGroup(name, resource_group_name=name, location=region, opts=opts).name
