"""The control plane: etcd, the API server, its controllers and scheduler, the cluster's DNS and its volumes."""

from __future__ import annotations

import json
from pathlib import Path

from embedded import credentials, kubectl
from embedded.busybox import BUSYBOX, VOLUME_COMMAND
from embedded.layout import API_ADDRESS, CLUSTER_DOMAIN, SERVICE_NETWORK, Layout
from embedded.processes import await_ready, log_file, start, succeeds

STORAGE_CLASS = "standard"
_VOLUMES_NAMESPACE = "local-path-storage"
_PROVISIONER = "rancher.io/local-path"
_ETCD = "http://127.0.0.1:2379"
_SERVICE_ACCOUNT_ISSUER = f"https://kubernetes.default.svc.{CLUSTER_DOMAIN}"


def start_api(layout: Layout) -> None:
    """Starts what keeps and serves the objects, and waits until it does."""
    control = layout.control
    control.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    start(
        layout,
        control,
        "etcd",
        [
            layout.programs / "etcd",
            f"--data-dir={control.data / 'etcd'}",
            f"--listen-client-urls={_ETCD}",
            f"--advertise-client-urls={_ETCD}",
            "--listen-peer-urls=http://127.0.0.1:2380",
            # Without it, a cluster that lives for weeks keeps every version of every object until its database is full.
            "--auto-compaction-mode=periodic",
            "--auto-compaction-retention=1h",
            "--logger=zap",
            "--log-level=warn",
        ],
    )
    key = credentials.service_account_key(layout)
    certificate, certificate_key = credentials.kubelet_client(layout)
    front_proxy, front_proxy_key = credentials.front_proxy(layout)
    start(
        layout,
        control,
        "kube-apiserver",
        [
            layout.programs / "kube-apiserver",
            f"--etcd-servers={_ETCD}",
            f"--bind-address={API_ADDRESS}",
            f"--advertise-address={API_ADDRESS}",
            f"--cert-dir={layout.secrets}",
            f"--token-auth-file={credentials.token_file(layout)}",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged=true",
            f"--service-cluster-ip-range={SERVICE_NETWORK}",
            f"--service-account-issuer={_SERVICE_ACCOUNT_ISSUER}",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            f"--kubelet-client-certificate={certificate}",
            f"--kubelet-client-key={certificate_key}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--proxy-client-cert-file={front_proxy}",
            f"--proxy-client-key-file={front_proxy_key}",
            f"--requestheader-client-ca-file={front_proxy}",
            f"--requestheader-allowed-names={credentials.FRONT_PROXY}",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            # Webhooks and further API servers are called at their pods: services don't exist in the control plane's space.
            "--enable-aggregator-routing=true",
        ],
    )
    serving = credentials.serving_certificate(layout)
    log = log_file(layout, control, "kube-apiserver")
    await_ready(layout, [control], "the API server makes its certificate", serving.exists, 60, log)
    credentials.write_kubeconfigs(layout)
    await_ready(layout, [control], "the API server is ready", lambda: kubectl.succeeds(layout, "get", "--raw=/readyz"), 90, log)


def start_controllers(layout: Layout) -> None:
    """Starts everything that talks to the API server."""
    control = layout.control
    manager = credentials.kubeconfig(layout, "kube-controller-manager")
    scheduler = credentials.kubeconfig(layout, "kube-scheduler")
    start(
        layout,
        control,
        "kube-controller-manager",
        [
            layout.programs / "kube-controller-manager",
            f"--kubeconfig={manager}",
            f"--authentication-kubeconfig={manager}",
            f"--authorization-kubeconfig={manager}",
            f"--service-account-private-key-file={credentials.service_account_key(layout)}",
            f"--root-ca-file={credentials.serving_certificate(layout)}",
            "--use-service-account-credentials=true",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
        ],
    )
    start(
        layout,
        control,
        "kube-scheduler",
        [
            layout.programs / "kube-scheduler",
            f"--kubeconfig={scheduler}",
            f"--authentication-kubeconfig={scheduler}",
            f"--authorization-kubeconfig={scheduler}",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
        ],
    )
    corefile = control.run / "Corefile"
    corefile.write_text(_corefile(credentials.kubeconfig(layout, "coredns")))
    start(layout, control, "coredns", [layout.programs / "coredns", "-conf", corefile])
    kubectl.run(layout, "apply", "--server-side", "--force-conflicts", "--filename=-", input=json.dumps(_manifest()))
    _start_provisioner(layout)


def _start_provisioner(layout: Layout) -> None:
    control = layout.control
    layout.volumes.mkdir(exist_ok=True)
    configuration = control.run / "volumes.json"
    configuration.write_text(
        json.dumps(
            {
                # Shared by all nodes (they are one machine): a volume follows its pod to another node like a network disk.
                "sharedFileSystemPath": str(layout.volumes),
                "setupCommand": VOLUME_COMMAND,
                "teardownCommand": VOLUME_COMMAND,
            }
        )
    )
    helper_pod = control.run / "helper-pod.yaml"
    helper_pod.write_text(json.dumps(_helper_pod()))
    start(
        layout,
        control,
        "volumes",
        [
            layout.programs / "local-path-provisioner",
            "start",
            "--provisioner-name",
            _PROVISIONER,
            "--namespace",
            _VOLUMES_NAMESPACE,
            "--service-account-name",
            "default",
            "--helper-image",
            BUSYBOX,
            "--helper-pod-file",
            helper_pod,
            "--config",
            configuration,
            "--kubeconfig",
            credentials.kubeconfig(layout, "volumes"),
        ],
    )


def serves_names(layout: Layout) -> bool:
    name = f"kubernetes.default.svc.{CLUSTER_DOMAIN}"
    return succeeds(layout.control, "busybox", "nslookup", "-type=a", name, API_ADDRESS)


def accepts_pods(layout: Layout) -> bool:
    """Pods need the account that a controller makes for each namespace; their volumes need the storage class."""
    return kubectl.succeeds(layout, "get", f"storageclass/{STORAGE_CLASS}", "serviceaccount/default", "--namespace=default")


def _corefile(kubeconfig: Path) -> str:
    # There is no way out of the cluster's network, so every other name is answered with "there is no such name": without
    # that, programs wait for answers that can't come.
    return f"""{CLUSTER_DOMAIN} in-addr.arpa ip6.arpa {{
    bind {API_ADDRESS}
    errors
    kubernetes {{
        kubeconfig {kubeconfig}
    }}
}}
. {{
    bind {API_ADDRESS}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


def _manifest() -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _VOLUMES_NAMESPACE}},
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": {
                    "name": STORAGE_CLASS,
                    "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
                },
                "provisioner": _PROVISIONER,
                "volumeBindingMode": "WaitForFirstConsumer",
                "reclaimPolicy": "Delete",
                # A volume is a folder without a limit: growing it is a matter of saying so.
                "allowVolumeExpansion": True,
            },
        ],
    }


def _helper_pod() -> dict[str, object]:
    """Makes or removes a volume's folder. On the node's network, because its own would take most of the time."""
    container = {"name": "helper-pod", "image": BUSYBOX, "imagePullPolicy": "Never"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "volume"},
        "spec": {
            "hostNetwork": True,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
        },
    }
