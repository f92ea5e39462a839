"""What is copied between emulated caches, by the library's own replicator: where engines would not do it, and of clusters."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from clouds.emulator.servers import ADMIN, Place


def start_mesh(folder: Path, places: list[Place]) -> list[int]:
    """Has caches follow each other. Conflicts end otherwise than at Azure. Returns processes."""
    return _start(folder, [("--mesh", place) for place in places])


def start_following(folder: Path, source: Place, target: Place) -> list[int]:
    """Has a cache follow another one; goes on with what is in the folder. Returns processes."""
    return _start(folder, [("--from", source), ("--to", target)])


def copy(folder: Path, source: Place, target: Place) -> None:
    """Copies all keys, once. Raises RuntimeError when not every one could be."""
    done = subprocess.run(
        [*_command(folder, [("--from", source), ("--to", target)]), "--once", "--json"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    said = done.stdout.splitlines()
    if done.returncode or json.loads(said[-1])["errors"]:
        raise RuntimeError(f"what is in {source.address} could not be copied: {done.stdout}{done.stderr}")


def _start(folder: Path, sites: list[tuple[str, Place]]) -> list[int]:
    command = [*_command(folder, sites), "--sweep-seconds=1"]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    return [process.pid]


def _command(folder: Path, sites: list[tuple[str, Place]]) -> list[str]:
    folder.mkdir(exist_ok=True)
    words = []
    for option, place in sites:
        file = folder / f"{place.address}.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(_connection(place)))
        words.append(f"{option}={file}")
    state = folder / "-".join(sorted(place.address for _, place in sites))
    caches = str(Path(sys.executable).with_name("caches"))
    return [caches, "replicate", "run", *words, f"--state={state}", "--into-non-empty"]


def _connection(place: Place) -> dict[str, Any]:
    return {
        "engine": place.engine,
        "mode": "cluster" if place.shards else "standalone",
        "host": place.address,
        "port": place.port,
        "username": ADMIN,
        "password": place.admin_password,
        "tls": place.tls,
        "ca_pem": (place.folder / "ca.crt").read_text(),
    }
