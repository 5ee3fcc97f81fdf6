# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The commands: ``up | down | status | shell | reset | images | clean``."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timezone

from . import engine, hosts, images, places
from .errors import LabError
from .hosts import State
from .progress import say
from .recipes import RECIPES, REPOSITORY
from .topology import HOSTS, LAB_LABEL, Lab, chosen_lab, host_named, hosts_named


def main(argv: Sequence[str]) -> int:
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.action(chosen_lab(os.environ), arguments))
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        if error.detail:
            print("\n".join(f"  | {line}" for line in error.detail.splitlines()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("lab: stopped; `up` goes on from here, `down` removes what is there.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    known = ", ".join(host.name for host in HOSTS)
    parser = argparse.ArgumentParser(
        prog="lab.py",
        description="Real Docker hosts of several engine generations, as containers on this machine.",
        epilog=f"Hosts: {known}. The environment variable LAB (0 to 7) chooses one of several labs side by side.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, action: object, text: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text)
        one.set_defaults(action=action)
        return one

    one = command("up", _up, "start hosts (default: three engines, outsider, neighbour); keeps what is there")
    one.add_argument("hosts", nargs="*", metavar="HOST")
    command("down", _down, "remove this lab's containers, volumes and networks; images stay")
    one = command("status", _status, "show this lab's hosts")
    one.add_argument("--json", action="store_true", help="for programs")
    one = command("shell", _shell, "open a shell, or run a command, inside a host")
    one.add_argument("host", metavar="HOST")
    one.add_argument("command", nargs=argparse.REMAINDER, metavar="CMD")
    one = command("reset", _reset, "make running hosts look as after their first boot (default: all of them)")
    one.add_argument("hosts", nargs="*", metavar="HOST")
    command("images", _images, "build and import all images")
    command("clean", _clean, "remove every lab, the images, the cache and the daemon that the lab started")
    return parser


def _up(lab: Lab, arguments: argparse.Namespace) -> int:
    start = time.monotonic()
    wanted = hosts_named(arguments.hosts)
    hosts.up(lab, wanted)
    say(f"lab {lab.number} is up in {time.monotonic() - start:.1f} s: {', '.join(host.name for host in wanted)}")
    return 0


def _down(lab: Lab, arguments: argparse.Namespace) -> int:
    with places.locked(lab.prefix):
        gone = hosts.down(label=lab.label)
    say(f"lab {lab.number} is down ({gone} containers, volumes and networks removed)")
    return 0


def _status(lab: Lab, arguments: argparse.Namespace) -> int:
    states = hosts.status(lab, HOSTS)
    if arguments.json:
        print(hosts.as_json(states))
        return 0
    if not states:
        print(f"lab {lab.number} has no hosts: start some with `up`.")
        return 0
    rows = [("HOST", "ENGINE", "STATE", "WAN", "LAN", "UP")]
    now = datetime.now(timezone.utc)
    rows += [
        (row.host, row.engine or "-", row.state, row.wan or "-", row.lan or "-", uptime(row, now)) for row in states
    ]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    return 0


def uptime(row: State, now: datetime) -> str:
    if row.state != "running":
        return "-"
    # Docker's nine decimals are three more than Python reads.
    started = datetime.fromisoformat(row.started[:19] + "+00:00")
    seconds = max(int((now - started).total_seconds()), 0)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


def _shell(lab: Lab, arguments: argparse.Namespace) -> int:
    host = host_named(arguments.host)
    if not hosts.running_hosts(lab, [host]):
        raise LabError(f"{host.name} is not running in lab {lab.number}: start it with `up {host.name}`.")
    terminal = ["--tty"] if sys.stdin.isatty() and sys.stdout.isatty() else []
    command = arguments.command or ["bash"]
    os.execvp("docker", ["docker", "exec", "--interactive", *terminal, lab.container(host), *command])


def _reset(lab: Lab, arguments: argparse.Namespace) -> int:
    start = time.monotonic()
    wanted = hosts_named(arguments.hosts) if arguments.hosts else hosts.running_hosts(lab, HOSTS)
    for name, done in sorted(hosts.reset(lab, wanted).items()):
        say(f"{name}: {'; '.join(done) or 'was clean'}")
    say(f"reset in {time.monotonic() - start:.1f} s")
    return 0


def _images(lab: Lab, arguments: argparse.Namespace) -> int:
    engine.ensure()
    images.ensure(RECIPES)
    images.ensure_workload()
    for recipe in RECIPES.values():
        size = int(engine.docker(["image", "inspect", "--format={{.Size}}", recipe.tag]).stdout)
        print(f"{recipe.tag}  {recipe.suite}  {size / 1e6:.0f} MB")
    return 0


def _clean(lab: Lab, arguments: argparse.Namespace) -> int:
    if engine.answers():
        hosts.down(label=LAB_LABEL)
        listed = engine.docker(
            ["image", "ls", "--quiet", "--no-trunc", f"--filter=reference={REPOSITORY}/*"]
        ).stdout.split()
        if listed:
            engine.docker(["image", "rm", "--force", *sorted(set(listed))])
    # With DOCKER_HOST the lab never started a daemon; one that runs here is used by somebody else's labs.
    stopped = not os.environ.get("DOCKER_HOST") and engine.stop_own()
    shutil.rmtree(places.cache())
    say("clean: no lab, no images, no cache" + (", and the lab's dockerd is stopped" if stopped else ""))
    return 0
