# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""The statements of nftables: what a rule does when its conditions hold, and what of it is one more condition."""

from __future__ import annotations

import typing as t

from . import nft_marks, nft_matches
from . import nft_values as values
from .nft_expressions import Place, family_guard, key_of, protocol_guard
from .nft_keys import WITHOUT_CONNECTION, Conditions
from .nft_matches import chosen, in_map
from .nft_values import Json, NotUnderstood
from .nft_word_keys import Foreign
from .ruleset import (
    Condition,
    Effect,
    Jump,
    Nat,
    Note,
    Opaque,
    Rate,
    SetMark,
    Unknowable,
    Untrack,
    Verdict,
)

Parts = tuple[t.Union[Condition, Effect], ...]
Reader = t.Callable[[Json, Place, str], Parts]


def statement(name: str, value: Json, place: Place, text: str) -> Parts:
    """Read one statement; ``text`` is how a person would write it. What is not understood becomes an ``Opaque``."""
    read = _READERS.get(name)
    if read is None:
        return (Opaque(text),)
    try:
        return read(value, place, text)
    except NotUnderstood:
        return (Opaque(text),)


# ---- verdicts -----------------------------------------------------------------------------------------------------


def verdict(value: Json) -> Effect:
    """Read the answer of a verdict map. Raises NotUnderstood."""
    if isinstance(value, dict) and len(value) == 1:
        ((word, inner),) = value.items()
        if word in _WORDS:
            return _WORDS[word]
        if word in ("jump", "goto"):
            return _jump_to(inner, goto=word == "goto")
    raise NotUnderstood(value)


_WORDS: dict[str, Effect] = {
    "accept": Verdict("accept"),
    "drop": Verdict("drop"),
    "return": Verdict("return"),
    "continue": Verdict("continue"),
}


def _jump_to(inner: Json, *, goto: bool) -> Jump:
    target = inner.get("target") if isinstance(inner, dict) else None
    if not isinstance(target, str):
        raise NotUnderstood(inner)
    return Jump(target, goto)


def _word(name: str) -> Reader:
    made: Parts = (_WORDS[name],)
    return lambda value, place, text: made


def _jump(value: Json, place: Place, text: str) -> Parts:
    return (_jump_to(value, goto=False),)


def _goto(value: Json, place: Place, text: str) -> Parts:
    return (_jump_to(value, goto=True),)


def _reject(value: Json, place: Place, text: str) -> Parts:
    kind = value.get("type") if isinstance(value, dict) else None
    guards: Conditions = ()
    if kind == "tcp reset":
        guards = protocol_guard("tcp")
    elif kind in ("icmp", "icmpv6"):
        guards = family_guard(place.family, 4 if kind == "icmp" else 6)
    return (*guards, Verdict("reject"))


def _vmap(value: Json, place: Place, text: str) -> Parts:
    return chosen(value, place, verdict, text)


# ---- how much came before -----------------------------------------------------------------------------------------


def _match(value: Json, place: Place, text: str) -> Parts:
    return nft_matches.match(value, place, text)


def _limit(value: Json, place: Place, text: str) -> Parts:
    if _map_in(value):
        return (*in_map(_map_in(value), place), Rate(text))
    found = place.objects.get(("limit", value)) if isinstance(value, str) else value
    return (Rate(text, _calm(found)),)


#: A rate of fewer bytes than the largest packet has may refuse the first one.
_LARGEST_PACKET = 65535
_BYTES = {"bytes": 1, "kbytes": 1024, "mbytes": 1024**2, "gbytes": 1024**3}


def _calm(found: Json) -> bool | None:
    """Tell whether a limit lets the first packet after silence fit; None when that is not known."""
    if not isinstance(found, dict):
        return None
    unit = found.get("rate_unit", "packets")
    if unit != "packets":
        rate = found.get("rate")
        if not isinstance(rate, int) or rate * _BYTES.get(str(unit), 0) < _LARGEST_PACKET:
            return None
    return not found.get("inv")


def _quota(value: Json, place: Place, text: str) -> Parts:
    return (*(in_map(_map_in(value), place) if _map_in(value) else ()), Rate(text))


def _count(value: Json, place: Place, text: str) -> Parts:
    if not isinstance(value, dict) or not values.whole(value.get("val")):
        return (Rate(text),)
    return (Rate(text, not value.get("inv")),)


def _map_in(value: Json) -> Json:
    """Give the map that stands where a value could; None when it is none."""
    return value["map"] if isinstance(value, dict) and set(value) == {"map"} else None


def _object(value: Json, place: Place, text: str) -> Parts:
    """Read the use of something that changes nothing for this packet; picked by a map that may have no answer."""
    return (*(in_map(_map_in(value), place) if _map_in(value) else ()), Note(text))


def _counter(value: Json, place: Place, text: str) -> Parts:
    return in_map(_map_in(value), place) if _map_in(value) else ()


# ---- sets that rules fill -----------------------------------------------------------------------------------------


def _add(value: Json, place: Place, text: str) -> Parts:
    if not isinstance(value, dict):
        raise NotUnderstood(value)
    parts: list[Condition | Effect] = []
    guards, sure = nft_matches.read_key(value["elem"] if "elem" in value else value.get("key"), place)
    parts += guards
    if not sure:
        parts.append(Unknowable(text))
    parts.append(Note(text))
    nested = value.get("stmt", [])
    for item in nested if isinstance(nested, list) else [nested]:
        if not isinstance(item, dict) or len(item) != 1:
            raise NotUnderstood(item)
        ((name, inner),) = item.items()
        parts += statement(str(name), inner, place, text)
    return tuple(parts)


# ---- address translation ------------------------------------------------------------------------------------------

_NAT_KINDS: dict[str, t.Literal["snat", "dnat"]] = {
    "snat": "snat",
    "masquerade": "snat",
    "dnat": "dnat",
    "redirect": "dnat",
}


def _nat(name: str) -> Reader:
    kind = _NAT_KINDS[name]
    to_interface = name in ("masquerade", "redirect")

    def read(value: Json, place: Place, text: str) -> Parts:
        value = {} if value is None else value
        if not isinstance(value, dict):
            raise NotUnderstood(value)
        address, ports = value.get("addr"), value.get("port")
        exact = values.flags_of(value) <= {"persistent", "netmap"}
        version = _version(value, address, place)

        def made(place_to: Json, port: Json) -> Nat:
            return Nat(
                kind,
                None if place_to is None else values.target_addresses(place_to, _known(version)),
                None if port is None else values.target_ports(port),
                to_interface,
                exact,
            )

        guards = () if version is None else family_guard(place.family, version)
        by_address, by_port = _map_in(address), _map_in(ports)
        if by_address:
            return (*guards, *chosen(by_address, place, lambda data: made(*_both(data, ports)), text))
        if by_port:
            return (*guards, *chosen(by_port, place, lambda data: made(address, data), text))
        return (*guards, made(address, ports))

    return read


def _both(data: Json, ports: Json) -> tuple[Json, Json]:
    """Give address and port of a map's answer; a port that stands behind the map counts for all of them."""
    data = values.unwrapped(data)
    if isinstance(data, dict) and set(data) == {"concat"}:
        return values.pair(data["concat"])
    return data, ports


def _version(value: dict[str, Json], address: Json, place: Place) -> int | None:
    """Find out of which family the addresses are that are rewritten to."""
    named = value.get("family", place.family)
    if isinstance(named, str) and named in values.FAMILIES:
        return values.FAMILIES[named]
    return (6 if ":" in address else 4) if isinstance(address, str) else None


def _known(version: int | None) -> int:
    if version is None:
        raise NotUnderstood(version)
    return version


# ---- what rewrites ------------------------------------------------------------------------------------------------

#: Fields whose change moves no packet elsewhere.
_HARMLESS_FIELDS = frozenset({"dscp", "ecn", "flowlabel", "priority"})
_HARMLESS_METAS = frozenset({"nftrace", "priority", "secmark"})
_HARMLESS_CONNECTIONS = frozenset({"event", "label", "helper", "timeout", "secmark"})


def _mangle(value: Json, place: Place, text: str) -> Parts:
    if not isinstance(value, dict) or not isinstance(value.get("key"), dict) or len(value["key"]) != 1:
        raise NotUnderstood(value)
    ((kind, inner),) = value["key"].items()
    name = str(inner.get("key", "")) if isinstance(inner, dict) else ""
    if kind in ("meta", "ct") and name == "mark":
        return _mark("mark" if kind == "meta" else "ctmark", value.get("value"), place, text)
    harmless = {"meta": _HARMLESS_METAS, "ct": _HARMLESS_CONNECTIONS}.get(kind, frozenset())
    if name in harmless:
        return (Note(text),)
    if kind == "payload":
        return _header(value, place, text)
    # The largest segment and its like.
    return (*key_of(value["key"], place).guards, Note(text)) if kind == "tcp option" else (Opaque(text),)


def _mark(to: nft_marks.Mark, value: Json, place: Place, text: str) -> Parts:
    if _map_in(value):
        return chosen(_map_in(value), place, lambda data: _one_mark(to, data), text)
    written = nft_marks.rewritten(to, value)
    return (WITHOUT_CONNECTION, *written) if nft_marks.reads_connection(value) else written


def _one_mark(to: nft_marks.Mark, data: Json) -> SetMark:
    found = nft_marks.rewritten(to, values.unwrapped(data))
    if len(found) != 1 or not isinstance(found[0], SetMark):
        raise NotUnderstood(data)
    return found[0]


def _header(value: dict[str, Json], place: Place, text: str) -> Parts:
    key = key_of(value["key"], place)
    inner = value["key"]["payload"]
    name = inner.get("field") if isinstance(inner, dict) else None
    if isinstance(key, Foreign) and not key.sure:
        return (Opaque(text),)
    if name in _HARMLESS_FIELDS:
        return (*key.guards, Note(text))
    if name in ("ttl", "hoplimit"):
        # One hop left is one too few for a packet that goes on.
        new = value.get("value")
        few = not isinstance(new, int) or new < 2
        return (*key.guards, Opaque(text, rewrites=False) if few else Note(text))
    return (*key.guards, Opaque(text))


# ---- the rest -----------------------------------------------------------------------------------------------------


def _note(value: Json, place: Place, text: str) -> Parts:
    return (Note(text),)


def _nothing(value: Json, place: Place, text: str) -> Parts:
    return ()


def _untrack(value: Json, place: Place, text: str) -> Parts:
    return (Untrack(),)


def _xt(value: Json, place: Place, text: str) -> Parts:
    """Judge what a program for iptables left in a table: a match of its own, or a target."""
    is_match = isinstance(value, dict) and value.get("type") == "match"
    return (Unknowable(text),) if is_match else (Opaque(text),)


_READERS: dict[str, Reader] = {
    "match": _match,
    "accept": _word("accept"),
    "drop": _word("drop"),
    "return": _word("return"),
    "continue": _word("continue"),
    "jump": _jump,
    "goto": _goto,
    "reject": _reject,
    "vmap": _vmap,
    "counter": _counter,
    "last": _nothing,
    "log": _note,
    "limit": _limit,
    "quota": _quota,
    "ct count": _count,
    "set": _add,
    "map": _add,
    "meter": _add,
    "notrack": _untrack,
    "snat": _nat("snat"),
    "dnat": _nat("dnat"),
    "masquerade": _nat("masquerade"),
    "redirect": _nat("redirect"),
    "mangle": _mangle,
    "dup": _note,
    # A flow that is taken off the rules had to pass them first.
    "flow": _note,
    "ct helper": _object,
    "ct timeout": _object,
    "ct expectation": _object,
    "secmark": _object,
    "reset": _note,
    "xt": _xt,
}
