# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bulkhead.docker.plugins.module_utils._core.errors import CoreError
from ansible_collections.bulkhead.docker.plugins.module_utils._core.network_reading import read_network


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"config_only": True, "internal": True}, "internal is given for a config-only network"),
        ({"config_only": "yes", "isolated": True}, "isolated is given for a config-only network"),
        ({"config_only": True, "scope": "local"}, "scope is given"),
        ({"config_only": True, "connected": ["c"]}, "connected is given"),
        ({"config_only": True, "config_from": "x"}, "config_from is given"),
        ({"config_from": "x", "labels": {"a": 1}}, "labels is given beside config_from"),
        ({"config_from": "x", "mtu": 1400}, "mtu is given beside config_from"),
        ({"config_from": "x", "enable_ipv6": False}, "enable_ipv6 is given beside"),
        ({"enable_ipv4": False, "enable_ipv6": False}, "enable_ipv4 is off, and enable_ipv6 too"),
        ({"isolated": True, "internal": False}, "internal is off, but isolated is on"),
        ({"isolated": True, "driver": "macvlan"}, "isolated is given for the driver 'macvlan'"),
        (
            {"isolated": True, "driver_options": {"com.docker.network.bridge.gateway_mode_ipv4": "nat"}},
            "isolated is on, but driver_options has 'nat'",
        ),
        ({"isolated": True, "driver_options": {"com.docker.network.bridge.inhibit_ipv4": False}}, "'false'"),
        ({"ingress": True, "attachable": True}, "attachable is on, but ingress too"),
        ({"scope": "world"}, "scope is 'world'"),
        ({"bridge_name": "a/b"}, "has '/' in it"),
        ({"bridge_name": "a b"}, "has ' ' in it"),
        ({"bridge_name": "a%d"}, "has '%' in it"),
        ({"bridge_name": ".."}, "is no name"),
        ({"bridge_name": "sixteen-letters-"}, "more than 15 bytes"),
        ({"driver_options": {"com.docker.network.bridge.name": "ünfzehn-zeichen"}}, "more than 15 bytes"),
        ({"connected": [{"name": "c", "mac_address": "02:00:00:00:00"}]}, "which is no MAC address"),
        ({"connected": [{"name": "c", "mac_address": "03:00:00:00:00:01"}]}, "address of a group"),
        ({"connected": [{"name": "c", "gw_priority": "high"}]}, "gw_priority is the text 'high'"),
        ({"connected": [{"name": "c", "gw_priority": True}]}, "gw_priority is True"),
    ],
)
def test_what_contradicts_itself_is_refused_with_its_place(options: dict[str, t.Any], words: str) -> None:
    with pytest.raises(CoreError) as caught:
        read_network({"name": "n", **options}, "networks[1]")
    assert caught.value.reason_code == "invalid_option"
    assert caught.value.msg.startswith("networks[1].")
    assert words in caught.value.msg


def test_an_empty_list_or_a_false_beside_it_asks_for_nothing() -> None:
    only = read_network({"name": "n", "config_only": True, "connected": [], "internal": False, "ingress": False})
    assert (only.config_only, only.members) == (True, ())
    assert read_network({"name": "n", "config_from": "x", "labels": {}, "ipam_config": []}).config_from == "x"


def test_options_of_all_kinds_are_read() -> None:
    wanted = read_network(
        {
            "name": "n",
            "connected": [{"name": "c", "mac_address": "02-AB-00-00-00-01", "gw_priority": "-3"}, "d"],
            "exclusive": "yes",
            "strict": True,
            "labels": {},
            "ipam_driver_options": {"a": True, "b": 1},
        }
    )
    assert (wanted.members[0].mac, wanted.members[0].gw_priority) == ("02:ab:00:00:00:01", -3)
    assert [member.plain for member in wanted.members] == [False, True]
    assert wanted.ipam_options == {"a": "true", "b": "1"}
    assert wanted.whole("labels") and not wanted.whole("driver_options")
    assert wanted.exclusive and not read_network({"name": "n", "exclusive": True, "appends": True}).exclusive
