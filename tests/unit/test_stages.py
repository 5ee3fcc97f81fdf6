# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import argparse
import importlib
import sys
import typing as t
from pathlib import Path

import pytest

OPTIONS = argparse.Namespace(keep_going=False, keep_lab=True, pytest=None)


@pytest.fixture(name="stages")
def stages_fixture(monkeypatch: pytest.MonkeyPatch) -> t.Any:
    # A script and not part of the collection: it finds its neighbours as a script does.
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1]))
    return importlib.import_module("stages")


def stage(stages: t.Any, name: str, code: str, *, fast: bool = True) -> t.Any:
    def commands(options: argparse.Namespace) -> list[t.Any]:
        if code.startswith("skip:"):
            raise stages.Skip(code[5:])
        return [stages.Command([sys.executable, "-c", code])]

    return stages.Stage(name, (), "a test", commands, fast=fast)


def test_the_last_line_alone_says_how_it_went(stages: t.Any):
    planned = [
        stage(stages, "good", "pass"),
        stage(stages, "bad", "raise SystemExit(3)"),
        stage(stages, "out", "skip:no moon"),
    ]
    text = stages.table(stages.run_all(planned, OPTIONS))
    assert text.splitlines()[-1] == "stages: 1 passed, 1 failed, 1 skipped"
    assert "no moon" in text


def test_fast_stages_go_on_after_a_failure_and_slow_ones_wait(stages: t.Any):
    planned = [
        stage(stages, "bad", "raise SystemExit(1)"),
        stage(stages, "good", "pass"),
        stage(stages, "slow", "pass", fast=False),
    ]
    outcomes = stages.run_all(planned, OPTIONS)
    assert [outcome.result for outcome in outcomes] == ["failed", "passed", "skipped"]
    assert outcomes[2].note.startswith("not run: failed before it: bad")


def test_a_stage_goes_on_after_a_failing_command_and_names_each(stages: t.Any):
    programs = [[sys.executable, "-c", f"raise SystemExit({status})"] for status in (3, 0, 4)]
    several = stages.Stage("several", (), "a test", lambda options: [stages.Command(argv) for argv in programs])
    (outcome,) = stages.run_all([several], OPTIONS)
    assert outcome.result == "failed"
    assert "status 3" in outcome.note and "status 4" in outcome.note


@pytest.mark.parametrize("text", ["WARNING: All targets skipped.", "=== no tests ran in 0.1s ==="])
def test_a_stage_that_looked_at_nothing_has_failed(stages: t.Any, text: str):
    (outcome,) = stages.run_all([stage(stages, "empty", f"print({text!r})")], OPTIONS)
    assert (outcome.result, outcome.note) == ("failed", "it looked at nothing at all")


def test_a_program_that_complains_and_exits_with_0_has_failed(stages: t.Any):
    argv = [sys.executable, "-c", "print('ERROR: no documentation')"]
    polite = stages.Stage("polite", (), "a test", lambda options: [stages.Command(argv, complaint="^ERROR")])
    (outcome,) = stages.run_all([polite], OPTIONS)
    assert (outcome.result, outcome.note) == ("failed", "it says: ERROR: no documentation")


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("=== 12 passed, 3 skipped in 0.52s ===", 3),
        ("7 skipped in 1.00s", 7),
        ("12 passed in 0.52s", 0),
        ("SKIPPED [1] tests/unit/test_x.py:3: no moon", 0),
        ("this change skipped 4 lines", 0),
        ("test_x.py::test_y[3 passed, 2 skipped in 1.00s] PASSED", 0),
    ],
)
def test_skipped_tests_are_counted_from_pytests_closing_line(stages: t.Any, line: str, count: int):
    assert stages.skipped_in(line) == count


def test_stages_keep_their_order_whatever_order_is_asked_for(stages: t.Any):
    assert [item.name for item in stages.choose(["unit", "ruff"])] == ["ruff", "unit"]


def test_an_unknown_stage_is_refused_with_the_known_ones(stages: t.Any):
    with pytest.raises(SystemExit, match=r"no stage or group moon; there are: .*\bunit\b"):
        stages.choose(["moon"])
