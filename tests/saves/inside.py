# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs on a lab host in a network name space of its own: gives rules to a restore command and prints what was saved.

Reads JSON from the standard input: ``commands`` that prepare, ``tool`` (``ip6tables-legacy``) and ``rules`` as
(table, chain, rule). Prints JSON: ``save`` and, with counters, ``counted``; ``refused`` as chain to message.
"""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t


def main() -> int:
    asked = json.load(sys.stdin)
    for command in asked["commands"]:
        subprocess.run(command, check=True, capture_output=True)
    tool = asked["tool"]
    refused = {}
    for table, chain, rule in asked["rules"]:
        text = f"*{table}\n:target - [0:0]\n:{chain} - [0:0]\n-A {chain} {rule}\nCOMMIT\n"
        done = _run([f"{tool}-restore", "--noflush"], text)
        if done.returncode:
            refused[chain] = done.stderr.strip()
            _run([tool, "-t", table, "-F", chain], "")
            _run([tool, "-t", table, "-X", chain], "")
    json.dump({"save": _saved(tool), "counted": _saved(tool, "-c"), "refused": refused}, sys.stdout)
    return 0


def _saved(tool: str, *options: str) -> str:
    done = _run([f"{tool}-save", *options], "")
    if done.returncode:
        raise SystemExit(f"{tool}-save: {done.stderr}")
    return done.stdout


def _run(argv: t.Sequence[str], text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, input=text, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
