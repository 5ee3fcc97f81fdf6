# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""The plan: what a run will do, as a value. Check mode, diff, return values and messages all come from it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Change:
    """One step. ``action``, ``kind``, ``name``, ``reason`` are shown; ``target`` is what the edge needs to do it."""

    action: str
    kind: str
    name: str
    reason: str
    target: t.Mapping[str, t.Any] = field(default_factory=dict)

    @property
    def line(self) -> dict[str, str]:
        """The form that users and programs see in ``actions``."""
        return {"action": self.action, "kind": self.kind, "name": self.name, "reason": self.reason}


@dataclass(frozen=True)
class Plan:
    """Changes in the order of execution, with the state before and after them as data.

    ``before`` and ``after`` are nested dicts, lists and scalars; they are shown as text by :func:`as_text`.
    ``warnings`` are what users must know although it is no reason to refuse; ``told`` is what a report starts from.
    """

    before: t.Any
    after: t.Any
    changes: tuple[Change, ...] = ()
    warnings: tuple[str, ...] = ()
    told: t.Mapping[str, t.Any] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        return bool(self.changes)

    @property
    def actions(self) -> list[dict[str, str]]:
        return [change.line for change in self.changes]

    @property
    def diff(self) -> dict[str, str]:
        return {"before": as_text(self.before), "after": as_text(self.after)}


def as_text(value: t.Any) -> str:
    """Show data as stable, indented, YAML-like text that reads well in a diff; nothing at all for empty data."""
    if value in (None, "", {}, [], ()):
        return ""
    return "\n".join(_lines(value, "")) + "\n"


def _lines(value: t.Any, indent: str) -> t.Iterator[str]:
    if isinstance(value, t.Mapping):
        for key in sorted(value, key=str):
            yield from _entry(f"{indent}{_scalar(key)}:", value[key], f"{indent}  ")
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _entry(f"{indent}-", item, f"{indent}  ")
    elif isinstance(value, str) and "\n" in value:
        yield from (f"{indent}{line}".rstrip() for line in value.rstrip("\n").split("\n"))
    else:
        yield f"{indent}{_scalar(value)}"


def _entry(head: str, value: t.Any, indent: str) -> t.Iterator[str]:
    empty_container = value in ({}, [], ())
    if empty_container or not isinstance(value, (t.Mapping, list, tuple)):
        yield f"{head} {'{}' if isinstance(value, t.Mapping) else '[]' if empty_container else _scalar(value)}"
        return
    yield head
    yield from _lines(value, indent)


def _scalar(value: t.Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    # Names and labels are hostile input: control characters must not forge lines of a diff.
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(value))
