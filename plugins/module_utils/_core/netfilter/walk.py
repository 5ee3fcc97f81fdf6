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
from .compiled import Batch, Rules, Step, View
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
            return [(self._guess(flow, chain, None, "jumps in a circle"), "unknown")]
        exits: list[Exit] = []
        end = len(compiled.rules)
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
                for after, word, later in self._at(chain, compiled.rules[place][0], place, view, item, depth):
                    if word == "next":
                        wait(after, later)
                    else:
                        exits.append((after, None if word == "return" else word))
        return exits

    def _at(
        self, chain: Chain, rule: Rule, place: int, view: View, flow: Flow, depth: int
    ) -> t.Iterator[tuple[Flow, Word, int]]:
        """Take a flow through the rule at a place, or through all that are taken together there.

        Each part comes with the place that is next for it.
        """
        batch = view.batch(place, flow)
        if batch is None:
            for after, word in self._rule(chain, rule, view.steps(place), flow, depth):
                yield after, word, place + 1
        else:
            for after, word in self._batch(chain, *batch, flow):
                yield after, word, batch[0].places[-1] + 1

    def _batch(self, chain: Chain, batch: Batch, asked: Asked, flow: Flow) -> t.Iterator[Exit]:
        """Take a flow through rules in a row that differ in nothing but the numbers they are for."""
        region = flow.region
        inside, outside = batch.split(region[asked.value])
        if outside:
            yield (flow if not inside else flow.narrowed(replaced(region, asked, outside))), "next"
        if not inside:
            return
        owners = batch.owners(inside, _MOST_APART)
        rules = [self._rules.of(chain).rules[place][0] for place, _values in owners]
        if len(owners) > _MOST_APART:
            item = flow.narrowed(replaced(region, asked, inside))
            yield from self._alike(chain, rules[0], batch.effect, item, tuple(rules[1:]))
            return
        for rule, (_place, values) in zip(rules, owners):
            yield from self._alike(chain, rule, batch.effect, flow.narrowed(replaced(region, asked, values)))

    def _alike(
        self, chain: Chain, rule: Rule, effect: Verdict | Nat, flow: Flow, also: tuple[Rule, ...] = ()
    ) -> list[Exit]:
        if isinstance(effect, Nat):
            return self._nat(chain, rule, effect, flow, also)
        return self._verdict(chain, rule, effect, flow, also)

    def _rule(self, chain: Chain, rule: Rule, steps: tuple[Step, ...], flow: Flow, depth: int) -> list[Exit]:
        """Take a flow through one rule; the word ``next`` sends it on to the next one."""
        done: list[Exit] = []
        active = [flow]
        for step in steps:
            following: list[Flow] = []
            for item in active:
                fitting, others = self._sorted_out(chain, rule, step, item)
                done += [(other, "next") for other in others]
                for fits in fitting:
                    for after, word in self._effect(chain, rule, step.effect, fits, depth):
                        if word == "on":
                            following.append(after)
                        else:
                            done.append((after, word))
            active = following
            if not active:
                break
        return done + [(item, "next") for item in active]

    def _sorted_out(self, chain: Chain, rule: Rule, step: Step, flow: Flow) -> tuple[list[Flow], list[Flow]]:
        """Split a flow in what fits the conditions and what does not; both worlds when nobody can tell."""
        return self._parted(chain, rule, conditions.every(step.conditions, flow, self._host), flow)

    def _parted(self, chain: Chain, rule: Rule, answer: Answer, flow: Flow) -> tuple[list[Flow], list[Flow]]:
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
            yes = self._guess(item.copy(), chain, rule, "may fit or not")
            no = self._guess(item.copy(), chain, rule, "may fit or not")
            yes.odd = yes.odd or calm is False
            no.odd = no.odd or calm is True
            fitting.append(yes)
            others.append(no)
        return fitting, others

    def _guess(self, flow: Flow, chain: Chain | None, rule: Rule | None, text: str) -> Flow:
        hop = Hop(self._hook, chain, rule, text)
        if hop not in flow.guesses:
            flow.guesses = (*flow.guesses, hop)
        return flow

    # ---- effects --------------------------------------------------------------------------------------------------

    def _effect(self, chain: Chain, rule: Rule, effect: Effect, flow: Flow, depth: int) -> list[Exit]:
        """Let a rule do what it does; the word ``on`` goes on within the rule, ``next`` with the next one."""
        if isinstance(effect, Verdict):
            return self._verdict(chain, rule, effect, flow)
        if isinstance(effect, Jump):
            return self._jump(chain, rule, effect, flow, depth)
        if isinstance(effect, VerdictMap):
            return self._mapped(chain, rule, effect, flow, depth)
        if isinstance(effect, Switch):
            return self._switched(chain, rule, effect, flow, depth)
        if isinstance(effect, Nat):
            return self._nat(chain, rule, effect, flow)
        if isinstance(effect, Opaque):
            return self._opaque(chain, rule, effect, flow)
        if isinstance(effect, (SetMark, CopyMark)) and not conditions.tracked(flow):
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
            self._hop(changed, chain, rule, f"sets {effect.field} {getattr(changed, effect.field)}")
        elif isinstance(effect, CopyMark):
            source, old = getattr(changed, effect.source), getattr(changed, effect.to)
            value = None if source is None or old is None else (old & ~effect.to_mask) ^ (source & effect.from_mask)
            setattr(changed, effect.to, value)
            self._hop(changed, chain, rule, f"copies {effect.source} to {effect.to}")
        elif isinstance(effect, Untrack):
            # What conntrack found invalid has no connection either.
            if changed.ct in (None, "invalid"):
                changed.ct = "untracked"
            self._hop(changed, chain, rule, "is not tracked")
        return [(changed, "on")]

    def _hop(self, flow: Flow, chain: Chain, rule: Rule, effect: str, also: tuple[Rule, ...] = ()) -> Flow:
        return flow.noted(Hop(self._hook, chain, rule, effect, also=also))

    def _verdict(
        self, chain: Chain, rule: Rule, effect: Verdict, flow: Flow, also: tuple[Rule, ...] = ()
    ) -> list[Exit]:
        if effect.word == "continue":
            return [(flow, "on")]
        after = self._hop(flow.copy(), chain, rule, effect.word, also)
        return [(after, effect.word)]

    def _jump(self, chain: Chain, rule: Rule, effect: Jump, flow: Flow, depth: int) -> list[Exit]:
        target = self._rules.target(chain, effect.chain)
        if target is None:
            return [(self._guess(flow.copy(), chain, rule, "jumps to a chain that was not read"), "unknown")]
        word = "goto" if effect.goto else "jump"
        entered = self._hop(flow.copy(), chain, rule, f"{word} {effect.chain}")
        back = "return" if effect.goto else "on"
        return [(after, ended or back) for after, ended in self.chain(target, entered, depth + 1)]

    def _mapped(self, chain: Chain, rule: Rule, effect: VerdictMap, flow: Flow, depth: int) -> list[Exit]:
        if effect.filled_by_rules:
            # What rules have put in may say anything; a silent sender is not in it.
            odd = self._guess(flow.copy(), chain, rule, "may fit or not")
            odd.odd = True
            return [(odd, "unknown"), (self._guess(flow.copy(), chain, rule, "may fit or not"), "next")]
        cases = [
            (lambda item, key=key: conditions.fits_element(effect.fields, key, item), inner)
            for key, inner in effect.entries
        ]
        return self._chosen(chain, rule, cases, flow, depth)

    def _switched(self, chain: Chain, rule: Rule, effect: Switch, flow: Flow, depth: int) -> list[Exit]:
        cases = [
            (lambda item, listed=listed: conditions.every(listed, item, self._host), inner)
            for listed, inner in effect.cases
        ]
        return self._chosen(chain, rule, cases, flow, depth)

    def _chosen(
        self,
        chain: Chain,
        rule: Rule,
        cases: t.Iterable[tuple[t.Callable[[Flow], Answer], Effect]],
        flow: Flow,
        depth: int,
    ) -> list[Exit]:
        """Do what the first fitting case says."""
        exits: list[Exit] = []
        left = [flow]
        for ask, inner in cases:
            after: list[Flow] = []
            for item in left:
                fitting, others = self._parted(chain, rule, ask(item), item)
                for one in fitting:
                    exits += self._effect(chain, rule, inner, one, depth)
                after += others
            left = after
            if not left:
                break
        return exits + [(item, "next") for item in left]

    def _opaque(self, chain: Chain, rule: Rule, effect: Opaque, flow: Flow) -> list[Exit]:
        unsure = self._guess(flow.copy(), chain, rule, f"does what is not known: {effect.text}")
        if effect.rewrites:
            return [(unsure, "unknown")]
        return [(unsure.copy(), "drop"), (unsure.copy(), "accept"), (unsure, "on")]

    # ---- address translation --------------------------------------------------------------------------------------

    def _nat(self, chain: Chain, rule: Rule, effect: Nat, flow: Flow, also: tuple[Rule, ...] = ()) -> list[Exit]:
        return [self._rewritten(chain, rule, effect, item, also) for item in _apart(flow, effect)]

    def _rewritten(self, chain: Chain, rule: Rule, effect: Nat, flow: Flow, also: tuple[Rule, ...]) -> Exit:
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
                return self._hop(after, chain, rule, "drop", also), "drop"
            setattr(after, place, own)
        elif effect.addresses is not None:
            first, last = effect.addresses
            if first != last and effect.kind == "dnat":
                return self._guess(after, chain, rule, "picks one of several addresses"), "unknown"
            setattr(after, place, first if first == last else None)
        if after.proto in WITH_PORTS:
            setattr(after, port, _port(getattr(after, port), effect, flow))
            if effect.kind == "dnat" and after.dport is None:
                return self._guess(after, chain, rule, "picks one of several ports"), "unknown"
        new = (getattr(after, place), getattr(after, port))
        if effect.kind == "dnat":
            after.dnat, after.nat_done = after.dnat or new != old, (True, after.nat_done[1])
        else:
            after.snat, after.nat_done = after.snat or new != old, (after.nat_done[0], True)
        word = "DNAT" if effect.kind == "dnat" else "SNAT"
        return self._hop(after, chain, rule, f"{word} to {destination(after.family, *new)}", also), "accept"


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
