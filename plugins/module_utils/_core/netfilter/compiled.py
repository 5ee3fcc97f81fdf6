# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Chains made ready to be walked by many flows: what a flow cannot meet is not looked at.

A host with hundreds of ports and thousands of banned addresses has long chains, and is asked about each port. Three
things keep that cheap, and none of them changes what is found:

- Rules that can do nothing (a log, a jump to nothing but logs) are left out.
- All flows with the same interfaces, protocol, state and so on share a :class:`View` of a chain, in which what these
  decide is decided: a rule for another interface is gone, and one for this interface does not ask for it again.
- Within a view, a rule for one address or port is found by it, and rules in a row that ask for one number and end alike
  (a list of banned addresses) are one :class:`Batch`, which knows which of them decides.
"""

from __future__ import annotations

import heapq
import typing as t
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from operator import attrgetter

from . import conditions, sets
from .flow import Asked, Flow, Value
from .host import Knowledge
from .ruleset import (
    AddressType,
    Chain,
    Condition,
    Conntrack,
    CopyMark,
    Direction,
    Effect,
    FrameType,
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
from .sets import IntSet

_CONDITIONS = (
    Within, Masked, Interface, State, Status, Direction, Conntrack, AddressType, Lookup, IpSet, ReversePath, PhysDev,
    FrameType, Owner, Rate, Never, Unknowable,
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """A part of a rule: conditions, and the effect that comes after them."""

    conditions: tuple[Condition, ...]
    effect: Effect


Steps = t.Tuple[Step, ...]

# ---- what a condition asks ----------------------------------------------------------------------------------------

#: By which plain values of a flow a number is found: those that are no address or port, and stand for no set.
_PLAIN_NUMBERS = {
    "family": ("family",),
    "proto": ("proto",),
    "mark": ("mark",),
    "icmp_type": ("proto", "icmp_type"),
    "icmp_code": ("proto", "icmp_code"),
    "tcp_flags": ("proto", "flags"),
    "ctmark": ("ct", "ctmark"),
    "oproto": ("ct", "proto"),
}
_PLAIN: dict[type, tuple[str, ...]] = {
    Direction: ("ct", "answers"),
    FrameType: ("group", "iif", "oif"),
    Owner: ("own", "uid"),
    PhysDev: ("family", "iif", "bridged"),
    Never: (),
}


def _plain(condition: Condition) -> tuple[str, ...] | None:
    """List the plain values that answer a condition; None when it asks for more than these."""
    if isinstance(condition, Interface):
        return (condition.field,)
    if isinstance(condition, (Within, Masked)):
        return _PLAIN_NUMBERS.get(condition.field)
    if isinstance(condition, (State, Status)):
        words = condition.states if isinstance(condition, State) else condition.bits
        return ("ct", *sorted(words & {"snat", "dnat", "confirmed"}))
    if isinstance(condition, Conntrack):
        # Its parts are asked one by one; see _left_of.
        parts = condition.others if condition.state is None else (condition.state, *condition.others)
        return ("ct", *(name for part in parts for name in _plain(part) or ()))
    return _PLAIN.get(type(condition))


def _left_of(condition: Condition, flow: Flow, host: Knowledge) -> tuple[Condition, ...] | None:
    """Give what of a condition plain values leave open; None when they say that it does not fit."""
    if isinstance(condition, Conntrack):
        if condition.state is not None and not conditions.ask(condition.state, flow, host):
            return None
        if not conditions.tracked(flow):
            return None if condition.state is None else ()
        found: list[Condition] = []
        for other in condition.others:
            left = _left_of(other, flow, host)
            if left is None:
                return None
            found += left
        return tuple(found)
    if _plain(condition) is None:
        return (condition,)
    answer = conditions.ask(condition, flow, host)
    if answer is False:
        return None
    return () if answer is True else (condition,)


_CHEAP: dict[type, int] = {Interface: 0, Within: 1, State: 2}


def _cost(condition: Condition) -> int:
    """Ask what is cheap first, and what nobody can tell last."""
    return 9 if isinstance(condition, (Rate, Unknowable)) else _CHEAP.get(type(condition), 5)


def _simplified(condition: Condition) -> Condition:
    """Write a set of nftables that asks for one number as a comparison of that number."""
    if isinstance(condition, Lookup) and len(condition.fields) == 1 and not condition.filled_by_rules:
        parts = [element[0] for element in condition.elements]
        if condition.fields[0] not in ("iif", "oif"):
            pairs = (pair for part in parts if isinstance(part, IntSet) for pair in part.ranges)
            return Within(t.cast("t.Any", condition.fields[0]), IntSet(pairs), condition.negated)
    return condition


# ---- rules in a row -----------------------------------------------------------------------------------------------

#: Numbers that rules in a row may ask for to be put together.
_IN_A_ROW = frozenset({"src", "dst", "sport", "dport", "osrc", "odst", "osport", "odport"})


#: Fewer rules are better found by the numbers they are for.
_LEAST_IN_A_ROW = 6

#: So many sets are remembered by one list of rules, with what of them its rules fit.
_MOST_SPLIT = 8


class Batch:
    """Rules in a row that are alike but for the set in which one number (the same one) must be.

    ``step`` is what they have in common: the other conditions and the effect, which ends the walk where it is done.
    """

    def __init__(self, field: str, step: Step) -> None:
        self.field = field
        self.step = step
        self.places: list[int] = []
        self._sets: list[IntSet] = []
        self._starts: list[int] | None = None
        self._owners: list[int] = []
        self._whole = sets.EMPTY
        self._split: dict[IntSet, tuple[IntSet, IntSet]] = {}

    def add(self, place: int, values: IntSet) -> None:
        """Take one more rule."""
        self.places.append(place)
        self._sets.append(values)

    def place_of(self, number: int, place: int) -> int | None:
        """Give the first rule from ``place`` on that a number fits."""
        if place > self.places[0]:
            later = range(bisect_left(self.places, place), len(self.places))
            return next((self.places[index] for index in later if number in self._sets[index]), None)
        self._prepare()
        owner = self._owners[bisect_right(t.cast("list[int]", self._starts), number) - 1]
        return self.places[owner] if owner < len(self.places) else None

    def split(self, values: IntSet) -> tuple[IntSet, IntSet]:
        """Split numbers in those that some rule fits, and the others."""
        self._prepare()
        found = self._split.get(values)
        if found is None:
            if len(self._split) >= _MOST_SPLIT:
                self._split.clear()
            # Remembered: hundreds of ports come with the same senders.
            found = self._split[values] = (values & self._whole, values - self._whole)
        return found

    def owners(self, inside: IntSet, most: int) -> list[tuple[int, IntSet]]:
        """Give the rules that decide about numbers, which some rule fits, each with its numbers.

        One more than ``most`` are given when there are more.
        """
        self._prepare()
        starts = t.cast("list[int]", self._starts)
        found: dict[int, list[sets.Range]] = {}
        for first, last in inside.ranges:
            index = bisect_right(starts, first) - 1
            while first <= last:
                end = min(last, starts[index + 1] - 1) if index + 1 < len(starts) else last
                found.setdefault(self._owners[index], []).append((first, end))
                if len(found) > most:
                    break
                first, index = end + 1, index + 1
            if len(found) > most:
                break
        return [(self.places[owner], IntSet(ranges)) for owner, ranges in sorted(found.items())]

    def _prepare(self) -> None:
        """Cut all numbers in pieces, each with the first rule that it fits, if any."""
        if self._starts is not None:
            return
        nobody = len(self.places)
        opening: dict[int, list[int]] = {}
        for owner, values in enumerate(self._sets):
            for first, last in values.ranges:
                opening.setdefault(first, []).append(owner)
                opening.setdefault(last + 1, []).append(~owner)
        starts, owners = [-1], [nobody]
        open_now: list[int] = []
        closed: dict[int, int] = {}
        for number in sorted(opening):
            for owner in opening[number]:
                if owner >= 0:
                    heapq.heappush(open_now, owner)
                else:
                    closed[~owner] = closed.get(~owner, 0) + 1
            while open_now and closed.get(open_now[0]):
                closed[heapq.heappop(open_now)] -= 1
            current = open_now[0] if open_now else nobody
            if current != owners[-1]:
                starts.append(number)
                owners.append(current)
        self._starts, self._owners = starts, owners
        self._whole = IntSet(pair for values in self._sets for pair in values.ranges)


# ---- chains -------------------------------------------------------------------------------------------------------

_NOTHING = Verdict("continue")

#: Numbers by which rules are looked up, the most telling ones first.
_KEYS = ("dst", "dport", "odport", "src")


class View:
    """A chain as flows see it that have the same plain values."""

    def __init__(self, end: int) -> None:
        self._end = end
        self._steps: dict[int, Steps] = {}
        #: Places of rules that are not looked up: those that any flow may fit, and the first one of each batch.
        self._loose: list[int] = []
        self._batches: dict[int, Batch] = {}
        self._by_key: dict[tuple[str, int], list[int]] = {}
        self._by_name: dict[str, list[int]] = {}

    def __len__(self) -> int:
        return len(self._steps)

    def fill(self, found: t.Sequence[tuple[int, Steps]]) -> View:
        """Take the rules that are left, in order."""
        index = 0
        while index < len(found):
            batch = _batch(found, index)
            if batch is not None and len(batch.places) >= _LEAST_IN_A_ROW:
                self._loose.append(batch.places[0])
                self._batches[batch.places[0]] = batch
                index += len(batch.places)
                continue
            place, steps = found[index]
            key = _key(steps[0].conditions)
            if key is None:
                self._loose.append(place)
            else:
                self._by_key.setdefault(key, []).append(place)
                self._by_name.setdefault(key[0], []).append(place)
            index += 1
        self._steps = dict(found)
        return self

    def steps(self, place: int) -> Steps:
        """Give what is left of the rule at a place."""
        return self._steps[place]

    def batch(self, place: int, flow: Flow) -> tuple[Batch, Asked] | None:
        """Give the rules that begin at a place and are taken together by a flow that has a set for their number."""
        found = self._batches.get(place)
        if found is None:
            return None
        value = conditions.number(flow, found.field)
        return (found, value) if isinstance(value, Asked) else None

    def next_rule(self, flow: Flow, place: int) -> int:
        """Give the place of the first rule from ``place`` on that may fit the flow; the end if there is none."""
        best = self._next_loose(flow, place)
        for name, places in self._by_name.items():
            value = conditions.number(flow, name)
            if isinstance(value, int):
                best = _next(self._by_key.get((name, value), ()), place, best)
            elif value is not conditions.ABSENT:
                # One of many, or not known: any of them may fit.
                best = _next(places, place, best)
        return best

    def _next_loose(self, flow: Flow, place: int) -> int:
        index = bisect_right(self._loose, place) - 1
        # A flow whose plain values have just changed may come into the middle of a batch.
        if index < 0 or (self._loose[index] < place and self._loose[index] not in self._batches):
            index += 1
        while index < len(self._loose):
            start = self._loose[index]
            batch = self._batches.get(start)
            if batch is None:
                return start
            found = _next_of(batch, conditions.number(flow, batch.field), place)
            if found is not None:
                return found
            index += 1
        return self._end


def _next_of(batch: Batch, value: Value | conditions.Absent, place: int) -> int | None:
    """Give the first rule of a batch from ``place`` on that a flow with this number may fit."""
    if isinstance(value, conditions.Absent):
        return None
    if isinstance(value, int):
        return batch.place_of(value, place)
    index = bisect_left(batch.places, place)
    return batch.places[index] if index < len(batch.places) else None


def _next(places: t.Sequence[int], place: int, best: int) -> int:
    found = bisect_left(places, place)
    return min(places[found], best) if found < len(places) else best


def _batch(found: t.Sequence[tuple[int, Steps]], index: int) -> Batch | None:
    """Put rules together that follow each other, as many as are alike; None if there is only one."""
    alike = _forms(found[index][1])
    last = index + 1
    while alike and last < len(found):
        still = {field: step for field, step in _forms(found[last][1]).items() if alike.get(field) == step}
        if not still:
            break
        alike, last = still, last + 1
    if last == index + 1 or not alike:
        return None
    field, step = next(iter(alike.items()))
    made = Batch(field, step)
    for place, steps in found[index:last]:
        made.add(
            place, next(item.values for item in map(_in_a_row, steps[0].conditions) if item and item.field == field)
        )
    return made


def _forms(steps: Steps) -> dict[str, Step]:
    """Give what is left of a rule without each of the numbers that it may be put together by."""
    if len(steps) != 1 or not isinstance(steps[0].effect, (Verdict, Nat)) or steps[0].effect == _NOTHING:
        return {}
    found: dict[str, Step] = {}
    for condition in steps[0].conditions:
        asked = _in_a_row(condition)
        if asked is not None and asked.field not in found:
            rest = tuple(other for other in steps[0].conditions if other is not condition)
            found[asked.field] = Step(rest, steps[0].effect)
    return found


def _in_a_row(condition: Condition) -> Within | None:
    fits = isinstance(condition, Within) and not condition.negated and condition.field in _IN_A_ROW
    return t.cast("Within", condition) if fits else None


def _key(listed: tuple[Condition, ...]) -> tuple[str, int] | None:
    """Find one number that a packet must have for the rule to fit."""
    found: dict[str, int] = {}
    for condition in listed:
        if isinstance(condition, Within) and not condition.negated and condition.field in _KEYS:
            ranges = condition.values.ranges
            if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
                found.setdefault(condition.field, ranges[0][0])
    return next(((name, found[name]) for name in _KEYS if name in found), None)


#: So many rules are kept in all views of a chain, beyond those of one view.
_MOST_KEPT = 50_000


class Compiled:
    """A chain made ready to be walked."""

    def __init__(self, chain: Chain, host: Knowledge) -> None:
        self.chain = chain
        self.rules: list[tuple[Rule, Steps]] = []
        self._host = host
        #: For each rule the first step's conditions that plain values may answer, and the others.
        self._asked: list[tuple[tuple[Condition, ...], tuple[Condition, ...]]] = []
        self._shared: dict[Condition, Condition] = {}
        self._names: dict[str, None] = {}
        self._values: t.Callable[[Flow], t.Any] | None = None
        self._views: dict[t.Any, View] = {}
        self._kept = 0

    def add(self, rule: Rule, steps: Steps) -> None:
        """Take one more rule."""
        self.rules.append((rule, steps))
        plain: list[Condition] = []
        others: list[Condition] = []
        for condition in steps[0].conditions:
            names = _plain(condition)
            if names is None:
                others.append(condition)
                continue
            # Equal conditions become one, so that a view asks each only once.
            plain.append(self._shared.setdefault(condition, condition))
            self._names.update(dict.fromkeys(names))
        self._asked.append((tuple(plain), tuple(others)))

    def view(self, flow: Flow) -> View:
        """Give the chain as this flow sees it."""
        if self._values is None:
            self._values = attrgetter(*self._names) if self._names else _nothing
        key = self._values(flow)
        found = self._views.get(key)
        if found is None:
            if self._kept > _MOST_KEPT:
                self._views.clear()
                self._kept = 0
            found = self._views[key] = self._seen_by(flow)
            self._kept += len(found)
        return found

    def _seen_by(self, flow: Flow) -> View:
        answers: dict[int, tuple[Condition, ...] | None] = {
            id(condition): _left_of(condition, flow, self._host) for condition in self._shared
        }
        found: list[tuple[int, Steps]] = []
        for place, (plain, others) in enumerate(self._asked):
            left: list[Condition] = []
            for condition in plain:
                answer = answers[id(condition)]
                if answer is None:
                    break
                if answer:
                    left += answer
            else:
                first, *more = self.rules[place][1]
                listed = tuple(sorted((*others, *left), key=_cost)) if left else others
                found.append((place, (Step(listed, first.effect), *more)))
        return View(len(self.rules)).fill(found)


def _nothing(flow: Flow) -> None:
    return None


class Rules:
    """A whole ruleset made ready to be walked on one host."""

    def __init__(self, ruleset: Ruleset, host: Knowledge) -> None:
        self.ruleset = ruleset
        self._host = host
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

    def _compile(self, chain: Chain) -> Compiled:
        made = Compiled(chain, self._host)
        for rule in chain.rules:
            steps: list[Step] = []
            pending: list[Condition] = []
            for part in rule.parts:
                if not _is_effect(part):
                    pending.append(_simplified(t.cast("Condition", part)))
                elif not self._idle_effect(chain, part):
                    steps.append(Step(tuple(sorted(pending, key=_cost)), t.cast("Effect", part)))
                    pending = []
            if steps:
                made.add(rule, tuple(steps))
        return made


def _is_effect(part: t.Any) -> bool:
    return not isinstance(part, _CONDITIONS)
