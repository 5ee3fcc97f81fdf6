# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""What networks and apps are like on a host, as data: for results, and for the info module."""

from __future__ import annotations

import typing as t

from .app_network import Wanted
from .apps import App
from .membership import Board, aliases_of
from .model import Container, Network, Snapshot
from .needs_deploy import needs_deploy


def report(wanted: Wanted, snapshot: Snapshot) -> dict[str, t.Any]:
    """Tell what the declared networks and apps are like on the host now."""
    board = Board(snapshot, [])
    named = {item.name for item in wanted.networks}
    found = {
        network.name: _network_report(snapshot, board, network)
        for network in snapshot.networks
        if network.name in named
    }
    result: dict[str, t.Any] = {
        "networks": found,
        "apps": [app_report(app, snapshot) for app in wanted.apps],
        "needs_deploy": [entry for app in wanted.apps for entry in needs_deploy(app, snapshot)],
    }
    if wanted.flat:
        result["network"] = found.get(wanted.networks[0].name, {})
    return result


def _network_report(snapshot: Snapshot, board: Board, network: Network) -> dict[str, t.Any]:
    members = board.members(network.id)
    return {
        "name": network.name,
        "id": network.id,
        "driver": network.driver,
        "scope": network.scope,
        "internal": network.internal,
        "attachable": network.attachable,
        "enable_ipv6": network.enable_ipv6,
        "subnets": sorted(pool.subnet for pool in network.pools),
        "options": dict(sorted(network.options.items())),
        "labels": dict(sorted(network.labels.items())),
        "managed": network.managed,
        "containers": [
            {
                "name": container.name,
                "id": container.id,
                "state": container.state,
                "ip": members[container.id].ip,
                "ip6": members[container.id].ip6,
            }
            for container in snapshot.containers
            if container.id in members
        ],
    }


def app_report(app: App, snapshot: Snapshot) -> dict[str, t.Any]:
    """One app with its containers, the networks they are on and where they listen."""
    return {"name": app.name, "containers": [_container_report(app, item) for item in app.members(snapshot)]}


def _container_report(app: App, container: Container) -> dict[str, t.Any]:
    return {
        "name": container.name,
        "id": container.id,
        "process_type": app.process_type(container),
        "state": container.state,
        "networks": {
            endpoint.network: {
                "ip": endpoint.ip,
                "ip6": endpoint.ip6,
                "aliases": list(aliases_of(container, endpoint)),
            }
            for endpoint in container.endpoints
        },
        "listeners": listeners(container),
    }


def listeners(container: Container) -> list[str]:
    """Where a container's exposed TCP ports answer: each address with each port."""
    ports = sorted(
        int(port)
        for port, slash, proto in (item.partition("/") for item in container.exposed)
        if proto == "tcp" and port.isdigit()
    )
    addresses = [endpoint.ip for endpoint in container.endpoints if endpoint.ip]
    addresses += [f"[{endpoint.ip6}]" for endpoint in container.endpoints if endpoint.ip6]
    return [f"{address}:{port}" for address in addresses for port in ports]
