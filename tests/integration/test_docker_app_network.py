# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docker_app_network and docker_app_network_info on real Docker hosts of three generations."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from integration.faults import proxy
from integration.hosts import IMAGE

if TYPE_CHECKING:
    from integration.hosts import DockerHost

MODULE = "docker_app_network"


def endpoint(engine: DockerHost, container: str, network: str) -> dict[str, Any]:
    """The container's side of an attachment; empty if there is none."""
    networks = engine.inspect("container", container)["NetworkSettings"]["Networks"]
    return dict(networks.get(network) or {})


def networks_of(engine: DockerHost, container: str) -> list[str]:
    return sorted(engine.inspect("container", container)["NetworkSettings"]["Networks"])


def aliases(engine: DockerHost, container: str, network: str) -> set[str]:
    """The aliases that were asked for: older APIs list the short ID too."""
    short = engine.inspect("container", container)["Id"][:12]
    return set(endpoint(engine, container, network).get("Aliases") or ()) - {short}


def network_names(engine: DockerHost) -> set[str]:
    return set(engine.docker("network", "ls", "--format", "{{.Name}}").splitlines())


def addresses_of(engine: DockerHost, peer: str, name: str) -> set[str]:
    """What a name resolves to inside a container, by Docker's own DNS."""
    answer = engine.run("docker", "exec", peer, "nslookup", f"{name}.", "127.0.0.11", check=False).stdout
    answer = answer.partition("Name:")[2]
    return {word for word in answer.split() if word.count(".") == 3 and word[0].isdigit() and word != "127.0.0.11"}


def state_of(engine: DockerHost) -> Any:
    """All that a refused or foretold run must leave alone."""
    ids = engine.docker("ps", "--all", "--quiet", "--no-trunc").split()
    found = []
    for container in json.loads(engine.docker("container", "inspect", *ids)) if ids else []:
        networks = container["NetworkSettings"]["Networks"]
        found.append((container["Id"], container["State"]["Pid"], json.dumps(networks, sort_keys=True)))
    return sorted(found), sorted(engine.docker("network", "ls", "--no-trunc", "--quiet").split())


def refused(engine: DockerHost, **arguments: Any) -> dict[str, Any]:
    """The run fails, says why, and has touched nothing."""
    before = state_of(engine)
    result = engine.module(MODULE, **arguments)
    assert result["failed"], result
    assert "Traceback" not in result["msg"]
    assert state_of(engine) == before
    return result


# ---- networks --------------------------------------------------------------------------------------------------------


def test_missing_networks_are_created_attachable_and_ours(engine: DockerHost) -> None:
    tier = {"name": "back", "internal": True, "mtu": 1400, "labels": {"tier": "data", "kept": True, "number": 1}}
    pool = {"subnet": "10.71.0.0/24", "gateway": "10.71.0.254", "iprange": "10.71.0.128/25"}
    result = engine.converges(MODULE, networks=["front", tier, {"name": "own", "ipam_config": [pool], "icc": True}])
    # One that names its subnet comes before those for which Docker chooses one, and could choose that.
    assert [item["name"] for item in result["actions"]] == ["own", "back", "front"]
    back = engine.inspect("network", "back")
    assert (back["Internal"], back["Attachable"], back["Driver"]) == (True, True, "bridge")
    assert back["Options"] == {"com.docker.network.driver.mtu": "1400"}
    assert back["Labels"] == {"io.bulkhead.managed": "true", "tier": "data", "kept": "true", "number": "1"}
    assert engine.inspect("network", "own")["IPAM"]["Config"][0]["Gateway"] == "10.71.0.254"
    assert result["networks"]["own"]["subnets"] == ["10.71.0.0/24"]
    assert result["networks"]["back"]["internal"] is True


def test_one_network_can_be_declared_at_top_level(engine: DockerHost) -> None:
    engine.start("c1")
    result = engine.converges(
        MODULE, name="flat", driver_options={"com.docker.network.driver.mtu": 1400}, connected=["c1"]
    )
    assert result["network"]["name"] == "flat"
    assert [item["name"] for item in result["network"]["containers"]] == ["c1"]
    gone = engine.module(MODULE, name="flat", state="absent")
    assert gone["reason_code"] == "in_use"


def test_options_that_are_not_given_are_never_drift(engine: DockerHost) -> None:
    engine.docker(
        "network", "create", "--driver", "macvlan", "--opt", "parent=eth1", "--subnet", "10.70.0.0/24", "vlan"
    )
    engine.docker("network", "create", "--opt", "com.docker.network.driver.mtu=1300", "--label", "a=b", "other")
    assert engine.module(MODULE, networks=["vlan", "other"])["changed"] is False
    assert engine.module(MODULE, networks=[{"name": "other", "labels": {"a": "b"}, "icc": True}])["changed"] is False


def test_drift_fails_before_anything_is_changed_and_names_each_difference(engine: DockerHost) -> None:
    engine.docker("network", "create", "--subnet", "10.72.0.0/24", "--label", "tier=web", "live")
    result = refused(
        engine,
        networks=[
            "new",
            {"name": "live", "internal": True, "labels": {"tier": "db"}, "ipam_config": [{"subnet": "10.73.0.0/24"}]},
        ],
    )
    assert result["reason_code"] == "drift"
    assert result["drift"] == [
        {"network": "live", "option": "internal", "is": False, "wanted": True},
        {"network": "live", "option": "labels.tier", "is": "web", "wanted": "db"},
        {"network": "live", "option": "ipam_config[0].subnet", "is": "10.72.0.0/24", "wanted": "10.73.0.0/24"},
    ]
    assert "live.internal is false, wanted is true" in result["msg"]


def test_an_empty_network_goes_and_a_held_one_stays(engine: DockerHost) -> None:
    for name in ("empty", "running", "stopped", "created"):
        engine.docker("network", "create", name)
    engine.start("up", "--network", "running")
    engine.start("down", "--network", "stopped")
    engine.docker("stop", "--time", "0", "down")
    image = engine.inspect("container", "up")["Config"]["Image"]
    engine.docker("create", "--name", "fresh", "--network", "created", image)
    for name, holder in (("running", "up"), ("stopped", "down"), ("created", "fresh")):
        result = refused(engine, networks=["another", {"name": name, "state": "absent"}])
        assert result["reason_code"] == "in_use"
        assert holder in result["msg"]
        assert "docker_network_purge" in result["msg"]
    engine.converges(MODULE, networks=[{"name": "empty", "state": "absent"}, {"name": "never", "state": "absent"}])
    assert "empty" not in network_names(engine)


def test_a_short_hexadecimal_name_is_never_taken_for_an_id(engine: DockerHost) -> None:
    victim = engine.docker("network", "create", "victim")
    engine.start("member", "--network", "victim")
    assert engine.module(MODULE, name=victim[:3], state="absent")["changed"] is False
    assert "victim" in network_names(engine)
    engine.converges(MODULE, name=victim[:3], connected=["member"])
    assert networks_of(engine, "member") == sorted([victim[:3], "victim"])


def test_dockers_own_networks_are_refused_and_nobody_is_cut(engine: DockerHost) -> None:
    engine.start("c1")
    for name in ("bridge", "host", "none"):
        for state in ("present", "absent"):
            assert refused(engine, name=name, state=state)["reason_code"] == "predefined"


def test_two_networks_of_one_name_are_refused_with_both_ids(engine: DockerHost) -> None:
    if engine.generation >= 25:
        pytest.skip("engines from 25 on refuse to create the second one")
    create = ["curl", "-sf", "--unix-socket", "/var/run/docker.sock", "-H", "Content-Type: application/json"]
    create += ["-d", '{"Name": "twin"}', "http://d/v1.41/networks/create"]
    ids = sorted(json.loads(engine.run(*create).stdout)["Id"] for number in range(2))
    result = refused(engine, name="twin")
    assert result["reason_code"] == "ambiguous"
    assert result["network_ids"] == ids


# ---- members ---------------------------------------------------------------------------------------------------------


def test_stopped_and_created_members_are_attached_once(engine: DockerHost) -> None:
    engine.start("up")
    engine.start("down")
    engine.docker("stop", "--time", "0", "down")
    image = engine.inspect("container", "up")["Config"]["Image"]
    engine.docker("create", "--name", "fresh", image, "sleep", "60")
    result = engine.converges(MODULE, networks=[{"name": "net", "connected": ["up", "down", "fresh"]}])
    assert len(result["actions"]) == 4
    assert engine.module(MODULE, networks=[{"name": "net", "connected": ["up", "down", "fresh"]}])["changed"] is False
    engine.docker("start", "down", "fresh")
    for name in ("up", "down", "fresh"):
        assert endpoint(engine, name, "net")["IPAddress"]
    assert engine.module(MODULE, networks=[{"name": "net", "connected": ["up", "down", "fresh"]}])["changed"] is False


def test_a_member_may_be_given_by_name_short_id_or_full_id(engine: DockerHost) -> None:
    identity = engine.start("c1")
    engine.converges(MODULE, name="net", connected=["c1"])
    for reference in (identity[:12], identity):
        assert engine.module(MODULE, name="net", connected=[reference])["changed"] is False
    for reference in (identity[:12], identity):
        engine.docker("network", "disconnect", "net", "c1")
        engine.converges(MODULE, name="net", connected=[reference])


def test_a_member_gets_address_aliases_links_and_driver_options(engine: DockerHost) -> None:
    engine.start("c1")
    engine.start("c2")
    member = {"name": "c1", "aliases": ["db", "primary"], "ipv4_address": "10.74.0.9", "links": ["c2:cache"]}
    net = {"name": "net", "ipam_config": [{"subnet": "10.74.0.0/24"}]}
    engine.converges(MODULE, networks=[{**net, "connected": ["c2", member]}])
    assert endpoint(engine, "c1", "net")["IPAddress"] == "10.74.0.9"
    assert aliases(engine, "c1", "net") == {"db", "primary"}
    assert addresses_of(engine, "c2", "primary") == {"10.74.0.9"}
    assert addresses_of(engine, "c1", "cache") == {endpoint(engine, "c2", "net")["IPAddress"]}
    engine.docker("restart", "--time", "0", "c1")
    assert engine.module(MODULE, networks=[{**net, "connected": ["c2", member]}])["changed"] is False
    moved = {**member, "ipv4_address": "10.74.0.10", "aliases": ["db"]}
    engine.converges(MODULE, networks=[{**net, "connected": [moved]}])
    assert endpoint(engine, "c1", "net")["IPAddress"] == "10.74.0.10"
    assert aliases(engine, "c1", "net") == {"db", "primary"}


def test_an_exclusive_network_drops_others_only_after_its_own_have_joined(engine: DockerHost) -> None:
    for name in ("mine", "theirs"):
        engine.start(name)
    engine.docker("network", "create", "net")
    engine.docker("network", "connect", "net", "theirs")
    result = engine.converges(MODULE, name="net", connected=["mine"], exclusive=True)
    assert [(item["action"], item["name"]) for item in result["actions"]] == [
        ("connect", "mine on net"),
        ("disconnect", "theirs on net"),
    ]
    assert networks_of(engine, "theirs") == ["bridge"]


def test_exclusive_never_leaves_a_running_container_without_any_network(engine: DockerHost) -> None:
    engine.docker("network", "create", "net")
    engine.start("mine")
    engine.start("lonely", "--network", "net")
    result = refused(engine, name="net", connected=["mine"], exclusive=True)
    assert (result["reason_code"], result["container"]) == ("only_network", "lonely")


def test_a_container_without_a_network_of_its_own_is_refused(engine: DockerHost) -> None:
    engine.start("c1")
    engine.start("hosted", "--network", "host")
    engine.start("inside", "--network", "container:c1")
    for name in ("hosted", "inside"):
        assert refused(engine, name="net", connected=["c1", name])["reason_code"] == "network_mode"


# ---- apps ------------------------------------------------------------------------------------------------------------


def test_peers_find_all_processes_of_an_app_by_its_alias(engine: DockerHost) -> None:
    for name in ("shop.web.1", "shop.web.2", "shop.worker.1", "peer"):
        engine.start(name)
    result = engine.converges(
        MODULE,
        networks=["front", {"name": "back", "internal": True, "connected": ["peer"]}],
        apps=[{"name": "shop", "attach_post_create": ["front", "back"], "tld": "test"}],
    )
    webs = {endpoint(engine, name, "back")["IPAddress"] for name in ("shop.web.1", "shop.web.2")}
    assert addresses_of(engine, "peer", "shop.web.test") == webs
    assert addresses_of(engine, "peer", "shop.worker.test") == {endpoint(engine, "shop.worker.1", "back")["IPAddress"]}
    for name in ("shop.web.1", "shop.web.2", "shop.worker.1"):
        assert networks_of(engine, name) == ["back", "bridge", "front"]
        assert not aliases(engine, name, "bridge")
    app = result["apps"][0]
    assert [item["process_type"] for item in app["containers"]] == ["web", "web", "worker"]
    assert app["containers"][0]["networks"]["back"]["aliases"] == ["shop.web.test"]
    engine.docker("restart", "--time", "0", "shop.web.1", "shop.web.2", "shop.worker.1")
    assert len(addresses_of(engine, "peer", "shop.web.test")) == 2
    assert networks_of(engine, "shop.web.1") == ["back", "bridge", "front"]


def test_containers_are_found_by_the_labels_of_dokku_compose_and_our_own(engine: DockerHost) -> None:
    engine.start("dokku", "--label", "com.dokku.app-name=shop", "--label", "com.dokku.process-type=web")
    engine.start("compose", "--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service=api")
    engine.start("own", "--label", "io.bulkhead.app=shop", "--label", "io.bulkhead.process=cron")
    engine.start("run", "--label", "com.dokku.app-name=shop", "--label", "com.dokku.container-type=run")
    engine.start("other", "--label", "com.dokku.app-name=shopping")
    result = engine.converges(MODULE, networks=["net"], app="shop", attach_post_create=["net"])
    found = {item["name"]: item["process_type"] for item in result["apps"][0]["containers"]}
    assert found == {"compose": "api", "dokku": "web", "own": "cron", "run": ""}
    assert [aliases(engine, name, "net") for name in sorted(found)] == [
        {"shop.api"},
        {"shop.web"},
        {"shop.cron"},
        set(),
    ]
    assert networks_of(engine, "other") == ["bridge"]


def test_a_container_that_was_never_started_gets_no_post_deploy_network(engine: DockerHost) -> None:
    engine.start("shop.web.1")
    image = engine.inspect("container", "shop.web.1")["Config"]["Image"]
    engine.docker("create", "--name", "shop.web.2", image, "sleep", "60")
    app = {"name": "shop", "attach_post_create": ["early"], "attach_post_deploy": ["late"]}
    engine.converges(MODULE, networks=["early", "late"], apps=[app])
    assert networks_of(engine, "shop.web.1") == ["bridge", "early", "late"]
    assert networks_of(engine, "shop.web.2") == ["bridge", "early"]
    engine.docker("start", "shop.web.2")
    engine.converges(MODULE, networks=["early", "late"], apps=[app])
    assert networks_of(engine, "shop.web.2") == ["bridge", "early", "late"]
    assert aliases(engine, "shop.web.2", "early") == {"shop.web"}


def test_a_changed_tld_replaces_the_alias_and_keeps_the_address(engine: DockerHost) -> None:
    engine.docker("network", "create", "--subnet", "10.75.0.0/24", "net")
    engine.docker("network", "create", "auto")
    engine.start("shop.web.1", "--network", "net", "--ip", "10.75.0.77", "--network-alias", "own")
    engine.start("shop.web.2")
    engine.start("peer", "--network", "net")
    app = {"name": "shop", "attach_post_deploy": ["net", "auto"]}
    engine.converges(MODULE, apps=[{**app, "tld": "one"}])
    dynamic = endpoint(engine, "shop.web.2", "net")["IPAddress"]
    result = engine.converges(MODULE, apps=[{**app, "tld": "two"}])
    assert "10.75.0.77" in next(
        item["reason"] for item in result["actions"] if item["action"] == "connect" and "web.1 on net" in item["name"]
    )
    assert endpoint(engine, "shop.web.1", "net")["IPAddress"] == "10.75.0.77"
    assert aliases(engine, "shop.web.1", "net") == {"own", "shop.web.two"}
    assert endpoint(engine, "shop.web.2", "net")["IPAddress"] == dynamic
    assert aliases(engine, "shop.web.2", "auto") == {"shop.web.two"}
    assert addresses_of(engine, "peer", "shop.web.two") == {"10.75.0.77", dynamic}
    assert addresses_of(engine, "peer", "shop.web.one") == set()


def test_a_short_id_that_old_apis_list_is_no_alias_and_is_carried_nowhere(engine: DockerHost) -> None:
    identity = engine.start("shop.web.1")
    engine.converges(MODULE, networks=["net"], apps=[{"name": "shop", "attach_post_create": ["net"]}])
    result = engine.converges(MODULE, apps=[{"name": "shop", "attach_post_create": ["net"], "aliases": ["shop"]}])
    assert result["apps"][0]["containers"][0]["networks"]["net"]["aliases"] == ["shop", "shop.web"]
    assert identity[:12] not in str(result["diff"])
    assert identity[:12] not in (endpoint(engine, "shop.web.1", "net")["Aliases"] if engine.generation >= 26 else ())


def test_a_stopped_container_lacking_its_alias_has_it_when_it_starts(engine: DockerHost) -> None:
    engine.docker("network", "create", "net")
    engine.start("shop.web.1", "--network", "net")
    engine.docker("stop", "--time", "0", "shop.web.1")
    engine.converges(MODULE, apps=[{"name": "shop", "attach_post_deploy": ["net"]}])
    engine.docker("start", "shop.web.1")
    assert aliases(engine, "shop.web.1", "net") == {"shop.web"}


def test_an_exclusive_app_leaves_all_other_networks_and_survives_restarts(engine: DockerHost) -> None:
    engine.docker("network", "create", "flat")
    engine.start("web", "--network", "flat")
    engine.start("db", "--network", "flat")
    wanted = {
        "networks": ["edge", {"name": "data", "internal": True}],
        "apps": [
            {"name": "web", "match": {"names": ["web"]}, "attach_post_deploy": ["edge", "data"]},
            {"name": "db", "match": {"names": ["db*"]}, "attach_post_deploy": ["data"]},
        ],
        "app_defaults": {"exclusive": True},
    }
    result = engine.converges(MODULE, **wanted)
    verbs = [item["action"] for item in result["actions"]]
    assert verbs == ["create"] * 2 + ["connect"] * 3 + ["disconnect"] * 2
    assert networks_of(engine, "web") == ["data", "edge"]
    assert networks_of(engine, "db") == ["data"]
    engine.docker("restart", "--time", "0", "web", "db")
    assert networks_of(engine, "db") == ["data"]
    assert addresses_of(engine, "web", "db") == {endpoint(engine, "db", "data")["IPAddress"]}
    assert engine.module(MODULE, **wanted)["changed"] is False


def test_an_exclusive_app_without_networks_is_refused_while_it_runs(engine: DockerHost) -> None:
    engine.start("shop.web.1")
    result = refused(engine, app="shop", exclusive=True)
    assert (result["reason_code"], result["container"]) == ("only_network", "shop.web.1")


def test_an_initial_network_that_a_container_did_not_start_on_needs_a_deploy(engine: DockerHost) -> None:
    engine.docker("network", "create", "first")
    engine.start("shop.web.1")
    engine.start("shop.web.2", "--network", "first")
    result = engine.converges(MODULE, apps=[{"name": "shop", "initial_network": "first"}])
    assert result["needs_deploy"] == [
        {"app": "shop", "container": "shop.web.1", "property": "initial_network", "is": "bridge", "wanted": "first"}
    ]
    assert networks_of(engine, "shop.web.1") == ["bridge"]
    assert aliases(engine, "shop.web.2", "first") == {"shop.web"}


def test_listeners_are_every_address_with_every_exposed_tcp_port(engine: DockerHost) -> None:
    engine.start("shop.web.1", "--expose", "5000/tcp", "--expose", "53/udp")
    result = engine.converges(MODULE, networks=["net"], apps=[{"name": "shop", "attach_post_deploy": ["net"]}])
    found = result["apps"][0]["containers"][0]
    expected = [f"{endpoint(engine, 'shop.web.1', net)['IPAddress']}:5000" for net in ("bridge", "net")]
    assert found["listeners"] == expected


def test_info_tells_existence_holders_and_properties_and_changes_nothing(engine: DockerHost) -> None:
    engine.start("shop.web.1", "--expose", "5000/tcp")
    engine.start("db")
    engine.docker("stop", "--time", "0", "db")
    engine.docker("network", "create", "foreign")
    app = {"name": "shop", "attach_post_create": ["net"]}
    engine.converges(MODULE, networks=["empty", {"name": "net", "connected": ["db"]}], apps=[app])
    before = state_of(engine)
    answer = engine.module(
        "docker_app_network_info",
        names=["net", "never"],
        patterns=["emp*"],
        apps=[app],
        app_defaults={"tld": "test"},
    )
    assert (answer["failed"], answer["changed"]) == (False, False)
    assert answer["exists"] == {"net": True, "never": False}
    told = {item["name"]: item for item in answer["networks"]}
    assert list(told) == ["empty", "net"]
    assert (told["empty"]["removable"], told["empty"]["holders"]) == (True, [])
    assert told["net"]["removable"] is False
    assert [(item["kind"], item["name"]) for item in told["net"]["holders"]] == [
        ("running", "shop.web.1"),
        ("stopped", "db"),
    ]
    assert told["net"]["managed"] is True
    report = answer["report"]["shop"]
    assert report["tld"] == {"raw": "", "global": "test", "computed": "test"}
    assert report["attach_post_create"] == {"raw": ["net"], "global": [], "computed": ["net"]}
    assert f"{endpoint(engine, 'shop.web.1', 'net')['IPAddress']}:5000" in report["listeners"]["web"]
    assert report["running"] is True
    ours = engine.module("docker_app_network_info", managed_only=True)["networks"]
    assert [item["name"] for item in ours] == ["empty", "net"]
    everything = engine.module("docker_app_network_info")["networks"]
    assert {item["name"] for item in everything} == {"bridge", "empty", "foreign", "host", "net", "none"}
    assert state_of(engine) == before


def test_an_app_that_matches_nothing_is_reported_and_no_error(engine: DockerHost) -> None:
    result = engine.converges(MODULE, networks=["net"], apps=[{"name": "later", "attach_post_deploy": ["net"]}])
    assert result["apps"] == [{"name": "later", "containers": []}]


# ---- refusals and failures -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"apps": [{"name": "shop", "attach_post_deploy": ["missing"]}]}, ["apps[0].attach_post_deploy", "missing"]),
        ({"apps": [{"name": "shop", "initial_network": "missing"}]}, ["apps[0].initial_network", "missing"]),
        ({"networks": [{"name": "n", "connected": ["ghost"]}]}, ["networks[0].connected[0]", "ghost"]),
        (
            {"networks": ["n", {"name": "m", "ipam_config": [{"subnet": "10.0.0.0"}]}]},
            ["networks[1].ipam_config[0].subnet", "10.0.0.0"],
        ),
        (
            {
                "networks": ["a", "b"],
                "apps": [{"name": "shop", "attach_post_create": ["a", "b"], "attach_post_deploy": ["b"]}],
            },
            ["apps[0].attach_post_deploy", "attach_post_create", "'b'"],
        ),
        ({"apps": [{"name": "shop", "attach_post_create": ["host"]}]}, ["apps[0].attach_post_create[0]", "host"]),
    ],
)
def test_bad_input_is_refused_by_place_and_value(engine: DockerHost, arguments: Any, words: list[str]) -> None:
    engine.start("shop.web.1")
    message = refused(engine, **arguments)["msg"]
    assert all(word in message for word in words), message


def test_a_host_without_the_daemon_s_socket_gets_one_clear_sentence(engine: DockerHost) -> None:
    result = refused(engine, name="net", docker_host="unix:///run/nobody.sock")
    assert result["reason_code"] == "no_daemon"
    assert "/run/nobody.sock" in result["msg"]


def test_what_a_failed_run_did_is_taken_back(engine: DockerHost) -> None:
    engine.docker("network", "create", "--subnet", "10.81.0.0/24", "old")
    engine.start("shop.web.1", "--network", "old", "--ip", "10.81.0.40", "--network-alias", "mine")
    engine.start("c1")
    before = {name: endpoint(engine, name, net) for name, net in (("shop.web.1", "old"), ("c1", "bridge"))}
    result = engine.module(
        MODULE,
        networks=["aa", {"name": "bb", "driver_options": {"com.docker.network.bridge.enable_icc": "perhaps"}}],
        apps=[{"name": "shop", "attach_post_deploy": ["aa"]}],
    )
    assert result["failed"] and result["reason_code"] == "docker_refused"
    assert result["restored"] == ["remove network aa: this run created it"]
    assert "old" in network_names(engine)
    assert not {"aa", "bb"} & network_names(engine)
    # An address that somebody takes on the way shows only when the container is connected, in the midst of other work.
    engine.docker("network", "create", "--subnet", "10.82.0.0/24", "busy")
    engine.docker("create", "--name", "holder", "--network", "busy", "--ip", "10.82.0.9", IMAGE, "sleep", "3600")
    wanted: dict[str, Any] = {
        "networks": [
            "aa",
            {"name": "old"},
            {"name": "zz"},
            {"name": "busy", "connected": [{"name": "c1", "ipv4_address": "10.82.0.9"}]},
        ],
        "apps": [{"name": "shop", "attach_post_deploy": ["aa", "old"], "aliases": ["x"]}],
    }
    with proxy(engine) as between:
        between.plan({"do": "run", "match": "^POST /networks/create", "argv": ["docker", "start", "holder"]})
        result = engine.module(MODULE, **wanted, docker_host=between.docker_host)
    assert (result["failed"], result["reason_code"]) == (True, "docker_refused"), result
    assert len(result["restored"]) >= 3
    assert not any("FAILED" in line for line in result["restored"]), result["restored"]
    assert network_names(engine) == {"bridge", "host", "none", "old", "busy"}
    assert networks_of(engine, "shop.web.1") == ["old"]
    assert networks_of(engine, "c1") == ["bridge"]
    assert endpoint(engine, "shop.web.1", "old")["IPAddress"] == before["shop.web.1"]["IPAddress"]
    assert aliases(engine, "shop.web.1", "old") == {"mine"}
    engine.docker("restart", "--time", "0", "c1")
    known = refused(engine, **wanted)
    assert known["reason_code"] == "static_ip"
    assert "'holder' has it now" in known["msg"]
    engine.docker("rm", "--force", "holder")
    engine.converges(MODULE, networks=[{"name": "busy", "connected": [{"name": "c1", "ipv4_address": "10.82.0.9"}]}])
    assert endpoint(engine, "c1", "busy")["IPAddress"] == "10.82.0.9"


def test_thirty_members_are_attached_and_found_again_quickly(engine: DockerHost) -> None:
    names = [f"shop.web.{number}" for number in range(1, 31)]
    image = engine.start("shop.web.0") and engine.inspect("container", "shop.web.0")["Config"]["Image"]
    script = f"for n in {' '.join(names)}; do docker run --detach --init --name $n {image} sleep 3600 >/dev/null; done"
    engine.run("sh", "-c", script)
    wanted = {"networks": ["a", "b"], "apps": [{"name": "shop", "attach_post_deploy": ["a", "b"]}]}
    result = engine.converges(MODULE, **wanted)
    assert len(result["actions"]) == 2 + 2 * 31
    started = time.monotonic()
    assert engine.module(MODULE, **wanted)["changed"] is False
    assert time.monotonic() - started < 20, "a call that changes nothing must not crawl"


def test_the_second_run_sends_no_write_request(engine: DockerHost) -> None:
    engine.start("shop.web.1")
    wanted = {"networks": ["net"], "apps": [{"name": "shop", "attach_post_deploy": ["net"]}]}
    engine.converges(MODULE, **wanted)
    since = engine.run("date", "+%s.%N").stdout.strip()
    assert engine.module(MODULE, **wanted)["changed"] is False
    until = engine.run("date", "+%s.%N").stdout.strip()
    assert engine.docker("events", "--since", since, "--until", until, "--filter", "type=network") == ""
