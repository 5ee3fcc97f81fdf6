# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts of the lab as tests use them: modules run as Ansible runs them, packets come from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lab

from integration.modules import CHECKOUT, Direct

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

    def swarm(self) -> None:
        """Make the host a Swarm of its own; one that has left another a moment ago may lose the new one once more."""
        active = "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}"
        for _attempt in range(5):
            self.run("docker", "swarm", "init", "--advertise-addr", "127.0.0.1", check=False)
            time.sleep(2)
            names = self.docker("network", "ls", "--format", "{{.Name}}").split()
            if self.docker("info", "--format", active) == "active true" and {"ingress", "docker_gwbridge"} <= {*names}:
                return
        raise AssertionError(f"{self.name} does not become a Swarm")

    def module(self, name: str, /, *, check: bool = False, **arguments: Any) -> dict[str, Any]:
        """Run a module of the collection on the host; a failure is returned, not raised."""
        (result,) = self.modules([(name, arguments)], check=check)
        return result

    def converges(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """Check, run, run again: the check foretells the run, and the second run has nothing to do."""
        foretold = self.module(name, check=True, **arguments)
        assert not foretold["failed"], foretold["msg"]
        result, again = self.modules([(name, arguments)] * 2)
        assert not result["failed"], result["msg"]
        assert not again["failed"], again["msg"]
        assert foretold["actions"] == result["actions"]
        assert foretold["diff"] == result["diff"]
        assert foretold["changed"] == result["changed"] == bool(result["actions"])
        assert (again["changed"], again["actions"]) == (False, [])
        return result

    def modules(self, calls: Sequence[tuple[str, Mapping[str, Any]]], *, check: bool = False) -> list[dict[str, Any]]:
        """Run several modules in turn, each with its arguments; failures are returned, not raised.

        They run as Ansible runs them, but without Ansible, which would take most of the time of all tests. Scenarios of
        the roles and the examples of the documentation run them through it.
        """
        flags = {"_ansible_check_mode": check, "_ansible_diff": True}
        return [ended.answer for ended in Direct(self).in_turn([(name, {**given, **flags}) for name, given in calls])]

    def through_ansible(
        self, calls: Sequence[tuple[str, Mapping[str, Any]]], *, check: bool = False, remote_user: str = "root"
    ) -> list[dict[str, Any]]:
        """Run several modules, each with its arguments, in one run of Ansible; failures are returned, not raised."""
        tasks = [_task(name, arguments, check_mode=check, ignore_errors=True) for name, arguments in calls]
        return self._tasks(tasks, remote_user=remote_user)

    def _tasks(self, tasks: Sequence[Mapping[str, Any]], **play: Any) -> list[dict[str, Any]]:
        head = {"name": "Test", "hosts": self.name, "gather_facts": False, "diff": True}
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
            "ANSIBLE_DEPRECATION_WARNINGS": "false",
        }
        with tempfile.NamedTemporaryFile("w", suffix=".json") as playbook:
            json.dump([{**head, **play, "tasks": tasks}], playbook)
            playbook.flush()
            argv = [str(Path(sys.executable).parent / "ansible-playbook"), playbook.name]
            done = subprocess.run(
                argv, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=300, check=False
            )
        try:
            told = json.loads(done.stdout[done.stdout.index("{") :])["plays"][0]["tasks"]
            results = [{"failed": False, **task["hosts"][self.name]} for task in told]
        except (ValueError, LookupError):
            raise AssertionError(f"Ansible gave no result:\n{done.stdout}\n{done.stderr}") from None
        # Without ignore_errors a failure ends the play.
        assert len(results) == len(tasks), results[-1]["msg"]
        return results


def _task(name: str, arguments: Mapping[str, Any], **keywords: Any) -> dict[str, Any]:
    return {"name": name, f"bulkhead.docker.{name}": dict(arguments), **keywords}
