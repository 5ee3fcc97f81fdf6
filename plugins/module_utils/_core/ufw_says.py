# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""What UFW's rules say about a door of the host, as a set of senders: what its owner believes."""

from __future__ import annotations

from .netfilter import sets
from .netfilter.sets import EMPTY, IntSet
from .ufw import Ports, Ufw, UfwRule


def allowed(found: Ufw, *, family: int, proto: str, port: int, dst: str, interface: str, route: bool = False) -> IntSet:
    """Give the senders that UFW lets in to ``dst``:``port`` by ``interface``; ``route`` asks about forwarded traffic.

    A limit lets slow senders in, and so does a rule for some of the sender's ports.
    """
    if family == 6 and not found.ipv6:
        return EMPTY
    left = sets.ALL_ADDRESSES[family]
    inside = EMPTY
    for rule in found.rules:
        if rule.route is not route or not _fits(rule, family, proto, port, dst, interface):
            continue
        meant = sets.network(rule.source)[1] if rule.source else sets.ALL_ADDRESSES[family]
        if rule.action in ("allow", "limit"):
            inside = inside | (meant & left)
        if not rule.source_ports:
            left = left - meant
    policy = found.forward if route else found.policy
    return inside | left if policy == "allow" else inside


def _fits(rule: UfwRule, family: int, proto: str, port: int, dst: str, interface: str) -> bool:
    if rule.direction != "in" or rule.family != family or rule.proto not in ("any", proto):
        return False
    if not _has(rule.ports, port) or not _named(rule.interface, interface):
        return False
    return not rule.to or sets.address(dst)[1] in sets.network(rule.to)[1]


def _has(ports: Ports, port: int) -> bool:
    return not ports or any(first <= port <= last for first, last in ports)


def _named(pattern: str, interface: str) -> bool:
    if pattern.endswith("+"):
        return interface.startswith(pattern[:-1])
    return not pattern or pattern == interface
