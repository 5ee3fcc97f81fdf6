# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter import ipset_save

#: As ipset 7.24 prints it.
SAVED = """\
create office hash:ip family inet hashsize 1024 maxelem 65536 netmask 24 bucketsize 12 initval 0xd0828497
add office 10.1.2.0
create half bitmap:ip range 10.0.0.0-10.0.255.255 netmask 24
add half 10.0.5.0
create banned hash:net family inet hashsize 1024 maxelem 65536 timeout 60 comment bucketsize 12 initval 0xe17e863f
add banned 10.0.0.0/8 timeout 59 comment "hello nomatch x"
create doors hash:ip,port family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x5953480e
add doors 1.2.3.4,udp:82
add doors 1.2.3.4,tcp:80
create links hash:net,iface family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x8676e167
add links 10.0.0.0/8,eth0
create ports bitmap:port range 0-1000
add ports 5
create six hash:ip family inet6 hashsize 1024 maxelem 65536 bucketsize 12 initval 0xa93d50e1
add six fd00::1
create none hash:ip family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0xa93d50e1
create both list:set size 8
add both office
add both doors
"""


def test_each_kind_of_set_is_told_by_its_elements() -> None:
    assert ipset_save.parse(SAVED) == {
        "office": ("10.1.2.0/24",),
        "half": ("10.0.5.0/24",),
        "banned": ("10.0.0.0/8",),
        "doors": ("1.2.3.4,udp:82", "1.2.3.4,tcp:80"),
        "links": ("10.0.0.0/8,eth0",),
        "ports": ("5",),
        "six": ("fd00::1",),
        "none": (),
        "both": ("10.1.2.0/24", "1.2.3.4,udp:82", "1.2.3.4,tcp:80"),
    }


def test_an_exception_says_so() -> None:
    text = "create a hash:net family inet\nadd a 10.0.0.0/8\nadd a 10.1.0.0/16 timeout 4 nomatch\n"
    assert ipset_save.parse(text) == {"a": ("10.0.0.0/8", "10.1.0.0/16 nomatch")}


def test_a_mask_of_the_set_is_written_into_the_address_of_an_element() -> None:
    text = "create a hash:ip,port family inet netmask 16\nadd a 10.1.0.0,tcp:80\n"
    assert ipset_save.parse(text) == {"a": ("10.1.0.0/16,tcp:80",)}
    text = "create a hash:net,net family inet netmask 16\nadd a 10.1.0.0/24,10.2.0.0/24\n"
    assert ipset_save.parse(text) == {"a": ("10.1.0.0/24,10.2.0.0/24",)}


@pytest.mark.parametrize(
    "text",
    [
        "create a hash:mac hashsize 1024\nadd a 02:00:00:00:00:01\n",
        "create a bitmap:ip,mac range 10.0.0.0-10.0.0.255\nadd a 10.0.0.1,02:00:00:00:00:01\n",
        "create a hash:ip,mark family inet\nadd a 10.0.0.1,0x00000001\n",
        "create a hash:ip family inet bitmask 255.0.255.0\nadd a 10.0.1.0\n",
        "create a hash:ip family inet netmask x\nadd a 10.0.1.0\n",
        "create a list:set size 8\nadd a gone\n",
        "create b list:set size 8\ncreate a list:set size 8\nadd a b\n",
        "create b hash:net family inet\nadd b 10.1.0.0/16 nomatch\ncreate a list:set size 8\nadd a b\n",
        "create b hash:mac hashsize 1024\ncreate a list:set size 8\nadd a b\n",
    ],
)
def test_a_set_that_cannot_be_told_is_left_out(text: str) -> None:
    assert "a" not in ipset_save.parse(text)


@given(
    st.lists(
        st.sampled_from(["create a hash:ip", "create a", "add a 1.2.3.4", "add b", "add", "x", "create a list:set"])
    )
)
def test_no_text_is_too_odd(lines: list[str]) -> None:
    found = ipset_save.parse("\n".join(lines))
    assert set(found) <= {"a"}
