# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress
import typing as t
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bulkhead.docker.plugins.module_utils._core.errors import CoreError
from ansible_collections.bulkhead.docker.plugins.module_utils._core.model import Network, Pool
from ansible_collections.bulkhead.docker.plugins.module_utils._core.network_body import create_body
from ansible_collections.bulkhead.docker.plugins.module_utils._core.network_drift import drift
from ansible_collections.bulkhead.docker.plugins.module_utils._core.network_reading import read_network, read_networks

LIVE = Network(
    id="1" * 64,
    name="n",
    driver="macvlan",
    internal=True,
    attachable=False,
    pools=(Pool("10.0.0.0/24", "10.0.0.1", "", {"printer": "10.0.0.9"}), Pool("FD00:0:0::/64", "fd00::1")),
    options={"com.docker.network.driver.mtu": "1400", "parent": "eth0"},
    labels={"a": "1", "io.bulkhead.managed": "true"},
)


def differences(**options: t.Any) -> list[tuple[str, t.Any, t.Any]]:
    found = drift(read_network({"name": "n", **options}), LIVE)
    return [(item["option"], item["is"], item["wanted"]) for item in found]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"driver": "macvlan", "internal": "yes", "attachable": False},
        {"mtu": 1400},
        {"mtu": "1400", "driver_options": {"com.docker.network.driver.mtu": 1400}},
        {"icc": True},
        {"labels": {"a": 1}},
        {"labels": {"io.bulkhead.managed": "false"}},
        {"ipam_config": []},
        {"ipam_config": [{"subnet": "10.0.0.0/24"}]},
        {"ipam_config": [{"subnet": "fd00::/64", "gateway": "fd00:0::1"}]},
        {"ipam_config": [{"subnet": "10.0.0.0/24", "gateway": "10.0.0.1", "aux_addresses": {"printer": "10.0.0.9"}}]},
    ],
)
def test_what_is_the_same_or_not_given_is_no_drift(options: dict[str, t.Any]) -> None:
    assert differences(**options) == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"driver": "bridge"}, ("driver", "macvlan", "bridge")),
        ({"internal": False}, ("internal", True, False)),
        ({"enable_ipv6": True}, ("enable_ipv6", False, True)),
        ({"mtu": 1500}, ("mtu", "1400", "1500")),
        ({"icc": False}, ("icc", "true", "false")),
        ({"driver_options": {"parent": "eth1"}}, ("driver_options.parent", "eth0", "eth1")),
        ({"labels": {"b": "2"}}, ("labels.b", None, "2")),
        ({"ipam_driver": "null"}, ("ipam_driver", "default", "null")),
        ({"ipam_config": [{"subnet": "10.1.0.0/24"}]}, ("ipam_config[0].subnet", "10.0.0.0/24", "10.1.0.0/24")),
        (
            {"ipam_config": [{"subnet": "10.0.0.0/24", "gateway": "10.0.0.2"}]},
            ("ipam_config[0].gateway", "10.0.0.1", "10.0.0.2"),
        ),
        (
            {"ipam_config": [{"subnet": "10.0.0.0/24", "iprange": "10.0.0.128/25"}]},
            ("ipam_config[0].iprange", None, "10.0.0.128/25"),
        ),
    ],
)
def test_each_difference_is_named_with_what_is_and_what_is_wanted(
    options: dict[str, t.Any], expected: tuple[str, t.Any, t.Any]
) -> None:
    assert differences(**options) == [expected]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"labels": {}}, [("labels.a", "1", None)]),
        ({"labels": {"a": "1"}}, []),
        ({"driver_options": {}}, [("mtu", "1400", None), ("driver_options.parent", "eth0", None)]),
        ({"driver_options": {"parent": "eth0"}, "mtu": 1400}, []),
        # What is given by an option of its own says nothing about the other driver options.
        ({"mtu": 1400}, []),
        ({"ipam_driver_options": {}}, [("ipam_driver_options.x", "y", None)]),
        (
            {"ipam_config": [{"subnet": "10.0.0.0/24"}]},
            [
                ("ipam_config[0].iprange", "10.0.0.128/25", None),
                ("ipam_config[0].aux_addresses.printer", "10.0.0.9", None),
            ],
        ),
        ({"ipam_config": []}, []),
    ],
)
def test_what_is_there_beyond_the_declaration_is_drift_when_it_is_strict(
    options: dict[str, t.Any], expected: list[tuple[str, t.Any, t.Any]]
) -> None:
    live = replace(
        LIVE,
        pools=(Pool("10.0.0.0/24", "10.0.0.1", "10.0.0.128/25", {"printer": "10.0.0.9"}), LIVE.pools[1]),
        ipam_options={"x": "y"},
    )
    for strict, wanted in ((True, expected), (False, [])):
        found = drift(read_network({"name": "n", "strict": strict, **options}), live)
        assert [(item["option"], item["is"], item["wanted"]) for item in found] == wanted


def test_what_engines_write_into_their_answers_is_no_drift() -> None:
    live = replace(LIVE, options={"com.docker.network.enable_ipv4": "true"})
    assert drift(read_network({"name": "n", "driver_options": {}, "strict": True}), live) == []
    asked = read_network({"name": "n", "driver_options": {"com.docker.network.enable_ipv4": "false"}})
    assert [item["wanted"] for item in drift(asked, live)] == ["false"]


def test_isolation_is_no_drift_of_the_options_that_make_it() -> None:
    live = Network(id="1" * 64, name="n", internal=True, options={"com.docker.network.bridge.inhibit_ipv4": "true"})
    wanted = {"name": "n", "isolated": True, "driver_options": {}, "strict": True}
    assert drift(read_network(wanted), live) == []
    assert [item["option"] for item in drift(read_network({**wanted, "isolated": False}), live)] == ["isolated"]


def test_a_pool_that_is_not_declared_is_drift_within_its_family_only() -> None:
    two = Network(id="1" * 64, name="n", pools=(Pool("10.0.0.0/24"), Pool("10.9.0.0/24"), Pool("fd00::/64")))
    found = drift(read_network({"name": "n", "ipam_config": [{"subnet": "10.0.0.0/24"}]}), two)
    assert found == [{"option": "ipam_config", "is": "10.9.0.0/24", "wanted": None}]


def test_a_network_that_needs_no_more_said_is_an_attachable_bridge_of_ours() -> None:
    body = create_body(read_networks(["n"])[0])
    assert (body["Driver"], body["Attachable"], body["Internal"]) == ("bridge", True, False)
    assert body["Labels"] == {"io.bulkhead.managed": "true"}
    assert "IPAM" not in body


def test_the_label_of_our_networks_cannot_be_given_away() -> None:
    body = create_body(read_network({"name": "n", "labels": {"io.bulkhead.managed": "false"}}))
    assert body["Labels"] == {"io.bulkhead.managed": "true"}


@given(
    address=st.ip_addresses(),
    prefix=st.integers(1, 32),
    gateway=st.ip_addresses(),
)
def test_a_pool_is_taken_exactly_when_it_is_a_subnet_that_holds_its_gateway(
    address: ipaddress.IPv4Address, prefix: int, gateway: ipaddress.IPv4Address
) -> None:
    text = f"{address}/{prefix}"
    try:
        pool = read_network({"name": "n", "ipam_config": [{"subnet": text, "gateway": str(gateway)}]}).pools[0]
    except CoreError:
        pool = None
    network = ipaddress.ip_network(text, strict=False)
    right = network.network_address == address and network.version == gateway.version and gateway in network
    assert (pool is not None) == right
