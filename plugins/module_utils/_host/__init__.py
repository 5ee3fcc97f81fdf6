# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Edge: the only user of commands, files, /proc and /sys on the managed host."""

from __future__ import annotations

import json
import typing as t

from .._core.errors import CoreError
from .._core.guard import Firewall, firewall_of
from .._core.netfilter.reading import Reading
from .._core.scene import scene
from .commands import Commands, short
from .files import Tree
from .netfilter import NetfilterReader

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from .._core.model import Snapshot
    from .._core.plan import Change
    from .._core.zones import Scene


class Host:
    """The host that the module runs on."""

    def __init__(self, module: AnsibleModule) -> None:
        self._commands = Commands(module)
        self._tree = Tree()

    def look(self, snapshot: Snapshot) -> tuple[Firewall, Scene]:
        """Read all that decides about packets once: as the guard plans with it, and as paths are computed from it."""
        reading = self.netfilter({item.id: item.pid for item in snapshot.containers if item.live and item.pid})
        firewall = firewall_of(
            reading, self._tree.names("/sys/class/net"), has_nft=self._commands.find("nft") is not None
        )
        return firewall, scene(reading, snapshot)

    def scene(self, snapshot: Snapshot) -> Scene:
        """Read all that decides about packets, and tell what it means; changes nothing.

        Of containers in ``snapshot`` that live, those are looked into whose ``pid`` is known.
        """
        containers = {item.id: item.pid for item in snapshot.containers if item.live and item.pid}
        return scene(self.netfilter(containers), snapshot)

    def netfilter(self, containers: t.Mapping[str, int]) -> Reading:
        """Read all that decides about packets; changes nothing. ``containers``: first process by container ID."""
        return NetfilterReader(self._commands, self._nft_ruleset, tree=self._tree).read(containers)

    def apply(self, change: Change) -> None:
        """Carry out one change of kind ``firewall``: its ``target`` holds one transaction for nft."""
        script = json.dumps(change.target["script"])
        done = self._commands.run([self._commands.find("nft") or "nft", "-j", "-f", "-"], script)
        if done.status:
            raise CoreError(
                f"nft refused the guard's table, and nothing of it was loaded: {short(done.errors)}.",
                hint="Check that the kernel has nf_tables with conntrack (modprobe nf_conntrack nft_ct).",
                reason_code="nft_refused",
            )

    def _nft_ruleset(self) -> t.Mapping[str, t.Any] | None:
        nft = self._commands.find("nft")
        if nft is None:
            return None
        done = self._commands.run([nft, "-j", "list", "ruleset"])
        if done.status:
            hint = (
                "Run with become: true."
                if "permitted" in done.errors
                else "Run 'nft list ruleset' on the host to see more."
            )
            raise CoreError(
                f"nft cannot read the packet filter: {short(done.errors)}.", hint=hint, reason_code="nft_unreadable"
            )
        try:
            return t.cast("dict[str, t.Any]", json.loads(done.output))
        except ValueError as error:
            raise CoreError(
                f"nft gave no JSON: {short(done.output)}.",
                hint="This nft was built without JSON; the packages of Debian, Ubuntu and Fedora have it.",
                reason_code="nft_without_json",
            ) from error
