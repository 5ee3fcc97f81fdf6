# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs in a lab host (``python3 - JSON``): sends real packets and says what came back, one JSON list.

Each probe is ``{"kind": "tcp"|"udp", "address": ..., "port": ..., "timeout": ..., "source": ...}``.
"""

from __future__ import annotations

import errno
import json
import select
import socket
import sys
import time
from typing import Any

_REFUSED = {errno.ECONNREFUSED}
_UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EPERM, errno.ENOPROTOOPT}


def _word(code: int) -> str:
    if code == 0:
        return "open"
    if code in _REFUSED:
        return "refused"
    if code in _UNREACHABLE:
        return "unreachable"
    return errno.errorcode.get(code, str(code))


def _start(probe: dict[str, Any]) -> tuple[socket.socket, int]:
    address = probe["address"]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_STREAM if probe["kind"] == "tcp" else socket.SOCK_DGRAM
    sock = socket.socket(family, kind)
    sock.setblocking(False)
    code = 0
    try:
        if probe.get("source"):
            sock.bind((probe["source"], 0))
        code = sock.connect_ex((address, probe["port"]))
        if probe["kind"] == "udp" and code == 0:
            sock.send(b"bulkhead-lab\n")
    except OSError as error:
        code = error.errno or -1
    return sock, code


def probe_all(probes: list[dict[str, Any]]) -> list[str]:
    """All at once: many closed doors take as long as one."""
    results = [""] * len(probes)
    waiting: dict[socket.socket, int] = {}
    begin = time.monotonic()
    for number, probe in enumerate(probes):
        sock, code = _start(probe)
        if code == errno.EINPROGRESS or (code == 0 and probe["kind"] == "udp"):
            waiting[sock] = number
        else:
            results[number] = _word(code)
            sock.close()
    while waiting:
        now = time.monotonic() - begin
        for sock, number in list(waiting.items()):
            if now >= probes[number]["timeout"]:
                results[number] = "timeout"
                del waiting[sock]
                sock.close()
        if not waiting:
            break
        rest = min(probes[number]["timeout"] for number in waiting.values()) - now
        # A datagram's answer is something to read; a finished connection is something to write to.
        read = [sock for sock, number in waiting.items() if probes[number]["kind"] == "udp"]
        write = [sock for sock, number in waiting.items() if probes[number]["kind"] == "tcp"]
        readable, writable, exceptional = select.select(read, write, [], max(rest, 0))
        for sock in (*readable, *writable, *exceptional):
            number = waiting.pop(sock)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code == 0 and probes[number]["kind"] == "udp":
                try:
                    sock.recv(65535)
                except OSError as error:
                    code = error.errno or -1
            results[number] = _word(code)
            sock.close()
    return results


if __name__ == "__main__":
    print(json.dumps(probe_all(json.loads(sys.argv[1]))))
