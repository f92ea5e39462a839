"""Measures what the components cost against the same objects written by hand with pulumi_kubernetes, and how long clients wait."""

import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
# The engine is found by the tools and run as the tests run it, and so is the cluster.
sys.path[:0] = [str(CHECKOUT / folder) for folder in ("tools", "tests")]
