# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""What this collection notes on an endpoint that it made: for which property of which app, and which names it gave.

The note is made of driver options, because an endpoint has nothing else to keep it in. Docker hands them to the
network's driver, which knows none of them, and keeps them for as long as the endpoint lives, restarts included; only
the inspection of a container shows them. An endpoint that anybody else made bears no note, and never gets one: what we
did not attach is not ours to detach.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .model import Endpoint

#: ``APP:PROPERTY``, for example ``shop:attach_post_deploy``.
ATTACHED_BY = "io.bulkhead.attached-by"
#: The aliases that the app's endpoint was given for the app, with commas between them; no alias has one.
ALIASES_GIVEN = "io.bulkhead.aliases"


@dataclass(frozen=True)
class Marker:
    """The note: ``key`` is the app's property that asked for the attachment."""

    app: str
    key: str
    aliases: tuple[str, ...] = ()

    @property
    def driver_opts(self) -> dict[str, str]:
        """The note as driver options."""
        noted = {ATTACHED_BY: f"{self.app}:{self.key}"}
        return {**noted, ALIASES_GIVEN: ",".join(sorted(self.aliases))} if self.aliases else noted


def marker_of(endpoint: Endpoint) -> Marker | None:
    """Read the note of an endpoint; None where there is none, or none that we could have written."""
    app, colon, key = endpoint.driver_opts.get(ATTACHED_BY, "").rpartition(":")
    if not (app and colon and key):
        return None
    aliases = endpoint.driver_opts.get(ALIASES_GIVEN, "")
    return Marker(app, key, tuple(alias for alias in aliases.split(",") if alias))


def without_note(driver_opts: t.Mapping[str, str]) -> dict[str, str]:
    """The driver options that people asked for."""
    return {key: value for key, value in driver_opts.items() if key not in (ATTACHED_BY, ALIASES_GIVEN)}
