# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bulkhead.docker.plugins.module_utils._core.errors import CoreError
from ansible_collections.bulkhead.docker.plugins.module_utils._core.holders import claim, holders
from ansible_collections.bulkhead.docker.plugins.module_utils._core.model import (
    Attached,
    Container,
    Endpoint,
    Engine,
    Network,
    Pool,
    Snapshot,
)
from ansible_collections.bulkhead.docker.plugins.module_utils._core.plan import Change
from ansible_collections.bulkhead.docker.plugins.module_utils._core.purge import (
    PurgePlan,
    interest,
    plan,
)
from ansible_collections.bulkhead.docker.plugins.module_utils._core.purge_request import Filters, Request
from ansible_collections.bulkhead.docker.plugins.module_utils._core.purge_steps import settled, undo

OLD, NEW = Engine("20.10.24+dfsg1", "1.41"), Engine("28.5.2", "1.51")
SHOP = {"com.docker.compose.project": "shop"}


def network(name: str, **fields) -> Network:
    letter = "def0123456789"[sum(map(ord, name)) % 13]
    return Network(**{"id": letter * 64, "name": name, "detailed": True, **fields})


FRONT, BACK, SPARE = network("front", id="a" * 64), network("back", id="b" * 64), network("spare", id="c" * 64)


def container(name: str, *networks: Network, **fields) -> Container:
    number = format(sum(ord(char) << (8 * place) for place, char in enumerate(name)), "064x")
    endpoints = tuple(Endpoint(network=item.name, network_id=item.id, ip="172.18.0.2") for item in networks)
    return Container(**{"id": number, "name": name, "endpoints": endpoints, "detailed": True, **fields})


def world(*items: Network | Container, engine: Engine = NEW) -> Snapshot:
    """A host on which every live container's endpoints are listed by their networks."""
    containers = tuple(item for item in items if isinstance(item, Container))
    networks = []
    for item in items:
        if isinstance(item, Network):
            live = [one for one in containers if one.live and any(end.network_id == item.id for end in one.endpoints)]
            listed = tuple(Attached(one.id, one.name, ip="172.18.0.2") for one in live)
            networks.append(replace(item, attached=item.attached + listed))
    return Snapshot(engine, tuple(networks), containers)


def after(snapshot: Snapshot, changes: tuple[Change, ...]) -> Snapshot:
    """What Docker makes of the changes."""
    networks = {item.id: item for item in snapshot.networks}
    containers = {item.id: item for item in snapshot.containers}
    for change in changes:
        where = networks[change.target.get("network") or change.target["id"]]
        if change.action == "remove":
            assert not where.attached, "Docker would refuse this: it has active endpoints"
            del networks[where.id]
            continue
        who = change.target.get("member") or change.target["container"]
        member = containers.get(who)
        if change.action == "connect":
            endpoint = Endpoint(network=where.name, network_id=where.id, ip="172.18.0.2")
            containers[who] = replace(member, endpoints=(*member.endpoints, endpoint))
            networks[where.id] = replace(where, attached=(*where.attached, Attached(who, member.name)))
            continue
        if member is not None:
            mine = claim(snapshot, member, where)
            containers[who] = replace(member, endpoints=tuple(item for item in member.endpoints if item != mine))
        left = tuple(item for item in where.attached if item.key != who)
        networks[where.id] = replace(where, attached=left)
    return replace(snapshot, networks=tuple(networks.values()), containers=tuple(containers.values()))


def ask(*names: str, **fields) -> Request:
    return Request(**{"names": names or ("front",), "containers": "disconnect", **fields})


def steps(done: PurgePlan) -> list[tuple[str, str]]:
    return [(item.action, item.name) for item in done.changes]


def refusal(request: Request, snapshot: Snapshot) -> CoreError:
    with pytest.raises(CoreError) as caught:
        plan(request, snapshot)
    assert caught.value.details["changed"] is False
    assert caught.value.reason_code in {item["reason_code"] for item in caught.value.details["networks"]} | {"too_many"}
    return caught.value


def outcomes(done: PurgePlan) -> dict[str, str]:
    return {item.name: item.outcome for item in done.verdicts}


# ---- choosing --------------------------------------------------------------------------------------------------------


def test_a_name_that_no_network_has_is_absent_and_changes_nothing():
    done = plan(ask("gone"), world(FRONT))
    assert (outcomes(done), done.changes, done.diff) == ({"gone": "absent"}, (), {"before": "", "after": ""})


def test_a_short_name_never_hits_the_network_whose_id_begins_so():
    assert outcomes(plan(ask("aa"), world(FRONT))) == {"aa": "absent"}


def test_an_unused_network_is_removed_by_its_full_id():
    for asked in ("front", "a" * 64):
        done = plan(ask(asked), world(FRONT))
        assert steps(done) == [("remove", "front")]
        assert done.changes[0].target["id"] == "a" * 64


def test_a_name_and_the_id_of_the_same_network_are_one():
    assert steps(plan(ask("front", "a" * 64), world(FRONT))) == [("remove", "front")]


@pytest.mark.parametrize("twin", [network("front", id="d" * 64), network("a" * 64, id="d" * 64)])
def test_a_name_that_two_networks_answer_to_is_refused_with_both_ids(twin):
    error = refusal(ask(next(name for name in ("front", "a" * 64) if name == twin.name)), world(FRONT, twin))
    assert error.reason_code == "ambiguous"
    assert "a" * 64 in error.msg and "d" * 64 in error.msg


def test_of_twins_the_one_is_removed_whose_full_id_is_given():
    done = plan(ask("d" * 64), world(FRONT, network("front", id="d" * 64)))
    assert [item.target["id"] for item in done.changes] == ["d" * 64]


@pytest.mark.parametrize("name", ["bridge", "host", "none", "default", "ingress", "docker_gwbridge"])
def test_dockers_own_networks_are_refused_before_anybody_is_cut(name):
    there = [] if name == "default" else [network(name)]
    error = refusal(ask("front", name), world(FRONT, *there, container("web", FRONT, BACK), BACK))
    assert error.reason_code == "predefined"
    assert {item["outcome"] for item in error.details["networks"]} == {"refused", "would_remove"}


def test_patterns_pass_by_what_a_name_would_be_refused_for():
    done = plan(ask(names=None, patterns=("*",), protect_networks=("back",)), world(FRONT, BACK, network("bridge")))
    assert outcomes(done) == {"front": "would_remove", "back": "kept", "bridge": "kept"}


def test_a_protected_network_is_refused_by_name():
    assert refusal(ask(protect_networks=("fr*",)), world(FRONT)).reason_code == "protected"


def test_a_protected_container_keeps_its_network_even_when_it_is_stopped():
    for state in ("running", "exited"):
        snapshot = world(FRONT, BACK, container("db", FRONT, BACK, state=state))
        assert refusal(ask(protect_containers=("d?",)), snapshot).reason_code == "protected"


def test_an_empty_list_of_names_chooses_nothing_whatever_the_filters_say():
    assert plan(ask(names=(), filters=Filters(unused=True)), world(FRONT)).verdicts == ()


@pytest.mark.parametrize(
    ("filters", "gone"),
    [
        (Filters(labels={"tier": None}), {"one", "two"}),
        (Filters(labels={"tier": "web"}), {"one"}),
        (Filters(compose_project="shop"), {"three"}),
        (Filters(driver="macvlan"), {"two"}),
        (Filters(scope="swarm"), set()),
    ],
)
def test_filters_alone_choose_among_all_networks(filters, gone):
    snapshot = world(
        network("one", labels={"tier": "web"}),
        network("two", id="e" * 64, labels={"tier": "db"}, driver="macvlan"),
        network("three", id="f" * 64, labels=SHOP),
        network("bridge", id="9" * 64),
    )
    assert set(outcomes(plan(ask(names=None, filters=filters), snapshot))) == gone


def test_filters_narrow_names_and_say_what_differs():
    done = plan(ask(filters=Filters(driver="overlay")), world(FRONT))
    assert [(item.outcome, item.reason) for item in done.verdicts] == [
        ("kept", "its driver is 'bridge', not 'overlay'")
    ]


@pytest.mark.parametrize(("ignored", "outcome"), [(False, "kept"), (True, "would_remove")])
def test_a_stopped_container_is_a_user_unless_that_is_ignored(ignored, outcome):
    snapshot = world(FRONT, container("old", FRONT, state="exited"))
    done = plan(ask(filters=Filters(unused=True, ignore_stopped=ignored)), snapshot)
    assert outcomes(done) == {"front": outcome}
    assert [item.target.get("force") for item in done.changes] == ([True, None] if ignored else [])


def test_more_networks_than_allowed_are_refused_with_both_numbers():
    snapshot = world(FRONT, BACK, SPARE)
    error = refusal(ask(names=None, patterns=("*",), max_networks=2), snapshot)
    assert error.reason_code == "too_many"
    assert "3 networks would go, but max_networks is 2" in error.msg


def test_a_configuration_goes_after_the_networks_made_from_it_and_not_before_them():
    base, made = network("base", id="d" * 64, config_only=True), network("made", id="e" * 64, config_from="base")
    assert steps(plan(ask("base", "made"), world(base, made))) == [("remove", "made"), ("remove", "base")]
    error = refusal(ask("base"), world(base, made))
    assert error.reason_code == "in_use" and "the configuration of made" in error.msg


# ---- deciding --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["running", "paused", "restarting"])
def test_a_live_member_is_refused_by_default_and_named_with_its_cure(state):
    error = refusal(ask(containers="refuse"), world(FRONT, BACK, container("web", FRONT, BACK, state=state)))
    assert error.reason_code == "in_use"
    assert f"front: held by web ({state})" in error.msg
    [found] = error.details["networks"]
    assert [(item["name"], item["action"]) for item in found["holders"]] == [("web", "refuse")]
    assert found["holders"][0]["cure"] in error.sentence


def test_one_refusal_keeps_all_networks():
    error = refusal(ask("front", "back", foreign="refuse"), world(FRONT, BACK, container("web", FRONT, labels=SHOP)))
    assert error.reason_code == "foreign"
    assert "1 of 2 networks cannot be removed, and nothing was changed" in error.msg
    assert [item["outcome"] for item in error.details["networks"]] == ["would_remove", "refused"]


def test_a_member_with_another_network_is_cut_by_its_id():
    web = container("web", FRONT, BACK)
    done = plan(ask(), world(FRONT, BACK, web))
    assert steps(done) == [("disconnect", "web on front"), ("remove", "front")]
    assert done.changes[0].target["container"] == web.id and not done.changes[0].target["force"]


@pytest.mark.parametrize(("foreign", "code"), [("refuse", "foreign"), ("disconnect", "")])
def test_foreign_members_have_a_policy_of_their_own(foreign, code):
    shop = replace(FRONT, labels=SHOP)
    snapshot = world(shop, BACK, container("own", shop, BACK, labels=SHOP), container("guest", shop, BACK))
    if code:
        error = refusal(ask(foreign=foreign), snapshot)
        assert error.reason_code == code and "guest" in error.msg and "own (" not in error.msg
    else:
        assert len(plan(ask(foreign=foreign), snapshot).changes) == 3


@pytest.mark.parametrize("engine", [OLD, NEW])
@pytest.mark.parametrize("state", ["exited", "created"])
def test_members_at_rest_are_healed_whoever_they_belong_to(engine, state):
    snapshot = world(FRONT, container("old", FRONT, state=state, labels=SHOP, network_mode="front"), engine=engine)
    done = plan(ask(containers="refuse"), snapshot)
    assert steps(done) == [("disconnect", "old on front"), ("remove", "front")]
    assert done.changes[0].target["force"]
    assert refusal(ask(stopped="refuse"), snapshot).reason_code == "in_use"


def test_a_reference_by_name_that_a_twin_still_satisfies_is_left_alone():
    twin = network("front", id="d" * 64)
    new = container("new", state="created", endpoints=(Endpoint(network="front"),))
    assert steps(plan(ask("a" * 64), world(FRONT, twin, new))) == [("remove", "front")]


def test_a_live_member_is_never_left_without_a_network():
    snapshot = world(FRONT, BACK, container("web", FRONT, BACK), container("lone", FRONT))
    error = refusal(ask(), snapshot)
    assert error.reason_code == "only_network" and "the only network of lone (running)" in error.msg


def test_networks_that_go_together_do_not_count_as_each_others_replacement():
    snapshot = world(FRONT, BACK, container("web", FRONT, BACK))
    assert refusal(ask("front", "back"), snapshot).reason_code == "only_network"
    done = plan(
        ask("front", "back", fallback_network="spare"), world(FRONT, BACK, SPARE, container("web", FRONT, BACK))
    )
    assert steps(done) == [
        ("disconnect", "web on back"),
        ("remove", "back"),
        ("connect", "web on spare"),
        ("disconnect", "web on front"),
        ("remove", "front"),
    ]


def test_with_keep_connected_off_the_last_network_goes_too():
    done = plan(ask(keep_connected=False), world(FRONT, container("lone", FRONT, network_mode="front")))
    assert steps(done) == [("disconnect", "lone on front"), ("remove", "front")]


@pytest.mark.parametrize("name", ["front", "nowhere", "ingress"])
def test_a_fallback_that_cannot_take_anybody_is_refused(name):
    with pytest.raises(CoreError, match="fallback_network"):
        plan(ask(fallback_network=name), world(FRONT, network("ingress", id="d" * 64)))


PRIMARY_CASES = [
    # engine, state, other networks, left already -> does the network have to stay?
    (NEW, "running", True, False, True),
    (NEW, "running", True, True, True),
    (NEW, "exited", True, False, True),
    (NEW, "exited", False, False, False),
    (OLD, "running", True, False, False),
    (OLD, "exited", True, True, False),
    (Engine("24.0.6"), "running", True, False, False),
    (Engine("24.0.7"), "running", True, False, True),
]


@pytest.mark.parametrize(("engine", "state", "others", "left", "needed"), PRIMARY_CASES)
def test_the_network_a_container_was_created_on_goes_only_if_it_starts_without(engine, state, others, left, needed):
    mine = [] if left else [FRONT]
    member = container("web", *mine, *([BACK] if others else []), state=state, network_mode="front")
    snapshot = world(FRONT, BACK, member, engine=engine)
    if not needed:
        assert outcomes(plan(ask(), snapshot)) == {"front": "would_remove"}
        return
    assert refusal(ask(), snapshot).reason_code == "primary"
    done = plan(ask(primary="placeholder"), snapshot)
    assert outcomes(done) == {"front": "kept"}
    assert steps(done) == ([] if left else [("disconnect", "web on front")])
    again = plan(ask(primary="placeholder"), after(snapshot, done.changes))
    assert (again.changes, outcomes(again)) == ((), {"front": "kept"})


def test_a_placeholder_goes_when_nobody_needs_it_any_more():
    assert outcomes(plan(ask(primary="placeholder"), world(FRONT, BACK, container("web", BACK)))) == {
        "front": "would_remove"
    }


def test_an_attachable_network_of_a_swarm_is_not_emptied_as_services_without_tasks_are_not_seen():
    snapshot = world(replace(FRONT, scope="swarm", driver="overlay"), container("one-off", FRONT))
    request = ask(names=(FRONT.name,), containers="disconnect", foreign="disconnect", keep_connected=False)
    with pytest.raises(CoreError) as caught:
        plan(request, snapshot)
    assert caught.value.reason_code == "service"


def test_a_claim_that_a_failed_connect_left_is_made_good_before_it_is_cut():
    claimed = Endpoint(network=FRONT.name, fixed_ip="172.18.0.9")
    half = replace(container("half", BACK), network_mode=BACK.name)
    half = replace(half, endpoints=(*half.endpoints, claimed))
    done = plan(ask(names=(FRONT.name,), foreign="disconnect", containers="disconnect"), world(FRONT, BACK, half))
    assert [(item.action, item.name) for item in done.changes] == [
        ("connect", "half on front"),
        ("disconnect", "half on front"),
        ("remove", "front"),
    ]
    assert done.changes[1].target["container"] == half.id
    assert done.changes[1].target["force"] is False


@pytest.mark.parametrize(
    "swarm",
    [
        {"services": ("api",)},
        {"attached": (Attached("lb-front", "front-endpoint"),)},
    ],
)
def test_what_belongs_to_swarm_is_refused_whatever_the_options_say(swarm):
    snapshot = world(replace(FRONT, scope="swarm", driver="overlay", **swarm))
    error = refusal(ask(foreign="disconnect", keep_connected=False), snapshot)
    assert error.reason_code == "service"


def test_a_task_is_refused_with_the_name_of_its_service():
    task = container("api.1.x", FRONT, labels={"com.docker.swarm.service.name": "api"})
    assert "the Swarm service api" in refusal(ask(), world(FRONT, task)).msg


def test_a_phantom_is_cleared_by_name_and_force_even_where_containers_are_refused():
    snapshot = world(replace(FRONT, attached=(Attached("ep-123", "ghost"),)))
    done = plan(ask(containers="refuse"), snapshot)
    target = done.changes[0].target
    assert (target["container"], target["force"]) == ("ghost", True)


@pytest.mark.parametrize("name", ["ghost", container("web").id[:3]])
def test_a_phantom_whose_name_a_container_answers_to_is_refused(name):
    live = container("web" if name != "ghost" else "ghost", BACK, state="exited")
    snapshot = world(replace(FRONT, attached=(Attached("ep-123", name),)), BACK, live)
    error = refusal(ask(), snapshot)
    assert error.reason_code == "in_use" and f"docker rename {name}" in error.sentence


def test_an_endpoint_that_only_the_container_claims_is_cleared_by_name_and_force():
    web = container("web", FRONT, BACK)
    snapshot = Snapshot(NEW, (BACK, FRONT), (web,))
    target = plan(ask(), snapshot).changes[0].target
    assert (target["container"], target["force"], target["member"]) == ("web", True, web.id)


# ---- properties ------------------------------------------------------------------------------------------------------

MEMBERS = st.lists(
    st.builds(
        container,
        st.text("xyz", min_size=2, max_size=4),
        st.sampled_from([FRONT, BACK]),
        state=st.sampled_from(["running", "paused", "exited", "created"]),
        network_mode=st.sampled_from(["front", "back", "spare", "bridge"]),
        labels=st.sampled_from([{}, SHOP]),
    ),
    max_size=5,
    unique_by=lambda item: item.name,
)
REQUESTS = st.builds(
    Request,
    names=st.just(("front", "back")),
    containers=st.sampled_from(["refuse", "disconnect"]),
    stopped=st.sampled_from(["heal", "refuse"]),
    foreign=st.sampled_from(["refuse", "disconnect"]),
    primary=st.sampled_from(["refuse", "placeholder"]),
    keep_connected=st.booleans(),
    fallback_network=st.sampled_from(["", "spare"]),
)


@given(REQUESTS, MEMBERS, MEMBERS, st.sampled_from([OLD, NEW]))
def test_a_purge_is_refused_whole_or_converges_and_leaves_nobody_cut_off_or_unable_to_start(
    request_, some, more, engine
):
    members = {item.name: item for item in some}
    for item in more:  # a name drawn twice is a container on both networks
        twice = members.setdefault(item.name, item)
        if twice.endpoints != item.endpoints:
            members[item.name] = replace(twice, endpoints=twice.endpoints + item.endpoints)
    snapshot = world(FRONT, BACK, SPARE, *members.values(), engine=engine)
    try:
        done = plan(request_, snapshot)
    except CoreError:
        return
    then = after(snapshot, done.changes)
    again = plan(request_, then)
    assert again.changes == ()
    there = {item.id for item in then.networks}
    for item in then.containers:
        assert all(endpoint.network_id in there for endpoint in item.endpoints), "it would not start again"
        had = members[item.name].endpoints
        if item.live and had and request_.keep_connected:
            assert item.endpoints, "it lost its last network"
        if engine is NEW and item.endpoints and item.network_mode in ("front", "back", "spare"):
            assert item.network_mode in {network.name for network in then.networks}, "it would not start again"
    for item in then.networks:
        if item.name in ("front", "back"):
            assert not [one for one in holders(then, item) if one.attached]


# ---- doing -----------------------------------------------------------------------------------------------------------


def test_only_what_a_purge_may_touch_is_read_in_detail():
    wants = interest(ask("front"))
    assert [item.name for item in (BACK, FRONT) if wants["detail_networks"](item)] == ["front"]
    at_rest = [container("web", FRONT, state="exited"), container("other", BACK, state="exited")]
    assert [item.name for item in at_rest if wants["detail_containers"](item)] == ["web"]
    # What a live container only claims is in no list.
    assert wants["detail_containers"](container("live", BACK))


def test_where_nothing_is_chosen_no_container_is_read_in_detail():
    wants = interest(ask("no-such-network"))
    assert not any(wants["detail_networks"](item) for item in (BACK, FRONT))
    assert not wants["detail_containers"](container("live", BACK))


def refused_by_docker(status: int, message: str) -> CoreError:
    return CoreError("Docker refused.", details={"status": status, "docker_message": message})


CUT = Change("disconnect", "endpoint", "web on front", "", {"network": FRONT.id, "member": "x", "block": FRONT.id})
REMOVE = Change("remove", "network", "front", "", {"id": FRONT.id, "block": FRONT.id})
ACTIVE = "error while removing network: network front id aaaa has active endpoints"
ACTIVE_NAMED = 'cannot remove network: network front has active endpoints (name:"late" id:"0123456789ab")'


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        (CUT, 404, "No such container: web"),
        (CUT, 404, "network front not found"),
        (CUT, 404, "endpoint web not found"),
        (CUT, 500, "container x is not connected to network front"),
        (CUT, 500, "Container x is marked for removal and cannot be connected or disconnected to the network"),
        (REMOVE, 404, "network front not found"),
    ],
)
def test_what_has_happened_by_itself_meanwhile_counts_as_done(change, status, message):
    assert settled(change, refused_by_docker(status, message), Snapshot, last=False)


def test_other_refusals_are_passed_on():
    for change in (CUT, REMOVE):
        with pytest.raises(CoreError, match="Docker refused"):
            settled(change, refused_by_docker(403, "authorization denied by plugin"), Snapshot, last=False)


def test_endpoints_that_are_gone_on_a_second_look_are_worth_another_try():
    assert settled(REMOVE, refused_by_docker(403, ACTIVE), lambda: world(FRONT), last=False) is False
    assert settled(REMOVE, refused_by_docker(403, ACTIVE), lambda: world(BACK), last=False) is True


def test_a_count_that_stays_wrong_is_called_drift_with_its_only_cure():
    with pytest.raises(CoreError) as caught:
        settled(REMOVE, refused_by_docker(403, ACTIVE), lambda: world(FRONT), last=True)
    assert caught.value.reason_code == "count_drift" and "systemctl restart docker" in caught.value.hint


def test_an_intruder_is_named_and_never_taken_for_drift():
    joined = world(FRONT, container("late", FRONT))
    for message, look, last in ((ACTIVE, joined, False), (ACTIVE_NAMED, world(FRONT), True)):
        with pytest.raises(CoreError, match="late") as caught:
            settled(REMOVE, refused_by_docker(403, message), lambda look=look: look, last=last)
        assert caught.value.reason_code == "in_use"


POOLED = replace(FRONT, pools=(Pool("10.9.0.0/24", "10.9.0.1"),))


def member(name: str, ip: str = "", fixed: str = "", **fields) -> Container:
    endpoint = Endpoint(network="front", network_id=FRONT.id, ip=ip or fixed, fixed_ip=fixed)
    return container(name, endpoints=(replace(endpoint, **fields),))


def restored(*members: Container, network: Network = POOLED) -> list[Change]:
    before = replace(world(), networks=(network,), containers=members)
    done = [
        Change("disconnect", "endpoint", "", "", {"network": network.id, "member": item.id, "block": network.id})
        for item in members
    ]
    return list(undo(before, [*done, REMOVE]))


def test_members_come_back_with_addresses_aliases_links_and_driver_options():
    web = member("web", fixed="10.9.0.7", aliases=("w", "x"), links=("db:d",), driver_opts={"k": "v"}, gw_priority=3)
    web = replace(web, endpoints=(replace(web.endpoints[0], aliases=("w", "x", web.id[:12])),))
    [back] = restored(web)
    assert back.name == "web on front"
    assert back.target["config"] == {
        "IPAMConfig": {"IPv4Address": "10.9.0.7"},
        "Aliases": ["w", "x"],
        "Links": ["db:d"],
        "DriverOpts": {"k": "v"},
        "GwPriority": 3,
    }


def test_asked_for_addresses_come_back_first_then_the_others_from_the_lowest_on():
    back = restored(member("aa", ip="10.9.0.4"), member("bb", ip="10.9.0.2"), member("cc", fixed="10.9.0.3"))
    assert [item.name for item in back] == ["cc on front", "bb on front", "aa on front"]
    assert [item.target["config"] for item in back[1:]] == [{}, {}]


def test_an_address_that_docker_would_not_give_again_by_itself_is_asked_for():
    [back] = restored(member("aa", ip="10.9.0.9"))
    assert back.target["config"] == {"IPAMConfig": {"IPv4Address": "10.9.0.9"}}
    assert back.target["config_without_ip"] == {}


def test_a_step_that_failed_is_undone_as_one_that_maybe_did_nothing():
    web = member("web", ip="10.9.0.2")
    cut = Change("disconnect", "endpoint", "", "", {"network": FRONT.id, "member": web.id, "block": FRONT.id})
    [back] = undo(Snapshot(NEW, (POOLED,), (web,)), [cut])
    assert back.target["uncertain"]


def test_a_network_that_is_gone_keeps_its_members_off_when_the_next_one_fails():
    snapshot = world(FRONT, BACK, SPARE, container("web", FRONT, BACK))
    changes = plan(ask("front", "back", fallback_network="spare"), snapshot).changes
    back = undo(snapshot, changes)
    assert [(item.action, item.name) for item in back] == [("connect", "web on front"), ("disconnect", "web on spare")]


def test_a_move_that_failed_half_way_is_cleared_by_name_and_force():
    snapshot = world(FRONT, SPARE, container("web", FRONT))
    [move, *_rest] = plan(ask(fallback_network="spare"), snapshot).changes
    [back] = undo(snapshot, [move])
    assert (back.target["container"], back.target["force"], back.target["uncertain"]) == ("web", True, True)
