"""A node: containerd, the kubelet and kube-proxy, each thinking that it is alone on its machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from embedded import credentials, kubectl, network
from embedded.busybox import BUSYBOX
from embedded.layout import API_ADDRESS, CLUSTER_DOMAIN, POD_NETWORK, Layout, Node
from embedded.processes import await_ready, hold, inside, log_file, start, succeeds

# These paths are fixed in programs that are one per machine; each node gets its own folders there, seen by nobody else.
# What a reboot leaves behind is among the data.
_PRIVATE_UNTIL_REBOOT = ("/run/containerd", "/var/lib/cni")
_PRIVATE = ("/var/lib/kubelet", "/var/log/pods", "/var/log/containers")
# Debian's folder, and where everybody else puts the plug-ins.
CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))


def start_containers(layout: Layout, node: Node, nodes: Sequence[Node]) -> None:
    """Makes the node, plugged in, with a containerd that images can be put in."""
    hold(layout, node)
    network.unplug(layout.control, node)
    network.plug_in(layout.control, node, nodes)
    for path in _PRIVATE_UNTIL_REBOOT + _PRIVATE:
        base = node.run if path in _PRIVATE_UNTIL_REBOOT else node.data
        own = base / "private" / path.strip("/").replace("/", "-")
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
        Path(path).mkdir(parents=True, exist_ok=True)
        inside(node, "mount", "--bind", own, path)
    inside(node, "mount", "--bind", layout.resolv_conf, "/etc/resolv.conf")
    configuration = node.run / "containerd.toml"
    configuration.write_text(_containerd_configuration(node))
    start(layout, node, "containerd", ["containerd", "--config", configuration])
    log = log_file(layout, node, "containerd")
    await_ready(layout, [node], f"containerd of {node.name} answers", lambda: _containerd_answers(node), 60, log)


def start_kubelet(layout: Layout, node: Node) -> None:
    configuration = node.run / "kubelet.json"
    configuration.write_text(json.dumps(_kubelet_configuration(layout, node), indent=2))
    start(
        layout,
        node,
        "kubelet",
        [
            layout.programs / "kubelet",
            f"--config={configuration}",
            f"--kubeconfig={credentials.kubeconfig(layout, node.name)}",
            f"--hostname-override={node.name}",
            f"--node-ip={node.address}",
            f"--node-labels=topology.kubernetes.io/zone={node.zone}",
        ],
    )
    start(
        layout,
        node,
        "kube-proxy",
        [
            layout.programs / "kube-proxy",
            f"--kubeconfig={credentials.kubeconfig(layout, 'kube-proxy')}",
            f"--hostname-override={node.name}",
            f"--cluster-cidr={POD_NETWORK}",
            "--proxy-mode=nftables",
            # Connection tracking has settings of the whole machine, which are none of a node's business (and may be
            # refused): nought leaves them alone.
            "--conntrack-max-per-core=0",
            "--conntrack-min=0",
            "--conntrack-tcp-timeout-established=0",
            "--conntrack-tcp-timeout-close-wait=0",
        ],
    )


# After a start, the API still holds what was so before the stop, until the kubelets say something else: time tells.
def _kubelet_starts(nodes: Sequence[Node]) -> dict[str, int]:
    files = {node.name: node.run / "kubelet.json" for node in nodes}
    return {name: int(file.stat().st_mtime) for name, file in files.items() if file.exists()}


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


# Removed a little after a node has said that it is ready, and until then no pod goes there.
_NOT_READY_TAINTS = {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}


def ready_nodes(layout: Layout, nodes: Sequence[Node]) -> set[str]:
    ready = set()
    starts = _kubelet_starts(nodes)
    for item in kubectl.get(layout, "nodes"):
        name = item["metadata"]["name"]
        if any(taint["key"] in _NOT_READY_TAINTS for taint in item["spec"].get("taints", [])):
            continue
        for condition in item["status"].get("conditions", []):
            is_ready = condition["type"] == "Ready" and condition["status"] == "True"
            if is_ready and name in starts and _seconds(condition["lastHeartbeatTime"]) >= starts[name]:
                ready.add(name)
    return ready


def outdated_pods(layout: Layout, nodes: Sequence[Node]) -> set[str]:
    """Pods which the API takes for running with containers of before the nodes' start."""
    outdated = set()
    starts = _kubelet_starts(nodes)
    for item in kubectl.get(layout, "pods", "--all-namespaces"):
        start = starts.get(item["spec"].get("nodeName"), 0)
        running = [status["state"]["running"] for status in item["status"].get("containerStatuses", []) if "running" in status["state"]]
        if any(_seconds(state["startedAt"]) < start for state in running):
            outdated.add(f"{item['metadata']['namespace']}/{item['metadata']['name']}")
    return outdated


def _containerd_answers(node: Node) -> bool:
    command = ("ctr", "--address", str(node.containerd_socket), "--connect-timeout", "2s", "version")
    return node.containerd_socket.exists() and succeeds(node, *command)


def _containerd_configuration(node: Node) -> str:
    plugins = next((folder for folder in CNI_FOLDERS if (folder / "bridge").exists()), CNI_FOLDERS[0])
    configuration = node.run / "cni"
    configuration.mkdir(exist_ok=True)
    (configuration / "pods.conflist").write_text(json.dumps(network.pod_network_configuration(node), indent=2))
    # Raising a process's priority over others takes a right that root doesn't have everywhere: `restrict_oom_score_adj`.
    return f"""version = 2
root = "{node.data / "containerd"}"
state = "{node.run / "containerd"}"

[grpc]
address = "{node.containerd_socket}"

[plugins."io.containerd.internal.v1.opt"]
path = "{node.run / "opt"}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{BUSYBOX}"
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{configuration}"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
"""


def _kubelet_configuration(layout: Layout, node: Node) -> dict[str, object]:
    client_certificate, _ = credentials.kubelet_client(layout)
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": node.address,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(client_certificate)},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{node.containerd_socket}",
        # A changed Secret or ConfigMap reaches pods within seconds instead of the usual minute.
        "syncFrequency": "5s",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{node.cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        "clusterDNS": [API_ADDRESS],
        "clusterDomain": CLUSTER_DOMAIN,
        "resolvConf": str(layout.resolv_conf),
        # The machine's disk and memory are shared with whatever else it does; evicting pods would help nobody.
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%"},
        # The images can't be pulled again.
        "imageGCHighThresholdPercent": 100,
    }
