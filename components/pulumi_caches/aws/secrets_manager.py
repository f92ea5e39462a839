"""Passwords that Secrets Manager has, and connections that it is to have."""

import json
from typing import Any

import pulumi
import pulumi_aws as aws

from pulumi_caches.arguments import ArgumentError
from pulumi_caches.aws.plan import Plan

# Stages of a secret's versions, the newest last.
_STAGES = ("AWSPREVIOUS", "AWSCURRENT")
# https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_CreateUser.html
_LENGTHS = range(16, 129)


def read_passwords(plan: Plan, opts: pulumi.ResourceOptions) -> pulumi.Output[list[str]]:
    """What the secret has, the newest last: the version before counts too while password_previous_valid is not false."""
    secret_id = plan.password_secret
    invoked = pulumi.InvokeOutputOptions(parent=opts.parent)
    stages = _STAGES if plan.password_previous_valid else _STAGES[-1:]

    def read(found: aws.secretsmanager.GetSecretVersionsResult) -> pulumi.Output[list[str]]:
        there = {stage for version in found.versions for stage in version.version_stages}
        read = [
            aws.secretsmanager.get_secret_version_output(secret_id=secret_id, version_stage=stage, region=plan.region, opts=invoked)
            for stage in stages
            if stage in there
        ]
        return pulumi.Output.all(*(version.secret_string for version in read)).apply(lambda texts: _passwords(plan.name, texts))

    versions = aws.secretsmanager.get_secret_versions_output(secret_id=secret_id, region=plan.region, opts=invoked)
    return pulumi.Output.secret(versions.apply(read))


def _passwords(name: str, texts: list[str]) -> list[str]:
    passwords = [_password(text) for text in texts]
    if not passwords or any(len(password) not in _LENGTHS for password in passwords):
        lengths = ", ".join(str(len(password)) for password in passwords) or "none"
        raise ArgumentError(
            f"ElastiCache {name!r} can't be made:\n  * aws_password_secret: must be a password of {_LENGTHS[0]} to {_LENGTHS[-1]} "
            f"characters, or a JSON object that has one as `password`; its versions have {lengths}"
        )
    # A version may differ from the one before in something else, and AWS takes none twice.
    return list(dict.fromkeys(passwords))


def _password(text: str) -> str:
    """As Secrets Manager's own rotations write it, or alone."""
    try:
        found: Any = json.loads(text)
    except ValueError:
        return text
    return str(found.get("password", "")) if isinstance(found, dict) else text


def keep_connection(plan: Plan, connection: pulumi.Output[Any], opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
    """The connection as JSON in a secret; its ARN, once it is there."""
    name = f"{plan.name}-connection"
    # It can be made again at any time: the name needs no 30 days to be free.
    secret = aws.secretsmanager.Secret(name, name=name, recovery_window_in_days=0, **plan.common(), opts=opts)
    text = connection.apply(lambda found: json.dumps(found, sort_keys=True))
    return aws.secretsmanager.SecretVersion(name, secret_id=secret.id, secret_string=text, region=plan.region, opts=opts).secret_arn
