# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection bulkhead.docker: not for use from outside, may change at any time.

"""A deploy: which containers of an app are created, which stay, which go, and whether the new ones are well."""

from __future__ import annotations

import hashlib
import json
import typing as t
from dataclasses import dataclass

from .apps import APP_LABEL, PROCESS_LABEL
from .deploy_request import Deployment, Process
from .errors import CoreError
from .model import GENERATION_LABEL, INDEX_LABEL, LIVE_STATES

Json = t.Mapping[str, t.Any]

#: How much work it is to try a value of a variable against a generation's name, which anybody may see.
_ROUNDS = 20_000
_DIGITS = 10


@dataclass(frozen=True)
class Slot:
    """The place of one container: ``index`` counts from 1 within the process."""

    process: Process
    index: int
    generation: str


def plan(deployment: Deployment, containers: t.Sequence[Json], images: t.Mapping[str, str], rebuild: bool) -> Json:
    """Say what a deploy does to the containers of one app.

    ``containers`` are as ``docker_app_network_info`` reports them; those without a generation were not made by a deploy
    and are left alone. ``images`` has the ID of each image by the name that the app uses. The answer has lists of names
    (``keep``, ``judge``: those whose health decides, ``stop_first``, ``retire``: old ones that live, ``remove``: all old
    ones) and ``create``, a list of dictionaries with ``name``, ``process``, ``index`` and ``generation``.
    """
    ours = sorted((item for item in containers if item["generation"]), key=lambda item: str(item["name"]))
    taken = {str(item["name"]) for item in containers}
    keep: list[Json] = []
    create: list[dict[str, t.Any]] = []
    for slot in _slots(deployment, images):
        there = None if rebuild else next((item for item in ours if _fills(item, slot)), None)
        if there is not None:
            keep.append(there)
        else:
            create.append(_new(deployment.name, slot, taken))
    kept = {item["id"] for item in keep}
    old = [item for item in ours if item["id"] not in kept]
    retire = [item for item in old if item["state"] in LIVE_STATES]
    alone = _alone(deployment, create)
    return {
        "app": deployment.name,
        "create": create,
        "keep": [item["name"] for item in keep],
        "judge": [item["name"] for item in create] + [item["name"] for item in keep if _unproven(item, retire)],
        "stop_first": [item["name"] for item in retire if alone(str(item["process_type"]))],
        "retire": [item["name"] for item in retire],
        "remove": [item["name"] for item in old],
    }


def _alone(deployment: Deployment, create: t.Iterable[Json]) -> t.Callable[[str], bool]:
    """Whether a new container may want the port of the host that an old one of some process holds."""
    new = {item["process"] for item in create}
    wanting = {process.name for process in deployment.processes if process.holds_host_port and process.name in new}
    # A port may also have moved on from a process that is declared no more.
    return lambda process: process in wanting or (bool(wanting) and deployment.process(process) is None)


def _slots(deployment: Deployment, images: t.Mapping[str, str]) -> t.Iterator[Slot]:
    for process in deployment.processes:
        if not process.scale:
            continue
        if not images.get(process.image):
            raise CoreError(
                f"The image {process.image!r} of {deployment.name}.{process.name} is not on this host: its containers "
                "can't be created.",
                hint=f"Build it there, or run docker pull {process.image}, before the deploy.",
                reason_code="unknown_image",
            )
        name = generation(deployment, process, images[process.image])
        for index in range(1, process.scale + 1):
            yield Slot(process, index, name)


def _fills(container: Json, slot: Slot) -> bool:
    """Whether a container is what a slot wants, and runs; one that does not run serves nobody and is made anew."""
    return (
        container["process_type"] == slot.process.name
        and container["index"] == str(slot.index)
        and container["generation"] == slot.generation
        and container["state"] in LIVE_STATES
        and container["health"] != "unhealthy"
    )


def _unproven(container: Json, serving: t.Iterable[Json]) -> bool:
    """Whether a deploy ended before it handed over to this container: what it was to replace is still there."""
    mine = (container["process_type"], container["index"])
    return any((item["process_type"], item["index"]) == mine for item in serving)


def _new(app: str, slot: Slot, taken: t.Collection[str]) -> dict[str, t.Any]:
    stem = f"{app}.{slot.process.name}.{slot.index}-{slot.generation}"
    # A container that is built anew without any change stands beside the one of the same generation for a while.
    names = (stem if number == 0 else f"{stem}-r{number}" for number in range(len(taken) + 1))
    name = next(name for name in names if name not in taken)
    return {"name": name, "process": slot.process.name, "index": slot.index, "generation": slot.generation}


def generation(deployment: Deployment, process: Process, image_id: str) -> str:
    """The name of what a process's containers are made from: it changes with each change of that, and only then."""
    parts = {"image": image_id, "initial": deployment.app.initial_network, "options": _options(process)}
    text = json.dumps(parts, sort_keys=True, default=str).encode()
    return hashlib.pbkdf2_hmac("sha256", text, deployment.name.encode(), _ROUNDS).hex()[:_DIGITS]


def arguments(deployment: Deployment, entry: Json) -> dict[str, t.Any]:
    """What ``docker_container`` is to be called with for an entry of a plan's ``create``. Holds the environment."""
    process = deployment.process(str(entry["process"]))
    if process is None:
        raise CoreError(f"{deployment.name} has no process {entry['process']!r}.", reason_code="bug")
    ours = {
        APP_LABEL: deployment.name,
        PROCESS_LABEL: process.name,
        INDEX_LABEL: str(entry["index"]),
        GENERATION_LABEL: str(entry["generation"]),
    }
    found = {**_options(process), "name": entry["name"], "labels": {**process.labels, **ours}}
    if deployment.app.initial_network:
        found["networks"] = [{"name": deployment.app.initial_network}]
    return found


def _options(process: Process) -> dict[str, t.Any]:
    """The options that are the same for all containers of a process."""
    found: dict[str, t.Any] = {
        **process.options,
        "image": process.image,
        "env": dict(process.environment),
        "labels": dict(process.labels),
        "published_ports": [port.text for port in process.ports],
        "restart_policy": process.restart_policy,
    }
    if process.memory:
        found["memory"] = process.memory
        # Without this Docker allows as much swap again, and the limit is twice what it says.
        found.setdefault("memory_swap", process.memory)
    return found


def verdict(containers: t.Iterable[Json], names: t.Sequence[str], looks: int, settle: int) -> dict[str, list[str]]:
    """Say of containers that were started which are not well (``failed``) and which may yet become so (``waiting``).

    Docker's health check decides; without one a container is well when ``looks``, made a second apart, are more than
    ``settle`` and it has run ever since its start.
    """
    found = {item["name"]: item for item in containers}
    failed: list[str] = []
    waiting: list[str] = []
    for name in names:
        wrong = _wrong(found.get(name))
        if wrong:
            failed.append(f"{name} {wrong}")
        elif found[name]["health"] == "starting":
            waiting.append(f"{name} has not passed its health check yet")
        elif not found[name]["health"] and looks <= settle:
            waiting.append(f"{name} has no health check and has not run for {settle} seconds yet")
    return {"failed": failed, "waiting": waiting}


def _wrong(container: Json | None) -> str:
    if container is None:
        return "is gone"
    if container["restarts"] or container["state"] == "restarting":
        return f"ends and is started again (exit status {container['exit_code']})"
    if container["state"] != "running":
        return f"is {container['state']} (exit status {container['exit_code']})"
    return "fails its health check" if container["health"] == "unhealthy" else ""


def message(deployment: Deployment, failure: Json) -> str:
    """The message of a failed task without the values of the app's variables, whatever put them there."""
    results = [item for item in failure.get("results") or () if item.get("failed")]
    words = [str(item.get("msg", "")) for item in results] or [str(failure.get("msg", ""))]
    text = " ".join(word.strip() for word in words if word.strip()) or "no reason was given"
    for value in deployment.environment:
        # Short ones are words of any message.
        if len(value) > 3:
            text = text.replace(value, "***")
    return text
