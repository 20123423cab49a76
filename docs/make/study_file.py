"""Every key of study.toml, from the JSON Schema that the program itself checks files against."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from causal_s4.probe.registry import ANALYSES, AnalysisKind
from causal_s4.protocol.methods import DESIGNS, SENSITIVITY_ANALYSES, VARIANCES, WEIGHTING_METHODS
from causal_s4.protocol.protocol import Protocol
from docs.make.markdown import linked, plain, table, write

_MANY = 2**53
HEADINGS = ("Key", "What it says", "Kind", "Default")


def write_study_file(folder: Path) -> None:
    """Write the keys of every section, and what goes with what."""
    schema = Protocol.json_schema()
    write(folder / "keys.md", "\n".join(sections(schema)))
    write(folder / "schema.json", json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    write(folder / "designs.md", designs())
    write(folder / "without_effect.md", without_effect())
    write(folder / "methods.md", weighting_methods())
    write(folder / "variances.md", variances())
    write(folder / "sensitivity.md", sensitivity_blocks())


def sections(schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield the table of each section, those of the top level first."""
    parts = dict(schema["properties"])
    nested = {name: where for name, each in parts.items() if (where := section_of(each, schema)) is not None}
    top = {name: each for name, each in parts.items() if name not in nested}
    yield "### At the top\n\n" + keys(top, schema.get("required", []), schema)
    for name, (heading, part) in nested.items():
        if name == "sensitivity":  # its blocks have a table of their own
            continue
        shown = heading.format(name)
        yield f"### `{shown}`\n\n{part.get('description', '')}\n\n" + keys(
            part["properties"], part.get("required", []), schema
        )


def section_of(part: Mapping[str, Any], schema: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """Return how a section is headed in TOML and its own schema; None for a plain key."""
    for heading, inside in (
        ("[{}]", part),
        ("[[{}]]", part.get("items")),
        ("[{}] COLUMN", part.get("additionalProperties")),
    ):
        if isinstance(inside, Mapping):
            found = resolved(inside, schema)
            if "properties" in found:
                return heading, found
    return None


def resolved(part: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference to a definition, also one that stands in a choice."""
    for option in (part, *part.get("allOf", ()), *part.get("anyOf", ())):
        if "$ref" in option:
            found: Mapping[str, Any] = schema["$defs"][option["$ref"].rsplit("/", 1)[1]]
            return found
    return part


def keys(properties: Mapping[str, Any], required: list[str], schema: Mapping[str, Any]) -> str:
    """Return one row a key."""
    rows = []
    for name, part in properties.items():
        kind = kind_of(resolved(part, schema))
        default = "**required**" if name in required else default_of(part)
        rows.append((f"`{name}`", plain(part.get("description", "")), kind, default))
    return table(HEADINGS, rows)


def default_of(part: Mapping[str, Any]) -> str:
    """Return a default as TOML would write it; empty when a key is simply left out."""
    value = part.get("default")
    return "" if value in (None, [], {}, ()) else f"`{json.dumps(value, ensure_ascii=False)}`"


def kind_of(part: Mapping[str, Any]) -> str:
    """Return what a value may be, in words."""
    if "enum" in part:
        return ", ".join(f"`{value}`" for value in part["enum"])
    if "const" in part:
        return f"`{json.dumps(part['const'])}`"
    if "anyOf" in part or "oneOf" in part:
        options = [kind_of(each) for each in part.get("anyOf", part.get("oneOf", ())) if each.get("type") != "null"]
        one, *rest = dict.fromkeys(options)
        return " or ".join([one, *("a list of them" if each == f"list of {one}" else each for each in rest)])
    kind = part.get("type")
    if isinstance(kind, list):
        return " or ".join({"string": "text", "boolean": "true or false"}.get(each, each) for each in kind)
    if kind == "array":
        return f"list of {kind_of(part['items'])}" if "items" in part else "list"
    if kind == "object":
        return "table"
    if "pattern" in part:
        return 'length of time, such as `"6 months"`'
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    return words.get(str(kind), "") + limits(part)


def limits(part: Mapping[str, Any]) -> str:
    """Return the range of a number."""
    low, high = part.get("minimum"), part.get("maximum", math.inf)
    if "exclusiveMinimum" in part and "exclusiveMaximum" in part:
        return f", between {part['exclusiveMinimum']:g} and {part['exclusiveMaximum']:g}"
    if low is None:
        return ""
    return f", {low:g} to {high:,}" if high < _MANY else f", {low:g} or more"


# --- what goes with what ------------------------------------------------------------------------


def designs() -> str:
    """Return what each design of time zero needs and whom it is about."""
    rows = [
        (
            f"`{record.design}`",
            ", ".join(f"`{key}`" for key in record.requires) or "–",
            ", ".join(population.value for population in record.populations) or "none is claimed",
            linked(record.citation),
        )
        for record in DESIGNS.values()
    ]
    return table(("Design", "Needs", "Populations", "Source"), rows)


def without_effect() -> str:
    """Return the keys that each design refuses."""
    rows = [(f"`{each.design}`", ", ".join(f"`{key}`" for key in each.refuses)) for each in DESIGNS.values()]
    return table(("Design", "Would have no effect, and is refused"), rows)


def weighting_methods() -> str:
    """Return the ways to make weights."""
    rows = [
        (
            f"`{record.name}`",
            record.label,
            ", ".join(population.value for population in record.populations),
            ", ".join(f"`{option}`" for option in record.refuses) or "–",
            linked(record.citation),
        )
        for record in WEIGHTING_METHODS.values()
    ]
    return table(("Method", "In words", "Populations", "Refuses", "Source"), rows)


def variances() -> str:
    """Return the ways to make intervals."""
    rows = [
        (f"`{record.name}`", ", ".join(f"`{option}`" for option in record.options) or "–", linked(record.citation))
        for record in VARIANCES.values()
    ]
    return table(("Method", "Its own options", "Source"), rows)


def sensitivity_blocks() -> str:
    """Return the options of each sensitivity analysis, and where it can be asked for."""
    rows = []
    for name in SENSITIVITY_ANALYSES:
        kind = ANALYSES.get(name)
        if kind is None:  # a list of landmarks or grace periods asks for it
            key = f"time_zero.{name.removesuffix('-grid').replace('-', '_')}"
            rows.append((f"`{name}`", f"a list in `{key}`", "–"))
            continue
        designs = "fixed arms" if kind.fixed_arms else "every design"
        rows.append((f"`{name}`", f"{designs}, only if asked for" if kind.required else designs, options_of(kind)))
    return table(("Block", "Made under", "Options, with their defaults"), rows)


def options_of(kind: AnalysisKind) -> str:
    """Return the options of a block, one a line."""
    usual = inspect.signature(kind.run).parameters
    lines = []
    for name, read in kind.options.items():
        default = usual[name].default if name in usual and name not in kind.required else None
        shown = "" if default in (None, (), "") else f"; `{toml(default)}`"
        lines.append(f"`{name}`: {'**required**, ' if name in kind.required else ''}{plain(expected(read))}{shown}")
    return "<br>".join(lines) or "–"


def toml(value: Any) -> str:
    """Return a default as a study file would write it."""
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def expected(read: Callable[[Any], Any]) -> str:
    """Return what an option may be, in the words of its own refusal."""
    whole, item = refusal(read, None), refusal(read, [None])
    return whole if item in ("", whole) else f"a list: {item}"


def refusal(read: Callable[[Any], Any], value: Any) -> str:
    """Return what a reader says that it expected; nothing when it takes the value."""
    try:
        read(value)
    except ValueError as error:
        return str(error)
    return ""
