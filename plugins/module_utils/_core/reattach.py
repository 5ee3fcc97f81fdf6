# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Members that come back to a network they were cut from, each with the address and the names that it had."""

from __future__ import annotations

import ipaddress
import typing as t
from dataclasses import replace

from .holders import claim
from .membership import aliases_of, config
from .model import Container, Endpoint, Network, Pool, Snapshot
from .plan import Change


def reattachments(
    world: Snapshot, network: Network, members: t.Sequence[str], *, uncertain: t.Container[str]
) -> tuple[Change, ...]:
    """Connect the containers with these IDs again, as they were in ``world``.

    Asked-for addresses come first, so that nobody else takes them; the others in ascending order, because Docker gives
    the lowest address that is free and so gives each its own again. Only where that would not work out, the old
    address is asked for: such a wish stays with the container, and it could not start while another one has it.
    """
    found = {item.id: item for item in world.containers if item.id in members}
    back = [(identity, found.get(identity)) for identity in members]
    endpoints = {key: claim(world, item, network) if item else None for key, item in back}
    order = sorted(back, key=lambda item: (*_rank(endpoints[item[0]]), item[0]))
    taken = {item.ip for item in network.attached if item.key not in members}
    changes = []
    for identity, container in order:
        endpoint = endpoints[identity]
        target: dict[str, t.Any] = {"network": network.id, "container": identity, "config": {}}
        if container is not None and endpoint is not None:
            target.update(_settings(container, endpoint, network, taken))
            taken |= {endpoint.ip, endpoint.fixed_ip}
        if identity in uncertain:
            target["uncertain"] = True
        name = container.name if container is not None else identity[:12]
        changes.append(Change("connect", "endpoint", f"{name} on {network.name}", _words(endpoint), target))
    return tuple(changes)


def _rank(endpoint: Endpoint | None) -> tuple[int, int]:
    if endpoint is None or not (endpoint.fixed_ip or endpoint.ip):
        return (2, 0)
    return (0 if endpoint.fixed_ip else 1, int(ipaddress.ip_address(endpoint.fixed_ip or endpoint.ip)))


def _settings(container: Container, endpoint: Endpoint, network: Network, taken: t.Collection[str]) -> dict[str, t.Any]:
    asked = replace(endpoint, aliases=aliases_of(container, endpoint))
    if endpoint.fixed_ip or not endpoint.ip or lowest_free(network, taken) == endpoint.ip:
        return {"config": config(asked)}
    return {"config": config(replace(asked, fixed_ip=endpoint.ip)), "config_without_ip": config(asked)}


def never_given(pool: Pool) -> set[str]:
    """The addresses of a pool that no container gets."""
    subnet = ipaddress.ip_network(pool.subnet, strict=False)
    return {
        str(subnet.network_address),
        *([str(subnet.broadcast_address)] if subnet.version == 4 else []),
        # Without a word about it, the gateway has the first one.
        pool.gateway or str(subnet.network_address + 1),
        *pool.aux_addresses.values(),
    }


def lowest_free(network: Network, taken: t.Collection[str], family: int = 4) -> str:
    """The address of a family that Docker would give next; empty if that cannot be told."""
    pools = [pool for pool in network.pools if pool.subnet and (":" in pool.subnet) == (family == 6)]
    if len(pools) != 1:
        return ""
    inside = ipaddress.ip_network(pools[0].ip_range or pools[0].subnet, strict=False)
    never = never_given(pools[0])
    # Each address that is passed over is in one of both sets, so that this is short however large the subnet is.
    return next((str(address) for address in inside if str(address) not in never and str(address) not in taken), "")


def _words(endpoint: Endpoint | None) -> str:
    if endpoint is None:
        return "it was on it before this purge"
    ip = endpoint.fixed_ip or endpoint.ip
    return f"it was on it before this purge{f', with {ip}' if ip else ''}"
