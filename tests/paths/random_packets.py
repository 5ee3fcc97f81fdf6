# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random packets, as cases have them: the fields of the model's Packet, and by which cable they come (``tap``)."""

from __future__ import annotations

import typing as t
from random import Random

from . import topology, values
from .topology import family_of
from .values import chance, weighted

_V4_TYPES: dict[tuple[int, int], float] = {(8, 0): 8, (13, 0): 1, (0, 0): 1}
_V6_TYPES: dict[tuple[int, int], float] = {(128, 0): 8, (129, 0): 1, (135, 0): 0.5, (143, 0): 0.3}
#: Types that begin a connection; the others are invalid without one.
_BEGINNINGS = {4: (8, 13, 15, 17), 6: (128, 135, 139, 143)}
#: TCP flags of a first packet, and how connection tracking takes it.
_FLAGS: dict[tuple[tuple[str, ...], str], float] = {
    (("syn",), "new"): 20,
    (("ack",), "new"): 1,
    (("psh", "ack"), "new"): 1,
    (("syn", "ack"), "invalid"): 1,
    (("rst",), "invalid"): 1,
    (("fin", "ack"), "invalid"): 1,
    (("syn", "fin"), "invalid"): 1,
    ((), "invalid"): 0.5,
}


def packet(random: Random, family: int) -> dict[str, t.Any]:
    """Make one packet."""
    tap = weighted(random, {"eth0": 5, "eth1": 2, "c1": 3, "c2": 0.5, "d1": 1, "": 3})
    made: dict[str, t.Any] = {"family": family, "ct_state": "new"}
    if tap:
        cable = topology.tap_named(tap)
        made.update(iif=cable.interface, tap=tap, src=_source(random, family, cable))
    else:
        made.update(iif=None, src=_own_source(random, family), uid=random.choice(topology.UIDS))
        if chance(random, 0.2):
            made["mark"] = values.mark(random)
    made["dst"] = _target(random, family, tap)
    if tap and family == 6 and chance(random, 0.06):
        source, *targets = topology.LINK_LOCAL[tap]
        made.update(src=source if chance(random, 0.6) else made["src"], dst=random.choice((made["dst"], *targets)))
    made.update(_transport(random, family))
    made["round_trip"] = chance(random, 0.5)
    # Of a connection with itself the kernel does not know either which direction is which.
    if made["src"] != made["dst"] and not {made["src"], made["dst"]} & set(topology.ODD):
        _continue(random, made)
    return made


def _continue(random: Random, made: dict[str, t.Any]) -> None:
    """Let some packets belong to a connection that is there already."""
    if made["proto"] in ("tcp", "udp") or made.get("icmp_type") in (8, 128):
        if chance(random, 0.08):
            made["ct_state"] = "established"
            if made["proto"] == "tcp":
                made["tcp_flags"] = ["ack"]
        elif chance(random, 0.04):
            _complain(random, made)


def _complain(random: Random, made: dict[str, t.Any]) -> None:
    """Make of a packet an icmp error about one that its receiver had sent."""
    about: dict[str, t.Any] = {
        name: made.pop(name) for name in ("proto", "sport", "dport", "icmp_type", "icmp_code") if name in made
    }
    made.pop("tcp_flags", None)
    about.update(family=made["family"], src=made["dst"], dst=made["src"])
    if chance(random, 0.5):
        # A router on the way may complain as well.
        made["src"] = random.choice([item for item in values.addresses(made["family"]) if item not in topology.ODD])
    kind, name = (3, "icmp") if made["family"] == 4 else (1, "icmpv6")
    made.update(proto=name, icmp_type=kind, icmp_code=random.choice((0, 1)), sport=0, dport=0, ct_state="related")
    made.update(about=about, round_trip=False)


def _source(random: Random, family: int, tap: topology.Tap) -> str:
    kind = weighted(random, {"near": 8, "far": 5, "any": 2, "odd": 1})
    if kind == "any":
        return values.address(random, family)
    if kind == "odd":
        return random.choice(values.odd(family))
    if tap.bridge:
        # Containers mostly say who they are.
        group: t.Mapping[str, t.Sequence[str]] = topology.BEHIND
        return random.choice([item for item in group[tap.name] if family_of(item) == family])
    group = topology.NEAR if kind == "near" else topology.FAR
    return random.choice([item for item in group[tap.name] if family_of(item) == family])


def _own_source(random: Random, family: int) -> str:
    if chance(random, 0.05):
        return random.choice([item for item in values.addresses(family) if item not in topology.ODD])
    return random.choice(topology.own_addresses(family))


def _target(random: Random, family: int, tap: str) -> str:
    kind = weighted(random, {"own": 8, "container": 6, "any": 4, "odd": 1})
    if kind == "own":
        return random.choice(topology.own_addresses(family))
    if kind == "container":
        return random.choice(values.containers(family))
    if kind == "odd" and tap in topology.ETHERNETS:
        return random.choice(values.odd(family))
    return random.choice([item for item in values.addresses(family) if item not in topology.ODD])


def _transport(random: Random, family: int) -> dict[str, t.Any]:
    proto = weighted(random, {"tcp": 10, "udp": 6, "icmp": 4, "gre": 0.5, "253": 0.5})
    if proto in ("tcp", "udp"):
        made: dict[str, t.Any] = {"proto": proto, "sport": values.port(random), "dport": values.port(random)}
        if chance(random, 0.5):
            made["sport"] = 40000
        if proto == "tcp":
            flags, state = weighted(random, _FLAGS)
            made.update(tcp_flags=list(flags), ct_state=state)
        return made
    if proto == "icmp":
        kind, code = weighted(random, _V4_TYPES if family == 4 else _V6_TYPES)
        state = "new" if kind in _BEGINNINGS[family] else "invalid"
        name = "icmp" if family == 4 else "icmpv6"
        return {"proto": name, "icmp_type": kind, "icmp_code": code, "sport": 0, "dport": 0, "ct_state": state}
    return {"proto": proto, "sport": 0, "dport": 0}
