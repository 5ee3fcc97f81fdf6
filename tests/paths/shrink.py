# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make a case smaller while it stays interesting."""

from __future__ import annotations

import typing as t

Case = t.Mapping[str, t.Any]
Interesting = t.Callable[[Case], bool]


def shrunk(case: Case, interesting: Interesting) -> dict[str, t.Any]:
    """Take away rules, tables, tools and sysctls as long as ``interesting`` says yes. The case itself must be so."""
    best = dict(case)
    for tool in list(best["rules"]):
        without = {name: text for name, text in best["rules"].items() if name != tool}
        best = _if(interesting, best, {**best, "rules": without})
    for name in list(best["sysctl"]):
        without = {key: value for key, value in best["sysctl"].items() if key != name}
        best = _if(interesting, best, {**best, "sysctl": without})
    if "default_route" in best:
        best = _if(interesting, best, {name: value for name, value in best.items() if name != "default_route"})
    changed = True
    while changed:
        before = best
        for tool in best["rules"]:
            best = _fewer_lines(best, tool, interesting)
        changed = best is not before
    return best


def _if(interesting: Interesting, best: dict[str, t.Any], smaller: dict[str, t.Any]) -> dict[str, t.Any]:
    return smaller if interesting(smaller) else best


def _fewer_lines(best: dict[str, t.Any], tool: str, interesting: Interesting) -> dict[str, t.Any]:
    lines = best["rules"][tool].splitlines()
    place = 0
    while place < len(lines):
        # The largest piece that starts here first: a whole table, a whole chain, a line.
        for end in _ends(lines, place):
            fewer = lines[:place] + lines[end:]
            smaller = {**best, "rules": {**best["rules"], tool: "\n".join([*fewer, ""])}}
            if interesting(smaller):
                best, lines = smaller, fewer
                break
        else:
            place += 1
    return best


def _ends(lines: t.Sequence[str], place: int) -> list[int]:
    """Give where pieces end that start at a line: the longest first."""
    line = lines[place]
    if line.startswith("*"):
        return [lines.index("COMMIT", place) + 1]
    if line.endswith("{"):
        closing = line[: len(line) - len(line.lstrip())] + "}"
        return [lines.index(closing, place) + 1]
    if line.strip() in ("}", "COMMIT", ""):
        return []
    return [place + 8, place + 4, place + 1] if line.startswith(("-A", "        ", "add")) else [place + 1]
