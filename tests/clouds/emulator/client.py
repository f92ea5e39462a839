"""A client of an emulated cloud's cache, as an application is one: by the exported connection and the runtime."""

from __future__ import annotations

import os
from typing import Any

from caches_runtime.client.connect import connect
from clouds.emulator import entra, iam
from clouds.emulator.cloud import Cloud, Resource
from clouds.emulator.gcp_caches import TOKEN_FILE
from clouds.emulator.servers import AUTHORITIES, address_of

_ASSIGNMENT = ":AccessPolicyAssignment"


def open_client(cloud: Cloud, connection: dict[str, Any], **options: Any) -> Any:
    """Connects. What a cloud's service of identities would sign is the emulator's own; raises LookupError where nobody may log in."""
    given = dict(connection)
    if given["tls"] and "ca_pem" not in given:
        # An authority that this machine does not trust, as it does the cloud's.
        given["ca_pem"] = (cloud.folder / AUTHORITIES).read_text()
    match given.get("auth"):
        case "iam" if given["provider"] == "gcp":
            del given["auth"]
            options["credentials"] = cloud.folder / TOKEN_FILE
        case "iam":
            os.environ |= {"AWS_ACCESS_KEY_ID": iam.KEY_ID, "AWS_SECRET_ACCESS_KEY": iam.SECRET_KEY}
            # The person's own identity, such as that of a session, has no part in it.
            for name in ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"):
                os.environ.pop(name, None)
        case "entra":
            os.environ |= entra.identity(cloud.folder, _principal(cloud, given["host"]))
    return connect(given, **options)


def _principal(cloud: Cloud, host: str) -> str:
    """Somebody whom a cache lets in."""
    for resource in cloud.everything():
        if resource.token.endswith(_ASSIGNMENT) and address_of(cloud.folder, _cache_of(resource)) == host:
            return str((resource.inputs.get("user") or resource.inputs)["objectId"])
    raise LookupError("nobody may log in: name somebody in azure_principals")


def _cache_of(assignment: Resource) -> str:
    return assignment.id.partition("/accessPolicyAssignments/")[0].partition("/databases/")[0]
