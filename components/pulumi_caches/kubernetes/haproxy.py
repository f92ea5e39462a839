"""The front of a SentinelGroup: HAProxy leads clients that know one address and two ports to the master and to the replicas.

It asks the agents who is what, over HTTP, so it knows no password; what clients and servers say passes through as it is.
"""

from dataclasses import dataclass, replace
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_kubernetes as k8s

from pulumi_caches.arguments import Arguments
from pulumi_caches.kubernetes import labels, pod
from pulumi_caches.kubernetes.config_map import make_config
from pulumi_caches.kubernetes.placement import Placement, Spread, pod_placement
from pulumi_caches.kubernetes.sentinel_pod import AGENT_PORT
from pulumi_caches.kubernetes.server import PORT, Server, read_image

IMAGE = "docker.io/library/haproxy:3.0.11"
READ_PORT = 6380
STATUS_PORT = 8404
FILE = "haproxy.cfg"
# haproxy in the official image.
USER = 99
# Nodes apply the end of an endpoint at most once a second; until then new connections still come.
_LEAVING_SECONDS = 3
# Then connections have this time to end by themselves.
_STOPPING_SECONDS = 10
# Two buffers of 16 KiB and what HAProxy remembers of a connection; most are idle and hold no buffer.
_CONNECTION_KIB = 40
_BASE_MIB = 64
_REPLICAS_MAXIMUM = 20


class FrontArgs(TypedDict):
    """Arguments of a front for clients that don't ask sentinels."""

    front_replicas: NotRequired[int]
    """Pods of an HAProxy that leads clients to the master and the replicas, at most 20; 2 survive a lost node. Default: 0, no front."""
    front_image: NotRequired[pulumi.Input[str]]
    """HAProxy's image, with an exact tag or digest, of version 3.0 or later. Default: the official image, 3.0.11."""


@dataclass(frozen=True)
class Front:
    """A checked front; without replicas there is none."""

    replicas: int
    image: pulumi.Input[str]


def read_front(arguments: Arguments) -> Front:
    """Reads and checks FrontArgs."""
    front = Front(arguments.whole("front_replicas", 0, 0, _REPLICAS_MAXIMUM), read_image(arguments, "front_image", IMAGE))
    if arguments.given("front_image") and not front.replicas:
        arguments.refuse("front_image", "there is no front: give front_replicas, 2 or more, or leave it out")
    return front


def make_front(
    name: str,
    front: Front,
    server: Server,
    members: list[str],
    placement: Placement,
    metadata: dict[str, Any],
    priority_class_name: pulumi.Input[str] | None,
    ip_families: dict[str, Any],
    opts: pulumi.ResourceOptions,
) -> list[pulumi.Resource]:
    """Creates the front's objects, all named NAME-front. `metadata` has the group's namespace and the person's labels.

    `opts` must wait for the Services of the members: HAProxy resolves their names once, when it starts.
    """
    full_name = f"{name}-front"
    selector = labels.selector("haproxy", name)
    own = {**metadata, "name": full_name, "labels": labels.all_labels("haproxy", name, "front", metadata["labels"])}
    config_map, config = make_config(full_name, {FILE: render(members, server.max_clients)}, own, opts)
    spec = deployment_spec(front, server, selector, own["labels"], placement, priority_class_name, config_map)
    deployment = k8s.apps.v1.Deployment(
        full_name, metadata=own, spec=spec, opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[config]))
    )
    k8s.policy.v1.PodDisruptionBudget(
        full_name, metadata=own, spec={"max_unavailable": 1, "selector": {"match_labels": selector}}, opts=opts
    )
    ports = [{"name": "write", "port": PORT, "target_port": "write"}, {"name": "read", "port": READ_PORT, "target_port": "read"}]
    service = {"selector": selector, "ports": ports, **ip_families}
    return [deployment, k8s.core.v1.Service(full_name, metadata=own, spec=service, opts=opts)]


def render(members: list[str], max_clients: int) -> str:
    """HAProxy's configuration. The namespace and the pod's addresses come from its environment."""
    return f"""\
global
    maxconn {max_clients}
    # A node that allows fewer open files allows fewer connections; without this HAProxy would not start there.
    no strict-limits
    nbthread 2
    hard-stop-after {_STOPPING_SECONDS}s

defaults
    mode tcp
    timeout connect 500ms
    # An agent that has to wait for the processor is not gone; one that is can't be connected to, which is noticed sooner.
    timeout check 1s
    # As long as can be: the servers decide how long a client may be silent. One that is gone is noticed by keepalive.
    timeout client 24d
    timeout server 24d
    option clitcpka
    clitcpka-idle 60s
    clitcpka-intvl 10s
    clitcpka-cnt 3
    option redispatch 1
    retries 2
    option httpchk
    http-check expect status 200
    # Names are resolved once: the addresses of the members' Services never change. A second no, and connections are ended:
    # they would be told for ever that this is not the master, or wait for a server that hangs.
    default-server init-addr libc check port {AGENT_PORT} fastinter 100ms downinter 200ms fall 2 rise 1 on-marked-down shutdown-sessions

frontend write
{_binds(PORT)}
    # While the old master and the new one both say that they are it, nobody is led to either.
    tcp-request connection reject unless {{ nbsrv(masters) eq 1 }}
    default_backend masters

frontend read
{_binds(READ_PORT)}
    use_backend masters if {{ nbsrv(replicas) eq 0 }}
    default_backend replicas

{_backend("masters", "/master", "200ms", members)}

{_backend("replicas", "/replica", "500ms", members)}

frontend status
    mode http
{_binds(STATUS_PORT)}
    timeout client 10s
    # Ready while it sees any member: one that is cut off gets no clients, and a failover takes no front away.
    monitor-uri /ready
    monitor fail if {{ nbsrv(masters) eq 0 }} {{ nbsrv(replicas) eq 0 }}
    http-request use-service prometheus-exporter if {{ path /metrics }}
    http-request return status 200 if {{ path /alive }}
    http-request return status 404
"""


def _binds(port: int) -> str:
    """Every address; those of IPv6 only where the pod has one, because a kernel without it would refuse."""
    return f"""\
    bind *:{port}
    .if strstr("'$POD_IPS'",:)
    bind :::{port} v6only
    .endif"""


def _backend(name: str, question: str, every: str, members: list[str]) -> str:
    """The members whose agents answer the question with yes."""
    lines = [
        f"backend {name}",
        "    balance leastconn",
        f"    http-check send meth GET uri {question}",
        f"    default-server inter {every}",
        *(f'    server {member} "{member}.${{NAMESPACE}}.svc:{PORT}"' for member in members),
    ]
    return "\n".join(lines)


def deployment_spec(
    front: Front,
    server: Server,
    selector: dict[str, str],
    all_labels: dict[str, str],
    placement: Placement,
    priority_class_name: pulumi.Input[str] | None,
    config_map: str,
) -> dict[str, Any]:
    """The Deployment's spec: a new pod is there before an old one goes, which goes when its clients had time to."""
    # A roll needs a place for one more pod, and there may be no more nodes than pods.
    spread = replace(placement, node_spread=Spread.PREFERRED) if placement.node_spread is Spread.REQUIRED else placement
    spec = {
        **pod.POD_DEFAULTS,
        **pod_placement(spread, selector),
        "security_context": {
            "run_as_non_root": True,
            "run_as_user": USER,
            "run_as_group": USER,
            "seccomp_profile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(front.image, server.max_clients)],
        "volumes": [{"name": "config", "config_map": {"name": config_map}}],
        "termination_grace_period_seconds": _LEAVING_SECONDS + _STOPPING_SECONDS + 5,
    }
    if server.image_pull_secrets:
        spec["image_pull_secrets"] = [{"name": secret} for secret in server.image_pull_secrets]
    if priority_class_name is not None:
        spec["priority_class_name"] = priority_class_name
    return {
        "replicas": front.replicas,
        "selector": {"match_labels": selector},
        "strategy": {"type": "RollingUpdate", "rolling_update": {"max_unavailable": 0, "max_surge": 1}},
        "template": {"metadata": {"labels": all_labels}, "spec": spec},
    }


def _container(image: pulumi.Input[str], max_clients: int) -> dict[str, Any]:
    # SIGUSR1 ends the process with its last connection; what would come after the hook, SIGTERM, ends it at once.
    leave = f"sleep {_LEAVING_SECONDS}; kill -USR1 1; sleep {_STOPPING_SECONDS + 5}"
    return {
        "name": "haproxy",
        "image": image,
        "command": ["haproxy", "-db", "-f", f"{pod.CONFIG_FOLDER}/{FILE}"],
        "env": pod.variables({"NAMESPACE": "$metadata.namespace", "POD_IPS": "$status.podIPs"}),
        "ports": [{"name": name, "container_port": port} for name, port in (("write", PORT), ("read", READ_PORT), ("status", STATUS_PORT))],
        "resources": {
            "requests": {"cpu": "50m", "memory": f"{_BASE_MIB}Mi"},
            "limits": {"memory": f"{_BASE_MIB + max_clients * _CONNECTION_KIB // 1024}Mi"},
        },
        "liveness_probe": {"http_get": {"path": "/alive", "port": "status"}, "period_seconds": 10, "timeout_seconds": 5},
        "readiness_probe": {
            "http_get": {"path": "/ready", "port": "status"},
            # Until members have been asked once, all count as there.
            "initial_delay_seconds": 1,
            "period_seconds": 2,
            "timeout_seconds": 2,
        },
        "lifecycle": {"pre_stop": {"exec": {"command": ["sh", "-c", leave]}}},
        "security_context": pod.CONTAINER_SECURITY,
        "volume_mounts": [{"name": "config", "mount_path": pod.CONFIG_FOLDER, "read_only": True}],
    }
