# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The proxy that other tests believe: it changes nothing by itself, counts right, and strikes where it is told to."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from integration.faults import Proxy, Request, proxy, reads, writes
from integration.hosts import IMAGE
from integration.modules import KILLED, Direct

if TYPE_CHECKING:
    from integration.hosts import DockerHost


def asked(engine: DockerHost, between: Proxy, *argv: str) -> subprocess.CompletedProcess[str]:
    return engine.run("docker", "--host", between.docker_host, *argv, check=False)


def curl(engine: DockerHost, docker_host: str, *requests: tuple[str, ...]) -> str:
    """Send requests one after the other, on one connection."""
    argv = ["curl"]
    for request in requests:
        # Each --next forgets all options.
        argv += ["--silent", "--unix-socket", docker_host.removeprefix("unix://"), *request, "--next"]
    return engine.run(*argv[:-1]).stdout


def test_requests_and_answers_come_through_unharmed_and_are_counted(engine: DockerHost) -> None:
    engine.start("c1")
    for name in ("aa", "bb"):
        engine.docker("network", "create", "--label", f"long={'x' * 100_000}", name)
    with proxy(engine) as between:
        url = "http://d/v1.41/networks"
        direct = curl(engine, "unix:///var/run/docker.sock", (url,))
        assert len(direct) > 200_000
        # With a body in chunks between them: what follows it is the next request.
        chunked = ("-H", "Transfer-Encoding: chunked", "-H", "Content-Type: application/json")
        body = json.dumps({"Name": "odd", "Labels": {"of": "y" * 30_000}})
        between.plan()
        told = curl(engine, between.docker_host, (url,), (*chunked, "-d", body, f"{url}/create"), (f"{url}/odd",))
        log = between.log()
        assert [(item.method, item.path, item.write, item.status, item.did) for item in log] == [
            ("GET", "/networks", 0, 200, ""),
            ("POST", "/networks/create", 1, 201, ""),
            ("GET", "/networks/odd", 0, 200, ""),
        ]
        first, length = json.JSONDecoder().raw_decode(told)
        # Docker lists in no order.
        assert sorted(map(json.dumps, first)) == sorted(map(json.dumps, json.loads(direct)))
        assert '"of":"yyy' in told[length:]
        # Answers without an end of their own, upgrades of the connection, and answers without a body.
        assert asked(engine, between, "exec", "c1", "echo", "through").stdout == "through\n"
        assert asked(engine, between, "run", "--rm", "--init", IMAGE, "echo", "run").stdout == "run\n"
        assert asked(engine, between, "rm", "--force", "c1").stdout == "c1\n"
        log = between.log()
        assert {"GET", "HEAD", "POST", "DELETE"} == {item.method for item in log}
        assert {item.status for item in log} >= {101, 200, 201, 204}
        assert [item.write for item in writes(log)] == list(range(1, len(writes(log)) + 1))


def test_each_fault_strikes_once_and_where_it_is_told_to(engine: DockerHost) -> None:
    direct = Direct(engine)
    with proxy(engine) as between:
        arguments = {"docker_host": between.docker_host, "networks": ["aa", "bb"]}

        def struck(**fault: object) -> tuple[int, list[Request], set[str]]:
            between.plan(fault)
            ended = direct.module("docker_app_network", **arguments)
            names = set(engine.docker("network", "ls", "--format", "{{.Name}}").split()) & {"aa", "bb"}
            engine.docker("network", "rm", *names) if names else None
            return ended.code, between.log(), names

        code, log, names = struck(do="kill_before", write=2)
        assert (code, names) == (KILLED, {"aa"})
        assert (log[-1].write, log[-1].status, log[-1].did) == (2, 0, "kill_before")
        code, log, names = struck(do="kill_after", match="^POST /networks/create", nth=2)
        assert (code, names) == (KILLED, {"aa", "bb"})
        assert (log[-1].write, log[-1].status, log[-1].did) == (2, 201, "kill_after")
        # The module lives on, so what it made is taken back; what it could not know of stays.
        for do, left in (("close_before", set()), ("close_after", {"bb"})):
            code, log, names = struck(do=do, write=2)
            assert (code, {item.did for item in log}) == (1, {"", do})
            assert names <= left
        code, log, names = struck(do="kill_after", match="^GET /networks")
        assert (code, names, writes(log)) == (KILLED, set(), [])

        between.plan({"do": "run", "match": "^POST", "argv": ["docker", "network", "create", "--internal", "aa"]})
        ended = direct.module("docker_app_network", **{**arguments, "networks": ["aa"]})
        between.plan({"do": "answer", "match": "^GET /networks", "status": 500, "message": "out of order"})
        assert "out of order" in direct.module("docker_app_network", **arguments).answer["msg"]
        assert [item.did for item in reads(between.log())].count("answer") == 1
        if engine.generation >= 25:
            assert "already exists" in ended.answer["msg"]
            assert engine.inspect("network", "aa")["Internal"] is True
        between.plan({"do": "run_after", "match": "^POST", "argv": ["docker", "network", "rm", "cc"]})
        ended = direct.module("docker_app_network", **{**arguments, "networks": ["cc"]})
        assert ended.answer["reason_code"] == "not_converged"


def test_modules_at_once_are_each_answered(engine: DockerHost) -> None:
    calls = [("docker_app_network_info", {"names": [name]}) for name in ("bridge", "never")]
    told = [ended.answer["exists"] for ended in Direct(engine).at_once(calls)]
    assert told == [{"bridge": True}, {"never": False}]
    with pytest.raises(AssertionError, match="gave no answer"):
        _answer = Direct(engine).module("docker_no_such_module").answer
