# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Addresses that are asked for, held against what a network can give."""

from __future__ import annotations

import ipaddress
import typing as t

from .errors import CoreError
from .membership import Attachment
from .model import Network, Pool, Snapshot
from .network_isolation import GATEWAY_MODE
from .network_making import LOCAL_DRIVERS, Making
from .network_pools import Subnet, subnet
from .networks import version


def refuse_addresses(
    attachments: t.Sequence[Attachment], there: t.Mapping[str, Network], made: t.Mapping[str, Making]
) -> None:
    """Refuse addresses that the network will not have to give: outside, reserved, or wanted twice."""
    wanted: dict[tuple[str, str], Attachment] = {}
    for item in attachments:
        for ip in filter(None, (item.ip, item.ip6)):
            other = wanted.setdefault((item.network, ip), item)
            if other is not item:
                raise _static_error(item, ip, f"{other.why[0]} wants it for {other.container.name!r} too")
            _refuse_address(item, ip, there.get(item.network), made.get(item.network))


def refuse_held(attachments: t.Sequence[Attachment], there: t.Mapping[str, Network], snapshot: Snapshot) -> None:
    """Refuse an address that another running container has on a network that stays as it is."""
    moving = {(item.network, item.container.id): {item.ip, item.ip6} - {""} for item in attachments}
    for item in attachments:
        network = there.get(item.network)
        if network is None or not (item.ip or item.ip6):
            continue
        for other in snapshot.containers:
            mine = [ip for end in other.endpoints if end.network_id == network.id for ip in (end.ip, end.ip6) if ip]
            stays = moving.get((item.network, other.id)) or set(mine)
            for ip in (item.ip, item.ip6):
                if other.id != item.container.id and ip in mine and ip in stays:
                    raise _static_error(item, ip, f"{other.name!r} has it now")


def _refuse_address(item: Attachment, ip: str, live: Network | None, new: Making | None) -> None:
    pools = new.pools if new is not None else live.pools if live is not None else ()
    family = [pool for pool in pools if version(pool.subnet) == version(ip)]
    if new is not None and not family:
        if new.driver in LOCAL_DRIVERS:
            raise _static_error(item, ip, "Docker lets nobody choose an address where it chooses the subnet itself")
        return
    address = ipaddress.ip_address(ip)
    subnets = [(pool, found) for pool in family for found in [subnet(pool.subnet)] if found is not None]
    inside = [(pool, found) for pool, found in subnets if address in found]
    if not subnets:
        return
    if not inside:
        told = ", ".join(str(found) for _pool, found in subnets)
        raise _static_error(item, ip, f"it is outside the network's {told}")
    pool, found = inside[0]
    bridge = (live.driver if live is not None else "") if new is None else new.driver
    closed = new is not None and "isolated" in _modes(new.body.get("Options", {}))
    for reserved, why in _reserved(pool, found, chosen=new is not None and bridge == "bridge" and not closed):
        if address == reserved:
            raise _static_error(item, ip, f"it is {why}")


def _modes(options: t.Mapping[str, str]) -> set[str]:
    return {options.get(name, "") for name in GATEWAY_MODE.values()}


def _reserved(pool: Pool, found: Subnet, *, chosen: bool) -> t.Iterator[tuple[t.Any, str]]:
    """The addresses that a pool never gives; ``chosen`` says that Docker will choose its gateway where it has none."""
    if pool.gateway:
        yield ipaddress.ip_address(pool.gateway.partition("/")[0]), "the gateway's"
    elif chosen and not pool.ip_range and found.num_addresses > 2:
        yield found[1], "the first one, which Docker takes for the gateway"
    for name, ip in pool.aux_addresses.items():
        yield ipaddress.ip_address(ip.partition("/")[0]), f"reserved for {name!r} by aux_addresses"
    if found.num_addresses > 2:
        yield found.network_address, "the subnet's own"
        if found.version == 4:
            yield found.broadcast_address, "the subnet's broadcast address"


def _static_error(item: Attachment, ip: str, why: str) -> CoreError:
    return CoreError(
        f"{item.why[0]} wants {ip} for the container {item.container.name!r} on {item.network!r}, but {why}. "
        "Nothing was changed.",
        hint="Choose a free address of the network's subnet, or leave it out.",
        reason_code="static_ip",
        details={"container": item.container.name, "network": item.network, "address": ip},
    )
