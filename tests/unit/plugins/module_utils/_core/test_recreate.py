# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import typing as t
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.bulkhead.docker.plugins.module_utils._core.app_network import Wanted, plan, read
from ansible_collections.bulkhead.docker.plugins.module_utils._core.app_undo import undo
from ansible_collections.bulkhead.docker.plugins.module_utils._core.errors import CoreError
from ansible_collections.bulkhead.docker.plugins.module_utils._core.model import (
    Attached,
    Container,
    Endpoint,
    Engine,
    Network,
    Pool,
    PublishedPort,
    Route,
    Snapshot,
    Surroundings,
)
from ansible_collections.bulkhead.docker.plugins.module_utils._core.plan import Change, Plan
from ansible_collections.bulkhead.docker.plugins.module_utils._core.recovery import Recovery, read_recovery
from ansible_collections.bulkhead.docker.plugins.module_utils._core.recreate import chosen_mac, completed

from .pretend_daemon import PretendDaemon, refused

NET = Network(
    id="a" * 64,
    name="net",
    pools=(Pool("10.9.0.0/28", "10.9.0.1"),),
    labels={"team": "a", "keep": "yes"},
    options={"com.docker.network.driver.mtu": "1400"},
    attachable=True,
)
SIDE = Network(id="b" * 64, name="side", pools=(Pool("10.8.0.0/28", "10.8.0.1"),))
OLD = {"networks": [{"name": "net", "labels": {"team": "a"}}]}
NEW = {"networks": [{"name": "net", "labels": {"team": "b"}}], "recreate": "when_needed"}


def wanted(params: t.Mapping[str, t.Any]) -> Wanted:
    return read(params)


def member(name: str, *, state: str = "running", **values: t.Any) -> Container:
    """A container on NET; ``values`` are those of its endpoint."""
    network_id = "" if state == "created" else NET.id
    mode = values.pop("mode", "net")
    endpoint = Endpoint("net", network_id, **values)
    identity = (name.encode().hex() * 64)[:64]
    return Container(id=identity, name=name, state=state, network_mode=mode, endpoints=(endpoint,), detailed=True)


def daemon(*containers: Container, networks: t.Sequence[Network] = (NET, SIDE)) -> PretendDaemon:
    return PretendDaemon({item.id: item for item in networks}, {item.id: item for item in containers})


def lines(found: Plan) -> list[str]:
    return [f"{change.action} {change.name}" for change in found.changes]


def refusal(host: PretendDaemon, params: t.Mapping[str, t.Any] | None = None) -> CoreError:
    with pytest.raises(CoreError) as caught:
        plan(wanted(params or NEW), host.snapshot)
    return caught.value


# ---- order, and what is told -----------------------------------------------------------------------------------------


def test_those_with_a_fixed_address_leave_last_and_come_back_first() -> None:
    host = daemon(
        member("dyn1", ip="10.9.0.3"),
        member("fixed", ip="10.9.0.9", fixed_ip="10.9.0.9"),
        member("dyn2", ip="10.9.0.4"),
    )
    assert lines(plan(wanted(NEW), host.snapshot)) == [
        "save net",
        "disconnect dyn2 on net",
        "disconnect dyn1 on net",
        "disconnect fixed on net",
        "remove net",
        "create net",
        "connect fixed on net",
        "connect dyn1 on net",
        "connect dyn2 on net",
        "discard net",
    ]


def test_a_dynamic_address_is_asked_for_only_where_docker_would_give_another() -> None:
    host = daemon(member("low", ip="10.9.0.2"), member("high", ip="10.9.0.9"))
    low, high = [change.target for change in plan(wanted(NEW), host.snapshot).changes if change.action == "connect"]
    assert low["config"] == {}
    assert high["config"] == {"IPAMConfig": {"IPv4Address": "10.9.0.9"}}
    assert high["config_without_ip"] == {}


def test_each_family_is_asked_for_by_itself_and_a_run_that_fails_asks_for_no_more() -> None:
    both = replace(NET, pools=(*NET.pools, Pool("fd00:9::/64", "fd00:9::1")))
    host = daemon(
        member("one", ip="10.9.0.2", ip6="fd00:9::2"), member("two", ip="10.9.0.3", ip6="fd00:9::9"), networks=(both,)
    )
    changes = plan(wanted(NEW), host.snapshot).changes
    for step, key in (("connect", "config"), ("disconnect", "restore")):
        found = {item.name: item.target[key] for item in changes if (item.kind, item.action) == ("endpoint", step)}
        one, two = (found[f"{name} on net"] for name in ("one", "two"))
        if step == "disconnect":
            assert (one, two["config_without_ip"]) == ({"config": {}}, {})
            one, two = one["config"], two["config"]
        assert (one, two) == ({}, {"IPAMConfig": {"IPv6Address": "fd00:9::9"}})


def test_a_member_that_can_not_come_back_costs_the_others_nothing_a_second_time() -> None:
    host = daemon(member("kept", ip="10.9.0.3"), member("off", ip="10.9.0.2", fixed_ip="10.9.0.2"))
    carry_out(host, plan(wanted(NEW), host.snapshot), stop_before=1)
    off = next(item for item in host.containers.values() if item.name == "off")
    host.containers[off.id] = replace(off, endpoints=())
    host.new_process()
    again = plan(wanted(NEW), host.snapshot)
    assert lines(again)[:3] == ["connect off on net", "save net", "disconnect kept on net"]
    goal = goal_of(daemon(*host.containers.values(), off))
    carry_out(host, again)
    assert picture(host) == goal
    assert plan(wanted(NEW), host.snapshot).changes == ()


def test_a_stopped_member_is_healed_and_one_never_started_needs_nothing() -> None:
    host = daemon(
        member("stopped", state="exited", fixed_ip="10.9.0.5", aliases=("rest",)),
        member("fresh", state="created", fixed_ip="10.9.0.6"),
    )
    found = plan(wanted(NEW), host.snapshot)
    assert lines(found) == ["save net", "remove net", "create net", "connect stopped on net", "discard net"]
    (change,) = [change for change in found.changes if change.action == "connect"]
    assert change.target["config"] == {"Aliases": ["rest"], "IPAMConfig": {"IPv4Address": "10.9.0.5"}}
    for item in found.changes:
        host.apply(item)
    for container in list(host.containers):
        host.start(container)
    assert sorted(item.endpoints[0].ip for item in host.containers.values()) == ["10.9.0.5", "10.9.0.6"]


def test_what_is_declared_for_a_member_comes_with_its_return() -> None:
    host = daemon(member("c1", ip="10.9.0.2", aliases=("old",)))
    params: dict[str, t.Any] = {
        "networks": [
            {"name": "net", "mtu": 1300, "connected": [{"name": "c1", "aliases": ["new"], "ipv4_address": "10.9.0.7"}]}
        ],
        "recreate": "when_needed",
    }
    found = plan(wanted(params), host.snapshot)
    assert lines(found) == [
        *("save net", "disconnect c1 on net", "remove net", "create net", "connect c1 on net", "discard net")
    ]
    for change in found.changes:
        host.apply(change)
    assert plan(wanted(params), host.snapshot).changes == ()


def test_the_result_tells_host_ports_that_docker_chose_anew() -> None:
    was = replace(
        member("web", ip="10.9.0.2"),
        published=(PublishedPort("0.0.0.0", 8080, 80), PublishedPort("0.0.0.0", 32768, 81)),
    )
    host = daemon(was)
    found = plan(wanted(NEW), host.snapshot)
    for change in found.changes:
        host.apply(change)
    now = host.containers[was.id]
    host.containers[was.id] = replace(now, published=(now.published[0], PublishedPort("0.0.0.0", 32769, 81)))
    (told,) = found.told["recreated"]
    result = completed(told, host.snapshot, applied=True)
    assert result["ports_changed"] == [
        {"container": "web", "host_ip": "0.0.0.0", "port": "81/tcp", "before": [32768], "after": [32769]}
    ]
    assert completed(told, host.snapshot, applied=False)["ports_changed"] == []


# ---- refusals --------------------------------------------------------------------------------------------------------


def test_a_fixed_address_outside_the_new_subnet_is_refused_by_container_and_address() -> None:
    host = daemon(member("fixed", ip="10.9.0.2", fixed_ip="10.9.0.2"), member("dyn", ip="10.9.0.3"))
    params = {"networks": [{"name": "net", "ipam_config": [{"subnet": "10.7.0.0/24"}]}], "recreate": "when_needed"}
    error = refusal(host, params)
    assert (error.reason_code, error.details["addresses"]) == (
        *("static_ip",),
        [{"container": "fixed", "ip": "10.9.0.2"}],
    )


def test_a_subnet_that_is_too_small_for_the_members_is_refused() -> None:
    host = daemon(member("c1", ip="10.9.0.2"), member("c2", ip="10.9.0.3"))
    params = {"networks": [{"name": "net", "ipam_config": [{"subnet": "10.7.0.0/30"}]}], "recreate": "when_needed"}
    assert refusal(host, params).reason_code == "pools_exhausted"


@pytest.mark.parametrize(("version", "is_refused"), [("20.10.24", False), ("24.0.6", False), ("24.0.7", True)])
def test_a_container_created_by_the_networks_id_is_refused_where_it_could_not_start(
    version: str, is_refused: bool
) -> None:
    host = daemon(member("byid", ip="10.9.0.2", mode=NET.id))
    host.engine = Engine(version, "1.43")
    if is_refused:
        assert refusal(host).details["containers"] == ["byid"]
    else:
        assert plan(wanted(NEW), host.snapshot).changed
    # One that was never started looks for the head of the ID on every engine.
    never = Container(id="9" * 64, name="head", state="created", network_mode=NET.id[:8], detailed=True)
    host.containers[never.id] = replace(never, endpoints=(Endpoint(NET.id[:8]),))
    assert "head" in refusal(host).details["containers"]


def test_phantoms_and_swarm_on_the_network_are_refused() -> None:
    phantom = replace(NET, attached=(Attached("ep-1", "ghost"),), detailed=True)
    assert refusal(daemon(networks=(phantom,))).reason_code == "in_use"
    used = replace(NET, services=("web",), detailed=True)
    assert refusal(daemon(networks=(used,))).reason_code == "service"


# ---- MAC addresses ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "mac", "wished", "chosen"),
    [
        ("26.1.5", "02:42:0a:09:00:02", "", ""),
        ("26.1.5", "02:42:0a:09:00:03", "", "02:42:0a:09:00:03"),
        ("28.5.2", "9a:11:22:33:44:55", "", ""),
        ("28.5.2", "9a:11:22:33:44:55", "9A:11:22:33:44:55", "9a:11:22:33:44:55"),
        ("26.1.5", "", "", ""),
    ],
)
def test_a_chosen_mac_address_is_told_from_a_generated_one(version: str, mac: str, wished: str, chosen: str) -> None:
    container = replace(member("c1", ip="10.9.0.2", mac=mac), wished_mac=wished)
    assert chosen_mac(container, container.endpoints[0], Engine(version)) == chosen


@pytest.mark.parametrize(("api", "asks"), [("1.53", False), ("1.54", True)])
def test_a_chosen_mac_address_is_asked_for_where_docker_gives_it_and_else_its_loss_is_told(
    api: str, asks: bool
) -> None:
    container = member("c1", ip="10.9.0.2", mac="9a:11:22:33:44:55")
    host = daemon(replace(container, wished_mac="9a:11:22:33:44:55"))
    host.engine = Engine("29.1.0", api)
    found = plan(wanted(NEW), host.snapshot)
    (connect,) = [change for change in found.changes if change.action == "connect"]
    assert connect.target["config"].get("MacAddress", "") == ("9a:11:22:33:44:55" if asks else "")
    assert len(found.warnings) == (0 if asks else 1)


# ---- what an earlier run left ----------------------------------------------------------------------------------------


def test_a_network_in_pieces_that_is_to_be_absent_is_refused() -> None:
    host = daemon(member("c1", ip="10.9.0.2"))
    host.apply(plan(wanted(NEW), host.snapshot).changes[0])
    error = refusal(host, {"networks": [{"name": "net", "state": "absent"}]})
    assert error.reason_code == "recovery_pending"


def test_a_network_in_pieces_that_nobody_speaks_of_is_put_back() -> None:
    host = daemon(member("c1", ip="10.9.0.2", aliases=("db",)))
    for change in plan(wanted(NEW), host.snapshot).changes[:3]:
        host.apply(change)
    assert "net" not in {item.name for item in host.networks.values()}
    host.new_process()
    for change in plan(wanted({"networks": ["other"]}), host.snapshot).changes:
        host.apply(change)
    (back,) = [item for item in host.networks.values() if item.name == "net"]
    assert (back.labels, back.options, back.pools) == (NET.labels, NET.options, NET.pools)
    (container,) = host.containers.values()
    assert (container.endpoints[0].ip, container.endpoints[0].aliases) == ("10.9.0.2", ("db",))
    assert host.records == {}


def test_a_network_in_pieces_gets_its_subnet_back_although_the_host_has_a_wider_route() -> None:
    host = daemon(member("c1", ip="10.9.0.2"))
    host.surroundings = Surroundings(routes=(Route("10.0.0.0/8", "eth1"),))
    carry_out(host, plan(wanted(NEW), host.snapshot), stop_before=3)
    host.new_process()
    carry_out(host, plan(wanted(OLD), host.snapshot))
    assert [item.pools for item in host.networks.values() if item.name == "net"] == [NET.pools]
    params = {"networks": [{"name": "net", "ipam_config": [{"subnet": "10.7.0.0/24"}]}], "recreate": "when_needed"}
    assert refusal(host, params).reason_code == "subnet_in_use"


def test_a_network_in_pieces_is_put_back_even_where_what_is_declared_now_must_not_be_made() -> None:
    host = daemon(member("c1", ip="10.9.0.2"))
    carry_out(host, plan(wanted(NEW), host.snapshot), stop_before=3)
    host.new_process()
    third = {"networks": [{"name": "net", "labels": {"team": "c"}}]}
    carry_out(host, plan(wanted(third), host.snapshot))
    assert [item.labels for item in host.networks.values() if item.name == "net"] == [NET.labels]
    assert (host.records, next(iter(host.containers.values())).endpoints[0].ip) == ({}, "10.9.0.2")
    assert refusal(host, third).reason_code == "drift"


@pytest.mark.parametrize(
    "damage",
    [
        {"version": 2},
        {"members": [{"id": "x"}]},
        {"body": []},
        {"network": ""},
        {"network": "another"},
        {"members": [{"id": 1, "name": "c", "config": {}, "config_without_ip": None, "settled": False}]},
    ],
)
def test_a_damaged_record_is_refused(damage: dict[str, t.Any]) -> None:
    whole = Recovery("net", "a" * 64, {"Name": "net"}).data
    assert read_recovery(whole).name == "net"
    with pytest.raises(ValueError, match=r".+"):
        read_recovery({**whole, **damage})
    with pytest.raises(ValueError, match=r".+"):
        read_recovery(["no", "record"])


# ---- any host, any point of failure ----------------------------------------------------------------------------------


@st.composite
def hosts(draw: st.DrawFn) -> PretendDaemon:
    """A daemon with NET and members of every kind on it; addresses are given as Docker would."""
    host = daemon()
    for number in range(draw(st.integers(0, 6))):
        kind = draw(st.sampled_from(["running", "paused", "exited", "created"]))
        free = [f"10.9.0.{last}" for last in range(2, 15)]
        fixed = draw(st.sampled_from(["", "", free[draw(st.integers(0, 12))]]))
        identity = f"{number + 1:x}".rjust(64, "c")
        container = Container(id=identity, name=f"c{number}", state="created", network_mode="net", detailed=True)
        endpoint = Endpoint(
            "net",
            fixed_ip=fixed,
            aliases=tuple(draw(st.lists(st.sampled_from(["db", "web", "a"]), unique=True, max_size=2).map(sorted))),
            links=tuple(draw(st.lists(st.sampled_from(["c0:x", "c1:y"]), unique=True, max_size=1))),
            driver_opts=draw(st.sampled_from([{}, {"com.example": "1"}])),
            gw_priority=draw(st.sampled_from([0, 5])),
        )
        side = (Endpoint("side"),) if draw(st.booleans()) else ()
        host.containers[identity] = replace(container, endpoints=(endpoint, *side))
        if kind == "created":
            continue
        try:
            host.start(identity)
        except CoreError:
            continue  # somebody has its address; it stays as one that was never started
        if kind == "exited":
            host.stop(identity)
        else:
            host.containers[identity] = replace(host.containers[identity], state=kind)
    # Some that ran have gone meanwhile: gaps between the addresses.
    for identity in [item for item in host.containers if draw(st.integers(0, 4)) == 0]:
        del host.containers[identity]
    return host


def picture(host: PretendDaemon, *, dynamic: bool = True) -> t.Any:
    """All that must come back; IDs of networks may change, and a wish that keeps a dynamic address may come."""
    ids = {item.id: item.name for item in host.networks.values()}
    members = {}
    for container in host.containers.values():
        for endpoint in container.endpoints:
            # A stopped one may refer to its network by ID or by name: either way it starts.
            where = ids.get(endpoint.network_id, endpoint.network if not endpoint.network_id else "gone")
            shown = (endpoint.ip if dynamic or endpoint.fixed_ip else "", endpoint.aliases, endpoint.links)
            more = (dict(endpoint.driver_opts), endpoint.gw_priority)
            members[(container.name, endpoint.network)] = (container.state, where, *shown, *more)
    networks = {
        item.name: (dict(item.labels), dict(item.options), item.pools, item.attachable, item.internal)
        for item in host.networks.values()
    }
    return members, networks


def carry_out(host: PretendDaemon, found: Plan, *, stop_before: int | None = None) -> list[Change]:
    done = []
    for number, change in enumerate(found.changes):
        if number == stop_before:
            break
        host.apply(change)
        done.append(change)
    return done


def goal_of(host: PretendDaemon) -> t.Any:
    members, networks = picture(host)
    old = networks["net"]
    return members, {**networks, "net": ({**old[0], "team": "b"}, *old[1:])}


@given(hosts())
@settings(max_examples=100)
def test_a_whole_run_brings_everybody_back_and_a_second_one_has_nothing_to_do(host: PretendDaemon) -> None:
    goal = goal_of(host)
    carry_out(host, plan(wanted(NEW), host.snapshot))
    assert picture(host) == goal
    assert host.records == {}
    assert plan(wanted(NEW), host.snapshot).changes == ()


@given(hosts(), st.data(), st.booleans())
@settings(max_examples=200)
def test_whatever_step_fails_the_old_network_and_all_members_are_back(
    host: PretendDaemon, data: st.DataObject, happened: bool
) -> None:
    before = picture(host)
    found = plan(wanted(NEW), host.snapshot)
    world = host.snapshot
    # The first step only writes the record, and the last one removes it: everything is new by then.
    step = data.draw(st.integers(1, len(found.changes) - 2))
    done = carry_out(host, found, stop_before=step)
    failing = found.changes[step]
    if happened:
        host.apply(failing)
        host.lose_answer(failing)
    whole = True
    for change in undo(world, [*done, failing]):
        if change.target.get("if_whole") and not whole:
            continue
        try:
            host.apply(change)
        except CoreError:
            whole = whole and bool(change.target.get("uncertain"))
    assert whole
    assert picture(host) == before
    assert host.records == {}


@given(hosts(), st.integers(0, 30), st.integers(0, 30), st.sampled_from([OLD, NEW, {"networks": ["side"]}]))
@settings(max_examples=300)
def test_a_killed_run_is_finished_or_put_back_by_the_next_however_often_that_is_killed(
    host: PretendDaemon, first: int, second: int, last: dict[str, t.Any]
) -> None:
    old, new = picture(host), goal_of(host)
    carry_out(host, plan(wanted(NEW), host.snapshot), stop_before=first)
    host.new_process()
    carry_out(host, plan(wanted(NEW), host.snapshot), stop_before=second)
    host.new_process()
    if last == OLD and not host.records and picture(host) == new:
        assert refusal(host, OLD).reason_code == "drift"  # nothing is in pieces, so that it is drift like any other
        return
    carry_out(host, plan(wanted(last), host.snapshot))
    assert host.records == {}
    assert picture(host) in ((new,) if last == NEW else (old,) if last == OLD else (old, new))
    host.new_process()
    assert plan(wanted(last), host.snapshot).changes == ()
    for identity, container in list(host.containers.items()):
        if not container.live and all(
            other.id == identity or endpoint.ip != container.endpoints[0].fixed_ip
            for other in host.containers.values()
            for endpoint in other.endpoints
        ):
            host.start(identity)


def test_a_record_that_comes_on_top_keeps_what_the_first_run_saw() -> None:
    host = daemon(member("c1", ip="10.9.0.2", fixed_ip="10.9.0.2", aliases=("db",)), member("c2", ip="10.9.0.3"))
    first = plan(wanted(NEW), host.snapshot)
    carry_out(host, first, stop_before=2)  # c2 is cut
    saved = copy.deepcopy(host.records)
    host.new_process()
    again = plan(wanted(NEW), host.snapshot)
    host.apply(again.changes[0])
    assert host.records == saved
    assert "connect c2 on net" in lines(again)
    assert refused(404, "gone").details["status"] == 404


def test_snapshot_without_records_changes_nothing() -> None:
    host = daemon(member("c1", ip="10.9.0.2"))
    assert isinstance(host.snapshot, Snapshot)
    assert plan(wanted(OLD), host.snapshot).changes == ()
