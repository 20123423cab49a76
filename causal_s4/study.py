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
from pathlib import Path

import causal_s4
from causal_s4.arguments import checked_arguments
from causal_s4.background import begin
from causal_s4.cohort import Cohort, OutcomeData, apply_eligibility, read_table, select, sha256_of
from causal_s4.cohort.reading import column_names
from causal_s4.comparison import median_follow_up
from causal_s4.dag import Dag, identify
from causal_s4.dag.identify import opinion_findings, second_opinion
from causal_s4.emulation.alignment import check_alignment
from causal_s4.emulation.trial import emulate
from causal_s4.errors import Problem, UsageError
from causal_s4.estimation import RESAMPLED, Answer
from causal_s4.fixed_arms import Weighted, answer, horizons_of, other_landmarks, weigh_arms
from causal_s4.missing_data import complete
from causal_s4.pooling import pool_answers, pool_weighted
from causal_s4.probe import GRIDS, plan, probe, probe_strategies
from causal_s4.protocol.protocol import Protocol
from causal_s4.protocol.vocabulary import Design
from causal_s4.results import (
    AdjustmentSet,
    Alignment,
    BalanceOverTime,
    BalanceTable,
    Benchmark,
    CloneFlow,
    CohortSummary,
    EffectTable,
    Finding,
    Positivity,
    Provenance,
    SensitivityResult,
    StudyResult,
    WeightSummary,
)
from causal_s4.time_zero import (
    TIMED,
    answer_other_grace_periods,
    answer_timed,
    refuse_misplaced_time,
    refuse_stratified_resampling,
)
from causal_s4.workers import Effort, check_cluster, claim, on_one_thread, refuse_jobs_beside, tell_nobody

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


@on_one_thread
def run_study(protocol: Protocol, effort: Effort | None = None) -> StudyResult:
    """Answer the question of a protocol.

    Parameters
    ----------
    protocol : Protocol
    effort : Effort, optional
        Who does the long work, where finished blocks are kept, and who is told.

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
    effort = effort or Effort()

    prepare(effort, protocol)
    refuse_blocks_of(protocol)  # a wrong [sensitivity] block is refused before the work, not after it
    effort.tell("Reading the assumptions and the cohort")
    identified, of_graph = identify_study(protocol)
    population = select(protocol, at_time_zero(identified, protocol))
    refuse_misplaced_time(population, protocol)
    opinion = ask_for_opinion(identified, protocol)

    if protocol.time_zero.design in TIMED:
        found = answer_strategies(population, protocol, effort)
    else:
        found = answer_fixed_arms(population, protocol, identified, effort)

    adjustment = replace(identified, second_opinion=opinion())
    findings = each_once(
        *of_graph,
        *opinion_findings(adjustment.second_opinion),
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
    answers : tuple of Answer
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
    answers: tuple[Answer, ...]
    sensitivity: tuple[SensitivityResult, ...]
    weights: WeightSummary | None = None
    weighted: tuple[Weighted, ...] = ()
    other_cohorts: tuple[Cohort, ...] = ()
    flow: CloneFlow | None = None
    balance: BalanceOverTime | None = None


def answer_fixed_arms(population: Cohort, protocol: Protocol, adjustment: AdjustmentSet, effort: Effort) -> Found:
    """Answer a study whose arms are fixed from some time on: time zero, or a landmark."""
    effort.tell("Weighting the arms")
    completed = complete(population, protocol)
    shared = protocol.time_zero.design is Design.BASELINE  # a landmark has its own patients for each outcome
    trials = [[emulate(each, protocol, outcome.name) for each in completed] for outcome in protocol.outcomes]
    weightings = [
        [weigh_arms(trial.cohort, protocol) for trial in several] for several in (trials[:1] if shared else trials)
    ]
    weighting = weightings[0]
    weighted = pool_weighted(weighting)

    effort.tell("Estimating")
    answers = [
        pool_answers(
            [
                answer(trial, population, weights, outcome, protocol, share.share(m, len(several)))
                for m, (trial, weights) in enumerate(zip(several, weighting if shared else weightings[k], strict=True))
            ],
            protocol.inference.level,
        )
        for k, (outcome, several) in enumerate(zip(protocol.outcomes, trials, strict=True))
        for share in [effort.share(k, len(trials))]
    ]

    sensitivity = probe(
        [trial.cohort for trial in trials[0]],
        [each[0].weights for each in weighting],
        [each.estimates for each in answers],
        protocol,
        benchmarks_of(protocol),
        incomplete=population if shared else None,
        alternatives=other_sets(adjustment, protocol) if shared else None,
        time_zero=None if shared else completed[0],
        effort=effort,
    )
    return Found(
        cohort=population if shared else trials[0][0].cohort,
        answers=tuple(answers),
        sensitivity=(*sensitivity, *other_landmarks(completed[0], answers[0], protocol, effort)),
        weights=weighted[0].summary,
        weighted=weighted,
        other_cohorts=() if shared else tuple(several[0].cohort for several in trials[1:]),
    )


def answer_strategies(population: Cohort, protocol: Protocol, effort: Effort) -> Found:
    """Answer a study in which treatment changes over time, or strategies are cloned."""
    effort.tell("Estimating")
    horizons = [horizons_of(outcome, population.risk_table(outcome.name)) for outcome in protocol.outcomes]
    answers = [
        answer_timed(population, outcome.name, own, protocol, effort.share(k, len(protocol.outcomes)))
        for k, (outcome, own) in enumerate(zip(protocol.outcomes, horizons, strict=True))
    ]
    primary = answers[0]

    sensitivity = probe_strategies(
        population, [each.estimates for each in answers], protocol, benchmarks_of(protocol), effort
    )
    return Found(
        cohort=population,
        answers=tuple(answers),
        sensitivity=(*sensitivity, *answer_other_grace_periods(population, horizons[0], protocol, primary, effort)),
        weights=primary.weights,
        flow=primary.flow,
        balance=primary.balance,
    )


def prepare(effort: Effort, protocol: Protocol) -> None:
    """Find out before the work whether it can be done as asked: by the cluster, from what an earlier run kept.

    Raises
    ------
    UsageError
        When an option would have no effect, a cluster does not answer, or blocks of another study were kept.
    """
    refuse_jobs_beside(effort.scheduler, effort.jobs)
    if protocol.inference.method not in RESAMPLED:
        grids = [name for name in plan(protocol) if name in GRIDS]
        asked = {"resume": effort.resume, "cluster": None if grids else effort.scheduler}
        problems = [
            Problem(
                where=name,
                found=f"would have no effect, for {_intervals_from(protocol.inference.method)}",
                todo='Leave it out, or ask for method = "bootstrap"',
            )
            for name, value in asked.items()
            if value is not None
        ]
        if problems:
            raise UsageError(f"nothing is resampled in this study{'' if grids else ', and it has no grid'}", problems)
    if effort.scheduler is not None:
        check_cluster(effort.scheduler)
    if effort.resume is not None:
        files = {"the data": protocol.data.file, "the graph": protocol.dag.file, "the history": protocol.data.history}
        kept_for = {name: sha256_of(protocol.resolve(file)) for name, file in files.items() if file is not None}
        claim(effort.resume, {"the study file": protocol.sha256(), **kept_for})


def _intervals_from(method: str | None) -> str:
    return "no method of intervals is chosen" if method is None else f'intervals come from method = "{method}"'


def refuse_blocks_of(protocol: Protocol) -> None:
    """Refuse sensitivity blocks that are wrong, and blocks that the design has not."""
    plan(protocol)
    if protocol.time_zero.design in TIMED:
        refuse_stratified_resampling(protocol)


# --- the assumptions ----------------------------------------------------------------------------


def identify_study(protocol: Protocol) -> tuple[AdjustmentSet, tuple[Finding, ...]]:
    """Choose the adjustment set of a study and hold its graph against the eligible patients.

    The second opinion, which takes seconds, is left to :func:`ask_for_opinion`: what is wrong with the data is said first.
    """
    dag = Dag.read(protocol.resolve(protocol.dag.file))
    file = protocol.resolve(protocol.data.file)
    measured = columns_of_nodes(dag, protocol)
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
        ask_dowhy=False,
    )


def columns_of_nodes(dag: Dag, protocol: Protocol) -> dict[str, tuple[str, ...]]:
    """Return the columns that measure each node: those the protocol names, else the one of the node's own name."""
    present = {*column_names(protocol.resolve(protocol.data.file)), *protocol.time_zero.time_varying}
    own = {node: (node,) for node in dag.nodes if node in present and node not in dag.latent}
    return {**own, **protocol.dag.columns}


def ask_for_opinion(found: AdjustmentSet, protocol: Protocol) -> Callable[[], str]:
    """Begin to ask dowhy for its opinion on an adjustment set, and return what waits for it."""
    dag = Dag.read(protocol.resolve(protocol.dag.file))
    return begin(
        second_opinion,
        dag,
        found.nodes,
        exposure=protocol.treatment.node,
        outcomes=tuple(outcome.node for outcome in protocol.outcomes),
        observed=frozenset(node for node, columns in columns_of_nodes(dag, protocol).items() if columns),
    )


def other_sets(adjustment: AdjustmentSet, protocol: Protocol) -> dict[str, tuple[str, ...]]:
    """Return the graph's other sufficient sets: their nodes in words, and the columns that measure them."""
    return {
        " + ".join(nodes) or "none": tuple(
            column for node in nodes for column in protocol.dag.columns.get(node, (node,))
        )
        for nodes in adjustment.alternatives
        if nodes
    }


def at_time_zero(adjustment: AdjustmentSet, protocol: Protocol) -> tuple[str, ...]:
    """Return the adjustment columns that the cohort's file holds; those of the history come with it."""
    changing = set(protocol.time_zero.time_varying)
    if not changing:
        return adjustment.columns
    in_file = set(column_names(protocol.resolve(protocol.data.file)))
    return tuple(column for column in adjustment.columns if column not in changing or column in in_file)


# --- what surrounds the answer ------------------------------------------------------------------


def each_once(*findings: Finding) -> tuple[Finding, ...]:
    """Return findings without those that two outcomes or analyses have in common and say in the same words."""
    said: dict[tuple[str, str], Finding] = {}
    for each in findings:
        said.setdefault((each.code, each.message), each)
    return tuple(said.values())


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
    @checked_arguments
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

    def run(
        self,
        *,
        jobs: int | None = None,
        scheduler: str | None = None,
        resume: str | os.PathLike[str] | None = None,
        progress: Callable[[str], None] | None = None,
        advance: Callable[[int, int], None] | None = None,
    ) -> StudyResult:
        """Answer the question.

        Parameters
        ----------
        jobs : int, optional
            Workers: threads for resampling, processes for long specification grids; as the protocol says by default.
            They change no number.
        scheduler : str, optional
            Address of a Dask scheduler (``tcp://...``) to resample and to make specification grids on instead.
        resume : path-like, optional
            Folder in which finished blocks of replicates are kept and looked up, so that a run that was
            interrupted is continued. It belongs to this study alone, and is the caller's to delete.
        progress : callable, optional
            Told the name of each step as it begins.
        advance : callable, optional
            Told, while replicates or the cells of a grid are made, how many are done and how many there are.

        Raises
        ------
        InputError
            When the file or its columns are not as declared, an option would have no effect, the cluster does
            not answer, or the folder holds the blocks of another study.
        QuestionError
            When the cohort cannot answer the question as asked.
        """
        return run_study(
            self.protocol,
            Effort(
                jobs=jobs,
                scheduler=scheduler,
                resume=None if resume is None else Path(resume),
                tell=progress or tell_nobody,
                advance=advance or tell_nobody,
            ),
        )

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
        adjustment, of_graph = identify_study(protocol)
        population = select(protocol, at_time_zero(adjustment, protocol))
        if ask_dowhy:
            adjustment = replace(adjustment, second_opinion=ask_for_opinion(adjustment, protocol)())
            of_graph += tuple(opinion_findings(adjustment.second_opinion))
        trial = emulate(complete(population, protocol)[0], protocol, protocol.outcomes[0].name)
        weighted = None
        if protocol.time_zero.design not in TIMED:
            weighted = weigh_arms(trial.cohort, protocol)[0]
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
