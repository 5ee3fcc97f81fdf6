# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""All sources at once: who gets through to a service, exactly, without asking one by one."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from . import sets
from .flow import Asked, Region, common, minus
from .hooks import End
from .host import Host
from .packet import Packet
from .ruleset import Ruleset
from .sets import IntSet
from .trace import Model, Step, calm_of, flow_of, main_of, steps_of, verdict_of

__all__ = ["Part", "Space", "sources"]


@dataclass(frozen=True)
class Part:
    """Packets that fare alike: those from ``sources``, by ``sports`` (their own ports) to ``dports``.

    ``calm`` is the verdict for senders that reach no rate limit; ``deciders`` are the steps that decided, or for an
    unknown one those that nobody can tell. ``delivered_to`` is where they go, with the address and port in the end.
    """

    sources: IntSet
    sports: IntSet
    dports: IntSet
    verdict: str
    calm: str
    deciders: tuple[Step, ...] = ()
    delivered_to: str | None = None
    dst: str = ""
    dport: int | None = None


@dataclass(frozen=True)
class Space:
    """All addresses of a family, by what becomes of a packet that has one of them as its source.

    ``accept`` gets through from at least one of the asked ports, ``unknown`` may, ``drop`` does not (rejected ones
    included); each a list of prefixes, in order, and together they are all addresses.
    """

    accept: list[str]
    drop: list[str]
    unknown: list[str]
    parts: tuple[Part, ...] = field(default=(), compare=False)


def sources(
    ruleset: Ruleset, host: Host, packet: Packet, *, among: t.Sequence[str] = (), replies: bool = False
) -> Space:
    """Sort all source addresses (or those ``among`` some prefixes) by whether a packet like this one gets through.

    The template's own ``src`` does not count. With ``replies`` the first answer has to get back too.
    """
    return sources_of(Model(ruleset, host), packet, among=among, replies=replies)


def sources_of(
    model: Model,
    packet: Packet,
    *,
    among: t.Sequence[str] | IntSet = (),
    replies: bool = False,
    back_iif: str | None = None,
) -> Space:
    """Do the same with a model that is asked more than once."""
    family = packet.family
    if isinstance(among, IntSet):
        asked = among
    else:
        asked = sets.addresses_of(among)[family] if among else sets.ALL_ADDRESSES[family]
    if not asked:
        return Space([], [], [])
    ends = model.journey.run(flow_of(packet, asked))
    if replies:
        ends, _backs = model.with_answers(ends, packet.iif, back_iif)
    parts = tuple(_parts(ends, family))
    accept = _sources(parts, "accept")
    unknown = _sources(parts, "unknown") - accept
    drop = asked - accept - unknown
    return Space(sets.cidrs(family, accept), sets.cidrs(family, drop), sets.cidrs(family, unknown), parts)


def _sources(parts: t.Iterable[Part], verdict: str) -> IntSet:
    return IntSet(pair for part in parts if part.verdict == verdict for pair in part.sources.ranges)


def _parts(ends: t.Sequence[End], family: int) -> t.Iterator[Part]:
    """Make disjoint parts: what is sure is disjoint already; where worlds overlap, they say one verdict together."""
    unsure = [end for end in ends if end.flow.guesses]
    for end in ends:
        if not end.flow.guesses:
            yield _part(end.flow.region, [end], family)
    pieces: list[tuple[Region, list[End]]] = []
    for end in unsure:
        left = [end.flow.region]
        refined: list[tuple[Region, list[End]]] = []
        for region, group in pieces:
            shared = common(region, end.flow.region)
            if shared is None:
                refined.append((region, group))
                continue
            refined.append((shared, [*group, end]))
            refined += [(piece, group) for piece in minus(region, shared)]
            left = [piece for one in left for piece in minus(one, shared)]
        pieces = refined + [(region, [end]) for region in left]
    for region, group in pieces:
        yield _part(region, group, family)


def _part(region: Region, ends: list[End], family: int) -> Part:
    verdict, calm, main = verdict_of(ends), calm_of(ends), main_of(ends)
    if verdict == "unknown":
        hops = [hop for end in ends for hop in end.flow.guesses]
    elif verdict == "accept":
        hops = list(main.flow.deciders)
    else:
        hops = [end.flow.path[1] for end in ends if end.flow.path is not None]
    dst = main.flow.dst
    return Part(
        sources=region[Asked.SRC.value],
        sports=region[Asked.SPORT.value],
        dports=region[Asked.DPORT.value],
        verdict="drop" if verdict == "reject" else verdict,
        calm="drop" if calm == "reject" else calm,
        deciders=tuple(dict.fromkeys(step for hop in hops for step in steps_of(hop))),
        delivered_to=main.delivered_to,
        dst=sets.text_of(family, dst) if isinstance(dst, int) else "",
        dport=main.flow.dport if isinstance(main.flow.dport, int) else None,
    )
