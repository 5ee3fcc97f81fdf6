# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""What a purge was asked to do: which networks, and what may happen to those who hold them."""

from __future__ import annotations

import fnmatch
import typing as t
from dataclasses import dataclass, field

from . import shape
from .model import Network


@dataclass(frozen=True)
class Filters:
    """What all chosen networks have in common; a label's value None means any value."""

    labels: t.Mapping[str, str | None] = field(default_factory=dict)
    compose_project: str = ""
    driver: str = ""
    scope: str = ""
    unused: bool = False
    ignore_stopped: bool = False

    def mismatch(self, network: Network) -> str:
        """Say in what the network differs; empty if in nothing. Whether it is in use is not told by it alone."""
        for key, want in sorted(self.labels.items()):
            if key not in network.labels:
                return f"it has no label {key!r}"
            if want is not None and network.labels[key] != want:
                return f"its label {key!r} is {network.labels[key]!r}, not {want!r}"
        pairs = [("Compose project", self.compose_project, network.compose_project)]
        pairs += [("driver", self.driver, network.driver), ("scope", self.scope, network.scope)]
        return next((f"its {what} is {is_!r}, not {want!r}" for what, want, is_ in pairs if want and want != is_), "")


@dataclass(frozen=True)
class Request:
    """The options of one purge. ``names`` and ``patterns`` are None where not given: an empty list chooses nothing."""

    names: tuple[str, ...] | None = None
    patterns: tuple[str, ...] | None = None
    filters: Filters | None = None
    containers: str = "refuse"
    stopped: str = "heal"
    foreign: str = "refuse"
    primary: str = "refuse"
    keep_connected: bool = True
    fallback_network: str = ""
    protect_networks: tuple[str, ...] = ()
    protect_containers: tuple[str, ...] = ()
    max_networks: int = 20

    def protects_network(self, network: Network) -> bool:
        return _fits(network.name, self.protect_networks)

    def protects_container(self, name: str) -> bool:
        return _fits(name, self.protect_containers)


def _fits(name: str, globs: t.Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, glob) for glob in globs)


def candidate(request: Request, network: Network) -> bool:
    """Whether the network is chosen by a pattern, or by the filters alone; its name may choose it besides."""
    if request.patterns is not None:
        return _fits(network.name, request.patterns)
    return request.names is None and request.filters is not None


def may_choose(request: Request, network: Network) -> bool:
    """Whether the network may be purged as far as it tells by itself."""
    named = request.names is not None and (network.name in request.names or network.id in request.names)
    return named or (candidate(request, network) and not network.predefined)


def read_request(params: t.Mapping[str, t.Any]) -> Request:
    """Read the module's options; Ansible has checked plain types and choices."""
    protect = params["protect"] or {}
    request = Request(
        names=None if params["names"] is None else shape.texts(params["names"], "names"),
        patterns=None if params["patterns"] is None else shape.texts(params["patterns"], "patterns"),
        filters=None if params["filters"] is None else _filters(params["filters"]),
        containers=params["containers"],
        stopped=params["stopped"],
        foreign=params["foreign"],
        primary=params["primary"],
        keep_connected=params["keep_connected"],
        fallback_network=params["fallback_network"] or "",
        protect_networks=shape.texts(protect.get("networks") or [], "protect.networks"),
        protect_containers=shape.texts(protect.get("containers") or [], "protect.containers"),
        max_networks=shape.number(params["max_networks"], "max_networks", 1, 100000),
    )
    if request.fallback_network and not request.keep_connected:
        raise shape.invalid(
            "fallback_network",
            f"is {request.fallback_network!r}, but with keep_connected: false nothing is moved there",
            "Drop one of both.",
        )
    return request


def _filters(value: t.Mapping[str, t.Any]) -> Filters:
    given = {key: item for key, item in value.items() if item not in (None, False)}
    found = Filters(
        labels=_labels(given["labels"]) if "labels" in given else {},
        compose_project=_word(given, "compose_project"),
        driver=_word(given, "driver"),
        scope=given.get("scope", ""),
        unused=bool(given.get("unused")),
        ignore_stopped=bool(given.get("ignore_stopped")),
    )
    if found.ignore_stopped and not found.unused:
        raise shape.invalid("filters.ignore_stopped", "is true without filters.unused", "Set filters.unused too.")
    if not given:
        raise shape.invalid("filters", "sets nothing, which would choose every network", "Set at least one of them.")
    return found


def _word(given: t.Mapping[str, t.Any], key: str) -> str:
    return shape.text(given[key], f"filters.{key}") if key in given else ""


def _labels(value: t.Any) -> dict[str, str | None]:
    """Read labels as a dictionary (null: any value), or as texts of the form ``key`` or ``key=value``."""
    place = "filters.labels"
    found: dict[str, str | None] = {}
    if isinstance(value, t.Mapping):
        plain = shape.settings({key: item for key, item in value.items() if item is not None}, place)
        found = {str(key): plain.get(str(key)) for key in value}
    else:
        for word in shape.texts([value] if isinstance(value, str) else value, place):
            key, equals, text = word.partition("=")
            found[key] = text if equals else None
    if not found or "" in found:
        raise shape.invalid(place, f"is {value!r}, which names no label", "Give key: value, or drop the filter.")
    return found
