# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A module for tests only: gives back what Host reads of the host it runs on, as it is, with the commands it took."""

from __future__ import annotations

import base64
import pickle

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bulkhead.docker.plugins.module_utils._core.errors import CoreError
from ansible_collections.bulkhead.docker.plugins.module_utils._docker import CONNECTION_OPTIONS, Docker
from ansible_collections.bulkhead.docker.plugins.module_utils._host import Host


class Counted(AnsibleModule):
    """Notes the commands that it runs."""

    ran: list[str]

    def run_command(self, args, **options):  # type: ignore[no-untyped-def]
        self.ran.append(" ".join([args[0].rpartition("/")[2], *args[1:]]))
        return super().run_command(args, **options)


def main() -> None:
    spec = {**CONNECTION_OPTIONS, "look_into": {"type": "bool", "default": False}}
    module = Counted(argument_spec=spec, supports_check_mode=True)
    module.ran = []
    containers = {}
    try:
        if module.params["look_into"]:
            snapshot = Docker(module).snapshot(detail_containers=lambda container: container.live)
            containers = {item.id: item.pid for item in snapshot.containers if item.pid}
        reading = Host(module).netfilter(containers)
    except CoreError as error:
        module.fail_json(msg=error.sentence, reason_code=error.reason_code)
    module.exit_json(reading=base64.b64encode(pickle.dumps(reading)).decode(), commands=module.ran)


if __name__ == "__main__":
    main()
