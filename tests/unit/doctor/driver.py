"""Asks one server as `caches doctor` does, in whatever network this is run in; what it is given and prints is JSON."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from caches_runtime.ops.doctor.asking import Asking
from caches_runtime.ops.migrate.link import Endpoint


def main(given: dict[str, Any]) -> None:
    @contextmanager
    def way() -> Iterator[tuple[str, int]]:
        yield given["host"], given["port"]

    with tempfile.TemporaryDirectory() as folder:
        authority = None
        if given["ca_pem"]:
            authority = Path(folder, "ca.crt")
            authority.write_text(given["ca_pem"])
        login = Endpoint("", 0, given["username"], given["password"], authority is not None, authority=authority)
        asking = Asking(given["engine"], given["mode"], login, "cache")
        print(json.dumps(asdict(getattr(asking, given["what"])("pod", way))))


if __name__ == "__main__":
    main(json.load(sys.stdin))
