#!/usr/bin/python
# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_app_network_info
short_description: Tell which Docker networks there are, what holds them, and how apps are set up
version_added: 1.0.0
description:
  - Tells of networks whether they exist, what they are like, who holds them and whether they can be removed.
  - Tells of apps what each of their properties is set to, by themselves and by default, and where they listen.
extends_documentation_fragment:
  - bulkhead.docker._docker
  - bulkhead.docker._attributes
  - bulkhead.docker._attributes.info
author:
  - the bulkhead.docker authors (@bulkhead)
options:
  names:
    description:
      - Names of networks, matched exactly. RV(exists) tells of each whether there is such a network.
      - Without O(names) and O(patterns), all networks are told.
    type: list
    elements: str
    default: []
  patterns:
    description: Patterns of names with V(*) and V(?).
    type: list
    elements: str
    default: []
  managed_only:
    description: Tell only networks that carry the label C(io.bulkhead.managed=true).
    type: bool
    default: false
  apps:
    description: Apps to report on, as in O(bulkhead.docker.docker_app_network#module:apps).
    type: list
    elements: raw
    default: []
  app_defaults:
    description: What apps have where they do not set it, as in O(bulkhead.docker.docker_app_network#module:app_defaults).
    type: dict
    default: {}
seealso:
  - module: bulkhead.docker.docker_app_network
  - module: bulkhead.docker.docker_network_purge
"""
EXAMPLES = r"""
- name: See who keeps a network from being removed
  bulkhead.docker.docker_app_network_info:
    names: [old-shop]
  register: found

- name: Show the holders
  ansible.builtin.debug:
    msg: "{{ found.networks | map(attribute='holders') | flatten | map(attribute='cure') }}"

- name: Report on an app with the defaults of all apps
  bulkhead.docker.docker_app_network_info:
    managed_only: true
    apps: [{name: blog, attach_post_create: [backend]}]
    app_defaults:
      tld: internal
"""
RETURN = r"""
networks:
  description:
    - The networks that were asked for, by name and then ID.
    - Engines below 25 allow several networks of one name. Each of them is told, and they differ by their C(id).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The network's name.
      type: str
    id:
      description: The network's full ID.
      type: str
    driver:
      description: The network's driver.
      type: str
    scope:
      description: V(local), V(global) or V(swarm).
      type: str
    internal:
      description: Whether the network has no way out.
      type: bool
    attachable:
      description: Whether containers outside a Swarm service may join.
      type: bool
    ipv4:
      description: Whether containers get IPv4 addresses.
      type: bool
    ipv6:
      description: Whether containers get IPv6 addresses.
      type: bool
    subnets:
      description: The network's subnets.
      type: list
      elements: str
    labels:
      description: The network's labels.
      type: dict
    created:
      description: When the network was created, as Docker tells it.
      type: str
      sample: "2026-03-01T09:30:11.123456789Z"
    managed:
      description: Whether this collection created the network.
      type: bool
    compose_project:
      description: The Compose project that the network belongs to; empty if none.
      type: str
    removable:
      description: Whether nothing would break if the network were removed.
      type: bool
    why_not:
      description: Each reason why it is not removable, as a sentence; empty if it is.
      type: list
      elements: str
      sample: ["running blog.web.1: it is running on this network"]
    holders:
      description:
        - Everything that keeps Docker from removing the network or breaks once it is gone, as
          M(bulkhead.docker.docker_network_purge) tells it, with the command that a person would type.
      type: list
      elements: dict
exists:
  description: Whether each of O(names) is the name of a network, or of several.
  returned: success
  type: dict
  sample:
    old-shop: true
report:
  description:
    - Each app of O(apps) with each of its properties, as C(raw) (what the app sets), C(global) (what O(app_defaults)
      sets) and C(computed) (what holds). What is not set is empty, and null for those that are on or off.
    - Further, C(listeners) by process type, which are the addresses that its containers have now, each with each of
      the TCP ports that they expose, and C(running), which is true if one of its containers runs.
    - C(containers) has each container of the app with C(name), C(id), C(state), C(health) (empty without a health check),
      C(restarts), C(exit_code), C(process_type), and C(index) and C(generation) as the role
      R(bulkhead.docker.app_network,ansible_collections.bulkhead.docker.app_network_role) labels them.
    - C(carries_addresses) names the variables in the environment of the app's containers that hold the IP address of
      another container, which changes; each with C(container), C(variable) and C(of). The value is never told.
  returned: success
  type: dict
  sample:
    blog:
      aliases: {computed: [], global: [], raw: []}
      attach_post_create: {computed: [backend], global: [], raw: [backend]}
      attach_post_deploy: {computed: [], global: [], raw: []}
      bind_all_interfaces: {computed: false, global: null, raw: null}
      exclusive: {computed: false, global: null, raw: null}
      initial_network: {computed: "", global: "", raw: ""}
      listeners:
        web: ["172.18.0.2:5000"]
      running: true
      tld: {computed: internal, global: internal, raw: ""}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bulkhead.docker.plugins.module_utils._core.app_network_info import answer, read_question
from ansible_collections.bulkhead.docker.plugins.module_utils._docker import CONNECTION_OPTIONS, Docker
from ansible_collections.bulkhead.docker.plugins.module_utils._runner import attempt, inform


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **CONNECTION_OPTIONS,
            "names": {"type": "list", "elements": "str", "default": []},
            "patterns": {"type": "list", "elements": "str", "default": []},
            "managed_only": {"type": "bool", "default": False},
            "apps": {"type": "list", "elements": "raw", "default": []},
            "app_defaults": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    question = attempt(module, lambda: read_question(module.params))
    docker = attempt(module, lambda: Docker(module))
    inform(
        module,
        lambda: answer(
            question,
            docker.snapshot(detail_networks=question.means, detail_containers=question.asks_container),
        ),
    )


if __name__ == "__main__":
    main()
