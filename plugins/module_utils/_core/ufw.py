# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""UFW's own files as values: its settings, and its rules from the tuples that ``ufw`` writes and reads itself."""

from __future__ import annotations

import ipaddress
import re
import typing as t
from dataclasses import dataclass

from .errors import CoreError

CONF = "/etc/ufw/ufw.conf"
DEFAULTS = "/etc/default/ufw"
RULES = "/etc/ufw/user.rules"
RULES6 = "/etc/ufw/user6.rules"

ACTIONS = ("allow", "deny", "reject", "limit")
#: ufw.util.supported_protocols of UFW 0.36, and its word for "whichever".
PROTOCOLS = frozenset({"any", "tcp", "udp", "ipv6", "esp", "ah", "igmp", "gre", "vrrp"})
_POLICIES = {"ACCEPT": "allow", "DROP": "deny", "REJECT": "reject"}
_TUPLE = re.compile(r"^### tuple ###\s*")
# ufw.common.UFWRule.set_interface: what UFW itself takes for the name of an interface; a last + is iptables' wildcard.
_INTERFACE = re.compile(r"^[a-zA-Z0-9_\-.+,=%@]{1,15}$")
_SETTING = re.compile(r"""^\s*([A-Za-z_]\w*)=(?:"([^"]*)"|'([^']*)'|([^\s#]*))""")

Ports = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class UfwRule:
    """One rule. Empty ``ports``, addresses and interfaces mean any; ``place`` is its file and line."""

    action: str
    family: int
    proto: str = "any"
    ports: Ports = ()
    to: str = ""
    source_ports: Ports = ()
    source: str = ""
    interface: str = ""
    direction: str = "in"
    route: bool = False
    app: str = ""
    comment: str = ""
    place: str = ""


@dataclass(frozen=True)
class Ufw:
    """UFW as its files describe it. ``policy`` is the default for incoming traffic, ``forward`` for routed.

    ``trouble`` says why the files were not understood; everything else is then unknown.
    """

    enabled: bool = False
    ipv6: bool = True
    policy: str = "deny"
    forward: str = "deny"
    manages_builtins: bool = False
    rules: tuple[UfwRule, ...] = ()
    trouble: str = ""


def survey(files: t.Mapping[str, str | None]) -> Ufw | None:
    """Do as :func:`read`, for those who only tell about UFW and must not fail over it."""
    try:
        return read(files)
    except CoreError as error:
        return Ufw(enabled=True, trouble=error.sentence)


def read(files: t.Mapping[str, str | None]) -> Ufw | None:
    """Read UFW's files, given as path to text; None when UFW is not there, CoreError when they are not understood."""
    conf = files.get(CONF)
    if conf is None:
        return None
    defaults = settings(files.get(DEFAULTS) or "")
    enabled = settings(conf).get("ENABLED", "no").lower() == "yes"
    ipv6 = defaults.get("IPV6", "no").lower() == "yes"
    rules: tuple[UfwRule, ...] = ()
    for path, family, wanted in ((RULES, 4, enabled), (RULES6, 6, enabled and ipv6)):
        text = files.get(path)
        if text is None and wanted:
            raise CoreError(
                f"UFW is enabled, but {path} cannot be read, so its rules are unknown.",
                hint="Run with become: true; if the file is really gone, 'ufw reload' tells what UFW itself makes of it.",
                reason_code="ufw_unreadable",
            )
        if text is not None and wanted:
            rules += parse_rules(text, path=path, family=family)
    return Ufw(
        enabled=enabled,
        ipv6=ipv6,
        policy=_policy(defaults, "DEFAULT_INPUT_POLICY"),
        forward=_policy(defaults, "DEFAULT_FORWARD_POLICY"),
        manages_builtins=defaults.get("MANAGE_BUILTINS", "no").lower() == "yes",
        rules=rules,
    )


def settings(text: str) -> dict[str, str]:
    """Read a file of shell assignments; the last one of a name counts, as it does for the shell."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = _SETTING.match(line)
        if match:
            found[match.group(1)] = next((group for group in match.groups()[1:] if group is not None), "")
    return found


def _policy(defaults: t.Mapping[str, str], key: str) -> str:
    value = defaults.get(key, "DROP").upper()
    if value not in _POLICIES:
        raise CoreError(
            f"{DEFAULTS} says {key}={value!r}, which is none of ACCEPT, DROP and REJECT.",
            hint="Correct the file; UFW itself refuses to start with it.",
            reason_code="ufw_not_understood",
        )
    return _POLICIES[value]


def parse_rules(text: str, *, path: str, family: int) -> tuple[UfwRule, ...]:
    """Read the tuples of one rules file in their order. UFW skips a tuple it can't read; here it is an error."""
    name = path.rpartition("/")[2]
    rules = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not _TUPLE.match(line):
            continue
        try:
            rules.append(_rule(_TUPLE.sub("", line).strip(), family=family, place=f"{name}:{number}"))
        except ValueError as error:
            raise CoreError(
                f"{path} line {number} is a UFW rule that is not understood: {error}. Nothing was changed, because "
                "leaving a rule out could open or close the wrong port.",
                hint=f"Look at 'ufw status numbered', and delete the rule or add it anew: {_printable(line)[:200]}",
                reason_code="ufw_not_understood",
                details={"file": path, "line": number},
            ) from error
    return tuple(rules)


def _rule(text: str, *, family: int, place: str) -> UfwRule:
    body, _mark, comment = text.partition(" comment=")
    fields = body.split()
    if not 6 <= len(fields) <= 9:
        raise ValueError(f"it has {len(fields)} fields instead of 6 to 9")
    # Before UFW 0.30 there was no last field for the direction; ufw still reads such lines.
    way = fields.pop() if len(fields) in (7, 9) else "in"
    apps = [field.replace("%20", " ") for field in fields[6:8] if field != "-"]
    verb, proto, ports, to, source_ports, source = fields[:6]
    route, colon, action = verb.partition(":")
    if not colon:
        route, action = "", verb
    elif route != "route":
        raise ValueError(f"{verb!r} is no action")
    action, _underscore, log = action.partition("_")
    if action not in ACTIONS or log not in ("", "log", "log-all"):
        raise ValueError(f"{verb!r} is no action")
    if proto not in PROTOCOLS:
        raise ValueError(f"{proto!r} is no protocol that UFW knows")
    direction, interface = _way(way)
    return UfwRule(
        action=action,
        family=family,
        proto=proto,
        ports=_ports(ports),
        to=_address(to, family),
        source_ports=_ports(source_ports),
        source=_address(source, family),
        interface=interface,
        direction=direction,
        route=bool(route),
        app=", ".join(apps),
        comment=_comment(comment),
        place=place,
    )


def _way(text: str) -> tuple[str, str]:
    """Direction and incoming interface of ``in``, ``out``, ``in_eth0``, ``out_eth0`` or ``in_eth0!out_eth1``."""
    found: dict[str, str] = {}
    for part in text.split("!"):
        direction, underscore, interface = part.partition("_")
        if direction not in ("in", "out") or direction in found:
            raise ValueError(f"{text!r} is no direction")
        if underscore and not _INTERFACE.match(interface):
            raise ValueError(f"{interface!r} is no interface")
        found[direction] = interface
    return ("in" if "in" in found else "out"), found.get("in", "")


def _ports(text: str) -> Ports:
    if text == "any":
        return ()
    ports = []
    for part in text.split(","):
        if not re.match(r"^[0-9]+(:[0-9]+)?$", part, re.ASCII):
            raise ValueError(f"{part!r} is no port")
        low, colon, high = part.partition(":")
        first, last = int(low), int(high if colon else low)
        if not 1 <= first <= last <= 65535:
            raise ValueError(f"{part!r} is no port")
        ports.append((first, last))
    return merged(ports)


def merged(ports: t.Iterable[tuple[int, int]]) -> Ports:
    """Sorted ranges without overlap or touch, so that one set of ports has one form."""
    result: list[tuple[int, int]] = []
    for first, last in sorted(ports):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(result[-1][1], last))
        else:
            result.append((first, last))
    return tuple(result)


def _address(text: str, family: int) -> str:
    """The address as nft shows it: ``192.0.2.1``, ``192.0.2.0/24``, or empty for anywhere."""
    if text == "any":
        return ""
    network = ipaddress.ip_network(text, strict=False)
    if network.version != family:
        raise ValueError(f"{text!r} is no IPv{family} address")
    return canonical(network)


def canonical(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
    """One text for one network: no prefix for a single address, nothing for all addresses."""
    if network.prefixlen == 0:
        return ""
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    # Python spells these ::ffff:a00:0 up to 3.12 and as nft does from 3.13; a comment must not change with Python.
    address = f"::ffff:{mapped}" if mapped is not None else str(network.network_address)
    return address if network.prefixlen == network.max_prefixlen else f"{address}/{network.prefixlen}"


def _comment(text: str) -> str:
    try:
        return bytes.fromhex(text.strip()).decode("utf-8")
    except ValueError as error:
        raise ValueError(f"its comment {text[:40]!r} is no hexadecimal UTF-8") from error


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
