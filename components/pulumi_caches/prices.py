"""What caches of the clouds cost a month at list prices, where those are known. A price that is not known is never guessed.

The table is prices.json: a row for each price, with its day and where it is from. Prices are of one region for each cloud, on demand.
"""

import functools
import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path

HOURS_PER_MONTH = 730


@dataclass(frozen=True)
class Price:
    """One list price."""

    provider: str
    """aws, azure or gcp."""
    service: str
    """Which of its services, such as valkey."""
    sku: str
    """Size, as the cloud calls it; of Google's Redis instances the smallest GB of the band."""
    region: str
    """Where it holds."""
    unit: str
    """node-hour or gb-hour."""
    usd: float
    """For one unit."""
    as_of: date
    """The day on which it was so."""
    source: str
    """Where it was read."""


@functools.cache
def prices() -> tuple[Price, ...]:
    """The table."""
    rows = json.loads(Path(__file__).with_suffix(".json").read_text())
    return tuple(Price(**{**row, "as_of": date.fromisoformat(row["as_of"])}) for row in rows)


def price(provider: str, service: str, sku: str, region: str) -> Price | None:
    """The list price of a size in a region; None where it is not known."""
    wanted = (provider, service, sku, region)
    return next((each for each in prices() if (each.provider, each.service, each.sku, each.region) == wanted), None)


def monthly_usd(found: Price | None, units: float) -> float | None:
    """US dollars for a month of so many nodes or gigabytes; None where the price is not known."""
    return round(found.usd * units * HOURS_PER_MONTH, 2) if found else None


def said(found: Price | None, units: float) -> str:
    """The same in words, for a stack's output."""
    monthly = monthly_usd(found, units)
    if found is None or monthly is None:
        return "not known: the list price of this size in this region is not in the table"
    return f"about {monthly:.2f} USD a month for servers at the list price of {found.as_of}, without traffic, backups and discounts"
