"""Which engine and which cluster the tools choose, and what they say when there is none."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from availability import unavailable
from common import go_build, paths
from common.console import Failure
from driver import clouds, engine, stack, target
from driver.target import Target
from pulumi_caches import require_pulumi
from unit.person import forget_settings

KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: mine, cluster: {server: "https://mine.invalid"}}]
users: [{name: me, user: {}}]
contexts: [{name: mine, context: {cluster: mine, user: me}}, {name: other, context: {cluster: mine, user: me}}]
current-context: mine
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    forget_settings(monkeypatch, tmp_path)
    return tmp_path


@pytest.fixture
def only_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH, empty at first."""
    folder = tmp_path / "only-programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real kubectl with a kubeconfig of two contexts."""
    if not shutil.which("kubectl"):
        unavailable("kubectl is not on PATH")
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))


def program(folder: Path, name: str, script: str) -> Path:
    """A program of the machine that a test does not have."""
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file


# The engine


@pytest.mark.parametrize(
    ("prints", "version"),
    [
        ("echo v3.100.0", (3, 100)),
        ("echo 3.300.1-dev.0", (3, 300)),
        ("echo 'no version, no cry'", (0, 0)),
        ("echo 12", (0, 0)),
        ("printf '\\377\\376'", (0, 0)),
        ("exit 1", (0, 0)),
    ],
)
def test_the_version_of_an_engine_is_what_it_says(tmp_path: Path, prints: str, version: tuple[int, int]) -> None:
    assert engine.version_of(program(tmp_path, "pulumi", prints)) == version


def test_an_engine_for_another_machine_has_no_version(tmp_path: Path) -> None:
    binary = tmp_path / "pulumi"
    binary.write_bytes(b"\x7fELF of another machine")
    binary.chmod(0o755)
    assert engine.version_of(binary) == (0, 0)


@pytest.mark.parametrize(
    ("prints", "said"),
    [("v3.100.0", "is 3.100; 3.237 or newer is needed"), ("rubbish", "is of an unknown version; 3.237 or newer is needed")],
)
def test_an_engine_on_path_that_is_too_old_is_named_and_another_is_used(
    only_programs: Path, capsys: pytest.CaptureFixture[str], prints: str, said: str
) -> None:
    if not go_build.cached(engine._BUILT):
        unavailable("the engine has not been built yet (tools/build)")
    on_path = program(only_programs, "pulumi", f"echo {prints}")
    found = engine.find()
    assert found.folders
    assert only_programs not in found.folders
    assert f"`pulumi` on PATH ({on_path}) {said}, so another one is used" in capsys.readouterr().err


def test_an_engine_on_path_that_is_new_enough_is_used_as_it_is(only_programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program(only_programs, "pulumi", "echo v3.237.0")
    assert engine.find() == engine.Engine((), built=False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("curl", "reason"),
    [
        ("real", "curl: ("),
        ("missing", "No such file or directory: 'curl'"),
        ("echo 'echo the disk of the installer is full >&2; exit 3'", "the disk of the installer is full"),
    ],
)
def test_without_the_installer_the_engine_is_built_which_needs_go(
    only_programs: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], curl: str, reason: str
) -> None:
    program(only_programs, "sh", 'exec /bin/sh "$@"')
    if curl == "real":
        real = shutil.which("curl", path=os.defpath) or unavailable("curl is not on PATH")
        (only_programs / "curl").symlink_to(real)
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # where nobody listens
    elif curl != "missing":
        program(only_programs, "curl", curl)
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    with pytest.raises(Failure, match=r"`go` is not on PATH: install Go 1\.26 or newer, or put a `pulumi` 3\.\d+\.\d+ on PATH"):
        engine.find()
    said = capsys.readouterr().err
    assert "> the installer did not work (" in said
    assert reason in said
    assert "using Pulumi built from its Go modules (about ten minutes the first time)" in said
    assert list((home / "cache" / "pulumi-caches").iterdir()) == []


def test_a_pulumi_sdk_that_is_too_old_is_refused_with_both_versions() -> None:
    with pytest.raises(ImportError, match=r"pulumi 3\.100\.0 is too old for pulumi-caches: run `pip install 'pulumi>=3\.237'`"):
        require_pulumi("3.100.0")


# Where a stack goes


@pytest.mark.parametrize("there_are", [(), ("docker",), ("docker", "kind"), ("kind", "kubectl")])
def test_without_root_and_cluster_the_ways_out_are_named(only_programs: Path, there_are: tuple[str, ...]) -> None:
    for name in there_are:
        program(only_programs, name, "exit 0")
    with pytest.raises(
        Failure, match=r"no cluster to deploy to: .*Name a cluster of yours with KUBE_CONTEXT=…, or write YAML with RENDER=1"
    ) as error:
        target.choose("dev", {}, root=False)
    assert all((f" {name} " in str(error.value)) is (name not in there_are) for name in ("docker", "kubectl"))


def test_without_root_but_with_docker_a_kind_cluster_is_chosen(only_programs: Path) -> None:
    for name in ("docker", "kubectl"):
        program(only_programs, name, "exit 0")
    program(only_programs, "kind", "echo another")
    chosen = target.choose("dev", {}, root=False)
    assert (chosen.label, chosen.kubectl) == ("context kind-pulumi-caches", ("kubectl", "--context", "kind-pulumi-caches"))
    assert not target.runs(chosen)
    program(only_programs, "kind", "echo another; echo pulumi-caches")
    assert target.runs(chosen)


@pytest.mark.usefixtures("kubectl")
def test_a_context_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(Failure, match=r"KUBE_CONTEXT=nope: there is no such context in the kubeconfig; there are: mine, other$"):
        target.choose("dev", {"KUBE_CONTEXT": "nope"})


@pytest.mark.usefixtures("kubectl")
def test_a_context_that_was_named_is_used() -> None:
    assert target.choose("dev", {"KUBE_CONTEXT": "mine"}).label == "context mine"


def test_a_context_without_kubectl_is_refused(only_programs: Path) -> None:
    with pytest.raises(Failure, match=r"KUBE_CONTEXT=mine: `kubectl` is not on PATH"):
        target.choose("dev", {"KUBE_CONTEXT": "mine"})
    assert list(only_programs.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no embedded cluster to choose")
@pytest.mark.usefixtures("kubectl")
def test_a_kubeconfig_that_lies_around_is_ignored() -> None:
    assert target.choose("dev", os.environ, root=True).embedded


@pytest.mark.parametrize("root", [True, False])
def test_rendering_needs_neither_root_nor_a_cluster(only_programs: Path, root: bool) -> None:
    chosen = target.choose("dev", {"RENDER": "1", "KUBE_CONTEXT": "mine"}, root=root)
    assert chosen.renders
    assert chosen.environment["CACHES_RENDER"] == str(paths.CHECKOUT / "rendered" / "dev")
    assert list(only_programs.iterdir()) == []


@pytest.mark.parametrize("value", ["true", "yes", "2"])
def test_another_value_of_render_does_not_deploy_instead(value: str) -> None:
    with pytest.raises(Failure, match=rf"RENDER={value}: must be 1 \(write YAML\) or empty \(deploy\)"):
        target.choose("dev", {"RENDER": value}, root=True)


@pytest.mark.parametrize("value", ["true", "yes", "2"])
def test_another_value_of_emulate_does_not_mean_the_real_cloud(value: str) -> None:
    with pytest.raises(Failure, match=rf"EMULATE={value}: must be 1 \(a cloud emulated on this machine\) or empty \(the real one\)"):
        target.choose("gcp", {"EMULATE": value}, root=True, topology="gcp")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there are no emulated clouds")
def test_an_emulated_clouds_plugin_is_found_first_and_its_state_is_its_own(home: Path) -> None:
    chosen = target.choose("shop", {"EMULATE": "1"}, root=True, topology="azure")
    assert (chosen.label, chosen.embedded, target.runs(chosen)) == ("emulated azure", False, False)
    assert (chosen.programs[0] / "pulumi-resource-azure-native").exists()
    assert chosen.environment["CACHES_EMULATOR"] == str(home / "state" / "pulumi-caches" / "clouds")
    assert stack.Stack("shop", chosen, {}).pulumi_name == "shop-emulated"
    with pytest.raises(Failure, match="Linux and root"):
        target.choose("shop", {"EMULATE": "1"}, root=False, topology="azure")


def test_the_real_cloud_takes_a_plugin_and_a_login(home: Path, only_programs: Path) -> None:
    cloud = clouds.CLOUDS["gcp"]
    nobody = {"HOME": str(home)}
    with pytest.raises(Failure, match=r"no plugin of .*`pulumi plugin install resource gcp 10.*and no login \(`gcloud auth"):
        clouds.require_account(cloud, "shop", nobody)
    program(only_programs, "pulumi-resource-gcp", "exit 0")
    with pytest.raises(Failure, match=r"there is no login .*Without an account, EMULATE=1 .*`make up STACK=shop EMULATE=1`"):
        clouds.require_account(cloud, "shop", nobody)
    clouds.require_account(cloud, "shop", {**nobody, "GOOGLE_CREDENTIALS": "file"})
    (home / ".config" / "gcloud").mkdir(parents=True)
    (home / ".config" / "gcloud" / "application_default_credentials.json").touch()
    clouds.require_account(cloud, "shop", nobody)


def test_the_plugins_are_those_of_the_sdks_that_are_installed() -> None:
    pinned = (paths.CHECKOUT / "constraints.txt").read_text().replace("-", "_").splitlines()
    for cloud in clouds.CLOUDS.values():
        assert f"pulumi_{cloud.plugin.replace('-', '_')}=={cloud.version}" in pinned


@pytest.mark.parametrize(
    ("remembered", "chosen", "message"),
    [
        (
            "embedded",
            Target("context mine"),
            r"deployed to embedded, not to context mine: run this with no KUBE_CONTEXT, or `make down` it",
        ),
        ("context mine", Target("embedded"), r"deployed to context mine, not to embedded: run this with KUBE_CONTEXT=mine, or"),
        ("context mine", Target("context other"), r"deployed to context mine, not to context other: run this with KUBE_CONTEXT=mine"),
        ("emulated gcp", Target("cloud gcp"), r"deployed to emulated gcp, not to cloud gcp: run this with EMULATE=1, or"),
        ("cloud gcp", Target("emulated gcp"), r"deployed to cloud gcp, not to emulated gcp: run this with no EMULATE, or"),
        ("emulated gcp", Target("emulated gcp"), None),
        ("embedded", Target("embedded"), None),
        ("context mine", Target("render"), None),
        (None, Target("context mine"), None),
    ],
)
def test_a_stack_is_not_taken_to_another_cluster(home: Path, remembered: str | None, chosen: Target, message: str | None) -> None:
    if remembered:
        file = home / "state" / "pulumi-caches" / "stacks" / "dev.target"
        file.parent.mkdir(parents=True)
        file.write_text(remembered)
    if message:
        with pytest.raises(Failure, match=message):
            stack._refuse_another_target("dev", chosen)
    else:
        stack._refuse_another_target("dev", chosen)


def test_each_backend_and_passphrase_has_an_encryption_salt_of_its_own(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def copy(**variables: str) -> Path:
        """The configuration that the engine gets."""
        with monkeypatch.context() as settings:
            for name, value in variables.items():
                settings.setenv(f"PULUMI_{name}", value)
            return Path(stack._config(stack.Stack("dev", Target("embedded"), {}))[1])

    (home / "first").write_text("my-phrase\n")
    copies = [
        copy(),
        copy(CONFIG_PASSPHRASE="my-phrase"),
        *(copy(BACKEND_URL=url, CONFIG_PASSPHRASE=phrase) for url in ("file://a", "file://b") for phrase in ("my-phrase", "another")),
        copy(BACKEND_URL="file://a"),
    ]
    assert len(set(copies)) == len(copies)
    assert "my-phrase" not in str(copies)
    for number, file in enumerate(copies):
        with file.open("a") as configuration:
            configuration.write(f"encryptionsalt: v1:{number}\n")
    # A passphrase is the same, wherever it comes from.
    again = copy(BACKEND_URL="file://a", CONFIG_PASSPHRASE_FILE=str(home / "first"))
    assert again == copies[2]
    assert again.read_text().endswith("\nencryptionsalt: v1:2\n")
