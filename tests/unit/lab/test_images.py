# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What images are made of on this machine."""

from __future__ import annotations

import socket
import tarfile
from pathlib import Path

import pytest
from lab import images
from lab.errors import LabError


def resolve_to(*addresses: str) -> object:
    return lambda *_args, **_options: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (item, 80)) for item in addresses]


def test_a_lab_that_would_hide_the_mirror_is_refused_with_both_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_MIRROR", "http://mirror.example/debian")
    monkeypatch.setattr(socket, "getaddrinfo", resolve_to("198.51.100.4", "198.51.100.80"))
    with pytest.raises(
        LabError, match=r"198\.51\.100\.64/27 .* mirror\.example, .* 198\.51\.100\.80: choose another lab"
    ):
        images.refuse_to_hide_the_mirror(["10.113.2.0/24", "198.51.100.64/27"])


def test_debian_comes_from_where_the_machine_itself_takes_it() -> None:
    updates, whole = "http://mirror.example/debian-security/", "http://mirror.example/debian/"
    assert images.debian_mirror([updates, whole]) == whole
    assert images.debian_mirror(["cdrom:[Debian]/debian", "http://archive.example/ubuntu"]) == ""


def test_a_mirror_elsewhere_hinders_no_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_MIRROR", "http://mirror.example/debian")
    monkeypatch.setattr(socket, "getaddrinfo", resolve_to("198.51.100.80"))
    images.refuse_to_hide_the_mirror(["10.113.3.0/24", "198.51.100.96/27"])


def test_a_machine_without_names_may_have_a_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "no name server")

    monkeypatch.setenv("LAB_MIRROR", "http://mirror.example/debian")
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    images.refuse_to_hide_the_mirror(["198.51.100.64/27"])


def test_a_cached_file_is_whole_or_not_there(tmp_path: Path) -> None:
    def stop_half_way(partial: Path) -> None:
        partial.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        images._write_whole(tmp_path / "tree.tar", stop_half_way)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["./bin/busybox", "./usr/bin/busybox"])
def test_the_workload_is_a_busybox_with_its_applets_and_a_page(place: str, tmp_path: Path) -> None:
    fake = tmp_path / "busybox"
    fake.write_text("#!/bin/sh\nprintf 'busybox\\nhttpd\\nnc\\n'\n")
    with tarfile.open(tmp_path / "tree.tar", "w") as tree:
        tree.add(fake, place)
    images._pack_workload(tmp_path / "tree.tar", tmp_path / "out.tar")
    with tarfile.open(tmp_path / "out.tar") as packed:
        assert packed.getmember("bin/httpd").linkname == packed.getmember("bin/nc").linkname == "busybox"
        assert packed.getmember("bin/busybox").mode == 0o755
        page = packed.extractfile("www/index.html")
        assert page is not None
        assert b"bulkhead-lab" in page.read()


def test_a_builder_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    builder = tmp_path / "mmdebstrap"
    builder.write_text("#!/bin/sh\necho 'E: the mirror is on fire' >&2\nexit 3\n")
    builder.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(images.engine, "as_root", lambda **_options: [])
    with pytest.raises(LabError, match=r"could not build engine28 \(forky\)") as caught:
        images._built(images.RECIPES["engine28"])
    assert caught.value.detail == "E: the mirror is on fire"
    assert not list((tmp_path / "cache").rglob("*.tar*"))
