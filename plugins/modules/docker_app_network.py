#!/usr/bin/python
# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_app_network
short_description: Keep a host's Docker networks and who is on them
version_added: 1.0.0
description:
  - Declares the networks of a whole host, their members and the apps on them, and makes it so in one call.
  - Everything is checked before the first change. Networks are created first, then containers join, and only then
    leave, so that no running container is without a network on the way.
  - Networks and containers are found by their exact names; what is done to them is done by their full IDs.
  - Networks that this module creates carry the label C(io.bulkhead.managed=true).
  - When a change fails, what the run did before is taken back; C(restored) of the failed result lists it.
extends_documentation_fragment:
  - bulkhead.docker._docker
  - bulkhead.docker._attributes
  - bulkhead.docker._attributes.full
author:
  - the bulkhead.docker authors (@bulkhead)
options:
  networks:
    description:
      - The networks of the host, each a name or a dictionary. Networks that are not listed are left alone.
      - The keys of a dictionary are those documented here as options of one network, V(name) to V(appends).
      - Exclusive with O(name).
    type: list
    elements: raw
  name:
    description:
      - The name of one network, matched exactly and never as the beginning of an ID.
      - Docker's own networks (V(bridge), V(host), V(none), V(ingress), V(docker_gwbridge)) are refused.
    type: str
    aliases: [network_name]
  state:
    description:
      - V(present), which is meant when nothing is given, or V(absent).
      - A network is removed only if nothing holds it, be it running, stopped or never started; of the other options
        only O(force) is looked at then. M(bulkhead.docker.docker_network_purge) removes networks that are held.
    type: str
    choices: [present, absent]
  driver:
    description: The network's driver; V(bridge) for a network that is created without.
    type: str
  attachable:
    description:
      - Whether containers outside a Swarm service may join; true for a network that is created without, unless it is
        the O(ingress) one.
    type: bool
  internal:
    description:
      - Whether the network has no way out. The host's own address on it stays open to its members, and with it all
        that listens on the host; O(isolated) closes that too.
    type: bool
  isolated:
    description:
      - Whether the members of a bridge network reach each other and nobody else, the host included.
      - From engine 28 on this is made by the gateway mode V(isolated), before by an internal network whose bridge has
        no address; there it is refused with O(enable_ipv6), because the host would keep an IPv6 address on it.
      - It implies O(internal). What exists is judged by what it means, whichever options make it so.
    type: bool
  ingress:
    description: Whether this is the network of Swarm's routing mesh, of which there is one.
    type: bool
  scope:
    description: Where the network is known; if not given, that is a matter of the driver.
    type: str
    choices: [local, global, swarm]
  config_only:
    description:
      - Whether this is no network but a set of settings, which others take over by O(config_from).
      - It has no members, and O(attachable), O(internal), O(isolated), O(ingress) and O(scope) are refused for it. Its
        driver is that of the networks that use it, so that O(driver) counts for nothing.
      - It is created before the networks of the same call that name it, and is removed only after all that use it.
    type: bool
  config_from:
    description:
      - The config-only network from which this one takes addresses, driver options and labels; it exists or is
        declared in the same call. Settings of that kind are refused beside it.
      - Labels come from there too, so that the network counts as created by this module if the config-only one was.
    type: str
  enable_ipv4:
    description:
      - Whether containers get IPv4 addresses. V(false) takes engine 28, and is refused on those before, which would
        ignore it.
    type: bool
  enable_ipv6:
    description:
      - Whether containers get IPv6 addresses. Before engine 27 this takes a subnet in O(ipam_config).
    type: bool
  ipam_driver:
    description: The driver that manages the addresses.
    type: str
  ipam_driver_options:
    description: Options of O(ipam_driver). Further ones of the network are left alone, unless O(strict) is set.
    type: dict
  ipam_config:
    description:
      - The network's pools of addresses. A pool of a family that is not listed here is left alone.
      - For a network that is to be made, a subnet that another Docker network has, or that the host has a route to, is
        refused. The host's routes and interfaces are read for that, with C(ip), where the daemon is on the same host;
        a host that cannot tell is a warning.
      - Where no IPv4 subnet is given and the daemon's address pools have none left, that is refused beforehand too.
    type: list
    elements: dict
    suboptions:
      subnet:
        description: The subnet in CIDR form.
        type: str
        required: true
      gateway:
        description: The host's address in it.
        type: str
      iprange:
        description: The part of O(ipam_config[].subnet) that Docker gives to containers.
        type: str
      aux_addresses:
        description: Addresses that Docker must not give away, each with a name.
        type: dict
  driver_options:
    description:
      - Options of the driver, as Docker names them. Further options of the network are left alone, unless O(strict) is
        set.
      - Gateway modes take engine 27, V(isolated) and V(nat-unprotected) engine 28. They are refused on engines that
        would keep them and do nothing.
    type: dict
  labels:
    description: Labels of the network. Further labels of the network are left alone, unless O(strict) is set.
    type: dict
  strict:
    description:
      - Whether the dictionaries and lists that are given (O(labels), O(driver_options), O(ipam_config),
        O(ipam_driver_options)) are the whole truth, so that what the network has beyond them is a difference; an empty
        one says that there is to be nothing.
      - Not counted are the label C(io.bulkhead.managed), what engines write into their answers themselves, the gateway
        that Docker has chosen, and pools of a family that O(ipam_config) does not list.
    type: bool
  allow_route_overlap:
    description:
      - Whether a new network may take a subnet that the host has a route to. Another Docker network's is refused all
        the same.
    type: bool
  force:
    description:
      - With O(state=present), the network is recreated even if it is as declared, whatever O(recreate) says; so that
        each run changes something. Its members are put back as O(recreate=when_needed) does.
      - With O(state=absent), running members leave the network before it is removed, even if it is their last, and
        those that do not run lose their reference to it, so that they still start.
      - Refused all the same are Swarm's services and tasks, endpoints without container and, from engine 24.0.7 on,
        containers that were created on the network, because they would never start again.
        M(bulkhead.docker.docker_network_purge) has answers to those.
    type: bool
  mtu:
    description: The largest packet, in bytes; short for the driver option C(com.docker.network.driver.mtu).
    type: int
  bridge_name:
    description: The name of the host's interface; short for C(com.docker.network.bridge.name).
    type: str
  icc:
    description:
      - Whether containers on the network may talk to each other; short for C(com.docker.network.bridge.enable_icc).
    type: bool
  connected:
    description:
      - Containers that must be on the network, running or not, each by its name, its full ID or the first 12 digits of
        the ID. A container that does not exist is an error, before anything is changed.
      - An entry may be a dictionary with C(name), and C(aliases), C(ipv4_address), C(ipv6_address), C(links),
        C(mac_address), C(gw_priority) and C(driver_opts) that the attachment must have. What it has beyond these stays.
      - An address must be one that the network can give, and is refused when it is outside its subnets, reserved, or
        listed twice.
      - C(gw_priority) takes engine 28. C(mac_address) takes API 1.54, unless the container has the address already;
        that of a container that does not run can't be compared.
      - Docker changes these by a new attachment only, so that a container that lacks one is off the network for a moment.
    type: list
    elements: raw
    aliases: [containers]
  exclusive:
    description:
      - With O(name), containers that are neither in O(connected) nor brought by O(apps) leave the network.
      - With O(app), its containers leave all networks that the app does not list, including the default bridge.
      - A running container that would be left without any network is refused and named.
    type: bool
  appends:
    description:
      - Turns O(exclusive) off again where a default sets it, for tasks that came from
        M(community.docker.docker_network).
    type: bool
    aliases: [incremental]
  debug:
    description: Accepted and without effect, because RV(actions) is always returned.
    type: bool
  apps:
    description:
      - Apps and the networks that their containers join, each a name or a dictionary.
      - The keys of a dictionary are C(name) and those documented here as options of one app, V(match) to
        V(bind_all_interfaces) and V(exclusive).
      - Exclusive with O(app).
    type: list
    elements: raw
  app:
    description:
      - The name of one app, for a call that is about this app alone.
      - An app without containers is no error; it is reported without any.
    type: str
  match:
    description:
      - What makes a container one of the app's; all that is given must hold.
      - The keys are C(labels), a dictionary; C(names), a list of patterns with V(*) and V(?); C(compose_project), a
        name; and C(compose_services), a list of names.
      - If not given, a container belongs to the app V(APP) if one of its labels C(io.bulkhead.app),
        C(com.dokku.app-name) and C(com.docker.compose.project) is V(APP), or if its name is V(APP) or V(APP.PROC.N).
      - The process type is the label C(io.bulkhead.process), C(com.dokku.process-type) or
        C(com.docker.compose.service), else the V(PROC) of its name.
    type: dict
  initial_network:
    description:
      - The network that the app's containers are created on, which can't be changed on a container that is there.
      - A container that was created on another one is listed in RV(needs_deploy). One that is on this network gets its
        aliases there too.
      - Docker's own networks are refused here as everywhere, and so is a network that does not exist.
    type: str
  attach_post_create:
    description:
      - Networks that all of the app's containers join, also those that were never started.
      - A list that is given, be it empty, is the whole truth. What an earlier run has attached because of this list,
        and none of the app's lists names any more, is detached; what anybody else has attached never is. To have this
        forgotten, leave the list out, then nothing is detached.
      - To tell one from the other, an attachment that this module makes for an app bears the driver options
        C(io.bulkhead.attached-by) and C(io.bulkhead.aliases).
    type: list
    elements: str
  attach_post_deploy:
    description:
      - Networks that the app's containers join once they have been started. Containers that do one task beside the
        app (C(docker compose run), C(dokku run)) never join them.
      - A network that is in O(attach_post_create) too, or is the O(initial_network), is refused.
      - A list that is given is the whole truth in the same way as O(attach_post_create) is.
    type: list
    elements: str
  tld:
    description:
      - What the alias of the app's containers ends in. On each of the app's networks they are found as
        V(APP.PROC) or, with this, V(APP.PROC.TLD); without a process type as V(APP) or V(APP.TLD).
      - When it changes, the alias is replaced by a new attachment that keeps the address wherever Docker allows it.
      - On the default bridge there are no aliases.
      - A process type that is no name for the DNS, such as a label with a space, counts as none.
    type: str
  aliases:
    description:
      - Further aliases of the app's containers on all of its networks.
      - An alias that is dropped here goes from every attachment that this module has made for the app. On attachments
        that others have made, such as that to the O(initial_network), it stays until the container is created anew;
        only V(APP.PROC) with another ending than O(tld) is replaced there.
    type: list
    elements: str
  bind_all_interfaces:
    description:
      - Whether the app's containers publish their ports on all of the host's interfaces. This can't be changed on a
        container that is there, and what creates containers has to honour it, as the role C(app_network) does.
      - When given, a running container is listed in RV(needs_deploy) if this is true and none of its ports is
        published on all interfaces, or if it is false and one is.
    type: bool
  app_defaults:
    description:
      - What apps have where they do not set it themselves; the keys are O(initial_network), O(attach_post_create),
        O(attach_post_deploy), O(tld), O(aliases), O(bind_all_interfaces) and O(exclusive).
      - An empty value that an app sets itself counts as set.
    type: dict
  phase:
    description:
      - The part of a deploy that the call belongs to. It says what is done for the containers of apps; networks,
        O(connected) and O(joiners) are the same in each.
      - In every phase, O(attach_post_create) is for running and stopped containers and for those that were never
        started, and O(attach_post_deploy) is for running and stopped ones only.
      - V(all) does everything for all containers of an app.
      - V(deploy) does the same, but leaves alone those that do one task beside the app.
      - V(create), before new containers start, looks at O(attach_post_create) only, and leaves alone those that do one
        task beside the app.
      - V(build) and V(run), for containers that build the app or do a task, look at O(attach_post_create) only, and
        what joins gets no aliases, so that nobody takes it for the app.
      - In V(create), V(build) and V(run) what O(attach_post_deploy) has attached stays, and containers that have been
        started only join. They leave nothing, and none of their attachments is made anew; so that a deploy that ends
        there leaves the containers that serve as they were.
    type: str
    choices: [all, build, run, create, deploy]
    default: all
  joiners:
    description:
      - Containers that join each network of this call that is to be present, and leave each that is to be absent
        before it is removed; a reverse proxy, for example. Entries are like those of O(connected), without addresses.
      - On an O(exclusive) network they count as members.
    type: list
    elements: raw
  recreate:
    description:
      - What to do when an existing network differs from what is declared in a way that Docker can't change in place.
      - V(never) fails before anything is changed and names each difference.
      - V(when_needed) takes the network apart and puts it together again, with what was not given carried over. Every
        member, running or not, comes back with its aliases, fixed addresses, links, driver options and gateway priority;
        those with fixed addresses first, so that nobody else gets them. Connections over the network break.
      - A fixed address that the new subnet has no place for, a Swarm service or a phantom endpoint on the network, and a
        container that was created on it by its ID are refused before anything is changed.
      - When a step fails, the old network and all its members are put back. What that takes is kept in O(state_dir)
        until the end, so that after a crash the next run finishes it, or puts the network back if that is declared then.
      - A chosen MAC address can't be given again by engines whose API is older than 1.54; a warning names it beforehand.
      - Docker publishes a port without a fixed host port on another one each time; RV(recreated[].ports_changed) tells.
      - Only options that are given count; what is not given, the driver included, stays as it is.
    type: str
    choices: [never, when_needed]
    default: never
  state_dir:
    description:
      - The folder of the managed host for what must outlive a crash, for a lock that lets one run at a time change
        networks, and for a memory of what attachments were made with, which saves a request per container.
      - A user who can't write there can do all but recreate networks.
    type: path
    default: /var/lib/bulkhead.docker
seealso:
  - module: bulkhead.docker.docker_app_network_info
  - module: bulkhead.docker.docker_network_purge
"""
EXAMPLES = r"""
- name: Three tiers, each of which reaches its neighbour only
  bulkhead.docker.docker_app_network:
    networks:
      - shop-edge
      - name: shop-front
        internal: true
      - name: shop-data
        internal: true
        mtu: 1400
        labels:
          tier: data
    apps:
      - name: web
        match: {names: [shop-web]}
        attach_post_deploy: [shop-edge, shop-front]
      - name: api
        match: {names: [shop-api]}
        attach_post_deploy: [shop-front, shop-data]
      - name: db
        match: {names: [shop-db]}
        attach_post_deploy: [shop-data]
    app_defaults:
      exclusive: true

- name: Let the containers of a Dokku app find each other as blog.web.internal
  bulkhead.docker.docker_app_network:
    networks: [backend]
    app: blog
    attach_post_create: [backend]
    tld: internal

- name: One network with an address of its own for the database
  bulkhead.docker.docker_app_network:
    name: data
    ipam_config:
      - subnet: 10.90.0.0/24
    connected:
      - name: shop-db
        ipv4_address: 10.90.0.10
        aliases: [db]
      - shop-api

- name: A cell whose members reach each other, and neither the host nor the world
  bulkhead.docker.docker_app_network:
    networks:
      - name: vault
        isolated: true
        labels:
          tier: secrets
        strict: true    # further labels would be a difference

- name: Two networks with the same settings
  bulkhead.docker.docker_app_network:
    networks:
      - name: settings
        config_only: true
        mtu: 1400
      - name: one
        config_from: settings
      - name: two
        config_from: settings
        internal: true

- name: The proxy is on the networks of all apps, and leaves those that go
  bulkhead.docker.docker_app_network:
    joiners: [traefik]
    networks:
      - shop-edge
      - blog-edge
      - name: wiki-edge
        state: absent

- name: Before the new containers of an app start
  bulkhead.docker.docker_app_network:
    app: blog
    attach_post_create: [backend]
    attach_post_deploy: [shop-edge]
    phase: create

- name: A network that is no longer needed goes if nothing holds it
  bulkhead.docker.docker_app_network:
    networks:
      - name: old-shop
        state: absent
"""
RETURN = r"""
actions:
  description: What was done, or in check mode would be, in this order.
  returned: success
  type: list
  elements: dict
  sample:
    - action: create
      kind: network
      name: backend
      reason: no network has this name
    - action: connect
      kind: endpoint
      name: blog.web.1 on backend
      reason: wanted by attach_post_create, as blog.web.internal
networks:
  description: The declared networks by name, as they are in the end. In check mode, those that exist.
  returned: success
  type: dict
  sample:
    backend:
      attachable: true
      containers:
        - id: 3dd2f2b0c3b6a1d8ae0c2f0e0e8b2a4e1b6d0d1d7f7a3a0a9c6b5e4f3d2c1b0a
          ip: 172.18.0.2
          ip6: ""
          name: blog.web.1
          state: running
      driver: bridge
      enable_ipv6: false
      id: 9a9f50ec99bb2afbdd83e90bca633f20fbaeb653b47d5c8cc59baed9d9872145
      internal: false
      labels:
        io.bulkhead.managed: "true"
      managed: true
      name: backend
      options: {}
      scope: local
      subnets:
        - 172.18.0.0/16
network:
  description:
    - The same for the one network of O(name); empty if it does not exist.
    - Beside these keys it has those of C(docker network inspect) under their own names, such as C(Name) and C(IPAM).
  returned: success and O(name) was given
  type: dict
apps:
  description: The declared apps with their containers, as they are in the end.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The app's name.
      type: str
    containers:
      description: Its containers, by name.
      type: list
      elements: dict
      contains:
        name:
          description: The container's name.
          type: str
        id:
          description: The container's full ID.
          type: str
        process_type:
          description: What kind of process it runs; empty when nothing tells.
          type: str
        state:
          description: Its state, such as V(running).
          type: str
        networks:
          description: Its networks by name, each with C(ip), C(ip6) and C(aliases).
          type: dict
        listeners:
          description: Its addresses with each of the TCP ports that it exposes.
          type: list
          elements: str
          sample: ["172.18.0.2:5000"]
needs_deploy:
  description: What can't be changed on a container that is there, and takes effect when it is created anew.
  returned: success
  type: list
  elements: dict
  sample:
    - app: blog
      container: blog.web.1
      is: bridge
      property: initial_network
      wanted: first
reason_code:
  description:
    - Why the run was refused, as a stable word.
    - One of V(invalid_option), V(predefined), V(ambiguous), V(drift), V(unknown_network), V(unknown_container),
      V(network_mode), V(service), V(only_network), V(in_use), V(engine), V(subnet_in_use), V(bridge_in_use),
      V(pools_exhausted), V(config_only), V(static_ip), V(docker_refused), V(no_daemon),
      V(missing_library) and V(not_converged).
  returned: failure
  type: str
  sample: drift
drift:
  description: All differences to existing networks, when there are any.
  returned: failure with RV(reason_code=drift)
  type: list
  elements: dict
  sample:
    - is: false
      network: shop-data
      option: internal
      wanted: true
recreated:
  description: Networks that were recreated, or in check mode would be, with all of their members.
  returned: success
  type: list
  elements: dict
  contains:
    network:
      description: The network's name.
      type: str
    id_before:
      description: The ID that it had.
      type: str
    id:
      description: The ID that it has now; empty in check mode.
      type: str
    members:
      description:
        - The containers that are on it, or would be once started, by name, each with C(id), C(name), C(state),
          C(config), C(before) and C(after).
        - C(config) is what Docker was told for it to come back as it was.
        - C(before) and C(after) have C(ip), C(ip6), C(mac), C(aliases) and the published C(ports) of the whole container. They are
          null where it was not attached, or in check mode for C(after).
      type: list
      elements: dict
    ports_changed:
      description: Host ports that Docker chose anew, each with C(container), C(host_ip), C(port), C(before) and C(after).
      type: list
      elements: dict
  sample:
    - network: backend
      id_before: 9a9f50ec99bb2afbdd83e90bca633f20fbaeb653b47d5c8cc59baed9d9872145
      id: 1d7f7a3a0a9c6b5e4f3d2c1b0a3dd2f2b0c3b6a1d8ae0c2f0e0e8b2a4e1b6d0d
      members: []
      ports_changed:
        - container: blog.web.1
          host_ip: 0.0.0.0
          port: 5000/tcp
          before: [32768]
          after: [32769]
recovery:
  description:
    - What it takes to put networks together again that this run began to recreate, as it is kept in O(state_dir) too.
    - Each has the C(network), its C(id), the C(body) of Docker's create request and its C(members) with their C(config).
  returned: failure while a network was recreated
  type: list
  elements: dict
restored:
  description: What a run that failed on its way took back.
  returned: failure after changes
  type: list
  elements: str
  sample: ["remove network aa: this run created it"]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bulkhead.docker.plugins.module_utils._app_network_run import run_app_network
from ansible_collections.bulkhead.docker.plugins.module_utils._core.app_network import read
from ansible_collections.bulkhead.docker.plugins.module_utils._core.phase import PHASES
from ansible_collections.bulkhead.docker.plugins.module_utils._docker import CONNECTION_OPTIONS, Docker
from ansible_collections.bulkhead.docker.plugins.module_utils._runner import attempt

POOL = {
    "subnet": {"type": "str", "required": True},
    "gateway": {"type": "str"},
    "iprange": {"type": "str"},
    "aux_addresses": {"type": "dict"},
}
NETWORK = {
    "name": {"type": "str", "aliases": ["network_name"]},
    "state": {"type": "str", "choices": ["present", "absent"]},
    "driver": {"type": "str"},
    "attachable": {"type": "bool"},
    "internal": {"type": "bool"},
    "isolated": {"type": "bool"},
    "ingress": {"type": "bool"},
    "scope": {"type": "str", "choices": ["local", "global", "swarm"]},
    "config_only": {"type": "bool"},
    "config_from": {"type": "str"},
    "enable_ipv4": {"type": "bool"},
    "enable_ipv6": {"type": "bool"},
    "ipam_driver": {"type": "str"},
    "ipam_driver_options": {"type": "dict"},
    "ipam_config": {"type": "list", "elements": "dict", "options": POOL},
    "driver_options": {"type": "dict"},
    "labels": {"type": "dict"},
    "mtu": {"type": "int"},
    "bridge_name": {"type": "str"},
    "icc": {"type": "bool"},
    "connected": {"type": "list", "elements": "raw", "aliases": ["containers"]},
    "exclusive": {"type": "bool"},
    "appends": {"type": "bool", "aliases": ["incremental"]},
    "strict": {"type": "bool"},
    "allow_route_overlap": {"type": "bool"},
    "force": {"type": "bool"},
}
APP = {
    "app": {"type": "str"},
    "match": {"type": "dict"},
    "initial_network": {"type": "str"},
    "attach_post_create": {"type": "list", "elements": "str"},
    "attach_post_deploy": {"type": "list", "elements": "str"},
    "tld": {"type": "str"},
    "aliases": {"type": "list", "elements": "str"},
    "bind_all_interfaces": {"type": "bool"},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **CONNECTION_OPTIONS,
            **NETWORK,
            **APP,
            "networks": {"type": "list", "elements": "raw"},
            "apps": {"type": "list", "elements": "raw"},
            "app_defaults": {"type": "dict"},
            "phase": {"type": "str", "choices": list(PHASES), "default": "all"},
            "joiners": {"type": "list", "elements": "raw"},
            "recreate": {"type": "str", "choices": ["never", "when_needed"], "default": "never"},
            "debug": {"type": "bool"},
            "state_dir": {"type": "path", "default": "/var/lib/bulkhead.docker"},
        },
        mutually_exclusive=[("name", "networks"), ("app", "apps"), ("name", "app")],
        required_one_of=[("networks", "name", "apps", "app")],
        supports_check_mode=True,
    )
    wanted = attempt(module, lambda: read(module.params))
    docker = attempt(module, lambda: Docker(module))
    run_app_network(module, wanted, docker)


if __name__ == "__main__":
    main()
