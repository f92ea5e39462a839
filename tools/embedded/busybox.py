"""The image that holds a pod's namespaces and makes its volumes: a static busybox and nothing else."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
import tempfile
from pathlib import Path

from common import paths
from common.console import Failure, run

from embedded import oci

BUSYBOX = "caches.test/busybox:1"
VOLUME_COMMAND = "/bin/volume"
# Called by the local-path-provisioner, which also gives a size and a mode; folders have no size. Everybody may write, as
# Kubernetes gives a host's folder to no group, and caches don't run as root.
_VOLUME_SCRIPT = """#!/bin/sh
while getopts p:s:m:a: option; do
    case $option in
    p) folder=$OPTARG ;;
    a) action=$OPTARG ;;
    esac
done
case $action in
create) mkdir -p "$folder" && chmod 0777 "$folder" ;;
delete) rm -rf "$folder" ;;
esac
"""
# The first process of a container takes no signal that it has not asked for, so a plain `sleep` would have to be killed.
_HOLD = ["/bin/sh", "-c", "trap 'exit 0' TERM; sleep infinity & wait"]


def archive() -> Path:
    """The image's archive, made if the cache lacks it."""
    binary = Path(shutil.which("busybox") or "")
    if not binary.is_file():
        raise Failure("`busybox` is not on PATH: install busybox-static")
    recipe = hashlib.sha256(binary.read_bytes() + Path(__file__).read_bytes() + Path(oci.__file__).read_bytes())
    target = paths.cache() / "images" / f"busybox-{recipe.hexdigest()[:16]}.tar"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".busybox-") as scratch:
            unfinished = Path(scratch, "image.tar")
            oci.write(unfinished, BUSYBOX, lambda tar: _fill(tar, binary), {"Cmd": _HOLD, "Env": ["PATH=/bin"]})
            unfinished.replace(target)
    return target


def _fill(tar: tarfile.TarFile, binary: Path) -> None:
    for folder, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777)):
        member = tarfile.TarInfo(folder)
        member.type, member.mode = tarfile.DIRTYPE, mode
        tar.addfile(member)
    _add(tar, "bin/busybox", binary.read_bytes())
    _add(tar, VOLUME_COMMAND.lstrip("/"), _VOLUME_SCRIPT.encode())
    for applet in run([binary, "--list"]).stdout.split():
        if applet != "busybox":
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o755
    tar.addfile(member, io.BytesIO(content))
