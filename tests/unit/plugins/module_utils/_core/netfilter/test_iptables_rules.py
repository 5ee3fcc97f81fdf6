# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import ipaddress
import typing as t
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.ruleset import (
    AddressType,
    Chain,
    Conntrack,
    CopyMark,
    Direction,
    FrameType,
    Interface,
    IpSet,
    Jump,
    Lookup,
    Masked,
    Nat,
    Never,
    Note,
    Opaque,
    Owner,
    PhysDev,
    Rate,
    ReversePath,
    Rule,
    Ruleset,
    SetMark,
    State,
    Status,
    Table,
    Unknowable,
    Untrack,
    Verdict,
    Within,
    parse_iptables_save,
)
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.sets import PORTS, IntSet
from ansible_collections.bulkhead.docker.tests.fuzz import iptables as fuzz

DATA = Path(__file__).parent / "data"
ACCEPT, DROP = Verdict("accept"), Verdict("drop")
TCP, UDP = Within("proto", IntSet.of(6)), Within("proto", IntSet.of(17))


def parsed(text: str, family: int = 4) -> Ruleset:
    return parse_iptables_save(text, family)


def chain(ruleset: Ruleset, table: str, name: str, family: str = "ip") -> Chain:
    return ruleset.by_name[Table(family, table), name]


def rule(text: str, family: int = 4, table: str = "filter") -> Rule:
    """Parse one rule, in a chain of its own beside a chain ``target``."""
    ruleset = parsed(f"*{table}\n:mine - [0:0]\n:target - [0:0]\n-A mine {text}\nCOMMIT\n", family)
    (found,) = chain(ruleset, table, "mine", "ip" if family == 4 else "ip6").rules
    return found


def parts(text: str, family: int = 4) -> list[t.Any]:
    return list(rule(text, family).parts)


def addresses(text: str) -> IntSet:
    network = ipaddress.ip_network(text)
    return IntSet([(int(network[0]), int(network[-1]))])


def number(address: str) -> int:
    return int(ipaddress.ip_address(address))


# ---- what a rule asks ---------------------------------------------------------------------------------------------

HEADERS = [
    ("-s 192.0.2.0/24", [Within("src", addresses("192.0.2.0/24"))]),
    ("! -d 192.0.2.7/32", [Within("dst", addresses("192.0.2.7"), negated=True)]),
    ("-s 10.0.0.1/255.255.255.254", [Within("src", addresses("10.0.0.0/31"))]),
    ("-s 10.0.0.1/255.0.255.255", [Within("src", IntSet((10 << 24 | i << 16 | 1,) * 2 for i in range(256)))]),
    ("--source 192.0.2.1 --destination 192.0.2.2", [Within("src", IntSet.of(number("192.0.2.1"))), Within("dst", IntSet.of(number("192.0.2.2")))]),
    ("--src 192.0.2.1 --dst 192.0.2.2", [Within("src", IntSet.of(number("192.0.2.1"))), Within("dst", IntSet.of(number("192.0.2.2")))]),
    ("-s ! 192.0.2.0/24", [Within("src", addresses("192.0.2.0/24"), negated=True)]),
    ("-i ! eth0", [Interface("iif", frozenset({"eth0"}), negated=True)]),
    ("-i eth0 ! -o docker0", [Interface("iif", frozenset({"eth0"})), Interface("oif", frozenset({"docker0"}), negated=True)]),
    ("-i br-+", [Interface("iif", prefixes=("br-",))]),
    ("! -o +", [Interface("oif", prefixes=("",), negated=True)]),
    ("--in-interface eth0 --out-interface eth1", [Interface("iif", frozenset({"eth0"})), Interface("oif", frozenset({"eth1"}))]),
    ("-p tcp", [TCP]),
    ("--protocol 17", [UDP]),
    ("! -p TCP", [Within("proto", IntSet.of(6), negated=True)]),
    ("-p all", []),
    ("-p 0", []),
    ("-p 255", [Within("proto", IntSet.of(255))]),
    ("-p icmp", [Within("proto", IntSet.of(1))]),
    ("-p ospf", [Within("proto", IntSet.of(89))]),
    ("-f", [Never("-f")]),
    ("! -f", []),
    ("-4", []),
    ("-6", [Never("only in IPv6")]),
]  # fmt: skip

PORT_RULES = [
    ("-p tcp -m tcp --dport 80", [TCP, Within("dport", IntSet.of(80))]),
    ("-p tcp --dport 80", [TCP, Within("dport", IntSet.of(80))]),
    ("-p tcp -m state --state NEW --dport 80", [TCP, State(frozenset({"new"})), Within("dport", IntSet.of(80))]),
    ("-p tcp -m tcp -m state --state NEW --dport 80", [TCP, Within("dport", IntSet.of(80)), State(frozenset({"new"}))]),
    ("-p tcp -m tcp --sport 1024: ! --dport :1023", [TCP, Within("sport", IntSet([(1024, 65535)])), Within("dport", IntSet([(0, 1023)]), negated=True)]),
    ("-p udp -m udp --source-port 53 --destination-port 1024:2048", [UDP, Within("sport", IntSet.of(53)), Within("dport", IntSet([(1024, 2048)]))]),
    ("-p tcp -m tcp --dport ! 22", [TCP, Within("dport", IntSet.of(22), negated=True)]),
    ("-p sctp -m sctp --dport 9", [Within("proto", IntSet.of(132)), Within("dport", IntSet.of(9))]),
    ("-p dccp -m dccp --dport 9", [Within("proto", IntSet.of(33)), Within("dport", IntSet.of(9))]),
    ("-p udplite -m udplite --dport 9", [Within("proto", IntSet.of(136)), Within("dport", IntSet.of(9))]),
    ("-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN", [TCP, Masked("tcp_flags", 0b10111, 0b00010)]),
    ("-p tcp -m tcp ! --syn", [TCP, Masked("tcp_flags", 0b10111, 0b00010, negated=True)]),
    ("-p tcp -m tcp --tcp-flags ALL NONE", [TCP, Masked("tcp_flags", 0b111111, 0)]),
    ("-p tcp -m multiport --dports 80,443,8000:8100", [TCP, Within("dport", IntSet([(80, 80), (443, 443), (8000, 8100)]))]),
    ("-p udp -m multiport ! --sports 53", [UDP, Within("sport", IntSet.of(53), negated=True)]),
    ("-p tcp -m multiport ! --ports 22,80:90",
     [TCP, Lookup(("sport", "dport"), ((IntSet([(22, 22), (80, 90)]), PORTS), (PORTS, IntSet([(22, 22), (80, 90)]))),
      negated=True)]),
    ("-p icmp -m icmp --icmp-type 8", [Within("proto", IntSet.of(1)), Within("icmp_type", IntSet.of(8))]),
    ("-p icmp --icmp-type echo-request", [Within("proto", IntSet.of(1)), Within("icmp_type", IntSet.of(8))]),
    ("-p icmp -m icmp --icmp-type 3/4", [Within("proto", IntSet.of(1)), Within("icmp_type", IntSet.of(3)), Within("icmp_code", IntSet.of(4))]),
    ("-p icmp -m icmp ! --icmp-type 3/4", [Within("proto", IntSet.of(1)), Lookup(("icmp_type", "icmp_code"), ((IntSet.of(3), IntSet.of(4)),), negated=True)]),
    ("-p icmp -m icmp --icmp-type any", [Within("proto", IntSet.of(1))]),
    ("-p icmp -m icmp ! --icmp-type any", [Within("proto", IntSet.of(1)), Never("! any")]),
]  # fmt: skip

CONNECTION_RULES = [
    ("-m conntrack --ctstate RELATED,ESTABLISHED", [State(frozenset({"related", "established"}))]),
    ("-m conntrack ! --ctstate SNAT,DNAT", [State(frozenset({"snat", "dnat"}), negated=True)]),
    ("-m state --state INVALID,UNTRACKED", [State(frozenset({"invalid", "untracked"}))]),
    ("-m conntrack --ctstate DNAT --ctdir ORIGINAL ! --ctorigdstport 8080:8090",
     [Conntrack(State(frozenset({"dnat"})), (Direction("original"), Within("odport", IntSet([(8080, 8090)]),
      negated=True)))]),
    ("-m conntrack --ctorigsrc 192.0.2.0/24 ! --ctorigdst 192.0.2.7",
     [Conntrack(None, (Within("osrc", addresses("192.0.2.0/24")), Within("odst", addresses("192.0.2.7"),
      negated=True)))]),
    ("-m conntrack --ctreplsrc 192.0.2.7 --ctrepldst 10.0.0.0/8",
     [Conntrack(None, (Within("rsrc", addresses("192.0.2.7")), Within("rdst", addresses("10.0.0.0/8"))))]),
    ("-m conntrack --ctorigsrcport 1 --ctreplsrcport 2 --ctrepldstport 3",
     [Conntrack(None, (Within("osport", IntSet.of(1)), Within("rsport", IntSet.of(2)),
      Within("rdport", IntSet.of(3))))]),
    ("-m conntrack ! --ctproto 6", [Conntrack(None, (Within("oproto", IntSet.of(6), negated=True),))]),
    ("-m conntrack --ctdir REPLY", [Conntrack(None, (Direction("reply"),))]),
    ("-m conntrack ! --ctstatus EXPECTED,SEEN_REPLY", [Conntrack(None, (Status(frozenset({"expected", "seen-reply"}), negated=True),))]),
    ("-m conntrack --ctstatus NONE", [Conntrack(None, (Status(frozenset()),))]),
    ("-m conntrack --ctstate NEW ! --ctexpire 10", [Conntrack(State(frozenset({"new"})), (Unknowable("! --ctexpire 10"),))]),
    ("-m mark --mark 0x10/0xf0", [Masked("mark", 0xF0, 0x10)]),
    ("-m mark --mark 0x3/0x1", [Masked("mark", 0x1, 0x3)]),
    ("-m mark ! --mark 16", [Masked("mark", 0xFFFFFFFF, 16, negated=True)]),
    ("-m mark --mark 010", [Masked("mark", 0xFFFFFFFF, 8)]),
    ("-m connmark --mark 0x1", [Masked("ctmark", 0xFFFFFFFF, 1)]),
]  # fmt: skip

PLACE_RULES = [
    ("-m addrtype --dst-type LOCAL", [AddressType("dst", frozenset({"LOCAL"}))]),
    ("-m addrtype ! --src-type LOCAL,BROADCAST --dst-type UNICAST --limit-iface-in",
     [AddressType("src", frozenset({"LOCAL", "BROADCAST"}), negated=True, limit="iif"),
      AddressType("dst", frozenset({"UNICAST"}), limit="iif")]),
    ("-m addrtype --src-type LOCAL --limit-iface-out", [AddressType("src", frozenset({"LOCAL"}), limit="oif")]),
    ("-m iprange --src-range 10.0.0.1-10.0.0.9 ! --dst-range 10.0.1.0-10.0.1.7",
     [Within("src", IntSet([(number("10.0.0.1"), number("10.0.0.9"))])), Within("dst", addresses("10.0.1.0/29"),
      negated=True)]),
    ("-m set ! --match-set blocked src,dst", [IpSet("blocked", ("src", "dst"), negated=True)]),
    ("-m set --set blocked src", [IpSet("blocked", ("src",))]),
    ('-m set --match-set "a\\"b" src', [IpSet('a"b', ("src",))]),
    ("-m set --match-set blocked src ! --update-counters", [IpSet("blocked", ("src",))]),
    ("-m set --match-set blocked src --return-nomatch", [IpSet("blocked", ("src",)), Unknowable("--return-nomatch")]),
    ("-m set --match-set a src --packets-gt 5 ! --bytes-eq 7", [IpSet("a", ("src",)), Unknowable("--packets-gt 5 ! --bytes-eq 7")]),
    ("-m physdev --physdev-in veth0 ! --physdev-out vnet+ --physdev-is-bridged", [PhysDev("veth0", "vnet+", oif_negated=True, is_bridged=True)]),
    ("-m physdev --physdev-is-in ! --physdev-is-out", [PhysDev(is_in=True, is_out=False)]),
    ("-m pkttype --pkt-type unicast", [FrameType(frozenset({"unicast"}))]),
    ("-m pkttype ! --pkt-type unicast", [FrameType(frozenset({"unicast"}), negated=True)]),
    ("-m pkttype --pkt-type broadcast", [FrameType(frozenset({"broadcast"}))]),
    ("-m pkttype ! --pkt-type multicast", [FrameType(frozenset({"multicast"}), negated=True)]),
    ("-m rpfilter", [ReversePath()]),
    ("-m rpfilter --invert", [ReversePath(invert=True)]),
    ("-m rpfilter --loose --validmark --accept-local --invert", [ReversePath(loose=True, accept_local=True, invert=True)]),
    ("-m owner --uid-owner 1000", [Owner(IntSet.of(1000))]),
    ("-m owner ! --uid-owner 1000-1999", [Owner(IntSet([(1000, 1999)]), negated=True)]),
    ("-m owner --uid-owner www-data", [Owner(None)]),
    ("-m owner ! --gid-owner 33 --suppl-groups", [Owner(None, negated=True)]),
    ("-m owner --socket-exists", [Owner(None)]),
    ("-m policy --dir in --pol none", []),
    ("-m policy --dir out --pol ipsec --strict --reqid 1 --next --reqid 2", [Never("-m policy --dir out --pol ipsec --strict --reqid 1 --next --reqid 2")]),
    ("-m comment --comment -j -i eth0", [Interface("iif", frozenset({"eth0"}))]),
    ('-m comment --comment "! -s 192.0.2.1" -i eth0', [Interface("iif", frozenset({"eth0"}))]),
    ('-m comment --comment "say \\"-j DROP\\" \\\\" -i eth0', [Interface("iif", frozenset({"eth0"}))]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [*HEADERS, *PORT_RULES, *CONNECTION_RULES, *PLACE_RULES],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_condition_becomes_what_the_kernel_asks(text: str, expected: list[t.Any]) -> None:
    assert parts(f"{text} -j ACCEPT") == [*expected, ACCEPT]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-s 2001:db8::/32", [Within("src", addresses("2001:db8::/32"))]),
        ("! -d fe80::1/128", [Within("dst", addresses("fe80::1"), negated=True)]),
        ("-p icmp", [Within("proto", IntSet.of(1))]),
        ("-p ipv6-icmp -m icmp6 --icmpv6-type 128", [Within("proto", IntSet.of(58)), Within("icmp_type", IntSet.of(128))]),
        ("-p icmpv6 --icmpv6-type no-route", [Within("proto", IntSet.of(58)), Within("icmp_type", IntSet.of(1)), Within("icmp_code", IntSet.of(0))]),
        ("-p icmpv6 -m icmp6 --icmpv6-type 255", [Within("proto", IntSet.of(58)), Within("icmp_type", IntSet.of(255))]),
        ("-m iprange --dst-range fd00::-fd00::f", [Within("dst", addresses("fd00::/124"))]),
        ("-m conntrack --ctorigdst fd00::1", [Conntrack(None, (Within("odst", addresses("fd00::1")),))]),
        ("-m rt ! --rt-type 0", [Never("-m rt ! --rt-type 0")]),
        ("-4", [Never("only in IPv4")]),
        ("-p icmp -m icmp --icmp-type 8", [Within("proto", IntSet.of(1)), Unknowable("-m icmp --icmp-type 8")]),
    ],
)  # fmt: skip
def test_a_condition_of_ip6tables_becomes_what_the_kernel_asks(text: str, expected: list[t.Any]) -> None:
    assert parts(f"{text} -j ACCEPT", 6) == [*expected, ACCEPT]


@pytest.mark.parametrize(
    ("text", "calm"),
    [
        ("-m limit --limit 3/min --limit-burst 10", True),
        ("-m hashlimit --hashlimit-upto 10/sec --hashlimit-mode srcip --hashlimit-name a", True),
        ("-m hashlimit --hashlimit 10/sec --hashlimit-name a", True),
        ("-m hashlimit ! --hashlimit-upto 10/sec --hashlimit-name a", False),
        ("-m hashlimit --hashlimit-above 10/sec --hashlimit-name a", False),
        ("-m hashlimit --hashlimit-above 10/sec --hashlimit-name a --hashlimit-rate-match", False),
        ("-m recent --rcheck --seconds 60 --name a", False),
        ("-m recent ! --rcheck --name a", True),
        ("-m recent --update --seconds 30 --hitcount 6 --name a", False),
        ("-m recent --remove --name a", False),
        ("-m connlimit --connlimit-above 10", False),
        ("-m connlimit --connlimit-above 0", True),
        ("-m connlimit ! --connlimit-above 10", True),
        ("-m connlimit --connlimit-upto 1", True),
        ("-m connlimit --connlimit-upto 0", False),
        ("-m quota --quota 1000", True),
        ("-m quota --quota 0", False),
        ("-m quota ! --quota 1000", False),
        ("-m statistic --mode random --probability 0.5", None),
    ],
)
def test_what_depends_on_the_past_says_what_a_silent_sender_gets(text: str, calm: bool | None) -> None:
    assert parts(f"{text} -j DROP") == [Rate(text, calm), DROP]


def test_writing_a_sender_down_is_no_condition_and_its_opposite_never_fits() -> None:
    assert parts("-m recent --set --name a --rsource -j DROP") == [DROP]
    assert parts("-m recent ! --set --name a -j DROP") == [Never("-m recent ! --set --name a"), DROP]


@pytest.mark.parametrize(
    ("before", "asked", "calm"),
    [
        ("-A mine -m recent --set --name a", "--rcheck", None),
        ("-A mine -m recent --set --name a", "--update --hitcount 1", None),
        ("-A mine -m recent --set --name a", "--update --hitcount 2", False),
        ("-A mine -m recent --set --name b", "--rcheck", False),
        ("-A mine -m recent --set --name a -j DROP", "--rcheck", False),
        ("-A mine -m recent --set --name a -j ACCEPT", "--rcheck", False),
        ("-A other -m recent --set --name a", "--rcheck", None),
        ("-A mine -m recent --update --name a", "--rcheck", False),
        ("-A mine -m recent --set --name a\n-A mine -m recent --update --hitcount 9 --name a", "--rcheck --hitcount 2", None),
    ],
)  # fmt: skip
def test_a_list_is_not_empty_for_a_packet_that_a_rule_before_has_written_down(
    before: str, asked: str, calm: bool | None
) -> None:
    text = f"*filter\n:mine - [0:0]\n:other - [0:0]\n{before}\n-A mine -m recent {asked} --name a -j DROP\nCOMMIT\n"
    rate = chain(parsed(text), "filter", "mine").rules[-1].parts[0]
    assert isinstance(rate, Rate)
    assert rate.calm is calm


def test_a_rule_that_writes_a_sender_down_later_says_nothing_about_a_silent_one() -> None:
    text = "*filter\n:X - [0:0]\n-A X -m recent --rcheck --name a -j DROP\n-A X -m recent --set --name a\nCOMMIT\n"
    rate = chain(parsed(text), "filter", "X").rules[0].parts[0]
    assert isinstance(rate, Rate)
    assert rate.calm is False


@pytest.mark.parametrize(
    "text",
    [
        "-m mac --mac-source 00:11:22:33:44:55", "-m length ! --length 100:200", '-m string --string "-j DROP" --algo bm',
        '-m u32 --u32 "0x0=0x1"', '-m bpf --bytecode "1,6 0 0 0"', "-m time --timestart 08:00:00 --weekdays Mon",
        '-m helper --helper "ftp"', "-m ttl --ttl-lt 5", "-m socket --transparent", "-m dscp --dscp 0x08", "-m xyzzy",
        "-m connbytes --connbytes 1:2 --connbytes-mode bytes --connbytes-dir both", "-m conntrack", "-m addrtype",
        "-m conntrack --ctstate NEWISH", "-m addrtype --dst-type HERE", "-m set --match-set a sideways",
        "-m mark --mark 0x1ffffffff", "-m mark --mark ten", "-m mark --mark 1_0", "-m iprange --src-range 10.0.0.9-10.0.0.1",
        "-m pkttype --pkt-type parcel", "-m recent --rcheck --set", "-m recent --name a", "-m policy --dir in",
        "-m tcp --dport 80", "-m multiport --dports 80", "-m icmp --icmp-type 8", "-m icmp6 --icmpv6-type 128",
    ],
)  # fmt: skip
def test_a_match_that_nobody_can_answer_is_kept_with_its_text(text: str) -> None:
    assert parts(f"{text} -j ACCEPT") == [Unknowable(text), ACCEPT]


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("-s example.org", "-s example.org"),
        ("! -d 2001:db8::1", "! -d 2001:db8::1"),
        ("-s 10.0.0.1/0.255.0.255", "-s 10.0.0.1/0.255.0.255"),
        ("-p ipx", "-p ipx"),
        ("-p 256", "-p 256"),
        ("-p tcp -m tcp --dport 80 --xyzzy 5 6", "--xyzzy 5 6"),
        ("-p tcp -m tcp --dport 80 ! --xyzzy", "! --xyzzy"),
        ("-p tcp -m tcp --dport 80 --dport 81", "--dport 81"),
        ("-p tcp -m tcp --tcp-option 5", "--tcp-option 5"),
        ("-p sctp -m sctp --chunk-types any INIT", "--chunk-types any INIT"),
        ("-s 192.0.2.1 -s 192.0.2.2", "-s 192.0.2.2"),
        ("xyzzy plugh -i eth0", "xyzzy plugh"),
        ("! -m tcp", "! -m tcp"),
        ("-m comment ! --comment no", "! --comment no"),
        ("-t nat", "-t nat"),
        ("-p tcp -m udp --dport 80", "-m udp --dport 80"),
        ("! -p tcp -m tcp --dport 80", "-m tcp --dport 80"),
        ("-p tcp -m tcp --dport http", "-m tcp --dport http"),
        ("-p tcp -m tcp --dport 90:80", "-m tcp --dport 90:80"),
        ("-p tcp -m tcp --dport 65536", "-m tcp --dport 65536"),
        ("-p tcp -m tcp --dport 80,81", "-m tcp --dport 80,81"),
        ("-p tcp -m tcp --dport ８０", "-m tcp --dport ８０"),
    ],
)  # fmt: skip
def test_what_is_not_understood_stays_in_the_rule_beside_what_is(text: str, unknown: str) -> None:
    found = parts(f"{text} -j ACCEPT")
    assert Unknowable(unknown) in found
    assert found[-1] == ACCEPT
    assert sum(isinstance(part, Unknowable) for part in found) == 1


@pytest.mark.parametrize("text", ["-p tcp xyzzy DROP", "--jmup DROP", "-m tcp --dport -j DROP", "!", "-i", "-s ! "])
def test_a_damaged_rule_without_a_target_may_do_anything(text: str) -> None:
    found = rule(text)
    assert found.parts[-1] == Opaque(f"-A mine {text}".strip())


# ---- what a rule does ---------------------------------------------------------------------------------------------


def test_a_rule_without_a_target_only_counts() -> None:
    assert parts("-p tcp") == [TCP]
    assert parts("") == []


EFFECTS = [
    ("-j ACCEPT", ACCEPT),
    ("--jump DROP", DROP),
    ("-j RETURN", Verdict("return")),
    ("-j REJECT --reject-with icmp-port-unreachable", Verdict("reject")),
    ("-j target", Jump("target")),
    ("-g target", Jump("target", goto=True)),
    ("--goto target", Jump("target", goto=True)),
    ('-j LOG --log-prefix "[UFW BLOCK] "', Note('-j LOG --log-prefix "[UFW BLOCK] "')),
    ("-j LOG --log-prefix -j --log-uid", Note("-j LOG --log-prefix -j --log-uid")),
    ("-j TCPMSS --clamp-mss-to-pmtu", Note("-j TCPMSS --clamp-mss-to-pmtu")),
    ("-j CT --helper ftp", Note("-j CT --helper ftp")),
    ("-j SET --add-set seen src --exist", Note("-j SET --add-set seen src --exist")),
    ("-j CT --notrack", Untrack()),
    ("-j NOTRACK", Untrack()),
    ("-j DNAT --to-destination 172.18.0.2", Nat("dnat", (number("172.18.0.2"),) * 2)),
    ("-j DNAT --to-destination 172.18.0.2:80", Nat("dnat", (number("172.18.0.2"),) * 2, (80, 80))),
    ("-j DNAT --to-destination :80-90", Nat("dnat", None, (80, 90))),
    ("-j DNAT --to-destination 10.0.0.1-10.0.0.9:80 --random", Nat("dnat", (number("10.0.0.1"), number("10.0.0.9")), (80, 80), exact=False)),
    ("-j SNAT --to-source 192.0.2.1-192.0.2.9 --persistent", Nat("snat", (number("192.0.2.1"), number("192.0.2.9")))),
    ("-j SNAT --to-source 192.0.2.1:1024-2048 --random-fully", Nat("snat", (number("192.0.2.1"),) * 2, (1024, 2048), exact=False)),
    ("-j MASQUERADE", Nat("snat", to_interface=True)),
    ("-j MASQUERADE --to-ports 1024-2048 --random", Nat("snat", ports=(1024, 2048), to_interface=True, exact=False)),
    ("-j REDIRECT --to-ports 3128", Nat("dnat", ports=(3128, 3128), to_interface=True)),
    ("-j REDIRECT", Nat("dnat", to_interface=True)),
    ("-j MARK --set-xmark 0x1/0xff", SetMark("mark", 0xFF, 1)),
    ("-j MARK --set-mark 0x100/0xff", SetMark("mark", 0x1FF, 0x100)),
    ("-j MARK --or-mark 0x8", SetMark("mark", 8, 8)),
    ("-j MARK --and-mark 0xf", SetMark("mark", 0xFFFFFFF0, 0)),
    ("-j MARK --xor-mark 0xf", SetMark("mark", 0, 0xF)),
    ("-j CONNMARK --set-xmark 0x7/0xffffffff", SetMark("ctmark", 0xFFFFFFFF, 7)),
    ("-j CONNMARK --save-mark --nfmask 0xff --ctmask 0xff00", CopyMark("mark", "ctmark", from_mask=0xFF, to_mask=0xFF00)),
    ("-j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff00", CopyMark("ctmark", "mark", from_mask=0xFF00, to_mask=0xFF)),
    ("-j CONNMARK --save-mark --mask 0xf", CopyMark("mark", "ctmark", from_mask=0xF, to_mask=0xF)),
    ("-j CONNMARK --restore-mark", CopyMark("ctmark", "mark")),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), EFFECTS)
def test_a_target_does_what_the_kernel_does(text: str, expected: t.Any) -> None:
    assert parts(text) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fd00::2", Nat("dnat", (number("fd00::2"),) * 2)),
        ("[fd00::2]:80", Nat("dnat", (number("fd00::2"),) * 2, (80, 80))),
        ("[fd00::2]:80-90", Nat("dnat", (number("fd00::2"),) * 2, (80, 90))),
        ("fd00::2-fd00::9", Nat("dnat", (number("fd00::2"), number("fd00::9")))),
        ("[fd00::2-fd00::9]:80", Nat("dnat", (number("fd00::2"), number("fd00::9")), (80, 80))),
        (":80", Nat("dnat", None, (80, 80))),
    ],
)
def test_a_destination_of_ipv6_is_read_in_all_its_forms(text: str, expected: Nat) -> None:
    assert parts(f"-j DNAT --to-destination {text}", 6) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "-j NFQUEUE --queue-num 3", "-j QUEUE", "-j TPROXY --on-port 1", "-j NETMAP --to 10.0.0.0/24", "-j XYZZY",
        "-j elsewhere", "-g elsewhere", "-g ACCEPT", "-j DNAT --to-destination 172.18.0.2:2000-2010/3000", "-j DNAT",
        "-j DNAT --to-destination 2001:db8::1", "-j DNAT --to-destination 10.0.0.9-10.0.0.1", "-j MARK", "-j SNAT --to-source :",
        "-j DNAT --to-destination 10.0.0.1: --random", "-j MARK --set-mark 1 --or-mark 2", "-j SET --map-set a src --map-mark",
        "-j CONNMARK --set-xmark 0x1/0x1 --left-shift-mark 2", "-j REDIRECT [unsupported revision]", "-j ACCEPT --xyzzy",
        "-j target --xyzzy",
    ],
)  # fmt: skip
def test_a_target_that_nobody_knows_may_do_anything(text: str) -> None:
    (found,) = parts(text)
    assert isinstance(found, Opaque)
    assert found.rewrites
    assert text.startswith(found.text)


def test_a_destination_of_the_other_family_is_not_understood() -> None:
    assert parts("-j DNAT --to-destination 10.0.0.1", 6) == [Opaque("-j DNAT --to-destination 10.0.0.1")]


def test_a_target_that_cannot_turn_a_packet_into_another_one_is_known_for_that() -> None:
    assert parts("-j TTL --ttl-set 64") == [Opaque("-j TTL --ttl-set 64", rewrites=False)]


def test_two_targets_are_one_too_many() -> None:
    assert parts("-j ACCEPT -j DROP") == [Unknowable("-j DROP"), ACCEPT]


def test_a_chain_of_the_kernel_is_nothing_to_jump_to() -> None:
    # At the end of such a chain comes its policy, and not the rule after the jump.
    ruleset = parsed("*filter\n:INPUT DROP [0:0]\n:X - [0:0]\n-A X -j INPUT\nCOMMIT\n")
    assert chain(ruleset, "filter", "X").rules[0].parts == (Opaque("-j INPUT"),)


# ---- tables and chains --------------------------------------------------------------------------------------------

EMPTY = """\
# Generated by iptables-save v1.8.9 (nf_tables) on Sat Nov 21 14:58:11 2026
*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
COMMIT
# Completed on Sat Nov 21 14:58:11 2026
*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
COMMIT
*filter
:INPUT DROP [12:3456]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
COMMIT
*security
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
COMMIT
"""


def test_the_chains_that_the_kernel_calls_have_its_hooks_and_priorities() -> None:
    ruleset = parsed(EMPTY)
    assert ruleset.troubles == ()
    assert {(c.table.name, c.name): (c.hook, c.priority, c.kind, c.policy) for c in ruleset.chains} == {
        ("raw", "PREROUTING"): ("prerouting", -300, "filter", "accept"),
        ("raw", "OUTPUT"): ("output", -300, "filter", "accept"),
        ("mangle", "PREROUTING"): ("prerouting", -150, "filter", "accept"),
        ("mangle", "INPUT"): ("input", -150, "filter", "accept"),
        ("mangle", "FORWARD"): ("forward", -150, "filter", "accept"),
        ("mangle", "OUTPUT"): ("output", -150, "route", "accept"),
        ("mangle", "POSTROUTING"): ("postrouting", -150, "filter", "accept"),
        ("nat", "PREROUTING"): ("prerouting", -100, "nat", "accept"),
        ("nat", "INPUT"): ("input", 100, "nat", "accept"),
        ("nat", "OUTPUT"): ("output", -100, "nat", "accept"),
        ("nat", "POSTROUTING"): ("postrouting", 100, "nat", "accept"),
        ("nat", "DOCKER"): ("", 0, "filter", ""),
        ("filter", "INPUT"): ("input", 0, "filter", "drop"),
        ("filter", "FORWARD"): ("forward", 0, "filter", "accept"),
        ("filter", "OUTPUT"): ("output", 0, "filter", "accept"),
        ("security", "INPUT"): ("input", 50, "filter", "accept"),
        ("security", "FORWARD"): ("forward", 50, "filter", "accept"),
        ("security", "OUTPUT"): ("output", 50, "filter", "accept"),
    }


def test_a_table_says_its_family_and_who_wrote_it() -> None:
    text = "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"
    assert parse_iptables_save("COMMIT", 4, backend="legacy").troubles[0].startswith("iptables-legacy-save ")
    assert parse_iptables_save(text, 4).tables() == [Table("ip", "filter", "iptables")]
    assert parse_iptables_save(text, 6, backend="legacy").tables() == [Table("ip6", "filter", "legacy")]


def test_rules_count_from_one_within_their_chain_and_keep_their_text_without_counters() -> None:
    ruleset = parsed(
        "*filter\n:INPUT ACCEPT [0:0]\n:X - [0:0]\n[3:180] -A INPUT -s 192.0.2.1/32 -j X\n-A X -p tcp -j DROP\n"
        "[0:0] -A INPUT -j DROP\n-A INPUT -c 5 300 -i eth0\nCOMMIT\n"
    )
    assert [(r.number, r.text) for r in chain(ruleset, "filter", "INPUT").rules] == [
        (1, "-A INPUT -s 192.0.2.1/32 -j X"), (2, "-A INPUT -j DROP"), (3, "-A INPUT -i eth0"),
    ]  # fmt: skip
    assert [r.number for r in chain(ruleset, "filter", "X").rules] == [1]


def test_lines_may_end_as_on_windows() -> None:
    ruleset = parsed("*filter\r\n:INPUT DROP [0:0]\r\n-A INPUT -p tcp -j ACCEPT\r\nCOMMIT\r\n")
    assert ruleset.troubles == ()
    assert chain(ruleset, "filter", "INPUT").rules[0].parts == (TCP, ACCEPT)


def test_a_control_character_is_shown_as_an_escape_and_parts_no_words() -> None:
    found = rule('-i e\x1fth0 -m comment --comment "\x1b[2J" -j DROP')
    assert found.text == '-A mine -i e\\x1fth0 -m comment --comment "\\x1b[2J" -j DROP'
    assert found.parts == (Interface("iif", frozenset({"e\x1fth0"})), DROP)


def test_only_spaces_and_tabs_part_words() -> None:
    assert parts("-i\te\x1cth0 -j  DROP") == [Interface("iif", frozenset({"e\x1cth0"})), DROP]


def test_a_chain_may_have_a_quote_in_its_name() -> None:
    ruleset = parsed('*filter\n:INPUT DROP [0:0]\n:a"b - [0:0]\n-A INPUT -j a"b\n-A a"b -j ACCEPT\nCOMMIT\n')
    assert ruleset.troubles == ()
    assert chain(ruleset, "filter", "INPUT").rules[0].parts == (Jump('a"b'),)
    assert chain(ruleset, "filter", 'a"b').rules[0].parts == (ACCEPT,)


def test_a_comment_over_several_lines_is_one_rule() -> None:
    ruleset = parsed('*filter\n:INPUT DROP [0:0]\n-A INPUT -m comment --comment "one\ntwo" -p tcp -j ACCEPT\nCOMMIT\n')
    assert ruleset.troubles == ()
    (found,) = chain(ruleset, "filter", "INPUT").rules
    assert found.parts == (TCP, ACCEPT)
    assert found.text == '-A INPUT -m comment --comment "one\\ntwo" -p tcp -j ACCEPT'


def test_a_comment_that_holds_what_looks_like_a_rule_makes_no_rule_of_it() -> None:
    text = (
        '*filter\n:INPUT DROP [0:0]\n:X - [0:0]\n-A X -m comment --comment "x\n-A INPUT -j ACCEPT\ny" -j DROP\nCOMMIT\n'
    )
    ruleset = parsed(text)
    assert chain(ruleset, "filter", "INPUT").rules == (Rule(1, "-A INPUT -j ACCEPT", (Opaque("-A INPUT -j ACCEPT"),)),)
    assert [type(part) for part in chain(ruleset, "filter", "X").rules[0].parts] == [Opaque]
    assert ruleset.troubles == ('iptables-save line 6 is within a quotation: y" -j DROP',)


@pytest.mark.parametrize("end", ["", '-A INPUT -m comment --comment "far away" -j DROP\n'])
def test_a_quotation_that_does_not_end_spoils_its_rule_only(end: str) -> None:
    rest = "".join(f"-A INPUT -s 192.0.2.{i}/32 -j DROP\n" for i in range(50)) + end
    ruleset = parsed(f'*filter\n:INPUT DROP [0:0]\n-A INPUT -m comment --comment "x -j ACCEPT\n{rest}COMMIT\n')
    first, *others = chain(ruleset, "filter", "INPUT").rules
    assert [type(part) for part in first.parts] == [Opaque]
    assert len(others) == rest.count("\n")
    assert all(other.parts[-1] == DROP for other in others)
    assert ruleset.troubles == (
        'iptables-save line 3 has a quotation that does not end: -A INPUT -m comment --comment "x -j ACCEPT',
    )


# ---- what is missing ----------------------------------------------------------------------------------------------


def opaque_hooks(ruleset: Ruleset) -> set[tuple[str, str]]:
    """Give the hooks at which some rule may do anything to every packet."""
    return {
        (c.table.name, c.hook)
        for c in ruleset.chains
        for r in c.rules
        if c.hook and len(r.parts) == 1 and isinstance(r.parts[0], Opaque)
    }


def test_a_table_that_iptables_cannot_show_may_do_anything() -> None:
    ruleset = parsed("# Table `nat' is incompatible, use 'nft' tool.\n*filter\n:INPUT DROP [0:0]\nCOMMIT\n")
    assert opaque_hooks(ruleset) == {("nat", hook) for hook in ("prerouting", "input", "output", "postrouting")}
    assert chain(ruleset, "nat", "POSTROUTING").priority == 100
    assert ruleset.troubles == ("iptables-save says: Table `nat' is incompatible, use 'nft' tool.",)


def test_chains_that_iptables_does_not_show_may_do_anything_beside_those_it_shows() -> None:
    said = "# Table `filter' contains incompatible base-chains, use 'nft' tool to list them.\n"
    ruleset = parsed(f"{said}*filter\n:INPUT DROP [0:0]\n-A INPUT -j ACCEPT\nCOMMIT\n")
    assert opaque_hooks(ruleset) == {("filter", hook) for hook in ("input", "forward", "output")}
    assert chain(ruleset, "filter", "INPUT").rules[0].parts == (ACCEPT,)
    assert len(ruleset.troubles) == 1


def test_where_the_text_is_cut_off_anything_may_follow() -> None:
    # So does the tool of version 1.8.9 when it meets a rule that it cannot show.
    ruleset = parsed("*filter\n:INPUT DROP [0:0]\n:X - [0:0]\n-A X -j RETURN\n")
    assert [type(r.parts[0]) for r in chain(ruleset, "filter", "X").rules] == [Verdict, Opaque]
    assert {table for table, _hook in opaque_hooks(ruleset)} == {"raw", "mangle", "nat", "filter", "security"}
    assert ruleset.troubles == ("iptables-save does not end the table filter: what follows is missing",)


def test_nothing_at_all_is_no_trouble() -> None:
    assert parsed("") == Ruleset()
    assert parsed("# Warning: iptables-legacy tables present, use iptables-legacy-save to see them\n") == Ruleset()


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("-A INPUT -j DROP\n", "line 1 is a rule of a chain that nobody announced: -A INPUT -j DROP"),
        ("*filter\n-A X -j DROP\nCOMMIT\n", "line 2 is a rule of a chain that nobody announced: -A X -j DROP"),
        ("*broute\n:X - [0:0]\nCOMMIT\n", "line 1 begins a table whose chains nobody knows: *broute"),
        ("*raw\nCOMMIT\n*raw\nCOMMIT\n", "line 3 begins a table that was there before; its rules are taken together: *raw"),
        ("*filter\n-I INPUT -j DROP\nCOMMIT\n", "line 2 is not understood: -I INPUT -j DROP"),
        ("COMMIT\n", "line 1 is not understood: COMMIT"),
        (":X - [0:0]\n", "line 1 is not understood: :X - [0:0]"),
        ("*filter\n: - [0:0]\nCOMMIT\n", "line 2 is not understood: : - [0:0]"),
        ("\x1b[2J\n", "line 1 is not understood: \\x1b[2J"),
        ("*raw\n:X DROP [0:0]\nCOMMIT\n", "gives X of raw, which the kernel does not call, the policy DROP"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_at_all_is_a_trouble_that_says_where(text: str, trouble: str) -> None:
    assert parsed(text, 6).troubles == (f"ip6tables-save {trouble}",)


def test_a_policy_that_nobody_knows_may_be_anything() -> None:
    ruleset = parsed("*filter\n:INPUT QUEUE [0:0]\nCOMMIT\n")
    assert opaque_hooks(ruleset) == {("filter", "input")}
    assert ruleset.troubles == ("iptables-save gives INPUT of filter a policy that nobody knows: QUEUE",)


def test_a_chain_without_a_policy_is_none_of_the_kernel_s_whatever_its_name() -> None:
    # Somebody may have made it with nft.
    assert chain(parsed("*filter\n:INPUT - [0:0]\nCOMMIT\n"), "filter", "INPUT").hook == ""


def test_a_chain_of_the_kernel_is_there_though_its_policy_is_not_said() -> None:
    ruleset = parsed("*filter\n-A INPUT -p tcp -j DROP\nCOMMIT\n")
    first, last = chain(ruleset, "filter", "INPUT").rules
    assert first.parts == (TCP, DROP)
    assert isinstance(last.parts[0], Opaque)


# ---- what real tools print ----------------------------------------------------------------------------------------


def saves(folder: str) -> list[tuple[str, Ruleset]]:
    found = [
        (path.stem, parsed(path.read_text(encoding="utf-8"), int(path.stem[-1])))
        for path in sorted((DATA / folder).glob("*.rules"))
    ]
    assert found, f"nothing is in {folder}"
    return found


def meaning(found: Rule) -> frozenset[t.Any]:
    """Give what a rule says, however it says it."""
    return frozenset(bare(part) for part in found.parts if not is_no_condition(part))


def bare(part: t.Any) -> t.Any:
    """Take out a part's text, which each tool writes in its own way, and the order of the parts of a conntrack."""
    if isinstance(part, Conntrack):
        return (part.state, frozenset(map(bare, part.others)))
    return dataclasses.replace(part, text="") if hasattr(part, "text") else part


def is_no_condition(part: t.Any) -> bool:
    return (
        isinstance(part, Within)
        and not part.negated
        and part.values in (PORTS, IntSet([(0, 0xFFFFFFFF)]), IntSet([(0, (1 << 128) - 1)]))
    )


def corpus(family: str) -> dict[str, dict[str, Rule]]:
    """Give the corpus' rules by the name of their chain, then by the tool that printed them."""
    found: dict[str, dict[str, Rule]] = {}
    for name, ruleset in saves("corpus"):
        if name.endswith(f"v{family}"):
            assert ruleset.troubles == ()
            for one in ruleset.chains:
                for single in one.rules:
                    assert name not in found.setdefault(one.name, {}), f"{one.name} has two rules"
                    found[one.name][name] = single
    return found


@pytest.mark.parametrize("family", ["4", "6"])
def test_real_tools_print_nothing_that_is_not_understood_but_what_cannot_be_known(family: str) -> None:
    found = corpus(family)
    assert len(found) > 300
    wrong = [
        (tool, one.text)
        for name, rules in found.items()
        for tool, one in rules.items()
        if fuzz.vague(one) is not name.startswith("u")
    ]
    assert wrong == []


@pytest.mark.parametrize("family", ["4", "6"])
def test_all_versions_and_flavours_print_rules_that_say_what_was_asked(family: str) -> None:
    for name, rules in corpus(family).items():
        assert len(rules) == 5, f"{name} is not in {rules}"
        assert len({meaning(one) for one in rules.values()}) == 1, [one.text for one in rules.values()]


@pytest.mark.parametrize(("name", "ruleset"), saves("hosts"))
def test_a_docker_host_with_ufw_is_understood_but_for_hop_limits(name: str, ruleset: Ruleset) -> None:
    assert ruleset.troubles == ()
    assert len(ruleset.chains) > 30
    unknown = {
        part for c in ruleset.chains for r in c.rules for part in r.parts if isinstance(part, (Unknowable, Opaque))
    }
    expected = {Unknowable("-m hl --hl-eq 255"), Unknowable("-m hl --hl-eq 1")} if name.endswith("v6") else set()
    assert unknown == expected


@pytest.mark.parametrize(("name", "ruleset"), [(name, found) for name, found in saves("hosts") if name.endswith("v4")])
def test_a_published_port_of_each_engine_is_translated(name: str, ruleset: Ruleset) -> None:
    rules = chain(ruleset, "nat", "DOCKER").rules
    (found,) = (one.parts for one in rules if Within("dport", IntSet.of(8080)) in one.parts)
    assert found == (
        Interface("iif", frozenset({"br-web"}), negated=True), TCP, Within("dport", IntSet.of(8080)),
        Nat("dnat", (number("172.28.1.10"),) * 2, (80, 80)),
    )  # fmt: skip


# ---- any text at all ----------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(st.randoms(use_true_random=False))
def test_a_damaged_text_loses_no_rule_and_no_rule_says_more_than_it_does(random: Random) -> None:
    fuzz.once(random)


@settings(max_examples=300, deadline=None)
@given(st.text(), st.sampled_from([4, 6]))
def test_any_text_is_read_without_a_crash(text: str, family: int) -> None:
    parsed(text, family)
    parsed(f"*filter\n:INPUT DROP [0:0]\n-A INPUT {text}\nCOMMIT\n", family)
