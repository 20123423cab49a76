"""The sweep over replicates gives what each kernel gives alone; these are held against other software elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from definitions import draw_rows

from causal_s4.kernels.aalen_johansen import AalenJohansen
from causal_s4.kernels.batched_newton import _steps
from causal_s4.kernels.cox import fit_cox
from causal_s4.kernels.kaplan_meier import KaplanMeier
from causal_s4.kernels.risk_sets import RiskSets
from causal_s4.kernels.sweeps import Sweep

HORIZONS = np.array([0.25, 3.0, 6.5, 9.0])


@pytest.mark.parametrize("efron", [True, False])
@pytest.mark.parametrize("delayed", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_a_replicate_is_what_the_kernels_make_of_its_weights(seed: int, delayed: bool, efron: bool) -> None:
    rows = draw_rows(seed, 60, tied=True, delayed=delayed)
    arm = rows.z[:, 0].astype(int)
    sweep = Sweep.of(np.arange(60), arm, rows.start, rows.stop, rows.event, HORIZONS, efron=efron)
    rng = np.random.default_rng(seed)
    # Weights of zero among those who die together: each death of theirs is none.
    counts = rng.uniform(0.2, 3, (3, 60)) * (rng.random((3, 60)) < 0.7)
    counts[:, :4] = 1.0
    found = sweep.run(rows.weight[None, :], counts, by_row=False, whole=False)
    for replicate, count in zip(found, counts, strict=True):
        weight = rows.weight * count
        expected = {"log hazard ratio": _log_hazard_ratio(rows, arm, weight, efron=efron)}
        for (name, side, at), value in zip(sweep.columns, replicate, strict=True):
            if side >= 0:
                expected[name] = _of_arm(rows, weight * (arm == side), name, HORIZONS[at])
            assert value == pytest.approx(expected[name], rel=1e-8, abs=1e-10), (name, side, at)


def _log_hazard_ratio(rows, arm, weight, *, efron: bool) -> float:
    there = weight > 0
    start = rows.start[there] if rows.start.any() else None
    sets = RiskSets.of(start, rows.stop[there], rows.event[there] == 1)
    fit = fit_cox(sets, arm[there, None].astype(float), weight[there], efron=efron)
    return float(fit.coefficient[0])


def _of_arm(rows, weight, name: str, horizon: float) -> float:
    curve = KaplanMeier.fit(rows.sets((1, 2)), weight)
    match name:
        case "survival":
            return curve.survival_at(horizon)
        case "rmst":
            return curve.rmst(horizon)
        case "median":
            return curve.median()
    return AalenJohansen.fit(rows.sets((1, 2)), weight, rows.event == 1).incidence_at(horizon)


@pytest.mark.parametrize(
    ("stop", "event", "median"),
    [
        ([1, 2, 3, 4], [1, 1, 1, 1], 2.5),  # one half from 2 to 3: the middle, as R's survfit says
        ([1, 2, 3], [1, 1, 1], 2.0),
        ([1, 2, 3, 4], [1, 1, 0, 0], 2.0),  # one half, never left
        ([1, 2, 3, 4], [1, 0, 0, 0], np.inf),
    ],
)
def test_median_of_a_flat_half(stop: list[float], event: list[int], median: float) -> None:
    n = len(stop)
    stop, event = np.tile(np.array(stop, dtype=float), 2), np.tile(event, 2)
    arm = np.repeat([0, 1], n)
    sweep = Sweep.of(np.arange(2 * n), arm, np.zeros(2 * n), stop, event, np.array([2.0]), efron=True)
    (found,) = sweep.run(np.ones((1, 2 * n)), np.ones((1, 2 * n)), by_row=False, whole=True)
    np.testing.assert_array_equal(found[-2:], median)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_whether_a_column_depends_on_another_is_no_matter_of_its_unit(scale: float) -> None:
    # Two columns alike but for 1e-13 of their squares: the second is left out, and the first gets gradient / diagonal.
    packed = np.array([[scale, scale, scale * (1 + 1e-13)], [scale, 0.0, scale]])
    gradient = np.array([[2 * scale, 2 * scale * (1 + 1e-9)], [2 * scale, 3 * scale]])
    step, solvable = np.empty((2, 2)), np.empty(2, dtype=bool)
    _steps(gradient, packed, step, solvable)
    np.testing.assert_allclose(step, [[2, 0], [2, 3]], rtol=1e-12)
    assert solvable.all()
