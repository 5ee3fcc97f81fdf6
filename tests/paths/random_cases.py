# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random cases: rules, sysctls and the packets to send through them. The same seed makes the same case."""

from __future__ import annotations

import typing as t
from random import Random

from . import random_frames, random_iptables, random_nft, random_packets, topology
from .random_ipsets import ipsets
from .values import chance, weighted

PACKETS = 40

_KINDS = {"iptables": 8, "nft": 7, "iptables and nft": 5, "legacy": 2, "legacy and nft": 1, "iptables and legacy": 0.7}


def case(seed: str) -> dict[str, t.Any]:
    """Make the case of a seed."""
    random = Random(seed)
    kind = weighted(random, _KINDS)
    rules: dict[str, str] = {}
    for tool, suffix in (("iptables", ""), ("legacy", "-legacy")):
        if tool in kind:
            rules.update(_iptables(random, suffix, known="ipset" in rules))
    if "nft" in kind:
        rules["nft"] = random_nft.ruleset(random) + (random_frames.ruleset(random) if chance(random, 0.15) else "")
    packets = [random_packets.packet(random, weighted(random, {4: 3, 6: 2})) for _turn in range(PACKETS)]
    made = {"rules": rules, "sysctl": _sysctls(random), "packets": packets}
    return made if chance(random, 0.9) else {**made, "default_route": False}


def _iptables(random: Random, suffix: str, *, known: bool) -> dict[str, str]:
    text, names = ipsets(random) if chance(random, 0.4) and not known else ("", [])
    rules = {"ipset": text} if text else {}
    rules[f"iptables{suffix}"] = random_iptables.ruleset(random, 4, names)
    rules[f"ip6tables{suffix}"] = random_iptables.ruleset(random, 6, names)
    return rules


def _sysctls(random: Random) -> dict[str, int]:
    chosen: dict[str, int] = {}
    if chance(random, 0.15):
        chosen["net.ipv4.ip_forward"] = 0
    if chance(random, 0.15):
        chosen["net.ipv6.conf.all.forwarding"] = 0
    if chance(random, 0.4):
        chosen["net.ipv4.conf.all.rp_filter"] = random.choice((1, 2))
    for name in (*topology.ETHERNETS, *topology.BRIDGES):
        for option, most in (("rp_filter", 2), ("route_localnet", 1), ("accept_local", 1)):
            if chance(random, 0.12):
                chosen[f"net.ipv4.conf.{name}.{option}"] = random.randint(1, most)
    if chance(random, 0.5):
        chosen["net.bridge.bridge-nf-call-iptables"] = 1
    if chance(random, 0.5):
        chosen["net.bridge.bridge-nf-call-ip6tables"] = 1
    return chosen
