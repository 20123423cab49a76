"""The bias ladder as one figure: every way of analysing the same cohort, rung by rung."""

from __future__ import annotations

from collections.abc import Iterator

from causal_s4.errors import UsageError
from causal_s4.protocol.vocabulary import Analysis, Measure
from causal_s4.report.drawing import Drawing
from causal_s4.report.forest_figures import Scale, forest
from causal_s4.report.numbers import style
from causal_s4.report.plots import WIDTHS, Plot
from causal_s4.report.reading import LadderRow
from causal_s4.results import BiasLadder, EffectEstimate, LadderRung

_ADJUSTED = {
    "nothing": "not adjusted",
    "time zero": "adjusted for covariates of time zero",
    "time zero and changes": "adjusted for what changed later as well",
}
_MEASURES = {
    Measure.HAZARD_RATIO: "Hazard ratio",
    Measure.SURVIVAL_DIFFERENCE: "Survival difference, percentage points",
    Measure.RMST_DIFFERENCE: "Difference in mean survival time",
}


def bias_ladder_plot(ladder: BiasLadder, measure: str, width: str | float) -> Plot:
    """Return the rungs that have a measure as a forest plot; see :meth:`causal_s4.results.BiasLadder.plot`.

    Raises
    ------
    UsageError
        For another measure or width, or when no rung has it.
    """
    if measure not in _MEASURES:
        raise UsageError(f"a ladder is drawn of {', '.join(_MEASURES)}; found {measure!r}")
    if isinstance(width, str) and width not in WIDTHS:
        raise UsageError(f"width must be one of {', '.join(WIDTHS)}, or inches; found {width!r}")
    kind = Measure(measure)
    rows = list(_rows(ladder, kind))
    if not rows:
        raise UsageError(f"no rung of this ladder has a {measure}; give bias_ladder horizons")
    level = style("plain").level(next(each.level for rung in ladder.rungs for each in rung.effects))
    scale = _scale(kind, ladder.unit, level)
    drawing = Drawing(
        name="bias-ladder",
        title=f"{ladder.outcome}: the same patients, analysed in {len(rows)} ways",
        description="; ".join(f"{row.label} ({row.detail}): {row.text}" for row in rows),
        note="Each rung mends a flaw of those before. The dotted line is the first rung's estimate.",
        draw=lambda inches: forest(rows, scale, inches),
    )
    return Plot(drawing=drawing, width=WIDTHS[width] if isinstance(width, str) else width)


def _rows(ladder: BiasLadder, measure: Measure) -> Iterator[LadderRow]:
    numbers = style("plain")
    for rung in ladder.rungs:
        found = [each for each in rung.effects if each.measure == measure]
        if not found:
            continue
        estimate = max(found, key=lambda each: each.horizon or 0.0)
        factor = 100.0 if measure is Measure.SURVIVAL_DIFFERENCE else 1.0
        value, lower, upper = (None if x is None else factor * x for x in _numbers(estimate))
        if measure is Measure.HAZARD_RATIO:
            shown, limits = numbers.ratio(value), numbers.ratio_interval(lower, upper)
        else:
            shown = numbers.number(value, 1, signed=True)
            limits = numbers.interval(numbers.number(lower, 1), numbers.number(upper, 1))
        yield LadderRow(
            kind=_kind(rung),
            label=rung.label.replace("Cloned strategies", "Clones"),
            short=rung.label.replace("Cloned strategies", "Clones"),
            detail=_ADJUSTED.get(rung.adjusts_for, "") if lower is not None else "",
            value=value,
            lower=lower,
            upper=upper,
            text=shown if lower is None else f"{shown} ({limits})",
        )


def _numbers(estimate: EffectEstimate) -> tuple[float | None, float | None, float | None]:
    return estimate.value, estimate.lower, estimate.upper


def _kind(rung: LadderRung) -> str:
    if rung.analysis == "truth":
        return "benchmark"
    if rung.adjusts_for == "nothing":
        return "association"
    if rung.analysis in (Analysis.MULTIVARIABLE, Analysis.IMMORTAL_TIME_EXCLUDED, Analysis.TIME_DEPENDENT):
        return "conditional"
    primary = rung.analysis == Analysis.CLONE_CENSOR_WEIGHT and rung.adjusts_for == "time zero and changes"
    return "primary" if primary else "effect"


def _scale(measure: Measure, unit: str, level: str) -> Scale:
    if measure is Measure.HAZARD_RATIO:
        return Scale(
            null=1.0,
            log=True,
            label="Hazard ratio (log scale)",
            heading=f"Hazard ratio ({level})",
            below="lower hazard with treatment",
            above="higher hazard with treatment",
        )
    label = _MEASURES[measure] + (f", {unit}" if measure is Measure.RMST_DIFFERENCE else "")
    return Scale(
        null=0.0,
        log=False,
        label=label,
        heading=f"Difference ({level})",
        below="lower with treatment" if measure is Measure.SURVIVAL_DIFFERENCE else "shorter with treatment",
        above="higher with treatment" if measure is Measure.SURVIVAL_DIFFERENCE else "longer with treatment",
    )
