# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Give damaged texts to the parsers, as many as you like: ``parsers.py [--examples N] [--seed S] [PARSER...]``.

Each example has a seed of its own, which a failure prints: ``parsers.py --only SEED PARSER`` makes it again.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
import typing as t
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".collections"))

from ansible_collections.bulkhead.docker.tests.fuzz import iptables, nft

#: By name: makes one text from the random numbers it is given, and raises AssertionError if its parser gets it wrong.
PARSERS: dict[str, t.Callable[[Random], None]] = {
    "iptables": iptables.once,
    "nft": nft.once,
}


def main(argv: t.Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--examples", type=int, default=100_000, help="how many for each parser (default: %(default)s)")
    parser.add_argument(
        "--seed", default=secrets.token_hex(4), help="begin of each example's seed (default: by chance)"
    )
    parser.add_argument("--only", help="make one example: the seed that a failure printed")
    parser.add_argument("parsers", nargs="*", metavar="PARSER", help=f"of {', '.join(PARSERS)} (default: all)")
    options = parser.parse_args(argv)
    names = options.parsers or list(PARSERS)
    if not set(names) <= set(PARSERS):
        parser.error(f"there is no such parser; there are: {', '.join(PARSERS)}")
    seeds = [options.only] if options.only else [f"{options.seed}:{number}" for number in range(options.examples)]
    return max(_run(name, seeds) for name in names)


def _run(name: str, seeds: t.Sequence[str]) -> int:
    started = time.monotonic()
    for seed in seeds:
        try:
            PARSERS[name](Random(seed))
        except AssertionError as error:
            print(f"{name}: with --only {seed}: {error}")
            return 1
    print(f"{name}: {len(seeds)} examples from {seeds[0]}: sound, {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
