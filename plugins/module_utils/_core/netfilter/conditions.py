# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Whether a condition of a rule fits a flow: yes, no, only a part of it, or nobody can tell."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from . import address_types, sets
from . import flow as flows
from .flow import Flow, Region, Value
from .host import LIMITED_BROADCAST, LINKLOCAL6, UNSPECIFIED6, ZERONET, Knowledge
from .packet import PROTOCOLS, WITH_PORTS
from .ruleset import (
    AddressType,
    Condition,
    Conntrack,
    Direction,
    FrameType,
    Interface,
    IpSet,
    Lookup,
    Masked,
    Never,
    Owner,
    PhysDev,
    Rate,
    ReversePath,
    State,
    Status,
    Unknowable,
    Within,
)
from .sets import IntSet


@dataclass(frozen=True)
class Maybe:
    """Nobody can tell; ``calm`` is the answer for the first packet of a silent sender, None when there is none either."""

    calm: bool | None = None


@dataclass(frozen=True)
class Some:
    """The packets in ``regions`` fit; of those in ``unsure`` nobody can tell, each with its ``calm``; the rest do not fit.

    All these regions are disjoint. ``others`` are what certainly does not fit, where that is at hand.
    """

    regions: tuple[Region, ...] = ()
    unsure: tuple[tuple[Region, bool | None], ...] = ()
    others: tuple[Region, ...] | None = None


Answer = t.Union[bool, Maybe, Some]

MAYBE = Maybe()

#: Stands for the port of a bridge, whose name is not known. No interface can have this name.
PORT = "/"

#: What conntrack may say about an established connection besides what this walk knows.
_UNSURE_BITS = frozenset({"assured", "expected", "dying"})

#: IPv4 addresses to which one may speak without an own one.
_CALLS_ALL = LIMITED_BROADCAST | sets.network("224.0.0.0/24")[1]

_EVERYWHERE6 = sets.ALL_ADDRESSES[6] - LINKLOCAL6
_ALL_USERS = sets.everything(32)

_ORIGINAL = {"osrc": 0, "odst": 1, "osport": 2, "odport": 3}
_REPLY = {"rsrc": 0, "rdst": 1, "rsport": 2, "rdport": 3}
_REPLIED_BY = ("dst", "src", "dport", "sport")


def ask(condition: Condition, flow: Flow, host: Knowledge) -> Answer:
    """Tell whether a condition fits a flow."""
    return _ASKED_BY[type(condition)](condition, flow, host)


def inverted(answer: Answer, flow: Flow) -> Answer:
    """Give the answer to the opposite condition."""
    if isinstance(answer, bool):
        return not answer
    if isinstance(answer, Maybe):
        return Maybe(_not(answer.calm))
    return _answer(rest(answer, flow), [(region, _not(calm)) for region, calm in answer.unsure], flow)


def rest(answer: Some, flow: Flow) -> list[Region]:
    """Give the parts of a flow that certainly do not fit."""
    if answer.others is not None:
        return list(answer.others)
    left = [flow.region]
    for region in (*answer.regions, *(region for region, _calm in answer.unsure)):
        left = [piece for one in left for piece in flows.minus(one, region)]
    return left


def _not(calm: bool | None) -> bool | None:
    return None if calm is None else not calm


def _both(one: bool | None, other: bool | None) -> bool | None:
    """Say what a silent sender meets who meets both; one that is certainly not met decides."""
    if one is False or other is False:
        return False
    return None if one is None or other is None else True


def _answer(regions: t.Sequence[Region], unsure: t.Sequence[tuple[Region, bool | None]], flow: Flow) -> Answer:
    """Put disjoint parts of a flow in the plainest words."""
    if not regions and not unsure:
        return False
    if len(regions) == 1 and not unsure and regions[0] == flow.region:
        return True
    if len(unsure) == 1 and not regions and unsure[0][0] == flow.region:
        return Maybe(unsure[0][1])
    return Some(tuple(regions), tuple(unsure))


def _number(flow: Flow, value: Value, values: IntSet, *, negated: bool) -> Answer:
    """Tell whether a number is one of these."""
    if isinstance(value, int):
        return (value in values) is not negated
    if value is None:
        return MAYBE
    inside = flows.within(flow.region, value, values)
    if inside is None or inside == flow.region:
        return (inside is None) is negated
    outside = t.cast("Region", flows.without(flow.region, value, values))
    return Some((outside,), others=(inside,)) if negated else Some((inside,), others=(outside,))


def _within(condition: Within, flow: Flow, host: Knowledge) -> Answer:
    found = number(flow, condition.field)
    if found is ABSENT:
        return False
    return _number(flow, t.cast("Value", found), condition.values, negated=condition.negated)


class Absent:
    """The packet has no such number."""


ABSENT = Absent()


def number(flow: Flow, name: str) -> Value | Absent:
    """Read a number of the packet or of its connection; :data:`ABSENT` when it has none, None when it is not known."""
    if name in ("src", "dst", "family", "proto", "mark"):
        return t.cast("Value", getattr(flow, name))
    if name in ("sport", "dport"):
        return t.cast("Value", getattr(flow, name)) if flow.proto in WITH_PORTS else ABSENT
    if name == "icmp_type":
        return flow.icmp_type if flow.proto in (1, 58) else ABSENT
    if name == "icmp_code":
        return flow.icmp_code if flow.proto in (1, 58) else ABSENT
    if name == "tcp_flags":
        return flow.flags if flow.proto == PROTOCOLS["tcp"] else ABSENT
    if not tracked(flow):
        return ABSENT
    if name == "ctmark":
        return flow.ctmark
    if _is_about_another(flow):
        return None
    if name == "oproto":
        return flow.proto
    if name.endswith("port") and flow.proto not in WITH_PORTS:
        # For icmp conntrack keeps an identifier, type and code in the place of ports.
        return None
    if name in _ORIGINAL:
        return flow.original[_ORIGINAL[name]]
    if flow.reply is not None:
        return flow.reply[_REPLY[name]]
    return t.cast("Value", getattr(flow, _REPLIED_BY[_REPLY[name]]))


def _is_about_another(flow: Flow) -> bool:
    """Tell whether the packet belongs to a connection with other numbers, which nobody knows."""
    return flow.ct == "related" and flow.reply is None


def tracked(flow: Flow) -> bool:
    """Tell whether the packet belongs to a connection that conntrack knows."""
    return flow.ct in ("new", "established", "related")


def _masked(condition: Masked, flow: Flow, host: Knowledge) -> Answer:
    found = number(flow, condition.field)
    if found is ABSENT:
        return False
    if not isinstance(found, int):
        return MAYBE
    return (found & condition.mask == condition.value) is not condition.negated


def _interface(condition: Interface, flow: Flow, host: Knowledge) -> Answer:
    name = (flow.iif if condition.field == "iif" else flow.oif) or ""
    if name == PORT:
        return MAYBE
    return named(name, condition.names, condition.prefixes) is not condition.negated


def named(name: str, names: t.Collection[str], prefixes: tuple[str, ...]) -> bool:
    """Tell whether an interface's name is meant."""
    return name in names or (bool(prefixes) and name.startswith(prefixes))


def _state(condition: State, flow: Flow, host: Knowledge) -> Answer:
    if flow.ct is None:
        # Before conntrack there is no connection, and the kernel calls that invalid.
        words = {"invalid"}
    else:
        words = {flow.ct}
        if tracked(flow):
            words |= {word for word, bit in (("snat", flow.snat), ("dnat", flow.dnat)) if bit}
    return bool(words & condition.states) is not condition.negated


def _status(condition: Status, flow: Flow, host: Knowledge) -> Answer:
    if not tracked(flow):
        return False
    bits = {word for word, bit in (("snat", flow.snat), ("dnat", flow.dnat), ("confirmed", flow.confirmed)) if bit}
    if flow.ct == "established":
        bits |= {"seen-reply", "confirmed"}
    elif flow.ct == "related":
        bits.add("confirmed")
    if bits & condition.bits:
        return not condition.negated
    if flow.ct != "new" and condition.bits & (_UNSURE_BITS | {"seen-reply"}):
        return MAYBE
    return condition.negated


def _direction(condition: Direction, flow: Flow, host: Knowledge) -> Answer:
    if not tracked(flow):
        return False
    if _is_about_another(flow):
        return MAYBE
    found = "original" if flow.reply is None else "reply"
    return (found == condition.direction) is not condition.negated


def _conntrack(condition: Conntrack, flow: Flow, host: Knowledge) -> Answer:
    if condition.state is not None and not _state(condition.state, flow, host):
        return False
    if not tracked(flow):
        return condition.state is not None
    return every(condition.others, flow, host)


def every(conditions: t.Iterable[Condition], flow: Flow, host: Knowledge) -> Answer:
    """Tell whether all conditions fit. A part that certainly does not fit is left out before anyone guesses."""
    partly: list[Maybe | Some] = []
    for condition in conditions:
        answer = ask(condition, flow, host)
        if answer is False:
            return False
        if answer is not True:
            partly.append(answer)
    if len(partly) < 2:
        return partly[0] if partly else True
    regions: list[Region] = [flow.region]
    unsure: list[tuple[Region, bool | None]] = []
    for part in partly:
        some = Some((), ((flow.region, part.calm),)) if isinstance(part, Maybe) else part
        guessed: list[tuple[Region, bool | None, bool | None]] = []
        guessed += [(region, True, calm) for region in regions for region, calm in _shared(region, some.unsure)]
        guessed += [(region, calm, True) for one, calm in unsure for region in shared((one,), some.regions)]
        guessed += [(region, calm, other) for one, calm in unsure for region, other in _shared(one, some.unsure)]
        regions = list(shared(regions, some.regions))
        unsure = [(region, _both(one, other)) for region, one, other in guessed]
    return _answer(regions, unsure, flow)


def _shared(one: Region, others: t.Iterable[tuple[Region, bool | None]]) -> list[tuple[Region, bool | None]]:
    pieces = ((flows.common(one, region), calm) for region, calm in others)
    return [(piece, calm) for piece, calm in pieces if piece is not None]


def shared(some: t.Iterable[Region], others: t.Sequence[Region]) -> tuple[Region, ...]:
    """Give what two lists of disjoint regions share."""
    pieces = (flows.common(one, other) for one in some for other in others)
    return tuple(piece for piece in pieces if piece is not None)


def some_of(answers: t.Iterable[Answer], flow: Flow) -> Answer:
    """Tell whether at least one of several things fits."""
    regions: list[Region] = []
    unsure: list[Region] = []
    for answer in answers:
        if answer is True:
            return True
        if isinstance(answer, Maybe):
            unsure.append(flow.region)
        elif isinstance(answer, Some):
            regions += answer.regions
            unsure += [region for region, _calm in answer.unsure]
    if not regions and not unsure:
        return False
    found = disjoint(regions)
    return _answer(found, [(region, None) for region in disjoint(unsure, found)], flow)


def _address_type(condition: AddressType, flow: Flow, host: Knowledge) -> Answer:
    value: Value = flow.src if condition.field == "src" else flow.dst
    limit = None
    if condition.limit:
        limit = (flow.iif if condition.limit == "iif" else flow.oif) or ""
    meant = address_types.addresses(host, flow.family, condition.types, limit, by_fib=condition.by_fib, link=flow.iif)
    if meant is None:
        return MAYBE
    if flow.bridged and condition.by_fib and flow.family == 6 and not flow.certainly(value, _EVERYWHERE6):
        # nftables looks for an address of one link at the port of the bridge, and what it finds there is not known.
        return MAYBE
    return _number(flow, value, meant, negated=condition.negated)


def _lookup(condition: Lookup, flow: Flow, host: Knowledge) -> Answer:
    if any(number(flow, name) is ABSENT for name in condition.fields if name not in ("iif", "oif")):
        return False
    if condition.filled_by_rules:
        # What is in there now may not be in there at the next packet; a silent sender is in no such set.
        return Maybe(condition.negated)
    found = some_of((fits_element(condition.fields, element, flow) for element in condition.elements), flow)
    return inverted(found, flow) if condition.negated else found


def disjoint(regions: t.Iterable[Region], without: t.Iterable[Region] = ()) -> tuple[Region, ...]:
    """Make regions that may overlap into disjoint ones, which do not overlap those of ``without`` either."""
    taken = list(without)
    found: list[Region] = []
    for region in regions:
        pieces = [region]
        for other in taken:
            pieces = [piece for one in pieces for piece in flows.minus(one, other)]
        found += pieces
        taken += pieces
    return tuple(found)


def fits_element(fields: tuple[str, ...], element: tuple[IntSet | frozenset[str], ...], flow: Flow) -> Answer:
    """Tell whether the flow's fields are the element of a set or map of nftables."""
    listed: list[tuple[Value, IntSet]] = []
    for name, part in zip(fields, element):
        if isinstance(part, frozenset):
            own = (flow.iif if name == "iif" else flow.oif) or ""
            prefixes = tuple(item[:-1] for item in part if item.endswith("*"))
            if own == PORT:
                listed.append((None, sets.EMPTY))
            elif not named(own, part, prefixes):
                return False
            continue
        value = number(flow, name)
        if isinstance(value, Absent):
            return False
        listed.append((value, part))
    return _fit_all(listed, flow)


def _fit_all(listed: t.Iterable[tuple[Value, IntSet]], flow: Flow) -> Answer:
    """Tell whether each number is one of those beside it."""
    region = flow.region
    sure = True
    for value, meant in listed:
        if value is None:
            sure = False
        elif isinstance(value, int):
            if value not in meant:
                return False
        else:
            inside = flows.within(region, value, meant)
            if inside is None:
                return False
            region = inside
    if region == flow.region:
        return True if sure else MAYBE
    return Some((region,)) if sure else Some((), ((region, None),))


def _ipset(condition: IpSet, flow: Flow, host: Knowledge) -> Answer:
    elements = host.ipset(condition.name, flow.family)
    if elements is None:
        return MAYBE
    found = some_of((_fits_parts(element, condition.directions, flow) for element in elements), flow)
    return inverted(found, flow) if condition.negated else found


def _fits_parts(element: tuple[t.Any, ...], directions: tuple[str, ...], flow: Flow) -> Answer:
    if len(element) > len(directions):
        return MAYBE
    listed: list[tuple[Value, IntSet]] = []
    for part, direction in zip(element, directions):
        source = direction == "src"
        if part[0] == "interface":
            if part[1] != ((flow.iif if source else flow.oif) or ""):
                return False
        elif part[0] == "port":
            if flow.proto not in WITH_PORTS or (part[1] and PROTOCOLS.get(part[1]) != flow.proto):
                return False
            listed.append((flow.sport if source else flow.dport, part[2]))
        else:
            listed.append((flow.src if source else flow.dst, part[2]))
    return _fit_all(listed, flow)


def _reverse_path(condition: ReversePath, flow: Flow, host: Knowledge) -> Answer:
    if flow.iif is None or flow.iif == "lo":
        return not condition.invert
    good = host.reached_by(flow.family, flow.iif, loose=condition.loose) - host.local[flow.family]
    if flow.family == 4:
        if not condition.by_fib:
            good = good - host.broadcasts()
        if flow.certainly(flow.dst, _CALLS_ALL):
            # Who has no address yet may call all.
            good = good | ZERONET
    else:
        good = (good - host.subnet_routers() - LINKLOCAL6) | host.on_link(flow.iif)
        if not condition.by_fib:
            # What the routing will drop anyway is none of iptables' business.
            good = good | UNSPECIFIED6
    if condition.accept_local:
        strictly = flow.family == 4 and not condition.loose
        good = good | (host.own(4, flow.iif) if strictly else host.local[flow.family])
    if host.host.policy_rules or host.host.forks:
        return MAYBE
    return _number(flow, flow.src, good, negated=condition.invert)


def _physdev(condition: PhysDev, flow: Flow, host: Knowledge) -> Answer:
    entered = flow.bridged or (flow.iif in host.host.bridges and host.bridge_filtered(flow.family))
    if not entered:
        # Without a bridge on the way only what asks for none of it fits.
        wanted = (
            (condition.is_bridged, condition.is_in, condition.is_out)
            + ((not condition.iif_negated,) if condition.iif else ())
            + ((not condition.oif_negated,) if condition.oif else ())
        )
        return not any(wanted)
    for asked, found in (
        (condition.is_in, True),
        (condition.is_out, flow.bridged),
        (condition.is_bridged, flow.bridged),
    ):
        if asked is not None and asked is not found:
            return False
    if condition.oif and not flow.bridged:
        return condition.oif_negated and (MAYBE if condition.iif else True)
    # Which port of the bridge it is, is not known.
    return MAYBE if condition.iif or condition.oif else True


def _frame_type(condition: FrameType, flow: Flow, host: Knowledge) -> Answer:
    if PORT in (flow.iif, flow.oif):
        # On a bridge a frame may be for somebody else, which is a kind of its own.
        return MAYBE
    return ((flow.group or "unicast") in condition.kinds) is not condition.negated


def _owner(condition: Owner, flow: Flow, host: Knowledge) -> Answer:
    if not flow.own:
        return condition.negated
    if condition.uids == _ALL_USERS:
        return not condition.negated
    if flow.uid is None or condition.uids is None:
        return MAYBE
    return (flow.uid in condition.uids) is not condition.negated


def _rate(condition: Rate, flow: Flow, host: Knowledge) -> Answer:
    return Maybe(condition.calm)


def _never(condition: Never, flow: Flow, host: Knowledge) -> Answer:
    return False


def _unknowable(condition: Unknowable, flow: Flow, host: Knowledge) -> Answer:
    return MAYBE


_ASKED_BY: dict[type, t.Callable[[t.Any, Flow, Knowledge], Answer]] = {
    Within: _within,
    Masked: _masked,
    Interface: _interface,
    State: _state,
    Status: _status,
    Direction: _direction,
    Conntrack: _conntrack,
    AddressType: _address_type,
    Lookup: _lookup,
    IpSet: _ipset,
    ReversePath: _reverse_path,
    PhysDev: _physdev,
    FrameType: _frame_type,
    Owner: _owner,
    Rate: _rate,
    Never: _never,
    Unknowable: _unknowable,
}
