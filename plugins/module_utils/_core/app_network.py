# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Declared networks, their members and the apps on them, held against a host: one plan for all of it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

from . import apps as app_reading
from . import network_reading, shape
from .app_wishes import wishes
from .apps import App
from .drifted import drifted
from .errors import CoreError
from .holders import claim, created_on
from .leaving import leave_apps, make_way, shut_out, steps_off
from .membership import Attachment, Board, aliases_of, join, refuse_misread_name, refuse_unattachable
from .model import Container, Engine, Network, Snapshot
from .network_addresses import refuse_addresses, refuse_held
from .network_body import as_data, as_declared, create_body
from .network_checks import refuse_collisions
from .network_config import refuse_config, refuse_members_of_config
from .network_drift import drift, the_network
from .network_engine import fit, refuse_ignored
from .network_making import in_order, making
from .network_removal import removals
from .networks import WantedMember, WantedNetwork
from .phase import PHASES, Phase
from .plan import Change, Plan
from .recreate import Outcome, rebuild

FLAT_NETWORK_KEYS = network_reading.KEYS - {"name", "exclusive"}
FLAT_APP_KEYS = app_reading.KEYS - {"name", "exclusive"}


@dataclass(frozen=True)
class Wanted:
    """All that one call declares."""

    networks: tuple[WantedNetwork, ...] = ()
    apps: tuple[App, ...] = ()
    flat: bool = False
    phase: Phase = field(default_factory=Phase)
    joiners: tuple[WantedMember, ...] = ()
    may_recreate: bool = False

    def anew(self, overview: Snapshot) -> set[str]:
        """The IDs of networks that are to be recreated, and of all containers that have to do with them.

        What they are like is about to be undone, so that nothing remembered and no list is good enough.
        """
        pending = {record.name: record for record in overview.recovery}
        found = {member.id for record in pending.values() for member in record.members}
        networks = [item for item in overview.networks if item.name in pending]
        for wanted in self.networks:
            there = [item for item in overview.networks if item.name == wanted.name]
            networks += [item for item in there if self._recreates(wanted, item, overview.engine)]
        for network in networks:
            found.add(network.id)
            found |= {
                item.id
                for item in overview.containers
                if claim(overview, item, network) is not None or created_on(overview, item, network)
            }
        return found

    def _recreates(self, wanted: WantedNetwork, live: Network, engine: Engine) -> bool:
        if not wanted.present or not (self.may_recreate or wanted.force):
            return False
        return wanted.force or bool(drift(fit(wanted, engine), live))

    def asks_surroundings(self, snapshot: Snapshot) -> bool:
        """Whether a network is to be made, which could collide with what the host has beside Docker."""
        return bool(snapshot.recovery) or any(True for _item in self._made(snapshot))

    def asks_pools(self, snapshot: Snapshot) -> bool:
        """Whether a network is to be made of which Docker may have to choose a subnet from the daemon's pools."""
        return any(item.enable_ipv6 or not item.pools for item in self._made(snapshot))

    def _made(self, snapshot: Snapshot) -> t.Iterator[WantedNetwork]:
        there = {item.name: item for item in snapshot.networks}
        for item in self.networks:
            live = there.get(item.name)
            if item.present and (live is None or self._recreates(item, live, snapshot.engine)):
                yield item

    @property
    def settled(self) -> Wanted:
        """The same without what is done anew each time, to prove a run by."""
        return replace(self, networks=tuple(replace(item, force=False) for item in self.networks))

    def asks_network(self, network: Network) -> bool:
        """Whether the endpoints that a network lists matter: what is to go must be empty on both sides."""
        return any(item.name == network.name and not item.present for item in self.networks)

    def asks_container(self, container: Container) -> bool:
        """Whether aliases and links of a container matter: to compare them, or to put them back."""
        if any(app.owns(container) for app in self.apps):
            return True
        names = (container.name, container.id, container.id[:12])
        if any(not item.plain and item.container in names for network in self.networks for item in network.members):
            return True
        # One that leaves what is to be absent must be put back as it was if that fails.
        if any(item.container in names for item in self.joiners):
            return True
        left = {item.name for item in self.networks if item.exclusive or (item.force and not item.present)}
        return any(endpoint.network in left for endpoint in container.endpoints)


def read(params: t.Mapping[str, t.Any]) -> Wanted:
    """Read the module's options; refuses what contradicts itself, whatever the host is like."""
    given = {key: value for key, value in params.items() if value is not None}
    _only_with(given, FLAT_NETWORK_KEYS, "name", "networks")
    _only_with(given, FLAT_APP_KEYS, "app", "apps")
    if "exclusive" in given and not ("name" in given or "app" in given):
        cure = "Set it in the entries of networks or apps, or in app_defaults."
        raise shape.invalid("exclusive", "belongs to one network or one app, and there is neither name nor app", cure)
    defaults = app_reading.read_app_defaults(given.get("app_defaults", {}))
    if "name" in given:
        flat = {key: given[key] for key in network_reading.KEYS if key in given}
        networks: tuple[WantedNetwork, ...] = (network_reading.read_network(flat),)
    else:
        networks = network_reading.read_networks(given.get("networks", []))
    if "app" in given:
        flat = {key: given[key] for key in app_reading.KEYS - {"name"} if key in given}
        apps: tuple[App, ...] = (app_reading.read_app({**flat, "name": given["app"]}, defaults),)
    else:
        apps = app_reading.read_apps(given.get("apps", []), defaults)
    return Wanted(
        networks,
        apps,
        flat="name" in given,
        phase=Phase(shape.choice(given.get("phase", "all"), "phase", PHASES)),
        joiners=_read_joiners(given),
        may_recreate=given.get("recreate") == "when_needed",
    )


def _read_joiners(given: t.Mapping[str, t.Any]) -> tuple[WantedMember, ...]:
    joiners = network_reading.read_members(given.get("joiners", []), "joiners")
    if joiners and not ("name" in given or "networks" in given):
        cure = "Give networks or name: they join, and leave, the networks of this call."
        raise shape.invalid("joiners", "is given without any network", cure)
    for item in joiners:
        if item.ip or item.ip6 or item.mac:
            cure = "Leave it out, or list the container in connected of the one network."
            raise shape.invalid(item.place, "has an address, which can't be inside every network of this call", cure)
    return joiners


def _only_with(given: t.Mapping[str, t.Any], keys: frozenset[str], head: str, other: str) -> None:
    alone = sorted(keys & set(given))
    if alone and head not in given:
        raise shape.invalid(alone[0], f"is given without {head}", f"Give {head}, or move it into {other}.")


# ---- planning --------------------------------------------------------------------------------------------------------


def plan(wanted: Wanted, snapshot: Snapshot) -> Plan:
    """Find the steps from what is there to what is wanted. Everything is checked before the first step.

    The order leaves no container cut off on the way: networks are created, containers join, and only then leave.
    """
    fitted = tuple(fit(item, snapshot.engine) for item in wanted.networks)
    return _Planner(replace(wanted, networks=fitted), snapshot).plan()


class _Planner:
    def __init__(self, wanted: Wanted, snapshot: Snapshot) -> None:
        self.wanted = wanted
        self.snapshot = snapshot
        self.declared = {item.name: item for item in wanted.networks}
        self.there: dict[str, Network] = {}
        for item in wanted.networks:
            found = the_network(snapshot, item.name, f"{item.place}.name" if item.place else "name")
            if found is not None:
                self.there[item.name] = found
        self.new = [item for item in wanted.networks if item.present and item.name not in self.there]
        self.gone = [self.there[item.name] for item in wanted.networks if not item.present and item.name in self.there]
        self.board = Board(snapshot, [item.name for item in self.new])
        self.containers = {container.id: container for container in snapshot.containers}
        self.names = {network.id: network.name for network in snapshot.networks}
        self.joiners = [(item, self._container(item)) for item in wanted.joiners]
        self.rebuilds = drifted(wanted.networks, self.there, snapshot, may_recreate=wanted.may_recreate)
        self.anew: dict[str, Network] = {}

    def plan(self) -> Plan:
        self._find_networks_of_apps()
        attachments = self._attachments()
        for attachment in attachments:
            refuse_unattachable(attachment)
            refuse_misread_name(attachment, self.snapshot)
        self._refuse_collisions(attachments)
        before = Board(self.snapshot, [item.name for item in self.new])
        in_pieces = {item.name for item in self.rebuilds}
        changes = [
            Change("create", "network", item.name, "no network has this name", {"body": create_body(item)})
            for item in in_order(self.new)
            if item.name not in in_pieces
        ]
        rebuilt = self._rebuilt(attachments)
        changes += [change for outcome in rebuilt for change in outcome.changes]
        self.anew = {outcome.network.name: outcome.network for outcome in rebuilt}
        for attachment in attachments:
            steps = join(self.board, attachment, self._key(attachment.network))
            refuse_ignored(attachment, steps, self.snapshot.engine)
            changes += steps
        leaving = self._leaving(attachments)
        changes += leaving
        changes += removals(self.wanted.networks, self.gone, self.snapshot, self.board)
        shown = {*self.declared, *self.anew, *(item.network for item in attachments)}
        shown |= {self.names[change.target["network"]] for change in leaving}
        return Plan(
            self._data(before, shown, self._created()),
            self._data(self.board, shown, frozenset()),
            tuple(changes),
            warnings=tuple(warning for outcome in rebuilt for warning in outcome.warnings),
            told={"recreated": [outcome.told for outcome in rebuilt]},
        )

    def _refuse_collisions(self, attachments: t.Sequence[Attachment]) -> None:
        """Refuse what Docker would refuse half-way, or take and break something else by."""
        rebuilds = {item.name: item for item in self.rebuilds}
        made = {
            item.name: making(create_body(item), item, self.declared, self.snapshot)
            for item in in_order(self.new)
            if item.name not in rebuilds
        }
        for name, item in rebuilds.items():
            if not item.whole:
                instead = item.live.id if item.live is not None else ""
                found = making(item.body, self.declared.get(name), self.declared, self.snapshot, instead=instead)
                # One in pieces had its subnet beside the host's routes before, and must get it back.
                made[name] = replace(found, allow_route_overlap=item.pending is not None or found.allow_route_overlap)
        refuse_config(self.wanted.networks, self.there, self.snapshot, list(made.values()))
        config_only = {name for name, item in self.there.items() if item.config_only}
        refuse_members_of_config(attachments, config_only | {name for name, item in made.items() if item.config_only})
        refuse_collisions(list(made.values()), self.snapshot)
        refuse_addresses(attachments, self.there, made)
        refuse_held(attachments, {name: item for name, item in self.there.items() if name not in made}, self.snapshot)

    def _created(self) -> frozenset[str]:
        return frozenset(item.name for item in self.new)

    def _key(self, name: str) -> str:
        """The ID of a network, or the name of one that this very plan creates."""
        return self.there[name].id if name in self.there else name

    def _rebuilt(self, attachments: t.Sequence[Attachment]) -> list[Outcome]:
        """Put together anew what differs from what is declared, and what an earlier run left in pieces."""
        wanted: dict[str, dict[str, Attachment]] = {}
        for attachment in attachments:
            wanted.setdefault(attachment.network, {})[attachment.container.id] = attachment
        return [
            rebuild(replace(item, attachments=wanted.get(item.name, {})), self.snapshot, self.board)
            for item in self.rebuilds
        ]

    def _find_networks_of_apps(self) -> None:
        """Make sure that every network that an app names is there, or will be when its turn comes."""
        for app in self.wanted.apps:
            for name, source in app.listed.items():
                if name in self.declared:
                    if self.declared[name].present:
                        continue
                    raise shape.invalid(source, f"lists {name!r}, which is to be absent", "Drop one of both.")
                found = the_network(self.snapshot, name, source)
                if found is None:
                    raise CoreError(
                        f"{source}: the app {app.name!r} is to join the network {name!r}, which does not exist.",
                        hint="Create it in the same call by networks, or correct the name. Nothing was changed.",
                        reason_code="unknown_network",
                    )
                self.there[name] = found

    # ---- members

    def _attachments(self) -> list[Attachment]:
        """All wanted attachments; on each network those with a fixed address first, so that nobody takes it."""
        merged: dict[tuple[str, str], Attachment] = {}
        for item in [*self._of_networks(), *self._of_joiners(), *self._of_apps()]:
            key = (item.network, item.container.id)
            merged[key] = merged[key] + item if key in merged else item
        return sorted(merged.values(), key=lambda item: (item.network, not (item.ip or item.ip6), item.container.name))

    def _of_networks(self) -> t.Iterator[Attachment]:
        for network in self.wanted.networks:
            for item in network.members:
                yield Attachment(
                    container=self._container(item),
                    network=network.name,
                    why=(item.place,),
                    aliases=item.aliases,
                    ip=item.ip,
                    ip6=item.ip6,
                    links=item.links,
                    driver_opts=item.driver_opts,
                    mac=item.mac,
                    gw_priority=item.gw_priority,
                )

    def _container(self, item: WantedMember) -> Container:
        found = self.snapshot.containers_named(item.container)
        if len(found) == 1:
            return found[0]
        what = "does not exist" if not found else f"fits {len(found)} containers"
        raise CoreError(
            f"{item.place}: the container {item.container!r} {what}. Nothing was changed.",
            hint="Give an existing container by its name, its full ID, or the first 12 digits of the ID.",
            reason_code="unknown_container",
        )

    def _of_joiners(self) -> t.Iterator[Attachment]:
        for network in self.wanted.networks:
            there = self.there.get(network.name)
            # A config-only network is a form to fill in, and nobody can be on it.
            config_only = network.config_only or (there is not None and there.config_only)
            for item, container in self.joiners if network.present and not config_only else ():
                yield Attachment(
                    container=container,
                    network=network.name,
                    why=(item.place,),
                    aliases=item.aliases,
                    links=item.links,
                    driver_opts=item.driver_opts,
                    gw_priority=item.gw_priority,
                )

    def _of_apps(self) -> t.Iterator[Attachment]:
        return wishes(self.wanted.apps, self.wanted.phase, self.snapshot, self.board, self.there)

    def _leaving(self, attachments: t.Sequence[Attachment]) -> list[Change]:
        wanted_on: dict[str, set[str]] = {}
        for attachment in attachments:
            wanted_on.setdefault(attachment.container.id, set()).add(self._key(attachment.network))
        wanted = self.wanted
        leaving = {
            **shut_out(wanted.networks, self.there, self.board, wanted_on),
            **make_way(self.joiners, self.gone, self.board),
            **leave_apps(wanted.apps, wanted.phase, self.snapshot, self.there, self.board, wanted_on),
        }
        return steps_off(leaving, self.snapshot, self.board)

    # ---- showing

    def _data(self, board: Board, names: t.Collection[str], without: t.Collection[str]) -> dict[str, t.Any]:
        found: dict[str, t.Any] = {}
        removed = set() if board is not self.board else {network.name for network in self.gone}
        ids = {name: identity for identity, name in self.names.items()}
        for name in sorted(set(names) - set(without) - removed):
            key = ids.get(name, name)
            anew = self.anew.get(name) if board is self.board else None
            declared = name in self.declared and self.declared[name].present
            if key not in self.names and anew is None and not declared:
                continue
            network = anew or next((item for item in self.snapshot.networks if item.id == key), None)
            data = as_declared(create_body(self.declared[name])) if network is None else as_data(network)
            members = sorted(board.members(key).items(), key=lambda item: self.containers[item[0]].name)
            data["containers"] = {
                self.containers[identity].name: {
                    "aliases": list(aliases_of(self.containers[identity], endpoint)),
                    **({"address": endpoint.fixed_ip} if endpoint.fixed_ip else {}),
                    **({"address6": endpoint.fixed_ip6} if endpoint.fixed_ip6 else {}),
                }
                for identity, endpoint in members
            }
            found[name] = data
        return {"networks": found} if found else {}
