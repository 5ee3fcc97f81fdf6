# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""The kernel's kinds of addresses, as ``-m addrtype`` and nftables' ``fib ... type`` ask for them.

For IPv4 both ask the same: the table of local addresses, where everything that is not in it is unicast. For IPv6
nftables gives each address one kind, while iptables asks several things at once, all of which have to hold.
"""

from __future__ import annotations

from . import sets
from .host import LINKLOCAL6, LOOPBACK4, MULTICAST4, MULTICAST6, NOWHERE, UNSPECIFIED6, ZERONET, Knowledge
from .sets import EMPTY, IntSet

#: Kinds that IPv4's local addresses never have.
_NEVER_LOCAL = frozenset({"UNSPEC", "ANYCAST", "BLACKHOLE", "UNREACHABLE", "PROHIBIT", "THROW", "NAT", "XRESOLVE"})

#: What iptables finds out for IPv6 by asking the routing.
_BY_ROUTE = frozenset({"LOCAL", "ANYCAST", "UNREACHABLE"})

_KIND_OF_ROUTE = {"": "UNREACHABLE", "throw": "THROW"}


def addresses(
    host: Knowledge, family: int, kinds: frozenset[str], limit: str | None, *, by_fib: bool, link: str | None = None
) -> IntSet | None:
    """Give the addresses that are of one of these kinds; None for a question that this model has no answer to.

    :param limit: the interface whose addresses alone count as local, if any.
    :param by_fib: nftables asks.
    :param link: the interface that the packet came in by: nftables looks for an address of one link only there.
    """
    if family == 6 and not by_fib:
        return _asked_by_iptables(host, kinds, limit)
    known = _kinds4(host, limit) if family == 4 else _kinds6(host, limit or link, limit)
    found = EMPTY
    for kind in kinds:
        if kind not in known and kind not in _NEVER_LOCAL | {"BROADCAST"}:
            return None
        found = found | known.get(kind, EMPTY)
    return found


def _kinds4(host: Knowledge, limit: str | None) -> dict[str, IntSet]:
    itself = LOOPBACK4 if limit == "lo" else EMPTY
    local = host.local[4] if limit is None else host.own(4, limit) | itself
    broadcast = host.broadcasts(limit) | ZERONET
    local = local - broadcast
    return {
        "LOCAL": local,
        "BROADCAST": broadcast,
        "MULTICAST": MULTICAST4,
        "UNICAST": sets.ALL_ADDRESSES[4] - local - broadcast - MULTICAST4,
    }


def _kinds6(host: Knowledge, link: str | None, limit: str | None) -> dict[str, IntSet]:
    local = host.local[6] if limit is None else host.own(6, limit)
    if link is not None:
        local = (local - LINKLOCAL6) | (host.own(6, link) & LINKLOCAL6)
    anycast = host.anycast() - local
    found = {"LOCAL": local, "ANYCAST": anycast}
    reached = sets.ALL_ADDRESSES[6] - anycast - host.local[6] - MULTICAST6 - LINKLOCAL6
    dead = EMPTY
    for reach, name, _text in host.routes(6):
        if name in NOWHERE or not name:
            kind = _KIND_OF_ROUTE.get(name, name.upper())
            found[kind] = found.get(kind, EMPTY) | (reach & reached)
            dead = dead | (reach & reached)
    found["UNSPEC"] = UNSPECIFIED6 - dead - anycast
    found["MULTICAST"] = MULTICAST6
    found["UNICAST"] = sets.ALL_ADDRESSES[6] - local - anycast - dead - MULTICAST6 - UNSPECIFIED6
    return found


def _asked_by_iptables(host: Knowledge, kinds: frozenset[str], limit: str | None) -> IntSet | None:
    if kinds - _BY_ROUTE - {"UNICAST", "MULTICAST", "UNSPEC"}:
        return None
    fitting = sets.ALL_ADDRESSES[6]
    if "MULTICAST" in kinds:
        fitting = fitting & MULTICAST6
    if "UNICAST" in kinds:
        fitting = fitting - MULTICAST6 - UNSPECIFIED6
    if "UNSPEC" in kinds:
        fitting = fitting & UNSPECIFIED6
    routed = kinds & _BY_ROUTE
    if not routed:
        return fitting
    if limit is not None and routed != {"LOCAL"}:
        return None
    found = EMPTY
    if "LOCAL" in routed:
        found = host.local[6] if limit is None else host.own(6, limit)
    if "ANYCAST" in routed:
        found = found | (host.anycast() - host.local[6])
    if "UNREACHABLE" in routed:
        kinds6 = _kinds6(host, None, None)
        for kind in ("UNREACHABLE", "BLACKHOLE", "PROHIBIT", "THROW"):
            found = found | kinds6.get(kind, EMPTY)
    return fitting & found
