# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What docker_app_network asks Docker for: as little for two hundred members as for twenty, and no write in vain."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import lab
import pytest

from integration.faults import Proxy, Request, proxy, reads, writes
from integration.hosts import IMAGE
from integration.modules import Direct

if TYPE_CHECKING:
    from integration.hosts import DockerHost

MODULE = "docker_app_network"
#: The daemon's version, twice: for the SDK's choice of the API, and for ours; all networks; all containers.
READS = ["/version", "/version", "/networks", "/containers/json?all=1"]


def with_members(engine: DockerHost, number: int) -> dict[str, Any]:
    """Start so many members of a network; give the declaration that they are of."""
    engine.docker("network", "create", "front")
    one = f"docker run --detach --name shop.web.{{}} --network front --network-alias shop.web {IMAGE} sleep 3600"
    lab.run(engine.name, ["sh", "-c", f"seq {number} | xargs -P4 -I{{}} {one} >/dev/null"], timeout=400)
    return {
        "networks": [{"name": "front", "connected": [f"shop.web.{item + 1}" for item in range(number)]}],
        "apps": [{"name": "shop", "attach_post_deploy": ["front"]}],
    }


def asked_for_nothing(between: Proxy, direct: Direct, declared: dict[str, Any]) -> list[Request]:
    """The requests of a run that finds all as declared; a run before it has seen the members for the first time."""
    first = direct.module(MODULE, **declared, docker_host=between.docker_host).answer
    assert (first["failed"], first["changed"]) == (False, False), first.get("msg", first)
    assert writes(between.plan()) == []
    again = direct.module(MODULE, **declared, docker_host=between.docker_host).answer
    assert (again["failed"], again["changed"]) == (False, False), again.get("msg", again)
    return between.log()


def test_a_run_that_changes_nothing_reads_no_more_for_more_members(engine: DockerHost) -> None:
    with proxy(engine) as between:
        log = asked_for_nothing(between, Direct(engine), with_members(engine, 20))
    assert writes(log) == []
    assert [item.path for item in reads(log)] == READS


def test_two_hundred_members_cost_what_twenty_do(engine: DockerHost) -> None:
    if engine.generation != 28:
        pytest.skip("the requests do not depend on the engine, and two hundred containers take a minute to start")
    declared = with_members(engine, 200)
    with proxy(engine) as between:
        log = asked_for_nothing(between, Direct(engine), declared)
    assert writes(log) == []
    assert [item.path for item in reads(log)] == READS
    started = time.monotonic()
    assert engine.module(MODULE, **declared)["changed"] is False
    took = time.monotonic() - started
    engine.run("sh", "-c", "docker ps --all --quiet | xargs -P4 -n10 docker rm --force")
    assert took < 20, "a call that changes nothing must not crawl"


REFUSED: dict[str, dict[str, Any]] = {
    "drift": {"networks": ["new", {"name": "live", "internal": True}]},
    "in_use": {"networks": ["new", {"name": "live", "state": "absent"}]},
    "predefined": {"networks": ["new", "bridge"]},
    "unknown_container": {"networks": [{"name": "new", "connected": ["ghost"]}]},
    "unknown_network": {"networks": ["new"], "apps": [{"name": "shop", "attach_post_deploy": ["missing"]}]},
    "only_network": {"networks": ["new"], "apps": [{"name": "shop", "exclusive": True}]},
    "network_mode": {"networks": [{"name": "new", "connected": ["hosted"]}]},
    "invalid_option": {"networks": ["new", {"name": "live", "ipam_config": [{"subnet": "10.1"}]}]},
}


def test_a_refusal_writes_nothing(engine: DockerHost) -> None:
    engine.docker("network", "create", "live")
    engine.start("shop.web.1", "--network", "live")
    engine.start("hosted", "--network", "host")
    direct = Direct(engine)
    with proxy(engine) as between:
        for code, arguments in REFUSED.items():
            result = direct.module(MODULE, **arguments, docker_host=between.docker_host).answer
            assert (result["failed"], result.get("reason_code")) == (True, code), result["msg"]
            assert writes(between.log()) == [], code
