"""Make an invented set with the class counts of P1's Table 1: 5,000 clips of 3 s, 15 classes.

    python docs/results/table1_set.py table1
    birdssl run docs/results/dias2022-table1.toml table1 -o runs

As in a collection of recordings of known species, each recording (30 s) has residents of one species, at one of six
sites, by one of six recorders, at an hour when the species calls; clips are cut around its calls and don't overlap.
Which species has which of P1's counts is drawn with the seed. Writes OUT/<species>/<recording>_<second>.wav, 24 kHz,
and OUT/labels.csv (path, label, recording, site).
"""

import csv
import itertools
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import soundfile

from birdssl.audio.synthesis.scene import Scene, blocks, plan_scene
from birdssl.audio.synthesis.survey import FIRST_DAY, make_survey
from birdssl.seeds import generator

COUNTS = (725, 700, 650, 600, 500, 400, 300, 250, 225, 175, 150, 125, 100, 60, 40)  # P1, Table 1
SECONDS, RATE, SEED = 3.0, 24_000, 1030
LEAST_SNR = -6.0  # dB; fainter calls aren't called by their name, as in `birdssl synth`


def windows(plan: Scene) -> list[float]:
    """Starts of clips around the calls of a recording, none over another."""
    found: list[float] = []
    for call in plan.calls:
        begin = min(max(0.0, call.start + (call.seconds - SECONDS) / 2), plan.seconds - SECONDS)
        if call.snr >= LEAST_SNR and (not found or begin >= found[-1] + SECONDS):
            found.append(begin)
    return found


def main(out: Path) -> None:
    """Write the set."""
    survey = make_survey(SEED, species=len(COUNTS), sites=6, recorders=6, rate=RATE, seconds=30, calls_per_minute=20)
    order = generator(SEED, "table 1").permutation(len(COUNTS))
    rows = []
    for kind, count in zip(order, COUNTS, strict=True):
        species, left = survey.species[kind], count
        (out / species.name).mkdir(parents=True, exist_ok=True)
        for number in itertools.count():
            site = survey.sites[number % len(survey.sites)]
            only = replace(site, residents=(site.residents[kind],), weights=(1.0,))
            recorder = survey.recorders[(number // 2) % len(survey.recorders)]
            time = FIRST_DAY + timedelta(days=number // 6, hours=species.hours[number % len(species.hours)])
            draw = generator(SEED, "focal", species.name, number)
            plan = plan_scene(draw, only, recorder, time, seconds=30, rate=RATE, calls_per_minute=20)
            starts = windows(plan)[:left]
            sound = np.concatenate(list(blocks(plan))) if starts else None
            for begin in starts:
                first = round(begin * RATE)
                path = f"{species.name}/{species.name}-{number:03d}_{begin:.2f}.wav"
                soundfile.write(out / path, sound[first : first + round(SECONDS * RATE)], RATE, subtype="PCM_16")
                rows.append((path, species.name, f"{species.name}-{number:03d}", site.name))
            left -= len(starts)
            if not left:
                break
    with (out / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "recording", "site"))
        writer.writerows(rows)
    print(f"{len(rows)} clips of {len(COUNTS)} classes, of {len({row[2] for row in rows})} recordings, in {out}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
