# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""One question, hop by hop: can this caller reach that port, which rule decides, and does the answer get back."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from . import reach, shape
from .model import Container
from .netfilter import sets
from .netfilter.packet import Packet, protocol
from .netfilter.sets import IntSet
from .netfilter.trace import RoundTrip, Step, Trace
from .reach import Asker, Door, Reach
from .shape import invalid
from .zones import FAMILIES, THIS_HOST, View, Zone, read_zones, zone_named

_KEYS = ("from", "to", "port", "proto", "family")
_FAMILY_WORDS = {"ipv4": 4, "ipv6": 6}

#: A sender that stands for many is one of these documentation addresses, if they are among them.
_EXAMPLES = {4: ("203.0.113.7", "198.51.100.7", "192.0.2.7"), 6: ("2001:db8::7",)}

#: Best first: a port is as open as the best way to it.
_ORDER = ("open", "partial", "unknown", "closed")


@dataclass(frozen=True)
class Question:
    """Who asks for what. ``port`` is a container's own port or the published one; 0 for protocols without ports."""

    sender: t.Any
    target: str
    port: int
    proto: str = "tcp"
    family: int = 0


@dataclass(frozen=True)
class Way:
    """One address by which the question can be asked, with the answer for all callers and the path of one of them."""

    zone: Zone
    packet: Packet
    reach: Reach
    trip: RoundTrip
    container: Container | None = None
    note: str = ""


def read_questions(given: t.Any) -> list[Question]:
    """Read the option ``explain``."""
    found = []
    for number, item in enumerate(shape.items(given or [], "explain")):
        place = f"explain[{number}]"
        entry = shape.mapping(item, place, _KEYS)
        for key in ("from", "to"):
            if key not in entry:
                raise invalid(place, f"has no {key}", "A question has from, to and port.")
        proto = str(entry.get("proto", "tcp")).lower()
        try:
            protocol(proto)
        except ValueError:
            raise invalid(f"{place}.proto", f"is {proto!r}", "Give tcp, udp, icmp or another protocol.") from None
        family = str(entry.get("family", "any"))
        if family not in ("any", *_FAMILY_WORDS):
            raise invalid(f"{place}.family", f"is {family!r}", "Give ipv4 or ipv6, or leave it out.")
        port = _port(entry.get("port"), proto, f"{place}.port")
        found.append(
            Question(entry["from"], shape.text(entry["to"], f"{place}.to"), port, proto, _FAMILY_WORDS.get(family, 0))
        )
    return found


def _port(value: t.Any, proto: str, place: str) -> int:
    if proto not in ("tcp", "udp", "sctp"):
        return 0
    try:
        number = int(str(value))
    except ValueError:
        number = 0
    if not 1 <= number <= 65535:
        raise invalid(place, f"is {shape.kind(value)}", "Give a port, 1 to 65535.")
    return number


def explained(view: View, questions: t.Sequence[Question]) -> list[dict[str, t.Any]]:
    """Answer each question."""
    asker = Asker(view)
    return [_answer(view, asker, question, f"explain[{place}]") for place, question in enumerate(questions)]


def _answer(view: View, asker: Asker, question: Question, place: str) -> dict[str, t.Any]:
    ways = list(_ways(view, asker, question, place))
    words = [way.reach.verdict for way in ways]
    verdict = next((word for word in _ORDER if word in words), "closed")
    return {
        "from": question.sender if isinstance(question.sender, str) else dict(question.sender),
        "to": question.target,
        "port": question.port,
        "proto": question.proto,
        "verdict": verdict,
        "ways": [_told(way) for way in ways],
        "text": render(question, ways, verdict),
    }


# ---- who and what -------------------------------------------------------------------------------------------------


def _ways(view: View, asker: Asker, question: Question, place: str) -> t.Iterator[Way]:
    for family in FAMILIES if not question.family else (question.family,):
        for zone in _senders(view, question, family, f"{place}.from"):
            for door in _targets(view, question, zone, family, f"{place}.to"):
                for dst, callers in _asked(view, door, zone, question):
                    yield _way(view, asker, question, zone, door, dst, callers)


def _senders(view: View, question: Question, family: int, place: str) -> list[Zone]:
    """Find the zones that a question comes from; more than one for a container on several networks."""
    given = question.sender
    if isinstance(given, t.Mapping):
        return read_zones([given], view)
    name = shape.text(given, place)
    containers = view.scene.snapshot.containers_named(name)
    if containers:
        return _container_zones(view, containers[0], question, family)
    try:
        version, callers = sets.span(name)
    except ValueError:
        return [zone_named(name, view, place)]
    return [_address_zone(view, name, version, callers, place)] if version == family else []


def _address_zone(view: View, name: str, family: int, callers: IntSet, place: str) -> Zone:
    if not callers - view.model.host.local[family]:
        return replace(view.host_zone(), callers={family: callers})
    interface = view.model.host.route(family, callers.ranges[0][0])[0]
    if interface not in view.scene.host.addresses:
        raise invalid(
            place, f"names {name}, to which this host has no route", "Name the interface: {interface:, from:}."
        )
    bridge = view.networks_by_bridge.get(interface)
    zone = view.outside_zone(interface, name, {family: callers})
    return replace(zone, kind="network", near=zone.callers) if bridge is not None else zone


def _container_zones(view: View, container: Container, question: Question, family: int) -> list[Zone]:
    """Give a container as a caller: on the network it shares with the target, else on that of its default route."""
    if container.network_mode == "host":
        return [view.host_zone()]
    own = view.networks_of(container, family)
    targets = view.scene.snapshot.containers_named(question.target)
    shared = {network for target in targets for network, _bridge, _address in view.networks_of(target, family)}
    chosen = [item for item in own if item[0] in shared]
    if not chosen:
        back = view.way_back(container, family, None)
        chosen = [item for item in own if item[1] == back] or own[:1]
    zones = []
    for _network, bridge, address in chosen:
        callers = {family: IntSet.of(sets.address(address)[1])}
        zones.append(Zone(container.name, bridge, {4: sets.EMPTY, 6: sets.EMPTY, **callers}, callers, "network"))
    return zones


def _targets(view: View, question: Question, zone: Zone, family: int, place: str) -> list[Door]:
    """Find the doors that lead to what is asked for."""
    containers = view.scene.snapshot.containers_named(question.target)
    if containers:
        return _container_doors(view, containers[0], question, zone, family)
    nobody = Container("", question.target)
    if question.target == THIS_HOST:
        return [Door(nobody, "", family, question.proto, question.port, question.port)]
    try:
        version, _number = sets.address(question.target)
    except ValueError:
        names = ", ".join(item.name for item in view.scene.snapshot.containers if item.live) or "none"
        raise invalid(
            place,
            f"names {question.target!r}, which is no container of this host and no address",
            f"Running containers: {names}. The host itself is 'host'.",
        ) from None
    if version != family:
        return []
    owner = _owner_of(view, question.target, family)
    return [Door(owner or nobody, "", family, question.proto, question.port, question.port, question.target, "address")]


def _owner_of(view: View, address: str, family: int) -> Container | None:
    number = sets.address(address)[1]
    for container in view.scene.snapshot.containers:
        for _network, _bridge, own in view.networks_of(container, family):
            if sets.address(own)[1] == number:
                return container
    return None


def _container_doors(view: View, container: Container, question: Question, zone: Zone, family: int) -> list[Door]:
    published = [
        door
        for door in reach.doors(view)
        if door.container.id == container.id
        and door.kind in ("published", "hostnet")
        and door.family == family
        and door.proto == question.proto
        and question.port in (door.port, door.container_port)
    ]
    if container.network_mode == "host":
        return published[:1] or [Door(container, "host", family, question.proto, question.port, question.port)]
    direct = [
        Door(container, network, family, question.proto, question.port, question.port, address, "direct")
        for network, _bridge, address in view.networks_of(container, family)
    ]
    near = [door for door in direct if zone.interface == view.bridge_of(door.network)]
    # Whoever is on a network with it asks it there; everybody else has its published ports, and its addresses.
    return near or ([*published, *direct] if zone.interface is not None else [*direct, *published])


def _asked(view: View, door: Door, zone: Zone, question: Question) -> list[tuple[str, IntSet]]:
    if door.kind == "address":
        return [(door.address, zone.callers.get(door.family, sets.EMPTY))]
    found = reach.destinations(view, door, zone)
    named = isinstance(question.sender, str) and question.sender not in ("internet", THIS_HOST)
    if not found and named and zone.interface is not None and door.kind == "direct":
        # Who asks by address may be a router's worth away, and is believed.
        found = [(door.address, zone.callers[door.family])] if zone.callers[door.family] else []
    return found


def _way(view: View, asker: Asker, question: Question, zone: Zone, door: Door, dst: str, callers: IntSet) -> Way:
    known = door.container if door.container.id else None
    packet = Packet(door.family, question.proto, dst=dst, dport=door.port or 0, iif=zone.interface)
    if zone.interface is None:
        packet = replace(packet, src=_own_source(view, door.family, dst))
        answer = asker.ask(zone, packet, callers, known, door.container_port)
        trip = view.model.round_trip(packet)
        return Way(zone, packet, answer, trip, known)
    answer = asker.ask(zone, packet, callers, known, door.container_port)
    # Who cannot even send to that address is kept out too.
    answer = replace(answer, asked=zone.callers[door.family])
    example = sets.text_of(door.family, _example(door.family, answer.inside or answer.unknown or callers))
    packet = replace(packet, src=example)
    caller = sets.address(example)[1] if zone.kind == "network" else None
    back = view.way_back(known, door.family, caller) if known is not None else None
    return Way(zone, packet, answer, view.model.round_trip(packet, back or None), known)


def _own_source(view: View, family: int, dst: str) -> str:
    number = sets.address(dst)[1]
    if number in view.model.host.local[family]:
        return dst
    src = view.model.host.source_for(family, view.model.host.route(family, number)[0], number)
    return sets.text_of(family, src) if src is not None else dst


def _example(family: int, among: IntSet) -> int:
    for text in _EXAMPLES[family]:
        number = sets.address(text)[1]
        if number in among:
            return number
    first, last = max(among.ranges, key=lambda pair: pair[1] - pair[0])
    return first + 1 if last > first else first


# ---- as data ------------------------------------------------------------------------------------------------------


def _told(way: Way) -> dict[str, t.Any]:
    answer = way.reach
    family = way.packet.family
    whole = way.zone.interface is None
    return {
        "interface": way.zone.interface or "",
        "family": f"ipv{family}",
        "src": way.packet.src,
        "dst": way.packet.dst,
        "port": way.packet.dport,
        "verdict": answer.verdict,
        "limited": answer.limited,
        "sources": [] if whole else sets.covering(family, answer.inside, answer.asked),
        "unknown": [] if whole else sets.covering(family, answer.unknown, answer.asked),
        "delivered_to": way.trip.there.delivered_to or "",
        "decided_by": reach.decided([answer], answer.verdict),
        "hops": _hops(way.trip.there, answer),
        "back": _hops(way.trip.back, answer) if way.trip.back is not None else [],
    }


def _hops(trace: Trace, answer: Reach) -> list[dict[str, t.Any]]:
    return [
        {
            "hook": step.hook,
            "table": step.table,
            "chain": step.chain,
            "rule_number": step.rule_number,
            "rule": step.rule,
            "effect": step.effect,
            "decides": step in answer.deciders,
        }
        for step in trace.steps
    ]


# ---- as text ------------------------------------------------------------------------------------------------------


def render(question: Question, ways: t.Sequence[Way], verdict: str) -> str:
    """Write an answer: each hop one line, the deciding one marked."""
    sender = question.sender if isinstance(question.sender, str) else question.sender.get("name", "callers")
    port = f" {question.port}" if question.port else ""
    lines = [f"{sender} -> {question.target}{port}/{question.proto}: {verdict.upper()}"]
    if not ways:
        lines.append("  There is no address by which this could be asked.")
    for way in sorted(ways, key=lambda item: _ORDER.index(item.reach.verdict)):
        # Once one way is open, of a closed one only what closes it is of interest.
        lines += _way_lines(way, whole=verdict == "closed" or way.reach.verdict != "closed")
    return "\n".join(lines)


def _way_lines(way: Way, *, whole: bool) -> list[str]:
    packet, answer = way.packet, way.reach
    door = f" by {way.zone.interface}" if way.zone.interface else ", from the host itself"
    lines = [f"  {_place(packet.src, None)} asks {_place(packet.dst, packet.dport)}{door}: {answer.verdict}{_who(way)}"]
    there = way.trip.there
    shown = [step for step in there.steps if step in answer.deciders or (whole and not _idle(step))]
    missing = [step for step in answer.deciders if step not in there.steps]
    marked = set(answer.deciders)
    lines += _table([*shown, *(step for step in missing if step.hook in ("socket", "container"))], marked)
    others = [step for step in missing if step.hook not in ("socket", "container")]
    back = way.trip.back
    refused = any(step.hook in ("socket", "container") for step in answer.deciders)
    if back is not None and not refused and (whole or back.verdict != "accept"):
        if back.verdict == "accept":
            out = back.delivered_to if back.delivered_to != "local" else "the host"
            lines.append(f"    the answer gets back by {out}")
        else:
            lines.append(f"    the answer: {back.verdict}")
            lines += _table((step for step in back.steps if not _idle(step)), {*marked, *back.decided_by})
        others = [step for step in others if step not in back.steps]
    if there.verdict == "unknown" or answer.verdict == "unknown":
        others = list(dict.fromkeys([*others, *there.because]))
        lines.append("    nobody can tell, because of:")
    elif others:
        lines.append("    decides for other callers:")
    if others:
        lines += _table(others, marked)
    return lines


def _idle(step: Step) -> bool:
    """Tell whether a hop is a chain's end that let the packet go on."""
    return not step.rule_number and step.effect == "accept" and bool(step.chain)


def _place(address: str, port: int | None) -> str:
    if not port:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _who(way: Way) -> str:
    answer = way.reach
    family = way.packet.family
    text = ""
    if way.zone.interface is not None and answer.verdict == "partial":
        text = f" for {_short(sets.covering(family, answer.inside, answer.asked))}"
    if answer.unknown and answer.inside:
        text += f", unknown for {_short(sets.covering(family, answer.unknown, answer.asked))}"
    return f"{text}, as long as no rate limit is reached" if answer.limited else text


def _short(listed: list[str]) -> str:
    """Write the first few of many prefixes."""
    most = 4
    if len(listed) <= most:
        return ", ".join(listed)
    return f"{', '.join(listed[:most])} and {len(listed) - most} more"


def _table(steps: t.Iterable[Step], marked: t.Collection[Step]) -> list[str]:
    return [_line(step, step in marked) for step in steps]


def _line(step: Step, marked: bool) -> str:
    where = f"{step.table} {step.chain}".strip()
    number = f" #{step.rule_number}" if step.rule_number else ""
    rule = _shortened(step.rule, step.chain)
    head = f"{step.hook:<11} {where + number:<32} {rule}".rstrip()
    return f"  {'>' if marked else ' '} {head}  => {step.effect}"


def _shortened(rule: str, chain: str) -> str:
    """Leave out what the line says already."""
    start = f"-A {chain} "
    return rule[len(start) :] if rule.startswith(start) else rule
