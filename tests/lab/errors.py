# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one error a person meets."""

from __future__ import annotations


class LabError(Exception):
    """One sentence: what was found, and the cure. ``detail`` is kept evidence (a log's tail), shown below it."""

    def __init__(self, sentence: str, *, detail: str = "") -> None:
        super().__init__(sentence)
        self.detail = detail
