"""The kinds of value a study file holds, each refusing a wrong one in plain words."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from causal_s4.errors import Problem, UsageError
from causal_s4.protocol.methods import is_number
from causal_s4.protocol.vocabulary import Duration
from causal_s4.protocol.words import did_you_mean, found, one_of, quoted

REFUSED = "refused"
"""Type of the validation errors raised here; their context holds the words of a Problem."""

Key = TypeVar("Key")
Value = TypeVar("Value")


def refusal(found: str, *, expected: str = "", todo: str = "") -> PydanticCustomError:
    """Return the error that a validator raises."""
    words = str(Problem(where="", found=found, expected=expected, todo=todo))
    context = {"words": words, "found": found, "expected": expected, "todo": todo}
    return PydanticCustomError(REFUSED, "{words}", context)


class FrozenDict(dict[Key, Value]):
    """A dictionary that cannot be changed, so that a protocol is a value."""

    def _frozen(self, *_: Any, **__: Any) -> Any:
        raise TypeError("a protocol is not changed after it was read; make a new one")

    __setitem__ = __delitem__ = clear = pop = popitem = setdefault = update = __ior__ = _frozen

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> Any:
        return FrozenDict, (dict(self),)


def _describe(schema: dict[str, Any], model: type) -> None:
    schema["description"] = " ".join((inspect.getdoc(model) or "").split("\n\n")[0].split())


class Part(BaseModel):
    """A frozen part of a protocol; unknown keys are refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        arbitrary_types_allowed=True,
        validate_by_name=True,
        validate_by_alias=True,
        field_title_generator=lambda name, _: name.strip("_").replace("_", " ").capitalize(),
        json_schema_extra=_describe,
    )


@dataclass(frozen=True, eq=False)
class Kind:
    """How a value is checked, and how a JSON Schema describes it.

    Parameters
    ----------
    check : callable
        Takes what was found and returns the value, or raises a :func:`refusal`.
    schema : mapping
        Its JSON Schema.
    """

    check: Callable[[Any], Any]
    schema: Mapping[str, Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate by the check alone."""
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe by the schema alone."""
        return dict(self.schema)


# --- text -----------------------------------------------------------------------------------------


def text(value: Any) -> str:
    """Accept text that is not blank."""
    if not isinstance(value, str):
        raise refusal(found(value), expected="text in quotes")
    if not value.strip():
        raise refusal("empty text", expected="text that is not empty")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise refusal(f"{found(value)} holds half a character", expected="text that can be written to a file")
    return str(value)


def _file(value: Any) -> str:
    if "\0" in text(value):
        raise refusal(found(value), expected="the path of a file, relative to the study file")
    return str(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, bool) or is_number(value):
        return value
    raise refusal(found(value), expected="one value as the column holds it: text in quotes, a number, true or false")


def choice(*known: str) -> Kind:
    """Return the kind of a text that is one of a few, naming the nearest to a mistyped one."""

    def check(value: Any) -> str:
        if isinstance(value, str) and value in known:
            return str(value)
        raise refusal(found(value), expected=one_of(known), todo=did_you_mean(value, known))

    return Kind(check, {"type": "string", "enum": list(known)})


def member(vocabulary: type[StrEnum]) -> Kind:
    """Return the kind of one word of a vocabulary."""
    words = choice(*(each.value for each in vocabulary))
    return Kind(lambda value: vocabulary(words.check(value)), words.schema)


Text = Annotated[str, Kind(text, {"type": "string", "minLength": 1})]
FilePath = Annotated[str, Kind(_file, {"type": "string", "minLength": 1})]
Scalar = Annotated[Any, Kind(_scalar, {"type": ["string", "number", "boolean"]})]


def kind_of(value: Any) -> str:
    """Return what kind of column holds a value: text, or numbers (true and false count as 1 and 0)."""
    return "text" if isinstance(value, str) else "numbers"


# --- numbers --------------------------------------------------------------------------------------


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise refusal(found(value), expected="true or false")
    return value


def _true(value: Any) -> bool:
    if value is not True:
        raise refusal(found(value), expected="true", todo="Leave it out where the value need not be known")
    return True


def _number(value: Any) -> float:
    if not is_number(value):
        raise refusal(found(value), expected="a number")
    return value  # type: ignore[no-any-return]


def _share(value: Any) -> float:
    if not (is_number(value) and 0 < value < 1):
        hint = f"Write {value / 100:g}" if is_number(value) and 1 < value < 100 else ""
        raise refusal(found(value), expected="a number between 0 and 1, such as 0.95", todo=hint)
    return float(value)


def whole(lowest: int, highest: int) -> Kind:
    """Return the kind of a whole number within bounds."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            raise refusal(found(value), expected=f"a whole number from {lowest} to {highest}")
        return int(value)

    return Kind(check, {"type": "integer", "minimum": lowest, "maximum": highest})


def checked(check: Callable[[Any], Problem | None], schema: Mapping[str, Any]) -> Kind:
    """Return the kind of a value that a check of :mod:`causal_s4.protocol.methods` accepts."""

    def validate(value: Any) -> Any:
        problem = check(value)
        if problem is not None:
            raise refusal(problem.found, expected=problem.expected, todo=problem.todo)
        return tuple(value) if isinstance(value, list) else value

    return Kind(validate, schema)


Flag = Annotated[bool, Kind(_flag, {"type": "boolean"})]
OnlyTrue = Annotated[bool, Kind(_true, {"const": True})]
Number = Annotated[float, Kind(_number, {"type": "number"})]
Share = Annotated[float, Kind(_share, {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1})]


# --- lengths of time ------------------------------------------------------------------------------

_SHORTEST, _LONGEST = 0.001, 1e6
_DURATION_SCHEMA = {
    "type": "string",
    "pattern": r"^\s*([0-9]+(\.[0-9]*)?|\.[0-9]+)\s*(day|week|month|year)s?\s*$",
    "examples": ["6 months", "5 years"],
}


def _duration(value: Any) -> Duration:
    expected = 'a length of time with its unit, such as "6 months" (days, weeks, months or years)'
    try:
        length = value if isinstance(value, Duration) else Duration.parse(value)
    except UsageError:
        hint = f'Write "{quoted(value)} days" if days are meant' if is_number(value) else ""
        raise refusal(found(value), expected=expected, todo=hint) from None
    if not _SHORTEST <= length.value <= _LONGEST:
        raise refusal(found(str(value)), expected=f"{expected}, from {_SHORTEST} to {_LONGEST:,.0f} of them")
    return length


def in_days(length: Duration) -> float:
    """Return a length in days, rounded so that a year equals twelve months."""
    return round(length.value * length.unit.in_days, 6)


def _increasing(lengths: tuple[Duration, ...]) -> tuple[Duration, ...]:
    for earlier, later in pairwise(lengths):
        if in_days(earlier) == in_days(later):
            raise refusal(f'"{later}" is as long as "{earlier}"', expected="each length once")
        if in_days(earlier) > in_days(later):
            raise refusal(f'"{later}" comes after "{earlier}"', expected="lengths from short to long")
    return lengths


Length = Annotated[Duration, Kind(_duration, _DURATION_SCHEMA), PlainSerializer(str)]


# --- lists and tables -----------------------------------------------------------------------------

_MOST_TABLES = 100
_DEEPEST = 10


def _listed(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        hint = f"Write [{quoted(value)}]" if isinstance(value, str) else ""
        raise refusal(found(value), expected="a list in square brackets", todo=hint)
    return value


def _one_or_listed(value: Any) -> Any:
    return _listed([value] if isinstance(value, str | Duration) else value)


def _not_empty(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values:
        raise refusal("an empty list", expected="at least one")
    return values


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    seen = set()
    for value in values:
        if value in seen:
            raise refusal(f"{quoted(value)} is listed twice", expected="each value once")
        seen.add(value)
    return values


def _pair(value: Any) -> Any:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise refusal(found(value), expected='a pair of columns, such as ["age", "grade"]')
    return value


def _pairs_differ(pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    seen = set()
    for one, other in pairs:
        if one == other:
            raise refusal(f"{quoted(one)} is paired with itself", expected="two different columns")
        if frozenset((one, other)) in seen:
            raise refusal(f"{quoted(one)} and {quoted(other)} are paired twice", expected="each pair once")
        seen.add(frozenset((one, other)))
    return pairs


def _table(value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise refusal(found(value), expected="a table")
    return value


def _tables(value: Any) -> Any:
    if isinstance(value, Mapping):
        raise refusal("a single table", expected="a list of tables", todo="Write its header with double brackets")
    if len(_listed(value)) > _MOST_TABLES:
        raise refusal(f"{len(value)} tables", expected=f"{_MOST_TABLES} at most")
    return value


def _options(value: Any, depth: int = 1) -> Any:
    """Return free-form options as values that cannot be changed; refuse dates and what is not finite."""
    if depth > _DEEPEST:
        raise refusal(f"more than {_DEEPEST} tables or lists within each other", expected="plain options")
    if isinstance(value, Mapping):
        return FrozenDict({text(key): _options(item, depth + 1) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return tuple(_options(item, depth + 1) for item in value)
    return _scalar(value)


Texts = Annotated[tuple[Text, ...], BeforeValidator(_listed), AfterValidator(_distinct)]
Scalars = Annotated[tuple[Scalar, ...], BeforeValidator(_listed), AfterValidator(_not_empty), AfterValidator(_distinct)]
Pairs = Annotated[
    tuple[Annotated[tuple[Text, Text], BeforeValidator(_pair)], ...],
    BeforeValidator(_listed),
    AfterValidator(_pairs_differ),
]
Lengths = Annotated[
    tuple[Length, ...],
    BeforeValidator(_one_or_listed),
    AfterValidator(_increasing),
    WithJsonSchema({"anyOf": [_DURATION_SCHEMA, {"type": "array", "items": _DURATION_SCHEMA}]}),
]
OneOrMoreTexts = Annotated[
    tuple[Text, ...],
    BeforeValidator(_one_or_listed),
    AfterValidator(_not_empty),
    AfterValidator(_distinct),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
OneOrMoreScalars = Annotated[
    tuple[Scalar, ...],
    BeforeValidator(lambda value: value if isinstance(value, list | tuple) else [value]),
    AfterValidator(_not_empty),
    AfterValidator(_distinct),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": ["string", "number", "boolean"]},
                {"type": "array", "items": {"type": ["string", "number", "boolean"]}, "minItems": 1},
            ]
        }
    ),
]
Options = Annotated[dict[str, Any], Kind(lambda value: _options(_table(value)), {"type": "object"})]

listed_once = (BeforeValidator(_listed), AfterValidator(_distinct))
frozen_table = (BeforeValidator(_table), AfterValidator(FrozenDict))
tables = BeforeValidator(_tables)
at_least_one = AfterValidator(_not_empty)
