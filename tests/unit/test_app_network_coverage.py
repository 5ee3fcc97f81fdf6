# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table of acceptance cases names tests that are there, and leaves no case out."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
TABLE = CHECKOUT / "tests/COVERAGE-app-network.md"
CASES = {f"{letter}{number}" for letter, last in (("A", 43), ("F", 12), ("D", 10)) for number in range(1, last + 1)}
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TABLE.read_text().splitlines()
    if re.match(r"\| [A-Z]\d+ \|", line)
]


@functools.cache
def functions(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


def test_every_case_has_one_row() -> None:
    assert sorted(row[0] for row in ROWS) == sorted(CASES)


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_every_test_that_a_row_names_exists(row: list[str]) -> None:
    _case, what, tests, engines = row
    named = re.findall(r"`([^`]+)`", tests)
    # What nobody tests is said, with the reason.
    assert what and (named or re.match(r"not covered: .{10}", tests)), "no test, and no word about why"
    assert engines or not named
    for reference in named:
        name, _colons, function = reference.partition("::")
        path = CHECKOUT / name
        assert path.is_file(), f"there is no {name}"
        if path.suffix == ".py":
            assert function in functions(path), f"there is no {function} in {name}"
        else:
            assert not function or f"name: {function}\n" in path.read_text(), f"there is no task {function!r} in {name}"
