# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images: built once, kept as tar files in the cache, imported where the outer Docker lacks them."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from . import engine, places
from .errors import LabError
from .progress import shown
from .recipes import RECIPES, WORKLOAD, WORKLOAD_TAG, Recipe
from .topology import RECIPE_LABEL

_BUILDS_AT_ONCE = 2


def ensure(names: Iterable[str]) -> None:
    """These images are in the outer Docker."""
    missing = [recipe for recipe in map(RECIPES.__getitem__, sorted(set(names))) if not _imported(recipe)]
    if any(not _cached(recipe.file_name).exists() for recipe in missing):
        _ensure_builder()
    with ThreadPoolExecutor(_BUILDS_AT_ONCE) as pool:
        list(pool.map(_import, missing))


def ensure_workload() -> Path:
    """The tar file of the workload image."""
    path = _cached(WORKLOAD.file_name)
    if path.exists():
        return path
    with places.locked(WORKLOAD.file_name):
        if not path.exists():
            _ensure_builder()
            tree = _built(WORKLOAD.source)
            _write_whole(path, lambda out: _pack_workload(tree, out))
    return path


def load_workload(container: str) -> None:
    """Gives the workload image to the daemon inside a host."""
    with ensure_workload().open("rb") as tar:
        argv = ["docker", "exec", "-i", container, "docker", "import"]
        changes = [
            "--change=WORKDIR /www",
            '--change=CMD ["httpd", "-f", "-p", "80", "-h", "/www"]',
            f"--change=LABEL {RECIPE_LABEL}={WORKLOAD.key}",
        ]
        done = subprocess.run(
            [*argv, *changes, "-", WORKLOAD_TAG], stdin=tar, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise LabError(f"{container} did not take the workload image: {done.stderr.strip()}")


def refuse_to_hide_the_mirror(subnets: Iterable[str]) -> None:
    """A LabError if a lab on these subnets would take the packages' mirror away from the whole machine.

    The lab's addresses are those for documentation, and some sandboxes reach their mirrors at just such addresses.
    """
    host = urlsplit(_mirror()).hostname
    if not host:
        return
    try:
        found = {ip_address(entry[4][0]) for entry in socket.getaddrinfo(host, 80, family=socket.AF_INET)}
    except OSError:
        return  # a machine without names has no mirror to lose
    for address in sorted(found, key=int):
        for subnet in subnets:
            if address in ip_network(subnet):
                raise LabError(
                    f"A lab on {subnet} would cut this machine off from {host}, which it reaches at {address}:"
                    " choose another lab with LAB=0..7."
                )


def _mirror() -> str:
    """The mirror that LAB_MIRROR names, else the one that this machine's own apt takes Debian from; maybe none."""
    chosen = os.environ.get("LAB_MIRROR")
    if chosen or not shutil.which("apt-get"):
        return chosen or ""
    argv = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return debian_mirror(done.stdout.split())


def debian_mirror(addresses: Iterable[str]) -> str:
    """The first of apt's addresses that is a whole mirror of Debian, and no archive of updates or of another system."""
    for address in addresses:
        parts = urlsplit(address)
        if parts.scheme in ("http", "https") and parts.path.rstrip("/").endswith("/debian"):
            return address
    return ""


def _cached(file_name: str) -> Path:
    return places.cache() / file_name


def _imported(recipe: Recipe) -> bool:
    return engine.docker(["image", "inspect", recipe.tag], check=False).returncode == 0


def _import(recipe: Recipe) -> None:
    with places.locked(recipe.file_name):
        if _imported(recipe):
            return
        path = _built(recipe)
        with path.open("rb") as tar, shown(f"importing {recipe.name}"):
            done = subprocess.run(
                ["docker", "import", f"--change=LABEL {RECIPE_LABEL}={recipe.key}", "-", recipe.tag],
                stdin=tar,
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode:
            raise LabError(f"Docker did not import {path}: {done.stderr.strip()} (if the file is broken, delete it).")


def _built(recipe: Recipe) -> Path:
    """The recipe's tar file. The caller holds the recipe's lock."""
    path = _cached(recipe.file_name)
    if path.exists():
        return path
    builder = shutil.which("mmdebstrap")
    if builder is None:
        _ensure_builder()
    # In its root mode the builder also works where user namespaces are switched off.
    argv = [
        *engine.as_root(purpose="Building images"),
        *recipe.argv(mirror=_mirror()),
    ]
    with tempfile.TemporaryFile() as said:

        def build(out: Path) -> None:
            with out.open("wb") as tar:
                done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=tar, stderr=said, check=False)
            if done.returncode:
                said.seek(0)
                tail = said.read().decode(errors="replace").strip().splitlines()[-20:]
                raise LabError(
                    f"mmdebstrap could not build {recipe.name} ({recipe.suite}); if the mirror is the cause,"
                    " set LAB_MIRROR to one that this machine reaches.",
                    detail="\n".join(tail),
                )

        with shown(f"building {recipe.name} ({recipe.suite})"):
            _write_whole(path, build)
    return path


def _write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """A reader sees the whole file or none."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _ensure_builder() -> None:
    if shutil.which("mmdebstrap") is None:
        engine.install("mmdebstrap", "debian-archive-keyring", needed_for="building the lab's images")


def _pack_workload(tree: Path, out: Path) -> None:
    with tarfile.open(tree) as source:
        # Newer suites keep it below usr/.
        names = {name.lstrip("./"): name for name in source.getnames()}
        member = source.extractfile(names.get("usr/bin/busybox") or names["bin/busybox"])
        assert member is not None  # a regular file in Debian's package
        binary = member.read()
    with tempfile.TemporaryDirectory() as folder:
        runnable = Path(folder) / "busybox"
        runnable.write_bytes(binary)
        runnable.chmod(0o755)
        listed = subprocess.run([str(runnable), "--list"], capture_output=True, text=True, check=True).stdout
    applets = [name for name in listed.split() if name != "busybox"]
    with tarfile.open(out, "w") as target:

        def add(name: str, mode: int, content: bytes) -> None:
            entry = tarfile.TarInfo(name)
            entry.mode, entry.size = mode, len(content)
            target.addfile(entry, io.BytesIO(content))

        for folder, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777), ("www", 0o755), ("www/cgi-bin", 0o755)):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            target.addfile(entry)
        add("bin/busybox", 0o755, binary)
        for applet in applets:
            entry = tarfile.TarInfo(f"bin/{applet}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            target.addfile(entry)
        for name, mode, text in WORKLOAD.files:
            add(name, mode, text.encode())
