"""promtool, in a Debian where that can be had, over files of a test's folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

from unit.servers import find_programs

# Its arguments: the Debian, the folder, and what to run there.
_IN_DEBIAN = 'mount --bind "$2" "$1/mnt" && shift && root=$0 && shift && exec chroot "$root" sh -c \'cd /mnt && exec "$@"\' sh "$@"'


def promtool(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs promtool in the folder."""
    root = find_programs("promtool").root
    command = ["promtool", *words]
    if root:
        command = ["unshare", "--mount", "--", "sh", "-c", _IN_DEBIAN, str(root), str(root), str(folder), *command]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
