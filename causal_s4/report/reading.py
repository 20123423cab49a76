"""How a result is read: which numbers stand at the front, and what each is called.

Tables, figures and the page all ask :class:`Reading`, so that an estimate has one name and one
rounding wherever it appears. Nothing here estimates; it selects, converts units and words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from causal_s4.protocol.vocabulary import CONDITIONAL, UNADJUSTED, Analysis, Arm, Design, Estimand, Measure, TimeUnit
from causal_s4.report.numbers import (
    NOT_ESTIMABLE,
    NOT_REACHED,
    NumberStyle,
    convert,
    reading_unit,
    spell_about,
    spell_duration,
    style,
)
from causal_s4.report.suppression import suppressed
from causal_s4.results import (
    NOT_SHOWN,
    BalanceRow,
    Benchmark,
    EffectEstimate,
    ScoreTest,
    StudyResult,
    SurvivalCurve,
    WeightSummary,
)

ASSOCIATION = "Unadjusted association"
EFFECT = "Estimated effect under the stated assumptions"

_ANALYSIS = {
    Analysis.NAIVE: "Unadjusted",
    Analysis.MULTIVARIABLE: "Multivariable Cox model",
    Analysis.WEIGHTED: "Weighted",
    Analysis.LANDMARK: "Landmark",
    Analysis.TIME_DEPENDENT: "Time-dependent Cox model",
    Analysis.IMMORTAL_TIME_EXCLUDED: "Immortal time excluded",
    Analysis.CLONE_CENSOR_UNWEIGHTED: "Cloned and censored, unweighted",
    Analysis.CLONE_CENSOR_WEIGHT: "Clone-censor-weight",
}
_ASSOCIATIONS = {Analysis.NAIVE, Analysis.IMMORTAL_TIME_EXCLUDED, Analysis.CLONE_CENSOR_UNWEIGHTED}
_POPULATION = {
    Estimand.ATE: "whole population",
    Estimand.ATT: "treated population",
    Estimand.ATC: "untreated population",
    Estimand.ATO: "overlap population",
    Estimand.ATM: "matched population",
}
_FRONT = {
    Design.BASELINE: Analysis.WEIGHTED,
    Design.LANDMARK: Analysis.LANDMARK,
    Design.TIME_DEPENDENT: Analysis.TIME_DEPENDENT,
    Design.CLONE_CENSOR_WEIGHT: Analysis.CLONE_CENSOR_WEIGHT,
}
_PER_ARM = (Measure.SURVIVAL, Measure.CUMULATIVE_INCIDENCE, Measure.RMST, Measure.MEDIAN_SURVIVAL)
_TIMES = (Measure.RMST, Measure.RMST_DIFFERENCE, Measure.MEDIAN_SURVIVAL)
_DIFFERENCES_OF_SHARES = (Measure.SURVIVAL_DIFFERENCE, Measure.CUMULATIVE_INCIDENCE_DIFFERENCE)
_RATIOS = (
    Measure.HAZARD_RATIO,
    Measure.SURVIVAL_RATIO,
    Measure.RMST_RATIO,
    Measure.CUMULATIVE_INCIDENCE_RATIO,
)
MEASURE_NAMES = {
    Measure.SURVIVAL: "Survival",
    Measure.CUMULATIVE_INCIDENCE: "Cumulative incidence",
    Measure.RMST: "Restricted mean survival time",
    Measure.HAZARD_RATIO: "Hazard ratio",
    Measure.MEDIAN_SURVIVAL: "Median survival",
}
FAMILIES = (
    (Measure.SURVIVAL, Measure.SURVIVAL_DIFFERENCE, Measure.SURVIVAL_RATIO),
    (
        Measure.CUMULATIVE_INCIDENCE,
        Measure.CUMULATIVE_INCIDENCE_DIFFERENCE,
        Measure.CUMULATIVE_INCIDENCE_RATIO,
    ),
    (Measure.RMST, Measure.RMST_DIFFERENCE, Measure.RMST_RATIO),
    (None, None, Measure.HAZARD_RATIO),
    (Measure.MEDIAN_SURVIVAL, None, None),
)


# Characters that turn the direction of what follows them: a label must not rearrange the line it stands in.
_TURNS = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: str) -> str:
    """Return the text without control characters (line breaks stay) and without those that turn its direction."""
    if text.isprintable():
        return text
    return "".join(c for c in text if c == "\n" or not (c in _TURNS or unicodedata.category(c) in ("Cc", "Cs")))


def clean(text: str, most: int | None = None) -> str:
    """Return a label fit to show on one line, no longer than asked.

    Parameters
    ----------
    text : str
        A label from a file.
    most : int, optional
        Longest length; the rest becomes an ellipsis.
    """
    shown = re.sub(r"[^\S\u00a0]+", " ", printable(re.sub(r"[\t\r\n]", " ", str(text)))).strip()
    if most is not None and len(shown) > most:
        shown = shown[: most - 1].rstrip() + "…"
    return shown


def pretty(name: str) -> str:
    """Return a column name as words."""
    words = clean(name).replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def capital(text: str) -> str:
    """Return the text with its first letter a capital."""
    return text[:1].upper() + text[1:]


def mid(text: str) -> str:
    """Return a label as it stands inside a sentence: its first letter small, unless the word is an abbreviation.

    Examples
    --------
    >>> mid("Overall survival"), mid("HER2 blockade")
    ('overall survival', 'HER2 blockade')
    """
    return text[:1].lower() + text[1:] if text[1:2].islower() or text[1:2] == " " else text


def slug(name: str) -> str:
    """Return a name fit for a file: letters, digits and hyphens of ASCII."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:40].rstrip("-")


def join(words: Iterable[str]) -> str:
    """Join words as a sentence does: "a", "a and b", "a, b and c"."""
    given = list(words)
    return given[0] if len(given) == 1 else f"{', '.join(given[:-1])} and {given[-1]}" if given else ""


def plural(count: int, word: str) -> str:
    """Return the word in the number that ``count`` needs."""
    return word if count == 1 else word + "s"


def state(outcome: str) -> str:
    """Return what a patient without the event is: "alive", "alive and recurrence-free", "free of the event".

    Examples
    --------
    >>> state("Overall survival"), state("Recurrence-free survival"), state("Relapse")
    ('alive', 'alive and recurrence-free', 'free of the event')
    """
    plain = clean(outcome).strip().lower()
    if plain == "overall survival":
        return "alive"
    free = re.fullmatch(r"(.+-free) survival", plain)
    return f"alive and {free.group(1)}" if free else "free of the event"


@dataclass(frozen=True, kw_only=True)
class LadderRow:
    """One rung of the ladder: an estimate, or a published one to hold it against.

    ``kind`` is ``"association"``, ``"conditional"``, ``"effect"``, ``"primary"`` or ``"benchmark"``;
    ``value``, ``lower`` and ``upper`` are in the unit the figure's axis is read in.
    """

    kind: str
    label: str
    short: str
    detail: str
    value: float | None
    lower: float | None
    upper: float | None
    text: str


@dataclass(frozen=True, kw_only=True)
class Side:
    """Half of the answer: what one analysis says about the primary outcome.

    Each of the estimates is None where the design has none.
    """

    claim: str
    title: str
    population: str
    survival_treated: EffectEstimate | None
    survival_control: EffectEstimate | None
    survival_difference: EffectEstimate | None
    rmst_treated: EffectEstimate | None
    rmst_control: EffectEstimate | None
    rmst_difference: EffectEstimate | None
    hazard_ratio: EffectEstimate | None
    test: ScoreTest | None


@dataclass(frozen=True)
class Reading:
    """A study result together with the way its numbers are written.

    Parameters
    ----------
    result : StudyResult
        What was found.
    numbers : NumberStyle, optional
        How numbers are written; by default in the style the protocol asks for.
    """

    result: StudyResult
    numbers: NumberStyle = field(default=None)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        """Take the protocol's style when none was given, and hide the numbers of patients that it says are too small."""
        if self.numbers is None:
            object.__setattr__(self, "numbers", style(self.result.protocol.report.style))
        object.__setattr__(self, "result", suppressed(self.result))

    # --- what stands at the front ----------------------------------------------------------------

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Outcome names, the primary one first."""
        return tuple(outcome.name for outcome in self.result.protocol.outcomes)

    @cached_property
    def front(self) -> tuple[str, str]:
        """Analysis and population of the answer that is set beside the unadjusted one."""
        made = [(each.analysis, each.population) for each in self.result.effects]
        adjusted = [pair for pair in made if pair[0] not in _ASSOCIATIONS and pair[1] != UNADJUSTED]
        wanted = _FRONT.get(Design(self.result.protocol.time_zero.design), Analysis.WEIGHTED)
        asked = self.result.weights.population if self.result.weights else None
        for test in (
            lambda pair: pair == (wanted, asked),
            lambda pair: pair[0] == wanted,
            lambda pair: pair[0] != Analysis.MULTIVARIABLE,
            lambda pair: True,
        ):
            for pair in adjusted:
                if test(pair):
                    return pair
        # Nothing to adjust for: the design's own comparison still deals with time zero as the naive one does not.
        return next((pair for pair in made if pair == (wanted, UNADJUSTED)), (Analysis.NAIVE, UNADJUSTED))

    @cached_property
    def naive(self) -> tuple[str, str]:
        """Analysis and population of the unadjusted estimates."""
        for each in self.result.effects:
            if each.analysis == Analysis.NAIVE:
                return (each.analysis, each.population)
        return (Analysis.NAIVE, UNADJUSTED)

    def analyses(self, outcome: str) -> list[tuple[str, str]]:
        """Return the analyses of an outcome: the unadjusted one, the front one, then the others as estimated."""
        made = dict.fromkeys((e.analysis, e.population) for e in self.result.effects if e.outcome == outcome)
        first = [pair for pair in (self.naive, self.front) if pair in made]
        return list(dict.fromkeys([*first, *made]))

    def find(
        self,
        pair: tuple[str, str],
        outcome: str,
        measure: str | None,
        horizon: float | None = None,
        arm: str | None = None,
    ) -> EffectEstimate | None:
        """Return an estimate, or None when it was not made."""
        for each in self.result.effects:
            made = (each.analysis, each.population), each.outcome, each.measure, each.horizon, each.arm
            if made == (pair, outcome, measure, horizon, arm):
                return each
        return None

    def horizons(self, outcome: str, measure: str) -> list[float | None]:
        """Return the horizons at which a measure was estimated, in order."""
        found = {each.horizon for each in self.result.effects if each.outcome == outcome and each.measure == measure}
        return sorted(found, key=lambda h: (h is not None, h or 0.0))

    def headline_horizon(self, outcome: str) -> float | None:
        """Return the longest horizon with a survival difference under both the naive and the front analysis."""
        for horizon in reversed(self.horizons(outcome, Measure.SURVIVAL_DIFFERENCE)):
            if all(self.find(p, outcome, Measure.SURVIVAL_DIFFERENCE, horizon) for p in (self.naive, self.front)):
                return horizon
        return None

    def side(self, pair: tuple[str, str], outcome: str) -> Side:
        """Return one half of the answer about an outcome."""
        at = self.headline_horizon(outcome)

        def pick(measure: str, arm: str | None = None, horizon: float | None = at) -> EffectEstimate | None:
            return self.find(pair, outcome, measure, horizon, arm)

        test = next((t for t in self.result.tests if (t.analysis, t.population) == pair and t.outcome == outcome), None)
        return Side(
            claim=self.claim(pair),
            title=self.analysis(pair),
            population=self.whom(pair),
            survival_treated=pick(Measure.SURVIVAL, Arm.TREATED),
            survival_control=pick(Measure.SURVIVAL, Arm.CONTROL),
            survival_difference=pick(Measure.SURVIVAL_DIFFERENCE),
            rmst_treated=pick(Measure.RMST, Arm.TREATED),
            rmst_control=pick(Measure.RMST, Arm.CONTROL),
            rmst_difference=pick(Measure.RMST_DIFFERENCE),
            hazard_ratio=pick(Measure.HAZARD_RATIO, horizon=None),
            test=test,
        )

    def curves(self, pair: tuple[str, str], outcome: str) -> dict[str, SurvivalCurve]:
        """Return the curves of an analysis, by arm."""
        return {
            each.arm: each
            for each in self.result.curves
            if (each.analysis, each.population) == pair and each.outcome == outcome
        }

    # --- names -----------------------------------------------------------------------------------

    def arm(self, arm: str, most: int | None = None) -> str:
        """Return the label of an arm."""
        cohort = self.result.cohort
        return clean(cohort.treated_label if arm == Arm.TREATED else cohort.control_label, most)

    def arm_words(self, arm: str, most: int | None = None) -> str:
        """Return the label of an arm inside a sentence."""
        return mid(self.arm(arm, most))

    def population(self, population: str) -> str:
        """Return the name of a population, with the estimand's letters."""
        if population in _POPULATION:
            return f"{_POPULATION[Estimand(population)]} ({population})"
        if population == UNADJUSTED:
            return "none (arms as observed)"
        if population == CONDITIONAL:
            return "conditional on covariates"
        return clean(population)

    def whom(self, pair: tuple[str, str]) -> str:
        """Return whom an analysis speaks about, as the end of a sentence."""
        analysis, population = pair
        if analysis in _ASSOCIATIONS or population == UNADJUSTED:
            return "patients as they were treated"
        for summary in self.weights:
            if summary.population == population and summary.describes:
                return clean(summary.describes)
        return Estimand(population).describes if population in _POPULATION else self.population(population)

    def analysis(self, pair: tuple[str, str], *, short: bool = False) -> str:
        """Return the name of an analysis, with its population where one name is not enough.

        Examples
        --------
        ``"Weighted: overlap population (ATO)"``, and short ``"Weighted, ATO"``.
        """
        analysis, population = pair
        name = _ANALYSIS.get(Analysis(analysis), analysis) if analysis in set(Analysis) else pretty(analysis)
        if analysis == Analysis.LANDMARK and population == UNADJUSTED:
            return f"{name}, unadjusted"
        if analysis in (Analysis.WEIGHTED, Analysis.LANDMARK):
            return f"{name}, {clean(population)}" if short else f"{name}: {self.population(population)}"
        return name

    def estimand(self, pair: tuple[str, str]) -> str:
        """Return the name of an analysis with what it estimates, for a table's row."""
        name = self.analysis(pair)
        if pair[1] == UNADJUSTED:
            return f"{name} (no estimand)"
        return f"{name} (conditional)" if pair[1] == CONDITIONAL else name

    def claim(self, pair: tuple[str, str]) -> str:
        """Return what kind of statement an analysis makes: an association, or an effect under assumptions."""
        analysis, population = pair
        return ASSOCIATION if analysis in _ASSOCIATIONS or population == UNADJUSTED else EFFECT

    @cached_property
    def _labels(self) -> dict[str, str]:
        """Labels of nodes, and of the columns that alone measure one."""
        labels = {node: clean(label) for node, label in self.result.adjustment.labels.items()}
        measured = self.result.protocol.dag.columns
        return labels | {
            columns[0]: labels[node] for node, columns in measured.items() if len(columns) == 1 and node in labels
        }

    def covariate(self, name: str) -> str:
        """Return the name of a column or node: the label the diagram gives it, else the name as words."""
        return self._labels.get(name) or pretty(name)

    def term(self, row: BalanceRow) -> str:
        """Return a balance term as words: ``size=20-50`` as "Size: 20-50"."""
        name = self.covariate(row.column)
        return name if row.level is None else f"{name}: {clean(row.level)}"

    @property
    def weights(self) -> tuple[WeightSummary, ...]:
        """Weight summaries, the primary population first."""
        primary = (self.result.weights,) if self.result.weights else ()
        return (*primary, *self.result.other_weights)

    # --- time ------------------------------------------------------------------------------------

    def duration(self, value: float | None, unit: str | None = None) -> str:
        """Write a length of time in words."""
        if value is None:
            return NOT_REACHED
        return spell_duration(value, unit or self.result.cohort.time_unit, self.numbers)

    def about(self, value: float | None) -> str:
        """Write a length of time that was measured, such as a median follow-up."""
        return NOT_REACHED if value is None else spell_about(value, self.result.cohort.time_unit, self.numbers)

    def horizon(self, estimate: EffectEstimate) -> str:
        """Write the horizon of an estimate."""
        return "whole follow-up" if estimate.horizon is None else self.duration(estimate.horizon)

    def time_unit(self, estimate: EffectEstimate) -> TimeUnit:
        """Return the unit in which an estimate of time is read."""
        return reading_unit(estimate.horizon, self.result.cohort.time_unit)

    # --- values ----------------------------------------------------------------------------------

    def unit(self, estimate: EffectEstimate) -> str:
        """Write the unit an estimate is shown in."""
        if estimate.measure in _RATIOS:
            return "ratio"
        if estimate.measure in _TIMES:
            return self.time_unit(estimate).value
        return "percentage points" if estimate.measure in _DIFFERENCES_OF_SHARES else "%"

    def scaled(self, estimate: EffectEstimate, value: float | None) -> float | None:
        """Return a value of an estimate in the unit it is shown in."""
        if value is None or estimate.measure in _RATIOS:
            return value
        if estimate.measure in _TIMES:
            return convert(value, self.result.cohort.time_unit, self.time_unit(estimate))
        return 100 * value

    def value(self, estimate: EffectEstimate | None) -> str:
        """Write the value of an estimate."""
        return NOT_ESTIMABLE if estimate is None else self._write(estimate, estimate.value)

    def limits(self, estimate: EffectEstimate | None) -> str:
        """Write the interval of an estimate, without its level."""
        if estimate is None or (estimate.lower is None and estimate.upper is None):
            return NOT_ESTIMABLE
        if estimate.measure in _RATIOS:
            return self.numbers.ratio_interval(estimate.lower, estimate.upper)
        return self.numbers.interval(self._write(estimate, estimate.lower), self._write(estimate, estimate.upper))

    def level(self, estimate: EffectEstimate) -> str:
        """Write the level of an estimate's interval."""
        return self.numbers.level(estimate.level)

    def with_interval(self, estimate: EffectEstimate | None, *, unit: bool = False) -> str:
        """Write an estimate with its interval, such as ``0.62 (95% CI 0.41 to 0.94)``."""
        if estimate is None or estimate.value is None:
            return self.value(estimate)
        value = self.value(estimate)
        if unit and estimate.measure not in _RATIOS:
            value += "%" if self.unit(estimate) == "%" else f" {self.unit(estimate)}"
        return f"{value} ({self.level(estimate)} {self.limits(estimate)})"

    def _write(self, estimate: EffectEstimate, value: float | None) -> str:
        if value is None:
            return NOT_REACHED if estimate.measure == Measure.MEDIAN_SURVIVAL else NOT_ESTIMABLE
        scaled = self.scaled(estimate, value)
        if estimate.measure in _RATIOS:
            return self.numbers.ratio(scaled, self.numbers.ratio_digits(estimate.lower, estimate.upper))
        return self.numbers.number(scaled, 1)

    # --- the ladder ------------------------------------------------------------------------------

    def ladder(self, outcome: str, measure: str, horizon: float | None = None) -> list[LadderRow]:
        """Every estimate of one measure of one outcome, and the published ones beside it."""
        rows = []
        for pair in self.analyses(outcome):
            estimate = self.find(pair, outcome, measure, horizon)
            if estimate is not None:
                rows.append(self._rung(pair, estimate))
        if measure == Measure.HAZARD_RATIO:
            rows += [
                self._published(each)
                for each in self.result.benchmarks
                if each.measure == measure and each.outcome == outcome
            ]
        return rows

    def size(self, estimate: EffectEstimate) -> str:
        """Write how many patients an estimate rests on, and the effective number if weights make it another."""
        patients = f"{self.people(estimate.n)} {plural(estimate.n, 'patient')}"
        effective = self.numbers.number(estimate.ess, 0)
        # Clones without weights are more than the patients they are of.
        return patients if estimate.ess > estimate.n - 0.5 else f"{patients}, effective number {effective}"

    def _rung(self, pair: tuple[str, str], estimate: EffectEstimate) -> LadderRow:
        kind = "effect"
        if pair == self.front:
            kind = "primary"
        elif self.claim(pair) == ASSOCIATION:
            kind = "association"
        elif pair[1] == CONDITIONAL or pair[0] == Analysis.MULTIVARIABLE:
            kind = "conditional"
        return LadderRow(
            kind=kind,
            label=self.analysis(pair),
            short=self.analysis(pair, short=True),
            detail=self.size(estimate),
            value=self.scaled(estimate, estimate.value),
            lower=self.scaled(estimate, estimate.lower),
            upper=self.scaled(estimate, estimate.upper),
            text=self.value(estimate)
            if estimate.value is None
            else f"{self.value(estimate)} ({self.limits(estimate)})",
        )

    def _published(self, benchmark: Benchmark) -> LadderRow:
        text = (
            f"{self.numbers.ratio(benchmark.value)} ({self.numbers.ratio_interval(benchmark.lower, benchmark.upper)})"
        )
        return LadderRow(
            kind="benchmark",
            label=clean(benchmark.name),
            short=clean(benchmark.name),
            detail=f"{clean(benchmark.design)}, {self.numbers.level(benchmark.level)}",
            value=benchmark.value,
            lower=benchmark.lower,
            upper=benchmark.upper,
            text=text,
        )

    # --- small cells -----------------------------------------------------------------------------

    @property
    def suppress_below(self) -> int:
        """Counts below this are not shown; 0 shows all."""
        return int(self.result.protocol.report.suppress_below or 0)

    def small(self, count: float | None) -> bool:
        """Tell whether a count must not be shown."""
        return count is not None and (count == NOT_SHOWN or 0 < count < self.suppress_below)

    def people(self, count: int | None) -> str:
        """Write a number of patients, or that it is too small to show.

        Examples
        --------
        ``"3"``, or ``"<5"`` when counts below 5 are suppressed.
        """
        return f"<{self.suppress_below}" if self.small(count) else self.numbers.count(count)

    def last_shown(self, curve: SurvivalCurve) -> float:
        """Return the time a curve is shown up to: its end, or the last number at risk that is not suppressed."""
        if not self.suppress_below:
            return float("inf")
        enough = curve.risk_times[curve.at_risk >= self.suppress_below]
        return float(enough[-1]) if enough.size else 0.0

    def shown(self, count: int | None) -> int | None:
        """Return a number of patients, or None when it is too small to show."""
        return None if self.small(count) else count

    def events(self, outcome: str, arm: str = "total") -> str:
        """Write the number of events, or that it is not shown."""
        count = self.shown(self.result.cohort.events[outcome].get(arm))
        return "not shown" if count is None else self.numbers.count(count)
