# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who decided over a packet: the rules whose counters rose while it was sent. Evidence, not computation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_POLICY = re.compile(r":(?P<chain>\S+) (?P<policy>[A-Z]+) \[(?P<packets>\d+):\d+\]$")
_RULE = re.compile(r"\[(?P<packets>\d+):\d+\] -A (?P<chain>\S+) (?P<text>.*)$")


@dataclass(frozen=True)
class Rule:
    """One rule or policy of the host's packet filter."""

    table: str
    chain: str
    text: str


Counts = Mapping[tuple[Rule, int], int]


def counts(iptables_save: str, guard_json: str) -> dict[tuple[Rule, int], int]:
    """Packets seen by each rule, from ``iptables-save -c`` and ``nft -j list table inet bulkhead_guard``."""
    found: dict[tuple[Rule, int], int] = {}
    for rule, packets in [*_iptables(iptables_save), *_guard(guard_json)]:
        twin = sum(1 for known, _number in found if known == rule)
        found[rule, twin] = packets
    return found


def _iptables(text: str) -> Iterator[tuple[Rule, int]]:
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif policy := _POLICY.match(line):
            yield Rule(table, policy["chain"], f"policy {policy['policy']}"), int(policy["packets"])
        elif rule := _RULE.match(line):
            yield Rule(table, rule["chain"], rule["text"]), int(rule["packets"])


def _guard(text: str) -> Iterator[tuple[Rule, int]]:
    for item in json.loads(text)["nftables"] if text else ():
        if "rule" in item:
            rule: dict[str, Any] = item["rule"]
            packets = sum(part["counter"]["packets"] for part in rule["expr"] if "counter" in part)
            verdict = "drop" if any("drop" in part or "reject" in part for part in rule["expr"]) else "pass"
            yield Rule("bulkhead_guard", rule["chain"], f"{verdict}: {rule.get('comment', '')}"), packets


def decider(before: Counts, after: Counts) -> str:
    """Name the rule that decided, in words, from the counters before and after the packet."""
    raised = [rule for (rule, number), packets in after.items() if packets > before.get((rule, number), 0)]
    guard = [rule for rule in raised if rule.table == "bulkhead_guard"]
    for rule in guard:
        if rule.text.startswith("drop: "):
            return f"guard: {rule.text[6:]}"
    for rule in raised:
        if rule.table == "filter" and rule.text == "policy DROP":
            return f"UFW: default deny ({rule.chain})"
        if rule.table in ("raw", "filter") and re.search(r"-j (DROP|REJECT)\b", rule.text):
            return f"{rule.chain}: {rule.text}"
    for rule in guard:
        if "ufw" in rule.text:
            return f"guard: {rule.text[6:]}"
    for rule in raised:
        if rule.table == "nat" and "-j DNAT" in rule.text:
            return f"Docker's DNAT ({rule.chain}), UFW was not asked"
    for rule in raised:
        if rule.chain.startswith("ufw-user-") and rule.text.endswith("-j ACCEPT"):
            return f"UFW: {rule.chain}"
    return "no counter rose"
