"""Write ``docs/generated``: all of it, or the parts named on the command line."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from docs.make.against_r import write_against_r
from docs.make.api_names import write_api_names
from docs.make.bad_inputs import write_bad_inputs
from docs.make.command_line import write_command_line
from docs.make.estimands import write_estimands
from docs.make.intervals import write_intervals
from docs.make.licences import write_licences
from docs.make.repository import write_repository_pages
from docs.make.study_file import write_study_file
from docs.make.time_zero import write_time_zero
from docs.make.tutorial import write_tutorial

GENERATED = Path(__file__).parents[1] / "generated"
PARTS: Mapping[str, Callable[[Path], None]] = {
    "tutorial": write_tutorial,
    "estimands": write_estimands,
    "time-zero": write_time_zero,
    "intervals": write_intervals,
    "study-file": write_study_file,
    "command-line": write_command_line,
    "bad-inputs": write_bad_inputs,
    "against-r": write_against_r,
    "api-names": write_api_names,
    "repository": write_repository_pages,
    "licences": write_licences,
}


def main(names: Sequence[str]) -> int:
    """Write the parts that are named, or all of them."""
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; expected some of {', '.join(PARTS)}", file=sys.stderr)
        return 2
    for name in names or PARTS:
        began = time.monotonic()
        folder = GENERATED / name
        folder.mkdir(parents=True, exist_ok=True)
        PARTS[name](folder)
        print(f"{name}: {time.monotonic() - began:.1f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
