# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Config-only networks, and those that take their settings from one: what is refused before anything is changed."""

from __future__ import annotations

import typing as t

from .errors import CoreError
from .membership import Attachment
from .model import Network, Snapshot
from .network_making import Making
from .networks import WantedNetwork


def refuse_config(
    declared: t.Sequence[WantedNetwork], there: t.Mapping[str, Network], snapshot: Snapshot, made: t.Sequence[Making]
) -> None:
    """Refuse what does not fit a config-only network, or one that takes its settings from such a network."""
    by_name = {item.name: item for item in declared}
    for item in declared:
        live = there.get(item.name)
        if not item.present:
            continue
        if item.config_from is not None:
            _refuse_source(item, item.config_from, by_name, snapshot)
        if live is None:
            continue
        if item.config_only is not None and item.config_only != live.config_only:
            raise _config_error(
                f"{item.at('config_only')} is {str(item.config_only).lower()}, but the network {item.name!r} is "
                f"{'a config-only one' if live.config_only else 'a real one'}, and no network can become the other",
                f"Choose another name, or remove {item.name!r} first.",
            )
        if live.config_only and item.members:
            raise _config_error(
                f"{item.at('connected')} is given for {item.name!r}, which is a config-only network", "Leave it out."
            )
    for one in made:
        dependents = [net.name for net in snapshot.networks if one.config_only and net.config_from == one.name]
        if one.instead and dependents:
            raise _config_error(
                f"{one.place}: the config-only network {one.name!r} would have to be recreated, and the networks "
                f"{', '.join(dependents)} take their settings from it",
                "Make another config-only network, and name it in config_from of those.",
            )


def _refuse_source(item: WantedNetwork, name: str, declared: t.Mapping[str, WantedNetwork], snapshot: Snapshot) -> None:
    source = declared.get(name)
    live = next((network for network in snapshot.networks if network.name == name), None)
    if source is not None and not source.present:
        raise _config_error(f"{item.at('config_from')} is {name!r}, which is to be absent", "Drop one of both.")
    if live is None and source is None:
        raise CoreError(
            f"{item.at('config_from')} is {name!r}, and no network has this name. Nothing was changed.",
            hint="Declare it in the same call with config_only: true.",
            reason_code="unknown_network",
        )
    if not (live.config_only if live is not None else source is not None and source.config_only):
        raise _config_error(
            f"{item.at('config_from')} is {name!r}, which is not a config-only network",
            "Name one that was made with config_only: true.",
        )


def refuse_members_of_config(attachments: t.Iterable[Attachment], names: t.Collection[str]) -> None:
    """Refuse attachments to networks that are config-only."""
    for item in attachments:
        if item.network in names:
            raise _config_error(
                f"{item.why[0]} wants the container {item.container.name!r} on {item.network!r}, which is a "
                "config-only network: nobody can join it",
                "Name a network that takes its settings from it by config_from.",
            )


def _config_error(found: str, cure: str) -> CoreError:
    return CoreError(f"{found}. Nothing was changed.", hint=cure, reason_code="config_only")
