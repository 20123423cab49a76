"""The figures of a study, drawn with matplotlib from its result; nothing is estimated here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from causal_s4.protocol.vocabulary import Arm, Measure
from causal_s4.report.balance_figures import love, overlap, weights
from causal_s4.report.curve_figures import curves
from causal_s4.report.drawing import DOUBLE_COLUMN, Drawing
from causal_s4.report.forest_figures import Scale, absolute, forest, ladder
from causal_s4.report.reading import LadderRow, Reading, clean, join, mid, slug, state

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_MOST_INDEPENDENCIES = 20


def independencies(reading: Reading, *, width: float = DOUBLE_COLUMN) -> Figure:
    """Draw what the diagram implies against what the cohort shows, the largest departures first."""
    level = reading.result.protocol.inference.level
    write = reading.numbers
    rows = []
    for test in sorted(reading.result.adjustment.tests, key=lambda each: -abs(each.estimate))[:_MOST_INDEPENDENCIES]:
        limits = write.interval(write.number(test.lower, 2), write.number(test.upper, 2))
        given = f"given {join(mid(reading.covariate(name)) for name in test.given)}" if test.given else "given nothing"
        label = f"{reading.covariate(test.x)} and {mid(reading.covariate(test.y))}"
        rows.append(
            LadderRow(
                kind="effect" if test.p_adjusted < 1 - level else "conditional",
                label=label,
                short=label,
                detail=given,
                value=test.estimate,
                lower=test.lower,
                upper=test.upper,
                text=f"{write.number(test.estimate, 2)} ({limits})",
            )
        )
    scale = Scale(
        null=0.0,
        log=False,
        label="Partial correlation, 0 as the diagram implies",
        heading=f"Correlation ({write.level(level)})",
        below="less",
        above="more",
    )
    return forest(rows, scale, width)


def drawings(reading: Reading) -> list[Drawing]:
    """Return every figure a result supports, in the order a report shows them."""
    found: list[Drawing] = []
    for outcome in reading.outcomes:
        found += _outcome_drawings(reading, outcome, file_suffix(reading, outcome))
    balance, summary = reading.result.balance, reading.result.weights
    if balance and balance.rows:
        worst = max(balance.rows, key=lambda row: abs(row.smd_after))
        found.append(
            Drawing(
                name="love",
                title="Covariate balance before and after weighting",
                description=f"Absolute standardised mean differences of {len(balance.rows)} terms. "
                f"The largest after weighting is {reading.numbers.smd(abs(worst.smd_after))} ({reading.term(worst)}).",
                note=f"Both columns share one denominator: {clean(balance.denominator)}. The broken line marks 0.1.",
                draw=lambda width: love(reading, width=width),
            )
        )
    if summary and summary.histogram:
        found.append(
            Drawing(
                name="overlap",
                title="Overlap of the arms on the propensity score",
                description="Mirrored histogram of the estimated probability of treatment, by arm, "
                "before and after weighting.",
                note="Shares of each arm; outlines before weighting, filled bars after it."
                + _hidden(reading, "Bars of fewer than {} patients are left out."),
                draw=lambda width: overlap(reading, width=width),
            )
        )
    if summary and summary.quantiles:
        found.append(
            Drawing(
                name="weights",
                title="Distribution of the weights",
                description="Spread of the weights of each population and arm, with the effective number of patients.",
                note="Thin line: 1st to 99th percentile; thick line: the middle half; tick: median; "
                "dot: the largest weight.",
                draw=lambda width: weights(reading, width=width),
            )
        )
    tests = reading.result.adjustment.tests
    if tests:
        against = sum(test.p_adjusted < 1 - reading.result.protocol.inference.level for test in tests)
        shown = min(len(tests), _MOST_INDEPENDENCIES)
        found.append(
            Drawing(
                name="independencies",
                title="Independencies the diagram implies, held against the cohort",
                description=f"Partial correlations of {shown} of {len(tests)} pairs with intervals; {against} contradict "
                "the diagram.",
                note=f"The {shown} largest departures. Filled marks contradict the diagram, open ones do not; "
                "what is not contradicted is not thereby shown.",
                draw=lambda width: independencies(reading, width=width),
            )
        )
    return found


def _hidden(reading: Reading, said: str) -> str:
    """Return what a figure leaves out as a sentence with the threshold in it; empty when nothing is hidden."""
    return f" {said.format(reading.suppress_below)}" if reading.suppress_below > 1 else ""


def file_suffix(reading: Reading, outcome: str) -> str:
    """Return what the file names of an outcome's figures end with; nothing for the primary outcome."""
    number = reading.outcomes.index(outcome)
    return f"-{number + 1}-{slug(outcome)}".rstrip("-") if number else ""


def _outcome_drawings(reading: Reading, outcome: str, suffix: str) -> list[Drawing]:
    found = []
    if reading.curves(reading.naive, outcome) or reading.curves(reading.front, outcome):
        found.append(
            Drawing(
                name=f"curves{suffix}",
                title=f"{clean(outcome)}, unadjusted and adjusted",
                description=_curves_in_words(reading, outcome),
                note="Bands are pointwise intervals. The table counts patients, not weights."
                + _hidden(reading, "A curve ends where fewer than {} are at risk."),
                draw=lambda width: curves(reading, outcome, width=width),
            )
        )
    rows = reading.ladder(outcome, Measure.HAZARD_RATIO)
    if any(row.kind != "benchmark" for row in rows):
        found.append(
            Drawing(
                name=f"ladder{suffix}",
                title=f"Hazard ratios for {mid(clean(outcome))}, from unadjusted to published",
                description="; ".join(f"{row.label} {row.text}" for row in rows),
                note="Open marks are unadjusted or conditional, filled squares weighted, diamonds published. "
                "The dotted line repeats the unadjusted estimate.",
                draw=lambda width: ladder(reading, outcome, width=width),
            )
        )
    horizon = reading.headline_horizon(outcome)
    for measure, name in (
        (Measure.SURVIVAL_DIFFERENCE, "survival-difference"),
        (Measure.RMST_DIFFERENCE, "rmst-difference"),
    ):
        rows = reading.ladder(outcome, measure, horizon) if horizon is not None else []
        if rows:
            found.append(_absolute_drawing(reading, outcome, measure, f"{name}{suffix}", rows))
    return found


def _absolute_drawing(reading: Reading, outcome: str, measure: str, name: str, rows: Sequence[LadderRow]) -> Drawing:
    at = reading.duration(reading.headline_horizon(outcome))
    what = (
        f"Difference in survival at {at}"
        if measure == Measure.SURVIVAL_DIFFERENCE
        else f"Difference in mean survival time to {at}"
    )
    return Drawing(
        name=name,
        title=f"{what}: {mid(clean(outcome))}",
        description="; ".join(f"{row.label} {row.text}" for row in rows),
        note="Treated minus control. The dotted line repeats the unadjusted estimate.",
        draw=lambda width: absolute(reading, outcome, measure, width=width),
    )


def _curves_in_words(reading: Reading, outcome: str) -> str:
    at = reading.headline_horizon(outcome)
    sentences = []
    for pair in (reading.naive, reading.front):
        side = reading.side(pair, outcome)
        if side.survival_treated and side.survival_control:
            shares = join(
                f"{reading.value(each)}% with {reading.arm_words(arm)}"
                for arm, each in ((Arm.TREATED, side.survival_treated), (Arm.CONTROL, side.survival_control))
            )
            sentences.append(f"{side.title}: {shares} {state(outcome)} at {reading.duration(at)}.")
    return " ".join(sentences) or f"Survival curves for {clean(outcome)}."
