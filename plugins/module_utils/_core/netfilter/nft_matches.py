# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Comparisons, sets and maps of nftables: what of a packet they ask for, and what each answer leads to."""

from __future__ import annotations

import typing as t

from . import nft_values as values
from .nft_expressions import Place, keys_of
from .nft_keys import Conditions, Key, Link, Number, sides
from .nft_values import Json, NotUnderstood
from .nft_word_keys import Foreign
from .ruleset import Condition, Effect, Lookup, Switch, Unknowable, VerdictMap
from .sets import IntSet, everything

Element = tuple[t.Union[IntSet, frozenset[str]], ...]

#: A key that can be a field of a set: a whole number or an interface.
FieldKey = t.Union[Number, Link]


def match(value: Json, place: Place, text: str) -> Conditions:
    """Read a ``match`` statement. What is not understood becomes an ``Unknowable`` behind what is."""
    if not isinstance(value, dict):
        return (Unknowable(text),)
    left, right, op = value.get("left"), value.get("right"), value.get("op")
    try:
        found = keys_of(left, place)
    except NotUnderstood:
        return (Unknowable(text),)
    guards = guards_of(found)
    try:
        if not isinstance(op, str):
            raise NotUnderstood(op)
        return guards + _compared(found, op, right, place)
    except NotUnderstood:
        foreign = next((key for key in found if isinstance(key, Foreign)), Foreign())
        return (*guards, foreign.unanswered(text))


def guards_of(found: t.Iterable[Key]) -> Conditions:
    """Give what a packet is that has all of these."""
    return tuple(dict.fromkeys(guard for key in found for guard in key.guards))


def _compared(found: list[Key], op: str, right: Json, place: Place) -> Conditions:
    if isinstance(right, str) and right[:1] == "@":
        return contained(found, elements_of(right, place), sides(op), place, name=right)
    if len(found) == 1:
        return found[0].conditions(op, right)
    return contained(found, values.items(right), sides(op), place)


# ---- sets ---------------------------------------------------------------------------------------------------------


def elements_of(name: str, place: Place) -> list[Json]:
    """Give the elements (of a map: its pairs) of a named set as the listing has them. Raises NotUnderstood."""
    found = object_named(name, place).get("elem", [])
    if not isinstance(found, list):
        raise NotUnderstood(name)
    return found


def object_named(name: str, place: Place) -> dict[str, Json]:
    """Find a set or map by its name with the ``@``. Raises NotUnderstood."""
    found = place.objects.get(("set", name[1:])) or place.objects.get(("map", name[1:]))
    if not isinstance(found, dict):
        raise NotUnderstood(name)
    return found


def is_filled(name: str, place: Place) -> bool:
    """Tell whether rules, or time, change what is in a named set."""
    if not name:
        return False
    flags = values.flags_of(object_named(name, place))
    return name[1:] in place.filled or not flags.isdisjoint({"dynamic", "timeout"})


def contained(
    found: list[Key], listed: list[Json], negated: bool, place: Place, *, name: str = "", keys_only: bool = False
) -> Conditions:
    """Ask whether these keys, together, are an element of a set; ``keys_only`` takes the keys of a map's pairs.

    Raises NotUnderstood.
    """
    fields = as_fields(found)
    filled = is_filled(name, place)
    if negated and any(isinstance(key, Number) and key.blind for key in found):
        raise NotUnderstood(name)
    if fields is not None:
        elements = _remembered(fields, listed, name, place, keys_only=keys_only)
        return (Lookup(tuple(key.field for key in fields), elements, negated, name[1:], filled),)
    if keys_only:
        listed = [values.pair(item)[0] for item in listed]
    if filled:
        raise NotUnderstood(name)
    if len(found) == 1:
        return found[0].conditions("!=" if negated else "==", {"set": listed})
    if len(listed) != 1 or negated:
        raise NotUnderstood(listed)
    return _all_fit(found, listed[0])


def as_fields(found: list[Key]) -> list[FieldKey] | None:
    """Give the keys as fields of a set; None when one of them is not a number or interface as it stands."""
    fields = [key for key in found if isinstance(key, (Number, Link)) and key.whole]
    return fields if len(fields) == len(found) else None


def _remembered(
    fields: list[FieldKey], listed: list[Json], name: str, place: Place, *, keys_only: bool
) -> tuple[Element, ...]:
    """Read elements; those of a named set once only, however many rules ask it."""
    if not name:
        return _elements(fields, listed, keys_only=keys_only)
    key = (name, tuple(fields))
    if key not in place.read:
        place.read[key] = _elements(fields, listed, keys_only=keys_only)
    return t.cast("tuple[Element, ...]", place.read[key])


def _elements(fields: list[FieldKey], listed: list[Json], *, keys_only: bool) -> tuple[Element, ...]:
    read = [element_of(fields, values.pair(item)[0] if keys_only else item) for item in listed]
    if len(fields) != 1 or len(read) < 2:
        return tuple(read)
    # One field: all elements together are one.
    key = fields[0]
    if isinstance(key, Link):
        return ((frozenset(name for part in read for name in t.cast("frozenset[str]", part[0])),),)
    return ((key.few(IntSet(pair for part in read for pair in t.cast("IntSet", part[0]).ranges)),),)


def element_of(fields: list[FieldKey], item: Json) -> Element:
    """Read one element of a set or the key of a map's pair. Raises NotUnderstood."""
    item = values.unwrapped(item)
    if item == "*":
        return tuple(_anything(key) for key in fields)
    if len(fields) == 1 and isinstance(fields[0], Number):
        return (fields[0].few(fields[0].numbers(item)),)
    parts = _parts(item, len(fields))
    return tuple(key.numbers(part) if isinstance(key, Number) else key.names(part) for key, part in zip(fields, parts))


def _parts(item: Json, count: int) -> list[Json]:
    item = values.unwrapped(item)
    if count == 1:
        return [item]
    parts = item.get("concat") if isinstance(item, dict) else None
    if not isinstance(parts, list) or len(parts) != count:
        raise NotUnderstood(item)
    return parts


def _anything(key: FieldKey) -> IntSet | frozenset[str]:
    return key.few(everything(key.width)) if isinstance(key, Number) else frozenset({"*"})


def _all_fit(found: list[Key], item: Json) -> Conditions:
    """Ask each key for its part of an element."""
    if values.unwrapped(item) == "*":
        return ()
    conditions: list[Condition] = []
    for key, part in zip(found, _parts(item, len(found))):
        conditions += key.conditions("==", part)
    return tuple(conditions)


def _may_fit(found: list[Key], item: Json, text: str) -> Conditions:
    """Ask each key for its part of an element; of a key that is not known the answer is not either."""
    foreign = tuple(key.unanswered(text) for key in found if isinstance(key, Foreign))
    if values.unwrapped(item) == "*":
        return foreign
    parts = [(key, part) for key, part in zip(found, _parts(item, len(found))) if not isinstance(key, Foreign)]
    return (*(condition for key, part in parts for condition in key.conditions("==", part)), *foreign)


# ---- maps ---------------------------------------------------------------------------------------------------------


def map_of(value: Json, place: Place) -> tuple[list[Key], list[Json], str]:
    """Read what a map is asked for: keys, its pairs as the listing has them, and its name (``@...``) if it has one.

    Raises NotUnderstood.
    """
    if not isinstance(value, dict):
        raise NotUnderstood(value)
    data = value.get("data")
    if isinstance(data, str) and data[:1] == "@":
        return keys_of(value.get("key"), place), elements_of(data, place), data
    if not isinstance(data, dict) or not isinstance(data.get("set"), list):
        raise NotUnderstood(data)
    return keys_of(value.get("key"), place), data["set"], ""


def in_map(value: Json, place: Place) -> Conditions:
    """Ask whether a map has an answer at all. Raises NotUnderstood."""
    found, pairs, name = map_of(value, place)
    return guards_of(found) + contained(found, pairs, False, place, name=name, keys_only=True)


def chosen(
    value: Json, place: Place, effect_of: t.Callable[[Json], Effect], text: str
) -> tuple[Condition | Effect, ...]:
    """Read a map whose answers are effects; ``text`` is the whole statement. Raises NotUnderstood."""
    found, pairs, name = map_of(value, place)
    listed = [values.pair(item) for item in pairs]
    # The entry for everything else comes into play last, wherever it is listed.
    listed.sort(key=lambda item: values.unwrapped(item[0]) == "*")
    filled = is_filled(name, place)
    fields = as_fields(found)
    if fields is not None:
        entries = tuple((element_of(fields, key), effect_of(data)) for key, data in listed)
        names = tuple(key.field for key in fields)
        return (*guards_of(found), VerdictMap(names, entries, name[1:], filled))
    unsure = (Unknowable(text),) if filled else ()
    cases = tuple(((*_may_fit(found, key, text), *unsure), effect_of(data)) for key, data in listed)
    return (*guards_of(found), Switch(cases, name[1:]))


def read_key(value: Json, place: Place) -> tuple[Conditions, bool]:
    """Read the key that a rule adds to a set: its guards, and whether every packet behind them has it."""
    try:
        found = keys_of(values.unwrapped(value), place)
    except NotUnderstood:
        return (), False
    return guards_of(found), not any(isinstance(key, Foreign) and not key.sure for key in found)
