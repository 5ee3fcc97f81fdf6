# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""What a new network would collide with, and what its members ask of it; all of it before anything is changed."""

from __future__ import annotations

import ipaddress
import typing as t
from dataclasses import dataclass, field

from .errors import CoreError
from .membership import Attachment
from .model import Engine, Network, Pool, Snapshot, Surroundings
from .network_pools import Subnet, claimed, overlap, refuse_exhausted, routed, subnet
from .networks import BRIDGE_NAME, GATEWAY_MODE, WantedNetwork, version

#: Drivers whose networks have addresses of this host's, by Docker's own address management.
_LOCAL_DRIVERS = frozenset({"bridge", "macvlan", "ipvlan"})

#: The first engine that makes up IPv6 subnets without being told of a pool.
_MAKES_UP_IPV6 = (27,)


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
        if self.config_only or self.driver not in _LOCAL_DRIVERS:
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


# ---- collisions ------------------------------------------------------------------------------------------------------


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
        asks = item.body.get("EnableIPv6") and item.driver in _LOCAL_DRIVERS
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


# ---- config-only networks --------------------------------------------------------------------------------------------


def refuse_config(
    declared: t.Sequence[WantedNetwork], there: t.Mapping[str, Network], snapshot: Snapshot, made: t.Sequence[Making]
) -> None:
    """Refuse what does not fit a config-only network, or one that takes its settings from such a network."""
    by_name = {item.name: item for item in declared}
    for item in declared:
        live = there.get(item.name)
        if not item.present:
            continue
        if item.config_from is not None:
            _refuse_source(item, item.config_from, by_name, snapshot)
        if live is None:
            continue
        if item.config_only is not None and item.config_only != live.config_only:
            raise _config_error(
                f"{item.at('config_only')} is {str(item.config_only).lower()}, but the network {item.name!r} is "
                f"{'a config-only one' if live.config_only else 'a real one'}, and no network can become the other",
                f"Choose another name, or remove {item.name!r} first.",
            )
        if live.config_only and item.members:
            raise _config_error(
                f"{item.at('connected')} is given for {item.name!r}, which is a config-only network", "Leave it out."
            )
    for one in made:
        dependents = [net.name for net in snapshot.networks if one.config_only and net.config_from == one.name]
        if one.instead and dependents:
            raise _config_error(
                f"{one.place}: the config-only network {one.name!r} would have to be recreated, and the networks "
                f"{', '.join(dependents)} take their settings from it",
                "Make another config-only network, and name it in config_from of those.",
            )


def _refuse_source(item: WantedNetwork, name: str, declared: t.Mapping[str, WantedNetwork], snapshot: Snapshot) -> None:
    source = declared.get(name)
    live = next((network for network in snapshot.networks if network.name == name), None)
    if source is not None and not source.present:
        raise _config_error(f"{item.at('config_from')} is {name!r}, which is to be absent", "Drop one of both.")
    if live is None and source is None:
        raise CoreError(
            f"{item.at('config_from')} is {name!r}, and no network has this name. Nothing was changed.",
            hint="Declare it in the same call with config_only: true.",
            reason_code="unknown_network",
        )
    if not (live.config_only if live is not None else source is not None and source.config_only):
        raise _config_error(
            f"{item.at('config_from')} is {name!r}, which is not a config-only network",
            "Name one that was made with config_only: true.",
        )


def refuse_members_of_config(attachments: t.Iterable[Attachment], names: t.Collection[str]) -> None:
    """Refuse attachments to networks that are config-only."""
    for item in attachments:
        if item.network in names:
            raise _config_error(
                f"{item.why[0]} wants the container {item.container.name!r} on {item.network!r}, which is a "
                "config-only network: nobody can join it",
                "Name a network that takes its settings from it by config_from.",
            )


def _config_error(found: str, cure: str) -> CoreError:
    return CoreError(f"{found}. Nothing was changed.", hint=cure, reason_code="config_only")


# ---- static addresses ------------------------------------------------------------------------------------------------


def refuse_addresses(
    attachments: t.Sequence[Attachment], there: t.Mapping[str, Network], made: t.Mapping[str, Making]
) -> None:
    """Refuse addresses that the network will not have to give: outside, reserved, or wanted twice."""
    wanted: dict[tuple[str, str], Attachment] = {}
    for item in attachments:
        for ip in filter(None, (item.ip, item.ip6)):
            other = wanted.setdefault((item.network, ip), item)
            if other is not item:
                raise _static_error(item, ip, f"{other.why[0]} wants it for {other.container.name!r} too")
            _refuse_address(item, ip, there.get(item.network), made.get(item.network))


def _refuse_address(item: Attachment, ip: str, live: Network | None, new: Making | None) -> None:
    pools = new.pools if new is not None else live.pools if live is not None else ()
    family = [pool for pool in pools if version(pool.subnet) == version(ip)]
    if new is not None and not family:
        if new.driver in _LOCAL_DRIVERS:
            raise _static_error(item, ip, "Docker lets nobody choose an address where it chooses the subnet itself")
        return
    address = ipaddress.ip_address(ip)
    subnets = [(pool, found) for pool in family for found in [subnet(pool.subnet)] if found is not None]
    inside = [(pool, found) for pool, found in subnets if address in found]
    if not subnets:
        return
    if not inside:
        told = ", ".join(str(found) for _pool, found in subnets)
        raise _static_error(item, ip, f"it is outside the network's {told}")
    pool, found = inside[0]
    bridge = (live.driver if live is not None else "") if new is None else new.driver
    closed = new is not None and "isolated" in _modes(new.body.get("Options", {}))
    for reserved, why in _reserved(pool, found, chosen=new is not None and bridge == "bridge" and not closed):
        if address == reserved:
            raise _static_error(item, ip, f"it is {why}")


def _modes(options: t.Mapping[str, str]) -> set[str]:
    return {options.get(name, "") for name in GATEWAY_MODE.values()}


def _reserved(pool: Pool, found: Subnet, *, chosen: bool) -> t.Iterator[tuple[t.Any, str]]:
    """The addresses that a pool never gives; ``chosen`` says that Docker will choose its gateway where it has none."""
    if pool.gateway:
        yield ipaddress.ip_address(pool.gateway.partition("/")[0]), "the gateway's"
    elif chosen and not pool.ip_range and found.num_addresses > 2:
        yield found[1], "the first one, which Docker takes for the gateway"
    for name, ip in pool.aux_addresses.items():
        yield ipaddress.ip_address(ip.partition("/")[0]), f"reserved for {name!r} by aux_addresses"
    if found.num_addresses > 2:
        yield found.network_address, "the subnet's own"
        if found.version == 4:
            yield found.broadcast_address, "the subnet's broadcast address"


def _static_error(item: Attachment, ip: str, why: str) -> CoreError:
    return CoreError(
        f"{item.why[0]} wants {ip} for the container {item.container.name!r} on {item.network!r}, but {why}. "
        "Nothing was changed.",
        hint="Choose a free address of the network's subnet, or leave it out.",
        reason_code="static_ip",
        details={"container": item.container.name, "network": item.network, "address": ip},
    )
