"""Pages that the repository keeps elsewhere: benchmarks, validation, reference numbers, data, changes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from docs.make.markdown import ROOT, write

SOURCES = {
    "benchmarks.md": "benchmarks/README.md",
    "reference.md": "tests/reference/README.md",
    "data.md": "data/README.md",
    "changes.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
}
_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)[^)]+\)")
_NOT_RUN = "The validation study has not been run in this copy of the repository.\n"


def write_repository_pages(folder: Path) -> None:
    """Write each text without its title, for a page to include."""
    for name, source in SOURCES.items():
        write(folder / name, body((ROOT / source).read_text(encoding="utf-8")))
    shutil.copy(ROOT / "benchmarks" / "growth.svg", folder / "growth.svg")
    write(folder / "validation.md", validation(folder, ROOT / "analyses" / "validation"))


def validation(folder: Path, study: Path) -> str:
    """Return what the validation study wrote of its results, with a link to all of its numbers."""
    page, results = study / "README.md", study / "table.csv"
    text = body(page.read_text(encoding="utf-8")) if page.exists() else _NOT_RUN
    if results.exists():
        shutil.copy(results, folder / "validation.csv")
        text += "\n[All numbers, as a table](generated/repository/validation.csv)\n"
    return text


def body(text: str) -> str:
    """Return a text without its title, its headings one level down and its links to files as plain text."""
    lines = text.splitlines()
    if lines and lines[0].startswith("# "):
        lines = lines[1:]
    inside, found = False, []
    for line in lines:
        inside ^= line.startswith("```")
        heading = line.startswith("#") and not inside
        found.append(f"#{line}" if heading else line if inside else _LINK.sub(r"\1", line))
    return "\n".join(found).strip() + "\n"
