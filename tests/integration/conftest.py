# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real lab hosts for the tests: modules run through Ansible as users run them, packets are sent from the outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "tests"))

import lab

ENGINES = ("engine20", "engine26", "engine28")
OUTSIDE = ("outsider", "neighbour")
IMAGE = lab.WORKLOAD_TAG


@dataclass(frozen=True)
class Host:
    """A host of the lab."""

    name: str

    def run(self, *argv: str, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command as root on the host."""
        return lab.run(self.name, argv, check=check, input=stdin)

    def probe(self, address: str, port: int, *, timeout: float = 1.0) -> str:
        """Connect from this host: ``open``, ``refused``, ``timeout`` or ``unreachable``."""
        return lab.tcp(self.name, address, port, timeout=timeout)

    @property
    def wan_ip(self) -> str:
        return lab.wan_ip(self.name)

    @property
    def wan_ip6(self) -> str:
        return lab.wan_ip6(self.name)

    @property
    def lan_ip(self) -> str:
        return lab.lan_ip(self.name)


@dataclass(frozen=True)
class DockerHost(Host):
    """A host of the lab with a Docker Engine."""

    @property
    def generation(self) -> int:
        return int(self.name.removeprefix("engine"))

    def docker(self, *argv: str) -> str:
        """Run the host's own docker command line."""
        return self.run("docker", *argv).stdout.strip()

    def inspect(self, kind: str, name: str) -> dict[str, Any]:
        return dict(json.loads(self.docker(kind, "inspect", name))[0])

    def start(self, name: str, *options: str, command: tuple[str, ...] = ("sleep", "3600")) -> str:
        """Run a container of the workload image; return its full ID."""
        return self.docker("run", "--detach", "--init", "--name", name, *options, IMAGE, *command)

    def module(self, name: str, /, *, check: bool = False, **arguments: Any) -> dict[str, Any]:
        """Run a module of the collection on the host through Ansible; a failure is returned, not raised."""
        return self.modules({name: arguments}, check=check)[name]

    def modules(
        self, calls: Mapping[str, Mapping[str, Any]], *, check: bool = False, remote_user: str = "root"
    ) -> dict[str, dict[str, Any]]:
        """Run several modules, each with its arguments, in one run of Ansible; give each one's result by its name."""
        tasks = [
            {"name": name, f"bulkhead.docker.{name}": dict(arguments), "ignore_errors": True}
            for name, arguments in calls.items()
        ]
        play = {"name": "Test", "hosts": self.name, "gather_facts": False, "remote_user": remote_user, "tasks": tasks}
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
            "ANSIBLE_DEPRECATION_WARNINGS": "false",
        }
        with tempfile.NamedTemporaryFile("w", suffix=".json") as playbook:
            json.dump([play], playbook)
            playbook.flush()
            argv = [str(Path(sys.executable).parent / "ansible-playbook"), playbook.name, "--diff"]
            argv += ["--check"] if check else []
            done = subprocess.run(
                argv, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=300, check=False
            )
        try:
            told = json.loads(done.stdout[done.stdout.index("{") :])["plays"][0]["tasks"]
            results = {task["task"]["name"]: dict(task["hosts"][self.name]) for task in told}
        except (ValueError, LookupError):
            raise AssertionError(f"Ansible gave no result:\n{done.stdout}\n{done.stderr}") from None
        for result in results.values():
            result.setdefault("failed", False)
        return results

    def converges(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """Check, run, run again: the check foretells the run, and the second run has nothing to do."""
        foretold = self.module(name, check=True, **arguments)
        assert not foretold["failed"], foretold["msg"]
        result = self.module(name, **arguments)
        assert not result["failed"], result["msg"]
        assert foretold["actions"] == result["actions"]
        assert foretold["diff"] == result["diff"]
        assert foretold["changed"] == result["changed"] == bool(result["actions"])
        again = self.module(name, **arguments)
        assert not again["failed"], again["msg"]
        assert (again["changed"], again["actions"]) == (False, [])
        return result


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" in metafunc.fixturenames:
        wanted = os.environ.get("ENGINE")
        engines = [name for name in ENGINES if not wanted or name == f"engine{wanted}"]
        metafunc.parametrize("engine", engines, indirect=True)


@pytest.fixture(scope="session")
def _lab() -> None:
    """The hosts that the tests use are up; they stay up, for the next run."""
    wanted = os.environ.get("ENGINE")
    lab.up([*(name for name in ENGINES if not wanted or name == f"engine{wanted}"), *OUTSIDE])


@pytest.fixture
def engine(request: pytest.FixtureRequest, _lab: None) -> Iterator[DockerHost]:
    """One Docker host, as after its first boot; each test runs on all engines, or on that of ENGINE."""
    lab.reset([request.param])
    yield DockerHost(request.param)


@pytest.fixture
def outsider(_lab: None) -> Host:
    """A host on the internet side."""
    lab.reset(["outsider"])
    return Host("outsider")


@pytest.fixture
def neighbour(_lab: None) -> Host:
    """A host on the same local link as the Docker hosts."""
    lab.reset(["neighbour"])
    return Host("neighbour")
