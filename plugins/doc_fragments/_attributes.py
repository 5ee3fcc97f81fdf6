# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Documentation of what all modules of this collection promise."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Can run in check mode and predicts exactly what a real run would do, without changing anything.
  diff_mode:
    description: Will say in diff format what is changed, or in check mode what would be.
  idempotent:
    description: When run twice in a row, with the same options, the second run changes nothing.
  platform:
    description: Where the module runs.
    platforms: posix
  action_group:
    description: Use C(group/bulkhead.docker.docker) in C(module_defaults) to set options for all modules.
    membership:
      - bulkhead.docker.docker
"""

    # What every module that changes something states about itself.
    FULL = r"""
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
  platform:
    support: full
    platforms: posix
  action_group:
    support: full
"""

    # What every module that only reads states about itself.
    INFO = r"""
attributes:
  check_mode:
    support: full
    details:
      - This module does not change anything.
  diff_mode:
    support: N/A
    details:
      - This module does not change anything.
  idempotent:
    support: full
    details:
      - This module does not change anything.
  platform:
    support: full
    platforms: posix
  action_group:
    support: full
"""
