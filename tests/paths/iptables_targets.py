# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random targets of iptables rules, each valid in its table and at its hook."""

from __future__ import annotations

import typing as t

from . import values
from .iptables_conditions import Place
from .values import chance, weighted

_Target = t.Callable[[Place], str]


def target(place: Place, chains: t.Sequence[str]) -> str:
    """Choose what a rule does; ``chains`` are those it may call."""
    weights = dict(_TARGETS[place.table])
    if chains:
        weights[lambda _place: f"-j {place.random.choice(chains)}"] = 12
        weights[lambda _place: f"-g {place.random.choice(chains)}"] = 3
    return weighted(place.random, weights)(place)


def _word(word: str) -> _Target:
    return lambda _place: f"-j {word}" if word else ""


def _reject(place: Place) -> str:
    if place.proto == "tcp" and chance(place.random, 0.5):
        return "-j REJECT --reject-with tcp-reset"
    kinds = {
        4: ("icmp-port-unreachable", "icmp-host-prohibited", "icmp-admin-prohibited", "icmp-net-unreachable"),
        6: ("icmp6-port-unreachable", "icmp6-adm-prohibited", "icmp6-addr-unreachable"),
    }
    return f"-j REJECT --reject-with {place.random.choice(kinds[place.family])}"


def _log(place: Place) -> str:
    return place.random.choice(('-j LOG --log-prefix "seen -j DROP: "', "-j NFLOG --nflog-group 1"))


def _mark(place: Place) -> str:
    return f"-j MARK {place.random.choice(('--set-mark', '--set-xmark', '--or-mark', '--and-mark', '--xor-mark'))} {values.mark(place.random):#x}"


def _masked_mark(place: Place) -> str:
    return f"-j MARK --set-xmark {values.mark(place.random):#x}/{values.mask(place.random):#x}"


def _connmark(place: Place) -> str:
    number, mask = values.mark(place.random), values.mask(place.random)
    return "-j CONNMARK " + place.random.choice((
        f"--set-mark {number:#x}", f"--set-xmark {number:#x}/{mask:#x}", "--save-mark", "--restore-mark",
        f"--save-mark --nfmask {mask:#x} --ctmask {mask:#x}", f"--restore-mark --nfmask 0xff --ctmask {mask:#x}",
    ))  # fmt: skip


def _rare(place: Place) -> str:
    hops = "TTL --ttl-set 60" if place.family == 4 else "HL --hl-set 60"
    return f"-j {place.random.choice((hops, 'TOS --set-tos 0x10', 'CHECKSUM --checksum-fill'))}"


def _notrack(place: Place) -> str:
    return "-j CT --notrack"


def _clamp(place: Place) -> str:
    return "-p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1400" if not place.proto else ""


def _rewrite(place: Place) -> str:
    """Choose a target of the table nat that fits the hooks the rule is reached from."""
    fitting: dict[_Target, float] = {}
    if place.hooks <= {"PREROUTING", "OUTPUT"}:
        fitting.update({_dnat: 8, _redirect: 3, _netmap: 0.2})
    if place.hooks <= {"POSTROUTING", "INPUT"}:
        fitting[_snat] = 5
    if place.hooks <= {"POSTROUTING"}:
        fitting[_masquerade] = 7
    return weighted(place.random, fitting)(place) if fitting else "-j RETURN"


def _dnat(place: Place) -> str:
    return f"-j DNAT --to-destination {_destination(place)}"


def _destination(place: Place) -> str:
    random = place.random
    pool = values.containers(place.family)
    address = random.choice(pool) if chance(random, 0.7) else values.address(random, place.family)
    if place.proto not in ("tcp", "udp"):
        return address
    written = f"[{address}]" if place.family == 6 else address
    first, last = values.port_range(random)
    return random.choice(
        (
            address,
            f"{written}:{values.port(random)}",
            f"{written}:{values.port(random)}",
            f"{written}:{max(first, 1)}-{last}",
            f":{values.port(random)}",
        )
    )


def _netmap(place: Place) -> str:
    return f"-j NETMAP --to {'172.18.0.0/16' if place.family == 4 else 'fd18::/64'}"


def _snat(place: Place) -> str:
    address = values.address(place.random, place.family)
    if place.proto in ("tcp", "udp") and chance(place.random, 0.3):
        written = f"[{address}]" if place.family == 6 else address
        return f"-j SNAT --to-source {written}:{values.port(place.random)}"
    return f"-j SNAT --to-source {address}"


def _masquerade(place: Place) -> str:
    if place.proto in ("tcp", "udp") and chance(place.random, 0.2):
        return f"-j MASQUERADE --to-ports {values.port(place.random)}"
    return "-j MASQUERADE" + (" --random-fully" if chance(place.random, 0.1) else "")


def _redirect(place: Place) -> str:
    if place.proto in ("tcp", "udp") and chance(place.random, 0.7):
        return f"-j REDIRECT --to-ports {values.port(place.random)}"
    return "-j REDIRECT"


_TARGETS: dict[str, dict[_Target, float]] = {
    "raw": {_notrack: 5, _word("ACCEPT"): 4, _word("DROP"): 2, _word("RETURN"): 2, _word(""): 1, _log: 1},
    "mangle": {
        _mark: 6, _masked_mark: 3, _connmark: 5, _word("ACCEPT"): 4, _word("DROP"): 1, _word("RETURN"): 2, _clamp: 1,
        _log: 1, _rare: 0.3,
    },
    "security": {_word("ACCEPT"): 4, _word("DROP"): 2, _word("RETURN"): 2, _word(""): 1, _connmark: 1},
    "nat": {_rewrite: 14, _word("ACCEPT"): 2, _word("RETURN"): 2, _log: 1},
    "filter": {
        _word("ACCEPT"): 12, _word("DROP"): 8, _reject: 4, _word("RETURN"): 4, _log: 1, _word(""): 1, _mark: 1,
    },
}  # fmt: skip
