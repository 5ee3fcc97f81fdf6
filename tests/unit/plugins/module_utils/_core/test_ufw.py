# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress
import shlex
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bulkhead.docker.plugins.module_utils._core import ufw
from ansible_collections.bulkhead.docker.plugins.module_utils._core.errors import CoreError
from ansible_collections.bulkhead.docker.plugins.module_utils._core.ufw import UfwRule

#: Written by UFW 0.36.2 itself, from some fifty commands of all kinds.
WRITTEN = Path(__file__).parent / "data" / "ufw_0_36"


def one(line: str, family: int = 4) -> UfwRule:
    (rule,) = ufw.parse_rules(f"### tuple ### {line}\n", path=ufw.RULES, family=family)
    return rule


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("allow tcp 8080 0.0.0.0/0 any 0.0.0.0/0 in", {"proto": "tcp", "ports": ((8080, 8080),)}),
        ("allow any 22 0.0.0.0/0 any 0.0.0.0/0 in", {"ports": ((22, 22),)}),
        ("limit_log tcp 84 0.0.0.0/0 any 0.0.0.0/0 in", {"action": "limit", "proto": "tcp", "ports": ((84, 84),)}),
        ("deny_log-all any any 0.0.0.0/0 any 198.51.100.0/24 in", {"action": "deny", "source": "198.51.100.0/24"}),
        (
            "allow tcp 80,443,8000:8100,9000 0.0.0.0/0 any 0.0.0.0/0 in",
            {"proto": "tcp", "ports": ((80, 80), (443, 443), (8000, 8100), (9000, 9000))},
        ),
        (
            "allow tcp 8082 192.168.50.2 any 0.0.0.0/0 in_eth1",
            {"proto": "tcp", "ports": ((8082, 8082),), "to": "192.168.50.2", "interface": "eth1"},
        ),
        ("allow udp any 0.0.0.0/0 53 0.0.0.0/0 in", {"proto": "udp", "source_ports": ((53, 53),)}),
        (
            "deny tcp 25 0.0.0.0/0 any 0.0.0.0/0 out",
            {"action": "deny", "proto": "tcp", "ports": ((25, 25),), "direction": "out"},
        ),
        ("allow any 25 0.0.0.0/0 any 0.0.0.0/0 out_eth0", {"ports": ((25, 25),), "direction": "out"}),
        (
            "route:allow tcp 80 172.17.0.2 any 0.0.0.0/0 in_eth0!out_docker0",
            {"proto": "tcp", "ports": ((80, 80),), "to": "172.17.0.2", "interface": "eth0", "route": True},
        ),
        (
            "allow tcp 80,443 0.0.0.0/0 any 0.0.0.0/0 WWW%20Full - in",
            {"proto": "tcp", "ports": ((80, 80), (443, 443)), "app": "WWW Full"},
        ),
        (
            "deny tcp 80 0.0.0.0/0 any 0.0.0.0/0 WWW - in_eth1",
            {"action": "deny", "proto": "tcp", "ports": ((80, 80),), "app": "WWW", "interface": "eth1"},
        ),
        ("allow tcp 81,80,82:90,85 0.0.0.0/0 any 0.0.0.0/0 in", {"proto": "tcp", "ports": ((80, 90),)}),
        (
            "allow tcp 1 0.0.0.0/0 any 0.0.0.0/0 in comment=c3bc2023",
            {"proto": "tcp", "ports": ((1, 1),), "comment": "ü #"},
        ),
        ("allow tcp 1 0.0.0.0/0 any 0.0.0.0/0", {"proto": "tcp", "ports": ((1, 1),)}),
        ("allow any any 0.0.0.0/0 any 192.168.50.7/255.255.255.0 in", {"source": "192.168.50.0/24"}),
        ("allow any any 0.0.0.0/0 any 192.0.2.1/32 in", {"source": "192.0.2.1"}),
    ],
)
def test_a_tuple_is_read_as_ufw_means_it(line: str, expected: dict[str, t.Any]) -> None:
    assert one(line) == UfwRule(**{"action": "allow", "family": 4, "place": "user.rules:1", **expected})


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("allow tcp 80", "3 fields"),
        ("permit tcp 80 0.0.0.0/0 any 0.0.0.0/0 in", "'permit' is no action"),
        ("allow_loud tcp 80 0.0.0.0/0 any 0.0.0.0/0 in", "'allow_loud' is no action"),
        ("forward:allow tcp 80 0.0.0.0/0 any 0.0.0.0/0 in", "'forward:allow' is no action"),
        ("allow sctp 80 0.0.0.0/0 any 0.0.0.0/0 in", "'sctp' is no protocol"),
        ("allow tcp http 0.0.0.0/0 any 0.0.0.0/0 in", "'http' is no port"),
        ("allow tcp 0 0.0.0.0/0 any 0.0.0.0/0 in", "'0' is no port"),
        ("allow tcp 90:80 0.0.0.0/0 any 0.0.0.0/0 in", "'90:80' is no port"),
        ("allow tcp 65536 0.0.0.0/0 any 0.0.0.0/0 in", "'65536' is no port"),
        ("allow tcp ٣ 0.0.0.0/0 any 0.0.0.0/0 in", "is no port"),
        ("allow tcp 80 ::/0 any 0.0.0.0/0 in", "'::/0' is no IPv4 address"),
        ("allow tcp 80 0.0.0.0/0 any 300.1.1.1 in", "300.1.1.1"),
        ("allow tcp 80 0.0.0.0/0 any 0.0.0.0/0 sideways", "'sideways' is no direction"),
        ("allow tcp 80 0.0.0.0/0 any 0.0.0.0/0 in_", "'' is no interface"),
        ("allow tcp 80 0.0.0.0/0 any 0.0.0.0/0 in_a*", "'a*' is no interface"),
        ("allow tcp 80 0.0.0.0/0 any 0.0.0.0/0 in_a!in_b", "'in_a!in_b' is no direction"),
        ("allow tcp 80 0.0.0.0/0 any 0.0.0.0/0 in comment=zz", "hexadecimal"),
        ("allow tcp 80 0.0.0.0/0 any 0.0.0.0/0 in comment=ff", "hexadecimal"),
    ],
)
def test_a_tuple_that_is_not_understood_is_refused_with_file_and_line(line: str, why: str) -> None:
    text = f"*filter\n### tuple ### allow tcp 1 0.0.0.0/0 any 0.0.0.0/0 in\n\n### tuple ### {line}\n"
    with pytest.raises(CoreError) as caught:
        ufw.parse_rules(text, path=ufw.RULES, family=4)
    assert caught.value.msg.startswith("/etc/ufw/user.rules line 4 is a UFW rule that is not understood: ")
    assert why in caught.value.msg
    assert (caught.value.reason_code, caught.value.details["line"]) == ("ufw_not_understood", 4)


def test_escapes_of_a_hostile_line_do_not_reach_the_terminal() -> None:
    with pytest.raises(CoreError) as caught:
        one("allow tcp \x1b[2J 0.0.0.0/0 any 0.0.0.0/0 in")
    assert "\x1b" not in caught.value.sentence


def _iptables_words(rule: UfwRule) -> dict[str, str]:
    """What UFW writes for this rule into one -A line, as far as it matches packets."""

    def ports(value: ufw.Ports) -> str:
        return ",".join(f"{first}:{last}" if first != last else str(first) for first, last in value)

    words = {"-i": rule.interface, "-s": rule.source, "-d": rule.to}
    words["dport"], words["sport"] = ports(rule.ports), ports(rule.source_ports)
    return {key: value for key, value in words.items() if value}


@pytest.mark.parametrize(("name", "family"), [("user.rules", 4), ("user6.rules", 6)])
def test_every_tuple_says_what_the_iptables_lines_below_it_do(name: str, family: int) -> None:
    text = (WRITTEN / name).read_text()
    rules = {
        int(rule.place.rpartition(":")[2]): rule
        for rule in ufw.parse_rules(text, path=f"/etc/ufw/{name}", family=family)
    }
    lines = text.split("\n")
    assert len(rules) == sum(line.startswith("### tuple ###") for line in lines) > 25
    for number, rule in rules.items():
        compared = 0
        for line in lines[number:]:
            if not line:
                break
            words = shlex.split(line)
            if "-user-logging-" in words[1]:
                continue
            pairs = dict(zip(words[2:], words[3:]))
            found = {key: pairs[key] for key in ("-i", "-s", "-d") if key in pairs}
            found.update({key: pairs.get(f"--{key}", pairs.get(f"--{key}s", "")) for key in ("dport", "sport")})
            for key in ("-s", "-d"):
                if key in found:
                    found[key] = ufw.canonical(ipaddress.ip_network(found[key]))
            assert {key: value for key, value in found.items() if value} == _iptables_words(rule), line
            chain = "forward" if rule.route else "output" if rule.direction == "out" else "input"
            assert words[1] == f"{'ufw6' if family == 6 else 'ufw'}-user-{chain}"
            assert rule.proto in ("any", pairs.get("-p")), line
            if "-j" in pairs and not pairs["-j"].startswith(("ufw-user-logging", "ufw6-user-logging")):
                target = {"allow": "ACCEPT", "deny": "DROP", "reject": "REJECT"}.get(rule.action, "user-limit")
                assert target in pairs["-j"], line
            compared += 1
        assert compared, rule


_NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789_.-@=%,", min_size=1, max_size=15)
_PORTS = st.lists(
    st.tuples(st.integers(1, 65535), st.integers(0, 500)).map(lambda pair: (pair[0], min(65535, sum(pair)))),
    max_size=5,
).map(ufw.merged)


@given(
    rule=st.builds(
        UfwRule,
        action=st.sampled_from(ufw.ACTIONS),
        family=st.just(4),
        proto=st.sampled_from(sorted(ufw.PROTOCOLS)),
        ports=_PORTS,
        to=st.ip_addresses(v=4).map(str),
        source_ports=_PORTS,
        source=st.ip_addresses(v=4).map(str),
        interface=_NAMES | st.just(""),
        route=st.booleans(),
        comment=st.text(max_size=20),
    ),
    log=st.sampled_from(["", "_log", "_log-all"]),
)
def test_what_ufw_would_write_is_read_back_whole(rule: UfwRule, log: str) -> None:
    def ports(value: ufw.Ports) -> str:
        return ",".join(f"{first}:{last}" if first != last else str(first) for first, last in value) or "any"

    way = f"in_{rule.interface}" if rule.interface else "in"
    line = f"{'route:' if rule.route else ''}{rule.action}{log} {rule.proto} {ports(rule.ports)} {rule.to}"
    line += f" {ports(rule.source_ports)} {rule.source} {way}"
    if rule.comment:
        line += f" comment={rule.comment.encode().hex()}"
    assert one(line) == UfwRule(**{**vars(rule), "place": "user.rules:1"})


def test_the_last_assignment_counts_as_it_does_for_the_shell() -> None:
    text = "# ENABLED=yes\nENABLED=no\n  IPV6='yes' # why\nENABLED=\"yes\"\nBROKEN LINE\n"
    assert ufw.settings(text) == {"ENABLED": "yes", "IPV6": "yes"}


def files(**changes: str | None) -> dict[str, str | None]:
    found: dict[str, str | None] = {
        ufw.CONF: "ENABLED=yes\nLOGLEVEL=low\n",
        ufw.DEFAULTS: 'IPV6=yes\nDEFAULT_INPUT_POLICY="DROP"\nDEFAULT_FORWARD_POLICY="ACCEPT"\nMANAGE_BUILTINS=no\n',
        ufw.RULES: "### tuple ### allow tcp 80 0.0.0.0/0 any 0.0.0.0/0 in\n",
        ufw.RULES6: "### tuple ### allow tcp 80 ::/0 any ::/0 in\n",
    }
    return {**found, **{getattr(ufw, name): text for name, text in changes.items()}}


def test_ufw_is_read_from_its_files() -> None:
    found = ufw.read(files())
    assert found is not None
    assert (found.enabled, found.ipv6, found.policy, found.forward, found.manages_builtins) == (
        True,
        True,
        "deny",
        "allow",
        False,
    )
    assert [(rule.family, rule.place) for rule in found.rules] == [(4, "user.rules:1"), (6, "user6.rules:1")]


def test_without_ipv6_ufw_does_not_load_its_ipv6_rules() -> None:
    found = ufw.read(files(DEFAULTS="IPV6=no\n"))
    assert found is not None
    assert [rule.family for rule in found.rules] == [4]


def test_no_configuration_means_no_ufw_and_disabled_means_no_rules() -> None:
    assert ufw.read(files(CONF=None)) is None
    found = ufw.read(files(CONF="ENABLED=no\n", RULES=None))
    assert found is not None
    assert (found.enabled, found.rules) == (False, ())


def test_unreadable_rules_of_an_enabled_ufw_are_an_error_and_not_no_rules() -> None:
    with pytest.raises(CoreError, match=r"user6\.rules cannot be read") as caught:
        ufw.read(files(RULES6=None))
    assert caught.value.reason_code == "ufw_unreadable"


def test_a_policy_that_ufw_does_not_know_is_an_error() -> None:
    with pytest.raises(CoreError, match="DEFAULT_INPUT_POLICY='MAYBE'"):
        ufw.read(files(DEFAULTS="DEFAULT_INPUT_POLICY=MAYBE\n"))
