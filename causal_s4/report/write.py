"""Leaving a result on disk: everything, or nothing.

All files are made in memory, written to a hidden folder beside the one asked for, and swapped in by
renaming. An earlier result is replaced only when the folder holds nothing else: ``SHA256SUMS`` names
every file that was written there, so a file of the reader's, or one the reader has edited, is
never lost.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from causal_s4.errors import InputError, Problem, UsageError
from causal_s4.report.reading import Reading
from causal_s4.results import StudyResult, WeightSummary

SCHEMA = "causal-s4/results/1"
CHECKSUMS = "SHA256SUMS"
_LITTER = {".DS_Store", "Thumbs.db", "desktop.ini"}
# How often, and how many seconds apart, a run looks whether another one has finished renaming.
_ATTEMPTS, _PAUSE = 600, 0.05


# --- results.json -------------------------------------------------------------------------------


def results_json(result: StudyResult) -> str:
    """Return the text of ``results.json``.

    Parameters
    ----------
    result : StudyResult
        What was found.

    Returns
    -------
    str
        JSON with sorted keys, floats in full precision, ``null`` for what is not a finite number,
        and a line break at the end. The same input gives the same text.

    Notes
    -----
    Curves are not in it: they are in ``tables/curves.csv``. Counts below the protocol's
    ``suppress_below`` are ``null`` in the flow and the events.
    """
    document = _document(result)
    return json.dumps(_plain(document), sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _document(result: StudyResult) -> dict[str, Any]:
    reading, cohort, adjustment = Reading(result), result.cohort, result.adjustment
    provenance = result.provenance
    return {
        "schema": SCHEMA,
        "title": result.protocol.title,
        "seed": result.protocol.seed,
        "provenance": _record(provenance) if provenance else None,
        "cohort": {
            "n": cohort.n,
            "treated": cohort.treated,
            "control": cohort.control,
            "events": {outcome: reading.event_counts(outcome) for outcome in cohort.events},
            "attrition": [
                {"step": s.step, "n": s.n, "excluded": None if reading.small(s.excluded) else s.excluded}
                for s in reading.attrition()
            ],
            "time_unit": cohort.time_unit,
            "treatment_name": cohort.treatment_name,
            "treated_label": cohort.treated_label,
            "control_label": cohort.control_label,
            "follow_up": cohort.follow_up,
            "missing": {column: None if reading.small(count) else count for column, count in cohort.missing.items()},
        },
        "adjustment": {
            "set": list(adjustment.nodes),
            "columns": list(adjustment.columns),
            "alternatives": adjustment.alternatives,
            "verdict": adjustment.verdict,
            "untested_assumptions": adjustment.untested_assumptions,
            "reasons": adjustment.reasons,
            "second_opinion": adjustment.second_opinion,
            "tests": [_record(test) for test in adjustment.tests],
            "dagitty": adjustment.dagitty,
        },
        "weights": _weights(result.weights) if result.weights else None,
        "other_weights": [_weights(summary) for summary in result.other_weights],
        "balance": [_record(row, _BALANCE) for row in result.balance.rows] if result.balance else [],
        "other_balance": [
            {
                "population": table.population,
                "denominator": table.denominator,
                "rows": [_record(row, _BALANCE) for row in table.rows],
            }
            for table in result.other_balance
        ],
        "positivity": _positivity(reading),
        "estimates": [
            {**each.to_record(), "events": None if reading.small(each.events) else each.events}
            for each in result.effects
        ],
        "tests": [_record(test) for test in result.tests],
        "hazards": [_record(check) for check in result.hazards],
        "regressions": [_record(table) for table in result.regressions],
        "benchmarks": [_record(each) for each in result.benchmarks],
        "sensitivity": [_record(each) for each in result.sensitivity],
        "findings": [_record(finding) for finding in result.findings],
    }


_BALANCE = (
    "term",
    "kind",
    "smd_before",
    "smd_after",
    "variance_ratio_before",
    "variance_ratio_after",
    "ks_before",
    "ks_after",
)


def _weights(summary: WeightSummary) -> dict[str, Any]:
    names = [each.name for each in fields(summary) if each.name not in ("quantiles", "histogram")]
    return _record(summary, names)


def _positivity(reading: Reading) -> dict[str, Any] | None:
    positivity = reading.result.positivity
    if positivity is None:
        return None
    cells = [
        {
            "description": cell.description,
            **{name: None if reading.small(n := getattr(cell, name)) else n for name in ("n", "treated", "control")},
        }
        for cell in positivity.empty_cells
    ]
    return {**_record(positivity), "empty_cells": cells}


def _record(value: Any, names: Sequence[str] | None = None) -> dict[str, Any]:
    return {name: getattr(value, name) for name in (names or [each.name for each in fields(value)])}


def _plain(value: Any) -> Any:
    """Return a value as JSON knows it: no arrays, no enums, no NaN."""
    if isinstance(value, Enum):
        return _plain(value.value)
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, np.generic | np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(_plain(item) for item in value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return _plain(_record(value)) if is_dataclass(value) else str(value)


# --- contents -----------------------------------------------------------------------------------


def contents(result: StudyResult) -> dict[str, bytes]:
    """Return every file of a report, by its path in the folder.

    Parameters
    ----------
    result : StudyResult
        What was found.

    Returns
    -------
    dict of str to bytes
        The same input gives the same bytes, ``SHA256SUMS`` included.
    """
    from causal_s4.report.methods_text import draft, latex, markdown
    from causal_s4.report.page import render
    from causal_s4.report.plots import every_drawing
    from causal_s4.report.tables import sheets
    from causal_s4.report.word import report_docx
    from causal_s4.report.workbook import tables_xlsx

    reading = Reading(result)
    drawn = every_drawing(reading)
    drafted = draft(reading)
    files = {
        "report.html": render(reading, drawn).encode(),
        "methods.md": markdown(drafted).encode(),
        "methods.tex": latex(drafted).encode(),
        "tables.xlsx": tables_xlsx(reading),
        "results.json": results_json(result).encode(),
        "protocol.resolved.toml": result.protocol.to_toml().encode(),
    }
    for name, text in sheets(reading).items():
        files[f"tables/{name}"] = text.encode()
    pictures = {name: drawing.png() for name, drawing in drawn.items()}
    for name, drawing in drawn.items():
        # The diagram's own drawing is the one that the page shows.
        vectors = result.adjustment.drawing if name == "dag" else drawing.svg()
        files[f"figures/{name}.svg"] = vectors.encode()
        files[f"figures/{name}.png"] = pictures[name]
    files["report.docx"] = report_docx(reading, drawn, pictures)
    files[CHECKSUMS] = "".join(f"{_digest(data)}  {name}\n" for name, data in sorted(files.items())).encode()
    return files


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# --- the folder ---------------------------------------------------------------------------------


def write_result(result: StudyResult, folder: str | os.PathLike[str]) -> None:
    """Write a result to a folder, whole or not at all.

    Parameters
    ----------
    result : StudyResult
        What was found.
    folder : path-like
        Made if missing, with its parents. An earlier result in it is replaced; a folder that holds
        anything else is left alone.

    Raises
    ------
    InputError
        When the folder cannot be written, is not a folder, or holds files that are not an earlier
        result of this package or were changed since. What was there is then still there.
    """
    target = check_folder(folder)
    files = contents(result)
    with _readable(folder), _parents(target.parent):
        draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
        try:
            _fill(draft, files)
            with _alone(target):
                # Again: computing took a while, and someone may have put a file there since.
                _refuse_foreign(target)
                _swap(draft, target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def check_folder(folder: str | os.PathLike[str]) -> Path:
    """Return the real folder a result would go to, before anything long is computed for it.

    Raises
    ------
    InputError
        As :func:`write_result` would.
    """
    with _readable(folder):
        target = Path(os.path.realpath(folder))
        with _alone(target):
            _refuse_unfit(target, folder)
            _refuse_foreign(target)
    return target


def _refuse_unfit(target: Path, folder: str | os.PathLike[str]) -> None:
    """Refuse what cannot be replaced as a whole by renaming."""
    if target.exists() and not target.is_dir():
        raise UsageError(f"{folder} is a file; the report needs a folder. Give the name of a new or empty one")
    if target.is_dir() and (target.parent == target or os.path.ismount(target)):
        raise UsageError(
            f"{folder} is the root of a disk or a mounted volume, which cannot be replaced as a whole. "
            "Give a folder inside it"
        )
    if target.is_dir() and Path.cwd().is_relative_to(target):
        raise UsageError(f"{folder} is the folder you are in, which cannot be replaced under you. Give another one")


def _refuse_foreign(target: Path) -> None:
    """Refuse a folder that holds anything but an earlier result, unchanged."""
    foreign, known = _foreign(target)
    if not foreign:
        return
    problems = [
        Problem(
            where=name,
            found="was changed after it was written" if name in known else "is not part of an earlier report",
        )
        for name in foreign[:5]
    ]
    more = f" and {len(foreign) - 5} more" if len(foreign) > 5 else ""
    raise UsageError(
        f"{target} holds {len(foreign)} file{'s' if len(foreign) != 1 else ''} that writing the report would lose; "
        f"move them away or give another folder. Found{more}:",
        problems,
    )


def _foreign(target: Path) -> tuple[list[str], dict[str, str]]:
    """Return what is not an earlier result as it was written, and what was written, by path."""
    if not target.is_dir():
        return [], {}
    found = list(_files(target))
    known = _checksums(target)
    return [name for name, path in found if known.get(name) is None or not _unchanged(path, known[name])], known


def _files(target: Path) -> Iterator[tuple[str, Path]]:
    """Yield every entry that is not a plain folder, with its path from the target."""
    for folder, folders, names in os.walk(target):
        here = Path(folder)
        links = [name for name in folders if (here / name).is_symlink()]
        empty = [name for name in folders if here == target and name not in ("tables", "figures")]
        for name in sorted({*names, *links, *empty}):
            if name not in _LITTER:
                yield (here / name).relative_to(target).as_posix(), here / name
        folders[:] = sorted(name for name in folders if name not in links and name not in empty)


def _checksums(target: Path) -> dict[str, str]:
    """Return what an earlier run wrote, by path; nothing when the folder is not one of ours."""
    listing = target / CHECKSUMS
    if (
        listing.is_symlink()
        or not listing.is_file()
        or f'"schema": "{SCHEMA.rpartition("/")[0]}/' not in _text(target / "results.json")
    ):
        return {}
    text = _text(listing)
    known = {name: digest for digest, _, name in (line.partition("  ") for line in text.splitlines()) if name}
    return {**known, CHECKSUMS: _digest(text.encode())}


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _unchanged(path: Path, digest: str) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode) and _digest(path.read_bytes()) == digest
    except FileNotFoundError:
        return False


def _fill(draft: Path, files: Mapping[str, bytes]) -> None:
    draft.mkdir()
    for folder in sorted({Path(name).parent for name in files} - {Path()}):
        (draft / folder).mkdir()
    for name, data in files.items():
        (draft / name).write_bytes(data)


def _swap(draft: Path, target: Path) -> None:
    """Put the draft in the target's place; if that fails, the target is what it was."""
    aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.replaced")
    moved = False
    try:
        if target.is_dir():
            shutil.copymode(target, draft)
            moved = bool(target.rename(aside))
        draft.rename(target)
    except BaseException:
        if moved:
            aside.rename(target)
        raise
    if moved:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Hold the folder above the target against other runs, for the moments that looking and renaming take.

    A lock on that folder itself leaves no file behind, and the system releases it when a run is
    killed. Where a file system knows no locks, runs are not held apart.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    if not target.parent.is_dir():
        yield
        return
    above = os.open(target.parent, os.O_RDONLY)
    try:
        for _ in range(_ATTEMPTS):
            try:
                fcntl.flock(above, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(_PAUSE)
            except OSError:
                break
        else:
            raise UsageError(f"{target} is being written by another run. Wait for it, or give another folder")
        yield
    finally:
        os.close(above)


@contextmanager
def _parents(parent: Path) -> Iterator[None]:
    """Make the folders above the target; unmake those that were made when what follows fails."""
    missing = [each for each in (parent, *parent.parents) if not each.exists()]
    parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for each in missing:
            with suppress(OSError):
                each.rmdir()
        raise


_REASONS = {
    errno.ENOSPC: "the disk is full. Free some room or give a folder on another disk",
    errno.EDQUOT: "your quota of disk space is used up. Free some room or give a folder on another disk",
    errno.EACCES: "you may not write there. Give a folder of your own",
    errno.EPERM: "you may not write there. Give a folder of your own",
    errno.EROFS: "that disk is read-only. Give a folder on another one",
    errno.ENOTDIR: "a part of that path is a file. Give another folder",
    errno.ENAMETOOLONG: "the name is too long. Give a shorter one",
    errno.ELOOP: "its symbolic links go in a circle. Give another folder",
}


@contextmanager
def _readable(target: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an operating system's error into one that says what to do."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, f"{error.strerror or error}")
        raise InputError(
            f"the report could not be written to {target}: {reason}. What was there is unchanged"
        ) from error
