# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bulkhead.docker.plugins.module_utils._core import guard, guard_intent, guard_table, ufw
from ansible_collections.bulkhead.docker.plugins.module_utils._core.errors import CoreError
from ansible_collections.bulkhead.docker.plugins.module_utils._core.guard import Firewall, World
from ansible_collections.bulkhead.docker.plugins.module_utils._core.guard_intent import Intent, Wish
from ansible_collections.bulkhead.docker.plugins.module_utils._core.guard_table import Match, Rule, Table
from ansible_collections.bulkhead.docker.plugins.module_utils._core.model import Network, Snapshot

#: What three releases of nft list after they have loaded `everything()`.
LISTED = Path(__file__).parent / "data" / "nft"
BRIDGE = Network("b" * 64, "bridge", options={"com.docker.network.bridge.name": "docker0"})


def options(**changes: t.Any) -> dict[str, t.Any]:
    return {"state": "present", "follow_ufw": True, "policy": "deny", "trusted": [], "rules": [], **changes}


def rule(**changes: t.Any) -> dict[str, t.Any]:
    empty = {"action": "allow", "port": None, "proto": "any", "from": [], "to": [], "interface": None, "comment": None}
    return {**empty, **changes}


def tuples(*lines: str, family: int = 4) -> tuple[ufw.UfwRule, ...]:
    path = ufw.RULES6 if family == 6 else ufw.RULES
    return ufw.parse_rules("".join(f"### tuple ### {line}\n" for line in lines), path=path, family=family)


def everything() -> Table:
    """A table with each kind of rule that the guard can write."""
    intent = guard_intent.read_intent(
        options(
            trusted=[{"from": "10.0.0.0/8", "interface": "eth1"}, {"from": "::/0", "interface": "wg0"}],
            rules=[
                rule(action="limit", port=[5, "7:9"], proto="udp", comment='x"y\\z\n$(reboot)'),
                rule(action="deny", port=5432, **{"from": ["192.0.2.7", "2001:db8::7"]}),
                rule(action="reject", interface="eth0"),
            ],
        )
    )
    rules = tuples(
        "allow tcp 8080 0.0.0.0/0 any 0.0.0.0/0 in",
        "limit tcp 22 0.0.0.0/0 any 0.0.0.0/0 in",
        "reject any 80 0.0.0.0/0 any 0.0.0.0/0 in",
        "allow tcp 80,443,8000:8100 10.0.0.1 77 192.168.0.0/16 in_eth+ comment=61222062c3a4",
        "deny any any 0.0.0.0/0 any 1.2.3.4 in",
    )
    rules += tuples(
        "limit any 22 ::/0 any ::/0 in",
        "reject any any 2001:db8::/32 any ::/0 in",
        "allow tcp 80 2001:db8::1 any fd00::/8 in_eth+",
        "allow any any ::/0 any ::ffff:10.0.0.0/104 in",
        family=6,
    )
    return guard.wanted_table(intent, rules, bridges=guard.docker_bridges(Snapshot()), strangers=["br-lan"])


def listing(table: Table) -> dict[str, t.Any]:
    """A listing as nft would give it after loading this table."""
    commands = guard_table.replacement(table, None)["nftables"]
    return {"nftables": [item.get("add", item) for item in commands]}


def published(*wishes: Wish) -> list[str]:
    return [item.text for wish in wishes for item in guard.rules_of(wish)]


# ---- the table ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("release", ["1.0.6", "1.1.3", "1.1.7"])
def test_what_nft_lists_is_read_as_what_was_loaded(release: str) -> None:
    live = guard_table.from_ruleset(json.loads((LISTED / f"{release}.json").read_text()))
    assert live is not None
    assert live.text == everything().text
    assert live == everything()


def _edits() -> dict[str, t.Callable[[list[t.Any]], None]]:
    def rule_of(entries: list[t.Any], chain: str) -> dict[str, t.Any]:
        return next(item["rule"] for item in entries if item.get("rule", {}).get("chain") == chain)

    def swap(entries: list[t.Any]) -> None:
        entries[-1], entries[-2] = entries[-2], entries[-1]

    own = {"family": "inet", "table": "bulkhead_guard"}
    return {
        "a rule is gone": lambda entries: entries.remove(entries[-1]),
        "two rules changed places": swap,
        "a rule lost its counter": lambda entries: rule_of(entries, "forward")["expr"].pop(1),
        "a rule lost its comment": lambda entries: rule_of(entries, "published").pop("comment"),
        "a verdict is another one": lambda entries: rule_of(entries, "published")["expr"].__setitem__(
            -1, {"accept": None}
        ),
        "a condition was added": lambda entries: rule_of(entries, "published")["expr"].insert(
            0, {"match": {"op": "==", "left": {"meta": {"key": "mark"}}, "right": 1}}
        ),
        "a rule of an unknown kind was added": lambda entries: entries.append(
            {"rule": {**own, "chain": "published", "handle": 9, "expr": [{"xt": {"type": "match", "name": "recent"}}]}}
        ),
        "a chain was added": lambda entries: entries.append({"chain": {**own, "name": "mine", "handle": 8}}),
        "a map was added": lambda entries: entries.append(
            {"map": {**own, "name": "mine", "type": "mark", "map": "verdict"}}
        ),
        "a bridge was added": lambda entries: next(
            item["set"]["elem"].append("docker0")
            for item in entries
            if item.get("set", {}).get("name") == "other_bridges"
        ),
        "the chain's policy changed": lambda entries: next(
            item["chain"].update(policy="drop") for item in entries if item.get("chain", {}).get("hook")
        ),
        "the chain's priority changed": lambda entries: next(
            item["chain"].update(prio=10) for item in entries if item.get("chain", {}).get("hook")
        ),
        "the table was made dormant": lambda entries: next(
            item["table"].update(flags=["dormant"]) for item in entries if "table" in item
        ),
    }


@pytest.mark.parametrize("edit", list(_edits()))
def test_a_change_by_hand_is_always_seen(edit: str) -> None:
    ruleset = listing(everything())
    assert guard_table.from_ruleset(ruleset) == everything()
    _edits()[edit](ruleset["nftables"])
    live = guard_table.from_ruleset(ruleset)
    assert live != everything()
    assert live is not None
    assert live.text != everything().text or edit == "two rules changed places"


def test_only_our_own_table_is_read() -> None:
    others = {
        "nftables": [{"table": {"family": "ip", "name": "bulkhead_guard"}}, {"table": {"family": "inet", "name": "x"}}]
    }
    assert guard_table.from_ruleset(others) is None


def test_attempts_that_the_kernel_remembers_are_no_drift() -> None:
    ruleset = listing(everything())
    for item in ruleset["nftables"]:
        if item.get("set", {}).get("timeout"):
            item["set"]["elem"] = [{"elem": {"val": "192.0.2.7", "timeout": 30, "expires": 7}}]
    assert guard_table.from_ruleset(ruleset) == everything()


def test_rules_that_stay_keep_their_figures() -> None:
    live = Table(
        rules=(Rule("published", (), ("counter", "drop"), "old", 7, 420), Rule("published", (), ("counter", "accept")))
    )
    wanted = Table(
        rules=(Rule("published", (), ("counter", "drop"), "old"), Rule("published", (), ("counter", "drop"), "new"))
    )
    added = [
        item["add"]["rule"]
        for item in guard_table.replacement(wanted, live)["nftables"]
        if "rule" in item.get("add", {})
    ]
    assert [item["expr"][0]["counter"] for item in added] == [{"packets": 7, "bytes": 420}, {"packets": 0, "bytes": 0}]


@given(st.text(max_size=300))
def test_a_comment_fits_into_nft_and_into_one_line_of_a_listing(text: str) -> None:
    comment = guard_table.comment_of(text)
    assert len(comment.encode()) <= guard_table.COMMENT_BYTES
    assert comment.isprintable()
    assert not set(comment) & set('"\\')


_WISHES = st.builds(
    Wish,
    action=st.sampled_from(ufw.ACTIONS),
    family=st.just(4),
    proto=st.sampled_from(["tcp", "udp", "any"]),
    ports=st.lists(st.integers(1, 65535).map(lambda port: (port, port)), max_size=4).map(ufw.merged),
    to=st.ip_addresses(v=4).map(str) | st.just(""),
    source=st.ip_addresses(v=4).map(str) | st.just(""),
    interface=st.sampled_from(["", "eth0", "eth+"]),
    comment=st.text(max_size=50).map(guard_table.comment_of),
)


@given(st.lists(_WISHES, max_size=5))
def test_any_wish_survives_the_way_to_nft_and_back(wishes: list[Wish]) -> None:
    intent = Intent(present=True, follow_ufw=False, policy="deny", trusted=(), rules=tuple(wishes))
    wanted = guard.wanted_table(intent, (), bridges=guard.DOCKER_BRIDGES, strangers=[])
    assert guard_table.from_ruleset(json.loads(json.dumps(listing(wanted)))) == wanted


# ---- wishes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "allow tcp 8080 0.0.0.0/0 any 0.0.0.0/0 in",
            [
                'meta nfproto ipv4 meta l4proto tcp ct original proto-dst 8080 counter accept comment "ufw allow 8080/tcp"'
            ],
        ),
        (
            "reject any 80 0.0.0.0/0 any 0.0.0.0/0 in",
            [
                "meta nfproto ipv4 meta l4proto tcp ct original proto-dst 80 counter reject with tcp reset"
                ' comment "ufw reject 80"',
                'meta nfproto ipv4 meta l4proto udp ct original proto-dst 80 counter reject comment "ufw reject 80"',
            ],
        ),
        ("deny any any 0.0.0.0/0 any 1.2.3.4 in", ['ip saddr 1.2.3.4 counter drop comment "ufw deny from 1.2.3.4"']),
        (
            "limit udp 53 10.0.0.1 any 0.0.0.0/0 in_eth+",
            [
                'iifname "eth*" ct original ip daddr 10.0.0.1 meta l4proto udp ct original proto-dst 53 counter jump limit4'
                ' comment "ufw limit 53/udp to 10.0.0.1 in on eth+"'
            ],
        ),
        (
            "allow any any 0.0.0.0/0 any 0.0.0.0/0 in_+",
            ['meta nfproto ipv4 counter accept comment "ufw allow in on +"'],
        ),
        ("allow tcp 25 0.0.0.0/0 any 0.0.0.0/0 out", []),
        ("route:allow tcp 80 172.17.0.2 any 0.0.0.0/0 in", []),
        ("allow esp any 0.0.0.0/0 any 192.0.2.1 in", []),
    ],
)
def test_a_rule_of_ufw_becomes_rules_about_the_port_on_the_host(line: str, expected: list[str]) -> None:
    assert published(*guard.ufw_wishes(tuples(line))) == expected


def test_the_order_is_own_rules_then_trusted_then_ufws_in_its_own_order_then_the_policy() -> None:
    intent = guard_intent.read_intent(
        options(
            trusted=[{"from": "10.0.0.0/8", "interface": "eth1"}], rules=[rule(port=1, proto="tcp")], policy="allow"
        )
    )
    rules = tuples("deny any any 0.0.0.0/0 any 1.2.3.4 in", "allow tcp 2 0.0.0.0/0 any 0.0.0.0/0 in")
    table = guard.wanted_table(intent, rules, bridges=[], strangers=[])
    assert [item.comment for item in table.rules_of("published")][2:] == [
        "rule allow 1/tcp",
        "trusted: 10.0.0.0/8 on eth1",
        "ufw deny from 1.2.3.4",
        "ufw allow 2/tcp",
        "policy allow: nothing above names this port",
    ]


def test_no_rule_ever_names_a_containers_address_and_accept_never_leaves_our_chain() -> None:
    for item in everything().rules_of("forward"):
        assert not any("addr" in match.left for match in item.matches)
    assert all(match.left != "ct original ip saddr" for item in everything().rules for match in item.matches)
    assert [chain.policy for chain in everything().chains if chain.hook] == ["accept"]


def test_ports_of_an_own_rule_are_one_set_in_whatever_order_they_are_given() -> None:
    (wish,) = guard_intent.read_intent(options(rules=[rule(port=["8000:8100", 80, 8050, "81-82"])])).rules
    assert wish.ports == ((80, 82), (8000, 8100))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"trusted": [{"from": "10.0.0.1/8", "interface": "eth1"}]},
            "trusted[0].from is '10.0.0.1/8': 10.0.0.1/8 has host bits",
        ),
        ({"trusted": [{"from": "office", "interface": "eth1"}]}, "trusted[0].from is 'office'"),
        ({"trusted": [{"from": "10.0.0.0/8", "interface": "eth*"}]}, "trusted[0].interface is 'eth*'"),
        ({"rules": [rule(port=0)]}, "rules[0].port is 0"),
        ({"rules": [rule(), rule(port=[80, "x"])]}, "rules[1].port[1] is 'x'"),
        ({"rules": [rule(port=True)]}, "rules[0].port is True"),
        ({"rules": [rule(port="90:80")]}, "rules[0].port is '90:80'"),
        ({"rules": [rule(port=[])]}, "rules[0].port is an empty list"),
        ({"rules": [rule(port={"a": 1})]}, "rules[0].port is {'a': 1}"),
        ({"rules": [rule(**{"from": ["nowhere"]})]}, "rules[0].from[0] is 'nowhere'"),
        ({"rules": [rule(to=["10.0.0.1", "::1/zz"])]}, "rules[0].to[1] is '::1/zz'"),
        ({"rules": [rule(interface="a b")]}, "rules[0].interface is 'a b'"),
        ({"rules": [rule(to=["10.0.0.1"], **{"from": ["::1"]})]}, "rules[0] has only IPv4 addresses on one side"),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused_with_its_place(changes: dict[str, t.Any], why: str) -> None:
    with pytest.raises(CoreError) as caught:
        guard_intent.read_intent(options(**changes))
    assert caught.value.msg.startswith(why)
    assert (caught.value.reason_code, bool(caught.value.hint)) == ("invalid_option", True)


# ---- bridges -----------------------------------------------------------------------------------------------------


def test_named_bridges_are_added_and_generated_ones_are_the_wildcards_business() -> None:
    named = Network("c" * 64, "shop", options={"com.docker.network.bridge.name": "shopfront"})
    dashed = Network("d" * 64, "lan", options={"com.docker.network.bridge.name": "br-shop"})
    plain = Network("e" * 64, "plain")
    overlay = Network("f" * 64, "over", driver="overlay")
    snapshot = Snapshot(networks=(BRIDGE, named, dashed, plain, overlay))
    assert guard.docker_bridges(snapshot) == ("br-*", "docker0", "docker_gwbridge", "shopfront")
    found = ["eth0", "br-lan", "br-shop", "br-eeeeeeeeeeee", "br-0123456789ab", "virbr0"]
    assert guard.other_bridges(snapshot, found) == ("br-lan",)


def test_a_bridge_name_that_nftables_would_read_as_a_pattern_is_refused() -> None:
    hostile = Network("c" * 64, "all", options={"com.docker.network.bridge.name": "*"})
    with pytest.raises(CoreError, match="Network 'all' has the bridge"):
        guard.docker_bridges(Snapshot(networks=(hostile,)))


# ---- the plan ----------------------------------------------------------------------------------------------------

ACTIVE = {
    ufw.CONF: "ENABLED=yes\n",
    ufw.DEFAULTS: "IPV6=yes\n",
    ufw.RULES: "### tuple ### allow tcp 8080 0.0.0.0/0 any 0.0.0.0/0 in\n",
    ufw.RULES6: "",
}


def world(table: Table | None = None, **files: str | None) -> World:
    known = {**ACTIVE, **{getattr(ufw, name): text for name, text in files.items()}}
    nft = listing(table) if table is not None else {"nftables": []}
    return World(Firewall(files=known, nft=nft), Snapshot(networks=(BRIDGE,)))


def intent(**changes: t.Any) -> Intent:
    return guard_intent.read_intent(options(**changes))


def test_the_table_is_created_then_left_alone_then_updated_then_removed() -> None:
    first = guard.plan(intent(), world())
    assert [(step["action"], step["kind"], step["name"]) for step in first.actions] == [
        ("create", "firewall", "table inet bulkhead_guard")
    ]
    assert (first.before, first.after.splitlines()[0]) == ("", "table inet bulkhead_guard {")
    there = guard.wanted_of(intent(), world())
    assert not guard.plan(intent(), world(there)).changed
    second = guard.plan(intent(), world(there, RULES="### tuple ### allow tcp 1 0.0.0.0/0 any 0.0.0.0/0 in\n"))
    assert second.actions[0]["reason"].startswith(
        "the live table differs: 1 line to add, 1 line to remove, the first being: "
    )
    assert "ufw allow 1/tcp" in second.actions[0]["reason"]
    last = guard.plan(intent(state="absent"), world(there))
    assert (last.actions[0]["action"], last.after) == ("remove", "")
    assert last.changes[0].target["script"]["nftables"][1:] == [
        {"delete": {"table": {"family": "inet", "name": "bulkhead_guard"}}}
    ]
    assert not guard.plan(intent(state="absent"), world()).changed


def test_another_place_of_a_rule_in_ufws_file_is_no_change() -> None:
    there = guard.wanted_of(intent(), world())
    moved = f"# a new head\n\n{ACTIVE[ufw.RULES]}"
    assert not guard.plan(intent(), world(there, RULES=moved)).changed


@pytest.mark.parametrize(
    ("files", "code", "cure"),
    [
        ({"CONF": None}, "ufw_missing", "apt-get install ufw"),
        ({"CONF": "ENABLED=no\n"}, "ufw_inactive", "ufw enable"),
    ],
)
def test_ufw_that_is_not_at_work_cannot_be_followed(files: dict[str, str | None], code: str, cure: str) -> None:
    with pytest.raises(CoreError) as caught:
        guard.plan(intent(), world(**files))
    assert caught.value.reason_code == code
    assert cure in caught.value.hint and "follow_ufw: false" in caught.value.hint
    assert guard.plan(intent(follow_ufw=False), world(**files)).changed
    assert not guard.plan(intent(state="absent"), world(**files)).changed


def test_without_nft_the_guard_cannot_be_but_its_absence_can() -> None:
    bare = World(Firewall(files=ACTIVE, nft=None), Snapshot())
    with pytest.raises(CoreError) as caught:
        guard.plan(intent(), bare)
    assert (caught.value.reason_code, "apt-get install nftables" in caught.value.hint) == ("nft_missing", True)
    assert not guard.plan(intent(state="absent"), bare).changed


def test_a_match_reads_as_nft_writes_it() -> None:
    assert Match("iifname", "eth*").text == 'iifname "eth*"'
    assert Match("iifname", "@docker_bridges", negated=True).text == "iifname != @docker_bridges"
