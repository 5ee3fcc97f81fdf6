# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The worker in a lab host, as seen from the checkout."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import typing as t
import zipfile
from pathlib import Path

import lab

_PACKAGE = Path(__file__).resolve().parent
#: What the worker is made of. The model stays here.
_PARTS = ("__init__", "topology", "wire", "namespace", "loader", "shooting", "worker")


class WorkerGone(Exception):
    """The worker ended; the text is what it said."""


class Worker:
    """A host under test of its own, inside a lab host."""

    def __init__(self, host: str) -> None:
        place = _install(host)
        argv = ["docker", "exec", "-i", f"--env=PYTHONPATH={place}", lab.container(host)]
        argv += ["unshare", "--net", "python3", "-m", "paths.worker"]
        self.host = host
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._line()

    def run(self, case: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        """Run a case; gives what ``worker.py`` says of it."""
        print(json.dumps(case), file=self._process.stdin, flush=True)
        return dict(json.loads(self._line()))

    def close(self) -> None:
        """End it, and with it all that it made."""
        self._process.communicate()

    def _line(self) -> str:
        line = t.cast("t.IO[str]", self._process.stdout).readline()
        if not line:
            raise WorkerGone(f"on {self.host}: {self._process.communicate()[1].strip()}")
        return line


def _install(host: str) -> str:
    """Put the worker's files into a lab host; gives their place."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for part in _PARTS:
            archive.writestr(f"paths/{part}.py", (_PACKAGE / f"{part}.py").read_bytes())
    data = packed.getvalue()
    key = hashlib.sha256(b"".join((_PACKAGE / f"{part}.py").read_bytes() for part in _PARTS)).hexdigest()[:12]
    place = f"/run/lab-paths-{key}.zip"
    script = f'f=$(mktemp) && python3 -c "import sys; sys.stdout.buffer.write(bytes.fromhex(sys.stdin.read()))" >$f && mv $f {place}'
    lab.run(host, ["sh", "-c", script], input=data.hex())
    return place
