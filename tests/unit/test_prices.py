"""The table of list prices."""

from __future__ import annotations

import pytest
from pulumi_caches.prices import monthly_usd, price, prices, said


def test_every_price_is_positive_dated_and_from_somewhere_and_there_once() -> None:
    assert {each.provider for each in prices()} == {"aws", "azure", "gcp"}
    assert all(each.usd > 0 and each.source and each.unit in ("node-hour", "gb-hour") for each in prices())
    keys = [(each.provider, each.service, each.sku, each.region) for each in prices()]
    assert len(keys) == len(set(keys))


def test_valkey_costs_four_fifths_of_redis_on_nodes_of_aws() -> None:
    redis = [each for each in prices() if each.service == "redis"]
    assert len(redis) > 5
    for each in redis:
        valkey = price("aws", "valkey", each.sku, each.region)
        assert valkey is not None
        assert valkey.usd == pytest.approx(each.usd * 0.8, abs=0.0005)


@pytest.mark.parametrize(
    ("provider", "service", "sku", "region", "nodes", "monthly"),
    [
        ("aws", "valkey", "cache.t4g.small", "us-east-1", 2, 37.38),
        ("azure", "managed-redis", "Balanced_B1", "eastus", 2, 46.72),
        ("gcp", "valkey", "CUSTOM_PICO", "us-central1", 2, 44.97),
    ],
)
def test_a_month_has_730_hours(provider: str, service: str, sku: str, region: str, nodes: int, monthly: float) -> None:
    assert monthly_usd(price(provider, service, sku, region), nodes) == monthly


def test_what_is_not_known_is_not_guessed() -> None:
    unknown = price("aws", "valkey", "cache.t4g.small", "eu-west-1")
    assert unknown is None
    assert monthly_usd(unknown, 2) is None
    assert "not known" in said(unknown, 2)
    assert said(price("azure", "managed-redis", "Balanced_B3", "eastus"), 2).startswith("about 94.90 USD a month")
