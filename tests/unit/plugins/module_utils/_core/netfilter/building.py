# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packet filters and a host, written down in few words."""

from __future__ import annotations

import typing as t

from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter import sets
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.packet import Packet, protocol
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.ruleset import (
    Chain,
    Condition,
    Conntrack,
    Effect,
    Interface,
    Jump,
    Nat,
    Rate,
    Rule,
    Ruleset,
    State,
    Table,
    Unknowable,
    Verdict,
    Within,
)
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.sets import IntSet
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.trace import Host

Part = t.Union[Condition, Effect]

ACCEPT, DROP, REJECT, RETURN = Verdict("accept"), Verdict("drop"), Verdict("reject"), Verdict("return")
UNKNOWN = Unknowable("-m moon --phase full")
RARELY = Rate("--limit 5/min", calm=True)
OFTEN = Rate("--hitcount 6", calm=False)

#: Where iptables hangs its tables.
PRIORITIES = {"raw": -300, "mangle": -150, "filter": 0, "security": 50}
NAT_PRIORITIES = {"prerouting": -100, "output": -100, "input": 100, "postrouting": 100}


def jump(chain: str) -> Jump:
    return Jump(chain)


def goto(chain: str) -> Jump:
    return Jump(chain, goto=True)


def addresses(*texts: str) -> IntSet:
    return IntSet(pair for text in texts for pair in sets.span(text)[1].ranges)


def src(*texts: str, negated: bool = False) -> Within:
    return Within("src", addresses(*texts), negated)


def dst(*texts: str, negated: bool = False) -> Within:
    return Within("dst", addresses(*texts), negated)


def numbers(field: t.Any, first: int, last: int | None = None, *, negated: bool = False) -> Within:
    return Within(field, IntSet([(first, first if last is None else last)]), negated)


def proto(name: str) -> Within:
    return numbers("proto", protocol(name))


def dport(first: int, last: int | None = None, *, negated: bool = False) -> Within:
    return numbers("dport", first, last, negated=negated)


def iif(name: str, *, negated: bool = False) -> Interface:
    return Interface("iif", frozenset({name}), negated=negated)


def oif(name: str, *, negated: bool = False) -> Interface:
    return Interface("oif", frozenset({name}), negated=negated)


def state(*words: str) -> Conntrack:
    return Conntrack(State(frozenset(words)))


def one(text: str) -> tuple[int, int]:
    """An address or ``first-last``, as a NAT rule has it."""
    return sets.span(text)[1].ranges[0]


def dnat(to: str = "", first: int | None = None, last: int | None = None, **more: t.Any) -> Nat:
    ports = None if first is None else (first, first if last is None else last)
    return Nat("dnat", one(to) if to else None, ports, **more)


def snat(to: str = "", first: int | None = None, last: int | None = None, **more: t.Any) -> Nat:
    ports = None if first is None else (first, first if last is None else last)
    return Nat("snat", one(to) if to else None, ports, **more)


MASQUERADE = Nat("snat", to_interface=True)


def rules(*listed: t.Sequence[Part]) -> tuple[Rule, ...]:
    return tuple(Rule(number, f"rule {number}", tuple(parts)) for number, parts in enumerate(listed, 1))


def table(name: str = "filter", family: str = "ip", backend: t.Any = "iptables") -> Table:
    return Table(family, name, backend)


def base(
    hook: str,
    *listed: t.Sequence[Part],
    of: str | Table = "filter",
    policy: str = "accept",
    priority: int | None = None,
    name: str = "",
    **more: t.Any,
) -> Chain:
    """A chain that the kernel calls; of iptables' table ``of``, unless that is a table itself."""
    own = of if isinstance(of, Table) else table(of)
    kind = "nat" if own.name == "nat" else "filter"
    if priority is None:
        priority = NAT_PRIORITIES[hook] if kind == "nat" else PRIORITIES[own.name]
    made = {"kind": kind, **more}
    return Chain(own, name or hook.upper(), rules(*listed), hook, priority, policy, **made)


def chain(name: str, *listed: t.Sequence[Part], of: str | Table = "filter") -> Chain:
    """A chain that rules jump to."""
    return Chain(of if isinstance(of, Table) else table(of), name, rules(*listed))


def ruleset(*chains: Chain) -> Ruleset:
    return Ruleset(chains)


#: One outside network, another one, and two bridges of Docker.
ADDRESSES = {
    "lo": ["127.0.0.1/8", "::1/128"],
    "eth0": ["192.0.2.2/24", "192.0.2.3/24", "2001:db8:1::2/64", "fe80::2/64"],
    "eth1": ["10.77.0.2/24", "fd77::2/64"],
    "br0": ["172.18.0.1/16", "fd18::1/64"],
    "br1": ["172.19.0.1/16", "fd19::1/64"],
}
ROUTES = (
    ("192.0.2.0/24", "eth0"),
    ("10.77.0.0/24", "eth1"),
    ("172.18.0.0/16", "br0"),
    ("172.19.0.0/16", "br1"),
    ("10.66.0.0/16", "unreachable"),
    ("default", "eth0", "192.0.2.1"),
    ("2001:db8:1::/64", "eth0"),
    ("fd77::/64", "eth1"),
    ("fd18::/64", "br0"),
    ("fd19::/64", "br1"),
    ("::/0", "eth0"),
)


def host(sysctl: t.Mapping[str, t.Any] | None = None, **changes: t.Any) -> Host:
    made: dict[str, t.Any] = {"addresses": ADDRESSES, "routes": ROUTES, "bridges": frozenset({"br0", "br1"})}
    return Host(**{**made, "sysctl": sysctl or {}, **changes})


def packet(**changes: t.Any) -> Packet:
    """From a stranger to a port of the host itself, unless something else is said."""
    made: dict[str, t.Any] = {"src": "198.51.100.7", "dst": "192.0.2.2", "dport": 80, "iif": "eth0"}
    return Packet(**{**made, **changes})


def packet6(**changes: t.Any) -> Packet:
    made: dict[str, t.Any] = {"family": 6, "src": "2001:db8:99::7", "dst": "2001:db8:1::2", "dport": 80, "iif": "eth0"}
    return Packet(**{**made, **changes})
