# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bulkhead.docker.plugins.module_utils._core.errors import CoreError
from ansible_collections.bulkhead.docker.plugins.module_utils._core.explain import explained, read_questions

from .shop import SAVE, view


def ask(sender: t.Any, target: str, port: int | None = None, *scene: t.Any, **more: t.Any) -> dict[str, t.Any]:
    question = {"from": sender, "to": target, "port": port, **more.pop("question", {})}
    (answer,) = explained(view(*scene, **more), read_questions([question]))
    return answer


def test_each_hop_is_a_line_and_the_deciding_one_is_marked() -> None:
    answer = ask("internet", "web", 8080, question={"family": "ipv4"})
    assert answer["verdict"] == "open"
    lines = answer["text"].splitlines()
    assert lines[0] == "internet -> web 8080/tcp: OPEN"
    assert lines[1] == "  203.0.113.7 asks 198.51.100.2:8080 by eth0: open"
    assert next(line.split()[1:4] for line in lines if line.startswith("  >")) == ["forward", "ip", "filter"]
    assert sum(line.startswith("  >") for line in lines[: lines.index("    the answer gets back by eth0")]) == 1
    marked = next(line for line in lines if line.startswith("  >"))
    assert "DOCKER #1" in marked and marked.endswith("=> accept")
    assert "-A DOCKER" not in marked


def test_the_same_as_data() -> None:
    (way, *_others) = ask("internet", "web", 8080, question={"family": "ipv4"})["ways"]
    assert [hop["effect"] for hop in way["hops"] if hop["hook"] == "prerouting"] == [
        "jump DOCKER",
        "DNAT to 172.18.0.2:80",
    ]
    assert [hop["rule_number"] for hop in way["hops"] if hop["decides"]] == [1]
    assert (way["delivered_to"], way["sources"]) == ("br-front", ["0.0.0.0/0"])
    assert way["back"][-1]["effect"] == "the address that was asked is put back"


def test_a_ports_own_number_is_asked_by_the_published_one() -> None:
    ways = ask("internet", "web", 80, question={"family": "ipv4"})["ways"]
    assert [(way["dst"], way["port"], way["verdict"]) for way in ways] == [
        ("198.51.100.2", 8080, "open"),
        ("172.18.0.2", 80, "partial"),
        ("172.19.0.2", 80, "closed"),
    ]


def test_containers_on_one_network_ask_each_other_there() -> None:
    answer = ask("web", "db", 5432)
    (way,) = answer["ways"]
    assert (answer["verdict"], way["interface"], way["src"], way["dst"]) == (
        "open",
        "br-back",
        "172.19.0.2",
        "172.19.0.3",
    )


def test_a_neighbour_on_a_network_is_asked_there_and_not_by_its_published_port() -> None:
    (way,) = ask("db", "web", 80)["ways"]
    assert (way["dst"], way["port"], way["verdict"]) == ("172.19.0.2", 80, "open")


def test_of_a_closed_way_beside_an_open_one_only_what_closes_it_is_shown() -> None:
    lines = ask("internet", "web", 80, question={"family": "ipv4"})["text"].splitlines()
    place = next(number for number, line in enumerate(lines) if "172.19.0.2:80" in line)
    assert [line[:3] for line in lines[place + 1 :]] == ["  >"]


def test_a_container_elsewhere_is_stopped_and_the_rule_is_named() -> None:
    answer = ask("front", "db", 5432)
    assert answer["verdict"] == "closed"
    (marked,) = [line for line in answer["text"].splitlines() if line.startswith("  >")]
    assert "STAGE-2 #2" in marked and marked.endswith("=> drop")


def test_an_answer_that_dies_is_shown() -> None:
    lame = SAVE.replace("-A FORWARD -i br-front ! -o br-front -j ACCEPT\n", "")
    answer = ask("internet", "web", 8080, lame, question={"family": "ipv4"})
    assert answer["verdict"] == "closed"
    assert "    the answer: drop" in answer["text"].splitlines()


def test_the_host_asks_itself_and_its_containers() -> None:
    assert ask("host", "db", 5432)["verdict"] == "open"
    assert ask("host", "host", 22)["verdict"] == "open"
    answer = ask("host", "host", 23, question={"family": "ipv4"})
    assert answer["verdict"] == "closed"
    assert answer["text"].endswith("no process of the host listens on port 23/tcp  => refused")
    assert ask("host", "host", question={"proto": "icmp", "family": "ipv4"})["verdict"] == "open"


def test_an_address_comes_in_by_the_interface_it_is_routed_to() -> None:
    (way,) = ask("192.168.50.9", "192.168.50.2", 22)["ways"]
    assert (way["interface"], way["src"], way["verdict"]) == ("eth1", "192.168.50.9", "open")
    (way,) = ask({"interface": "eth0", "from": ["192.168.50.9"]}, "198.51.100.2", 22)["ways"]
    assert (way["interface"], way["src"]) == ("eth0", "192.168.50.9")
    (way,) = ask("198.51.100.2", "host", 22, question={"family": "ipv4"})["ways"]
    assert way["interface"] == ""


def test_a_partial_answer_says_who_and_what_decides_for_the_others() -> None:
    ban = SAVE.rpartition("COMMIT\n")[0] + "-A DOCKER-USER ! -s 192.0.2.0/24 -o br-front -j DROP\nCOMMIT\n"
    answer = ask("internet", "web", 8080, ban, question={"family": "ipv4"})
    assert answer["verdict"] == "partial"
    lines = answer["text"].splitlines()
    assert lines[1] == "  192.0.2.7 asks 198.51.100.2:8080 by eth0: partial for 192.0.2.0/24"
    assert "192.0.2.0/24 -o br-front -j DROP  => drop" in lines[lines.index("    decides for other callers:") + 1]


def test_what_nobody_can_tell_is_said_with_its_reason() -> None:
    odd = SAVE.rpartition("COMMIT\n")[0] + '-A DOCKER-USER -m bpf --bytecode "1,6 0 0 0" -j DROP\nCOMMIT\n'
    answer = ask("internet", "web", 8080, odd, question={"family": "ipv4"})
    lines = answer["text"].splitlines()
    assert answer["verdict"] == "unknown"
    assert "-m bpf" in lines[lines.index("    nobody can tell, because of:") + 1]


def test_protocols_without_ports_are_asked_without() -> None:
    answer = ask("internet", "198.51.100.2", None, question={"proto": "icmp"})
    assert answer["verdict"] == "closed"
    assert answer["text"].splitlines()[0] == "internet -> 198.51.100.2/icmp: CLOSED"


@pytest.mark.parametrize(
    ("sender", "target", "words"),
    [
        ("dmz", "web", ["explain[0].from", "'dmz'", "eth0, eth1"]),
        ("internet", "wbe", ["explain[0].to", "'wbe'", "agent, db, web", "'host'"]),
        ({"from": ["192.0.2.1"]}, "web", ["interface"]),
    ],
)
def test_who_is_not_there_is_refused_with_who_is(sender: t.Any, target: str, words: list[str]) -> None:
    with pytest.raises(CoreError) as error:
        ask(sender, target, 80)
    assert all(word in error.value.sentence for word in words), error.value.sentence


def test_hostile_names_do_not_reach_the_terminal() -> None:
    own = {"family": "inet", "table": "a\x1b[2J"}
    chain = {**own, "name": "b\x07", "hook": "forward", "type": "filter", "prio": 0, "policy": "drop"}
    table = {"family": "inet", "name": own["table"]}
    answer = ask("internet", "web", 8080, nft={"nftables": [{"table": table}, {"chain": chain}]})
    assert answer["verdict"] == "closed"
    assert "inet a\\x1b[2J b\\x07" in answer["text"]
    assert not any(ord(char) < 32 and char != "\n" for char in answer["text"])
