# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""What is asked about networks and apps, and the answer: the read-only side of app networks."""

from __future__ import annotations

import fnmatch
import typing as t
from dataclasses import dataclass

from . import shape
from .app_report import listeners
from .apps import PROPERTIES, App, read_app_defaults, read_apps
from .carried_addresses import carried_addresses
from .holders import holders
from .model import (
    GENERATION_LABEL,
    INDEX_LABEL,
    SWARM_NETWORKS,
    Container,
    Network,
    Snapshot,
)


@dataclass(frozen=True)
class Question:
    """What one call asks for; without names and patterns every network is meant."""

    names: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    managed_only: bool = False
    apps: tuple[App, ...] = ()

    def means(self, network: Network) -> bool:
        if self.managed_only and not network.managed:
            return False
        if not (self.names or self.patterns):
            return True
        return network.name in self.names or any(fnmatch.fnmatchcase(network.name, glob) for glob in self.patterns)

    def asks_container(self, container: Container) -> bool:
        """Whether aliases of a container matter: they are told for what holds a network that is asked for."""
        if any(app.owns(container) for app in self.apps):
            return True
        means = self.names or self.patterns
        return not means or any(
            endpoint.network in self.names or any(fnmatch.fnmatchcase(endpoint.network, glob) for glob in self.patterns)
            for endpoint in container.endpoints
        )


def read_question(params: t.Mapping[str, t.Any]) -> Question:
    """Read the module's options."""
    return Question(
        names=shape.texts(params["names"], "names"),
        patterns=shape.texts(params["patterns"], "patterns"),
        managed_only=params["managed_only"],
        apps=read_apps(params["apps"], read_app_defaults(params["app_defaults"])),
    )


def answer(question: Question, snapshot: Snapshot) -> dict[str, t.Any]:
    """Tell which networks there are and what they are like, and the properties of apps."""
    there = {network.name for network in snapshot.networks}
    return {
        "networks": [_network(item, snapshot) for item in snapshot.networks if question.means(item)],
        "exists": {name: name in there for name in sorted(question.names)},
        "report": {app.name: _app(app, snapshot) for app in question.apps},
    }


def _network(network: Network, snapshot: Snapshot) -> dict[str, t.Any]:
    held = holders(snapshot, network)
    obstacles = [*_obstacles(network, snapshot), *(f"{item.kind} {item.name}: {item.reason}" for item in held)]
    return {
        "name": network.name,
        "id": network.id,
        "driver": network.driver,
        "scope": network.scope,
        "internal": network.internal,
        "attachable": network.attachable,
        "ipv4": network.enable_ipv4,
        "ipv6": network.enable_ipv6,
        "subnets": sorted(pool.subnet for pool in network.pools if pool.subnet),
        "labels": dict(sorted(network.labels.items())),
        "created": network.created,
        "managed": network.managed,
        "compose_project": network.compose_project,
        "removable": not obstacles,
        "why_not": obstacles,
        "holders": [item.data for item in held],
    }


def _obstacles(network: Network, snapshot: Snapshot) -> t.Iterator[str]:
    """What keeps a network beside those that hold it, each as a sentence without a full stop."""
    if network.predefined:
        yield "it is one of Docker's own, which can't be removed"
    elif network.name in SWARM_NETWORKS:
        yield "Swarm made it for itself, and breaks without it"
    if network.config_only:
        for item in snapshot.networks:
            if item.config_from == network.name:
                yield f"the network {item.name} takes its configuration from it"


def _app(app: App, snapshot: Snapshot) -> dict[str, t.Any]:
    report: dict[str, t.Any] = {
        key: {
            "raw": _plain(app.own.get(key, _unset(key))),
            "global": _plain(app.defaults.get(key, _unset(key))),
            "computed": _plain(app.value(key)),
        }
        for key in PROPERTIES
    }
    members = app.members(snapshot)
    report["containers"] = [_container(app, container) for container in members]
    report["carries_addresses"] = carried_addresses(members, snapshot)
    by_process: dict[str, list[str]] = {}
    for container in members:
        by_process.setdefault(app.process_type(container), []).extend(listeners(container))
    report["listeners"] = {process: found for process, found in sorted(by_process.items()) if found}
    report["running"] = any(container.live for container in members)
    return report


def _container(app: App, container: Container) -> dict[str, t.Any]:
    """One container of an app, as far as a deploy wants to know it."""
    return {
        "name": container.name,
        "id": container.id,
        "state": container.state,
        "health": container.health,
        "restarts": container.restarts,
        "exit_code": container.exit_code,
        "process_type": app.process_type(container),
        "index": container.labels.get(INDEX_LABEL, ""),
        "generation": container.labels.get(GENERATION_LABEL, ""),
    }


def _unset(key: str) -> t.Any:
    """How a property that was not given is told: empty, and null for one that is on or off."""
    return None if isinstance(PROPERTIES[key], bool) else PROPERTIES[key]


def _plain(value: t.Any) -> t.Any:
    return list(value) if isinstance(value, tuple) else value
