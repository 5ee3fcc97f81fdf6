# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the networks of docker_app_network are for: tiers that reach their neighbour only; nobody is cut by the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from integration.hosts import IMAGE
from integration.test_docker_app_network import endpoint

if TYPE_CHECKING:
    from integration.hosts import DockerHost, Host

MODULE = "docker_app_network"


def reaches(engine: DockerHost, container: str, address: str) -> bool:
    """Whether one echo request from inside a container is answered."""
    return engine.run("docker", "exec", container, "ping", "-c1", "-W1", address, check=False).returncode == 0


def test_three_tiers_reach_their_neighbour_only(engine: DockerHost, outsider: Host) -> None:
    for name in ("front", "web", "db"):
        engine.start(name)
    apps = [
        {"name": name, "match": {"names": [name]}, "attach_post_deploy": networks}
        for name, networks in (("front", ["edge"]), ("web", ["edge", "data"]), ("db", ["data"]))
    ]
    networks = ["edge", {"name": "data", "internal": True}]
    engine.converges(MODULE, networks=networks, apps=apps, app_defaults={"exclusive": True})
    db = endpoint(engine, "db", "data")["IPAddress"]
    assert reaches(engine, "front", endpoint(engine, "web", "edge")["IPAddress"])
    assert reaches(engine, "web", db)
    assert not reaches(engine, "front", db)
    assert reaches(engine, "web", outsider.wan_ip)
    assert not reaches(engine, "db", outsider.wan_ip)


def test_what_holds_a_network_for_moments_or_for_a_service_is_seen_and_not_cut(engine: DockerHost) -> None:
    for name in ("looping", "project"):
        engine.docker("network", "create", name)
    engine.docker("run", "--detach", "--name", "again", "--restart", "always", "--network", "looping", IMAGE, "false")
    engine.start("theirs", "--network", "project", "--label", "com.docker.compose.project=theirs")
    engine.docker("pause", "theirs")
    engine.swarm()
    engine.docker("network", "create", "--driver", "overlay", "--attachable", "mesh")
    engine.docker("service", "create", "--quiet", "--name", "shop", "--network", "mesh", IMAGE, "sleep", "3600")
    try:
        (task,) = engine.docker("ps", "--quiet", "--filter", "label=com.docker.swarm.service.name=shop").split()
        for name, holder in (("looping", "again"), ("project", "theirs")):
            for _turn in range(2):
                result = engine.module(MODULE, networks=["new", {"name": name, "state": "absent"}])
                assert (result["reason_code"], holder in result["msg"]) == ("in_use", True)
        # Neither without nor with force: Docker would let the task be cut, and Swarm would not notice.
        for force in (False, True):
            result = engine.module(MODULE, name="mesh", state="absent", force=force)
            assert (result["reason_code"] in ("in_use", "service"), "shop" in result["msg"]) == (True, True)
        assert endpoint(engine, task, "mesh")["IPAddress"]
    finally:
        engine.docker("service", "rm", "shop")
