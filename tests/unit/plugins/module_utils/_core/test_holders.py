# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bulkhead.docker.plugins.module_utils._core.holders import KINDS, holders, refers_to
from ansible_collections.bulkhead.docker.plugins.module_utils._core.model import (
    Attached,
    Container,
    Endpoint,
    Network,
    PublishedPort,
    Snapshot,
)

NET = Network(id="a" * 64, name="front", detailed=True)
OTHER = Network(id="b" * 64, name="back", detailed=True)
COMPOSE = {"com.docker.compose.project": "shop"}


def container(name: str = "web", *networks: Network, number: str = "1", **fields) -> Container:
    endpoints = tuple(Endpoint(network=item.name, network_id=item.id, ip="172.18.0.2") for item in networks)
    fields.setdefault("endpoints", endpoints)
    return Container(id=number * 64, name=name, **fields)


def on(network: Network, *containers: Container) -> Network:
    listed = tuple(Attached(key=item.id, name=item.name, ip="172.18.0.2") for item in containers)
    return Network(**{**vars(network), "attached": network.attached + listed})


def held(network: Network, *containers: Container, others: tuple[Network, ...] = (OTHER,)) -> list[dict]:
    snapshot = Snapshot(networks=(network, *others), containers=containers)
    return [item.data for item in holders(snapshot, network)]


def only(network: Network, *containers: Container, **kwargs) -> dict:
    [data] = held(network, *containers, **kwargs)
    return data


def test_a_network_nobody_uses_has_no_holders():
    assert held(NET, container("elsewhere", OTHER)) == []


@pytest.mark.parametrize("state", ["running", "paused", "restarting"])
def test_a_live_member_is_listed_once_though_both_sides_tell_of_it(state):
    member = container("web", NET, OTHER, state=state)
    data = only(on(NET, member), member)
    assert (data["kind"], data["name"], data["id"], data["ip"]) == (state, "web", member.id, "172.18.0.2")
    assert data["cure"] == ("docker stop web" if state == "restarting" else "docker network disconnect front web")
    assert not data["only_network"] and not data["primary"] and not data["foreign"]


def test_a_restarting_container_is_a_holder_in_the_moments_when_the_network_does_not_list_it():
    assert only(NET, container("loop", NET, state="restarting"))["kind"] == "restarting"


@pytest.mark.parametrize(("state", "kind"), [("exited", "stopped"), ("dead", "stopped"), ("created", "created")])
def test_members_at_rest_are_found_though_the_network_does_not_list_them(state, kind):
    data = only(NET, container("old", NET, state=state))
    assert (data["kind"], data["cure"]) == (kind, "docker network disconnect --force front old")
    assert "breaks its next start" in data["reason"]


@pytest.mark.parametrize("typed", ["front", "aaaaaaaa", "a" * 64])
def test_a_container_that_was_never_started_claims_the_network_as_it_was_typed(typed):
    member = container("new", state="created", network_mode=typed, endpoints=(Endpoint(network=typed),))
    data = only(NET, member)
    assert (data["kind"], data["primary"], data["only_network"]) == ("created", True, True)


def test_a_reference_to_an_older_network_of_the_same_name_is_no_claim():
    member = container("old", state="exited", endpoints=(Endpoint(network="front", network_id="c" * 64),))
    assert held(NET, member) == []


@pytest.mark.parametrize("mode", ["front", "aaaa", "a" * 64])
def test_a_container_created_on_the_network_is_a_holder_even_after_it_has_left(mode):
    member = container("moved", OTHER, network_mode=mode)
    data = only(NET, member)
    assert data["primary"] and not data["only_network"] and data["ip"] == ""
    assert data["reason"] == "it was created on this network and has left it since"


def test_a_short_name_that_is_another_networks_name_is_not_taken_for_the_head_of_an_id():
    named = Network(id="c" * 64, name="aaaa")
    member = container("web", state="created", network_mode="aaaa", endpoints=(Endpoint(network="aaaa"),))
    assert held(NET, member, others=(named,)) == []


def test_a_network_named_like_anothers_full_id_is_not_meant_by_that_id():
    impostor = Network(id="c" * 64, name="a" * 64)
    snapshot = Snapshot(networks=(NET, impostor))
    assert refers_to(snapshot, "a" * 64, NET)
    assert not refers_to(snapshot, "a" * 64, impostor)


def test_the_mode_default_means_the_predefined_bridge():
    bridge = Network(id="d" * 64, name="bridge")
    assert only(bridge, container("web", bridge, network_mode="default"))["primary"]


def test_a_joiner_is_not_a_holder_but_is_named_with_the_one_it_joins():
    member = container("web", NET)
    joiner = container("sidecar", number="2", network_mode=f"container:{member.id}", endpoints=())
    assert only(on(NET, member), member, joiner)["joined_by"] == ["sidecar"]


def test_a_reference_to_a_network_that_is_gone_does_not_count_as_another_network():
    gone = Endpoint(network="gone", network_id="e" * 64)
    member = container("web", endpoints=(Endpoint(network="front", network_id=NET.id), gone), state="exited")
    assert only(NET, member)["only_network"]


@pytest.mark.parametrize(
    ("network_labels", "container_labels", "foreign"),
    [
        ({}, {}, False),
        (COMPOSE, COMPOSE, False),
        (COMPOSE, {}, True),
        ({}, COMPOSE, True),
        (COMPOSE, {"com.docker.compose.project": "blog"}, True),
        ({}, {"com.dokku.app-name": "blog"}, True),
    ],
)
def test_a_holder_is_foreign_unless_its_project_is_the_networks(network_labels, container_labels, foreign):
    network = Network(**{**vars(NET), "labels": network_labels})
    member = container("web", network, labels=container_labels)
    assert only(on(network, member), member)["foreign"] is foreign


def test_the_cure_for_a_projects_own_member_is_to_take_the_project_down():
    network = Network(**{**vars(NET), "labels": COMPOSE})
    member = container("web", network, labels=COMPOSE)
    data = only(on(network, member), member)
    assert (data["project"], data["cure"]) == ("shop", "docker compose --project-name shop down")


def test_a_phantom_is_cut_by_its_name():
    network = Network(**{**vars(NET), "attached": (Attached(key="ep-123", name="ghost", ip="172.18.0.9"),)})
    data = only(network)
    assert (data["kind"], data["name"], data["ip"]) == ("phantom", "ghost", "172.18.0.9")
    assert data["cure"] == "docker network disconnect --force front ghost"


@pytest.mark.parametrize("taker", [container("ghost"), container("web", number="9")])
def test_a_phantom_is_not_cut_while_a_live_container_answers_to_its_name(taker):
    name = "ghost" if taker.name == "ghost" else "99"
    network = Network(**{**vars(NET), "attached": (Attached(key="ep-123", name=name),)})
    assert only(network, taker)["cure"] == f"docker rename {name} {name}.moved"


def test_swarm_holders_are_told_from_containers():
    task = container("api.1.x", NET, labels={"com.docker.swarm.service.name": "api"})
    lb = (Attached(key="lb-front", name="front-endpoint"),)
    network = on(Network(**{**vars(NET), "services": ("api",), "attached": lb}), task)
    found = held(network, task)
    assert [(item["kind"], item["name"]) for item in found] == [
        ("service", "api"),
        ("task", "api.1.x"),
        ("load_balancer", "front-endpoint"),
    ]
    assert found[0]["cure"] == found[1]["cure"] == "docker service update --network-rm front api"


def test_an_endpoint_of_a_container_not_yet_in_the_list_is_treated_as_somebody_elses_only_network():
    data = only(on(NET, container("young")))
    assert (data["kind"], data["foreign"], data["only_network"]) == ("running", True, True)


def test_published_ports_and_aliases_are_told_without_the_short_id_that_old_apis_add():
    endpoint = Endpoint(network="front", network_id=NET.id, aliases=("web", "1" * 12, "api"), ip6="fd00::2")
    member = container("web", endpoints=(endpoint,), published=(PublishedPort("0.0.0.0", 8080, 80),))
    data = only(on(NET, member), member)
    assert data["aliases"] == ["api", "web"]
    assert data["published"] == ["0.0.0.0:8080->80/tcp"]
    assert data["ip"] == "fd00::2"


@given(st.text(min_size=1, max_size=12))
def test_a_cure_is_one_line_in_which_a_hostile_name_stays_one_word(name):
    network = Network(id="a" * 64, name=name, detailed=True)
    [data] = held(on(network, container("web", network, OTHER)), container("web", network, OTHER))
    words = shlex.split(data["cure"])
    assert data["cure"].isprintable()
    assert len(words) == 5 and words[-1] == "web" and not words[3].startswith("-")


STATES = st.sampled_from(["running", "paused", "restarting", "exited", "created", "dead"])


@given(st.lists(st.tuples(STATES, st.booleans(), st.booleans(), st.booleans()), max_size=6))
def test_every_container_that_touches_the_network_is_a_holder_and_no_other(members):
    containers, listed, expected = [], [], set()
    for number, (state, claims, is_listed, created_there) in enumerate(members):
        item = container(
            f"c{number}",
            *([NET] if claims else []),
            number=str(number),
            state=state,
            network_mode="front" if created_there else "back",
        )
        containers.append(item)
        if is_listed:
            listed.append(item)
        if claims or is_listed or created_there:
            expected.add(item.name)
    found = held(on(NET, *listed), *containers)
    assert {item["name"] for item in found} == expected
    assert found == sorted(found, key=lambda item: (KINDS.index(item["kind"]), item["name"], item["id"]))
    assert len(found) == len(expected)
