# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which hosts a lab has and where they live. Pure: no Docker, no files, no environment unless it is handed in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address

from .errors import LabError

LAB_LABEL = "io.bulkhead.lab"
ROLE_LABEL = "io.bulkhead.lab.host"
RECIPE_LABEL = "io.bulkhead.lab.recipe"
LABS = range(8)  # a /27 of 198.51.100.0/24 each


@dataclass(frozen=True)
class Host:
    """One row of the topology: the last decimal of its addresses never depends on the lab's number."""

    name: str
    image: str
    part: int
    on_wan: bool = True
    on_lan: bool = True
    boots: bool = False

    @property
    def has_docker(self) -> bool:
        return self.image.startswith("engine")


HOSTS: tuple[Host, ...] = (
    Host("neighbour", "outside", 8, on_wan=False),
    Host("outsider", "outside", 9, on_lan=False),
    Host("boot20", "engine20", 12, boots=True),
    Host("boot26", "engine26", 13, boots=True),
    Host("boot28", "engine28", 14, boots=True),
    Host("engine20", "engine20", 20),
    Host("engine26", "engine26", 26),
    Host("engine28", "engine28", 28),
)
DEFAULT_HOSTS = ("engine20", "engine26", "engine28", "neighbour", "outsider")


@dataclass(frozen=True)
class Link:
    """One outer bridge network."""

    name: str
    subnet: str
    gateway: str
    subnet6: str
    gateway6: str


def _spelled(address: str) -> str:
    """The way the kernel and Docker spell it, so that texts can be compared: lab 0 has a zero to leave out."""
    return str(IPv6Address(address))


@dataclass(frozen=True)
class Lab:
    """All names and addresses of one lab, derived from its number."""

    number: int

    @property
    def prefix(self) -> str:
        return f"bulkhead-lab{self.number}"

    @property
    def label(self) -> str:
        return f"{LAB_LABEL}={self.number}"

    # Docker gives the interfaces of a (re)started container in the order of the network names, and the first one
    # becomes eth0 with the default route: hence the digit in the name.
    @property
    def wan(self) -> Link:
        base = 32 * self.number
        return Link(
            name=f"{self.prefix}-1-wan",
            subnet=f"198.51.100.{base}/27",
            gateway=f"198.51.100.{base + 1}",
            subnet6=f"2001:db8:113:{self.number}::/64",
            gateway6=_spelled(f"2001:db8:113:{self.number}::1"),
        )

    @property
    def lan(self) -> Link:
        return Link(
            name=f"{self.prefix}-2-lan",
            subnet=f"10.113.{self.number}.0/24",
            gateway=f"10.113.{self.number}.1",
            subnet6=f"fd00:113:{self.number}::/64",
            gateway6=_spelled(f"fd00:113:{self.number}::1"),
        )

    def container(self, host: Host) -> str:
        return f"{self.prefix}-{host.name}"

    def volume(self, host: Host) -> str:
        return f"{self.prefix}-{host.name}-docker"

    def wan_ip(self, host: Host) -> str | None:
        return f"198.51.100.{32 * self.number + host.part}" if host.on_wan else None

    def wan_ip6(self, host: Host) -> str | None:
        return _spelled(f"2001:db8:113:{self.number}::{host.part}") if host.on_wan else None

    def lan_ip(self, host: Host) -> str | None:
        return f"10.113.{self.number}.{host.part}" if host.on_lan else None

    def lan_ip6(self, host: Host) -> str | None:
        return _spelled(f"fd00:113:{self.number}::{host.part}") if host.on_lan else None

    def links(self, host: Host) -> tuple[tuple[Link, str, str], ...]:
        """The host's links in interface order, each with the host's own two addresses."""
        found = []
        if host.on_wan:
            found.append((self.wan, str(self.wan_ip(host)), str(self.wan_ip6(host))))
        if host.on_lan:
            found.append((self.lan, str(self.lan_ip(host)), str(self.lan_ip6(host))))
        return tuple(found)


def chosen_lab(environment: Mapping[str, str]) -> Lab:
    raw = environment.get("LAB") or "0"
    if not raw.isascii() or not raw.isdigit() or int(raw) not in LABS:
        raise LabError(
            f"LAB={raw!r} is no lab: set LAB to a number from {LABS[0]} to {LABS[-1]}, or unset it for lab 0."
        )
    return Lab(int(raw))


def host_named(name: str) -> Host:
    for host in HOSTS:
        if host.name == name:
            return host
    known = ", ".join(host.name for host in HOSTS)
    raise LabError(f"The lab has no host {name!r}: choose from {known}.")


def hosts_named(names: Iterable[str], *, default: Iterable[str] = DEFAULT_HOSTS) -> tuple[Host, ...]:
    """The hosts in table order, each once; no names means the default set."""
    wanted = {host_named(name).name for name in (tuple(names) or tuple(default))}
    return tuple(host for host in HOSTS if host.name in wanted)
