# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs in a lab host (``python3 -c THIS serve|ask``, JSON on standard input): opens doors, and knocks at them.

One process stands in the network name spaces of many containers at once, because a socket stays in the one that it was
made in. A container needs no program of its own for that.

``serve`` takes ``[{"name": "web", "pid": 12, "doors": [["tcp", 80], ["udp", 53]]}, ...]`` (``pid`` 0 is the host) and
returns when every door is open, while a process in the background keeps them open. Whoever comes in is told the name
of the place and the address that he comes from: ``web 172.30.1.1``.

``ask`` takes ``{"timeout": 1.5, "askers": [{"pid": 12, "knocks": [["tcp", "192.0.2.2", 80], ...]}, ...]}`` and prints for
each asker a list of ``[answer, source address]``. An answer is what the door said, or one of the words ``(refused)``,
``(timeout)``, ``(unreachable)``, ``(hung up)``, ``(silent)``; the source is empty when the asker has no route.

A knock ``["raw", address, port, gateway]`` is a SYN that goes to the gateway's hardware address, so that not even the
asker's own routes are asked; its answer is ``SYN-ACK``.
``["icmp", address, 0]`` is an echo request; its answer is ``pong``.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NEW_NET = 0x40000000
PACKET_INFO = {socket.IPPROTO_IP: (8, "i4s4s"), socket.IPPROTO_IPV6: (50, "16si")}  # Python has no names for the first
WORDS = {
    errno.ECONNREFUSED: "(refused)",
    errno.ECONNRESET: "(hung up)",
    errno.EHOSTUNREACH: "(unreachable)",
    errno.ENETUNREACH: "(unreachable)",
    errno.EACCES: "(unreachable)",
    errno.EPERM: "(unreachable)",
    errno.EADDRNOTAVAIL: "(unreachable)",
    errno.ENOPROTOOPT: "(unreachable)",
    errno.ETIMEDOUT: "(timeout)",
}


@contextlib.contextmanager
def inside(pid: int) -> Iterator[None]:
    """Be in the network name space of a process; 0 is that of the host."""
    if not pid:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    other = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        if libc.setns(other, NEW_NET):
            raise OSError(ctypes.get_errno(), f"setns to {pid}")
        yield
    finally:
        libc.setns(own, NEW_NET)
        os.close(own)
        os.close(other)


def plain(address: str) -> str:
    return address.removeprefix("::ffff:").partition("%")[0]


# ---- serve ---------------------------------------------------------------------------------------------------------


def opened(proto: str, port: int) -> socket.socket:
    """A door for both families on all addresses."""
    door = socket.socket(socket.AF_INET6, socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    door.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    if proto == "udp":
        # A datagram is answered from the address that it was sent to, as a name server does it.
        door.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        door.setsockopt(socket.IPPROTO_IP, PACKET_INFO[socket.IPPROTO_IP][0], 1)
    door.bind(("::", port))
    door.setblocking(False)
    if proto == "tcp":
        door.listen(512)
    return door


def answer(door: socket.socket, name: str) -> None:
    if door.type == socket.SOCK_STREAM:
        guest, address = door.accept()
        guest.sendall(f"{name} {plain(address[0])}\n".encode())
        guest.close()
        return
    _data, ancillary, _flags, address = door.recvmsg(2048, 256)
    own = []
    for level, kind, data in ancillary:
        if PACKET_INFO.get(level, (0,))[0] != kind:
            continue
        form = PACKET_INFO[level][1]
        if level == socket.IPPROTO_IP:
            _index, local, _destination = struct.unpack(form, data)
            own.append((level, kind, struct.pack(form, 0, local, bytes(4))))
        else:
            local, _index = struct.unpack(form, data)
            own.append((level, kind, struct.pack(form, local, 0)))
    mapped = address[0].startswith("::ffff:")
    own = [item for item in own if (item[0] == socket.IPPROTO_IP) == mapped] or own
    door.sendmsg([f"{name} {plain(address[0])}\n".encode()], own, 0, address)


def serve(places: list[dict[str, Any]]) -> None:
    names = {}
    for place in places:
        with inside(place["pid"]):
            for proto, port in place["doors"]:
                names[opened(proto, port)] = place["name"]
    if os.fork():
        return
    os.setsid()
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(silent, stream)
    poll = select.epoll()
    doors = {door.fileno(): door for door in names}
    for number in doors:
        poll.register(number, select.EPOLLIN)
    while True:
        for number, _event in poll.poll():
            with contextlib.suppress(OSError):
                answer(doors[number], names[doors[number]])


# ---- ask -----------------------------------------------------------------------------------------------------------


class Knock:
    """One question, and what came back."""

    def __init__(self, proto: str, address: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.said = ""
        self.source = ""
        self.proto = proto
        self.sock = socket.socket(family, socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        try:
            code = self.sock.connect_ex((address, port))
            if proto == "udp" and not code:
                self.sock.send(b"bulkhead\n")
        except OSError as error:
            code = error.errno or -1
        # Known as soon as the kernel has found a way.
        with contextlib.suppress(OSError):
            self.source = plain(self.sock.getsockname()[0]).replace("0.0.0.0", "")
        self.source = "" if self.source == "::" else self.source
        if code and code != errno.EINPROGRESS:
            self.over(code)

    def over(self, code: int) -> None:
        self.said = WORDS.get(code) or f"({errno.errorcode.get(code, code)})"

    def silence(self) -> str:
        """Tell a connection that nobody speaks on from none at all."""
        if self.proto == "tcp":
            with contextlib.suppress(OSError):
                self.sock.getpeername()
                return "(silent)"
        return "(timeout)"

    def look(self) -> None:
        """Something happened: an error, the end, or an answer."""
        try:
            data = self.sock.recv(2048)
        except BlockingIOError:
            return
        except OSError as error:
            self.over(error.errno or -1)
            return
        self.said = data.decode().strip() or "(hung up)"


class Ping(Knock):
    """An echo request."""

    def __init__(self, address: str, _port: int) -> None:
        six = ":" in address
        self.said = ""
        self.source = ""
        self.proto = "icmp"
        self.request, self.reply, self.header = (128, 129, 0) if six else (8, 0, 20)
        protocol = socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP
        self.sock = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_RAW, protocol)
        self.sock.setblocking(False)
        self.number = (os.getpid() * 1000 + self.sock.fileno()) & 0xFFFF
        message = struct.pack("!BBHHH", self.request, 0, 0, self.number, 1)
        if not six:
            message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
        try:
            self.sock.connect((address, 0))
            self.source = plain(self.sock.getsockname()[0])
            self.sock.send(message)
        except OSError as error:
            self.over(error.errno or -1)

    def look(self) -> None:
        try:
            message = self.sock.recv(2048)[self.header :]
        except BlockingIOError:
            return
        except OSError as error:
            self.over(error.errno or -1)
            return
        if (message[0], message[4:6]) == (self.reply, struct.pack("!H", self.number)):
            self.said = "pong"


class Raw(Knock):
    """A SYN made by hand."""

    def __init__(self, address: str, port: int, gateway: str) -> None:
        self.said = ""
        self.proto = "raw"
        self.port = port
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
            way.connect((gateway, 9))
            self.source = way.getsockname()[0]
            # Each of the two learns the other's hardware address by it.
            way.send(b"bulkhead\n")
        hardware, device = neighbour(gateway)
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        self.sock.bind((device, 0))
        self.sock.setblocking(False)
        self.ends = (socket.inet_aton(address), socket.inet_aton(self.source))
        self.own_port = 20000 + os.getpid() % 10000
        head = bytes.fromhex(hardware.replace(":", "")) + self.sock.getsockname()[4] + b"\x08\x00"
        self.sock.send(head + self.packet())

    def packet(self) -> bytes:
        there, here = self.ends
        tcp = struct.pack("!HHIIBBHHH", self.own_port, self.port, os.getpid(), 0, 5 << 4, 2, 64240, 0, 0)
        tcp = tcp[:16] + struct.pack("!H", checksum(here + there + struct.pack("!BBH", 0, 6, 20) + tcp)) + tcp[18:]
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, os.getpid() & 0xFFFF, 0, 64, 6, 0, here, there)
        return ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:] + tcp

    def look(self) -> None:
        try:
            frame = self.sock.recv(2048)
        except BlockingIOError:
            return
        mine = frame[26:34] == b"".join(self.ends) and frame[34:38] == struct.pack("!HH", self.port, self.own_port)
        if mine and frame[23] == 6 and frame[47] & 0x12 == 0x12:
            self.said = "SYN-ACK"


def neighbour(address: str) -> tuple[str, str]:
    """Wait for the hardware address of a neighbour; return it and the device."""
    limit = time.monotonic() + 2
    while True:
        for row in (line.split() for line in Path("/proc/net/arp").read_text().splitlines()[1:]):
            if row[0] == address and row[3] != "00:00:00:00:00:00":
                return row[3], row[5]
        if time.monotonic() > limit:
            raise OSError(errno.EHOSTUNREACH, f"{address} does not say its hardware address")
        time.sleep(0.02)


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def made(kind: str, *words: Any) -> Knock:
    if kind == "raw":
        return Raw(*words)
    return Ping(*words) if kind == "icmp" else Knock(kind, *words)


def ask(askers: list[dict[str, Any]], timeout: float) -> list[list[list[str]]]:
    """All at once: many closed doors take as long as one."""
    rows: list[list[Knock]] = []
    for asker in askers:
        with inside(asker["pid"]):
            rows.append([made(*knock) for knock in asker["knocks"]])
    waiting = {knock.sock.fileno(): knock for row in rows for knock in row if not knock.said}
    poll = select.epoll()
    for number in waiting:
        poll.register(number, select.EPOLLIN)
    limit = time.monotonic() + timeout
    while waiting and time.monotonic() < limit:
        for number, _event in poll.poll(max(limit - time.monotonic(), 0)):
            waiting[number].look()
            if waiting[number].said:
                poll.unregister(number)
                del waiting[number]
    return [[[knock.said or knock.silence(), knock.source] for knock in row] for row in rows]


if __name__ == "__main__":
    question = json.load(sys.stdin)
    if sys.argv[1] == "serve":
        serve(question)
    else:
        print(json.dumps(ask(question["askers"], question["timeout"])))
