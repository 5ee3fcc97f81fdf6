# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""One read of a host, as it was: texts of its kernel and tools. Made by the edge, understood by ``host_facts``."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .sockets import Process, Proxy

Backend = t.Literal["iptables", "legacy"]

#: What of an answer is not known because something could not be read; ``extensions`` are parts of rules that only
#: iptables' own tool shows.
About = t.Literal["rules", "extensions", "routes", "sockets", "ipsets", "containers"]


@dataclass(frozen=True)
class Trouble:
    """Something that could not be read: ``text`` says what, why it matters and what to do."""

    about: About
    text: str
    families: tuple[int, ...] = (4, 6)


@dataclass(frozen=True)
class Namespace:
    """The network namespace of a process, for a container: that of its first process.

    :param netns: the kernel's name of it, ``net:[4026531840]``; equal names are one namespace.
    :param sockets: /proc/PID/net/tcp, tcp6, udp and udp6 by their last name; of a file that is not there, the family or
        protocol is not either.
    :param route: /proc/PID/net/route
    :param route6: /proc/PID/net/ipv6_route
    """

    pid: int
    netns: str
    sockets: t.Mapping[str, str] = field(default_factory=dict)
    route: str = ""
    route6: str = ""


@dataclass(frozen=True)
class Reading:
    """One read of a host.

    What is empty is not there (no table, no set, no bridge). What could not be read is missing, and ``troubles`` says
    so: nothing that failed looks like nothing found.

    :param nft: what ``nft -j list ruleset`` said; empty when the kernel has no nf_tables.
    :param saves: by (backend, family) what iptables-save of that backend said, of those that have something to say.
    :param addresses: ``ip -j addr``
    :param routes: by family, ``ip -j route show table all``
    :param rules: by family, ``ip -j rule``; a family whose kernel has one order only is missing.
    :param sysctls: by full dotted name, interfaces as they are called (``net.ipv4.conf.eth0.10.rp_filter``).
    :param bridges: interfaces that are bridges.
    :param own: the namespace the reader is in, which is the host's.
    :param owners: by inode, the process that has a socket, as far as it may be known.
    :param proxies: every docker-proxy of the host.
    :param ipsets: ``ipset save``; None when no rule asks for a set or it could not be read.
    :param containers: by container ID.
    :param files: UFW's files by path, None for one that is not there.
    :param byteorder: the host's own.
    """

    nft: t.Mapping[str, t.Any] = field(default_factory=dict)
    saves: t.Mapping[tuple[Backend, int], str] = field(default_factory=dict)
    addresses: str = "[]"
    routes: t.Mapping[int, str] = field(default_factory=dict)
    rules: t.Mapping[int, str] = field(default_factory=dict)
    sysctls: t.Mapping[str, str] = field(default_factory=dict)
    bridges: frozenset[str] = frozenset()
    own: Namespace | None = None
    owners: t.Mapping[int, Process] = field(default_factory=dict)
    proxies: tuple[Proxy, ...] = ()
    ipsets: str | None = None
    containers: t.Mapping[str, Namespace] = field(default_factory=dict)
    files: t.Mapping[str, str | None] = field(default_factory=dict)
    byteorder: t.Literal["little", "big"] = "little"
    troubles: tuple[Trouble, ...] = ()
