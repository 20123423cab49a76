"""What is left on disk: the contract's JSON, whole or nothing, and never at the cost of somebody's file."""

import errno
import hashlib
import json
import math
import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fixtures import DRAWING, RFS, make_protocol, make_result

from causal_s4.errors import InputError, UsageError
from causal_s4.report import write
from causal_s4.report.drawing import Drawing
from causal_s4.results import EffectTable

ESTIMATE = {
    "outcome",
    "analysis",
    "population",
    "measure",
    "arm",
    "horizon",
    "unit",
    "value",
    "std_error",
    "lower",
    "upper",
    "level",
    "variance",
    "p_value",
    "n",
    "events",
    "ess",
}


# --- results.json ---------------------------------------------------------------------------------


def test_the_json_has_the_contracts_shape(result):
    text = write.results_json(result)
    document = json.loads(text)
    assert text.endswith("}\n")
    assert text == json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
    assert document["schema"] == "causal-s4/results/1"
    assert document["seed"] == 20260118
    assert set(document["provenance"]) >= {"causal_s4", "packages", "data_sha256", "protocol_sha256"}
    assert document["cohort"]["events"][RFS] == {"treated": 206, "control": 1507, "total": 1713}
    assert document["cohort"]["attrition"][1] == {
        "step": "operated on before metastasis was found",
        "n": 3307,
        "excluded": 3,
    }
    assert set(document["adjustment"]) >= {"set", "alternatives", "verdict", "untested_assumptions"}
    assert set(document["weights"]) >= {
        "population",
        "method",
        "ess_treated",
        "ess_control",
        "max",
        "truncated",
        "trimmed",
    }
    assert set(document["balance"][0]) >= {
        "term",
        "kind",
        "smd_before",
        "smd_after",
        "variance_ratio_before",
        "variance_ratio_after",
        "ks_before",
        "ks_after",
    }
    assert all(set(each) == ESTIMATE for each in document["estimates"])
    assert all(set(each) >= {"method", "target", "parameters", "value"} for each in document["sensitivity"])
    assert all(set(each) == {"code", "severity", "step", "message", "numbers"} for each in document["findings"])


def test_floats_keep_full_precision_and_what_is_not_finite_is_null(result):
    odd = replace(
        result.effects.estimates[0],
        value=0.1 + 0.2,
        std_error=math.nan,
        lower=-math.inf,
        upper=np.float64(1 / 3),
        p_value=5e-324,
    )
    document = json.loads(write.results_json(replace(result, effects=EffectTable(estimates=(odd,)))))
    estimate = document["estimates"][0]
    assert estimate["value"] == 0.30000000000000004
    assert estimate["std_error"] is None
    assert estimate["lower"] is None
    assert estimate["upper"] == 1 / 3
    assert estimate["p_value"] == 5e-324


def test_results_know_how_to_write_themselves(result):
    assert result.to_json() == write.results_json(make_result())


def test_suppressed_counts_are_null(result):
    events = {**result.cohort.events, RFS: {"treated": 2, "control": 40, "total": 42}}
    protocol = make_protocol("[report]\nsuppress_below = 5\n")
    hidden = replace(result, protocol=protocol, cohort=replace(result.cohort, events=events, missing={"grade": 3}))
    document = json.loads(write.results_json(hidden))
    assert document["cohort"]["events"][RFS] == {"treated": None, "control": None, "total": 42}
    assert [step["n"] for step in document["cohort"]["attrition"]] == [3310, 3041, 2982]
    assert document["cohort"]["missing"] == {"grade": None}


# --- contents -------------------------------------------------------------------------------------


def test_everything_promised_is_there(files):
    assert {"report.html", "results.json", "protocol.resolved.toml", "SHA256SUMS"} <= set(files)
    assert {"tables/table1.csv", "tables/effects.csv", "figures/curves.svg", "figures/curves.png"} <= set(files)
    assert files["figures/dag.svg"] == DRAWING.encode()
    assert all(files.values())


def test_the_same_result_gives_the_same_bytes(files, monkeypatch):
    # Pictures of dots are drawn from the same figures; that theirs are equal is tested with two of them.
    monkeypatch.setattr(Drawing, "png", lambda drawing: files[f"figures/{drawing.name}.png"])
    again = write.contents(make_result())
    assert list(again) == list(files)
    assert [name for name in files if again[name] != files[name]] == []


def test_checksums_are_those_of_the_files(files):
    lines = files["SHA256SUMS"].decode().splitlines()
    assert len(lines) == len(files) - 1
    for line in lines:
        digest, name = line.split("  ")
        assert hashlib.sha256(files[name]).hexdigest() == digest


def test_no_path_host_or_time_is_in_any_file(files):
    here = str(Path.cwd()).encode()
    for name, data in files.items():
        assert here not in data, name
        assert os.uname().nodename.encode() not in data or len(os.uname().nodename) < 6, name


# --- the folder -----------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch, result):
    """Make writing cheap: three files, the JSON among them, with real checksums."""

    def made(each):
        files = {"results.json": write.results_json(each).encode(), "tables/a.csv": b"a\n1\n", "report.html": b"<p>"}
        files["SHA256SUMS"] = "".join(f"{write._digest(d)}  {n}\n" for n, d in sorted(files.items())).encode()
        return files

    monkeypatch.setattr(write, "contents", made)
    return result


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()
    }


def test_a_whole_report_is_written_and_replaced(tmp_path, files, monkeypatch, result):
    monkeypatch.setattr(write, "contents", lambda _: files)
    target = tmp_path / "new" / "out"
    result.write(target)
    assert tree(target) == files
    result.write(str(target))
    assert tree(target) == files
    assert [path.name for path in target.parent.iterdir()] == ["out"]


def test_an_empty_folder_is_used_with_its_permissions(tmp_path, small):
    target = tmp_path / "out"
    target.mkdir()
    target.chmod(0o750)
    (target / ".DS_Store").write_bytes(b"litter")
    write.write_result(small, target)
    assert target.stat().st_mode & 0o777 == 0o750
    assert set(tree(target)) == {"results.json", "tables/a.csv", "report.html", "SHA256SUMS"}


@pytest.mark.parametrize("name", ["notes.txt", "tables/mine.csv", "figures/nested/x.svg", "SHA256SUMS"])
def test_a_folder_with_somebodys_file_is_left_alone(tmp_path, small, name):
    target = tmp_path / "out"
    (target / name).parent.mkdir(parents=True)
    (target / name).write_bytes(b"mine")
    with pytest.raises(UsageError, match="that writing the report would lose") as refusal:
        write.write_result(small, target)
    assert name in str(refusal.value)
    assert tree(target) == {name: b"mine"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_report_somebody_edited_or_added_to_is_left_alone(tmp_path, small):
    target = tmp_path / "out"
    write.write_result(small, target)
    (target / "report.html").write_bytes(b"<p>my remarks")
    (target / "tables" / "mine.csv").write_bytes(b"mine")
    before = tree(target)
    with pytest.raises(UsageError, match="2 files") as refusal:
        write.write_result(small, target)
    assert "report.html: was changed after it was written" in str(refusal.value)
    assert "tables/mine.csv: is not part of an earlier report" in str(refusal.value)
    assert tree(target) == before


def test_an_earlier_report_with_files_taken_away_is_replaced(tmp_path, small):
    target = tmp_path / "out"
    write.write_result(small, target)
    (target / "report.html").unlink()
    write.write_result(small, target)
    assert "report.html" in tree(target)


def test_links_are_followed_to_the_folder_and_never_inside_it(tmp_path, small):
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    write.write_result(small, link)
    assert link.is_symlink()
    assert "results.json" in tree(real)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept.txt").write_bytes(b"kept")
    (real / "more").symlink_to(elsewhere)
    with pytest.raises(UsageError, match="more: is not part of an earlier report"):
        write.write_result(small, link)
    assert tree(elsewhere) == {"kept.txt": b"kept"}


def test_places_that_are_no_folder_to_write_are_refused(tmp_path, small, monkeypatch):
    file = tmp_path / "out"
    file.write_bytes(b"mine")
    with pytest.raises(UsageError, match="is a file"):
        write.write_result(small, file)
    with pytest.raises(InputError, match="could not be written"):
        write.write_result(small, file / "below")
    with pytest.raises(UsageError, match="root of a disk"):
        write.write_result(small, "/")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="folder you are in"):
        write.write_result(small, ".")
    with pytest.raises(InputError, match="name is too long"):
        write.write_result(small, tmp_path / ("x" * 300))
    assert tree(tmp_path) == {"out": b"mine"}


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_an_unwritable_parent_is_named(tmp_path, small):
    parent = tmp_path / "locked"
    parent.mkdir(mode=0o500)
    with pytest.raises(InputError, match="you may not write there"):
        write.write_result(small, parent / "out")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EACCES, "you may not write there"),
        (errno.EROFS, "that disk is read-only"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_a_failing_disk_leaves_the_earlier_report_whole(tmp_path, small, monkeypatch, code, reason):
    target = tmp_path / "out"
    write.write_result(small, target)
    before = tree(target)
    real = Path.write_bytes

    def fails(path, data):
        if path.name == "report.html":
            real(path, data[:1])
            raise OSError(code, os.strerror(code))
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", fails)
    with pytest.raises(InputError, match=reason) as refusal:
        write.write_result(replace(small, findings=()), target)
    assert "What was there is unchanged" in str(refusal.value)
    assert tree(target) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_parents_made_for_a_report_that_failed_are_unmade(tmp_path, small, monkeypatch):
    monkeypatch.setattr(Path, "write_bytes", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(InputError, match="disk is full"):
        write.write_result(small, tmp_path / "a" / "b" / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.EIO, "broken")])
def test_an_interrupted_swap_leaves_the_earlier_report_whole(tmp_path, small, monkeypatch, call, error):
    target = tmp_path / "out"
    write.write_result(small, target)
    before = tree(target)
    real, calls = Path.rename, []
    monkeypatch.setattr(write, "_exchange", lambda one, other: False)

    def breaks(path, destination):
        calls.append(path)
        if len(calls) == call:
            raise error
        return real(path, destination)

    monkeypatch.setattr(Path, "rename", breaks)
    with pytest.raises((KeyboardInterrupt, InputError)):
        write.write_result(replace(small, findings=()), target)
    assert tree(target) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_two_runs_at_once_leave_one_whole_report(tmp_path, small):
    target = tmp_path / "out"
    variants = [replace(small, findings=small.findings[:count]) for count in range(3)]
    wanted = [write.contents(each) for each in variants]
    faults = []

    def run(each):
        try:
            for _ in range(8):
                write.write_result(each, target)
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=run, args=(each,)) for each in variants]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert tree(target) in wanted
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
