# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send a packet into the host and see what became of it."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import subprocess
import typing as t
from collections.abc import Iterator, Mapping
from functools import partial

from . import namespace, topology, wire

_IP_FREEBIND = 15
_IPV6_FREEBIND = 78
_IPV6_HDRINCL = 36
_PROTOCOLS = {4: ("tcp", "udp", "icmp", "gre", "253"), 6: ("tcp", "udp", "icmpv6", "gre", "253")}
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_FLUSH_CONNTRACK = struct.pack("=IHHIIBBH", 20, 0x0102, 5, 1, 0, 0, 0, 0)


class Sight(t.NamedTuple):
    """A packet that was seen at a place: ``local`` (a socket of the host got it) or the name of a cable."""

    place: str
    header: wire.Header


class Range:
    """All cables and sockets of the host under test."""

    def __init__(self) -> None:
        self._cables = namespace.build()
        # A raw socket gets a packet when the last hook of INPUT has let it pass, listener or not.
        self._ears = [(family, self._ear(family, proto)) for family in (4, 6) for proto in _PROTOCOLS[family]]
        self._mouths: dict[tuple[int, str], socket.socket] = {}
        self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
        self._netlink.bind((0, 0))
        self._listeners = list(_listen())

    @staticmethod
    def _ear(family: int, proto: str) -> socket.socket:
        ear = socket.socket(_FAMILIES[family], socket.SOCK_RAW, wire.number_of(proto))
        ear.setblocking(False)
        if family == 6:
            ear.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        return ear

    def forget_connections(self) -> None:
        """Empty the connection table."""
        self._netlink.send(_FLUSH_CONNTRACK)
        self._netlink.recv(4096)

    def remember_connection(self, packet: Mapping[str, t.Any]) -> None:
        """Put a connection into the table whose packets went both ways."""
        argv = ["conntrack", "-I", "-s", packet["src"], "-d", packet["dst"], "-t", "300", "-u", "SEEN_REPLY,ASSURED"]
        argv += ["-p", packet["proto"]]
        if packet["proto"] in ("tcp", "udp"):
            argv += ["--sport", str(packet["sport"]), "--dport", str(packet["dport"])]
            argv += ["--state", "ESTABLISHED"] if packet["proto"] == "tcp" else []
        else:
            argv += [f"--{packet['proto']}-type", str(packet["icmp_type"]), f"--{packet['proto']}-code", "0"]
            argv += [f"--{packet['proto']}-id", "7"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(argv)}: {done.stderr}")

    def send(self, packet: Mapping[str, t.Any], token: int) -> tuple[list[Sight], str]:
        """Send one packet; gives everything of its token that was seen, and the name of the error, if any."""
        header = describe(packet, token)
        error = ""
        if packet["iif"] is None:
            error = self._speak(header, packet)
        else:
            self._inject(packet["tap"], _macs(topology.tap_named(packet["tap"]), header.dst), wire.build(header))
        return self._seen(token), error

    def answer(self, sight: Sight, answer: wire.Header, asked_by: str | None) -> tuple[list[Sight], str]:
        """Let whoever was seen to get a packet, which came in by the interface ``asked_by``, answer it."""
        error = ""
        if sight.place == "local":
            error = self._speak(answer, {"iif": asked_by})
        else:
            self._inject(sight.place, _macs(topology.tap_named(sight.place), answer.dst), wire.build(answer))
        return self._seen(answer.token), error

    def _inject(self, place: str, macs: bytes, data: bytes) -> None:
        os.write(self._cables[place], macs + (b"\x86\xdd" if data[0] >> 4 == 6 else b"\x08\x00") + data)

    def _speak(self, header: wire.Header, packet: Mapping[str, t.Any]) -> str:
        mouth = self._mouth(header.family, packet.get("uid") or 0, header.src)
        mouth.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, packet.get("mark", 0))
        try:
            mouth.sendto(wire.build(header), _to(header.dst, packet["iif"]))
        except OSError as error:
            return errno.errorcode.get(error.errno or 0, str(error))
        return ""

    def _mouth(self, family: int, uid: int, source: str) -> socket.socket:
        """Give a socket of a user that speaks for an address, so that the kernel judges it by that one."""
        if (uid, source) not in self._mouths:
            namespace.act_as(uid)
            mouth = socket.socket(_FAMILIES[family], socket.SOCK_RAW, socket.IPPROTO_RAW)
            namespace.act_as(0)
            mouth.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            if family == 6:
                mouth.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
                mouth.setsockopt(socket.IPPROTO_IPV6, _IPV6_HDRINCL, 1)
            else:
                mouth.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
            mouth.bind((source, 0))
            self._mouths[(uid, source)] = mouth
        return self._mouths[(uid, source)]

    def _seen(self, token: int) -> list[Sight]:
        return [sight for sight in (*self._on_cables(), *self._at_ears()) if sight.header.token == token]

    def _on_cables(self) -> Iterator[Sight]:
        for name, cable in self._cables.items():
            for frame in _all_of(partial(os.read, cable, 4096)):
                header = wire.parse(frame[14:]) if frame[12:14] in (b"\x08\x00", b"\x86\xdd") else None
                if header is not None:
                    yield Sight(name, header)

    def _at_ears(self) -> Iterator[Sight]:
        for family, ear in self._ears:
            for data, notes, _flags, sender in _all_of(partial(ear.recvmsg, 4096, 256)):
                header = wire.parse(data) if family == 4 else _from_v6_socket(ear.proto, data, notes, sender)
                if header is not None:
                    yield Sight("local", header)


def _to(address: str, interface: str | None) -> tuple[t.Any, ...]:
    """Give where to send; an address of one link needs to be told which."""
    if address.startswith("fe80") and interface:
        return (address, 0, 0, socket.if_nametoindex(interface))
    return (address, 0)


def _listen() -> Iterator[socket.socket]:
    """Have a listener on all ports of the pool, so that TCP answers a request instead of ending it."""
    for port in topology.PORTS:
        ear = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ear.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        ear.bind(("::", port))
        ear.listen(1)
        yield ear


def describe(packet: Mapping[str, t.Any], token: int) -> wire.Header:
    """Give the header that a packet of a case has."""
    return wire.Header(
        family=packet["family"],
        proto=wire.number_of(packet["proto"]),
        src=packet["src"],
        dst=packet["dst"],
        sport=packet.get("sport") or 0,
        dport=packet.get("dport") or 0,
        type=packet.get("icmp_type") or 0,
        code=packet.get("icmp_code") or 0,
        flags=sum(wire.FLAGS[flag] for flag in packet.get("tcp_flags") or ()),
        token=token,
        about=describe(packet["about"], token) if "about" in packet else None,
    )


def _macs(tap: topology.Tap, dst: str) -> bytes:
    """Give target and source of the frame: a sender on a bridge knows who has an address there."""
    target = topology.HOST_MACS[tap.interface]
    if dst in topology.BROADCASTS:
        target = "ff:ff:ff:ff:ff:ff"
    elif dst.startswith("ff"):
        return b"\x33\x33" + wire.packed(dst)[-4:] + _bytes(tap.mac)
    elif 224 <= wire.packed(dst)[0] < 240 and ":" not in dst:
        last = wire.packed(dst)
        return b"\x01\x00\x5e" + bytes((last[1] & 127, *last[2:])) + _bytes(tap.mac)
    elif tap.bridge:
        target = topology.mac_of_neighbour(tap.bridge, dst) or target
    return _bytes(target) + _bytes(tap.mac)


def _bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def _from_v6_socket(proto: int, data: bytes, notes: t.Any, sender: t.Any) -> wire.Header | None:
    target = "::"
    for level, kind, value in notes:
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            target = socket.inet_ntop(socket.AF_INET6, value[:16])
    return wire.parse_transport(6, proto, sender[0].partition("%")[0], target, data)


def _all_of(read: t.Callable[[], t.Any]) -> Iterator[t.Any]:
    with contextlib.suppress(BlockingIOError):
        while True:
            yield read()
