"""Small numbers of patients: gone from every table, figure and file, and not to be had by subtraction."""

import io
import json
import re
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from fixtures import OS, RFS, make_curve, make_protocol, make_result
from test_read_back import everything

from causal_s4.errors import UsageError
from causal_s4.report import balance_figures, spreadsheets
from causal_s4.report.manuscript import draft, markdown
from causal_s4.report.page import render
from causal_s4.report.reading import Reading
from causal_s4.report.results_json import results_json
from causal_s4.report.suppression import suppressed, with_suppression
from causal_s4.report.workbook import tables_xlsx
from causal_s4.results import NOT_SHOWN, EmptyCell, Finding, SensitivityResult

SEVEN = make_protocol("[report]\nsuppress_below = 7\n")
# Numbers that occur nowhere else, each a count of patients below seven.
TELLTALE = 6


def telltale():
    """Return a study in which every kind of count holds a small number."""
    made = everything()
    row = {"left_out": "nodes", "left_out_treated": TELLTALE, "value": 0.7, "replicates": 4}
    estimate = replace(made.effects.estimates[0], n=TELLTALE, events=TELLTALE)
    return replace(
        made,
        protocol=SEVEN,
        cohort=replace(
            made.cohort,
            events={RFS: {"treated": TELLTALE, "control": 40, "total": 46}, OS: made.cohort.events[OS]},
            missing={"grade": TELLTALE},
        ),
        weights=replace(made.weights, truncated=TELLTALE, trimmed=TELLTALE),
        regressions=tuple(replace(each, events=TELLTALE) for each in made.regressions),
        positivity=replace(
            made.positivity,
            tails={"below 0.05": {"treated": TELLTALE / made.cohort.treated, "control": 0.5}},
            empty_cells=(EmptyCell(description="old", n=TELLTALE, treated=0, control=TELLTALE),),
            sentences=(f"None of the {TELLTALE} patients who are old had the treatment.",),
        ),
        effects=replace(made.effects, estimates=(estimate, *made.effects.estimates[1:])),
        sensitivity=(SensitivityResult(method="leave one out", parameters={"lost": TELLTALE}, table=(row,)),),
        findings=(
            Finding(
                code="few",
                severity="caution",
                step="weigh",
                message=f"{TELLTALE} events in 339 patients; {TELLTALE} of the 339 treated; 0.{TELLTALE} patients a year; 16 patients.",
                numbers={"events": TELLTALE, "tested": 3},
            ),
        ),
    )


@pytest.fixture(scope="module")
def hidden():
    return suppressed(telltale())


def test_nothing_is_hidden_unless_asked():
    made = everything()
    assert suppressed(made) is made


def test_every_count_is_hidden(hidden):
    assert hidden.cohort.events[RFS] == {"treated": NOT_SHOWN, "control": NOT_SHOWN, "total": 46}
    assert hidden.cohort.missing == {"grade": NOT_SHOWN}
    assert (hidden.weights.truncated, hidden.weights.trimmed) == (NOT_SHOWN, NOT_SHOWN)
    assert {each.events for each in hidden.regressions} == {NOT_SHOWN}
    assert np.isnan(hidden.positivity.tails["below 0.05"]["treated"])
    cell = hidden.positivity.empty_cells[0]
    assert (cell.n, cell.treated, cell.control) == (NOT_SHOWN, 0, NOT_SHOWN)
    assert hidden.positivity.sentences == ("None of the fewer than 7 patients who are old had the treatment.",)
    first = hidden.effects.estimates[0]
    assert (first.n, first.events) == (NOT_SHOWN, NOT_SHOWN)
    assert hidden.alignment.later == NOT_SHOWN
    assert [row.adherent for row in hidden.clone_flow.rows] == [0, 0, NOT_SHOWN, NOT_SHOWN, 50, 50]
    assert dict(hidden.sensitivity[0].parameters) == {"lost": None}
    # Replicates are no patients.
    assert dict(hidden.sensitivity[0].table[0]) == {
        "left_out": "nodes",
        "left_out_treated": None,
        "value": 0.7,
        "replicates": 4,
    }
    (finding,) = hidden.findings
    assert finding.message == (
        "fewer than 7 events in 339 patients; fewer than 7 of the 339 treated; 0.6 patients a year; 16 patients."
    )
    assert dict(finding.numbers) == {"events": None, "tested": 3}


def test_no_file_holds_a_small_count(hidden):
    reading = Reading(hidden)
    texts = [
        results_json(hidden),
        markdown(draft(reading)),
        render(reading, {}),
        *spreadsheets.sheets(reading).values(),
    ]
    with zipfile.ZipFile(io.BytesIO(tables_xlsx(reading))) as book:
        texts += [book.read(name).decode() for name in book.namelist() if name.endswith(".xml")]
    for text in texts:
        assert not re.search(rf"(?<![\d.\w#-]){TELLTALE} (patients|events|of the 339)", text)
    document = json.loads(texts[0])
    assert document["cohort"]["events"][RFS]["treated"] is None
    assert document["estimates"][0]["n"] is None


def test_hiding_twice_changes_nothing(hidden):
    assert results_json(suppressed(hidden)) == results_json(hidden)


def test_curves_end_where_the_last_number_at_risk_may_be_shown():
    curve = make_curve(RFS, "naive", "unadjusted", "treated", hazard=0.1, shape=1.0, n=60)
    few = curve.at_risk[np.argmin(np.where(curve.at_risk > 0, curve.at_risk, 10**9))]
    assert few < 60
    below = int(few) + 1
    protocol = make_protocol(f"[report]\nsuppress_below = {max(below, 2)}\n")
    (shown,) = suppressed(make_result(protocol=protocol, curves=(curve,))).curves
    last = curve.risk_times[curve.at_risk >= below][-1]
    assert shown.times.max() <= last
    np.testing.assert_array_equal(shown.times, curve.times[curve.times <= last])
    assert set(shown.at_risk[(curve.at_risk < below) & (curve.at_risk > 0)]) == {NOT_SHOWN}
    assert np.isnan(shown.ess_at_risk[shown.at_risk == NOT_SHOWN]).all()


def test_the_bars_of_few_patients_are_empty(hidden):
    before = telltale().weights.histogram
    after = hidden.weights.histogram
    for arm in ("treated", "control"):
        few = (np.array(getattr(before, arm)) < 7) & (np.array(getattr(before, arm)) > 0)
        assert few.any()
        assert not np.array(getattr(after, arm))[few].any()
        assert not np.array(getattr(after, f"{arm}_weighted"))[few].any()
    balance_figures.overlap(Reading(hidden))


def test_two_steps_of_the_flow_become_one_where_their_difference_is_small():
    made = make_result()
    first, second = made.cohort.attrition[:2]
    flow = suppressed(
        replace(made, protocol=SEVEN, cohort=replace(made.cohort, attrition=(first, second)))
    ).cohort.attrition
    assert [(step.n, step.excluded) for step in flow] == [(second.n, NOT_SHOWN)]


def test_a_threshold_can_be_raised_and_not_lowered():
    raised = with_suppression(make_result(protocol=SEVEN), 20)
    assert raised.protocol.report.suppress_below == 20
    assert with_suppression(raised, None) is raised
    with pytest.raises(
        UsageError, match="numbers below 20 are not shown in this study; expected a threshold of 20 or more"
    ):
        with_suppression(raised, 5)
