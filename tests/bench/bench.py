# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run costs, as ratios of things measured side by side in one run: seconds differ from machine to machine.

LAB chooses the lab, ROUNDS how often each side is measured; the sides take turns, and medians are compared.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "tests"))

import lab

HOST = "engine28"
NETWORKS = [f"bench-{number:02}" for number in range(20)]

#: Two runs of the same play differ by this much, in seconds: less can't be told from nothing.
NOISE = 0.1

#: Where the host keeps the modules that Ansible sends.
SENT = "/tmp/bulkhead-bench"

ONE_CALL = {"bulkhead.docker.docker_app_network": {"networks": NETWORKS}}
A_LOOP = {"community.docker.docker_network": {"name": "{{ item }}"}, "loop": NETWORKS}

# Runs on the lab host: whole processes of both payloads in turns, each timed from start to end.
TAKE_TURNS = """
import json, subprocess, sys, time
took = {path: [] for path in sys.argv[2:]}
for number in range(int(sys.argv[1])):
    for path in took:
        started = time.monotonic()
        subprocess.run([sys.executable, path], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        took[path].append(time.monotonic() - started)
print(json.dumps(list(took.values())))
"""


def main() -> int:
    rounds = max(5, int(os.environ.get("ROUNDS", "5")))
    lab.up([HOST])
    lab.reset([HOST])
    play(ONE_CALL)
    say(f"{len(NETWORKS)} networks that are as declared, {rounds} runs of each side in turns, medians\n")
    say(f"{'what':<58} {'seconds':>8} {'ratio':>7}   goal")
    _compare_playbooks(rounds)
    _compare_payloads(rounds)
    lab.reset([HOST])
    return 0


def _compare_playbooks(rounds: int) -> None:
    nothing: list[float] = []
    loop: list[float] = []
    call: list[float] = []
    for _number in range(rounds):
        nothing.append(play({"ansible.builtin.ping": {}}, unchanged=True))
        loop.append(play(A_LOOP, unchanged=True))
        call.append(play(ONE_CALL, unchanged=True))
    compare_plays(nothing, loop, call, goal="1/15 or less")


def compare_plays(nothing: list[float], loop: list[float], call: list[float], *, goal: str) -> None:
    start, theirs, ours = (statistics.median(times) for times in (nothing, loop, call))
    row("ansible-playbook: one ping, which is Ansible's own start", start)
    row("ansible-playbook: loop of community.docker.docker_network", theirs)
    row("ansible-playbook: one call of docker_app_network", ours, f"1/{theirs / ours:.1f}")
    # A play starts once, whatever its tasks are: what a task adds to it is what a task costs.
    theirs, ours = theirs - start, max(ours - start, NOISE)
    row("the loop, above the ping", theirs)
    row(f"the one call, above the ping (at least {NOISE})", ours, f"1/{theirs / ours:.1f}", goal)


def _compare_payloads(rounds: int) -> None:
    ping = payload("ansible.builtin.ping", {"data": "pong"})
    ours = payload("bulkhead.docker.docker_app_network", {"networks": NETWORKS})
    done = lab.run(HOST, ["python3", "-c", TAKE_TURNS, str(2 * rounds), ping, ours])
    ping_took, our_took = (statistics.median(times) for times in json.loads(done.stdout))
    row("process on the host: ansible.builtin.ping", ping_took)
    row("process on the host: docker_app_network", our_took, f"{our_took / ping_took:.1f}x", "2.5x or less")


def row(what: str, seconds: float, ratio: str = "", goal: str = "") -> None:
    say(f"{what:<58} {seconds:>8.2f} {ratio:>7}   {goal}".rstrip())


def say(line: str) -> None:
    print(line, flush=True)


def play(task: dict[str, Any], *, unchanged: bool = False) -> float:
    """Run a playbook of one task; give the seconds from start to end."""
    with tempfile.TemporaryDirectory(prefix="bulkhead-bench-") as folder:
        playbook = Path(folder) / "play.yml"
        playbook.write_text(json.dumps([{"hosts": HOST, "gather_facts": False, "tasks": [task]}]))
        started = time.monotonic()
        output = _ansible("ansible-playbook", str(playbook))
        took = time.monotonic() - started
    if unchanged and "changed=0" not in output:
        raise SystemExit(f"A run that had nothing to do changed something:\n{output}")
    return took


def payload(module: str, arguments: dict[str, Any]) -> str:
    """Have Ansible send a module, and give the path of what it sent."""
    name = f"AnsiballZ_{module.rpartition('.')[2]}.py"
    lab.run(HOST, ["rm", "-rf", SENT])
    argv = [HOST, "--module-name", module, "--args", json.dumps(arguments), "--extra-vars"]
    argv.append(f"ansible_pipelining=false ansible_remote_tmp={SENT}")
    _ansible("ansible", *argv, ANSIBLE_KEEP_REMOTE_FILES="1")
    found = lab.run(HOST, ["find", SENT, "-name", name]).stdout.split()
    if len(found) != 1:
        raise SystemExit(f"Ansible left {len(found)} files {name} on {HOST} instead of one.")
    kept = f"/tmp/{name}"
    lab.run(HOST, ["mv", found[0], kept])
    return kept


def _ansible(program: str, *argv: str, **environment: str) -> str:
    """Run one of Ansible's programs from the checkout, as a user would."""
    environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", **environment}
    path = Path(sys.executable).parent / program
    done = subprocess.run([path, *argv], cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{program} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
