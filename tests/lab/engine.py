# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The outer Docker: found where it runs, else installed and started, and spoken to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from . import places
from .errors import LabError
from .progress import say, shown

_PIDFILE = places.DAEMON_RUN / "dockerd.pid"
_LOG = places.DAEMON_STATE / "dockerd.log"
_DATA = places.DAEMON_STATE / "docker"


def docker(
    argv: Sequence[str],
    *,
    check: bool = True,
    input: str | None = None,  # noqa: A002 - the name subprocess.run uses
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs the Docker client. A failure is a LabError with Docker's own words."""
    try:
        # Without input the client gets none: it must never eat the caller's terminal.
        feed: dict[str, Any] = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
        done = subprocess.run(["docker", *argv], capture_output=True, text=True, timeout=timeout, check=False, **feed)
    except subprocess.TimeoutExpired as expired:
        raise LabError(f"`docker {argv[0]}` gave no answer within {timeout:g} s.") from expired
    if check and done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        raise LabError(f"`docker {argv[0]}` ended with {done.returncode}: {said[-1]}", detail="\n".join(said[:-1]))
    return done


def docker_json(argv: Sequence[str]) -> Any:
    return json.loads(docker(argv).stdout)


def inspected(kind: str, names: Sequence[str]) -> dict[str, Any]:
    """What exists of these, by name; what does not exist is absent."""
    done = docker([kind, "inspect", *names], check=False)
    return {item["Name"].lstrip("/"): item for item in json.loads(done.stdout or "[]")}


def _answer() -> str:
    """Empty when the daemon answers, else why not."""
    if shutil.which("docker") is None:
        return "no docker client on PATH"
    # Unlike `info`, whose words for a daemon that is not there differ from client to client.
    done = docker(["ps", "--quiet"], check=False, timeout=30)
    return " ".join(done.stderr.split()) or "no answer" if done.returncode else ""


def answers() -> bool:
    return not _answer()


def ensure() -> None:
    """A running outer Docker, or a LabError that says what to do."""
    reason = _answer()
    if not reason:
        return
    if os.environ.get("DOCKER_HOST"):
        raise LabError(
            f"DOCKER_HOST={os.environ['DOCKER_HOST']} does not answer ({reason.rstrip('.')}): start that daemon or unset DOCKER_HOST."
        )
    if "permission denied" in reason.lower():
        raise LabError(
            "Docker runs, but this user may not use its socket: add the user to the group that owns it"
            " (usually `docker`) and log in again, or run the lab as root."
        )
    with places.locked("daemon"):
        if answers():  # another process was quicker
            return
        if shutil.which("dockerd", path=_system_path()) is None or shutil.which("docker") is None:
            install(
                "docker.io", *(["docker-cli"] if _is_a_package("docker-cli") else []), needed_for="the outer Docker"
            )
            if answers():  # on a usual machine the package starts its service itself
                return
        _start()


def _system_path() -> str:
    # dockerd and mmdebstrap live where a plain user's PATH may not look.
    return os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin"))


def as_root(*, purpose: str) -> list[str]:
    """What to put before a command that needs root."""
    if os.geteuid() == 0:
        return []
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return ["sudo", "-n"]
    raise LabError(
        f"{purpose} needs root, and this user has no passwordless sudo: run the lab as root, or install and start"
        " Docker yourself (any `docker info` that answers will do)."
    )


def _is_a_package(name: str) -> bool:
    if shutil.which("apt-cache") is None:
        return False
    shown_ = subprocess.run(["apt-cache", "show", "--no-all-versions", name], capture_output=True, check=False)
    return shown_.returncode == 0


def install(*packages: str, needed_for: str) -> None:
    """Debian packages, with as little fuss as apt allows; refreshes the package lists only if it must."""
    if shutil.which("apt-get") is None:
        raise LabError(
            f"{needed_for} needs {' and '.join(packages)}, and this system has no apt-get to install from:"
            " install the equivalent yourself, or run the lab on Debian or Ubuntu."
        )
    root = as_root(purpose=f"Installing {' '.join(packages)}")
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"]
    wanted = [*root, *quiet, "install", "--yes", "--no-install-recommends"]
    with shown(f"installing {' '.join(packages)}"):
        done = subprocess.run([*wanted, *packages], capture_output=True, text=True, check=False)
        if done.returncode:
            subprocess.run([*root, *quiet, "update"], capture_output=True, text=True, check=False)
            # With fresh lists the answer to "is the client a package of its own" may differ.
            if "docker.io" in packages and "docker-cli" not in packages and _is_a_package("docker-cli"):
                packages = (*packages, "docker-cli")
            done = subprocess.run([*wanted, *packages], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(
            f"apt-get could not install {' '.join(packages)} for {needed_for}: repair what it says below, then run the lab again.",
            detail=_tail(done.stderr or done.stdout),
        )


def _tail(text: str, lines: int = 15) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])


def _start() -> None:
    root = as_root(purpose="Starting dockerd")
    dockerd = shutil.which("dockerd", path=_system_path())
    if dockerd is None:
        raise LabError(
            "There is no dockerd on this machine even after installing docker.io: install Docker Engine yourself."
        )
    subprocess.run([*root, "mkdir", "-p", str(places.DAEMON_STATE), str(places.DAEMON_RUN)], check=True)
    if _own_pid() is None:
        subprocess.run([*root, "rm", "-f", str(_PIDFILE)], check=True)
    argv = [
        *root,
        "sh",
        "-c",
        # The shell only redirects: the log belongs to root.
        'log=$1; shift; exec "$@" >>"$log" 2>&1 </dev/null',
        "sh",
        str(_LOG),
        dockerd,
        f"--data-root={_DATA}",
        f"--exec-root={places.DAEMON_RUN / 'exec'}",
        f"--pidfile={_PIDFILE}",
        f"--group={os.getgid()}",
    ]
    # A session of its own: the daemon stays when this terminal closes.
    daemon = subprocess.Popen(argv, start_new_session=True)
    with shown("starting dockerd"):
        limit = time.monotonic() + 60
        while time.monotonic() < limit and daemon.poll() is None:
            if answers():
                say(f"started dockerd (its data and log are in {places.DAEMON_STATE})")
                return
            time.sleep(0.2)
    log = subprocess.run([*root, "tail", "-n", "15", str(_LOG)], capture_output=True, text=True, check=False).stdout
    what = "did not answer within 60 s" if daemon.poll() is None else f"ended at once with {daemon.returncode}"
    raise LabError(f"dockerd {what}: the end of {_LOG} below says why.", detail=log.strip())


def _own_pid() -> int | None:
    """The pid of the daemon that the lab started, if it still runs. A pid alone may by now be somebody else's."""
    try:
        pid = int(_PIDFILE.read_text())
        command = open(f"/proc/{pid}/cmdline", "rb").read().decode().split("\0")  # noqa: SIM115 - a /proc file
    except (OSError, ValueError):
        return None
    return pid if f"--data-root={_DATA}" in command else None


def stop_own() -> bool:
    """Stops the daemon that the lab started and removes its data. A daemon of somebody else's stays."""
    pid = _own_pid()
    if pid is None and not places.DAEMON_STATE.exists():
        return False
    root = as_root(purpose="Stopping the lab's dockerd")
    if pid is not None:
        subprocess.run([*root, "kill", "-TERM", str(pid)], check=False)
        limit = time.monotonic() + 60
        while _own_pid() is not None:
            if time.monotonic() > limit:
                raise LabError(
                    f"The lab's dockerd (pid {pid}) did not stop within 60 s: read {_LOG} and stop it yourself."
                )
            time.sleep(0.2)
    subprocess.run([*root, "rm", "-rf", str(places.DAEMON_STATE), str(places.DAEMON_RUN)], check=True)
    return pid is not None
