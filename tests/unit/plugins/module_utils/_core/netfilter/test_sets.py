# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter import sets
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.sets import IntSet

SMALL = st.integers(0, 40)
PAIRS = st.lists(st.tuples(SMALL, SMALL), max_size=12)


def plain(pairs: list[tuple[int, int]]) -> set[int]:
    return {number for first, last in pairs for number in range(first, last + 1)}


def members(found: IntSet) -> set[int]:
    """Read the numbers, and refuse ranges that are empty, touch each other or are out of order."""
    assert all(first <= last for first, last in found.ranges)
    assert all(one[1] + 1 < other[0] for one, other in zip(found.ranges, found.ranges[1:]))
    return plain(list(found.ranges))


@given(PAIRS, PAIRS)
def test_sets_of_ranges_are_what_sets_of_numbers_are(
    some: list[tuple[int, int]], others: list[tuple[int, int]]
) -> None:
    one, other = IntSet(some), IntSet(others)
    assert members(one) == plain(some)
    assert members(one & other) == plain(some) & plain(others)
    assert members(one | other) == plain(some) | plain(others)
    assert members(one - other) == plain(some) - plain(others)
    assert len(one) == len(plain(some))
    assert bool(one) == bool(plain(some))
    assert [number for number in range(-1, 43) if number in one] == sorted(plain(some))


@given(PAIRS, PAIRS)
def test_equal_sets_are_equal_and_hash_alike_however_they_were_made(
    some: list[tuple[int, int]], others: list[tuple[int, int]]
) -> None:
    one, other = IntSet(some), IntSet(others)
    assert (one == other) == (plain(some) == plain(others))
    same = (one & other) | (one - other)
    assert same == one
    assert hash(same) == hash(one)


@given(st.lists(st.integers(0, 2000), max_size=300), st.lists(st.integers(0, 2000), max_size=4))
def test_large_and_small_sets_combine_as_sets_of_numbers_do(many: list[int], few: list[int]) -> None:
    large, small = IntSet.of(*many), IntSet.of(*few)
    for one, other, left, right in ((large, small, many, few), (small, large, few, many)):
        assert members(one & other) == set(left) & set(right)
        assert members(one - other) == set(left) - set(right)
        assert members(one | other) == set(left) | set(right)


@given(st.integers(0, 255), st.integers(0, 255))
def test_a_mask_matches_the_numbers_that_it_matches_one_by_one(value: int, mask: int) -> None:
    found = sets.matching(value, mask, 8)
    assert found is not None
    assert members(found) == {number for number in range(256) if number & mask == value & mask}


def test_a_mask_that_scatters_its_numbers_widely_is_refused() -> None:
    assert sets.matching(1, 0x00000001, 32) is None
    with pytest.raises(ValueError, match="too many ranges"):
        sets.network("0.0.0.1/0.0.0.1")


ADDRESSES4 = st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 5000)), max_size=6)


@given(ADDRESSES4)
def test_prefixes_are_the_fewest_and_cover_the_set_exactly(starts: list[tuple[int, int]]) -> None:
    whole = IntSet((first, min(first + size, 2**32 - 1)) for first, size in starts)
    listed = sets.cidrs(4, whole)
    assert sets.addresses_of(listed)[4] == whole
    networks = [ipaddress.ip_network(text) for text in listed]
    assert [str(network) for network in ipaddress.collapse_addresses(networks)] == listed


@given(st.lists(st.tuples(st.integers(0, 2**128 - 1), st.integers(0, 2**70)), max_size=4))
def test_prefixes_of_ipv6_cover_the_set_exactly(starts: list[tuple[int, int]]) -> None:
    whole = IntSet((first, min(first + size, 2**128 - 1)) for first, size in starts)
    listed = sets.cidrs(6, whole)
    assert sets.addresses_of(listed)[6] == whole
    assert [str(ipaddress.ip_network(text)) for text in listed] == listed


@pytest.mark.parametrize("family", [4, 6])
def test_all_addresses_are_one_prefix(family: int) -> None:
    assert sets.cidrs(family, sets.ALL_ADDRESSES[family]) == ["0.0.0.0/0" if family == 4 else "::/0"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.77", ["192.0.2.77/32"]),
        ("192.0.2.77/24", ["192.0.2.0/24"]),
        ("192.0.2.77/255.255.255.0", ["192.0.2.0/24"]),
        ("192.0.2.1/255.255.255.253", ["192.0.2.1/32", "192.0.2.3/32"]),
        ("10.0.0.0/8", ["10.0.0.0/8"]),
        ("192.0.2.1-192.0.2.2", ["192.0.2.1/32", "192.0.2.2/32"]),
        ("0.0.0.0/0", ["0.0.0.0/0"]),
        ("2001:db8::1/ffff::", ["2001::/16"]),
        ("2001:db8::1/64", ["2001:db8::/64"]),
    ],
)
def test_a_text_of_addresses_is_read(text: str, expected: list[str]) -> None:
    family, found = sets.span(text)
    assert sets.cidrs(family, found) == expected


@pytest.mark.parametrize(
    "text",
    ["", "example.com", "192.0.2.1/33", "192.0.2.1/ffff::", "192.0.2.2-192.0.2.1", "192.0.2.1-::1", "1-2", "::1/"],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        sets.span(text)


def test_addresses_of_both_families_are_told_apart() -> None:
    found = sets.addresses_of(["192.0.2.0/24", "2001:db8::/32", "192.0.3.0/24"])
    assert sets.cidrs(4, found[4]) == ["192.0.2.0/23"]
    assert sets.cidrs(6, found[6]) == ["2001:db8::/32"]
