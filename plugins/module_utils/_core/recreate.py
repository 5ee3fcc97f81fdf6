# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""A network is taken apart and put together again with other settings, and every member comes back as it was.

Docker can't change a network in place. All is decided before the first cut: what each member needs, whether its
address fits, whether it could start again. The steps come with what takes them back, and a record on the host tells a
later run how to go on where this one was killed.
"""

from __future__ import annotations

import ipaddress
import typing as t
from dataclasses import dataclass, field, replace

from .errors import CoreError
from .holders import AT_REST_KINDS, LIVE_KINDS, SWARM_KINDS, claim, created_on, holders
from .membership import SWARM_SERVICE_ID_LABEL, Attachment, Board, aliases_of, config, endpoint_of, merged
from .model import Container, Endpoint, Engine, Network, Pool, Snapshot
from .network_body import SCOPE_OF_DRIVER, as_it_was
from .plan import Change
from .reattach import lowest_free, never_given
from .recovery import Member, Recovery

PURGE = "bulkhead.docker.docker_network_purge"


@dataclass(frozen=True)
class Rebuild:
    """One network to put together: ``body`` is Docker's create request for it.

    ``live`` is the network to take apart first, None where an earlier run has got that far; ``pending`` is the record
    that this run left. Without ``live`` and ``body`` together there is nothing to do but to attach members.
    """

    name: str
    body: t.Mapping[str, t.Any]
    live: Network | None
    pending: Recovery | None = None
    #: The network that is there is as it shall be; only members are missing.
    whole: bool = False
    reason: str = ""
    attachments: t.Mapping[str, Attachment] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What the edge finds the network by: the ID that it has or had, or the name of one that is created."""
        return self.live.id if self.live is not None else self.name


@dataclass(frozen=True)
class _Part:
    """A container with what it gets when it comes back."""

    container: Container
    member: Member
    #: What it is on the network now; None where an earlier run has cut it, or the network is gone.
    endpoint: Endpoint | None
    wanted: t.Mapping[str, t.Any] = field(default_factory=dict)
    wanted_without_ip: t.Mapping[str, t.Any] | None = None

    @property
    def asked(self) -> tuple[str, str]:
        """The addresses that a person asked for."""
        fixed = self.wanted if self.wanted_without_ip is None else self.wanted_without_ip
        return _addresses(fixed)

    @property
    def rank(self) -> tuple[int, int]:
        """Asked-for addresses first, then the others in ascending order, so that Docker gives each its own again."""
        asked, had = self.asked, _addresses(self.wanted)
        first = next((ip for ip in (*asked, *had) if ip), "")
        if not first:
            return (2, 0)
        return (0 if any(asked) else 1, int(ipaddress.ip_address(first)))


@dataclass(frozen=True)
class Outcome:
    """The steps of one rebuild, and what results tell about it."""

    changes: tuple[Change, ...]
    network: Network
    told: t.Mapping[str, t.Any]
    warnings: tuple[str, ...] = ()


def rebuild(wanted: Rebuild, snapshot: Snapshot, board: Board) -> Outcome:
    """Find all steps; ``board`` is updated. Raises CoreError where a member could not come back."""
    network = network_of(wanted.body, wanted.key)
    parts = sorted(_parts(wanted, snapshot), key=lambda item: (item.rank, item.container.name))
    if wanted.live is not None and not wanted.whole:
        _refuse_holders(wanted, wanted.live, snapshot)
    _refuse_misfits(wanted, network, parts)
    missing = [part for part in parts if not wanted.whole or part.endpoint is None]
    changes: list[Change] = []
    if wanted.live is not None and not wanted.whole:
        back = [part for part in parts if _comes_back_first(wanted, wanted.live, part)]
        changes += _attached(wanted, wanted.live, parts, back, _AGAIN)
        changes += _taken_apart(wanted, wanted.live, parts, back, snapshot.engine)
    if not wanted.whole:
        target = {"body": dict(wanted.body), "replaces": [item for item in (_old_id(wanted),) if item]}
        changes.append(Change("create", "network", wanted.name, wanted.reason, target))
    changes += _attached(wanted, network, parts, missing, _ON_AGAIN)
    for part in parts:
        board.put(part.container, wanted.key, _endpoint(wanted, part))
    done = f"the network and its {_members(len(parts))} are as they should be"
    changes.append(Change("discard", "recovery", wanted.name, done, {"network": wanted.name}))
    return Outcome(
        tuple(changes),
        network,
        _told(wanted, parts),
        () if wanted.whole else tuple(_mac_warnings(wanted, parts, snapshot.engine)),
    )


def _old_id(wanted: Rebuild) -> str:
    if wanted.live is not None:
        return wanted.live.id
    return wanted.pending.id if wanted.pending is not None else ""


# ---- who comes back --------------------------------------------------------------------------------------------------


def _parts(wanted: Rebuild, snapshot: Snapshot) -> t.Iterator[_Part]:
    recorded = {member.id: member for member in wanted.pending.members} if wanted.pending is not None else {}
    for container in snapshot.containers:
        endpoint = claim(snapshot, container, wanted.live) if wanted.live is not None else None
        if endpoint is not None and container.live and not endpoint.network_id:
            endpoint = None  # left by an attempt to connect that failed
        member = recorded.get(container.id)
        if member is None and endpoint is not None:
            member = _member(container, endpoint, wanted.name, snapshot.engine)
        if member is not None:
            attachment = wanted.attachments.get(container.id)
            with_ip, without = _overlaid(member, attachment)
            yield _Part(container, member, endpoint, with_ip, without)


def _member(container: Container, endpoint: Endpoint, name: str, engine: Engine) -> Member:
    asked = replace(endpoint, aliases=aliases_of(container, endpoint))
    had = replace(asked, fixed_ip=asked.fixed_ip or asked.ip, fixed_ip6=asked.fixed_ip6 or asked.ip6)
    # A link-local address is nobody's choice, and the network's own range is what counts for all others.
    mac = chosen_mac(container, endpoint, engine) if engine.gives_mac_on_join else ""
    extra = {"MacAddress": mac} if mac else {}
    return Member(
        id=container.id,
        name=container.name,
        config={**config(had), **extra},
        config_without_ip=None if had == asked else {**config(asked), **extra},
        settled=container.state == "created" and not endpoint.network_id and endpoint.network == name,
    )


def _overlaid(
    member: Member, attachment: Attachment | None
) -> tuple[t.Mapping[str, t.Any], t.Mapping[str, t.Any] | None]:
    """What a member gets: as it was, and what is declared for it now."""
    if attachment is None or attachment.joins_only:
        return member.config, member.config_without_ip
    asked = _over(member.config if member.config_without_ip is None else member.config_without_ip, attachment)
    if attachment.ip or attachment.ip6 or member.config_without_ip is None:
        return asked, None
    return _over(member.config, attachment), asked


def _over(settings: t.Mapping[str, t.Any], attachment: Attachment) -> dict[str, t.Any]:
    mac = {"MacAddress": settings["MacAddress"]} if "MacAddress" in settings else {}
    return {**config(merged(endpoint_of(settings, attachment.network), attachment)), **mac}


def _addresses(settings: t.Mapping[str, t.Any]) -> tuple[str, str]:
    ipam = settings.get("IPAMConfig") or {}
    return str(ipam.get("IPv4Address", "")), str(ipam.get("IPv6Address", ""))


# ---- refusals --------------------------------------------------------------------------------------------------------


def _refuse_holders(wanted: Rebuild, live: Network, snapshot: Snapshot) -> None:
    stuck = [item for item in holders(snapshot, live) if item.kind not in LIVE_KINDS | AT_REST_KINDS]
    tasks = [item for item in snapshot.containers if SWARM_SERVICE_ID_LABEL in item.labels and _on(item, live)]
    if stuck or tasks:
        told = "; ".join([f"{item.kind} {item.name}: {item.reason}" for item in stuck[:5]])
        told = told or f"{tasks[0].name} is a task of a Swarm service"
        raise CoreError(
            f"The network {wanted.name!r} would have to be recreated ({wanted.reason}), but {told}. Nothing was changed.",
            hint=f"Free it with {PURGE}, or leave the option out that differs.",
            reason_code="service" if tasks or stuck[0].kind in SWARM_KINDS else "in_use",
            details={"holders": [item.data for item in stuck]},
        )
    tied = [item for item in snapshot.containers if _tied(item, live, snapshot)]
    if tied:
        names = ", ".join(item.name for item in tied[:5])
        raise CoreError(
            f"The network {wanted.name!r} would have to be recreated ({wanted.reason}), but {names} was created on it "
            "by its ID instead of its name: this engine would not start it again. Nothing was changed.",
            hint="Create such containers anew with the network's name first.",
            reason_code="primary",
            details={"containers": [item.name for item in tied]},
        )


def _tied(container: Container, live: Network, snapshot: Snapshot) -> bool:
    """Whether a container refers to the network by its ID in a way that no attachment changes."""
    reference = claim(snapshot, container, live)
    if reference is not None and not reference.network_id and reference.network != live.name and not container.live:
        return True  # never started: Docker keeps the head of the ID as it was typed, and looks for it at the start
    ties = snapshot.engine.needs_creation_network and created_on(snapshot, container, live)
    return ties and container.network_mode not in (live.name, "default")


def _on(container: Container, network: Network) -> bool:
    return any(endpoint.network_id == network.id for endpoint in container.endpoints)


def _refuse_misfits(wanted: Rebuild, network: Network, parts: t.Sequence[_Part]) -> None:
    """Refuse where a fixed address, or the number of members, does not fit the network as it will be."""
    outside = [
        {"container": part.container.name, "ip": ip}
        for part in parts
        for ip in part.asked
        if ip and not _fits(network, ip)
    ]
    if outside:
        told = ", ".join(f"{item['container']} ({item['ip']})" for item in outside[:5])
        subnets = ", ".join(pool.subnet for pool in network.pools) or "Docker's choice"
        raise CoreError(
            f"The network {wanted.name!r} would get the subnet {subnets}, which has no place for the fixed address of "
            f"{told}. Nothing was changed.",
            hint="Give these containers other addresses in connected, or choose a subnet that has theirs.",
            reason_code="static_ip",
            details={"addresses": outside},
        )
    for pool in network.pools:
        room = _room(pool)
        needed = sum(1 for part in parts if part.container.live)
        if room is not None and room < needed:
            raise CoreError(
                f"The network {wanted.name!r} would get {pool.ip_range or pool.subnet}, with room for {room} containers, "
                f"and {needed} are on it. Nothing was changed.",
                hint="Choose a larger subnet or iprange.",
                reason_code="pools_exhausted",
            )


def _fits(network: Network, ip: str) -> bool:
    """Whether a container may ask for this address: a person chose the subnet, and nothing has the address already."""
    if not ip:
        return False
    address = ipaddress.ip_address(ip)
    for pool in network.pools:
        subnet = ipaddress.ip_network(pool.subnet, strict=False)
        if address.version == subnet.version and address in subnet:
            taken = {pool.gateway, *pool.aux_addresses.values()}
            return str(address) not in taken
    return False


def _room(pool: Pool) -> int | None:
    """How many containers a pool has addresses for; None for more than anybody has."""
    inside = ipaddress.ip_network(pool.ip_range or pool.subnet, strict=False)
    if inside.num_addresses > 65536:
        return None
    never = never_given(pool)
    return inside.num_addresses - sum(1 for ip in never if ipaddress.ip_address(ip) in inside)


# ---- MAC addresses ---------------------------------------------------------------------------------------------------


def chosen_mac(container: Container, endpoint: Endpoint, engine: Engine) -> str:
    """The MAC address that a person chose, as far as it can be told; empty for a generated one.

    Below engine 28 a generated one is 02:42 and the IPv4 address, so that any other was asked for. From 28 on generated
    ones are random, and only a wish that the daemon still shows counts.
    """
    if not endpoint.mac:
        return ""
    if container.wished_mac and container.wished_mac.lower() == endpoint.mac.lower():
        return endpoint.mac
    if engine.release >= (28,) or not endpoint.ip:
        return ""
    generated = "02:42:" + ":".join(f"{int(part):02x}" for part in endpoint.ip.split("."))
    return "" if endpoint.mac.lower() == generated else endpoint.mac


def _loses_mac(part: _Part, name: str, engine: Engine) -> str:
    """The chosen MAC address that a member can't be given again."""
    if part.endpoint is None or not part.container.live or engine.gives_mac_on_join:
        return ""
    # A wish of the whole container, as engines below 25 know it, holds on the network that it was created on.
    if part.container.wished_mac and engine.release < (25,) and part.container.network_mode == name:
        return ""
    return chosen_mac(part.container, part.endpoint, engine)


def _mac_warnings(wanted: Rebuild, parts: t.Sequence[_Part], engine: Engine) -> t.Iterator[str]:
    for part in parts:
        mac = _loses_mac(part, wanted.name, engine)
        if mac:
            yield (
                f"{part.container.name} has the chosen MAC address {mac} on {wanted.name}, which engine "
                f"{engine.version} does not give again to a container that joins: it gets a generated one. Create the "
                "container anew to have it back."
            )


# ---- steps -----------------------------------------------------------------------------------------------------------


_ON_AGAIN = "it was on this network before: on again"
_AGAIN = "an earlier run could not bring it back; as long as nothing can, nobody else is cut"


def _comes_back_first(wanted: Rebuild, live: Network, part: _Part) -> bool:
    """Whether a member is to be put back where it was before the network is taken apart once more.

    What kept it off, a host port that somebody has taken, would else cut all others off again at each run.
    """
    if wanted.pending is None or part.endpoint is not None or not part.container.live:
        return False
    return all(_fits(live, ip) for ip in part.asked if ip)


def _taken_apart(
    wanted: Rebuild, live: Network, parts: t.Sequence[_Part], back: t.Sequence[_Part], engine: Engine
) -> t.Iterator[Change]:
    body = wanted.pending.body if wanted.pending is not None else as_it_was(live)
    record = Recovery(wanted.name, live.id, body, tuple(part.member for part in parts))
    before = wanted.pending.data if wanted.pending is not None else None
    saved = f"what it takes to put the network and its {_members(len(parts))} together again, kept until that is done"
    yield Change("save", "recovery", wanted.name, saved, {"record": record.data, "before": before})
    cut = [part for part in parts if part.container.live and (part.endpoint is not None or part in back)]
    taken: set[str] = set()
    as_they_were = [_settings(part, part.member.config, part.member.config_without_ip, live, taken) for part in cut]
    # The last first, so that a run that fails brings them back in the order of their ranks.
    for part, restore in reversed(list(zip(cut, as_they_were))):
        mac = _loses_mac(part, wanted.name, engine)
        lost = f"; its chosen MAC address {mac} is lost, this engine does not give it again" if mac else ""
        target = {"network": live.id, "container": part.container.id, "restore": restore}
        reason = f"the network is recreated: off until it is back{lost}"
        yield Change("disconnect", "endpoint", f"{part.container.name} on {wanted.name}", reason, target)
    at_rest = [
        {"container": part.container.id, "name": part.container.name, **_both(part.member.config, None)}
        for part in parts
        if not part.container.live and not part.member.settled
    ]
    restore = {"body": as_it_was(live), "members": at_rest}
    yield Change("remove", "network", wanted.name, wanted.reason, {"id": live.id, "restore": restore})


def _attached(
    wanted: Rebuild, network: Network, parts: t.Sequence[_Part], missing: t.Sequence[_Part], why: str
) -> t.Iterator[Change]:
    """Put the missing members on the network, ``parts`` and ``missing`` in the order of :attr:`_Part.rank`."""
    staying = [part for part in parts if part not in missing and part.endpoint is not None]
    taken = {ip for part in staying if part.endpoint is not None for ip in (part.endpoint.ip, part.endpoint.ip6)}
    for part in missing:
        attachment = wanted.attachments.get(part.container.id)
        as_before = attachment is None or (part.wanted == part.member.config)
        if part.member.settled and as_before and not part.container.live:
            continue
        how = _words(part, network) if part.container.live else "so that it starts again"
        settings = _settings(part, part.wanted, part.wanted_without_ip, network, taken)
        target = {"network": wanted.key, "container": part.container.id, **settings}
        yield Change("connect", "endpoint", f"{part.container.name} on {wanted.name}", f"{why}, {how}", target)


def _settings(
    part: _Part,
    with_ip: t.Mapping[str, t.Any],
    without: t.Mapping[str, t.Any] | None,
    network: Network,
    taken: set[str],
) -> dict[str, t.Any]:
    """What to ask for when a member joins; ``taken``, to which it adds, are the addresses of those before it.

    An address that Docker had chosen is asked for only where Docker would choose another one now. The wish stays with
    the container, and would keep it from starting while somebody else has the address.
    """
    if without is None:
        taken.update(_addresses(with_ip))
        return {"config": dict(with_ip)}
    had, asked = _addresses(with_ip), _addresses(without)
    pins = {
        key: ip
        for key, family, ip, chosen in zip(("IPv4Address", "IPv6Address"), (4, 6), had, asked)
        if chosen or (part.container.live and _fits(network, ip) and lowest_free(network, taken, family) != ip)
    }
    taken.update(had)
    if pins == {key: ip for key, ip in (without.get("IPAMConfig") or {}).items() if ip}:
        return {"config": dict(without)}
    return _both({**with_ip, "IPAMConfig": pins}, without)


def _both(with_ip: t.Mapping[str, t.Any], without: t.Mapping[str, t.Any] | None) -> dict[str, t.Any]:
    """The target of a connect: what to ask for, and what to fall back to where only Docker chose the address."""
    if without is None:
        return {"config": dict(with_ip)}
    return {"config": dict(with_ip), "config_without_ip": dict(without)}


def _words(part: _Part, network: Network) -> str:
    asked = [ip for ip in part.asked if ip]
    if asked:
        return f"with {', '.join(asked)}"
    had = [ip for ip in _addresses(part.wanted) if ip]
    if had and all(_fits(network, ip) for ip in had):
        return f"with {', '.join(had)} if it is still free"
    return "with an address of Docker's choice, as before"


def _endpoint(wanted: Rebuild, part: _Part) -> Endpoint:
    """The endpoint as it will be, for what is planned after this."""
    fixed = part.wanted if part.wanted_without_ip is None else part.wanted_without_ip
    return replace(endpoint_of(fixed, wanted.name), network_id=wanted.key)


# ---- showing ---------------------------------------------------------------------------------------------------------


def _told(wanted: Rebuild, parts: t.Sequence[_Part]) -> dict[str, t.Any]:
    """What results tell of the network before, to be completed by a look at it afterwards."""
    return {
        "network": wanted.name,
        "id_before": _old_id(wanted),
        "members": [
            {
                "id": part.container.id,
                "name": part.container.name,
                "state": part.container.state,
                "config": dict(part.member.config),
                "before": seen(part.container, part.endpoint) if part.endpoint is not None else None,
            }
            for part in sorted(parts, key=lambda item: (item.container.name, item.container.id))
        ],
    }


def seen(container: Container, endpoint: Endpoint) -> dict[str, t.Any]:
    """What can be seen of a member from outside."""
    return {
        "ip": endpoint.ip,
        "ip6": endpoint.ip6,
        "mac": endpoint.mac,
        "aliases": list(aliases_of(container, endpoint)),
        "ports": [
            {"host_ip": port.host_ip, "host_port": port.host_port, "port": f"{port.container_port}/{port.proto}"}
            for port in container.published
        ],
    }


def completed(told: t.Mapping[str, t.Any], after: Snapshot, *, applied: bool) -> dict[str, t.Any]:
    """Add to what :class:`Outcome` tells how network and members are afterwards, and which host ports have changed."""
    network = next((item for item in after.networks if item.name == told["network"]), None)
    result = {**told, "id": network.id if network is not None and applied else "", "members": [], "ports_changed": []}
    for member in told["members"]:
        container = after.container(member["id"])
        endpoint = (
            claim(after, container, network) if applied and container is not None and network is not None else None
        )
        now = seen(container, endpoint) if container is not None and endpoint is not None else None
        result["members"].append({**member, "after": now})
        if member["before"] is not None and now is not None:
            result["ports_changed"] += _ports_changed(member["name"], member["before"]["ports"], now["ports"])
    return result


def _ports_changed(
    name: str, before: t.Sequence[t.Mapping[str, t.Any]], after: t.Sequence[t.Mapping[str, t.Any]]
) -> t.Iterator[dict[str, t.Any]]:
    places = {(item["host_ip"], item["port"]) for item in (*before, *after)}
    for host_ip, port in sorted(places):
        old, new = (
            sorted(item["host_port"] for item in side if (item["host_ip"], item["port"]) == (host_ip, port))
            for side in (before, after)
        )
        if old != new:
            yield {"container": name, "host_ip": host_ip, "port": port, "before": old, "after": new}


def _members(number: int) -> str:
    return "1 member" if number == 1 else f"{number} members"


def network_of(body: t.Mapping[str, t.Any], identity: str) -> Network:
    """The network that a create request makes, as far as the request says it."""
    ipam = body.get("IPAM") or {}
    pools = (
        Pool(
            subnet=pool.get("Subnet") or "",
            gateway=pool.get("Gateway") or "",
            ip_range=pool.get("IPRange") or "",
            aux_addresses=dict(pool.get("AuxiliaryAddresses") or {}),
        )
        for pool in ipam.get("Config") or ()
    )
    return Network(
        id=identity,
        name=str(body["Name"]),
        driver=body.get("Driver") or "bridge",
        scope=body.get("Scope") or SCOPE_OF_DRIVER.get(body.get("Driver", ""), "local"),
        internal=bool(body.get("Internal")),
        attachable=bool(body.get("Attachable")),
        ingress=bool(body.get("Ingress")),
        enable_ipv4=bool(body.get("EnableIPv4", True)),
        enable_ipv6=bool(body.get("EnableIPv6")),
        ipam_driver=ipam.get("Driver") or "default",
        ipam_options=dict(ipam.get("Options") or {}),
        pools=tuple(pools),
        options=dict(body.get("Options") or {}),
        labels=dict(body.get("Labels") or {}),
        config_only=bool(body.get("ConfigOnly")),
        config_from=str((body.get("ConfigFrom") or {}).get("Network") or ""),
    )
