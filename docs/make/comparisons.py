"""Our results, computed now, and R's as committed in ``tests/reference``, in pairs.

Cohorts and readers of R's numbers are those of ``tests/test_against_r``, which hold more numbers, and each to its own
tolerance.
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

import pandas as pd

import causal_s4 as s4
from causal_s4.propensity.weights import summarise_weights
from docs.make.markdown import ROOT

REFERENCE = ROOT / "tests" / "reference"
TAU = 1826.25
SURVIVAL, SURVEY, SURVRM2 = "survival 3.8-6", "survey 4.5", "survRM2 1.0-4"
HEART = "Stanford heart transplants"
GRAPHS = ("stageIV_surgery", "stageIV_surgery_no_latent_path", "stageIV_unmeasured")
_ZERO = 1e-6


class Pair(NamedTuple):
    """One number of ours and one of theirs."""

    function: str
    quantity: str
    data: str
    ours: float
    theirs: float
    software: str

    @property
    def difference(self) -> float:
        """Relative to theirs; absolute where theirs is as good as zero."""
        return abs(self.ours - self.theirs) / (abs(self.theirs) if abs(self.theirs) > _ZERO else 1.0)


@cache
def golden() -> ModuleType:
    """Return the module of the tests that reads R's numbers."""
    folder = str(ROOT / "tests" / "test_against_r")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module("golden")
    finally:
        sys.path.remove(folder)


def every_weighting() -> Iterator[tuple[str, str, str]]:
    """Yield each formula, each weighting, and the data in words."""
    for formula in golden().FORMULAS:
        for name in golden().WEIGHTINGS:
            yield formula, name, f"Rotterdam, {formula}, {name.replace('_', ' ')}"


# --- weights and balance ------------------------------------------------------------------------


def propensity() -> Iterator[Pair]:
    """Compare the propensity model, and what its weights are worth."""
    g = golden()
    for formula in g.FORMULAS:
        theirs = g.rotterdam_numbers()[formula]["ps"]
        found = g.weights(formula, "ate")
        data = f"Rotterdam, {formula}"
        for term, ours, coefficient in zip(found.terms, found.coefficients, theirs["coef"].values(), strict=True):
            yield Pair("weigh", f"coefficient of {term}", data, float(ours), coefficient, "glm of R 4.2.2")
        c_statistic = summarise_weights(g.rotterdam(), found).c_statistic
        yield Pair("weigh", "c statistic", data, c_statistic or math.nan, theirs["auc"], "R 4.2.2")
    for formula, name, data in every_weighting():
        ours_of = summarise_weights(g.rotterdam(), g.weights(formula, name))
        theirs = g.rotterdam_numbers()[formula]["balance"][name]["ess"]["values"][1]
        for arm, expected in zip(("control", "treated"), theirs, strict=True):
            worth = getattr(ours_of, f"ess_{arm}")
            yield Pair("weigh", f"effective sample size, {arm}", data, worth, expected, "WeightIt 1.5.1, cobalt 4.6.2")


def balance() -> Iterator[Pair]:
    """Compare standardised mean differences, variance ratios and distances of distributions."""
    g = golden()
    cohorts = {"F1": g.rotterdam(), "F2": g.rotterdam_logged()}
    columns = {
        "smd_before": "Diff.Un",
        "smd_after": "Diff.Adj",
        "variance_ratio_after": "V.Ratio.Adj",
        "ks_after": "KS.Adj",
    }
    for formula, name, data in every_weighting():
        theirs = g.rotterdam_numbers()[formula]["balance"][name]["table"]
        rows = s4.check_balance(cohorts[formula], g.weights(formula, name)).rows
        for field, column in columns.items():
            for row, expected in zip(rows, theirs[column], strict=True):
                if expected is not None:
                    what = f"{field.replace('_', ' ').replace('smd', 'SMD').replace('ks', 'KS distance')}: {row.term}"
                    yield Pair("check_balance", what, data, getattr(row, field), expected, "cobalt 4.6.2")


def overlap() -> Iterator[Pair]:
    """Compare the overlap of the scores and the groups that one arm does not reach."""
    g = golden()
    theirs = g.reference("overlap_alignment_truth.json")
    found = s4.check_positivity(g.rotterdam(), g.weights("F1", "ate"))
    of = ("check_positivity", "Rotterdam, F1", "base R 4.2.2")
    assert found.overlap_coefficient is not None
    pairs = [("overlap coefficient", found.overlap_coefficient, theirs["overlap_coefficient"])]
    for arm in ("treated", "control"):
        for share, ours, expected in zip(
            (0, 5, 25, 50, 75, 95, 100), found.quantiles[arm], theirs[f"quantiles_{arm}"], strict=True
        ):
            pairs.append((f"{share}% quantile of the score, {arm}", ours, expected))
    empty = theirs["empty_single"] + theirs["empty_pairs"]
    pairs.append(("groups with an empty arm", len(found.empty_cells), empty))
    for quantity, ours, expected in pairs:
        yield Pair(of[0], quantity, of[1], ours, expected, of[2])


# --- curves and effects -------------------------------------------------------------------------


def curves() -> Iterator[Pair]:
    """Compare weighted Kaplan-Meier curves and their standard errors, weights taken as known."""
    g = golden()
    for formula, name, data in every_weighting():
        theirs = g.rotterdam_numbers()[formula]["OS"]["weighted"][name]["km"]["robust_ij"]
        found = s4.survival_curves(g.rotterdam(), g.weights(formula, name), outcome="OS", variance="fixed")
        for code, arm in g.ARMS:
            curve, expected = found[arm], theirs[f"a={code}"]
            for time, survival, error in zip(g.HORIZONS, expected["surv"], expected["std.err"], strict=True):
                at = int(curve.times.searchsorted(time, side="right")) - 1
                when = f"{time / 365.25:g} years, {arm}"
                yield Pair("survival_curves", f"survival at {when}", data, curve.survival[at], survival, SURVIVAL)
                yield Pair("survival_curves", f"its standard error, {when}", data, curve.std_error[at], error, SURVIVAL)


def effects() -> Iterator[Pair]:
    """Compare hazard ratios and restricted means under every weighting, weights taken as known."""
    g = golden()
    for formula, name, data in every_weighting():
        theirs = g.rotterdam_numbers()[formula]["OS"]["weighted"][name]
        for ties in ("efron", "breslow"):
            found = g.effects(formula, name, "OS", False, ties).one(measure="hazard ratio")
            cox, what = theirs[f"cox_{ties}"], f"log hazard ratio ({ties})"
            yield Pair("estimate_effects", what, data, math.log(found.value), cox["coef"]["a"], SURVIVAL)
            error = cox["se_robust"]["a"]
            yield Pair("estimate_effects", f"sandwich standard error, {what}", data, found.std_error, error, SURVIVAL)
        mean = g.effects(formula, name, "OS", False).one(measure="rmst difference", horizon=TAU)
        expected = theirs["rmst"][f"tau_{TAU}"]["diff"]
        yield Pair(
            "estimate_effects", "restricted mean difference, 5 years, days", data, mean.value, expected, SURVIVAL
        )
    yield from naive_effects()
    yield from accounted_effects()
    yield from competing_effects()


def naive_effects() -> Iterator[Pair]:
    """Compare restricted means and their intervals without weights."""
    g = golden()
    for outcome in g.OUTCOMES:
        for theirs in g.rotterdam_numbers()["unweighted"][outcome]["survRM2"].values():
            found = g.naive_effects(outcome).one(measure="rmst difference", horizon=theirs["tau"])
            expected = theirs["unadjusted"]["values"][0]
            for what, ours, number in zip(
                ("", ", lower limit", ", upper limit"),
                (found.value, found.lower, found.upper),
                expected[:3],
                strict=True,
            ):
                quantity = f"restricted mean difference, {theirs['tau'] / 365.25:g} years, days{what}"
                yield Pair("estimate_effects", quantity, f"Rotterdam, {outcome}, no weights", ours, number, SURVRM2)


def accounted_effects() -> Iterator[Pair]:
    """Compare standard errors that account for the estimation of the propensity score."""
    g = golden()
    for formula in g.FORMULAS:
        theirs = g.rotterdam_numbers()[formula]["OS"]["ipwCoxCSV"]["breslow"]["values"]
        for name, row in (("ate", theirs[0]), ("ate_stab", theirs[1])):
            found = g.effects(formula, name, "OS", True, "breslow").one(measure="hazard ratio")
            data = f"Rotterdam, {formula}, {name.replace('_', ' ')}"
            yield Pair(
                "estimate_effects", "standard error, weights estimated", data, found.std_error, row[1], "ipwCoxCSV 1.0"
            )
        for name, of in g.reference("rotterdam_influence.json.gz")[formula]["OS"].items():
            if name in g.WEIGHTINGS:
                mean = g.effects(formula, name, "OS", True).one(measure="rmst difference", horizon=TAU)
                expected = of["se_mest"][f"RMSTdiff_{TAU}"]
                quantity = "standard error of the restricted mean difference, weights estimated"
                data = f"Rotterdam, {formula}, {name.replace('_', ' ')}"
                yield Pair(
                    "estimate_effects", quantity, data, mean.std_error, expected, "survival's residuals, put together"
                )


def competing_effects() -> Iterator[Pair]:
    """Compare cumulative incidence with competing events."""
    g = golden()
    theirs = g.reference("competing.json")["mgus2"]["aalen_johansen"]
    frame = pd.read_csv(REFERENCE / "mgus2.csv")
    progressed = frame["pstat"] == 1
    cohort = s4.Cohort.from_frame(
        frame.assign(
            months=frame["futime"].where(~progressed, frame["ptime"]),
            state=frame["pstat"].where(progressed, 2 * frame["death"]),
        ),
        id="id",
        treatment="sex",
        treated="M",
        control="F",
        time="months",
        event="state",
        event_value=1,
        competing_value=2,
        time_unit="months",
        covariates=[],
    )
    found = s4.estimate_effects(cohort, horizons=theirs["g=0"]["times"])
    for code, arm in golden().ARMS:
        own = found.where(measure="cumulative incidence", arm=arm)
        for each, expected, error in zip(
            own, theirs[f"g={code}"]["cif_pcm"], theirs[f"g={code}"]["se_ij_pcm"], strict=True
        ):
            what = f"cumulative incidence at {each.horizon:g} months, {arm}"
            assert each.value is not None
            assert each.std_error is not None
            yield Pair("estimate_effects", what, "mgus2, men against women", each.value, expected, SURVIVAL)
            yield Pair(
                "estimate_effects",
                f"standard error, {what}",
                "mgus2, men against women",
                each.std_error,
                error,
                SURVIVAL,
            )


# --- time zero ----------------------------------------------------------------------------------


def log_hazard_ratio(source: s4.Cohort | s4.RiskTable, **options: Any) -> float:
    """Return our log hazard ratio."""
    value = s4.estimate_effects(source, **options).one(measure="hazard ratio").value
    assert value is not None
    return math.log(value)


def time_zero() -> Iterator[Pair]:
    """Compare immortal time, changing treatment, landmarks, clones, and the ladder that has them all."""
    theirs = golden().reference("heart.json")["heart"]
    yield from alignment()
    for ties in ("efron", "breslow"):
        expected = theirs[f"td_heart_unadj_{ties}"]["coef"]["transplant1"]
        ours = log_hazard_ratio(s4.time_dependent_table(golden().transplants("heart")), ties=ties)
        yield Pair("time_dependent_table", f"log hazard ratio ({ties})", HEART, ours, expected, SURVIVAL)
    for day in (30, 60, 90):
        cohort, expected = s4.landmark_cohort(golden().transplants("jasa"), day), theirs[f"landmark_{day}"]
        of = f"{HEART}, day {day}"
        yield Pair("landmark_cohort", "patients at risk", of, len(cohort), expected["n"], SURVIVAL)
        yield Pair(
            "landmark_cohort", "log hazard ratio", of, log_hazard_ratio(cohort), expected["cox"]["coef"]["tx"], SURVIVAL
        )
    yield from clones(theirs)
    yield from ladder(theirs)


def alignment() -> Iterator[Pair]:
    """Compare the follow-up before treatment."""
    theirs, found = golden().reference("overlap_alignment_truth.json"), s4.check_alignment(golden().transplants("jasa"))
    for what, ours, key in (
        ("treated after time zero", found.later, "heart_later"),
        ("days before treatment", found.misplaced, "heart_misplaced_days"),
        ("days of follow-up of the treated", found.treated_follow_up, "heart_follow_up_of_treated_days"),
        ("median day of treatment", found.median_start, "heart_median_start_days"),
    ):
        assert ours is not None
        yield Pair("check_alignment", what, HEART, ours, theirs[key], "survival 3.5-3 (tmerge, pyears)")


def clones(theirs: Mapping[str, Any]) -> Iterator[Pair]:
    """Compare cloned strategies with the weights of published code (timing "maringe")."""
    software = f"{SURVIVAL}, scripts/clone_censor.R"
    for grace in (30, 60):
        table, expected = (
            s4.clone_censor(golden().transplants("jasa"), grace_period=grace, timing="maringe"),
            theirs[f"ccw_grace_{grace}"]["weighted"],
        )
        of = f"{HEART}, grace {grace} days"
        ratio = log_hazard_ratio(table)
        yield Pair("clone_censor", "log hazard ratio (efron)", of, ratio, expected["cox_efron"]["loghr"], software)
        for horizon in (180, 365, 730):
            found = s4.estimate_effects(table, horizons=[horizon])
            for measure, key in (("survival difference", "S_diff"), ("rmst difference", "rmst_diff")):
                ours = found.one(measure=measure).value
                assert ours is not None
                yield Pair(
                    "clone_censor", f"{measure}, {horizon} days", of, ours, expected[f"h_{horizon}"][key], software
                )


def ladder(theirs: Mapping[str, Any]) -> Iterator[Pair]:
    """Compare the rungs that R's survival has a name for."""
    rungs = s4.bias_ladder(golden().transplants("heart"), landmarks=[], grace_periods=[]).rungs
    for analysis, adjusts_for, key, term in (
        ("naive", "nothing", "naive_ever_transplant", "transplant"),
        ("multivariable", "time zero", "naive_ever_adj", "transplant"),
        ("time-dependent", "time zero", "td_heart_adj", "transplant1"),
    ):
        rung = next(each for each in rungs if (each.analysis, each.adjusts_for) == (analysis, adjusts_for))
        value = rung.effects.one(measure="hazard ratio").value
        assert value is not None
        expected = theirs[key]["coef"][term]
        yield Pair("bias_ladder", f"log hazard ratio: {rung.label}", HEART, math.log(value), expected, SURVIVAL)


# --- doubt, truth and graphs --------------------------------------------------------------------


def doubt() -> Iterator[Pair]:
    """Compare E-values, tipping points and bounds for matched pairs."""
    theirs = golden().reference("sensitivity.json")
    for row in theirs["evalue_HR"]:
        call = {"hazard_ratio": row["est"], "lower": row["lo"], "upper": row["hi"]}
        data = f"hazard ratio {row['est']:.2g} ({row['lo']:.2g} to {row['hi']:.2g})"
        for outcome, key in (("rare", "rare"), ("common", "nonrare")):
            found = s4.evalue(**call, outcome=outcome)
            point, *limits = row[key]["values"][1]
            assert found.value is not None
            yield Pair("evalue", f"E-value, outcome {outcome}", data, found.value, point, "EValue 4.1.4")
            limit = next((each for each in limits if each is not None), None)
            if limit is not None and found.bound is not None:
                yield Pair(
                    "evalue", f"E-value of the limit, outcome {outcome}", data, found.bound, limit, "EValue 4.1.4"
                )
    tipr = theirs["tipr"]
    both = {"prevalence_treated": 0.25, "prevalence_control": 0.6}
    for what, call, expected in (
        ("confounder's hazard ratio", {"effect": 0.7, **both}, tipr["tip_hr_binary"]["confounder_outcome_effect"]),
        ("the same, on the risk-ratio scale", {"effect": 0.7, **both, "hr_correction": True}, tipr["tip_hr_binary_correction"]["confounder_outcome_effect"]),
        ("prevalence in the controls", {"effect": 1.5, "prevalence_treated": 0.5, "confounder_hazard_ratio": 2.5}, tipr["tip_hr_binary_outcome"]["unexposed_confounder_prev"]),
        ("difference of means", {"effect": 1.5, "confounder_hazard_ratio": 2, "confounder": "normal"}, tipr["tip_hr_continuous"]["exposure_confounder_effect"]),
    ):  # fmt: skip
        value = s4.tipping_point(**call).value
        assert value is not None
        yield Pair("tipping_point", what, f"hazard ratio {call['effect']}", value, expected, "tipr 1.0.2")
    yield from matched_pairs(theirs)


def matched_pairs(theirs: Mapping[str, Any]) -> Iterator[Pair]:
    """Compare Rosenbaum's bounds of counts of pairs."""
    own = theirs["rotterdam_pairs_5y_death"]
    exact = own["exact_upper_P_ge"]
    found = s4.rosenbaum_bounds(
        treated_first=own["discordant_treated_died"],
        control_first=own["discordant_control_died"],
        gamma=exact["gamma"],
    )
    for row, upper, lower in zip(found.table, exact["p"], exact["p_lower"], strict=True):
        data = "matched pairs of Rotterdam, death within 5 years"
        for side, number in (("upper", upper), ("lower", lower)):
            what = f"{side} P value, Γ = {row['gamma']:g}"
            yield Pair("rosenbaum_bounds", what, data, row[f"p_{side}"], number, "binomial tails of R 4.2.2")


def truth() -> Iterator[Pair]:
    """Compare the truth of the closed-form world with R's own quadrature."""
    theirs = golden().reference("overlap_alignment_truth.json")
    for population in ("ATE", "ATT", "ATC", "ATO", "ATM"):
        found = s4.true_effects("closed-form", population=population, horizons=[60])
        ours = [
            *(found.one(measure="survival", arm=arm).value for arm in ("treated", "control")),
            *(found.one(measure="rmst", arm=arm).value for arm in ("treated", "control")),
            math.log(found.one(measure="hazard ratio", stabilised=False).value),
        ]
        names = (
            "survival, treated",
            "survival, control",
            "restricted mean, treated",
            "restricted mean, control",
            "log hazard ratio",
        )
        for what, own, expected in zip(names, ours, theirs[f"truth_{population}"], strict=True):
            yield Pair(
                "true_effects",
                f"{what}, 60 months",
                f"closed-form world, {population}",
                own,
                expected,
                "integrate and uniroot of R 4.2.2",
            )


def graphs() -> Iterator[Pair]:
    """Compare adjustment sets and implied independencies; those of every graph are held in the tests."""
    theirs = golden().reference("dags.json")
    named = {**{name: theirs[name] for name in GRAPHS}, **theirs["textbook"]}
    named |= {f"random graph {k + 1}": graph for k, graph in enumerate(theirs["random"])}
    for name, graph in named.items():
        dag = s4.Dag.parse(graph["dag"])
        ours = {frozenset(each) for each in dag.adjustment_sets()}
        expected = {frozenset(each) for each in graph["minimal_sets_total"]}
        found = {(frozenset((claim.x, claim.y)), frozenset(claim.given)) for claim in dag.implied_independencies()}
        wanted = {
            (frozenset((each["X"], each["Y"])), frozenset(each["Z"]))
            for each in graph["implied_independencies"].values()
        }
        data, dagitty = name.replace("_", " "), "dagitty 0.3-4"
        yield Pair(
            "Dag.adjustment_sets",
            "minimal sets that both find",
            data,
            len(ours & expected),
            len(ours | expected),
            dagitty,
        )
        yield Pair(
            "Dag.implied_independencies",
            "claims that both find",
            data,
            len(found & wanted),
            len(found | wanted),
            dagitty,
        )


SOURCES: Mapping[str, Callable[[], Iterator[Pair]]] = {
    "graphs": graphs,
    "propensity": propensity,
    "balance": balance,
    "overlap": overlap,
    "curves": curves,
    "effects": effects,
    "time-zero": time_zero,
    "doubt": doubt,
    "truth": truth,
}
