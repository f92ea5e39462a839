"""A program that is not Python uses the component through the component provider, with the real engine."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from engine.program import Program

pytestmark = pytest.mark.engine

SOURCE = Path(__file__).parent / "yaml_program"
COMPONENTS = Path(__file__).parents[2] / "components"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    scratch = tmp_path_factory.mktemp("yaml-program")
    folder = scratch / "program"
    shutil.copytree(SOURCE, folder)
    rewrite(folder)
    program = Program(folder, scratch)
    program.up()
    yield program
    program.destroy()
    assert list(folder.glob("rendered/1-manifest/*")) == []


def rewrite(folder: Path, old: str = "", new: str = "") -> None:
    """The program as it is in the checkout, with one piece of it replaced and the components where they are."""
    text = (SOURCE / "Pulumi.yaml").read_text().replace("../../../components", str(COMPONENTS))
    assert old in text
    (folder / "Pulumi.yaml").write_text(text.replace(old, new, 1))


def manifest(program: Program, name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((program.folder / "rendered" / "1-manifest" / f"{name}.yaml").read_text()))


def test_everything_is_rendered_and_whole_numbers_stay_whole(program: Program) -> None:
    replica = manifest(program, "apps_v1-statefulset-foreign-cache-replica")
    assert replica["spec"]["replicas"] == 2
    assert isinstance(replica["spec"]["replicas"], int)
    template = replica["spec"]["template"]["spec"]
    assert template["tolerations"] == [{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}]
    assert template["containers"][0]["resources"]["limits"] == {"memory": "128Mi"}
    assert "maxmemory-policy allkeys-lru" in next(program.folder.glob("rendered/1-manifest/v1-configmap-*")).read_text()


def test_connection_arrives_in_camel_case_and_secret(program: Program) -> None:
    connection = program.outputs()["connection"]
    password = connection.pop("password")
    exporter_password = connection.pop("exporterPassword")
    assert (len(password), len(exporter_password)) == (32, 64)
    assert connection == {
        "engine": "valkey",
        "mode": "standalone",
        "host": "cache.foreign.svc",
        "port": 6379,
        "readerHost": "cache-reader.foreign.svc",
        "readerPort": 6379,
        "nodes": [f"{pod}.cache-headless.foreign.svc:6379" for pod in ("cache-0", "cache-replica-0", "cache-replica-1")],
        "tls": False,
        "provider": "kubernetes",
        "purpose": "cache",
    }
    exported = program.pulumi("stack", "export").stdout
    assert password not in exported
    assert exporter_password not in exported


def test_a_component_takes_what_another_one_exports(program: Program) -> None:
    endpoints = manifest(program, "monitoring.coreos.com_v1-servicemonitor-foreign-monitoring")["spec"]["endpoints"]
    pods = ("cache-0", "cache-replica-0", "cache-replica-1")
    assert [each["params"]["target"] for each in endpoints] == [[f"redis://{pod}.cache-headless.foreign.svc:6379"] for pod in pods]
    [backup] = manifest(program, "monitoring.coreos.com_v1-servicemonitor-foreign-monitoring-backup")["spec"]["endpoints"]
    assert (backup["port"], backup["path"]) == ("metrics", "/metrics")


def test_one_components_connection_is_taken_by_another(program: Program) -> None:
    [encoded] = manifest(program, "v1-secret-foreign-backup-backup")["data"].values()
    given = json.loads(base64.b64decode(encoded))
    assert given["reader_host"] == "cache-reader.foreign.svc"
    assert len(given["nodes"]) == 3
    assert given["password"] not in program.pulumi("stack", "export").stdout


def test_children_use_the_provider_of_the_program(program: Program) -> None:
    objects = [resource for resource in program.export() if resource["type"].startswith("kubernetes:")]
    assert len(objects) == 28
    assert all("pulumi:providers:kubernetes::render" in resource["provider"] for resource in objects)


def test_second_preview_changes_nothing(program: Program) -> None:
    program.preview("--expect-no-changes")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        # The language itself refuses these two, by the schema.
        ("memoryGib: 0.125", "memoryGB: 0.125", "Property memoryGB does not exist"),
        ("engine: valkey", "engine: valkye", 'Allowed values are REDIS ("redis"), VALKEY ("valkey")'),
        ("memoryGib: 0.125", "memoryGib: 0.01", "memoryGib = 0.01: must be from 0.0625 to 1024"),
        ("replicas: 2", "replicas: 2.5", "replicas = 2.5: must be a whole number"),
        # These are only known while the engine works.
        ("engine: valkey", "engine: redis", "engine: 'valkey' can't become 'redis': Redis and Valkey do not read"),
        ("name: foreign", "name: Not_A_Name", "namespace = 'Not_A_Name': must be lower-case letters"),
    ],
)
def test_wrong_arguments_end_in_words_without_a_stack_trace(program: Program, old: str, new: str, message: str) -> None:
    rewrite(program.folder, old, new)
    try:
        refused = program.preview(succeeds=False)
    finally:
        rewrite(program.folder)
    said = refused.stdout + refused.stderr
    assert message in said
    assert 'File "' not in said
    assert "has risen" not in said
