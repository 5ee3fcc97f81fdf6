# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packets as bytes: made from a description, and read back from a wire.

Each one carries a token, in its payload and in its TCP sequence number, by which it and what answers it are known.
"""

from __future__ import annotations

import socket
import struct
import typing as t
from dataclasses import dataclass

NUMBERS = {"icmp": 1, "tcp": 6, "udp": 17, "gre": 47, "icmpv6": 58}
ICMP, TCP, UDP, ICMP6 = 1, 6, 17, 58
WITH_PORTS = (TCP, UDP)
FLAGS = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32}
_MARKER = b"path"
_ERRORS = {4: (3, 4, 11, 12), 6: (1, 2, 3, 4)}


@dataclass(frozen=True)
class Header:
    """What a packet says of itself; icmp has ports 0, ``type`` and ``code``. ``token`` is 0 when it is not one of ours.

    ``ident`` is icmp's, which NAT may change. ``kind`` is ``packet``, or ``icmp`` for an error about ours, or ``rst``/``synack`` for TCP's answer to ours.
    """

    family: int
    proto: int
    src: str
    dst: str
    sport: int = 0
    dport: int = 0
    type: int = 0
    code: int = 0
    flags: int = 0
    token: int = 0
    ident: int = 7
    kind: str = "packet"
    #: What an icmp error is about: the packet that somebody could not deliver.
    about: Header | None = None


def number_of(proto: str) -> int:
    """Give a protocol's number."""
    return NUMBERS.get(proto) or int(proto)


def packed(address: str) -> bytes:
    """Write an address as bytes."""
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def checksum(data: bytes) -> int:
    """Compute the internet's checksum."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def build(header: Header) -> bytes:
    """Make the packet, from its IP header on."""
    source, target = packed(header.src), packed(header.dst)
    inner = _transport(header, source, target)
    if header.family == 6:
        return struct.pack("!IHBB", 6 << 28, len(inner), header.proto, 64) + source + target + inner
    # A packet without an identification could get one from the kernel; 1 is as good as any.
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(inner), 1, 0, 64, header.proto, 0) + source + target
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + inner


def _transport(header: Header, source: bytes, target: bytes) -> bytes:
    payload = _MARKER + struct.pack("!I", header.token)
    pseudo = source + target
    if header.proto == TCP:
        acknowledged = sequence(header.token) + 1 if header.flags & FLAGS["ack"] else 0
        head = struct.pack(
            "!HHIIBBHHH",
            header.sport,
            header.dport,
            sequence(header.token),
            acknowledged,
            5 << 4,
            header.flags,
            8192,
            0,
            0,
        )
        return _summed(head, payload, 16, pseudo, header)
    if header.proto == UDP:
        head = struct.pack("!HHHH", header.sport, header.dport, 8 + len(payload), 0)
        return _summed(head, payload, 6, pseudo, header)
    if header.about is not None:
        payload = build(header.about)
    if header.proto in (ICMP, ICMP6):
        head = struct.pack("!BBHHH", header.type, header.code, 0, header.ident, 1)
        return _summed(head, payload, 2, pseudo if header.proto == ICMP6 else None, header)
    return struct.pack("!I", 0) + payload


def sequence(token: int) -> int:
    """Give the TCP sequence number that stands for a token."""
    return token << 8 & 0xFFFFFFFF


def _summed(head: bytes, payload: bytes, place: int, addresses: bytes | None, header: Header) -> bytes:
    whole = head + payload
    pseudo = b"" if addresses is None else addresses + struct.pack("!II", len(whole), header.proto)
    value = checksum(pseudo + whole) or 0xFFFF
    return whole[:place] + struct.pack("!H", value) + whole[place + 2 :]


def parse(data: bytes) -> Header | None:
    """Read a packet from its IP header on; None when it is none that this file makes or that answers one."""
    if len(data) >= 20 and data[0] >> 4 == 4:
        size = (data[0] & 15) * 4
        source, target = (socket.inet_ntop(socket.AF_INET, data[place : place + 4]) for place in (12, 16))
        return parse_transport(4, data[9], source, target, data[size:])
    if len(data) >= 40 and data[0] >> 4 == 6:
        source, target = (socket.inet_ntop(socket.AF_INET6, data[place : place + 16]) for place in (8, 24))
        return parse_transport(6, data[6], source, target, data[40:])
    return None


def parse_transport(family: int, proto: int, source: str, target: str, data: bytes) -> Header | None:
    """Read what comes after the IP header."""
    basic: dict[str, t.Any] = {"family": family, "proto": proto, "src": source, "dst": target}
    if proto == TCP and len(data) >= 20:
        return _tcp(basic, data)
    if proto == UDP and len(data) >= 8:
        sport, dport = struct.unpack("!HH", data[:4])
        return Header(**basic, sport=sport, dport=dport, token=_token(data[8:]))
    if proto in (ICMP, ICMP6) and len(data) >= 8:
        return _icmp(basic, data)
    return Header(**basic, token=_token(data[4:]))


def _token(payload: bytes) -> int:
    if payload[:4] == _MARKER and len(payload) >= 8:
        return int(struct.unpack("!I", payload[4:8])[0])
    return 0


def _tcp(basic: dict[str, t.Any], data: bytes) -> Header:
    sport, dport, number, acknowledged, offset, flags = struct.unpack("!HHIIBB", data[:14])
    token = _token(data[(offset >> 4) * 4 :])
    kind = "packet"
    if not token and flags & (FLAGS["rst"] | FLAGS["ack"]):
        # An answer of the kernel's own: it says which packet it means by what it acknowledges, or by what ours did.
        token = ((acknowledged if flags & FLAGS["ack"] else number) - 1) >> 8 & 0xFFFFFF
        kind = "rst" if flags & FLAGS["rst"] else "synack"
    return Header(**basic, sport=sport, dport=dport, flags=flags, token=token, kind=kind)


def _icmp(basic: dict[str, t.Any], data: bytes) -> Header:
    kind, code = data[0], data[1]
    if kind in _ERRORS[basic["family"]]:
        inner = parse(data[8:])
        return Header(**basic, type=kind, code=code, token=inner.token if inner else 0, kind="icmp")
    return Header(**basic, type=kind, code=code, ident=int.from_bytes(data[4:6], "big"), token=_token(data[8:]))
