"""The truth table tells the truth: a call sounds when, where and as loudly as it says."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scipy import signal

from birdssl.audio.synthesis import scene
from birdssl.audio.synthesis.survey import Survey, make_survey, scene_of, schedule, slots_of_a_day

RATE = 24000


def survey(seconds: float = 30.0, calls: float = 20.0, recorders: int = 3) -> Survey:
    return make_survey(5, species=8, sites=3, recorders=recorders, rate=RATE, seconds=seconds, calls_per_minute=calls)


def sound_of(plan: scene.Scene) -> np.ndarray:
    return np.concatenate(list(scene.blocks(plan))) / 32768


def test_a_recording_has_its_length_and_depends_on_its_name_alone() -> None:
    slots = list(schedule(survey(), 5))
    first = scene_of(survey(), slots[3])
    assert first == scene_of(survey(), list(schedule(survey(), 50))[3])
    sound = sound_of(first)
    assert len(sound) == 30 * RATE
    np.testing.assert_array_equal(sound, sound_of(first))
    assert 0.002 < np.abs(sound).max() <= 1


def test_calls_lie_where_the_table_says() -> None:
    """The difference between a scene with and without its calls is silent outside their times and bands."""
    plan = next(plan for slot in schedule(survey(), 20) if len((plan := scene_of(survey(), slot)).calls) >= 3)
    quiet = replace(plan, site=replace(plan.site, reverberation=0.0))
    calls = sound_of(quiet) - sound_of(replace(quiet, calls=()))
    inside = np.zeros(len(calls), bool)
    for call in plan.calls:
        inside[round(call.start * RATE) : round((call.start + call.seconds) * RATE) + 1] = True
    assert np.abs(calls[~inside]).max() < 1.5 / 32768  # one step of the 16 bits
    loudest = max(plan.calls, key=lambda call: call.snr)
    piece = calls[round(loudest.start * RATE) : round((loudest.start + loudest.seconds) * RATE)]
    frequency = np.fft.rfftfreq(len(piece), 1 / RATE)
    power = np.abs(np.fft.rfft(piece)) ** 2
    band = (frequency > 0.9 * loudest.low) & (frequency < 1.1 * loudest.high)
    assert power[band].sum() > 0.7 * power.sum()


def test_the_stated_snr_is_what_one_measures() -> None:
    """Over many calls of a survey, the median error is below 3 dB: calls differ in crest, gusts come and go."""
    errors = []
    for slot in schedule(survey(), 9):
        plan = replace_reverberation(scene_of(survey(), slot))
        background = sound_of(replace(plan, calls=()))
        for call in plan.calls:
            piece = scene.heard(call, plan)
            filter_ = signal.butter(4, [call.low, call.high], "bandpass", fs=RATE, output="sos")
            noise = np.mean(signal.sosfilt(filter_, background) ** 2)
            errors.append(10 * np.log10(np.mean(piece**2) / noise) - call.snr)
    assert len(errors) > 30
    assert abs(np.median(errors)) < 3
    assert np.percentile(np.abs(errors), 90) < 8


def replace_reverberation(plan: scene.Scene) -> scene.Scene:
    return replace(plan, site=replace(plan.site, reverberation=0.0))


def test_the_asked_number_of_calls_comes() -> None:
    plans = [scene_of(survey(60, 12), slot) for slot in schedule(survey(60, 12), 90)]
    mean = np.mean([len(plan.calls) for plan in plans])
    assert mean == pytest.approx(12, rel=0.15)
    firsts = sum(call.start < 30 for plan in plans for call in plan.calls)
    assert firsts / sum(len(plan.calls) for plan in plans) == pytest.approx(0.5, abs=0.06)


def test_calls_overlap_and_individuals_recur_within_a_recording_but_mostly_not_across() -> None:
    plans = [scene_of(survey(), slot) for slot in schedule(survey(), 60)]
    pairs = [(a, b) for plan in plans for a, b in zip(plan.calls, plan.calls[1:], strict=False)]
    assert any(b.start < a.start + a.seconds for a, b in pairs)
    heard = [{call.individual.name for call in plan.calls} for plan in plans]
    half = set().union(*heard[::2])
    rest = [name for names in heard[1::2] for name in names]
    assert np.mean([name in half for name in rest]) < 0.6


def test_frogs_call_at_night() -> None:
    frog = next(kind for kind in survey().species if kind.name == "marsh-rattler")
    assert scene.activity(frog, 22) > 5 * scene.activity(frog, 10)


def test_a_long_recording_needs_no_more_memory_than_a_short_one() -> None:
    peaks = []
    for seconds in (60.0, 900.0):
        made = survey(seconds, 6.0)
        plan = scene_of(made, next(iter(schedule(made, 1))))
        tracemalloc.start()
        for _ in scene.blocks(plan):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


def test_recordings_of_a_site_never_overlap() -> None:
    for seconds in (60.0, 7000.0, 3600.0 * 5):
        hours = slots_of_a_day(seconds)
        gaps = np.diff([*hours, 24 + hours[0]])
        assert (gaps * 3600 >= seconds).all()


def test_recorders_share_sites_or_take_turns() -> None:
    few = {slot.site: slot.recorder for slot in schedule(survey(recorders=1), 30)}
    assert set(few.values()) == {0}
    many = {(slot.site, slot.recorder) for slot in schedule(survey(recorders=6), 60)}
    assert many == {(0, 0), (0, 3), (1, 1), (1, 4), (2, 2), (2, 5)}
    assert len({slot.path for slot in schedule(survey(recorders=6), 60)}) == 60
