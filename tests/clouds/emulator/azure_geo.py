"""Active geo-replication of the emulator: the library's own replicator, as a mesh of the members. Conflicts end otherwise than at Azure."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from clouds.emulator.servers import ADMIN, Place, stop


def replicate(folder: Path, places: list[Place], running: list[int]) -> list[int]:
    """Ends a group's replicator and starts one for its members of now: places. Returns processes."""
    stop(running)
    if len(places) < 2:
        return []
    folder.mkdir(exist_ok=True)
    files = []
    for place in places:
        file = folder / f"{place.address}.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(_connection(place)))
        files.append(f"--mesh={file}")
    state = folder / "-".join(sorted(place.address for place in places))
    caches = str(Path(sys.executable).with_name("caches"))
    command = [caches, "replicate", "run", *files, f"--state={state}", "--into-non-empty", "--sweep-seconds=1"]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    return [process.pid]


def _connection(place: Place) -> dict[str, Any]:
    return {
        "engine": "redis",
        "mode": "cluster" if place.shards else "standalone",
        "host": place.address,
        "port": place.port,
        "username": ADMIN,
        "password": place.admin_password,
        "tls": place.tls,
        "ca_pem": (place.folder / "ca.crt").read_text(),
        "provider": "azure",
    }
