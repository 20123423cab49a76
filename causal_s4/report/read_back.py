"""A result read back from the folder it was written to, so that its report can be made again without estimating."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from causal_s4.errors import InputError, Problem, UsageError
from causal_s4.report.results_json import LONGEST, STEPS, decoded, document_of
from causal_s4.report.write import CHECKSUMS
from causal_s4.results import Floats, StudyResult

_RESULTS, _CURVES, _DRAWING, _PROVENANCE = (
    "results.json",
    "tables/curves.csv",
    "figures/dag.svg",
    "tables/provenance.csv",
)
_COLUMNS = ("time", *STEPS[1:])


def read_result(folder: str | os.PathLike[str]) -> StudyResult:
    """Return the result that a folder holds, as it was written there.

    Parameters
    ----------
    folder : path-like
        Written by :func:`~causal_s4.report.write.write_result`. Of its files, ``results.json``,
        ``tables/curves.csv``, ``tables/provenance.csv`` and ``figures/dag.svg`` are read, and have to be what
        ``SHA256SUMS`` says.

    Returns
    -------
    StudyResult
        Its report has the same bytes, but for numbers of patients that were too small to show: they are not
        in the folder and stay hidden.

    Raises
    ------
    UsageError
        When the folder is not one, or holds no report.
    InputError
        When one of those files was changed, is cut off, or is not a result that this version reads.
    """
    target = Path(folder)
    if not target.is_dir():
        raise UsageError(f"{folder} is not a folder; expected one that causal-s4 run has written")
    if not (target / _RESULTS).is_file():
        raise UsageError(f"{folder} holds no {_RESULTS}; expected a folder that causal-s4 run has written")
    files = {name: _bytes(target / name, name) for name in (CHECKSUMS, _RESULTS)}
    files |= {
        name: _bytes(target / name, name) for name in (_CURVES, _DRAWING, _PROVENANCE) if (target / name).exists()
    }
    document = document_of(files[_RESULTS], _RESULTS)
    _check_sums(files)
    curves = document.get("curves")
    lengths = None
    if isinstance(curves, list) and all(isinstance(each, dict) for each in curves):
        lengths = [each.get("steps") for each in curves]
    return decoded(
        document,
        _RESULTS,
        # Without a list of curves the document is refused for that.
        steps=None if lengths is None else _steps(files.get(_CURVES), lengths),
        drawing=_text(files[_DRAWING], _DRAWING) if _DRAWING in files else "",
        python=_python(files.get(_PROVENANCE)),
    )


def read_results_json(path: str | os.PathLike[str]) -> StudyResult:
    """Return what a ``results.json`` alone holds: everything but the curves and the drawing of the diagram.

    Parameters
    ----------
    path : path-like
        The file, or the folder it is in.

    Raises
    ------
    InputError
        When it cannot be read or is not a result that this version reads.
    """
    file = Path(path)
    file = file / _RESULTS if file.is_dir() else file
    return decoded(document_of(_bytes(file, str(file)), str(file)), str(file))


def _bytes(file: Path, name: str) -> bytes:
    try:
        if not file.is_file():
            raise InputError(f"{name} is not there, or is not a file; expected what causal-s4 run has written")
        with file.open("rb") as stream:
            content = stream.read(LONGEST + 1)
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror or error}") from None
    if len(content) > LONGEST:
        raise InputError(f"{name} is longer than {LONGEST:,} bytes; expected a result of this package")
    return content


def _text(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{name} is not text in UTF-8") from None


def _check_sums(files: Mapping[str, bytes]) -> None:
    listed = {
        name: digest for digest, _, name in (s.partition("  ") for s in _text(files[CHECKSUMS], CHECKSUMS).splitlines())
    }
    problems = [
        Problem(
            where=name,
            found="is not what was written" if name in listed else f"is not in {CHECKSUMS}",
            todo="Put back the file as it was, or run the study again",
        )
        for name, content in files.items()
        if name != CHECKSUMS and listed.get(name) != hashlib.sha256(content).hexdigest()
    ]
    problems += [
        Problem(where=name, found="is gone", todo="Put it back, or run the study again")
        for name in (_CURVES, _DRAWING, _PROVENANCE)
        if name in listed and name not in files
    ]
    if problems:
        raise InputError("a report is made again only of files as they were written", problems)


def _rows(content: bytes | None, name: str) -> list[dict[str, str]]:
    if content is None:
        return []
    try:
        return list(csv.DictReader(io.StringIO(_text(content, name), newline="")))
    except csv.Error as error:
        raise InputError(f"{name} is not a table: {error}") from None


def _steps(content: bytes | None, lengths: list[object]) -> list[list[Floats]]:
    """Return the columns of each curve: the rows stand curve after curve."""
    rows = _rows(content, _CURVES)
    known = [each if isinstance(each, int) and not isinstance(each, bool) and each >= 0 else 0 for each in lengths]
    if sum(known) != len(rows):
        raise InputError(f"{_CURVES}: {len(rows)} rows; expected {sum(known)}, as many as {_RESULTS} says")
    try:
        table = np.array([[float(row[name] or "nan") for name in _COLUMNS] for row in rows]).reshape(-1, len(STEPS))
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{_CURVES}: expected columns of numbers named {', '.join(_COLUMNS)}") from None
    return [list(part.T) for part in np.split(table, np.cumsum(known)[:-1])] if known else []


def _python(content: bytes | None) -> str:
    return next((row.get("is") or "" for row in _rows(content, _PROVENANCE) if row.get("what") == "Python"), "")
