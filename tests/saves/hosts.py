# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keep what iptables-save prints on hosts of the lab that run UFW, networks of several kinds and published ports.

``LAB=4 python3 tests/saves/hosts.py [HOST...]`` (default: engine20, engine26 and engine28) resets those hosts, builds the
same things on each, and writes ``data/hosts/`` beside the parser's unit tests: ``20.10-v4.rules`` and so on.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import lab

DATA = HERE.parent / "unit/plugins/module_utils/_core/netfilter/data/hosts"
DEFAULT = ("engine20", "engine26", "engine28")

UFW = """\
ufw default deny incoming
ufw default deny routed
ufw allow 22/tcp
ufw limit 2222/tcp comment "the other door"
ufw allow from 10.113.0.0/16 to any port 5432 proto tcp
ufw deny in on eth1 to any port 25
ufw reject 113/tcp
ufw allow 6000:6010/udp
ufw allow in log 53/udp
ufw route allow in on eth0 out on br-web to 172.28.1.0/24 port 80 proto tcp
ufw logging low
ufw --force enable
"""
NETWORKS = """\
docker network create -o com.docker.network.bridge.name=br-web --subnet 172.28.1.0/24 {ipv6} web
docker network create -o com.docker.network.bridge.name=br-db --subnet 172.28.2.0/24 --internal db
docker network create -o com.docker.network.bridge.name=br-quiet --subnet 172.28.3.0/24 \
    -o com.docker.network.bridge.enable_icc=false quiet
docker run -d --init --name front --network web --ip 172.28.1.10 -p 8080:80 -p 127.0.0.1:8081:81 \
    -p {lan}:8082:82 -p 9000-9001:9000-9001/udp {image}
docker run -d --init --name back --network quiet --ip 172.28.3.10 -p 5432:5432 {image}
docker network connect --ip 172.28.2.10 db back
docker run -d --init --name plain -p 8443:443/tcp {image}
docker swarm init --advertise-addr {lan}
docker service create --detach --name served --publish 8090:80 {image}
until docker ps --quiet --filter name=served | grep -q .; do sleep 0.2; done
iptables -I DOCKER-USER -s 198.51.100.9 -m comment --comment "banned by hand" -j DROP
"""


def main(hosts: list[str]) -> int:
    lab.up(hosts)
    lab.reset(hosts)
    DATA.mkdir(parents=True, exist_ok=True)
    for host in hosts:
        version = ".".join(lab.engine_version(host).split(".")[:2])
        # The first engines have no filter of their own for IPv6 unless told so.
        ipv6 = "" if version == "20.10" else "--ipv6 --subnet fd00:28:1::/64"
        commands = UFW + NETWORKS.format(ipv6=ipv6, lan=lab.lan_ip(host), image=lab.WORKLOAD_TAG)
        lab.run(host, ["sh", "-ec", commands], timeout=300)
        for family, tool in (("4", "iptables-save"), ("6", "ip6tables-save")):
            text = lab.run(host, [tool]).stdout
            text = re.sub(r" on [A-Z][a-z]{2} .*", "", text)
            (DATA / f"{version}-v{family}.rules").write_text(text, encoding="utf-8")
            print(f"{host}: {tool}: {text.count(chr(10))} lines")
    lab.reset(hosts)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(DEFAULT)))
