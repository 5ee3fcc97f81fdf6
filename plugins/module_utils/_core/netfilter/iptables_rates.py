# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Matches of iptables whose answer depends on what came before: limits, quotas, lists of senders."""

from __future__ import annotations

from .iptables_options import Clause, Conditions, Header, Stamp
from .iptables_words import number
from .ruleset import Never, Rate


def limit(clause: Clause, header: Header) -> Conditions:
    """Let the first packets pass, as the bucket is full."""
    return (Rate(clause.text, calm=True),)


def hashlimit(clause: Clause, header: Header) -> Conditions:
    """Let the first packets of each sender (or what else the mode says) pass."""
    given = clause.options
    above = "hashlimit-above" in given
    if above == ("hashlimit-upto" in given):
        raise ValueError("one of both is needed")
    return (Rate(clause.text, calm=above is given["hashlimit-above" if above else "hashlimit-upto"].negated),)


def recent(clause: Clause, header: Header) -> Conditions:
    """Ask for a sender in a list, or write it down."""
    given = clause.options
    asked = [word for word in ("set", "rcheck", "update", "remove") if word in given]
    if len(asked) != 1:
        raise ValueError("exactly one of them is needed")
    negated = given[asked[0]].negated
    if asked[0] == "set":
        return (Never(clause.text),) if negated else ()
    hits = number(given["hitcount"].value) if "hitcount" in given else 0
    # A rule before this one may have written down the very packet.
    stamps = [stamp for stamp in header.lists.get(list_name(clause), ()) if _may_come_before(stamp, header)]
    own = len(stamps) if any(stamp.entry for stamp in stamps) else 0
    return (Rate(clause.text, calm=None if own >= max(hits, 1) else negated),)


def list_name(clause: Clause) -> str:
    """Name the list that a ``-m recent`` is about."""
    return clause.options["name"].value if "name" in clause.options else "DEFAULT"


def _may_come_before(stamp: Stamp, header: Header) -> bool:
    """Tell whether a packet may have passed the rule of a stamp before it reaches this one."""
    if stamp.ends == "all" or (stamp.ends == "table" and stamp.table == header.table):
        return False
    return stamp.line < header.line or (stamp.table, stamp.chain) != (header.table, header.chain)


def connlimit(clause: Clause, header: Header) -> Conditions:
    """Count a sender's connections."""
    given = clause.options
    above = "connlimit-above" in given
    if above == ("connlimit-upto" in given):
        raise ValueError("one of both is needed")
    option = given["connlimit-above" if above else "connlimit-upto"]
    # The packet's own connection is counted.
    exceeded = number(option.value) < 1
    return (Rate(clause.text, calm=(exceeded is above) is not option.negated),)


def quota(clause: Clause, header: Header) -> Conditions:
    """Let a number of bytes pass, then nothing any more."""
    option = clause.options["quota"]
    spent = number(option.value, (1 << 64) - 1) == 0
    return (Rate(clause.text, calm=spent is option.negated),)


def statistic(clause: Clause, header: Header) -> Conditions:
    """Pick packets by chance or by turns."""
    return (Rate(clause.text),)
