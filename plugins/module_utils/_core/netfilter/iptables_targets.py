# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""What the targets of iptables (``-j ...``) do to a packet."""

from __future__ import annotations

import typing as t
from functools import lru_cache

from . import sets
from .iptables_options import Clause, Options, options
from .iptables_words import MARKS, between, masked, number
from .ruleset import CopyMark, Effect, Nat, Note, Opaque, SetMark, Untrack, Verdict

Effects = t.Sequence[Effect]


class Target(t.NamedTuple):
    """A target: its options, and how it is read."""

    options: Options
    read: t.Callable[[Clause, int], Effects]


def effects(clause: Clause, family: int) -> Effects:
    """Read a target that is no chain; what it does not do in a way we know becomes an :class:`Opaque`."""
    target = TARGETS.get(clause.name)
    if target is None or clause.strange:
        # Nobody knows what it can do; these two are known not to turn the packet into another one.
        return (Opaque(clause.text, rewrites=clause.name not in ("TTL", "HL")),)
    try:
        return target.read(clause, family)
    except (ValueError, KeyError):
        return (Opaque(clause.text),)


def _verdict(word: t.Literal["accept", "drop", "reject", "return"]) -> t.Callable[[Clause, int], Effects]:
    made = (Verdict(word),)
    return lambda clause, family: made


def _note(clause: Clause, family: int) -> Effects:
    return (Note(clause.text),)


# ---- addresses ----------------------------------------------------------------------------------------------------


def _nat(kind: t.Literal["snat", "dnat"], option: str) -> t.Callable[[Clause, int], Effects]:
    def read(clause: Clause, family: int) -> Effects:
        return (_translation(kind, clause.options[option].value, family, _exact(clause)),)

    return read


def _exact(clause: Clause) -> bool:
    return not {"random", "random-fully"} & clause.options.keys()


@lru_cache(maxsize=4096)
def _translation(kind: t.Literal["snat", "dnat"], text: str, family: int, exact: bool) -> Nat:
    places, numbers = _parted(text, family)
    found = _places(places, family) if places else None
    return Nat(kind, found, _port_range(numbers) if numbers else None, exact=exact)


def _parted(text: str, family: int) -> tuple[str, str]:
    """Part ``ADDRESSES:PORTS``, either of which may be missing; IPv6 addresses with ports stand in brackets."""
    if family == 4:
        places, colon, numbers = text.partition(":")
    elif text[:1] == ":" and text.count(":") == 1:
        places, colon, numbers = "", ":", text[1:]
    elif text[:1] == "[":
        places, bracket, rest = text.rpartition("]")
        if not bracket or rest[:1] not in ("", ":"):
            raise ValueError(f"{text!r} is no destination")
        places, colon, numbers = places.replace("[", "").replace("]", ""), rest[:1], rest[1:]
    else:
        places, colon, numbers = text, "", ""
    if bool(colon) is not bool(numbers) or not (places or numbers):
        raise ValueError(f"{text!r} is no destination")
    return places, numbers


def _places(text: str, family: int) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    low = sets.address(first)
    high = sets.address(last) if dash else low
    if low[0] != family or high[0] != family or low[1] > high[1]:
        raise ValueError(f"{text!r} is no range of addresses")
    return low[1], high[1]


def _port_range(text: str) -> tuple[int, int]:
    # PORT-PORT/BASE shifts ports, which no range says: its slash is no part of a number.
    first, dash, last = text.partition("-")
    if dash and not (first and last):
        raise ValueError(f"{text!r} is no range of ports")
    return between(text, "-", 65535)


def _interface_address(kind: t.Literal["snat", "dnat"]) -> t.Callable[[Clause, int], Effects]:
    def read(clause: Clause, family: int) -> Effects:
        option = clause.options.get("to-ports")
        found = None if option is None else _port_range(option.value)
        return (Nat(kind, ports=found, to_interface=True, exact=_exact(clause)),)

    return read


# ---- marks and the connection -------------------------------------------------------------------------------------


def _mark(clause: Clause, family: int) -> Effects:
    (name,) = clause.options
    return (_set_mark("mark", name, clause.options[name].value),)


def _set_mark(field: t.Literal["mark", "ctmark"], name: str, text: str) -> SetMark:
    if name in ("set-xmark", "set-mark"):
        value, mask = masked(text)
        # set-mark sets the bits of its value too where the mask leaves them out.
        return SetMark(field, mask | value if name == "set-mark" else mask, value)
    bits = number(text)
    return {
        "or-mark": SetMark(field, bits, bits),
        "and-mark": SetMark(field, ~bits & MARKS, 0),
        "xor-mark": SetMark(field, 0, bits),
    }[name]


def _connmark(clause: Clause, family: int) -> Effects:
    given = clause.options
    copies = [name for name in ("save-mark", "restore-mark") if name in given]
    if not copies:
        (name,) = given
        return (_set_mark("ctmark", name, given[name].value),)
    (copy,) = copies
    both = number(given["mask"].value) if "mask" in given else MARKS
    nfmask = number(given["nfmask"].value) if "nfmask" in given else both
    ctmask = number(given["ctmask"].value) if "ctmask" in given else both
    if copy == "save-mark":
        return (CopyMark("mark", "ctmark", from_mask=nfmask, to_mask=ctmask),)
    return (CopyMark("ctmark", "mark", from_mask=ctmask, to_mask=nfmask),)


def _ct(clause: Clause, family: int) -> Effects:
    return (Untrack(),) if "notrack" in clause.options else _note(clause, family)


def _set(clause: Clause, family: int) -> Effects:
    # map-set takes the mark from an ipset; the others only change one.
    return (Opaque(clause.text),) if "map-set" in clause.options else _note(clause, family)


# ---- all of them --------------------------------------------------------------------------------------------------

_NAT = "random random-fully persistent"
_MARKS = "set-xmark:1 set-mark:1 and-mark:1 or-mark:1 xor-mark:1"

TARGETS: dict[str, Target] = {
    "ACCEPT": Target({}, _verdict("accept")),
    "DROP": Target({}, _verdict("drop")),
    "RETURN": Target({}, _verdict("return")),
    "REJECT": Target(options("reject-with:1"), _verdict("reject")),
    "DNAT": Target(options(f"to-destination:1 {_NAT}"), _nat("dnat", "to-destination")),
    "SNAT": Target(options(f"to-source:1 {_NAT}"), _nat("snat", "to-source")),
    "MASQUERADE": Target(options(f"to-ports:1 {_NAT}"), _interface_address("snat")),
    "REDIRECT": Target(options(f"to-ports:1 {_NAT}"), _interface_address("dnat")),
    "MARK": Target(options(_MARKS), _mark),
    "CONNMARK": Target(
        options(f"{_MARKS} save-mark restore-mark nfmask:1 ctmask:1 mask:1 left-shift-mark:1 right-shift-mark:1"),
        _connmark,
    ),
    "CT": Target(options("notrack helper:1 timeout:1 ctevents:1 expevents:1 zone:1 zone-orig:1 zone-reply:1"), _ct),
    "NOTRACK": Target({}, lambda clause, family: (Untrack(),)),
    "SET": Target(options("add-set:2 del-set:2 map-set:2 exist timeout:1 map-mark map-prio map-queue"), _set),
}

# These write something down, or change what no rule of this model looks at.
_NOTES = {
    "LOG": "log-level:1 log-prefix:1 log-tcp-sequence log-tcp-options log-ip-options log-uid log-macdecode",
    "NFLOG": "nflog-group:1 nflog-range:1 nflog-size:1 nflog-threshold:1 nflog-prefix:1",
    "ULOG": "ulog-nlgroup:1 ulog-cprange:1 ulog-qthreshold:1 ulog-prefix:1",
    "TRACE": "",
    "AUDIT": "type:1",
    "TCPMSS": "set-mss:1 clamp-mss-to-pmtu",
    "CHECKSUM": "checksum-fill",
    "CLASSIFY": "set-class:1",
    "DSCP": "set-dscp:1 set-dscp-class:1",
    "TOS": "set-tos:1 and-tos:1 or-tos:1 xor-tos:1",
    "ECN": "ecn-tcp-remove ecn-tcp-cwr:1 ecn-tcp-ece:1 ecn-ip-ect:1",
    "TEE": "gateway:1 oif:1",
    "LED": "led-trigger-id:1 led-delay:1 led-always-blink",
    "IDLETIMER": "timeout:1 label:1 alarm",
    "RATEEST": "rateest-name:1 rateest-interval:1 rateest-ewmalog:1",
    "SECMARK": "selctx:1",
    "CONNSECMARK": "save restore",
    "TCPOPTSTRIP": "strip-options:1",
}
TARGETS.update({name: Target(options(text), _note) for name, text in _NOTES.items()})
