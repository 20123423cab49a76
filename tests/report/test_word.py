"""The Word file: read back with python-docx, and as the XML that Word itself reads."""

import io
import json
import re
import zipfile
from dataclasses import replace
from xml.etree import ElementTree

import docx
import pytest
from docx.oxml.ns import qn
from fixtures import OS, RFS, make_protocol, make_result

from causal_s4.report import doubt, doubt_opening
from causal_s4.report.checklists import STROBE_RECORD, TARGET
from causal_s4.report.drawing import SINGLE_COLUMN
from causal_s4.report.plots import every_drawing
from causal_s4.report.reading import Reading
from causal_s4.report.word import report_docx
from causal_s4.results import Finding, SensitivityResult

HOSTILE = "<script>alert(1)</script>\x0b\ufffe=cmd()"
HEBREW = "\u05d8\u05d9\u05e4\u05d5\u05dc \u05d4\u05d5\u05e8\u05de\u05d5\u05e0\u05dc\u05d9"


@pytest.fixture(scope="module")
def document(files):
    return docx.Document(io.BytesIO(files["report.docx"]))


@pytest.fixture(scope="module")
def rows(document):
    """Every table as its rows of cells, by caption."""
    found = {}
    for table in document.tables:
        caption = docx.text.paragraph.Paragraph(table._tbl.getprevious(), None).text
        found[caption.split(". ", 1)[1]] = [
            ["".join(t.text or "" for t in cell.iter(qn("w:t"))) for cell in row.iter(qn("w:tc"))]
            for row in table._tbl.iter(qn("w:tr"))
        ]
    return found


def words_of(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        root = ElementTree.fromstring(archive.read("word/document.xml"))
    return " ".join(root.itertext())


def without_pictures(result):
    reading = Reading(result)
    return report_docx(reading, {})


@pytest.mark.parametrize("outcome", [RFS, OS])
def test_every_estimate_has_its_estimand_horizon_and_unit(rows, reading, outcome):
    table = rows[f"{outcome}: unadjusted next to adjusted"]
    header = table[0]
    assert header[:3] == ["Analysis and estimand", "Horizon", "Unit"]
    lines = [" | ".join(cells) for cells in table if len(cells) == len(header)]
    for each in reading.result.effects.where(outcome=outcome):
        name, horizon = reading.estimand((each.analysis, each.population)), reading.horizon(each)
        matching = [line for line in lines if line.startswith(f"{name} | {horizon} | ")]
        assert any(reading.value(each) in line for line in matching), each
        assert all(line.split(" | ")[2] for line in matching)


def test_hazard_ratios_are_those_of_the_json_after_rounding(files, rows):
    # Rounding half away from zero on the decimal form, as the number style states; two decimals here.
    estimates = json.loads(files["results.json"])["estimates"]
    shown = {cells[0]: cells for cells in rows[f"{RFS}: unadjusted next to adjusted"] if cells[2:3] == ["ratio"]}
    for each in estimates:
        if each["outcome"] == RFS and each["measure"] == "hazard ratio" and each["population"] == "ATO":
            cells = shown["Weighted: overlap population (ATO)"]
            assert cells[6] == f"{each['value']:.2f} ({each['lower']:.2f} to {each['upper']:.2f})"


def test_table_1_has_differences_before_and_after_and_no_p_values(rows):
    table = next(cells for caption, cells in rows.items() if caption.startswith("Characteristics before and after"))
    assert table[0] == ["", "Before weighting", "After weighting"]
    assert [label for label in table[1] if label == "SMD"] == ["SMD", "SMD"]
    assert not any(label.startswith("P") for label in table[1])
    age = next(cells for cells in table if cells[0] == "Age, mean (SD)")
    assert (age[3], age[6]) == ("0.59", "\N{MINUS SIGN}0.01")


def test_the_tables_of_a_paper_are_there(rows):
    captions = "\n".join(rows)
    for start in ("The question: the trial", "Characteristics before", "Weights as used", "Every analysis of doubt"):
        assert start in captions
    findings = rows["Findings on the way"]
    assert [cells[0] for cells in findings[1:]] == ["Serious", "Caution", "Note"]


def test_doubt_is_told_as_on_the_page(document, reading):
    """One figure, one paragraph, all answers at a glance, then each analysis under its question."""
    body = [each for each in document.element.body if each.tag in (qn("w:p"), qn("w:tbl"))]
    said = ["".join(text.text or "" for text in each.iter(qn("w:t"))) for each in body]
    start = said.index("How much doubt it survives")
    end = said.index("Figures")
    several = doubt.by_question(reading)
    assert " ".join(doubt_opening.opening(reading)) in said[start:end]
    headings = [said.index(question) for question, _ in several]
    assert headings == sorted(headings)
    glance = next(place for place in range(start, end) if body[place].tag == qn("w:tbl"))
    assert said[glance - 1].endswith("Every analysis of doubt, and what it found")
    assert glance < headings[0]
    for (_, analyses), first, last in zip(several, headings, [*headings[1:], end], strict=True):
        for each in analyses:
            assert any(text.startswith(f"{each.name}. {each.about}: {each.answer}.") for text in said[first:last])
            assert each.table is None or any(text.endswith(each.table.caption) for text in said[first:last])


def test_a_long_table_of_doubt_is_cut_and_says_so():
    rows = tuple({"covariate": f"c{number}", "value": 1.0 + number} for number in range(30))
    long = SensitivityResult(method="leave one out", value=1.0, unit="hazard ratio", table=rows)
    said = words_of(without_pictures(make_result(sensitivity=(long,))))
    assert "The first 25 of 30 rows; tables.xlsx has all of them." in said
    assert "C24" in said
    assert "C25" not in said


def test_every_item_of_every_checklist_is_in_the_file(rows):
    for start, items in (("TARGET checklist", TARGET), ("STROBE checklist", STROBE_RECORD)):
        table = next(cells for caption, cells in rows.items() if caption.startswith(start))
        assert [cells[0] for cells in table[1:]] == [item.number for item in items]


def test_headings_repeat_rows_stay_whole_and_nothing_is_merged_afterwards(document):
    for table in document.tables:
        lines = list(table._tbl.iter(qn("w:tr")))
        assert lines[0].find(f"{qn('w:trPr')}/{qn('w:tblHeader')}") is not None
        assert all(line.find(f"{qn('w:trPr')}/{qn('w:cantSplit')}") is not None for line in lines)
        columns = len(table._tbl.find(qn("w:tblGrid")))
        for line in lines:
            spans = [cell.find(f"{qn('w:tcPr')}/{qn('w:gridSpan')}") for cell in line.iter(qn("w:tc"))]
            assert sum(1 if span is None else int(span.get(qn("w:val"))) for span in spans) == columns
            assert all(len(cell.findall(qn("w:p"))) == 1 for cell in line.iter(qn("w:tc")))


def test_a_table_has_three_rules(document):
    table = next(t for t in document.tables if "Component" in t._tbl.xml)
    ruled = []
    for number, line in enumerate(table._tbl.iter(qn("w:tr"))):
        sides = {border.tag.split("}")[1] for cell in line.iter(qn("w:tcBorders")) for border in cell}
        ruled += [(number, side) for side in sorted(sides)]
    last = len(list(table._tbl.iter(qn("w:tr")))) - 1
    assert ruled == [(0, "bottom"), (0, "top"), (last, "bottom")]


def test_figures_have_descriptions_and_fit_the_page(document, reading):
    drawn = every_drawing(reading)
    shapes = document.inline_shapes
    assert len(shapes) == len(drawn)
    said = {shape._inline.docPr.get("descr") for shape in shapes}
    assert said == {drawing.description for drawing in drawn.values()}
    widest = max(section.page_width - section.left_margin - section.right_margin for section in document.sections)
    assert all(shape.width <= widest for shape in shapes)


def test_a_figure_is_sharp_in_print(reading):
    # 3.5 inches at 300 dots an inch; a PNG's width stands in bytes 16 to 20 of the file.
    picture = every_drawing(reading)["ladder"].png(SINGLE_COLUMN)
    assert int.from_bytes(picture[16:20], "big") == 1050


def test_nothing_names_a_maker_or_a_time(files):
    with zipfile.ZipFile(io.BytesIO(files["report.docx"])) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        core = archive.read("docProps/core.xml").decode()
    assert "python-docx" not in core
    assert set(re.findall(r"20\d\d-\d\d-\d\d", core)) == set()


def test_the_same_result_gives_the_same_bytes():
    assert without_pictures(make_result()) == without_pictures(make_result())


def test_hostile_labels_stay_labels():
    result = make_result()
    cohort = replace(result.cohort, treated_label=HOSTILE, control_label=HEBREW)
    findings = (Finding(code="c", severity="serious", step="weigh", message=f"{HOSTILE} \u202e turned"),)
    data = without_pictures(replace(result, cohort=cohort, findings=findings))
    said = words_of(data)
    assert "<script>alert(1)</script>=cmd()" in said
    assert HEBREW in said
    assert not set("\x0b\ufffe\u202e") & set(said)
    docx.Document(io.BytesIO(data))


def test_long_labels_and_many_covariates_keep_the_table_on_the_page():
    result = make_result()
    balance = result.balance
    many = tuple(replace(balance.rows[0], term=f"v{i}", column=f"covariate_{i}_" + "x" * 50) for i in range(40))
    cohort = replace(result.cohort, treated_label="T" * 60, control_label="C" * 60)
    data = without_pictures(replace(result, balance=replace(balance, rows=many), cohort=cohort))
    document = docx.Document(io.BytesIO(data))
    room = max(section.page_width - section.left_margin - section.right_margin for section in document.sections)
    for table in document.tables:
        grid = table._tbl.find(qn("w:tblGrid"))
        assert sum(int(column.get(qn("w:w"))) for column in grid) * 635 <= room * 1.001  # 635 EMU a twip


def test_counts_too_small_to_show_are_not_in_the_file():
    result = make_result(protocol=make_protocol("[report]\nsuppress_below = 5\n"))
    said = words_of(without_pictures(result))
    assert "Counts below 5 are not shown" in said
    assert "(3 excluded)" not in said


def test_without_weights_or_doubt_the_file_is_still_whole():
    result = make_result(
        weights=None, balance=None, positivity=None, sensitivity=(), other_weights=(), other_balance=()
    )
    said = words_of(without_pictures(result))
    assert "Leave one out" not in said
    assert "risk ratio" not in said
    assert "Characteristics before and after" not in said
