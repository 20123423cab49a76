"""Pages that the repository keeps elsewhere: benchmarks, validation, reference numbers, data, changes."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

from docs.make.markdown import ROOT, plain, table, write

SOURCES = {
    "benchmarks.md": "benchmarks/README.md",
    "reference.md": "tests/reference/README.md",
    "data.md": "data/README.md",
    "changes.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
}
VALIDATION = ROOT / "analyses" / "validation"
_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)[^)]+\)")
_NOT_RUN = "The validation study has not been run in this copy of the repository.\n"


def write_repository_pages(folder: Path) -> None:
    """Write each text without its title, for a page to include."""
    for name, source in SOURCES.items():
        write(folder / name, body((ROOT / source).read_text(encoding="utf-8")))
    shutil.copy(ROOT / "benchmarks" / "growth.svg", folder / "growth.svg")
    readme, results = VALIDATION / "README.md", VALIDATION / "table.csv"
    write(folder / "validation.md", body(readme.read_text(encoding="utf-8")) if readme.exists() else "")
    write(folder / "validation_table.md", csv_table(results) if results.exists() else _NOT_RUN)


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


def csv_table(path: Path) -> str:
    """Return a table of results as it is committed."""
    with path.open(encoding="utf-8", newline="") as file:
        headings, *rows = list(csv.reader(file))
    return table([each.replace("_", " ") for each in headings], [[plain(each) for each in row] for row in rows])
