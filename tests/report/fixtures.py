"""A study result written by hand: shaped as a real one, with every part a report can hold.

The numbers are made up around the Rotterdam registry (2982 patients, 339 treated); nothing is
checked against them, they only have to be told apart in the output.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from causal_s4.protocol.protocol import Protocol
from causal_s4.results import (
    AdjustmentSet,
    AttritionStep,
    BalanceRow,
    BalanceTable,
    Benchmark,
    CohortSummary,
    EffectEstimate,
    EffectTable,
    EmptyCell,
    Finding,
    HazardsCheck,
    Histogram,
    IndependenceTest,
    Positivity,
    Provenance,
    RegressionRow,
    RegressionTable,
    ScoreTest,
    SensitivityResult,
    StudyResult,
    SurvivalCurve,
    WeightSummary,
)

YEAR = 365.25
RFS, OS = "Recurrence-free survival", "Overall survival"
TREATED, CONTROL = "Hormonal treatment", "No hormonal treatment"


STUDY = f"""
title = "Hormonal treatment and recurrence in primary breast cancer"
seed = 20260118

[data]
file = "rotterdam.csv"
time_unit = "days"

[dag]
file = "rotterdam.dag"

[eligibility]
nodes = {{ at_least = 1 }}

[treatment]
column = "hormon"
treated = 1
control = 0
name = "{TREATED}"
control_name = "{CONTROL}"

[[outcome]]
name = "{RFS}"
time = "rfs_days"
event = "rfs"
event_value = 1
horizons = ["1 year", "5 years"]

[[outcome]]
name = "{OS}"
time = "os_days"
event = "death"
event_value = 1
horizons = ["1 year", "5 years"]

[estimand]
population = "ATO"
also = ["ATE", "ATT"]

[propensity]
splines = {{ age = 4 }}
log1p = ["nodes", "pgr", "er"]
"""


def make_protocol(more: str = "") -> Protocol:
    """Return the question of the made-up study, with further lines of its file."""
    return Protocol.parse(STUDY + more)


def make_curve(
    outcome: str, analysis: str, population: str, arm: str, *, hazard: float, shape: float, n: int
) -> SurvivalCurve:
    """Return a Weibull-shaped curve of steps with a pointwise band."""
    draw = np.random.default_rng([n, int(hazard * 1e6), len(arm)])
    steps = np.sort(draw.choice(np.arange(20, 4400), size=min(n, 700), replace=False)).astype(float)
    times = np.unique(np.concatenate([[0.0, YEAR, 5 * YEAR], steps]))
    survival = np.exp(-((hazard * times / YEAR) ** shape))
    at_risk_share = np.exp(-times / 4200) * survival
    error = survival * np.sqrt(
        np.cumsum(np.concatenate([[0.0], -np.diff(np.log(survival))]) / np.maximum(n * at_risk_share, 1))
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = 1.959964 * error / (survival * np.abs(np.log(survival)))
        lower, upper = survival ** np.exp(shift), survival ** np.exp(-shift)
    lower[0] = upper[0] = 1.0
    risk_times = np.arange(0, 13, 2) * YEAR
    remaining = np.round(n * np.exp(-risk_times / 4200) * np.exp(-((hazard * risk_times / YEAR) ** shape))).astype(
        np.int64
    )
    return SurvivalCurve(
        outcome=outcome,
        analysis=analysis,
        population=population,
        arm=arm,
        unit="days",
        level=0.95,
        times=times,
        survival=survival,
        std_error=error,
        lower=lower,
        upper=upper,
        risk_times=risk_times,
        at_risk=remaining,
        ess_at_risk=remaining * (0.93 if arm == "treated" else 0.31)
        if analysis != "naive"
        else remaining.astype(float),
    )


_HAZARD = {  # outcome, analysis, population -> hazards a year (treated, control)
    (RFS, "naive", "unadjusted"): (0.135, 0.108),
    (RFS, "weighted", "ATO"): (0.133, 0.180),
    (RFS, "weighted", "ATE"): (0.079, 0.110),
    (RFS, "weighted", "ATT"): (0.136, 0.196),
    (OS, "naive", "unadjusted"): (0.090, 0.060),
    (OS, "weighted", "ATO"): (0.088, 0.099),
    (OS, "weighted", "ATE"): (0.052, 0.062),
    (OS, "weighted", "ATT"): (0.090, 0.111),
}
_SHAPE, _N, _EVENTS = 0.9, 2982, {RFS: 1713, OS: 1272}


def make_estimates() -> list[EffectEstimate]:
    """Return the estimates of every analysis, naive first."""
    made = []
    for (outcome, analysis, population), (treated, control) in _HAZARD.items():
        spread = {"ATO": 1.0, "unadjusted": 0.8, "ATT": 1.15, "ATE": 3.4}[population]
        ess = {"ATO": 731.2, "unadjusted": 2982.0, "ATT": 640.8, "ATE": 212.5}[population]

        def add(
            measure: str,
            value: float,
            error: float,
            *,
            arm: str | None = None,
            horizon: float | None = None,
            unit: str = "",
            p: float | None = None,
            about: tuple[Any, ...] = (outcome, analysis, population, ess),
        ) -> None:
            outcome, analysis, population, ess = about
            log = "ratio" in measure
            low, high = value - 1.959964 * error, value + 1.959964 * error
            if log:
                low, high = value * np.exp(-1.959964 * error), value * np.exp(1.959964 * error)
            made.append(
                EffectEstimate(
                    outcome=outcome,
                    analysis=analysis,
                    population=population,
                    measure=measure,
                    arm=arm,
                    horizon=horizon,
                    unit=unit,
                    value=float(value),
                    std_error=float(error),
                    lower=float(low),
                    upper=float(high),
                    level=0.95,
                    variance="influence",
                    p_value=p,
                    n=_N,
                    events=_EVENTS[outcome],
                    ess=ess,
                )
            )

        add(
            "hazard ratio",
            (treated / control) ** _SHAPE,
            0.075 * spread,
            unit="ratio",
            p=0.0004 if analysis == "weighted" else 0.0003,
        )
        for horizon in (1 * YEAR, 5 * YEAR):
            share = {
                arm: float(np.exp(-((rate * horizon / YEAR) ** _SHAPE)))
                for arm, rate in (("treated", treated), ("control", control))
            }
            grid = np.linspace(0, horizon, 400)
            mean = {
                arm: float(np.trapezoid(np.exp(-((rate * grid / YEAR) ** _SHAPE)), grid))
                for arm, rate in (("treated", treated), ("control", control))
            }
            for arm in ("treated", "control"):
                add("survival", share[arm], 0.017 * spread, arm=arm, horizon=horizon, unit="probability")
            add(
                "survival difference",
                share["treated"] - share["control"],
                0.027 * spread,
                horizon=horizon,
                unit="probability",
                p=0.003,
            )
            add("survival ratio", share["treated"] / share["control"], 0.05 * spread, horizon=horizon, unit="ratio")
            for arm in ("treated", "control"):
                add("rmst", mean[arm], 21.0 * spread, arm=arm, horizon=horizon, unit="days")
            add(
                "rmst difference",
                mean["treated"] - mean["control"],
                33.0 * spread,
                horizon=horizon,
                unit="days",
                p=0.001,
            )
            add("rmst ratio", mean["treated"] / mean["control"], 0.03 * spread, horizon=horizon, unit="ratio")
        for arm, rate in (("treated", treated), ("control", control)):
            add("median survival", YEAR / rate * np.log(2) ** (1 / _SHAPE), 120.0 * spread, arm=arm, unit="days")
    for outcome, value in ((RFS, 0.79), (OS, 0.98)):
        made.append(
            EffectEstimate(
                outcome=outcome,
                analysis="multivariable",
                population="conditional",
                measure="hazard ratio",
                arm=None,
                horizon=None,
                unit="ratio",
                value=value,
                std_error=0.081,
                lower=value * 0.853,
                upper=value * 1.172,
                level=0.95,
                variance="influence",
                p_value=0.004,
                n=_N,
                events=_EVENTS[outcome],
                ess=float(_N),
            )
        )
    order = {"naive": 0, "multivariable": 1, "weighted": 2}
    return sorted(made, key=lambda each: (list(_EVENTS).index(each.outcome), order[each.analysis]))


def _continuous(term: str, before: float, after: float, treated: float, control: float, sd: float) -> BalanceRow:
    return BalanceRow(
        term=term,
        kind="continuous",
        column=term,
        level=None,
        smd_before=before,
        smd_after=after,
        variance_ratio_before=1.6,
        variance_ratio_after=1.1,
        ks_before=abs(before) * 0.5,
        ks_after=0.04,
        mean_treated_before=treated,
        mean_control_before=control,
        mean_treated_after=treated - 1,
        mean_control_after=treated - 1 - after * sd,
        sd_treated_before=sd,
        sd_control_before=sd * 1.1,
        sd_treated_after=sd * 0.98,
        sd_control_after=sd,
    )


def _share(
    column: str, level: str | None, before: float, after: float, treated: float, control: float, kind: str = "level"
) -> BalanceRow:
    return BalanceRow(
        term=column if kind == "binary" else f"{column}={level}",
        kind=kind,
        column=column,
        level=level,
        smd_before=before,
        smd_after=after,
        variance_ratio_before=None,
        variance_ratio_after=None,
        ks_before=abs(treated - control),
        ks_after=0.01,
        mean_treated_before=treated,
        mean_control_before=control,
        mean_treated_after=treated - 0.03,
        mean_control_after=treated - 0.03 - after * 0.4,
        count_treated=round(339 * treated),
        count_control=round(2643 * control),
    )


def make_balance() -> BalanceTable:
    """Return balance before and after weighting to the overlap population."""
    return BalanceTable(
        population="ATO",
        denominator="standard deviation of the whole weighted sample",
        rows=(
            _continuous("age", 0.591, -0.012, 62.5, 54.1, 9.8),
            _share("meno", "1", 0.742, 0.004, 0.882, 0.523, "binary"),
            _share("size", "<=20", -0.317, 0.008, 0.330, 0.483),
            _share("size", "20-50", 0.187, -0.004, 0.525, 0.432),
            _share("size", ">50", 0.168, -0.006, 0.145, 0.085),
            _share("grade", "3", 0.271, 0.003, 0.832, 0.721, "binary"),
            _continuous("nodes", 0.601, 0.031, 5.7, 2.3, 4.9),
            _continuous("pgr", -0.251, 0.021, 108.0, 168.7, 240.0),
            _continuous("er", 0.053, -0.044, 181.2, 164.6, 270.0),
            _continuous("year", 0.402, 0.002, 1989.4, 1988.1, 3.0),
            _share("chemo", "1", -0.441, -0.011, 0.068, 0.211, "binary"),
        ),
        ess_treated=318.7,
        ess_control=412.5,
    )


def make_weights(population: str, scale: float) -> WeightSummary:
    """Return a weight summary whose tails grow with ``scale``."""
    edges = tuple(np.linspace(0, 1, 31).round(6).tolist())
    middle = (np.array(edges[1:]) + np.array(edges[:-1])) / 2
    treated, control = middle**1.1 * (1 - middle) ** 2.6, middle**0.15 * (1 - middle) ** 9
    describes = {
        "ATO": "patients for whom both options were real (overlap population)",
        "ATE": "all eligible patients",
        "ATT": "patients like those who were treated",
    }
    quantiles = np.array([0.02, 0.04, 0.1, 0.35, 0.62, 0.8, 0.93, 0.97, 0.99])
    return WeightSummary(
        population=population,
        describes=describes[population],
        method="logistic",
        normalisation="not normalised: each patient's weight is a probability",
        ess_treated=318.7 / scale,
        ess_control=412.5 * (1 if population != "ATE" else 6),
        max=float(quantiles[-1] * scale**3),
        truncated=0,
        trimmed=0,
        mean_treated=0.71,
        mean_control=0.09,
        top_share_treated=0.013 * scale,
        top_share_control=0.11,
        quantiles={
            "treated": tuple((quantiles * np.linspace(1, scale**3, 9)).tolist()),
            "control": tuple((quantiles * 0.6 * np.linspace(1, scale, 9)).tolist()),
        },
        histogram=Histogram(
            edges=edges,
            treated=tuple(np.round(339 * treated / treated.sum()).tolist()),
            control=tuple(np.round(2643 * control / control.sum()).tolist()),
            treated_weighted=tuple((treated * (1 - middle) / (treated * (1 - middle)).sum()).tolist()),
            control_weighted=tuple((control * middle / (control * middle).sum()).tolist()),
        ),
        c_statistic=0.841,
        c_statistic_weighted=0.512,
        covariates=("age", "meno", "size", "grade", "nodes", "pgr", "er", "year", "chemo"),
        terms=("intercept", "age", "meno"),
        coefficients=(-5.4, 0.015, 1.57),
    )


DRAWING = (
    '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="dag-t dag-d" viewBox="0 0 620 190" width="620" '
    'font-family="sans-serif" font-size="14"><title id="dag-t">Causal diagram</title><desc id="dag-d">age to hormon, age to rfs, '
    'nodes to hormon, nodes to rfs, hormon to rfs</desc><defs><marker id="a" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" '
    'markerHeight="8" orient="auto"><path d="M0 0.8L10 5L0 9.2z" fill="#667085"/></marker></defs>'
    '<path d="M110 40C200 40 200 95 262 95" fill="none" stroke="#98a2b3" marker-end="url(#a)"/>'
    '<path d="M110 150C200 150 200 95 262 95" fill="none" stroke="#98a2b3" marker-end="url(#a)"/>'
    '<path d="M110 40C300 20 400 30 512 88" fill="none" stroke="#98a2b3" marker-end="url(#a)"/>'
    '<path d="M110 150C300 170 400 160 512 102" fill="none" stroke="#98a2b3" marker-end="url(#a)"/>'
    '<path d="M358 95L510 95" fill="none" stroke="#0b6fb8" stroke-width="2.4" marker-end="url(#a)"/>'
    '<g fill="#fff" stroke="#14202b"><rect x="40" y="25" width="70" height="30"/><rect x="40" y="135" width="70" height="30"/>'
    '<rect x="262" y="80" width="96" height="30" rx="14" fill="#e3f0fa"/><rect x="512" y="80" width="64" height="30" rx="14" '
    'fill="#fdeee3"/></g><g text-anchor="middle"><text x="75" y="45">age</text><text x="75" y="155">nodes</text>'
    '<text x="310" y="100">hormon</text><text x="544" y="100">rfs</text></g></svg>'
)


def make_result(**changes: Any) -> StudyResult:
    """Return the made-up study with any part replaced."""
    curves = []
    for (outcome, analysis, population), (treated, control) in _HAZARD.items():
        if population in ("unadjusted", "ATO"):
            curves.append(make_curve(outcome, analysis, population, "treated", hazard=treated, shape=_SHAPE, n=339))
            curves.append(make_curve(outcome, analysis, population, "control", hazard=control, shape=_SHAPE, n=2643))
    target = {"outcome": RFS, "analysis": "weighted", "population": "ATO", "measure": "hazard ratio", "horizon": None}
    result = StudyResult(
        protocol=make_protocol(),
        cohort=CohortSummary(
            n=2982,
            treated=339,
            control=2643,
            events={
                RFS: {"treated": 206, "control": 1507, "total": 1713},
                OS: {"treated": 159, "control": 1113, "total": 1272},
            },
            attrition=(
                AttritionStep(step="patients in the file", n=3310, excluded=0),
                AttritionStep(step="operated on before metastasis was found", n=3307, excluded=3),
                AttritionStep(step="at least one positive lymph node", n=3041, excluded=266),
                AttritionStep(step="no missing covariate", n=2982, excluded=59),
            ),
            time_unit="days",
            treatment_name="Hormonal treatment",
            treated_label=TREATED,
            control_label=CONTROL,
            follow_up={RFS: 3390.0, OS: 3412.5},
            missing={"grade": 59},
        ),
        adjustment=AdjustmentSet(
            nodes=("age", "chemo", "er", "grade", "meno", "nodes", "pgr", "size", "year"),
            columns=("age", "chemo", "er", "grade", "meno", "nodes", "pgr", "size", "year"),
            alternatives=(("age", "er", "grade", "nodes", "pgr", "size", "year"),),
            verdict="adjust",
            reasons=(
                "Every back-door path from hormon to rfs is closed by the nine covariates.",
                "No member is a descendant of the treatment.",
            ),
            untested_assumptions=(
                "No unmeasured common cause of hormonal treatment and recurrence beyond those drawn.",
                "Frailty acts on treatment only through age and menopause.",
            ),
            tests=(
                IndependenceTest(
                    x="age",
                    y="pgr",
                    given=("meno",),
                    estimate=0.041,
                    lower=0.005,
                    upper=0.077,
                    p_value=0.025,
                    p_adjusted=0.15,
                    n=2982,
                ),
                IndependenceTest(
                    x="size",
                    y="er",
                    given=("grade",),
                    estimate=-0.087,
                    lower=-0.122,
                    upper=-0.051,
                    p_value=2e-6,
                    p_adjusted=1.2e-5,
                    n=2982,
                ),
                IndependenceTest(
                    x="year",
                    y="grade",
                    given=(),
                    estimate=0.012,
                    lower=-0.024,
                    upper=0.048,
                    p_value=0.51,
                    p_adjusted=1.0,
                    n=2982,
                ),
            ),
            second_opinion="agrees",
            dagitty="dag { age -> hormon; age -> rfs; nodes -> hormon; nodes -> rfs; hormon -> rfs }",
            drawing=DRAWING,
            labels={"er": "Oestrogen receptor", "pgr": "Progesterone receptor", "meno": "Postmenopausal"},
        ),
        weights=make_weights("ATO", 1.0),
        balance=make_balance(),
        positivity=Positivity(
            overlap_coefficient=0.44,
            quantiles={
                "treated": (0.01, 0.06, 0.14, 0.24, 0.37, 0.58, 0.83),
                "control": (0.0, 0.01, 0.02, 0.05, 0.12, 0.35, 0.78),
            },
            tails={"below 0.05": {"treated": 0.041, "control": 0.495}, "above 0.95": {"treated": 0.0, "control": 0.0}},
            empty_cells=(
                EmptyCell(
                    description="premenopausal, no positive node, treated with chemotherapy",
                    n=214,
                    treated=0,
                    control=214,
                ),
            ),
            sentences=(
                "Half of the patients who were not treated had a propensity score below 0.05: the data say little about them.",
            ),
        ),
        curves=tuple(curves),
        effects=EffectTable(estimates=tuple(make_estimates())),
        tests=(
            ScoreTest(outcome=RFS, analysis="naive", population="unadjusted", test="score", z=3.66, p_value=0.00025),
            ScoreTest(outcome=RFS, analysis="weighted", population="ATO", test="score", z=-3.52, p_value=0.0004),
        ),
        hazards=(
            HazardsCheck(
                outcome=RFS,
                analysis="weighted",
                population="ATO",
                slope=0.14,
                std_error=0.09,
                p_value=0.118,
                periods=(
                    (0.0, 2 * YEAR, 0.66, 0.52, 0.84),
                    (2 * YEAR, 5 * YEAR, 0.79, 0.61, 1.02),
                    (5 * YEAR, 15 * YEAR, 0.92, 0.6, 1.41),
                ),
            ),
        ),
        regressions=(
            RegressionTable(
                outcome=RFS,
                rows=(
                    RegressionRow(
                        term="hormon", hazard_ratio=0.79, std_error=0.081, lower=0.67, upper=0.93, p_value=0.004
                    ),
                    RegressionRow(
                        term="age", hazard_ratio=0.995, std_error=0.002, lower=0.991, upper=0.999, p_value=0.03
                    ),
                    RegressionRow(
                        term="log1p(nodes)", hazard_ratio=1.58, std_error=0.03, lower=1.49, upper=1.68, p_value=1e-30
                    ),
                    RegressionRow(
                        term="chemo=1", hazard_ratio=1.05, std_error=0.07, lower=0.92, upper=1.2, p_value=0.48
                    ),
                    RegressionRow(
                        term="grade=3", hazard_ratio=1.42, std_error=0.06, lower=1.26, upper=1.6, p_value=1e-8
                    ),
                    RegressionRow(
                        term="size=20-50", hazard_ratio=1.33, std_error=0.055, lower=1.19, upper=1.48, p_value=3e-7
                    ),
                ),
                ties="efron",
                n=2982,
                events=1713,
            ),
        ),
        benchmarks=(
            Benchmark(
                name="German Breast Cancer Study Group trial 2",
                outcome=RFS,
                measure="hazard ratio",
                value=0.75,
                lower=0.54,
                upper=1.04,
                level=0.95,
                source="J Clin Oncol 1994;12:2086",
            ),
        ),
        other_weights=(make_weights("ATE", 2.6), make_weights("ATT", 1.2)),
        other_balance=(
            replace(make_balance(), population="ATE", denominator="pooled standard deviation before weighting"),
        ),
        sensitivity=(
            SensitivityResult(
                method="e-value",
                target=target,
                parameters={"outcome": "common"},
                value=1.96,
                bound=1.51,
                unit="risk ratio",
                direction="toward the null",
                assumptions=("Measured covariates are adjusted for.", "Only unmeasured confounding is considered."),
            ),
            SensitivityResult(
                method="leave one out",
                target=target,
                parameters={},
                value=0.84,
                table=(
                    {"left_out": "nodes", "value": 0.94, "lower": 0.8, "upper": 1.1},
                    {"left_out": "age", "value": 0.78, "lower": 0.66, "upper": 0.92},
                    {"left_out": "meno", "value": 0.77, "lower": 0.65, "upper": 0.91},
                ),
            ),
            SensitivityResult(
                method="truncation grid",
                target={**target, "population": "ATE"},
                parameters={"quantiles": [0.0, 0.01, 0.05]},
                table=(
                    {
                        "lower_quantile": 0.0,
                        "upper_quantile": 1.0,
                        "truncated": 0,
                        "value": 0.74,
                        "lower": 0.45,
                        "upper": 1.23,
                    },
                    {
                        "lower_quantile": 0.01,
                        "upper_quantile": 0.99,
                        "truncated": 60,
                        "value": 0.83,
                        "lower": 0.63,
                        "upper": 1.09,
                    },
                ),
            ),
        ),
        findings=(
            Finding(
                code="extreme-weights",
                severity="serious",
                step="weigh",
                message="Weights for the whole population (ATE) reach 17.4 and leave an effective 123 of 339 treated patients: "
                "its interval is wide because the data hold few treated patients like half of those untreated.",
                numbers={"max": 17.4},
            ),
            Finding(
                code="independence-contradicted",
                severity="caution",
                step="identify",
                message="1 of 3 implied independencies is contradicted by the cohort: size and er given grade.",
                numbers={"contradicted": 1, "tested": 3},
            ),
            Finding(
                code="complete-case",
                severity="note",
                step="select",
                message="59 patients without a tumour grade were left out, as the protocol asks.",
                numbers={"excluded": 59},
            ),
        ),
        provenance=Provenance(
            causal_s4="0.1.0",
            python="3.11.7",
            packages={"numpy": "2.4.6", "pandas": "2.3.3", "scipy": "1.15.3", "matplotlib": "3.11.2"},
            data_sha256="4b1c" + "0" * 60,
            protocol_sha256="9f2e" + "1" * 60,
        ),
    )
    return replace(result, **changes)
