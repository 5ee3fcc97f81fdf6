# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build the virtual environments of this project once per machine and link them into the checkout.

Standard library only: this is the first thing that runs on a bare machine. The environments lie in the user's
cache, keyed by interpreter and requirement file, so that a second clone or a later run costs nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import typing as t
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
REQUIREMENTS = Path(__file__).resolve().parent / "requirements"
COLLECTION = Path("ansible_collections/bulkhead/docker")

# Controllers: ansible-core 2.19 runs on 3.11 to 3.13, 2.21 on 3.12 to 3.14. Targets: both go down to 3.9.
SUPPORTED = {"main": ((3, 11), (3, 13)), "newest": ((3, 12), (3, 14)), "oldest": ((3, 9), (3, 10))}


class ToolchainError(Exception):
    """One sentence for the person at the terminal: what is missing and the command that cures it."""


class NoInterpreter(ToolchainError):
    """No interpreter on this machine fits; a reason to skip for an optional environment."""


class Interpreter(t.NamedTuple):
    version: tuple[int, int, int]
    path: Path

    @property
    def short(self) -> str:
        return "{}.{}".format(*self.version)


def cache() -> Path:
    """Return the folder that outlives checkouts."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "bulkhead-docker"


def say(text: str) -> None:
    print(f"toolchain: {text}", file=sys.stderr, flush=True)


# --- interpreters


def interpreters() -> list[Interpreter]:
    """Return every working CPython of this machine, one a minor version, this one first, then the newest first.

    Candidates are started, not trusted by name: a pyenv shim exists for versions that are not selected, and exits 127.
    """
    candidates = [Path(sys.executable)]
    for folder in os.get_exec_path():
        candidates += sorted(Path(folder).glob("python3.[0-9]*"))
    pyenv = Path(os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv"))
    candidates += sorted(pyenv.glob("versions/3.*/bin/python3"))
    found: dict[tuple[int, ...], Interpreter] = {}
    for candidate in candidates:
        if not re.fullmatch(r"python3?(\.\d+)?", candidate.name):
            continue
        interpreter = _probe(candidate)
        if interpreter is not None:
            found.setdefault(interpreter.version[:2], interpreter)
    own = found.pop(sys.version_info[:2])
    return [own, *sorted(found.values(), reverse=True)]


def _probe(candidate: Path) -> Interpreter | None:
    # A virtual environment's interpreter must not become the base of another: its base is what we want.
    code = "import sys; print(*sys.version_info[:3], getattr(sys, '_base_executable', sys.executable))"
    try:
        answer = subprocess.run(
            [str(candidate), "-I", "-c", code], capture_output=True, text=True, timeout=20, check=True
        ).stdout.split(maxsplit=3)
        # Resolved, so that python3 and python3.11 of one installation are one key in the cache.
        return Interpreter((int(answer[0]), int(answer[1]), int(answer[2])), Path(answer[3].strip()).resolve())
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def interpreter_for(name: str) -> Interpreter:
    """Return the interpreter for environment ``name``: for "main" the one that runs this, if it can; else the newest."""
    oldest, newest = SUPPORTED[name]
    own = _probe(Path(sys.executable))
    if name == "main" and own is not None and oldest <= own.version[:2] <= newest:
        return own
    fitting = [item for item in interpreters() if oldest <= item.version[:2] <= newest]
    if not fitting:
        wanted = "{}.{} to {}.{}".format(*oldest, *newest)
        raise NoInterpreter(
            f"no Python {wanted} was found on PATH or under pyenv for the '{name}' environment; install one "
            f"(python3 of Debian 12 and newer fits 'main')"
        )
    if name != "main":
        fitting.sort(reverse=name == "newest")
    return fitting[0]


# --- environments


def ensure(name: str) -> Path:
    """Return the folder of environment ``name``, building it if this machine does not have it yet."""
    interpreter = interpreter_for(name)
    requirements = (REQUIREMENTS / f"{name}.txt").read_bytes()
    return _build(name, interpreter, requirements, lambda folder: _fill(folder, name, interpreter))


def seed() -> Path:
    """Return the environment with pip and uv that fills all others."""
    interpreter = interpreter_for("main")

    def fill(folder: Path) -> None:
        _need_ensurepip(interpreter)
        _call([str(interpreter.path), "-m", "venv", str(folder)])
        try:
            _call([str(folder / "bin/pip"), "install", "--quiet", "-r", str(REQUIREMENTS / "seed.txt")])
        except subprocess.CalledProcessError:
            say("uv could not be installed; pip does its work, which takes about half a minute longer")

    return _build("seed", interpreter, (REQUIREMENTS / "seed.txt").read_bytes(), fill)


def _build(name: str, interpreter: Interpreter, requirements: bytes, fill: t.Callable[[Path], None]) -> Path:
    key = hashlib.sha256(repr((interpreter.version, str(interpreter.path))).encode() + requirements).hexdigest()[:12]
    folder = cache() / "venv" / f"{name}-py{interpreter.short}-{key}"
    complete = folder / ".complete"
    if complete.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_name(f"{folder.name}.lock")):
        if complete.exists():
            return folder
        # Scripts in an environment hold its absolute path, so it cannot be built elsewhere and moved here: what
        # has no marker was interrupted and starts anew.
        shutil.rmtree(folder, ignore_errors=True)
        say(f"building the '{name}' environment with Python {interpreter.short} (once per machine)")
        started = time.monotonic()
        fill(folder)
        complete.touch()
        say(f"built '{name}' in {time.monotonic() - started:.0f} s: {folder}")
    return folder


def _fill(folder: Path, name: str, interpreter: Interpreter) -> None:
    shelf = seed()
    wanted = str(REQUIREMENTS / f"{name}.txt")
    uv = shelf / "bin/uv"
    if uv.exists():
        # The machine's certificates, not uv's own list: companies (and labs) sit behind their own authority.
        environment = {**os.environ, "UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1", "UV_LINK_MODE": "hardlink"}
        for variable in ("VIRTUAL_ENV", "UV_PYTHON"):
            environment.pop(variable, None)
        try:
            _call(
                [str(uv), "--no-config", "--quiet", "venv", "--python", str(interpreter.path), str(folder)], environment
            )
            target = ["--python", str(folder / "bin/python")]
            _call([str(uv), "--no-config", "--quiet", "pip", "install", *target, "-r", wanted], environment)
            return
        except subprocess.CalledProcessError:
            # uv does not read pip's configuration (a company's index, say); pip does.
            say("uv could not do it; trying pip, which takes about half a minute longer")
            shutil.rmtree(folder, ignore_errors=True)
    _call([str(interpreter.path), "-m", "venv", "--without-pip", str(folder)])
    pip = [str(shelf / "bin/pip"), "--python", str(folder / "bin/python"), "install"]
    _call([*pip, "--quiet", "--no-compile", "-r", wanted])


def _need_ensurepip(interpreter: Interpreter) -> None:
    check = [str(interpreter.path), "-I", "-c", "import ensurepip, venv"]
    if subprocess.run(check, capture_output=True, check=False).returncode == 0:
        return
    package = f"python{interpreter.short}-venv"
    if os.geteuid() == 0 and shutil.which("apt-get"):
        say(f"installing {package}: Debian keeps it apart from Python")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        apt = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300"]
        # The lists of a fresh machine may be missing; the install says what is wrong if this did not help.
        with contextlib.suppress(subprocess.CalledProcessError):
            _call([*apt, "update"], environment)
        with contextlib.suppress(subprocess.CalledProcessError):
            _call([*apt, "install", "--no-install-recommends", package], environment)
        if subprocess.run(check, capture_output=True, check=False).returncode == 0:
            return
    raise ToolchainError(
        f"Python {interpreter.short} cannot make virtual environments: run 'sudo apt-get install {package}', then try again"
    )


def _call(argv: t.Sequence[str], environment: t.Mapping[str, str] | None = None) -> None:
    # Standard output belongs to whoever asked for a path.
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr, env=environment)


@contextlib.contextmanager
def _locked(path: Path) -> t.Iterator[None]:
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another run builds this environment; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


# --- the checkout


def link(main: Path, checkout: Path = CHECKOUT) -> None:
    """Make ``.venv`` and ``.collections`` of the checkout point to the environment and to the checkout itself."""
    _symlink(checkout / ".venv", main)
    tree = checkout / ".collections" / COLLECTION
    tree.parent.mkdir(parents=True, exist_ok=True)
    _symlink(tree, checkout)


def _symlink(place: Path, target: Path) -> None:
    if place.is_symlink() and os.readlink(place) == str(target):
        return
    if place.exists() and not place.is_symlink():
        raise ToolchainError(f"{place} is no link of ours: move it away, then try again")
    fresh = place.with_name(f"{place.name}.{os.getpid()}")
    fresh.symlink_to(target)
    os.replace(fresh, place)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "action",
        nargs="?",
        default="setup",
        choices=["setup", "newest", "clean"],
        help="setup: .venv and .collections (default); newest: print the folder of the second environment; "
        "clean: remove every cached environment",
    )
    action = parser.parse_args().action
    try:
        if action == "clean":
            shutil.rmtree(cache() / "venv", ignore_errors=True)
        elif action == "newest":
            print(ensure("newest"))
        else:
            link(ensure("main"))
    except ToolchainError as error:
        print(f"toolchain: {error}", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        print(
            f"toolchain: '{' '.join(map(str, error.cmd[:4]))} ...' failed with status {error.returncode}; its own words "
            f"are above; without network nothing can be installed",
            file=sys.stderr,
        )
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
