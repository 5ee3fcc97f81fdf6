# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""What takes back the changes of a run that failed on its way."""

from __future__ import annotations

import typing as t

from .errors import CoreError
from .model import Snapshot
from .plan import Change

_AS_IT_WAS = "as it was before this run"


def undo(snapshot: Snapshot, done: t.Sequence[Change]) -> list[Change]:
    """Find the steps that take back what was done, the last first. The last of ``done`` is the one that failed.

    A network that was removed because it is to be absent stays removed: it was empty, and that it goes was asked for.
    """
    back: list[Change] = []
    for number, change in reversed(list(enumerate(done))):
        back += _taken_back(change, failed=number == len(done) - 1)
    return back


def _taken_back(change: Change, *, failed: bool) -> t.Iterator[Change]:
    target = change.target
    verb = (change.kind, change.action)
    if verb == ("network", "create") and not failed:
        yield Change("remove", "network", change.name, "this run created it", {"id": target["body"]["Name"]})
    elif verb == ("network", "create"):
        # Where only the answer was lost, the network is there.
        made = {"id": target["body"]["Name"], "unanswered": True, "uncertain": True}
        yield Change("remove", "network", change.name, "a request of this run that got no answer created it", made)
    elif verb == ("network", "remove") and "restore" in target:
        yield from _created_again(change, failed=failed)
    elif verb == ("endpoint", "connect"):
        yield from _disconnected(change, failed=failed)
    elif verb == ("endpoint", "disconnect"):
        ends = {"network": target["network"], "container": target["container"]}
        as_it_was = target.get("restore") or {"config": {}}
        yield Change("connect", "endpoint", change.name, _AS_IT_WAS, {**ends, **as_it_was, "uncertain": failed})
    elif verb == ("recovery", "save"):
        before = target["before"]
        if before is None:
            reason = "the network and its members are as they were before this run"
            yield Change("discard", "recovery", change.name, reason, {"network": change.name, "if_whole": True})
        else:
            yield Change("save", "recovery", change.name, "it is still needed", {"record": before})


def _disconnected(change: Change, *, failed: bool) -> t.Iterator[Change]:
    ends = {"network": change.target["network"], "container": change.target["container"], "uncertain": failed}
    reason = "this run connected it" if not failed else "clears what the failed attempt left"
    off = Change("disconnect", "endpoint", change.name, reason, {**ends, "force": True})
    yield off
    if failed:
        # A running container keeps a claim to the network, with the address that it did not get, and would
        # fail to start next time. Docker forgets such a claim only after an attachment that works.
        yield Change("connect", "endpoint", change.name, reason, {**ends, "config": {}})
        yield off


def _created_again(change: Change, *, failed: bool) -> t.Iterator[Change]:
    """The network that was removed to be recreated; members that do not run have lost it without being cut."""
    restore, identity = change.target["restore"], change.target["id"]
    target = {"body": restore["body"], "replaces": [identity], "uncertain": failed}
    yield Change("create", "network", change.name, _AS_IT_WAS, target)
    for member in restore["members"]:
        ends = {"network": identity, "container": member["container"], "config": member["config"], "uncertain": failed}
        yield Change("connect", "endpoint", f"{member['name']} on {change.name}", _AS_IT_WAS, ends)


def went_by_itself(change: Change, error: CoreError) -> bool:
    """Whether a step of a recreate failed because its container has gone meanwhile, as one does that ends itself.

    The proof of the run finds out if that was said too early.
    """
    if change.kind != "endpoint":
        return False
    text = str(error.details.get("docker_message", "")).lower()
    return (
        "no such container" in text
        or "marked for removal" in text
        or (change.action == "disconnect" and "is not connected" in text)
    )


def restart_hint(change: Change, error: CoreError) -> str:
    """Say what to do where an attempt to connect has failed inside a running container; empty for all other failures.

    The interface of such an attempt stays in the container, in the way of every further one, and no request clears it.
    """
    text = str(error.details.get("docker_message", ""))
    inside = "programming external connectivity" in text or "to sandbox" in text
    if (change.kind, change.action) != ("endpoint", "connect") or not inside:
        return ""
    name = change.name.partition(" on ")[0]
    return (
        f"Free the host port if another process has taken it, then: docker restart {name}. Docker leaves pieces of the "
        "failed attempt in the running container, and nothing else clears them; run again afterwards."
    )
