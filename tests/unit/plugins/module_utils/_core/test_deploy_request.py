# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bulkhead.docker.plugins.module_utils._core.deploy_request import (
    Deployment,
    Process,
    read_deployment,
)
from ansible_collections.bulkhead.docker.plugins.module_utils._core.errors import CoreError

SECRET = "correct-horse-battery"


def read(defaults: t.Any = None, /, **given: t.Any) -> Deployment:
    return read_deployment({"name": "shop", "image": "shop:1", **given}, defaults)


def web(defaults: t.Any = None, /, *, app: t.Mapping[str, t.Any] | None = None, **given: t.Any) -> Process:
    return read(defaults, processes={"web": given}, **(app or {})).processes[0]


def test_a_process_has_what_it_says_else_the_apps_else_the_defaults() -> None:
    defaults = {"memory": "512m", "restart_policy": "unless-stopped", "tld": "internal"}
    app = {"env": {"A": "app", "B": 1}, "processes": {"web": None, "job": {"image": "job:1", "memory": "1g"}}}
    found = read(defaults, **app)
    job, plain = found.processes
    assert (plain.name, plain.image, plain.memory, plain.restart_policy) == ("web", "shop:1", "512m", "unless-stopped")
    assert (job.name, job.image, job.memory) == ("job", "job:1", "1g")
    assert found.app.value("tld") == "internal"
    assert web(app={"env": {"A": "app", "B": 1}}, env={"A": "own", "C": True}).environment == {
        "A": "own",
        "B": "1",
        "C": "true",
    }


def test_no_text_of_a_process_holds_its_environment() -> None:
    assert SECRET not in repr(web(env={"KEY": SECRET}, command=["serve", SECRET]))


@pytest.mark.parametrize(
    ("text", "everywhere", "published"),
    [
        ("80", False, "127.0.0.1::80/tcp"),
        ("80", True, "80/tcp"),
        ("8080:80/udp", False, "127.0.0.1:8080:80/udp"),
        ("8080:80", True, "8080:80/tcp"),
        ("10.0.0.1::80", False, "10.0.0.1::80/tcp"),
        ("10.0.0.1:8080:80", True, "10.0.0.1:8080:80/tcp"),
        ("[2001:db8::0001]:8080:80", False, "[2001:db8::1]:8080:80/tcp"),
        ("0.0.0.0:8080:80", True, "0.0.0.0:8080:80/tcp"),
    ],
)
def test_a_port_without_address_is_for_all_interfaces_only_when_asked_for(
    text: str, everywhere: bool, published: str
) -> None:
    process = web(app={"bind_all_interfaces": everywhere}, ports=[text])
    assert [port.text for port in process.ports] == [published]
    assert process.holds_host_port is ("8080" in text)


def test_bind_all_interfaces_may_come_from_the_defaults() -> None:
    assert [port.text for port in web({"bind_all_interfaces": True}, ports=["80"]).ports] == ["80/tcp"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"ports": ["0.0.0.0:8080:80"]}, ["ports[0]", "all interfaces", "bind_all_interfaces"]),
        ({"ports": ["[::]::80"]}, ["ports[0]", "all interfaces"]),
        ({"ports": ["8000-8010:80"]}, ["ports[0]", "8000-8010:80"]),
        ({"ports": ["0"]}, ["ports[0]", "1 to 65535"]),
        ({"ports": ["65536"]}, ["ports[0]", "1 to 65535"]),
        ({"ports": ["shop:8080:80"]}, ["ports[0]", "no IP address"]),
        ({"ports": ["1:2:3:4"]}, ["ports[0]"]),
        ({"scale": 2, "ports": ["8080:80"]}, ["scale", "is 2", "one container alone"]),
        ({"scale": -1}, ["scale"]),
        ({"memory": 512}, ["memory", "'512'", "512m"]),
        ({"memory": "much"}, ["memory", "'much'"]),
        ({"restart_policy": "sometimes"}, ["restart_policy", "'sometimes'"]),
        ({"labels": {"io.bulkhead.app": "other"}}, ["labels.io.bulkhead.app"]),
        ({"privileged": True}, ["'privileged'", "Known are"]),
        ({"name": "web"}, ["'name'"]),
    ],
)
def test_a_process_that_cannot_be_is_refused_with_its_place(given: dict[str, t.Any], words: list[str]) -> None:
    with pytest.raises(CoreError) as caught:
        web(**given)
    assert caught.value.sentence.startswith("the app.processes.web")
    assert all(word in caught.value.sentence for word in words), caught.value.sentence


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": "my shop"}, ["name", "'my shop'"]),
        ({"name": "../shop"}, ["name"]),
        ({"processes": {}}, ["processes", "missing or empty", "state: absent"]),
        ({"processes": {"we.b": {}}}, ["processes.we.b"]),
        ({"processes": {"web": {}}, "image": None}, ["processes.web.image", "missing"]),
        ({"processes": {"web": {}}, "exclusive": True}, ["'exclusive'"]),
        ({"processes": {"web": {}}, "attach_post_create": ["n"], "attach_post_deploy": ["n"]}, ["'n'"]),
        ({"processes": {"web": {}}, "initial_network": "host"}, ["initial_network", "'host'"]),
    ],
)
def test_an_app_that_cannot_be_is_refused_with_its_place(given: dict[str, t.Any], words: list[str]) -> None:
    with pytest.raises(CoreError) as caught:
        read(**given)
    assert all(word in caught.value.sentence for word in words), caught.value.sentence


@pytest.mark.parametrize(
    "env",
    [SECRET, [SECRET], {"KEY": [SECRET]}, {"KEY": {"a": SECRET}}, {"": SECRET}, {"A ": SECRET}, {"K": f"{SECRET}\0"}],
)
def test_an_environment_that_is_refused_is_not_quoted(env: t.Any) -> None:
    for given in ({"env": env, "processes": {"web": {}}}, {"processes": {"web": {"env": env}}}):
        with pytest.raises(CoreError) as caught:
            read(**given)
        assert "env" in caught.value.sentence
        assert SECRET not in caught.value.sentence


def test_a_default_that_no_app_can_have_is_refused() -> None:
    with pytest.raises(CoreError, match="the defaults has the unknown key 'exclusive'"):
        web({"exclusive": True})


def test_an_app_that_is_to_go_needs_no_image_and_no_processes() -> None:
    assert read_deployment({"name": "shop", "state": "absent"}).processes == ()


def test_a_restart_policy_that_yaml_read_as_false_is_no() -> None:
    assert web(restart_policy=False).restart_policy == "no"
