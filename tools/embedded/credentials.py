"""Who may talk to the API server and how: tokens, keys and the files that hold them. Made once, kept until `down`."""

from __future__ import annotations

import base64
import json
import secrets
from pathlib import Path

from common.console import run

from embedded.layout import API_SERVER, MAX_NODES, Layout

ADMINISTRATOR = "administrator"
FRONT_PROXY = "front-proxy"
_GROUPS_OF_USERS = {
    ADMINISTRATOR: ("administrator", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
    "kube-proxy": ("system:kube-proxy", ""),
    "coredns": ("coredns", "system:masters"),
    "volumes": ("volumes", "system:masters"),
    **{f"node-{number}": (f"system:node:node-{number}", "system:nodes") for number in range(1, MAX_NODES + 1)},
}


def token_file(layout: Layout) -> Path:
    return layout.secrets / "tokens.csv"


def service_account_key(layout: Layout) -> Path:
    return layout.secrets / "service-accounts.key"


def kubelet_client(layout: Layout) -> tuple[Path, Path]:
    """Certificate and key with which the API server calls the kubelets."""
    return layout.secrets / "kubelet-client.crt", layout.secrets / "kubelet-client.key"


def front_proxy(layout: Layout) -> tuple[Path, Path]:
    """The same, for calling API servers that extend this one (metrics, for example)."""
    return layout.secrets / "front-proxy.crt", layout.secrets / "front-proxy.key"


def serving_certificate(layout: Layout) -> Path:
    """The API server makes it itself when it starts for the first time."""
    return layout.secrets / "apiserver.crt"


def kubeconfig(layout: Layout, component: str) -> Path:
    return layout.kubeconfig if component == ADMINISTRATOR else layout.secrets / f"{component}.kubeconfig"


def make(layout: Layout) -> None:
    """Makes what is missing."""
    layout.secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
    tokens = token_file(layout)
    if not tokens.exists():
        rows = [f'{secrets.token_hex(32)},{user},{user},"{group}"' for user, group in _GROUPS_OF_USERS.values()]
        write(tokens, "\n".join(rows) + "\n")
    key = service_account_key(layout)
    if not key.exists():
        run(["openssl", "genrsa", "-out", _unfinished(key), "2048"])
        _unfinished(key).replace(key)
    _make_client(*kubelet_client(layout), "/O=system:masters/CN=kube-apiserver-kubelet-client")
    _make_client(*front_proxy(layout), f"/CN={FRONT_PROXY}")


def _make_client(certificate: Path, key: Path, subject: str) -> None:
    """Self-signed, and whoever is called trusts this one certificate: an authority above it would sign nothing else."""
    if not certificate.exists():
        files = ["-keyout", str(key), "-out", str(_unfinished(certificate))]
        run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", subject, *files])
        _unfinished(certificate).replace(certificate)


def write_kubeconfigs(layout: Layout) -> None:
    """Needs the certificate that the API server makes."""
    tokens = dict(zip(_GROUPS_OF_USERS, (row.split(",")[0] for row in token_file(layout).read_text().splitlines()), strict=True))
    for component, token in tokens.items():
        configuration = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": layout.instance,
                    "cluster": {
                        "server": API_SERVER,
                        "certificate-authority-data": base64.b64encode(serving_certificate(layout).read_bytes()).decode(),
                    },
                }
            ],
            "users": [{"name": component, "user": {"token": token}}],
            "contexts": [{"name": layout.instance, "context": {"cluster": layout.instance, "user": component}}],
            "current-context": layout.instance,
        }
        write(kubeconfig(layout, component), json.dumps(configuration, indent=2) + "\n")


def write(file: Path, text: str) -> None:
    """Whole or not at all, and readable by nobody else at any moment."""
    unfinished = _unfinished(file)
    unfinished.touch(mode=0o600)
    unfinished.write_text(text)
    unfinished.replace(file)


def _unfinished(file: Path) -> Path:
    return file.with_name(f".{file.name}.unfinished")
