# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Declared networks, their members and the apps on them, held against a host: one plan for all of it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from . import apps as app_reading
from . import networks as network_reading
from . import shape
from .apps import App, one_off
from .errors import CoreError
from .holders import created_on, holders
from .membership import Attachment, Board, aliases_of, join, leave, refuse_unattachable
from .model import PREDEFINED_NETWORKS, Container, Network, Snapshot
from .networks import WantedMember, WantedNetwork, as_data, as_declared, create_body, drift, the_network
from .plan import Change, Plan

PURGE = "bulkhead.docker.docker_network_purge"
FLAT_NETWORK_KEYS = network_reading.KEYS - {"name", "exclusive"}
FLAT_APP_KEYS = app_reading.KEYS - {"name", "exclusive"}


@dataclass(frozen=True)
class Wanted:
    """All that one call declares."""

    networks: tuple[WantedNetwork, ...] = ()
    apps: tuple[App, ...] = ()
    flat: bool = False

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
        exclusive = {item.name for item in self.networks if item.exclusive}
        return any(endpoint.network in exclusive for endpoint in container.endpoints)


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
    return Wanted(networks, apps, flat="name" in given)


def _only_with(given: t.Mapping[str, t.Any], keys: frozenset[str], head: str, other: str) -> None:
    alone = sorted(keys & set(given))
    if alone and head not in given:
        raise shape.invalid(alone[0], f"is given without {head}", f"Give {head}, or move it into {other}.")


# ---- planning --------------------------------------------------------------------------------------------------------


def plan(wanted: Wanted, snapshot: Snapshot) -> Plan:
    """Find the steps from what is there to what is wanted. Everything is checked before the first step.

    The order leaves no container cut off on the way: networks are created, containers join, and only then leave.
    """
    return _Planner(wanted, snapshot).plan()


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

    def plan(self) -> Plan:
        self._refuse_drift()
        self._find_networks_of_apps()
        attachments = self._attachments()
        for attachment in attachments:
            refuse_unattachable(attachment)
        before = Board(self.snapshot, [item.name for item in self.new])
        changes = [
            Change("create", "network", item.name, "no network has this name", {"body": create_body(item)})
            for item in sorted(self.new, key=lambda item: item.name)
        ]
        for attachment in attachments:
            changes += join(self.board, attachment, self._key(attachment.network))
        leaving = self._leaving(attachments)
        changes += leaving
        changes += self._removals()
        shown = {*self.declared, *(item.network for item in attachments)}
        shown |= {self.names[change.target["network"]] for change in leaving}
        return Plan(
            self._data(before, shown, self._created()), self._data(self.board, shown, frozenset()), tuple(changes)
        )

    def _created(self) -> frozenset[str]:
        return frozenset(item.name for item in self.new)

    def _key(self, name: str) -> str:
        """The ID of a network, or the name of one that this very plan creates."""
        return self.there[name].id if name in self.there else name

    def _refuse_drift(self) -> None:
        found = []
        for item in self.wanted.networks:
            if item.present and item.name in self.there:
                found += [{"network": item.name, **entry} for entry in drift(item, self.there[item.name])]
        if found:
            told = "; ".join(
                f"{entry['network']}.{entry['option']} is {_shown(entry['is'])}, wanted is {_shown(entry['wanted'])}"
                for entry in found
            )
            raise CoreError(
                f"Docker can't change an existing network in place, and {told}. Nothing was changed.",
                hint=f"Leave the option out to keep what is there, or remove the network first with {PURGE}.",
                reason_code="drift",
                details={"drift": found},
            )

    def _find_networks_of_apps(self) -> None:
        """Make sure that every network that an app names is there, or will be when its turn comes."""
        for app in self.wanted.apps:
            for name, source in app.listed.items():
                if name in self.declared:
                    if self.declared[name].present:
                        continue
                    raise shape.invalid(source, f"lists {name!r}, which is to be absent", "Drop one of both.")
                found = the_network(self.snapshot, name, source)
                if found is None and name != "default":
                    raise CoreError(
                        f"{source}: the app {app.name!r} is to join the network {name!r}, which does not exist.",
                        hint="Create it in the same call by networks, or correct the name. Nothing was changed.",
                        reason_code="unknown_network",
                    )
                if found is not None:
                    self.there[name] = found

    # ---- members

    def _attachments(self) -> list[Attachment]:
        """All wanted attachments; on each network those with a fixed address first, so that nobody takes it."""
        merged: dict[tuple[str, str], Attachment] = {}
        for item in [*self._of_networks(), *self._of_apps()]:
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

    def _of_apps(self) -> t.Iterator[Attachment]:
        for app in self.wanted.apps:
            for container in app.members(self.snapshot):
                aliases = app.aliases(container)
                networks = app.networks(container)
                if self._started_on(container, app.initial_network):
                    networks.setdefault(app.initial_network, app.source("initial_network"))
                for name, source in networks.items():
                    endpoint = self.board.endpoint(container, self._key(name))
                    has = aliases_of(container, endpoint) if endpoint is not None else ()
                    outdated = tuple(alias for alias in has if app.outdated(container, alias))
                    yield Attachment(container, name, (source,), aliases, outdated=outdated)

    def _started_on(self, container: Container, name: str) -> bool:
        """Whether a container starts on this network, or is on it: then it gets its aliases there too."""
        if not name or name in PREDEFINED_NETWORKS:
            return False
        if self.board.endpoint(container, self._key(name)) is not None:
            return True
        network = self.there.get(name)
        return network is not None and created_on(self.snapshot, container, network)

    # ---- leaving

    def _leaving(self, attachments: t.Sequence[Attachment]) -> list[Change]:
        wanted_on: dict[str, set[str]] = {}
        for attachment in attachments:
            wanted_on.setdefault(attachment.container.id, set()).add(self._key(attachment.network))
        leaving: dict[tuple[str, str], str] = {}
        for network in self.wanted.networks:
            key = self._key(network.name)
            if network.exclusive and network.present and network.name in self.there:
                for identity in self.board.members(key):
                    if key not in wanted_on.get(identity, set()):
                        place = f"{network.place}.exclusive" if network.place else "exclusive"
                        leaving[(identity, key)] = f"{place}: it is not among the network's declared members"
        for app in self.wanted.apps:
            for container in app.members(self.snapshot) if app.exclusive else ():
                reason = f"{app.source('exclusive')}: the app {app.name} does not list this network"
                leaving.update(self._leaving_app(app, container, wanted_on.get(container.id, set()), reason))
        return self._leave_all(leaving)

    def _leaving_app(
        self, app: App, container: Container, wanted_on: t.Collection[str], reason: str
    ) -> dict[tuple[str, str], str]:
        # Another app or a list of members may want the container on networks of theirs.
        keep = {self._key(name) for name in app.listed} | set(wanted_on)
        keep |= {self._key(name) for other in self.wanted.apps if other.owns(container) for name in other.listed}
        on = self.board.networks_of(container)
        if (not container.live or one_off(container)) and not keep & set(on):
            # It gets its networks with the deploy, or never; without any it would start, or end, cut off.
            return {}
        return {(container.id, key): reason for key in on if key not in keep}

    def _leave_all(self, leaving: t.Mapping[tuple[str, str], str]) -> list[Change]:
        changes = []
        order = sorted(leaving, key=lambda item: (self.names[item[1]], self.containers[item[0]].name))
        for identity, key in order:
            container, network = self.containers[identity], self.names[key]
            if "com.docker.swarm.service.id" in container.labels:
                raise CoreError(
                    f"{leaving[(identity, key)]}, but {container.name!r} is a task of a Swarm service, which would "
                    "lose its network for good.",
                    hint="Use: docker service update --network-rm.",
                    reason_code="service",
                )
            changes.append(leave(self.board, container, key, network, leaving[(identity, key)]))
        for identity, key in order:
            container = self.containers[identity]
            if container.live and not self.board.networks_of(container):
                raise CoreError(
                    f"{leaving[(identity, key)]}, but the {container.state} container {container.name!r} would be left "
                    f"without any network once it left {self.names[key]!r}. Nothing was changed.",
                    hint="Attach it to another network in the same call, or stop it first.",
                    reason_code="only_network",
                    details={"container": container.name, "network": self.names[key]},
                )
        return changes

    def _removals(self) -> list[Change]:
        changes = []
        for network in sorted(self.gone, key=lambda item: item.name):
            staying = self.board.members(network.id)
            left = [
                item
                for item in holders(self.snapshot, network)
                # A container that leaves in this very plan holds the network no longer, unless it was created on it.
                if item.primary or item.id not in self.containers or item.id in staying
            ]
            if left:
                told = "; ".join(f"{item.kind} {item.name}: {item.reason}" for item in left[:5])
                more = f"; and {len(left) - 5} more" if len(left) > 5 else ""
                raise CoreError(
                    f"The network {network.name!r} is to be absent but is not empty: {told}{more}. "
                    "Nothing was changed.",
                    hint=f"Remove it with {PURGE}, which heals or moves what holds it.",
                    reason_code="in_use",
                    details={"holders": [item.data for item in left]},
                )
            changes.append(Change("remove", "network", network.name, "it is empty", {"id": network.id}))
        return changes

    # ---- showing

    def _data(self, board: Board, names: t.Collection[str], without: t.Collection[str]) -> dict[str, t.Any]:
        found: dict[str, t.Any] = {}
        removed = set() if board is not self.board else {network.name for network in self.gone}
        ids = {name: identity for identity, name in self.names.items()}
        for name in sorted(set(names) - set(without) - removed):
            key = ids.get(name, name)
            if key not in self.names and not (name in self.declared and self.declared[name].present):
                continue
            network = next((item for item in self.snapshot.networks if item.id == key), None)
            data = as_declared(self.declared[name]) if network is None else as_data(network)
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


def _shown(value: t.Any) -> str:
    if value is None:
        return "not set"
    return str(value).lower() if isinstance(value, bool) else repr(str(value))


# ---- undoing ---------------------------------------------------------------------------------------------------------


def undo(snapshot: Snapshot, done: t.Sequence[Change]) -> list[Change]:
    """Find the steps that take back what was done, the last first. The last of ``done`` is the one that failed.

    A network that was removed stays removed: it was empty, and that it goes was asked for.
    """
    back = []
    for number, change in reversed(list(enumerate(done))):
        failed = number == len(done) - 1
        target = change.target
        verb = (change.kind, change.action)
        if verb == ("network", "create") and not failed:
            reason = "this run created it"
            back.append(Change("remove", "network", change.name, reason, {"id": target["body"]["Name"]}))
        elif verb == ("endpoint", "connect"):
            ends = {"network": target["network"], "container": target["container"], "uncertain": failed}
            reason = "this run connected it" if not failed else "clears what the failed attempt left"
            off = Change("disconnect", "endpoint", change.name, reason, {**ends, "force": True})
            back.append(off)
            if failed:
                # A running container keeps a claim to the network, with the address that it did not get, and would
                # fail to start next time. Docker forgets such a claim only after an attachment that works.
                back += [Change("connect", "endpoint", change.name, reason, {**ends, "config": {}}), off]
        elif verb == ("endpoint", "disconnect"):
            ends = {"network": target["network"], "container": target["container"]}
            as_it_was = target.get("restore") or {"config": {}}
            reason = "as it was before this run"
            back.append(Change("connect", "endpoint", change.name, reason, {**ends, **as_it_was, "uncertain": failed}))
    return back
