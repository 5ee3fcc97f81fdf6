# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""What the matches of iptables (``-m ...``) ask, as the kernel's modules of that name answer it."""

from __future__ import annotations

import typing as t
from functools import lru_cache

from . import iptables_protocols as protocols
from . import iptables_rates as rates
from .iptables_options import Clause, Conditions, Header, Option, Options, options
from .iptables_words import addresses, decimal, masked, protocol, span
from .ruleset import (
    AddressType,
    Condition,
    Conntrack,
    Direction,
    Field,
    FrameType,
    IpSet,
    Masked,
    Never,
    Owner,
    PhysDev,
    ReversePath,
    State,
    Status,
    Unknowable,
    Within,
)
from .sets import IntSet


class Match(t.NamedTuple):
    """A match: its options, and how it is read. ``bare`` when it may stand without any of them."""

    options: Options
    read: t.Callable[[Clause, Header], Conditions]
    bare: bool = False
    repeats: bool = False


def conditions(clause: Clause, header: Header) -> Conditions:
    """Read one match; what it does not answer becomes an :class:`Unknowable`."""
    match = MATCHES.get(clause.name)
    if match is None or not (clause.options or match.bare):
        return (Unknowable(clause.text),)
    try:
        return match.read(clause, header)
    except (ValueError, KeyError):
        return (Unknowable(clause.text),)


# ---- the connection -----------------------------------------------------------------------------------------------

_STATES = frozenset({"NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED"})
_CT_STATES = _STATES | {"SNAT", "DNAT"}
_CT_STATUSES = {"EXPECTED": "expected", "SEEN_REPLY": "seen-reply", "ASSURED": "assured", "CONFIRMED": "confirmed"}


@lru_cache(maxsize=256)
def _states(text: str, negated: bool, allowed: frozenset[str]) -> State:
    found = frozenset(text.upper().split(","))
    if not found <= allowed:
        raise ValueError(f"{text!r} is no state of a connection")
    return State(frozenset(word.lower() for word in found), negated)


def _state(clause: Clause, header: Header) -> Conditions:
    option = clause.options["state"]
    return (_states(option.value, option.negated, _STATES),)


_CT_ADDRESSES: dict[str, Field] = {
    "ctorigsrc": "osrc", "ctorigdst": "odst", "ctreplsrc": "rsrc", "ctrepldst": "rdst",
}  # fmt: skip
_CT_PORTS: dict[str, Field] = {
    "ctorigsrcport": "osport", "ctorigdstport": "odport", "ctreplsrcport": "rsport", "ctrepldstport": "rdport",
}  # fmt: skip


def _conntrack(clause: Clause, header: Header) -> Conditions:
    given = clause.options
    state = None
    if "ctstate" in given:
        state = _states(given["ctstate"].value, given["ctstate"].negated, _CT_STATES)
        if len(given) == 1:
            return (state,)
    others = tuple(_of_connection(clause, name, header) for name in given if name != "ctstate")
    return (Conntrack(state, others),)


def _of_connection(clause: Clause, name: str, header: Header) -> Condition:
    option = clause.options[name]
    value, negated = option.value, option.negated
    if name in _CT_ADDRESSES:
        return Within(_CT_ADDRESSES[name], addresses(value, header.family), negated)
    if name in _CT_PORTS:
        return protocols.port(_CT_PORTS[name], value, negated)
    if name == "ctproto":
        return Within("oproto", IntSet.of(protocol(value)), negated)
    if name == "ctstatus":
        # NONE is no bit, so that it never fits: the kernel asks whether one of the bits is set.
        words = (word for word in value.upper().split(",") if word != "NONE")
        return Status(frozenset(_CT_STATUSES[word] for word in words), negated)
    if name == "ctdir":
        return Direction("original" if _one_of(value, "ORIGINAL", "REPLY") == "ORIGINAL" else "reply")
    return Unknowable(clause.text_of(name))


def _one_of(text: str, *words: str) -> str:
    if text.upper() not in words:
        raise ValueError(f"{text!r} is none of {words}")
    return text.upper()


def _mark(field: Field) -> t.Callable[[Clause, Header], Conditions]:
    def read(clause: Clause, header: Header) -> Conditions:
        option = clause.options["mark"]
        value, mask = masked(option.value)
        return (Masked(field, mask, value, option.negated),)

    return read


# ---- addresses and interfaces -------------------------------------------------------------------------------------

_ADDRESS_TYPES = frozenset(
    [
        "UNSPEC",
        "UNICAST",
        "LOCAL",
        "BROADCAST",
        "ANYCAST",
        "MULTICAST",
        "BLACKHOLE",
        "UNREACHABLE",
        "PROHIBIT",
        "THROW",
        "NAT",
        "XRESOLVE",
    ]
)


def _address_types(text: str) -> frozenset[str]:
    found = frozenset(text.upper().split(","))
    if not found <= _ADDRESS_TYPES:
        raise ValueError(f"{text!r} is no type of address")
    return found


def _addrtype(clause: Clause, header: Header) -> Conditions:
    given = clause.options
    limit: t.Literal["", "iif", "oif"] = ""
    if "limit-iface-in" in given:
        limit = "iif"
    elif "limit-iface-out" in given:
        limit = "oif"
    found: list[Condition] = []
    if "src-type" in given:
        found.append(_type_of_address("src", given["src-type"].value, given["src-type"].negated, limit))
    if "dst-type" in given:
        found.append(_type_of_address("dst", given["dst-type"].value, given["dst-type"].negated, limit))
    return found or (Unknowable(clause.text),)


@lru_cache(maxsize=256)
def _type_of_address(
    field: t.Literal["src", "dst"], text: str, negated: bool, limit: t.Literal["", "iif", "oif"]
) -> AddressType:
    return AddressType(field, _address_types(text), negated, limit)


def _iprange(clause: Clause, header: Header) -> Conditions:
    fields: dict[str, Field] = {"src-range": "src", "dst-range": "dst"}
    return [
        Within(fields[name], span(option.value, header.family), option.negated)
        for name, option in clause.options.items()
    ]


def _set(clause: Clause, header: Header) -> Conditions:
    name, sides = clause.options["match-set"].values
    directions = tuple(sides.lower().split(","))
    if not set(directions) <= {"src", "dst"}:
        raise ValueError(f"{sides!r} is no list of src and dst")
    found: list[Condition] = [IpSet(name, directions, clause.options["match-set"].negated)]
    # These two say what happens to the set's counters, not whether the packet fits.
    asked = [name for name in clause.options if name not in ("match-set", "update-counters", "update-subcounters")]
    return [*found, Unknowable(clause.text_of(*asked))] if asked else found


def _physdev(clause: Clause, header: Header) -> Conditions:
    given = clause.options

    def asked(name: str) -> bool | None:
        return not given[name].negated if name in given else None

    inward, outward = given.get("physdev-in"), given.get("physdev-out")
    return (
        PhysDev(
            iif=inward.value if inward else "",
            oif=outward.value if outward else "",
            iif_negated=inward is not None and inward.negated,
            oif_negated=outward is not None and outward.negated,
            is_in=asked("physdev-is-in"),
            is_out=asked("physdev-is-out"),
            is_bridged=asked("physdev-is-bridged"),
        ),
    )


def _pkttype(clause: Clause, header: Header) -> Conditions:
    option = clause.options["pkt-type"]
    word = _one_of(option.value, "UNICAST", "HOST", "BROADCAST", "MULTICAST")
    kind = "unicast" if word == "HOST" else word.lower()
    return (FrameType(frozenset({kind}), option.negated),)


def _rpfilter(clause: Clause, header: Header) -> Conditions:
    # validmark only matters to routes that are chosen by mark.
    given = clause.options
    return (ReversePath("loose" in given, "accept-local" in given, "invert" in given),)


# ---- processes, and what packets of this model do not have ----------------------------------------------------------


def _owner(clause: Clause, header: Header) -> Conditions:
    # Whether suppl-groups are meant too says nothing without the group.
    asked = {name: option for name, option in clause.options.items() if name != "suppl-groups"}
    return [_owner_of(name, option) for name, option in asked.items()] or (Unknowable(clause.text),)


def _owner_of(name: str, option: Option) -> Owner:
    if name != "uid-owner":
        return Owner(None, option.negated)
    first, dash, last = option.value.partition("-")
    try:
        low = decimal(first)
        uids = IntSet([(low, decimal(last) if dash else low)])
    except ValueError:
        # A user's name: what number it has is not known here.
        return Owner(None, option.negated)
    return Owner(uids, option.negated)


def _policy(clause: Clause, header: Header) -> Conditions:
    # The packets of this model are not transformed by IPsec: that they are fits none, whatever else is asked of them.
    word = _one_of(clause.options["pol"].value, "NONE", "IPSEC")
    return () if word == "NONE" else (Never(clause.text),)


def _absent(clause: Clause, header: Header) -> Conditions:
    # The packets of this model have no such header, and without it nothing fits, negated or not.
    return (Never(clause.text),)


# ---- all of them --------------------------------------------------------------------------------------------------


def _nothing(clause: Clause, header: Header) -> Conditions:
    return ()


_PORTS = "!sport|source-port:1 !dport|destination-port:1"

MATCHES: dict[str, Match] = {
    "tcp": Match(options(f"{_PORTS} !tcp-flags:2 !syn !tcp-option:1"), protocols.with_ports("tcp"), bare=True),
    "udp": Match(options(_PORTS), protocols.with_ports("udp"), bare=True),
    "udplite": Match(options(_PORTS), protocols.with_ports("udplite"), bare=True),
    "sctp": Match(options(f"{_PORTS} !chunk-types:2"), protocols.with_ports("sctp"), bare=True),
    "dccp": Match(options(f"{_PORTS} !dccp-types:1 !dccp-option:1"), protocols.with_ports("dccp"), bare=True),
    "icmp": Match(options("!icmp-type:1"), protocols.icmp(4, 1), bare=True),
    "icmp6": Match(options("!icmpv6-type:1"), protocols.icmp(6, 58), bare=True),
    "multiport": Match(options("!sports|source-ports:1 !dports|destination-ports:1 !ports:1"), protocols.multiport),
    "state": Match(options("!state:1"), _state),
    "conntrack": Match(
        options(
            "!ctstate:1 !ctproto:1 !ctorigsrc:1 !ctorigdst:1 !ctreplsrc:1 !ctrepldst:1 !ctorigsrcport:1"
            " !ctorigdstport:1 !ctreplsrcport:1 !ctrepldstport:1 !ctstatus:1 !ctexpire:1 ctdir:1"
        ),
        _conntrack,
    ),
    "mark": Match(options("!mark:1"), _mark("mark")),
    "connmark": Match(options("!mark:1"), _mark("ctmark")),
    "comment": Match(options("comment:1"), _nothing, bare=True),
    "addrtype": Match(options("!src-type:1 !dst-type:1 limit-iface-in limit-iface-out"), _addrtype),
    "iprange": Match(options("!src-range:1 !dst-range:1"), _iprange),
    "set": Match(
        options(
            "!match-set|set:2 return-nomatch !update-counters !update-subcounters"
            " !packets-eq:1 packets-lt:1 packets-gt:1 !bytes-eq:1 bytes-lt:1 bytes-gt:1"
        ),
        _set,
    ),
    "physdev": Match(
        options("!physdev-in:1 !physdev-out:1 !physdev-is-in !physdev-is-out !physdev-is-bridged"), _physdev
    ),
    "pkttype": Match(options("!pkt-type:1"), _pkttype),
    "rpfilter": Match(options("loose validmark accept-local invert"), _rpfilter, bare=True),
    "owner": Match(options("!uid-owner:1 !gid-owner:1 !socket-exists suppl-groups"), _owner),
    "policy": Match(
        options("dir:1 pol:1 strict !reqid:1 !spi:1 !proto:1 !mode:1 !tunnel-src:1 !tunnel-dst:1 next"),
        _policy,
        repeats=True,
    ),
    "rt": Match(
        options("!rt-type:1 !rt-segsleft:1 !rt-len:1 rt-0-res rt-0-addrs:1 rt-0-not-strict"), _absent, bare=True
    ),
    "frag": Match(options("!fragid:1 !fraglen:1 fragres fragfirst fragmore fraglast"), _absent, bare=True),
    "limit": Match(options("limit:1 limit-burst:1"), rates.limit, bare=True),
    "hashlimit": Match(
        options(
            "!hashlimit-upto|hashlimit:1 !hashlimit-above:1 hashlimit-mode:1 hashlimit-srcmask:1 hashlimit-dstmask:1"
            " hashlimit-name:1 hashlimit-burst:1 hashlimit-htable-size:1 hashlimit-htable-max:1"
            " hashlimit-htable-gcinterval:1 hashlimit-htable-expire:1 hashlimit-rate-match hashlimit-rate-interval:1"
        ),
        rates.hashlimit,
    ),
    "recent": Match(
        options("!set !rcheck !update !remove seconds:1 reap hitcount:1 rttl name:1 rsource rdest mask:1"), rates.recent
    ),
    "connlimit": Match(
        options("!connlimit-above:1 !connlimit-upto:1 connlimit-mask:1 connlimit-saddr connlimit-daddr"),
        rates.connlimit,
    ),
    "quota": Match(options("!quota:1"), rates.quota),
    "statistic": Match(options("mode:1 !probability:1 !every:1 packet:1"), rates.statistic),
}
MATCHES["icmpv6"] = MATCHES["ipv6-icmp"] = MATCHES["icmp6"]

#: The match that iptables takes for a protocol's own options where a rule names none.
BY_PROTOCOL = {1: "icmp", 6: "tcp", 17: "udp", 33: "dccp", 58: "icmp6", 132: "sctp", 136: "udplite"}
