# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host with a shop: what engine 26.1 makes of three containers, in few words. For tests of who reaches whom."""

from __future__ import annotations

import typing as t

from ansible_collections.bulkhead.docker.plugins.module_utils._core import ufw
from ansible_collections.bulkhead.docker.plugins.module_utils._core.model import (
    Container,
    Endpoint,
    Engine,
    Network,
    Pool,
    PublishedPort,
    Snapshot,
)
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.host import Host, Listener
from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.ruleset import (
    Ruleset,
    parse_iptables_save,
    parse_nft_json,
)
from ansible_collections.bulkhead.docker.plugins.module_utils._core.zones import Inside, Scene, View

SAVE = """\
*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.18.0.0/16 ! -o br-front -j MASQUERADE
-A DOCKER -i br-front -j RETURN
-A DOCKER ! -i br-front -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.18.0.2:80
-A DOCKER -d 127.0.0.1/32 ! -i br-front -p tcp -m tcp --dport 8081 -j DNAT --to-destination 172.18.0.2:81
-A DOCKER -d 192.168.50.2/32 ! -i br-front -p tcp -m tcp --dport 8082 -j DNAT --to-destination 172.18.0.2:82
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
:STAGE-1 - [0:0]
:STAGE-2 - [0:0]
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A FORWARD -j DOCKER-USER
-A FORWARD -j STAGE-1
-A FORWARD -o br-front -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o br-front -j DOCKER
-A FORWARD -i br-front ! -o br-front -j ACCEPT
-A FORWARD -i br-front -o br-front -j ACCEPT
-A DOCKER -d 172.18.0.2/32 ! -i br-front -o br-front -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER -d 172.18.0.2/32 ! -i br-front -o br-front -p tcp -m tcp --dport 81 -j ACCEPT
-A DOCKER -d 172.18.0.2/32 ! -i br-front -o br-front -p tcp -m tcp --dport 82 -j ACCEPT
-A STAGE-1 -i br-front ! -o br-front -j STAGE-2
-A STAGE-1 -i br-back ! -o br-back -j STAGE-2
-A STAGE-2 -o br-front -j DROP
-A STAGE-2 -o br-back -j DROP
COMMIT
"""
SAVE6 = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\nCOMMIT\n"


def network(name: str, subnet: str, **changes: t.Any) -> Network:
    options = {"com.docker.network.bridge.name": f"br-{name}"}
    return Network(name.ljust(64, "0"), name, options=options, pools=(Pool(subnet),), **changes)


FRONT, BACK = network("front", "172.18.0.0/16"), network("back", "172.19.0.0/16")
WEB = Container(
    "a" * 64,
    "web",
    endpoints=(Endpoint("front", FRONT.id, ip="172.18.0.2"), Endpoint("back", BACK.id, ip="172.19.0.2")),
    published=(
        PublishedPort("0.0.0.0", 8080, 80),
        PublishedPort("::", 8080, 80),
        PublishedPort("127.0.0.1", 8081, 81),
        PublishedPort("192.168.50.2", 8082, 82),
    ),
)
DB = Container("b" * 64, "db", endpoints=(Endpoint("back", BACK.id, ip="172.19.0.3"),))
AGENT = Container("c" * 64, "agent", network_mode="host")

LISTENERS = (
    Listener("tcp", "", 22, "sshd"),
    Listener("tcp", "", 8080, "docker-proxy"),
    Listener("tcp", "127.0.0.1", 8081, "docker-proxy", (4,)),
    Listener("tcp", "", 9100, "agent", container=AGENT.id),
)
INSIDE = {
    WEB.id: Inside(tuple(Listener("tcp", "", port) for port in (80, 81, 82)), {4: "172.18.0.1"}),
    DB.id: Inside((Listener("tcp", "", 5432), Listener("tcp", "127.0.0.1", 9999)), {}),
}


def scene(
    save: str = SAVE,
    *,
    save6: str = SAVE6,
    rules: str = "",
    nft: t.Any = None,
    listeners: t.Any = LISTENERS,
    **host: t.Any,
) -> Scene:
    """Make the scene; ``rules`` are tuples of UFW, which denies the rest; further arguments are of the host."""
    known: dict[str, t.Any] = {
        "addresses": {
            "lo": ["127.0.0.1/8", "::1/128"],
            "eth0": ["198.51.100.2/27", "2001:db8::2/64"],
            "eth1": ["192.168.50.2/24"],
            "br-front": ["172.18.0.1/16"],
            "br-back": ["172.19.0.1/16"],
        },
        "routes": [
            ("0.0.0.0/0", "eth0"),
            ("198.51.100.0/27", "eth0"),
            ("192.168.50.0/24", "eth1"),
            ("172.18.0.0/16", "br-front"),
            ("172.19.0.0/16", "br-back"),
            ("::/0", "eth0"),
            ("2001:db8::/64", "eth0"),
        ],
        "bridges": {"br-front", "br-back"},
        "listeners": listeners,
        **host,
    }
    files = {ufw.CONF: "ENABLED=yes\n", ufw.DEFAULTS: "IPV6=yes\n", ufw.RULES: rules, ufw.RULES6: ""}
    rulesets = [parse_iptables_save(save, 4), parse_iptables_save(save6, 6)]
    return Scene(
        Ruleset.merge(*rulesets, *([parse_nft_json(nft)] if nft else [])),
        Host(**known),
        Snapshot(Engine("26.1.5"), (BACK, FRONT), (AGENT, DB, WEB)),
        ufw.survey(files),
        INSIDE,
    )


def view(*arguments: t.Any, **named: t.Any) -> View:
    return View(scene(*arguments, **named))
