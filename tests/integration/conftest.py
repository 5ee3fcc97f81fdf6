# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hosts that the tests run on: real engines, one lab for each worker."""

from __future__ import annotations

import os
from collections.abc import Iterator

import lab
import pytest

from integration.hosts import DockerHost, Host

ENGINES = ("engine20", "engine26", "engine28")
OUTSIDE = ("outsider", "neighbour")


def pytest_configure(config: pytest.Config) -> None:
    """Give each worker a lab of its own, from that of LAB on: workers would reset each other's hosts."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    base = os.environ.setdefault("FIRST_LAB", os.environ.get("LAB") or "0")
    os.environ["LAB"] = str(int(base) + int(worker.removeprefix("gw")))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" in metafunc.fixturenames:
        wanted = os.environ.get("ENGINE")
        engines = [name for name in ENGINES if not wanted or name == f"engine{wanted}"]
        # All tests of an engine go to one worker, so that no engine runs in two labs.
        grouped = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in engines]
        metafunc.parametrize("engine", grouped, indirect=True)


@pytest.fixture(scope="session")
def up() -> set[str]:
    """The hosts that are known to be up; they stay up, for the next run."""
    lab.up(OUTSIDE)
    return set(OUTSIDE)


@pytest.fixture
def engine(request: pytest.FixtureRequest, up: set[str]) -> Iterator[DockerHost]:
    """One Docker host, as after its first boot; each test runs on all engines, or on that of ENGINE."""
    if request.param not in up:
        lab.up([request.param])
        up.add(request.param)
    lab.reset([request.param])
    yield DockerHost(request.param)


@pytest.fixture
def outsider(up: set[str]) -> Host:
    """A host on the internet side."""
    lab.reset(["outsider"])
    return Host("outsider")


@pytest.fixture
def neighbour(up: set[str]) -> Host:
    """A host on the same local link as the Docker hosts."""
    lab.reset(["neighbour"])
    return Host("neighbour")
