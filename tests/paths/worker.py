# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs in the lab host: one case a line on standard input, one answer a line on standard output.

A case is ``{"rules": {tool: text}, "sysctl": {...}, "default_route": true, "packets": [...]}``. The answer is ``{"printed": {tool: text},
"seen": [...]}``, or ``{"refused": text}``. For each packet ``seen`` has ``there``, and ``back`` where an answer was sent:
a list of ``[place, header]``.
"""

from __future__ import annotations

import json
import sys
import typing as t

from . import shooting, topology, wire
from .loader import Loader, Refused
from .namespace import set_default_routes, set_sysctls


class Worker:
    """One host under test and all that is asked of it."""

    def __init__(self) -> None:
        self._range = shooting.Range()
        self._loader = Loader()
        self._token = 0

    def run(self, case: dict[str, t.Any]) -> dict[str, t.Any]:
        """Load a case, send its packets, say what was seen."""
        try:
            printed = self._loader.load(case["rules"])
        except Refused as refused:
            return {"refused": str(refused)}
        set_sysctls(case["sysctl"])
        set_default_routes(wanted=case.get("default_route", True))
        return {"printed": printed, "seen": [self._one(packet) for packet in case["packets"]]}

    def _one(self, packet: dict[str, t.Any]) -> dict[str, t.Any]:
        self._token = self._token % 0xFFFFF0 + 1
        self._range.forget_connections()
        if packet["ct_state"] in ("established", "related"):
            self._range.remember_connection(packet.get("about") or packet)
        there, error = self._range.send(packet, self._token)
        told: dict[str, t.Any] = {"there": _told(there), "error": error}
        if packet.get("round_trip"):
            arrived = [sight for sight in there if sight.header.kind == "packet"]
            answer = _answer(*arrived[0]) if len(arrived) == 1 else None
            if answer is not None:
                back, told["back_error"] = self._range.answer(arrived[0], answer, packet["iif"])
                told["back"] = _told(back)
        return told


def _told(sights: list[shooting.Sight]) -> list[list[t.Any]]:
    return [
        [sight.place, {name: value for name, value in vars(sight.header).items() if name != "about"}]
        for sight in sights
    ]


def _answer(place: str, header: wire.Header) -> wire.Header | None:
    """Give what the receiver of a packet says to it; None when it says nothing, or has done so by itself."""
    if place == "local" and (header.proto == wire.TCP or header.dst not in topology.own_addresses(header.family)):
        return None
    turned = {"src": header.dst, "dst": header.src, "sport": header.dport, "dport": header.sport}
    told = {**header.__dict__, **turned}
    if header.proto == wire.TCP:
        told["flags"] = wire.FLAGS["syn"] | wire.FLAGS["ack"]
    elif header.proto == wire.ICMP:
        if header.type != 8:
            return None
        told["type"] = 0
    elif header.proto == wire.ICMP6:
        if header.type != 128:
            return None
        told["type"] = 129
    return wire.Header(**told)


def main() -> None:
    worker = Worker()
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(worker.run(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
