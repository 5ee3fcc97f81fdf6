# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs in a lab host (``python3 -c THIS unpack|at_once|in_turn FOLDER``): modules as Ansible runs them, without Ansible's own second.

``unpack`` takes a compressed tar file in Base64 on standard input. ``at_once`` and ``in_turn`` take
``[{"module", "arguments"}, ...]``, run each in a process of its own, and print ``[{"code", "result", "error"}, ...]``;
``result`` is null when a module was ended before it answered. They end with 9 when the folder is not there.
"""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from typing import Any

ONE = """
import json, runpy, sys
sys.path.insert(0, sys.argv[1])
from ansible.module_utils.testing import patch_module_args
with patch_module_args(json.load(sys.stdin)):
    runpy.run_module(f"ansible_collections.bulkhead.docker.plugins.modules.{sys.argv[2]}", run_name="__main__")
"""


def unpack(folder: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(sys.stdin.read())), mode="r:gz") as archive:
        archive.extractall(folder)


def at_once(folder: str, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    started = []
    for call in calls:
        argv = [sys.executable, "-c", ONE, folder, call["module"]]
        # No shared pipe that one could block on: whoever is ended by force leaves it to nobody.
        process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(call["arguments"]))
        process.stdin.close()
        process.stdin = None
        started.append(process)
    ended = []
    for process in started:
        output, error = process.communicate()
        told = output.strip().splitlines()
        ended.append({"code": process.returncode, "result": json.loads(told[-1]) if told else None, "error": error})
    return ended


if __name__ == "__main__":
    if sys.argv[1] == "unpack":
        unpack(sys.argv[2])
    elif not os.path.isdir(sys.argv[2]):
        sys.exit(9)
    elif sys.argv[1] == "at_once":
        print(json.dumps(at_once(sys.argv[2], json.load(sys.stdin))))
    else:
        print(json.dumps([answer for call in json.load(sys.stdin) for answer in at_once(sys.argv[2], [call])]))
