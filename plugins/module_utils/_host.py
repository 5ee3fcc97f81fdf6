# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Edge: the only user of commands, files, /proc and /sys on the managed host."""

from __future__ import annotations

import json
import os
import typing as t

from ._core import ufw
from ._core.errors import CoreError
from ._core.guard import Firewall
from ._core.guard_preflight import AFTER_RULES

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ._core.plan import Change

_SAVES = {4: "iptables-save", 6: "ip6tables-save"}
_LEGACY_SAVES = {4: ("iptables-legacy-save", "ip_tables_names"), 6: ("ip6tables-legacy-save", "ip6_tables_names")}


class Host:
    """The host that the module runs on."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module

    def firewall(self) -> Firewall:
        """Read UFW's files, nftables' ruleset and the iptables rules of both families."""
        return Firewall(
            files={path: _text(path) for path in (ufw.CONF, ufw.DEFAULTS, ufw.RULES, ufw.RULES6, *AFTER_RULES)},
            nft=self._nft_ruleset(),
            saves={family: self._output(command) for family, command in _SAVES.items()},
            legacy={
                family: self._output(command) or ""
                for family, (command, names) in _LEGACY_SAVES.items()
                # Without a table in the kernel there is nothing to see, and asking would load the old modules.
                if (_text(f"/proc/net/{names}") or "").strip()
            },
            interfaces=tuple(sorted(os.listdir("/sys/class/net"))),
        )

    def apply(self, change: Change) -> None:
        """Carry out one change of kind ``firewall``: its ``target`` holds one transaction for nft."""
        script = json.dumps(change.target["script"])
        status, _output, errors = self._run([self._command("nft"), "-j", "-f", "-"], script)
        if status:
            raise CoreError(
                f"nft refused the guard's table, and nothing of it was loaded: {_short(errors)}.",
                hint="Check that the kernel has nf_tables with conntrack (modprobe nf_conntrack nft_ct).",
                reason_code="nft_refused",
            )

    def _nft_ruleset(self) -> t.Mapping[str, t.Any] | None:
        nft = self._command("nft")
        if nft is None:
            return None
        status, output, errors = self._run([nft, "-j", "list", "ruleset"])
        if status:
            hint = (
                "Run with become: true." if "permitted" in errors else "Run 'nft list ruleset' on the host to see more."
            )
            raise CoreError(
                f"nft cannot read the packet filter: {_short(errors)}.", hint=hint, reason_code="nft_unreadable"
            )
        try:
            return t.cast("dict[str, t.Any]", json.loads(output))
        except ValueError as error:
            raise CoreError(
                f"nft gave no JSON: {_short(output)}.",
                hint="This nft was built without JSON; the packages of Debian, Ubuntu and Fedora have it.",
                reason_code="nft_without_json",
            ) from error

    def _command(self, name: str) -> str | None:
        return t.cast("str | None", self._module.get_bin_path(name, opt_dirs=["/usr/sbin", "/sbin"]))

    def _output(self, command: str) -> str | None:
        path = self._command(command)
        if path is None:
            return None
        status, output, _errors = self._run([path])
        return None if status else output

    def _run(self, argv: t.Sequence[str | None], data: str | None = None) -> tuple[int, str, str]:
        environment = {"LC_ALL": "C", "LANG": "C"}
        status, output, errors = self._module.run_command(list(argv), data=data, environ_update=environment)
        return int(status), str(output), str(errors)


def _text(path: str) -> str | None:
    """Read a file; None when it is not there or must not be read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return None


def _short(text: str) -> str:
    return " ".join(text.split())[:400].rstrip(".")
