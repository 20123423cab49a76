"""``causal-s4 report`` and ``compare``: what they print, leave and refuse."""

import json

import pytest
from click.testing import CliRunner
from test_read_back import put

from causal_s4.cli import main
from causal_s4.report import write


def call(*arguments):
    return CliRunner().invoke(main, [str(each) for each in arguments])


@pytest.fixture
def folder(tmp_path, files):
    return put(tmp_path / "out", files)


@pytest.fixture
def seen(monkeypatch, files):
    """Hold the results that reports are made of, instead of making them again."""
    made = []

    def contents(result):
        made.append(result)
        return files

    monkeypatch.setattr(write, "contents", contents)
    return made


def test_a_report_is_made_again_in_its_place(folder, seen, result, files):
    (folder / "report.html").unlink()
    done = call("report", folder)
    assert (done.exit_code, done.output) == (0, f"Report: {folder / 'report.html'}\n")
    assert (folder / "report.html").read_bytes() == files["report.html"]
    assert seen[0].effects == result.effects


def test_a_report_is_made_elsewhere_and_with_small_numbers_hidden(folder, seen, tmp_path, files):
    done = call("report", folder, "--out", tmp_path / "new", "--suppress-small-cells", 11)
    assert done.exit_code == 0, done.output
    assert seen[0].protocol.report.suppress_below == 11
    assert (tmp_path / "new" / "report.html").read_bytes() == files["report.html"]


@pytest.mark.parametrize("command", [["report"], ["compare", "."]])
def test_what_is_no_result_is_refused_without_a_traceback(tmp_path, command):
    done = call(command[0], *command[1:], tmp_path / "nothing") if len(command) > 1 else call("report", tmp_path)
    assert done.exit_code == 2
    assert "results.json" in done.output
    assert "Traceback" not in done.output


def test_a_report_somebody_edited_is_left_alone(folder, seen):
    (folder / "report.html").write_text("mine")
    done = call("report", folder)
    assert done.exit_code == 2
    assert "report.html: was changed after it was written" in done.output
    assert (folder / "report.html").read_text() == "mine"


def test_two_results_are_compared(folder, tmp_path):
    assert call("compare", folder, folder).output == "The two results are the same.\n"
    document = json.loads((folder / "results.json").read_text())
    document["cohort"]["n"] -= 1
    other = tmp_path / "other.json"
    other.write_text(json.dumps(document))
    done = call("compare", folder / "results.json", other)
    assert done.exit_code == 0
    assert "Patients and events" in done.output
    assert "2981" in done.output
