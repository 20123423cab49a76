"""The propensity model is refitted once for all populations and outcomes, and no bit shows it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from resampled_cohorts import months, replicates_of

import causal_s4 as s4
from causal_s4.inference import resampling
from causal_s4.kernels.batched_newton import BatchedNewton

PLAN = {"replicates": 300, "seed": 4}


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the tiles whose model is fitted, from a fresh start."""
    fit, made = BatchedNewton.fit, []

    def counted(self: BatchedNewton, counts: Any, begin_at: Any = None) -> Any:
        if begin_at is None:
            made.append(len(counts))
        return fit(self, counts, begin_at)

    monkeypatch.setattr(BatchedNewton, "fit", counted)
    monkeypatch.setattr(resampling, "_last", ("", {}))
    return made


def test_populations_share_the_refits_of_one_model(fits: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = months()
    asked: list[dict[str, Any]] = [
        {"population": "ATE"},
        {"population": "ATE", "truncate": (0.05, 0.95)},
        {"population": "ATT"},
        {"population": "ATE", "trim": 0.1},
        {"population": "ATO"},
    ]
    weights = [s4.weigh(cohort, **each) for each in asked]
    shared = [replicates_of(cohort, each, [24.0], **PLAN) for each in weights]
    assert len(fits) == 2  # tiles of at most 256 replicates, whatever is made of them
    for own, found in zip(weights, shared, strict=True):
        monkeypatch.setattr(resampling, "_last", ("", {}))
        alone = replicates_of(cohort, own, [24.0], **PLAN)
        np.testing.assert_array_equal(found.values, alone.values)
        np.testing.assert_array_equal(found.failure, alone.failure)
    assert len(fits) == 2 + 2 * len(weights)


@pytest.mark.parametrize("change", ["seed", "stratify", "counts", "terms", "method"])
def test_another_model_or_other_resamples_are_fitted_anew(fits: list[int], change: str) -> None:
    cohort = months()
    first = s4.weigh(cohort, population="ATE")
    replicates_of(cohort, first, [24.0], **PLAN)
    columns = [str(name) for name in cohort.covariates.columns]
    second = s4.weigh(cohort, population="ATE", splines={columns[0]: 3}) if change == "terms" else first
    if change == "method":
        second = s4.weigh(cohort, population="ATE", method="firth")
    other: dict[str, Any] = {"seed": {"seed": 5}, "stratify": {"stratify": True}, "counts": {"counts": "bayesian"}}
    plan = PLAN | other.get(change, {})
    after_another = replicates_of(cohort, second, [24.0], **plan)
    resampling._last = "", {}
    np.testing.assert_array_equal(after_another.values, replicates_of(cohort, second, [24.0], **plan).values)


def test_only_the_last_model_is_remembered(fits: list[int]) -> None:
    cohort = months()
    for seed in (1, 2):
        replicates_of(cohort, s4.weigh(cohort, population="ATE"), [24.0], replicates=300, seed=seed)
        assert sorted(resampling._last[1]) == [0, 256]
