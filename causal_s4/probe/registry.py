"""Which analyses there are, what each needs and takes, and how they are run for one study."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from causal_s4.background import begin
from causal_s4.cohort import Cohort
from causal_s4.errors import CausalS4Error, InputError, Problem, ProtocolError, UsageError
from causal_s4.probe import choices, options, subject, unmeasured
from causal_s4.probe.asking import ask, ask_strategies
from causal_s4.probe.options import Reader
from causal_s4.probe.specifications import specifications
from causal_s4.probe.subject import Probe, Results
from causal_s4.protocol.protocol import Protocol
from causal_s4.protocol.vocabulary import Design, Estimand, Measure
from causal_s4.protocol.words import did_you_mean
from causal_s4.results import Benchmark, EffectEstimate, Finding, SensitivityResult, Weights
from causal_s4.sensitivity.probabilistic import STAGE4_PRIORS
from causal_s4.sensitivity.specification_curve import METHODS
from causal_s4.workers import DOUBT, Effort


@dataclass(frozen=True, kw_only=True)
class AnalysisKind:
    """One analysis: how it is made, what it needs, and how its options are read.

    Parameters
    ----------
    run : callable
        A probe and options to results.
    options : mapping of str to callable
        Name to a function that reads a value of the study file, or raises ValueError with what it expects.
    missing : callable
        A probe to why the analysis does not apply; empty when it does.
    required : tuple of str
        Options that a block has to give; such an analysis is made only when asked for.
    fixed_arms : bool
        Whether patients have to stay in one arm from time zero or a landmark on.
    """

    run: Callable[..., Results]
    options: Mapping[str, Reader] = field(default_factory=dict)
    missing: Callable[[Probe], str] = subject.nothing
    required: tuple[str, ...] = ()
    fixed_arms: bool = True


GRIDS = ("specification-curve",)
"""Analyses of so many cells that workers share them."""
_SHARE = options.number(0, 1)
_POSITIVE = options.number(1e-6, 1e6)
_POPULATION = options.one_of(*(str(each) for each in Estimand))
_QUANTILES = options.several(options.pair(_SHARE))
_WITHIN = options.several(options.length)

ANALYSES: Mapping[str, AnalysisKind] = {
    "e-value": AnalysisKind(fixed_arms=False, run=unmeasured.e_values),
    "bias-factor": AnalysisKind(
        fixed_arms=False, run=unmeasured.bias_factors, options={"strengths": options.several(options.number(1, 1e6))}
    ),
    "confounder-array": AnalysisKind(
        fixed_arms=False,
        run=unmeasured.confounders,
        options={
            "prevalence_treated": options.several(_SHARE),
            "prevalence_control": options.several(_SHARE),
            "confounder_hazard_ratio": options.several(_POSITIVE),
        },
    ),
    "tipping-point": AnalysisKind(
        fixed_arms=False,
        run=unmeasured.tipping,
        options={"prevalence_treated": options.several(_SHARE), "prevalence_control": options.several(_SHARE)},
    ),
    "probabilistic-bias-analysis": AnalysisKind(
        fixed_arms=False,
        run=unmeasured.probabilistic,
        options={"priors": options.several(options.one_of(*STAGE4_PRIORS)), "draws": options.whole(1000, 10_000_000)},
    ),
    "leave-one-out": AnalysisKind(
        fixed_arms=False, run=unmeasured.left_out, options={"groups": options.columns}, missing=subject.covariates
    ),
    "simulated-confounder": AnalysisKind(
        run=unmeasured.simulated,
        options={
            "log_odds_of_treatment": options.several(options.number(-10, 10)),
            "log_hazard_ratio": options.several(options.number(-10, 10)),
            "prevalence": _SHARE,
            "sweeps": options.whole(2, 10_000),
            "burn_in": options.whole(0, 10_000),
            "survival": options.flag,
        },
        missing=subject.covariates,
    ),
    "marginal-sensitivity-model": AnalysisKind(
        run=unmeasured.marginal,
        options={"lambdas": options.several(options.number(1, 1000))},
        missing=subject.covariates,
    ),
    "rosenbaum-bounds": AnalysisKind(
        run=unmeasured.rosenbaum, options={"caliper": options.number(1e-3, 10)}, missing=subject.covariates
    ),
    "negative-control": AnalysisKind(
        run=choices.negative_controls,
        options={
            "within": _WITHIN,
            "outcome": options.several(options.table),
            "exposure": options.several(options.table),
            "calibrate": options.flag,
        },
    ),
    "truncation-grid": AnalysisKind(
        fixed_arms=False, run=choices.truncations, options={"quantiles": _QUANTILES}, missing=subject.truncation
    ),
    "trimming-grid": AnalysisKind(
        run=choices.trimmings,
        options={"bounds": options.several(options.number(1e-6, 0.499))},
        missing=subject.trimming,
    ),
    "estimand-switch": AnalysisKind(
        run=choices.estimands, options={"populations": options.several(_POPULATION)}, missing=subject.covariates
    ),
    "early-deaths-excluded": AnalysisKind(fixed_arms=False, run=choices.early_excluded, options={"within": _WITHIN}),
    "informative-censoring": AnalysisKind(
        fixed_arms=False,
        run=choices.informative,
        options={"multipliers": options.several(options.pair(_POSITIVE)), "imputations": options.whole(2, 1000)},
        missing=subject.informative_losses,
    ),
    "loss-bounds": AnalysisKind(fixed_arms=False, run=choices.losses, missing=subject.losses),
    "missing-not-at-random": AnalysisKind(
        run=choices.not_at_random,
        options={"shifts": options.several(options.number(-10, 10)), "imputations": options.whole(2, 1000)},
        missing=subject.imputation,
    ),
    "misclassification": AnalysisKind(
        run=choices.misclassified,
        options={
            "column": options.text,
            "sensitivity": options.number(0.5, 1),
            "specificity": options.number(0.5, 1),
            "patients": _POSITIVE,
            "level": options.text,
            "imputations": options.whole(2, 10_000),
        },
        missing=subject.covariates,
        required=("column", "sensitivity", "specificity"),
    ),
    "refuter": AnalysisKind(
        run=choices.refuted,
        options={"replicates": options.whole(2, 10_000), "share": options.number(0.1, 0.99)},
        missing=subject.covariates,
    ),
    "specification-curve": AnalysisKind(
        fixed_arms=False,
        run=specifications,
        options={
            "groups": options.columns,
            "populations": options.several(_POPULATION),
            "methods": options.several(options.one_of(*METHODS)),
            "truncations": _QUANTILES,
            "trims": options.several(options.number(1e-6, 0.499)),
            "landmarks": _WITHIN,
            "grace_periods": _WITHIN,
        },
        missing=subject.covariates,
    ),
    "rct-benchmark": AnalysisKind(fixed_arms=False, run=choices.trials, missing=subject.benchmarks),
    "timing-grid": AnalysisKind(
        fixed_arms=False,
        run=choices.timings,
        options={"rules": options.several(options.one_of(*choices.OTHER_TIMINGS))},
        missing=subject.timing,
    ),
}
"""Every analysis, by the name of its block."""


_FORMULAS = (
    "e-value",
    "bias-factor",
    "confounder-array",
    "tipping-point",
    "probabilistic-bias-analysis",
    "rct-benchmark",
)
"""Analyses that work on the estimate as the study gives it."""
_POOLED = (*_FORMULAS, "missing-not-at-random")
"""Analyses that use the pooled estimate, or all completed data sets."""


_INSTEAD = {
    "landmark-grid": "Leave it out; under a landmark design, give a list: [time_zero] landmark",
    "grace-period-grid": "Leave it out; under clone-censor-weight, give a list: [time_zero] grace_period",
}


def plan(protocol: Protocol) -> dict[str, dict[str, Any]]:
    """Return the analyses of a protocol with their options, checked.

    Parameters
    ----------
    protocol : Protocol

    Returns
    -------
    dict of str to dict
        Block to options: the blocks of the study file, or without any all that need no option.

    Raises
    ------
    ProtocolError
        Naming every option that is unknown, missing or wrong, and every block that the design has not.
    """
    available = available_to(protocol)
    if not protocol.sensitivity:
        return {name: {} for name, kind in available.items() if not kind.required}
    problems: list[Problem] = []
    chosen = {name: _read_block(name, given, available, problems) for name, given in protocol.sensitivity.items()}
    if problems:
        raise ProtocolError("[sensitivity] cannot be followed:", problems)
    return {name: chosen[name] for name in available if name in chosen}


def available_to(protocol: Protocol) -> dict[str, AnalysisKind]:
    """Return the analyses that the design of a protocol has."""
    fixed = protocol.time_zero.design in (Design.BASELINE, Design.LANDMARK)
    return {name: kind for name, kind in ANALYSES.items() if fixed or not kind.fixed_arms}


def _read_block(
    name: str, given: Mapping[str, Any], available: Mapping[str, AnalysisKind], problems: list[Problem]
) -> dict[str, Any]:
    block = f"sensitivity.{name}"
    kind = available.get(name)
    if kind is None:
        problems.append(
            Problem(
                where=block,
                found="this design has no such analysis",
                expected=f"one of {', '.join(available)}",
                todo=_INSTEAD.get(name, "Leave it out"),
            )
        )
        return {}
    read: dict[str, Any] = {}
    for key, value in given.items():
        where = f"{block}.{key}"
        if key not in kind.options:
            listed = ", ".join(kind.options) or "none: it takes no options"
            problems.append(
                Problem(where=where, found="unknown option", expected=listed, todo=did_you_mean(key, kind.options))
            )
            continue
        try:
            read[key] = kind.options[key](value)
        except ValueError as error:
            problems.append(Problem(where=where, found=f"found {value!r}", expected=str(error)))
    problems += [
        Problem(where=f"{block}.{key}", found="not given", expected="a value: there is no default for it")
        for key in kind.required
        if key not in given
    ]
    return read


# --- running them --------------------------------------------------------------------------------


def probe(
    completed: Sequence[Cohort],
    weights: Sequence[Weights],
    answers: Sequence[Sequence[EffectEstimate]],
    protocol: Protocol,
    benchmarks: Sequence[Benchmark] = (),
    incomplete: Cohort | None = None,
    alternatives: Mapping[str, tuple[str, ...]] | None = None,
    time_zero: Cohort | None = None,
    effort: Effort | None = None,
) -> tuple[SensitivityResult, ...]:
    """Put the primary weighted estimate of the primary outcome in doubt.

    Parameters
    ----------
    completed : sequence of Cohort
        The patients that were analysed: one data set, or several if values were imputed. The estimate is
        pooled over all of them; what makes it again does so on the first.
    weights : sequence of Weights
        Of the primary population, one a data set.
    answers : sequence of sequence of EffectEstimate
        What was estimated of each outcome, the primary one first.
    protocol : Protocol
        Its ``[sensitivity]`` blocks are the analyses made, with their options; without any, all that apply.
    benchmarks : sequence of Benchmark
        Published estimates.
    incomplete : Cohort, optional
        The patients before values were imputed.
    alternatives : mapping of str to tuple of str, optional
        Other sets that suffice under the graph: what they are called, and their columns.
    time_zero : Cohort, optional
        The patients at time zero, where the analysis starts at a landmark.
    effort : Effort, optional
        Who makes the cells of grids, and who is told which analysis it is and how far a grid is.

    Returns
    -------
    tuple of SensitivityResult
        In the order of the contract's list. An analysis that applies but cannot be made with these patients
        stands there without a value, with a finding that says why.

    Raises
    ------
    UsageError
        For a block whose options are unknown or wrong, or that does not apply to this study.
    """
    begun = Probe(
        question=ask(completed, weights, protocol, answers[0]),
        completed=tuple(completed),
        incomplete=incomplete,
        protocol=protocol,
        estimates=tuple(estimate for each in answers for estimate in each),
        benchmarks=tuple(benchmarks),
        alternatives=dict(alternatives or {}),
        time_zero=time_zero,
    )
    return _run_all(begun, effort or Effort())


def probe_strategies(
    cohort: Cohort,
    answers: Sequence[Sequence[EffectEstimate]],
    protocol: Protocol,
    benchmarks: Sequence[Benchmark] = (),
    effort: Effort | None = None,
) -> tuple[SensitivityResult, ...]:
    """Put the primary estimate of a design without fixed arms in doubt.

    Parameters
    ----------
    cohort : Cohort
        The patients at time zero.
    answers : sequence of sequence of EffectEstimate
        What was estimated of each outcome, the primary one first.
    protocol : Protocol
    benchmarks : sequence of Benchmark
        Published estimates.
    effort : Effort, optional
        Who makes the cells of grids, and who is told which analysis it is and how far a grid is.

    Returns
    -------
    tuple of SensitivityResult
        As of :func:`probe`.

    Raises
    ------
    UsageError
        For a block whose options are unknown or wrong, or that does not apply to this study.
    """
    begun = Probe(
        question=ask_strategies(cohort, protocol, answers[0]),
        completed=(cohort,),
        incomplete=None,
        protocol=protocol,
        estimates=tuple(estimate for each in answers for estimate in each),
        benchmarks=tuple(benchmarks),
        time_zero=cohort,
    )
    return _run_all(begun, effort or Effort())


def _run_all(begun: Probe, effort: Effort) -> tuple[SensitivityResult, ...]:
    """Make every analysis: grids here with whoever helps, the others from the first on in the second process meanwhile.

    When the grids are done, what the second process did not get to is done here, from the last one on.
    """
    wanted = _that_apply(begun)
    others = {name: begin(_run, name, begun, given) for name, given in wanted.items() if name not in GRIDS}
    found: dict[str, Results] = {}
    for name in (*(name for name in wanted if name in GRIDS), *reversed(others)):
        effort.tell(f"{DOUBT}: {method_of(name)}")
        if name in others:
            found[name] = others[name]()
        else:
            each = partial(effort.each, jobs=begun.protocol.inference.jobs)
            found[name] = _run(name, replace(begun, each=each), wanted[name])
    return tuple(
        result
        for name, given in wanted.items()
        for result in _said_to_be_short(
            [_by_influence(_on_first(each, name, len(begun.completed)), name, begun) for each in found[name]],
            begun,
            name,
            given,
        )
    )


def _that_apply(begun: Probe) -> dict[str, dict[str, Any]]:
    """Return the analyses that have what they need, with their options.

    Raises
    ------
    UsageError
        For a block of the study that has not.
    """
    wanted = {}
    for name, given in plan(begun.protocol).items():
        reason = ANALYSES[name].missing(begun)
        if reason and name in begun.protocol.sensitivity:
            raise UsageError(f"[sensitivity.{name}] would have no effect: {reason}. Leave it out")
        if not reason:
            wanted[name] = given
    return wanted


def _by_influence(result: SensitivityResult, name: str, begun: Probe) -> SensitivityResult:
    """Say where the intervals of rows are made otherwise than the study's own."""
    own = next((each.variance for each in begun.estimates if each.analysis == begun.question.analysis), "influence")
    if not result.table or name in _FORMULAS or own.startswith(("influence", "model")):
        return result
    remark = (
        f"intervals in the rows are from influence functions, those of the study itself from the {own.split(',')[0]}"
    )
    return replace(result, assumptions=(*result.assumptions, remark))


_REPEATED: Mapping[str, tuple[str, ...]] = {
    "simulated-confounder": ("sweeps", "burn_in"),
    "informative-censoring": ("imputations",),
    "misclassification": ("imputations",),
    "refuter": ("replicates",),
}
"""Analyses that repeat something, and the options that say how often."""


def _said_to_be_short(
    results: list[SensitivityResult], begun: Probe, name: str, given: Mapping[str, Any]
) -> list[SensitivityResult]:
    """Say of an analysis in a large cohort that it repeats less often than usual."""
    open_ = [key for key in _REPEATED.get(name, ()) if key not in given]
    if not (results and open_ and begun.large):
        return results
    first = results[0]
    message = (
        f"Of {len(begun.question.cohort):,} patients, the analysis {first.method} repeats less often than in a small cohort; "
        f"[sensitivity.{name}] {' and '.join(open_)} would say how often."
    )
    note = Finding(code="repeated-less-often", severity="note", step="sensitivity", message=message)
    return [replace(first, findings=(*first.findings, note)), *results[1:]]


def _on_first(result: SensitivityResult, name: str, sets: int) -> SensitivityResult:
    """Say which results come from one of several completed data sets."""
    if sets == 1 or name in _POOLED:
        return result
    remark = f"made on the first of {sets} completed data sets; the estimate it is held against is pooled over all"
    return replace(result, assumptions=(*result.assumptions, remark))


def method_of(block: str) -> str:
    """Return the contract's name of the analysis of a block."""
    return block if block == "e-value" else block.replace("-", " ")


def _run(name: str, begun: Probe, given: Mapping[str, Any]) -> Results:
    try:
        return tuple(ANALYSES[name].run(begun, **given))
    except (CausalS4Error, np.linalg.LinAlgError) as error:
        if isinstance(error, InputError) and name in begun.protocol.sensitivity:
            raise
        why = "a model has no single solution"
        if isinstance(error, CausalS4Error):
            why = "; ".join([error.message, *map(str, error.problems)])
        return (
            SensitivityResult(
                method=method_of(name),
                target=begun.question.target(Measure.HAZARD_RATIO),
                direction="not known: the analysis could not be made",
                findings=(
                    Finding(
                        code="sensitivity-not-possible",
                        severity="note",
                        step="sensitivity",
                        message=f"The analysis {method_of(name)} could not be made: {why}.",
                    ),
                ),
            ),
        )
