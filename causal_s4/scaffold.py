"""A study file and a graph to begin with, for the columns of a data file: nothing in them is guessed.

What only the reader knows is taken from answers, or left empty and marked, with what the file holds beside it: names
of columns and their levels with counts, never the values of a patient. Until the marked places are filled in, the
study is refused and each of them is named.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from causal_s4.cohort import read_table
from causal_s4.cohort.columns import MOST_CODES, counted, holds_dates, holds_records, named_codes, numbers_of, tally
from causal_s4.dag import Dag, Node
from causal_s4.errors import DagSyntaxError, InputError, Problem, UsageError
from causal_s4.protocol.vocabulary import Estimand, TimeUnit
from causal_s4.protocol.words import did_you_mean, found, one_of, quoted
from causal_s4.protocol.writer import write_toml

if TYPE_CHECKING:
    import pandas as pd

STUDY, GRAPH = "study.toml", "assumptions.dag"
MARK = "# <-"
"""Stands at each place of the study file that has to be filled in."""

_FEW = 6
_WIDTH = 110


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the reader says of a study to begin with; None is left open and marked.

    Parameters
    ----------
    title : str or None
    id, time_unit : str or None
        The column that identifies a patient; the unit of times.
    treatment, treated, control : str or None
        The column of the treatment, and its values as the file shows them.
    time, event, event_value : str or None
        The columns of follow-up and of the event code, and the code of the event.
    population : str or None
        Whom the effect is about, such as ``"ATO"``.
    confounders : tuple of str
        Columns held to drive both treatment and outcome; their arrows are drawn.
    """

    title: str | None = None
    id: str | None = None
    time_unit: str | None = None
    treatment: str | None = None
    treated: str | None = None
    control: str | None = None
    time: str | None = None
    event: str | None = None
    event_value: str | None = None
    population: str | None = None
    confounders: tuple[str, ...] = ()

    def with_reply(self, name: str, reply: str) -> Answers:
        """Return these with one more, as typed; several columns stand with commas between them."""
        if not reply.strip():
            return self
        several = tuple(filter(None, (word.strip() for word in reply.split(","))))
        changed: dict[str, Any] = {name: several if name == "confounders" else reply.strip()}
        return replace(self, **changed)


def scaffold(
    folder: str | os.PathLike[str], data: str | os.PathLike[str], answers: Answers | None = None
) -> list[Path]:
    """Write a commented study file and a first graph for the columns of a data file.

    Parameters
    ----------
    folder : path-like
        Where ``study.toml`` and ``assumptions.dag`` go; made if missing.
    data : path-like
        The cohort's file, one row a patient.
    answers : Answers, optional
        What is known already; the rest is left open and marked.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    InputError
        When the data file cannot be read, an answer does not fit it, one of the two files is there already,
        or the folder cannot be written. Nothing is written then.
    """
    target, source = Path(folder), Path(data)
    refuse_existing(target)
    table = read_table(source)
    columns = [_Column.of(str(name), values) for name, values in table.items()]
    known = answers or Answers()
    placed = _settle(known, columns)
    texts = {
        STUDY: "\n".join(_study(columns, len(table), source, _path_from(target, source), placed)),
        GRAPH: "\n".join(_graph(columns, source, known)),
    }
    return _write(target, texts)


# --- what the reader says -----------------------------------------------------------------------


def questions(data: str | os.PathLike[str], answers: Answers) -> Iterator[tuple[str, str]]:
    """Yield what is still to be asked about a data file: the name of the answer, and the question.

    Parameters
    ----------
    data : path-like
        The cohort's file.
    answers : Answers
        What is not asked again.
    """
    columns = [_Column.of(str(name), values) for name, values in read_table(Path(data)).items()]
    few = _names([column for column in columns if column.few])
    asked = {
        "title": "Title of the report",
        "time_unit": f"Unit of every time ({', '.join(TimeUnit)})",
        "treatment": f"Column of the treatment ({few})",
        "treated": "Its value for the treated",
        "control": "Its value for the controls",
        "time": f"Column of the time to the event or the end of follow-up ({_names([c for c in columns if c.time])})",
        "event": f"Column of the event code ({few})",
        "event_value": "The code of the event",
        "population": f"Whom the effect is about ({', '.join(Estimand)})",
        "confounders": "Columns that drive both treatment and outcome, with commas between them",
    }
    for name, question in asked.items():
        if not getattr(answers, name):
            yield name, question


def _settle(answers: Answers, columns: Sequence[_Column]) -> dict[str, Any]:
    """Return the answers as the study file writes them, by name.

    Raises
    ------
    UsageError
        Naming every answer that does not fit the file.
    """
    by_name = {column.name: column for column in columns}
    problems: list[Problem] = []
    placed: dict[str, Any] = {"title": answers.title}

    def one_word(name: str, known: Sequence[str]) -> None:
        said = placed[name] = getattr(answers, name)
        if said is not None and said not in known:
            todo = did_you_mean(said, known)
            problems.append(Problem(where=name, found=found(said), expected=one_of(known), todo=todo))

    def column(name: str, said: str | None) -> None:
        placed[name] = said
        if said is not None and said not in by_name:
            todo = did_you_mean(said, by_name) or f"The columns are: {_names(columns)}"
            problems.append(Problem(where=name, found=f"no column {quoted(said)}", todo=todo))

    def code(name: str, of: str | None) -> None:
        said = getattr(answers, name)
        placed[name] = None
        if said is None:
            return
        if of is None or of not in by_name:
            problems.append(Problem(where=name, found=found(said), todo="Name the column it stands in as well"))
            return
        codes = by_name[of].codes
        if said in codes:
            placed[name] = codes[said]
        else:
            expected = f"a value of {by_name[of].shown}: {by_name[of].holds}"
            problems.append(Problem(where=name, found=found(said), expected=expected))

    one_word("time_unit", tuple(TimeUnit))
    one_word("population", tuple(Estimand))
    for name in ("id", "treatment", "time", "event"):
        column(name, getattr(answers, name))
    for name, of in (("treated", answers.treatment), ("control", answers.treatment), ("event_value", answers.event)):
        code(name, of)
    for name in answers.confounders:
        column("confounders", name)
        if name in (answers.treatment, answers.time, answers.event, answers.id):
            problems.append(
                Problem(where="confounders", found=f"{quoted(name)}, which is named for something else as well")
            )
        elif name in by_name and (not by_name[name].usable or _node(name) is None):
            problems.append(Problem(where="confounders", found=f"{quoted(name)}, which holds {by_name[name].holds}"))
    if problems:
        raise UsageError("the answers do not fit the file:", problems)
    return placed


# --- what the file holds ------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Column:
    """What can be said of a column without showing a patient.

    ``missing`` counts the rows without a value. ``few`` says whether it could be an arm or an event, ``time`` a
    follow-up time, ``unique`` an identifier, ``usable`` a covariate. ``codes`` are the values of a column with few, by
    the text that a reader types for them.
    """

    name: str
    holds: str
    missing: int
    few: bool
    time: bool
    unique: bool
    usable: bool
    codes: Mapping[str, Any] = field(default_factory=dict, hash=False)

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
            codes=_codes(values) if 2 <= different <= _FEW else {},
        )

    @property
    def shown(self) -> str:
        """Its name on one line of a comment."""
        return self.name if self.name.isprintable() else quoted(self.name)


def _codes(values: pd.Series[Any]) -> dict[str, Any]:
    """Return the values of a column as TOML knows them, by their text; whole numbers without a point."""
    plain = [value.item() if isinstance(value, np.generic) else value for value in values.dropna().unique()]
    whole = [int(value) if isinstance(value, float) and value.is_integer() else value for value in plain]
    return {str(value).lower() if isinstance(value, bool) else str(value): value for value in whole}


def _names(columns: Sequence[_Column]) -> str:
    return ", ".join(column.shown for column in columns) or "none"


def _comment(text: str, mark: str = "#", indent: str = "  ") -> Iterator[str]:
    """Wrap a text into comment lines."""
    yield from textwrap.wrap(
        text, _WIDTH, initial_indent=f"{mark} ", subsequent_indent=f"{mark} {indent}", break_long_words=False
    )


# --- the study file -----------------------------------------------------------------------------


def _study(columns: Sequence[_Column], rows: int, source: Path, path: str, placed: Mapping[str, Any]) -> Iterator[str]:
    few = f"Columns with 2 to {_FEW} values: {_names([column for column in columns if column.few])}"
    wide = max(len(column.shown) for column in columns)
    if any(value is None for name, value in placed.items() if name != "id"):
        yield f'# A question to be completed: the places marked "{MARK}" are yours, and nothing was guessed for them.'
    else:
        yield "# A question as you put it: nothing in it was guessed."
    yield f"#   causal-s4 check {STUDY}              says what is still open, and what follows from the rest"
    yield f"#   causal-s4 run {STUDY} --out report   answers it"
    yield "#"
    yield from _comment(f"{quoted(source.name)} holds {counted(rows, 'row')}; it should have one for each patient.")
    for column in columns:
        yield f"#   {column.shown:<{wide}}  {column.holds}"
    yield ""
    yield _place("title", placed["title"], "the title of the report")
    yield "seed = 1"
    yield ""
    yield "[data]"
    yield write_toml({"file": path}).strip()
    unique = _names([column for column in columns if column.unique])
    if placed["id"] is None:
        yield from _option('id = ""', f"the column that identifies a patient; no two rows are alike in: {unique}")
    else:
        yield write_toml({"id": placed["id"]}).strip()
    yield _place("time_unit", placed["time_unit"], f"the unit of every time column: {one_of(TimeUnit)}")
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
    yield _place("column", placed["treatment"], "the column of the treatment")
    yield _place(
        "treated", placed["treated"], "its value for the treated as it stands above: text in quotes, a number without"
    )
    yield _place("control", placed["control"], "its value for the controls")
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
    yield _place("time", placed["time"], "the column of the time from time zero to the event or the end of follow-up")
    yield from _comment(few)
    yield _place("event", placed["event"], "the column of the event code")
    yield _place("event_value", placed["event_value"], "the code of the event; the one other code is that of censoring")
    yield from _option("competing_value = 2", "the code of a competing event, if there is one")
    yield from _option('name = "Overall survival"', "the label of the outcome in the report")
    yield from _option('horizons = ["1 years", "5 years"]', "when survival and restricted mean are compared")
    yield ""
    yield "[estimand]"
    for population in Estimand:
        yield f"#   {population}  {population.describes}"
    yield _place("population", placed["population"], "whom the effect is about")
    yield ""


def _place(key: str, value: Any, what: str) -> str:
    """Return a line with its value, or one to be filled in."""
    assignment = write_toml({key: "" if value is None else value}).strip()
    return f"{assignment:<18}  {MARK if value is None else '#'} {what}"


def _option(assignment: str, what: str) -> Iterator[str]:
    """Return a line that holds once its first mark is taken away."""
    yield from _comment(f"{assignment}   # {what}")


# --- the graph ----------------------------------------------------------------------------------


def _graph(columns: Sequence[_Column], source: Path, answers: Answers) -> Iterator[str]:
    names = {column.name for column in columns}
    ends = {
        word: (_node(said) if said else None)
        for word, said in (("TREATMENT", answers.treatment), ("OUTCOME", answers.event))
    }
    treatment, outcome = (node or _free(word, names) for word, node in ends.items())
    taken = {answers.treatment, answers.event, answers.time, answers.id}
    nodes = {
        column: node
        for column in columns
        if column.usable and column.name not in taken and (node := _node(column.name)) is not None
    }
    left_out = [column for column in columns if column not in nodes and column.name not in taken]
    yield from _comment(
        f"What causes what: the assumptions about {quoted(source.name)}, in dagitty syntax. "
        f"causal-s4 dag {GRAPH} reads them and says what follows.",
        "//",
        "",
    )
    yield "//"
    open_ends = [name for name, node in zip((treatment, outcome), ends.values(), strict=True) if node is None]
    steps = [
        "Ask of each column whether it drives who is treated, the outcome, or both, and take away the slashes before "
        "the arrows that hold. Add the arrows between columns. Delete the line of a column that drives neither, and of "
        "one that became known after time zero only: it may be a consequence of the treatment.",
        f"Add what drives both and was not recorded: frailty [latent] and frailty -> {{{treatment} {outcome}}}.",
    ]
    if open_ends:
        steps.insert(
            0,
            f"Put the columns of treatment and event in the place of {' and '.join(open_ends)}, wherever these stand.",
        )
    for number, step in enumerate(steps, start=1):
        yield from _comment(f"{number}. {step}", "//", "   ")
    yield "//"
    claim = (
        ""
        if answers.confounders
        else (
            " As it stands, the graph claims that nothing drives both treatment and outcome, as if treatment had been drawn "
            "by lot."
        )
    )
    yield from _comment(f"An arrow left out is a stronger claim than one drawn.{claim}", "//", "")
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
    for column, node in nodes.items():
        slashes = "" if column.name in answers.confounders else "// "
        yield f"{node:<{wide}}  {slashes}-> {{{treatment} {outcome}}}"
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


def refuse_existing(target: Path) -> None:
    """Refuse a folder that holds a study, before anything is asked."""
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
