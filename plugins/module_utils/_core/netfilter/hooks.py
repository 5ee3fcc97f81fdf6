# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""What the kernel calls at each of its hooks: base chains by priority, conntrack and address translation among them."""

from __future__ import annotations

import itertools
import typing as t
from dataclasses import dataclass

from .compiled import Rules
from .flow import Flow, Hop, united
from .host import Knowledge
from .ruleset import (
    Chain,
    Condition,
    Conntrack,
    CopyMark,
    Direction,
    Effect,
    Lookup,
    Masked,
    Nat,
    Opaque,
    Rate,
    Rule,
    SetMark,
    State,
    Status,
    Switch,
    Table,
    Unknowable,
    Untrack,
    VerdictMap,
    Within,
)
from .walk import Walk, destination

#: Conntrack looks at a packet at this priority of prerouting and output; rules before it see no connection.
_CONNTRACK = -200
_TRACKED = ("prerouting", "output")

#: Neighbour discovery and group membership.
_ICMP6 = 58
_OF_THE_LINK = frozenset({130, 131, 132, 133, 134, 135, 136, 137, 143})

#: All nat chains of a hook are called at one place, whatever their own priority is; that one only orders them.
_NAT_AT = {"prerouting": -100, "output": -100, "postrouting": 100, "input": 100}

#: What is called at one priority runs in the order it was made, which no listing tells. All orders of so many are tried.
_MOST_ORDERS = 5

#: The family of chains that see frames on a bridge, and those that see packets of IPv4 and IPv6.
BRIDGE = 0
_FAMILIES = {BRIDGE: ("bridge",), 4: ("ip", "inet"), 6: ("ip6", "inet")}


@dataclass(frozen=True)
class End:
    """Where flows got to: ``verdict`` accept, drop, reject or unknown; ``delivered_to`` local, an interface, or None."""

    flow: Flow
    verdict: str
    delivered_to: str | None = None


@dataclass(frozen=True)
class Tracking:
    """Where conntrack sees a packet first."""


@dataclass(frozen=True)
class Translation:
    """Where the nat chains of a hook are called: chains of one priority together."""

    groups: tuple[tuple[Chain, ...], ...] = ()


#: What a hook calls.
Station = t.Union[Chain, Tracking, Translation]
#: What is left of a flow, and what ended.
Outcome = tuple[list[Flow], list[End]]


class Hooks:
    """Takes flows through the hooks of one host."""

    def __init__(self, rules: Rules, host: Knowledge) -> None:
        self._rules = rules
        self._host = host
        self._called: dict[tuple[str, int, bool | None], list[tuple[Station, ...]]] = {}

    def calls(self, hook: str, family: int, *, late: bool | None = None) -> list[tuple[Station, ...]]:
        """List what a hook calls, in order; what has one priority together.

        ``late`` wants only what has a priority of 0 or more (True), or below (False).
        """
        key = (hook, family, late)
        found = self._called.get(key)
        if found is None:
            listed = self._find(hook, family)
            wanted = [priority for priority in listed if late is None or (priority >= 0) is late]
            found = self._called[key] = [tuple(listed[priority]) for priority in sorted(wanted)]
        return found

    def _find(self, hook: str, family: int) -> dict[int, list[Station]]:
        families = ("inet", "netdev") if hook in ("ingress", "egress") else _FAMILIES[family]
        stations: dict[int, list[Station]] = {}
        nat: dict[int, list[Chain]] = {}
        if family != BRIDGE and hook in _TRACKED:
            stations[_CONNTRACK] = [Tracking()]
        for chain in self._rules.ruleset.chains:
            if chain.hook != hook or chain.table.family not in families:
                continue
            if chain.policy.lower() in ("", "accept") and self._rules.idle(chain):
                continue
            if chain.kind == "nat":
                nat.setdefault(chain.priority, []).append(chain)
            else:
                stations.setdefault(chain.priority, []).append(chain)
        if family != BRIDGE and hook in _NAT_AT:
            if not any(
                _tracks(chain, family) for chain in self._rules.ruleset.chains if chain.table.family in families
            ):
                # Conntrack works only where a rule asks for it, and without connections nat chains see no packet.
                nat = {}
            groups = tuple(tuple(chains) for _priority, chains in sorted(nat.items()))
            stations.setdefault(_NAT_AT[hook], []).append(Translation(groups))
        return stations

    def take(
        self,
        flows: list[Flow],
        hook: str,
        ends: list[End],
        *,
        family: int,
        late: bool | None = None,
        keep: t.Callable[[Flow], list[Flow]] | None = None,
    ) -> list[Flow]:
        """Take flows through a hook; give what is left.

        ``keep`` gives of packets whose destination was rewritten those that can still go on.
        """
        for stations in self.calls(hook, family, late=late):
            passed: list[Flow] = []
            for flow in flows:
                dst = flow.dst
                for item in self._at(flow, hook, stations, ends):
                    passed += [item] if keep is None or item.dst == dst else keep(item)
            flows = united(passed) if len(passed) > 1 else passed
        return flows

    # ---- orders ---------------------------------------------------------------------------------------------------

    def _at(self, flow: Flow, hook: str, stations: tuple[Station, ...], ends: list[End]) -> list[Flow]:
        """Pass what is called at one priority, in all orders where the order may matter."""
        if len(stations) == 1:
            return self._station(flow, hook, stations[0], ends)

        def run(order: t.Iterable[Station], lost: list[End]) -> list[Flow]:
            flows = [flow]
            for station in order:
                flows = [item for one in flows for item in self._station(one, hook, station, lost)]
            return united(flows) if len(flows) > 1 else flows

        if self._commute(flow, hook, stations):
            return run(stations, ends)
        names = [f"{one.table.title} {one.name}" if isinstance(one, Chain) else _NAMES[type(one)] for one in stations]
        first = next((one for one in stations if isinstance(one, Chain)), None)
        return _tried(flow, Hop(hook, first, None, _unordered(names)), stations, run, ends)

    def _commute(self, flow: Flow, hook: str, stations: tuple[Station, ...]) -> bool:
        """Tell whether what is called does not depend on its order: nobody changes what the others look at."""
        words: set[str] = set()
        for station in stations:
            lost: list[End] = []
            passed = self._station(flow.copy(), hook, station, lost)
            words |= {end.verdict for end in lost}
            if any(item.seen != flow.seen for item in passed):
                return False
        return len(words) < 2

    # ---- stations -------------------------------------------------------------------------------------------------

    def _station(self, flow: Flow, hook: str, station: Station, ends: list[End]) -> list[Flow]:
        if isinstance(station, Chain):
            return self._base(flow, hook, station, ends)
        if isinstance(station, Translation):
            return self._translated(flow, hook, station, ends)
        if flow.ct is None:
            flow = flow.copy()
            # What finds neighbours and groups of IPv6 is never tracked.
            of_the_link = flow.family == 6 and flow.proto == _ICMP6 and flow.icmp_type in _OF_THE_LINK
            flow.ct = "untracked" if of_the_link else flow.state
        return [flow]

    def _base(self, flow: Flow, hook: str, chain: Chain, ends: list[End]) -> list[Flow]:
        if chain.devices and (flow.oif if hook == "egress" else flow.iif) not in chain.devices:
            return [flow]
        passed: list[Flow] = []
        for item, word in Walk(self._rules, self._host, hook).chain(chain, flow.copy()):
            self._ended(item, word, hook, chain, passed, ends)
        return united(passed) if len(passed) > 1 else passed

    def _ended(
        self, flow: Flow, word: str | None, hook: str, chain: Chain, passed: list[Flow], ends: list[End]
    ) -> None:
        if word is None:
            word = chain.policy.lower() or "accept"
            if chain.rules or word != "accept":
                flow.noted(Hop(hook, chain, None, word, f"policy {word.upper()}"))
        if word != "accept":
            ends.append(End(flow, word if word in ("drop", "reject") else "unknown"))
            return
        if chain.kind == "filter" and hook in ("input", "forward", "output") and flow.path is not None:
            hop = flow.path[1]
            if hop.hook == hook and hop.effect == "accept":
                flow.deciders = (*flow.deciders, hop)
        passed.append(flow)

    # ---- address translation --------------------------------------------------------------------------------------

    def _translated(self, flow: Flow, hook: str, station: Translation, ends: list[End]) -> list[Flow]:
        """Pass the nat chains of a hook: they see the first packet of a connection only, and one of them settles it."""
        which = 0 if hook in ("prerouting", "output") else 1
        if flow.ct != "new" or flow.nat_done[which]:
            return [_settled(flow, hook)]
        flows = [flow.copy()]
        for chains in station.groups:
            flows = [item for one in flows for item in self._nat_group(one, hook, chains, which, ends)]
        for item in flows:
            item.nat_done = (True, item.nat_done[1]) if which == 0 else (item.nat_done[0], True)
        return united(flows) if len(flows) > 1 else flows

    def _nat_group(self, flow: Flow, hook: str, chains: tuple[Chain, ...], which: int, ends: list[End]) -> list[Flow]:
        """Pass nat chains of one priority, in all orders where the order may matter."""

        def run(order: t.Iterable[Station], lost: list[End]) -> list[Flow]:
            settled: list[Flow] = []
            left = [flow]
            for chain in order:
                after = [item for one in left for item in self._station(one, hook, chain, lost)]
                settled += [item for item in after if item.nat_done[which]]
                left = [item for item in after if not item.nat_done[which]]
            found = settled + left
            return united(found) if len(found) > 1 else found

        if flow.nat_done[which]:
            return [flow]
        if len(chains) == 1 or self._only_one_acts(flow, hook, chains):
            return run(chains, ends)
        names = [f"{chain.table.title} {chain.name}" for chain in chains]
        return _tried(flow, Hop(hook, chains[0], None, _unordered(names)), chains, run, ends)

    def _only_one_acts(self, flow: Flow, hook: str, chains: tuple[Chain, ...]) -> bool:
        """Tell whether at most one chain does something to a flow, and nothing that the others would look at after it."""
        acting = 0
        for chain in chains:
            lost: list[End] = []
            passed = self._base(flow.copy(), hook, chain, lost)
            changed = [item for item in passed if item.header != flow.header]
            if any(item.seen != flow.seen and item.nat_done == flow.nat_done for item in changed):
                return False
            acting += bool(lost or changed)
        return acting < 2


def _tracks(chain: Chain, family: int) -> bool:
    """Tell whether a rule of a chain, called or not, makes the kernel track connections; or may, when it is not known."""
    return any(
        _part_tracks(part, chain.table) and not _of_other_family(rule, part, chain.table, family)
        for rule in chain.rules
        for part in rule.parts
    )


def _of_other_family(rule: Rule, part: Condition | Effect, table: Table, family: int) -> bool:
    """Tell whether ``dnat ip6 to`` and its like in a table of both families track the other one only."""
    if table.family != "inet" or not (isinstance(part, (Nat, VerdictMap)) and _has_addresses(part)):
        return False
    asked = [
        item.values for item in rule.parts if isinstance(item, Within) and item.field == "family" and not item.negated
    ]
    return any(family not in values for values in asked)


def _has_addresses(effect: Effect) -> bool:
    if isinstance(effect, VerdictMap):
        return all(isinstance(inner, Nat) and _has_addresses(inner) for _key, inner in effect.entries)
    return isinstance(effect, Nat) and effect.addresses is not None


def _part_tracks(part: Condition | Effect, table: Table) -> bool:
    if isinstance(part, Switch):
        asked: list[Condition | Effect] = [condition for conditions, _effect in part.cases for condition in conditions]
        return any(_part_tracks(inner, table) for inner in (*asked, *(effect for _conditions, effect in part.cases)))
    if isinstance(part, VerdictMap) and any(_part_tracks(effect, table) for _key, effect in part.entries):
        return True
    if isinstance(part, (Lookup, VerdictMap)):
        return any(name not in _PLAIN_FIELDS for name in part.fields)
    if isinstance(part, (Within, Masked, SetMark)):
        return part.field not in _PLAIN_FIELDS
    return isinstance(part, _TRACKING) or (isinstance(part, Untrack) and table.backend != "nft")


_PLAIN_FIELDS = frozenset(
    {"family", "proto", "src", "dst", "sport", "dport", "icmp_type", "icmp_code", "mark", "tcp_flags", "iif", "oif"}
)
_TRACKING = (Nat, CopyMark, State, Status, Direction, Conntrack, Rate, Unknowable, Opaque)

_NAMES: dict[type, str] = {Tracking: "conntrack", Translation: "address translation"}


def _unordered(names: t.Iterable[str]) -> str:
    return f"{' and '.join(names)} have one priority, and nothing tells which comes first"


def _tried(
    flow: Flow,
    hop: Hop,
    stations: t.Sequence[Station],
    run: t.Callable[[t.Iterable[Station], list[End]], list[Flow]],
    ends: list[End],
) -> list[Flow]:
    """Run stations in all orders; when these do not come to the same, give the outcomes of all as possible."""
    if len(stations) > _MOST_ORDERS:
        ends.append(End(with_guess(flow, hop), "unknown"))
        return []
    outcomes: list[Outcome] = []
    for order in itertools.permutations(stations):
        lost: list[End] = []
        outcomes.append((run(order, lost), lost))
    first = outcomes[0]
    summary = _summary(first)
    if all(_summary(other) == summary for other in outcomes[1:]):
        ends += first[1]
        return first[0]
    for _passed, lost in outcomes:
        ends += [End(with_guess(end.flow, hop), end.verdict, end.delivered_to) for end in lost]
    return united(with_guess(item, hop) for passed, _lost in outcomes for item in passed)


def with_guess(flow: Flow, hop: Hop) -> Flow:
    """Give a flow that is only one of several possible ones."""
    made = flow.copy()
    made.guesses = (*made.guesses, hop)
    return made


def _summary(outcome: Outcome) -> set[t.Any]:
    passed, lost = outcome
    found: set[t.Any] = {(flow.header, flow.region) for flow in passed}
    return found | {(end.verdict, end.flow.region) for end in lost}


def _settled(flow: Flow, hook: str) -> Flow:
    """Rewrite a packet of a connection whose translation is settled: what goes back gets the old numbers."""
    if flow.reply is None or flow.ct not in ("established", "related"):
        return flow
    source, target, sport, dport = flow.original
    if hook in ("prerouting", "output") and flow.snat and (flow.dst, flow.dport) != (source, sport):
        after = flow.copy()
        after.dst, after.dport = source, sport
        text = "the sender's own address is put back"
        return after.noted(Hop(hook, None, None, text, destination(after.family, source, sport)))
    if hook in ("postrouting", "input") and flow.dnat and (flow.src, flow.sport) != (target, dport):
        after = flow.copy()
        after.src, after.sport = target, dport
        text = "the address that was asked is put back"
        return after.noted(Hop(hook, None, None, text, destination(after.family, target, dport)))
    return flow
