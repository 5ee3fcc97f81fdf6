# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Networks that have to go, with everything that holds them: who is cut, who is healed, what is refused and why.

Everything is decided for all networks before the first request; one refusal anywhere and nothing is done at all.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from .errors import CoreError
from .holders import AT_REST_KINDS, LIVE_KINDS, SWARM_KINDS, Holder, claim, holders, refers_to, takers
from .model import SWARM_NETWORKS, Container, Network, Snapshot
from .plan import Plan
from .purge_request import Request, candidate, may_choose
from .purge_steps import states, steps
from .purge_verdict import CODES, Verdict, names_of, refuse


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
        # A list of containers leaves out what a live one only claims since a connect that failed.
        scope = Snapshot(networks=tuple(chosen))
        return bool(chosen) and (item.live or any(claim(scope, item, network) is not None for network in chosen))

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
    refuse(verdicts, max_networks=request.max_networks)
    blocks = [item for item in verdicts if item.id in leaving]
    changes = tuple(steps(snapshot, blocks, fallback))
    before, after = states(snapshot, changes)
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
            return Verdict(network.name, network.id, "kept", f"in use by {names_of(users)}", holders=tuple(users))
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
    if network.scope == "swarm" and "service" not in reasons and any(item.action for item in told):
        # A service that is scaled to nothing, or runs on other nodes only, is not seen from the networks of this host.
        reasons = {"service": "a network of a Swarm, on which services may be that have no task here", **reasons}
    if reasons:
        return Verdict(network.name, network.id, "refused", "; ".join(reasons.values()), tuple(reasons), tuple(told))
    if stays:
        why = f"stays, without members, because {names_of(stays)} would not start again without it"
        return Verdict(network.name, network.id, "kept", why, holders=tuple(told))
    free = (
        f"freed of {names_of([item for item in told if item.action])}"
        if any(item.action for item in told)
        else "unused"
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


def _left(snapshot: Snapshot, holder: Holder, leaving: frozenset[str]) -> list[str]:
    """The names of the networks that the holder still has when these are gone."""
    container = snapshot.container(holder.id)
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
    if not (holder.primary and snapshot.engine.needs_creation_network):
        return False
    return bool(_left(snapshot, holder, leaving)) or (fallback is not None and holder.kind in LIVE_KINDS)


def _finds_another(snapshot: Snapshot, holder: Holder, network: Network, leaving: frozenset[str]) -> bool:
    """Whether a reference that was never resolved fits a network that stays, as with twins of one name."""
    container = snapshot.container(holder.id)
    endpoint = claim(snapshot, container, network) if container else None
    if endpoint is None or endpoint.network_id:
        return False
    return any(refers_to(snapshot, endpoint.network, item) for item in snapshot.networks if item.id not in leaving)


def _why(code: str, found: t.Sequence[Holder], network: Network) -> str:
    names = names_of(found)
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


def _refused(name: str, identity: str, code: str, reason: str) -> Verdict:
    return Verdict(name, identity, "refused", reason, (code,))
