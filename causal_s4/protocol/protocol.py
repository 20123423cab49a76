"""The protocol: ``study.toml`` in; every problem at once, or one frozen value, out."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from causal_s4.arguments import checked_arguments
from causal_s4.errors import Problem, ProtocolError
from causal_s4.protocol.faults import flaws_of, salvage
from causal_s4.protocol.fields import FrozenDict, Options, Part, Text, at_least_one, frozen_table, tables, whole
from causal_s4.protocol.methods import DESIGNS, SENSITIVITY_ANALYSES
from causal_s4.protocol.rules import Draft, Flaw, check
from causal_s4.protocol.sections import (
    BenchmarkSpec,
    Condition,
    DagSpec,
    Data,
    EstimandSpec,
    Inference,
    Initiation,
    OutcomeSpec,
    Propensity,
    ReportSpec,
    TimeZero,
    Treatment,
)
from causal_s4.protocol.toml_lines import TomlLines
from causal_s4.protocol.vocabulary import Design, Estimand
from causal_s4.protocol.words import found
from causal_s4.protocol.writer import write_toml

MOST_BYTES = 1_000_000
"""A longer study file is refused."""
MOST_DOTS_A_LINE = 200
"""A line with more dots is refused: reading a key of many parts takes time with the square of their number."""
MOST_PROBLEMS = 100
"""Problems told of one file."""

_SENSITIVITY_SCHEMA = {
    "type": "object",
    "properties": {name: {"type": "object"} for name in SENSITIVITY_ANALYSES},
    "additionalProperties": False,
    "description": "Each block is one sensitivity analysis with its options; without any, all that apply are made.",
}


def _default_estimand(earlier: Mapping[str, Any]) -> EstimandSpec | None:
    """Clone-censor-weight speaks about everyone eligible at time zero."""
    cloned = earlier["time_zero"].design is Design.CLONE_CENSOR_WEIGHT
    return EstimandSpec(population=Estimand.ATE) if cloned else None


def _default_propensity(earlier: Mapping[str, Any]) -> Propensity | None:
    return None if "propensity" in DESIGNS[earlier["time_zero"].design].refuses else Propensity()


def _default_initiation(earlier: Mapping[str, Any]) -> Initiation | None:
    return None if "initiation" in DESIGNS[earlier["time_zero"].design].refuses else Initiation()


class Protocol(Part):
    """The question of a study, as one frozen value: what ``study.toml`` states.

    Every default is filled in. What does not apply is None or empty: ``propensity`` under a
    time-dependent design, ``inference.replicates`` without a bootstrap. Build one with :meth:`read`
    or :meth:`parse`, or from its parts by name; each way, what contradicts, is missing, or would
    have no effect is refused with a :class:`~causal_s4.errors.ProtocolError` naming all of it.

    Attributes
    ----------
    title : str
        Of the report.
    seed : int
        The one seed of everything random.
    data : Data
        File, id column, time unit, what to do with missing values and zero times, history.
    dag : DagSpec
        File of the graph, nodes to adjust for, columns of nodes.
    eligibility : mapping of str to Condition
        Column to condition, in file order.
    treatment : Treatment
        Column, its two values, labels, column of its start, node.
    time_zero : TimeZero
        Design and what belongs to it.
    outcomes : tuple of OutcomeSpec
        From ``[[outcome]]``; the first is primary.
    estimand : EstimandSpec or None
        Population and further ones; None under a time-dependent design.
    propensity : Propensity or None
        Method and model of the weights; None where the design fits no propensity score.
    initiation : Initiation or None
        Model of when treatment starts; None except for clone-censor-weight.
    inference : Inference
        How intervals are made.
    sensitivity : mapping of str to mapping
        Analysis to its options; empty means all that apply.
    benchmark : tuple of BenchmarkSpec
        From ``[[benchmark]]``: published estimates.
    report : ReportSpec
        How results are shown.
    """

    title: Text = Field(default="Untitled study", description="The title of the report.")
    seed: Annotated[int, whole(0, 2**63 - 1)] = Field(default=1, description="The one seed of everything random.")
    data: Data
    dag: DagSpec
    eligibility: Annotated[dict[Text, Condition], *frozen_table] = Field(
        default=FrozenDict(), description="Conditions of eligibility, counted in the flow chart in this order."
    )
    treatment: Treatment
    time_zero: TimeZero = TimeZero()
    outcomes: Annotated[tuple[OutcomeSpec, ...], tables, at_least_one] = Field(
        alias="outcome", json_schema_extra={"minItems": 1}
    )
    estimand: EstimandSpec | None = Field(default_factory=_default_estimand)
    propensity: Propensity | None = Field(default_factory=_default_propensity)
    initiation: Initiation | None = Field(default_factory=_default_initiation)
    inference: Inference = Inference()
    sensitivity: Annotated[dict[Text, Options], *frozen_table, WithJsonSchema(_SENSITIVITY_SCHEMA)] = FrozenDict()
    benchmark: Annotated[tuple[BenchmarkSpec, ...], tables] = ()
    report: ReportSpec = ReportSpec()

    _folder: Path = PrivateAttr(default=Path())

    @property
    def folder(self) -> Path:
        """The folder that the paths in the protocol are relative to; no part of its equality."""
        return self._folder

    def resolve(self, file: str) -> Path:
        """Return where a file named in the protocol is.

        Parameters
        ----------
        file : str
            Such as ``protocol.data.file``.

        Returns
        -------
        Path
        """
        return self._folder / file

    @classmethod
    @checked_arguments
    def read(cls, path: str | PathLike[str]) -> Protocol:
        """Read a study file.

        Parameters
        ----------
        path : path-like
            TOML in UTF-8, one megabyte at most.

        Returns
        -------
        Protocol
            Its :attr:`folder` is that of the file.

        Raises
        ------
        ProtocolError
            When the file cannot be read or does not state a valid question; names every problem,
            with its line.
        """
        file = Path(path)
        return cls._parse(_text_of(file), folder=file.parent, name=file.name)

    @classmethod
    def parse(cls, text: str, *, folder: str | PathLike[str] = ".") -> Protocol:
        """Read the text of a study file.

        Parameters
        ----------
        text : str
            TOML.
        folder : path-like
            What paths in it are relative to.

        Returns
        -------
        Protocol

        Raises
        ------
        ProtocolError
            When it does not state a valid question; names every problem, with its line.
        """
        return cls._parse(text, folder=Path(folder), name="the study file")

    @classmethod
    def _parse(cls, text: str, *, folder: Path, name: str) -> Protocol:
        context = {"name": name, "lines": lambda: TomlLines(text)}
        protocol = cls.model_validate(_toml(text, name), context=context, by_alias=True, by_name=False)
        protocol._folder = folder
        return protocol

    @model_validator(mode="wrap")
    @classmethod
    def _all_at_once(cls, raw: Any, handler: ModelWrapValidatorHandler[Protocol], info: ValidationInfo) -> Protocol:
        """Collect what each value, and what the values together, have wrong."""
        if isinstance(raw, Protocol):
            return raw
        if not isinstance(raw, Mapping):
            raise ProtocolError(f"a protocol is made from a table of sections; found {found(raw)}")
        context = info.context or {}
        content, flaws = _with_history_in_data(raw if context else _by_alias(raw))
        try:
            protocol = handler(content)
        except ValidationError as error:
            flaws += flaws_of(error, cls) + check(salvage(content, error, cls))
        else:
            flaws += check(protocol._draft())
            if not flaws:
                return protocol
        raise _refusal(flaws, context)

    def _draft(self) -> Draft:
        sections = {key: value for key, value in self._content().items() if key not in ("outcome", "benchmark")}
        lists = {"outcome": dict(enumerate(self.outcomes)), "benchmark": dict(enumerate(self.benchmark))}
        return Draft({**sections, **lists}, set())

    def _content(self) -> dict[str, Any]:
        return {field.alias or name: getattr(self, name) for name, field in type(self).model_fields.items()}

    def to_toml(self) -> str:
        """Return the protocol as TOML with every default written out.

        Returns
        -------
        str
            The same bytes for equal protocols; reading it gives an equal protocol. Paths stand as
            they were given.
        """
        return write_toml(_plain(self))

    def sha256(self) -> str:
        """Return the SHA-256 of the question, in hexadecimal.

        Two files that state the same question agree, whatever their layout. The number of workers
        is left out, since it changes no number.
        """
        content = _plain(self)
        del content["inference"]["jobs"]
        return hashlib.sha256(write_toml(content).encode()).hexdigest()

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Return the JSON Schema of a study file, for editors that complete and check as one types.

        It knows keys, kinds and ranges of values. What values say of each other is checked by
        :meth:`read` alone.
        """
        schema = _without_null(cls.model_json_schema(by_alias=True))
        history = dict(schema["$defs"]["Data"]["properties"]["history"])
        schema["$defs"]["TimeZero"]["properties"]["history"] = history
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "causal_s4 study file"}

    def __eq__(self, other: object) -> bool:
        """Whether two protocols state the same question, wherever their files are."""
        return isinstance(other, Protocol) and self._content() == other._content()


# --- text to table --------------------------------------------------------------------------------


def _text_of(file: Path) -> str:
    """Return the text of a study file, or say why it cannot be read."""
    if file.is_dir():
        raise ProtocolError(f"{file} is a folder; expected a study file", _study_files(file))
    if not file.exists():
        raise ProtocolError(f"{file} does not exist; expected a study file", _study_files(file.parent))
    if not file.is_file():
        raise ProtocolError(f"{file} is not a regular file; expected a study file")
    try:
        with file.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise ProtocolError(f"{file} cannot be read: {error.strerror or error}") from error
    if len(content) > MOST_BYTES:
        raise ProtocolError(f"{file.name} is longer than {MOST_BYTES:,} bytes; expected a study file")
    return _decode(content, file.name)


def _study_files(folder: Path) -> Iterator[Problem]:
    """Name the study files of a folder, as a hint."""
    for each in sorted(folder.glob("*.toml"))[:10] if folder.is_dir() else ():
        yield Problem(where=str(each), found="is one", todo="Give this path if it is meant")


def _decode(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
        problem = Problem(
            where=f"byte {error.start + 1}",
            found="text in UTF-16" if utf16 else "a byte that is not UTF-8",
            expected="text in UTF-8",
            todo="Save the file again with encoding UTF-8",
            line=None if utf16 else content.count(b"\n", 0, error.start) + 1,
        )
        raise ProtocolError(f"{name} is not a text file in UTF-8", [problem]) from error


def _toml(text: str, name: str) -> dict[str, Any]:
    if not isinstance(text, str):
        raise ProtocolError(f"a protocol is parsed from text; found {found(text)}")
    if len(text) > MOST_BYTES:
        raise ProtocolError(f"{name} is longer than {MOST_BYTES:,} characters")
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") > MOST_DOTS_A_LINE:
            problem = Problem(
                where="dots", found=f"{line.count('.')} of them", expected=f"{MOST_DOTS_A_LINE} at most", line=number
            )
            raise ProtocolError(f"{name} cannot be read as TOML", [problem])
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except RecursionError:
        raise ProtocolError(f"{name} cannot be read as TOML: lists or tables lie too deep in each other") from None
    except ValueError as error:
        raise ProtocolError(f"{name} cannot be read as TOML", [_syntax_problem(str(error), text)]) from None


_PLACE = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")
_PLAIN = (
    ("Cannot overwrite a value", "a key that is given twice", ""),
    ("Cannot declare", "a table that is given twice", "Use double brackets for one of several, such as [[outcome]]"),
    ("Duplicate inline table key", "a key that is given twice", ""),
    ("Cannot mutate immutable namespace", "an addition to a table or list that is already complete", ""),
    ("Cannot redefine namespace", "a table that is given twice", ""),
    ("Invalid value", "a value that TOML does not know", "Put text in quotes; write true and false in small letters"),
    ("Unterminated string", "text without its closing quote", ""),
    ("Illegal character '\\n'", "text without its closing quote", ""),
    ("Unescaped", "a backslash within text", "Write paths with /, or text in single quotes"),
    ("Invalid hex value", "a backslash within text", "Write paths with /, or text in single quotes"),
    ("Expected '=' after a key", "a key without = and a value", ""),
    ("Expected newline or end of document", "something after the end of a value", "Put it on a line of its own"),
    ("Invalid statement", "a line that starts with neither a key nor a [table]", ""),
    ("Invalid initial character for a key part", "a line that starts with neither a key nor a [table]", ""),
    ("Expected ']", "a table header without its closing bracket", ""),
    ("Unclosed array", "a list without its closing bracket", ""),
    ("Unclosed inline table", "a table without its closing brace", ""),
    ("Invalid date or datetime", "a date that does not exist", ""),
    ("Exceeds the limit", "a number with too many digits", ""),
)


def _syntax_problem(message: str, text: str) -> Problem:
    """Return what the TOML reader said, in plain words where there are some."""
    place = _PLACE.search(message)
    bare = message[: place.start()] if place else message
    plain = next(((words, todo) for start, words, todo in _PLAIN if bare.startswith(start)), (bare, ""))
    if place is None:
        return Problem(where="", found=plain[0], todo=plain[1])
    if place.group(1) is None:
        return Problem(where="end of the file", found="something is not complete", line=text.count("\n") + 1)
    return Problem(where=f"column {place.group(2)}", found=plain[0], todo=plain[1], line=int(place.group(1)))


# --- table to flaws -------------------------------------------------------------------------------

_HISTORY, _HISTORY_HERE_TOO = ("data", "history"), ("time_zero", "history")


def _by_alias(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Name sections as a study file does."""
    names = {name: field.alias or name for name, field in Protocol.model_fields.items()}
    return {names.get(key, key): value for key, value in raw.items()}


def _with_history_in_data(raw: Mapping[str, Any]) -> tuple[dict[str, Any], list[Flaw]]:
    """Let ``[time_zero] history`` say what ``[data] history`` says."""
    data, time_zero = raw.get("data"), raw.get("time_zero")
    if not isinstance(time_zero, Mapping) or "history" not in time_zero:
        return dict(raw), []
    rest = {key: value for key, value in time_zero.items() if key != "history"}
    if not isinstance(data, Mapping):
        return {**raw, "time_zero": rest}, []
    if "history" in data:
        flaw = Flaw(path=_HISTORY_HERE_TOO, found="the history is named in [data] already", todo="Name it once")
        return {**raw, "time_zero": rest}, [flaw]
    return {**raw, "time_zero": rest, "data": {**data, "history": time_zero["history"]}}, []


def _refusal(flaws: list[Flaw], context: Mapping[str, Any]) -> ProtocolError:
    """Return the error that tells every flaw, in the order of the file."""
    lines = context["lines"]() if context else TomlLines("")
    problems = []
    for flaw in flaws[:MOST_PROBLEMS]:
        line = lines.nearest(flaw.path)
        if flaw.path == _HISTORY and lines.exact(_HISTORY) is None and lines.exact(_HISTORY_HERE_TOO) is not None:
            flaw, line = replace(flaw, path=_HISTORY_HERE_TOO), lines.exact(_HISTORY_HERE_TOO)
        problems.append(flaw.at(line))
    problems.sort(key=lambda problem: problem.line or 0)
    name = context.get("name", "the protocol")
    if len(flaws) > MOST_PROBLEMS:
        return ProtocolError(f"{name} has more than {MOST_PROBLEMS} problems, among them:", problems)
    return ProtocolError(f"{name} has {'one problem' if len(flaws) == 1 else f'{len(flaws)} problems'}:", problems)


# --- table to text --------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """Return parts as tables named as in a study file, without what does not apply."""
    if isinstance(value, Part):
        return {
            key: _plain(getattr(value, name))
            for name, field in type(value).model_fields.items()
            for key in (field.alias or name,)
            if _applies(getattr(value, name))
        }
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    return value


def _applies(value: Any) -> bool:
    return value is not None and value != () and value != {}


def _without_null(schema: Any) -> Any:
    """Drop the null of optional values, which TOML does not have."""
    if isinstance(schema, list):
        return [_without_null(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _without_null(item) for key, item in schema.items() if not (key == "default" and item is None)}
    kinds = [kind for kind in plain.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        del plain["anyOf"]
        return {**kinds[0], **plain}
    return {**plain, "anyOf": kinds} if kinds else plain
