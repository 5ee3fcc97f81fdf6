# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Phases, what is noted and taken back, joiners, and what needs a deploy: on hosts made of values."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.bulkhead.docker.plugins.module_utils._core.app_network import plan, read
from ansible_collections.bulkhead.docker.plugins.module_utils._core.apps import is_name, read_app
from ansible_collections.bulkhead.docker.plugins.module_utils._core.errors import CoreError
from ansible_collections.bulkhead.docker.plugins.module_utils._core.marker import (
    ALIASES_GIVEN,
    ATTACHED_BY,
    Marker,
    marker_of,
    without_note,
)
from ansible_collections.bulkhead.docker.plugins.module_utils._core.model import (
    PREDEFINED_NETWORKS,
    SWARM_NETWORKS,
    Container,
    Endpoint,
    Network,
    PublishedPort,
    Snapshot,
)
from ansible_collections.bulkhead.docker.plugins.module_utils._core.needs_deploy import needs_deploy
from ansible_collections.bulkhead.docker.plugins.module_utils._core.phase import PHASES
from ansible_collections.bulkhead.docker.plugins.module_utils._core.reattach import reattachments

EARLY = Marker("shop", "attach_post_create", ("shop",))
LATE = Marker("shop", "attach_post_deploy", ("shop",))
SHOP = {"io.bulkhead.app": "shop"}
ONE_OFF = {**SHOP, "com.dokku.container-type": "run"}


def network(name: str, **values: t.Any) -> Network:
    return Network(id=(name.encode().hex() * 64)[:64], name=name, **values)


NETWORKS = {name: network(name) for name in ("bridge", "n0", "n1", "n2")}


def member(name: str, on: t.Mapping[str, Marker | None] | None = None, **values: t.Any) -> Container:
    """A container on these networks, each with the note that its endpoint bears and the alias ``shop``."""
    on = on or {}
    values.setdefault("labels", SHOP)
    created = values.get("state") == "created"
    endpoints = tuple(
        Endpoint(
            item,
            "" if created else NETWORKS[item].id,
            aliases=("shop",),
            driver_opts=note.driver_opts if note is not None else {},
        )
        for item, note in on.items()
    )
    return Container(id=(name.encode().hex() * 64)[:64], name=name, endpoints=endpoints, detailed=True, **values)


def host(*containers: Container) -> Snapshot:
    networks = sorted(NETWORKS.values(), key=lambda item: item.name)
    return Snapshot(networks=tuple(networks), containers=tuple(sorted(containers, key=lambda item: item.name)))


def steps(snapshot: Snapshot, **params: t.Any) -> list[str]:
    return [f"{change.action} {change.name}" for change in plan(read(params), snapshot).changes]


def refusal(snapshot: Snapshot, **params: t.Any) -> CoreError:
    with pytest.raises(CoreError) as caught:
        plan(read(params), snapshot)
    return caught.value


# ---- notes -----------------------------------------------------------------------------------------------------------

NAMES = st.from_regex(r"[a-z0-9_]([a-z0-9_.-]{0,20}[a-z0-9_])?", fullmatch=True)


@given(app=NAMES, key=st.sampled_from(["attach_post_create", "attach_post_deploy"]), aliases=st.sets(NAMES))
def test_a_note_is_read_as_it_was_written_beside_other_options(app: str, key: str, aliases: set[str]) -> None:
    note = Marker(app, key, tuple(sorted(aliases)))
    endpoint = Endpoint("n", driver_opts={"a": "b", **note.driver_opts})
    assert marker_of(endpoint) == note
    assert without_note(endpoint.driver_opts) == {"a": "b"}


@given(by=st.text(), aliases=st.text())
def test_a_note_that_others_wrote_is_read_without_harm(by: str, aliases: str) -> None:
    found = marker_of(Endpoint("n", driver_opts={ATTACHED_BY: by, ALIASES_GIVEN: aliases}))
    assert found is None or f"{found.app}:{found.key}" == by


@given(text=st.text())
def test_whatever_a_label_says_an_alias_is_a_name_that_can_be_looked_up(text: str) -> None:
    item = member("x", labels={**SHOP, "io.bulkhead.process": text, "com.docker.compose.service": "web"})
    app = read_app({"name": "shop", "tld": "test"}, {})
    assert is_name(app.main_alias(item))
    assert app.process_type(item) == (text if is_name(text) else "web")


@given(text=st.text(min_size=1), key=st.sampled_from(["name", "tld", "aliases", "initial_network"]))
@example(text="$(reboot)", key="name")
@example(text="a\n", key="tld")
@example(text="none", key="initial_network")
@example(text="x" * 254, key="aliases")
def test_a_value_that_is_no_name_is_refused_and_quoted(text: str, key: str) -> None:
    given_ = {"name": "shop", key: [text] if key == "aliases" else text}
    try:
        app = read_app(given_, {}, "apps[0]")
    except CoreError as error:
        predefined = key == "initial_network" and text in PREDEFINED_NETWORKS | SWARM_NETWORKS
        assert error.reason_code == ("predefined" if predefined else "invalid_option")
        assert error.msg.startswith(f"apps[0].{key}")
        assert error.msg.isprintable()
        assert key != "initial_network" or predefined or not text.strip()
        return
    value = app.name if key == "name" else app.value(key)
    assert value == ((text,) if key == "aliases" else text)
    assert key == "initial_network" or is_name(text)


@given(
    glob=st.text(min_size=1).filter(str.strip), name=st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,20}", fullmatch=True)
)
@example(glob="[", name="ab")
@example(glob="*a" * 500, name="a" * 20)
def test_a_pattern_fits_a_name_or_not_whatever_it_is(glob: str, name: str) -> None:
    item = member(name, labels={})
    assert read_app({"name": "x", "match": {"names": [glob]}}, {}).owns(item) in (True, False)
    assert read_app({"name": "x", "match": {"names": [name]}}, {}).owns(item)


# ---- phases ----------------------------------------------------------------------------------------------------------

STATES = {
    "created": member("created", state="created"),
    "runs": member("runs"),
    "paused": member("paused", state="paused"),
    "stopped": member("stopped", state="exited"),
    "task": member("task", labels=ONE_OFF),
}


STATE_OF = {"new": "created", "old": "running"}


@pytest.mark.parametrize(
    ("phase", "early", "late", "alias"),
    [
        ("all", {"created", "runs", "paused", "stopped", "task"}, {"runs", "paused", "stopped"}, True),
        ("deploy", {"created", "runs", "paused", "stopped"}, {"runs", "paused", "stopped"}, True),
        ("create", {"created", "runs", "paused", "stopped"}, set(), True),
        ("build", {"created", "runs", "paused", "stopped", "task"}, set(), False),
        ("run", {"created", "runs", "paused", "stopped", "task"}, set(), False),
    ],
)
def test_each_phase_attaches_what_belongs_to_it(phase: str, early: set[str], late: set[str], alias: bool) -> None:
    params = {"app": "shop", "attach_post_create": ["n0"], "attach_post_deploy": ["n1"], "phase": phase}
    changes = plan(read(params), host(*STATES.values())).changes
    joined = {
        name: {change.name.split()[0] for change in changes if change.name.endswith(name)} for name in ("n0", "n1")
    }
    assert joined == {"n0": early, "n1": late}
    named = {change.name.split()[0] for change in changes if change.target["config"].get("Aliases")}
    assert named == ({*early} - {"task"} if alias else set())
    assert {change.target["config"]["DriverOpts"][ATTACHED_BY] for change in changes if change.name.endswith("n0")} == {
        "shop:attach_post_create"
    }


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("state", ["created", "exited", "running"])
@pytest.mark.parametrize("key", ["attach_post_create", "attach_post_deploy"])
def test_before_the_deploy_only_new_containers_leave_and_only_what_belongs_before_it(
    phase: str, state: str, key: str
) -> None:
    snapshot = host(member("c", {"n0": Marker("shop", key), "bridge": None}, state=state))
    leaves = phase in ("all", "deploy") or (state == "created" and key == "attach_post_create")
    expected = ["disconnect c on n0"] if leaves else []
    assert steps(snapshot, app="shop", **{key: []}, phase=phase) == expected
    # What serves is not taken apart to give it another alias either.
    there = host(member("c", {"n0": Marker("shop", key)}, state=state))
    if state == "created":
        remade = key == "attach_post_create" and phase in ("all", "deploy", "create")
    else:
        remade = phase in ("all", "deploy")
    assert bool(steps(there, app="shop", **{key: ["n0"]}, aliases=["new"], phase=phase)) == remade


@pytest.mark.parametrize(("phase", "left"), [("create", ["new"]), ("run", ["new"]), ("deploy", ["new", "old"])])
def test_an_exclusive_app_drops_nothing_of_what_serves_before_the_deploy(phase: str, left: list[str]) -> None:
    members = [member(name, {"bridge": None, "n0": None}, state=state) for name, state in STATE_OF.items()]
    task = member("task", {"bridge": None, "n0": None}, labels=ONE_OFF, state="created")
    app = {"app": "shop", "attach_post_create": ["n0"], "exclusive": True, "phase": phase}
    found = [step for step in steps(host(*members, task), **app) if step.endswith("bridge")]
    expected = [*left, *(["task"] if phase == "run" else [])]
    assert found == [f"disconnect {name} on bridge" for name in expected]


# ---- what is taken back ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on", "params", "left"),
    [
        ({"n0": EARLY}, {"attach_post_create": []}, ["n0"]),
        ({"n0": EARLY, "n1": EARLY}, {"attach_post_create": ["n1"]}, ["n0"]),
        ({"n0": EARLY}, {}, []),
        ({"n0": EARLY}, {"attach_post_deploy": []}, []),
        ({"n0": EARLY}, {"attach_post_create": [], "attach_post_deploy": ["n0"]}, []),
        ({"n0": EARLY}, {"attach_post_create": [], "initial_network": "n0"}, []),
        ({"n0": None}, {"attach_post_create": [], "attach_post_deploy": []}, []),
        ({"n0": Marker("shopping", "attach_post_create")}, {"attach_post_create": []}, []),
        ({"n0": LATE, "n1": EARLY}, {"attach_post_create": [], "attach_post_deploy": []}, ["n0", "n1"]),
        ({"n0": EARLY}, {"app_defaults": {"attach_post_create": []}}, ["n0"]),
        ({"n0": EARLY}, {"attach_post_create": ["n0"], "app_defaults": {"attach_post_create": []}}, []),
        ({"n0": EARLY}, {"attach_post_create": [], "networks": [{"name": "n0", "connected": ["c"]}]}, []),
        ({"n0": EARLY}, {"attach_post_create": [], "networks": ["n0"], "joiners": ["c"]}, []),
        ({"n0": EARLY}, {"attach_post_create": [], "networks": [{"name": "n0", "state": "absent"}]}, ["n0"]),
    ],
)
def test_only_what_this_property_of_this_app_attached_and_lists_no_more_is_taken_back(
    on: dict[str, Marker | None], params: dict[str, t.Any], left: list[str]
) -> None:
    snapshot = host(member("c", {"bridge": None, **on}))
    found = steps(snapshot, app="shop", **params)
    assert [step for step in found if "remove" not in step] == [f"disconnect c on {name}" for name in left]


def test_an_app_that_lists_a_network_keeps_what_another_app_gives_up() -> None:
    snapshot = host(member("c", {"bridge": None, "n0": EARLY}))
    apps = [{"name": "shop", "attach_post_create": []}, {"name": "b", "match": {"labels": SHOP}}]
    assert steps(snapshot, apps=apps) == ["disconnect c on n0"]
    apps[1]["attach_post_deploy"] = ["n0"]
    # It comes back with the other app's alias, and stays noted for the app that it was made for.
    off, on = plan(read({"apps": apps}), snapshot).changes
    assert (off.action, on.action, on.target["config"]["Aliases"]) == ("disconnect", "connect", ["b", "shop"])
    assert on.target["config"]["DriverOpts"] == EARLY.driver_opts


def test_a_running_container_keeps_its_last_network_though_the_list_is_empty() -> None:
    error = refusal(host(member("c", {"n0": EARLY})), app="shop", attach_post_create=[])
    assert (error.reason_code, error.details["network"]) == ("only_network", "n0")


def test_an_alias_goes_where_we_gave_it_and_stays_where_others_did() -> None:
    ours = Marker("shop", "attach_post_create", ("shop", "old"))
    noted = replace(
        member("c", {"n0": ours, "n1": None}),
        endpoints=tuple(
            Endpoint(name, NETWORKS[name].id, aliases=("shop", "old", "theirs"), driver_opts=note)
            for name, note in (("n0", ours.driver_opts), ("n1", {"a": "b"}))
        ),
    )
    found = plan(read({"app": "shop", "attach_post_create": ["n0", "n1"]}), host(noted)).changes
    assert [change.name for change in found] == ["c on n0", "c on n0"]
    config = found[1].target["config"]
    assert config["Aliases"] == ["shop", "theirs"]
    assert config["DriverOpts"] == Marker("shop", "attach_post_create", ("shop",)).driver_opts
    assert "still has the alias old" in found[1].reason
    # On the other, a new alias is added to what there is, and the endpoint is still nobody's.
    found = plan(read({"app": "shop", "attach_post_create": ["n1"], "aliases": ["new"]}), host(noted)).changes
    assert [f"{change.action} {change.name}" for change in found] == [
        "disconnect c on n1",
        "connect c on n1",
        "disconnect c on n0",
    ]
    assert found[1].target["config"]["Aliases"] == ["new", "old", "shop", "theirs"]
    assert found[1].target["config"]["DriverOpts"] == {"a": "b"}


def test_a_note_survives_what_others_do_to_the_endpoint() -> None:
    item = member("c", {"n0": EARLY})
    given_back = reattachments(host(item), NETWORKS["n0"], [item.id], uncertain=())
    assert given_back[0].target["config"]["DriverOpts"] == EARLY.driver_opts
    named = [{"name": "n0", "connected": [{"name": "c", "aliases": ["x"], "driver_opts": {"a": "b"}}]}]
    found = plan(read({"networks": named}), host(item)).changes
    assert found[1].target["config"]["DriverOpts"] == {**EARLY.driver_opts, "a": "b"}
    off = plan(read({"networks": [{"name": "n0", "exclusive": True}]}), host(member("c", {"n0": EARLY, "n1": None})))
    assert off.changes[0].target["restore"]["config"]["DriverOpts"] == EARLY.driver_opts


# ---- joiners ---------------------------------------------------------------------------------------------------------


def test_joiners_join_what_is_to_be_there_and_leave_what_is_to_go() -> None:
    proxy = member("proxy", {"bridge": None, "n1": None}, labels={})
    networks = [{"name": "n0", "exclusive": True}, {"name": "n1", "state": "absent"}, "new"]
    joiners = [{"name": "proxy", "aliases": ["gate"]}]
    assert steps(host(proxy, member("c", {"n0": None, "n2": None})), networks=networks, joiners=joiners) == [
        "create new",
        "connect proxy on n0",
        "connect proxy on new",
        "disconnect c on n0",
        "disconnect proxy on n1",
        "remove n1",
    ]
    joined = plan(read({"networks": ["n0"], "joiners": joiners}), host(proxy)).changes[0].target["config"]
    assert joined == {"Aliases": ["gate"]}
    forms = [{"name": "form", "config_only": True}]
    assert steps(host(proxy), networks=forms, joiners=joiners) == ["create form"]


@pytest.mark.parametrize(
    ("params", "reason", "word"),
    [
        ({"app": "shop", "joiners": ["c"]}, "invalid_option", "without any network"),
        ({"name": "n0", "joiners": ["ghost"]}, "unknown_container", "joiners[0]"),
        ({"name": "n0", "joiners": [{"name": "c", "ipv4_address": "10.0.0.1"}]}, "invalid_option", "joiners[0]"),
        ({"name": "n0", "phase": "now", "joiners": []}, "invalid_option", "phase"),
        ({"app": "c", "initial_network": "n0", "attach_post_deploy": ["n0"]}, "invalid_option", "attach_post_deploy"),
        (
            {"app": "c", "attach_post_create": ["n0"], "app_defaults": {"attach_post_deploy": ["n1", "n0"]}},
            "invalid_option",
            "app_defaults.attach_post_deploy",
        ),
        ({"app": "c", "bind_all_interfaces": "perhaps"}, "invalid_option", "bind_all_interfaces"),
    ],
)
def test_what_can_not_be_meant_is_refused_by_its_place(params: dict[str, t.Any], reason: str, word: str) -> None:
    error = refusal(host(member("c", {"bridge": None})), **params)
    assert error.reason_code == reason
    assert word in error.sentence


@pytest.mark.parametrize("place", ["app", "app_defaults"])
@pytest.mark.parametrize("key", ["initial_network", "attach_post_create", "attach_post_deploy"])
@pytest.mark.parametrize("name", ["host", "bridge", "none", "default", "ingress", "docker_gwbridge", "missing"])
def test_dockers_own_and_missing_networks_are_refused_in_every_property(place: str, key: str, name: str) -> None:
    given = {key: name if key == "initial_network" else ["n0", name]}
    params = {"apps": [{"name": "shop", **(given if place == "app" else {})}]}
    error = refusal(host(member("c")), **params, app_defaults=given if place == "app_defaults" else {})
    assert error.reason_code == ("unknown_network" if name == "missing" else "predefined")
    assert f"{'apps[0]' if place == 'app' else place}.{key}" in error.msg
    assert repr(name) in error.msg


def test_a_network_named_like_the_id_of_another_is_never_joined() -> None:
    trap = Network(id="f" * 64, name=NETWORKS["n0"].id)
    snapshot = host(member("c", {"bridge": None}))
    snapshot = replace(snapshot, networks=(trap, *snapshot.networks))
    error = refusal(snapshot, app="shop", attach_post_create=[trap.name])
    assert (error.reason_code, "'n0'" in error.msg) == ("ambiguous", True)
    assert refusal(snapshot, name=trap.name, connected=["c"]).reason_code == "ambiguous"
    assert steps(snapshot, name=trap.name, state="absent") == [f"remove {trap.name}"]


@pytest.mark.parametrize("option", ["attach_post_create", "exclusive"])
def test_a_command_in_a_message_is_safe_to_type_whatever_a_label_says(option: str) -> None:
    labels = {**SHOP, "com.docker.swarm.service.id": "s", "com.docker.swarm.service.name": "$(reboot)"}
    task = member("c", {"n0": None, "n1": None}, labels=labels)
    params: dict[str, t.Any] = {"attach_post_create": ["n2"]} if option == "attach_post_create" else {"exclusive": True}
    assert "'$(reboot)'" in refusal(host(task), app="shop", **params).hint


# ---- what needs a deploy ---------------------------------------------------------------------------------------------

WIDE = (PublishedPort("0.0.0.0", 8080, 80), PublishedPort("::", 8080, 80))
NARROW = (PublishedPort("127.0.0.1", 8080, 80),)


@pytest.mark.parametrize(
    ("given", "published", "values", "wrong"),
    [
        (None, WIDE, {}, False),
        (False, WIDE, {}, True),
        (True, WIDE, {}, False),
        (True, NARROW, {}, True),
        (False, NARROW, {}, False),
        (True, (), {}, True),
        (False, (), {}, False),
        (True, (), {"state": "exited"}, False),
        (True, (), {"network_mode": "host"}, False),
        (True, (), {"network_mode": "container:x"}, False),
        (True, (), {"labels": ONE_OFF}, False),
        (True, (), {"state": "paused"}, True),
    ],
)
def test_ports_are_held_against_what_is_asked_for_only(
    given: bool | None, published: tuple[PublishedPort, ...], values: dict[str, t.Any], wrong: bool
) -> None:
    item = member("c", published=published, **values)
    app = {"name": "shop"} if given is None else {"name": "shop", "bind_all_interfaces": given}
    expected = {
        "app": "shop",
        "container": "c",
        "property": "bind_all_interfaces",
        "is": not given,
        "wanted": given,
    }
    assert needs_deploy(read_app(app, {}), host(item)) == ([expected] if wrong else [])
