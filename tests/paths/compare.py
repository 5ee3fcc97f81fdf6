# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the model and the kernel say the same of a packet."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.trace import Model, Trace

from . import topology
from .model import packet_of

_ERRORS = {4: (3,), 6: (1,)}
_SYN, _RST_ACK, _SYN_ACK = 2, 0x14, 0x12

#: A packet that was seen: the place, and its header as a mapping.
Sight = t.Sequence[t.Any]


@dataclass(frozen=True)
class Answer:
    """What was found for one packet: ``agree``, ``unknown`` or ``disagree``, and why."""

    result: str
    verdict: str
    why: str = ""
    because: tuple[str, ...] = ()


def compare(model: Model, packet: t.Mapping[str, t.Any], seen: t.Mapping[str, t.Any]) -> Answer:
    """Ask the model about a packet of a case and compare with what was ``seen`` of it."""
    try:
        return _compared(model, packet, seen)
    except Exception as error:
        # Whatever the rules are, the model has to come to an answer.
        return Answer("disagree", "none", f"the model fell over: {error!r}")


def _compared(model: Model, packet: t.Mapping[str, t.Any], seen: t.Mapping[str, t.Any]) -> Answer:
    asked = packet_of(packet)
    if not packet.get("round_trip"):
        return _judged(model.trace(asked), seen["there"], "")
    found = model.round_trip(asked)
    there = _judged(found.there, seen["there"], "")
    if there.result != "agree" or ("back" not in seen and not _answered_by_stack(packet, seen["there"])):
        return there
    if found.there.verdict != "accept" or {packet["src"], found.there.packet.src} & set(topology.NOBODY):
        return there
    answers = seen["back"] if "back" in seen else _answers_of_stack(seen["there"])
    if found.back is None:
        return Answer("disagree", found.verdict, "the model has no way back for a packet that was answered")
    back = _judged(found.back, [sight for sight in answers if _heard(sight, packet)], "the way back: ")
    return back if back.result != "agree" else Answer("agree", f"{there.verdict} and {back.verdict}")


def _answered_by_stack(packet: t.Mapping[str, t.Any], sights: t.Sequence[Sight]) -> bool:
    """Tell whether TCP itself had a packet to answer; whether its answer got through is another question."""
    return packet["dst"] not in topology.NOBODY and any(
        place == "local"
        and (header["proto"], header["kind"], header["flags"]) == (6, "packet", _SYN)
        and header["dst"] in topology.own_addresses(header["family"])
        and header["src"] not in topology.ODD
        for place, header in sights
    )


def _answers_of_stack(sights: t.Sequence[Sight]) -> list[Sight]:
    """Pick what TCP says to a request; a rule's refusal of that answer is a RST without ACK."""
    return [
        (place, {**header, "kind": "packet"})
        for place, header in sights
        if header["kind"] != "packet" and header["flags"] in (_SYN_ACK, _RST_ACK)
    ]


def _judged(told: Trace, sights: t.Sequence[Sight], about: str) -> Answer:
    if told.verdict == "unknown":
        return Answer("unknown", "unknown", because=tuple(f"{step.effect}: {step.rule}" for step in told.because))
    arrived = [sight for sight in sights if _is_the_packet(sight[1], told)]
    refused = any(sight[1]["kind"] in ("icmp", "rst") for sight in sights)
    if told.verdict == "accept":
        why = _differs(told, arrived)
    elif arrived:
        why = f"the model says {told.verdict}, the kernel delivered to {_place(arrived[0])}"
    elif told.verdict == "drop" and refused and not told.because and not _of_routing(told):
        why = "the model says drop, the kernel refused it"
    else:
        why = ""
    return Answer("disagree" if why else "agree", told.verdict, why and f"{about}{why}")


def _is_the_packet(header: t.Mapping[str, t.Any], told: Trace) -> bool:
    """Tell whether this is what was sent, and no answer to it. To an error there is none."""
    complaint = told.packet.proto in ("icmp", "icmpv6") and told.packet.icmp_type in _ERRORS[told.packet.family]
    return bool(header["kind"] == ("icmp" if complaint else "packet"))


def _of_routing(told: Trace) -> bool:
    """Tell whether no rule dropped it but the routing, which tells the sender so."""
    return bool(told.steps) and told.steps[-1].hook == "routing"


def _heard(sight: Sight, packet: t.Mapping[str, t.Any]) -> bool:
    """Tell whether who sent a packet takes this for the answer to it."""
    header = sight[1]
    found = tuple(header[name] for name in ("dst", "src", "dport", "sport"))
    asked = tuple(packet[name] for name in ("src", "dst", "sport", "dport"))
    return found == asked and not _astray(_place(sight), packet["iif"])


def _astray(place: str, asked_by: str | None) -> bool:
    if place == (asked_by or "local"):
        return False
    return asked_by is None or place == "local" or place in topology.BRIDGES


def _place(sight: Sight) -> str:
    return "local" if sight[0] == "local" else topology.tap_named(sight[0]).interface


def _differs(told: Trace, arrived: t.Sequence[Sight]) -> str:
    if not arrived:
        return f"the model says accept to {told.delivered_to}, the kernel delivered nowhere"
    places = sorted({_place(sight) for sight in arrived})
    if places != [told.delivered_to]:
        return f"the model says accept to {told.delivered_to}, the kernel delivered to {' and '.join(places)}"
    header = arrived[0][1]
    for name in ("src", "dst", "sport", "dport"):
        mine = getattr(told.packet, name)
        # Empty and None: the model knows that the kernel chooses.
        if mine not in ("", None) and mine != header[name]:
            return f"the model says {name} {mine}, the kernel {header[name]}"
    return ""
