# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""A packet as the person who asks sees it, before anything has happened to it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

#: Protocols by the names that iptables, nft and people use (IANA's numbers).
PROTOCOLS = {
    "icmp": 1,
    "igmp": 2,
    "ipencap": 4,
    "tcp": 6,
    "udp": 17,
    "dccp": 33,
    "ipv6": 41,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "icmpv6": 58,
    "ipv6-icmp": 58,
    "ipip": 94,
    "vrrp": 112,
    "sctp": 132,
    "udplite": 136,
}
PROTOCOL_NAMES = {number: name for name, number in reversed(list(PROTOCOLS.items()))}

#: Protocols with ports.
WITH_PORTS = frozenset({6, 17, 33, 132, 136})

CtState = t.Literal["new", "established", "related", "invalid", "untracked"]


@dataclass(frozen=True)
class Packet:
    """One packet at the moment it reaches the host, or leaves a process of it (``iif`` is None).

    ``sport`` or ``dport`` None stands for all ports at once, and is understood by ``space`` only; icmp has ports 0 and
    a type. A packet without ``tcp_flags`` carries those that fit its ``ct_state``: a new one has SYN. ``uid`` is the
    user of the process that sends (only with ``iif=None``); None when it is not known.
    """

    family: int = 4
    proto: str = "tcp"
    src: str = ""
    dst: str = ""
    sport: int | None = 40000
    dport: int | None = 0
    iif: str | None = None
    ct_state: str = "new"
    icmp_type: int | None = None
    icmp_code: int | None = None
    mark: int = 0
    tcp_flags: tuple[str, ...] | None = None
    uid: int | None = None


def protocol(text: str) -> int:
    """Read a protocol's name or number. Raises ValueError."""
    found = PROTOCOLS.get(text.lower())
    if found is None:
        found = int(text)
        if not 0 <= found <= 255:
            raise ValueError(f"{text!r} is no protocol")
    return found


def protocol_name(number: int) -> str:
    """Write a protocol."""
    return PROTOCOL_NAMES.get(number, str(number))
