# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""All sources at once: who gets through to a service, exactly, without asking one by one."""

from __future__ import annotations

import functools
import typing as t
from dataclasses import dataclass, field

from . import sets
from .flow import Asked, Region, common, minus
from .hooks import End
from .host import Host
from .packet import Packet
from .ruleset import Ruleset
from .sets import IntSet, Texts
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
    """The asked addresses of a family, by what becomes of a packet that has one of them as its source.

    ``accepted`` get through from at least one of the asked ports, ``uncertain`` ones may, the others do not (rejected
    ones included). ``accept``, ``unknown`` and ``drop`` are the same as lists of prefixes, in order.
    """

    family: int
    asked: IntSet
    accepted: IntSet
    uncertain: IntSet
    parts: tuple[Part, ...] = field(default=(), compare=False)
    _texts: Texts = field(default_factory=Texts, repr=False, compare=False)

    @property
    def accept(self) -> list[str]:
        return self._texts.of(self.family, self.accepted)

    @property
    def unknown(self) -> list[str]:
        return self._texts.of(self.family, self.uncertain)

    @property
    def drop(self) -> list[str]:
        return self._texts.of(self.family, self._texts.without(self.asked, self.accepted, self.uncertain))


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
        return Space(family, sets.EMPTY, sets.EMPTY, sets.EMPTY)
    ends = model.journey.run(flow_of(packet, asked))
    if replies:
        ends, _backs = model.with_answers(ends, packet.iif, back_iif)
    parts = tuple(_parts(ends, family))
    accepted = _sources(parts, "accept")
    return Space(family, asked, accepted, _sources(parts, "unknown") - accepted, parts, model.texts)


def _sources(parts: t.Iterable[Part], verdict: str) -> IntSet:
    different = dict.fromkeys(part.sources for part in parts if part.verdict == verdict)
    return functools.reduce(IntSet.__or__, different, sets.EMPTY)


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
