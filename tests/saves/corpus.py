# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Give the rules of ``corpus.txt`` to every iptables of the lab, and keep what its save command makes of them.

``LAB=4 python3 tests/saves/corpus.py`` writes ``data/corpus/`` beside the parser's unit tests: what was asked
(``asked-v4.rules``), what nft's flavour of each version printed, and what the oldest legacy one printed with counters.
That all legacy ones say the same, it checks. Every rule has a chain of its own, named after its line in
``corpus.txt``: k... for one that our parser has to know in full, u... for one that it cannot know. The hosts' own rules
are not touched: all of it happens in name spaces that end with the script.
"""

from __future__ import annotations

import json
import re
import sys
import typing as t
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import lab

DATA = HERE.parent / "unit/plugins/module_utils/_core/netfilter/data/corpus"
HOSTS = ("engine20", "engine26", "engine28")

PREPARED = [
    ["ip", "link", "set", "lo", "up"],
    ["ipset", "create", "nets4", "hash:net", "timeout", "0"],
    ["ipset", "create", "pairs4", "hash:ip,port"],
    ["ipset", "create", "triples4", "hash:ip,port,ip"],
    ["ipset", "create", "counted4", "hash:ip", "counters"],
    ["ipset", "create", "marks4", "hash:ip", "skbinfo"],
    ["ipset", "create", "nets6", "hash:net", "family", "inet6"],
]


class Asked(t.NamedTuple):
    """A rule of the corpus."""

    families: str
    table: str
    chain: str
    rule: str


def corpus() -> list[Asked]:
    """Read the corpus."""
    found = []
    for number, line in enumerate((HERE / "corpus.txt").read_text(encoding="utf-8").splitlines(), 1):
        if line and not line.startswith("#"):
            families, table, kind, *rule = line.split(None, 3)
            found.append(Asked(families, table, f"{kind[0]}{number:03}", rule[0] if rule else ""))
    return found


def main() -> int:
    lab.up(HOSTS)
    DATA.mkdir(parents=True, exist_ok=True)
    for old in DATA.glob("*.rules"):
        old.unlink()
    wrong = 0
    for family in ("4", "6"):
        rules = [asked for asked in corpus() if family in asked.families]
        _write(f"asked-v{family}", _as_save(rules))
        for host in HOSTS:
            nft, legacy = (_ask(host, flavour, family, rules) for flavour in ("", "-legacy"))
            _write(f"{nft.version}-nft-v{family}", nft.save)
            if host == HOSTS[0]:
                _write(f"{legacy.version}-legacy-v{family}", legacy.counted)
            print(f"{host}: iptables {nft.version}, family {family}: {len(rules)} rules")
            for answer in (nft, legacy):
                wrong += len(answer.refused)
                for chain, message in answer.refused.items():
                    print(f"  refused: {chain}: {message}")
            if _rules(nft.save) != _rules(legacy.save):
                wrong += 1
                print("  differ:", *sorted(_rules(nft.save) ^ _rules(legacy.save)), sep="\n    ")
    return 1 if wrong else 0


class Answer(t.NamedTuple):
    """What one tool made of the corpus."""

    version: str
    save: str
    counted: str
    refused: t.Mapping[str, str]


def _rules(save: str) -> set[str]:
    return {line for line in save.splitlines() if line.startswith("-A ")}


def _ask(host: str, flavour: str, family: str, rules: t.Sequence[Asked]) -> Answer:
    tool = f"ip{'6' if family == '6' else ''}tables{flavour}"
    asked = {"commands": PREPARED, "tool": tool, "rules": [(rule.table, rule.chain, rule.rule) for rule in rules]}
    script = (HERE / "inside.py").read_text(encoding="utf-8")
    done = lab.run(host, ["unshare", "-n", "python3", "-c", script], input=json.dumps(asked), timeout=600)
    version = lab.run(host, [tool, "--version"]).stdout.split()[1].lstrip("v")
    return Answer(version, **json.loads(done.stdout))


def _as_save(rules: t.Sequence[Asked]) -> str:
    """Write rules as iptables-save does."""
    lines = []
    for table in dict.fromkeys(rule.table for rule in rules):
        mine = [rule for rule in rules if rule.table == table]
        lines += [f"*{table}", ":target - [0:0]", *(f":{rule.chain} - [0:0]" for rule in mine)]
        lines += [f"-A {rule.chain} {rule.rule}".rstrip() for rule in mine]
        lines.append("COMMIT")
    return "\n".join([*lines, ""])


def _write(name: str, text: str) -> None:
    (DATA / f"{name}.rules").write_text(re.sub(r" on [A-Z][a-z]{2} .*", "", text), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
