# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the lab's images are made of. Pure: a recipe's key changes exactly when its image would."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

REPOSITORY = "bulkhead-lab"
WORKLOAD_TAG = f"{REPOSITORY}/busybox:1"

# One image serves the plain and the booting flavour of an engine.
_ENGINE_PACKAGES = (
    "ca-certificates",
    "conntrack",
    "curl",
    "dbus",
    "docker.io",
    "iproute2",
    "ipset",
    "iptables",
    "iputils-ping",
    "netcat-openbsd",
    "nftables",
    "procps",
    "python3",
    "python3-docker",
    "systemd-sysv",
    "ufw",
)
_OUTSIDE_PACKAGES = ("ca-certificates", "curl", "iproute2", "iputils-ping", "netcat-openbsd", "procps", "python3")

# Manuals and translations are a fifth of an image and no test reads them.
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*")

_INDEX = "<!doctype html><title>bulkhead-lab</title><p>bulkhead-lab\n"
# Answers with the address the request came from: shows who was masqueraded. The server listens on [::], so an IPv4
# client reads [::ffff:192.0.2.1].
_WHOAMI = '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n%s\\n" "$REMOTE_ADDR"\n'


@dataclass(frozen=True)
class Recipe:
    """A Debian tree made by mmdebstrap."""

    name: str
    suite: str
    packages: tuple[str, ...]
    variant: str = "minbase"
    left_out: tuple[str, ...] = _LEFT_OUT

    @property
    def key(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]

    @property
    def tag(self) -> str:
        return f"{REPOSITORY}/{self.name}:{self.key}"

    @property
    def file_name(self) -> str:
        return f"{self.name}-{self.suite}-{self.key}.tar"

    def argv(self, *, mirror: str) -> list[str]:
        """The command that writes the tree to standard output, so that its owner is whoever runs the lab."""
        return [
            "mmdebstrap",
            f"--variant={self.variant}",
            "--format=tar",
            # A mirror may be older than the validity that a moving suite's release file claims for itself.
            '--aptopt=Acquire::Check-Valid-Until "false"',
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in self.left_out),
            f"--include={','.join(self.packages)}",
            self.suite,
            "-",
            # Without one the builder takes its own default.
            *([mirror] if mirror else []),
        ]


@dataclass(frozen=True)
class WorkloadRecipe:
    """A static busybox with a web page: what runs inside the hosts' own daemons."""

    source: Recipe
    files: tuple[tuple[str, int, str], ...]
    name: str = "busybox"

    @property
    def key(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]

    @property
    def file_name(self) -> str:
        return f"{self.name}-{self.source.suite}-{self.key}.tar"


def _engine(generation: int, suite: str, *more: str) -> Recipe:
    return Recipe(f"engine{generation}", suite, tuple(sorted((*_ENGINE_PACKAGES, *more))))


# Debian split the client from docker.io after bookworm.
RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        _engine(20, "bookworm"),
        _engine(26, "trixie", "docker-cli"),
        _engine(28, "forky", "docker-cli"),
        Recipe("outside", "bookworm", _OUTSIDE_PACKAGES),
    )
}
WORKLOAD = WorkloadRecipe(
    source=Recipe("busybox", "bookworm", ("busybox-static",), variant="extract", left_out=()),
    files=(
        ("etc/group", 0o644, "root:x:0:\nnogroup:x:65534:\n"),
        ("etc/passwd", 0o644, "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
        ("www/cgi-bin/whoami", 0o755, _WHOAMI),
        ("www/index.html", 0o644, _INDEX),
    ),
)
