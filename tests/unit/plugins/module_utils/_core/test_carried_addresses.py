# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bulkhead.docker.plugins.module_utils._core.app_network_info import answer, read_question
from ansible_collections.bulkhead.docker.plugins.module_utils._core.carried_addresses import (
    addresses_in,
    carried_addresses,
)
from ansible_collections.bulkhead.docker.plugins.module_utils._core.model import Container, Endpoint, Snapshot


def container(name: str, ip: str = "", ip6: str = "", fixed: str = "", **environment: str) -> Container:
    endpoint = Endpoint("net", network_id="n", ip=ip, ip6=ip6, fixed_ip=fixed)
    return Container(id=name * 8, name=name, endpoints=(endpoint,), environment=tuple(environment.items()))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("172.18.0.2", {"172.18.0.2"}),
        ("postgres://shop:secret@172.18.0.2:5432/shop", {"172.18.0.2"}),
        ("172.18.0.2,172.18.0.3 172.18.0.4;", {"172.18.0.2", "172.18.0.3", "172.18.0.4"}),
        ("http://[fd00::0:2]:80/", {"fd00::2"}),
        ("fd00::2", {"fd00::2"}),
        ("host=fd00::2;port=1", {"fd00::2"}),
        ("peer:fd00::2:", {"fd00::2"}),
        ("The end is at 172.18.0.2.", {"172.18.0.2"}),
        ("http://db:5432/", set()),
        ("1.172.18.0.2", set()),
        ("172.18.0.2.7", set()),
        ("172.18.0.20", {"172.18.0.20"}),
        ("172.18.0.300", set()),
        ("12:34:56", set()),
        ("02:42:ac:12:00:02", set()),
        ("", set()),
    ],
)
def test_addresses_are_found_wherever_they_stand_and_nothing_else(text: str, found: set[str]) -> None:
    assert addresses_in(text) == found


@given(
    st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)),
    st.sampled_from(["", " ", "=", "//", "@", ",", "a=1;b=", '"']),
    st.sampled_from(["", " ", "/", ",", ";", '"', "/32"]),
    st.booleans(),
)
def test_any_address_is_found_between_any_marks(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, before: str, after: str, long: bool
) -> None:
    # Newer Pythons write an IPv4 address within IPv6 with dots, older ones with colons.
    meant = str(getattr(address, "ipv4_mapped", None) or address)
    assert meant in addresses_in(before + (address.exploded if long else str(address)) + after)


@pytest.mark.parametrize("text", ["::ffff:10.0.0.7", "[::ffff:a00:7]:80", "0:0:0:0:0:ffff:0a00:0007"])
def test_an_ipv4_address_within_ipv6_is_that_address(text: str) -> None:
    assert "10.0.0.7" in addresses_in(text)


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert all(ipaddress.ip_address(item) for item in addresses_in(text))


def test_a_variable_is_named_with_whose_address_it_holds() -> None:
    app = container("app", ip="172.18.0.2", DB="tcp://172.18.0.3:1", SELF="172.18.0.2", OUT="192.0.2.1")
    db = container("db", ip="172.18.0.3")
    assert carried_addresses([app], Snapshot(containers=(app, db))) == [
        {"container": "app", "variable": "DB", "of": "db"}
    ]


def test_addresses_of_ipv6_and_of_stopped_containers_with_a_fixed_one_count() -> None:
    app = container("app", A="[fd00:0:0::3]:1", B="10.0.0.9")
    others = (container("db", ip6="fd00::3"), container("off", fixed="10.0.0.9"))
    found = carried_addresses([app], Snapshot(containers=(app, *others)))
    assert [(item["variable"], item["of"]) for item in found] == [("A", "db"), ("B", "off")]


def test_no_answer_and_no_text_of_a_container_holds_a_value() -> None:
    app = container("app", DB="tcp://user:hunter2@172.18.0.3:1")
    db = container("db", ip="172.18.0.3")
    found = repr(carried_addresses([app], Snapshot(containers=(app, db)))) + repr(app)
    assert "hunter2" not in found
    assert "tcp://" not in found


def test_the_report_of_an_app_tells_what_its_own_containers_carry_and_no_value() -> None:
    given = {"names": [], "patterns": [], "managed_only": True, "apps": ["app"], "app_defaults": {}}
    app = container("app", ip="172.18.0.2", DB="tcp://user:hunter2@172.18.0.3:1")
    other = container("db", ip="172.18.0.3", APP="172.18.0.2")
    found = answer(read_question(given), Snapshot(containers=(app, other)))["report"]["app"]
    assert found["carries_addresses"] == [{"container": "app", "variable": "DB", "of": "db"}]
    assert [item["name"] for item in found["containers"]] == ["app"]
    assert "hunter2" not in repr(found)
