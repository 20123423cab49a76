"""Readers: what other software writes is read back as it was, and what is damaged is named."""

import builtins
import hashlib
import sys
import zipfile

import numpy as np
import openpyxl
import pandas as pd
import pyarrow.parquet as pq
import pyreadstat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causal_s4.cohort import read_table, reading, sha256_of
from causal_s4.errors import DataError, InputError

TABLE = pd.DataFrame(
    {
        "pid": [3, 1, 2],
        "age": [51.5, 60.25, np.nan],
        "size": ["<=20", "unknown", np.nan],
        "days": [10, 200, 3000],
    }
)


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def write_as(path, frame):
    """Write a table with the software that owns the format."""
    writers = {
        ".csv": lambda: frame.to_csv(path, index=False),
        ".tsv": lambda: frame.to_csv(path, index=False, sep="\t"),
        ".parquet": lambda: frame.to_parquet(path),
        ".dta": lambda: pyreadstat.write_dta(frame, str(path)),
        ".sav": lambda: pyreadstat.write_sav(frame, str(path)),
        ".zsav": lambda: pyreadstat.write_sav(frame, str(path), compress=True),
        ".xpt": lambda: pyreadstat.write_xport(frame, str(path)),
        ".xlsx": lambda: frame.to_excel(path, index=False),
    }
    writers[path.suffix]()
    return path


ENDINGS = [".csv", ".tsv", ".parquet", ".dta", ".sav", ".zsav", ".xpt", ".xlsx"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_round_trip(tmp_path, ending):
    frame = read_table(write_as(tmp_path / f"table{ending}", TABLE))
    assert list(frame) == list(TABLE)
    assert frame["pid"].tolist() == [3, 1, 2]
    np.testing.assert_array_equal(frame["age"].to_numpy(dtype=float), TABLE["age"])
    assert frame["size"].isna().tolist() == [False, False, True]
    assert frame["size"].tolist()[:2] == ["<=20", "unknown"]
    assert frame.index.tolist() == [0, 1, 2]


@pytest.mark.parametrize("ending", ENDINGS)
def test_columns_in_the_order_asked_for(tmp_path, ending):
    frame = read_table(write_as(tmp_path / f"table{ending}", TABLE), ["days", "pid"])
    assert list(frame) == ["days", "pid"]
    assert frame["days"].tolist() == [10, 200, 3000]


@pytest.mark.parametrize("ending", ENDINGS)
def test_absent_columns_are_all_named_with_the_nearest(tmp_path, ending):
    path = write_as(tmp_path / f"table{ending}", TABLE)
    with pytest.raises(DataError) as caught:
        read_table(path, ["pid", "aeg", "grade"])
    text = str(caught.value)
    assert 'aeg: no such column. Did you mean "age"?' in text
    assert "grade: no such column" in text


@pytest.mark.parametrize("ending", [*ENDINGS, ".sas7bdat"])
def test_damaged_file_is_one_sentence(tmp_path, ending):
    path = tmp_path / f"table{ending}"
    path.write_bytes(b"\x00\xff\xfe secret-value \x81" * 40)
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert path.name in str(caught.value)
    assert "secret-value" not in str(caught.value)


@pytest.mark.parametrize("ending", [".parquet", ".sav", ".xlsx", ".dta"])
def test_truncated_file(tmp_path, ending):
    path = write_as(tmp_path / f"table{ending}", TABLE)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match="damaged or of another kind"):
        read_table(path)


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".parquet", ".xlsx"])
def test_no_rows(tmp_path, ending):
    with pytest.raises(DataError, match="no rows of data"):
        read_table(write_as(tmp_path / f"table{ending}", TABLE.iloc[:0]))


def test_only_empty_and_na_are_missing(tmp_path):
    path = write(tmp_path / "a.csv", "x,y\n,1\nNA,2\nn/a,3\nnull,4\nnan,5\nunknown,6\n.,7\n")
    assert read_table(path)["x"].fillna("MISSING").tolist() == [
        "MISSING",
        "MISSING",
        "n/a",
        "null",
        "nan",
        "unknown",
        ".",
    ]


def test_na_means_the_same_in_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"x": ["NA", "", "unknown"], "c": pd.Categorical(["NA", "a", "b"])}).to_parquet(path)
    frame = read_table(path)
    assert frame["x"].isna().tolist() == [True, True, False]
    assert frame["c"].isna().tolist() == [True, False, False]


def test_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    path = write(tmp_path / "a.csv", "pid,x\n1,2\n", encoding="utf-8-sig")
    assert list(read_table(path, ["pid"])) == ["pid"]


def test_numbers_are_read_to_the_last_bit(tmp_path):
    values = [0.1, 1 / 3, 2**-1074, 1.7976931348623157e308, 123456789.123456789]
    path = write(tmp_path / "a.csv", "x\n" + "\n".join(map(repr, values)) + "\n")
    assert read_table(path)["x"].tolist() == values


def test_r_row_names_are_a_column_without_a_name(tmp_path):
    path = write(tmp_path / "a.csv", '"","pid","x"\n"1",7,2\n')
    assert read_table(path, ["pid"])["pid"].tolist() == [7]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("pid;age\n1;51,5\n", "separated by semicolons; expected commas"),
        ("pid\tage\n1\t51\n", "separated by tabs; expected commas"),
        ("pid,age,pid\n1,2,3\n", "pid: 2 columns of this name"),
        ("pid,age\n1\n2,3\n4,5,6\n", "2 values that its header has: row 1 has 1, row 3 has 3"),
        ('pid,age\n1,"2\n', "not well-formed"),
        ("pid,age\n", "no rows of data"),
    ],
)
def test_malformed_csv(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_table(write(tmp_path / "a.csv", text))


def test_many_ragged_rows_are_named_up_to_five(tmp_path):
    path = write(tmp_path / "a.csv", "a,b\n" + "1\n" * 20)
    with pytest.raises(DataError, match=r"row 5 has 1, \.\.\."):
        read_table(path)


def test_latin_1_is_named_with_its_line(tmp_path):
    path = write(tmp_path / "a.csv", "pid,centre\n1,Kiel\n2,Köln\n", encoding="latin-1")
    with pytest.raises(DataError, match=r"not UTF-8 text \(line 3 holds the byte 0xf6\)"):
        read_table(path)


def test_latin_1_far_into_the_file(tmp_path):
    text = "pid,centre\n" + "1,Kiel\n" * 5000 + "2,Köln\n"
    with pytest.raises(DataError, match="line 5002 holds the byte 0xf6"):
        read_table(write(tmp_path / "a.csv", text, encoding="latin-1"))


def test_utf_16(tmp_path):
    with pytest.raises(DataError, match="UTF-16; expected UTF-8"):
        read_table(write(tmp_path / "a.csv", "pid,x\n1,2\n", encoding="utf-16"))


def test_excel_renamed_to_csv(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(write_as(tmp_path / "a.xlsx", TABLE).read_bytes())
    with pytest.raises(DataError, match="is not text"):
        read_table(path)


@pytest.mark.parametrize("name", ["a.doc", "a", "a.xls", "a.rds"])
def test_unknown_ending_lists_the_known_ones(tmp_path, name):
    (tmp_path / name).write_text("x")
    with pytest.raises(DataError, match=r"expected \.csv, \.tsv, \.parquet, \.xlsx, \.dta, \.sas7bdat"):
        read_table(tmp_path / name)


def test_no_such_file_and_folder(tmp_path):
    with pytest.raises(DataError, match="there is no file"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        read_table(tmp_path / "folder.csv")


@pytest.mark.parametrize(
    ("ending", "package"), [(".parquet", "pyarrow"), (".sav", "pyreadstat"), (".dta", "pyreadstat")]
)
def test_missing_library_names_the_extra(tmp_path, monkeypatch, ending, package):
    path = write_as(tmp_path / f"a{ending}", TABLE)
    for module in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    true_import = builtins.__import__

    def without(name, *arguments, **options):
        if name.split(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return true_import(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=rf'needs the package {package}.*pip install "causal-s4\[io\]"'):
        read_table(path)


# --- limits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".dta", ".sav", ".xpt", ".xlsx"])
def test_more_values_than_the_limit(tmp_path, monkeypatch, ending):
    path = write_as(tmp_path / f"a{ending}", TABLE)
    monkeypatch.setattr(reading, "MAX_CELLS", 6)
    with pytest.raises(DataError, match="at most 6 values"):
        read_table(path)


def test_parquet_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "bomb.parquet"
    pd.DataFrame({"zeros": np.zeros(300_000, dtype=np.int8), "ones": 1}).to_parquet(path, compression="zstd")
    assert path.stat().st_size < 5_000
    monkeypatch.setattr(reading, "MAX_CELLS", 400_000)
    monkeypatch.setattr(pq.ParquetFile, "read", None)
    with pytest.raises(DataError, match="300,000 rows of 2 columns; at most 400,000 values"):
        read_table(path)


def test_parquet_of_many_columns_is_read_by_column(tmp_path, monkeypatch):
    path = tmp_path / "wide.parquet"
    pd.DataFrame({f"marker.{k}": np.arange(10) + k for k in range(50)}).to_parquet(path)
    monkeypatch.setattr(reading, "MAX_CELLS", 20)
    assert read_table(path, ["marker.7", "marker.3"]).iloc[0].tolist() == [7, 3]


def test_excel_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_UNPACKED_BYTES", 2**24)
    path = write_as(tmp_path / "bomb.xlsx", TABLE)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("xl/padding.xml", "w") as part:
        part.write(bytes(2**24))
    assert path.stat().st_size < 2**16
    with pytest.raises(DataError, match=r"unpacks to 16,\d{3},\d{3} bytes; at most 16,777,216 are read"):
        read_table(path)


# --- Excel -------------------------------------------------------------------------------------


def workbook(path, *sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for number, rows in enumerate(sheets):
        sheet = book.create_sheet(f"Sheet {number}")
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_excel_error_cells_stay_visible(tmp_path):
    frame = read_table(workbook(tmp_path / "a.xlsx", [["x"], [1], ["#DIV/0!"]]))
    assert frame["x"].tolist() == [1, "#DIV/0!"]


def test_excel_with_two_filled_sheets(tmp_path):
    with pytest.raises(DataError, match=r"2 sheets with content \(Sheet 0, Sheet 2\); expected one"):
        read_table(workbook(tmp_path / "a.xlsx", [["x"], [1]], [], [["note"]]))


def test_excel_empty(tmp_path):
    with pytest.raises(DataError, match="is empty"):
        read_table(workbook(tmp_path / "a.xlsx", []))


def test_excel_title_above_the_header(tmp_path):
    with pytest.raises(DataError, match="to the right of its last named column"):
        read_table(workbook(tmp_path / "a.xlsx", [["Our registry"], ["pid", "x"], [1, 2]]))


def test_excel_blank_first_row(tmp_path):
    with pytest.raises(DataError, match=r"first row of a\.xlsx is empty"):
        read_table(workbook(tmp_path / "a.xlsx", [[None], ["pid", "x"], [1, 2]]))


# --- checksums and properties ------------------------------------------------------------------


def test_checksum(tmp_path):
    path = write(tmp_path / "a.csv", "abc")
    # NIST's example for SHA-256 (FIPS 180-4): the message "abc".
    assert sha256_of(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(path) == hashlib.sha256(b"abc").hexdigest()


words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(allow_nan=False, allow_infinity=False), words), min_size=1, max_size=8))
def test_csv_round_trip_of_any_text_and_number(tmp_path_factory, rows):
    frame = pd.DataFrame(rows, columns=["number", "text"])
    frame["text"] = "t" + frame["text"]  # text that is itself a number or NA is another matter
    path = tmp_path_factory.mktemp("round") / "a.csv"
    frame.to_csv(path, index=False)
    read = read_table(path)
    assert read["number"].tolist() == frame["number"].tolist()
    assert read["text"].tolist() == frame["text"].tolist()
