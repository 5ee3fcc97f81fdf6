# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""What an engine does not know: an option that it would take and silently ignore is refused, with the version needed."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from .errors import CoreError
from .membership import Attachment
from .model import Engine
from .network_isolation import GATEWAY_MODE
from .networks import WantedNetwork
from .plan import Change

#: Gateway modes as driver options, and the engine that knows each first.
_MODES = {"nat": (27,), "routed": (27,), "nat-unprotected": (28,), "isolated": (28,)}
_TRUSTED = "com.docker.network.bridge.trusted_host_interfaces"

#: The first API that knows networks without IPv4; an engine that knows them ignores the wish of an older one.
_IPV4_API = (1, 48)


def fit(wanted: WantedNetwork, engine: Engine) -> WantedNetwork:
    """Fit a declared network to the engine: note how it isolates, refuse what it would ignore."""
    fitted = replace(wanted, gateway_modes=engine.release >= (28,))
    if not wanted.present:
        return fitted
    if wanted.enable_ipv4 is False:
        place, does = wanted.at("enable_ipv4"), "would give the network IPv4 all the same"
        _need(engine, (28,), place, "is false", does)
        if engine.api_release < _IPV4_API:
            raise CoreError(
                f"{place} is false, which takes API 1.48: asked by API {engine.api}, Docker {does}. Nothing was changed.",
                hint="Leave api_version out.",
                reason_code="engine",
                details={"needs": "API 1.48", "engine": engine.version},
            )
    if wanted.isolated and wanted.enable_ipv6:
        cure = "Leave out enable_ipv6: an isolated network without it is made on this engine too"
        _need(engine, (28,), wanted.at("isolated"), "is on with IPv6", "would leave the host's IPv6 address open", cure)
    for option, value in sorted(wanted.options.items()):
        place = wanted.at("driver_options") + f".{option}"
        if option in GATEWAY_MODE.values():
            cure = "Use isolated: true, which is made in another way there" if value == "isolated" else ""
            _need(engine, _MODES.get(value, (27,)), place, f"is {value!r}", "keeps the option and does nothing", cure)
        elif option == _TRUSTED:
            _need(engine, (28, 2), place, f"is {value!r}", "keeps the option and does nothing")
    return fitted


def refuse_ignored(attachment: Attachment, changes: t.Sequence[Change], engine: Engine) -> None:
    """Refuse what the engine would ignore of an attachment; ``changes`` are the steps that make it.

    A MAC address that the container has already, so that nothing is to be done, is no wish.
    """
    place = f"{attachment.why[0]} wants {attachment.container.name!r} on {attachment.network!r}, and there"
    if attachment.gw_priority:
        _need(engine, (28,), f"{place} gw_priority", f"is {attachment.gw_priority}", "takes no notice of it")
    if attachment.mac and changes and not engine.gives_mac_on_join:
        raise CoreError(
            f"{place} mac_address is {attachment.mac!r}, but below API 1.54 Docker gives another one to a container "
            f"that joins; this engine ({engine.version}) has API {engine.api}. Nothing was changed.",
            hint="Create the container on this network with that address, or leave mac_address out.",
            reason_code="engine",
            details={"needs": "API 1.54", "engine": engine.version},
        )


def _need(engine: Engine, release: tuple[int, ...], place: str, found: str, does: str, cure: str = "") -> None:
    if engine.release >= release:
        return
    needs = ".".join(str(part) for part in release)
    upgrade = f"upgrade the engine to {needs}"
    raise CoreError(
        f"{place} {found}, which takes engine {needs}: this one ({engine.version}) {does}. Nothing was changed.",
        hint=f"{cure}, or {upgrade}." if cure else f"Leave it out, or {upgrade}.",
        reason_code="engine",
        details={"needs": needs, "engine": engine.version},
    )
