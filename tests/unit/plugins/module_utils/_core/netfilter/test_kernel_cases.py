# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a kernel did with packets, as it was seen once (tests/paths), against what the model says of them."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bulkhead.docker.tests.paths import judge, kept

CASES = kept.load()


@pytest.mark.parametrize("name", CASES)
def test_the_model_says_what_the_kernel_did(name: str) -> None:
    case = CASES[name]
    (answer,) = judge.answers(case, case)
    assert (answer.result, answer.why) == ("agree", ""), case["about"]


def turned(case: dict[str, t.Any]) -> dict[str, t.Any]:
    """Give a case in which the kernel did the opposite: delivered what it dropped, dropped what it delivered."""
    (seen,), (packet,) = case["seen"], case["packets"]
    header = {name: packet.get(name) for name in ("family", "src", "dst", "sport", "dport")}
    dropped = not any(sight[1]["kind"] == "packet" for sight in seen["there"])
    delivered = [["local", {**header, "proto": 0, "flags": 0, "kind": "packet"}]]
    return {**case, "seen": [{"there": delivered if dropped else []}]}


@pytest.mark.parametrize("name", CASES)
def test_the_comparison_notices_a_kernel_that_does_otherwise(name: str) -> None:
    case = turned(CASES[name])
    (answer,) = judge.answers(case, case)
    assert answer.result == "disagree"
