# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bulkhead.docker.plugins.module_utils._core import guard_intent, guard_preflight, ufw
from ansible_collections.bulkhead.docker.plugins.module_utils._core.guard import Firewall, World
from ansible_collections.bulkhead.docker.plugins.module_utils._core.model import Container, Engine, Network, Snapshot

BRIDGE = Network("b" * 64, "bridge", options={"com.docker.network.bridge.name": "docker0"})
SAVE = """\
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
:ufw-user-input - [0:0]
:ufw6-user-input - [0:0]
-A FORWARD -j DOCKER-USER
-A DOCKER-USER -j RETURN
COMMIT
"""
SAVE6 = SAVE
ACTIVE = {
    ufw.CONF: "ENABLED=yes\n",
    ufw.DEFAULTS: "IPV6=yes\n",
    ufw.RULES: "### tuple ### allow tcp 8080 0.0.0.0/0 any 0.0.0.0/0 in\n",
    ufw.RULES6: "### tuple ### allow tcp 8080 ::/0 any ::/0 in\n",
}


def options(**changes: t.Any) -> dict[str, t.Any]:
    return {"state": "present", "follow_ufw": True, "policy": "deny", "trusted": [], "rules": [], **changes}


def host(
    *,
    save: str | None = SAVE,
    save6: str | None = SAVE6,
    nft: t.Sequence[t.Any] = (),
    legacy: str = "",
    **files: str | None,
) -> World:
    known = {**ACTIVE, **{getattr(ufw, name): text for name, text in files.items()}}
    firewall = Firewall(files=known, nft={"nftables": list(nft)}, saves={4: save, 6: save6}, legacy={4: legacy})
    return World(firewall, Snapshot(Engine("26.1.5"), (BRIDGE,), (Container("c" * 64, "web"),)))


def findings(world: World, docker_host: str = "unix:///var/run/docker.sock", **changes: t.Any) -> dict[str, str]:
    found = guard_preflight.preflight(guard_intent.read_intent(options(**changes)), world, docker_host)
    assert all(item["found"].endswith((".", "open.")) and item["cure"].endswith(".") for item in found)
    return {item["id"]: item["severity"] for item in found}


def test_a_sound_host_has_no_findings() -> None:
    assert findings(host()) == {}


@pytest.mark.parametrize(
    ("world", "expected"),
    [
        (host(DEFAULTS="IPV6=yes\nMANAGE_BUILTINS=yes\n"), {"ufw_manage_builtins": "critical"}),
        (host(DEFAULTS="IPV6=no\n", save6=SAVE6.replace(":ufw6-user-input - [0:0]\n", "")), {"ufw_ipv6_no": "high"}),
        (host(DEFAULTS="IPV6=yes\nDEFAULT_INPUT_POLICY=ACCEPT\n"), {"ufw_default_allow": "medium"}),
        (host(RULES="### tuple ### route:allow tcp 80 172.17.0.2 any 0.0.0.0/0 in\n"), {"ufw_route_rules": "info"}),
        (host(save=SAVE.replace(":ufw-user-input - [0:0]\n", "")), {"ufw_not_loaded": "critical"}),
        (host(save=SAVE.replace("-A FORWARD -j DOCKER-USER\n", "")), {"docker_user_unreferenced": "medium"}),
        (host(save=SAVE.replace(":DOCKER-USER - [0:0]\n", "")), {"docker_user_missing": "low"}),
        (host(save6=None), {"ip6tables_unreadable": "medium"}),
        (host(legacy="*filter\n:DOCKER - [0:0]\n"), {"iptables_mix": "critical"}),
        (host(nft=[{"table": {"family": "ip", "name": "docker-bridges"}}]), {"engine_nftables": "medium"}),
    ],
)
def test_what_weakens_the_host_is_found_with_its_cure(world: World, expected: dict[str, str]) -> None:
    assert findings(world) == expected


def test_the_block_of_ufw_docker_is_found() -> None:
    world = host()
    files = {**world.firewall.files, "/etc/ufw/after.rules": "# BEGIN UFW AND DOCKER\n*filter\n"}
    assert findings(World(Firewall(files=files, nft={}, saves={4: SAVE, 6: SAVE6}), world.snapshot)) == {
        "ufw_docker_block": "high"
    }


def test_a_daemon_elsewhere_is_told() -> None:
    assert findings(host(), docker_host="tcp://192.0.2.10:2376") == {"remote_daemon": "high"}


def test_a_routed_network_is_told() -> None:
    routed = Network("e" * 64, "routed", options={"com.docker.network.bridge.gateway_mode_ipv6": "routed"})
    world = host()
    assert world.snapshot is not None
    networks = (*world.snapshot.networks, routed)
    assert findings(World(world.firewall, Snapshot(networks=networks))) == {"routed_network": "medium"}
