# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a module asks Docker for, counted; and what goes wrong on the way, at a request of one's choice."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from integration.hosts import DockerHost

PROXY = Path(__file__).with_name("proxy.py")


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
