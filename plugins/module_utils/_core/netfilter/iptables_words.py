# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""A line of ``iptables-save`` as words, and the numbers, ports and addresses that words stand for.

Everything here raises ValueError for what it does not understand.
"""

from __future__ import annotations

import re
import typing as t
from functools import lru_cache

from ..guard_table import printable
from . import sets
from .packet import PROTOCOLS
from .sets import IntSet

MARKS = 0xFFFFFFFF


class Quoted(str):
    """A word that stood in quotes: never an option, whatever it says."""

    __slots__ = ()


class Unclosed(ValueError):
    """A quotation does not end on this line; ``start`` is the place of its first sign."""

    def __init__(self, start: int) -> None:
        super().__init__("a quotation does not end")
        self.start = start


# The tools write quotes around a whole word; a quote within a word is part of it (a chain may be named so).
_INSIDE = r'(?:[^"\\]|\\.)*'
_WORD = re.compile(rf'[ \t]*(?:"({_INSIDE})"(?![^ \t])|([^" \t][^ \t]*))', re.DOTALL)
#: Lines whose quotes all stand around whole words, as nearly all do: they can be taken apart in one go.
_PLAIN = re.compile(rf'[^"]*(?:(?<![^ \t])"{_INSIDE}"(?![^ \t])[^"]*)*', re.DOTALL)
_PLAIN_WORD = re.compile(rf'"({_INSIDE})"|([^" \t]+)', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_SPACES = re.compile("[ \t]+")


def words_of(line: str) -> list[str]:
    """Take a line apart; a word that was in quotes is a :class:`Quoted`."""
    if '"' not in line:
        # Of all white space only these two part words, while str.split() knows many; it is four times as fast.
        return line.split() if line.isprintable() else [word for word in _SPACES.split(line) if word]
    if _PLAIN.fullmatch(line):
        return [plain or _quoted(inside) for inside, plain in _PLAIN_WORD.findall(line)]
    found: list[str] = []
    place = 0
    line = line.rstrip(" \t")
    while place < len(line):
        match = _WORD.match(line, place)
        if match is None:
            start = line.index('"', place)
            if _CLOSING.match(line, start + 1) is None:
                raise Unclosed(start)
            raise ValueError("a quotation ends within a word")
        found.append(match.group(2) or _quoted(match.group(1)))
        place = match.end()
    return found


def _quoted(inside: str) -> Quoted:
    return Quoted(_ESCAPED.sub(r"\1", inside) if "\\" in inside else inside)


_CLOSING = re.compile(rf'{_INSIDE}"', re.DOTALL)


def opened(line: str) -> int:
    """Find where a quotation begins that does not end on this line; -1 when there is none."""
    if '"' not in line or _PLAIN.fullmatch(line):
        return -1
    try:
        words_of(line)
    except Unclosed as error:
        return error.start
    except ValueError:
        pass
    return -1


def shown(words: t.Iterable[str]) -> str:
    """Write words as a line that a person can read."""
    return on_one_line(" ".join(f'"{word}"' if isinstance(word, Quoted) else word for word in words))


def on_one_line(text: str) -> str:
    """Show control characters, line breaks too, as escapes."""
    return text if text.isprintable() else printable(text).replace("\n", "\\n")


# ---- values -------------------------------------------------------------------------------------------------------


def decimal(text: str) -> int:
    """Read a number as the tools print it."""
    # int() alone would also take signs, spaces, underscores and the digits of other scripts.
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is no number")
    return int(text)


def number(text: str, most: int = MARKS) -> int:
    """Read a number as C does: ``0x`` is hexadecimal, a leading zero octal."""
    if text[:2] in ("0x", "0X"):
        if not re.fullmatch("[0-9A-Fa-f]{1,16}", text[2:]):
            raise ValueError(f"{text!r} is no number")
        found = int(text[2:], 16)
    else:
        found = decimal(text)
        if text[0] == "0":
            found = int(text, 8)
    if found > most:
        raise ValueError(f"{text!r} is too large")
    return found


def masked(text: str) -> tuple[int, int]:
    """Read ``value`` or ``value/mask``: (value, mask)."""
    value, slash, mask = text.partition("/")
    return number(value), number(mask) if slash else MARKS


def between(text: str, mark: str, most: int) -> tuple[int, int]:
    """Read ``first MARK last`` or one number; what is left out at an end goes to that end."""
    first, found, last = text.partition(mark)
    if not found:
        low = high = decimal(first)
    else:
        low, high = decimal(first) if first else 0, decimal(last) if last else most
    if low > high or high > most:
        raise ValueError(f"{text!r} is no range")
    return low, high


@lru_cache(maxsize=8192)
def ports(text: str) -> IntSet:
    """Read ports as ``80``, ``80:90``, ``:90`` or ``80:``."""
    return IntSet([between(text, ":", 65535)])


@lru_cache(maxsize=1024)
def port_list(text: str) -> IntSet:
    """Read several of what :func:`ports` reads, with commas between them."""
    return IntSet([between(item, ":", 65535) for item in text.split(",")])


@lru_cache(maxsize=8192)
def addresses(text: str, family: int) -> IntSet:
    """Read an address or prefix of one family."""
    found, values = sets.network(text)
    if found != family:
        raise ValueError(f"{text!r} is an address of another family")
    return values


@lru_cache(maxsize=1024)
def span(text: str, family: int) -> IntSet:
    """Read ``first-last`` of one family."""
    found, values = sets.span(text)
    if found != family:
        raise ValueError(f"{text!r} is an address of another family")
    return values


# The tools print the names that /etc/protocols has for a number; these are Debian's beyond those of ``packet``.
_MORE_PROTOCOLS = {
    "ip": 0, "hopopt": 0, "all": 0, "ggp": 3, "st": 5, "egp": 8, "igp": 9, "pup": 12, "hmp": 20, "xns-idp": 22,
    "rdp": 27, "iso-tp4": 29, "xtp": 36, "ddp": 37, "idpr-cmtp": 38, "ipv6-route": 43, "ipv6-frag": 44, "idrp": 45,
    "rsvp": 46, "skip": 57, "ipv6-nonxt": 59, "ipv6-opts": 60, "rspf": 73, "vmtp": 81, "eigrp": 88, "ospf": 89,
    "ospfigp": 89, "ax.25": 93, "etherip": 97, "encap": 98, "pim": 103, "ipcomp": 108, "l2tp": 115, "isis": 124,
    "fc": 133, "ipv6-mh": 135, "mh": 135, "mobility-header": 135, "mpls-in-ip": 137, "manet": 138, "hip": 139,
    "shim6": 140, "wesp": 141, "rohc": 142, "ethernet": 143,
}  # fmt: skip


@lru_cache(maxsize=512)
def protocol(text: str) -> int:
    """Read a protocol's name or number; 0 is any."""
    name = text.lower()
    found = PROTOCOLS.get(name, _MORE_PROTOCOLS.get(name))
    return number(text, 255) if found is None else found
