"""What a pod may ask of the API server: a service account of its own, and the token for the one container that needs it."""

from typing import Any

import pulumi
import pulumi_kubernetes as k8s

TOKEN_MOUNT = {"name": "token", "mount_path": "/var/run/secrets/kubernetes.io/serviceaccount", "read_only": True}


def token_volume() -> dict[str, Any]:
    """The service account's token; a volume of its own, because only one container gets it."""
    return {
        "name": "token",
        "projected": {
            "default_mode": 0o440,
            "sources": [
                {"service_account_token": {"path": "token", "expiration_seconds": 3607}},
                {"config_map": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downward_api": {"items": [{"path": "namespace", "field_ref": {"field_path": "metadata.namespace"}}]}},
            ],
        },
    }


def make_rights(name: str, metadata: dict[str, Any], rules: list[dict[str, Any]], opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    """Creates the service account, and what it may in its namespace; all named as `metadata` says."""
    account = k8s.core.v1.ServiceAccount(name, metadata=metadata, automount_service_account_token=False, opts=opts)
    role = k8s.rbac.v1.Role(name, metadata=metadata, rules=rules, opts=opts)
    binding = k8s.rbac.v1.RoleBinding(
        name,
        metadata=metadata,
        role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "Role", "name": metadata["name"]},
        subjects=[{"kind": "ServiceAccount", "name": metadata["name"], "namespace": metadata["namespace"]}],
        opts=opts,
    )
    return [account, role, binding]
