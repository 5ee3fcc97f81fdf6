# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""A host as its packets meet it: addresses, routes, bridges, sysctls, what listens; and what follows from them."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from . import sets
from .routing import Fork
from .sets import EMPTY, IntSet

#: IPv4 addresses that no route decides about.
LOOPBACK4 = sets.network("127.0.0.0/8")[1]
MULTICAST4 = sets.network("224.0.0.0/4")[1]
ZERONET = sets.network("0.0.0.0")[1]
LIMITED_BROADCAST = sets.network("255.255.255.255")[1]
#: Groups in which every host is.
ALL_HOSTS4 = sets.network("224.0.0.1")[1]
ALL_HOSTS6 = sets.network("ff02::1")[1]
LOOPBACK6 = sets.network("::1")[1]
MULTICAST6 = sets.network("ff00::/8")[1]
LINKLOCAL6 = sets.network("fe80::/10")[1]
UNSPECIFIED6 = sets.network("::")[1]

#: IPv6 addresses of one link, and those of a scope smaller than the whole network.
_LINK6 = LINKLOCAL6 | sets.network("ff02::/16")[1]
_NARROW6 = _LINK6 | LOOPBACK6 | sets.network("ff01::/16")[1] | sets.network("ff05::/16")[1]

#: Words that stand for an interface in a route that leads nowhere.
NOWHERE = frozenset({"unreachable", "blackhole", "prohibit", "throw"})


@dataclass(frozen=True)
class Listener:
    """A socket that waits for callers; an empty ``address`` is all addresses of ``families``.

    ``name`` is that of its process, ``container`` the ID of the container that the process belongs to, if any.
    """

    proto: str
    address: str
    port: int
    name: str = ""
    families: tuple[int, ...] = (4, 6)
    container: str = ""


@dataclass(frozen=True)
class Host:
    """One host, or one network namespace of it.

    :param addresses: by interface, addresses with prefix length, both families; interfaces and addresses in the order
        in which ``ip address`` lists them, which decides where the kernel takes the first one that fits.
    :param routes: (prefix, interface) of both families; the interface may be ``unreachable``, ``blackhole`` or
        ``prohibit``; a third element is the gateway. Of two routes to one prefix the first one counts.
    :param bridges: interfaces that are bridges, whose ports see each other without routing.
    :param sysctl: full dotted names to text or number. Not set: ip_forward and IPv6 forwarding count as on (this is a
        Docker host), everything else as the kernel's own default, which is off.
    :param listeners: sockets that wait for callers; None when they were not read.
    :param ipsets: contents by name: ``CIDR``, ``CIDR,port``, ``CIDR,tcp:port``, ``port``, ``CIDR,CIDR``, ...
    :param forks: packets whose next hop is not known, where somebody has worked that out.
    :param policy_rules: routing rules beyond the kernel's own three, as text: with any, where a packet goes that is not
        for the host itself is not known.
    """

    addresses: t.Mapping[str, t.Sequence[str]] = field(default_factory=dict)
    routes: t.Sequence[t.Sequence[str]] = ()
    bridges: t.Collection[str] = frozenset()
    sysctl: t.Mapping[str, t.Any] = field(default_factory=dict)
    listeners: t.Sequence[Listener] | None = None
    ipsets: t.Mapping[str, t.Sequence[str]] = field(default_factory=dict)
    policy_rules: t.Sequence[str] = ()
    forks: t.Sequence[Fork] = ()


class _Route(t.NamedTuple):
    """A route as it is asked for: ``size`` is smaller the more it says."""

    family: int
    reach: IntSet
    size: int
    name: str
    gateway: int | None
    text: str


def _read_route(prefix: str, name: str, gateway: str = "") -> _Route:
    prefix = {"default": "0.0.0.0/0"}.get(prefix, prefix)
    family, reach = sets.network(prefix)
    # Not len(): Python's own stops at 63 bits.
    first, last = reach.ranges[0]
    hop = sets.address(gateway)[1] if gateway else None
    return _Route(family, reach, last - first, str(name), hop, f"{prefix} dev {name}")


class Knowledge:
    """What follows from a :class:`Host`, worked out once and asked for each packet."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._own: dict[tuple[int, str], IntSet] = {}
        self._first: dict[tuple[int, str], list[tuple[int, IntSet]]] = {}
        self._broadcasts: dict[str, IntSet] = {}
        for name, prefixes in host.addresses.items():
            for prefix in prefixes:
                self._add_address(name, prefix)
        self.local = {family: self._all_local(family) for family in (4, 6)}
        self._read_routes: dict[int, list[_Route]] = {}
        self._routes: dict[int, list[tuple[IntSet, str, str]]] = {}
        self._settings = {str(name).replace("/", "."): value for name, value in host.sysctl.items()}
        self._ipsets: dict[tuple[str, int], t.Any] = {}
        self._reached: dict[tuple[int, str, bool], IntSet] = {}
        self._received: dict[tuple[int, str], IntSet] = {}
        self._anycast: IntSet | None = None

    def _add_address(self, name: str, prefix: str) -> None:
        text = prefix.partition("/")[0].partition("%")[0]
        family, number = sets.address(text)
        _family, reach = sets.network(prefix.partition("%")[0])
        key = (family, name)
        self._own[key] = self._own.get(key, EMPTY) | IntSet.of(number)
        self._first.setdefault(key, []).append((number, reach))
        first, last = reach.ranges[0]
        if family == 4 and last - first > 1:
            self._broadcasts[name] = self._broadcasts.get(name, EMPTY) | IntSet.of(last)

    def _all_local(self, family: int) -> IntSet:
        ranges = [pair for (version, _name), own in self._own.items() if version == family for pair in own.ranges]
        return IntSet([*ranges, *(LOOPBACK4 if family == 4 else LOOPBACK6).ranges])

    def setting(self, name: str, default: int = 0) -> int:
        """Read a sysctl as a number; what is not there or no number is ``default``."""
        try:
            return int(str(self._settings.get(name, default)).split()[0])
        except (ValueError, IndexError):
            return default

    def of_interface(self, option: str, name: str, *, family: int = 4) -> int:
        """Read a per-interface sysctl as the kernel mostly does: the higher one of ``all`` and the interface's own."""
        head = f"net.ipv{family}.conf"
        return max(self.setting(f"{head}.all.{option}"), self.setting(f"{head}.{name.replace('/', '.')}.{option}"))

    def forwards(self, family: int, iif: str) -> bool:
        """Tell whether packets that come in by this interface may go on to others."""
        if family == 6:
            forced = f"net.ipv6.conf.{iif.replace('/', '.')}.force_forwarding"
            return bool(self.setting("net.ipv6.conf.all.forwarding", 1) or self.setting(forced))
        whole = self.setting("net.ipv4.ip_forward", 1)
        return bool(self.setting(f"net.ipv4.conf.{iif.replace('/', '.')}.forwarding", whole))

    def bridge_filtered(self, family: int) -> bool:
        """Tell whether bridged packets pass iptables' and nftables' IP hooks."""
        name = "bridge-nf-call-iptables" if family == 4 else "bridge-nf-call-ip6tables"
        return bool(self.setting(f"net.bridge.{name}"))

    def own(self, family: int, name: str) -> IntSet:
        """Give the addresses of one interface."""
        return self._own.get((family, name), EMPTY)

    def broadcasts(self, name: str | None = None) -> IntSet:
        """Give the IPv4 broadcast addresses, of one interface or of all."""
        listed = self._broadcasts.values() if name is None else [self._broadcasts.get(name, EMPTY)]
        return IntSet(pair for found in (LIMITED_BROADCAST, *listed) for pair in found.ranges)

    def received(self, family: int, iif: str) -> IntSet:
        """Give the addresses that the host takes for its own in packets from this interface."""
        key = (family, iif if family == 6 else "")
        found = self._received.get(key)
        if found is None:
            if family == 4:
                found = self.local[4] | self.broadcasts() | ZERONET | ALL_HOSTS4
            else:
                # A link-local address belongs to its link only, and so does that of the host itself.
                bound = LINKLOCAL6 | (LOOPBACK6 if iif != "lo" else EMPTY)
                found = (self.local[6] - bound) | (self.own(6, iif) & LINKLOCAL6) | self.subnet_routers() | ALL_HOSTS6
            self._received[key] = found
        return found

    def neighbours(self, family: int, bridge: str) -> IntSet:
        """Give the addresses that somebody at a bridge asks for without the help of the host."""
        links = LINKLOCAL6 if family == 6 else EMPTY
        return (self.reached_by(family, bridge) | links) - self.received(family, bridge)

    def own_targets(self, family: int) -> IntSet:
        """Give the addresses to which the host's own packets go through its loopback interface."""
        return self.local[4] | ZERONET if family == 4 else self.local[6] | self.subnet_routers()

    def subnet_routers(self) -> IntSet:
        """Give the addresses that mean any router of an IPv6 network, where this host is one."""
        whole = self.setting("net.ipv6.conf.all.forwarding", 1)
        return IntSet(
            (reach.ranges[0][0], reach.ranges[0][0])
            for (family, name), listed in self._first.items()
            if family == 6 and self.setting(f"net.ipv6.conf.{name.replace('/', '.')}.forwarding", whole)
            for _number, reach in listed
            if _length6(reach) < 127
        )

    def anycast(self) -> IntSet:
        """Give the IPv6 addresses that the kernel calls anycast: the first one of each network that it is in."""
        if self._anycast is None:
            firsts = [
                route.reach.ranges[0][0]
                for route in self._listed(6)
                if route.gateway is None and route.name not in NOWHERE and _length6(route.reach) < 127
            ]
            self._anycast = IntSet.of(*firsts) | self.subnet_routers()
        return self._anycast

    def source_for(self, family: int, oif: str, dst: int | None) -> int | None:
        """Give the address that a packet gets which leaves by ``oif`` under the interface's own name."""
        if (
            family == 6
            and dst is not None
            and dst in self.local[6]
            and (oif == "lo" or dst not in LINKLOCAL6 | LOOPBACK6)
        ):
            return dst
        if family == 6 and dst is not None and dst in LINKLOCAL6 | LOOPBACK6 | UNSPECIFIED6:
            near = [item for item in self._first.get((6, oif), []) if item[0] in LINKLOCAL6]
            candidates = near or self._usable(family, oif)
        else:
            candidates = self._usable(family, oif)
        if family == 4 and dst is not None:
            hop = self._next_hop(dst)
            # Stable: of several near ones, and of several others, the first listed is taken.
            candidates = sorted(candidates, key=lambda item: hop not in item[1])
        if not candidates:
            others = [name for version, name in self._first if version == family]
            candidates = [item for name in others for item in self._usable(family, name)]
        if not candidates or family == 4 or dst is None:
            return candidates[0][0] if candidates else None
        return max(candidates, key=lambda item: _preference(item[0], item[1], dst))[0]

    def _next_hop(self, dst: int) -> int:
        """Give the gateway on the way to an IPv4 address, or the address itself where there is none."""
        fitting = [route for route in self._listed(4) if dst in route.reach]
        if dst in self.local[4] or not fitting:
            return dst
        best = min(fitting, key=lambda route: route.size)
        return dst if best.gateway is None else best.gateway

    def _usable(self, family: int, name: str) -> list[tuple[int, IntSet]]:
        """Give the addresses of an interface that mean the host everywhere, not on one link or on itself only."""
        bound = LOOPBACK4 if family == 4 else LINKLOCAL6 | LOOPBACK6
        return [(number, reach) for number, reach in self._first.get((family, name), []) if number not in bound]

    def redirect_to(self, family: int, iif: str | None, dst: int | None) -> int | None:
        """Give the address that REDIRECT sends a packet to; None when there is none, and the packet is dropped."""
        if iif is None:
            return sets.address("127.0.0.1" if family == 4 else "::1")[1]
        listed = [number for number, _reach in self._first.get((family, iif), [])]
        if family == 6 and dst is not None and dst in _NARROW6:
            # What was sent to a place near is redirected to one as near.
            listed = [number for number in listed if dst in _LINK6 and number in LINKLOCAL6]
        return listed[0] if listed else None

    def routes(self, family: int) -> list[tuple[IntSet, str, str]]:
        """Split all addresses by where packets to them go: (addresses, interface, the route as text)."""
        found = self._routes.get(family)
        if found is None:
            found = self._routes[family] = self._split(family)
        return found

    def _listed(self, family: int) -> list[_Route]:
        found = self._read_routes.get(family)
        if found is None:
            every = [_read_route(*route) for route in self.host.routes]
            found = self._read_routes[family] = [route for route in every if route.family == family]
        return found

    def _split(self, family: int) -> list[tuple[IntSet, str, str]]:
        listed = [(route.size, route.reach, route.name, route.text) for route in self._listed(family)]
        left = sets.ALL_ADDRESSES[family]
        parts = []
        for _size, reach, name, text in sorted(listed, key=lambda item: item[0]):
            mine = reach & left
            if mine:
                parts.append((mine, name, text))
                left = left - mine
        if left:
            parts.append((left, "", "no route"))
        return parts

    def route(self, family: int, dst: int) -> tuple[str, str]:
        """Give the interface (empty when there is no route) and the route's text for one address."""
        return next((name, text) for reach, name, text in self.routes(family) if dst in reach)

    def strict_route(self, dst: int, name: str) -> str:
        """Give the text of the IPv6 route to an address among those that leave by one interface; empty without one."""
        fitting = [route for route in self._listed(6) if route.name == name and dst in route.reach]
        return min(fitting, key=lambda route: route.size).text if fitting else ""

    def on_link(self, name: str) -> IntSet:
        """Give the IPv6 addresses of one link that are found by this interface."""
        routes = [route.reach for route in self._listed(6) if route.name == name]
        return IntSet(pair for reach in routes for pair in reach.ranges) & LINKLOCAL6 - self.own(6, name)

    def strict_reach(self, name: str) -> IntSet:
        """Give the IPv6 addresses to which a route leaves by one interface, whatever other routes there are."""
        return IntSet(pair for route in self._listed(6) if route.name == name for pair in route.reach.ranges)

    def reached_by(self, family: int, name: str, *, loose: bool = False) -> IntSet:
        """Give the addresses whose route leaves by this interface, or by any (``loose``)."""
        key = (family, "" if loose else name, loose)
        found = self._reached.get(key)
        if found is None:
            found = self._reached[key] = IntSet(
                pair
                for reach, interface, _text in self.routes(family)
                if interface and interface not in NOWHERE and (loose or interface == name)
                for pair in reach.ranges
            )
        return found

    def ipset(self, name: str, family: int) -> list[tuple[t.Any, ...]] | None:
        """Give an ipset's elements, each a tuple of parts (see :func:`_element`); None when it is not known."""
        key = (name, family)
        if key not in self._ipsets:
            self._ipsets[key] = self._read_ipset(name, family)
        return t.cast("list[tuple[t.Any, ...]] | None", self._ipsets[key])

    def _read_ipset(self, name: str, family: int) -> list[tuple[t.Any, ...]] | None:
        listed = self.host.ipsets.get(name)
        if listed is None:
            return None
        try:
            elements = [_element(str(item)) for item in listed]
        except ValueError:
            return None
        fitting = [
            element for element in elements if all(part[0] != "address" or part[1] == family for part in element)
        ]
        if fitting and all(len(element) == 1 and element[0][0] == "address" for element in fitting):
            # One test instead of thousands.
            return [(("address", family, IntSet(pair for element in fitting for pair in element[0][2].ranges)),)]
        return fitting


#: IPv6's labels (RFC 6724, as the kernel has them): a source of the target's own label is better than any other.
_LABELS = [
    (sets.network(prefix)[1], label)
    for prefix, label in (
        ("2002::/16", 2), ("fc00::/7", 5), ("2001::/32", 6), ("2001:10::/28", 7), ("fec0::/10", 11), ("3ffe::/16", 12),
    )
]  # fmt: skip


def _label(number: int) -> int:
    return next((label for reach, label in _LABELS if number in reach), 1)


def _preference(number: int, reach: IntSet, dst: int) -> tuple[bool, int]:
    """Say how good an IPv6 address is as the source for a target; of equally good ones the first listed is taken."""
    return _label(number) == _label(dst), min(128 - (number ^ dst).bit_length(), _length6(reach))


def _length6(reach: IntSet) -> int:
    """Give the length of an IPv6 prefix."""
    first, last = reach.ranges[0]
    return 128 - (last - first).bit_length()


def _element(text: str) -> tuple[t.Any, ...]:
    """Read one element of an ipset. Each part is ("address", family, IntSet), ("port", proto, IntSet) or ("interface", name)."""
    words = text.split()
    if "nomatch" in words:
        raise ValueError("an exception in an ipset is not understood")
    return tuple(_part(part) for part in words[0].split(","))


def _part(text: str) -> tuple[t.Any, ...]:
    proto, colon, ports = text.partition(":")
    if colon and proto.isalnum() and proto.lower() in _WITH_PORTS:
        return ("port", proto.lower(), _ports(ports))
    if text.isdigit() or (text.replace("-", "").isdigit() and "." not in text):
        return ("port", "", _ports(text))
    try:
        family, found = sets.span(text)
    except ValueError:
        if text[:1].isalpha() and ":" not in text:
            return ("interface", text)
        raise
    return ("address", family, found)


_WITH_PORTS = frozenset({"tcp", "udp", "sctp", "udplite"})


def _ports(text: str) -> IntSet:
    first, dash, last = text.partition("-")
    return IntSet([(int(first), int(last if dash else first))])
