# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import re
import typing as t
from functools import cache
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter import nft_marks, nft_rules, trace
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.nft_keys import Number
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.nft_values import NotUnderstood, plain
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.packet import Packet
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.ruleset import (
    Chain,
    CopyMark,
    Jump,
    Lookup,
    Masked,
    Note,
    Opaque,
    Rate,
    Rule,
    Ruleset,
    SetMark,
    Switch,
    Table,
    Unknowable,
    VerdictMap,
    Within,
    parse_nft_json,
)
from ansible_collections.bulkhead.docker.tests.fuzz import nft as fuzz
from ansible_collections.bulkhead.docker.tests.unit.plugins.module_utils._core.netfilter import nft_meanings
from ansible_collections.bulkhead.docker.tests.unit.plugins.module_utils._core.netfilter.nft_meanings import (
    ACCEPT,
    DROP,
    MEANINGS,
    OWN,
    TCP,
    UNKNOWN,
    V4,
    frame,
    kind,
    link,
    nat,
    state,
    within,
)

DATA = Path(__file__).parent / "data"
VERSIONS = ("1.0.6", "1.1.3", "1.1.7")
#: What three releases of nft list of the guard's own table.
GUARD = Path(__file__).parents[1] / "data" / "nft"


@cache
def read(name: str) -> Ruleset:
    return parse_nft_json((DATA / f"{name}.json").read_text())


def chains(ruleset: Ruleset) -> dict[str, Chain]:
    return {f"{chain.table.title}/{chain.name}": chain for chain in ruleset.chains}


def plainly(part: t.Any) -> t.Any:
    """Leave out texts, and the order of what has none."""
    if isinstance(part, tuple):
        return tuple(plainly(item) for item in part)
    if not dataclasses.is_dataclass(part) or isinstance(part, type):
        return part
    values = {field.name: plainly(getattr(part, field.name)) for field in dataclasses.fields(part)}
    for name in ("elements", "entries", "cases"):
        if name in values:
            values[name] = frozenset(values[name])
    values.pop("text", None)
    return (type(part).__name__, *sorted(values.items(), key=lambda item: item[0]))


def one_rule(*statements: t.Any, family: str = "inet", **objects: t.Any) -> Rule:
    """Read a rule of these statements, in a table with these other objects (by kind, with a ``name``)."""
    where = {"family": family, "table": "t"}
    entries: list[t.Any] = [{"table": {"family": family, "name": "t"}}]
    entries.append({"chain": {**where, "name": "c"}})
    entries += [{kind: {**where, **data}} for kind, data in objects.items()]
    entries.append({"rule": {**where, "chain": "c", "expr": list(statements)}})
    (chain,) = parse_nft_json({"nftables": entries}).chains
    (rule,) = chain.rules
    return rule


def compared(left: t.Any, right: t.Any, op: str = "==") -> dict[str, t.Any]:
    return {"match": {"op": op, "left": left, "right": right}}


MARK = {"meta": {"key": "mark"}}


# ---- what three versions list -------------------------------------------------------------------------------------


def written(version: str) -> dict[str, str]:
    """Give the rules of the scripts that this version understands, as they were written, by table and chain."""
    files = ["nft-rules.nft"]
    files += ["nft-rules-1.1.nft"] if version != "1.0.6" else []
    files += ["nft-rules-1.1.7.nft"] if version == "1.1.7" else []
    found = {}
    for name in files:
        table = ""
        for line in (DATA / name).read_text().splitlines():
            if line.startswith("table "):
                table = line[6:-2]
            match = re.fullmatch(r"\tchain (\S+) \{ (.+) \}", line)
            if match is not None and table != "inet hooked" and not match[1].startswith("base_"):
                found[f"{table}/{match[1]}"] = match[2]
    return found


@pytest.mark.parametrize("name", sorted(MEANINGS))
def test_a_rule_is_read_as_what_it_means_whatever_version_lists_it(name: str) -> None:
    met = 0
    for version in VERSIONS:
        if name not in written(version):
            continue
        met += 1
        (rule,) = chains(read(f"nft-{version}"))[name].rules
        wanted = MEANINGS[name]
        if (name, version) == ("inet t/s_map_update", "1.0.6"):
            # This version has no JSON for it, and lists its text.
            wanted = (UNKNOWN, Note(""))
        assert plainly(rule.parts) == plainly(wanted), (version, rule.text, rule.parts)
    assert met


@pytest.mark.parametrize("version", VERSIONS)
def test_every_written_rule_has_a_meaning_and_no_chain_is_lost(version: str) -> None:
    rules = written(version)
    found = chains(read(f"nft-{version}"))
    assert rules.keys() - MEANINGS.keys() == set()
    assert rules.keys() - found.keys() == set()
    assert len(rules) > 380
    assert not read(f"nft-{version}").troubles


def test_the_text_of_a_rule_is_what_nft_itself_writes() -> None:
    listed = _texts((DATA / "nft-1.1.7.txt").read_text())
    different = {}
    for name, chain in chains(read("nft-1.1.7")).items():
        for ours, theirs in zip([rule.text for rule in chain.rules], listed[name]):
            if _normal(ours) != _normal(theirs):
                different[name.partition("/")[2]] = ours
    assert different == {
        # nft leaves the sign of equality out where it would ask for single bits, or for a whole block.
        "state_equal_list": "ct state == established | related accept",
        "mark_masked_block": "meta mark & 0x000000ff == 0x00000010-0x0000001f accept",
        "ct_expiration": "ct expiration 60 accept",
        # The JSON does not say what a match of ebtables asks for.
        "FORWARD": 'ether type ip xt match "ip" drop',
        # Nor that this version calls it "check".
        "reverse_missing": "fib saddr . iif oif missing drop",
        "reverse_exists": "fib saddr . iif oif exists accept",
        "reverse_loose": "fib saddr oif missing drop",
        "reverse_mark": "meta nfproto ipv6 fib saddr . mark . iif oif missing drop",
        "fib_check": "fib saddr oif missing drop",
        "fib_check_iif": "fib saddr . iif oif exists accept",
        # Nor of which family these are.
        "original_saddr": "ct original saddr 192.0.2.1 accept",
        "original_daddr": "ct original daddr 2001:db8::1 accept",
        "reply_daddr": "ct reply daddr 0.192.0.2 accept",
        "v_reject": "reject with icmpv6 port-unreachable",
    }


def test_the_text_of_a_number_whose_type_an_old_nft_has_lost_is_a_number() -> None:
    (rule,) = chains(read("nft-1.0.6"))["inet t/original_ports"].rules
    assert rule.text == "meta l4proto tcp ct original proto-dst { 80, 8000-8099 } accept"


def _texts(listing: str) -> dict[str, list[str]]:
    """Read rules out of ``nft list ruleset``."""
    found: dict[str, list[str]] = {}
    table, chain, begun = "", "", ""
    for line in listing.splitlines():
        if line.startswith("table "):
            table = line[6:-2]
        elif line.startswith("\tchain "):
            chain = f"{table}/{line.split()[1]}"
            found[chain] = []
        elif line == "\t}":
            chain = ""
        elif chain and not line.startswith("\t\ttype "):
            begun = f"{begun} {line.strip()}".strip()
            if begun.count("{") == begun.count("}"):
                found[chain].append(begun)
                begun = ""
    return found


def _normal(text: str) -> str:
    """Write numbers in one way, elements of sets in one order, and leave out counters."""
    text = re.sub(r"\bcounter (?!name)", "", text + " ").strip()
    text = re.sub(r"0x[0-9a-f]+", lambda found: str(int(found[0], 16)), text)
    return re.sub(r"\{ ([^{}]*) \}", lambda found: "{ " + ", ".join(sorted(found[1].split(", "))) + " }", text)


@pytest.mark.parametrize("version", VERSIONS)
def test_base_chains_keep_hook_priority_policy_and_kind(version: str) -> None:
    found = chains(read(f"nft-{version}"))
    bases = {
        name: (chain.hook, chain.priority, chain.policy, chain.kind) for name, chain in found.items() if chain.hook
    }
    assert bases == {
        "ip t4/base_prerouting": ("prerouting", -300, "accept", "filter"),
        "ip t4/base_dstnat": ("prerouting", -100, "accept", "nat"),
        "ip t4/base_input": ("input", 0, "drop", "filter"),
        "ip t4/base_forward": ("forward", -5, "accept", "filter"),
        "ip t4/base_output": ("output", -150, "accept", "route"),
        "ip t4/base_srcnat": ("postrouting", 100, "accept", "nat"),
        "ip t4/base_security": ("postrouting", 50, "accept", "filter"),
        "ip6 t6/base_input": ("input", 0, "drop", "filter"),
        "bridge tb/base_forward": ("forward", -200, "accept", "filter"),
        "bridge tb/base_prerouting": ("prerouting", -300, "accept", "filter"),
        "netdev td/base_ingress": ("ingress", 0, "accept", "filter"),
        "netdev td2/base_devices": ("ingress", -500, "accept", "filter"),
        "netdev td2/base_egress": ("egress", 0, "accept", "filter"),
        "inet ti/base_ingress": ("ingress", 0, "accept", "filter"),
        "arp ta/base_input": ("input", 0, "accept", "filter"),
        "inet hooked/base_in": ("input", 1, "accept", "filter"),
        "inet hooked/base_in_too": ("prerouting", 1, "accept", "filter"),
        "inet hooked/base_out": ("output", 1, "accept", "filter"),
        "bridge filter/FORWARD": ("forward", -200, "accept", "filter"),
        "ip security/my_input": ("input", 5, "accept", "filter"),
    }
    # nft 1.0.6 does not list devices.
    assert found["netdev td/base_ingress"].devices == (() if version == "1.0.6" else ("lo",))


@pytest.mark.parametrize("version", VERSIONS)
def test_what_decides_by_direction_follows_the_jumps_that_lead_to_a_chain(version: str) -> None:
    found = chains(read(f"nft-{version}"))
    multicast = frame("multicast")
    assert [rule.parts for rule in found["inet hooked/type_coming_in"].rules] == [
        (multicast, DROP),
        (Unknowable("meta skuid 0"), ACCEPT),
    ]
    going_out = [rule.parts for rule in found["inet hooked/type_going_out"].rules]
    assert going_out[2][0] == OWN


# ---- whose tables -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_tables_of_the_iptables_family_are_left_out_and_a_namesake_is_not(version: str) -> None:
    found = {chain.table.title for chain in read(f"nft-{version}").chains}
    assert found & {"ip filter", "ip nat", "ip mangle", "ip raw", "ip6 filter", "arp filter"} == set()
    assert {"ip security", "bridge filter"} <= found


@pytest.mark.parametrize("version", VERSIONS)
def test_iptables_own_tables_are_read_on_request(version: str) -> None:
    found = chains(nft_rules.parse((DATA / f"nft-{version}.json").read_text(), with_iptables=True))
    (loopback,) = found["ip filter/INPUT"].rules
    assert loopback.parts == (link("lo"), Unknowable('xt match "conntrack"'), ACCEPT)
    (published,) = found["ip nat/PREROUTING"].rules
    assert published.parts == (TCP, within("dport", 80), Opaque('xt target "DNAT"'))
    (direct,) = found["ip raw/PREROUTING"].rules
    assert {*direct.parts} == {within("dst", "10.0.0.1"), link("br0", negated=True), DROP}


def test_a_bridge_table_with_foreign_matches_says_so() -> None:
    rules = chains(read("nft-1.1.7"))["bridge filter/FORWARD"].rules
    assert [plainly(rule.parts) for rule in rules] == [plainly((V4, UNKNOWN, DROP)), plainly((UNKNOWN, ACCEPT))]


@pytest.mark.parametrize("name", ["INPUT", "mine"])
def test_a_base_chain_of_another_place_makes_a_table_somebodys_own(name: str) -> None:
    chain = {"family": "ip", "table": "filter", "name": name, "type": "filter", "hook": "input", "policy": "accept"}
    listed = [{"table": {"family": "ip", "name": "filter"}}, {"chain": {**chain, "prio": 0}}]
    assert len(parse_nft_json({"nftables": listed}).chains) == (0 if name == "INPUT" else 1)
    own = {"chain": {**chain, "name": "FORWARD", "hook": "forward", "prio": 0}}
    assert len(parse_nft_json({"nftables": [*listed, own]}).chains) == (0 if name == "INPUT" else 2)
    listed[1]["chain"]["prio"] = 10
    assert len(parse_nft_json({"nftables": [*listed, own]}).chains) == 2


# ---- Docker 29 and the guard --------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_dockers_own_nftables_rules_are_understood_without_rest(version: str) -> None:
    found = chains(read(f"docker29-{version}"))
    newest = chains(read("docker29-1.1.7"))
    assert not read(f"docker29-{version}").troubles
    assert {name: plainly(chain.rules) for name, chain in found.items()} == {
        name: plainly(chain.rules) for name, chain in newest.items()
    }
    assert not [rule.text for chain in found.values() for rule in chain.rules if fuzz.vague(rule)]
    assert sum(len(chain.rules) for chain in found.values()) == 70


def test_a_published_port_of_docker_29_can_be_followed_through_its_maps() -> None:
    found = chains(read("docker29-1.1.7"))
    table = Table("ip", "docker-bridges", "nft")
    forward = found["ip docker-bridges/filter-FORWARD"]
    assert (forward.table, forward.hook, forward.priority, forward.policy) == (table, "forward", 0, "accept")
    inward = forward.rules[0].parts[0]
    assert isinstance(inward, VerdictMap)
    assert (inward.fields, inward.name) == (("oif",), "filter-forward-in-jumps")
    assert ((frozenset({"br-web"}),), Jump("filter-forward-in__br-web")) in inward.entries
    (reached,) = found["ip docker-bridges/nat-PREROUTING"].rules
    assert reached.parts == (kind("dst", "LOCAL"), Jump("nat-prerouting-and-output"))
    published = found["ip docker-bridges/nat-prerouting-and-output"].rules[0]
    assert published.text == 'iifname != "br-web" tcp dport 8080 dnat to 10.201.0.2:80 comment "DNAT"'
    assert published.parts == (
        link("br-web", negated=True),
        TCP,
        within("dport", 8080),
        nat("dnat", "10.201.0.2", port=80),
    )
    (_state, opened, *_rest) = found["ip docker-bridges/filter-forward-in__br-web"].rules
    assert opened.parts == (link("br-web"), ACCEPT)
    marked = found["ip docker-bridges/filter-forward-in__br-routed"].rules[2]
    assert marked.parts == (Masked("mark", 0xFF, 16), ACCEPT)
    assert found["ip6 docker-bridges/filter-FORWARD"].policy == "drop"


NETWORKS = {"br-web": 201, "br-vault": 202, "br-silo": 203, "br-open": 204, "br-routed": 205}
DOCKER_HOST = trace.Host(
    addresses={
        "eth0": ["192.0.2.2/24", "2001:db8::2/64"],
        **{bridge: [f"10.{number}.0.1/16"] for bridge, number in NETWORKS.items()},
    },
    routes=[
        *((f"10.{number}.0.0/16", bridge) for bridge, number in NETWORKS.items()),
        ("fd00:201::/64", "br-web"),
        ("0.0.0.0/0", "eth0"),
        ("::/0", "eth0"),
    ],
    bridges=frozenset(NETWORKS),
    sysctl={"net.bridge.bridge-nf-call-iptables": 1},
)


@pytest.mark.parametrize(
    ("packet", "verdict", "reached"),
    [
        ({"dst": "192.0.2.2", "dport": 8080}, "accept", "br-web"),
        ({"dst": "192.0.2.2", "dport": 5353, "proto": "udp"}, "accept", "br-web"),
        ({"dst": "192.0.2.2", "dport": 8080, "proto": "udp"}, "accept", "local"),
        ({"dst": "127.0.0.1", "dport": 8081}, "drop", None),
        ({"dst": "10.201.0.2", "dport": 80}, "drop", None),
        ({"dst": "10.202.0.2", "dport": 80}, "drop", None),
        ({"dst": "10.204.0.2", "dport": 7777}, "accept", "br-open"),
        ({"dst": "10.205.0.2", "dport": 80}, "accept", "br-routed"),
        ({"dst": "10.205.0.2", "dport": 81}, "drop", None),
        ({"dst": "10.205.0.2", "dport": 81, "mark": 0x110}, "accept", "br-routed"),
        ({"dst": "10.205.0.2", "dport": 0, "proto": "icmp", "icmp_type": 8}, "accept", "br-routed"),
        ({"src": "10.203.0.2", "iif": "br-silo", "dst": "10.203.0.3", "dport": 80}, "drop", None),
        ({"src": "10.202.0.2", "iif": "br-vault", "dst": "10.202.0.3", "dport": 80}, "accept", "br-vault"),
        ({"src": "10.202.0.2", "iif": "br-vault", "dst": "198.51.100.1", "dport": 443}, "drop", None),
        ({"src": "10.201.0.2", "iif": "br-web", "dst": "198.51.100.1", "dport": 443}, "accept", "eth0"),
        ({"family": 6, "src": "2001:db8:9::9", "dst": "2001:db8::2", "dport": 8080}, "accept", "br-web"),
        ({"family": 6, "src": "2001:db8:9::9", "dst": "fd00:201::2", "dport": 80}, "drop", None),
    ],
)
def test_packets_pass_dockers_own_rules_as_docker_means_it(
    packet: dict[str, t.Any], verdict: str, reached: str | None
) -> None:
    asked = Packet(**{"src": "198.51.100.9", "iif": "eth0", **packet})
    found = trace.trace(read("docker29-1.1.7"), DOCKER_HOST, asked)
    assert (found.verdict, found.delivered_to) == (verdict, reached)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_guards_own_table_is_understood_without_rest(version: str) -> None:
    ruleset = parse_nft_json((GUARD / f"{version}.json").read_text())
    rules = [rule for chain in ruleset.chains for rule in chain.rules]
    assert len(rules) > 20 and not ruleset.troubles
    assert not [rule.text for rule in rules if fuzz.vague(rule)]


# ---- what no lab kernel has, and no nft lists today ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "text", "parts"),
    [
        ({"queue": {"num": 1, "flags": "bypass"}}, "queue flags bypass to 1", [Opaque("queue flags bypass to 1")]),
        ({"queue": {"num": {"range": [1, 3]}}}, "queue to 1-3", [Opaque("queue to 1-3")]),
        ({"queue": None}, "queue", [Opaque("queue")]),
        ({"flow": {"op": "add", "flowtable": "@ft"}}, "flow add @ft", [Note("flow add @ft")]),
        ({"ct timeout": "slow"}, 'ct timeout set "slow"', [Note('ct timeout set "slow"')]),
        ({"secmark": "web"}, 'meta secmark set "web"', [Note('meta secmark set "web"')]),
        ({"xt": None}, "xt", [Opaque("xt")]),
        ({"fwd": {"dev": "eth1"}}, 'fwd to "eth1"', [Opaque('fwd to "eth1"')]),
        ({"frobnicate": {"x": 1}}, 'frobnicate {"x": 1}', [Opaque('frobnicate {"x": 1}')]),
        ({"reject": None}, "reject", [nft_meanings.REJECT]),
        ({"reject": {"type": "tcp reset"}}, "reject with tcp reset", [TCP, nft_meanings.REJECT]),
        ({"counter": None}, "", []),
        ({"dnat": {"family": "ip", "port": 80, "addr": {"map": {
            "key": MARK, "data": {"set": [[1, "10.0.0.1"]]}}}}},
         "dnat ip to meta mark map { 0x00000001 : 10.0.0.1 }:80",
         [V4, VerdictMap(("mark",), (((nft_meanings.among(1),), nat("dnat", "10.0.0.1", port=80)),))]),
        ({"meter": {"name": "m", "key": {"payload": {"protocol": "ether", "field": "saddr"}},
                    "stmt": {"limit": {"rate": 1, "per": "day"}}}},
         "meter m { ether saddr limit rate 1/day }",
         [Unknowable("meter m { ether saddr limit rate 1/day }"), Note("meter m { ether saddr limit rate 1/day }"),
          Rate("meter m { ether saddr limit rate 1/day }", True)]),
        ("a text\nof a newer nft", "a text\\nof a newer nft", [Opaque("a text\\nof a newer nft")]),
        (7, "7", [Opaque("7")]),
    ],
)  # fmt: skip
def test_a_statement_that_the_lab_cannot_load_is_judged(statement: t.Any, text: str, parts: list[t.Any]) -> None:
    rule = one_rule(statement)
    assert (rule.text, list(rule.parts)) == (text, parts)


@pytest.mark.parametrize(
    ("left", "op", "right", "parts"),
    [
        # Flags of a mask and of a comparison are lists in one version, "|" in another.
        ({"&": [{"ct": {"key": "status"}}, ["dnat", "snat"]]}, "!=", 0, [nft_meanings.status("dnat", "snat")]),
        ({"&": [{"ct": {"key": "status"}}, "dnat"]}, "!=", "dnat", [nft_meanings.status("dnat", negated=True)]),
        ({"&": [{"ct": {"key": "state"}}, {"|": ["new", "established"]}]}, "==", "new", [state("new")]),
        ({"&": [{"ct": {"key": "state"}}, {"|": ["new", "established"]}]}, "==", 0,
         [state("invalid", "related", "untracked")]),
        ({"ct": {"key": "state"}}, "in", ["established", "related"], [state("established", "related")]),
        ({"ct": {"key": "state"}}, "==", ["established", "related"], [state()]),
        ({"ct": {"key": "state"}}, "in", {"set": ["established", "new"]}, [state("established", "new")]),
        ({"payload": {"protocol": "tcp", "field": "flags"}}, "in", {"set": ["syn", "ack"]}, [TCP, within("tcp_flags", 2, 16)]),
        ({"ct": {"key": "state"}}, "in", 8, [state("new")]),
        ({"^": [MARK, 0x10]}, "==", 0x11, [Masked("mark", 0xFFFFFFFF, 1)]),
        ({"payload": {"protocol": "ip", "field": "frag-off"}}, "==", 0, [V4, UNKNOWN]),
        ({"fib": {"result": "oif", "flags": "saddr"}}, "==", 0, [nft_meanings.route(loose=True, invert=True)]),
        ({"fib": {"result": "type", "flags": "daddr"}}, "==", "local", [kind("dst", "LOCAL")]),
        ({"meta": {"key": "l4proto"}}, "==", "frobnicate", [UNKNOWN]),
        ({"payload": {"protocol": "tcp", "field": "dport"}}, "==", "ssh", [TCP, UNKNOWN]),
        ({"payload": {"protocol": "tcp", "field": "dport"}}, "==", 65536, [TCP, UNKNOWN]),
        ({"payload": {"protocol": "tcp", "field": "dport"}}, "==", True, [TCP, UNKNOWN]),
        ({"payload": {"protocol": "tcp", "field": "dport"}}, "~", 1, [TCP, UNKNOWN]),
        ({"payload": {"protocol": "ip", "field": "saddr"}}, "==", {"prefix": {"addr": "10.0.0.7", "len": 8}},
         [V4, within("src", "10.0.0.0/8")]),
        ({"payload": {"protocol": "tcp", "field": "dport"}}, "==", "@nowhere", [TCP, UNKNOWN]),
    ],
)  # fmt: skip
def test_a_comparison_that_no_listing_has_is_read_or_named(left: t.Any, op: str, right: t.Any, parts: t.Any) -> None:
    rule = one_rule(compared(left, right, op))
    assert plainly(rule.parts) == plainly(tuple(parts)), rule.parts


def test_flags_that_are_compared_as_one_number_are_written_as_one() -> None:
    flags = {"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, ["syn", "ack"]]}
    assert one_rule(compared(flags, ["syn", "ack"])).text == "tcp flags & (syn | ack) == syn | ack"


def test_chains_of_a_dormant_table_are_called_by_nobody() -> None:
    base = {"family": "ip", "table": "t", "name": "c", "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}
    for flags in ("dormant", ["dormant"]):
        table = {"family": "ip", "name": "t", "flags": flags}
        (chain,) = parse_nft_json({"nftables": [{"table": table}, {"chain": base}]}).chains
        assert chain.hook == ""


@pytest.mark.parametrize(
    ("family", "listed", "priority"),
    [
        ("ip", -300, -300),
        ("ip", "raw", -300),
        ("inet", "filter - 5", -5),
        ("inet", "dstnat+10", -90),
        ("bridge", "dstnat", -300),
        ("bridge", "out", 100),
        ("ip", "out", None),
        ("ip", None, None),
        ("ip", True, None),
    ],
)
def test_a_priority_is_a_number_or_a_name_of_its_family(family: str, listed: t.Any, priority: int | None) -> None:
    base = {"family": family, "table": "t", "name": "c", "type": "filter", "hook": "prerouting", "prio": listed}
    ruleset = parse_nft_json({"nftables": [{"chain": base}]})
    assert (ruleset.chains[0].priority, bool(ruleset.troubles)) == (priority or 0, priority is None)


def test_a_chain_at_unknown_devices_decides_nothing_for_sure() -> None:
    base = {"family": "netdev", "table": "t", "name": "c", "type": "filter", "hook": "ingress", "prio": 0}
    rule = {"family": "netdev", "table": "t", "chain": "c", "expr": [{"drop": None}]}
    ruleset = parse_nft_json({"nftables": [{"chain": {**base, "policy": "accept"}}, {"rule": rule}]})
    assert isinstance(ruleset.chains[0].rules[0].parts[0], Unknowable) and not ruleset.troubles
    assert parse_nft_json({"nftables": [{"chain": {**base, "policy": "drop"}}]}).troubles
    several = parse_nft_json({"nftables": [{"chain": {**base, "dev": ["eth0", "eth1"]}}, {"rule": rule}]})
    assert several.chains[0].devices == ("eth0", "eth1") and several.chains[0].rules[0].parts == (DROP,)


def test_a_set_without_flags_counts_as_filled_when_a_rule_adds_to_it() -> None:
    saddr = {"payload": {"protocol": "ip", "field": "saddr"}}
    asked = compared(saddr, "@seen")
    seen = {"name": "seen", "type": "ipv4_addr", "elem": ["192.0.2.1"]}
    for adding, filled in (({"set": {"op": "add", "elem": saddr, "set": "@seen"}}, True), ({"accept": None}, False)):
        lookup = one_rule(asked, adding, set=seen).parts[1]
        assert isinstance(lookup, Lookup) and lookup.filled_by_rules is filled
    lookup = one_rule(asked, "add @seen { ip saddr }", set=seen).parts[1]
    assert isinstance(lookup, Lookup) and lookup.filled_by_rules


def test_a_map_asked_by_something_that_is_no_field_stays_unsure_when_rules_fill_it() -> None:
    ways = {
        "name": "ways",
        "type": "ct_state",
        "map": "verdict",
        "flags": ["dynamic"],
        "elem": [["new", {"drop": None}]],
    }
    (found,) = one_rule({"vmap": {"key": {"ct": {"key": "state"}}, "data": "@ways"}}, map=ways).parts
    assert plainly(found) == plainly(Switch((((state("new"), UNKNOWN), DROP),), "ways"))


def test_the_entry_for_everything_else_comes_last_in_a_map() -> None:
    pairs = [["*", {"drop": None}], [22, {"accept": None}]]
    key = {"payload": {"protocol": "tcp", "field": "dport"}}
    (_tcp, found) = one_rule({"vmap": {"key": key, "data": {"set": pairs}}}).parts
    assert isinstance(found, VerdictMap)
    assert [effect for _key, effect in found.entries] == [ACCEPT, DROP]


def test_a_star_in_an_interface_name_is_not_taken_for_a_wildcard() -> None:
    concat = {"concat": [{"meta": {"key": "iifname"}}, {"meta": {"key": "oifname"}}]}
    rule = one_rule(compared(concat, {"set": [{"concat": ["eth\\*", "lo"]}]}))
    assert plainly(rule.parts) == plainly((UNKNOWN,))


def test_control_characters_never_reach_a_text() -> None:
    evil = "x\x1b[2J\r\n\u202e"
    rule = one_rule(compared({"meta": {"key": "iifname"}}, evil), {"frob\x07": evil}, {"log": {"prefix": evil}})
    texts = [rule.text, *(part.text for part in rule.parts if isinstance(part, (Note, Opaque)))]
    assert all(text.isprintable() for text in texts), texts
    troubles = parse_nft_json(
        {"nftables": [{"rule": {"family": "ip", "table": "t", "chain": evil, "expr": []}}]}
    ).troubles
    assert troubles and all(trouble.isprintable() for trouble in troubles)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"nftables": {}}',
        # nft 1.0.6 stops here when a table is dormant, and exits with 0.
        '{"nftables": [{"metainfo": {}}, {"table": {"family": "ip", "name": "t", "handle": 1, "flags": ',
        "[" * 100_000,
    ],
)
def test_a_listing_that_is_none_is_a_trouble(text: str) -> None:
    ruleset = parse_nft_json(text)
    assert not ruleset.chains and len(ruleset.troubles) == 1


@pytest.mark.parametrize(
    "entry",
    [
        7,
        {"rule": {"family": "ip", "table": "t", "chain": "nowhere", "expr": []}},
        {"chain": {"family": "ip", "table": "t"}},
        {"chain": {"family": "decnet", "table": "t", "name": "c"}},
        {"rule": 7},
    ],
)
def test_an_entry_that_has_no_place_is_a_trouble(entry: t.Any) -> None:
    assert len(parse_nft_json({"nftables": [entry]}).troubles) == 1


def test_an_empty_ruleset_is_no_trouble() -> None:
    assert parse_nft_json('{"nftables": [{"metainfo": {"version": "1.1.3"}}]}') == Ruleset()


# ---- arithmetic, against counting ---------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.sampled_from("&|^"), st.integers(0, 255)), max_size=3),
    st.sampled_from(("==", "!=")),
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 40)), min_size=1, max_size=3),
)
def test_a_combined_mark_fits_exactly_the_numbers_that_its_arithmetic_says(
    steps: list[tuple[str, int]], op: str, ranges: list[tuple[int, int]]
) -> None:
    key = Number("mark", 8, plain)
    for operator, constant in steps:
        key = key.combined(operator, constant)
    right = {"set": [{"range": [first, min(255, first + more)]} for first, more in ranges]}
    conditions = key.conditions(op, right)
    for number in range(256):
        value = number
        for operator, constant in steps:
            value = {"&": value & constant, "|": value | constant, "^": value ^ constant}[operator]
        inside = any(first <= value <= first + more for first, more in ranges)
        assert all(_fits(condition, number) for condition in conditions) is (inside is (op == "=="))


def _fits(condition: t.Any, number: int) -> bool:
    if isinstance(condition, Within):
        return (number in condition.values) is not condition.negated
    assert isinstance(condition, Masked)
    return (number & condition.mask == condition.value) is not condition.negated


CT_MARK = {"ct": {"key": "mark"}}


def expressions(inner: st.SearchStrategy[t.Any]) -> st.SearchStrategy[t.Any]:
    return st.builds(lambda op, parts: {op: parts}, st.sampled_from("&|^"), st.lists(inner, min_size=2, max_size=3))


@given(
    st.recursive(st.one_of(st.integers(0, 15), st.sampled_from((MARK, CT_MARK))), expressions, max_leaves=5),
    st.sampled_from(("mark", "ctmark")),
)
def test_a_written_mark_is_what_its_arithmetic_says_or_is_not_understood(value: t.Any, to: t.Any) -> None:
    try:
        effects = nft_marks.rewritten(to, value)
    except NotUnderstood:
        return
    for mark in range(16):
        for ctmark in range(16):
            marks = {"mark": mark, "ctmark": ctmark}
            wanted = _worth(value, marks)
            for effect in effects:
                _apply(effect, marks)
            assert marks[to] == wanted


def _worth(value: t.Any, marks: t.Mapping[str, int]) -> int:
    if isinstance(value, int):
        return value
    if value in (MARK, CT_MARK):
        return marks["mark" if value == MARK else "ctmark"]
    ((op, parts),) = value.items()
    found = _worth(parts[0], marks)
    for part in parts[1:]:
        other = _worth(part, marks)
        found = {"&": found & other, "|": found | other, "^": found ^ other}[op]
    return found


def _apply(effect: SetMark | CopyMark, marks: dict[str, int]) -> None:
    if isinstance(effect, SetMark):
        marks[effect.field] = (marks[effect.field] & ~effect.mask) ^ effect.value
    else:
        marks[effect.to] = (marks[effect.to] & ~effect.to_mask) ^ (marks[effect.source] & effect.from_mask)


# ---- anything at all ----------------------------------------------------------------------------------------------


@given(st.text() | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(fuzz.WORDS) | st.text(), inner),
    max_leaves=30,
))  # fmt: skip
def test_nothing_that_is_listed_makes_it_crash(listing: t.Any) -> None:
    parse_nft_json(listing)
    parse_nft_json({"nftables": listing})
    parse_nft_json({"nftables": [{"rule": {"family": "ip", "table": "t", "chain": "c", "expr": listing}}]})
    assert one_rule(listing, {"match": listing}, {"accept": None}).number == 1


@settings(max_examples=200)
@given(st.integers(0, 2**64))
def test_damage_loses_no_rule_and_is_never_taken_for_sense(seed: int) -> None:
    fuzz.once(Random(seed))
