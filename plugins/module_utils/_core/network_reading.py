# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Reads declared networks: every refusal here is of a declaration that contradicts itself, whatever the host is like."""

from __future__ import annotations

import ipaddress
import typing as t

from . import shape
from .errors import CoreError
from .model import PREDEFINED_NETWORKS, SWARM_NETWORKS, Pool
from .network_isolation import GATEWAY_MODE, INHIBIT_IPV4
from .networks import BRIDGE_NAME, DRIVER_OPTION_OF, WantedMember, WantedNetwork

#: The keys of one network that say what it is like; the others say who is on it, and what may be done to it.
SETTINGS = (
    "driver",
    "internal",
    "isolated",
    "attachable",
    "ingress",
    "enable_ipv4",
    "enable_ipv6",
    "scope",
    "config_only",
    "config_from",
    "ipam_driver",
    "ipam_driver_options",
    "ipam_config",
    "driver_options",
    "labels",
    *DRIVER_OPTION_OF,
)
_FLAGS = (
    "internal",
    "isolated",
    "attachable",
    "ingress",
    "enable_ipv4",
    "enable_ipv6",
    "config_only",
    "exclusive",
    "strict",
    "force",
    "allow_route_overlap",
)
KEYS = frozenset(
    {"name", "state", "connected", "exclusive", "appends", "strict", "force", "allow_route_overlap", *SETTINGS}
)
MEMBER_KEYS = frozenset(
    {"name", "aliases", "ipv4_address", "ipv6_address", "links", "driver_opts", "mac_address", "gw_priority"}
)
POOL_KEYS = frozenset({"subnet", "gateway", "iprange", "aux_addresses"})
SCOPES = ("local", "global", "swarm")

#: What Docker does not take for a config-only network, and what makes no sense for one.
NOT_OF_CONFIG_ONLY = ("attachable", "internal", "ingress", "scope", "isolated", "config_from", "connected", "exclusive")

#: What a network can't say of itself when it takes it from a config-only one.
ONLY_OF_CONFIG_ONLY = (
    "enable_ipv4",
    "enable_ipv6",
    "isolated",
    "ipam_driver",
    "ipam_driver_options",
    "ipam_config",
    "driver_options",
    "labels",
    *DRIVER_OPTION_OF,
)


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
    _refuse_contradictions(given, at)
    flags = {key: shape.flag(given[key], at(key)) for key in _FLAGS if key in given}
    words = {key: shape.text(given[key], at(key)) for key in ("driver", "config_from", "ipam_driver") if key in given}
    appends = shape.flag(given.get("appends", False), at("appends"))
    return WantedNetwork(
        place=place,
        name=name,
        present=present,
        driver=words.get("driver"),
        internal=flags.get("internal"),
        isolated=flags.get("isolated"),
        attachable=flags.get("attachable"),
        ingress=flags.get("ingress"),
        enable_ipv4=flags.get("enable_ipv4"),
        enable_ipv6=flags.get("enable_ipv6"),
        scope=shape.choice(given["scope"], at("scope"), SCOPES) if "scope" in given else None,
        config_only=flags.get("config_only"),
        config_from=words.get("config_from"),
        ipam_driver=words.get("ipam_driver"),
        ipam_options=shape.settings(given.get("ipam_driver_options", {}), at("ipam_driver_options")),
        pools=_read_pools(given.get("ipam_config", []), at("ipam_config")),
        options=_read_driver_options(given, at),
        labels=shape.settings(given.get("labels", {}), at("labels")),
        members=read_members(given.get("connected", []), at("connected")),
        exclusive=flags.get("exclusive", False) and not appends,
        strict=flags.get("strict", False),
        force=flags.get("force", False),
        allow_route_overlap=flags.get("allow_route_overlap", False),
        given=frozenset(given),
    )


def _refuse_contradictions(given: t.Mapping[str, t.Any], at: t.Callable[[str], str]) -> None:
    """Refuse options of one network that exclude each other; an empty list or dictionary asks for nothing."""

    def on(key: str) -> bool:
        return key in given and shape.flag(given[key], at(key))

    if on("config_only"):
        for key in NOT_OF_CONFIG_ONLY:
            if key in given and given[key] not in ([], False):
                raise shape.invalid(
                    at(key),
                    "is given for a config-only network",
                    "Give it to the networks that name it in config_from.",
                )
    if "config_from" in given:
        for key in ONLY_OF_CONFIG_ONLY:
            if key in given and given[key] not in ([], {}):
                raise shape.invalid(
                    at(key),
                    f"is given beside config_from, and Docker takes it from {given['config_from']!r} only",
                    "Give it to the config-only network, or drop config_from.",
                )
    if "enable_ipv4" in given and not on("enable_ipv4") and "enable_ipv6" in given and not on("enable_ipv6"):
        raise shape.invalid(at("enable_ipv4"), "is off, and enable_ipv6 too", "A network needs one family at least.")
    if on("ingress") and on("attachable"):
        raise shape.invalid(at("attachable"), "is on, but ingress too", "Swarm's routing mesh takes no containers.")
    if on("isolated"):
        if given.get("driver", "bridge") != "bridge":
            raise shape.invalid(at("isolated"), f"is given for the driver {given['driver']!r}", "Use a bridge network.")
        if "internal" in given and not on("internal"):
            raise shape.invalid(at("internal"), "is off, but isolated is on", "Drop one of both.")


def read_members(value: t.Any, place: str) -> tuple[WantedMember, ...]:
    """Read containers that are to be on a network: names, IDs, or dictionaries."""
    return tuple(_read_member(entry, f"{place}[{number}]") for number, entry in enumerate(shape.items(value, place)))


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
    if BRIDGE_NAME in options:
        _refuse_bridge_name(options[BRIDGE_NAME], at("bridge_name"))
    if "isolated" in given and shape.flag(given["isolated"], at("isolated")):
        for name in (*GATEWAY_MODE.values(), INHIBIT_IPV4):
            if options.get(name, "isolated") not in ("isolated", "true"):
                raise shape.invalid(
                    at("isolated"), f"is on, but driver_options has {options[name]!r} for {name}", "Drop one of both."
                )
    return options


def _refuse_bridge_name(name: str, place: str) -> None:
    """Refuse what the kernel takes for no interface's name; a % it would replace by a number of its own choice."""
    if len(name.encode()) > 15:
        raise shape.invalid(place, f"is {name!r}, of more than 15 bytes", "Linux allows 15 at most.")
    odd = sorted({char for char in name if char in "/:%" or char.isspace() or not char.isprintable()})
    if odd or name in (".", "..", ""):
        what = f"has {odd[0]!r} in it" if odd else "is no name"
        raise shape.invalid(place, f"is {name!r}, which {what}", "Linux allows no spaces, '/', ':' nor '%' in it.")


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
        mac=_mac(given["mac_address"], f"{place}.mac_address") if "mac_address" in given else "",
        gw_priority=_priority(given["gw_priority"], f"{place}.gw_priority") if "gw_priority" in given else None,
    )


def _mac(value: t.Any, place: str) -> str:
    word = shape.text(value, place).lower().replace("-", ":")
    parts = word.split(":")
    if len(parts) != 6 or not all(len(part) == 2 and set(part) <= set("0123456789abcdef") for part in parts):
        raise shape.invalid(place, f"is {value!r}, which is no MAC address", "Give one such as 02:42:0a:00:00:05.")
    if int(parts[0], 16) & 1:
        raise shape.invalid(place, f"is {value!r}, an address of a group", "Make the first byte even, such as 02.")
    return word


def _priority(value: t.Any, place: str) -> int:
    word = str(value)
    digits = word[1:] if word.startswith("-") else word
    if isinstance(value, bool) or not (digits.isascii() and digits.isdigit()):
        raise shape.invalid(place, f"is {shape.kind(value)}", "Give a whole number; the highest is the way out.")
    return int(word)


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
