"""Memcached's own proxy before the shards: one address for clients that can't spread keys themselves."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_kubernetes as k8s

from pulumi_caches.arguments import Arguments
from pulumi_caches.kubernetes import labels, memcached_pod, pod
from pulumi_caches.kubernetes.config_map import make_config
from pulumi_caches.kubernetes.memcached import MEMCACHED_PORT, Memcached, MemcachedAuth
from pulumi_caches.kubernetes.placement import Placement, pod_placement
from pulumi_caches.kubernetes.server import MEMORY_GIB_MAXIMUM, MIB_PER_GIB, read_image

DEFAULT_IMAGE = "docker.io/library/memcached:1.6.45"
_OFFICIAL = re.compile(r"(?:docker\.io/)?(?:library/)?memcached:1\.6\.(\d+)(?:-.*)?")
_OFFICIAL_SINCE = 39
_CONFIG_FILE = "proxy.lua"
COMPONENT = "proxy"
# So that one is there while the other restarts.
_REPLICAS = 2
# The process, measured with 7 MiB, and the probes beside it.
_OWN_MIB = 64
_CONNECTION_KIB = 8
# Memory for items on their way: for so many of the largest ones at the same time.
_ITEMS = 16
_ITEMS_MIB_MINIMUM = 32
# Until every node has taken a pod that ends out of the Service.
_LEAVE_SECONDS = 5

_LUA = """\
-- Each key has its shard by the proxy's own hash. A shard added at the end takes its part of the keys; the others keep theirs.
function mcp_config_pools()
  mcp.backend_connect_timeout(1)
  mcp.backend_read_timeout(3)
  mcp.backend_retry_waittime(1)
  mcp.buffer_memory_limit({buffers_kib})
  return mcp.pool({{
{shards}
  }})
end

function mcp_config_routes(pool)
  local route = mcp.funcgen_new()
  local shards = route:new_handle(pool)
  route:ready({{ n = "shards", f = function(context)
    return function(request) return context:enqueue_and_wait(request, shards) end
  end }})
  mcp.attach(mcp.CMD_ANY_STORAGE, route)
end
"""


class MemcachedProxyArgs(TypedDict):
    """Arguments of Memcached's proxy."""

    proxy: NotRequired[bool]
    """Whether two proxies behind the Service NAME-proxy route keys to the shards; needs auth none. Default: false."""
    proxy_image: NotRequired[pulumi.Input[str]]
    """Container image of the proxies, built with --enable-proxy, with an exact tag or digest. Default: the official image 1.6.45."""
    proxy_memory_gib: NotRequired[float]
    """Memory request and limit of each proxy in GiB. Default, and least: enough for its connections and 16 of the largest items."""


@dataclass(frozen=True)
class ProxyPods:
    """How its pods are placed, which is as the shards are."""

    placement: Placement
    priority_class_name: pulumi.Input[str] | None
    annotations: dict[str, str]
    evictable: bool


def read_proxy(arguments: Arguments, memcached: Memcached, stable_names: bool) -> Memcached | None:
    """Reads and checks MemcachedProxyArgs; the proxy is a server that passes on what these would keep."""
    if not arguments.flag("proxy", False):
        for key in ("proxy_image", "proxy_memory_gib"):
            if arguments.given(key):
                arguments.refuse(key, "needs proxy")
        return None
    if memcached.auth is not MemcachedAuth.NONE:
        problem = "Memcached's proxy can neither log in to shards nor ask clients for a login"
        arguments.refuse("proxy", f"{problem}: set auth to none, and let a network policy say who reaches the ports")
    if memcached.tls:
        arguments.refuse("proxy", "can't be combined with tls_secret_name: no image is known whose proxy speaks TLS to shards")
    if not stable_names:
        arguments.refuse("proxy", "with workload deployment there is only one server, which has one address anyway")
    image = read_image(arguments, "proxy_image", DEFAULT_IMAGE)
    official = _OFFICIAL.fullmatch(image) if isinstance(image, str) else None
    if official and int(official[1]) < _OFFICIAL_SINCE:
        arguments.refuse("proxy_image", f"the official image has no proxy before 1.6.{_OFFICIAL_SINCE}: give that one or a later one")
    return replace(
        memcached,
        image=image,
        memory_mib=_read_memory(arguments, memcached),
        # None is taken. But an item may have at most half of it.
        item_memory_mib=max(64, math.ceil(2 * memcached.max_item_size_mib)),
        extra_options=(f"proxy_config={pod.CONFIG_FOLDER}/{_CONFIG_FILE}",),
        extstore_gib=None,
        warm_restart=False,
    )


def _read_memory(arguments: Arguments, memcached: Memcached) -> int:
    connections_mib = memcached.max_connections * _CONNECTION_KIB // 1024
    # Each thread asks whether there is memory left before it takes an item, and not how large that one is.
    items_mib = _buffers_mib(memcached) + math.ceil(memcached.threads * memcached.max_item_size_mib)
    least = _OWN_MIB + connections_mib + items_mib
    why = "so much is for its connections and for 16 of the largest items on their way"
    return int(MIB_PER_GIB * arguments.number("proxy_memory_gib", least / MIB_PER_GIB, least / MIB_PER_GIB, MEMORY_GIB_MAXIMUM, why))


def make_proxy(
    name: str,
    proxy: Memcached,
    hosts: list[str],
    pods: ProxyPods,
    metadata: dict[str, Any],
    opts: pulumi.ResourceOptions,
    after: Callable[..., pulumi.ResourceOptions],
) -> k8s.apps.v1.Deployment:
    """Creates the proxies before the shards `hosts`, their Service and all else; `metadata` has their namespace and labels."""
    proxy_name = f"{name}-proxy"
    metadata = {**metadata, "name": proxy_name}
    selector = labels.selector("memcached", name, COMPONENT)
    port = {"name": "memcached", "port": MEMCACHED_PORT, "target_port": "memcached"}
    service = k8s.core.v1.Service(proxy_name, metadata=metadata, spec={"selector": selector, "ports": [port]}, opts=opts)
    # One of its own: with that of the shards they would restart for each shard that is added.
    files = {**memcached_pod.script_files(), _CONFIG_FILE: config(proxy, hosts)}
    config_map, made = make_config(proxy_name, files, metadata, opts)
    volumes = memcached_pod.config_volumes(proxy, config_map, [], None)
    spec = {
        "replicas": _REPLICAS,
        "selector": {"match_labels": selector},
        # One more or one fewer, because the nodes may have no room for one more.
        "strategy": {"rolling_update": {"max_surge": 1, "max_unavailable": 1}},
        "template": {
            "metadata": {"labels": metadata["labels"], "annotations": pods.annotations},
            "spec": _pod(proxy, volumes, pod_placement(pods.placement, selector), pods.priority_class_name),
        },
    }
    budget = {"max_unavailable": 1 if pods.evictable else 0, "selector": {"match_labels": selector}}
    k8s.policy.v1.PodDisruptionBudget(proxy_name, metadata=metadata, spec=budget, opts=opts)
    return k8s.apps.v1.Deployment(proxy_name, metadata=metadata, spec=spec, opts=after(service, made))


def config(proxy: Memcached, hosts: list[str]) -> str:
    """The proxy's configuration, in Lua."""
    shards = "\n".join(f'    mcp.backend("{host}", "{host}", "{MEMCACHED_PORT}"),' for host in hosts)
    return _LUA.format(buffers_kib=_buffers_mib(proxy) * 1024, shards=shards)


def _pod(
    proxy: Memcached, volumes: list[dict[str, Any]], placement: dict[str, Any], priority_class_name: pulumi.Input[str] | None
) -> dict[str, Any]:
    spec = memcached_pod.server_pod(proxy, volumes, placement, priority_class_name)
    [container] = spec["containers"]
    lifecycle = {"pre_stop": {"exec": {"command": ["sleep", str(_LEAVE_SECONDS)]}}}
    return {**spec, "containers": [{**container, "lifecycle": lifecycle}]}


def _buffers_mib(memcached: Memcached) -> int:
    return max(_ITEMS_MIB_MINIMUM, math.ceil(_ITEMS * memcached.max_item_size_mib))
