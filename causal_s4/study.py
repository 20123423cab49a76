"""THE SPINE: a protocol and its cohort become the naive answer and the adjusted ones, side by side.

:func:`run_study` reads top to bottom like a methods section. Each name is assigned once; what does not
stop a study but matters is collected as findings.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np

import causal_s4
from causal_s4.cohort import Cohort, OutcomeData, RiskTable, apply_eligibility, read_table, select, sha256_of
from causal_s4.cohort.reading import column_names
from causal_s4.dag import Dag, identify
from causal_s4.emulation.alignment import check_alignment
from causal_s4.emulation.trial import Trial, emulate, lengths
from causal_s4.errors import ConvergenceError, DataError, QuestionError, UsageError
from causal_s4.estimation import (
    RESAMPLED,
    Comparison,
    conditional_estimate,
    effects_of,
    estimate_curves,
    hazards_check,
    median_follow_up,
    score_test,
)
from causal_s4.missing_data import complete
from causal_s4.pooling import pool_answers, pool_weighted
from causal_s4.probe import plan, probe
from causal_s4.propensity.balance import balance_findings, check_balance
from causal_s4.propensity.models import covariate_matrix
from causal_s4.propensity.positivity import check_positivity, positivity_findings
from causal_s4.propensity.weights import summarise_weights, weigh, weights_findings
from causal_s4.protocol.methods import stabilised
from causal_s4.protocol.protocol import Protocol
from causal_s4.protocol.sections import OutcomeSpec
from causal_s4.protocol.vocabulary import UNADJUSTED, Analysis, Design, Estimand
from causal_s4.results import (
    AdjustmentSet,
    Alignment,
    BalanceOverTime,
    BalanceTable,
    Benchmark,
    CloneFlow,
    CohortSummary,
    EffectEstimate,
    EffectTable,
    Finding,
    HazardsCheck,
    Positivity,
    Provenance,
    RegressionTable,
    ScoreTest,
    SensitivityResult,
    StudyResult,
    SurvivalCurve,
    Weights,
    WeightSummary,
)
from causal_s4.survival.regression import multivariable_cox
from causal_s4.time_zero import (
    TIMED,
    TimedAnswer,
    answer_other_grace_periods,
    answer_timed,
    grid,
    not_possible,
    refuse_blocks,
    refuse_misplaced_time,
)

Progress = Callable[[str], None]
_PACKAGES = (
    "numpy",
    "scipy",
    "pandas",
    "networkx",
    "dowhy",
    "scikit-learn",
    "statsmodels",
    "lifelines",
    "pydantic",
    "matplotlib",
)


def run_study(protocol: Protocol, *, jobs: int | None = None, progress: Progress | None = None) -> StudyResult:
    """Answer the question of a protocol.

    Parameters
    ----------
    protocol : Protocol
    jobs : int, optional
        Workers for resampling; they change no number.
    progress : callable, optional
        Told the name of each step as it begins.

    Returns
    -------
    StudyResult

    Raises
    ------
    InputError
        When the file or its columns are not as declared.
    QuestionError
        When the cohort cannot answer the question as asked.
    """
    tell = progress or (lambda step: None)

    refuse_blocks_of(protocol)  # a wrong [sensitivity] block is refused before the work, not after it
    tell("Reading the assumptions and the cohort")
    adjustment, of_graph = identify_study(protocol)
    population = select(protocol, at_time_zero(adjustment, protocol))
    refuse_misplaced_time(population, protocol)

    if protocol.time_zero.design in TIMED:
        found = answer_strategies(population, adjustment, protocol, tell)
    else:
        found = answer_fixed_arms(population, adjustment, protocol, tell, jobs=jobs)

    findings = (
        *of_graph,
        *found.cohort.findings,
        *(finding for each in found.weighted for finding in each.findings),
        *(finding for each in found.answers for finding in each.findings),
        *(finding for each in found.sensitivity for finding in each.findings),
    )
    return StudyResult(
        protocol=protocol,
        cohort=summarise_cohort(found.cohort, found.other_cohorts),
        adjustment=adjustment,
        weights=found.weights,
        balance=found.weighted[0].balance if found.weighted else None,
        positivity=found.weighted[0].positivity if found.weighted else None,
        curves=tuple(curve for each in found.answers for curve in each.curves),
        effects=EffectTable(estimates=tuple(estimate for each in found.answers for estimate in each.estimates)),
        tests=tuple(test for each in found.answers for test in each.tests),
        hazards=tuple(check for each in found.answers for check in each.hazards),
        regressions=tuple(each.regression for each in found.answers if each.regression is not None),
        benchmarks=benchmarks_of(protocol),
        sensitivity=found.sensitivity,
        other_weights=tuple(each.summary for each in found.weighted[1:]),
        other_balance=tuple(each.balance for each in found.weighted[1:]),
        findings=findings,
        provenance=provenance_of(protocol),
        alignment=check_alignment(population),
        clone_flow=found.flow,
        balance_over_time=found.balance,
    )


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a design found.

    Parameters
    ----------
    cohort : Cohort
        Whom the primary outcome's answer is about.
    answers : tuple of Answer or TimedAnswer
        One an outcome.
    sensitivity : tuple of SensitivityResult
    weights : WeightSummary or None
        Of the primary population.
    weighted : tuple of Weighted
        Of each population, where arms are fixed.
    other_cohorts : tuple of Cohort
        Whom the other outcomes' answers are about, where those are other patients.
    flow : CloneFlow or None
    balance : BalanceOverTime or None
    """

    cohort: Cohort
    answers: tuple[Answer | TimedAnswer, ...]
    sensitivity: tuple[SensitivityResult, ...]
    weights: WeightSummary | None = None
    weighted: tuple[Weighted, ...] = ()
    other_cohorts: tuple[Cohort, ...] = ()
    flow: CloneFlow | None = None
    balance: BalanceOverTime | None = None


def answer_fixed_arms(
    population: Cohort, adjustment: AdjustmentSet, protocol: Protocol, tell: Progress, *, jobs: int | None = None
) -> Found:
    """Answer a study whose arms are fixed from some time on: time zero, or a landmark."""
    tell("Weighting the arms")
    completed = complete(population, protocol)
    shared = protocol.time_zero.design is Design.BASELINE  # a landmark has its own patients for each outcome
    trials = [[emulate(each, protocol, outcome.name) for each in completed] for outcome in protocol.outcomes]
    weightings = [
        [weigh_study(trial.cohort, adjustment, protocol) for trial in several]
        for several in (trials[:1] if shared else trials)
    ]
    weighting = weightings[0]
    weighted = pool_weighted(weighting)

    tell("Estimating")
    answers = [
        pool_answers(
            [
                answer(trial, population, weights, outcome, protocol, jobs=jobs)
                for trial, weights in zip(several, weighting if shared else weightings[k], strict=True)
            ],
            protocol.inference.level,
        )
        for k, (outcome, several) in enumerate(zip(protocol.outcomes, trials, strict=True))
    ]

    tell("Putting the answer in doubt")
    sensitivity = probe(
        [trial.cohort for trial in trials[0]],
        [each[0].weights for each in weighting],
        answers,
        protocol,
        benchmarks_of(protocol),
        incomplete=population if shared else None,
    )
    return Found(
        cohort=population if shared else trials[0][0].cohort,
        answers=tuple(answers),
        sensitivity=(*sensitivity, *_other_landmarks(completed[0], adjustment, answers[0], protocol)),
        weights=weighted[0].summary,
        weighted=weighted,
        other_cohorts=() if shared else tuple(several[0].cohort for several in trials[1:]),
    )


def answer_strategies(population: Cohort, adjustment: AdjustmentSet, protocol: Protocol, tell: Progress) -> Found:
    """Answer a study in which treatment changes over time, or strategies are cloned."""
    tell("Estimating")
    horizons = [horizons_of(outcome, population.risk_table(outcome.name)) for outcome in protocol.outcomes]
    answers = [
        answer_timed(population, outcome.name, own, protocol)
        for outcome, own in zip(protocol.outcomes, horizons, strict=True)
    ]
    primary = answers[0]

    tell("Putting the answer in doubt")
    return Found(
        cohort=population,
        answers=tuple(answers),
        sensitivity=answer_other_grace_periods(population, horizons[0], protocol, primary),
        weights=primary.weights,
        flow=primary.flow,
        balance=primary.balance,
    )


def refuse_blocks_of(protocol: Protocol) -> None:
    """Refuse sensitivity blocks that are wrong, or that the design has not."""
    if protocol.time_zero.design in TIMED:
        refuse_blocks(protocol)
    else:
        plan(protocol)


# --- the assumptions ----------------------------------------------------------------------------


def identify_study(protocol: Protocol, *, ask_dowhy: bool = True) -> tuple[AdjustmentSet, tuple[Finding, ...]]:
    """Choose the adjustment set of a study and hold its graph against the eligible patients.

    Parameters
    ----------
    protocol : Protocol
    ask_dowhy : bool
        Whether to ask for the second opinion, which takes seconds.
    """
    dag = Dag.read(protocol.resolve(protocol.dag.file))
    file = protocol.resolve(protocol.data.file)
    present = {*column_names(file), *protocol.time_zero.time_varying}
    own: dict[str, tuple[str, ...]] = {
        node: (node,) for node in dag.nodes if node in present and node not in dag.latent
    }
    measured = {**own, **protocol.dag.columns}
    in_file = set(column_names(file))
    needed = [*protocol.eligibility, *(column for of in measured.values() for column in of)]
    wanted = [column for column in dict.fromkeys(needed) if column in in_file]
    eligible = None
    if wanted and set(protocol.eligibility) <= in_file:
        eligible = apply_eligibility(read_table(file, wanted), protocol.eligibility)[0]
    return identify(
        dag,
        treatment_node=protocol.treatment.node,
        outcome_nodes=[outcome.node for outcome in protocol.outcomes],
        columns=measured,
        adjust_for=protocol.dag.adjust_for,
        cohort_frame=eligible,
        ask_dowhy=ask_dowhy,
    )


def at_time_zero(adjustment: AdjustmentSet, protocol: Protocol) -> tuple[str, ...]:
    """Return the adjustment columns that the cohort's file holds; those of the history come with it."""
    changing = set(protocol.time_zero.time_varying)
    if not changing:
        return adjustment.columns
    in_file = set(column_names(protocol.resolve(protocol.data.file)))
    return tuple(column for column in adjustment.columns if column not in changing or column in in_file)


# --- the weights --------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Weighted:
    """The weights of one population with everything that describes them."""

    weights: Weights
    summary: WeightSummary
    balance: BalanceTable
    positivity: Positivity
    findings: tuple[Finding, ...]


def weigh_study(cohort: Cohort, adjustment: AdjustmentSet, protocol: Protocol) -> tuple[Weighted, ...]:
    """Weigh the arms for the primary population of a protocol, then for the others it asks for."""
    if protocol.estimand is None or protocol.propensity is None:
        raise UsageError(f"the design {protocol.time_zero.design} fits no propensity score")
    model = protocol.propensity
    found: list[Weighted] = []
    for population in (protocol.estimand.population, *protocol.estimand.also):
        weights = weigh(
            cohort,
            population=population,
            method=model.method,
            splines=model.splines,
            log1p=model.log1p,
            interactions=model.interactions,
            stabilise=stabilised(population, model.stabilise),
            truncate=model.truncate,
            trim=model.trim,
            quantile_method=model.quantile_method or "linear",
        )
        found.append(_describe(cohort, weights, primary=not found))
    return tuple(found)


def _describe(cohort: Cohort, weights: Weights, *, primary: bool) -> Weighted:
    summary = summarise_weights(cohort, weights)
    balance = check_balance(cohort, weights)
    positivity = check_positivity(cohort, weights)
    return Weighted(
        weights=weights,
        summary=summary,
        balance=balance,
        positivity=positivity,
        findings=(
            *weights.findings,
            *weights_findings(summary),
            *balance_findings(balance),
            *(
                positivity_findings(positivity, weights.population)
                if primary or weights.population == Estimand.ATE
                else ()
            ),
        ),
    )


# --- the answers --------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Answer:
    """All that was estimated of one outcome, naive next to adjusted."""

    curves: tuple[SurvivalCurve, ...]
    estimates: tuple[EffectEstimate, ...]
    tests: tuple[ScoreTest, ...]
    hazards: tuple[HazardsCheck, ...]
    regression: RegressionTable | None
    findings: tuple[Finding, ...]


def answer(
    trial: Trial,
    population: Cohort,
    weighted: Sequence[Weighted],
    outcome: OutcomeSpec,
    protocol: Protocol,
    *,
    jobs: int | None = None,
) -> Answer:
    """Estimate one outcome: naive, conditional on covariates, and weighted to each population.

    After a landmark, naive is still ever against never treated from time zero; the unadjusted comparison from the
    landmark on stands beside it.
    """
    cohort, table = trial.cohort, trial.table
    horizons = horizons_of(outcome, table)
    landmark = protocol.time_zero.design is Design.LANDMARK
    adjusted = Analysis.LANDMARK if landmark else Analysis.WEIGHTED
    plans: list[tuple[RiskTable, Weights | None, Analysis]] = [
        *([(population.risk_table(outcome.name), None, Analysis.NAIVE)] if landmark else []),
        (table, None, Analysis.LANDMARK if landmark else Analysis.NAIVE),
        *((table, each.weights, adjusted) for each in weighted),
    ]
    comparisons = [
        Comparison(
            table=rows,
            weights=weights,
            analysis=analysis,
            population=UNADJUSTED if weights is None else weights.population,
            level=protocol.inference.level,
            ties=protocol.inference.ties,
        )
        for rows, weights, analysis in plans
    ]
    naive, primary = comparisons[0], comparisons[len(plans) - len(weighted)]
    unadjusted, *others = [_effects(each, horizons, protocol, jobs) for each in comparisons]
    regression, of_regression = _regression(cohort, table, protocol)
    cuts = [h for h in horizons if h < float(table.stop.max())][:-1]
    hazards = tuple(hazards_check(each, cuts) for each in (naive, primary))
    estimates = [
        *unadjusted.estimates,
        *([] if regression is None else [conditional_estimate(regression, protocol.inference.level)]),
        *(estimate for each in others for estimate in each.estimates),
    ]
    return Answer(
        curves=tuple(curve for each in (naive, primary) for curve in estimate_curves(each).values()),
        estimates=tuple(estimates),
        tests=tuple(score_test(each) for each in comparisons),
        hazards=hazards,
        regression=regression,
        findings=(
            *trial.findings,
            *(finding for each in (unadjusted, *others) for finding in each.findings),
            *of_regression,
            *_proportionality(hazards[1], outcome.name),
            *_few_events(table),
            *_competing(table),
        ),
    )


def _effects(comparison: Comparison, horizons: Sequence[float], protocol: Protocol, jobs: int | None) -> EffectTable:
    """Return the effects of a comparison with the intervals that the protocol asks for."""
    asked = protocol.inference
    if asked.method not in RESAMPLED:
        return EffectTable(estimates=tuple(effects_of(comparison, horizons)))
    # imported here, for it loads a compiler that other studies do not need
    from causal_s4.resampled import plan_resampling, resampled_effects

    options = {
        "replicates": asked.replicates,
        "interval": asked.interval,
        "stratify": asked.stratify,
        "cluster": asked.cluster,
        "seed": protocol.seed if asked.method == "bootstrap" else None,
        "jobs": jobs or asked.jobs,
    }
    estimates, findings = resampled_effects(
        comparison, horizons, plan_resampling(comparison.table, asked.method, options)
    )
    return EffectTable(estimates=tuple(estimates), findings=findings)


def _other_landmarks(
    cohort: Cohort, adjustment: AdjustmentSet, primary: Answer, protocol: Protocol
) -> tuple[SensitivityResult, ...]:
    """Return how the primary outcome's answer changes with the landmark, where several were asked for."""
    several = [each for each in lengths(protocol) if each is not None]
    if len(several) < 2 or protocol.time_zero.design is not Design.LANDMARK or protocol.estimand is None:
        return ()
    outcome, wanted = protocol.outcomes[0], str(protocol.estimand.population)

    def own(found: Answer) -> list[EffectEstimate]:
        return [
            each
            for each in found.estimates
            if each.analysis == Analysis.LANDMARK and each.population.split(",")[0] == wanted
        ]

    rows, findings = [(several[0], own(primary))], []
    for length in several[1:]:
        try:
            trial = emulate(cohort, protocol, outcome.name, length)
            weighted = weigh_study(trial.cohort, adjustment, protocol)
            rows.append((length, own(answer(trial, cohort, weighted, outcome, protocol))))
        except (QuestionError, DataError) as refused:
            findings.append(not_possible(length, refused.message))
    return (replace(grid(protocol, rows), findings=tuple(findings)),)


def horizons_of(outcome: OutcomeSpec, table: RiskTable) -> list[float]:
    """Return the horizons in the data's unit; without any, the last whole unit that both arms reach."""
    if outcome.horizons:
        return [horizon.to(table.time_unit) for horizon in outcome.horizons]
    reach = min(float(table.stop[table.arm == arm].max()) for arm in (0, 1))
    return [float(np.floor(reach)) if reach >= 1 else reach]


def _regression(
    cohort: Cohort, table: RiskTable, protocol: Protocol
) -> tuple[RegressionTable | None, tuple[Finding, ...]]:
    model = protocol.propensity
    if not len(cohort.covariates.columns) or model is None:
        return None, ()
    matrix = covariate_matrix(cohort, splines=model.splines, log1p=model.log1p, interactions=model.interactions)
    try:
        fitted = multivariable_cox(
            table,
            matrix.matrix,
            matrix.terms,
            ties=protocol.inference.ties,
            level=protocol.inference.level,
            treatment=protocol.treatment.name,
        )
    except ConvergenceError as error:
        return None, (
            Finding(code="no-multivariable-model", severity="caution", step="effects", message=error.message),
        )
    return fitted, ()


def _proportionality(check: HazardsCheck, outcome: str) -> tuple[Finding, ...]:
    p_value, slope = check.p_value, check.slope
    if not p_value < 0.05:
        return ()
    return (
        Finding(
            code="non-proportional-hazards",
            severity="caution",
            step="effects",
            message=(
                f"{outcome}: the weighted hazard ratio changes with time (log hazard ratio {slope:+.2f} per unit of log time). One "
                "hazard ratio is then an average that depends on the follow-up; read survival and restricted mean differences."
            ),
            numbers={"slope": slope, "p_value": p_value},
        ),
    )


def _few_events(table: RiskTable) -> tuple[Finding, ...]:
    events = {
        name: int(((table.event == 1) & (table.arm == code)).sum()) for name, code in (("treated", 1), ("control", 0))
    }
    if min(events.values()) >= 20:
        return ()
    return (
        Finding(
            code="few-events",
            severity="caution",
            step="effects",
            message=(
                f"{table.outcome}: {events['treated']} events among the treated and {events['control']} among controls; intervals "
                "from influence functions are too short with so few."
            ),
            numbers=events,
        ),
    )


def _competing(table: RiskTable) -> tuple[Finding, ...]:
    competing = int((table.event == 2).sum())
    if not competing:
        return ()
    return (
        Finding(
            code="competing-events",
            severity="note",
            step="effects",
            message=(
                f"{table.outcome}: {competing} patients had a competing event first. Survival and restricted mean are those of being "
                "free of either event; the risk of the event itself is the cumulative incidence (Aalen-Johansen), and the hazard "
                "ratio is cause-specific."
            ),
            numbers={"competing": competing},
        ),
    )


# --- what surrounds the answer ------------------------------------------------------------------


def summarise_cohort(cohort: Cohort, others: Sequence[Cohort] = ()) -> CohortSummary:
    """Describe a cohort by counts, and the outcomes of cohorts of the same patients with other outcomes."""
    treated = cohort.treatment == 1
    outcomes = [(each, outcome) for each in (cohort, *others) for outcome in each.outcomes]

    def events(each: Cohort, outcome: OutcomeData) -> dict[str, int]:
        hit, arm = outcome.event == 1, each.treatment == 1
        return {"treated": int((hit & arm).sum()), "control": int((hit & ~arm).sum()), "total": int(hit.sum())}

    return CohortSummary(
        n=len(cohort),
        treated=int(treated.sum()),
        control=int((~treated).sum()),
        events={outcome.name: events(each, outcome) for each, outcome in outcomes},
        attrition=cohort.attrition,
        time_unit=str(cohort.time_unit),
        treatment_name=cohort.treatment_name,
        treated_label=cohort.treated_label,
        control_label=cohort.control_label,
        follow_up={outcome.name: median_follow_up(outcome.time, outcome.event) for _, outcome in outcomes},
        missing=cohort.missing,
    )


def benchmarks_of(protocol: Protocol) -> tuple[Benchmark, ...]:
    """Return the published estimates a protocol holds itself against."""
    return tuple(
        Benchmark(
            name=each.name,
            outcome=each.outcome,
            measure=str(each.measure),
            value=each.value,
            lower=each.lower,
            upper=each.upper,
            level=each.level,
            source=each.source,
            design=each.design,
            horizon=None if each.horizon is None else each.horizon.to(protocol.data.time_unit),
        )
        for each in protocol.benchmark
    )


def provenance_of(protocol: Protocol) -> Provenance:
    """Return what made the result: versions and checksums, no time, host or path."""
    return Provenance(
        causal_s4=causal_s4.__version__,
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        packages={name: version(name) for name in _PACKAGES},
        data_sha256=sha256_of(protocol.resolve(protocol.data.file)),
        protocol_sha256=protocol.sha256(),
    )


# --- the study as an object ---------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class StudyCheck:
    """Everything short of estimation.

    Parameters
    ----------
    cohort : CohortSummary
    adjustment : AdjustmentSet
    weights : WeightSummary or None
    balance : BalanceTable or None
    positivity : Positivity or None
    findings : tuple of Finding
    alignment : Alignment or None
        Whether treatment starts at time zero.
    """

    cohort: CohortSummary
    adjustment: AdjustmentSet
    weights: WeightSummary | None
    balance: BalanceTable | None
    positivity: Positivity | None
    findings: tuple[Finding, ...]
    alignment: Alignment | None = None


@dataclass(frozen=True)
class Study:
    """A question, ready to be checked or run.

    Parameters
    ----------
    protocol : Protocol
        The question.
    """

    protocol: Protocol

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Study:
        """Read a study file.

        Parameters
        ----------
        path : path-like
            A ``study.toml``; paths in it are relative to its folder.

        Raises
        ------
        ProtocolError
            Naming everything wrong with it, with line numbers.
        """
        return cls(Protocol.read(path))

    def run(self, *, jobs: int | None = None, progress: Progress | None = None) -> StudyResult:
        """Answer the question; see :func:`run_study`."""
        return run_study(self.protocol, jobs=jobs, progress=progress)

    def check(self, *, ask_dowhy: bool = True) -> StudyCheck:
        """Do everything short of estimation: columns, the graph's verdict, time zero, overlap.

        Parameters
        ----------
        ask_dowhy : bool
            Whether to ask for the second opinion on the adjustment set.

        Raises
        ------
        InputError, QuestionError
            As :meth:`run` would.
        """
        protocol = self.protocol
        adjustment, of_graph = identify_study(protocol, ask_dowhy=ask_dowhy)
        population = select(protocol, at_time_zero(adjustment, protocol))
        trial = emulate(complete(population, protocol)[0], protocol, protocol.outcomes[0].name)
        weighted = None
        if protocol.time_zero.design not in TIMED:
            weighted = weigh_study(trial.cohort, adjustment, protocol)[0]
        of_weights = weighted.findings if weighted else trial.table.weights.findings if trial.table.weights else ()
        return StudyCheck(
            cohort=summarise_cohort(trial.cohort),
            adjustment=adjustment,
            weights=weighted.summary if weighted else None,
            balance=weighted.balance if weighted else None,
            positivity=weighted.positivity if weighted else None,
            findings=(*of_graph, *trial.cohort.findings, *trial.findings, *of_weights),
            alignment=check_alignment(population),
        )
