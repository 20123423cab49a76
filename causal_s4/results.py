"""Every result type, each with ``to_frame()``; and the values that pass between rooms.

A result holds numbers and words, never a fitted model, a table of patients or a closure.
:class:`Weights` and :class:`EstimatingPart` do hold one value a patient: they are working values
that pass from the propensity room to the estimators and stay out of :class:`StudyResult`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causal_s4.arguments import checked_arguments
from causal_s4.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from causal_s4.kernels.clone_factors import CloneWeighting
    from causal_s4.protocol.protocol import Protocol
    from causal_s4.report.plots import Plot, Plots

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NOT_SHOWN = -1
"""Stands for a number of patients that is too small to show; ``null`` in ``results.json``."""


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array with writing switched off."""
    array.flags.writeable = False
    return array


def _frame(records: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(list(records), columns=list(columns) if columns else None)


def _record(value: Any) -> dict[str, Any]:
    return {each.name: getattr(value, each.name) for each in fields(value)}


# --- what happened on the way ------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that does not stop a study but that a reader has to know.

    Parameters
    ----------
    code : str
        Stable name in kebab case, such as ``"imbalance-after-weighting"``.
    severity : {"note", "caution", "serious"}
        How much it matters.
    step : str
        The step of the spine that found it.
    message : str
        One or two sentences, without anything row-level.
    numbers : mapping of str to number, str or list
        The figures behind the sentence.
    """

    code: str
    severity: str
    step: str
    message: str
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AttritionStep:
    """One line of the flow chart: ``n`` patients remain after ``excluded`` left at this step."""

    step: str
    n: int
    excluded: int


@dataclass(frozen=True, kw_only=True)
class CohortSummary:
    """Who was analysed.

    Parameters
    ----------
    n, treated, control : int
        Patients, and patients per arm.
    events : mapping of str to mapping
        Outcome name to ``{"treated": int, "control": int, "total": int}``.
    attrition : tuple of AttritionStep
        The flow from the file to the analysis, in order.
    time_unit : str
        Unit of every time.
    treatment_name, treated_label, control_label : str
        Labels for reports.
    follow_up : mapping of str to float
        Outcome name to median follow-up by the reverse Kaplan-Meier method, in ``time_unit``
        (None when not reached).
    missing : mapping of str to int
        Column to number of patients with no value, before any was dropped.
    """

    n: int
    treated: int
    control: int
    events: Mapping[str, Mapping[str, int]]
    attrition: tuple[AttritionStep, ...]
    time_unit: str
    treatment_name: str = "Treatment"
    treated_label: str = "Treated"
    control_label: str = "Control"
    follow_up: Mapping[str, float | None] = field(default_factory=dict)
    missing: Mapping[str, int] = field(default_factory=dict)

    def to_frame(self) -> pd.DataFrame:
        """Return the attrition as a table."""
        return _frame([_record(step) for step in self.attrition])


@dataclass(frozen=True, kw_only=True)
class IndependenceTest:
    """One implied conditional independence, held against the cohort.

    ``estimate`` is an effect size (partial correlation of the residuals, 0 when the independence
    holds), ``p_adjusted`` is Holm's over all tests of the graph. A large p-value says "not
    contradicted", never "valid".
    """

    x: str
    y: str
    given: tuple[str, ...]
    estimate: float
    lower: float
    upper: float
    p_value: float
    p_adjusted: float
    n: int


@dataclass(frozen=True, kw_only=True)
class AdjustmentSet:
    """What the assumptions say must be adjusted for.

    Parameters
    ----------
    nodes : tuple of str
        The chosen set, as nodes of the DAG, sorted.
    columns : tuple of str
        The columns that measure those nodes, in the order of ``nodes``.
    alternatives : tuple of tuple of str
        Other minimal sufficient sets.
    verdict : {"adjust", "none needed", "not identified"}
        The three verdicts, never confused.
    reasons : tuple of str
        Sentences that say why.
    untested_assumptions : tuple of str
        What the graph assumes and data cannot show.
    tests : tuple of IndependenceTest
        The implied independencies that could be tested.
    second_opinion : str
        What dowhy says of the set: ``"agrees"``, ``"disagrees: ..."`` or ``"not asked: ..."``.
    dagitty : str
        The graph as read, in dagitty syntax.
    drawing : str
        The graph as a self-contained SVG.
    labels : mapping of str to str
        Node to the label the graph gives it, where it gives one.
    """

    nodes: tuple[str, ...]
    columns: tuple[str, ...]
    alternatives: tuple[tuple[str, ...], ...] = ()
    verdict: str = "adjust"
    reasons: tuple[str, ...] = ()
    untested_assumptions: tuple[str, ...] = ()
    tests: tuple[IndependenceTest, ...] = ()
    second_opinion: str = "not asked"
    dagitty: str = ""
    drawing: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def to_frame(self) -> pd.DataFrame:
        """Return the tested independencies as a table."""
        names = [each.name for each in fields(IndependenceTest)]
        return _frame([_record(test) for test in self.tests], names)


# --- weights ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class EstimatingPart:
    """A fitted nuisance of a set of weights, as its estimating equations.

    Parameters
    ----------
    name : str
        What was fitted.
    score : ndarray, shape (patients, q)
        Per-patient estimating function at the solution; sums to zero.
    information : ndarray, shape (q, q)
        Minus the derivative of the summed score.
    derivative : ndarray, shape (units, q)
        d weight / d coefficient, for each weighted unit (a patient, or a row of a risk table).
    """

    name: str
    score: Floats
    information: Floats
    derivative: Floats

    def correction(self, unit_gradient: Floats) -> Floats:
        """Return this part's term of the influence function.

        Parameters
        ----------
        unit_gradient : ndarray, shape (units,) or (units, m)
            d theta / d weight of each unit.

        Returns
        -------
        ndarray, shape (patients,) or (patients, m)
        """
        return self.score @ np.linalg.solve(self.information, self.derivative.T @ unit_gradient)


@dataclass(frozen=True, kw_only=True)
class WeightingSpec:
    """What weights were asked to be, so that a resample can make them again from its own patients.

    Parameters
    ----------
    population, method : str
        As asked.
    treatment : ndarray of 0/1, shape (patients,)
    terms : ndarray, shape (patients, q)
        The model's matrix without intercept; knots and levels stay as they are.
    stabilise : bool
    truncate : (float, float) or None
    trim : float or None
    quantile_method : str
    """

    population: str
    method: str
    treatment: Ints
    terms: Floats
    stabilise: bool = False
    truncate: tuple[float, float] | None = None
    trim: float | None = None
    quantile_method: str = "linear"


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights with what is needed to account for their estimation.

    Parameters
    ----------
    values : ndarray, shape (units,)
        One weight a patient (or a row, for time-varying weights). Zero for a patient trimmed away.
    population : str
        The estimand, such as ``"ATO"``; after trimming, the renamed one.
    method : str
        ``"logistic"``, ``"entropy-balancing"``, ``"given"``, ...
    parts : tuple of EstimatingPart
        Estimating equations of what was fitted; empty for given weights.
    propensity : ndarray, shape (patients,), optional
        Estimated probability of treatment; NaN for a patient trimmed away.
    normalisation : str
        How the weights are scaled, in words: a weighted hazard ratio depends on it.
    estimated : bool
        False when the weights were given, so that an interval cannot account for their estimation.
    by_row : bool
        True when ``values`` has one entry a row of the risk table, not a patient.
    truncated, trimmed : int
        How many weights were cut, how many patients were left out.
    terms : tuple of str
        Columns of the propensity model's matrix.
    coefficients : ndarray, optional
        Coefficients of the propensity model, intercept first, in the order of ``terms``.
    covariates : tuple of str
        The covariates the weights were built from.
    findings : tuple of Finding
        What a reader has to know about them.
    spec : WeightingSpec or CloneWeighting, optional
        How to make them again; None for given weights and where there was nothing to adjust for.
    """

    values: Floats
    population: str
    method: str
    parts: tuple[EstimatingPart, ...] = ()
    propensity: Floats | None = None
    normalisation: str = ""
    estimated: bool = True
    by_row: bool = False
    truncated: int = 0
    trimmed: int = 0
    terms: tuple[str, ...] = ()
    coefficients: Floats | None = None
    covariates: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    spec: WeightingSpec | CloneWeighting | None = None

    @classmethod
    @checked_arguments
    def given(cls, values: Any, *, population: str = "as given") -> Weights:
        """Take weights made elsewhere.

        Parameters
        ----------
        values : array-like, shape (n,)
            Non-negative, finite, one a patient in the cohort's order.
        population : str, optional
            The estimand they aim at, if you know it.

        Returns
        -------
        Weights
            Marked as not estimated here: intervals made with them say so.

        Raises
        ------
        UsageError
            When a value is negative, missing or infinite, or all are zero.
        """
        try:
            array = np.array(values, dtype=float).ravel()
        except (TypeError, ValueError):
            raise UsageError("weights must be numbers, one for each patient; found something else among them") from None
        bad = np.flatnonzero(~np.isfinite(array) | (array < 0))
        if bad.size:
            rows = ", ".join(str(row + 1) for row in bad[:5])
            raise UsageError(
                f"weights must be finite and not negative; {bad.size} are not (rows {rows}"
                f"{', ...' if bad.size > 5 else ''})"
            )
        if not array.size or not array.any():
            raise UsageError("weights must hold at least one value above zero; found none")
        return cls(
            values=read_only(array),
            population=population,
            method="given",
            normalisation="as given",
            estimated=False,
        )


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Counts (and weighted shares) of the propensity score per arm, on shared edges."""

    edges: tuple[float, ...]
    treated: tuple[float, ...]
    control: tuple[float, ...]
    treated_weighted: tuple[float, ...]
    control_weighted: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class WeightSummary:
    """The weights of one population, as numbers that hold no patient.

    ``ess_treated``, ``ess_control`` and ``max`` are of the weights as used; ``top_share_*`` is the
    share of an arm's total weight carried by its heaviest one per cent; ``quantiles`` maps arm to
    the weights at 0, 1, 5, 25, 50, 75, 95, 99 and 100 per cent.
    """

    population: str
    describes: str
    method: str
    normalisation: str
    ess_treated: float
    ess_control: float
    max: float
    truncated: int
    trimmed: int
    mean_treated: float = float("nan")
    mean_control: float = float("nan")
    top_share_treated: float = float("nan")
    top_share_control: float = float("nan")
    quantiles: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    histogram: Histogram | None = None
    c_statistic: float | None = None
    c_statistic_weighted: float | None = None
    covariates: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    coefficients: tuple[float, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Return one row."""
        skip = {"quantiles", "histogram", "covariates", "terms", "coefficients"}
        return _frame([{key: value for key, value in _record(self).items() if key not in skip}])


# --- balance and positivity ---------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class BalanceRow:
    """Balance of one term before and after weighting; SMDs are signed, treated minus control.

    ``mean_*`` are means (proportions for ``binary`` and ``level``), ``sd_*`` standard deviations
    (None for proportions); ``count_*`` the unweighted number with the level (None for continuous).
    """

    term: str
    kind: str
    column: str
    level: str | None
    smd_before: float
    smd_after: float
    variance_ratio_before: float | None
    variance_ratio_after: float | None
    ks_before: float
    ks_after: float
    mean_treated_before: float
    mean_control_before: float
    mean_treated_after: float
    mean_control_after: float
    sd_treated_before: float | None = None
    sd_control_before: float | None = None
    sd_treated_after: float | None = None
    sd_control_after: float | None = None
    count_treated: int | None = None
    count_control: int | None = None


@dataclass(frozen=True, kw_only=True)
class BalanceTable:
    """Balance of every covariate, before and after weighting.

    ``denominator`` names the standard deviation that both SMD columns share.
    """

    population: str
    denominator: str
    rows: tuple[BalanceRow, ...]
    ess_treated: float
    ess_control: float

    def _repr_html_(self) -> str:
        from causal_s4.report.notebook import balance_html

        return balance_html(self)

    @property
    def worst(self) -> BalanceRow | None:
        """The term with the largest absolute SMD after weighting."""
        return max(self.rows, key=lambda row: abs(row.smd_after), default=None)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a term."""
        names = [each.name for each in fields(BalanceRow)]
        return _frame([_record(row) for row in self.rows], names)


@dataclass(frozen=True, kw_only=True)
class EmptyCell:
    """A group of patients in which one arm has nobody: the data cannot speak about it."""

    description: str
    n: int
    treated: int
    control: int


@dataclass(frozen=True, kw_only=True)
class Positivity:
    """Overlap of the arms on the propensity score, and where it fails.

    ``quantiles`` maps arm to the propensity score at 0, 5, 25, 50, 75, 95 and 100 per cent;
    ``tails`` maps a threshold such as ``"below 0.05"`` to ``{"treated": share, "control": share}``.
    """

    overlap_coefficient: float | None
    quantiles: Mapping[str, tuple[float, ...]]
    tails: Mapping[str, Mapping[str, float]]
    empty_cells: tuple[EmptyCell, ...]
    sentences: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Return the cells without a treated or without a control patient."""
        names = [each.name for each in fields(EmptyCell)]
        return _frame([_record(cell) for cell in self.empty_cells], names)


# --- curves and effects -------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class SurvivalCurve:
    """A survival curve of one arm: right-continuous steps, with a pointwise band.

    Parameters
    ----------
    outcome, analysis, population, arm : str
        What it is a curve of.
    unit : str
        Unit of the times.
    level : float
        Of the pointwise interval (complementary log-log).
    times : ndarray, shape (k,)
        0 and the distinct event times of the arm.
    survival, std_error, lower, upper : ndarray, shape (k,)
        At those times.
    risk_times : ndarray, shape (m,)
        Times of the at-risk table.
    at_risk : ndarray of int, shape (m,)
        Patients at risk (unweighted) just before those times.
    ess_at_risk : ndarray, shape (m,)
        Effective sample size of those at risk.
    """

    outcome: str
    analysis: str
    population: str
    arm: str
    unit: str
    level: float
    times: Floats
    survival: Floats
    std_error: Floats
    lower: Floats
    upper: Floats
    risk_times: Floats
    at_risk: Ints
    ess_at_risk: Floats

    def at(self, time: float) -> float:
        """Return S(time)."""
        if not time >= 0:
            raise UsageError(f"a survival curve is asked at a time of 0 or later; found {time!r}")
        return float(self.survival[np.searchsorted(self.times, time, side="right") - 1])

    def to_frame(self) -> pd.DataFrame:
        """Return one row a step."""
        import pandas as pd

        return pd.DataFrame(
            {
                "time": self.times,
                "survival": self.survival,
                "std_error": self.std_error,
                "lower": self.lower,
                "upper": self.upper,
            }
        ).assign(arm=self.arm, analysis=self.analysis, population=self.population, outcome=self.outcome)


@dataclass(frozen=True, kw_only=True)
class EffectEstimate:
    """One number with everything needed to read it.

    Differences are treated minus control, ratios treated over control. The interval of a ratio is
    made on the log scale, and ``std_error`` is that of its logarithm. ``horizon`` is in the time
    unit of the data. ``variance`` says how the interval was made.
    """

    outcome: str
    analysis: str
    population: str
    measure: str
    arm: str | None
    horizon: float | None
    unit: str
    value: float | None
    std_error: float | None
    lower: float | None
    upper: float | None
    level: float
    variance: str
    p_value: float | None
    n: int
    events: int
    ess: float

    def to_record(self) -> dict[str, Any]:
        """Return the estimate as a flat record."""
        return _record(self)


@dataclass(frozen=True, kw_only=True)
class EffectTable:
    """Estimates in order, naive next to adjusted.

    Parameters
    ----------
    estimates : tuple of EffectEstimate
    findings : tuple of Finding
        What a reader has to know about the intervals, such as replicates without an estimate.
    """

    estimates: tuple[EffectEstimate, ...]
    findings: tuple[Finding, ...] = ()

    def __iter__(self) -> Iterator[EffectEstimate]:
        """Iterate over the estimates."""
        return iter(self.estimates)

    def __len__(self) -> int:
        """Return how many estimates there are."""
        return len(self.estimates)

    def _repr_html_(self) -> str:
        from causal_s4.report.notebook import effects_html

        return effects_html(self)

    def where(self, **wanted: Any) -> EffectTable:
        """Keep the estimates whose fields equal what is asked.

        Examples
        --------
        >>> result.effects.where(analysis="weighted", measure="hazard ratio")  # doctest: +SKIP
        """
        return EffectTable(
            estimates=tuple(
                each for each in self.estimates if all(getattr(each, key) == value for key, value in wanted.items())
            )
        )

    def one(self, **wanted: Any) -> EffectEstimate:
        """Return the only estimate whose fields equal what is asked.

        Raises
        ------
        UsageError
            When there is none, or more than one.
        """
        found = self.where(**wanted).estimates
        if len(found) != 1:
            raise UsageError(f"expected one estimate with {wanted}; found {len(found)}")
        return found[0]

    def to_frame(self) -> pd.DataFrame:
        """Return one row an estimate."""
        names = [each.name for each in fields(EffectEstimate)]
        return _frame([each.to_record() for each in self.estimates], names)


@dataclass(frozen=True, kw_only=True)
class ScoreTest:
    """A comparison of two curves: the score test of no effect, z on the standard normal."""

    outcome: str
    analysis: str
    population: str
    test: str
    z: float
    p_value: float


@dataclass(frozen=True, kw_only=True)
class HazardsCheck:
    """Whether the hazard ratio changes with time.

    ``slope`` is the change in log hazard ratio per unit of log time, with its Wald test under the
    same influence-function variance as everything else; ``periods`` holds a hazard ratio for each
    stretch of follow-up as (from, to, value, lower, upper).
    """

    outcome: str
    analysis: str
    population: str
    slope: float
    std_error: float
    p_value: float
    periods: tuple[tuple[float, float, float, float, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class RegressionRow:
    """One coefficient of the multivariable Cox model, as a hazard ratio."""

    term: str
    hazard_ratio: float
    std_error: float
    lower: float
    upper: float
    p_value: float


@dataclass(frozen=True, kw_only=True)
class RegressionTable:
    """The conditional multivariable Cox model that such papers report."""

    outcome: str
    rows: tuple[RegressionRow, ...]
    ties: str
    n: int
    events: int

    def to_frame(self) -> pd.DataFrame:
        """Return one row a coefficient."""
        names = [each.name for each in fields(RegressionRow)]
        return _frame([_record(row) for row in self.rows], names)


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A published estimate that the study is held against, with its source."""

    name: str
    outcome: str
    measure: str
    value: float
    lower: float
    upper: float
    level: float
    source: str
    design: str = "randomised trial"
    horizon: float | None = None


# --- doubt --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class SensitivityResult:
    """The answer of one sensitivity analysis.

    Parameters
    ----------
    method : str
        A name from the contract's list, such as ``"e-value"``.
    target : mapping
        Which estimate it is about: outcome, analysis, population, measure, horizon.
    parameters : mapping
        What was assumed.
    value : float or None
        The answer for the estimate.
    lower, upper : float or None
        Its bounds or interval, where the method has them.
    bound : float or None
        The answer for the interval limit nearer the null.
    unit : str
        What ``value`` is measured in.
    direction : str
        Which way the bias would have to go, in words.
    assumptions : tuple of str
        What has to hold for the number to mean what it says.
    table : tuple of mapping
        Rows of a grid, when the answer is one.
    findings : tuple of Finding
        What a reader has to know.
    """

    method: str
    target: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    value: float | None = None
    lower: float | None = None
    upper: float | None = None
    bound: float | None = None
    unit: str = ""
    direction: str = ""
    assumptions: tuple[str, ...] = ()
    table: tuple[Mapping[str, Any], ...] = ()
    findings: tuple[Finding, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Return the grid if there is one, else one row with the answer."""
        if self.table:
            return _frame(self.table)
        row = {"method": self.method, "value": self.value, "bound": self.bound}
        return _frame([{**row, "lower": self.lower, "upper": self.upper, **self.parameters}])


# --- the whole answer ---------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What made the result, so that it can be made again. No time, host or path."""

    causal_s4: str
    python: str
    packages: Mapping[str, str]
    data_sha256: str
    protocol_sha256: str


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """The naive answer and the adjusted answers of one study, with all they rest on.

    ``weights``, ``balance`` and ``positivity`` belong to the primary population;
    ``other_weights`` and ``other_balance`` to the further populations the protocol asks for.
    ``clone_flow`` and ``balance_over_time`` are of cloned strategies.
    """

    protocol: Protocol
    cohort: CohortSummary
    adjustment: AdjustmentSet
    weights: WeightSummary | None
    balance: BalanceTable | None
    positivity: Positivity | None
    curves: tuple[SurvivalCurve, ...]
    effects: EffectTable
    tests: tuple[ScoreTest, ...] = ()
    hazards: tuple[HazardsCheck, ...] = ()
    regressions: tuple[RegressionTable, ...] = ()
    benchmarks: tuple[Benchmark, ...] = ()
    other_weights: tuple[WeightSummary, ...] = ()
    other_balance: tuple[BalanceTable, ...] = ()
    sensitivity: tuple[SensitivityResult, ...] = ()
    findings: tuple[Finding, ...] = ()
    provenance: Provenance | None = None
    alignment: Alignment | None = None
    clone_flow: CloneFlow | None = None
    balance_over_time: BalanceOverTime | None = None

    def _repr_html_(self) -> str:
        from causal_s4.report.notebook import study_html

        return study_html(self)

    @property
    def plot(self) -> Plots:
        """The figures of the study for a paper: ``result.plot.ladder(width="single").save("figure1.pdf")``."""
        from causal_s4.report.plots import Plots

        return Plots(self)

    @classmethod
    def read(cls, folder: Any) -> StudyResult:
        """Read a result back from the folder that :meth:`write` or ``causal-s4 run`` left it in.

        Parameters
        ----------
        folder : path-like
            Its files have to be what ``SHA256SUMS`` says.

        Returns
        -------
        StudyResult
            Nothing is estimated; its report has the same bytes. Numbers of patients that were too small to show
            are not in the folder and stay hidden.

        Raises
        ------
        InputError
            When the folder holds no result, or not what was written.
        """
        from causal_s4.report.read_back import read_result

        return read_result(folder)

    def to_json(self) -> str:
        """Return the text of ``results.json``."""
        from causal_s4.report.results_json import results_json

        return results_json(self)

    def write(self, folder: Any) -> None:
        """Write report, tables, figures and ``results.json`` to a folder, whole or not at all.

        Parameters
        ----------
        folder : path-like
            Made if missing; an earlier result in it is replaced.
        """
        from causal_s4.report.write import write_result

        write_result(self, folder)


Gradient = Callable[[Floats], Floats]


# --- time zero ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """Whether treatment starts at time zero, and how much follow-up a fixed-arm design would misplace.

    Parameters
    ----------
    treated : int
        Patients treated during follow-up.
    later : int
        Of those, treated after time zero.
    misplaced : float
        Their person-time before treatment, which comparing ever with never treated credits to treatment
        although nobody could die in it and still be treated.
    treated_follow_up : float
        Person-time of all treated, from time zero.
    median_start : float or None
        Median time to treatment of the treated.
    unit : str
        Of every time.
    known : bool
        Whether the cohort says when treatment started; if not, nothing can be checked.
    """

    treated: int
    later: int
    misplaced: float
    treated_follow_up: float
    median_start: float | None
    unit: str
    known: bool

    @property
    def share(self) -> float:
        """Share of the treated patients' follow-up that precedes treatment."""
        return self.misplaced / self.treated_follow_up if self.treated_follow_up > 0 else 0.0

    @property
    def baseline_admissible(self) -> bool:
        """Whether arms may be taken as fixed at time zero, as far as the cohort says."""
        return self.later == 0

    def to_frame(self) -> pd.DataFrame:
        """Return one row."""
        return _frame([{**_record(self), "share": self.share, "baseline_admissible": self.baseline_admissible}])


@dataclass(frozen=True, kw_only=True)
class CloneFlowRow:
    """One arm of cloned strategies at one time.

    Parameters
    ----------
    time : float
    arm : str
    followed : int
        Clones still in the arm just after the time.
    adherent : int
        Of those, treated (in the treated arm) or beyond the grace period untreated (in the control arm):
        they can no longer depart from the strategy.
    deviated, events, lost : int
        Clones that have left by then: departed from the strategy and were taken out, had the event (or a
        competing one), were lost to follow-up.
    ess : float
        Effective sample size of those followed.
    mean_weight : float
        Sum of weights over all patients still under observation: about one within the grace period.
    largest_share : float
        Share of the arm's weight on one clone.
    quantiles : tuple of float
        Of the weights of those followed, at the shares that the flow names.
    """

    time: float
    arm: str
    followed: int
    adherent: int
    deviated: int
    events: int
    lost: int
    ess: float
    mean_weight: float
    largest_share: float
    quantiles: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CloneFlow:
    """Who is in which arm until when, why clones leave, and what those who stay count.

    Parameters
    ----------
    outcome : str
    grace_period : float
    unit : str
    n : int
        Patients, each with a clone in either arm.
    shares : tuple of float
        At which the weights' quantiles are given.
    rows : tuple of CloneFlowRow
        By time, the treated arm first.
    """

    outcome: str
    grace_period: float
    unit: str
    n: int
    shares: tuple[float, ...]
    rows: tuple[CloneFlowRow, ...]

    def to_frame(self) -> pd.DataFrame:
        """Return one row a time and arm, a column for each quantile of the weights."""
        records = []
        for row in self.rows:
            record = {key: value for key, value in _record(row).items() if key != "quantiles"}
            named = {f"weight_{100 * q:g}": value for q, value in zip(self.shares, row.quantiles, strict=True)}
            records.append(record | named)
        return _frame(records)


@dataclass(frozen=True, kw_only=True)
class TimedBalanceRow:
    """Balance of one term at one time: an arm's clones against everyone under observation then.

    Standardised mean differences are clones minus everyone, without and with the weights; in the
    comparison ``"treated against control"``, treated minus control.
    """

    time: float
    comparison: str
    term: str
    smd_before: float
    smd_after: float


@dataclass(frozen=True, kw_only=True)
class BalanceOverTime:
    """Whether the clones that stayed still look like everyone, at times within the grace period.

    ``denominator`` names the standard deviation that both SMD columns share.
    """

    unit: str
    denominator: str
    rows: tuple[TimedBalanceRow, ...]

    @property
    def worst(self) -> TimedBalanceRow | None:
        """The row with the largest absolute SMD under the weights."""
        return max(self.rows, key=lambda row: abs(row.smd_after), default=None)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a time, comparison and term."""
        names = [each.name for each in fields(TimedBalanceRow)]
        return _frame([_record(row) for row in self.rows], names)


@dataclass(frozen=True, kw_only=True)
class LadderRung:
    """One way to analyse the same cohort.

    Parameters
    ----------
    label : str
        In words.
    analysis : str
        Name of the contract.
    adjusts_for : str
        ``"nothing"``, ``"time zero"`` (covariates of time zero) or ``"time zero and changes"``.
    time : float or None
        The landmark or grace period.
    effects : EffectTable
        Of the outcome, on several scales.
    unadmitted : str
        Why the rung has no estimate, if it has none.
    """

    label: str
    analysis: str
    adjusts_for: str
    time: float | None
    effects: EffectTable
    unadmitted: str = ""


@dataclass(frozen=True, kw_only=True)
class BiasLadder:
    """The same cohort analysed from the most to the least biased way, and the truth where it is known."""

    outcome: str
    unit: str
    rungs: tuple[LadderRung, ...]

    def plot(self, measure: str = "hazard ratio", *, width: str | float = "double") -> Plot:
        """Return the rungs as a forest plot: ``ladder.plot().save("figure1.pdf")``.

        Parameters
        ----------
        measure : {"hazard ratio", "survival difference", "rmst difference"}
            What is drawn; differences are at the longest horizon.
        width : {"single", "middle", "double"} or float
            A journal's column, or inches.

        Raises
        ------
        UsageError
            When no rung has the measure.
        """
        from causal_s4.report.bias_ladder import bias_ladder_plot

        return bias_ladder_plot(self, measure, width)

    def rung(self, label: str) -> LadderRung:
        """Return a rung by its label.

        Raises
        ------
        UsageError
            When there is none.
        """
        for rung in self.rungs:
            if rung.label == label:
                return rung
        raise UsageError(f"no rung {label!r}; there are {', '.join(repr(rung.label) for rung in self.rungs)}")

    def to_frame(self) -> pd.DataFrame:
        """Return one row an estimate, with the rung's label and what it adjusts for; one row for a rung without any."""
        records: list[dict[str, Any]] = []
        for rung in self.rungs:
            about = {"rung": rung.label, "adjusts_for": rung.adjusts_for, "time": rung.time, "note": rung.unadmitted}
            found = [about | each.to_record() for each in rung.effects]
            records += found or [about | {"outcome": self.outcome, "analysis": rung.analysis}]
        return _frame(records)
