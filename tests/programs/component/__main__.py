"""One component with the arguments that a test gives, in a namespace of its own."""

import pulumi
import pulumi_caches.kubernetes
import pulumi_kubernetes as k8s

config = pulumi.Config()
render = config.get("render")
provider = (
    k8s.Provider("cluster", render_yaml_to_directory=render) if render else k8s.Provider("cluster", kubeconfig=config.require("kubeconfig"))
)
opts = pulumi.ResourceOptions(provider=provider)

name = config.get("namespace") or "shop"
namespace = k8s.core.v1.Namespace(name, metadata={"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}, opts=opts)
args = config.get_object("args", {}) | {"namespace": namespace.metadata["name"]}
if certificate := config.get_object("certificate"):
    metadata = {"name": "certificate", "namespace": namespace.metadata["name"]}
    secret = k8s.core.v1.Secret("certificate", metadata=metadata, type="kubernetes.io/tls", string_data=certificate, opts=opts)
    args["tls_secret_name"] = secret.metadata["name"]
cache = getattr(pulumi_caches.kubernetes, config.require("component"))("cache", args, opts)
if backup := config.get_object("backup"):
    backup |= {"namespace": namespace.metadata["name"], "connection": cache.connection}
    pulumi_caches.kubernetes.CacheBackup("cache", backup, opts)
for monitoring, settings in config.get_object("monitoring", {}).items():
    settings |= {"namespace": namespace.metadata["name"], "connection": cache.connection}
    pulumi_caches.kubernetes.CacheMonitoring(monitoring, settings, opts)
if warmup := config.get_object("warmup"):
    warmup |= {"namespace": namespace.metadata["name"], "connection": cache.connection}
    warm = pulumi_caches.kubernetes.CacheWarmup("cache", warmup, opts)
    pulumi.export("warm", warm.connection)
# What only watches a cache has none.
pulumi.export("connection", getattr(cache, "connection", None))
