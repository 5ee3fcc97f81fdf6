# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""What ``ipset save`` prints, as the elements that ``Host.ipsets`` wants."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

#: Parts of an element that this model can compare with a packet.
_KNOWN = frozenset({"ip", "net", "port", "iface"})


@dataclass
class _Set:
    kind: str
    options: t.Mapping[str, str]
    elements: list[str] = field(default_factory=list)


def parse(text: str) -> dict[str, tuple[str, ...]]:
    """Read ``ipset save``: elements by the name of the set, as ``CIDR``, ``CIDR,tcp:port``, ``CIDR,eth0``, ...

    An exception is followed by `` nomatch``. A set whose elements cannot be told is left out (MAC addresses, marks,
    masks that are no prefix, lists of such sets), so that what asks for it is unknown. Never raises on any text.
    """
    sets: dict[str, _Set] = {}
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["create"] and len(words) > 2:
            sets[words[1]] = _Set(words[2], dict(zip(words[3:], words[4:])))
        elif words[:1] == ["add"] and len(words) > 2 and words[1] in sets:
            # A comment is quoted and comes last, and may say anything.
            exception = " nomatch" if "nomatch" in line.partition('"')[0].split()[3:] else ""
            sets[words[1]].elements.append(words[2] + exception)
    found = {name: _elements(one, sets) for name, one in sets.items()}
    return {name: elements for name, elements in found.items() if elements is not None}


def _elements(one: _Set, sets: t.Mapping[str, _Set]) -> tuple[str, ...] | None:
    method, _colon, parts = one.kind.partition(":")
    if method == "list":
        return _members(one, sets)
    if set(parts.split(",")) - _KNOWN or "bitmask" in one.options:
        return None
    if "netmask" not in one.options:
        return tuple(one.elements)
    length = one.options["netmask"]
    if not length.isdigit():
        return None
    return tuple(_masked(element, length) for element in one.elements)


def _masked(element: str, length: str) -> str:
    """Write the mask of the whole set into an element: ``192.0.2.0`` in a set of /24 stands for all of it."""
    address, comma, rest = element.partition(",")
    return element if "/" in address else f"{address}/{length}{comma}{rest}"


def _members(one: _Set, sets: t.Mapping[str, _Set]) -> tuple[str, ...] | None:
    """Put the members of a list together; None when one is not known, or has exceptions that end with it."""
    found: list[str] = []
    for name in one.elements:
        member = sets.get(name)
        elements = _elements(member, sets) if member and not member.kind.startswith("list") else None
        if elements is None or any(element.endswith(" nomatch") for element in elements):
            return None
        found += elements
    return tuple(found)
