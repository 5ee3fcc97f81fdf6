# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Packets on their way: one, or all of a kind at once."""

from __future__ import annotations

import typing as t
from enum import Enum
from operator import attrgetter

from .sets import IntSet

if t.TYPE_CHECKING:
    from .ruleset import Chain, Rule


class Asked(Enum):
    """A number that stands for a whole set: the sender's address or port, or the port that was asked for."""

    SRC = 0
    SPORT = 1
    DPORT = 2


#: What is known of a number: itself, or which set it stands for, or nothing.
Value = t.Union[int, Asked, None]

#: The sets that :class:`Asked` numbers stand for, by their place; a set that nothing stands for is not looked at.
Region = tuple[IntSet, IntSet, IntSet]

#: What a set is that nothing stands for.
NOBODY = IntSet.of(0)


class Hop(t.NamedTuple):
    """Something that happened on the way; ``rule`` is None for a policy and for what no rule decided.

    ``also`` are other rules of the chain that did the same to other packets of the flow, as many as one may want to read.
    """

    hook: str
    chain: Chain | None
    rule: Rule | None
    effect: str
    text: str = ""
    also: tuple[Rule, ...] = ()

    def __hash__(self) -> int:
        # Not the hash of all fields: that of a chain would be made of all its rules, each time.
        chain = "" if self.chain is None else self.chain.name
        return hash((self.hook, chain, 0 if self.rule is None else self.rule.number, self.effect, self.text))


#: Hops in reverse: the last one and those before it.
Path = t.Optional[tuple[t.Any, Hop]]


class Flow:
    """All packets of ``region`` with one header, at one place of their way, in one of the worlds that are possible.

    ``guesses`` are the hops where it was not known whether a rule fits, and this world took one of both answers;
    ``odd`` when it took one that the first packet of a silent sender would not take. ``deciders`` are the hops that let
    it pass the filter.
    """

    __slots__ = (
        "bridged",
        "confirmed",
        "ct",
        "ctmark",
        "deciders",
        "dnat",
        "dport",
        "dst",
        "family",
        "flags",
        "group",
        "guesses",
        "icmp_code",
        "icmp_type",
        "iif",
        "mark",
        "nat_done",
        "odd",
        "oif",
        "original",
        "own",
        "path",
        "proto",
        "region",
        "reply",
        "snat",
        "sport",
        "src",
        "state",
        "uid",
    )

    family: int
    proto: int
    src: Value
    dst: Value
    sport: Value
    dport: Value
    icmp_type: int | None
    icmp_code: int | None
    flags: int
    iif: str | None
    oif: str | None
    mark: int | None
    ctmark: int | None
    #: Conntrack's word for it; None before conntrack has seen it.
    ct: str | None
    #: What conntrack will say when it sees the packet.
    state: str
    #: The numbers of the connection's original direction (src, dst, sport, dport), and those of its reply.
    original: tuple[Value, Value, Value, Value]
    reply: tuple[Value, Value, Value, Value] | None
    snat: bool
    dnat: bool
    #: NAT of the destination, of the source was settled (maybe to nothing).
    nat_done: tuple[bool, bool]
    confirmed: bool
    bridged: bool
    #: It came in a frame for many: ``broadcast`` or ``multicast``; else empty.
    group: str
    #: The packet was made by a process of this host, whose user is ``uid``.
    own: bool
    uid: int | None
    region: Region
    path: Path
    guesses: tuple[Hop, ...]
    odd: bool
    deciders: tuple[Hop, ...]

    def copy(self) -> Flow:
        """Make a flow of its own with the same values."""
        # Written out: this is done more often than anything else.
        made = Flow.__new__(Flow)
        made.bridged = self.bridged
        made.confirmed = self.confirmed
        made.ct = self.ct
        made.ctmark = self.ctmark
        made.deciders = self.deciders
        made.dnat = self.dnat
        made.dport = self.dport
        made.dst = self.dst
        made.family = self.family
        made.flags = self.flags
        made.group = self.group
        made.guesses = self.guesses
        made.icmp_code = self.icmp_code
        made.icmp_type = self.icmp_type
        made.iif = self.iif
        made.mark = self.mark
        made.nat_done = self.nat_done
        made.odd = self.odd
        made.oif = self.oif
        made.original = self.original
        made.own = self.own
        made.path = self.path
        made.proto = self.proto
        made.region = self.region
        made.reply = self.reply
        made.snat = self.snat
        made.sport = self.sport
        made.src = self.src
        made.state = self.state
        made.uid = self.uid
        return made

    def narrowed(self, region: Region) -> Flow:
        """Make the same flow with fewer packets."""
        made = self.copy()
        made.region = region
        return made

    def noted(self, hop: Hop) -> Flow:
        """Write down one more hop, in place."""
        self.path = (self.path, hop)
        return self

    def hops(self) -> list[Hop]:
        """Give all hops, the first one first."""
        found = []
        path = self.path
        while path is not None:
            path, hop = path
            found.append(hop)
        return found[::-1]

    @property
    def answers(self) -> bool:
        """Tell whether this is an answer: a packet in its connection's reply direction."""
        return self.reply is not None

    @property
    def header(self) -> tuple[t.Any, ...]:
        """Everything that decides how the packet goes on."""
        found: tuple[t.Any, ...] = _HEADER(self)
        return found

    @property
    def seen(self) -> tuple[t.Any, ...]:
        """Everything that rules can look at."""
        found: tuple[t.Any, ...] = _SEEN(self)
        return found

    def certainly(self, value: Value, meant: IntSet) -> bool:
        """Tell whether a number is one of these in all packets of the flow."""
        if isinstance(value, int):
            return value in meant
        return value is not None and self.region[value.value] <= meant


_BESIDES = ("region", "path", "guesses", "odd", "deciders")
_HEADER = attrgetter(*(name for name in Flow.__slots__ if name not in _BESIDES))
_SEEN = attrgetter(*(name for name in Flow.__slots__ if name not in (*_BESIDES, "nat_done")))


# ---- regions ------------------------------------------------------------------------------------------------------


def within(region: Region, asked: Asked, values: IntSet) -> Region | None:
    """Give the part of a region where this number is one of ``values``; None when it is empty."""
    left = region[asked.value] & values
    return replaced(region, asked, left) if left else None


def without(region: Region, asked: Asked, values: IntSet) -> Region | None:
    """Give the part of a region where this number is none of ``values``; None when it is empty."""
    left = region[asked.value] - values
    return replaced(region, asked, left) if left else None


def replaced(region: Region, asked: Asked, values: IntSet) -> Region:
    """Make the region with another set for this number."""
    listed = list(region)
    listed[asked.value] = values
    return (listed[0], listed[1], listed[2])


def common(one: Region, other: Region) -> Region | None:
    """Give what two regions share; None when it is nothing."""
    shared = (one[0] & other[0], one[1] & other[1], one[2] & other[2])
    return shared if all(shared) else None


def minus(one: Region, other: Region) -> list[Region]:
    """Give what of one region is not in the other, as disjoint regions."""
    if common(one, other) is None:
        return [one]
    found: list[Region] = []
    left = one
    for asked in Asked:
        outside = without(left, asked, other[asked.value])
        if outside is not None:
            found.append(outside)
        inside = within(left, asked, other[asked.value])
        if inside is None:
            break
        left = inside
    return found


def united(flows: t.Iterable[Flow]) -> list[Flow]:
    """Put flows together that differ in nothing but one of the sets; a world that another one covers is dropped."""
    groups: dict[tuple[t.Any, ...], list[Flow]] = {}
    for flow in flows:
        groups.setdefault(flow.header, []).append(flow)
    return [one for group in groups.values() for one in (_merged(group) if len(group) > 1 else group)]


def _merged(group: list[Flow]) -> list[Flow]:
    """Put flows of one header together.

    Worlds of one region are one world, of which the least guessed one is kept: whichever of them is real, the packet is
    the same from here on.
    """
    by_region: dict[Region, Flow] = {}
    for flow in sorted(group, key=lambda item: (item.odd, len(item.guesses))):
        kept = by_region.get(flow.region)
        if kept is None:
            by_region[flow.region] = flow
        elif kept.deciders != flow.deciders and not flow.guesses:
            kept.deciders = _together(kept.deciders, flow.deciders)
    found = list(by_region.values())
    for asked in Asked:
        found = _joined(found, asked) if len(found) > 1 else found
    return found


def _joined(flows: list[Flow], asked: Asked) -> list[Flow]:
    groups: dict[tuple[t.Any, ...], list[Flow]] = {}
    for flow in flows:
        others = tuple(flow.region[other.value] for other in Asked if other is not asked)
        groups.setdefault((others, flow.guesses, flow.odd), []).append(flow)
    found = []
    for group in groups.values():
        first = group[0]
        if len(group) > 1:
            joined = IntSet(pair for flow in group for pair in flow.region[asked.value].ranges)
            first = first.narrowed(replaced(first.region, asked, joined))
            first.deciders = _together(*(flow.deciders for flow in group))
        found.append(first)
    return found


#: So many deciding rules are kept by name when flows are put together: a list that a person may still read.
_MOST_DECIDERS = 20


def _together(*lists: tuple[Hop, ...]) -> tuple[Hop, ...]:
    return tuple(dict.fromkeys(hop for hops in lists for hop in hops))[:_MOST_DECIDERS]
