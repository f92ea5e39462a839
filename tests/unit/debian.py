"""Programs of the tests' Debian in a network and with processes of their own, over the files of a test's folder in /mnt."""

from __future__ import annotations

import subprocess
from pathlib import Path

from availability import unavailable
from unit.servers import find_programs

_SCRIPT = 'set -e; ip link set lo up; mount --bind "$2" "$1/mnt"; mount -t proc proc "$1/proc"; exec chroot "$1" sh -ec "cd /mnt; $3"'


def run(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Runs a shell script there; all that it has started ends with it."""
    root = find_programs("redis").root
    if not root:
        unavailable("it takes root to use another Debian's programs")
    alone = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--"]
    return subprocess.run(
        [*alone, "sh", "-c", _SCRIPT, "sh", str(root), str(folder), script], capture_output=True, text=True, timeout=120, cwd=folder
    )
