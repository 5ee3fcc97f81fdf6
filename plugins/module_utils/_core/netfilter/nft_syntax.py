# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Expressions of nftables as people read them: nft's own syntax, made of its JSON."""

from __future__ import annotations

import json
import typing as t

from .nft_values import ICMP_TYPES, ICMPV6_TYPES, typeless

Json = t.Any

#: Expressions whose values are numbers that nft writes with all digits in hexadecimal.
_MARKS = ({"meta": {"key": "mark"}}, {"ct": {"key": "mark"}}, {"socket": {"key": "mark"}})

_QUOTED_METAS = frozenset(
    {"iif", "oif", "iifname", "oifname", "iifkind", "oifkind", "iifgroup", "oifgroup", "ibrname", "obrname", "sdif", "sdifname", "bri_iifname",
     "bri_oifname", "day", "hour", "time"}
)  # fmt: skip
_FLAGS = ({"payload": {"protocol": "tcp", "field": "flags"}}, {"ct": {"key": "state"}}, {"ct": {"key": "status"}})
_BARE_METAS = frozenset({"iif", "oif", "iifname", "oifname", "iifgroup", "oifgroup"})

_OPERATORS = frozenset({"&", "|", "^", "<<", ">>"})


class Style(t.NamedTuple):
    """How values of one kind are written; ``names`` have numbers, which ranges are written of."""

    quoted: bool = False
    mark: bool = False
    names: t.Mapping[str, int] = {}


PLAIN = Style()
QUOTED = Style(quoted=True)
_MARK = Style(mark=True)
_ICMP = {
    "icmp": Style(names=ICMP_TYPES),
    "icmpv6": Style(names=ICMPV6_TYPES),
}


def expression(value: Json, style: Style = PLAIN) -> str:
    """Write an expression. Raises what a value of a wrong form raises."""
    if isinstance(value, str):
        number = typeless(value) if value.endswith("]") else None
        value = value if number is None else str(number)
        bare = value[:1] == "@" or value == "*" or value.isdigit()
        return f'"{value}"' if style.quoted and not bare else value
    if isinstance(value, bool):
        return "exists" if value else "missing"
    if isinstance(value, int):
        return f"0x{value:08x}" if style.mark and value >= 0 else str(value)
    if isinstance(value, list):
        return ",".join(expression(item, style) for item in value)
    if isinstance(value, dict) and len(value) == 1:
        ((kind, inner),) = value.items()
        if kind in _OPERATORS:
            style = style if style is not PLAIN else style_of(value)
            return f" {kind} ".join(_operand(item, style, kind) for item in inner)
        write = _EXPRESSIONS.get(kind)
        if write is not None:
            return write(inner, style)
    return json.dumps(value)


def _operand(value: Json, style: Style, operator: str) -> str:
    """Write one side of a bit operation; brackets where another one is inside."""
    text = expression(value, style)
    if isinstance(value, list):
        return f"({' | '.join(expression(item, style) for item in value)})"
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in _OPERATORS:
        inner = next(iter(value))
        # Several flags are one list of them, however they were put together.
        if inner == operator or (inner == "&" and operator == "|"):
            return text
        return f"({text})"
    return text


def style_of(left: Json) -> Style:
    """Tell how values that are compared with this are written."""
    if left in _MARKS:
        return _MARK
    if not isinstance(left, dict) or len(left) != 1:
        return PLAIN
    ((kind, inner),) = left.items()
    if kind in _OPERATORS and isinstance(inner, list) and inner:
        return style_of(inner[0])
    name = inner.get("key") if isinstance(inner, dict) else None
    if kind == "meta" and name in _QUOTED_METAS:
        return QUOTED
    if kind == "payload" and inner.get("field") == "type":
        return _ICMP.get(inner.get("protocol"), PLAIN)
    if (kind == "ct" and name == "helper") or kind == "osf" or (kind == "socket" and name == "cgroupv2"):
        return QUOTED
    return QUOTED if kind == "fib" and inner.get("result") == "oifname" else PLAIN


def styled(value: Json, left: Json) -> str:
    """Write a value that is compared with ``left``; a concatenation has one style for each of its parts."""
    if not isinstance(left, dict) or set(left) != {"concat"}:
        return expression(value, style_of(left))
    parts = left["concat"]
    if isinstance(value, dict) and set(value) == {"set"}:
        return f"{{ {', '.join(styled(item, left) for item in value['set'])} }}"
    if isinstance(value, dict) and set(value) == {"elem"}:
        return styled(value["elem"]["val"], left) + _element_tail(value["elem"])
    if isinstance(value, dict) and set(value) == {"concat"} and len(value["concat"]) == len(parts):
        return " . ".join(expression(item, style_of(part)) for item, part in zip(value["concat"], parts))
    return expression(value)


def _payload(inner: Json, style: Style) -> str:
    tunnel = f"{inner['tunnel']} " if "tunnel" in inner else ""
    if "base" in inner:
        return f"{tunnel}@{inner['base']},{inner['offset']},{inner['len']}"
    return f"{tunnel}{inner['protocol']} {inner['field']}"


def _meta(inner: Json, style: Style) -> str:
    return str(inner["key"]) if inner["key"] in _BARE_METAS else f"meta {inner['key']}"


def _ct(inner: Json, style: Style) -> str:
    direction = f"{inner['dir']} " if "dir" in inner else ""
    return f"ct {direction}{inner['key']}"


def _fib(inner: Json, style: Style) -> str:
    flags = inner["flags"]
    listed = [flags] if isinstance(flags, str) else flags
    return f"fib {' . '.join(listed)} {inner['result']}"


def _exthdr(inner: Json, style: Style) -> str:
    return f"{inner['name']} {inner['field']}" if "field" in inner else f"exthdr {inner['name']}"


def _option(kind: str) -> t.Callable[[Json, Style], str]:
    def write(inner: Json, style: Style) -> str:
        if "base" in inner:
            return f"{kind} @{inner['base']},{inner['offset']},{inner['len']}"
        return f"{kind} {inner.get('name', inner.get('type', ''))} {inner.get('field', '')}".rstrip()

    return write


def _rt(inner: Json, style: Style) -> str:
    family = f"{inner['family']} " if "family" in inner else ""
    return f"rt {family}{inner['key']}"


def _keyed(kind: str) -> t.Callable[[Json, Style], str]:
    return lambda inner, style: f"{kind} {inner['key']}"


def _ipsec(inner: Json, style: Style) -> str:
    number = f"spnum {inner['spnum']} " if inner.get("spnum") else ""
    family = f"{inner['family']} " if "family" in inner else ""
    return f"ipsec {inner['dir']} {number}{family}{inner['key']}"


def _offset(inner: Json) -> str:
    return f" offset {inner['offset']}" if inner.get("offset") else ""


def _numgen(inner: Json, style: Style) -> str:
    return f"numgen {inner['mode']} mod {inner['mod']}{_offset(inner)}"


def _jhash(inner: Json, style: Style) -> str:
    seed = f" seed 0x{inner['seed']:x}" if inner.get("seed") else ""
    return f"jhash {expression(inner['expr'])} mod {inner['mod']}{seed}{_offset(inner)}"


def _symhash(inner: Json, style: Style) -> str:
    return f"symhash mod {inner['mod']}{_offset(inner)}"


def _range(inner: Json, style: Style) -> str:
    first, last = (style.names.get(item, item) if isinstance(item, str) else item for item in inner)
    return f"{expression(first, style)}-{expression(last, style)}"


def _prefix(inner: Json, style: Style) -> str:
    return f"{expression(inner['addr'], style)}/{inner['len']}"


def _set(inner: Json, style: Style) -> str:
    items = inner if isinstance(inner, list) else [inner]
    return f"{{ {', '.join(expression(item, style) for item in items)} }}"


def _concat(inner: Json, style: Style) -> str:
    return " . ".join(expression(item, style) for item in inner)


def _element(inner: Json, style: Style) -> str:
    return expression(inner["val"], style) + _element_tail(inner)


def _element_tail(inner: Json) -> str:
    timeout = f" timeout {inner['timeout']}s" if inner.get("timeout") else ""
    comment = f' comment "{inner["comment"]}"' if inner.get("comment") else ""
    return timeout + comment


def mapped(inner: Json, style: Style = PLAIN) -> str:
    """Write ``KEY map PAIRS``; ``style`` is that of the answers."""
    return f"{expression(inner['key'])} map {pairs_of(inner, style)}"


def pairs_of(inner: Json, style: Style = PLAIN) -> str:
    """Write what a map leads to: its name or its pairs."""
    data = inner["data"]
    if isinstance(data, str):
        return data
    pairs = [f"{styled(key, inner['key'])} : {_answer(answer, style)}" for key, answer in data["set"]]
    return f"{{ {', '.join(pairs)} }}"


def _answer(answer: Json, style: Style) -> str:
    if isinstance(answer, dict) and len(answer) == 1:
        ((name, inner),) = answer.items()
        if name in ("accept", "drop", "return", "continue"):
            return str(name)
        if name in ("jump", "goto"):
            return f"{name} {inner['target']}"
    return expression(answer, style)


def says_equal(left: Json, right: Json) -> bool:
    """Tell whether equality has to be written, because without the sign nft would ask for single bits."""
    if not isinstance(left, dict) or (isinstance(right, str) and right[:1] == "@"):
        return False
    if not _OPERATORS.isdisjoint(left):
        return True
    return left in _FLAGS and not (isinstance(right, dict) and "set" in right)


_EXPRESSIONS: dict[str, t.Callable[[Json, Style], str]] = {
    "payload": _payload,
    "meta": _meta,
    "ct": _ct,
    "fib": _fib,
    "exthdr": _exthdr,
    "tcp option": _option("tcp option"),
    "ip option": _option("ip option"),
    "sctp chunk": _option("sctp chunk"),
    "dccp option": _option("dccp option"),
    "rt": _rt,
    "socket": _keyed("socket"),
    "osf": _keyed("osf"),
    "ipsec": _ipsec,
    "numgen": _numgen,
    "jhash": _jhash,
    "symhash": _symhash,
    "range": _range,
    "prefix": _prefix,
    "set": _set,
    "concat": _concat,
    "elem": _element,
    "map": mapped,
}
