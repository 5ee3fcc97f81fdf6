# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bulkhead.docker.plugins.modules import docker_reachability_info
from ansible_collections.bulkhead.docker.tests.unit.plugins.modules.calling import NOWHERE, UNCLOSED, refusal

pytestmark = UNCLOSED


def failure(capfd: pytest.CaptureFixture[str], **arguments: t.Any) -> dict[str, t.Any]:
    return refusal(docker_reachability_info.main, capfd, **arguments)


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ({"from": "internet"}, ["to", "explain"]),
        ({"from": "internet", "to": "db"}, ["explain[0].port", "nothing"]),
        ({"from": "internet", "to": "db", "port": 70000}, ["explain[0].port", "70000", "65535"]),
        ({"from": "internet", "to": "db", "port": 1, "proto": "smtp"}, ["explain[0].proto", "'smtp'"]),
        ({"from": "internet", "to": "db", "port": 1, "family": "ipv5"}, ["family", "ipv5"]),
        ({"from": "internet", "to": "", "port": 1}, ["explain[0].to", "empty"]),
        ({"from": "internet", "to": "db", "port": 1, "way": "x"}, ["Unsupported", "way"]),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_before_docker_is_asked(
    capfd: pytest.CaptureFixture[str], question: dict[str, t.Any], words: list[str]
) -> None:
    message = failure(capfd, explain=[question])["msg"]
    assert "Cannot talk to Docker" not in message
    assert all(word in message for word in words), message


def test_a_question_without_ports_needs_none(capfd: pytest.CaptureFixture[str]) -> None:
    result = failure(capfd, explain=[{"from": "internet", "to": "host", "proto": "icmp"}])
    assert result["reason_code"] == "no_daemon"


def test_a_daemon_that_is_not_there_is_told_with_its_socket(capfd: pytest.CaptureFixture[str]) -> None:
    result = failure(capfd)
    assert result["reason_code"] == "no_daemon"
    assert NOWHERE in result["msg"]
