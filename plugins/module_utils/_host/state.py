# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""What the collection keeps on a host between runs: records for recovery, a memory of endpoints, and one lock."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
import time
import typing as t

from .._core.errors import CoreError
from .._core.plan import Change
from .._core.recovery import Recovery, read_recovery

_RECORD_HEAD = "recreate-"
_MEMORY = "endpoints.json"
_MEMORY_VERSION = 1


class State:
    """One folder of the host. It is made when something is first written to it, for its owner only."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._lock: int | None = None

    # ---- one run at a time

    def lock(self, wait: float) -> None:
        """Wait until no other run changes this host, for at most ``wait`` seconds; held until this process ends.

        Where the folder can't be written there is no lock: a plain member of the group docker may run too, and Docker
        refuses most of what two runs would do to each other.
        """
        if self._lock is not None:
            return
        try:
            self._make_folder()
            self._lock = os.open(os.path.join(self._folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return
        limit = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > limit:
                    raise CoreError(
                        f"Another run has been changing this host's networks for {int(wait)} seconds: it holds "
                        f"{self._folder}/lock.",
                        hint="Wait for it to end, or look what it hangs on. Nothing was changed.",
                        reason_code="locked",
                    ) from None
                time.sleep(0.1)
            else:
                return

    # ---- records

    def records(self, daemon: t.Callable[[], str]) -> tuple[Recovery, ...]:
        """Read all records of this daemon; ``daemon`` gives its ID and is asked only if there is any record."""
        found = []
        for name in self._record_names():
            path = os.path.join(self._folder, name)
            try:
                with open(path, encoding="utf-8") as file:
                    data = json.load(file)
                if data["daemon"] == daemon():
                    found.append(read_recovery(data["record"]))
            except FileNotFoundError:
                continue
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise CoreError(
                    f"{path} tells how to finish what an earlier run was stopped at, and it can't be read: {error}.",
                    hint="Look at the networks and their members, put right what is missing, then remove the file.",
                    reason_code="recovery_unreadable",
                ) from error
        return tuple(sorted(found, key=lambda item: item.name))

    def _record_names(self) -> list[str]:
        try:
            return sorted(name for name in os.listdir(self._folder) if name.startswith(_RECORD_HEAD))
        except OSError:
            return []

    def refuse_unwritable(self) -> None:
        """Refuse now what would be refused when the first record is written. Writes nothing."""
        folder = self._folder
        while not os.path.lexists(folder) and os.path.dirname(folder) != folder:
            folder = os.path.dirname(folder)
        if not (os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)):
            raise self._unwritable("this user must not write there")

    def apply(self, change: Change, daemon: t.Callable[[], str]) -> None:
        """Carry out one change of kind ``recovery``: ``save`` with ``record``, or ``discard`` with ``network``."""
        if change.action == "save":
            record = change.target["record"]
            self._write(self._record_name(daemon(), record["network"]), {"daemon": daemon(), "record": record})
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self._folder, self._record_name(daemon(), change.target["network"])))
                self._sync_folder()

    @staticmethod
    def _record_name(daemon: str, network: str) -> str:
        # A network's name is hostile: it may hold slashes, and be longer than a file's name.
        return f"{_RECORD_HEAD}{hashlib.sha256(json.dumps([daemon, network]).encode()).hexdigest()[:32]}.json"

    # ---- memory of endpoints

    def remembered(self) -> dict[str, t.Any]:
        """What endpoints were made with, by their IDs; empty when nothing (readable) is there."""
        try:
            with open(os.path.join(self._folder, _MEMORY), encoding="utf-8") as file:
                data = json.load(file)
        except (OSError, ValueError):
            return {}
        if not isinstance(data, dict) or data.get("version") != _MEMORY_VERSION:
            return {}
        endpoints = data.get("endpoints")
        return endpoints if isinstance(endpoints, dict) else {}

    def remember(self, endpoints: t.Mapping[str, t.Any]) -> None:
        """Keep what endpoints were made with. It only saves requests later, so a failure does not matter."""
        with contextlib.suppress(CoreError):
            self._write(_MEMORY, {"version": _MEMORY_VERSION, "endpoints": dict(endpoints)})

    # ---- files

    def _make_folder(self) -> None:
        os.makedirs(self._folder, mode=0o700, exist_ok=True)

    def _write(self, name: str, data: t.Any) -> None:
        """Write a file as a whole or not at all, whatever happens to this process or the host meanwhile."""
        try:
            self._make_folder()
            handle, path = tempfile.mkstemp(prefix=".", dir=self._folder)
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(data, file, indent=1, sort_keys=True)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(path, os.path.join(self._folder, name))
            except OSError:
                with contextlib.suppress(OSError):
                    os.unlink(path)
                raise
            self._sync_folder()
        except OSError as error:
            raise self._unwritable(str(error)) from error

    def _sync_folder(self) -> None:
        handle = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def _unwritable(self, found: str) -> CoreError:
        return CoreError(
            f"{self._folder} can't be written ({found}), and without a record there a network that is taken apart could "
            "not be put together again after a crash.",
            hint="Run with become: true, or set state_dir to a folder of this user. Nothing was changed.",
            reason_code="state_dir",
        )
