"""The tables as one Excel file: numbers are numbers, and no cell can be taken for a formula."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from causal_s4.report.archive import without_times
from causal_s4.report.reading import Reading, clean
from causal_s4.report.spreadsheets import records

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

_TITLES = {
    "flow": "Patients at each step of selection",
    "events": "Patients, events and follow-up by outcome",
    "table1": "Characteristics by arm, before and after weighting",
    "balance": "Balance of every term, for every population",
    "weights": "Weights of every population",
    "effects": "Every estimate, with its estimand, horizon and unit",
    "at_risk": "Patients at risk under the curves",
    "tests": "Tests of no difference",
    "hazards": "Hazard ratios by period of follow-up",
    "regression": "Multivariable Cox models",
    "independencies": "Independencies the diagram implies",
    "positivity": "Groups in which one arm has no patients",
    "benchmarks": "Published estimates",
    "sensitivity": "Sensitivity analyses",
    "findings": "Findings on the way",
    "provenance": "Software versions and checksums",
}
_LONGEST_TEXT = 32_000
_WIDEST = 48
_LEADS = tuple("=+-@\uff1d\uff0b\uff0d\uff20")


def tables_xlsx(reading: Reading) -> bytes:
    """Return the tables as an Excel file, one sheet a table, in full precision.

    Parameters
    ----------
    reading : Reading
        The result.

    Returns
    -------
    bytes
        The same input gives the same bytes.

    Notes
    -----
    Text is stored as text whatever it begins with. Suppressed counts are empty cells. Curves are left to
    ``tables/curves.csv``, which is long.
    """
    import openpyxl

    book = openpyxl.Workbook()
    content = book.active
    content.title = "Contents"
    shown = {name: rows for name, found in records(reading).items() if name in _TITLES and (rows := list(found))}
    _fill(content, [{"sheet": name, "holds": _TITLES[name]} for name in shown])
    for name, rows in shown.items():
        _fill(book.create_sheet(name), rows)
    book.properties.creator, book.properties.title = "", clean(reading.result.protocol.title)[:255]
    buffer = io.BytesIO()
    book.save(buffer)
    return without_times(buffer.getvalue())


def _fill(sheet: Worksheet, rows: Sequence[Mapping[str, Any]]) -> None:
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    header = list(dict.fromkeys(key for row in rows for key in row))
    bold = Font(bold=True)
    for column, name in enumerate(header, 1):
        _write(sheet, 1, column, name)
        sheet.cell(1, column).font = bold
        longest = max(len(clean(str(value))) for value in (name, *(row.get(name, "") for row in rows)))
        sheet.column_dimensions[get_column_letter(column)].width = min(longest, _WIDEST) + 2
        for number, row in enumerate(rows, 2):
            _write(sheet, number, column, row.get(name))
    sheet.freeze_panes = "A2"


def _write(sheet: Worksheet, row: int, column: int, value: Any) -> None:
    """Write a number as a number and everything else as text that stays text."""
    if value is None or (isinstance(value, float | np.floating) and not math.isfinite(value)):
        return
    cell = sheet.cell(row, column)
    if isinstance(value, bool | np.bool_):
        cell.value = bool(value)
    elif isinstance(value, int | np.integer):
        cell.value = int(value)
    elif isinstance(value, float | np.floating):
        cell.value = float(value)
    else:
        said = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        text = "".join(letter for letter in clean(said) if letter not in "\ufffe\uffff")
        cell.value, cell.data_type = text[:_LONGEST_TEXT], "s"
        # Excel then keeps it text even when the cell is edited.
        cell.quotePrefix = text[:1] in _LEADS
