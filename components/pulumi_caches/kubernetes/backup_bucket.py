"""Where backups go: a bucket of S3, Azure or Google, or a volume; and how a pod gets in."""

import re
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import pulumi

from pulumi_caches.arguments import Arguments

_URL = re.compile(r"(s3|az|gs|pvc)://([a-z0-9][-.a-z0-9_]{1,221}[a-z0-9])((/[-\w=][-\w.=]*)*)/?")
_RULE = (
    "must be s3://BUCKET/PATH, az://CONTAINER/PATH, gs://BUCKET/PATH, or pvc://CLAIM/PATH for a PersistentVolumeClaim; "
    "give each cache a path of its own"
)
_VOLUME = {"name": "backups", "mount_path": "/backups"}
_SECRET = re.compile("SECRET|PASSWORD|TOKEN|KEY", re.IGNORECASE)
_VARIABLE = re.compile("[A-Z][A-Z0-9_]*")


class BackupBucketArgs(TypedDict):
    """Arguments of everything that keeps something in a bucket."""

    bucket: str
    """Where backups go: s3://BUCKET/PATH, az://CONTAINER/PATH, gs://BUCKET/PATH or pvc://CLAIM/PATH. Needed."""
    bucket_settings: NotRequired[dict[str, str]]
    """What else its clients must know, as variables: AWS_REGION, AWS_ENDPOINT_URL, AZURE_STORAGE_ACCOUNT_NAME. Default: none."""
    credentials_secret_name: NotRequired[pulumi.Input[str]]
    """Secret in the same namespace whose keys are such variables, such as AWS_SECRET_ACCESS_KEY. Default: none."""
    service_account_annotations: NotRequired[dict[str, str]]
    """Annotations of a service account that the cloud lets in instead, such as eks.amazonaws.com/role-arn. Default: none."""


@dataclass(frozen=True)
class Bucket:
    """Checked arguments."""

    scheme: str
    name: str
    path: str
    settings: dict[str, str]
    credentials_secret_name: pulumi.Input[str] | None
    annotations: dict[str, str]

    @property
    def is_volume(self) -> bool:
        """Whether it is a PersistentVolumeClaim."""
        return self.scheme == "pvc"

    def url(self) -> str:
        """As `caches` takes it."""
        return f"file://{_VOLUME['mount_path']}{self.path}" if self.is_volume else f"{self.scheme}://{self.name}{self.path}"

    def pod_labels(self) -> dict[str, str]:
        """What Azure knows pods by that use a service account's identity."""
        return {"azure.workload.identity/use": "true"} if self.annotations and self.scheme == "az" else {}

    def mounts(self) -> list[dict[str, Any]]:
        """Of a container."""
        return [_VOLUME] if self.is_volume else []

    def volumes(self) -> list[dict[str, Any]]:
        """Of a pod."""
        return [{"name": _VOLUME["name"], "persistent_volume_claim": {"claim_name": self.name}}] if self.is_volume else []

    def env_from(self) -> list[dict[str, Any]]:
        """Of a container: what only the Secret knows."""
        return [{"secret_ref": {"name": self.credentials_secret_name}}] if self.credentials_secret_name is not None else []


def read_bucket(arguments: Arguments) -> Bucket:
    """Reads and checks BackupBucketArgs."""
    found = _URL.fullmatch(arguments.text("bucket", "", _URL, _RULE))
    if found is None and not arguments.given("bucket"):
        arguments.refuse("bucket", _RULE)
    settings = arguments.annotations("bucket_settings")
    for name in settings:
        if not _VARIABLE.fullmatch(name):
            arguments.refuse("bucket_settings", f"{name!r} is no variable of a client's: capital letters, digits and '_'")
        elif _SECRET.search(name):
            arguments.refuse(
                "bucket_settings", f"{name} is for a secret, which everybody could read here: put it in credentials_secret_name"
            )
    scheme, name, path = (found[1], found[2], found[3]) if found else ("s3", "", "")
    bucket = Bucket(
        scheme=scheme,
        name=name,
        path=path,
        settings=settings,
        credentials_secret_name=arguments.value("credentials_secret_name", None),
        annotations=arguments.annotations("service_account_annotations"),
    )
    if bucket.is_volume:
        for key in ("bucket_settings", "credentials_secret_name", "service_account_annotations"):
            if arguments.given(key):
                arguments.refuse(key, "a volume needs none: remove it, or name a bucket")
    return bucket
