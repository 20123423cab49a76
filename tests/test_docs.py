"""The documentation: its pages exist, say something of everything public, and are made from real runs."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import causal_s4 as s4
from causal_s4.cli import main
from causal_s4.errors import CausalS4Error
from causal_s4.probe.registry import ANALYSES
from causal_s4.protocol.methods import SENSITIVITY_ANALYSES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md")) + sorted((DOCS / "api").glob("*.md"))
# Public names that estimate something, or say what an estimate needs: each has a number of other software.
ESTIMATORS = {
    "Dag.adjustment_sets",
    "Dag.implied_independencies",
    "bias_ladder",
    "check_alignment",
    "check_balance",
    "check_positivity",
    "clone_censor",
    "estimate_effects",
    "evalue",
    "landmark_cohort",
    "rosenbaum_bounds",
    "survival_curves",
    "time_dependent_table",
    "tipping_point",
    "true_effects",
    "weigh",
}
# The others are values, readers and errors, or put the estimators together.
NOT_ESTIMATORS = {
    "CausalS4Error",
    "Cohort",
    "Dag",
    "InputError",
    "Protocol",
    "QuestionError",
    "RiskTable",
    "Study",
    "Weights",
    "run_study",
    "simulate",
}


@pytest.fixture(scope="module", autouse=True)
def importable() -> Any:
    """The root of the repository, from which the pages are made."""
    sys.path.insert(0, str(ROOT))
    yield
    sys.path.remove(str(ROOT))


def text_of(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def included(page: str) -> list[str]:
    return re.findall(r'--8<-- "generated/([^"]+)"', page)


# --- the pages themselves -----------------------------------------------------------------------


def test_every_page_is_in_the_navigation_and_every_entry_is_a_page() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:", 1)[1]
    listed = re.findall(r": ([\w/-]+\.md)$", navigation, flags=re.MULTILINE)
    assert sorted(listed) == sorted(page.relative_to(DOCS).as_posix() for page in PAGES)


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]*)", page.read_text(encoding="utf-8")):
            assert not target or "generated/" in target or (page.parent / target).exists(), (page.name, target)


def test_nothing_is_fetched_by_the_site() -> None:
    """Fonts and scripts lie beside the pages; links a reader may follow are the only addresses."""
    assert "font: false" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in PAGES:
        assert not re.search(r"!\[[^\]]*\]\(https?:|<(?:script|img|link|iframe)\b", page.read_text(encoding="utf-8"))
    for file in (DOCS / "assets").iterdir():
        assert "http" not in file.read_text(encoding="utf-8")


def test_every_include_belongs_to_a_part_that_is_made() -> None:
    from docs.make.__main__ import PARTS

    parts = {name.split("/")[0] for page in PAGES for name in included(page.read_text(encoding="utf-8"))}
    assert parts == set(PARTS)


def test_no_number_of_a_run_is_typed_into_a_page() -> None:
    """Intervals come from generated files; those typed in are published ones, beside their DOI."""
    for page in PAGES:
        for block in page.read_text(encoding="utf-8").split("\n\n"):
            if re.search(r"\(\d\.\d+ to \d\.\d+\)|CI \d", block):
                assert "doi.org/" in block, (page.name, block)


# --- everything public is described -------------------------------------------------------------


def test_every_public_name_has_an_entry() -> None:
    from docs.make.api_names import documented, public_homes

    entries = documented()
    assert set(public_homes()) == set(s4.__all__) - {"__version__"}
    for name, home in public_homes().items():
        assert f"{home}.{name}" in entries


def test_every_error_has_an_entry() -> None:
    from docs.make.api_names import documented

    def below(kind: type) -> set[type]:
        return {kind}.union(*(below(each) for each in kind.__subclasses__()))

    own = {kind for kind in below(CausalS4Error) if kind.__module__ == "causal_s4.errors"}
    assert {f"causal_s4.errors.{kind.__name__}" for kind in own} <= set(documented())


def test_every_sensitivity_analysis_says_its_question() -> None:
    page = text_of("sensitivity.md")
    for name in SENSITIVITY_ANALYSES:
        assert f"| `{name}` | " in page, name


def test_every_key_of_a_study_file_is_described(tmp_path: Path) -> None:
    from docs.make.study_file import write_study_file

    write_study_file(tmp_path)
    page = (tmp_path / "keys.md").read_text(encoding="utf-8")
    schema = json.loads((tmp_path / "schema.json").read_text(encoding="utf-8"))
    assert schema == s4.Protocol.json_schema()

    def keys(part: Any) -> set[str]:
        if isinstance(part, list):
            return set().union(*map(keys, part))
        if not isinstance(part, dict):
            return set()
        own = set(part.get("properties", ()))
        return own.union(*(keys(each) for each in part.values()))

    sections = set(re.findall(r"^### `\[+(\w+)\]+", page, flags=re.MULTILINE))
    blocks = (tmp_path / "sensitivity.md").read_text(encoding="utf-8")
    for key in keys(schema):
        assert f"| `{key}` |" in page + blocks or key in {*sections, "sensitivity"}, key
    for analysis in ANALYSES.values():
        assert all(f"`{option}`: " in blocks for option in analysis.options)
    rows = re.findall(r"^\| `\w+` \| (.*?) \|", page, flags=re.MULTILINE)
    assert rows
    assert all(rows)
    for design in ("baseline", "landmark", "time-dependent", "clone-censor-weight"):
        assert f"| `{design}` |" in (tmp_path / "designs.md").read_text(encoding="utf-8")


def test_every_command_and_option_is_described(tmp_path: Path) -> None:
    from docs.make.command_line import write_command_line

    write_command_line(tmp_path)
    page = (tmp_path / "commands.md").read_text(encoding="utf-8")
    for name, command in main.commands.items():
        assert f"### `{name}`" in page
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert parameter.opts[0] in page


def test_every_package_needed_is_listed_with_a_licence(tmp_path: Path) -> None:
    from docs.make.licences import write_licences

    write_licences(tmp_path)
    rows = (tmp_path / "licences.md").read_text(encoding="utf-8").splitlines()[2:]
    direct = {row.split(" | ")[0].removeprefix("| ") for row in rows if "| directly |" in row}
    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("dependencies = [", 1)[1].split("\n]", 1)[0]
    assert direct == {name.lower() for name in re.findall(r'^\s*"([\w-]+)', declared, flags=re.MULTILINE)}
    assert all(len(row.split(" | ")[2]) > 2 for row in rows)


# --- real runs ----------------------------------------------------------------------------------


def test_bad_inputs_are_given_to_the_real_command(tmp_path: Path) -> None:
    from docs.make.bad_inputs import ending, write_bad_inputs

    write_bad_inputs(tmp_path, most=1)
    page = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert page.count("| 2 |") == 5
    assert page.count("| 3 |") == 1
    assert "Traceback" not in page
    assert str(tmp_path) not in page
    with pytest.raises(RuntimeError, match="ended well"):
        ending(["evalue", "0.7"], str(tmp_path))


@pytest.fixture(scope="module")
def pairs() -> list[Any]:
    """Our numbers and R's, where they are quick to make."""
    from docs.make.comparisons import SOURCES

    return [pair for name in ("graphs", "overlap", "time-zero", "doubt", "truth") for pair in SOURCES[name]()]


def test_our_numbers_are_rs(pairs: list[Any], tmp_path: Path) -> None:
    from docs.make.against_r import write_against_r

    write_against_r(tmp_path, pairs)
    assert max(pair.difference for pair in pairs) < 1e-6
    page = (tmp_path / "numbers.md").read_text(encoding="utf-8")
    assert all(f"### `{pair.function}`" in page for pair in pairs)
    assert f"| `evalue` | {sum(pair.function == 'evalue' for pair in pairs)} |" in (tmp_path / "summary.md").read_text()


def test_every_public_estimator_is_held_against_other_software(pairs: list[Any]) -> None:
    from docs.make.comparisons import SOURCES

    named = {name for name in ESTIMATORS if "." not in name}
    assert named | NOT_ESTIMATORS == set(s4.__all__) - {"__version__"}
    slower = {next(iter(SOURCES[name]())).function for name in ("propensity", "balance", "curves", "effects")}
    assert slower | {pair.function for pair in pairs} == ESTIMATORS


def test_a_text_of_the_repository_loses_its_title_and_its_links_to_files(tmp_path: Path) -> None:
    from docs.make.repository import body, validation

    found = body(
        "# Title\n\nSee [data](../data/README.md), [x](https://x.org).\n\n## Part\n\n```\n# not a heading\n```\n"
    )
    assert found == "See data, [x](https://x.org).\n\n### Part\n\n```\n# not a heading\n```\n"
    study = tmp_path / "study"
    study.mkdir()
    assert "has not been run" in validation(tmp_path, study)
    (study / "README.md").write_text("# Truth\n\nIt works.\n", encoding="utf-8")
    (study / "table.csv").write_text("bias\n0\n", encoding="utf-8")
    assert validation(tmp_path, study).startswith("It works.")
    assert (tmp_path / "validation.csv").exists()


def test_tables_keep_what_would_break_them() -> None:
    from docs.make.markdown import plain, table

    assert plain("<script>[a](b)_c_") == "&#60;script&#62;&#91;a&#93;(b)&#95;c&#95;"
    assert table(("a", "b"), [("x|y", 1)], right=(1,)) == "| a | b |\n| --- | ---: |\n| x\\|y | 1 |\n"


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    """Everything is run and every page is made; nothing in them is fetched from elsewhere."""
    pytest.importorskip("material", reason="mkdocs-material is not installed")
    from docs.make.__main__ import main as make
    from docs.make.markdown import python

    assert make([]) == 0
    built = python(["-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")], ROOT)
    assert built.returncode == 0, built.stderr
    for page in (tmp_path / "site").rglob("*.html"):
        assert not re.search(r"""<(?:script|img|link|iframe)[^>]+(?:src|href)=["']https?:""", page.read_text("utf-8"))
