# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
import typing as t
from pathlib import Path

import pytest

from ansible_collections.bulkhead.docker.plugins.modules import docker_app_network_info
from ansible_collections.bulkhead.docker.tests.unit.plugins.modules.calling import NOWHERE, UNCLOSED, refusal

pytestmark = UNCLOSED


def failure(capfd: pytest.CaptureFixture[str], **arguments: t.Any) -> dict[str, t.Any]:
    return refusal(docker_app_network_info.main, capfd, **arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"names": [""]}, ["names[0]", "empty"]),
        ({"name": "a"}, ["Unsupported", "name"]),
        ({"apps": [{"name": "a", "attach_post_create": ["n"], "attach_post_deploy": ["n"]}]}, ["apps[0]", "'n'"]),
        ({"apps": [{"tld": "x"}]}, ["apps[0].name", "missing"]),
        ({"app_defaults": {"name": "a"}}, ["app_defaults", "'name'"]),
    ],
)
def test_bad_input_is_refused_with_its_place_before_docker_is_asked(
    capfd: pytest.CaptureFixture[str], arguments: dict[str, t.Any], words: list[str]
) -> None:
    message = failure(capfd, **arguments)["msg"]
    assert "Cannot talk to Docker" not in message
    assert all(word in message for word in words), message


def test_a_daemon_that_is_not_there_is_told_with_its_socket(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    result = failure(capfd)
    assert result["reason_code"] == "no_daemon"
    assert NOWHERE in result["msg"] and "there is no such socket" in result["msg"]
    dead = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(dead))
    assert "nothing answers there" in failure(capfd, docker_host=f"unix://{dead}")["msg"]
