# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Networks that have to go, with everything that holds them: who is cut, who is healed, what is refused and why.

Everything is decided for all networks before the first request; one refusal anywhere and nothing is done at all.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, replace

from .errors import CoreError
from .holders import AT_REST_KINDS, LIVE_KINDS, SWARM_KINDS, Holder, claim, holders, refers_to, takers
from .model import SWARM_NETWORKS, Container, Network, Snapshot
from .plan import Change, Plan
from .purge_request import Request, candidate, may_choose
from .reattach import reattachments

#: From this release on a container does not start, and joins nothing, once the network that it was created on is gone
#: (unless it has no network at all). Seen on 26.1 and 28.5, not on 20.10.
PRIMARY_IS_NEEDED = (24, 0, 7)

#: Refusals, the most fundamental first: the first one found is the ``reason_code`` of the whole task.
CODES = ("predefined", "ambiguous", "too_many", "protected", "service", "in_use", "foreign", "only_network", "primary")

HINTS = {
    "predefined": "Take it off the list: Docker and Swarm need it.",
    "ambiguous": "Give the full ID instead of the name.",
    "too_many": "Look at the list in check mode, then raise max_networks.",
    "protected": "Take it off the list, or off protect.",
    "service": "Take the service off the network first; cutting its tasks would break it for good.",
    "in_use": "Free it by hand (each holder's cure is in networks[].holders[]), or set containers: disconnect "
    "(stopped: heal for containers at rest).",
    "foreign": "Ask their owners, or set foreign: disconnect.",
    "only_network": "Name another network as fallback_network, or set keep_connected: false.",
    "primary": "Create the container anew on another network, or set primary: placeholder to keep the network, emptied.",
}


@dataclass(frozen=True)
class Verdict:
    """What becomes of one network, or of a name that fits none."""

    name: str
    id: str = ""
    outcome: str = "absent"
    reason: str = ""
    codes: tuple[str, ...] = ()
    holders: tuple[Holder, ...] = ()

    def data(self, *, applied: bool) -> dict[str, t.Any]:
        """The form that users and programs see in ``networks``."""
        return {
            "name": self.name,
            "id": self.id,
            "outcome": "removed" if applied and self.outcome == "would_remove" else self.outcome,
            "reason": self.reason,
            "reason_code": self.codes[0] if self.codes else "",
            "holders": [holder.data for holder in self.holders],
        }


@dataclass(frozen=True)
class PurgePlan(Plan):
    """A plan that also tells the verdict on each network."""

    verdicts: tuple[Verdict, ...] = ()


def interest(request: Request) -> dict[str, t.Callable[[t.Any], bool]]:
    """Say which networks and containers have to be read in detail; the arguments of one snapshot."""
    chosen: list[Network] = []

    def network(item: Network) -> bool:
        if not may_choose(request, item):
            return False
        chosen.append(item)
        return True

    def container(item: Container) -> bool:
        scope = Snapshot(networks=tuple(chosen))
        return any(claim(scope, item, network) is not None for network in chosen)

    return {"detail_networks": network, "detail_containers": container}


def plan(request: Request, snapshot: Snapshot) -> PurgePlan:
    """Decide on every network that is asked for; raise if any of them is refused."""
    fallback = _fallback(request, snapshot)
    verdicts, chosen = _choose(request, snapshot)
    if fallback in chosen:
        raise CoreError(
            f"fallback_network is {request.fallback_network!r}, which is itself to be removed.",
            hint="Name a network that stays.",
            reason_code="invalid_option",
        )
    leaving = frozenset(network.id for network in chosen)
    for network in chosen:
        verdicts.append(_decide(request, snapshot, network, leaving, fallback))
    verdicts.sort(key=lambda item: (item.name, item.id))
    _refuse(request, verdicts)
    blocks = [item for item in verdicts if item.id in leaving]
    changes = tuple(_changes(snapshot, blocks, fallback))
    before, after = _states(snapshot, changes)
    return PurgePlan(before=before, after=after, changes=changes, verdicts=tuple(verdicts))


def report(world: Snapshot, wanted: Plan, applied: bool) -> dict[str, t.Any]:
    """The module's own result: every network with its outcome and with those who held it."""
    verdicts = wanted.verdicts if isinstance(wanted, PurgePlan) else ()
    return {"networks": [verdict.data(applied=applied) for verdict in verdicts]}


# ---- choosing --------------------------------------------------------------------------------------------------------


def _choose(request: Request, snapshot: Snapshot) -> tuple[list[Verdict], list[Network]]:
    """Sort what is asked for into verdicts that need no look at the holders, and networks that do."""
    verdicts: list[Verdict] = []
    found: dict[str, tuple[Network, bool]] = {}
    for name in request.names or ():
        matches = snapshot.networks_named(name)
        if len(matches) > 1:
            ids = " and ".join(sorted(item.id for item in matches))
            verdicts.append(_refused(name, "", "ambiguous", f"{len(matches)} networks answer to {name!r}: {ids}"))
        elif matches:
            found[matches[0].id] = (matches[0], True)
        elif name == "default":  # Docker's other word for bridge
            verdicts.append(_refused(name, "", "predefined", f"{name!r} is Docker's own network"))
        else:
            verdicts.append(Verdict(name, reason="no network has this name or full ID"))
    for network in snapshot.networks:
        if network.id not in found and candidate(request, network):
            found[network.id] = (network, False)
    chosen = []
    for network, named in found.values():
        verdict = _at_once(request, snapshot, network, named=named)
        if verdict is None:
            chosen.append(network)
        elif named or request.patterns is not None:
            verdicts.append(verdict)
    # A configuration can only go after the networks that are made from it.
    return verdicts, sorted(chosen, key=lambda item: (item.config_only, item.name, item.id))


def _at_once(request: Request, snapshot: Snapshot, network: Network, *, named: bool) -> Verdict | None:
    """The verdict on a network that is out of reach or filtered out. Where a name is refused, a pattern passes by."""
    code, why = "", ""
    if network.predefined or network.ingress or network.name in SWARM_NETWORKS:
        code, why = "predefined", f"{network.name!r} is Docker's own network"
    elif request.protects_network(network):
        code, why = "protected", "protect.networks covers it"
    if code and named:
        return _refused(network.name, network.id, code, why)
    if code:
        return Verdict(network.name, network.id, "kept", why)
    why = request.filters.mismatch(network) if request.filters else ""
    if not why and request.filters and request.filters.unused:
        users = [item for item in holders(snapshot, network) if _uses(request, snapshot, item)]
        if users:
            return Verdict(network.name, network.id, "kept", f"in use by {_names(users)}", holders=tuple(users))
    return Verdict(network.name, network.id, "kept", why) if why else None


def _uses(request: Request, snapshot: Snapshot, holder: Holder) -> bool:
    ignored = request.filters is not None and request.filters.ignore_stopped and holder.kind in AT_REST_KINDS
    return not ignored and (holder.attached or _needs_primary(snapshot, holder, frozenset()))


def _fallback(request: Request, snapshot: Snapshot) -> Network | None:
    name = request.fallback_network
    if not name:
        return None
    found = snapshot.networks_named(name)
    if len(found) != 1:
        many = f"{len(found)} networks are named so" if found else "there is no such network"
        raise CoreError(
            f"fallback_network is {name!r}, but {many}.",
            hint="Give the full ID." if found else "Create it first, for example with docker_app_network.",
            reason_code="ambiguous" if found else "invalid_option",
        )
    if found[0].config_only or found[0].driver in ("host", "null") or found[0].name in SWARM_NETWORKS:
        raise CoreError(
            f"fallback_network is {name!r}, which no container can join.",
            hint="Name an ordinary network.",
            reason_code="invalid_option",
        )
    return found[0]


# ---- deciding --------------------------------------------------------------------------------------------------------


def _decide(
    request: Request, snapshot: Snapshot, network: Network, leaving: frozenset[str], fallback: Network | None
) -> Verdict:
    told: list[Holder] = []
    refusals: dict[str, list[Holder]] = {}
    stays: list[Holder] = []
    for holder in holders(snapshot, network):
        codes, action = _judge(request, snapshot, network, holder, leaving, fallback)
        for code in codes:
            refusals.setdefault(code, []).append(holder)
        if not codes and request.primary == "placeholder" and _needs_primary(snapshot, holder, leaving, fallback):
            stays.append(holder)
        alone = holder.attached and holder.only_network
        if holder.attached and holder.id and holder.kind in LIVE_KINDS | AT_REST_KINDS:
            alone = alone or not _left(snapshot, holder, leaving)
        told.append(replace(holder, action="refuse" if codes else action, only_network=alone))
    reasons = {code: _why(code, refusals[code], network) for code in CODES if code in refusals}
    dependents = sorted(
        item.name for item in snapshot.networks if item.config_from == network.name and item.id not in leaving
    )
    if network.config_only and dependents:
        reasons["in_use"] = f"the configuration of {', '.join(dependents)}"
    if reasons:
        return Verdict(network.name, network.id, "refused", "; ".join(reasons.values()), tuple(reasons), tuple(told))
    if stays:
        why = f"stays, without members, because {_names(stays)} would not start again without it"
        return Verdict(network.name, network.id, "kept", why, holders=tuple(told))
    free = (
        f"freed of {_names([item for item in told if item.action])}" if any(item.action for item in told) else "unused"
    )
    return Verdict(network.name, network.id, "would_remove", free, holders=tuple(told))


def _judge(
    request: Request,
    snapshot: Snapshot,
    network: Network,
    holder: Holder,
    leaving: frozenset[str],
    fallback: Network | None,
) -> tuple[list[str], str]:
    """Give the codes of all refusals that one holder causes, and what is done to it if there is none."""
    if holder.kind in SWARM_KINDS:
        return ["service"], ""
    if holder.kind == "phantom":
        # Docker takes the name for a container's as long as any container answers to it.
        return (["in_use"], "") if not holder.name or takers(snapshot, holder.name) else ([], "clear")
    if request.protects_container(holder.name):
        return ["protected"], ""
    primary = _needs_primary(snapshot, holder, leaving, fallback) and request.primary == "refuse"
    if not holder.attached:
        return (["primary"], "") if primary else ([], "")
    if holder.kind in AT_REST_KINDS:
        if _finds_another(snapshot, holder, network, leaving):
            return [], ""
        if request.stopped == "refuse":
            return ["in_use"], ""
        return (["primary"] if primary else []), "heal"
    policy, code = (request.foreign, "foreign") if holder.foreign else (request.containers, "in_use")
    if policy == "refuse":
        return [code], ""
    moves = request.keep_connected and not _left(snapshot, holder, leaving)
    codes = ["only_network"] if moves and fallback is None else []
    return codes + (["primary"] if primary else []), "move" if moves else "disconnect"


def _container(snapshot: Snapshot, holder: Holder) -> Container | None:
    return next((item for item in snapshot.containers if item.id == holder.id), None)


def _left(snapshot: Snapshot, holder: Holder, leaving: frozenset[str]) -> list[str]:
    """The names of the networks that the holder still has when these are gone."""
    container = _container(snapshot, holder)
    if container is None:
        return []
    stay = [item for item in snapshot.networks if item.id not in leaving]
    return [item.name for item in stay if claim(snapshot, container, item) is not None]


def _needs_primary(
    snapshot: Snapshot, holder: Holder, leaving: frozenset[str], fallback: Network | None = None
) -> bool:
    """Whether the container would not start again without the network that it was created on.

    One that is left without any network starts nevertheless: Docker looks for that network only to set up others.
    """
    if not holder.primary or snapshot.engine.release < PRIMARY_IS_NEEDED:
        return False
    return bool(_left(snapshot, holder, leaving)) or (fallback is not None and holder.kind in LIVE_KINDS)


def _finds_another(snapshot: Snapshot, holder: Holder, network: Network, leaving: frozenset[str]) -> bool:
    """Whether a reference that was never resolved fits a network that stays, as with twins of one name."""
    container = _container(snapshot, holder)
    endpoint = claim(snapshot, container, network) if container else None
    if endpoint is None or endpoint.network_id:
        return False
    return any(refers_to(snapshot, endpoint.network, item) for item in snapshot.networks if item.id not in leaving)


def _why(code: str, found: t.Sequence[Holder], network: Network) -> str:
    names = _names(found)
    if code == "protected":
        return f"held by the protected {names}"
    if code == "service":
        services = sorted({item.project for item in found if item.project})
        return f"used by the Swarm service {', '.join(services)}" if services else f"used by Swarm ({names})"
    if code == "foreign":
        return f"held by {names}, which {'is' if len(found) == 1 else 'are'} not of {_project(network)}"
    if code == "only_network":
        return f"the only network of {names}"
    if code == "primary":
        return f"{names} was created on it, and since Docker 24.0.7 does not start again without it"
    return f"held by {names}"


def _project(network: Network) -> str:
    return f"its project {network.owner}" if network.owner else "no project, as it is"


def _names(found: t.Sequence[Holder], most: int = 5) -> str:
    """Some holders as text, with their kind and project."""
    texts = [f"{item.name} ({item.kind}{f', of {item.project}' if item.project else ''})" for item in found[:most]]
    more = [f"{len(found) - most} more"] if len(found) > most else []
    return ", ".join(texts + more)


def _refused(name: str, identity: str, code: str, reason: str) -> Verdict:
    return Verdict(name, identity, "refused", reason, (code,))


def _refuse(request: Request, verdicts: t.Sequence[Verdict]) -> None:
    """Raise one error that tells of all refusals, if there are any."""
    refused = [item for item in verdicts if item.outcome == "refused"]
    removing = [item for item in verdicts if item.outcome == "would_remove"]
    codes = {code for item in refused for code in item.codes}
    parts = [f"{item.name}: {item.reason}" for item in refused[:5]]
    if len(refused) > 5:
        parts.append(f"and {len(refused) - 5} more networks")
    if len(removing) > request.max_networks:
        codes.add("too_many")
        parts.append(f"{len(removing)} networks would go, but max_networks is {request.max_networks}")
    if not codes:
        return
    ordered = [code for code in CODES if code in codes]
    cures = [holder.cure for item in refused for holder in item.holders if holder.action == "refuse" and holder.cure]
    example = f" The first cure: {cures[0]}" if cures else ""
    subject = f"{len(refused)} of {len(verdicts)} networks cannot be removed" if refused else "Too much at once"
    raise CoreError(
        f"{subject}, and nothing was changed. {'; '.join(parts)}.",
        hint=" ".join(HINTS[code] for code in ordered) + example,
        reason_code=ordered[0],
        details={
            "changed": False,
            "actions": [],
            "networks": [item.data(applied=False) for item in verdicts],
        },
    )


# ---- doing -----------------------------------------------------------------------------------------------------------


def _changes(snapshot: Snapshot, blocks: t.Sequence[Verdict], fallback: Network | None) -> t.Iterator[Change]:
    """One block of changes for each network, so that a failure leaves every other network either whole or gone."""
    ordered = sorted(blocks, key=lambda item: _network(snapshot, item.id).config_only)
    last = {holder.id: block.id for block in ordered for holder in block.holders if holder.action == "move"}
    for block in ordered:
        network = _network(snapshot, block.id)
        for holder in block.holders:
            if holder.action == "move" and fallback is not None and last[holder.id] == block.id:
                container = _container(snapshot, holder)
                if container is None or claim(snapshot, container, fallback) is None:
                    yield _connect(block, fallback, holder)
        for holder in block.holders:
            if holder.action:
                yield _disconnect(snapshot, block, network, holder)
        if block.outcome == "would_remove":
            yield Change("remove", "network", network.name, "it is to be gone", {"id": network.id, "block": network.id})


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
        if holder.id not in {item.key for item in network.attached}:
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


def _states(snapshot: Snapshot, changes: t.Sequence[Change]) -> tuple[t.Any, t.Any]:
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
        who = _names(found) if found else ", ".join(named)
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
    cut = [item for item in block if item.action == "disconnect" and item.target["member"]]
    network = _network(world, failed.target["block"])
    uncertain = {str(failed.target.get("member"))}
    back = reattachments(world, network, [item.target["member"] for item in cut], uncertain=uncertain)
    moved = tuple(_left_again(world, item, failed=item is failed) for item in block if item.action == "connect")
    return (*back, *moved)


def _left_again(world: Snapshot, connected: Change, *, failed: bool) -> Change:
    """Undo one move. A connect that fails half-way leaves a container that claims an endpoint which the network does
    not know; only the container's name, by force, clears it."""
    identity = connected.target["container"]
    name = next((item.name for item in world.containers if item.id == identity), identity)
    target = {"network": connected.target["network"], "container": name if failed else identity, "force": failed}
    return Change(
        "disconnect", "endpoint", connected.name, "it was joined for this purge only", {**target, "uncertain": failed}
    )
