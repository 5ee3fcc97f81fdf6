# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A crowded host on paper: what ``iptables-save`` prints where Docker, UFW and fail2ban have all been busy for long."""

from __future__ import annotations

import random
import typing as t
from dataclasses import dataclass

OUTSIDE = "eth0"
ADDRESS = "192.0.2.2"

#: Published ports of one container, containers of one network.
_PORTS_EACH = 2
_CONTAINERS_EACH = 25


@dataclass(frozen=True)
class Published:
    """A published port of the host, and the container behind it."""

    port: int
    bridge: str
    address: str
    inside: int


@dataclass(frozen=True)
class Crowded:
    """A host: what ``iptables-save`` prints, and what is needed to walk it."""

    text: str
    count: int
    published: tuple[Published, ...]
    bridges: dict[str, str]

    @property
    def addresses(self) -> dict[str, list[str]]:
        listed = {name: [f"{prefix}.0.1/16"] for name, prefix in self.bridges.items()}
        return {"lo": ["127.0.0.1/8"], OUTSIDE: [f"{ADDRESS}/24"], **listed}

    @property
    def routes(self) -> list[tuple[str, str]]:
        listed = [(f"{prefix}.0.0/16", name) for name, prefix in self.bridges.items()]
        return [*listed, ("192.0.2.0/24", OUTSIDE), ("0.0.0.0/0", OUTSIDE)]


def crowded(rules: int, ports: int, *, seed: int = 1) -> Crowded:
    """Make a host of about so many rules, most of them bans, and so many published ports."""
    chance = random.Random(seed)
    published, bridges = _published(ports)
    raw, nat, docker = _raw(published), _nat(published, bridges), _docker(published, bridges)
    ufw = _ufw(max(10, rules // 30), chance)
    rest = rules - sum(_rules_in(lines) for lines in (raw, nat, docker, ufw)) - 8
    bans = _bans(max(0, rest), chance)
    filters = _filter([*docker, *ufw, *bans])
    tables = [("raw", raw), ("nat", nat), ("filter", filters)]
    lines = [line for name, listed in tables for line in (f"*{name}", *listed, "COMMIT")]
    return Crowded("\n".join(lines) + "\n", _rules_in(lines), tuple(published), bridges)


def _rules_in(lines: t.Iterable[str]) -> int:
    return sum(line.startswith("-A") for line in lines)


def _published(ports: int) -> tuple[list[Published], dict[str, str]]:
    bridges: dict[str, str] = {}
    found = []
    for number in range(ports):
        container = number // _PORTS_EACH
        network, place = divmod(container, _CONTAINERS_EACH)
        name = f"br-{network + 0xA1B2C3:012x}"
        prefix = bridges.setdefault(name, f"172.{18 + network}")
        found.append(Published(20000 + number, name, f"{prefix}.0.{place + 2}", 8000 + number % _PORTS_EACH))
    return found, bridges


def _raw(published: t.Iterable[Published]) -> list[str]:
    containers = dict.fromkeys((item.address, item.bridge) for item in published)
    direct = [f"-A PREROUTING -d {address}/32 ! -i {bridge} -j DROP" for address, bridge in containers]
    return [":PREROUTING ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]", *direct]


def _nat(published: t.Sequence[Published], bridges: t.Mapping[str, str]) -> list[str]:
    return [
        ":PREROUTING ACCEPT [0:0]",
        ":INPUT ACCEPT [0:0]",
        ":OUTPUT ACCEPT [0:0]",
        ":POSTROUTING ACCEPT [0:0]",
        ":DOCKER - [0:0]",
        "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
        "-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER",
        *(f"-A POSTROUTING -s {prefix}.0.0/16 ! -o {name} -j MASQUERADE" for name, prefix in bridges.items()),
        *(
            f"-A POSTROUTING -s {item.address}/32 -d {item.address}/32 -p tcp -m tcp --dport {item.inside} -j MASQUERADE"
            for item in published
        ),
        *(f"-A DOCKER -i {name} -j RETURN" for name in bridges),
        *(
            f"-A DOCKER ! -i {item.bridge} -p tcp -m tcp --dport {item.port}"
            f" -j DNAT --to-destination {item.address}:{item.inside}"
            for item in published
        ),
    ]


def _docker(published: t.Sequence[Published], bridges: t.Mapping[str, str]) -> list[str]:
    return [
        "-A DOCKER-FORWARD -j DOCKER-CT",
        "-A DOCKER-FORWARD -j DOCKER-ISOLATION-STAGE-1",
        "-A DOCKER-FORWARD -j DOCKER-BRIDGE",
        *(f"-A DOCKER-FORWARD -i {name} -j ACCEPT" for name in bridges),
        *(f"-A DOCKER-CT -o {name} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT" for name in bridges),
        *(f"-A DOCKER-ISOLATION-STAGE-1 -i {name} ! -o {name} -j DOCKER-ISOLATION-STAGE-2" for name in bridges),
        *(f"-A DOCKER-ISOLATION-STAGE-2 -o {name} -j DROP" for name in reversed(list(bridges))),
        *(f"-A DOCKER-BRIDGE -o {name} -j DOCKER" for name in bridges),
        *(
            f"-A DOCKER -d {item.address}/32 ! -i {item.bridge} -o {item.bridge} -p tcp -m tcp --dport {item.inside} -j ACCEPT"
            for item in published
        ),
        *(f"-A DOCKER ! -i {name} -o {name} -j DROP" for name in bridges),
    ]


_UFW_BEFORE = """\
-A ufw-before-input -i lo -j ACCEPT
-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-input -m conntrack --ctstate INVALID -j ufw-logging-deny
-A ufw-before-input -m conntrack --ctstate INVALID -j DROP
-A ufw-before-input -p icmp -m icmp --icmp-type 3 -j ACCEPT
-A ufw-before-input -p icmp -m icmp --icmp-type 8 -j ACCEPT
-A ufw-before-input -p udp -m udp --sport 67 --dport 68 -j ACCEPT
-A ufw-before-input -j ufw-not-local
-A ufw-before-input -d 224.0.0.251/32 -p udp -m udp --dport 5353 -j ACCEPT
-A ufw-before-input -j ufw-user-input
-A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-forward -p icmp -m icmp --icmp-type 8 -j ACCEPT
-A ufw-before-forward -j ufw-user-forward
-A ufw-before-output -o lo -j ACCEPT
-A ufw-before-output -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-output -j ufw-user-output
-A ufw-after-input -p udp -m udp --dport 137 -j ufw-skip-to-policy-input
-A ufw-after-input -m addrtype --dst-type BROADCAST -j ufw-skip-to-policy-input
-A ufw-logging-deny -m conntrack --ctstate INVALID -m limit --limit 3/min --limit-burst 10 -j RETURN
-A ufw-logging-deny -m limit --limit 3/min --limit-burst 10 -j LOG --log-prefix "[UFW BLOCK] "
-A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN
-A ufw-not-local -m addrtype --dst-type MULTICAST -j RETURN
-A ufw-not-local -m addrtype --dst-type BROADCAST -j RETURN
-A ufw-not-local -m limit --limit 3/min --limit-burst 10 -j ufw-logging-deny
-A ufw-not-local -j DROP
-A ufw-skip-to-policy-input -j DROP
-A ufw-skip-to-policy-forward -j DROP
-A ufw-track-output -p tcp -m conntrack --ctstate NEW -j ACCEPT
-A ufw-track-output -p udp -m conntrack --ctstate NEW -j ACCEPT
-A ufw-user-limit -m limit --limit 3/min -j LOG --log-prefix "[UFW LIMIT BLOCK] "
-A ufw-user-limit -j REJECT --reject-with icmp-port-unreachable
-A ufw-user-limit-accept -j ACCEPT
-A ufw-user-input -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -m recent --set --name DEFAULT --mask 255.255.255.255 --rsource
-A ufw-user-input -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -m recent --update --seconds 30 --hitcount 6 \
--name DEFAULT --mask 255.255.255.255 --rsource -j ufw-user-limit
-A ufw-user-input -p tcp -m tcp --dport 22 -j ufw-user-limit-accept
""".splitlines()


def _ufw(count: int, chance: random.Random) -> list[str]:
    users = []
    for number in range(count):
        source = f"-s {_address(chance)}/32 " if number % 3 == 0 else ""
        word = "DROP" if number % 7 == 0 else "ACCEPT"
        chain = "ufw-user-forward" if number % 5 == 0 else "ufw-user-input"
        users.append(f"-A {chain} {source}-p tcp -m tcp --dport {1000 + number} -j {word}")
    return [*_UFW_BEFORE, *users]


def _address(chance: random.Random) -> str:
    return f"{chance.randint(1, 126)}.{chance.randint(0, 255)}.{chance.randint(0, 255)}.{chance.randint(1, 254)}"


def _bans(count: int, chance: random.Random) -> list[str]:
    """Two lists of a fail2ban, and one of prefixes from elsewhere."""
    reject = "REJECT --reject-with icmp-port-unreachable"
    lists = [("f2b-sshd", "/32", reject), ("f2b-web", "/32", "DROP"), ("blocklist", "/24", "DROP")]
    found = []
    for index, (chain, length, word) in enumerate(lists):
        share = count // 3 if index else count - 2 * (count // 3)
        for _number in range(share):
            address = _address(chance)
            if length == "/24":
                address = f"{address.rpartition('.')[0]}.0"
            found.append(f"-A {chain} -s {address}{length} -j {word}")
        found.append(f"-A {chain} -j RETURN")
    return found


def _filter(lines: t.Sequence[str]) -> list[str]:
    hung = [
        "-A INPUT -p tcp -m multiport --dports 22 -j f2b-sshd",
        "-A INPUT -j blocklist",
        *(f"-A INPUT -j ufw-{name}-input" for name in ("before-logging", "before", "after", "after-logging", "reject", "track")),
        "-A FORWARD -j DOCKER-USER",
        "-A FORWARD -j DOCKER-FORWARD",
        *(f"-A FORWARD -j ufw-{name}-forward" for name in ("before-logging", "before", "after", "after-logging", "reject", "track")),
        *(f"-A OUTPUT -j ufw-{name}-output" for name in ("before-logging", "before", "after", "after-logging", "reject", "track")),
        "-A DOCKER-USER -j f2b-sshd",
        "-A DOCKER-USER -j f2b-web",
        "-A DOCKER-USER -j blocklist",
        "-A DOCKER-USER -j RETURN",
    ]  # fmt: skip
    words = [line.split() for line in (*hung, *lines)]
    named = dict.fromkeys(
        word for listed in words for word in (listed[1], listed[listed.index("-j") + 1] if "-j" in listed else "")
    )
    ends = {"ACCEPT", "DROP", "REJECT", "RETURN", "LOG", "", "INPUT", "FORWARD", "OUTPUT"}
    chains = [f":{name} - [0:0]" for name in named if name not in ends]
    return [":INPUT DROP [0:0]", ":FORWARD DROP [0:0]", ":OUTPUT ACCEPT [0:0]", *chains, *hung, *lines]
