# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.bulkhead.docker.plugins.module_utils._core.app_network import Wanted, plan, read
from ansible_collections.bulkhead.docker.plugins.module_utils._core.app_report import report
from ansible_collections.bulkhead.docker.plugins.module_utils._core.app_undo import restart_hint, undo
from ansible_collections.bulkhead.docker.plugins.module_utils._core.errors import CoreError
from ansible_collections.bulkhead.docker.plugins.module_utils._core.marker import Marker, marker_of
from ansible_collections.bulkhead.docker.plugins.module_utils._core.model import (
    Attached,
    Container,
    Endpoint,
    Network,
    Pool,
    Snapshot,
)
from ansible_collections.bulkhead.docker.plugins.module_utils._core.phase import PHASES
from ansible_collections.bulkhead.docker.plugins.module_utils._core.plan import Change, Plan

BRIDGE = Network(id="b" * 64, name="bridge")


class SimulatedDocker:
    """The rules of Docker that the planner stands on; an oracle that shares no code with it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.networks = {item.id: item for item in snapshot.networks}
        self.containers = {item.id: item for item in snapshot.containers}
        self.created: dict[str, str] = {}

    @property
    def snapshot(self) -> Snapshot:
        return Snapshot(
            networks=tuple(sorted(self.networks.values(), key=lambda item: (item.name, item.id))),
            containers=tuple(sorted(self.containers.values(), key=lambda item: (item.name, item.id))),
        )

    def apply(self, change: Change) -> None:
        target = change.target
        if (change.kind, change.action) == ("network", "create"):
            body = target["body"]
            assert body["Name"] not in {item.name for item in self.networks.values()}
            identity = f"{len(self.networks):x}".rjust(64, "e")
            self.created[body["Name"]] = identity
            self.networks[identity] = Network(
                id=identity,
                name=body["Name"],
                driver=body["Driver"],
                internal=body["Internal"],
                attachable=body["Attachable"],
                labels=body["Labels"],
                options=body["Options"],
            )
        elif (change.kind, change.action) == ("network", "remove"):
            identity = self.created.get(target["id"], target["id"])
            assert not any(
                endpoint.network_id == identity for item in self.containers.values() for endpoint in item.endpoints
            )
            del self.networks[identity]
        else:
            self._attach(change.action, target)

    def _attach(self, action: str, target: t.Mapping[str, t.Any]) -> None:
        network = self.networks[self.created.get(target["network"], target["network"])]
        container = self.containers[target["container"]]
        there = [item for item in container.endpoints if item.network == network.name]
        others = tuple(item for item in container.endpoints if item.network != network.name)
        if action == "disconnect":
            assert there, f"{container.name} is not connected to {network.name}"
            self.containers[container.id] = replace(container, endpoints=others)
            return
        assert not there, f"endpoint with name {container.name} already exists in network {network.name}"
        config = target["config"]
        ipam = config.get("IPAMConfig", {})
        new = Endpoint(
            network=network.name,
            network_id="" if container.state == "created" else network.id,
            ip=ipam.get("IPv4Address", ""),
            fixed_ip=ipam.get("IPv4Address", ""),
            aliases=tuple(config.get("Aliases", ())),
            links=tuple(config.get("Links", ())),
            driver_opts=config.get("DriverOpts", {}),
        )
        endpoints = tuple(sorted([*others, new], key=lambda item: item.network))
        self.containers[container.id] = replace(container, endpoints=endpoints)


def container(name: str, *networks: Network, state: str = "running", **values: t.Any) -> Container:
    endpoints = tuple(
        Endpoint(item.name, "" if state == "created" else item.id)
        for item in sorted(networks, key=lambda item: item.name)
    )
    return Container(id=(name.encode().hex() * 64)[:64], name=name, state=state, endpoints=endpoints, **values)


def network(name: str, **values: t.Any) -> Network:
    return Network(id=(name.encode().hex() * 64)[:64], name=name, **values)


def host(*items: Network | Container) -> Snapshot:
    return Snapshot(
        networks=tuple(sorted((BRIDGE, *(item for item in items if isinstance(item, Network))), key=lambda n: n.name)),
        containers=tuple(sorted((item for item in items if isinstance(item, Container)), key=lambda c: c.name)),
    )


def steps(snapshot: Snapshot, **params: t.Any) -> list[str]:
    found = plan(read(params), snapshot)
    return [f"{change.action} {change.name}" for change in found.changes]


def refusal(snapshot: Snapshot, **params: t.Any) -> CoreError:
    with pytest.raises(CoreError) as caught:
        plan(read(params), snapshot)
    return caught.value


def test_networks_come_first_then_members_join_and_only_then_others_leave() -> None:
    flat = network("flat")
    snapshot = host(flat, container("web", flat), container("db", flat), network("old"))
    assert steps(
        snapshot,
        networks=["b", "a", {"name": "old", "state": "absent"}],
        apps=[
            {"name": "web", "attach_post_deploy": ["a", "b"]},
            {"name": "db", "attach_post_deploy": ["b"]},
        ],
        app_defaults={"exclusive": True},
    ) == [
        "create a",
        "create b",
        "connect web on a",
        "connect db on b",
        "connect web on b",
        "disconnect db on flat",
        "disconnect web on flat",
        "remove old",
    ]


def test_members_with_a_fixed_address_join_before_those_that_take_any() -> None:
    snapshot = host(container("a"), container("z"))
    wanted = [
        {
            "name": "n",
            "ipam_config": [{"subnet": "10.0.0.0/24"}],
            "connected": ["a", {"name": "z", "ipv4_address": "10.0.0.2"}],
        }
    ]
    assert steps(snapshot, networks=wanted) == ["create n", "connect z on n", "connect a on n"]


def test_the_list_of_an_app_and_the_list_of_a_network_are_one_wish() -> None:
    snapshot = host(container("shop"))
    found = plan(
        read(
            {
                "networks": [{"name": "n", "connected": [{"name": "shop", "aliases": ["x"]}]}],
                "apps": [{"name": "shop", "attach_post_create": ["n"], "aliases": ["y"]}],
            }
        ),
        snapshot,
    )
    assert found.changes[1].target["config"] == {
        "Aliases": ["shop", "x", "y"],
        "DriverOpts": {"io.bulkhead.attached-by": "shop:attach_post_create", "io.bulkhead.aliases": "shop,y"},
    }
    assert "networks[0].connected[0] and apps[0].attach_post_create" in found.changes[1].reason


def test_a_missing_alias_is_repaired_with_all_that_the_endpoint_had() -> None:
    net = network("n")
    there = Endpoint(
        "n",
        net.id,
        ip="10.0.0.7",
        mac="02:42:0a:00:00:07",
        aliases=("mine", "shop.web.old", "73686f707368"),
        links=("db:store",),
        driver_opts={"a": "b"},
        gw_priority=3,
    )
    shop = replace(container("shop.web.1"), endpoints=(there,), detailed=True)
    shop = replace(shop, endpoints=(replace(there, aliases=("mine", "shop.web.old", shop.id[:12])),))
    found = plan(read({"apps": [{"name": "shop", "attach_post_create": ["n"], "tld": "new"}]}), host(net, shop))
    assert [change.action for change in found.changes] == ["disconnect", "connect"]
    without_ip = {
        "Aliases": ["mine", "shop.web.new"],
        "Links": ["db:store"],
        "DriverOpts": {"a": "b"},
        "GwPriority": 3,
    }
    assert found.changes[1].target["config_without_ip"] == without_ip
    assert found.changes[1].target["config"] == {**without_ip, "IPAMConfig": {"IPv4Address": "10.0.0.7"}}
    assert "10.0.0.7" in found.changes[1].reason


def test_a_short_id_that_old_apis_list_among_the_aliases_changes_nothing() -> None:
    net = network("n")
    shop = container("shop", net)
    shop = replace(shop, endpoints=(replace(shop.endpoints[0], aliases=("shop", shop.id[:12])),))
    assert steps(host(net, shop), apps=[{"name": "shop", "attach_post_create": ["n"]}]) == []


def test_a_reference_to_a_network_that_is_gone_is_no_attachment() -> None:
    net = network("n")
    stale = replace(container("c", state="exited"), endpoints=(Endpoint("n", "dead" * 16),))
    assert steps(host(net, stale), networks=[{"name": "n", "connected": ["c"]}]) == ["connect c on n"]


def test_what_a_failed_connect_left_on_a_running_container_is_no_attachment() -> None:
    net = network("n")
    half = replace(
        container("c", BRIDGE), endpoints=(Endpoint("bridge", BRIDGE.id), Endpoint("n", fixed_ip="10.0.0.9"))
    )
    assert steps(host(net, half), networks=[{"name": "n", "connected": ["c"]}]) == ["connect c on n"]


def test_a_failed_connect_is_cleared_by_one_that_works() -> None:
    failed = Change(
        "connect", "endpoint", "c on n", "x", {"network": "n", "container": "c", "config": {"Aliases": ["a"]}}
    )
    back = undo(host(), [failed])
    assert [change.action for change in back] == ["disconnect", "connect", "disconnect"]
    assert all(change.target["uncertain"] for change in back)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("driver failed programming external connectivity on endpoint c (12ab): port is already allocated", True),
        ("failed to add interface veth12 to sandbox: cannot program address 10.0.0.2/24", True),
        ("Address already in use", False),
    ],
)
def test_an_attempt_that_left_pieces_in_the_container_is_cured_by_a_restart(message: str, told: bool) -> None:
    failed = Change("connect", "endpoint", "c on n", "x", {"network": "n", "container": "c", "config": {}})
    hint = restart_hint(failed, CoreError("no", details={"docker_message": message}))
    assert ("docker restart c." in hint) == told


def test_a_container_that_was_never_started_counts_as_attached_by_the_name_it_bears() -> None:
    net = network("n")
    fresh = container("c", net, state="created")
    assert steps(host(net, fresh), networks=[{"name": "n", "connected": ["c"]}]) == []
    assert steps(host(fresh), networks=[{"name": "n", "connected": ["c"]}]) == ["create n"]


def test_a_container_that_was_never_started_stays_where_it_is_until_its_deploy() -> None:
    flat, late = network("flat"), network("late")
    app = {"name": "c", "attach_post_deploy": ["late"], "exclusive": True}
    assert steps(host(flat, late, container("c", flat, state="created")), apps=[app]) == []
    assert steps(host(flat, late, container("c", flat, state="exited")), apps=[app]) == [
        "connect c on late",
        "disconnect c on flat",
    ]


def test_a_container_of_two_apps_keeps_the_networks_of_both() -> None:
    one, two, flat = network("one"), network("two"), network("flat")
    shared = container("c", flat)
    apps = [
        {"name": "a", "match": {"names": ["c"]}, "attach_post_deploy": ["one"], "exclusive": True},
        {"name": "b", "match": {"names": ["c*"]}, "attach_post_deploy": ["two"]},
    ]
    assert steps(host(one, two, flat, shared), apps=apps) == [
        "connect c on one",
        "connect c on two",
        "disconnect c on flat",
    ]


def test_an_exclusive_app_leaves_alone_what_another_app_will_have_after_the_deploy() -> None:
    one, two = network("one"), network("two")
    fresh = container("c", two, state="created")
    apps = [
        {"name": "a", "match": {"names": ["c"]}, "attach_post_create": ["one"], "exclusive": True},
        {"name": "b", "match": {"names": ["c"]}, "attach_post_deploy": ["two"]},
    ]
    assert steps(host(one, two, fresh), apps=apps) == ["connect c on one"]


def test_a_task_beside_the_app_gets_no_alias_and_no_post_deploy_network() -> None:
    early, late = network("early"), network("late")
    task = container(
        "run",
        labels={
            "com.docker.compose.project": "shop",
            "com.docker.compose.service": "web",
            "com.docker.compose.oneoff": "True",
        },
    )
    found = plan(
        read({"apps": [{"name": "shop", "attach_post_create": ["early"], "attach_post_deploy": ["late"]}]}),
        host(early, late, task),
    )
    assert [change.name for change in found.changes] == ["run on early"]
    assert "Aliases" not in found.changes[0].target["config"]


@pytest.mark.parametrize(
    ("params", "reason", "words"),
    [
        ({"name": "bridge"}, "predefined", ["name", "bridge"]),
        ({"networks": ["a", {"name": "host", "state": "absent"}]}, "predefined", ["networks[1].name", "host"]),
        ({"networks": ["a", "a"]}, "invalid_option", ["networks[1].name", "networks[0]"]),
        ({"networks": [{"nmae": "a"}]}, "invalid_option", ["networks[0]", "'nmae'", "Known are"]),
        ({"networks": [["a"]]}, "invalid_option", ["networks[0]", "a list"]),
        ({"networks": [{"name": "a", "internal": "maybe"}]}, "invalid_option", ["networks[0].internal", "maybe"]),
        ({"networks": [{"name": "a", "mtu": 9}]}, "invalid_option", ["networks[0].mtu", "9"]),
        ({"networks": [{"name": "a", "connected": ["ghost"]}]}, "unknown_container", ["networks[0].connected[0]"]),
        ({"name": "a", "state": "absent", "connected": ["c"]}, "invalid_option", ["connected"]),
        ({"driver": "bridge", "networks": ["a"]}, "invalid_option", ["driver", "without name"]),
        ({"tld": "x", "apps": ["a"]}, "invalid_option", ["tld", "without app"]),
        ({"exclusive": True, "apps": ["a"]}, "invalid_option", ["exclusive"]),
        ({"apps": [{"name": "c", "attach_post_create": ["no"]}]}, "unknown_network", ["apps[0].attach_post_create"]),
        ({"app": "c", "attach_post_deploy": ["none"]}, "predefined", ["attach_post_deploy[0]", "none"]),
        (
            {"apps": ["c"], "app_defaults": {"attach_post_create": ["x", "n"], "attach_post_deploy": ["y", "n"]}},
            "invalid_option",
            ["app_defaults.attach_post_deploy", "'n'", "app_defaults.attach_post_create"],
        ),
        ({"apps": [{"name": "c", "match": {}}]}, "invalid_option", ["apps[0].match", "every container"]),
        ({"apps": [{"name": "a b"}]}, "invalid_option", ["apps[0].name", "a b"]),
        (
            {"networks": [{"name": "n", "state": "absent"}], "apps": [{"name": "c", "initial_network": "n"}]},
            "invalid_option",
            ["apps[0].initial_network", "absent"],
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_by_place_and_value(
    params: dict[str, t.Any], reason: str, words: list[str]
) -> None:
    error = refusal(host(network("n"), container("c", BRIDGE)), **params)
    assert error.reason_code == reason
    assert all(word in error.sentence for word in words), error.sentence


def test_a_running_container_that_would_be_left_without_a_network_is_refused_and_named() -> None:
    net, other = network("n"), network("other")
    lonely = container("lonely", net)
    error = refusal(host(net, lonely), networks=[{"name": "n", "exclusive": True}])
    assert (error.reason_code, error.details["container"]) == ("only_network", "lonely")
    error = refusal(host(net, lonely), apps=[{"name": "lonely", "exclusive": True}])
    assert error.reason_code == "only_network"
    stopped = replace(lonely, state="exited")
    assert steps(host(net, stopped), networks=[{"name": "n", "exclusive": True}]) == ["disconnect lonely on n"]
    both = container("lonely", net, other)
    assert steps(host(net, other, both), networks=[{"name": "n", "exclusive": True}]) == ["disconnect lonely on n"]


def test_a_network_that_is_held_stays_and_its_holders_are_named() -> None:
    net = network("n", attached=(Attached("ep-1", "ghost"),), detailed=True)
    fresh = container("fresh", net, state="created")
    down = container("down", net, state="exited")
    for items in ((net,), (replace(net, attached=()), fresh), (replace(net, attached=()), down)):
        error = refusal(host(*items), networks=["new", {"name": "n", "state": "absent"}])
        assert error.reason_code == "in_use"
        assert len(error.details["holders"]) == 1
        assert "docker_network_purge" in error.hint


def test_a_network_that_empties_in_the_same_call_goes() -> None:
    flat = network("flat")
    web = container("web", flat, network_mode="bridge")
    assert steps(
        host(flat, web),
        networks=["edge", {"name": "flat", "state": "absent"}],
        apps=[{"name": "web", "attach_post_deploy": ["edge"], "exclusive": True}],
    ) == ["create edge", "connect web on edge", "disconnect web on flat", "remove flat"]


def test_a_container_created_on_a_network_holds_it_even_when_it_leaves() -> None:
    flat = network("flat")
    web = container("web", flat, network_mode="flat")
    error = refusal(
        host(flat, web),
        networks=["edge", {"name": "flat", "state": "absent"}],
        apps=[{"name": "web", "attach_post_deploy": ["edge"], "exclusive": True}],
    )
    assert error.reason_code == "in_use"


@pytest.mark.parametrize("mode", ["host", "none", "container:" + "a" * 64])
def test_a_container_without_networks_of_its_own_is_refused(mode: str) -> None:
    error = refusal(host(container("c", network_mode=mode)), networks=[{"name": "n", "connected": ["c"]}])
    assert error.reason_code == "network_mode"


def test_a_swarm_task_is_refused_with_the_command_that_is_right() -> None:
    task = container(
        "shop.1.x",
        labels={
            "com.docker.swarm.service.id": "s",
            "com.docker.swarm.service.name": "shop",
            "io.bulkhead.app": "shop",
        },
    )
    error = refusal(host(task, network("n")), apps=[{"name": "shop", "attach_post_deploy": ["n"]}])
    assert error.reason_code == "service"
    assert "docker service update --network-add n shop" in error.hint


def test_twins_are_refused_with_both_ids() -> None:
    one, two = network("n"), replace(network("n"), id="f" * 64)
    error = refusal(host(one, two), networks=["n"])
    assert error.details["network_ids"] == sorted([one.id, two.id])


def test_an_id_s_beginning_never_stands_for_a_network() -> None:
    victim = network("victim")
    assert steps(host(victim), networks=[{"name": victim.id[:3], "state": "absent"}]) == []
    assert steps(host(victim), networks=[victim.id[:3]]) == [f"create {victim.id[:3]}"]


def test_the_initial_network_of_a_container_that_began_elsewhere_needs_a_deploy() -> None:
    first = network("first")
    here = container("shop.web.1", first, network_mode="first")
    there = container("shop.web.2", BRIDGE)
    wanted = read({"apps": [{"name": "shop", "initial_network": "first"}]})
    snapshot = host(first, here, there)
    assert [change.name for change in plan(wanted, snapshot).changes] == ["shop.web.1 on first"] * 2
    assert report(wanted, snapshot)["needs_deploy"] == [
        {"app": "shop", "container": "shop.web.2", "property": "initial_network", "is": "bridge", "wanted": "first"}
    ]


def test_before_and_after_read_like_a_patch() -> None:
    net = network("n", pools=(Pool("10.0.0.0/24"),))
    found = plan(read({"networks": [{"name": "n", "connected": ["c"]}, "new"]}), host(net, container("c", BRIDGE)))
    before, after = found.before["networks"], found.after["networks"]
    assert (list(before), list(after)) == (["n"], ["n", "new"])
    assert (before["n"]["containers"], after["n"]["containers"]) == ({}, {"c": {"aliases": []}})


def test_nothing_declared_is_nothing_to_do_and_shows_nothing() -> None:
    found = plan(Wanted(), host(container("c", BRIDGE)))
    assert (found.changed, found.diff) == (False, {"before": "", "after": ""})


# ---- any declaration on any host -------------------------------------------------------------------------------------

NAMES = ["n0", "n1", "n2", "n3"]
PEOPLE = ["web", "shop.web.1", "shop.db.1", "c3", "c4"]
NOTES = [
    Marker("web", "attach_post_create", ("web", "x")).driver_opts,
    Marker("shop", "attach_post_create", ("x",)).driver_opts,
    Marker("shop", "attach_post_deploy").driver_opts,
]


@st.composite
def hosts(draw: st.DrawFn) -> Snapshot:
    networks = [network(name) for name in draw(st.lists(st.sampled_from(NAMES), unique=True))]
    networks += [BRIDGE]
    containers = []
    for name in PEOPLE:
        state = draw(st.sampled_from(["running", "paused", "exited", "created"]))
        on = draw(st.lists(st.sampled_from(networks), unique_by=lambda item: item.name))
        item = container(name, *on, state=state, detailed=True)
        endpoints = tuple(
            replace(
                endpoint,
                aliases=tuple(draw(st.lists(st.sampled_from(["x", name, item.id[:12]]), unique=True))),
                driver_opts=draw(st.sampled_from([{}, {"a": "b"}, *NOTES])),
            )
            for endpoint in item.endpoints
        )
        containers.append(replace(item, endpoints=endpoints))
    return host(*(item for item in networks if item is not BRIDGE), *containers)


@st.composite
def declarations(draw: st.DrawFn) -> dict[str, t.Any]:
    names = st.sampled_from(NAMES)
    networks = [
        draw(
            st.fixed_dictionaries(
                {"name": st.just(name)},
                optional={
                    "connected": st.lists(st.sampled_from(PEOPLE), unique=True),
                    "exclusive": st.booleans(),
                },
            )
        )
        for name in draw(st.lists(names, unique=True))
    ]
    networks += [
        {"name": name, "state": "absent"}
        for name in draw(st.lists(names, unique=True, max_size=1))
        if name not in {item["name"] for item in networks}
    ]
    apps = []
    for name in draw(st.lists(st.sampled_from(["web", "shop", "c3"]), unique=True)):
        early = draw(st.lists(names, unique=True))
        late = draw(st.lists(names.filter(lambda item, early=early: item not in early), unique=True))
        app = {
            "name": name,
            "attach_post_create": early,
            "attach_post_deploy": late,
            "exclusive": draw(st.booleans()),
            "tld": draw(st.sampled_from(["", "test"])),
        }
        for key in draw(st.lists(st.sampled_from(["attach_post_create", "attach_post_deploy"]), unique=True)):
            del app[key]
        apps.append(app)
    joiners = draw(st.lists(st.sampled_from(PEOPLE), unique=True, max_size=1))
    return {"networks": networks, "apps": apps, "joiners": joiners, "phase": draw(st.sampled_from(PHASES))}


@given(snapshot=hosts(), params=declarations(), cut=st.integers(0, 30))
@settings(max_examples=200, deadline=None)
def test_a_plan_is_carried_out_once_cuts_nobody_off_and_can_be_taken_back(
    snapshot: Snapshot, params: dict[str, t.Any], cut: int
) -> None:
    wanted = read(params)
    try:
        found = plan(wanted, snapshot)
    except CoreError as error:
        assert error.reason_code in {"only_network", "in_use", "unknown_container", "unknown_network", "invalid_option"}
        return
    _foreign_endpoints_are_left_alone(snapshot, found, params)
    docker = SimulatedDocker(snapshot)
    bare = {item.id for item in snapshot.containers if not item.endpoints}
    for number, change in enumerate(found.changes):
        docker.apply(change)
        following = found.changes[number + 1 : number + 2]
        off_for_a_moment = bool(following) and following[0].name == change.name
        for item in docker.containers.values():
            if item.live and item.id not in bare and not off_for_a_moment:
                assert item.endpoints, f"{item.name} was cut off by {change}"
    second = plan(wanted, docker.snapshot)
    assert second.changes == ()
    foretold = found.after.get("networks", {})
    for name, data in second.before.get("networks", {}).items():
        assert foretold[name]["containers"] == data["containers"]

    broken = SimulatedDocker(snapshot)
    done = list(found.changes[: cut % (len(found.changes) + 1)])
    for change in done:
        broken.apply(change)
    removals = [change for change in done if change.action == "remove"]
    # The change that failed did nothing here.
    for change in undo(snapshot, [*done, Change("fail", "endpoint", "x", "y")]):
        broken.apply(change)
    expected = SimulatedDocker(snapshot)
    for change in removals:
        expected.networks.pop(change.target["id"])
    assert _attachments(broken.snapshot) == _attachments(snapshot)
    assert broken.networks == expected.networks


def _foreign_endpoints_are_left_alone(snapshot: Snapshot, found: Plan, params: dict[str, t.Any]) -> None:
    """Without exclusive and absent networks, only what bears a note of an app goes, and a bare endpoint stays bare."""
    notes = {
        (item.name, endpoint.network): marker_of(endpoint)
        for item in snapshot.containers
        for endpoint in item.endpoints
    }
    strict = any(item.get("exclusive") or "state" in item for item in [*params["networks"], *params["apps"]])
    back = [change.name for change in found.changes if change.action == "connect"]
    for change in found.changes:
        member, _on, network_ = change.name.partition(" on ")
        note = notes.get((member, network_))
        if change.action == "disconnect" and change.name not in back and not strict:
            assert note is not None
            assert note.key in {key for item in params["apps"] if item["name"] == note.app for key in item}
            state = next(item.state for item in snapshot.containers if item.name == member)
            assert params["phase"] in ("all", "deploy") or (state, note.key) == ("created", "attach_post_create")
        if change.action == "connect" and (member, network_) in notes and note is None:
            assert not {*change.target["config"].get("DriverOpts", {})} - {"a"}


def _attachments(snapshot: Snapshot) -> list[t.Any]:
    """Who is on what under which aliases; the short ID that old APIs add is no alias."""
    return [
        (
            item.name,
            endpoint.network,
            sorted({*endpoint.aliases} - {item.id[:12]}),
            endpoint.links,
            sorted(endpoint.driver_opts.items()),
        )
        for item in snapshot.containers
        for endpoint in item.endpoints
    ]
