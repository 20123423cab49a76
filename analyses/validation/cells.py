"""The replicates of a scenario, in blocks that are kept, and what they amount to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import causal_s4
from analyses.validation.estimators import MEASURES, REASONS, attempt
from analyses.validation.performance import performance
from analyses.validation.scenarios import SCENARIOS, Scenario
from causal_s4.workers import Answer, Block, KeptBlocks, fingerprint, run_blocks

BLOCK, DEAR_BLOCK = 50, 10
_DIGITS = 4
_SCHEMA = 1


@dataclass(frozen=True)
class Replicates:
    """The estimates of a stretch of a scenario's cohorts, as a task for workers."""

    scenario: str

    def __call__(self, block: Block) -> Answer:
        """Return estimates, shape (replicates, columns, 4), and reasons of failure, shape (replicates, estimators)."""
        scenario = SCENARIOS[self.scenario]
        return estimates_of(scenario, block)


def estimates_of(scenario: Scenario, block: Block) -> Answer:
    """Simulate the cohorts of a block and estimate everything in each."""
    columns = list(scenario.columns())
    found = np.full((block[1] - block[0], len(columns), 4), np.nan)
    reasons = np.zeros((block[1] - block[0], len(scenario.estimators)), dtype=np.int8)
    for row, replicate in enumerate(range(*block)):
        seed = scenario.seed(replicate)
        cohort = scenario.source.cohort(scenario.n, seed)
        for place, name in enumerate(scenario.estimators):
            answer, reasons[row, place] = attempt(name, cohort, scenario.asked(name), seed)
            for column, (estimator, interval, measure) in enumerate(columns):
                if estimator == name and interval in answer:
                    found[row, column] = answer[interval][MEASURES.index(measure)]
    return {"found": found, "reasons": reasons}


def run_scenario(
    scenario: Scenario,
    replicates: int,
    *,
    kept: Path | None = None,
    jobs: int = 1,
    cluster: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Run a scenario, or what is left of it, and return its rows of the table.

    Parameters
    ----------
    scenario : Scenario
    replicates : int
        Cohorts. A longer run begins with the cohorts of a shorter one.
    kept : Path, optional
        Folder of finished blocks.
    jobs : int
        Processes; they change no number.
    cluster : str, optional
        Address of a Dask scheduler, whose workers can import this package.
    progress : callable, optional
        Called with the cohorts done and all cohorts.
    """
    answers = run_blocks(
        Replicates(scenario.name),
        blocks_of(scenario, replicates),
        jobs=jobs,
        processes=True,
        scheduler=cluster,
        kept=None if kept is None else _store(scenario, kept),
        progress=progress,
    )
    return _together(scenario, answers)


def finished(scenario: Scenario, replicates: int, kept: Path) -> pd.DataFrame | None:
    """Return the rows of the cohorts that are done, up to the first block that is not; None when none is.

    Parameters
    ----------
    scenario : Scenario
    replicates : int
        How many there are to be.
    kept : Path
    """
    store, answers = _store(scenario, kept), []
    for block in blocks_of(scenario, replicates):
        answer = store.load(block)
        if answer is None:
            break
        answers.append(answer)
    return _together(scenario, answers) if answers else None


def blocks_of(scenario: Scenario, replicates: int) -> list[Block]:
    """Return the blocks of cohorts, smaller ones where a cohort takes long."""
    size = DEAR_BLOCK if scenario.dear else BLOCK
    return [(first, min(first + size, replicates)) for first in range(0, replicates, size)]


def _store(scenario: Scenario, kept: Path) -> KeptBlocks:
    return KeptBlocks(kept, fingerprint(causal_s4.__version__, _SCHEMA, *_identity(scenario)))


def _together(scenario: Scenario, answers: Sequence[Answer]) -> pd.DataFrame:
    return summarise(
        scenario,
        np.concatenate([each["found"] for each in answers]),
        np.concatenate([each["reasons"] for each in answers]),
    )


def _identity(scenario: Scenario) -> tuple[Any, ...]:
    """Return what makes the estimates of a replicate what they are: neither how many there are, nor its description."""
    return (scenario.name, scenario.source, scenario.n, tuple("|".join(column) for column in scenario.columns()))


def summarise(scenario: Scenario, found: np.ndarray, reasons: np.ndarray) -> pd.DataFrame:
    """Turn estimates into rows of the table: one an estimator, interval and measure.

    Parameters
    ----------
    scenario : Scenario
    found : ndarray, shape (replicates, columns, 4)
    reasons : ndarray, shape (replicates, estimators)

    Returns
    -------
    DataFrame
        Rounded to four decimals, on purpose: what workers and libraries round differently lies far behind.
    """
    rows = []
    for column, (estimator, interval, measure) in enumerate(scenario.columns()):
        truth, truth_error = scenario.truth(estimator, measure)
        row: dict[str, Any] = {
            "scenario": scenario.name,
            "n": scenario.n,
            "estimator": estimator,
            "interval": interval,
            "measure": measure,
            "replicates": len(found),
            "truth": round(truth, _DIGITS),
            "truth_mcse": round(truth_error, _DIGITS),
        }
        for name, (value, error) in performance(*found[:, column].T, truth, truth_error).items():
            row[name], row[f"{name}_mcse"] = round(value, _DIGITS) + 0.0, round(error, _DIGITS)
        row["reasons"] = _reasons(found[:, column], reasons[:, scenario.estimators.index(estimator)])
        rows.append(row)
    return pd.DataFrame(rows)


def _reasons(found: np.ndarray, reasons: np.ndarray) -> str:
    counts = {text: int((reasons == code).sum()) for code, text in enumerate(REASONS) if text}
    silent = int((~np.isfinite(found).all(axis=1) & (reasons == 0)).sum())
    counts["no interval"] = silent
    return "; ".join(f"{text} {count}" for text, count in counts.items() if count)


def written(table: pd.DataFrame) -> str:
    """Return the table as text, the same on every machine."""
    return table.to_csv(index=False, lineterminator="\n")


def read(path: Path) -> pd.DataFrame:
    """Read a table that was written."""
    # a world is called null, which is not a missing value here
    table = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype={"reasons": str})
    return table.fillna({"reasons": ""})


def one(table: pd.DataFrame, where: Mapping[str, str]) -> pd.Series:
    """Return the row of one scenario, estimator, interval and measure.

    Raises
    ------
    KeyError
        Unless there is exactly one.
    """
    rows = table
    for name, value in where.items():
        rows = rows[rows[name] == value]
    if len(rows) != 1:
        raise KeyError(f"{len(rows)} rows of the table are {', '.join(where.values())}")
    return rows.iloc[0]
