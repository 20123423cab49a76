"""The packages that the package needs, directly and through others, and their licences, as installed."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from docs.make.markdown import plain, table, write

PROJECT = "causal-s4"
_LONG = 60


def write_licences(folder: Path) -> None:
    """Write the packages needed at run time, and those of the optional extras that are installed."""
    direct = set(needed(distribution(PROJECT)))
    everything = closure(direct)
    rows = [row(name, direct=name in direct) for name in sorted(everything)]
    write(folder / "licences.md", table(("Package", "Version", "Licence", "Needed"), rows))


def closure(names: set[str]) -> set[str]:
    """Return packages with all that they need in turn, as far as installed."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found or (package := installed(name)) is None:
            continue
        found.add(name)
        waiting += needed(package)
    return found


def needed(package: Distribution) -> Iterator[str]:
    """Yield what a package needs here, without its extras."""
    for line in package.requires or []:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield canonicalize_name(requirement.name)


def installed(name: str) -> Distribution | None:
    """Return a package if it is there."""
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def row(name: str, *, direct: bool) -> tuple[str, str, str, str]:
    """Return a package with its licence."""
    package = distribution(name)
    return name, package.version, plain(licence(package)), "directly" if direct else "by others"


def licence(package: Distribution) -> str:
    """Return the licence that a package declares: its expression, its classifiers, or its text if short."""
    declared = package.metadata.get("License-Expression")
    if declared:
        return str(declared)
    classified = [
        each.rsplit(" :: ", 1)[1]
        for each in package.metadata.get_all("Classifier") or []
        if each.startswith("License :: ") and each != "License :: OSI Approved"
    ]
    if classified:
        return "; ".join(classified)
    text = str(package.metadata.get("License") or "").strip()
    first = text.splitlines()[0] if text else ""
    return first if 0 < len(first) <= _LONG else "see its own files"
