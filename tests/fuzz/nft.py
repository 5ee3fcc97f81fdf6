# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Damaged listings of nft for their parser: it never crashes, loses no rule, and takes nothing unknown for sense."""

from __future__ import annotations

import copy
import json
import typing as t
from functools import lru_cache
from pathlib import Path
from random import Random

from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter import nft_rules
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.ruleset import (
    Opaque,
    Rule,
    Ruleset,
    Switch,
    Unknowable,
    VerdictMap,
)

DATA = Path(__file__).resolve().parents[1] / "unit/plugins/module_utils/_core/netfilter/data"

#: Words of nft's JSON, which damage puts where they do not belong.
WORDS = (
    "match", "op", "left", "right", "payload", "protocol", "field", "meta", "key", "ct", "dir", "fib", "flags", "result",
    "&", "|", "^", "set", "elem", "val", "range", "prefix", "addr", "len", "concat", "map", "vmap", "data", "jump",
    "target", "dnat", "port", "mangle", "value", "limit", "rate", "counter", "accept", "drop", "@ports", "*", "==", "in",
    "table", "chain", "rule", "expr", "family", "name", "hook", "prio", "nftables", "ip", "tcp", "dport", "mark", "state",
)  # fmt: skip
_DIRT: tuple[t.Any, ...] = (
    None, True, False, 0, -1, 65536, 2**70, 1.5, float("nan"), "", "\x00\x1b", "\ud800", "@", "@nowhere", "*", [], {}, [[]],
    {"set": []}, {"range": [2, 1]}, {"range": 7}, {"prefix": {"addr": "10.0.0.0", "len": 99}}, {"elem": None}, {"|": []},
    {"concat": []}, {"map": {}}, {"xyzzy": None}, "0x50 [invalid type]", "9" * 30, "10.0.0.300", "::1%lo",
)  # fmt: skip
#: What says where an entry belongs.
_PLACE = ("family", "table", "name", "chain")
#: Expressions that no version of nft has.
_NONSENSE: tuple[t.Any, ...] = (
    {"xyzzy": {"plugh": 1}},
    {"meta": {"key": "xyzzy"}},
    {"payload": {"base": "xy"}},
    "xyzzy",
    7.5,
)


@lru_cache(maxsize=1)
def _listings() -> tuple[list[t.Any], ...]:
    paths = sorted([*DATA.glob("nft-1.*.json"), *DATA.glob("docker29-*.json")])
    return tuple(json.loads(path.read_text())["nftables"] for path in paths)


def once(random: Random) -> None:
    """Damage one table of a real listing, look at what becomes of it, and raise AssertionError if it is wrong."""
    entries = _some(random)
    _unknown_words(random, entries)
    for _round in range(random.randint(1, 4)):
        _damage(random, random.choice(entries))
    _check_all_there(entries)
    text = json.dumps({"nftables": entries})
    place = random.randrange(len(text))
    _parsed(text[:place] + random.choice(('"', "{", "]", "", ",", "\\")) + text[place + random.randint(0, 3) :])


def _some(random: Random) -> list[t.Any]:
    """Copy some rules of a listing, with all that they can stand on."""
    listing = random.choice(_listings())
    rules = [entry for entry in listing if "rule" in entry]
    others = [entry for entry in listing if "rule" not in entry and "chain" not in entry]
    picked = random.sample(rules, min(len(rules), random.randint(1, 5)))
    places = {(rule["rule"]["family"], rule["rule"]["table"]) for rule in picked}
    around = [
        entry
        for entry in others
        for data in entry.values()
        if (data.get("family"), data.get("table", data.get("name"))) in places
    ]
    chains = [
        {"chain": {"family": rule["rule"]["family"], "table": rule["rule"]["table"], "name": rule["rule"]["chain"]}}
        for rule in picked
    ]
    return copy.deepcopy([*random.sample(around, len(around)), *chains, *picked])


def _unknown_words(random: Random, entries: list[t.Any]) -> None:
    """Put a condition or statement that nobody knows into a rule: it has to be seen there."""
    rule = copy.deepcopy(random.choice([entry for entry in entries if "rule" in entry]))
    nonsense = random.choice(_NONSENSE)
    statement = random.choice(
        (
            {"match": {"op": "==", "left": nonsense, "right": 1}},
            {"match": {"op": "xyzzy", "left": {"meta": {"key": "mark"}}, "right": 1}},
            {"match": {"op": "==", "left": {"meta": {"key": "mark"}}, "right": {"xyzzy": nonsense}}},
            {"match": nonsense},
            {"vmap": {"key": nonsense, "data": {"set": [[1, {"accept": None}]]}}},
            {"mangle": {"key": {"meta": {"key": "mark"}}, "value": nonsense}},
            {"dnat": {"addr": nonsense}},
            {"xyzzy": nonsense},
            nonsense,
        )
    )
    rule["rule"]["expr"].insert(random.randint(0, len(rule["rule"]["expr"])), statement)
    place = tuple(rule["rule"][key] for key in ("family", "table", "chain"))
    chains = _parsed({"nftables": [*entries, rule]}).chains
    (last,) = (chain.rules[-1] for chain in chains if (chain.table.family, chain.table.name, chain.name) == place)
    _check(vague(last), f"an unknown statement is taken for sense: {statement!r}", rule)


def _damage(random: Random, entry: t.Any) -> None:
    """Change one thing somewhere in an entry, in place; which chain it belongs to stays."""
    (data,) = entry.values()
    inner: t.Any = data
    for _depth in range(random.randint(1, 8)):
        listed = list(inner) if isinstance(inner, dict) else range(len(inner)) if isinstance(inner, list) else []
        choices = [key for key in listed if inner is not data or key not in _PLACE]
        if not choices:
            return
        key = random.choice(choices)
        if isinstance(inner[key], (dict, list)) and inner[key] and random.random() < 0.8:
            inner = inner[key]
            continue
        how = random.randint(0, 3)
        if how == 0:
            inner[key] = copy.deepcopy(random.choice(_DIRT))
        elif how == 1:
            inner[key] = random.choice(WORDS)
        elif how == 2:
            inner[key] = {random.choice(WORDS): inner[key]}
        elif isinstance(inner, dict):
            inner[random.choice([word for word in WORDS if word not in _PLACE])] = inner.pop(key)
        return


def _check_all_there(entries: list[t.Any]) -> None:
    whole = _parsed({"nftables": entries})
    chains = {
        tuple(entry["chain"].get(key) for key in ("family", "table", "name")) for entry in entries if "chain" in entry
    }
    wanted = sum(
        tuple(entry["rule"].get(key) for key in ("family", "table", "chain")) in chains
        for entry in entries
        if "rule" in entry
    )
    _check(len(_rules(whole)) == wanted, "a rule is lost, or is there twice", entries)


def _parsed(listing: t.Any) -> Ruleset:
    try:
        found = nft_rules.parse(listing, with_iptables=True)
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {error}\n{listing!r}") from error
    for rule in _rules(found):
        _check(rule.text.isprintable(), "a text has control characters", rule.text)
    return found


def _rules(ruleset: Ruleset) -> list[Rule]:
    return [rule for chain in ruleset.chains for rule in chain.rules]


def vague(rule: Rule) -> bool:
    """Tell whether something of a rule was not understood."""
    return any(map(_vague, rule.parts))


def _vague(part: t.Any) -> bool:
    if isinstance(part, Switch):
        return any(map(_vague, (inner for conditions, effect in part.cases for inner in (*conditions, effect))))
    if isinstance(part, VerdictMap):
        return any(_vague(effect) for _key, effect in part.entries)
    return isinstance(part, (Unknowable, Opaque))


def _check(holds: bool, complaint: str, what: t.Any) -> None:
    if not holds:
        raise AssertionError(f"{complaint}:\n{what!r}")
