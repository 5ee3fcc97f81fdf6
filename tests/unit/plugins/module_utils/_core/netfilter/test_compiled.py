# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""That chains made ready to be walked say what the chains say."""

from __future__ import annotations

import contextlib
import random
import typing as t
from dataclasses import replace
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter import compiled, conditions, space, trace
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.compiled import Batch
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.flow import Asked, Flow
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.host import Knowledge
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.packet import Packet
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.ruleset import (
    Condition,
    Conntrack,
    Direction,
    Interface,
    Masked,
    Never,
    Owner,
    PhysDev,
    Ruleset,
    SetMark,
    State,
    Status,
    Verdict,
)
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.sets import IntSet
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.trace import Host, Model
from ansible_collections.bulkhead.docker.tests.unit.plugins.module_utils._core.netfilter import randomly
from ansible_collections.bulkhead.docker.tests.unit.plugins.module_utils._core.netfilter.building import (
    ACCEPT,
    DROP,
    RETURN,
    base,
    chain,
    dport,
    dst,
    host,
    iif,
    jump,
    numbers,
    packet,
    proto,
    ruleset,
    src,
)
from ansible_collections.bulkhead.docker.tests.unit.plugins.module_utils._core.netfilter.test_space import packets

# ---- shortcuts change nothing -------------------------------------------------------------------------------------


@contextlib.contextmanager
def no_shortcuts() -> t.Iterator[None]:
    """Walk every rule one by one, and ask each all of its conditions."""
    with (
        mock.patch.object(compiled, "_plain", return_value=None),
        mock.patch.object(compiled, "_forms", return_value={}),
        mock.patch.object(compiled, "_key", return_value=None),
    ):
        yield


@settings(max_examples=30, deadline=None)
@given(randomly.rulesets(), randomly.hosts(), packets(), st.booleans(), st.sampled_from([1, 2, 6]))
def test_shortcuts_change_no_answer(rules: Ruleset, on: Host, asked: Packet, all_ports: bool, least: int) -> None:
    template = replace(asked, sport=None, dport=None) if all_ports else asked
    with no_shortcuts():
        slow = Model(rules, on)
        expected = space.sources_of(slow, template, replies=True)
        told = [slow.trace(replace(asked, src=address)) for address in randomly.ADDRESSES]
    with mock.patch.object(compiled, "_LEAST_IN_A_ROW", least):
        quick = Model(rules, on)
        found = space.sources_of(quick, template, replies=True)
        assert (found.accept, found.drop, found.unknown) == (expected.accept, expected.drop, expected.unknown)
        for address, one in zip(randomly.ADDRESSES, told):
            assert quick.trace(replace(asked, src=address)) == one, address


# ---- plain values -------------------------------------------------------------------------------------------------


#: For each value of a flow some that it may have, to see whether an answer depends on it.
OTHERS: dict[str, tuple[t.Any, ...]] = {
    "family": (4, 6),
    "proto": (1, 6, 17, 58),
    "src": (0, 1 << 24, Asked.SRC, None),
    "dst": (0, 1 << 24, Asked.SRC, None),
    "sport": (0, 80, Asked.SPORT, None),
    "dport": (0, 80, Asked.DPORT, None),
    "icmp_type": (None, 0, 8),
    "icmp_code": (None, 0, 8),
    "flags": (0, 2, 0x12),
    "iif": (None, "eth0", "br0", "/"),
    "oif": (None, "eth0", "br0"),
    "mark": (None, 0, 1),
    "ctmark": (None, 0, 1),
    "ct": (None, "new", "established", "untracked", "invalid"),
    "state": ("new", "established"),
    "original": ((0, 0, 0, 0), (1, 2, 3, 4)),
    "reply": (None, (1, 2, 3, 4)),
    "uid": (None, 0, 1000),
    "nat_done": ((False, False), (True, True)),
    **{name: (False, True) for name in ("snat", "dnat", "confirmed", "bridged", "group", "own")},
}


@pytest.mark.parametrize(
    "condition",
    [
        iif("eth0"),
        Interface("oif", frozenset({"br0"}), negated=True),
        proto("tcp"),
        numbers("family", 4),
        numbers("mark", 1),
        numbers("ctmark", 1),
        numbers("icmp_type", 8),
        numbers("icmp_code", 8),
        numbers("tcp_flags", 2),
        numbers("oproto", 6),
        Masked("mark", 1, 1),
        Masked("ctmark", 1, 1),
        Masked("tcp_flags", 2, 2),
        State(frozenset({"new", "dnat", "snat"})),
        State(frozenset({"established"}), negated=True),
        Status(frozenset({"dnat", "snat", "confirmed", "assured"})),
        Status(frozenset({"seen-reply"})),
        Direction("original"),
        Owner(IntSet.of(0)),
        Owner(None, negated=True),
        PhysDev(is_bridged=True),
        PhysDev(iif="veth1", oif="veth2", oif_negated=True),
        Never(),
        Conntrack(State(frozenset({"dnat"})), (Status(frozenset({"snat"})), Direction("reply"))),
    ],
)
def test_what_is_decided_once_for_many_flows_depends_on_nothing_else(condition: Condition) -> None:
    names = {"answers": "reply"}
    declared = {names.get(name, name) for name in t.cast("tuple[str, ...]", compiled._plain(condition))}
    knowledge = Knowledge(host({"net.bridge.bridge-nf-call-iptables": 1}))
    answers: dict[tuple[t.Any, ...], set[t.Any]] = {}
    chance = random.Random(1)
    for _number in range(6000):
        flow = trace.flow_of(packet())
        for name, values in OTHERS.items():
            setattr(flow, name, chance.choice(values))
        key = tuple(
            (name, getattr(flow, name) is None if name == "reply" else getattr(flow, name)) for name in sorted(declared)
        )
        answers.setdefault(key, set()).add(conditions.ask(condition, flow, knowledge))
    assert all(len(found) == 1 for found in answers.values())


def test_the_table_above_has_all_values_that_a_flow_has() -> None:
    assert set(OTHERS) == set(Flow.__slots__) - {"region", "path", "guesses", "odd", "deciders"}


def test_each_value_of_a_flow_is_copied() -> None:
    flow = trace.flow_of(packet())
    for name in Flow.__slots__:
        changed = flow.copy()
        setattr(changed, name, "changed")
        assert getattr(changed.copy(), name) == "changed", name
        assert getattr(flow, name) != "changed"


# ---- rules in a row -----------------------------------------------------------------------------------------------

RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda pair: (pair[0], sum(pair))), max_size=3)


@settings(deadline=None)
@given(st.lists(RANGES.map(IntSet), min_size=1, max_size=8), RANGES.map(IntSet))
def test_of_rules_in_a_row_the_first_that_fits_decides(listed: list[IntSet], values: IntSet) -> None:
    batch = Batch("src", compiled.Step((), Verdict("drop")))
    for index, item in enumerate(listed):
        batch.add(10 * index, item)
    owner = {
        number: next((10 * index for index, item in enumerate(listed) if number in item), None) for number in range(90)
    }
    for number in range(90):
        assert batch.place_of(number, 0) == owner[number]
        for place in (1, 10, 15, 40):
            later = [10 * index for index, item in enumerate(listed) if number in item and 10 * index >= place]
            assert batch.place_of(number, place) == (later[0] if later else None)
    inside, outside = batch.split(values)
    assert [number for number in range(90) if number in inside] == [
        number for number in range(90) if number in values and owner[number] is not None
    ]
    assert outside == values - inside
    found = {number: place for place, own in batch.owners(inside, 100) for number in range(90) if number in own}
    assert found == {number: owner[number] for number in range(90) if number in inside}


def banned(count: int) -> list[t.Any]:
    return [[src(f"198.51.{number // 250}.{number % 250}"), DROP] for number in range(count)]


def test_a_long_list_still_says_which_of_its_rules_decided_about_one_sender() -> None:
    rules = ruleset(base("input", [jump("banned")]), chain("banned", *banned(700), [RETURN]))
    model = Model(rules, host())
    found = model.trace(packet(src="198.51.2.7"))
    assert [(step.chain, step.rule_number) for step in found.decided_by] == [("banned", 508)]
    assert model.trace(packet(src="198.51.3.7")).verdict == "accept"


@pytest.mark.parametrize(("count", "parts", "named"), [(20, 20, 1), (700, 1, 21)])
def test_a_list_names_each_rule_of_few_and_some_of_many(count: int, parts: int, named: int) -> None:
    model = Model(ruleset(base("input", *banned(count))), host())
    found = [
        part
        for part in space.sources_of(model, packet(src="")).parts
        if part.verdict == "drop" and part.deciders[0].chain
    ]
    assert len(found) == parts
    assert [len(part.deciders) for part in found] == [named] * parts
    assert sum(len(part.sources) for part in found) == count


def test_a_mark_that_changes_in_the_middle_of_a_list_is_seen_by_the_rest_of_it() -> None:
    listed = [
        [src("198.51.100.1"), DROP],
        [src("198.51.100.7"), SetMark("mark", 0xFFFFFFFF, 1)],
        [numbers("mark", 1), src("198.51.100.0/25"), DROP],
        [numbers("mark", 1), src("198.51.100.0/24"), ACCEPT],
        [src("198.51.100.7"), ACCEPT],
    ]
    model = Model(ruleset(base("input", *listed)), host())
    assert model.trace(packet()).decided_by[0].rule_number == 3
    assert model.trace(packet(src="198.51.100.8")).verdict == "accept"
    assert space.sources_of(model, packet(src="198.51.100.7")).drop.count("198.51.100.7/32") == 1


def test_ports_are_found_without_looking_at_those_before() -> None:
    listed = [[proto("tcp"), dport(number), ACCEPT if number % 2 else DROP] for number in range(1000, 1400)]
    model = Model(ruleset(base("input", *listed, policy="drop")), host())
    assert [model.trace(packet(dport=number)).verdict for number in (999, 1000, 1001, 1399, 1400)] == [
        "drop", "drop", "accept", "accept", "drop",
    ]  # fmt: skip
    assert model.trace(packet(dport=1001)).decided_by[0].rule_number == 2
    assert model.trace(packet(proto="udp", dport=1001)).verdict == "drop"


def test_views_are_forgotten_when_they_get_too_many() -> None:
    listed = [[numbers("mark", number), dst("192.0.2.2"), DROP] for number in range(1, 40)]
    model = Model(ruleset(base("input", *listed)), host())
    with mock.patch.object(compiled, "_MOST_KEPT", 5):
        assert {model.trace(packet(mark=number)).verdict for number in range(1, 40)} == {"drop"}
    assert len(model.rules.of(model.rules.ruleset.chains[0])._views) < 10
