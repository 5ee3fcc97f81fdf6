# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress
import json
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter import routing, sets
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.routing import Fork, Routing

Row = dict[str, t.Any]

#: What the kernel has of its own, as ip 6.1 to 7.2 list it.
OWN_RULES: list[Row] = [
    {"priority": 0, "src": "all", "table": "local"},
    {"priority": 32766, "src": "all", "table": "main"},
    {"priority": 32767, "src": "all", "table": "default"},
]


def routes(*rows: Row, rules: list[Row] | None = None, family: int = 4, addresses: list[Row] | None = None) -> Routing:
    return routing.read(
        json.dumps(addresses or []),
        {family: json.dumps(rows)},
        {family: json.dumps(OWN_RULES if rules is None else rules)},
    )


def meant(fork: Fork, dst: str, src: str = "198.51.100.9") -> bool:
    return sets.address(dst)[1] in fork.destinations and sets.address(src)[1] in fork.sources


# ---- addresses ----------------------------------------------------------------------------------------------------


def test_an_interface_has_its_addresses_of_both_families() -> None:
    link = {
        "ifname": "eth0",
        "addr_info": [
            {"family": "inet", "local": "192.0.2.2", "prefixlen": 24},
            {"family": "inet6", "local": "2001:db8::2", "prefixlen": 64},
        ],
    }
    found = routes(addresses=[link, {"ifname": "docker0", "addr_info": []}, {}])
    assert found.addresses == {"eth0": ("192.0.2.2/24", "2001:db8::2/64"), "docker0": ()}


def test_an_address_with_a_peer_stands_alone() -> None:
    peer = {"family": "inet", "local": "10.9.0.1", "address": "10.9.0.2", "prefixlen": 24}
    assert routes(addresses=[{"ifname": "ppp0", "addr_info": [peer]}]).addresses == {"ppp0": ("10.9.0.1/32",)}


def test_an_address_that_a_neighbour_has_already_is_not_the_hosts() -> None:
    twice = {"family": "inet6", "local": "2001:db8::2", "prefixlen": 64, "dadfailed": True, "tentative": True}
    assert routes(addresses=[{"ifname": "eth0", "addr_info": [twice]}]).addresses == {"eth0": ()}


def test_a_port_of_a_bridge_names_its_bridge() -> None:
    assert routes(addresses=[{"ifname": "veth1", "master": "br0"}, {"ifname": "br0"}]).masters == {"veth1": "br0"}


@pytest.mark.parametrize("text", ["", "[]", "[ ]", "[{}]"])
def test_a_listing_of_nothing_is_no_address(text: str) -> None:
    assert routing.read(text, {4: text}, {4: text}) == Routing()


@pytest.mark.parametrize("text", ["{", "{}", "[1]", "Object is unknown", '"x"'])
def test_what_ip_never_prints_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        routing.read(text, {}, {})


# ---- routes -------------------------------------------------------------------------------------------------------


def test_the_longest_prefix_comes_first() -> None:
    found = routes(
        {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0"},
        {"dst": "172.18.0.0/16", "dev": "br-a"},
        {"dst": "172.18.0.5", "dev": "wg0"},
    )
    assert found.routes == (
        ("172.18.0.5/32", "wg0", ""),
        ("172.18.0.0/16", "br-a", ""),
        ("0.0.0.0/0", "eth0", "192.0.2.1"),
    )
    assert found.forks == ()


def test_of_one_prefix_the_lowest_metric_counts() -> None:
    found = routes(
        {"dst": "default", "gateway": "192.0.2.1", "dev": "wlan0", "metric": 600},
        {"dst": "default", "gateway": "192.0.2.2", "dev": "eth0", "metric": 100},
    )
    assert found.routes == (("0.0.0.0/0", "eth0", "192.0.2.2"),)
    assert found.forks == ()


@pytest.mark.parametrize("kind", ["blackhole", "unreachable", "prohibit", "throw"])
def test_a_route_that_leads_nowhere_says_so(kind: str) -> None:
    assert routes({"type": kind, "dst": "10.51.0.0/16"}).routes == (("10.51.0.0/16", kind, ""),)


def test_an_unreachable_prefix_of_ipv6_is_not_the_loopback_interface() -> None:
    row = {"type": "unreachable", "dst": "fd00:b::/64", "dev": "lo", "metric": 1024}
    assert routes(row, family=6).routes == (("fd00:b::/64", "unreachable", ""),)


def test_a_gateway_of_the_other_family_is_a_gateway() -> None:
    row = {"dst": "10.70.0.0/16", "via": {"family": "inet6", "host": "fe80::1"}, "dev": "eth0"}
    assert routes(row).routes == (("10.70.0.0/16", "eth0", "fe80::1"),)


def test_next_hops_by_several_interfaces_are_a_fork() -> None:
    hops = [{"gateway": "10.1.0.2", "dev": "eth0", "flags": []}, {"gateway": "10.2.0.2", "dev": "eth1", "flags": []}]
    found = routes({"dst": "10.50.0.0/16", "nexthops": hops}, {"dst": "default", "dev": "eth0"})
    (fork,) = found.forks
    assert fork.text == "the route to 10.50.0.0/16 has several next hops: dev eth0, dev eth1"
    assert meant(fork, "10.50.1.1")
    assert not meant(fork, "10.51.1.1")


def test_next_hops_by_one_interface_are_none() -> None:
    hops = [{"gateway": "10.1.0.2", "dev": "eth0"}, {"gateway": "10.1.0.3", "dev": "eth0"}]
    found = routes({"dst": "10.50.0.0/16", "nexthops": hops})
    assert (found.routes, found.forks) == ((("10.50.0.0/16", "eth0", "10.1.0.2"),), ())


def test_a_dead_next_hop_does_not_count() -> None:
    hops = [
        {"gateway": "10.1.0.2", "dev": "eth0", "flags": ["dead"]},
        {"gateway": "10.2.0.2", "dev": "eth1", "flags": []},
    ]
    found = routes({"dst": "10.50.0.0/16", "nexthops": hops})
    assert (found.routes, found.forks) == ((("10.50.0.0/16", "eth1", "10.2.0.2"),), ())


def test_two_equal_routes_of_ipv6_are_a_fork() -> None:
    found = routes(
        {"dst": "default", "gateway": "fe80::1", "dev": "eth0", "metric": 1024},
        {"dst": "default", "gateway": "fe80::2", "dev": "eth1", "metric": 1024},
        family=6,
    )
    (fork,) = found.forks
    assert meant(fork, "2001:db8::1", "2001:db8::2")


def test_link_local_routes_of_every_interface_are_no_fork() -> None:
    found = routes(
        {"dst": "fe80::/64", "dev": "eth0", "metric": 256},
        {"dst": "fe80::/64", "dev": "eth1", "metric": 256},
        family=6,
    )
    assert found.forks == ()


@pytest.mark.parametrize(
    ("row", "family"),
    [
        ({"dst": "10.55.0.0/16", "tos": "0x08", "gateway": "10.1.0.3", "dev": "eth0"}, 4),
        ({"dst": "fd00:a::/64", "from": "fd00:1::/64", "gateway": "fd00:1::3", "dev": "eth0"}, 6),
    ],
)
def test_a_route_for_some_packets_only_is_a_fork_and_no_route(row: Row, family: int) -> None:
    found = routes(row, family=family)
    assert found.routes == ()
    assert [fork.destinations for fork in found.forks] == [sets.network(row["dst"])[1]]


def test_a_route_by_the_source_means_these_senders_only() -> None:
    (fork,) = routes({"dst": "fd00:a::/64", "from": "fd00:1::/64", "dev": "eth0"}, family=6).forks
    assert meant(fork, "fd00:a::1", "fd00:1::1")
    assert not meant(fork, "fd00:a::1", "fd00:2::1")


def test_a_prefix_that_is_local_by_a_route_is_told() -> None:
    link = {"ifname": "eth0", "addr_info": [{"family": "inet", "local": "10.1.0.1", "prefixlen": 24}]}
    found = routes(
        {"type": "local", "dst": "10.1.0.1", "dev": "eth0", "table": "local"},
        {"type": "local", "dst": "127.0.0.0/8", "dev": "lo", "table": "local"},
        {"type": "broadcast", "dst": "10.1.0.255", "dev": "eth0", "table": "local"},
        {"type": "local", "dst": "192.0.2.0/24", "dev": "lo", "table": "local"},
        addresses=[link],
    )
    assert found.local == ("192.0.2.0/24",)
    assert found.routes == ()


# ---- rules --------------------------------------------------------------------------------------------------------

MAIN: tuple[Row, ...] = (
    {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0"},
    {"dst": "172.18.0.0/16", "dev": "br-a"},
    {"type": "local", "dst": "192.0.2.2", "dev": "eth0", "table": "local"},
)
VPN: Row = {"dst": "default", "dev": "wg0", "table": "51820"}


def ruled(*extra: Row, rows: tuple[Row, ...] = (*MAIN, VPN)) -> tuple[Fork, ...]:
    return routes(*rows, rules=sorted([*OWN_RULES, *extra], key=lambda rule: rule["priority"])).forks


def test_the_kernels_own_rules_are_no_fork() -> None:
    assert ruled() == ()
    numbers = [{**rule, "table": number} for rule, number in zip(OWN_RULES, ("255", "254", "253"))]
    assert routes(*MAIN, rules=numbers).forks == ()


def test_a_rule_by_the_source_means_its_senders_but_not_what_is_for_the_host() -> None:
    (fork,) = ruled({"priority": 100, "src": "10.0.0.0", "srclen": 8, "table": "51820"})
    assert fork.text == "ip rule 100: from 10.0.0.0/8 lookup 51820"
    assert meant(fork, "172.18.0.2", "10.1.2.3")
    assert not meant(fork, "172.18.0.2", "11.1.2.3")
    assert not meant(fork, "192.0.2.2", "10.1.2.3")


def test_a_rule_matters_only_where_its_table_has_a_route() -> None:
    tailnet = {"dst": "100.64.0.7", "dev": "tailscale0", "table": "52"}
    (fork,) = ruled({"priority": 5270, "src": "all", "table": "52"}, rows=(*MAIN, tailnet))
    assert sets.cidrs(4, fork.destinations) == ["100.64.0.7/32"]
    assert ruled({"priority": 5270, "src": "all", "table": "53"}) == ()


def test_a_rule_by_destination_mark_or_interface_means_no_others() -> None:
    forks = ruled(
        {"priority": 100, "src": "all", "dst": "10.5.0.0", "dstlen": 16, "table": "51820"},
        {"priority": 101, "src": "all", "fwmark": "0x80001", "fwmask": "0xff0000", "table": "51820"},
        {"priority": 102, "src": "all", "iif": "br-a", "table": "51820"},
    )
    assert sets.cidrs(4, forks[0].destinations) == ["10.5.0.0/16"]
    assert [(fork.mark, fork.iif) for fork in forks] == [(None, ""), ((0xFF0000, 0x80000), ""), (None, "br-a")]


def test_a_negated_rule_means_everybody() -> None:
    """As wg-quick makes it: what WireGuard itself sends has the mark, and everything else goes into the tunnel."""
    (fork,) = ruled({"priority": 32764, "not": None, "src": "all", "fwmark": "0xca6c", "table": "51820"})
    assert (fork.mark, fork.sources) == (None, sets.ALL_ADDRESSES[4])
    assert fork.text == "ip rule 32764: not from all fwmark 0xca6c lookup 51820"


def test_what_the_table_main_says_more_exactly_comes_before_the_tunnel() -> None:
    """wg-quick's other rule: prefixes of main longer than 0 first."""
    (fork,) = ruled(
        {"priority": 32763, "src": "all", "table": "main", "suppress_prefixlen": 0},
        {"priority": 32764, "not": None, "src": "all", "fwmark": "0xca6c", "table": "51820"},
    )
    assert not meant(fork, "172.18.0.2")
    assert meant(fork, "8.8.8.8")


@pytest.mark.parametrize(
    "rule",
    [
        {"src": "all", "action": "unreachable"},
        {"src": "all", "action": "prohibit"},
        {"src": "all", "l3mdev": None},
        {"src": "all", "goto": 32767},
    ],
)
def test_a_rule_without_a_table_may_send_anything_anywhere(rule: Row) -> None:
    (fork,) = ruled({"priority": 1000, **rule})
    assert meant(fork, "172.18.0.2")
    assert meant(fork, "8.8.8.8")
    assert not meant(fork, "192.0.2.2")


def test_a_rule_that_does_nothing_is_no_fork() -> None:
    assert ruled({"priority": 8, "src": "all", "nop": None}) == ()


def test_asking_the_table_main_for_some_packets_earlier_is_no_fork() -> None:
    assert ruled({"priority": 5210, "src": "all", "fwmark": "0x80000", "fwmask": "0xff0000", "table": "main"}) == ()


def test_a_rule_after_main_matters_where_main_has_no_route() -> None:
    (fork,) = routes(
        {"dst": "172.18.0.0/16", "dev": "br-a"},
        {"dst": "default", "dev": "eth0", "table": "default"},
        rules=OWN_RULES,
    ).forks
    assert not meant(fork, "172.18.0.2")
    assert meant(fork, "8.8.8.8")


def test_asking_main_before_local_may_forward_what_is_for_the_host() -> None:
    rules = [
        {"priority": 1, "src": "all", "table": "main"},
        *OWN_RULES[1:],
        {"priority": 40000, "src": "all", "table": "local"},
    ]
    (fork,) = routes(*MAIN, rules=rules).forks
    assert meant(fork, "192.0.2.2")
    assert not meant(fork, "172.18.0.2")


def test_a_route_of_the_table_main_for_some_packets_only_settles_nothing() -> None:
    rows = (
        *MAIN,
        {"dst": "10.0.0.0/8", "tos": "0x08", "dev": "br-a"},
        {"dst": "10.0.0.0/8", "dev": "wg0", "table": "100"},
    )
    forks = ruled(
        {"priority": 1, "src": "all", "table": "main", "suppress_prefixlen": 0},
        {"priority": 2, "src": "all", "table": "100"},
        rows=rows,
    )
    assert [fork.text for fork in forks if meant(fork, "10.1.1.1")] == [
        "ip rule 2: from all lookup 100",
        "the route to 10.0.0.0/8 is only for tos 0x08",
    ]


def test_a_route_without_a_next_hop_that_works_and_one_of_an_odd_kind_are_forks() -> None:
    dead = {"dst": "10.50.0.0/16", "nexthops": [{"dev": "eth0", "flags": ["dead"]}]}
    found = routes(dead, {"type": "nat", "dst": "10.51.0.0/16"}, {"type": "local", "dst": "10.52.0.1", "dev": "lo"})
    assert [fork.text for fork in found.forks] == [
        "the route to 10.50.0.0/16 has no next hop that works",
        "the route to 10.51.0.0/16 is of type nat",
    ]
    assert found.local == ("10.52.0.1/32",)


def test_an_address_that_is_local_in_another_table_only_is_not_the_hosts() -> None:
    assert routes({"type": "local", "dst": "10.52.0.0/24", "dev": "lo", "table": "100"}).local == ()


def test_two_equal_routes_of_which_one_leads_nowhere_are_a_fork() -> None:
    found = routes(
        {"type": "unreachable", "dst": "fd00:b::/64", "metric": 5},
        {"dst": "fd00:b::/64", "dev": "eth0", "metric": 5},
        family=6,
    )
    assert len(found.forks) == 1


def test_a_host_whose_tables_nobody_asks_is_not_known() -> None:
    forks = routes(*MAIN, rules=[{"priority": 5, "src": "10.0.0.0", "srclen": 8, "table": "main"}]).forks
    assert [fork.text for fork in forks] == [
        "ip rule 5: from 10.0.0.0/8 lookup main",
        "no rule of IPv4 sends all to the table local",
        "no rule of IPv4 sends all to the table main",
    ]


# ---- the kernel's way, told once more -----------------------------------------------------------------------------

#: A small world, so that prefixes, rules and packets meet: four corners of the address space.
_CORNERS = [corner << 30 | 1 for corner in range(4)]
_PREFIXES = st.sampled_from(["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "0.0.0.0/2", "64.0.0.0/2", "192.0.0.0/2"])
_ROUTES = st.builds(
    lambda prefix, table, kind, dev: {
        "dst": prefix,
        **({"table": table} if table != "main" else {}),
        **({"type": kind} if kind != "unicast" else {"dev": dev}),
    },
    _PREFIXES,
    st.sampled_from(["main", "main", "100", "default", "local"]),
    st.sampled_from(["unicast", "unicast", "unreachable", "throw"]),
    st.sampled_from(["eth0", "eth1"]),
)
_RULES = st.builds(
    lambda priority, table, selectors, suppress, negated: {
        "priority": priority,
        "src": "all",
        **selectors,
        **({"not": None} if negated else {}),
        **({"action": table} if table == "unreachable" else {"table": table}),
        **({"suppress_prefixlen": suppress} if suppress is not None and table != "unreachable" else {}),
    },
    st.sampled_from([1, 2, 3, 4, 40000]),
    st.sampled_from(["main", "main", "100", "100", "default", "local", "unreachable"]),
    st.sampled_from(
        [{}, {}, {"src": "0.0.0.0", "srclen": 1}, {"dst": "128.0.0.0", "dstlen": 1}, {"fwmark": "0x5", "fwmask": "0x1"},
         {"iif": "eth0"}]
    ),
    st.sampled_from([None, None, 0, 1]),
    st.sampled_from([False, False, True]),
)  # fmt: skip
_PACKETS = st.tuples(
    st.sampled_from(_CORNERS), st.sampled_from(_CORNERS), st.integers(0, 1), st.sampled_from(["eth0", "eth1"])
)


def look_up(rows: t.Iterable[Row], table: str, dst: int, suppress: int) -> str:
    """The longest prefix; one that throws or is suppressed is no answer."""
    fitting = [
        (ipaddress.ip_network(row["dst"]).prefixlen, place, row)
        for place, row in enumerate(rows)
        if row.get("table", "main") == table and ipaddress.ip_address(dst) in ipaddress.ip_network(row["dst"])
    ]
    if not fitting:
        return ""
    length, _place, row = max(fitting)
    kind = row.get("type", "unicast")
    return "" if kind == "throw" or length <= suppress else f"{table} {row['dst']} {kind} {row.get('dev', '')}"


def fits(rule: Row, dst: int, src: int, mark: int, iif: str) -> bool:
    def within(name: str, number: int) -> bool:
        text = rule.get(name, "all")
        return text == "all" or ipaddress.ip_address(number) in ipaddress.ip_network(f"{text}/{rule[f'{name}len']}")

    whole = (
        within("src", src)
        and within("dst", dst)
        and ("fwmark" not in rule or not (mark ^ int(rule["fwmark"], 16)) & int(rule["fwmask"], 16))
        and rule.get("iif", iif) == iif
    )
    return whole is not ("not" in rule)


def routed(rules: t.Iterable[Row], rows: t.Sequence[Row], packet: tuple[int, int, int, str]) -> str:
    for rule in rules:
        if fits(rule, *packet):
            if "action" in rule:
                return "refused by a rule"
            found = look_up(rows, rule["table"], packet[0], rule.get("suppress_prefixlen", -1))
            if found:
                return found
    return "no route"


@settings(max_examples=300)
@given(
    st.lists(_ROUTES, min_size=2, max_size=10),
    st.lists(_RULES, min_size=1, max_size=4),
    st.booleans(),
    st.lists(_PACKETS, min_size=4, max_size=8),
)
def test_a_packet_that_no_fork_means_goes_as_the_kernels_own_rules_would_send_it(
    rows: list[Row], extra: list[Row], with_own: bool, packets: list[tuple[int, int, int, str]]
) -> None:
    # One prefix once in a table: which of two equal ones counts is another test's matter.
    rows = list({(row.get("table"), row["dst"]): row for row in rows}.values())
    rules = sorted([*(OWN_RULES if with_own else OWN_RULES[:2]), *extra], key=lambda rule: rule["priority"])
    found = routes(*rows, rules=rules)
    for dst, src, mark, iif in packets:
        meant_by = [
            fork
            for fork in found.forks
            if dst in fork.destinations
            and src in fork.sources
            and fork.iif in ("", iif)
            and (fork.mark is None or mark & fork.mark[0] == fork.mark[1])
        ]
        if not meant_by:
            own = [OWN_RULES[0], OWN_RULES[1]]
            assert routed(rules, rows, (dst, src, mark, iif)) == routed(own, rows, (dst, src, mark, iif))
