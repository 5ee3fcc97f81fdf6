# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A network is recreated, and on the way the run is killed, cut off, refused, or the engine dies: nobody is lost."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from integration.faults import Proxy, Request, proxy, writes
from integration.hosts import IMAGE
from integration.modules import KILLED, Direct

if TYPE_CHECKING:
    from integration.hosts import DockerHost

MODULE = "docker_app_network"
STATE = "/var/lib/bulkhead.docker"
MTU = "com.docker.network.driver.mtu"
OLD, NEW = 1300, 1400
KILL_ENGINE = ["sh", "-c", "kill -9 $(cat /run/docker.pid)"]
# Connections of an earlier test may still be ending on this port.
REUSE = "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)"
LISTEN = f"s = socket.socket(); {REUSE}; s.bind(('', 18080)); s.listen()"
STEAL_PORT = f"import socket, time; {LISTEN}; open('/tmp/stolen', 'w'); time.sleep(600)"

# Members of every kind: with addresses, aliases, links and ports, with and without another network, in every state.
MEMBERS = f"""
set -e
docker network create --ipv6 --subnet 10.91.0.0/24 --subnet fd00:91::/64 --gateway 10.91.0.1 --opt {MTU}={OLD} \
    --label kept=yes net
docker network create side
run() {{ docker run --detach --init $POLICY --name "$@"; }}
run fixed --network net --ip 10.91.0.40 --ip6 fd00:91::40 --network-alias own -p 18080:80 {IMAGE} httpd -f -p 80 -h /www
run moving --network net -p 80 {IMAGE} httpd -f -p 80 -h /www
run linked --network net --link fixed:peer --network-alias other {IMAGE} sleep 3600
run both --network side {IMAGE} sleep 3600
docker network connect --alias second net both
run frozen {IMAGE} sleep 3600
docker network connect --ip 10.91.0.60 --alias cold net frozen
run down --network net --ip 10.91.0.50 --network-alias asleep {IMAGE} sleep 3600
docker stop --time 0 down
docker create --name fresh --network net --network-alias new {IMAGE} sleep 3600
docker create --name queued {IMAGE} sleep 3600
docker network connect --ip 10.91.0.70 net queued
"""
LIVE = ("fixed", "moving", "linked", "both", "frozen")
WISHES = {"fixed": ("IPv4Address", "IPv6Address"), **dict.fromkeys(("frozen", "down", "queued"), ("IPv4Address",))}
RESTING = ("down", "fresh", "queued")


def with_members(engine: DockerHost, *, policy: str = "no", paused: bool = True) -> None:
    engine.run("sh", "-c", f"POLICY='--restart {policy}'\n{MEMBERS}")
    if paused:
        engine.docker("pause", "frozen")


def picture(engine: DockerHost, *, dynamic: bool = True) -> dict[str, Any]:
    """All that must survive; ``dynamic``: also the addresses that Docker chose."""
    shell = f"docker container inspect {' '.join((*LIVE, *RESTING))}; echo ---; docker network inspect $(docker network"
    shell += f" ls -q --no-trunc --filter name=^net$); echo ---; ls {STATE} 2>/dev/null | grep recreate- || true"
    containers, networks, records = engine.run("sh", "-c", shell).stdout.split("---\n")
    found = json.loads(networks)
    assert len(found) == 1, f"there are {len(found)} networks named net"
    (network,) = found
    options = {key: value for key, value in network["Options"].items() if key != MTU}
    pools = sorted(pool["Subnet"] for pool in network["IPAM"]["Config"])
    return {
        "mtu": int(network["Options"][MTU]),
        "network": (options, network["Labels"], pools, network["EnableIPv6"]),
        "members": {item["Name"][1:]: _member(item, network, dynamic=dynamic) for item in json.loads(containers)},
        "records": records.split(),
    }


def _member(container: Mapping[str, Any], network: Mapping[str, Any], *, dynamic: bool) -> dict[str, Any]:
    networks = container["NetworkSettings"]["Networks"]
    assert "net" in networks, f"{container['Name']} has lost the network: {sorted(networks)}"
    endpoint = networks["net"]
    state = container["State"]["Status"]
    wish = endpoint["IPAMConfig"] or {}
    told = {
        "state": state,
        "networks": sorted(networks),
        "aliases": sorted(set(endpoint["Aliases"] or ()) - {container["Id"][:12]}),
        "links": endpoint["Links"] or [],
        # An address that Docker chose may become a wish where nothing else keeps it.
        "wish": {family: wish.get(family) for family in WISHES.get(container["Name"][1:], ())},
        "ports": sorted(
            (port, item["HostPort"] if port == "80/tcp" and container["Name"] == "/fixed" else "some")
            for port, items in (container["NetworkSettings"]["Ports"] or {}).items()
            for item in items or ()
        ),
    }
    if state in ("running", "paused"):
        # Both sides say the same: no phantom, no container that only believes to be there.
        listed = network["Containers"].get(container["Id"], {})
        assert listed.get("EndpointID") == endpoint["EndpointID"] != "", f"{container['Name']}: {endpoint}"
        assert endpoint["NetworkID"] == network["Id"]
        told["ip"] = (endpoint["IPAddress"], endpoint["GlobalIPv6Address"]) if dynamic or told["wish"] else ""
    else:
        # What it refers to is there, so that it starts.
        assert endpoint["NetworkID"] in ("", network["Id"]), f"{container['Name']} refers to a network that is gone"
    return told


def unlike(found: Mapping[str, Any], whole: Mapping[str, Any], mtu: int) -> list[str]:
    """What differs, for people to read; the MTU is to be this one."""
    told = [] if found["mtu"] == mtu else [f"mtu is {found['mtu']}, not {mtu}"]
    told += [f"{key} is {found[key]}, not {whole[key]}" for key in ("network", "records") if found[key] != whole[key]]
    for name, before in whole["members"].items():
        now = found["members"][name]
        told += [f"{name}.{key} is {now.get(key)}, not {before[key]}" for key in before if now.get(key) != before[key]]
    return told


def everybody_starts(engine: DockerHost) -> None:
    """Those that rest find the network, with the addresses they had asked for; those that run, run again."""
    engine.docker("start", *RESTING)
    engine.docker("restart", "--time", "0", "fixed", "linked")
    for name, ip in (("down", "10.91.0.50"), ("queued", "10.91.0.70"), ("fixed", "10.91.0.40")):
        assert engine.inspect("container", name)["NetworkSettings"]["Networks"]["net"]["IPAddress"] == ip
    assert "bulkhead-lab" in engine.run("curl", "-s", "http://127.0.0.1:18080/").stdout
    peer = engine.docker("exec", "linked", "nslookup", "peer.", "127.0.0.11")
    assert "10.91.0.40" in peer


class Recreation:
    """One network that is recreated again and again, from one MTU to the other."""

    def __init__(self, engine: DockerHost, between: Proxy) -> None:
        self.engine = engine
        self.between = between
        self.direct = Direct(engine)
        self.mtu = OLD

    @property
    def other(self) -> int:
        return OLD if self.mtu == NEW else NEW

    def run(self, mtu: int, *, through: bool = False, recreate: str = "when_needed") -> Any:
        arguments: dict[str, Any] = {"networks": [{"name": "net", "mtu": mtu}], "recreate": recreate}
        if through:
            arguments["docker_host"] = self.between.docker_host
        return self.direct.module(MODULE, **arguments)

    def writes(self) -> list[Request]:
        """Recreate it without any fault; give the requests that it took."""
        self.between.plan()
        result = self.run(self.other, through=True).answer
        assert (result["failed"], result["changed"]) == (False, True), result
        self.mtu = self.other
        return writes(self.between.log())

    def settles(self, mtu: int) -> None:
        """A run with this MTU makes all well, and there is nothing left to do after it."""
        result = self.run(mtu).answer
        assert not result["failed"], result
        again = self.run(mtu).answer
        assert (again["failed"], again["changed"]) == (False, False), again
        self.mtu = mtu


def moments(engine: DockerHost, count: int) -> list[tuple[str, int]]:
    """Where to strike. Between two requests nothing but files of ours changes, so that few need both sides."""
    every = [("kill_before", number) for number in range(1, count + 1)]
    if engine.generation != 26:
        # The daemon's part is the same everywhere: each kind of request once.
        every = every[1 :: max(1, count // 4)]
    return [*every, ("kill_after", count), ("kill_after", 1 + count // 2)]


def test_a_run_that_is_killed_at_any_request_is_finished_by_the_next(engine: DockerHost) -> None:
    with_members(engine)
    with proxy(engine) as between:
        recreation = Recreation(engine, between)
        whole = picture(engine)
        count = len(recreation.writes())
        assert not unlike(picture(engine), whole, NEW)
        for turn, (do, number) in enumerate(moments(engine, count)):
            before, wanted = recreation.mtu, recreation.other
            between.plan({"do": do, "write": number})
            assert recreation.run(wanted, through=True).code == KILLED, (do, number)
            # Every third time the owner has thought better of it.
            recreation.settles(before if turn % 3 == 2 else wanted)
            assert not unlike(picture(engine), whole, recreation.mtu), (do, number)
        everybody_starts(engine)


def test_a_request_that_is_refused_or_cut_off_is_taken_back(engine: DockerHost) -> None:
    # What is struck is the connection: one kind on each engine says as much as all on all.
    do = {20: "answer", 26: "close_before", 28: "close_after"}[engine.generation]
    with_members(engine)
    with proxy(engine) as between:
        recreation = Recreation(engine, between)
        whole = picture(engine)
        made = next(item.write for item in recreation.writes() if item.path == "/networks/create")
        # A cut, the removal, the creation, the first who comes back, and one of those that rest.
        for number in (2, made - 1, made, made + 1, made + 2):
            before, wanted = recreation.mtu, recreation.other
            between.plan({"do": do, "write": number, "status": 500, "message": "out of order"})
            result = recreation.run(wanted, through=True).answer
            assert result["failed"], (number, result)
            assert not [line for line in result["restored"] if line.startswith("FAILED")], (number, result["restored"])
            assert not unlike(picture(engine), whole, before), number
        recreation.settles(recreation.other)
        everybody_starts(engine)


def test_an_engine_that_dies_on_the_way_finds_everybody_again(engine: DockerHost) -> None:
    with_members(engine, policy="unless-stopped", paused=False)
    with proxy(engine) as between:
        recreation = Recreation(engine, between)
        whole = picture(engine, dynamic=False)
        count = len(recreation.writes())
        for do, number in (("run", 3), ("run_after", 1 + count // 2), ("run", count)):
            wanted = recreation.other
            between.plan({"do": do, "write": number, "argv": KILL_ENGINE})
            assert recreation.run(wanted, through=True).answer["failed"], (do, number)
            awaited(engine)
            recreation.settles(wanted)
            engine.docker("start", *LIVE)
            assert not unlike(picture(engine, dynamic=False), whole, wanted), (do, number)
        everybody_starts(engine)


def awaited(engine: DockerHost) -> None:
    """Wait until the engine answers again."""
    limit = time.monotonic() + 60
    while engine.run("docker", "info", check=False).returncode:
        assert time.monotonic() < limit, "the engine does not come back"
        time.sleep(0.2)


def test_runs_at_once_recreate_and_create_one_network(engine: DockerHost) -> None:
    with_members(engine)
    direct = Direct(engine)
    whole = picture(engine)
    on = whole["members"]["both"]["networks"]
    for number, mtu in ((2, NEW), (4, OLD)):
        wanted = {"networks": [{"name": "net", "mtu": mtu}, {"name": f"another{number}", "connected": ["both"]}]}
        ended = [item.answer for item in direct.at_once([(MODULE, {**wanted, "recreate": "when_needed"})] * number)]
        assert [item.get("msg") for item in ended] == [None] * number
        assert sum(item["changed"] for item in ended) == 1, "one run does it, the others find it done"
        on[:] = sorted([*on, f"another{number}"])
        assert not unlike(picture(engine), whole, mtu)
        assert engine.docker("network", "ls", "--format", "{{.Name}}").split().count(f"another{number}") == 1


def test_runs_at_once_that_want_different_things_leave_one_of_them_whole(engine: DockerHost) -> None:
    with_members(engine)
    whole = picture(engine)
    calls = [
        (MODULE, {"networks": [{"name": "net", "mtu": mtu}], "recreate": "when_needed"}) for mtu in (NEW, 1350, 1450)
    ]
    ended = [item.answer for item in Direct(engine).at_once(calls)]
    # Whoever is second may find what it has just made gone again, and say so; what is there is whole all the same.
    assert {item.get("reason_code", "") for item in ended} <= {"", "not_converged"}, [item.get("msg") for item in ended]
    found = picture(engine)
    assert found["mtu"] in (NEW, 1350, 1450)
    assert not unlike(found, whole, found["mtu"])


def test_a_stolen_host_port_is_said_and_everything_else_is_as_it_was(engine: DockerHost) -> None:
    with_members(engine)
    whole = picture(engine)
    here = "for turn in $(seq 200); do if [ -e /tmp/stolen ]; then break; fi; sleep 0.1; done"
    engine.run("rm", "-f", "/tmp/stolen")
    thief = ["sh", "-c", f'setsid python3 -c "{STEAL_PORT}" >/dev/null 2>&1 & echo $! >/tmp/thief; {here}']
    with proxy(engine) as between:
        recreation = Recreation(engine, between)
        between.plan({"do": "run", "match": "^POST /networks/[^/]*/connect", "nth": 1, "argv": thief})
        result = recreation.run(NEW, through=True).answer
        assert result["failed"] and "18080" in result["msg"], result
        assert "docker restart fixed" in result["msg"]
        (failed,) = [line for line in result["restored"] if line.startswith("FAILED")]
        assert "fixed on net" in failed
        left = set(
            engine.docker("network", "inspect", "--format", "{{range .Containers}}{{.Name}} {{end}}", "net").split()
        )
        assert left == set(LIVE) - {"fixed"}
        # Docker keeps pieces of the failed attempt inside the container that runs; a new start is without them.
        engine.run("sh", "-c", "kill $(cat /tmp/thief)")
        engine.docker("restart", "--time", "0", "fixed")
        recreation.settles(NEW)
        assert not unlike(picture(engine), whole, NEW)
        everybody_starts(engine)
