# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Whether a condition of a rule fits a flow: yes, no, only a part of it, or nobody can tell."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from . import flow as flows
from . import sets
from .flow import Asked, Flow, Region, Value
from .host import Knowledge
from .packet import PROTOCOLS, WITH_PORTS
from .ruleset import (
    AddressType,
    Condition,
    Conntrack,
    Direction,
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
    """The packets in these disjoint regions fit, the rest of the flow does not."""

    regions: tuple[Region, ...]


Answer = t.Union[bool, Maybe, Some]

MAYBE = Maybe()

#: Stands for the port of a bridge, whose name is not known. No interface can have this name.
PORT = "/"

#: What conntrack may say about an established connection besides what this walk knows.
_UNSURE_BITS = frozenset({"assured", "expected", "dying"})

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
        return Maybe(None if answer.calm is None else not answer.calm)
    left = [flow.region]
    for region in answer.regions:
        left = [piece for one in left for piece in flows.minus(one, region)]
    return Some(tuple(left)) if left else False


def _number(flow: Flow, value: Value, values: IntSet, *, negated: bool) -> Answer:
    """Tell whether a number is one of these."""
    if isinstance(value, int):
        return (value in values) is not negated
    if value is None:
        return MAYBE
    region = (flows.without if negated else flows.within)(flow.region, value, values)
    if region is None:
        return False
    return True if region == flow.region else Some((region,))


def _within(condition: Within, flow: Flow, host: Knowledge) -> Answer:
    found = number(flow, condition.field)
    if found is ABSENT:
        return False
    return _number(flow, t.cast("Value", found), condition.values, negated=condition.negated)


class _Absent:
    """The packet has no such number."""


ABSENT = _Absent()


def number(flow: Flow, name: str) -> Value | _Absent:
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
    if not _tracked(flow):
        return ABSENT
    if name == "ctmark":
        return flow.ctmark
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


def _tracked(flow: Flow) -> bool:
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
        if _tracked(flow):
            words |= {word for word, bit in (("snat", flow.snat), ("dnat", flow.dnat)) if bit}
    return bool(words & condition.states) is not condition.negated


def _status(condition: Status, flow: Flow, host: Knowledge) -> Answer:
    if not _tracked(flow):
        return False
    bits = {word for word, bit in (("snat", flow.snat), ("dnat", flow.dnat), ("confirmed", flow.confirmed)) if bit}
    if flow.ct == "established":
        bits |= {"seen-reply", "confirmed"}
    if bits & condition.bits:
        return not condition.negated
    if flow.ct != "new" and condition.bits & _UNSURE_BITS:
        return MAYBE
    return condition.negated


def _direction(condition: Direction, flow: Flow, host: Knowledge) -> Answer:
    if not _tracked(flow):
        return False
    found = "original" if flow.reply is None else "reply"
    return (found == condition.direction) is not condition.negated


def _conntrack(condition: Conntrack, flow: Flow, host: Knowledge) -> Answer:
    if condition.state is not None and not _state(condition.state, flow, host):
        return False
    if not _tracked(flow):
        return condition.state is not None
    return every(condition.others, flow, host)


def every(conditions: t.Iterable[Condition], flow: Flow, host: Knowledge) -> Answer:
    """Tell whether all conditions fit. A part that certainly does not fit is left out before anyone guesses."""
    regions: tuple[Region, ...] | None = None
    calm: bool | None = True
    sure = True
    for condition in conditions:
        answer = ask(condition, flow, host)
        if answer is False:
            return False
        if isinstance(answer, Some):
            regions = answer.regions if regions is None else shared(regions, answer.regions)
            if not regions:
                return False
        elif isinstance(answer, Maybe):
            sure = False
            calm = False if calm is False or answer.calm is False else (None if answer.calm is None else calm)
    if not sure:
        # Coarse where only a part could fit: the guess is then made for the whole flow, which is safe.
        return Maybe(calm)
    return True if regions is None else Some(regions)


def shared(some: tuple[Region, ...], others: tuple[Region, ...]) -> tuple[Region, ...]:
    """Give what two lists of disjoint regions share."""
    pieces = (flows.common(one, other) for one in some for other in others)
    return tuple(piece for piece in pieces if piece is not None)


def _address_type(condition: AddressType, flow: Flow, host: Knowledge) -> Answer:
    value: Value = flow.src if condition.field == "src" else flow.dst
    limit = None
    if condition.limit:
        limit = (flow.iif if condition.limit == "iif" else flow.oif) or ""
    meant = sets.EMPTY
    for kind in condition.types:
        found = host.of_type(flow.family, kind, limit)
        if found is None:
            return MAYBE
        meant = meant | found
    return _number(flow, value, meant, negated=condition.negated)


def _lookup(condition: Lookup, flow: Flow, host: Knowledge) -> Answer:
    if any(number(flow, name) is ABSENT for name in condition.fields if name not in ("iif", "oif")):
        return False
    found: Answer = False
    regions: list[Region] = []
    for element in condition.elements:
        answer = fits_element(condition.fields, element, flow)
        if answer is True:
            found = True
            break
        if isinstance(answer, Maybe):
            return MAYBE
        if isinstance(answer, Some):
            regions += answer.regions
    else:
        if regions:
            found = Some(disjoint(regions))
    if condition.filled_by_rules:
        # What is in there now may not be in there at the next packet; a silent sender is in no such set.
        return Maybe(condition.negated)
    return inverted(found, flow) if condition.negated else found


def disjoint(regions: t.Iterable[Region]) -> tuple[Region, ...]:
    """Make regions that may overlap into disjoint ones."""
    found: list[Region] = []
    for region in regions:
        pieces = [region]
        for other in found:
            pieces = [piece for one in pieces for piece in flows.minus(one, other)]
        found += pieces
    return tuple(found)


def fits_element(fields: tuple[str, ...], element: tuple[IntSet | frozenset[str], ...], flow: Flow) -> Answer:
    """Tell whether the flow's fields are the element of a set or map of nftables."""
    region = flow.region
    partly = False
    for name, part in zip(fields, element):
        if isinstance(part, frozenset):
            own = (flow.iif if name == "iif" else flow.oif) or ""
            if own == PORT:
                return MAYBE
            prefixes = tuple(item[:-1] for item in part if item.endswith("*"))
            if not named(own, part, prefixes):
                return False
            continue
        value = number(flow, name)
        if value is ABSENT:
            return False
        if isinstance(value, int):
            if value not in part:
                return False
        elif isinstance(value, Asked):
            inside = flows.within(region, value, part)
            if inside is None:
                return False
            partly = partly or inside != region
            region = inside
        else:
            return MAYBE
    return Some((region,)) if partly else True


def _ipset(condition: IpSet, flow: Flow, host: Knowledge) -> Answer:
    elements = host.ipset(condition.name, flow.family)
    if elements is None:
        return MAYBE
    regions: list[Region] = []
    found: Answer = False
    for element in elements:
        if len(element) > len(condition.directions):
            return MAYBE
        answer = _fits_parts(element, condition.directions, flow)
        if answer is True:
            found = True
            break
        if isinstance(answer, Maybe):
            return MAYBE
        if isinstance(answer, Some):
            regions += answer.regions
    else:
        if regions:
            found = Some(disjoint(regions))
    return inverted(found, flow) if condition.negated else found


def _fits_parts(element: tuple[t.Any, ...], directions: tuple[str, ...], flow: Flow) -> Answer:
    region = flow.region
    partly = False
    for part, direction in zip(element, directions):
        source = direction == "src"
        if part[0] == "interface":
            if part[1] != ((flow.iif if source else flow.oif) or ""):
                return False
            continue
        if part[0] == "port":
            if flow.proto not in WITH_PORTS or (part[1] and PROTOCOLS.get(part[1]) != flow.proto):
                return False
            value: Value = flow.sport if source else flow.dport
        else:
            value = flow.src if source else flow.dst
        if isinstance(value, int):
            if value not in part[2]:
                return False
        elif value is None:
            return MAYBE
        else:
            inside = flows.within(region, value, part[2])
            if inside is None:
                return False
            partly = partly or inside != region
            region = inside
    return Some((region,)) if partly else True


def _reverse_path(condition: ReversePath, flow: Flow, host: Knowledge) -> Answer:
    if flow.iif is None or flow.iif == "lo":
        return not condition.invert
    good = host.reached_by(flow.family, flow.iif, loose=condition.loose)
    if flow.family == 4:
        good = good - host.broadcasts()
    local = host.local[flow.family]
    good = good | local if condition.accept_local else good - local
    if host.host.policy_rules:
        return MAYBE
    return _number(flow, flow.src, good, negated=condition.invert)


def _physdev(condition: PhysDev, flow: Flow, host: Knowledge) -> Answer:
    entered = flow.iif in host.host.bridges and host.bridge_filtered(flow.family)
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


def _owner(condition: Owner, flow: Flow, host: Knowledge) -> Answer:
    if not flow.own:
        return condition.negated
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
    Owner: _owner,
    Rate: _rate,
    Never: _never,
    Unknowable: _unknowable,
}
