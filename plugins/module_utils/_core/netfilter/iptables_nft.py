# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Which of nftables' tables have to be read by ``iptables-nft-save``, and what asking it would do.

iptables on nf_tables keeps its rules in tables of the families ip and ip6 that are called filter, nat, mangle, raw and
security. What nftables has no words for (conntrack, addrtype, comment, DNAT, ...) is there as an ``xt`` expression, whose
content only iptables' own tool shows: such a table has to be read by it. A table without any is told completely by
``nft -j``, and is read from there. This is not a matter of taste:

* ``iptables-nft-save`` prints rules that ``nft`` wrote as if it understood them, and they then say something else:
  ``tcp dport { 1, 2 } accept`` comes out as ``-p tcp -j ACCEPT`` (1.8.9 to 1.8.13), ``ip saddr 10.0.0.1-10.0.0.5 drop``
  as ``-s 10.0.0.5/32 -j DROP`` (1.8.9; later ones give up); base chains of other names are left out. So each rule and
  each chain that iptables cannot have written is *foreign*, and is read from ``nft -j`` too.
* It looks up the kernel's side of every extension that it prints, ``tcp`` for ``tcp dport 22`` for example, by which the
  kernel loads nft_compat and xt_tcpudp where they are not there. A table that somebody wrote with ``nft`` is therefore
  no reason to ask; and before it is asked for others, :func:`modules` names what has to be in the kernel already.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

Json = t.Mapping[str, t.Any]

FAMILIES = {"ip": 4, "ip6": 6}

_FILTER, _NAT, _ROUTE = "filter", "nat", "route"
#: iptables' own chains: hook, priority and kind by table and name.
BUILT_IN: t.Mapping[str, t.Mapping[str, tuple[str, int, str]]] = {
    "filter": {name: (name.lower(), 0, _FILTER) for name in ("INPUT", "FORWARD", "OUTPUT")},
    "nat": {
        "PREROUTING": ("prerouting", -100, _NAT),
        "INPUT": ("input", 100, _NAT),
        "OUTPUT": ("output", -100, _NAT),
        "POSTROUTING": ("postrouting", 100, _NAT),
    },
    "mangle": {
        **{name: (name.lower(), -150, _FILTER) for name in ("PREROUTING", "INPUT", "FORWARD", "POSTROUTING")},
        "OUTPUT": ("output", -150, _ROUTE),
    },
    "raw": {name: (name.lower(), -300, _FILTER) for name in ("PREROUTING", "OUTPUT")},
    "security": {name: (name.lower(), 50, _FILTER) for name in ("INPUT", "FORWARD", "OUTPUT")},
}

#: What iptables-nft writes in nftables' own words (1.8.9 to 1.8.13): fields by protocol, keys of the packet's metadata.
_FIELDS = {
    "ip": frozenset({"saddr", "daddr", "protocol", "frag-off"}),
    "ip6": frozenset({"saddr", "daddr", "nexthdr"}),
    "tcp": frozenset({"sport", "dport", "flags"}),
    "udp": frozenset({"sport", "dport"}),
}
_KEYS = frozenset({"iifname", "oifname", "l4proto", "mark"})
_STATEMENTS = frozenset({"counter", "accept", "drop", "return", "jump", "goto", "xt"})

#: Kernel modules whose side of an extension iptables-nft-save looks up when it prints these native expressions. That of
#: ICMP was in ip_tables before Linux 6.4, and is in xt_tcpudp since.
_ASKED = {
    ("payload", "tcp"): ("xt_tcpudp",),
    ("payload", "udp"): ("xt_tcpudp",),
    ("payload", "th"): ("xt_tcpudp",),
    ("payload", "ttl"): ("xt_hl",),
    ("payload", "hoplimit"): ("xt_hl",),
    ("payload", "icmp"): ("ip_tables", "xt_tcpudp"),
    ("payload", "icmpv6"): ("ip6_tables", "xt_tcpudp"),
    ("meta", "mark"): ("xt_mark",),
    ("meta", "pkttype"): ("xt_pkttype",),
    ("meta", "nftrace"): ("xt_TRACE",),
    ("statement", "limit"): ("xt_limit",),
    ("statement", "log"): ("xt_NFLOG",),
}


@dataclass(frozen=True)
class Shared:
    """A table that iptables may have written.

    ``xt`` when it has what only iptables can tell. ``foreign`` are rules that iptables did not write, each as (chain,
    number from 1); ``chains`` are base chains that it did not make.
    """

    family: str
    name: str
    xt: bool = False
    foreign: frozenset[tuple[str, int]] = frozenset()
    chains: frozenset[str] = frozenset()

    @property
    def key(self) -> tuple[str, str]:
        return self.family, self.name


def shared_tables(nft: Json) -> tuple[Shared, ...]:
    """List the tables of iptables' names that ``nft -j list ruleset`` tells of."""
    entries = _entries(nft)
    found = []
    for table in _of(entries, "table"):
        key = (str(table.get("family")), str(table.get("name")))
        if key[0] not in FAMILIES or key[1] not in BUILT_IN:
            continue
        chains = [chain for chain in _of(entries, "chain") if (chain.get("family"), chain.get("table")) == key]
        rules = [rule for rule in _of(entries, "rule") if (rule.get("family"), rule.get("table")) == key]
        odd = frozenset(str(chain.get("name")) for chain in chains if not _plain_chain(chain, key[1]))
        xt = any("xt" in expression for rule in rules for expression in _expressions(rule))
        found.append(Shared(*key, xt, frozenset(_foreign(rules)), odd))
    return tuple(found)


def _foreign(rules: t.Iterable[Json]) -> t.Iterator[tuple[str, int]]:
    numbers: dict[str, int] = {}
    for rule in rules:
        chain = str(rule.get("chain"))
        numbers[chain] = numbers.get(chain, 0) + 1
        if not all(map(_plain, _expressions(rule))):
            yield chain, numbers[chain]


def families(tables: t.Iterable[Shared]) -> tuple[int, ...]:
    """Give the families for which iptables-nft-save has to be asked."""
    return tuple(sorted({FAMILIES[table.family] for table in tables if table.xt}))


def modules(nft: Json, family: int) -> tuple[str, ...]:
    """Name the kernel modules that must be there, so that iptables-nft-save of this family loads none."""
    found = set()
    for rule in _of(_entries(nft), "rule"):
        if FAMILIES.get(str(rule.get("family"))) == family and str(rule.get("table")) in BUILT_IN:
            for expression in _expressions(rule):
                found |= {name for key in _keys(expression) for name in _ASKED.get(key, ())}
    return tuple(sorted(found))


def _entries(nft: Json) -> list[Json]:
    listed = nft.get("nftables")
    return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []


def _of(entries: t.Iterable[Json], kind: str) -> list[Json]:
    return [entry[kind] for entry in entries if isinstance(entry.get(kind), dict)]


def _expressions(rule: Json) -> list[Json]:
    listed = rule.get("expr")
    return [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []


def _plain_chain(chain: Json, table: str) -> bool:
    """Tell whether iptables shows this chain: one of a user, or a base chain that iptables made."""
    if not chain.get("hook"):
        return True
    return BUILT_IN[table].get(str(chain.get("name"))) == (chain["hook"], chain.get("prio"), chain.get("type"))


def _plain(expression: Json) -> bool:
    """Tell whether iptables writes this, and so reads it back as what it is."""
    if len(expression) != 1:
        return False
    ((word, content),) = expression.items()
    if word == "match":
        return _plain_match(content)
    options = content if isinstance(content, dict) else {}
    if word == "limit":
        return not {"inv", "rate_unit", "burst_unit"} & set(options)
    if word == "log":
        return "group" in options
    if word == "mangle":
        return bool(options.get("key") == {"meta": {"key": "nftrace"}})
    return word in _STATEMENTS


def _plain_match(match: t.Any) -> bool:
    if not isinstance(match, dict) or match.get("op") not in ("==", "!="):
        return False
    left, right = match.get("left"), match.get("right")
    if isinstance(left, dict) and set(left) == {"&"}:
        operands = left["&"]
        left = operands[0] if isinstance(operands, list) and operands else None
    if not isinstance(left, dict) or len(left) != 1:
        return False
    ((kind, what),) = left.items()
    if not isinstance(what, dict):
        return False
    if kind == "meta":
        return str(what.get("key")) in _KEYS and isinstance(right, (str, int)) and not str(right).startswith("@")
    name = str(what.get("field"))
    if kind != "payload" or name not in _FIELDS.get(str(what.get("protocol")), ()):
        return False
    return _plain_value(right, ports=name.endswith("port"), flags=name == "flags")


def _plain_value(right: t.Any, *, ports: bool, flags: bool) -> bool:
    if isinstance(right, (str, int)):
        return not str(right).startswith("@")
    if isinstance(right, list) or (isinstance(right, dict) and set(right) == {"|"}):
        # Flags that are to be set together; before nft 1.1 a plain list.
        return flags
    return isinstance(right, dict) and set(right) == ({"range"} if ports else {"prefix"})


def _keys(expression: Json) -> t.Iterator[tuple[str, str]]:
    """Give what an expression speaks of, at any depth."""
    waiting: list[t.Any] = [expression]
    yield from (("statement", word) for word in expression)
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            payload, meta = item.get("payload"), item.get("meta")
            if isinstance(payload, dict):
                yield "payload", str(payload.get("protocol"))
                yield "payload", str(payload.get("field"))
            if isinstance(meta, dict):
                yield "meta", str(meta.get("key"))
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
