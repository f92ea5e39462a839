"""What differs between two caches, and its repair."""

from __future__ import annotations

import json
from pathlib import Path

from unit.migrate.servers import PASSWORD, fill, server
from unit.replication.sites import equal, of


def test_differences_of_every_kind_and_their_repair(tmp_path: Path) -> None:
    with server("redis") as one, server("valkey") as other:
        for each in (one, other):
            fill(each, 1200)
            each.ask("FLUSHDB", database=3)
            # Filled at different times.
            for key in range(0, 1200, 3):
                each.ask("PERSIST", f"text{key}") if key < 30 else each.ask("DEL", f"text{key}")
            each.ask("DEL", "stream")
        sites = of(tmp_path, one=one, other=other)
        assert sites.ends("compare", "--from={one}", "--to={other}")[0] == 0
        one.ask("SET", "missing", "1")
        one.ask("SET", "text1", "changed")
        one.ask("EXPIRE", "text2", "1000")
        one.ask("HSET", "hash", "secret-field", "secret-value")
        other.ask("DEL", "set")
        other.ask("SET", "set", "no set")
        other.ask("SET", "extra", "1")
        code, said = sites.ends("compare", "--from={one}", "--to={other}", "--json")
        assert code == 1, said
        events = [json.loads(line) for line in said.splitlines()]
        found = {event["key"]: event["difference"] for event in events if event["event"] == "difference"}
        assert found == {"missing": "missing", "text1": "value", "text2": "expiry", "hash": "value", "set": "type", "extra": "extra"}
        assert events[-1]["differences"] == {"missing": 1, "value": 2, "expiry": 1, "type": 1, "extra": 1}
        assert events[-1]["keys"] == [int(one.ask("DBSIZE")), int(other.ask("DBSIZE"))]
        assert "secret" not in said
        code, said = sites.ends("compare", "--from={one}", "--to={other}", "--repair")
        assert code == 1, said
        assert "1 extra" in said
        assert "5 repaired" in said
        other.ask("DEL", "extra")
        assert sites.ends("compare", "--from={one}", "--to={other}")[0] == 0
        assert equal(one.client(), other.client())


def test_what_can_not_be_compared_is_neither_the_same_nor_different(tmp_path: Path) -> None:
    with server("redis") as one, server("redis") as other:
        sites = of(tmp_path, one=one, other=other)
        sites.files["other"].write_text("{}")
        code, said = sites.ends("compare", "--from={one}", "--to={other}")
        assert code == 2, said
        assert "engine: missing" in said
        (again := of(tmp_path, one=one, other=other)).files["one"].exists()
        other.end()
        code, said = again.ends("compare", "--from={one}", "--to={other}")
        assert code == 2, said
        assert PASSWORD not in said
