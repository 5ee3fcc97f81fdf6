# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import stat
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.bulkhead.docker.plugins.module_utils._core.errors import CoreError
from ansible_collections.bulkhead.docker.plugins.module_utils._core.plan import Change
from ansible_collections.bulkhead.docker.plugins.module_utils._core.recovery import Member, Recovery
from ansible_collections.bulkhead.docker.plugins.module_utils._host.state import State

if t.TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "../../net/$(id)\n'\"" + "x" * 300


def record(name: str) -> Recovery:
    config = {"Aliases": ["a\nb", "ü"], "IPAMConfig": {"IPv4Address": "10.0.0.2"}}
    return Recovery(
        name, "a" * 64, {"Name": name, "Labels": {"$(x)": "'"}}, (Member("c" * 64, "web", config, {}, True),)
    )


def save(state: State, saved: Recovery, daemon: str = "D1") -> None:
    state.apply(Change("save", "recovery", saved.name, "", {"record": saved.data, "before": None}), lambda: daemon)


def test_a_record_comes_back_as_it_was_for_its_daemon_alone_and_goes(tmp_path: Path) -> None:
    state = State(str(tmp_path / "a" / "b"))
    for name in (HOSTILE, "net"):
        save(state, record(name))
    save(state, record("net"), daemon="D2")
    again = State(str(tmp_path / "a" / "b"))
    assert again.records(lambda: "D1") == (record(HOSTILE), record("net"))
    assert again.records(lambda: "D2") == (record("net"),)
    again.apply(Change("discard", "recovery", "net", "", {"network": "net"}), lambda: "D1")
    again.apply(Change("discard", "recovery", "net", "", {"network": "net"}), lambda: "D1")
    assert again.records(lambda: "D1") == (record(HOSTILE),)
    assert again.records(lambda: "D2") == (record("net"),)


def test_what_is_kept_is_for_its_owner_alone_and_nothing_leaves_the_folder(tmp_path: Path) -> None:
    state = State(str(tmp_path / "state"))
    save(state, record(HOSTILE))
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    (file,) = (tmp_path / "state").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_daemon_is_asked_for_its_id_only_when_there_is_a_record(tmp_path: Path) -> None:
    def never() -> str:
        raise AssertionError("no record, no question")

    assert State(str(tmp_path)).records(never) == ()
    assert State(str(tmp_path / "missing")).records(never) == ()
    save(State(str(tmp_path)), record("net"))
    with pytest.raises(AssertionError):
        State(str(tmp_path)).records(never)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"daemon": "D1"}', '{"daemon": "D1", "record": {"version": 9}}'])
def test_a_record_that_can_not_be_read_is_refused_with_its_path_and_never_passed_over(
    tmp_path: Path, damage: str
) -> None:
    state = State(str(tmp_path))
    save(state, record("net"))
    (path,) = tmp_path.iterdir()
    path.write_text(damage)
    with pytest.raises(CoreError) as caught:
        state.records(lambda: "D1")
    assert caught.value.reason_code == "recovery_unreadable"
    assert str(path) in caught.value.msg


def test_a_folder_that_can_not_be_written_is_known_before_anything_is_taken_apart(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    state = State(str(tmp_path / "file" / "state"))
    with pytest.raises(CoreError) as caught:
        state.refuse_unwritable()
    assert caught.value.reason_code == "state_dir"
    with pytest.raises(CoreError):
        save(state, record("net"))
    state.lock(1)  # without a folder there is no lock, and that is no failure
    state.remember({"e": [[], [], {}, 0]})
    State(str(tmp_path / "not" / "yet")).refuse_unwritable()
    assert not (tmp_path / "not").exists()


def test_one_run_waits_for_the_other_and_not_for_ever_and_a_killed_one_holds_nothing(tmp_path: Path) -> None:
    hold = "import fcntl, sys, time; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True)"
    argv = [sys.executable, "-c", f"{hold}; time.sleep(60)", str(tmp_path / "lock")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(CoreError) as caught:
            State(str(tmp_path)).lock(0.2)
        assert caught.value.reason_code == "locked"
        other.kill()
    state = State(str(tmp_path))
    state.lock(0.2)
    state.lock(0.2)  # a second look of the same run
    with pytest.raises(CoreError):
        State(str(tmp_path)).lock(0.2)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"version": 1}', '{"version": 7, "endpoints": {"e": 1}}'])
def test_a_memory_that_can_not_be_read_is_empty(tmp_path: Path, damage: str) -> None:
    state = State(str(tmp_path))
    state.remember({"e": [["alias"], [], {"k": "v"}, 0]})
    assert state.remembered() == {"e": [["alias"], [], {"k": "v"}, 0]}
    (path,) = tmp_path.iterdir()
    assert json.loads(path.read_text())["version"] == 1
    path.write_text(damage)
    assert state.remembered() == {}
