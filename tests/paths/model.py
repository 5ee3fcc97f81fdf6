# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the model says of a case: it reads what the tools printed, as it would on a real host."""

from __future__ import annotations

import typing as t

from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter import ruleset, trace
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.packet import Packet

from . import topology

_FIELDS = (
    "family", "proto", "src", "dst", "sport", "dport", "iif", "ct_state", "icmp_type", "icmp_code", "mark", "uid",
)  # fmt: skip

_SAVED: dict[str, tuple[int, t.Literal["iptables", "legacy"]]] = {
    "iptables": (4, "iptables"),
    "ip6tables": (6, "iptables"),
    "iptables-legacy": (4, "legacy"),
    "ip6tables-legacy": (6, "legacy"),
}


def model_of(case: t.Mapping[str, t.Any], printed: t.Mapping[str, str]) -> trace.Model:
    """Make the model of the host under test as a case sets it up, with the rules that the tools printed."""
    parsed = [
        ruleset.parse_iptables_save(printed[tool], family, backend=backend)
        for tool, (family, backend) in _SAVED.items()
        if tool in printed
    ]
    if "nft" in printed:
        parsed.append(ruleset.parse_nft_json(printed["nft"]))
    host = trace.Host(
        addresses=topology.ADDRESSES,
        routes=topology.routes(default=case.get("default_route", True)),
        bridges=frozenset(topology.BRIDGES),
        sysctl={**topology.SYSCTLS, **case["sysctl"]},
        ipsets=ipsets_of(printed.get("ipset", "")),
    )
    return trace.Model(ruleset.Ruleset.merge(*parsed), host)


def ipsets_of(text: str) -> dict[str, list[str]]:
    """Read what ``ipset save`` prints."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        command, name, element = line.split(maxsplit=2)
        listed = found.setdefault(name, [])
        if command == "add":
            listed.append(element)
    return found


def packet_of(described: t.Mapping[str, t.Any]) -> Packet:
    """Make the packet that a case describes."""
    flags = described.get("tcp_flags")
    fields = {name: described[name] for name in _FIELDS if name in described}
    return Packet(**fields, tcp_flags=None if flags is None else tuple(flags))
