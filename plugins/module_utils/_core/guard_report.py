# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""What the guard's module answers besides its plan."""

from __future__ import annotations

import typing as t

from . import ufw
from .exposure import exposures
from .guard import World, wanted_of
from .guard_intent import Intent
from .guard_preflight import preflight
from .guard_table import Table


def answer(intent: Intent, first: World, last: World, *, docker_host: str) -> dict[str, t.Any]:
    """Give the result keys; ``first`` is the host before the run, ``last`` after it (the same one in check mode)."""
    table = wanted_of(intent, last)
    return {
        "backend": "nftables",
        "rules": [rule.text for rule in table.rules] if table is not None else [],
        "preflight": preflight(intent, last, docker_host),
        "exposures_before": _exposures(first, first.live),
        "exposures": _exposures(last, table),
    }


def _exposures(world: World, table: Table | None) -> list[dict[str, t.Any]]:
    if world.snapshot is None:
        return []
    found = ufw.survey(world.firewall.files)
    return exposures(snapshot=world.snapshot, firewall=world.firewall, table=table, found=found)
