"""AWS's resources around caches: networks, logs, alarms, and secrets, as far as the components use them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clouds.emulator.cloud import Cloud, ConflictError, Kind, Problems, Resource

SECRET = "aws:secretsmanager/secret:Secret"
SECRET_VERSION = "aws:secretsmanager/secretVersion:SecretVersion"


def id_of(collection: str, key: str) -> Callable[[Cloud, dict[str, Any]], str]:
    """The id of a resource of a region that is called as one of its inputs is."""

    def made(cloud: Cloud, inputs: dict[str, Any]) -> str:
        name = inputs.get(key) or inputs.get("tags", {}).get("Name")
        return f"{inputs.get('region') or cloud.config.get('region')}/{collection}/{name}"

    return made


def plain(known: dict[str, type], *required: str) -> Callable[[dict[str, Any]], Problems]:
    """Of what is around caches: names and types by the SDK for Pulumi."""

    def problems(inputs: dict[str, Any]) -> Problems:
        for key, value in inputs.items():
            if key not in {**known, "region": str, "tags": dict}:
                yield key, "there is no such property"
            elif value is not None and key in known and not isinstance(value, known[key]):
                yield key, f"{value!r} is no {known[key].__name__}"
        yield from ((key, "is required") for key in required if key not in inputs)

    return problems


def noted(cloud: Cloud, resource: Resource) -> None:
    """It is there, and nothing more."""
    resource.outputs = {**resource.inputs, "arn": f"arn:aws:emulated:{resource.id}"}


def _zones(cloud: Cloud, args: dict[str, Any]) -> dict[str, Any]:
    return {"names": [f"{args.get('region')}{letter}" for letter in "abc"], "zoneIds": [], "id": str(args.get("region"))}


def _keep(cloud: Cloud, resource: Resource) -> None:
    """Makes a version the secret's current one."""
    secret = cloud.read(resource.inputs["secretId"])
    if secret is None:
        raise ConflictError(f"ResourceNotFoundException: {resource.inputs['secretId']}")
    stages = secret.hidden.setdefault("stages", {})
    if "AWSCURRENT" in stages:
        stages["AWSPREVIOUS"] = stages["AWSCURRENT"]
    stages["AWSCURRENT"] = resource.inputs["secretString"]
    cloud.save(secret)
    resource.outputs = {**resource.inputs, "secretArn": secret.outputs["arn"], "versionId": "emulated"}


def _secret(cloud: Cloud, args: dict[str, Any]) -> Resource:
    wanted = str(args["secretId"])
    for secret in cloud.all(SECRET):
        if wanted in (secret.inputs["name"], secret.outputs["arn"], secret.id) and secret.inputs.get("region") == args.get("region"):
            return secret
    raise ConflictError(f"ResourceNotFoundException: Secrets Manager can't find the specified secret {wanted}")


def _versions(cloud: Cloud, args: dict[str, Any]) -> dict[str, Any]:
    secret = _secret(cloud, args)
    versions = [
        {"versionId": stage, "versionStages": [stage], "createdTime": "", "lastAccessedDate": ""}
        for stage in secret.hidden.get("stages", {})
    ]
    return {"arn": secret.outputs["arn"], "name": secret.inputs["name"], "versions": versions, "id": secret.id, **args}


def _version(cloud: Cloud, args: dict[str, Any]) -> dict[str, Any]:
    secret, stage = _secret(cloud, args), args.get("versionStage") or "AWSCURRENT"
    if stage not in secret.hidden.get("stages", {}):
        raise ConflictError(f"ResourceNotFoundException: there is no version {stage} of {args['secretId']}")
    return {"arn": secret.outputs["arn"], "secretString": secret.hidden["stages"][stage], "versionStages": [stage], "id": secret.id, **args}


KINDS: dict[str, Kind] = {
    "aws:cloudwatch/logGroup:LogGroup": Kind(
        id_of("log-group", "name"), frozenset({"region", "name"}), plain({"name": str, "retentionInDays": int}), make=noted
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": Kind(
        id_of("alarm", "name"),
        frozenset({"region", "name"}),
        plain(
            {
                **dict.fromkeys(("name", "alarmDescription", "namespace", "metricName", "statistic", "comparisonOperator"), str),
                **{"dimensions": dict, "threshold": int, "period": int, "evaluationPeriods": int, "treatMissingData": str},
                **{"alarmActions": list, "okActions": list},
            },
            "comparisonOperator",
            "evaluationPeriods",
        ),
        make=noted,
    ),
    "aws:ec2/vpc:Vpc": Kind(
        id_of("vpc", ""),
        frozenset({"region", "cidrBlock"}),
        plain({"cidrBlock": str, "enableDnsSupport": bool, "enableDnsHostnames": bool}),
        make=noted,
    ),
    "aws:ec2/subnet:Subnet": Kind(
        id_of("subnet", ""),
        frozenset({"region", "cidrBlock", "vpcId", "availabilityZone"}),
        plain({"vpcId": str, "cidrBlock": str, "availabilityZone": str}, "vpcId"),
        make=noted,
    ),
    "aws:ec2/securityGroup:SecurityGroup": Kind(
        id_of("sg", "name"),
        frozenset({"region", "name", "vpcId", "description"}),
        plain({"name": str, "description": str, "vpcId": str, "ingress": list, "egress": list}),
        make=noted,
    ),
    SECRET: Kind(
        id_of("secret", "name"),
        frozenset({"region", "name"}),
        plain({"name": str, "description": str, "recoveryWindowInDays": int, "kmsKeyId": str}),
        make=noted,
    ),
    SECRET_VERSION: Kind(
        lambda cloud, inputs: f"{inputs['secretId']}|version",
        frozenset({"region", "secretId", "secretString"}),
        plain({"secretId": str, "secretString": str}, "secretId"),
        make=_keep,
    ),
}
INVOKES: dict[str, Callable[[Cloud, dict[str, Any]], dict[str, Any]]] = {
    "aws:index/getAvailabilityZones:getAvailabilityZones": _zones,
    "aws:secretsmanager/getSecretVersions:getSecretVersions": _versions,
    "aws:secretsmanager/getSecretVersion:getSecretVersion": _version,
}
