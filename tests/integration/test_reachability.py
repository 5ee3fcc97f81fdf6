# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Computed against real: for everyone who asks, and all that is asked for, the computation says what packets say."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import lab

from ansible_collections.bulkhead.docker.tests.unit.plugins.module_utils._core.netfilter.answers import (
    Cell,
    Computed,
    written,
)
from integration.reachability import OUTSIDE, SETUPS, Town

#: To keep what was seen as data for unit tests, name a folder here.
KEEP_IN = os.environ.get("KEEP_TRUTH_IN")

OWN_DEFAULTS: dict[str, Any] = {}
WITHOUT_PROXY = {"userland-proxy": False}
#: Engines before 27 write no rules for IPv6 unless they are asked to, later ones unless they are told not to.
OTHER_IPV6 = {20: {"experimental": True, "ip6tables": True}, 26: {"experimental": True, "ip6tables": True}}


def town_on(engine: Any, outsider: Any, neighbour: Any, configuration: dict[str, Any]) -> Town:
    if configuration:
        text = json.dumps(configuration)
        engine.run("sh", "-c", "mkdir -p /etc/docker; cat >/etc/docker/daemon.json", stdin=text)
        lab.restart_engine(engine.name)
    town = Town(engine, outsider, neighbour)
    town.build()
    return town


def compare(town: Town, daemon: str, setups: Sequence[str]) -> None:
    """Take the town through the set-ups, and say all that differs in any of them; ask the module in the last one."""
    complaints = []
    cells: list[Cell] = []
    for name in setups:
        SETUPS[name](town)
        cells = town.observe()
        computed = Computed(town.seen())
        different = [cell for cell in cells if not computed.agrees(cell)]
        if different:
            # Two cores for three engines: a packet may have come too late. Only what stays different counts.
            again = {cell.question: cell for cell in town.observe()}
            cells = [again.get(cell.question, cell) if cell in different else cell for cell in cells]
            different = [cell for cell in cells if not computed.agrees(cell)]
        complaints += [f"{daemon}, {name}: {computed.explained(cell)}" for cell in different]
        complaints += [f"{daemon}, {name}: the control {cell} failed" for cell in town.controls(cells) if not cell.open]
        if KEEP_IN and not different:
            written(Path(KEEP_IN) / f"{town.engine.name}-{daemon}-{name}", computed.seen, cells)
    complaints += [f"{daemon}, {setups[-1]}: {text}" for text in module_differs(town, cells)]
    assert not complaints, f"{len(complaints)} differ\n" + "\n".join(complaints[:40])


def module_differs(town: Town, cells: Sequence[Cell]) -> list[str]:
    """Ask docker_reachability_info what packets have just said, by questions and by its list of all ports."""
    asked = [cell for cell in cells if in_question(town, cell)]
    questions = [
        {"from": caller(cell), "to": cell.address, "port": cell.port or None, "proto": cell.proto} for cell in asked
    ]
    result = town.engine.module("docker_reachability_info", explain=questions)
    assert not result["failed"], result["msg"]
    assert result["troubles"] == []
    complaints = [
        f"{cell}, but explained is\n{explained['text']}"
        for cell, explained in zip(asked, result["explained"])
        if explained["verdict"] != ("open" if connects(cell) else "closed")
    ]
    return complaints + [text for row in result["exposures"] for text in exposure_differs(town, row, cells)]


def caller(cell: Cell) -> Any:
    outside = OUTSIDE.get(cell.asker)
    return {"interface": outside, "from": [cell.source]} if outside else cell.asker


def connects(cell: Cell) -> bool:
    """Tell whether a packet got there and an answer came back, be there a program behind it or not."""
    return cell.open or cell.answer == "(silent)"


def in_question(town: Town, cell: Cell) -> bool:
    """Leave out what the module's words do not mean, and half of the rest, which would take too long."""
    if cell.proto == "raw" or cell.port == 9 or cell.asker not in (*OUTSIDE, "host", "web", "six", "lone"):
        # Nothing listens on 9 anywhere. The module tells the way to a container, not whether it is in.
        return False
    if cell.proto == "udp" and cell.port == 5353 and town.engine.generation < 28 and cell.answer == "(timeout)":
        # docker-proxy passes it on, and answers from an address that was not asked.
        return False
    return hash_of(cell) % 2 == 0


def hash_of(cell: Cell) -> int:
    return sum(" ".join(map(str, cell.question)).encode())


def exposure_differs(town: Town, row: dict[str, Any], cells: Sequence[Cell]) -> list[str]:
    """Compare a row of the exposures with all cells that it speaks of: somebody outside who gets in by any address."""
    version = 6 if row["family"] == "ipv6" else 4
    if row["path"] == "direct":
        addresses, port = [row["container_ip"]], row["container_port"]
    else:
        anywhere = row["host_ip"] in ("0.0.0.0", "::")
        addresses, port = town.host_addresses if anywhere else [row["host_ip"]], row["host_port"]
    complaints = []
    for name, interface in OUTSIDE.items():
        about = [
            cell
            for cell in cells
            if (cell.asker, cell.proto.replace("raw", "tcp"), cell.port) == (name, row["proto"], port)
            and cell.address in addresses
            and ip_address(cell.address).version == version
        ]
        if not about:
            continue
        zones = [zone for zone in row["reachable_from"] if zone["interface"] == interface]
        sender = ip_address(about[0].source)
        inside, unknown = (
            any(sender in ip_network(prefix) for zone in zones for prefix in zone[key])
            for key in ("sources", "unknown")
        )
        if unknown or inside != any(map(connects, about)):
            said = ", ".join(str(cell) for cell in about)
            complaints.append(f"{said}, but {row['path']} {row['container']} {port} is reachable from {zones}")
    return complaints


def test_dockers_own_rules_and_firewalls_around_them(engine: Any, outsider: Any, neighbour: Any) -> None:
    town = town_on(engine, outsider, neighbour, OWN_DEFAULTS)
    compare(town, "own", ["untouched", "accept", "drop", "unfiltered_bridges", "ufw", "guard", "user_block"])


def test_without_docker_proxy_the_kernel_answers_alone(engine: Any, outsider: Any, neighbour: Any) -> None:
    town = town_on(engine, outsider, neighbour, WITHOUT_PROXY)
    compare(town, "noproxy", ["accept", "ufw"])


def test_ipv6_with_rules_where_there_were_none_and_without_where_there_were(
    engine: Any, outsider: Any, neighbour: Any
) -> None:
    town = town_on(engine, outsider, neighbour, OTHER_IPV6.get(engine.generation, {"ip6tables": False}))
    compare(town, "ipv6", ["accept", "ufw", "by_hand"])
