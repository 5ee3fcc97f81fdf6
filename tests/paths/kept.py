# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cases that are kept: each was a disagreement once, and has what the tools printed and what the kernel did.

A case is a file in ``cases/``: ``about`` says what the kernel does and why, ``rules``, ``sysctl`` and ``packets`` (one)
are what a worker runs, ``printed`` and ``seen`` what it answered.
"""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

from . import judge
from .compare import Answer

FOLDER = Path(__file__).resolve().parent / "cases"


def load() -> dict[str, dict[str, t.Any]]:
    """Read all kept cases, by name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}


def keep(name: str, case: t.Mapping[str, t.Any], told: t.Mapping[str, t.Any]) -> Path:
    """Write a case with what a worker told of it."""
    path = FOLDER / f"{name}.json"
    kept = {
        "about": case.get("about", ""),
        **{part: case[part] for part in ("rules", "sysctl", "default_route", "packets") if part in case},
        "printed": told["printed"],
        "seen": without_tokens(told["seen"]),
    }
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return path


def without_tokens(seen: t.Sequence[t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Give what was seen without what differs from run to run, in one order."""
    return [{name: _plain(value) if isinstance(value, list) else value for name, value in one.items()} for one in seen]


def _plain(sights: t.Sequence[t.Sequence[t.Any]]) -> list[t.Any]:
    return sorted(([place, {**header, "token": 0}] for place, header in sights), key=repr)


def check(kernel: judge.Runs, case: t.Mapping[str, t.Any]) -> Answer:
    """Run a kept case again: the kernel has to do what it did, and the model has to agree."""
    told = kernel.run(case)
    if "refused" in told:
        return Answer("refused", "refused", told["refused"])
    if without_tokens(told["seen"]) != case["seen"]:
        return Answer("disagree", "none", f"this kernel does otherwise than the one that was asked: {told['seen']}")
    return judge.answers(case, told)[0]
