# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""What apps wish: which of their containers is to be on which network, and under which names."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from .apps import App
from .holders import created_on
from .marker import Marker, marker_of
from .membership import Attachment, Board, aliases_of
from .model import Container, Endpoint, Network, Snapshot
from .phase import Phase


def wishes(
    apps: t.Sequence[App], phase: Phase, snapshot: Snapshot, board: Board, there: t.Mapping[str, Network]
) -> t.Iterator[Attachment]:
    """Tell what the apps want in this phase; ``there`` are the networks that exist, by name.

    A container that is on its app's initial network is to have its names there too. It is never attached to it, so
    that nothing is noted on that endpoint.
    """
    for app in apps:
        for container in app.members(snapshot):
            networks = app.networks(container, phase)
            initial = app.initial_network
            if phase.takes(container) and _starts_on(container, initial, snapshot, board, there):
                networks.setdefault(initial, "initial_network")
            for name, key in networks.items():
                endpoint = board.endpoint(container, there[name].id if name in there else name)
                yield _wish(app, phase, container, endpoint, name, key)


def _starts_on(
    container: Container, name: str, snapshot: Snapshot, board: Board, there: t.Mapping[str, Network]
) -> bool:
    """Whether a container starts on the network of this name, or is on it."""
    if not name:
        return False
    network = there.get(name)
    if board.endpoint(container, network.id if network is not None else name) is not None:
        return True
    return network is not None and created_on(snapshot, container, network)


def _wish(
    app: App, phase: Phase, container: Container, endpoint: Endpoint | None, network: str, key: str
) -> Attachment:
    wish = Attachment(
        container,
        network,
        (app.source(key),),
        joins_only=phase.joins_only(container),
        marker=Marker(app.name, key) if key != "initial_network" else None,
    )
    if phase.for_tasks:
        return wish
    aliases = app.aliases(container)
    marker = replace(wish.marker, aliases=aliases) if wish.marker is not None else None
    has = aliases_of(container, endpoint) if endpoint is not None else ()
    noted = marker_of(endpoint) if endpoint is not None else None
    given = noted.aliases if noted is not None and noted.app == app.name else ()
    return replace(
        wish,
        aliases=aliases,
        marker=marker,
        outdated=tuple(alias for alias in has if app.outdated(container, alias)),
        expired=tuple(alias for alias in has if alias in given and alias not in aliases),
    )
