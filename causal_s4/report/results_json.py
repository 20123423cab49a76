"""``results.json``: a study result as text that programs read, and the same result back from it.

The document has the contract's keys, sorted, with ``null`` for what is not a finite number. So that
nothing is lost, ``layout`` tells for each place (a JSON pointer) which ``null`` was ``nan`` or an
infinity, and the order of keys where it is not the alphabet's. The steps of curves are in
``tables/curves.csv`` and the drawing of the diagram is a figure; both are handed to :func:`decoded`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from causal_s4.errors import InputError, ProtocolError
from causal_s4.protocol.protocol import Protocol
from causal_s4.protocol.vocabulary import Arm, TimeUnit
from causal_s4.report.suppression import suppressed
from causal_s4.results import (
    NOT_SHOWN,
    AdjustmentSet,
    Alignment,
    BalanceOverTime,
    BalanceRow,
    BalanceTable,
    Benchmark,
    CloneFlow,
    CohortSummary,
    EffectEstimate,
    EffectTable,
    Finding,
    Floats,
    HazardsCheck,
    Ints,
    Positivity,
    Provenance,
    RegressionTable,
    ScoreTest,
    SensitivityResult,
    StudyResult,
    SurvivalCurve,
    WeightSummary,
)

SCHEMA = "causal-s4/results/1"
LONGEST = 200_000_000
"""A longer file, in bytes, is refused."""
STEPS = ("times", "survival", "std_error", "lower", "upper")
"""The columns of a curve that are in ``tables/curves.csv``."""
_MOST = 2**53
_SEVERITIES = ("note", "caution", "serious")
_UNITS, _ARMS = tuple(map(str, TimeUnit)), tuple(map(str, Arm))
# What a text may be, where not every text will do.
_WORDS: Mapping[tuple[str, str], Sequence[str]] = {
    ("CohortSummary", "time_unit"): _UNITS,
    ("SurvivalCurve", "unit"): _UNITS,
    ("SurvivalCurve", "arm"): _ARMS,
    ("CloneFlow", "unit"): _UNITS,
    ("CloneFlowRow", "arm"): _ARMS,
    ("BalanceOverTime", "unit"): _UNITS,
    ("Alignment", "unit"): _UNITS,
    ("Finding", "severity"): _SEVERITIES,
    ("AdjustmentSet", "verdict"): ("adjust", "none needed", "not identified"),
    ("BalanceRow", "kind"): ("continuous", "binary", "level"),
}
# Python's own version changes no number, and would make equal results differ: it is in tables/provenance.csv.
_ELSEWHERE = {"AdjustmentSet": ("drawing",), "Provenance": ("python",), "SurvivalCurve": STEPS}
_ABOUT_BALANCE = ("population", "denominator", "ess_treated", "ess_control")
_LISTS: Mapping[str, type] = {
    "other_weights": WeightSummary,
    "other_balance": BalanceTable,
    "tests": ScoreTest,
    "hazards": HazardsCheck,
    "regressions": RegressionTable,
    "benchmarks": Benchmark,
    "sensitivity": SensitivityResult,
    "findings": Finding,
}
_SINGLES: Mapping[str, type] = {
    "weights": WeightSummary,
    "positivity": Positivity,
    "alignment": Alignment,
    "clone_flow": CloneFlow,
    "balance_over_time": BalanceOverTime,
}


# --- out ------------------------------------------------------------------------------------------


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
    The steps of curves are in ``tables/curves.csv``. Counts below the protocol's ``suppress_below`` are
    ``null``.
    """
    writer = _Writer()
    document = {key: writer.plain(value, f"/{key}") for key, value in _document(suppressed(result)).items()}
    document["layout"] = {"not_finite": writer.not_finite, "order": writer.order}
    return json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _document(result: StudyResult) -> dict[str, Any]:
    balance = result.balance
    named = {name: getattr(result, name) for name in (*_SINGLES, *_LISTS)}
    adjustment = _record(result.adjustment)
    return named | {
        "schema": SCHEMA,
        "title": result.protocol.title,
        "seed": result.protocol.seed,
        "protocol": result.protocol.to_toml(),
        "provenance": result.provenance,
        "cohort": result.cohort,
        "adjustment": {"set" if name == "nodes" else name: value for name, value in adjustment.items()},
        "balance": balance.rows if balance else (),
        "balance_about": {name: getattr(balance, name) for name in _ABOUT_BALANCE} if balance else None,
        "estimates": result.effects.estimates,
        "estimates_findings": result.effects.findings,
        "curves": [{**_record(curve), "steps": len(curve.times)} for curve in result.curves],
    }


def _names(kind: type) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind) if each.name not in _ELSEWHERE.get(kind.__name__, ()))


def _record(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in _names(type(value))}


class _Writer:
    """Turns values into what JSON knows, and notes what it does not."""

    def __init__(self) -> None:
        self.not_finite: dict[str, str] = {}
        self.order: dict[str, list[str]] = {}

    def plain(self, value: Any, at: str) -> Any:
        if isinstance(value, Enum):
            return self.plain(value.value, at)
        if value is None or isinstance(value, str | bool):
            return value
        if isinstance(value, np.generic | np.ndarray):
            return self._array(value, at)
        if isinstance(value, int):
            return None if value == NOT_SHOWN and _counts(at) else value
        if isinstance(value, float):
            return self._number(value, at)
        if isinstance(value, Mapping):
            return self._mapping({str(_key(key)): item for key, item in value.items()}, at)
        if isinstance(value, set | frozenset):
            return sorted(self.plain(item, at) for item in value)
        if isinstance(value, list | tuple):
            return self._list(value, at)
        if is_dataclass(value):
            record = _record(value)
            return {name: self.plain(item, _place(at, name)) for name, item in record.items()}
        return str(value)

    def _number(self, value: float, at: str) -> float | None:
        if math.isfinite(value):
            return value
        self.not_finite[at] = repr(value)
        return None

    def _array(self, value: Any, at: str) -> Any:
        if isinstance(value, np.ndarray) and value.dtype.kind == "i":
            return [None if item == NOT_SHOWN else item for item in value.tolist()]
        return self.plain(value.tolist(), at)

    def _mapping(self, value: Mapping[str, Any], at: str) -> dict[str, Any]:
        self._keep_order(list(value), at)
        return {name: self.plain(item, _place(at, name)) for name, item in value.items()}

    def _list(self, value: Sequence[Any], at: str) -> list[Any]:
        if value and all(isinstance(item, Mapping) for item in value):
            # Rows of a grid share one order.
            self._keep_order(list(dict.fromkeys(str(_key(key)) for row in value for key in row)), at)
            return [
                {name: self.plain(item, _place(f"{at}/{index}", name)) for name, item in row.items()}
                for index, row in enumerate(value)
            ]
        return [self.plain(item, f"{at}/{index}") for index, item in enumerate(value)]

    def _keep_order(self, names: list[str], at: str) -> None:
        if names != sorted(names) and at.count("/") > 1:
            self.order[at] = names


def _counts(at: str) -> bool:
    """Tell whether whole numbers at a place are numbers of patients that may be hidden."""
    return not ("/parameters/" in at or "/table/" in at or "/numbers/" in at)


def _key(key: Any) -> Any:
    return key.value if isinstance(key, Enum) else key


def _place(at: str, name: str) -> str:
    return f"{at}/{name.replace('~', '~0').replace('/', '~1')}"


# --- in -------------------------------------------------------------------------------------------


def document_of(text: bytes, name: str) -> dict[str, Any]:
    """Return the document of a ``results.json``, its syntax and version checked.

    Parameters
    ----------
    text : bytes
        The file's content.
    name : str
        What messages call it.

    Raises
    ------
    InputError
        When it is not JSON of a version that this package reads.
    """
    try:
        document = json.loads(text.decode("utf-8"), object_pairs_hook=_no_key_twice, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not text in UTF-8: byte {error.start + 1} is no part of it") from None
    except RecursionError:
        raise InputError(f"{name} is not a result of this package: it lies too deep in itself") from None
    except json.JSONDecodeError as error:
        cut = " (the file may be cut off)" if error.pos >= len(error.doc.rstrip()) else ""
        raise InputError(
            f"{name} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}{cut}. Write the report again "
            "with causal-s4 run"
        ) from None
    except ValueError as error:
        raise InputError(f"{name} cannot be read: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("schema"), str):
        raise InputError(f'{name} is not a result of this package; expected a "schema" such as {SCHEMA!r}')
    if document["schema"] != SCHEMA:
        raise InputError(
            f"{name}: schema is {_shown(document['schema'])}; this version reads {SCHEMA!r}. Use the version of causal_s4 "
            "that wrote it, or run the study again"
        )
    return document


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for index, (key, _) in enumerate(pairs) if key in dict(pairs[:index]))
        raise ValueError(f"the key {_shown(twice)} stands twice in one object")
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON; what is not a finite number is null")


def decoded(
    document: Mapping[str, Any],
    name: str,
    *,
    steps: Sequence[Sequence[Floats]] | None = None,
    drawing: str = "",
    python: str = "",
) -> StudyResult:
    """Return the study result that a document was made of.

    Parameters
    ----------
    document : mapping
        From :func:`document_of`.
    name : str
        What messages call the file.
    steps : sequence of sequences of ndarray, optional
        For each curve its columns, in the order of :data:`STEPS`; without them the result has no curves.
    drawing : str
        The diagram, as SVG.
    python : str
        Version of Python that the result was made with.

    Raises
    ------
    InputError
        Naming the place of whatever is missing, unknown or of another type than a result has.
    """
    read = _Reader(document, name)
    read.keys()
    effects = EffectTable(
        estimates=read.items("estimates", EffectEstimate), findings=read.items("estimates_findings", Finding)
    )
    protocol = read.protocol()
    curves = read.curves(steps)
    cohort = read.value(CohortSummary, document["cohort"], "/cohort")
    outcomes = [outcome.name for outcome in protocol.outcomes]
    if list(cohort.events) != outcomes:
        read.refuse("/cohort/events", f"events of {len(cohort.events)} outcomes", "those of the protocol, in its order")
    return StudyResult(
        protocol=protocol,
        cohort=cohort,
        adjustment=read.adjustment(drawing),
        balance=read.balance(),
        curves=curves,
        effects=effects,
        provenance=read.provenance(python),
        **read.rest(),
    )


class _Reader:
    """Reads values of declared types out of a document; anything else is refused with its place."""

    def __init__(self, document: Mapping[str, Any], name: str) -> None:
        self.document, self.name = document, name
        layout = document.get("layout")
        parts = [layout.get(key) if isinstance(layout, dict) else None for key in ("not_finite", "order")]
        if not all(isinstance(part, dict) for part in parts):
            self.refuse("/layout", "it is missing or not an object", "not_finite and order")
        self.not_finite, self.order = (dict(part or {}) for part in parts)
        self.hides = False

    def refuse(self, at: str, found: str, expected: str) -> None:
        """Raise the one error of a document that is not a result."""
        made = self.document.get("provenance")
        by = made.get("causal_s4") if isinstance(made, dict) else None
        written = f" It was written by causal_s4 {_shown(by)}." if isinstance(by, str) else ""
        raise InputError(
            f"{self.name}: {at.lstrip('/').replace('/', '.') or 'the document'}: {found}; expected {expected}.{written} "
            "Run the study again to have it whole"
        )

    # --- parts ------------------------------------------------------------------------------------

    def keys(self) -> None:
        known = {
            *("schema", "title", "seed", "protocol", "provenance", "cohort", "adjustment", "layout"),
            *("balance", "balance_about", "estimates", "estimates_findings", "curves"),
            *_SINGLES,
            *_LISTS,
        }
        self._same_keys(self.document, known, "")

    def protocol(self) -> Protocol:
        text = self.value(str, self.document["protocol"], "/protocol")
        try:
            protocol = Protocol.parse(text)
        except ProtocolError as error:
            raise InputError(f"{self.name}: protocol: {error.message}", error.problems) from None
        for key in ("title", "seed"):
            if self.document[key] != getattr(protocol, key):
                self.refuse(f"/{key}", "it is not that of the protocol in the same file", "the same in both places")
        self.hides = bool(protocol.report.suppress_below)
        return protocol

    def provenance(self, python: str) -> Provenance | None:
        found = self.document["provenance"]
        return None if found is None else self.value(Provenance, found, "/provenance", python=python)

    def adjustment(self, drawing: str) -> AdjustmentSet:
        found = self.mapping(self.document["adjustment"], "/adjustment")
        renamed = {"nodes" if key == "set" else key: value for key, value in found.items()}
        adjustment: AdjustmentSet = self.value(AdjustmentSet, renamed, "/adjustment", drawing=drawing)
        return adjustment

    def balance(self) -> BalanceTable | None:
        rows, about = self.items("balance", BalanceRow), self.document["balance_about"]
        if about is None:
            return None
        self._same_keys(self.mapping(about, "/balance_about"), set(_ABOUT_BALANCE), "/balance_about")
        hints = _hints(BalanceTable)
        return BalanceTable(
            rows=rows,
            **{key: self.value(hints[key], about[key], f"/balance_about/{key}") for key in _ABOUT_BALANCE},
        )

    def curves(self, steps: Sequence[Sequence[Floats]] | None) -> tuple[SurvivalCurve, ...]:
        found = self.list(self.document["curves"], "/curves")
        curves = []
        for index, record in enumerate(found):
            at = f"/curves/{index}"
            rest = dict(self.mapping(record, at))
            count = self.value(int, rest.pop("steps", None), f"{at}/steps")
            empty = [np.zeros(0)] * len(STEPS)
            columns = dict(zip(STEPS, steps[index] if steps is not None else empty, strict=True))
            if steps is not None and (count < 1 or any(len(column) != count for column in columns.values())):
                self.refuse(f"{at}/steps", f"{len(columns['times'])} steps in tables/curves.csv", f"{count}")
            curve = self.value(SurvivalCurve, rest, at, **columns)
            if not len(curve.risk_times) == len(curve.at_risk) == len(curve.ess_at_risk) > 0:
                self.refuse(
                    f"{at}/at_risk", "times and numbers at risk that do not match", "as many of each, at least one"
                )
            curves.append(curve)
        return tuple(curves) if steps is not None else ()

    def rest(self) -> dict[str, Any]:
        """Return the parts that stand in the document as they are."""
        singles = {
            key: None if self.document[key] is None else self.value(kind, self.document[key], f"/{key}")
            for key, kind in _SINGLES.items()
        }
        return singles | {key: self.items(key, kind) for key, kind in _LISTS.items()}

    def items(self, key: str, kind: type) -> tuple[Any, ...]:
        found = self.list(self.document[key], f"/{key}")
        return tuple(self.value(kind, item, f"/{key}/{index}") for index, item in enumerate(found))

    # --- values -----------------------------------------------------------------------------------

    def mapping(self, value: Any, at: str) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            self.refuse(at, _kind(value), "an object")
        return value  # type: ignore[no-any-return]

    def list(self, value: Any, at: str) -> Sequence[Any]:
        if not isinstance(value, list):
            self.refuse(at, _kind(value), "a list")
        return value  # type: ignore[no-any-return]

    def _same_keys(self, found: Mapping[str, Any], wanted: set[str], at: str) -> None:
        for key in sorted(wanted - set(found)):
            self.refuse(_place(at, key), "it is missing", "it to be there")
        for key in sorted(set(found) - wanted):
            self.refuse(_place(at, _shown(key)), "it is unknown to this version", "only keys that it knows")

    def value(self, hint: Any, value: Any, at: str, **given: Any) -> Any:
        """Return a value of a declared type."""
        origin, inner = get_origin(hint), get_args(hint)
        if hint in (Floats, Ints):
            return self._array(hint, value, at)
        if origin in (Union, UnionType):
            return self._union(inner, value, at)
        if is_dataclass(hint):
            return self._dataclass(hint, value, at, given)
        if origin is tuple:
            return self._tuple(inner, value, at)
        if origin is not None:
            return self._mapping(inner[1], value, at)
        return self._any(value, at) if hint is Any else self._scalar(hint, value, at)

    def _dataclass(self, kind: Any, value: Any, at: str, given: Mapping[str, Any]) -> Any:
        found, names = self.mapping(value, at), _names(kind)
        self._same_keys(found, set(names), at)
        hints = _hints(kind)
        made = {name: self.value(hints[name], found[name], _place(at, name)) for name in names}
        for name in names:
            allowed = _WORDS.get((kind.__name__, name))
            if allowed is not None and made[name] not in allowed:
                self.refuse(_place(at, name), _shown(made[name]), f"one of {', '.join(allowed)}")
        if kind is BalanceRow and made["kind"] != "continuous":
            counts = {name: made[name] for name in ("count_treated", "count_control")}
            made |= {name: self.value(int, count, _place(at, name)) for name, count in counts.items()}
        if kind is SensitivityResult and made["target"].get("horizon") is not None:
            self.value(float, made["target"]["horizon"], _place(_place(at, "target"), "horizon"))
        return kind(**made, **given)

    def _union(self, inner: Sequence[Any], value: Any, at: str) -> Any:
        if value is None and at not in self.not_finite:
            return None
        (kind,) = (each for each in inner if each is not NoneType)
        return self.value(kind, value, at)

    def _tuple(self, inner: Sequence[Any], value: Any, at: str) -> tuple[Any, ...]:
        found = self.list(value, at)
        if inner[-1] is Ellipsis:
            kinds: Sequence[Any] = [inner[0]] * len(found)
        elif len(found) == len(inner):
            kinds = inner
        else:
            self.refuse(at, f"{len(found)} values", str(len(inner)))
        order = self._order(at)
        made = (self.value(k, item, f"{at}/{i}") for i, (k, item) in enumerate(zip(kinds, found, strict=True)))
        return tuple(_ordered(each, order) if order else each for each in made)

    def _mapping(self, hint: Any, value: Any, at: str) -> dict[str, Any]:
        found = _ordered(self.mapping(value, at), self._order(at))
        return {self._text(key, at): self.value(hint, item, _place(at, key)) for key, item in found.items()}

    def _any(self, value: Any, at: str) -> Any:
        if isinstance(value, dict):
            return self._mapping(Any, value, at)
        if isinstance(value, list):
            order = self._order(at)
            made = [self._any(item, f"{at}/{index}") for index, item in enumerate(value)]
            return [_ordered(each, order) if isinstance(each, dict) and order else each for each in made]
        if value is None:
            return float(self.not_finite[at]) if self._special(at) else None
        return self._scalar(type(value), value, at)

    def _scalar(self, kind: Any, value: Any, at: str) -> Any:
        if kind is float:
            return self._number(value, at)
        if kind is int and value is None and self.hides:
            return NOT_SHOWN
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self.refuse(at, _kind(value), _KINDS[kind])
        if kind is int and abs(value) > _MOST:
            self.refuse(at, "a number too large", f"at most {_MOST:,}")
        return self._text(value, at) if kind is str else value

    def _number(self, value: Any, at: str) -> float:
        if value is None and self._special(at):
            return float(self.not_finite[at])
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.refuse(at, _kind(value), "a number")
        try:
            finite = math.isfinite(value)
        except OverflowError:
            finite = False
        if not finite:
            self.refuse(at, "a number too large", "a finite number")
        return value  # type: ignore[no-any-return]

    def _special(self, at: str) -> bool:
        return self.not_finite.get(at) in ("nan", "inf", "-inf")

    def _text(self, value: str, at: str) -> str:
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            self.refuse(at, "half a character", "text")
        return value

    def _array(self, hint: Any, value: Any, at: str) -> Any:
        found = self.list(value, at)
        kind: Any = int if hint == Ints else float
        made = [self._scalar(kind, item, f"{at}/{index}") for index, item in enumerate(found)]
        return np.array(made, dtype=np.int64 if kind is int else np.float64)

    def _order(self, at: str) -> Sequence[str]:
        found = self.order.get(at, ())
        if not isinstance(found, list | tuple) or not all(isinstance(each, str) for each in found):
            self.refuse(f"/layout/order/{at}", _kind(found), "a list of keys")
        return found  # type: ignore[no-any-return]


def _ordered(value: Mapping[str, Any], order: Sequence[str]) -> dict[str, Any]:
    """Return a mapping with its keys in an order; those it does not name come last."""
    return {key: value[key] for key in (*(k for k in order if k in value), *(k for k in value if k not in set(order)))}


@cache
def _hints(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)


_KINDS: Mapping[type, str] = {int: "a whole number", str: "text", bool: "true or false", float: "a number"}


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    return _KINDS.get(type(value), "a list" if isinstance(value, list) else "an object")


def _shown(text: Any) -> str:
    """Return a text from a file, short and on one line."""
    return repr(str(text)[:60])
