"""One module per topology, each with a `deploy()`; imported only when chosen, so no stack needs another's cloud SDK."""

import importlib

import pulumi
from pulumi_caches.arguments import suggest

TOPOLOGIES = ["in_cluster", "operator", "aws", "azure", "gcp"]


def deploy(topology: str) -> None:
    """Deploys one topology. Raises pulumi.RunError for a name that there is not."""
    if topology not in TOPOLOGIES:
        known = ", ".join(TOPOLOGIES)
        raise pulumi.RunError(f"caches:topology = {topology!r}: must be one of {known}{suggest(topology, TOPOLOGIES)}")
    importlib.import_module(f"stacks.{topology}").deploy()
