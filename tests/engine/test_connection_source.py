"""`connect("pulumi://…")`: a stack's secret output, read by the real engine from a folder's state."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from caches_runtime import SourceError, connect
from engine.program import STACK, Program
from unit.client.processes import PASSWORD, Processes, processes

pytestmark = pytest.mark.engine

PROGRAM = """
name: shop
runtime: yaml
outputs:
  connection:
    fn::secret:
      engine: redis
      mode: standalone
      host: {host}
      port: 6379
      password: {password}
  number: 5
"""


@pytest.fixture
def server() -> Iterator[Processes]:
    with processes() as made:
        made.serve(1)
        yield made


def test_a_stacks_output_is_connected_to(server: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "program"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text(PROGRAM.format(host=server.host(1), password=PASSWORD))
    program = Program(folder, tmp_path)
    program.up()
    assert PASSWORD not in json.dumps(program.export())
    # What reads it is not the program, nor in its folder.
    for name, value in program.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir("/")
    for source in (f"pulumi://shop/{STACK}#connection", f"pulumi://organization/shop/{STACK}#connection"):
        assert connect(source).ping()
    for output, told in (("other", "`pulumi stack output` failed: .*other"), ("number", "no connection: a ")):
        with pytest.raises(SourceError, match=told) as caught:
            connect(f"pulumi://shop/{STACK}#{output}")
        assert PASSWORD not in str(caught.value)
    with pytest.raises(SourceError, match="`pulumi stack output` failed"):
        connect("pulumi://shop/nowhere#connection")
    program.destroy()
