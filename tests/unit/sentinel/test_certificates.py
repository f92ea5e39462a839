"""A group that speaks TLS, with real servers, sentinels and agents; and how its sentinels get a renewed certificate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from caches_runtime.ops.sentinel.certificate import TURN_SECONDS, Renewal, is_turn
from caches_runtime.ops.sentinel.members import Member
from certificates import Authority, certify
from common.waiting import until
from pulumi_caches.kubernetes.sentinel_pod import SENTINEL_PORT
from unit.scripts.test_certificates import shown
from unit.sentinel.group import Group, group
from unit.sentinel.writer import Writer
from unit.servers import find_programs


@pytest.fixture(params=["redis", "valkey"])
def members(request: pytest.FixtureRequest) -> Iterator[Group]:
    """Three members, of which nothing runs yet, with certificates of one authority."""
    authority = Authority()
    with group(find_programs(request.param)) as made:
        for pod in made.pods:
            pod.certify(authority.issue(f"IP:{pod.address}"))
        yield made


def test_a_group_that_speaks_tls_forms_and_replaces_its_master(members: Group) -> None:
    master = members.serve()
    members.replace_master(master)
    assert members.await_settled() is not master
    assert all(pod.probe("ready") == "" for pod in members.pods)
    for pod in members.pods:
        assert pod.probe("sentinel", CACHE_PORT=str(SENTINEL_PORT)) == ""
        trusted = (pod.folder / "etc" / "tls" / "ca.crt").read_text()
        for port in (6379, SENTINEL_PORT):
            assert shown(pod, trusted, port) == (pod.folder / "etc" / "tls" / "tls.crt").read_text().strip()
            assert "CERTIFICATE_VERIFY_FAILED" in shown(pod, certify("IP:10.0.0.1").authority_pem, port)


def test_one_sentinel_after_the_other_is_started_again_for_a_renewed_certificate(members: Group) -> None:
    master = members.serve()
    authority = Authority()
    after = {pod: authority.issue(f"IP:{pod.address}") for pod in members.pods}
    # Both authorities, as where one follows the other: else they would not know each other meanwhile.
    for pod in members.pods:
        before = (pod.folder / "etc" / "tls" / "ca.crt").read_text()
        pod.certify(replace(after[pod], authority_pem=before + after[pod].authority_pem))
    with Writer(members) as writer:
        for pod in members.pods:
            assert pod.probe("ready") == ""
        down: set[int] = set()

        def renewed() -> bool:
            ended = [pod for pod in members.pods if members.sentinels[pod].process.poll() is not None]
            down.add(len(ended))
            for pod in ended:
                members.start_sentinel(pod)
            return all(shown(pod, after[pod].authority_pem, SENTINEL_PORT) == after[pod].certificate_pem.strip() for pod in members.pods)

        assert until(renewed, 6 * TURN_SECONDS, every=0.1), members.logs()
        writer.await_more()
    assert down == {0, 1}
    assert members.await_settled() is master
    assert writer.lost(master) == []
    members.replace_master(master)
    assert members.await_settled() is not master


def test_each_member_has_a_turn_of_its_own_and_no_two_follow_at_once() -> None:
    seconds = [number / 2 for number in range(2 * 6 * TURN_SECONDS)]
    turns = {ordinal: [now for now in seconds if is_turn(ordinal, 3, now)] for ordinal in range(3)}
    assert all(len(turn) == 2 * TURN_SECONDS for turn in turns.values())
    assert not any(abs(one - other) < TURN_SECONDS / 2 for one in turns[0] for other in [*turns[1], *turns[2]])


@pytest.mark.parametrize(
    ("server", "sentinel", "due"),
    [("new", "old", True), ("old", "old", False), ("old", None, False), (None, "old", False), (None, None, False)],
)
def test_a_sentinel_is_due_once_its_server_has_taken_the_certificate(
    tmp_path: Path, server: str | None, sentinel: str | None, due: bool
) -> None:
    for port, applied in ((6379, server), (SENTINEL_PORT, sentinel)):
        (tmp_path / f"tls-{port}").mkdir()
        if applied:
            (tmp_path / f"tls-{port}" / "applied").write_text(applied)
    members = [Member(ordinal, f"10.0.0.{ordinal}", "password", "cache") for ordinal in range(3)]
    assert Renewal(tmp_path, members, members[0]).is_due() is due
