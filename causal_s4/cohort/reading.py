"""Tables from files: csv, tsv, parquet, Stata, SAS, SPSS and Excel, chosen by the ending of the name.

The same rules hold for every format. An empty cell and the text ``NA`` are missing, and nothing else
is: ``unknown``, ``.`` or ``99`` stay what they are, and validation warns of them. Codes stay codes:
the labels that Stata, SAS and SPSS attach to numbers are not applied. Numbers, text, true and false
keep the type the file gives them; in csv and tsv, a column is numeric when every value in it is a
number. Nothing is skipped or padded: a row with too few or too many values is refused.

A small file can claim, or unpack to, far more than memory holds. What is read is therefore bounded:
:data:`MAX_FILE_BYTES`, :data:`MAX_UNPACKED_BYTES`, :data:`MAX_ROWS`, :data:`MAX_COLUMNS` and
:data:`MAX_CELLS`. What lies beyond is refused: before it is unpacked where the file says so, and where
it says less than it holds, while it is unpacked. A text that many rows share is held, and counted, once.
"""

from __future__ import annotations

import csv
import hashlib
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
import pandas as pd

from causal_s4.cohort.columns import absent_columns, counted
from causal_s4.errors import DataError, InputError, Problem

if TYPE_CHECKING:
    import os

MISSING_TEXT = ("", "NA")
"""What stands for a missing value, in every format."""
MAX_FILE_BYTES = 4 * 2**30
"""Size of a file, at most, and of the columns that are read of a parquet or SPSS file once unpacked."""
MAX_UNPACKED_BYTES = 512 * 2**20
"""Size of an Excel file once unpacked, at most: its text takes many times that in memory."""
MAX_ROWS = 100_000_000
"""Rows that are read, at most."""
MAX_COLUMNS = 100_000
"""Columns that a file may have."""
MAX_CELLS = 200_000_000
"""Rows times columns that are read, at most."""
_STEP_ROWS = 4_096
"""Rows of a parquet column that are unpacked before their size is looked at."""

Read = Callable[[Path, list[str] | None], pd.DataFrame]


@dataclass(frozen=True, kw_only=True)
class _Format:
    """How to list the columns of a kind of file, and how to read some or all of them."""

    label: str
    names: Callable[[Path], list[str]]
    read: Read


def read_table(path: str | os.PathLike[str], columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a table from a file.

    Parameters
    ----------
    path : path-like
        Ends in .csv, .tsv, .parquet, .dta, .sas7bdat, .xpt, .sav, .zsav or .xlsx.
    columns : sequence of str, optional
        The columns to read, in this order; all of them by default.

    Returns
    -------
    DataFrame, shape (rows, columns)
        Index 0..rows-1, one row for each row of data in the file. Lists and records of a parquet file are never
        unpacked: refused where they are asked for by name, and empty lists otherwise.

    Raises
    ------
    DataError
        When there is no such file, its ending is not known, it is not what its ending says, it is
        empty, its rows are ragged, a column name occurs twice, it is larger than what is read, or
        it lacks a column that was asked for.
    InputError
        When the library for that kind of file is not installed, naming the extra to install.
    """
    file = Path(path)
    names = column_names(file)
    if columns is not None:
        absent = absent_columns(pd.DataFrame(columns=names), columns)
        if absent:
            raise DataError(f"{file.name} lacks columns that are needed", absent)
    frame = _guarded(file, _format_of(file).read, list(columns) if columns is not None else None)
    if len(frame) == 0:
        raise DataError(f"{file.name} has a header but no rows of data")
    return _mark_missing(frame if columns is None else frame[list(columns)]).reset_index(drop=True)


def column_names(path: str | os.PathLike[str]) -> list[str]:
    """Return the names of the columns of a file without reading its rows.

    Raises
    ------
    DataError
        When the file is not there, not of a known kind, too large, or names a column twice.
    """
    file = Path(path)
    kind = _format_of(file)
    _refuse_unfit(file)
    names: list[str] = _guarded(file, kind.names)
    if len(names) > MAX_COLUMNS:
        raise DataError(f"{file.name} has {len(names):,} columns; at most {MAX_COLUMNS:,} are read")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(
            f"{file.name} names {counted(len(twice), 'column')} more than once",
            [Problem(where=name, found=f"{names.count(name)} columns of this name", expected="one") for name in twice],
        )
    return names


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 checksum of a file, in hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _format_of(file: Path) -> _Format:
    ending = file.suffix.lower()
    if ending not in _FORMATS:
        hint = {
            ".xls": "Save it as .xlsx",
            ".rds": "Save it as .csv",
            ".rdata": "Save it as .csv",
            ".txt": "Save it as .csv",
        }
        raise DataError(
            f"{file.name} is not of a kind that can be read",
            [Problem(where="ending", found=repr(file.suffix), expected=", ".join(_FORMATS), todo=hint.get(ending, ""))],
        )
    return _FORMATS[ending]


def _refuse_unfit(file: Path) -> None:
    """Refuse what is no file, or larger than any that is read."""
    try:
        is_file, is_folder, size = file.is_file(), file.is_dir(), file.stat().st_size
    except FileNotFoundError:
        raise DataError(f"there is no file {file}. Check its name and folder") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no file can have such a name"
        raise DataError(f"{file} cannot be opened: {reason}") from error
    if not is_file:
        raise DataError(f"{file} is a folder, not a file" if is_folder else f"{file} is a device, not a file")
    if size == 0:
        raise DataError(f"{file.name} is empty")
    if size > MAX_FILE_BYTES:
        raise DataError(
            f"{file.name} has {size:,} bytes; at most {MAX_FILE_BYTES:,} are read. "
            "Keep the columns that are needed, or save it as parquet"
        )


def _guarded(file: Path, read: Callable[..., Any], *arguments: Any) -> Any:
    """Turn whatever a foreign parser throws at a damaged file into one sentence."""
    try:
        return read(file, *arguments)
    except (InputError, MemoryError):
        raise
    except ImportError as missing:
        raise InputError(
            f"reading {file.name} needs the package {missing.name or missing}, which is not installed; "
            'install it with: pip install "causal-s4[io]"'
        ) from missing
    except PermissionError as refused:
        raise DataError(f"{file.name} cannot be opened: permission denied") from refused
    except Exception as failure:
        label = _format_of(file).label
        # The parser's own words may quote what stands in the file.
        kind = type(failure).__name__
        raise DataError(
            f"{file.name} cannot be read as {label}: it is damaged or of another kind ({kind})"
        ) from failure


def _refuse_bomb(file: Path, rows: int, columns: int) -> None:
    if rows > MAX_ROWS:
        raise DataError(
            f"{file.name} holds {rows:,} rows; at most {MAX_ROWS:,} are read. Keep the rows that are needed"
        )
    if rows * columns > MAX_CELLS:
        raise DataError(
            f"{file.name} holds {rows:,} rows of {columns:,} columns; at most {MAX_CELLS:,} values are read. "
            "Keep the columns that are needed, or save it as parquet, which is read by column"
        )


def _refuse_unpacked(file: Path, unpacked: int, limit: int) -> None:
    if unpacked > limit:
        raise DataError(
            f"{file.name} unpacks to {unpacked:,} bytes; at most {limit:,} are read. "
            "Keep the columns that are needed, or save it as .csv"
        )


def _mark_missing(frame: pd.DataFrame) -> pd.DataFrame:
    """Read empty text and NA as missing."""
    marked = {}
    for name, column in frame.items():
        if isinstance(column.dtype, pd.CategoricalDtype):
            marked[name] = column.cat.remove_categories([c for c in column.cat.categories if c in MISSING_TEXT])
        elif column.dtype == object or isinstance(column.dtype, pd.StringDtype):
            values = column.astype(object)
            marked[name] = values.mask(
                values.map(lambda value: isinstance(value, str) and value in MISSING_TEXT), np.nan
            )
        else:
            marked[name] = column
    return pd.DataFrame(marked, columns=frame.columns)


# --- csv and tsv -------------------------------------------------------------------------------


def _text_names(file: Path, separator: str) -> list[str]:
    with _opened_text(file) as stream:
        header = next(csv.reader(stream, delimiter=separator, strict=True), None)
    if header is None:
        raise DataError(f"{file.name} is empty")
    if len(header) == 1:
        others = {";": "semicolons", "\t": "tabs", ",": "commas", "|": "bars"}
        used = [word for mark, word in others.items() if mark != separator and mark in header[0]]
        if used:
            raise DataError(
                f"the values of {file.name} are separated by {used[0]}; expected {others[separator]}. "
                "Save it as .csv with commas and a decimal point, as .tsv with tabs, or as .xlsx"
            )
    return [_column_name(name, position) for position, name in enumerate(header)]


def _column_name(name: Any, position: int) -> str:
    """Name a column that the file leaves unnamed, such as the row names that R writes, as pandas does."""
    return f"Unnamed: {position}" if name in (None, "") else str(name)


def _read_text(file: Path, columns: list[str] | None, separator: str) -> pd.DataFrame:
    rows = _count_rows(file, separator)
    frame = pd.read_csv(
        file,
        sep=separator,
        usecols=columns,
        index_col=False,
        encoding="utf-8-sig",
        keep_default_na=False,
        na_values=list(MISSING_TEXT),
        float_precision="round_trip",
        low_memory=False,
    )
    if len(frame) != rows:
        raise DataError(f"{file.name} can be read as {rows:,} or as {len(frame):,} rows; look for stray quotes")
    return frame


@contextmanager
def _opened_text(file: Path) -> Iterator[TextIO]:
    """Open text as UTF-8, with or without a byte order mark."""
    with open(file, "rb") as stream:
        start = stream.read(4)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{file.name} is encoded as UTF-16; expected UTF-8. Save it as 'CSV UTF-8'")
    if start.startswith((b"PK\x03\x04", b"PAR1", b"\x1f\x8b")):
        raise DataError(f"{file.name} is not text; its ending does not say what it is")
    try:
        with open(file, encoding="utf-8-sig", newline="") as stream:
            yield stream
    except UnicodeDecodeError as failure:
        line, byte = _first_foreign_byte(file)
        raise DataError(
            f"{file.name} is not UTF-8 text (line {line} holds the byte 0x{byte:02x}). Save it as 'CSV UTF-8', "
            "or convert it; it may be Windows-1252 or Latin-1"
        ) from failure


def _first_foreign_byte(file: Path) -> tuple[int, int]:
    with open(file, "rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as failure:
                return number, line[failure.start]
    raise AssertionError("only called for a file that is not UTF-8")


def _count_rows(file: Path, separator: str) -> int:
    """Read the file once for its shape, since pandas pads short rows without a word."""
    ragged: list[tuple[int, int]] = []
    rows = 0
    line = 1
    try:
        with _opened_text(file) as stream:
            reader = csv.reader(_whole_lines(file, stream), delimiter=separator, strict=True)
            width = len(next(reader))
            for values in reader:
                if not values:
                    continue
                rows += 1
                if len(values) != width and len(ragged) < 6:
                    ragged.append((rows, len(values)))
                line = reader.line_num
    except csv.Error as failure:
        raise DataError(f"{file.name} is not well-formed after line {line}: {failure}") from failure
    if ragged:
        shown = ", ".join(f"row {row} has {found}" for row, found in ragged[:5]) + (", ..." if len(ragged) > 5 else "")
        raise DataError(
            f"the rows of {file.name} do not all have the {counted(width, 'value')} that its header has: {shown}. "
            "Look for a separator inside a value, and put such values in quotes"
        )
    _refuse_bomb(file, rows, width)
    return rows


def _whole_lines(file: Path, stream: TextIO) -> Iterator[str]:
    """Yield lines, but refuse a NUL: pandas would end the value there without a word."""
    for number, line in enumerate(stream, start=1):
        if "\0" in line:
            raise DataError(
                f"{file.name} is not plain text: line {number} holds a NUL byte. Export it again as 'CSV UTF-8'"
            )
        yield line


# --- parquet -----------------------------------------------------------------------------------


def _parquet_names(file: Path) -> list[str]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as parquet:
        return list(parquet.schema_arrow.names)


def _read_parquet(file: Path, columns: list[str] | None) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as parquet:
        schema, metadata = parquet.schema_arrow, parquet.metadata
        chosen = columns if columns is not None else list(schema.names)
        # Of whole row groups: asked about one column of a damaged group, the library ends the whole program.
        groups = [metadata.row_group(k) for k in range(metadata.num_row_groups)]
        rows = max(metadata.num_rows, sum(group.num_rows for group in groups))
        _refuse_bomb(file, rows, len(chosen))
        _refuse_unpacked(file, sum(group.total_byte_size for group in groups), MAX_FILE_BYTES)
    types = {name: schema.field(name).type for name in chosen}
    _refuse_unpacked(
        file, rows * sum(t.byte_width for t in types.values() if pa.types.is_fixed_size_binary(t)), MAX_FILE_BYTES
    )
    nested = [name for name in chosen if pa.types.is_nested(types[name])]
    if nested and columns is not None:
        raise DataError(
            f"{file.name} has columns of lists or records",
            [Problem(where=name, found=f"values of type {types[name]}", expected="one value a row") for name in nested],
        )
    if rows == 0:
        return pd.DataFrame(columns=chosen)
    text = [name for name in chosen if _is_text(types[name])]
    unpacked: list[Any] = []
    held = 0
    with pq.ParquetFile(file) as parquet:
        for name in chosen:
            # Of a list nobody asked for it is only told that it is one: what it holds has no bound.
            unpacked.append(pa.array([[]] * rows) if name in nested else _parquet_column(file, parquet, name, held))
            held += unpacked[-1].get_total_buffer_size()
    # A stored pandas index is a column like any other here.
    frame: pd.DataFrame = pa.Table.from_arrays(unpacked, names=chosen).to_pandas(ignore_metadata=True)
    return frame.astype(dict.fromkeys(text, object))


def _is_text(kind: Any) -> bool:
    """Tell whether values of a parquet column have no width of their own."""
    from pyarrow import types

    return bool(
        types.is_string(kind) or types.is_large_string(kind) or types.is_binary(kind) or types.is_large_binary(kind)
    )


def _parquet_column(file: Path, parquet: Any, name: str, held: int) -> Any:
    """Unpack one column, and stop where it and what is held of others already are more than is read.

    What the file says of its size cannot be relied on: a text can be stored as its difference from the one before.
    """
    import pyarrow as pa

    parts: list[Any] = []
    size = 0
    for batch in parquet.iter_batches(batch_size=_STEP_ROWS, columns=[name], use_threads=False):
        part = batch.column(name)
        if held + size + part.nbytes > MAX_FILE_BYTES and parts:
            # Every part has its own copy of the texts that it uses.
            parts = pa.chunked_array(parts).unify_dictionaries().chunks
            size = pa.chunked_array(parts).get_total_buffer_size()
        _refuse_unpacked(file, held + size + part.nbytes, MAX_FILE_BYTES)
        # A text that many rows share stays one object in memory.
        parts.append(part.dictionary_encode() if _is_text(part.type) else part)
        size += parts[-1].nbytes
    return pa.chunked_array(parts).unify_dictionaries()


# --- Stata, SAS, SPSS --------------------------------------------------------------------------


def _statistical_names(file: Path, reader: str) -> list[str]:
    import pyreadstat

    _, metadata = getattr(pyreadstat, reader)(str(file), metadataonly=True)
    return list(metadata.column_names)


def _read_statistical(file: Path, columns: list[str] | None, reader: str) -> pd.DataFrame:
    import pyreadstat

    read = getattr(pyreadstat, reader)
    _, metadata = read(str(file), metadataonly=True)
    chosen = columns if columns is not None else list(metadata.column_names)
    width = max(len(chosen), 1)
    row_bytes = max(sum(metadata.variable_storage_width.get(name, 8) for name in chosen), 1)
    # These formats do not always say how many rows they hold, so one row too many is asked for.
    most = min(MAX_CELLS // width, MAX_ROWS, MAX_FILE_BYTES // row_bytes)
    # Of a Stata file, only long texts (strL) have no width of their own.
    long = [name for name in chosen if reader == "read_dta" and metadata.variable_storage_width[name] == 0]
    short = [name for name in chosen if name not in long]
    parts: list[pd.DataFrame] = []
    if short:
        parts.append(read(str(file), usecols=short, row_limit=most + 1)[0])
    if long:
        parts.append(_read_long_texts(file, long, most + 1))
    if len({len(part) for part in parts}) > 1:
        raise ValueError("two readers find different numbers of rows")
    frame = pd.concat(parts, axis="columns")
    _refuse_bomb(file, len(frame), width)
    _refuse_unpacked(file, len(frame) * row_bytes, MAX_FILE_BYTES)
    return frame[chosen]


def _read_long_texts(file: Path, columns: list[str], rows: int) -> pd.DataFrame:
    """Read the long texts (strL) of a Stata file, which keeps a text once for all the rows that share it.

    So does pandas, in memory, and what it holds is then no more than the file does; ReadStat copies the text to every
    row.
    """
    opened: Any = pd.read_stata(file, columns=columns, convert_dates=False, convert_categoricals=False, iterator=True)
    with opened as stata:
        frame: pd.DataFrame = stata.read(rows)
    return frame


# --- Excel -------------------------------------------------------------------------------------


def _excel_names(file: Path) -> list[str]:
    return _excel_header(_excel_rows(file, header_only=True)[0])


def _excel_header(row: tuple[Any, ...]) -> list[str]:
    return [_column_name(cell, position) for position, cell in enumerate(row)]


def _read_excel(file: Path, columns: list[str] | None) -> pd.DataFrame:
    header, *rows = _excel_rows(file)
    if not header:
        raise DataError(f"the first row of {file.name} is empty; expected the names of the columns")
    names = _excel_header(header)
    width = len(names)
    ragged = [number for number, row in enumerate(rows, start=1) if any(cell is not None for cell in row[width:])]
    if ragged:
        raise DataError(f"{file.name} has values to the right of its last named column (row {ragged[0]})")
    frame = pd.DataFrame([[*row[:width], *[None] * (width - len(row))] for row in rows], columns=names, dtype=object)
    return (frame if columns is None else frame[columns]).infer_objects()


def _excel_rows(file: Path, *, header_only: bool = False) -> list[tuple[Any, ...]]:
    """Return the rows of the only sheet that holds anything, the header first.

    Cells keep their own type, and an error such as ``#DIV/0!`` stays as text to be found later.
    """
    from openpyxl import load_workbook

    with zipfile.ZipFile(file) as archive:
        unpacked = sum(part.file_size for part in archive.infolist())
    _refuse_unpacked(file, unpacked, MAX_UNPACKED_BYTES)
    book = load_workbook(file, read_only=True, data_only=True)
    try:
        sheets = {sheet.title: _sheet_rows(file, sheet, 1 if header_only else None) for sheet in book.worksheets}
    finally:
        book.close()
    filled = {title: rows for title, rows in sheets.items() if rows}
    if not filled:
        raise DataError(f"{file.name} is empty")
    if len(filled) > 1:
        raise DataError(
            f"{file.name} has {len(filled)} sheets with content ({', '.join(filled)}); expected one. "
            "Keep the table on the only sheet, or save it as .csv"
        )
    return next(iter(filled.values()))


def _sheet_rows(file: Path, sheet: Any, most: int | None) -> list[tuple[Any, ...]]:
    sheet.reset_dimensions()  # the size a sheet claims is not to be trusted
    rows: list[tuple[Any, ...]] = []
    cells = 0
    for row in sheet.iter_rows(values_only=True):
        used = _without_trailing_blanks(row)
        cells += len(used) + 1
        if cells > MAX_CELLS:
            _refuse_bomb(file, len(rows), max(map(len, rows)))
        rows.append(used)
        if most is not None and len(rows) > most and any(rows):
            break
    while rows and not rows[-1]:
        rows.pop()
    return rows


def _without_trailing_blanks(row: tuple[Any, ...]) -> tuple[Any, ...]:
    end = len(row)
    while end and row[end - 1] is None:
        end -= 1
    return row[:end]


_FORMATS: dict[str, _Format] = {
    ".csv": _Format(label="csv", names=partial(_text_names, separator=","), read=partial(_read_text, separator=",")),
    ".tsv": _Format(label="tsv", names=partial(_text_names, separator="\t"), read=partial(_read_text, separator="\t")),
    ".parquet": _Format(label="parquet", names=_parquet_names, read=_read_parquet),
    ".xlsx": _Format(label="Excel", names=_excel_names, read=_read_excel),
    **{
        ending: _Format(
            label=label,
            names=partial(_statistical_names, reader=reader),
            read=partial(_read_statistical, reader=reader),
        )
        for ending, label, reader in (
            (".dta", "Stata", "read_dta"),
            (".sas7bdat", "SAS", "read_sas7bdat"),
            (".xpt", "SAS transport", "read_xport"),
            (".sav", "SPSS", "read_sav"),
            (".zsav", "SPSS", "read_sav"),
        )
    },
}
