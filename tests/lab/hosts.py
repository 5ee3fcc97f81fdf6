# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts: containers of the outer Docker that are Docker hosts themselves."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import engine, images, places
from .errors import LabError
from .progress import shown
from .recipes import RECIPES, WORKLOAD, WORKLOAD_TAG
from .topology import HOSTS, RECIPE_LABEL, ROLE_LABEL, Host, Lab, Link

_INSIDE = Path(__file__).resolve().parent / "inside"
_BOOT = "/usr/local/sbin/lab-boot"
_WORKLOAD = f"{WORKLOAD_TAG}={WORKLOAD.key}"
_READY_WITHIN = 90.0
_TAKES_COMMANDS_WITHIN = 5.0
# The one capability that sandboxes are known to keep from root, and that no Docker host needs.
_LACKING = "--cap-drop=SYS_RESOURCE"
# systemd waits up to 90 s for a unit; nothing in a lab is worth that.
_STOP_WITHIN = 20


@dataclass(frozen=True)
class State:
    """One row of ``status``."""

    host: str
    container: str
    state: str
    engine: str
    wan: str
    lan: str
    started: str


# ---- up ------------------------------------------------------------------------------------------------------------


def up(lab: Lab, hosts: Sequence[Host]) -> None:
    """These hosts exist, run and answer. What is there already is kept."""
    engine.ensure()
    with places.locked(lab.prefix):
        images.ensure(host.image for host in hosts)
        if any(host.has_docker for host in hosts):
            images.ensure_workload()
        _ensure_links(lab)
        there = engine.inspected("container", [lab.container(host) for host in hosts])
        # Two cores start three daemons hardly quicker at once than one by one, but the waiting overlaps.
        _for_each(hosts, lambda host: _up(lab, host, there.get(lab.container(host))))


def _for_each(hosts: Sequence[Host], action: Callable[[Host], Any]) -> list[Any]:
    with ThreadPoolExecutor(max(len(hosts), 1)) as pool:
        return list(pool.map(action, hosts))


def _ensure_links(lab: Lab) -> None:
    there = engine.inspected("network", [lab.wan.name, lab.lan.name])
    missing = [link for link in (lab.wan, lab.lan) if link.name not in there]
    if missing:
        images.refuse_to_hide_the_mirror([link.subnet for link in missing])
    for link in missing:
        _create_link(lab, link)


def _create_link(lab: Lab, link: Link) -> None:
    argv = ["network", "create", f"--label={lab.label}", "--ipv6"]
    # The outsider plays the internet: nobody in a lab reaches the real one.
    argv += ["--opt=com.docker.network.bridge.enable_ip_masquerade=false"]
    argv += [f"--subnet={link.subnet}", f"--gateway={link.gateway}"]
    argv += [f"--subnet={link.subnet6}", f"--gateway={link.gateway6}"]
    try:
        engine.docker([*argv, link.name])
    except LabError as error:
        raise LabError(
            f"The outer Docker made no network {link.name} ({link.subnet}, {link.subnet6}): {error}"
            " If another network has these addresses, remove it or choose another lab with LAB=1..7.",
            detail=error.detail,
        ) from error


@functools.cache
def _inside_key() -> str:
    """Changes with how a host boots and with what it remembers of its first boot."""
    return hashlib.sha256(b"".join((_INSIDE / name).read_bytes() for name in ("boot.sh", "state.py"))).hexdigest()[:12]


def _recipe(host: Host) -> str:
    """What a host was made of: another value means it must be made again."""
    return f"{RECIPES[host.image].key}-{_inside_key()}"


def _up(lab: Lab, host: Host, there: dict[str, Any] | None) -> None:
    name = lab.container(host)
    if there is not None and there["Config"]["Labels"].get(RECIPE_LABEL) != _recipe(host):
        _remove(lab, host)
        there = None
    with shown(f"starting {host.name}"):
        if there is None:
            _create(lab, host)
        if there is None or not there["State"]["Running"]:
            engine.docker(["start", name])
        seen = wait(lab, host)
        if host.has_docker and not seen["workload"]:
            images.load_workload(name)


def _create(lab: Lab, host: Host) -> None:
    (first, ip, ip6), *more = lab.links(host)
    argv = ["create", f"--name={lab.container(host)}", f"--hostname={lab.container(host)}"]
    argv += [f"--label={lab.label}", f"--label={ROLE_LABEL}={host.name}", f"--label={RECIPE_LABEL}={_recipe(host)}"]
    argv += [f"--network=name={first.name},ip={ip},ip6={ip6},driver-opt={_interface(0)}"]
    argv += ["--sysctl=net.ipv6.conf.all.disable_ipv6=0"]
    argv += [f"--add-host={other}" for other in _hosts_seen_from(lab, host)]
    if host.has_docker:
        engine.docker(["volume", "create", f"--label={lab.label}", lab.volume(host)])
        argv += _docker_host_options(lab, host)
    else:
        argv += ["--init", "--cap-add=NET_ADMIN", "--cap-add=NET_RAW"]
    # A container without a terminal has no other way to tell systemd to power off.
    argv += ["--stop-signal=SIGRTMIN+3"] if host.boots else []
    argv += [RECIPES[host.image].tag, _BOOT, _flavour(host)]
    try:
        engine.docker(argv)
    except LabError as error:
        # Newer daemons refuse to drop what the machine's own root lacks, and leave it out of ALL by themselves.
        if _LACKING not in argv or "not available in the current environment" not in str(error):
            raise
        engine.docker([item for item in argv if item != _LACKING])
    for number, (link, ip, ip6) in enumerate(more, start=1):
        options = [f"--ip={ip}", f"--ip6={ip6}", f"--driver-opt={_interface(number)}"]
        engine.docker(["network", "connect", *options, link.name, lab.container(host)])
    engine.docker(["cp", str(_INSIDE / "boot.sh"), f"{lab.container(host)}:{_BOOT}"])


def _interface(number: int) -> str:
    """Docker 28 names interfaces in no certain order unless it is told. Older daemons go by the networks' names."""
    return f"com.docker.network.endpoint.ifname=eth{number}"


def _docker_host_options(lab: Lab, host: Host) -> list[str]:
    options = ["--cgroupns=private"]
    # Not --privileged: that asks for every capability there is and fails where the machine's own root lacks one.
    options += ["--cap-add=ALL", _LACKING]
    options += ["--security-opt=seccomp=unconfined", "--security-opt=apparmor=unconfined"]
    options += ["--security-opt=systempaths=unconfined", "--device-cgroup-rule=a *:* rwm"]
    # Overlay on overlay fails, so the inner daemon's data must not lie in the container's own layer.
    options.append(f"--volume={lab.volume(host)}:/var/lib/docker")
    if host.boots:
        options += ["--tmpfs=/run", "--tmpfs=/run/lock", "--tmpfs=/tmp", "--env=container=docker"]
    else:
        options.append("--init")
    return options


def _hosts_seen_from(lab: Lab, host: Host) -> list[str]:
    """``name:address`` of every host on a link with this one: the lab has no name server."""
    seen = []
    for other in HOSTS:
        address = lab.wan_ip(other) if host.on_wan and other.on_wan else None
        address = address or (lab.lan_ip(other) if host.on_lan and other.on_lan else None)
        if address and other != host:
            seen.append(f"{other.name}:{address}")
    return seen


def _flavour(host: Host) -> str:
    if not host.has_docker:
        return "outside"
    if not host.boots:
        return "plain"
    # bookworm's systemd is the last of the three that boots on cgroup v1.
    return "systemd-v1" if host.image == "engine20" else "systemd-v2"


def wait(lab: Lab, host: Host, *, seconds: float = _READY_WITHIN) -> dict[str, Any]:
    """Returns what the host says of itself once it is up and its interfaces are where they belong."""
    name = lab.container(host)
    # Just after its start a container may not take commands yet.
    limit = time.monotonic() + _TAKES_COMMANDS_WITHIN
    while True:
        try:
            seen = _state(lab, host, "wait", f"{seconds:g}", _WORKLOAD)
            break
        except LabError as error:
            if time.monotonic() > limit:
                raise LabError(
                    f"{host.name} did not stay up: {error}", detail=f"{error.detail}\n{_log(lab, host)}"
                ) from error
            time.sleep(0.2)
    if not seen["ready"]:
        what = "its Docker answers, but it is not ready" if seen["engine"] else "its Docker does not answer"
        raise LabError(
            f"{host.name} was not ready within {seconds:g} s ({what}): its log is below.", detail=_log(lab, host)
        )
    for number, (link, ip, ip6) in enumerate(lab.links(host)):
        found = seen["interfaces"].get(f"eth{number}", [])
        if set(found) != {ip, ip6}:
            raise LabError(
                f"{host.name} should have {ip} and {ip6} ({link.name}) on eth{number} but has {found or 'nothing'}:"
                f" remove it with `docker rm -f {name}` and run `up` again."
            )
    if seen["default"] != "eth0":
        raise LabError(f"The default route of {host.name} leaves by {seen['default'] or 'nothing'}, not by eth0.")
    return dict(seen)


def _state(lab: Lab, host: Host, *argv: str) -> dict[str, Any]:
    script = (_INSIDE / "state.py").read_text()
    done = engine.docker(["exec", "-i", lab.container(host), "python3", "-", *argv], input=script)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _log(lab: Lab, host: Host) -> str:
    name = lab.container(host)
    if host.boots:
        tail = engine.docker(["exec", name, "journalctl", "--no-pager", "-n", "20"], check=False)
    elif host.has_docker:
        tail = engine.docker(["exec", name, "tail", "-n", "20", "/var/log/dockerd.log"], check=False)
    else:
        tail = engine.docker(["logs", "--tail=20", name], check=False)
    if tail.returncode:
        tail = engine.docker(["logs", "--tail=20", name], check=False)
    return (tail.stdout + tail.stderr).strip()


# ---- between tests -------------------------------------------------------------------------------------------------


def reset(lab: Lab, hosts: Sequence[Host]) -> dict[str, list[str]]:
    """These hosts are as after their first boot; returns what had to be done, by host."""
    running = _running(lab)

    def one(host: Host) -> list[str]:
        if host.name not in running:
            raise LabError(f"{host.name} is not running: start it with `up {host.name}` first.")
        done = _state(lab, host, "reset", _WORKLOAD)["done"]
        seen = wait(lab, host)
        if host.has_docker and not seen["workload"]:
            images.load_workload(lab.container(host))
        return list(done)

    return {host.name: done for host, done in zip(hosts, _for_each(hosts, one))}


def reboot(lab: Lab, host: Host) -> dict[str, Any]:
    """The host goes down and comes back as a machine would: files stay, rules and processes do not."""
    engine.docker(["restart", f"--time={_STOP_WITHIN}", lab.container(host)])
    return wait(lab, host)


def restart_engine(lab: Lab, host: Host) -> dict[str, Any]:
    """Docker restarts, the host stays."""
    _state(lab, host, "restart-engine")
    return wait(lab, host)


def _running(lab: Lab) -> set[str]:
    listed = engine.docker(["ps", f"--filter=label={lab.label}", f'--format={{{{.Label "{ROLE_LABEL}"}}}}'])
    return set(listed.stdout.split())


def running_hosts(lab: Lab, hosts: Iterable[Host]) -> tuple[Host, ...]:
    running = _running(lab)
    return tuple(host for host in hosts if host.name in running)


# ---- status --------------------------------------------------------------------------------------------------------


def status(lab: Lab, hosts: Sequence[Host]) -> list[State]:
    """The hosts that exist, whether they run or not."""
    if not engine.answers():
        return []
    there = engine.inspected("container", [lab.container(host) for host in hosts])
    present = [host for host in hosts if lab.container(host) in there]

    def one(host: Host) -> State:
        found = there[lab.container(host)]
        version = ""
        if host.has_docker and found["State"]["Running"]:
            asked = engine.docker(
                ["exec", lab.container(host), "docker", "version", "--format={{.Server.Version}}"],
                check=False,
                timeout=15,
            )
            version = asked.stdout.strip() if asked.returncode == 0 else "no answer"
        return State(
            host=host.name,
            container=lab.container(host),
            state=found["State"]["Status"],
            engine=version,
            wan=lab.wan_ip(host) or "",
            lan=lab.lan_ip(host) or "",
            started=found["State"]["StartedAt"],
        )

    return _for_each(present, one)


def as_json(states: Iterable[State]) -> str:
    return json.dumps([asdict(state) for state in states], indent=2)


# ---- down ----------------------------------------------------------------------------------------------------------


def _remove(lab: Lab, host: Host) -> None:
    engine.docker(["rm", "--force", "--volumes", lab.container(host)], check=False)
    engine.docker(["volume", "rm", "--force", lab.volume(host)], check=False)


_THAW = """
for state in /sys/fs/cgroup/freezer/docker/*/freezer.state; do [ -e "$state" ] && echo THAWED > "$state"; done
for state in /sys/fs/cgroup/docker/*/cgroup.freeze; do [ -e "$state" ] && echo 0 > "$state"; done
"""


def down(*, label: str) -> int:
    """Nothing with this label is left of containers, volumes and networks; returns how many things went."""
    if not engine.answers():
        return 0
    gone = 0
    containers = _labelled("ps", "--all", label=label)
    if containers:
        for name in containers:
            # What is paused inside can't be killed from outside, and the host would never end.
            with contextlib.suppress(LabError):
                engine.docker(["exec", name, "sh", "-c", _THAW], check=False, timeout=20)
        engine.docker(["rm", "--force", "--volumes", *containers])
        gone += len(containers)
    for kind in ("volume", "network"):
        names = _labelled(kind, "ls", label=label)
        if names:
            engine.docker([kind, "rm", *names])
            gone += len(names)
    left = [
        name
        for argv in (("ps", "--all"), ("volume", "ls"), ("network", "ls"))
        for name in _labelled(*argv, label=label)
    ]
    if left:
        raise LabError(f"Docker still shows {', '.join(left)} with label {label}: run `down` again.")
    return gone


def _labelled(*argv: str, label: str) -> list[str]:
    return engine.docker([*argv, "--quiet", f"--filter=label={label}"]).stdout.split()
