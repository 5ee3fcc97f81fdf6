# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Exact sets of whole numbers (addresses, ports, marks) as sorted, disjoint ranges."""

from __future__ import annotations

import functools
import ipaddress
import typing as t
from bisect import bisect_left, bisect_right

Range = tuple[int, int]

#: The number of bits of an address, by family.
BITS = {4: 32, 6: 128}


class IntSet:
    """An immutable set of whole numbers; ``ranges`` are (first, last), sorted, disjoint and not adjacent."""

    __slots__ = ("_hash", "_outside", "ranges")

    ranges: tuple[Range, ...]

    def __init__(self, ranges: t.Iterable[Range] = ()) -> None:
        self.ranges = _tidy(ranges)
        self._hash: int | None = None
        self._outside: IntSet | None = None

    @classmethod
    def of(cls, *numbers: int) -> IntSet:
        """Make the set of these numbers."""
        return cls((number, number) for number in numbers)

    @classmethod
    def _made(cls, ranges: tuple[Range, ...]) -> IntSet:
        made = cls.__new__(cls)
        made.ranges = ranges
        made._hash = None
        made._outside = None
        return made

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IntSet) and (self is other or self.ranges == other.ranges)

    def __hash__(self) -> int:
        if self._hash is None:
            # Of some ranges: to hash thousands takes longer than to compare the few sets that look alike.
            ranges = self.ranges
            self._hash = hash((len(ranges), ranges[:2], ranges[len(ranges) // 2 : len(ranges) // 2 + 2], ranges[-2:]))
        return self._hash

    def __repr__(self) -> str:
        return f"IntSet({list(self.ranges)!r})"

    def __contains__(self, number: int) -> bool:
        ranges = self.ranges
        if len(ranges) == 1:
            return ranges[0][0] <= number <= ranges[0][1]
        place = bisect_right(ranges, (number, _HUGE)) - 1
        return place >= 0 and number <= ranges[place][1]

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.ranges)

    def __le__(self, other: IntSet) -> bool:
        for first, last in self.ranges:
            place = bisect_right(other.ranges, (first, _HUGE)) - 1
            if place < 0 or other.ranges[place][1] < last:
                return False
        return True

    def __and__(self, other: IntSet) -> IntSet:
        if self is other:
            return self
        few, many = (self, other) if len(self.ranges) <= len(other.ranges) else (other, self)
        ranges = many.ranges
        found: list[Range] = []
        for first, last in few.ranges:
            low, high = _touched(ranges, first, last)
            if low == high:
                continue
            # Whole slices instead of one range after the other: sets may have thousands of them.
            place = len(found)
            found += ranges[low:high]
            if found[place][0] < first:
                found[place] = (first, found[place][1])
            if found[-1][1] > last:
                found[-1] = (found[-1][0], last)
        return _one_of((many, few), found)

    def __or__(self, other: IntSet) -> IntSet:
        few, many = (self, other) if len(self.ranges) <= len(other.ranges) else (other, self)
        if not few.ranges or few is many:
            return many
        if len(few.ranges) * 8 > len(many.ranges):
            return IntSet((*self.ranges, *other.ranges))
        ranges = many.ranges
        found: list[Range] = []
        place = 0
        for first, last in few.ranges:
            low, high = _touched(ranges, first - 1, last + 1)
            if low < high:
                first, last = min(first, ranges[low][0]), max(last, ranges[high - 1][1])
            found += ranges[place:low]
            if found and found[-1][1] >= first:
                found[-1] = (found[-1][0], max(found[-1][1], last))
            else:
                found.append((first, last))
            place = max(place, high)
        found += ranges[place:]
        return _one_of((many,), found)

    def __sub__(self, other: IntSet) -> IntSet:
        if not other.ranges or not self.ranges:
            return self
        if len(other.ranges) <= len(self.ranges):
            return self & other._complement()
        found: list[Range] = []
        for first, last in self.ranges:
            low, high = _touched(other.ranges, first, last)
            for start, end in other.ranges[low:high]:
                if start > first:
                    found.append((first, start - 1))
                first = end + 1
            if first <= last:
                found.append((first, last))
        return _one_of((self,), found)

    def _complement(self) -> IntSet:
        """Make the set of all numbers that are not in this one; it is kept."""
        if self._outside is None:
            edges = [-_HUGE, *(edge for first, last in self.ranges for edge in (first - 1, last + 1)), _HUGE]
            self._outside = IntSet._made(tuple(zip(edges[::2], edges[1::2])))
        return self._outside


_HUGE = 1 << 200


def _one_of(known: t.Iterable[IntSet], ranges: list[Range]) -> IntSet:
    """Make a set of tidy ranges; one that is there already is not made anew, so that it is soon found to be equal."""
    made = tuple(ranges)
    for found in known:
        if len(found.ranges) == len(made) and found.ranges == made:
            return found
    return IntSet._made(made)


def _touched(ranges: tuple[Range, ...], first: int, last: int) -> tuple[int, int]:
    """Give the slice of ranges that share a number with first..last."""
    low = bisect_left(ranges, (first, -1))
    if low and ranges[low - 1][1] >= first:
        low -= 1
    return low, max(low, bisect_right(ranges, (last, _HUGE)))


def _tidy(ranges: t.Iterable[Range]) -> tuple[Range, ...]:
    found: list[Range] = []
    for first, last in sorted(ranges):
        if first > last:
            continue
        if found and first <= found[-1][1] + 1:
            if last > found[-1][1]:
                found[-1] = (found[-1][0], last)
        else:
            found.append((first, last))
    return tuple(found)


EMPTY = IntSet()
PORTS = IntSet([(0, 65535)])
ALL_ADDRESSES = {family: IntSet([(0, (1 << bits) - 1)]) for family, bits in BITS.items()}


def everything(width: int) -> IntSet:
    """Make the set of all numbers of this many bits."""
    return IntSet([(0, (1 << width) - 1)])


def address(text: str) -> tuple[int, int]:
    """Read one address: (family, number). Raises ValueError."""
    found = ipaddress.ip_address(text)
    return found.version, int(found)


def network(text: str) -> tuple[int, IntSet]:
    """Read an address or prefix, host bits and dotted masks allowed: (family, addresses). Raises ValueError.

    A mask whose ones are not all in front, which iptables allows, is read exactly as long as that makes few ranges.
    """
    head, slash, tail = text.partition("/")
    if slash and ("." in tail or ":" in tail):
        return _masked(head, tail)
    found = ipaddress.ip_network(text, strict=False)
    return found.version, IntSet([(int(found.network_address), int(found.broadcast_address))])


def span(text: str) -> tuple[int, IntSet]:
    """Read ``first-last``, an address or a prefix: (family, addresses). Raises ValueError."""
    first, dash, last = text.partition("-")
    if not dash:
        return network(text)
    (family, low), (other, high) = address(first), address(last)
    if family != other or low > high:
        raise ValueError(f"{text!r} is no range of addresses")
    return family, IntSet([(low, high)])


def _masked(head: str, tail: str) -> tuple[int, IntSet]:
    (family, base), (other, mask) = address(head), address(tail)
    if family != other:
        raise ValueError(f"the mask {tail!r} does not fit the address {head!r}")
    found = matching(base, mask, BITS[family])
    if found is None:
        raise ValueError(f"the mask {tail!r} makes too many ranges")
    return family, found


#: A mask may scatter the numbers it matches over this many ranges before it is called too much.
_MOST_RANGES = 4096


def matching(value: int, mask: int, width: int) -> IntSet | None:
    """Give all numbers x of ``width`` bits with x & mask == value & mask; None when they are scattered too widely."""
    free = 0
    while free < width and not mask >> free & 1:
        free += 1
    holes = [bit for bit in range(free, width) if not mask >> bit & 1]
    if len(holes) > 12 or 1 << len(holes) > _MOST_RANGES:
        return None
    base = value & mask
    starts = [base]
    for bit in holes:
        starts += [start | 1 << bit for start in starts]
    return IntSet((start, start + (1 << free) - 1) for start in starts)


def text_of(family: int, number: int) -> str:
    """Write an address."""
    if family == 4:
        return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return str(ipaddress.IPv6Address(number))


def cidrs(family: int, addresses: IntSet) -> list[str]:
    """Write a set of addresses as the fewest prefixes, in order."""
    bits = BITS[family]
    found = []
    for first, last in addresses.ranges:
        while first <= last:
            # As large a block as the first address may begin, and as the rest has room for.
            size = (last - first + 1).bit_length() - 1
            if first:
                size = min(size, (first & -first).bit_length() - 1)
            found.append(f"{text_of(family, first)}/{bits - size}")
            first += 1 << size
    return found


def covering(family: int, meant: IntSet, among: IntSet) -> list[str]:
    """Write as few prefixes as hold all of ``meant`` and nothing else of ``among``; what is in neither does not count."""
    bits = BITS[family]
    unwanted = among - meant
    found: list[str] = []
    waiting = [(0, bits)] if meant else []
    while waiting:
        first, size = waiting.pop()
        block = IntSet([(first, first + (1 << size) - 1)])
        if not meant & block:
            continue
        if not unwanted & block:
            found.append(f"{text_of(family, first)}/{bits - size}")
        else:
            # The upper half first, so that the lower one is looked at first.
            waiting += [(first + (1 << size - 1), size - 1), (first, size - 1)]
    return found


def addresses_of(prefixes: t.Iterable[str]) -> dict[int, IntSet]:
    """Read prefixes of both families: addresses by family. Raises ValueError."""
    ranges: dict[int, list[Range]] = {4: [], 6: []}
    for text in prefixes:
        family, found = span(text)
        ranges[family].extend(found.ranges)
    return {family: IntSet(found) for family, found in ranges.items()}


#: So many lists of prefixes are remembered: zones times families, not ports.
_MOST_TEXTS = 32


class Texts:
    """Lists of prefixes, remembered: hundreds of ports share a few sets, which may be long to write."""

    def __init__(self) -> None:
        self._written: dict[tuple[int, IntSet], list[str]] = {}
        self._left: dict[tuple[IntSet, ...], IntSet] = {}

    def of(self, family: int, addresses: IntSet) -> list[str]:
        """Write a set as :func:`cidrs` does; nobody may change the list."""
        return _remembered(self._written, (family, addresses), lambda: cidrs(family, addresses))

    def without(self, whole: IntSet, *others: IntSet) -> IntSet:
        """Give what of a set is in none of the others."""
        return _remembered(self._left, (whole, *others), lambda: functools.reduce(IntSet.__sub__, others, whole))


Key = t.TypeVar("Key")
Kept = t.TypeVar("Kept")


def _remembered(kept: dict[Key, Kept], key: Key, make: t.Callable[[], Kept]) -> Kept:
    found = kept.pop(key, None)
    if found is None:
        found = make()
        if len(kept) >= _MOST_TEXTS:
            # What was asked for longest ago.
            del kept[next(iter(kept))]
    kept[key] = found
    return found
