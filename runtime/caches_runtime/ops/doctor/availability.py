"""Whether it goes on when a server, a node or a zone is lost."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from caches_runtime.ops.doctor import objects
from caches_runtime.ops.doctor.facts import Facts, Object, known
from caches_runtime.ops.doctor.findings import Finding, Severity

SLOTS = 16_384
_MASTERS = "masters"


def is_sentinel(facts: Facts) -> bool:
    """For checks of groups with sentinels."""
    return facts.cache.mode == "sentinel"


def is_cluster(facts: Facts) -> bool:
    """For checks of clusters."""
    return facts.cache.mode == "cluster"


def replicas(facts: Facts) -> Iterator[Finding]:
    """Each master has a replica that follows."""
    if facts.cache.mode == "sentinel" and len(facts.masters) != 1:
        found = f"{len(facts.masters)} masters: {', '.join(each.name for each in facts.masters) or 'none'}"
        yield Finding(Severity.CRITICAL, found, "exactly one", "runbook CacheNoMaster or CacheTwoMasters")
    remedy = {"cluster": "replicas_per_shard: 1", "sentinel": "members: 3"}.get(facts.cache.mode, "replicas: 1; SentinelGroup to fail over")
    alone = [each.name for each in facts.masters if not each.number("connected_slaves")]
    if alone:
        severity = Severity.INFO if facts.cache.expendable else Severity.WARNING
        yield Finding(severity, f"without a replica: {', '.join(alone)}", "at least one follows each master", remedy)
    behind = [each.name for each in facts.answering if not each.master and each.info.get("master_link_status") != "up"]
    if behind:
        yield Finding(
            Severity.CRITICAL, f"not in step with their master: {', '.join(behind)}", "every link is up", "runbook CacheReplicationBroken"
        )


def min_replicas(facts: Facts) -> Iterator[Finding]:
    """A master that is cut off from its replicas takes no writes, which would be lost."""
    if any(server.settings.get("min-replicas-to-write") == "0" for server in facts.answering):
        found = "a master that is cut off goes on taking writes, which are lost when another one has taken over"
        yield Finding(Severity.WARNING, found, "at least 1", "min_replicas_to_write: 1")


def quorum(facts: Facts) -> Iterator[Finding]:
    """Enough sentinels see the master, and each other."""
    sentinels = known(facts.sentinels)
    if silent := [f"{each.name} ({each.problem})" for each in sentinels if each.problem]:
        yield Finding(Severity.CRITICAL, f"no answer: {', '.join(silent)}", "every sentinel answers", "runbook CacheSentinelQuorumAtRisk")
    for each in sentinels:
        others = each.number("num-other-sentinels") + 1
        majority = each.info.get("majority", "")
        if each.problem:
            continue
        if not majority.startswith("OK"):
            yield Finding(Severity.CRITICAL, f"{each.name}: {majority}", "a majority can act", "runbook CacheSentinelQuorumAtRisk")
        elif others != len(sentinels):
            yield Finding(Severity.WARNING, f"{each.name} knows {others} sentinels", f"{len(sentinels)}", "`SENTINEL RESET` on it")


def slots(facts: Facts) -> Iterator[Finding]:
    """Every slot is served."""
    for server in facts.answering:
        served = int(server.cluster.get("cluster_slots_ok", "0"))
        if server.cluster.get("cluster_state") != "ok" or served != SLOTS:
            found = f"{server.name} sees {served} slots served, state {server.cluster.get('cluster_state')}"
            yield Finding(Severity.CRITICAL, found, f"{SLOTS} slots, state ok", "`pulumi up` runs the repair; runbook CacheSlotsNotCovered")
            return


def anti_affinity(facts: Facts) -> Iterator[Finding]:
    """The scheduler is asked to keep pods apart."""
    pods = known(facts.pods)
    unasked = [objects.name(pod) for pod in pods if not _asks_for_distance(pod["spec"])]
    if len(pods) > 1 and unasked:
        yield Finding(
            Severity.WARNING, f"may be put together: {', '.join(unasked)}", "anti-affinity or a spread constraint", "node_spread: required"
        )


def nodes(facts: Facts) -> Iterator[Finding]:
    """No lost node takes more than the cache can do without."""
    places = {objects.name(pod): str(pod["spec"].get("nodeName", "")) for pod in known(facts.pods)}
    severity = Severity.WARNING if facts.cache.expendable else Severity.CRITICAL
    yield from _together(facts, places, "node", severity, "node_spread: required, and as many nodes")


def zones(facts: Facts) -> Iterator[Finding]:
    """Nor does a lost zone."""
    zone_of = {objects.name(node): objects.labels(node).get(objects.ZONE_LABEL, "") for node in known(facts.nodes)}
    places = {objects.name(pod): zone_of.get(pod["spec"].get("nodeName", ""), "") for pod in known(facts.pods)}
    if len(places) > 1 and not any(places.values()):
        yield Finding(Severity.INFO, f"nodes have no label {objects.ZONE_LABEL}", "each node says its zone", "label the nodes")
    else:
        yield from _together(facts, places, "zone", Severity.WARNING, "zone_spread: required, and nodes in several zones")


def disruption_budget(facts: Facts) -> Iterator[Finding]:
    """Drains wait for one pod before they take the next."""
    pods, budgets = known(facts.pods), known(facts.budgets)
    bare = [objects.name(pod) for pod in pods if not any(objects.selects(each["spec"].get("selector"), pod) for each in budgets)]
    if len(pods) > 1 and bare:
        found = f"may be evicted together: {', '.join(bare)}"
        yield Finding(Severity.WARNING, found, "a PodDisruptionBudget selects each", "components make one: `pulumi up --refresh`")


def _asks_for_distance(spec: Object) -> bool:
    return bool((spec.get("affinity") or {}).get("podAntiAffinity") or spec.get("topologySpreadConstraints"))


def _together(facts: Facts, places: Mapping[str, str], what: str, severity: Severity, remedy: str) -> Iterator[Finding]:
    # One alone is nowhere together with another: that it has no replica is said elsewhere.
    for title, pods, too_many in (group for group in _groups(facts) if len(group[1]) > 1):
        place, count = Counter(places[pod] for pod in pods).most_common(1)[0]
        if count >= too_many:
            there = ", ".join(pod for pod in pods if places[pod] == place)
            found = f"{title}: {count} of {len(pods)} on {what} {place or '(none)'}: {there}"
            # Masters move, pods don't: where all pods are apart, masters may have gathered by failing over.
            advice = f"`CLUSTER FAILOVER` on a replica on another {what}" if title == _MASTERS else remedy
            yield Finding(severity, found, f"fewer than {too_many} on one", advice)


def _groups(facts: Facts) -> Iterator[tuple[str, list[str], int]]:
    """Pods, and how many of them must not be lost together: all, or, where the rest votes, a majority."""
    names = [objects.name(pod) for pod in known(facts.pods)]
    if facts.cache.mode != "cluster":
        yield "servers", names, len(names) // 2 + 1 if facts.cache.mode == "sentinel" else len(names)
        return
    shards = defaultdict[str, list[str]](list)
    for pod in known(facts.pods):
        shards[objects.owner(pod)].append(objects.name(pod))
    yield from ((f"shard {shard}", pods, len(pods)) for shard, pods in shards.items())
    masters = [server.name for server in facts.masters if server.name in names]
    yield _MASTERS, masters, len(masters) // 2 + 1
