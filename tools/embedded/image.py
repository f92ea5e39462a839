"""The nodes' one image: the Debian, and in it what the runtime image has (runtime/Dockerfile), built without Docker."""

from __future__ import annotations

import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

from common import paths
from common.console import run

from embedded import oci, rootfs

NAME = "caches.test/debian:trixie"
_RUNTIME = paths.CHECKOUT / "runtime"
# The Debian's Python, and where it looks for packages.
_PYTHON = "3.13"
_PACKAGES = Path("usr/local/lib/python3.13/dist-packages")
# By the Debian's Python and at build time, because a pod's root can't be written.
_COMPILE = 'mount --bind "$1" "$2/mnt" && exec chroot "$2" python3 -m compileall -q -s /mnt -p / /mnt'
# The container runtime fills these.
_EMPTY = ("dev", "proc", "sys", "run", "tmp")


def archive() -> Path:
    """The image's archive; made if the cache lacks it."""
    debian = rootfs.folder()
    sources = [Path(__file__), Path(oci.__file__), paths.CHECKOUT / "constraints.txt", _RUNTIME / "pyproject.toml"]
    sources += sorted((_RUNTIME / "caches_runtime").rglob("*.py"))
    recipe = b"".join(str(source.relative_to(paths.CHECKOUT)).encode() + source.read_bytes() for source in sources)
    made = rootfs.cached_folder("image", recipe + debian.name.encode(), "building the image", lambda target: _build(target, debian))
    return made / "image.tar"


def _build(target: Path, debian: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target) as scratch:
        runtime = Path(scratch, "runtime")
        _install(runtime / _PACKAGES, Path(scratch, "venv"))
        run(["unshare", "--mount", "--", "sh", "-c", _COMPILE, "sh", runtime, debian])
        configuration = {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "WorkingDir": rootfs.WORK_FOLDER,
        }

        def fill(tar: tarfile.TarFile) -> None:
            tar.add(debian, ".", filter=_without_runtime_files)
            tar.add(runtime, ".", filter=_owned_by_root)

        oci.write(target / "image.tar", NAME, fill, configuration)


def _install(packages: Path, venv: Path) -> None:
    """The runtime and what it needs, as wheels for the Debian's Python, whatever this machine's is."""
    run([sys.executable, "-m", "venv", venv])
    pip: list[str | Path] = [venv / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run([*pip, "wheel", "--no-deps", "--wheel-dir", venv, _RUNTIME])
    [wheel] = venv.glob("caches_runtime-*.whl")
    for_debian: list[str | Path] = ["--target", packages, "--python-version", _PYTHON, "--only-binary=:all:", "--no-compile"]
    run([*pip, "install", *for_debian, "--constraint", paths.CHECKOUT / "constraints.txt", wheel])
    binary = packages.parents[2] / "bin"
    binary.mkdir()
    shutil.move(packages / "bin" / "caches", binary)
    (binary / "caches").write_text("#!/usr/bin/python3\nfrom caches_runtime.cli import main\n\nmain()\n")
    shutil.rmtree(packages / "bin")


def _owned_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def _without_runtime_files(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    parts = Path(member.name).parts
    return None if len(parts) > 1 and parts[0] in _EMPTY else member
