"""Add recurrence-free survival to the Rotterdam cohort, as ``rfs_days`` and ``rfs_event``.

``rotterdam.csv`` starts as the data frame ``rotterdam`` of the R package survival 3.5-3, written by
``write.csv(rotterdam, "rotterdam.csv", row.names = FALSE)``. This script appends two columns to each
line and leaves the fifteen original ones as they are, to the byte; run again, it changes nothing::

    python data/make_rotterdam.py            # write
    python data/make_rotterdam.py --check    # fail if the file is not what this would write

Recurrence-free survival is the time to the first of recurrence and death. A woman with a recurrence
has her event at ``rtime``. Every other woman is followed to ``dtime``, where she has died or was last
seen: 43 of them died after the follow-up for recurrence had ended, and their deaths count, as in the
example on R's help page. The alternative, to censor them at ``rtime``, is left to the reader.
"""

import csv
import hashlib
import sys
from pathlib import Path

FILE = Path(__file__).with_name("rotterdam.csv")
ORIGINAL_SHA256 = "59598780fb4c4fd26a4a32289d514fbc499f7366b753ceb2b89bbe3a3db46cde"
ADDED = ('"rfs_days"', '"rfs_event"')
DEATHS_AFTER_FOLLOW_UP = 43


def original(text: str) -> str:
    """Return the file without the two added columns, whether or not they are there."""
    lines = text.splitlines()
    if lines[0].endswith("," + ",".join(ADDED)):
        lines = [line.rsplit(",", len(ADDED))[0] for line in lines]
    return "\n".join(lines) + "\n"


def with_recurrence_free_survival(text: str) -> str:
    """Return the original file with the two columns at the end of each line."""
    header, *lines = text.splitlines()
    late_deaths = 0
    written = [",".join([header, *ADDED])]
    for line, row in zip(lines, csv.DictReader(text.splitlines()), strict=True):
        recurred, died = row["recur"] == "1", row["death"] == "1"
        if int(row["rtime"]) > int(row["dtime"]):
            raise SystemExit(f"line {len(written) + 1}: followed for recurrence beyond the last contact")
        late_deaths += died and not recurred and int(row["rtime"]) < int(row["dtime"])
        days = row["rtime"] if recurred else row["dtime"]
        written.append(f"{line},{days},{int(recurred or died)}")
    if late_deaths != DEATHS_AFTER_FOLLOW_UP:
        raise SystemExit(f"{late_deaths} deaths after the follow-up for recurrence, expected {DEATHS_AFTER_FOLLOW_UP}")
    return "\n".join(written) + "\n"


def main(arguments: list[str]) -> None:
    """Write the file, or check it."""
    found = FILE.read_bytes().decode()
    source = original(found)
    if hashlib.sha256(source.encode()).hexdigest() != ORIGINAL_SHA256:
        raise SystemExit(f"the original columns of {FILE.name} are not those of survival 3.5-3")
    made = with_recurrence_free_survival(source)
    if arguments == ["--check"]:
        raise SystemExit(0 if made == found else f"{FILE.name} is not what this script writes")
    FILE.write_bytes(made.encode())


if __name__ == "__main__":
    main(sys.argv[1:])
