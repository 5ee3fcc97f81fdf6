# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must come back to one who knocks, computed from what a host says of itself."""

from __future__ import annotations

import ipaddress
import json
import typing as t
from dataclasses import dataclass, replace
from pathlib import Path

from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter import ruleset
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.packet import Packet
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.trace import (
    Host,
    Listener,
    Model,
    RoundTrip,
    Step,
)

Seen = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class Cell:
    """Who (a container, ``host``, or somebody outside) asked for what from which address, and what came back.

    A door that is open says who it is and whom it sees: ``web 172.30.1.1``. Other answers are words in brackets.
    """

    asker: str
    proto: str
    address: str
    port: int
    source: str
    answer: str

    @property
    def open(self) -> bool:
        return not self.answer.startswith("(")

    @property
    def question(self) -> tuple[str, str, str, int]:
        return self.asker, self.proto, self.address, self.port

    def __str__(self) -> str:
        return f"{self.asker} ({self.source}) -> {self.proto} {self.address} {self.port}: {self.answer}"


@dataclass(frozen=True)
class Proxy:
    """A docker-proxy: where it listens, and where it connects to."""

    listener: Listener
    address: str
    port: int
    answers_from_asked: bool
    """Of datagrams: that the answer comes from the address that was asked. Engines before 28 leave it to the route."""


class Computed:
    """One host as it describes itself, and the answers that follow from it."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        self.host = host_of(seen)
        self.rules = ruleset.Ruleset.merge(
            ruleset.parse_iptables_save(seen["save4"], 4),
            ruleset.parse_iptables_save(seen["save6"], 6),
            ruleset.parse_nft_json(seen["nft"]),
        )
        self.model = Model(self.rules, self.host)
        self.proxies = [proxy_of(line) for line in seen["proxy"]]
        self._links = [
            (name, ipaddress.ip_interface(prefix))
            for name, prefixes in self.host.addresses.items()
            for prefix in prefixes
        ]
        self._own = {str(own.ip) for _name, own in self._links}

    def packet(self, cell: Cell) -> Packet:
        """Write the first packet of a knock as the host meets it."""
        source = ipaddress.ip_address(cell.source)
        iif = None if cell.asker == "host" else next(name for name, own in self._links if source in own.network)
        made = Packet(
            family=source.version, proto=cell.proto, src=cell.source, dst=cell.address, dport=cell.port, iif=iif
        )
        if cell.proto == "icmp":
            return replace(made, sport=0)
        return replace(made, proto="tcp") if cell.proto == "raw" else made

    def answer(self, cell: Cell) -> tuple[str, list[RoundTrip]]:
        """Compute what comes back, and by which ways: the asker's own, and that of docker-proxy if it is in between."""
        trip = self.model.round_trip(self.packet(cell))
        answer, behind = self._answer(cell, trip)
        if cell.proto == "raw" and not answer.startswith("("):
            answer = "SYN-ACK"
        if cell.proto == "icmp" and trip.verdict == "accept":
            answer = "pong"
        return answer, [trip, *behind]

    def agrees(self, cell: Cell) -> bool:
        """Tell whether what came back is what was computed."""
        answer = self.answer(cell)[0]
        if answer.endswith(" "):
            return cell.answer.startswith(answer)
        return cell.answer in SAME.get(answer, (answer,))

    def explained(self, cell: Cell) -> str:
        """Write a cell beside what was computed, and why."""
        answer, trips = self.answer(cell)
        lines = [f"{cell}, but computed {answer}"]
        for number, trip in enumerate(trips):
            for name, way in (("there", trip.there), ("back", trip.back)):
                if way is None:
                    continue
                lines.append(f"    {'docker-proxy ' if number else ''}{name}: {way.verdict} to {way.delivered_to}")
                steps = way.because if way.verdict == "unknown" else way.steps
                lines += [f"        {_told(step)}" for step in steps]
        return "\n".join(lines)

    def _answer(self, cell: Cell, trip: RoundTrip) -> tuple[str, list[RoundTrip]]:
        if trip.verdict != "accept":
            return WORDS[trip.verdict], []
        arrived = trip.there.packet
        if trip.there.delivered_to != "local":
            return self._elsewhere(arrived), []
        for proxy in self.proxies:
            if hears(proxy.listener, arrived):
                if not proxy.answers_from_asked and cell.address != self._source_to(cell.source):
                    return "(timeout)", []
                return self._proxied(proxy, arrived)
        return self._here(cell, arrived), []

    def _elsewhere(self, arrived: Packet) -> str:
        name = self.seen["of"].get(arrived.dst, "")
        if not name:
            return "(nobody there)"
        opened = f"{arrived.proto}/{arrived.dport}" in self.seen["doors"][arrived.dst].split()
        return f"{name} {arrived.src}" if opened else "(refused)"

    def _here(self, cell: Cell, arrived: Packet) -> str:
        if not any(hears(listener, arrived) for listener in self.host.listeners or ()):
            return "(refused)"
        if f"{arrived.proto}/{arrived.dport}" in self.seen["doors"]["host"].split():
            # Whom MASQUERADE names on an interface without addresses, as lo is one, hangs on which interface the kernel
            # got first. A container's, and so the lab's, were moved into it, and no listing has them in that order.
            return f"host {'' if cell.asker == 'host' else arrived.src}"
        # Without docker-proxy, engines before 28 bind what they publish themselves, and never answer.
        return "(silent)" if arrived.proto == "tcp" else "(timeout)"

    def _proxied(self, proxy: Proxy, arrived: Packet) -> tuple[str, list[RoundTrip]]:
        """Follow the second connection, which docker-proxy makes itself."""
        family = 6 if ":" in proxy.address else 4
        source = self._source_to(proxy.address)
        packet = Packet(family=family, proto=arrived.proto, src=source, dst=proxy.address, dport=proxy.port, iif=None)
        trip = self.model.round_trip(packet)
        if trip.verdict != "accept":
            return WORDS[trip.verdict], [trip]
        return f"{self.seen['of'][proxy.address]} {trip.there.packet.src}", [trip]

    def _source_to(self, address: str) -> str:
        """Give the address by which the host calls one on a link of its own."""
        target = ipaddress.ip_address(address)
        if address in self._own:
            return address
        return next(str(own.ip) for _name, own in self._links if target in own.network)


def _told(step: Step) -> str:
    place = f"{step.table} {step.chain} {step.rule_number}: " if step.chain else ""
    return f"{step.hook}: {place}{step.rule} => {step.effect}"


#: What comes back if not an answer.
WORDS = {"drop": "(timeout)", "reject": "(refused)", "unknown": "(unknown)"}
#: What may come back for what is computed, where it is not the same.
SAME = {"(refused)": ("(refused)", "(unreachable)")}


def hears(listener: Listener, packet: Packet) -> bool:
    return (
        listener.proto == packet.proto
        and listener.port == packet.dport
        and packet.family in listener.families
        and listener.address in ("", packet.dst)
    )


def host_of(seen: Seen) -> Host:
    """Make a host of what iproute2, sysctl and ss say."""
    return Host(
        addresses={
            link["ifname"]: [f"{item['local']}/{item['prefixlen']}" for item in link["addr_info"]]
            for link in seen["addr"]
        },
        routes=[*routes(seen["route4"], "0.0.0.0/0"), *routes(seen["route6"], "::/0")],
        bridges=frozenset(seen["bridges"]),
        sysctl=seen["sysctl"],
        listeners=[listener_of(line) for line in seen["listen"]],
    )


def routes(listed: t.Iterable[Seen], default: str) -> list[tuple[str, ...]]:
    """Read the routes that are not about the host's own addresses, the preferred one first."""
    wanted = [
        route
        for route in listed
        if route.get("type", "unicast") in ("unicast", "unreachable", "blackhole", "prohibit")
        and route.get("table", "main") in ("main", "default")
    ]
    return [
        (
            route["dst"] if route["dst"] != "default" else default,
            route.get("dev", "") if route.get("type", "unicast") == "unicast" else route["type"],
        )
        for route in sorted(wanted, key=lambda route: int(route.get("metric", 0)))
    ]


def listener_of(line: str) -> Listener:
    """Read a line of ``ss -Hlntu``."""
    words = line.split()
    address, _colon, port = words[4].rpartition(":")
    address = address.partition("%")[0].strip("[]")
    families = {"*": (4, 6), "0.0.0.0": (4,), "::": (6,)}.get(address, (6,) if ":" in address else (4,))
    return Listener(words[0], "" if address in ("*", "0.0.0.0", "::") else address, int(port), "", families)


def proxy_of(line: str) -> Proxy:
    """Read the command line of a docker-proxy."""
    words = line.split()
    options = dict(zip(words[1::2], words[2::2]))
    address = options["-host-ip"]
    families = (6,) if ":" in address else (4,)
    return Proxy(
        Listener(
            options["-proto"], "" if address in ("0.0.0.0", "::") else address, int(options["-host-port"]), "", families
        ),
        options["-container-ip"],
        int(options["-container-port"]),
        # It came with the same release.
        options["-proto"] == "tcp" or "-use-listen-fd" in words,
    )


# ---- kept on disk --------------------------------------------------------------------------------------------------


def written(folder: Path, seen: Seen, cells: t.Sequence[Cell]) -> None:
    """Keep what a host said of itself and what packets said of it, without what nothing asks for."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = set(seen["bridges"]) | {"lo", "eth0", "eth1"}
    files: dict[str, t.Any] = {
        "addr": [link for link in seen["addr"] if link["ifname"] in kept],
        "nft": {"nftables": [item for item in seen["nft"]["nftables"] if not _of_iptables(item)]},
        "route": {family: [item for item in seen[f"route{family}"] if item.get("dev") in kept] for family in "46"},
        "sysctl": seen["sysctl"],
        "host": {name: seen[name] for name in ("bridges", "listen", "proxy", "doors", "of")},
    }
    truth: dict[str, dict[str, dict[str, dict[str, str]]]] = {}
    for cell in cells:
        asked = truth.setdefault(cell.asker, {}).setdefault(cell.source, {}).setdefault(cell.address, {})
        asked[f"{cell.proto}/{cell.port}"] = cell.answer
    for name, content in {**files, "truth": truth}.items():
        (folder / f"{name}.json").write_text(json.dumps(content, indent=0 if name == "truth" else None) + "\n")
    for name in ("save4", "save6"):
        (folder / name).write_text("".join(line for line in seen[name].splitlines(True) if not line.startswith("#")))


def _of_iptables(item: t.Mapping[str, t.Any]) -> bool:
    """Tell whether a part of a listing is what iptables-save says too."""
    (kind, content), *_more = item.items()
    table = content.get("name") if kind == "table" else content.get("table")
    return content.get("family") in ("ip", "ip6") and table in ("filter", "mangle", "nat", "raw", "security")


def read(folder: Path) -> tuple[dict[str, t.Any], list[Cell]]:
    """Read what :func:`written` has kept."""
    files = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    truth, routes, host = files.pop("truth"), files.pop("route"), files.pop("host")
    saved = {name: (folder / name).read_text() for name in ("save4", "save6")}
    cells = [
        Cell(asker, door.partition("/")[0], address, int(door.partition("/")[2]), source, answer)
        for asker, sources in truth.items()
        for source, addresses in sources.items()
        for address, answers in addresses.items()
        for door, answer in answers.items()
    ]
    return {**files, **host, **saved, "route4": routes["4"], "route6": routes["6"]}, cells
