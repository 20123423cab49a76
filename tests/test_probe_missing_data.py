"""Multiple imputation: what is drawn, how it is pooled, and whether it removes the bias of leaving patients out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from lifelines import NelsonAalenFitter
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer
from small_study import STUDY, cohort, write_study
from statsmodels.imputation.mice import MICEData

from causal_s4.cohort import Cohort
from causal_s4.errors import DataError, UsageError
from causal_s4.estimation import estimate_effects
from causal_s4.kernels.rubin import rubin
from causal_s4.missing_data import imputations_needed, impute
from causal_s4.pooling import pool_effects
from causal_s4.propensity.weights import weigh
from causal_s4.results import StudyResult
from causal_s4.study import Study

COVARIATES = ("age", "burden", "stage")


def patients(n: int, seed: int) -> pd.DataFrame:
    """Age, burden (yes or no) and stage (three levels) drive treatment and death; treatment does nothing."""
    generator = np.random.default_rng(seed)
    age, burden = generator.normal(60, 10, n), (generator.random(n) < 0.4).astype(float)
    stage = np.digitize(0.03 * (age - 60) + generator.normal(size=n), [-0.5, 0.7])
    chance = 1 / (1 + np.exp(-(0.6 - 1.3 * burden - 0.03 * (age - 60))))
    a = (generator.random(n) < chance).astype(int)
    death = generator.exponential(1 / (0.04 * np.exp(1.0 * burden + 0.02 * (age - 60) + 0.2 * stage)))
    censored = generator.uniform(10, 80, n)
    return pd.DataFrame(
        {
            "a": a,
            "age": age,
            "burden": burden,
            "stage": np.array(["I", "II", "III"])[stage],
            "time": np.minimum(death, censored) + 1e-3,
            "event": (death <= censored).astype(int),
        }
    )


def with_gaps(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Burden is missing at random: more often for treated patients whose follow-up was short."""
    generator = np.random.default_rng(seed)
    short = (frame["time"] < frame["time"].median()) & (frame["a"] == 1)
    missing = generator.random(len(frame)) < np.where(short, 0.6, 0.1)
    return frame.assign(burden=frame["burden"].where(~missing))


def as_cohort(frame: pd.DataFrame, missing: str = "impute") -> Cohort:
    return Cohort.from_frame(
        frame,
        treatment="a",
        treated=1,
        control=0,
        time="time",
        event="event",
        event_value=1,
        time_unit="months",
        covariates=COVARIATES,
        missing=missing,
    )


def several_gaps(n: int = 300) -> Cohort:
    frame, generator = patients(n, 1), np.random.default_rng(2)
    for name, share in (("age", 0.1), ("burden", 0.2), ("stage", 0.3)):
        frame[name] = frame[name].where(generator.random(n) >= share)
    return as_cohort(frame)


def test_what_was_observed_stays_and_what_is_drawn_could_have_been() -> None:
    incomplete = several_gaps()
    for completed in impute(incomplete, imputations=3, seed=1):
        for name in COVARIATES:
            before, after = incomplete.covariates[name], completed.covariates[name]
            known = before.notna()
            assert not after.isna().any()
            assert after.dtype == before.dtype
            assert (after[known] == before[known]).all()
            assert set(after) <= set(before[known])
        assert completed.covariates.index.equals(incomplete.covariates.index)


def test_a_data_set_is_the_same_however_many_are_made() -> None:
    incomplete = several_gaps()
    few, more = impute(incomplete, imputations=2, seed=4), impute(incomplete, imputations=3, seed=4)
    for one, other in zip(few, more, strict=False):
        pd.testing.assert_frame_equal(one.covariates, other.covariates)
    assert not few[0].covariates.equals(few[1].covariates)
    assert not few[0].covariates.equals(impute(incomplete, imputations=1, seed=5)[0].covariates)


def test_imputed_values_have_the_mean_that_was_lost() -> None:
    # gaps are among the treated who were followed shortly, who have more burden
    truth = patients(4000, 8)
    incomplete = as_cohort(with_gaps(truth, 9))
    treated = incomplete.treatment == 1
    observed = float(incomplete.covariates["burden"][treated].mean())
    several = impute(incomplete, imputations=5, seed=1)
    imputed = np.mean([each.covariates["burden"][treated].mean() for each in several])
    right = float(truth["burden"][treated].mean())
    assert right - observed > 0.03
    assert imputed == pytest.approx(right, abs=0.012)


def test_a_shift_moves_only_what_was_imputed() -> None:
    incomplete = several_gaps()
    gap = incomplete.covariates["age"].isna()
    sd = float(incomplete.covariates["age"].std(ddof=0))
    still = impute(incomplete, imputations=1, seed=3)[0].covariates
    moved = impute(incomplete, imputations=1, seed=3, shift={"age": 0.5})[0].covariates
    assert (still["age"][~gap] == moved["age"][~gap]).all()
    assert (moved["age"] - still["age"])[gap].to_numpy() == pytest.approx(0.5 * sd)
    later = impute(incomplete, imputations=1, seed=3, shift={"burden": 5.0})[0].covariates["burden"]
    assert later[incomplete.covariates["burden"].isna()].mean() > 0.9
    with pytest.raises(UsageError, match="size"):
        impute(incomplete, imputations=1, seed=3, shift={"size": 1.0})


def test_a_covariate_of_which_nothing_is_known_cannot_be_imputed() -> None:
    frame = patients(60, 1)
    frame["age"] = np.nan
    with pytest.raises(DataError, match="age"):
        impute(as_cohort(frame), imputations=1, seed=1)


def test_as_many_data_sets_as_per_cent_of_patients_with_a_gap() -> None:
    frame = patients(200, 1)
    frame.loc[:89, "age"] = np.nan
    assert imputations_needed(as_cohort(frame)) == 45
    frame = patients(200, 1)
    frame.loc[:3, "age"] = np.nan
    assert imputations_needed(as_cohort(frame)) == 20


def test_rubins_rules_by_hand() -> None:
    pooled = rubin([1.0, 3.0], [0.8, 1.2], 100)
    # W = 1, B = 2, V = 1 + 1.5 x 2 = 4, share 3/4; Barnard-Rubin: 1/(1/(1/0.75^2) + 1/(101/103 x 100 x 0.25))
    assert pooled.theta == 2.0
    assert pooled.std_error == 2.0
    assert pooled.missing_information == 0.75
    assert pooled.freedom == pytest.approx(1 / (0.75**2 + 1 / (101 / 103 * 100 * 0.25)))


def test_data_sets_that_agree_pool_to_themselves() -> None:
    complete = as_cohort(patients(200, 3))
    estimates = estimate_effects(complete, horizons=[24.0]).estimates
    for one, pooled in zip(estimates, pool_effects([estimates] * 4), strict=True):
        assert pooled.value == pytest.approx(one.value)
        assert pooled.variance.endswith("pooled over 4 imputations")
        if one.std_error is not None:
            assert (pooled.std_error, pooled.lower, pooled.upper) == pytest.approx(
                (one.std_error, one.lower, one.upper)
            )


# --- through a study file ------------------------------------------------------------------------


def incomplete_study() -> pd.DataFrame:
    frame, generator = cohort(), np.random.default_rng(1)
    frame["sites"] = frame["sites"].where(generator.random(len(frame)) >= 0.15)
    frame["pr_status"] = frame["pr_status"].where(generator.random(len(frame)) >= 0.1)
    return frame


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    text = STUDY.replace('time_unit = "months"', 'time_unit = "months"\nmissing = "impute"')
    text += "\n[sensitivity.e-value]\n[sensitivity.missing-not-at-random]\nshifts = [1.0]\n[sensitivity.loss-bounds]\n"
    path = write_study(tmp_path_factory.mktemp("imputed"), study=text, frame=incomplete_study())
    return Study.read(path).run()


def test_a_study_pools_effects_made_within_each_data_set(studied: StudyResult) -> None:
    frame = incomplete_study()
    incomplete = Cohort.from_frame(
        frame,
        treatment="surgery",
        treated=1,
        control=0,
        time="os_months",
        event="death",
        event_value=1,
        time_unit="months",
        covariates=["age", "pr_status", "sites"],
        missing="impute",
    )
    sets = impute(incomplete, imputations=imputations_needed(incomplete), seed=7)
    logs = []
    for each in sets:
        effects = estimate_effects(each, weigh(each, population="ATO"), horizons=[24.0])
        logs.append(np.log(effects.one(analysis="weighted", measure="hazard ratio").value))
    pooled = studied.effects.one(analysis="weighted", measure="hazard ratio")
    assert np.log(pooled.value) == pytest.approx(np.mean(logs), abs=1e-9)
    assert f"pooled over {len(sets)} imputations" in pooled.variance
    assert studied.cohort.n == len(frame)


def test_a_study_says_what_was_imputed_and_what_it_cost(studied: StudyResult) -> None:
    found = {finding.code: finding for finding in studied.findings}
    assert 0 < found["multiple-imputation"].numbers["missing_information"] < 0.3
    assert {f.numbers["column"] for f in studied.findings if f.code == "imputed"} == {"pr_status", "sites"}
    curve = next(c for c in studied.curves if c.analysis == "weighted" and c.arm == "treated")
    assert (np.diff(curve.survival) <= 0).all()
    at_two_years = studied.effects.one(analysis="weighted", measure="survival", arm="treated")
    assert curve.at(24.0) == pytest.approx(at_two_years.value, abs=1e-6)


def test_doubt_is_of_the_pooled_estimate(studied: StudyResult) -> None:
    hazard = studied.effects.one(analysis="weighted", measure="hazard ratio")
    of_hazard = next(
        each for each in studied.sensitivity if each.method == "e-value" and each.target["measure"] == "hazard ratio"
    )
    assert of_hazard.parameters["estimate"] == pytest.approx(hazard.value)
    shifted = next(each for each in studied.sensitivity if each.method == "missing not at random")
    assert [row["covariate"] for row in shifted.table] == ["none", "pr_status", "sites", "all of them together"]
    bounds = next(each for each in studied.sensitivity if each.method == "loss bounds")
    assert "first of" in bounds.assumptions[-1]


def test_nothing_missing_is_no_imputation(tmp_path: Path) -> None:
    text = (
        STUDY.replace('time_unit = "months"', 'time_unit = "months"\nmissing = "impute"') + "\n[sensitivity.e-value]\n"
    )
    result = Study.read(write_study(tmp_path, study=text)).run()
    plain = Study.read(write_study(tmp_path / "plain", study=STUDY + "\n[sensitivity.e-value]\n")).run()
    assert result.effects.estimates == plain.effects.estimates


# --- chained equations of others -----------------------------------------------------------------

OTHERS = ["late", "later", "a", "event", "hazard", "both"]


def dying_lost(names: Sequence[str]) -> tuple[Cohort, pd.DataFrame]:
    """Return patients whose covariates are missing at random, by treatment and event, and a table for others."""
    frame, generator = patients(600, 4), np.random.default_rng(5)
    for name in names:
        dead_treated = (frame["a"] == 1) & (frame["event"] == 1)
        frame[name] = frame[name].where(generator.random(600) >= np.where(dead_treated, 0.6, 0.1))
    hazard = NelsonAalenFitter(nelson_aalen_smoothing=False).fit(frame["time"], frame["event"])
    table = pd.DataFrame(
        {
            "age": frame["age"],
            "burden": frame["burden"],
            "late": (frame["stage"] == "II").astype(float),
            "later": (frame["stage"] == "III").astype(float),
            "a": frame["a"].astype(float),
            "event": frame["event"].astype(float),
            "hazard": hazard.cumulative_hazard_at_times(frame["time"]).to_numpy(),
            "both": (frame["a"] * frame["event"]).astype(float),
        }
    )
    return as_cohort(frame), table


def by_statsmodels(table: pd.DataFrame, sets: int, cycles: int) -> list[pd.DataFrame]:
    """Return completed tables, a yes or no by a binomial model."""
    chained = MICEData(table, k_pmm=5, rng=np.random.default_rng(3))
    formula = " + ".join(["age", *OTHERS])
    chained.set_imputer("burden", formula, sm.GLM, init_kwds={"family": sm.families.Binomial()})
    found = []
    for _ in range(sets):
        chained.update_all(cycles)
        found.append(chained.data.copy())
    return found


@dataclass(frozen=True)
class Described:
    """What several completed data sets say: estimates, their spread between sets, and their error within."""

    value: np.ndarray
    between: np.ndarray
    within: np.ndarray

    @classmethod
    def of(cls, sets: Sequence[pd.DataFrame], table: pd.DataFrame) -> Described:
        """Read off mean and spread of what filled the gaps, and coefficients of age and of treatment."""
        gap = table["age"].isna().to_numpy()
        values, errors = [], []
        for each in sets:
            age, burden = (each[name].to_numpy(dtype=float) for name in ("age", "burden"))
            linear = sm.OLS(age, sm.add_constant(np.column_stack([burden, table[["a", "event", "hazard"]]]))).fit()
            design = sm.add_constant(np.column_stack([age / 10, burden]))
            treated = sm.GLM(table["a"].to_numpy(), design, family=sm.families.Binomial()).fit()
            values.append([age[gap].mean(), age[gap].std(), *linear.params[1:3], *treated.params[1:]])
            errors.append([*linear.bse[1:3], *treated.bse[1:]])
        return cls(np.mean(values, axis=0), np.std(values, axis=0), np.sqrt(np.mean(np.square(errors), axis=0)))

    def agrees(self, other: Described, sets: int) -> None:
        """Check that the estimates differ by chance alone, and that their errors within a data set are the same."""
        chance = np.sqrt((self.between**2 + other.between**2) / sets)
        assert (np.abs(self.value - other.value) < 4 * chance).all()
        assert self.within == pytest.approx(other.within, rel=0.05)


def test_numbers_are_drawn_as_statsmodels_draws_them() -> None:
    incomplete, table = dying_lost(["age"])
    sets = 20
    ours = Described.of([each.covariates for each in impute(incomplete, imputations=sets, seed=2)], table)
    ours.agrees(Described.of(by_statsmodels(table, sets, 1), table), sets)


@pytest.mark.slow
def test_numbers_and_a_yes_or_no_are_drawn_as_statsmodels_draws_them() -> None:
    incomplete, table = dying_lost(["age", "burden"])
    sets, gap = 60, table["burden"].isna().to_numpy()
    drawn = [each.covariates for each in impute(incomplete, imputations=sets, seed=2)]
    theirs = by_statsmodels(table, sets, 4)
    ours, others = Described.of(drawn, table), Described.of(theirs, table)
    ours.agrees(others, sets)
    # the spread of a spread over 60 data sets is a tenth of it; statsmodels matches a yes or no to its five nearest
    # neighbours, whose share of yes varies less than a draw of the coefficients does
    number = [0, 2, 3]
    assert ours.between[number] == pytest.approx(others.between[number], rel=0.4)
    shares = [np.array([each["burden"][gap].mean() for each in several]) for several in (drawn, theirs)]
    error = np.sqrt(sum(share.var() for share in shares) / sets)
    assert abs(shares[0].mean() - shares[1].mean()) < 4 * error


@pytest.mark.slow
def test_numbers_are_drawn_as_scikit_learn_draws_them() -> None:
    incomplete, table = dying_lost(["age"])
    sets, columns = 40, ["age", "burden"]
    ours = Described.of([each.covariates for each in impute(incomplete, imputations=sets, seed=2)], table)
    theirs = []
    for number in range(sets):
        imputer = IterativeImputer(sample_posterior=True, max_iter=3, tol=0.0, random_state=number)
        theirs.append(pd.DataFrame(imputer.fit_transform(table)[:, :2], columns=columns))
    others = Described.of(theirs, table)
    ours.agrees(others, sets)
    # it draws each patient's value by itself and the coefficients for nobody, so that its data sets are too alike
    assert others.between[0] < ours.between[0]


# --- known truth ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_where_complete_cases_are_biased_imputation_is_not_and_its_intervals_cover() -> None:
    # with a thousand cohorts and a coverage of 95 per cent, the share that is covered lies outside of 93 to 97 per
    # cent in one of 250 runs
    replicates, m = 1000, 10
    left_out, pooled, covered = [], [], 0
    for number in range(replicates):
        frame = with_gaps(patients(400, 1000 + number), 5000 + number)
        complete_cases = as_cohort(frame, "complete-case")
        left_out.append(_log_hazard_ratio(complete_cases)[0])
        several = [_log_hazard_ratio(each) for each in impute(as_cohort(frame), imputations=m, seed=number)]
        one = rubin([theta for theta, _ in several], [se**2 for _, se in several], 398)
        pooled.append(one.theta)
        covered += abs(one.theta) <= one.reach(0.95)
    error = np.std(pooled) / np.sqrt(replicates)
    # treatment does nothing, so the true marginal log hazard ratio is exactly zero
    assert abs(np.mean(left_out)) > 0.15
    assert abs(np.mean(pooled)) < max(3 * error, 0.02)
    assert 0.93 <= covered / replicates <= 0.97


def _log_hazard_ratio(cohort: Cohort) -> tuple[float, float]:
    effects = estimate_effects(cohort, weigh(cohort, population="ATE"))
    one = effects.one(analysis="weighted", measure="hazard ratio")
    return float(np.log(one.value)), float(one.std_error)
