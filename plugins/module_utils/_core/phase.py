# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""Phases of a deploy: which containers of an app one call is about, and what it may do to them."""

from __future__ import annotations

from dataclasses import dataclass

from .model import Container

COMPOSE_ONE_OFF_LABEL = "com.docker.compose.oneoff"
DOKKU_TYPE_LABEL = "com.dokku.container-type"
PHASES = ("all", "build", "run", "create", "deploy")


def one_off(container: Container) -> bool:
    """Whether a container does one task beside the app (``compose run``, ``dokku run``) instead of serving it."""
    kind = container.labels.get(DOKKU_TYPE_LABEL, "deploy")
    return container.labels.get(COMPOSE_ONE_OFF_LABEL, "").lower() == "true" or kind != "deploy"


@dataclass(frozen=True)
class Phase:
    """One of ``PHASES``.

    Before the deploy (``build``, ``run``, ``create``) a container that has been started belongs to the generation that
    serves: it may join, but nothing is taken from it, and nothing of it is made anew. So that a deploy that fails on
    its way leaves it as it was.
    """

    name: str = "all"

    @property
    def before_deploy(self) -> bool:
        return self.name not in ("all", "deploy")

    @property
    def for_tasks(self) -> bool:
        """Whether the call is about containers that nobody is to find by the app's name."""
        return self.name in ("build", "run")

    def takes(self, container: Container) -> bool:
        """Whether the call is about this container of the app."""
        return not (one_off(container) and self.name in ("create", "deploy"))

    def keys(self, container: Container) -> tuple[str, ...]:
        """The properties whose networks the container is to be on now.

        A container that was never started is not deployed yet, and one that does a single task never will be: both
        get what belongs before the start only.
        """
        if not self.takes(container):
            return ()
        if self.before_deploy or container.state == "created" or one_off(container):
            return ("attach_post_create",)
        return ("attach_post_create", "attach_post_deploy")

    def joins_only(self, container: Container) -> bool:
        """Whether the container's attachments stay as they are."""
        return self.before_deploy and container.state != "created"

    def detaches(self, container: Container, key: str) -> bool:
        """Whether what the property ``key`` once attached is taken off this container now, when it lists it no more."""
        if not self.takes(container) or self.joins_only(container):
            return False
        return key == "attach_post_create" or not self.before_deploy
