# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""What ``meta mark set`` and ``ct mark set`` make of both marks."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from . import nft_values as values
from .nft_values import Json, NotUnderstood
from .ruleset import CopyMark, SetMark

Mark = t.Literal["mark", "ctmark"]

_ALL = 0xFFFFFFFF


@dataclass(frozen=True)
class _Term:
    """(mark & of_mark) ^ (ctmark & of_ctmark) ^ constant."""

    of_mark: int = 0
    of_ctmark: int = 0
    constant: int = 0

    @property
    def fixed(self) -> bool:
        return not (self.of_mark | self.of_ctmark)

    def masked(self, keep: int) -> _Term:
        return _Term(self.of_mark & keep, self.of_ctmark & keep, self.constant & keep)

    def flipped(self, other: _Term) -> _Term:
        return _Term(self.of_mark ^ other.of_mark, self.of_ctmark ^ other.of_ctmark, self.constant ^ other.constant)

    @property
    def reach(self) -> int:
        """The bits that may be set."""
        return self.of_mark | self.of_ctmark | self.constant


def rewritten(to: Mark, value: Json) -> tuple[SetMark | CopyMark, ...]:
    """Read what a mark is set to, made of constants and both marks. Raises NotUnderstood."""
    term = _term(value)
    own, other = (term.of_mark, term.of_ctmark) if to == "mark" else (term.of_ctmark, term.of_mark)
    if not other:
        return (SetMark(to, _ALL & ~own, term.constant),)
    source: Mark = "ctmark" if to == "mark" else "mark"
    copied = CopyMark(source, to, from_mask=other, to_mask=_ALL & ~own)
    return (copied, SetMark(to, 0, term.constant)) if term.constant else (copied,)


def reads_connection(value: Json) -> bool:
    """Tell whether the connection's mark is read, which ends a rule where there is no connection. Raises NotUnderstood."""
    return _term(value).of_ctmark != 0


def _term(value: Json) -> _Term:
    if not isinstance(value, dict):
        number = values.whole(value)
        if number > _ALL:
            raise NotUnderstood(value)
        return _Term(constant=number)
    if value == {"meta": {"key": "mark"}}:
        return _Term(of_mark=_ALL)
    if value == {"ct": {"key": "mark"}}:
        return _Term(of_ctmark=_ALL)
    for operator, combine in (("&", _and), ("|", _or), ("^", _Term.flipped)):
        if set(value) == {operator} and isinstance(value[operator], list) and value[operator]:
            first, *rest = (_term(part) for part in value[operator])
            for term in rest:
                first = combine(first, term)
            return first
    raise NotUnderstood(value)


def _and(one: _Term, other: _Term) -> _Term:
    if other.fixed:
        return one.masked(other.constant)
    if one.fixed:
        return other.masked(one.constant)
    raise NotUnderstood("&")


def _or(one: _Term, other: _Term) -> _Term:
    if one.fixed:
        one, other = other, one
    if other.fixed:
        # What is set to one no longer depends on anything.
        return one.masked(_ALL & ~other.constant).flipped(other)
    if one.reach & other.reach:
        raise NotUnderstood("|")
    return one.flipped(other)
