"""Deploys the topology that the stack's configuration names."""

import pulumi

import stacks

stacks.deploy(pulumi.Config("caches").require("topology"))
