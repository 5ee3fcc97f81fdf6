# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Who reaches which port, from every zone: the path of all possible callers, computed, and what UFW says about them."""

from __future__ import annotations

import ipaddress
import typing as t
from dataclasses import dataclass, replace

from . import ufw_says
from .model import Container, PublishedPort
from .netfilter import sets
from .netfilter.host import Listener
from .netfilter.packet import Packet
from .netfilter.sets import EMPTY, IntSet
from .netfilter.space import Part, sources_of
from .netfilter.trace import Step
from .zones import FAMILIES, THIS_HOST, View, Zone

_ANY = ("", "0.0.0.0", "::")


@dataclass(frozen=True)
class Reach:
    """Who of a zone gets to one address and port.

    ``limited`` when a rate limit, or a list that rules fill, may keep some out at times. ``path`` is dnat, proxy, direct
    or hostnet.
    """

    inside: IntSet
    unknown: IntSet
    asked: IntSet
    limited: bool = False
    path: str = ""
    deciders: tuple[Step, ...] = ()

    @property
    def verdict(self) -> str:
        """Say open, closed, partial or unknown for these callers."""
        if self.inside:
            return "open" if not self.asked - self.inside else "partial"
        return "unknown" if self.unknown else "closed"


def together(reaches: t.Sequence[Reach]) -> str:
    """Say one verdict for several groups of callers."""
    found = {reach.verdict for reach in reaches if reach.asked}
    if not found:
        return "closed"
    if len(found) == 1:
        return found.pop()
    if found & {"open", "partial"}:
        return "partial"
    return "unknown"


class Asker:
    """Asks the model, and remembers what it was told."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._legs: dict[tuple[str, str, int], tuple[str, tuple[Step, ...]]] = {}

    def ask(
        self, zone: Zone, packet: Packet, callers: IntSet, container: Container | None, container_port: int = 0
    ) -> Reach:
        """Tell who of ``callers`` gets through to where ``packet`` goes, and gets an answer.

        ``container`` is the one that is meant to answer.
        """
        if zone.interface is None:
            return self._ask_host(packet, container, container_port)
        back = self._way_back(zone, packet.family, callers, container)
        space = sources_of(self.view.model, packet, among=callers, replies=True, back_iif=back or None)
        return self._judged(space.parts, packet, callers, container, container_port, back)

    def _way_back(self, zone: Zone, family: int, callers: IntSet, container: Container | None) -> str | None:
        if container is None or not callers:
            return None
        return self.view.way_back(container, family, callers.ranges[0][0] if zone.kind == "network" else None)

    def _judged(
        self,
        parts: t.Iterable[Part],
        packet: Packet,
        callers: IntSet,
        container: Container | None,
        container_port: int,
        back: str | None,
    ) -> Reach:
        inside: list[sets.Range] = []
        unknown: list[sets.Range] = []
        steps: dict[str, dict[Step, None]] = {"inside": {}, "unknown": {}, "closed": {}}
        limited = False
        path = ""
        for part in parts:
            word = part.verdict if part.verdict != "unknown" or part.calm != "accept" else "accept"
            deciders = part.deciders
            if word == "accept":
                word, more = self._answers(part, packet, container, container_port, back)
                deciders = (*deciders, *more) if word == "accept" else (more or deciders)
            if word == "accept":
                inside += part.sources.ranges
                limited = limited or part.verdict == "unknown"
            elif word == "unknown":
                unknown += part.sources.ranges
            kept = steps[{"accept": "inside", "unknown": "unknown"}.get(word, "closed")]
            kept.update(dict.fromkeys(deciders))
            path = _path_of(part, packet, container) if not path or word == "accept" else path
        open_for = IntSet(inside)
        maybe = IntSet(unknown) - open_for
        which = "inside" if open_for else ("unknown" if maybe else "closed")
        shown = dict.fromkeys([*steps[which], *(steps["closed"] if open_for and callers - open_for else ())])
        return Reach(open_for, maybe, callers, limited, path, tuple(shown))

    def _answers(
        self, part: Part, packet: Packet, container: Container | None, container_port: int, back: str | None
    ) -> tuple[str, tuple[Step, ...]]:
        """Tell whether something answers where the packet got to: a process of the host, or the container."""
        if part.delivered_to != "local":
            if container is not None and back == "":
                text = f"{container.name} has no route to callers outside its networks"
                return "drop", (Step("container", "", "", 0, text, "drop"),)
            return "accept", ()
        return self._listener_answers(packet, part.dst, part.dport, container, container_port)

    def _listener_answers(
        self, packet: Packet, dst: str, dport: int | None, container: Container | None, container_port: int
    ) -> tuple[str, tuple[Step, ...]]:
        listeners = self.view.scene.host.listeners
        # Pings are answered by the kernel, and who listens for other protocols was not read.
        if packet.proto not in ("tcp", "udp"):
            return "accept", ()
        if listeners is None:
            return "unknown", (Step("socket", "", "", 0, "what listens on this host could not be read", "unknown"),)
        found = listening(listeners, packet.family, packet.proto, dst or packet.dst, dport or packet.dport or 0)
        if found is None:
            return "drop", (
                Step("socket", "", "", 0, f"no process of the host listens on port {dport}/{packet.proto}", "refused"),
            )
        if found.name == "docker-proxy" and container is not None:
            return self._leg(container, packet.proto, container_port)
        return "accept", ()

    def _leg(self, container: Container, proto: str, port: int) -> tuple[str, tuple[Step, ...]]:
        """Tell whether docker-proxy, a process of the host, reaches the container it stands for."""
        key = (container.id, proto, port)
        if key not in self._legs:
            self._legs[key] = self._walk_leg(container, proto, port)
        return self._legs[key]

    def _walk_leg(self, container: Container, proto: str, port: int) -> tuple[str, tuple[Step, ...]]:
        for family in FAMILIES:
            for _network, bridge, address in self.view.networks_of(container, family):
                src = self.view.model.host.source_for(family, bridge, sets.address(address)[1])
                if src is None:
                    continue
                question = Packet(family, proto, sets.text_of(family, src), address, dport=port)
                found = self.view.model.round_trip(question)
                if found.verdict == "accept":
                    return "accept", ()
                last = found.back if found.there.verdict == "accept" and found.back is not None else found.there
                return ("unknown" if found.verdict == "unknown" else "drop"), last.decided_by
        return "accept", ()

    def _ask_host(self, packet: Packet, container: Container | None, container_port: int) -> Reach:
        """Tell whether a process of the host gets through."""
        found = self.view.model.round_trip(packet)
        whole = IntSet.of(0)
        word = found.verdict if found.verdict != "unknown" or found.calm != "accept" else "accept"
        last = found.back if found.there.verdict == "accept" and found.back is not None else found.there
        deciders = last.decided_by if word != "accept" else found.there.decided_by
        if word == "accept" and found.there.delivered_to == "local":
            there = found.there.packet
            word, more = self._listener_answers(packet, there.dst, there.dport, container, container_port)
            deciders = more or deciders
        path = "dnat" if found.there.delivered_to not in ("local", None) else "proxy"
        return Reach(
            whole if word == "accept" else EMPTY,
            whole if word == "unknown" else EMPTY,
            whole,
            found.verdict == "unknown" and word == "accept",
            path,
            deciders,
        )


def listening(listeners: t.Iterable[Listener], family: int, proto: str, address: str, port: int) -> Listener | None:
    """Find the socket that answers on an address and port."""
    number = sets.address(address)[1]
    for item in listeners:
        if item.proto != proto or item.port != port or family not in item.families:
            continue
        if not item.address or (sets.address(item.address) == (family, number)):
            return item
    return None


def _path_of(part: Part, packet: Packet, container: Container | None) -> str:
    if part.delivered_to == "local":
        return "proxy"
    changed = (part.dst, part.dport) != (str(ipaddress.ip_address(packet.dst)), packet.dport)
    return "dnat" if changed or container is None else "proxy"


# ---- doors --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Door:
    """A port that may be asked for: ``published`` on the host (address empty for all), or listened on in a container.

    ``address`` is the container's own for a direct door, and the host's for a published one.
    """

    container: Container
    network: str
    family: int
    proto: str
    port: int
    container_port: int
    address: str = ""
    kind: str = "published"


def doors(view: View) -> list[Door]:
    """List every published port, every port that a host-network container listens on, and every listening port inside."""
    found: list[Door] = []
    for container in view.scene.snapshot.containers:
        if not container.live:
            continue
        found += [_published(view, container, port) for port in container.published]
        found += _host_network(view, container)
        found += _inside(view, container)
    return found


def _published(view: View, container: Container, port: PublishedPort) -> Door:
    family = 6 if ":" in port.host_ip else 4
    networks = view.networks_of(container, family) or view.networks_of(container, 10 - family)
    name = networks[0][0] if networks else (container.endpoints[0].network if container.endpoints else "")
    address = "" if port.host_ip in _ANY else port.host_ip
    return Door(container, name, family, port.proto, port.host_port, port.container_port, address)


def _host_network(view: View, container: Container) -> t.Iterator[Door]:
    if container.network_mode != "host":
        return
    for item in view.scene.host.listeners or ():
        if item.container != container.id:
            continue
        for family in item.families:
            yield Door(container, "host", family, item.proto, item.port, item.port, item.address, "hostnet")


def _inside(view: View, container: Container) -> t.Iterator[Door]:
    inside = view.scene.inside.get(container.id)
    if inside is None or container.network_mode == "host":
        return
    for family in FAMILIES:
        for network, _bridge, address in view.networks_of(container, family):
            ports = dict.fromkeys(
                (item.proto, item.port)
                for item in inside.listeners
                if family in item.families and (not item.address or sets.address(item.address) == sets.address(address))
            )
            for proto, port in ports:
                yield Door(container, network, family, proto, port, port, address, "direct")


def exposures(view: View, zones: t.Sequence[Zone], *, published_only: bool = False) -> list[dict[str, t.Any]]:
    """Tell of every door who gets to it, sorted as people look for it."""
    asker = Asker(view)
    rows = [_row(asker, door, zones) for door in doors(view) if door.kind == "published" or not published_only]
    return sorted(
        rows,
        key=lambda row: (row["path"] == "direct", row["host_port"] or 0, row["proto"], row["family"], row["host_ip"],
                         row["container"], row["network"], row["container_port"]),
    )  # fmt: skip


def _row(asker: Asker, door: Door, zones: t.Sequence[Zone]) -> dict[str, t.Any]:
    asked = [(zone, reach, dst) for zone in zones for dst, reach in _from_zone(asker, door, zone)]
    outside = [(zone, reach, dst) for zone, reach, dst in asked if zone.kind == "outside"]
    says, bypasses = _ufw(asker.view, door, outside)
    judged = [reach for _zone, reach, _dst in outside] or [reach for _zone, reach, _dst in asked]
    verdict = together(judged)
    direct = door.kind == "direct"
    path = next((reach.path for reach in judged if reach.inside and reach.path), "") or next(
        (reach.path for reach in judged if reach.path), "proxy"
    )
    return {
        "host_ip": "" if direct else door.address or ("::" if door.family == 6 else "0.0.0.0"),
        "host_port": None if direct else door.port,
        "container_port": door.container_port,
        "container_ip": door.address if direct else "",
        "proto": door.proto,
        "family": f"ipv{door.family}",
        "container": door.container.name,
        "network": door.network,
        "reachable_from": _reachable(asked, door.family),
        "verdict": verdict,
        "limited": any(reach.limited for reach in judged),
        "ufw_says": says,
        "bypasses_ufw": bypasses,
        "path": door.kind if door.kind in ("direct", "hostnet") else path,
        "decided_by": decided(judged, verdict),
    }


def decided(reaches: t.Sequence[Reach], verdict: str) -> list[dict[str, t.Any]]:
    """List the rules that decided, each once."""
    wanted = [reach for reach in reaches if verdict == "partial" or reach.verdict == verdict] or reaches
    steps = dict.fromkeys(step for reach in wanted for step in reach.deciders)
    return [
        {
            "table": step.table,
            "chain": step.chain,
            "rule_number": step.rule_number,
            "rule": step.rule,
            "effect": step.effect,
        }
        for step in steps
    ]


def _reachable(asked: t.Iterable[tuple[Zone, Reach, str]], family: int) -> list[dict[str, t.Any]]:
    found: dict[str, dict[str, t.Any]] = {}
    open_for: dict[str, IntSet] = {}
    maybe: dict[str, IntSet] = {}
    callers: dict[str, IntSet] = {}
    for zone, reach, _dst in asked:
        callers[zone.name] = callers.get(zone.name, EMPTY) | reach.asked
        if not reach.inside and not reach.unknown:
            continue
        found[zone.name] = {"zone": zone.name, "interface": zone.interface or ""}
        open_for[zone.name] = open_for.get(zone.name, EMPTY) | reach.inside
        maybe[zone.name] = maybe.get(zone.name, EMPTY) | reach.unknown
    for name, entry in found.items():
        host = not entry["interface"]
        entry["sources"] = [] if host else sets.covering(family, open_for[name], callers[name])
        entry["unknown"] = [] if host else sets.covering(family, maybe[name] - open_for[name], callers[name])
        entry["verdict"] = "open" if open_for[name] else "unknown"
    return list(found.values())


def _from_zone(asker: Asker, door: Door, zone: Zone) -> t.Iterator[tuple[str, Reach]]:
    for dst, callers in destinations(asker.view, door, zone):
        if zone.interface is None:
            src = dst if door.kind != "direct" else _host_source(asker.view, door, dst)
            packet = Packet(door.family, door.proto, src, dst, dport=door.port)
        else:
            packet = Packet(door.family, door.proto, dst=dst, dport=door.port, iif=zone.interface)
        found = asker.ask(zone, packet, callers, door.container, door.container_port)
        # Who cannot even send to that address is kept out too.
        yield dst, replace(found, asked=zone.callers[door.family]) if zone.interface is not None else found


def _host_source(view: View, door: Door, dst: str) -> str:
    family, number = sets.address(dst)
    src = view.model.host.source_for(family, view.model.host.route(family, number)[0], number)
    return sets.text_of(family, src) if src is not None else dst


def destinations(view: View, door: Door, zone: Zone) -> list[tuple[str, IntSet]]:
    """List the addresses that a zone's callers can ask a door by, each with those of them who can.

    Only neighbours on the same link can send to an address of the host that is not the link's own, and to a container's
    private one; to a public one the whole zone can.
    """
    family, callers, near = door.family, zone.callers[door.family], zone.near[door.family]
    if zone.kind == "host":
        loopback = "::1" if family == 6 else "127.0.0.1"
        return [(door.address or loopback, EMPTY)]
    if door.kind == "direct":
        own = zone.kind == "network" or ipaddress.ip_address(door.address).is_global
        return [(door.address, callers if own else near)] if (callers if own else near) else []
    interface = zone.interface or ""
    if not door.address:
        return [(address, callers) for address in view.addresses(interface, family) if callers]
    if zone.kind == "network" and ipaddress.ip_address(door.address).is_loopback:
        # A container that asks for a loopback address asks itself.
        return []
    at_home = zone.kind == "network" or door.address in view.addresses(interface, family)
    group = callers if at_home else near
    return [(door.address, group)] if group else []


def _ufw(view: View, door: Door, asked: t.Sequence[tuple[Zone, Reach, str]]) -> tuple[str, bool]:
    """Give what UFW says about a door's callers outside, and whether more of them get in than that."""
    found = view.scene.ufw
    if found is None or not found.enabled:
        return "inactive", False
    if found.trouble:
        return "unknown", False
    words = set()
    bypasses = False
    for zone, reach, dst in asked:
        meant = ufw_says.allowed(
            found,
            family=door.family,
            proto=door.proto,
            port=door.port,
            dst=dst,
            interface=zone.interface or "",
            route=door.kind == "direct",
        )
        words.add("deny" if not meant & reach.asked else ("allow" if not reach.asked - meant else "partial"))
        bypasses = bypasses or bool(reach.inside - meant)
    if len(words) == 1:
        return words.pop(), bypasses
    return ("partial" if words else "deny"), bypasses


def overview(zones: t.Sequence[Zone]) -> list[dict[str, t.Any]]:
    """List the zones that were asked from."""
    return [{"name": zone.name, "interface": zone.interface or "", "kind": zone.kind} for zone in zones]


__all__ = ["THIS_HOST", "Asker", "Door", "Reach", "doors", "exposures", "overview", "together"]
