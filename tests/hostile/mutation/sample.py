"""Mutation testing by Cosmic Ray, on a random sample of the mutants: leave out all but some of those still to be run.

In a copy of the tree, with ``cosmic-ray`` installed::

    cosmic-ray init tests/hostile/mutation/dag.toml dag.sqlite
    cr-filter-operators dag.sqlite tests/hostile/mutation/dag.toml
    python tests/hostile/mutation/sample.py dag.sqlite 150
    cosmic-ray exec tests/hostile/mutation/dag.toml dag.sqlite
    cr-report dag.sqlite --show-diff --surviving-only
"""

from __future__ import annotations

import random
import sys

from cosmic_ray.work_db import use_db
from cosmic_ray.work_item import WorkerOutcome, WorkResult


def keep(database: str, count: int, seed: int) -> tuple[int, int]:
    """Mark all but a random sample of the pending mutants as left out; return how many are kept, of how many."""
    with use_db(database) as work:
        pending = sorted(work.pending_work_items, key=lambda item: item.job_id)
        pending.sort(
            key=lambda item: [(str(m.module_path), m.start_pos, m.operator_name, m.occurrence) for m in item.mutations]
        )
        kept = {item.job_id for item in random.Random(seed).sample(pending, min(count, len(pending)))}
        for item in pending:
            if item.job_id not in kept:
                work.set_result(
                    item.job_id, WorkResult(worker_outcome=WorkerOutcome.SKIPPED, output="not in the sample")
                )
    return len(kept), len(pending)


if __name__ == "__main__":
    file, number, *rest = sys.argv[1:]
    kept, of = keep(file, int(number), int(rest[0]) if rest else 1)
    print(f"{kept:,} of {of:,} mutants")
