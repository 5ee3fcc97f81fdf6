# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Networks go, with what holds them; who is to live on goes on serving, and starts again afterwards."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from integration.hosts import IMAGE, DockerHost

PURGE = "docker_network_purge"
HTTPD = ("httpd", "-f", "-p", "80", "-h", "/www")
SHOP = ("--label", "com.docker.compose.project=shop")


@pytest.fixture(autouse=True)
def networks(engine: DockerHost) -> None:
    """The network that has to go, and one that stays."""
    engine.docker("network", "create", "--subnet", "10.77.1.0/24", "goes")
    engine.docker("network", "create", "--subnet", "10.77.2.0/24", "stays")


def names(engine: DockerHost) -> list[str]:
    return sorted(engine.docker("network", "ls", "--format", "{{.Name}}").split())


def networks_of(engine: DockerHost, container: str) -> dict[str, Any]:
    return dict(engine.inspect("container", container)["NetworkSettings"]["Networks"])


def serves(engine: DockerHost, client: str, address: str) -> bool:
    """Whether a container gets a page from another one, by real packets."""
    # busybox's own option for a time limit makes its static build crash.
    done = engine.run(
        "docker", "exec", client, "timeout", "2", "wget", "-q", "-O", "-", f"http://{address}/", check=False
    )
    return done.returncode == 0 and "bulkhead" in done.stdout


def state(engine: DockerHost) -> str:
    """All networks, and all containers with their endpoints, as Docker tells them."""
    ids = engine.docker("network", "ls", "-q", "--no-trunc").split()
    containers = engine.docker("ps", "-aq", "--no-trunc").split()
    found = [engine.inspect("network", item)["Containers"] for item in sorted(ids)]
    found += [engine.inspect("container", item)["NetworkSettings"]["Networks"] for item in sorted(containers)]
    return json.dumps([sorted(ids), found], sort_keys=True)


def refused(engine: DockerHost, **arguments: Any) -> dict[str, Any]:
    """A refusal that is the same in check mode and in the run, and that changes nothing."""
    before = state(engine)
    foretold = engine.module(PURGE, check=True, **arguments)
    result = engine.module(PURGE, **arguments)
    assert result["failed"] and foretold["failed"] and not result["changed"]
    keys = ("msg", "reason_code", "networks")
    assert [foretold[key] for key in keys] == [result[key] for key in keys]
    assert state(engine) == before
    return result


def holders(result: dict[str, Any], network: str = "goes") -> dict[str, dict[str, Any]]:
    [found] = [item for item in result["networks"] if item["name"] == network]
    return {item["name"]: item for item in found["holders"]}


def outcome(result: dict[str, Any]) -> dict[str, str]:
    return {item["name"]: item["outcome"] for item in result["networks"]}


# ---- which networks --------------------------------------------------------------------------------------------------


def test_a_network_that_is_not_there_is_absent(engine: DockerHost) -> None:
    result = engine.converges(PURGE, names=["nowhere"])
    assert not result["changed"] and outcome(result) == {"nowhere": "absent"}


def test_an_unused_network_is_removed(engine: DockerHost) -> None:
    result = engine.converges(PURGE, names=["goes"])
    assert result["changed"] and outcome(result) == {"goes": "removed"}
    assert "goes" not in names(engine) and "stays" in names(engine)


def test_the_head_of_an_id_is_no_name(engine: DockerHost) -> None:
    head = engine.inspect("network", "goes")["Id"][:6]
    assert outcome(engine.converges(PURGE, names=[head])) == {head: "absent"}
    assert "goes" in names(engine)


@pytest.mark.parametrize("name", ["bridge", "host", "none", "default"])
def test_dockers_own_networks_are_refused_and_their_members_stay(engine: DockerHost, name: str) -> None:
    engine.start("web", *(["--network", name] if name != "default" else []))
    result = refused(engine, names=["goes", name], containers="disconnect", foreign="disconnect", keep_connected=False)
    assert result["reason_code"] == "predefined"
    assert engine.inspect("container", "web")["State"]["Running"]


def test_patterns_and_filters_choose_but_not_what_is_protected(engine: DockerHost) -> None:
    for name in ("ci-1", "ci-2", "ci-release"):
        engine.docker("network", "create", "--label", "tier=ci", name)
    engine.docker("create", "--name", "old", "--network", "ci-2", IMAGE)
    common: dict[str, Any] = {"filters": {"labels": {"tier": "ci"}, "unused": True}}
    result = engine.converges(PURGE, patterns=["*"], protect={"networks": ["*-release"]}, **common)
    assert {key: value for key, value in outcome(result).items() if key.startswith("ci")} == {
        "ci-1": "removed",
        "ci-2": "kept",
        "ci-release": "kept",
    }
    common["filters"]["ignore_stopped"] = True
    engine.converges(PURGE, patterns=["ci-?"], **common)
    assert [name for name in names(engine) if name.startswith("ci")] == ["ci-release"]
    engine.docker("start", "old")


def test_of_twins_by_name_only_the_one_given_by_id_goes(engine: DockerHost) -> None:
    if engine.generation >= 25:
        pytest.skip("engines from 25 on refuse a second network of one name")
    body = json.dumps({"Name": "goes", "CheckDuplicate": False})
    create = ["curl", "-sf", "--unix-socket", "/var/run/docker.sock", "-H", "Content-Type: application/json"]
    twin = json.loads(engine.run(*create, "-d", body, "http://docker/networks/create").stdout)["Id"]
    result = refused(engine, names=["goes"])
    assert result["reason_code"] == "ambiguous" and twin in result["msg"]
    engine.converges(PURGE, names=[twin])
    assert names(engine).count("goes") == 1


# ---- members ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("paused", [False, True])
def test_a_member_serves_on_in_its_other_network_while_it_is_cut(engine: DockerHost, paused: bool) -> None:
    engine.start("web", "--network", "stays", "--ip", "10.77.2.50", "--network-alias", "www", command=HTTPD)
    engine.docker("network", "connect", "--ip", "10.77.1.50", "goes", "web")
    engine.start("client", "--network", "stays")
    if paused:
        engine.docker("pause", "web")
        engine.converges(PURGE, names=["goes"], containers="disconnect")
        assert engine.inspect("container", "web")["State"]["Status"] == "paused"
        engine.docker("unpause", "web")
    else:
        lost: list[str] = []
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():
                lost.extend([] if serves(engine, "client", "10.77.2.50") else ["a page"])

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            result = engine.converges(PURGE, names=["goes"], containers="disconnect")
        finally:
            stop.set()
            asking.join()
        assert lost == []
        assert holders(result)["web"]["action"] == "disconnect" and holders(result)["web"]["ip"] == "10.77.1.50"
    engine.docker("restart", "-t", "0", "web")
    assert serves(engine, "client", "www")
    assert list(networks_of(engine, "web")) == ["stays"]
    assert networks_of(engine, "web")["stays"]["IPAddress"] == "10.77.2.50"


def test_a_member_is_refused_by_default_with_the_command_that_frees_the_network(engine: DockerHost) -> None:
    engine.start("web", "--network", "stays", "-p", "8080:80")
    engine.docker("network", "connect", "goes", "web")
    result = refused(engine, names=["goes"])
    web = holders(result)["web"]
    assert result["reason_code"] == "in_use" and web["action"] == "refuse"
    assert "0.0.0.0:8080->80/tcp" in web["published"]
    engine.run(*web["cure"].split())
    engine.converges(PURGE, names=["goes"])


def test_the_only_network_of_a_running_container_stays_unless_it_gets_another(engine: DockerHost) -> None:
    engine.start("lone", "--network", "stays")
    engine.docker("network", "connect", "goes", "lone")
    engine.docker("network", "disconnect", "stays", "lone")
    result = refused(engine, names=["goes"], containers="disconnect")
    assert result["reason_code"] == "only_network" and "lone" in result["msg"]
    engine.converges(PURGE, names=["goes"], containers="disconnect", fallback_network="stays")
    assert list(networks_of(engine, "lone")) == ["stays"]
    engine.docker("restart", "-t", "0", "lone")


def test_a_container_created_on_the_network_starts_again_because_a_placeholder_stays(engine: DockerHost) -> None:
    for number, network in enumerate(("goes", engine.inspect("network", "goes")["Id"])):
        engine.start(f"web{number}", "--network", network)
    asked: dict[str, Any] = {"names": ["goes"], "containers": "disconnect", "fallback_network": "stays"}
    if engine.generation >= 24:
        assert refused(engine, **asked)["reason_code"] == "primary"
        result = engine.converges(PURGE, **asked, primary="placeholder")
        assert outcome(result) == {"goes": "kept"} and "goes" in names(engine)
        assert engine.inspect("network", "goes")["Containers"] == {}
    else:
        assert outcome(engine.converges(PURGE, **asked)) == {"goes": "removed"}
    for name in ("web0", "web1"):
        engine.docker("restart", "-t", "0", name)
        assert list(networks_of(engine, name)) == ["stays"]
    engine.docker("rm", "-f", "web0", "web1")
    engine.module(PURGE, **asked, primary="placeholder")
    assert "goes" not in names(engine)


@pytest.mark.parametrize("typed", ["name", "id", "head"])
@pytest.mark.parametrize("started", [True, False])
def test_members_at_rest_are_healed_so_that_they_start(engine: DockerHost, typed: str, started: bool) -> None:
    identity = engine.inspect("network", "goes")["Id"]
    network = {"name": "goes", "id": identity, "head": identity[:8]}[typed]
    engine.docker("create", "--name", "old", "--network", network, IMAGE, "sleep", "3600")
    if started:
        engine.docker("start", "old")
        engine.docker("stop", "-t", "0", "old")
    result = engine.converges(PURGE, names=["goes"])
    assert (holders(result)["old"]["kind"], holders(result)["old"]["action"]) == (
        "stopped" if started else "created",
        "heal",
    )
    engine.docker("start", "old")
    assert networks_of(engine, "old") == {}


def test_a_stopped_container_created_on_the_network_with_another_besides_still_starts(engine: DockerHost) -> None:
    engine.start("old", "--network", "goes")
    engine.docker("network", "connect", "stays", "old")
    engine.docker("stop", "-t", "0", "old")
    if engine.generation >= 24:
        assert refused(engine, names=["goes"])["reason_code"] == "primary"
    engine.converges(PURGE, names=["goes"], primary="placeholder")
    engine.docker("start", "old")
    assert list(networks_of(engine, "old")) == ["stays"]


def test_a_container_in_anothers_namespace_is_named_with_it(engine: DockerHost) -> None:
    engine.start("web", "--network", "stays")
    engine.docker("network", "connect", "goes", "web")
    engine.start("sidecar", "--network", "container:web")
    result = engine.module(PURGE, check=True, names=["goes"], containers="disconnect")
    assert holders(result)["web"]["joined_by"] == ["sidecar"]


# ---- projects --------------------------------------------------------------------------------------------------------


def test_the_running_services_of_a_project_hold_its_network_and_the_hint_is_to_take_it_down(engine: DockerHost) -> None:
    engine.docker("network", "create", *SHOP, "shop_front")
    engine.start("shop-web-1", *SHOP, "--network", "shop_front")
    result = refused(engine, names=["shop_front"])
    assert result["reason_code"] == "in_use"
    assert holders(result, "shop_front")["shop-web-1"]["cure"] == "docker compose --project-name shop down"


def test_a_foreign_member_of_a_projects_network_is_cut_only_when_asked(engine: DockerHost) -> None:
    engine.docker("network", "create", *SHOP, "shop_front")
    engine.start("proxy", "--label", "com.docker.compose.project=edge", "--network", "stays")
    engine.docker("network", "connect", "shop_front", "proxy")
    result = refused(engine, names=["shop_front"], containers="disconnect")
    assert result["reason_code"] == "foreign" and "proxy (running, of edge)" in result["msg"]
    assert holders(result, "shop_front")["proxy"]["project"] == "edge"
    engine.converges(PURGE, names=["shop_front"], foreign="disconnect")
    assert list(networks_of(engine, "proxy")) == ["stays"]


def test_a_foreign_stopped_member_is_told_and_healed(engine: DockerHost) -> None:
    engine.docker("network", "create", *SHOP, "shop_front")
    engine.docker("create", "--name", "backup", "--network", "shop_front", IMAGE, "sleep", "3600")
    found = holders(engine.converges(PURGE, names=["shop_front"]), "shop_front")["backup"]
    assert found["foreign"] and found["action"] == "heal"
    engine.docker("start", "backup")


# ---- failures --------------------------------------------------------------------------------------------------------


def test_members_are_back_as_they_were_when_somebody_keeps_joining(engine: DockerHost) -> None:
    late = [f"late{number}" for number in range(4)]
    for name in late:
        engine.start(name, "--network", "stays")
    for name, ip in (("web", "10.77.1.50"), ("zoo", "")):
        engine.start(name, "--network", "stays", command=HTTPD)
        engine.docker("network", "connect", *(["--ip", ip] if ip else []), "--alias", f"{name}-alias", "goes", name)
    before = {name: networks_of(engine, name)["goes"] for name in ("web", "zoo")}
    joining = (
        "while :; do " + "".join(f"docker network connect goes {name}; " for name in late) + "done >/dev/null 2>&1"
    )
    loop = threading.Thread(target=engine.run, args=("timeout", "20", "sh", "-c", joining), kwargs={"check": False})
    loop.start()
    joined = "until docker network inspect goes | grep -q late3; do sleep 0.1; done"
    engine.run("timeout", "30", "sh", "-c", joined)
    try:
        result = engine.module(PURGE, names=["goes"], containers="disconnect")
    finally:
        engine.run("pkill", "-x", "timeout", check=False)
        loop.join()
    assert result["failed"] and result["reason_code"] == "in_use" and "late" in result["msg"]
    assert result["failed_action"]["action"] == "remove"
    assert not [line for line in result["restored"] if line.startswith("FAILED")]
    for name, was in before.items():
        now = networks_of(engine, name)["goes"]
        # An address that Docker had chosen may be an intruder's by now; one that was asked for stays its owner's.
        keys = ("Aliases", "NetworkID", *(["IPAddress", "IPAMConfig"] if name == "web" else []))
        assert {key: now[key] for key in keys} == {key: was[key] for key in keys}
        assert serves(engine, "late0", now["IPAddress"])


def test_a_container_that_only_claims_the_network_since_a_failed_connect_starts_again(engine: DockerHost) -> None:
    engine.docker("network", "create", "--subnet", "172.30.0.0/24", "old")
    engine.docker("network", "create", "app")
    engine.start("first", "--network", "app")
    engine.docker("network", "connect", "--ip", "172.30.0.9", "old", "first")
    engine.start("second", "--network", "app")
    taken = engine.run("docker", "network", "connect", "--ip", "172.30.0.9", "old", "second", check=False)
    assert taken.returncode != 0
    assert engine.inspect("container", "second")["NetworkSettings"]["Networks"]["old"]["NetworkID"] == ""
    engine.converges("docker_network_purge", names=["old"], containers="disconnect")
    assert list(engine.inspect("container", "second")["NetworkSettings"]["Networks"]) == ["app"]
    engine.docker("restart", "-t", "0", "first", "second")


@pytest.mark.parametrize("on_failure", ["restore", "leave"])
def test_a_fallback_that_cannot_take_all_leaves_all_as_they_were(engine: DockerHost, on_failure: str) -> None:
    engine.docker("network", "create", "--subnet", "10.77.3.0/30", "narrow")  # one address besides the gateway's
    for name in ("one", "two"):
        engine.start(name, "--network", "stays")
        engine.docker("network", "connect", "goes", name)
        engine.docker("network", "disconnect", "stays", name)
    asked: dict[str, Any] = {"names": ["goes"], "containers": "disconnect", "fallback_network": "narrow"}
    result = engine.module(PURGE, **asked, on_failure=on_failure)
    assert result["failed"] and "Docker refused" in result["msg"]
    assert [item["name"] for item in result["actions_done"]] == ["one on narrow"]
    # By the network's side: Docker leaves the container whose connect failed with a claim that it never clears live.
    members = {
        net: {item["Name"] for item in engine.inspect("network", net)["Containers"].values()}
        for net in ("goes", "narrow")
    }
    assert members == {"goes": {"one", "two"}, "narrow": set() if on_failure == "restore" else {"one"}}
    assert ("restored" in result) == (on_failure == "restore")


def test_bad_input_is_refused_and_changes_nothing(engine: DockerHost) -> None:
    before = state(engine)
    for arguments in ({}, {"filters": {}}, {"names": [""]}, {"names": ["goes"], "fallback_network": "nowhere"}):
        result = engine.module(PURGE, **arguments)
        assert result["failed"] and result["msg"] and "Traceback" not in result["msg"]
    assert state(engine) == before
