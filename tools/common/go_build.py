"""Builds the pinned Go modules under tools/go, each once: the result is kept in the cache under the hash of what went in.

One module per binary, because a shared one would drag their dependencies to each other's versions.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from common import paths
from common.console import Failure, run, step
from common.locking import locked

GO_MINIMUM = (1, 26)
PULUMI_VERSION = "3.259.0"
KUBERNETES_VERSION = "1.34.4"
KUBERNETES_PROVIDER_VERSION = "4.25.0"
PROMETHEUS_OPERATOR_VERSION = "0.85.0"
# A cold build needs this for Go's own cache and the results; a full disk half way through wastes twenty minutes.
DISK_NEEDED_GIB = 8
_DISK_FULL = (
    f"the disk is full: free some space ({DISK_NEEDED_GIB} GiB are needed; `go clean -cache` empties Go's own cache), "
    "then run the same command again; what was built is kept\n"
)


@dataclass(frozen=True)
class Recipe:
    """How one module becomes binaries, if it has any; `prepare` and `finish` get the folder of sources and of results."""

    packages: tuple[str, ...]
    ldflags: str = ""
    tags: str = ""
    prepare: Callable[[Path], None] = lambda sources: None
    finish: Callable[[Path, Path], None] = lambda sources, results: None


def _module_folder(sources: Path, module: str) -> Path:
    return Path(_go("list", "-mod=mod", "-m", "-f", "{{.Dir}}", module, folder=sources).strip())


def _embed_provider_schema(sources: Path) -> None:
    module = "github.com/pulumi/pulumi-kubernetes/provider/v4"
    _go("mod", "download", module, folder=sources)
    upstream = _module_folder(sources, module) / "cmd" / "pulumi-resource-kubernetes"
    schema = json.loads((upstream / "schema.json").read_text())
    # The version must equal the Python SDK's, or the engine refuses the pair.
    schema["version"] = KUBERNETES_PROVIDER_VERSION
    (sources / "schema-embed.json").write_text(json.dumps(schema))
    shutil.copyfile(upstream / "terraform-mapping.json", sources / "terraform-mapping-embed.json")


def _copy_python_executors(sources: Path, results: Path) -> None:
    sdk = _module_folder(sources, "github.com/pulumi/pulumi/sdk/v3") / "python"
    for script in (sdk / "cmd" / "pulumi-language-python-exec", sdk / "dist" / "pulumi-resource-pulumi-python"):
        shutil.copyfile(script, results / script.name)
        (results / script.name).chmod(0o755)


def _copy_openapi(sources: Path, results: Path) -> None:
    specification = _module_folder(sources, "k8s.io/kubernetes") / "api" / "openapi-spec" / "swagger.json"
    shutil.copyfile(specification, results / "openapi.json")


def _copy_operator_crds(sources: Path, results: Path) -> None:
    upstream = _copy_yaml(sources, results, "github.com/OT-CONTAINER-KIT/redis-operator", "config/crd/bases/*.yaml")
    shutil.copytree(upstream / "charts" / "redis-operator", results / "chart")


def _copy_monitoring_crds(sources: Path, results: Path) -> None:
    names = (f"example/prometheus-operator-crd/*_{kind}.yaml" for kind in ("servicemonitors", "podmonitors", "prometheusrules"))
    _copy_yaml(sources, results, "github.com/prometheus-operator/prometheus-operator", *names)


def _copy_prometheus_operator(sources: Path, results: Path) -> None:
    module = "github.com/prometheus-operator/prometheus-operator"
    for folder, patterns in (
        ("definitions", ["example/prometheus-operator-crd/*.yaml"]),
        ("manifests", ["example/rbac/prometheus-operator/*.yaml", "example/rbac/prometheus/prometheus-*.yaml"]),
    ):
        (results / folder).mkdir()
        _copy_yaml(sources, results / folder, module, *patterns)
    for own in sources.glob("*.yaml"):
        shutil.copy(own, results / "manifests")


def _copy_yaml(sources: Path, results: Path, module: str, *patterns: str) -> Path:
    """Copies a module's files of these names, and says where the module is."""
    _go("mod", "download", module, folder=sources)
    upstream = _module_folder(sources, module)
    for pattern in patterns:
        for definition in upstream.glob(pattern):
            shutil.copyfile(definition, results / definition.name)
    return upstream


_COMPONENT_VERSION = "k8s.io/component-base/version"

RECIPES: dict[str, Recipe] = {
    "pulumi": Recipe(
        packages=("github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",),
        tags="osusergo,grpcnotrace",
        ldflags=f"-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{PULUMI_VERSION}",
    ),
    "pulumi-language-python": Recipe(
        packages=("github.com/pulumi/pulumi/sdk/python/cmd/pulumi-language-python/v3",),
        tags="osusergo,grpcnotrace",
        ldflags=f"-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{PULUMI_VERSION}",
        finish=_copy_python_executors,
    ),
    "pulumi-resource-kubernetes": Recipe(
        packages=(".",),
        ldflags="-X github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version.Version=" + KUBERNETES_PROVIDER_VERSION,
        prepare=_embed_provider_schema,
    ),
    "pulumi-language-yaml": Recipe(packages=("github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml",)),
    "node": Recipe(
        packages=(".",),
        ldflags=(
            f"-X {_COMPONENT_VERSION}.gitVersion=v{KUBERNETES_VERSION} "
            f"-X {_COMPONENT_VERSION}.gitMajor=1 -X {_COMPONENT_VERSION}.gitMinor=34"
        ),
        finish=_copy_openapi,
    ),
    "coredns": Recipe(packages=("github.com/coredns/coredns",)),
    "local-path-provisioner": Recipe(packages=("github.com/rancher/local-path-provisioner",)),
    "memcached-exporter": Recipe(packages=("github.com/prometheus/memcached_exporter/cmd/memcached_exporter",)),
    "redis-exporter": Recipe(packages=("github.com/oliver006/redis_exporter",)),
    "toxiproxy": Recipe(packages=("github.com/Shopify/toxiproxy/v2/cmd/server",)),
    "redis-operator": Recipe(packages=("github.com/OT-CONTAINER-KIT/redis-operator/cmd",)),
    "operator-crds": Recipe(packages=(), finish=_copy_operator_crds),
    "monitoring-crds": Recipe(packages=(), finish=_copy_monitoring_crds),
    "google-storage": Recipe(packages=(".",)),
    "prometheus-operator": Recipe(
        packages=tuple(
            f"github.com/prometheus-operator/prometheus-operator/cmd/{program}" for program in ("operator", "prometheus-config-reloader")
        ),
        ldflags=f"-X github.com/prometheus/common/version.Version={PROMETHEUS_OPERATOR_VERSION}",
        finish=_copy_prometheus_operator,
    ),
    "lint": Recipe(packages=("github.com/yannh/kubeconform/cmd/kubeconform", "github.com/rhysd/actionlint/cmd/actionlint")),
}


def build(names: Iterable[str]) -> dict[str, Path]:
    """The folder of binaries per module, building what the cache lacks. Raises Failure naming the module that failed."""
    wanted = {name: _folder(name) for name in names}
    missing = [name for name, folder in wanted.items() if not folder.exists()]
    if missing:
        _require_go()
        _require_disk()
        # Two at a time: one compiles while the other downloads or links.
        with ThreadPoolExecutor(max_workers=2) as pool:
            list(pool.map(lambda name: _build_and_explain(name, wanted[name]), missing))
    return wanted


def cached(names: Iterable[str]) -> bool:
    """Whether all of them have been built before."""
    return all(_folder(name).exists() for name in names)


def _folder(name: str) -> Path:
    return paths.cache() / "bin" / f"{name}-{_content_hash(name)}"


def _content_hash(name: str) -> str:
    recipe = RECIPES[name]
    digest = hashlib.sha256(f"{recipe.packages}{recipe.ldflags}{recipe.tags}".encode())
    for source in sorted((paths.TOOLS / "go" / name).iterdir()):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:16]


def _build_and_explain(name: str, folder: Path) -> None:
    try:
        # Two commands that want the same build take turns, so that the second finds it done.
        with locked(paths.cache() / f"{name}.lock", f"building {name}"):
            if not folder.exists():
                _build_one(name, folder)
    except OSError as error:  # of copying and moving; what Go itself fails of is explained where it is run
        raise Failure(f"building {name} failed: {_DISK_FULL if 'No space left' in str(error) else ''}{error}") from error


def _build_one(name: str, folder: Path) -> None:
    recipe = RECIPES[name]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with step(f"building {name}"), tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}-") as scratch:
        # A copy, so that files made for the build never appear in the checkout.
        sources, results = Path(scratch, "sources"), Path(scratch, "results")
        shutil.copytree(paths.TOOLS / "go" / name, sources)
        results.mkdir()
        recipe.prepare(sources)
        if recipe.packages:
            _go(
                "build", "-trimpath", "-tags", recipe.tags, "-ldflags", f"-s -w {recipe.ldflags}",
                "-o", f"{results}{os.sep}", *recipe.packages,
                folder=sources,
            )  # fmt: skip
        recipe.finish(sources, results)
        _name_single_binary(name, results)
        # Moved whole: a folder in the cache is always a finished build.
        results.rename(folder)


def _name_single_binary(name: str, results: Path) -> None:
    """Go names a binary after the last element of its package (`v3`, `node`); the name the engine looks for is the module's."""
    recipe = RECIPES[name]
    if len(recipe.packages) == 1 and not (results / name).exists():
        package = recipe.packages[0]
        parts = [part for part in package.split("/") if not re.fullmatch(r"v\d+", part)]
        (results / parts[-1]).rename(results / name)


def _go(*arguments: str, folder: Path) -> str:
    # Go works beside the results, on the disk that was checked; a /tmp in memory is often too small.
    environment = {"GOTMPDIR": str(folder.parent), **os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "-buildvcs=false"}
    done = subprocess.run(["go", *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode == 0:
        return done.stdout
    raise Failure(_explain(folder, done.stderr))


def _explain(folder: Path, output: str) -> str:
    module = re.search(r"^module pulumi-caches/tools/(\S+)", (folder / "go.mod").read_text(), re.MULTILINE)
    name = module.group(1) if module else folder.name
    tail = "\n".join(output.strip().splitlines()[-12:])
    if "no space left on device" in output:
        advice = _DISK_FULL
    elif "unable to resolve git version" in output or 'exec: "git"' in output:
        advice = "`git` is not on PATH, and without a module proxy Go needs it: install git, or check GOPROXY (`go env GOPROXY`)"
    elif module_missing := _not_downloaded(output):
        advice = (
            f"the Go module {module_missing} could not be downloaded: check the network and GOPROXY "
            "(`go env GOPROXY`), then run the same command again; what was built is kept"
        )
    else:
        advice = "run the same command again; what was built is kept"
    return f"building {name} failed: {advice.rstrip()}\n{tail}"


def _not_downloaded(output: str) -> str:
    """The module that the command failed to download; empty when it failed of something else."""
    if named := re.search(r"(\S+@[^\s:]+): (?:reading|Get|verifying|invalid|dial|unexpected|unrecognized|module lookup disabled)", output):
        return named.group(1)
    # With GOPROXY=off nothing can be downloaded, and only the announcement says what was to be.
    announced = re.search(r"go: downloading (\S+) (\S+)", output)
    return "@".join(announced.groups()) if announced and "module lookup disabled" in output else ""


def _require_go() -> None:
    wanted = ".".join(map(str, GO_MINIMUM))
    if not shutil.which("go"):
        raise Failure(f"`go` is not on PATH: install Go {wanted} or newer, or put a `pulumi` {PULUMI_VERSION} on PATH")
    found = re.search(r"go(\d+)\.(\d+)", run(["go", "version"]).stdout)
    if not found or (int(found.group(1)), int(found.group(2))) < GO_MINIMUM:
        raise Failure(f"Go {found.group(0)[2:] if found else '?'} is too old: the tool chain needs {wanted} or newer")


def _require_disk() -> None:
    folder = paths.cache()
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free / 2**30
    if free < DISK_NEEDED_GIB:
        raise Failure(
            f"{free:.1f} GiB are free for {folder}, and building the tool chain needs {DISK_NEEDED_GIB} GiB: "
            "free some space, or set XDG_CACHE_HOME to a larger disk"
        )
