# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random rulesets of iptables, as text for ``iptables-restore``."""

from __future__ import annotations

import typing as t
from random import Random

from . import random_docker
from .iptables_conditions import Place, conditions
from .iptables_targets import target
from .values import chance, some, weighted

_HOOKS = {
    "raw": ("PREROUTING", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "security": ("INPUT", "FORWARD", "OUTPUT"),
}
_OFTEN = {"raw": 0.3, "mangle": 0.35, "nat": 0.7, "filter": 0.9, "security": 0.07}


def ruleset(random: Random, family: int, sets: t.Sequence[str]) -> str:
    """Make a ruleset of one family that may ask for these ipsets."""
    if chance(random, 0.25):
        return random_docker.ruleset(random, family, sets)
    tables = [table for table, often in _OFTEN.items() if chance(random, often)]
    return "".join(_table(random, family, table, sets) for table in tables)


def _table(random: Random, family: int, table: str, sets: t.Sequence[str]) -> str:
    users = {
        f"{table.upper()}-{number}": frozenset(some(random, _HOOKS[table], 2))
        for number in range(weighted(random, {0: 3, 1: 3, 2: 3, 3: 1}))
    }
    lines = [f"*{table}"]
    lines += [f":{hook} {_policy(random, table)} [0:0]" for hook in _HOOKS[table]]
    lines += [f":{name} - [0:0]" for name in users]
    for hook in _HOOKS[table]:
        place = Place(random, family, table, frozenset({hook}), base=True, sets=sets)
        lines += _rules(place, hook, users)
    for number, (name, hooks) in enumerate(users.items()):
        place = Place(random, family, table, hooks, base=False, sets=sets)
        # Only later ones are called: no circles.
        lines += _rules(place, name, dict(list(users.items())[number + 1 :]))
    return "\n".join([*lines, "COMMIT", ""])


def _policy(random: Random, table: str) -> str:
    return "DROP" if chance(random, {"filter": 0.2, "mangle": 0.02, "raw": 0.02}.get(table, 0)) else "ACCEPT"


def _rules(place: Place, name: str, users: t.Mapping[str, frozenset[str]]) -> list[str]:
    callable_ = [user for user, hooks in users.items() if place.hooks <= hooks]
    number = weighted(place.random, {0: 2, 1: 3, 2: 3, 3: 2, 5: 1, 8: 0.5})
    if place.table == "nat" or not place.base:
        number += 1
    # Conditions first: a target may need to know the protocol.
    return [" ".join(("-A", name, conditions(place), target(place, callable_))) for _turn in range(number)]
