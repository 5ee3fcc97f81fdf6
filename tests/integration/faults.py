# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a module asks Docker for, counted; and what goes wrong on the way, at a request of one's choice."""

from __future__ import annotations

import base64
import functools
import io
import json
import signal
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ansible.module_utils

from integration.hosts import CHECKOUT, DockerHost

PROXY = Path(__file__).with_name("proxy.py")
DIRECT = Path(__file__).with_name("direct.py")
KILLED = -signal.SIGKILL


@dataclass(frozen=True)
class Request:
    """A request as the proxy saw it: ``write`` is its number among those that may change something, 0 for a read."""

    method: str
    path: str
    write: int
    status: int
    did: str


@dataclass(frozen=True)
class Proxy:
    """A socket in front of Docker's; ``docker_host`` is what modules are given."""

    engine: DockerHost
    folder: str

    @property
    def docker_host(self) -> str:
        return f"unix://{self.folder}/docker.sock"

    def plan(self, *faults: Mapping[str, Any]) -> list[Request]:
        """Count from 1 again, with these faults to come; give the requests since the last time."""
        return [Request(**entry) for entry in json.loads(self._proxy("tell", json.dumps(faults)))]

    def log(self) -> list[Request]:
        """The requests since the last look, in their order. No fault is left afterwards."""
        return self.plan()

    def _proxy(self, verb: str, stdin: str | None = None) -> str:
        return self.engine.run("python3", "-c", PROXY.read_text(), verb, self.folder, stdin=stdin).stdout


@contextmanager
def proxy(engine: DockerHost, folder: str = "/tmp/bulkhead-proxy") -> Iterator[Proxy]:
    """Start a proxy on a host."""
    between = Proxy(engine, folder)
    process = between._proxy("serve").strip()
    try:
        yield between
    finally:
        engine.run("kill", process, check=False)


def reads(log: Sequence[Request]) -> list[Request]:
    return [request for request in log if not request.write]


def writes(log: Sequence[Request]) -> list[Request]:
    return [request for request in log if request.write]


@dataclass(frozen=True)
class Ended:
    """How a process of a module ended: its exit code, negative for a signal, and its answer, if it gave one."""

    code: int
    result: dict[str, Any] | None
    error: str

    @property
    def answer(self) -> dict[str, Any]:
        assert self.result is not None, f"The module gave no answer, but {self.code}:\n{self.error}"
        return {"failed": False, "changed": False, **self.result}


class Direct:
    """Modules on a host without a run of Ansible around them, which costs about a second each time."""

    FOLDER = "/tmp/bulkhead-direct"

    def __init__(self, engine: DockerHost) -> None:
        self.engine = engine
        engine.run("python3", "-c", DIRECT.read_text(), "unpack", self.FOLDER, stdin=_archive())

    def module(self, name: str, /, **arguments: Any) -> Ended:
        (ended,) = self.at_once([(name, arguments)])
        return ended

    def at_once(self, calls: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Ended]:
        """Run them all at the same time, each in a process of its own."""
        asked = json.dumps([{"module": name, "arguments": dict(arguments)} for name, arguments in calls])
        done = self.engine.run("python3", "-c", DIRECT.read_text(), "run", self.FOLDER, stdin=asked)
        return [Ended(**item) for item in json.loads(done.stdout)]


@functools.cache
def _archive() -> str:
    """What a module needs to run, as Ansible would send it: a compressed tar file in Base64."""
    utils = Path(ansible.module_utils.__file__).parent
    plugins = CHECKOUT / "plugins"
    trees = {
        "ansible/module_utils": utils,
        "ansible_collections/bulkhead/docker/plugins/modules": plugins / "modules",
        "ansible_collections/bulkhead/docker/plugins/module_utils": plugins / "module_utils",
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
        # The controller's own package looks for the controller.
        archive.addfile(tarfile.TarInfo("ansible/__init__.py"))
        for place, tree in trees.items():
            for path in sorted(tree.rglob("*.py")):
                archive.add(path, f"{place}/{path.relative_to(tree)}")
    return base64.b64encode(packed.getvalue()).decode()
