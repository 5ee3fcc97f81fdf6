# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Networks that are to be absent: who has to leave them first, and what forbids their removal."""

from __future__ import annotations

import typing as t

from .errors import CoreError
from .holders import Holder, holders
from .membership import SWARM_SERVICE_ID_LABEL, Board, leave
from .model import Network, Snapshot
from .networks import WantedNetwork
from .plan import Change
from .recreate import PURGE


def removals(
    declared: t.Sequence[WantedNetwork], gone: t.Sequence[Network], snapshot: Snapshot, board: Board
) -> list[Change]:
    """The steps that remove networks; ``board`` is updated.

    Only with ``force`` members leave for it, running or not, even if it is their last network. What breaks by that for
    good is refused all the same: tasks of Swarm, endpoints without container, and containers that would not start.
    """
    forced = {item.name for item in declared if item.force}
    changes: list[Change] = []
    # A config-only network can go once those that take their settings from it have gone.
    for network in sorted(gone, key=lambda item: (item.config_only, item.name)):
        _refuse_dependents(network, gone, snapshot)
        if network.name in forced:
            changes += _all_leave(network, snapshot, board)
        left = [item for item in holders(snapshot, network) if _holds(item, network, snapshot, board, forced)]
        if left:
            raise _held(network, left, forced=network.name in forced)
        changes.append(Change("remove", "network", network.name, "it is empty", {"id": network.id}))
    return changes


def _all_leave(network: Network, snapshot: Snapshot, board: Board) -> t.Iterator[Change]:
    for container in snapshot.containers:
        if board.endpoint(container, network.id) is None or SWARM_SERVICE_ID_LABEL in container.labels:
            continue
        if container.live:
            reason = f"force: it is {container.state} on a network that is to be absent"
            yield leave(board, container, network.id, network.name, reason)
        else:
            reason = f"force: it is {container.state} and would not start with a reference to a network that is gone"
            step = leave(board, container, network.id, network.name, reason)
            # Docker knows no endpoint of it, only the reference in its settings, which goes by force.
            yield Change(step.action, step.kind, step.name, step.reason, {**step.target, "force": True})


def _holds(item: Holder, network: Network, snapshot: Snapshot, board: Board, forced: t.Collection[str]) -> bool:
    """Whether a holder is in the way; one that leaves in this very plan is not, unless it was created there."""
    container = snapshot.container(item.id)
    if container is None or board.endpoint(container, network.id) is not None:
        return True
    return item.primary and (network.name not in forced or snapshot.engine.needs_creation_network)


def _held(network: Network, left: t.Sequence[Holder], *, forced: bool) -> CoreError:
    told = "; ".join(f"{item.kind} {item.name}: {item.reason}" for item in left[:5])
    more = f"; and {len(left) - 5} more" if len(left) > 5 else ""
    what = "can't be emptied by force" if forced else "is not empty"
    return CoreError(
        f"The network {network.name!r} is to be absent but {what}: {told}{more}. Nothing was changed.",
        hint=f"Remove it with {PURGE}, which heals or moves what holds it.",
        reason_code="in_use",
        details={"holders": [item.data for item in left]},
    )


def _refuse_dependents(network: Network, gone: t.Sequence[Network], snapshot: Snapshot) -> None:
    going = {item.id for item in gone}
    names = [
        item.name
        for item in snapshot.networks
        if network.config_only and item.config_from == network.name and item.id not in going
    ]
    if names:
        raise CoreError(
            f"The config-only network {network.name!r} is to be absent, but {', '.join(names)} take their settings from "
            "it. Nothing was changed.",
            hint="Declare those absent in the same call, or keep it.",
            reason_code="in_use",
            details={"holders": []},
        )
