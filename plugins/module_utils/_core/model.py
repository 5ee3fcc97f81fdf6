# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""What exists on a Docker host, as immutable values. Built by the edge, read by everything pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .recovery import Recovery

PREDEFINED_NETWORKS = frozenset({"bridge", "host", "none", "default"})
SWARM_NETWORKS = frozenset({"ingress", "docker_gwbridge"})
MANAGED_LABEL = "io.bulkhead.managed"
COMPOSE_PROJECT_LABEL = "com.docker.compose.project"
COMPOSE_SERVICE_LABEL = "com.docker.compose.service"
DOKKU_APP_LABEL = "com.dokku.app-name"
DOKKU_PROCESS_LABEL = "com.dokku.process-type"
INDEX_LABEL = "io.bulkhead.index"
GENERATION_LABEL = "io.bulkhead.generation"

#: States in which a container holds live endpoints, so that Docker refuses to remove their network.
LIVE_STATES = frozenset({"running", "paused", "restarting"})


@dataclass(frozen=True)
class Engine:
    """The daemon: ``version`` as text, e.g. ``28.5.2``; ``api`` the negotiated API version, e.g. ``1.51``."""

    version: str = "0"
    api: str = "1.24"

    @property
    def release(self) -> tuple[int, ...]:
        """The numeric head of the version: ``20.10.24+dfsg1`` is (20, 10, 24)."""
        return _numbers(self.version)

    @property
    def api_release(self) -> tuple[int, ...]:
        """The version of the API as numbers."""
        return _numbers(self.api)

    @property
    def needs_creation_network(self) -> bool:
        """Whether a container does not start, and joins nothing, once the network that it was created on is gone.

        It does when it has no network at all. Seen on 26.1 and 28.5, not on 20.10; a new network of the name is enough.
        """
        return self.release >= (24, 0, 7)

    @property
    def gives_mac_on_join(self) -> bool:
        """Whether a container that joins a network gets the MAC address that is asked for."""
        return self.api_release >= (1, 54)


def _numbers(version: str) -> tuple[int, ...]:
    parts = []
    for part in version.split("."):
        digits = ""
        for char in part:
            if not char.isdigit():
                break
            digits += char
        if not digits:
            break
        parts.append(int(digits))
        if digits != part:
            break
    return tuple(parts)


@dataclass(frozen=True)
class Endpoint:
    """A container's attachment to one network, as the container's side tells it.

    ``fixed_ip``/``fixed_ip6`` were asked for (IPAMConfig); ``ip``/``ip6`` are in effect (empty when not running).
    ``network_id`` is empty for a container that was created and never started.
    """

    network: str
    network_id: str = ""
    endpoint_id: str = ""
    ip: str = ""
    ip6: str = ""
    fixed_ip: str = ""
    fixed_ip6: str = ""
    mac: str = ""
    aliases: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    driver_opts: t.Mapping[str, str] = field(default_factory=dict)
    gw_priority: int = 0


@dataclass(frozen=True)
class PublishedPort:
    """A container port made reachable on the host; ``host_ip`` may be ``0.0.0.0``, ``::`` or one address."""

    host_ip: str
    host_port: int
    container_port: int
    proto: str = "tcp"


class Owned:
    """Something with labels that may say whose it is."""

    labels: t.Mapping[str, str]

    @property
    def compose_project(self) -> str:
        return self.labels.get(COMPOSE_PROJECT_LABEL, "")

    @property
    def owner(self) -> str:
        """The Compose project or Dokku app that it belongs to; empty for a plain one."""
        return self.compose_project or self.labels.get(DOKKU_APP_LABEL, "")


@dataclass(frozen=True)
class Container(Owned):
    """A container in any state. ``detailed`` tells whether aliases, links and ``pid`` were read (a list call has none).

    ``pid`` is the number of its first process on the daemon's host; 0 when it does not run. ``wished_mac`` is the MAC
    address that it was created with, as far as the daemon still tells. ``health`` is ``starting``, ``healthy`` or
    ``unhealthy``, and empty without a health check; ``restarts`` counts those that Docker made. ``environment`` has names
    and values; values are secrets, so that ``repr`` leaves it out.
    """

    id: str
    name: str
    state: str = "running"
    image: str = ""
    labels: t.Mapping[str, str] = field(default_factory=dict)
    network_mode: str = "default"
    endpoints: tuple[Endpoint, ...] = ()
    published: tuple[PublishedPort, ...] = ()
    exposed: tuple[str, ...] = ()
    detailed: bool = False
    pid: int = 0
    wished_mac: str = ""
    health: str = ""
    restarts: int = 0
    exit_code: int = 0
    environment: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def live(self) -> bool:
        return self.state in LIVE_STATES


@dataclass(frozen=True)
class Pool:
    """One IPAM pool; texts as Docker gives them."""

    subnet: str = ""
    gateway: str = ""
    ip_range: str = ""
    aux_addresses: t.Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Attached:
    """An endpoint as the network's side lists it. ``key`` is a container ID, or ``ep-...`` for a phantom."""

    key: str
    name: str
    endpoint_id: str = ""
    ip: str = ""
    ip6: str = ""


@dataclass(frozen=True)
class Network(Owned):
    """A network. ``detailed`` tells whether ``attached`` was read (a list call has none)."""

    id: str
    name: str
    driver: str = "bridge"
    scope: str = "local"
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    enable_ipv4: bool = True
    enable_ipv6: bool = False
    ipam_driver: str = "default"
    ipam_options: t.Mapping[str, str] = field(default_factory=dict)
    pools: tuple[Pool, ...] = ()
    options: t.Mapping[str, str] = field(default_factory=dict)
    labels: t.Mapping[str, str] = field(default_factory=dict)
    created: str = ""
    config_only: bool = False
    config_from: str = ""
    attached: tuple[Attached, ...] = ()
    services: tuple[str, ...] = ()
    detailed: bool = False

    @property
    def predefined(self) -> bool:
        return self.name in PREDEFINED_NETWORKS

    @property
    def managed(self) -> bool:
        return self.labels.get(MANAGED_LABEL) == "true"

    @property
    def bridge_name(self) -> str:
        """The host's interface of a bridge network: the option if given, else Docker's ``br-`` and 12 digits."""
        if self.driver != "bridge":
            return ""
        return self.options.get("com.docker.network.bridge.name") or f"br-{self.id[:12]}"


@dataclass(frozen=True)
class Route:
    """A way that one of the host's routing tables has: ``destination`` in CIDR form, ``device`` maybe empty.

    ``on_link`` is a way of the main table to neighbours without a router: where Docker chooses a subnet itself, it
    keeps away from those, and from no others.
    """

    destination: str
    device: str = ""
    on_link: bool = False


@dataclass(frozen=True)
class Surroundings:
    """What a host has beside Docker's own objects that a new network can collide with.

    ``interfaces`` maps names to kinds as the kernel calls them (``bridge``, ``vlan``, ... empty for plain ones);
    ``address_pools`` are the daemon's, each a base in CIDR form and the prefix length of the networks cut from it.
    """

    routes: tuple[Route, ...] = ()
    interfaces: t.Mapping[str, str] = field(default_factory=dict)
    address_pools: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """One read of a host's Docker objects; both tuples sorted by name, then ID.

    ``surroundings`` is None where nobody looked, or where the daemon is not on this host. ``recovery`` are the records
    of networks that a run was stopped in the midst of recreating.
    """

    engine: Engine = Engine()
    networks: tuple[Network, ...] = ()
    containers: tuple[Container, ...] = ()
    surroundings: Surroundings | None = None
    recovery: tuple[Recovery, ...] = ()

    def networks_named(self, name: str) -> tuple[Network, ...]:
        """All networks of exactly this name or exactly this full ID; never by prefix.

        A short hexadecimal name would else hit some other network's ID, and engines below 25 allow twins.
        """
        return tuple(network for network in self.networks if name in (network.name, network.id))

    def containers_named(self, name: str) -> tuple[Container, ...]:
        """The container of exactly this name or full ID, or of this ID's first 12 digits when no name is equal."""
        exact = tuple(item for item in self.containers if name in (item.name, item.id))
        return exact or tuple(item for item in self.containers if len(name) == 12 and item.id.startswith(name))

    def container(self, identity: str) -> Container | None:
        """The container of this full ID."""
        return next((item for item in self.containers if item.id == identity), None)
