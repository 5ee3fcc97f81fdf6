# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Load rules with the real tools, and let the same tools print what was loaded."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

#: The tools of a case in the order they load: sets before the rules that name them.
TOOLS = {
    "ipset": ("ipset", "-exist", "restore"),
    "iptables": ("iptables-nft-restore",),
    "ip6tables": ("ip6tables-nft-restore",),
    "iptables-legacy": ("iptables-legacy-restore",),
    "ip6tables-legacy": ("ip6tables-legacy-restore",),
    "nft": ("nft", "-f", "-"),
}
_PRINTERS = {
    "ipset": ("ipset", "save"),
    "iptables": ("iptables-nft-save",),
    "ip6tables": ("ip6tables-nft-save",),
    "iptables-legacy": ("iptables-legacy-save",),
    "ip6tables-legacy": ("ip6tables-legacy-save",),
    "nft": ("nft", "-j", "list", "ruleset"),
}
_BUILT_IN = {
    "raw": ("PREROUTING", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "security": ("INPUT", "FORWARD", "OUTPUT"),
}
_EMPTY = "".join(
    f"*{table}\n" + "".join(f":{chain} ACCEPT\n" for chain in chains) + "COMMIT\n"
    for table, chains in _BUILT_IN.items()
)


class Refused(Exception):
    """A tool did not take its rules."""


class Loader:
    """The rules of this network namespace."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def load(self, rules: Mapping[str, str]) -> dict[str, str]:
        """Replace all rules by these, by tool; gives what each of these tools prints afterwards."""
        self.clear()
        for tool, argv in TOOLS.items():
            if tool in rules:
                self._used.add(tool)
                _run(argv, rules[tool])
        # Tables of iptables-nft show up in nftables as well: whoever reads a host meets them there.
        return {tool: _run(_PRINTERS[tool]) for tool in dict.fromkeys((*rules, "nft"))}

    def clear(self) -> None:
        """Leave no rule and no set."""
        _run(("nft", "flush", "ruleset"))
        for tool in self._used & {"iptables-legacy", "ip6tables-legacy"}:
            _run(TOOLS[tool], _EMPTY)
        if "ipset" in self._used:
            _run(("ipset", "destroy"))
        self._used.clear()


def _run(argv: tuple[str, ...], text: str = "") -> str:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(f"{argv[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
