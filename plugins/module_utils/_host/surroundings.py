# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""What the host has beside Docker's own objects that a new network can collide with; a read that changes nothing."""

from __future__ import annotations

import json
import typing as t

from .._core.errors import CoreError
from .._core.model import Route, Surroundings
from .commands import Commands

#: Kinds of routes that lead nowhere else: what is sent there is for this host itself, or thrown away.
_NO_WAY = frozenset({"broadcast", "multicast", "anycast", "blackhole", "unreachable", "prohibit", "throw"})


class SurroundingsReader:
    """Asks ``ip``, which loads nothing and needs no rights to list routes and links."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def read(self, address_pools: t.Sequence[tuple[str, int]]) -> Surroundings:
        """Read routes of both families and interfaces; ``address_pools`` are those that the daemon tells of.

        Raises CoreError when the host cannot be asked.
        """
        routes = [
            route
            for family in ("-4", "-6")
            for item in self._ip(family, "route", "show", "table", "all")
            for route in _routes(item)
        ]
        return Surroundings(
            routes=tuple(dict.fromkeys(routes)),
            interfaces={
                str(item["ifname"]): str((item.get("linkinfo") or {}).get("info_kind") or "")
                for item in self._ip("-details", "link", "show")
            },
            address_pools=tuple(address_pools),
        )

    def _ip(self, *words: str) -> list[dict[str, t.Any]]:
        path = self._commands.find("ip")
        if path is None:
            raise _unreadable("there is no program ip on it")
        done = self._commands.run([path, "-json", *words])
        if done.status:
            raise _unreadable(f"ip {' '.join(words)} failed: {done.complaint}")
        try:
            found = json.loads(done.output or "[]")
        except ValueError:
            raise _unreadable(f"ip {' '.join(words)} gives no JSON, as versions before 4.16 do not") from None
        return [item for item in found if item]


def _routes(item: t.Mapping[str, t.Any]) -> t.Iterator[Route]:
    """One route as ``ip`` tells it, once for each of its next hops."""
    destination = str(item.get("dst") or "")
    kind = item.get("type", "unicast")
    if destination in ("", "default") or kind in _NO_WAY:
        return
    if "/" not in destination:
        destination += "/128" if ":" in destination else "/32"
    main = item.get("table", "main") == "main"
    on_link = main and kind == "unicast" and item.get("scope") == "link" and "gateway" not in item
    for hop in item.get("nexthops") or [item]:
        yield Route(destination, str(hop.get("dev") or ""), on_link)


def _unreadable(why: str) -> CoreError:
    return CoreError(
        f"The host's routes and interfaces cannot be read: {why}. Without them nobody can tell whether a new network "
        "would take addresses that the host needs.",
        hint="Install iproute2 on the host.",
        reason_code="unreadable",
    )
