# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is refused before anything is changed: asked of whole plans, so that no check is forgotten on the way."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest

from ansible_collections.bulkhead.docker.plugins.module_utils._core.app_network import plan, read
from ansible_collections.bulkhead.docker.plugins.module_utils._core.errors import CoreError
from ansible_collections.bulkhead.docker.plugins.module_utils._core.model import (
    Attached,
    Container,
    Endpoint,
    Engine,
    Network,
    Pool,
    Route,
    Snapshot,
    Surroundings,
)

BRIDGE_NAME = "com.docker.network.bridge.name"


def identity(name: str) -> str:
    return (name.encode().hex() * 64)[:64]


def net(name: str, subnet: str = "", **values: t.Any) -> Network:
    pools = (Pool(subnet),) if subnet else ()
    return Network(id=identity(name), name=name, pools=values.pop("pools", pools), **values)


def container(name: str, *networks: Network, state: str = "running", **values: t.Any) -> Container:
    endpoints = tuple(Endpoint(item.name, item.id, f"ep-{name}-{item.name}") for item in networks)
    return Container(identity(name), name, state=state, endpoints=endpoints, detailed=True, **values)


def host(*items: Network | Container, engine: str = "28.0.0", **around: t.Any) -> Snapshot:
    networks = sorted((item for item in items if isinstance(item, Network)), key=lambda item: item.name)
    containers = sorted((item for item in items if isinstance(item, Container)), key=lambda item: item.name)
    surroundings = Surroundings(**{"interfaces": {"eth0": "", "br-own": "bridge"}, **around})
    return Snapshot(Engine(engine, "1.48"), tuple(networks), tuple(containers), surroundings)


def steps(snapshot: Snapshot, *networks: t.Any, **more: t.Any) -> list[str]:
    found = plan(read({"networks": list(networks), **more}), snapshot)
    return [f"{change.action} {change.name}" for change in found.changes if change.kind != "recovery"]


def refusal(snapshot: Snapshot, *networks: t.Any, **more: t.Any) -> CoreError:
    with pytest.raises(CoreError) as caught:
        plan(read({"networks": list(networks), **more}), snapshot)
    assert "Nothing was" in caught.value.msg or caught.value.reason_code == "invalid_option"
    return caught.value


def wish(subnet: str, name: str = "new", **more: t.Any) -> dict[str, t.Any]:
    return {"name": name, "ipam_config": [{"subnet": subnet}], **more}


# ---- subnets and bridges ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "wanted", "whose"),
    [
        (net("other", "10.0.0.0/24"), wish("10.0.0.128/25"), "'other'"),
        (net("other", "10.0.0.0/24"), wish("10.0.0.0/16", allow_route_overlap=True), "'other'"),
        (net("other", "fd00::/64", driver="macvlan"), wish("fd00::/80"), "'other'"),
        (net("other", "10.0.0.0/24"), wish("10.0.0.0/24", driver="ipvlan"), "'other'"),
        (
            net("other", "10.9.0.0/24"),
            {"name": "new", "ipam_config": [wish("10.0.0.0/24")["ipam_config"][0]] * 2},
            "same",
        ),
    ],
)
def test_a_subnet_that_somebody_has_is_refused_with_his_name(there: Network, wanted: t.Any, whose: str) -> None:
    error = refusal(host(there), wanted)
    assert error.reason_code == "subnet_in_use"
    assert whose in error.msg


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        (net("other", "10.0.0.0/24"), wish("10.0.1.0/24")),
        # Swarm's addresses are a world of their own, and a config-only network has none yet.
        (net("other", "10.0.0.0/24", driver="overlay", scope="swarm"), wish("10.0.0.0/24")),
        (net("other", "10.0.0.0/24"), wish("10.0.0.0/24", driver="overlay")),
        (net("other", "10.0.0.0/24", config_only=True), wish("10.0.0.0/24")),
        (net("other", "10.0.0.0/24"), wish("10.0.0.0/24", config_only=True)),
        # Two that divide the link of one interface among them.
        (
            net("other", driver="macvlan", pools=(Pool("10.0.0.0/24", "", "10.0.0.0/25"),)),
            {
                "name": "new",
                "driver": "macvlan",
                "ipam_config": [{"subnet": "10.0.0.0/24", "iprange": "10.0.0.128/25"}],
            },
        ),
    ],
)
def test_a_subnet_that_is_nobodys_is_taken(there: Network, wanted: t.Any) -> None:
    assert steps(host(there), wanted) == ["create new"]


ROUTES = (
    Route("10.64.0.0/12", "tun0"),
    Route("198.51.100.0/24", "eth0", True),
    Route("10.1.0.0/16", "docker7", True),
    Route("10.2.0.0/16", "br-own", True),
    Route("0.0.0.0/1", "tun0"),
    Route("fe80::/64", "eth0"),
    Route("10.3.3.3/32", "lo"),
)


@pytest.mark.parametrize(
    ("subnet", "more", "refused"),
    [
        ("10.70.0.0/24", {}, "10.64.0.0/12 that the host has a route to by tun0"),
        ("10.70.0.0/24", {"allow_route_overlap": True}, None),
        ("10.3.0.0/16", {}, "10.3.3.3/32"),
        # The link of an interface that a network shares with the host.
        ("198.51.100.0/24", {"driver": "macvlan"}, None),
        ("198.51.100.0/24", {"config_only": True}, None),
        # Nobody's network: the bridge stayed behind. A network that takes up this very bridge may have it.
        ("10.2.0.0/24", {}, "br-own"),
        ("10.2.0.0/24", {"bridge_name": "br-own"}, None),
        ("10.5.0.0/24", {}, None),
        ("fe80:0:0:1::/64", {}, None),
    ],
)
def test_a_subnet_that_the_host_reaches_otherwise_is_refused(
    subnet: str, more: dict[str, t.Any], refused: str | None
) -> None:
    known = net("known", "10.9.0.0/24", options={BRIDGE_NAME: "docker7"})
    snapshot = host(known, routes=ROUTES)
    if refused is None:
        assert steps(snapshot, wish(subnet, **more)) == ["create new"]
    else:
        error = refusal(snapshot, wish(subnet, **more))
        assert (error.reason_code, refused in error.msg) == ("subnet_in_use", True)
        assert "allow_route_overlap" in error.hint


def test_what_nobody_looked_for_is_no_question() -> None:
    elsewhere = replace(host(), surroundings=None)
    assert steps(elsewhere, wish("10.70.0.0/24", bridge_name="eth0")) == ["create new"]


def test_a_subnet_that_a_network_has_already_is_no_question_when_it_is_recreated() -> None:
    live = net("n", "10.70.0.0/24")
    snapshot = host(live, routes=(Route("10.64.0.0/12", "tun0"),))
    assert "create n" in steps(snapshot, {"name": "n", "labels": {"a": "1"}}, recreate="when_needed")
    error = refusal(snapshot, wish("10.71.0.0/24", "n"), recreate="when_needed")
    assert error.reason_code == "subnet_in_use"


@pytest.mark.parametrize(
    ("name", "owner"),
    [("taken0", "'other'"), ("br-" + identity("plain")[:12], "'plain'"), ("eth0", "a plain one"), ("free0", None)],
)
def test_the_bridge_of_somebody_else_is_refused(name: str, owner: str | None) -> None:
    snapshot = host(net("other", options={BRIDGE_NAME: "taken0"}), net("plain"))
    if owner is None:
        assert steps(snapshot, {"name": "new", "bridge_name": name}) == ["create new"]
        return
    error = refusal(snapshot, {"name": "new", "bridge_name": name})
    assert (error.reason_code, owner in error.msg) == ("bridge_in_use", True)


def test_two_networks_of_one_call_are_held_against_each_other() -> None:
    assert "'a' of the same call" in refusal(host(), wish("10.0.0.0/24", "b"), wish("10.0.0.0/16", "a")).msg
    both = [{"name": name, "bridge_name": "x0"} for name in "ab"]
    assert refusal(host(), *both).reason_code == "bridge_in_use"


def test_those_that_name_their_subnet_come_before_those_that_take_any() -> None:
    assert steps(host(), "a", wish("172.18.0.0/16", "z")) == ["create z", "create a"]


def test_subnets_that_docker_must_choose_are_counted_over_the_whole_call() -> None:
    around = {"address_pools": (("10.0.0.0/22", 24),)}
    assert len(steps(host(**around), "a", "b", wish("10.0.0.0/24", "c"), {"name": "d", "driver": "overlay"})) == 4
    error = refusal(host(net("e", "10.0.3.0/24"), **around), "a", "b", "d", wish("10.0.0.0/24", "c"))
    assert (error.reason_code, error.details["pools"]["needed"]) == ("pools_exhausted", 3)


def test_ipv6_without_a_subnet_takes_an_engine_that_makes_one_up_or_a_pool_of_the_daemon() -> None:
    six = {"name": "n", "enable_ipv6": True}
    assert refusal(host(engine="26.1.5"), six).reason_code == "engine"
    assert steps(host(engine="27.0.1"), six) == ["create n"]
    pools = (("172.18.0.0/16", 24), ("fd00::/48", 64))
    assert steps(host(engine="26.1.5", address_pools=pools), six) == ["create n"]


# ---- config-only networks --------------------------------------------------------------------------------------------

SETTINGS = net("settings", "10.5.0.0/24", config_only=True, driver="null")
USER = net("user", "10.5.0.0/24", config_from="settings")


@pytest.mark.parametrize(
    ("networks", "more", "code"),
    [
        ([{"name": "n", "config_from": "nowhere"}], {}, "unknown_network"),
        ([{"name": "n", "config_from": "user"}], {}, "config_only"),
        ([{"name": "n", "config_from": "b"}, "b"], {}, "config_only"),
        ([{"name": "n", "config_from": "settings"}, {"name": "settings", "state": "absent"}], {}, "config_only"),
        ([{"name": "n", "config_from": "settings"}], {}, "subnet_in_use"),
        ([{"name": "settings", "connected": ["c"]}], {}, "config_only"),
        ([{"name": "settings", "state": "absent"}], {}, "in_use"),
        ([{"name": "settings", "labels": {"a": "1"}}], {"recreate": "when_needed"}, "config_only"),
        ([{"name": "user", "config_only": True}], {"recreate": "when_needed"}, "config_only"),
        ([{"name": "settings", "config_only": False}], {"recreate": "when_needed"}, "config_only"),
        ([], {"apps": [{"name": "c", "attach_post_create": ["settings"]}]}, "config_only"),
        (
            [{"name": "fresh", "config_only": True}],
            {"apps": [{"name": "c", "attach_post_create": ["fresh"]}]},
            "config_only",
        ),
    ],
)
def test_what_does_not_fit_a_config_only_network_is_refused(
    networks: list[t.Any], more: dict[str, t.Any], code: str
) -> None:
    assert refusal(host(SETTINGS, USER, container("c", net("x"))), *networks, **more).reason_code == code


def test_settings_are_made_before_those_that_take_them_and_go_after_them() -> None:
    fresh = [{"name": "a", "config_from": "z"}, {"name": "z", "config_only": True, "labels": {"a": 1}}]
    assert steps(host(), *fresh) == ["create z", "create a"]
    gone = [{"name": name, "state": "absent"} for name in ("settings", "user")]
    assert steps(host(SETTINGS, USER), *gone) == ["remove user", "remove settings"]


# ---- addresses -------------------------------------------------------------------------------------------------------

LIVE = net("live", pools=(Pool("10.6.0.0/24", "10.6.0.254", "", {"printer": "10.6.0.7"}), Pool("fd06::/64", "fd06::1")))


@pytest.mark.parametrize(
    ("network", "address", "words"),
    [
        ("live", "10.7.0.5", "outside the network's 10.6.0.0/24"),
        ("live", "fd07::5", "outside the network's fd06::/64"),
        ("live", "10.6.0.254", "the gateway's"),
        ("live", "fd06::1", "the gateway's"),
        ("live", "10.6.0.7", "'printer'"),
        ("live", "10.6.0.0", "the subnet's own"),
        ("live", "10.6.0.255", "broadcast"),
        ("live", "10.6.0.9", None),
        ("live", "fd06::9", None),
        (wish("10.8.0.0/24"), "10.8.0.1", "takes for the gateway"),
        (wish("10.8.0.0/24", isolated=True), "10.8.0.1", None),
        (wish("10.8.0.0/24", driver="macvlan"), "10.8.0.1", None),
        (wish("10.8.0.0/24"), "10.8.0.2", None),
        ("auto", "10.8.0.2", "chooses the subnet itself"),
        (wish("10.8.0.0/24"), "fd08::2", "chooses the subnet itself"),
    ],
)
def test_an_address_that_a_network_will_not_give_is_refused(network: t.Any, address: str, words: str | None) -> None:
    wanted = {"name": network} if isinstance(network, str) else network
    key = "ipv6_address" if ":" in address else "ipv4_address"
    wanted = {**wanted, "connected": [{"name": "c", key: address}]}
    snapshot = host(LIVE, container("c"))
    if words is None:
        assert f"connect c on {wanted['name']}" in steps(snapshot, wanted)
        return
    error = refusal(snapshot, wanted)
    assert (error.reason_code, words in error.msg) == ("static_ip", True)
    assert error.details == {"container": "c", "network": wanted["name"], "address": address}


def test_an_address_can_be_wanted_once() -> None:
    members = [{"name": name, "ipv4_address": "10.6.0.9"} for name in "ab"]
    error = refusal(host(LIVE, container("a"), container("b")), {"name": "live", "connected": members})
    assert "connected[0] wants it for 'a' too" in error.msg


def test_an_address_that_another_running_container_has_is_refused_unless_that_one_moves() -> None:
    live = net("data", pools=(Pool("10.1.0.0/24", "10.1.0.1"),))
    held = Endpoint("data", live.id, "ep", ip="10.1.0.5", ip6="fd00::5")
    holder = replace(container("holder"), endpoints=(held,))
    world = host(live, holder, container("new"))
    wish = {"name": "new", "ipv4_address": "10.1.0.5"}
    error = refusal(world, {"name": "data", "connected": [wish]})
    assert (error.reason_code, error.details["address"]) == ("static_ip", "10.1.0.5")
    assert "'holder' has it now" in error.msg
    away = {"name": "holder", "ipv4_address": "10.1.0.6"}
    assert len(steps(world, {"name": "data", "connected": [away, wish]})) == 3
    assert steps(world, {"name": "data", "connected": [{"name": "holder", "ipv4_address": "10.1.0.5"}]})
    resting = replace(holder, state="exited", endpoints=(replace(held, ip="", ip6=""),))
    assert len(steps(host(live, resting, container("new")), {"name": "data", "connected": [wish]})) == 1


# ---- members ---------------------------------------------------------------------------------------------------------


def test_a_chosen_mac_address_and_a_gateway_priority_are_asked_for_and_compared() -> None:
    wanted = {"name": "n", "connected": [{"name": "c", "mac_address": "02-00-00-00-00-0A", "gw_priority": 5}]}
    n = net("n")
    new = replace(host(n, container("c")), engine=Engine("29.9.0", "1.54"))
    (change,) = plan(read({"networks": [wanted]}), new).changes
    assert change.target["config"] == {"MacAddress": "02:00:00:00:00:0a", "GwPriority": 5}
    there = container("c", n)
    right = replace(there.endpoints[0], mac="02:00:00:00:00:0A", gw_priority=5)
    for endpoint, lacking in (
        (right, ""),
        (replace(right, mac=""), ""),
        (replace(right, mac="02:00:00:00:00:0b"), "lacks the MAC address 02:00:00:00:00:0a"),
        (replace(right, gw_priority=0), "lacks the gateway priority 5"),
    ):
        snapshot = replace(new, containers=(replace(there, endpoints=(endpoint,)),))
        changes = plan(read({"networks": [wanted]}), snapshot).changes
        assert [change.action for change in changes] == (["disconnect", "connect"] if lacking else [])
        if lacking:
            assert lacking in changes[0].reason
            assert changes[1].target["config"]["MacAddress"] == "02:00:00:00:00:0a"


# ---- force -----------------------------------------------------------------------------------------------------------


def forced(*items: Network | Container, engine: str = "28.0.0") -> list[t.Any]:
    wanted = read({"name": "n", "state": "absent", "force": True})
    return list(plan(wanted, host(*items, engine=engine)).changes)


def test_force_lets_everybody_leave_even_from_the_last_network() -> None:
    n = net("n")
    changes = forced(n, container("a", n), container("z", n, state="exited"), container("m", n, net("o")))
    assert [(change.action, change.name, change.target.get("force")) for change in changes] == [
        ("disconnect", "a on n", None),
        ("disconnect", "m on n", None),
        ("disconnect", "z on n", True),
        ("remove", "n", None),
    ]
    assert changes[0].target["restore"] == {"config": {}}


@pytest.mark.parametrize(
    "items",
    [
        (net("n", attached=(Attached("ep-1", "ghost"),), detailed=True),),
        (net("n", services=("web",), detailed=True),),
        (net("n"), container("task", net("n"), labels={"com.docker.swarm.service.id": "x"})),
        (net("n"), container("born", net("n"), network_mode="n")),
        (net("n"), container("born", network_mode=identity("n"))),
        (net("n", config_only=True), net("user", config_from="n")),
    ],
)
def test_force_breaks_nothing_for_good(items: tuple[Network | Container, ...]) -> None:
    with pytest.raises(CoreError) as caught:
        forced(*items)
    assert caught.value.reason_code == "in_use"


def test_before_docker_asks_for_it_a_container_may_lose_the_network_it_was_created_on() -> None:
    n = net("n")
    changes = forced(n, container("born", n, network_mode="n"), engine="24.0.6")
    assert [change.action for change in changes] == ["disconnect", "remove"]
