# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Processes of the host: whose sockets are whose, and what is to be seen in their network namespaces."""

from __future__ import annotations

import typing as t

from .._core.netfilter import sockets
from .._core.netfilter.reading import Namespace
from .._core.netfilter.sockets import PROXY, Process, Proxy
from .files import Tree


def namespace(tree: Tree, process: str) -> Namespace | None:
    """Read the network namespace of a process (its number, or ``self``); None when it is gone or must not be seen.

    All of it is files of /proc. ``ss`` would ask the kernel by netlink, for which it loads inet_diag and tcp_diag.
    """
    base = f"/proc/{process}"
    listed = {name: tree.text(f"{base}/net/{name}") for name in sockets.FILES}
    route = tree.text(f"{base}/net/route")
    if listed["tcp"] is None or listed["udp"] is None or route is None:
        return None
    return Namespace(
        pid=int(process) if process.isdigit() else 0,
        netns=tree.link(f"{base}/ns/net"),
        sockets={name: text for name, text in listed.items() if text is not None},
        route=route,
        route6=tree.text(f"{base}/net/ipv6_route") or "",
    )


def belongs_to(tree: Tree, pid: int, container: str) -> bool:
    """Tell whether a process is one of a container: the daemon may be on another host, or the number be reused.

    Its control group has the container's ID as a name. Where Docker keeps none, files of the container are mounted in it.
    """
    return any(container in (tree.text(f"/proc/{pid}/{name}") or "") for name in ("cgroup", "mountinfo"))


class Owners:
    """One walk through all processes."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._pids = sorted(int(name) for name in tree.names("/proc") if name.isdigit())
        self._proxies = [pid for pid in self._pids if self._name(pid) == PROXY]

    def _name(self, pid: int) -> str:
        return (self._tree.text(f"/proc/{pid}/comm") or "").rstrip("\n")

    def proxies(self, netns: str) -> tuple[Proxy, ...]:
        """List the docker-proxies of a network namespace: a Docker in a container has its own."""
        found = []
        for pid in self._proxies:
            if self._tree.link(f"/proc/{pid}/ns/net") == netns:
                argv = (self._tree.text(f"/proc/{pid}/cmdline") or "").split("\0")
                found.append(sockets.proxy(argv, pid))
        return tuple(proxy for proxy in found if proxy)

    def of(self, inodes: t.Collection[int], containers: t.Iterable[str]) -> dict[int, Process]:
        """Find the process that has each of these sockets, and which of ``containers`` it belongs to.

        Of several the one that was there first; but docker-proxy before the daemon that handed it the socket.
        """
        wanted = {f"socket:[{inode}]": inode for inode in inodes}
        known = list(containers)
        found: dict[int, Process] = {}
        for pid in dict.fromkeys([*self._proxies, *self._pids]):
            if not wanted:
                break
            folder = f"/proc/{pid}/fd"
            links = (self._tree.link(f"{folder}/{name}") for name in self._tree.names(folder))
            inodes_here = [wanted.pop(link) for link in links if link in wanted]
            if inodes_here:
                group = self._tree.text(f"/proc/{pid}/cgroup") or ""
                process = Process(pid, self._name(pid), next((item for item in known if item in group), ""))
                found.update(dict.fromkeys(inodes_here, process))
        return found
