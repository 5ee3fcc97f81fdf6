# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Keys of nftables whose values are words: states and directions of connections, kinds of addresses and packets."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from . import nft_values as values
from .nft_keys import WITHOUT_CONNECTION, Conditions, is_set, sides
from .nft_values import Json, NotUnderstood
from .ruleset import AddressType, Condition, Direction, FrameType, Never, Rate, ReversePath, State, Status, Unknowable


@dataclass(frozen=True)
class ConnectionState:
    """``ct state``, which the kernel keeps as one bit of several: two bits at once are never set."""

    guards: Conditions = ()
    keep: int | None = None

    def conditions(self, op: str, right: Json) -> Conditions:
        if op in ("in", "!") and not is_set(right):
            return (State(self._states(values.bits(right, values.STATES)), negated=op == "!"),)
        negated = sides(op)
        listed = values.items(right)
        wanted: set[str] = set()
        for item in listed:
            asked = values.bits(item, values.STATES)
            if self.keep is not None:
                if asked & ~self.keep:
                    continue
                if not asked:
                    wanted |= self._states(sum(values.STATES.values()) & ~self.keep)
                    continue
            if asked & (asked - 1) == 0:
                wanted |= self._states(asked)
        return (State(frozenset(wanted), negated),)

    def masked(self, keep: int) -> ConnectionState:
        """Give the key with a mask."""
        return replace(self, keep=keep)

    def _states(self, asked: int) -> frozenset[str]:
        if asked & ~sum(values.STATES.values()):
            raise NotUnderstood(asked)
        return frozenset(name for name, bit in values.STATES.items() if asked & bit)


@dataclass(frozen=True)
class ConnectionStatus:
    """``ct status``: bits, of which this model knows some."""

    guards: Conditions = ()
    keep: int | None = None

    def conditions(self, op: str, right: Json) -> Conditions:
        if op in ("in", "!"):
            return (Status(self._names(values.bits(right, values.STATUS)), negated=op == "!"),)
        negated = sides(op)
        asked = values.bits(right, values.STATUS)
        return self._exactly(asked, negated) if self.keep is None else self._masked(asked, self.keep, negated)

    def masked(self, keep: int) -> ConnectionStatus:
        """Give the key with a mask."""
        return replace(self, keep=keep)

    def _exactly(self, asked: int, negated: bool) -> Conditions:
        # The kernel sets a second bit with each of these two, so that neither is ever alone.
        if not asked or asked & ~(values.STATUS["snat"] | values.STATUS["dnat"]):
            raise NotUnderstood(asked)
        return (WITHOUT_CONNECTION,) if negated else (Never("ct status"),)

    def _masked(self, asked: int, keep: int, negated: bool) -> Conditions:
        if asked & ~keep or not keep:
            raise NotUnderstood(asked)
        if negated:
            if not asked:
                return (Status(self._names(keep)),)
            if asked == keep and not keep & (keep - 1):
                return (Status(self._names(keep), negated=True),)
            raise NotUnderstood(asked)
        found: list[Condition] = [Status(frozenset({name})) for name in sorted(self._names(asked))]
        if keep & ~asked:
            found.append(Status(self._names(keep & ~asked), negated=True))
        return tuple(found)

    def _names(self, asked: int) -> frozenset[str]:
        if asked & ~sum(values.STATUS.values()):
            raise NotUnderstood(asked)
        return frozenset(name for name, bit in values.STATUS.items() if asked & bit)


@dataclass(frozen=True)
class Words:
    """Something that is one of several words; ``make`` gives the conditions for some of them."""

    make: t.Callable[[frozenset[str], bool], Conditions]
    guards: Conditions = ()

    def conditions(self, op: str, right: Json) -> Conditions:
        return self.make(values.words_of(right), sides(op))


def direction(wanted: frozenset[str], negated: bool) -> Conditions:
    """Ask in which direction of its connection a packet goes."""
    if not wanted <= {"original", "reply"}:
        raise NotUnderstood(wanted)
    if len(wanted) == 2:
        return (Never("ct direction"),) if negated else (WITHOUT_CONNECTION,)
    word: t.Literal["original", "reply"] = "original" if "original" in wanted else "reply"
    return (Direction(word, negated),)


def packet_type() -> Words:
    """Make the key ``meta pkttype``."""

    def make(wanted: frozenset[str], negated: bool) -> Conditions:
        if not wanted <= {"broadcast", "multicast", "host", "unicast"}:
            raise NotUnderstood(wanted)
        return (FrameType(frozenset("unicast" if word == "host" else word for word in wanted), negated),)

    return Words(make)


_ADDRESS_TYPES = frozenset(
    {"unspec", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole", "unreachable", "prohibit"}
)


def address_type(side: t.Literal["src", "dst"], limit: t.Literal["", "iif", "oif"]) -> Words:
    """Make the key ``fib saddr type`` and its like."""

    def make(wanted: frozenset[str], negated: bool) -> Conditions:
        if not wanted <= _ADDRESS_TYPES:
            raise NotUnderstood(wanted)
        return (AddressType(side, frozenset(word.upper() for word in wanted), negated, limit, by_fib=True),)

    return Words(make)


@dataclass(frozen=True)
class Existence:
    """Something that is there or is not."""

    there: Conditions
    missing: Conditions
    guards: Conditions = ()

    def conditions(self, op: str, right: Json) -> Conditions:
        negated = sides(op)
        if isinstance(right, bool) or right == 0:
            return self.there if bool(right) is not negated else self.missing
        raise NotUnderstood(right)


@dataclass(frozen=True)
class Fragment:
    """``ip frag-off``: packets of this model are whole ones, whose offset and More Fragments bit are zero."""

    guards: Conditions = ()
    keep: int = 0xFFFF

    def conditions(self, op: str, right: Json) -> Conditions:
        negated = sides(op)
        if self.keep & ~_FRAGMENT_BITS:
            raise NotUnderstood(right)
        fits = 0 in values.numbers(right, values.plain, 16)
        return () if fits is not negated else (Never("ip frag-off"),)

    def masked(self, keep: int) -> Fragment:
        """Give the key with a mask."""
        return replace(self, keep=self.keep & keep)


_FRAGMENT_BITS = 0x3FFF

IPSEC = Existence((Never("meta ipsec exists"),), ())


def reverse_path(*, loose: bool) -> Existence:
    """Make the key ``fib saddr . iif oif``."""
    return Existence((ReversePath(loose=loose, by_fib=True),), (ReversePath(loose=loose, invert=True, by_fib=True),))


@dataclass(frozen=True)
class Foreign:
    """Something this model knows nothing about, but perhaps which packets have it.

    ``sure``: every packet that passes the guards has it. ``chance``: no packet decides it.
    """

    guards: Conditions = ()
    sure: bool = False
    chance: bool = False

    def conditions(self, op: str, right: Json) -> Conditions:
        raise NotUnderstood(right)

    def unanswered(self, text: str) -> Condition:
        """Give the condition that says so."""
        return Rate(text) if self.chance else Unknowable(text)
