# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""What docker_reachability_info is asked, and what it answers."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .explain import Question, explained, read_questions
from .model import Container
from .reach import exposures, overview
from .zones import Scene, View, read_zones


@dataclass(frozen=True)
class Request:
    """The module's options. ``zones`` are read when the host is known."""

    zones: t.Any = None
    questions: tuple[Question, ...] = ()
    exposures: bool = True

    def looks_into(self, container: Container) -> bool:
        """Tell whether a container's own sockets and routes matter."""
        return container.live


def read_request(params: t.Mapping[str, t.Any]) -> Request:
    """Read the module's options. Raises CoreError for what they cannot mean."""
    return Request(
        params.get("zones"), tuple(read_questions(params.get("explain"))), bool(params.get("exposures", True))
    )


def answer(request: Request, scene: Scene) -> dict[str, t.Any]:
    """Answer a request from one read of the host."""
    view = View(scene)
    zones = read_zones(request.zones, view)
    return {
        "exposures": exposures(view, zones) if request.exposures else [],
        "explained": explained(view, request.questions),
        "zones": overview(zones),
        "troubles": list(scene.troubles),
    }
