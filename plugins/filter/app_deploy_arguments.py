# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter that gives the options of docker_container for one container of a deploy."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ..module_utils._core.deploy import arguments
from ..module_utils._core.deploy_request import read_deployment
from ..module_utils._core.errors import CoreError

DOCUMENTATION = r"""
name: app_deploy_arguments
short_description: Give what one container of a deploy is created with
version_added: 1.0.0
author: the bulkhead.docker authors (@bulkhead)
description:
  - Turns an entry of the plan into options of M(community.docker.docker_container). The result holds the environment;
    use it in tasks with C(no_log) only.
seealso:
  - plugin: bulkhead.docker.app_deploy_plan
    plugin_type: filter
options:
  _input:
    description: An app, as O(bulkhead.docker.app_network#role:main:app_network_apps) of the role has it.
    type: dict
    required: true
  entry:
    description: An entry of C(create), as P(bulkhead.docker.app_deploy_plan#filter) gives it.
    type: dict
    required: true
  defaults:
    description: What the app and its processes get where they say nothing.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Give the limit of the first container
  ansible.builtin.debug:
    msg: "{{ (app | bulkhead.docker.app_deploy_arguments(plan.create[0])).memory }}"
"""

RETURN = r"""
_value:
  description: Options of M(community.docker.docker_container).
  type: dict
"""


def _app_deploy_arguments(app: t.Any, entry: t.Mapping[str, t.Any], defaults: t.Any = None) -> dict[str, t.Any]:
    try:
        return arguments(read_deployment(app, defaults), entry)
    except CoreError as error:
        # Without the cause, whose message Ansible would add to the same one.
        raise AnsibleFilterError(error.sentence) from None


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"app_deploy_arguments": _app_deploy_arguments}
