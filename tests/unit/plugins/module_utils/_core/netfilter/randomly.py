# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random packet filters over few addresses, ports, interfaces and marks, so that rules meet packets and each other."""

from __future__ import annotations

import functools
import typing as t

from hypothesis import strategies as st

from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter import sets
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.ruleset import (
    AddressType,
    Chain,
    Conntrack,
    CopyMark,
    Direction,
    Interface,
    IpSet,
    Jump,
    Lookup,
    Masked,
    Nat,
    Note,
    Opaque,
    Rate,
    ReversePath,
    Rule,
    Ruleset,
    SetMark,
    State,
    Status,
    Switch,
    Table,
    Unknowable,
    Untrack,
    Verdict,
    VerdictMap,
    Within,
)
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.sets import IntSet
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.trace import Host
from ansible_collections.bulkhead.docker.tests.unit.plugins.module_utils._core.netfilter import building

#: Senders and targets, and the prefixes that rules know them by.
ADDRESSES = (
    "198.51.100.7", "198.51.100.8", "198.51.100.200", "203.0.113.1", "192.0.2.9", "192.0.2.2", "192.0.2.3",
    "10.77.0.9", "10.77.0.2", "10.66.0.1", "172.18.0.1", "172.18.0.2", "172.18.0.3", "172.19.0.2", "127.0.0.1",
    "0.0.0.0", "255.255.255.255", "192.0.2.255", "224.0.0.1",
)  # fmt: skip
PREFIXES = (
    "198.51.100.0/24", "198.51.100.7", "198.51.100.8", "198.51.100.0/25", "203.0.113.0/24", "192.0.2.0/24",
    "192.0.2.2", "10.0.0.0/8", "10.77.0.9", "172.18.0.0/16", "172.18.0.2", "172.18.0.3", "172.16.0.0/12",
    "127.0.0.0/8", "0.0.0.0/0", "172.19.0.2", "198.51.100.9-198.51.101.3",
)  # fmt: skip
#: One of each kind that the ranges below tell apart.
PORTS = (0, 22, 79, 80, 81, 443, 1023, 1024, 2000, 2047, 2048, 8080, 40000, 65535)
PORT_RANGES = ((80, 80), (80, 443), (443, 443), (0, 1023), (1024, 65535), (1024, 2047), (8080, 8080), (40000, 40000))
INTERFACES = ("eth0", "eth1", "br0", "br1", "lo")
MARKS = (0, 1, 2, 3)

IPSETS = {
    "nets": ["198.51.100.0/24", "10.77.0.9", "172.18.0.2"],
    "doors": ["198.51.100.0/25,tcp:80", "172.18.0.0/16,8080", "0.0.0.0/1,80-443"],
    "links": ["198.51.100.0/24,eth0", "10.0.0.0/8,eth1"],
}

Draw = t.Callable[[st.SearchStrategy[t.Any]], t.Any]

_some = st.lists(st.sampled_from(PREFIXES), min_size=1, max_size=3)
_negated = st.sampled_from([False, False, False, True])


@functools.cache
def _addresses() -> st.SearchStrategy[IntSet]:
    return _some.map(lambda texts: building.addresses(*texts))


@functools.cache
def _ports() -> st.SearchStrategy[IntSet]:
    return st.lists(st.sampled_from(PORT_RANGES), min_size=1, max_size=2).map(IntSet)


@functools.cache
def _numbers() -> st.SearchStrategy[tuple[str, IntSet]]:
    fields = st.sampled_from(
        ["src", "src", "dst", "sport", "dport", "dport", "osrc", "odst", "odport", "rsrc", "rdport"]
    )
    return fields.flatmap(lambda field: st.tuples(st.just(field), _ports() if field.endswith("port") else _addresses()))


@functools.cache
def _small() -> st.SearchStrategy[tuple[str, IntSet]]:
    values = st.lists(st.sampled_from(MARKS), min_size=1, max_size=2).map(lambda listed: IntSet.of(*listed))
    return st.one_of(
        st.tuples(st.sampled_from(["mark", "ctmark"]), values),
        st.tuples(st.just("proto"), st.sampled_from([IntSet.of(6), IntSet.of(17), IntSet.of(6, 17)])),
    )


@functools.cache
def _connection() -> st.SearchStrategy[t.Any]:
    states = st.frozensets(
        st.sampled_from(["new", "established", "related", "invalid", "untracked", "dnat", "snat"]), min_size=1
    )
    bits = st.frozensets(st.sampled_from(["dnat", "snat", "confirmed", "seen-reply", "assured"]), min_size=1)
    within = (
        _numbers().filter(lambda pair: pair[0][0] in "or").map(lambda pair: Within(t.cast("t.Any", pair[0]), pair[1]))
    )
    direction = st.sampled_from(["original", "reply"])
    others = st.one_of(
        within, st.builds(Status, bits, _negated), st.builds(Direction, direction, _negated), st.just(Unknowable("x"))
    )
    state = st.builds(State, states, _negated)
    return st.one_of(
        state,
        st.builds(Conntrack, st.one_of(st.none(), state), st.lists(others, max_size=2).map(tuple)),
        st.builds(Status, bits, _negated),
        st.builds(Direction, direction, _negated),
    )


@functools.cache
def _lookup() -> st.SearchStrategy[t.Any]:
    one = st.lists(_addresses(), max_size=3).map(lambda listed: (("src",), tuple((item,) for item in listed)))
    pair = st.lists(st.tuples(_addresses(), _ports()), max_size=3).map(lambda listed: (("src", "dport"), tuple(listed)))
    names = st.frozensets(st.sampled_from(["eth0", "eth*", "br0"]), min_size=1)
    named = st.lists(st.tuples(names, _ports()), max_size=3).map(lambda listed: (("iif", "sport"), tuple(listed)))
    mixed = st.lists(st.tuples(_addresses(), st.sampled_from(MARKS).map(IntSet.of)), max_size=2).map(
        lambda listed: (("src", "ctmark"), tuple(listed))
    )
    return st.one_of(one, pair, named, mixed)


@functools.cache
def conditions() -> st.SearchStrategy[t.Any]:
    """Any condition; half of them are about an address or port."""
    numbers = st.tuples(_numbers(), _negated).map(lambda item: Within(item[0][0], item[0][1], item[1]))
    small = st.tuples(_small(), _negated).map(lambda item: Within(item[0][0], item[0][1], item[1]))
    names = st.frozensets(st.sampled_from(INTERFACES), min_size=1, max_size=2)
    kinds = st.frozensets(st.sampled_from(["LOCAL", "UNICAST", "BROADCAST", "MULTICAST"]), min_size=1, max_size=2)
    sets_of = st.sampled_from(
        [
            ("nets", ("src",)),
            ("nets", ("dst",)),
            ("doors", ("src", "dst")),
            ("links", ("src", "src")),
            ("gone", ("src",)),
        ]
    )
    return st.one_of(
        numbers,
        numbers,
        small,
        st.builds(Interface, st.sampled_from(["iif", "oif"]), names, st.sampled_from([(), ("eth",)]), _negated),
        _connection(),
        st.builds(AddressType, st.sampled_from(["src", "dst"]), kinds, _negated),
        st.tuples(sets_of, _negated).map(lambda item: IpSet(*item[0], item[1])),
        st.tuples(_lookup(), _negated, st.sampled_from([False, False, True])).map(
            lambda item: Lookup(item[0][0], item[0][1], item[1], filled_by_rules=item[2])
        ),
        st.builds(ReversePath, st.booleans(), st.booleans(), st.booleans()),
        st.just(Masked("tcp_flags", 0x17, 2)),
        st.sampled_from([Rate("limit", True), Rate("hits", False), Rate("chance"), Unknowable("moon")]),
    )


@functools.cache
def _nats(hook: str) -> st.SearchStrategy[Nat]:
    kind: t.Any = "dnat" if hook in ("prerouting", "output") else "snat"
    targets = ["172.18.0.2", "172.18.0.3", "172.19.0.2", "192.0.2.2", "172.18.0.2-172.18.0.3"]
    places = st.sampled_from(targets if kind == "dnat" else ["192.0.2.2", "172.18.0.1", "192.0.2.2-192.0.2.3"])
    ports = st.sampled_from([None, None, (80, 80), (443, 443), (1024, 2047), (1024, 65535)])
    return st.one_of(
        st.builds(lambda place, listed: Nat(kind, building.one(place), listed), places, ports),
        st.builds(lambda listed: Nat(kind, None, listed, to_interface=True), ports),
    )


@functools.cache
def effects(hook: str, kind: str, names: tuple[str, ...], depth: int = 0) -> st.SearchStrategy[t.Any]:
    """Any effect that the kernel allows at a hook; jumps go to ``names`` only."""
    verdicts = [Verdict("accept"), Verdict("drop"), Verdict("return")]
    if kind != "nat":
        verdicts += [Verdict("drop"), Verdict("accept"), Verdict("reject")]
    listed: list[st.SearchStrategy[t.Any]] = [st.sampled_from(verdicts), st.sampled_from(verdicts)]
    masks = st.sampled_from([0xFFFFFFFF, 0, 1])
    listed.append(st.builds(SetMark, st.sampled_from(["mark", "ctmark"]), masks, st.sampled_from(MARKS)))
    listed.append(st.sampled_from([CopyMark("mark", "ctmark"), CopyMark("ctmark", "mark"), Note("LOG")]))
    if names:
        listed += [st.builds(Jump, st.sampled_from(list(names)), st.sampled_from([False, False, True]))] * 2
    if kind == "nat":
        listed += [_nats(hook)] * 3
    if hook == "prerouting" and kind != "nat":
        listed.append(st.just(Untrack()))
    if depth == 0:
        inner = effects(hook, kind, names, 1)
        keys = st.lists(st.tuples(_ports().map(lambda ports: (ports,)), inner), max_size=3).map(tuple)
        listed.append(
            st.builds(VerdictMap, st.just(("dport",)), keys, st.just(""), st.sampled_from([False, False, True]))
        )
        cases = st.lists(st.tuples(st.lists(conditions(), max_size=2).map(tuple), inner), max_size=2).map(tuple)
        listed.append(st.builds(Switch, cases))
        listed.append(st.sampled_from([Opaque("-j MOON"), Opaque("queue", rewrites=False), Verdict("accept")]))
    return st.one_of(listed)


@functools.cache
def _rules(hook: str, kind: str, names: tuple[str, ...]) -> st.SearchStrategy[tuple[Rule, ...]]:
    plain = st.lists(conditions(), max_size=3)
    parts = st.one_of(
        st.tuples(plain, effects(hook, kind, names)).map(lambda item: (*item[0], item[1])),
        st.tuples(plain, effects(hook, kind, names), plain, effects(hook, kind, names)).map(
            lambda item: (*item[0], item[1], *item[2], item[3])
        ),
        # A list of banned senders, or of open ports.
        st.tuples(_numbers(), st.sampled_from([Verdict("drop"), Verdict("accept"), Verdict("return")])).map(
            lambda item: (Within(item[0][0], item[0][1]), item[1])
        ),
    )
    return st.lists(parts, max_size=5).map(lambda listed: building.rules(*listed))


#: Base chains that a ruleset may have: table, hook, priority, kind. Some share a place.
_BASES: tuple[tuple[Table, str, int, str], ...] = tuple(
    (Table(family, name, backend), hook, priority, kind)
    for family, name, backend, hook, priority, kind in (
        ("ip", "raw", "iptables", "prerouting", -300, "filter"),
        ("ip", "mangle", "iptables", "prerouting", -150, "filter"),
        ("ip", "nat", "iptables", "prerouting", -100, "nat"),
        ("ip", "filter", "iptables", "input", 0, "filter"),
        ("ip", "filter", "iptables", "forward", 0, "filter"),
        ("ip", "filter", "iptables", "output", 0, "filter"),
        ("ip", "nat", "iptables", "postrouting", 100, "nat"),
        ("ip", "nat", "iptables", "output", -100, "nat"),
        ("inet", "mine", "nft", "prerouting", -100, "filter"),
        ("inet", "mine", "nft", "prerouting", -100, "nat"),
        ("inet", "mine", "nft", "prerouting", -200, "filter"),
        ("inet", "mine", "nft", "forward", 0, "filter"),
        ("inet", "mine", "nft", "forward", -5, "filter"),
        ("inet", "mine", "nft", "input", 0, "filter"),
        ("inet", "mine", "nft", "postrouting", 90, "nat"),
    )
)  # fmt: skip


@st.composite
def rulesets(draw: Draw) -> Ruleset:
    """A ruleset of some base chains, each with chains of its own to jump to, which may call each other downwards."""
    found: list[Chain] = []
    bases = draw(st.lists(st.sampled_from(_BASES), min_size=1, max_size=5, unique=True))
    for number, (table, hook, priority, kind) in enumerate(bases):
        names = [f"{hook}{priority}{kind}{letter}" for letter in draw(st.sampled_from(["", "a", "ab"]))]
        for index, name in enumerate(names):
            found.append(Chain(table, name, draw(_rules(hook, kind, tuple(names[index + 1 :])))))
        policy = draw(st.sampled_from(["accept", "accept", "drop"] if kind != "nat" else ["accept"]))
        own = draw(_rules(hook, kind, (*names, *draw(st.sampled_from([(), (), (), ("gone",)])))))
        found.append(Chain(table, f"base{number}", own, hook, priority, policy, kind))
    return Ruleset(tuple(found))


def hosts() -> st.SearchStrategy[Host]:
    """The host of the plain tests with some of the kernel's switches."""
    switches = st.fixed_dictionaries(
        {},
        optional={
            "net.ipv4.conf.all.rp_filter": st.sampled_from([0, 1, 2]),
            "net.ipv4.conf.eth0.route_localnet": st.just(1),
            "net.ipv4.conf.all.accept_local": st.just(1),
            "net.bridge.bridge-nf-call-iptables": st.just(1),
            "net.ipv4.ip_forward": st.sampled_from([0, 1]),
        },
    )
    return switches.map(lambda sysctl: building.host(sysctl, ipsets=IPSETS))


def number(text: str) -> int:
    return sets.address(text)[1]
