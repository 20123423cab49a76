"""What the validator found wrong, in plain words; and what can be read in spite of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from causal_s4.protocol.fields import REFUSED
from causal_s4.protocol.rules import Draft, Flaw
from causal_s4.protocol.toml_lines import KeyPath
from causal_s4.protocol.words import found, nearest, quoted

MOST_MISTAKES = 200
"""Mistakes put into words; a file with more is not what was meant."""

_A_TABLE = "a table"
_EXPECTED = {"model_type": _A_TABLE, "dict_type": _A_TABLE, "tuple_type": "a list in square brackets"}
_FOLLOWS_FROM_ANOTHER = "default_factory_not_called"

Fields = Mapping[str, FieldInfo]


def flaws_of(error: ValidationError, root: type[BaseModel]) -> list[Flaw]:
    """Return one flaw for each mistake the validator found.

    A mistyped key is told once: not again as the missing key it was meant to be.

    Parameters
    ----------
    error : ValidationError
        From validating a study file.
    root : type
        The model of the whole file.

    Returns
    -------
    list of Flaw
    """
    details = _details(error)
    meant = set(_meant_keys(details, root))
    return [_flaw(each, root) for each in details if not (each["type"] == "missing" and _path(each) in meant)]


def _details(error: ValidationError) -> list[ErrorDetails]:
    """Return the mistakes themselves, up to more than anyone reads."""
    details = (each for each in error.errors(include_url=False) if each["type"] != _FOLLOWS_FROM_ANOTHER)
    return list(islice(details, MOST_MISTAKES))


def _meant_keys(details: list[ErrorDetails], root: type[BaseModel]) -> Iterator[KeyPath]:
    """Yield the key paths that mistyped keys were meant to be."""
    for each in details:
        if each["type"] == "extra_forbidden":
            *around, name = _path(each)
            close = nearest(str(name), _fields(root, tuple(around)))
            if close is not None:
                yield (*around, close)


def _flaw(error: ErrorDetails, root: type[BaseModel]) -> Flaw:
    path, kind, context = _path(error), error["type"], error.get("ctx", {})
    if kind == REFUSED:
        return Flaw(path=path, found=context["found"], expected=context["expected"], todo=context["todo"])
    if kind == "missing":
        return Flaw(path=path, found="missing", expected=_what_is_expected(path, root))
    if kind == "extra_forbidden":
        return Flaw(path=path, found="unknown key", todo=_where_it_may_belong(path, root))
    return Flaw(path=path, found=found(error["input"]), expected=_EXPECTED.get(kind, "another kind of value"))


def _path(error: ErrorDetails) -> KeyPath:
    path = error["loc"]
    return path[:-1] if path and path[-1] == "[key]" else path


def _what_is_expected(path: KeyPath, root: type[BaseModel]) -> str:
    field = _fields(root, path[:-1])[str(path[-1])]
    if field.description:
        return field.description[0].lower() + field.description[1:].rstrip(".")
    return f"a table headed {_header(str(path[-1]), field)}"


def _where_it_may_belong(path: KeyPath, root: type[BaseModel]) -> str:
    name, known = str(path[-1]), _fields(root, path[:-1])
    homes = [_header(key, field) for key, field in by_key(root).items() if name in _inner_fields(field)]
    if name in by_key(root):
        return "It belongs at the top of the file, above the first table"
    if homes:
        return f"It belongs in {' or '.join(homes)}"
    close = nearest(name, known)
    return f"Did you mean {quoted(close)}?" if close else f"Known here are {', '.join(known)}"


def _header(key: str, field: FieldInfo) -> str:
    return f"[[{key}]]" if _is_list(field) else f"[{key}]"


def _is_list(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is tuple


def by_key(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of a model by their name in the study file."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _fields(root: type[BaseModel], path: KeyPath) -> Fields:
    """Return the known keys of the table at a path."""
    fields: Fields = by_key(root)
    for part in path:
        if isinstance(part, str) and part in fields:
            fields = _inner_fields(fields[part])
    return fields


def _inner_fields(field: FieldInfo) -> Fields:
    for model in _models(field.annotation):
        return by_key(model)
    return {}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


# --- reading on in spite of it --------------------------------------------------------------------


def salvage(raw: Mapping[str, Any], error: ValidationError, root: type[BaseModel]) -> Draft:
    """Return what can be read of a study file once the refused values are set aside.

    Parameters
    ----------
    raw : mapping
        The file as the TOML reader gave it.
    error : ValidationError
        From validating it.
    root : type
        The model of the whole file.

    Returns
    -------
    Draft
    """
    details = _details(error)
    refused = {_entry(_path(each)) for each in details}
    refused |= {_entry(path) for path in _meant_keys(details, root)}
    sections = {key: _section(field, raw.get(key), key, refused) for key, field in by_key(root).items()}
    return Draft(sections, refused)


def _entry(path: KeyPath) -> KeyPath:
    """Cut a key path down to the entry of the section that holds it."""
    return path[:3] if len(path) > 1 and isinstance(path[1], int) else path[:2]


def _section(field: FieldInfo, value: Any, key: str, refused: set[KeyPath]) -> Any:
    model = next(_models(field.annotation), None)
    if value is None:
        return field.default if isinstance(field.default, BaseModel) else None
    if model is None or get_origin(field.annotation) is dict:
        return value
    if not _is_list(field):
        return _read(model, value, (key,), refused)
    items = enumerate(value if isinstance(value, list | tuple) else ())
    read = {index: _read(model, item, (key, index), refused) for index, item in items}
    return {index: item for index, item in read.items() if item is not None}


def _read(model: type[BaseModel], value: Any, path: KeyPath, refused: set[KeyPath]) -> BaseModel | None:
    """Read a table without its refused entries; refuse the whole of it when it cannot be read so."""
    if isinstance(value, Mapping):
        value = {name: item for name, item in value.items() if (*path, name) not in refused}
    try:
        return model.model_validate(value)
    except ValidationError:
        refused.add(path)
        return None
