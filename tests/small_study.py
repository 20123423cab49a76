"""A small study on a simulated cohort, in files that a test may spoil."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

import causal_s4 as s4

STUDY = """title = "Surgery in a small cohort"
seed = 7

[data]
file = "cohort.csv"
id = "id"
time_unit = "months"

[dag]
file = "small.dag"

[treatment]
column = "surgery"
treated = 1
control = 0

[[outcome]]
name = "Overall survival"
time = "os_months"
event = "death"
event_value = 1
horizons = ["2 years"]

[estimand]
population = "ATO"
"""
DAG = """dag {
surgery [exposure]
death [outcome]
surgery -> death
age -> {surgery death}
sites -> {surgery death}
pr_status -> {surgery death}
}
"""
STARTING = STUDY.replace("control = 0", 'control = 0\nstart = "start"')
"""The same study, which also says when surgery was done; see :func:`with_starts`."""
COLUMNS = ("id", "age", "sites", "pr_status", "surgery", "radiotherapy", "os_months", "death")


@cache
def _cohort() -> pd.DataFrame:
    return s4.simulate("stage4", n=240, seed=3)[list(COLUMNS)]


def cohort() -> pd.DataFrame:
    """Return 240 simulated women: surgery is confounded and does nothing."""
    return _cohort().copy()


def with_starts() -> pd.DataFrame:
    """Return the cohort with surgery done at a tenth of the time that each operated woman was followed."""
    table = _cohort()
    return table.assign(start=(table["os_months"] / 10).where(table["surgery"] == 1))


def write_study(
    folder: Path, *, study: str = STUDY, dag: str = DAG, frame: pd.DataFrame | None = None, name: str = "cohort.csv"
) -> Path:
    """Write a study with its graph and cohort, and return the path of the study file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.toml").write_text(study, encoding="utf-8")
    (folder / "small.dag").write_text(dag, encoding="utf-8")
    table = cohort() if frame is None else frame
    table.to_csv(folder / name, index=False)
    return folder / "study.toml"


@contextmanager
def without_dowhy() -> Iterator[None]:
    """Spare the import of dowhy, which takes seconds, where its opinion has no part in what is tested."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("causal_s4.study.second_opinion", lambda *given, **more: "agrees")
        yield
