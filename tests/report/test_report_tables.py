"""Tables as readers see them, and as spreadsheets open them. Expected cells are worked out by hand."""

import csv
import io
from dataclasses import replace

import pytest
from fixtures import OS, RFS, make_protocol, make_result

from causal_s4.report import doubt_tables, spreadsheets, tables
from causal_s4.report.reading import Reading
from causal_s4.results import AttritionStep, Finding


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def suppressed(**changes):
    return Reading(make_result(protocol=make_protocol("[report]\nsuppress_below = 5\n"), **changes))


@pytest.mark.parametrize("outcome", [RFS, OS])
def test_every_estimate_is_shown_with_its_estimand_horizon_and_unit(reading, outcome):
    table = tables.effects_table(reading, outcome)
    labels = [column.label for column in table.columns]
    shown = {}
    family = ""
    for row in table.rows:
        if row.kind == "section":
            family = row.cells[0]
            continue
        cells = dict(zip(labels, row.cells, strict=True))
        assert cells["Analysis and estimand"]
        assert cells["Horizon"]
        assert cells["Unit"]
        shown[family, cells["Analysis and estimand"], cells["Horizon"]] = " ".join(row.cells)
    families = {"survival": "Survival", "rmst": "Restricted mean survival time", "median survival": "Median survival"}
    for each in reading.result.effects.where(outcome=outcome):
        family = families.get(each.measure.removesuffix(" difference").removesuffix(" ratio"), "Hazard ratio")
        name = reading.estimand((each.analysis, each.population))
        assert reading.value(each) in shown[family, name, reading.horizon(each)], each


def test_naive_stands_directly_above_adjusted(reading):
    kinds = [row.kind for row in tables.effects_table(reading, RFS).rows]
    assert all(kinds[i + 1] == "primary" for i, kind in enumerate(kinds) if kind == "association")
    assert kinds.count("association") == 6  # two horizons of survival and of mean survival, hazard ratio, median


def test_table_1_has_no_p_values_and_names_its_denominator(reading):
    table = tables.baseline_table(reading)
    assert not any(column.label.startswith("P") for column in table.columns)
    assert "standard deviation of the whole weighted sample" in table.notes[0]
    cells = {row.cells[0]: row.cells[1:] for row in table.rows if len(row.cells) > 1}
    assert cells["Age, mean (SD)"] == ("62.5 (9.8)", "54.1 (10.8)", "0.59", "61.5 (9.6)", "61.6 (9.8)", "−0.01")
    assert cells["<=20"][0] == "112 (33.0)"  # 339 * 0.33 = 111.9


def test_independencies_are_never_called_valid(reading):
    table = tables.independence_table(reading)
    assert {row.cells[-1] for row in table.rows} == {"contradicted", "not\u00a0contradicted"}
    assert table.rows[0].cells[0] == "Size and oestrogen receptor, given grade"  # the largest effect size first


def test_formulas_become_text_and_numbers_stay_numbers():
    hostile = ("=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1+1", "\r=1", "＝1+1")
    findings = tuple(Finding(code="c", severity="note", step=each, message=each) for each in hostile)
    sheet = spreadsheets.sheets(Reading(make_result(findings=findings)))["findings.csv"]
    for row in rows_of(sheet):
        assert row["step"].startswith("'")
        assert row["message"].startswith("'")
    effects = rows_of(spreadsheets.sheets(Reading(make_result()))["effects.csv"])
    negative = [row for row in effects if row["value"].startswith("-")]
    assert negative
    assert all(float(row["value"]) < 0 for row in negative)


def test_spreadsheets_hold_full_precision(reading):
    shown = rows_of(spreadsheets.sheets(reading)["effects.csv"])
    assert [float(row["value"]) for row in shown] == [each.value for each in reading.result.effects]


def test_missing_values_are_empty_cells():
    text = spreadsheets.csv_text([{"a": float("nan"), "b": None, "c": float("inf"), "d": True}])
    assert text == "a,b,c,d\n,,,true\n"


def test_small_counts_are_hidden_and_cannot_be_had_by_subtraction():
    steps = (
        AttritionStep(step="file", n=100, excluded=0),
        AttritionStep(step="adult", n=98, excluded=2),
        AttritionStep(step="stage IV", n=90, excluded=8),
        AttritionStep(step="complete", n=89, excluded=1),
    )
    base = make_result()
    reading = suppressed(cohort=replace(base.cohort, attrition=steps))
    flow = reading.result.cohort.attrition
    assert [(each.n, each.excluded) for each in flow] == [(100, 0), (89, 11)]
    assert flow[1].step == "adult; stage IV; complete"


def test_a_suppressed_arm_takes_the_other_with_it():
    base = make_result()
    events = {**base.cohort.events, RFS: {"treated": 3, "control": 40, "total": 43}}
    reading = suppressed(cohort=replace(base.cohort, events=events))
    events = reading.result.cohort.events
    assert {name: reading.shown(count) for name, count in events[RFS].items()} == {
        "treated": None,
        "control": None,
        "total": 43,
    }
    assert events[OS]["treated"] == 159


def test_a_small_level_hides_a_second_one():
    base = make_result()
    small = tuple(replace(row, count_treated=3) if row.term == "size=>50" else row for row in base.balance.rows)
    reading = suppressed(balance=replace(base.balance, rows=small))
    cells = {row.cells[0]: row.cells[1] for row in tables.baseline_table(reading).rows if len(row.cells) > 1}
    assert cells[">50"] == "<5 or hidden"
    assert cells["<=20"] == "<5 or hidden"  # 112, the smaller of the other two
    assert cells["20-50"] == "178 (52.5)"
    sheet = {row["level"]: row for row in rows_of(spreadsheets.sheets(reading)["table1.csv"])}
    assert sheet[">50"]["treated_n"] == ""
    assert sheet[">50"]["treated_mean"] == ""


def test_curves_end_where_too_few_are_at_risk():
    base = make_result()
    curve = replace(base.curves[0], at_risk=base.curves[0].at_risk.copy())
    curve.at_risk[-2:] = 4
    reading = suppressed(curves=(curve,))
    assert reading.last_shown(curve) == curve.risk_times[-3]
    times = [float(row["time"]) for row in rows_of(spreadsheets.sheets(reading)["curves.csv"])]
    assert max(times) <= curve.risk_times[-3] < curve.times[-1]
    assert [row["at_risk"] for row in rows_of(spreadsheets.sheets(reading)["at_risk.csv"])][-2:] == ["", ""]


def test_sensitivity_grids_are_written_whatever_they_hold(reading):
    table = doubt_tables.sensitivity_table(reading, reading.result.sensitivity[2], 3)
    assert [column.label for column in table.columns] == [
        "Lower quantile",
        "Upper quantile",
        "Truncated",
        "Hazard ratio (95% CI)",
    ]
    assert table.rows[1].cells == ("0.01", "0.99", "60", "0.83 (0.63 to 1.09)")
    assert doubt_tables.sensitivity_table(reading, reading.result.sensitivity[0], 1) is None
