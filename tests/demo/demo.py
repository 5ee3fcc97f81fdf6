# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Three Docker hosts in three acts: what you believe and what is true, the run, what is true now.

Works on the lab that LAB names (default 0), whose Docker hosts it resets first and leaves running. Every yes and no on
the screen is the answer to a real packet or command; the exit code is 1 when one is not as promised.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "tests"))

import lab

from demo import witness

ENGINES = ("engine20", "engine26", "engine28")
PORTS = {8080: "the shop", 5432: "the database", 9090: "metrics"}
DEPLOY = Path(__file__).with_name("deploy.sh")
EXAMPLE = "examples/shop.yml"
#: A port of the outsider on which something listens: what a container that gets out would find.
ELSEWHERE = 8000

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """What the outsider's curl got from one published port, and which rule decided over its packets."""

    page: str | None
    decided_by: str

    @property
    def word(self) -> str:
        return "closed" if self.page is None else "OPEN"


Answers = dict[tuple[str, int], Answer]


class Promises:
    """What must be true, each said on the screen as it is found."""

    def __init__(self) -> None:
        self.broken = 0

    def hold(self, sentence: str, kept: bool) -> None:
        self.broken += not kept
        print(f"  {'yes' if kept else 'NO '}  {sentence}", flush=True)


def on_each_engine(do: Callable[[str], T]) -> dict[str, T]:
    """Do the same on all hosts at once; answers in the order of the hosts."""
    with ThreadPoolExecutor(len(ENGINES)) as pool:
        return dict(zip(ENGINES, pool.map(do, ENGINES), strict=True))


def headline(text: str) -> None:
    print(f"\n{'=' * 100}\n{text}\n{'=' * 100}", flush=True)


# ---- the acts ------------------------------------------------------------------------------------------------------


def prepare() -> None:
    started = time.monotonic()
    lab.up([*ENGINES, "outsider"])
    lab.reset([*ENGINES, "outsider"])
    lab.run("outsider", ["sh", "-c", f"nohup python3 -m http.server {ELSEWHERE} >/dev/null 2>&1 &"])
    on_each_engine(lambda host: lab.run(host, ["sh", "-s", lab.WORKLOAD_TAG], input=DEPLOY.read_text()))
    print(f"three hosts with a shop on each: {time.monotonic() - started:.0f} s", flush=True)


def first_act(promises: Promises) -> Answers:
    headline("Act 1: what you believe and what is true")
    print("You believe what UFW says (the same on each host):\n")
    print(textwrap.indent(run_on(ENGINES[-1], "ufw", "status"), "  "))
    answers = knock()
    print("True is what a stranger on the internet gets:\n")
    for (host, port), answer in answers.items():
        print(f"  curl http://{lab.wan_ip(host)}:{port}/   # {host}, {PORTS[port]}\n      {answer.page or 'no answer'}")
    print("\nAnd the old network that nobody can remove:\n")
    for host in ENGINES:
        refused = lab.run(host, ["docker", "network", "rm", "old-shop"], check=False)
        print(f"  {host}: docker network rm old-shop\n      {refused.stderr.strip().splitlines()[0]}")
        promises.hold("the network refuses to go", refused.returncode != 0)
    for host in ENGINES:
        promises.hold(f"{host}: the database can call out to the internet", fetch(host, "shop-db", elsewhere()))
        promises.hold(f"{host}: web reaches the database past the api", fetch(host, "shop-web", "http://db:5432/"))
    for (host, port), answer in answers.items():
        if port != 8080:
            promises.hold(f"{host}: {PORTS[port]} is open to the world, although UFW denies {port}", bool(answer.page))
    return answers


def second_act(promises: Promises) -> None:
    headline(f"Act 2: the run (ansible-playbook bulkhead.docker.site -e bulkhead_hosts=lab -e @{EXAMPLE})")
    started = time.monotonic()
    done = site()
    promises.hold(f"the run ended well, in {time.monotonic() - started:.0f} s", done.returncode == 0)
    started = time.monotonic()
    again = site(ANSIBLE_STDOUT_CALLBACK="ansible.posix.json")
    stats = json.loads(again.stdout[again.stdout.index("{") :])["stats"] if again.returncode == 0 else {}
    changed = {host: stats.get(host, {}).get("changed") for host in ENGINES}
    words = ", ".join(f"{host} changed={count}" for host, count in changed.items())
    promises.hold(f"a second run: {words}, in {time.monotonic() - started:.0f} s", set(changed.values()) == {0})


def third_act(promises: Promises, before: Answers) -> None:
    headline("Act 3: what is true now")
    after = knock()
    on_each_engine(lambda host: lab.run(host, ["docker", "restart", "--time=0", "shop-web"]))
    again = knock()
    for host in ENGINES:
        promises.hold(f"{host}: the shop serves on", after[host, 8080].page is not None)
        closed = not after[host, 5432].page and not after[host, 9090].page
        promises.hold(f"{host}: the database and metrics are closed", closed)
        same = all(again[host, port].word == after[host, port].word for port in PORTS)
        promises.hold(f"{host}: the same after the web container is restarted", same)
        promises.hold(f"{host}: web reaches api by its name", fetch(host, "shop-web", "http://api:8080/"))
        promises.hold(f"{host}: api reaches db by its name", fetch(host, "shop-api", "http://db:5432/"))
        promises.hold(f"{host}: web does not reach the database", not fetch(host, "shop-web", "http://db:5432/"))
        promises.hold(f"{host}: the database has no way out", not fetch(host, "shop-db", elsewhere()))
        gone = lab.run(host, ["docker", "network", "inspect", "old-shop"], check=False).returncode != 0
        starts = lab.run(host, ["docker", "start", "--attach", "shop-report"], check=False).returncode == 0
        promises.hold(
            f"{host}: the old network is gone, and the container that stood still on it starts", gone and starts
        )
    print()
    print(table(before, after))


# ---- what they do --------------------------------------------------------------------------------------------------


def knock() -> Answers:
    """Ask every published port of every host from the outsider, and see which rules count the packets."""

    def ask(host: str) -> dict[int, Answer]:
        answers = {}
        for port in PORTS:
            seen = counts(host)
            page = lab.http_get("outsider", lab.wan_ip(host), port, timeout=1.5)
            answers[port] = Answer(page.strip() if page else None, witness.decider(seen, counts(host)))
        return answers

    found = on_each_engine(ask)
    return {(host, port): found[host][port] for host in ENGINES for port in PORTS}


def counts(host: str) -> witness.Counts:
    guard = lab.run(host, ["nft", "-j", "list", "table", "inet", "bulkhead_guard"], check=False)
    return witness.counts(run_on(host, "iptables-save", "-c"), guard.stdout if guard.returncode == 0 else "")


def elsewhere() -> str:
    return f"http://{lab.wan_ip('outsider')}:{ELSEWHERE}/"


def fetch(host: str, container: str, url: str) -> bool:
    argv = ["docker", "exec", container, "timeout", "2", "wget", "-q", "-O", "-", url]
    return lab.run(host, argv, check=False).returncode == 0


def run_on(host: str, *argv: str) -> str:
    return lab.run(host, list(argv)).stdout


def site(**settings: str) -> subprocess.CompletedProcess[str]:
    """Run the site playbook by its collection name; its output goes to the screen unless a callback collects it."""
    argv = [str(Path(sys.executable).parent / "ansible-playbook"), "bulkhead.docker.site"]
    argv += ["--extra-vars", "bulkhead_hosts=lab", "--extra-vars", f"@{EXAMPLE}"]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), **settings}
    output = subprocess.PIPE if settings else None
    return subprocess.run(argv, cwd=CHECKOUT, env=environment, stdout=output, text=True, check=False)


def ufw_says(host: str, port: int) -> str:
    return "allow" if f"{port}/tcp" in run_on(host, "ufw", "status") else "deny"


def table(before: Answers, after: Answers) -> str:
    rows = [("host", "port", "", "before", "after", "UFW says", "who decided now")]
    for (host, port), now in after.items():
        then = before[host, port]
        rows.append((host, str(port), PORTS[port], then.word, now.word, ufw_says(host, port), now.decided_by))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    reasons = sorted({answer.decided_by for answer in before.values()})
    return "\n".join([*lines, "", f"Before, all of them were decided by: {'; '.join(reasons)}."])


def main() -> int:
    started = time.monotonic()
    promises = Promises()
    try:
        prepare()
        before = first_act(promises)
        second_act(promises)
        third_act(promises, before)
    except lab.LabError as error:
        print(f"demo: {error}\n{error.detail}".rstrip(), file=sys.stderr)
        return 2
    print(f"\nThe whole demo took {time.monotonic() - started:.0f} s. The hosts stay up: make lab-shell HOST=engine28,")
    print("and take them down with: make lab-down")
    if promises.broken:
        print(f"{promises.broken} promises were not kept: see NO above.", file=sys.stderr)
    return 1 if promises.broken else 0


if __name__ == "__main__":
    sys.exit(main())
