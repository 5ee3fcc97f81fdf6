# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running a module in this process, up to the answer that it refuses to work."""

from __future__ import annotations

import gc
import json
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args

# The SDK leaves the socket of a connection that failed to the garbage collector.
UNCLOSED = pytest.mark.filterwarnings(
    "ignore:unclosed:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

NOWHERE = "unix:///nonexistent/docker.sock"


def refusal(main: t.Callable[[], None], capfd: pytest.CaptureFixture[str], **arguments: t.Any) -> dict[str, t.Any]:
    """Give the result of a module that must fail; without docker_host there is no Docker."""
    with patch_module_args({"docker_host": NOWHERE, **arguments}), pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    del caught
    gc.collect()
    result: dict[str, t.Any] = json.loads(capfd.readouterr().out)
    assert result["failed"]
    return result
