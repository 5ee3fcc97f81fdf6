# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""The options of one match or target of iptables, and what such a one has to know of its rule."""

from __future__ import annotations

import typing as t

from .iptables_words import shown
from .ruleset import Condition


class Known(t.NamedTuple):
    """An option that a match or target may have: what we call it, how many words follow, whether it may be negated."""

    name: str
    values: int
    negatable: bool


#: Options by the word they are given with.
Options = t.Mapping[str, Known]


def options(text: str) -> Options:
    """Make a table of options from words like ``!name|other-name:2``: two values follow, and ``!`` may go before."""
    found: dict[str, Known] = {}
    for item in text.split():
        names, _colon, count = item.lstrip("!").partition(":")
        first, *others = names.split("|")
        known = Known(first, int(count or 0), item[0] == "!")
        found.update({f"--{name}": known for name in (first, *others)})
    return found


class Option(t.NamedTuple):
    """One option as a rule has it."""

    negated: bool
    values: t.Sequence[str]

    @property
    def value(self) -> str:
        return self.values[0]


class Clause:
    """One match or target of a rule with its options.

    ``known`` are the options it may have, None when we do not know them; ``strange`` are words in it that nobody
    understands. ``repeats`` when an option may come more than once.
    """

    __slots__ = ("known", "name", "options", "repeats", "spans", "strange", "words")

    def __init__(self, name: str, words: t.Sequence[str], known: Options | None, *, repeats: bool = False) -> None:
        self.name = name
        self.words = words
        self.known = known
        self.repeats = repeats
        self.options: dict[str, Option] = {}
        self.spans: list[tuple[int, int]] = []
        self.strange: list[str] = []

    @property
    def text(self) -> str:
        """The clause as the rule has it."""
        return shown(word for start, end in self.spans for word in self.words[start:end])

    def text_of(self, *names: str) -> str:
        """Write only these options, in their order."""
        meant = [(name, self.options[name]) for name in self.options if name in names]
        return " ".join(
            shown([*(["!"] if option.negated else []), f"--{name}", *option.values]) for name, option in meant
        )


class Stamp(t.NamedTuple):
    """A rule that writes the sender down in a list of ``-m recent``; ``ends`` says which chains never see it after."""

    table: str
    chain: str
    line: int
    entry: bool
    ends: t.Literal["", "table", "all"]


class Header(t.NamedTuple):
    """What a match has to know of its rule: family, the protocol it is for (None: any), and where it stands.

    ``lists`` are the lists of ``-m recent`` and who writes to them.
    """

    family: int
    proto: int | None
    table: str = ""
    chain: str = ""
    line: int = 0
    lists: t.Mapping[str, t.Sequence[Stamp]] = {}


Conditions = t.Sequence[Condition]
