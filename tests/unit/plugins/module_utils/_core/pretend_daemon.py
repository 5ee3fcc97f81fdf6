# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Docker does to networks and their members, as far as a recreate stands on it; found out on live engines.

No mock of answers: it has networks with pools, gives the lowest address that is free, refuses what Docker refuses, and
starts a stopped container only if all that it refers to is there.
"""

from __future__ import annotations

import ipaddress
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.bulkhead.docker.plugins.module_utils._core.errors import CoreError
from ansible_collections.bulkhead.docker.plugins.module_utils._core.model import (
    Container,
    Endpoint,
    Engine,
    Network,
    Snapshot,
    Surroundings,
)
from ansible_collections.bulkhead.docker.plugins.module_utils._core.plan import Change
from ansible_collections.bulkhead.docker.plugins.module_utils._core.recovery import Recovery, read_recovery
from ansible_collections.bulkhead.docker.plugins.module_utils._core.recreate import network_of


class Killed(Exception):
    """The run ends here without a word, as by SIGKILL."""


@dataclass
class PretendDaemon:
    """A daemon with the folder that the collection keeps on its host."""

    networks: dict[str, Network] = field(default_factory=dict)
    containers: dict[str, Container] = field(default_factory=dict)
    records: dict[str, t.Any] = field(default_factory=dict)
    engine: Engine = field(default_factory=lambda: Engine("26.1.5", "1.45"))
    surroundings: Surroundings | None = None
    made: int = 0
    names: dict[str, str] = field(default_factory=dict)
    #: What create requests made whose answers were lost, by name.
    unanswered: dict[str, str] = field(default_factory=dict)

    @property
    def snapshot(self) -> Snapshot:
        return Snapshot(
            engine=self.engine,
            networks=tuple(sorted(self.networks.values(), key=lambda item: (item.name, item.id))),
            containers=tuple(sorted(self.containers.values(), key=lambda item: (item.name, item.id))),
            surroundings=self.surroundings,
            recovery=self.recovery,
        )

    @property
    def recovery(self) -> tuple[Recovery, ...]:
        return tuple(read_recovery(data) for _name, data in sorted(self.records.items()))

    def new_process(self) -> None:
        """What a run knows by itself is gone with it."""
        self.names = {}

    def lose_answer(self, change: Change) -> None:
        """It was done, but whoever asked for it does not know."""
        if (change.action, change.kind) == ("create", "network"):
            name = change.target["body"]["Name"]
            self.unanswered[name] = self.names[name]
            for key in (name, *change.target.get("replaces", ())):
                del self.names[key]

    def apply(self, change: Change) -> None:
        getattr(self, f"_{change.action}_{change.kind}")(change.target)

    # ---- records

    def _save_recovery(self, target: t.Mapping[str, t.Any]) -> None:
        self.records[target["record"]["network"]] = target["record"]

    def _discard_recovery(self, target: t.Mapping[str, t.Any]) -> None:
        self.records.pop(target["network"], None)

    # ---- networks

    def _create_network(self, target: t.Mapping[str, t.Any]) -> None:
        body = target["body"]
        if any(item.name == body["Name"] for item in self.networks.values()):
            raise refused(409, f"network with name {body['Name']} already exists")
        self.made += 1
        identity = f"{self.made:x}".rjust(64, "e")
        self.networks[identity] = network_of(body, identity)
        self.names.update(dict.fromkeys([body["Name"], *target.get("replaces", ())], identity))

    def _remove_network(self, target: t.Mapping[str, t.Any]) -> None:
        key = self.unanswered.get(target["id"], "") if target.get("unanswered") else target["id"]
        network = self._network(key)
        if self._on(network):
            raise refused(403, f"network {network.name} has active endpoints")
        del self.networks[network.id]

    def _network(self, key: str) -> Network:
        found = self.networks.get(self.names.get(key, key))
        if found is None:
            raise refused(404, f"network {key} not found")
        return found

    def _on(self, network: Network) -> list[Container]:
        return [
            item
            for item in self.containers.values()
            if item.live and any(endpoint.network_id == network.id for endpoint in item.endpoints)
        ]

    # ---- endpoints

    def _connect_endpoint(self, target: t.Mapping[str, t.Any]) -> None:
        try:
            self._connect(target, target["config"])
        except CoreError as error:
            if "config_without_ip" not in target or "already in use" not in error.msg:
                raise
            self._connect(target, target["config_without_ip"])

    def _connect(self, target: t.Mapping[str, t.Any], config: t.Mapping[str, t.Any]) -> None:
        network, container = self._network(target["network"]), self._container(target["container"])
        there = next((item for item in container.endpoints if item.network == network.name), None)
        if there is not None and there.network_id in (network.id, "") and not container.live:
            return  # Docker answers that it is done, and does nothing
        if there is not None and there.network_id == network.id:
            raise refused(403, f"endpoint with name {container.name} already exists in network {network.name}")
        wish = (config.get("IPAMConfig") or {}).get("IPv4Address", "")
        new = Endpoint(
            network=network.name,
            network_id=network.id if container.live else "",
            ip=self._address(network, wish) if container.live else "",
            fixed_ip=wish,
            aliases=tuple(config.get("Aliases", ())),
            links=tuple(config.get("Links", ())),
            driver_opts=dict(config.get("DriverOpts", {})),
            gw_priority=config.get("GwPriority", 0),
        )
        others = [item for item in container.endpoints if item.network != network.name]
        self._put(container, [*others, new])

    def _disconnect_endpoint(self, target: t.Mapping[str, t.Any]) -> None:
        network, container = self._network(target["network"]), self._container(target["container"])
        left = [item for item in container.endpoints if item.network != network.name]
        if len(left) == len(container.endpoints):
            raise refused(500, f"container {container.id} is not connected to network {network.name}")
        self._put(container, left)

    def _put(self, container: Container, endpoints: t.Iterable[Endpoint]) -> None:
        ordered = tuple(sorted(endpoints, key=lambda item: item.network))
        self.containers[container.id] = replace(container, endpoints=ordered)

    def _container(self, identity: str) -> Container:
        found = self.containers.get(identity)
        if found is None:
            raise refused(404, f"No such container: {identity}")
        return found

    def _address(self, network: Network, wish: str) -> str:
        (pool,) = network.pools
        subnet = ipaddress.ip_network(pool.subnet)
        gateway = pool.gateway or str(subnet.network_address + 1)
        taken = {endpoint.ip for item in self._on(network) for endpoint in item.endpoints} | {gateway}
        if not wish:
            return next(str(address) for address in subnet.hosts() if str(address) not in taken)
        if ipaddress.ip_address(wish) not in subnet:
            raise refused(400, f"no configured subnet contains {wish}")
        if wish in taken:
            raise refused(403, "Address already in use")
        return wish

    # ---- what the owner does

    def start(self, identity: str) -> None:
        container = self._container(identity)
        found = []
        for item in container.endpoints:
            network = next(
                (
                    network
                    for network in self.networks.values()
                    if network.id == item.network_id or (not item.network_id and network.name == item.network)
                ),
                None,
            )
            if network is None:
                raise refused(404, f"network {item.network_id or item.network} not found")
            found.append(replace(item, network_id=network.id, ip=self._address(network, item.fixed_ip)))
        self.containers[identity] = replace(container, state="running", endpoints=tuple(found))

    def stop(self, identity: str) -> None:
        container = self._container(identity)
        endpoints = tuple(replace(item, ip="") for item in container.endpoints)
        self.containers[identity] = replace(container, state="exited", endpoints=endpoints)


def refused(status: int, message: str) -> CoreError:
    return CoreError(
        f"Docker refused: {message} (HTTP {status}).", details={"status": status, "docker_message": message}
    )
