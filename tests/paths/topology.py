# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The small world in which packets are sent: one Docker host with two networks outside and two bridges inside.

Everything stands in one private network namespace. Whoever is outside, and each container, is a TAP device: what is
written to it arrives at the host as from a cable, what the host sends there can be read. So nothing has to be waited
for, and a packet may claim any sender. The host's ``eth0`` and ``eth1`` are such devices themselves; those of the
containers are ports of the bridges.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tap:
    """A cable: the host's end ``name`` (a port of ``bridge``, if any), and the MAC address of who is at the other end."""

    name: str
    bridge: str
    mac: str

    @property
    def interface(self) -> str:
        """The interface by which the host's IP layer sees what comes in here."""
        return self.bridge or self.name


TAPS = (
    Tap("eth0", "", "02:00:00:00:00:01"),
    Tap("eth1", "", "02:00:00:00:00:02"),
    Tap("c1", "br0", "02:00:00:00:01:01"),
    Tap("c2", "br0", "02:00:00:00:01:02"),
    Tap("d1", "br1", "02:00:00:00:02:01"),
    Tap("d2", "br1", "02:00:00:00:02:02"),
)
BRIDGES = ("br0", "br1")
ETHERNETS = ("eth0", "eth1")

#: The host's own MAC addresses.
HOST_MACS = {
    "eth0": "02:00:00:00:00:e0",
    "eth1": "02:00:00:00:00:e1",
    "br0": "02:00:00:00:00:b0",
    "br1": "02:00:00:00:00:b1",
}

#: In the order in which ``ip address`` lists them.
ADDRESSES = {
    "lo": ("127.0.0.1/8", "::1/128"),
    "eth0": ("192.0.2.2/24", "192.0.2.3/24", "2001:db8:1::2/64", "2001:db8:1::3/64", "fe80::e0/64"),
    "eth1": ("10.77.0.2/24", "10.99.0.2/24", "fd77::2/64", "fd99::2/64", "fe80::e1/64"),
    "br0": ("172.18.0.1/16", "fd18::1/64", "fe80::b0/64"),
    "br1": ("172.19.0.1/16", "fd19::1/64", "fe80::b1/64"),
}

#: Routes beyond those that addresses bring along, some with a gateway. A case may do without the default ones.
ROUTES = (
    ("0.0.0.0/0", "eth0"),
    ("10.88.0.0/16", "eth1"),
    ("10.55.0.0/16", "eth1", "10.99.0.1"),
    ("10.66.0.0/16", "unreachable"),
    ("::/0", "eth0"),
    ("fd88::/32", "eth1"),
    ("fd55::/32", "eth1", "fd99::1"),
    ("fd66::/32", "unreachable"),
)
CONNECTED = (
    ("192.0.2.0/24", "eth0"),
    ("10.77.0.0/24", "eth1"),
    ("10.99.0.0/24", "eth1"),
    ("172.18.0.0/16", "br0"),
    ("172.19.0.0/16", "br1"),
    ("2001:db8:1::/64", "eth0"),
    ("fd77::/64", "eth1"),
    ("fd99::/64", "eth1"),
    ("fd18::/64", "br0"),
    ("fd19::/64", "br1"),
    ("fe80::/64", "eth0"),
    ("fe80::/64", "eth1"),
    ("fe80::/64", "br0"),
    ("fe80::/64", "br1"),
)

#: Addresses behind the ports of the bridges; those beyond the first of each family stand for what nobody was given.
BEHIND = {
    "c1": ("172.18.0.2", "fd18::2"),
    "c2": ("172.18.0.3", "172.18.0.99", "172.18.0.0", "fd18::3", "fd18::99"),
    "d1": ("172.19.0.2", "fd19::2"),
    "d2": ("172.19.0.3", "172.19.0.99", "fd19::3", "fd19::99"),
}
NEAR = {"eth0": ("192.0.2.9", "192.0.2.77", "2001:db8:1::9"), "eth1": ("10.77.0.9", "10.99.0.9", "fd77::9", "fd99::9")}
FAR = {
    "eth0": ("198.51.100.7", "198.51.100.200", "2001:db8:99::7"),
    "eth1": ("10.88.3.4", "10.55.3.4", "fd88::4", "fd55::4"),
    "unreachable": ("10.66.0.1", "fd66::1"),
}
#: What no honest sender has, and where hardly anything is sent.
ODD = (
    "0.0.0.0",
    "0.1.2.3",
    "127.0.0.1",
    "127.0.0.53",
    "224.0.0.1",
    "255.255.255.255",
    "192.0.2.255",
    "172.18.255.255",
    "172.18.0.0",
    "240.0.0.1",
    "::1",
    "::",
    "ff02::1",
    "2001:db8:1::",
)

#: IPv6 addresses that mean something on one link only: by cable the sender's, and those that it may ask for.
LINK_LOCAL = {
    "eth0": ("fe80::9", "fe80::e0", "fe80::77", "fe80::b0"),
    "eth1": ("fe80::9", "fe80::e1", "fe80::77", "fe80::e0"),
    "c1": ("fe80::11", "fe80::b0", "fe80::12", "fe80::e0"),
    "c2": ("fe80::12", "fe80::b0", "fe80::11", "fe80::e0"),
    "d1": ("fe80::21", "fe80::b1", "fe80::22", "fe80::b0"),
    "d2": ("fe80::22", "fe80::b1", "fe80::21", "fe80::b0"),
}
#: Which of these each one at a bridge has; some look like those of the host on another link.
ON_LINK = {"c1": ("fe80::11",), "c2": ("fe80::12", "fe80::e0"), "d1": ("fe80::21",), "d2": ("fe80::22", "fe80::b0")}
#: Senders that nobody can answer.
NOBODY = (
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "192.0.2.255",
    "10.77.0.255",
    "10.99.0.255",
    "172.18.255.255",
    "172.19.255.255",
    "::",
    "ff02::1",
)
BROADCASTS = ("255.255.255.255", "192.0.2.255", "10.77.0.255", "10.99.0.255", "172.18.255.255", "172.19.255.255")

PORTS = (22, 53, 80, 443, 5432, 8080, 9090, 40000, 40001)
MARKS = (0, 1, 2, 0x10, 0xFF, 0x8000)
UIDS = (0, 1000, 65534)

#: What every case starts from. Answers are not rationed, the stack keeps no half-open connections, nothing is sent unasked.
SYSCTLS: dict[str, object] = {
    "net.ipv4.ip_forward": 1,
    "net.ipv6.conf.all.forwarding": 1,
    "net.ipv4.conf.all.rp_filter": 0,
    "net.ipv4.conf.all.route_localnet": 0,
    "net.ipv4.conf.all.accept_local": 0,
    "net.ipv4.conf.all.send_redirects": 0,
    "net.ipv4.conf.all.log_martians": 0,
    "net.ipv4.icmp_ratelimit": 0,
    "net.ipv4.icmp_echo_ignore_all": 1,
    "net.ipv4.icmp_echo_ignore_broadcasts": 1,
    "net.ipv4.tcp_syncookies": 2,
    "net.ipv4.tcp_invalid_ratelimit": 0,
    "net.ipv6.icmp.ratelimit": 0,
    "net.ipv6.icmp.echo_ignore_all": 1,
    "net.bridge.bridge-nf-call-iptables": 0,
    "net.bridge.bridge-nf-call-ip6tables": 0,
    "net.netfilter.nf_conntrack_tcp_be_liberal": 1,
}


def routes(*, default: bool) -> list[tuple[str, ...]]:
    """Give all routes of the host, those of its addresses among them."""
    return [route for route in (*CONNECTED, *ROUTES) if default or not route[0].endswith("/0")]


def bare(prefix: str) -> str:
    """Give the address of ``address/length``."""
    return prefix.partition("/")[0]


def family_of(text: str) -> int:
    """Give the family of an address or prefix."""
    return 6 if ":" in text else 4


def own_addresses(family: int) -> list[str]:
    """Give the host's addresses, but for those of one link."""
    listed = [bare(item) for items in ADDRESSES.values() for item in items if family_of(item) == family]
    return [item for item in listed if not item.startswith("fe80")]


def mac_of_neighbour(bridge: str, address: str) -> str | None:
    """Give the MAC address that answers for an address on a bridge; None when nobody does."""
    for tap in TAPS:
        if tap.bridge == bridge and (address in BEHIND[tap.name] or address in ON_LINK[tap.name]):
            return tap.mac
    return None


def tap_named(name: str) -> Tap:
    """Give a cable by its name."""
    return next(tap for tap in TAPS if tap.name == name)
