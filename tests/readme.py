# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the commands that a README shows, as its reader would.

A comment right above a fenced ``sh`` block says what happens with it: ``<!-- run -->``, ``<!-- run: lab -->`` (hosts of
the lab are up) or ``<!-- not run: REASON -->``. A block without one is an error, so that no command stays unproven
by accident.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import subprocess
import sys
import time
import typing as t
from pathlib import Path

SHELLS = ("sh", "bash", "shell", "console")
MARK = re.compile(r"^\s*<!--\s*(?P<word>run|not run)\s*(?::\s*(?P<rest>.*?))?\s*-->\s*$")
FENCE = re.compile(r"^(?P<indent>\s*)(?P<ticks>`{3,}|~{3,})\s*(?P<language>[\w+-]*)[^`]*$")


class ReadmeError(Exception):
    """A block that cannot be run as it is marked; the text names its line."""


@dataclasses.dataclass(frozen=True)
class Block:
    line: int
    script: str
    needs_lab: bool = False
    not_run: str | None = None


def blocks(text: str, name: str = "README.md") -> list[Block]:
    """Return the shell blocks of a Markdown text in order."""
    found = []
    mark: tuple[int, re.Match[str]] | None = None
    lines = iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        marked, fence = MARK.match(line), FENCE.match(line)
        if marked:
            if mark:
                raise ReadmeError(f"{name}:{mark[0]}: this mark stands above no block")
            mark = (number, marked)
        elif fence:
            script = _body(lines, fence, f"{name}:{number}")
            if fence["language"] in SHELLS:
                found.append(_block(number, script, mark, name))
            elif mark:
                raise ReadmeError(f"{name}:{mark[0]}: this mark stands above a block that is not shell")
            mark = None
        elif line.strip() and mark:
            raise ReadmeError(f"{name}:{mark[0]}: this mark stands above text, not above a block")
    if mark:
        raise ReadmeError(f"{name}:{mark[0]}: this mark stands above no block")
    return found


def _body(lines: t.Iterator[tuple[int, str]], fence: re.Match[str], place: str) -> str:
    indent, ticks = len(fence["indent"]), fence["ticks"]
    body: list[str] = []
    for _number, line in lines:
        bare = line.strip()
        if bare.startswith(ticks) and not bare.strip(ticks[0]):
            return "".join(f"{row}\n" for row in body)
        body.append(line[indent:] if not line[:indent].strip() else line)
    raise ReadmeError(f"{place}: this block never ends")


def _block(number: int, script: str, mark: tuple[int, re.Match[str]] | None, name: str) -> Block:
    place = f"{name}:{number}"
    if mark is None:
        raise ReadmeError(f"{place}: put <!-- run -->, <!-- run: lab --> or <!-- not run: REASON --> above this block")
    word, rest = mark[1]["word"], mark[1]["rest"]
    if word == "not run":
        if not rest:
            raise ReadmeError(f"{place}: <!-- not run --> needs a reason: <!-- not run: REASON -->")
        return Block(number, script, not_run=rest)
    if rest not in (None, "", "lab"):
        raise ReadmeError(f"{place}: {rest!r} is nothing that can be prepared; there is only 'lab'")
    return Block(number, script, needs_lab=rest == "lab")


def run(block: Block, folder: Path) -> int:
    """Run one block's commands in ``folder`` and return the status."""
    environment = {**os.environ, "PATH": f"{folder / '.venv/bin'}:{os.environ['PATH']}"}
    # -x shows each command above its output.
    argv = ["bash", "-euxo", "pipefail", "-c", block.script]
    return subprocess.run(argv, cwd=folder, env=environment, stdin=subprocess.DEVNULL, check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?", default=Path("README.md"))
    parser.add_argument("--folder", type=Path, help="where its commands run, if not in its own folder")
    options = parser.parse_args()
    folder = (options.folder or options.file.parent).resolve()
    try:
        found = blocks(options.file.read_text(encoding="utf-8"), options.file.name)
    except (ReadmeError, OSError) as error:
        print(f"readme: {error}", file=sys.stderr)
        return 2
    started = time.monotonic()
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for block in found:
        place = f"{options.file.name}:{block.line}"
        if block.not_run is not None:
            print(f"SKIPPED {place}: {block.not_run}", flush=True)
            counts["skipped"] += 1
            continue
        print(f"--- {place}", flush=True)
        status = run(block, folder)
        if status != 0:
            print(f"FAILED {place}: status {status}", flush=True)
        counts["failed" if status else "passed"] += 1
    summary = ", ".join(f"{number} {word}" for word, number in counts.items())
    print(f"{summary} in {time.monotonic() - started:.1f}s", flush=True)
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
