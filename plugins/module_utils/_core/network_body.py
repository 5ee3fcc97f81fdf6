# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""What Docker is asked for to make a declared network, to make an existing one again, or to recreate it as declared."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from .model import MANAGED_LABEL, Network, Pool
from .network_isolation import isolating, open_options
from .networks import MTU, PLAIN_FIELDS, WantedNetwork, plain, version

#: Driver options that engines write into their answers themselves. Sent back they would be a wish: for the VXLAN ID of
#: an overlay network a wish that Swarm leaves pending for ever where the old network still holds it.
ANSWERED_OPTIONS = frozenset(
    {
        "com.docker.network.enable_ipv4",
        "com.docker.network.enable_ipv6",
        "com.docker.network.driver.overlay.vxlanid_list",
    }
)

#: Drivers that have another scope than ``local`` of themselves.
SCOPE_OF_DRIVER = {"overlay": "swarm"}


def create_body(wanted: WantedNetwork) -> dict[str, t.Any]:
    """Make the body of Docker's create request for a network that is not there.

    It carries the label of networks that are ours. A network that takes its settings from a config-only one can't have
    labels of its own, and takes over the label of that one.
    """
    default = WantedNetwork(
        wanted.place,
        wanted.name,
        driver="bridge",
        internal=False,
        # Swarm's routing mesh takes no containers.
        attachable=not wanted.ingress,
        enable_ipv6=False,
    )
    full = _on_top(default, wanted)
    return _body(replace(full, labels={**full.labels, MANAGED_LABEL: "true"}))


def as_it_was(live: Network) -> dict[str, t.Any]:
    """Make the body of Docker's create request that makes an existing network again, to give it back as it was.

    What engines add to their answers is left out. A subnet that Docker had chosen is asked for by name.
    """
    return _body(_as_wanted(live))


def carried_over(wanted: WantedNetwork, live: Network) -> dict[str, t.Any]:
    """Make the body of Docker's create request for a recreate: what the live network has, with what is given on top.

    Given dictionaries are merged into the live ones; with ``strict`` they replace them. Given pools replace the live
    ones of their family; one that keeps its subnet also keeps what was not given of it.
    """
    full = _on_top(_as_wanted(live), wanted)
    labels = {key: value for key, value in full.labels.items() if key != MANAGED_LABEL}
    kept = {MANAGED_LABEL: live.labels[MANAGED_LABEL]} if MANAGED_LABEL in live.labels else {}
    return _body(replace(full, labels={**labels, **kept}))


def _as_wanted(live: Network) -> WantedNetwork:
    """Read an existing network as if all that it has were declared."""
    return WantedNetwork(
        place="",
        name=live.name,
        driver=None if live.config_only else live.driver,
        internal=live.internal,
        attachable=live.attachable,
        ingress=live.ingress,
        enable_ipv4=live.enable_ipv4,
        enable_ipv6=live.enable_ipv6,
        scope=None if live.scope in ("local", SCOPE_OF_DRIVER.get(live.driver)) else live.scope,
        config_only=live.config_only,
        config_from=live.config_from or None,
        ipam_driver=live.ipam_driver,
        ipam_options=live.ipam_options,
        pools=tuple(_plain_pool(pool) for pool in live.pools),
        options={key: value for key, value in live.options.items() if key not in ANSWERED_OPTIONS},
        labels=live.labels,
    )


def _on_top(base: WantedNetwork, wanted: WantedNetwork) -> WantedNetwork:
    """Put what is given on top of what there is; the result says everything."""
    given = {key: value for key in PLAIN_FIELDS for value in [getattr(wanted, key)] if value is not None}
    full = replace(base, **given)
    if full.driver != base.driver:
        # The other driver would not know the options of this one, nor have its scope.
        base = replace(base, options={key: value for key, value in base.options.items() if key == MTU})
        full = replace(full, scope=wanted.scope)
    options = dict(wanted.options) if wanted.whole("driver_options") else {**base.options, **wanted.options}
    ipv4, ipv6 = full.enable_ipv4 is not False, bool(full.enable_ipv6)
    if wanted.isolated:
        options = isolating(options, ipv4, ipv6, wanted.gateway_modes)
    elif wanted.isolated is False:
        options = open_options(options)
    whole = wanted.whole("ipam_driver_options")
    return replace(
        full,
        internal=True if wanted.isolated else full.internal,
        ipam_options=dict(wanted.ipam_options) if whole else {**base.ipam_options, **wanted.ipam_options},
        pools=_pools_on_top(base, wanted, ipv4=ipv4, ipv6=wanted.enable_ipv6 is not False),
        options=options,
        labels=dict(wanted.labels) if wanted.whole("labels") else {**base.labels, **wanted.labels},
    )


def _pools_on_top(base: WantedNetwork, wanted: WantedNetwork, *, ipv4: bool, ipv6: bool) -> tuple[Pool, ...]:
    """The given pools, and those of the families that are on and of which none was given."""
    there = {pool.subnet: pool for pool in base.pools}
    families = {version(pool.subnet) for pool in wanted.pools}
    families |= {family for family, on in ((4, ipv4), (6, ipv6)) if not on}
    kept = [pool for pool in base.pools if version(pool.subnet) not in families]
    given = []
    for pool in wanted.pools:
        old = there.get(pool.subnet, Pool())
        given.append(
            Pool(pool.subnet, pool.gateway or old.gateway, pool.ip_range, pool.aux_addresses)
            if wanted.whole("ipam_config")
            else Pool(
                pool.subnet,
                pool.gateway or old.gateway,
                pool.ip_range or old.ip_range,
                {**old.aux_addresses, **pool.aux_addresses},
            )
        )
    return (*kept, *given)


def _body(full: WantedNetwork) -> dict[str, t.Any]:
    """Docker's create request for a network of which everything is said."""
    # Engines below 25 would create a twin without CheckDuplicate.
    body: dict[str, t.Any] = {"Name": full.name, "CheckDuplicate": True}
    if full.config_only:
        # Docker refuses what such a network can't have, even as false, and calls its driver "null".
        body["ConfigOnly"] = True
    else:
        body.update(Driver=full.driver, Attachable=full.attachable, Internal=full.internal)
        body.update({key: value for key, value in (("Ingress", full.ingress), ("Scope", full.scope)) if value})
    if full.config_from:
        # All else comes from the config-only network, and Docker takes it from nowhere else.
        return {**body, "ConfigFrom": {"Network": full.config_from}}
    if full.enable_ipv4 is False:
        body["EnableIPv4"] = False
    body.update(EnableIPv6=bool(full.enable_ipv6), Options=dict(full.options), Labels=dict(full.labels))
    driver = full.ipam_driver or "default"
    if driver != "default" or full.ipam_options or full.pools:
        body["IPAM"] = {"Driver": driver, "Config": [_pool_body(pool) for pool in full.pools]}
        if full.ipam_options:
            body["IPAM"]["Options"] = dict(full.ipam_options)
    return body


def _plain_pool(pool: Pool) -> Pool:
    return Pool(
        plain(pool.subnet),
        plain(pool.gateway.partition("/")[0]),
        plain(pool.ip_range),
        {name: plain(ip.partition("/")[0]) for name, ip in pool.aux_addresses.items()},
    )


def _pool_body(pool: Pool) -> dict[str, t.Any]:
    body: dict[str, t.Any] = {"Subnet": pool.subnet}
    if pool.gateway:
        body["Gateway"] = pool.gateway
    if pool.ip_range:
        body["IPRange"] = pool.ip_range
    if pool.aux_addresses:
        body["AuxiliaryAddresses"] = dict(pool.aux_addresses)
    return body


def as_data(network: Network) -> dict[str, t.Any]:
    """The settings of an existing network, as a diff shows them."""
    return {
        "driver": network.driver,
        "internal": network.internal,
        "attachable": network.attachable,
        "enable_ipv6": network.enable_ipv6,
        "subnets": sorted(pool.subnet for pool in network.pools),
        "options": dict(network.options),
        "labels": dict(network.labels),
    }


def as_declared(body: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The settings of a network that is to be created by this request, in the same form.

    Docker chooses a subnet if none is given.
    """
    return {
        "driver": body.get("Driver", "null"),
        "internal": body.get("Internal", False),
        "attachable": body.get("Attachable", False),
        "enable_ipv6": body.get("EnableIPv6", False),
        "subnets": sorted(pool["Subnet"] for pool in body.get("IPAM", {}).get("Config", [])),
        "options": body.get("Options", {}),
        "labels": body.get("Labels", {}),
    }
