# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.bulkhead.docker.plugins.module_utils._core.errors import CoreError
from ansible_collections.bulkhead.docker.plugins.module_utils._core.model import Route
from ansible_collections.bulkhead.docker.plugins.module_utils._host.commands import Commands, Done
from ansible_collections.bulkhead.docker.plugins.module_utils._host.surroundings import SurroundingsReader

V4: list[dict[str, t.Any]] = [
    {"dst": "default", "gateway": "198.51.100.1", "dev": "eth0", "flags": []},
    {"dst": "10.64.0.0/12", "dev": "tun0", "scope": "link", "flags": []},
    {"dst": "10.1.0.0/16", "gateway": "198.51.100.1", "dev": "eth0", "flags": []},
    {"dst": "10.2.0.0/16", "dev": "wg0", "table": "51820", "scope": "link", "flags": []},
    {"dst": "10.3.0.9", "dev": "eth0", "scope": "link", "flags": []},
    {"type": "local", "dst": "10.4.0.1", "dev": "lo", "table": "local", "scope": "host", "flags": []},
    {"type": "broadcast", "dst": "10.4.255.255", "dev": "eth0", "table": "local", "scope": "link", "flags": []},
    {"type": "blackhole", "dst": "10.0.0.0/8", "flags": []},
    {"dst": "10.5.0.0/16", "nexthops": [{"via": {}, "dev": "eth1"}, {"via": {}, "dev": "eth2"}], "flags": []},
    {},
]
V6: list[dict[str, t.Any]] = [{"dst": "fd00:1::/64", "dev": "eth0", "metric": 256, "flags": []}]
LINKS: list[dict[str, t.Any]] = [
    {"ifname": "lo"},
    {"ifname": "docker0", "linkinfo": {"info_kind": "bridge", "info_data": {}}},
    {"ifname": "veth1@if2", "linkinfo": {"info_kind": "veth"}},
    {},
]


class Ip(Commands):
    def __init__(self, answers: dict[str, str], path: str | None = "/sbin/ip", status: int = 0) -> None:
        self.asked: list[list[str]] = []
        self._answers, self._path, self._status = answers, path, status

    def find(self, name: str) -> str | None:
        return self._path

    def run(self, argv: t.Sequence[str], data: str | None = None) -> Done:
        self.asked.append(list(argv))
        return Done(self._status, self._answers[argv[2]], "RTNETLINK answers: no")


ANSWERS = {"-4": json.dumps(V4), "-6": json.dumps(V6), "-details": json.dumps(LINKS)}


def test_the_ways_of_both_families_are_read_and_what_leads_nowhere_is_not() -> None:
    ip = Ip(ANSWERS)
    found = SurroundingsReader(ip).read([("10.0.0.0/8", 24)])
    assert found.routes == (
        Route("10.64.0.0/12", "tun0", True),
        Route("10.1.0.0/16", "eth0"),
        Route("10.2.0.0/16", "wg0"),
        Route("10.3.0.9/32", "eth0", True),
        Route("10.4.0.1/32", "lo"),
        Route("10.5.0.0/16", "eth1"),
        Route("10.5.0.0/16", "eth2"),
        Route("fd00:1::/64", "eth0"),
    )
    assert found.interfaces == {"lo": "", "docker0": "bridge", "veth1@if2": "veth"}
    assert found.address_pools == (("10.0.0.0/8", 24),)
    assert [argv[0] for argv in ip.asked] == ["/sbin/ip"] * 3


def test_a_host_without_the_other_family_has_no_routes_of_it() -> None:
    found = SurroundingsReader(Ip({**ANSWERS, "-6": ""})).read([])
    assert not any(":" in route.destination for route in found.routes)


@pytest.mark.parametrize(
    ("ip", "words"),
    [
        (Ip(ANSWERS, path=None), "no program ip"),
        (Ip(ANSWERS, status=2), "RTNETLINK"),
        (Ip({**ANSWERS, "-4": "10.0.0.0/8 dev eth0"}), "no JSON"),
    ],
)
def test_a_host_that_cannot_be_asked_is_told_not_taken_for_an_empty_one(ip: Ip, words: str) -> None:
    with pytest.raises(CoreError, match=words) as caught:
        SurroundingsReader(ip).read([])
    assert caught.value.reason_code == "unreadable"
    assert "iproute2" in caught.value.hint
