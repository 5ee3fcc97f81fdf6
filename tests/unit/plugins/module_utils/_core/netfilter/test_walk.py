# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each condition asks and each effect does, and how rules follow each other. The places around it: test_trace."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter import trace
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.packet import Packet
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.ruleset import (
    AddressType,
    Chain,
    Condition,
    Conntrack,
    CopyMark,
    Direction,
    Effect,
    Interface,
    IpSet,
    Lookup,
    Masked,
    Never,
    Note,
    Opaque,
    Owner,
    PhysDev,
    Rate,
    ReversePath,
    Rule,
    SetMark,
    State,
    Status,
    Switch,
    Untrack,
    Verdict,
    VerdictMap,
    Within,
)
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.sets import IntSet
from ansible_collections.bulkhead.docker.tests.unit.plugins.module_utils._core.netfilter.building import (
    ACCEPT,
    DROP,
    MASQUERADE,
    OFTEN,
    RARELY,
    REJECT,
    RETURN,
    UNKNOWN,
    addresses,
    base,
    chain,
    dnat,
    dport,
    dst,
    goto,
    host,
    iif,
    jump,
    numbers,
    oif,
    one,
    packet,
    packet6,
    proto,
    ruleset,
    snat,
    src,
    state,
    table,
)

HOST = host()

#: To a port that is published: :data:`PUBLISH` sends it to a container.
PUBLISHED = packet(dport=8080)
PUBLISH = base("prerouting", [dst("192.0.2.2"), dport(8080), dnat("172.18.0.2", 80)], of="nat")
#: Rules that the container's packets pass on their way back.
TO_CONTAINER = dict(src="172.18.0.2", dst="198.51.100.7", sport=80, dport=40000, iif="br0")


def verdict(asked: Packet, *chains: Chain, on: trace.Host = HOST) -> str:
    return trace.trace(ruleset(*chains), on, asked).verdict


def fits(condition: Condition, asked: Packet, *more: Chain, hook: str = "input", on: trace.Host = HOST) -> str:
    """Ask one condition at one hook: yes, no or unknown."""
    own = table("filter", "ip" if asked.family == 4 else "ip6")
    answer = verdict(asked, *more, base(hook, [condition, DROP], of=own), on=on)
    return {"drop": "yes", "accept": "no"}.get(answer, answer)


ICMP = packet(proto="icmp", sport=0, dport=0, icmp_type=3, icmp_code=1)
UDP = packet(proto="udp", dport=53)
OWN = packet(iif=None, src="192.0.2.2", dst="198.51.100.7", uid=1000)
UNTRACKED = packet(ct_state="untracked")
ESTABLISHED = packet(ct_state="established")


# ---- conditions on numbers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "asked", "expected"),
    [
        (src("198.51.100.0/24"), packet(), "yes"),
        (src("198.51.100.8"), packet(), "no"),
        (src("198.51.100.8", "198.51.100.7"), packet(), "yes"),
        (src("198.51.100.7", negated=True), packet(), "no"),
        (src("198.51.100.8", negated=True), packet(), "yes"),
        (src("2001:db8:99::/48"), packet6(), "yes"),
        (dst("192.0.2.2"), packet(), "yes"),
        (dst("192.0.2.3"), packet(), "no"),
        (dport(80), packet(), "yes"),
        (dport(79, 81), packet(), "yes"),
        (dport(81, 90), packet(), "no"),
        (dport(80, negated=True), packet(), "no"),
        (dport(81, negated=True), packet(), "yes"),
        (numbers("sport", 40000), packet(), "yes"),
        (numbers("sport", 1, 1023), packet(), "no"),
        (proto("tcp"), packet(), "yes"),
        (proto("udp"), packet(), "no"),
        (proto("udp"), UDP, "yes"),
        (proto("icmpv6"), packet6(proto="icmp"), "yes"),
        (numbers("family", 4), packet(), "yes"),
        (numbers("family", 6), packet(), "no"),
        (numbers("icmp_type", 3), ICMP, "yes"),
        (numbers("icmp_code", 1), ICMP, "yes"),
        (numbers("icmp_code", 2), ICMP, "no"),
        (numbers("icmp_type", 8), packet(proto="icmp"), "yes"),
        (numbers("icmp_type", 128), packet6(proto="icmpv6"), "yes"),
        (numbers("mark", 7), packet(mark=7), "yes"),
        (numbers("mark", 7), packet(), "no"),
        (numbers("ctmark", 0), packet(), "yes"),
        (numbers("osrc", *one("198.51.100.7")), packet(), "yes"),
        (numbers("oproto", 6), packet(), "yes"),
        (numbers("osport", 40000), packet(), "yes"),
        (numbers("rdst", *one("198.51.100.7")), packet(), "yes"),
        (numbers("rsrc", *one("192.0.2.2")), packet(), "yes"),
        (numbers("rsport", 80), packet(), "yes"),
        (numbers("rdport", 40000), packet(), "yes"),
    ],
)
def test_a_number_is_compared(condition: Condition, asked: Packet, expected: str) -> None:
    assert fits(condition, asked) == expected


@pytest.mark.parametrize("negated", [False, True])
@pytest.mark.parametrize(
    ("field", "asked"),
    [
        ("dport", ICMP),
        ("sport", ICMP),
        ("icmp_type", packet()),
        ("icmp_code", UDP),
        ("ctmark", UNTRACKED),
        ("odport", UNTRACKED),
        ("rsrc", packet(ct_state="invalid")),
    ],
)
def test_a_number_that_a_packet_does_not_have_fits_nothing_not_even_a_negation(
    field: t.Any, asked: Packet, negated: bool
) -> None:
    assert fits(Within(field, IntSet.of(4711), negated), asked) == "no"


@pytest.mark.parametrize(("field", "negated"), [("osport", False), ("odport", True), ("rsport", False)])
def test_what_stands_in_the_place_of_ports_of_an_icmp_connection_is_not_known(field: t.Any, negated: bool) -> None:
    assert fits(Within(field, IntSet.of(0), negated), ICMP) == "unknown"


@pytest.mark.parametrize("field", ["mark", "ctmark"])
def test_the_mark_of_a_connection_that_was_there_before_is_not_known(field: t.Any) -> None:
    assert fits(Within(field, IntSet.of(0)), ESTABLISHED) == ("yes" if field == "mark" else "unknown")


SYN, ACK = 2, 16


@pytest.mark.parametrize(
    ("condition", "asked", "expected"),
    [
        (Masked("tcp_flags", SYN | ACK, SYN), packet(), "yes"),
        (Masked("tcp_flags", SYN | ACK, SYN, negated=True), packet(), "no"),
        (Masked("tcp_flags", SYN | ACK, SYN), ESTABLISHED, "no"),
        (Masked("tcp_flags", SYN | ACK, SYN | ACK), packet(tcp_flags=("syn", "ack")), "yes"),
        (Masked("tcp_flags", 0xFF, 0), packet(tcp_flags=()), "yes"),
        (Masked("tcp_flags", 0xFF, 0), UDP, "no"),
        (Masked("tcp_flags", 0xFF, 0, negated=True), UDP, "no"),
        (Masked("mark", 0xF0, 0x10), packet(mark=0x1F), "yes"),
        (Masked("mark", 0xF0, 0x10), packet(mark=0x2F), "no"),
        (Masked("mark", 0xF0, 0x10, negated=True), packet(mark=0x2F), "yes"),
        (Masked("ctmark", 0xF0, 0), packet(), "yes"),
        (Masked("ctmark", 0xF0, 0), UNTRACKED, "no"),
    ],
)
def test_bits_are_compared_under_their_mask(condition: Condition, asked: Packet, expected: str) -> None:
    assert fits(condition, asked) == expected


# ---- conditions on interfaces -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "asked", "hook", "expected"),
    [
        (iif("eth0"), packet(), "input", "yes"),
        (iif("eth1"), packet(), "input", "no"),
        (iif("eth0", negated=True), packet(), "input", "no"),
        (Interface("iif", prefixes=("eth",)), packet(), "input", "yes"),
        (Interface("iif", prefixes=("wg", "eth0")), packet(), "input", "yes"),
        (Interface("iif", prefixes=("br",)), packet(), "input", "no"),
        (Interface("iif", frozenset({"lo", "eth0"})), packet(), "input", "yes"),
        (iif("eth0"), OWN, "output", "no"),
        (iif("eth0", negated=True), OWN, "output", "yes"),
        (oif("eth0"), OWN, "output", "yes"),
        (oif("eth0"), packet(), "input", "no"),
        (oif("eth0", negated=True), packet(), "input", "yes"),
        (oif("br0"), packet(dst="172.18.0.9"), "forward", "yes"),
        (oif("br0"), packet(dst="172.18.0.9"), "prerouting", "no"),
        (iif("eth0"), packet(dst="172.18.0.9"), "forward", "yes"),
    ],
)
def test_an_interface_is_compared_by_its_name(condition: Condition, asked: Packet, hook: str, expected: str) -> None:
    chains = [base(hook, [condition, DROP], of="mangle")]
    answer = verdict(asked, *chains)
    assert {"drop": "yes", "accept": "no"}[answer] == expected


# ---- conditions on connections ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "asked", "expected"),
    [
        (state("new"), packet(), "yes"),
        (state("established", "related"), packet(), "no"),
        (state("established", "related"), ESTABLISHED, "yes"),
        (state("related"), packet(ct_state="related"), "yes"),
        (state("invalid"), packet(ct_state="invalid"), "yes"),
        (state("untracked"), UNTRACKED, "yes"),
        (state("invalid"), UNTRACKED, "no"),
        (State(frozenset({"new"}), negated=True), packet(), "no"),
        (State(frozenset({"new"}), negated=True), ESTABLISHED, "yes"),
        (state("dnat"), packet(), "no"),
        (Status(frozenset({"dnat"})), packet(), "no"),
        (Status(frozenset({"dnat"}), negated=True), packet(), "yes"),
        (Status(frozenset({"dnat"}), negated=True), UNTRACKED, "no"),
        (Status(frozenset({"confirmed"})), packet(), "no"),
        (Status(frozenset({"seen-reply"})), ESTABLISHED, "yes"),
        (Status(frozenset({"assured"})), packet(), "no"),
        (Status(frozenset({"assured"})), ESTABLISHED, "unknown"),
        (Direction("original"), packet(), "yes"),
        (Direction("reply"), packet(), "no"),
        (Direction("reply", negated=True), packet(), "yes"),
        (Direction("original"), UNTRACKED, "no"),
        (Direction("reply", negated=True), UNTRACKED, "no"),
        (Conntrack(State(frozenset({"new"})), (Direction("original"),)), packet(), "yes"),
        (Conntrack(State(frozenset({"new"})), (Direction("reply"),)), packet(), "no"),
        (Conntrack(None, (numbers("odport", 80), Direction("original"))), packet(), "yes"),
        (Conntrack(None, (numbers("odport", 80), UNKNOWN)), packet(), "unknown"),
        (Conntrack(None, (numbers("odport", 81), UNKNOWN)), packet(), "no"),
        # Without a connection only the state is asked, and without a state nothing fits.
        (Conntrack(State(frozenset({"untracked"})), (Direction("reply"),)), UNTRACKED, "yes"),
        (Conntrack(None, (numbers("odport", 80),)), UNTRACKED, "no"),
    ],
)
def test_a_connection_is_asked(condition: Condition, asked: Packet, expected: str) -> None:
    assert fits(condition, asked) == expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (state("dnat"), "yes"),
        (State(frozenset({"snat"})), "no"),
        (Status(frozenset({"dnat"})), "yes"),
        (dport(80), "yes"),
        (dport(8080), "no"),
        (numbers("odport", 8080), "yes"),
        (numbers("odst", *one("192.0.2.2")), "yes"),
        (numbers("rsrc", *one("172.18.0.2")), "yes"),
        (numbers("rsport", 80), "yes"),
        (numbers("rdst", *one("198.51.100.7")), "yes"),
        (Conntrack(State(frozenset({"dnat"})), (Direction("original"), numbers("odport", 8080))), "yes"),
    ],
)
def test_after_dnat_the_connection_still_tells_what_was_asked_for(condition: Condition, expected: str) -> None:
    assert fits(condition, PUBLISHED, PUBLISH, hook="forward") == expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (state("established"), "yes"),
        (state("new"), "no"),
        (state("dnat"), "yes"),
        (Status(frozenset({"seen-reply"})), "yes"),
        (Direction("reply"), "yes"),
        (numbers("odport", 8080), "yes"),
        (numbers("osport", 40000), "yes"),
        (numbers("rsrc", *one("172.18.0.2")), "yes"),
        (numbers("rdport", 40000), "yes"),
        (numbers("sport", 80), "yes"),
        (dst("198.51.100.7"), "yes"),
        (Masked("tcp_flags", SYN | ACK, SYN | ACK), "yes"),
    ],
)
def test_an_answer_belongs_to_the_connection_of_the_question(condition: Condition, expected: str) -> None:
    rules = ruleset(PUBLISH, base("forward", [iif("br0"), condition, DROP]))
    found = trace.round_trip(rules, HOST, PUBLISHED)
    assert found.there.verdict == "accept"
    assert {"drop": "yes", "accept": "no"}[found.verdict] == expected


def test_before_conntrack_a_packet_has_no_connection_yet() -> None:
    early = base("prerouting", [state("new", "established"), DROP], [state("invalid"), ACCEPT], [DROP], of="raw")
    assert verdict(packet(), early) == "accept"
    assert fits(numbers("ctmark", 0), packet(), hook="prerouting") == "yes"
    assert verdict(packet(), base("prerouting", [numbers("ctmark", 0), DROP], of="raw")) == "accept"


# ---- conditions on kinds of addresses and routes ------------------------------------------------------------------


def kind(field: t.Any, *types: str, **more: t.Any) -> AddressType:
    return AddressType(field, frozenset(types), **more)


@pytest.mark.parametrize(
    ("condition", "asked", "expected"),
    [
        (kind("dst", "LOCAL"), packet(), "yes"),
        (kind("dst", "LOCAL"), packet(dst="172.18.0.9"), "no"),
        (kind("dst", "LOCAL"), packet(dst="172.18.0.1"), "yes"),
        (kind("dst", "LOCAL"), packet(dst="127.0.0.53"), "yes"),
        (kind("dst", "LOCAL", negated=True), packet(), "no"),
        (kind("dst", "UNICAST"), packet(dst="198.51.100.1"), "yes"),
        (kind("dst", "UNICAST", "LOCAL"), packet(), "yes"),
        (kind("dst", "BROADCAST"), packet(dst="192.0.2.255"), "yes"),
        (kind("dst", "BROADCAST"), packet(dst="255.255.255.255"), "yes"),
        (kind("dst", "MULTICAST"), packet(dst="224.0.0.1"), "yes"),
        (kind("src", "LOCAL"), packet(), "no"),
        (kind("src", "UNICAST"), packet(), "yes"),
        (kind("dst", "LOCAL", limit="iif"), packet(dst="10.77.0.2"), "no"),
        (kind("dst", "LOCAL", limit="iif"), packet(dst="192.0.2.3"), "yes"),
        (kind("dst", "LOCAL"), packet6(), "yes"),
        (kind("dst", "MULTICAST"), packet6(dst="ff02::1"), "yes"),
        (kind("dst", "UNICAST"), packet6(dst="2001:db8:99::1"), "yes"),
        (kind("dst", "THROW"), packet(), "no"),
        (kind("dst", "SOMETHING"), packet(), "unknown"),
        (kind("dst", "ANYCAST"), packet6(), "no"),
    ],
)
def test_addresses_are_of_the_kinds_that_the_kernel_sorts_them_in(
    condition: Condition, asked: Packet, expected: str
) -> None:
    family = "ip" if asked.family == 4 else "ip6"
    answer = verdict(asked, base("prerouting", [condition, DROP], of=table("raw", family)))
    # What is not dropped here may be on a way that ends later: martians, groups.
    later = verdict(asked)
    assert answer == {"yes": "drop", "no": later, "unknown": "unknown"}[expected]


@pytest.mark.parametrize(
    ("condition", "asked", "expected"),
    [
        (ReversePath(), packet(), "yes"),
        (ReversePath(), packet(iif="eth1"), "no"),
        (ReversePath(loose=True), packet(iif="eth1"), "yes"),
        (ReversePath(loose=True), packet(src="10.66.0.1"), "no"),
        (ReversePath(invert=True), packet(iif="eth1"), "yes"),
        (ReversePath(invert=True), packet(), "no"),
        (ReversePath(), packet(src="192.0.2.3"), "no"),
        (ReversePath(accept_local=True), packet(src="192.0.2.3"), "yes"),
        (ReversePath(), packet(src="127.0.0.1", dst="127.0.0.1", iif="lo"), "yes"),
        (ReversePath(), packet6(), "yes"),
        (ReversePath(), packet6(iif="eth1"), "no"),
    ],
)
def test_the_way_back_to_the_sender_is_asked(condition: Condition, asked: Packet, expected: str) -> None:
    family = "ip" if asked.family == 4 else "ip6"
    listed = [[condition, DROP], [ACCEPT]]
    answer = verdict(asked, base("prerouting", *listed, of=table("raw", family)))
    assert answer == ("drop" if expected == "yes" else verdict(asked))


def test_with_routing_rules_nobody_knows_the_way_back() -> None:
    assert fits(ReversePath(), packet(), on=host(policy_rules=["from all fwmark 0x1 lookup 100"])) == "unknown"


# ---- conditions on sets -------------------------------------------------------------------------------------------

SOURCES = Lookup(("src",), ((addresses("198.51.100.0/24"),), (addresses("203.0.113.1"),)))
PAIRS = Lookup(("src", "dport"), ((addresses("198.51.100.7"), IntSet.of(80)), (addresses("0.0.0.0/0"), IntSet.of(443))))
DOORS = Lookup(("iif", "dport"), ((frozenset({"eth*"}), IntSet.of(80)), (frozenset({"br0"}), IntSet.of(443))))


@pytest.mark.parametrize(
    ("condition", "asked", "expected"),
    [
        (SOURCES, packet(), "yes"),
        (SOURCES, packet(src="198.51.101.7"), "no"),
        (Lookup(SOURCES.fields, SOURCES.elements, negated=True), packet(), "no"),
        (Lookup(SOURCES.fields, SOURCES.elements, negated=True), packet(src="198.51.101.7"), "yes"),
        (Lookup(("src",), ()), packet(), "no"),
        (PAIRS, packet(), "yes"),
        (PAIRS, packet(dport=443), "yes"),
        (PAIRS, packet(dport=81), "no"),
        (DOORS, packet(), "yes"),
        (DOORS, packet(dport=443), "no"),
        (Lookup(("dport",), ((IntSet.of(0),),), negated=True), ICMP, "no"),
        (Lookup(("iif",), ((frozenset({"eth0"}),),)), packet(), "yes"),
        # A set that rules fill may have lost the element, or got it.
        (Lookup(SOURCES.fields, SOURCES.elements, filled_by_rules=True), packet(), "unknown"),
        (Lookup(("src",), (), filled_by_rules=True), packet(), "unknown"),
        (Lookup(("dport",), (), negated=True, filled_by_rules=True), ICMP, "no"),
    ],
)
def test_a_set_of_nftables_is_looked_up(condition: Condition, asked: Packet, expected: str) -> None:
    assert fits(condition, asked) == expected


IPSETS = {
    "nets": ["198.51.100.0/24", "2001:db8:99::/48"],
    "ports": ["80", "8000-8010"],
    "services": ["192.0.2.2,tcp:80", "192.0.2.3,udp:53"],
    "pairs": ["198.51.100.7,192.0.2.2"],
    "doors": ["198.51.100.0/24,eth0"],
    "strange": ["198.51.100.0/24 nomatch"],
    "empty": [],
}


@pytest.mark.parametrize(
    ("condition", "asked", "expected"),
    [
        (IpSet("nets", ("src",)), packet(), "yes"),
        (IpSet("nets", ("src",), negated=True), packet(), "no"),
        (IpSet("nets", ("dst",)), packet(), "no"),
        (IpSet("nets", ("src",)), packet6(), "yes"),
        (IpSet("ports", ("dst",)), packet(), "yes"),
        (IpSet("ports", ("dst",)), packet(dport=8005), "yes"),
        (IpSet("ports", ("src",)), packet(), "no"),
        (IpSet("ports", ("dst",)), ICMP, "no"),
        (IpSet("services", ("dst", "dst")), packet(), "yes"),
        (IpSet("services", ("dst", "dst")), packet(proto="udp"), "no"),
        (IpSet("services", ("dst", "dst")), packet(dst="192.0.2.3", dport=53), "no"),
        (IpSet("pairs", ("src", "dst")), packet(), "yes"),
        (IpSet("pairs", ("dst", "src")), packet(), "no"),
        (IpSet("doors", ("src", "src")), packet(), "yes"),
        (IpSet("doors", ("src", "src")), packet(iif="eth1"), "no"),
        (IpSet("empty", ("src",)), packet(), "no"),
        (IpSet("empty", ("src",), negated=True), packet(), "yes"),
        (IpSet("strange", ("src",)), packet(), "unknown"),
        (IpSet("pairs", ("src",)), packet(), "unknown"),
        (IpSet("gone", ("src",)), packet(), "unknown"),
    ],
)
def test_an_ipset_is_looked_up(condition: Condition, asked: Packet, expected: str) -> None:
    assert fits(condition, asked, on=host(ipsets=IPSETS)) == expected


# ---- conditions on bridges, processes, and what nobody can tell ---------------------------------------------------

FILTERED = {"net.bridge.bridge-nf-call-iptables": 1}
NEIGHBOURS = packet(src="172.18.0.2", dst="172.18.0.3", iif="br0")
LEAVING = packet(src="172.18.0.2", dst="198.51.100.7", iif="br0")


@pytest.mark.parametrize(
    ("condition", "asked", "expected"),
    [
        (PhysDev(is_bridged=True), NEIGHBOURS, "yes"),
        (PhysDev(is_bridged=False), NEIGHBOURS, "no"),
        (PhysDev(is_in=True), NEIGHBOURS, "yes"),
        (PhysDev(is_out=True), NEIGHBOURS, "yes"),
        (PhysDev(is_bridged=True), LEAVING, "no"),
        (PhysDev(is_bridged=False), LEAVING, "yes"),
        (PhysDev(is_in=True), LEAVING, "yes"),
        (PhysDev(is_out=True), LEAVING, "no"),
        (PhysDev(iif="veth1"), NEIGHBOURS, "unknown"),
        (PhysDev(oif="veth1"), NEIGHBOURS, "unknown"),
        (PhysDev(oif="veth1"), LEAVING, "no"),
        (PhysDev(oif="veth1", oif_negated=True), LEAVING, "yes"),
        (PhysDev(is_bridged=True), packet(dst="172.18.0.3"), "no"),
        (PhysDev(is_in=True), packet(dst="172.18.0.3"), "no"),
        (PhysDev(is_bridged=False), packet(dst="172.18.0.3"), "yes"),
        (PhysDev(iif="veth1"), packet(dst="172.18.0.3"), "no"),
        (PhysDev(iif="veth1", iif_negated=True), packet(dst="172.18.0.3"), "yes"),
    ],
)
def test_the_port_of_a_bridge_is_asked(condition: Condition, asked: Packet, expected: str) -> None:
    assert fits(condition, asked, hook="forward", on=host(FILTERED)) == expected


@pytest.mark.parametrize(
    ("condition", "asked", "expected"),
    [
        (Owner(IntSet.of(1000)), OWN, "yes"),
        (Owner(IntSet.of(1000), negated=True), OWN, "no"),
        (Owner(IntSet.of(0)), OWN, "no"),
        (Owner(IntSet.of(0)), packet(iif=None, src="192.0.2.2", dst="198.51.100.7"), "unknown"),
        (Owner(None), OWN, "unknown"),
    ],
)
def test_the_sending_process_is_asked(condition: Condition, asked: Packet, expected: str) -> None:
    assert fits(condition, asked, hook="output") == expected


def test_what_comes_from_outside_belongs_to_no_process() -> None:
    asked = packet(dst="172.18.0.9")
    assert verdict(asked, base("postrouting", [Owner(IntSet.of(0)), DROP], of="mangle")) == "accept"
    assert verdict(asked, base("postrouting", [Owner(IntSet.of(0), negated=True), DROP], of="mangle")) == "drop"


@pytest.mark.parametrize(
    ("condition", "expected", "calm"),
    [
        (UNKNOWN, "unknown", "unknown"),
        (Rate("x"), "unknown", "unknown"),
        (RARELY, "unknown", "drop"),
        (OFTEN, "unknown", "accept"),
        (Never("-m policy"), "accept", "accept"),
    ],
)
def test_what_nobody_can_tell_is_said_to_be_unknown(condition: Condition, expected: str, calm: str) -> None:
    found = trace.trace(ruleset(base("input", [condition, DROP])), HOST, packet())
    assert (found.verdict, found.calm) == (expected, calm)
    assert [step.rule for step in found.because] == (["rule 1"] if expected == "unknown" else [])


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        # Whatever the answer is, the same comes out.
        ([[UNKNOWN, DROP], [DROP]], "drop"),
        ([[UNKNOWN, ACCEPT], [ACCEPT]], "accept"),
        ([[UNKNOWN, REJECT], [DROP]], "drop"),
        ([[UNKNOWN, Note("LOG")], [ACCEPT]], "accept"),
        ([[UNKNOWN, jump("idle")]], "accept"),
        ([[UNKNOWN, ACCEPT], [DROP]], "unknown"),
        # What does not fit for sure is not guessed about, wherever the other condition stands.
        ([[UNKNOWN, dport(81), DROP]], "accept"),
        ([[dport(81), UNKNOWN, DROP]], "accept"),
        ([[RARELY, UNKNOWN, src("10.0.0.0/8"), DROP]], "accept"),
        ([[UNKNOWN, SetMark("mark", 0xFFFFFFFF, 5)], [numbers("mark", 5), DROP]], "unknown"),
        ([[UNKNOWN, SetMark("mark", 0xFFFFFFFF, 5)], [numbers("mark", 6), DROP]], "accept"),
    ],
)
def test_a_guess_matters_only_if_its_answer_does(listed: list[t.Any], expected: str) -> None:
    idle = chain("idle", [dport(80), Note("LOG")], [RETURN])
    assert verdict(packet(), base("input", *listed), idle) == expected


@pytest.mark.parametrize(
    ("conditions", "calm"),
    [
        ([RARELY, RARELY], "drop"),
        ([RARELY, OFTEN], "accept"),
        ([OFTEN, OFTEN], "accept"),
        ([OFTEN, UNKNOWN], "accept"),
        ([RARELY, UNKNOWN], "unknown"),
    ],
)
def test_a_silent_sender_meets_all_rates_of_a_rule(conditions: list[Condition], calm: str) -> None:
    found = trace.trace(ruleset(base("input", [*conditions, DROP])), HOST, packet())
    assert (found.verdict, found.calm) == ("unknown", calm)


# ---- effects ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ([], "accept"),
        ([[ACCEPT], [DROP]], "accept"),
        ([[DROP], [ACCEPT]], "drop"),
        ([[REJECT], [ACCEPT]], "reject"),
        ([[Verdict("continue")], [DROP]], "drop"),
        ([[Verdict("continue"), DROP]], "drop"),
        ([[Note("LOG")], [DROP]], "drop"),
        ([[RETURN], [DROP]], "accept"),
        ([[dport(81), ACCEPT], [dport(80), DROP]], "drop"),
        ([[], [DROP]], "drop"),
        ([[dport(80)], [DROP]], "drop"),
        # Conditions of one rule that come after its first effect.
        ([[Note("counter"), dport(81), DROP]], "accept"),
        ([[SetMark("mark", 0xFFFFFFFF, 1), numbers("mark", 1), DROP]], "drop"),
        ([[SetMark("mark", 0xFFFFFFFF, 1), numbers("mark", 0), DROP], [numbers("mark", 1), REJECT]], "reject"),
    ],
)
def test_rules_are_taken_in_turn(listed: list[t.Any], expected: str) -> None:
    assert verdict(packet(), base("input", *listed)) == expected


@pytest.mark.parametrize("policy", ["accept", "drop", "ACCEPT", "DROP", ""])
def test_the_end_of_a_base_chain_is_its_policy(policy: str) -> None:
    expected = "drop" if policy.lower() == "drop" else "accept"
    assert verdict(packet(), base("input", [dport(81), REJECT], policy=policy)) == expected
    assert verdict(packet(), base("input", [RETURN], [REJECT], policy=policy)) == expected


def test_a_policy_that_is_no_word_is_unknown() -> None:
    assert verdict(packet(), base("input", policy="maybe")) == "unknown"


@pytest.mark.parametrize(
    ("first", "inner", "expected"),
    [
        (jump("inner"), [[DROP]], "drop"),
        (jump("inner"), [[RETURN], [DROP]], "reject"),
        (jump("inner"), [[dport(81), DROP]], "reject"),
        (jump("inner"), [], "reject"),
        (jump("inner"), [[ACCEPT]], "accept"),
        (goto("inner"), [[DROP]], "drop"),
        # What ends there ends in the chain that sent it: here the policy is next.
        (goto("inner"), [[RETURN], [DROP]], "accept"),
        (goto("inner"), [], "accept"),
    ],
)
def test_a_jump_comes_back_and_a_goto_does_not(first: Effect, inner: list[t.Any], expected: str) -> None:
    assert verdict(packet(), base("input", [first], [REJECT]), chain("inner", *inner)) == expected


def test_a_goto_returns_to_where_the_last_jump_came_from() -> None:
    chains = [
        base("input", [jump("outer")], [REJECT]),
        chain("outer", [goto("inner")], [DROP]),
        chain("inner", [RETURN], [DROP]),
    ]
    assert verdict(packet(), *chains) == "reject"


def test_a_jump_means_a_chain_of_its_own_table() -> None:
    chains = [
        base("input", [jump("inner")], policy="drop"),
        chain("inner", [DROP], of="mangle"),
        chain("inner", [ACCEPT]),
    ]
    assert verdict(packet(), *chains) == "accept"


def test_a_jump_to_a_chain_that_was_not_read_is_unknown_unless_it_does_not_fit() -> None:
    found = trace.trace(ruleset(base("input", [jump("gone")], [ACCEPT])), HOST, packet())
    assert found.verdict == "unknown"
    assert [(step.rule_number, step.effect) for step in found.because] == [(1, "jumps to a chain that was not read")]
    assert verdict(packet(), base("input", [dport(81), jump("gone")])) == "accept"


def test_a_jump_in_a_circle_is_unknown_and_comes_to_an_end() -> None:
    chains = [base("input", [jump("a")]), chain("a", [jump("b")]), chain("b", [dport(80), jump("a")])]
    found = trace.trace(ruleset(*chains), HOST, packet())
    assert found.verdict == "unknown"
    assert "jumps in a circle" in [step.effect for step in found.because]
    assert verdict(packet(dport=81), *chains) == "accept"


@pytest.mark.parametrize(
    ("effect", "mark", "expected"),
    [
        (SetMark("mark", 0xFFFFFFFF, 5), 7, 5),
        (SetMark("mark", 0xF0, 0x10), 0x2F, 0x1F),
        (SetMark("mark", 0x0, 0x3), 0x1, 0x2),
        (CopyMark("ctmark", "mark"), 7, 0),
        (CopyMark("ctmark", "mark", 0xF, 0xF), 0x17, 0x10),
    ],
)
def test_a_mark_is_set_under_its_mask(effect: Effect, mark: int, expected: int) -> None:
    found = trace.trace(ruleset(base("input", [effect])), HOST, packet(mark=mark))
    assert found.packet.mark == expected


def test_a_connections_mark_comes_back_with_the_answer() -> None:
    chains = [
        PUBLISH,
        base("prerouting", [iif("eth0"), SetMark("mark", 0xFFFFFFFF, 6), CopyMark("mark", "ctmark")], of="mangle"),
        base("forward", [iif("br0"), CopyMark("ctmark", "mark")], [iif("br0"), numbers("mark", 6), DROP]),
    ]
    assert trace.round_trip(ruleset(*chains), HOST, PUBLISHED).verdict == "drop"
    without = [PUBLISH, *chains[2:]]
    assert trace.round_trip(ruleset(*without), HOST, PUBLISHED).verdict == "accept"


@pytest.mark.parametrize(
    "effect", [CopyMark("ctmark", "mark"), CopyMark("mark", "ctmark"), SetMark("ctmark", 0xFFFFFFFF, 4)]
)
def test_without_a_connection_its_mark_is_neither_read_nor_written(effect: Effect) -> None:
    raw = base("prerouting", [effect], [numbers("mark", 7), RETURN], [DROP], of="raw")
    later = base("input", [numbers("ctmark", 0), RETURN], [DROP])
    assert verdict(packet(mark=7), raw, later) == "accept"


def test_what_is_not_tracked_gets_no_connection_and_no_translation() -> None:
    found = trace.trace(ruleset(base("prerouting", [Untrack()], of="raw"), PUBLISH), HOST, PUBLISHED)
    assert (found.delivered_to, found.packet.dport, found.packet.ct_state) == ("local", 8080, "untracked")
    assert fits(state("untracked"), packet(), base("prerouting", [Untrack()], of="raw")) == "yes"


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ([[Opaque("-j MOON")], [ACCEPT]], "unknown"),
        ([[dport(81), Opaque("-j MOON")], [ACCEPT]], "accept"),
        ([[Opaque("queue", rewrites=False)], [ACCEPT]], "unknown"),
        ([[Opaque("queue", rewrites=False)], [DROP]], "unknown"),
    ],
)
def test_an_unknown_target_is_unknown_where_it_fits(listed: list[t.Any], expected: str) -> None:
    found = trace.trace(ruleset(base("input", *listed)), HOST, packet())
    assert found.verdict == expected
    if expected == "unknown":
        assert [step.rule_number for step in found.because] == [1]


def test_an_unknown_target_that_can_at_worst_accept_does_not_matter_where_all_is_dropped_later() -> None:
    chains = [
        base("prerouting", [Opaque("queue", rewrites=False)], of="mangle"),
        base("input", [DROP]),
    ]
    assert verdict(packet(), *chains) == "drop"
    assert verdict(packet(), base("prerouting", [Opaque("-j MOON")], of="mangle"), chains[1]) == "unknown"


# ---- maps ---------------------------------------------------------------------------------------------------------


def vmap(*entries: tuple[t.Any, Effect], fields: tuple[str, ...] = ("dport",), **more: t.Any) -> VerdictMap:
    return VerdictMap(
        fields, tuple((key if isinstance(key, tuple) else (key,), effect) for key, effect in entries), **more
    )


@pytest.mark.parametrize(
    ("effect", "asked", "expected"),
    [
        (vmap((IntSet.of(80), DROP), (IntSet.of(81), ACCEPT)), packet(), "drop"),
        (vmap((IntSet.of(80), DROP), (IntSet.of(81), ACCEPT)), packet(dport=81), "accept"),
        (vmap((IntSet.of(80), DROP)), packet(dport=82), "reject"),
        (vmap((IntSet.of(80), DROP)), ICMP, "reject"),
        (vmap((IntSet.of(80), jump("inner"))), packet(), "drop"),
        (vmap((IntSet.of(80), goto("inner"))), packet(), "drop"),
        (vmap((IntSet.of(80), jump("empty"))), packet(), "reject"),
        (vmap((IntSet.of(80), goto("empty"))), packet(), "accept"),
        (vmap((IntSet.of(80), Verdict("continue"))), packet(), "reject"),
        (vmap((IntSet.of(80), RETURN)), packet(), "accept"),
        (vmap((frozenset({"eth0"}), DROP), fields=("iif",)), packet(), "drop"),
        (vmap((frozenset({"br*"}), DROP), (frozenset({"et*"}), ACCEPT), fields=("iif",)), packet(), "accept"),
        (
            vmap(((frozenset({"eth0"}), addresses("192.0.2.2"), IntSet.of(80)), DROP), fields=("iif", "dst", "dport")),
            packet(),
            "drop",
        ),
        (vmap((IntSet.of(0), ACCEPT), fields=("osport",)), ICMP, "unknown"),
        (vmap((IntSet.of(0), DROP), fields=("osport",)), ICMP, "drop"),
        # What rules have put into a map by now may say anything.
        (vmap((IntSet.of(80), DROP), filled_by_rules=True), packet(), "unknown"),
        (vmap((IntSet.of(80), ACCEPT), filled_by_rules=True), packet(), "unknown"),
        (vmap(filled_by_rules=True), packet(), "unknown"),
    ],
)
def test_a_map_of_verdicts_says_what_happens(effect: Effect, asked: Packet, expected: str) -> None:
    chains = [base("input", [effect], [REJECT]), chain("inner", [DROP]), chain("empty")]
    assert verdict(asked, *chains) == expected


def test_a_map_may_translate_addresses() -> None:
    targets = vmap((IntSet.of(8080), dnat("172.18.0.2", 80)), (IntSet.of(8081), dnat("172.18.0.3")))
    rules = ruleset(base("prerouting", [targets], of="nat"))
    found = trace.trace(rules, HOST, PUBLISHED)
    assert (found.packet.dst, found.packet.dport, found.delivered_to) == ("172.18.0.2", 80, "br0")
    found = trace.trace(rules, HOST, packet(dport=8081))
    assert (found.packet.dst, found.packet.dport) == ("172.18.0.3", 8081)


@pytest.mark.parametrize(
    ("cases", "asked", "expected"),
    [
        (((State(frozenset({"established"})),), ACCEPT), ESTABLISHED, "accept"),
        (((State(frozenset({"established"})),), ACCEPT), packet(), "reject"),
        (((State(frozenset({"new"})), dport(80)), DROP), packet(), "drop"),
        (((State(frozenset({"new"})), dport(80)), DROP), packet(dport=81), "reject"),
        (((UNKNOWN,), DROP), packet(), "drop"),
        (((UNKNOWN,), ACCEPT), packet(), "unknown"),
    ],
)
def test_a_switch_takes_the_first_case_that_fits(cases: t.Any, asked: Packet, expected: str) -> None:
    assert verdict(asked, base("input", [Switch((cases,))], [REJECT])) == expected


def test_cases_after_one_that_may_fit_are_still_tried() -> None:
    switch = Switch((((UNKNOWN,), DROP), ((dport(80),), REJECT), ((dport(81),), ACCEPT)))
    assert verdict(packet(), base("input", [switch])) == "drop"
    assert verdict(packet(dport=81), base("input", [switch])) == "unknown"


# ---- address translation ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("effect", "expected"),
    [
        (dnat("172.18.0.2"), ("172.18.0.2", 8080)),
        (dnat("172.18.0.2", 80), ("172.18.0.2", 80)),
        (dnat("172.18.0.2", 8000, 8999), ("172.18.0.2", 8080)),
        (dnat("", 80), ("192.0.2.2", 80)),
        (dnat("", 80, to_interface=True), ("192.0.2.2", 80)),
        (dnat("192.0.2.3"), ("192.0.2.3", 8080)),
    ],
)
def test_the_destination_is_rewritten(effect: Effect, expected: tuple[str, int]) -> None:
    found = trace.trace(ruleset(base("prerouting", [effect], of="nat")), HOST, PUBLISHED)
    assert (found.packet.dst, found.packet.dport) == expected
    assert found.verdict == "accept"


@pytest.mark.parametrize(
    "effect",
    [
        dnat("172.18.0.2-172.18.0.3"),
        dnat("172.18.0.2", 80, 89, exact=False),
    ],
)
def test_a_destination_that_the_kernel_picks_is_unknown(effect: Effect) -> None:
    found = trace.trace(ruleset(base("prerouting", [effect], of="nat")), HOST, PUBLISHED)
    assert found.verdict == "unknown"
    assert [step.rule for step in found.because] == ["rule 1"]


def test_redirect_takes_the_address_of_the_interface_the_packet_came_in_by() -> None:
    rules = ruleset(base("prerouting", [dnat("", 8080, to_interface=True)], of="nat"))
    found = trace.trace(rules, HOST, packet(dst="203.0.113.80"))
    assert (found.packet.dst, found.packet.dport, found.delivered_to) == ("192.0.2.2", 8080, "local")
    lone = host(addresses={"lo": ["127.0.0.1/8"]})
    assert trace.trace(rules, lone, packet()).verdict == "drop"


def test_redirect_sends_the_hosts_own_packets_to_loopback() -> None:
    rules = ruleset(base("output", [dnat("", 3128, to_interface=True)], of="nat"))
    found = trace.trace(rules, HOST, OWN)
    assert (found.packet.dst, found.packet.dport, found.delivered_to) == ("127.0.0.1", 3128, "local")


@pytest.mark.parametrize(
    ("effect", "expected"),
    [
        (MASQUERADE, ("192.0.2.2", 40000)),
        (snat("192.0.2.3"), ("192.0.2.3", 40000)),
        (snat("192.0.2.3", 1024, 65535), ("192.0.2.3", 40000)),
        (snat("192.0.2.3", 5000), ("192.0.2.3", 5000)),
        (snat("192.0.2.3", 1024, 2047), ("192.0.2.3", None)),
        (snat("192.0.2.2-192.0.2.3"), ("", 40000)),
    ],
)
def test_the_source_is_rewritten(effect: Effect, expected: tuple[str, int | None]) -> None:
    found = trace.trace(ruleset(base("postrouting", [oif("eth0"), effect], of="nat")), HOST, LEAVING)
    assert (found.packet.src, found.packet.sport) == expected
    assert found.verdict == "accept"


def test_the_first_rule_that_translates_settles_it() -> None:
    nat = base("prerouting", [dnat("172.18.0.2", 80)], [dnat("172.19.0.2", 81)], of="nat")
    found = trace.trace(ruleset(nat), HOST, PUBLISHED)
    assert found.packet.dst == "172.18.0.2"
    refused = base("prerouting", [ACCEPT], [dnat("172.19.0.2", 81)], of="nat")
    assert trace.trace(ruleset(refused), HOST, PUBLISHED).packet.dst == "192.0.2.2"


def test_a_later_nat_chain_sees_only_what_an_earlier_one_left_alone() -> None:
    mine = table("mine", backend="nft")
    first = base("prerouting", [dport(8080), dnat("172.18.0.2", 80)], of="nat")
    second = base("prerouting", [dnat("172.19.0.2")], of=mine, kind="nat", priority=-90)
    rules = ruleset(second, first)
    assert trace.trace(rules, HOST, PUBLISHED).packet.dst == "172.18.0.2"
    assert trace.trace(rules, HOST, packet()).packet.dst == "172.19.0.2"


@pytest.mark.parametrize("word", ["established", "related", "untracked", "invalid"])
def test_only_the_first_packet_of_a_connection_asks_the_nat_rules(word: str) -> None:
    found = trace.trace(ruleset(PUBLISH), HOST, packet(dport=8080, ct_state=word))
    assert (found.packet.dst, found.delivered_to) == ("192.0.2.2", "local")


def test_the_steps_name_each_rule_that_did_something() -> None:
    chains = [
        PUBLISH,
        base("forward", [dport(81), DROP], [jump("docker")], policy="drop"),
        chain("docker", [Note("LOG")], [dst("172.18.0.2"), ACCEPT]),
    ]
    found = trace.trace(ruleset(*chains), HOST, PUBLISHED)
    steps = [(step.hook, step.table, step.chain, step.rule_number, step.effect) for step in found.steps]
    assert steps == [
        ("prerouting", "ip nat", "PREROUTING", 1, "DNAT to 172.18.0.2:80"),
        ("routing", "", "", 0, "goes on by br0"),
        ("forward", "ip filter", "FORWARD", 2, "jump docker"),
        ("forward", "ip filter", "docker", 2, "accept"),
    ]
    assert [step.rule for step in found.decided_by] == ["rule 2"]


def test_a_policy_is_a_step_without_a_rule() -> None:
    found = trace.trace(ruleset(base("input", [dport(81), ACCEPT], policy="drop")), HOST, packet())
    assert [(step.rule_number, step.rule, step.effect) for step in found.decided_by] == [(0, "policy DROP", "drop")]


def test_a_rule_that_nobody_read_to_the_end_is_no_reason_to_crash() -> None:
    odd = Chain(table(), "INPUT", (Rule(1, "", ()), Rule(2, "", (UNKNOWN,))), "input", 0, "accept")
    assert verdict(packet(), odd) == "accept"
