"""`caches doctor` as a person runs it, where there is no cluster: what it refuses, what it prints, what it ends with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from availability import unavailable
from caches_runtime.ops.doctor.asking import UnreachableError
from caches_runtime.ops.doctor.kubectl import Kubectl
from common import go_build

CACHES = [sys.executable, "-c", "from caches_runtime.cli import main; main()"]
OURS = {"engine": "redis", "mode": "standalone", "host": "cache.shop.svc", "port": 6379, "tls": False, "provider": "kubernetes"}
OURS |= {"password": "a-secret-word"}
CLOUD = {**OURS, "host": "cache.cloud.example", "provider": "aws", "tls": True, "purpose": "session"}
KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: nobody, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: me, user: {token: nobodys}}]
contexts: [{name: nobody, context: {cluster: nobody, user: me}}]
current-context: nobody
"""


def doctor(given: Any, *options: str, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    text = given if isinstance(given, str) else json.dumps(given)
    command = [*CACHES, "doctor", "--connections", "-", *options]
    environment = {**os.environ, "PATH": path, "FORCE_COLOR": ""}
    return subprocess.run(command, input=text, env=environment, capture_output=True, text=True, timeout=60)


@pytest.fixture
def kubeconfig(tmp_path: Path) -> str:
    file = tmp_path / "kubeconfig"
    file.write_text(KUBECONFIG)
    return f"--kubeconfig={file}"


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A search path with a real kubectl."""
    if not go_build.cached(["node"]):
        unavailable("kubectl has not been built yet (tools/build)")
    # One program, which is kubectl when it is called so.
    (tmp_path / "kubectl").symlink_to(go_build.build(["node"])["node"] / "node")
    return f"{tmp_path}:{os.environ['PATH']}"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "no connections that caches export, with their secrets shown (no JSON)"),
        ({"cache": "[secret]"}, "no connections that caches export"),
        ([], "no connections that caches export"),
        ({**OURS, "port": "a-secret-word"}, "no connections that caches export"),
        (OURS, "no cluster was named: give --context NAME, of your kubeconfig, or --kubeconfig FILE"),
    ],
)
def test_could_not_look_and_says_why(given: Any, message: str) -> None:
    done = doctor(given)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("could not look: ")
    assert message in done.stderr
    assert "a-secret-word" not in done.stderr


def test_a_file_that_is_not_there_is_said_so() -> None:
    done = subprocess.run([*CACHES, "doctor", "--connections", "/nowhere"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "/nowhere" in done.stderr


def test_without_kubectl_it_says_so(tmp_path: Path, kubeconfig: str) -> None:
    done = doctor(OURS, kubeconfig, path=str(tmp_path))
    assert (done.returncode, done.stderr) == (2, "could not look: `kubectl` is not on PATH, and the cluster is asked by it\n")


def test_a_cluster_that_does_not_answer_is_said_so(path: str, kubeconfig: str) -> None:
    done = doctor(OURS, kubeconfig, path=path)
    assert done.returncode == 2
    assert "could not look: the cluster can't be asked: `kubectl get pods`: " in done.stderr
    assert "127.0.0.1:1" in done.stderr


def test_a_pod_that_there_is_no_way_to_is_said_so(path: str, kubeconfig: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", path)
    kubectl = Kubectl(None, kubeconfig.removeprefix("--kubeconfig="))
    with pytest.raises(UnreachableError, match=r"the pod can't be reached: .*127\.0\.0\.1:1"), kubectl.forward("shop", "cache-0", 6379):
        pass


def test_people_get_a_table_without_colours_where_it_is_piped() -> None:
    done = doctor({"sessions": {**CLOUD, "tls": False}, "carts": CLOUD})
    assert (done.returncode, done.stderr) == (1, "")
    carts, sessions = done.stdout.split("\n\n")[:2]
    assert carts.startswith(
        "carts (redis, standalone, purpose session): 0 missing, 2 checks in order\nnot checked: answers, auth, plaintext, "
    )
    assert "it is run by aws, which can't be asked yet" in carts
    lines = [line.split() for line in sessions.splitlines()[:3]]
    assert lines[1][:3] == ["severity", "check", "found"]
    assert lines[2][:2] == ["warning", "tls"]
    assert "tls_generated: true, or tls_secret_name" in sessions
    assert "docs/best-practices.md#tls" in sessions
    assert "\033" not in done.stdout
    assert "a-secret-word" not in done.stdout


def test_programs_get_a_json_object_a_line() -> None:
    done = doctor({**CLOUD, "purpose": ""}, "--json")
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    [missing] = [each for each in said if each["event"] == "missing"]
    assert missing == {
        "event": "missing",
        "text": "nobody said what it is for",
        "cache": "cache",
        "check": "purpose",
        "guide": "docs/best-practices.md#purpose",
        "severity": "info",
        "found": "nobody said what it is for",
        "wanted": "cache, session or queue",
        "remedy": "purpose",
    }
    assert {each["event"] for each in said} == {"missing", "in order", "not checked"}


def test_nothing_missing_ends_with_0_also_for_connections_of_other_languages() -> None:
    given = {**CLOUD, "readerHost": "reader.cloud.example", "caPem": "-----BEGIN CERTIFICATE-----"}
    done = doctor(given)
    assert done.returncode == 0
    assert "0 missing" in done.stdout
