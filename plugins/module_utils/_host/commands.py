# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Commands of the host."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


@dataclass(frozen=True)
class Done:
    """What became of a command."""

    status: int
    output: str
    errors: str

    @property
    def complaint(self) -> str:
        """Say why it failed, as one line."""
        return short(self.errors or self.output) or f"status {self.status}"


class Commands:
    """Runs programs, without a shell and in no language but English."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module

    def find(self, name: str) -> str | None:
        """Give the path of a program; None when it is not there."""
        return t.cast("str | None", self._module.get_bin_path(name, opt_dirs=["/usr/sbin", "/sbin"]))

    def program(self, name: str) -> str:
        """Give the name of the program behind a name, through all links; empty when it is not there."""
        path = self.find(name)
        return os.path.basename(os.path.realpath(path)) if path else ""

    def run(self, argv: t.Sequence[str], data: str | None = None) -> Done:
        """Run a program that is there."""
        environment = {"LC_ALL": "C", "LANG": "C"}
        status, output, errors = self._module.run_command(list(argv), data=data, environ_update=environment)
        return Done(int(status), str(output), str(errors))

    def output(self, name: str) -> str | None:
        """Give what a program prints; None when it is not there or fails."""
        path = self.find(name)
        if path is None:
            return None
        done = self.run([path])
        return None if done.status else done.output


def short(text: str) -> str:
    """Make one line of a message, for a sentence that goes on."""
    return " ".join(text.split())[:400].rstrip(".")
