# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""What waits for callers in a network namespace: /proc/net/tcp, tcp6, udp and udp6, and docker-proxy's command line.

Only these four kinds: SCTP and DCCP are listed elsewhere or nowhere.
"""

from __future__ import annotations

import ipaddress
import typing as t
from dataclasses import dataclass

from .host import Listener

#: Where the kernel lists sockets, with protocol and family.
FILES: t.Mapping[str, tuple[str, int]] = {"tcp": ("tcp", 4), "tcp6": ("tcp", 6), "udp": ("udp", 4), "udp6": ("udp", 6)}

#: The state of a socket that waits: TCP_LISTEN, and TCP_CLOSE for a datagram socket that is bound and not connected.
_WAITING = {"tcp": "0A", "udp": "07"}

PROXY = "docker-proxy"


@dataclass(frozen=True)
class Socket:
    """A socket that waits for callers; an empty ``address`` is all addresses.

    ``family`` is of the socket. One of IPv6 that is bound to an IPv4-mapped address is told as one of IPv4, which it is.
    """

    proto: str
    family: int
    address: str
    port: int
    inode: int = 0


@dataclass(frozen=True)
class Process:
    """Who has a socket: ``name`` as the kernel keeps it (15 bytes at most), ``container`` the ID of its container."""

    pid: int
    name: str
    container: str = ""


@dataclass(frozen=True)
class Proxy:
    """One docker-proxy: what it takes at ``host_ip`` (``::`` is IPv6 only) it gives to a container as a caller of its own."""

    proto: str
    host_ip: str
    host_port: int
    container_ip: str
    container_port: int
    pid: int = 0


def read(name: str, text: str, byteorder: t.Literal["little", "big"] = "little") -> tuple[Socket, ...]:
    """Read one file of :data:`FILES`. ``byteorder`` is the host's own, in which the kernel prints addresses.

    Raises ValueError on anything else than the kernel's listing.
    """
    proto, family = FILES[name]
    found = []
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) < 10:
            raise ValueError(f"this is no line of /proc/net/{name}: {line[:80]!r}")
        # A datagram socket with another end takes datagrams of that end only.
        if words[3] == _WAITING[proto] and words[2].rpartition(":")[2] == "0000":
            digits, _colon, port = words[1].partition(":")
            kind, address = _address(digits, family, byteorder)
            found.append(Socket(proto, kind, address, int(port, 16), int(words[9])))
    return tuple(found)


def _address(digits: str, family: int, byteorder: t.Literal["little", "big"]) -> tuple[int, str]:
    """Read an address, which the kernel prints as one (IPv4) or four (IPv6) numbers of 32 bits."""
    if len(digits) != (8 if family == 4 else 32):
        raise ValueError(f"{digits[:80]!r} is no address of IPv{family}")
    raw = b"".join(int(digits[place : place + 8], 16).to_bytes(4, byteorder) for place in range(0, len(digits), 8))
    found: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(raw)
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return found.version, "" if int(found) == 0 else str(found)


def listeners(
    sockets: t.Iterable[Socket], owners: t.Mapping[int, Process] | None = None, *, proxies: t.Iterable[Proxy] = ()
) -> tuple[Listener, ...]:
    """Tell which addresses each socket serves; ``owners`` by inode. Sorted, each once.

    A socket on all addresses of IPv6 serves IPv4 too, unless it was made with IPV6_V6ONLY, and that the kernel lists
    nowhere. It is taken to serve IPv4 unless

    * it is docker-proxy's, which always asks for IPv6 only;
    * a socket of IPv4 waits on all addresses of its port: then that one is served, whatever the first one was made with;
    * a TCP socket of IPv4 waits on one address of its port: the kernel would have refused one of the two.

    What is wrong with this: a program that asks for IPv6 only and leaves IPv4 alone is said to answer there. Two TCP
    sockets of one user that share a port on purpose (SO_REUSEPORT), one on all addresses and one on one address of IPv4,
    are said to leave the other addresses of IPv4 alone.
    """
    owners = owners or {}
    waiting = list(sockets)
    only_six = {(proxy.proto, proxy.host_port) for proxy in proxies if proxy.host_ip == "::"}
    fours = {(item.proto, item.port, item.address) for item in waiting if item.family == 4}
    some_four = {(proto, port) for proto, port, address in fours if not address or proto == "tcp"}
    found = set()
    for item in waiting:
        owner = owners.get(item.inode)
        name = owner.name if owner else ""
        both = item.family == 6 and not item.address and (item.proto, item.port) not in some_four
        if (item.proto, item.port) in only_six and name in (PROXY, ""):
            both = False
        families = (4, 6) if both else (item.family,)
        container = owner.container if owner else ""
        found.add(Listener(item.proto, item.address, item.port, name, families, container))
    return tuple(sorted(found, key=lambda item: (item.port, item.proto, item.address, item.families, item.name)))


def proxy(argv: t.Sequence[str], pid: int = 0) -> Proxy | None:
    """Read docker-proxy's command line; None when it is none, or one that is not understood.

    Flags are as Go reads them: ``-host-ip 0.0.0.0``, ``--host-ip=0.0.0.0``.
    """
    if not argv or not argv[0].rpartition("/")[2].endswith(PROXY):
        return None
    flags: dict[str, str] = {}
    waiting = ""
    for word in argv[1:]:
        if waiting and not word.startswith("-"):
            flags[waiting] = word
            waiting = ""
        elif word.startswith("-"):
            name, equals, value = word.lstrip("-").partition("=")
            if equals:
                flags[name] = value
            waiting = "" if equals else name
    try:
        return Proxy(
            proto=flags.get("proto", "tcp"),
            host_ip=str(ipaddress.ip_address(flags["host-ip"])),
            host_port=int(flags["host-port"]),
            container_ip=str(ipaddress.ip_address(flags["container-ip"])),
            container_port=int(flags["container-port"]),
            pid=pid,
        )
    except (LookupError, ValueError):
        return None


# ---- routes of a container ----------------------------------------------------------------------------------------

_GATEWAY, _REJECT, _LOCAL, _ANYCAST = 0x2, 0x200, 0x80000000, 0x00100000


def routes(
    route: str, route6: str, byteorder: t.Literal["little", "big"] = "little"
) -> tuple[tuple[str, str, str], ...]:
    """Read /proc/PID/net/route and ipv6_route: (prefix, interface, gateway), longest prefix first, then lowest metric.

    The interface is ``unreachable`` for a route that refuses; the gateway may be empty. Raises ValueError.
    """
    found = [*_routes4(route, byteorder), *_routes6(route6)]
    found.sort(key=lambda item: (item[0].version, -item[0].prefixlen, item[1]))
    return tuple((str(network), name, gateway) for network, _metric, name, gateway in found)


_Found = tuple[t.Union[ipaddress.IPv4Network, ipaddress.IPv6Network], int, str, str]


def _routes4(text: str, byteorder: t.Literal["little", "big"]) -> t.Iterator[_Found]:
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) < 8:
            raise ValueError(f"this is no line of /proc/net/route: {line[:80]!r}")
        name, destination, gateway, flags, mask = words[0], words[1], words[2], int(words[3], 16), words[7]
        network = ipaddress.IPv4Network((_four(destination, byteorder), _four(mask, byteorder)))
        yield (
            network,
            int(words[6]),
            "unreachable" if flags & _REJECT else name,
            _four(gateway, byteorder) if flags & _GATEWAY else "",
        )


def _four(digits: str, byteorder: t.Literal["little", "big"]) -> str:
    return str(ipaddress.IPv4Address(int(digits, 16).to_bytes(4, byteorder)))


def _routes6(text: str) -> t.Iterator[_Found]:
    for line in text.splitlines():
        words = line.split()
        if len(words) < 10:
            raise ValueError(f"this is no line of /proc/net/ipv6_route: {line[:80]!r}")
        flags = int(words[8], 16)
        if flags & (_LOCAL | _ANYCAST):
            # The tables are listed as one; these are of the table local.
            continue
        network = ipaddress.IPv6Network((bytes.fromhex(words[0]), int(words[1], 16)))
        gateway = str(ipaddress.IPv6Address(bytes.fromhex(words[4]))) if flags & _GATEWAY else ""
        yield network, int(words[5], 16), "unreachable" if flags & _REJECT else words[9], gateway
