# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host can reach, found with real packets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from . import engine
from .topology import Host, Lab

_PROBE = Path(__file__).resolve().parent / "inside" / "probe.py"


@dataclass(frozen=True)
class Probe:
    """One knock at one door."""

    address: str
    port: int
    kind: str = "tcp"
    timeout: float = 1.0
    source: str = ""


def probe_all(lab: Lab, host: Host, probes: Sequence[Probe]) -> list[str]:
    """Knocks at all doors at once and returns the answers in the order of the probes.

    TCP: ``open``, ``refused``, ``timeout``, or ``unreachable`` (an ICMP error came back). UDP: the same words, where
    ``open`` means that a datagram came back and ``timeout`` that nothing did.
    """
    if not probes:
        return []
    question = json.dumps([asdict(probe) for probe in probes])
    longest = max(probe.timeout for probe in probes)
    done = engine.docker(
        ["exec", "-i", lab.container(host), "python3", "-", question], input=_PROBE.read_text(), timeout=longest + 30
    )
    return list(json.loads(done.stdout))
