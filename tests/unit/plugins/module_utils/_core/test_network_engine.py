# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bulkhead.docker.plugins.module_utils._core.errors import CoreError
from ansible_collections.bulkhead.docker.plugins.module_utils._core.membership import Attachment
from ansible_collections.bulkhead.docker.plugins.module_utils._core.model import Container, Engine
from ansible_collections.bulkhead.docker.plugins.module_utils._core.network_engine import fit, refuse_ignored
from ansible_collections.bulkhead.docker.plugins.module_utils._core.network_reading import read_network
from ansible_collections.bulkhead.docker.plugins.module_utils._core.plan import Change

MODE = "com.docker.network.bridge.gateway_mode_ipv4"
TRUSTED = "com.docker.network.bridge.trusted_host_interfaces"


@pytest.mark.parametrize(
    ("options", "needs", "below", "from_"),
    [
        ({"enable_ipv4": False, "enable_ipv6": True}, "28", "27.5.1", "28.0.0"),
        ({"isolated": True, "enable_ipv6": True}, "28", "27.5.1", "28.0.0"),
        ({"driver_options": {MODE: "routed"}}, "27", "26.1.5+dfsg1", "27.0.1"),
        ({"driver_options": {MODE: "nat"}}, "27", "20.10.24", "27.0.1"),
        ({"driver_options": {MODE: "isolated"}}, "28", "27.5.1", "28.0.0"),
        ({"driver_options": {MODE: "nat-unprotected"}}, "28", "27.5.1", "28.0.0"),
        ({"driver_options": {TRUSTED: "eth1"}}, "28.2", "28.1.1", "28.2.0"),
    ],
)
def test_an_option_that_the_engine_ignores_is_refused_with_the_version_it_needs(
    options: dict[str, t.Any], needs: str, below: str, from_: str
) -> None:
    wanted = read_network({"name": "n", **options}, "networks[3]")
    with pytest.raises(CoreError) as caught:
        fit(wanted, Engine(below, "1.40"))
    assert caught.value.reason_code == "engine"
    assert caught.value.details == {"needs": needs, "engine": below}
    assert "networks[3]." in caught.value.msg and needs in caught.value.msg
    fit(wanted, Engine(from_, "1.48"))
    fit(read_network({"name": "n", "state": "absent", **options}), Engine(below, "1.40"))


def test_an_engine_that_would_know_it_is_told_so_only_by_an_api_that_does() -> None:
    wanted = read_network({"name": "n", "enable_ipv4": False})
    with pytest.raises(CoreError, match="asked by API") as caught:
        fit(wanted, Engine("28.5.2", "1.47"))
    assert caught.value.details["needs"] == "API 1.48"
    fit(wanted, Engine("28.5.2", "1.48"))


@pytest.mark.parametrize(("version", "modes"), [("20.10.24", False), ("27.5.1", False), ("28.0.0", True)])
def test_isolation_is_made_by_what_the_engine_knows(version: str, modes: bool) -> None:
    assert fit(read_network({"name": "n", "isolated": True}), Engine(version)).gateway_modes is modes


STEP = [Change("connect", "endpoint", "c on n", "")]


@pytest.mark.parametrize(
    ("wish", "steps", "engine", "refused"),
    [
        ({"gw_priority": 5}, [], Engine("27.5.1", "1.47"), True),
        ({"gw_priority": 0}, STEP, Engine("27.5.1", "1.47"), False),
        ({"gw_priority": 5}, STEP, Engine("28.0.0", "1.48"), False),
        ({"mac": "02:00:00:00:00:01"}, STEP, Engine("28.5.2", "1.51"), True),
        ({"mac": "02:00:00:00:00:01"}, [], Engine("28.5.2", "1.51"), False),
        ({"mac": "02:00:00:00:00:01"}, STEP, Engine("29.9.0", "1.54"), False),
        ({"mac": "02:00:00:00:00:01"}, STEP, Engine("99.0.0", "2.0"), False),
        ({}, STEP, Engine("20.10.24", "1.41"), False),
    ],
)
def test_what_the_engine_ignores_of_an_attachment_is_refused_where_it_would_matter(
    wish: dict[str, t.Any], steps: list[Change], engine: Engine, refused: bool
) -> None:
    attachment = Attachment(Container("1" * 64, "c"), "n", ("connected[0]",), **wish)
    if not refused:
        refuse_ignored(attachment, steps, engine)
        return
    with pytest.raises(CoreError, match="'c' on 'n'") as caught:
        refuse_ignored(attachment, steps, engine)
    assert caught.value.reason_code == "engine"
