"""Starting is quick because nothing heavy is loaded: which modules are, not how long it takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "pandas",
    "scipy",
    "dowhy",
    "lifelines",
    "matplotlib",
    "statsmodels",
    "sklearn",
    "numba",
    "networkx",
    "pydantic",
}


def loaded_by(code: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter holds after running code."""
    script = f"{code}\nimport sys\nprint('\\n'.join({{name.split('.')[0] for name in sys.modules}}), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "code",
    [
        "import causal_s4; dir(causal_s4); causal_s4.__version__",
        "import causal_s4.cli",
        "from click.testing import CliRunner; from causal_s4.cli import main; CliRunner().invoke(main, ['--help'])",
        "from click.testing import CliRunner; from causal_s4.cli import main; CliRunner().invoke(main, ['run', '--help'])",
    ],
    ids=["the package", "the command line", "its help", "the help of run"],
)
def test_nothing_heavy_is_loaded(code: str) -> None:
    assert loaded_by(code) & HEAVY == set()


def test_the_check_itself_sees_what_is_loaded() -> None:
    assert "networkx" in loaded_by("import causal_s4; causal_s4.Dag")


def test_a_graph_is_read_without_the_libraries_of_estimation() -> None:
    graph = Path(__file__).parents[1] / "analyses" / "rotterdam_hormone" / "rotterdam.dag"
    code = f"import causal_s4; causal_s4.Dag.read({str(graph)!r}).adjustment_sets()"
    assert loaded_by(code) & {"dowhy", "lifelines", "matplotlib", "statsmodels", "sklearn"} == set()


def test_a_study_that_is_refused_by_its_text_costs_no_second_opinion(tmp_path: Path) -> None:
    study = tmp_path / "study.toml"
    study.write_text("title = 1\n", encoding="utf-8")
    code = (
        "from click.testing import CliRunner; from causal_s4.cli import main; "
        f"assert CliRunner().invoke(main, ['run', {str(study)!r}, '--out', 'unused']).exit_code == 2"
    )
    assert loaded_by(code) & {"dowhy", "matplotlib"} == set()


def test_all_public_names_can_be_listed_and_loaded() -> None:
    import causal_s4

    for name in causal_s4.__all__:
        assert getattr(causal_s4, name) is not None
    assert set(causal_s4.__all__) <= set(dir(causal_s4))
    with pytest.raises(AttributeError, match="no attribute 'nothing_of_the_kind'"):
        causal_s4.nothing_of_the_kind  # noqa: B018
