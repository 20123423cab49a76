"""The public names with their one-line purposes, each with the page that documents it."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path

import causal_s4 as s4
from docs.make.markdown import ROOT, plain, table, write

PAGES = ROOT / "docs" / "api"
_ENTRY = re.compile(r"^::: ([\w.]+)$", re.MULTILINE)


def write_api_names(folder: Path) -> None:
    """Write one row a public name."""
    where = documented()
    rows = []
    for name, home in public_homes().items():
        purpose = (inspect.getdoc(getattr(import_module(home), name)) or "").splitlines()[0]
        entry = f"{home}.{name}"
        rows.append((f"[`s4.{name}`]({where[entry]}#{entry})", plain(purpose)))
    write(folder / "names.md", table(("Name", "What it is for"), rows))


def public_homes() -> dict[str, str]:
    """Return the module that each public name is loaded from."""
    return dict(s4._HOMES)


def documented() -> dict[str, str]:
    """Return the page of each object that has an entry."""
    return {
        entry: page.name for page in sorted(PAGES.glob("*.md")) for entry in _ENTRY.findall(page.read_text("utf-8"))
    }
