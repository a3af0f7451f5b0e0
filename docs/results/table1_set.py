"""Cut a set with the class counts of P1's Table 1 out of an invented survey: 5,000 clips of 3 s, 15 classes.

    birdssl synth -o survey --hours 12 --recording-minutes 0.5 --species 15 --sample-rate 24000 --calls-per-minute 13 \
        --sites 6 --recorders 6 --jobs 2
    python docs/results/table1_set.py survey table1
    birdssl run docs/results/table1.toml table1 -o runs

A clip is cut around a call whose species calls alone in it, by the survey's own tables; no two clips overlap. The
class with the most such clips takes the largest of P1's counts, and so on down; which clips are taken is drawn by seed
1030.
Writes OUT/<species>/<recording>_<second>.wav and OUT/labels.csv (path, label, recording, site).
"""

import csv
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import soundfile

# P1, Table 1
COUNTS = (725, 700, 650, 600, 500, 400, 300, 250, 225, 175, 150, 125, 100, 60, 40)
SECONDS = 3.0
SEED = 1030


def calls_of(table: Path) -> list[tuple[float, float, str]]:
    """Start, end and species of a Raven table's calls."""
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return sorted((float(row["Begin Time (s)"]), float(row["End Time (s)"]), row["Species"]) for row in rows)


def windows(calls: list[tuple[float, float, str]], length: float) -> list[tuple[float, str]]:
    """Starts of windows in which one species calls alone, from the first call on, none over another."""
    found: list[tuple[float, str]] = []
    for start, end, species in calls:
        begin = min(max(0.0, (start + end - SECONDS) / 2), length - SECONDS)
        if found and begin < found[-1][0] + SECONDS:
            continue
        heard = {name for low, high, name in calls if low < begin + SECONDS and high > begin}
        if heard == {species}:
            found.append((begin, species))
    return found


def main(survey: Path, out: Path) -> None:
    """Write the set."""
    supply: dict[str, list[tuple[Path, float]]] = defaultdict(list)
    for path in sorted((survey / "recordings").rglob("*.wav")):
        length = soundfile.info(path).duration
        for begin, species in windows(calls_of(path.with_name(f"{path.stem}.Table.1.selections.txt")), length):
            supply[species].append((path, begin))
    order = sorted(supply, key=lambda species: (-len(supply[species]), species))
    short = [f"{name} has {len(supply[name])} of {count}" for name, count in zip(order, COUNTS, strict=False)
             if len(supply[name]) < count]  # fmt: skip
    if len(order) < len(COUNTS) or short:
        sys.exit(f"the survey is too short: {len(order)} species; {'; '.join(short)}. Make one of more hours.")
    rows = []
    for species, count in zip(order, COUNTS, strict=True):
        drawn = np.random.default_rng([SEED, len(rows)]).permutation(len(supply[species]))[:count]
        (out / species).mkdir(parents=True, exist_ok=True)
        for place in sorted(drawn):
            path, begin = supply[species][place]
            with soundfile.SoundFile(path) as file:
                file.seek(round(begin * file.samplerate))
                sound = file.read(round(SECONDS * file.samplerate), dtype="int16")
                rate = file.samplerate
            name = f"{species}/{path.parent.name}_{path.stem}_{begin:.2f}.wav"
            soundfile.write(out / name, sound, rate, subtype="PCM_16")
            rows.append((name, species, f"{path.parent.name}/{path.stem}", path.parent.name))
    with (out / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "recording", "site"))
        writer.writerows(rows)
    print(f"{len(rows)} clips of {len(order)} classes, of {len({row[2] for row in rows})} recordings, in {out}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
