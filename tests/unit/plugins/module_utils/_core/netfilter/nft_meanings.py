# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each rule of ``data/nft-rules*.nft`` means, by its chain: the rule's parts, without the verdict at its end."""

from __future__ import annotations

import typing as t

from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter import sets
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.ruleset import (
    AddressType,
    CopyMark,
    Direction,
    FrameType,
    Interface,
    Jump,
    Lookup,
    Masked,
    Nat,
    Never,
    Note,
    Opaque,
    Owner,
    Rate,
    ReversePath,
    SetMark,
    State,
    Status,
    Switch,
    Unknowable,
    Untrack,
    Verdict,
    VerdictMap,
    Within,
)
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.sets import IntSet, everything

ACCEPT, DROP, RETURN, REJECT = (Verdict(word) for word in ("accept", "drop", "return", "reject"))
#: In place of a text that this table does not repeat; the test of texts does.
TEXT = "..."


def among(*values: t.Any) -> IntSet:
    """Make a set of addresses, prefixes, ranges and numbers."""
    found = sets.EMPTY
    for value in values:
        if isinstance(value, int):
            found |= IntSet.of(value)
        elif isinstance(value, tuple):
            found |= IntSet([value])
        else:
            found |= sets.span(value)[1]
    return found


def within(field: t.Any, *values: t.Any) -> Within:
    return Within(field, among(*values))


def beyond(field: t.Any, *values: t.Any) -> Within:
    return Within(field, among(*values), negated=True)


def link(*names: str, field: t.Any = "iif", negated: bool = False) -> Interface:
    exact = frozenset(name for name in names if not name.endswith("*"))
    return Interface(field, exact, tuple(name[:-1] for name in names if name.endswith("*")), negated)


def state(*words: str, negated: bool = False) -> State:
    return State(frozenset(words), negated)


def status(*words: str, negated: bool = False) -> Status:
    return Status(frozenset(words), negated)


def kind(side: t.Any, *words: str, negated: bool = False, limit: t.Any = "", by_fib: bool = True) -> AddressType:
    return AddressType(side, frozenset(words), negated, limit, by_fib)


def frame(*kinds: str, negated: bool = False) -> FrameType:
    return FrameType(frozenset(kinds), negated)


def route(**more: bool) -> ReversePath:
    return ReversePath(by_fib=True, **more)


def named(name: str, fields: t.Sequence[str], *elements: tuple[t.Any, ...], **more: t.Any) -> Lookup:
    return Lookup(tuple(fields), elements, name=name, **more)


def nat(
    which: t.Any, first: str = "", last: str = "", port: t.Any = None, *, out: bool = False, exact: bool = True
) -> Nat:
    places = (sets.address(first)[1], sets.address(last or first)[1]) if first else None
    return Nat(which, places, (port, port) if isinstance(port, int) else port, out, exact)


V4, V6 = within("family", 4), within("family", 6)
TCP, UDP = within("proto", 6), within("proto", 17)
WITH_PORTS = within("proto", 6, 17, 33, 132, 136)
TRACKED = state("invalid", "untracked", negated=True)
MASK = 0xFFFFFFFF
UNKNOWN = Unknowable(TEXT)
NOTE = Note(TEXT)
TARGET = Jump("target_chain")
ONE, TWO = among("192.0.2.1"), among("192.0.2.2")
OWN = Owner(everything(32))

Parts = t.Sequence[t.Any]


def listed(**rules: t.Any) -> dict[str, tuple[t.Any, ...]]:
    return {name: tuple(parts) if isinstance(parts, (list, tuple)) else (parts,) for name, parts in rules.items()}


VERDICTS = listed(
    v_accept=ACCEPT,
    v_drop=DROP,
    v_continue=Verdict("continue"),
    v_return=RETURN,
    v_jump=TARGET,
    v_goto=Jump("target_chain", goto=True),
    v_reject=REJECT,
    v_reject_reset=[TCP, REJECT],
    v_reject_icmp=[V4, REJECT],
    v_reject_icmpv6=[V6, REJECT],
    v_reject_icmpx=REJECT,
)

ADDRESSES = listed(
    saddr_one=[V4, Within("src", ONE), ACCEPT],
    saddr_prefix=[V4, within("src", "192.0.2.0/24"), ACCEPT],
    saddr_range=[V4, within("src", "192.0.2.3-192.0.2.9"), ACCEPT],
    saddr_not=[V4, beyond("src", "192.0.2.1"), ACCEPT],
    saddr_not_prefix=[V4, beyond("src", "192.0.2.0/24"), ACCEPT],
    saddr_set=[V4, within("src", "192.0.2.1", "10.0.0.0/8", "198.51.100.3-198.51.100.9"), ACCEPT],
    saddr_not_set=[V4, beyond("src", "192.0.2.1", "192.0.2.2"), ACCEPT],
    # Its 65,536 ranges are too many to be written out.
    saddr_masked=[V4, UNKNOWN, ACCEPT],
    saddr_below=[V4, within("src", "0.0.0.0-9.255.255.255"), ACCEPT],
    daddr_one=[V4, within("dst", "192.0.2.1"), ACCEPT],
    saddr6_one=[V6, within("src", "2001:db8::1"), ACCEPT],
    daddr6_prefix=[V6, within("dst", "2001:db8::/32"), ACCEPT],
    daddr6_set=[V6, within("dst", "2001:db8::/32", "fe80::1", "::1-::9"), ACCEPT],
    saddr_everything=[V4, within("src", "0.0.0.0/0"), ACCEPT],
)

PROTOCOLS = listed(
    l4_tcp=[TCP, ACCEPT],
    l4_number=[within("proto", 99), ACCEPT],
    l4_set=[within("proto", 1, 17, 58), ACCEPT],
    l4_not=[beyond("proto", 6), ACCEPT],
    ip_protocol=[V4, UDP, ACCEPT],
    ip_protocol_not=[V4, beyond("proto", 17), ACCEPT],
    ip6_nexthdr=[V6, TCP, ACCEPT],
    nfproto_4=[V4, ACCEPT],
    nfproto_6=[V6, ACCEPT],
    nfproto_not=[beyond("family", 4), ACCEPT],
    protocol_ip=[V4, ACCEPT],
    protocol_not=[beyond("family", 4, 6), ACCEPT],
    esp_spi=[within("proto", 50), UNKNOWN, ACCEPT],
    ip_ttl=[V4, UNKNOWN, ACCEPT],
    ip_dscp=[V4, UNKNOWN, ACCEPT],
    ip_frag=[V4, Never(TEXT), DROP],
    ip_option=[V4, UNKNOWN, DROP],
    exthdr_frag=[V6, Never(TEXT), DROP],
    routing_header=[V6, Never(TEXT), UNKNOWN, DROP],
)

PORTS = listed(
    dport_one=[TCP, within("dport", 80), ACCEPT],
    dport_not=[TCP, beyond("dport", 80), ACCEPT],
    dport_range=[TCP, within("dport", (8000, 8099)), ACCEPT],
    dport_not_range=[TCP, beyond("dport", (8000, 8099)), ACCEPT],
    dport_set=[TCP, within("dport", 22, 80, (8000, 8099)), ACCEPT],
    dport_above=[UDP, within("dport", (1024, 65535)), ACCEPT],
    dport_below=[UDP, within("dport", (0, 1023)), ACCEPT],
    sport_udp=[UDP, within("sport", 53), ACCEPT],
    sctp_port=[within("proto", 132), within("dport", 36412), ACCEPT],
    dccp_port=[within("proto", 33), within("sport", 7), ACCEPT],
    udplite_port=[within("proto", 136), within("dport", 7), ACCEPT],
    th_dport=[WITH_PORTS, within("dport", 53), ACCEPT],
    th_guarded=[within("proto", 6, 17), within("dport", 53), ACCEPT],
    th_sport=[WITH_PORTS, within("sport", 53, 5353), ACCEPT],
    dport_beyond=[UDP, within("dport", (1024, 65535)), ACCEPT],
    dport_up_to=[UDP, within("dport", (0, 1023)), ACCEPT],
    th_not_elsewhere=[beyond("proto", 6), UNKNOWN, DROP],
    # An icmp packet has a checksum in this place, which hardly is 53: it fits, and says nothing about ports.
    th_not=[UNKNOWN, DROP],
    th_high=[UNKNOWN, DROP],
    th_not_guarded=[within("proto", 6, 17), beyond("dport", 53), DROP],
    th_not_pair=[UNKNOWN, DROP],
    th_vmap=[VerdictMap(("dport",), (((among(53),), ACCEPT), ((among(80),), DROP)))],
    th_vmap_any=Opaque(TEXT),
    dport_masked=[TCP, within("dport", (0x1F00, 0x1FFF)), ACCEPT],
    proto_and_port=[
        named("", ("proto", "dport"), (among(6), among(22)), (among(17), among(53))),
        ACCEPT,
    ],
    proto_and_port_set=[
        named("pairs_with_proto", ("proto", "dport"), (among(6), among(80)), (among(17), among(53))),
        ACCEPT,
    ],
    udp_length=[UDP, UNKNOWN, DROP],
    set_any=[TCP, within("dport", (0, 65535)), ACCEPT],
)

PING4, PING6 = (V4, within("proto", 1)), (V6, within("proto", 58))
ICMP = listed(
    icmp_one=[*PING4, within("icmp_type", 8), ACCEPT],
    icmp_set=[*PING4, within("icmp_type", 0, 3, 11, 12), ACCEPT],
    icmp_not=[*PING4, beyond("icmp_type", 8), DROP],
    icmp_code=[*PING4, within("icmp_code", 3), ACCEPT],
    icmp_number=[*PING4, within("icmp_type", 42), ACCEPT],
    icmp6_one=[*PING6, within("icmp_type", 128), ACCEPT],
    icmp6_set=[*PING6, within("icmp_type", 135, 136, 134, 2), ACCEPT],
    icmp6_range=[*PING6, within("icmp_type", (1, 4)), ACCEPT],
    icmp6_code=[*PING6, within("icmp_code", 0), ACCEPT],
    icmp_type_code=[
        *PING4,
        named("", ("icmp_type", "icmp_code"), (among(3), among(4)), (among(11), among(0))),
        ACCEPT,
    ],
    icmp_set_named=[*PING4, named("pings", ("icmp_type",), (among(0, 8),)), ACCEPT],
    icmp_id=[*PING4, within("icmp_type", 0, 8), UNKNOWN, ACCEPT],
    icmp_and_type=[*PING4, within("icmp_type", 8), ACCEPT],
)

INTERFACES = listed(
    iifname_one=[link("eth0"), ACCEPT],
    iifname_not=[link("eth0", negated=True), ACCEPT],
    iifname_wild=[link("br-*"), ACCEPT],
    iifname_not_wild=[link("br-*", negated=True), ACCEPT],
    iifname_star=[Interface("iif", frozenset({"eth*"})), ACCEPT],
    iifname_set=[link("eth0", "eth1"), ACCEPT],
    iifname_wild_set=[link("eth*", "lo"), ACCEPT],
    iifname_not_set=[link("eth0", "eth1", negated=True), ACCEPT],
    iifname_named=[named("links", ("iif",), (frozenset({"eth0", "wan"}),)), ACCEPT],
    iifname_named_wild=[named("wildcards", ("iif",), (frozenset({"eth*", "lo"}),), negated=True), ACCEPT],
    oifname_one=[link("eth0", field="oif"), ACCEPT],
    iif_lo=[link("lo"), ACCEPT],
    iif_not_lo=[link("lo", negated=True), ACCEPT],
    oif_lo=[link("lo", field="oif"), ACCEPT],
    iif_set=[link("lo"), ACCEPT],
    iif_gone=[UNKNOWN, ACCEPT],
    iif_oif=[
        named(
            "",
            ("iif", "oif"),
            (frozenset({"eth0"}), frozenset({"eth1"})),
            (frozenset({"eth1"}), frozenset({"eth0"})),
        ),
        ACCEPT,
    ],
    group_in=[UNKNOWN, ACCEPT],
    group_out=[UNKNOWN, ACCEPT],
    kind_in=[UNKNOWN, ACCEPT],
    kind_of_link=[UNKNOWN, ACCEPT],
    iif_quoted=[link("we ird"), ACCEPT],
    meta_sdif=[UNKNOWN, ACCEPT],
)

MARKS = listed(
    mark_one=[within("mark", 0x10), ACCEPT],
    mark_not=[beyond("mark", 0x10), ACCEPT],
    mark_masked=[Masked("mark", 0xFF, 0x10), ACCEPT],
    mark_masked_not=[Masked("mark", 0xFF, 0x10, negated=True), ACCEPT],
    mark_bit=[Masked("mark", 0x4000, 0, negated=True), ACCEPT],
    mark_no_bit=[Masked("mark", 0x4000, 0), ACCEPT],
    mark_set=[within("mark", 1, 2, (0x10, 0x1F)), ACCEPT],
    # None of 0, 3, 4-7, 8-15, ... 128-255.
    mark_masked_set=[
        Masked("mark", 0xFF, 0, negated=True),
        Masked("mark", 0xFF, 3, negated=True),
        *(Masked("mark", 0xFF & ~(size - 1), size, negated=True) for size in (4, 8, 16, 32, 64, 128)),
        ACCEPT,
    ],
    mark_masked_not_set=[Masked("mark", 0xFF, 1, negated=True), Masked("mark", 0xFF, 2, negated=True), ACCEPT],
    mark_masked_block=[Masked("mark", 0xF0, 0x10), ACCEPT],
    mark_range=[within("mark", (1, 7)), ACCEPT],
    mark_named=[named("marks", ("mark",), (among(1, 0x10),)), ACCEPT],
    mark_impossible=[within("mark"), ACCEPT],
    mark_ored=[Masked("mark", MASK & ~1, 2), ACCEPT],
    ct_mark=[within("ctmark", 1), ACCEPT],
    ct_mark_masked=[Masked("ctmark", 0xFF0000, 0x10000), ACCEPT],
    ct_mark_not=[beyond("ctmark", 0), ACCEPT],
)

CONNECTIONS = listed(
    state_list=[state("established", "related"), ACCEPT],
    state_one=[state("new"), ACCEPT],
    state_equal=[state("new"), ACCEPT],
    state_set=[state("established", "related"), ACCEPT],
    state_not=[state("invalid", negated=True), ACCEPT],
    # The kernel compares with the number that both bits make together, which no state is: always, and never.
    state_not_list=[state(negated=True), ACCEPT],
    state_equal_list=[state(), ACCEPT],
    state_not_set=[state("established", "related", negated=True), ACCEPT],
    state_none_of=[state("new", "untracked", negated=True), ACCEPT],
    state_masked=[state("established", "related"), ACCEPT],
    state_masked_none=[state("new", "invalid", negated=True), ACCEPT],
    state_untracked=[state("untracked"), ACCEPT],
    state_named=[state("established", "related"), ACCEPT],
    status_one=[status("dnat"), ACCEPT],
    status_two=[status("dnat", "snat"), ACCEPT],
    status_none=[status("dnat", negated=True), ACCEPT],
    status_masked=[status("dnat", "snat", negated=True), ACCEPT],
    status_both=[status("assured"), status("confirmed"), ACCEPT],
    status_one_of_two=[status("confirmed"), status("assured", negated=True), ACCEPT],
    # A connection with that bit has others as well, so that the whole is never only this one.
    status_exact=[Never(TEXT), ACCEPT],
    status_not_exact=[TRACKED, ACCEPT],
    status_exactly_assured=[UNKNOWN, ACCEPT],
    status_not_exactly_assured=[UNKNOWN, ACCEPT],
    direction_original=[Direction("original"), ACCEPT],
    direction_reply=[Direction("reply"), ACCEPT],
    direction_not=[Direction("original", negated=True), ACCEPT],
    original_saddr=[V4, Within("osrc", ONE), ACCEPT],
    original_daddr=[V4, beyond("odst", "192.0.2.0/24"), ACCEPT],
    original_daddr6=[V6, within("odst", "2001:db8::/32"), ACCEPT],
    reply_saddr=[V4, within("rsrc", "192.0.2.1", "192.0.2.2"), ACCEPT],
    reply_daddr=[
        V4,
        named("networks", ("rdst",), (among("10.0.0.0/8", "192.0.2.1", "198.51.100.3-198.51.100.9"),)),
        ACCEPT,
    ],
    original_port=[TCP, within("odport", 8080), ACCEPT],
    original_ports=[TCP, within("odport", 80, (8000, 8099)), ACCEPT],
    original_sport=[TCP, within("osport", (1024, 65535)), ACCEPT],
    reply_port=[TCP, within("rsport", 80), ACCEPT],
    original_protocol=[within("oproto", 6), ACCEPT],
    original_l3=[TRACKED, V4, ACCEPT],
    ct_helper=[UNKNOWN, ACCEPT],
    ct_zone=[UNKNOWN, ACCEPT],
    ct_label=[UNKNOWN, ACCEPT],
    ct_expiration=[UNKNOWN, ACCEPT],
    ct_bytes=[UNKNOWN, ACCEPT],
    ct_id=[UNKNOWN, ACCEPT],
)

RATES = listed(
    ct_count=[Rate(TEXT, True), ACCEPT],
    ct_count_over=[Rate(TEXT, False), DROP],
    limit_rate=[Rate(TEXT, True), ACCEPT],
    limit_burst=[Rate(TEXT, True), ACCEPT],
    limit_over=[Rate(TEXT, False), DROP],
    limit_bytes=[Rate(TEXT, True), ACCEPT],
    # The first packet may be larger than that.
    limit_few_bytes=[Rate(TEXT), ACCEPT],
    limit_named=[Rate(TEXT, True), ACCEPT],
    limit_named_over=[Rate(TEXT, False), DROP],
    limit_by_map=[TCP, named("", ("dport",), (among(22, 80),)), Rate(TEXT), ACCEPT],
    quota_until=[Rate(TEXT), ACCEPT],
    quota_over=[Rate(TEXT), DROP],
    quota_named=[Rate(TEXT), DROP],
    numgen_random=[Rate(TEXT), ACCEPT],
    numgen_vmap=Switch((((Rate(TEXT),), ACCEPT), ((Rate(TEXT),), DROP))),
    jhash_saddr=[UNKNOWN, ACCEPT],
    meta_random=[Rate(TEXT), ACCEPT],
)

ROUTES = listed(
    fib_local=[kind("dst", "LOCAL"), ACCEPT],
    fib_not_local=[kind("dst", "LOCAL", negated=True), ACCEPT],
    fib_set=[kind("dst", "BROADCAST", "MULTICAST", "ANYCAST"), DROP],
    fib_iif=[kind("dst", "LOCAL", limit="iif"), ACCEPT],
    fib_not_iif=[kind("dst", "LOCAL", "BROADCAST", "MULTICAST", negated=True, limit="iif"), DROP],
    fib_source=[kind("src", "LOCAL"), ACCEPT],
    fib_oif=[kind("src", "LOCAL", limit="oif"), ACCEPT],
    fib_mark=[UNKNOWN, DROP],
    fib_oifname=[UNKNOWN, ACCEPT],
    fib_vmap=Switch((((kind("dst", "LOCAL"),), TARGET), ((kind("dst", "BROADCAST"),), DROP))),
    reverse_missing=[route(invert=True), DROP],
    reverse_exists=[route(), ACCEPT],
    reverse_loose=[route(loose=True, invert=True), DROP],
    reverse_mark=[V6, route(invert=True), DROP],
    pkttype_broadcast=[frame("broadcast"), DROP],
    pkttype_multicast=[frame("multicast"), DROP],
    pkttype_host=[frame("unicast"), ACCEPT],
    pkttype_not_host=[frame("unicast", negated=True), DROP],
    pkttype_set=[frame("broadcast", "multicast"), DROP],
    pkttype_vmap=Switch(
        (
            ((frame("broadcast"),), DROP),
            ((frame("multicast"),), ACCEPT),
        )
    ),
)

HOST = listed(
    skuid_one=[OWN, Owner(among(1000)), ACCEPT],
    skuid_root=[OWN, Owner(among(0)), ACCEPT],
    skuid_not=[OWN, Owner(among(1000), negated=True), DROP],
    skuid_range=[OWN, Owner(among((1000, 1999))), ACCEPT],
    skgid_one=[OWN, Owner(None), ACCEPT],
    meta_cgroup=[UNKNOWN, ACCEPT],
    meta_hour=[UNKNOWN, ACCEPT],
    meta_day=[UNKNOWN, DROP],
    meta_time=[UNKNOWN, DROP],
    meta_rtclassid=[UNKNOWN, ACCEPT],
    meta_priority=[UNKNOWN, ACCEPT],
    meta_length=[UNKNOWN, DROP],
    meta_cpu=[UNKNOWN, ACCEPT],
    ipsec_exists=[Never(TEXT), ACCEPT],
    ipsec_missing=DROP,
    ipsec_reqid=[Never(TEXT), UNKNOWN, ACCEPT],
    socket_transparent=[UNKNOWN, ACCEPT],
    socket_mark=[UNKNOWN, ACCEPT],
    socket_wildcard=[UNKNOWN, ACCEPT],
    osf_name=[UNKNOWN, ACCEPT],
    rt_mtu=[UNKNOWN, ACCEPT],
    rt_nexthop=[UNKNOWN, ACCEPT],
    # A raw look at bytes of whatever protocol, as `th dport` is.
    raw_payload=[WITH_PORTS, within("dport", 80), ACCEPT],
    raw_network=[UNKNOWN, ACCEPT],
    payload_bits=[UNKNOWN, ACCEPT],
    ether_saddr=[UNKNOWN, ACCEPT],
    ether_type=[UNKNOWN, ACCEPT],
    vlan_id=[UNKNOWN, ACCEPT],
)

EVERY = 0x17  # fin, syn, rst, ack
FLAGS = listed(
    flags_any=[TCP, Masked("tcp_flags", 2, 0, negated=True), ACCEPT],
    flags_any_of=[TCP, Masked("tcp_flags", 0x12, 0, negated=True), ACCEPT],
    flags_equal=[TCP, within("tcp_flags", 2), ACCEPT],
    flags_not_equal=[TCP, beyond("tcp_flags", 2), ACCEPT],
    flags_none_of=[TCP, Masked("tcp_flags", 6, 0), ACCEPT],
    flags_masked=[TCP, Masked("tcp_flags", EVERY, 2), ACCEPT],
    flags_masked_not=[TCP, Masked("tcp_flags", EVERY, 2, negated=True), DROP],
    flags_slash=[TCP, Masked("tcp_flags", 0x12, 2), ACCEPT],
    flags_slash_two=[TCP, Masked("tcp_flags", EVERY, 0x12), ACCEPT],
    flags_slash_not=[TCP, Masked("tcp_flags", 0x12, 2, negated=True), ACCEPT],
    flags_masked_zero=[TCP, Masked("tcp_flags", 3, 0), ACCEPT],
    flags_masked_any=[TCP, Masked("tcp_flags", 3, 0, negated=True), ACCEPT],
    flags_masked_all=[TCP, Masked("tcp_flags", 3, 3), DROP],
    flags_nothing=[TCP, within("tcp_flags", 0), DROP],
    flags_set=[TCP, within("tcp_flags", 2, 0x12), ACCEPT],
    # Syn or ack alone: not (nothing or fin), not fin and syn, not rst, not fin and ack, not syn and ack, ...
    flags_masked_set=[
        TCP,
        *(
            Masked("tcp_flags", mask, value, negated=True)
            for mask, value in ((0x16, 0), (0x17, 3), (0x14, 4), (0x17, 0x11), (0x16, 0x12), (0x14, 0x14))
        ),
        ACCEPT,
    ],
    tcp_option=[TCP, UNKNOWN, DROP],
    tcp_option_exists=[UNKNOWN, ACCEPT],
    sctp_chunk=[UNKNOWN, ACCEPT],
)

NETWORKS = among("10.0.0.0/8", "192.0.2.1", "198.51.100.3-198.51.100.9")
AREAS = (
    (among("10.0.0.0/8"), among(80)),
    (ONE, among((8000, 8099))),
    (among("198.51.100.3-198.51.100.9"), among(443)),
)
PAIR = ("src", "dport")
SETS = listed(
    set_addresses=[V4, named("addresses", ["src"], (among("192.0.2.1", "192.0.2.7"),)), ACCEPT],
    set_not=[V4, named("addresses", ["src"], (among("192.0.2.1", "192.0.2.7"),), negated=True), ACCEPT],
    set_networks=[V4, named("networks", ["dst"], (NETWORKS,)), ACCEPT],
    set_merged=[V4, named("merged", ["dst"], (among("10.0.0.0/8", "192.0.2.1"),)), ACCEPT],
    set_networks6=[V6, named("networks6", ["src"], (among("2001:db8::/32", "fe80::1"),)), ACCEPT],
    set_ports=[TCP, named("ports", ["dport"], (among(22, 80, (8000, 8099)),)), ACCEPT],
    set_ports_not=[UDP, named("ports", ["dport"], (among(22, 80, (8000, 8099)),), negated=True), DROP],
    set_frozen=[TCP, named("frozen", ["dport"], (among(22, 80),)), ACCEPT],
    set_empty=[V4, named("empty", ["src"]), ACCEPT],
    set_commented=[V4, named("commented", ["src"], (among("192.0.2.1", "10.0.0.0/8"),)), ACCEPT],
    set_counted=[V4, named("counted", ["src"], (ONE,)), ACCEPT],
    set_limited=[V4, named("limited", ["src"], (ONE,)), ACCEPT],
    set_banned=[V4, named("banned", ["src"], (ONE | TWO,), filled_by_rules=True), DROP],
    set_banned6=[V6, named("banned6", ["src"], filled_by_rules=True), DROP],
    set_not_seen=[V4, named("seen", ["src"], negated=True, filled_by_rules=True), ACCEPT],
    set_knocked=[V4, TCP, named("knocked", PAIR, filled_by_rules=True), ACCEPT],
    set_pairs=[V4, TCP, named("pairs", PAIR, (ONE, among(80)), (TWO, among(443))), ACCEPT],
    set_areas=[V4, TCP, named("areas", PAIR, *AREAS), ACCEPT],
    set_areas_not=[V4, TCP, named("areas", PAIR, *AREAS, negated=True), DROP],
    set_triples=[V4, named("triples", ("src", "dst", "proto"), (ONE, TWO, among(6))), ACCEPT],
    set_on_links=[V4, named("on_links", ("iif", "src"), (frozenset({"eth0"}), ONE)), ACCEPT],
    set_protocols=[named("protocols", ["proto"], (among(6, 17),)), ACCEPT],
    concat=[
        V4,
        TCP,
        named(
            "",
            PAIR,
            (ONE, among(80)),
            (among("10.0.0.0/8"), among(443)),
            (among("192.0.2.2-192.0.2.9"), among((8000, 8099))),
        ),
        ACCEPT,
    ],
    concat_not=[V4, named("", ("src", "dst"), (ONE, TWO), negated=True), DROP],
    concat_6=[V6, UDP, named("", ("dst", "dport"), (among("2001:db8::/32"), among(53))), ACCEPT],
    concat_wild=[TCP, named("", ("iif", "dport"), (frozenset({"eth*"}), among(22))), ACCEPT],
    concat_state_not=[TCP, UNKNOWN, ACCEPT],
    concat_state=[TCP, state("new"), within("dport", 22), ACCEPT],
)

GOTO = Jump("target_chain", goto=True)
MAPS = listed(
    vmap_state=Switch((((state("established"),), ACCEPT), ((state("related"),), ACCEPT), ((state("invalid"),), DROP))),
    vmap_proto=VerdictMap(("proto",), (((among(1),), ACCEPT), ((among(6),), TARGET), ((among(17),), GOTO))),
    vmap_port=[
        TCP,
        VerdictMap(
            ("dport",),
            (
                ((among(22),), ACCEPT),
                ((among(80),), RETURN),
                ((among(443),), Verdict("continue")),
                ((among((8000, 8099)),), DROP),
            ),
        ),
    ],
    vmap_named=[V4, VerdictMap(("src",), (((ONE,), ACCEPT), ((TWO,), TARGET)), "verdicts")],
    vmap_named_ports=[
        TCP,
        VerdictMap(("dport",), (((among(22),), ACCEPT), ((among((8000, 8099)),), GOTO)), "port_verdicts"),
    ],
    vmap_links=VerdictMap(
        ("iif",), (((frozenset({"eth0"}),), TARGET), ((frozenset({"eth1"}),), DROP)), "link_verdicts"
    ),
    vmap_wild=VerdictMap(("iif",), (((frozenset({"eth*"}),), ACCEPT), ((frozenset({"lo"}),), DROP))),
    vmap_pairs=[V4, TCP, VerdictMap(PAIR, (((ONE, among(80)), ACCEPT),), "pair_verdicts")],
    vmap_two_links=VerdictMap(("oif", "iif"), (((frozenset({"eth0"}), frozenset({"eth1"})), ACCEPT),)),
    vmap_concat=[
        V4,
        TCP,
        VerdictMap(PAIR, (((among("10.0.0.0/8"), among(22)), ACCEPT), ((ONE, among((80, 90))), DROP))),
    ],
    vmap_family=VerdictMap(("family",), (((among(4),), TARGET), ((among(6),), DROP))),
    vmap_protocol=VerdictMap(("family",), (((among(4),), ACCEPT), ((among(6),), DROP))),
    vmap_direction=Switch((((Direction("original"),), ACCEPT), ((Direction("reply"),), DROP))),
    vmap_mark=VerdictMap(("mark",), (((among(1),), ACCEPT), ((among(2),), DROP))),
    vmap_masked=Switch((((Masked("mark", 0xFF, 1),), ACCEPT), ((Masked("mark", 0xFF, 2),), DROP))),
    vmap_flags=[TCP, VerdictMap(("tcp_flags",), (((among(2),), ACCEPT), ((among(0x12),), DROP)))],
    vmap_masked_flags=[
        TCP,
        Switch((((Masked("tcp_flags", 0x12, 2),), ACCEPT), ((Masked("tcp_flags", 0x12, 0x10),), DROP))),
    ],
    vmap_icmp=[*PING4, VerdictMap(("icmp_type",), (((among(8),), ACCEPT), ((among(0),), DROP)))],
    vmap_icmp6=[*PING6, VerdictMap(("icmp_type",), (((among(135),), ACCEPT),))],
    vmap_proto_dport=VerdictMap(("proto", "dport"), (((among(6), among(22)), ACCEPT), ((among(17), among(53)), DROP))),
    vmap_any=[TCP, VerdictMap(("dport",), (((among(22),), ACCEPT), ((everything(16),), DROP)))],
)

TRANSLATIONS = listed(
    dnat_address=[V4, nat("dnat", "10.0.0.1")],
    dnat_port=[V4, TCP, nat("dnat", "10.0.0.1", port=8080)],
    dnat_only_port=[TCP, within("dport", 80), nat("dnat", port=8080)],
    dnat_port_range=[TCP, within("dport", 80), V4, nat("dnat", "10.0.0.1", port=(8000, 8099))],
    dnat_range=[V4, nat("dnat", "10.0.0.1", "10.0.0.9")],
    dnat_range_ports=[TCP, within("dport", 80), V4, nat("dnat", "10.0.0.1", "10.0.0.9", 80)],
    dnat_random=[TCP, within("dport", 80), V4, nat("dnat", "10.0.0.1", port=80, exact=False)],
    dnat_persistent=[V4, nat("dnat", "10.0.0.1", "10.0.0.9")],
    dnat6=[TCP, within("dport", 80), V6, nat("dnat", "fd00::1", port=80)],
    dnat6_address=[V6, nat("dnat", "fd00::1")],
    dnat_map=[V4, VerdictMap(("dst",), (((ONE,), nat("dnat", "10.0.0.1")), ((TWO,), nat("dnat", "10.0.0.2"))))],
    dnat_map_named=[V4, VerdictMap(("dst",), (((ONE,), nat("dnat", "10.0.0.1")),), "targets")],
    dnat_services=[
        V4,
        TCP,
        VerdictMap(
            ("dport",),
            (
                ((among(80),), nat("dnat", "10.0.0.1", port=8080)),
                ((among(443),), nat("dnat", "10.0.0.2", port=8443)),
            ),
        ),
    ],
    dnat_services_named=[
        V4,
        TCP,
        VerdictMap(
            ("dport",),
            (
                ((among(80),), nat("dnat", "10.0.0.1", port=8080)),
                ((among(443),), nat("dnat", "10.0.0.2", port=8443)),
            ),
            "services",
        ),
    ],
    dnat_port_map=[
        TCP,
        within("dport", 80, 443),
        V4,
        VerdictMap(
            ("dport",),
            (
                ((among(80),), nat("dnat", "10.0.0.1", port=8080)),
                ((among(443),), nat("dnat", "10.0.0.1", port=8443)),
            ),
        ),
    ],
    dnat_balanced=[
        V4,
        Switch((((Rate(TEXT),), nat("dnat", "10.0.0.1")), ((Rate(TEXT),), nat("dnat", "10.0.0.2")))),
    ],
    dnat_prefix=[V4, VerdictMap(("dst",), (((among("192.0.2.0/24"),), nat("dnat", "10.0.0.0", "10.0.0.255")),))],
    dnat_any=[
        V4,
        VerdictMap(("dst",), (((ONE,), nat("dnat", "10.0.0.1")), ((everything(32),), nat("dnat", "10.0.0.9")))),
    ],
    snat_address=[V4, nat("snat", "192.0.2.1")],
    snat_range=[V4, nat("snat", "192.0.2.1", "192.0.2.9")],
    snat_ports=[TCP, V4, nat("snat", "192.0.2.1", port=(1024, 65535), exact=False)],
    snat6=[V6, nat("snat", "2001:db8::1")],
    snat_map=[V4, VerdictMap(("src",), (((among("10.0.0.1"),), nat("snat", "192.0.2.1")),))],
    masq=nat("snat", out=True),
    masq_ports=[TCP, nat("snat", port=(1024, 65535), out=True)],
    masq_random=nat("snat", out=True, exact=False),
    redirect_plain=nat("dnat", out=True),
    redirect_port=[TCP, within("dport", 80), nat("dnat", port=3128, out=True)],
    redirect_map=[
        TCP,
        within("dport", 80, 443),
        VerdictMap(
            ("dport",),
            (
                ((among(80),), nat("dnat", port=3128, out=True)),
                ((among(443),), nat("dnat", port=3129, out=True)),
            ),
        ),
    ],
)

WRITTEN_MARKS = listed(
    set_mark=SetMark("mark", MASK, 0x10),
    set_mark_or=SetMark("mark", 0x10, 0x10),
    set_mark_and=SetMark("mark", 0xFF, 0),
    set_mark_and_or=SetMark("mark", 0xFF, 0x10),
    set_mark_xor=SetMark("mark", 0, 0x10),
    set_ct_mark=SetMark("ctmark", MASK, 0x10),
    set_ct_mark_or=[TRACKED, SetMark("ctmark", 0x10, 0x10)],
    copy_to_packet=[TRACKED, CopyMark("ctmark", "mark")],
    copy_to_connection=CopyMark("mark", "ctmark"),
    copy_masked=[TRACKED, CopyMark("ctmark", "mark", from_mask=0xFF)],
    copy_or=[TRACKED, CopyMark("ctmark", "mark", from_mask=0xFF00), SetMark("mark", 0, 1)],
    set_mark_map=[
        V4,
        VerdictMap(("src",), (((ONE,), SetMark("mark", MASK, 5)), ((TWO,), SetMark("mark", MASK, 6)))),
    ],
    set_mark_map_named=[V4, VerdictMap(("src",), (((ONE,), SetMark("mark", MASK, 5)),), "mark_of")],
    set_mark_filled=[V4, VerdictMap(("src",), (), "filled", filled_by_rules=True)],
    set_mark_hash=Opaque(TEXT),
    set_mark_numgen=Opaque(TEXT),
)

STATEMENTS = listed(
    s_counter=(),
    s_counter_named=ACCEPT,
    s_counter_map=[TCP, named("", ["dport"], (among(80),)), ACCEPT],
    s_log=[NOTE, ACCEPT],
    s_log_group=[NOTE, DROP],
    s_log_flags=NOTE,
    s_log_audit=NOTE,
    s_log_one=NOTE,
    s_comment=[TCP, within("dport", 80), ACCEPT],
    s_notrack=Untrack(),
    s_tproxy=[TCP, Opaque(TEXT), ACCEPT],
    s_tproxy_port=[TCP, within("dport", 80), Opaque(TEXT)],
    s_synproxy=[TCP, within("dport", 80), Opaque(TEXT)],
    s_synproxy_named=[TCP, within("dport", 80), Opaque(TEXT)],
    s_helper=[TCP, within("dport", 21), NOTE],
    s_expectation=[TCP, within("dport", 21), NOTE],
    s_trace=NOTE,
    s_priority=NOTE,
    s_pkttype=Opaque(TEXT),
    s_zone=Opaque(TEXT),
    s_event=NOTE,
    s_label=NOTE,
    s_ttl=[V4, NOTE],
    # With one hop left it goes no further than this host.
    s_ttl_one=[V4, Opaque(TEXT, rewrites=False)],
    s_dscp=[V4, NOTE],
    s_daddr=[V4, Opaque(TEXT)],
    s_maxseg=[TCP, Masked("tcp_flags", 2, 0, negated=True), NOTE],
    s_maxseg_number=[TCP, Masked("tcp_flags", 6, 2), NOTE],
    s_add=[V4, NOTE],
    s_add_limit=[TCP, within("dport", 22), state("new"), V4, NOTE, Rate(TEXT, False), DROP],
    s_update=[TCP, within("dport", 22), V4, NOTE, ACCEPT],
    s_delete=[V4, TCP, NOTE],
    s_map_update=[V4, NOTE],
    s_meter=[TCP, within("dport", 22), V4, NOTE, Rate(TEXT, True), ACCEPT],
    s_reset_option=[TCP, within("dport", 80), NOTE, ACCEPT],
    s_two_effects=[SetMark("mark", MASK, 1), NOTE, ACCEPT],
)

OTHER_TABLES = {
    "ip t4": listed(
        saddr_one=[Within("src", ONE), ACCEPT],
        dport_one=[TCP, within("dport", 80), ACCEPT],
        icmp_one=[within("proto", 1), within("icmp_type", 8), ACCEPT],
        ip_protocol=[TCP, ACCEPT],
        original_saddr=[Within("osrc", ONE), ACCEPT],
        # nft lists the prefix 192.0.2.0/24 as the address 0.192.0.2.
        reply_daddr=[UNKNOWN, ACCEPT],
        ct_l3proto=[TRACKED, V4, ACCEPT],
        dnat_port=[TCP, within("dport", 80), nat("dnat", "10.0.0.1", port=8080)],
        dnat_services=[
            TCP,
            VerdictMap(("dport",), (((among(80),), nat("dnat", "10.0.0.1", port=8080)),)),
        ],
        dnat_source_map=[
            TCP,
            VerdictMap(PAIR, (((ONE, among(80)), nat("dnat", "10.0.0.1", port=8080)),)),
        ],
        snat_address=nat("snat", "192.0.2.1"),
        masq=nat("snat", out=True),
        redirect_port=[TCP, within("dport", 80), nat("dnat", port=3128, out=True)],
        v_reject=REJECT,
        v_reject_host=REJECT,
        s_dup=NOTE,
        vmap_saddr=VerdictMap(("src",), (((ONE,), ACCEPT), ((among("10.0.0.0/8"),), DROP))),
    ),
    "ip6 t6": listed(
        saddr_one=[within("src", "2001:db8::1"), ACCEPT],
        icmp6_one=[within("proto", 58), within("icmp_type", 128), ACCEPT],
        ip6_nexthdr=[UDP, ACCEPT],
        original_daddr=[within("odst", "2001:db8::1"), ACCEPT],
        dnat_port=[TCP, within("dport", 80), nat("dnat", "fd00::1", port=8080)],
        snat_address=nat("snat", "2001:db8::1"),
        v_reject=REJECT,
        frag_exists=[Never(TEXT), UNKNOWN, DROP],
        hoplimit=[UNKNOWN, ACCEPT],
    ),
    "bridge tb": listed(
        ether_ip=[V4, ACCEPT],
        protocol_ip=[V4, ACCEPT],
        ether_arp=[within("family"), ACCEPT],
        saddr_one=[V4, Within("src", ONE), ACCEPT],
        dport_one=[V4, TCP, within("dport", 80), ACCEPT],
        iifname_one=[link("veth0"), DROP],
        ether_saddr=[UNKNOWN, DROP],
        vlan_id=[UNKNOWN, DROP],
    ),
    "netdev td": listed(
        saddr_one=[V4, Within("src", ONE), DROP],
        protocol_ip=[V4, ACCEPT],
        s_fwd=Opaque(TEXT),
        s_dup=NOTE,
    ),
    "arp ta": listed(operation=[Never(TEXT), UNKNOWN, ACCEPT]),
    "inet t11": listed(
        set_mark_dscp=Opaque(TEXT),
        s_last=ACCEPT,
        set_mark_both=[TRACKED, CopyMark("mark", "ctmark", from_mask=0xFFFF, to_mask=0xFFFF)],
        inner=[UDP, within("dport", 4789), UNKNOWN, ACCEPT],
    ),
    "inet t117": listed(
        fib_check=[route(loose=True, invert=True), DROP],
        fib_check_iif=[route(), ACCEPT],
    ),
}

#: By chain: ``inet t/saddr_one``.
MEANINGS: dict[str, tuple[t.Any, ...]] = {
    f"{table}/{chain}": parts
    for table, chains in {
        "inet t": {
            **VERDICTS, **ADDRESSES, **PROTOCOLS, **PORTS, **ICMP, **INTERFACES, **MARKS, **CONNECTIONS, **RATES, **ROUTES,
            **HOST, **FLAGS, **SETS, **MAPS, **TRANSLATIONS, **WRITTEN_MARKS, **STATEMENTS,
        },
        **OTHER_TABLES,
    }.items()
    for chain, parts in chains.items()
}  # fmt: skip
