# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""The left sides of nft's JSON (``payload``, ``meta``, ``ct``, ``fib``, ...) as keys."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field
from functools import lru_cache

from . import nft_values as values
from . import nft_word_keys as words
from .nft_keys import HAS_PORTS, WITHOUT_CONNECTION, Conditions, Key, Link, Number, Sender
from .nft_values import Json, NotUnderstood
from .nft_word_keys import Foreign, Words
from .packet import PROTOCOLS, WITH_PORTS
from .ruleset import Field, Never, Within
from .sets import IntSet


@dataclass
class Place:
    """Where a rule stands, as far as that decides what its words mean."""

    family: str
    #: The hooks from which the rule can be reached; a function, because few rules ask.
    hooks: t.Callable[[], t.AbstractSet[str]] = frozenset
    #: Sets, maps and stateful objects of the table by (kind, name), as the listing has them.
    objects: t.Mapping[tuple[str, str], Json] = field(default_factory=dict)
    #: Names of sets and maps that rules add to.
    filled: t.AbstractSet[str] = frozenset()
    #: Conditions that stand before this place in the rule.
    before: t.Sequence[t.Any] = ()
    #: Elements of named sets that were read already, by name and keys.
    read: dict[t.Any, t.Any] = field(default_factory=dict)


_ADDRESS = {4: values.addresses(4), 6: values.addresses(6)}
_ICMP = {"type": values.words(values.ICMP_TYPES), "code": values.words(values.ICMP_CODES)}
_ICMPV6 = {"type": values.words(values.ICMPV6_TYPES), "code": values.words(values.ICMPV6_CODES)}


def key_of(left: Json, place: Place) -> Key:
    """Read the left side of a comparison, or what a set or map is asked for. Raises NotUnderstood."""
    if not isinstance(left, dict) or len(left) != 1:
        raise NotUnderstood(left)
    (kind, inner), *_none = left.items()
    read = _READERS.get(kind)
    if read is None:
        raise NotUnderstood(left)
    return read(inner, place)


def keys_of(left: Json, place: Place) -> list[Key]:
    """Read one key, or the keys of a concatenation."""
    if isinstance(left, dict) and set(left) == {"concat"}:
        parts = left["concat"]
        if not isinstance(parts, list) or not parts:
            raise NotUnderstood(left)
        return [key_of(part, place) for part in parts]
    return [key_of(left, place)]


def _text(inner: Json, name: str) -> str:
    found = inner.get(name, "") if isinstance(inner, dict) else None
    if not isinstance(found, str):
        raise NotUnderstood(inner)
    return found


def family_guard(table_family: str, version: int) -> Conditions:
    """Give the condition that a packet is of an IP family, which a table of that family need not ask."""
    if table_family == {4: "ip", 6: "ip6"}[version]:
        return ()
    return (Within("family", IntSet.of(version)),)


def protocol_guard(*names: str) -> Conditions:
    """Give the condition that a packet is of one of these protocols."""
    return (Within("proto", IntSet.of(*(PROTOCOLS.get(name, 0) or _RARE[name] for name in names))),)


_RARE = {"comp": 108}

# ---- payload ------------------------------------------------------------------------------------------------------


def _payload(inner: Json, place: Place) -> Key:
    if not isinstance(inner, dict) or set(inner) != {"protocol", "field"}:
        # Raw bytes, or a header within a tunnel.
        return Foreign()
    protocol, name = _text(inner, "protocol"), _text(inner, "field")
    if protocol == "th":
        return _transport_header(name, place)
    return _header(protocol, name, place.family)


def _transport_header(name: str, place: Place) -> Key:
    """Read ``th dport``, which looks at the same two bytes whatever the protocol is."""
    if name not in ("sport", "dport"):
        return Foreign()
    sure = any(
        isinstance(part, Within) and part.field == "proto" and not part.negated and not part.values - HAS_PORTS.values
        for part in place.before
    )
    return Number("sport" if name == "sport" else "dport", 16, values.plain, blind=not sure)


@lru_cache(maxsize=1024)
def _header(protocol: str, name: str, family: str) -> Key:
    guards = _header_guards(protocol, family)
    if protocol in ("ip", "ip6"):
        version = 4 if protocol == "ip" else 6
        if name in ("saddr", "daddr"):
            return Number("src" if name == "saddr" else "dst", 32 if version == 4 else 128, _ADDRESS[version], guards)
        if (protocol, name) == ("ip", "frag-off"):
            return words.Fragment(guards)
        if name == ("protocol" if version == 4 else "nexthdr"):
            return Number("proto", 8, values.protocols, guards)
    elif name in ("sport", "dport") and PROTOCOLS.get(protocol) in WITH_PORTS:
        return Number("sport" if name == "sport" else "dport", 16, values.plain, guards)
    elif protocol in ("icmp", "icmpv6") and name in ("type", "code"):
        read = (_ICMP if protocol == "icmp" else _ICMPV6)[name]
        return Number("icmp_type" if name == "type" else "icmp_code", 8, read, guards)
    elif (protocol, name) == ("tcp", "flags"):
        return Number("tcp_flags", 8, values.plain, guards, flags=values.TCP_FLAGS)
    elif (protocol, name) == ("ether", "type") and family in ("bridge", "netdev"):
        return Number("family", 8, values.l3_header)
    return Foreign(guards, sure=bool(guards))


def _header_guards(protocol: str, family: str) -> Conditions:
    """Give what a packet is that has this header."""
    if protocol in ("ip", "igmp"):
        guards = family_guard(family, 4)
        return guards + protocol_guard("igmp") if protocol == "igmp" else guards
    if protocol == "ip6":
        return family_guard(family, 6)
    if protocol in ("icmp", "icmpv6"):
        return family_guard(family, 4 if protocol == "icmp" else 6) + protocol_guard(protocol)
    if protocol in ("tcp", "udp", "udplite", "sctp", "dccp", "esp", "ah", "comp", "gre"):
        return protocol_guard(protocol)
    return (Never("arp"),) if protocol == "arp" else ()


def _extension(inner: Json, place: Place) -> Key:
    # Packets of this model have no extension headers: a rule that reads a field of one ends there.
    absent = Never("exthdr")
    guards = family_guard(place.family, 6)
    if isinstance(inner, dict) and "field" in inner:
        return Foreign((*guards, absent), sure=True)
    return words.Existence((absent,), (), guards)


def _ip_option(inner: Json, place: Place) -> Key:
    return Foreign(family_guard(place.family, 4))


def _option_of(protocol: str) -> t.Callable[[Json, Place], Key]:
    def read(inner: Json, place: Place) -> Key:
        # Packets of other protocols have none: that ends a rule which reads a field, and is an answer to "missing".
        return Foreign(protocol_guard(protocol) if isinstance(inner, dict) and "field" in inner else ())

    return read


# ---- meta ---------------------------------------------------------------------------------------------------------

_METAS: dict[str, Key] = {
    "nfproto": Number("family", 8, values.family),
    "protocol": Number("family", 8, values.l3_header),
    "l4proto": Number("proto", 8, values.protocols),
    "mark": Number("mark", 32, values.plain),
    "iifname": Link("iif"),
    "oifname": Link("oif"),
    "iif": Link("iif", by_number=True),
    "oif": Link("oif", by_number=True),
    "random": Foreign(chance=True, sure=True),
    "ipsec": words.IPSEC,
    "secpath": words.IPSEC,
}


def _meta(inner: Json, place: Place) -> Key:
    name = _text(inner, "key")
    if name in ("skuid", "skgid"):
        return Sender(group=name == "skgid", coming_in=not place.hooks().isdisjoint({"prerouting", "input"}))
    if name == "pkttype":
        return words.packet_type()
    return _METAS.get(name) or Foreign()


# ---- connections --------------------------------------------------------------------------------------------------

_CONNECTIONS: dict[str, Key] = {
    "state": words.ConnectionState(),
    "status": words.ConnectionStatus(),
    "direction": Words(words.direction),
    "mark": Number("ctmark", 32, values.plain),
    "protocol": Number("oproto", 8, values.protocols),
    "l3proto": Number("family", 8, values.family, (WITHOUT_CONNECTION,)),
}

#: Fields of a connection's tuples, by direction and name.
_TUPLES: dict[tuple[str, str], Field] = {
    ("original", "saddr"): "osrc",
    ("original", "daddr"): "odst",
    ("original", "proto-src"): "osport",
    ("original", "proto-dst"): "odport",
    ("reply", "saddr"): "rsrc",
    ("reply", "daddr"): "rdst",
    ("reply", "proto-src"): "rsport",
    ("reply", "proto-dst"): "rdport",
}


def _ct(inner: Json, place: Place) -> Key:
    return _connection(_text(inner, "key"), _text(inner, "dir"), place.family)


@lru_cache(maxsize=1024)
def _connection(name: str, direction: str, family: str) -> Key:
    if name in ("protocol", "l3proto"):
        # Both directions have the same.
        return _CONNECTIONS[name]
    if not direction:
        return _CONNECTIONS.get(name) or Foreign()
    protocol, _space, rest = name.rpartition(" ")
    found = _TUPLES.get((direction, rest))
    if found is None:
        return Foreign()
    if rest.startswith("proto-"):
        return Number(found, 16, values.plain)
    version = {"": values.FAMILIES.get(family), "ip": 4, "ip6": 6}.get(protocol)
    if version is None:
        return Foreign()
    read = _ADDRESS[version] if protocol else _garbled(version)
    return Number(found, 32 if version == 4 else 128, read, family_guard(family, version))


@lru_cache(maxsize=2)
def _garbled(version: int) -> values.Reader:
    """Make a reader of addresses for ``ct original saddr`` without ``ip``.

    nft lists a prefix of whole bytes there as an address with the bytes it compares at the end: 192.0.2.0/24 as
    0.192.0.2. An address that begins with zero is therefore not what it seems.
    """
    bits = 32 if version == 4 else 128

    def read(value: Json) -> IntSet:
        number = values.address(value, version)
        if number >> (bits - 8) == 0:
            raise NotUnderstood(value)
        return IntSet.of(number)

    return read


# ---- the kernel's routes ------------------------------------------------------------------------------------------


def _fib(inner: Json, place: Place) -> Key:
    listed = inner.get("flags") if isinstance(inner, dict) else None
    flags = [listed] if isinstance(listed, str) else listed
    if not isinstance(flags, list) or not all(isinstance(flag, str) for flag in flags):
        raise NotUnderstood(inner)
    return _route(_text(inner, "result"), frozenset(flags))


@lru_cache(maxsize=256)
def _route(result: str, flags: frozenset[str]) -> Key:
    sides = flags & {"saddr", "daddr"}
    rest = flags - sides
    if result == "type" and len(sides) == 1 and rest in (set(), {"iif"}, {"oif"}):
        limit: t.Literal["", "iif", "oif"] = "iif" if "iif" in rest else "oif" if "oif" in rest else ""
        return words.address_type("src" if "saddr" in sides else "dst", limit)
    if result in ("oif", "check") and sides == {"saddr"} and rest <= {"iif", "mark"}:
        # A mark only matters to routing rules, with which the walk answers nothing anyway.
        return words.reverse_path(loose="iif" not in rest)
    return Foreign()


# ---- composed and others ------------------------------------------------------------------------------------------


def _combined(operator: str) -> t.Callable[[Json, Place], Key]:
    def read(inner: Json, place: Place) -> Key:
        if not isinstance(inner, list) or len(inner) < 2:
            raise NotUnderstood(inner)
        key = key_of(inner[0], place)
        for constant in inner[1:]:
            key = _combine(key, operator, constant)
        return key

    return read


def _combine(key: Key, operator: str, constant: Json) -> Key:
    if isinstance(key, Number):
        return key.combined(operator, key.constant(constant))
    if isinstance(key, words.ConnectionState) and operator == "&":
        return key.masked(values.bits(constant, values.STATES))
    if isinstance(key, words.Fragment) and operator == "&":
        return key.masked(values.whole(constant))
    if isinstance(key, words.ConnectionStatus) and operator == "&":
        return key.masked(values.bits(constant, values.STATUS))
    return Foreign(key.guards, sure=isinstance(key, Foreign) and key.sure)


def _foreign(inner: Json, place: Place) -> Key:
    return Foreign()


def _routing(inner: Json, place: Place) -> Key:
    return words.IPSEC if _text(inner, "key") == "ipsec" else Foreign()


def _ipsec(inner: Json, place: Place) -> Key:
    # No packet of this model came out of a tunnel or goes into one.
    return Foreign((Never("ipsec"),), sure=True)


_READERS: dict[str, t.Callable[[Json, Place], Key]] = {
    "payload": _payload,
    "exthdr": _extension,
    "ip option": _ip_option,
    "tcp option": _option_of("tcp"),
    "sctp chunk": _option_of("sctp"),
    "dccp option": _option_of("dccp"),
    "meta": _meta,
    "ct": _ct,
    "fib": _fib,
    "rt": _routing,
    "socket": _foreign,
    "osf": _foreign,
    "ipsec": _ipsec,
    "numgen": lambda inner, place: Foreign(chance=True, sure=True),
    "jhash": _foreign,
    "symhash": _foreign,
    "&": _combined("&"),
    "|": _combined("|"),
    "^": _combined("^"),
    "<<": _foreign,
    ">>": _foreign,
}
