"""What Google answers when a Memorystore was made, by service."""

from __future__ import annotations

from typing import Any

AUTHORITY = "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----"
MANAGED = [{"caCerts": [{"certificates": [AUTHORITY, AUTHORITY]}]}]


def endpoint(kind: str, address: str) -> dict[str, Any]:
    return {"pscAutoConnection": {"connectionType": f"CONNECTION_TYPE_{kind}", "ipAddress": address, "port": 6379}}


ANSWERS: dict[str, dict[str, Any]] = {
    "valkey": {
        "endpoints": [{"connections": [endpoint("READER", "10.0.0.3"), endpoint("PRIMARY", "10.0.0.2")]}],
        "managedServerCas": MANAGED,
    },
    "valkey-cluster": {"endpoints": [{"connections": [endpoint("DISCOVERY", "10.0.0.4")]}], "managedServerCas": MANAGED},
    "redis-cluster": {"discoveryEndpoints": [{"address": "10.0.0.4", "port": 6379}], "managedServerCas": MANAGED},
    "redis": {
        "host": "10.0.0.5",
        "port": 6378,
        "readEndpoint": "10.0.0.6",
        "readEndpointPort": 6378,
        "authString": "its-password",
        "serverCaCerts": [{"cert": AUTHORITY}],
    },
    "memcached": {"memcacheNodes": [{"host": "10.0.0.7", "port": 11211}, {"host": "10.0.0.8", "port": 11211}]},
}
