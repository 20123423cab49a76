"""How results look in a notebook: small tables of their own, escaped, that load nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from causal_s4.protocol.vocabulary import CONDITIONAL, UNADJUSTED, Measure, TimeUnit
from causal_s4.report import prose
from causal_s4.report.numbers import NOT_ESTIMABLE, NOT_REACHED, NumberStyle, spell_duration, style
from causal_s4.report.reading import Reading, capital, clean, plural
from causal_s4.results import BalanceTable, EffectEstimate, EffectTable, StudyResult

_MOST_ROWS = 40
_LABEL = 60
_DIFFERENCES = {Measure.SURVIVAL_DIFFERENCE, Measure.CUMULATIVE_INCIDENCE_DIFFERENCE}
_SHARES = {Measure.SURVIVAL, Measure.CUMULATIVE_INCIDENCE, *_DIFFERENCES}
_RATIOS = {Measure.HAZARD_RATIO, Measure.SURVIVAL_RATIO, Measure.RMST_RATIO, Measure.CUMULATIVE_INCIDENCE_RATIO}


def study_html(result: StudyResult) -> str:
    """Return the answer of a study: its sentences, the hazard ratios side by side, and the gravest findings."""
    reading = Reading(result)
    rows = [
        (clean(outcome, _LABEL), row.label, row.text)
        for outcome in reading.outcomes
        for row in reading.ladder(outcome, Measure.HAZARD_RATIO)
    ]
    level = reading.numbers.level(result.protocol.inference.level)
    said = Markup("").join(Markup("<p>{}</p>").format(each) for each in (*prose.answer(reading), prose.caveat(reading)))
    grave = [each for each in reading.result.findings if each.severity == "serious"]
    warned = Markup("").join(
        Markup("<p><strong>Serious.</strong> {}</p>").format(clean(each.message)) for each in grave
    )
    others = len(result.findings) - len(grave)
    more = Markup("<p>{} further {}.</p>").format(others, plural(others, "finding")) if others else Markup("")
    table = _table("Hazard ratios over the whole follow-up", ("Outcome", "Analysis", f"Hazard ratio ({level})"), rows)
    heading = Markup("<p><strong>{}</strong></p>").format(clean(result.protocol.title))
    return _box(heading + said + table + warned + more)


def effects_html(effects: EffectTable) -> str:
    """Return estimates as a table, in the unit each is read in."""
    write = style("jama")
    # A share does not say the unit of its horizon; a time beside it does.
    unit = next((each.unit for each in effects if each.unit in set(TimeUnit)), "")
    rows = [
        (
            clean(each.outcome, _LABEL),
            _analysis(each),
            capital(clean(each.measure).replace("rmst", "RMST")) + (f", {clean(each.arm)}" if each.arm else ""),
            _horizon(each.horizon, unit, write),
            _value(each, write),
            write.p_value(each.p_value, symbol=False) if each.p_value is not None else "",
        )
        for each in effects.estimates[:_MOST_ROWS]
    ]
    head = ("Outcome", "Analysis", "Measure", "Horizon", "Estimate (interval)", "P")
    return _box(_table(f"{len(effects)} {plural(len(effects), 'estimate')}", head, rows) + _rest(len(effects)))


def balance_html(balance: BalanceTable) -> str:
    """Return standardised mean differences before and after weighting."""
    write = style("jama")
    rows = [
        (clean(row.term, _LABEL), write.smd(row.smd_before), write.smd(row.smd_after))
        for row in balance.rows[:_MOST_ROWS]
    ]
    caption = f"Balance, {clean(balance.population)}: standardised mean differences, treated minus control"
    return _box(_table(caption, ("Term", "Before weighting", "After weighting"), rows) + _rest(len(balance.rows)))


def _analysis(estimate: EffectEstimate) -> str:
    population = clean(estimate.population)
    return capital(clean(estimate.analysis)) + (
        "" if population in (UNADJUSTED, CONDITIONAL) or population == clean(estimate.analysis) else f", {population}"
    )


def _horizon(horizon: float | None, unit: str, write: NumberStyle) -> str:
    if horizon is None:
        return "whole follow-up"
    return spell_duration(horizon, unit, write) if unit else write.general(horizon)


def _value(estimate: EffectEstimate, write: NumberStyle) -> str:
    if estimate.value is None:
        return NOT_REACHED if estimate.measure == Measure.MEDIAN_SURVIVAL else NOT_ESTIMABLE
    if estimate.measure in _RATIOS:
        return write.hazard_ratio(estimate.value, estimate.lower, estimate.upper, estimate.level)
    scale, unit = (100.0, "%") if estimate.measure in _SHARES else (1.0, f" {clean(estimate.unit)}")
    if estimate.measure in _DIFFERENCES:
        unit = " percentage points"

    def shown(value: float | None) -> str:
        return NOT_ESTIMABLE if value is None else write.number(scale * value, 1)

    limits = write.interval(shown(estimate.lower), shown(estimate.upper))
    return f"{shown(estimate.value)}{unit} ({write.level(estimate.level)} {limits})"


def _rest(count: int) -> Markup:
    left = count - _MOST_ROWS
    return (
        Markup("<p>{} more {}; to_frame() has all.</p>").format(left, plural(left, "row")) if left > 0 else Markup("")
    )


def _table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    cells = Markup("").join(Markup('<th scope="col">{}</th>').format(each) for each in head)
    body = Markup("").join(
        Markup("<tr>{}</tr>").format(Markup("").join(Markup("<td><bdi>{}</bdi></td>").format(cell) for cell in row))
        for row in rows
    )
    return Markup("<table><caption>{}</caption><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(
        caption, cells, body
    )


def _box(content: Markup) -> str:
    return str(Markup("<div>{}</div>").format(escape(content)))
