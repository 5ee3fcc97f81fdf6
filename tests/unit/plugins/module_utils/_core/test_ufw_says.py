# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress
import typing as t

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bulkhead.docker.plugins.module_utils._core import ufw
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter import sets
from ansible_collections.bulkhead.docker.plugins.module_utils._core.ufw import Ufw, UfwRule
from ansible_collections.bulkhead.docker.plugins.module_utils._core.ufw_says import allowed


def says(*rules: UfwRule, **changes: t.Any) -> list[str]:
    asked: dict[str, t.Any] = {"family": 4, "proto": "tcp", "port": 80, "dst": "198.51.100.2", "interface": "eth0"}
    settings = {name: changes.pop(name) for name in ("policy", "forward", "ipv6") if name in changes}
    found = allowed(Ufw(enabled=True, rules=rules, **settings), **{**asked, **changes})
    return sets.cidrs(changes.get("family", 4), found)


def test_the_first_rule_that_fits_decides() -> None:
    ban, let = UfwRule("deny", 4, source="192.0.2.0/25"), UfwRule("allow", 4, "tcp", ((80, 80),), source="192.0.2.0/24")
    assert says(ban, let) == ["192.0.2.128/25"]
    assert says(let, ban) == ["192.0.2.0/24"]


def test_what_no_rule_names_falls_to_the_policy() -> None:
    assert says() == []
    assert says(policy="allow") == ["0.0.0.0/0"]
    assert says(UfwRule("reject", 4, source="128.0.0.0/1"), policy="allow") == ["0.0.0.0/1"]


def test_only_rules_for_this_door_count() -> None:
    others = [
        UfwRule("allow", 4, "udp"),
        UfwRule("allow", 4, "tcp", ((81, 90),)),
        UfwRule("allow", 6),
        UfwRule("allow", 4, to="198.51.100.3"),
        UfwRule("allow", 4, interface="eth1"),
        UfwRule("allow", 4, direction="out"),
        UfwRule("allow", 4, route=True),
    ]
    assert says(*others) == []
    assert says(UfwRule("limit", 4, to="198.51.100.0/24", interface="eth+")) == ["0.0.0.0/0"]
    assert says(*others, route=True, forward="deny") == ["0.0.0.0/0"]


def test_a_rule_for_some_source_ports_lets_in_and_keeps_nobody_out() -> None:
    some = ((1024, 2048),)
    assert says(UfwRule("allow", 4, source_ports=some)) == ["0.0.0.0/0"]
    assert says(UfwRule("deny", 4, source_ports=some), policy="allow") == ["0.0.0.0/0"]


def test_without_ipv6_ufw_lets_no_ipv6_in() -> None:
    assert says(UfwRule("allow", 6), family=6, dst="2001:db8::1", ipv6=False) == []
    assert says(UfwRule("allow", 6), family=6, dst="2001:db8::1") == ["::/0"]


_SOURCES = ["", "192.0.2.1", "192.0.2.0/24", "192.0.2.128/25", "0.0.0.0/1"]
_RULE = st.builds(
    UfwRule,
    action=st.sampled_from(ufw.ACTIONS),
    family=st.just(4),
    proto=st.sampled_from(["any", "tcp", "udp"]),
    ports=st.sampled_from([(), ((80, 80),), ((70, 90),), ((81, 81),)]),
    source=st.sampled_from(_SOURCES),
    interface=st.sampled_from(["", "eth0", "eth1"]),
)


@given(
    st.lists(_RULE, max_size=6),
    st.sampled_from(["allow", "deny"]),
    st.sampled_from(["192.0.2.1", "192.0.2.200", "200.1.1.1"]),
)
def test_each_sender_fares_as_ufws_order_has_it(rules: list[UfwRule], policy: str, sender: str) -> None:
    def first_fit() -> str:
        for rule in rules:
            if rule.proto in ("any", "tcp") and rule.interface in ("", "eth0"):
                ports = not rule.ports or any(first <= 80 <= last for first, last in rule.ports)
                source = not rule.source or ipaddress.ip_address(sender) in ipaddress.ip_network(rule.source)
                if ports and source:
                    return rule.action
        return policy

    found = says(*rules, policy=policy)
    inside = any(ipaddress.ip_address(sender) in ipaddress.ip_network(item) for item in found)
    assert inside is (first_fit() in ("allow", "limit"))
