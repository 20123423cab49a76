"""Long runs: interrupted and continued, shared among workers, and followed on a terminal. No number may change."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from small_study import STUDY, cohort, without_dowhy, write_study

import causal_s4 as s4
from causal_s4 import cli, workers
from causal_s4.cli import main
from causal_s4.errors import DataError, UsageError

BOOTSTRAP = f'{STUDY}[inference]\nmethod = "bootstrap"\nreplicates = 5000\n'
"""Of 240 patients: four blocks of replicates for each of two comparisons."""


@pytest.fixture(autouse=True)
def results_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write results.json and not the report, which takes seconds."""

    def write(result: Any, folder: Path) -> None:
        folder.mkdir()
        (folder / "results.json").write_text(result.to_json(), encoding="utf-8")

    monkeypatch.setattr("causal_s4.results.StudyResult.write", write)


@pytest.fixture(scope="module", autouse=True)
def spared() -> Iterator[None]:
    with without_dowhy():
        yield


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the results of a run that nothing interrupts, on one worker."""
    return str(s4.Study.read(write_study(tmp_path_factory.mktemp("whole"), study=BOOTSTRAP)).run(jobs=1).to_json())


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(tmp_path, study=BOOTSTRAP)


def run(study: Path, *options: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in ("run", study, "--out", study.parent / "out", *options)])


def refused(study: Path, *options: object) -> str:
    result = run(study, *options)
    assert result.exit_code == 2, result.output
    assert not (study.parent / "out").exists()
    return result.stderr


def kept(study: Path) -> list[str]:
    """Return what is kept beside the report's folder."""
    folder = study.parent / ".out.blocks"
    return sorted(path.suffix for path in folder.iterdir()) if folder.exists() else []


def interrupt_after(monkeypatch: pytest.MonkeyPatch, blocks: int) -> list[workers.Block]:
    """Press Ctrl-C once some blocks are kept; return the blocks, as they come."""
    save, saved = workers.KeptBlocks.save, []

    def saving(self: workers.KeptBlocks, block: workers.Block, answer: workers.Answer) -> None:
        save(self, block, answer)
        saved.append(block)
        if len(saved) == blocks:
            raise KeyboardInterrupt

    monkeypatch.setattr(workers.KeptBlocks, "save", saving)
    return saved


# --- interrupted and continued ------------------------------------------------------------------


def test_killed_and_continued_equals_uninterrupted(study: Path, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed outright, in the middle: the system gives the program no chance to tidy up."""
    code = f"""
import os, signal
from causal_s4 import cli, study, workers
study.second_opinion = lambda *given, **more: "agrees"
save, saved = workers.KeptBlocks.save, []
def saving(self, block, answer):
    save(self, block, answer)
    saved.append(block)
    if len(saved) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
workers.KeptBlocks.save = saving
cli.main(["run", {str(study)!r}, "--out", {str(study.parent / "out")!r}, "--resume"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert kept(study) == [".json", ".npz", ".npz", ".npz"]
    assert not (study.parent / "out").exists()

    saved = interrupt_after(monkeypatch, blocks=-1)
    result = run(study, "--resume")
    assert result.exit_code == 0, result.output
    assert len(saved) == 5  # of eight
    assert (study.parent / "out" / "results.json").read_text(encoding="utf-8") == expected
    assert kept(study) == []


def test_ctrl_c_keeps_whole_blocks_and_says_so(study: Path, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        interrupt_after(patched, blocks=2)
        result = run(study, "--resume", "--jobs", 2)
    assert result.exit_code == 130
    assert "Finished blocks are kept: the same command continues from them" in result.stderr
    assert kept(study) == [".json", ".npz", ".npz"]
    assert sorted(path.name for path in study.parent.iterdir()) == [
        ".out.blocks",
        "cohort.csv",
        "small.dag",
        study.name,
    ]

    assert run(study, "--resume").exit_code == 0
    assert (study.parent / "out" / "results.json").read_text(encoding="utf-8") == expected


def test_without_resume_nothing_is_kept(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = interrupt_after(monkeypatch, blocks=1)
    before = sorted(study.parent.iterdir())
    monkeypatch.setattr(
        "causal_s4.results.StudyResult.write", lambda result, folder: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    result = run(study)
    assert (result.exit_code, saved) == (130, [])
    assert "interrupted; nothing was written" in result.stderr
    assert sorted(study.parent.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "changed"),
    [("study.toml", "the study file"), ("cohort.csv", "the data"), ("small.dag", "the graph")],
)
def test_blocks_of_another_study_are_refused(
    study: Path, name: str, changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        interrupt_after(patched, blocks=1)
        assert run(study, "--resume").exit_code == 130
    file = study.parent / name
    text = file.read_text(encoding="utf-8")
    change = {
        "study.toml": text.replace("seed = 7", "seed = 8"),
        "cohort.csv": cohort().iloc[1:].to_csv(index=False),
        "small.dag": text.replace("age -> ", "sites -> age\nage -> "),
    }
    file.write_text(change[name], encoding="utf-8")
    said = refused(study, "--resume")
    assert f"holds finished blocks of another study: {changed} changed since" in said
    assert ".out.blocks" in said
    assert kept(study) == [".json", ".npz"]


def test_the_number_of_workers_and_the_layout_of_the_file_are_no_change(
    study: Path, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        interrupt_after(patched, blocks=1)
        assert run(study, "--resume").exit_code == 130
    study.write_text(f"# the same question\n{BOOTSTRAP}jobs = 2\n", encoding="utf-8")
    saved = interrupt_after(monkeypatch, blocks=-1)
    assert run(study, "--resume").exit_code == 0
    assert len(saved) == 7
    assert (
        json.loads((study.parent / "out" / "results.json").read_text())["estimates"]
        == json.loads(expected)["estimates"]
    )


def test_a_folder_of_other_files_is_not_taken_for_blocks(study: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="holds other files"):
        s4.Study.read(study).run(resume=tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


# --- workers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_workers_change_no_byte(study: Path, expected: str, jobs: int) -> None:
    result = run(study, "--jobs", jobs)
    assert result.exit_code == 0, result.output
    assert (study.parent / "out" / "results.json").read_text(encoding="utf-8") == expected


@pytest.mark.slow
def test_a_cluster_changes_no_byte(study: Path, expected: str) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, worker_dashboard_address=None
    ) as cluster:
        result = run(study, "--cluster", cluster.scheduler_address)
    assert result.exit_code == 0, result.output
    assert (study.parent / "out" / "results.json").read_text(encoding="utf-8") == expected


@pytest.mark.slow
def test_a_cluster_without_workers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(workers, "_PATIENCE", 1)
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=None) as cluster,
        pytest.raises(UsageError, match="has no workers: start some with"),
    ):
        workers.check_cluster(cluster.scheduler_address)


def test_a_cluster_that_does_not_answer_is_named_at_once(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(workers, "_PATIENCE", 1)
    said = refused(study, "--cluster", "tcp://127.0.0.1:1")
    assert "no Dask scheduler answers at 'tcp://127.0.0.1:1'" in said
    assert "Reading" not in said


def test_a_cluster_needs_its_package(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(workers, "import_module", missing)
    assert "install causal-s4[cluster]" in refused(study, "--cluster", "tcp://127.0.0.1:1")


INFLUENCE = BOOTSTRAP.replace('"bootstrap"\nreplicates = 5000', '"influence"')


def test_options_without_effect_are_refused(study: Path, tmp_path: Path) -> None:
    assert "jobs=2 would have no effect with a scheduler" in refused(study, "--cluster", "tcp://nowhere:1", "--jobs", 2)
    influence = write_study(tmp_path / "influence", study=f"{INFLUENCE}\n[sensitivity.e-value]\n")
    said = refused(influence, "--resume", "--cluster", "tcp://nowhere:1")
    assert "nothing is resampled in this study, and it has no grid" in said
    for name in ("resume", "cluster"):
        assert f'{name}: would have no effect, for intervals come from method = "influence"' in said
    assert not (tmp_path / "influence" / ".out.blocks").exists()


def test_a_grid_is_work_for_a_cluster_but_nothing_to_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(workers, "_PATIENCE", 1)
    grid = write_study(tmp_path / "grid", study=f"{INFLUENCE}\n[sensitivity.specification-curve]\n")
    assert "no Dask scheduler answers" in refused(grid, "--cluster", "tcp://127.0.0.1:1")
    assert "resume: would have no effect" in refused(grid, "--resume")


# --- what is told -------------------------------------------------------------------------------


def test_a_study_tells_how_many_of_all_its_resamples_are_done(study: Path) -> None:
    told: list[tuple[int, int]] = []
    s4.Study.read(study).run(advance=lambda done, total: told.append((done, total)))
    each = (1536, 3072, 4608, 5000)
    assert told[:8] == [(done + before, 10_000) for before in (0, 5000) for done in each]


def test_a_study_tells_the_name_of_each_analysis_and_how_far_a_grid_is(study: Path) -> None:
    steps: list[str] = []
    told: dict[str, list[tuple[int, int]]] = {}
    found = s4.Study.read(study).run(
        progress=steps.append, advance=lambda done, total: told.setdefault(steps[-1], []).append((done, total))
    )
    asked = {f"Putting the answer in doubt: {name}" for name in ("e-value", "refuter", "specification curve")}
    assert asked <= set(steps)
    (curve,) = (each for each in found.sensitivity if each.method == "specification curve")
    cells = curve.parameters["cells"]
    assert told["Putting the answer in doubt: specification curve"] == [(k + 1, cells) for k in range(cells)]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_how_much_is_done_and_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with cli._progress(quiet=False) as (tell, advance):
        tell("Estimating")
        for done in (100, 200, 300):
            advance(done, 1000)
    assert "Estimating" in terminal.getvalue()
    assert "300 of 1,000, 0:00:0" in terminal.getvalue()


def test_elsewhere_resamples_are_not_told(study: Path) -> None:
    result = run(study)
    assert result.exit_code == 0
    assert "Estimating" in result.stderr
    assert "of 10,000" not in result.stderr


def test_what_is_wrong_with_the_data_is_said_before_dowhy_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = cohort()
    frame.loc[3, "os_months"] = -1
    monkeypatch.setattr("causal_s4.study.second_opinion", lambda *given, **more: pytest.fail("dowhy was asked"))
    with pytest.raises(DataError, match="os_months"):
        s4.Study.read(write_study(tmp_path, frame=frame)).run()
