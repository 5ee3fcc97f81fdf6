# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read of a real host: it is what is there, and reading it leaves no trace."""

from __future__ import annotations

import base64
import json
import pickle
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lab
import pytest

from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter import host_facts, routing, sets
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.host_facts import Facts
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.packet import Packet
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.reading import Reading
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.trace import trace
from integration.hosts import DockerHost, Host

LIBRARY = Path(__file__).parent / "library"
FRESH = "fresh"
WEB = ("httpd", "-f", "-h", "/www", "-p", "80")


@dataclass(frozen=True)
class Read:
    """One read: what came back, what it means, the commands that were run for it."""

    reading: Reading
    facts: Facts
    commands: tuple[str, ...]


@pytest.fixture(autouse=True)
def _prepared(monkeypatch: pytest.MonkeyPatch, engine: DockerHost) -> Iterator[None]:
    monkeypatch.setenv("ANSIBLE_LIBRARY", str(LIBRARY))
    yield
    # A reset of the lab does not know the old iptables and ipsets; sets that rules ask for cannot go before the rules.
    engine.run("sh", "-c", "iptables-legacy -F; iptables -F INPUT; iptables -F DOCKER-USER; ipset destroy", check=False)


def ask(engine: DockerHost, *, remote_user: str = "root", python: str = "", **arguments: Any) -> dict[str, Any]:
    """Run the test's own module through Ansible; a failure is returned, not raised."""
    task = {"name": "Read", "read_host": arguments, "ignore_errors": True}
    variables = {"ansible_python_interpreter": python} if python else {}
    (result,) = engine._tasks([task], remote_user=remote_user, vars=variables)
    return result


def read(engine: DockerHost, **arguments: Any) -> Read:
    return read_of(ask(engine, **arguments))


def read_of(result: Mapping[str, Any]) -> Read:
    assert not result["failed"], result["msg"]
    reading = pickle.loads(base64.b64decode(result["reading"]))
    return Read(reading, host_facts.facts(reading), tuple(result["commands"]))


def background(engine: DockerHost, *argv: str) -> None:
    """Start a program that stays; a reset ends it."""
    engine.run("sh", "-c", 'setsid "$@" >/tmp/background 2>&1 </dev/null &', "sh", *argv)


def serve(engine: DockerHost, address: str, port: int, *, v6only: int | None = None) -> None:
    """Answer on a port with nothing but an open door."""
    family = "AF_INET6" if ":" in address else "AF_INET"
    option = f"s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, {v6only});" if v6only is not None else ""
    program = (
        f"import socket, time; s = socket.socket(socket.{family}); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1);"
        f"{option} s.bind(({address!r}, {port})); s.listen(9); time.sleep(3600)"
    )
    background(engine, "python3", "-c", program)
    for _attempt in range(50):
        if f":{port:04X} " in engine.run("cat", "/proc/net/tcp", "/proc/net/tcp6").stdout:
            return
        time.sleep(0.1)
    raise AssertionError(f"nothing listens on {address} port {port}")


# ---- nothing is changed -------------------------------------------------------------------------------------------


def state(engine: DockerHost, *prefix: str) -> dict[str, str]:
    """Everything that a read could change, but for counters."""
    commands = {
        "rules": "nft -a list ruleset; nft list tables",
        "modules": "cat /proc/modules 2>/dev/null; ls /sys/module",
        "old tables": "cat /proc/net/ip_tables_names /proc/net/ip6_tables_names /proc/net/arp_tables_names 2>/dev/null",
        "old rules": "iptables-legacy-save; ip6tables-legacy-save",
        "sets": "ipset save | sort",
        "settings": "sysctl -a 2>/dev/null | grep -E '^net[.](ipv4|ipv6|bridge|netfilter)' | grep -v -E 'random|stat|gc_|count'",
        "addresses": "ip -o link | cut -d: -f2; ip -o addr | awk '{ print $2, $3, $4 }'",
        "routes": "(ip route show table all; ip -6 route show table all; ip rule; ip -6 rule) | sed 's/ linkdown//'",
        "protocols": "cut -d' ' -f1 /proc/net/protocols; cut -c18-20 /proc/net/netlink | sort -u",
    }
    found = {name: engine.run(*prefix, "sh", "-c", text, check=False).stdout for name, text in commands.items()}
    counters = re.compile(r"packets \d+ bytes \d+|\[\d+:\d+\]|expires \S+|^#.*", re.MULTILINE)
    return {name: counters.sub("", text) for name, text in found.items()}


def settled(engine: DockerHost, *prefix: str) -> None:
    """Wait until no interface tries out an address any more."""
    for _attempt in range(100):
        if not engine.run(*prefix, "ip", "-6", "addr", "show", "tentative").stdout:
            time.sleep(0.5)
            return
        time.sleep(0.1)
    raise AssertionError("an address stays tentative")


class Monitor:
    """Listens to all that happens to rules, sets, addresses and routes of a network namespace."""

    def __init__(self, engine: DockerHost, *prefix: str) -> None:
        self._engine, self._prefix = engine, prefix
        # Not links: a port of a bridge changes its state by itself for a while.
        links = "ip monitor address route rule >/tmp/links"
        background(engine, *prefix, "sh", "-c", f"nft monitor >/tmp/rules & {links} & wait")
        self._awake("before")

    def _awake(self, name: str) -> None:
        """Let it see a table and an address that come and go: what happened before that has been seen too."""
        for attempt in range(50):
            address = f"192.0.2.{1 + attempt}/32"
            self._engine.run(*self._prefix, "nft", f"add table inet {name}; delete table inet {name}")
            for verb in ("add", "del"):
                self._engine.run(*self._prefix, "ip", "addr", verb, address, "dev", "lo")
            seen = self._engine.run("cat", "/tmp/rules", "/tmp/links").stdout
            if f"delete table inet {name}" in seen and f"Deleted local {address[:-3]} " in seen:
                return
            time.sleep(0.1)
        raise AssertionError("the monitors say nothing")

    def events(self) -> list[str]:
        """Tell what happened since this monitor was made."""
        self._awake("after")
        lines = self._engine.run("cat", "/tmp/rules", "/tmp/links").stdout.splitlines()
        ours = re.compile(
            r"# new generation.*|(add|delete) table inet (before|after)|.*\b192[.]0[.]2[.].*|\s*valid_lft.*"
        )
        return [line for line in lines if not ours.fullmatch(line.strip())]


@pytest.fixture
def fresh(engine: DockerHost) -> Iterator[str]:
    """A network namespace without a table, and a Python in it."""
    engine.run("ip", "netns", "add", FRESH)
    engine.run("ip", "-n", FRESH, "link", "set", "lo", "up")
    path = "/usr/local/bin/python-in-fresh"
    program = f'#!/bin/sh\nexec ip netns exec {FRESH} python3 "$@"\n'
    engine.run("sh", "-c", f"cat >{path}; chmod +x {path}", stdin=program)
    yield path
    engine.run("ip", "netns", "del", FRESH)


def test_reading_a_busy_host_leaves_no_trace(engine: DockerHost) -> None:
    engine.run("ufw", "allow", "22/tcp")
    engine.run("ufw", "--force", "enable")
    engine.docker("network", "create", "--ipv6", "--subnet", "fd00:9:9::/64", "six")
    engine.start("web", "--network", "six", "-p", "8080:80", command=WEB)
    engine.run("ipset", "create", "banned", "hash:ip")
    engine.run("iptables", "-I", "DOCKER-USER", "-m", "set", "--match-set", "banned", "src", "-j", "DROP")
    engine.run("iptables-legacy", "-A", "INPUT", "-p", "tcp", "--dport", "7", "-j", "DROP")
    settled(engine)
    before, monitor = state(engine), Monitor(engine)
    found = read(engine, look_into=True)
    assert monitor.events() == []
    assert state(engine) == before
    # All of it was read: rules of both backends, the set, the container.
    assert {key for key, _family in found.reading.saves} == {"iptables", "legacy"}
    assert found.facts.host.ipsets == {"banned": ()}
    assert len(found.facts.inside) == 1
    assert found.facts.troubles == ()


def test_reading_a_namespace_without_a_table_makes_none(engine: DockerHost, fresh: str) -> None:
    inside = ("ip", "netns", "exec", FRESH)
    before, monitor = state(engine, *inside), Monitor(engine, *inside)
    found = read(engine, python=fresh)
    assert monitor.events() == []
    assert state(engine, *inside) == before
    assert before["rules"].strip() == before["old tables"].strip() == ""
    assert (found.facts.ruleset.chains, found.facts.troubles) == ((), ())
    assert not any("tables" in command for command in found.commands)
    assert set(found.facts.host.addresses) == {"lo"}
    # What would have been seen: the old iptables makes a table by looking for its rules.
    engine.run(*inside, "iptables-legacy", "-S")
    assert state(engine, *inside)["old tables"].strip() == "filter"


def test_a_read_takes_a_few_commands_however_much_there_is_to_read(engine: DockerHost) -> None:
    few = read(engine, look_into=True)
    for number in range(4):
        engine.docker("network", "create", f"net{number}")
        engine.start(f"web{number}", "--network", f"net{number}", "-p", f"{8000 + number}:80")
    many = read(engine, look_into=True)
    assert len(many.facts.inside) == 4
    assert len(many.commands) <= 10
    assert set(many.commands) - set(few.commands) <= {"iptables-nft-save", "ip6tables-nft-save"}


# ---- what cannot be read ------------------------------------------------------------------------------------------


def without(engine: DockerHost, *programs: str) -> dict[str, Any]:
    """Read while some programs are not there."""
    engine.run("sh", "-c", "for p do [ ! -e $p ] || mv $p $p.hidden; done", "sh", *programs)
    try:
        return ask(engine)
    finally:
        engine.run("sh", "-c", "for p do [ ! -e $p.hidden ] || mv $p.hidden $p; done", "sh", *programs)


def test_what_cannot_be_read_is_said_and_is_neither_open_nor_closed(engine: DockerHost, outsider: Host) -> None:
    refused = ask(engine, remote_user="nobody")
    assert (refused["failed"], refused["reason_code"]) == (True, "nft_unreadable")
    assert "become: true" in refused["msg"]

    refused = without(engine, *(f"{folder}/ip" for folder in ("/usr/sbin", "/sbin", "/usr/bin", "/bin")))
    assert (refused["failed"], refused["reason_code"]) == (True, "ip_missing")
    assert "apt-get install iproute2" in refused["msg"]

    new = ("-m", "conntrack", "--ctstate", "NEW", "-p", "tcp", "--dport", "7000", "-j", "DROP")
    engine.run("iptables", "-A", "INPUT", *new)
    packet = Packet(src=outsider.wan_ip, dst=engine.wan_ip, dport=7000, iif="eth0")
    for programs, cure in (
        (("/usr/sbin/nft",), "apt-get install nftables"),
        (("/usr/sbin/iptables-nft-save", "/usr/sbin/iptables-save"), "apt-get install iptables"),
    ):
        facts = read_of(without(engine, *programs)).facts
        assert any(cure in text for text in facts.troubles), facts.troubles
        assert trace(facts.ruleset, facts.host, packet).verdict == "unknown"
    facts = read(engine).facts
    assert trace(facts.ruleset, facts.host, packet).verdict == "drop"


# ---- rules --------------------------------------------------------------------------------------------------------


def test_rules_of_every_make_count_as_they_do_in_the_kernel(
    engine: DockerHost, outsider: Host, neighbour: Host
) -> None:
    """iptables-nft-save would say ``-p tcp -j DROP`` of what nft wrote into the chain INPUT, and leave its own chain out."""
    new = ("-p", "tcp", "-m", "conntrack", "--ctstate", "NEW", "-j", "DROP", "--dport")
    engine.run("ipset", "create", "banned", "hash:net")
    engine.run("ipset", "add", "banned", f"{outsider.wan_ip}/32")
    engine.run("iptables-legacy", "-A", "INPUT", *new, "7001")
    engine.run("iptables-nft", "-A", "INPUT", *new, "7002")
    engine.run("nft", "add rule ip filter INPUT tcp dport { 7003, 7004 } drop")
    engine.run(
        "iptables-nft",
        "-A",
        "INPUT",
        "-p",
        "tcp",
        "--dport",
        "7005",
        "-m",
        "set",
        "--match-set",
        "banned",
        "src",
        "-j",
        "DROP",
    )
    base = "add chain ip filter mine { type filter hook input priority 7; }"
    engine.run("nft", f"{base}; add rule ip filter mine tcp dport 7006 drop")
    ports = range(7000, 7008)
    closed = {"outsider": {7001, 7002, 7003, 7004, 7005, 7006}, "neighbour": {7001, 7002, 7003, 7004, 7006}}
    for backend in ("nft", "legacy"):
        engine.run("update-alternatives", "--set", "iptables", f"/usr/sbin/iptables-{backend}")
        found = read(engine)
        for host, mine, own, iif in (
            (outsider, outsider.wan_ip, engine.wan_ip, "eth0"),
            (neighbour, neighbour.lan_ip, engine.lan_ip, "eth1"),
        ):
            seen = lab.probe_all(host.name, [lab.Probe(own, port) for port in ports])
            assert {port for port, word in zip(ports, seen) if word == "timeout"} == closed[host.name]
            verdicts = {port: verdict(found, mine, own, port, iif) for port in ports}
            expected = {port: "drop" if port in closed[host.name] else "accept" for port in ports}
            assert verdicts == expected, backend


def verdict(found: Read, src: str, dst: str, port: int, iif: str) -> str:
    return trace(found.facts.ruleset, found.facts.host, Packet(src=src, dst=dst, dport=port, iif=iif)).verdict


# ---- sockets ------------------------------------------------------------------------------------------------------


def listening(found: Read) -> dict[int, set[tuple[str, tuple[int, ...], str]]]:
    ports: dict[int, set[tuple[str, tuple[int, ...], str]]] = {}
    for item in found.facts.host.listeners or ():
        ports.setdefault(item.port, set()).add((item.address, item.families, item.name))
    return ports


def test_what_listens_is_told_with_its_families_and_process(engine: DockerHost, outsider: Host) -> None:
    serve(engine, engine.wan_ip, 7001)
    serve(engine, "::", 7002, v6only=0)
    serve(engine, "0.0.0.0", 7003)
    serve(engine, "::", 7003, v6only=1)
    serve(engine, engine.wan_ip6, 7004)
    engine.start("six", "-p", "[::]:7005:80", command=WEB)
    engine.start("hostly", "--network", "host", command=(*WEB[:-1], "7006"))
    found = listening(read(engine))
    assert {port: found[port] for port in range(7001, 7007)} == {
        7001: {(engine.wan_ip, (4,), "python3")},
        7002: {("", (4, 6), "python3")},
        7003: {("", (4,), "python3"), ("", (6,), "python3")},
        7004: {(engine.wan_ip6, (6,), "python3")},
        7005: {("", (6,), "docker-proxy")},
        7006: {("", (4, 6), "httpd")},
    }
    ports = range(7001, 7007)
    for family, address in ((4, engine.wan_ip), (6, engine.wan_ip6)):
        answers = lab.probe_all(outsider.name, [lab.Probe(address, port, timeout=3) for port in ports])
        opened = {port for port, word in zip(ports, answers) if word == "open"}
        assert opened == {port for port in ports if any(family in row[1] for row in found[port])}


def test_sockets_of_containers_are_told_with_where_they_lead(engine: DockerHost) -> None:
    web = engine.start("web", "-p", "8080:80", "-p", f"{engine.lan_ip}:5353:53/udp", command=(*WEB[:-1], "9000"))
    hostly = engine.start("hostly", "--network", "host", command=(*WEB[:-1], "7006"))
    serve(engine, "0.0.0.0", 7008)
    address = engine.inspect("container", "web")["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    found = read(engine, look_into=True)
    assert {
        (item.proto, item.host_ip, item.host_port, item.container_ip, item.container_port)
        for item in found.reading.proxies
    } == {
        ("tcp", "0.0.0.0", 8080, address, 80),
        ("tcp", "::", 8080, address, 80),
        ("udp", engine.lan_ip, 5353, address, 53),
    }
    assert listening(found)[8080] == {("", (4,), "docker-proxy"), ("", (6,), "docker-proxy")}
    assert listening(found)[5353] == {(engine.lan_ip, (4,), "docker-proxy")}
    owners = {item.port: item.container for item in found.facts.host.listeners or ()}
    assert (owners[7006], owners[7008], owners[8080]) == (hostly, "", "")
    assert found.reading.own is not None
    assert found.reading.containers[hostly].netns == found.reading.own.netns != found.reading.containers[web].netns
    # A port that is not published, and none on the one that is.
    assert [(item.proto, item.port) for item in found.facts.inside[web].listeners] == [("tcp", 9000)]
    # A container that nobody looked into is not one without ports.
    assert read(engine).facts.inside == {}


# ---- addresses and routes -----------------------------------------------------------------------------------------


def test_addresses_bridges_settings_and_gateways_are_those_of_the_kernel(engine: DockerHost) -> None:
    engine.docker("network", "create", "--subnet", "172.30.1.0/24", "alpha")
    engine.docker("network", "create", "--ipv6", "--subnet", "172.30.2.0/24", "--subnet", "fd00:2:2::/64", "beta")
    alpha, beta = (f"br-{engine.inspect('network', name)['Id'][:12]}" for name in ("alpha", "beta"))
    web = engine.start("web", "--network", "beta")
    engine.docker("network", "connect", "alpha", "web")
    lone = engine.start("lone", "--network", "none")
    engine.run("sysctl", "-w", "net.ipv4.conf.eth1.rp_filter=2", "net.ipv4.conf.eth1.route_localnet=1")
    facts = read(engine, look_into=True).facts
    host = facts.host

    assert {"172.30.2.1/24", "fd00:2:2::1/64"} <= set(host.addresses[beta])
    assert f"{engine.wan_ip}/27" in host.addresses["eth0"]
    assert host.bridges == {"docker0", alpha, beta}
    assert set(facts.routing.masters.values()) == {alpha, beta}
    routes = {prefix: name for prefix, name, *_rest in host.routes}
    assert [routes[prefix] for prefix in ("172.30.1.0/24", "172.30.2.0/24", "fd00:2:2::/64")] == [alpha, beta, beta]
    assert routes["0.0.0.0/0"] == routes["::/0"] == "eth0"
    assert host.forks == ()

    told = engine.run("sysctl", "-n", *host.sysctl).stdout.splitlines()
    assert dict(zip(host.sysctl, told)) == dict(host.sysctl)
    assert (host.sysctl["net.ipv4.conf.eth1.rp_filter"], host.sysctl["net.ipv4.conf.eth1.route_localnet"]) == ("2", "1")
    assert {f"net.ipv4.conf.{beta}.forwarding", "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"} <= set(
        host.sysctl
    )

    # A container on two networks answers by its default route, whichever that is.
    truth = {}
    for family in (4, 6):
        words = engine.run("docker", "exec", "web", "ip", f"-{family}", "route", "show", "default").stdout.split()
        truth[family] = words[words.index("via") + 1]
    assert facts.inside[web].gateways == truth
    assert truth[4] in ("172.30.1.1", "172.30.2.1")
    assert facts.inside[lone].gateways == {}


def test_routing_rules_mean_exactly_the_packets_that_the_kernel_may_send_elsewhere(
    engine: DockerHost, fresh: str
) -> None:
    """For each packet that no fork means, the kernel's answer is the table main's; where the two differ, a fork says so."""
    setup = """
        link add d0 type veth peer name d1
        link set d0 up
        link set d1 up
        addr add 10.1.0.1/24 dev d0
        addr add 10.2.0.1/24 dev d1
        route add default via 10.1.0.254
        route add 10.50.0.0/16 via 10.1.0.2
        route add blackhole 10.51.0.0/16
        route add default via 10.2.0.254 table 100
        route add 10.52.0.0/16 via 10.2.0.3 table 100
        route add 10.53.0.0/16 via 10.2.0.3 table 200
        rule add from 10.1.0.1 lookup 100 priority 100
        rule add fwmark 0x10/0xf0 lookup 100 priority 101
        rule add lookup main suppress_prefixlength 0 priority 102
        rule add to 10.52.0.0/16 lookup 100 priority 103
        rule add lookup 200 priority 104
        rule add to 10.54.0.0/16 prohibit priority 105
    """
    for line in setup.strip().splitlines():
        engine.run("ip", "-n", FRESH, *line.split())
    found = read(engine, python=fresh).facts
    wild = 0
    for dst in (
        "10.1.0.9",
        "10.2.0.9",
        "10.50.0.1",
        "10.51.0.1",
        "10.52.0.1",
        "10.53.0.1",
        "10.54.0.1",
        "192.0.2.9",
        "10.2.0.1",
    ):
        for src in ("10.1.0.1", "10.2.0.1"):
            for mark in (0, 0x13, 0x3):
                question = ["-4", "-j", "route", "get", dst, "from", src, *(["mark", str(mark)] if mark else [])]
                answer = engine.run("ip", "-n", FRESH, *question, check=False).stdout
                truth = json.loads(answer)[0].get("dev", "") if answer.strip() else ""
                truth = "lo" if dst == "10.2.0.1" else truth
                if any(means(fork, dst, src, mark) for fork in found.host.forks):
                    wild += truth != main_says(found.routing, dst)
                else:
                    assert truth == main_says(found.routing, dst), (dst, src, mark)
    assert wild >= 8
    assert not any(means(fork, "10.50.0.1", "10.2.0.1", 0) for fork in found.host.forks)


def means(fork: routing.Fork, dst: str, src: str, mark: int) -> bool:
    return (
        sets.address(dst)[1] in fork.destinations
        and sets.address(src)[1] in fork.sources
        and fork.iif in ("", "lo")
        and (fork.mark is None or mark & fork.mark[0] == fork.mark[1])
    )


def main_says(found: routing.Routing, dst: str) -> str:
    if any(text.startswith(f"{dst}/") for listed in found.addresses.values() for text in listed):
        return "lo"
    number = sets.address(dst)[1]
    names: Mapping[str, str] = {prefix: name for prefix, name, _gateway in reversed(found.routes)}
    name = next((names[prefix] for prefix, _n, _g in found.routes if number in sets.network(prefix)[1]), "")
    return "" if name in ("blackhole", "unreachable", "prohibit", "throw") else name
