# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""The path of one packet: where it ends, which rule decided, and whether an answer comes back."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from . import sets
from .compiled import Rules
from .flow import NOBODY, Asked, Flow, Hop, Value
from .hooks import End
from .host import Host, Knowledge, Listener
from .journey import Journey
from .packet import WITH_PORTS, Packet, protocol, protocol_name
from .ruleset import Ruleset

__all__ = ["Host", "Listener", "Model", "RoundTrip", "Step", "Trace", "round_trip", "trace"]

_FLAGS = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32, "ECE": 64, "CWR": 128}
_ECHO_REQUEST = {1: 8, 58: 128}


@dataclass(frozen=True)
class Step:
    """One hop: at which hook, in which table and chain, which rule, and what it did.

    ``rule_number`` counts from 1 in the chain, and is 0 for a policy and for what no rule decided (``hook`` is then
    ``routing`` or ``bridge``, and ``rule`` the reason).
    """

    hook: str
    table: str
    chain: str
    rule_number: int
    rule: str
    effect: str


@dataclass(frozen=True)
class Trace:
    """What becomes of one packet.

    :param verdict: ``accept``, ``drop``, ``reject`` or ``unknown``.
    :param delivered_to: ``local``, the interface it leaves by, or None when it goes nowhere (or nobody can tell).
    :param packet: the packet as it is in the end, after all address translation; ``src`` is empty and ``sport`` None
        where nobody can tell them.
    :param steps: what happened, in order; of several possible ways the one of a silent sender's first packet.
    :param because: the steps that nobody can tell the outcome of; they matter only if the verdict is ``unknown``.
    :param calm: the verdict if no rate limit is reached and no list that rules fill has the sender.
    """

    verdict: str
    delivered_to: str | None
    packet: Packet
    steps: tuple[Step, ...]
    because: tuple[Step, ...] = ()
    calm: str = ""

    @property
    def decided_by(self) -> tuple[Step, ...]:
        """The steps that decided: what dropped it, or what let it pass the filters."""
        if self.verdict == "unknown":
            return self.because
        if self.verdict != "accept":
            return self.steps[-1:]
        return tuple(
            step for step in self.steps if step.effect == "accept" and step.hook in ("input", "forward", "output")
        )


@dataclass(frozen=True)
class RoundTrip:
    """A packet and the first answer to it. ``back`` is None when the packet does not get there, or nothing answers it."""

    there: Trace
    back: Trace | None
    verdict: str
    calm: str = ""


class Model:
    """A host with its rules, made ready for many questions."""

    def __init__(self, ruleset: Ruleset, host: Host) -> None:
        self.host = Knowledge(host)
        self.texts = sets.Texts()
        self.rules = Rules(ruleset, self.host)
        self.journey = Journey(self.rules, self.host)

    def trace(self, packet: Packet) -> Trace:
        """Follow one packet. Raises ValueError for an address or protocol that is none."""
        return self._trace(packet, self.journey.run(flow_of(packet)))

    def round_trip(self, packet: Packet, back_iif: str | None = None) -> RoundTrip:
        """Follow one packet and the first answer to it.

        ``back_iif`` is the interface the answer comes in by, when it is not the one that the packet left by.
        """
        ends = self.journey.run(flow_of(packet))
        there = self._trace(packet, ends)
        if there.verdict not in ("accept", "unknown"):
            return RoundTrip(there, None, there.verdict, there.calm)
        whole, backs = self.with_answers(ends, packet.iif, back_iif)
        back = self._trace(packet, backs) if backs else None
        return RoundTrip(there, back, verdict_of(whole), calm_of(whole))

    def with_answers(
        self, ends: t.Iterable[End], asked_by: str | None, back_iif: str | None = None
    ) -> tuple[list[End], list[End]]:
        """Give what becomes of packets and their answers together, and the ends of the answers alone.

        A packet whose answer gets back ends where it was accepted itself; one whose answer is lost, is lost there.
        """
        whole: list[End] = []
        backs: list[End] = []
        for end in ends:
            found = self.journey.answered(end, asked_by, back_iif)
            if found is None:
                whole.append(end)
                continue
            backs += found
            whole += [_there(end, back) if back.verdict == "accept" else back for back in found]
        return whole, backs

    def _trace(self, packet: Packet, ends: t.Sequence[End]) -> Trace:
        main = main_of(ends)
        verdict = verdict_of(ends)
        packet = packet_of(main.flow, packet)
        if len({(end.flow.src, end.flow.sport) for end in ends if end.verdict == "accept"}) > 1:
            packet = replace(packet, src="", sport=None)
        because = dict.fromkeys(step for end in ends for hop in end.flow.guesses for step in steps_of(hop))
        return Trace(
            verdict=verdict,
            delivered_to=main.delivered_to if verdict == "accept" else None,
            packet=packet,
            steps=tuple(step for hop in main.flow.hops() for step in steps_of(hop)),
            because=tuple(because),
            calm=calm_of(ends),
        )


def _there(end: End, back: End) -> End:
    """Give the part of an accepted end whose answer gets back."""
    kept = end.flow.narrowed(back.flow.region)
    kept.guesses, kept.odd = back.flow.guesses, back.flow.odd
    return End(kept, "accept", end.delivered_to)


def main_of(ends: t.Sequence[End]) -> End:
    """Pick the end that is told of several possible ones: that of a silent sender's first packet."""
    return next((end for end in ends if not end.flow.odd), ends[0])


def verdict_of(ends: t.Iterable[End]) -> str:
    """Say one verdict for all that is possible. Refused or dropped, it does not get through."""
    ends = list(ends)
    found = {end.verdict for end in ends}
    if found == {"accept"}:
        places = {(end.delivered_to, end.flow.dst, end.flow.dport) for end in ends}
        return "accept" if len(places) == 1 else "unknown"
    if len(found) == 1:
        return found.pop()
    return "drop" if found == {"drop", "reject"} else "unknown"


def calm_of(ends: t.Sequence[End]) -> str:
    """Say the verdict for a sender that reaches no rate limit and is in no list that rules fill."""
    return verdict_of([end for end in ends if not end.flow.odd] or ends)


def trace(ruleset: Ruleset, host: Host, packet: Packet) -> Trace:
    """Follow one packet through a host. Raises ValueError for an address or protocol that is none."""
    return Model(ruleset, host).trace(packet)


def round_trip(ruleset: Ruleset, host: Host, packet: Packet, back_iif: str | None = None) -> RoundTrip:
    """Follow one packet through a host, and the first answer to it back."""
    return Model(ruleset, host).round_trip(packet, back_iif)


def steps_of(hop: Hop) -> tuple[Step, ...]:
    """Write a hop as people read it: one step for each of its rules."""
    if hop.chain is None:
        return (Step(hop.hook, "", "", 0, hop.text, hop.effect),)
    # Names are whatever somebody gave; a terminal must not act on them.
    table, chain, effect = (_printable(name) for name in (hop.chain.table.title, hop.chain.name, hop.effect))
    if hop.rule is None:
        return (Step(hop.hook, table, chain, 0, hop.text, effect),)
    return tuple(Step(hop.hook, table, chain, rule.number, rule.text, effect) for rule in (hop.rule, *hop.also))


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


# ---- packets to flows and back ------------------------------------------------------------------------------------


def flow_of(packet: Packet, sources: sets.IntSet | None = None) -> Flow:
    """Make the flow of one packet, or of all with these ``sources`` and with every port that is None."""
    flow = Flow()
    family = packet.family
    proto = protocol(packet.proto)
    if proto == 1 and family == 6:
        proto = protocol("icmpv6")
    region = [NOBODY, NOBODY, NOBODY]
    src: Value
    if sources is None:
        src = _address(packet.src, family)
    else:
        src, region[Asked.SRC.value] = Asked.SRC, sources
    ports: list[Value] = []
    for number, asked in ((packet.sport, Asked.SPORT), (packet.dport, Asked.DPORT)):
        if proto not in WITH_PORTS:
            ports.append(0)
        elif number is None:
            ports.append(asked)
            region[asked.value] = sets.PORTS
        else:
            ports.append(number)
    flow.family, flow.proto = family, proto
    flow.src, flow.dst = src, _address(packet.dst, family)
    flow.sport, flow.dport = ports
    echo = _ECHO_REQUEST.get(proto)
    flow.icmp_type = echo if packet.icmp_type is None else packet.icmp_type
    flow.icmp_code = packet.icmp_code or 0
    flow.flags = _flags(packet)
    flow.iif, flow.oif = packet.iif, None
    flow.mark, flow.ctmark = packet.mark, 0 if packet.ct_state == "new" else None
    flow.ct, flow.state = None, packet.ct_state
    flow.original = (flow.src, flow.dst, flow.sport, flow.dport)
    flow.reply = None
    flow.snat = flow.dnat = flow.confirmed = flow.bridged = flow.odd = False
    flow.group = ""
    flow.nat_done = (False, False)
    flow.own, flow.uid = packet.iif is None, packet.uid
    flow.region = (region[0], region[1], region[2])
    flow.path, flow.guesses, flow.deciders = None, (), ()
    return flow


def _address(text: str, family: int) -> int:
    found, number = sets.address(text)
    if found != family:
        raise ValueError(f"{text} is no IPv{family} address")
    return number


def _flags(packet: Packet) -> int:
    if packet.tcp_flags is not None:
        return sum(_FLAGS[name.upper()] for name in set(packet.tcp_flags))
    return _FLAGS["SYN"] if packet.ct_state in ("new", "untracked") else _FLAGS["ACK"]


def packet_of(flow: Flow, packet: Packet) -> Packet:
    """Write a flow's header as a packet; numbers that stand for many are as in ``packet``."""
    changes: dict[str, t.Any] = {
        "proto": packet.proto if protocol(packet.proto) == flow.proto else protocol_name(flow.proto),
        "iif": flow.iif,
        "ct_state": flow.ct or packet.ct_state,
        "icmp_type": flow.icmp_type,
        "mark": flow.mark or 0,
    }
    for name in ("src", "dst"):
        value = getattr(flow, name)
        if isinstance(value, int):
            changes[name] = sets.text_of(flow.family, value)
        elif isinstance(value, Asked):
            changes[name] = packet.src
        else:
            changes[name] = ""
    for name in ("sport", "dport"):
        value = getattr(flow, name)
        changes[name] = value if isinstance(value, int) else None
    return replace(packet, **changes)
