# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""What on a host weakens Docker's firewall, UFW's or the guard, each with its cure."""

from __future__ import annotations

import typing as t

from . import ufw
from .guard import World
from .guard_intent import Intent
from .netfilter.ruleset import Jump, parse_iptables_save

AFTER_RULES = ("/etc/ufw/after.rules", "/etc/ufw/after6.rules")
_BLOCK = "# BEGIN UFW AND DOCKER"
_FAMILIES = ((4, "iptables"), (6, "ip6tables"))


def preflight(intent: Intent, world: World, docker_host: str) -> list[dict[str, str]]:
    """List the findings, the gravest first."""
    found = [*_ufw(intent, world), *_filter(world), *_docker(world, docker_host)]
    order = ("critical", "high", "medium", "low", "info")
    return sorted(found, key=lambda item: (order.index(item["severity"]), item["id"], item["found"]))


def _finding(name: str, severity: str, found: str, cure: str) -> dict[str, str]:
    return {"id": name, "severity": severity, "found": found, "cure": cure}


def _ufw(intent: Intent, world: World) -> t.Iterator[dict[str, str]]:
    files = world.firewall.files
    for path in AFTER_RULES:
        if _BLOCK in (files.get(path) or ""):
            yield _finding(
                "ufw_docker_block",
                "high",
                f"{path} has the block of ufw-docker: each 'ufw reload' empties DOCKER-USER, other tools' rules included, "
                "and its rules by container address may open or close what the guard decides otherwise.",
                "Remove the block ('ufw-docker uninstall'), then 'ufw reload'; rules already in the kernel stay until "
                "'iptables -F DOCKER-USER' or a reboot.",
            )
    found = ufw.survey(files)
    if found is None:
        return
    if found.trouble:
        yield _finding(
            "ufw_not_understood",
            "high",
            found.trouble,
            "Correct the file; until then it is not known what UFW says, and the guard cannot follow it.",
        )
        return
    if found.manages_builtins:
        yield _finding(
            "ufw_manage_builtins",
            "critical",
            f"{ufw.DEFAULTS} says MANAGE_BUILTINS=yes: 'ufw enable', 'reload' and 'disable' flush all chains, Docker's too, "
            "and containers lose their network until Docker restarts.",
            "Set MANAGE_BUILTINS=no.",
        )
    if not found.ipv6:
        yield _finding(
            "ufw_ipv6_no",
            "high",
            f"{ufw.DEFAULTS} says IPV6=no: UFW drops all IPv6, wipes Docker's IPv6 chains when it starts, and ignores "
            f"{ufw.RULES6}; the guard lets no IPv6 to published ports by UFW's rules.",
            "Set IPV6=yes, then 'ufw disable && ufw enable', and restart Docker.",
        )
    if not found.enabled:
        return
    if intent.follow_ufw and found.policy == "allow" and intent.policy == "deny":
        yield _finding(
            "ufw_default_allow",
            "medium",
            "UFW's default for incoming traffic is allow, but the guard's policy for ports that nothing names is deny.",
            "Set policy: allow to treat published ports as UFW treats the host's own, or 'ufw default deny incoming'.",
        )
    routes = [rule for rule in found.rules if rule.route]
    if routes:
        yield _finding(
            "ufw_route_rules",
            "info",
            f"UFW has {len(routes)} 'route' rules (first: {routes[0].place}). They speak of forwarded traffic by the "
            "container's address and port; the guard does not open published ports because of them.",
            "Allow the port as published on the host: 'ufw allow 8080/tcp', or rules of this module.",
        )
    for family, command in _FAMILIES:
        save = _save(world, family)
        chain = "ufw6-user-input" if family == 6 else "ufw-user-input"
        if save is not None and (family == 4 or found.ipv6) and not save.has("filter", chain):
            yield _finding(
                "ufw_not_loaded",
                "critical",
                f"UFW is enabled, but its chain {chain} is not in the kernel ({command}-save): the host's ports are open.",
                "Run 'ufw reload', and look for what flushed the rules.",
            )


class _Save:
    """What iptables-save says of one family."""

    def __init__(self, text: str, family: int) -> None:
        self._chains = {(chain.table.name, chain.name): chain for chain in parse_iptables_save(text, family).chains}

    def has(self, table: str, chain: str) -> bool:
        """Tell whether there is such a chain."""
        return (table, chain) in self._chains

    def jumps(self, table: str, chain: str, target: str) -> bool:
        """Tell whether a chain jumps to another."""
        found = self._chains.get((table, chain))
        return found is not None and any(
            isinstance(part, Jump) and part.chain == target for rule in found.rules for part in rule.parts
        )


def _save(world: World, family: int) -> _Save | None:
    text = (world.firewall.saves or {}).get(family)
    return _Save(text, family) if text is not None else None


def _filter(world: World) -> t.Iterator[dict[str, str]]:
    if world.snapshot is None:
        return
    for family, command in _FAMILIES:
        save = _save(world, family)
        if save is None:
            yield _finding(
                f"{command}_unreadable",
                "medium",
                f"{command}-save gave no answer, so verdicts that need it are unknown.",
                "Install iptables, and run with become: true.",
            )
            continue
        if "DOCKER" in (world.firewall.legacy or {}).get(family, "") and save.has("filter", "ufw-user-input"):
            yield _finding(
                "iptables_mix",
                "critical",
                f"Docker's chains are in {command}-legacy, while {command} means nftables here: two rule books filter the "
                "same packets, and neither tool sees the other's.",
                "Choose one (update-alternatives --config iptables), then restart Docker and 'ufw reload'.",
            )
        docker = save.has("filter", "DOCKER")
        if docker and not save.has("filter", "DOCKER-USER"):
            yield _finding(
                "docker_user_missing",
                "low",
                f"Docker's chains are in {command}, but DOCKER-USER is not (engine 20.10 makes none for IPv6).",
                "Nothing to do for the guard, which does not use it; other tools that do are without effect.",
            )
        elif docker and not save.jumps("filter", "FORWARD", "DOCKER-USER"):
            yield _finding(
                "docker_user_unreferenced",
                "medium",
                f"{command}: FORWARD does not jump to DOCKER-USER, so rules in it have no effect.",
                "Restart Docker; the guard does not depend on it.",
            )


def _docker(world: World, docker_host: str) -> t.Iterator[dict[str, str]]:
    if not docker_host.startswith(("unix://", "/")):
        yield _finding(
            "remote_daemon",
            "high",
            f"docker_host is {docker_host}, but the guard changes the packet filter of the host the task runs on.",
            "Run the task on the daemon's own host.",
        )
    if world.snapshot is None:
        yield _finding(
            "docker_not_read",
            "info",
            "Docker did not answer, so published ports are not listed.",
            "Nothing to do to remove the guard; start Docker to see exposures.",
        )
        return
    tables = {entry.get("table", {}).get("name") for entry in (world.firewall.nft or {}).get("nftables", ())}
    if "docker-bridges" in tables:
        yield _finding(
            "engine_nftables",
            "medium",
            f"Engine {world.snapshot.engine.version} keeps its rules in nftables (docker-bridges): UFW's policy for routed "
            "traffic then governs containers too, their way to the internet included.",
            "Check 'ufw status verbose'; published ports that the guard lets go on may still be dropped by UFW.",
        )
    for network in world.snapshot.networks:
        routed = [
            f"IPv{family}"
            for family in (4, 6)
            if network.options.get(f"com.docker.network.bridge.gateway_mode_ipv{family}", "").startswith(
                ("routed", "nat-u")
            )
        ]
        if routed:
            yield _finding(
                "routed_network",
                "medium",
                f"Network {network.name} is reached by its containers' own addresses ({', '.join(routed)}): such traffic has "
                "no published port to judge, so the guard drops it when it comes from outside.",
                "Publish the ports on a NAT network, or keep such networks on hosts without the guard.",
            )
