# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Differential test of the path model: random rules in a real kernel, random packets through them, both answers compared.

    make fuzz-paths [SEED=text] [PAIRS=20000]

The kernel side runs in the lab hosts, in network namespaces of its own: nothing of the hosts is touched. Each of the
lab's engines has another release of iptables and nftables, and the cases go to them in turn. Ends with 1 when model and
kernel disagreed, or when nothing was compared. A disagreement is shown as the smallest case that still shows it, ready
to be kept in ``cases/``.
"""

from __future__ import annotations

import argparse
import collections
import json
import multiprocessing
import os
import secrets
import sys
import time
import typing as t
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

_TESTS = Path(__file__).resolve().parents[1]
_CHECKOUT = _TESTS.parent
# Run as a script this folder would come first, where its modules shadow those of other names.
sys.path[0] = str(_TESTS)
sys.path.insert(1, str(_CHECKOUT / ".collections"))

# The lab of the tests, not the one that a person has up for trying things.
os.environ.setdefault("LAB", "1")

import lab

from paths import judge, kept, random_cases, show
from paths.client import Worker
from paths.judge import Verdict

ENGINES = ("engine26", "engine20", "engine28")
_MOST_SHOWN = 8

_workers: dict[str, Worker] = {}


def _one(task: tuple[int, str]) -> list[Verdict]:
    number, seed = task
    engine = ENGINES[number % len(ENGINES)]
    if engine not in _workers:
        _workers[engine] = Worker(engine)
    return judge.judge(_workers[engine], random_cases.case(seed), seed)


class Tally:
    """What was found so far."""

    def __init__(self) -> None:
        self.results: collections.Counter[str] = collections.Counter()
        self.verdicts: collections.Counter[str] = collections.Counter()
        self.reasons: collections.Counter[str] = collections.Counter()
        self.wrong: list[Verdict] = []
        self.refused: list[Verdict] = []
        self._started = time.monotonic()

    def add(self, verdicts: t.Iterable[Verdict]) -> None:
        """Count the verdicts of one case."""
        for verdict in verdicts:
            self.results[verdict.answer.result] += 1
            if verdict.answer.result == "agree":
                self.verdicts[verdict.answer.verdict] += 1
            self.reasons.update(verdict.answer.because[:1])
            if verdict.answer.result == "disagree":
                self.wrong.append(verdict)
            elif verdict.answer.result == "refused":
                self.refused.append(verdict)

    @property
    def compared(self) -> int:
        """The pairs of a ruleset and a packet that were looked at."""
        return sum(self.results.values()) - self.results["refused"]

    def line(self) -> str:
        """Say it in one line."""
        seconds = time.monotonic() - self._started
        told = ", ".join(f"{self.results[name]} {name}" for name in ("agree", "unknown", "disagree", "refused"))
        return f"{self.compared} pairs in {seconds:.0f} s ({self.compared / seconds:.0f}/s): {told}"

    def report(self) -> None:
        """Show it all."""
        print(self.line())
        print("agreed on: " + ", ".join(f"{number} {name}" for name, number in self.verdicts.most_common()))
        for reason, number in self.reasons.most_common(15):
            print(f"  unknown {number:5}  {reason}")
        for verdict in [*self.wrong, *self.refused][:_MOST_SHOWN]:
            print(f"{verdict.answer.result}: {verdict.seed}, packet {verdict.packet}: {verdict.answer.why}")
            if "seen" in verdict.smallest:
                print(show.told(verdict.smallest))
                print(f"  kept as {_keep(verdict)}")


def _keep(verdict: Verdict) -> Path:
    place = _CHECKOUT / "build" / "paths" / f"{verdict.seed.replace('/', '-')}.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps({"why": verdict.answer.why, **verdict.smallest}, indent=1) + "\n", encoding="utf-8")
    return place


def check_kept() -> int:
    """Run the kept cases; gives how many fail."""
    cases = kept.load()
    worker = Worker(ENGINES[0])
    wrong = 0
    for name, case in cases.items():
        answer = kept.check(worker, case)
        if answer.result != "agree":
            wrong += 1
            print(f"{answer.result}: {name}: {answer.why or answer.because}")
    worker.close()
    print(f"{len(cases)} kept cases, {wrong} of them wrong", flush=True)
    return wrong


def record() -> int:
    """Ask the kernel about the kept cases, and write down what it says where that is new."""
    worker = Worker(ENGINES[0])
    for name, case in kept.load().items():
        told = worker.run(case)
        if "refused" in told:
            print(f"{name}: {told['refused']}")
            return 1
        if case.get("seen") != kept.without_tokens(told["seen"]):
            print(kept.keep(name, case, told), judge.answers(case, told)[0].result)
    worker.close()
    return 0


def run(seed: str, pairs: int, processes: int) -> int:
    """Check the kept cases, then compare so many pairs; gives the exit code."""
    wrong = check_kept()
    cases = -(-pairs // random_cases.PACKETS)
    print(f"seed {seed}: {pairs} pairs, {cases} rulesets, {processes} processes", flush=True)
    tally = Tally()
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        tasks = [(number, f"{seed}/{number}") for number in range(cases)]
        for number, verdicts in enumerate(pool.map(_one, tasks), 1):
            tally.add(verdicts)
            if number % 50 == 0:
                print(tally.line(), flush=True)
    tally.report()
    return 1 if wrong or tally.results["disagree"] or not tally.results["agree"] else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", default=os.environ.get("SEED") or secrets.token_hex(4))
    parser.add_argument("--pairs", type=int, default=int(os.environ.get("PAIRS") or 20000))
    parser.add_argument("--processes", type=int, default=min(os.cpu_count() or 1, 4))
    parser.add_argument(
        "--record", action="store_true", help="write down what the kernel does in the kept cases, if that is new"
    )
    options = parser.parse_args()
    lab.up(ENGINES)
    return record() if options.record else run(options.seed, options.pairs, options.processes)


if __name__ == "__main__":
    sys.exit(main())
