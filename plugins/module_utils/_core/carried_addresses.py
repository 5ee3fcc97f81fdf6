# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Containers whose environment holds another container's address, which is good until that one is started again."""

from __future__ import annotations

import ipaddress
import re
import typing as t

from .model import Container, Snapshot

# Whatever may be an address within a URL, a list or a DSN; what is none is told by the parser.
_CANDIDATES = (
    re.compile(r"(?<![0-9.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9]|\.[0-9])"),
    re.compile(r"(?<![0-9A-Fa-f:.])[0-9A-Fa-f:]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:]*(?![0-9A-Fa-f:])"),
)


def carried_addresses(containers: t.Iterable[Container], snapshot: Snapshot) -> list[dict[str, str]]:
    """Name each variable of ``containers`` that holds the address of another container of the host.

    The answer has ``container``, ``variable`` and ``of``, by these names; never a value.
    """
    owners: dict[str, set[str]] = {}
    for other in snapshot.containers:
        for address in _addresses(other):
            owners.setdefault(address, set()).add(other.name)
    found = {
        (container.name, variable, owner)
        for container in containers
        for variable, value in container.environment
        for address in addresses_in(value)
        for owner in owners.get(address, ())
        if owner != container.name
    }
    return [{"container": name, "variable": variable, "of": owner} for name, variable, owner in sorted(found)]


def addresses_in(text: str) -> set[str]:
    """The IP addresses that a text holds, each in its shortest form; one of IPv4 within IPv6 is that of IPv4."""
    found = set()
    for pattern in _CANDIDATES:
        for match in pattern.finditer(text):
            # The colon between an address and what follows it may have been taken along.
            for candidate in (match.group(), match.group().strip(":")):
                try:
                    address = ipaddress.ip_address(candidate)
                except ValueError:
                    continue
                found.add(str(getattr(address, "ipv4_mapped", None) or address))
    return found


def _addresses(container: Container) -> set[str]:
    texts = {
        text
        for endpoint in container.endpoints
        for text in (endpoint.ip, endpoint.ip6, endpoint.fixed_ip, endpoint.fixed_ip6)
        if text
    }
    return {address for text in texts for address in addresses_in(text)}
