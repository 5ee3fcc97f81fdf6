# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest

from ansible_collections.bulkhead.docker.plugins.module_utils._core import reach, zones
from ansible_collections.bulkhead.docker.plugins.module_utils._core.errors import CoreError
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.host import Listener
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.sets import EMPTY, IntSet
from ansible_collections.bulkhead.docker.plugins.module_utils._core.reach import Reach, together

from .shop import LISTENERS, SAVE, scene, view


def exposures(*arguments: t.Any, only: t.Any = None, **named: t.Any) -> list[dict[str, t.Any]]:
    seen = view(*arguments, **named)
    return reach.exposures(seen, zones.read_zones(only, seen))


def row(rows: list[dict[str, t.Any]], port: int, family: str = "ipv4", **wanted: t.Any) -> dict[str, t.Any]:
    def key(item: dict[str, t.Any]) -> int:
        return int(item["host_port"] or item["container_port"])

    (found,) = [
        item
        for item in rows
        if key(item) == port and item["family"] == family and all(item[name] == value for name, value in wanted.items())
    ]
    return found


def sources(found: dict[str, t.Any]) -> dict[str, list[str]]:
    return {item["zone"]: item["sources"] for item in found["reachable_from"]}


def test_a_published_port_is_open_past_ufw_with_the_rule_that_lets_it_in() -> None:
    found = row(exposures(), 8080)
    assert (found["verdict"], found["ufw_says"], found["bypasses_ufw"]) == ("open", "deny", True)
    assert (found["path"], found["network"], found["container"]) == ("dnat", "front", "web")
    assert sources(found)["eth0"] == sources(found)["eth1"] == ["0.0.0.0/0"]
    assert [(item["table"], item["chain"], item["rule_number"]) for item in found["decided_by"]] == [
        ("ip filter", "DOCKER", 1)
    ]


def test_a_port_that_ufw_allows_bypasses_nothing() -> None:
    rules = "### tuple ### allow tcp 8080 0.0.0.0/0 any 0.0.0.0/0 in\n"
    found = row(exposures(rules=rules), 8080)
    assert (found["verdict"], found["ufw_says"], found["bypasses_ufw"]) == ("open", "allow", False)


def test_ufw_is_bypassed_when_one_sender_more_gets_in_than_it_says() -> None:
    rules = "### tuple ### allow tcp 8080 0.0.0.0/0 any 192.0.2.0/24 in\n"
    let = "-A DOCKER-USER {} ! -i br-front -m conntrack --ctorigdstport 8080 -j DROP\nCOMMIT\n"
    exact = SAVE.rpartition("COMMIT\n")[0] + let.format("! -s 192.0.2.0/24")
    wider = SAVE.rpartition("COMMIT\n")[0] + let.format("! -s 192.0.2.0/23")
    found = row(exposures(exact, rules=rules), 8080)
    assert (found["verdict"], found["ufw_says"], found["bypasses_ufw"]) == ("partial", "partial", False)
    found = row(exposures(wider, rules=rules), 8080)
    assert (found["verdict"], found["ufw_says"], found["bypasses_ufw"]) == ("partial", "partial", True)
    assert sources(found)["eth0"] == ["192.0.2.0/23"]


def test_docker_proxy_obeys_input() -> None:
    found = row(exposures(), 8080, "ipv6")
    assert (found["verdict"], found["path"]) == ("closed", "proxy")
    assert [item["rule"] for item in found["decided_by"]] == ["policy DROP"]
    let = "*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp -m tcp --dport 8080 -j ACCEPT\nCOMMIT\n"
    found = row(exposures(save6=let), 8080, "ipv6")
    assert (found["verdict"], found["path"], found["bypasses_ufw"]) == ("open", "proxy", True)


def test_where_nothing_listens_nothing_is_open() -> None:
    let = "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"
    without = tuple(item for item in LISTENERS if item.port != 8080)
    found = row(exposures(save6=let, listeners=without), 8080, "ipv6")
    assert found["verdict"] == "closed"
    assert "no process of the host listens on port 8080/tcp" in found["decided_by"][0]["rule"]
    found = row(exposures(save6=let, listeners=None), 8080, "ipv6")
    assert found["verdict"] == "unknown"
    assert "could not be read" in found["decided_by"][0]["rule"]


def test_docker_proxy_that_does_not_reach_its_container_answers_nobody() -> None:
    let = "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"
    stuck = SAVE.replace(":INPUT DROP [0:0]", ":INPUT DROP [0:0]\n:OUTPUT ACCEPT [0:0]").replace(
        "-A FORWARD -j DOCKER-USER", "-A OUTPUT -o br-front -j DROP\n-A FORWARD -j DOCKER-USER"
    )
    found = row(exposures(stuck, save6=let), 8080, "ipv6")
    assert found["verdict"] == "closed"
    assert found["decided_by"][0]["chain"] == "OUTPUT"


def test_a_loopback_port_is_reached_by_neighbours_and_by_the_host() -> None:
    found = row(exposures(), 8081)
    assert found["verdict"] == "partial"
    assert sources(found) == {"eth0": ["198.51.100.0/27"], "eth1": ["0.0.0.0/0"], "host": []}
    closed = SAVE + "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -d 127.0.0.1/32 ! -i lo -j DROP\nCOMMIT\n"
    assert sources(row(exposures(closed), 8081)) == {"host": []}


def test_a_port_on_the_inner_address_is_open_to_the_neighbours_on_the_outer_link_too() -> None:
    found = row(exposures(), 8082)
    assert found["verdict"] == "partial"
    assert sources(found)["eth0"] == ["198.51.100.0/27"]
    assert sources(found)["eth1"] == ["0.0.0.0/0"]


def test_a_container_on_the_hosts_network_is_governed_by_input() -> None:
    found = row(exposures(), 9100)
    assert (found["path"], found["verdict"], found["container"]) == ("hostnet", "closed", "agent")
    let = SAVE.replace(":INPUT DROP", ":INPUT ACCEPT")
    found = row(exposures(let), 9100)
    assert (found["verdict"], found["bypasses_ufw"]) == ("open", True)


def test_an_unpublished_port_is_told_with_who_reaches_it_by_the_containers_own_address() -> None:
    found = row(exposures(), 5432)
    assert (found["path"], found["container_ip"], found["host_port"]) == ("direct", "172.19.0.3", None)
    assert found["verdict"] == "closed"
    assert sources(found) == {"host": [], "back": ["0.0.0.0/0"]}
    assert not [item for item in exposures() if item["container_port"] == 9999], "a loopback socket is nobody's door"


def test_a_container_without_a_route_back_answers_nobody_outside() -> None:
    let = SAVE.replace(":FORWARD DROP", ":FORWARD ACCEPT").replace("-A STAGE-2 -o br-back -j DROP\n", "")
    found = row(exposures(let), 5432)
    assert found["verdict"] == "closed"
    assert "db has no route to callers outside its networks" in [item["rule"] for item in found["decided_by"]]
    assert "eth1" not in sources(found)


def test_a_container_answers_by_its_default_route() -> None:
    # web is on both networks and its default route is front: asked on back, it answers by front.
    let = SAVE.replace(":FORWARD DROP", ":FORWARD ACCEPT").replace("-A STAGE-2 -o br-back -j DROP\n", "")
    found = row(exposures(let), 80, container_ip="172.19.0.2")
    assert "eth1" in sources(found)
    shut = let.replace("-A FORWARD -i br-front ! -o br-front -j ACCEPT\n", "-A FORWARD -i br-front -j DROP\n")
    found = row(exposures(shut), 80, container_ip="172.19.0.2")
    assert "eth1" not in sources(found)


def test_a_container_answers_a_neighbour_on_their_own_network() -> None:
    seen = view()
    web = seen.scene.snapshot.containers_named("web")[0]
    neighbour, stranger = 0xAC130009, 0xC0000201
    assert seen.way_back(web, 4, neighbour) == "br-back"
    assert seen.way_back(web, 4, stranger) == "br-front"


def test_a_rate_limit_is_open_and_told() -> None:
    slow = SAVE.rpartition("COMMIT\n")[0] + (
        "-A DOCKER-USER -m recent --update --seconds 30 --hitcount 6 --name x --rsource -j DROP\nCOMMIT\n"
    )
    found = row(exposures(slow), 8080)
    assert (found["verdict"], found["limited"]) == ("open", True)


def test_what_only_a_knock_opens_is_not_called_closed() -> None:
    knock = SAVE.rpartition("COMMIT\n")[0] + (
        "-A DOCKER-USER -m recent --rcheck --seconds 30 --name knocked --rsource -j RETURN\n"
        "-A DOCKER-USER -o br-front -m conntrack --ctstate NEW -j DROP\nCOMMIT\n"
    )
    found = row(exposures(knock), 8080)
    assert found["verdict"] == "unknown"
    assert "--name knocked" in found["decided_by"][0]["rule"]


def test_what_nobody_can_tell_is_unknown_and_names_the_rule() -> None:
    odd = SAVE.rpartition("COMMIT\n")[0] + '-A DOCKER-USER -m string --string "x" --algo bm -j DROP\nCOMMIT\n'
    found = row(exposures(odd), 8080)
    assert found["verdict"] == "unknown"
    assert "--string" in found["decided_by"][0]["rule"]
    assert [item["unknown"] for item in found["reachable_from"] if item["zone"] == "eth0"] == [["0.0.0.0/0"]]


def test_zones_of_a_host_are_its_outer_interfaces_itself_and_its_networks() -> None:
    names = [(zone.name, zone.interface, zone.kind) for zone in view().zones()]
    assert names == [
        ("eth0", "eth0", "outside"),
        ("eth1", "eth1", "outside"),
        ("host", None, "host"),
        ("back", "br-back", "network"),
        ("front", "br-front", "network"),
    ]


def test_zones_may_be_given() -> None:
    office = {"name": "office", "interface": "eth1", "from": ["192.168.50.64/26"]}
    found = row(exposures(only=["internet", office, "back"]), 8080)
    # Nobody of the network back is let through to front, and docker-proxy is behind INPUT.
    assert sources(found) == {"internet": ["0.0.0.0/0"], "office": ["0.0.0.0/0"]}
    assert [item["interface"] for item in found["reachable_from"]] == ["eth0", "eth1"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["dmz"], ["zones[0]", "'dmz'", "eth0, eth1", "back, front"]),
        ([{"name": "x"}], ["zones[0]", "no interface"]),
        ([{"interface": "eth7"}], ["zones[0]", "'eth7'"]),
        ([{"interface": "eth0", "from": ["300.1.1.1"]}], ["zones[0].from", "300.1.1.1"]),
        ([{"interface": "eth0", "of": 1}], ["zones[0]", "'of'"]),
        (["lo"], ["'lo'"]),
    ],
)
def test_a_zone_that_is_not_there_is_refused_with_those_that_are(given: list[t.Any], words: list[str]) -> None:
    with pytest.raises(CoreError) as error:
        zones.read_zones(given, view())
    assert all(word in error.value.sentence for word in words), error.value.sentence


def test_the_internet_is_where_the_default_route_leads() -> None:
    with pytest.raises(CoreError, match="no default route"):
        zones.read_zones(["internet"], view(routes=[("192.168.50.0/24", "eth1")]))


def test_callers_of_a_zone_are_those_whom_an_answer_reaches() -> None:
    found = {zone.name: zone for zone in view().zones()}
    lan = IntSet([(0xC0A83200, 0xC0A832FF)])
    assert found["eth1"].callers[4] == lan - IntSet.of(0xC0A83202, 0xC0A832FF)
    assert not found["eth0"].callers[4] & lan
    assert not found["eth1"].callers[6]
    assert found["eth0"].near[4] == IntSet([(0xC6336400, 0xC633641E)]) - IntSet.of(0xC6336402)


@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        (["open", "open"], "open"),
        (["open", "closed"], "partial"),
        (["closed", "unknown"], "unknown"),
        (["partial", "unknown"], "partial"),
        ([], "closed"),
    ],
)
def test_the_verdict_of_several_zones_is_never_rounded_to_closed(words: list[str], verdict: str) -> None:
    two, one = IntSet([(1, 2)]), IntSet.of(1)
    made = {
        "open": Reach(two, EMPTY, two),
        "closed": Reach(EMPTY, EMPTY, two),
        "partial": Reach(one, EMPTY, two),
        "unknown": Reach(EMPTY, one, two),
    }
    assert together([made[word] for word in words]) == verdict


def test_a_socket_answers_for_its_own_address_only() -> None:
    one = Listener("tcp", "127.0.0.1", 80, families=(4,))
    assert reach.listening([one], 4, "tcp", "127.0.0.1", 80) is one
    assert reach.listening([one], 4, "tcp", "127.0.0.2", 80) is None
    assert reach.listening([one], 4, "udp", "127.0.0.1", 80) is None
    assert reach.listening([Listener("tcp", "", 80, families=(4,))], 6, "tcp", "::1", 80) is None


def test_rows_are_in_the_order_people_look_for_them() -> None:
    keys = [(item["path"] == "direct", item["host_port"] or 0) for item in exposures()]
    assert keys == sorted(keys)
    assert len({str(item) for item in exposures()}) == len(exposures())


def test_nobody_is_asked_when_ufw_is_off() -> None:
    off = scene()
    seen = zones.View(replace(off, ufw=None))
    found = row(reach.exposures(seen, seen.zones()), 8080)
    assert (found["ufw_says"], found["bypasses_ufw"]) == ("inactive", False)
