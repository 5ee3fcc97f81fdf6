# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A network with drift is recreated on request, and everybody who was on it comes back as he was."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from integration.hosts import IMAGE
from integration.test_docker_app_network import aliases, endpoint, refused, state_of

if TYPE_CHECKING:
    from integration.hosts import DockerHost

MODULE = "docker_app_network"
MTU = "com.docker.network.driver.mtu"
STATE = "/var/lib/bulkhead.docker"


def recreated(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The members of the one network that was recreated, by name."""
    (network,) = result["recreated"]
    return {member["name"]: member for member in network["members"]}


def network(engine: DockerHost, name: str) -> dict[str, Any]:
    return engine.inspect("network", name)


def records(engine: DockerHost) -> list[str]:
    return [name for name in engine.run("ls", STATE, check=False).stdout.split() if name.startswith("recreate-")]


def test_a_recreate_keeps_what_was_not_given_and_brings_everybody_back(engine: DockerHost) -> None:
    engine.docker(
        *(
            "network",
            "create",
            "--ipv6",
            "--subnet",
            "10.92.0.0/24",
            "--subnet",
            "fd00:92::/64",
            "--opt",
            f"{MTU}=1400",
        ),
        *("--label", "team=a", "--label", "keep=yes", "--gateway", "10.92.0.254", "net"),
    )
    engine.docker("network", "create", "side")
    # In an order in which the dynamic ones would get the fixed one's address if they came back first.
    engine.start("first", "--network", "net", "--publish", "18080:80", "--publish", "81")
    engine.start("dyn", "--network", "net", "--link", "first:one")
    engine.start("fixed", "--network", "net", "--ip", "10.92.0.4", "--ip6", "fd00:92::4", "--network-alias", "db")
    engine.start("both", "--network", "side")
    priority = ("--gw-priority", "7") if engine.generation >= 28 else ()
    options = ("--driver-opt", "com.example.colour=red", "--alias", "second", *priority)
    engine.docker("network", "connect", "--ip", "10.92.0.9", *options, "net", "both")
    engine.start("stopped", "--network", "net", "--ip", "10.92.0.5", "--network-alias", "rest")
    engine.docker("stop", "--time", "0", "stopped")
    engine.docker("create", "--name", "fresh", "--network", "net", "--ip", "10.92.0.6", IMAGE, "sleep", "3600")
    engine.start("paused", "--network", "net")
    engine.docker("pause", "paused")
    before = {name: endpoint(engine, name, "net") for name in ("first", "dyn", "fixed", "both", "paused")}
    old = network(engine, "net")

    result = engine.converges(MODULE, networks=[{"name": "net", "labels": {"team": "b"}}], recreate="when_needed")

    now = network(engine, "net")
    assert now["Id"] != old["Id"]
    assert now["Labels"] == {**old["Labels"], "team": "b"}
    assert [now[key] for key in ("Options", "Internal", "Attachable", "EnableIPv6")] == [
        old[key] for key in ("Options", "Internal", "Attachable", "EnableIPv6")
    ]
    assert {item["Subnet"] for item in now["IPAM"]["Config"]} == {"10.92.0.0/24", "fd00:92::/64"}
    assert "10.92.0.254" in json.dumps(now["IPAM"])
    for name, was in before.items():
        is_ = endpoint(engine, name, "net")
        for key in ("IPAddress", "GlobalIPv6Address", "Links", "Aliases"):
            assert is_[key] == was[key], f"{name}: {key}"
    both = endpoint(engine, "both", "net")
    assert both["DriverOpts"]["com.example.colour"] == "red"
    assert both.get("GwPriority", 0) == (7 if priority else 0)
    assert engine.inspect("container", "paused")["State"]["Status"] == "paused"

    members = recreated(result)
    assert members["fixed"]["before"]["ip"] == members["fixed"]["after"]["ip"] == "10.92.0.4"
    (told,) = result["recreated"]
    assert (told["id_before"], told["id"]) == (old["Id"], now["Id"])
    # A host port that Docker chose is another one afterwards; the fixed one is not told.
    changed = {(item["container"], item["port"]) for item in told["ports_changed"]}
    assert changed == {("first", "81/tcp")}
    (port,) = {tuple(item["after"]) for item in told["ports_changed"]}
    assert str(port[0]) in engine.docker("port", "first", "81")

    # Everybody starts again: those at rest, and those whose create-time network has another ID now.
    engine.docker("unpause", "paused")
    engine.docker("restart", "--time", "0", "first", "paused")
    engine.docker("start", "stopped", "fresh")
    assert endpoint(engine, "stopped", "net")["IPAddress"] == "10.92.0.5"
    assert aliases(engine, "stopped", "net") == {"rest"}
    assert endpoint(engine, "fresh", "net")["IPAddress"] == "10.92.0.6"
    assert records(engine) == []


def test_without_recreate_drift_is_refused_and_the_cure_is_named(engine: DockerHost) -> None:
    engine.docker("network", "create", "--label", "a=1", "net")
    engine.start("c1", "--network", "net")
    result = refused(engine, networks=[{"name": "net", "labels": {"a": "2"}}])
    assert result["reason_code"] == "drift"
    assert "recreate: when_needed" in result["msg"]


def test_what_is_no_longer_given_goes_with_strict_only(engine: DockerHost) -> None:
    engine.docker("network", "create", "--label", "a=1", "--label", "b=2", "--opt", f"{MTU}=1400", "net")
    engine.start("c1", "--network", "net")
    wanted: dict[str, Any] = {"name": "net", "labels": {"a": "1"}, "driver_options": {}}
    assert not engine.module(MODULE, networks=[wanted])["changed"]
    drifted = refused(engine, networks=[{**wanted, "strict": True}])
    assert {item["option"] for item in drifted["drift"]} == {"labels.b", "mtu"}
    engine.converges(MODULE, networks=[{**wanted, "strict": True}], recreate="when_needed")
    assert "b" not in network(engine, "net")["Labels"]
    assert network(engine, "net")["Options"] == {}
    assert "c1" in {item["Name"] for item in network(engine, "net")["Containers"].values()}


def test_a_container_created_by_the_networks_id_comes_back_or_is_refused(engine: DockerHost) -> None:
    engine.docker("network", "create", "--subnet", "10.93.0.0/24", "net")
    identity = network(engine, "net")["Id"]
    engine.start("whole", "--network", identity)
    engine.docker("create", "--name", "head", "--network", identity[:8], "--ip", "10.93.0.7", IMAGE, "sleep", "3600")
    wanted: dict[str, Any] = {"networks": [{"name": "net", "mtu": 1400}], "recreate": "when_needed"}
    # One that was never started keeps the head of the ID on all engines; from 24.0.7 on nothing replaces the whole one.
    result = refused(engine, **wanted)
    assert result["reason_code"] == "primary"
    assert result["containers"] == (["head"] if engine.generation == 20 else ["head", "whole"])
    engine.docker("rm", "head")
    if engine.generation == 20:
        engine.converges(MODULE, **wanted)
        engine.docker("restart", "--time", "0", "whole")
        assert endpoint(engine, "whole", "net")["IPAddress"] == "10.93.0.2"


def test_a_chosen_mac_address_is_kept_or_its_loss_is_told_before(engine: DockerHost) -> None:
    engine.docker("network", "create", "net")
    chosen = "02:42:ac:77:88:99"
    engine.start("mine", "--network", "net", "--mac-address", chosen)
    engine.start("generated", "--network", "net")
    was = endpoint(engine, "generated", "net")["MacAddress"]
    wanted: dict[str, Any] = {"networks": [{"name": "net", "mtu": 1400}], "recreate": "when_needed"}
    foretold = engine.module(MODULE, check=True, **wanted)
    warned = [text for text in foretold.get("warnings", ()) if chosen in text]
    members = recreated(engine.converges(MODULE, **wanted))
    now = members["mine"]["after"]["mac"]
    assert now == endpoint(engine, "mine", "net")["MacAddress"]
    if engine.generation == 20:
        assert (now, warned) == (chosen, [])
    elif engine.generation == 26:
        assert now != chosen
        assert len(warned) == 1
        assert "mine has the chosen MAC address" in warned[0]
        assert any(chosen in action["reason"] for action in foretold["actions"])
    else:
        # Generated ones are random on this engine, and nothing tells a chosen one from them.
        assert now != chosen
    # A generated one is never asked for: on engine 28 it is a new one, below it follows from the address.
    assert (members["generated"]["after"]["mac"] == was) == (engine.generation < 28)


def test_a_subnet_without_place_for_a_fixed_address_is_refused_until_there_is_another(engine: DockerHost) -> None:
    engine.docker("network", "create", "--subnet", "10.94.0.0/24", "net")
    engine.start("fixed", "--network", "net", "--ip", "10.94.0.9")
    engine.start("dyn", "--network", "net")
    wanted: dict[str, Any] = {"name": "net", "ipam_config": [{"subnet": "10.95.0.0/24"}]}
    for check in (True, False):
        before = state_of(engine)
        result = engine.module(MODULE, check=check, networks=[wanted], recreate="when_needed")
        assert (result["failed"], result["reason_code"]) == (True, "static_ip")
        assert "fixed (10.94.0.9)" in result["msg"]
        assert state_of(engine) == before
    small = {"name": "net", "ipam_config": [{"subnet": "10.94.0.8/30"}]}
    assert refused(engine, networks=[small], recreate="when_needed")["reason_code"] in ("static_ip", "pools_exhausted")
    moved = {**wanted, "connected": [{"name": "fixed", "ipv4_address": "10.95.0.9"}]}
    members = recreated(engine.converges(MODULE, networks=[moved], recreate="when_needed"))
    assert endpoint(engine, "fixed", "net")["IPAddress"] == "10.95.0.9"
    assert members["dyn"]["after"]["ip"].startswith("10.95.0.")
    assert endpoint(engine, "dyn", "net")["IPAMConfig"] in (None, {})


def test_what_docker_refuses_half_way_is_taken_back_whole(engine: DockerHost) -> None:
    engine.docker("network", "create", "--subnet", "10.96.0.0/24", "--label", "a=1", "net")
    engine.start("fixed", "--network", "net", "--ip", "10.96.0.9", "--network-alias", "db")
    engine.start("dyn", "--network", "net")
    engine.start("stopped", "--network", "net", "--ip", "10.96.0.10", "--network-alias", "rest")
    engine.docker("stop", "--time", "0", "stopped")
    was = network(engine, "net")
    addresses = {name: endpoint(engine, name, "net")["IPAddress"] for name in ("fixed", "dyn")}
    # That this is no yes or no, only Docker finds out, once the old network is gone.
    options = {"com.docker.network.bridge.enable_ip_masquerade": "perhaps"}
    result = engine.module(MODULE, networks=[{"name": "net", "driver_options": options}], recreate="when_needed")
    assert result["failed"]
    assert result["failed_action"]["action"] == "create"
    assert not [line for line in result["restored"] if line.startswith("FAILED")], result["restored"]
    now = network(engine, "net")
    for key in ("Driver", "Labels", "Options", "Internal"):
        assert now[key] == was[key]
    assert now["IPAM"]["Config"][0]["Subnet"] == "10.96.0.0/24"
    assert {name: endpoint(engine, name, "net")["IPAddress"] for name in addresses} == addresses
    assert aliases(engine, "fixed", "net") == {"db"}
    engine.docker("start", "stopped")
    assert endpoint(engine, "stopped", "net")["IPAddress"] == "10.96.0.10"
    assert aliases(engine, "stopped", "net") == {"rest"}
    engine.docker("restart", "--time", "0", "dyn")
    assert records(engine) == []


def test_force_recreates_what_is_as_declared(engine: DockerHost) -> None:
    engine.docker("network", "create", "--subnet", "10.97.0.0/24", "net")
    engine.start("c1", "--network", "net", "--ip", "10.97.0.9")
    was = network(engine, "net")["Id"]
    result = engine.module(MODULE, name="net", force=True, containers=["c1"])
    assert (result["failed"], result["changed"]) == (False, True), result
    assert network(engine, "net")["Id"] != was
    assert endpoint(engine, "c1", "net")["IPAddress"] == "10.97.0.9"


def test_a_user_who_can_not_keep_a_record_may_do_all_but_recreate(engine: DockerHost) -> None:
    engine.docker("network", "create", "net")
    engine.start("c1", "--network", "net")
    engine.run("touch", "/tmp/no-folder")
    wanted: dict[str, Any] = {"networks": [{"name": "net", "mtu": 1400}], "state_dir": "/tmp/no-folder/state"}
    assert refused(engine, **wanted, recreate="when_needed")["reason_code"] == "state_dir"
    engine.converges(MODULE, networks=["net", {"name": "more", "connected": ["c1"]}], state_dir="/tmp/no-folder/state")
