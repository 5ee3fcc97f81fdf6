# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""What a container that is there can't be given any more, and gets when it is created anew."""

from __future__ import annotations

import typing as t

from .apps import App
from .holders import created_on
from .membership import SWARM_SERVICE_ID_LABEL
from .model import Container, Snapshot
from .phase import one_off

ALL_INTERFACES = frozenset({"", "0.0.0.0", "::"})


def needs_deploy(app: App, snapshot: Snapshot) -> list[dict[str, t.Any]]:
    """List what differs as ``{app, container, property, is, wanted}``, by property and then by container."""
    return [*_initial_network(app, snapshot), *_bind_all_interfaces(app, snapshot)]


def _initial_network(app: App, snapshot: Snapshot) -> t.Iterator[dict[str, t.Any]]:
    name = app.initial_network
    network = next((item for item in snapshot.networks if item.name == name), None)
    if network is None:
        return
    for container in app.members(snapshot):
        if not created_on(snapshot, container, network):
            yield _entry(app, container, "initial_network", _mode_name(snapshot, container), name)


def _bind_all_interfaces(app: App, snapshot: Snapshot) -> t.Iterator[dict[str, t.Any]]:
    """Compare only what somebody asked for, and only with containers that run: Docker tells no port of others."""
    if not app.gives("bind_all_interfaces"):
        return
    wanted = bool(app.value("bind_all_interfaces"))
    for container in app.members(snapshot):
        if container.live and not one_off(container) and _has_ports(container):
            bound = any(port.host_ip in ALL_INTERFACES for port in container.published)
            if bound != wanted:
                yield _entry(app, container, "bind_all_interfaces", bound, wanted)


def _has_ports(container: Container) -> bool:
    """Whether ports can be published for this container itself; Swarm publishes those of a service."""
    mode = container.network_mode
    shared = mode in ("host", "none") or mode.startswith("container:")
    return not shared and SWARM_SERVICE_ID_LABEL not in container.labels


def _entry(app: App, container: Container, key: str, is_: t.Any, wanted: t.Any) -> dict[str, t.Any]:
    return {"app": app.name, "container": container.name, "property": key, "is": is_, "wanted": wanted}


def _mode_name(snapshot: Snapshot, container: Container) -> str:
    """The name of the network that a container was created on; engines from 24.0.7 keep its ID."""
    mode = container.network_mode
    return next((item.name for item in snapshot.networks if item.id == mode), "bridge" if mode == "default" else mode)
