# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a case on the kernel, ask the model, compare; and make the smallest case of a disagreement."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .compare import Answer, compare
from .model import model_of
from .shrink import shrunk


class Runs(t.Protocol):
    """Whatever runs a case as ``worker.py`` does."""

    def run(self, case: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        """Give what was printed and seen, or why it was refused."""


@dataclass(frozen=True)
class Verdict:
    """The answer for one packet of one case. ``smallest`` is a case as in ``cases/``, for disagreements only."""

    seed: str
    packet: int
    answer: Answer
    smallest: dict[str, t.Any] = field(default_factory=dict)


def judge(kernel: Runs, case: t.Mapping[str, t.Any], seed: str, *, smaller: bool = True) -> list[Verdict]:
    """Compare model and kernel on each packet of a case. A case that the tools refuse gives one answer ``refused``."""
    told = kernel.run(case)
    if "refused" in told:
        return [Verdict(seed, 0, Answer("refused", "refused", told["refused"]))]
    verdicts = []
    shown = False
    for number, (packet, answer) in enumerate(zip(case["packets"], answers(case, told))):
        smallest: dict[str, t.Any] = {}
        if answer.result == "disagree" and smaller and not shown:
            smallest = smallest_case(kernel, case, packet)
            shown = True
        verdicts.append(Verdict(seed, number, answer, smallest))
    return verdicts


def answers(case: t.Mapping[str, t.Any], told: t.Mapping[str, t.Any]) -> list[Answer]:
    """Compare what the kernel ``told`` of each packet of a case with the model."""
    model = model_of(case, told["printed"])
    return [compare(model, packet, seen) for packet, seen in zip(case["packets"], told["seen"])]


def smallest_case(kernel: Runs, case: t.Mapping[str, t.Any], packet: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Make a smaller case of one packet that kernel and model disagree about, with what was printed and seen."""

    def disagrees(smaller: t.Mapping[str, t.Any]) -> bool:
        told = kernel.run(smaller)
        return "refused" not in told and answers(smaller, told)[0].result == "disagree"

    found: dict[str, t.Any] = {**case, "packets": [packet]}
    if not disagrees(found):
        return {**case, "note": "only after the packets before it"}
    found = shrunk(found, disagrees)
    return {**found, **kernel.run(found)}
