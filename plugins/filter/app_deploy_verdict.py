# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter that says whether containers that were started are well."""

from __future__ import annotations

import typing as t

from ..module_utils._core.deploy import verdict

DOCUMENTATION = r"""
name: app_deploy_verdict
short_description: Say whether containers that were started are well
version_added: 1.0.0
author: the bulkhead.docker authors (@bulkhead)
description:
  - Docker's health check decides. A container without one is well when it has run ever since its start and has been
    looked at often enough.
seealso:
  - plugin: bulkhead.docker.app_deploy_plan
    plugin_type: filter
options:
  _input:
    description: Containers, as M(bulkhead.docker.docker_app_network_info) reports them in C(containers).
    type: list
    elements: dict
    required: true
  names:
    description: The names of those to judge.
    type: list
    elements: str
    required: true
  looks:
    description: How many times they have been looked at, a second apart.
    type: int
    required: true
  settle:
    description: How many seconds a container without a health check must have run.
    type: int
    required: true
"""

EXAMPLES = r"""
- name: Say who is not well
  ansible.builtin.debug:
    msg: "{{ report.shop.containers | bulkhead.docker.app_deploy_verdict(['shop.web.1-1c9a2b3d4e'], looks=1, settle=5) }}"
"""

RETURN = r"""
_value:
  description: Sentences in two lists; C(failed) for containers that are not well, C(waiting) for those that may become so.
  type: dict
  sample:
    failed: ["shop.web.1-1c9a2b3d4e fails its health check"]
    waiting: []
"""


def _app_deploy_verdict(
    containers: t.Sequence[t.Mapping[str, t.Any]], names: t.Sequence[str], looks: int, settle: int
) -> dict[str, list[str]]:
    return verdict(containers, names, int(looks), int(settle))


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"app_deploy_verdict": _app_deploy_verdict}
