# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""How a declared network differs from the one that exists."""

from __future__ import annotations

import typing as t

from .errors import CoreError
from .model import MANAGED_LABEL, Network, Pool, Snapshot
from .network_body import ANSWERED_OPTIONS
from .network_isolation import is_isolated, open_options
from .networks import DRIVER_OPTION_OF, ICC, PLAIN_FIELDS, WantedNetwork, plain, version

#: What Docker does where a driver option is not set, as far as it is the same everywhere.
DRIVER_OPTION_DEFAULTS = {ICC: "true"}


def the_network(snapshot: Snapshot, name: str, place: str) -> Network | None:
    """Find the network of exactly this name; twins, which engines below 25 allow, are refused."""
    found = [item for item in snapshot.networks if item.name == name]
    if len(found) > 1:
        ids = sorted(item.id for item in found)
        raise CoreError(
            f"{place}: there are {len(found)} networks named {name!r}, with the IDs {', '.join(ids)}, and containers "
            "that join by name get any of them.",
            hint="Remove the wrong ones by ID with bulkhead.docker.docker_network_purge.",
            reason_code="ambiguous",
            details={"network_ids": ids},
        )
    return found[0] if found else None


def drift(wanted: WantedNetwork, network: Network) -> list[dict[str, t.Any]]:
    """List what differs among the options that were given: ``option``, ``is``, ``wanted``.

    With ``strict``, what a dictionary or list that was given does not name is wanted not to be: ``wanted`` is None.
    """
    found = [
        {"option": option, "is": getattr(network, option), "wanted": getattr(wanted, option)}
        for option in PLAIN_FIELDS
        # A config-only network has no driver, whatever it was made with.
        if getattr(wanted, option) is not None and not (option == "driver" and network.config_only)
    ]
    if wanted.isolated is not None:
        is_ = is_isolated(network, gateway_modes=wanted.gateway_modes)
        found.append({"option": "isolated", "is": is_, "wanted": wanted.isolated})
    return [
        *(item for item in found if item["is"] != item["wanted"]),
        *_option_drift(wanted, network),
        *_mapping_drift("labels", wanted, wanted.labels, network.labels, besides=(MANAGED_LABEL,)),
        *_mapping_drift("ipam_driver_options", wanted, wanted.ipam_options, network.ipam_options),
        *_pool_drift(wanted, network.pools),
    ]


def _option_drift(wanted: WantedNetwork, network: Network) -> t.Iterator[dict[str, t.Any]]:
    shorter = {name: option for option, name in DRIVER_OPTION_OF.items()}
    besides = set(ANSWERED_OPTIONS) - set(wanted.options)
    if wanted.isolated is not None:
        # Told by meaning, not by the options that make it so.
        besides |= set(network.options) - set(open_options(network.options))
    live = {**{name: DRIVER_OPTION_DEFAULTS[name] for name in wanted.options if name in DRIVER_OPTION_DEFAULTS}}
    live.update(network.options)
    for item in _mapping_drift("driver_options", wanted, wanted.options, live, besides):
        name = str(item["option"]).partition(".")[2]
        yield {**item, "option": shorter.get(name, item["option"])}


def _mapping_drift(
    option: str,
    wanted: WantedNetwork,
    want: t.Mapping[str, str],
    live: t.Mapping[str, str],
    besides: t.Collection[str] = (),
) -> t.Iterator[dict[str, t.Any]]:
    for name in sorted({*want, *(live if wanted.whole(option) else ())} - set(besides)):
        if live.get(name) != want.get(name):
            yield {"option": f"{option}.{name}", "is": live.get(name), "wanted": want.get(name)}


def _pool_drift(wanted: WantedNetwork, live: t.Sequence[Pool]) -> list[dict[str, t.Any]]:
    found: list[dict[str, t.Any]] = []
    by_subnet = {plain(pool.subnet): pool for pool in live}
    families = {version(pool.subnet) for pool in wanted.pools}
    # A pool of a family that nobody spoke of is the daemon's own: every family that is on has one.
    others = sorted(
        subnet
        for subnet in by_subnet
        if version(subnet) in families and subnet not in {pool.subnet for pool in wanted.pools}
    )
    for number, pool in enumerate(wanted.pools):
        there = by_subnet.get(pool.subnet)
        if there is None:
            is_ = ", ".join(subnet for subnet in others if version(subnet) == version(pool.subnet))
            found.append({"option": f"ipam_config[{number}].subnet", "is": is_ or None, "wanted": pool.subnet})
            continue
        found += [
            {"option": f"ipam_config[{number}].{key}", "is": is_ or None, "wanted": want or None}
            for key, is_, want in _pairs(pool, there, strict=wanted.whole("ipam_config"))
            if is_ != want
        ]
    named = {item["is"] for item in found}
    found += [{"option": "ipam_config", "is": subnet, "wanted": None} for subnet in others if not named & {subnet}]
    return found


def _pairs(pool: Pool, there: Pool, *, strict: bool) -> t.Iterator[tuple[str, str, str]]:
    """What is compared of a pool: key, what is, what is wanted."""
    # A gateway that was not given is of Docker's choice, and there all the same.
    if pool.gateway:
        yield "gateway", plain(there.gateway.partition("/")[0]), pool.gateway
    if pool.ip_range or strict:
        yield "iprange", plain(there.ip_range), pool.ip_range
    for name in sorted({*pool.aux_addresses, *(there.aux_addresses if strict else ())}):
        is_ = there.aux_addresses.get(name, "").partition("/")[0]
        yield f"aux_addresses.{name}", plain(is_), pool.aux_addresses.get(name, "")
