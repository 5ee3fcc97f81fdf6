# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random values of which rules and packets are made: few enough that rules often meet the packets they speak of."""

from __future__ import annotations

import typing as t
from random import Random

from . import topology
from .topology import family_of

T = t.TypeVar("T")

PREFIXES = {
    4: (
        "192.0.2.0/24", "192.0.2.0/30", "192.0.2.8/29", "198.51.100.0/24", "10.0.0.0/8", "10.77.0.0/24", "10.88.0.0/16", "10.99.0.0/24",
        "172.16.0.0/12", "172.18.0.0/16", "172.18.0.0/30", "172.19.0.0/16", "127.0.0.0/8", "224.0.0.0/4", "0.0.0.0/8",
    ),
    6: (
        "2001:db8:1::/64", "2001:db8::/32", "2001:db8:99::/48", "fd00::/8", "fd77::/64", "fd88::/32", "fd18::/64",
        "fd18::/126", "fd19::/64", "ff00::/8", "::1/128",
    ),
}  # fmt: skip
#: No two of these share an address: sets of ranges do not take such.
DISJOINT = {
    4: (
        "192.0.2.0/30", "192.0.2.9", "198.51.100.0/25", "10.77.0.0/24", "10.88.0.0/16", "172.18.0.0/31", "172.18.0.2",
        "172.19.0.0/16", "127.0.0.0/8",
    ),
    6: ("2001:db8:1::/126", "2001:db8:1::9", "2001:db8:99::/48", "fd77::/64", "fd18::/127", "fd18::2", "fd19::/64"),
}  # fmt: skip
RANGES = {
    4: (("192.0.2.2", "192.0.2.9"), ("172.18.0.2", "172.18.0.3"), ("10.0.0.0", "10.88.3.3"), ("172.18.0.1", "172.19.0.2")),
    6: (("2001:db8:1::2", "2001:db8:1::9"), ("fd18::2", "fd18::3"), ("fd18::1", "fd19::2"), ("fd00::", "fd77::9")),
}  # fmt: skip


def chance(random: Random, probability: float) -> bool:
    """Say yes so often."""
    return random.random() < probability


def weighted(random: Random, choices: t.Mapping[T, float]) -> T:
    """Choose a key by its weight."""
    return random.choices(list(choices), list(choices.values()))[0]


def some(random: Random, of: t.Sequence[T], most: int = 4) -> list[T]:
    """Choose one to ``most`` different ones."""
    return random.sample(list(of), random.randint(1, min(most, len(of))))


def containers(family: int) -> list[str]:
    """Give the addresses of containers that exist."""
    first = [next(item for item in listed if family_of(item) == family) for listed in topology.BEHIND.values()]
    return first


def addresses(family: int) -> list[str]:
    """Give all addresses that rules and packets speak of."""
    groups = (topology.BEHIND, topology.NEAR, topology.FAR)
    listed = [item for group in groups for items in group.values() for item in items if family_of(item) == family]
    return [*topology.own_addresses(family), *listed, *odd(family)]


def odd(family: int) -> list[str]:
    """Give addresses that no honest packet has."""
    return [item for item in topology.ODD if family_of(item) == family]


def address(random: Random, family: int) -> str:
    """Choose an address: mostly one of the host's or of a container."""
    groups = {0: topology.own_addresses(family), 1: containers(family), 2: addresses(family)}
    return random.choice(groups[weighted(random, {0: 4, 1: 4, 2: 3})])


def place(random: Random, family: int) -> str:
    """Choose an address or a prefix."""
    return random.choice(PREFIXES[family]) if chance(random, 0.5) else address(random, family)


def port(random: Random) -> int:
    """Choose a port."""
    return random.choice(topology.PORTS)


def port_range(random: Random) -> tuple[int, int]:
    """Choose a range of ports."""
    # Not all ports: iptables-save leaves "! --dport 0:65535" out, as if the rule fitted all instead of none.
    first, last = sorted(random.sample((0, 1, 53, 80, 443, 1024, 8080, 9090, 40000, 65535), 2))
    return first, last if first or last < 65535 else 1024


def mark(random: Random) -> int:
    """Choose a mark."""
    return random.choice(topology.MARKS)


def mask(random: Random) -> int:
    """Choose a mask for marks."""
    return random.choice((0xFF, 0x10, 0xFFFFFFFF, 0x8001, 0x3))


def name_of_interface(random: Random) -> str:
    """Choose an interface, which may be one that does not exist."""
    return weighted(random, {"eth0": 5, "eth1": 3, "br0": 5, "br1": 3, "lo": 2, "wg0": 1})
