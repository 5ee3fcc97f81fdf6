# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Walks flows through the rules of one chain and those it jumps to.

Where it is not known whether a rule fits, the flow goes on in two worlds, one for each answer. What comes out of all
worlds together says whether the answer mattered.
"""

from __future__ import annotations

import heapq
import typing as t

from . import conditions, sets
from .compiled import Batch, Compiled, Rules, Step, View
from .conditions import Answer, Some
from .flow import Asked, Flow, Hop, replaced, united, within, without
from .host import ZERONET, Knowledge
from .packet import WITH_PORTS
from .ruleset import (
    Chain,
    CopyMark,
    Effect,
    Jump,
    Nat,
    Opaque,
    Rule,
    SetMark,
    Switch,
    Untrack,
    Verdict,
    VerdictMap,
)

#: A rule that jumps deeper than this jumps in a circle; the kernel refuses more than 16 (nft) or has no more chains.
_DEEPEST = 128

#: What the kernel's word for the end of a chain was: accept, drop, reject, unknown; None at the end of its rules.
Word = t.Optional[str]
Exit = tuple[Flow, Word]

#: So many rules of a list are kept apart when they decide; more are named together.
_MOST_APART = 20


class At(t.NamedTuple):
    """A rule on the walk; ``also`` are rules like it that are taken together with it."""

    chain: Chain
    rule: Rule
    also: tuple[Rule, ...] = ()


def _united(waiting: list[tuple[Flow, View]], view: t.Callable[[Flow], View]) -> list[tuple[Flow, View]]:
    """Put flows together that have come to one place by different ways."""
    if len(waiting) == 1:
        return waiting
    return [(item, view(item)) for item in united(item for item, _view in waiting)]


class Walk:
    """One walk through chains at one hook."""

    def __init__(self, rules: Rules, host: Knowledge, hook: str) -> None:
        self._rules = rules
        self._host = host
        self._hook = hook

    def chain(self, chain: Chain, flow: Flow, depth: int = 0) -> list[Exit]:
        """Walk a flow through a chain: what comes out, each with the word that ended it."""
        compiled = self._rules.of(chain)
        if depth > _DEEPEST:
            return [(_guess(flow, Hop(self._hook, chain, None, "jumps in a circle")), "unknown")]
        end = len(compiled.rules)
        if compiled.view(flow).next_rule(flow, 0) == end:
            return [(flow, None)]
        exits: list[Exit] = []
        waiting: dict[int, list[tuple[Flow, View]]] = {}
        places: list[int] = []

        def wait(item: Flow, place: int) -> None:
            view = compiled.view(item)
            place = view.next_rule(item, place)
            if place == end:
                exits.append((item, None))
                return
            if place not in waiting:
                waiting[place] = []
                heapq.heappush(places, place)
            waiting[place].append((item, view))

        wait(flow, 0)
        while places:
            place = heapq.heappop(places)
            for item, view in _united(waiting.pop(place), compiled.view):
                for after, word, later in self._taken(compiled, place, view, item, depth):
                    if word == "next":
                        wait(after, later)
                    else:
                        exits.append((after, None if word == "return" else word))
        return exits

    def _taken(
        self, compiled: Compiled, place: int, view: View, flow: Flow, depth: int
    ) -> t.Iterator[tuple[Flow, Word, int]]:
        """Take a flow through the rule at a place, or through all that are taken together there.

        Each part comes with the place that is next for it.
        """
        batch = view.batch(place, flow)
        if batch is None:
            at = At(compiled.chain, compiled.rules[place][0])
            for after, word in self._rule(at, view.steps(place), flow, depth):
                yield after, word, place + 1
        else:
            for after, word in self._batch(compiled, *batch, flow):
                yield after, word, batch[0].places[-1] + 1

    def _batch(self, compiled: Compiled, batch: Batch, asked: Asked, flow: Flow) -> t.Iterator[Exit]:
        """Take a flow through rules in a row that differ in nothing but the numbers they are for."""
        inside, outside = batch.split(flow.region[asked.value])
        if outside:
            yield (flow if not inside else flow.narrowed(replaced(flow.region, asked, outside))), "next"
        if not inside:
            return
        owners = [(compiled.rules[place][0], values) for place, values in batch.owners(inside, _MOST_APART)]
        if len(owners) > _MOST_APART:
            parts = [(At(compiled.chain, owners[0][0], tuple(rule for rule, _values in owners[1:])), inside)]
        else:
            parts = [(At(compiled.chain, rule), values) for rule, values in owners]
        for at, values in parts:
            yield from self._rule(at, (batch.step,), flow.narrowed(replaced(flow.region, asked, values)), 0)

    def _rule(self, at: At, steps: tuple[Step, ...], flow: Flow, depth: int) -> list[Exit]:
        """Take a flow through one rule; the word ``next`` sends it on to the next one."""
        done: list[Exit] = []
        active = [flow]
        for step in steps:
            following: list[Flow] = []
            for item in active:
                fitting, others = [item], t.cast("list[Flow]", [])
                if step.conditions:
                    answer = conditions.every(step.conditions, item, self._host)
                    fitting, others = self._parted(at, answer, item)
                done += [(other, "next") for other in others]
                for fits in fitting:
                    for after, word in self._effect(at, step.effect, fits, depth):
                        if word == "on":
                            following.append(after)
                        else:
                            done.append((after, word))
            active = following
        return done + [(item, "next") for item in active]

    def _parted(self, at: At, answer: Answer, flow: Flow) -> tuple[list[Flow], list[Flow]]:
        """Split a flow in what fits and what does not; both worlds when nobody can tell."""
        if answer is True:
            return [flow], []
        if answer is False:
            return [], [flow]
        if isinstance(answer, Some):
            fitting = [flow.narrowed(region) for region in answer.regions]
            others = [flow.narrowed(region) for region in conditions.rest(answer, flow)]
            unsure = [(flow.narrowed(region), calm) for region, calm in answer.unsure]
        else:
            fitting, others, unsure = [], [], [(flow, answer.calm)]
        for item, calm in unsure:
            yes, no = self._unsure(at, item, "may fit or not"), self._unsure(at, item, "may fit or not")
            yes.odd = yes.odd or calm is False
            no.odd = no.odd or calm is True
            fitting.append(yes)
            others.append(no)
        return fitting, others

    def _unsure(self, at: At, flow: Flow, text: str) -> Flow:
        return _guess(flow.copy(), Hop(self._hook, at.chain, at.rule, text, also=at.also))

    def _hop(self, at: At, flow: Flow, effect: str) -> Flow:
        return flow.noted(Hop(self._hook, at.chain, at.rule, effect, also=at.also))

    # ---- effects --------------------------------------------------------------------------------------------------

    def _effect(self, at: At, effect: Effect, flow: Flow, depth: int) -> list[Exit]:
        """Let a rule do what it does; the word ``on`` goes on within the rule, ``next`` with the next one."""
        if isinstance(effect, Verdict):
            if effect.word == "continue":
                return [(flow, "on")]
            return [(self._hop(at, flow.copy(), effect.word), effect.word)]
        if isinstance(effect, Jump):
            return self._jump(at, effect, flow, depth)
        if isinstance(effect, VerdictMap):
            return self._mapped(at, effect, flow, depth)
        if isinstance(effect, Switch):
            return self._switched(at, effect, flow, depth)
        if isinstance(effect, Nat):
            return [self._rewritten(at, effect, item) for item in _apart(flow, effect)]
        if isinstance(effect, Opaque):
            return self._opaque(at, effect, flow)
        if isinstance(effect, (SetMark, CopyMark)):
            return self._marked(at, effect, flow)
        changed = flow.copy()
        # What conntrack found invalid has no connection either.
        if isinstance(effect, Untrack) and changed.ct in (None, "invalid"):
            changed.ct = "untracked"
            self._hop(at, changed, "is not tracked")
        return [(changed, "on")]

    def _marked(self, at: At, effect: SetMark | CopyMark, flow: Flow) -> list[Exit]:
        if not conditions.tracked(flow):
            # Without a connection there is no mark of it: nothing is written, and who wants to read gives up.
            if isinstance(effect, CopyMark) and effect.source == "ctmark":
                return [(flow, "next")]
            if (effect.to if isinstance(effect, CopyMark) else effect.field) == "ctmark":
                return [(flow, "on")]
        changed = flow.copy()
        if isinstance(effect, SetMark):
            old = getattr(changed, effect.field)
            whole = effect.mask == 0xFFFFFFFF
            setattr(changed, effect.field, effect.value if whole else _mixed(old, effect.mask, effect.value))
            self._hop(at, changed, f"sets {effect.field} {getattr(changed, effect.field)}")
        else:
            source, old = getattr(changed, effect.source), getattr(changed, effect.to)
            value = None if source is None or old is None else (old & ~effect.to_mask) ^ (source & effect.from_mask)
            setattr(changed, effect.to, value)
            self._hop(at, changed, f"copies {effect.source} to {effect.to}")
        return [(changed, "on")]

    def _jump(self, at: At, effect: Jump, flow: Flow, depth: int) -> list[Exit]:
        target = self._rules.target(at.chain, effect.chain)
        if target is None:
            return [(self._unsure(at, flow, "jumps to a chain that was not read"), "unknown")]
        word = "goto" if effect.goto else "jump"
        entered = self._hop(at, flow.copy(), f"{word} {effect.chain}")
        back = "return" if effect.goto else "on"
        return [(after, ended or back) for after, ended in self.chain(target, entered, depth + 1)]

    def _mapped(self, at: At, effect: VerdictMap, flow: Flow, depth: int) -> list[Exit]:
        if effect.filled_by_rules:
            # What rules have put in may say anything; a silent sender is not in it.
            odd = self._unsure(at, flow, "may fit or not")
            odd.odd = True
            return [(odd, "unknown"), (self._unsure(at, flow, "may fit or not"), "next")]
        cases = [
            (lambda item, key=key: conditions.fits_element(effect.fields, key, item), inner)
            for key, inner in effect.entries
        ]
        return self._chosen(at, cases, flow, depth)

    def _switched(self, at: At, effect: Switch, flow: Flow, depth: int) -> list[Exit]:
        cases = [
            (lambda item, listed=listed: conditions.every(listed, item, self._host), inner)
            for listed, inner in effect.cases
        ]
        return self._chosen(at, cases, flow, depth)

    def _chosen(
        self, at: At, cases: t.Iterable[tuple[t.Callable[[Flow], Answer], Effect]], flow: Flow, depth: int
    ) -> list[Exit]:
        """Do what the first fitting case says."""
        exits: list[Exit] = []
        left = [flow]
        for ask, inner in cases:
            after: list[Flow] = []
            for item in left:
                fitting, others = self._parted(at, ask(item), item)
                for one in fitting:
                    exits += self._effect(at, inner, one, depth)
                after += others
            left = after
            if not left:
                break
        return exits + [(item, "next") for item in left]

    def _opaque(self, at: At, effect: Opaque, flow: Flow) -> list[Exit]:
        unsure = self._unsure(at, flow, f"does what is not known: {effect.text}")
        if effect.rewrites:
            return [(unsure, "unknown")]
        return [(unsure.copy(), "drop"), (unsure.copy(), "accept"), (unsure, "on")]

    # ---- address translation --------------------------------------------------------------------------------------

    def _rewritten(self, at: At, effect: Nat, flow: Flow) -> Exit:
        after = flow.copy()
        place, port = ("dst", "dport") if effect.kind == "dnat" else ("src", "sport")
        old = (getattr(after, place), getattr(after, port))
        if effect.to_interface:
            if effect.kind == "snat" and after.family == 4 and after.certainly(after.original[0], ZERONET):
                # A sender without an address gets none.
                return after, "accept"
            dst = after.dst if isinstance(after.dst, int) else None
            own = (
                self._host.redirect_to(after.family, after.iif, dst)
                if effect.kind == "dnat"
                else self._host.source_for(after.family, after.oif or "", dst)
            )
            if own is None:
                return self._hop(at, after, "drop"), "drop"
            setattr(after, place, own)
        elif effect.addresses is not None:
            first, last = effect.addresses
            if first != last and effect.kind == "dnat":
                return self._unsure(at, after, "picks one of several addresses"), "unknown"
            setattr(after, place, first if first == last else None)
        if after.proto in WITH_PORTS:
            setattr(after, port, _port(getattr(after, port), effect, flow))
            if effect.kind == "dnat" and after.dport is None:
                return self._unsure(at, after, "picks one of several ports"), "unknown"
        new = (getattr(after, place), getattr(after, port))
        if effect.kind == "dnat":
            after.dnat, after.nat_done = after.dnat or new != old, (True, after.nat_done[1])
        else:
            after.snat, after.nat_done = after.snat or new != old, (after.nat_done[0], True)
        word = "DNAT" if effect.kind == "dnat" else "SNAT"
        return self._hop(at, after, f"{word} to {destination(after.family, *new)}"), "accept"


def _guess(flow: Flow, hop: Hop) -> Flow:
    """Note in place that this world took one of several answers."""
    if hop not in flow.guesses:
        flow.guesses = (*flow.guesses, hop)
    return flow


def _apart(flow: Flow, effect: Nat) -> list[Flow]:
    """Split a flow of many where a rewrite leaves some as they are: ports in its range, a sender without an address."""
    flows = [flow]
    if effect.ports is not None and effect.ports[0] != effect.ports[1]:
        flows = _parted_at(flows, "dport" if effect.kind == "dnat" else "sport", sets.IntSet([effect.ports]))
    if effect.to_interface and effect.kind == "snat" and flow.family == 4:
        flows = _parted_at(flows, "src", ZERONET)
    return flows


def _parted_at(flows: list[Flow], name: str, meant: sets.IntSet) -> list[Flow]:
    value = getattr(flows[0], name)
    if not isinstance(value, Asked):
        return flows
    pieces = [(flow, cut(flow.region, value, meant)) for flow in flows for cut in (within, without)]
    return [flow.narrowed(piece) for flow, piece in pieces if piece is not None]


def _mixed(old: int | None, mask: int, value: int) -> int | None:
    return None if old is None else (old & ~mask & 0xFFFFFFFF) ^ value


def _port(old: t.Any, effect: Nat, flow: Flow) -> t.Any:
    """Give the port after a rewrite; None when the kernel picks one."""
    if effect.ports is None:
        return old if effect.exact or effect.kind == "dnat" else None
    first, last = effect.ports
    if not effect.exact:
        return None if first != last else first
    if first == last:
        return first
    # A port that is in the range stays; else a destination gets the first one, a source any.
    if old is None or flow.certainly(old, sets.IntSet([effect.ports])):
        return old
    return first if effect.kind == "dnat" else None


def destination(family: int, place: t.Any, port: t.Any) -> str:
    """Write an address and port."""
    text = sets.text_of(family, place) if isinstance(place, int) else ("?" if place is None else "the sender")
    if isinstance(port, Asked):
        return text
    if not port:
        return text if port is not None else f"{text}:?"
    return f"[{text}]:{port}" if family == 6 else f"{text}:{port}"
