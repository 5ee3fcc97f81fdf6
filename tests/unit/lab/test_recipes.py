# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An image is built again exactly when what it is made of changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from lab.recipes import RECIPES, WORKLOAD
from lab.topology import HOSTS


@pytest.mark.parametrize(
    "change", [{"suite": "sid"}, {"packages": ("docker.io",)}, {"variant": "essential"}, {"left_out": ()}], ids=str
)
def test_every_change_of_a_recipe_changes_its_key(change: dict[str, object]) -> None:
    recipe = RECIPES["engine28"]
    changed = replace(recipe, **change)
    assert changed.key != recipe.key
    assert changed.tag != recipe.tag
    assert changed.file_name != recipe.file_name


def test_the_same_recipe_has_the_same_key() -> None:
    assert replace(RECIPES["engine28"]).key == RECIPES["engine28"].key


def test_a_change_of_a_file_changes_the_workload() -> None:
    assert replace(WORKLOAD, files=()).key != WORKLOAD.key


def test_every_host_has_an_image() -> None:
    assert {host.image for host in HOSTS} == set(RECIPES)


def test_the_client_is_asked_for_where_it_is_a_package_of_its_own() -> None:
    assert "docker-cli" not in RECIPES["engine20"].packages
    assert all("docker-cli" in RECIPES[name].packages for name in ("engine26", "engine28"))


def test_the_builder_writes_a_tar_file_to_its_standard_output() -> None:
    argv = RECIPES["engine26"].argv(mirror="http://mirror.example/debian")
    assert argv[-3:] == ["trixie", "-", "http://mirror.example/debian"]
    assert RECIPES["engine26"].argv(mirror="")[-2:] == ["trixie", "-"]
    assert "--format=tar" in argv
