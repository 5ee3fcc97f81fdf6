# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``python3 tests/lab/lab.py COMMAND``: see README.md beside this file."""

from __future__ import annotations

import sys
from pathlib import Path

# Run as a script this folder is first on the path, where this very file would shadow the package of its own name.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from lab.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
