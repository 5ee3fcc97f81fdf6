# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules on a lab host, each in a process of its own that is not Ansible's."""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import json
import signal
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import ansible.module_utils

CHECKOUT = Path(__file__).resolve().parents[2]
DIRECT = Path(__file__).with_name("direct.py")
#: What direct.py ends with when the folder is not there, as on a host that was made anew.
NOT_UNPACKED = 9
#: The exit code of what was ended by force.
KILLED = -signal.SIGKILL


class Host(Protocol):
    """Where commands run."""

    def run(self, *argv: str, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command as root on the host."""


@dataclass(frozen=True)
class Ended:
    """How a process of a module ended: its exit code, negative for a signal, and its answer, if it gave one."""

    code: int
    result: dict[str, Any] | None
    error: str

    @property
    def answer(self) -> dict[str, Any]:
        assert self.result is not None, f"The module gave no answer, but {self.code}:\n{self.error}"
        # On their way to Ansible, warnings are more than their texts.
        warnings = [item if isinstance(item, str) else item["event"]["msg"] for item in self.result.get("warnings", ())]
        told = {"warnings": warnings} if warnings else {}
        return {"failed": False, "changed": False, **self.result, **told}


class Direct:
    """Modules on a host as Ansible runs them there, without a run of Ansible around them, which costs seconds."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def module(self, name: str, /, **arguments: Any) -> Ended:
        (ended,) = self.at_once([(name, arguments)])
        return ended

    def at_once(self, calls: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Ended]:
        """Run them all at the same time, each in a process of its own."""
        return self._run("at_once", calls)

    def in_turn(self, calls: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Ended]:
        """Run one after the other, each in a process of its own, whatever becomes of those before."""
        return self._run("in_turn", calls)

    def _run(self, how: str, calls: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Ended]:
        archive, folder = _archive()
        asked = json.dumps([{"module": name, "arguments": dict(arguments)} for name, arguments in calls])
        done = self.host.run("python3", "-c", DIRECT.read_text(), how, folder, stdin=asked, check=False)
        if done.returncode == NOT_UNPACKED:
            self.host.run("python3", "-c", DIRECT.read_text(), "unpack", folder, stdin=archive)
            done = self.host.run("python3", "-c", DIRECT.read_text(), how, folder, stdin=asked, check=False)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return [Ended(**item) for item in json.loads(done.stdout)]


@functools.cache
def _archive() -> tuple[str, str]:
    """What a module needs to run: a compressed tar file in Base64, and the folder of a host that it belongs into."""
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
    data = packed.getvalue()
    return base64.b64encode(data).decode(), f"/tmp/bulkhead-direct-{hashlib.sha256(data).hexdigest()[:16]}"
