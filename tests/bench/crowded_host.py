# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What it costs to compute who reaches each published port of a host, as its packet filter grows.

No lab is needed: the hosts are on paper (``crowded``). Each size is measured in processes of its own, by their CPU time
and the most memory they had; the best of ROUNDS counts, because other work on the machine only ever adds.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CHECKOUT / "tests"), str(CHECKOUT / ".collections")]

from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter import iptables_rules, space
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.packet import Packet
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.trace import Host, Model
from bench import crowded

#: Rules and published ports.
SIZES = ((100, 5), (1_000, 50), (3_000, 150), (10_000, 500))
STRANGER = "198.51.100.7"


def main() -> int:
    rounds = max(3, int(os.environ.get("ROUNDS", "3")))
    _say(f"who reaches each published port, and one stranger's path to it; best of {rounds} runs, seconds of CPU\n")
    _say(f"{'rules':>6} {'ports':>6} {'parse':>7} {'who':>7} {'path':>7} {'all':>7} {'ms/port':>8} {'MB':>6}   goal")
    found = []
    for rules, ports in SIZES:
        best = min((_in_a_process(rules, ports) for _number in range(rounds)), key=lambda one: float(one["all"]))
        found.append(best)
        goal = {100: "0.05 or less", 10_000: "3 or less, 200 MB or less"}.get(rules, "")
        each = 1000 * (best["who"] + best["path"]) / ports
        _say(
            f"{best['rules']:>6} {ports:>6} {best['parse']:>7.3f} {best['who']:>7.3f} {best['path']:>7.3f}"
            f" {best['all']:>7.3f} {each:>8.2f} {best['megabytes']:>6.0f}   {goal}".rstrip()
        )
    _say("")
    for small, large in zip(found[1:], found[2:]):
        rules, ports, took = (large[name] / small[name] for name in ("rules", "ports", "all"))
        _say(f"{rules:.1f} times the rules and {ports:.1f} times the ports: {took:.1f} times the seconds")
    return 0


def _in_a_process(rules: int, ports: int) -> dict[str, Any]:
    argv = [sys.executable, __file__, str(rules), str(ports)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def measure(rules: int, ports: int) -> dict[str, float]:
    """Ask all there is to ask about one host; give what each part took."""
    host = crowded.crowded(rules, ports)
    times = [time.process_time()]
    parsed = iptables_rules.parse(host.text, 4, "iptables")
    times.append(time.process_time())
    model = Model(parsed, Host(addresses=host.addresses, routes=host.routes, bridges=frozenset(host.bridges)))
    for item in host.published:
        asked = Packet(dst=crowded.ADDRESS, dport=item.port, iif=crowded.OUTSIDE)
        if not space.sources_of(model, asked, replies=True).accept:
            raise SystemExit(f"Nobody reaches port {item.port}: this is not the host that was meant.")
    times.append(time.process_time())
    ends: Counter[str] = Counter()
    for item in host.published:
        asked = Packet(src=STRANGER, dst=crowded.ADDRESS, dport=item.port, iif=crowded.OUTSIDE)
        ends[model.trace(asked).verdict] += 1
    times.append(time.process_time())
    if ends != Counter(accept=ports):
        raise SystemExit(f"A stranger should reach all {ports} ports: {dict(ends)}")
    parse, who, path = (after - before for before, after in zip(times, times[1:]))
    return {
        "rules": host.count,
        "ports": ports,
        "parse": parse,
        "who": who,
        "path": path,
        "all": times[-1] - times[0],
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        _say(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]))))
        sys.exit(0)
    sys.exit(main())
