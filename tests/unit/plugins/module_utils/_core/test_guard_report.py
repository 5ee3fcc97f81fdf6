# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t
from dataclasses import replace

import pytest

from ansible_collections.bulkhead.docker.plugins.module_utils._core import guard_intent, guard_report, guard_table, ufw
from ansible_collections.bulkhead.docker.plugins.module_utils._core.guard import World, firewall_of, wanted_of
from ansible_collections.bulkhead.docker.plugins.module_utils._core.model import (
    Container,
    Endpoint,
    Engine,
    Network,
    PublishedPort,
    Snapshot,
)
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.host import Listener
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.reading import Reading, Trouble
from ansible_collections.bulkhead.docker.plugins.module_utils._core.scene import scene

BRIDGE = Network("b" * 64, "bridge", options={"com.docker.network.bridge.name": "docker0"})

#: The part of Docker 26.1 in iptables-save that says something about a port published as 8080.
SAVE = """\
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
:ufw-user-input - [0:0]
:ufw6-user-input - [0:0]
:ufw-before-forward - [0:0]
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -j ufw-user-input
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -j ufw-before-forward
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 81 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
-A DOCKER-USER -j RETURN
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER -i docker0 -j RETURN
-A DOCKER -d 127.0.0.1/32 ! -i docker0 -p tcp -m tcp --dport 8081 -j DNAT --to-destination 172.17.0.2:81
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
COMMIT
"""
SAVE6 = SAVE.replace("172.17.0.2:80", "172.17.0.9:9999").replace("--dport 808", "--dport 999")
RAW_LOOPBACK = (
    "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -d 127.0.0.1/32 ! -i lo -p tcp -m tcp --dport 8081 -j DROP\nCOMMIT\n"
)

PORT = PublishedPort("0.0.0.0", 8080, 80)
PORT6 = PublishedPort("::", 8080, 80)
LOOPBACK = PublishedPort("127.0.0.1", 8081, 81)
WEB = Container("c" * 64, "web", endpoints=(Endpoint("bridge", BRIDGE.id, ip="172.17.0.2"),), published=(PORT,))

ACTIVE = {
    ufw.CONF: "ENABLED=yes\n",
    ufw.DEFAULTS: "IPV6=yes\n",
    ufw.RULES: "### tuple ### allow tcp 8080 0.0.0.0/0 any 0.0.0.0/0 in\n",
    ufw.RULES6: "### tuple ### allow tcp 8080 ::/0 any ::/0 in\n",
}


def options(**changes: t.Any) -> dict[str, t.Any]:
    return {"state": "present", "follow_ufw": True, "policy": "deny", "trusted": [], "rules": [], **changes}


ADDRESSES = json.dumps(
    [
        {"ifname": name, "addr_info": [{"family": family, "local": local, "prefixlen": length, "scope": "global"}]}
        for name, family, local, length in (
            ("lo", "inet", "127.0.0.1", 8),
            ("eth0", "inet", "198.51.100.2", 27),
            ("eth1", "inet", "192.168.50.2", 24),
            ("docker0", "inet", "172.17.0.1", 16),
            ("eth2", "inet6", "2001:db8::2", 64),
        )
    ]
)
ROUTES = {
    4: json.dumps(
        [
            {"dst": "default", "dev": "eth0", "gateway": "198.51.100.1"},
            {"dst": "198.51.100.0/27", "dev": "eth0"},
            {"dst": "192.168.50.0/24", "dev": "eth1"},
            {"dst": "172.17.0.0/16", "dev": "docker0"},
        ]
    ),
    6: json.dumps(
        [{"dst": "default", "dev": "eth2", "gateway": "2001:db8::1"}, {"dst": "2001:db8::/64", "dev": "eth2"}]
    ),
}


def host(
    *ports: PublishedPort,
    save: str | None = SAVE,
    save6: str | None = SAVE6,
    nft: t.Sequence[t.Any] = (),
    **files: str | None,
) -> World:
    texts = {4: save, 6: save6}
    reading = Reading(
        nft={"nftables": list(nft)},
        saves={("iptables", family): text for family, text in texts.items() if text is not None},
        addresses=ADDRESSES,
        routes=ROUTES,
        files={**ACTIVE, **{getattr(ufw, name): text for name, text in files.items()}},
        bridges=frozenset({"docker0"}),
        troubles=tuple(Trouble("rules", "nobody can say", (family,)) for family, text in texts.items() if text is None),
    )
    web = Container(WEB.id, WEB.name, endpoints=WEB.endpoints, published=ports or (PORT,))
    stopped = Container("d" * 64, "stopped", state="exited", published=(PORT,))
    snapshot = Snapshot(Engine("26.1.5"), (BRIDGE,), (stopped, web))
    firewall = firewall_of(reading, ["docker0", "eth0", "eth1"], has_nft=True)
    seen = scene(reading, snapshot)
    proxies = tuple(Listener("tcp", "", port.host_port, "docker-proxy") for port in web.published)
    return World(firewall, snapshot, replace(seen, host=replace(seen.host, listeners=proxies)))


def answer(world: World, **changes: t.Any) -> dict[str, t.Any]:
    intent = guard_intent.read_intent(options(**changes))
    return guard_report.answer(intent, world, world, docker_host="unix:///var/run/docker.sock")


def before(world: World) -> dict[str, t.Any]:
    (row,) = answer(world, follow_ufw=False)["exposures_before"]
    return dict(row)


def after(world: World, **changes: t.Any) -> dict[str, t.Any]:
    (row,) = answer(world, **changes)["exposures"]
    return dict(row)


def test_docker_opens_past_ufw_and_the_guard_brings_it_back() -> None:
    world = host(RULES="")
    row = before(world)
    assert (row["verdict"], row["ufw_says"], row["bypasses_ufw"], row["path"]) == ("open", "deny", True, "dnat")
    assert (row["network"], row["container"], row["family"]) == ("bridge", "web", "ipv4")
    assert [(item["table"], item["chain"], item["rule_number"]) for item in row["decided_by"]] == [
        ("ip filter", "DOCKER", 1)
    ]
    row = after(world)
    assert (row["verdict"], row["bypasses_ufw"]) == ("closed", False)
    assert [item["table"] for item in row["decided_by"]] == ["inet bulkhead_guard"]
    assert "policy deny" in row["decided_by"][0]["rule"]


@pytest.mark.parametrize(
    ("line", "verdict", "says", "limited"),
    [
        ("allow tcp 8080 0.0.0.0/0 any 0.0.0.0/0 in", "open", "allow", False),
        ("limit tcp 8080 0.0.0.0/0 any 0.0.0.0/0 in", "open", "allow", True),
        ("allow any any 0.0.0.0/0 any 0.0.0.0/0 in", "open", "allow", False),
        ("reject tcp 8080 0.0.0.0/0 any 0.0.0.0/0 in", "closed", "deny", False),
        ("allow udp 8080 0.0.0.0/0 any 0.0.0.0/0 in", "closed", "deny", False),
        ("allow tcp 80 0.0.0.0/0 any 0.0.0.0/0 in", "closed", "deny", False),
        ("allow tcp 8080 0.0.0.0/0 any 192.0.2.0/24 in", "partial", "partial", False),
        ("allow tcp 8080 0.0.0.0/0 any 0.0.0.0/0 in_eth1", "partial", "partial", False),
        ("allow tcp 8080 192.168.50.2 any 0.0.0.0/0 in", "partial", "partial", False),
        ("allow tcp 8080 192.0.2.1 any 0.0.0.0/0 in", "closed", "deny", False),
        ("allow tcp 8080 127.0.0.1 any 0.0.0.0/0 in", "closed", "deny", False),
    ],
)
def test_the_verdict_is_ufws_own(line: str, verdict: str, says: str, limited: bool) -> None:
    row = after(host(RULES=f"### tuple ### {line}\n"))
    assert (row["verdict"], row["ufw_says"], row["limited"]) == (verdict, says, limited)
    assert row["bypasses_ufw"] is False


def test_a_ban_before_an_allow_keeps_just_that_sender_out() -> None:
    rules = "### tuple ### deny any any 0.0.0.0/0 any 192.0.2.7 in\n" + ACTIVE[ufw.RULES]
    row = after(host(RULES=rules))
    assert row["verdict"] == "partial"
    (wan,) = [item for item in row["reachable_from"] if item["interface"] == "eth0"]
    assert len(wan["sources"]) == 32
    assert "192.0.2.6/32" in wan["sources"] and "192.0.2.7/32" not in wan["sources"]
    assert '"ufw deny from 192.0.2.7"' in " ".join(item["rule"] for item in row["decided_by"])


@pytest.mark.parametrize(
    ("old", "new", "verdict", "named"),
    [
        ("-A DOCKER-USER -j RETURN", "-A DOCKER-USER -s 192.0.2.0/24 -j DROP", "partial", "192.0.2.0/24"),
        ("-A DOCKER-USER -j RETURN", "-A DOCKER-USER -m set --match-set bans src -j DROP", "unknown", "match-set bans"),
        ("-A FORWARD -j DOCKER-USER", "-A FORWARD -j DROP", "closed", "-A FORWARD -j DROP"),
        (
            "-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT\n",
            "",
            "closed",
            "policy DROP",
        ),
        (
            "*nat",
            "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -m geoip --source-country XX -j DROP\nCOMMIT\n*nat",
            "unknown",
            "geoip",
        ),
    ],
)
def test_what_others_have_in_the_way_counts_and_is_named(old: str, new: str, verdict: str, named: str) -> None:
    save = SAVE.replace(old, new)
    assert save != SAVE
    row = after(host(save=save))
    assert row["verdict"] == verdict
    assert named in " ".join(item["rule"] for item in row["decided_by"])
    assert after(host(save=save, RULES=""))["verdict"] == "closed"


@pytest.mark.parametrize(
    "harmless",
    [
        "-A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-A DOCKER-USER -m conntrack --ctstate INVALID -j DROP",
        '-A DOCKER-USER -m limit --limit 3/min -j LOG --log-prefix "a \\"b -j DROP"',
    ],
)
def test_rules_that_close_nothing_new_leave_the_verdict(harmless: str) -> None:
    assert after(host(save=SAVE.replace("-A DOCKER-USER -j RETURN", harmless)))["verdict"] == "open"


def test_a_foreign_table_of_nftables_counts_and_is_named_without_its_escapes() -> None:
    own = {"family": "inet", "table": "x\x1b[2J"}
    chain = {**own, "name": "f", "hook": "forward", "type": "filter", "prio": 0, "policy": "accept"}
    for statement, verdict in (({"counter": None}, "open"), ({"drop": None}, "closed")):
        rule = {**own, "chain": "f", "expr": [statement]}
        table = {"family": "inet", "name": own["table"]}
        row = after(host(nft=[{"table": table}, {"chain": chain}, {"rule": rule}]))
        assert row["verdict"] == verdict
        assert "\x1b" not in json.dumps(row)
        assert "\\u001b" not in json.dumps(row)


def test_ipv6_without_docker_forwarding_it_is_answered_by_the_proxy_and_obeys_ufws_input() -> None:
    allowed = SAVE6.replace("-A INPUT -j ufw-user-input", "-A INPUT -j ufw6-user-input").replace(
        "COMMIT", "-A ufw6-user-input -p tcp -m tcp --dport 8080 -j ACCEPT\nCOMMIT", 1
    )
    row = after(host(PORT6, save6=allowed))
    assert (row["path"], row["family"], row["verdict"]) == ("proxy", "ipv6", "open")
    assert [(item["table"], item["chain"]) for item in row["decided_by"]] == [("ip6 filter", "ufw6-user-input")]
    assert after(host(PORT6))["verdict"] == "closed"
    assert after(host(PORT6, save6=None))["verdict"] == "unknown"


def test_a_port_on_loopback_is_open_to_neighbours_until_something_drops_it() -> None:
    assert before(host(LOOPBACK))["verdict"] == "partial"
    assert before(host(LOOPBACK, save=SAVE + RAW_LOOPBACK))["verdict"] == "closed"
    row = after(host(LOOPBACK), policy="allow", follow_ufw=False)
    assert row["verdict"] == "closed"
    assert "loopback" in row["decided_by"][0]["rule"]


def test_rules_of_ufw_that_are_not_understood_do_not_stop_who_does_not_follow_them() -> None:
    world = host(PORT, PORT6, RULES="### tuple ### permit it\n")
    for changes in ({"follow_ufw": False}, {"state": "absent"}):
        found = answer(world, **changes)
        assert [item["id"] for item in found["preflight"]] == ["ufw_not_understood"]
        assert "user.rules line 1" in found["preflight"][0]["found"]
        assert {row["ufw_says"] for row in found["exposures"]} == {"unknown"}


def test_the_wanted_table_stands_in_for_the_live_one() -> None:
    intent = guard_intent.read_intent(options(follow_ufw=False, policy="allow"))
    open_for_all = wanted_of(intent, host())
    assert open_for_all is not None
    world = host(nft=guard_table.listing(open_for_all)["nftables"], RULES="")
    found = answer(world)
    assert [row["verdict"] for row in found["exposures_before"]] == ["open"]
    assert [row["verdict"] for row in found["exposures"]] == ["closed"]
    assert [row["verdict"] for row in answer(world, state="absent")["exposures"]] == ["open"]
