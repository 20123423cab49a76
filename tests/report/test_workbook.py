"""The Excel file, read back with openpyxl."""

import io
import json
import zipfile
from dataclasses import replace

import openpyxl
import pytest
from fixtures import make_protocol, make_result

from causal_s4.report.reading import Reading
from causal_s4.report.workbook import tables_xlsx
from causal_s4.results import Finding


@pytest.fixture(scope="module")
def book(files):
    return openpyxl.load_workbook(io.BytesIO(files["tables.xlsx"]))


def records(sheet):
    header, *rows = sheet.iter_rows(values_only=True)
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_estimates_are_the_numbers_of_the_json(files, book):
    wanted = json.loads(files["results.json"])["estimates"]
    found = records(book["effects"])
    assert len(found) == len(wanted)
    for cells, each in zip(found, wanted, strict=True):
        for key in ("value", "lower", "upper", "p_value", "n", "events", "horizon"):
            assert cells[key] == (pytest.approx(each[key], rel=1e-15) if each[key] is not None else None)
        assert (cells["measure"], cells["population"], cells["unit"]) == (
            each["measure"],
            each["population"],
            each["unit"],
        )


def test_the_contents_name_every_sheet(book):
    listed = [each["sheet"] for each in records(book["Contents"])]
    assert ["Contents", *listed] == book.sheetnames


def test_no_cell_is_a_formula_whatever_its_text():
    hostile = ("=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1+1", "\uff1d1+1", "\x0b\ufffe=1")
    findings = tuple(Finding(code=each, severity="note", step=each, message=each) for each in hostile)
    data = tables_xlsx(Reading(make_result(findings=findings)))
    sheet = openpyxl.load_workbook(io.BytesIO(data))["findings"]
    cells = [cell for row in sheet.iter_rows(min_row=2) for cell in row]
    assert all(cell.data_type == "s" for cell in cells)
    assert [cell.value for cell in cells if cell.column_letter == "A"][:4] == list(hostile[:4])
    assert all(cell.quotePrefix for cell in cells if cell.column_letter == "A")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert not any(b"<f>" in archive.read(name) for name in archive.namelist())


def test_small_counts_are_empty_cells():
    result = make_result(protocol=make_protocol("[report]\nsuppress_below = 5\n"))
    sheet = openpyxl.load_workbook(io.BytesIO(tables_xlsx(Reading(result))))["flow"]
    excluded = [each["excluded"] for each in records(sheet)]
    assert 3 not in excluded


def test_what_is_not_a_number_is_an_empty_cell():
    result = make_result()
    first, *others = result.effects.estimates
    effects = replace(result.effects, estimates=(replace(first, value=None, upper=float("inf")), *others))
    sheet = openpyxl.load_workbook(io.BytesIO(tables_xlsx(Reading(replace(result, effects=effects)))))["effects"]
    assert (records(sheet)[0]["value"], records(sheet)[0]["upper"]) == (None, None)


def test_the_same_result_gives_the_same_bytes(files):
    again = tables_xlsx(Reading(make_result()))
    assert again == files["tables.xlsx"]
    with zipfile.ZipFile(io.BytesIO(again)) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert b"1980-01-01T00:00:00Z" in archive.read("docProps/core.xml")
