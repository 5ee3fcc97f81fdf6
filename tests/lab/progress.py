# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a person sees while something takes long."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_PRINTING = threading.Lock()
_FIRST_WORD_AFTER = 3.0
_WORD_EVERY = 15.0


def say(line: str) -> None:
    with _PRINTING:
        print(line, file=sys.stderr, flush=True)


@contextmanager
def shown(what: str) -> Iterator[None]:
    """Says ``what: 34 s`` now and then, and once when it is over. What is quick stays silent."""
    start = time.monotonic()
    over = threading.Event()

    def tell() -> None:
        wait = _FIRST_WORD_AFTER
        while not over.wait(wait):
            say(f"{what}: {time.monotonic() - start:.0f} s ...")
            wait = _WORD_EVERY

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()
    took = time.monotonic() - start
    if took >= _FIRST_WORD_AFTER:
        say(f"{what}: {took:.0f} s")
