# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What packets said on real Docker hosts follows from what those hosts said of themselves.

``data/engines`` holds both, written by ``KEEP_TRUTH_IN=FOLDER make integration T=reachability``.
"""

from __future__ import annotations

import typing as t
from functools import cache
from pathlib import Path

import pytest

from ansible_collections.bulkhead.docker.tests.unit.plugins.module_utils._core.netfilter import answers
from ansible_collections.bulkhead.docker.tests.unit.plugins.module_utils._core.netfilter.answers import Cell, Computed

ENGINES = Path(__file__).parent / "data" / "engines"
SETUPS = sorted(path.name for path in ENGINES.iterdir())


@cache
def kept(name: str) -> tuple[dict[str, t.Any], list[Cell]]:
    return answers.read(ENGINES / name)


@pytest.mark.parametrize("name", SETUPS)
def test_computed_answers_are_those_that_packets_gave(name: str) -> None:
    seen, cells = kept(name)
    computed = Computed(seen)
    assert computed.rules.troubles == ()
    different = [computed.explained(cell) for cell in cells if not computed.agrees(cell)]
    assert not different, f"{len(different)} of {len(cells)} differ\n" + "\n".join(different[:10])
