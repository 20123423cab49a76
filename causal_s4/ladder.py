"""The bias ladder: one cohort analysed in every way, from ever against never treated to cloned strategies.

Each rung mends a flaw of those before: confounding at time zero, then the time that treated patients had to
survive, then confounding by what changes after time zero. Where the truth is known, as in simulations, it is
the last rung.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from causal_s4.arguments import checked_arguments
from causal_s4.cohort import Cohort, RiskTable
from causal_s4.comparison import Comparison, conditional_estimate, effects_of, unit_of
from causal_s4.emulation.clone_censor import clone_censor, clone_unweighted
from causal_s4.emulation.landmark import landmark_cohort
from causal_s4.emulation.time_dependent import immortal_time_excluded_table, time_dependent_table
from causal_s4.emulation.timing import Density
from causal_s4.emulation.weight_checks import default_variance
from causal_s4.errors import BeyondFollowUpError, DataError, QuestionError
from causal_s4.estimation import check_horizons
from causal_s4.propensity.models import covariate_matrix
from causal_s4.propensity.weights import weigh
from causal_s4.protocol.vocabulary import UNADJUSTED, Analysis, Duration, Estimand, Measure
from causal_s4.results import BiasLadder, EffectEstimate, EffectTable, LadderRung, Weights
from causal_s4.simulate.truth import TrueEffects
from causal_s4.survival.regression import multivariable_cox

NOTHING, TIME_ZERO, CHANGES = "nothing", "time zero", "time zero and changes"
TRUTH = "truth"
"""Name of the last rung's analysis."""
_LANDMARKS = ("3 months", "6 months", "9 months", "12 months")
_GRACE_PERIODS = ("6 months", "9 months", "12 months")


@checked_arguments
def bias_ladder(
    cohort: Cohort,
    *,
    horizons: Sequence[float] = (),
    landmarks: Sequence[float] | None = None,
    grace_periods: Sequence[float] | None = None,
    time_varying: Sequence[str] = (),
    splines: Mapping[str, int] | None = None,
    log1p: Sequence[str] = (),
    timing: str = "density",
    natural_until: float | None = None,
    timing_density: Density | None = None,
    max_carry: float | None = None,
    truth: TrueEffects | None = None,
    outcome: str | None = None,
    level: float = 0.95,
    ties: str = "efron",
) -> BiasLadder:
    """Analyse a cohort in every way, from the most to the least biased.

    Parameters
    ----------
    cohort : Cohort
        With times of treatment.
    horizons : sequence of float
        From time zero; a landmark analysis is asked at what remains of them.
    landmarks, grace_periods : sequence of float, optional
        In the cohort's time unit; 3, 6, 9, 12 and 6, 9, 12 months by default.
    time_varying : sequence of str
        Columns of the history that drive treatment and outcome.
    splines, log1p
        How covariates enter the models.
    timing, natural_until, timing_density, max_carry
        As for :func:`causal_s4.emulation.clone_censor.clone_censor`.
    truth : TrueEffects, optional
        Of a simulated cohort.
    outcome : str, optional
        The primary one by default.
    level : float
        Of the intervals.
    ties : {"efron", "breslow"}

    Returns
    -------
    BiasLadder
        A rung that the cohort does not allow says why instead of an estimate.

    Raises
    ------
    UsageError
        For an option that is wrong.
    """
    unit = cohort.time_unit
    analyst = _Analyst(
        cohort=cohort,
        outcome=outcome,
        horizons=tuple(check_horizons(horizons)),
        model={"splines": dict(splines or {}), "log1p": tuple(log1p)},
        cloning={"timing": timing, "natural_until": natural_until, "timing_density": timing_density},
        carry={} if max_carry is None else {"max_carry": max_carry},
        time_varying=tuple(time_varying),
        level=level,
        ties=ties,
    )

    def lengths(given: Sequence[float] | None, usual: Iterable[str]) -> list[float]:
        return [Duration.parse(each).to(unit) for each in usual] if given is None else [float(each) for each in given]

    rungs = [
        *analyst.ever_or_never(),
        *(rung for mark in lengths(landmarks, _LANDMARKS) for rung in analyst.landmark(mark)),
        *(rung for grace in lengths(grace_periods, _GRACE_PERIODS) for rung in analyst.cloned(grace)),
    ]
    if truth is not None:
        rungs.append(_truth(truth, analyst))
    return BiasLadder(outcome=cohort.outcome(outcome).name, unit=str(unit), rungs=tuple(rungs))


@dataclass(frozen=True, kw_only=True)
class _Analyst:
    """A cohort, and what every way of analysing it has in common."""

    cohort: Cohort
    outcome: str | None
    horizons: tuple[float, ...]
    model: Mapping[str, Any]
    cloning: Mapping[str, Any]
    carry: Mapping[str, Any]
    time_varying: tuple[str, ...]
    level: float
    ties: str
    table: RiskTable = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", self.cohort.risk_table(self.outcome))

    def ever_or_never(self) -> Iterator[LadderRung]:
        """Yield the rungs that take ever treated as an arm, and two that mend its clock."""
        ever = "Ever against never treated"
        cohort = self.cohort
        yield _rung(ever, Analysis.NAIVE, NOTHING, None, lambda: self._effects(self.table, None, Analysis.NAIVE))
        if not len(cohort.covariates.columns):
            return
        yield _rung(
            f"{ever}, Cox model",
            Analysis.MULTIVARIABLE,
            TIME_ZERO,
            None,
            lambda: [self._conditional(self.table, Analysis.MULTIVARIABLE)],
        )
        yield _rung(
            f"{ever}, weighted",
            Analysis.WEIGHTED,
            TIME_ZERO,
            None,
            lambda: self._effects(self.table, weigh(cohort, population=Estimand.ATE, **self.model), Analysis.WEIGHTED),
        )
        yield _rung(
            "Time before treatment left out",
            Analysis.IMMORTAL_TIME_EXCLUDED,
            TIME_ZERO,
            None,
            lambda: [
                self._conditional(immortal_time_excluded_table(cohort, self.outcome), Analysis.IMMORTAL_TIME_EXCLUDED)
            ],
        )
        yield _rung(
            "Treatment as it changes",
            Analysis.TIME_DEPENDENT,
            TIME_ZERO,
            None,
            lambda: [self._conditional(time_dependent_table(cohort, self.outcome), Analysis.TIME_DEPENDENT)],
        )

    def landmark(self, mark: float) -> Iterator[LadderRung]:
        """Yield the analyses from a landmark on, with covariates of time zero and then with what is known by then."""
        label = f"Landmark at {mark:.3g} {self.cohort.time_unit}"
        yield _rung(label, Analysis.LANDMARK, TIME_ZERO, mark, lambda: self._from_landmark(mark, ()))
        if self.time_varying:
            yield _rung(
                f"{label}, with {_listed(self.time_varying)}",
                Analysis.LANDMARK,
                CHANGES,
                mark,
                lambda: self._from_landmark(mark, self.time_varying),
            )

    def cloned(self, grace: float) -> Iterator[LadderRung]:
        """Yield the cloned strategies: unweighted, weighted by time zero, weighted by what changes too."""
        label = f"Cloned strategies, {grace:.3g} {self.cohort.time_unit}"
        yield _rung(
            f"{label}, unweighted",
            Analysis.CLONE_CENSOR_UNWEIGHTED,
            NOTHING,
            grace,
            lambda: self._effects(
                clone_unweighted(self.cohort, grace_period=grace, outcome=self.outcome),
                None,
                Analysis.CLONE_CENSOR_UNWEIGHTED,
            ),
        )
        yield _rung(label, Analysis.CLONE_CENSOR_WEIGHT, TIME_ZERO, grace, lambda: self._from_clones(grace, ()))
        if self.time_varying:
            yield _rung(
                f"{label}, with {_listed(self.time_varying)}",
                Analysis.CLONE_CENSOR_WEIGHT,
                CHANGES,
                grace,
                lambda: self._from_clones(grace, self.time_varying),
            )

    def _from_landmark(self, mark: float, time_varying: tuple[str, ...]) -> list[EffectEstimate]:
        carry = self.carry if time_varying else {}
        cohort = landmark_cohort(self.cohort, mark, time_varying=time_varying, outcome=self.outcome, **carry)
        weights = weigh(cohort, population=Estimand.ATE, **self.model) if len(cohort.covariates.columns) else None
        left = tuple(horizon - mark for horizon in self.horizons if horizon > mark)
        return self._effects(cohort.risk_table(), weights, Analysis.LANDMARK, horizons=left)

    def _from_clones(self, grace: float, time_varying: tuple[str, ...]) -> list[EffectEstimate]:
        carry = self.carry if time_varying else {}
        table = clone_censor(
            self.cohort,
            grace_period=grace,
            time_varying=time_varying,
            outcome=self.outcome,
            **self.model,
            **self.cloning,
            **carry,
        )
        account = default_variance(table) == "influence"
        return self._effects(table, table.weights, Analysis.CLONE_CENSOR_WEIGHT, account=account)

    def _effects(
        self,
        table: RiskTable,
        weights: Weights | None,
        analysis: Analysis,
        *,
        account: bool = True,
        horizons: tuple[float, ...] | None = None,
    ) -> list[EffectEstimate]:
        comparison = Comparison(
            table=table,
            weights=weights,
            analysis=analysis,
            population=UNADJUSTED if weights is None else weights.population,
            account=account,
            level=self.level,
            ties=self.ties,
        )
        wanted = self.horizons if horizons is None else horizons
        try:
            return effects_of(comparison, wanted)
        except BeyondFollowUpError:
            reach = min(float(table.stop[table.arm == arm].max()) for arm in (0, 1))
            return effects_of(comparison, [horizon for horizon in wanted if horizon <= reach])

    def _conditional(self, table: RiskTable, analysis: Analysis) -> EffectEstimate:
        matrix = covariate_matrix(self.cohort, interactions=(), **self.model)
        clustered = analysis is not Analysis.MULTIVARIABLE
        fitted = multivariable_cox(
            table,
            matrix.matrix,
            matrix.terms,
            ties=self.ties,
            level=self.level,
            treatment=self.cohort.treatment_name,
            clustered=clustered,
        )
        variance = "influence" if clustered else "model-based"
        return conditional_estimate(fitted, self.level, analysis=analysis, variance=variance)


def _rung(
    label: str, analysis: Analysis, adjusts_for: str, time: float | None, estimate: Callable[[], list[EffectEstimate]]
) -> LadderRung:
    """Return a rung, or why the cohort does not allow it."""
    why = ""
    found: tuple[EffectEstimate, ...] = ()
    try:
        found = tuple(estimate())
    except (QuestionError, DataError) as refused:
        why = str(refused)
    return LadderRung(
        label=label,
        analysis=str(analysis),
        adjusts_for=adjusts_for,
        time=time,
        effects=EffectTable(estimates=found),
        unadmitted=why,
    )


def _truth(truth: TrueEffects, analyst: _Analyst) -> LadderRung:
    estimates = tuple(
        EffectEstimate(
            outcome=analyst.table.outcome,
            analysis=TRUTH,
            population=truth.population,
            measure=each.measure,
            arm=each.arm,
            horizon=each.horizon,
            unit=unit_of(Measure(each.measure), str(analyst.cohort.time_unit)),
            value=each.value,
            std_error=each.mc_error,
            lower=None,
            upper=None,
            level=analyst.level,
            variance="Monte Carlo",
            p_value=None,
            n=truth.n or 0,
            events=0,
            ess=float(truth.n or 0),
        )
        for each in truth.effects
        if each.horizon is None or each.horizon in analyst.horizons
    )
    return LadderRung(
        label="Truth", analysis=TRUTH, adjusts_for=CHANGES, time=None, effects=EffectTable(estimates=estimates)
    )


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else list(names))
