# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory for Ansible repeats the lab's addresses: here they are compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from lab.topology import HOSTS, LABS, Host, Lab

INVENTORY = Path(__file__).resolve().parents[2] / "lab" / "inventory" / "lab.yml"


def declared(name: str) -> dict[str, Any]:
    """All variables of a host, of every group that it is in."""
    tree = yaml.safe_load(INVENTORY.read_text())["all"]
    groups = tree["children"]

    def holds(group: dict[str, Any]) -> bool:
        return name in group.get("hosts", {}) or any(holds(groups[child]) for child in group.get("children", {}))

    found = dict(tree["vars"], inventory_hostname=name)
    for group in groups.values():
        if holds(group):
            found.update(group.get("vars", {}))
            found.update(group.get("hosts", {}).get(name) or {})
    return found


def members(group: str) -> set[str]:
    return set(yaml.safe_load(INVENTORY.read_text())["all"]["children"][group]["hosts"])


def rendered(variables: dict[str, Any], name: str, *, number: int) -> str | None:
    """A variable's text with the variables in it replaced, as Ansible would with LAB set to this number."""
    if name not in variables:
        return None
    engine = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    engine.globals["lookup"] = lambda kind, key: {("ansible.builtin.env", "LAB"): str(number)}[kind, key]
    text = str(variables[name])
    while "{{" in text:
        inner = {key: rendered(variables, key, number=number) for key in variables if key in text and key != name}
        text = engine.from_string(text).render({**variables, **inner, "lab_part": variables["lab_part"]})
    return text


@pytest.mark.parametrize("number", LABS)
@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
def test_the_inventory_has_the_addresses_of_the_topology(number: int, host: Host) -> None:
    lab, variables = Lab(number), declared(host.name)
    assert rendered(variables, "ansible_host", number=number) == lab.container(host)
    assert rendered(variables, "lab_wan_ip", number=number) == lab.wan_ip(host)
    assert rendered(variables, "lab_wan_ip6", number=number) == lab.wan_ip6(host)
    assert rendered(variables, "lab_lan_ip", number=number) == lab.lan_ip(host)
    assert rendered(variables, "lab_lan_ip6", number=number) == lab.lan_ip6(host)


def test_every_host_is_in_the_group_of_its_kind() -> None:
    assert members("lab") == {host.name for host in HOSTS if host.has_docker and not host.boots}
    assert members("lab_booting") == {host.name for host in HOSTS if host.boots}
    assert members("lab_outside") == {host.name for host in HOSTS if not host.has_docker}


@pytest.mark.parametrize("host", [host for host in HOSTS if host.has_docker], ids=lambda host: host.name)
def test_the_inventory_names_the_generation_of_the_engine(host: Host) -> None:
    assert f"engine{declared(host.name)['lab_engine']}" == host.image
