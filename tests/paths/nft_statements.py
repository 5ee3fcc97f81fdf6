# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random statements of nftables rules, each valid in its kind of chain and at its hook."""

from __future__ import annotations

import typing as t

from . import topology, values
from .nft_conditions import Place
from .values import chance, some, weighted

_Statement = t.Callable[[Place, t.Sequence[str]], str]

#: Before this priority the kernel has no connection yet.
_CONNTRACK = -200


def statements(place: Place, chains: t.Sequence[str]) -> str:
    """Choose what a rule does; ``chains`` are those it may call."""
    told = [weighted(place.random, _HARMLESS)] if chance(place.random, 0.15) else []
    weights = dict(_FILTER)
    weights.update(_with_maps(place))
    if chains:
        weights.update({_jump: 10, _verdict_map: 2})
    if place.kind == "nat":
        weights.update(_nat(place))
    elif place.priority < _CONNTRACK and place.hook in ("prerouting", "output"):
        weights[_notrack] = 6
    return " ".join([*told, weighted(place.random, weights)(place, chains)]).strip()


def _with_maps(place: Place) -> dict[_Statement, float]:
    """Choose what maps and sets of the table allow."""
    found: dict[_Statement, float] = {}
    for name in place.named("verdicts", "doors", "seen"):
        family = place.sets[name]
        ip = "ip" if family == 4 else "ip6"
        if name.startswith("verdicts"):
            found[_word(f"{ip} {place.random.choice(('saddr', 'daddr'))} vmap @{name}")] = 4
        elif name.startswith("seen"):
            found[_word(f"{place.random.choice(('add', 'update'))} @{name} {{ {ip} saddr }}")] = 2
        elif place.kind == "nat" and place.hook in ("prerouting", "output") and place.proto in ("tcp", "udp"):
            to = f" {ip}" if place.table == "inet" else ""
            found[_word(f"dnat{to} to {place.proto} dport map @{name}")] = 8
    return found


def _word(word: str) -> _Statement:
    return lambda _place, _chains: word


def _jump(place: Place, chains: t.Sequence[str]) -> str:
    return f"{weighted(place.random, {'jump': 4, 'goto': 1})} {place.random.choice(chains)}"


def _verdict_map(place: Place, chains: t.Sequence[str]) -> str:
    random = place.random

    def verdict() -> str:
        return random.choice(
            ("accept", "drop", "return", "continue", f"jump {random.choice(chains)}", f"goto {random.choice(chains)}")
        )

    def entries(keys: t.Iterable[object]) -> str:
        return f"vmap {{ {', '.join(f'{key} : {verdict()}' for key in keys)} }}"

    family = place.some_family()
    choices = [
        f"{place.ip} {random.choice(('saddr', 'daddr'))} {entries(some(random, values.DISJOINT[family]))}",
        f"iifname {entries(some(random, ('eth0', 'br0', 'eth1', 'lo')))}",
        f"ct state {entries(some(random, ('new', 'invalid', 'established')))}",
        f"meta mark {entries(some(random, topology.MARKS))}",
    ]
    if place.proto in ("", "tcp", "udp"):
        place.proto = place.proto or "tcp"
        ports = entries(some(random, topology.PORTS))
        pairs = entries(f"{values.address(random, family)} . {port}" for port in some(random, topology.PORTS))
        choices += [f"{place.proto} dport {ports}", f"{place.ip} daddr . {place.proto} dport {pairs}"]
    return random.choice(choices)


def _reject(place: Place, _chains: t.Sequence[str]) -> str:
    if place.kind == "nat" or place.hook not in ("input", "forward", "output"):
        return "drop" if place.kind != "nat" else "return"
    if place.proto == "tcp" and chance(place.random, 0.4):
        return "reject with tcp reset"
    if place.table == "inet":
        return place.random.choice(
            ("reject", "reject with icmpx port-unreachable", "reject with icmpx admin-prohibited")
        )
    kind = "icmp" if place.table == "ip" else "icmpv6"
    return f"reject with {kind} {place.random.choice(('port-unreachable', 'admin-prohibited'))}"


def _set_mark(place: Place, _chains: t.Sequence[str]) -> str:
    random = place.random
    number, mask = values.mark(random), values.mask(random)
    choices = [
        f"meta mark set {number:#x}", f"meta mark set meta mark | {number:#x}", f"meta mark set meta mark & {mask:#x}",
        f"meta mark set meta mark & {mask:#x} | {number:#x}", f"meta mark set meta mark ^ {number:#x}",
    ]  # fmt: skip
    if place.priority >= _CONNTRACK:
        choices += [f"ct mark set {number:#x}", "ct mark set meta mark", "meta mark set ct mark"]
    ending = random.choice(("", "", "", "accept"))
    return f"{random.choice(choices)} {ending}".strip()


def _map_of_marks(place: Place, _chains: t.Sequence[str]) -> str:
    listed = ", ".join(
        f"{item} : {values.mark(place.random)}" for item in some(place.random, values.DISJOINT[place.some_family()])
    )
    return f"meta mark set {place.ip} saddr map {{ {listed} }}"


def _notrack(_place: Place, _chains: t.Sequence[str]) -> str:
    return "notrack"


def _change(place: Place, _chains: t.Sequence[str]) -> str:
    return place.random.choice(
        ("ip ttl set 10" if place.some_family() == 4 else "ip6 hoplimit set 10", f"{place.ip} dscp set cs1")
    )


def _nat(place: Place) -> dict[_Statement, float]:
    if place.hook in ("prerouting", "output"):
        return {_dnat: 12, _redirect: 4}
    if place.hook == "postrouting":
        return {_snat: 7, _masquerade: 8}
    return {_snat: 7}


def _to(place: Place) -> str:
    return f" {place.ip}" if place.table == "inet" else ""


def _has_ports(place: Place) -> bool:
    return place.proto in ("tcp", "udp", "any")


def _dnat(place: Place, _chains: t.Sequence[str]) -> str:
    random, to, family = place.random, _to(place), place.some_family()
    address = random.choice(values.containers(family)) if chance(random, 0.7) else values.address(random, family)
    if not _has_ports(place):
        return f"dnat{to} to {address}"
    written = f"[{address}]" if family == 6 else address
    first, last = values.port_range(random)
    choices = [
        f"dnat{to} to {address}",
        *2 * [f"dnat{to} to {written}:{values.port(random)}"],
        f"dnat{to} to {written}:{first or 1}-{last}",
    ]
    if chance(random, 0.15):
        listed = ", ".join(
            f"{item} : {random.choice(values.containers(family))}" for item in some(random, values.DISJOINT[family])
        )
        return f"dnat{to} to {place.ip} saddr map {{ {listed} }}"
    if place.proto != "any":
        ports = some(random, topology.PORTS)
        choices.append(
            f"dnat{to} to {place.proto} dport map {{ {', '.join(f'{port} : {values.address(random, family)}' for port in ports)} }}"
        )
        both = ", ".join(
            f"{values.address(random, family)} . {port} : {random.choice(values.containers(family))} . 80"
            for port in ports
        )
        choices.append(f"dnat{to} to {place.ip} daddr . {place.proto} dport map {{ {both} }}")
    return random.choice(choices)


def _snat(place: Place, _chains: t.Sequence[str]) -> str:
    random, to, family = place.random, _to(place), place.some_family()
    address = values.address(random, family)
    if _has_ports(place) and chance(random, 0.3):
        written = f"[{address}]" if family == 6 else address
        return f"snat{to} to {written}:{values.port(random)}"
    return f"snat{to} to {address}"


def _masquerade(place: Place, _chains: t.Sequence[str]) -> str:
    if _has_ports(place) and chance(place.random, 0.2):
        return f"masquerade to :{values.port(place.random)}"
    return weighted(place.random, {"masquerade": 10.0, "masquerade fully-random": 1.0, "masquerade random": 0.5})


def _redirect(place: Place, _chains: t.Sequence[str]) -> str:
    return (
        f"redirect to :{values.port(place.random)}" if _has_ports(place) and chance(place.random, 0.7) else "redirect"
    )


_HARMLESS = {"counter": 3.0, "log": 1.0, 'log prefix "accept drop "': 0.5, "meta nftrace set 1": 0.3}
_FILTER: dict[_Statement, float] = {
    _word("accept"): 12, _word("drop"): 7, _word("return"): 4, _word("continue"): 0.5, _word(""): 0.5, _reject: 4,
    _set_mark: 4, _map_of_marks: 0.7, _change: 0.3,
}  # fmt: skip
