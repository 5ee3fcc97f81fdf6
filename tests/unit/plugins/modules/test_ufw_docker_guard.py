# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
import typing as t

import pytest

from ansible_collections.bulkhead.docker.plugins.modules import ufw_docker_guard
from ansible_collections.bulkhead.docker.tests.unit.plugins.modules.calling import UNCLOSED, refusal

pytestmark = UNCLOSED


def failure(capfd: pytest.CaptureFixture[str], **arguments: t.Any) -> dict[str, t.Any]:
    return refusal(ufw_docker_guard.main, capfd, **arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"state": "gone"}, ["state", "gone"]),
        ({"policy": "reject"}, ["policy", "reject"]),
        ({"backend": "iptables"}, ["backend", "iptables"]),
        ({"persist": "auto"}, ["Unsupported", "persist"]),
        ({"trusted": [{"from": "10.0.0.0/8"}]}, ["interface", "trusted"]),
        ({"trusted": [{"interface": "eth1"}]}, ["from", "trusted"]),
        ({"trusted": [{"from": "office", "interface": "eth1"}]}, ["trusted[0].from", "office"]),
        ({"rules": [{"port": 80}]}, ["action", "rules"]),
        ({"rules": [{"action": "allow", "port": 99999}]}, ["rules[0].port", "99999"]),
        ({"rules": [{"action": "allow", "container": "web"}]}, ["Unsupported", "container"]),
    ],
)
def test_bad_input_is_refused_with_its_place_before_docker_is_asked(capfd, arguments, words):
    message = failure(capfd, **arguments)["msg"]
    assert "Cannot talk to Docker" not in message
    assert all(word in message for word in words), message


def test_a_daemon_that_is_down_is_one_sentence(capfd):
    result = failure(capfd)
    assert result["reason_code"] == "no_daemon"
    assert result["msg"].startswith(
        "Cannot talk to Docker at unix:///nonexistent/docker.sock: there is no such socket."
    )


def test_a_socket_that_nobody_listens_on_is_one_sentence(capfd, tmp_path):
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
    result = failure(capfd, docker_host=f"unix://{path}")
    assert (result["reason_code"], "nothing answers there" in result["msg"]) == ("no_daemon", True)
