# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random conditions of iptables rules, each valid where it is used."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field
from random import Random

from . import topology, values
from .values import chance, some, weighted

_IN = {"PREROUTING", "INPUT", "FORWARD"}
_OUT = {"FORWARD", "OUTPUT", "POSTROUTING"}


@dataclass
class Place:
    """Where a rule stands: the hooks it can be reached from (``hooks``), and whether directly (``base``)."""

    random: Random
    family: int
    table: str
    hooks: frozenset[str]
    base: bool
    sets: t.Sequence[str] = ()
    #: The protocol that the rule asks for; ``another`` when it asks for any but one.
    proto: str = field(default="", init=False)


def conditions(place: Place) -> str:
    """Choose what a rule asks; sets ``place.proto`` to what its ``-p`` says."""
    random = place.random
    place.proto = ""
    told = []
    if chance(random, 0.45):
        place.proto = weighted(random, {"tcp": 6, "udp": 3, "icmp": 2, "gre": 0.3})
        if place.proto == "icmp" and place.family == 6:
            place.proto = "icmpv6"
        told.append(f"-p {place.proto}")
    elif chance(random, 0.1):
        place.proto = "another"
        told.append(f"! -p {random.choice(('tcp', 'udp', '47', '253'))}")
    weights: dict[_Asking, float] = {**_ASKINGS, **_OF_PROTOCOL.get(place.proto, {})}
    # A rule that asks nothing hides all that come after it.
    number = weighted(random, {0: 3 if told else 0.5, 1: 5, 2: 3, 3: 1})
    asked: set[_Asking] = set()
    for _turn in range(number):
        asking = weighted(random, weights)
        if asking not in asked and not (asking in _OF_INTERFACES and asked & _OF_INTERFACES):
            asked.add(asking)
            told.append(asking(place))
    return " ".join(text for text in told if text)


_Asking = t.Callable[[Place], str]


def _not(place: Place, probability: float = 0.2) -> str:
    return "! " if chance(place.random, probability) else ""


def _source(place: Place) -> str:
    return f"{_not(place)}-s {_masked(place)}"


def _target(place: Place) -> str:
    return f"{_not(place)}-d {_masked(place)}"


def _masked(place: Place) -> str:
    if chance(place.random, 0.05):
        return "192.0.2.9/255.255.0.255" if place.family == 4 else "fd18::2/ffff:0:0:0:0:0:0:ffff"
    return values.place(place.random, place.family)


def _interface(place: Place) -> str:
    name = values.name_of_interface(place.random)
    if chance(place.random, 0.2):
        name = place.random.choice(("eth+", "br+", "e+", "b+", "eth0+"))
    flags = [
        *(["-i"] if not place.base or place.hooks <= _IN else []),
        *(["-o"] if not place.base or place.hooks <= _OUT else []),
    ]
    return f"{_not(place)}{place.random.choice(flags)} {name}" if flags else ""


def _both_interfaces(place: Place) -> str:
    if place.base and place.hooks != {"FORWARD"}:
        return _interface(place)
    first, second = (values.name_of_interface(place.random) for _turn in range(2))
    return f"{_not(place)}-i {first} {_not(place)}-o {second}"


def _ports(place: Place) -> str:
    side = weighted(place.random, {"--dport": 5, "--sport": 1})
    if chance(place.random, 0.2):
        first, last = values.port_range(place.random)
        return f"-m {place.proto} {_not(place)}{side} {first}:{last}"
    return f"-m {place.proto} {_not(place)}{side} {values.port(place.random)}"


def _multiport(place: Place) -> str:
    side = weighted(place.random, {"--dports": 5, "--sports": 1, "--ports": 1})
    listed = [str(port) for port in some(place.random, topology.PORTS, 5)]
    if chance(place.random, 0.3):
        listed.append(":".join(map(str, values.port_range(place.random))))
    return f"-m multiport {_not(place)}{side} {','.join(listed)}"


def _flags(place: Place) -> str:
    asked = place.random.choice(
        (
            "--syn",
            "--tcp-flags SYN,ACK SYN",
            "--tcp-flags FIN,SYN,RST,ACK SYN",
            "--tcp-flags ALL NONE",
            "--tcp-flags RST RST",
        )
    )
    return f"-m tcp {_not(place)}{asked}"


def _icmp(place: Place) -> str:
    if place.family == 4:
        return f"-m icmp {_not(place)}--icmp-type {place.random.choice(('8', '8/0', 'echo-reply', '13', '3/1', '3', 'any'))}"
    return f"-m icmp6 {_not(place)}--icmpv6-type {place.random.choice(('128', '128/0', 'echo-reply', '1', '135'))}"


def _state(place: Place) -> str:
    names = ["NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED"]
    if chance(place.random, 0.3):
        return f"-m state {_not(place)}--state {','.join(some(place.random, names, 3))}"
    return f"-m conntrack {_not(place)}--ctstate {','.join(some(place.random, [*names, 'SNAT', 'DNAT'], 3))}"


def _conntrack(place: Place) -> str:
    random, family = place.random, place.family
    options: dict[str, t.Callable[[], str]] = {
        "--ctstate": lambda: ",".join(some(random, ["NEW", "ESTABLISHED", "INVALID", "DNAT", "SNAT"], 2)),
        "--ctproto": lambda: random.choice(("tcp", "udp", "6", "1")),
        "--ctorigsrc": lambda: values.place(random, family),
        "--ctorigdst": lambda: values.place(random, family),
        "--ctreplsrc": lambda: values.place(random, family),
        "--ctrepldst": lambda: values.place(random, family),
        "--ctorigsrcport": lambda: str(values.port(random)),
        "--ctorigdstport": lambda: _span(random),
        "--ctreplsrcport": lambda: _span(random),
        "--ctrepldstport": lambda: str(values.port(random)),
        "--ctstatus": lambda: ",".join(some(random, ["NONE", "EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED"], 2)),
    }
    chosen = some(random, list(options), 2)
    told = [f"{_not(place)}{option} {options[option]()}" for option in chosen]
    if chance(random, 0.2):
        told.append(f"--ctdir {random.choice(('ORIGINAL', 'REPLY'))}")
    return f"-m conntrack {' '.join(told)}"


def _span(random: Random) -> str:
    if chance(random, 0.2):
        return ":".join(map(str, values.port_range(random)))
    return str(values.port(random))


def _address_type(place: Place) -> str:
    random = place.random
    kinds = ["LOCAL", "UNICAST", "MULTICAST", "UNREACHABLE", "ANYCAST", "UNSPEC"]
    kinds += ["BROADCAST"] if place.family == 4 else []
    listed = ["LOCAL"] if chance(random, 0.5) else some(random, kinds, 2)
    told = f"-m addrtype {_not(place)}--{random.choice(('src', 'dst', 'dst'))}-type {','.join(listed)}"
    if chance(random, 0.15):
        if place.hooks <= {"PREROUTING", "INPUT"}:
            told += " --limit-iface-in"
        elif place.hooks <= {"OUTPUT", "POSTROUTING"}:
            told += " --limit-iface-out"
    return told


def _iprange(place: Place) -> str:
    first, last = place.random.choice(values.RANGES[place.family])
    return f"-m iprange {_not(place)}--{place.random.choice(('src', 'dst'))}-range {first}-{last}"


def _mark(place: Place) -> str:
    kind = place.random.choice(("mark", "mark", "connmark"))
    told = f"{values.mark(place.random):#x}"
    if chance(place.random, 0.4):
        told += f"/{values.mask(place.random):#x}"
    return f"-m {kind} {_not(place)}--mark {told}"


def _set(place: Place) -> str:
    fitting = [item for item in place.sets if item.endswith(str(place.family))]
    if not fitting:
        return ""
    name = place.random.choice(fitting)
    directions = [place.random.choice(("src", "dst")) for _part in range(name.count("_"))]
    return f"-m set {_not(place)}--match-set {name} {','.join(directions)}"


def _comment(place: Place) -> str:
    return f'-m comment --comment "{place.random.choice(("plain", "with space", "-j ACCEPT", "it is a -m state"))}"'


def _owner(place: Place) -> str:
    if not place.hooks <= {"OUTPUT", "POSTROUTING"}:
        return ""
    if chance(place.random, 0.1):
        return f"-m owner {_not(place)}--socket-exists"
    asked = place.random.choice(("0", "1000", "65534", "0-1000"))
    return f"-m owner {_not(place)}--uid-owner {asked}"


def _reverse_path(place: Place) -> str:
    if place.table not in ("raw", "mangle") or place.hooks != {"PREROUTING"}:
        return ""
    options = [option for option in ("--loose", "--accept-local", "--invert") if chance(place.random, 0.3)]
    return f"-m rpfilter {' '.join(options)}"


def _policy(place: Place) -> str:
    if place.hooks <= _IN:
        return f"-m policy --dir in --pol {place.random.choice(('none', 'ipsec'))}"
    if place.hooks <= _OUT:
        return f"-m policy --dir out --pol {place.random.choice(('none', 'ipsec'))}"
    return ""


def _packet_type(place: Place) -> str:
    return f"-m pkttype {_not(place)}--pkt-type {place.random.choice(('unicast', 'broadcast', 'multicast'))}"


def _bridge_port(place: Place) -> str:
    random = place.random
    if place.hooks == {"FORWARD"}:
        return random.choice(
            (
                "-m physdev --physdev-is-bridged",
                "-m physdev ! --physdev-is-bridged",
                f"-m physdev {_not(place)}--physdev-in c1",
            )
        )
    if place.hooks <= {"INPUT", "FORWARD"}:
        return random.choice(
            ("-m physdev --physdev-is-in", "-m physdev ! --physdev-is-in", "-m physdev --physdev-in c+")
        )
    return ""


def _mac(place: Place) -> str:
    return f"-m mac {_not(place)}--mac-source {place.random.choice(topology.TAPS).mac}" if place.hooks <= _IN else ""


def _rate(place: Place) -> str:
    return place.random.choice((
        "-m limit --limit 1/hour --limit-burst 3",
        "-m statistic --mode nth --every 2 --packet 0",
        "-m statistic --mode random --probability 0.5",
        "-m recent --name seen --set",
        "-m recent --name seen --rcheck --seconds 60",
        # Linux 6.18 drops what is not new and was not counted, whatever the rule's target is.
        "-m conntrack --ctstate NEW -m connlimit --connlimit-above 2",
        "-m hashlimit --hashlimit-upto 1/hour --hashlimit-burst 1 --hashlimit-mode srcip --hashlimit-name few",
    ))  # fmt: skip


def _rare(place: Place) -> str:
    return place.random.choice(
        ("-m length --length 20:40", "-m string --string nothing --algo bm", "-m dscp --dscp 0x01")
    )


_ASKINGS: dict[_Asking, float] = {
    _source: 6, _target: 6, _interface: 8, _both_interfaces: 2, _state: 5, _conntrack: 3, _address_type: 3, _iprange: 1,
    _mark: 2, _set: 2, _comment: 0.5, _owner: 2, _reverse_path: 2, _policy: 0.4, _packet_type: 0.7, _bridge_port: 0.7,
    _mac: 0.2, _rate: 0.2, _rare: 0.1,
}  # fmt: skip
#: A rule can name each interface once.
_OF_INTERFACES = {_interface, _both_interfaces}
_OF_PROTOCOL: dict[str, dict[_Asking, float]] = {
    "tcp": {_ports: 20, _multiport: 6, _flags: 4},
    "udp": {_ports: 16, _multiport: 5},
    "icmp": {_icmp: 16},
    "icmpv6": {_icmp: 16},
}
