# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""What a network that is about to be made would collide with: other networks, the host, and the lack of subnets."""

from __future__ import annotations

import typing as t

from .errors import CoreError
from .model import Engine, Network, Snapshot, Surroundings
from .network_making import LOCAL_DRIVERS, Making
from .network_pools import Subnet, claimed, overlap, refuse_exhausted, routed
from .networks import version

#: The first engine that makes up IPv6 subnets without being told of a pool.
_MAKES_UP_IPV6 = (27,)


def refuse_collisions(made: t.Sequence[Making], snapshot: Snapshot) -> None:
    """Refuse networks that collide with each other, with Docker's other networks, or with the host."""
    gone = {item.instead for item in made} - {""}
    others = [item for item in snapshot.networks if item.id not in gone]
    for number, item in enumerate(made):
        _refuse_bridge(item, made[:number], others, snapshot)
        _refuse_subnets(item, made[:number], others, snapshot)
    surroundings = snapshot.surroundings
    if surroundings is not None:
        need = [item.name for item in made if item.leaves_choice]
        declared = [found for item in made for found in item.subnets]
        refuse_exhausted(need, snapshot, surroundings, declared=declared, without=gone)
        _refuse_no_ipv6(made, snapshot.engine, surroundings)


def _refuse_no_ipv6(made: t.Sequence[Making], engine: Engine, surroundings: Surroundings) -> None:
    if engine.release >= _MAKES_UP_IPV6 or any(version(base) == 6 for base, _length in surroundings.address_pools):
        return
    for item in made:
        asks = item.body.get("EnableIPv6") and item.driver in LOCAL_DRIVERS
        if asks and not any(found.version == 6 for found in item.subnets):
            raise CoreError(
                f"{item.place} wants IPv6 without a subnet for it, and this engine ({engine.version}) has no IPv6 "
                "addresses of its own to give. Nothing was changed.",
                hint="Give a subnet such as fd00:30::/64 in ipam_config, or upgrade the engine to 27.",
                reason_code="engine",
                details={"needs": "27", "engine": engine.version},
            )


def _refuse_bridge(item: Making, before: t.Sequence[Making], others: t.Sequence[Network], snapshot: Snapshot) -> None:
    name = item.bridge_name
    if not name:
        return
    holders = [f"the network {other.name!r}" for other in others if other.bridge_name == name]
    holders += [f"the network {other.name!r} of the same call" for other in before if other.bridge_name == name]
    kinds = snapshot.surroundings.interfaces if snapshot.surroundings is not None else {}
    if not holders and kinds.get(name, "bridge") != "bridge":
        holders = [f"an interface of the host that is no bridge ({kinds[name] or 'a plain one'})"]
    if holders:
        raise CoreError(
            f"{item.place} wants the bridge {name!r}, which belongs to {holders[0]}. Nothing was changed.",
            hint="Choose another bridge_name, or leave it out.",
            reason_code="bridge_in_use",
            details={"bridge": name},
        )


def _refuse_subnets(item: Making, before: t.Sequence[Making], others: t.Sequence[Network], snapshot: Snapshot) -> None:
    # A subnet that a recreated network has had so far is no question any more.
    had = {found for network in snapshot.networks if network.id == item.instead for found in claimed(network)}
    own = [found for found in item.subnets if found not in had]
    for number, mine in enumerate(own):
        for other in others:
            for theirs in claimed(other):
                if overlap(mine, theirs) and not _share_a_link(item, other):
                    raise _taken(item, mine, theirs, f"of the network {other.name!r}")
        for one in before:
            for theirs in one.subnets:
                if overlap(mine, theirs):
                    raise _taken(item, mine, theirs, f"of the network {one.name!r} of the same call")
        for theirs in own[:number]:
            if overlap(mine, theirs):
                raise _taken(item, mine, theirs, "of the same network")
    if item.driver == "bridge" and not item.allow_route_overlap:
        _refuse_routes(item, own, snapshot)


def _share_a_link(item: Making, other: Network) -> bool:
    """Whether two networks divide one subnet of the host's link among them, each with a range of its own."""
    ranges = [pool.ip_range for pool in (*item.pools, *other.pools)]
    return item.driver != "bridge" and other.driver == item.driver and all(ranges)


def _refuse_routes(item: Making, own: t.Iterable[Subnet], snapshot: Snapshot) -> None:
    # Docker's bridges are told by the networks that have them, and a network may take up a bridge that is there.
    bridges = {network.bridge_name for network in snapshot.networks} | {item.bridge_name}
    routes = snapshot.surroundings.routes if snapshot.surroundings is not None else ()
    ways = [(route, theirs) for route, theirs in routed(routes) if not route.device or route.device not in bridges]
    for mine in own:
        for route, theirs in ways:
            if overlap(mine, theirs):
                by = f" by {route.device}" if route.device else ""
                more = ", or set allow_route_overlap: true where this is meant"
                raise _taken(item, mine, theirs, f"that the host has a route to{by}", more)


def _taken(item: Making, mine: Subnet, theirs: Subnet, whose: str, more: str = "") -> CoreError:
    return CoreError(
        f"{item.place} wants the subnet {mine} for {item.name!r}, which overlaps {theirs} {whose}: one of both could "
        "not be reached. Nothing was changed.",
        hint=f"Choose another subnet, or leave it out to let Docker choose one{more}.",
        reason_code="subnet_in_use",
        details={"subnet": str(mine), "overlaps": str(theirs)},
    )
