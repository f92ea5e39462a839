"""What the embedded cluster needs of the machine."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from common.console import Failure, run, step

from embedded.layout import Layout
from embedded.worker import CNI_FOLDERS

_PACKAGES_OF_PROGRAMS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "ip": "iproute2",
    "nft": "nftables",
    "iptables": "iptables",
    "nsenter": "util-linux",
    "mount": "mount",
    "busybox": "busybox-static",
    "debootstrap": "debootstrap",
    "openssl": "openssl",
}
_CNI_PACKAGE = "containernetworking-plugins"
# debootstrap verifies what it downloads with it; only Debian has it without being asked.
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_KEYRING_PACKAGE = "debian-archive-keyring"
_DISK_NEEDED_GIB = 3


def require_root() -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        raise Failure(
            "the embedded cluster needs Linux and root (use sudo): give KUBE_CONTEXT=… for a cluster of your own, or RENDER=1 to write YAML"
        )
    os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"  # not in everybody's, even root's


def prepare(layout: Layout) -> None:
    """Fails for what is missing and can't be helped; installs the rest."""
    install_missing()
    layout.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    free = shutil.disk_usage(layout.state).free / 2**30
    if free < _DISK_NEEDED_GIB:
        raise Failure(
            f"{free:.1f} GiB are free for {layout.state}, and the cluster needs {_DISK_NEEDED_GIB} GiB: "
            "free some space, or set XDG_STATE_HOME to a larger disk"
        )


def install_missing() -> None:
    """The programs that the cluster and the building of its image take. Needs root."""
    missing = _missing()
    if missing:
        _install(missing)


def _missing() -> dict[str, str]:
    """What is missing, and the package it is in."""
    missing = {program: package for program, package in _PACKAGES_OF_PROGRAMS.items() if not shutil.which(program)}
    if not any((folder / "bridge").exists() for folder in CNI_FOLDERS):
        missing["the CNI plug-ins"] = _CNI_PACKAGE
    if not _KEYRING.exists():
        missing[str(_KEYRING)] = _KEYRING_PACKAGE
    return missing


def _install(missing: dict[str, str]) -> None:
    packages = sorted(set(missing.values()))
    if not shutil.which("apt-get"):
        raise Failure(f"{', '.join(missing)} missing: install what Debian calls {' '.join(packages)}, then run this again")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with step(f"installing {' '.join(packages)}"):
        run(["apt-get", "-qq", "update"], env=environment)
        run(
            ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", "install", "--yes", "--no-install-recommends", *packages],
            env=environment,
        )
