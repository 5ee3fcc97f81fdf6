# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the stages of `make test`: fast ones first, each timed, every skip said and counted.

A stage is a name and the commands it runs; nothing else in this repository decides what is tested. Fast stages all
run even if one fails, so that one look shows every complaint; slow ones wait until the fast ones pass.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import shutil
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import ansible_test_tree
import toolchain

CHECKOUT = toolchain.CHECKOUT
TREE = CHECKOUT / ".collections"
ENGINES = ("20", "26", "28")
BIN = CHECKOUT / ".venv/bin"


# What tools say when they looked at nothing and are content: a stage that tested nothing has failed.
TESTED_NOTHING = re.compile(r"^(WARNING: All targets skipped|(=+ )?no tests ran in )")


class Skip(Exception):
    """The stage cannot run here; the text is the reason a person reads."""


@dataclasses.dataclass(frozen=True)
class Command:
    argv: t.Sequence[str | Path]
    cwd: Path = CHECKOUT
    env: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    # For programs that complain and then exit with 0.
    complaint: str | None = None


@dataclasses.dataclass(frozen=True)
class Stage:
    name: str
    groups: tuple[str, ...]
    about: str
    commands: t.Callable[[argparse.Namespace], t.Iterable[Command]]
    fast: bool = False
    needs_lab: bool = False


@dataclasses.dataclass
class Outcome:
    stage: Stage
    result: str
    seconds: float
    note: str = ""
    tests_skipped: int = 0


# --- what the stages run


def _lint(*argv: str | Path, cwd: Path = CHECKOUT, **env: str) -> t.Callable[[argparse.Namespace], list[Command]]:
    return lambda options: [Command([BIN / str(argv[0]), *argv[1:]], cwd, env)]


def _mypy(options: argparse.Namespace) -> list[Command]:
    config: list[str | Path] = ["--config-file", CHECKOUT / ".mypy.ini"]
    scripts = sorted((CHECKOUT / "tests").glob("*.py"))
    commands = [Command([BIN / "mypy", *config, "-p", "ansible_collections.bulkhead.docker.plugins"], TREE)]
    packages = [
        name
        for name in ("lab", "demo", "bench", "paths", "fuzz", "saves")
        if any((CHECKOUT / "tests" / name).glob("*.py"))
    ]
    extra = [part for name in packages for part in ("-p", name)]
    commands.append(Command([BIN / "mypy", *config, *scripts], CHECKOUT / "tests"))
    if extra:
        # Some ask the collection's own code.
        commands.append(Command([BIN / "mypy", *config, *extra], CHECKOUT / "tests", {"MYPYPATH": str(TREE)}))
    return commands


def _shellcheck(options: argparse.Namespace) -> list[Command]:
    program = shutil.which("shellcheck")
    if program is None:
        raise Skip("shellcheck is not installed: run 'apt-get install shellcheck'")
    scripts = [path for path in ansible_test_tree.own_files() if _is_shell_script(CHECKOUT / path)]
    return [Command([program, *scripts])] if scripts else []


def _is_shell_script(path: Path) -> bool:
    if path.suffix == ".sh":
        return True
    if path.suffix or not path.is_file():
        return False
    with path.open("rb") as handle:
        return re.match(rb"#!.*\b(ba|da)?sh\b", handle.readline()) is not None


def _unit(options: argparse.Namespace) -> list[Command]:
    selection = [options.pytest, "-n0", "-vv"] if options.pytest else ["tests/unit"]
    return [_pytest(BIN, selection)]


def _unit_newest(options: argparse.Namespace) -> list[Command]:
    return [_pytest(_newest() / "bin", ["tests/unit"])]


def _pytest(programs: Path, selection: t.Sequence[str]) -> Command:
    argv: list[str | Path] = [programs / "python", "-m", "pytest", "-c", CHECKOUT / "tests/pytest.ini"]
    argv += ["-n", "2", *selection]
    # The checkout is importable as ansible_collections.bulkhead.docker through the link in .collections.
    return Command(argv, TREE / toolchain.COLLECTION, {"PYTHONPATH": str(TREE)})


def _newest() -> Path:
    return _optional("newest")


def _oldest() -> Path:
    return _optional("oldest")


def _optional(name: str) -> Path:
    try:
        return toolchain.ensure(name)
    except toolchain.NoInterpreter as error:
        raise Skip(str(error)) from error


def _changelog(options: argparse.Namespace) -> list[Command]:
    return [Command([BIN / "antsibull-changelog", "lint"])]


def _docs(options: argparse.Namespace) -> list[Command]:
    argv: list[str | Path] = [
        BIN / "antsibull-docs",
        "lint-collection-docs",
        "--plugin-docs",
        # References within this collection and to ansible.builtin. "all" would read the documentation of every collection
        # that the `ansible` package carries: three minutes instead of seven seconds.
        "--validate-collection-refs=dependent",
    ]
    return [Command([*argv, "--skip-rstcheck", "."], _real_copy("docs"), _ansible_environment())]


def _ansible_lint(options: argparse.Namespace) -> list[Command]:
    copy = _real_copy("ansible-lint")
    env = _ansible_environment(copy)
    return [Command([BIN / "ansible-lint", "--offline", "--profile", "production", "--strict"], copy, env)]


def _build(options: argparse.Namespace) -> t.Iterator[Command]:
    copy = _real_copy("build")
    dist = CHECKOUT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    yield Command([BIN / "ansible-galaxy", "collection", "build", "--force", "--output-path", dist], copy)
    for archive in dist.glob("*.tar.gz"):
        env = {
            **_ansible_environment(),
            "GALAXY_IMPORTER_CHECK_REQUIRED_TAGS": "1",
            "GALAXY_IMPORTER_REQUIRE_V1_OR_GREATER": "1",
        }
        argv: list[str | Path] = [BIN / "python", "-m", "galaxy_importer.main", archive]
        yield Command(argv, dist, env, complaint=r"^(ERROR|WARNING)")


def _real_copy(purpose: str) -> Path:
    return ansible_test_tree.lay(CHECKOUT / "build" / purpose)


def _ansible_environment(copy: Path | None = None) -> dict[str, str]:
    tree = TREE if copy is None else copy.parents[2]
    return {"ANSIBLE_COLLECTIONS_PATH": str(tree), "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg")}


def _ansible_test_units(
    environment: t.Callable[[], Path], target: t.Callable[[], Path] | None = None
) -> t.Callable[[argparse.Namespace], list[Command]]:
    def commands(options: argparse.Namespace) -> list[Command]:
        controller = environment()
        host = (target or environment)()
        copy = ansible_test_tree.lay(CHECKOUT / "build" / f"units-{host.name}")
        python = min(path.name.replace("python", "") for path in host.glob("bin/python3.[0-9]*"))
        argv: list[str | Path] = [controller / "bin/ansible-test", "units", "--python", python]
        return [Command(argv, copy, ansible_test_tree.environment(controller, first=host))]

    return commands


def _ansible_test(environment: t.Callable[[], Path], *argv: str) -> t.Callable[[argparse.Namespace], list[Command]]:
    def commands(options: argparse.Namespace) -> list[Command]:
        folder = environment()
        copy = ansible_test_tree.lay(CHECKOUT / "build" / f"{argv[0]}-{folder.name}")
        env = ansible_test_tree.environment(folder)
        return [Command([folder / "bin/ansible-test", *argv], copy, env)]

    return commands


def _lab_up(options: argparse.Namespace) -> list[Command]:
    hosts = [f"engine{options.engine}", "neighbour", "outsider"] if options.engine else []
    return [_lab("up", *hosts)]


def _lab(*words: str, number: int | None = None) -> Command:
    environment = _lab_environment() if number is None else {"LAB": str(number)}
    return Command([BIN / "python", CHECKOUT / "tests/lab/lab.py", *words], env=environment)


def _lab_environment() -> dict[str, str]:
    # A lab of its own: the one that a person has up for trying things (0) stays as it is.
    return {"LAB": os.environ.get("LAB") or "1"}


def _on_lab(argv: t.Sequence[str | Path], programs: Path = BIN) -> Command:
    env = {**_lab_environment(), **_ansible_environment(), "PATH": f"{programs}:{os.environ['PATH']}"}
    return Command(argv, CHECKOUT, env)


def _integration(options: argparse.Namespace) -> list[Command]:
    folder = CHECKOUT / "tests/integration"
    targets = {path.stem.partition("_")[2]: str(path) for path in sorted(folder.glob("test_*.py"))}
    wanted = options.target or ""
    if wanted and "/" not in wanted and wanted not in targets:
        raise toolchain.ToolchainError(f"there is no target {wanted}; there are: {', '.join(targets)}")
    selection = targets.get(wanted, wanted) or str(folder)
    # The tests wait more than they compute: a worker, with a lab of its own, for each engine.
    workers = "0" if options.engine else str(len(_integration_labs()))
    argv: list[str | Path] = [BIN / "python", "-m", "pytest", "-c", CHECKOUT / "tests/pytest.ini", "-v"]
    command = _on_lab([*argv, "--durations=5", "-n", workers, "--dist", "loadgroup", selection])
    environment = {**command.env, "PYTHONPATH": str(TREE), **({"ENGINE": options.engine} if options.engine else {})}
    return [_lab("reset"), dataclasses.replace(command, env=environment)]


def _integration_labs() -> range:
    first = int(_lab_environment()["LAB"])
    return range(first, first + len(ENGINES))


def _molecule(options: argparse.Namespace) -> t.Iterator[Command]:
    scenarios = sorted(path.parent.name for path in (CHECKOUT / "extensions/molecule").glob("*/molecule.yml"))
    if options.scenario:
        if options.scenario not in scenarios:
            raise toolchain.ToolchainError(
                f"there is no scenario {options.scenario}; there are: {', '.join(scenarios)}"
            )
        scenarios = [options.scenario]
    if not scenarios:
        raise Skip("there is no scenario in extensions/molecule")
    for number, scenario in enumerate(scenarios):
        # Each scenario on one engine, all engines in turn: what depends on the engine is for the integration tests.
        command = _on_lab([BIN / "molecule", "test", "--scenario-name", scenario])
        host = f"engine{options.engine or ENGINES[number % len(ENGINES)]}"
        yield _lab("reset", host)
        # Molecule remembers between runs that it has prepared a host.
        yield _on_lab([BIN / "molecule", "reset", "--scenario-name", scenario])
        yield dataclasses.replace(command, env={**command.env, "SCENARIO_HOSTS": host})


def _paths(options: argparse.Namespace) -> list[Command]:
    # Always the same packets: a stage that failed is run again and fails again. `make fuzz-paths` takes new ones.
    return [_on_lab([BIN / "python", CHECKOUT / "tests/paths/fuzz.py", "--seed", "stage", "--pairs", "3000"])]


def _smoke_newest(options: argparse.Namespace) -> t.Iterator[Command]:
    programs = _newest() / "bin"
    yield _on_lab([programs / "ansible-doc", "--type", "module", "--list", "bulkhead.docker"], programs)
    yield _on_lab([programs / "python", CHECKOUT / "tests/demo/demo.py"], programs)


def _readme(options: argparse.Namespace) -> list[Command]:
    if not (CHECKOUT / "README.md").exists():
        raise toolchain.ToolchainError("there is no README.md")
    script: list[str | Path] = [BIN / "python", CHECKOUT / "tests/readme.py"]
    # First the pages: what README.md shows may take the lab down.
    pages = [CHECKOUT / "docs" / name for name in ("names-not-addresses.md", "moving-from-community-docker.md")]
    commands = [_on_lab([*script, page, "--folder", CHECKOUT]) for page in pages]
    return [_lab("reset"), *commands, _on_lab([*script, CHECKOUT / "README.md"])]


def _main() -> Path:
    return (CHECKOUT / ".venv").resolve()


STAGES: tuple[Stage, ...] = (
    Stage("ruff", ("lint",), "Python: likely bugs, style", _lint("ruff", "check", "."), fast=True),
    Stage("ruff-format", ("lint",), "Python: one form", _lint("ruff", "format", "--check", "--diff", "."), fast=True),
    Stage("yamllint", ("lint",), "YAML: syntax and form", _lint("yamllint", "--strict", "."), fast=True),
    Stage("shellcheck", ("lint",), "shell scripts", _shellcheck, fast=True),
    Stage(
        "columns",
        ("lint",),
        "imports point inwards only",
        _lint("lint-imports", "--no-logo", "--config", CHECKOUT / ".importlinter", cwd=TREE, PYTHONPATH=str(TREE)),
        fast=True,
    ),
    Stage("mypy", ("lint",), "types", _mypy, fast=True),
    Stage("changelog", ("lint",), "changelog fragments", _changelog, fast=True),
    Stage("unit", ("units",), "unit tests", _unit, fast=True),
    Stage("unit-newest", ("units",), "unit tests, newest ansible-core", _unit_newest, fast=True),
    Stage("docs", (), "documentation of modules and roles", _docs, fast=True),
    Stage("ansible-lint", (), "playbooks and roles, production profile", _ansible_lint, fast=True),
    Stage("build", (), "the archive, judged by galaxy-importer", _build, fast=True),
    Stage("sanity", ("sanities",), "ansible-test sanity", _ansible_test(_main, "sanity")),
    Stage("sanity-newest", ("sanities",), "ansible-test sanity, newest ansible-core", _ansible_test(_newest, "sanity")),
    Stage("ansible-units", ("ansible-units-all",), "ansible-test units", _ansible_test_units(_main)),
    Stage(
        "ansible-units-newest",
        ("ansible-units-all",),
        "ansible-test units, newest ansible-core",
        _ansible_test_units(_newest),
    ),
    Stage(
        "ansible-units-oldest",
        ("ansible-units-all",),
        "ansible-test units of what is sent to hosts, oldest Python",
        _ansible_test_units(_main, _oldest),
    ),
    Stage("integration", (), "modules on real engines", _integration, needs_lab=True),
    Stage("paths", (), "computed paths of packets against a real kernel's", _paths, needs_lab=True),
    Stage("molecule", (), "roles on real engines", _molecule, needs_lab=True),
    Stage("smoke-newest", (), "the site playbook, newest ansible-core", _smoke_newest, needs_lab=True),
    # Last: what a README shows may take the lab down.
    Stage("readme", (), "the commands that README.md shows", _readme, needs_lab=True),
)
LAB = Stage("lab", (), "real Docker hosts for the stages below", _lab_up)


# --- running them


def run(stage: Stage, options: argparse.Namespace) -> Outcome:
    """Run all commands of one stage, also after one has failed, streaming what they print."""
    _headline(f"{stage.name}: {stage.about}")
    started = time.monotonic()
    skipped = 0
    wrongs: list[str] = []
    try:
        for command in stage.commands(options):
            wrong, more = _stream(command)
            skipped += more
            if wrong:
                wrongs.append(wrong)
    except Skip as reason:
        if not wrongs:
            print(f"skipped: {reason}", flush=True)
            return Outcome(stage, "skipped", time.monotonic() - started, str(reason), skipped)
    except (toolchain.ToolchainError, OSError, subprocess.CalledProcessError) as error:
        print(f"{stage.name}: {error}", flush=True)
        wrongs.append(str(error))
    result = "failed" if wrongs else "passed"
    return Outcome(stage, result, time.monotonic() - started, "; ".join(wrongs), skipped)


def _stream(command: Command) -> tuple[str, int]:
    """Run a command, show what it prints, and return what went wrong, if anything, and how many tests it skipped."""
    environment = {"COLUMNS": "140", **os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", **command.env}
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        environment.update(FORCE_COLOR="1", PY_COLORS="1", ANSIBLE_FORCE_COLOR="1")
    else:
        environment.update(NO_COLOR="1", ANSIBLE_NOCOLOR="1")
    process = subprocess.Popen(
        [str(part) for part in command.argv],
        cwd=command.cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    skipped, wrong = 0, ""
    with process:
        for line in t.cast("t.IO[str]", process.stdout):
            print(line, end="", flush=True)
            plain = re.sub(r"\x1b\[[0-9;]*m", "", line)
            skipped += skipped_in(plain)
            if TESTED_NOTHING.search(plain):
                wrong = "it looked at nothing at all"
            elif command.complaint and re.search(command.complaint, plain):
                wrong = f"it says: {plain.strip()[:100]}"
    if process.returncode != 0:
        program = Path(str(command.argv[0])).name
        wrong = f"{' '.join([program, *(str(part) for part in command.argv[-2:])])}: status {process.returncode}"
    return wrong, skipped


def skipped_in(line: str) -> int:
    """Return how many tests pytest's closing line says were skipped, 0 for any other line."""
    if not re.match(r"(=+ )?\d+ (passed|failed|skipped|errors?|deselected)\b.* in [\d.]+s\b", line):
        return 0
    found = re.search(r"\b(\d+) skipped\b", line)
    return int(found.group(1)) if found else 0


def _headline(text: str) -> None:
    print(f"\n=== {text}", flush=True)


def run_all(stages: t.Sequence[Stage], options: argparse.Namespace) -> list[Outcome]:
    """Run the stages in order; the slow ones only if no fast one failed, unless asked to keep going."""
    planned = list(stages)
    first = next((index for index, stage in enumerate(planned) if stage.needs_lab), None)
    if first is not None:
        planned.insert(first, LAB)
    outcomes: list[Outcome] = []
    try:
        for stage in planned:
            reason = _in_the_way(stage, outcomes, options)
            outcomes.append(Outcome(stage, "skipped", 0.0, f"not run: {reason}") if reason else run(stage, options))
    finally:
        if any(outcome.stage is LAB and outcome.result != "skipped" for outcome in outcomes) and not options.keep_lab:
            for number in _integration_labs():
                _stream(_lab("down", number=number))
    return outcomes


def _in_the_way(stage: Stage, outcomes: t.Sequence[Outcome], options: argparse.Namespace) -> str:
    broken = [outcome.stage for outcome in outcomes if outcome.result != "passed"]
    if stage.needs_lab and LAB in broken:
        return "the lab is not up"
    failed = [outcome.stage.name for outcome in outcomes if outcome.result == "failed" and outcome.stage.fast]
    if failed and not stage.fast and not options.keep_going:
        return f"failed before it: {', '.join(failed)}; KEEP_GOING=1 runs it all the same"
    return ""


def table(outcomes: t.Sequence[Outcome]) -> str:
    """Return the closing table; its last line alone says how it went."""
    width = max(len(outcome.stage.name) for outcome in outcomes)
    lines = ["", "=== result"]
    for outcome in outcomes:
        note = outcome.note
        if outcome.tests_skipped:
            note = f"{note + '; ' if note else ''}{outcome.tests_skipped} tests skipped inside, reasons above"
        lines.append(f"  {outcome.result:<7}  {outcome.stage.name:<{width}}  {outcome.seconds:7.1f} s  {note}".rstrip())
    counts = {
        result: sum(outcome.result == result for outcome in outcomes) for result in ("passed", "failed", "skipped")
    }
    inside = sum(outcome.tests_skipped for outcome in outcomes)
    lines.append(
        f"  total    {'':<{width}}  {sum(outcome.seconds for outcome in outcomes):7.1f} s  tests skipped inside stages: {inside}"
    )
    lines.append("stages: " + ", ".join(f"{number} {result}" for result, number in counts.items()))
    return "\n".join(lines)


def choose(words: t.Sequence[str]) -> list[Stage]:
    """Return the stages that ``words`` name, by name or group, in running order; all for no words."""
    known = {stage.name for stage in STAGES} | {group for stage in STAGES for group in stage.groups}
    unknown = sorted(set(words) - known)
    if unknown:
        raise SystemExit(
            f"stages: there is no stage or group {', '.join(unknown)}; there are: {', '.join(sorted(known))}"
        )
    return [stage for stage in STAGES if not words or {stage.name, *stage.groups} & set(words)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="*", metavar="STAGE", help="names or groups; all if none is given")
    parser.add_argument("--list", action="store_true", help="list the stages")
    parser.add_argument("--pytest", help="what pytest gets instead of the whole folder, e.g. PATH::test_name")
    parser.add_argument("--scenario", help="one Molecule scenario")
    parser.add_argument("--engine", choices=ENGINES, help="one engine generation")
    parser.add_argument("--target", help="one module's integration tests, or PATH::test_name")
    parser.add_argument("--keep-going", action="store_true", default=bool(os.environ.get("KEEP_GOING")))
    parser.add_argument("--keep-lab", action="store_true", default=bool(os.environ.get("KEEP_LAB")))
    options = parser.parse_args()
    if options.list:
        for stage in STAGES:
            print(f"  {stage.name:<22} {stage.about}{'' if stage.fast else ' (slow)'}")
        return 0
    outcomes = run_all(choose(options.stages), options)
    print(table(outcomes), flush=True)
    return 1 if any(outcome.result == "failed" for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
