# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""A network that is about to be made: what it will claim, and in which order several are made."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .model import Pool, Snapshot
from .network_pools import Subnet, subnet
from .networks import BRIDGE_NAME, WantedNetwork

#: Drivers whose networks have addresses of this host's, by Docker's own address management.
LOCAL_DRIVERS = frozenset({"bridge", "macvlan", "ipvlan"})


@dataclass(frozen=True)
class Making:
    """A network that this run is about to make: ``body`` is Docker's create request.

    ``instead`` is the ID of the network that goes for it. ``place`` names its declaration for people.
    """

    place: str
    name: str
    body: t.Mapping[str, t.Any]
    instead: str = ""
    allow_route_overlap: bool = False
    #: Its pools; those of the config-only network where they come from there.
    pools: tuple[Pool, ...] = field(default=(), compare=False)

    @property
    def driver(self) -> str:
        return str(self.body.get("Driver", ""))

    @property
    def config_only(self) -> bool:
        return bool(self.body.get("ConfigOnly"))

    @property
    def bridge_name(self) -> str:
        return str(self.body.get("Options", {}).get(BRIDGE_NAME, "")) if self.driver == "bridge" else ""

    @property
    def subnets(self) -> tuple[Subnet, ...]:
        """The subnets that it claims on this host."""
        if self.config_only or self.driver == "overlay" or self.body.get("Scope", "local") != "local":
            return ()
        return tuple(found for pool in self.pools for found in [subnet(pool.subnet)] if found is not None)

    @property
    def leaves_choice(self) -> bool:
        """Whether Docker has to choose its IPv4 subnet from the daemon's pools."""
        if self.config_only or self.driver not in LOCAL_DRIVERS:
            return False
        ipam = self.body.get("IPAM", {}).get("Driver", "default")
        local = self.body.get("Scope", "local") == "local" and ipam == "default"
        return local and self.body.get("EnableIPv4", True) and not any(item.version == 4 for item in self.subnets)


def making(
    body: t.Mapping[str, t.Any],
    wanted: WantedNetwork | None,
    declared: t.Mapping[str, WantedNetwork],
    snapshot: Snapshot,
    *,
    instead: str = "",
) -> Making:
    """Describe a network that is about to be made by a create request.

    ``wanted`` is its declaration, None for one that only an earlier run has left in pieces.
    """
    name = str(body["Name"])
    source = str(body.get("ConfigFrom", {}).get("Network", ""))
    return Making(
        place=(wanted.place if wanted is not None else "") or name,
        name=name,
        body=body,
        instead=instead,
        allow_route_overlap=wanted is not None and wanted.allow_route_overlap,
        pools=_pools_from(source, declared, snapshot) if source else _pools_of(body),
    )


def _pools_from(source: str, declared: t.Mapping[str, WantedNetwork], snapshot: Snapshot) -> tuple[Pool, ...]:
    """The pools of a config-only network, be it there or declared."""
    live = [pool for network in snapshot.networks if network.name == source for pool in network.pools]
    return tuple(live) or (declared[source].pools if source in declared else ())


def _pools_of(body: t.Mapping[str, t.Any]) -> tuple[Pool, ...]:
    return tuple(
        Pool(item["Subnet"], item.get("Gateway", ""), item.get("IPRange", ""), item.get("AuxiliaryAddresses", {}))
        for item in body.get("IPAM", {}).get("Config", ())
    )


def in_order(made: t.Iterable[WantedNetwork]) -> list[WantedNetwork]:
    """Sort networks so that none takes what another needs: config-only ones first, then those with a subnet."""
    return sorted(made, key=lambda item: (not item.config_only, not item.pools, item.name))
