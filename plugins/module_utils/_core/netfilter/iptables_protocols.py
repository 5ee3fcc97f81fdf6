# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Matches of iptables that look into the header of one protocol: ports, TCP flags, types of icmp."""

from __future__ import annotations

import typing as t
from functools import lru_cache

from . import icmp_types
from .iptables_options import Clause, Conditions, Header, Option
from .iptables_words import number, port_list, ports
from .packet import PROTOCOLS, WITH_PORTS
from .ruleset import Condition, Field, Lookup, Masked, Never, Unknowable, Within
from .sets import PORTS, IntSet


def _only_for(header: Header, protocols: t.Container[int]) -> None:
    # The kernel takes such a match only in a rule that asks for its protocol.
    if header.proto not in protocols:
        raise ValueError("the rule is not for this protocol")


@lru_cache(maxsize=8192)
def port(field: Field, text: str, negated: bool) -> Within:
    """Ask for one port or range of ports."""
    return Within(field, ports(text), negated)


def with_ports(name: str) -> t.Callable[[Clause, Header], Conditions]:
    """Make the reader of ``-m tcp`` and its likes."""
    meant = (PROTOCOLS[name],)

    def read(clause: Clause, header: Header) -> Conditions:
        _only_for(header, meant)
        return [_protocol_option(clause, name, option) for name, option in clause.options.items()]

    return read


def _protocol_option(clause: Clause, name: str, option: Option) -> Condition:
    if name == "dport":
        return port("dport", option.value, option.negated)
    if name == "sport":
        return port("sport", option.value, option.negated)
    if name == "tcp-flags":
        return Masked("tcp_flags", _tcp_flags(option.values[0]), _tcp_flags(option.values[1]), option.negated)
    if name == "syn":
        return Masked("tcp_flags", _tcp_flags("FIN,SYN,RST,ACK"), _tcp_flags("SYN"), option.negated)
    return Unknowable(clause.text_of(name))


_TCP_FLAGS = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32, "ALL": 63, "NONE": 0}


def _tcp_flags(text: str) -> int:
    found = 0
    for word in text.split(","):
        found |= _TCP_FLAGS[word.upper()]
    return found


#: The type that stands for all types in IPv4.
_ANY_ICMP = 255


def icmp(family: int, proto: int) -> t.Callable[[Clause, Header], Conditions]:
    """Make the reader of ``-m icmp`` (family 4) or ``-m icmp6`` (6)."""

    def read(clause: Clause, header: Header) -> Conditions:
        _only_for(header, (proto,))
        if header.family != family:
            raise ValueError("this match is of the other family")
        option = clause.options.get(f"icmp{'v6' if family == 6 else ''}-type")
        return () if option is None else _icmp_type(family, option.value, option.negated)

    return read


@lru_cache(maxsize=512)
def _icmp_type(family: int, text: str, negated: bool) -> Conditions:
    kind, code = _type_and_code(family, text)
    if kind == _ANY_ICMP and family == 4:
        return (Never("! any"),) if negated else ()
    types = IntSet.of(kind)
    if code is None:
        return (Within("icmp_type", types, negated),)
    codes = IntSet.of(code)
    if negated:
        return (Lookup(("icmp_type", "icmp_code"), ((types, codes),), negated=True),)
    return (Within("icmp_type", types), Within("icmp_code", codes))


def _type_and_code(family: int, text: str) -> tuple[int, int | None]:
    name = text.lower()
    if name == "any" and family == 4:
        return _ANY_ICMP, None
    found = icmp_types.BY_NAME[family].get(name)
    if found is not None:
        return found
    kind, slash, code = text.partition("/")
    return number(kind, 255), number(code, 255) if slash else None


def multiport(clause: Clause, header: Header) -> Conditions:
    """Read lists of ports; ``--ports`` asks whether either side has one of them."""
    _only_for(header, WITH_PORTS)
    found: list[Condition] = []
    for name, option in clause.options.items():
        meant = port_list(option.value)
        if name == "ports":
            found.append(Lookup(("sport", "dport"), ((meant, PORTS), (PORTS, meant)), option.negated))
        else:
            found.append(Within("sport" if name == "sports" else "dport", meant, option.negated))
    return found
