"""Whether somebody would notice, and whether what runs is what was meant to."""

import re
from collections.abc import Iterator

from caches_runtime.ops.doctor import objects
from caches_runtime.ops.doctor.facts import Facts, Server, known
from caches_runtime.ops.doctor.findings import Finding, Severity

_DAY = 24 * objects.HOUR
# The oldest release that got fixes when this was written, and newer ones that did not; of all others nothing is said.
_MENDED = {"redis": ((6, 2), {(7, 0)}), "memcached": ((1, 6), set[tuple[int, int]]())}


def ends_are_known(facts: Facts) -> bool:
    """For checks of old versions: of Valkey none had ended."""
    return facts.cache.engine in _MENDED


def answers(facts: Facts) -> Iterator[Finding]:
    """Every server answers who knows the password."""
    for server in known(facts.servers):
        if server.problem:
            yield Finding(Severity.CRITICAL, f"{server.name}: {server.problem}", "an answer", "runbook CacheServerDown")


def pods(facts: Facts) -> Iterator[Finding]:
    """All pods are ready, and stay so."""
    for pod in known(facts.pods):
        if not objects.ready(pod):
            yield Finding(Severity.CRITICAL, f"{objects.name(pod)} is not ready", "ready", "`kubectl describe pod` says why")
        for container, reason in objects.restarts(pod, facts.now - _DAY):
            remedy = "memory_gib" if reason == "OOMKilled" else "`kubectl logs --previous`"
            yield Finding(Severity.WARNING, f"{objects.name(pod)}: {container} started again ({reason})", "no restart within a day", remedy)


def resources(facts: Facts) -> Iterator[Finding]:
    """No container can take a node's memory."""
    unlimited = sorted(
        {
            each["name"]
            for pod in known(facts.pods)
            for each in objects.containers(pod)
            if not {"limits", "requests"} <= {key for key, value in (each.get("resources") or {}).items() if "memory" in value}
        }
    )
    if unlimited:
        found = f"containers without request or limit of memory: {', '.join(unlimited)}"
        yield Finding(Severity.WARNING, found, "both", "memory_gib sets them: undo what was done by hand, or what injects containers")


def image(facts: Facts) -> Iterator[Finding]:
    """What runs does not change by itself."""
    images = {each["image"] for pod in known(facts.pods) for each in objects.containers(pod)}
    if loose := sorted(each for each in images if objects.tag(each) in ("", "latest")):
        yield Finding(Severity.WARNING, f"no version: {', '.join(loose)}", "an exact tag or digest", "image")


def version(facts: Facts) -> Iterator[Finding]:
    """The server's version still gets fixes, as far as is known."""
    for found in sorted({_version(facts.cache.engine, server) for server in facts.answering} - {""}):
        numbers = re.match(r"(\d+)\.(\d+)", found)
        least, ended = _MENDED[facts.cache.engine]
        release = (int(numbers[1]), int(numbers[2])) if numbers else least
        if release < least or release in ended:
            wanted = f"{'.'.join(map(str, least))} or newer"
            yield Finding(Severity.WARNING, f"{facts.cache.engine} {found} gets no fixes any more", wanted, "image")


def alerts(facts: Facts) -> Iterator[Finding]:
    """An exporter asks the servers, and rules say when somebody is told."""
    exporters = known(facts.exporters)
    beside = [pod for pod in known(facts.pods) if any(each["name"] == objects.EXPORTER for each in objects.containers(pod))]
    if not exporters and not beside:
        yield Finding(Severity.WARNING, "nobody would be told", "an exporter and alerts", "a CacheMonitoring with this cache's connection")
        return
    if exporters and not any(each["status"].get("readyReplicas") for each in exporters):
        found = f"{', '.join(map(objects.name, exporters))} is not ready: nothing is seen"
        yield Finding(Severity.CRITICAL, found, "ready", "`kubectl describe` its pod")
    if not known(facts.rules):
        yield Finding(
            Severity.WARNING, "it is asked, but no rule alerts", "a PrometheusRule, or a ConfigMap of rules", "rules of CacheMonitoring"
        )


def _version(engine: str, server: Server) -> str:
    return server.info.get(f"{engine}_version") or server.info.get("version", "")
