# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All senders at once, against the same question asked for one sender after the other."""

from __future__ import annotations

import random
import typing as t
from dataclasses import replace
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter import compiled, sets, space
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.packet import Packet
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.ruleset import (
    Lookup,
    Rule,
    Ruleset,
    Unknowable,
    parse_iptables_save,
)
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.sets import IntSet
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.trace import Host, Model
from ansible_collections.bulkhead.docker.tests.unit.plugins.module_utils._core.netfilter import building, randomly
from ansible_collections.bulkhead.docker.tests.unit.plugins.module_utils._core.netfilter.building import (
    ACCEPT,
    DROP,
    OFTEN,
    RARELY,
    REJECT,
    UNKNOWN,
    base,
    chain,
    dnat,
    dport,
    host,
    jump,
    packet,
    packet6,
    ruleset,
    snat,
    src,
    state,
)

#: Short lists of rules are taken together too, so that few rules are enough to try it.
SHORT = mock.patch.object(compiled, "_LEAST_IN_A_ROW", 2)
EXAMPLES = settings(max_examples=40, deadline=None)


def packets() -> st.SearchStrategy[Packet]:
    """Questions from outside and from containers, for the host, for containers and for others."""
    return st.builds(
        lambda address, port, name, word, mark: packet(
            src="", dst=address, dport=port, iif=name, ct_state=word, mark=mark
        ),
        st.sampled_from(
            ["192.0.2.2", "192.0.2.2", "10.77.0.2", "172.18.0.2", "172.19.0.2", "203.0.113.1", "127.0.0.1"]
        ),
        st.sampled_from([80, 80, 443, 8080, 22]),
        st.sampled_from(["eth0", "eth0", "eth1", "br0", None]),
        st.sampled_from(["new", "new", "new", "established", "invalid"]),
        st.sampled_from(randomly.MARKS),
    )


def answers(model: Model, asked: Packet, *, replies: bool) -> tuple[str, str]:
    """Ask for one sender: the verdict, and the one for a silent sender. What is refused does not get through."""
    found: t.Any = model.round_trip(asked) if replies else model.trace(asked)
    verdict, calm = ("drop" if word == "reject" else word for word in (found.verdict, found.calm))
    return verdict, calm


def listed(found: space.Space, address: str) -> list[str]:
    number = sets.address(address)[1]
    named = {"accept": found.accept, "drop": found.drop, "unknown": found.unknown}
    return [name for name, prefixes in named.items() if any(number in sets.network(text)[1] for text in prefixes)]


def is_partition(found: space.Space, family: int) -> bool:
    """Tell whether the three lists are all addresses, each once."""
    ranges = sorted(
        pair for prefixes in (found.accept, found.drop, found.unknown) for text in prefixes
        for pair in sets.network(text)[1].ranges
    )  # fmt: skip
    neighbours = all(one[1] + 1 == other[0] for one, other in zip(ranges, ranges[1:]))
    return neighbours and (ranges[0][0], ranges[-1][1]) == sets.ALL_ADDRESSES[family].ranges[0]


# ---- plain cases --------------------------------------------------------------------------------------------------

HOST = host()
ASKED = packet(src="")
#: What the kernel drops before any of these rules: loopback, multicast, the host itself, ...
IMPOSSIBLE = ["127.0.0.1", "224.0.0.1", "192.0.2.2", "10.77.0.2", "0.0.0.0"]


def asked(*listed: t.Sequence[t.Any], policy: str = "accept", question: Packet = ASKED, **more: t.Any) -> space.Space:
    return space.sources(ruleset(base("input", *listed, policy=policy)), HOST, question, **more)


def test_what_no_rule_stops_comes_from_everywhere_but_from_where_nobody_can_be() -> None:
    found = asked()
    assert is_partition(found, 4)
    assert not found.unknown
    for address in IMPOSSIBLE:
        assert listed(found, address) == ["drop"]
    for address in ("198.51.100.7", "172.18.0.9", "240.0.0.1"):
        assert listed(found, address) == ["accept"]


def test_rules_divide_senders_in_their_order() -> None:
    found = asked(
        [src("198.51.100.7"), DROP], [src("198.51.100.0/24"), ACCEPT], [src("10.0.0.0/8"), REJECT], policy="drop"
    )
    assert found.accept == [
        "198.51.100.0/30", "198.51.100.4/31", "198.51.100.6/32", "198.51.100.8/29", "198.51.100.16/28",
        "198.51.100.32/27", "198.51.100.64/26", "198.51.100.128/25",
    ]  # fmt: skip
    assert found.unknown == []
    assert listed(found, "10.1.1.1") == ["drop"]


def test_only_some_senders_may_be_asked_about() -> None:
    found = asked([src("198.51.100.7"), DROP], among=["198.51.100.6/31", "2001:db8::/32"])
    assert (found.accept, found.drop, found.unknown) == (["198.51.100.6/32"], ["198.51.100.7/32"], [])
    nobody = asked(among=["2001:db8::/32"])
    assert (nobody.accept, nobody.drop, nobody.unknown, nobody.parts) == ([], [], [], ())


def test_ipv6_has_a_space_of_its_own() -> None:
    own = base("input", [building.src("2001:db8:99::/48"), ACCEPT], of=building.table("filter", "ip6"), policy="drop")
    found = space.sources(ruleset(own), HOST, packet6(src=""))
    assert found.accept == ["2001:db8:99::/48"]
    assert is_partition(found, 6)


@pytest.mark.parametrize(("rate", "calm"), [(RARELY, "accept"), (OFTEN, "drop"), (UNKNOWN, "unknown")])
def test_what_nobody_can_tell_is_unknown_only_for_whom_it_matters(rate: t.Any, calm: str) -> None:
    found = asked([src("203.0.113.0/24"), ACCEPT], [src("198.51.100.0/24"), rate, ACCEPT], policy="drop")
    assert (found.accept, found.unknown) == (["203.0.113.0/24"], ["198.51.100.0/24"])
    part = next(part for part in found.parts if part.verdict == "unknown")
    assert part.calm == calm
    assert [(step.chain, step.rule_number) for step in part.deciders] == [("INPUT", 2)]


def test_a_list_that_rules_fill_may_hold_anybody() -> None:
    filled = Lookup(("src",), ((IntSet.of(1),),), filled_by_rules=True)
    found = asked([filled, DROP])
    assert found.accept == []
    assert {part.calm for part in found.parts if part.verdict == "unknown"} == {"accept"}


def test_parts_name_the_rule_that_decided() -> None:
    found = asked([src("198.51.100.7"), DROP], [src("198.51.100.0/24"), ACCEPT], policy="drop")
    named = {
        (part.verdict, step.rule_number, step.rule) for part in found.parts for step in part.deciders if step.chain
    }
    assert named == {("drop", 1, "rule 1"), ("accept", 2, "rule 2"), ("drop", 0, "policy DROP")}


def test_parts_tell_where_a_packet_arrives() -> None:
    publish = base("prerouting", [src("198.51.100.0/24"), dport(80), dnat("172.18.0.2", 8000)], of="nat")
    parts = space.sources(ruleset(publish), HOST, ASKED).parts
    assert {(part.delivered_to, part.dst, part.dport) for part in parts if part.verdict == "accept"} == {
        ("br0", "172.18.0.2", 8000),
        ("local", "192.0.2.2", 80),
    }


def test_all_ports_of_the_host_are_asked_at_once() -> None:
    question = packet(src="", dport=None)
    found = asked([dport(22), ACCEPT], [src("10.0.0.0/8"), dport(80, 90), ACCEPT], policy="drop", question=question)
    open_to = {part.dports: sets.cidrs(4, part.sources) for part in found.parts if part.verdict == "accept"}
    assert open_to[IntSet([(80, 90)])][0] == "10.0.0.0/10"
    assert set(open_to) == {IntSet.of(22), IntSet([(80, 90)])}


def test_rewritten_ports_are_told_apart_from_those_that_stay() -> None:
    low = base("postrouting", [snat("192.0.2.2", 1024, 65535)], of="nat")
    late = base("postrouting", [building.numbers("sport", 2000), DROP], of="mangle", priority=150)
    question = packet(src="", dst="172.18.0.2", sport=None)
    found = space.sources(ruleset(low, late), HOST, question)
    word = {part.sports: part.verdict for part in found.parts if sets.address("198.51.100.7")[1] in part.sources}
    assert word == {
        IntSet.of(2000): "drop",
        IntSet([(0, 1023)]): "unknown",
        IntSet([(1024, 1999), (2001, 65535)]): "accept",
    }


def test_with_answers_only_those_count_who_hear_one() -> None:
    closed = base("output", [state("established"), building.dst("198.51.100.0/25"), ACCEPT], policy="drop")
    without = space.sources(ruleset(closed), HOST, ASKED)
    assert listed(without, "198.51.100.200") == ["accept"]
    found = space.sources(ruleset(closed), HOST, ASKED, replies=True)
    assert found.accept == ["198.51.100.0/25"]


def test_an_answer_that_would_go_to_a_container_is_not_heard_outside() -> None:
    found = space.sources(ruleset(), HOST, ASKED, replies=True)
    assert listed(found, "172.18.0.9") == ["drop"]
    assert listed(found, "198.51.100.7") == ["accept"]


def test_thousands_of_bans_are_one_part_and_every_sender_is_in_its_place() -> None:
    bans = [[src(f"198.{number >> 8}.{number & 255}.9"), DROP] for number in range(3000)]
    rules = ruleset(base("input", jump_to("bans")), chain("bans", *bans))
    found = space.sources(rules, HOST, ASKED, replies=True)
    assert len(found.parts) < 12
    for number in (0, 1, 1499, 2999):
        assert listed(found, f"198.{number >> 8}.{number & 255}.9") == ["drop"]
        assert listed(found, f"198.{number >> 8}.{number & 255}.8") == ["accept"]


def jump_to(name: str) -> t.Sequence[t.Any]:
    return [jump(name)]


def test_many_rules_that_nobody_can_tell_do_not_multiply() -> None:
    doubts = [[src(f"198.51.100.{number}"), UNKNOWN, DROP] for number in range(100)]
    found = asked(*doubts)
    assert len(found.unknown) > 2
    assert listed(found, "198.51.100.7") == ["unknown"]
    assert listed(found, "198.51.100.107") == ["accept"]


def test_an_answer_that_leads_nowhere_ends_once() -> None:
    rules = parse_iptables_save(
        "*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -j SNAT --to-source 192.0.2.2\nCOMMIT\n", 4
    )
    on = Host(addresses={"lo": ["127.0.0.1/8"], "eth0": ["192.0.2.2/24"]}, routes=[("192.0.2.0/24", "eth0")])
    found = space.sources(rules, on, Packet(dst="192.0.2.2", dport=80, iif=None), replies=True)
    own = [part for part in found.parts if sets.address("10.66.0.1")[1] in part.sources]
    assert [part.verdict for part in own] == ["drop"]


# ---- properties ---------------------------------------------------------------------------------------------------


@EXAMPLES
@given(randomly.rulesets(), randomly.hosts(), packets(), st.booleans())
def test_a_sender_is_where_its_own_packet_ends(rules: Ruleset, on: Host, question: Packet, replies: bool) -> None:
    with SHORT:
        model = Model(rules, on)
        found = space.sources_of(model, question, replies=replies)
    assert is_partition(found, 4)
    for address in randomly.ADDRESSES:
        verdict, calm = answers(model, replace(question, src=address), replies=replies)
        assert listed(found, address) == [verdict], address
        own = [part for part in found.parts if randomly.number(address) in part.sources]
        assert [(part.verdict, part.calm) for part in own] == [(verdict, calm)], address


@EXAMPLES
@given(
    randomly.rulesets(),
    randomly.hosts(),
    packets(),
    st.sampled_from(["sport", "dport", "both"]),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_all_ports_at_once_are_each_port(
    rules: Ruleset, on: Host, question: Packet, which: str, replies: bool, chance: random.Random
) -> None:
    template = replace(
        question,
        sport=question.sport if which == "dport" else None,
        dport=question.dport if which == "sport" else None,
    )
    with SHORT:
        model = Model(rules, on)
        found = space.sources_of(model, template, replies=replies)
    assert is_partition(found, 4)
    for _number in range(20):
        address = chance.choice(randomly.ADDRESSES)
        sport = question.sport if which == "dport" else chance.choice(randomly.PORTS)
        port = question.dport if which == "sport" else chance.choice(randomly.PORTS)
        one = replace(question, src=address, sport=sport, dport=port)
        own = [part for part in found.parts if holds(part, one, which)]
        assert [(part.verdict, part.calm) for part in own] == [answers(model, one, replies=replies)], one


def holds(part: space.Part, question: Packet, which: str) -> bool:
    return (
        sets.address(question.src)[1] in part.sources
        and (which == "dport" or question.sport in part.sports)
        and (which == "sport" or question.dport in part.dports)
    )


@EXAMPLES
@given(randomly.rulesets(), randomly.hosts(), packets(), st.randoms(use_true_random=False), st.booleans())
def test_a_condition_that_nobody_can_tell_turns_no_verdict_around(
    rules: Ruleset, on: Host, question: Packet, chance: random.Random, replies: bool
) -> None:
    before, after = Model(rules, on), Model(less_known(rules, chance), on)
    for address in randomly.ADDRESSES:
        one = replace(question, src=address)
        old, _calm = answers(before, one, replies=replies)
        new, _calm = answers(after, one, replies=replies)
        assert new in (old, "unknown"), address


def less_known(rules: Ruleset, chance: random.Random) -> Ruleset:
    """Add a condition that nobody can tell to one rule of each chain."""
    return Ruleset(tuple(replace(one, rules=tuple(doubted(one.rules, chance))) for one in rules.chains))


def doubted(listed: t.Sequence[Rule], chance: random.Random) -> t.Iterator[Rule]:
    chosen = chance.choice(listed) if listed else None
    for rule in listed:
        place = chance.randint(0, len(rule.parts))
        parts = (*rule.parts[:place], Unknowable("moon"), *rule.parts[place:])
        yield replace(rule, parts=parts) if rule is chosen else rule


@EXAMPLES
@given(randomly.rulesets(), randomly.hosts(), packets(), st.randoms(use_true_random=False), st.booleans())
def test_the_order_in_which_chains_were_read_turns_no_verdict(
    rules: Ruleset, on: Host, question: Packet, chance: random.Random, replies: bool
) -> None:
    shuffled = list(rules.chains)
    chance.shuffle(shuffled)
    one = Model(rules, on)
    other = Model(Ruleset.merge(*(Ruleset((item,)) for item in shuffled)), on)
    for address in randomly.ADDRESSES:
        own = replace(question, src=address)
        assert answers(one, own, replies=replies) == answers(other, own, replies=replies), address
