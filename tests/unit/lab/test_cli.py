# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the commands say."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from lab.cli import main, uptime
from lab.hosts import State

NOW = datetime(2026, 1, 2, 12, 0, 0, tzinfo=timezone.utc)


def state(*, started: datetime, now: str = "running") -> State:
    return State("engine28", "bulkhead-lab0-engine28", now, "28.5.2", "", "", f"{started:%Y-%m-%dT%H:%M:%S}.123456789Z")


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (timedelta(seconds=-2), "0 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(seconds=60), "1 min"),
        (timedelta(hours=26, minutes=5), "26 h 5 min"),
    ],
)
def test_the_uptime_is_in_words(ago: timedelta, text: str) -> None:
    assert uptime(state(started=NOW - ago), NOW) == text


def test_a_stopped_host_has_no_uptime() -> None:
    assert uptime(state(started=NOW, now="exited"), NOW) == "-"


def test_an_unknown_host_is_one_sentence_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shell", "engine29"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("lab: The lab has no host 'engine29': choose from ")
    assert error.count("\n") == 1
