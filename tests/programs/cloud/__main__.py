"""A stack of the project, as its own program runs it."""

import pulumi

import stacks

stacks.deploy(pulumi.Config("caches").require("topology"))
