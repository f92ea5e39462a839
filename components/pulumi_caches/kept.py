"""What is made once and kept in the state."""

import pulumi


def keep_secret(name: str, first: pulumi.Input[str], opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
    """A secret that stays what it was when it was first made."""
    keep = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(ignore_changes=["input"]))
    return pulumi.Stash(name, input=pulumi.Output.secret(first), opts=keep).output
