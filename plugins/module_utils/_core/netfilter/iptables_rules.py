# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""The output of ``iptables-save`` and ``ip6tables-save``, of legacy and of nft, as a :class:`.ruleset.Ruleset`.

Text that is not understood never makes a rule say more than it does, nor less: the rule keeps its place with an
:class:`.ruleset.Unknowable` in it, or an :class:`.ruleset.Opaque` where even what it does is not known.
"""

from __future__ import annotations

import re
import typing as t

from .iptables_line import Line
from .iptables_nft import BUILT_IN
from .iptables_options import Header, Stamp
from .iptables_rates import list_name
from .iptables_words import on_one_line, opened, words_of
from .ruleset import Chain, Opaque, Rule, Ruleset, Table

Backend = t.Literal["iptables", "legacy"]

_POLICIES = {"ACCEPT": "accept", "DROP": "drop"}

# Which chains never see a packet after these targets.
_ENDS: dict[str, t.Literal["", "table", "all"]] = {"DROP": "all", "REJECT": "all", "ACCEPT": "table"}

# What iptables-nft says of a table in which somebody else has written: that it shows nothing, or not everything of it.
_FOREIGN = re.compile(r"# Table `([^']*)' (is incompatible|contains incompatible base-chains)")


def parse(text: str, family: int, backend: Backend) -> Ruleset:
    """Read what ``iptables-save`` (family 4) or ``ip6tables-save`` (6) of a backend printed. Never raises."""
    reader = _Reader(family, backend)
    reader.read(text)
    return reader.ruleset()


class _Saved(t.NamedTuple):
    """A rule as it was found: its line's number and text, that text behind ``-A CHAIN``, and whether it is a whole."""

    number: int
    text: str
    rest: str
    whole: bool


class _Table:
    """What was read of one table."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.policies: dict[str, str] = {}
        self.rules: dict[str, list[_Saved]] = {}
        self.ended = False
        self.hidden = False

    @property
    def hooks(self) -> t.Mapping[str, tuple[str, int, str]]:
        return BUILT_IN.get(self.name, {})


class _Reader:
    """Reads line by line, and makes chains of it at the end: what a line means depends on other lines."""

    def __init__(self, family: int, backend: Backend) -> None:
        self._family = family
        self._backend = backend
        self._tool = f"ip{'6' if family == 6 else ''}tables-{'legacy-' if backend == 'legacy' else ''}save"
        self._tables: dict[str, _Table] = {}
        self._foreign: dict[str, str] = {}
        self._current: _Table | None = None
        self._troubles: list[str] = []
        self._lists: dict[str, list[Stamp]] = {}

    # ---- lines ----------------------------------------------------------------------------------------------------

    def read(self, text: str) -> None:
        """Read all lines."""
        for number, line, whole in _lines(text):
            first = line[:1]
            if first == "[":
                # Counters of packets and bytes, of iptables-save -c.
                line = line.partition("] ")[2]
                first = line[:1]
            if line.startswith("-A "):
                self._rule(number, line, whole)
            elif not first:
                continue
            elif not whole:
                self._odd(number, line, "is within a quotation")
            elif first == ":":
                self._chain(number, line)
            elif first == "*":
                self._begin(number, line[1:].strip())
            elif first == "#":
                self._comment(line)
            elif line == "COMMIT" and self._current is not None:
                self._current.ended = True
                self._current = None
            else:
                self._odd(number, line, "is not understood")

    def _odd(self, number: int, line: str, what: str) -> None:
        shortened = line if len(line) <= 200 else f"{line[:200]}..."
        self._trouble(f"line {number} {what}: {shortened}")

    def _trouble(self, text: str) -> None:
        self._troubles.append(on_one_line(f"{self._tool} {text}"))

    def _begin(self, number: int, name: str) -> None:
        table = self._tables.get(name)
        if table is None:
            table = self._tables[name] = _Table(name)
            if name not in BUILT_IN:
                self._odd(number, f"*{name}", "begins a table whose chains nobody knows")
        else:
            self._odd(number, f"*{name}", "begins a table that was there before; its rules are taken together")
        table.ended = False
        self._current = table

    def _chain(self, number: int, line: str) -> None:
        name, _space, rest = line[1:].partition(" ")
        if self._current is None or not name:
            self._odd(number, line, "is not understood")
            return
        self._current.policies[name] = on_one_line(rest.partition(" ")[0])
        self._current.rules.setdefault(name, [])

    def _comment(self, line: str) -> None:
        found = _FOREIGN.match(line)
        if found is not None:
            self._foreign[found.group(1)] = line[2:]

    def _rule(self, number: int, line: str, whole: bool) -> None:
        name, _space, rest = line[3:].partition(" ")
        if self._current is not None and name in self._current.hooks and name not in self._current.rules:
            # The chain is there all the same; only its policy is not said.
            self._chain(number, f":{name} ?")
        if self._current is None or name not in self._current.rules:
            self._odd(number, line, "is a rule of a chain that nobody announced")
            return
        self._current.rules[name].append(_Saved(number, line, rest, whole))
        if whole and "recent" in rest:
            self._remember(self._current.name, name, number, rest)

    def _remember(self, table: str, chain: str, number: int, rest: str) -> None:
        """Note which rules write senders into the lists of ``-m recent``: other rules ask for them."""
        line = _sorted(rest)
        for clause in line.clauses if line is not None else ():
            if clause.name == "recent" and {"set", "update"} & clause.options.keys():
                word = line.target.name if line is not None and line.target is not None else ""
                stamp = Stamp(table, chain, number, "set" in clause.options, _ENDS.get(word, ""))
                self._lists.setdefault(list_name(clause), []).append(stamp)

    # ---- chains ---------------------------------------------------------------------------------------------------

    def ruleset(self) -> Ruleset:
        """Make chains of what was read."""
        chains: list[Chain] = []
        cut = [table.name for table in self._tables.values() if not table.ended]
        for name in cut:
            self._trouble(f"does not end the table {name}: what follows is missing")
        for table in self._tables.values():
            chains += self._chains(table)
        hidden = dict(self._foreign)
        if cut:
            # Where a tool gives up, the tables after that one are not there either.
            hidden.update({name: "what follows is missing" for name in BUILT_IN if name not in self._tables})
        for name, text in hidden.items():
            if name in self._foreign:
                self._trouble(f"says: {text}")
            chains += self._unseen(name, text)
        return Ruleset(tuple(chains), tuple(self._troubles))

    def _table(self, name: str) -> Table:
        return Table("ip6" if self._family == 6 else "ip", name, self._backend)

    def _chains(self, table: _Table) -> t.Iterator[Chain]:
        owner = self._table(table.name)
        users = frozenset(name for name in table.rules if name not in table.hooks)
        for name, saved in table.rules.items():
            rules = [self._made(table.name, name, users, place, item) for place, item in enumerate(saved, 1)]
            missing = "" if table.ended else "the text ends"
            policy = table.policies[name]
            if name not in table.hooks or policy == "-":
                if policy != "-":
                    self._trouble(f"gives {name} of {table.name}, which the kernel does not call, the policy {policy}")
                yield Chain(owner, name, _ended(rules, missing))
                continue
            if policy not in _POLICIES:
                self._trouble(f"gives {name} of {table.name} a policy that nobody knows: {policy}")
                missing = f"the policy is not known: {policy}"
            hook, priority, kind = table.hooks[name]
            yield Chain(owner, name, _ended(rules, missing), hook, priority, _POLICIES.get(policy, "drop"), kind)

    def _made(self, table: str, chain: str, users: frozenset[str], place: int, saved: _Saved) -> Rule:
        line = _sorted(saved.rest) if saved.whole else None
        if line is None:
            if saved.whole:
                self._odd(saved.number, saved.text, "has a quotation that does not end")
            text = on_one_line(saved.text)
            return Rule(place, text, (Opaque(text),))
        text = saved.text.replace(f" {line.counters}", "", 1) if line.counters else saved.text
        header = Header(self._family, line.proto, table, chain, saved.number, self._lists)
        text = on_one_line(text)
        return Rule(place, text, line.parts(header, users, text))

    def _unseen(self, name: str, text: str) -> t.Iterator[Chain]:
        """Give chains that stand for all that a table may do without being shown."""
        shown = self._tables.get(name)
        for chain, (hook, priority, kind) in BUILT_IN.get(name, {}).items():
            title = chain if shown is None else f"{chain} (not shown)"
            rule = Rule(1, on_one_line(text), (Opaque(on_one_line(text)),))
            yield Chain(self._table(name), title, (rule,), hook, priority, "accept", kind)


def _ended(rules: t.Sequence[Rule], missing: str) -> tuple[Rule, ...]:
    """Close a chain; what is missing at its end is a rule that may do anything."""
    last = (Rule(len(rules) + 1, missing, (Opaque(missing),)),) if missing else ()
    return (*rules, *last)


def _sorted(rest: str) -> Line | None:
    """Sort the words of a rule; None when it cannot be taken apart."""
    try:
        return Line(words_of(rest)).sort()
    except ValueError:
        return None


# ---- lines that belong together -----------------------------------------------------------------------------------

#: So many signs a comment can have at most, when each of its 255 is escaped; it may well have line breaks.
_LONGEST_QUOTATION = 512


def _lines(text: str) -> t.Iterator[tuple[int, str, bool]]:
    """Give lines with their numbers, those of one quotation as one line.

    The third value is False for lines that look like rules and may be the inside of a quotation: nobody can tell.
    """
    lines = text.split("\n")
    place = 0
    while place < len(lines):
        line = lines[place].strip(" \t\r")
        length = _together(lines, place) if '"' in line else 1
        if length == 1:
            yield place + 1, line, True
        else:
            group = lines[place : place + length]
            if any(item[:1] in _RECORDS for item in group[1:]):
                for offset, item in enumerate(group):
                    yield place + offset + 1, item.strip(" \t\r"), False
            else:
                yield place + 1, "\n".join(group).strip(" \t\r"), True
        place += length


_RECORDS = frozenset("-:*#[C")


def _together(lines: t.Sequence[str], place: int) -> int:
    """Count the lines from this one on over which a quotation goes."""
    whole = lines[place].strip(" \t\r")
    length = 1
    start = opened(whole)
    while start >= 0 and place + length < len(lines) and len(whole) - start <= _LONGEST_QUOTATION:
        whole = f"{whole}\n{lines[place + length]}"
        length += 1
        start = opened(whole)
    return length if start < 0 else 1
