"""What the stacks of pulumi-caches run. It knows nothing of Pulumi."""
