# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Reads nested options strictly: every refusal names the place and the value, and says what would be right.

Ansible checks the shape of plain options only; its messages for nested ones do not say which of twenty entries is
meant, and for lists that mix texts and dictionaries it checks nothing.
"""

from __future__ import annotations

import ipaddress
import typing as t

from .errors import CoreError

YES = frozenset({"yes", "true", "on", "y", "t", "1"})
NO = frozenset({"no", "false", "off", "n", "f", "0"})


def invalid(place: str, found: str, cure: str) -> CoreError:
    """Make the refusal of one option; the three parts read as two sentences."""
    return CoreError(f"{place} {found}.", hint=cure, reason_code="invalid_option")


def kind(value: t.Any) -> str:
    """Describe a value that is not of the wanted shape."""
    if value is None:
        return "nothing"
    if isinstance(value, t.Mapping):
        return "a dictionary"
    if isinstance(value, (list, tuple)):
        return "a list"
    return f"the text {value!r}" if isinstance(value, str) else repr(value)


def mapping(value: t.Any, place: str, keys: t.Collection[str] | None = None) -> dict[str, t.Any]:
    """Read a dictionary; keys whose value is null count as not given."""
    if not isinstance(value, t.Mapping):
        raise invalid(place, f"is {kind(value)}", "Give a dictionary.")
    unknown = sorted(str(key) for key in value if keys is not None and key not in keys)
    if unknown:
        raise invalid(place, f"has the unknown key {unknown[0]!r}", f"Known are: {', '.join(sorted(keys or ()))}.")
    return {str(key): item for key, item in value.items() if item is not None}


def items(value: t.Any, place: str) -> list[t.Any]:
    """Read a list."""
    if not isinstance(value, (list, tuple)):
        raise invalid(place, f"is {kind(value)}", "Give a list.")
    return list(value)


def text(value: t.Any, place: str) -> str:
    """Read a text that is not empty; numbers are taken as they are written."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise invalid(place, f"is {kind(value)}", "Give a text.")
    if not str(value).strip():
        raise invalid(place, "is an empty text", "Give a value, or leave the key out.")
    return str(value)


def texts(value: t.Any, place: str) -> tuple[str, ...]:
    """Read a list of texts, without repetitions."""
    found = [text(item, f"{place}[{number}]") for number, item in enumerate(items(value, place))]
    return tuple(dict.fromkeys(found))


def flag(value: t.Any, place: str) -> bool:
    """Read a boolean, in any of the spellings that Ansible takes."""
    if isinstance(value, bool):
        return value
    word = str(value).lower()
    if isinstance(value, (str, int)) and word in YES | NO:
        return word in YES
    raise invalid(place, f"is {kind(value)}", "Give true or false.")


def choice(value: t.Any, place: str, choices: t.Collection[str]) -> str:
    """Read one of some words."""
    word = text(value, place)
    if word not in choices:
        raise invalid(place, f"is {word!r}", f"Give one of: {', '.join(sorted(choices))}.")
    return word


def number(value: t.Any, place: str, low: int, high: int) -> int:
    """Read a whole number in a range."""
    digits = str(value)
    if isinstance(value, bool) or not (digits.isascii() and digits.isdigit()) or not low <= int(digits) <= high:
        raise invalid(place, f"is {kind(value)}", f"Give a whole number from {low} to {high}.")
    return int(digits)


def settings(value: t.Any, place: str) -> dict[str, str]:
    """Read names with plain values, as text, the way Docker keeps labels and driver options."""
    found = {}
    for key, item in mapping(value, place).items():
        if isinstance(item, bool):
            found[key] = "true" if item else "false"
        elif isinstance(item, (str, int, float)):
            found[key] = str(item)
        else:
            raise invalid(f"{place}.{key}", f"is {kind(item)}", "Give a text, a number or true or false.")
    return found


def address(value: t.Any, place: str, version: int | None = None) -> str:
    """Read an IP address into its shortest form."""
    word = text(value, place)
    try:
        found = ipaddress.ip_address(word)
    except ValueError:
        found = None
    if found is None or (version is not None and found.version != version):
        raise invalid(place, f"is {word!r}, which is no {_family(version)} address", "Give an address without prefix.")
    return str(found)


def network(value: t.Any, place: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Read a subnet in CIDR form whose host bits are zero."""
    word = text(value, place)
    try:
        found = ipaddress.ip_network(word, strict=False)
    except ValueError:
        found = None
    if found is None or "/" not in word:
        raise invalid(place, f"is {word!r}, which is no subnet", "Give one such as 172.30.0.0/24 or fd00:30::/64.")
    try:
        return ipaddress.ip_network(word)
    except ValueError:
        # Engines below 25 take it and make something else of it, later ones refuse it.
        raise invalid(place, f"is {word!r}, an address inside a subnet", f"The subnet itself is {found}.") from None


def _family(version: int | None) -> str:
    return "IP" if version is None else f"IPv{version}"
