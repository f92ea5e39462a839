"""What members know each other by: one address that all choose alike, or a name."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest
from caches_runtime.ops.sentinel import main
from common.waiting import until
from pulumi_caches.kubernetes.sentinel_pod import SENTINEL_PORT
from unit.sentinel.group import GROUP, Group, group
from unit.sentinel.loop import run
from unit.sentinel.writer import Writer
from unit.servers import find_programs

LIBRARY = Path(main.__file__).resolve().parents[4] / "components" / "pulumi_caches" / "kubernetes" / "scripts" / "lib.sh"
RESOLVED = [
    (["10.0.0.9"], "10.0.0.9"),
    (["fd00::9"], "fd00::9"),
    (["fd00::9", "10.0.0.9"], "10.0.0.9"),
    (["2001:db8::1", "34.0.0.1"], "34.0.0.1"),
    (["10.0.0.9", "10.0.0.10"], "10.0.0.10"),
    (["fd00::9", "fc00::1"], "fc00::1"),
]


@pytest.mark.parametrize(("addresses", "chosen"), RESOLVED, ids=str)
def test_scripts_and_agents_choose_the_same_address(
    addresses: list[str], chosen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They must spell a member the same, or an agent would not know whom the sentinels name."""
    getent = tmp_path / "getent"
    getent.write_text("#!/bin/sh\n" + "".join(f"echo '{address}  STREAM cache-0'\n" for address in addresses))
    getent.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "NAMESPACE": "shop", "ANNOUNCE": "address"}
    said = subprocess.run(
        ["sh", "-euc", f". {LIBRARY}; member_address cache-0"], env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout == f"{chosen}\n"

    async def resolve() -> str:
        async def found(*_: Any, **__: Any) -> list[Any]:
            return [(None, None, None, "", (address, 0)) for address in addresses]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
        return await main._resolve("cache-0.shop.svc")

    assert run(resolve()) == chosen


@pytest.fixture(params=["redis", "valkey"])
def named(request: pytest.FixtureRequest) -> Iterator[Group]:
    """Three members that know each other by name; nothing runs yet."""
    with group(find_programs(request.param), announce="hostname") as made:
        yield made


def test_with_host_names_sentinels_say_names_and_the_master_moves_as_ever(named: Group) -> None:
    master = named.serve()
    assert master.cli("sentinel", "get-master-addr-by-name", GROUP, port=SENTINEL_PORT) == f"{master.name}.shop.svc\n6379"
    others = named.others(master)
    replicas = master.cli("sentinel", "replicas", GROUP, port=SENTINEL_PORT)
    assert all(f"{pod.name}.shop.svc:6379" in replicas for pod in others)
    assert not [pod for pod in named.pods if pod.address in replicas]
    with Writer(named, confirmed="WAIT 1 1000") as writer:
        writer.await_more()
        # A planned stop, and then a crash.
        assert master.run("stop.sh", HANDOVER_SECONDS="15").returncode == 0
        second = named.shown()
        assert second is not None
        assert second is not master
        named.restart_server(master)
        assert named.await_settled() is second
        writer.await_more()
        second.server.process.kill()
        assert until(lambda: named.shown() is not second, 20, every=0.01), named.logs()
        named.restart_server(second)
        writer.await_more()
        third = named.await_settled()
    assert writer.lost(third) == []


def test_with_host_names_sentinels_remember_the_others_and_replace_a_dead_master_alone(named: Group) -> None:
    master = named.serve()
    other = named.others(master)[0]
    named.sentinels[other].end(SIGKILL)
    named.start_sentinel(other)
    knows = f"known-sentinel {GROUP} {master.name}.shop.svc {SENTINEL_PORT}"
    assert until(lambda: knows in (other.folder / "data" / "sentinel.conf").read_text(), 15)
    named.stop_agents()
    master.server.end(SIGKILL)
    # Nobody but Sentinel itself is left to act.
    assert until(lambda: "master" in named.roles().values(), 60, every=0.1), named.roles()
