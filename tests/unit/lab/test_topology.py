# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and addresses of labs."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from lab.errors import LabError
from lab.topology import DEFAULT_HOSTS, HOSTS, LABS, Lab, chosen_lab, host_named, hosts_named


def test_no_address_of_any_lab_is_used_twice() -> None:
    seen = [
        address
        for number in LABS
        for host in HOSTS
        for _link, *addresses in Lab(number).links(host)
        for address in addresses
    ]
    seen += [gateway for n in LABS for link in (Lab(n).wan, Lab(n).lan) for gateway in (link.gateway, link.gateway6)]
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("number", LABS)
def test_every_address_lies_inside_its_link(number: int) -> None:
    lab = Lab(number)
    for host in HOSTS:
        for link, ip, ip6 in lab.links(host):
            assert ip_address(ip) in ip_network(link.subnet)
            assert ip_address(ip6) in ip_network(link.subnet6)


def test_the_networks_of_two_labs_do_not_overlap() -> None:
    links = [link for number in LABS for link in (Lab(number).wan, Lab(number).lan)]
    subnets = [ip_network(subnet) for link in links for subnet in (link.subnet, link.subnet6)]
    for position, one in enumerate(subnets):
        assert not any(one.version == other.version and one.overlaps(other) for other in subnets[position + 1 :])


@pytest.mark.parametrize("number", LABS)
def test_the_wan_sorts_before_the_lan_so_that_it_becomes_eth0(number: int) -> None:
    assert Lab(number).wan.name < Lab(number).lan.name


def test_addresses_are_spelled_as_the_kernel_spells_them() -> None:
    engine28 = host_named("engine28")
    assert Lab(0).wan_ip6(engine28) == "2001:db8:113::28"
    assert Lab(3).wan_ip6(engine28) == "2001:db8:113:3::28"
    assert Lab(3).wan_ip(engine28) == "198.51.100.124"


def test_the_outsider_is_only_on_the_wan_and_the_neighbour_only_on_the_lan() -> None:
    assert Lab(0).lan_ip(host_named("outsider")) is None
    assert Lab(0).wan_ip(host_named("neighbour")) is None


@pytest.mark.parametrize(("environment", "number"), [({}, 0), ({"LAB": ""}, 0), ({"LAB": "0"}, 0), ({"LAB": "7"}, 7)])
def test_the_environment_chooses_the_lab(environment: dict[str, str], number: int) -> None:
    assert chosen_lab(environment) == Lab(number)


@pytest.mark.parametrize("value", ["8", "-1", "one", "1.0", "²"])
def test_a_wrong_lab_number_is_named_with_the_cure(value: str) -> None:
    with pytest.raises(LabError, match="set LAB to a number from 0 to 7"):
        chosen_lab({"LAB": value})


def test_no_names_mean_the_default_hosts_and_booting_hosts_are_not_among_them() -> None:
    assert {host.name for host in hosts_named([])} == set(DEFAULT_HOSTS)
    assert not any(host.boots for host in hosts_named([]))


def test_a_host_named_twice_is_started_once() -> None:
    assert [host.name for host in hosts_named(["outsider", "boot20", "outsider"])] == ["outsider", "boot20"]


def test_an_unknown_host_is_answered_with_the_known_ones() -> None:
    with pytest.raises(LabError, match=r"no host 'engine29'.*engine28"):
        hosts_named(["engine29"])
