# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bulkhead.docker.plugins.module_utils._core.errors import CoreError
from ansible_collections.bulkhead.docker.plugins.module_utils._core.plan import Change, Plan
from ansible_collections.bulkhead.docker.plugins.module_utils._runner import inform, restorer, run


class Ended(Exception):
    """The module has answered."""


class Module:
    """What the runner uses of AnsibleModule."""

    def __init__(self, *, check_mode: bool = False) -> None:
        self.check_mode = check_mode
        self.result: dict[str, t.Any] = {}

    def exit_json(self, **result: t.Any) -> t.NoReturn:
        self.result = {"failed": False, **result}
        raise Ended

    def fail_json(self, **result: t.Any) -> t.NoReturn:
        self.result = {"failed": True, **result}
        raise Ended


class Shelf:
    """A host: a set of things. The plan puts every wanted thing on it."""

    def __init__(self, *things: str, broken: str = "", deaf: bool = False) -> None:
        self.things = set(things)
        self.broken = broken
        self.deaf = deaf
        self.looks = 0

    def observe(self) -> frozenset[str]:
        self.looks += 1
        return frozenset(self.things)

    def apply(self, change: Change) -> None:
        if change.name == self.broken:
            raise CoreError(f"{change.name} does not fit.", hint="Take a smaller one.", reason_code="too_big")
        if not self.deaf:
            self.things = self.things | {change.name} if change.action == "put" else self.things - {change.name}


def put(*wanted: str) -> t.Callable[[frozenset[str]], Plan]:
    def plan(world: frozenset[str]) -> Plan:
        missing = [name for name in wanted if name not in world]
        changes = tuple(Change("put", "thing", name, f"{name} is not there") for name in missing)
        return Plan(sorted(world), sorted({*world, *wanted}), changes)

    return plan


def answer(module: Module, shelf: Shelf, plan: t.Callable[[frozenset[str]], Plan], **more: t.Any) -> dict[str, t.Any]:
    def report(world: frozenset[str], wanted: Plan, applied: bool) -> dict[str, t.Any]:
        return {"things": sorted(world), "applied": applied}

    with pytest.raises(Ended):
        run(t.cast("t.Any", module), observe=shelf.observe, plan=plan, apply=shelf.apply, report=report, **more)
    return module.result


def test_a_run_applies_the_plan_and_reports_the_world_as_it_is_then() -> None:
    shelf = Shelf("a")
    result = answer(Module(), shelf, put("a", "b"))
    assert shelf.things == {"a", "b"}
    assert (result["changed"], result["applied"], result["things"]) == (True, True, ["a", "b"])
    assert result["actions"] == [{"action": "put", "kind": "thing", "name": "b", "reason": "b is not there"}]
    assert result["diff"] == {"before": "- a\n", "after": "- a\n- b\n"}


def test_check_mode_says_the_same_and_touches_nothing() -> None:
    shelf = Shelf("a")
    foretold = answer(Module(check_mode=True), shelf, put("a", "b"))
    assert shelf.things == {"a"}
    assert foretold["applied"] is False
    done = answer(Module(), shelf, put("a", "b"))
    assert {key: foretold[key] for key in ("changed", "actions", "diff")} == {
        key: done[key] for key in ("changed", "actions", "diff")
    }


def test_nothing_to_do_takes_one_look_only() -> None:
    shelf = Shelf("a")
    result = answer(Module(), shelf, put("a"))
    assert (result["changed"], result["actions"], shelf.looks) == (False, [], 1)


def test_a_run_that_leaves_something_to_do_fails_and_says_what() -> None:
    result = answer(Module(), Shelf(deaf=True), put("a", "b"))
    assert (result["failed"], result["reason_code"], result["changed"]) == (True, "not_converged", True)
    assert [item["name"] for item in result["actions_left"]] == ["a", "b"]
    assert [item["name"] for item in result["actions_done"]] == ["a", "b"]


def test_a_second_look_that_is_refused_still_says_that_changes_were_made() -> None:
    def plan(world: frozenset[str]) -> Plan:
        if world:
            raise CoreError("Somebody else is here.", reason_code="in_use", details={"changed": False})
        return put("a")(world)

    result = answer(Module(), Shelf(), plan)
    assert (result["failed"], result["reason_code"], result["changed"]) == (True, "in_use", True)
    assert [item["name"] for item in result["actions_done"]] == ["a"]


def test_a_refusal_before_the_first_change_is_one_sentence_with_its_cure() -> None:
    def plan(world: frozenset[str]) -> Plan:
        raise CoreError("The shelf is locked.", hint="Find the key.", reason_code="locked", details={"key": "brass"})

    result = answer(Module(), Shelf(), plan)
    assert result == {
        "failed": True,
        "msg": "The shelf is locked. Find the key.",
        "reason_code": "locked",
        "key": "brass",
    }


def test_a_change_that_fails_names_what_was_done_and_takes_it_back() -> None:
    def undo(world: frozenset[str], done: t.Sequence[Change]) -> list[Change]:
        return [Change("take", "thing", item.name, "put back as it was") for item in done if item.name not in world]

    shelf = Shelf(broken="b")
    restore = restorer(shelf.apply, undo)
    result = answer(Module(), shelf, put("a", "b", "c"), restore=restore)
    assert result["msg"] == "b does not fit. Take a smaller one."
    assert [item["name"] for item in result["actions_done"]] == ["a"]
    assert result["failed_action"]["name"] == "b"
    assert result["restored"][0] == "take thing a: put back as it was"
    assert shelf.things == set()


def test_what_cannot_be_taken_back_is_said_and_does_not_stop_the_rest() -> None:
    def undo(world: frozenset[str], done: t.Sequence[Change]) -> list[Change]:
        names = [item.name for item in done]
        return [Change("take", "thing", name, "put back as it was") for name in reversed(names)]

    shelf = Shelf(broken="b")
    result = answer(Module(), shelf, put("a", "b"), restore=restorer(shelf.apply, undo))
    assert result["restored"] == ["FAILED: take thing b: b does not fit.", "take thing a: put back as it was"]


def test_nobody_is_sent_back_to_a_network_that_could_not_be_made_again() -> None:
    def undo(world: frozenset[str], done: t.Sequence[Change]) -> list[Change]:
        back = [Change("take", "thing", "b", "made again", {"replaces": ["old"]})]
        return [*back, *(Change("take", "thing", "a", "back on it", {"network": name}) for name in ("old", "other"))]

    shelf = Shelf(broken="b")
    result = answer(Module(), shelf, put("a", "b"), restore=restorer(shelf.apply, undo))
    assert result["restored"] == [
        "FAILED: take thing b: b does not fit.",
        "FAILED: take thing a: There is no such network to go back to.",
        "take thing a: back on it",
    ]


def test_a_module_that_only_reads_changes_nothing() -> None:
    module = Module()
    with pytest.raises(Ended):
        inform(t.cast("t.Any", module), lambda: {"things": []})
    assert module.result == {"failed": False, "changed": False, "things": []}
