# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Who gets to the published ports: the guard's verdict, what UFW says, and what may still decide otherwise.

This follows the guard's own rules only. Anything else on the way that may drop makes an ``open`` into ``unknown`` and
is named; a full walk through netfilter is no part of this file.
"""

from __future__ import annotations

import ipaddress
import typing as t
from dataclasses import dataclass

from . import guard, guard_table, ufw
from .guard_table import Match, Rule, Table
from .iptables_save import Save, Saved, parse_save
from .model import Container, PublishedPort, Snapshot

_GUARD = f"{guard_table.FAMILY} {guard_table.NAME}"
_WORDS = {frozenset({"accept"}): "open", frozenset({"drop"}): "closed", frozenset({"accept", "drop"}): "partial"}


@dataclass(frozen=True)
class Door:
    """One published port of one container; ``address`` is empty for all addresses of the host."""

    family: int
    proto: str
    port: int
    address: str
    bridge: str


# ---- what a table of rules says about a door ---------------------------------------------------------------------


def judge(table: Table, chain: str, door: Door) -> tuple[frozenset[str], tuple[Rule, ...]]:
    """Give the outcomes (accept, drop, unknown) that new packets from some outside source may have, and what decides.

    An empty set is never given: a packet that no rule decides gets the base chain's policy.
    """
    outcomes, deciding, ended = _walk(table, chain, door, depth=0)
    if not ended:
        outcomes = outcomes | {"accept"}
    return outcomes, deciding


def _walk(table: Table, chain: str, door: Door, *, depth: int) -> tuple[frozenset[str], tuple[Rule, ...], bool]:
    outcomes: frozenset[str] = frozenset()
    deciding: tuple[Rule, ...] = ()
    for rule in table.rules_of(chain):
        fits = [_fits(match, table, door) for match in rule.matches]
        if False in fits:
            continue
        verb, _space, target = rule.verdict.partition(" ")
        if verb in ("counter", "log"):
            continue
        inner: tuple[frozenset[str], tuple[Rule, ...], bool] = (frozenset(), (), True)
        if verb in ("accept", "drop"):
            inner = (frozenset({verb}), (rule,), True)
        elif verb == "reject":
            inner = (frozenset({"drop"}), (rule,), True)
        elif verb == "jump" and target.startswith("limit"):
            # Slow callers get through, so for the question who can connect this is an accept.
            inner = (frozenset({"accept"}), (rule,), True)
        elif verb in ("goto", "jump") and depth < 16 and any(item.name == target for item in table.chains):
            found, rules, ended = _walk(table, target, door, depth=depth + 1)
            if verb == "goto" and not ended:
                found, ended = found | {"accept"}, True
            inner = (found, rules, ended)
        else:
            inner = (frozenset({"unknown"}), (rule,), False)
        outcomes |= inner[0]
        deciding += inner[1]
        if inner[2] and None not in fits:
            return outcomes, deciding, True
    return outcomes, deciding, False


def _fits(match: Match, table: Table, door: Door) -> bool | None:
    """Tell whether the packets fit: yes, no, or only some of them."""
    found = _plain(match, table, door)
    return found if found is None or not match.negated else not found


def _plain(match: Match, table: Table, door: Door) -> bool | None:
    left, right = match.left, match.right
    if left == "ct state":
        return "new" in right.split(",")
    if left == "ct status":
        return right == "dnat"
    if left == "ct direction":
        return right == "original"
    if left == "iifname":
        # From outside: by no bridge of Docker's, else by an interface that may be any.
        return False if right == "@docker_bridges" else None
    if left == "oifname":
        return _named(right, table, door.bridge)
    if left == "nfproto":
        return right == f"ipv{door.family}"
    if left == "l4proto":
        return right == door.proto
    if left == "ct original proto-dst":
        first, _dash, last = right.partition("-")
        return int(first) <= door.port <= int(last or first)
    if "ip6 " in left or "ip " in left:
        return _address_fits(left, right, door)
    return None


def _named(right: str, table: Table, name: str) -> bool | None:
    if not right.startswith("@"):
        names: tuple[str, ...] = (right,)
    else:
        found = table.set_named(right[1:])
        if found is None:
            return None
        names = found.elements
    return any(name.startswith(item[:-1]) if item.endswith("*") else name == item for item in names)


def _address_fits(left: str, right: str, door: Door) -> bool | None:
    if (6 if "ip6 " in left else 4) != door.family:
        return False
    if "saddr" in left or right.startswith("@"):
        return None
    network = ipaddress.ip_network(right)
    if door.address:
        return ipaddress.ip_address(door.address) in network
    # All addresses of the host, which no caller outside reaches by a loopback one.
    return False if network.is_loopback else None


# ---- the doors of a host -----------------------------------------------------------------------------------------


def exposures(
    *, snapshot: Snapshot, firewall: guard.Firewall, table: Table | None, found: ufw.Ufw | None
) -> list[dict[str, t.Any]]:
    """Tell of every published port of every running container whether the outside gets in, and what decides."""
    saves = {family: parse_save(text) for family, text in (firewall.saves or {}).items() if text is not None}
    rows = [
        _exposure(snapshot, container, port, saves, firewall, table, found)
        for container in snapshot.containers
        if container.live
        for port in container.published
    ]
    return sorted(
        rows,
        key=lambda row: (row["host_port"], row["proto"], row["family"], row["host_ip"], row["container"]),
    )


def _exposure(
    snapshot: Snapshot,
    container: Container,
    port: PublishedPort,
    saves: t.Mapping[int, Save],
    firewall: guard.Firewall,
    table: Table | None,
    found: ufw.Ufw | None,
) -> dict[str, t.Any]:
    family = 6 if ":" in port.host_ip else 4
    save = saves.get(family)
    dnat = _dnat_rule(save, port, family) if save else None
    network, bridge = _network_of(snapshot, container, dnat, family)
    any_address = port.host_ip in ("", "0.0.0.0", "::")
    door = Door(family, port.proto, port.host_port, "" if any_address else port.host_ip, bridge)
    ufw_says, ufw_rules = _ufw_verdict(found, door)
    nftables = _nftables_backend(firewall)
    path = "dnat" if dnat or (nftables and _has_address(container, family)) else "proxy"
    if save is None and not nftables:
        verdict, decided = "unknown", [_because(f"ip{'6' if family == 6 else ''}tables-save could not be read")]
    elif path == "dnat":
        verdict, decided = _forwarded(door, dnat, save or Save(), firewall, table)
    else:
        verdict, decided = _answered_by_proxy(door, save or Save(), found, ufw_says, ufw_rules)
    return {
        "host_ip": port.host_ip or "0.0.0.0",
        "host_port": port.host_port,
        "container_port": port.container_port,
        "proto": port.proto,
        "family": f"ipv{family}",
        "container": container.name,
        "network": network,
        "verdict": verdict,
        "ufw_says": ufw_says,
        "bypasses_ufw": (ufw_says, verdict) in (("deny", "open"), ("deny", "partial"), ("partial", "open")),
        "path": path,
        "decided_by": decided,
    }


def _because(text: str) -> dict[str, str]:
    return {"table": "", "chain": "", "rule": text}


def _dnat_rule(save: Save, port: PublishedPort, family: int) -> Saved | None:
    for rule in save.of("nat", "DOCKER"):
        if rule.target != "DNAT" or rule.value("-p") != port.proto or rule.value("--dport") != str(port.host_port):
            continue
        where = rule.value("-d").partition("/")[0]
        if where in ("", port.host_ip) or (family == 6 and where and _equal(where, port.host_ip)):
            return rule
    return None


def _equal(one: str, other: str) -> bool:
    try:
        return ipaddress.ip_address(one) == ipaddress.ip_address(other)
    except ValueError:
        return False


def _network_of(snapshot: Snapshot, container: Container, dnat: Saved | None, family: int) -> tuple[str, str]:
    """Name the network, and its bridge, that Docker forwards this port to."""
    target = dnat.value("--to-destination").rpartition(":")[0].strip("[]") if dnat else ""
    bridges = {network.name: network.bridge_name for network in snapshot.networks if network.bridge_name}
    endpoints = [endpoint for endpoint in container.endpoints if endpoint.network in bridges]
    for endpoint in endpoints:
        if target and _equal(endpoint.ip6 if family == 6 else endpoint.ip, target):
            return endpoint.network, bridges[endpoint.network]
    if not endpoints:
        # Ports of a container on overlay networks only are forwarded over the swarm's own bridge.
        return (container.endpoints[0].network if container.endpoints else ""), "docker_gwbridge"
    return endpoints[0].network, bridges[endpoints[0].network]


def _has_address(container: Container, family: int) -> bool:
    return any(endpoint.ip6 if family == 6 else endpoint.ip for endpoint in container.endpoints)


def _nftables_backend(firewall: guard.Firewall) -> bool:
    """Engine 29 with firewall-backend nftables keeps its rules in tables of this name."""
    return any(
        entry.get("table", {}).get("name") == "docker-bridges" for entry in (firewall.nft or {}).get("nftables", ())
    )


def _forwarded(
    door: Door, dnat: Saved | None, save: Save, firewall: guard.Firewall, table: Table | None
) -> tuple[str, list[dict[str, str]]]:
    outcomes: frozenset[str] = frozenset({"accept"})
    rules: tuple[Rule, ...] = ()
    if table is not None:
        outcomes, rules = judge(table, "forward", door)
    decided = [{"table": _GUARD, "chain": rule.chain, "rule": rule.text} for rule in rules]
    family = "ip6" if door.family == 6 else "ip"
    if "unknown" not in outcomes and "accept" not in outcomes:
        return "closed", decided
    raw = _loopback_drop(door, save)
    if raw is not None:
        return "closed", [_saved(raw, family)]
    if door.address and ipaddress.ip_address(door.address).is_loopback and outcomes == {"accept"}:
        # Neighbours on the same link can route to it; the rest of the world can't.
        return "partial", [*decided, *([_saved(dnat, family)] if dnat else [])]
    others = obstacles(save, firewall, door)
    if "unknown" in outcomes or others:
        return "unknown", [*others, *decided]
    return _WORDS[outcomes], [*decided, *([_saved(dnat, family)] if dnat else [])]


def _saved(rule: Saved, family: str) -> dict[str, str]:
    return {"table": f"{family} {rule.table}", "chain": rule.chain, "rule": guard_table.printable(rule.line)}


def _loopback_drop(door: Door, save: Save) -> Saved | None:
    if not door.address or not ipaddress.ip_address(door.address).is_loopback:
        return None
    for rule in save.of("raw", "PREROUTING"):
        where = rule.value("-d")
        wide = all(option not in rule.words for option in ("-s", "--sport", "-m"))
        if rule.target == "DROP" and where and ipaddress.ip_address(door.address) in ipaddress.ip_network(where):
            ports = (rule.value("--dport") in ("", str(door.port))) and rule.value("-p") in ("", door.proto)
            if ports and (wide or rule.value("-m") == door.proto):
                return rule
    return None


def _ufw_verdict(found: ufw.Ufw | None, door: Door) -> tuple[str, tuple[Rule, ...]]:
    """What UFW's own rules say about this port of the host: allow, deny, partial, inactive, or unknown."""
    if found is None or not found.enabled:
        return "inactive", ()
    if found.trouble:
        return "unknown", ()
    if door.family == 6 and not found.ipv6:
        return "deny", (Rule("ufw6-user-input", (), ("drop",), "IPV6=no: UFW drops all IPv6"),)
    rules = tuple(rule for wish in guard.ufw_wishes(found.rules) for rule in guard.rules_of(wish))
    last = "accept" if found.policy == "allow" else "drop"
    default = Rule(guard.PUBLISHED, (), ("counter", last), f"ufw default {found.policy} (incoming)")
    outcomes, deciding = judge(Table(rules=(*rules, default)), guard.PUBLISHED, door)
    return {"open": "allow", "closed": "deny", "partial": "partial"}[_WORDS[outcomes]], deciding


def _answered_by_proxy(
    door: Door, save: Save, found: ufw.Ufw | None, ufw_says: str, ufw_rules: tuple[Rule, ...]
) -> tuple[str, list[dict[str, str]]]:
    """Judge a port that docker-proxy, a process of the host, answers: the INPUT chain is on its way, not FORWARD."""
    family, prefix = ("ip6", "ufw6") if door.family == 6 else ("ip", "ufw")
    if door.address and ipaddress.ip_address(door.address).is_loopback:
        return "closed", [
            _because("docker-proxy listens on the loopback address, which the kernel takes from the host only")
        ]
    if found is not None and found.trouble:
        return "unknown", [_because("UFW's rules, which decide, are not understood")]
    if found is not None and found.enabled:
        words = {"allow": "open", "deny": "closed", "partial": "partial"}
        chain = f"{prefix}-user-input"
        if not save.has("filter", chain) and save.rules:
            return "unknown", [_because(f"UFW is enabled, but its chain {chain} is not in the kernel")]
        decided = [{"table": f"{family} filter", "chain": chain, "rule": rule.comment} for rule in ufw_rules]
        return words[ufw_says], decided
    if (save.policies or {}).get(("filter", "INPUT"), "ACCEPT") == "ACCEPT" and not save.of("filter", "INPUT"):
        return "open", [{"table": f"{family} filter", "chain": "INPUT", "rule": "policy ACCEPT"}]
    return "unknown", [
        _because(f"docker-proxy answers this port, and the {family} INPUT chain, which decides, is not traced")
    ]


# ---- what else may decide ----------------------------------------------------------------------------------------

_HARMLESS = frozenset({"RETURN", "ACCEPT", "LOG", "NFLOG", "MARK", "CONNMARK", "TCPMSS", "DNAT", "MASQUERADE", ""})


def obstacles(save: Save, firewall: guard.Firewall, door: Door) -> list[dict[str, str]]:
    """Name what stands between the outside and a published port and may drop, besides the guard and Docker's own."""
    name = "ip6" if door.family == 6 else "ip"
    found = [
        _saved(rule, name) for rule in _before_docker(save, door.bridge) if _may_drop(save, rule, seen=frozenset())
    ]
    for table in ("raw", "mangle"):
        for chain in ("PREROUTING", "FORWARD"):
            found += [
                _saved(rule, name)
                for rule in save.of(table, chain)
                if _may_drop(save, rule, seen=frozenset()) and not _docker_raw_rule(rule)
            ]
    if not save.of("filter", "DOCKER"):
        found.append(
            _because(f"Docker's rules are not in the {name} filter table, so what forwards this port is not known")
        )
    return found + _foreign_tables(firewall, name)


def _before_docker(save: Save, bridge: str) -> t.Iterator[Saved]:
    """Rules that new traffic to a container meets before Docker's own chains accept it."""
    for rule in save.of("filter", "FORWARD"):
        # Engines up to 27 have one jump for each bridge, later ones a single jump for all.
        if rule.target == "DOCKER-FORWARD" or (rule.target == "DOCKER" and rule.value("-o") in ("", bridge)):
            return
        if rule.target == "DOCKER-USER":
            yield from save.of("filter", "DOCKER-USER")
        elif not rule.target.startswith("DOCKER-"):
            yield rule


def _may_drop(save: Save, rule: Saved, *, seen: frozenset[str]) -> bool:
    # Docker's own rules for a bridge in FORWARD, and any rule that only speaks of other packets.
    state = rule.value("--ctstate") or rule.value("--state")
    if rule.target in _HARMLESS or (state and not {"NEW", "DNAT"} & set(state.split(","))):
        return False
    if not save.has(rule.table, rule.target):
        return True
    if rule.target in seen:
        return False
    inner = save.of(rule.table, rule.target)
    return any(_may_drop(save, item, seen=seen | {rule.target}) for item in inner)


def _docker_raw_rule(rule: Saved) -> bool:
    """Tell Docker's protection against direct routing: to a container's address, but not by its bridge."""
    return rule.target == "DROP" and bool(rule.value("-d")) and "!" in rule.words and "-i" in rule.words


def _foreign_tables(firewall: guard.Firewall, family: str) -> list[dict[str, str]]:
    """Name chains of other nftables tables that forwarded traffic passes and that may drop."""
    own = {("inet", guard_table.NAME), ("ip", "docker-bridges"), ("ip6", "docker-bridges")}
    own |= {(ip, table) for ip in ("ip", "ip6") for table in ("filter", "nat", "mangle", "raw", "security")}
    entries = (firewall.nft or {}).get("nftables", ())
    found = []
    for entry in entries:
        chain = entry.get("chain", {})
        where = (chain.get("family"), chain.get("table"))
        if chain.get("hook") not in ("forward", "prerouting") or chain.get("type") == "nat" or where in own:
            continue
        if chain.get("family") not in ("inet", family):
            continue
        rules = [
            item["rule"]
            for item in entries
            if (item.get("rule", {}).get("family"), item.get("rule", {}).get("table")) == where
        ]
        verbs = {verb for rule in rules for part in rule.get("expr", ()) for verb in part}
        if chain.get("policy") == "drop" or verbs & {"drop", "reject", "queue", "vmap"}:
            found.append(
                {
                    "table": guard_table.printable(f"{where[0]} {where[1]}"),
                    "chain": guard_table.printable(str(chain.get("name"))),
                    "rule": "may drop forwarded traffic",
                }
            )
    return found
