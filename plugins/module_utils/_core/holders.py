# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Who holds a network: everything that keeps Docker from removing it, and everything that breaks once it is gone.

Docker tells half of it on each side. A network lists live endpoints only, with phantoms that have no container; a
container that is stopped, never started or only configured for the network tells so itself and nowhere else.
"""

from __future__ import annotations

import shlex
import typing as t
from dataclasses import dataclass

from .model import Attached, Container, Endpoint, Network, Snapshot

SWARM_SERVICE_LABEL = "com.docker.swarm.service.name"

#: All kinds, in the order in which they are listed.
KINDS = ("running", "paused", "restarting", "stopped", "created", "phantom", "service", "task", "load_balancer")
LIVE_KINDS = frozenset({"running", "paused", "restarting"})
AT_REST_KINDS = frozenset({"stopped", "created"})
SWARM_KINDS = frozenset({"service", "task", "load_balancer"})


@dataclass(frozen=True)
class Holder:
    """One holder of one network.

    ``project`` is the holder's Compose project, Dokku app or Swarm service. ``foreign`` says that this is not the
    network's own project: members of a project may go when their network goes, others were not asked. That includes a
    plain container on a project's network (no ``compose down`` takes care of it) and a project's container on a plain
    network (its project expects to find the network again).
    ``only_network``: without this network it has none. ``primary``: it was created on this network, by
    ``HostConfig.NetworkMode``, which cannot be changed. ``attached``: it has an endpoint on the network or a reference
    to one; a holder that is ``primary`` alone has neither. ``joined_by``: containers inside its network namespace.
    """

    kind: str
    name: str
    id: str = ""
    project: str = ""
    foreign: bool = False
    ip: str = ""
    aliases: tuple[str, ...] = ()
    only_network: bool = False
    primary: bool = False
    published: tuple[str, ...] = ()
    cure: str = ""
    reason: str = ""
    joined_by: tuple[str, ...] = ()
    attached: bool = True
    action: str = ""

    @property
    def data(self) -> dict[str, t.Any]:
        """The form that users and programs see in ``holders``."""
        return {
            "kind": self.kind,
            "name": self.name,
            "id": self.id,
            "project": self.project,
            "foreign": self.foreign,
            "ip": self.ip,
            "aliases": list(self.aliases),
            "only_network": self.only_network,
            "primary": self.primary,
            "published": list(self.published),
            "joined_by": list(self.joined_by),
            "action": self.action,
            "reason": self.reason,
            "cure": self.cure,
        }


def holders(snapshot: Snapshot, network: Network) -> tuple[Holder, ...]:
    """Join both sides: what the network lists, and what each container claims. Sorted by kind, name and ID."""
    found = [Holder(kind="service", name=name, project=name) for name in network.services]
    listed = {item.key: item for item in network.attached}
    for container in snapshot.containers:
        endpoint = claim(snapshot, container, network)
        attached = listed.pop(container.id, None)
        primary = created_on(snapshot, container, network)
        if endpoint is not None or attached is not None or primary:
            found.append(_of_container(snapshot, network, container, endpoint, attached, primary=primary))
    found += [_without_container(network, item) for item in listed.values()]
    told = [_told(item, network, snapshot) for item in found]
    return tuple(sorted(told, key=lambda item: (KINDS.index(item.kind), item.name, item.id)))


def refers_to(snapshot: Snapshot, reference: str, network: Network) -> bool:
    """Whether Docker takes this text for this network: a full ID beats a name, and a name beats the head of an ID.

    Where twins share a name, or a head fits several IDs, each of them counts as meant.
    """
    if reference == network.id:
        return True
    if any(reference == other.id for other in snapshot.networks):
        return False
    if reference == network.name:
        return True
    if not reference or any(reference == other.name for other in snapshot.networks):
        return False
    return network.id.startswith(reference)


def claim(snapshot: Snapshot, container: Container, network: Network) -> Endpoint | None:
    """The container's own reference to the network: by ID, or as it was typed while it was never started."""
    for endpoint in container.endpoints:
        if endpoint.network_id == network.id:
            return endpoint
    for endpoint in container.endpoints:
        if not endpoint.network_id and refers_to(snapshot, endpoint.network, network):
            return endpoint
    return None


def created_on(snapshot: Snapshot, container: Container, network: Network) -> bool:
    """Whether the container's create-time network is this one."""
    mode = container.network_mode
    if mode.startswith("container:"):  # a network may bear such a name, but no container can be created on it
        return False
    return refers_to(snapshot, "bridge" if mode == "default" else mode, network)


def _of_container(
    snapshot: Snapshot,
    network: Network,
    container: Container,
    endpoint: Endpoint | None,
    attached: Attached | None,
    *,
    primary: bool,
) -> Holder:
    service = container.labels.get(SWARM_SERVICE_LABEL, "")
    alive = container.state if container.live else "created" if container.state == "created" else "stopped"
    # A container that is neither listed nor claims anything is here for its create-time network alone.
    on_it = endpoint is not None or attached is not None
    own = (endpoint.ip or endpoint.fixed_ip or endpoint.ip6 or endpoint.fixed_ip6) if endpoint else ""
    # API 1.44 and below add the short ID to the aliases; nobody asked for it.
    aliases = (alias for alias in (endpoint.aliases if endpoint else ()) if alias != container.id[:12])
    return Holder(
        kind="task" if service else alive,
        name=container.name,
        id=container.id,
        project=service or container.owner,
        foreign=not service and container.owner != network.owner,
        ip=own or (attached.ip or attached.ip6 if attached else ""),
        aliases=tuple(sorted(set(aliases))),
        only_network=on_it and not _other_networks(snapshot, container, endpoint, network),
        primary=primary,
        published=tuple(
            f"{port.host_ip}:{port.host_port}->{port.container_port}/{port.proto}" for port in container.published
        ),
        joined_by=tuple(sorted(item.name for item in snapshot.containers if _joins(item, container))),
        attached=on_it,
    )


def _other_networks(
    snapshot: Snapshot, container: Container, endpoint: Endpoint | None, network: Network
) -> tuple[Endpoint, ...]:
    """The container's endpoints on other networks that exist; a reference to a network that is gone is none."""
    there = {item.id for item in snapshot.networks}
    return tuple(
        item
        for item in container.endpoints
        if item is not endpoint
        and item.network_id != network.id
        and (item.network_id in there or (not item.network_id and snapshot.networks_named(item.network)))
    )


def _joins(item: Container, container: Container) -> bool:
    head, colon, target = item.network_mode.partition(":")
    if head != "container" or not colon or not target:
        return False
    return target in (container.id, container.name) or (len(target) >= 12 and container.id.startswith(target))


def _without_container(network: Network, item: Attached) -> Holder:
    """An endpoint that the network lists for none of the containers."""
    if item.key.startswith("ep-"):
        kind = "phantom"
    elif len(item.key) == 64 and not item.key.startswith("lb-"):
        # The container is younger than the list of containers; nothing more is known about it.
        return Holder(
            kind="running", name=item.name, id=item.key, ip=item.ip or item.ip6, foreign=True, only_network=True
        )
    else:
        kind = "load_balancer"
    return Holder(kind=kind, name=item.name, id=item.key, ip=item.ip or item.ip6)


def _told(holder: Holder, network: Network, snapshot: Snapshot) -> Holder:
    """The holder with its reason (one sentence without a full stop) and its cure."""
    values = {key: value for key, value in vars(holder).items() if key not in ("reason", "cure")}
    return Holder(**values, reason=_reason(holder, network), cure=_cure(holder, network, snapshot))


def _reason(holder: Holder, network: Network) -> str:
    if holder.kind == "service":
        return f"the Swarm service {holder.name} uses it"
    if holder.kind == "task":
        return f"it runs for the Swarm service {holder.project}"
    if holder.kind == "load_balancer":
        return "Swarm balances a service's load with it; cutting it breaks the service for good"
    if holder.kind == "phantom":
        return "an endpoint without a container, left behind by Docker"
    parts = []
    if not holder.attached:
        parts.append("it was created on this network and has left it since")
    elif holder.kind in AT_REST_KINDS:
        never = "was never started" if holder.kind == "created" else "is stopped"
        parts.append(f"it {never} and keeps a reference, which does not block Docker but breaks its next start")
    else:
        parts.append(f"it is {holder.kind} on this network")
    if holder.foreign:
        mine, theirs = (f"to {name}" if name else "to no project" for name in (holder.project, network.owner))
        parts.append(f"it belongs {mine}, the network {theirs}")
    if holder.only_network:
        parts.append("it has no other network")
    if holder.primary and holder.attached:
        parts.append("it was created on this network")
    return "; ".join(parts)


def _cure(holder: Holder, network: Network, snapshot: Snapshot) -> str:
    net = _word(network.name, network.id, certain=len(snapshot.networks_named(network.name)) == 1)
    name = _word(holder.name, holder.id)
    if holder.kind in ("service", "task"):
        service = _word(holder.project, holder.project)
        return f"docker service update --network-rm {net} {service}"
    if holder.kind == "load_balancer":
        return f"docker network inspect --verbose {net}"
    if holder.kind == "phantom":
        if takers(snapshot, holder.name):
            return f"docker rename {name} {name}.moved"
        return f"docker network disconnect --force {net} {name}"
    if holder.kind in LIVE_KINDS and not holder.foreign and network.compose_project:
        return f"docker compose --project-name {_word(network.compose_project, '')} down"
    if holder.kind in AT_REST_KINDS:
        return f"docker network disconnect --force {net} {name}" if holder.attached else f"docker rm {name}"
    if holder.only_network or holder.primary or holder.kind == "restarting":
        return f"docker stop {name}"
    return f"docker network disconnect {net} {name}"


def takers(snapshot: Snapshot, name: str) -> tuple[Container, ...]:
    """The containers that Docker would take for this text before it looks for an endpoint: by ID, name, head of an ID.

    Docker resolves what it is asked to disconnect to a container first, so that a phantom's name can hit a live one.
    """
    return tuple(item for item in snapshot.containers if name == item.name or (name and item.id.startswith(name)))


def _word(name: str, identity: str, *, certain: bool = True) -> str:
    """A name as one word of a shell command; the ID where the name would be read as an option or is not unique."""
    if identity and (not certain or name.startswith("-") or not name.isprintable()):
        return shlex.quote(identity)
    return shlex.quote("".join(char if char.isprintable() else repr(char)[1:-1] for char in name))
