"""Writes container images: one layer, one configuration, in an archive that containerd and Docker both read."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

from common.console import Failure

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_FOLDER = "blobs/sha256/"


def write(archive: Path, name: str, fill: Callable[[tarfile.TarFile], None], configuration: Mapping[str, object]) -> None:
    """`fill` puts the image's files in the layer."""
    layer = archive.with_suffix(".layer")
    with tarfile.open(layer, "w") as tar:
        fill(tar)
    layer_digest = _digest_of_file(layer)
    system = {"architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()), "os": "linux"}
    image = _json({**system, "config": configuration, "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]}})
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _descriptor("application/vnd.oci.image.config.v1+json", image),
            "layers": [
                {
                    "mediaType": "application/vnd.oci.image.layer.v1.tar",
                    "digest": f"sha256:{layer_digest}",
                    "size": layer.stat().st_size,
                }
            ],
        }
    )
    index = {
        **_descriptor("application/vnd.oci.image.manifest.v1+json", manifest),
        "platform": system,
        "annotations": {"io.containerd.image.name": name},
    }
    for_docker = {
        "Config": _FOLDER + _digest(image),
        "RepoTags": [name],
        "Layers": [_FOLDER + layer_digest],
    }
    with tarfile.open(archive, "w") as tar:
        # First, so that `digest` needn't read the whole archive.
        _add(tar, "index.json", _json({"schemaVersion": 2, "manifests": [index]}))
        _add(tar, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(tar, "manifest.json", _json([for_docker]))
        _add(tar, _FOLDER + _digest(image), image)
        _add(tar, _FOLDER + _digest(manifest), manifest)
        tar.add(layer, _FOLDER + layer_digest)
    layer.unlink()


def digest(archive: Path) -> str:
    """What containerd knows the image by."""
    with tarfile.open(archive) as tar:
        index = tar.extractfile("index.json")
        if index is None:
            raise Failure(f"{archive} is no container image: remove it, it is made again")
        return str(json.load(index)["manifests"][0]["digest"])


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _digest_of_file(file: Path) -> str:
    result = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            result.update(block)
    return result.hexdigest()


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": f"sha256:{_digest(content)}", "size": len(content)}


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
