# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs in a lab host and prints one JSON object: ``python3 - wait SECONDS WORKLOAD | reset WORKLOAD | restart-engine``.

``wait`` returns when the host is up, and at its first boot remembers what a clean host looks like.
``reset`` makes the host look like that again without a reboot.
"""

from __future__ import annotations

import contextlib
import filecmp
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CLEAN = Path("/var/lib/bulkhead-lab")
HAS_DOCKER = shutil.which("dockerd") is not None
# The environment of a booting host, set when it was made: systemd itself may not have begun when `wait` is asked.
BOOTS = os.environ.get("container") == "docker"  # noqa: SIM112 - the spelling that systemd asks for
# Settings that firewalls, Docker and egress gateways turn. The rest of the kernel is not the lab's business.
SYSCTLS = (
    "net/ipv4/conf/all/forwarding",
    "net/ipv4/conf/all/route_localnet",
    "net/ipv4/conf/all/rp_filter",
    "net/ipv4/conf/default/rp_filter",
    "net/ipv4/ip_forward",
    "net/ipv6/conf/all/forwarding",
    "net/ipv6/conf/default/forwarding",
    "net/bridge/bridge-nf-call-ip6tables",
    "net/bridge/bridge-nf-call-iptables",
)
KEPT_FOLDERS = ("etc", "opt", "root", "usr/local")
IPTABLES = {
    f"table {family} {name} {{" for family in ("ip", "ip6") for name in ("filter", "mangle", "nat", "raw", "security")
}
# Written by the outer Docker, mounted over the image's files.
NOT_OURS = {"/etc/hostname", "/etc/hosts", "/etc/mtab", "/etc/resolv.conf"}


def output(*argv: str) -> str:
    """What a command says; nothing when it fails or is not installed here."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout if done.returncode == 0 else ""


def engine(path: str, method: str = "GET", *, timeout: float = 60) -> tuple[Any, Any]:
    """The daemon's API without a client's start-up time: (status, value)."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(timeout)
    try:
        sock.connect("/var/run/docker.sock")
        sock.sendall(f"{method} {path} HTTP/1.0\r\nHost: docker\r\nContent-Length: 0\r\n\r\n".encode())
        data = b""
        while True:
            piece = sock.recv(65536)
            if not piece:
                break
            data += piece
    except OSError:
        return 0, None
    finally:
        sock.close()
    head, _blank, body = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/"):
        return 0, None
    try:
        return int(head.split()[1]), json.loads(body or b"null")
    except ValueError:
        return int(head.split()[1]), None


def engine_version() -> str:
    status, value = engine("/version", timeout=5)
    return value.get("Version", "") if status == 200 else ""


def tentative() -> bool:
    """Whether the host's own links still look if anybody has their addresses; a bridge without members always does."""
    found = output("ip", "-6", "-o", "address", "show", "tentative").splitlines()
    return any(line.split()[1].startswith("eth") for line in found)


def fingerprint() -> str:
    """The rules of every family without counters and handles."""
    return hashlib.sha256("\n".join(meaning(output("nft", "-s", "list", "ruleset"))).encode()).hexdigest()


def meaning(ruleset: str) -> list[str]:
    """A ruleset's lines, each with its table and chain, sorted.

    Without the empty accepting chains of iptables: asking for a table makes them, and they let everything through.
    """
    found = []
    table, chain = "", []
    for raw in ruleset.splitlines():
        line = raw.strip()
        if line.startswith("table "):
            table = line
            if table not in IPTABLES:
                found.append(table)
        elif line.startswith("chain "):
            chain = [line]
        elif line == "}" and chain:
            untouched = len(chain) == 2 and chain[1].startswith("type ") and chain[1].endswith("policy accept;")
            if not (untouched and table in IPTABLES):
                found += [f"{table} {chain[0]} {number:04} {item}" for number, item in enumerate(chain)]
            chain = []
        elif chain:
            chain.append(line)
        elif line and line != "}":
            found.append(f"{table} {line}")
    return sorted(found)


def routes() -> dict[str, Any]:
    """The main tables without what the kernel adds by itself."""
    found = {}
    for family in ("-4", "-6"):
        lines = output("ip", family, "route", "show", "table", "main").splitlines()
        found[family] = [
            line.replace(" linkdown", "").strip()
            for line in lines
            if " proto kernel" not in line and " proto ra" not in line
        ]
    return found


def rules() -> dict[str, Any]:
    return {family: [line.strip() for line in output("ip", family, "rule").splitlines()] for family in ("-4", "-6")}


def links() -> list[str]:
    return sorted(item["ifname"] for item in json.loads(output("ip", "-j", "link") or "[]"))


def units() -> list[str]:
    if not BOOTS:
        return []
    listed = output(
        "systemctl", "list-units", "--plain", "--no-legend", "--state=active", "--type=service,socket,timer"
    )
    return sorted(line.split()[0] for line in listed.splitlines() if line.strip())


def sysctls() -> dict[str, Any]:
    found = {}
    for name in SYSCTLS:
        path = Path("/proc/sys", name)
        if path.exists():
            found[name] = path.read_text().strip()
    return found


def remember() -> None:
    """Once per host: what a clean host looks like."""
    if CLEAN.exists():
        return
    partial = CLEAN.with_name("bulkhead-lab.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for folder in KEPT_FOLDERS:
        shutil.copytree(Path("/", folder), partial / "files" / folder, symlinks=True)
    clean = {
        "fingerprint": fingerprint(),
        "links": links(),
        "routes": routes(),
        "rules": rules(),
        "sysctls": sysctls(),
        "units": units(),
        "var_lib": sorted([*os.listdir("/var/lib"), CLEAN.name]),
    }
    (partial / "clean.json").write_text(json.dumps(clean))
    partial.rename(CLEAN)


def wait(seconds: float, workload: str) -> dict[str, Any]:
    limit = time.monotonic() + seconds
    version = ""
    while time.monotonic() < limit:
        if BOOTS and output("systemctl", "is-active", "multi-user.target").strip() != "active":
            time.sleep(0.2)
            continue
        if HAS_DOCKER and not version:
            version = engine_version()
        # An address whose uniqueness is still being checked cannot be used yet.
        if (version or not HAS_DOCKER) and not tentative():
            remember()
            return {"ready": True, "engine": version, "workload": has_workload(workload), **addresses()}
        time.sleep(0.1)
    return {"ready": False, "engine": version, "workload": False, **addresses()}


def addresses() -> dict[str, Any]:
    found = {}
    for item in json.loads(output("ip", "-j", "address") or "[]"):
        if item["ifname"].startswith("eth"):
            found[item["ifname"]] = [entry["local"] for entry in item["addr_info"] if entry["scope"] == "global"]
    default = json.loads(output("ip", "-j", "-4", "route", "show", "default") or "[]")
    return {"interfaces": found, "default": default[0]["dev"] if default else ""}


def has_workload(workload: str) -> bool:
    if not (HAS_DOCKER and workload):
        return False
    name, _equals, key = workload.partition("=")
    status, value = engine(f"/images/{name}/json")
    return status == 200 and key in (value["Config"].get("Labels") or {}).values()


def restore_files() -> list[str]:
    """Puts back what was changed or deleted, removes what was added; returns the paths."""
    changed = []
    for folder in KEPT_FOLDERS:
        changed += restore_folder(CLEAN / "files" / folder, Path("/", folder))
    for name in set(os.listdir("/var/lib")) - set(json.loads((CLEAN / "clean.json").read_text())["var_lib"]):
        remove(Path("/var/lib", name))
        changed.append(f"/var/lib/{name}")
    return sorted(changed)


def restore_folder(clean: Path, live: Path) -> list[str]:
    changed = []
    clean_names, live_names = set(os.listdir(clean)), set(os.listdir(live))
    for name in sorted(clean_names | live_names):
        want, have = clean / name, live / name
        if str(have) in NOT_OURS or name in ("__pycache__", ".ansible"):
            continue
        if want.is_dir() and not want.is_symlink() and have.is_dir() and not have.is_symlink():
            changed += restore_folder(want, have)
            continue
        if name in clean_names and name in live_names and same(want, have):
            continue
        remove(have)
        if name in clean_names:
            if want.is_dir() and not want.is_symlink():
                shutil.copytree(want, have, symlinks=True)
            else:
                shutil.copy2(want, have, follow_symlinks=False)
        changed.append(str(have))
    return changed


def same(want: Path, have: Path) -> bool:
    if want.is_symlink() or have.is_symlink():
        return want.is_symlink() and have.is_symlink() and os.readlink(want) == os.readlink(have)
    if not (want.is_file() and have.is_file()):
        return False
    return want.stat().st_mode == have.stat().st_mode and filecmp.cmp(want, have)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.is_symlink() or path.exists():
        path.unlink()


def empty_engine(workload: str) -> list[str]:
    """Removes what tests made in the daemon; returns how much of what."""
    gone = {}
    status, info = engine("/info")
    if status == 200 and info["Swarm"]["LocalNodeState"] not in ("inactive", ""):
        engine("/swarm/leave?force=1", "POST")
        gone["swarm memberships"] = 1
    containers = [item["Id"] for item in engine("/containers/json?all=1")[1] or []]
    for container in containers:
        engine(f"/containers/{container}?force=1&v=1", "DELETE")
    gone["containers"] = len(containers)
    networks = [item["Id"] for item in engine("/networks")[1] or [] if item["Name"] not in ("bridge", "host", "none")]
    for network in networks:
        engine(f"/networks/{network}", "DELETE")
    gone["networks"] = len(networks)
    volumes = [item["Name"] for item in (engine("/volumes")[1] or {}).get("Volumes") or []]
    for volume in volumes:
        engine(f"/volumes/{volume}?force=1", "DELETE")
    gone["volumes"] = len(volumes)
    kept = workload.partition("=")[0]
    images = [item["Id"] for item in engine("/images/json?all=1")[1] or [] if kept not in (item.get("RepoTags") or [])]
    for image in images:
        engine(f"/images/{image}?force=1", "DELETE")
    gone["images"] = len(images)
    return [f"{what} removed: {number}" for what, number in gone.items() if number]


def restart_engine() -> None:
    if BOOTS:
        subprocess.run(["systemctl", "reset-failed", "docker.service"], check=False)
        subprocess.run(["systemctl", "restart", "docker.service"], check=False)
        return
    Path("/run/lab-engine-stopped").unlink(missing_ok=True)
    try:
        pid = int(Path("/run/docker.pid").read_text())
        os.kill(pid, signal.SIGTERM)
    except (OSError, ValueError):
        return  # not running: the first process of the host starts it again
    limit = time.monotonic() + 15
    while Path(f"/proc/{pid}").exists() and time.monotonic() < limit:
        time.sleep(0.02)


def reset_network(clean: dict[str, Any]) -> None:
    for name in set(output("ip", "netns", "list").split("\n")):
        if name.strip():
            subprocess.run(["ip", "netns", "delete", name.split()[0]], check=False)
    for name in links():
        if name not in clean["links"]:
            subprocess.run(["ip", "link", "delete", name], capture_output=True, check=False)
    for family in ("-4", "-6"):
        for kind, now in (("rule", rules()[family]), ("route", routes()[family])):
            want = clean[kind + "s"][family]
            for verb, lines in (("del", [i for i in now if i not in want]), ("add", [i for i in want if i not in now])):
                for line in lines:
                    words = line.split()
                    # A rule is listed as "PRIORITY: selector".
                    words = ["priority", words[0].rstrip(":"), *words[1:]] if kind == "rule" else words
                    subprocess.run(["ip", family, kind, verb, *words], capture_output=True, check=False)


def end_strays() -> list[str]:
    """Ends what a test left running. A process whose parent went away belongs to the host's first process."""
    if BOOTS:
        return []  # there every service is a child of the first process, and units() knows them
    children = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = status.read_text()
        except OSError:
            continue  # it ended meanwhile
        name = text[text.index("(") + 1 : text.rindex(")")]
        fields = text[text.rindex(")") + 2 :].split()
        if fields[1] == "1":
            children.append((int(fields[19]), int(status.parent.name), name))
    # The oldest child is the host's own boot script.
    strays = [(pid, name) for _start, pid, name in sorted(children)[1:] if not name.startswith("containerd-shim")]
    for pid, _name in strays:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return sorted(name for _pid, name in strays)


def reset(workload: str) -> dict[str, Any]:
    clean = json.loads((CLEAN / "clean.json").read_text())
    done: list[str] = []
    stopped = HAS_DOCKER and not BOOTS and Path("/run/lab-engine-stopped").exists()
    if HAS_DOCKER:
        done += empty_engine(workload)
    strays = end_strays()
    if strays:
        done.append("processes ended: " + ", ".join(strays))
    extra_units = [unit for unit in units() if unit not in clean["units"]]
    if extra_units:
        subprocess.run(["systemctl", "stop", *extra_units], check=False)
        done.append("units stopped: " + ", ".join(extra_units))
    files = restore_files()
    if files:
        done.append("files restored: " + ", ".join(files))
        if BOOTS:
            subprocess.run(["systemctl", "daemon-reload"], check=False)
    for name, value in clean["sysctls"].items():
        path = Path("/proc/sys", name)
        if path.exists() and path.read_text().strip() != value:
            path.write_text(value)
            done.append(f"{name} is {value} again")
    reset_network(clean)
    if HAS_DOCKER:
        daemon_file = any(path.startswith("/etc/docker") for path in files)
        rules_changed = fingerprint() != clean["fingerprint"]
        if rules_changed or daemon_file or stopped or not engine_version():
            if rules_changed:
                subprocess.run(["nft", "flush", "ruleset"], check=True)
            restart_engine()
            done.append("engine restarted")
    return {"done": done}


if __name__ == "__main__":
    verb, *arguments = sys.argv[1:]
    if verb == "wait":
        print(json.dumps(wait(float(arguments[0]), arguments[1])))
    elif verb == "reset":
        print(json.dumps(reset(arguments[0])))
    else:
        restart_engine()
        print("{}")
