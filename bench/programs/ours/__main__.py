"""BENCH_COUNT caches as components, only rendered."""

import os

import pulumi
import pulumi_kubernetes as k8s
from pulumi_caches.kubernetes import RedisStatefulSet

opts = pulumi.ResourceOptions(provider=k8s.Provider("render", render_yaml_to_directory="rendered"))
for number in range(int(os.environ["BENCH_COUNT"])):
    RedisStatefulSet(f"cache-{number}", {"memory_gib": 0.125, "namespace": "bench"}, opts)
