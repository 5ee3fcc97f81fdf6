# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Reads ``nft -j list ruleset``: every table but those that iptables-nft and arptables-nft own.

The listings of nft 1.0.6 to 1.1.7 differ in small things (one flag or a list of them, ``|`` or a list, names or numbers
of ICMP codes); all of them are read as the same rules.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass, field
from functools import lru_cache

from . import nft_effects, nft_text, nft_values
from .iptables_nft import BUILT_IN, FAMILIES
from .nft_effects import Parts
from .nft_expressions import Place
from .nft_hooks import hooks_by_chain
from .nft_values import Json
from .ruleset import Chain, Note, Opaque, Rule, Ruleset, Table, Unknowable, Within

Name = tuple[str, str]

_FAMILIES = ("ip", "ip6", "inet", "bridge", "netdev", "arp")
_OBJECTS = ("set", "map", "limit")

#: The base chains of arptables-nft: hook, priority and kind.
_ARPTABLES = {"INPUT": ("input", 0, "filter"), "OUTPUT": ("output", 0, "filter")}

#: What names of priorities stand for; listings have numbers, but nft takes both.
_PRIORITIES = {"raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "security": 50, "srcnat": 100}
_BRIDGE_PRIORITIES = {"dstnat": -300, "filter": -200, "out": 100, "srcnat": 300}
_PRIORITY = re.compile(r"([a-z]+)(?: *([+-]) *([0-9]{1,9}))?")

#: A statement that this version of nft has no JSON for is its text.
_TEXT_ADDS = re.compile(r"(?:add|update|delete) @(\S+) \{")


@dataclass
class _Listed:
    """One table as the listing has it."""

    family: str
    name: str
    dormant: bool = False
    chains: dict[str, dict[str, Json]] = field(default_factory=dict)
    rules: dict[str, list[dict[str, Json]]] = field(default_factory=dict)
    objects: dict[tuple[str, str], Json] = field(default_factory=dict)
    filled: set[str] = field(default_factory=set)


def parse(listing: str | t.Mapping[str, Json], *, with_iptables: bool = False) -> Ruleset:
    """Read nft's JSON, as text or parsed; ``with_iptables`` takes iptables-nft's tables too. Never raises."""
    troubles: list[str] = []
    chains: list[Chain] = []
    for table in _tables(_entries(listing, troubles), troubles):
        if with_iptables or not _is_owned(table):
            chains += _chains(table, troubles)
    return Ruleset(tuple(chains), tuple(nft_text.clean(trouble) for trouble in troubles))


def _entries(listing: Json, troubles: list[str]) -> list[Json]:
    if isinstance(listing, str):
        try:
            listing = json.loads(listing)
        except (ValueError, RecursionError) as error:
            # nft 1.0.6 breaks off, and calls that a success, where a table is dormant.
            troubles.append(f"The listing of nftables is no whole JSON: {str(error) or type(error).__name__}.")
            return []
    found = listing.get("nftables") if isinstance(listing, t.Mapping) else None
    if not isinstance(found, list):
        troubles.append("The listing of nftables has no list of tables, chains and rules.")
        return []
    return found


def _tables(entries: list[Json], troubles: list[str]) -> list[_Listed]:
    """Sort entries by table, in the order in which tables are first named."""
    found: dict[Name, _Listed] = {}
    for entry in entries:
        if not isinstance(entry, dict) or len(entry) != 1:
            troubles.append(f"nftables lists what is no table, chain or rule: {_short(entry)}.")
            continue
        ((kind, data),) = entry.items()
        if kind == "metainfo":
            continue
        family = data.get("family") if isinstance(data, dict) else None
        name = data.get("name" if kind == "table" else "table") if isinstance(data, dict) else None
        if family not in _FAMILIES or not isinstance(name, str):
            troubles.append(f"nftables lists a {kind} of no known table: {_short(data)}.")
            continue
        table = found.setdefault((family, name), _Listed(family, name))
        _sort_in(table, str(kind), data, troubles)
    return list(found.values())


def _short(value: Json) -> str:
    text = nft_text.raw("", value)
    return text if len(text) <= 100 else text[:97] + "..."


def _sort_in(table: _Listed, kind: str, data: dict[str, Json], troubles: list[str]) -> None:
    if kind == "table":
        table.dormant = "dormant" in nft_values.flags_of(data)
        return
    name = data.get("chain" if kind == "rule" else "name")
    if not isinstance(name, str):
        troubles.append(f"Table {table.family} {table.name} of nftables has a {kind} without a name.")
    elif kind == "chain":
        table.chains[name] = data
    elif kind == "rule":
        table.rules.setdefault(name, []).append(data)
        _note_filled(table, data)
    elif kind in _OBJECTS:
        table.objects[kind, name] = data


def _note_filled(table: _Listed, data: dict[str, Json]) -> None:
    """Write down which sets a rule adds to: nft 1.0.6 does not say which of them are meant for that."""
    listed = data.get("expr")
    for item in listed if isinstance(listed, list) else ():
        if isinstance(item, str):
            found = _TEXT_ADDS.match(item)
            if found is not None:
                table.filled.add(found[1])
            continue
        for kind in ("set", "map"):
            inner = item.get(kind) if isinstance(item, dict) else None
            name = inner.get(kind) if isinstance(inner, dict) else None
            if isinstance(name, str):
                table.filled.add(name[1:] if name[:1] == "@" else name)


def _is_owned(table: _Listed) -> bool:
    """Tell whether one of the programs that speak iptables' language made this table.

    iptables-save shows what is in it. Once it has a base chain of another kind that program calls it incompatible, and
    shows nothing.
    """
    owned: t.Mapping[str, tuple[str, int, str]] | None = None
    if table.family in FAMILIES:
        owned = BUILT_IN.get(table.name)
    elif (table.family, table.name) == ("arp", "filter"):
        owned = _ARPTABLES
    bases = {name: data for name, data in table.chains.items() if data.get("hook")}
    return owned is not None and all(
        owned.get(name) == (data["hook"], data.get("prio"), data.get("type")) for name, data in bases.items()
    )


# ---- chains -------------------------------------------------------------------------------------------------------


def _chains(table: _Listed, troubles: list[str]) -> t.Iterator[Chain]:
    title = Table(table.family, table.name, "nft")
    for name in table.rules.keys() - table.chains.keys():
        troubles.append(f"Table {title.title} of nftables has rules of a chain {name} that it does not list.")
    read: dict[t.Any, t.Any] = {}

    @lru_cache(maxsize=1)
    def hooks() -> dict[str, frozenset[str]]:
        return hooks_by_chain(table.chains, table.rules, table.objects)

    def hooks_of(chain: str) -> t.Callable[[], frozenset[str]]:
        return lambda: hooks()[chain]

    for name, data in table.chains.items():
        hook = _word(data, "hook") if not table.dormant else ""
        place = Place(table.family, hooks_of(name), table.objects, table.filled, read=read)
        listed = table.rules.get(name, ())
        rules = [_rule(number, rule, place) for number, rule in enumerate(listed, 1)]
        devices = _devices(data)
        if hook in ("ingress", "egress") and not devices:
            # nft 1.0.6 does not say at which devices a chain stands.
            rules = [_unsure(rule) for rule in rules]
            if _word(data, "policy") == "drop":
                troubles.append(f"nftables does not say of which devices {title.title} {name} drops everything.")
        yield Chain(
            title,
            name,
            tuple(rules),
            hook,
            _priority(data, f"chain {name} of table {title.title}", troubles) if hook else 0,
            (_word(data, "policy") or "accept") if hook else "",
            _word(data, "type") or "filter",
            devices,
        )


def _word(data: dict[str, Json], name: str) -> str:
    found = data.get(name)
    return found if isinstance(found, str) else ""


def _devices(data: dict[str, Json]) -> tuple[str, ...]:
    listed = data.get("dev")
    return tuple(name for name in (listed if isinstance(listed, list) else [listed]) if isinstance(name, str))


def _unsure(rule: Rule) -> Rule:
    """Make a rule of a chain that stands at nobody knows which devices."""
    return Rule(rule.number, rule.text, (Unknowable("the chain's device"), *rule.parts))


def _priority(data: dict[str, Json], title: str, troubles: list[str]) -> int:
    found = data.get("prio")
    if isinstance(found, int) and not isinstance(found, bool):
        return found
    parts = _PRIORITY.fullmatch(found) if isinstance(found, str) else None
    names = _BRIDGE_PRIORITIES if data.get("family") == "bridge" else _PRIORITIES
    if parts is None or parts[1] not in names:
        troubles.append(f"The priority of {title} of nftables is not known: {_short(found)}.")
        return 0
    offset = int(parts[3] or 0)
    return names[parts[1]] + (-offset if parts[2] == "-" else offset)


# ---- rules --------------------------------------------------------------------------------------------------------


def _rule(number: int, data: dict[str, Json], place: Place) -> Rule:
    listed = data.get("expr")
    if not isinstance(listed, list):
        text = nft_text.rule([nft_text.raw("", listed) or "?"], data.get("comment"))
        return Rule(number, text, (Opaque(text),))
    texts: list[str] = []
    parts: list[t.Any] = []
    place.before = parts
    for item in listed:
        text, found = _statement(item, place)
        texts.append(text)
        for part in found:
            if not _known(part, parts):
                parts.append(part)
    return Rule(number, nft_text.rule(texts, data.get("comment")), tuple(parts))


def _statement(item: Json, place: Place) -> tuple[str, Parts]:
    if isinstance(item, str):
        # The set may be asked for a field that the packet does not have, which would end the rule.
        text = nft_text.clean(item)
        return text, (Unknowable(text), Note(text)) if _TEXT_ADDS.match(item) else (Opaque(text),)
    if not isinstance(item, dict) or len(item) != 1:
        text = nft_text.raw("", item)
        return text, (Opaque(text),)
    ((name, value),) = item.items()
    name = str(name)
    text = nft_text.statement(name, value)
    try:
        return text, nft_effects.statement(name, value, place, text)
    except RecursionError:
        return text, (Opaque(text),)


def _known(part: t.Any, parts: list[t.Any]) -> bool:
    """Tell whether an earlier condition says the same or more: guards are asked for again by each statement."""
    if not isinstance(part, Within) or part.negated:
        return False
    return any(
        isinstance(other, Within)
        and other.field == part.field
        and part.field in ("family", "proto")
        and not other.negated
        and not other.values - part.values
        for other in parts
    )
