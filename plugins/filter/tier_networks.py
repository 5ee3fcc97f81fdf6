# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter that turns declared tiers and flows into networks and attachments."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ..module_utils._core.errors import CoreError
from ..module_utils._core.tiers import tier_networks

DOCUMENTATION = r"""
name: tier_networks
short_description: Derive the fewest networks that join exactly the declared tiers
version_added: 1.0.0
author: the bulkhead.docker authors (@bulkhead)
description:
  - Turns a declaration of tiers and of the flows between them into the options
    O(bulkhead.docker.docker_app_network#module:networks) and O(bulkhead.docker.docker_app_network#module:apps).
  - No two tiers share a network unless a flow between them is declared. A network is internal unless every tier on it
    is public or has egress. A tier that is public or has egress gets an C(-edge) network of its own where it needs one.
  - The ports of a flow and the targets of an egress say what is meant; they are not enforced. A network joins hosts, not
    ports.
options:
  _input:
    description:
      - The declaration, a dictionary with C(tiers), C(flows), C(egress) and C(public).
      - Each tier has C(match), as the apps of M(bulkhead.docker.docker_app_network) have it.
      - A tier may have C(data), true for a tier that must never be public, and C(aliases), the names under which its
        peers find it, by default the name of the tier.
    type: dict
    required: true
  prefix:
    description: The beginning of the name of each network.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Show the networks that a declaration needs
  ansible.builtin.debug:
    msg: "{{ flows | bulkhead.docker.tier_networks(prefix='shop') }}"
  vars:
    flows:
      tiers:
        web: {match: {names: [shop-web]}}
        api: {match: {names: [shop-api]}}
        db: {match: {names: [shop-db]}, data: true}
      flows:
        - {from: web, to: api, ports: [8080/tcp]}
        - {from: api, to: db, ports: [5432/tcp]}
      public:
        - {tier: web, ports: [8080/tcp]}
"""

RETURN = r"""
_value:
  description: The options C(networks) and C(apps) of M(bulkhead.docker.docker_app_network).
  type: dict
  sample:
    networks:
      - {name: shop-api-db, internal: true}
      - {name: shop-api-web, internal: true}
      - {name: shop-web-edge, internal: false}
    apps:
      - name: api
        match: {names: [shop-api]}
        aliases: [api]
        attach_post_deploy: [shop-api-db, shop-api-web]
"""


def _tier_networks(flows: t.Any, prefix: str = "") -> dict[str, t.Any]:
    try:
        return tier_networks(flows, prefix=prefix)
    except CoreError as error:
        raise AnsibleFilterError(error.sentence) from error


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"tier_networks": _tier_networks}
