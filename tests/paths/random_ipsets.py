# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random ipsets, as text for ``ipset restore``. The name of one says what it holds: net_4, net_port_6, ..."""

from __future__ import annotations

from random import Random

from . import topology, values
from .values import chance, some

#: What the words of a name stand for is one dimension each.
_TYPES = {
    "net_": "hash:net",
    "ip_": "hash:ip",
    "net_port_": "hash:net,port",
    "ip_port_": "hash:ip,port",
    "net_iface_": "hash:net,iface",
    "ip_port_ip_": "hash:ip,port,ip",
    "ip_port_net_": "hash:ip,port,net",
}


def ipsets(random: Random) -> tuple[str, list[str]]:
    """Make some sets; gives the text and the names."""
    names = [f"{head}{family}" for head in some(random, list(_TYPES), 2) for family in (4, 6)]
    lines = []
    for name in names:
        head, family = name[:-1], int(name[-1])
        lines.append(f"create {name} {_TYPES[head]} family {'inet' if family == 4 else 'inet6'}")
        elements = [_element(random, head, family) for _turn in range(random.randint(1, 5))]
        # With and without an exception it is the same element.
        lines += [f"add {name} {element}" for element in {element.split()[0]: element for element in elements}.values()]
    return "\n".join([*lines, ""]), names


def _element(random: Random, head: str, family: int) -> str:
    address = random.choice(values.DISJOINT[family]) if head.startswith("net") else values.address(random, family)
    if address in ("0.0.0.0", "::"):
        address = topology.own_addresses(family)[-1]
    if "port_" in head:
        port = f"{random.choice(('tcp', 'udp'))}:{values.port(random)}"
        if chance(random, 0.15) and head != "ip_port_net_":
            port = f"{random.choice(('icmp:8/0', 'tcp:80-443') if family == 4 else ('icmpv6:128/0', 'udp:22-53'))}"
        parts = [address, port]
        if head == "ip_port_ip_":
            parts.append(random.choice(topology.own_addresses(family)))
        elif head == "ip_port_net_":
            parts.append(random.choice(values.DISJOINT[family]))
        return ",".join(parts)
    if head == "net_iface_":
        return f"{address},{values.name_of_interface(random)}"
    return address + (" nomatch" if head == "net_" and chance(random, 0.1) else "")
