# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""A declared network: how it is read, how it differs from the one that exists, what Docker is asked to create."""

from __future__ import annotations

import ipaddress
import typing as t
from dataclasses import dataclass, field

from . import shape
from .errors import CoreError
from .model import MANAGED_LABEL, PREDEFINED_NETWORKS, SWARM_NETWORKS, Network, Pool, Snapshot

MTU = "com.docker.network.driver.mtu"
BRIDGE_NAME = "com.docker.network.bridge.name"
ICC = "com.docker.network.bridge.enable_icc"

#: Options of their own that stand for a driver option.
DRIVER_OPTION_OF = {"mtu": MTU, "bridge_name": BRIDGE_NAME, "icc": ICC}

#: What Docker does where a driver option is not set, as far as it is the same everywhere.
DRIVER_OPTION_DEFAULTS = {ICC: "true"}

#: The keys of one network that say what it is like; the others say who is on it.
SETTINGS = (
    "driver",
    "internal",
    "attachable",
    "enable_ipv6",
    "ipam_driver",
    "ipam_config",
    "driver_options",
    "labels",
    *DRIVER_OPTION_OF,
)
KEYS = frozenset({"name", "state", "connected", "exclusive", *SETTINGS})
MEMBER_KEYS = frozenset({"name", "aliases", "ipv4_address", "ipv6_address", "links", "driver_opts"})
POOL_KEYS = frozenset({"subnet", "gateway", "iprange", "aux_addresses"})


@dataclass(frozen=True)
class WantedMember:
    """One entry of ``connected``; ``container`` is a name, a full ID or its first 12 digits."""

    place: str
    container: str
    aliases: tuple[str, ...] = ()
    ip: str = ""
    ip6: str = ""
    links: tuple[str, ...] = ()
    driver_opts: t.Mapping[str, str] = field(default_factory=dict)

    @property
    def plain(self) -> bool:
        """Whether being attached is all that is asked."""
        return not (self.aliases or self.ip or self.ip6 or self.links or self.driver_opts)


@dataclass(frozen=True)
class WantedNetwork:
    """One declared network. What was not given is None, or missing in a mapping, and never counts as drift."""

    place: str
    name: str
    present: bool = True
    driver: str | None = None
    internal: bool | None = None
    attachable: bool | None = None
    enable_ipv6: bool | None = None
    ipam_driver: str | None = None
    pools: tuple[Pool, ...] = ()
    options: t.Mapping[str, str] = field(default_factory=dict)
    labels: t.Mapping[str, str] = field(default_factory=dict)
    members: tuple[WantedMember, ...] = ()
    exclusive: bool = False


# ---- reading ---------------------------------------------------------------------------------------------------------


def read_networks(value: t.Any, place: str = "networks") -> tuple[WantedNetwork, ...]:
    """Read the option ``networks``: dictionaries, or names for networks that need no more said."""
    wanted = []
    for number, entry in enumerate(shape.items(value, place)):
        entry = {"name": entry} if isinstance(entry, str) else entry
        wanted.append(read_network(entry, f"{place}[{number}]"))
    places: dict[str, str] = {}
    for item in wanted:
        if item.name in places:
            raise shape.invalid(
                f"{item.place}.name",
                f"is {item.name!r}, which {places[item.name]} declares too",
                "Put both into one entry.",
            )
        places[item.name] = item.place
    return tuple(wanted)


def read_network(value: t.Any, place: str = "") -> WantedNetwork:
    """Read one network; ``place`` is empty for the flat form."""
    given = shape.mapping(value, place or "the network", KEYS)
    at = _places(place)
    if "name" not in given:
        raise shape.invalid(at("name"), "is missing", "Every network needs its name.")
    name = network_name(given["name"], at("name"))
    present = shape.choice(given.get("state", "present"), at("state"), ("present", "absent")) == "present"
    if not present and given.get("connected"):
        raise shape.invalid(at("connected"), "lists containers of a network that must be absent", "Drop one of both.")
    flags = {key: shape.flag(given[key], at(key)) for key in ("internal", "attachable", "enable_ipv6") if key in given}
    words = {key: shape.text(given[key], at(key)) for key in ("driver", "ipam_driver") if key in given}
    return WantedNetwork(
        place=place,
        name=name,
        present=present,
        driver=words.get("driver"),
        internal=flags.get("internal"),
        attachable=flags.get("attachable"),
        enable_ipv6=flags.get("enable_ipv6"),
        ipam_driver=words.get("ipam_driver"),
        pools=_read_pools(given.get("ipam_config", []), at("ipam_config")),
        options=_read_driver_options(given, at),
        labels=shape.settings(given.get("labels", {}), at("labels")),
        members=tuple(
            _read_member(entry, f"{at('connected')}[{number}]")
            for number, entry in enumerate(shape.items(given.get("connected", []), at("connected")))
        ),
        exclusive=shape.flag(given.get("exclusive", False), at("exclusive")),
    )


def network_name(value: t.Any, place: str) -> str:
    """Read the name of a network that can be declared and joined: one of Docker's own is refused."""
    name = shape.text(value, place)
    if name in PREDEFINED_NETWORKS | SWARM_NETWORKS:
        raise CoreError(
            f"{place} is {name!r}, which is Docker's own: it is neither created nor removed, and joining it would "
            "undo the separation that other networks give.",
            hint="Declare a network of your own.",
            reason_code="predefined",
        )
    return name


def _places(place: str) -> t.Callable[[str], str]:
    return lambda key: f"{place}.{key}" if place else key


def _read_driver_options(given: t.Mapping[str, t.Any], at: t.Callable[[str], str]) -> dict[str, str]:
    options = shape.settings(given.get("driver_options", {}), at("driver_options"))
    own: dict[str, str] = {}
    if "mtu" in given:
        # 68 is the least that IPv4 works with (RFC 791); the kernel's bridge takes at most 65535.
        own["mtu"] = str(shape.number(given["mtu"], at("mtu"), 68, 65535))
    if "icc" in given:
        own["icc"] = "true" if shape.flag(given["icc"], at("icc")) else "false"
    if "bridge_name" in given:
        own["bridge_name"] = shape.text(given["bridge_name"], at("bridge_name"))
    for key, value in own.items():
        option = DRIVER_OPTION_OF[key]
        if options.setdefault(option, value) != value:
            raise shape.invalid(
                at(key), f"is {value!r}, but driver_options has {options[option]!r} for {option}", "Give one of both."
            )
    bridge = options.get(BRIDGE_NAME, "")
    if len(bridge.encode()) > 15:
        raise shape.invalid(at("bridge_name"), f"is {bridge!r}, of more than 15 bytes", "Linux allows 15 at most.")
    return options


def _read_member(entry: t.Any, place: str) -> WantedMember:
    if not isinstance(entry, t.Mapping):
        return WantedMember(place, shape.text(entry, place))
    given = shape.mapping(entry, place, MEMBER_KEYS)
    if "name" not in given:
        raise shape.invalid(f"{place}.name", "is missing", "Give the container's name or ID.")
    return WantedMember(
        place=place,
        container=shape.text(given["name"], f"{place}.name"),
        aliases=shape.texts(given.get("aliases", []), f"{place}.aliases"),
        ip=shape.address(given["ipv4_address"], f"{place}.ipv4_address", 4) if "ipv4_address" in given else "",
        ip6=shape.address(given["ipv6_address"], f"{place}.ipv6_address", 6) if "ipv6_address" in given else "",
        links=shape.texts(given.get("links", []), f"{place}.links"),
        driver_opts=shape.settings(given.get("driver_opts", {}), f"{place}.driver_opts"),
    )


def _read_pools(value: t.Any, place: str) -> tuple[Pool, ...]:
    pools = []
    for number, entry in enumerate(shape.items(value, place)):
        here = f"{place}[{number}]"
        given = shape.mapping(entry, here, POOL_KEYS)
        if "subnet" not in given:
            raise shape.invalid(f"{here}.subnet", "is missing", "Give one such as 172.30.0.0/24.")
        subnet = shape.network(given["subnet"], f"{here}.subnet")
        gateway = _inside(subnet, given["gateway"], f"{here}.gateway") if "gateway" in given else ""
        iprange = shape.network(given["iprange"], f"{here}.iprange") if "iprange" in given else None
        if iprange is not None and not (
            iprange.version == subnet.version
            and subnet.network_address <= iprange.network_address  # type: ignore[operator]
            and iprange.broadcast_address <= subnet.broadcast_address  # type: ignore[operator]
        ):
            raise shape.invalid(
                f"{here}.iprange", f"is {iprange}, which is not inside {subnet}", "Choose a part of it."
            )
        extra = shape.settings(given.get("aux_addresses", {}), f"{here}.aux_addresses")
        reserved = {name: _inside(subnet, ip, f"{here}.aux_addresses.{name}") for name, ip in extra.items()}
        pools.append(Pool(str(subnet), gateway, str(iprange or ""), reserved))
    return tuple(pools)


def _inside(subnet: ipaddress.IPv4Network | ipaddress.IPv6Network, value: t.Any, place: str) -> str:
    found = shape.address(value, place, subnet.version)
    if ipaddress.ip_address(found) not in subnet:
        raise shape.invalid(place, f"is {found}, which is not inside {subnet}", "Choose an address of the subnet.")
    return found


# ---- comparing -------------------------------------------------------------------------------------------------------


def the_network(snapshot: Snapshot, name: str, place: str) -> Network | None:
    """Find the network of exactly this name; twins, which engines below 25 allow, are refused."""
    found = [item for item in snapshot.networks if item.name == name]
    if len(found) > 1:
        ids = sorted(item.id for item in found)
        raise CoreError(
            f"{place}: there are {len(found)} networks named {name!r}, with the IDs {', '.join(ids)}, and containers "
            "that join by name get any of them.",
            hint="Remove the wrong ones by ID with bulkhead.docker.docker_network_purge.",
            reason_code="ambiguous",
            details={"network_ids": ids},
        )
    return found[0] if found else None


def drift(wanted: WantedNetwork, network: Network) -> list[dict[str, t.Any]]:
    """List what differs among the options that were given: option, is, wanted."""
    found: list[dict[str, t.Any]] = []

    def compare(option: str, is_: t.Any, want: t.Any) -> None:
        if want is not None and is_ != want:
            found.append({"option": option, "is": is_, "wanted": want})

    for option in ("driver", "internal", "attachable", "enable_ipv6", "ipam_driver"):
        compare(option, getattr(network, option), getattr(wanted, option))
    shorter = {name: option for option, name in DRIVER_OPTION_OF.items()}
    for name, want in sorted(wanted.options.items()):
        is_ = network.options.get(name, DRIVER_OPTION_DEFAULTS.get(name))
        compare(shorter.get(name, f"driver_options.{name}"), is_, want)
    for name, want in sorted(wanted.labels.items()):
        if name != MANAGED_LABEL:
            compare(f"labels.{name}", network.labels.get(name), want)
    return found + _pool_drift(wanted.pools, network.pools)


def _pool_drift(wanted: t.Sequence[Pool], live: t.Sequence[Pool]) -> list[dict[str, t.Any]]:
    found: list[dict[str, t.Any]] = []
    by_subnet = {_plain(pool.subnet): pool for pool in live}
    families = {_version(pool.subnet) for pool in wanted}
    # A pool of a family that nobody spoke of is the daemon's own: engine 28 adds one with enable_ipv6.
    others = sorted(
        subnet
        for subnet in by_subnet
        if _version(subnet) in families and subnet not in {pool.subnet for pool in wanted}
    )
    for number, pool in enumerate(wanted):
        there = by_subnet.get(pool.subnet)
        if there is None:
            is_ = ", ".join(subnet for subnet in others if _version(subnet) == _version(pool.subnet))
            found.append({"option": f"ipam_config[{number}].subnet", "is": is_ or None, "wanted": pool.subnet})
            continue
        pairs = [("gateway", there.gateway, pool.gateway), ("iprange", there.ip_range, pool.ip_range)]
        pairs += [
            (f"aux_addresses.{name}", there.aux_addresses.get(name, ""), ip)
            for name, ip in sorted(pool.aux_addresses.items())
        ]
        found += [
            {"option": f"ipam_config[{number}].{key}", "is": is_ or None, "wanted": want}
            for key, is_, want in pairs
            if want and _plain(is_) != want
        ]
    named = {item["is"] for item in found}
    found += [{"option": "ipam_config", "is": subnet, "wanted": None} for subnet in others if not named & {subnet}]
    return found


def _plain(word: str) -> str:
    """An address or subnet in its shortest form; other text as it is (engine 29 writes IPv6 in another form)."""
    try:
        return str(ipaddress.ip_network(word, strict=False) if "/" in word else ipaddress.ip_address(word))
    except ValueError:
        return word


def _version(subnet: str) -> int:
    return 6 if ":" in subnet else 4


# ---- creating --------------------------------------------------------------------------------------------------------


def create_body(wanted: WantedNetwork) -> dict[str, t.Any]:
    """Make the body of Docker's create request; it carries the label of networks that are ours."""
    body: dict[str, t.Any] = {
        "Name": wanted.name,
        # Engines below 25 would create a twin without it.
        "CheckDuplicate": True,
        "Driver": wanted.driver or "bridge",
        "Attachable": True if wanted.attachable is None else wanted.attachable,
        "Internal": bool(wanted.internal),
        "EnableIPv6": bool(wanted.enable_ipv6),
        "Options": dict(wanted.options),
        "Labels": {**wanted.labels, MANAGED_LABEL: "true"},
    }
    if wanted.ipam_driver or wanted.pools:
        body["IPAM"] = {
            "Driver": wanted.ipam_driver or "default",
            "Config": [_pool_body(pool) for pool in wanted.pools],
        }
    return body


def _pool_body(pool: Pool) -> dict[str, t.Any]:
    body: dict[str, t.Any] = {"Subnet": pool.subnet}
    if pool.gateway:
        body["Gateway"] = pool.gateway
    if pool.ip_range:
        body["IPRange"] = pool.ip_range
    if pool.aux_addresses:
        body["AuxiliaryAddresses"] = dict(pool.aux_addresses)
    return body


def as_data(network: Network) -> dict[str, t.Any]:
    """The settings of an existing network, as a diff shows them."""
    return {
        "driver": network.driver,
        "internal": network.internal,
        "attachable": network.attachable,
        "enable_ipv6": network.enable_ipv6,
        "subnets": sorted(pool.subnet for pool in network.pools),
        "options": dict(network.options),
        "labels": dict(network.labels),
    }


def as_declared(wanted: WantedNetwork) -> dict[str, t.Any]:
    """The settings of a network that is to be created, in the same form; Docker chooses a subnet if none is given."""
    body = create_body(wanted)
    return {
        "driver": body["Driver"],
        "internal": body["Internal"],
        "attachable": body["Attachable"],
        "enable_ipv6": body["EnableIPv6"],
        "subnets": sorted(pool.subnet for pool in wanted.pools),
        "options": body["Options"],
        "labels": body["Labels"],
    }
