# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host under test, in the network namespace of this very process: interfaces, addresses, routes, sysctls.

Runs in a lab host as root, started by ``unshare --net``.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import stat
import struct
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from . import topology

_TUN = Path("/dev/net/tun")
_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI = 2, 0x1000

_EVERYWHERE = {4: "0.0.0.0/0", 6: "::/0"}
_default = True

_OF_INTERFACES = {
    "net.ipv4.conf.{}.rp_filter": 0,
    "net.ipv4.conf.{}.route_localnet": 0,
    "net.ipv4.conf.{}.accept_local": 0,
    "net.ipv4.conf.{}.send_redirects": 0,
}
_ONCE = {
    "net.ipv4.conf.{}.log_martians": 0,
    "net.ipv6.conf.{}.accept_ra": 0,
    "net.ipv6.conf.{}.accept_dad": 0,
    "net.ipv6.conf.{}.dad_transmits": 0,
    "net.ipv6.conf.{}.router_solicitations": 0,
    "net.ipv6.conf.{}.addr_gen_mode": 1,
}


def build() -> dict[str, int]:
    """Make the host; gives the file descriptor of each cable by its name."""
    _ensure_tun()
    _write({name.format("default"): value for name, value in _ONCE.items()})
    _write({"net.ipv6.conf.all.disable_ipv6": 0, "net.ipv6.conf.default.disable_ipv6": 0})
    # The order in which they are made is that of their numbers, by which the kernel looks for an address.
    cables = {tap.name: _open(tap.name) for tap in topology.TAPS}
    _ip(f"link add {name} address {topology.HOST_MACS[name]} type bridge" for name in topology.BRIDGES)
    names = [*topology.BRIDGES, *cables]
    _write({name.format(interface): value for interface in names for name, value in _ONCE.items()})
    _ip(("link set lo up", *_links(), *_addresses(), *_neighbours()))
    for family in (4, 6):
        _ip(_routes(family), f"-{family}")
    for tap in topology.TAPS:
        if tap.bridge:
            _run("bridge", "link", "set", "dev", tap.name, "hairpin", "on", "learning", "off")
            _run("bridge", "fdb", "replace", tap.mac, "dev", tap.name, "master", "static")
    return cables


def _ensure_tun() -> None:
    if not _TUN.exists():
        _TUN.parent.mkdir(parents=True, exist_ok=True)
        os.mknod(_TUN, 0o600 | stat.S_IFCHR, os.makedev(10, 200))


def _open(name: str) -> int:
    cable = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(cable, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI))
    return cable


def _links() -> Iterator[str]:
    for name in topology.BRIDGES:
        yield f"link set {name} type bridge stp_state 0 mcast_snooping 0"
        yield f"link set {name} up"
    for tap in topology.TAPS:
        if tap.bridge:
            yield f"link set {tap.name} master {tap.bridge}"
        else:
            # Without ARP: an address outside is reached without asking for it.
            yield f"link set {tap.name} address {topology.HOST_MACS[tap.name]} arp off"
        yield f"link set {tap.name} up"


def _addresses() -> Iterator[str]:
    for name, listed in topology.ADDRESSES.items():
        if name == "lo":
            continue
        # Of IPv6 addresses the last one added is listed first.
        later = [prefix for prefix in listed[::-1] if topology.family_of(prefix) == 6]
        for prefix in [*(prefix for prefix in listed if prefix not in later), *later]:
            last = " broadcast +" if topology.family_of(prefix) == 4 else " nodad"
            yield f"address add {prefix}{last} dev {name}"


def _routes(family: int) -> Iterator[str]:
    for prefix, place, *gateway in topology.ROUTES:
        if topology.family_of(prefix) != family:
            continue
        # In the model `unreachable` takes the place of an interface.
        way = "" if place == "unreachable" else f" dev {place}" + "".join(f" via {address}" for address in gateway)
        yield f"route replace {'unreachable ' if place == 'unreachable' else ''}{prefix}{way}"


def _neighbours() -> Iterator[str]:
    for tap in topology.TAPS:
        for address in (*topology.BEHIND[tap.name], *topology.ON_LINK[tap.name]) if tap.bridge else ():
            yield f"neighbour replace {address} lladdr {tap.mac} nud permanent dev {tap.bridge}"


def _ip(lines: Iterable[str], *options: str) -> None:
    _run("ip", *options, "-batch", "-", text="\n".join(lines))


def _run(*argv: str, text: str = "") -> str:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


def set_default_routes(*, wanted: bool) -> None:
    """Have default routes, or none."""
    global _default
    if wanted is not _default:
        for family in (4, 6):
            gone = [f"route delete {route[0]}" for route in topology.ROUTES if route[0] == _EVERYWHERE[family]]
            _ip(_routes(family) if wanted else gone, f"-{family}")
        _default = wanted


def set_sysctls(wanted: Mapping[str, object]) -> None:
    """Set the sysctls of a case on top of what all cases start from."""
    settings = {**topology.SYSCTLS}
    for interface in (*topology.BRIDGES, *topology.ETHERNETS):
        settings.update({name.format(interface): value for name, value in _OF_INTERFACES.items()})
        # The kernel keeps this one for each interface and overwrites it whenever ip_forward changes.
        settings[f"net.ipv4.conf.{interface}.forwarding"] = wanted.get("net.ipv4.ip_forward", 1)
    _write({**settings, **wanted})


def _write(settings: Mapping[str, object]) -> None:
    for name, value in settings.items():
        Path("/proc/sys", *name.split(".")).write_text(str(value), encoding="ascii")


def act_as(uid: int) -> None:
    """Let the sockets that this process opens from now on be this user's, with all capabilities kept."""
    ctypes.CDLL(None).setfsuid(uid)
