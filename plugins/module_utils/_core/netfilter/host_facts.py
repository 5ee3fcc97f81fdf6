# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""What one read of a host means: its ruleset, its addresses and routes, what listens on it and in its containers."""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass, field

from ..errors import CoreError
from . import ipset_save, iptables_nft, nft_rules, routing, sockets
from .host import Host, Listener
from .iptables_nft import Shared
from .reading import Namespace, Reading
from .routing import Routing
from .ruleset import Chain, Opaque, Rule, Ruleset, Table, parse_iptables_save

_FAMILY_NAMES: t.Mapping[tuple[int, ...], str] = {(4,): "ip", (6,): "ip6"}
_HOOKS = ("prerouting", "input", "forward", "output", "postrouting")


@dataclass(frozen=True)
class Inside:
    """A container's own network namespace; ``routes`` as in :class:`~.routing.Routing`.

    ``gateways`` is by family that of the default route; for one without a gateway an address that is nobody's.
    """

    listeners: tuple[Listener, ...] = ()
    routes: tuple[tuple[str, str, str], ...] = ()

    @property
    def gateways(self) -> dict[int, str]:
        found: dict[int, str] = {}
        for family, default, nobody in ((4, "0.0.0.0/0", "0.0.0.0"), (6, "::/0", "::")):
            for prefix, name, gateway in self.routes:
                if prefix == default and name != "unreachable" and family not in found:
                    found[family] = gateway or nobody
        return found


@dataclass(frozen=True)
class Facts:
    """What a reading means. ``inside`` is by container ID; ``troubles`` are sentences about what is not known."""

    ruleset: Ruleset
    host: Host
    routing: Routing
    inside: t.Mapping[str, Inside] = field(default_factory=dict)
    troubles: tuple[str, ...] = ()


def facts(reading: Reading) -> Facts:
    """Tell what a reading means. Raises CoreError when addresses and routes are not what ``ip`` prints."""
    troubles = [*(trouble.text for trouble in reading.troubles), *_hidden(reading)]
    rules = ruleset(reading)
    try:
        way = routing.read(reading.addresses, reading.routes, reading.rules)
    except (ValueError, TypeError, AttributeError) as error:
        raise CoreError(
            f"What ip says about addresses and routes is not understood: {error}.",
            hint="It has to be iproute2 of 2018 (4.18) or newer.",
            reason_code="ip_unreadable",
        ) from error
    listeners = _listeners(reading, troubles)
    inside = {}
    for container, namespace in reading.containers.items():
        found = _inside(reading, container, namespace, troubles)
        if found is not None:
            inside[container] = found
    host = Host(
        addresses=way.addresses,
        routes=way.routes,
        bridges=reading.bridges,
        sysctl=reading.sysctls,
        listeners=listeners,
        ipsets=ipset_save.parse(reading.ipsets or ""),
        forks=way.forks,
    )
    return Facts(rules, host, way, inside, tuple(dict.fromkeys([*troubles, *rules.troubles])))


# ---- rules --------------------------------------------------------------------------------------------------------


def ruleset(reading: Reading) -> Ruleset:
    """Put together what nft and the two iptables said, each rule from the tool that tells the truth about it.

    What could not be read is a chain at each hook that may do anything, so that no answer passes it unknowing. The tools
    are asked one after the other and each shows one moment; where they disagree about a chain, nft is believed.
    """
    listed = nft_rules.parse(reading.nft, with_iptables=True) if reading.nft else Ruleset()
    saves = {
        key: parse_iptables_save(_without_excuses(text), key[1], backend=key[0]) for key, text in reading.saves.items()
    }
    mixed = _mixed(listed, [save for key, save in saves.items() if key[0] == "iptables"], reading.nft)
    legacy = [chain for key, save in saves.items() if key[0] == "legacy" for chain in save.chains]
    troubles = [*listed.troubles, *(trouble for save in saves.values() for trouble in save.troubles)]
    return _blinded(Ruleset((*mixed, *legacy), tuple(troubles)), reading)


def _mixed(listed: Ruleset, saves: t.Sequence[Ruleset], nft: t.Mapping[str, t.Any]) -> list[Chain]:
    """Take nft's chains, with iptables' telling of the rules that iptables made."""
    shared = {table.key: table for table in iptables_nft.shared_tables(nft)}
    saved = {(*_key(chain), chain.name): chain for save in saves for chain in save.chains}
    shown = {key[:2] for key in saved}
    found = []
    for chain in listed.chains:
        table = shared.get(_key(chain)) if _key(chain) in shown else None
        found.append(_told(chain, table, saved) if table else chain)
    known = {(*_key(chain), chain.name) for chain in listed.chains}
    # What came to be meanwhile; but base chains that the kernel does not have are listed too, empty and accepting.
    new = (chain for key, chain in saved.items() if key not in known)
    return [*found, *(chain for chain in new if chain.rules or not chain.hook or chain.policy != "accept")]


def _key(chain: Chain) -> tuple[str, str]:
    return chain.table.family, chain.table.name


def _without_excuses(text: str) -> str:
    """Leave out what iptables-nft-save says about tables that it does not show: nft shows them."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("# Table `"))


def _hidden(reading: Reading) -> t.Iterator[str]:
    """Tell of tables that iptables-nft-save was asked for and does not show, so that nft's telling has to do."""
    for table in iptables_nft.shared_tables(reading.nft):
        text = reading.saves.get(("iptables", iptables_nft.FAMILIES[table.family]))
        if table.xt and text is not None and f"*{table.name}" not in text.splitlines():
            yield (
                f"Table {table.family} {table.name} has rules of iptables and others that iptables-nft-save refuses to show it "
                "with, so conditions that only iptables knows are not known. Move the rules that nft made to a table of "
                "another name."
            )


def _told(chain: Chain, table: Shared, saved: t.Mapping[tuple[str, str, str], Chain]) -> Chain:
    """Choose between the two tellings of each rule; all stand in one table, so that rules can jump between them."""
    chain = dataclasses.replace(chain, table=Table(table.family, table.name, "iptables"))
    other = saved.get((*_key(chain), chain.name))
    if other is None or chain.name in table.chains or len(other.rules) != len(chain.rules):
        return chain
    rules = (
        mine if (chain.name, number) in table.foreign else theirs
        for number, (mine, theirs) in enumerate(zip(chain.rules, other.rules), 1)
    )
    return dataclasses.replace(other, rules=tuple(rules))


def _blinded(found: Ruleset, reading: Reading) -> Ruleset:
    """Stand chains that may do anything for what could not be read or understood."""
    blind = {trouble.text: trouble.families for trouble in reading.troubles if trouble.about == "rules"}
    blind.update(dict.fromkeys(found.troubles, (4, 6)))
    chains = [
        Chain(
            Table(_FAMILY_NAMES.get(families, "inet"), "(not read)", "nft"),
            hook.upper(),
            (Rule(1, text, (Opaque(text),)),),
            hook,
            policy="accept",
        )
        for text, families in blind.items()
        for hook in _HOOKS
    ]
    return Ruleset((*found.chains, *chains), found.troubles)


# ---- sockets and containers ---------------------------------------------------------------------------------------


def _listeners(reading: Reading, troubles: list[str]) -> tuple[Listener, ...] | None:
    if reading.own is None:
        return None
    try:
        waiting = _waiting(reading.own, reading)
    except ValueError as error:
        troubles.append(f"What listens on this host is not known: {error}.")
        return None
    return sockets.listeners(waiting, reading.owners, proxies=reading.proxies)


def _waiting(namespace: Namespace, reading: Reading) -> list[sockets.Socket]:
    return [item for name, text in namespace.sockets.items() for item in sockets.read(name, text, reading.byteorder)]


def _inside(reading: Reading, container: str, namespace: Namespace, troubles: list[str]) -> Inside | None:
    try:
        waiting = _waiting(namespace, reading)
        routes = sockets.routes(namespace.route, namespace.route6, reading.byteorder)
    except ValueError as error:
        troubles.append(f"What listens in container {container[:12]} is not known: {error}.")
        return None
    return Inside(sockets.listeners(waiting), routes)
