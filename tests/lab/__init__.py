# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A lab of real Docker hosts on one machine; the functions here are what integration tests build on.

Every function works on the lab that the environment variable ``LAB`` names (0 to 7, default 0).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from . import engine as _engine
from . import hosts as _hosts
from . import probes as _probes
from .errors import LabError
from .probes import Probe
from .recipes import WORKLOAD_TAG
from .topology import DEFAULT_HOSTS, HOSTS, Host, Lab, chosen_lab, host_named, hosts_named

__all__ = [
    "DEFAULT_HOSTS",
    "HOSTS",
    "WORKLOAD_TAG",
    "Host",
    "Lab",
    "LabError",
    "Probe",
    "container",
    "current",
    "down",
    "engine_version",
    "host_named",
    "http_get",
    "lan_ip",
    "lan_ip6",
    "probe_all",
    "reboot",
    "reset",
    "restart_engine",
    "run",
    "tcp",
    "udp",
    "up",
    "wan_ip",
    "wan_ip6",
]


def current() -> Lab:
    """The lab that LAB names."""
    return chosen_lab(os.environ)


def up(hosts: Sequence[str] = ()) -> None:
    """These hosts (default: three engines, outsider, neighbour) exist, run and answer. Quick when they already do."""
    _hosts.up(current(), hosts_named(hosts))


def reset(hosts: Sequence[str]) -> dict[str, list[str]]:
    """These hosts are as after their first boot; returns by host what had to be done."""
    return _hosts.reset(current(), hosts_named(hosts, default=()))


def down() -> int:
    """Nothing is left of this lab but images."""
    return _hosts.down(label=current().label)


def reboot(host: str) -> None:
    """The host goes down and comes back: files stay, rules and processes do not. Returns when it is ready."""
    _hosts.reboot(current(), host_named(host))


def restart_engine(host: str) -> None:
    """Docker restarts, the host stays. Returns when Docker answers."""
    _hosts.restart_engine(current(), host_named(host))


def container(host: str) -> str:
    """The name of the host's container in the outer Docker."""
    return current().container(host_named(host))


def run(
    host: str,
    argv: Sequence[str],
    *,
    check: bool = True,
    input: str | None = None,  # noqa: A002 - the name subprocess.run uses
    timeout: float | None = 120,
) -> subprocess.CompletedProcess[str]:
    """Runs a command as root inside a host. With ``check`` a failure is a LabError that shows both outputs."""
    options = ["exec", *(["-i"] if input is not None else []), container(host)]
    done = _engine.docker([*options, *argv], check=False, input=input, timeout=timeout)
    if check and done.returncode:
        raise LabError(
            f"On {host} `{' '.join(argv)}` ended with {done.returncode}.", detail=f"{done.stdout}{done.stderr}".strip()
        )
    return done


def engine_version(host: str) -> str:
    """The version of the Docker Engine inside a host, as it says itself."""
    return run(host, ["docker", "version", "--format={{.Server.Version}}"]).stdout.strip()


def probe_all(host: str, probes: Sequence[Probe]) -> list[str]:
    """Knocks at all doors at once from inside a host: many closed doors take as long as one."""
    return _probes.probe_all(current(), host_named(host), probes)


def tcp(host: str, address: str, port: int, *, timeout: float = 1.0, source: str = "") -> str:
    """``open``, ``refused``, ``timeout`` or ``unreachable``: a connection from inside a host."""
    return probe_all(host, [Probe(address, port, "tcp", timeout, source)])[0]


def udp(host: str, address: str, port: int, *, timeout: float = 1.0, source: str = "") -> str:
    """The same words for a datagram; ``open`` means that one came back."""
    return probe_all(host, [Probe(address, port, "udp", timeout, source)])[0]


def http_get(host: str, address: str, port: int = 80, path: str = "/", *, timeout: float = 3.0) -> str | None:
    """The page as seen from inside a host, or None when there was no good answer in time."""
    where = f"[{address}]" if ":" in address else address
    argv = [
        "curl",
        "--silent",
        "--fail",
        "--noproxy",
        "*",
        "--max-time",
        f"{timeout:g}",
        f"http://{where}:{port}{path}",
    ]
    done = run(host, argv, check=False)
    return done.stdout if done.returncode == 0 else None


def _address(host: str, found: str | None) -> str:
    if found is None:
        raise LabError(f"{host} is not on that link.")
    return found


def wan_ip(host: str) -> str:
    return _address(host, current().wan_ip(host_named(host)))


def wan_ip6(host: str) -> str:
    return _address(host, current().wan_ip6(host_named(host)))


def lan_ip(host: str) -> str:
    return _address(host, current().lan_ip(host_named(host)))


def lan_ip6(host: str) -> str:
    return _address(host, current().lan_ip6(host_named(host)))
