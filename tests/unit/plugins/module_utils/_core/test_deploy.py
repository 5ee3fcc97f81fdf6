# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bulkhead.docker.plugins.module_utils._core.deploy import (
    arguments,
    generation,
    message,
    plan,
    verdict,
)
from ansible_collections.bulkhead.docker.plugins.module_utils._core.deploy_request import Deployment, read_deployment
from ansible_collections.bulkhead.docker.plugins.module_utils._core.errors import CoreError

IMAGES = {"shop:1": "sha256:one", "shop:2": "sha256:two"}


def shop(image: str = "shop:1", /, **processes: t.Any) -> Deployment:
    return read_deployment({"name": "shop", "image": image, "processes": processes or {"web": {}}})


def decide(deployment: Deployment, containers: t.Sequence[t.Any] = (), rebuild: bool = False) -> t.Any:
    return plan(deployment, containers, IMAGES, rebuild)


def created(entry: t.Mapping[str, t.Any], **changes: t.Any) -> dict[str, t.Any]:
    """The container that comes of an entry of a plan, as the info module would report it."""
    return {
        "name": entry["name"],
        "id": f"id of {entry['name']}",
        "state": "running",
        "health": "",
        "restarts": 0,
        "exit_code": 0,
        "process_type": entry["process"],
        "index": str(entry["index"]),
        "generation": entry["generation"],
        **changes,
    }


def running(deployment: Deployment) -> list[dict[str, t.Any]]:
    return [created(entry) for entry in decide(deployment)["create"]]


def names(entries: t.Iterable[t.Mapping[str, t.Any]]) -> list[str]:
    return [str(entry["name"]) for entry in entries]


def test_what_was_deployed_is_kept_by_the_next_run() -> None:
    there = running(shop(web={"scale": 2}, worker={}))
    assert [name.partition("-")[0] for name in names(there)] == ["shop.web.1", "shop.web.2", "shop.worker.1"]
    found = decide(shop(web={"scale": 2}, worker={}), there)
    assert found["keep"] == names(there)
    assert not any(found[key] for key in ("create", "judge", "stop_first", "retire", "remove"))


def test_a_new_image_replaces_all_containers_and_leaves_the_old_ones_until_the_end() -> None:
    there = running(shop())
    found = decide(shop("shop:2"), there)
    assert len(found["create"]) == 1 and found["keep"] == []
    assert found["judge"] == names(found["create"])
    assert found["retire"] == found["remove"] == names(there)
    assert found["stop_first"] == []
    assert not set(names(found["create"])) & set(names(there))


def test_a_change_of_one_process_leaves_the_others_alone() -> None:
    there = running(shop(web={}, worker={}))
    found = decide(shop(web={"env": {"A": 1}}, worker={}), there)
    assert [entry["process"] for entry in found["create"]] == ["web"]
    assert [name.partition("-")[0] for name in found["keep"]] == ["shop.worker.1"]


def test_scaling_touches_only_what_comes_or_goes() -> None:
    one, three = running(shop(web={"scale": 1})), running(shop(web={"scale": 3}))
    up = decide(shop(web={"scale": 3}), one)
    assert (up["keep"], [entry["index"] for entry in up["create"]], up["remove"]) == (names(one), [2, 3], [])
    down = decide(shop(web={"scale": 1}), three)
    assert (down["keep"], down["create"], down["remove"]) == (names(three)[:1], [], names(three)[1:])
    assert decide(shop(web={"scale": 0}), three)["remove"] == names(three)


def test_a_process_or_an_app_that_is_not_wanted_any_more_goes() -> None:
    there = running(shop(web={}, worker={}))
    assert decide(shop(web={}), there)["remove"] == names(there)[1:]
    gone = decide(read_deployment({"name": "shop", "state": "absent"}), there)
    assert (gone["create"], gone["remove"]) == ([], names(there))


def test_a_rebuild_makes_everything_anew_under_names_that_are_free() -> None:
    there = running(shop())
    first = decide(shop(), there, rebuild=True)
    assert names(first["create"]) == [f"{there[0]['name']}-r1"]
    assert first["remove"] == names(there)
    again = decide(shop(), [created(first["create"][0])], rebuild=True)
    assert names(again["create"]) == names(there)
    assert decide(shop(), [created(first["create"][0])])["create"] == []


@pytest.mark.parametrize("changes", [{"state": "exited"}, {"state": "created"}, {"health": "unhealthy"}])
def test_a_container_that_does_not_serve_is_made_anew(changes: dict[str, t.Any]) -> None:
    there = [created(entry, **changes) for entry in decide(shop())["create"]]
    found = decide(shop(), there)
    assert found["remove"] == names(there)
    assert names(found["create"]) != names(there)


def test_containers_that_no_deploy_made_are_left_alone() -> None:
    by_hand = {**running(shop())[0], "generation": "", "name": "shop.web.1"}
    found = decide(shop(), [by_hand])
    assert found["remove"] == [] and len(found["create"]) == 1


def test_a_deploy_that_ended_before_its_hand_over_is_judged_again() -> None:
    old, new = running(shop()), running(shop("shop:2"))
    found = decide(shop("shop:2"), [*old, *new])
    assert (found["create"], found["keep"], found["judge"]) == ([], names(new), names(new))
    assert found["remove"] == names(old)
    stopped = [{**old[0], "state": "exited"}]
    assert decide(shop("shop:2"), [*stopped, *new])["judge"] == []


def test_two_generations_never_share_a_fixed_port_of_the_host() -> None:
    fixed = {"web": {"ports": ["8080:80"]}, "worker": {}}
    there = running(shop(**fixed))
    assert decide(shop("shop:2", **fixed), there)["stop_first"] == [there[0]["name"]]
    assert decide(shop(**fixed), there)["stop_first"] == []
    exited = [{**there[0], "state": "exited"}, there[1]]
    assert decide(shop("shop:2", **fixed), exited)["stop_first"] == []
    assert decide(shop("shop:2", web={"ports": ["80"]}), running(shop(web={"ports": ["80"]})))["stop_first"] == []


def test_an_old_fixed_port_is_given_up_before_the_new_container_takes_it() -> None:
    # The old container may hold the port that the new one asks for, though the declaration named no process with it.
    there = running(shop(web={}))
    assert decide(shop(web={"ports": ["8080:80"]}), there)["stop_first"] == names(there)
    assert decide(shop(front={"ports": ["8080:80"]}), there)["stop_first"] == names(there)
    assert decide(shop(front={}), there)["stop_first"] == []
    assert decide(shop(web={}, front={"ports": ["8080:80"]}), there)["stop_first"] == []


def test_an_image_that_is_not_there_is_refused_unless_nothing_needs_it() -> None:
    with pytest.raises(CoreError) as caught:
        decide(shop("shop:9"))
    assert all(words in caught.value.sentence for words in ("'shop:9' of shop.web", "docker pull shop:9"))
    assert caught.value.reason_code == "unknown_image"
    assert decide(shop("shop:9", web={"scale": 0}))["create"] == []


@pytest.mark.parametrize(
    "change",
    [
        {"env": {"A": "2"}},
        {"command": ["serve", "2"]},
        {"ports": ["81"]},
        {"memory": "1g"},
        {"restart_policy": "always"},
        {"labels": {"a": "2"}},
        {"volumes": ["data:/data"]},
    ],
)
def test_each_change_of_what_a_container_is_made_from_is_another_generation(change: dict[str, t.Any]) -> None:
    base = {"env": {"A": "1"}, "command": ["serve"], "ports": ["80"], "labels": {"a": "1"}, "memory": "2g"}

    def of(process: dict[str, t.Any], image: str = "sha256:one", **app: t.Any) -> str:
        found = read_deployment({"name": "shop", "image": "shop:1", "processes": {"web": process}, **app})
        return generation(found, found.processes[0], image)

    assert of({**base, **change}) != of(base)
    assert of({**base, "scale": 4}) == of(dict(reversed(base.items()))) == of(base, tld="internal")
    assert len({of(base), of(base, "sha256:two"), of(base, initial_network="net")}) == 3


def test_a_container_is_created_with_its_labels_its_limit_and_its_first_network_only() -> None:
    app = {
        "name": "shop",
        "image": "shop:1",
        "initial_network": "first",
        "attach_post_create": ["data"],
        "env": {"A": 1},
        "processes": {"web": {"labels": {"team": "a"}, "memory": "64m", "init": True, "ports": ["80"]}},
    }
    deployment = read_deployment(app, {"restart_policy": "unless-stopped"})
    entry = decide(deployment)["create"][0]
    assert arguments(deployment, entry) == {
        "name": entry["name"],
        "image": "shop:1",
        "env": {"A": "1"},
        "init": True,
        "labels": {
            "team": "a",
            "io.bulkhead.app": "shop",
            "io.bulkhead.process": "web",
            "io.bulkhead.index": "1",
            "io.bulkhead.generation": entry["generation"],
        },
        "networks": [{"name": "first"}],
        "published_ports": ["127.0.0.1::80/tcp"],
        "memory": "64m",
        "memory_swap": "64m",
        "restart_policy": "unless-stopped",
    }


def test_without_limit_and_network_docker_decides_and_swap_can_be_given_apart() -> None:
    free = shop()
    assert not {"memory", "memory_swap", "networks"} & set(arguments(free, decide(free)["create"][0]))
    more = shop(web={"memory": "64m", "memory_swap": "128m"})
    assert arguments(more, decide(more)["create"][0])["memory_swap"] == "128m"


@pytest.mark.parametrize(
    ("changes", "looks", "failed", "waiting"),
    [
        ({}, 6, "", ""),
        ({}, 5, "", "has not run for 5 seconds yet"),
        ({"health": "healthy"}, 1, "", ""),
        ({"health": "starting"}, 99, "", "has not passed its health check yet"),
        ({"health": "unhealthy"}, 1, "fails its health check", ""),
        ({"restarts": 1, "exit_code": 3}, 1, "ends and is started again (exit status 3)", ""),
        ({"state": "restarting", "exit_code": 3}, 1, "ends and is started again (exit status 3)", ""),
        ({"state": "exited", "exit_code": 1}, 99, "is exited (exit status 1)", ""),
        ({"state": "created"}, 99, "is created", ""),
    ],
)
def test_a_container_is_well_when_its_health_check_or_its_endurance_says_so(
    changes: dict[str, t.Any], looks: int, failed: str, waiting: str
) -> None:
    there = [created(decide(shop())["create"][0], **changes)]
    found = verdict(there, names(there), looks, 5)
    for key, words in (("failed", failed), ("waiting", waiting)):
        assert len(found[key]) == bool(words)
        assert all(words in sentence and there[0]["name"] in sentence for sentence in found[key])


def test_a_container_that_is_gone_is_not_well_and_others_do_not_count() -> None:
    there = [created(decide(shop())["create"][0], state="exited")]
    assert verdict(there, ["other"], 9, 5) == {"failed": ["other is gone"], "waiting": []}
    assert verdict(there, [], 9, 5) == {"failed": [], "waiting": []}


def test_the_message_of_a_failure_is_told_without_the_values_of_variables() -> None:
    deployment = shop(web={"env": {"KEY": "correct-horse", "LONGER": "correct-horse-battery", "ONE": "1", "NO": ""}})
    loop = {
        "msg": "One or more items failed",
        "results": [{"msg": "fine"}, {"failed": True, "msg": "no correct-horse-battery 1"}],
    }
    assert message(deployment, loop) == "no *** 1"
    assert message(deployment, {"msg": "use correct-horse"}) == "use ***"
    assert message(deployment, {}) == "no reason was given"


SCALES = st.fixed_dictionaries({}, optional={name: st.integers(0, 3) for name in ("web", "worker", "job")})
STATES = st.sampled_from(["running", "exited", "created", "restarting", "paused", "dead"])


@given(st.lists(st.tuples(SCALES, st.sampled_from(sorted(IMAGES)), st.booleans(), st.data()), min_size=1, max_size=4))
def test_any_series_of_deploys_ends_with_exactly_what_the_last_one_declares(
    deploys: list[tuple[dict[str, int], str, bool, st.DataObject]],
) -> None:
    there: list[dict[str, t.Any]] = []
    for scales, image, rebuild, data in deploys:
        deployment = shop(image, **{name: {"scale": scale} for name, scale in scales.items()}, base={})
        # What happened since: containers ended, or a deploy was killed at any point.
        there = [{**item, "state": data.draw(STATES)} for item in there]
        found = decide(deployment, there, rebuild)
        new = names(found["create"])
        assert not set(new) & set(names(there)), "a new container would need the name of one that is there"
        assert len(set(new)) == len(new)
        if data.draw(st.booleans()):  # killed before the hand-over
            there += [created(entry) for entry in found["create"]]
            continue
        there = [item for item in there if item["name"] not in found["remove"]]
        there += [created(entry) for entry in found["create"]]
        wanted = sorted((name, str(n)) for name, scale in {**scales, "base": 1}.items() for n in range(1, scale + 1))
        assert sorted((item["process_type"], item["index"]) for item in there) == wanted
        again = decide(deployment, there)
        assert (again["create"], again["remove"], again["judge"]) == ([], [], [])
