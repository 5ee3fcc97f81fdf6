# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Who is on which network: attachments that are wanted, those that are there, and the steps between both."""

from __future__ import annotations

import shlex
import typing as t
from dataclasses import dataclass, field, replace

from .errors import CoreError
from .holders import refers_to
from .marker import Marker, marker_of, without_note
from .model import Container, Endpoint, Snapshot
from .plan import Change

SWARM_SERVICE_ID_LABEL = "com.docker.swarm.service.id"
SWARM_SERVICE_NAME_LABEL = "com.docker.swarm.service.name"


@dataclass(frozen=True)
class Attachment:
    """A container that is to be on a network; ``network`` is a name, ``why`` the options that ask for it."""

    container: Container
    network: str
    why: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    ip: str = ""
    ip6: str = ""
    links: tuple[str, ...] = ()
    driver_opts: t.Mapping[str, str] = field(default_factory=dict)
    mac: str = ""
    gw_priority: int | None = None
    #: Aliases that the wanted ones take the place of, once the attachment is made anew for another reason.
    outdated: tuple[str, ...] = ()
    #: Aliases that must go, because an app gave them and wants them no more.
    expired: tuple[str, ...] = ()
    #: What is noted on an endpoint that is made for an app.
    marker: Marker | None = None
    #: An attachment that is there already stays as it is.
    joins_only: bool = False

    def __add__(self, other: Attachment) -> Attachment:
        """Join two wishes for the same container on the same network."""
        for key in ("ip", "ip6", "mac", "gw_priority"):
            mine, theirs = getattr(self, key), getattr(other, key)
            if mine not in ("", None) and theirs not in ("", None) and mine != theirs:
                what = "the gateway priority " if key == "gw_priority" else ""
                raise CoreError(
                    f"{other.why[0]} wants {what}{theirs} for the container {self.container.name!r} on {self.network!r}, "
                    f"{self.why[0]} wants {mine}.",
                    hint="Keep one of both.",
                    reason_code="invalid_option",
                )
        aliases = tuple(dict.fromkeys([*self.aliases, *other.aliases]))
        return replace(
            self,
            why=tuple(dict.fromkeys([*self.why, *other.why])),
            aliases=aliases,
            ip=self.ip or other.ip,
            ip6=self.ip6 or other.ip6,
            links=tuple(dict.fromkeys([*self.links, *other.links])),
            driver_opts={**self.driver_opts, **other.driver_opts},
            mac=self.mac or other.mac,
            gw_priority=other.gw_priority if self.gw_priority is None else self.gw_priority,
            outdated=tuple(sorted({*self.outdated, *other.outdated} - set(aliases))),
            expired=tuple(sorted({*self.expired, *other.expired} - set(aliases))),
            marker=self.marker or other.marker,
            joins_only=self.joins_only and other.joins_only,
        )


class Board:
    """The endpoints of every container by network, as they will be after the changes planned so far.

    Networks are told apart by ID, those that are yet to be created by name. References to networks that are gone
    count for nothing: Docker replaces them when the container joins a network of that name.
    """

    def __init__(self, snapshot: Snapshot, new: t.Collection[str]) -> None:
        self._on: dict[str, dict[str, Endpoint]] = {}
        ids = {network.id for network in snapshot.networks}
        for container in snapshot.containers:
            mine = self._on.setdefault(container.id, {})
            for endpoint in container.endpoints:
                if endpoint.network_id:
                    keys = [endpoint.network_id] if endpoint.network_id in ids else []
                elif container.live:
                    # Left by an attempt to connect that failed; it is no attachment, and one made now replaces it.
                    keys = []
                else:
                    keys = [item.id for item in snapshot.networks if refers_to(snapshot, endpoint.network, item)]
                    keys = keys or [name for name in new if name == endpoint.network]
                mine.update(dict.fromkeys(keys, endpoint))

    def endpoint(self, container: Container, key: str) -> Endpoint | None:
        return self._on[container.id].get(key)

    def networks_of(self, container: Container) -> tuple[str, ...]:
        return tuple(sorted(self._on[container.id]))

    def members(self, key: str) -> dict[str, Endpoint]:
        """The endpoints on a network by the container's ID."""
        return {identity: on[key] for identity, on in self._on.items() if key in on}

    def put(self, container: Container, key: str, endpoint: Endpoint) -> None:
        self._on[container.id][key] = endpoint

    def take(self, container: Container, key: str) -> None:
        del self._on[container.id][key]


def aliases_of(container: Container, endpoint: Endpoint) -> tuple[str, ...]:
    """The aliases that somebody asked for: API 1.44 and below list the container's short ID among them."""
    return tuple(sorted({alias for alias in endpoint.aliases if alias != container.id[:12]}))


def update_service(container: Container, verb: str, network: str) -> str:
    """The command that a person would type for the Swarm service of a task; its names are whatever a label says."""
    service = container.labels.get(SWARM_SERVICE_NAME_LABEL, "SERVICE")
    return f"docker service update --network-{verb} {shlex.quote(network)} {shlex.quote(service)}"


def refuse_unattachable(attachment: Attachment) -> None:
    """Refuse a container that Docker attaches to nothing, or that Swarm would put back."""
    container, why = attachment.container, attachment.why[0]
    mode = container.network_mode
    if SWARM_SERVICE_ID_LABEL in container.labels:
        service = container.labels.get(SWARM_SERVICE_NAME_LABEL, "SERVICE")
        raise CoreError(
            f"{why} wants the container {container.name!r} on {attachment.network!r}, but it is a task of the Swarm "
            f"service {service!r}: Swarm would replace it without that network.",
            hint=f"Use: {update_service(container, 'add', attachment.network)}.",
            reason_code="service",
        )
    if mode in ("host", "none") or mode.startswith("container:"):
        raise CoreError(
            f"{why} wants the container {container.name!r} on {attachment.network!r}, but it runs with network_mode "
            f"{mode!r}, which Docker can't combine with a network.",
            hint="Create the container without that network_mode, or leave it out here.",
            reason_code="network_mode",
        )


def refuse_misread_name(attachment: Attachment, snapshot: Snapshot) -> None:
    """Refuse a network that is named like the full ID of another one.

    Docker keeps the name for a container that does not run, and takes a full ID first when the container starts: it
    would come up on the other network, whatever we asked for.
    """
    name = attachment.network
    other = next((item for item in snapshot.networks if item.id == name and item.name != name), None)
    if other is not None:
        raise CoreError(
            f"{attachment.why[0]} wants the container {attachment.container.name!r} on the network named {name!r}, but "
            f"this name is the ID of the network {other.name!r}, on which Docker would start the container instead.",
            hint="Give the network another name.",
            reason_code="ambiguous",
            details={"network_ids": sorted(item.id for item in snapshot.networks_named(name))},
        )


def join(board: Board, attachment: Attachment, key: str) -> list[Change]:
    """The steps that put a container on a network as wanted: none, one, or off and on again; ``board`` is updated."""
    container = attachment.container
    endpoint = board.endpoint(container, key)
    name = f"{container.name} on {attachment.network}"
    if endpoint is None:
        note = attachment.marker.driver_opts if attachment.marker is not None else {}
        new = merged(Endpoint(network=attachment.network, driver_opts=note), attachment)
        board.put(container, key, new)
        # Only an address that a person declares here is asked for.
        asked = _with_mac({"config": config(new)}, attachment.mac)
        target = {"network": key, "container": container.id, **asked}
        return [Change("connect", "endpoint", name, f"wanted by {_listed(attachment.why)}{_as(attachment)}", target)]
    if attachment.joins_only:
        return []
    differences = _differences(container, endpoint, attachment)
    # An endpoint of a container that was never started may bear the head of the network's ID instead of its name;
    # Docker finds no way to cut such a one, so it stays as it is until the container has been started once.
    if not differences or (not endpoint.network_id and endpoint.network != attachment.network):
        return []
    new = merged(replace(endpoint, aliases=aliases_of(container, endpoint)), attachment)
    board.put(container, key, new)
    off = {"network": key, "container": container.id, "restore": _kept(container, endpoint)}
    on = {"network": key, "container": container.id, **_with_mac(_kept(container, new), attachment.mac)}
    reason = f"it {' and '.join(differences)}, and Docker can change that by a new attachment only"
    return [
        Change("disconnect", "endpoint", name, f"{reason}: off for a moment", off),
        Change("connect", "endpoint", name, f"{reason}: on again, {_kept_words(endpoint, attachment)}", on),
    ]


def leave(board: Board, container: Container, key: str, network: str, reason: str) -> Change:
    """The step that takes a container off a network; ``board`` is updated."""
    endpoint = board.endpoint(container, key)
    board.take(container, key)
    target: dict[str, t.Any] = {"network": key, "container": container.id}
    if endpoint is not None:
        target["restore"] = _kept(container, endpoint)
    return Change("disconnect", "endpoint", f"{container.name} on {network}", reason, target)


def config(endpoint: Endpoint) -> dict[str, t.Any]:
    """Docker's EndpointConfig for an attachment that is to be made. A MAC address is never asked for: a generated
    one can't be told from a chosen one, and two containers with one address break each other."""
    ipam = {"IPv4Address": endpoint.fixed_ip, "IPv6Address": endpoint.fixed_ip6}
    wanted: dict[str, t.Any] = {
        "IPAMConfig": {key: ip for key, ip in ipam.items() if ip},
        "Aliases": sorted(endpoint.aliases),
        "Links": list(endpoint.links),
        "DriverOpts": dict(endpoint.driver_opts),
        "GwPriority": endpoint.gw_priority,
    }
    return {key: value for key, value in wanted.items() if value}


def endpoint_of(settings: t.Mapping[str, t.Any], network: str) -> Endpoint:
    """The endpoint that an EndpointConfig makes: what :func:`config` gave, read back."""
    ipam = settings.get("IPAMConfig") or {}
    return Endpoint(
        network=network,
        fixed_ip=str(ipam.get("IPv4Address", "")),
        fixed_ip6=str(ipam.get("IPv6Address", "")),
        aliases=tuple(settings.get("Aliases", ())),
        links=tuple(settings.get("Links", ())),
        driver_opts=dict(settings.get("DriverOpts", {})),
        gw_priority=int(settings.get("GwPriority", 0)),
    )


def _kept(container: Container, endpoint: Endpoint) -> dict[str, t.Any]:
    """``config`` that keeps the addresses in effect; where these were Docker's own choice, one without them too."""
    asked = replace(endpoint, aliases=aliases_of(container, endpoint))
    effective = replace(asked, fixed_ip=asked.fixed_ip or asked.ip, fixed_ip6=asked.fixed_ip6 or asked.ip6)
    if effective == asked:
        return {"config": config(asked)}
    return {"config": config(effective), "config_without_ip": config(asked)}


def _with_mac(target: dict[str, t.Any], mac: str) -> dict[str, t.Any]:
    return {key: {**settings, "MacAddress": mac} for key, settings in target.items()} if mac else target


def _differences(container: Container, endpoint: Endpoint, attachment: Attachment) -> list[str]:
    """What an endpoint that is there lacks of what is wanted, and what it has no more to have, in words."""
    lacking = _lacking(endpoint, attachment)
    surplus = [f"the alias {alias}" for alias in aliases_of(container, endpoint) if alias in attachment.expired]
    return [f"lacks {', '.join(lacking)}"] * bool(lacking) + [f"still has {', '.join(surplus)}"] * bool(surplus)


def _lacking(endpoint: Endpoint, attachment: Attachment) -> list[str]:
    lacking = [f"the alias {alias}" for alias in sorted(set(attachment.aliases) - set(endpoint.aliases))]
    lacking += [f"the address {ip}" for ip, is_ in _addresses(endpoint, attachment) if ip and ip != is_]
    lacking += [f"the link {link}" for link in sorted(set(attachment.links) - set(endpoint.links))]
    lacking += [
        f"the driver option {key}={value}"
        for key, value in sorted(attachment.driver_opts.items())
        if endpoint.driver_opts.get(key) != value
    ]
    # A container at rest has no address that one could compare.
    if attachment.mac and endpoint.mac and endpoint.mac.lower() != attachment.mac:
        lacking.append(f"the MAC address {attachment.mac}")
    if attachment.gw_priority is not None and endpoint.gw_priority != attachment.gw_priority:
        lacking.append(f"the gateway priority {attachment.gw_priority}")
    return lacking


def _addresses(endpoint: Endpoint, attachment: Attachment) -> tuple[tuple[str, str], ...]:
    return ((attachment.ip, endpoint.fixed_ip), (attachment.ip6, endpoint.fixed_ip6))


def merged(endpoint: Endpoint, attachment: Attachment) -> Endpoint:
    """The endpoint as it will be: what is there, and what is wanted."""
    changed = any(want and want not in (endpoint.ip, endpoint.ip6) for want in (attachment.ip, attachment.ip6))
    aliases = (set(endpoint.aliases) - {*attachment.outdated, *attachment.expired}) | set(attachment.aliases)
    return replace(
        endpoint,
        aliases=tuple(sorted(aliases)),
        ip="" if changed else endpoint.ip,
        ip6="" if changed else endpoint.ip6,
        fixed_ip=attachment.ip or endpoint.fixed_ip,
        fixed_ip6=attachment.ip6 or endpoint.fixed_ip6,
        links=tuple(dict.fromkeys([*endpoint.links, *attachment.links])),
        driver_opts={**_note_renewed(endpoint, attachment), **attachment.driver_opts},
        mac=attachment.mac or endpoint.mac,
        gw_priority=endpoint.gw_priority if attachment.gw_priority is None else attachment.gw_priority,
    )


def _note_renewed(endpoint: Endpoint, attachment: Attachment) -> dict[str, str]:
    """The endpoint's driver options, in which the note of the same app tells what it gives now; none is added."""
    there, now = marker_of(endpoint), attachment.marker
    if there is None or now is None or there.app != now.app:
        return dict(endpoint.driver_opts)
    return {**without_note(endpoint.driver_opts), **now.driver_opts}


def _as(attachment: Attachment) -> str:
    parts = list(attachment.aliases)
    parts += [ip for ip in (attachment.ip, attachment.ip6) if ip]
    return f", as {', '.join(parts)}" if parts else ""


def _kept_words(endpoint: Endpoint, attachment: Attachment) -> str:
    asked = [ip for ip in (attachment.ip or endpoint.fixed_ip, attachment.ip6 or endpoint.fixed_ip6) if ip]
    if asked:
        return f"with {', '.join(asked)}"
    if endpoint.ip or endpoint.ip6:
        now = ", ".join(ip for ip in (endpoint.ip, endpoint.ip6) if ip)
        return f"with {now} where the network has a configured subnet, else the address may change"
    return "with an address of Docker's choice, as before"


def _listed(why: t.Sequence[str]) -> str:
    return " and ".join(why)
