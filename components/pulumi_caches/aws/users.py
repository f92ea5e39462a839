"""Who may log in to an ElastiCache: one user, by IAM or with passwords, and nobody else."""

import secrets
from typing import Any

import pulumi
import pulumi_aws as aws

from pulumi_caches.aws.plan import ElastiCacheEngine, Plan
from pulumi_caches.aws.secrets_manager import read_passwords
from pulumi_caches.kept import keep_secret
from pulumi_caches.managed import Auth

# Nothing that the whole cluster's owner does: AWS keeps those commands anyway.
_RIGHTS = "on ~* &* +@all"
_NOTHING = "off ~* -@all"
_PASSWORD_BYTES = 32


def make_users(plan: Plan, opts: pulumi.ResourceOptions) -> tuple[aws.elasticache.UserGroup | None, pulumi.Output[str] | None]:
    """The group of the user, called as the cache, and the password; none of both when nobody logs in."""
    if plan.managed.auth is Auth.NONE:
        return None, None
    passwords = None
    if plan.managed.auth is Auth.PASSWORD:
        passwords = _generated(plan, opts) if plan.password_secret is None else read_passwords(plan, opts)
    mode: Any = {"type": "iam"} if passwords is None else {"type": "password", "passwords": passwords}
    # For a login by IAM both its names have to be the same.
    users = [_user(plan, plan.name, plan.name, _RIGHTS, mode, opts)]
    if plan.engine is ElastiCacheEngine.REDIS:
        # A group for Redis needs a user of this name; one for Valkey has none unless it is given.
        users.append(_user(plan, f"{plan.name}-default", "default", _NOTHING, {"type": "no-password-required"}, opts))
    group = aws.elasticache.UserGroup(
        plan.name,
        user_group_id=plan.name,
        engine=plan.engine.value,
        user_ids=[user.user_id for user in users],
        **plan.common(),
        opts=opts,
    )
    return group, None if passwords is None else passwords.apply(lambda valid: valid[-1])


def _user(plan: Plan, user_id: str, user_name: str, rights: str, mode: Any, opts: pulumi.ResourceOptions) -> aws.elasticache.User:
    return aws.elasticache.User(
        user_id,
        user_id=user_id,
        user_name=user_name,
        engine=plan.engine.value,
        access_string=rights,
        authentication_mode=mode,
        **plan.common(),
        opts=opts,
    )


def _generated(plan: Plan, opts: pulumi.ResourceOptions) -> pulumi.Output[list[str]]:
    """The one of this version last."""
    first = plan.password_version - 1 if plan.password_version > 1 and plan.password_previous_valid else plan.password_version
    # ElastiCache takes few other characters than letters and digits.
    return pulumi.Output.all(
        *(
            keep_secret(f"{plan.name}-password-{version}", secrets.token_hex(_PASSWORD_BYTES), opts)
            for version in range(first, plan.password_version + 1)
        )
    )
