"""A Debian with all the programs the stacks run, as a folder for chroot; image.py makes the nodes' image of it."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from common import go_build, paths
from common.console import run, step
from common.locking import locked

from embedded import machine

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
    "prometheus",
    "prometheus-blackbox-exporter",
    "python3",
)
# Debian has none for Memcached, and an old one for Redis. By module: where the official images have them.
_EXPORTERS = {"memcached-exporter": "bin/memcached_exporter", "redis-exporter": "redis_exporter"}
_KEPT = 3
# As in the official images: this user, this folder.
_USER = 999
WORK_FOLDER = "/data"
_FINISH = f"""
set -e
groupmod --gid {_USER} redis
usermod --uid {_USER} --gid {_USER} redis
chown --recursive redis:redis /etc/redis /var/lib/redis /var/log/redis
install --directory --owner=redis --group=redis {WORK_FOLDER}
ln --symbolic /usr/bin/prometheus-blackbox-exporter /bin/blackbox_exporter
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/*.log
rm -rf /usr/share/doc /usr/share/man /usr/share/locale /usr/share/info
"""


def folder() -> Path:
    """The Debian's root; made if the cache lacks it, with what this takes. Needs root."""
    machine.install_missing()
    exporters = go_build.build(_EXPORTERS)
    recipe = Path(__file__).read_bytes() + "".join(folder.name for folder in exporters.values()).encode()
    return cached_folder("debian", recipe, "building the Debian (once)", lambda target: _build(target, exporters))


def cached_folder(name: str, recipe: bytes, what: str, build: Callable[[Path], None]) -> Path:
    """A folder of the cache that `build` has filled; the ones made from older recipes are removed."""
    images = paths.cache() / "images"
    target = images / f"{name}-{hashlib.sha256(recipe).hexdigest()[:16]}"
    if target.exists():
        target.touch()
        return target
    with locked(images / f"{name}.lock", what):
        if not target.exists():
            for abandoned in images.glob(f".{name}-*"):
                shutil.rmtree(abandoned)
            with step(what), tempfile.TemporaryDirectory(dir=images, prefix=f".{name}-") as scratch:
                finished = Path(scratch, "finished")
                finished.mkdir()
                build(finished)
                finished.rename(target)
            # Another checkout may be using the one it made from its own recipe.
            for old in sorted(images.glob(f"{name}-*"), key=lambda path: path.stat().st_mtime)[:-_KEPT]:
                shutil.rmtree(old)
    return target


def _build(rootfs: Path, exporters: dict[str, Path]) -> None:
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    # What is mounted for the build is mounted for these commands only, so that nothing can stay mounted.
    alone = ["unshare", "--mount", "--"]
    include = ",".join(_PACKAGES)
    run([*alone, "debootstrap", "--variant=minbase", f"--include={include}", _RELEASE, rootfs], env=environment)
    run([*alone, "chroot", rootfs, "sh", "-c", _FINISH], env={**environment, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    for module, place in _EXPORTERS.items():
        shutil.copy(exporters[module] / module, rootfs / place)
