# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""The table that says what is wanted, and the plan that gets the host there.

The guard judges new traffic from outside towards Docker's bridges by the destination the sender used, before Docker's
DNAT. It only drops or lets go on: ``accept`` ends our base chain alone, and Docker's and UFW's own come after it.
"""

from __future__ import annotations

import itertools
import re
import typing as t
from dataclasses import dataclass

from . import guard_table, ufw
from .errors import CoreError
from .guard_intent import INTERFACE, Intent, Wish, commented
from .guard_table import Chain, Match, Rule, Set, Table
from .model import Snapshot
from .netfilter.reading import Reading
from .plan import Change, Plan
from .zones import Scene

#: Names that Docker gives itself; networks that are made later are covered by the wildcard.
DOCKER_BRIDGES = ("br-*", "docker0", "docker_gwbridge")
_GENERATED_BRIDGE = re.compile(r"^br-[0-9a-f]{12}$")

#: UFW's limit: --seconds 30 --hitcount 6, so that the sixth attempt of a source within 30 seconds is refused.
_LIMIT_SECONDS = 30
_LIMIT_ATTEMPTS = 5
_LIMIT_SOURCES = 65535


@dataclass(frozen=True)
class Firewall:
    """One read of the host's packet filter. A text that could not be read is None; ``saves`` is by family."""

    files: t.Mapping[str, str | None]
    nft: t.Mapping[str, t.Any] | None = None
    saves: t.Mapping[int, str | None] | None = None
    legacy: t.Mapping[int, str] | None = None
    interfaces: tuple[str, ...] = ()


def firewall_of(reading: Reading, interfaces: t.Iterable[str], *, has_nft: bool) -> Firewall:
    """Take what the guard plans with out of one read of the host."""
    unread = {family for item in reading.troubles if item.about in ("rules", "extensions") for family in item.families}
    saves: dict[int, str | None] = {}
    legacy: dict[int, str] = {}
    for family in (4, 6):
        texts = [
            text for text in (reading.saves.get(("iptables", family)), reading.saves.get(("legacy", family))) if text
        ]
        # The old tables alone are what iptables means on this host; beside the new ones they are a second rule book.
        saves[family] = texts[0] if texts else (None if family in unread else "")
        legacy[family] = texts[1] if len(texts) > 1 else ""
    return Firewall(
        files=reading.files,
        nft=reading.nft if has_nft else None,
        saves=saves,
        legacy=legacy,
        interfaces=tuple(sorted(interfaces)),
    )


@dataclass(frozen=True)
class World:
    """What there is. ``snapshot`` is None when Docker was not asked or did not answer (only for ``state: absent``).

    ``scene`` is the same read as the model of packets' paths wants it.
    """

    firewall: Firewall
    snapshot: Snapshot | None = None
    scene: Scene | None = None

    @property
    def live(self) -> Table | None:
        return guard_table.from_ruleset(self.firewall.nft) if self.firewall.nft is not None else None


# ---- intent to table ---------------------------------------------------------------------------------------------


def ufw_wishes(rules: t.Iterable[ufw.UfwRule]) -> tuple[Wish, ...]:
    """What UFW's rules say about published ports, in UFW's order.

    Rules for outgoing and for routed traffic say nothing about who may connect to a port of this host, and Docker
    publishes no port of a protocol without ports.
    """
    return tuple(
        commented(
            Wish(
                action=rule.action,
                family=rule.family,
                proto=rule.proto,
                ports=rule.ports,
                to=rule.to,
                source_ports=rule.source_ports,
                source=rule.source,
                interface=rule.interface,
            ),
            "ufw",
            " # ".join(text for text in (rule.app, rule.comment) if text),
        )
        for rule in rules
        if rule.direction == "in" and not rule.route and rule.proto in ("any", "tcp", "udp")
    )


def wanted_table(intent: Intent, rules: UfwRules, *, bridges: t.Sequence[str], strangers: t.Sequence[str]) -> Table:
    """The whole table that says what is wanted."""
    judged = [rule for wish in (*intent.rules, *intent.trusted, *ufw_wishes(rules)) for rule in rules_of(wish)]
    last = "accept" if intent.policy == "allow" else "drop"
    published = (
        *(
            # The kernel routes by the address after DNAT, so a neighbour reaches what is published on the host's loopback.
            Rule(PUBLISHED, (Match(f"ct original {ip} daddr", net),), ("counter", "drop"), "published on loopback only")
            for ip, net in (("ip", "127.0.0.0/8"), ("ip6", "::1"))
        ),
        *judged,
        Rule(PUBLISHED, (), ("counter", last), f"policy {intent.policy}: nothing above names this port"),
    )
    limited = [family for family in (4, 6) if any(rule.verdict == f"jump limit{family}" for rule in judged)]
    chains = [
        Chain("forward", hook="forward", priority=-5, policy="accept", type="filter"),
        *(Chain(f"limit{family}") for family in limited),
        Chain(PUBLISHED),
    ]
    sets = [
        Set("docker_bridges", "ifname", interval=True, elements=tuple(sorted(bridges))),
        Set("other_bridges", "ifname", elements=tuple(sorted(strangers))),
        *(item for family in limited for item in _limit_sets(family)),
    ]
    return Table(
        chains=tuple(sorted(chains, key=lambda chain: chain.name)),
        sets=tuple(sorted(sets, key=lambda item: item.name)),
        rules=(*_FORWARD, *(rule for family in limited for rule in _limit_rules(family)), *published),
    )


UfwRules = t.Sequence[ufw.UfwRule]
PUBLISHED = "published"

_FORWARD = (
    Rule("forward", (Match("ct state", "established,related"),), ("counter", "accept"), "replies and open connections"),
    Rule(
        "forward",
        (Match("iifname", "@docker_bridges"), Match("iifname", "@other_bridges", negated=True)),
        ("counter", "accept"),
        "from a container: not the guard's business",
    ),
    Rule("forward", (Match("oifname", "@docker_bridges", negated=True),), ("counter", "accept"), "not to a container"),
    Rule("forward", (Match("oifname", "@other_bridges"),), ("counter", "accept"), "to a bridge that is not Docker's"),
    Rule(
        "forward",
        (Match("ct status", "dnat"), Match("ct direction", "original")),
        ("counter", f"goto {PUBLISHED}"),
        "to a published port: judged by the port on the host",
    ),
    Rule("forward", (), ("counter", "drop"), "from outside straight to a container"),
)


def rules_of(wish: Wish) -> tuple[Rule, ...]:
    """Spell one wish as rules: one for each family, protocol and range of ports.

    No anonymous sets: nft 1.0 lists one of original ports as ``0x50 [invalid type]``, so that a saved ruleset would
    not load again.
    """
    families = (wish.family,) if wish.family or wish.action != "limit" else (4, 6)
    with_ports = bool(wish.ports or wish.source_ports)
    protos = ("tcp", "udp") if wish.proto == "any" and with_ports else ("" if wish.proto == "any" else wish.proto,)
    rules = []
    for family, proto, source_port, port in itertools.product(
        families, protos, wish.source_ports or (None,), wish.ports or (None,)
    ):
        matches = [Match("iifname", _wildcard(wish.interface))] if wish.interface.rstrip("+") else []
        ip = "ip6" if family == 6 else "ip"
        if wish.source:
            matches.append(Match(f"{ip} saddr", wish.source))
        elif family and not wish.to:
            # Next to an address nft 1.1 leaves it out of its listings, and the kernel checks the family anyway.
            matches.append(Match("nfproto", "ipv6" if family == 6 else "ipv4"))
        if wish.to:
            matches.append(Match(f"ct original {ip} daddr", wish.to))
        if proto:
            matches.append(Match("l4proto", proto))
        for name, ports in (("proto-src", source_port), ("proto-dst", port)):
            if ports is not None:
                text = f"{ports[0]}-{ports[1]}" if ports[0] != ports[1] else str(ports[0])
                matches.append(Match(f"ct original {name}", text))
        rules.append(Rule(PUBLISHED, tuple(matches), ("counter", _verdict(wish, family, proto)), wish.comment))
    return tuple(rules)


def _wildcard(interface: str) -> str:
    return f"{interface[:-1]}*" if interface.endswith("+") else interface


def _verdict(wish: Wish, family: int, proto: str) -> str:
    if wish.action == "limit":
        return f"jump limit{family}"
    if wish.action == "reject":
        return "reject with tcp reset" if proto == "tcp" else "reject"
    return {"allow": "accept", "deny": "drop"}[wish.action]


def _limit_sets(family: int) -> t.Iterator[Set]:
    for number in range(1, _LIMIT_ATTEMPTS + 1):
        kind = f"ipv{family}_addr"
        yield Set(f"tries{family}_{number}", kind, timeout=_LIMIT_SECONDS, size=_LIMIT_SOURCES)


def _limit_rules(family: int) -> t.Iterator[Rule]:
    """Five places for each source, each free again 30 seconds after it was taken: an exact sliding window.

    nft's own rates are token buckets, which let up to twice as many through. As in UFW, all limited ports share one
    count, and a refused attempt takes two places anew (xt_recent's --set and --update both leave a stamp).
    """
    source = "ip6 saddr" if family == 6 else "ip saddr"
    chain = f"limit{family}"
    for number in range(1, _LIMIT_ATTEMPTS + 1):
        name = f"@tries{family}_{number}"
        take = (f"add {name} {{ {source} }}", "counter", "accept")
        yield Rule(chain, (Match(source, name, negated=True),), take, f"attempt {number} in {_LIMIT_SECONDS} seconds")
    again = tuple(f"update @tries{family}_{number} {{ {source} }}" for number in (1, 2))
    yield Rule(chain, (), (*again, "counter", "reject"), f"6 or more attempts in {_LIMIT_SECONDS} seconds")


def docker_bridges(snapshot: Snapshot) -> tuple[str, ...]:
    """The interfaces of Docker's bridge networks, as names and one wildcard."""
    names = set(DOCKER_BRIDGES)
    for network in snapshot.networks:
        name = network.bridge_name
        if not name or name.startswith("br-"):
            continue
        if not INTERFACE.match(name):
            raise CoreError(
                f"Network {network.name!r} has the bridge {name!r}, whose name nftables would not take as it is.",
                hint="Make the network anew with a plain com.docker.network.bridge.name.",
                reason_code="bridge_name",
            )
        names.add(name)
    return tuple(sorted(names))


def other_bridges(snapshot: Snapshot, interfaces: t.Iterable[str]) -> tuple[str, ...]:
    """Interfaces that the wildcard would take for Docker's, such as br-lan.

    A name of Docker's own make counts as Docker's even if its network is not listed: it may be just coming up.
    """
    own = {network.bridge_name for network in snapshot.networks}
    return tuple(
        sorted(
            name
            for name in interfaces
            if name.startswith("br-")
            and name not in own
            and not _GENERATED_BRIDGE.match(name)
            and INTERFACE.match(name)
        )
    )


# ---- the plan ----------------------------------------------------------------------------------------------------


def plan(intent: Intent, world: World) -> Plan:
    """Compare the live table with the wanted one."""
    live, wanted = world.live, wanted_of(intent, world)
    before, after = (table.text if table else "" for table in (live, wanted))
    if live == wanted:
        return Plan(before, after)
    script = guard_table.replacement(wanted, live)
    if wanted is None:
        change = ("remove", "the guard is not wanted")
    elif live is None:
        change = (
            "create",
            f"the guard is not there; {_count(len(wanted.rules_of(PUBLISHED)), 'rule')} for published ports",
        )
    else:
        change = ("update", _difference(live, wanted))
    return Plan(before, after, (Change(change[0], "firewall", guard_table.TITLE, change[1], {"script": script}),))


def wanted_of(intent: Intent, world: World) -> Table | None:
    """The table that should be there, or a refusal when that cannot be told."""
    if not intent.present:
        return None
    if world.firewall.nft is None:
        raise CoreError(
            "The command nft is not there, and the guard lives in a table of nftables.",
            hint="On Debian and Ubuntu: apt-get install nftables.",
            reason_code="nft_missing",
        )
    snapshot = world.snapshot or Snapshot()
    return wanted_table(
        intent,
        followed_rules(intent, world),
        bridges=docker_bridges(snapshot),
        strangers=other_bridges(snapshot, world.firewall.interfaces),
    )


def followed_rules(intent: Intent, world: World) -> UfwRules:
    """UFW's rules if they are to be followed, or a refusal when UFW is not at work."""
    if not intent.follow_ufw:
        return ()
    found = ufw.read(world.firewall.files)
    if found is None:
        raise CoreError(
            f"UFW is not installed ({ufw.CONF} is not there), so there are no rules of UFW to follow.",
            hint="Install it (apt-get install ufw), or set follow_ufw: false and give rules.",
            reason_code="ufw_missing",
        )
    if not found.enabled:
        raise CoreError(
            f"UFW is installed but inactive ({ufw.CONF} says ENABLED=no), so its rules are not in force on this host.",
            hint="Run 'ufw enable' (allow your SSH port first), or set follow_ufw: false and give rules.",
            reason_code="ufw_inactive",
        )
    return found.rules


def _difference(live: Table, wanted: Table) -> str:
    have, want = list(live.text.splitlines()), list(wanted.text.splitlines())
    more = [line for line in want if have.count(line) < want.count(line)]
    less = [line for line in have if want.count(line) < have.count(line)]
    if not more and not less:
        return "the rules are in another order than wanted"
    parts = [f"{_count(len(lines), 'line')} to {verb}" for lines, verb in ((more, "add"), (less, "remove")) if lines]
    return f"the live table differs: {', '.join(parts)}, the first being: {(more or less)[0].strip()}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
