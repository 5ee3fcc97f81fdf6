#!/usr/bin/python
# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_reachability_info
short_description: Tell who reaches which port of a Docker host, and which rule decides
version_added: 1.0.0
description:
  - Computes the path of packets through the host's real packet filter, iptables (both backends) and nftables in both
    families, with routing, address translation, bridges, listening sockets and the way back of the answer.
  - Tells of each published port, and of each port that a container listens on without publishing it, all senders that get
    to it, exactly and without sending a packet, what UFW says about it, and whether UFW is bypassed.
  - Answers single questions hop by hop with O(explain), the deciding rule marked.
  - What cannot be known is V(unknown), with the rule that makes it so; it is never taken for closed.
  - Changes nothing on the host. It reads the packet filter in the network namespace that the task runs in, so run it on the
    Docker host itself, as root.
extends_documentation_fragment:
  - bulkhead.docker._docker
  - bulkhead.docker._attributes
  - bulkhead.docker._attributes.info
author:
  - the bulkhead.docker authors (@bulkhead)
options:
  zones:
    description:
      - Where callers sit. Each entry is the name of an interface or of a bridge network, V(internet) (the interface of the
        default route), V(host) (the host's own processes), or a dictionary with C(interface), and optionally a C(name) and
        C(from), the addresses of these callers.
      - Callers behind an interface are all addresses that are routed to it, if C(from) does not name some.
      - Without O(zones), each interface that is not Docker's, the host itself, and each bridge network.
    type: list
    elements: raw
    default: []
  explain:
    description: Questions to answer hop by hop.
    type: list
    elements: dict
    default: []
    suboptions:
      from:
        description:
          - Who asks. A zone as in O(zones), a container's name, or an address or prefix (which comes in by the interface
            it is routed to).
        type: raw
        required: true
      to:
        description: What is asked for. A container's name, an address, or V(host).
        type: str
        required: true
      port:
        description: The port, as the container listens on it or as it is published. Not for protocols without ports.
        type: int
      proto:
        description: The protocol.
        type: str
        default: tcp
      family:
        description: Ask by one family of addresses only.
        type: str
        choices: [any, ipv4, ipv6]
        default: any
  exposures:
    description: Whether to tell of all ports. Switch it off for a quick answer to O(explain) alone.
    type: bool
    default: true
notes:
  - Needs root on the managed host, and C(ip) of iproute2 there.
seealso:
  - module: bulkhead.docker.ufw_docker_guard
"""
EXAMPLES = r"""
- name: See what is open, and who says so
  bulkhead.docker.docker_reachability_info:
  register: found

- name: Stop when UFW is bypassed
  ansible.builtin.assert:
    that: found.exposures | selectattr('bypasses_ufw') | length == 0

- name: Ask why the database is open
  bulkhead.docker.docker_reachability_info:
    exposures: false
    explain:
      - {from: internet, to: db, port: 5432}
      - {from: web, to: db, port: 5432}
  register: why

- name: Show it
  ansible.builtin.debug:
    msg: "{{ why.explained | map(attribute='text') | map('split', '\n') }}"

- name: What the office can reach
  bulkhead.docker.docker_reachability_info:
    zones:
      - {name: office, interface: eth1, from: [192.168.50.0/24]}
"""
RETURN = r"""
exposures:
  description:
    - Each published port of each running container, each port that a container with the host's network listens on, and
      each port that a container listens on by its own address (RV(exposures[].path=direct)).
    - Published ports first, by port.
  returned: success
  type: list
  elements: dict
  contains:
    host_ip:
      description: The address of the host that the port is published on; empty for V(direct).
      type: str
    host_port:
      description: The port on the host; null for V(direct).
      type: int
    container_port:
      description: The port in the container.
      type: int
    container_ip:
      description: The container's own address, for V(direct); else empty.
      type: str
    proto:
      description: The protocol.
      type: str
    family:
      description: V(ipv4) or V(ipv6).
      type: str
    container:
      description: The container's name.
      type: str
    network:
      description: The network that the port is reached by.
      type: str
    reachable_from:
      description: The zones with callers that get through, or may.
      type: list
      elements: dict
      contains:
        zone:
          description: The zone's name.
          type: str
        interface:
          description: The interface that its callers come in by; empty for the host itself.
          type: str
        sources:
          description:
            - All callers that get through, as the fewest prefixes that hold each of them and nobody who does not get through.
              Addresses that are not routed to this interface are nobody's here, and do not count.
          type: list
          elements: str
        unknown:
          description: All callers of whom it is not known.
          type: list
          elements: str
        verdict:
          description: V(open) or V(unknown).
          type: str
    verdict:
      description:
        - For all callers outside the host and its networks, V(open), V(closed), V(partial) (it depends on the sender, the
          interface or the address asked) or V(unknown).
      type: str
    limited:
      description: Whether a rate limit, or a list that rules fill, keeps callers out at times.
      type: bool
    ufw_says:
      description: What UFW's rules say about these callers, V(allow), V(deny), V(partial), V(inactive) or V(unknown).
      type: str
    bypasses_ufw:
      description: Whether a caller outside gets in that UFW's rules do not let in.
      type: bool
    path:
      description:
        - V(dnat) when Docker forwards the port, V(proxy) when C(docker-proxy), a process of the host, answers, V(direct)
          when the container's own address is asked, V(hostnet) when the container uses the host's network.
      type: str
    decided_by:
      description: The rules that decide. An entry with an empty table is no rule, but a reason.
      type: list
      elements: dict
      contains:
        table:
          description: Family and name of the table.
          type: str
        chain:
          description: The chain.
          type: str
        rule_number:
          description: The rule's number in the chain, from 1; 0 for a policy.
          type: int
        rule:
          description: The rule as its own tool writes it.
          type: str
        effect:
          description: What it does.
          type: str
  sample:
    - bypasses_ufw: true
      container: db
      container_ip: ""
      container_port: 5432
      decided_by:
        - chain: DOCKER
          effect: accept
          rule: -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 5432 -j ACCEPT
          rule_number: 1
          table: ip filter
      family: ipv4
      host_ip: 0.0.0.0
      host_port: 5432
      limited: false
      network: bridge
      path: dnat
      proto: tcp
      reachable_from:
        - {interface: eth1, sources: [192.168.50.0/24], unknown: [], verdict: open, zone: eth1}
      ufw_says: deny
      verdict: open
explained:
  description: The answers to O(explain), in its order.
  returned: success
  type: list
  elements: dict
  contains:
    from:
      description: Who asks.
      type: raw
    to:
      description: What is asked for.
      type: str
    port:
      description: The port.
      type: int
    proto:
      description: The protocol.
      type: str
    verdict:
      description: V(open), V(closed), V(partial) or V(unknown), by the best of all ways.
      type: str
    text:
      description: The whole answer as a person reads it.
      type: str
    ways:
      description:
        - Each address by which the question can be asked, with C(src) (one of the callers), C(dst), C(port), C(interface),
          C(family), C(verdict), C(limited), C(sources), C(unknown), C(delivered_to) and C(decided_by) as in RV(exposures).
        - C(hops) is the way of that one packet, C(back) that of the answer. Each hop has C(hook), C(table), C(chain),
          C(rule_number), C(rule), C(effect) and C(decides).
      type: list
      elements: dict
zones:
  description: The zones that RV(exposures) were computed for, each with C(name), C(interface) and C(kind).
  returned: success
  type: list
  elements: dict
  sample:
    - {interface: eth0, kind: outside, name: eth0}
    - {interface: "", kind: host, name: host}
troubles:
  description: What could not be read, and what to do about it; answers that need it are V(unknown).
  returned: success
  type: list
  elements: str
  sample: []
reason_code:
  description:
    - A stable word for the kind of refusal.
    - C(invalid_option), C(no_daemon), C(ip_missing), C(ip_unreadable), C(nft_unreadable) or C(nft_without_json).
  returned: failure
  type: str
  sample: invalid_option
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core.reachability import answer, read_request
from ..module_utils._docker import CONNECTION_OPTIONS, Docker
from ..module_utils._host import Host
from ..module_utils._runner import attempt, inform

QUESTION_OPTIONS = {
    "from": {"type": "raw", "required": True},
    "to": {"type": "str", "required": True},
    "port": {"type": "int"},
    "proto": {"type": "str", "default": "tcp"},
    "family": {"type": "str", "choices": ["any", "ipv4", "ipv6"], "default": "any"},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **CONNECTION_OPTIONS,
            "zones": {"type": "list", "elements": "raw", "default": []},
            "explain": {"type": "list", "elements": "dict", "default": [], "options": QUESTION_OPTIONS},
            "exposures": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    request = attempt(module, lambda: read_request(module.params))
    docker = attempt(module, lambda: Docker(module))
    host = Host(module)
    inform(module, lambda: answer(request, host.scene(docker.snapshot(detail_containers=request.looks_into))))


if __name__ == "__main__":
    main()
