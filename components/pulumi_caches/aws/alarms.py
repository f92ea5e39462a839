"""Alarms of CloudWatch for an ElastiCache."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from pulumi_caches.aws.plan import ElastiCacheEngine, Plan

_MINUTE = 60


@dataclass(frozen=True)
class _Rule:
    """Goes off when a metric was over its limit in five minutes, one after the other."""

    suffix: str
    metric: str
    limit: float
    means: str


_SERVER = (
    _Rule("cpu", "EngineCPUUtilization", 90, "the engine's one thread is busy: more shards, or larger nodes"),
    _Rule("memory", "DatabaseMemoryUsagePercentage", 90, "memory is nearly full: more memory_gib or shards"),
)
_REPLICA = (_Rule("lag", "ReplicationLag", 30, "a replica is seconds behind: reads are old, a failover would lose writes"),)
_MEMCACHED = (_Rule("cpu", "CPUUtilization", 90, "the node is busy: more shards, or larger nodes"),)
_SERVERLESS = (_Rule("throttled", "ThrottledCmds", 0, "commands are refused: a limit of the cache is reached"),)


def make_alarms(plan: Plan, opts: pulumi.ResourceOptions) -> None:
    """One for each rule and node; each tells the topics, if there are any."""
    for suffix, rule, dimensions in _wanted(plan):
        aws.cloudwatch.MetricAlarm(
            f"{plan.name}{suffix}-{rule.suffix}",
            name=f"{plan.name}{suffix}-{rule.suffix}",
            alarm_description=rule.means,
            namespace="AWS/ElastiCache",
            metric_name=rule.metric,
            dimensions=dimensions,
            statistic="Maximum",
            comparison_operator="GreaterThanThreshold",
            threshold=rule.limit,
            period=_MINUTE,
            evaluation_periods=5,
            treat_missing_data="missing",
            alarm_actions=plan.alarm_topics,
            ok_actions=plan.alarm_topics,
            **plan.common(),
            opts=opts,
        )


def _wanted(plan: Plan) -> list[tuple[str, _Rule, dict[str, str]]]:
    """What its name has more than the cache's, the rule and what it looks at."""
    if plan.serverless:
        return [("", rule, {"clusterId": plan.name}) for rule in _SERVERLESS]
    if plan.engine is ElastiCacheEngine.MEMCACHED:
        nodes = [f"{number:04d}" for number in range(1, plan.managed.shards + 1)]
        return [(f"-{node}", rule, {"CacheClusterId": plan.name, "CacheNodeId": node}) for node in nodes for rule in _MEMCACHED]
    rules = _SERVER + (_REPLICA if plan.managed.replicas_per_shard else ())
    pairs = [(member, rule) for member in plan.members for rule in rules]
    return [(member.removeprefix(plan.name), rule, {"CacheClusterId": member, "CacheNodeId": "0001"}) for member, rule in pairs]
