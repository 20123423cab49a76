"""The Word file: drafted text, tables that can be edited, figures with descriptions, checklists.

Tables are built row by row with their spans in place: cells merged after they are filled would keep
empty paragraphs. A table has three rules, repeats its heading on every page and never breaks a row.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from causal_s4.report import checklists, doubt, doubt_opening, prose, tables
from causal_s4.report.archive import without_times
from causal_s4.report.draft import Draft
from causal_s4.report.drawing import Drawing
from causal_s4.report.manuscript import draft
from causal_s4.report.reading import Reading, capital, clean
from causal_s4.report.tables import Column, Row, Table

if TYPE_CHECKING:
    from docx.document import Document
    from docx.text.paragraph import Paragraph

_FONT, _SIZE, _SMALL = "Arial", 10, 8
_BLUE = "0B4F82"
_INDENT = 200  # twentieths of a point
_PER_INCH = 914_400
_MARGIN = 0.8  # inches
_PAPER = (8.27, 11.69)  # A4, inches
_LANDSCAPE = _PAPER[1] - 2 * _MARGIN
_PORTRAIT = _PAPER[0] - 2 * _MARGIN
# A table of a sensitivity analysis longer than a page is cut; the workbook has it whole.
_MOST_ROWS = 25
_OF_DOUBT = ("contour", "specifications")
"""Figures that stand in the section on doubt."""
_LONGEST_WORD, _LONGEST_CELL = 1.6, 1.7  # inches


def report_docx(reading: Reading, drawn: Mapping[str, Drawing], pictures: Mapping[str, bytes] | None = None) -> bytes:
    """Return the report as a Word file.

    Parameters
    ----------
    reading : Reading
        The result and how its numbers are written.
    drawn : mapping of str to Drawing
        Its figures by name, the causal diagram as ``"dag"``.
    pictures : mapping of str to bytes, optional
        The figures as PNG, where they were made already.

    Returns
    -------
    bytes
        The same input gives the same bytes.
    """
    writer = _Writer(reading, drawn, pictures or {})
    writer.write()
    buffer = io.BytesIO()
    writer.document.save(buffer)
    return without_times(buffer.getvalue())


class _Writer:
    """Fills a document from top to bottom, numbering tables and figures as they come."""

    def __init__(self, reading: Reading, drawn: Mapping[str, Drawing], pictures: Mapping[str, bytes]) -> None:
        self.reading = reading
        self.drawn = drawn
        self.pictures = pictures
        self.document = _blank(clean(reading.result.protocol.title))
        self.tables = self.figures = 0
        self.width = _PORTRAIT

    def write(self) -> None:
        reading = self.reading
        text = draft(reading)
        self._opening()
        self._text(text)
        self._turn("Tables", landscape=True)
        for table in _tables(reading):
            self._table(table)
        self._turn("How much doubt it survives", landscape=True)
        self._doubt()
        self._turn("Figures", landscape=True)
        self._figure("dag")
        self._turn("", landscape=False)
        for name in self.drawn:
            if name not in ("dag", *_OF_DOUBT):
                self._figure(name)
        self._turn("Checklists", landscape=True)
        for table in checklists.checklists(reading):
            self._table(table)
        self._sources(text)

    # --- text --------------------------------------------------------------------------------------

    def _opening(self) -> None:
        reading = self.reading
        self.document.add_heading(clean(reading.result.protocol.title), 0)
        for sentence in (*prose.answer(reading), prose.caveat(reading)):
            self.document.add_paragraph(_fit(sentence))
        below = reading.suppress_below
        hidden = f" Counts below {below} are not shown." if below else ""
        self._quiet(
            "Drafted from the protocol and the results: a sentence that they do not support is not there. "
            f"Every number is also in results.json and tables.xlsx.{hidden}"
        )

    def _text(self, text: Draft) -> None:
        numbers = text.numbers
        for heading, passages in text.parts:
            self.document.add_heading(heading, 1)
            for passage in passages:
                paragraph = self.document.add_paragraph()
                paragraph.add_run(_fit(f"{passage.heading}. ")).bold = True
                for sentence in passage.sentences:
                    paragraph.add_run(_fit(sentence.text))
                    cited = ",".join(str(numbers[key]) for key in sentence.cites)
                    if cited:
                        paragraph.add_run(cited).font.superscript = True
                    paragraph.add_run(" ")

    def _sources(self, text: Draft) -> None:
        self._turn("References", landscape=False)
        for number, source in enumerate(text.references, 1):
            paragraph = self.document.add_paragraph(_fit(f"{number}. {source}"))
            paragraph.paragraph_format.space_after = _points(2)

    def _quiet(self, text: str) -> None:
        paragraph = self.document.add_paragraph()
        run = paragraph.add_run(_fit(text))
        run.italic, run.font.size = True, _points(_SMALL + 1)

    def _turn(self, heading: str, *, landscape: bool) -> None:
        """Begin a new page, broad or tall, under a heading."""
        from docx.enum.section import WD_ORIENT, WD_SECTION

        section = self.document.add_section(WD_SECTION.NEW_PAGE)
        short, long = (_length(side) for side in _PAPER)
        section.orientation = WD_ORIENT.LANDSCAPE if landscape else WD_ORIENT.PORTRAIT
        section.page_width, section.page_height = (long, short) if landscape else (short, long)
        self.width = _LANDSCAPE if landscape else _PORTRAIT
        if heading:
            self.document.add_heading(heading, 1)

    # --- doubt -------------------------------------------------------------------------------------

    def _doubt(self) -> None:
        """Write the section on doubt as the page has it: figure, paragraph, all answers at a glance, then each."""
        several = doubt.by_question(self.reading)
        if not several:
            self.document.add_paragraph("No sensitivity analysis was part of this study.")
            return
        contour, specifications = _OF_DOUBT
        self._figure(contour)
        opening = " ".join(doubt_opening.opening(self.reading))
        if opening:
            self.document.add_paragraph(_fit(opening))
        glance = doubt.at_a_glance(several)
        if glance is not None:
            self._table(glance)
        for question, analyses in several:
            self.document.add_heading(_fit(question), 2)
            if analyses[0].name == "Specification curve":
                self._figure(specifications)
            for each in analyses:
                self._analysis(each)

    def _analysis(self, shown: doubt.Doubt) -> None:
        answer = self.document.add_paragraph()
        answer.paragraph_format.keep_with_next = True
        answer.add_run(_fit(f"{shown.name}. ")).bold = True
        answer.add_run(_fit(f"{shown.about}: {shown.answer}. "))
        if shown.direction:
            answer.add_run(_fit(f"Direction: {shown.direction}.")).italic = True
        if shown.table is not None:
            self._table(_shortened(shown.table))
        assumed = [*([f"{shown.settings}."] if shown.settings else []), *shown.assumptions]
        if assumed:
            self._small("What it assumes. ", " ".join(assumed))
        for finding in shown.findings:
            self._small(f"{capital(finding.severity)}. ", clean(finding.message))

    def _small(self, heading: str, text: str) -> None:
        paragraph = self.document.add_paragraph(style="Table note")
        paragraph.add_run(_fit(heading)).bold = True
        paragraph.add_run(_fit(text))
        paragraph.paragraph_format.space_after = _points(8)

    # --- tables ------------------------------------------------------------------------------------

    def _table(self, table: Table) -> None:
        self.tables += 1
        caption = self.document.add_paragraph(style="Caption")
        caption.paragraph_format.keep_with_next = True
        caption.add_run(f"Table {self.tables}. ").bold = True
        caption.add_run(_fit(table.caption))
        self.document.element.body._insert_tbl(_table_xml(table, self.width))
        for index, note in enumerate(table.notes):
            paragraph = self.document.add_paragraph(_fit(note), style="Table note")
            paragraph.paragraph_format.space_before = _points(3 if index == 0 else 0)
        self.document.add_paragraph().paragraph_format.space_after = _points(4)

    # --- figures -----------------------------------------------------------------------------------

    def _figure(self, name: str) -> None:
        drawing = self.drawn.get(name)
        if drawing is None:
            return
        self.figures += 1
        picture = self.pictures.get(name) or drawing.png()
        paragraph = self.document.add_paragraph()
        paragraph.paragraph_format.keep_with_next = True
        shape = paragraph.add_run().add_picture(io.BytesIO(picture), width=_length(self.width))
        most = _length(8.2 if self.width == _PORTRAIT else 5.2)
        if shape.height > most:
            shape.width, shape.height = _length(shape.width / _PER_INCH * most / shape.height), most
        described = shape._inline.docPr
        described.set("name", f"Figure {self.figures}")
        described.set("title", _fit(drawing.title))
        described.set("descr", _fit(drawing.description))
        caption = self.document.add_paragraph(style="Caption")
        caption.add_run(f"Figure {self.figures}. ").bold = True
        caption.add_run(_fit(f"{drawing.title}. {drawing.note}"))


# --- which tables ---------------------------------------------------------------------------------


def _tables(reading: Reading) -> Iterable[Table]:
    """Yield the tables of the paper and of its supplement."""
    result = reading.result
    found = [
        prose.trial_table(reading),
        tables.flow_table(reading),
        tables.events_table(reading),
        tables.baseline_table(reading),
        tables.weights_table(reading),
        *(tables.effects_table(reading, outcome) for outcome in _estimated(reading)),
        tables.hazards_table(reading),
        *(tables.regression_table(reading, each) for each in result.regressions),
        tables.benchmark_table(reading),
        tables.independence_table(reading),
        tables.positivity_table(reading),
        findings_table(reading),
        tables.provenance_table(result.provenance) if result.provenance else None,
    ]
    return (table for table in found if table is not None and table.rows)


def _estimated(reading: Reading) -> list[str]:
    made = {each.outcome for each in reading.result.effects}
    return [outcome for outcome in reading.outcomes if outcome in made]


def findings_table(reading: Reading) -> Table | None:
    """Return the findings, the gravest first; None without any."""
    rows = [
        Row(cells=(capital(severity), clean(each.step), clean(each.message)))
        for severity, group in prose.findings(reading)
        for each in group
    ]
    if not rows:
        return None
    return Table(
        name="findings",
        caption="Findings on the way",
        columns=tuple(Column(label=label, numeric=False) for label in ("Severity", "Step", "Finding")),
        rows=tuple(rows),
    )


def _shortened(table: Table) -> Table:
    """Return a table of a sensitivity analysis with no more rows than a page has room for."""
    if len(table.rows) <= _MOST_ROWS:
        return table
    note = f"The first {_MOST_ROWS} of {len(table.rows)} rows; tables.xlsx has all of them."
    return replace(table, rows=table.rows[:_MOST_ROWS], notes=(*table.notes, note))


# --- the table as XML -----------------------------------------------------------------------------


def _table_xml(table: Table, width: float) -> Any:
    inches = _widths(table, width)
    root = _element("w:tbl")
    properties = _element("w:tblPr")
    properties.append(_element("w:tblW", {"w:w": str(_twips(sum(inches))), "w:type": "dxa"}))
    properties.append(_element("w:tblLayout", {"w:type": "fixed"}))
    margins = _element("w:tblCellMar")
    for side in ("left", "right"):
        margins.append(_element(f"w:{side}", {"w:w": "60", "w:type": "dxa"}))
    properties.append(margins)
    root.append(properties)
    grid = _element("w:tblGrid")
    for each in inches:
        grid.append(_element("w:gridCol", {"w:w": str(_twips(each))}))
    root.append(grid)
    if table.groups:
        root.append(_spanner_xml(table, inches))
    labels = [column.label for column in table.columns]
    top = "bottom" if table.groups else "both"
    root.append(_row_xml(table.columns, labels, inches, rule=top, heading=True))
    last = len(table.rows) - 1
    for index, row in enumerate(table.rows):
        root.append(_row_xml(table.columns, row.cells, inches, kind=row.kind, rule="bottom" if index == last else ""))
    return root


def _widths(table: Table, width: float) -> list[float]:
    """Return the width of each column in inches.

    Each gets what its longest word needs, then as far as there is room what its longest cell needs up to a
    limit; what is left goes to the columns of sentences, by how much they hold.
    """
    columns = range(len(table.columns))
    rows = [
        tuple(column.label for column in table.columns),
        *(row.cells for row in table.rows if row.kind != "section"),
    ]
    cells = [[row[i] for row in rows] for i in columns]
    least = [
        max(_inches(word, bold=cell is each[0]) for cell in each for word in re.split(r"[ \n]", cell)) for each in cells
    ]
    least = [min(each, _LONGEST_WORD) for each in least]
    wanted = [min(max(_inches(cell, bold=cell is each[0]) for cell in each), _LONGEST_CELL) for each in cells]
    more = [max(want - low, 0.0) for want, low in zip(wanted, least, strict=True)]
    spare = width - sum(least)
    if spare <= 0:
        return [each * width / sum(least) for each in least]
    share = min(1.0, spare / sum(more)) if sum(more) else 0.0
    shown = [low + share * each for low, each in zip(least, more, strict=True)]
    left = width - sum(shown)
    holds = [sum(map(len, cells[i])) ** 0.7 if wanted[i] >= _LONGEST_CELL else 0.0 for i in columns]
    return [each + left * hold / (sum(holds) or 1.0) for each, hold in zip(shown, holds, strict=True)]


def _inches(text: str, *, bold: bool) -> float:
    return 0.14 + (0.072 if bold else 0.062) * len(text)


def _spanner_xml(table: Table, inches: Sequence[float]) -> Any:
    row = _row_start(heading=True)
    start = 0
    for label, span in table.groups:
        text = label.strip()
        borders = {"top": 8, "bottom": 4 if text else 0}
        width = sum(inches[start : start + span])
        row.append(_cell_xml(text, width, span=span, align="center", bold=True, borders=borders))
        start += span
    return row


def _row_xml(
    columns: Sequence[Column],
    cells: Sequence[str],
    inches: Sequence[float],
    *,
    kind: str = "body",
    rule: str = "",
    heading: bool = False,
) -> Any:
    row = _row_start(heading=heading)
    thick = {"top": 8 if rule == "both" else 0, "bottom": 8 if rule and not heading else 6 if heading else 0}
    if kind == "section":
        width = sum(inches)
        row.append(_cell_xml(cells[0], width, span=len(columns), bold=True, keep=True, borders=thick))
        return row
    for index, (column, width) in enumerate(zip(columns, inches, strict=True)):
        text = cells[index] if index < len(cells) else ""
        row.append(
            _cell_xml(
                text,
                width,
                align="right" if column.numeric else "left",
                bold=heading or kind == "primary",
                indent=_INDENT if kind == "level" and index == 0 else 0,
                borders=thick,
            )
        )
    return row


def _row_start(*, heading: bool) -> Any:
    row = _element("w:tr")
    properties = _element("w:trPr")
    properties.append(_element("w:cantSplit"))
    if heading:
        properties.append(_element("w:tblHeader"))
    row.append(properties)
    return row


def _cell_xml(
    text: str,
    inches: float,
    *,
    span: int = 1,
    align: str = "left",
    bold: bool = False,
    keep: bool = False,
    indent: int = 0,
    borders: Mapping[str, int],
) -> Any:
    cell = _element("w:tc")
    properties = _element("w:tcPr")
    properties.append(_element("w:tcW", {"w:w": str(_twips(inches)), "w:type": "dxa"}))
    if span > 1:
        properties.append(_element("w:gridSpan", {"w:val": str(span)}))
    rules = _element("w:tcBorders")
    for side, eighths in borders.items():
        if eighths:
            rules.append(_element(f"w:{side}", {"w:val": "single", "w:sz": str(eighths), "w:space": "0"}))
    if len(rules):
        properties.append(rules)
    cell.append(properties)
    paragraph = _element("w:p")
    style = _element("w:pPr")
    style.append(_element("w:pStyle", {"w:val": "Tabletext"}))
    if keep:
        style.append(_element("w:keepNext"))
    if indent:
        style.append(_element("w:ind", {"w:left": str(indent)}))
    if align != "left":
        style.append(_element("w:jc", {"w:val": align}))
    paragraph.append(style)
    for number, line in enumerate(_fit(text, lines=True).split("\n")):
        paragraph.append(_run_xml(line, bold=bold, broken=number > 0))
    cell.append(paragraph)
    return cell


def _run_xml(text: str, *, bold: bool, broken: bool) -> Any:
    run = _element("w:r")
    if bold:
        properties = _element("w:rPr")
        properties.append(_element("w:b"))
        run.append(properties)
    if broken:
        run.append(_element("w:br"))
    shown = _element("w:t", {"xml:space": "preserve"})
    shown.text = text
    run.append(shown)
    return run


def _element(tag: str, attributes: Mapping[str, str] | None = None) -> Any:
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    element = OxmlElement(tag)
    for name, value in (attributes or {}).items():
        element.set(qn(name), value)
    return element


# --- the paper ------------------------------------------------------------------------------------


def _blank(title: str) -> Document:
    """Return an empty document in one font, on A4, with nothing in it that names a maker or a time."""
    import docx
    from docx.enum.style import WD_STYLE_TYPE
    from docx.shared import RGBColor

    document = docx.Document()
    styles = document.styles
    for name in ("Normal", "Title", "Heading 1", "Heading 2", "Caption"):
        _set_font(styles[name])
    styles["Normal"].font.size = _points(_SIZE)
    styles["Normal"].paragraph_format.space_after = _points(6)
    for name, size in (("Title", 18), ("Heading 1", 14), ("Caption", 9)):
        styles[name].font.size = _points(size)
        styles[name].font.color.rgb = RGBColor.from_string("000000" if name == "Caption" else _BLUE)
    styles["Caption"].font.bold = False
    styles["Caption"].paragraph_format.space_after = _points(4)
    # a row's own air: a heading that a page repeats would touch the row below it otherwise
    for name, before, after in (("Table text", 1, 1), ("Table note", 0, 2)):
        style = styles.add_style(name, WD_STYLE_TYPE.PARAGRAPH)
        style.base_style = styles["Normal"]
        style.font.size = _points(_SMALL)
        style.paragraph_format.space_before = _points(before)
        style.paragraph_format.space_after = _points(after)
    section = document.sections[0]
    section.page_width, section.page_height = (_length(side) for side in _PAPER)
    for side in ("left", "right", "top", "bottom"):
        setattr(section, f"{side}_margin", _length(_MARGIN))
    _number_pages(section.footer.paragraphs[0])
    properties = document.core_properties
    properties.title, properties.author, properties.comments = _fit(title)[:255], "", ""
    properties.last_modified_by, properties.revision = "", 1
    return document


def _set_font(style: Any) -> None:
    """Set a style's font for every script; the theme's would go first otherwise."""
    from docx.oxml.ns import qn

    style.font.name = _FONT
    fonts = style.element.get_or_add_rPr().get_or_add_rFonts()
    for name in ("w:asciiTheme", "w:hAnsiTheme", "w:eastAsiaTheme", "w:cstheme"):
        fonts.attrib.pop(qn(name), None)
    for name in ("w:ascii", "w:hAnsi", "w:cs"):
        fonts.set(qn(name), _FONT)


def _number_pages(paragraph: Paragraph) -> None:
    from docx.enum.text import WD_ALIGN_PARAGRAPH

    paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
    field = _element("w:fldSimple", {"w:instr": "PAGE"})
    field.append(_run_xml("1", bold=False, broken=False))
    paragraph._p.append(field)


def _points(size: float) -> Any:
    from docx.shared import Pt

    return Pt(size)


def _length(inches: float) -> Any:
    from docx.shared import Emu

    return Emu(round(inches * _PER_INCH))


def _twips(inches: float) -> int:
    return round(inches * 1440)


def _fit(text: str, *, lines: bool = False) -> str:
    """Return text that XML can hold: one line unless asked otherwise, without what is no character."""
    parts = text.split("\n") if lines else [text]
    shown = "\n".join(clean(part) if not part.startswith(" ") else part for part in parts)
    if text.endswith(" ") and not shown.endswith(" "):
        shown += " "
    return "".join(letter for letter in shown if letter not in "\ufffe\uffff")
