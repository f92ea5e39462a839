"""Google Cloud's regions."""

import re

from pulumi_caches.arguments import Arguments
from pulumi_caches.managed import warn_of_region

# Google opens more: an unknown one is only warned of. https://cloud.google.com/about/locations
# fmt: off
REGIONS = [
    "africa-south1", "asia-east1", "asia-east2", "asia-northeast1", "asia-northeast2", "asia-northeast3", "asia-south1", "asia-south2",
    "asia-southeast1", "asia-southeast2", "australia-southeast1", "australia-southeast2", "europe-central2", "europe-north1",
    "europe-north2", "europe-southwest1", "europe-west1", "europe-west10", "europe-west12", "europe-west2", "europe-west3",
    "europe-west4", "europe-west6", "europe-west8", "europe-west9", "me-central1", "me-central2", "me-west1",
    "northamerica-northeast1", "northamerica-northeast2", "northamerica-south1", "southamerica-east1", "southamerica-west1",
    "us-central1", "us-east1", "us-east4", "us-east5", "us-south1", "us-west1", "us-west2", "us-west3", "us-west4",
]
# fmt: on
_REGION = re.compile(r"[a-z]+-[a-z]+[0-9]+")


def read_region(arguments: Arguments) -> str:
    """Reads `region`, and says in the preview when it is not known here."""
    if not arguments.given("region"):
        arguments.refuse("region", "is needed: one of Google's regions, such as europe-west1", shown=False)
        return ""
    region = arguments.text("region", "", _REGION, "must be one of Google's regions, such as europe-west1")
    if region:
        warn_of_region(region, REGIONS, "Google's")
    return region
