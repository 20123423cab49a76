"""Weights for staying in follow-up: against lifelines, and where leaving is known to tell of the outlook."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter, KaplanMeierFitter
from test_new_refits import PROTOCOL, ask, frame

from causal_s4.estimation import estimate_effects
from causal_s4.probe.asking import table_estimator
from causal_s4.protocol.protocol import Protocol
from causal_s4.results import SensitivityResult
from causal_s4.sensitivity.follow_up import ended_at, lost
from causal_s4.sensitivity.loss_weighting import _by_row, _factor, _split, loss_weighting
from causal_s4.sensitivity.question import Question

ESTIMATE = table_estimator(Protocol.parse(PROTOCOL))


def weighted(question: Question) -> SensitivityResult:
    return loss_weighting(question, ESTIMATE)


def test_factors_are_those_of_lifelines() -> None:
    question = ask(frame(160))
    time, event = ended_at(question)
    gone = lost(question)
    table = _split(question, time, event)
    factor = _factor(question, table, time, gone)
    terms = question.cohort.covariates.to_numpy(dtype=float)
    data = pd.DataFrame(terms, columns=["age", "burden"]).assign(time=time, gone=gone, arm=question.cohort.treatment)
    cox = CoxPHFitter().fit(data, "time", "gone", strata=["arm"])
    for code in (0, 1):
        own = data["arm"] == code
        alone = KaplanMeierFitter().fit(time[own.to_numpy()], gone[own.to_numpy()])
        rows = np.flatnonzero(table.arm == code)[::25]
        just_before = table.stop[rows] - 1e-9
        hazard = cox.baseline_cumulative_hazard_[code]
        step = np.searchsorted(hazard.index.to_numpy(), just_before, side="right") - 1
        left = np.where(step >= 0, hazard.to_numpy()[np.maximum(step, 0)], 0.0)
        risk = cox.predict_partial_hazard(data.iloc[table.patient[rows]]).to_numpy()
        stayed = alone.survival_function_at_times(just_before).to_numpy()
        # Efron's baseline and Breslow's are the same without ties
        assert factor[rows] == pytest.approx(stayed * np.exp(risk * left), rel=2e-3)


def test_rows_cover_each_follow_up_once() -> None:
    question = ask(frame(120))
    time, event = ended_at(question)
    table = _split(question, time, event)
    length = np.bincount(table.patient, weights=table.stop - table.start)
    assert length == pytest.approx(time)
    assert np.bincount(table.patient, weights=table.event) == pytest.approx(event)
    assert (table.start < table.stop).all()


def test_without_losses_that_tell_the_weights_change_little() -> None:
    plain, by_covariates = weighted(ask(frame(1500))).table
    assert by_covariates["value"] == pytest.approx(plain["value"], rel=0.05)
    assert by_covariates["largest_factor"] > 1


def test_where_the_ill_leave_and_more_so_the_treated_weights_find_the_truth() -> None:
    """Treatment does nothing; patients with burden leave early, treated ones above all, so that these seem to do well."""
    n, generator = 6000, np.random.default_rng(3)
    burden = (generator.random(n) < 0.4).astype(int)
    a = (generator.random(n) < 1 / (1 + np.exp(-0.3 + burden))).astype(int)
    death = generator.exponential(1 / (0.03 * np.exp(1.2 * burden)))
    leaves = generator.exponential(1 / (np.where(a == 1, 0.02, 0.001) * np.exp(2.0 * burden)))
    time, age = np.minimum(np.minimum(death, leaves), 30.0), generator.normal(size=n)
    data = pd.DataFrame({"a": a, "age": age, "burden": burden, "time": time, "event": (death <= time).astype(int)})
    plain, by_covariates = weighted(ask(data)).table
    # the true difference is zero
    assert plain["survival_difference_lower"] > 0.02
    assert by_covariates["survival_difference_lower"] < 0 < by_covariates["survival_difference_upper"]


def test_intervals_keep_the_part_of_the_propensity_score() -> None:
    # with everyone followed to the horizon every factor is one: the answer is the plain one, interval and all
    data = frame(400)
    data = data.assign(time=np.where(data["event"] == 1, data["time"], 200.0))
    question = ask(data)
    time, event = ended_at(question)
    table = _split(question, time, event)
    same = ESTIMATE(replace(table, weights=_by_row(question, table, np.ones(len(table)))), question.horizon)
    ended = question.with_outcome(time, event)
    plain = estimate_effects(ended, question.answered.weights, horizons=[question.horizon])
    expected = plain.one(analysis="weighted", measure="survival difference")
    found = same.effects["survival difference"]
    assert [found.value, found.lower, found.upper] == pytest.approx([expected.value, expected.lower, expected.upper])
