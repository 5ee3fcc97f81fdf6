# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""The values that nft's JSON compares with: addresses, ports, names of protocols and flags, ranges and sets of them."""

from __future__ import annotations

import ipaddress
import re
import typing as t

from .packet import PROTOCOLS
from .sets import BITS, EMPTY, IntSet, everything

#: Something read from JSON.
Json = t.Any

#: Reads one word or number into the numbers it stands for, mostly one.
Reader = t.Callable[[Json], IntSet]


class NotUnderstood(ValueError):
    """What was met here has no meaning in this model; the caller makes an ``Unknowable`` or ``Opaque`` of it."""


# ---- names --------------------------------------------------------------------------------------------------------

TCP_FLAGS = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "cwr": 128}
STATES = {"invalid": 1, "established": 2, "related": 4, "new": 8, "untracked": 64}
STATUS = {
    "expected": 1,
    "seen-reply": 2,
    "assured": 4,
    "confirmed": 8,
    "snat": 16,
    "dnat": 32,
    "dying": 512,
}
FAMILIES = {"ip": 4, "ip6": 6, "ipv4": 4, "ipv6": 6}

ICMP_TYPES = {
    "echo-reply": 0,
    "destination-unreachable": 3,
    "source-quench": 4,
    "redirect": 5,
    "echo-request": 8,
    "router-advertisement": 9,
    "router-solicitation": 10,
    "time-exceeded": 11,
    "parameter-problem": 12,
    "timestamp-request": 13,
    "timestamp-reply": 14,
    "info-request": 15,
    "info-reply": 16,
    "address-mask-request": 17,
    "address-mask-reply": 18,
}
ICMP_CODES = {
    "net-unreachable": 0,
    "host-unreachable": 1,
    "prot-unreachable": 2,
    "port-unreachable": 3,
    "frag-needed": 4,
    "net-prohibited": 9,
    "host-prohibited": 10,
    "admin-prohibited": 13,
}
ICMPV6_TYPES = {
    "destination-unreachable": 1,
    "packet-too-big": 2,
    "time-exceeded": 3,
    "parameter-problem": 4,
    "echo-request": 128,
    "echo-reply": 129,
    "mld-listener-query": 130,
    "mld-listener-report": 131,
    "mld-listener-done": 132,
    "mld-listener-reduction": 132,
    "nd-router-solicit": 133,
    "nd-router-advert": 134,
    "nd-neighbor-solicit": 135,
    "nd-neighbor-advert": 136,
    "nd-redirect": 137,
    "router-renumbering": 138,
    "ind-neighbor-solicit": 141,
    "ind-neighbor-advert": 142,
    "mld2-listener-report": 143,
}
ICMPV6_CODES = {
    "no-route": 0,
    "admin-prohibited": 1,
    "addr-unreachable": 3,
    "port-unreachable": 4,
    "policy-fail": 5,
    "reject-route": 6,
}
#: What /etc/protocols calls those that packets of this model seldom are.
_MORE_PROTOCOLS = {
    "ip": 0,
    "hopopt": 0,
    "st": 5,
    "egp": 8,
    "igp": 9,
    "pup": 12,
    "rdp": 27,
    "ddp": 37,
    "ipv6-route": 43,
    "ipv6-frag": 44,
    "rsvp": 46,
    "comp": 108,
    "ipcomp": 108,
    "ipv6-nonxt": 59,
    "ipv6-opts": 60,
    "eigrp": 88,
    "ospf": 89,
    "ospfigp": 89,
    "etherip": 97,
    "encap": 98,
    "pim": 103,
    "l2tp": 115,
    "isis": 124,
    "mobility-header": 135,
    "mpls-in-ip": 137,
    "manet": 138,
    "hip": 139,
    "shim6": 140,
}
_PROTOCOLS = {**_MORE_PROTOCOLS, **PROTOCOLS}

#: nft 1.0 writes ports of a set this way where it has lost their type.
_TYPELESS = re.compile(r"(0x[0-9a-f]{1,16}|[0-9]{1,19})(?: \[invalid type\])?")


# ---- one word or number -------------------------------------------------------------------------------------------


def whole(value: Json) -> int:
    """Read a number that is not negative. Raises NotUnderstood."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str):
        found = typeless(value)
        if found is not None:
            return found
    raise NotUnderstood(value)


def typeless(value: str) -> int | None:
    """Read a number that is written as a word; None when it is none."""
    found = _TYPELESS.fullmatch(value)
    return None if found is None else int(found[1], 0 if value.startswith("0x") else 10)


def plain(value: Json) -> IntSet:
    """Read a number."""
    return IntSet.of(whole(value))


def words(names: t.Mapping[str, int]) -> Reader:
    """Make a reader of these names and of numbers."""
    known = {name: IntSet.of(number) for name, number in names.items()}

    def read(value: Json) -> IntSet:
        found = known.get(value) if isinstance(value, str) else None
        return found if found is not None else plain(value)

    return read


protocols = words(_PROTOCOLS)


def family(value: Json) -> IntSet:
    """Read what a packet is: IPv4 or IPv6; nothing for what is neither."""
    if not isinstance(value, str):
        raise NotUnderstood(value)
    return IntSet.of(FAMILIES[value]) if value in FAMILIES else EMPTY


def l3_header(value: Json) -> IntSet:
    """Read an Ethernet type as nft names it: IPv4, IPv6, or nothing for one that is neither (arp, vlan, ...)."""
    return family(value) if value in ("ip", "ip6", "arp", "vlan", "8021q", "8021ad") else _raise(value)


def user(value: Json) -> IntSet:
    """Read a user's number; of all names only root's is the same everywhere."""
    return IntSet.of(0) if value == "root" else plain(value)


def addresses(version: int) -> Reader:
    """Make a reader of addresses of one family."""

    def read(value: Json) -> IntSet:
        return IntSet.of(address(value, version))

    return read


def address(value: Json, version: int) -> int:
    """Read one address of a family as a number. Raises NotUnderstood."""
    if isinstance(value, str):
        try:
            return int(ipaddress.IPv4Address(value) if version == 4 else ipaddress.IPv6Address(value))
        except ValueError:
            pass
    raise NotUnderstood(value)


def _raise(value: Json) -> t.NoReturn:
    raise NotUnderstood(value)


# ---- values made of others ----------------------------------------------------------------------------------------


def unwrapped(value: Json) -> Json:
    """Take the value out of an element that carries a comment, a timeout or a counter."""
    while isinstance(value, dict) and set(value) == {"elem"}:
        inner = value["elem"]
        if not isinstance(inner, dict) or "val" not in inner:
            raise NotUnderstood(value)
        value = inner["val"]
    return value


def items(value: Json) -> list[Json]:
    """Give the elements of an anonymous set, or the value itself as the only one."""
    value = unwrapped(value)
    if isinstance(value, dict) and set(value) == {"set"}:
        inner = value["set"]
        return [unwrapped(item) for item in inner] if isinstance(inner, list) else [unwrapped(inner)]
    return [value]


def numbers(value: Json, read: Reader, width: int) -> IntSet:
    """Read a value, range, prefix or anonymous set into all numbers it means. Raises NotUnderstood."""
    listed = items(value)
    if len(listed) == 1:
        return _numbers(listed[0], read, width)
    return IntSet(pair for item in listed for pair in _numbers(item, read, width).ranges)


def _numbers(value: Json, read: Reader, width: int) -> IntSet:
    if isinstance(value, dict) and len(value) == 1:
        return _composed(value, read, width)
    if value == "*":
        return everything(width)
    found = read(value)
    if found.ranges and found.ranges[-1][1] >> width:
        raise NotUnderstood(value)
    return found


def _composed(value: dict[str, Json], read: Reader, width: int) -> IntSet:
    if "range" in value:
        first, last = pair(value["range"])
        return IntSet([(_one(first, read), _one(last, read))])
    if "prefix" in value:
        inner = value["prefix"]
        if not isinstance(inner, dict):
            raise NotUnderstood(value)
        length = whole(inner.get("len"))
        if length > width:
            raise NotUnderstood(value)
        free = width - length
        base = _one(inner.get("addr"), read) >> free << free
        return IntSet([(base, base + (1 << free) - 1)])
    raise NotUnderstood(value)


def _one(value: Json, read: Reader) -> int:
    found = read(value).ranges
    if len(found) != 1 or found[0][0] != found[0][1]:
        raise NotUnderstood(value)
    return found[0][0]


def pair(value: Json) -> tuple[Json, Json]:
    """Read a list of two. Raises NotUnderstood."""
    if isinstance(value, list) and len(value) == 2:
        return value[0], value[1]
    raise NotUnderstood(value)


def bits(value: Json, names: t.Mapping[str, int]) -> int:
    """Put flags together: one, a list of them, or ``|``. Raises NotUnderstood."""
    if isinstance(value, dict) and set(value) == {"|"}:
        value = value["|"]
    if not isinstance(value, list):
        return names[value] if isinstance(value, str) and value in names else whole(value)
    found = 0
    for item in value:
        found |= bits(item, names)
    return found


def flags_of(value: t.Mapping[str, Json]) -> frozenset[str]:
    """Read ``flags``: one word or a list of them; older versions list a single one as a word."""
    listed = value.get("flags")
    words_there = listed if isinstance(listed, list) else [listed]
    return frozenset(word for word in words_there if isinstance(word, str))


def words_of(value: Json) -> frozenset[str]:
    """Read a word or an anonymous set of words. Raises NotUnderstood."""
    listed = items(value)
    if not all(isinstance(item, str) for item in listed):
        raise NotUnderstood(value)
    return frozenset(listed)


def target_addresses(value: Json, version: int) -> tuple[int, int]:
    """Read the address, range or prefix that NAT rewrites to: (first, last). Raises NotUnderstood."""
    found = numbers(value, addresses(version), BITS[version]).ranges
    if len(found) != 1:
        raise NotUnderstood(value)
    return found[0]


def target_ports(value: Json) -> tuple[int, int]:
    """Read the port or range that NAT rewrites to: (first, last). Raises NotUnderstood."""
    found = numbers(value, plain, 16).ranges
    if len(found) != 1:
        raise NotUnderstood(value)
    return found[0]
