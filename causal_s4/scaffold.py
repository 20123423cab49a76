"""A study file and a graph to begin with, for the columns of a data file: nothing in them is guessed.

What only the reader knows is left empty and marked, with what the file holds beside it: names of columns and their
levels with counts, never the values of a patient. Until the marked places are filled in, the study is refused and
each of them is named.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from causal_s4.cohort import read_table
from causal_s4.cohort.columns import MOST_CODES, counted, holds_dates, holds_records, named_codes, numbers_of, tally
from causal_s4.dag import Dag, Node
from causal_s4.errors import DagSyntaxError, InputError, Problem, UsageError
from causal_s4.protocol.vocabulary import Estimand, TimeUnit
from causal_s4.protocol.words import one_of, quoted
from causal_s4.protocol.writer import write_toml

if TYPE_CHECKING:
    import pandas as pd

STUDY, GRAPH = "study.toml", "assumptions.dag"
MARK = "# <-"
"""Stands at each place of the study file that has to be filled in."""

_FEW = 6
_WIDTH = 110


def scaffold(folder: str | os.PathLike[str], data: str | os.PathLike[str]) -> list[Path]:
    """Write a commented study file and a first graph for the columns of a data file.

    Parameters
    ----------
    folder : path-like
        Where ``study.toml`` and ``assumptions.dag`` go; made if missing.
    data : path-like
        The cohort's file, one row a patient.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    InputError
        When the data file cannot be read, one of the two files is there already, or the folder cannot be
        written. Nothing is written then.
    """
    target, source = Path(folder), Path(data)
    _refuse_existing(target)
    table = read_table(source)
    columns = [_Column.of(str(name), values) for name, values in table.items()]
    texts = {
        STUDY: "\n".join(_study(columns, len(table), source, _path_from(target, source))),
        GRAPH: "\n".join(_graph(columns, source)),
    }
    return _write(target, texts)


# --- what the file holds ------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Column:
    """What can be said of a column without showing a patient.

    ``missing`` counts the rows without a value. ``few`` says whether it could be an arm or an event, ``time`` a
    follow-up time, ``unique`` an identifier, ``usable`` a covariate.
    """

    name: str
    holds: str
    missing: int
    few: bool
    time: bool
    unique: bool
    usable: bool

    @classmethod
    def of(cls, name: str, values: pd.Series[Any]) -> _Column:
        n, missing = len(values), int(values.isna().sum())
        if holds_records(values) or holds_dates(values):
            kind = "lists or records" if holds_records(values) else "dates"
            return cls(name=name, holds=kind, missing=missing, few=False, time=False, unique=False, usable=False)
        different = int(values.nunique())
        numbers, strange = numbers_of(values)
        numeric = not strange.any()
        whole = numeric and bool((numbers == np.floor(numbers)).all())
        unique = different == n > 1 and (whole or not numeric)
        if not different:
            holds = "no values"
        elif different <= min(MOST_CODES, max(_FEW, n // 5)):  # with more, a level may be one patient
            holds = named_codes(tally(values))
        else:
            holds = f"{'numbers' if numeric else 'text'}, {different:,} different"
        return cls(
            name=name,
            holds=holds + (f"; {counted(missing, 'row')} without a value" if missing else ""),
            missing=missing,
            few=2 <= different <= _FEW,
            time=numeric and different > _FEW and not bool((numbers < 0).any()),
            unique=unique,
            usable=different > 1 and not unique,
        )

    @property
    def shown(self) -> str:
        """Its name on one line of a comment."""
        return self.name if self.name.isprintable() else quoted(self.name)


def _names(columns: Sequence[_Column]) -> str:
    return ", ".join(column.shown for column in columns) or "none"


def _comment(text: str, mark: str = "#", indent: str = "  ") -> Iterator[str]:
    """Wrap a text into comment lines."""
    yield from textwrap.wrap(
        text, _WIDTH, initial_indent=f"{mark} ", subsequent_indent=f"{mark} {indent}", break_long_words=False
    )


# --- the study file -----------------------------------------------------------------------------


def _study(columns: Sequence[_Column], rows: int, source: Path, path: str) -> Iterator[str]:
    few = f"Columns with 2 to {_FEW} values: {_names([column for column in columns if column.few])}"
    wide = max(len(column.shown) for column in columns)
    yield f'# A question to be completed: the places marked "{MARK}" are yours, and nothing was guessed for them.'
    yield f"#   causal-s4 check {STUDY}              says what is still open, and what follows from the rest"
    yield f"#   causal-s4 run {STUDY} --out report   answers it"
    yield "#"
    yield from _comment(f"{quoted(source.name)} holds {counted(rows, 'row')}; it should have one for each patient.")
    for column in columns:
        yield f"#   {column.shown:<{wide}}  {column.holds}"
    yield ""
    yield _place("title", "the title of the report")
    yield "seed = 1"
    yield ""
    yield "[data]"
    yield write_toml({"file": path}).strip()
    unique = _names([column for column in columns if column.unique])
    yield from _option('id = ""', f"the column that identifies a patient; no two rows are alike in: {unique}")
    yield _place("time_unit", f"the unit of every time column: {one_of(TimeUnit)}")
    missing = _names([column for column in columns if column.missing])
    yield from _option(
        'missing = "complete-case"',
        f"leaves out patients without a value for a covariate, and counts them. Rows lack a value in: {missing}",
    )
    yield ""
    yield "[dag]"
    yield write_toml({"file": GRAPH}).strip()
    yield ""
    yield "[treatment]"
    yield from _comment(few)
    yield _place("column", "the column of the treatment")
    yield _place("treated", "its value for the treated as it stands above: text in quotes, a number without")
    yield _place("control", "its value for the controls")
    yield from _option('name = "Surgery"', "the label of the treatment in the report")
    yield from _option('control_name = "No surgery"', "the label of the controls")
    yield ""
    yield "[time_zero]"
    yield from _comment(
        "baseline: treatment is settled when follow-up begins. If it begins later, name the column with the time until "
        "then as [treatment] start, and choose landmark, time-dependent or clone-censor-weight."
    )
    yield 'design = "baseline"'
    yield ""
    yield "[[outcome]]"
    times = _names([column for column in columns if column.time])
    yield from _comment(f"Columns of numbers that are never negative: {times}")
    yield _place("time", "the column of the time from time zero to the event or the end of follow-up")
    yield from _comment(few)
    yield _place("event", "the column of the event code")
    yield _place("event_value", "the code of the event; the one other code is that of censoring")
    yield from _option("competing_value = 2", "the code of a competing event, if there is one")
    yield from _option('name = "Overall survival"', "the label of the outcome in the report")
    yield from _option('horizons = ["1 years", "5 years"]', "when survival and restricted mean are compared")
    yield ""
    yield "[estimand]"
    for population in Estimand:
        yield f"#   {population}  {population.describes}"
    yield _place("population", "whom the effect is about")
    yield ""


def _place(key: str, what: str) -> str:
    """Return a line to be filled in."""
    assignment = f'{key} = ""'
    return f"{assignment:<18}  {MARK} {what}"


def _option(assignment: str, what: str) -> Iterator[str]:
    """Return a line that holds once its first mark is taken away."""
    yield from _comment(f"{assignment}   # {what}")


# --- the graph ----------------------------------------------------------------------------------


def _graph(columns: Sequence[_Column], source: Path) -> Iterator[str]:
    names = {column.name for column in columns}
    treatment, outcome = _free("TREATMENT", names), _free("OUTCOME", names)
    nodes = {column: node for column in columns if column.usable and (node := _node(column.name)) is not None}
    left_out = [column for column in columns if column not in nodes]
    yield from _comment(
        f"What causes what: the assumptions about {quoted(source.name)}, in dagitty syntax. "
        f"causal-s4 dag {GRAPH} reads them and says what follows.",
        "//",
        "",
    )
    yield "//"
    for step in (
        f"1. Put the columns of treatment and event in the place of {treatment} and {outcome}, wherever these stand.",
        "2. Ask of each column whether it drives who is treated, the outcome, or both, and take away the slashes before "
        "the arrows that hold. Add the arrows between columns. Delete the line of a column that drives neither, and of "
        "one that became known after time zero only: it may be a consequence of the treatment.",
        f"3. Add what drives both and was not recorded: frailty [latent] and frailty -> {{{treatment} {outcome}}}.",
    ):
        yield from _comment(step, "//", "   ")
    yield "//"
    yield from _comment(
        "An arrow left out is a stronger claim than one drawn. As it stands, the graph claims that nothing drives both "
        "treatment and outcome, as if treatment had been drawn by lot.",
        "//",
        "",
    )
    if left_out:
        yield from _comment(
            f"Not listed, since all rows, or no two, are alike, or hold dates: {_names(left_out)}.", "//", ""
        )
    yield "dag {"
    yield ""
    yield f"{treatment} [exposure]"
    yield f"{outcome} [outcome]"
    yield f"{treatment} -> {outcome}"
    yield ""
    wide = max((len(node) for node in nodes.values()), default=0)
    for node in nodes.values():
        yield f"{node:<{wide}}  // -> {{{treatment} {outcome}}}"
    yield "}"
    yield ""


def _free(word: str, taken: set[str]) -> str:
    """Return the word, longer if a column has that name."""
    while word in taken:
        word += "_"
    return word


def _node(name: str) -> str | None:
    """Return a name as dagitty text writes it; None when no node can have it."""
    try:
        return Dag(members=(Node(name=name),)).to_dagitty().splitlines()[1]
    except DagSyntaxError:
        return None


# --- the folder ---------------------------------------------------------------------------------


def _refuse_existing(target: Path) -> None:
    if target.exists() and not target.is_dir():
        raise UsageError(f"{target} is a file; expected a folder for {STUDY} and {GRAPH}. Give another name")
    there = [name for name in (STUDY, GRAPH) if os.path.lexists(target / name)]
    if there:
        raise UsageError(
            f"{target} holds a study already, which is not overwritten. Give another folder",
            [Problem(where=name, found="is there") for name in there],
        )


def _path_from(target: Path, source: Path) -> str:
    """Return the path of the data as the study file names it."""
    try:
        return Path(os.path.relpath(os.path.realpath(source), os.path.realpath(target))).as_posix()
    except ValueError:  # on another drive
        return source.resolve().as_posix()


def _write(target: Path, texts: Mapping[str, str]) -> list[Path]:
    """Write new files, all or none."""
    written: list[Path] = []
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            with (target / name).open("x", encoding="utf-8", newline="\n") as stream:
                written.append(target / name)
                stream.write(text)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise InputError(
            f"{target} cannot be written: {error.strerror or error}. Give a folder that you may write to"
        ) from None
    return written
