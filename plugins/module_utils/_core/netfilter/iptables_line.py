# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""One rule of ``iptables-save``: its words sorted into what it asks of the header, its matches and its target."""

from __future__ import annotations

import typing as t
from functools import lru_cache

from .iptables_matches import BY_PROTOCOL, MATCHES, conditions
from .iptables_options import Clause, Header, Known, Option
from .iptables_targets import TARGETS, effects
from .iptables_words import Quoted, addresses, protocol, shown
from .ruleset import Condition, Effect, Interface, Jump, Never, Opaque, Unknowable, Within
from .sets import IntSet

Parts = tuple[t.Union[Condition, Effect], ...]

#: Options of iptables itself, which may stand anywhere in a rule.
_GENERAL = {
    word: Known(short, values, negatable)
    for short, longer, values, negatable in (
        ("-s", "--source --src", 1, True),
        ("-d", "--destination --dst", 1, True),
        ("-i", "--in-interface", 1, True),
        ("-o", "--out-interface", 1, True),
        ("-p", "--protocol --proto", 1, True),
        ("-f", "--fragments --fragment", 0, True),
        ("-m", "--match", 1, False),
        ("-j", "--jump", 1, False),
        ("-g", "--goto", 1, False),
        ("-c", "--set-counters", 2, False),
        ("-4", "--ipv4", 0, False),
        ("-6", "--ipv6", 0, False),
    )
    for word in (short, *longer.split())
}

#: The targets that are no chain, whatever chains there are.
_VERDICTS = frozenset({"ACCEPT", "DROP", "RETURN", "QUEUE"})


class Line:
    """The words of one rule, sorted.

    ``proto`` is the protocol that the rule is for, None for any. ``strange`` are words that nobody understands.
    ``counters`` are the words of the rule's counters, if they stand within it.
    """

    __slots__ = ("_current", "clauses", "counters", "goto", "header", "proto", "strange", "target", "words")

    def __init__(self, words: t.Sequence[str]) -> None:
        self.words = words
        self.header: dict[str, Option] = {}
        self.clauses: list[Clause] = []
        self.target: Clause | None = None
        self.goto = False
        self.proto: int | None = None
        self.strange: list[str] = []
        self.counters = ""
        self._current: Clause | None = None

    # ---- sorting --------------------------------------------------------------------------------------------------

    def sort(self) -> Line:
        """Go through the words once."""
        words, end, place = self.words, len(self.words), 0
        while place < end:
            start = place
            negated = words[place] == "!"
            if negated:
                place += 1
            place = self._take(start, place, negated) if place < end else self._unknown(start, place)
        return self

    def _take(self, start: int, place: int, negated: bool) -> int:
        """Take the option at ``place``, which begins at ``start`` with its negation; tell where the next one begins."""
        word = self.words[place]
        clause = self._current
        known = clause.known.get(word) if clause is not None and clause.known is not None else None
        if known is None:
            known = _GENERAL.get(word)
            if known is not None:
                clause = None
            else:
                clause, known = self._owner(word)
                if known is None:
                    return self._unknown(start, place)
        end = place + 1 + known.values
        values = self.words[place + 1 : end]
        if known.values and known.negatable and values and values[0] == "!" and not isinstance(values[0], Quoted):
            # Tools of long ago wrote the negation behind the option.
            negated, end = not negated, end + 1
            values = self.words[place + 2 : end]
        if len(values) < known.values or (negated and not known.negatable):
            return self._unknown(start, place)
        if clause is None:
            self._general(known.name, Option(negated, values), start, end)
        elif known.name in clause.options and not clause.repeats:
            clause.strange.append(shown(self.words[start:end]))
        else:
            clause.options[known.name] = Option(negated, values)
            clause.spans.append((start, end))
        return end

    def _owner(self, word: str) -> tuple[Clause | None, Known | None]:
        """Find the match that an option belongs to if not to the one before it, as a person may have written it."""
        if self._current is None or self._current.known is not None:
            for clause in reversed(self.clauses):
                if clause.known is not None and word in clause.known:
                    return clause, clause.known[word]
            name = BY_PROTOCOL.get(self.proto or 0, "")
            if name and word in MATCHES[name].options:
                self._match(name, ())
                return self.clauses[-1], MATCHES[name].options[word]
        return None, None

    def _unknown(self, start: int, place: int) -> int:
        """Take a word that nobody knows, with those behind it that are no option."""
        words, end = self.words, place + 1
        while end < len(words) and (isinstance(words[end], Quoted) or not (words[end][0] == "-" or words[end] == "!")):
            end += 1
        clause = self._current
        if clause is None:
            self.strange.append(shown(words[start:end]))
        elif clause.known is None:
            clause.spans.append((start, end))
        else:
            clause.strange.append(shown(words[start:end]))
        return end

    def _general(self, name: str, option: Option, start: int, end: int) -> None:
        if name == "-m":
            self._match(option.value, (start, end))
        elif name in ("-j", "-g") and self.target is None:
            known = TARGETS.get(option.value)
            self.target = self._current = Clause(option.value, self.words, None if known is None else known.options)
            self.target.spans.append((start, end))
            self.goto = name == "-g"
        elif name == "-c":
            self.counters = " ".join(self.words[start:end])
        elif name in self.header or name in ("-j", "-g"):
            self.strange.append(shown(self.words[start:end]))
        else:
            self.header[name] = option
            if name == "-p" and not option.negated:
                self.proto = _protocol_or_none(option.value)

    def _match(self, name: str, span: tuple[int, int] | tuple[()]) -> None:
        known = MATCHES.get(name)
        options_of = None if known is None else known.options
        clause = Clause(name, self.words, options_of, repeats=known is not None and known.repeats)
        if span:
            clause.spans.append(span)
        self.clauses.append(clause)
        # Options of a target stay with it where a person writes its match behind it.
        self._current = clause

    # ---- meaning --------------------------------------------------------------------------------------------------

    def parts(self, header: Header, chains: t.Container[str], text: str) -> Parts:
        """Give what the rule asks and does; ``chains`` are those that it can jump to, ``text`` is the whole rule."""
        found: list[Condition | Effect] = [
            part
            for name, option in self.header.items()
            for part in _asked(name, option.value if option.values else "", option.negated, header.family)
        ]
        for clause in self.clauses:
            found += conditions(clause, header)
            found += [Unknowable(item) for item in clause.strange]
        found += [Unknowable(item) for item in self.strange]
        target = self.target
        if target is not None:
            found += self._effects(target, chains, header.family)
        elif self._mangled:
            # What nobody understands may have been what the rule does.
            found.append(Opaque(text))
        return tuple(found)

    @property
    def _mangled(self) -> bool:
        return bool(self.strange) or any(clause.strange for clause in self.clauses)

    def _effects(self, target: Clause, chains: t.Container[str], family: int) -> t.Sequence[Effect]:
        if target.name in chains and target.name not in _VERDICTS:
            # A chain and a target never share a name: tools refuse it.
            return (
                (Opaque(target.text),) if len(target.spans) > 1 or target.strange else (Jump(target.name, self.goto),)
            )
        return (Opaque(target.text),) if self.goto else effects(target, family)


def _protocol_or_none(text: str) -> int | None:
    try:
        return protocol(text) or None
    except ValueError:
        return None


@lru_cache(maxsize=8192)
def _asked(name: str, value: str, negated: bool, family: int) -> tuple[Condition, ...]:
    """Read what iptables itself asks of a packet."""
    try:
        return _READ[name](value, negated, family)
    except ValueError:
        return (Unknowable(shown([*(["!"] if negated else []), name, value])),)


def _address(field: t.Literal["src", "dst"]) -> t.Callable[[str, bool, int], tuple[Condition, ...]]:
    return lambda value, negated, family: (Within(field, addresses(value, family), negated),)


def _interface(field: t.Literal["iif", "oif"]) -> t.Callable[[str, bool, int], tuple[Condition, ...]]:
    def read(value: str, negated: bool, family: int) -> tuple[Condition, ...]:
        if value.endswith("+"):
            return (Interface(field, prefixes=(value[:-1],), negated=negated),)
        return (Interface(field, frozenset({value}), negated=negated),)

    return read


def _proto(value: str, negated: bool, family: int) -> tuple[Condition, ...]:
    found = protocol(value)
    if not found:
        return (Never("! -p all"),) if negated else ()
    return (Within("proto", IntSet.of(found), negated),)


def _only_in(meant: int) -> t.Callable[[str, bool, int], tuple[Condition, ...]]:
    return lambda value, negated, family: () if family == meant else (Never(f"only in IPv{meant}"),)


def _fragments(value: str, negated: bool, family: int) -> tuple[Condition, ...]:
    # The packets of this model are whole, as conntrack makes them before any rule sees them.
    return () if negated else (Never("-f"),)


_READ: dict[str, t.Callable[[str, bool, int], tuple[Condition, ...]]] = {
    "-s": _address("src"),
    "-d": _address("dst"),
    "-i": _interface("iif"),
    "-o": _interface("oif"),
    "-p": _proto,
    "-f": _fragments,
    "-4": _only_in(4),
    "-6": _only_in(6),
}
