# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random nftables chains that see frames: of bridges, and of single interfaces as packets come in."""

from __future__ import annotations

from random import Random

from . import topology, values
from .nft_conditions import Place, frame_conditions
from .values import chance, weighted

_HOOKS = {"prerouting": 1, "forward": 3, "input": 1, "output": 0.5, "postrouting": 1}


def ruleset(random: Random) -> str:
    """Make one table."""
    kind = weighted(random, {"bridge": 3, "netdev": 2, "inet": 1})
    lines = [f"table {kind} frames {{"]
    for number in range(random.randint(1, 2)):
        hook = weighted(random, _HOOKS) if kind == "bridge" else "ingress"
        device = "" if kind == "bridge" else f"device {random.choice((*topology.ETHERNETS, *topology.BRIDGES))} "
        lines.append(f"    chain frames{number} {{")
        lines.append(f"        type filter hook {hook} {device}priority {random.randint(-5, 5)}; policy accept;")
        for _turn in range(random.randint(1, 3)):
            place = Place(random, kind, hook, "filter", 0, {})
            place.begin()
            end = weighted(random, {"drop": 3, "accept": 3, "counter": 1, f"meta mark set {values.mark(random)}": 1})
            lines.append(f"        {frame_conditions(place) if chance(random, 0.95) else ''} {end}")
        lines.append("    }")
    return "\n".join([*lines, "}", ""])
