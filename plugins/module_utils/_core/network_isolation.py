# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Isolation of bridge networks: what it means, and the driver options that make it."""

from __future__ import annotations

import typing as t

from .model import Network

INHIBIT_IPV4 = "com.docker.network.bridge.inhibit_ipv4"
GATEWAY_MODE = {4: "com.docker.network.bridge.gateway_mode_ipv4", 6: "com.docker.network.bridge.gateway_mode_ipv6"}


def is_isolated(network: Network, *, gateway_modes: bool = True) -> bool:
    """Whether the members of a network reach neither the host nor the world, whichever options make it so.

    ``internal`` alone leaves the host's own address on the bridge open. ``gateway_modes`` tells whether the engine
    knows gateway modes: one that does not keeps such an option and does nothing.
    """
    return (
        network.driver == "bridge"
        and network.internal
        and _closed(network.options, network.enable_ipv4, network.enable_ipv6, gateway_modes)
    )


def _closed(options: t.Mapping[str, str], ipv4: bool, ipv6: bool, gateway_modes: bool) -> bool:
    closed = {family for family in GATEWAY_MODE if gateway_modes and options.get(GATEWAY_MODE[family]) == "isolated"}
    if options.get(INHIBIT_IPV4) == "true":
        closed.add(4)
    return (4 in closed or not ipv4) and (6 in closed or not ipv6)


def isolating(options: t.Mapping[str, str], ipv4: bool, ipv6: bool, gateway_modes: bool) -> dict[str, str]:
    """Driver options that isolate an internal bridge network: those that are there if they do, or others."""
    if _closed(options, ipv4, ipv6, gateway_modes):
        return dict(options)
    if not gateway_modes:
        return {**open_options(options), INHIBIT_IPV4: "true"}
    on = [family for family, is_on in ((4, ipv4), (6, ipv6)) if is_on]
    return {**open_options(options), **{GATEWAY_MODE[family]: "isolated" for family in on}}


def open_options(options: t.Mapping[str, str]) -> dict[str, str]:
    """Driver options without those that isolate."""
    return {
        key: value
        for key, value in options.items()
        if key != INHIBIT_IPV4 and not (key in GATEWAY_MODE.values() and value == "isolated")
    }
