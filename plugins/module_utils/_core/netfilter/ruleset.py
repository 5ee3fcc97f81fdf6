# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""What a packet filter says, whoever wrote it: tables, chains and rules of iptables and nftables as one kind of value.

Two parsers make these values (``iptables_save``, ``nft_json``); one walk reads them (``walk``). A condition or a target
that a parser does not know becomes an :class:`Unknowable` or an :class:`Opaque`, which the walk cannot pass without
saying so.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .sets import IntSet

# ---- conditions ---------------------------------------------------------------------------------------------------

#: Numbers of a packet and of its connection that a rule can compare. Addresses, ports and protocol are those the packet
#: carries at that moment; o... are of the connection's original direction, r... of its reply direction, as conntrack
#: keeps them. ``family`` is 4 or 6.
Field = t.Literal[
    "family", "proto", "src", "dst", "sport", "dport", "icmp_type", "icmp_code", "mark", "ctmark", "tcp_flags",
    "oproto", "osrc", "odst", "osport", "odport", "rsrc", "rdst", "rsport", "rdport",
]  # fmt: skip


@dataclass(frozen=True)
class Within:
    """The number ``field`` is in ``values``. A packet that has no such number does not fit, negated or not."""

    field: Field
    values: IntSet
    negated: bool = False


@dataclass(frozen=True)
class Masked:
    """``field & mask == value``. For marks and TCP flags."""

    field: Field
    mask: int
    value: int
    negated: bool = False


@dataclass(frozen=True)
class Interface:
    """The interface the packet came in by, or goes out by, has one of these names.

    ``names`` are exact, ``prefixes`` are beginnings (``eth+``, ``eth*``). A packet without such an interface (one of the
    host itself has no ``iif``) has the empty name, so that it fits a negated condition.
    """

    field: t.Literal["iif", "oif"]
    names: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    negated: bool = False


@dataclass(frozen=True)
class State:
    """The connection's state is one of new, established, related, invalid, untracked, snat, dnat."""

    states: frozenset[str]
    negated: bool = False


@dataclass(frozen=True)
class Status:
    """The connection has at least one of the bits expected, seen-reply, assured, confirmed, snat, dnat, dying."""

    bits: frozenset[str]
    negated: bool = False


@dataclass(frozen=True)
class Direction:
    """The packet goes in the connection's ``original`` or ``reply`` direction."""

    direction: t.Literal["original", "reply"]
    negated: bool = False


@dataclass(frozen=True)
class Conntrack:
    """One ``-m conntrack``: all of its parts hold. Without a connection only ``state`` is asked (as xt_conntrack does).

    ``others`` are :class:`Within` on o... and r... fields, :class:`Status`, :class:`Direction` and :class:`Unknowable`.
    """

    state: State | None = None
    others: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class AddressType:
    """The kernel's kind of an address: LOCAL, UNICAST, BROADCAST, MULTICAST, ... of which one is in ``types``.

    ``limit`` asks only about that interface's addresses. ``by_fib`` is nftables' way of asking (see ``address_types``).
    """

    field: t.Literal["src", "dst"]
    types: frozenset[str]
    negated: bool = False
    limit: t.Literal["", "iif", "oif"] = ""
    by_fib: bool = False


@dataclass(frozen=True)
class Lookup:
    """A tuple of fields is an element of a set of nftables.

    Each element has one entry for each of ``fields``: an :class:`IntSet` for a number, a frozenset of names for an
    interface (``eth*`` is a beginning). ``filled_by_rules`` marks a set that rules add to (dynamic or with a timeout),
    so that its content is that of one moment.
    """

    fields: tuple[str, ...]
    elements: tuple[tuple[IntSet | frozenset[str], ...], ...]
    negated: bool = False
    name: str = ""
    filled_by_rules: bool = False


@dataclass(frozen=True)
class IpSet:
    """``-m set``: ``directions`` (src, dst) say for each dimension of the ipset which side of the packet it means."""

    name: str
    directions: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True)
class ReversePath:
    """The route to the sender leaves by the interface the packet came in by (``loose``: by any); fits if not ``invert``.

    ``accept_local`` lets the host's own addresses pass. ``by_fib``: nftables asks (``fib saddr . iif oif``).
    """

    loose: bool = False
    accept_local: bool = False
    invert: bool = False
    by_fib: bool = False


@dataclass(frozen=True)
class PhysDev:
    """``-m physdev``: the port of a bridge. An empty name is not asked for; None of ``is_...`` likewise."""

    iif: str = ""
    oif: str = ""
    iif_negated: bool = False
    oif_negated: bool = False
    is_in: bool | None = None
    is_out: bool | None = None
    is_bridged: bool | None = None


@dataclass(frozen=True)
class FrameType:
    """The frame that a packet came in was for one (``unicast``), for some (``multicast``) or for all (``broadcast``).

    It stays that when the packet gets another address. What a host sends counts as for one.
    """

    kinds: frozenset[str]
    negated: bool = False


@dataclass(frozen=True)
class Owner:
    """``-m owner`` / ``meta skuid``: ``uids`` is None when something else than the user is asked for."""

    uids: IntSet | None = None
    negated: bool = False


@dataclass(frozen=True)
class Rate:
    """Fits or not by how much came before (limit, hashlimit, recent, connlimit, quota, statistic).

    ``calm`` is the answer for the first packet of a sender that was silent so far; None when that is not known either.
    """

    text: str
    calm: bool | None = None


@dataclass(frozen=True)
class Never:
    """A condition that no packet of this model fits (IPsec, a foreign family)."""

    text: str = ""


@dataclass(frozen=True)
class Unknowable:
    """A condition that this model cannot answer; ``text`` is as the rule has it."""

    text: str


Condition = t.Union[
    Within, Masked, Interface, State, Status, Direction, Conntrack, AddressType, Lookup, IpSet, ReversePath, PhysDev,
    FrameType, Owner, Rate, Never, Unknowable,
]  # fmt: skip

# ---- effects ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """``return`` at the end of a base chain gives its policy; ``continue`` does nothing."""

    word: t.Literal["accept", "drop", "reject", "return", "continue"]


@dataclass(frozen=True)
class Jump:
    """Walk another chain of the same table; ``goto`` does not come back to this one."""

    chain: str
    goto: bool = False


@dataclass(frozen=True)
class Nat:
    """Rewrite the connection. ``addresses`` and ``ports`` are (first, last); None keeps what is there.

    ``to_interface`` takes the address of the interface: ``masquerade`` (kind ``snat``, of the one it goes out by) and
    ``redirect`` (kind ``dnat``, of the one it came in by, or loopback for the host's own packets).
    ``exact`` is False when the kernel picks by chance or by hash in a way the rule does not say.
    """

    kind: t.Literal["snat", "dnat"]
    addresses: tuple[int, int] | None = None
    ports: tuple[int, int] | None = None
    to_interface: bool = False
    exact: bool = True


@dataclass(frozen=True)
class SetMark:
    """``field = (field & ~mask) ^ value``; for nft's plain ``set`` the mask has all 32 bits."""

    field: t.Literal["mark", "ctmark"]
    mask: int
    value: int


@dataclass(frozen=True)
class CopyMark:
    """``to = (to & ~to_mask) ^ (source & from_mask)``: CONNMARK's save and restore."""

    source: t.Literal["mark", "ctmark"]
    to: t.Literal["mark", "ctmark"]
    from_mask: int = 0xFFFFFFFF
    to_mask: int = 0xFFFFFFFF


@dataclass(frozen=True)
class Untrack:
    """No connection is made for this packet, and none of NAT's rules sees it."""


@dataclass(frozen=True)
class Note:
    """Something that changes neither the packet nor its way: a log, a TCPMSS clamp."""

    text: str


@dataclass(frozen=True)
class Opaque:
    """A target that this model does not know. ``rewrites`` when the packet may come out as another one."""

    text: str
    rewrites: bool = True


@dataclass(frozen=True)
class VerdictMap:
    """nft's ``vmap`` and address maps: the first entry whose key has the packet's ``fields`` says what happens.

    Keys are as the elements of :class:`Lookup`. Without a fitting entry the rule ends, as if a condition did not fit.
    """

    fields: tuple[str, ...]
    entries: tuple[tuple[tuple[IntSet | frozenset[str], ...], Effect], ...]
    name: str = ""
    filled_by_rules: bool = False


@dataclass(frozen=True)
class Switch:
    """nft's ``vmap`` by something that is no field (``ct state``, ``fib daddr type``, ``meta mark & 0xff``).

    ``cases`` are (conditions, effect): the first case whose conditions all fit says what happens. Without one the rule
    ends, as if a condition did not fit.
    """

    cases: tuple[tuple[tuple[Condition, ...], Effect], ...]
    name: str = ""


Effect = t.Union[Verdict, Jump, Nat, SetMark, CopyMark, Untrack, Note, Opaque, VerdictMap, Switch]

# ---- rules, chains, tables ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rule:
    """One rule; ``parts`` are conditions and effects in their order. ``number`` counts from 1 within the chain.

    ``text`` is the rule as its own tool writes it, without counters and control characters.
    """

    number: int
    text: str
    parts: tuple[Condition | Effect, ...]


@dataclass(frozen=True)
class Table:
    """Whose chains these are. ``family`` is ip, ip6, inet, bridge, netdev or arp; ``backend`` iptables, legacy or nft."""

    family: str
    name: str
    backend: t.Literal["iptables", "legacy", "nft"] = "iptables"

    @property
    def title(self) -> str:
        return f"{self.family} {self.name}"


@dataclass(frozen=True)
class Chain:
    """A chain. One that the kernel itself calls has a ``hook`` (prerouting, input, forward, output, postrouting,
    ingress, egress), a ``priority``, a ``policy`` and a ``kind`` (filter, nat, route); ``devices`` are of ingress and
    egress.
    """

    table: Table
    name: str
    rules: tuple[Rule, ...] = ()
    hook: str = ""
    priority: int = 0
    policy: str = ""
    kind: str = "filter"
    devices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ruleset:
    """All that was read. ``troubles`` are sentences about what could not be read at all."""

    chains: tuple[Chain, ...] = ()
    troubles: tuple[str, ...] = ()
    by_name: t.Mapping[tuple[Table, str], Chain] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {(chain.table, chain.name): chain for chain in self.chains})

    @classmethod
    def merge(cls, *rulesets: Ruleset) -> Ruleset:
        """Put what several tools told of one host together."""
        return cls(
            tuple(chain for ruleset in rulesets for chain in ruleset.chains),
            tuple(trouble for ruleset in rulesets for trouble in ruleset.troubles),
        )

    def tables(self) -> list[Table]:
        """Tables, each once, in the order they were read."""
        return list(dict.fromkeys(chain.table for chain in self.chains))


# ---- the parsers --------------------------------------------------------------------------------------------------


def parse_iptables_save(text: str, family: int, *, backend: t.Literal["iptables", "legacy"] = "iptables") -> Ruleset:
    """Read ``iptables-save`` (family 4) or ``ip6tables-save`` (6). Never raises on any text."""
    from .iptables_rules import parse

    return parse(text, family, backend)


def parse_nft_json(text: str | t.Mapping[str, t.Any]) -> Ruleset:
    """Read ``nft -j list ruleset``; tables that iptables-nft owns are left out. Never raises on any text."""
    from .nft_rules import parse

    return parse(text)
