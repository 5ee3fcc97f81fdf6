# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import socket
import typing as t

import pytest

from ansible_collections.bulkhead.docker.plugins.modules import docker_network_purge
from ansible_collections.bulkhead.docker.tests.unit.plugins.modules.calling import UNCLOSED, refusal

pytestmark = UNCLOSED


def failure(capfd: pytest.CaptureFixture[str], **arguments: t.Any) -> dict[str, t.Any]:
    return refusal(docker_network_purge.main, capfd, **arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, ["names", "patterns", "filters"]),
        ({"names": [""]}, ["names[0]", "is an empty text"]),
        ({"names": ["a"], "max_networks": 0}, ["max_networks", "0"]),
        ({"names": ["a"], "force": True}, ["Unsupported", "force"]),
        ({"names": ["a"], "containers": "stop"}, ["containers", "stop"]),
        ({"patterns": ["  "]}, ["patterns[0]"]),
        ({"filters": {}}, ["filters sets nothing", "every network"]),
        ({"filters": {"unused": False}}, ["filters sets nothing"]),
        ({"filters": {"ignore_stopped": True}}, ["filters.ignore_stopped", "filters.unused"]),
        ({"filters": {"labels": []}}, ["filters.labels", "names no label"]),
        ({"filters": {"labels": {}}}, ["filters.labels", "names no label"]),
        ({"filters": {"labels": ["=x"]}}, ["filters.labels", "names no label"]),
        ({"filters": {"labels": {"a": ["b"]}}}, ["filters.labels.a", "a list"]),
        ({"filters": {"labels": 7}}, ["filters.labels"]),
        ({"filters": {"compose_project": ""}}, ["filters.compose_project", "empty text"]),
        ({"filters": {"age": "3d"}}, ["Unsupported", "age"]),
        ({"names": ["a"], "protect": {"networks": [""]}}, ["protect.networks[0]"]),
        ({"names": ["a"], "keep_connected": False, "fallback_network": "b"}, ["fallback_network", "keep_connected"]),
    ],
)
def test_bad_input_is_refused_with_its_place_before_docker_is_asked(capfd, arguments, words):
    message = failure(capfd, **arguments)["msg"]
    assert "Cannot talk to Docker" not in message
    assert all(word in message for word in words), message


def test_a_daemon_that_is_not_there_is_one_clean_failure(capfd):
    result = failure(capfd, names=["a"])
    assert result["reason_code"] == "no_daemon"
    assert "there is no such socket" in result["msg"] and "Traceback" not in json.dumps(result)


def test_a_socket_that_nobody_listens_on_is_one_clean_failure(capfd, tmp_path):
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        result = failure(capfd, names=["a"], docker_host=f"unix://{path}")
    assert result["reason_code"] == "no_daemon" and "nothing answers there" in result["msg"]
