# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""What the guard is asked for: the module's options, checked, as wishes about published ports."""

from __future__ import annotations

import ipaddress
import itertools
import re
import typing as t
from dataclasses import dataclass

from . import guard_table, ufw
from .errors import CoreError

#: A whole name; without * and +, which nft and iptables read as patterns.
INTERFACE = re.compile(r"^[A-Za-z0-9_.@=%,:-]{1,15}$")

Params = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class Wish:
    """One thing to say about published ports. Family 0 is both; empty fields mean any; ``comment`` names its origin."""

    action: str
    family: int = 0
    proto: str = "any"
    ports: ufw.Ports = ()
    to: str = ""
    source_ports: ufw.Ports = ()
    source: str = ""
    interface: str = ""
    comment: str = ""


@dataclass(frozen=True)
class Intent:
    """The module's options, checked."""

    present: bool
    follow_ufw: bool
    policy: str
    trusted: tuple[Wish, ...]
    rules: tuple[Wish, ...]


def read_intent(params: Params) -> Intent:
    """Check the options' deeper shapes."""
    return Intent(
        present=params["state"] == "present",
        follow_ufw=params["follow_ufw"],
        policy=params["policy"],
        trusted=tuple(_trusted(item, f"trusted[{index}]") for index, item in enumerate(params["trusted"])),
        rules=tuple(wish for index, item in enumerate(params["rules"]) for wish in _wishes_of(item, f"rules[{index}]")),
    )


def _trusted(item: Params, place: str) -> Wish:
    source, family = _network(item["from"], f"{place}.from")
    interface = _interface(item["interface"], f"{place}.interface")
    where = source or ("anywhere" if family == 4 else "anywhere (v6)")
    comment = guard_table.comment_of(f"trusted: {where} on {interface}")
    return Wish("allow", family=family, source=source, interface=interface, comment=comment)


def _wishes_of(item: Params, place: str) -> t.Iterator[Wish]:
    ports = _ports(item["port"], f"{place}.port")
    interface = _interface(item["interface"], f"{place}.interface") if item["interface"] else ""
    sources = [_network(text, f"{place}.from[{index}]") for index, text in enumerate(item["from"])] or [("", 0)]
    targets = [_network(text, f"{place}.to[{index}]") for index, text in enumerate(item["to"])] or [("", 0)]
    pairs = [pair for pair in itertools.product(sources, targets) if 0 in (pair[0][1], pair[1][1]) or _same(*pair)]
    if not pairs:
        raise CoreError(
            f"{place} has only IPv4 addresses on one side of from and to, and only IPv6 ones on the other, "
            "so no packet can match it.",
            hint="Give both sides in one family, or leave one of them out.",
            reason_code="invalid_option",
        )
    for (source, source_family), (to, to_family) in pairs:
        wish = Wish(
            action=item["action"],
            family=source_family or to_family,
            proto=item["proto"],
            ports=ports,
            to=to,
            source=source,
            interface=interface,
        )
        yield commented(wish, "rule", item["comment"] or "")


def _same(source: tuple[str, int], to: tuple[str, int]) -> bool:
    return source[1] == to[1]


def _network(text: str, place: str) -> tuple[str, int]:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise CoreError(
            f"{place} is {text!r}: {str(error).rstrip('.')}.",
            hint="Give an address or a network such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32.",
            reason_code="invalid_option",
        ) from error
    return ufw.canonical(network), network.version


def _interface(text: str, place: str) -> str:
    if not INTERFACE.match(text):
        raise CoreError(
            f"{place} is {text!r}, which is no name of an interface (1 to 15 letters, digits and - _ . @ = % , :).",
            hint="'ip -brief link' lists the names; patterns are not taken, so that trust stays with what is named.",
            reason_code="invalid_option",
        )
    return text


def _ports(value: t.Any, place: str) -> ufw.Ports:
    items = value if isinstance(value, list) else [] if value is None else [value]
    if isinstance(value, list) and not items:
        raise CoreError(
            f"{place} is an empty list, which names no port.",
            hint="Leave port out to speak of all published ports.",
            reason_code="invalid_option",
        )
    ports = []
    for index, item in enumerate(items):
        where = f"{place}[{index}]" if isinstance(value, list) else place
        match = re.match(r"^([0-9]{1,5})(?:[:-]([0-9]{1,5}))?$", "" if isinstance(item, bool) else str(item))
        first, last = (int(match.group(1)), int(match.group(2) or match.group(1))) if match else (0, 0)
        if not 1 <= first <= last <= 65535:
            raise CoreError(
                f"{where} is {item!r}, which is no port between 1 and 65535 and no range of them.",
                hint='Give the port as published on the host: 8080, "8000:8100", or a list of such.',
                reason_code="invalid_option",
            )
        ports.append((first, last))
    return ufw.merged(ports)


def commented(wish: Wish, origin: str, remark: str) -> Wish:
    """Name the origin by what the rule says and not by its line, which shifts when UFW gets another rule."""
    ports = ",".join(f"{first}:{last}" if first != last else str(first) for first, last in wish.ports)
    parts = [origin, wish.action, "/".join(part for part in (ports, wish.proto if wish.proto != "any" else "") if part)]
    parts += [f"from {wish.source}"] if wish.source else []
    if wish.source_ports:
        parts.append("source port " + ",".join(f"{a}:{b}" if a != b else str(a) for a, b in wish.source_ports))
    parts += [f"to {wish.to}"] if wish.to else []
    parts += [f"in on {wish.interface}"] if wish.interface else []
    parts += ["(v6)"] if wish.family == 6 and not (wish.source or wish.to) else []
    text = " ".join(part for part in parts if part)
    comment = guard_table.comment_of(f"{text} # {remark}" if remark else text)
    return Wish(**{**vars(wish), "comment": comment})
