# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""What the guard's module answers besides its plan."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from . import guard_table, reach
from .guard import World, wanted_of
from .guard_intent import Intent
from .guard_preflight import preflight
from .guard_table import Table
from .netfilter.ruleset import Ruleset, parse_nft_json
from .zones import Scene, View


def answer(intent: Intent, first: World, last: World, *, docker_host: str) -> dict[str, t.Any]:
    """Give the result keys; ``first`` is the host before the run, ``last`` after it (the same one in check mode)."""
    table = wanted_of(intent, last)
    return {
        "backend": "nftables",
        "rules": [rule.text for rule in table.rules] if table is not None else [],
        "preflight": preflight(intent, last, docker_host),
        "exposures_before": _exposures(first.scene) if first.snapshot is not None else [],
        "exposures": _exposures(_with(last.scene, table)) if last.snapshot is not None else [],
    }


def _exposures(scene: Scene | None) -> list[dict[str, t.Any]]:
    if scene is None:
        return []
    view = View(scene)
    outside = [zone for zone in view.zones() if zone.kind == "outside"]
    return reach.exposures(view, outside, published_only=True)


def _with(scene: Scene | None, table: Table | None) -> Scene | None:
    """Put the wanted table, or none, where the guard's own is: in check mode that is how the host would be."""
    if scene is None:
        return None
    others = tuple(
        chain for chain in scene.ruleset.chains if chain.table.title != _TITLE or chain.table.backend != "nft"
    )
    wanted = parse_nft_json(guard_table.listing(table)) if table is not None else Ruleset()
    return replace(scene, ruleset=Ruleset.merge(Ruleset(others, scene.ruleset.troubles), wanted))


_TITLE = f"{guard_table.FAMILY} {guard_table.NAME}"
