"""A Debian with all the programs the stacks run: as a folder for chroot, and as an image for the nodes."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
from pathlib import Path

from embedded import go_build, oci, paths
from embedded.console import run, step
from embedded.locking import locked

DEBIAN = "caches.test/debian:trixie"
_RELEASE = "trixie"
_PACKAGES = (
    "redis-server",
    "redis-sentinel",
    "redis-tools",
    "valkey-server",
    "valkey-sentinel",
    "valkey-tools",
    "memcached",
    "haproxy",
    "prometheus-redis-exporter",
)
# Debian has none for Memcached.
_EXPORTER = "memcached-exporter"
# As in the official images: this user, this folder.
_USER = 999
_WORK_FOLDER = "/data"
_FINISH = f"""
set -e
groupmod --gid {_USER} redis
usermod --uid {_USER} --gid {_USER} redis
chown --recursive redis:redis /etc/redis /var/lib/redis /var/log/redis
install --directory --owner=redis --group=redis {_WORK_FOLDER}
ln --symbolic /usr/bin/prometheus-redis-exporter /redis_exporter
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/*.log
rm -rf /usr/share/doc /usr/share/man /usr/share/locale /usr/share/info
"""
# The container runtime fills these.
_EMPTY_IN_IMAGE = ("dev", "proc", "sys", "run", "tmp")


def folder() -> Path:
    """Holds `rootfs` and `image.tar`; made if the cache lacks it."""
    images = paths.cache() / "images"
    exporter = go_build.build([_EXPORTER])[_EXPORTER]
    recipe = hashlib.sha256(Path(__file__).read_bytes() + Path(oci.__file__).read_bytes() + exporter.name.encode())
    target = images / f"debian-{recipe.hexdigest()[:16]}"
    if target.exists():
        return target
    with locked(images / "lock", "the Debian image"):
        if not target.exists():
            for abandoned in images.glob(".debian-*"):
                shutil.rmtree(abandoned)
            with step("building the Debian image (once)"), tempfile.TemporaryDirectory(dir=images, prefix=".debian-") as scratch:
                finished = Path(scratch, "finished")
                finished.mkdir()
                _build(finished, exporter / _EXPORTER)
                finished.rename(target)
    return target


def _build(target: Path, exporter: Path) -> None:
    rootfs = target / "rootfs"
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    # What is mounted for the build is mounted for these commands only, so that nothing can stay mounted.
    alone = ["unshare", "--mount", "--"]
    include = ",".join(_PACKAGES)
    run([*alone, "debootstrap", "--variant=minbase", f"--include={include}", _RELEASE, rootfs], env=environment)
    run([*alone, "chroot", rootfs, "sh", "-c", _FINISH], env={**environment, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    shutil.copy(exporter, rootfs / "bin" / "memcached_exporter")
    configuration = {
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        "WorkingDir": _WORK_FOLDER,
    }
    oci.write(target / "image.tar", DEBIAN, lambda tar: tar.add(rootfs, ".", filter=_without_runtime_files), configuration)


def _without_runtime_files(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    parts = Path(member.name).parts
    return None if len(parts) > 1 and parts[0] in _EMPTY_IN_IMAGE else member
