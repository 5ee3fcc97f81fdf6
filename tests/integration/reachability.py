# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A town on one Docker host, firewalls of many kinds around it, and what packets say of who reaches what."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import lab

from ansible_collections.bulkhead.docker.tests.unit.plugins.module_utils._core.netfilter.answers import Cell
from integration.hosts import IMAGE, DockerHost, Host

DOORS = Path(__file__).with_name("doors.py")
_NAMED = "--opt=com.docker.network.bridge.name=br-"
_GATEWAY = "--opt=com.docker.network.bridge.gateway_mode_ipv4="
NETWORKS = {
    "alpha": ["--subnet=172.30.1.0/24"],
    "beta": ["--subnet=172.30.2.0/24"],
    "inner": ["--subnet=172.30.3.0/24", "--internal"],
    "quiet": ["--subnet=172.30.4.0/24", "--opt=com.docker.network.bridge.enable_icc=false"],
    "six": ["--subnet=172.30.6.0/24", "--ipv6", "--subnet=fd00:30:6::/64"],
    # Since engine 27.
    "routed": ["--subnet=172.30.7.0/24", f"{_GATEWAY}routed"],
    "bare": ["--subnet=172.30.8.0/24", f"{_GATEWAY}nat-unprotected"],
}


@dataclass(frozen=True)
class Container:
    """Where a container stands, what it publishes (``{lan}`` is the host's address on the local link), its doors."""

    addresses: Mapping[str, str]
    published: tuple[str, ...] = ()
    doors: str = "tcp/80 tcp/7777"


CONTAINERS = {
    "web": Container(
        {"alpha": "172.30.1.2"},
        ("8080:80", "5353:53/udp", "127.0.0.1:8081:81", "{lan}:8082:82"),
        "tcp/80 tcp/81 tcp/82 tcp/7777 udp/53",
    ),
    "peer": Container({"alpha": "172.30.1.3"}, (), "tcp/80 udp/53"),
    "far": Container({"beta": "172.30.2.2"}, ("9191:80",)),
    "both": Container({"alpha": "172.30.1.9", "beta": "172.30.2.9"}, ("8787:80",)),
    "lone": Container({"bridge": "172.17.0.2"}, ("8443:443",), "tcp/443 tcp/7777"),
    "locked": Container({"inner": "172.30.3.2"}, ("8383:80",)),
    "hushed": Container({"quiet": "172.30.4.2"}, ("8484:80",)),
    "mute": Container({"quiet": "172.30.4.3"}),
    "six": Container({"six": "172.30.6.2"}, ("8686:80",)),
    "six-peer": Container({"six": "172.30.6.3"}, (), "tcp/80"),
    "routed": Container({"routed": "172.30.7.2"}, ("8181:80",)),
    "bare": Container({"bare": "172.30.8.2"}, ("8282:80",)),
}
SINCE_27 = {"routed", "bare"}
#: Who asks from outside, and the host's interface that the packets come in by.
OUTSIDE = {"outsider": "eth0", "neighbour": "eth1"}
#: What listens on the host itself, and on those outside.
HOST_DOORS = "tcp/3000 tcp/3001 udp/3000"
OUTER_DOORS = "tcp/8000 udp/8000"

#: What is asked of the host: all of it on its IPv4 addresses, the rest on every other address that it has.
FEW_PORTS = "tcp/8080 tcp/8081 tcp/8686 tcp/3000 tcp/3001 udp/5353"
ALL_PORTS = f"{FEW_PORTS} tcp/8082 tcp/9191 tcp/8787 tcp/8443 tcp/8383 tcp/8484 tcp/8181 tcp/8282 tcp/7777 udp/3000"


def doors(text: str) -> list[tuple[str, int]]:
    return [(proto, int(port)) for proto, _slash, port in (word.partition("/") for word in text.split())]


@dataclass
class Town:
    """Containers in networks of every kind on one host, all with listening sockets, and two hosts outside."""

    engine: DockerHost
    outsider: Host
    neighbour: Host
    pids: dict[str, int] = field(default_factory=dict)

    # ---- building -------------------------------------------------------------------------------------------------

    @cached_property
    def containers(self) -> dict[str, Container]:
        old = self.engine.generation < 27
        return {name: item for name, item in CONTAINERS.items() if not (old and name in SINCE_27)}

    def build(self) -> None:
        """Make networks and containers, open all doors, and give those outside routes to the containers."""
        lines = ["set -e"]
        for name, options in NETWORKS.items():
            if self.engine.generation >= 27 or name not in SINCE_27:
                lines.append(f"docker network create {_NAMED}{name} {' '.join(options)} {name} &")
        lines.append("wait")
        lines += [f"({' && '.join(self._made(name))}) &" for name in self.containers]
        # What is asked of the host itself is served by a container that has the host's network.
        lines.append(f"docker run --detach --init --name=host --network=host {IMAGE} sleep 3600 &")
        lines.append("wait")
        self.engine.run("sh", "-c", "\n".join(lines))
        listed = self.engine.docker("inspect", "--format={{.Name}} {{.State.Pid}}", "host", *self.containers)
        self.pids = {name.lstrip("/"): int(pid) for name, pid in (line.split() for line in listed.splitlines())}
        listening = {name: item.doors for name, item in self.containers.items()}
        listening["host"] = HOST_DOORS
        places = [{"name": name, "pid": self.pids[name], "doors": doors(text)} for name, text in listening.items()]
        self._open(self.engine, places)
        for who in (self.outsider, self.neighbour):
            self._open(who, [{"name": who.name, "pid": 0, "doors": doors(OUTER_DOORS)}])
        self._give_routes()
        self._settle()

    def _settle(self) -> None:
        """Wait until every address of IPv6 is known to be the only one; until then the kernel sends by another one."""
        limit = time.monotonic() + 10
        while self.engine.run("ip", "-6", "-o", "address", "show", "tentative").stdout:
            assert time.monotonic() < limit, "an address of IPv6 stays tentative"
            time.sleep(0.2)

    def _made(self, name: str) -> Iterator[str]:
        item = self.containers[name]
        (network, address), *more = item.addresses.items()
        words = ["docker run --detach --init", f"--name={name}", f"--network={network}"]
        words += [f"--ip={address}"] if network != "bridge" else []
        words += [f"--publish={port.format(lan=self.engine.lan_ip)}" for port in item.published]
        yield " ".join([*words, IMAGE, "sleep 3600"])
        for network, address in more:
            yield f"docker network connect --ip={address} {network} {name}"

    def _open(self, where: Host, places: Sequence[Mapping[str, Any]]) -> None:
        where.run("python3", "-c", DOORS.read_text(), "serve", stdin=json.dumps(places))

    def _give_routes(self) -> None:
        """Let those outside send to containers, to the host's other link and to each other by way of the host."""
        lan6 = lab.lan_ip6(self.engine.name)
        all4 = ["172.30.0.0/16", "172.17.0.0/16", self.engine.wan_ip, self.engine.lan_ip]
        all6 = ["fd00:30:6::/64", self.engine.wan_ip6, lan6]
        for who, via, via6, other, other6 in (
            (self.outsider, self.engine.wan_ip, self.engine.wan_ip6, self.neighbour.lan_ip, self.neighbour_ip6),
            (self.neighbour, self.engine.lan_ip, lan6, self.outsider.wan_ip, self.outsider.wan_ip6),
        ):
            lines = [f"ip route replace {way} via {via}" for way in [*all4, other] if way != via]
            lines += [f"ip -6 route replace {way} via {via6}" for way in [*all6, other6] if way != via6]
            who.run("sh", "-c", "\n".join(["set -e", *lines]))

    @property
    def neighbour_ip6(self) -> str:
        return lab.lan_ip6(self.neighbour.name)

    # ---- asking ---------------------------------------------------------------------------------------------------

    @cached_property
    def of_address(self) -> dict[str, str]:
        """Who has an address that a container or somebody outside has."""
        found = {address: name for name, item in self.containers.items() for address in item.addresses.values()}
        for name in ("six", "six-peer"):
            inspected = self.engine.inspect("container", name)["NetworkSettings"]["Networks"]["six"]
            found[inspected["GlobalIPv6Address"]] = name
        for who, addresses in (
            (self.outsider, [self.outsider.wan_ip, self.outsider.wan_ip6]),
            (self.neighbour, [self.neighbour.lan_ip, self.neighbour_ip6]),
        ):
            found.update(dict.fromkeys(addresses, who.name))
        return found

    @cached_property
    def doors(self) -> dict[str, str]:
        """Say what listens, by address; the host's own under ``host``."""
        listening = {name: item.doors for name, item in self.containers.items()}
        found = {address: listening.get(name, OUTER_DOORS) for address, name in self.of_address.items()}
        return {**found, "host": HOST_DOORS}

    @cached_property
    def host_addresses(self) -> list[str]:
        """Give the host's addresses on both links."""
        return [self.engine.wan_ip, self.engine.lan_ip, self.engine.wan_ip6, lab.lan_ip6(self.engine.name)]

    def knocks(self, asker: str) -> Iterator[tuple[str | int, ...]]:
        """Give all that one asker asks for."""
        yield from self._knocks_at_host(asker)
        for address, name in self.of_address.items():
            if name == asker:
                continue
            for proto, port in [*doors(self.doors[address]), ("tcp", 9)]:
                yield proto, address, port
            # A bridge that filters also filters the search for the hardware address of a neighbour on it, as soon as
            # the last one found is forgotten; that is not computed, and only UFW's pings meet it.
            if not asker.startswith("six") or not name.startswith("six"):
                yield "icmp", address, 0
        if asker in OUTSIDE:
            via = self.engine.wan_ip if asker == "outsider" else self.engine.lan_ip
            for port in (8080, 8081, 3001):
                yield "raw", "127.0.0.1", port, via

    def _knocks_at_host(self, asker: str) -> Iterator[tuple[str | int, ...]]:
        whole, part = self.host_addresses[:2], [*self.host_addresses[2:], "172.30.1.1"]
        if asker == "host":
            whole, part = [*whole, "127.0.0.1"], [*part, "::1", "172.17.0.1"]
        elif asker in self.containers:
            gateways = [f"{address.rpartition('.')[0]}.1" for address in self.containers[asker].addresses.values()]
            part += gateways
            if asker not in ("web", "far"):
                whole, part = [], whole[:1] + part
        for addresses, ports in ((whole, ALL_PORTS), (dict.fromkeys(part), FEW_PORTS)):
            for address in addresses:
                for proto, port in [*doors(ports), ("icmp", 0)]:
                    yield proto, address, port

    def observe(self, timeout: float = 1.5) -> list[Cell]:
        """Send all packets, and tell what came back, but for what the asker itself has no route for."""
        # An earlier set-up's connections would let later packets pass.
        self.engine.run("conntrack", "-F", check=False)
        groups = [
            (self.outsider, ["outsider"]),
            (self.neighbour, ["neighbour"]),
            (self.engine, ["host", *self.containers]),
        ]
        with ThreadPoolExecutor(len(groups)) as pool:
            told = list(pool.map(lambda group: self._ask(*group, timeout), groups))
        return [cell for cells in told for cell in cells if cell.source]

    def _ask(self, where: Host, names: Sequence[str], timeout: float) -> list[Cell]:
        asked = {name: list(self.knocks(name)) for name in names}
        askers = [{"pid": self.pids.get(name, 0), "knocks": asked[name]} for name in names]
        question = json.dumps({"timeout": timeout, "askers": askers})
        told = json.loads(where.run("python3", "-c", DOORS.read_text(), "ask", stdin=question).stdout)
        return [
            Cell(name, str(knock[0]), str(knock[1]), int(knock[2]), source, answer)
            for name, answers in zip(names, told)
            for knock, (answer, source) in zip(asked[name], answers)
        ]

    def controls(self, cells: Sequence[Cell]) -> Iterator[Cell]:
        """Give the cells that are open whatever the firewall: the host asks what it and its containers serve."""
        addresses = [address for address, name in self.of_address.items() if name in self.containers]
        there = {(address, *door) for address in addresses for door in doors(self.doors[address])}
        there |= {("127.0.0.1", *door) for door in doors(HOST_DOORS)}
        asked = [cell for cell in cells if cell.asker == "host" and (cell.address, cell.proto, cell.port) in there]
        assert len(asked) == len(there), "the host did not ask for all that there is"
        yield from asked

    def seen(self) -> dict[str, Any]:
        """All that a computation needs to know: rules, addresses, routes, settings, listening sockets."""
        return {
            **json.loads(self.engine.run("python3", "-c", _SEEN).stdout),
            "doors": self.doors,
            "of": self.of_address,
        }


_SEEN = r"""
import json, subprocess
def said(*argv):
    return subprocess.run(argv, capture_output=True, text=True).stdout
pattern = (
    r"net\.(bridge\.bridge-nf-call-ip.*|ipv4\.ip_forward"
    r"|ipv[46]\.conf\.(all|lo|eth.|docker0|br-.*)\.(forwarding|rp_filter|route_localnet|accept_local))"
)
print(json.dumps({
    "save4": said("iptables-save"),
    "save6": said("ip6tables-save"),
    "nft": json.loads(said("nft", "-j", "list", "ruleset")),
    "addr": json.loads(said("ip", "-j", "addr")),
    "bridges": [link["ifname"] for link in json.loads(said("ip", "-j", "link", "show", "type", "bridge"))],
    "route4": json.loads(said("ip", "-j", "-4", "route", "show", "table", "all")),
    "route6": json.loads(said("ip", "-j", "-6", "route", "show", "table", "all")),
    "sysctl": dict(line.split(" = ", 1) for line in said("sysctl", "-a", "--pattern", pattern).splitlines()),
    "listen": said("ss", "-Hlntu").splitlines(),
    "proxy": sorted(line for line in said("ps", "-eo", "args").splitlines() if line.split()[0].endswith("docker-proxy")),
}))
"""


# ---- set-ups -------------------------------------------------------------------------------------------------------


def untouched(town: Town) -> None:
    """Let Docker's own rules be all."""


def accept(town: Town) -> None:
    """Let through what is forwarded and nobody speaks of."""
    town.engine.run("sh", "-ec", "iptables -P FORWARD ACCEPT; ip6tables -P FORWARD ACCEPT")


def drop(town: Town) -> None:
    """Set the policy that Docker sets if it is the first to switch forwarding on."""
    town.engine.run("sh", "-ec", "iptables -P FORWARD DROP; ip6tables -P FORWARD DROP")


def unfiltered_bridges(town: Town) -> None:
    """Let what stays on one bridge pass no rule of iptables."""
    _filter_bridges(town, 0)


def _filter_bridges(town: Town, value: int) -> None:
    town.engine.run(
        "sysctl", "-qw", *(f"net.bridge.bridge-nf-call-{kind}={value}" for kind in ("iptables", "ip6tables"))
    )


def ufw(town: Town) -> None:
    """Enable UFW with its defaults."""
    _filter_bridges(town, 1)
    town.engine.run("sh", "-ec", "ufw allow 8080; ufw allow 3001/tcp; ufw --force enable")


def guard(town: Town) -> None:
    """Add this collection's guard to UFW."""
    result = town.engine.module("ufw_docker_guard", state="present")
    assert not result["failed"], result["msg"]


def user_block(town: Town) -> None:
    """Put into UFW's files what many hosts have there: in DOCKER-USER private addresses pass, others ask UFW."""
    town.engine.run("sh", "-ec", "nft delete table inet bulkhead_guard 2>/dev/null || true")
    for name, ufw_chains, private in (
        ("after.rules", "ufw", ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]),
        ("after6.rules", "ufw6", ["fd00::/8"]),
    ):
        allowed, denied = f"{ufw_chains}-user-forward", f"{ufw_chains}-docker-logging-deny"
        rules = [
            f"-A DOCKER-USER -j {allowed}",
            "-A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN",
            "-A DOCKER-USER -m conntrack --ctstate INVALID -j DROP",
            "-A DOCKER-USER -i docker0 -o docker0 -j ACCEPT",
            *(f"-A DOCKER-USER -s {cidr} -j RETURN" for cidr in private),
            *(f"-A DOCKER-USER -d {cidr} -m conntrack --ctstate NEW -j {denied}" for cidr in private),
            "-A DOCKER-USER -j RETURN",
            f'-A {denied} -m limit --limit 3/min --limit-burst 10 -j LOG --log-prefix "[UFW DOCKER BLOCK] "',
            f"-A {denied} -j DROP",
        ]
        chains = [f":{chain} - [0:0]" for chain in (allowed, denied, "DOCKER-USER")]
        town.engine.run(
            "sh", "-c", f"cat >>/etc/ufw/{name}", stdin="\n".join(["*filter", *chains, *rules, "COMMIT", ""])
        )
    town.engine.run("sh", "-ec", "ufw route allow proto tcp from any to 172.30.1.2 port 80; ufw reload")


def by_hand(town: Town) -> None:
    """Add rules as administrators write them, in both of the kernel's tongues."""
    lines = [
        "iptables -I DOCKER-USER -i eth0 -p tcp -m conntrack --ctdir ORIGINAL --ctorigdstport 9191"
        " -j REJECT --reject-with tcp-reset",
        f"iptables -I DOCKER-USER -i eth1 -p tcp -m conntrack --ctorigdst {town.engine.wan_ip} -j DROP",
        "iptables -t mangle -A PREROUTING -i br-alpha -p tcp -m multiport --dports 8686,8787 -j MARK --set-mark 0x7",
        "iptables -I INPUT -m mark --mark 0x7 -j DROP",
        "iptables -t nat -A PREROUTING -i eth0 -p tcp --dport 7777 -j REDIRECT --to-ports 3001",
        "iptables -t raw -A PREROUTING -i br-beta -p udp --dport 3000 -j DROP",
        "ip6tables -I INPUT -i br-six -p tcp --dport 3000 -j REJECT",
        "nft -f -",
    ]
    table = """
        table inet by_hand {
            set office { type ipv4_addr; flags interval; elements = { 10.113.0.0/16, 172.30.2.0/24 } }
            map ways { type inet_service : verdict; elements = { 8443 : goto closed, 8383 : accept } }
            chain closed { ip saddr @office accept; counter drop; }
            chain first { type filter hook prerouting priority mangle; tcp dport vmap @ways; }
            chain between { type filter hook forward priority -7;
                meta nfproto ipv4 meta l4proto tcp ct status dnat ct original proto-dst 8484 ip saddr != @office drop
                iifname "br-*" oifname . ip daddr { "eth0" . 198.51.100.0/24 } udp dport 8000 reject
            }
            chain own { type filter hook output priority 3; tcp dport 8000 ip daddr 10.113.0.0/16 reject with tcp reset; }
        }
    """
    town.engine.run("sh", "-ec", "\n".join(lines), stdin=table)


SETUPS = {
    function.__name__: function
    for function in (untouched, accept, drop, unfiltered_bridges, ufw, guard, user_block, by_hand)
}
