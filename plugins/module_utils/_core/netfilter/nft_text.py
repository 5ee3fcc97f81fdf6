# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Rules of nftables as people read them: nft's own syntax, made of its JSON."""

from __future__ import annotations

import json
import typing as t

from ..guard_table import printable
from .nft_syntax import PLAIN, QUOTED, Json, expression, mapped, pairs_of, says_equal, styled


def clean(text: str) -> str:
    """Show control characters, line breaks among them, as escapes."""
    return text if text.isprintable() else printable(text).replace("\n", "\\n")


def rule(texts: t.Iterable[str], comment: Json) -> str:
    """Write a rule of its statements' texts and its comment."""
    parts = [text for text in texts if text]
    if isinstance(comment, str) and comment:
        parts.append(clean(f'comment "{comment}"'))
    return " ".join(parts)


def statement(name: str, value: Json) -> str:
    """Write one statement; nothing for an anonymous counter. What is not known is written as JSON. Never raises."""
    write = _STATEMENTS.get(name)
    if write is None:
        return raw(name, value)
    try:
        return clean(write(value))
    except (TypeError, ValueError, KeyError, AttributeError, IndexError, RecursionError):
        return raw(name, value)


def raw(name: str, value: Json) -> str:
    """Write what this module has no syntax for."""
    try:
        shown = value if isinstance(value, str) else json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        shown = "..."
    return clean(name if value is None else f"{name} {shown}".strip())


# ---- statements ---------------------------------------------------------------------------------------------------


def _match(value: Json) -> str:
    left, right, op = value["left"], value["right"], value["op"]
    shown = "" if op == "in" or (op == "==" and not says_equal(left, right)) else f"{op} "
    # Flags that have to be equal as a whole are one number; with commas each of them would be asked for.
    shown_right = styled({"|": right} if shown and op != "!" and isinstance(right, list) else right, left)
    return f"{expression(left)} {shown}{shown_right}"


def _word(name: str) -> t.Callable[[Json], str]:
    return lambda value: name


def _jump(name: str) -> t.Callable[[Json], str]:
    return lambda value: f"{name} {value['target']}"


def _reject(value: Json) -> str:
    if not value or (value["type"].startswith("icmp") and value.get("expr", "port-unreachable") == "port-unreachable"):
        # What nft itself takes where nothing is said depends on the family of the table.
        return "reject" if not value or value["type"] == "icmpx" else f"reject with {value['type']} port-unreachable"
    return f"reject with {value['type']} {value['expr']}" if "expr" in value else f"reject with {value['type']}"


def _vmap(value: Json) -> str:
    return f"{expression(value['key'])} vmap {pairs_of(value)}"


def _used(words: str, *, named: str = "name ") -> t.Callable[[Json], str]:
    """Write the use of an object: by its name, or picked by a map."""

    def write(value: Json) -> str:
        return (
            f'{words} {named}"{value}"' if isinstance(value, str) else f"{words} {named}{mapped(value['map'], QUOTED)}"
        )

    return write


def _counter(value: Json) -> str:
    anonymous = value is None or (isinstance(value, dict) and "map" not in value)
    return "" if anonymous else _used("counter")(value)


def _limit(value: Json) -> str:
    if isinstance(value, str) or "map" in value:
        return _used("limit")(value)
    over = "over " if value.get("inv") else ""
    unit = value.get("rate_unit", "packets")
    rate = f"{value['rate']} {unit}" if unit != "packets" else str(value["rate"])
    burst = f" burst {value['burst']} {value.get('burst_unit', 'packets')}" if value.get("burst") else ""
    return f"limit rate {over}{rate}/{value['per']}{burst}"


def _quota(value: Json) -> str:
    if isinstance(value, str) or "map" in value:
        return _used("quota")(value)
    over = "over " if value.get("inv") else ""
    return f"quota {over}{value['val']} {value['val_unit']}"


def _count(value: Json) -> str:
    return f"ct count {'over ' if value.get('inv') else ''}{value['val']}"


def _log(value: Json) -> str:
    words = ["log"]
    for name in ("prefix", "level", "group", "snaplen", "queue-threshold"):
        if name in (value or {}):
            words.append(f'{name} "{value[name]}"' if name == "prefix" else f"{name} {value[name]}")
    if value and value.get("flags"):
        words.append(f"flags {_listed(value['flags'])}")
    return " ".join(words)


def _listed(flags: Json) -> str:
    return flags if isinstance(flags, str) else ",".join(flags)


def _nat(name: str) -> t.Callable[[Json], str]:
    def write(value: Json) -> str:
        value = value or {}
        words = [name]
        if "family" in value:
            words.append(value["family"])
        if "prefix" in _listed(value.get("type_flags", "")):
            words.append("prefix")
        target = _destination(value)
        if target:
            words += ["to", target]
        flags = [flag for flag in _listed(value.get("flags", "")).split(",") if flag and flag != "netmap"]
        return " ".join(words + ([",".join(flags)] if flags else []))

    return write


def _destination(value: Json) -> str:
    place = expression(value["addr"]) if "addr" in value else ""
    if "port" not in value:
        return place
    if isinstance(value.get("addr"), str) and ":" in place:
        place = f"[{place}]"
    return f"{place}:{expression(value['port'])}"


def _mangle(value: Json) -> str:
    key = value["key"]
    return f"{expression(key)} set {styled(value['value'], key)}"


def _add(value: Json) -> str:
    stored = f" : {expression(value['data'])}" if "data" in value else ""
    return (
        f"{value['op']} {value.get('set', value.get('map'))} {{ {expression(value['elem'])}{_nested(value)}{stored} }}"
    )


def _meter(value: Json) -> str:
    return f"meter {value['name']} {{ {expression(value['key'])}{_nested(value)} }}"


def _nested(value: Json) -> str:
    listed = value.get("stmt", [])
    texts = [statement(*next(iter(item.items()))) for item in (listed if isinstance(listed, list) else [listed])]
    return "".join(f" {text}" for text in texts if text)


def _queue(value: Json) -> str:
    value = value or {}
    flags = f" flags {_listed(value['flags'])}" if value.get("flags") else ""
    return f"queue{flags} to {expression(value['num'])}" if "num" in value else f"queue{flags}"


def _dup(value: Json) -> str:
    device = f' device "{value["dev"]}"' if "dev" in value else ""
    place = value["addr"]
    # In a netdev table this is an interface.
    is_name = isinstance(place, str) and "." not in place and ":" not in place
    return f"dup to {expression(place, QUOTED if is_name else PLAIN)}{device}"


def _fwd(value: Json) -> str:
    family = f"{value['family']} " if "family" in value else ""
    place = f"{family}to {expression(value['addr'])} device " if "addr" in value else "to "
    return f'fwd {place}"{value["dev"]}"'


def _tproxy(value: Json) -> str:
    family = f" {value['family']}" if "family" in value else ""
    return f"tproxy{family} to {_destination(value)}"


def _synproxy(value: Json) -> str:
    if isinstance(value, str):
        return _used("synproxy")(value)
    value = value or {}
    words = [f"{name} {value[name]}" for name in ("mss", "wscale") if name in value]
    words += _listed(value.get("flags", "")).split(",")
    return " ".join(["synproxy", *(word for word in words if word)])


def _flow(value: Json) -> str:
    return f"flow {value['op']} {value['flowtable']}"


def _reset(value: Json) -> str:
    return f"reset {expression(value)}"


def _xt(value: Json) -> str:
    return f'xt {value["type"]} "{value["name"]}"'


_STATEMENTS: dict[str, t.Callable[[Json], str]] = {
    "match": _match,
    "vmap": _vmap,
    **{name: _word(name) for name in ("accept", "drop", "return", "continue", "notrack", "last")},
    "jump": _jump("jump"),
    "goto": _jump("goto"),
    "reject": _reject,
    "counter": _counter,
    "limit": _limit,
    "quota": _quota,
    "ct count": _count,
    "log": _log,
    **{name: _nat(name) for name in ("snat", "dnat", "masquerade", "redirect")},
    "mangle": _mangle,
    "set": _add,
    "map": _add,
    "meter": _meter,
    "queue": _queue,
    "dup": _dup,
    "fwd": _fwd,
    "tproxy": _tproxy,
    "synproxy": _synproxy,
    "flow": _flow,
    "reset": _reset,
    "xt": _xt,
    "ct helper": _used("ct helper set", named=""),
    "ct timeout": _used("ct timeout set", named=""),
    "ct expectation": _used("ct expectation set", named=""),
    "secmark": _used("meta secmark set", named=""),
}
