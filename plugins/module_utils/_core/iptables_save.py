# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""The output of ``iptables-save`` as rules in words: enough to find a rule and to name it."""

from __future__ import annotations

import shlex
import typing as t
from dataclasses import dataclass


@dataclass(frozen=True)
class Saved:
    """One rule of ``iptables-save``: its words, and where it stands."""

    table: str
    chain: str
    words: tuple[str, ...]
    line: str

    def value(self, option: str) -> str:
        """The word after an option that is not negated; empty when it is not there."""
        for index, word in enumerate(self.words[:-1]):
            if word == option and (index == 0 or self.words[index - 1] != "!"):
                return self.words[index + 1]
        return ""

    @property
    def target(self) -> str:
        return self.value("-j") or self.value("-g")


@dataclass(frozen=True)
class Save:
    """One family's ``iptables-save``."""

    rules: tuple[Saved, ...] = ()
    policies: t.Mapping[tuple[str, str], str] | None = None

    def of(self, table: str, chain: str) -> tuple[Saved, ...]:
        return tuple(rule for rule in self.rules if (rule.table, rule.chain) == (table, chain))

    def has(self, table: str, chain: str) -> bool:
        return (table, chain) in (self.policies or {})


def parse_save(text: str) -> Save:
    """Read the output of ``iptables-save`` or ``ip6tables-save``."""
    table = ""
    rules: list[Saved] = []
    policies: dict[tuple[str, str], str] = {}
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith(":"):
            name, _space, rest = line[1:].partition(" ")
            policies[table, name] = rest.partition(" ")[0]
        elif line.startswith("-A "):
            try:
                words = shlex.split(line)
            except ValueError:
                words = line.split()
            rules.append(Saved(table, words[1], tuple(words), line))
    return Save(tuple(rules), policies)
