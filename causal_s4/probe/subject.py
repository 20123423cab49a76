"""What the analyses of one study work on, and whether each of them has what it needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from causal_s4.cohort import Cohort
from causal_s4.protocol.protocol import Protocol
from causal_s4.protocol.vocabulary import Design
from causal_s4.results import Benchmark, EffectEstimate, SensitivityResult
from causal_s4.sensitivity import follow_up, weighting_grids
from causal_s4.sensitivity.question import Question
from causal_s4.sensitivity.specification_curve import Each, one_after_another

COMMON = 0.15
"""An outcome that more of the patients than this have had is common: a hazard ratio is no risk ratio."""
LARGE = 2_000
"""With more patients than this, what is repeated is repeated less often unless a block says how often."""

Results = Iterable[SensitivityResult]


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What the analyses of one study work on.

    Parameters
    ----------
    question : Question
        The primary estimate.
    completed : tuple of Cohort
        One, or several if values were imputed.
    incomplete : Cohort or None
        Before values were imputed.
    protocol : Protocol
    estimates : tuple of EffectEstimate
        Of every outcome and analysis.
    benchmarks : tuple of Benchmark
    alternatives : mapping of str to tuple of str
        Other sets that suffice under the graph: what they are called, and their columns.
    time_zero : Cohort or None
        The patients at time zero, where treatment starts later; None where arms are fixed from time zero on.
    each : callable
        Makes the rows of a grid, here or elsewhere.
    """

    question: Question
    completed: tuple[Cohort, ...]
    incomplete: Cohort | None
    protocol: Protocol
    estimates: tuple[EffectEstimate, ...]
    benchmarks: tuple[Benchmark, ...]
    alternatives: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    time_zero: Cohort | None = None
    each: Each = one_after_another

    @property
    def frequency(self) -> str:
        """Whether the outcome is common or rare, for the conversion of a hazard ratio."""
        share = float((self.question.data.event == 1).mean())
        return "common" if share > COMMON else "rare"

    def about(self, result: SensitivityResult, measure: str, horizon: float | None = None) -> SensitivityResult:
        """Say which estimate a result is about."""
        return replace(result, target=self.question.target(measure, horizon))

    def repeats(self, asked: int | None, usual: int, fewest: int) -> int:
        """Return how often something is repeated: as asked, else as usual, less often in a large cohort."""
        if asked is not None:
            return asked
        return max(fewest, min(usual, usual * LARGE // max(len(self.question.cohort), 1)))

    @property
    def large(self) -> bool:
        """Whether what is repeated is repeated less often than usual."""
        return len(self.question.cohort) > LARGE

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """The nodes of the graph that several covariates measure."""
        used = set(self.question.covariates)
        several = {node: tuple(c for c in columns if c in used) for node, columns in self.protocol.dag.columns.items()}
        return {node: columns for node, columns in several.items() if len(columns) > 1}


# --- what an analysis needs ----------------------------------------------------------------------


def nothing(begun: Probe) -> str:
    """Return no reason against an analysis."""
    return ""


def covariates(begun: Probe) -> str:
    """Return why an analysis of what was adjusted for has no object; empty when it has."""
    return "" if begun.question.covariates else "nothing was adjusted for"


def losses(begun: Probe) -> str:
    """Return why an analysis of patients who left has no object; empty when it has."""
    if begun.protocol.time_zero.design is Design.TIME_DEPENDENT:
        return "a Cox model of treatment as it changes has no arms in which those who left could go on"
    model = begun.protocol.initiation
    if model is not None and model.loss_weights:
        return "those who stay stand in for those who left already, by [initiation] loss_weights"
    return "" if follow_up.lost(begun.question).any() else "nobody left follow-up before the horizon"


def informative_losses(begun: Probe) -> str:
    """Return why nothing can be assumed of patients who left; empty when it can."""
    if begun.question.competes and not begun.question.fixed_arms:
        return "events compete, and of which kind those after leaving would be is not modelled"
    return losses(begun)


def truncation(begun: Probe) -> str:
    """Return why weights cannot be cut; empty when they can."""
    changing = begun.protocol.time_zero.design is Design.TIME_DEPENDENT
    if changing or not begun.question.covariates or not weighting_grids.can_truncate(begun.question.recipe):
        return "these weights cannot be cut"
    return ""


def timing(begun: Probe) -> str:
    """Return why treatment within a grace period cannot be timed otherwise; empty when it can."""
    if begun.protocol.time_zero.design is not Design.CLONE_CENSOR_WEIGHT:
        return "only cloned strategies say when, within a grace period, treatment starts"
    if begun.protocol.time_zero.timing == "maringe":
        return 'the weights of published code have no timing; set timing = "density"'
    return ""


def trimming(begun: Probe) -> str:
    """Return why patients cannot be trimmed; empty when they can."""
    if not begun.question.covariates or not weighting_grids.can_trim(begun.question.recipe):
        return "these weights do not come from a propensity score that patients could be left out by"
    return ""


def imputation(begun: Probe) -> str:
    """Return why imputed values cannot be shifted; empty when they can."""
    if begun.incomplete is None:
        return "this design imputes at time zero, and its patients are chosen later"
    return "" if len(begun.completed) > 1 else 'no value was imputed; [data] missing = "impute" would do so'


def benchmarks(begun: Probe) -> str:
    """Return why there is nothing to hold the estimates against; empty when there is."""
    return "" if begun.benchmarks else "the study names no benchmark"
