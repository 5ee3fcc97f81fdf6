# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bulkhead.docker.plugins.module_utils._core.errors import CoreError
from ansible_collections.bulkhead.docker.plugins.module_utils._core.tiers import tier_networks

SHOP: dict[str, t.Any] = {
    "tiers": {
        "web": {"match": {"labels": {"tier": "web"}}},
        "api": {"match": {"compose_services": ["api"]}, "aliases": ["api", "backend"]},
        "db": {"match": {"names": ["db*"]}, "data": True},
    },
    "flows": [{"from": "web", "to": "api", "ports": ["8080/tcp"]}, {"from": "api", "to": "db", "ports": ["5432/tcp"]}],
    "public": [{"tier": "web", "ports": ["443/tcp"]}],
}


def test_a_shop_gets_two_internal_networks_and_an_edge_for_its_public_tier() -> None:
    assert tier_networks(SHOP, prefix="shop")["networks"] == [
        {"name": "shop-api-db", "internal": True},
        {"name": "shop-api-web", "internal": True},
        {"name": "shop-web-edge", "internal": False},
    ]


def test_each_tier_becomes_an_app_with_its_networks_and_its_name_as_alias() -> None:
    apps = {app["name"]: app for app in tier_networks(SHOP, prefix="shop")["apps"]}
    assert apps["db"]["attach_post_deploy"] == ["shop-api-db"]
    assert apps["api"]["attach_post_deploy"] == ["shop-api-db", "shop-api-web"]
    assert apps["web"]["attach_post_deploy"] == ["shop-api-web", "shop-web-edge"]
    assert apps["web"]["aliases"] == ["web"]
    assert apps["api"]["aliases"] == ["api", "backend"]
    assert apps["db"]["match"] == {"names": ["db*"]}


def test_three_tiers_that_all_talk_share_one_network() -> None:
    flows = _declaration("abc", [("a", "b"), ("b", "c"), ("a", "c")])
    assert [item["name"] for item in tier_networks(flows)["networks"]] == ["a-b-c"]


def test_a_network_whose_tiers_may_all_go_out_is_not_internal_and_needs_no_edge() -> None:
    flows = {
        **_declaration("ab", [("a", "b")]),
        "egress": [{"from": "a", "to": ["example.com:443"]}, {"from": "b", "to": []}],
    }
    assert tier_networks(flows)["networks"] == [{"name": "a-b", "internal": False}]


def test_a_tier_without_flows_sits_on_an_internal_network_of_its_own() -> None:
    assert tier_networks(_declaration("a", []))["networks"] == [{"name": "a", "internal": True}]


def test_a_very_long_name_stays_a_dns_label_and_distinct() -> None:
    tiers = ["t" * 40 + end for end in "xyz"]
    names = [item["name"] for item in tier_networks(_declaration(tiers, [tiers[:2], tiers[1:]]))["networks"]]
    assert len(set(names)) == 2
    assert all(len(name) <= 63 for name in names)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"flows": [{"from": "web", "to": "cache"}]}, "flows[0].to names the tier 'cache', which is not declared"),
        ({"public": [{"tier": "db"}]}, "public[0] gives a public port to the tier 'db', which holds data"),
        ({"egress": [{"from": "db", "to": []}]}, "egress[0] gives a way out to the tier 'db'"),
        ({"tiers": {}}, "tiers is missing or empty"),
        ({"tiers": {"web": {"match": {}}}, "flows": [], "public": []}, "tiers.web.match is empty"),
        ({"tiers": {"web": {"match": {"image": "x"}}}}, "tiers.web.match has the unknown key 'image'"),
        ({"tiers": {"web": "nginx"}}, "tiers.web is the text 'nginx'"),
        ({"tiers": {"web": {"match": {"names": ["w"]}, "aliases": "w"}}}, "tiers.web.aliases is the text 'w'"),
        ({"flows": "web"}, "flows is the text 'web'"),
        ({"flows": [["web", "api"]]}, "flows[0] is a list"),
        ({"policies": []}, "the flows has the unknown key 'policies'"),
    ],
)
def test_a_wrong_declaration_is_refused_with_its_place(change: dict[str, t.Any], said: str) -> None:
    with pytest.raises(CoreError) as caught:
        tier_networks({**SHOP, **change})
    assert said in caught.value.msg
    assert caught.value.hint
    assert caught.value.reason_code == "invalid_option"


@pytest.mark.parametrize("flows", [None, "web -> api", []])
def test_something_that_is_no_declaration_is_refused(flows: t.Any) -> None:
    with pytest.raises(CoreError):
        tier_networks(flows)


TIERS = "abcdefg"
PAIRS = list(itertools.combinations(TIERS, 2))


@given(st.sets(st.sampled_from(PAIRS)), st.sets(st.sampled_from(TIERS)))
def test_two_tiers_share_a_network_exactly_when_a_flow_joins_them(
    pairs: set[tuple[str, str]], public: set[str]
) -> None:
    answer = tier_networks(
        {**_declaration(TIERS, sorted(pairs)), "public": [{"tier": tier} for tier in sorted(public)]}
    )
    on = {app["name"]: set(app["attach_post_deploy"]) for app in answer["apps"]}
    assert {pair for pair in PAIRS if on[pair[0]] & on[pair[1]]} == pairs
    assert all(on.values())
    outside = {item["name"] for item in answer["networks"] if not item["internal"]}
    assert {tier for tier in TIERS if on[tier] & outside} == public


@given(st.sets(st.sampled_from(PAIRS), max_size=6))
def test_there_are_never_more_networks_than_flows_and_lonely_tiers(pairs: set[tuple[str, str]]) -> None:
    lonely = set(TIERS) - {tier for pair in pairs for tier in pair}
    assert len(tier_networks(_declaration(TIERS, sorted(pairs)))["networks"]) <= len(pairs) + len(lonely)


def test_many_cliques_are_covered_too() -> None:
    tiers = [f"t{number:02}" for number in range(40)]
    pairs = list(zip(tiers, tiers[1:]))
    assert len(tier_networks(_declaration(tiers, pairs))["networks"]) == 39


def _declaration(tiers: t.Iterable[str], pairs: t.Iterable[t.Sequence[str]]) -> dict[str, t.Any]:
    return {
        "tiers": {tier: {"match": {"names": [tier]}} for tier in tiers},
        "flows": [{"from": one, "to": two} for one, two in pairs],
    }
