# Copyright (c) 2026, the bulkhead.docker authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every module, role and file of this collection keeps, whoever adds it."""

from __future__ import annotations

import ast
import re
import subprocess
import typing as t
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FQCN = "bulkhead.docker"
MODULES = sorted((ROOT / "plugins/modules").glob("[a-z]*.py"))
ROLES = sorted(path for path in (ROOT / "roles").glob("*") if path.is_dir())
PURE = ROOT / "plugins/module_utils/_core"

# Where a person or a machine keeps its checkouts says nothing to anybody else.
MACHINE_PATHS = re.compile(
    r"(?<![\w.~/}-])/(?:work|root|opt|srv|home/[a-z])/[\w.]|\.\./shared/(?:design|research|hooks)\b"
)

each_module = pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
each_role = pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)


def strings(module: Path) -> dict[str, str]:
    """Return the module's top-level string constants (DOCUMENTATION, EXAMPLES, RETURN, ...)."""
    found = {}
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            found.update({target.id: node.value.value for target in node.targets if isinstance(target, ast.Name)})
    return found


def fragment_attributes(name: str) -> dict[str, t.Any]:
    """Return the attributes of one documentation fragment, named as modules name it."""
    parts = name.split(".")
    attribute = parts[3].upper() if len(parts) == 4 else "DOCUMENTATION"
    path = ROOT / "plugins/doc_fragments" / f"{parts[2]}.py"
    if not name.startswith(f"{FQCN}."):
        return {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == attribute:
            return (yaml.safe_load(ast.literal_eval(node.value)) or {}).get("attributes", {})
    return {}


def attributes(module: Path) -> dict[str, t.Any]:
    documentation = yaml.safe_load(strings(module)["DOCUMENTATION"])
    merged: dict[str, t.Any] = {}
    for fragment in documentation.get("extends_documentation_fragment", []):
        for name, value in fragment_attributes(fragment).items():
            merged[name] = {**merged.get(name, {}), **value}
    for name, value in documentation.get("attributes", {}).items():
        merged[name] = {**merged.get(name, {}), **value}
    return merged


def read_yaml(path: Path) -> t.Any:
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None


# --- modules


@each_module
def test_a_module_documents_itself_under_its_own_name(module: Path) -> None:
    documentation = yaml.safe_load(strings(module)["DOCUMENTATION"])
    assert documentation["module"] == module.stem
    assert documentation["short_description"]


@each_module
def test_a_module_supports_check_mode_diff_and_idempotence_in_full(module: Path) -> None:
    found = {name: value.get("support") for name, value in attributes(module).items()}
    diff = ("full", "N/A") if module.stem.endswith("_info") else ("full",)
    assert found.get("check_mode") == "full"
    assert found.get("diff_mode") in diff
    assert found.get("idempotent") == "full"
    assert found.get("platform") == "full"
    assert found.get("action_group") == "full"


@each_module
def test_the_examples_of_a_module_are_tasks_that_call_it_by_its_full_name(module: Path) -> None:
    tasks = yaml.safe_load(strings(module)["EXAMPLES"])
    assert isinstance(tasks, list) and tasks
    assert all(task.get("name") for task in tasks), "an example has no name"
    text = strings(module)["EXAMPLES"]
    assert f"{FQCN}.{module.stem}:" in text


@each_module
def test_a_module_documents_each_key_that_it_returns(module: Path) -> None:
    keys = yaml.safe_load(strings(module)["RETURN"])
    assert keys
    for name, value in keys.items():
        assert {"description", "returned", "type"} <= set(value), f"{name} says too little"


@each_module
def test_a_module_is_a_door_to_the_pure_core_and_holds_no_logic(module: Path) -> None:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert any(re.search(r"\bmodule_utils\._core\b", name) for name in imported), "it imports nothing from _core"
    assert not any(isinstance(node, ast.ClassDef) for node in tree.body), "a class belongs into the core or an edge"


@each_module
def test_a_module_has_unit_tests_of_its_own(module: Path) -> None:
    folder = ROOT / "tests/unit/plugins/modules"
    assert (folder / f"test_{module.stem}.py").exists() or (folder / "cases" / module.stem).is_dir()


def test_the_action_group_lists_exactly_the_modules() -> None:
    group = read_yaml(ROOT / "meta/runtime.yml")["action_groups"]["docker"]
    assert group == sorted(module.stem for module in MODULES)


@each_module
def test_the_readme_names_a_module(module: Path) -> None:
    assert re.search(rf"\b{module.stem}\b", (ROOT / "README.md").read_text(encoding="utf-8"))


# --- roles


@each_role
def test_a_role_has_a_readme(role: Path) -> None:
    assert role.name in (role / "README.md").read_text(encoding="utf-8")


@each_role
def test_the_defaults_of_a_role_are_those_of_its_argument_specs(role: Path) -> None:
    specs = read_yaml(role / "meta/argument_specs.yml")["argument_specs"]
    said = {name: option for entry in specs.values() for name, option in (entry.get("options") or {}).items()}
    set_to = read_yaml(role / "defaults/main.yml") or {}
    expected = {name: option["default"] for name, option in said.items() if "default" in option}
    assert set_to == expected


@each_role
def test_the_options_of_a_role_carry_its_name_and_a_description(role: Path) -> None:
    for entry in read_yaml(role / "meta/argument_specs.yml")["argument_specs"].values():
        assert entry.get("short_description")
        for name, option in (entry.get("options") or {}).items():
            assert name.startswith(f"{role.name}_")
            assert option.get("description"), f"{name} has no description"


@each_role
def test_a_role_has_a_molecule_scenario_that_converges_and_verifies(role: Path) -> None:
    scenario = ROOT / "extensions/molecule" / role.name
    missing = [name for name in ("molecule.yml", "converge.yml", "verify.yml") if not (scenario / name).exists()]
    assert missing == []


@each_role
def test_the_readme_names_a_role(role: Path) -> None:
    assert re.search(rf"\b{role.name}\b", (ROOT / "README.md").read_text(encoding="utf-8"))


def test_no_scenario_is_left_of_a_role_that_is_gone() -> None:
    scenarios = {path.parent.name for path in (ROOT / "extensions/molecule").glob("*/molecule.yml")}
    assert scenarios - {"default"} <= {role.name for role in ROLES}


# --- files


def files() -> list[Path]:
    argv = ["git", "-C", str(ROOT), "ls-files", "-z", "-co", "--exclude-standard"]
    names = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split("\0")
    return sorted(ROOT / name for name in names if name and (ROOT / name).is_file())


def python_files() -> list[Path]:
    return [path for path in files() if path.suffix == ".py" and path.stat().st_size]


def test_no_file_knows_where_a_checkout_lies() -> None:
    guilty = []
    for path in files():
        if path == Path(__file__).resolve() or path.name == "COPYING":
            continue
        text = path.read_bytes().decode("utf-8", "replace")
        guilty += [f"{path.relative_to(ROOT)}: {found.group()}" for found in MACHINE_PATHS.finditer(text)]
    assert guilty == []


def test_every_python_file_says_its_licence() -> None:
    line = "# SPDX-License-Identifier: GPL-3.0-or-later"
    silent = [path for path in python_files() if line not in path.read_text(encoding="utf-8")[:400]]
    assert silent == []


def test_no_file_is_named_after_nothing_in_particular() -> None:
    empty_words = {"utils", "util", "helper", "helpers", "manager", "misc", "common"}
    assert [path for path in python_files() if empty_words & set(path.stem.strip("_").split("_"))] == []


def test_no_ignore_file_hides_a_sanity_failure() -> None:
    assert list((ROOT / "tests/sanity").glob("ignore*")) == []


@pytest.mark.parametrize("folder", ["plugins", "roles", "playbooks"])
def test_nothing_of_a_run_reads_what_is_not_published(folder: str) -> None:
    outside = re.compile(r"\b(?:tests|examples|extensions|docs)/(?!docsite)\w+[\w/]*\.(?:ya?ml|j2|json|py)\b")
    guilty = []
    for path in files():
        if (ROOT / folder) in path.parents and path.suffix in (".py", ".yml", ".j2"):
            code = re.sub(r"(?m)^\s*#.*$", "", path.read_text(encoding="utf-8"))
            guilty += [f"{path.relative_to(ROOT)}: {found.group()}" for found in outside.finditer(code)]
    assert guilty == []
