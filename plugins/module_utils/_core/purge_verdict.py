# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""What becomes of each network of a purge, and how refusals are told."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .errors import CoreError
from .holders import Holder

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


def names_of(found: t.Sequence[Holder], most: int = 5) -> str:
    """Some holders as text, with their kind and project."""
    texts = [f"{item.name} ({item.kind}{f', of {item.project}' if item.project else ''})" for item in found[:most]]
    more = [f"{len(found) - most} more"] if len(found) > most else []
    return ", ".join(texts + more)


def refuse(verdicts: t.Sequence[Verdict], *, max_networks: int) -> None:
    """Raise one error that tells of all refusals, if there are any."""
    refused = [item for item in verdicts if item.outcome == "refused"]
    removing = [item for item in verdicts if item.outcome == "would_remove"]
    codes = {code for item in refused for code in item.codes}
    parts = [f"{item.name}: {item.reason}" for item in refused[:5]]
    if len(refused) > 5:
        parts.append(f"and {len(refused) - 5} more networks")
    if len(removing) > max_networks:
        codes.add("too_many")
        parts.append(f"{len(removing)} networks would go, but max_networks is {max_networks}")
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
