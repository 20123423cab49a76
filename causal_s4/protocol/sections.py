"""The sections of a study file.

A section checks its values one by one. What two values say of each other is checked in
:mod:`causal_s4.protocol.rules`, so that one wrong value hides no other problem.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from causal_s4.protocol.fields import (
    FilePath,
    Flag,
    FrozenDict,
    Length,
    Lengths,
    Number,
    OneOrMoreScalars,
    OneOrMoreTexts,
    OnlyTrue,
    Pairs,
    Part,
    Scalar,
    Scalars,
    Share,
    Text,
    Texts,
    checked,
    choice,
    frozen_table,
    kind_of,
    listed_once,
    member,
    refusal,
    whole,
)
from causal_s4.protocol.methods import (
    INTERVALS,
    QUANTILE_METHODS,
    TIES,
    TIMINGS,
    VARIANCES,
    WEIGHTING_METHODS,
    check_trim,
    check_truncate,
)
from causal_s4.protocol.vocabulary import Design, Estimand, Measure, TimeUnit
from causal_s4.protocol.words import quoted

MOST_REPLICATES = 1_000_000

Columns = Annotated[dict[Text, OneOrMoreTexts], *frozen_table]
Levels = Annotated[dict[Text, OneOrMoreScalars], *frozen_table]
Knots = Annotated[dict[Text, Annotated[int, whole(3, 7)]], *frozen_table]
Quantiles = Annotated[
    Any,
    checked(
        check_truncate,
        {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}, "minItems": 2, "maxItems": 2},
    ),
]
Trim = Annotated[Any, checked(check_trim, {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.5})]


class Data(Part):
    """The cohort: one row a patient, and the unit of its times."""

    file: FilePath = Field(
        description="The file of the cohort, relative to the study file: csv, parquet, Stata, SAS, SPSS or Excel."
    )
    id: Text | None = Field(default=None, description="The column that identifies a patient; without it, rows do.")
    time_unit: Annotated[TimeUnit, member(TimeUnit)] = Field(
        description="The unit of every time column: days, weeks, months or years."
    )
    missing: Annotated[str, choice("refuse", "complete-case", "impute")] = Field(
        default="refuse", description="What to do with patients who have no value for a covariate."
    )
    zero_time: Annotated[str, choice("refuse", "half")] = Field(
        default="refuse", description='What to do with a follow-up time of zero; "half" adds half a time unit.'
    )
    history: FilePath | None = Field(
        default=None, description="A long table of covariates that change: the id column, time, and the covariates."
    )


class DagSpec(Part):
    """The assumptions: a causal graph in dagitty syntax, and which columns measure its nodes."""

    file: FilePath = Field(description="The file of the causal graph in dagitty syntax, relative to the study file.")
    adjust_for: Texts = Field(
        default=(), description="Nodes to adjust for, refused unless the graph says that they suffice; empty: chosen."
    )
    columns: Columns = Field(
        default=FrozenDict(),
        description="The columns that measure a node, where they are not one column of the node's own name.",
    )


class Condition(Part):
    """One condition of eligibility on one column."""

    at_least: Number | None = Field(default=None, description="The lowest value that is eligible.")
    at_most: Number | None = Field(default=None, description="The highest value that is eligible.")
    above: Number | None = Field(default=None, description="The value that eligible ones lie above.")
    below: Number | None = Field(default=None, description="The value that eligible ones lie below.")
    equals: Scalar | None = Field(default=None, description="The only value that is eligible.")
    not_equals: Scalar | None = Field(default=None, description="A value that is not eligible.")
    in_: Scalars | None = Field(default=None, alias="in", description="The values that are eligible.")
    not_in: Scalars | None = Field(default=None, description="The values that are not eligible.")
    known: OnlyTrue | None = Field(default=None, description="True: the value has to be known.")

    @model_validator(mode="after")
    def _consistent(self) -> Condition:
        names = [_toml_name(name) for name in type(self).model_fields]
        if not self._stated():
            raise refusal("no condition", expected=f"at least one of {', '.join(names)}")
        trouble = self._redundant() or self._mixed() or self._empty()
        if trouble:
            raise refusal(trouble, todo="State what is meant by fewer conditions")
        return self

    def describe(self, column: str) -> str:
        """Return the condition as words for the flow chart.

        Parameters
        ----------
        column : str
            The column it is about.

        Returns
        -------
        str

        Examples
        --------
        >>> Condition(at_least=18, below=80).describe("age")
        'age is at least 18 and below 80'
        """
        words = [_PHRASES[name].format(_shown(value)) for name, value in self._stated().items()]
        return f"{column} is {' and '.join(words)}"

    def _stated(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value for name, value in values.items() if value is not None}

    def _redundant(self) -> str:
        stated = self._stated()
        for one, other in _SAME_WORK:
            if one in stated and other in stated:
                return f"both {_toml_name(one)} and {_toml_name(other)}"
        beside = [_toml_name(name) for name in stated if name not in ("equals", "in_", "known")]
        if beside and ("equals" in stated or "in_" in stated):
            return f"{beside[0]} beside the eligible values themselves"
        return ""

    def _mixed(self) -> str:
        values = [value for name, value in self._stated().items() if name != "known"]
        kinds = {kind_of(each) for value in values for each in (value if isinstance(value, tuple) else (value,))}
        return "both text and numbers, but a column holds one or the other" if len(kinds) > 1 else ""

    def _empty(self) -> str:
        low = self.at_least if self.above is None else self.above
        high = self.at_most if self.below is None else self.below
        if low is None or high is None or low < high:
            return ""
        if low == high and self.above is None and self.below is None:
            return ""
        return f"{self.describe('a value that')}, which nobody can meet"


_SAME_WORK = (("at_least", "above"), ("at_most", "below"), ("equals", "in_"), ("not_equals", "not_in"))
_PHRASES = {
    "at_least": "at least {}",
    "at_most": "at most {}",
    "above": "above {}",
    "below": "below {}",
    "equals": "{}",
    "not_equals": "not {}",
    "in_": "one of {}",
    "not_in": "none of {}",
    "known": "known",
}
_MOST_SHOWN = 8


def _toml_name(name: str) -> str:
    return name.rstrip("_")


def _shown(value: Any) -> str:
    if not isinstance(value, tuple):
        return value if isinstance(value, str) else quoted(value)
    listed = ", ".join(_shown(each) for each in value[:_MOST_SHOWN])
    more = len(value) - _MOST_SHOWN
    return f"{listed} and {more} more" if more > 0 else listed


class Treatment(Part):
    """The two arms: a column and its two values, named and never guessed."""

    column: Text = Field(description="The column of the treatment.")
    treated: Scalar = Field(description="The value of the treated, as the column holds it.")
    control: Scalar = Field(description="The value of the controls, as the column holds it.")
    name: Text = Field(
        default_factory=lambda data: data["column"],
        description="The label of the treatment in reports; the column by default.",
    )
    control_name: Text = Field(default="Control", description="The label of the control arm in reports.")
    start: Text | None = Field(
        default=None, description="The column with the time from time zero to treatment; empty means never treated."
    )
    non_protocol_start: Text | None = Field(
        default=None,
        description="For clone-censor-weight: the column with the time to treatment outside both strategies, such as "
        "for palliation, when both clones are censored; empty means none.",
    )
    node: Text = Field(
        default_factory=lambda data: data["column"],
        description="The node of the treatment in the causal graph; the column by default.",
    )


class TimeZero(Part):
    """How follow-up and treatment are aligned at time zero."""

    design: Annotated[Design, member(Design)] = Field(
        default=Design.BASELINE, description="baseline, landmark, time-dependent or clone-censor-weight."
    )
    landmark: Lengths = Field(
        default=(), description="For a landmark design: when its clock starts; a list runs several."
    )
    grace_period: Lengths = Field(
        default=(), description="For clone-censor-weight: within how long treatment has to start; a list runs several."
    )
    timing: Annotated[str, choice(*TIMINGS)] | None = Field(
        default_factory=lambda data: "density" if data["design"] is Design.CLONE_CENSOR_WEIGHT else None,
        description="For clone-censor-weight: when, within the grace period, treatment starts; density by default.",
    )
    natural_until: Length | None = Field(
        default=None, description='With timing = "natural": until when practice is left as it is.'
    )
    never: OnlyTrue | None = Field(
        default=None,
        description="For clone-censor-weight: true compares with no treatment at all, after the grace period neither.",
    )
    unless: Levels = Field(
        default=FrozenDict(),
        description="For clone-censor-weight: columns of the history and the values that release from treatment, such "
        'as { response = "progression" }; a released patient stays in the arm.',
    )
    time_varying: Texts = Field(default=(), description="Columns of the history that drive both treatment and outcome.")
    max_carry: Length | None = Field(
        default=None, description="How long a value of the history is carried forward; a year if left out."
    )


class OutcomeSpec(Part):
    """One outcome: a time, an event code and the horizons it is judged at."""

    time: Text = Field(description="The column of the time from time zero to the event or the end of follow-up.")
    event: Text = Field(description="The column of the event code.")
    name: Text = Field(
        default_factory=lambda data: data["event"], description="The label in reports; the event column by default."
    )
    event_value: Scalar = Field(description="The code of the event, named and never guessed.")
    competing_value: Scalar | None = Field(default=None, description="The code of a competing event.")
    horizons: Lengths = Field(default=(), description="Times at which survival and restricted mean are compared.")
    node: Text = Field(
        default_factory=lambda data: data["event"],
        description="The node of the outcome in the causal graph; the event column by default.",
    )


class EstimandSpec(Part):
    """Whom the effect is about."""

    population: Annotated[Estimand, member(Estimand)] = Field(
        description="The population of the effect: ATE, ATT, ATC, ATO or ATM."
    )
    also: Annotated[tuple[Annotated[Estimand, member(Estimand)], ...], *listed_once] = Field(
        default=(), description="Further populations, reported beside it."
    )


class Terms(Part):
    """How covariates enter a model: splines, logarithms, interactions."""

    splines: Knots = Field(
        default=FrozenDict(), description="Restricted cubic splines: column to number of knots, 3 to 7."
    )
    log1p: Texts = Field(default=(), description="Columns that enter as the logarithm of one plus the value.")
    interactions: Pairs = Field(default=(), description="Pairs of columns whose product enters as well.")


class Propensity(Terms):
    """How the arms are made comparable: the weights and the model behind them."""

    method: Annotated[str, choice(*WEIGHTING_METHODS)] = Field(
        default="logistic", description="How the weights are made."
    )
    stabilise: Flag | None = Field(
        default=None,
        description="Whether weights for the ATE are multiplied by the share of the arm; if left out, they are.",
    )
    truncate: Quantiles | None = Field(
        default=None, description="Lower and upper quantile at which weights are cut, such as [0.01, 0.99]."
    )
    trim: Trim | None = Field(
        default=None,
        description="Patients with a propensity score this close to 0 or 1 are left out, and the score is refitted.",
    )
    quantile_method: Annotated[str, choice(*QUANTILE_METHODS)] | None = Field(
        default_factory=lambda data: None if data["truncate"] is None else "linear",
        description="With truncate: how the quantiles are read off; linear by default.",
    )


class Initiation(Terms):
    """The model of when treatment starts, for clone-censor-weight."""

    interval: Length | None = Field(
        default=None, description="Length of the intervals in which the rate of starting is constant; a month at most."
    )
    truncate: Quantiles | None = Field(
        default=None, description="Lower and upper quantile at which weights are cut; brings confounding back."
    )
    loss_weights: Flag = Field(
        default=False, description="Whether to weight for loss to follow-up as well, over the whole follow-up."
    )


class Inference(Part):
    """How intervals are made."""

    method: Annotated[str, choice(*VARIANCES)] | None = Field(
        default=None,
        description="influence, bootstrap or jackknife; if left out, influence, and the jackknife for weighted effects "
        "when the smaller arm has fewer than fifteen patients for each coefficient of the propensity model.",
    )
    replicates: Annotated[int, whole(2, MOST_REPLICATES)] | None = Field(
        default_factory=lambda data: 1000 if data["method"] == "bootstrap" else None,
        description="With bootstrap: how many resamples; 1000 by default.",
    )
    level: Share = Field(default=0.95, description="The confidence level, such as 0.95.")
    ties: Annotated[str, choice(*TIES)] = Field(
        default="efron", description="How the Cox model treats events at the same time."
    )
    jobs: Annotated[int, whole(1, 1024)] = Field(default=1, description="Workers; they change no number.")
    interval: Annotated[str, choice(*INTERVALS)] | None = Field(
        default_factory=lambda data: "percentile" if data["method"] == "bootstrap" else None,
        description="With bootstrap: how the interval is read off the resamples; percentile by default.",
    )
    stratify: Flag | None = Field(
        default_factory=lambda data: False if data["method"] == "bootstrap" else None,
        description="With bootstrap: whether each arm is resampled on its own; not by default.",
    )
    cluster: Text | None = Field(
        default=None, description="With bootstrap: the column of the groups that are resampled whole."
    )


class BenchmarkSpec(Part):
    """A published estimate to hold the study against."""

    name: Text = Field(description="The label of the published study.")
    outcome: Text = Field(description="The name of the outcome it is held against.")
    measure: Annotated[Measure, member(Measure)] = Field(default=Measure.HAZARD_RATIO, description="What was measured.")
    value: Number = Field(description="The published estimate, treated against control.")
    lower: Number = Field(description="The lower limit of its interval.")
    upper: Number = Field(description="The upper limit of its interval.")
    level: Share = Field(default=0.95, description="The confidence level of its interval.")
    horizon: Length | None = Field(default=None, description="The horizon, for measures that have one.")
    source: Text = Field(description="Where it was published, such as a DOI.")
    design: Text = Field(default="randomised trial", description="What kind of study it was.")


class ReportSpec(Part):
    """How results are shown; it changes no number."""

    suppress_below: Annotated[int, whole(0, 1000)] = Field(
        default=0, description="Counts of patients below this are not shown; 0 shows all."
    )
    style: Annotated[str, choice("jama", "lancet", "nejm", "plain")] = Field(
        default="jama", description="The number style of a journal."
    )
