"""Nothing that is read is run, nothing is written where it was not asked for, nothing small unpacks into something huge."""

from __future__ import annotations

import ast
import csv
import io
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyreadstat
import pytest
from click.testing import CliRunner, Result
from docx import Document
from packaging.requirements import Requirement
from small_study import DAG, STUDY, cohort, write_study

import causal_s4
from causal_s4.cli import main
from causal_s4.cohort import read_table, reading
from causal_s4.errors import DataError

ROOT = Path(__file__).parents[2]
PACKAGE = Path(causal_s4.__file__).parent


# --- nothing that is read is run ----------------------------------------------------------------

RUNS_TEXT = {"eval", "exec", "compile", "__import__", "execfile", "breakpoint"}
RUNS_TEXT_METHODS = {"eval", "query", "from_formula"}
RUNS_PROCESSES = {"subprocess", "pty", "code", "runpy"}
UNPICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "jsonpickle", "yaml"}
EVALUATES_FORMULAS = {"patsy", "formulaic"}
RUNS_CALLS = {
    "os.system", "os.popen", "os.execv", "os.execve", "os.spawnl", "os.spawnv", "os.startfile", "pd.eval", "pandas.eval", "numexpr.evaluate",
    "joblib.load", "pd.read_pickle", "pandas.read_pickle", "yaml.load", "torch.load", "smf.ols",
}  # fmt: skip


@cache
def modules() -> dict[str, ast.Module]:
    return {p.relative_to(PACKAGE).as_posix(): ast.parse(p.read_text("utf-8")) for p in sorted(PACKAGE.rglob("*.py"))}


def dotted(node: ast.expr) -> str:
    """Return the text of ``a.b.c``; empty for what is not plain names."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""


def faults(tree: ast.Module) -> list[str]:
    """Return what in a module could run text, load what runs when it is loaded, or start a process."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for name in names:
                if name.partition(".")[0] in RUNS_PROCESSES | UNPICKLES | EVALUATES_FORMULAS or name.endswith(
                    ".formula.api"
                ):
                    found.append(f"line {node.lineno}: imports {name}")
        elif isinstance(node, ast.Call):
            called = dotted(node.func)
            if called in RUNS_TEXT or called in RUNS_CALLS:
                found.append(f"line {node.lineno}: calls {called}")
            elif isinstance(node.func, ast.Attribute) and node.func.attr in RUNS_TEXT_METHODS:
                found.append(f"line {node.lineno}: calls .{node.func.attr}()")
            loads = called in ("np.load", "numpy.load")
            if loads and ("allow_pickle", False) not in [
                (k.arg, getattr(k.value, "value", None)) for k in node.keywords
            ]:
                found.append(f"line {node.lineno}: calls {called} without refusing pickles")
            for keyword in node.keywords:
                risky = (keyword.arg, getattr(keyword.value, "value", None)) in {
                    ("shell", True),
                    ("allow_pickle", True),
                }
                if risky or keyword.arg == "formula":
                    found.append(f"line {node.lineno}: passes {keyword.arg}")
    return found


@pytest.mark.parametrize(
    "text",
    ["eval(x)", "frame.query(x)", "import subprocess", "from pickle import loads", "pd.eval(x)", "from patsy import dmatrix",
     "np.load(f, allow_pickle=True)", "run(x, shell=True)", "fitter.fit(frame, formula=x)", "import statsmodels.formula.api as smf"],
)  # fmt: skip
def test_the_search_finds_what_runs_text(text: str) -> None:
    assert len(faults(ast.parse(text))) >= 1


def test_no_module_runs_text_loads_pickles_or_starts_a_shell() -> None:
    trees = modules()
    assert len(trees) > 100
    assert {name: found for name, tree in trees.items() if (found := faults(tree))} == {}


def test_templates_escape_what_they_are_given() -> None:
    made = [
        node
        for tree in modules().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and dotted(node.func).endswith("Environment")
    ]
    assert made
    for node in made:
        assert "autoescape" in {keyword.arg for keyword in node.keywords}


@pytest.mark.parametrize(
    "name",
    [
        "__import__('os').system('touch ran')",
        "Q('age') + I(sites)",
        "@age",
        "{{ 7 * 7 }}",
    ],
)
def test_a_column_named_like_code_is_only_a_name(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = STUDY.replace('"small.dag"', f'"small.dag"\n[dag.columns]\nage = ["""{name}"""]')
    path = write_study(tmp_path, study=study, frame=cohort().rename(columns={"age": name}))
    result = run("check", path)
    assert result.exit_code == 0, result.output
    assert "49" not in result.output.partition("(")[0]
    assert not (tmp_path / "ran").exists()


# --- small files that unpack into something huge ------------------------------------------------


def test_the_limits_are_declared_and_within_what_a_machine_holds() -> None:
    assert 2**30 <= reading.MAX_FILE_BYTES <= 8 * 2**30
    assert reading.MAX_UNPACKED_BYTES <= 2**30
    assert 10_000_000 <= reading.MAX_ROWS <= 1_000_000_000
    assert 10_000 <= reading.MAX_COLUMNS <= 1_000_000
    assert reading.MAX_CELLS <= 1_000_000_000


def test_a_file_larger_than_the_limit_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.csv"
    with path.open("wb") as stream:
        stream.truncate(reading.MAX_FILE_BYTES + 1)  # a hole: it takes no room on the disk
    with pytest.raises(DataError, match=r"huge\.csv has 4,294,967,297 bytes; at most 4,294,967,296 are read"):
        read_table(path)


def test_a_device_is_refused_unread() -> None:
    with pytest.raises(DataError, match="not of a kind that can be read"):
        read_table("/dev/zero")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no such device here")
def test_a_device_behind_a_link_is_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "cohort.csv").symlink_to("/dev/zero")
    with pytest.raises(DataError, match="is a device, not a file"):
        read_table(tmp_path / "cohort.csv")


def test_more_columns_than_the_limit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_COLUMNS", 3)
    path = tmp_path / "wide.csv"
    path.write_text("a,b,c,d\n1,2,3,4\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"wide\.csv has 4 columns; at most 3 are read"):
        read_table(path, ["a"])


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".dta", ".sav"])
def test_more_rows_than_the_limit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    monkeypatch.setattr(reading, "MAX_ROWS", 20)
    frame, path = cohort().head(50), tmp_path / f"long{ending}"
    {
        ".csv": lambda: frame.to_csv(path, index=False),
        ".parquet": lambda: frame.to_parquet(path),
        ".dta": lambda: pyreadstat.write_dta(frame, str(path)),
        ".sav": lambda: pyreadstat.write_sav(frame, str(path)),
    }[ending]()
    with pytest.raises(DataError, match=r"holds (50|21) rows; at most 20 are read"):
        read_table(path)


def test_a_parquet_file_that_unpacks_to_too_much_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, size = tmp_path / "bomb.parquet", 2**22
    table = pa.table({"text": ["x" * size, "y" * size], "age": [1, 2]})
    pq.write_table(table, path, compression="zstd", use_dictionary=False)
    assert path.stat().st_size < size / 100
    monkeypatch.setattr(reading, "MAX_FILE_BYTES", size)
    with pytest.raises(DataError, match=r"bomb\.parquet unpacks to 8,\d{3},\d{3} bytes; at most 4,194,304 are read"):
        read_table(path)
    with pytest.raises(DataError, match="unpacks to"):
        read_table(path, ["age"])  # a column of a damaged group may not be asked about, so the whole file counts


def test_damage_to_what_a_parquet_file_says_of_itself_does_not_end_the_program(tmp_path: Path) -> None:
    code = """
import random, sys
from pathlib import Path
from causal_s4.cohort import read_table
from causal_s4.errors import DataError
path, draw = Path(sys.argv[1]), random.Random(1)
whole = path.read_bytes()
end = len(whole) - 8
begin = end - int.from_bytes(whole[-8:-4], "little")
refused = 0
for _ in range(1500):
    damaged = bytearray(whole)
    for _ in range(draw.randint(1, 4)):
        damaged[draw.randrange(begin, end)] = draw.randrange(256)
    path.write_bytes(bytes(damaged))
    try:
        read_table(path)
    except DataError:
        refused += 1
print(refused)
"""
    path = tmp_path / "damaged.parquet"
    pd.DataFrame({"age": np.arange(40.0), "arm": [0, 1] * 20, "text": ["a", "b"] * 20}).to_parquet(path)
    ran = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) > 500


def test_a_text_stored_once_for_many_rows_stays_one_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, rows, size = tmp_path / "bomb.parquet", 100_000, 2**13
    pq.write_table(
        pa.table({"note": pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, dtype=np.int32)), ["z" * size])}),
        path,
    )
    assert path.stat().st_size < 2**14
    monkeypatch.setattr(reading, "MAX_FILE_BYTES", rows * size // 20)
    frame = read_table(path)  # 800 MB, were it unpacked
    assert len(frame) == rows
    assert len({id(value) for value in frame["note"]}) == 1


def test_a_parquet_file_that_holds_more_than_it_says_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, size = tmp_path / "bomb.parquet", 2**15
    # Each text is stored as its difference from the one before, here a number.
    texts = ["z" * size + f"{k}" for k in range(1_000)]
    pq.write_table(
        pa.table({"age": np.arange(1_000.0), "note": texts}),
        path,
        use_dictionary=["age"],
        column_encoding={"note": "DELTA_BYTE_ARRAY"},
    )
    limit = 20 * size
    assert pq.read_metadata(path).row_group(0).total_byte_size < limit
    monkeypatch.setattr(reading, "MAX_FILE_BYTES", limit)
    with pytest.raises(DataError, match=r"bomb\.parquet unpacks to 3\d,\d{3},\d{3} bytes; at most 655,360 are read"):
        read_table(path)
    assert len(read_table(path, ["age"])) == 1_000


def test_columns_of_a_parquet_file_are_counted_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, rows = tmp_path / "bomb.parquet", 20_000
    # Texts that stand once in the file and once in memory, so that only what they are with the numbers is too much.
    pq.write_table(
        pa.table({"a": ["x" * 100, "y" * 100] * (rows // 2), "b": np.zeros(rows), "c": np.zeros(rows)}), path
    )
    columns = 4 * rows + 8 * rows + 8 * rows  # codes of texts, and numbers of eight bytes
    monkeypatch.setattr(reading, "MAX_FILE_BYTES", columns + 4_096 * 100)
    assert len(read_table(path)) == rows
    monkeypatch.setattr(reading, "MAX_FILE_BYTES", columns - 1)
    monkeypatch.setattr(reading, "_STEP_ROWS", 100)
    with pytest.raises(DataError, match="at most 399,999 are read"):
        read_table(path)


def test_rows_of_a_parquet_file_are_those_of_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "long.parquet"
    pq.write_table(pa.table({"age": np.arange(50.0)}), path)
    whole = path.read_bytes()
    # The third field of the footer, of type 6 (a whole number), is the number of rows, twice as much if positive.
    assert whole.count(b"\x16\x64") >= 2
    path.write_bytes(whole.replace(b"\x16\x64", b"\x16\x02", 1))
    assert pq.read_metadata(path).num_rows == 1
    monkeypatch.setattr(reading, "MAX_ROWS", 20)
    with pytest.raises(DataError, match=r"holds 50 rows; at most 20 are read"):
        read_table(path)


def test_wide_values_of_a_parquet_file_are_counted_in_every_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.parquet"
    pq.write_table(pa.table({"key": pa.array([b"x" * 10_000] * 1_000, pa.binary(10_000))}), path)
    assert path.stat().st_size < 50_000
    monkeypatch.setattr(reading, "MAX_FILE_BYTES", 1_000_000)
    with pytest.raises(DataError, match=r"unpacks to 10,000,000 bytes; at most 1,000,000 are read"):
        read_table(path)


def test_lists_in_a_parquet_file_are_refused_where_asked_for_and_never_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "nested.parquet"
    pq.write_table(pa.table({"age": [1, 2], "doses": [[1, 2], []], "dose": [{"day": 1}, {"day": 2}]}), path)
    with pytest.raises(DataError, match="columns of lists or records") as caught:
        read_table(path, ["age", "doses", "dose"])
    assert [problem.where for problem in caught.value.problems] == ["doses", "dose"]
    whole = read_table(path)
    assert list(whole.columns) == ["age", "doses", "dose"]
    assert [list(value) for value in whole["doses"]] == [list(value) for value in whole["dose"]] == [[], []]
    assert read_table(path, ["age"])["age"].tolist() == [1, 2]


@pytest.mark.parametrize("version", [117, 118, 119])
def test_a_long_text_of_a_stata_file_is_held_once_for_all_its_rows(tmp_path: Path, version: int) -> None:
    path, rows, size = tmp_path / "bomb.dta", 2_000, 100_000
    frame = pd.DataFrame({"age": np.arange(rows), "note": "z" * size, "arm": ["a", "b"] * (rows // 2)})
    frame.to_stata(path, version=version, convert_strl=["note"], write_index=False)
    assert path.stat().st_size < 2 * size
    read = read_table(path)  # 200 MB, were every row to have its own
    assert list(read) == ["age", "note", "arm"]
    assert len({id(value) for value in read["note"]}) == 1
    assert (read["note"] == "z" * size).all()
    assert read_table(path, ["arm", "age"]).iloc[1].tolist() == ["b", 1]
    assert read_table(path, ["note"]).shape == (rows, 1)


def test_an_spss_file_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.zsav"
    frame = pd.DataFrame({"note": ["x" * 5_000] * 300, "age": 1.0})
    pyreadstat.write_sav(frame, str(path), compress=True)
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(reading, "MAX_FILE_BYTES", 1_000_000)
    with pytest.raises(DataError, match="at most 1,000,000 are read"):
        read_table(path)
    assert len(read_table(path, ["age"])) == 300


def workbook_with(tmp_path: Path, part: str, content: Callable[[bytes], bytes]) -> Path:
    """Write a workbook in which one part is another."""
    good, bad = tmp_path / "good.xlsx", tmp_path / "bad.xlsx"
    cohort().head(5).to_excel(good, index=False)
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(bad, "w", zipfile.ZIP_DEFLATED) as target:
        for each in source.infolist():
            data = source.read(each)
            target.writestr(each.filename, content(data) if each.filename == part else data)
    return bad


SHEET = "xl/worksheets/sheet1.xml"
LAUGHS = b"<!DOCTYPE x [<!ENTITY a '" + b"ha" * 50 + b"'>" + b"".join(
    b"<!ENTITY %c '%s'>" % (98 + k, b"&%c;" % (97 + k) * 20) for k in range(9)
) + b"]>"  # fmt: skip


def test_an_excel_file_of_entities_that_multiply_is_refused_soon(tmp_path: Path) -> None:
    def laugh(data: bytes) -> bytes:
        declaration, _, rest = data.partition(b"?>") if data.startswith(b"<?xml") else (b"", b"", data)
        spoilt = (declaration + b"?>" if declaration else b"") + LAUGHS + rest
        return spoilt.replace(
            b"</sheetData>", b'<row r="9"><c r="A9" t="inlineStr"><is><t>&j;</t></is></c></row></sheetData>'
        )

    with pytest.raises(DataError, match=r"bad\.xlsx"):
        read_table(workbook_with(tmp_path, SHEET, laugh))


def test_an_excel_file_that_names_other_files_reads_none_of_them(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("a secret", encoding="utf-8")
    entity = f'<!DOCTYPE x [<!ENTITY s SYSTEM "{(tmp_path / "secret.txt").as_uri()}">]>'.encode()

    def name_it(data: bytes) -> bytes:
        declaration, _, rest = data.partition(b"?>") if data.startswith(b"<?xml") else (b"", b"", data)
        spoilt = (declaration + b"?>" if declaration else b"") + entity + rest
        return spoilt.replace(
            b"</sheetData>", b'<row r="9"><c r="A9" t="inlineStr"><is><t>&s;</t></is></c></row></sheetData>'
        )

    try:
        shown = read_table(workbook_with(tmp_path, SHEET, name_it)).to_csv()
    except DataError as refusal:
        shown = str(refusal)
    assert "a secret" not in shown


def test_a_workbook_whose_parts_lie_about_their_size_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = workbook_with(tmp_path, SHEET, lambda data: data.replace(b"</sheetData>", b" " * 2**22 + b"</sheetData>"))
    content = bytearray(path.read_bytes())
    # The central directory claims that the sheet is small; what is unpacked is then no more than was claimed.
    at = content.rindex(SHEET.encode()) - 46
    assert content[at : at + 4] == b"PK\x01\x02"
    content[at + 24 : at + 28] = (1_000).to_bytes(4, "little")
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="damaged or of another kind"):
        read_table(path)


# --- nothing is written where it was not asked for ----------------------------------------------


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


def everything(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>"
FORMULA = "=HYPERLINK(\"http://example.org/?\"&A1,\"x\")"  # fmt: skip
TITLES = ["../../escaped", "/tmp/escaped", "..\\\\escaped", "a\\u0000b", "CON", "%2e%2e%2fescaped"]


@pytest.fixture(scope="module")
def hostile_report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Run a study whose every name is an attack; return the folder above it, and its report."""
    top = tmp_path_factory.mktemp("top")
    inside = top / "a" / "b" / "study"
    frame = cohort().rename(columns={"age": FORMULA, "sites": "../../sites"})
    frame["pr_status"] = frame["pr_status"].replace({"positive": MARKUP, "negative": "@SUM(1+1)*cmd|' /C calc'!A0"})
    (top / "elsewhere").mkdir()
    study = (
        STUDY.replace("Surgery in a small cohort", f"../../../escaped {MARKUP}")
        .replace('name = "Overall survival"', f"name = '''../../../escaped {MARKUP}'''")
        .replace(
            "treated = 1\ncontrol = 0",
            f"treated = 1\ncontrol = 0\nname = '''{FORMULA}'''\ncontrol_name = '''-2+3+cmd|' /C calc'!A0'''",
        )
        .replace('"small.dag"', f"'small.dag'\n[dag.columns]\nage = ['''{FORMULA}''']\nsites = ['../../sites']")
    )
    benchmark = {"name": MARKUP, "outcome": f"../../../escaped {MARKUP}", "source": f"javascript:alert(3)//{MARKUP}"}
    study += "[sensitivity.e-value]\n[[benchmark]]\nvalue = 0.9\nlower = 0.7\nupper = 1.2\n"
    study += "".join(f"{key} = '''{text}'''\n" for key, text in benchmark.items())
    path = write_study(inside, study=study, dag=DAG, frame=frame)
    (top / "link").symlink_to(top / "elsewhere")
    before = everything(top)
    result = run("run", path, "--out", top / "link" / "out")
    assert result.exit_code == 0, result.output
    out = top / "elsewhere" / "out"
    new = everything(top) - before
    assert all(name == "elsewhere/out" or name.startswith("elsewhere/out/") for name in new), new
    return top, out


def test_a_report_is_written_only_where_it_was_asked_for(hostile_report: tuple[Path, Path]) -> None:
    top, out = hostile_report
    assert (out / "report.html").stat().st_size > 10_000
    for path in out.rglob("*"):
        assert not path.is_symlink()
        assert re.fullmatch(r"[\w.-]+", path.name), path
        assert path.resolve().is_relative_to(out)
    assert not list(top.rglob("*escaped*"))


def test_no_file_of_a_report_names_a_folder_of_this_machine(hostile_report: tuple[Path, Path]) -> None:
    top, out = hostile_report
    here = (str(top).encode(), str(Path.home()).encode() + b"/", str(ROOT).encode(), b"/site-packages/")
    for path in out.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            if path.suffix in (".docx", ".xlsx"):
                with zipfile.ZipFile(path) as archive:
                    content = b"".join(archive.read(name) for name in archive.namelist())
            assert not [place for place in here if place in content], path.name


def test_the_resolved_protocol_keeps_paths_as_they_were_given(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    protocol = causal_s4.Protocol.read(path)
    assert 'file = "cohort.csv"' in protocol.to_toml()
    assert str(tmp_path) not in protocol.to_toml()


class _Tags(HTMLParser):
    """Collects every tag with its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_names_that_are_markup_are_shown_and_not_run(hostile_report: tuple[Path, Path]) -> None:
    _, out = hostile_report
    page = (out / "report.html").read_text("utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    parser = _Tags()
    parser.feed(page)
    tags = parser.found
    assert ("meta", "Content-Security-Policy") in [(tag, attributes.get("http-equiv")) for tag, attributes in tags]
    for tag, attributes in tags:
        assert tag not in ("iframe", "object", "embed", "base"), tag
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        if tag == "img":
            assert (attributes.get("src") or "").startswith("data:image/")
        for name in ("href", "xlink:href", "action", "formaction"):
            assert (
                not (attributes.get(name) or "").strip().lower().startswith(("javascript:", "data:text", "vbscript:"))
            )
    scripts = re.findall(r"<script\b([^>]*)>(.*?)</script>", page, re.DOTALL)
    assert scripts
    for attributes_of_script, content in scripts:
        if "application/json" in attributes_of_script:
            assert "<" not in content
        else:
            assert "alert(" not in content


def test_drawings_hold_no_markup_of_the_studys(hostile_report: tuple[Path, Path]) -> None:
    _, out = hostile_report
    drawings = list((out / "figures").glob("*.svg"))
    assert drawings
    for path in drawings:
        text = path.read_text("utf-8")
        assert "<script" not in text, path.name
        assert "<img" not in text, path.name
        assert not re.search(r"<[^>]*\son\w+=", text), path.name


DANGEROUS = ("=", "+", "@", "\t", "\r")
"""What a spreadsheet takes for the start of a formula; a minus is one, too, unless a number follows."""


def _is_formula(text: str) -> bool:
    if text.startswith("-"):
        try:
            float(text.replace("\u2212", "-"))
        except ValueError:
            return not re.fullmatch(r"-[\d.,]+( .*)?", text)
        return False
    return text.startswith(DANGEROUS) and not re.fullmatch(r"\+[\d.,]+( .*)?", text)


def test_no_cell_of_a_table_is_a_formula(hostile_report: tuple[Path, Path]) -> None:
    _, out = hostile_report
    tables = list((out / "tables").glob("*.csv"))
    assert len(tables) > 3
    held = ""
    for path in tables:
        text = path.read_text("utf-8-sig")
        held += text
        for row in csv.reader(io.StringIO(text)):
            assert not [cell for cell in row if _is_formula(cell)], path.name
    assert "HYPERLINK" in held


def test_no_cell_of_the_workbook_is_a_formula(hostile_report: tuple[Path, Path]) -> None:
    _, out = hostile_report
    book = openpyxl.load_workbook(out / "tables.xlsx")
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert len(cells) > 100
    assert not [cell.coordinate for cell in cells if cell.data_type == "f"]
    assert not [
        cell.hyperlink.target for cell in cells if cell.hyperlink and not cell.hyperlink.target.startswith("https://")
    ]


def test_the_word_report_has_no_field_or_link_of_the_studys(hostile_report: tuple[Path, Path]) -> None:
    _, out = hostile_report
    document = Document(str(out / "report.docx"))
    xml = document.element.xml
    assert "alert(1)" in xml
    assert "<script" not in xml
    assert "HYPERLINK(" not in "".join(re.findall(r"<w:instrText[^>]*>([^<]*)</w:instrText>", xml))
    targets = [each.target_ref for each in document.part.rels.values() if each.is_external]
    assert not [target for target in targets if not target.startswith("https://")]


@pytest.mark.parametrize("title", TITLES)
def test_a_title_is_no_path(tmp_path: Path, title: str) -> None:
    inside = tmp_path / "a" / "b"
    path = write_study(inside, study=STUDY.replace("Surgery in a small cohort", title))
    before = everything(tmp_path)
    result = run("check", path)
    assert result.exit_code in (0, 2)
    assert everything(tmp_path) == before


# --- what it is built on ------------------------------------------------------------------------

PERMISSIVE = re.compile(
    r"\b(MIT|BSD|Apache|PSF|Python Software Foundation|ISC|HPND|MPL|Mozilla Public License 2\.0|Unlicense|Zlib|0BSD|CC0|Public Domain)\b",
    re.IGNORECASE,
)
COPYLEFT = re.compile(r"\b(A?GPL|GNU (Affero )?General Public|SSPL|proprietary|commercial)", re.IGNORECASE)


def locked() -> list[str]:
    lines = (ROOT / "requirements.lock").read_text("utf-8").splitlines()
    return [Requirement(line.rstrip(" \\")).name for line in lines if re.match(r"[A-Za-z0-9]", line)]


def licence_of(package: Distribution) -> str:
    """Return what a package says of its licence: the expression, the classifiers, the field, or the licence itself."""
    metadata: Any = package.metadata
    said = [
        metadata.get("License-Expression") or "",
        *[each.rpartition(" :: ")[2] for each in metadata.get_all("Classifier") or [] if each.startswith("License ::")],
        (metadata.get("License") or "").strip().partition("\n")[0],
    ]
    if not any(said):  # the text of the licence that lies beside it
        texts = [each.locate().read_text("utf-8") for each in package.files or [] if "LICEN" in each.name.upper()]
        said = [text.strip().partition("\n")[0] for text in texts]
    return "; ".join(dict.fromkeys(each for each in said if each))


def test_every_locked_dependency_has_a_licence_that_lets_this_package_be_what_it_is() -> None:
    here = {re.sub(r"[-_.]+", "-", each.name).lower() for each in distributions()}
    names = [name for name in locked() if name in here]
    assert len(names) > 40
    unknown = {}
    for name in names:
        licence = licence_of(distribution(name))
        if not PERMISSIVE.search(licence) or COPYLEFT.search(licence):
            unknown[name] = licence
    assert unknown == {}
