"""Who may log in by Microsoft Entra ID, and who may not."""

import re

import pulumi

from pulumi_caches.arguments import Arguments

# Names of assignments in Azure's REST API.
_NAME = re.compile(r"[A-Za-z0-9]{1,60}")
_OBJECT_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def read_principals(arguments: Arguments, *, entra: bool) -> dict[str, pulumi.Input[str]]:
    """Reads `azure_principals`: object ids by names of one's own."""
    principals = arguments.value("azure_principals", {})
    if not isinstance(principals, dict):
        arguments.refuse("azure_principals", "must be a mapping of names to object ids")
        return {}
    for name, object_id in principals.items():
        if not _NAME.fullmatch(str(name)):
            arguments.refuse("azure_principals", f"{name!r} must be 1 to 60 letters and digits")
        if isinstance(object_id, str) and not _OBJECT_ID.fullmatch(object_id):
            arguments.refuse("azure_principals", f"{object_id!r} is not the object id of a user, an application or a managed identity")
    if principals and not entra:
        arguments.refuse("azure_principals", "log in by Entra: leave out auth, or these")
    return dict(principals)
