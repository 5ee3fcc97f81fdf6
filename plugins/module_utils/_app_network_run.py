# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Glue: one run of app networks, with what it keeps on the host so that it can be killed at any point."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ._core.app_network import Wanted, plan
from ._core.app_report import report
from ._core.app_undo import restart_hint, undo, went_by_itself
from ._core.errors import CoreError
from ._core.model import Snapshot
from ._core.plan import Change, Plan
from ._core.recreate import completed
from ._docker import Docker
from ._host.commands import Commands
from ._host.state import State
from ._host.surroundings import SurroundingsReader
from ._runner import restorer, run

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

#: Seconds to wait for another run on this host, and for a daemon that went away while something was taken apart.
LOCK_WAIT = 300.0
DAEMON_WAIT = 60.0


def run_app_network(module: AnsibleModule, wanted: Wanted, docker: Docker) -> t.NoReturn:
    """Run to the end; never returns."""
    _Run(module, wanted, docker).run()


class _Run:
    def __init__(self, module: AnsibleModule, wanted: Wanted, docker: Docker) -> None:
        self._module = module
        self._wanted = wanted
        self._docker = docker
        self._state = State(module.params["state_dir"])
        self._recreated: frozenset[str] = frozenset()
        self._saved: list[t.Any] = []
        self._remembered = docker.endpoints = self._state.remembered()

    def run(self) -> t.NoReturn:
        run(
            self._module,
            observe=self._observe,
            plan=self._plan,
            apply=self._apply,
            report=self._report,
            restore=self._restore,
            prove=lambda world: plan(self._wanted.settled, world),
        )

    def _observe(self) -> Snapshot:
        if not self._module.check_mode:
            self._state.lock(LOCK_WAIT)
        records = self._state.records(self._docker.identity)
        snapshot = self._docker.snapshot(
            detail_networks=self._wanted.asks_network,
            detail_containers=self._wanted.asks_container,
            remember=True,
            anew=lambda overview: {*self._wanted.anew(replace(overview, recovery=records)), *self._recreated},
        )
        if not self._module.check_mode and self._docker.endpoints != self._remembered:
            self._state.remember(self._docker.endpoints)
            self._remembered = self._docker.endpoints
        return self._with_surroundings(replace(snapshot, recovery=records))

    def _with_surroundings(self, snapshot: Snapshot) -> Snapshot:
        """Look around on the host when a network is to be made; a daemon elsewhere has surroundings of its own."""
        if not (self._docker.local and self._wanted.asks_surroundings(snapshot)):
            return snapshot
        pools = self._docker.address_pools() if self._wanted.asks_pools(snapshot) else ()
        try:
            found = SurroundingsReader(Commands(self._module)).read(pools)
        except CoreError as error:
            # Docker works on hosts that cannot tell, and asks nothing of this kind itself.
            self._module.warn(error.sentence)
            return snapshot
        return replace(snapshot, surroundings=found)

    def _plan(self, world: Snapshot) -> Plan:
        found = plan(self._wanted, world)
        if any(change.kind == "recovery" for change in found.changes):
            self._state.refuse_unwritable()
        self._recreated = frozenset(member["id"] for item in found.told["recreated"] for member in item["members"])
        return found

    def _apply(self, change: Change) -> None:
        if change.kind == "recovery":
            self._state.apply(change, self._docker.identity)
            if change.action == "save":
                self._saved.append(change.target["record"])
            return
        try:
            self._docker.apply(change)
        except CoreError as error:
            if not went_by_itself(change, error):
                error.hint = error.hint or restart_hint(change, error)
                if self._saved:
                    error.details["recovery"] = self._saved
                raise

    def _restore(self, world: Snapshot, done: t.Sequence[Change]) -> t.Sequence[str]:
        self._docker.wait(DAEMON_WAIT)
        return restorer(self._apply, undo)(world, done)

    def _report(self, world: Snapshot, done: Plan, applied: bool) -> dict[str, t.Any]:
        recreated = [completed(told, world, applied=applied) for told in done.told["recreated"]]
        found = {**report(self._wanted, world), "recreated": recreated}
        if found.get("network"):
            # What a task that came from elsewhere expects, beside what this collection calls it.
            found["network"] = {**self._docker.inspect(found["network"]["id"]), **found["network"]}
        return found
