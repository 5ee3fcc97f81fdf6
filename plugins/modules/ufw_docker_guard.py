#!/usr/bin/python
# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ufw_docker_guard
short_description: Make published container ports obey UFW
version_added: 0.1.0
description:
  - Docker forwards published ports past UFW, so C(docker run -p 5432:5432) opens the port to everybody, whatever
    C(ufw status) says. With this module a published port obeys UFW's rules for that port B(of the host).
    C(ufw allow 8080) opens what is published on 8080, and what UFW does not allow is closed.
  - The guard is one nftables table of its own, C(inet bulkhead_guard), that sees forwarded packets before Docker's and
    UFW's rules. It only drops, or lets Docker's own checks go on. No rule has a container's address in it, so restarted,
    recreated and new containers need no further run.
  - New connections from outside to a published port are judged by the address and port that the sender used. Those that go
    straight to a container's own address are dropped. Traffic that comes from containers, replies, and everything that does
    not go to a bridge of Docker's pass untouched.
options:
  state:
    description:
      - V(present) keeps the guard as wanted, V(absent) removes its table and touches nothing else.
    type: str
    choices: [present, absent]
    default: present
  follow_ufw:
    description:
      - Judge published ports by UFW's own rules for incoming traffic, read from C(/etc/ufw/user.rules) and
        C(/etc/ufw/user6.rules), in UFW's order, with C(allow), C(deny), C(reject), C(limit), sources, destinations and
        interfaces.
      - Rules of UFW for outgoing traffic and C(route) rules do not open published ports, and hand-written lines in
        C(before.rules) and C(after.rules) are not read.
      - With V(true), UFW must be installed and enabled; the module refuses otherwise.
    type: bool
    default: true
  policy:
    description:
      - What becomes of published ports that no rule names. This is the guard's own word; UFW's C(ufw default) speaks of the
        host's own ports only, and RV(preflight) tells when the two differ.
    type: str
    choices: [deny, allow]
    default: deny
  trusted:
    description:
      - Sources that may connect to every published port. Both the address and the interface must match, so that nobody
        gets in by a forged private address on the public side. Nothing is trusted by default.
      - Judged after O(rules) and before UFW's rules.
    type: list
    elements: dict
    default: []
    suboptions:
      from:
        description: An address or a network, for example V(192.168.50.0/24) or V(2001:db8::/32).
        type: str
        required: true
      interface:
        description: The name of the interface by which the traffic comes in.
        type: str
        required: true
  rules:
    description: Rules of your own for published ports. The first that fits decides, before O(trusted) and UFW's rules.
    type: list
    elements: dict
    default: []
    suboptions:
      action:
        description: V(limit) refuses a source's sixth attempt within 30 seconds, as C(ufw limit) does.
        type: str
        choices: [allow, deny, reject, limit]
        required: true
      port:
        description: Port as published on the host, a range such as V("8000:8100"), or a list of such. All, if not given.
        type: raw
      proto:
        description: The protocol.
        type: str
        choices: [tcp, udp, any]
        default: any
      from:
        description: Addresses and networks of the sender. Any, if not given.
        type: list
        elements: str
        default: []
      to:
        description: Addresses of the host that the sender used. Any, if not given.
        type: list
        elements: str
        default: []
      interface:
        description: The name of the interface by which the traffic comes in.
        type: str
      comment:
        description: A remark that is kept with the rule.
        type: str
  backend:
    description: Where the rules live. V(auto) means V(nftables).
    type: str
    choices: [auto, nftables]
    default: auto
  ipv6:
    description: V(auto) judges IPv6 as IPv4, by the same table and by UFW's rules for IPv6.
    type: str
    choices: [auto]
    default: auto
requirements:
  - nftables 1.0.6 or later on the managed host
notes:
  - Needs root on the managed host.
  - The table lives in the kernel. It survives C(ufw reload), C(ufw disable) and a restart of Docker, but B(not a reboot), and it
    does not follow later changes of UFW's rules by itself; run the module again then.
  - Ports that C(docker-proxy) answers itself, such as IPv6 callers of a network without IPv6, are a process of the host and
    obey UFW's own INPUT rules, O(rules) and O(trusted) do not reach them. RV(exposures) lists them with C(path=proxy).
  - A port published on one address of the host can be asked for by another interface, as any service of the host can.
  - When rules change, the counts of C(limit) start anew.
extends_documentation_fragment:
  - bulkhead.docker._docker
  - bulkhead.docker._attributes
  - bulkhead.docker._attributes.full
author: the bulkhead.docker authors (@bulkhead)
"""

EXAMPLES = r"""
- name: Published ports obey UFW
  bulkhead.docker.ufw_docker_guard:

- name: The office may use every published port, and one host none
  bulkhead.docker.ufw_docker_guard:
    trusted:
      - from: 192.168.50.0/24
        interface: eth1
    rules:
      - action: deny
        from: [192.168.50.66]
        comment: the visitors' terminal

- name: Without UFW, only these ports
  bulkhead.docker.ufw_docker_guard:
    follow_ufw: false
    rules:
      - action: allow
        port: [80, 443]
        proto: tcp
      - action: limit
        port: "8000:8010"
        proto: tcp

- name: What is open, changing nothing
  bulkhead.docker.ufw_docker_guard:
  check_mode: true
  register: guard

- name: Remove the guard
  bulkhead.docker.ufw_docker_guard:
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, in this order; the same in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - action: create
      kind: firewall
      name: table inet bulkhead_guard
      reason: the guard is not there; 7 rules for published ports
backend:
  description: Where the rules live.
  returned: success
  type: str
  sample: nftables
rules:
  description: All rules of the guard as C(nft) writes them, in their order; empty with O(state=absent).
  returned: success
  type: list
  elements: str
  sample:
    - ct status dnat ct direction original counter goto published comment "to a published port: judged by the port on the host"
    - meta nfproto ipv4 meta l4proto tcp ct original proto-dst 8080 counter accept comment "ufw allow 8080/tcp"
    - 'counter drop comment "policy deny: nothing above names this port"'
exposures:
  description:
    - Each published port of each running container, as it is after the run, or would be.
    - Computed by the path of packets through the whole host, as M(bulkhead.docker.docker_reachability_info) does it, for
      callers outside. Where a rule decides that nobody can foretell, the verdict is V(unknown) and the rule is named; it is
      never rounded to V(closed).
  returned: success
  type: list
  elements: dict
  contains:
    host_ip:
      description: The address of the host that the port is published on.
      type: str
    host_port:
      description: The port on the host.
      type: int
    container_port:
      description: The port in the container.
      type: int
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
      description: The network that Docker forwards the port to.
      type: str
    reachable_from:
      description:
        - The interfaces with callers that get through, or may, as in
          RV(bulkhead.docker.docker_reachability_info#module:exposures[].reachable_from).
      type: list
      elements: dict
    limited:
      description: Whether a rate limit keeps callers out at times.
      type: bool
    verdict:
      description:
        - Whether callers outside get a connection.
        - One of V(open), V(closed), V(partial) (it depends on the sender, the interface or the address used) and V(unknown).
      type: str
    ufw_says:
      description: What UFW's rules say about this port of the host, V(allow), V(deny), V(partial), V(inactive) or V(unknown).
      type: str
    bypasses_ufw:
      description: Whether more get in than UFW says.
      type: bool
    path:
      description: V(dnat) when Docker forwards the port, V(proxy) when C(docker-proxy), a process of the host, answers.
      type: str
    decided_by:
      description: The rules that decide, in their order.
      type: list
      elements: dict
      contains:
        table:
          description: Family and name of the table; empty when the reason is no rule.
          type: str
        chain:
          description: The chain.
          type: str
        rule_number:
          description: The rule's number in the chain, from 1; 0 for a policy or a reason.
          type: int
        rule:
          description: The rule, or the reason.
          type: str
        effect:
          description: What it does.
          type: str
  sample:
    - host_ip: 0.0.0.0
      host_port: 5432
      container_port: 5432
      container_ip: ""
      proto: tcp
      family: ipv4
      container: db
      network: bridge
      reachable_from: []
      verdict: closed
      limited: false
      ufw_says: deny
      bypasses_ufw: false
      path: dnat
      decided_by:
        - table: inet bulkhead_guard
          chain: published
          rule_number: 7
          rule: 'counter drop comment "policy deny: nothing above names this port"'
          effect: drop
exposures_before:
  description: The same before the run.
  returned: success
  type: list
  elements: dict
preflight:
  description: What on this host weakens its firewall, the gravest first.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: A stable word.
      type: str
    severity:
      description: V(critical), V(high), V(medium), V(low) or V(info).
      type: str
    found:
      description: What was found and why it matters.
      type: str
    cure:
      description: What to do.
      type: str
  sample:
    - id: docker_user_missing
      severity: low
      found: Docker's chains are in ip6tables, but DOCKER-USER is not (engine 20.10 makes none for IPv6).
      cure: Nothing to do for the guard, which does not use it; other tools that do are without effect.
reason_code:
  description:
    - A stable word for the kind of refusal.
    - C(ufw_missing), C(ufw_inactive), C(ufw_unreadable), C(ufw_not_understood), C(nft_missing), C(nft_unreadable),
      C(nft_without_json), C(nft_refused), C(bridge_name), C(invalid_option), C(no_daemon) or C(not_converged).
  returned: failure
  type: str
  sample: ufw_inactive
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core import guard
from ..module_utils._core.errors import CoreError
from ..module_utils._core.guard_intent import read_intent
from ..module_utils._core.guard_report import answer
from ..module_utils._core.model import Snapshot
from ..module_utils._docker import CONNECTION_OPTIONS, Docker
from ..module_utils._host import Host
from ..module_utils._runner import attempt, run

RULE_OPTIONS = {
    "action": {"type": "str", "choices": ["allow", "deny", "reject", "limit"], "required": True},
    "port": {"type": "raw"},
    "proto": {"type": "str", "choices": ["tcp", "udp", "any"], "default": "any"},
    "from": {"type": "list", "elements": "str", "default": []},
    "to": {"type": "list", "elements": "str", "default": []},
    "interface": {"type": "str"},
    "comment": {"type": "str"},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **CONNECTION_OPTIONS,
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "follow_ufw": {"type": "bool", "default": True},
            "policy": {"type": "str", "choices": ["deny", "allow"], "default": "deny"},
            "trusted": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"from": {"type": "str", "required": True}, "interface": {"type": "str", "required": True}},
            },
            "rules": {"type": "list", "elements": "dict", "default": [], "options": RULE_OPTIONS},
            "backend": {"type": "str", "choices": ["auto", "nftables"], "default": "auto"},
            "ipv6": {"type": "str", "choices": ["auto"], "default": "auto"},
        },
        supports_check_mode=True,
    )
    intent = attempt(module, lambda: read_intent(module.params))
    host = Host(module)
    seen: list[guard.World] = []

    def observe() -> guard.World:
        try:
            snapshot = Docker(module).snapshot()
        except CoreError:
            # The guard must be removable from a host whose Docker is stopped or gone.
            if intent.present:
                raise
            snapshot = None
        firewall, scene = host.look(snapshot or Snapshot())
        seen.append(guard.World(firewall, snapshot, scene))
        return seen[-1]

    run(
        module,
        observe=observe,
        plan=lambda world: guard.plan(intent, world),
        apply=host.apply,
        report=lambda world, plan, applied: answer(intent, seen[0], world, docker_host=module.params["docker_host"]),
    )


if __name__ == "__main__":
    main()
