# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""An app as it is to be deployed: its processes, and what each of their containers is created with."""

from __future__ import annotations

import ipaddress
import re
import typing as t
from dataclasses import dataclass, field

from . import shape
from .apps import PROPERTIES, App, read_app, read_app_defaults

#: Options of community.docker's ``docker_container`` that a process may set, and that are handed on as they are.
PASSED = frozenset(
    {
        "cap_drop",
        "capabilities",
        "command",
        "cpus",
        "devices",
        "dns_servers",
        "entrypoint",
        "etc_hosts",
        "exposed_ports",
        "groups",
        "healthcheck",
        "hostname",
        "init",
        "log_driver",
        "log_options",
        "memory_reservation",
        "memory_swap",
        "mounts",
        "pids_limit",
        "read_only",
        "restart_retries",
        "security_opts",
        "shm_size",
        "stop_signal",
        "sysctls",
        "tmpfs",
        "tty",
        "ulimits",
        "user",
        "volumes",
        "working_dir",
    }
)
NETWORK_KEYS = frozenset(PROPERTIES) - {"exclusive"}
APP_KEYS = frozenset({"name", "state", "image", "env", "processes"}) | NETWORK_KEYS
PROCESS_KEYS = frozenset({"scale", "image", "env", "ports", "labels", "memory", "restart_policy"}) | PASSED
DEFAULT_KEYS = NETWORK_KEYS | {"memory", "restart_policy"}
RESTART_POLICIES = ("no", "on-failure", "always", "unless-stopped")
OWN_LABELS = "io.bulkhead."
UNLIMITED = "unlimited"
MOST = 1000

_APP_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_PROCESS_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?")
_VARIABLE = re.compile(r"[^=\s\0]+")
_SIZE = re.compile(r"[0-9]+(?:\.[0-9]+)?\s*(?:[kmgtKMGT](?:i?[bB])?|[bB])")
_PORT = re.compile(
    r"(?:(?P<ip>\[[^]]*\]|[^][:]+):(?=[^:]*:))?(?:(?P<host>[0-9]*):)?(?P<container>[0-9]+)(?:/(?P<proto>tcp|udp|sctp))?"
)


@dataclass(frozen=True)
class Port:
    """A published port. ``ip`` is empty for all interfaces, ``host`` is 0 for one that Docker chooses at each start."""

    container: int
    ip: str = ""
    host: int = 0
    proto: str = "tcp"

    @property
    def text(self) -> str:
        """The port as ``docker run --publish`` takes it."""
        inner = f"{self.container}/{self.proto}"
        ip = f"[{self.ip}]" if ":" in self.ip else self.ip
        if ip:
            return f"{ip}:{self.host or ''}:{inner}"
        return f"{self.host}:{inner}" if self.host else inner


@dataclass(frozen=True)
class Process:
    """A kind of process of an app. The environment is kept out of ``repr``, so that no message can hold it."""

    name: str
    image: str
    scale: int = 1
    memory: str = ""
    restart_policy: str = "no"
    ports: tuple[Port, ...] = ()
    labels: t.Mapping[str, str] = field(default_factory=dict)
    options: t.Mapping[str, t.Any] = field(default_factory=dict, repr=False)
    environment: t.Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def holds_host_port(self) -> bool:
        """Whether only one container at a time can run, because the other could not have its port."""
        return any(port.host for port in self.ports)


@dataclass(frozen=True)
class Deployment:
    """An app that is to be deployed, with the networks of ``app``; without processes it is to be gone."""

    app: App
    processes: tuple[Process, ...] = ()

    @property
    def name(self) -> str:
        return self.app.name

    def process(self, name: str) -> Process | None:
        return next((item for item in self.processes if item.name == name), None)

    @property
    def environment(self) -> tuple[str, ...]:
        """The values of all variables that are not empty, the longest first."""
        values = {value for process in self.processes for value in process.environment.values() if value}
        return tuple(sorted(values, key=lambda value: (-len(value), value)))


def read_deployment(value: t.Any, defaults: t.Any = None, place: str = "the app") -> Deployment:
    """Read an app of the role ``app_network``.

    ``defaults`` has what apps and processes get where they say nothing: the network properties, ``memory`` and
    ``restart_policy``. Raises a ``CoreError`` that names the place and never holds the value of a variable.
    """
    given = shape.mapping(value, place, APP_KEYS)
    if "name" not in given:
        raise shape.invalid(f"{place}.name", "is missing", "Name the app.")
    name = shape.text(given["name"], f"{place}.name")
    if not _APP_NAME.fullmatch(name):
        raise shape.invalid(f"{place}.name", f"is {name!r}", "Use letters, digits, '_', '.' and '-'.")
    preset = shape.mapping(defaults or {}, "the defaults", DEFAULT_KEYS)
    networks = {key: item for key, item in given.items() if key in NETWORK_KEYS}
    general = read_app_defaults({key: item for key, item in preset.items() if key in NETWORK_KEYS}, "the defaults")
    app = read_app({"name": name, **networks}, general, place)
    if shape.choice(given.get("state", "present"), f"{place}.state", ("present", "absent")) == "absent":
        return Deployment(app)
    declared = given.get("processes", {})
    if isinstance(declared, t.Mapping):
        # A process of which nothing is said has the app's image and the defaults.
        declared = {key: {} if item is None else item for key, item in declared.items()}
    declared = shape.mapping(declared, f"{place}.processes")
    if not declared:
        cure = "Declare at least one process; state: absent takes the app away, scale: 0 stops a process."
        raise shape.invalid(f"{place}.processes", "is missing or empty", cure)
    reader = _Reader(app, given, preset, place)
    return Deployment(app, tuple(reader.process(key, declared[key]) for key in sorted(declared)))


class _Reader:
    """Reads the processes of one app."""

    def __init__(self, app: App, given: t.Mapping[str, t.Any], preset: t.Mapping[str, t.Any], place: str) -> None:
        self._app = app
        self._given = given
        self._preset = preset
        self._place = place
        self._environment = _environment(given.get("env", {}), f"{place}.env")

    def process(self, name: str, value: t.Any) -> Process:
        place = f"{self._place}.processes.{name}"
        if not _PROCESS_NAME.fullmatch(name):
            raise shape.invalid(place, "is no name of a process", "Use letters, digits, '_' and '-'.")
        given = shape.mapping(value, place, PROCESS_KEYS)
        image = given.get("image", self._given.get("image"))
        if image is None:
            raise shape.invalid(f"{place}.image", "is missing, and the app has none", "Name an image.")
        process = Process(
            name=name,
            image=shape.text(image, f"{place}.image"),
            scale=shape.number(given.get("scale", 1), f"{place}.scale", 0, MOST),
            memory=_memory(given.get("memory", self._preset.get("memory", UNLIMITED)), f"{place}.memory"),
            restart_policy=self._restart_policy(given, place),
            ports=self._ports(given.get("ports", []), f"{place}.ports"),
            labels=_labels(given.get("labels", {}), f"{place}.labels"),
            options={key: item for key, item in given.items() if key in PASSED},
            environment={**self._environment, **_environment(given.get("env", {}), f"{place}.env")},
        )
        if process.scale > 1 and process.holds_host_port:
            raise shape.invalid(
                f"{place}.scale",
                f"is {process.scale}, but ports has a fixed port of the host, which one container alone can hold",
                "Leave the host's port out, and let a proxy find the containers by their alias.",
            )
        return process

    def _restart_policy(self, given: t.Mapping[str, t.Any], place: str) -> str:
        word = given.get("restart_policy", self._preset.get("restart_policy", "no"))
        # YAML reads a bare no as false.
        return shape.choice("no" if word is False else word, f"{place}.restart_policy", RESTART_POLICIES)

    def _ports(self, value: t.Any, place: str) -> tuple[Port, ...]:
        everywhere = bool(self._app.value("bind_all_interfaces"))
        texts = shape.texts(value, place)
        return tuple(_port(text, f"{place}[{number}]", everywhere) for number, text in enumerate(texts))


def _port(text: str, place: str, everywhere: bool) -> Port:
    """Read one port: ``80``, ``8080:80``, ``10.0.0.1:8080:80``, ``[::1]::80/udp``."""
    found = _PORT.fullmatch(text)
    if found is None:
        cure = "Give [ADDRESS:][HOST_PORT:]CONTAINER_PORT[/tcp|udp|sctp], one port each."
        raise shape.invalid(place, f"is {text!r}, which is no port to publish", cure)
    host, container = int(found["host"] or 0), int(found["container"])
    if not 0 < container < 65536 or host > 65535:
        raise shape.invalid(place, f"is {text!r}", "Ports are numbers from 1 to 65535.")
    if not found["ip"]:
        return Port(container, "" if everywhere else "127.0.0.1", host, found["proto"] or "tcp")
    ip = shape.address(found["ip"].strip("[]"), place)
    if ipaddress.ip_address(ip).is_unspecified and not everywhere:
        cure = "Give the one address that callers use, or set bind_all_interfaces: true."
        raise shape.invalid(place, f"is {text!r}, which publishes on all interfaces", cure)
    return Port(container, ip, host, found["proto"] or "tcp")


def _memory(value: t.Any, place: str) -> str:
    if value == UNLIMITED:
        return ""
    size = shape.text(value, place)
    if not _SIZE.fullmatch(size):
        cure = f"Give a number with its unit, such as 512m or 2g, or {UNLIMITED}."
        raise shape.invalid(place, f"is {size!r}, which Docker would take for bytes or refuse", cure)
    return size.replace(" ", "")


def _labels(value: t.Any, place: str) -> dict[str, str]:
    labels = shape.settings(value, place)
    ours = sorted(name for name in labels if name.startswith(OWN_LABELS))
    if ours:
        raise shape.invalid(f"{place}.{ours[0]}", "is a label that says whose container this is", "Leave it out.")
    return labels


def _environment(value: t.Any, place: str) -> dict[str, str]:
    # Not by the words of the general readers: they quote what they refuse.
    if not isinstance(value, t.Mapping):
        raise shape.invalid(place, "is no dictionary", "Give names with values.")
    for key, item in value.items():
        # Docker would quote what it refuses, value and all.
        if not _VARIABLE.fullmatch(str(key)):
            cure = "Leave out '=' and white space; a name is not empty."
            raise shape.invalid(f"{place}.{key}", "is no name of a variable", cure)
        if not isinstance(item, (str, int, float, bool)) or "\0" in str(item):
            raise shape.invalid(f"{place}.{key}", "has a value that is no plain text or number", "Give a text.")
    return shape.settings(value, place)
