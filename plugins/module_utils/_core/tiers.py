# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Tiers and the flows between them -> the fewest networks that join exactly the declared pairs."""

from __future__ import annotations

import hashlib
import itertools
import typing as t
from dataclasses import dataclass

from . import shape

#: Up to this many maximal cliques the smallest cover is searched for exactly; beyond, greedily.
EXACT_CLIQUES = 16

_TOP_KEYS = frozenset({"tiers", "flows", "egress", "public"})
_TIER_KEYS = frozenset({"match", "data", "aliases"})
_MATCH_KEYS = frozenset({"labels", "names", "compose_project", "compose_services"})
_FLOW_KEYS = {
    "flows": frozenset({"from", "to", "ports", "why"}),
    "egress": frozenset({"from", "to", "why"}),
    "public": frozenset({"tier", "ports", "why"}),
}

Pair = frozenset[str]


@dataclass(frozen=True)
class TierNetwork:
    """One network of the answer: who joins it, and whether it has no way out."""

    name: str
    tiers: tuple[str, ...]
    internal: bool


def tier_networks(flows: t.Any, *, prefix: str = "") -> dict[str, t.Any]:
    """Turn a declaration into the arguments ``networks`` and ``apps`` of docker_app_network.

    A network that joins tiers is internal unless every tier on it may go out; a tier that is public or has egress
    gets an ``-edge`` network of its own where no such network serves it already. So nobody gains a way out that was
    not declared, and no undeclared pair of tiers ever shares a network.
    """
    declared = _Declaration(flows)
    networks = _networks(declared, prefix)
    return {
        "networks": [{"name": item.name, "internal": item.internal} for item in networks],
        "apps": [
            {
                "name": tier,
                "match": declared.tiers[tier]["match"],
                "aliases": list(declared.tiers[tier]["aliases"] or [tier]),
                "attach_post_deploy": [item.name for item in networks if tier in item.tiers],
            }
            for tier in sorted(declared.tiers)
        ],
    }


class _Declaration:
    """A checked declaration: ``tiers`` by name, ``pairs`` that may talk, ``outward`` tiers that may go out."""

    def __init__(self, flows: t.Any) -> None:
        data = shape.mapping(flows, "the flows", _TOP_KEYS)
        if not data.get("tiers"):
            raise shape.invalid("tiers", "is missing or empty", "Declare at least one tier with what it matches.")
        self.tiers: dict[str, dict[str, t.Any]] = {}
        for name, tier in shape.mapping(data["tiers"], "tiers").items():
            self.tiers[str(name)] = _checked_tier(tier, f"tiers.{name}")
        self.pairs: set[Pair] = set()
        for place, flow in self._entries(data, "flows"):
            ends = frozenset({self._tier(flow, "from", place), self._tier(flow, "to", place)})
            if len(ends) == 2:
                self.pairs.add(ends)
        self.outward: set[str] = set()
        for place, flow in self._entries(data, "egress"):
            self.outward.add(self._not_data(self._tier(flow, "from", place), place, "a way out"))
        for place, flow in self._entries(data, "public"):
            self.outward.add(self._not_data(self._tier(flow, "tier", place), place, "a public port"))

    def _entries(self, data: t.Mapping[str, t.Any], key: str) -> t.Iterator[tuple[str, dict[str, t.Any]]]:
        for number, entry in enumerate(shape.items(data.get(key, []), key)):
            yield f"{key}[{number}]", shape.mapping(entry, f"{key}[{number}]", _FLOW_KEYS[key])

    def _tier(self, entry: t.Mapping[str, t.Any], key: str, place: str) -> str:
        name = entry.get(key)
        if not isinstance(name, str) or name not in self.tiers:
            known = ", ".join(sorted(self.tiers))
            raise shape.invalid(
                f"{place}.{key}", f"names the tier {name!r}, which is not declared", f"Declared are: {known}."
            )
        return str(name)

    def _not_data(self, tier: str, place: str, what: str) -> str:
        if self.tiers[tier].get("data"):
            raise shape.invalid(
                place,
                f"gives {what} to the tier {tier!r}, which holds data",
                "Let another tier stand in front of it, or drop data: true.",
            )
        return tier


def _checked_tier(tier: t.Any, place: str) -> dict[str, t.Any]:
    checked = shape.mapping(tier, place, _TIER_KEYS)
    match = shape.mapping(checked.get("match", {}), f"{place}.match", _MATCH_KEYS)
    if not any(match.values()):
        raise shape.invalid(
            f"{place}.match", "is empty, so the tier has no members", "Match by labels, names or services."
        )
    return {**checked, "match": match, "aliases": shape.texts(checked.get("aliases", []), f"{place}.aliases")}


def _networks(declared: _Declaration, prefix: str) -> list[TierNetwork]:
    networks = []
    for clique in _cover(declared.pairs):
        internal = not clique <= declared.outward
        networks.append(TierNetwork(_name(prefix, sorted(clique)), tuple(sorted(clique)), internal))
    way_out = {tier for item in networks if not item.internal for tier in item.tiers}
    networks += [
        TierNetwork(_name(prefix, [tier, "edge"]), (tier,), False) for tier in sorted(declared.outward - way_out)
    ]
    placed = {tier for item in networks for tier in item.tiers}
    networks += [TierNetwork(_name(prefix, [tier]), (tier,), True) for tier in sorted(set(declared.tiers) - placed)]
    return sorted(networks, key=lambda item: item.name)


def _name(prefix: str, parts: t.Sequence[str]) -> str:
    name = "-".join([prefix, *parts] if prefix else parts)
    if len(name) <= 63:
        return name
    # A network's name is a DNS label to the tools around Docker; the digest keeps long ones distinct and stable.
    return f"{name[:54].rstrip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _cover(pairs: t.Collection[Pair]) -> list[frozenset[str]]:
    """Choose the fewest cliques that hold every pair (an edge clique cover); ties fall to the first in name order."""
    cliques = _maximal_cliques(pairs)
    if len(cliques) <= EXACT_CLIQUES:
        for size in range(len(cliques) + 1):
            for chosen in itertools.combinations(cliques, size):
                if _holds_all(chosen, pairs):
                    return list(chosen)
    chosen_greedily: list[frozenset[str]] = []
    left = set(pairs)
    while left:
        best = max(cliques, key=lambda clique: sum(pair <= clique for pair in left))
        chosen_greedily.append(best)
        left = {pair for pair in left if not pair <= best}
    return chosen_greedily


def _holds_all(cliques: t.Iterable[frozenset[str]], pairs: t.Iterable[Pair]) -> bool:
    chosen = list(cliques)
    return all(any(pair <= clique for clique in chosen) for pair in pairs)


def _maximal_cliques(pairs: t.Collection[Pair]) -> list[frozenset[str]]:
    """List all maximal sets of tiers in which every pair is declared (Bron and Kerbosch, CACM 16, 1973)."""
    neighbours: dict[str, set[str]] = {}
    for pair in pairs:
        for tier in pair:
            neighbours.setdefault(tier, set()).update(pair - {tier})
    found: list[frozenset[str]] = []

    def extend(clique: set[str], candidates: set[str], excluded: set[str]) -> None:
        if not candidates and not excluded:
            found.append(frozenset(clique))
            return
        pivot = max(sorted(candidates | excluded), key=lambda tier: len(neighbours[tier] & candidates))
        for tier in sorted(candidates - neighbours[pivot]):
            extend(clique | {tier}, candidates & neighbours[tier], excluded & neighbours[tier])
            candidates = candidates - {tier}
            excluded = excluded | {tier}

    if neighbours:
        extend(set(), set(neighbours), set())
    return sorted(found, key=sorted)
