# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Who leaves which network: what a network or an app shuts out, what an app lists no more, what is to be removed."""

from __future__ import annotations

import typing as t

from .apps import App
from .errors import CoreError
from .marker import marker_of
from .membership import SWARM_SERVICE_ID_LABEL, Board, leave, update_service
from .model import Container, Network, Snapshot
from .networks import WantedMember, WantedNetwork
from .phase import Phase, one_off
from .plan import Change

#: Containers that leave, each as the container's ID and the network's, with the reason.
Leaving = t.Dict[t.Tuple[str, str], str]
#: The networks that each container is to be on, by the container's ID; networks by ID, new ones by name.
WantedOn = t.Mapping[str, t.Collection[str]]


def shut_out(
    networks: t.Sequence[WantedNetwork], there: t.Mapping[str, Network], board: Board, wanted_on: WantedOn
) -> Leaving:
    """Find those who are on an exclusive network and are not among its members."""
    leaving = {}
    for network in networks:
        if network.exclusive and network.present and network.name in there:
            key = there[network.name].id
            place = f"{network.place}.exclusive" if network.place else "exclusive"
            for identity in board.members(key):
                if key not in wanted_on.get(identity, ()):
                    leaving[(identity, key)] = f"{place}: it is not among the network's declared members"
    return leaving


def make_way(joiners: t.Sequence[tuple[WantedMember, Container]], gone: t.Sequence[Network], board: Board) -> Leaving:
    """Find the joiners that are still on networks that are to be removed."""
    return {
        (container.id, network.id): f"{joiner.place}: it joins every network of this call, and this one is to be absent"
        for network in gone
        for joiner, container in joiners
        if board.endpoint(container, network.id) is not None
    }


def leave_apps(
    apps: t.Sequence[App],
    phase: Phase,
    snapshot: Snapshot,
    there: t.Mapping[str, Network],
    board: Board,
    wanted_on: WantedOn,
) -> Leaving:
    """Find the containers of apps on networks that these list no more (if we attached them), or shut out."""
    leaving: Leaving = {}
    for app in apps:
        for container in app.members(snapshot):
            # Another app or a list of members may want the container on networks of theirs.
            owners = [app, *(other for other in apps if other.owns(container))]
            keep = {there[name].id if name in there else name for owner in owners for name in owner.listed}
            keep |= set(wanted_on.get(container.id, ()))
            leaving.update(_no_longer_listed(app, phase, container, board, keep))
            if app.exclusive and phase.takes(container) and not phase.joins_only(container):
                leaving.update(_not_listed(app, container, board, keep))
    return leaving


def _no_longer_listed(app: App, phase: Phase, container: Container, board: Board, keep: t.Collection[str]) -> Leaving:
    leaving = {}
    for key in board.networks_of(container):
        endpoint = board.endpoint(container, key)
        noted = marker_of(endpoint) if endpoint is not None else None
        if noted is None or noted.app != app.name or key in keep:
            continue
        # A property that nobody gives says nothing, neither that a network is wanted nor that it is not.
        if app.gives(noted.key) and phase.detaches(container, noted.key):
            leaving[(container.id, key)] = f"{app.source(noted.key)}: the app {app.name} lists this network no more"
    return leaving


def _not_listed(app: App, container: Container, board: Board, keep: t.Collection[str]) -> Leaving:
    on = board.networks_of(container)
    if (not container.live or one_off(container)) and not set(keep) & set(on):
        # It gets its networks with the deploy, or never; without any it would start, or end, cut off.
        return {}
    reason = f"{app.source('exclusive')}: the app {app.name} does not list this network"
    return {(container.id, key): reason for key in on if key not in keep}


def steps_off(leaving: Leaving, snapshot: Snapshot, board: Board) -> list[Change]:
    """The steps by which they leave, networks in the order of their names; ``board`` is updated.

    A task of a Swarm service, and a running container that would be left without any network, are refused.
    """
    containers = {container.id: container for container in snapshot.containers}
    names = {network.id: network.name for network in snapshot.networks}
    order = sorted(leaving, key=lambda item: (names[item[1]], item[1], containers[item[0]].name))
    changes = []
    for identity, key in order:
        container, reason = containers[identity], leaving[(identity, key)]
        if SWARM_SERVICE_ID_LABEL in container.labels:
            raise CoreError(
                f"{reason}, but {container.name!r} is a task of a Swarm service, which would lose its network for good.",
                hint=f"Use: {update_service(container, 'rm', names[key])}.",
                reason_code="service",
            )
        changes.append(leave(board, container, key, names[key], reason))
    for identity, key in order:
        container = containers[identity]
        if container.live and not board.networks_of(container):
            raise CoreError(
                f"{leaving[(identity, key)]}, but the {container.state} container {container.name!r} would be left "
                f"without any network once it left {names[key]!r}. Nothing was changed.",
                hint="Attach it to another network in the same call, or stop it first.",
                reason_code="only_network",
                details={"container": container.name, "network": names[key]},
            )
    return changes
