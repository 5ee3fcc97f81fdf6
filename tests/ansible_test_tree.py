# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lay the checkout where ansible-test accepts it, and let it work without its makers' file server.

ansible-test resolves its working directory and refuses anything that does not lie in
``ansible_collections/NAMESPACE/NAME``: a link will not do, only a real copy.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import toolchain

# ansible-test builds its environments without pip and fetches a get-pip script from a server of its own. A script at
# the place where it keeps that download is used as it is; this one does the same from a wheel of the package index.
GET_PIP = """\
import sys
sys.path.insert(0, {wheel!r})
from pip._internal.cli.main import main
arguments = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
sys.exit(main(["install", "--upgrade", "--force-reinstall", *arguments]))
"""


def own_files() -> list[str]:
    """Return the checkout's files as git sees them: tracked or not yet, not ignored, not deleted."""
    argv = ["git", "-C", str(toolchain.CHECKOUT), "ls-files", "-z", "-co", "--exclude-standard"]
    names = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split("\0")
    return sorted(name for name in set(names) if name and (toolchain.CHECKOUT / name).is_file())


def lay(place: Path) -> Path:
    """Make ``place/ansible_collections/bulkhead/docker`` a fresh copy of the checkout and return it."""
    copy = place / toolchain.COLLECTION
    shutil.rmtree(place, ignore_errors=True)
    for name in own_files():
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(toolchain.CHECKOUT / name, target, follow_symlinks=False)
    # Tools ask git which files there are. The copy lies in an ignored folder of the checkout: without a repository of
    # its own the answer would be "none", and every tool would be content.
    subprocess.run(["git", "init", "--quiet", str(copy)], check=True)
    return copy


def environment(folder: Path, first: Path | None = None) -> dict[str, str]:
    """Return the variables under which ``ansible-test`` of the environment ``folder`` runs.

    It gets a home of its own: its cache of environments and our pip script do not belong into the user's. ``first`` is
    an environment whose interpreters it meets before all others.
    """
    home = toolchain.cache() / "ansible-test-home"
    (home / ".config").mkdir(parents=True, exist_ok=True)
    _keep_pip_settings(home)
    _place_get_pip(folder, home)
    programs = [*([first / "bin"] if first else []), folder / "bin", _pythons()]
    return {"HOME": str(home), "PATH": os.pathsep.join([*map(str, programs), _path_without_shims()])}


def _keep_pip_settings(home: Path) -> None:
    # ansible-test hands no PIP_* variable on to pip; a configuration file it does read.
    listed = subprocess.run(
        [str(toolchain.seed() / "bin/pip"), "config", "list"], check=True, capture_output=True, text=True
    )
    settings = dict(re.findall(r"^(?::env:|global|user|site|install)\.?([\w-]+)='(.*)'$", listed.stdout, re.MULTILINE))
    kept = [f"{key} = {value}" for key, value in sorted(settings.items()) if key not in ("user", "target", "prefix")]
    file = home / ".config/pip/pip.conf"
    file.parent.mkdir(parents=True, exist_ok=True)
    # An index address may hold a password.
    file.touch(mode=0o600)
    file.write_text("\n".join(["[global]", *kept, ""]), encoding="utf-8")


def _place_get_pip(folder: Path, home: Path) -> None:
    source = next(folder.glob("lib/python3*/site-packages/ansible_test/_internal/python_requirements.py"))
    found = re.search(r"\bpip='([\d.]+)'", source.read_text(encoding="utf-8"))
    if found is None:
        raise toolchain.ToolchainError(f"{source} does not say any more which pip ansible-test wants")
    version = found.group(1)
    shelf = home / ".ansible/test/cache"
    wheel = shelf / f"pip-{version}-py3-none-any.whl"
    if not wheel.exists():
        shelf.mkdir(parents=True, exist_ok=True)
        argv = [
            str(toolchain.seed() / "bin/pip"),
            "download",
            "--quiet",
            "--no-deps",
            "--dest",
            str(shelf),
            f"pip=={version}",
        ]
        subprocess.run(argv, check=True)
    script = shelf / f"get_pip_{version.replace('.', '_')}.py"
    script.write_text(GET_PIP.format(wheel=str(wheel)), encoding="utf-8")


def _pythons() -> Path:
    # ansible-test starts every pythonX.Y it finds by name: here lie only those that work.
    found = toolchain.interpreters()
    key = hashlib.sha256(repr(found).encode()).hexdigest()[:8]
    folder = toolchain.cache() / "pythons" / key
    folder.mkdir(parents=True, exist_ok=True)
    for interpreter in found:
        place = folder / f"python{interpreter.short}"
        if not place.is_symlink():
            place.symlink_to(interpreter.path)
    return folder


def _path_without_shims() -> str:
    return os.pathsep.join(entry for entry in os.get_exec_path() if "shims" not in Path(entry).parts)
