# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""The scene of every question about reachability: one read of a host, and the zones that callers sit in."""

from __future__ import annotations

import ipaddress
import typing as t
from dataclasses import dataclass, field

from .errors import CoreError
from .model import Container, Network, Snapshot
from .netfilter import sets
from .netfilter.host import LOOPBACK4, MULTICAST4, ZERONET, Host, Listener
from .netfilter.ruleset import Ruleset
from .netfilter.sets import EMPTY, IntSet
from .netfilter.trace import Model
from .shape import invalid, items, mapping, text
from .ufw import Ufw

#: Zones that every host has.
INTERNET = "internet"
THIS_HOST = "host"

FAMILIES = (4, 6)


@dataclass(frozen=True)
class Inside:
    """A container's own network namespace: what listens in it, and by family the gateway of its default route."""

    listeners: tuple[Listener, ...] = ()
    gateways: t.Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Scene:
    """One read of a host. ``inside`` is by container ID; a container that is not there was not looked into.

    ``troubles`` are sentences about what could not be read.
    """

    ruleset: Ruleset
    host: Host
    snapshot: Snapshot = field(default_factory=Snapshot)
    ufw: Ufw | None = None
    inside: t.Mapping[str, Inside] = field(default_factory=dict)
    troubles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Zone:
    """Where callers sit.

    :param name: what people call it.
    :param interface: what their packets come in by; None for the host itself.
    :param callers: by family, the addresses that callers have.
    :param near: by family, those of them that share the link, so that they can send to any address of the host.
    :param kind: ``outside``, ``network`` or ``host``.
    """

    name: str
    interface: str | None
    callers: t.Mapping[int, IntSet]
    near: t.Mapping[int, IntSet]
    kind: str = "outside"


class View:
    """A scene made ready: bridges and networks by name, addresses, zones, the model that is asked."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.model = Model(scene.ruleset, scene.host)
        self.networks_by_bridge: dict[str, Network] = {
            network.bridge_name: network
            for network in scene.snapshot.networks
            if network.bridge_name and network.bridge_name in scene.host.addresses
        }
        self._parts: dict[str, t.Any] = {}

    def addresses(self, interface: str, family: int) -> list[str]:
        """List an interface's addresses that others can use."""
        found = []
        for prefix in self.scene.host.addresses.get(interface, ()):
            address = prefix.partition("/")[0]
            version, number = sets.address(address)
            if version == family and not ipaddress.ip_address(address).is_link_local and number not in LOOPBACK4:
                found.append(address)
        return found

    def bridge_of(self, network_name: str) -> str:
        """Name the interface of a container's network; empty for one that has none."""
        return next((bridge for bridge, network in self.networks_by_bridge.items() if network.name == network_name), "")

    def docker_interface(self, name: str) -> bool:
        """Tell whether an interface is Docker's own."""
        return name in self.networks_by_bridge or name in ("docker0", "docker_gwbridge") or name.startswith("veth")

    def zones(self) -> list[Zone]:
        """List the zones that a host has without being told: its interfaces to the outside, itself, its networks."""
        outside = [
            self.outside_zone(name)
            for name in sorted(self.scene.host.addresses)
            if name != "lo" and not self.docker_interface(name)
        ]
        networks = [self.network_zone(network, bridge) for bridge, network in self.networks_by_bridge.items()]
        found = [zone for zone in outside if any(zone.callers.values())]
        return [*found, self.host_zone(), *sorted(networks, key=lambda zone: zone.name)]

    def outside_zone(self, interface: str, name: str = "", among: t.Mapping[int, IntSet] | None = None) -> Zone:
        """Make the zone of everybody who is reached by an interface."""
        callers, near = {}, {}
        for family in FAMILIES:
            reached = self.model.host.reached_by(family, interface) - self.model.host.received(family, interface)
            if family == 4:
                reached = reached - MULTICAST4 - ZERONET - LOOPBACK4 - self.model.host.broadcasts()
            else:
                # What is neither routed on the internet nor private is nobody.
                reached = reached & _REAL6
            if among is not None:
                reached = among.get(family, EMPTY)
            callers[family] = reached
            near[family] = reached & self._on_link(interface, family)
        return Zone(name or interface, interface, callers, near)

    def _on_link(self, interface: str, family: int) -> IntSet:
        found = EMPTY
        for prefix in self.scene.host.addresses.get(interface, ()):
            version, reach = sets.network(prefix)
            if version == family:
                found = found | reach
        return found

    def network_zone(self, network: Network, bridge: str) -> Zone:
        """Make the zone of a network's containers."""
        callers = {}
        for family in FAMILIES:
            reach = EMPTY
            for pool in network.pools:
                if pool.subnet:
                    version, addresses = sets.network(pool.subnet)
                    reach = reach | addresses if version == family else reach
            reach = reach - self.model.host.received(family, bridge)
            callers[family] = reach - self.model.host.broadcasts() if family == 4 else reach
        return Zone(network.name, bridge, callers, callers, "network")

    def host_zone(self) -> Zone:
        """Make the zone of the host's own processes."""
        return Zone(THIS_HOST, None, {4: EMPTY, 6: EMPTY}, {4: EMPTY, 6: EMPTY}, "host")

    def uplink(self, family: int = 4) -> str:
        """Name the interface that the default route leaves by; empty when there is none."""
        for reach, name, _text in self.model.host.routes(family):
            if _SOMEWHERE[family] in reach and name in self.scene.host.addresses:
                return name
        return ""

    def networks_of(self, container: Container, family: int) -> list[tuple[str, str, str]]:
        """List a container's bridge networks: (network, bridge, address)."""
        found = []
        for endpoint in container.endpoints:
            bridge = self.bridge_of(endpoint.network)
            address = endpoint.ip6 if family == 6 else endpoint.ip
            if bridge and address:
                found.append((endpoint.network, bridge, address))
        return found

    def way_back(self, container: Container, family: int, caller: int | None) -> str | None:
        """Name the bridge that a container's answer comes by: of the network the caller is in, else of the default route.

        Empty when the container has no route to the caller, None when that was not read.
        """
        for network, bridge, _address in self.networks_of(container, family):
            if (
                caller is not None
                and caller in self.network_zone(self.networks_by_bridge[bridge], network).callers[family]
            ):
                return bridge
        inside = self.scene.inside.get(container.id)
        if inside is None:
            return None
        gateway = inside.gateways.get(family)
        if not gateway:
            return ""
        number = sets.address(gateway)[1]
        for _network, bridge, _address in self.networks_of(container, family):
            if number in self._on_link(bridge, family):
                return bridge
        return None


_REAL6 = sets.addresses_of(["2000::/3", "fc00::/7"])[6]
#: An address that nobody's own network holds, to find the default route with.
_SOMEWHERE = {4: sets.address("198.18.0.1")[1], 6: sets.address("2001:2::1")[1]}


def read_zones(given: t.Any, view: View) -> list[Zone]:
    """Read the option ``zones``; without any, those that the host has."""
    listed = items(given or [], "zones")
    if not listed:
        return view.zones()
    return [_zone(item, f"zones[{place}]", view) for place, item in enumerate(listed)]


def _zone(item: t.Any, place: str, view: View) -> Zone:
    if isinstance(item, str):
        return zone_named(item, view, place)
    given = mapping(item, place, ("name", "interface", "from"))
    if "interface" not in given:
        raise invalid(place, "has no interface", "Name the interface that these callers come in by.")
    interface = text(given["interface"], f"{place}.interface")
    if interface not in view.scene.host.addresses:
        raise _no_such(place, interface, view)
    name = text(given.get("name", interface), f"{place}.name")
    prefixes = given.get("from", [])
    if isinstance(prefixes, str):
        prefixes = [prefixes]
    if not prefixes:
        return view.outside_zone(interface, name)
    try:
        among = sets.addresses_of(str(prefix) for prefix in items(prefixes, f"{place}.from"))
    except ValueError as error:
        raise invalid(f"{place}.from", f"has no address: {error}", "Give addresses or prefixes.") from error
    return view.outside_zone(interface, name, among)


def zone_named(name: str, view: View, place: str) -> Zone:
    """Find a zone by the name of an interface or network, or ``internet`` or ``host``."""
    if name == INTERNET:
        uplink = view.uplink() or view.uplink(6)
        if not uplink:
            raise invalid(place, "asks for the internet, but this host has no default route", "Name an interface.")
        return view.outside_zone(uplink, INTERNET)
    if name == THIS_HOST:
        return view.host_zone()
    for bridge, network in view.networks_by_bridge.items():
        if name in (network.name, network.id, bridge):
            return view.network_zone(network, bridge)
    if name in view.scene.host.addresses and name != "lo":
        return view.outside_zone(name)
    raise _no_such(place, name, view)


def _no_such(place: str, name: str, view: View) -> CoreError:
    interfaces = sorted(item for item in view.scene.host.addresses if item != "lo")
    networks = sorted(network.name for network in view.networks_by_bridge.values())
    return invalid(
        place,
        f"names {name!r}, which is no interface and no bridge network of this host",
        f"Interfaces: {', '.join(interfaces) or 'none'}. Networks: {', '.join(networks) or 'none'}.",
    )
