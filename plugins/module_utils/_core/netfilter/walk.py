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
from bisect import bisect_left
from dataclasses import dataclass

from . import conditions, sets
from .conditions import Answer, Maybe, Some
from .flow import Asked, Flow, Hop, Region, minus, united
from .host import Knowledge
from .packet import WITH_PORTS
from .ruleset import (
    AddressType,
    Chain,
    Condition,
    Conntrack,
    CopyMark,
    Direction,
    Effect,
    Interface,
    IpSet,
    Jump,
    Lookup,
    Masked,
    Nat,
    Never,
    Note,
    Opaque,
    Owner,
    PhysDev,
    Rate,
    ReversePath,
    Rule,
    Ruleset,
    SetMark,
    State,
    Status,
    Switch,
    Unknowable,
    Untrack,
    Verdict,
    VerdictMap,
    Within,
)

_CONDITIONS = (
    Within, Masked, Interface, State, Status, Direction, Conntrack, AddressType, Lookup, IpSet, ReversePath, PhysDev,
    Owner, Rate, Never, Unknowable,
)  # fmt: skip

#: A rule that jumps deeper than this jumps in a circle; the kernel refuses more than 16 (nft) or has no more chains.
_DEEPEST = 128

#: What the kernel's word for the end of a chain was: accept, drop, reject, unknown; None at the end of its rules.
Word = t.Optional[str]
Exit = tuple[Flow, Word]


@dataclass(frozen=True)
class Step:
    """A rule made ready: conditions that come before one effect, and that effect (None: what is left is not looked at)."""

    conditions: tuple[Condition, ...]
    effect: Effect


class Compiled:
    """A chain made ready to be walked: rules that can do nothing are left out, and the others are found by what they ask."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.rules: list[tuple[Rule, tuple[Step, ...]]] = []
        self._always: list[int] = []
        self._by_key: dict[tuple[str, int], list[int]] = {}

    def add(self, rule: Rule, steps: tuple[Step, ...]) -> None:
        """Take one more rule."""
        place = len(self.rules)
        self.rules.append((rule, steps))
        key = _key(steps[0].conditions)
        if key is None:
            self._always.append(place)
        else:
            self._by_key.setdefault(key, []).append(place)

    def next_rule(self, flow: Flow, place: int) -> int:
        """Give the place of the first rule from ``place`` on that may fit the flow; the number of rules if none does."""
        best = _next(self._always, place, len(self.rules))
        if self._by_key:
            for name in _KEYS:
                value = conditions.number(flow, name)
                if isinstance(value, int):
                    best = _next(self._by_key.get((name, value), ()), place, best)
                elif value is not conditions.ABSENT:
                    # One of many, or not known: any rule may fit.
                    return min(place, len(self.rules))
        return best


def _next(places: t.Sequence[int], place: int, best: int) -> int:
    found = bisect_left(places, place)
    return min(places[found], best) if found < len(places) else best


#: Numbers by which rules are looked up, the most telling ones first.
_KEYS = ("dst", "dport", "odport")


def _key(listed: tuple[Condition, ...]) -> tuple[str, int] | None:
    """Find one number that a packet must have for the rule to fit."""
    found: dict[str, int] = {}
    for condition in listed:
        parts = condition.others if isinstance(condition, Conntrack) and condition.state is None else (condition,)
        for part in parts:
            if isinstance(part, Within) and not part.negated and part.field in _KEYS:
                ranges = part.values.ranges
                if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
                    found.setdefault(part.field, ranges[0][0])
    return next(((name, found[name]) for name in _KEYS if name in found), None)


class Rules:
    """A whole ruleset made ready to be walked."""

    def __init__(self, ruleset: Ruleset) -> None:
        self.ruleset = ruleset
        self._compiled: dict[int, Compiled] = {}
        self._idle: dict[int, bool] = {}
        self._effectful: dict[int, bool] = {}

    def of(self, chain: Chain) -> Compiled:
        """Make one chain ready, once."""
        found = self._compiled.get(id(chain))
        if found is None:
            found = self._compiled[id(chain)] = self._compile(chain)
        return found

    def target(self, chain: Chain, name: str) -> Chain | None:
        """Find the chain that a rule jumps to."""
        return self.ruleset.by_name.get((chain.table, name))

    def idle(self, chain: Chain) -> bool:
        """Tell whether walking a chain can change nothing."""
        known = self._idle.get(id(chain))
        if known is None:
            # A chain that is met again while it is being judged jumps in a circle: then something is to be said.
            self._idle[id(chain)] = False
            known = self._idle[id(chain)] = all(
                self._idle_effect(chain, part) for rule in chain.rules for part in rule.parts if _is_effect(part)
            )
        return known

    def _idle_effect(self, chain: Chain, effect: t.Any) -> bool:
        if isinstance(effect, Note):
            return True
        if isinstance(effect, Verdict):
            return effect.word == "continue"
        if isinstance(effect, Jump) and not effect.goto:
            target = self.target(chain, effect.chain)
            return target is not None and self.idle(target)
        return False

    def _compile(self, chain: Chain) -> Compiled:
        made = Compiled(chain)
        for rule in chain.rules:
            steps: list[Step] = []
            pending: list[Condition] = []
            for part in rule.parts:
                if not _is_effect(part):
                    pending.append(t.cast("Condition", part))
                elif not self._idle_effect(chain, part):
                    steps.append(Step(tuple(sorted(pending, key=_cost)), t.cast("Effect", part)))
                    pending = []
            if steps:
                made.add(rule, tuple(steps))
        return made

    def effectful(self, chain: Chain) -> bool:
        """Tell whether walking a chain may change what a later rule sees."""
        known = self._effectful.get(id(chain))
        if known is None:
            # A chain that is met again while it is being judged adds nothing.
            self._effectful[id(chain)] = False
            known = self._effectful[id(chain)] = any(
                self._changes(chain, t.cast("Effect", part))
                for rule in chain.rules
                for part in rule.parts
                if _is_effect(part)
            )
        return known

    def _changes(self, chain: Chain, effect: Effect) -> bool:
        if isinstance(effect, (Nat, SetMark, CopyMark, Untrack, Opaque)):
            return True
        if isinstance(effect, VerdictMap):
            return any(self._changes(chain, inner) for _key, inner in effect.entries)
        if isinstance(effect, Switch):
            return any(self._changes(chain, inner) for _listed, inner in effect.cases)
        if isinstance(effect, Jump):
            target = self.target(chain, effect.chain)
            return target is not None and self.effectful(target)
        return False


def _is_effect(part: t.Any) -> bool:
    return not isinstance(part, _CONDITIONS)


_CHEAP: dict[type, int] = {Interface: 0, Within: 1, State: 2}


def _cost(condition: Condition) -> int:
    """Ask what is cheap first, and what nobody can tell last."""
    return 9 if isinstance(condition, (Rate, Unknowable)) else _CHEAP.get(type(condition), 5)


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
        waiting: dict[int, list[Flow]] = {}
        places: list[int] = []

        def wait(item: Flow, place: int) -> None:
            place = compiled.next_rule(item, place)
            if place not in waiting:
                waiting[place] = []
                heapq.heappush(places, place)
            waiting[place].append(item)

        wait(flow, 0)
        while places:
            place = heapq.heappop(places)
            here = waiting.pop(place)
            here = united(here) if len(here) > 1 else here
            if place >= end:
                exits += [(item, None) for item in here]
                continue
            rule, steps = compiled.rules[place]
            for item in here:
                for after, word in self._rule(chain, rule, steps, item, depth):
                    if word == "next":
                        wait(after, place + 1)
                    else:
                        exits.append((after, None if word == "return" else word))
        return exits

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
        regions: tuple[Region, ...] = (flow.region,)
        guess: list[bool | None] = []
        partly = False
        for condition in step.conditions:
            answer = conditions.ask(condition, flow, self._host)
            if answer is True:
                continue
            if answer is False:
                return [], [flow]
            if isinstance(answer, Some):
                regions = conditions.shared(regions, answer.regions) if partly else answer.regions
                partly = True
                if not regions:
                    return [], [flow]
            elif isinstance(answer, Maybe):
                guess.append(answer.calm)
        fitting = [flow.narrowed(region) for region in regions] if partly else [flow]
        others: list[Flow] = []
        if partly:
            left = [flow.region]
            for region in regions:
                left = [piece for one in left for piece in minus(one, region)]
            others = [flow.narrowed(region) for region in left]
        if guess:
            no = [self._guess(item.copy(), chain, rule, "may fit or not") for item in fitting]
            fitting = [self._guess(item.copy(), chain, rule, "may fit or not") for item in fitting]
            # A silent sender fits if it fits all of what is asked; it does not if one answer is no.
            if all(guess):
                for item in no:
                    item.odd = True
            elif any(calm is False for calm in guess):
                for item in fitting:
                    item.odd = True
            others += no
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
            if changed.ct is None:
                changed.ct = "untracked"
            self._hop(changed, chain, rule, "is not tracked")
        return [(changed, "on")]

    def _hop(self, flow: Flow, chain: Chain, rule: Rule, effect: str) -> Flow:
        return flow.noted(Hop(self._hook, chain, rule, effect))

    def _verdict(self, chain: Chain, rule: Rule, effect: Verdict, flow: Flow) -> list[Exit]:
        if effect.word == "continue":
            return [(flow, "on")]
        after = self._hop(flow.copy(), chain, rule, effect.word)
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
        cases = [
            (lambda item, key=key: conditions.fits_element(effect.fields, key, item), inner)
            for key, inner in effect.entries
        ]
        exits = self._chosen(chain, rule, cases, flow, depth)
        if effect.filled_by_rules:
            exits = [(self._guess(item.copy(), chain, rule, "may fit or not"), word) for item, word in exits]
            exits.append((self._guess(flow.copy(), chain, rule, "may fit or not"), "next"))
        return exits

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
                answer = ask(item)
                if answer is False:
                    after.append(item)
                elif answer is True:
                    exits += self._effect(chain, rule, inner, item, depth)
                elif isinstance(answer, Some):
                    rest = [item.region]
                    for region in answer.regions:
                        exits += self._effect(chain, rule, inner, item.narrowed(region), depth)
                        rest = [piece for one in rest for piece in minus(one, region)]
                    after += [item.narrowed(piece) for piece in rest]
                else:
                    exits += self._effect(
                        chain, rule, inner, self._guess(item.copy(), chain, rule, "may fit or not"), depth
                    )
                    after.append(self._guess(item.copy(), chain, rule, "may fit or not"))
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

    def _nat(self, chain: Chain, rule: Rule, effect: Nat, flow: Flow) -> list[Exit]:
        after = flow.copy()
        place, port = ("dst", "dport") if effect.kind == "dnat" else ("src", "sport")
        old = (getattr(after, place), getattr(after, port))
        if effect.to_interface:
            own = (
                self._host.redirect_to(after.family, after.iif)
                if effect.kind == "dnat"
                else self._host.source_for(
                    after.family, after.oif or "", after.dst if isinstance(after.dst, int) else None
                )
            )
            if own is None:
                return [(self._hop(after, chain, rule, "drop"), "drop")]
            setattr(after, place, own)
        elif effect.addresses is not None:
            first, last = effect.addresses
            if first != last:
                if effect.kind == "dnat":
                    return [(self._guess(after, chain, rule, "picks one of several addresses"), "unknown")]
                setattr(after, place, None)
            else:
                setattr(after, place, first)
        if after.proto in WITH_PORTS:
            setattr(after, port, _port(getattr(after, port), effect, flow))
            if effect.kind == "dnat" and after.dport is None:
                return [(self._guess(after, chain, rule, "picks one of several ports"), "unknown")]
        new = (getattr(after, place), getattr(after, port))
        if new != old:
            if effect.kind == "dnat":
                after.dnat = True
            else:
                after.snat = True
        done = after.nat_done
        after.nat_done = (True, done[1]) if effect.kind == "dnat" else (done[0], True)
        word = "DNAT" if effect.kind == "dnat" else "SNAT"
        self._hop(after, chain, rule, f"{word} to {destination(after.family, *new)}")
        return [(after, "accept")]


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
    if isinstance(old, int):
        # A port that is in the range stays; else a destination gets the first one, a source any.
        return old if first <= old <= last else (first if effect.kind == "dnat" else None)
    extent = flow.extent(old)
    inside = extent is not None and not extent - sets.IntSet([(first, last)])
    return old if inside else None


def destination(family: int, place: t.Any, port: t.Any) -> str:
    """Write an address and port."""
    text = sets.text_of(family, place) if isinstance(place, int) else ("?" if place is None else "the sender")
    if isinstance(port, Asked):
        return text
    if not port:
        return text if port is not None else f"{text}:?"
    return f"[{text}]:{port}" if family == 6 else f"{text}:{port}"
