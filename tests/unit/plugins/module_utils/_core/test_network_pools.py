# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bulkhead.docker.plugins.module_utils._core.errors import CoreError
from ansible_collections.bulkhead.docker.plugins.module_utils._core.model import (
    Engine,
    Network,
    Pool,
    Route,
    Snapshot,
    Surroundings,
)
from ansible_collections.bulkhead.docker.plugins.module_utils._core.network_pools import (
    DEFAULT_POOLS,
    left,
    refuse_exhausted,
    says_exhausted,
)

LINK = {"device": "eth0", "on_link": True}


def subnets(base: str, length: int) -> list[ipaddress.IPv4Network]:
    found = ipaddress.IPv4Network(base)
    return list(found.subnets(new_prefix=max(length, found.prefixlen)))


@st.composite
def nets(draw: st.DrawFn, shortest: int = 20) -> ipaddress.IPv4Network:
    """Subnets that are near each other, so that they meet often."""
    length = draw(st.integers(shortest, 30))
    address = 0x0A000000 + draw(st.integers(0, 2**13 - 1))
    return ipaddress.IPv4Network((address, length), strict=False)


@given(
    pools=st.lists(st.tuples(nets(), st.integers(20, 28)), max_size=3),
    taken=st.lists(nets(18), max_size=6),
)
def test_what_is_left_is_what_counting_one_by_one_finds(
    pools: list[tuple[ipaddress.IPv4Network, int]], taken: list[ipaddress.IPv4Network]
) -> None:
    given_pools = [(str(base), length) for base, length in pools]
    every = [found for base, length in dict.fromkeys(given_pools) for found in subnets(base, length)]
    free = [found for found in every if not any(found.overlaps(other) for other in taken)]
    assert left(given_pools, [*taken, ipaddress.IPv6Network("fd00::/8")]) == (len(every), len(free))


def test_a_daemon_that_was_told_nothing_has_thirty_one_subnets() -> None:
    every = [found for base, length in DEFAULT_POOLS for found in subnets(base, length)]
    assert left(DEFAULT_POOLS, []) == (len(every), len(every)) == (31, 31)


def host(*networks: Network, routes: tuple[Route, ...] = (), pools: tuple[tuple[str, int], ...] = ()) -> Snapshot:
    return Snapshot(Engine("28.0.0", "1.48"), networks, (), Surroundings(routes, {}, pools))


def refusal(snapshot: Snapshot, *names: str, **more: object) -> CoreError | None:
    assert snapshot.surroundings is not None
    try:
        refuse_exhausted(names, snapshot, snapshot.surroundings, **more)  # type: ignore[arg-type]
    except CoreError as error:
        return error
    return None


TWO = (("10.0.0.0/23", 24),)


def net(subnet: str, **values: object) -> Network:
    return Network(id=subnet, name=subnet, pools=(Pool(subnet),), **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("snapshot", "needed", "more", "fits"),
    [
        (host(pools=TWO), 2, {}, True),
        (host(pools=TWO), 3, {}, False),
        (host(net("10.0.0.0/24"), pools=TWO), 1, {}, True),
        (host(net("10.0.0.0/24"), pools=TWO), 2, {}, False),
        (host(net("10.0.0.0/24"), pools=TWO), 2, {"without": ["10.0.0.0/24"]}, True),
        # Swarm's networks and config-only ones claim nothing here.
        (host(net("10.0.0.0/24", scope="swarm"), net("10.0.1.0/24", config_only=True), pools=TWO), 2, {}, True),
        (host(pools=TWO), 1, {"declared": [ipaddress.ip_network("10.0.0.0/16")]}, False),
        (host(pools=TWO, routes=(Route("10.0.1.0/28", **LINK),)), 1, {}, True),  # type: ignore[arg-type]
        (host(pools=TWO, routes=(Route("10.0.1.0/28", **LINK),)), 2, {}, False),  # type: ignore[arg-type]
        # What has a router on the way, Docker takes no notice of; nor do we of what means the whole internet.
        (host(pools=TWO, routes=(Route("10.0.0.0/8", "eth0"),)), 2, {}, True),
        (host(pools=TWO, routes=(Route("0.0.0.0/1", **LINK),)), 2, {}, True),  # type: ignore[arg-type]
        (host(pools=(("fd00::/48", 64),)), 1, {}, False),
        (host(pools=(("nonsense", 24), *TWO)), 2, {}, True),
    ],
)
def test_networks_are_refused_exactly_when_docker_has_too_few_subnets(
    snapshot: Snapshot, needed: int, more: dict[str, object], fits: bool
) -> None:
    error = refusal(snapshot, *[f"n{number}" for number in range(needed)], **more)
    assert (error is None) == fits
    if error is not None:
        assert error.reason_code == "pools_exhausted"


def test_the_refusal_says_how_many_there_are_who_has_them_and_what_to_do() -> None:
    # The bridge of the default network is a route of the host too, and counts once.
    docker0 = net("10.0.0.0/24", options={"com.docker.network.bridge.name": "docker0"})
    routes = (Route("10.0.0.0/24", "docker0", True), Route("10.0.1.0/24", "eth1", True))
    error = refusal(host(docker0, routes=routes, pools=TWO), *"abcdefg")
    assert error is not None
    assert "'a', 'b', 'c', 'd', 'e' and 2 more" in error.msg
    assert "of the 2 in its address pools, 1 are used by networks, 1 more by routes" in error.msg
    assert "0 free, 7 needed" in error.msg
    assert "ipam_config" in error.hint and "default-address-pools" in error.hint
    assert error.details["pools"] == {"total": 2, "used_by_networks": 1, "free": 0, "needed": 7}


def test_the_bridge_of_a_network_that_goes_gives_its_subnet_back() -> None:
    old = net("10.0.0.0/24", options={"com.docker.network.bridge.name": "old0"})
    snapshot = host(old, routes=(Route("10.0.0.0/24", "old0", True),), pools=TWO)
    assert refusal(snapshot, "a", "b") is not None
    assert refusal(snapshot, "a", "b", without=["10.0.0.0/24"]) is None


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("could not find an available, non-overlapping IPv4 address pool among the defaults to assign to x", True),
        ("all predefined address pools have been fully subnetted", True),
        ("could not find an available, non-overlapping IPv6 address pool among the defaults to assign to x", False),
        ("invalid pool request: Pool overlaps with other one on this address space", False),
    ],
)
def test_both_ways_in_which_docker_says_it_are_known(message: str, expected: bool) -> None:
    assert says_exhausted(message) is expected
