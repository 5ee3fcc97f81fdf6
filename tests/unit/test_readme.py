# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bulkhead.docker.tests import readme

if t.TYPE_CHECKING:
    from pathlib import Path


def test_a_marked_block_is_run_as_it_stands():
    assert readme.blocks("Text\n\n<!-- run -->\n```sh\nmake help\nmake lint\n```\n") == [
        readme.Block(4, "make help\nmake lint\n")
    ]


def test_a_block_may_ask_for_the_lab():
    (block,) = readme.blocks("<!-- run: lab -->\n\n```sh\nansible lab -m ping\n```\n")
    assert block.needs_lab


def test_a_block_that_is_not_run_says_why():
    (block,) = readme.blocks("<!-- not run: it needs your own hosts -->\n```sh\nansible-playbook x\n```\n")
    assert block.not_run == "it needs your own hosts"


def test_a_block_inside_a_list_loses_its_indent():
    (block,) = readme.blocks("1. First\n\n   <!-- run -->\n   ```sh\n   cat <<X\n     two\n   X\n\n   true\n   ```\n")
    assert block.script == "cat <<X\n  two\nX\n\ntrue\n"


def test_other_languages_need_no_mark():
    assert readme.blocks("```yaml\n- hosts: all\n```\n\n~~~text\nx\n~~~\n") == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("```sh\nx\n```\n", "README.md:1: put <!-- run -->"),
        ("\n<!-- not run -->\n```sh\nx\n```\n", "README.md:3: <!-- not run --> needs a reason"),
        ("<!-- run: moon -->\n```sh\nx\n```\n", "README.md:2: 'moon' is nothing that can be prepared"),
        ("<!-- run -->\n```yaml\nx\n```\n", "README.md:1: this mark stands above a block that is not shell"),
        ("<!-- run -->\nText\n```sh\nx\n```\n", "README.md:1: this mark stands above text"),
        ("<!-- run -->\n", "README.md:1: this mark stands above no block"),
        ("<!-- run -->\n<!-- run -->\n```sh\nx\n```\n", "README.md:1: this mark stands above no block"),
        ("<!-- run -->\n```sh\nx\n", "README.md:2: this block never ends"),
    ],
)
def test_a_block_that_cannot_be_proven_is_refused_with_its_line(text: str, sentence: str):
    with pytest.raises(readme.ReadmeError) as caught:
        readme.blocks(text)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("script", ["false\ntrue\n", "false | true\n", "echo $UNSET_BY_ALL\n"])
def test_a_block_fails_with_its_first_failing_command(tmp_path: Path, script: str):
    assert readme.run(readme.Block(1, script), tmp_path) != 0


def test_a_block_runs_in_the_folder_of_its_readme_with_the_checkouts_programs(tmp_path: Path):
    program = tmp_path / ".venv/bin/ansible-of-this-checkout"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\ntouch was-here\n", encoding="utf-8")
    program.chmod(0o755)
    assert readme.run(readme.Block(1, "ansible-of-this-checkout\n"), tmp_path) == 0
    assert (tmp_path / "was-here").exists()
