# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random rulesets of the kind that Docker makes, with somebody's own rules at the places meant for them."""

from __future__ import annotations

import typing as t
from random import Random

from . import topology, values
from .iptables_conditions import Place, conditions
from .iptables_targets import target
from .values import chance, weighted

_SUBNETS = {
    ("br0", 4): "172.18.0.0/16",
    ("br1", 4): "172.19.0.0/16",
    ("br0", 6): "fd18::/64",
    ("br1", 6): "fd19::/64",
}
_LOOPBACK = {4: "127.0.0.0/8", 6: "::1/128"}


class _Published(t.NamedTuple):
    bridge: str
    address: str
    proto: str
    port: int
    inside: int
    on: str


def ruleset(random: Random, family: int, sets: t.Sequence[str]) -> str:
    """Make a ruleset of one family."""
    doors = [_publish(random, family) for _turn in range(random.randint(1, 4))]
    tables = {"nat": _nat(random, family, doors), "filter": _filter(random, family, doors, sets)}
    if chance(random, 0.4):
        tables["raw"] = _raw(random, family, doors)
    return "".join("\n".join([f"*{name}", *lines, "COMMIT", ""]) for name, lines in tables.items())


def _publish(random: Random, family: int) -> _Published:
    tap = random.choice([tap for tap in topology.TAPS if tap.bridge])
    address = next(item for item in topology.BEHIND[tap.name] if topology.family_of(item) == family)
    on = random.choice(topology.own_addresses(family)) if chance(random, 0.3) else ""
    return _Published(
        tap.bridge, address, random.choice(("tcp", "tcp", "udp")), values.port(random), values.port(random), on
    )


def _nat(random: Random, family: int, doors: t.Sequence[_Published]) -> list[str]:
    proxy = chance(random, 0.5)
    lines = [f":{hook} ACCEPT [0:0]" for hook in ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")]
    lines += [":DOCKER - [0:0]", "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER"]
    loopback = f"! -d {_LOOPBACK[family]} " if proxy else ""
    lines.append(f"-A OUTPUT {loopback}-m addrtype --dst-type LOCAL -j DOCKER")
    for bridge in topology.BRIDGES:
        if not proxy:
            lines.append(f"-A POSTROUTING -o {bridge} -m addrtype --src-type LOCAL -j MASQUERADE")
        if chance(random, 0.8):
            lines.append(f"-A POSTROUTING -s {_SUBNETS[bridge, family]} ! -o {bridge} -j MASQUERADE")
    for door in doors:
        lines.append(
            f"-A POSTROUTING -s {door.address} -d {door.address} -p {door.proto} -m {door.proto} --dport {door.inside} -j MASQUERADE"
        )
    if proxy and chance(random, 0.5):
        lines += [f"-A DOCKER -i {bridge} -j RETURN" for bridge in topology.BRIDGES]
    for door in doors:
        on = f"-d {door.on} " if door.on else ""
        by = f"! -i {door.bridge} " if proxy else ""
        to = f"[{door.address}]:{door.inside}" if family == 6 else f"{door.address}:{door.inside}"
        lines.append(
            f"-A DOCKER {on}{by}-p {door.proto} -m {door.proto} --dport {door.port} -j DNAT --to-destination {to}"
        )
    return lines


def _filter(random: Random, family: int, doors: t.Sequence[_Published], sets: t.Sequence[str]) -> list[str]:
    lines = [
        f":INPUT {weighted(random, {'ACCEPT': 3, 'DROP': 1})} [0:0]",
        ":FORWARD DROP [0:0]",
        ":OUTPUT ACCEPT [0:0]",
    ]
    lines += [f":{name} - [0:0]" for name in ("DOCKER", "DOCKER-USER", "ISOLATION-1", "ISOLATION-2")]
    for hook in ("INPUT", "OUTPUT"):
        lines += _own(Place(random, family, "filter", frozenset({hook}), base=True, sets=sets), hook)
    lines += ["-A FORWARD -j DOCKER-USER", "-A FORWARD -j ISOLATION-1"]
    for bridge in topology.BRIDGES:
        lines.append(f"-A FORWARD -o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
        lines.append(f"-A FORWARD -o {bridge} -j DOCKER")
        lines.append(f"-A FORWARD -i {bridge} ! -o {bridge} -j ACCEPT")
        lines.append(f"-A FORWARD -i {bridge} -o {bridge} -j {weighted(random, {'ACCEPT': 3, 'DROP': 1})}")
        lines.append(f"-A ISOLATION-1 -i {bridge} ! -o {bridge} -j ISOLATION-2")
        lines.append(f"-A ISOLATION-2 -o {bridge} -j DROP")
    lines += _own(Place(random, family, "filter", frozenset({"FORWARD"}), base=False, sets=sets), "DOCKER-USER")
    for door in doors:
        lines.append(
            f"-A DOCKER -d {door.address} ! -i {door.bridge} -o {door.bridge} -p {door.proto} -m {door.proto} --dport {door.inside} -j ACCEPT"
        )
    if chance(random, 0.4):
        lines += [f"-A DOCKER ! -i {bridge} -o {bridge} -j DROP" for bridge in topology.BRIDGES]
    return lines


def _own(place: Place, name: str) -> list[str]:
    return [" ".join(("-A", name, conditions(place), target(place, ()))) for _turn in range(place.random.randint(0, 4))]


def _raw(random: Random, family: int, doors: t.Sequence[_Published]) -> list[str]:
    lines = [":PREROUTING ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]"]
    lines += [f"-A PREROUTING -d {door.address} ! -i {door.bridge} -j DROP" for door in doors if chance(random, 0.5)]
    return lines
