# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is asked of a host, and what is left alone, for kernels and hosts that the lab does not have."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.bulkhead.docker.plugins.module_utils._core.errors import CoreError
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.reading import Reading
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.sockets import Process
from ansible_collections.bulkhead.docker.plugins.module_utils._host.commands import Commands
from ansible_collections.bulkhead.docker.plugins.module_utils._host.files import Kernel, Tree
from ansible_collections.bulkhead.docker.plugins.module_utils._host.netfilter import NetfilterReader

ROUTES = ["ip -j addr", "ip -j -4 route show table all", "ip -j -4 rule"]
CONTAINER = "c0ffee" + "0" * 58

HEAD = "  sl  local_address\n"


def socket_line(port: int, inode: int) -> str:
    return f"   0: 00000000:{port:04X} 00000000:0000 0A 0:0 00:0 0 0 0 {inode} 1 0 100 0 0 10 0\n"


def rule(*expr: t.Any, family: str = "ip") -> dict[str, t.Any]:
    return {"rule": {"family": family, "table": "filter", "chain": "INPUT", "expr": list(expr)}}


def ruleset(*rules: dict[str, t.Any], family: str = "ip") -> dict[str, t.Any]:
    base = {"family": family, "table": "filter", "name": "INPUT", "hook": "input", "type": "filter", "prio": 0}
    return {"nftables": [{"table": {"family": family, "name": "filter"}}, {"chain": base}, *rules]}


XT = {"xt": {"type": "match", "name": "set"}}
LIMIT = {"limit": {"rate": 5, "per": "second"}}


class Module:
    """What the edge uses of AnsibleModule; programs are links, so that one may be another's name."""

    def __init__(self, folder: Path, outputs: t.Mapping[str, str | tuple[int, str]]) -> None:
        self._folder = folder
        self._outputs = outputs
        self.ran: list[str] = []

    def get_bin_path(self, name: str, opt_dirs: t.Sequence[str] = ()) -> str | None:
        path = self._folder / name
        return str(path) if path.exists() else None

    def run_command(self, argv: list[str], **_options: t.Any) -> tuple[int, str, str]:
        command = " ".join([Path(argv[0]).name, *argv[1:]])
        self.ran.append(command)
        found = self._outputs.get(command, "[]" if command.startswith("ip ") else "")
        return (found[0], "", found[1]) if isinstance(found, tuple) else (0, found, "")


class Place:
    """A host made of files."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.programs = folder / "bin"
        self.programs.mkdir()
        self.outputs: dict[str, str | tuple[int, str]] = {}
        self.nft: t.Mapping[str, t.Any] | None = {"nftables": []}
        self.asked_nft = 0
        self.ran: list[str] = []
        self.release = "6.1.0"
        for path in ("/proc/self/net/tcp", "/proc/self/net/udp", "/proc/self/net/route"):
            self.file(path, HEAD)
        self.link("/proc/self/ns/net", "net:[1]")
        self.file("/proc/modules", "")
        self.file("/lib/modules/6.1.0/modules.builtin", "kernel/net/ipv4/tunnel4.ko\n")
        self.folder("/sys/class/net")
        for name in (
            "ip",
            "iptables-nft-save",
            "iptables-legacy-save",
            "ip6tables-nft-save",
            "ip6tables-legacy-save",
            "ipset",
        ):
            self.program(name)

    def file(self, path: str, text: str = "") -> None:
        target = Path(str(self.root) + path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def folder(self, path: str) -> None:
        Path(str(self.root) + path).mkdir(parents=True, exist_ok=True)

    def link(self, path: str, to: str) -> None:
        target = Path(str(self.root) + path)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.symlink(to, target)

    def gone(self, path: str) -> None:
        Path(str(self.root) + path).unlink()

    def program(self, name: str, target: str = "") -> None:
        if target:
            (self.programs / target).touch()
            os.symlink(target, self.programs / name)
        else:
            (self.programs / name).touch()

    def modules(self, *names: str) -> None:
        for name in names:
            self.folder(f"/sys/module/{name}")

    def ask(self) -> t.Mapping[str, t.Any] | None:
        self.asked_nft += 1
        return self.nft

    def read(self, **containers: int) -> Reading:
        module = Module(self.programs, self.outputs)
        tree = Tree(str(self.root))
        reader = NetfilterReader(
            Commands(t.cast("t.Any", module)), self.ask, tree=tree, kernel=Kernel(tree, self.release)
        )
        try:
            return reader.read(containers)
        finally:
            self.ran = module.ran


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def troubles(reading: Reading) -> list[tuple[str, str]]:
    return [(trouble.about, trouble.text) for trouble in reading.troubles]


# ---- what is not there is not asked for ---------------------------------------------------------------------------


def test_a_kernel_without_netfilter_is_asked_for_addresses_and_routes_only(place: Place) -> None:
    reading = place.read()
    assert place.ran == ROUTES
    assert place.asked_nft == 0
    assert (reading.nft, reading.saves, reading.ipsets, reading.troubles) == ({}, {}, None, ())


@pytest.mark.parametrize(
    ("how", "asked"),
    [
        ({"/sys/module/nf_tables/refcnt": "3"}, True),
        ({"/lib/modules/6.1.0/modules.builtin": "kernel/net/netfilter/nf_tables.ko\n"}, True),
        ({"/lib/modules/6.1.0/modules.builtin": "kernel/net/netfilter/nf-tables.ko\n"}, True),
        ({"/lib/modules/5.0/modules.builtin": "kernel/net/netfilter/nf_tables.ko\n"}, False),
    ],
)
def test_nft_is_asked_when_the_kernel_has_what_it_reads(place: Place, how: dict[str, str], asked: bool) -> None:
    for path, text in how.items():
        place.file(path, text)
    place.read()
    assert bool(place.asked_nft) is asked


@pytest.mark.parametrize(
    ("symbols", "asked"),
    [
        ("0000000000000000 t nf_tables_newtable\n", True),
        ("0000000000000000 t nf_tables_newtable\t[nf_tables]\n", False),
        ("0000000000000000 t tcp_v4_rcv\n", False),
    ],
)
def test_where_no_list_of_built_in_modules_is_to_be_seen_the_kernels_symbols_tell(
    place: Place, symbols: str, asked: bool
) -> None:
    place.gone("/lib/modules/6.1.0/modules.builtin")
    place.file("/proc/kallsyms", symbols)
    place.read()
    assert bool(place.asked_nft) is asked


def test_a_kernel_that_loads_no_modules_is_asked(place: Place) -> None:
    place.gone("/proc/modules")
    place.read()
    assert place.asked_nft == 1


def test_ipv6_that_the_kernel_does_not_have_is_not_asked_for(place: Place) -> None:
    reading = place.read()
    assert set(reading.routes) == set(reading.rules) == {4}
    place.file("/proc/net/if_inet6")
    reading = place.read()
    assert set(reading.routes) == set(reading.rules) == {4, 6}


def test_routing_rules_that_the_kernel_was_built_without_are_none(place: Place) -> None:
    place.outputs["ip -j -4 rule"] = (2, "RTNETLINK answers: Operation not supported\nDump terminated")
    assert place.read().rules == {}


# ---- iptables -----------------------------------------------------------------------------------------------------


def test_iptables_is_asked_where_it_alone_knows_what_a_rule_says(place: Place) -> None:
    place.modules("nf_tables")
    place.nft = ruleset(rule(LIMIT))
    assert place.read().saves == {}
    place.nft = ruleset(rule(XT))
    place.outputs["iptables-nft-save"] = "*filter\n"
    assert place.read().saves == {("iptables", 4): "*filter\n"}
    assert place.ran == ["iptables-nft-save", *ROUTES]


def test_iptables_is_not_asked_where_it_would_load_a_module(place: Place) -> None:
    place.modules("nf_tables")
    place.nft = ruleset(rule(XT), rule(LIMIT))
    reading = place.read()
    assert place.ran == ROUTES
    ((about, text),) = troubles(reading)
    assert about == "extensions"
    assert "iptables-nft-save would make the kernel load xt_limit" in text
    place.modules("xt_limit")
    assert place.read().troubles == ()


@pytest.mark.parametrize("family", [4, 6])
def test_the_old_iptables_is_asked_when_it_has_a_table(place: Place, family: int) -> None:
    place.file("/proc/net/ip_tables_names")
    place.file("/proc/net/ip6_tables_names")
    assert place.read().saves == {}
    tool = "iptables" if family == 4 else "ip6tables"
    place.file(f"/proc/net/ip{'6' if family == 6 else ''}_tables_names", "filter\n")
    place.outputs[f"{tool}-legacy-save"] = "*filter\n"
    assert place.read().saves == {("legacy", family): "*filter\n"}
    assert place.ran == [f"{tool}-legacy-save", *ROUTES]


@pytest.mark.parametrize(
    ("variant", "program"),
    [("nft", "xtables-nft-multi"), ("legacy", "xtables-legacy-multi"), ("legacy", "xtables-multi")],
)
def test_iptables_save_will_do_if_it_is_the_program_that_is_wanted(place: Place, variant: str, program: str) -> None:
    (place.programs / "iptables-nft-save").unlink()
    (place.programs / "iptables-legacy-save").unlink()
    place.program("iptables-save", program)
    place.modules("nf_tables")
    place.nft = ruleset(rule(XT))
    place.file("/proc/net/ip_tables_names", "filter\n")
    reading = place.read()
    assert [key for key, _family in reading.saves] == ["iptables" if variant == "nft" else "legacy"]
    ((about, text),) = troubles(reading)
    assert about == ("rules" if variant == "nft" else "extensions")
    assert f"iptables-{'legacy' if variant == 'nft' else 'nft'}-save, which shows them, is not there" in text


def test_an_iptables_save_of_nobodys_make_is_not_asked(place: Place) -> None:
    (place.programs / "iptables-legacy-save").unlink()
    place.program("iptables-save", "wrapper.sh")
    place.file("/proc/net/ip_tables_names", "filter\n")
    reading = place.read()
    assert place.ran == ROUTES
    assert [about for about, _text in troubles(reading)] == ["rules"]


# ---- what fails is said -------------------------------------------------------------------------------------------


def test_names_of_old_tables_that_must_not_be_read_are_not_no_names(place: Place) -> None:
    # As root every file can be read, but no folder like a file.
    place.folder("/proc/net/ip_tables_names")
    reading = place.read()
    ((about, text),) = troubles(reading)
    assert about == "rules"
    assert reading.troubles[0].families == (4,)
    assert text.startswith("/proc/net/ip_tables_names cannot be read (")


def test_a_host_without_nft_says_that_its_tables_are_not_known(place: Place) -> None:
    place.modules("nf_tables", "nft_compat")
    place.nft = None
    reading = place.read()
    ((about, text),) = troubles(reading)
    assert about == "rules"
    assert "apt-get install nftables" in text
    assert place.ran == ROUTES


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_a_save_that_fails_is_a_trouble_with_the_tools_own_words(place: Place, variant: str) -> None:
    place.modules("nf_tables")
    place.nft = ruleset(rule(XT)) if variant == "nft" else ruleset()
    place.file("/proc/net/ip_tables_names", "filter\n" if variant == "legacy" else "")
    place.outputs[f"iptables-{variant}-save"] = (3, "Error: meta sreg key not supported\n")
    reading = place.read()
    assert reading.saves == {}
    ((about, text),) = troubles(reading)
    assert about == ("extensions" if variant == "nft" else "rules")
    assert "meta sreg key not supported" in text


def test_a_host_without_ip_is_refused(place: Place) -> None:
    (place.programs / "ip").unlink()
    with pytest.raises(CoreError) as refusal:
        place.read()
    assert refusal.value.reason_code == "ip_missing"
    assert "apt-get install iproute2" in refusal.value.sentence


@pytest.mark.parametrize("command", ROUTES)
def test_an_ip_that_fails_is_refused_with_its_own_words(place: Place, command: str) -> None:
    place.outputs[command] = (255, 'Option "-j" is unknown, try "ip -help".')
    with pytest.raises(CoreError, match=r"Option .-j. is unknown") as refusal:
        place.read()
    assert refusal.value.reason_code == "ip_unreadable"


# ---- ipsets -------------------------------------------------------------------------------------------------------

ASKS = "-A INPUT -m set --match-set banned src -j DROP\n"


def test_ipset_is_asked_when_a_rule_asks_for_a_set(place: Place) -> None:
    place.file("/proc/net/ip_tables_names", "filter\n")
    place.outputs["iptables-legacy-save"] = ASKS
    place.outputs["ipset save"] = "create banned hash:ip\n"
    assert place.read().ipsets == "create banned hash:ip\n"
    place.outputs["iptables-legacy-save"] = "-A INPUT -j DROP\n"
    assert place.read().ipsets is None
    assert "ipset save" not in place.ran


def test_sets_that_cannot_be_read_are_a_trouble(place: Place) -> None:
    place.file("/proc/net/ip_tables_names", "filter\n")
    place.outputs["iptables-legacy-save"] = ASKS
    place.outputs["ipset save"] = (1, "Kernel error received: Operation not permitted\n")
    reading = place.read()
    assert reading.ipsets is None
    assert [about for about, _text in troubles(reading)] == ["ipsets"]
    (place.programs / "ipset").unlink()
    ((about, text),) = troubles(place.read())
    assert about == "ipsets"
    assert "apt-get install ipset" in text


# ---- settings and bridges -----------------------------------------------------------------------------------------


def test_settings_are_told_by_their_names_with_interfaces_as_they_are_called(place: Place) -> None:
    place.file("/proc/sys/net/ipv4/ip_forward", "1\n")
    place.file("/proc/sys/net/ipv4/conf/eth0.10/rp_filter", "2\n")
    place.file("/proc/sys/net/ipv6/conf/all/forwarding", "0\n")
    place.file("/proc/sys/net/bridge/bridge-nf-call-iptables", "1\n")
    assert place.read().sysctls == {
        "net.ipv4.ip_forward": "1",
        "net.ipv4.conf.eth0.10.rp_filter": "2",
        "net.ipv6.conf.all.forwarding": "0",
        "net.bridge.bridge-nf-call-iptables": "1",
    }


def test_bridges_are_what_the_kernel_calls_one(place: Place) -> None:
    place.folder("/sys/class/net/eth0")
    place.folder("/sys/class/net/docker0/bridge")
    assert place.read().bridges == {"docker0"}


def test_a_bridge_that_filters_for_itself_is_a_trouble(place: Place) -> None:
    place.file("/sys/class/net/br0/bridge/nf_call_iptables", "1\n")
    place.file("/sys/class/net/br0/bridge/nf_call_ip6tables", "0\n")
    ((about, text),) = troubles(place.read())
    assert about == "routes"
    assert text.startswith("The bridge br0 has nf_call_iptables of its own")


# ---- sockets and processes ----------------------------------------------------------------------------------------


def process(place: Place, pid: int, name: str, *inodes: int, group: str = "/", netns: str = "net:[1]") -> None:
    place.file(f"/proc/{pid}/comm", f"{name}\n")
    place.file(f"/proc/{pid}/cgroup", f"0::{group}\n")
    place.link(f"/proc/{pid}/ns/net", netns)
    for number, inode in enumerate(inodes):
        place.link(f"/proc/{pid}/fd/{number}", f"socket:[{inode}]")


def test_a_socket_has_the_process_that_was_there_first(place: Place) -> None:
    place.file("/proc/self/net/tcp", HEAD + socket_line(22, 7) + socket_line(80, 8) + socket_line(81, 9))
    process(place, 90, "nginx", 8)
    process(place, 500, "worker", 8)
    process(place, 100, "sshd", 5, 7)
    assert place.read().owners == {7: Process(100, "sshd"), 8: Process(90, "nginx")}


def test_docker_proxy_has_its_socket_rather_than_the_daemon_that_opened_it(place: Place) -> None:
    place.file("/proc/self/net/tcp", HEAD + socket_line(80, 7))
    process(place, 50, "dockerd", 7)
    process(place, 60, "docker-proxy", 7)
    place.file(
        "/proc/60/cmdline",
        "docker-proxy\0-proto\0tcp\0-host-ip\0::\0-host-port\080\0-container-ip\0fd00::2\0-container-port\081\0",
    )
    process(place, 70, "docker-proxy", netns="net:[2]")
    place.file("/proc/70/cmdline", Path(str(place.root) + "/proc/60/cmdline").read_text())
    reading = place.read()
    assert reading.owners == {7: Process(60, "docker-proxy")}
    # The other one is of a Docker in some container.
    assert [(proxy.pid, proxy.container_ip, proxy.container_port) for proxy in reading.proxies] == [(60, "fd00::2", 81)]


def test_a_process_of_a_container_says_which(place: Place) -> None:
    place.file("/proc/self/net/tcp", HEAD + socket_line(80, 7))
    process(place, 60, "nginx", 7, group=f"/system.slice/docker-{CONTAINER}.scope")
    assert place.read(**{CONTAINER: 0}).owners == {7: Process(60, "nginx", CONTAINER)}


@pytest.mark.parametrize("name", ["tcp", "udp", "route"])
def test_a_host_whose_sockets_cannot_be_seen_says_so(place: Place, name: str) -> None:
    place.gone(f"/proc/self/net/{name}")
    reading = place.read()
    assert reading.own is None
    assert [about for about, _text in troubles(reading)] == ["sockets"]


def test_a_socket_listing_that_is_odd_is_left_to_whoever_reads_it(place: Place) -> None:
    place.file("/proc/self/net/tcp", HEAD + "odd\n")
    reading = place.read()
    assert reading.owners == {}
    assert reading.own is not None
    assert reading.own.sockets["tcp"] == HEAD + "odd\n"


# ---- containers ---------------------------------------------------------------------------------------------------


def inside(place: Place, pid: int) -> None:
    for name in ("tcp", "udp", "route", "ipv6_route"):
        place.file(f"/proc/{pid}/net/{name}", f"{name} of {pid}")


@pytest.mark.parametrize("where", ["cgroup", "mountinfo"])
def test_a_container_is_looked_into_by_its_first_process(place: Place, where: str) -> None:
    process(place, 300, "web", netns="net:[9]")
    inside(place, 300)
    place.file(f"/proc/300/{where}", f"... /var/lib/docker/containers/{CONTAINER}/hostname ...\n")
    reading = place.read(**{CONTAINER: 300})
    found = reading.containers[CONTAINER]
    assert (found.pid, found.netns, found.route, found.route6) == (300, "net:[9]", "route of 300", "ipv6_route of 300")
    assert found.sockets == {"tcp": "tcp of 300", "udp": "udp of 300"}
    assert reading.troubles == ()


def test_containers_of_one_network_namespace_are_looked_into_once(place: Place) -> None:
    other = "beef" + "0" * 60
    for pid, container, netns in ((300, CONTAINER, "net:[9]"), (301, other, "net:[9]")):
        process(place, pid, "web", group=f"/docker/{container}", netns=netns)
        inside(place, pid)
    found = place.read(**{CONTAINER: 300, other: 301}).containers
    assert (found[CONTAINER].pid, found[other].pid) == (300, 301)
    assert found[CONTAINER].sockets == found[other].sockets == {"tcp": "tcp of 300", "udp": "udp of 300"}


def test_a_container_in_the_hosts_network_has_the_hosts_sockets(place: Place) -> None:
    process(place, 300, "web", group=f"/docker/{CONTAINER}", netns="net:[1]")
    inside(place, 300)
    reading = place.read(**{CONTAINER: 300})
    assert reading.own is not None
    assert reading.containers[CONTAINER].sockets == reading.own.sockets


def test_containers_whose_namespace_cannot_be_named_are_each_looked_into(place: Place) -> None:
    other = "beef" + "0" * 60
    for pid, container in ((300, CONTAINER), (301, other)):
        process(place, pid, "web", group=f"/docker/{container}")
        place.gone(f"/proc/{pid}/ns/net")
        inside(place, pid)
    found = place.read(**{CONTAINER: 300, other: 301}).containers
    assert [found[name].route for name in (CONTAINER, other)] == ["route of 300", "route of 301"]


@pytest.mark.parametrize("pid", [0, 299, 300])
def test_a_process_that_is_not_the_containers_is_not_looked_into(place: Place, pid: int) -> None:
    """The daemon may be on another host, and a number may be given anew."""
    process(place, 300, "somebody-else")
    inside(place, 300)
    reading = place.read(**{CONTAINER: pid})
    assert reading.containers == {}
    ((about, text),) = troubles(reading)
    assert about == "containers"
    assert CONTAINER[:12] in text


def test_ufws_files_are_read_as_they_are(place: Place) -> None:
    place.file("/etc/ufw/ufw.conf", "ENABLED=yes\n")
    reading = place.read()
    assert reading.files["/etc/ufw/ufw.conf"] == "ENABLED=yes\n"
    assert reading.files["/etc/ufw/user.rules"] is None


def test_a_reader_forgets_the_troubles_of_its_last_read(place: Place) -> None:
    module = Module(place.programs, place.outputs)
    tree = Tree(str(place.root))
    reader = NetfilterReader(Commands(t.cast("t.Any", module)), place.ask, tree=tree, kernel=Kernel(tree, "6.1.0"))
    place.folder("/proc/net/ip_tables_names")
    assert len(reader.read({}).troubles) == len(reader.read({}).troubles) == 1
