# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs in a lab host (``python3 -c THIS serve|tell FOLDER``): stands between a client and Docker, and does mischief.

``serve`` listens on ``FOLDER/docker.sock``, passes every request on to Docker, and returns when it listens, while the
process in the background that it prints the number of goes on. ``tell`` takes a list of faults on standard input,
prints what was asked since it was last told, ``[{"method", "path", "write", "status", "did"}, ...]``, and starts to
count anew.

``path`` is without the version of the API. ``write`` numbers the requests that may change something, from 1 on; it is 0
for those that read. ``status`` is 0 for what Docker never answered. A fault is ``{"do", "write", "match", "nth"}``: it
strikes once, at the write request of that number, or at the nth request whose ``METHOD path`` the expression finds.

* ``kill_before``, ``kill_after``: end the client by SIGKILL before Docker gets the request, or after it has answered and
  before the client knows.
* ``close_before``, ``close_after``: the same moments, but only the connection ends.
* ``run``, ``run_after``: run ``argv`` at these moments, then go on.
* ``answer``: Docker gets nothing, the client an answer of ``status`` and ``message``.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

DOCKER = "/var/run/docker.sock"
READS = {"GET", "HEAD", "OPTIONS"}
FAULTS = {"kill_before", "kill_after", "close_before", "close_after", "run", "run_after", "answer"}
Message = tuple[bytes, dict[str, str]]


class Over(Exception):
    """This connection has ended, by its own or by a fault."""


class Book:
    """What was asked, and what is to happen yet; all connections share it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.faults: list[dict[str, Any]] = []
        self.entries: list[dict[str, Any]] = []
        self.writes = 0

    def told(self, faults: list[dict[str, Any]]) -> list[dict[str, Any]]:
        with self.lock:
            known, self.entries = self.entries, []
            self.faults, self.writes = [{"seen": 0, **fault} for fault in faults], 0
            return known

    def note(self, method: str, path: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Write a request down; give its entry and the fault that strikes it, which may be none."""
        with self.lock:
            writes = method not in READS
            self.writes += writes
            entry = {"method": method, "path": path, "write": self.writes if writes else 0, "status": 0, "did": ""}
            self.entries.append(entry)
            for fault in self.faults:
                if self._strikes(fault, entry):
                    self.faults.remove(fault)
                    entry["did"] = fault["do"]
                    return entry, fault
            return entry, {}

    @staticmethod
    def _strikes(fault: dict[str, Any], entry: dict[str, Any]) -> bool:
        if fault.get("write"):
            return bool(entry["write"] == fault["write"])
        if re.search(fault["match"], f"{entry['method']} {entry['path']}"):
            fault["seen"] += 1
            return bool(fault["seen"] == (fault.get("nth") or 1))
        return False


def head_of(source: io.BufferedReader) -> Message:
    """Read a message up to its empty line: the raw bytes, and its headers in lower case with the first line as ''."""
    raw = b""
    while not raw.endswith(b"\r\n\r\n"):
        line = source.readline(65536)
        if not line:
            raise Over
        raw += line
    first, *rest = raw.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _colon, value in (line.partition(":") for line in rest)}
    return raw, {**headers, "": first}


def pass_body(headers: dict[str, str], source: io.BufferedReader, sink: Any, *, to_end: bool) -> None:
    """Hand on what follows a head, byte by byte as it is; ``to_end``: without a length it goes on until the end."""
    if "chunked" in headers.get("transfer-encoding", "").lower():
        while True:
            line = source.readline(65536)
            size = int(line.partition(b";")[0], 16)
            sink(line + copied(source, size + 2) if size else line)
            if not size:
                break
        line = source.readline(65536)
        while line.strip():
            sink(line)
            line = source.readline(65536)
        sink(line)
    elif "content-length" in headers:
        left = int(headers["content-length"])
        while left:
            part = copied(source, min(left, 65536))
            left -= len(part)
            sink(part)
    elif to_end:
        while True:
            part = source.read1(65536)
            if not part:
                return
            sink(part)


def copied(source: io.BufferedReader, size: int) -> bytes:
    data = source.read(size)
    if len(data) < size:
        raise Over
    return data


class Between:
    """One connection of a client, and its own one to Docker."""

    def __init__(self, client: socket.socket, book: Book) -> None:
        self.client = client
        self.book = book
        peer = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        self.pid = struct.unpack("3i", peer)[0]
        self.asked = client.makefile("rb")

    def serve(self) -> None:
        docker = socket.socket(socket.AF_UNIX)
        try:
            docker.connect(DOCKER)
            with docker.makefile("rb") as answers:
                while self.exchange(docker, answers):
                    pass
        except (Over, OSError, ValueError):
            pass
        finally:
            for end in (self.asked, self.client, docker):
                with contextlib.suppress(OSError):
                    end.close()

    def exchange(self, docker: socket.socket, answers: io.BufferedReader) -> bool:
        """Pass one request and its answer; false when the connection is not to be used again."""
        # When Docker hangs up, so does the proxy: a client looks whether a connection still stands before it uses it again.
        ready = select.select([self.client, docker], [], [])[0]
        if self.client not in ready:
            raise Over
        raw, headers = head_of(self.asked)
        method, target = headers[""].split()[:2]
        entry, fault = self.book.note(method, re.sub(r"^/v\d+\.\d+(?=/)", "", target))
        body = bytearray()
        pass_body(headers, self.asked, body.extend, to_end=False)
        self.before(fault)
        docker.sendall(raw + body)
        raw, told = head_of(answers)
        status = int(told[""].split()[1])
        while 100 <= status < 200:
            if status == 101:
                entry["status"] = status
                self.client.sendall(raw)
                return self.splice(docker, answers)
            self.client.sendall(raw)
            raw, told = head_of(answers)
            status = int(told[""].split()[1])
        entry["status"] = status
        sink = self.client.sendall
        kept = bytearray()
        late = str(fault.get("do", "")).endswith("_after")
        hand = kept.extend if late else sink
        hand(raw)
        if method != "HEAD" and status not in (204, 304):
            pass_body(told, answers, hand, to_end=True)
        if late:
            self.after(fault)
            sink(kept)
        lasts = {"content-length", "transfer-encoding"} & set(told) or status in (204, 304) or method == "HEAD"
        return bool(lasts) and "close" not in (
            told.get("connection", "").lower(),
            headers.get("connection", "").lower(),
        )

    def before(self, fault: dict[str, Any]) -> None:
        do = fault.get("do")
        if do == "kill_before":
            self.kill()
        elif do == "close_before":
            raise Over
        elif do == "run":
            ran(fault["argv"])
        elif do == "answer":
            body = json.dumps({"message": fault["message"]}).encode()
            head = f"HTTP/1.1 {fault['status']} Fault\r\nContent-Type: application/json\r\n"
            self.client.sendall(f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            raise Over

    def after(self, fault: dict[str, Any]) -> None:
        if fault["do"] == "kill_after":
            self.kill()
        elif fault["do"] == "close_after":
            raise Over
        else:
            ran(fault["argv"])

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        raise Over

    def splice(self, docker: socket.socket, answers: io.BufferedReader) -> bool:
        """From here on it is no HTTP: what one side says the other hears."""

        def back() -> None:
            with contextlib.suppress(OSError):
                while part := answers.read1(65536):
                    self.client.sendall(part)
                self.client.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=back, daemon=True)
        thread.start()
        while part := self.asked.read1(65536):
            docker.sendall(part)
        docker.shutdown(socket.SHUT_WR)
        thread.join()
        return False


def ran(argv: list[str]) -> None:
    subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def listening(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    door = socket.socket(socket.AF_UNIX)
    door.bind(str(path))
    door.listen(128)
    return door


def serve(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    clients, control = listening(folder / "docker.sock"), listening(folder / "control.sock")
    child = os.fork()
    if child:
        print(child)
        return
    os.setsid()
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(silent, stream)
    book = Book()
    threading.Thread(target=obey, args=(control, book), daemon=True).start()
    while True:
        client, _address = clients.accept()
        threading.Thread(target=Between(client, book).serve, daemon=True).start()


def obey(control: socket.socket, book: Book) -> None:
    while True:
        caller, _address = control.accept()
        with caller, caller.makefile("rwb") as line:
            known = book.told(json.loads(line.readline()))
            line.write(json.dumps(known).encode() + b"\n")
            line.flush()


def tell(folder: Path, faults: list[dict[str, Any]]) -> list[dict[str, Any]]:
    unknown = {fault["do"] for fault in faults} - FAULTS
    if unknown:
        raise SystemExit(f"no such fault: {', '.join(sorted(unknown))}")
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(10)
        control.connect(str(folder / "control.sock"))
        with control.makefile("rwb") as line:
            line.write(json.dumps(faults).encode() + b"\n")
            line.flush()
            return list(json.loads(line.readline()))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(Path(sys.argv[2]))
    else:
        print(json.dumps(tell(Path(sys.argv[2]), json.load(sys.stdin))))
