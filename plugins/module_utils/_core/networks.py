# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""A declared network and its members as values."""

from __future__ import annotations

import ipaddress
import typing as t
from dataclasses import dataclass, field

from .model import Pool

MTU = "com.docker.network.driver.mtu"
BRIDGE_NAME = "com.docker.network.bridge.name"
ICC = "com.docker.network.bridge.enable_icc"

#: Options of their own that stand for a driver option.
DRIVER_OPTION_OF = {"mtu": MTU, "bridge_name": BRIDGE_NAME, "icc": ICC}

#: Fields of a network that are one plain value, and are compared and carried over as such.
PLAIN_FIELDS = (
    "driver",
    "internal",
    "attachable",
    "ingress",
    "enable_ipv4",
    "enable_ipv6",
    "scope",
    "config_only",
    "config_from",
    "ipam_driver",
)


@dataclass(frozen=True)
class WantedMember:
    """One entry of ``connected``; ``container`` is a name, a full ID or its first 12 digits."""

    place: str
    container: str
    aliases: tuple[str, ...] = ()
    ip: str = ""
    ip6: str = ""
    links: tuple[str, ...] = ()
    driver_opts: t.Mapping[str, str] = field(default_factory=dict)
    mac: str = ""
    gw_priority: int | None = None

    @property
    def plain(self) -> bool:
        """Whether being attached is all that is asked."""
        asked = self.aliases or self.ip or self.ip6 or self.links or self.driver_opts or self.mac
        return not asked and self.gw_priority is None


@dataclass(frozen=True)
class WantedNetwork:
    """One declared network. What was not given is None, or missing in a mapping, and never counts as drift.

    ``given`` are the names of the options that were given: for ``strict``, an empty dictionary says something too.
    ``force`` asks for a new network where there is no drift, or for the removal of one that is held.
    ``gateway_modes`` tells whether the engine can isolate a network by gateway modes; ``network_engine.fit`` sets it.
    """

    place: str
    name: str
    present: bool = True
    driver: str | None = None
    internal: bool | None = None
    isolated: bool | None = None
    attachable: bool | None = None
    ingress: bool | None = None
    enable_ipv4: bool | None = None
    enable_ipv6: bool | None = None
    scope: str | None = None
    config_only: bool | None = None
    config_from: str | None = None
    ipam_driver: str | None = None
    ipam_options: t.Mapping[str, str] = field(default_factory=dict)
    pools: tuple[Pool, ...] = ()
    options: t.Mapping[str, str] = field(default_factory=dict)
    labels: t.Mapping[str, str] = field(default_factory=dict)
    members: tuple[WantedMember, ...] = ()
    exclusive: bool = False
    strict: bool = False
    force: bool = False
    allow_route_overlap: bool = False
    given: frozenset[str] = frozenset()
    gateway_modes: bool = True

    def at(self, option: str) -> str:
        """Name one of the network's options as the user finds it in the task."""
        return f"{self.place}.{option}" if self.place else option

    def whole(self, option: str) -> bool:
        """Whether a dictionary or list was given as the whole truth."""
        return self.strict and option in self.given


def plain(word: str) -> str:
    """An address or subnet in its shortest form; other text as it is.

    Engine 29 writes IPv6 in another form, and before 28.0.1 a gateway of Docker's choice comes with its prefix.
    """
    try:
        return str(ipaddress.ip_network(word, strict=False) if "/" in word else ipaddress.ip_address(word))
    except ValueError:
        return word


def version(subnet: str) -> int:
    """The family of an address or subnet: 4 or 6."""
    return 6 if ":" in subnet else 4
