# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""The record of a network that is about to be taken apart: all that it takes to put it together again.

It is kept on the host from before the first cut until after the last step. Whoever finds one knows that a run was
stopped half-way, and what the network and its members were like before.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

#: Raised when what a record holds changes its meaning.
VERSION = 1


@dataclass(frozen=True)
class Member:
    """A container that was on the network; ``config`` is Docker's EndpointConfig to attach it as it was.

    ``config_without_ip`` is for where the address in ``config`` was Docker's own choice and somebody else has it now;
    None where a person asked for the address. ``settled`` says that the container was never started and refers to the
    network by its name, so that it finds a new one of that name without help.
    """

    id: str
    name: str
    config: t.Mapping[str, t.Any] = field(default_factory=dict)
    config_without_ip: t.Mapping[str, t.Any] | None = None
    settled: bool = False

    @property
    def data(self) -> dict[str, t.Any]:
        return {
            "id": self.id,
            "name": self.name,
            "config": dict(self.config),
            "config_without_ip": dict(self.config_without_ip) if self.config_without_ip is not None else None,
            "settled": self.settled,
        }


@dataclass(frozen=True)
class Recovery:
    """One network as it was: ``body`` is Docker's create request for it, ``members`` in the order to attach them."""

    name: str
    id: str
    body: t.Mapping[str, t.Any]
    members: tuple[Member, ...] = ()

    @property
    def data(self) -> dict[str, t.Any]:
        """The form in which it is kept on the host, and shown in results."""
        return {
            "version": VERSION,
            "network": self.name,
            "id": self.id,
            "body": dict(self.body),
            "members": [member.data for member in self.members],
        }


def read_recovery(data: t.Any) -> Recovery:
    """Read what :attr:`Recovery.data` gave. Raises ValueError when it is something else."""
    try:
        if data["version"] != VERSION:
            raise ValueError(f"its version is {data['version']!r}, this collection knows {VERSION}")
        members = tuple(_member(item) for item in data["members"])
        record = Recovery(_text(data["network"]), _text(data["id"]), _mapping(data["body"]), members)
    except (KeyError, TypeError) as error:
        raise ValueError(f"it is no record of a network: {error!r}") from error
    if record.body.get("Name") != record.name:
        raise ValueError("the network in it has two names")
    return record


def _member(data: t.Any) -> Member:
    without = data["config_without_ip"]
    return Member(
        id=_text(data["id"]),
        name=_text(data["name"]),
        config=_mapping(data["config"]),
        config_without_ip=None if without is None else _mapping(without),
        settled=bool(data["settled"]),
    )


def _text(value: t.Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is no name or ID")
    return value


def _mapping(value: t.Any) -> dict[str, t.Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{value!r} is no dictionary")
    return value
