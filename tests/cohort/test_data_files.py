"""The files in data/ are what data/README.md says they are."""

import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest

from causal_s4.cohort import read_table, sha256_of

DATA = Path(__file__).parents[2] / "data"
SECTIONS = dict(re.findall(r"^## (\S+\.csv)\n(.*?)(?=^## |\Z)", (DATA / "README.md").read_text("utf-8"), re.M | re.S))


def test_every_file_has_its_section():
    assert set(SECTIONS) == {path.name for path in DATA.glob("*.csv")}


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_checksum_is_that_of_the_file(name):
    stated = re.findall(r"^SHA-256: `([0-9a-f]{64})`$", SECTIONS[name], re.M)
    assert stated == [sha256_of(DATA / name)]


@pytest.mark.parametrize("name", ["rotterdam.csv", "gbsg.csv"])
def test_codebook_names_every_column_in_order(name):
    with open(DATA / name, encoding="utf-8", newline="") as stream:
        columns = next(csv.reader(stream))
    assert re.findall(r"^\| `(\w+)` \|", SECTIONS[name], re.M) == columns


@pytest.mark.parametrize("name", ["rotterdam.csv", "gbsg.csv"])
def test_stated_ranges_hold(name):
    frame = read_table(DATA / name)
    assert not frame.isna().any(axis=None)
    ranges = re.findall(r"^\| `(\w+)` \|.*\| (-?\d+) to (-?\d+) \|$", SECTIONS[name], re.M)
    assert len(ranges) >= 6
    for column, low, high in ranges:
        assert (frame[column].min(), frame[column].max()) == (int(low), int(high)), column


def test_recurrence_free_survival_is_made_by_the_committed_script():
    made = subprocess.run([sys.executable, DATA / "make_rotterdam.py", "--check"], capture_output=True, text=True)
    assert (made.returncode, made.stderr) == (0, "")


def test_deaths_after_the_follow_up_for_recurrence():
    frame = read_table(DATA / "rotterdam.csv")
    late = (frame["recur"] == 0) & (frame["death"] == 1) & (frame["rtime"] < frame["dtime"])
    # The help page of the R package survival: "There are 43 subjects who have died without recurrence, but whose
    # death time is greater than the censoring time for recurrence."
    assert late.sum() == 43
    assert (frame.loc[late, "rfs_days"] == frame.loc[late, "dtime"]).all()
    assert (frame.loc[late, "rfs_event"] == 1).all()
    others = ~late & (frame["recur"] == 0)
    assert (frame.loc[others, "rtime"] == frame.loc[others, "dtime"]).all()
