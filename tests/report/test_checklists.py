"""The checklists: every item is there, and is answered from the study or left to the authors, never both silent."""

from dataclasses import replace

import pytest
from fixtures import OS, RFS, make_result

from causal_s4.report import checklists
from causal_s4.report.reading import Reading


def numbers(table):
    return [row.cells[0] for row in table.rows]


def test_target_has_its_21_items_in_39_parts(reading):
    # TARGET 2025 (10.1001/jama.2025.13350): 21 items, of which 1, 6 and 7 have parts.
    found = numbers(checklists.target_table(reading))
    assert list(dict.fromkeys(n.rstrip("abcdefghi-") for n in found)) == [str(i) for i in range(1, 22)]
    assert len(found) == 39
    assert {f"6{part}" for part in "abcdefgh"} <= set(found)
    assert {"7a", "7b", "7c", "7d", "7e", "7f", "7g-i", "7g-ii", "7h-i", "7h-ii"} <= set(found)


def test_strobe_has_its_22_items_and_record_its_13(reading):
    found = numbers(checklists.strobe_table(reading))
    strobe = [number for number in found if not number.startswith("R")]
    assert list(dict.fromkeys(number.rstrip("abcde") for number in strobe)) == [str(i) for i in range(1, 23)]
    record = [
        "R1.1",
        "R1.2",
        "R1.3",
        "R6.1",
        "R6.2",
        "R6.3",
        "R7.1",
        "R12.1",
        "R12.2",
        "R12.3",
        "R13.1",
        "R19.1",
        "R22.1",
    ]
    assert [number for number in found if number.startswith("R")] == record


@pytest.mark.parametrize("make", [checklists.target_table, checklists.strobe_table])
def test_every_item_has_an_answer_or_is_left_to_the_authors(reading, make):
    for number, asks, says, authors, where in (row.cells for row in make(reading).rows):
        assert asks
        assert says or authors, number
        assert bool(where) <= bool(says), number


def test_answers_come_from_the_study(reading):
    cells = {row.cells[0]: row.cells[2] for row in checklists.target_table(reading).rows}
    assert cells["6a"] == "Nodes is at least 1"
    assert "age, chemo, oestrogen receptor" in cells["7g-i"].lower()
    assert "206 events with hormonal treatment, 1507 with no hormonal treatment" in cells["12"]
    assert "hazard ratio 0.76 (95% CI 0.66 to 0.88)" in cells["13"]  # (0.133 / 0.180) ** 0.9, exp(+-1.96 * 0.075)
    assert "grade 59" in cells["11"]
    assert cells["17"] == cells["20"] == cells["21"] == ""


def test_an_answer_goes_when_its_result_does():
    bare = Reading(make_result(sensitivity=(), balance=None, other_balance=()))
    cells = {row.cells[0]: row.cells for row in checklists.target_table(bare).rows}
    assert cells["7h-ii"][2:] == ("", "Plan them", "")
    assert cells["9"][2:] == ("", "Describe the arms", "")


def test_the_worksheet_on_bias_rates_nothing(reading):
    tables = [checklists.bias_table(reading, outcome) for outcome in (RFS, OS)]
    for table in tables:
        assert len(table.rows) == 7  # before rating, and the six domains of the second version
        words = " ".join(" ".join(row.cells) for row in table.rows).lower()
        assert not any(f"{level} risk" in words for level in ("low", "moderate", "serious", "critical", "high"))
    assert "hazard ratio 0.76" in tables[0].caption
    assert "Death from any cause" in tables[1].rows[5].cells[1]


def test_no_test_of_the_text_is_copied_and_sources_are_cited(reading):
    for table, doi in (
        (checklists.target_table(reading), "10.1001/jama.2025.13350"),
        (checklists.strobe_table(reading), "10.1136/bmj.39335.541782.AD"),
        (checklists.strobe_table(reading), "10.1371/journal.pmed.1001885"),
        (checklists.bias_table(reading, RFS), "10.1136/bmj.i4919"),
    ):
        assert any(doi in note for note in table.notes)


def test_a_domain_follows_the_design(result):
    from fixtures import STUDY

    from causal_s4.protocol.protocol import Protocol

    text = (
        STUDY.replace('column = "hormon"', 'column = "hormon"\nstart = "start"')
        + '[time_zero]\ndesign = "landmark"\nlandmark = "6 months"\n'
    )
    landmark = Reading(replace(result, protocol=Protocol.parse(text)))
    assert "landmark" in checklists.bias_table(landmark, RFS).rows[3].cells[1]
