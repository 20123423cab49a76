"""Clone, censor, weight: two strategies with a grace period, compared from time zero on.

Every patient is counted under both strategies, "treatment within the grace period" and "none within it",
until her course departs from one of them, and is then taken out of that arm. Taking out depends on what
happens to her, so those who stay are weighted by the ratio of the strategy's to the observed rate of starting
treatment, given what was known at each moment. Hernán 2018, 10.1136/bmj.k182; Maringe et al. 2020,
10.1093/ije/dyaa057; Cain et al. 2010, 10.2202/1557-4679.1212.

Weights change with time. Rows are cut into cells that hold one event time each while there are few (the
weights are then exact) and neighbouring ones with many patients, so that memory grows with patients and never
with patients times event times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from causal_s4.arguments import checked_arguments
from causal_s4.cohort import Cohort, RiskTable
from causal_s4.emulation.clone_weights import diversion_factor, initiation_factor, later_factor, loss_factor
from causal_s4.emulation.clones import Cells, CloneRows, Course
from causal_s4.emulation.history import carry_limit, check_time_varying
from causal_s4.emulation.intensity import FittedRate, Terms, fit_rate, time_levels
from causal_s4.emulation.maringe import maringe_factor
from causal_s4.emulation.timing import Density, Timing, check_timing, fixed_timing
from causal_s4.emulation.weight_checks import clone_findings, cut_weights
from causal_s4.errors import NoEventsError, Problem, UsageError
from causal_s4.kernels.clone_factors import CloneWeighting
from causal_s4.kernels.normal import critical_value, two_sided
from causal_s4.protocol.vocabulary import Analysis, Estimand, TimeUnit
from causal_s4.protocol.words import did_you_mean
from causal_s4.results import Finding, Floats, RegressionRow, RegressionTable, Weights, read_only

_INTERVAL_DAYS = 7.0
_HALF_DAY = 0.5
_OWN_LEVEL = 20
_MANY_AT_ZERO = 0.1
_ROWS = 100_000
"""About how many rows an arm may have within the grace period before neighbouring event times share a weight."""


@checked_arguments
def clone_censor(
    cohort: Cohort,
    *,
    grace_period: float,
    timing: str = "density",
    natural_until: float | None = None,
    timing_density: Density | None = None,
    covariates: Sequence[str] | None = None,
    time_varying: Sequence[str] = (),
    splines: Mapping[str, int] | None = None,
    log1p: Sequence[str] = (),
    interactions: Sequence[Sequence[str]] = (),
    interval: float | None = None,
    max_carry: float | None = None,
    loss_weights: bool = False,
    truncate: tuple[float, float] | None = None,
    never: bool = False,
    unless: Mapping[str, Sequence[Any]] | None = None,
    outcome: str | None = None,
) -> RiskTable:
    """Emulate a trial of "treatment within the grace period" against "none within it".

    Parameters
    ----------
    cohort : Cohort
        With times of treatment.
    grace_period : float
        In the cohort's time unit.
    timing : {"density", "natural", "uniform", "maringe"}
        When, within the grace period, treatment is taken to start for those alive then: at a time drawn at
        time zero from a fixed distribution; as in practice until ``natural_until`` and then evenly until the
        end; evenly throughout; or, to compare with published code, the survivors treated by the end stand in
        for all survivors.
    natural_until : float, optional
        With ``"natural"``.
    timing_density : (edges, masses), optional
        With ``"density"``: the distribution, piecewise uniform. By default that of the patients treated
        within the grace period, held fixed.
    covariates : sequence of str, optional
        Covariates of time zero in the model of starting treatment; all by default.
    time_varying : sequence of str
        Columns of the history in that model: what changes and drives treatment and outcome, such as response
        to systemic therapy. The last value strictly before a moment counts at that moment.
    splines, log1p, interactions
        As for ``weigh``, of columns of either kind.
    interval : float, optional
        Grid of the levels of time in that model; seven days by default, a month at most.
    max_carry : float, optional
        How long a value is carried forward; a year by default, infinite for ever. After that, and before a
        first visit, it counts as missing, a level of its own.
    loss_weights : bool
        Whether to weight for loss to follow-up as well, over the whole follow-up.
    truncate : (float, float), optional
        Quantiles of the weights at the end of the grace period at which weights are cut. It brings the
        confounding back that the weights remove; for sensitivity analysis.
    never : bool
        Whether the other strategy is no treatment at all: its clones are then censored at any later treatment
        too, and weighted for that by a second model, of treatment after the grace period.
    unless : mapping of str to sequence, optional
        Time-varying columns and values, such as ``{"response": ["progression"]}``, that end the demand for
        treatment: from the first visit with such a value on, an untreated clone may go on as in practice. The
        columns have to be among ``time_varying``.
    outcome : str, optional
        The primary one by default.

    Returns
    -------
    RiskTable
        Two clones a patient, with weights by row and their estimating equations; every verb takes it.

    Raises
    ------
    UsageError
        For an option that is wrong or would have no effect.
    NoEventsError
        When nobody is treated within the grace period.
    DataError, ConvergenceError
        When the model cannot be fitted.

    Notes
    -----
    Treatment on the day of death comes first: that death belongs to the treated. A death before treatment
    within the grace period counts in both arms. Treatment at time zero enters the model as treatment after
    a quarter of a day.
    """
    course = Course.of(cohort, outcome, grace_period, never=never, unless=unless)
    check_timing(timing, course.grace, natural_until, timing_density)
    check_time_varying(cohort, time_varying)
    if max_carry is not None and not time_varying:
        raise UsageError("max_carry would have no effect without time_varying")
    _refuse_vacuous(course, unless or {}, time_varying)
    terms = Terms(
        covariates=_known_covariates(cohort, covariates),
        time_varying=tuple(time_varying),
        splines=dict(splines or {}),
        log1p=tuple(log1p),
        interactions=tuple(tuple(names) for names in interactions),
        carry=carry_limit(max_carry, cohort.time_unit),
    )
    _require_both_arms(course, str(cohort.time_unit))
    grid = _grid(cohort, course, interval)
    if timing == "maringe":
        _refuse_idle(
            {
                "time_varying": bool(time_varying),
                "loss_weights": loss_weights,
                "interval": interval is not None,
                "never": never,
                "unless": bool(unless),
                "non_protocol_start": cohort.non_protocol_start is not None,
            }
        )
        rows, weights = _published(cohort, course, terms, grid)
    else:
        rows, weights = _weighted(
            cohort, course, terms, grid, timing, natural_until, timing_density, loss_weights=loss_weights
        )
    table = _table(cohort, course, outcome, rows, weights, unless)
    if truncate is not None:
        weights = cut_weights(table, weights, truncate)
        table = replace(table, weights=weights)
    return replace(table, weights=replace(weights, findings=(*weights.findings, *clone_findings(table, course))))


def clone_unweighted(
    cohort: Cohort,
    *,
    grace_period: float,
    never: bool = False,
    unless: Mapping[str, Sequence[Any]] | None = None,
    outcome: str | None = None,
    treatment_first: bool = True,
) -> RiskTable:
    """Clone and censor without weighting: what is left of confounding when only time zero is put right.

    Parameters
    ----------
    cohort : Cohort
        With times of treatment.
    grace_period : float
        In the cohort's time unit.
    never, unless
        As for :func:`clone_censor`.
    outcome : str, optional
        The primary one by default.
    treatment_first : bool
        Whether a death on the day of treatment belongs to the treated, else both clones are at risk that day.

    Returns
    -------
    RiskTable

    Raises
    ------
    UsageError
        When the cohort has no times of treatment, or the grace period is not within follow-up.
    NoEventsError
        When an arm is empty.
    """
    course = Course.of(cohort, outcome, grace_period, never=never, unless=unless)
    _require_both_arms(course, str(cohort.time_unit))
    whole = Cells(edges=np.array([0.0, course.grace]), at=np.array([course.grace]))
    rows = CloneRows.make(course, whole, treatment_first=treatment_first)
    return _table(cohort, course, outcome, rows, None, unless)


# --- checks -------------------------------------------------------------------------------------


def _known_covariates(cohort: Cohort, names: Sequence[str] | None) -> tuple[str, ...]:
    known = [str(name) for name in cohort.covariates.columns]
    if names is None:
        return tuple(known)
    problems = [
        Problem(where=name, found="no such covariate", todo=did_you_mean(name, known))
        for name in names
        if name not in known
    ]
    if problems:
        raise UsageError("some covariates are not in the cohort", problems)
    return tuple(names)


def _require_both_arms(course: Course, unit: str) -> None:
    within, beyond = course.strategies
    if not within.any() or not beyond.any():
        raise NoEventsError(
            f"of {len(within):,} patients {int(within.sum()):,} were treated within the grace period of {course.grace:g} {unit} "
            f"and {int(beyond.sum()):,} were followed beyond it untreated; both strategies need patients"
        )


def _refuse_vacuous(course: Course, unless: Mapping[str, Sequence[Any]], time_varying: Sequence[str]) -> None:
    """Refuse rules that no course of these patients meets, or that the model of starting treatment could not know of."""
    if course.never and not _treated_later(course).any():
        raise UsageError("never would have no effect: nobody was treated after the grace period")
    unknown = [name for name in unless if name not in time_varying]
    if unknown:
        raise UsageError(
            f"unless depends on {', '.join(unknown)}, so the model of starting treatment has to know it; add it to time_varying"
        )
    if unless and not np.isfinite(course.released).any():
        raise UsageError(
            "unless would have no effect: nobody had such a value within the grace period and before treatment"
        )


def _treated_later(course: Course) -> NDArray[np.bool_]:
    """Return who was first treated after the grace period."""
    first = course.first_treatment
    return (first > course.grace) & np.isfinite(first)


def _grid(cohort: Cohort, course: Course, interval: float | None) -> float:
    day = 1 / cohort.time_unit.in_days
    if interval is None:
        return min(_INTERVAL_DAYS * day, course.grace)
    longest = min(TimeUnit.MONTHS.in_days * day, course.grace)
    if not 0 < interval <= longest * (1 + 1e-9):
        raise UsageError(
            f"interval must be above zero and at most a month and the grace period, {longest:g} {cohort.time_unit}; "
            f"found {interval!r}"
        )
    return float(interval)


def _refuse_idle(asked: Mapping[str, bool]) -> None:
    idle = [name for name, given in asked.items() if given]
    if idle:
        raise UsageError(
            f"{', '.join(idle)} would have no effect with timing='maringe', which models each arm's censoring at the end of the "
            "grace period by covariates of time zero"
        )


# --- rows and weights ---------------------------------------------------------------------------


def _cells(course: Course, grid: float, since: float = 0.0) -> Cells:
    """Return the cells of the grace period, with an edge where practice is no longer left alone."""
    times = course.end[course.event > 0]
    most = _most_cells(course, grid)
    cells = Cells.make(times, since, course.grace, most)
    return Cells.make(times, 0.0, since, most).then(cells) if since else cells


def _most_cells(course: Course, grid: float) -> int:
    return max(int(np.ceil(course.grace / grid)), _ROWS // len(course.end))


def _weighted(
    cohort: Cohort,
    course: Course,
    terms: Terms,
    grid: float,
    timing: str,
    natural_until: float | None,
    timing_density: Density | None,
    *,
    loss_weights: bool,
) -> tuple[CloneRows, Weights]:
    day = 1 / cohort.time_unit.in_days
    # treatment at time zero is seen as treatment in the middle of the first half day
    when = np.maximum(course.treated, _HALF_DAY / 2 * day)
    observed = when[course.treated_within]
    levels = _levels(observed, course, grid, _HALF_DAY * day, timing_density)
    rule = fixed_timing(timing, course.grace, natural_until, timing_density, observed, levels)
    at_risk_until = np.where(course.starts_within, when, course.untreated_until)
    rate = fit_rate("start of treatment", cohort, at_risk_until, course.starts_within, levels, terms)
    cells = _cells(course, grid, rule.since)
    if loss_weights or course.never:
        cells = cells.then(
            Cells.make(course.end[course.event > 0], course.grace, float(course.end.max()), _most_cells(course, grid))
        )
    rows = CloneRows.make(course, cells, cut_settled=(0, 1) if loss_weights else (0,) if course.never else ())
    factors = [initiation_factor(rows, course, rate, rule, when)]
    if course.diverted_within.any():
        factors.append(diversion_factor(rows, course, _diversion_rate(cohort, course, terms, grid)))
    if course.never:
        factors.append(later_factor(rows, _later_rate(cohort, course, terms, grid)))
    if loss_weights:
        factors += loss_factor(rows, *_loss_rates(cohort, course, terms, grid))
    values = np.prod([each.factor for each in factors], axis=0)
    carried = values > 0
    weights = Weights(
        values=read_only(values[carried]),
        population=Estimand.ATE,
        method=f"clone-censor-weight, timing {timing}",
        parts=tuple(each.rate.part((values[:, None] * each.slope)[carried]) for each in factors),
        normalisation="the strategy's probability of the course so far over the observed one: one on average",
        by_row=True,
        terms=rate.terms,
        coefficients=read_only(rate.coefficients),
        covariates=(*(name for name in terms.covariates if name not in terms.time_varying), *terms.time_varying),
        findings=(
            _timing_finding(rule, course, str(cohort.time_unit)),
            *_at_time_zero(course, _HALF_DAY * day),
            *_departure_findings(course, diversion=cohort.non_protocol_start is not None),
            *(finding for each in factors[: 2 + course.never] for finding in each.rate.findings),
        ),
        spec=CloneWeighting(
            patient=rows.patient[carried],
            needed=course.strategies,
            factors=tuple(each.remade(carried) for each in factors),
        ),
    )
    return rows.take(carried), weights


def _levels(observed: Floats, course: Course, grid: float, half_day: float, density: Density | None) -> Floats:
    """Return the edges of the levels of time.

    Treatment at time zero, if common, has a level of its own; where a given density jumps the rate may jump too.
    """
    crowd = int((observed <= half_day).sum()) >= _OWN_LEVEL
    further = [*([half_day] if crowd else []), *(density[0] if density is not None else [])]
    return time_levels(observed, course.grace, grid, further, half_day if crowd else 0.0)


def _diversion_rate(cohort: Cohort, course: Course, terms: Terms, grid: float) -> FittedRate:
    """Fit the rate of treatment outside both strategies, within the grace period."""
    happens, soonest = course.diverted_within, _HALF_DAY / 2 / cohort.time_unit.in_days
    until = np.where(happens, np.maximum(course.diverted, soonest), course.untreated_until)
    until = np.where(course.starts_within, np.maximum(until, soonest), until)
    levels = time_levels(course.diverted[happens], course.grace, grid)
    return fit_rate("treatment outside the strategies", cohort, until, happens, levels, terms)


def _later_rate(cohort: Cohort, course: Course, terms: Terms, grid: float) -> FittedRate:
    """Fit the rate of any treatment after the grace period."""
    happens, first = _treated_later(course), course.first_treatment
    levels = time_levels(first[happens], float(course.end.max()), grid, since=course.grace)
    until = np.minimum(np.maximum(first, _HALF_DAY / 2 / cohort.time_unit.in_days), course.end)
    name = "treatment after the grace period"
    return fit_rate(name, cohort, until, happens, levels, terms, since=course.grace)


def _loss_rates(cohort: Cohort, course: Course, terms: Terms, grid: float) -> tuple[FittedRate, FittedRate]:
    """Fit the rate of being lost before the last follow-up, given what is known and by time alone."""
    last = float(course.end.max())
    lost = (course.event == 0) & (course.end < last)
    if not lost.any():
        raise UsageError("loss_weights would have no effect: nobody was lost before the end of the longest follow-up")
    levels = time_levels(course.end[lost], last, grid)
    nothing = Terms(covariates=(), time_varying=(), splines={}, log1p=(), interactions=(), carry=terms.carry)
    name = "loss to follow-up"
    return (
        fit_rate(name, cohort, course.end, lost, levels, terms, since_treatment=course.treated),
        fit_rate(f"{name}, by time alone", cohort, course.end, lost, levels, nothing),
    )


def _published(cohort: Cohort, course: Course, terms: Terms, grid: float) -> tuple[CloneRows, Weights]:
    cells = _cells(course, grid).then(
        Cells(edges=np.array([course.grace, course.end.max()]), at=np.array([course.grace]))
    )
    rows = CloneRows.make(course, cells, cut_settled=(0, 1), treatment_first=False)
    factor, names, models = maringe_factor(rows, cohort, course, terms)
    return rows, Weights(
        values=read_only(factor),
        population=Estimand.ATE,
        method="clone-censor-weight, timing maringe",
        normalisation="inverse probability of not having been censored artificially by the start of an interval",
        estimated=False,
        by_row=True,
        terms=names,
        coefficients=read_only(np.concatenate([np.empty(0), *(each.coefficient for each in models)])),
        covariates=terms.covariates,
        spec=CloneWeighting(patient=rows.patient, needed=course.strategies, factors=models),
    )


def _table(
    cohort: Cohort,
    course: Course,
    outcome: str | None,
    rows: CloneRows,
    weights: Weights | None,
    unless: Mapping[str, Sequence[Any]] | None,
) -> RiskTable:
    return RiskTable(
        patient=read_only(rows.patient),
        arm=read_only(rows.arm),
        start=read_only(rows.start),
        stop=read_only(rows.stop),
        event=read_only(rows.event),
        n_patients=len(cohort),
        time_unit=cohort.time_unit,
        outcome=cohort.outcome(outcome).name,
        covariates=cohort.covariates,
        weights=weights,
        analysis=Analysis.CLONE_CENSOR_UNWEIGHTED if weights is None else Analysis.CLONE_CENSOR_WEIGHT,
        grace_period=course.grace,
        never=course.never,
        unless={name: tuple(values) for name, values in (unless or {}).items()},
    )


def _timing_finding(rule: Timing, course: Course, unit: str) -> Finding:
    sentence = {
        "density": "at a time drawn from a fixed distribution over it, that of those who were treated within it",
        "natural": f"as in practice until {rule.since:g} {unit}, then evenly",
        "uniform": "evenly",
    }[rule.rule]
    return Finding(
        code="timing-of-treatment",
        severity="note",
        step="weights",
        message=(
            f"The strategy of treatment means treatment within {course.grace:g} {unit} of time zero, {sentence}, for whoever is "
            f"alive then; the other, no treatment within it and {'none' if course.never else 'usual practice'} afterwards. While the grace period lasts "
            "the arms share patients, which pulls a hazard ratio towards one: read survival and restricted means first."
        ),
        numbers={"grace_period": course.grace, "edges": list(rule.edges), "masses": list(rule.masses)},
    )


def _at_time_zero(course: Course, half_day: float) -> tuple[Finding, ...]:
    treated = course.treated[course.treated_within]
    count = int((treated <= half_day).sum())
    if not count:
        return ()
    return (
        Finding(
            code="treated-at-time-zero",
            severity="caution" if count > _MANY_AT_ZERO * treated.size else "note",
            step="weights",
            message=(
                f"{count:,} of the {treated.size:,} patients treated within the grace period were treated at time zero. Their "
                "treatment is modelled as happening within the first half day; what was known before it is what is "
                "recorded at time zero."
            ),
            numbers={"patients": count, "treated": int(treated.size)},
        ),
    )


def _departure_findings(course: Course, *, diversion: bool) -> tuple[Finding, ...]:
    """Say whom the further rules of the strategies touch."""
    found = []
    if course.never:
        later = int((_treated_later(course) & (course.departs(0) > course.grace)).sum())
        found.append(
            Finding(
                code="never-treated",
                severity="caution",
                step="weights",
                message=(
                    f"{later:,} patients treated after the grace period are taken out of the arm without treatment then. Their "
                    "places are filled by weights that go on growing until the end of follow-up: look at how few patients "
                    "carry that arm late on."
                ),
                numbers={"treated_later": later},
            )
        )
    released = np.isfinite(course.released)
    if released.any():
        treated = int((released & (course.treated > course.released) & np.isfinite(course.treated)).sum())
        found.append(
            Finding(
                code="released-from-treatment",
                severity="note",
                step="weights",
                message=(
                    f"{int(released.sum()):,} patients were released from treatment within the grace period and stay in its arm, "
                    f"whatever is done afterwards; {treated:,} of them were treated later."
                ),
                numbers={"released": int(released.sum()), "treated_later": treated},
            )
        )
    if diversion:
        diverted = int(course.diverted_within.sum())
        found.append(
            Finding(
                code="treated-outside-strategies",
                severity="note",
                step="weights",
                message=(
                    f"{diverted:,} patients had treatment outside both strategies first, within the grace period. Both of their "
                    "clones are censored then, and the others weighted for it: the estimate speaks of strategies without such "
                    "treatment while the grace period lasts."
                ),
                numbers={"patients": diverted},
            )
        )
    return tuple(found)


def initiation_table(table: RiskTable, level: float = 0.95) -> RegressionTable | None:
    """Return the model of starting treatment as rate ratios; None where it was not estimated with its error.

    Parameters
    ----------
    table : RiskTable
        From :func:`clone_censor`.
    level : float
        Of the intervals, which are model-based.
    """
    weights = table.weights
    if weights is None or weights.coefficients is None or not weights.parts:
        return None
    std_error = np.sqrt(np.diag(np.linalg.inv(weights.parts[0].information)))
    z = critical_value(level)
    return RegressionTable(
        outcome=weights.parts[0].name,
        rows=tuple(
            RegressionRow(
                term=term,
                hazard_ratio=float(np.exp(b)),
                std_error=float(se),
                lower=float(np.exp(b - z * se)),
                upper=float(np.exp(b + z * se)),
                p_value=two_sided(b / se),
            )
            for term, b, se in list(zip(weights.terms, weights.coefficients, std_error, strict=True))[1:]
        ),
        ties="piecewise exponential",
        n=table.n_patients,
        events=round(float(weights.parts[0].information[0, 0])),  # the intercept's equation: expected equals observed
    )
