"""Caches in Google Cloud."""

from pulumi_caches.gcp.memorystore import Memorystore, MemorystoreArgs
from pulumi_caches.gcp.network import GcpNetwork, GcpNetworkArgs

__all__ = ["GcpNetwork", "GcpNetworkArgs", "Memorystore", "MemorystoreArgs"]
