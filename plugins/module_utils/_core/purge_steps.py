# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""The steps of a purge: what is done for each verdict, what a failed step means, and how to take steps back."""

from __future__ import annotations

import re
import typing as t

from .errors import CoreError
from .holders import AT_REST_KINDS, Holder, claim, holders
from .model import Network, Snapshot
from .plan import Change
from .purge_verdict import Verdict, names_of
from .reattach import reattachments


def steps(snapshot: Snapshot, blocks: t.Sequence[Verdict], fallback: Network | None) -> t.Iterator[Change]:
    """One block of changes for each network, so that a failure leaves every other network either whole or gone."""
    ordered = sorted(blocks, key=lambda item: _network(snapshot, item.id).config_only)
    last = {holder.id: block.id for block in ordered for holder in block.holders if holder.action == "move"}
    for block in ordered:
        network = _network(snapshot, block.id)
        for holder in block.holders:
            if holder.action == "move" and fallback is not None and last[holder.id] == block.id:
                container = snapshot.container(holder.id)
                if container is None or claim(snapshot, container, fallback) is None:
                    yield _connect(block, fallback, holder)
        for holder in block.holders:
            if holder.action and _half_joined(snapshot, holder.id, network):
                yield Change(
                    "connect",
                    "endpoint",
                    f"{holder.name} on {network.name}",
                    f"{holder.name} claims the network since a connect that failed; only one that works clears that",
                    {"network": network.id, "container": holder.id, "config": {}, "block": block.id},
                )
            if holder.action:
                yield _disconnect(snapshot, block, network, holder)
        if block.outcome == "would_remove":
            yield Change("remove", "network", network.name, "it is to be gone", {"id": network.id, "block": network.id})


def _half_joined(snapshot: Snapshot, identity: str, network: Network) -> bool:
    """Whether a live container has no more than its own word for being on the network.

    Docker leaves that behind when a connect fails, say on a taken address: no disconnect clears it, and the container
    does not start again once the network is gone.
    """
    container = snapshot.container(identity)
    if container is None or not container.live:
        return False
    endpoint = claim(snapshot, container, network)
    return endpoint is not None and not endpoint.network_id


def _network(snapshot: Snapshot, identity: str) -> Network:
    return next(item for item in snapshot.networks if item.id == identity)


def _connect(block: Verdict, fallback: Network, holder: Holder) -> Change:
    return Change(
        "connect",
        "endpoint",
        f"{holder.name} on {fallback.name}",
        f"{block.name} is the last network that {holder.name} has",
        {"network": fallback.id, "container": holder.id, "config": {}, "block": block.id},
    )


def _disconnect(snapshot: Snapshot, block: Verdict, network: Network, holder: Holder) -> Change:
    target = holder.id
    force = holder.action in ("heal", "clear")
    if holder.action == "clear":
        reason, target = f"{holder.name} is an endpoint without a container", holder.name
    elif holder.action == "heal":
        reason = f"{holder.name} is {holder.kind} and would not start with a reference to a network that is gone"
    else:
        aim = "to be gone" if block.outcome == "would_remove" else "to stay without members"
        reason = f"{holder.name} is {holder.kind} on a network that is {aim}"
        if holder.id not in {item.key for item in network.attached} and not _half_joined(snapshot, holder.id, network):
            # The container claims an endpoint that the network does not know (a connect that failed half-way leaves
            # this): only its name, by force, clears it.
            target, force = holder.name, True
    return Change(
        "disconnect",
        "endpoint",
        f"{holder.name} on {network.name}",
        reason,
        {"network": network.id, "container": target, "force": force, "block": block.id, "member": holder.id},
    )


def states(snapshot: Snapshot, changes: t.Sequence[Change]) -> tuple[t.Any, t.Any]:
    """The networks and the memberships that change, before and after."""
    if not changes:
        return {}, {}
    labels = {
        item.id: item.name if len(snapshot.networks_named(item.name)) == 1 else f"{item.name} ({item.id})"
        for item in snapshot.networks
    }
    before: dict[str, t.Any] = {
        "networks": sorted(labels[block] for block in {item.target["block"] for item in changes})
    }
    removed = {labels[item.target["id"]] for item in changes if item.kind == "network"}
    after: dict[str, t.Any] = {"networks": [name for name in before["networks"] if name not in removed]}
    members = {item.target.get("member") or item.target["container"] for item in changes if item.kind == "endpoint"}
    for state in (before, after):
        state["containers"] = {}
    for container in snapshot.containers:
        if container.id not in members:
            continue
        own = {labels[item.id] for item in snapshot.networks if claim(snapshot, container, item) is not None}
        before["containers"][container.name] = sorted(own)
        for item in changes:
            if item.kind == "endpoint" and container.id in (item.target.get("member"), item.target["container"]):
                label = labels[item.target["network"]]
                own = own | {label} if item.action == "connect" else own - {label}
        after["containers"][container.name] = sorted(own)
    return before, after


def settled(change: Change, error: CoreError, reread: t.Callable[[], Snapshot], *, last: bool) -> bool:
    """Judge a failed change: true if what it wanted is the case anyway, false if it is worth another try, else raise.

    Docker answers with an error where a container or network has gone by itself in the meantime. The proof of the run
    finds out if that was said too early.
    """
    status = error.details.get("status")
    text = str(error.details.get("docker_message", "")).lower()
    if change.action in ("disconnect", "remove") and status == 404:
        return True
    if change.action == "connect" and "already exists in network" in text:
        return True
    if change.action == "disconnect" and ("is not connected" in text or "marked for removal" in text):
        return True
    if change.action != "remove" or "active endpoints" not in text:
        raise error
    world = reread()
    network = next((item for item in world.networks if item.id == change.target["id"]), None)
    if network is None:
        return True
    found = [item for item in holders(world, network) if item.kind not in AT_REST_KINDS and item.attached]
    # From engine 28.1 on Docker itself names who is on it.
    named = sorted(set(re.findall(r'name:"([^"]*)"', str(error.details.get("docker_message", "")))))
    if not last and not found:
        return False
    if found or named:
        who = names_of(found) if found else ", ".join(named)
        raise CoreError(
            f"The network {network.name} was emptied, but Docker still refuses to remove it: {who} joined it meanwhile.",
            hint="Stop what keeps joining it, then run again.",
            reason_code="in_use",
            details={**error.details, "networks": [_failed(network, "joined while it was purged", "in_use", found)]},
        )
    raise CoreError(
        f"Docker refuses to remove the network {network.name} because of active endpoints, but it has none: its count "
        "of endpoints has drifted, which happens below engine 28.1 when containers join and leave at the same time.",
        hint="Only a restart of the daemon cures it (systemctl restart docker; with live-restore containers run on).",
        reason_code="count_drift",
        details={
            **error.details,
            "networks": [_failed(network, "its count of endpoints has drifted", "count_drift", [])],
        },
    )


def _failed(network: Network, reason: str, code: str, found: t.Sequence[Holder]) -> dict[str, t.Any]:
    return Verdict(network.name, network.id, "refused", reason, (code,), tuple(found)).data(applied=False)


def undo(world: Snapshot, done: t.Sequence[Change]) -> tuple[Change, ...]:
    """Give back to the network whose purge failed what was taken from it; the last change is the one that failed."""
    failed = done[-1]
    block = [item for item in done if item.kind == "endpoint" and item.target["block"] == failed.target["block"]]
    network = _network(world, failed.target["block"])
    cut = [item.target["member"] for item in block if item.action == "disconnect" and item.target["member"]]
    # What was never more than a claim is not made one again.
    cut = [identity for identity in cut if not _half_joined(world, identity, network)]
    back = reattachments(world, network, cut, uncertain={str(failed.target.get("member"))})
    moved = tuple(
        _left_again(world, item, failed=item is failed)
        for item in block
        if item.action == "connect" and item.target["network"] != network.id
    )
    return (*back, *moved)


def _left_again(world: Snapshot, connected: Change, *, failed: bool) -> Change:
    """Undo one move.

    One that failed half-way is asked for by name and force, which clears an endpoint that the network has lost. What
    Docker leaves of a connect that found no free address stays all the same: see :func:`_half_joined`.
    """
    identity = connected.target["container"]
    container = world.container(identity)
    name = container.name if container else identity
    target = {"network": connected.target["network"], "container": name if failed else identity, "force": failed}
    return Change(
        "disconnect", "endpoint", connected.name, "it was joined for this purge only", {**target, "uncertain": failed}
    )
