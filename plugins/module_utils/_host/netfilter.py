# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""One read of all that decides about packets, which changes nothing on the host.

What a tool would read is looked for in /proc and /sys first, and the tool is asked only if it can find something. Asking
in vain is not harmless:

================================  =====================================================================================
``nft list ...``                  loads nfnetlink and nf_tables where they are modules and not loaded
``iptables-nft-save``             the same; and for each extension it prints, nft_compat and the extension's own module
``iptables-nft -L``               the same
``iptables-legacy-save``          nothing as long as /proc/net/ip_tables_names says which tables there are
``iptables-legacy-save -t T``     loads the table's module, and makes the table in this network namespace
``iptables-legacy -L``            the same: an empty table, with hooks, that was not there before
``ipset save``                    loads ip_set
``conntrack -L``                  loads nf_conntrack and nf_conntrack_netlink
``ss -ltn``                       loads inet_diag and tcp_diag
``ip addr``, ``route``, ``rule``  nothing: rtnetlink is always there, and a listing asks for no kind of link
/proc/net, /proc/sys, /sys        nothing
================================  =====================================================================================

(Seen on Debian's kernels 6.1 and 6.12 with iptables 1.8.9 and 1.8.11, of which each loads only what is asked for, by
noting every call of modprobe.)

Not read: SCTP sockets, the old ebtables and arptables, other network namespaces than the host's and the containers'.
"""

from __future__ import annotations

import dataclasses
import sys
import typing as t

from .._core import ufw
from .._core.errors import CoreError
from .._core.guard_preflight import AFTER_RULES
from .._core.netfilter import iptables_nft, sockets
from .._core.netfilter.reading import About, Backend, Namespace, Reading, Trouble
from .commands import Commands
from .files import Kernel, Tree
from .processes import Owners, belongs_to, namespace

UFW_FILES = (ufw.CONF, ufw.DEFAULTS, ufw.RULES, ufw.RULES6, *AFTER_RULES)

_TOOLS = {4: "iptables", 6: "ip6tables"}
_NAMES = {4: "/proc/net/ip_tables_names", 6: "/proc/net/ip6_tables_names"}

#: What the walk asks for: single settings, and those of each interface by family.
_SYSCTLS = (
    "net.ipv4.ip_forward",
    "net.ipv6.bindv6only",
    "net.bridge.bridge-nf-call-iptables",
    "net.bridge.bridge-nf-call-ip6tables",
)
_OF_INTERFACES = {"ipv4": ("rp_filter", "route_localnet", "forwarding", "accept_local"), "ipv6": ("forwarding",)}


class NetfilterReader:
    """Reads a host once. ``nft`` gives nft's ruleset as JSON, or raises a CoreError."""

    def __init__(
        self,
        commands: Commands,
        nft: t.Callable[[], t.Mapping[str, t.Any] | None],
        *,
        tree: Tree | None = None,
        kernel: Kernel | None = None,
    ) -> None:
        self._commands = commands
        self._ask_nft = nft
        self._tree = tree or Tree()
        self._kernel = kernel or Kernel(self._tree)
        self._troubles: list[Trouble] = []

    def read(self, containers: t.Mapping[str, int]) -> Reading:
        """Read everything; ``containers`` are the numbers of their first processes by container ID.

        Raises CoreError when the host cannot be read at all: without ``ip``, or without the right to.
        """
        self._troubles = []
        families = (4, 6) if self._tree.exists("/proc/net/if_inet6") else (4,)
        nft = self._nft()
        saves = {**self._nft_saves(nft), **self._legacy_saves()}
        own = self._own()
        owners = Owners(self._tree)
        proxies = owners.proxies(own.netns) if own else ()
        return Reading(
            nft=nft or {},
            saves=saves,
            addresses=self._ip("addr"),
            routes={family: self._ip(f"-{family}", "route", "show", "table", "all") for family in families},
            rules={family: text for family in families for text in self._rules(family)},
            sysctls=self._sysctls(),
            bridges=self._bridges(),
            own=own,
            owners=owners.of(self._waiting(own), containers),
            proxies=proxies,
            ipsets=self._ipsets(saves.values()),
            containers=self._containers(containers, own),
            files={path: self._tree.text(path) for path in UFW_FILES},
            byteorder=sys.byteorder,
            troubles=tuple(self._troubles),
        )

    def _trouble(self, about: About, text: str, *families: int) -> None:
        self._troubles.append(Trouble(about, text, families or (4, 6)))

    # ---- rules ----------------------------------------------------------------------------------------------------

    def _nft(self) -> t.Mapping[str, t.Any] | None:
        """Ask nft if the kernel has nf_tables; None when there is no nft to ask."""
        if not self._kernel.has("nf_tables"):
            return {}
        found = self._ask_nft()
        if found is None:
            self._trouble(
                "rules",
                "The command nft is not there, so rules of nftables, which this kernel has, cannot be seen. On Debian and "
                "Ubuntu: apt-get install nftables.",
            )
        return found

    def _nft_saves(self, nft: t.Mapping[str, t.Any] | None) -> dict[tuple[Backend, int], str]:
        if nft is None:
            # Whatever it prints, it does not make up for what nft would have told.
            return {}
        saves: dict[tuple[Backend, int], str] = {}
        for family in iptables_nft.families(iptables_nft.shared_tables(nft)):
            missing = [name for name in iptables_nft.modules(nft, family) if not self._kernel.has(name)]
            if missing:
                self._trouble(
                    "extensions",
                    f"{_TOOLS[family]}-nft-save would make the kernel load {', '.join(missing)}, so it was not asked, and "
                    f"what only iptables can say about its rules is not known. Run 'modprobe -a {' '.join(missing)}' if "
                    "that is no harm.",
                    family,
                )
                continue
            text = self._save(family, "nft", "extensions")
            if text is not None:
                saves["iptables", family] = text
        return saves

    def _legacy_saves(self) -> dict[tuple[Backend, int], str]:
        saves: dict[tuple[Backend, int], str] = {}
        for family, path in _NAMES.items():
            try:
                names = self._tree.read(path)
            except FileNotFoundError:
                # The old tables are not in this kernel.
                continue
            except OSError as error:
                self._trouble(
                    "rules",
                    f"{path} cannot be read ({error.strerror}), so rules of the old iptables are not known. Run with "
                    "become: true.",
                    family,
                )
                continue
            text = self._save(family, "legacy", "rules") if names.strip() else None
            if text is not None:
                saves["legacy", family] = text
        return saves

    def _save(self, family: int, variant: str, about: About) -> str | None:
        """Run iptables-save of one backend, by its own name or by the plain one if that is the same program."""
        tool = _TOOLS[family]
        name = f"{tool}-{variant}-save"
        if self._commands.find(name) is None and self._commands.program(f"{tool}-save") in _PROGRAMS[variant]:
            name = f"{tool}-save"
        path = self._commands.find(name)
        if path is None:
            self._trouble(
                about,
                f"The kernel has rules of {tool} ({variant}), but {name}, which shows them, is not there. On Debian and "
                "Ubuntu: apt-get install iptables.",
                family,
            )
            return None
        done = self._commands.run([path])
        if done.status:
            text = (
                f"{name} cannot read the rules: {done.complaint}. Run it on the host to see more; rules that nft wrote into "
                "a table of iptables are the usual reason."
            )
            self._trouble(about, text, family)
            return None
        return done.output

    def _ipsets(self, saves: t.Iterable[str]) -> str | None:
        """Ask for all ipsets if a rule asks for one: then the kernel has them, and nothing is loaded."""
        if not any("--match-set" in text for text in saves):
            return None
        path = self._commands.find("ipset")
        if path is None:
            self._trouble(
                "ipsets",
                "Rules ask for ipsets, but the command ipset is not there, so what is in them is not known. On Debian and "
                "Ubuntu: apt-get install ipset.",
            )
            return None
        done = self._commands.run([path, "save"])
        if done.status:
            self._trouble("ipsets", f"ipset cannot read the sets that rules ask for: {done.complaint}.")
            return None
        return done.output

    # ---- addresses, routes, settings ------------------------------------------------------------------------------

    def _ip(self, *words: str) -> str:
        path = self._commands.find("ip")
        if path is None:
            raise CoreError(
                "The command ip is not there, and without addresses and routes no path can be told.",
                hint="On Debian and Ubuntu: apt-get install iproute2.",
                reason_code="ip_missing",
            )
        done = self._commands.run([path, "-j", *words])
        if done.status:
            raise CoreError(
                f"'ip -j {' '.join(words)}' failed: {done.complaint}.",
                hint="It has to be iproute2 of 2018 (4.18) or newer; busybox's ip has no JSON.",
                reason_code="ip_unreadable",
            )
        return done.output

    def _rules(self, family: int) -> t.Iterator[str]:
        try:
            yield self._ip(f"-{family}", "rule")
        except CoreError as error:
            # The kernel's word where it was built without routing rules (EOPNOTSUPP, EAFNOSUPPORT).
            if "not supported" not in error.msg:
                raise

    def _sysctls(self) -> dict[str, str]:
        paths = {name: f"/proc/sys/{name.replace('.', '/')}" for name in _SYSCTLS}
        for family, options in _OF_INTERFACES.items():
            for name in self._tree.names(f"/proc/sys/net/{family}/conf"):
                for option in options:
                    paths[f"net.{family}.conf.{name}.{option}"] = f"/proc/sys/net/{family}/conf/{name}/{option}"
        found = {name: self._tree.text(path) for name, path in paths.items()}
        return {name: text.strip() for name, text in found.items() if text is not None}

    def _bridges(self) -> frozenset[str]:
        base = "/sys/class/net"
        bridges = {name for name in self._tree.names(base) if self._tree.exists(f"{base}/{name}/bridge")}
        for name in sorted(bridges):
            for option in ("nf_call_iptables", "nf_call_ip6tables"):
                if (self._tree.text(f"{base}/{name}/bridge/{option}") or "0").strip() != "0":
                    self._trouble(
                        "routes",
                        f"The bridge {name} has {option} of its own, which is not followed: bridged packets on it may be "
                        "filtered though net.bridge says that they are not.",
                    )
        return frozenset(bridges)

    # ---- sockets and containers -----------------------------------------------------------------------------------

    def _own(self) -> Namespace | None:
        found = namespace(self._tree, "self")
        if found is None:
            self._trouble("sockets", "/proc/net cannot be read, so it is not known what listens on this host.")
        return found

    def _waiting(self, own: Namespace | None) -> set[int]:
        if own is None:
            return set()
        try:
            return {
                item.inode
                for name, text in own.sockets.items()
                for item in sockets.read(name, text, sys.byteorder)
                if item.inode
            }
        except ValueError:
            # Whoever reads these texts in earnest will say so.
            return set()

    def _containers(self, containers: t.Mapping[str, int], own: Namespace | None) -> dict[str, Namespace]:
        found: dict[str, Namespace] = {}
        # Containers may share a namespace, and the kernel goes through all its sockets for each file of each of them.
        known = {own.netns: own} if own and own.netns else {}
        for container, pid in containers.items():
            if not pid or not belongs_to(self._tree, pid, container):
                continue
            netns = self._tree.link(f"/proc/{pid}/ns/net")
            inside = known.get(netns) or namespace(self._tree, str(pid))
            if inside is not None:
                found[container] = dataclasses.replace(inside, pid=pid)
                known.update({netns: inside} if netns else {})
        missing = sorted(container[:12] for container in containers if container not in found)
        if missing:
            self._trouble(
                "containers",
                f"The first processes of {len(missing)} containers are not to be seen on this host ({', '.join(missing)}), "
                "so it is not known what listens in them. Run on the daemon's own host, in its own process namespace.",
            )
        return found


_PROGRAMS = {"nft": frozenset({"xtables-nft-multi"}), "legacy": frozenset({"xtables-legacy-multi", "xtables-multi"})}
