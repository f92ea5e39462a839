"""What is said when the tool chain or the Python environment can't be made: real builds of a tiny module that really fail."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest
from availability import unavailable
from common import go_build, paths
from driver import python_environment

MAIN = """package main

import "example.com/missing"

func main() { missing.Run() }
"""
# Imports nothing: the standard library would be compiled for it.
WORKING = 'package main\n\nfunc main() { println("works") }\n'
# Builds the module `tiny` of the folder given, as `tools/build` would.
BUILD = """
import sys
from pathlib import Path
from common import console, go_build, paths

paths.TOOLS = Path(sys.argv[1])
go_build.RECIPES["tiny"] = go_build.Recipe(packages=(".",))
try:
    print(*go_build.build(["tiny"]).values())
except console.Failure as error:
    sys.exit(console.fail_with(error))
"""
# In mounts of its own, so that nothing is left of it whatever happens.
_ON_FULL_DISK = 'mount -t tmpfs -o size=256k full-disk "$0" && exec "$@"'


@pytest.fixture(autouse=True)
def go() -> str:
    return shutil.which("go") or unavailable("go is not on PATH")


@cache
def gos_cache() -> str:
    """Go's own, which would follow XDG_CACHE_HOME and be empty."""
    return subprocess.run(["go", "env", "GOCACHE"], capture_output=True, text=True, check=True).stdout.strip()


def build(scratch: Path, *, source: str, prefix: tuple[str, ...] = (), **variables: str) -> subprocess.CompletedProcess[str]:
    """The result of a build into `scratch`/cache."""
    module = scratch / "tools" / "go" / "tiny"
    module.mkdir(parents=True, exist_ok=True)
    (module / "main.go").write_text(source)
    imported = re.search(r'import "(\S+)"', source)
    requires = f"{imported.group(1)} v1.2.3" if imported else ""
    (module / "go.mod").write_text(f"module pulumi-caches/tools/tiny\n\ngo 1.26\n\n{requires and 'require'} {requires}\n")
    sums = "".join(f"{what} h1:{'A' * 43}=\n" for what in (requires, f"{requires}/go.mod"))
    (module / "go.sum").write_text(sums if requires else "")
    settings = {"PYTHONPATH": str(paths.TOOLS), "XDG_CACHE_HOME": str(scratch / "cache"), "GOCACHE": gos_cache(), **variables}
    command = [*prefix, sys.executable, "-c", BUILD, str(scratch / "tools")]
    return subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, timeout=120)


def cached(scratch: Path) -> list[Path]:
    return list((scratch / "cache" / "pulumi-caches" / "bin").iterdir())


def full_disk(folder: Path) -> tuple[str, ...]:
    """What to put before a command for which `folder` shall be a disk that holds next to nothing."""
    if sys.platform != "linux" or os.geteuid() != 0:
        unavailable("a small file system can be mounted only by Linux and root")
    folder.mkdir(parents=True)
    return ("unshare", "--mount", "sh", "-c", _ON_FULL_DISK, str(folder))


def test_a_build_that_works_is_moved_to_the_cache_whole(tmp_path: Path) -> None:
    done = build(tmp_path, source=WORKING)
    assert done.returncode == 0, done.stderr
    (folder,) = cached(tmp_path)
    assert done.stdout == f"{folder}\n"
    assert subprocess.run([folder / "tiny"], capture_output=True, text=True).stderr == "works\n"


def test_two_commands_at_once_build_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        builds = [pool.submit(build, tmp_path, source=WORKING) for _ in range(2)]
        said = [done.result() for done in builds]
    assert [done.returncode for done in said] == [0, 0], said
    assert sum(done.stderr.count("building tiny …") for done in said) == 1
    assert len(cached(tmp_path)) == 1


@pytest.mark.parametrize(
    "proxy",
    ["off", "http://127.0.0.1:9"],  # where nobody listens
)
def test_a_module_that_can_not_be_downloaded_is_named(tmp_path: Path, proxy: str) -> None:
    done = build(tmp_path, source=MAIN, GOPROXY=proxy)
    assert done.returncode == 1
    said = "building tiny failed: the Go module example.com/missing@v1.2.3 could not be downloaded: check the network and GOPROXY"
    assert said in done.stderr
    assert "then run the same command again" in done.stderr
    assert "Traceback" not in done.stderr
    assert cached(tmp_path) == []


def test_without_a_proxy_go_needs_git_and_it_is_said(tmp_path: Path, go: str) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "go").symlink_to(go)
    source = MAIN.replace("example.com", "github.com/example")
    done = build(tmp_path, source=source, GOPROXY="direct", PATH=str(programs))
    assert done.returncode == 1
    assert "building tiny failed: `git` is not on PATH, and without a module proxy Go needs it: install git, or check" in done.stderr
    assert cached(tmp_path) == []


def test_a_disk_that_fills_up_during_a_build_is_named(tmp_path: Path) -> None:
    full = tmp_path / "full"
    done = build(tmp_path, source=WORKING, prefix=full_disk(full), GOTMPDIR=str(full))
    assert done.returncode == 1
    assert f"building tiny failed: the disk is full: free some space ({go_build.DISK_NEEDED_GIB} GiB are needed" in done.stderr
    assert "Traceback" not in done.stderr
    assert cached(tmp_path) == []


def test_a_disk_that_is_too_small_is_refused_before_the_build(tmp_path: Path) -> None:
    small = tmp_path / "cache"
    done = build(tmp_path, source=WORKING, prefix=full_disk(small))
    assert done.returncode == 1
    assert f"error: 0.0 GiB are free for {small}/pulumi-caches, and building the tool chain needs 8 GiB: free some space" in done.stderr
    assert "or set XDG_CACHE_HOME to a larger disk" in done.stderr
    assert "> building" not in done.stderr


@pytest.mark.parametrize(
    ("required", "operator", "definitions"),
    [
        ("github.com/OT-CONTAINER-KIT/redis-operator", "redis-operator", "operator-crds"),
        ("github.com/prometheus-operator/prometheus-operator", "prometheus-operator", "monitoring-crds"),
    ],
)
def test_an_operator_and_its_definitions_are_of_one_version(required: str, operator: str, definitions: str) -> None:
    def pinned(module: str) -> str:
        text = (paths.TOOLS / "go" / module / "go.mod").read_text()
        return "".join(re.findall(rf"{required} (v\S+)", text))

    assert pinned(operator) == pinned(definitions) != ""


def test_the_prometheus_operators_images_are_of_its_version() -> None:
    assert f"prometheus-operator v{go_build.PROMETHEUS_OPERATOR_VERSION} " in (paths.TOOLS / "go/prometheus-operator/go.mod").read_text()


def test_without_go_the_version_that_is_needed_is_named(tmp_path: Path) -> None:
    done = build(tmp_path, source=WORKING, PATH=str(tmp_path))
    assert (done.returncode, done.stderr.partition(" or newer")[0]) == (1, "error: `go` is not on PATH: install Go 1.26")


def test_a_go_that_is_too_old_is_refused_with_its_version(tmp_path: Path) -> None:
    (tmp_path / "go").write_text("#!/bin/sh\necho go version go1.19.8 linux/amd64\n")
    (tmp_path / "go").chmod(0o755)
    done = build(tmp_path, source=WORKING, PATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (1, "error: Go 1.19 is too old: the tool chain needs 1.26 or newer\n")


def test_a_package_that_pip_can_not_find_is_named() -> None:
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "no-such-package==1.0"]
    done = subprocess.run(command, env={**os.environ, "PIP_CONFIG_FILE": os.devnull}, capture_output=True, text=True)
    assert done.returncode == 1
    said = python_environment.explain(done.stderr)
    assert said.startswith("the Python package no-such-package==1.0 could not be downloaded: check the network and pip's index")
    assert "then run the same command again" in said
    assert "ERROR: No matching distribution found" in said


def test_a_full_disk_is_what_pip_is_said_to_fail_of(tmp_path: Path) -> None:
    # pip unpacks to TMPDIR first.
    package = tmp_path / "package"
    package.mkdir()
    (package / "setup.py").touch()
    (package / "large").write_bytes(os.urandom(2**20))
    archive = shutil.make_archive(str(tmp_path / "large-1.0"), "gztar", tmp_path, "package")
    full = tmp_path / "full"
    command = [*full_disk(full), sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "--no-build-isolation", archive]
    done = subprocess.run(command, env={**os.environ, "TMPDIR": str(full), "PIP_CONFIG_FILE": os.devnull}, capture_output=True, text=True)
    assert done.returncode != 0
    assert python_environment.explain(done.stderr).startswith("the disk is full: free some space")
