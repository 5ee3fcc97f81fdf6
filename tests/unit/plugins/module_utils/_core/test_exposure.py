# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bulkhead.docker.plugins.module_utils._core import (
    exposure,
    guard,
    guard_intent,
    guard_preflight,
    guard_report,
    ufw,
)
from ansible_collections.bulkhead.docker.plugins.module_utils._core.exposure import Door
from ansible_collections.bulkhead.docker.plugins.module_utils._core.guard import Firewall, World
from ansible_collections.bulkhead.docker.plugins.module_utils._core.guard_intent import Intent, Wish
from ansible_collections.bulkhead.docker.plugins.module_utils._core.guard_table import Table
from ansible_collections.bulkhead.docker.plugins.module_utils._core.model import (
    Container,
    Endpoint,
    Engine,
    Network,
    PublishedPort,
    Snapshot,
)

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
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -j ufw-before-forward
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
-A DOCKER-USER -j RETURN
COMMIT
*nat
:DOCKER - [0:0]
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


def host(
    *ports: PublishedPort,
    save: str | None = SAVE,
    save6: str | None = SAVE6,
    nft: t.Sequence[t.Any] = (),
    legacy: str = "",
    **files: str | None,
) -> World:
    known = {**ACTIVE, **{getattr(ufw, name): text for name, text in files.items()}}
    firewall = Firewall(files=known, nft={"nftables": list(nft)}, saves={4: save, 6: save6}, legacy={4: legacy})
    web = Container(WEB.id, WEB.name, endpoints=WEB.endpoints, published=ports or (PORT,))
    stopped = Container("d" * 64, "stopped", state="exited", published=(PORT,))
    return World(firewall, Snapshot(Engine("26.1.5"), (BRIDGE,), (stopped, web)))


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
    assert row["decided_by"] == [
        {
            "table": "ip nat",
            "chain": "DOCKER",
            "rule": "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80",
        }
    ]
    row = after(world)
    assert (row["verdict"], row["bypasses_ufw"]) == ("closed", False)
    assert [item["table"] for item in row["decided_by"]] == ["inet bulkhead_guard"]
    assert "policy deny" in row["decided_by"][0]["rule"]


@pytest.mark.parametrize(
    ("line", "verdict", "says"),
    [
        ("allow tcp 8080 0.0.0.0/0 any 0.0.0.0/0 in", "open", "allow"),
        ("limit tcp 8080 0.0.0.0/0 any 0.0.0.0/0 in", "open", "allow"),
        ("allow any any 0.0.0.0/0 any 0.0.0.0/0 in", "open", "allow"),
        ("reject tcp 8080 0.0.0.0/0 any 0.0.0.0/0 in", "closed", "deny"),
        ("allow udp 8080 0.0.0.0/0 any 0.0.0.0/0 in", "closed", "deny"),
        ("allow tcp 80 0.0.0.0/0 any 0.0.0.0/0 in", "closed", "deny"),
        ("allow tcp 8080 0.0.0.0/0 any 192.0.2.0/24 in", "partial", "partial"),
        ("allow tcp 8080 0.0.0.0/0 any 0.0.0.0/0 in_eth1", "partial", "partial"),
        ("allow tcp 8080 192.0.2.1 any 0.0.0.0/0 in", "partial", "partial"),
        ("allow tcp 8080 127.0.0.1 any 0.0.0.0/0 in", "closed", "deny"),
    ],
)
def test_the_verdict_is_ufws_own(line: str, verdict: str, says: str) -> None:
    row = after(host(RULES=f"### tuple ### {line}\n"))
    assert (row["verdict"], row["ufw_says"], row["bypasses_ufw"]) == (verdict, says, False)


def test_a_ban_before_an_allow_makes_it_partial_and_names_both() -> None:
    rules = "### tuple ### deny any any 0.0.0.0/0 any 192.0.2.7 in\n" + ACTIVE[ufw.RULES]
    row = after(host(RULES=rules))
    assert row["verdict"] == "partial"
    assert [item["rule"].partition("comment ")[2] for item in row["decided_by"][:2]] == [
        '"ufw deny from 192.0.2.7"',
        '"ufw allow 8080/tcp"',
    ]


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("-A DOCKER-USER -j RETURN", "-A DOCKER-USER -s 192.0.2.0/24 -j DROP", "192.0.2.0/24"),
        ("-A DOCKER-USER -j RETURN", "-A DOCKER-USER -m set --match-set bans src -j DROP", "match-set bans"),
        ("-A DOCKER-USER -j RETURN", ":f2b - [0:0]\n-A DOCKER-USER -j f2b\n-A f2b -s 192.0.2.1/32 -j REJECT", "-j f2b"),
        ("-A FORWARD -j DOCKER-USER", "-A FORWARD -j DROP", "-A FORWARD -j DROP"),
        (
            "-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT\n",
            "",
            "not in the ip filter",
        ),
        ("*nat", "*mangle\n-A PREROUTING -m geoip --source-country XX -j DROP\nCOMMIT\n*nat", "geoip"),
    ],
)
def test_what_else_may_drop_makes_open_unknown_and_is_named(old: str, new: str, named: str) -> None:
    save = SAVE.replace(old, new)
    assert save != SAVE
    row = after(host(save=save))
    assert row["verdict"] == "unknown"
    assert named in row["decided_by"][0]["rule"]
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


def _foreign(policy: str, *expressions: t.Any) -> list[t.Any]:
    own = {"family": "inet", "table": "x\x1b[2J"}
    chain = {**own, "name": "f", "hook": "forward", "type": "filter", "prio": 0, "policy": policy}
    return [{"chain": chain}, *({"rule": {**own, "chain": "f", "expr": [item]}} for item in expressions)]


def test_another_nftables_table_that_may_drop_is_named_without_its_escapes() -> None:
    assert after(host(nft=_foreign("accept", {"counter": None})))["verdict"] == "open"
    for nft in (_foreign("drop"), _foreign("accept", {"drop": None})):
        row = after(host(nft=nft))
        assert row["verdict"] == "unknown"
        assert row["decided_by"][0]["chain"] == "f"
        assert "\x1b" not in row["decided_by"][0]["table"]


def test_ipv6_without_docker_forwarding_it_is_answered_by_the_proxy_and_obeys_ufws_input() -> None:
    row = after(host(PORT6))
    assert (row["path"], row["family"], row["verdict"]) == ("proxy", "ipv6", "open")
    assert row["decided_by"] == [{"table": "ip6 filter", "chain": "ufw6-user-input", "rule": "ufw allow 8080/tcp (v6)"}]
    assert after(host(PORT6, RULES6=""))["verdict"] == "closed"
    assert after(host(PORT6, DEFAULTS="IPV6=no\n"))["verdict"] == "closed"
    assert after(host(PORT6, save6="*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j x\nCOMMIT\n"))["verdict"] == "unknown"


def test_the_proxy_without_ufw_is_open_only_where_nothing_filters_input() -> None:
    free = "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"
    off = {"CONF": "ENABLED=no\n"}
    assert after(host(PORT6, save6=free, **off), follow_ufw=False)["verdict"] == "open"
    assert after(host(PORT6, save6=free.replace("ACCEPT", "DROP"), **off), follow_ufw=False)["verdict"] == "unknown"
    assert after(host(PORT6, save6=None, **off), follow_ufw=False)["verdict"] == "unknown"


def test_a_port_on_loopback_is_open_to_neighbours_until_something_drops_it() -> None:
    assert before(host(LOOPBACK))["verdict"] == "partial"
    assert before(host(LOOPBACK, save=SAVE + RAW_LOOPBACK))["verdict"] == "closed"
    row = after(host(LOOPBACK), policy="allow", follow_ufw=False)
    assert row["verdict"] == "closed"
    assert "loopback" in row["decided_by"][0]["rule"]


def test_a_live_table_changed_by_hand_is_judged_as_it_is() -> None:
    intent = guard_intent.read_intent(options(follow_ufw=False))
    table = guard.wanted_table(intent, (), bridges=guard.DOCKER_BRIDGES, strangers=["docker0"])
    outcomes, _rules = exposure.judge(table, "forward", Door(4, "tcp", 80, "", "docker0"))
    assert outcomes == {"accept"}


def test_rules_of_ufw_that_are_not_understood_make_unknown_and_do_not_stop_who_does_not_follow_them() -> None:
    world = host(PORT, PORT6, RULES="### tuple ### permit it\n")
    for changes in ({"follow_ufw": False}, {"state": "absent"}):
        found = answer(world, **changes)
        assert [item["id"] for item in found["preflight"]] == ["ufw_not_understood"]
        assert "user.rules line 1" in found["preflight"][0]["found"]
        assert {row["ufw_says"] for row in found["exposures"]} == {"unknown"}
        assert [row["verdict"] for row in found["exposures"] if row["path"] == "proxy"] == ["unknown"]


# ---- against an oracle -------------------------------------------------------------------------------------------


class Packet(t.NamedTuple):
    source: str
    interface: str
    to: str


def first_fit(wishes: t.Sequence[Wish], packet: Packet, door: Door) -> str:
    """What UFW's order means, on one packet, without nft in between."""
    for wish in wishes:
        if wish.family not in (0, door.family) or wish.proto not in ("any", door.proto):
            continue
        if wish.ports and not any(first <= door.port <= last for first, last in wish.ports):
            continue
        if wish.interface and wish.interface != packet.interface:
            continue
        pairs = ((wish.source, packet.source), (wish.to, packet.to))
        if all(not net or ipaddress.ip_address(text) in ipaddress.ip_network(net) for net, text in pairs):
            return "accept" if wish.action in ("allow", "limit") else "drop"
    return "drop"


_ADDRESSES = ["192.0.2.1", "192.0.2.2", "198.51.100.1"]
_WISH = st.builds(
    Wish,
    action=st.sampled_from(ufw.ACTIONS),
    family=st.sampled_from([0, 4]),
    proto=st.sampled_from(["any", "tcp", "udp"]),
    ports=st.sampled_from([(), ((80, 80),), ((81, 81),), ((70, 90),), ((1, 2), (80, 80))]),
    source=st.sampled_from(["", "192.0.2.0/24", *_ADDRESSES]),
    to=st.sampled_from(["", "203.0.113.1", "203.0.113.0/30"]),
    interface=st.sampled_from(["", "eth0", "eth1"]),
).map(lambda wish: Wish(**{**vars(wish), "family": 4 if wish.source or wish.to else wish.family}))


@given(
    wishes=st.lists(_WISH, max_size=6),
    address=st.sampled_from(["", "203.0.113.1", "203.0.113.9"]),
    packets=st.lists(
        st.builds(
            Packet,
            st.sampled_from([*_ADDRESSES, "203.0.113.77"]),
            st.sampled_from(["eth0", "eth1", "wg0"]),
            st.sampled_from(["203.0.113.1", "203.0.113.9"]),
        ),
        min_size=5,
        max_size=20,
    ),
)
def test_no_packet_fares_other_than_the_verdict_says(wishes: list[Wish], address: str, packets: list[Packet]) -> None:
    intent = Intent(present=True, follow_ufw=False, policy="deny", trusted=(), rules=tuple(wishes))
    table: Table = guard.wanted_table(intent, (), bridges=guard.DOCKER_BRIDGES, strangers=[])
    door = Door(4, "tcp", 80, address, "br-0123456789ab")
    outcomes, rules = exposure.judge(table, "forward", door)
    assert rules
    for packet in packets:
        arrives = Packet(packet.source, packet.interface, address or packet.to)
        assert first_fit(wishes, arrives, door) in outcomes


# ---- preflight ---------------------------------------------------------------------------------------------------


def findings(world: World, docker_host: str = "unix:///var/run/docker.sock", **changes: t.Any) -> dict[str, str]:
    found = guard_preflight.preflight(guard_intent.read_intent(options(**changes)), world, docker_host)
    assert all(item["found"].endswith((".", "open.")) and item["cure"].endswith(".") for item in found)
    return {item["id"]: item["severity"] for item in found}


def test_a_sound_host_has_no_findings() -> None:
    assert findings(host()) == {}


@pytest.mark.parametrize(
    ("world", "expected"),
    [
        (host(DEFAULTS="IPV6=yes\nMANAGE_BUILTINS=yes\n"), {"ufw_manage_builtins": "critical"}),
        (host(DEFAULTS="IPV6=no\n", save6=SAVE6.replace(":ufw6-user-input - [0:0]\n", "")), {"ufw_ipv6_no": "high"}),
        (host(DEFAULTS="IPV6=yes\nDEFAULT_INPUT_POLICY=ACCEPT\n"), {"ufw_default_allow": "medium"}),
        (host(RULES="### tuple ### route:allow tcp 80 172.17.0.2 any 0.0.0.0/0 in\n"), {"ufw_route_rules": "info"}),
        (host(save=SAVE.replace(":ufw-user-input - [0:0]\n", "")), {"ufw_not_loaded": "critical"}),
        (host(save=SAVE.replace("-A FORWARD -j DOCKER-USER\n", "")), {"docker_user_unreferenced": "medium"}),
        (host(save=SAVE.replace(":DOCKER-USER - [0:0]\n", "")), {"docker_user_missing": "low"}),
        (host(save6=None), {"ip6tables_unreadable": "medium"}),
        (host(legacy="*filter\n:DOCKER - [0:0]\n"), {"iptables_mix": "critical"}),
        (host(nft=[{"table": {"family": "ip", "name": "docker-bridges"}}]), {"engine_nftables": "medium"}),
    ],
)
def test_what_weakens_the_host_is_found_with_its_cure(world: World, expected: dict[str, str]) -> None:
    assert findings(world) == expected


def test_the_block_of_ufw_docker_is_found() -> None:
    world = host()
    files = {**world.firewall.files, "/etc/ufw/after.rules": "# BEGIN UFW AND DOCKER\n*filter\n"}
    assert findings(World(Firewall(files=files, nft={}, saves={4: SAVE, 6: SAVE6}), world.snapshot)) == {
        "ufw_docker_block": "high"
    }


def test_a_daemon_elsewhere_is_told() -> None:
    assert findings(host(), docker_host="tcp://192.0.2.10:2376") == {"remote_daemon": "high"}


def test_a_routed_network_is_told() -> None:
    routed = Network("e" * 64, "routed", options={"com.docker.network.bridge.gateway_mode_ipv6": "routed"})
    world = host()
    assert world.snapshot is not None
    networks = (*world.snapshot.networks, routed)
    assert findings(World(world.firewall, Snapshot(networks=networks))) == {"routed_network": "medium"}
