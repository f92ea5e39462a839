"""Takes the samples: ours and plain in turn, so that whatever else the machine does falls on both."""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from engine.program import Program

from bench import CHECKOUT

PROGRAMS = CHECKOUT / "bench" / "programs"
PACKAGE = CHECKOUT / "components" / "pulumi_caches"
SIDES = ("ours", "plain")
# With its state in files the engine writes all of it after each resource: quadratic, the same for both sides, and with 100
# caches minutes that would hide what is measured. Written once at the end, ours shows at its worst.
ENGINE = {"PULUMI_EXPERIMENTAL": "true", "PULUMI_SKIP_CHECKPOINTS": "true"}
IMPORTS = {
    "ours": "import pulumi_kubernetes, pulumi_caches, pulumi_caches.kubernetes",
    "plain": "import pulumi_kubernetes",
}
CORE_IMPORT = "import pulumi_caches"


@dataclass
class Samples:
    """Seconds of one thing that was measured, as they came."""

    wall: list[float] = field(default_factory=list)
    user_cpu: list[float] = field(default_factory=list)


Measured = dict[str, Samples]


@contextmanager
def library() -> Iterator[Path]:
    """A copy of the package to measure: an edit meanwhile would mix two states of it in one result."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        shutil.copytree(PACKAGE, Path(folder, PACKAGE.name))
        yield Path(folder)


def programs(library: Path, count: int, runs: int, tell: Callable[[str], None]) -> dict[str, Measured]:
    """`preview`, `up` and `preview again` of `count` caches, by side. Raises RuntimeError when the sides render different things."""
    measured: dict[str, Measured] = {what: {side: Samples() for side in SIDES} for what in ("preview", "up", "preview again")}
    # The first round only warms the file cache and the compiled modules, and is compared.
    for run in range(runs + 1):
        rendered = {}
        for side in reversed(SIDES) if run % 2 else SIDES:
            tell(f"{count} caches, {f'run {run} of {runs}' if run else 'warming up'}, {side}")
            with _program(side, count, library) as program:
                for what, command in (("preview", program.preview), ("up", program.up), ("preview again", program.preview)):
                    samples = _timed(command)
                    if run:
                        measured[what][side].wall += samples.wall
                        measured[what][side].user_cpu += samples.user_cpu
                if not run:
                    rendered[side] = _content(program)
                    _keep_files(program, library)
        if not run and rendered["ours"] != rendered["plain"]:
            raise RuntimeError(f"the comparison is not fair: the programs differ in {_difference(rendered['ours'], rendered['plain'])}")
    return measured


def imports(runs: int) -> dict[str, Samples]:
    """Importing in fresh interpreters: what a program needs anyway (`plain`), with ours, and ours without a platform (`core`)."""
    measured = {"ours": Samples(), "plain": Samples(), "core": Samples()}
    for run in range(runs + 1):
        for name, statement in {**IMPORTS, "core": CORE_IMPORT}.items():
            code = f"import time; start = time.perf_counter(); {statement}; print(time.perf_counter() - start, time.process_time())"
            printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
            if run:
                wall, cpu = map(float, printed.split())
                measured[name].wall.append(wall)
                measured[name].user_cpu.append(cpu)
    return measured


@contextmanager
def _program(side: str, count: int, library: Path) -> Iterator[Program]:
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder = Path(scratch, "program")
        shutil.copytree(PROGRAMS / side, folder)
        environment = {"BENCH_COUNT": str(count), "BENCH_FILES": str(library / "files"), "PYTHONPATH": str(library)}
        yield Program(folder, Path(scratch), {**ENGINE, **environment})


def _timed(command: Callable[[], object]) -> Samples:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime, time.perf_counter()
    command()
    wall = time.perf_counter() - start
    return Samples([wall], [resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before])


def _content(program: Program) -> dict[str, str]:
    """Every manifest, and how many resources of each kind are in the state; what may differ is taken out."""
    manifests = {}
    for path in (program.folder / "rendered" / "1-manifest").iterdir():
        text = re.sub(r"(-config)-[0-9a-f]{10}\b", r"\1", path.read_text())
        name = re.sub(r"(-config)-[0-9a-f]{10}\b", r"\1", path.name)
        manifests[name] = re.sub(r"^(  (?:system-)?password): \S+$", r"\1: PASSWORD", text, flags=re.MULTILINE)
    kinds = Counter(entry["type"] for entry in program.export() if not entry["type"].startswith("caches:"))
    return {**manifests, "state": str(sorted(kinds.items()))}


def _keep_files(program: Program, library: Path) -> None:
    """Keeps what a ConfigMap holds, for the plain program: its text is no part of the comparison."""
    manifest = next((program.folder / "rendered" / "1-manifest").glob("v1-configmap-*"))
    (library / "files").mkdir(exist_ok=True)
    for name, text in yaml.safe_load(manifest.read_text())["data"].items():
        (library / "files" / name).write_text(text)


def _difference(ours: dict[str, str], plain: dict[str, str]) -> str:
    different = sorted(name for name in ours.keys() | plain.keys() if ours.get(name) != plain.get(name))
    return f"{len(different)} manifests, such as {different[0]}"
