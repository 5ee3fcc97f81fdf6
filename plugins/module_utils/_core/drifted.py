# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Which networks must be put together anew: those that differ from what is declared, and those left in pieces."""

from __future__ import annotations

import typing as t

from .errors import CoreError
from .model import Network, Snapshot
from .network_body import as_it_was, carried_over
from .network_drift import drift, the_network
from .networks import WantedNetwork
from .recovery import Recovery
from .recreate import PURGE, Rebuild, network_of

Difference = t.Mapping[str, t.Any]


def drifted(
    declared: t.Sequence[WantedNetwork], there: t.Mapping[str, Network], snapshot: Snapshot, *, may_recreate: bool
) -> list[Rebuild]:
    """Decide for each network; refuse drift that must stay.

    A network that an earlier run was stopped in the midst of recreating is finished, or put back as it was, whichever
    is declared now; ``may_recreate`` is not asked then, because it is in pieces already.
    """
    pending = {record.name: record for record in snapshot.recovery}
    refused: list[dict[str, t.Any]] = []
    found: list[Rebuild] = []
    for item in declared:
        record = pending.pop(item.name, None)
        if not item.present:
            _refuse_absent(item, record)
            continue
        live = there.get(item.name)
        differences = drift(item, live) if live is not None else []
        if record is None:
            if live is None or not (differences or item.force):
                continue
            if may_recreate or item.force:
                found.append(Rebuild(item.name, carried_over(item, live), live, reason=_reason(differences)))
            else:
                refused += [{"network": item.name, **entry} for entry in differences]
            continue
        decided = _finish(item, live, record, differences, may_recreate=may_recreate or item.force)
        if decided is None:
            refused += [{"network": item.name, **entry} for entry in differences]
        else:
            found.append(decided)
    if refused:
        raise _drift_error(refused)
    for record in pending.values():
        live = the_network(snapshot, record.name, "state_dir")
        body = record.body if live is None else as_it_was(live)
        reason = "an earlier run was stopped in the midst of recreating it: it is put back as it was"
        found.append(Rebuild(record.name, body, live, record, whole=live is not None, reason=reason))
    return sorted(found, key=lambda item: item.name)


def _finish(
    item: WantedNetwork,
    live: Network | None,
    record: Recovery,
    differences: t.Sequence[Difference],
    *,
    may_recreate: bool,
) -> Rebuild | None:
    """Decide about a network that an earlier run left in pieces; None where it is whole but neither old nor wanted."""
    old = network_of(record.body, record.id)
    stopped = "an earlier run was stopped in the midst of recreating it"
    if live is not None and not differences:
        return Rebuild(item.name, as_it_was(live), live, record, whole=True, reason=stopped)
    if not drift(item, old) or (live is None and not may_recreate):
        return Rebuild(item.name, record.body, live, record, reason=f"{stopped}: it is put back as it was")
    if not may_recreate:
        return None
    base = old if live is None else live
    return Rebuild(item.name, carried_over(item, base), live, record, reason=f"{stopped}: it is finished as declared")


def _refuse_absent(item: WantedNetwork, record: Recovery | None) -> None:
    if record is None:
        return
    names = ", ".join(member.name for member in record.members) or "nobody"
    raise CoreError(
        f"The network {item.name!r} is to be absent, but an earlier run was stopped in the midst of recreating it, and "
        f"its members ({names}) may be in pieces. Nothing was changed.",
        hint="Run with state: present first, which puts it together again.",
        reason_code="recovery_pending",
        details={"recovery": record.data},
    )


def _reason(differences: t.Sequence[Difference]) -> str:
    if not differences:
        return "force: it is recreated although it is as declared"
    return "; ".join(map(_told, differences))


def _drift_error(found: t.Sequence[Difference]) -> CoreError:
    told = "; ".join(f"{entry['network']}.{_told(entry)}" for entry in found)
    return CoreError(
        f"Docker can't change an existing network in place, and {told}. Nothing was changed.",
        hint="Set recreate: when_needed to have it taken apart and put together again with all its members, leave the "
        f"option out to keep what is there, or remove the network first with {PURGE}.",
        reason_code="drift",
        details={"drift": list(found)},
    )


def _told(entry: Difference) -> str:
    return f"{entry['option']} is {_shown(entry['is'])}, wanted is {_shown(entry['wanted'])}"


def _shown(value: t.Any) -> str:
    if value is None:
        return "not set"
    return str(value).lower() if isinstance(value, bool) else repr(str(value))
