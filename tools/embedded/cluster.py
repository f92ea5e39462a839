"""The embedded cluster as a whole: up, stop, down, and what it is doing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from common import go_build
from common.console import Failure, run, say, step
from common.locking import locked

from embedded import cgroups, control_plane, credentials, images, kubectl, machine, network, processes, prometheus, redis_operator, worker
from embedded.layout import API_ADDRESS, CLUSTER_DOMAIN, MAX_NODES, Layout, Node, Space

_PROGRAMS = {
    **dict.fromkeys(("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"), "node"),
    "coredns": "coredns",
    "local-path-provisioner": "local-path-provisioner",
}
_CONTROL_PROCESSES = {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "coredns", "volumes"}
_NODE_PROCESSES = {"containerd", "kubelet", "kube-proxy"}
# Caches write their data when they are asked to end; this is how long they get.
_GRACE_SECONDS = 5


def up(layout: Layout, requested: int | None) -> None:
    machine.require_root()
    with locked(layout.lock, "the cluster"):
        count = _count(layout, requested)
        nodes = layout.nodes(count)
        if is_running(layout):
            _await_ready(layout, nodes)
            # The runtime's code may have changed since they were put there.
            images.put(nodes, images.DEFAULT_IMAGES)
            say(f"the cluster is up: {_plural(count)}")
            return
        machine.prepare(layout)
        images.build()
        _link_programs(layout)
        if _remains(layout):
            with step("cleaning up what a crash left of the cluster"):
                _stop(layout)
        try:
            with step(f"starting a cluster of {_plural(count)}"):
                _start(layout, nodes)
        except BaseException:
            _stop(layout)
            raise


def stop(layout: Layout) -> None:
    machine.require_root()
    with locked(layout.lock, "the cluster"):
        if _remains(layout):
            with step("stopping the cluster"):
                _stop(layout)
        say("the cluster is stopped; its data is kept for the next `tools/node up`")


def down(layout: Layout) -> None:
    machine.require_root()
    with locked(layout.lock, "the cluster"):
        if _remains(layout):
            with step("stopping the cluster"):
                _stop(layout)
        _unmount_below(layout.state)
        if layout.state.exists():
            shutil.rmtree(layout.state)
        say("the cluster and its data are gone")


def restart(layout: Layout, number: int) -> None:
    machine.require_root()
    with locked(layout.lock, "the cluster"):
        nodes, node = _node(layout, number)
        with step(f"restarting {node.name}"):
            _stop_nodes([node])
            _start_nodes(layout, [node], nodes)
            _await_ready(layout, nodes)


def cut(layout: Layout, number: int) -> None:
    machine.require_root()
    _, node = _node(layout, number)
    network.cut(layout.control, node)
    say(f"{node.name} is cut off; `tools/node heal {number}` connects it again")


def heal(layout: Layout, number: int) -> None:
    machine.require_root()
    _, node = _node(layout, number)
    network.heal(layout.control, node)
    say(f"{node.name} is connected")


def put_images(layout: Layout, names: Sequence[str]) -> None:
    machine.require_root()
    nodes = _nodes(layout)
    with locked(layout.lock, "the cluster"), step("putting images in the nodes"):
        images.put(nodes, names or images.DEFAULT_IMAGES)


def install_prometheus(layout: Layout) -> None:
    _install(layout, "Prometheus", prometheus.install)


def install_redis_operator(layout: Layout) -> None:
    _install(layout, "the Redis operator", redis_operator.install)


def _install(layout: Layout, what: str, install: Callable[[Layout, Sequence[Node]], None]) -> None:
    machine.require_root()
    nodes = _nodes(layout)
    with locked(layout.lock, "the cluster"), step(f"installing {what}"):
        install(layout, nodes)


def status(layout: Layout) -> dict[str, Any]:
    machine.require_root()
    running = is_running(layout)
    items = {item["metadata"]["name"]: item for item in kubectl.get(layout, "nodes")} if running else {}
    nodes = layout.nodes(_recorded_count(layout) or 0)
    ready = worker.ready_nodes(layout, nodes) if running else set()
    cut_off = network.cut_nodes(layout) if running else set()
    return {
        "instance": layout.instance,
        "state": "up" if items else "broken" if _remains(layout) else "down",
        "api": f"https://{API_ADDRESS}:6443",
        "kubeconfig": str(layout.kubeconfig),
        "data": str(layout.state),
        "volumes": str(layout.volumes),
        "logs": str(layout.logs),
        "memory_bytes": sum(cgroups.memory(space.cgroup) for space in layout.spaces),
        "nodes": [
            {
                "name": node.name,
                "address": node.address,
                "zone": node.zone,
                "ready": node.name in ready,
                "cut": node.name in cut_off,
                "kubernetes": items.get(node.name, {}).get("status", {}).get("nodeInfo", {}).get("kubeletVersion", ""),
                "runtime": items.get(node.name, {}).get("status", {}).get("nodeInfo", {}).get("containerRuntimeVersion", ""),
            }
            for node in nodes
        ],
        "processes": [
            {"space": space.name, "name": process.name, "pid": process.pid, "alive": process.alive}
            for space in layout.spaces
            for process in processes.recorded(space)
        ],
    }


def is_running(layout: Layout) -> bool:
    """Whether every process that makes a cluster lives."""
    nodes = layout.nodes(_recorded_count(layout) or 0)
    return bool(nodes) and _control_is_running(layout) and all(_alive(node) >= {processes.HOLDER, *_NODE_PROCESSES} for node in nodes)


def _control_is_running(layout: Layout) -> bool:
    return _alive(layout.control) >= {processes.HOLDER, *_CONTROL_PROCESSES}


def _nodes(layout: Layout) -> list[Node]:
    """The nodes, which needn't run themselves."""
    if not _control_is_running(layout):
        raise Failure("the cluster isn't up: start it with `tools/node up`")
    return layout.nodes(_recorded_count(layout) or 0)


def _node(layout: Layout, number: int) -> tuple[list[Node], Node]:
    nodes = _nodes(layout)
    if not 1 <= number <= len(nodes):
        raise Failure(f"there is no node {number}: the cluster has {_plural(len(nodes))}, numbered from 1")
    return nodes, nodes[number - 1]


def _alive(space: Space) -> set[str]:
    return {process.name for process in processes.recorded(space) if process.alive}


def _recorded_count(layout: Layout) -> int | None:
    return int(json.loads(layout.record.read_text())["nodes"]) if layout.record.exists() else None


def _count(layout: Layout, requested: int | None) -> int:
    """How many nodes the cluster has or, if there is none yet, shall have."""
    recorded = _recorded_count(layout)
    if requested is None:
        return recorded or 1
    if not 1 <= requested <= MAX_NODES:
        raise Failure(f"a cluster of {requested} nodes isn't possible: choose 1 to {MAX_NODES}")
    if recorded not in (None, requested):
        raise Failure(
            f"the cluster has {_plural(recorded or 0)}, not {requested}: `tools/node down` deletes it and its data, then start again"
        )
    return requested


def _plural(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"


def _link_programs(layout: Layout) -> None:
    """One binary is all programs of Kubernetes; which one it is, is the name that it is started under."""
    folders = go_build.build(sorted(set(_PROGRAMS.values())))
    layout.programs.mkdir(parents=True, exist_ok=True)
    for program, module in _PROGRAMS.items():
        link = layout.programs / program
        link.unlink(missing_ok=True)
        link.symlink_to(folders[module] / module)


def _start(layout: Layout, nodes: Sequence[Node]) -> None:
    credentials.write(layout.record, json.dumps({"nodes": len(nodes)}) + "\n")
    layout.resolv_conf.write_text(f"nameserver {API_ADDRESS}\nsearch svc.{CLUSTER_DOMAIN} {CLUSTER_DOMAIN}\noptions ndots:5\n")
    credentials.make(layout)
    processes.hold(layout, layout.control)
    network.make_switch(layout.control, nodes)
    with ThreadPoolExecutor(max_workers=1) as pool:
        # The nodes take their images meanwhile.
        api = pool.submit(control_plane.start_api, layout)
        _start_containers(layout, nodes, nodes)
        api.result()
    control_plane.start_controllers(layout)
    for node in nodes:
        worker.start_kubelet(layout, node)
    _await_ready(layout, nodes)


def _start_containers(layout: Layout, starting: Sequence[Node], nodes: Sequence[Node]) -> None:
    for node in starting:
        worker.start_containers(layout, node, nodes)
    images.put(starting, images.DEFAULT_IMAGES)


def _start_nodes(layout: Layout, starting: Sequence[Node], nodes: Sequence[Node]) -> None:
    _start_containers(layout, starting, nodes)
    for node in starting:
        worker.start_kubelet(layout, node)


def _await_ready(layout: Layout, nodes: Sequence[Node]) -> None:
    def await_ready(what: str, condition: Callable[[], bool], log: Path) -> None:
        processes.await_ready(layout, [layout.control, *nodes], what, condition, 90, log)

    names = {node.name for node in nodes}
    cut_off = network.cut_nodes(layout) & names
    if cut_off:
        raise Failure(f"{', '.join(sorted(cut_off))} cut off: connect with `tools/node heal N`")
    kubelet = processes.log_file(layout, nodes[0], "kubelet")
    coredns = processes.log_file(layout, layout.control, "coredns")
    manager = processes.log_file(layout, layout.control, "kube-controller-manager")
    await_ready("all nodes are ready", lambda: worker.ready_nodes(layout, nodes) >= names, kubelet)
    await_ready("the nodes report their pods", lambda: not worker.outdated_pods(layout, nodes), kubelet)
    await_ready("the cluster's DNS answers", lambda: control_plane.serves_names(layout), coredns)
    await_ready("pods can be made", lambda: control_plane.accepts_pods(layout), manager)


def _remains(layout: Layout) -> bool:
    return layout.run.exists() or any(cgroups.exists(space.cgroup) for space in layout.spaces)


def _stop(layout: Layout) -> None:
    """Ends everything, in order as far as it still runs."""
    _stop_nodes(layout.nodes(MAX_NODES))
    # The API server first: without etcd it would only complain.
    processes.end([layout.control], _CONTROL_PROCESSES - {"etcd"}, 5)
    processes.end([layout.control], {"etcd"}, 5)
    cgroups.remove(layout.control.cgroup)
    shutil.rmtree(layout.run, ignore_errors=True)


def _stop_nodes(nodes: Sequence[Node]) -> None:
    # The kubelets first: they would start again what ends.
    processes.end(nodes, {"kubelet", "kube-proxy"}, 5)
    with ThreadPoolExecutor() as pool:
        list(pool.map(_stop_node, nodes))


def _stop_node(node: Node) -> None:
    cgroups.ask_to_end(f"{node.cgroup}/kubepods", _GRACE_SECONDS)
    cgroups.remove(node.cgroup)
    shutil.rmtree(node.run, ignore_errors=True)


def _unmount_below(folder: Path) -> None:
    """Deleting a folder in which somebody has mounted something would delete what is mounted."""
    mounts = [Path(line.split()[1]) for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in reversed(mounts):
        if folder in mount.parents:
            run(["umount", mount])
