# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What it costs to find that 100 networks and their 200 attachments are as declared, in one call and in a loop.

LAB chooses the lab, ROUNDS how often each side is measured; the sides take turns, and medians are compared.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "tests"))

import lab

from bench import bench

MEMBERS = [f"bench-member-{number}" for number in range(8)]
# Docker's own pools end after some thirty networks.
NETWORKS = [
    {
        "name": f"bench-{number:02}",
        "ipam_config": [{"subnet": f"10.120.{number}.0/24"}],
        "connected": [MEMBERS[number % 8], MEMBERS[(number + 3) % 8]],
    }
    for number in range(100)
]
ONE_CALL = {"bulkhead.docker.docker_app_network": {"networks": NETWORKS}}
ONE_OF_THE_LOOP = {key: f"{{{{ item.{key} }}}}" for key in NETWORKS[0]}
A_LOOP = {"community.docker.docker_network": ONE_OF_THE_LOOP, "loop": NETWORKS, "loop_control": {"label": "one"}}


def main() -> int:
    rounds = max(3, int(os.environ.get("ROUNDS", "3")))
    lab.up([bench.HOST])
    lab.reset([bench.HOST])
    for name in MEMBERS:
        lab.run(bench.HOST, ["docker", "run", "-d", "--init", "--name", name, lab.WORKLOAD_TAG, "sleep", "86400"])
    bench.play(ONE_CALL)
    attachments = sum(len(network["connected"]) for network in NETWORKS)
    bench.say(f"{len(NETWORKS)} networks and {attachments} attachments that are as declared, medians of {rounds}\n")
    bench.say(f"{'what':<58} {'seconds':>8} {'ratio':>7}   goal")
    try:
        _compare_playbooks(rounds)
        _compare_payloads(rounds)
    finally:
        # One by one it takes minutes, and a reset has the time limit of ten networks.
        lab.run(bench.HOST, ["sh", "-c", "docker rm -f $(docker ps -aq); docker network prune -f"], timeout=300)
        lab.reset([bench.HOST])
    return 0


def _compare_playbooks(rounds: int) -> None:
    nothing: list[float] = []
    loop: list[float] = []
    call: list[float] = []
    for _number in range(rounds):
        nothing.append(bench.play({"ansible.builtin.ping": {}}, unchanged=True))
        loop.append(bench.play(A_LOOP, unchanged=True))
        call.append(bench.play(ONE_CALL, unchanged=True))
    bench.compare_plays(nothing, loop, call, goal="")


def _compare_payloads(rounds: int) -> None:
    one = dict(NETWORKS[0])
    theirs = bench.payload("community.docker.docker_network", one)
    ours = bench.payload("bulkhead.docker.docker_app_network", {"networks": NETWORKS})
    done = lab.run(bench.HOST, ["python3", "-c", bench.TAKE_TURNS, str(3 * rounds), theirs, ours], timeout=600)
    their_took, our_took = (statistics.median(times) for times in json.loads(done.stdout))
    their_took *= len(NETWORKS)
    bench.row("processes on the host: docker_network, one for each network", their_took)
    bench.row("process on the host: docker_app_network", our_took, f"1/{their_took / our_took:.1f}")


if __name__ == "__main__":
    sys.exit(main())
