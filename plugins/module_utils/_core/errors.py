# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""The one exception that carries a message to the user."""

from __future__ import annotations

import typing as t


class CoreError(Exception):
    """Something the user must know: what was found and why it matters (msg), and what to do next (hint).

    ``reason_code`` is a stable word for programs; ``details`` are further result fields, JSON-ready.
    """

    def __init__(
        self, msg: str, *, hint: str = "", reason_code: str = "error", details: t.Mapping[str, t.Any] | None = None
    ) -> None:
        super().__init__(msg)
        self.msg = msg
        self.hint = hint
        self.reason_code = reason_code
        self.details = dict(details or {})

    @property
    def sentence(self) -> str:
        """Message and hint as one text."""
        return f"{self.msg} {self.hint}".strip()
