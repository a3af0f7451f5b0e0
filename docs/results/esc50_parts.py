"""Cut ESC-50 in two: a labelled part to learn from and to be scored on, and as many clips again without labels.

    python docs/results/esc50_parts.py ESC50 parts
    birdssl run docs/results/dias2022-esc50-data.toml parts/labelled --input more=parts/more -o runs

ESC50 is the copy that docs/results/README.md describes. OUT/labelled holds official folds 1 to 3 and their labels.csv,
OUT/more fold 4, without recordings that folds 1 to 3 have clips of: nothing scored is heard, and no clip twice.
"""

import csv
import shutil
import sys
from pathlib import Path

LABELLED, MORE = ("1", "2", "3"), ("4",)


def main(source: Path, out: Path) -> None:
    """Write both parts."""
    with (source / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    labelled = [row for row in rows if row["fold"] in LABELLED]
    heard = {row["recording"] for row in labelled}
    more = [row for row in rows if row["fold"] in MORE and row["recording"] not in heard]
    for folder, part in ((out / "labelled", labelled), (out / "more", more)):
        for row in part:
            (folder / row["path"]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / row["path"], folder / row["path"])
    with (out / "labelled" / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(labelled)
    print(f"{len(labelled)} clips in {out / 'labelled'}, {len(more)} without labels in {out / 'more'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
