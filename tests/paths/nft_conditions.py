# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random conditions of nftables rules, each valid where it is used."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field
from random import Random

from . import topology, values
from .values import chance, some, weighted


@dataclass
class Place:
    """Where a rule stands: the table's family, the hook its chain is called from, that chain's kind and priority."""

    random: Random
    table: str
    hook: str
    kind: str
    priority: int
    #: Sets of the table: name to the address family it holds.
    sets: t.Mapping[str, int]
    #: What the rule has narrowed down so far.
    family: int = field(default=0, init=False)
    proto: str = field(default="", init=False)

    def begin(self) -> None:
        """Start a new rule."""
        self.family = {"ip": 4, "ip6": 6}.get(self.table, 0)
        self.proto = ""

    def some_family(self) -> int:
        """Choose the family that the rule is about from here on."""
        if not self.family:
            self.family = 4 if chance(self.random, 0.6) else 6
        return self.family

    def named(self, *heads: str) -> list[str]:
        """Give the names of sets and maps of a kind that the rule could ask."""
        fitting = (name for name, family in self.sets.items() if not self.family or family == self.family)
        return sorted(name for name in fitting if name.startswith(heads))

    @property
    def ip(self) -> str:
        """The word for the header of the rule's family."""
        return "ip" if self.some_family() == 4 else "ip6"


_Asking = t.Callable[[Place], str]


def conditions(place: Place, *, least: int = 0) -> str:
    """Choose what a rule asks."""
    return _some(place, _ASKINGS, max(least, weighted(place.random, {0: 0.5, 1: 5, 2: 4, 3: 1})))


def frame_conditions(place: Place) -> str:
    """Choose what a rule asks of a frame."""
    return _some(place, _OF_FRAMES, weighted(place.random, {1: 3, 2: 2}))


def _some(place: Place, askings: t.Mapping[_Asking, float], number: int) -> str:
    random = place.random
    told: list[str] = []
    asked: set[_Asking] = set()
    for _turn in range(number):
        asking = weighted(random, askings)
        if asking not in asked:
            asked.add(asking)
            told.append(asking(place))
    return " ".join(text for text in told if text)


def _not(place: Place, probability: float = 0.2) -> str:
    return "!= " if chance(place.random, probability) else ""


def _address(place: Place) -> str:
    random, ip, family = place.random, place.ip, place.some_family()
    side = random.choice(("saddr", "daddr"))
    first, last = random.choice(values.RANGES[family])
    asked = {
        values.place(random, family): 6,
        f"{first}-{last}": 1,
        f"{{ {', '.join(some(random, values.DISJOINT[family]))} }}": 2,
    }
    if family == 4 and chance(random, 0.06):
        return f"ip {side} & 255.255.0.255 {random.choice(('==', '!='))} 192.0.0.9"
    return f"{ip} {side} {_not(place)}{weighted(random, asked)}"


def _named_set(place: Place) -> str:
    fitting = {name: place.sets[name] for name in place.named("nets", "pairs", "seen")}
    if not fitting:
        return ""
    name = place.random.choice(sorted(fitting))
    place.family = fitting[name]
    side = place.random.choice(("saddr", "daddr"))
    if name.startswith("pairs"):
        return f"{place.ip} {side} . {_port_key(place)} {_not(place)}@{name}" if _port_key(place) else ""
    return f"{place.ip} {side} {_not(place)}@{name}"


def _port_key(place: Place) -> str:
    if not place.proto:
        place.proto = place.random.choice(("tcp", "udp"))
    return f"{place.proto} dport" if place.proto in ("tcp", "udp") else ""


def _interface(place: Place) -> str:
    random = place.random
    side = random.choice(("iif", "oif"))
    if chance(random, 0.15):
        return f"{side}name {_not(place)}{random.choice(('eth*', 'br*', 'e*'))}"
    if chance(random, 0.2):
        names = ", ".join(some(random, ("eth0", "eth1", "br0", "br1", "lo"), 3))
        return f"{side}name {_not(place)}{{ {names} }}"
    name = values.name_of_interface(random)
    # By number it must exist.
    word = f"{side}name" if name == "wg0" or chance(random, 0.6) else side
    return f"{word} {_not(place)}{name}"


def _protocol(place: Place) -> str:
    random = place.random
    if not place.proto and chance(random, 0.15):
        # nft knows then that a port of another protocol cannot be meant.
        place.proto = "some"
        return f"meta l4proto {_not(place)}{{ {', '.join(some(random, ('tcp', 'udp', 'icmp', 'icmpv6', '47', '253'), 3))} }}"
    if place.proto:
        return ""
    place.proto = random.choice(("tcp", "udp", "gre"))
    if place.some_family() == 4 and chance(random, 0.2):
        return f"ip protocol {place.proto}"
    return f"meta l4proto {place.proto}"


def _ports(place: Place) -> str:
    random = place.random
    if not place.proto:
        place.proto = weighted(random, {"tcp": 6, "udp": 3})
    if place.proto not in ("tcp", "udp"):
        return ""
    head = place.proto if chance(random, 0.85) else "th"
    side = weighted(random, {"dport": 5, "sport": 1})
    first, last = values.port_range(random)
    asked = {
        str(values.port(random)): 6,
        f"{first}-{last}": 1,
        f"{{ {', '.join(map(str, some(random, topology.PORTS)))} }}": 3,
        f"{{ 1-79, {', '.join(map(str, some(random, (80, 443, 8080), 2)))} }}": 1,
    }
    need = f"meta l4proto {place.proto} " if head == "th" else ""
    return f"{need}{head} {side} {_not(place)}{weighted(random, asked)}"


def _any_port(place: Place) -> str:
    """Ask for a port without saying of which protocol."""
    if place.proto:
        return ""
    place.proto = "any"
    return f"meta l4proto {{ tcp, udp }} th dport {values.port(place.random)}"


def _flags(place: Place) -> str:
    if place.proto not in ("", "tcp"):
        return ""
    place.proto = "tcp"
    return "tcp flags " + place.random.choice((
        "& (fin | syn | rst | ack) == syn", "syn", "& syn == syn", "& (syn | ack) != syn", "& (fin | rst) != 0",
        "!= syn", "== syn", "{ syn, ack }",
    ))  # fmt: skip


def _icmp(place: Place) -> str:
    if place.proto:
        return ""
    place.proto = "icmp" if place.some_family() == 4 else "icmpv6"
    kinds = ("echo-request", "echo-reply", "destination-unreachable")
    if chance(place.random, 0.2):
        return f"{place.proto} code {_not(place)}{place.random.choice((0, 1))}"
    asked = {place.random.choice(kinds): 3.0, f"{{ {', '.join(some(place.random, kinds, 2))} }}": 1.0}
    return f"{place.proto} type {_not(place)}{weighted(place.random, asked)}"


def _state(place: Place) -> str:
    random = place.random
    listed = some(random, ("new", "established", "related", "invalid", "untracked"), 3)
    if len(listed) > 1 and chance(random, 0.3):
        return f"ct state {_not(place)}{{ {', '.join(listed)} }}"
    return f"ct state {_not(place) if len(listed) == 1 else ''}{','.join(listed)}"


def _connection(place: Place) -> str:
    random, ip, family = place.random, place.ip, place.some_family()
    if chance(random, 0.25):
        return _connection_port(place)
    asked = {
        f"ct status {random.choice(('dnat', 'snat', 'seen-reply', 'confirmed', 'dnat,snat'))}": 3,
        f"ct status & {random.choice(('dnat', 'snat', 'confirmed'))} == 0": 1,
        f"ct direction {random.choice(('original', 'reply'))}": 1.5,
        f"ct original {ip} {random.choice(('saddr', 'daddr'))} {_not(place)}{values.place(random, family)}": 3,
        f"ct reply {ip} {random.choice(('saddr', 'daddr'))} {_not(place)}{values.place(random, family)}": 2,
        f"ct mark {_not(place)}{values.mark(random)}": 1,
        f"ct mark & {values.mask(random):#x} == {values.mark(random) & 0x10:#x}": 1,
    }
    return weighted(random, asked)


def _connection_port(place: Place) -> str:
    told = f"ct {place.random.choice(('original proto-dst', 'reply proto-src', 'reply proto-dst'))} {_not(place)}{values.port(place.random)}"
    if place.proto in ("tcp", "udp"):
        return told
    # Without a protocol some releases do not know what kind of number this is.
    place.proto = place.proto or "tcp"
    return f"meta l4proto {{ tcp, udp }} {told}" if place.proto == "any" else f"meta l4proto tcp {told}"


def _fib(place: Place) -> str:
    random = place.random
    kinds = ("local", "unicast", "broadcast", "multicast")
    listed = random.choice(("local", random.choice(kinds), f"{{ {', '.join(some(random, kinds, 2))} }}"))
    told = f"fib {random.choice(('saddr', 'daddr', 'daddr'))} type {_not(place)}{listed}"
    if place.hook in ("prerouting", "input", "forward") and chance(random, 0.4):
        return random.choice((
            f"fib daddr . iif type {_not(place)}local",
            f"fib saddr . iif oif {random.choice(('missing', 'exists'))}",
            "fib saddr . iif oif 0",
            f"fib saddr oif {_not(place)}{random.choice(('eth0', 'br0'))}",
            f"fib saddr oifname {_not(place)}{random.choice(('eth0', 'br0'))}",
        ))  # fmt: skip
    return told


def _mark(place: Place) -> str:
    random = place.random
    asked = {
        f"meta mark {_not(place)}{values.mark(random):#x}": 3,
        f"meta mark & {values.mask(random):#x} {random.choice(('==', '!='))} {random.choice((0, 0x10, 1)):#x}": 2,
        f"meta mark {{ {', '.join(map(str, some(random, topology.MARKS, 3)))} }}": 1,
        "meta mark 1-255": 1,
    }
    return weighted(random, asked)


def _family(place: Place) -> str:
    if place.table == "inet" and not place.family:
        return f"meta nfproto {'ipv4' if place.some_family() == 4 else 'ipv6'}"
    return ""


def _pair(place: Place) -> str:
    """Ask for two things at once."""
    random, ip, family = place.random, place.ip, place.some_family()
    names = [f"{values.name_of_interface(random)} . {values.name_of_interface(random)}" for _turn in range(3)]
    asked = {
        f"iifname . oifname {{ {', '.join(dict.fromkeys(names))} }}": 2,
        f"{ip} saddr . {ip} daddr {{ {values.address(random, family)} . {values.address(random, family)} }}": 1,
        f"{ip} saddr . meta mark {{ {values.address(random, family)} . {values.mark(random)} }}": 1,
        f"iifname . {ip} saddr {{ eth0 . {random.choice(values.DISJOINT[family])}, br0 . {values.address(random, family)} }}": 2,
    }
    return weighted(random, asked)


def _user(place: Place) -> str:
    return (
        f"meta skuid {_not(place)}{place.random.choice(('0', '1000', '0-1000'))}"
        if place.hook in ("output", "postrouting")
        else ""
    )


def _kind(place: Place) -> str:
    return f"meta pkttype {_not(place)}{place.random.choice(('unicast', 'broadcast', 'multicast', 'host'))}"


def _rate(place: Place) -> str:
    return place.random.choice(
        ("limit rate 1/hour", "numgen inc mod 2 0", "limit rate over 1/hour burst 2 packets", "quota over 300 bytes")
    )


def _rare(place: Place) -> str:
    return place.random.choice(
        (
            "meta length 20-60",
            "@nh,0,8 0x45",
            "ip dscp cs1" if place.some_family() == 4 else "ip6 dscp cs1",
            f"ether saddr {topology.TAPS[0].mac}" if place.hook in ("prerouting", "input", "forward") else "",
        )
    )


_ASKINGS: dict[_Asking, float] = {
    _address: 10, _named_set: 3, _interface: 8, _protocol: 3, _ports: 10, _any_port: 1, _flags: 1.5, _icmp: 2, _state: 5,
    _connection: 4, _fib: 3, _mark: 2, _family: 1, _pair: 1.5, _user: 1, _kind: 0.7, _rate: 0.2, _rare: 0.15,
}  # fmt: skip
_OF_FRAMES: dict[_Asking, float] = {_address: 5, _ports: 5, _protocol: 2, _icmp: 1, _flags: 1}
