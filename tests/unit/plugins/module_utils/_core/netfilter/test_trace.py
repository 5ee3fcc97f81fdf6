# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way of one packet through a host: hooks, routing, bridges, and the way of the answer. Rules: test_walk."""

from __future__ import annotations

import itertools
import typing as t

import pytest

from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter import trace
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.packet import Packet
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.ruleset import (
    Chain,
    Interface,
    Ruleset,
    SetMark,
    Untrack,
)
from ansible_collections.bulkhead.docker.tests.unit.plugins.module_utils._core.netfilter.building import (
    ACCEPT,
    DROP,
    MASQUERADE,
    REJECT,
    ROUTES,
    UNKNOWN,
    base,
    chain,
    dnat,
    dport,
    dst,
    host,
    iif,
    jump,
    numbers,
    oif,
    packet,
    packet6,
    ruleset,
    snat,
    src,
    state,
    table,
)

HOST = host()
NOTHING = ruleset()
NFT = table("mine", "inet", "nft")


def ended(asked: Packet, *chains: Chain, on: trace.Host = HOST) -> tuple[str, str | None]:
    found = trace.trace(ruleset(*chains), on, asked)
    return found.verdict, found.delivered_to


def sysctl(**values: t.Any) -> trace.Host:
    """A host with settings of eth0, or of another interface: ``eth1__rp_filter``."""
    named = {name if "__" in name else f"eth0__{name}": value for name, value in values.items()}
    return host({f"net.ipv4.conf.{name.replace('__', '.')}": value for name, value in named.items()})


LOCAL, LOST, UNSURE = ("accept", "local"), ("drop", None), ("unknown", None)


# ---- hooks --------------------------------------------------------------------------------------------------------

INCOMING = packet()
PASSING = packet(dst="172.18.0.2")
LEAVING = packet(src="172.18.0.2", dst="198.51.100.7", iif="br0")
OWN = packet(iif=None, src="192.0.2.2", dst="198.51.100.7")
ITSELF = packet(iif=None, src="192.0.2.2", dst="192.0.2.2")


@pytest.mark.parametrize(
    ("asked", "hooks"),
    [
        (INCOMING, ["prerouting", "input"]),
        (PASSING, ["prerouting", "forward", "postrouting"]),
        (OWN, ["output", "postrouting"]),
        (ITSELF, ["output", "postrouting", "prerouting", "input"]),
    ],
)
def test_a_packet_meets_the_hooks_of_its_way_and_no_others(asked: Packet, hooks: list[str]) -> None:
    listed = ("prerouting", "input", "forward", "output", "postrouting")
    for hook in listed:
        answer = ended(asked, base(hook, [DROP], of="mangle"))
        assert (answer == LOST) == (hook in hooks), hook
    marks = [base(hook, [SetMark("mark", 0, 1)], of="mangle") for hook in listed]
    found = trace.trace(ruleset(*marks), HOST, asked)
    assert [step.hook for step in found.steps if step.rule_number] == hooks


@pytest.mark.parametrize(
    ("hook", "device", "asked", "expected"),
    [
        ("ingress", "eth0", INCOMING, LOST),
        ("ingress", "eth1", INCOMING, LOCAL),
        ("ingress", "eth0", OWN, ("accept", "eth0")),
        ("egress", "br0", PASSING, LOST),
        ("egress", "eth0", PASSING, ("accept", "br0")),
        ("egress", "eth0", OWN, LOST),
    ],
)
def test_chains_of_a_device_see_what_passes_that_device(
    hook: str, device: str, asked: Packet, expected: tuple[str, str | None]
) -> None:
    own = base(hook, [DROP], of=table("t", "netdev", "nft"), priority=0, devices=(device,))
    assert ended(asked, own) == expected


@pytest.mark.parametrize(
    ("family", "asked", "expected"),
    [
        ("ip", INCOMING, LOST),
        ("inet", INCOMING, LOST),
        ("ip6", INCOMING, LOCAL),
        ("ip6", packet6(), LOST),
        ("inet", packet6(), LOST),
        ("ip", packet6(), LOCAL),
        ("arp", INCOMING, LOCAL),
        ("bridge", INCOMING, LOCAL),
    ],
)
def test_a_table_sees_packets_of_its_family(family: str, asked: Packet, expected: tuple[str, str | None]) -> None:
    assert ended(asked, base("input", [DROP], of=table("t", family, "nft"), priority=0)) == expected


def test_chains_of_a_hook_are_called_in_the_order_of_their_priorities() -> None:
    first = base("input", [SetMark("mark", 0xFFFFFFFF, 1)], of=NFT, priority=-5)
    second = base("input", [numbers("mark", 1), DROP])
    third = base("input", [REJECT], of=NFT, priority=5, name="late")
    for order in itertools.permutations((first, second, third)):
        assert trace.trace(ruleset(*order), HOST, INCOMING).verdict == "drop"


def test_accept_ends_one_base_chain_only() -> None:
    assert ended(INCOMING, base("input", [ACCEPT]), base("input", [DROP], of=NFT, priority=5)) == LOST


# ---- chains of one priority ---------------------------------------------------------------------------------------

MARKS = base("input", [SetMark("mark", 0xFFFFFFFF, 1)], of=NFT, priority=0, name="marks")
READS = base("input", [numbers("mark", 1), DROP])


@pytest.mark.parametrize(
    ("chains", "expected"),
    [
        ([MARKS, READS], "unknown"),
        ([MARKS, base("input", [dport(80), DROP])], "drop"),
        ([MARKS, base("input", [dport(81), DROP])], "accept"),
        ([base("input", [DROP], of=NFT, priority=0), base("input", [ACCEPT])], "drop"),
        ([base("input", [DROP], of=NFT, priority=0), base("input", [REJECT])], "drop"),
        ([MARKS, READS, base("input", [DROP], of=table("third", "inet", "nft"), priority=0)], "drop"),
    ],
)
def test_of_two_chains_of_one_priority_nobody_knows_the_first(chains: list[Chain], expected: str) -> None:
    for order in itertools.permutations(chains):
        found = trace.trace(ruleset(*order), HOST, INCOMING)
        assert found.verdict == expected
    if expected == "unknown":
        assert "one priority" in found.because[0].effect


def test_a_packet_that_no_translation_rule_is_for_does_not_care_which_is_first() -> None:
    mine = base("prerouting", [dport(81), dnat("172.19.0.2")], of=NFT, kind="nat", priority=-100)
    theirs = base("prerouting", [dport(80, 89), dnat("172.18.0.2")], of="nat")
    for order in ((mine, theirs), (theirs, mine)):
        assert ended(packet(), *order) == ("accept", "br0")
        assert ended(packet(dport=90), *order) == LOCAL
        assert ended(packet(dport=81), *order) == UNSURE


def test_a_filter_at_the_place_of_translation_may_come_before_it_or_after() -> None:
    filters = base("prerouting", [dport(8080), DROP], of=NFT, priority=-100)
    translates = base("prerouting", [dport(8080), dnat("172.18.0.2", 80)], of="nat")
    for order in ((filters, translates), (translates, filters)):
        assert ended(packet(dport=8080), *order) == UNSURE
        assert ended(packet(dport=80), *order) == LOCAL


@pytest.mark.parametrize("count", [4, 5])
def test_many_chains_of_one_priority_do_not_make_a_verdict_surer_than_it_is(count: int) -> None:
    quiet = [
        base("input", [dport(4), DROP], of=table(f"t{number}", "inet", "nft"), priority=0)
        for number in range(count - 2)
    ]
    assert ended(INCOMING, *quiet, READS, MARKS) == UNSURE
    assert ended(INCOMING, *quiet, MARKS, READS) == UNSURE


# ---- where a packet goes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "on", "expected"),
    [
        (packet(), HOST, LOCAL),
        # A host answers for its addresses on all interfaces.
        (packet(dst="10.77.0.2"), HOST, LOCAL),
        (packet(dst="172.18.0.1"), HOST, LOCAL),
        (packet(dst="192.0.2.255"), HOST, LOCAL),
        (packet(dst="255.255.255.255"), HOST, LOCAL),
        (packet(dst="172.18.0.7"), HOST, ("accept", "br0")),
        (packet(dst="203.0.113.5", iif="eth1"), HOST, ("accept", "eth0")),
        (packet(dst="10.66.0.1"), HOST, LOST),
        (packet(dst="10.77.0.9"), host(routes=ROUTES[:1]), LOST),
        (packet(dst="224.0.0.1"), HOST, LOCAL),
        (packet(dst="224.0.0.251"), HOST, UNSURE),
        (packet(dst="172.18.0.7"), host({"net.ipv4.ip_forward": "0"}), LOST),
        (packet(), host({"net.ipv4.ip_forward": "0"}), LOCAL),
        (packet(dst="172.18.0.7"), host({"net.ipv4.ip_forward": 1, "net.ipv4.conf.eth0.forwarding": 0}), LOST),
        (packet(dst="172.18.0.7"), host(policy_rules=["from all lookup 7"]), UNSURE),
        (packet(), host(policy_rules=["from all lookup 7"]), LOCAL),
        (packet6(), HOST, LOCAL),
        (packet6(dst="fd18::7"), HOST, ("accept", "br0")),
        (packet6(dst="2001:db8:77::7", iif="eth1"), HOST, ("accept", "eth0")),
        (packet6(dst="fd18::7"), host({"net.ipv6.conf.all.forwarding": 0}), LOST),
        (packet6(dst="ff02::1"), HOST, LOCAL),
        (packet6(dst="ff02::fb"), HOST, UNSURE),
        (packet6(dst="fe80::2"), HOST, LOCAL),
        (packet6(src="fe80::9", dst="fd18::7"), HOST, LOST),
        (packet6(src="fe80::9"), HOST, LOCAL),
    ],
)
def test_where_a_packet_from_outside_goes(asked: Packet, on: trace.Host, expected: tuple[str, str | None]) -> None:
    assert ended(asked, on=on) == expected


@pytest.mark.parametrize(
    ("asked", "on", "expected"),
    [
        (packet(src="127.0.0.1"), HOST, LOST),
        (packet(src="127.0.0.9"), sysctl(route_localnet=1), LOCAL),
        (packet(src="0.0.0.0"), HOST, LOST),
        (packet(src="224.0.0.1"), HOST, LOST),
        (packet(src="255.255.255.255"), HOST, LOST),
        (packet(src="192.0.2.3"), HOST, LOST),
        (packet(src="10.77.0.2"), HOST, LOST),
        (packet(src="192.0.2.3"), sysctl(accept_local=1), LOCAL),
        (packet(src="240.0.0.1"), HOST, LOCAL),
        (packet(dst="127.0.0.1"), HOST, LOST),
        (packet(dst="127.0.0.1"), sysctl(route_localnet=1), LOCAL),
        (packet(dst="127.0.0.1"), sysctl(all__route_localnet="1"), LOCAL),
        (packet(dst="127.0.0.1"), sysctl(eth1__route_localnet="1"), LOST),
        (packet(dst="0.0.0.0"), HOST, LOST),
        # Who has no address yet calls all.
        (packet(src="0.0.0.0", dst="255.255.255.255", proto="udp", dport=67), HOST, LOCAL),
        (packet(src="0.0.0.0", dst="255.255.255.255", proto="udp", dport=67), sysctl(rp_filter=1), LOCAL),
        (packet(src="0.0.0.0", dst="192.0.2.255", proto="udp", dport=67), HOST, LOST),
        (packet(src="0.1.2.3"), HOST, LOCAL),
        (packet6(src="::1"), HOST, LOST),
        (packet6(src="ff02::1"), HOST, LOST),
        (packet6(dst="::1"), HOST, LOST),
    ],
)
def test_senders_and_destinations_that_cannot_be_are_dropped(
    asked: Packet, on: trace.Host, expected: tuple[str, str | None]
) -> None:
    assert ended(asked, on=on) == expected


@pytest.mark.parametrize(
    ("mode", "asked", "expected"),
    [
        (0, packet(iif="eth1"), LOCAL),
        (1, packet(iif="eth1"), LOST),
        (2, packet(iif="eth1"), LOCAL),
        (0, packet(src="10.66.0.1", iif="eth1"), LOCAL),
        (1, packet(src="10.66.0.1", iif="eth1"), LOST),
        (2, packet(src="10.66.0.1", iif="eth1"), LOST),
        (1, packet(src="10.77.0.9", iif="eth1"), LOCAL),
        (1, packet(src="192.0.2.3", iif="eth1"), LOST),
        (1, packet6(iif="eth1"), LOCAL),
    ],
)
def test_the_way_back_to_the_sender_is_checked_as_the_kernel_is_told(
    mode: int, asked: Packet, expected: tuple[str, str | None]
) -> None:
    assert ended(asked, on=sysctl(eth1__rp_filter=mode)) == expected
    assert ended(asked, on=sysctl(all__rp_filter=mode, eth1__rp_filter=0)) == expected


def test_what_the_kernel_drops_names_the_reason() -> None:
    found = trace.trace(NOTHING, HOST, packet(src="127.0.0.1"))
    assert [(step.hook, step.effect) for step in found.decided_by] == [("routing", "drop")]
    assert found.decided_by[0].rule


def test_rules_before_the_routing_decision_see_what_it_drops_later() -> None:
    assert (
        trace.trace(ruleset(base("prerouting", [REJECT], of="raw")), HOST, packet(src="127.0.0.1")).verdict == "reject"
    )


def test_of_two_routes_to_one_prefix_the_first_counts_and_a_longer_prefix_wins() -> None:
    on = host(
        routes=[("default", "eth0"), ("172.18.0.0/16", "br1"), ("172.18.0.0/16", "br0"), ("172.18.9.0/24", "eth1")]
    )
    assert ended(packet(dst="172.18.0.7"), on=on) == ("accept", "br1")
    assert ended(packet(dst="172.18.9.7"), on=on) == ("accept", "eth1")


# ---- packets of the host itself -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (OWN, ("accept", "eth0")),
        (ITSELF, LOCAL),
        (packet(iif=None, src="127.0.0.1", dst="127.0.0.1"), LOCAL),
        (packet(iif=None, src="172.18.0.1", dst="172.18.0.2"), ("accept", "br0")),
        (packet(iif=None, src="192.0.2.2", dst="10.66.0.1"), LOST),
        (packet(iif=None, src="127.0.0.1", dst="198.51.100.7"), LOST),
        (packet6(iif=None, src="2001:db8:1::2", dst="2001:db8:1::2"), LOCAL),
        (packet6(iif=None, src="2001:db8:1::2", dst="2001:db8:99::7"), ("accept", "eth0")),
    ],
)
def test_where_a_packet_of_the_host_goes(asked: Packet, expected: tuple[str, str | None]) -> None:
    assert ended(asked) == expected


def test_what_a_host_sends_itself_comes_in_by_loopback_without_a_second_translation() -> None:
    chains = [
        base("prerouting", [dnat("172.18.0.2")], of="nat"),
        base("input", [iif("lo"), ACCEPT], policy="drop"),
    ]
    assert ended(ITSELF, *chains) == LOCAL
    assert ended(ITSELF, base("input", [iif("lo"), state("new"), DROP])) == LOST
    assert ended(ITSELF, base("postrouting", [oif("lo"), DROP], of="mangle")) == LOST


def test_a_translated_packet_of_the_host_is_routed_anew() -> None:
    publish = base("output", [dst("127.0.0.1", negated=True), dport(8080), dnat("172.18.0.2", 80)], of="nat")
    asked = packet(iif=None, src="192.0.2.2", dst="192.0.2.2", dport=8080)
    found = trace.trace(ruleset(publish), HOST, asked)
    assert (found.delivered_to, found.packet.dst, found.packet.dport) == ("br0", "172.18.0.2", 80)
    assert ended(asked, publish, base("postrouting", [oif("br0"), DROP], of="mangle")) == LOST
    # The rest of the hook still sees the interface that was chosen first.
    assert ended(asked, publish, base("output", [oif("lo", negated=True), DROP])) == ("accept", "br0")
    assert ended(packet(iif=None, src="127.0.0.1", dst="127.0.0.1", dport=8080), publish) == LOCAL


def test_a_loopback_sender_needs_route_localnet_to_leave() -> None:
    publish = base("output", [dport(8080), dnat("172.18.0.2", 80)], of="nat")
    asked = packet(iif=None, src="127.0.0.1", dst="127.0.0.1", dport=8080)
    assert ended(asked, publish) == LOST
    assert ended(asked, publish, on=sysctl(br0__route_localnet=1)) == ("accept", "br0")


# ---- bridges ------------------------------------------------------------------------------------------------------

FILTERED = host({"net.bridge.bridge-nf-call-iptables": 1, "net.bridge.bridge-nf-call-ip6tables": 1})
NEIGHBOURS = packet(src="172.18.0.2", dst="172.18.0.3", iif="br0")
CLOSED = base("forward", policy="drop")


@pytest.mark.parametrize(
    ("asked", "on", "expected"),
    [
        (NEIGHBOURS, HOST, ("accept", "br0")),
        (NEIGHBOURS, FILTERED, LOST),
        (packet(src="172.18.0.2", dst="172.18.0.1", iif="br0"), FILTERED, LOCAL),
        (packet(src="172.18.0.2", dst="172.19.0.2", iif="br0"), HOST, LOST),
        (packet(src="172.18.0.2", dst="172.18.0.3", iif="br0"), host(bridges=()), LOST),
    ],
)
def test_what_stays_on_a_bridge_is_filtered_only_where_the_kernel_is_told_so(
    asked: Packet, on: trace.Host, expected: tuple[str, str | None]
) -> None:
    assert ended(asked, CLOSED, on=on) == expected


def test_what_stays_on_a_bridge_is_seen_to_enter_and_leave_by_it() -> None:
    seen = base("forward", [iif("br0"), oif("br0"), ACCEPT], policy="drop")
    assert ended(NEIGHBOURS, seen, on=FILTERED) == ("accept", "br0")


@pytest.mark.parametrize(
    ("hook", "asked", "expected"),
    [
        ("prerouting", NEIGHBOURS, LOST),
        ("forward", NEIGHBOURS, LOST),
        ("postrouting", NEIGHBOURS, LOST),
        ("prerouting", LEAVING, LOST),
        ("forward", LEAVING, ("accept", "eth0")),
        ("forward", PASSING, ("accept", "br0")),
    ],
)
def test_rules_for_frames_see_what_passes_a_bridge(hook: str, asked: Packet, expected: tuple[str, str | None]) -> None:
    frames = base(hook, [dport(80), DROP], of=table("t", "bridge", "nft"), priority=0)
    for on in (HOST, FILTERED):
        assert ended(asked, frames, on=on) == expected


def test_which_port_of_a_bridge_a_frame_came_by_is_not_known() -> None:
    frames = base("forward", [Interface("iif", frozenset({"veth1"})), DROP], of=table("t", "bridge", "nft"), priority=0)
    assert ended(NEIGHBOURS, frames) == UNSURE
    assert ended(LEAVING, frames) == ("accept", "eth0")


# ---- answers ------------------------------------------------------------------------------------------------------

PUBLISH = base("prerouting", [dst("192.0.2.2"), dport(8080), dnat("172.18.0.2", 80)], of="nat")
PUBLISHED = packet(dport=8080)
OUTGOING = base("postrouting", [src("172.18.0.0/16"), oif("br0", negated=True), MASQUERADE], of="nat")
LOOSE = [iif("br0"), ACCEPT]
INWARD = [oif("br0"), dport(80), ACCEPT]
KNOWN = [state("established", "related"), ACCEPT]


def trip(asked: Packet, *chains: Chain, on: trace.Host = HOST, **more: t.Any) -> trace.RoundTrip:
    return trace.round_trip(ruleset(*chains), on, asked, **more)


@pytest.mark.parametrize(
    ("listed", "there", "whole"),
    [
        ([INWARD, KNOWN], "accept", "accept"),
        ([KNOWN, INWARD], "accept", "accept"),
        ([INWARD, LOOSE], "accept", "accept"),
        # The question passes, the answer dies.
        ([INWARD], "accept", "drop"),
        ([KNOWN], "drop", "drop"),
        ([LOOSE], "drop", "drop"),
        ([INWARD, [UNKNOWN, ACCEPT]], "accept", "unknown"),
        ([INWARD, [iif("br0"), REJECT]], "accept", "reject"),
    ],
)
def test_an_answer_has_to_pass_too(listed: list[t.Any], there: str, whole: str) -> None:
    found = trip(PUBLISHED, PUBLISH, base("forward", *listed, policy="drop"))
    assert (found.there.verdict, found.verdict) == (there, whole)
    assert (found.back is None) == (there != "accept")


def test_an_answer_comes_from_the_address_that_was_asked() -> None:
    found = trip(PUBLISHED, PUBLISH)
    assert found.back is not None
    assert (found.back.delivered_to, found.verdict) == ("eth0", "accept")
    assert (found.back.packet.src, found.back.packet.sport) == ("192.0.2.2", 8080)
    assert (found.back.packet.dst, found.back.packet.dport) == ("198.51.100.7", 40000)


def test_an_answer_to_a_hidden_sender_finds_it() -> None:
    found = trip(LEAVING, OUTGOING)
    assert (found.there.packet.src, found.there.delivered_to) == ("192.0.2.2", "eth0")
    assert found.back is not None
    assert (found.back.packet.dst, found.back.delivered_to, found.verdict) == ("172.18.0.2", "br0", "accept")


def test_an_answer_of_the_host_itself_passes_output() -> None:
    assert trip(packet(), base("output", [state("new"), DROP])).verdict == "accept"
    assert trip(packet(), base("output", [state("established"), DROP])).verdict == "drop"
    assert trip(packet(), base("output", [numbers("sport", 80), DROP])).verdict == "drop"
    assert trip(packet(dst="10.77.0.2")).verdict == "accept"


def test_an_answer_of_the_host_to_a_redirected_packet_comes_from_where_it_was_sent() -> None:
    redirect = base("prerouting", [dport(80), dnat("", 8080, to_interface=True)], of="nat")
    found = trip(packet(dst="203.0.113.80"), redirect)
    assert found.back is not None
    assert (found.back.packet.src, found.back.packet.sport, found.verdict) == ("203.0.113.80", 80, "accept")


def test_an_answer_that_is_not_tracked_is_not_translated_and_reaches_nobody() -> None:
    raw = base("prerouting", [iif("br0"), Untrack()], of="raw")
    assert trip(PUBLISHED, PUBLISH, raw).verdict == "drop"
    assert trip(packet(dst="172.18.0.2"), raw).verdict == "accept"


def test_an_answer_to_what_was_not_tracked_is_not_established() -> None:
    raw = base("prerouting", [iif("eth0"), Untrack()], of="raw")
    closed = base("forward", [iif("eth0"), ACCEPT], KNOWN, policy="drop")
    assert trip(packet(dst="172.18.0.2"), raw, closed).verdict == "drop"
    assert trip(packet(dst="172.18.0.2"), closed).verdict == "accept"
    assert trip(packet(dst="172.18.0.2"), raw, base("forward", [state("invalid"), DROP])).verdict == "drop"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (packet(proto="icmp", sport=0, dport=0), "accept"),
        (packet(proto="icmp", sport=0, dport=0, icmp_type=8), "accept"),
        (packet6(proto="icmpv6", sport=0, dport=0), "accept"),
    ],
)
def test_an_echo_request_is_answered_by_an_echo_reply(asked: Packet, expected: str) -> None:
    found = trip(asked)
    assert found.back is not None
    assert (found.back.packet.icmp_type, found.verdict) == (0 if asked.family == 4 else 129, expected)


def test_what_nobody_answers_needs_no_way_back() -> None:
    found = trip(packet(proto="icmp", icmp_type=3), base("output", policy="drop"))
    assert (found.back, found.verdict) == (None, "accept")


def test_an_answer_that_the_reverse_path_check_drops_dies() -> None:
    on = host({"net.ipv4.conf.eth0.rp_filter": 1, "net.ipv4.conf.br1.rp_filter": 1})
    assert trip(PUBLISHED, PUBLISH, on=on).verdict == "accept"
    assert trip(PUBLISHED, PUBLISH, on=on, back_iif="br1").verdict == "drop"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        # The sender is said to be where the answer does not go.
        (packet(src="172.18.0.9"), "drop"),
        (packet(src="172.19.0.9", dst="172.18.0.2"), "drop"),
        # That a host has two ways out is common.
        (packet(src="198.51.100.7", iif="eth1"), "accept"),
        (packet(src="10.77.0.9", iif="eth0"), "accept"),
    ],
)
def test_an_answer_that_goes_astray_is_lost(asked: Packet, expected: str) -> None:
    found = trip(asked)
    assert (found.there.verdict, found.verdict) == ("accept", expected)


HAIRPIN = packet(src="172.18.0.3", dst="192.0.2.2", dport=8080, iif="br0")
HIDE_NEIGHBOUR = base("postrouting", [src("172.18.0.0/16"), oif("br0"), dport(80), MASQUERADE], of="nat")


def test_a_neighbour_asks_for_a_published_port_by_the_hosts_address() -> None:
    found = trip(HAIRPIN, PUBLISH, HIDE_NEIGHBOUR)
    assert (found.there.packet.src, found.there.delivered_to, found.verdict) == ("172.18.0.1", "br0", "accept")


def test_without_masquerading_the_answer_to_a_neighbour_takes_a_short_cut_with_the_wrong_address() -> None:
    found = trip(HAIRPIN, PUBLISH)
    assert (found.there.verdict, found.verdict) == ("accept", "drop")
    # Where the bridge's packets pass IP's hooks, the address that was asked is put back.
    assert trip(HAIRPIN, PUBLISH, on=FILTERED).verdict == "accept"


def test_a_container_that_asks_itself_by_the_hosts_address() -> None:
    asked = packet(src="172.18.0.2", dst="192.0.2.2", dport=8080, iif="br0")
    assert trip(asked, PUBLISH, HIDE_NEIGHBOUR).verdict == "accept"


def test_an_answer_is_unknown_where_the_question_is_delivered_here_or_there() -> None:
    maybe = base("prerouting", [UNKNOWN, dnat("172.18.0.2", 80)], of="nat")
    found = trip(packet(), maybe)
    assert (found.there.verdict, found.verdict) == ("unknown", "unknown")
    assert found.there.because


# ---- what the answers are made of ---------------------------------------------------------------------------------


def test_families_do_not_mix() -> None:
    with pytest.raises(ValueError, match="no IPv4 address"):
        trace.trace(NOTHING, HOST, packet(src="2001:db8::1"))
    with pytest.raises(ValueError):
        trace.trace(NOTHING, HOST, packet(proto="moon"))


def test_a_host_without_anything_drops_and_does_not_crash() -> None:
    bare = trace.Host()
    assert ended(packet(), on=bare) == LOST
    assert ended(packet6(), on=bare) == LOST
    assert ended(OWN, on=bare) == LOST
    assert ended(packet(iif=None, src="127.0.0.1", dst="127.0.0.1"), on=bare) == LOCAL


def test_the_order_in_which_rulesets_were_read_does_not_matter() -> None:
    parts = [ruleset(PUBLISH), ruleset(base("forward", INWARD, KNOWN, policy="drop")), ruleset(OUTGOING, MARKS)]
    answers = {
        trace.round_trip(Ruleset.merge(*order), HOST, PUBLISHED).verdict for order in itertools.permutations(parts)
    }
    assert answers == {"accept"}


def test_a_model_answers_many_questions() -> None:
    model = trace.Model(ruleset(PUBLISH, base("input", [UNKNOWN, DROP])), HOST)
    for _round in range(2):
        assert model.trace(PUBLISHED).delivered_to == "br0"
        assert model.trace(packet()).verdict == "unknown"
        assert model.round_trip(PUBLISHED).verdict == "accept"


def test_deep_chains_are_walked_to_the_end() -> None:
    chains = [base("input", [jump("c0")])]
    chains += [chain(f"c{number}", [jump(f"c{number + 1}")]) for number in range(60)]
    chains.append(chain("c60", [DROP]))
    assert ended(INCOMING, *chains) == LOST


def test_a_translated_sender_is_seen_as_such_only_after_postrouting() -> None:
    rules = [OUTGOING, base("forward", [src("172.18.0.2"), ACCEPT], policy="drop")]
    assert ended(LEAVING, *rules) == ("accept", "eth0")
    assert (
        ended(LEAVING, *rules, base("egress", [src("192.0.2.2"), DROP], of=table("t", "netdev", "nft"), priority=0))
        == LOST
    )


def test_the_sender_of_a_packet_for_the_host_may_be_translated_at_input() -> None:
    hide = base("input", [snat("192.0.2.3")], of="nat")
    assert trace.trace(ruleset(hide), HOST, packet()).packet.src == "192.0.2.3"
