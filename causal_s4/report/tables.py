"""The tables, as values: words and rounded numbers for a reader, full precision for a spreadsheet.

A :class:`Table` knows nothing of HTML or Word; the page and whatever else prints it decide how. Those of the
sensitivity analyses are in :mod:`~causal_s4.report.doubt_tables`; :mod:`~causal_s4.report.spreadsheets` gives the same
content with numbers that stay numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from causal_s4.protocol.vocabulary import Arm, Measure
from causal_s4.report.reading import FAMILIES, MEASURE_NAMES, Reading, capital, clean, join, mid, plural, pretty
from causal_s4.results import (
    BalanceRow,
    BalanceTable,
    EffectEstimate,
    IndependenceTest,
    Provenance,
    RegressionTable,
)

_VARIANCES = {
    "influence": "influence functions, clustered by patient, with the estimation of the weights accounted for",
    "influence, weights taken as known": "influence functions, clustered by patient, with the weights taken as known",
    "influence, given weights: their estimation is not accounted for": "influence functions, clustered by patient, "
    "with the weights taken as given",
    "model-based": "the information matrix of the model",
    "jackknife": "the jackknife, leaving out one patient at a time",
    "bootstrap": "the bootstrap of patients, with the weights estimated anew in every replicate",
}
DASH = "\N{EN DASH}"


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column: its heading, the heading it shares with its neighbours, and whether it holds numbers."""

    label: str
    group: str = ""
    numeric: bool = True


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of cells; the first one names it.

    ``kind`` is ``"body"``, ``"section"`` (a heading across the table, one cell), ``"level"``
    (indented under the row above), ``"association"`` or ``"primary"``.
    """

    cells: tuple[str, ...]
    kind: str = "body"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table as a reader sees it.

    Parameters
    ----------
    name : str
        Short name, unique in a report.
    caption : str
        What it shows, whom it is about, and in which unit.
    columns : tuple of Column
        The first one holds the names of the rows.
    rows : tuple of Row
        From top to bottom.
    notes : tuple of str
        Footnotes.
    """

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Shared headings with how many columns each spans; empty when there is none."""
        spans: list[tuple[str, int]] = []
        for column in self.columns:
            if spans and spans[-1][0] == column.group:
                spans[-1] = (column.group, spans[-1][1] + 1)
            else:
                spans.append((column.group, 1))
        return spans if any(group for group, _ in spans) else []


def _columns(*labels: str, words: int = 1) -> tuple[Column, ...]:
    """Return columns of which the first ``words`` hold text."""
    return tuple(Column(label=label, numeric=index >= words) for index, label in enumerate(labels))


# --- who ----------------------------------------------------------------------------------------


def events_table(reading: Reading) -> Table:
    """Return patients, events and follow-up per arm and outcome."""
    cohort = reading.result.cohort
    rows = []
    for outcome in reading.outcomes:
        cells = [
            f"{reading.events(outcome, arm)} ({reading.numbers.proportion(count / n, n)})"
            if count is not None and n and not reading.small(n)
            else reading.events(outcome, arm)
            for arm, n in ((Arm.TREATED, cohort.treated), (Arm.CONTROL, cohort.control))
            for count in (reading.shown(cohort.events[outcome].get(arm)),)
        ]
        follow_up = reading.about(cohort.follow_up[outcome]) if outcome in cohort.follow_up else "not computed"
        rows.append(Row(cells=(clean(outcome), *cells, reading.events(outcome), follow_up)))
    return Table(
        name="events",
        caption="Patients with the event, No. (%), and median follow-up",
        columns=_columns(
            "Outcome",
            f"{reading.arm(Arm.TREATED)} (n\u00a0=\u00a0{reading.people(cohort.treated)})",
            f"{reading.arm(Arm.CONTROL)} (n\u00a0=\u00a0{reading.people(cohort.control)})",
            "Events in all",
            "Median follow-up",
        ),
        rows=tuple(rows),
        notes=("Follow-up by the reverse Kaplan\N{EN DASH}Meier method.",) if cohort.follow_up else (),
    )


def baseline_table(reading: Reading) -> Table | None:
    """Return Table 1: the arms before and after weighting, with standardised mean differences and no P values."""
    balance = reading.result.balance
    if balance is None or not balance.rows:
        return None
    rows: list[Row] = []
    open_column = None
    for row in balance.rows:
        if row.kind == "level" and row.column != open_column:
            rows.append(Row(cells=(f"{reading.covariate(row.column)}, No. (%)",), kind="section"))
        open_column = row.column if row.kind == "level" else None
        rows.append(_baseline_row(reading, row))
    return Table(
        name="table1",
        caption=f"Characteristics before and after weighting to the {reading.population(balance.population)}",
        columns=_baseline_columns(reading, balance),
        rows=tuple(rows),
        notes=_baseline_notes(reading, balance),
    )


def _baseline_columns(reading: Reading, balance: BalanceTable) -> tuple[Column, ...]:
    cohort, before = reading.result.cohort, "Before weighting"
    after = "After weighting"
    treated, control = reading.arm(Arm.TREATED), reading.arm(Arm.CONTROL)
    return (
        Column(label="Characteristic", numeric=False),
        Column(label=f"{treated} (n\u00a0=\u00a0{reading.people(cohort.treated)})", group=before),
        Column(label=f"{control} (n\u00a0=\u00a0{reading.people(cohort.control)})", group=before),
        Column(label="SMD", group=before),
        Column(label=f"{treated} (effective {reading.numbers.number(balance.ess_treated, 0)})", group=after),
        Column(label=f"{control} (effective {reading.numbers.number(balance.ess_control, 0)})", group=after),
        Column(label="SMD", group=after),
    )


def _baseline_row(reading: Reading, row: BalanceRow) -> Row:
    write, cohort = reading.numbers, reading.result.cohort
    if row.kind == "continuous":
        before = [
            f"{write.number(mean, 1)} ({write.number(sd, 1)})"
            for mean, sd in (
                (row.mean_treated_before, row.sd_treated_before),
                (row.mean_control_before, row.sd_control_before),
            )
        ]
        after = [
            f"{write.number(mean, 1)} ({write.number(sd, 1)})"
            for mean, sd in (
                (row.mean_treated_after, row.sd_treated_after),
                (row.mean_control_after, row.sd_control_after),
            )
        ]
        label, kind = f"{reading.covariate(row.column)}, mean (SD)", "body"
    else:
        before = [
            f"<{reading.suppress_below} or hidden"
            if reading.small(count)
            else f"{reading.people(count)} ({write.proportion(mean, n, sign=False)})"
            for count, mean, n in (
                (row.count_treated, row.mean_treated_before, cohort.treated),
                (row.count_control, row.mean_control_before, cohort.control),
            )
        ]
        after = [f"{write.proportion(mean)}" for mean in (row.mean_treated_after, row.mean_control_after)]
        level = clean(row.level) if row.level is not None else ""
        label = level if row.kind == "level" else f"{reading.term(row)}, No. (%)"
        kind = "level" if row.kind == "level" else "body"
    return Row(cells=(label, *before, write.smd(row.smd_before), *after, write.smd(row.smd_after)), kind=kind)


def _baseline_notes(reading: Reading, balance: BalanceTable) -> tuple[str, ...]:
    notes = [
        "SMD, standardised mean difference, treated minus control; both columns share one denominator: "
        f"{clean(balance.denominator)}.",
        "After weighting, means and percentages are weighted; the effective number of patients stands in the heading.",
        "Balance is a property of these patients, not of a population sampled from, so no P values are given.",
    ]
    missing = {column: count for column, count in reading.result.cohort.missing.items() if count}
    if missing:
        said = join(f"{reading.covariate(column)} ({reading.people(count)})" for column, count in missing.items())
        notes.append(f"Patients without a value, before any was left out: {said}.")
    return tuple(notes)


def flow_table(reading: Reading) -> Table:
    """Return the flow from the file to the analysis."""
    return Table(
        name="flow",
        caption="Patients at each step of selection",
        columns=_columns("Step", "Excluded", "Remaining"),
        rows=tuple(
            Row(cells=(capital(clean(s.step)), reading.people(s.excluded), reading.people(s.n)))
            for s in reading.result.cohort.attrition
        ),
    )


# --- weights ------------------------------------------------------------------------------------


def weights_table(reading: Reading) -> Table | None:
    """Return the weights of every population: effective numbers, largest weight, share of the heaviest one per cent."""
    if not reading.weights:
        return None
    cohort, write = reading.result.cohort, reading.numbers
    rows = []
    for index, summary in enumerate(reading.weights):
        cells = (
            capital(reading.population(summary.population)),
            clean(summary.method),
            f"{write.number(summary.ess_treated, 0)} of {reading.people(cohort.treated)}",
            f"{write.number(summary.ess_control, 0)} of {reading.people(cohort.control)}",
            write.number(summary.max, 2),
            write.proportion(summary.top_share_treated) if math.isfinite(summary.top_share_treated) else DASH,
            write.proportion(summary.top_share_control) if math.isfinite(summary.top_share_control) else DASH,
            reading.people(summary.truncated),
            reading.people(summary.trimmed),
        )
        rows.append(Row(cells=cells, kind="primary" if index == 0 else "body"))
    treated, control = reading.arm(Arm.TREATED), reading.arm(Arm.CONTROL)
    return Table(
        name="weights",
        caption="Weights as used, by population",
        columns=(
            Column(label="Population", numeric=False),
            Column(label="Method", numeric=False),
            Column(label=treated, group="Effective number of patients"),
            Column(label=control, group="Effective number of patients"),
            Column(label="Largest weight", group=""),
            Column(label=treated, group="Weight carried by the heaviest 1%"),
            Column(label=control, group="Weight carried by the heaviest 1%"),
            Column(label="Truncated", group=" "),
            Column(label="Trimmed", group=" "),
        ),
        rows=tuple(rows),
        notes=tuple(
            dict.fromkeys(
                f"{summary.population}: weights {clean(summary.normalisation)}."
                for summary in reading.weights
                if summary.normalisation
            )
        ),
    )


def balance_table(reading: Reading, balance: BalanceTable, number: int = 1) -> Table:
    """Return balance in full: SMD, variance ratio and Kolmogorov\N{EN DASH}Smirnov distance, before and after."""
    write = reading.numbers

    def ratio(value: float | None) -> str:
        return DASH if value is None else write.ratio(value)

    rows = []
    for row in balance.rows:
        cells = (
            reading.term(row),
            write.smd(row.smd_before),
            ratio(row.variance_ratio_before),
            write.number(row.ks_before, 2),
            write.smd(row.smd_after),
            ratio(row.variance_ratio_after),
            write.number(row.ks_after, 2),
        )
        rows.append(Row(cells=cells))
    groups = ("", *["Before weighting"] * 3, *["After weighting"] * 3)
    labels = ("Characteristic", *["SMD", "Variance ratio", "KS distance"] * 2)
    return Table(
        name=f"balance-{number}",
        caption=f"Balance for the {reading.population(balance.population)}",
        columns=tuple(
            Column(label=label, group=group, numeric=i > 0)
            for i, (label, group) in enumerate(zip(labels, groups, strict=True))
        ),
        rows=tuple(rows),
        notes=(
            f"SMD, standardised mean difference over the {clean(balance.denominator)}; "
            "KS, Kolmogorov\N{EN DASH}Smirnov.",
        ),
    )


def positivity_table(reading: Reading) -> Table | None:
    """Return the groups of patients in which one arm has nobody."""
    positivity = reading.result.positivity
    if positivity is None or not positivity.empty_cells:
        return None
    return Table(
        name="positivity",
        caption="Groups in which one arm has no patients: about these the data cannot speak",
        columns=_columns("Group", "Patients", reading.arm(Arm.TREATED), reading.arm(Arm.CONTROL)),
        rows=tuple(
            Row(
                cells=(
                    clean(cell.description),
                    reading.people(cell.n),
                    reading.people(cell.treated),
                    reading.people(cell.control),
                )
            )
            for cell in positivity.empty_cells
        ),
    )


# --- assumptions --------------------------------------------------------------------------------


def contradicted(reading: Reading, test: IndependenceTest) -> bool:
    """Tell whether the cohort contradicts an implied independence, all tests of the diagram taken together."""
    return test.p_adjusted < 1 - reading.result.protocol.inference.level


def independence_table(reading: Reading) -> Table | None:
    """Return the independencies the diagram implies, held against the cohort; the size of each comes first."""
    tests = reading.result.adjustment.tests
    if not tests:
        return None
    write = reading.numbers
    rows = []
    for test in sorted(tests, key=lambda each: -abs(each.estimate)):
        given = f", given {join(mid(reading.covariate(name)) for name in test.given)}" if test.given else ""
        rows.append(
            Row(
                cells=(
                    f"{reading.covariate(test.x)} and {mid(reading.covariate(test.y))}{given}",
                    write.number(test.estimate, 2),
                    write.interval(write.number(test.lower, 2), write.number(test.upper, 2)),
                    write.p_value(test.p_adjusted, symbol=False),
                    "contradicted" if contradicted(reading, test) else "not\u00a0contradicted",
                )
            )
        )
    return Table(
        name="independencies",
        caption="Independencies the diagram implies, held against the cohort",
        columns=(
            *_columns(
                "Independence",
                "Partial correlation",
                write.level(reading.result.protocol.inference.level),
                "P, Holm-adjusted",
            ),
            Column(label="The data", numeric=False),
        ),
        rows=tuple(rows),
        notes=("0 means that the independence holds exactly. Data can contradict a diagram; they cannot confirm one.",),
    )


# --- effects ------------------------------------------------------------------------------------


def effects_table(reading: Reading, outcome: str) -> Table:
    """Return every estimate of an outcome, unadjusted next to adjusted, each with estimand, horizon and unit."""
    rows: list[Row] = []
    for family in FAMILIES:
        lines = _family_rows(reading, outcome, family)
        if lines:
            name = MEASURE_NAMES[Measure(next(measure for measure in family if measure in MEASURE_NAMES))]
            rows += [Row(cells=(name,), kind="section"), *lines]
    level = next((reading.level(each) for each in reading.result.effects if each.outcome == outcome), "")
    number = reading.outcomes.index(outcome) + 1
    return Table(
        name=f"effects-{number}",
        caption=f"{clean(outcome)}: unadjusted next to adjusted",
        columns=(
            *_columns("Analysis and estimand", "Horizon", "Unit", words=3),
            *_columns(
                reading.arm(Arm.TREATED),
                reading.arm(Arm.CONTROL),
                f"Difference ({level})",
                f"Ratio ({level})",
                "P",
                words=0,
            ),
        ),
        rows=tuple(rows),
        notes=_effects_notes(reading, outcome),
    )


def _family_rows(reading: Reading, outcome: str, family: tuple[str | None, str | None, str | None]) -> list[Row]:
    per_arm, difference, ratio = family
    horizons = dict.fromkeys(h for measure in family if measure for h in reading.horizons(outcome, measure))
    rows = []
    for horizon in horizons:
        for pair in reading.analyses(outcome):
            treated, control = (
                reading.find(pair, outcome, per_arm, horizon, arm) for arm in (Arm.TREATED, Arm.CONTROL)
            )
            contrasts = [
                reading.find(pair, outcome, measure, horizon) if measure else None for measure in (difference, ratio)
            ]
            made = [each for each in (treated, control, *contrasts) if each is not None]
            if made:
                rows.append(_effect_row(reading, pair, made[0], treated, control, contrasts))
    return rows


def _effect_row(
    reading: Reading,
    pair: tuple[str, str],
    first: EffectEstimate,
    treated: EffectEstimate | None,
    control: EffectEstimate | None,
    contrasts: Sequence[EffectEstimate | None],
) -> Row:
    tested = next((each for each in contrasts if each is not None and each.p_value is not None), None)
    median = first.measure == Measure.MEDIAN_SURVIVAL
    cells = (
        reading.estimand(pair),
        reading.horizon(first),
        _row_unit(reading, first, contrasts),
        *(_arm_cell(reading, each, interval=median) for each in (treated, control)),
        *(
            f"{reading.value(each)} ({reading.limits(each)})"
            if each is not None and each.value is not None
            else DASH
            if each is None
            else reading.value(each)
            for each in contrasts
        ),
        reading.numbers.p_value(tested.p_value, symbol=False) if tested else DASH,
    )
    kind = "primary" if pair == reading.front else "association" if pair == reading.naive else "body"
    return Row(cells=cells, kind=kind)


def _arm_cell(reading: Reading, estimate: EffectEstimate | None, *, interval: bool) -> str:
    if estimate is None:
        return DASH
    if not interval:
        return reading.value(estimate)
    limits = reading.numbers.interval(
        *(reading.value(_with(estimate, end)) for end in (estimate.lower, estimate.upper))
    )
    return f"{reading.value(estimate)}\n({limits})"


def _with(estimate: EffectEstimate, value: float | None) -> EffectEstimate:
    from dataclasses import replace

    return replace(estimate, value=value)


def _row_unit(reading: Reading, first: EffectEstimate, contrasts: Sequence[EffectEstimate | None]) -> str:
    unit = reading.unit(first)
    difference = contrasts[0]
    return f"{unit}, pp" if difference is not None and reading.unit(difference) != unit else unit


def _effects_notes(reading: Reading, outcome: str) -> tuple[str, ...]:
    notes = [
        "pp, percentage points. Differences are treated minus control, ratios treated over control; "
        "ratios have intervals made on the log scale."
    ]
    made = [each for each in reading.result.effects if each.outcome == outcome]
    variances = sorted({each.variance for each in made})
    if variances:
        notes.append(f"Intervals by {join(variance_words(name) for name in variances)}.")
    sizes = [
        (reading.analysis(pair), each)
        for pair in reading.analyses(outcome)
        for each in made[:]
        if (each.analysis, each.population) == pair
    ]
    shown = {name: reading.size(each) for name, each in reversed(sizes)}
    notes.append(
        "Resting on: " + "; ".join(f"{name}, {shown[name]}" for name in dict.fromkeys(name for name, _ in sizes)) + "."
    )
    tests = [t for t in reading.result.tests if t.outcome == outcome]
    for test in tests:
        name = reading.analysis((test.analysis, test.population))
        notes.append(
            f"{_test_name(test.test)}, {mid(name)}: "
            f"z = {reading.numbers.number(test.z, 2)}, {reading.numbers.p_value(test.p_value)}."
        )
    if any(each.analysis == "multivariable" for each in made):
        notes.append(
            "The multivariable hazard ratio is conditional on the covariates: "
            "not the same quantity as the weighted, marginal one."
        )
    return tuple(notes)


def _test_name(test: str) -> str:
    return capital(clean(test)) if "test" in test.lower() else f"{pretty(test)} test of no difference"


def variance_words(name: str) -> str:
    """Name the way an interval was made."""
    return _VARIANCES.get(name, clean(name))


def hazards_table(reading: Reading) -> Table | None:
    """Return hazard ratios by period of follow-up, and the test of a trend with log time."""
    if not reading.result.hazards:
        return None
    write, unit = reading.numbers, reading.result.cohort.time_unit
    rows = []
    for check in reading.result.hazards:
        name = f"{clean(check.outcome)}, {mid(reading.analysis((check.analysis, check.population)))}"
        trend = f"trend with log time {write.number(check.slope, 2, signed=True)}, {write.p_value(check.p_value)}"
        rows.append(Row(cells=(f"{name}: {trend}",), kind="section"))
        for start, end, value, lower, upper in check.periods:
            begins = "0" if start == 0 else reading.duration(start, unit)
            last = end == check.periods[-1][1]
            ends = "the end of follow-up" if last else reading.duration(end, unit)
            rows.append(
                Row(
                    cells=(
                        f"{begins} to {ends}",
                        f"{write.ratio(value)} ({write.ratio_interval(lower, upper)})",
                    )
                )
            )
    level = write.level(reading.result.protocol.inference.level)
    return Table(
        name="hazards",
        caption="Does the hazard ratio change over follow-up?",
        columns=_columns("Period", f"Hazard ratio ({level})"),
        rows=tuple(rows),
        notes=(
            "Where it changes, one hazard ratio is an average over follow-up; "
            "survival and mean survival time do not need it to be constant.",
        ),
    )


def regression_table(reading: Reading, table: RegressionTable) -> Table:
    """Return the conditional multivariable Cox model."""
    write = reading.numbers
    level = write.level(reading.result.protocol.inference.level)
    size = f"{reading.people(table.n)} patients, {reading.people(table.events)} {plural(table.events, 'event')}"
    outcome, method = mid(clean(table.outcome)), clean(table.ties)
    if table.outcome in reading.outcomes:
        number = reading.outcomes.index(table.outcome) + 1
        caption = f"Multivariable Cox model of {outcome}: conditional hazard ratios, whole follow-up"
        note = (
            f"{size}, ties by {method.capitalize()}'s method. "
            "Only the treatment's row is meant as an effect; the others adjust for it and are none of their own."
        )
    else:
        number, caption = 0, f"Model behind the weights, of the {outcome}: conditional hazard ratios"
        note = f"{size}; {method} model. It says what starts treatment; none of its rows is an effect on an outcome."
    return Table(
        name=f"regression-{number}",
        caption=caption,
        columns=_columns("Term", f"Hazard ratio ({level})", "P"),
        rows=tuple(
            Row(
                cells=(
                    clean(row.term),
                    f"{write.ratio(row.hazard_ratio, write.ratio_digits(row.lower, row.upper))} "
                    f"({write.ratio_interval(row.lower, row.upper)})",
                    write.p_value(row.p_value, symbol=False),
                )
            )
            for row in table.rows
        ),
        notes=(note,),
    )


def benchmark_table(reading: Reading) -> Table | None:
    """Return the published estimates the study is held against, with their sources."""
    if not reading.result.benchmarks:
        return None
    return Table(
        name="benchmarks",
        caption="Published estimates",
        columns=(
            *_columns("Study", "Design", "Outcome", "Measure", words=4),
            Column(label="Estimate"),
            Column(label="Source", numeric=False),
        ),
        rows=tuple(
            Row(
                cells=(
                    clean(each.name),
                    clean(each.design),
                    clean(each.outcome),
                    clean(each.measure),
                    reading.numbers.hazard_ratio(each.value, each.lower, each.upper, each.level),
                    clean(each.source),
                )
            )
            for each in reading.result.benchmarks
        ),
    )


def provenance_table(made: Provenance) -> Table:
    """Return versions and checksums."""
    return Table(
        name="provenance",
        caption="Software versions and checksums",
        columns=_columns("What", "Version or checksum", words=2),
        rows=tuple(Row(cells=(clean(name), clean(value))) for name, value in made_by(made)),
    )


def made_by(made: Provenance) -> list[tuple[str, str]]:
    """Return what made a result: versions and checksums."""
    python = [("Python", made.python)] if made.python else []
    versions = [("causal_s4", made.causal_s4), *python, *made.packages.items()]
    return [*versions, ("Data, SHA-256", made.data_sha256), ("Protocol, SHA-256", made.protocol_sha256)]
