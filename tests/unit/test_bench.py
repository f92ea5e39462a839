"""What the benches of failovers make of their runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench import gaps
from bench.gaps import Bench, Case, Sample

PEER = "peer 1.0"


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(gaps, "RESULTS", tmp_path)
    return tmp_path


def bench(*cases: Case[Any]) -> Bench[Any]:
    @contextmanager
    def counter() -> Iterator[list[float]]:
        yield [0.1, 0.2, 0.3, 0.4, 9.0]

    return Bench("example", "An example.", counter, cases, (PEER,))


def next_gap(left: list[float]) -> dict[str, Sample]:
    return {"service": Sample(left.pop(0), written=100, lost=1, failed=2)}


def interrupted(left: list[float]) -> dict[str, Sample]:
    if len(left) < 4:
        raise KeyboardInterrupt
    return next_gap(left)


def kept(results: Path) -> Any:
    [file] = results.glob("*-example.json")
    return json.loads(file.read_text())


def test_each_client_has_a_line_beside_the_aim_and_the_peers(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gaps.main(bench(Case("killed", next_gap, {"service": 2.5}, {PEER: "35 s"})), ["--runs", "5"])
    header, line, _ = capsys.readouterr().out.splitlines()
    assert header.split() == ["CASE", "CLIENT", "RUNS", "P50", "P95", "LONGEST", "AIM,", "P95", "WRITTEN", "LOST", "FAILED", "PEER", "1.0"]
    figures = ["5", "0.30", "s", "7.28", "s", "9.00", "s", "2.5", "s:", "MISSED", "500", "5", "10"]
    assert line.split() == ["killed", "service", *figures, "35", "s"]


def test_only_the_cases_that_were_chosen_run(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gaps.main(bench(Case("killed", next_gap), Case("stopped", next_gap)), ["--runs", "2", "--case", "stopped", "--json"])
    assert json.loads(capsys.readouterr().out) == kept(results)
    assert {case: len(kinds["service"]) for case, kinds in kept(results)["samples"].items()} == {"stopped": 2}


def test_what_was_measured_before_an_interruption_is_kept_and_shown(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gaps.main(bench(Case("killed", interrupted)), ["--runs", "5"])
    assert [sample["seconds"] for sample in kept(results)["samples"]["killed"]["service"]] == [0.1, 0.2]
    assert "killed" in capsys.readouterr().out
