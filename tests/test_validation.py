"""The validation study: its arithmetic, its limits, its resumption, and that its committed table is of its grid.

``pytest`` runs from the root of the repository, where ``analyses`` can be imported.
"""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analyses.validation.__main__ import HERE, main
from analyses.validation.bands import BANDS, Band, broken
from analyses.validation.cells import Replicates, estimates_of, finished, read, run_scenario, summarise, written
from analyses.validation.estimators import ESTIMATORS, MEASURES
from analyses.validation.page import page_of
from analyses.validation.performance import performance
from analyses.validation.scenarios import SCENARIOS
from analyses.validation.worlds import World
from causal_s4.simulate import simulate
from causal_s4.simulate.closed_form import ClosedForm

NAN = float("nan")


# --- performance --------------------------------------------------------------------------------


def test_performance_by_hand():
    """Estimates 1, 2, 3, 6 of a truth of 2, and one replicate that failed; formulas of Morris et al. 2019, table 6."""
    theta = np.array([1.0, 2.0, 3.0, 6.0, NAN])
    std_error = np.array([1.0, 1.0, 2.0, 1.0, NAN])
    found = performance(theta, std_error, theta - 1, theta + 1, truth=2.0, truth_error=0.5)
    spread = math.sqrt(14 / 3)  # deviations -2, -1, 0, 3 from a mean of 3
    assert found["bias"] == pytest.approx((1.0, math.sqrt(14 / 3 / 4 + 0.25)))
    assert found["empirical_se"] == pytest.approx((spread, spread / math.sqrt(6)))
    model = math.sqrt(7 / 4)  # variances 1, 1, 4, 1
    wobble = 2.25 / (4 * 4 * model**4)  # their variance over 4 R ModSE^4
    assert found["model_se"] == pytest.approx((model, model * math.sqrt(wobble)))
    ratio = model / spread
    assert found["relative_error"] == pytest.approx((ratio - 1, ratio * math.sqrt(wobble + 1 / 6)))
    assert found["coverage"] == pytest.approx((0.75, math.sqrt(0.75 * 0.25 / 4)))
    errors = np.array([1, 0, 1, 16])  # squared, mean 4.5
    mcse = math.sqrt(errors.var(ddof=1) / 4 / (4 * 4.5) + 0.25 / 4.5)
    assert found["rmse"] == pytest.approx((math.sqrt(4.5), mcse))
    assert found["failure_rate"] == pytest.approx((0.2, math.sqrt(0.2 * 0.8 / 5)))


def test_an_estimate_without_an_interval_failed():
    theta = np.array([0.0, 1.0, 2.0])
    found = performance(theta, np.ones(3), np.array([-1.0, NAN, 1.0]), theta + 1, truth=1.0)
    assert found["failure_rate"][0] == pytest.approx(1 / 3)
    assert found["bias"][0] == 0.0


def test_nothing_is_said_of_one_replicate():
    found = performance(*np.array([[1.0, NAN]] * 4), truth=1.0)
    assert math.isnan(found["bias"][0])
    assert found["failure_rate"][0] == 0.5


# --- worlds -------------------------------------------------------------------------------------


@pytest.mark.parametrize("population", ["ATE", "ATT", "ATC", "ATO", "ATM"])
def test_the_world_at_rest_is_the_closed_form_world(population):
    """Truths of the module that was there before, whose quadrature is another one."""
    truth = World(hazard_ratios=((0.0, 0.7),)).truth(population)
    known = ClosedForm(hazard_ratio=0.7, population=population)
    assert truth["log hazard ratio"] == pytest.approx(known.log_hazard_ratio(), abs=1e-10)
    assert truth["survival difference"] == pytest.approx(known.survival(60, 1) - known.survival(60, 0), abs=1e-13)
    assert truth["rmst difference"] == pytest.approx(known.rmst(60, 1) - known.rmst(60, 0), abs=1e-11)


def test_its_patients_are_the_same_too():
    cohort = World(hazard_ratios=((0.0, 0.7),)).cohort(300, 5)
    frame = simulate("closed-form", n=300, seed=5)
    np.testing.assert_array_equal(cohort.treatment, frame["treatment"])
    np.testing.assert_allclose(cohort.outcomes[0].time, frame["months"], rtol=1e-12)
    np.testing.assert_array_equal(cohort.outcomes[0].event, frame["event"])


SWITCHES = {
    "crossing": {"hazard_ratios": ((0.0, 1.6), (12.0, 0.6))},
    "events": {"events": 0.1, "hazard_ratios": ((0.0, 0.75),)},
    "positivity": {"confounding": 4.0},
    "interaction": {"interaction": 1.5},
    "rare": {"rare": 0.04},
}


@pytest.mark.parametrize("switches", SWITCHES.values(), ids=SWITCHES)
def test_truths_of_switched_worlds_by_giving_both_treatments(switches):
    """150,000 patients under each treatment, by drawing: within four standard errors of the difference of two shares."""
    world, n = World(**switches), 150_000
    luck = np.random.default_rng(1).exponential(size=n)
    rng = np.random.default_rng(2)
    x = {
        "x1": (rng.random(n) < 0.5).astype(float),
        "x2": (rng.random(n) < 0.4).astype(float),
        "x3": rng.choice(3, n, p=(0.3, 0.4, 0.3)).astype(float),
        "x4": (rng.random(n) < world.rare).astype(float),
    }
    untreated = luck / (world.factor * world.relative_hazard(x))

    def spent(months):  # months of hazard under treatment, step by step
        starts = [start for start, _ in world.hazard_ratios] + [np.inf]
        return sum(
            ratio * min(max(months - start, 0), end - start)
            for (start, ratio), end in zip(world.hazard_ratios, starts[1:], strict=True)
        )

    treated_alive, control_alive = (untreated > spent(60.0)).mean(), (untreated > 60.0).mean()
    error = math.sqrt(0.25 / n)
    assert world.truth("ATE")["survival difference"] == pytest.approx(treated_alive - control_alive, abs=4 * error)


def test_share_of_events_is_as_asked():
    for share in (0.1, 0.9):
        event = World(events=share, hazard_ratios=((0.0, 0.75),)).cohort(40_000, 1).outcomes[0].event
        assert event.mean() == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 40_000))


def test_x2_is_missing_by_what_is_seen():
    cohort = World(missing=True).cohort(40_000, 1)
    gone, event, treated = cohort.covariates["x2"].isna(), cohort.outcomes[0].event == 1, cohort.treatment == 1
    assert gone[event].mean() > gone[~event & ~treated].mean() + 0.1
    assert 0.2 < gone.mean() < 0.4


# --- cells --------------------------------------------------------------------------------------


def small(name="rare subtype, n=157", **changes):
    estimators = ("naive", "logistic, ATE", "multivariable Cox")
    return replace(SCENARIOS[name], **({"estimators": estimators, "resampled": ()} | changes))


def test_replicates_of_failed_estimators_are_counted_with_their_reason():
    """Of 157 patients about six have the subtype and less than one is treated: many cohorts are separated."""
    scenario = small()
    answer = estimates_of(scenario, (0, 40))
    table = summarise(scenario, answer["found"], answer["reasons"])
    row = table[(table["estimator"] == "logistic, ATE") & (table["measure"] == "log hazard ratio")].iloc[0]
    failed = int((answer["reasons"][:, 1] == 1).sum())
    assert failed > 0
    assert f"separated {failed}" in row["reasons"]
    assert row["failure_rate"] == pytest.approx(failed / 40)
    assert (table.loc[table["estimator"] == "naive", "failure_rate"] == 0).all()


def test_interrupted_and_resumed_gives_the_same_bytes(tmp_path, monkeypatch):
    """Interrupted after the first of two blocks: that one is used again, the other done, and the table has the same bytes."""
    monkeypatch.setattr("analyses.validation.cells.BLOCK", 2)
    scenario = SCENARIOS["weak confounding"]
    whole = written(run_scenario(scenario, 4))

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_scenario(scenario, 4, kept=tmp_path, progress=stop)
    (first,) = tmp_path.glob("*.npz")
    made = first.stat().st_mtime_ns
    assert written(run_scenario(scenario, 4, kept=tmp_path)) == whole
    assert first.stat().st_mtime_ns == made
    assert len(list(tmp_path.glob("*.npz"))) == 2


def test_what_is_finished_is_the_beginning_of_the_whole(tmp_path):
    scenario = SCENARIOS["weak confounding"]
    assert finished(scenario, 200, tmp_path) is None
    whole = run_scenario(scenario, 2, kept=tmp_path)
    assert written(finished(scenario, 2, tmp_path)) == written(whole)
    assert finished(scenario, 200, tmp_path) is None  # its first block has fifty cohorts


def test_blocks_change_no_number():
    scenario = SCENARIOS["harm"]
    together = Replicates(scenario.name)((0, 4))
    apart = [Replicates(scenario.name)(block) for block in ((0, 1), (1, 4))]
    np.testing.assert_array_equal(together["found"], np.concatenate([each["found"] for each in apart]))


def test_other_scenarios_have_other_cohorts():
    seeds = [scenario.seed(replicate) for scenario in SCENARIOS.values() for replicate in (0, 1999)]
    assert len(set(seeds)) == len(seeds)
    assert SCENARIOS["null"].seed(7) == SCENARIOS["null"].seed(0) + 7


# --- limits -------------------------------------------------------------------------------------


def row(**numbers):
    where = {"scenario": "w", "estimator": "e", "interval": "influence", "measure": "log hazard ratio"}
    return pd.DataFrame([where | numbers])


def test_a_band_can_fail_on_either_side():
    band = Band(scenario="w", estimator="e", low=-0.1, high=0.1)
    for value, inside in ((0.0, True), (0.1, True), (0.11, False), (-0.2, False), (NAN, False)):
        assert band.holds(row(bias=value, bias_mcse=0.0)) is inside
    assert band.holds(row(bias=0.11, bias_mcse=0.01), slack=2.0)


def test_a_sound_method_may_miss_by_chance_and_a_wrong_one_may_not_pass_by_it(monkeypatch):
    sound = Band(scenario="w", estimator="e", low=-0.1, high=0.1)
    wrong = Band(scenario="w", estimator="e", low=0.2, high=np.inf)
    monkeypatch.setattr("analyses.validation.bands.BANDS", (sound,))
    assert broken(row(bias=0.12, bias_mcse=0.01)) == []
    assert len(broken(row(bias=0.14, bias_mcse=0.01))) == 1
    monkeypatch.setattr("analyses.validation.bands.BANDS", (wrong,))
    assert len(broken(row(bias=0.19, bias_mcse=0.01))) == 1
    assert broken(row(bias=0.19, bias_mcse=0.01), quick=True) == []


def test_the_error_of_a_coverage_is_never_nothing():
    """Every one of 400 intervals covers: an error of zero would make 100 % a miss of 97 % by infinitely many errors."""
    band = Band(scenario="w", estimator="e", statistic="coverage", low=0.93, high=0.97)
    value, error = band.value(row(coverage=1.0, coverage_mcse=0.0, replicates=400))
    assert (value, error) == (1.0, pytest.approx(math.sqrt(0.95 * 0.05 / 400)))


def test_negative_bands_fail_when_the_wrong_method_looks_right():
    band = Band(scenario="w", estimator="e", low=-np.inf, high=-0.7)
    assert band.fails
    assert not band.holds(row(bias=0.0, bias_mcse=0.01))
    assert not Band(scenario="w", estimator="e", statistic="coverage", low=0.92, high=0.97).fails
    assert Band(scenario="w", estimator="e", statistic="coverage", high=0.9).fails


def test_a_number_that_is_not_there_is_no_pass():
    with pytest.raises(KeyError, match="0 rows"):
        Band(scenario="w", estimator="another", low=0, high=1).holds(row(bias=0.0, bias_mcse=0.0))


def test_every_band_is_of_the_grid():
    for band in BANDS:
        columns = set(SCENARIOS[band.scenario].columns())
        assert (band.estimator, band.interval, band.measure) in columns, str(band)


def test_exit_status(tmp_path, monkeypatch):
    """A run of one world with the naive comparison held to be right ends with status 1."""
    arguments = ["--only", "harm", "--replicates", "3", "--jobs", "1"]
    folders = ["--out", str(tmp_path), "--kept", str(tmp_path / "kept")]
    said = []
    assert main([*arguments, *folders], said.append) == 0
    right = Band(scenario="harm", estimator="naive", low=0.4, high=0.5)
    monkeypatch.setattr("analyses.validation.bands.BANDS", (right,))
    monkeypatch.setattr("analyses.validation.__main__.BANDS", (right,))
    assert main([*arguments, *folders], said.append) == 1
    assert any("outside its band: harm" in line for line in said)


# --- the committed table ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def committed():
    return read(HERE / "table.csv")


def test_the_committed_table_is_of_the_grid(committed):
    expected = [(name, *column) for name, scenario in SCENARIOS.items() for column in scenario.columns()]
    assert (
        list(committed[["scenario", "estimator", "interval", "measure"]].itertuples(index=False, name=None)) == expected
    )
    for name, rows in committed.groupby("scenario"):
        assert set(rows["n"]) == {SCENARIOS[name].n}
        (replicates,) = set(rows["replicates"])
        assert 0 < replicates <= SCENARIOS[name].replicates


def test_its_truths_are_those_of_the_worlds(committed):
    for row in committed.itertuples():
        truth, error = SCENARIOS[row.scenario].truth(row.estimator, row.measure)
        assert (row.truth, row.truth_mcse) == (round(truth, 4), round(error, 4))


def test_it_lies_within_the_bands(committed):
    assert broken(committed) == []


def test_it_is_written_as_the_command_writes_it(committed):
    assert written(committed) == (HERE / "table.csv").read_text(encoding="utf-8")


def test_the_page_is_what_the_table_says(committed):
    assert page_of(committed) == (HERE / "README.md").read_text(encoding="utf-8")


def test_every_estimator_is_in_the_grid():
    used = {name for scenario in SCENARIOS.values() for name in scenario.estimators}
    assert used == set(ESTIMATORS)
    assert set(MEASURES) == {measure for scenario in SCENARIOS.values() for *_, measure in scenario.columns()}
