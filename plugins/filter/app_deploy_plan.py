# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter that says what a deploy does to the containers of an app."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ..module_utils._core.deploy import plan
from ..module_utils._core.deploy_request import read_deployment
from ..module_utils._core.errors import CoreError

DOCUMENTATION = r"""
name: app_deploy_plan
short_description: Say which containers of an app a deploy creates, keeps and removes
version_added: 1.0.0
author: the bulkhead.docker authors (@bulkhead)
description:
  - The decisions of the role P(bulkhead.docker.app_network#role), which calls it. It holds no values of variables.
  - Containers get their names from the app, the process, a number and a generation, which changes with each change of
    what they are made from. A container of the wanted generation that runs is kept.
seealso:
  - plugin: bulkhead.docker.app_deploy_plan
    plugin_type: filter
options:
  _input:
    description: An app, as O(bulkhead.docker.app_network#role:main:app_network_apps) of the role has it.
    type: dict
    required: true
  containers:
    description: The app's containers, as M(bulkhead.docker.docker_app_network_info) reports them in C(containers).
    type: list
    elements: dict
    required: true
  images:
    description: The ID of each image that the app uses, by the name that it uses.
    type: dict
    required: true
  defaults:
    description: What the app and its processes get where they say nothing.
    type: dict
    default: {}
  rebuild:
    description: Create all containers anew, whether or not anything has changed.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Say what a deploy would do
  ansible.builtin.debug:
    msg: "{{ app | bulkhead.docker.app_deploy_plan(report.shop.containers, images={'shop:2': id}) }}"
"""

RETURN = r"""
_value:
  description:
    - C(create) has the containers to create, each with C(name), C(process), C(index) and C(generation).
    - C(keep), C(judge), C(stop_first), C(retire) and C(remove) have names of containers; those that stay, those whose
      health decides about the deploy, old ones that must stop before the new ones can start because these need their port
      of the host, old ones that run, and all old ones.
  type: dict
"""


def _app_deploy_plan(
    app: t.Any,
    containers: t.Sequence[t.Mapping[str, t.Any]],
    images: t.Mapping[str, str],
    defaults: t.Any = None,
    rebuild: bool = False,
) -> t.Any:
    try:
        return plan(read_deployment(app, defaults), containers, images, rebuild)
    except CoreError as error:
        # Without the cause, whose message Ansible would add to the same one.
        raise AnsibleFilterError(error.sentence) from None


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"app_deploy_plan": _app_deploy_plan}
