"""Reads objects of the Kubernetes API."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from string import ascii_letters

from caches_runtime.ops.doctor.facts import Object

HOUR = 3600
# Set by the components on what backs a cache up or monitors it: the host of its connection.
CACHE_ANNOTATION = "pulumi-caches/cache"
# What CacheMonitoring makes.
MONITORING = "app.kubernetes.io/name=cache-exporter"
# The container beside a server that has the exporter in its pod.
EXPORTER = "exporter"
COMPONENT_LABEL = "app.kubernetes.io/component"
ZONE_LABEL = "topology.kubernetes.io/zone"
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def name(thing: Object) -> str:
    """Its name."""
    return str(thing["metadata"]["name"])


def labels(thing: Object) -> Mapping[str, str]:
    """Its labels."""
    return thing["metadata"].get("labels") or {}


def annotations(thing: Object) -> Mapping[str, str]:
    """Its annotations."""
    return thing["metadata"].get("annotations") or {}


def containers(pod: Object) -> list[Object]:
    """Of a pod, those that stay."""
    return list(pod["spec"]["containers"])


def owner(pod: Object) -> str:
    """What has made it: the pods of one StatefulSet have the same."""
    return next((str(each["name"]) for each in pod["metadata"].get("ownerReferences") or []), "")


def selects(selector: Object | None, pod: Object) -> bool:
    """Whether a label selector of the API takes a pod; none takes nothing, an empty one all."""
    if selector is None:
        return False
    own = labels(pod)
    exact: Mapping[str, str] = selector.get("matchLabels") or {}
    return exact.items() <= own.items() and all(_holds(rule, own) for rule in selector.get("matchExpressions") or [])


def _holds(rule: Object, own: Mapping[str, str]) -> bool:
    there = own.get(rule["key"])
    match rule["operator"]:
        case "In":
            return there in rule["values"]
        case "NotIn":
            return there not in rule["values"]
        case "Exists":
            return there is not None
        case _:
            return there is None


def quantity(text: str) -> float:
    """An amount as the API writes it, such as 128Mi."""
    number = text.rstrip(ascii_letters)
    return float(number) * _UNITS[text.removeprefix(number)]


def seconds(time: str) -> float:
    """A time as the API writes it, in seconds since 1970."""
    return datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp()


def tag(image: str) -> str:
    """What an image's name says of its version: a digest, a tag, or nothing."""
    path, _, digest = image.partition("@")
    return digest or path.rpartition("/")[2].partition(":")[2]


def ready(pod: Object) -> bool:
    """Whether it takes clients."""
    conditions = pod["status"].get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def restarts(pod: Object, since: float) -> Iterator[tuple[str, str]]:
    """Each container that was started again since then, and why the one before ended."""
    for status in pod["status"].get("containerStatuses") or []:
        ended = (status.get("lastState") or {}).get("terminated") or {}
        if status.get("restartCount") and ended.get("finishedAt") and seconds(ended["finishedAt"]) >= since:
            yield str(status["name"]), str(ended.get("reason") or f"exit code {ended.get('exitCode')}")
