"""Mutation testing by Cosmic Ray, on a random sample of the mutants: keep only some of those that the filters left.

In a copy of the tree, with ``cosmic-ray`` installed::

    cosmic-ray init tests/hostile/mutation/dag.toml dag.sqlite
    cr-filter-operators dag.sqlite tests/hostile/mutation/dag.toml
    python tests/hostile/mutation/sample.py dag.sqlite 150
    cosmic-ray exec tests/hostile/mutation/dag.toml dag.sqlite
    cr-report dag.sqlite --show-diff --surviving-only
    cr-rate --fail-over 15 dag.sqlite
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from cosmic_ray.work_db import use_db
from cosmic_ray.work_item import MutationSpec


def _in_decorator(mutation: MutationSpec) -> bool:
    lines = Path(mutation.module_path).read_text("utf-8").splitlines()
    return lines[mutation.start_pos[0] - 1].lstrip().startswith("@")


def keep(database: str, count: int, seed: int) -> tuple[int, int]:
    """Keep a random sample of the pending mutants and nothing else; return how many, of how many.

    Arguments of decorators are left out: they say how a function is compiled, or how a value is made, and change no
    number.
    """
    with use_db(database) as work:
        pending = sorted(
            (item for item in work.pending_work_items if not any(map(_in_decorator, item.mutations))),
            key=lambda item: [(str(m.module_path), m.start_pos, m.operator_name, m.occurrence) for m in item.mutations],
        )
        kept = random.Random(seed).sample(pending, min(count, len(pending)))
        work.clear()
        work.add_work_items(kept)
    return len(kept), len(pending)


if __name__ == "__main__":
    file, number, *rest = sys.argv[1:]
    kept, of = keep(file, int(number), int(rest[0]) if rest else 1)
    print(f"{kept:,} of {of:,} mutants")
