# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A case as a person reads it: the rules, the packet, what the kernel did and what the model says."""

from __future__ import annotations

import typing as t

from ansible_collections.bulkhead.docker.plugins.module_utils._core.netfilter.trace import Trace

from .model import model_of, packet_of


def told(case: t.Mapping[str, t.Any]) -> str:
    """Write a case of one packet that has been run."""
    lines = []
    for tool, text in case["rules"].items():
        lines += [f"  {tool}:", *(f"    {line}" for line in text.splitlines() if line and not _usual(line))]
    lines.append(f"  sysctl: {case['sysctl']}{'' if case.get('default_route', True) else ', no default route'}")
    (packet,), (seen,) = case["packets"], case["seen"]
    lines.append(f"  packet: {_plain(packet)}")
    lines += [f"  kernel, there: {place}: {_plain(header)}" for place, header in seen["there"]]
    lines += [f"  kernel, back: {place}: {_plain(header)}" for place, header in seen.get("back", ())]
    try:
        return "\n".join([*lines, *_explained(case, packet)])
    except Exception as error:
        return "\n".join([*lines, f"  model: {error!r}"])


def _explained(case: t.Mapping[str, t.Any], packet: t.Mapping[str, t.Any]) -> list[str]:
    model = model_of(case, case["printed"])
    if packet.get("round_trip"):
        found = model.round_trip(packet_of(packet))
        return _steps("there", found.there) + (_steps("back", found.back) if found.back else [])
    return _steps("there", model.trace(packet_of(packet)))


def _usual(line: str) -> bool:
    return line.startswith(":") and " ACCEPT" in line


def _plain(fields: t.Mapping[str, t.Any]) -> str:
    return " ".join(
        f"{name}={value}" for name, value in fields.items() if value not in (0, None, "") and name != "token"
    )


def _steps(way: str, trace: Trace) -> list[str]:
    end = f"{trace.packet.src}:{trace.packet.sport} -> {trace.packet.dst}:{trace.packet.dport}"
    lines = [f"  model, {way}: {trace.verdict}, to {trace.delivered_to}, {end}"]
    for step in trace.steps:
        lines.append(f"    {step.hook} {step.table} {step.chain} {step.rule_number or ''} {step.effect}: {step.rule}")
    return lines + [f"    unsure: {step.effect}: {step.rule}" for step in trace.because]
