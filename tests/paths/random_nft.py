# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random rulesets of nftables, as text for ``nft -f``."""

from __future__ import annotations

import typing as t
from random import Random

from . import topology, values
from .nft_conditions import Place, conditions
from .nft_statements import statements
from .values import chance, some, weighted

_PRIORITIES = {
    "prerouting": (-300, -150, -100, 0),
    "input": (-150, 0, 50),
    "forward": (-150, 0, 50),
    "output": (-300, -150, 0),
    "postrouting": (-150, 0, 300),
}
_OFTEN = {"prerouting": 0.5, "input": 0.7, "forward": 0.8, "output": 0.5, "postrouting": 0.35}
_NAT = {"prerouting": -100, "output": -100, "postrouting": 100, "input": 100}
_NAT_OFTEN = {"prerouting": 0.5, "output": 0.25, "postrouting": 0.5, "input": 0.1}
_SET_TYPES = {4: "ipv4_addr", 6: "ipv6_addr"}


class _Chain(t.NamedTuple):
    name: str
    hook: str
    kind: str
    priority: int
    base: bool


def ruleset(random: Random) -> str:
    """Make one to three tables."""
    families = [
        weighted(random, {"inet": 5, "ip": 3, "ip6": 2}) for _turn in range(weighted(random, {1: 5, 2: 3, 3: 1}))
    ]
    # An order within one priority is in no listing: it would only make unknown what is to be compared.
    taken: set[tuple[str, int]] = set()
    return "".join(_table(random, family, f"t{number}", taken) for number, family in enumerate(families))


def _table(random: Random, family: str, name: str, taken: set[tuple[str, int]]) -> str:
    sets = dict(_sets(random, family))
    chains = [*_bases(random, taken)]
    users = [*_users(random, chains)]
    lines = [f"table {family} {name} {{", *sets.values()]
    held = {set_name: 6 if set_name.endswith("6") else 4 for set_name in sets}
    for number, chain in enumerate([*chains, *users]):
        later = users[max(0, number + 1 - len(chains)) :]
        callable_ = [user.name for user in later if (user.hook, user.kind) == (chain.hook, chain.kind)]
        place = Place(random, family, chain.hook, chain.kind, chain.priority, held)
        lines += [f"    chain {chain.name} {{", *_head(random, chain), *_rules(place, chain, callable_), "    }"]
    return "\n".join([*lines, "}", ""])


def _sets(random: Random, table: str) -> t.Iterator[tuple[str, str]]:
    for family in (4, 6):
        if table not in ("inet", "ip" if family == 4 else "ip6"):
            continue
        if chance(random, 0.4):
            listed = ", ".join(some(random, values.DISJOINT[family]))
            yield f"nets{family}", _set(f"nets{family}", _SET_TYPES[family], listed, "flags interval;")
        if chance(random, 0.3):
            ports = some(random, topology.PORTS)
            pairs = ", ".join(f"{values.address(random, family)} . {port}" for port in ports)
            yield f"pairs{family}", _set(f"pairs{family}", f"{_SET_TYPES[family]} . inet_service", pairs, "")
        if chance(random, 0.2):
            inside = values.containers(family)
            doors = ", ".join(f"{port} : {random.choice(inside)}" for port in some(random, topology.PORTS))
            yield f"doors{family}", _set(f"doors{family}", f"inet_service : {_SET_TYPES[family]}", doors, "", "map")
        if chance(random, 0.2):
            words = ("accept", "drop", "return", "continue")
            listed = ", ".join(f"{item} : {random.choice(words)}" for item in some(random, values.DISJOINT[family]))
            name = f"verdicts{family}"
            yield name, _set(name, f"{_SET_TYPES[family]} : verdict", listed, "flags interval;", "map")
        if chance(random, 0.1):
            name = f"seen{family}"
            yield name, f"    set {name} {{ type {_SET_TYPES[family]}; flags dynamic,timeout; timeout 1m; }}"


def _set(name: str, kind: str, elements: str, flags: str, word: str = "set") -> str:
    return f"    {word} {name} {{ type {kind}; {flags} elements = {{ {elements} }}; }}"


def _bases(random: Random, taken: set[tuple[str, int]]) -> t.Iterator[_Chain]:
    for hook, often in _OFTEN.items():
        if chance(random, often):
            priority = random.choice(_PRIORITIES[hook]) + (
                0 if chance(random, 0.1) else random.choice((-10, -5, 5, 10))
            )
            kind = "route" if hook == "output" and chance(random, 0.3) else "filter"
            if (hook, priority) not in taken:
                taken.add((hook, priority))
                yield _Chain(hook[:3], hook, kind, priority, True)
    for hook, often in _NAT_OFTEN.items():
        if chance(random, often):
            priority = _NAT[hook] + random.choice((0, -10, -5, 5, 10))
            if (hook, priority) not in taken:
                taken.add((hook, priority))
                yield _Chain(f"nat_{hook[:3]}", hook, "nat", priority, True)


def _users(random: Random, bases: t.Sequence[_Chain]) -> t.Iterator[_Chain]:
    for number in range(weighted(random, {0: 2, 1: 3, 2: 3, 3: 1}) if bases else 0):
        base = random.choice(bases)
        yield base._replace(name=f"user{number}", base=False)


def _head(random: Random, chain: _Chain) -> list[str]:
    if not chain.base:
        return []
    policy = "drop" if chain.kind == "filter" and chance(random, 0.12) else "accept"
    return [f"        type {chain.kind} hook {chain.hook} priority {chain.priority}; policy {policy};"]


def _rules(place: Place, chain: _Chain, callable_: t.Sequence[str]) -> list[str]:
    number = weighted(place.random, {1: 3, 2: 3, 3: 2, 5: 1, 8: 0.5})
    return [f"        {_rule(place, callable_)}" for _turn in range(number)]


def _rule(place: Place, callable_: t.Sequence[str]) -> str:
    place.begin()
    asked = conditions(place, least=0 if chance(place.random, 0.1) else 1)
    return f"{asked} {statements(place, callable_)}".strip() or "counter"
