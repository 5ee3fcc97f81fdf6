# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Docker is asked for: to make a network, to make it again, and to make it anew with what is declared."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bulkhead.docker.plugins.module_utils._core.model import Network, Pool
from ansible_collections.bulkhead.docker.plugins.module_utils._core.network_body import (
    as_it_was,
    carried_over,
    create_body,
)
from ansible_collections.bulkhead.docker.plugins.module_utils._core.network_drift import drift
from ansible_collections.bulkhead.docker.plugins.module_utils._core.network_isolation import is_isolated
from ansible_collections.bulkhead.docker.plugins.module_utils._core.network_reading import read_network
from ansible_collections.bulkhead.docker.plugins.module_utils._core.recreate import network_of

MANAGED = {"io.bulkhead.managed": "true"}
MODE = "com.docker.network.bridge.gateway_mode_ipv"
INHIBIT = "com.docker.network.bridge.inhibit_ipv4"

words = st.sampled_from(["a", "b", "c"])
mappings = st.dictionaries(words, words, max_size=3)
drivers = st.sampled_from(["bridge", "macvlan", "overlay"])
four = {
    "subnet": "10.0.0.0/24",
    "gateway": "10.0.0.1",
    "iprange": "10.0.0.128/25",
    "aux_addresses": {"a": "10.0.0.5", "b": "10.0.0.6"},
}
six = {"subnet": "fd00:1::/64", "gateway": "fd00:1::1", "aux_addresses": {"a": "fd00:1::5"}}
other = {"subnet": "10.9.0.0/24"}


def some_of(pool: dict[str, t.Any]) -> st.SearchStrategy[dict[str, t.Any]]:
    rest = {key: value for key, value in pool.items() if key != "subnet"}
    return st.fixed_dictionaries({"subnet": st.just(pool["subnet"])}, optional={k: st.just(v) for k, v in rest.items()})


pools = st.lists(st.one_of(some_of(four), some_of(six), some_of(other)), max_size=3, unique_by=lambda p: p["subnet"])
#: Options that contradict nothing, as a user gives them; none of them may be missing, so that a default counts too.
declarations = st.fixed_dictionaries(
    {},
    optional={
        "internal": st.booleans(),
        "attachable": st.booleans(),
        "enable_ipv6": st.booleans(),
        "driver": drivers,
        "labels": mappings,
        "driver_options": mappings,
        "ipam_driver_options": mappings,
        "ipam_config": pools,
        "mtu": st.sampled_from([1300, 1400]),
        "icc": st.booleans(),
        "strict": st.booleans(),
    },
)
isolated = st.fixed_dictionaries(
    {"isolated": st.booleans()},
    optional={"enable_ipv6": st.booleans(), "driver_options": mappings, "strict": st.booleans()},
)
live_pools = st.lists(
    st.sampled_from(
        [
            Pool("10.0.0.0/24", "10.0.0.1", "10.0.0.128/25", {"a": "10.0.0.5", "c": "10.0.0.7"}),
            Pool("FD00:1:0::/64", "fd00:1::1/64"),
            Pool("10.9.0.0/24", "10.9.0.1"),
        ]
    ),
    max_size=3,
    unique_by=lambda pool: pool.subnet,
)
networks = st.builds(
    Network,
    id=st.just("1" * 64),
    name=st.just("n"),
    driver=drivers,
    scope=st.just("local"),
    internal=st.booleans(),
    attachable=st.booleans(),
    enable_ipv4=st.just(True),
    enable_ipv6=st.booleans(),
    ipam_options=mappings,
    pools=live_pools.map(tuple),
    options=st.one_of(
        mappings,
        st.just({INHIBIT: "true", "a": "b"}),
        st.just({f"{MODE}4": "isolated"}),
        st.just({f"{MODE}4": "routed", f"{MODE}6": "isolated"}),
    ),
    labels=st.one_of(mappings, mappings.map(lambda found: {**found, **MANAGED})),
)


@given(st.one_of(declarations, isolated))
def test_a_network_that_was_just_made_as_declared_has_no_drift(options: dict[str, t.Any]) -> None:
    wanted = read_network({"name": "n", **options})
    made = network_of(create_body(wanted), "1" * 64)
    assert drift(wanted, made) == []
    assert made.managed


@given(networks)
def test_a_recreate_that_asks_for_nothing_asks_for_what_is_there(live: Network) -> None:
    assert carried_over(read_network({"name": "n"}), live) == as_it_was(live)
    again = network_of(as_it_was(live), live.id)
    assert as_it_was(again) == as_it_was(live)


@given(st.one_of(declarations, isolated), networks)
def test_a_recreate_leaves_no_drift_and_loses_nothing_that_was_not_spoken_of(
    options: dict[str, t.Any], live: Network
) -> None:
    if live.driver != "bridge" and options.get("isolated") is not None:
        options = {**options, "driver": "bridge"}
    wanted = read_network({"name": "n", **options})
    anew = network_of(carried_over(wanted, live), live.id)
    assert drift(wanted, anew) == []
    assert anew.managed == live.managed
    for key in ("internal", "attachable", "enable_ipv6", "driver"):
        if key not in options and not (key == "internal" and options.get("isolated")):
            assert getattr(anew, key) == getattr(live, key)
    if not options.get("strict"):
        assert set(live.labels) <= set(anew.labels)
        if "driver" not in options and "isolated" not in options:
            assert set(live.options) <= set(anew.options)
    elif "labels" in options:
        assert set(anew.labels) - set(MANAGED) == set(options["labels"])


@given(networks, st.booleans())
def test_isolation_asked_for_is_there_afterwards_on_engines_of_both_kinds(live: Network, modes: bool) -> None:
    wanted = read_network({"name": "n", "isolated": True, "driver": "bridge", "enable_ipv6": False})
    body = carried_over(_fitted(wanted, modes), live)
    assert is_isolated(network_of(body, live.id), gateway_modes=modes)
    if not modes:
        assert body["Options"][INHIBIT] == "true"
    back = carried_over(_fitted(read_network({"name": "n", "isolated": False}), modes), network_of(body, live.id))
    assert not is_isolated(network_of(back, live.id), gateway_modes=modes)
    # Being internal was another question.
    assert back["Internal"] is True


def _fitted(wanted: t.Any, modes: bool) -> t.Any:
    return type(wanted)(**{**vars(wanted), "gateway_modes": modes})


@pytest.mark.parametrize(
    ("network", "modes", "closed"),
    [
        ({"internal": True, "options": {f"{MODE}4": "isolated"}}, True, True),
        ({"internal": True, "options": {f"{MODE}4": "isolated"}}, False, False),
        ({"internal": True, "options": {INHIBIT: "true"}}, False, True),
        ({"internal": True, "options": {INHIBIT: "false"}}, False, False),
        ({"internal": False, "options": {INHIBIT: "true"}}, True, False),
        ({"internal": True}, True, False),
        ({"internal": True, "driver": "macvlan", "options": {INHIBIT: "true"}}, True, False),
        ({"internal": True, "enable_ipv6": True, "options": {INHIBIT: "true"}}, True, False),
        ({"internal": True, "enable_ipv6": True, "options": {INHIBIT: "true", f"{MODE}6": "isolated"}}, True, True),
        (
            {"internal": True, "enable_ipv4": False, "enable_ipv6": True, "options": {f"{MODE}6": "isolated"}},
            True,
            True,
        ),
    ],
)
def test_isolation_is_judged_by_what_it_means(network: dict[str, t.Any], modes: bool, closed: bool) -> None:
    assert is_isolated(Network(id="1" * 64, name="n", **network), gateway_modes=modes) is closed


def test_what_engines_write_into_their_answers_is_not_sent_back() -> None:
    options = {
        "com.docker.network.driver.overlay.vxlanid_list": "4097",
        "com.docker.network.enable_ipv4": "true",
        "com.docker.network.enable_ipv6": "false",
        "encrypted": "",
    }
    pool = Pool("fd00::/64", "fd00::1/64")
    body = as_it_was(
        Network(id="1" * 64, name="n", driver="overlay", scope="swarm", attachable=True, options=options, pools=(pool,))
    )
    assert body["Options"] == {"encrypted": ""}
    assert "Scope" not in body and "EnableIPv4" not in body
    assert body["IPAM"]["Config"] == [{"Subnet": "fd00::/64", "Gateway": "fd00::1"}]


def test_a_config_only_network_has_neither_driver_nor_what_operators_set() -> None:
    live = Network(
        id="1" * 64, name="n", driver="null", config_only=True, options={"a": "b"}, pools=(Pool("10.0.0.0/24"),)
    )
    made = create_body(read_network({"name": "n", "config_only": True, "driver": "bridge", "labels": {"a": 1}}))
    for body in (as_it_was(live), made):
        assert body["ConfigOnly"] is True
        assert not {"Driver", "Attachable", "Internal", "Ingress", "Scope"} & set(body)
    assert made["Labels"] == {"a": "1", **MANAGED}
    assert drift(read_network({"name": "n", "config_only": True, "driver": "bridge"}), live) == []


def test_a_network_with_settings_of_another_asks_for_that_one_alone() -> None:
    made = create_body(read_network({"name": "n", "config_from": "other", "internal": True}))
    assert made == {
        "Name": "n",
        "CheckDuplicate": True,
        "Driver": "bridge",
        "Attachable": True,
        "Internal": True,
        "ConfigFrom": {"Network": "other"},
    }
    live = Network(
        id="1" * 64,
        name="n",
        config_from="other",
        options={"a": "b"},
        labels={"a": "b"},
        pools=(Pool("10.0.0.0/24"),),
    )
    assert not {"Options", "Labels", "IPAM", "EnableIPv6"} & set(as_it_was(live))


def test_the_network_of_swarms_mesh_takes_no_containers() -> None:
    body = create_body(read_network({"name": "n", "driver": "overlay", "ingress": True}))
    assert (body["Ingress"], body["Attachable"]) == (True, False)


def test_a_driver_that_changes_takes_nothing_along_that_only_the_old_one_knows() -> None:
    live = Network(
        id="1" * 64,
        name="n",
        options={"com.docker.network.bridge.name": "x", "com.docker.network.driver.mtu": "1400"},
        pools=(Pool("10.0.0.0/24"),),
    )
    body = carried_over(read_network({"name": "n", "driver": "macvlan", "driver_options": {"parent": "e"}}), live)
    assert body["Options"] == {"com.docker.network.driver.mtu": "1400", "parent": "e"}
    assert body["IPAM"]["Config"] == [{"Subnet": "10.0.0.0/24"}]


def test_a_family_that_is_turned_off_loses_its_subnets() -> None:
    live = Network(id="1" * 64, name="n", enable_ipv6=True, pools=(Pool("10.0.0.0/24"), Pool("fd00::/64")))
    body = carried_over(read_network({"name": "n", "enable_ipv6": False}), live)
    assert (body["EnableIPv6"], body["IPAM"]["Config"]) == (False, [{"Subnet": "10.0.0.0/24"}])
    body = carried_over(read_network({"name": "n", "enable_ipv4": False}), live)
    assert (body["EnableIPv4"], body["IPAM"]["Config"]) == (False, [{"Subnet": "fd00::/64"}])


@pytest.mark.parametrize("strict", [False, True])
def test_a_pool_that_keeps_its_subnet_keeps_what_was_not_given_of_it(strict: bool) -> None:
    old = Pool("10.0.0.0/24", "10.0.0.1", "10.0.0.128/25", {"a": "10.0.0.5"})
    live = Network(id="1" * 64, name="n", pools=(old,))
    given_pool = {"subnet": "10.0.0.0/24", "aux_addresses": {"b": "10.0.0.6"}}
    wanted = read_network({"name": "n", "strict": strict, "ipam_config": [given_pool]})
    (pool,) = carried_over(wanted, live)["IPAM"]["Config"]
    assert pool["Gateway"] == "10.0.0.1"
    assert pool.get("IPRange") == (None if strict else "10.0.0.128/25")
    assert set(pool["AuxiliaryAddresses"]) == ({"b"} if strict else {"a", "b"})
    moved = read_network({"name": "n", "strict": strict, "ipam_config": [{"subnet": "10.1.0.0/24"}]})
    assert carried_over(moved, live)["IPAM"]["Config"] == [{"Subnet": "10.1.0.0/24"}]
