# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""An app: which containers are its own, and the networks and aliases that they get."""

from __future__ import annotations

import fnmatch
import re
import typing as t
from dataclasses import dataclass, field

from . import shape
from .model import (
    COMPOSE_PROJECT_LABEL,
    COMPOSE_SERVICE_LABEL,
    DOKKU_APP_LABEL,
    DOKKU_PROCESS_LABEL,
    Container,
    Snapshot,
)
from .network_reading import network_name
from .phase import Phase, one_off

APP_LABEL = "io.bulkhead.app"
PROCESS_LABEL = "io.bulkhead.process"

#: The properties of an app with what they are when neither the app nor the defaults set them.
PROPERTIES: dict[str, t.Any] = {
    "initial_network": "",
    "attach_post_create": (),
    "attach_post_deploy": (),
    "tld": "",
    "bind_all_interfaces": False,
    "aliases": (),
    "exclusive": False,
}
KEYS = frozenset({"name", "match", *PROPERTIES})
MATCH_KEYS = frozenset({"labels", "names", "compose_project", "compose_services"})

_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")


@dataclass(frozen=True)
class Match:
    """What makes a container one of an app's; all that is given must hold."""

    labels: t.Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    compose_project: str = ""
    compose_services: tuple[str, ...] = ()

    def fits(self, container: Container) -> bool:
        labels = container.labels
        return (
            all(labels.get(name) == value for name, value in self.labels.items())
            and (not self.names or any(fnmatch.fnmatchcase(container.name, glob) for glob in self.names))
            and (not self.compose_project or container.compose_project == self.compose_project)
            and (not self.compose_services or labels.get(COMPOSE_SERVICE_LABEL) in self.compose_services)
        )


@dataclass(frozen=True)
class App:
    """One app. ``own`` and ``defaults`` hold the properties that were given, for the app itself and for all."""

    place: str
    name: str
    match: Match | None = None
    own: t.Mapping[str, t.Any] = field(default_factory=dict)
    defaults: t.Mapping[str, t.Any] = field(default_factory=dict)

    def value(self, key: str) -> t.Any:
        """A property: the app's own, else the default for all apps, else what is built in."""
        return self.own.get(key, self.defaults.get(key, PROPERTIES[key]))

    def gives(self, key: str) -> bool:
        """Whether somebody has set a property, be it to nothing."""
        return key in self.own or key in self.defaults

    def source(self, key: str) -> str:
        """The place that a property comes from, for messages."""
        return f"app_defaults.{key}" if key not in self.own else f"{self.place}.{key}" if self.place else key

    @property
    def initial_network(self) -> str:
        return str(self.value("initial_network"))

    @property
    def exclusive(self) -> bool:
        return bool(self.value("exclusive"))

    def owns(self, container: Container) -> bool:
        """Whether the container is one of the app's; one that Docker is taking away is nobody's."""
        if container.state in ("removing", "dead"):
            return False
        if self.match is not None:
            return self.match.fits(container)
        owners = (APP_LABEL, DOKKU_APP_LABEL, COMPOSE_PROJECT_LABEL)
        return any(container.labels.get(label) == self.name for label in owners) or bool(self._by_name(container))

    def members(self, snapshot: Snapshot) -> tuple[Container, ...]:
        return tuple(container for container in snapshot.containers if self.owns(container))

    def process_type(self, container: Container) -> str:
        """The kind of process a container runs, such as ``web``; empty when nothing tells."""
        for label in (PROCESS_LABEL, DOKKU_PROCESS_LABEL, COMPOSE_SERVICE_LABEL):
            # Whoever makes containers writes labels; what can't be looked up must not get into an alias.
            if is_name(container.labels.get(label, "")):
                return container.labels[label]
        found = self._by_name(container)
        return found[1] or "" if found else ""

    def _by_name(self, container: Container) -> re.Match[str] | None:
        """Match the names ``APP`` and ``APP.PROC.N``."""
        return re.fullmatch(rf"{re.escape(self.name)}(?:\.([A-Za-z0-9_-]+)\.[0-9]+)?", container.name)

    def aliases(self, container: Container) -> tuple[str, ...]:
        """The names that the app's other containers find this one by."""
        return () if one_off(container) else (self.main_alias(container), *self.value("aliases"))

    def main_alias(self, container: Container) -> str:
        parts = (self.name, self.process_type(container), self.value("tld"))
        return ".".join(part for part in parts if part)

    def outdated(self, container: Container, alias: str) -> bool:
        """Whether an alias is one that this app's container had under another TLD."""
        stem = ".".join(part for part in (self.name, self.process_type(container)) if part)
        return alias not in self.aliases(container) and (alias == stem or alias.startswith(f"{stem}."))

    def networks(self, container: Container, phase: Phase) -> dict[str, str]:
        """The networks to attach a container to now, each with the property that says so."""
        return {name: key for key in phase.keys(container) for name in self.value(key)}

    @property
    def listed(self) -> dict[str, str]:
        """All networks that the app is to be on at any time, each with the option that says so."""
        found = {
            name: self.source(key) for key in ("attach_post_create", "attach_post_deploy") for name in self.value(key)
        }
        if self.initial_network:
            found.setdefault(self.initial_network, self.source("initial_network"))
        return found


# ---- reading ---------------------------------------------------------------------------------------------------------


def read_apps(value: t.Any, defaults: t.Mapping[str, t.Any], place: str = "apps") -> tuple[App, ...]:
    """Read the option ``apps``."""
    apps = []
    places: dict[str, str] = {}
    for number, entry in enumerate(shape.items(value, place)):
        app = read_app({"name": entry} if isinstance(entry, str) else entry, defaults, f"{place}[{number}]")
        if app.name in places:
            cure = "Put both into one entry."
            raise shape.invalid(f"{app.place}.name", f"is {app.name!r}, which {places[app.name]} declares too", cure)
        places[app.name] = app.place
        apps.append(app)
    return tuple(apps)


def read_app(value: t.Any, defaults: t.Mapping[str, t.Any], place: str = "") -> App:
    """Read one app; ``place`` is empty for the flat form."""
    given = shape.mapping(value, place or "the app", KEYS)
    head = f"{place}." if place else ""
    if "name" not in given:
        raise shape.invalid(f"{head}name", "is missing", "Every app needs its name.")
    app = App(
        place=place,
        name=_dns_name(given["name"], f"{head}name" if place else "app"),
        match=_read_match(given["match"], f"{head}match") if "match" in given else None,
        own=_read_properties(given, head),
        defaults=defaults,
    )
    _refuse_two_times(app)
    return app


def _refuse_two_times(app: App) -> None:
    """Refuse a network that is to be joined both before the start and after the deploy."""
    early = {name: app.source("attach_post_create") for name in app.value("attach_post_create")}
    if app.initial_network:
        early.setdefault(app.initial_network, app.source("initial_network"))
    twice = [name for name in app.value("attach_post_deploy") if name in early]
    if twice:
        raise shape.invalid(
            app.source("attach_post_deploy"),
            f"lists {twice[0]!r} for the app {app.name!r}, as {early[twice[0]]} does",
            "A network is joined either before the start or after the deploy: take it out of one of both.",
        )


def read_app_defaults(value: t.Any, place: str = "app_defaults") -> dict[str, t.Any]:
    """Read the properties that apps have where they set none."""
    return _read_properties(shape.mapping(value, place, frozenset(PROPERTIES)), f"{place}.")


def _read_properties(given: t.Mapping[str, t.Any], head: str) -> dict[str, t.Any]:
    found: dict[str, t.Any] = {}
    for key in ("attach_post_create", "attach_post_deploy"):
        if key in given:
            names = shape.items(given[key], f"{head}{key}")
            checked = [network_name(name, f"{head}{key}[{number}]") for number, name in enumerate(names)]
            found[key] = tuple(dict.fromkeys(checked))
    if "initial_network" in given:
        initial = given["initial_network"]
        found["initial_network"] = network_name(initial, f"{head}initial_network") if initial != "" else ""
    if "tld" in given:
        found["tld"] = _dns_name(given["tld"], f"{head}tld") if given["tld"] != "" else ""
    if "aliases" in given:
        aliases = shape.texts(given["aliases"], f"{head}aliases")
        found["aliases"] = tuple(_dns_name(name, f"{head}aliases[{number}]") for number, name in enumerate(aliases))
    for key in ("bind_all_interfaces", "exclusive"):
        if key in given:
            found[key] = shape.flag(given[key], f"{head}{key}")
    return found


def _read_match(value: t.Any, place: str) -> Match:
    given = shape.mapping(value, place, MATCH_KEYS)
    project = given.get("compose_project", "")
    match = Match(
        labels=shape.settings(given.get("labels", {}), f"{place}.labels"),
        names=shape.texts(given.get("names", []), f"{place}.names"),
        compose_project=shape.text(project, f"{place}.compose_project") if project != "" else "",
        compose_services=shape.texts(given.get("compose_services", []), f"{place}.compose_services"),
    )
    if match == Match():
        raise shape.invalid(place, "is empty and would match every container", "Give labels, names or services.")
    return match


def is_name(text: str) -> bool:
    """Whether containers can look this up, alone or as a part of a longer name."""
    return len(text) <= 253 and _NAME.fullmatch(text) is not None


def _dns_name(value: t.Any, place: str) -> str:
    name = shape.text(value, place)
    if not is_name(name):
        cure = "Use letters, digits, '_', '-' and '.', with a letter or digit at both ends."
        raise shape.invalid(place, f"is {name!r}, which is no name that containers can look up", cure)
    return name
