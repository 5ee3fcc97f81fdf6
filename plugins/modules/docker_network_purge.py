#!/usr/bin/python

# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_network_purge
short_description: Remove Docker networks together with everything that holds them
version_added: 1.0.0
author: the bulkhead.docker authors (@bulkhead)
description:
  - Removes networks, and before that takes off what holds them, as far as the options allow it. Whatever the options
    do not allow is refused before anything is changed, for all networks together, with the list of who holds which
    network and the command that would free it. Check mode gives the same list.
  - Finds holders on both sides. A network lists its live endpoints only. Containers that are stopped or were never
    started do not block Docker, but would never start again without the network; they are found and healed.
  - Endpoints that have no container (phantoms) are removed, as long as no container answers to their name.
  - Docker's predefined networks, C(ingress) and C(docker_gwbridge) are never removed, and nothing that belongs to a
    Swarm service is ever cut. A network of a Swarm is removed only when it has no members on this host.
options:
  names:
    description:
      - The networks to remove, by exact name or full ID; the head of an ID is never taken for one.
      - A name that no network has is no error. A name that several networks have is refused.
      - An empty list chooses nothing, and then O(filters) chooses nothing either.
    type: list
    elements: str
  patterns:
    description:
      - Shell patterns such as V(ci-*) for names of networks to remove, besides those in O(names).
      - They pass by Docker's own and protected networks, where O(names) would be refused.
    type: list
    elements: str
  filters:
    description:
      - What all networks to remove have in common. Given alone, it chooses among all networks of the host, otherwise
        among those that O(names) and O(patterns) choose.
    type: dict
    suboptions:
      labels:
        description:
          - Labels as a dictionary, where V(null) stands for any value, or as a list of V(key) and V(key=value).
        type: raw
      compose_project:
        description: The Compose project that the network belongs to.
        type: str
      driver:
        description: The network's driver.
        type: str
      scope:
        description: How far the network reaches.
        type: str
        choices: [local, swarm, global]
      unused:
        description:
          - Only networks that nobody uses. Stopped containers count as users, as do containers which need the network
            to start again.
        type: bool
        default: false
      ignore_stopped:
        description: Let O(filters.unused) not count containers that are stopped or were never started.
        type: bool
        default: false
  containers:
    description:
      - What happens to running, paused and restarting containers on the network that are not foreign to it.
    type: str
    choices: [refuse, disconnect]
    default: refuse
  stopped:
    description:
      - What happens to containers on the network that are stopped or were never started, foreign ones included.
        V(heal) removes their reference to the network, so that they still start.
    type: str
    choices: [heal, refuse]
    default: heal
  foreign:
    description:
      - What happens to live containers of another Compose project or Dokku app than the network's. A container of no
        project is foreign to a project's network, and a project's container is foreign to a network of no project.
    type: str
    choices: [refuse, disconnect]
    default: refuse
  primary:
    description:
      - What happens where a container was created on the network and has others besides. From Docker 24.0.7 on such a
        container does not start again once that network is gone.
      - V(placeholder) keeps such a network, without members, for as long as such containers exist. Its outcome is then
        V(kept).
    type: str
    choices: [refuse, placeholder]
    default: refuse
  keep_connected:
    description:
      - Never leave a live container without any network. Without O(fallback_network) such a purge is refused.
    type: bool
    default: true
  fallback_network:
    description:
      - The network that live containers join before they lose their last one, by name or full ID. They bring no
        aliases along, so that they take nobody's name there.
    type: str
  protect:
    description: What is never touched, by shell patterns for names.
    type: dict
    suboptions:
      networks:
        description: Networks that are never removed.
        type: list
        elements: str
        default: []
      containers:
        description: Containers that are never cut nor healed; a network that one of them holds is refused.
        type: list
        elements: str
        default: []
  max_networks:
    description: Refuse to remove more networks than this in one call.
    type: int
    default: 20
  on_failure:
    description:
      - What happens when Docker refuses a step half-way. V(restore) gives back to the network at hand every container
        with its aliases, links and driver options, and with its address where it had asked for one. Another address
        is the same again unless somebody has taken it meanwhile. Networks that are gone by then stay so.
    type: str
    choices: [restore, leave]
    default: restore
notes:
  - Containers are cut one after the other. Engines below 26 miscount endpoints when containers leave at the same time,
    and can then never remove the network until the daemon is restarted.
extends_documentation_fragment:
  - bulkhead.docker._docker
  - bulkhead.docker._attributes
  - bulkhead.docker._attributes.full
"""

EXAMPLES = r"""
- name: Remove two networks that nobody uses any more
  bulkhead.docker.docker_network_purge:
    names: [old-front, old-back]

- name: Cut the containers that are still on it; they go on in their other networks
  bulkhead.docker.docker_network_purge:
    names: [legacy]
    containers: disconnect

- name: Move containers that have no other network to a quarantine network
  bulkhead.docker.docker_network_purge:
    names: [legacy]
    containers: disconnect
    foreign: disconnect
    primary: placeholder
    fallback_network: quarantine

- name: Clean up after CI, but never the networks of the release branch
  bulkhead.docker.docker_network_purge:
    patterns: ["ci-*"]
    filters:
      unused: true
    protect:
      networks: ["ci-release*"]
"""

RETURN = r"""
networks:
  description:
    - Every network that was asked for, sorted by name, also where the task is refused or fails.
  returned: success, and where the purge is refused
  type: list
  elements: dict
  contains:
    name:
      description: The network's name; what was asked for where no network answers to it.
      type: str
    id:
      description: Its full ID, or empty.
      type: str
    outcome:
      description:
        - V(removed), or V(would_remove) in check mode and in a task that is refused for the sake of another network.
        - V(absent) where there is no such network.
        - V(kept) where a filter or a protection leaves it out, or where it stays as a placeholder.
        - V(refused) where nothing may be done about what holds it.
      type: str
    reason:
      description: Why.
      type: str
    reason_code:
      description: Why it was refused, as one word; the first one where there are several reasons. Else empty.
      type: str
    holders:
      description: Who held it before the task, sorted by kind and name.
      type: list
      elements: dict
      contains:
        kind:
          description:
            - One of V(running), V(paused), V(restarting), V(stopped), V(created), V(phantom), V(service), V(task),
              V(load_balancer).
          type: str
        name:
          description: The container's name, that of the Swarm service, or the endpoint's.
          type: str
        id:
          description: The container's full ID, or the key of an endpoint without container.
          type: str
        project:
          description: Its Compose project, Dokku app or Swarm service.
          type: str
        foreign:
          description: Whether that is another one than the network's.
          type: bool
        ip:
          description: Its address on the network.
          type: str
        aliases:
          description: The names that somebody gave it on the network.
          type: list
          elements: str
        only_network:
          description: Whether it has no other network that stays.
          type: bool
        primary:
          description: Whether it was created on this network.
          type: bool
        published:
          description: Its published ports. Docker moves them to another of its networks, or drops them with the last.
          type: list
          elements: str
        joined_by:
          description: Containers that share its network namespace, and so share its fate.
          type: list
          elements: str
        action:
          description:
            - What is done to it. V(disconnect), V(move) (to O(fallback_network)), V(heal), V(clear) (a phantom),
              V(refuse), or empty for nothing.
          type: str
        reason:
          description: In what way it holds the network.
          type: str
        cure:
          description: A command that frees the network of it.
          type: str
  sample:
    - holders:
        - action: disconnect
          aliases: [w]
          cure: docker network disconnect n1 web
          foreign: false
          id: 064a9595897cd3ce6025c965a7edf6c082a8b19b82984cea68b4af456e9df52d
          ip: 172.18.0.2
          joined_by: []
          kind: running
          name: web
          only_network: false
          primary: false
          project: ""
          published: []
          reason: it is running on this network
      id: 093ff46442f3aa46929b0cb6f89d65c79cf730899e23a7bcfbbceb19c19203d8
      name: n1
      outcome: removed
      reason: freed of web (running)
      reason_code: ""
actions:
  description: What was done, or in check mode would be, in that order.
  returned: success
  type: list
  elements: dict
  contains:
    action:
      description: The verb, V(connect), V(disconnect) or V(remove).
      type: str
    kind:
      description: V(endpoint) or V(network).
      type: str
    name:
      description: The network, or the container on the network.
      type: str
    reason:
      description: Why.
      type: str
  sample:
    - action: disconnect
      kind: endpoint
      name: web on n1
      reason: web is running on a network that is to be gone
    - action: remove
      kind: network
      name: n1
      reason: it is to be gone
reason_code:
  description:
    - Why the task failed, as one word. V(predefined), V(ambiguous), V(too_many), V(protected), V(service), V(in_use),
      V(foreign), V(only_network) or V(primary) where it was refused and nothing was changed; V(in_use) and
      V(count_drift) also where Docker refused to remove a network that had been emptied.
  returned: failure
  type: str
  sample: in_use
actions_done:
  description: The actions that were done before one failed.
  returned: failure half-way
  type: list
  elements: dict
failed_action:
  description: The action that failed.
  returned: failure half-way
  type: dict
restored:
  description: What was given back after that, as sentences.
  returned: failure half-way with O(on_failure=restore)
  type: list
  elements: str
  sample: ["connect endpoint web on n1: it was on it before this purge, with 172.18.0.2"]
"""


from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core.errors import CoreError
from ..module_utils._core.model import Snapshot
from ..module_utils._core.plan import Change
from ..module_utils._core.purge import PurgePlan, interest, plan, report
from ..module_utils._core.purge_request import read_request
from ..module_utils._core.purge_steps import settled, undo
from ..module_utils._docker import CONNECTION_OPTIONS, Docker
from ..module_utils._runner import attempt, restorer, run

FILTERS = {
    "labels": {"type": "raw"},
    "compose_project": {"type": "str"},
    "driver": {"type": "str"},
    "scope": {"type": "str", "choices": ["local", "swarm", "global"]},
    "unused": {"type": "bool", "default": False},
    "ignore_stopped": {"type": "bool", "default": False},
}
PROTECT = {
    "networks": {"type": "list", "elements": "str", "default": []},
    "containers": {"type": "list", "elements": "str", "default": []},
}
OPTIONS = {
    "names": {"type": "list", "elements": "str"},
    "patterns": {"type": "list", "elements": "str"},
    "filters": {"type": "dict", "options": FILTERS},
    "containers": {"type": "str", "choices": ["refuse", "disconnect"], "default": "refuse"},
    "stopped": {"type": "str", "choices": ["heal", "refuse"], "default": "heal"},
    "foreign": {"type": "str", "choices": ["refuse", "disconnect"], "default": "refuse"},
    "primary": {"type": "str", "choices": ["refuse", "placeholder"], "default": "refuse"},
    "keep_connected": {"type": "bool", "default": True},
    "fallback_network": {"type": "str"},
    "protect": {"type": "dict", "options": PROTECT},
    "max_networks": {"type": "int", "default": 20},
    "on_failure": {"type": "str", "choices": ["restore", "leave"], "default": "restore"},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={**CONNECTION_OPTIONS, **OPTIONS},
        required_one_of=[("names", "patterns", "filters")],
        supports_check_mode=True,
    )
    request = attempt(module, lambda: read_request(module.params))
    docker = attempt(module, lambda: Docker(module))

    def observe() -> Snapshot:
        asked = interest(request)
        return docker.snapshot(detail_networks=asked["detail_networks"], detail_containers=asked["detail_containers"])

    def decide(world: Snapshot) -> PurgePlan:
        return plan(request, world)

    def apply(change: Change) -> None:
        for last in (False, False, True):
            try:
                docker.apply(change)
            except CoreError as error:
                if not settled(change, error, observe, last=last):
                    continue
            return

    restore = restorer(apply, undo) if module.params["on_failure"] == "restore" else None
    run(module, observe=observe, plan=decide, apply=apply, report=report, restore=restore)


if __name__ == "__main__":
    main()
