# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bulkhead.docker.plugins.module_utils._core.app_network_info import answer, read_question
from ansible_collections.bulkhead.docker.plugins.module_utils._core.app_report import listeners
from ansible_collections.bulkhead.docker.plugins.module_utils._core.apps import read_app, read_app_defaults
from ansible_collections.bulkhead.docker.plugins.module_utils._core.model import Container, Endpoint, Network, Snapshot

COMPOSE = {"com.docker.compose.project": "shop", "com.docker.compose.service": "api"}


def container(name: str, labels: dict[str, str] | None = None, **values: t.Any) -> Container:
    return Container(id=(name.encode().hex() * 64)[:64], name=name, labels=labels or {}, **values)


@pytest.mark.parametrize(
    ("item", "alias"),
    [
        (container("shop"), "shop"),
        (container("shop.web.1"), "shop.web"),
        (container("shop.web.12"), "shop.web"),
        (container("x", {"com.dokku.app-name": "shop", "com.dokku.process-type": "worker"}), "shop.worker"),
        (container("x", COMPOSE), "shop.api"),
        (container("x", {"io.bulkhead.app": "shop"}), "shop"),
        (container("x", {"io.bulkhead.app": "shop", "io.bulkhead.process": "cron"}), "shop.cron"),
        (container("shop.web.x"), None),
        (container("shop-web"), None),
        (container("shopping"), None),
        (container("my.shop.web.1"), None),
        (container("shop\n"), None),
        (container("x", {"com.dokku.app-name": "shopping"}), None),
        (container("shop", state="removing"), None),
    ],
)
def test_an_app_knows_its_containers_and_what_they_are_called(item: Container, alias: str | None) -> None:
    app = read_app({"name": "shop"}, {})
    assert app.owns(item) == (alias is not None)
    if alias is not None:
        assert app.main_alias(item) == alias
        assert read_app({"name": "shop", "tld": "test"}, {}).main_alias(item) == f"{alias}.test"


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({"names": ["shop-*"]}, False),
        ({"names": ["other", "x?"]}, True),
        ({"labels": {"com.docker.compose.project": "shop"}}, True),
        ({"labels": {"com.docker.compose.project": "shop", "tier": "web"}}, False),
        ({"compose_services": ["web", "api"]}, True),
        ({"compose_project": "shop", "compose_services": ["web"]}, False),
        ({"compose_project": "shop", "names": ["x1"]}, True),
    ],
)
def test_all_that_a_match_gives_must_hold(match: dict[str, t.Any], fits: bool) -> None:
    assert read_app({"name": "any", "match": match}, {}).owns(container("x1", COMPOSE)) is fits


def test_an_empty_value_of_an_app_hides_the_default_of_all() -> None:
    defaults = read_app_defaults({"tld": "test", "attach_post_create": ["a"], "exclusive": True})
    app = read_app({"name": "shop", "tld": "", "attach_post_create": []}, defaults)
    assert (app.value("tld"), app.value("attach_post_create"), app.exclusive) == ("", (), True)


def test_the_report_tells_what_the_app_sets_what_all_have_and_what_holds() -> None:
    params = {
        "names": ["n"],
        "patterns": [],
        "managed_only": False,
        "apps": [{"name": "shop", "tld": "own"}],
        "app_defaults": {"tld": "all", "attach_post_deploy": ["net"]},
    }
    told = answer(read_question(params), Snapshot(containers=(container("shop", state="exited"),)))
    assert told["exists"] == {"n": False}
    report = told["report"]["shop"]
    assert report["tld"] == {"raw": "own", "global": "all", "computed": "own"}
    assert report["attach_post_deploy"] == {"raw": [], "global": ["net"], "computed": ["net"]}
    assert report["exclusive"] == {"raw": None, "global": None, "computed": False}
    assert (report["listeners"], report["running"]) == ({}, False)


def test_listeners_are_tcp_ports_on_each_address_in_order_of_their_numbers() -> None:
    item = container(
        "c",
        endpoints=(Endpoint("a", ip="10.0.0.2", ip6="fd00::2"), Endpoint("b"), Endpoint("c", ip="10.1.0.2")),
        exposed=("53/udp", "5000/tcp", "80/tcp"),
    )
    assert listeners(item) == [
        "10.0.0.2:80",
        "10.0.0.2:5000",
        "10.1.0.2:80",
        "10.1.0.2:5000",
        "[fd00::2]:80",
        "[fd00::2]:5000",
    ]


def test_each_reason_that_keeps_a_network_is_told() -> None:
    networks = (
        Network(id="a" * 64, name="bridge"),
        Network(id="b" * 64, name="form", config_only=True),
        Network(id="c" * 64, name="held"),
        Network(id="d" * 64, name="ingress", driver="overlay"),
        Network(id="e" * 64, name="user", config_from="form"),
    )
    db = container("db", network_mode="held", endpoints=(Endpoint("held", "c" * 64),))
    params = {"names": [], "patterns": [], "managed_only": False, "apps": [], "app_defaults": {}}
    told = answer(read_question(params), Snapshot(networks=networks, containers=(db,)))["networks"]
    assert {item["name"]: item["why_not"] for item in told} == {
        "bridge": ["it is one of Docker's own, which can't be removed"],
        "form": ["the network user takes its configuration from it"],
        "held": ["running db: it is running on this network; it has no other network; it was created on this network"],
        "ingress": ["Swarm made it for itself, and breaks without it"],
        "user": [],
    }
    assert [item["name"] for item in told if item["removable"]] == ["user"]


def test_a_switch_that_nobody_sets_is_null_in_the_report_and_off_in_effect() -> None:
    params = {"names": [], "patterns": [], "managed_only": False, "apps": ["shop"]}
    report = answer(read_question({**params, "app_defaults": {}}), Snapshot())["report"]["shop"]
    assert report["bind_all_interfaces"] == {"raw": None, "global": None, "computed": False}
    report = answer(read_question({**params, "app_defaults": {"bind_all_interfaces": True}}), Snapshot())["report"]
    assert report["shop"]["bind_all_interfaces"] == {"raw": None, "global": True, "computed": True}
