# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Apps through their life: phases, what is taken back, joiners, hostile names, and what the info module tells."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import lab
import pytest

from integration.test_docker_app_network import (
    MODULE,
    addresses_of,
    aliases,
    endpoint,
    network_names,
    networks_of,
    refused,
    state_of,
)

if TYPE_CHECKING:
    from integration.hosts import DockerHost

INFO = "docker_app_network_info"
ATTACHED_BY = "io.bulkhead.attached-by"
IMAGE = lab.WORKLOAD_TAG
POST = ("curl", "-sf", "--unix-socket", "/var/run/docker.sock", "-H", "Content-Type: application/json")


def create(engine: DockerHost, name: str, *options: str) -> str:
    """Make a container that is never started; return its full ID."""
    return engine.docker("create", "--init", "--name", name, *options, IMAGE, "sleep", "3600")


def noted(engine: DockerHost, container: str, network: str) -> str | None:
    """Which app and property an attachment says it was made for."""
    return (endpoint(engine, container, network).get("DriverOpts") or {}).get(ATTACHED_BY)


def done(result: dict[str, Any]) -> list[str]:
    return [f"{item['action']} {item['name']}" for item in result["actions"]]


# ---- what is taken back ----------------------------------------------------------------------------------------------


def test_an_emptied_list_takes_back_what_it_brought_to_containers_in_any_state(engine: DockerHost) -> None:
    for name in ("theirs", "first"):
        engine.docker("network", "create", name)
    engine.start("shop.web.1", "--network", "first")
    engine.start("shop.web.2")
    engine.docker("stop", "--time", "0", "shop.web.2")
    create(engine, "shop.web.3", "--network", "first")
    engine.docker("network", "connect", "--alias", "mine", "theirs", "shop.web.1")
    app = {"name": "shop", "initial_network": "first", "attach_post_create": ["ours", "theirs"], "aliases": ["x"]}
    engine.converges(MODULE, networks=["ours"], apps=[app])
    members = ("shop.web.1", "shop.web.2", "shop.web.3")
    assert [noted(engine, name, "ours") for name in members] == ["shop:attach_post_create"] * 3
    assert (noted(engine, "shop.web.1", "theirs"), noted(engine, "shop.web.1", "first")) == (None, None)
    assert aliases(engine, "shop.web.1", "theirs") == {"mine", "shop.web", "x"}
    assert aliases(engine, "shop.web.1", "first") >= {"shop.web", "x"}
    # The note is no driver option that anybody has asked for.
    engine.docker("restart", "--time", "0", "shop.web.1")
    assert engine.module(MODULE, networks=[{"name": "ours", "connected": ["shop.web.1"]}], apps=[app])["actions"] == []
    # An alias that is dropped goes where we gave it, and one that others gave stays.
    engine.converges(MODULE, apps=[{**app, "aliases": ["y"]}])
    assert [aliases(engine, name, "ours") for name in members] == [{"shop.web", "y"}] * 3
    assert aliases(engine, "shop.web.1", "theirs") == {"mine", "shop.web", "x", "y"}
    # A property that nobody gives says nothing.
    assert engine.module(MODULE, apps=["shop"])["actions"] == []
    result = engine.converges(MODULE, apps=["shop"], app_defaults={"attach_post_create": []})
    # What web.2 and web.3 had on theirs is ours, since this module has put them there.
    assert done(result) == [
        *(f"disconnect {name} on ours" for name in members),
        *(f"disconnect {name} on theirs" for name in members[1:]),
    ]
    assert networks_of(engine, "shop.web.1") == ["first", "theirs"]
    engine.docker("start", "shop.web.2", "shop.web.3")
    assert (networks_of(engine, "shop.web.2"), networks_of(engine, "shop.web.3")) == (["bridge"], ["first"])


def test_a_deploy_goes_through_its_phases_and_leaves_those_that_serve_alone_until_its_end(engine: DockerHost) -> None:
    for name in ("first", "early", "late", "old"):
        engine.docker("network", "create", name)
    engine.start("shop.web.1", "--network", "first")
    engine.module(MODULE, apps=[{"name": "shop", "attach_post_deploy": ["old"], "tld": "v1"}])
    create(engine, "shop.web.2", "--network", "first")
    engine.start("task", "--label", "com.dokku.app-name=shop", "--label", "com.dokku.container-type=run")
    app = {
        "app": "shop",
        "initial_network": "first",
        "attach_post_create": ["early"],
        "attach_post_deploy": ["late"],
        "tld": "v2",
    }
    assert done(engine.converges(MODULE, **app, phase="create")) == [
        "connect shop.web.1 on early",
        "connect shop.web.2 on early",
        "disconnect shop.web.2 on first",
        "connect shop.web.2 on first",
    ]
    assert networks_of(engine, "shop.web.1") == ["early", "first", "old"]
    assert aliases(engine, "shop.web.1", "old") == {"shop.web.v1"}
    assert networks_of(engine, "task") == ["bridge"]
    assert done(engine.module(MODULE, **app, phase="run")) == ["connect task on early"]
    assert aliases(engine, "task", "early") == set()
    engine.docker("start", "shop.web.2")
    assert aliases(engine, "shop.web.2", "first") >= {"shop.web.v2"}
    result = engine.converges(MODULE, **app, phase="deploy")
    assert "connect shop.web.2 on late" in done(result)
    assert not any("task" in line for line in done(result))
    assert networks_of(engine, "shop.web.1") == networks_of(engine, "shop.web.2") == ["early", "first", "late"]
    assert len(addresses_of(engine, "shop.web.1", "shop.web.v2")) == 2
    assert addresses_of(engine, "shop.web.1", "shop.web.v1") == set()
    assert engine.module(MODULE, **app)["actions"] == []


# ---- the life of an app ----------------------------------------------------------------------------------------------


def test_paused_renamed_scaled_recreated_and_rebooted_containers_keep_their_names(engine: DockerHost) -> None:
    engine.docker("network", "create", "--subnet", "10.76.0.0/24", "net")
    label = ("--label", "io.bulkhead.app=shop", "--label", "io.bulkhead.process=web")
    first = engine.start("one", *label)
    engine.start("two", *label)
    engine.start("peer", "--network", "net")
    engine.docker("pause", "one")
    app = {"app": "shop", "attach_post_deploy": ["net"]}
    engine.module(MODULE, **app, tld="a")
    assert aliases(engine, "one", "net") == {"shop.web.a"}
    engine.converges(MODULE, **app, tld="b")
    assert engine.inspect("container", "one")["State"]["Status"] == "paused"
    assert aliases(engine, "one", "net") == {"shop.web.b"}
    engine.docker("unpause", "one")
    before = {name: endpoint(engine, name, "net")["IPAddress"] for name in ("one", "two")}
    assert addresses_of(engine, "peer", "shop.web.b") == set(before.values())
    engine.docker("rename", "one", "uno")
    result = engine.module(MODULE, **app, tld="b", networks=[{"name": "net", "connected": ["uno", first[:12]]}])
    assert (result["failed"], result["actions"]) == (False, [])
    assert {item["name"] for item in result["apps"][0]["containers"]} == {"uno", "two"}
    # Scaled down and up; a container that is made anew is another one.
    engine.docker("rm", "--force", "two")
    engine.start("two", *label)
    engine.start("three", *label)
    result = engine.converges(MODULE, **app, tld="b")
    assert done(result) == ["connect three on net", "connect two on net"]
    webs = {endpoint(engine, name, "net")["IPAddress"] for name in ("uno", "two", "three")}
    assert addresses_of(engine, "peer", "shop.web.b") == webs
    assert first[:12] not in aliases(engine, "two", "net") | aliases(engine, "three", "net")
    lab.restart_engine(engine.name)
    engine.docker("start", "uno", "two", "three", "peer")
    assert engine.module(MODULE, **app, tld="b")["actions"] == []
    assert noted(engine, "uno", "net") == "shop:attach_post_deploy"
    webs = {endpoint(engine, name, "net")["IPAddress"] for name in ("uno", "two", "three")}
    assert (addresses_of(engine, "peer", "shop.web.b"), len(webs)) == (webs, 3)


def test_a_proxy_joins_what_is_there_and_leaves_what_goes_before_it_goes(engine: DockerHost) -> None:
    engine.start("proxy")
    engine.start("shop.web.1")
    engine.docker("stop", "--time", "0", engine.start("spare"))
    wanted = {"apps": [{"name": "shop", "attach_post_deploy": ["a"]}]}
    joiners = ["proxy", {"name": "spare", "aliases": ["gate"]}]
    engine.module(MODULE, networks=[{"name": "a", "exclusive": True}, "b", "gone"], joiners=joiners, **wanted)
    assert networks_of(engine, "proxy") == ["a", "b", "bridge", "gone"]
    assert aliases(engine, "spare", "a") == {"gate"}
    result = engine.converges(
        MODULE, networks=["a", "b", {"name": "gone", "state": "absent"}, "new"], joiners=joiners, **wanted
    )
    assert done(result) == [
        "create new",
        "connect proxy on new",
        "connect spare on new",
        "disconnect proxy on gone",
        "disconnect spare on gone",
        "remove gone",
    ]
    assert networks_of(engine, "proxy") == ["a", "b", "bridge", "new"]
    engine.docker("start", "spare")
    # A network that somebody else is on stays, and the proxy stays on it.
    engine.docker("network", "connect", "b", "shop.web.1")
    result = refused(engine, networks=[{"name": "b", "state": "absent"}], joiners=joiners)
    assert result["reason_code"] == "in_use"
    result = refused(engine, networks=["a"], joiners=["proxy", "ghost"])
    assert (result["reason_code"], "joiners[1]" in result["msg"]) == ("unknown_container", True)


def test_ports_bound_otherwise_than_the_app_says_need_a_deploy(engine: DockerHost) -> None:
    engine.start("shop.web.1", "--publish", "8080:80")
    engine.start("shop.api.1", "--publish", "127.0.0.1:8081:80")
    engine.start("shop.cron.1")
    create(engine, "shop.web.2", "--publish", "8082:80")

    def told(**app: Any) -> list[tuple[str, bool, bool]]:
        result = engine.module(MODULE, apps=[{"name": "shop", **app}])
        assert (result["failed"], result["changed"]) == (False, False)
        assert {item["property"] for item in result["needs_deploy"]} <= {"bind_all_interfaces"}
        return [(item["container"], item["is"], item["wanted"]) for item in result["needs_deploy"]]

    assert told() == []
    assert told(bind_all_interfaces=False) == [("shop.web.1", True, False)]
    assert told(bind_all_interfaces=True) == [("shop.api.1", False, True), ("shop.cron.1", False, True)]


# ---- refusals --------------------------------------------------------------------------------------------------------


def test_networks_that_are_dockers_own_missing_or_asked_for_twice_are_refused_in_every_property(
    engine: DockerHost,
) -> None:
    engine.start("shop.web.1")
    engine.docker("network", "create", "n")
    cases: list[tuple[str, dict[str, Any]]] = [
        ("predefined", {"app": {"initial_network": "host"}}),
        ("predefined", {"app_defaults": {"attach_post_create": ["m", "bridge"]}}),
        ("unknown_network", {"app_defaults": {"initial_network": "missing"}}),
        ("invalid_option", {"app": {"attach_post_create": ["n"]}, "app_defaults": {"attach_post_deploy": ["m", "n"]}}),
        ("invalid_option", {"app": {"initial_network": "n", "attach_post_deploy": ["n"]}}),
    ]
    before = state_of(engine)
    results = engine.modules(
        [
            (
                MODULE,
                {
                    "apps": [{"name": "shop", **case.get("app", {})}],
                    "app_defaults": case.get("app_defaults", {}),
                    "networks": ["m"],
                },
            )
            for _reason, case in cases
        ]
    )
    assert [result["reason_code"] for result in results] == [reason for reason, _case in cases]
    assert state_of(engine) == before


def test_the_tasks_of_a_swarm_service_are_refused_with_the_command_that_is_right(engine: DockerHost) -> None:
    engine.swarm()
    engine.docker("network", "create", "--driver", "overlay", "--attachable", "mesh")
    engine.docker(
        *("service", "create", "--quiet", "--name", "shop", "--container-label", "io.bulkhead.app=shop"),
        *("--network", "mesh", IMAGE, "sleep", "3600"),
    )
    try:
        before = state_of(engine)
        joining, leaving = engine.modules(
            [
                (MODULE, {"networks": ["a b"], "app": "shop", "attach_post_create": ["a b"]}),
                (MODULE, {"networks": ["edge"], "app": "shop", "exclusive": True}),
            ]
        )
        assert (joining["reason_code"], leaving["reason_code"]) == ("service", "service")
        assert "docker service update --network-add 'a b' shop" in joining["msg"]
        assert "docker service update --network-rm" in leaving["msg"]
        assert state_of(engine) == before
        # A container that is no task joins the overlay network like any other.
        engine.start("shop.web.1")
        label: dict[str, Any] = {"match": {"names": ["shop.web.*"]}}
        engine.module(MODULE, app="shop", **label, attach_post_deploy=["mesh"])
        assert noted(engine, "shop.web.1", "mesh") == "shop:attach_post_deploy"
        engine.converges(MODULE, app="shop", **label, attach_post_deploy=[])
        assert networks_of(engine, "shop.web.1") == ["bridge"]
    finally:
        engine.docker("service", "rm", "shop")


# ---- hostile input ---------------------------------------------------------------------------------------------------

HOSTILE = ("$(touch /tmp/x)", "a'b\"c", "two\nlines", "späte→Grüße", "x" * 3000)


def test_hostile_labels_and_names_are_data_and_hit_nobody_else(engine: DockerHost) -> None:
    for number, text in enumerate(HOSTILE):
        # The command line refuses some of these, the API takes them all.
        labels = {"io.bulkhead.app": "shop", "io.bulkhead.process": text, text: "x"}
        body = json.dumps({"Image": IMAGE, "Cmd": ["sleep", "3600"], "Labels": labels, "HostConfig": {"Init": True}})
        engine.run(*POST, "-d", "@-", f"http://d/containers/create?name=c{number}", stdin=body)
    engine.start("c1.web.1", "--label", "io.bulkhead.app=$(id)")
    victim = engine.docker("network", "create", "victim")
    other = engine.docker("network", "create", "*")
    engine.docker("network", "connect", "victim", "c1.web.1")
    # Networks that are named like the beginning of another's ID, or like a pattern or a command.
    names = [victim[:2], victim[:12], "[v]ictim", "$(id)", "a'b\"c", "späte→Grüße", "-x"]
    result = engine.converges(
        MODULE,
        networks=[{"name": name, "labels": {text: text for text in HOSTILE}} for name in names],
        apps=[{"name": "shop", "attach_post_create": names}],
    )
    assert {len(item["networks"]) for item in result["apps"][0]["containers"]} == {len(names) + 1}
    for container in json.loads(engine.docker("inspect", *(f"c{number}" for number in range(len(HOSTILE))))):
        told = container["NetworkSettings"]["Networks"]
        assert set(told) == {"bridge", *names}
        assert set(told[names[0]]["Aliases"]) - {container["Id"][:12]} == {"shop"}
    assert engine.inspect("network", names[0])["Labels"] == {
        "io.bulkhead.managed": "true",
        **{text: text for text in HOSTILE},
    }
    assert networks_of(engine, "c1.web.1") == ["bridge", "victim"]
    # Docker would start them on victim.
    result = refused(engine, networks=[victim], apps=[{"name": "shop", "attach_post_create": [victim]}])
    assert (result["reason_code"], "'victim'" in result["msg"]) == ("ambiguous", True)
    engine.docker("start", "c0", "c3")
    assert set(networks_of(engine, "c0")) == {"bridge", *names}
    answer = engine.module(INFO, names=[*names, "v?", other[:3]], apps=["shop"])
    assert [item["name"] for item in answer["networks"]] == sorted(names)
    assert answer["exists"] == {**dict.fromkeys(names, True), "v?": False, other[:3]: False}
    assert all(len(item["holders"]) == len(HOSTILE) for item in answer["networks"])
    assert engine.run("test", "-e", "/tmp/x", check=False).returncode == 1
    absent = [{"name": name, "state": "absent"} for name in names]
    engine.converges(MODULE, networks=absent, app="shop", attach_post_create=[])
    assert network_names(engine) == {"bridge", "host", "none", "victim", "*"}
    assert networks_of(engine, "c1.web.1") == ["bridge", "victim"]


# ---- info ------------------------------------------------------------------------------------------------------------


def test_info_tells_what_is_set_where_who_holds_what_and_when_it_was_made(engine: DockerHost) -> None:
    engine.docker("network", "create", "first")
    engine.docker("network", "create", "--config-only", "config")
    engine.docker("network", "create", "--config-from", "config", "user")
    engine.start("shop.web.1", "--expose", "5000/tcp")
    engine.start("shop.api.1", "--expose", "9000/tcp", "--expose", "80/tcp", "--network", "first")
    defaults = {"attach_post_create": ["net"], "tld": "test", "bind_all_interfaces": True, "initial_network": "first"}
    own = {"name": "shop", "bind_all_interfaces": False, "tld": ""}
    engine.converges(MODULE, networks=["net"], apps=[own, "other"], app_defaults=defaults)
    one, again = engine.modules([(INFO, {"apps": ["other", own], "app_defaults": defaults})] * 2)
    assert one == again
    report = one["report"]["shop"]
    assert report["bind_all_interfaces"] == {"raw": False, "global": True, "computed": False}
    assert report["tld"] == {"raw": "", "global": "test", "computed": ""}
    assert report["attach_post_create"] == {"raw": [], "global": ["net"], "computed": ["net"]}
    assert report["initial_network"] == {"raw": "", "global": "first", "computed": "first"}
    assert one["report"]["other"]["bind_all_interfaces"] == {"raw": None, "global": True, "computed": True}
    assert one["report"]["other"]["running"] is False
    assert list(report["listeners"]) == ["api", "web"]
    addresses = [endpoint(engine, "shop.api.1", name)["IPAddress"] for name in ("first", "net")]
    assert report["listeners"]["api"] == [f"{address}:{port}" for address in addresses for port in (80, 9000)]
    told = {item["name"]: item for item in one["networks"]}
    assert list(told) == sorted(told)
    created = {item["Name"]: item["Created"] for item in json.loads(engine.docker("network", "inspect", *told))}
    assert {name: item["created"] for name, item in told.items()} == created
    assert all(item["removable"] == (not item["why_not"]) for item in told.values())
    assert [name for name, item in told.items() if item["removable"]] == ["user"]
    assert [holder["name"] for holder in told["net"]["holders"]] == ["shop.api.1", "shop.web.1"]
    assert "the network user takes its configuration" in told["config"]["why_not"][0]
    assert "Docker's own" in told["bridge"]["why_not"][0]
    engine.docker("stop", "--time", "0", "shop.web.1")
    stopped = engine.module(INFO, apps=[own], app_defaults=defaults, managed_only=True, names=["net"])
    assert list(stopped["report"]["shop"]["listeners"]) == ["api"]
    assert [item["name"] for item in stopped["networks"]] == ["net"]


def test_twins_are_told_each_by_its_id(engine: DockerHost) -> None:
    if engine.generation >= 25:
        pytest.skip("engines from 25 on refuse to create the second one")
    request = [*POST, "-d", '{"Name": "twin"}', "http://d/networks/create"]
    ids = sorted(json.loads(engine.run(*request).stdout)["Id"] for _number in range(2))
    answer = engine.module(INFO, names=["twin"])
    assert answer["exists"] == {"twin": True}
    assert [(item["name"], item["id"]) for item in answer["networks"]] == [("twin", identity) for identity in ids]
