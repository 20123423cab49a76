"""Imports point downwards only: read off the source of every module, without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import causal_s4

PACKAGE = Path(causal_s4.__file__).parent
ROOMS = {"dag", "emulation", "propensity", "survival", "inference", "sensitivity", "simulate"}
LAYERS = (
    {"errors", "kernels", "background"},
    {"arguments"},
    {"protocol"},
    {"results"},
    {"cohort", "design_matrix", "workers"},
    ROOMS,
    {"comparison", "estimation", "resampled", "missing_data"},
    {"study", "fixed_arms", "time_zero", "pooling", "probe", "ladder", "scaffold", "report"},
    {"cli"},
)
"""From the bottom to the top. A module imports its own part and those of lower layers."""
SHARED_LAYERS = {
    "comparison",
    "estimation",
    "resampled",
    "missing_data",
    "study",
    "fixed_arms",
    "time_zero",
    "pooling",
    "probe",
    "ladder",
}
"""Parts that may import others of their own layer."""
REPORT_READS = {"report", "results", "protocol", "errors", "background"}
WRITES_ITSELF = {
    (f"results/{file}.py", f"causal_s4.report.{name}")
    for file, names in {
        "study": ("write", "results_json", "read_back", "notebook", "plots"),
        "effects": ("notebook",),
        "weights": ("notebook",),
        "time_zero": ("bias_ladder",),
    }.items()
    for name in names
}
"""The one exception: a result writes and draws itself, by an import inside its methods."""
RANK = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}


@dataclass(frozen=True)
class Import:
    """One import statement of ours."""

    file: str
    line: int
    module: str
    in_function: bool

    @property
    def importer(self) -> str:
        return Path(self.file).parts[0].removesuffix(".py")

    @property
    def imported(self) -> str:
        return self.module.split(".")[1] if self.module.startswith("causal_s4.") else ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


def _imports(path: Path) -> Iterator[Import]:
    file = path.relative_to(PACKAGE).as_posix()

    def walk(node: ast.AST, in_function: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue  # read by type checkers alone
            inside = in_function or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(file, child.lineno, alias.name, in_function)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{file}:{child.lineno} is a relative import"
                names = [f"{child.module}.{alias.name}" for alias in child.names]
                known = [name for name in names if child.module == "causal_s4" and name.split(".")[1] in RANK]
                for module in known or [str(child.module)]:
                    yield Import(file, child.lineno, module, in_function)
            yield from walk(child, inside)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), False)


ALL = [each for path in sorted(PACKAGE.rglob("*.py")) for each in _imports(path)]
OURS = [each for each in ALL if each.importer in RANK and each.imported in RANK]


def test_the_walk_sees_imports_at_the_top_and_inside_functions() -> None:
    assert any(str(each).endswith("imports causal_s4.dag") and each.file == "study.py" for each in OURS)
    assert any(each.file == "cli.py" and each.module == "causal_s4.study" and each.in_function for each in OURS)
    assert {each.importer for each in OURS} >= {"study", "report", "kernels", *ROOMS} - {"errors"}


def test_every_part_of_the_package_has_its_layer() -> None:
    parts = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in PACKAGE.rglob("*.py")}
    assert parts - {"__init__"} - set(RANK) == set()


def test_imports_point_downwards() -> None:
    upwards = [
        str(each)
        for each in OURS
        if RANK[each.imported] > RANK[each.importer] and (each.file, each.module) not in WRITES_ITSELF
    ]
    assert upwards == []


def test_only_methods_of_results_reach_up_to_the_report() -> None:
    exceptions = [each for each in OURS if (each.file, each.module) in WRITES_ITSELF]
    assert exceptions
    assert all(each.in_function for each in exceptions)


def test_rooms_and_other_parts_of_one_layer_do_not_import_each_other() -> None:
    sideways = [
        str(each)
        for each in OURS
        if each.importer != each.imported
        and RANK[each.imported] == RANK[each.importer]
        and not (each.importer in SHARED_LAYERS and each.imported in SHARED_LAYERS)
    ]
    assert sideways == []


def test_kernels_import_nothing_of_ours() -> None:
    assert [str(each) for each in OURS if each.importer == "kernels" and each.imported != "kernels"] == []


def test_the_report_reads_results_and_computes_nothing() -> None:
    assert [str(each) for each in OURS if each.importer == "report" and each.imported not in REPORT_READS] == []


@pytest.mark.parametrize(("library", "home"), [("dowhy", "dag/identify.py"), ("matplotlib", "report/")])
def test_slow_libraries_are_imported_at_home_and_inside_functions(library: str, home: str) -> None:
    found = [each for each in ALL if each.module.split(".")[0] == library]
    assert found
    assert [str(each) for each in found if not (each.file.startswith(home) and each.in_function)] == []


def test_the_root_loads_nothing_until_a_name_is_used() -> None:
    modules = {each.module.split(".")[0] for each in ALL if each.file == "__init__.py"}
    assert modules == {"__future__", "importlib", "typing"}
