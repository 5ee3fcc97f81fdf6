# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
import typing as t
from pathlib import Path

import pytest

from ansible_collections.bulkhead.docker.plugins.modules import docker_app_network
from ansible_collections.bulkhead.docker.tests.unit.plugins.modules.calling import NOWHERE, UNCLOSED, refusal

pytestmark = UNCLOSED


def failure(capfd: pytest.CaptureFixture[str], **arguments: t.Any) -> dict[str, t.Any]:
    return refusal(docker_app_network.main, capfd, **arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, ["networks", "name", "apps", "app"]),
        ({"name": "a", "networks": ["b"]}, ["name", "networks"]),
        ({"app": "a", "apps": ["b"]}, ["app", "apps"]),
        ({"name": "a", "state": "gone"}, ["state", "present, absent"]),
        ({"name": "a", "recreate": "always"}, ["recreate", "never"]),
        ({"apps": ["a"], "phase": "later"}, ["phase", "deploy"]),
        ({"networks": [{"name": "a", "isolate": True}]}, ["networks[0]", "'isolate'"]),
        ({"networks": [{"name": "a"}, {"driver": "bridge"}]}, ["networks[1].name", "missing"]),
        ({"networks": [{"name": "a", "ipam_config": [{"subnet": "10.0.0.1/24"}]}]}, ["10.0.0.1/24", "10.0.0.0/24"]),
        ({"networks": [{"name": "a", "ipam_config": [{"gateway": "10.0.0.1"}]}]}, ["ipam_config[0].subnet"]),
        ({"networks": [{"name": "a", "bridge_name": "sixteen-letters-"}]}, ["networks[0].bridge_name", "15"]),
        ({"networks": [{"name": "a", "mtu": 1400, "driver_options": {"com.docker.network.driver.mtu": 9}}]}, ["mtu"]),
        ({"name": "a", "connected": [{"name": "c", "mac_address": "x"}]}, ["connected[0]", "mac_address"]),
        ({"name": "a", "connected": [{"name": "c", "ipv4_address": "::1"}]}, ["connected[0].ipv4_address", "::1"]),
        ({"apps": [{"name": "a", "match": {"label": "x"}}]}, ["apps[0].match", "'label'"]),
        ({"apps": [{"name": "a", "tld": "bad name"}]}, ["apps[0].tld", "bad name"]),
        ({"apps": ["a"], "app_defaults": {"match": {}}}, ["app_defaults", "'match'"]),
    ],
)
def test_bad_input_is_refused_with_its_place_before_docker_is_asked(
    capfd: pytest.CaptureFixture[str], arguments: dict[str, t.Any], words: list[str]
) -> None:
    message = failure(capfd, **arguments)["msg"]
    assert "Cannot talk to Docker" not in message
    assert all(word in message for word in words), message


def test_a_daemon_that_is_not_there_is_told_with_its_socket(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    result = failure(capfd, name="a")
    assert result["reason_code"] == "no_daemon"
    assert NOWHERE in result["msg"] and "there is no such socket" in result["msg"]
    dead = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(dead))
    assert "nothing answers there" in failure(capfd, name="a", docker_host=f"unix://{dead}")["msg"]
