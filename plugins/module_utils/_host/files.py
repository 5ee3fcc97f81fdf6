# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Files of the host: its own, the kernel's in /proc and /sys, and what they tell about the kernel itself."""

from __future__ import annotations

import os
import re


class Tree:
    """The host's files below ``root``, which is empty for the host itself."""

    def __init__(self, root: str = "") -> None:
        self._root = root

    def text(self, path: str) -> str | None:
        """Read a file; None when it is not there or must not be read."""
        try:
            return self.read(path)
        except OSError:
            return None

    def read(self, path: str) -> str:
        """Read a file. Raises OSError."""
        with open(self._root + path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()

    def names(self, path: str) -> list[str]:
        """List a folder, sorted; empty when it is not there or must not be read."""
        try:
            return sorted(os.listdir(self._root + path))
        except OSError:
            return []

    def link(self, path: str) -> str:
        """Give what a symbolic link says; empty when it is not there or must not be read."""
        try:
            return os.readlink(self._root + path)
        except OSError:
            return ""

    def exists(self, path: str) -> bool:
        return os.path.lexists(self._root + path)


class Kernel:
    """What the kernel has already, so that nothing is asked that would make it load a module.

    A netlink request to a part of netfilter that is not there makes the kernel run modprobe: ``nft``, ``iptables-nft``
    and ``ipset`` load nfnetlink and nf_tables, nft_compat, ip_set; ``conntrack`` and ``ss`` load nf_conntrack_netlink
    and tcp_diag. A look at /proc and /sys loads nothing.
    """

    def __init__(self, tree: Tree, release: str | None = None) -> None:
        self._tree = tree
        self._release = os.uname().release if release is None else release
        self._built_in: frozenset[str] | None = None

    def has(self, module: str) -> bool:
        """Tell whether a module is loaded or built in, or that this kernel loads none at all."""
        return (
            self._tree.exists(f"/sys/module/{module}")
            or not self._tree.exists("/proc/modules")
            or module in self._read_built_in()
        )

    def _read_built_in(self) -> frozenset[str]:
        """List what is built in: most of it has no folder in /sys/module."""
        if self._built_in is None:
            listed = self._tree.text(f"/lib/modules/{self._release}/modules.builtin")
            if listed is None:
                # A container sees no such file. What a module brought has that module's name at the end of its line.
                found = _SYMBOL.findall(self._tree.text("/proc/kallsyms") or "")
            else:
                found = [line.rpartition("/")[2].partition(".")[0] for line in listed.splitlines()]
            self._built_in = frozenset(name.replace("-", "_") for name in found)
        return self._built_in


_SYMBOL = re.compile(r"^\S+ \S (nf_tables|ip_set|nft_compat)_\w+$", re.MULTILINE)
