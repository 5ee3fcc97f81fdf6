# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""From which hooks a chain of nftables can be reached, which decides what some conditions of its rules mean."""

from __future__ import annotations

import typing as t

from .nft_values import Json

Data = t.Mapping[str, Json]


def hooks_by_chain(
    chains: t.Mapping[str, Data], rules: t.Mapping[str, t.Sequence[Data]], objects: t.Mapping[tuple[str, str], Json]
) -> dict[str, frozenset[str]]:
    """Follow all jumps of one table: the hooks that lead to each chain."""
    by_map = {f"@{name}": _targets(data) for (kind, name), data in objects.items() if kind == "map"}
    jumps = {name: _targets([rule.get("expr") for rule in listed]) for name, listed in rules.items()}
    found: dict[str, set[str]] = {name: set() for name in chains}
    for name, data in chains.items():
        hook = data.get("hook")
        if isinstance(hook, str):
            _reach(name, hook, jumps, by_map, found)
    return {name: frozenset(hooks) for name, hooks in found.items()}


def _reach(
    start: str,
    hook: str,
    jumps: t.Mapping[str, t.AbstractSet[str]],
    by_map: t.Mapping[str, t.AbstractSet[str]],
    found: dict[str, set[str]],
) -> None:
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name.startswith("@"):
            waiting += by_map.get(name, ())
        elif name in found and hook not in found[name]:
            found[name].add(hook)
            waiting += jumps.get(name, ())


def _targets(data: Json) -> set[str]:
    """Find the chains that are jumped to, and the maps that may jump (with their ``@``), anywhere in this."""
    found: set[str] = set()
    waiting = [data]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += item
        elif isinstance(item, dict):
            waiting += item.values()
            if isinstance(item.get("target"), str):
                found.add(item["target"])
        elif isinstance(item, str) and item[:1] == "@":
            found.add(item)
    return found
