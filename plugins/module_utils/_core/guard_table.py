# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""The guard's own nftables table as a value, to and from nft's JSON.

The live table is parsed into the same values that the wanted one is made of, and the values are compared. What the
parser does not know becomes a rule of its own raw text, which equals nothing wanted: a hand-made change is always seen.
"""

from __future__ import annotations

import ipaddress
import json
import typing as t
from dataclasses import dataclass, field

from .ufw import canonical

FAMILY = "inet"
NAME = "bulkhead_guard"
TITLE = f"table {FAMILY} {NAME}"

#: nft keeps at most 128 bytes of a comment, the closing zero included.
COMMENT_BYTES = 127

Json = t.Mapping[str, t.Any]

_PAYLOADS = {"ip saddr": ("ip", "saddr"), "ip6 saddr": ("ip6", "saddr")}
_METAS = ("iifname", "oifname", "nfproto", "l4proto")
_ORIGINALS = ("ip saddr", "ip daddr", "ip6 saddr", "ip6 daddr", "proto-src", "proto-dst")


@dataclass(frozen=True)
class Match:
    """One condition: ``left`` as nft writes it (``ct original proto-dst``); ``right`` as text."""

    left: str
    right: str
    negated: bool = False

    @property
    def text(self) -> str:
        right = f'"{self.right}"' if self.left in ("iifname", "oifname") and self.right[:1] != "@" else self.right
        name = f"meta {self.left}" if self.left in ("nfproto", "l4proto") else self.left
        return f"{name} != {right}" if self.negated else f"{name} {right}"


@dataclass(frozen=True)
class Rule:
    """One rule. ``statements`` are what it does, in order; the counter's figures do not count for equality."""

    chain: str
    matches: tuple[Match, ...] = ()
    statements: tuple[str, ...] = ()
    comment: str = ""
    packets: int = field(default=0, compare=False)
    bytes: int = field(default=0, compare=False)

    @property
    def text(self) -> str:
        parts = [match.text for match in self.matches] + list(self.statements)
        if self.comment:
            parts.append(f'comment "{self.comment}"')
        return " ".join(parts)

    @property
    def verdict(self) -> str:
        return self.statements[-1] if self.statements else ""


@dataclass(frozen=True)
class Chain:
    """A chain; ``hook`` is empty for one that is only jumped to."""

    name: str
    hook: str = ""
    priority: int = 0
    policy: str = ""
    type: str = ""

    @property
    def text(self) -> str:
        return f"type {self.type} hook {self.hook} priority {self.priority}; policy {self.policy};" if self.hook else ""


@dataclass(frozen=True)
class Set:
    """A named set. One with a timeout is filled by rules, so its elements are no part of what is wanted."""

    name: str
    type: str
    interval: bool = False
    timeout: int = 0
    size: int = 0
    elements: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        flags = (
            " flags interval;" if self.interval else f" flags timeout; timeout {self.timeout}s;" if self.timeout else ""
        )
        size = f" size {self.size};" if self.size else ""
        elements = f" elements = {{ {', '.join(self.elements)} }}" if self.elements else ""
        return f"set {self.name} {{ type {self.type};{size}{flags}{elements} }}"


@dataclass(frozen=True)
class Table:
    """The whole table; chains and sets sorted by name, rules in their order; ``others`` is what nobody asked for."""

    chains: tuple[Chain, ...] = ()
    sets: tuple[Set, ...] = ()
    rules: tuple[Rule, ...] = ()
    others: tuple[str, ...] = ()

    def rules_of(self, chain: str) -> tuple[Rule, ...]:
        return tuple(rule for rule in self.rules if rule.chain == chain)

    def set_named(self, name: str) -> Set | None:
        return next((item for item in self.sets if item.name == name), None)

    @property
    def text(self) -> str:
        """The table as a person reads it, without counters and handles."""
        lines = [f"{TITLE} {{"]
        lines += [f"  {item.text}" for item in self.sets]
        lines += [f"  {other}" for other in self.others]
        for chain in self.chains:
            lines.append(f"  chain {chain.name} {{")
            lines += [
                f"    {line}" for line in (chain.text, *(rule.text for rule in self.rules_of(chain.name))) if line
            ]
            lines.append("  }")
        return printable("\n".join([*lines, "}"])) + "\n"


def printable(text: str) -> str:
    """Keep line breaks, and show every other control character as an escape."""
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)


def comment_of(text: str) -> str:
    """Make text fit to be a comment: nft cannot read back quotes and backslashes from its own listings."""
    plain = "".join(char if char.isprintable() and char not in '"\\' else "?" for char in text)
    return plain.encode("utf-8")[:COMMENT_BYTES].decode("utf-8", errors="ignore").strip()


# ---- to nft ------------------------------------------------------------------------------------------------------


def replacement(wanted: Table | None, live: Table | None) -> dict[str, t.Any]:
    """Give the one transaction that puts ``wanted`` (or nothing) where ``live`` is; equal rules keep their figures."""
    name = {"family": FAMILY, "name": NAME}
    commands: list[Json] = [{"metainfo": {"json_schema_version": 1}}]
    if live is not None:
        commands.append({"delete": {"table": name}})
    if wanted is not None:
        commands.append({"add": {"table": name}})
        commands += [{"add": {"chain": _chain_json(chain)}} for chain in wanted.chains]
        commands += [{"add": {"set": _set_json(item)}} for item in wanted.sets]
        counted = {rule: rule for rule in live.rules} if live is not None else {}
        commands += [{"add": {"rule": _rule_json(rule, counted.get(rule, rule))}} for rule in wanted.rules]
    return {"nftables": commands}


def listing(table: Table) -> dict[str, t.Any]:
    """Give a table as ``nft -j list ruleset`` would list it once it is loaded."""
    entries: list[Json] = [{"table": {"family": FAMILY, "name": NAME}}]
    entries += [{"chain": _chain_json(chain)} for chain in table.chains]
    entries += [{"set": _set_json(item)} for item in table.sets]
    entries += [{"rule": _rule_json(rule, rule)} for rule in table.rules]
    return {"nftables": entries}


def _chain_json(chain: Chain) -> Json:
    head: dict[str, t.Any] = {"family": FAMILY, "table": NAME, "name": chain.name}
    if chain.hook:
        head.update(type=chain.type, hook=chain.hook, prio=chain.priority, policy=chain.policy)
    return head


def _set_json(item: Set) -> Json:
    data: dict[str, t.Any] = {"family": FAMILY, "table": NAME, "name": item.name, "type": item.type}
    if item.interval:
        data["flags"] = ["interval"]
    if item.timeout:
        data.update(flags=["timeout"], timeout=item.timeout, size=item.size)
    if item.elements:
        data["elem"] = list(item.elements)
    return data


def _rule_json(rule: Rule, counted: Rule) -> Json:
    expressions: list[Json] = [
        {"match": {"op": _operator(match), "left": _left_json(match.left), "right": _right_json(match)}}
        for match in rule.matches
    ]
    for statement in rule.statements:
        expressions.append(_statement_json(statement, counted))
    data: dict[str, t.Any] = {"family": FAMILY, "table": NAME, "chain": rule.chain, "expr": expressions}
    if rule.comment:
        data["comment"] = rule.comment
    return data


def _operator(match: Match) -> str:
    if match.negated:
        return "!="
    return "in" if match.left in ("ct state", "ct status") else "=="


def _left_json(left: str) -> Json:
    if left in _PAYLOADS:
        protocol, name = _PAYLOADS[left]
        return {"payload": {"protocol": protocol, "field": name}}
    if left in _METAS:
        return {"meta": {"key": left}}
    if left.startswith("ct original "):
        return {"ct": {"key": left[len("ct original ") :], "dir": "original"}}
    return {"ct": {"key": left[len("ct ") :]}}


def _right_json(match: Match) -> t.Any:
    text = match.right
    if match.left == "ct state":
        return text.split(",")
    if match.left.endswith(("proto-dst", "proto-src")):
        first, dash, last = text.partition("-")
        return {"range": [int(first), int(last)]} if dash else int(first)
    if "/" in text:
        address, _slash, length = text.partition("/")
        return {"prefix": {"addr": address, "len": int(length)}}
    return text


def _statement_json(statement: str, counted: Rule) -> Json:
    if statement == "counter":
        return {"counter": {"packets": counted.packets, "bytes": counted.bytes}}
    if statement in ("accept", "drop"):
        return {statement: None}
    if statement == "reject":
        return {"reject": {"type": "icmpx", "expr": "port-unreachable"}}
    if statement == "reject with tcp reset":
        return {"reject": {"type": "tcp reset"}}
    verb, _space, rest = statement.partition(" ")
    if verb in ("goto", "jump"):
        return {verb: {"target": rest}}
    # add @tries4_1 { ip saddr }
    name, _brace, element = rest.rstrip(" }").partition(" { ")
    return {"set": {"op": verb, "elem": _left_json(element), "set": name}}


# ---- from nft ----------------------------------------------------------------------------------------------------


def from_ruleset(ruleset: Json) -> Table | None:
    """Read our table out of ``nft -j list ruleset``; None when it is not there."""
    chains: list[Chain] = []
    sets: list[Set] = []
    rules: list[Rule] = []
    others: list[str] = []
    found = False
    for entry in ruleset.get("nftables", ()):
        for kind, data in entry.items():
            if kind == "table" and (data.get("family"), data.get("name")) == (FAMILY, NAME):
                found = True
                if data.get("flags"):
                    others.append(f"flags {data['flags']}")
            if (data.get("family"), data.get("table")) != (FAMILY, NAME):
                continue
            if kind == "chain":
                chains.append(_chain(data))
            elif kind == "set":
                sets.append(_set(data))
            elif kind == "rule":
                rules.append(_rule(data))
            else:
                others.append(f"{kind} {_raw(data)}")
    if not found:
        return None
    return Table(
        chains=tuple(sorted(chains, key=lambda chain: chain.name)),
        sets=tuple(sorted(sets, key=lambda item: item.name)),
        rules=tuple(rules),
        others=tuple(sorted(others)),
    )


def _raw(data: t.Any) -> str:
    if isinstance(data, dict):
        data = {key: value for key, value in data.items() if key not in ("handle", "family", "table")}
    return json.dumps(data, sort_keys=True)


def _chain(data: Json) -> Chain:
    return Chain(
        name=data["name"],
        hook=data.get("hook", ""),
        priority=data.get("prio", 0),
        policy=data.get("policy", ""),
        type=data.get("type", ""),
    )


def _set(data: Json) -> Set:
    flags = data.get("flags") or ()
    timeout = data.get("timeout") or 0
    elements = () if timeout else tuple(sorted(_element(item) for item in data.get("elem") or ()))
    return Set(
        name=data["name"],
        type=data["type"] if isinstance(data["type"], str) else _raw(data["type"]),
        interval="interval" in flags,
        timeout=timeout,
        # The size of a set that rules do not fill is only what its elements happen to need.
        size=(data.get("size") or 0) if timeout else 0,
        elements=elements,
    )


def _element(item: t.Any) -> str:
    return item if isinstance(item, str) else _raw(item)


def _rule(data: Json) -> Rule:
    matches: list[Match] = []
    statements: list[str] = []
    packets = size = 0
    for expression in data.get("expr", ()):
        for kind, value in expression.items():
            match = _match(value) if kind == "match" and not statements else None
            if match is not None:
                matches.append(match)
                continue
            statements.append(_statement(kind, value))
            if kind == "counter" and isinstance(value, dict):
                packets, size = value.get("packets", 0), value.get("bytes", 0)
    return Rule(
        chain=data["chain"],
        matches=tuple(matches),
        statements=tuple(statements),
        comment=data.get("comment", ""),
        packets=packets,
        bytes=size,
    )


def _match(value: Json) -> Match | None:
    left, right = _left(value["left"]), _right(value["right"])
    if left is None or right is None or value["op"] not in ("==", "in", "!="):
        return None
    if left.endswith("addr") and right[:1] != "@":
        right = _one_form(right)
    return Match(left, right, negated=value["op"] == "!=")


def _one_form(address: str) -> str:
    """Spell an address as the wanted table does."""
    try:
        return canonical(ipaddress.ip_network(address))
    except ValueError:
        return address


def _left(value: t.Any) -> str | None:
    if not isinstance(value, dict):
        return None
    if "payload" in value:
        payload = value["payload"]
        name = f"{payload.get('protocol')} {payload.get('field')}"
        return name if name in _PAYLOADS else None
    if "meta" in value:
        key = value["meta"].get("key")
        return key if key in _METAS else None
    if "ct" in value:
        key, direction = value["ct"].get("key"), value["ct"].get("dir", "")
        if direction == "original" and key in _ORIGINALS:
            return f"ct original {key}"
        return f"ct {key}" if not direction and key in ("state", "status", "direction") else None
    return None


def _right(value: t.Any) -> str | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (str, int)):
        return str(value)
    if isinstance(value, list):
        # Several states: nft 1.0 and 1.1 list them in the order of their bits.
        return ",".join(sorted(value)) if all(isinstance(item, str) for item in value) else None
    if isinstance(value, dict) and set(value) == {"prefix"}:
        return f"{value['prefix']['addr']}/{value['prefix']['len']}"
    if isinstance(value, dict) and set(value) == {"range"}:
        first, last = value["range"]
        return f"{first}-{last}"
    return _right(value["set"]) if isinstance(value, dict) and set(value) == {"set"} else None


def _statement(kind: str, value: t.Any) -> str:
    if kind == "counter" and isinstance(value, dict):
        return kind
    if kind in ("accept", "drop"):
        return kind
    if kind in ("jump", "goto"):
        return f"{kind} {value['target']}"
    if kind == "reject":
        if not value or value == {"type": "icmpx", "expr": "port-unreachable"}:
            return "reject"
        if value == {"type": "tcp reset"}:
            return "reject with tcp reset"
    if kind == "set":
        element = _left(value.get("elem"))
        if element is not None and set(value) == {"op", "elem", "set"}:
            return f"{value['op']} {value['set']} {{ {element} }}"
    return f"{kind} {_raw(value)}"
