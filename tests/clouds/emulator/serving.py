"""The servers of an emulated cache: they get another shape with what is in them, and follow those of another region."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from clouds.emulator import copying, servers
from clouds.emulator.cloud import Cloud, ConflictError, Resource
from clouds.emulator.servers import Place, address_of


def place_of(cloud: Cloud, resource: Resource, part: str = "") -> Place:
    """Where a cache serves; `part`: what of it has an address of its own."""
    # At Azure a database's address is that of its machines.
    address = address_of(cloud.folder, resource.id.partition("/databases/")[0] + part)
    hidden = resource.hidden
    return Place(cloud.folder / address, address, resource_type=resource.token, admin_password=hidden["admin_password"], **hidden["shape"])


def serve(cloud: Cloud, resource: Resource, shape: dict[str, Any], settings: dict[str, str], fixed: dict[str, str] | None = None) -> None:
    """Starts the servers of a cache, or gives them settings; when it has servers of another shape, with what is in these.

    `fixed` are settings that can't be changed. While what is there is moved, nobody is let in; the caller lets them in again.
    """
    hidden = resource.hidden
    hidden.setdefault("admin_password", secrets.token_urlsafe(32))
    if not hidden.get("processes") or hidden["shape"] != shape:
        with _kept(cloud, resource) as kept:
            followers = _paused_followers(cloud, resource)
            servers.stop(resource.processes)
            for what in ("reader", "replicator"):
                hidden.pop(what, None)
            hidden["shape"] = shape
            hidden["processes"] = start(place_of(cloud, resource), fixed or {})
            if kept:
                copying.copy(kept.folder / "in", kept, place_of(cloud, resource))
        for follower in followers:
            _attach(cloud, follower, resource)
            cloud.save(follower)
        if (followed := hidden.get("follows")) and (primary := cloud.read(followed)):
            _attach(cloud, resource, primary)
    servers.configure(place_of(cloud, resource), settings)


def start(place: Place, fixed: dict[str, str]) -> list[int]:
    """Starts empty servers, with the certificate that the address had before. Returns processes."""
    for port in place.ports:
        shutil.rmtree(place.folder / str(port), ignore_errors=True)
    return servers.start(place, fixed)


def start_reader(cloud: Cloud, resource: Resource) -> Place:
    """A replica of a server behind an address of its own."""
    place = place_of(cloud, resource, "/reader")
    if not resource.hidden.get("reader"):
        resource.hidden["reader"] = start(place, {})
        servers.follow(place, place_of(cloud, resource))
    return place


def serve_memcached(cloud: Cloud, resource: Resource, addresses: list[str], *, tls: bool) -> None:
    """Has one server of Memcached at each address; those that run go on."""
    running: dict[str, int] = resource.hidden.setdefault("nodes", {})
    servers.stop(running.pop(gone) for gone in set(running) - set(addresses))
    for address in addresses:
        running[address] = running.get(address) or servers.start_memcached(cloud.folder, address, tls=tls)
    resource.hidden["processes"] = list(running.values())


def follow(cloud: Cloud, resource: Resource, primary: Resource | None) -> None:
    """Makes a cache a copy of another one, or one of its own again. The caller lets clients in anew: a copy is only read."""
    hidden, place = resource.hidden, place_of(cloud, resource)
    servers.stop(hidden.pop("replicator", []))
    hidden.pop("follows", None)
    if primary is None:
        if not place.shards:
            servers.follow(place, None)
        return
    if primary.hidden.get("follows") == resource.id:
        follow(cloud, primary, None)
        cloud.save(primary)
    hidden["follows"] = primary.id
    shutil.rmtree(_state(cloud, place), ignore_errors=True)
    # Servers that are lost follow when they are back.
    if servers.run(hidden["processes"]):
        if place.shards:
            # As a server's replica, it has nothing else than its primary.
            servers.empty(place)
        _attach(cloud, resource, primary)


def only_read(resource: Resource) -> bool:
    """Whether clients may only read because it is a copy; servers that are replicas see to that themselves."""
    return bool(resource.hidden.get("follows") and resource.hidden["shape"]["shards"])


def end(cloud: Cloud, resource: Resource) -> None:
    """Ends a cache's servers, and what is copied to it."""
    servers.stop(resource.processes)


def _attach(cloud: Cloud, resource: Resource, primary: Resource) -> None:
    """Has a copy be kept alike: a server as its engine does it, a cluster by the replicator."""
    place, other = place_of(cloud, resource), place_of(cloud, primary)
    if place.shards:
        resource.hidden["replicator"] = copying.start_following(_state(cloud, place), other, place)
    else:
        servers.follow(place, other)


def _state(cloud: Cloud, place: Place) -> Path:
    """The folder of what is copied to a place."""
    return cloud.folder / f"following-{place.address}"


def _paused_followers(cloud: Cloud, resource: Resource) -> list[Resource]:
    """Copies that must not lose what their primary will have again."""
    followers = [each for each in cloud.everything() if each.hidden.get("follows") == resource.id and each.hidden.get("replicator")]
    for follower in followers:
        servers.stop(follower.hidden["replicator"])
    return followers


@contextmanager
def _kept(cloud: Cloud, resource: Resource) -> Iterator[Place | None]:
    """A server that has what is in a cache while its own are exchanged; none where nothing is, or where a replica has it anew."""
    hidden = resource.hidden
    if not hidden.get("processes") or not servers.run(hidden["processes"]):
        yield None
        return
    place = place_of(cloud, resource)
    if hidden.get("follows") and not place.shards:
        yield None
        return
    if others := servers.databases(place) - {"db0"}:
        raise ConflictError(f"{resource.id} has keys in {', '.join(sorted(others))}: the emulator moves those of db0 only")
    # What is written now would be lost.
    servers.set_users(place, None)
    servers.stop(hidden.get("replicator", []))
    if not servers.databases(place):
        yield None
        return
    address = address_of(cloud.folder, f"{resource.id}/kept")
    kept = replace(place, folder=cloud.folder / address, address=address, shards=0, replicas=0)
    processes = start(kept, {})
    try:
        copying.copy(kept.folder / "out", place, kept)
        yield kept
    finally:
        servers.stop(processes)
        shutil.rmtree(kept.folder)
