# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Networks with every option: what they do, what this engine would ignore, and what they would collide with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from integration.test_docker_app_network import MODULE, network_names, refused, state_of

if TYPE_CHECKING:
    from integration.hosts import DockerHost

BRIDGE = "com.docker.network.bridge."


def reaches(engine: DockerHost, container: str, address: str, port: int) -> bool:
    """Whether a container gets an answer from there."""
    knock = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 {address} {port}"
    return "HTTP/" in engine.run("docker", "exec", container, "sh", "-c", knock, check=False).stdout


def listening(engine: DockerHost, port: int) -> None:
    """Let the host itself listen on all of its addresses, both families."""
    engine.docker(
        *("run", "--detach", "--init", "--network", "host", "--name", f"door{port}", "bulkhead-lab/busybox:1"),
        *("httpd", "-f", "-p", f"[::]:{port}", "-h", "/www"),
    )


# ---- isolation -------------------------------------------------------------------------------------------------------


def test_an_isolated_network_is_closed_to_the_host_where_an_internal_one_is_open(engine: DockerHost) -> None:
    listening(engine, 8099)
    tiers: list[dict[str, Any]] = [
        {"name": "cell", "isolated": True, "ipam_config": [{"subnet": "10.81.0.0/24"}]},
        {"name": "inner", "internal": True, "ipam_config": [{"subnet": "10.82.0.0/24"}]},
    ]
    if engine.generation >= 28:
        pools = [{"subnet": "10.83.0.0/24"}, {"subnet": "fd00:83::/64"}]
        tiers.append({"name": "both", "isolated": True, "enable_ipv6": True, "ipam_config": pools})
        pools = [{"subnet": "10.84.0.0/24"}, {"subnet": "fd00:84::/64"}]
        tiers.append({"name": "open6", "internal": True, "enable_ipv6": True, "ipam_config": pools})
    engine.converges(MODULE, networks=tiers)
    for tier in tiers:
        name, subnet, isolated = tier["name"], tier["ipam_config"][0]["subnet"], tier.get("isolated", False)
        # It may even make its own way to the host.
        engine.start(f"in-{name}", "--network", name, "--cap-add", "NET_ADMIN")
        engine.start(f"peer-{name}", "--network", name, command=("httpd", "-f", "-p", "80", "-h", "/www"))
        engine.docker("exec", f"in-{name}", "ip", "route", "add", engine.wan_ip, "dev", "eth0")
        peer = engine.inspect("container", f"peer-{name}")["NetworkSettings"]["Networks"][name]["IPAddress"]
        assert reaches(engine, f"in-{name}", peer, 80), name
        assert reaches(engine, f"in-{name}", engine.wan_ip, 8099) != isolated, name
        assert reaches(engine, f"in-{name}", subnet.replace(".0/24", ".1"), 8099) != isolated, name
        if "enable_ipv6" in tier:
            assert reaches(engine, f"in-{name}", f"fd00:{subnet[3:5]}::1", 8099) != isolated, name
    # Judged by what it means: made by the other way, it is the same.
    engine.docker("network", "create", "--internal", "--opt", f"{BRIDGE}inhibit_ipv4=true", "older")
    assert engine.module(MODULE, networks=[{"name": "older", "isolated": True}])["changed"] is False
    drifted = engine.module(MODULE, networks=[{"name": "inner", "isolated": True}])
    assert drifted["drift"] == [{"network": "inner", "option": "isolated", "is": False, "wanted": True}]


# ---- what an engine does not know ------------------------------------------------------------------------------------


def test_what_the_engine_would_silently_ignore_is_refused_with_the_version_needed(engine: DockerHost) -> None:
    engine.start("c1", "--network", "bridge")
    mode = {f"{BRIDGE}gateway_mode_ipv4": "routed"}
    pools = [{"subnet": "10.85.0.0/24"}, {"subnet": "fd00:85::/64"}]
    only6 = [{"subnet": "fd00:86::/64"}]
    wishes: list[tuple[dict[str, Any], str]] = [
        ({"name": "n1", "enable_ipv4": False, "enable_ipv6": True, "ipam_config": only6}, "28"),
        ({"name": "n2", "driver_options": mode}, "27"),
        ({"name": "n3", "driver_options": {f"{BRIDGE}gateway_mode_ipv4": "isolated"}, "internal": True}, "28"),
        ({"name": "n4", "driver_options": {f"{BRIDGE}trusted_host_interfaces": "eth1"}}, "28.2"),
        ({"name": "n5", "isolated": True, "enable_ipv6": True, "ipam_config": pools}, "28"),
        ({"name": "n6", "enable_ipv6": True}, "27"),
        ({"name": "n7", "connected": [{"name": "c1", "gw_priority": 5}]}, "28"),
    ]
    mac = {"name": "n8", "ipam_config": [{"subnet": "10.86.0.0/24"}]}
    mac["connected"] = [{"name": "c1", "mac_address": "02:42:0a:56:00:09"}]
    before = state_of(engine)
    *results, of_mac = engine.modules([(MODULE, {"networks": [wish]}) for wish, _needs in [*wishes, (mac, "")]])
    if engine.generation >= 28:
        assert [result["msg"] for result in results if result["failed"]] == []
        listed = engine.module(MODULE, networks=[wish for wish, _needs in wishes])
        assert (listed["changed"], engine.inspect("network", "n1")["EnableIPv4"]) == (False, False)
        networks = engine.inspect("container", "c1")["NetworkSettings"]["Networks"]
        assert networks["n7"]["GwPriority"] == 5
    else:
        assert [result["reason_code"] for result in results] == ["engine"] * len(wishes)
        assert [result["needs"] for result in results] == [needs for _wish, needs in wishes]
        assert state_of(engine) == before
    # No engine of the lab takes a MAC address here; what is there already is no wish.
    assert (of_mac["reason_code"], of_mac["needs"]) == ("engine", "API 1.54")
    engine.docker("network", "create", "--subnet", "10.87.0.0/24", "n9")
    engine.start("c9", "--network", "n9", "--mac-address", "02:42:0a:57:00:09")
    member = {"name": "c9", "mac_address": "02-42-0A-57-00-09"}
    assert engine.module(MODULE, networks=[{"name": "n9", "connected": [member]}])["changed"] is False


# ---- collisions ------------------------------------------------------------------------------------------------------


def test_a_network_that_would_collide_is_refused_before_anything_in_check_mode_too(engine: DockerHost) -> None:
    engine.run("ip", "link", "add", "tun9", "type", "bridge")
    engine.run("ip", "link", "add", "br-mine", "type", "bridge")
    for interface in ("tun9", "br-mine"):
        engine.run("ip", "link", "set", interface, "up")
    engine.run("ip", "route", "add", "10.64.0.0/12", "dev", "tun9")
    engine.run("ip", "-6", "route", "add", "fd00:64::/48", "dev", "tun9", "table", "77")
    engine.docker("network", "create", "--subnet", "10.90.0.0/24", "--opt", f"{BRIDGE}name=taken0", "there")
    six = {"enable_ipv6": True}

    def net(subnet: str, name: str = "new", **more: Any) -> dict[str, Any]:
        return {"name": name, "ipam_config": [{"subnet": subnet}], **more}

    twice = [net("10.91.0.0/16", "a"), net("10.91.7.0/24", "b")]
    pools = [{"subnet": "10.92.0.0/24"}, {"subnet": "fd00:64:0:7::/64"}]
    cases: list[tuple[list[dict[str, Any]], str, str]] = [
        ([net("10.90.0.128/25")], "subnet_in_use", "'there'"),
        ([net("10.90.0.0/16", allow_route_overlap=True)], "subnet_in_use", "'there'"),
        ([net("10.70.1.0/24")], "subnet_in_use", "10.64.0.0/12 that the host has a route to by tun9"),
        ([{"name": "new", "ipam_config": pools, **six}], "subnet_in_use", "fd00:64::/48"),
        (twice, "subnet_in_use", "of the same call"),
        ([{"name": "new", "bridge_name": "taken0"}], "bridge_in_use", "'there'"),
        ([{"name": "new", "bridge_name": "docker0"}], "bridge_in_use", "'bridge'"),
        ([{"name": "new", "bridge_name": "eth1"}], "bridge_in_use", "no bridge"),
        ([{"name": "a", "bridge_name": "x0"}, {"name": "b", "bridge_name": "x0"}], "bridge_in_use", "'a'"),
        ([{"name": "new", "bridge_name": "sixteen-letters-"}], "invalid_option", "15"),
        ([{"name": "new", "bridge_name": "br%d"}], "invalid_option", "'%'"),
    ]
    before = state_of(engine)
    calls = [(MODULE, {"networks": ["first", *networks]}) for networks, _code, _words in cases]
    for results in (engine.modules(calls, check=True), engine.modules(calls)):
        for result, (networks, code, words) in zip(results, cases, strict=True):
            assert result.get("reason_code") == code, (networks, result)
            assert words in result["msg"]
    assert state_of(engine) == before
    meant = [net("10.70.1.0/24", "meant", allow_route_overlap=True), {"name": "on", "bridge_name": "br-mine"}]
    # What is on the host's own link is a network's of the kind that shares this link.
    lan = engine.lan_ip.rpartition(".")[0] + ".0/24"
    meant.append(net(lan, "lan", driver="macvlan", driver_options={"parent": "eth1"}))
    engine.converges(MODULE, networks=meant)
    # A host that cannot tell is no reason to make no network.
    path = engine.run("sh", "-c", "readlink -f $(command -v ip)").stdout.strip()
    engine.run("mv", path, f"{path}.away")
    try:
        blind = engine.module(MODULE, networks=[net("10.71.0.0/24", "blind")])
    finally:
        engine.run("mv", f"{path}.away", path)
    assert blind["changed"] and "iproute2" in blind["warnings"][0]


def test_pools_that_do_not_suffice_are_told_in_the_same_words_by_all_engines(engine: DockerHost) -> None:
    engine.run("ip", "link", "add", "wide", "type", "bridge")
    engine.run("ip", "link", "set", "wide", "up")
    # All that Docker chooses from, but for its own bridge's and two subnets of 4096 addresses.
    for base in ("172.18.0.0/15", "172.20.0.0/14", "172.24.0.0/13", "192.168.0.0/17", "192.168.128.0/18"):
        engine.run("ip", "route", "add", base, "dev", "wide")
    engine.run("ip", "route", "add", "192.168.192.0/19", "dev", "wide")
    # Not on the link: Docker takes no notice of those.
    engine.run("ip", "route", "add", "blackhole", "192.168.224.0/24")
    own = {"name": "own", "ipam_config": [{"subnet": "10.93.0.0/24"}]}
    three = refused(engine, networks=["a", "b", "c", own])
    assert (three["reason_code"], three["pools"]["free"], three["pools"]["needed"]) == ("pools_exhausted", 2, 3)
    engine.converges(MODULE, networks=["a", "b", own])
    fourth = refused(engine, networks=["d"])
    assert fourth["reason_code"] == "pools_exhausted"
    assert "of the 31 in its address pools" in fourth["msg"] and "default-address-pools" in fourth["msg"]
    # Docker agrees, and where it says so itself, it is told in the same words.
    assert engine.run("docker", "network", "create", "d", check=False).returncode != 0
    engine.docker("network", "rm", "a")
    servers = engine.run("cat", "/etc/resolv.conf", check=False).stdout
    free = json.loads(engine.docker("network", "inspect", "b"))[0]["IPAM"]["Config"][0]["Subnet"]
    server = "192.168.240.1" if free.startswith("192.168.224.") else "192.168.224.9"
    try:
        engine.run("sh", "-c", f"echo nameserver {server} > /etc/resolv.conf")
        said = refused(engine, networks=["d"])
    finally:
        engine.run("tee", "/etc/resolv.conf", stdin=servers)
    assert said["reason_code"] == "pools_exhausted"
    assert said["msg"].partition(": of the 31")[0] == fourth["msg"].partition(": of the 31")[0]


# ---- config-only networks --------------------------------------------------------------------------------------------


def test_config_only_networks_come_first_go_last_and_have_nobody_on_them(engine: DockerHost) -> None:
    engine.start("c1")
    pool = {"subnet": "10.94.0.0/24", "gateway": "10.94.0.9", "aux_addresses": {"printer": "10.94.0.7"}}
    settings = {"name": "zz-settings", "config_only": True, "mtu": 1400, "labels": {"team": "a"}, "ipam_config": [pool]}
    user = {"name": "aa-user", "config_from": "zz-settings", "internal": True}
    member = {"name": "c1", "ipv4_address": "10.94.0.20"}
    result = engine.converges(MODULE, networks=[{**user, "connected": [member]}, settings])
    assert [item["name"] for item in result["actions"]] == ["zz-settings", "aa-user", "c1 on aa-user"]
    made = engine.inspect("network", "aa-user")
    assert (made["Options"], made["IPAM"]["Config"]) == (
        {"com.docker.network.driver.mtu": "1400"},
        [{"Subnet": "10.94.0.0/24", "Gateway": "10.94.0.9", "AuxiliaryAddresses": {"printer": "10.94.0.7"}}],
    )
    assert made["Labels"] == {"team": "a", "io.bulkhead.managed": "true"}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"networks": [{"name": "zz-settings", "state": "absent"}]}, "in_use"),
        ({"networks": [{**settings, "mtu": 1300}], "recreate": "when_needed"}, "config_only"),
        ({"networks": [{**settings, "connected": ["c1"]}]}, "invalid_option"),
        ({"networks": [{"name": "zz-settings", "connected": ["c1"]}]}, "config_only"),
        ({"networks": [{**settings, "name": "new", "internal": True}]}, "invalid_option"),
        ({"networks": [{"name": "aa-user", "config_only": True}], "recreate": "when_needed"}, "config_only"),
        ({"networks": [{"name": "new", "config_from": "aa-user"}]}, "config_only"),
        ({"networks": [{"name": "new", "config_from": "nowhere"}]}, "unknown_network"),
        ({"networks": [{"name": "new", "config_from": "zz-settings", "labels": {"a": 1}}]}, "invalid_option"),
        ({"apps": [{"name": "c1", "attach_post_create": ["zz-settings"]}]}, "config_only"),
        ({"networks": [{"name": "new", "config_from": "zz-settings"}]}, "subnet_in_use"),
    ]
    before = state_of(engine)
    results = engine.modules([(MODULE, arguments) for arguments, _code in cases])
    assert [result.get("reason_code") for result in results] == [code for _arguments, code in cases]
    assert state_of(engine) == before
    engine.docker("network", "disconnect", "aa-user", "c1")
    absent = [{"name": name, "state": "absent"} for name in ("zz-settings", "aa-user")]
    gone = engine.converges(MODULE, networks=absent)
    assert [item["name"] for item in gone["actions"]] == ["aa-user", "zz-settings"]


# ---- addresses -------------------------------------------------------------------------------------------------------


def test_an_address_that_the_network_will_not_give_is_refused_with_its_container(engine: DockerHost) -> None:
    for name in ("c1", "c2"):
        engine.start(name)
    pool = {"subnet": "10.95.0.0/24", "gateway": "10.95.0.254", "aux_addresses": {"printer": "10.95.0.7"}}
    engine.module(MODULE, networks=[{"name": "live", "ipam_config": [pool]}])

    def wants(*addresses: str, name: str = "live", **more: Any) -> dict[str, Any]:
        members = [{"name": f"c{n}", "ipv4_address": ip} for n, ip in enumerate(addresses, 1)]
        return {"networks": [{"name": name, "connected": members, **more}]}

    new: dict[str, Any] = {"name": "new", "ipam_config": [{"subnet": "10.96.0.0/24"}]}
    cases = [
        (wants("10.96.0.5"), "outside the network's 10.95.0.0/24"),
        (wants("10.95.0.254"), "the gateway's"),
        (wants("10.95.0.7"), "'printer'"),
        (wants("10.95.0.255"), "broadcast"),
        (wants("10.95.0.5", "10.95.0.5"), "for 'c1' too"),
        (wants("10.96.0.1", **new), "takes for the gateway"),
        (wants("10.95.0.5", **new), "outside the network's 10.96.0.0/24"),
        (wants("10.97.0.5", name="auto"), "chooses the subnet itself"),
    ]
    before = state_of(engine)
    for (_arguments, words), result in zip(
        cases, engine.modules([(MODULE, arguments) for arguments, _words in cases]), strict=True
    ):
        assert result.get("reason_code") == "static_ip", result
        assert words in result["msg"] and "'c" in result["msg"]
    assert state_of(engine) == before


# ---- drift -----------------------------------------------------------------------------------------------------------


def test_what_was_removed_from_the_declaration_is_drift_when_it_is_strict(engine: DockerHost) -> None:
    pool = {"subnet": "10.97.0.0/24", "iprange": "10.97.0.128/25", "aux_addresses": {"printer": "10.97.0.7"}}
    full = {"name": "net", "labels": {"a": True, "b": 1}, "mtu": 1400, "ipam_config": [pool]}
    engine.converges(MODULE, networks=[{**full, "strict": True}])
    less = {"name": "net", "labels": {"a": "true"}, "driver_options": {}, "ipam_config": [{"subnet": "10.97.0.0/24"}]}
    assert engine.module(MODULE, networks=[less])["changed"] is False
    strict = engine.module(MODULE, networks=[{**less, "strict": True}])
    assert [(item["option"], item["is"], item["wanted"]) for item in strict["drift"]] == [
        ("mtu", "1400", None),
        ("labels.b", "1", None),
        ("ipam_config[0].iprange", "10.97.0.128/25", None),
        ("ipam_config[0].aux_addresses.printer", "10.97.0.7", None),
    ]
    anew = engine.converges(MODULE, networks=[{**less, "strict": True}], recreate="when_needed")
    assert anew["recreated"][0]["network"] == "net"
    live = engine.inspect("network", "net")
    assert (live["Labels"], live["Options"]) == ({"a": "true", "io.bulkhead.managed": "true"}, {})
    assert "AuxiliaryAddresses" not in live["IPAM"]["Config"][0]


def test_spelling_is_no_drift_and_neither_is_what_was_not_given(engine: DockerHost) -> None:
    pools = [{"subnet": "FD00:98:0::/64", "gateway": "fd00:98:0:0::1"}, {"subnet": "10.98.0.0/24"}]
    labels = {"flag": True, "number": 1, "text": "1"}
    spelled = {"name": "six", "enable_ipv6": "yes", "ipam_config": pools, "labels": labels}
    options = {"ipam_driver": "default", "ipam_driver_options": {"foo": 1}, "scope": "local", "enable_ipv4": True}
    engine.converges(MODULE, networks=[spelled, {"name": "odd", **options}])
    same = {**spelled, "labels": {"flag": "true", "number": "1"}, "strict": False}
    same["ipam_config"] = [{"subnet": "10.98.0.0/24"}, {"subnet": "fd00:0098::/64"}]
    assert engine.module(MODULE, networks=[same])["changed"] is False
    run = ("network", "create", "--driver", "macvlan", "--opt", "parent=eth1", "--subnet", "10.99.0.0/24", "vlan")
    engine.docker(*run)
    wide = {"name": "vlan", "labels": {}, "driver_options": {"parent": "eth1"}, "strict": True}
    assert engine.module(MODULE, networks=[wide])["changed"] is False


def test_swarms_networks_are_unchanged_without_a_driver_and_come_back_from_a_recreate(engine: DockerHost) -> None:
    engine.swarm()
    engine.docker("network", "create", "--driver", "overlay", "--attachable", "--subnet", "10.110.0.0/24", "wide")
    result = engine.converges(MODULE, networks=[{"name": "wide", "driver_options": {}, "strict": True}])
    assert result["changed"] is False
    engine.converges(MODULE, networks=[{"name": "wide", "labels": {"a": "1"}}], recreate="when_needed")
    live = engine.inspect("network", "wide")
    assert (live["Driver"], live["Scope"], live["Attachable"]) == ("overlay", "swarm", True)
    assert (live["Labels"], live["IPAM"]["Config"][0]["Subnet"]) == ({"a": "1"}, "10.110.0.0/24")
    engine.converges(MODULE, networks=[{"name": "far", "driver": "overlay", "scope": "swarm"}])


# ---- tasks of community.docker ---------------------------------------------------------------------------------------


def test_a_task_of_community_docker_works_under_this_name(engine: DockerHost) -> None:
    for name in ("c1", "c2", "c3"):
        engine.start(name)
    task = {"network_name": "net", "containers": ["c1"], "driver": "bridge", "debug": False, "force": False}
    first = engine.converges(MODULE, **task, driver_options={"com.docker.network.bridge.enable_icc": False})
    assert (first["network"]["Name"], first["network"]["name"]) == ("net", "net")
    assert first["network"]["IPAM"]["Config"][0]["Subnet"] == first["network"]["subnets"][0]
    assert {item["Name"] for item in first["network"]["Containers"].values()} == {"c1"}
    more = engine.converges(MODULE, name="net", connected=["c2"], incremental=True, exclusive=True)
    assert len(more["network"]["containers"]) == 2
    less = engine.converges(MODULE, name="net", connected=["c3"], exclusive=True)
    assert [item["name"] for item in less["network"]["containers"]] == ["c3"]
    forced = engine.module(MODULE, name="net", force=True)
    assert (forced["changed"], forced["network"]["Id"] != less["network"]["Id"]) == (True, True)
    assert [item["name"] for item in forced["network"]["containers"]] == ["c3"]
    assert engine.converges(MODULE, name="net", state="absent", force=True)["network"] == {}


def test_force_empties_a_network_before_its_removal_but_not_at_the_cost_of_a_start(engine: DockerHost) -> None:
    engine.docker("network", "create", "net")
    engine.start("live")
    engine.docker("network", "connect", "net", "live")
    engine.start("stopped")
    engine.docker("network", "connect", "net", "stopped")
    engine.docker("stop", "--time", "0", "stopped")
    engine.docker("create", "--name", "never", "--init", "bulkhead-lab/busybox:1", "sleep", "60")
    engine.docker("network", "connect", "net", "never")
    assert refused(engine, name="net", state="absent")["reason_code"] == "in_use"
    result = engine.converges(MODULE, name="net", state="absent", force=True)
    assert [item["name"] for item in result["actions"]] == ["live on net", "never on net", "stopped on net", "net"]
    for name in ("stopped", "never"):
        engine.docker("start", name)
    assert engine.inspect("container", "live")["State"]["Running"]
    engine.docker("network", "create", "first")
    engine.start("born", "--network", "first")
    if engine.generation >= 26:
        kept = refused(engine, name="first", state="absent", force=True)
        assert (kept["reason_code"], "docker_network_purge" in kept["msg"]) == ("in_use", True)
    else:
        engine.converges(MODULE, name="first", state="absent", force=True)
        engine.docker("restart", "--time", "0", "born")


@pytest.mark.parametrize("name", ["bridge", "head of an ID"])
def test_neither_dockers_own_network_nor_the_head_of_an_id_is_taken_for_a_name(engine: DockerHost, name: str) -> None:
    identity = engine.docker("network", "create", "victim")
    engine.start("c1", "--network", "victim")
    engine.start("c2")
    before = state_of(engine)
    if name == "bridge":
        assert engine.module(MODULE, name=name, state="absent", force=True)["reason_code"] == "predefined"
    else:
        head = identity[:3]
        assert engine.converges(MODULE, name=head, state="absent", force=True)["changed"] is False
        assert engine.module(MODULE, name=head)["network"]["Name"] == head
        assert engine.module(MODULE, name=head, state="absent")["changed"] is True
        assert "victim" in network_names(engine)
    assert state_of(engine) == before
