# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""What a rule of nftables asks about: the kinds of keys, and the conditions they make of an operator and a value.

A key has ``guards``, the conditions that a packet fulfils when it has such a field at all. The kernel ends a rule whose
field is missing, so guards stand before the comparison and are never negated with it.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from . import nft_values as values
from .nft_values import Json, NotUnderstood, Reader
from .packet import WITH_PORTS
from .ruleset import (
    Condition,
    Field,
    Interface,
    Masked,
    Owner,
    State,
    Within,
)
from .sets import EMPTY, IntSet, everything, matching

Conditions = tuple[Condition, ...]

#: The protocols that have ports.
HAS_PORTS = Within("proto", IntSet.of(*WITH_PORTS))
#: One in a hundred of all ports.
_FEW = 655

#: Asked of a mask and a set this often, a key would make a rule of too many conditions.
_MOST_BLOCKS = 256

#: States without a connection, in which the kernel finds none of its fields.
WITHOUT_CONNECTION = State(frozenset({"invalid", "untracked"}), negated=True)

#: What makes a packet one of the host itself: no interface brought it.
_OWN = Owner(everything(32))


class Key(t.Protocol):
    """Something a rule asks about."""

    @property
    def guards(self) -> Conditions: ...

    def conditions(self, op: str, right: Json) -> Conditions:
        """Compare; several conditions hold all together. Raises NotUnderstood."""


def sides(op: str) -> bool:
    """Tell whether an operator of equality is negated. Raises NotUnderstood for other operators."""
    if op in ("==", "in"):
        return False
    if op == "!=":
        return True
    raise NotUnderstood(op)


def is_set(right: Json) -> bool:
    """Tell whether something is compared with an anonymous set, whose elements are whole values and no single bits."""
    return isinstance(right, dict) and "set" in right


# ---- numbers ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Number:
    """A number of the packet; with ``keep`` and ``flip`` it is (number & keep) ^ flip that is compared.

    ``flags`` are the names of its bits, if it is made of such. ``blind`` when it is read where other protocols have
    something else, which is then compared: of their packets only few numbers are sure not to fit, and these by chance.
    """

    field: Field
    width: int
    read: Reader
    guards: Conditions = ()
    flags: t.Mapping[str, int] | None = None
    keep: int | None = None
    flip: int = 0
    blind: bool = False

    def __hash__(self) -> int:
        return hash((self.field, self.width, self.read, self.keep, self.flip, self.blind))

    @property
    def whole(self) -> bool:
        """Whether the number itself is compared, so that it can be a field of a set."""
        return self.keep is None

    def constant(self, value: Json) -> int:
        """Read the constant side of a bit operation."""
        if self.flags is not None:
            return values.bits(value, self.flags)
        found = values.numbers(value, self.read, self.width).ranges
        if len(found) != 1 or found[0][0] != found[0][1]:
            raise NotUnderstood(value)
        return found[0][0]

    def combined(self, operator: str, constant: int) -> Number:
        """Give the key that is this one after a bit operation with a constant."""
        keep = everything(self.width).ranges[0][1] if self.keep is None else self.keep
        if operator == "&":
            return replace(self, keep=keep & constant, flip=self.flip & constant)
        if operator == "|":
            return replace(self, keep=keep & ~constant, flip=self.flip | constant)
        return replace(self, keep=keep, flip=self.flip ^ constant)

    def numbers(self, right: Json) -> IntSet:
        """Read what it is compared with."""
        if self.flags is None:
            return values.numbers(right, self.read, self.width)
        return IntSet.of(*(values.bits(item, self.flags) for item in values.items(right)))

    def conditions(self, op: str, right: Json) -> Conditions:
        if op in ("in", "!") and self.flags is not None and not is_set(right):
            keep = self.constant(right) if self.keep is None else self.constant(right) & self.keep
            return (Masked(self.field, keep, 0, negated=op == "in"),)
        found = self._compared(*self.wanted(op, right))
        return (HAS_PORTS, *found) if self.blind else found

    def wanted(self, op: str, right: Json) -> tuple[IntSet, bool]:
        """Give the numbers that fit, or (with True) those that do not."""
        if op in ("<", ">", "<=", ">="):
            return self.few(self._beyond(op, self.constant(right))), False
        negated = sides(op)
        if self.blind and negated:
            raise NotUnderstood(op)
        return self.few(self.numbers(right)), negated

    def few(self, wanted: IntSet) -> IntSet:
        """Refuse so many numbers that a blind comparison fits what it does not mean."""
        if self.blind and len(wanted) > _FEW:
            raise NotUnderstood(wanted)
        return wanted

    def _beyond(self, op: str, limit: int) -> IntSet:
        last = everything(self.width).ranges[0][1]
        first, end = {"<": (0, limit - 1), "<=": (0, limit), ">": (limit + 1, last), ">=": (limit, last)}[op]
        return IntSet([(first, end)])

    def _compared(self, wanted: IntSet, negated: bool) -> Conditions:
        if self.keep is None:
            return (Within(self.field, wanted, negated),)
        blocks = self._blocks(wanted)
        if negated:
            return tuple(Masked(self.field, keep, value, negated=True) for keep, value in blocks)
        if not blocks:
            return (Within(self.field, EMPTY),)
        if self.field in ("mark", "ctmark", "tcp_flags"):
            if len(blocks) == 1:
                return (Masked(self.field, *blocks[0]),)
            # To be one of these is to be none of the others.
            others = self._blocks(everything(self.width) - wanted)
            return tuple(Masked(self.field, keep, value, negated=True) for keep, value in others)
        return (Within(self.field, self._scattered(blocks), negated=False),)

    def _scattered(self, blocks: list[tuple[int, int]]) -> IntSet:
        found = EMPTY
        for keep, value in blocks:
            matched = matching(value, keep, self.width)
            if matched is None:
                raise NotUnderstood(value)
            found = found | matched
        return found

    def _blocks(self, wanted: IntSet) -> list[tuple[int, int]]:
        """Split (number & keep) ^ flip in ``wanted`` in (mask, value) of the number itself: one of them has to hold."""
        keep = self.keep or 0
        found = []
        for base, size in _aligned(wanted):
            mask = keep & ~(size - 1)
            value = (base ^ self.flip) & ~(size - 1)
            if not value & ~mask:
                found.append((mask, value))
            if len(found) > _MOST_BLOCKS:
                raise NotUnderstood(wanted)
        return found


def _aligned(wanted: IntSet) -> t.Iterator[tuple[int, int]]:
    """Split ranges in blocks (first, size) whose size is a power of two and whose first number is a multiple of it."""
    for first, last in wanted.ranges:
        while first <= last:
            size = first & -first or 1 << last.bit_length()
            while first + size - 1 > last:
                size >>= 1
            yield first, size
            first += size


_USER = Number("mark", 32, values.user)


@dataclass(frozen=True)
class Sender:
    """Whose process sends: its user, or its group, which the model does not know. Only the host's own packets have one."""

    group: bool = False
    coming_in: bool = False

    @property
    def guards(self) -> Conditions:
        return () if self.coming_in else (_OWN,)

    def conditions(self, op: str, right: Json) -> Conditions:
        if self.coming_in:
            # A packet that comes in may have found the socket of its connection already.
            raise NotUnderstood(op)
        wanted, negated = _USER.wanted(op, right)
        return (Owner(None if self.group else wanted, negated),)


# ---- names --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Link:
    """The interface a packet came in by or goes out by; by its name, or by its number, which nft shows as a name."""

    field: t.Literal["iif", "oif"]
    by_number: bool = False
    guards: Conditions = ()
    whole: t.ClassVar[bool] = True

    def conditions(self, op: str, right: Json) -> Conditions:
        negated = sides(op)
        names, prefixes = set(), []
        for item in values.items(right):
            name, open_ended = self._name(item)
            if open_ended:
                prefixes.append(name)
            else:
                names.add(name)
        return (Interface(self.field, frozenset(names), tuple(prefixes), negated),)

    def names(self, right: Json) -> frozenset[str]:
        """Read names for an element of a set, where a star at the end means any ending."""
        found = set()
        for item in values.items(right):
            name, open_ended = self._name(item)
            if name.endswith("*") and not open_ended:
                raise NotUnderstood(item)
            found.add(name + "*" if open_ended else name)
        return frozenset(found)

    def _name(self, item: Json) -> tuple[str, bool]:
        if not isinstance(item, str) or (self.by_number and item.isdigit()):
            # The interface of that number is gone.
            raise NotUnderstood(item)
        if item.endswith("\\*"):
            return item[:-2] + "*", False
        return (item[:-1], True) if item.endswith("*") else (item, False)
