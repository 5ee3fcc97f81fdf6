# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What packets said on real Docker hosts follows from what those hosts said of themselves.

``data/engines`` holds both, kept by ``KEEP_TRUTH_IN=FOLDER make integration T=reachability``.
"""

from __future__ import annotations

import typing as t
from functools import cache
from pathlib import Path

import pytest

from ansible_collections.bulkhead.docker.tests.unit.plugins.module_utils._core.netfilter import answers
from ansible_collections.bulkhead.docker.tests.unit.plugins.module_utils._core.netfilter.answers import Cell, Computed

ENGINES = Path(__file__).parent / "data" / "engines"


@cache
def kept(name: str) -> tuple[dict[str, t.Any], list[Cell]]:
    return answers.read(ENGINES / name)


@pytest.mark.parametrize("name", sorted(path.name for path in ENGINES.iterdir()))
def test_computed_answers_are_those_that_packets_gave(name: str) -> None:
    seen, cells = kept(name)
    computed = Computed(seen)
    assert computed.rules.troubles == ()
    different = [computed.explained(cell) for cell in cells if not computed.agrees(cell)]
    assert not different, f"{len(different)} of {len(cells)} differ\n" + "\n".join(different[:10])


@pytest.mark.parametrize(
    ("name", "tool", "rule", "instead", "noticed"),
    [
        ("engine20-own-user_block", "save4", "-A ufw-docker-logging-deny -j DROP", "", "outsider tcp/9191"),
        ("engine26-own-accept", "save4", "-A FORWARD -j DOCKER-ISOLATION-STAGE-1", "", "web tcp/7777"),
        ("engine28-noproxy-ufw", "save6", ":INPUT DROP", ":INPUT ACCEPT", "neighbour tcp/3000"),
        ("engine26-own-ufw", "save4", "--dport 8080 -j ACCEPT", "-m bpf --bytecode 1 -j DROP", "six tcp/8080"),
    ],
)
def test_other_rules_than_those_of_the_packets_are_noticed(
    name: str, tool: str, rule: str, instead: str, noticed: str
) -> None:
    seen, cells = kept(name)
    assert rule in seen[tool]
    computed = Computed({**seen, tool: seen[tool].replace(rule, instead)})
    different = {f"{cell.asker} {cell.proto}/{cell.port}" for cell in cells if not computed.agrees(cell)}
    assert noticed in different
