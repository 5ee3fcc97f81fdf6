# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Probes against real sockets of this machine's loopback."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from lab.inside.probe import probe_all


def knock(kind: str, port: int, timeout: float = 1.0, address: str = "127.0.0.1") -> dict[str, object]:
    return {"address": address, "port": port, "kind": kind, "timeout": timeout, "source": ""}


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def datagrams() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        yield server


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_a_listener_is_open_and_nobody_is_refused(listener: int) -> None:
    nobody = free_port(socket.SOCK_STREAM)
    assert probe_all([knock("tcp", listener), knock("tcp", nobody), knock("tcp", listener)]) == [
        "open",
        "refused",
        "open",
    ]


def test_a_datagram_without_an_answer_is_a_timeout(datagrams: socket.socket) -> None:
    assert probe_all([knock("udp", datagrams.getsockname()[1], timeout=0.1)]) == ["timeout"]


def test_a_datagram_that_comes_back_is_open(datagrams: socket.socket) -> None:
    def echo() -> None:
        data, sender = datagrams.recvfrom(100)
        datagrams.sendto(data, sender)

    answering = threading.Thread(target=echo)
    answering.start()
    assert probe_all([knock("udp", datagrams.getsockname()[1])]) == ["open"]
    answering.join()


def test_a_datagram_to_nobody_is_refused() -> None:
    assert probe_all([knock("udp", free_port(socket.SOCK_DGRAM))]) == ["refused"]


def test_many_silent_doors_take_as_long_as_one(datagrams: socket.socket) -> None:
    start = time.monotonic()
    assert probe_all([knock("udp", datagrams.getsockname()[1], timeout=0.2)] * 20) == ["timeout"] * 20
    assert time.monotonic() - start < 1.0
