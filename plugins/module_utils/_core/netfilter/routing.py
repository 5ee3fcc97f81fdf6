# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Where a host sends packets: what ``ip -j addr``, ``ip -j route show table all`` and ``ip -j rule`` say.

The kernel goes through its routing rules in order and takes the longest prefix of the first table that has one. Nearly
always these are its own three rules (local, main, default), and the table main is the whole answer. What else there is
becomes a :class:`Fork`: the packets for which the table main may not be the answer. A fork is never a guess about where
they go.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass, field

from . import sets
from .sets import ALL_ADDRESSES, EMPTY, IntSet

Row = t.Mapping[str, t.Any]

#: Kinds of routes that lead nowhere.
_NOWHERE = frozenset({"unreachable", "blackhole", "prohibit", "throw"})

#: Tables by the number that ``ip`` shows where /etc/iproute2/rt_tables is missing.
_TABLES = {"255": "local", "254": "main", "253": "default"}

#: The nearest to a plain "from all lookup TABLE" that a rule can be; ``protocol`` says who made it.
_PLAIN = frozenset({"priority", "src", "table", "protocol", "suppress_prefixlen"})

_LINK_LOCAL = sets.network("fe80::/10")[1]


@dataclass(frozen=True)
class Fork:
    """Packets whose next hop the table main does not tell for sure; ``text`` says why, for a person.

    A packet is meant when its destination (at the time it is routed: after DNAT) is in ``destinations``, its source in
    ``sources``, it came in by ``iif`` (empty: by any; ``lo``: it is of the host itself), and ``mark & mask == value`` for
    ``mark`` = (mask, value). Where it goes is then not known. A packet that is not meant goes as the table main says.
    """

    family: int
    text: str
    destinations: IntSet
    sources: IntSet
    iif: str = ""
    mark: tuple[int, int] | None = None


@dataclass(frozen=True)
class Routing:
    """Addresses and routes of one host.

    :param addresses: by interface, addresses with prefix length, both families. With a peer (point to point) the address
        stands alone (/32, /128): the peer's prefix is a route.
    :param routes: (prefix, interface, gateway) of the table main, longest prefix first and of one prefix the one that
        counts first; the interface may be ``unreachable``, ``blackhole``, ``prohibit`` or ``throw``; the gateway may be
        empty.
    :param local: prefixes that are the host's own without being an interface's address.
    :param masters: by interface, the bridge, bond or VRF that it is a part of.
    :param forks: where the table main is not the whole answer.
    """

    addresses: t.Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    routes: tuple[tuple[str, str, str], ...] = ()
    local: tuple[str, ...] = ()
    masters: t.Mapping[str, str] = field(default_factory=dict)
    forks: tuple[Fork, ...] = ()


def read(addresses: str, routes: t.Mapping[int, str], rules: t.Mapping[int, str]) -> Routing:
    """Read what ``ip -j`` printed; ``routes`` and ``rules`` by family. Raises ValueError on anything else than its JSON."""
    links = [row for row in _rows(addresses) if row.get("ifname")]
    own = {str(link["ifname"]): tuple(_addresses(link)) for link in links}
    lines: list[tuple[str, str, str]] = []
    local: list[str] = []
    forks: list[Fork] = []
    for family in sorted(routes):
        listed = [_Route.of(row, family) for row in _rows(routes[family])]
        mains = [route for route in listed if route.table == "main"]
        lines += _lines(mains)
        local += _extra_local(listed, own, family)
        forks += _rule_forks(_rows(rules.get(family, "[]")), listed, family)
        forks += _route_forks(mains, family)
    return Routing(
        addresses=own,
        routes=tuple(lines),
        local=tuple(local),
        masters={str(link["ifname"]): str(link["master"]) for link in links if link.get("master")},
        forks=tuple(forks),
    )


def _rows(text: str) -> list[Row]:
    """Read a list of objects. ``ip`` leaves empty ones where it filtered something out, and may print nothing at all."""
    found = json.loads(text) if text.strip() else []
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise ValueError("this is no list of objects")
    return [row for row in found if row]


def _addresses(link: Row) -> t.Iterator[str]:
    for row in link.get("addr_info") or ():
        if not row.get("local") or row.get("dadfailed"):
            # The neighbours have that address already, so the kernel does not use it.
            continue
        text = str(row["local"])
        family, _number = sets.address(text)
        length = sets.BITS[family] if row.get("address") else int(row.get("prefixlen", sets.BITS[family]))
        yield f"{text}/{length}"


# ---- routes -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Route:
    family: int
    table: str
    kind: str
    prefix: str
    length: int
    reach: IntSet
    sources: IntSet
    metric: int
    hops: tuple[tuple[str, str], ...]
    conditional: str

    @classmethod
    def of(cls, row: Row, family: int) -> _Route:
        prefix = _prefix(row.get("dst", "default"), family)
        table = str(row.get("table", "main"))
        return cls(
            family=family,
            table=_TABLES.get(table, table),
            kind=str(row.get("type", "unicast")),
            prefix=prefix,
            length=int(prefix.rpartition("/")[2]),
            reach=sets.network(prefix)[1],
            sources=sets.network(_prefix(row.get("from", "default"), family))[1],
            metric=int(row.get("metric", 0)),
            hops=tuple(_hops(row)),
            conditional=" ".join(f"{name} {row[name]}" for name in ("from", "tos") if name in row),
        )


def _prefix(dst: t.Any, family: int) -> str:
    text = str(dst)
    if text == "default":
        return "0.0.0.0/0" if family == 4 else "::/0"
    return text if "/" in text else f"{text}/{sets.BITS[family]}"


def _hops(row: Row) -> t.Iterator[tuple[str, str]]:
    """Give (interface, gateway) of each next hop that is not dead."""
    for hop in row.get("nexthops") or (row,):
        if hop.get("dev") and "dead" not in (hop.get("flags") or ()):
            gateway = hop.get("gateway") or (hop.get("via") or {}).get("host") or ""
            yield str(hop["dev"]), str(gateway)


def _counting(routes: t.Iterable[_Route]) -> t.Iterator[list[_Route]]:
    """Group by prefix the routes that count: those of the lowest metric. Longest prefix first."""
    groups: dict[str, list[_Route]] = {}
    for route in routes:
        if not route.conditional and (route.kind in _NOWHERE or (route.kind == "unicast" and route.hops)):
            groups.setdefault(route.prefix, []).append(route)
    for group in sorted(groups.values(), key=lambda group: -group[0].length):
        lowest = min(route.metric for route in group)
        yield [route for route in group if route.metric == lowest]


def _lines(mains: t.Iterable[_Route]) -> t.Iterator[tuple[str, str, str]]:
    for group in _counting(mains):
        first = group[0]
        yield (first.prefix, first.kind, "") if first.kind in _NOWHERE else (first.prefix, *first.hops[0])


def _extra_local(routes: t.Iterable[_Route], own: t.Mapping[str, t.Iterable[str]], family: int) -> t.Iterator[str]:
    """Give the prefixes that are local by a route of somebody's own (``ip route add local``)."""
    known = {
        f"{text.partition('/')[0]}/{sets.BITS[family]}" for listed in own.values() for text in listed
    } | {"127.0.0.0/8", "127.0.0.1/32", "::1/128"}  # fmt: skip
    for route in routes:
        if route.kind == "local" and route.table in ("local", "main") and route.prefix not in known:
            yield route.prefix


def _covered(routes: t.Iterable[_Route], *, longer_than: int = -1) -> IntSet:
    """Give the destinations that a look-up in these routes decides; shorter prefixes are suppressed."""
    found = EMPTY
    for route in sorted(routes, key=lambda route: route.length):
        passes = route.kind == "throw" or route.length <= longer_than
        found = found - route.reach if passes else found | route.reach
    return found


# ---- forks --------------------------------------------------------------------------------------------------------


def _route_forks(mains: t.Iterable[_Route], family: int) -> t.Iterator[Fork]:
    everyone = ALL_ADDRESSES[family]
    for group in _counting(mains):
        devices = list(dict.fromkeys(name for route in group for name, _gateway in route.hops))
        kinds = {route.kind for route in group}
        # A link-local address means nothing without its interface, and the kernel does not forward it.
        reach = group[0].reach - _LINK_LOCAL if family == 6 and group[0].length else group[0].reach
        if (len(devices) > 1 or len(kinds) > 1) and reach:
            text = (
                f"the route to {group[0].prefix} has several next hops: {', '.join(f'dev {name}' for name in devices)}"
            )
            yield Fork(family, text, reach, everyone)
    for route in mains:
        if route.conditional:
            text = f"the route to {route.prefix} is only for {route.conditional}"
            yield Fork(family, text, route.reach, route.sources)
        elif route.kind == "unicast" and not route.hops:
            yield Fork(family, f"the route to {route.prefix} has no next hop that works", route.reach, everyone)
        elif route.kind not in _NOWHERE and route.kind not in ("unicast", "local"):
            yield Fork(family, f"the route to {route.prefix} is of type {route.kind}", route.reach, everyone)


def _rule_forks(rules: t.Sequence[Row], routes: t.Sequence[_Route], family: int) -> list[Fork]:
    """Compare the routing rules with the kernel's own order: first the table local, then main.

    ``settled`` are destinations about which a plain look-up has decided already as that order would, so that no later
    rule can change it.
    """
    everyone = ALL_ADDRESSES[family]
    tables: dict[str, list[_Route]] = {"local": [], "main": []}
    for route in routes:
        tables.setdefault(route.table, []).append(route)
    own = _covered(route for route in tables["local"] if route.kind != "throw")
    settled = EMPTY
    asked = set()
    forks = []
    for rule in rules:
        table = _TABLES.get(str(rule.get("table", "")), str(rule.get("table", "")))
        if "nop" in rule:
            continue
        if table == "main":
            changed = own - settled if "local" not in asked else EMPTY
        elif table == "local":
            changed = EMPTY
        elif table and "goto" not in rule and "l3mdev" not in rule:
            changed = _covered(route for route in tables.get(table, []) if route.kind != "throw") - settled
        else:
            changed = everyone - settled
        fork = _fork(rule, changed, family)
        if fork.destinations:
            forks.append(fork)
        if table in ("main", "local") and rule.get("src") == "all" and not set(rule) - _PLAIN:
            asked.add(table)
            sure = [route for route in tables[table] if not route.conditional]
            settled = settled | _covered(sure, longer_than=int(rule.get("suppress_prefixlen", -1)))
    forks += _unasked(tables, settled, family) if rules else []
    return forks


def _unasked(tables: t.Mapping[str, t.Sequence[_Route]], settled: IntSet, family: int) -> t.Iterator[Fork]:
    for table in ("local", "main"):
        left = _covered(route for route in tables[table] if not route.conditional) - settled
        if left:
            yield Fork(family, f"no rule of IPv{family} sends all to the table {table}", left, ALL_ADDRESSES[family])


def _fork(rule: Row, changed: IntSet, family: int) -> Fork:
    """Narrow what a rule may change to the packets it asks for. What is not understood does not narrow."""
    everyone = ALL_ADDRESSES[family]
    sources, destinations, iif, mark = everyone, changed, "", None
    if "not" not in rule:
        sources = _selected(rule, "src", family)
        destinations = changed & _selected(rule, "dst", family)
        iif = str(rule.get("iif", ""))
        if "fwmark" in rule:
            mask = int(str(rule.get("fwmask", "0xffffffff")), 0)
            mark = (mask, int(str(rule["fwmark"]), 0) & mask)
    return Fork(family, f"ip rule {_text(rule)}", destinations, sources, iif, mark)


def _selected(rule: Row, name: str, family: int) -> IntSet:
    text = str(rule.get(name, "all"))
    if text in ("all", "default", "any"):
        return ALL_ADDRESSES[family]
    return sets.network(f"{text}/{rule.get(f'{name}len', sets.BITS[family])}")[1]


_WORDS = {"src": "from", "dst": "to", "table": "lookup", "action": ""}
_TOLD = frozenset({"priority", "not", "srclen", "dstlen", "fwmask", "protocol", "iif_detached", "oif_detached"})


def _text(rule: Row) -> str:
    """Write a rule nearly as ``ip rule`` does."""
    words = [f"{rule.get('priority', 0)}:", *(["not"] if "not" in rule else [])]
    for name, value in rule.items():
        if name in _TOLD:
            continue
        length = rule.get(f"{name}len")
        shown = f"{value}/{length}" if length is not None else ("" if value is None else str(value))
        shown += f"/{rule['fwmask']}" if name == "fwmark" and "fwmask" in rule else ""
        words += [word for word in (_WORDS.get(name, name), shown) if word]
    return " ".join(words)
