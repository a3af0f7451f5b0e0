"""Mel spectrograms: librosa as oracle for the decibels, PIL for the resize, and pictures of known sounds."""

import librosa
import numpy as np
import pytest
from PIL import Image

from birdssl.audio.spectrogram import Frontend, _resize_rows, hertz_to_mel, mel_filters, mel_to_hertz
from birdssl.errors import IncompatibleError

SMALL = Frontend(sample_rate=16000, clip_seconds=1.0, n_fft=512, hop=128, n_mels=64, height=48, width=40)


def tone(front: Frontend, frequency: float) -> np.ndarray:
    time = np.arange(front.samples) / front.sample_rate
    return (0.5 * np.sin(2 * np.pi * frequency * time)).astype(np.float32)[None]


def sounds(front: Frontend) -> np.ndarray:
    """Noise, a tone, a chirp and a click in noise, very quiet."""
    generator = np.random.default_rng(1)
    noise = 0.1 * generator.standard_normal(front.samples)
    sweep = np.sin(np.cumsum(np.linspace(0.05, 2.5, front.samples)))
    click = 1e-4 * generator.standard_normal(front.samples)
    click[front.samples // 3] = 0.01
    return np.stack([noise, tone(front, 3000)[0] + 1e-3 * noise, sweep, click]).astype(np.float32)


@pytest.mark.parametrize(
    "front",
    [
        Frontend(44100, 3.0),
        Frontend(22050, 3.0, n_mels=128, f_min=150, f_max=10000, top_db=60),
        Frontend(48000, 1.5, n_fft=1024, hop=300, n_mels=80),
        SMALL,
    ],
)
def test_decibels_match_librosa(front: Frontend) -> None:
    waves = sounds(front)
    for wave, ours in zip(waves, front.decibels(waves), strict=True):
        mel = librosa.feature.melspectrogram(
            y=wave, sr=front.sample_rate, n_fft=front.n_fft, hop_length=front.hop, n_mels=front.n_mels,
            fmin=front.f_min, fmax=front.f_max,
        )  # fmt: skip
        theirs = librosa.power_to_db(mel, ref=np.max, top_db=front.top_db)
        assert ours.shape == theirs.shape == (front.n_mels, front.frames)
        np.testing.assert_allclose(ours, theirs, atol=0.1)


def test_filters_match_librosa() -> None:
    front = Frontend(44100, 3.0)
    theirs = librosa.filters.mel(sr=44100, n_fft=2048, n_mels=256)
    np.testing.assert_allclose(mel_filters(front).T, theirs, atol=1e-8)
    assert front.empty_filters() == 0
    assert Frontend(44100, 3.0, n_fft=256).empty_filters() > 0


def test_mel_scale_by_hand() -> None:
    np.testing.assert_allclose(hertz_to_mel(np.array([0, 500, 1000, 6400])), [0, 7.5, 15, 42])
    np.testing.assert_allclose(mel_to_hertz(hertz_to_mel(np.array([0, 333, 1000, 15000]))), [0, 333, 1000, 15000])


def test_paper_shape() -> None:
    front = Frontend(44100, 3.0)
    assert (front.samples, front.frames) == (132300, 259)
    pictures = front(np.zeros((2, front.samples), np.float32))
    assert pictures.shape == (2, 256, 256)
    assert pictures.dtype == np.uint8


@pytest.mark.parametrize("normalise", ["clip", "range"])
def test_silence_is_black(normalise: str) -> None:
    front = Frontend(16000, 1.0, n_fft=512, hop=128, n_mels=64, height=48, width=40, normalise=normalise)
    assert not front(np.zeros((1, front.samples), np.float32)).any()


def test_low_is_at_the_bottom_and_time_runs_right() -> None:
    wave = tone(SMALL, 400)
    wave[:, : SMALL.samples // 2] = tone(SMALL, 6000)[:, : SMALL.samples // 2]
    picture = SMALL(wave)[0].astype(int)
    left, right = picture[:, 5], picture[:, -5]
    assert np.argmax(left) < 10
    assert np.argmax(right) > 38


def test_a_tone_is_brightest_in_its_own_filter() -> None:
    for frequency in (500.0, 1500.0, 5000.0):
        level = SMALL.decibels(tone(SMALL, frequency))[0].mean(axis=1)
        assert abs(SMALL.mel_centres()[np.argmax(level)] - frequency) < 0.03 * frequency + 40


def test_scaling_uses_the_whole_range_and_ignores_the_gain() -> None:
    waves = sounds(SMALL)[:3]
    front = Frontend(16000, 1.0, n_fft=512, hop=128, n_mels=64, height=64, width=SMALL.frames)
    pictures = front(waves)
    assert (pictures.reshape(3, -1).min(axis=1) == 0).all()
    assert (pictures.reshape(3, -1).max(axis=1) == 255).all()
    assert np.abs(front(waves * 0.25).astype(int) - pictures).max() <= 1


def test_range_keeps_a_fixed_slope() -> None:
    """One grey level is top_db / 255, whatever the clip's quietest point."""
    front = Frontend(16000, 1.0, n_fft=512, hop=128, n_mels=64, height=64, width=SMALL.frames, normalise="range")
    waves = sounds(SMALL)[:1]
    expected = np.round((front.decibels(waves) + 80) * 255 / 80)[:, ::-1]
    assert np.abs(front(waves) - expected).max() <= 1


@pytest.mark.parametrize(("size", "target"), [(259, 256), (256, 128), (64, 200), (259, 100), (7, 7)])
def test_resize_matches_pil(size: int, target: int) -> None:
    image = np.random.default_rng(0).uniform(-80, 0, (1, size, 9)).astype(np.float32)
    theirs = np.asarray(Image.fromarray(image[0]).resize((9, target), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(_resize_rows(image, target)[0], theirs, atol=1e-3)


def test_a_clip_does_not_depend_on_its_neighbours() -> None:
    waves = np.concatenate([sounds(SMALL), sounds(SMALL)[:2]])
    together = SMALL(waves)
    for i, wave in enumerate(waves):
        np.testing.assert_array_equal(SMALL(wave[None])[0], together[i])


def test_record_and_complaints() -> None:
    assert Frontend.from_dict(SMALL.to_dict()) == SMALL
    with pytest.raises(IncompatibleError, match=r"unknown .'colour'"):
        Frontend.from_dict({**SMALL.to_dict(), "colour": 3})
    with pytest.raises(IncompatibleError, match="half the sample rate, 8000 Hz"):
        Frontend(16000, 1.0, f_max=9000)
    with pytest.raises(IncompatibleError, match="known: clip, range"):
        Frontend(16000, 1.0, normalise="none")
    with pytest.raises(ValueError, match="16000"):
        SMALL(np.zeros((1, 100), np.float32))
