# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter that gives the message of a failed task without the values of an app's variables."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ..module_utils._core.deploy import message
from ..module_utils._core.deploy_request import read_deployment
from ..module_utils._core.errors import CoreError

DOCUMENTATION = r"""
name: app_deploy_message
short_description: Give the message of a failed task without the values of an app's variables
version_added: 1.0.0
author: the bulkhead.docker authors (@bulkhead)
description:
  - Tasks that hold an environment hide their whole result. This gives their message back, with C(***) for each value.
  - Values of up to three characters stay; they would make a message unreadable, and are no secrets.
seealso:
  - plugin: bulkhead.docker.app_deploy_plan
    plugin_type: filter
options:
  _input:
    description: An app, as O(bulkhead.docker.app_network#role:main:app_network_apps) of the role has it.
    type: dict
    required: true
  failure:
    description: The result of the failed task.
    type: dict
    required: true
  defaults:
    description: What the app and its processes get where they say nothing.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Say what went wrong
  ansible.builtin.debug:
    msg: "{{ app | bulkhead.docker.app_deploy_message(ansible_failed_result) }}"
"""

RETURN = r"""
_value:
  description: The message, of a loop those of all items that have failed.
  type: str
"""


def _app_deploy_message(app: t.Any, failure: t.Mapping[str, t.Any], defaults: t.Any = None) -> str:
    try:
        return message(read_deployment(app, defaults), failure)
    except CoreError as error:
        # Without the cause, whose message Ansible would add to the same one.
        raise AnsibleFilterError(error.sentence) from None


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"app_deploy_message": _app_deploy_message}
