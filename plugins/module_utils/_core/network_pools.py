# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Which subnets are taken on a host, and whether Docker's own address pools have one left."""

from __future__ import annotations

import ipaddress
import typing as t

from .errors import CoreError
from .model import Network, Route, Snapshot, Surroundings

Subnet = t.Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

#: What a daemon cuts networks from that is not told otherwise: a base and the prefix length of each network.
DEFAULT_POOLS = (
    ("172.17.0.0/16", 16),
    ("172.18.0.0/16", 16),
    ("172.19.0.0/16", 16),
    ("172.20.0.0/14", 16),
    ("172.24.0.0/14", 16),
    ("172.28.0.0/14", 16),
    ("192.168.0.0/16", 20),
)

#: What Docker says when it has no subnet left: engines up to 27, and from 28.
_REFUSALS = ("non-overlapping IPv4 address pool", "predefined address pools have been fully subnetted")

#: Routes as wide as these stand for the whole internet; a VPN that takes all traffic sets two halves of it.
_WHOLE_INTERNET = {4: 1, 6: 3}


def subnet(text: str) -> Subnet | None:
    """Read a subnet in CIDR form; None for a text that is none."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def overlap(one: Subnet, other: Subnet) -> bool:
    """Whether two subnets of any families have an address in common."""
    return one.version == other.version and one.overlaps(other)


def claimed(network: Network) -> tuple[Subnet, ...]:
    """The subnets that nobody else on this host can have because of a network; a config-only one claims none yet."""
    if network.config_only or network.scope != "local":
        # Swarm's networks have addresses of their own, which Docker never holds against those of the host.
        return ()
    return tuple(found for pool in network.pools for found in [subnet(pool.subnet)] if found is not None)


def routed(routes: t.Iterable[Route]) -> t.Iterator[tuple[Route, Subnet]]:
    """The routes that mean a part of the internet, with the subnet of each."""
    for route in routes:
        found = subnet(route.destination)
        if found is not None and found.prefixlen > _WHOLE_INTERNET[found.version] and not _nobodys(found):
            yield route, found


def _nobodys(found: Subnet) -> bool:
    """Whether every interface has this: groups, and IPv6 addresses of the link."""
    return found.is_multicast or (found.version == 6 and found.is_link_local)


# ---- Docker's own choice ---------------------------------------------------------------------------------------------


def left(pools: t.Iterable[tuple[str, int]], taken: t.Iterable[Subnet]) -> tuple[int, int]:
    """Count the IPv4 networks that can be cut from some pools, and those of them that overlap nothing taken.

    Each pool is a base in CIDR form and a prefix length. Returns (all, free).
    """
    spans = [(int(item.network_address), int(item.broadcast_address)) for item in taken if item.version == 4]
    total = free = 0
    for base, length in dict.fromkeys(pools):
        found = subnet(base)
        if found is None or found.version != 4:
            continue
        step = 2 ** (32 - max(length, found.prefixlen))
        first, last = int(found.network_address), int(found.broadcast_address)
        count = (last + 1 - first) // step
        total += count
        free += count - _covered(spans, first, last, step)
    return total, free


def _covered(spans: t.Sequence[tuple[int, int]], first: int, last: int, step: int) -> int:
    """How many of the blocks of ``step`` addresses between two addresses have one of a span in them."""
    inside = sorted(
        ((max(low, first) - first) // step, (min(high, last) - first) // step)
        for low, high in spans
        if low <= last and high >= first
    )
    covered, done = 0, -1
    for low, high in inside:
        covered += max(0, high - max(low, done + 1) + 1)
        done = max(done, high)
    return covered


def refuse_exhausted(
    need: t.Sequence[str],
    snapshot: Snapshot,
    surroundings: Surroundings,
    *,
    declared: t.Iterable[Subnet] = (),
    without: t.Collection[str] = (),
) -> None:
    """Refuse networks whose subnets Docker would have to choose, when its pools have not enough of them.

    ``need`` are their names; ``declared`` the subnets that the same call takes by itself; ``without`` the IDs of
    networks that are gone by then.
    """
    networks = [item for item in snapshot.networks if item.id not in without]
    gone = {item.bridge_name for item in snapshot.networks if item.id in without}
    taken = [*declared, *(found for item in networks for found in claimed(item))]
    pools = surroundings.address_pools or DEFAULT_POOLS
    taken += [found for route, found in routed(surroundings.routes) if route.on_link and route.device not in gone]
    free = left(pools, taken)[1]
    if need and free < len(need):
        raise exhausted(need, pools, [found for item in networks for found in claimed(item)], free)


def exhausted(
    need: t.Sequence[str], pools: t.Sequence[tuple[str, int]], by_networks: t.Iterable[Subnet], free: int | None = None
) -> CoreError:
    """Make the refusal that is the same on all engines: how many subnets there are, who has them, what to do.

    ``free`` is None where Docker has said itself that there is none.
    """
    total, unused = left(pools, by_networks)
    names = ", ".join(repr(name) for name in need[:5]) + (f" and {len(need) - 5} more" if len(need) > 5 else "")
    others = unused - (free or 0)
    also = f", {others} more by routes of the host or subnets declared beside" if others > 0 else ""
    return CoreError(
        f"Docker has no subnet left for {names}: of the {total} in its address pools, {total - unused} are used by "
        f"networks{also}; {free or 0} free, {len(need)} needed. Nothing was created for lack of it.",
        hint="Give the network a subnet of its own in ipam_config, remove networks that nobody uses, or give the daemon "
        "more by default-address-pools in daemon.json.",
        reason_code="pools_exhausted",
        details={"pools": {"total": total, "used_by_networks": total - unused, "free": free or 0, "needed": len(need)}},
    )


def says_exhausted(message: str) -> bool:
    """Whether Docker's answer to a create request says that it has no subnet left."""
    return any(words in message for words in _REFUSALS)
