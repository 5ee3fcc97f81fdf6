# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""A host and its Docker objects put together: the scene of every question about reachability."""

from __future__ import annotations

from . import ufw
from .model import Snapshot
from .netfilter import host_facts
from .netfilter.reading import Reading
from .zones import Inside, Scene


def scene(reading: Reading, snapshot: Snapshot) -> Scene:
    """Tell what one read of the host and one of the daemon mean. Raises CoreError for a host without routes."""
    found = host_facts.facts(reading)
    return Scene(
        ruleset=found.ruleset,
        host=found.host,
        snapshot=snapshot,
        ufw=ufw.survey(reading.files),
        inside={key: Inside(one.listeners, one.gateways) for key, one in found.inside.items()},
        troubles=found.troubles,
    )
