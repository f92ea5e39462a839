"""The cluster's network: a switch in the control plane's space, a cable from it to each node, routes to the pods of each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from embedded.layout import LINK_PREFIX, Layout, Node, Space
from embedded.processes import holder, inside

_SWITCH = "switch"


def make_switch(control: Space, nodes: Sequence[Node]) -> None:
    _ip(
        control,
        "link set lo up",
        # A bridge without an address of its own takes the lowest of its cables', and changes it when a node comes or goes.
        f"link add {_SWITCH} address {_hardware_address(control)} type bridge",
        f"address add {control.address}/{LINK_PREFIX} dev {_SWITCH}",
        f"link set {_SWITCH} up",
        *(_route(node) for node in nodes),
    )
    # Packets between nodes only pass through: they are no business of this space's packet filter.
    _set(control, "net/bridge/bridge-nf-call-iptables", "0")


def plug_in(control: Space, node: Node, nodes: Sequence[Node]) -> None:
    _ip(
        control,
        f"link add {node.name} type veth peer name eth0 address {_hardware_address(node)} netns {holder(node).pid}",
        f"link set {node.name} master {_SWITCH} up",
    )
    _ip(
        node,
        "link set lo up",
        f"address add {node.address}/{LINK_PREFIX} dev eth0",
        "link set eth0 up",
        f"route add default via {control.address}",
        *(_route(other) for other in nodes if other != node),
    )
    _set(node, "net/ipv4/ip_forward", "1")
    # A pod that calls a service and is sent to a pod of its own node gets the answer through their common bridge: unless the
    # packet filter sees it, it carries the pod's address instead of the service's.
    _set(node, "net/bridge/bridge-nf-call-iptables", "1")


def unplug(control: Space, node: Node) -> None:
    # The kernel removes a dead node's end and with it this one, but takes its time; the next cable has the same name.
    if node.name in _links(control):
        _ip(control, f"link delete {node.name}")


def cut(control: Space, node: Node) -> None:
    # At the switch: at the node, the kernel would forget the node's routes as well.
    _ip(control, f"link set {node.name} down")


def heal(control: Space, node: Node) -> None:
    _ip(control, f"link set {node.name} up")


def cut_nodes(layout: Layout) -> set[str]:
    return {name for name, flags in _links(layout.control).items() if "UP" not in flags and name.startswith("node-")}


def _links(space: Space) -> dict[str, list[str]]:
    return {link["ifname"]: link["flags"] for link in json.loads(inside(space, "ip", "-json", "link").stdout)}


def _hardware_address(space: Space) -> str:
    """The same after each restart, as of a real machine: its neighbours go on sending to the one they know."""
    return "02:00:" + ":".join(f"{int(part):02x}" for part in space.address.split("."))


def _route(node: Node) -> str:
    return f"route add {node.pod_network} via {node.address}"


def _ip(space: Space, *commands: str) -> None:
    inside(space, "ip", "-batch", "-", input="\n".join(commands) + "\n")


def _set(space: Space, setting: str, value: str) -> None:
    """A kernel setting of the space's network; one that this kernel doesn't have needs no setting."""
    file = Path("/proc/sys") / setting
    if file.exists():
        inside(space, "sh", "-c", 'echo "$1" >"$2"', "sh", value, file)


def pod_network_configuration(node: Node) -> dict[str, object]:
    """For the CNI plug-ins."""
    return {
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "pods",
                "isGateway": True,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(node.run / "pod-addresses"),
                    "ranges": [[{"subnet": node.pod_network}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }
