# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a host's firewall counts as changed."""

from __future__ import annotations

from lab.inside.state import meaning

CLEAN = """\
table ip filter {
  chain INPUT {
    type filter hook input priority filter; policy accept;
  }
  chain FORWARD {
    type filter hook forward priority filter; policy accept;
    jump DOCKER-USER
  }
  chain DOCKER-USER {
  }
}
""".replace("  ", "\t")


def test_an_empty_accepting_chain_of_iptables_changes_nothing() -> None:
    raw = "table ip raw {\n\tchain PREROUTING {\n\t\ttype filter hook prerouting priority raw; policy accept;\n\t}\n}\n"
    assert meaning(CLEAN + raw) == meaning(CLEAN)


def test_the_order_of_tables_changes_nothing() -> None:
    other = "table ip nat {\n\tchain DOCKER {\n\t\treturn\n\t}\n}\n"
    assert meaning(CLEAN + other) == meaning(other + CLEAN)


def test_a_policy_is_a_change() -> None:
    assert meaning(
        CLEAN.replace("input priority filter; policy accept", "input priority filter; policy drop")
    ) != meaning(CLEAN)


def test_the_order_of_rules_is_a_change() -> None:
    one = CLEAN.replace("jump DOCKER-USER", "jump DOCKER-USER\n\t\tcounter accept")
    other = CLEAN.replace("jump DOCKER-USER", "counter accept\n\t\tjump DOCKER-USER")
    assert meaning(one) != meaning(other)


def test_the_same_rule_in_another_chain_is_a_change() -> None:
    assert meaning(CLEAN.replace("chain DOCKER-USER", "chain DOCKER-OTHER")) != meaning(CLEAN)


def test_an_empty_table_of_somebody_else_is_a_change() -> None:
    assert meaning(CLEAN + "table inet guard {\n}\n") != meaning(CLEAN)


def test_an_empty_chain_of_somebody_else_is_a_change_even_if_it_accepts() -> None:
    hook = "\tchain in {\n\t\ttype filter hook input priority filter; policy accept;\n\t}\n"
    assert meaning(CLEAN + "table inet guard {\n" + hook + "}\n") != meaning(CLEAN + "table inet guard {\n}\n")


def test_a_set_and_its_elements_are_changes() -> None:
    empty = "table inet guard {\n\tset s {\n\t\ttype ipv4_addr\n\t}\n}\n"
    full = empty.replace("type ipv4_addr", "type ipv4_addr\n\t\telements = { 192.0.2.1 }")
    assert meaning(CLEAN + empty) != meaning(CLEAN + full)
