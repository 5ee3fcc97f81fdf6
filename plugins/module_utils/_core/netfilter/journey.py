# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""The way of flows through a host: hooks in the kernel's order, routing decisions, bridges, the way back of the reply."""

from __future__ import annotations

from . import host as hosts
from . import sets
from .compiled import Rules
from .conditions import PORT
from .flow import NOBODY, Asked, Flow, Hop, Value, within, without
from .hooks import BRIDGE, End, Hooks
from .host import NOWHERE, Knowledge
from .packet import PROTOCOLS
from .routing import Fork
from .sets import IntSet
from .walk import destination

_LOCAL_GROUPS4 = sets.network("224.0.0.0/24")[1]
_HEARS_ANYONE = hosts.LIMITED_BROADCAST | hosts.ZERONET | _LOCAL_GROUPS4
_BOUND6 = hosts.LINKLOCAL6 | hosts.LOOPBACK6

#: Where frames come from and go to at the hooks of a bridge.
_PORTS: dict[str, tuple[str | None, str | None]] = {
    "prerouting": (PORT, None),
    "input": (PORT, None),
    "forward": (PORT, PORT),
    "output": (None, PORT),
    "postrouting": (None, PORT),
}

#: What answers an icmp message: an echo request is answered by an echo reply.
_ECHO = {(1, 8): 0, (58, 128): 129}


class Journey:
    """Sends flows through one host."""

    def __init__(self, rules: Rules, host: Knowledge) -> None:
        self._host = host
        self._hooks = Hooks(rules, host)
        self._broadcasts = host.broadcasts()
        self._kinds = {
            4: (hosts.MULTICAST4, _LOCAL_GROUPS4, hosts.LIMITED_BROADCAST, self._broadcasts, hosts.ZERONET),
            6: (hosts.MULTICAST6, _BOUND6, hosts.LOOPBACK6),
        }
        self._bad: dict[tuple[str, bool, bool], IntSet] = {}

    def run(self, flow: Flow) -> list[End]:
        """Send a flow from where it appears to where it ends, in all worlds and parts."""
        ends: list[End] = []
        if flow.iif is None:
            self._from_here([flow], ends)
        else:
            self._from_outside([flow], ends)
        return ends

    def answered(self, end: End, asked_by: str | None, back_iif: str | None = None) -> list[End] | None:
        """Send the first answer to an accepted packet, which had come in by ``asked_by``; None when nothing answers."""
        question = answer_to(end, back_iif) if end.verdict == "accept" else None
        if question is None:
            return None
        asked = end.flow.original
        apart = self._apart(question)
        return [self._heard(item, asked, asked_by) for part in apart for item in self.run(part)]

    def _apart(self, flow: Flow) -> list[Flow]:
        """Split a flow so that each kind of address that is treated in a way of its own is on its own."""
        flows = [flow]
        if flow.region[Asked.SRC.value] != NOBODY:
            for kind in self._kinds[flow.family]:
                flows = [part for one in flows for listed in self._split(one, Asked.SRC, kind) for part in listed]
        return flows

    def _heard(self, end: End, asked: tuple[Value, Value, Value, Value], asked_by: str | None) -> End:
        """Give the end of an answer, which is a drop if who asked does not hear it."""
        if end.verdict != "accept":
            return end
        if self._goes_astray(end, asked_by):
            place = "this host" if end.delivered_to == "local" else end.delivered_to
            return _lost(end, f"the answer goes to {place}, which did not ask")
        flow = end.flow
        if (flow.dst, flow.src, flow.dport, flow.sport) != asked:
            return _lost(end, "the answer comes from another address or port than the one that was asked")
        return end

    def _goes_astray(self, end: End, asked_by: str | None) -> bool:
        """Tell whether an answer ends at this host or in one of its networks, when that is not who asked.

        That it leaves by another interface to the outside is common where a host has two ways out.
        """
        if end.delivered_to == asked_by:
            return False
        if asked_by is None:
            return end.delivered_to != "local"
        return end.delivered_to == "local" or end.delivered_to in self._host.host.bridges

    def _pass(self, flows: list[Flow], hook: str, ends: list[End]) -> list[Flow]:
        return self._hooks.take(flows, hook, ends, family=flows[0].family) if flows else []

    # ---- ways -----------------------------------------------------------------------------------------------------

    def _from_outside(self, flows: list[Flow], ends: list[End]) -> None:
        for flow in flows:
            flow.group = self._group(flow)
        if not flows or flows[0].iif not in self._host.host.bridges:
            self._prerouted(self._pass(flows, "ingress", ends), ends)
            return
        filtered = self._is_filtered_bridge(flows[0])
        for flow in self._frames(flows, "prerouting", ends, late=False if filtered else None):
            if filtered:
                self._prerouted([flow], ends)
                continue
            inside, others = self._bridged_part(flow)
            for item in self._frames(self._frames(inside, "forward", ends), "postrouting", ends):
                self._arrived(item, ends, "the bridge passes it on; no rule of IP sees it")
            self._prerouted(self._raised(others, ends), ends)

    def _frames(self, flows: list[Flow], hook: str, ends: list[End], *, late: bool | None = None) -> list[Flow]:
        """Pass chains that see frames. By which port of the bridge a frame comes or goes is not known.

        On a bridge that filters, rules of IP come between those of a priority below 0 and the others, the ``late`` ones.
        """
        if not self._hooks.calls(hook, BRIDGE, late=late):
            return flows
        passed: list[Flow] = []
        for flow in flows:
            before, names = len(ends), (flow.iif, flow.oif)
            flow.iif, flow.oif = _PORTS[hook]
            left = self._hooks.take([flow], hook, ends, family=BRIDGE, late=late)
            for item in (*left, *(end.flow for end in ends[before:])):
                item.iif, item.oif = names
            passed += left
        return passed

    def _raised(self, flows: list[Flow], ends: list[End]) -> list[Flow]:
        """Hand what a bridge does not pass on itself to the host."""
        return self._pass(self._frames(flows, "input", ends), "ingress", ends)

    def _bridged_part(self, flow: Flow) -> tuple[list[Flow], list[Flow]]:
        """Split off what goes from one port of a bridge to another."""
        if flow.iif not in self._host.host.bridges:
            return [], [flow]
        near = self._host.neighbours(flow.family, flow.iif or "")
        inside, outside = self._split(flow, flow.dst, near)
        for item in inside:
            item.oif = None
        return inside, outside

    def _split(self, flow: Flow, value: Value, meant: IntSet) -> tuple[list[Flow], list[Flow]]:
        """Split a flow by whether a number is one of these."""
        if isinstance(value, int):
            return ([flow], []) if value in meant else ([], [flow])
        if value is None:
            return [], [flow]
        inside = within(flow.region, value, meant)
        if inside is None:
            return [], [flow]
        if inside == flow.region:
            return [flow], []
        outside = without(flow.region, value, meant)
        return [flow.narrowed(inside)], [flow.narrowed(outside)] if outside is not None else []

    def _prerouted(self, flows: list[Flow], ends: list[End]) -> None:
        # A bridge that filters calls the hook itself, before IPv6 has looked at the addresses.
        late = bool(flows) and self._is_filtered_bridge(flows[0])
        for flow in flows if late else self._possible(flows, ends):
            asked = flow.dst
            passed = self._pass([flow], "prerouting", ends)
            for item in self._frames(passed, "prerouting", ends, late=True) if late else passed:
                self._route_in(item, asked, ends)

    def _is_filtered_bridge(self, flow: Flow) -> bool:
        return flow.iif in self._host.host.bridges and self._host.bridge_filtered(flow.family)

    def _possible(self, flows: list[Flow], ends: list[End]) -> list[Flow]:
        """Drop IPv6 packets with addresses that none from outside may have, as the kernel does before any rule."""
        kept: list[Flow] = []
        for flow in flows:
            if flow.family == 4:
                kept.append(flow)
                continue
            lost, others = self._split(flow, flow.dst, hosts.LOOPBACK6)
            kept += self._from_a_sender(others, hosts.LOOPBACK6 | hosts.MULTICAST6, ends)
            for item in lost:
                self._dropped(item, ends, "a destination that no packet from outside may have")
        return kept

    def _from_a_sender(self, flows: list[Flow], nobody: IntSet, ends: list[End]) -> list[Flow]:
        """Drop IPv6 packets of a sender that cannot be."""
        kept: list[Flow] = []
        for flow in flows:
            lost, others = self._split(flow, flow.src, nobody) if flow.family == 6 else ([], [flow])
            kept += others
            for item in lost:
                self._dropped(item, ends, "a sender that cannot be")
        return kept

    def _route_in(self, flow: Flow, asked: Value, ends: list[End]) -> None:
        """Decide about a packet from outside, which came for the address ``asked``: for this host, or to go on."""
        if not self._is_filtered_bridge(flow):
            self._route_from(flow, ends)
            return
        iif = flow.iif or ""
        near = self._host.neighbours(flow.family, iif)
        inside, others = self._split(flow, flow.dst, near)
        if flow.dst != asked:
            # The bridge asks the routing where the new address is, and turns to whoever has it.
            inside = [found for item in inside for found in self._turned(item, ends)]
            if self._group(flow):
                self._unsure(flow, ends, "is for many since its address was changed on a bridge")
                return
            for item in others:
                item.group = ""
        # What is for a neighbour stays on the bridge.
        for item in inside:
            item.bridged = True
            item.noted(Hop("routing", None, None, f"stays on {iif}", "bridge"))
            self._forward(item, iif, ends)
        for item in self._possible(self._raised(others, ends), ends):
            self._route_from(item, ends)

    def _turned(self, flow: Flow, ends: list[End]) -> list[Flow]:
        """Keep what IPv4's routing lets pass from one port of a bridge to another after NAT."""
        if flow.family == 6:
            return [flow]
        good = self._good_sources(flow, ends)
        if self._host.forwards(4, flow.iif or ""):
            return good
        for item in good:
            self._dropped(item, ends, "this host does not forward")
        return []

    def _group(self, flow: Flow) -> str:
        """Say what kind of frame goes to a flow's destination: ``broadcast``, ``multicast``, or empty."""
        if flow.certainly(flow.dst, hosts.MULTICAST6 if flow.family == 6 else hosts.MULTICAST4):
            return "multicast"
        return "broadcast" if flow.family == 4 and flow.certainly(flow.dst, self._broadcasts) else ""

    def _route_from(self, flow: Flow, ends: list[End]) -> None:
        iif = flow.iif or ""
        good = self._good_sources(flow, ends) if iif != "lo" else [flow]
        received = self._host.received(flow.family, iif)
        for item in good:
            local, others = self._split(item, item.dst, received)
            for one in local:
                self._deliver(one, ends)
            for other in others:
                self._route_on(other, ends)

    def _good_sources(self, flow: Flow, ends: list[End]) -> list[Flow]:
        """Drop what the kernel calls martian: IPv4 senders and destinations that cannot be."""
        if flow.family == 6:
            return [flow]
        bad, text = self._bad_destination(flow), "a destination that no packet from outside may have"
        wrong, good = self._split(flow, flow.dst, bad)
        sender = self._bad_sources(flow)
        kept: list[Flow] = []
        for item in good:
            impossible, possible = self._split(item, item.src, sender)
            kept += possible
            for one in impossible:
                self._dropped(one, ends, "the sender's address cannot come in by this interface")
        for item in wrong:
            self._dropped(item, ends, text)
        return kept

    def _bad_destination(self, flow: Flow) -> IntSet:
        bad = sets.EMPTY if flow.certainly(flow.src, hosts.ZERONET) else hosts.ZERONET
        if not self._host.of_interface("route_localnet", flow.iif or ""):
            bad = bad | hosts.LOOPBACK4
        return bad

    def _bad_sources(self, flow: Flow) -> IntSet:
        iif = flow.iif or ""
        key = (iif, flow.certainly(flow.dst, hosts.LIMITED_BROADCAST), flow.certainly(flow.dst, _HEARS_ANYONE))
        found = self._bad.get(key)
        if found is None:
            found = self._bad[key] = self._find_bad_sources(*key)
        return found

    def _find_bad_sources(self, iif: str, to_all: bool, hears_anyone: bool) -> IntSet:
        host = self._host
        bad = hosts.MULTICAST4 | hosts.LIMITED_BROADCAST
        # Who has no address yet may call all, and there nobody looks for loopback addresses.
        if not hears_anyone:
            bad = bad | hosts.ZERONET
        if not to_all and not host.of_interface("route_localnet", iif):
            bad = bad | hosts.LOOPBACK4
        strict = host.of_interface("rp_filter", iif)
        accepted = host.of_interface("accept_local", iif)
        if strict:
            local = host.local[4]
            good = host.reached_by(4, iif, loose=strict == 2) - host.broadcasts() - local
            if accepted:
                good = good | (local if strict == 2 else host.own(4, iif))
            return bad | (sets.ALL_ADDRESSES[4] - good - hosts.ZERONET)
        # Without the filter the kernel looks only for the very addresses of interfaces.
        own = (host.local[4] - hosts.LOOPBACK4) | host.own(4, "lo")
        return bad if accepted else bad | own

    def _route_on(self, flow: Flow, ends: list[End]) -> None:
        """Forward a packet that is not for this host."""
        iif = flow.iif or ""
        multicast = hosts.MULTICAST4 if flow.family == 4 else hosts.MULTICAST6
        groups, single = self._split(flow, flow.dst, multicast)
        for item in groups:
            self._unsure(item, ends, "is for a group, and who is in it was not read")
        for item in single:
            if not self._host.forwards(flow.family, iif):
                self._dropped(item, ends, "this host does not forward")
            elif item.group:
                self._dropped(item, ends, "what was sent to many is not forwarded")
            else:
                self._route_out(item, ends)

    def _route_out(self, flow: Flow, ends: list[End]) -> None:
        for item, oif in self._routed(flow, ends):
            kept = [item]
            # A bridge that asked the routing already lets IPv6 forget where the packet came from.
            turned = self._is_filtered_bridge(item) and (item.dnat if item.reply is None else item.snat)
            if flow.family == 6 and oif != flow.iif and not turned:
                lost, kept = self._split(item, item.src, hosts.LINKLOCAL6 | hosts.UNSPECIFIED6)
                for one in lost:
                    self._dropped(one, ends, "a sender's address of one link is not forwarded to another")
            for one in kept:
                one.noted(Hop("routing", None, None, f"goes on by {oif}", self._route_text(one)))
                self._forward(one, oif, ends)

    def _routed(self, flow: Flow, ends: list[End]) -> list[tuple[Flow, str]]:
        """Find the interface that a packet leaves by; what cannot leave ends here."""
        if self._host.host.policy_rules:
            self._unsure(flow, ends, f"is routed by a rule of its own: {self._host.host.policy_rules[0]}")
            return []
        if flow.dst is None:
            self._unsure(flow, ends, "goes to an address that is not known")
            return []
        if flow.family == 6 and flow.certainly(flow.dst, _BOUND6):
            return self._routed_on_link(flow, ends)
        if isinstance(flow.dst, int):
            name, text = self._host.route(flow.family, flow.dst)
            if not name or name in NOWHERE:
                self._dropped(flow, ends, text)
                return []
            return [(flow, name)]
        found: list[tuple[Flow, str]] = []
        for reach, name, text in self._host.routes(flow.family):
            inside = within(flow.region, flow.dst, reach)
            if inside is None:
                continue
            item = flow.narrowed(inside)
            if not name or name in NOWHERE:
                self._dropped(item, ends, text)
            else:
                found.append((item, name))
        return found

    def _routed_on_link(self, flow: Flow, ends: list[End]) -> list[tuple[Flow, str]]:
        """Find an address of one link, or of the host itself: only where the packet came from, or was bound to."""
        name = flow.iif or flow.oif
        if name is None:
            self._unsure(flow, ends, "goes to an address of one link, and nothing tells which")
            return []
        reached, others = self._split(flow, flow.dst, self._host.strict_reach(name))
        for other in others:
            self._dropped(other, ends, f"no route on {name}")
        return [(item, name) for item in reached]

    def _route_text(self, flow: Flow) -> str:
        if not isinstance(flow.dst, int):
            return "routes"
        if flow.dst in _BOUND6 and flow.family == 6:
            return self._host.strict_route(flow.dst, flow.oif or flow.iif or "")
        return self._host.route(flow.family, flow.dst)[1]

    def _deliver(self, flow: Flow, ends: list[End]) -> None:
        flow.noted(Hop("routing", None, None, "is for this host", destination(flow.family, flow.dst, flow.dport)))
        for item in self._pass([flow], "input", ends):
            ends.append(End(item, "accept", "local"))

    def _forward(self, flow: Flow, oif: str, ends: list[End]) -> None:
        flow.oif = oif
        if not flow.bridged:
            self._out(self._pass(self._pass([flow], "forward", ends), "postrouting", ends), ends)
            return
        passed = self._pass(self._frames([flow], "forward", ends, late=False), "forward", ends)
        passed = self._frames(self._frames(passed, "forward", ends, late=True), "postrouting", ends)
        # A bridge does not tell this hook by which interface a packet came.
        for item in passed:
            item.iif = None
        before = len(ends)
        left = self._pass(passed, "postrouting", ends)
        for item in (*left, *(end.flow for end in ends[before:])):
            item.iif = oif
        ends += [End(item, "accept", oif) for item in left]

    def _out(self, flows: list[Flow], ends: list[End]) -> None:
        """Let packets leave by their interface."""
        flows = self._pass(flows, "egress", ends)
        if flows and flows[0].oif in self._host.host.bridges:
            flows = self._frames(self._frames(flows, "output", ends), "postrouting", ends)
        ends += [End(flow, "accept", flow.oif) for flow in flows]

    def _arrived(self, flow: Flow, ends: list[End], text: str) -> None:
        flow.noted(Hop("bridge", None, None, text))
        ends.append(End(flow, "accept", flow.iif))

    def _dropped(self, flow: Flow, ends: list[End], text: str) -> None:
        ends.append(End(flow.copy().noted(Hop("routing", None, None, "drop", text)), "drop"))

    def _unsure(self, flow: Flow, ends: list[End], text: str) -> None:
        item = flow.copy()
        item.guesses = (*item.guesses, Hop("routing", None, None, text))
        ends.append(End(item, "unknown"))

    def _from_here(self, flows: list[Flow], ends: list[End]) -> None:
        """Send a packet of a process of this host."""

        def leads_somewhere(flow: Flow) -> list[Flow]:
            kept = self._route_own(flow.copy(), ends)
            for item in kept:
                # All of the hook sees the interface that was chosen before it.
                item.oif = flow.oif
            return kept

        for flow in flows:
            for item in self._route_own(flow, ends):
                for one in self._hooks.take([item], "output", ends, family=flow.family, keep=leads_somewhere):
                    for routed in self._route_own(one, ends):
                        self._leave(routed, ends)

    def _route_own(self, flow: Flow, ends: list[End]) -> list[Flow]:
        """Set the interface that a packet of this host leaves by."""
        if self._group(flow):
            self._unsure(flow, ends, "goes to many at once")
            return []
        local, others = self._split(flow, flow.dst, self._host.own_targets(flow.family))
        for item in local:
            item.oif = "lo"
        found = list(local)
        for other in others:
            for item, oif in self._routed(other, ends):
                kept = [item]
                if flow.family == 4 and not self._host.of_interface("route_localnet", oif):
                    lost, kept = self._split(item, item.src, hosts.LOOPBACK4)
                    for one in lost:
                        self._dropped(one, ends, "a loopback address does not leave the host")
                for one in kept:
                    one.oif = oif
                    found.append(one)
        return found

    def _leave(self, flow: Flow, ends: list[End]) -> None:
        oif = flow.oif or ""
        text = self._route_text(flow) if oif != "lo" else "local"
        flow.noted(Hop("routing", None, None, f"leaves by {oif}", text))
        for item in self._pass([flow], "postrouting", ends):
            if item.oif != "lo":
                self._out([item], ends)
                continue
            # It comes in again by the loopback interface, with its connection; NAT is settled.
            item.iif, item.oif, item.own, item.confirmed, item.nat_done = "lo", None, False, True, (True, True)
            for possible in self._from_a_sender([item], hosts.MULTICAST6, ends):
                for one in self._pass([possible], "prerouting", ends):
                    self._deliver(one, ends)


def _may_take(fork: Fork, flow: Flow) -> bool:
    """Tell whether a routing rule may mean these packets, as far as their mark and interface say."""
    if fork.family != flow.family or (fork.iif and fork.iif != (flow.iif or "lo")):
        return False
    if fork.mark is None or flow.mark is None:
        return True
    mask, value = fork.mark
    return flow.mark & mask == value


def _lost(end: End, text: str) -> End:
    return End(end.flow.copy().noted(Hop("routing", None, None, "drop", text)), "drop")


def answer_to(end: End, back_iif: str | None = None) -> Flow | None:
    """Make the first packet that comes back to an accepted one; None when nothing answers such a packet."""
    there = end.flow
    made = there.copy()
    made.src, made.dst, made.sport, made.dport = there.dst, there.src, there.dport, there.sport
    if there.proto in (1, 58):
        reply = _ECHO.get((there.proto, there.icmp_type if there.icmp_type is not None else -1))
        if reply is None:
            return None
        made.icmp_type, made.icmp_code = reply, 0
    made.flags = 0x12
    made.mark = 0
    made.bridged, made.group = False, ""
    made.uid = None
    made.path = None
    made.deciders = ()
    made.iif = None if end.delivered_to == "local" else (back_iif or end.delivered_to)
    made.own = made.iif is None
    # A host answers by the link of the question where the address alone does not tell it.
    made.oif = there.iif if made.own else None
    made.confirmed = True
    made.ct = None
    # An established connection stays known when a rule keeps conntrack from one of its packets.
    if there.ct in ("new", "established", "related") or there.state == "established":
        made.state = "established"
        made.reply = (made.src, made.dst, made.sport, made.dport)
        made.nat_done = (True, True)
    else:
        # Nobody noted the question: conntrack takes a lone SYN-ACK or echo reply for invalid, others for new connections.
        made.state = "invalid" if there.proto in (1, PROTOCOLS["tcp"], 58) else "new"
        made.reply = None
        made.original = (made.src, made.dst, made.sport, made.dport)
        made.snat = made.dnat = made.confirmed = False
        made.nat_done = (False, False)
    return made
