# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter import iptables_nft
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.iptables_nft import Shared

DATA = Path(__file__).parent / "data"

#: Rules of every kind that iptables-nft of this version writes, as nft lists them.
WRITTEN = ("1.8.9", "1.8.13")

XT = {"xt": {"type": "match", "name": "conntrack"}}
ACCEPT = {"accept": None}


def match(left: t.Any, right: t.Any, op: str = "==") -> dict[str, t.Any]:
    return {"match": {"op": op, "left": left, "right": right}}


def payload(protocol: str, field: t.Any) -> dict[str, t.Any]:
    return {"payload": {"protocol": protocol, "field": field}}


def meta(key: t.Any) -> dict[str, t.Any]:
    return {"meta": {"key": key}}


def listing(*rules: list[t.Any], family: str = "ip", table: str = "filter", **chain: t.Any) -> dict[str, t.Any]:
    base = {"name": "INPUT", "type": "filter", "hook": "input", "prio": 0, "policy": "accept", **chain}
    place = {"family": family, "table": table}
    return {
        "nftables": [
            {"metainfo": {"json_schema_version": 1}},
            {"table": {"family": family, "name": table}},
            {"chain": {**place, **base}},
            {"chain": {**place, "name": "DOCKER"}},
            *({"rule": {**place, "chain": base["name"], "expr": expr}} for expr in rules),
        ]
    }


def shared(*rules: list[t.Any], **where: t.Any) -> Shared:
    (found,) = iptables_nft.shared_tables(listing(*rules, **where))
    return found


@pytest.mark.parametrize("version", WRITTEN)
def test_nothing_that_iptables_writes_is_foreign_to_it(version: str) -> None:
    nft = json.loads((DATA / f"iptables-nft-{version}.json").read_text())
    found = iptables_nft.shared_tables(nft)
    assert {table.key for table in found} == {
        ("ip", "filter"), ("ip", "mangle"), ("ip", "nat"), ("ip", "raw"), ("ip6", "filter"),
    }  # fmt: skip
    assert all(table.xt and not table.foreign and not table.chains for table in found)
    assert iptables_nft.families(found) == (4, 6)


@pytest.mark.parametrize("version", WRITTEN)
def test_the_modules_are_those_of_what_iptables_wrote_in_nfts_words(version: str) -> None:
    nft = json.loads((DATA / f"iptables-nft-{version}.json").read_text())
    assert iptables_nft.modules(nft, 4) == ("xt_NFLOG", "xt_TRACE", "xt_limit", "xt_mark", "xt_tcpudp")
    assert iptables_nft.modules(nft, 6) == ("xt_tcpudp",)


@pytest.mark.parametrize(
    "expression",
    [
        match(payload("ip", "saddr"), {"range": ["10.0.0.1", "10.0.0.5"]}),
        match(payload("ip", "saddr"), "@banned"),
        match(payload("ip", "saddr"), {"set": ["10.0.0.1"]}),
        match(payload("tcp", "dport"), {"set": [1, 2]}),
        match(payload("tcp", "dport"), 22, "<"),
        match(payload("tcp", "flags"), "syn", "in"),
        match(payload("icmp", "type"), "echo-request"),
        match(payload("ip", "ttl"), 5),
        match(payload("th", "dport"), 53),
        match(meta("l4proto"), {"set": ["tcp", "udp"]}),
        match(meta("iifname"), "@lan"),
        match(meta("pkttype"), "multicast"),
        match({"ct": {"key": "state"}}, "established", "in"),
        match({"fib": {"result": "type", "flags": "daddr"}}, "local"),
        match({"|": [meta("mark"), 1]}, 1),
        match(payload("tcp", []), 1),
        match(payload("tcp", "dport"), [1, 2]),
        match({**payload("tcp", "dport"), **meta("mark")}, 1),
        match(meta([]), 1),
        match({"&": []}, 1),
        match("x", 1),
        {"match": None},
        {"limit": {"rate": 5, "per": "second", "inv": True}},
        {"limit": {"rate": 5, "per": "second", "rate_unit": "kbytes"}},
        {"log": {"prefix": "hello"}},
        {"log": None},
        {"mangle": {"key": meta("mark"), "value": 7}},
        {"vmap": {"key": payload("tcp", "dport"), "data": {"set": []}}},
        {"reject": None},
        {"masquerade": None},
        {"dnat": {"addr": "10.0.0.1"}},
        {"notrack": None},
        {"accept": None, "drop": None},
    ],
)
def test_what_only_nft_writes_makes_a_rule_foreign(expression: dict[str, t.Any]) -> None:
    found = shared([XT, ACCEPT], [expression, ACCEPT], [ACCEPT])
    assert found == Shared("ip", "filter", True, frozenset({("INPUT", 2)}))


def test_rules_are_counted_chain_by_chain() -> None:
    found = listing([ACCEPT], [ACCEPT])
    for chain in ("DOCKER", "INPUT", "DOCKER"):
        place = {"family": "ip", "table": "filter", "chain": chain}
        found["nftables"].append({"rule": {**place, "expr": [{"notrack": None}]}})
    (table,) = iptables_nft.shared_tables(found)
    assert table.foreign == {("DOCKER", 1), ("INPUT", 3), ("DOCKER", 2)}


@pytest.mark.parametrize(
    ("where", "foreign"),
    [
        ({}, False),
        ({"prio": -1}, True),
        ({"type": "route"}, True),
        ({"hook": "forward"}, True),
        ({"name": "input"}, True),
        ({"table": "nat", "name": "PREROUTING", "hook": "prerouting", "prio": -100, "type": "nat"}, False),
        ({"table": "nat", "name": "POSTROUTING", "hook": "postrouting", "prio": 100, "type": "nat"}, False),
        ({"table": "mangle", "name": "OUTPUT", "hook": "output", "prio": -150, "type": "route"}, False),
        ({"table": "raw", "name": "OUTPUT", "hook": "output", "prio": -300}, False),
        ({"table": "raw", "name": "INPUT", "hook": "input", "prio": -300}, True),
        ({"table": "security", "name": "FORWARD", "hook": "forward", "prio": 50}, False),
    ],
)
def test_a_base_chain_that_iptables_does_not_have_is_foreign(where: dict[str, t.Any], foreign: bool) -> None:
    assert shared([ACCEPT], **where).chains == ({where.get("name", "INPUT")} if foreign else set())


@pytest.mark.parametrize(
    ("family", "table"), [("inet", "filter"), ("bridge", "filter"), ("ip", "mine"), ("arp", "filter")]
)
def test_a_table_of_another_family_or_name_is_nfts_alone(family: str, table: str) -> None:
    assert iptables_nft.shared_tables(listing([XT], family=family, table=table)) == ()


def test_iptables_is_asked_only_for_families_in_which_it_alone_knows_something() -> None:
    native = [match(payload("tcp", "dport"), 22), ACCEPT]
    assert iptables_nft.families(iptables_nft.shared_tables(listing(native))) == ()
    assert iptables_nft.families(iptables_nft.shared_tables(listing(native, [XT]))) == (4,)
    assert iptables_nft.families(iptables_nft.shared_tables(listing([XT], family="ip6"))) == (6,)


def test_a_rule_of_nft_0_9_says_of_iptables_words_only_that_they_are_there() -> None:
    assert shared([{"xt": None}, ACCEPT]).xt


@pytest.mark.parametrize(
    ("expression", "module"),
    [
        (match(payload("tcp", "dport"), 22), "xt_tcpudp"),
        (match(payload("udp", "sport"), 53), "xt_tcpudp"),
        (match({"&": [payload("tcp", "flags"), ["syn"]]}, "syn"), "xt_tcpudp"),
        (match(payload("th", "dport"), 53), "xt_tcpudp"),
        (match({"&": [meta("mark"), 255]}, 1), "xt_mark"),
        ({"mangle": {"key": meta("mark"), "value": 7}}, "xt_mark"),
        ({"mangle": {"key": meta("nftrace"), "value": 1}}, "xt_TRACE"),
        ({"limit": {"rate": 5, "per": "second"}}, "xt_limit"),
        ({"log": {"group": 3}}, "xt_NFLOG"),
        (match(meta("pkttype"), "multicast"), "xt_pkttype"),
        (match(payload("ip", "ttl"), 5), "xt_hl"),
        (match(payload("ip6", "hoplimit"), 5), "xt_hl"),
        (match(payload("icmp", "type"), "echo-request"), "ip_tables xt_tcpudp"),
        (match(payload("icmpv6", "type"), "echo-request"), "ip6_tables xt_tcpudp"),
    ],
)
def test_the_module_of_each_extension_that_iptables_would_look_up_is_named(
    expression: dict[str, t.Any], module: str
) -> None:
    """Which these are was seen on a kernel that logs what it asks modprobe for, one rule at a time."""
    assert iptables_nft.modules(listing([expression]), 4) == tuple(module.split())
    assert iptables_nft.modules(listing([expression]), 6) == ()
    assert iptables_nft.modules(listing([expression], table="mine"), 4) == ()


@pytest.mark.parametrize(
    "expression",
    [ACCEPT, XT, match(payload("ip", "saddr"), "10.0.0.1"), {"jump": {"target": "DOCKER"}}, {"counter": None}],
)
def test_what_iptables_prints_by_itself_needs_no_module(expression: dict[str, t.Any]) -> None:
    assert iptables_nft.modules(listing([expression]), 4) == ()


_WORDS = st.sampled_from(
    ["match", "left", "right", "op", "payload", "protocol", "field", "meta", "key", "&", "range", "prefix", "xt", "log"]
)
_ANYTHING = st.recursive(
    st.none() | st.integers() | st.sampled_from(["tcp", "dport", "@x", "mark", "INPUT"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=3),
    max_leaves=12,
)


@given(st.lists(_ANYTHING, max_size=4))
def test_no_listing_is_too_odd(expressions: list[t.Any]) -> None:
    nft = listing(expressions)
    assert len(iptables_nft.shared_tables(nft)) == 1
    assert iptables_nft.modules(nft, 6) == ()


@pytest.mark.parametrize(
    "nft",
    [
        {},
        {"nftables": None},
        {"nftables": [1, {}, {"table": None}, {"table": {"name": []}}, {"rule": {"family": "ip", "table": []}}]},
    ],
)
def test_a_listing_without_tables_has_none(nft: dict[str, t.Any]) -> None:
    assert iptables_nft.shared_tables(nft) == ()
    assert iptables_nft.modules(nft, 4) == ()
