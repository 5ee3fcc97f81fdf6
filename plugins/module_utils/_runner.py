# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Glue: observe, plan, apply, prove, and answer Ansible. Check mode, diff and error conversion live here, once."""

from __future__ import annotations

import typing as t

from ._core.errors import CoreError
from ._core.plan import Change, Plan

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

World = t.TypeVar("World")
Answer = t.TypeVar("Answer")


def attempt(module: AnsibleModule, step: t.Callable[[], Answer]) -> Answer:
    """Give what ``step`` returns; if it raises a :class:`CoreError`, end the module with that error's message."""
    try:
        return step()
    except CoreError as error:
        module.fail_json(msg=error.sentence, **{"reason_code": error.reason_code, **error.details})


def inform(module: AnsibleModule, read: t.Callable[[], t.Mapping[str, t.Any]]) -> t.NoReturn:
    """Run a module that only reads to its end; never returns."""
    module.exit_json(changed=False, **attempt(module, read))


def run(
    module: AnsibleModule,
    *,
    observe: t.Callable[[], World],
    plan: t.Callable[[World], Plan],
    apply: t.Callable[[Change], None],
    report: t.Callable[[World, Plan, bool], t.Mapping[str, t.Any]],
    restore: t.Callable[[World, t.Sequence[Change]], t.Sequence[str]] | None = None,
    prove: t.Callable[[World], Plan] | None = None,
) -> t.NoReturn:
    """Run one module to its end; never returns.

    ``report(world, plan, applied)`` gives the module's own result keys from the world as it is in the end.
    ``restore(world, done)`` puts back what ``done`` took apart when a change fails; it returns what it did, as
    sentences. The proof of a run is a second plan on a second look at the host: it must be empty. ``prove`` makes that
    second plan where ``plan`` has something to do each time.
    """
    module.exit_json(**attempt(module, lambda: _result(module, observe, plan, apply, report, restore, prove or plan)))


def restorer(
    apply: t.Callable[[Change], None], undo: t.Callable[[World, t.Sequence[Change]], t.Sequence[Change]]
) -> t.Callable[[World, t.Sequence[Change]], t.Sequence[str]]:
    """Make ``run``'s ``restore`` of a pure ``undo``: carry out each of its changes, whatever becomes of the others.

    A change whose ``target`` has ``uncertain`` set undoes a step that has failed and maybe did nothing; it is told
    only when there was something to undo. One with ``if_whole`` set is left out when another one has failed. What
    belongs to a ``network`` is left out when the change whose network ``replaces`` it has failed.
    """

    def restore(world: World, done: t.Sequence[Change]) -> list[str]:
        told = []
        whole = True
        lost: set[str] = set()
        for change in undo(world, done):
            if change.target.get("if_whole") and not whole:
                continue
            try:
                if change.target.get("network") in lost:
                    # Docker would let a stopped container join a network that is gone, and never start it again.
                    raise CoreError("There is no such network to go back to.")
                apply(change)
            except CoreError as error:
                if not change.target.get("uncertain"):
                    whole = False
                    lost.update(change.target.get("replaces", ()))
                    told.append(f"FAILED: {change.action} {change.kind} {change.name}: {error.msg}")
            else:
                told.append(f"{change.action} {change.kind} {change.name}: {change.reason}")
        return told

    return restore


def _result(
    module: AnsibleModule,
    observe: t.Callable[[], World],
    plan: t.Callable[[World], Plan],
    apply: t.Callable[[Change], None],
    report: t.Callable[[World, Plan, bool], t.Mapping[str, t.Any]],
    restore: t.Callable[[World, t.Sequence[Change]], t.Sequence[str]] | None,
    prove: t.Callable[[World], Plan],
) -> dict[str, t.Any]:
    world = observe()
    wanted = plan(world)
    for warning in wanted.warnings:
        module.warn(warning)
    result: dict[str, t.Any] = {"changed": wanted.changed, "actions": wanted.actions, "diff": wanted.diff}
    if module.check_mode or not wanted.changed:
        result.update(report(world, wanted, False))
        return result
    _apply_all(world, wanted, apply, restore)
    try:
        after = observe()
        _prove(prove, after, wanted)
    except CoreError as error:
        # Whatever the second look is refused for, the changes have been made by then.
        error.details.update(changed=True, actions_done=wanted.actions)
        raise
    result.update(report(after, wanted, True))
    return result


def _apply_all(
    world: World,
    wanted: Plan,
    apply: t.Callable[[Change], None],
    restore: t.Callable[[World, t.Sequence[Change]], t.Sequence[str]] | None,
) -> None:
    done: list[Change] = []
    for change in wanted.changes:
        try:
            apply(change)
        except CoreError as error:
            error.details.update(
                changed=bool(done), actions_done=[item.line for item in done], failed_action=change.line
            )
            if restore is not None:
                error.details["restored"] = list(restore(world, [*done, change]))
            raise
        done.append(change)


def _prove(plan: t.Callable[[World], Plan], after: World, wanted: Plan) -> None:
    left = plan(after)
    if left.changed:
        raise CoreError(
            f"All {len(wanted.changes)} changes were made, but a second look at the host still finds "
            f"{len(left.changes)} to make, the first being: {left.changes[0].reason}.",
            hint="Something else changes this host, or Docker ignored a request; run again with --check --diff.",
            reason_code="not_converged",
            details={"actions_left": left.actions},
        )
