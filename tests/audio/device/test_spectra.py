"""Frontends of encoders that hear sound: librosa as oracle, tones by hand, statistics, streams, and what is refused."""

import math
from dataclasses import replace

import librosa
import numpy as np
import pytest
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st

from birdssl.audio.device.spectra import CHANNELS, PRESETS, Spectra, preset
from birdssl.errors import IncompatibleError

CROP = 30225  # samples, P2
SMALL = preset("p2", 16000, 1.0, n_fft=256, window=256, hop=64, n_mels=32)


def noise(clips: int, samples: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(clips, samples, generator=torch.Generator().manual_seed(seed))


def tone(frequency: float, rate: int, samples: int) -> torch.Tensor:
    time = torch.arange(samples, dtype=torch.float64) / rate
    return (0.5 * torch.sin(2 * math.pi * frequency * time)).float()[None]


@pytest.mark.parametrize(
    ("name", "frames"), [("p2", 119), ("clar", 189), ("mtslvr", 60), ("exact", 237), ("quick", 60)]
)
def test_shapes_of_a_crop_of_the_paper(name: str, frames: int) -> None:
    front = preset(name, 20000, 5.0)
    assert (front.samples, front.crop_samples, front.frames) == (100000, CROP, frames)
    bins = 64 if name == "quick" else 128
    assert front.encoder_options == {"channels": 3, "bins": bins}
    assert front.empty_filters() == 0
    waves = noise(1, CROP)
    assert front.fitted(waves).inputs(waves).shape == (1, 3, bins, frames)


def test_shapes_of_speech() -> None:
    byol, speech = preset("byol-a", 16000, 5.0), preset("speech", 16000, 5.0)
    assert (byol.crop_samples, byol.frames, byol.n_mels) == (15200, 96, 64)
    assert (speech.n_mels, speech.hop, speech.look_ahead) == (80, 160, 200)


@pytest.mark.parametrize("name", ["p2", "clar", "mtslvr", "exact", "quick"])
def test_mel_matches_librosa(name: str) -> None:
    front = preset(name, 20000, 5.0)
    waves = torch.cat([noise(1, CROP), tone(3000, 20000, CROP) + 1e-3 * noise(1, CROP, 1), 1e-3 * noise(1, CROP, 2)])
    ours = front.levels(waves)[:, 0].numpy()
    theirs = librosa.power_to_db(
        librosa.feature.melspectrogram(
            y=waves.numpy(), sr=20000, n_fft=front.n_fft, hop_length=front.hop, n_mels=front.n_mels, fmax=front.f_max
        ),
        top_db=None,
    )
    np.testing.assert_allclose(ours, theirs, atol=0.1)


def test_byol_a_is_the_logarithm_of_librosas_mel() -> None:
    waves = noise(2, 15200)
    mel = librosa.feature.melspectrogram(
        y=waves.numpy(), sr=16000, n_fft=1024, hop_length=160, n_mels=64, fmin=60, fmax=7800
    )
    ours = preset("byol-a", 16000, 5.0).levels(waves)[:, 0]
    np.testing.assert_allclose(ours, np.log(mel + np.finfo(np.float32).eps), atol=0.01)


def test_speech_has_torchaudios_filters() -> None:
    theirs = torchaudio.transforms.MelSpectrogram(
        16000, n_fft=400, win_length=400, hop_length=160, n_mels=80, pad_mode="constant"
    )
    waves = noise(2, 16000)
    ours = preset("speech", 16000, 5.0).levels(waves)[:, 0]
    torch.testing.assert_close(ours, (theirs(waves) + 1e-10).log(), rtol=0, atol=0.02)


@pytest.mark.parametrize("name", ["p2", "exact"])
def test_projected_parts_are_those_of_librosas_transform(name: str) -> None:
    """Magnitude and phase against FB S, from librosa's transform with its phase counted from the middle."""
    front = preset(name, 20000, 5.0)
    wave = noise(1, 8000)
    size = front.native_fft or front.n_fft
    spectrum = librosa.stft(wave[0].numpy().astype(np.float64), n_fft=size, hop_length=front.hop)
    spectrum *= np.where(np.arange(len(spectrum)) % 2, -1, 1)[:, None]
    if front.native_fft is None:
        spectrum = librosa.filters.mel(sr=20000, n_fft=size, n_mels=128, dtype=np.float64) @ spectrum
    _, magnitude, phase = front.levels(wave)[0].double().numpy()
    ours = 10 ** (magnitude / 20) * np.exp(1j * np.pi * phase)
    np.testing.assert_allclose(ours, spectrum, atol=1e-4 * np.abs(spectrum).max())


def test_a_tone_turns_by_its_frequency_times_the_hop() -> None:
    """1 kHz at 20 kHz makes 12.8 turns in a hop of 256 samples, so each frame is 0.8 of a turn on from the last."""
    front = preset("p2", 20000, 5.0)
    level, magnitude, phase = front.levels(tone(1000, 20000, CROP))[0]
    band = int(level[:, 60].argmax())
    turns = (phase[band, 10:100].diff() / 2) % 1  # half turns to turns
    torch.testing.assert_close(turns, torch.full_like(turns, 0.8), rtol=0, atol=1e-3)
    assert magnitude[:, 60].argmax() == band


def test_counting_phase_from_the_middle_keeps_a_tone_within_a_wide_filter() -> None:
    """From the start, the bins of a Hann window cancel: the tone's magnitude falls by 10 dB and more."""
    wave = tone(7000, 20000, CROP)
    centred = preset("p2", 20000, 5.0).levels(wave)[0, 1, :, 60].max()
    plain = preset("p2", 20000, 5.0, phase_at="start").levels(wave)[0, 1, :, 60].max()
    assert centred - plain > 10


def test_statistics_standardise_what_they_were_fitted_on() -> None:
    waves = noise(9, 8000) * torch.linspace(0.01, 1, 9)[:, None]
    front = SMALL.fitted(waves)
    result = front.inputs(waves).double()
    torch.testing.assert_close(result[:, :2].mean((0, 2, 3)), torch.zeros(2).double(), rtol=0, atol=1e-4)
    torch.testing.assert_close(result[:, :2].std((0, 2, 3)), torch.ones(2).double(), rtol=0, atol=1e-3)
    assert (front.mean[2], front.deviation[2]) == (0.0, 1.0)
    assert result[:, 2].abs().max() <= 1
    torch.testing.assert_close(SMALL.levels(waves)[:, 2], front.inputs(waves)[:, 2])


def test_silence_is_the_floor() -> None:
    levels = SMALL.levels(torch.zeros(1, 4000))
    torch.testing.assert_close(levels[:, :2], torch.full_like(levels[:, :2], -100), rtol=0, atol=1e-4)
    assert torch.equal(levels[:, 2], torch.zeros_like(levels[:, 2]))
    silent = SMALL.fitted(torch.zeros(1, 4000))
    assert silent.deviation == (1.0, 1.0, 1.0)
    assert silent.inputs(torch.zeros(1, 4000)).abs().max() <= 1e-4


def test_statistics_must_be_known() -> None:
    with pytest.raises(ValueError, match="fitted"):
        SMALL.inputs(noise(1, 4000))


def test_int16_is_float_times_32768() -> None:
    whole = (noise(2, 4000) * 32768).to(torch.int16)
    torch.testing.assert_close(SMALL.levels(whole), SMALL.levels(whole / 32768), rtol=0, atol=0)


@pytest.mark.parametrize("channels", [("mel",), ("magnitude",), ("phase",), ("mel", "phase"), ("magnitude", "phase")])
@pytest.mark.parametrize("native", [None, 62])
def test_fewer_channels_are_the_same_ones(channels: tuple[str, ...], native: int | None) -> None:
    waves = noise(3, 4000)
    whole = replace(SMALL, native_fft=native)
    few = replace(whole, channels=channels)
    places = [CHANNELS.index(name) for name in channels]
    torch.testing.assert_close(few.levels(waves), whole.levels(waves)[:, places], rtol=0, atol=1e-3)


def test_a_clip_does_not_depend_on_its_neighbours() -> None:
    waves = noise(7, 5000)
    waves[3] *= 100
    front = SMALL.fitted(waves)
    together = front.inputs(waves)
    for i in range(7):
        torch.testing.assert_close(together[i], front.inputs(waves[i : i + 1])[0], rtol=0, atol=2e-4)


def test_a_stream_gives_the_same_frames() -> None:
    waves = noise(1, 6400)
    front = SMALL.fitted(waves)
    whole = front.inputs(waves)
    ahead, hop = front.look_ahead, front.hop
    for frame in (2, 40, 97):
        around = waves[:, frame * hop - ahead : frame * hop + ahead]
        torch.testing.assert_close(front.framed(around)[..., 0], whole[..., frame], rtol=0, atol=1e-4)


def test_half_precision_never_touches_it() -> None:
    waves = noise(2, 4000)
    front = SMALL.fitted(waves)
    expected = front.inputs(waves)
    with torch.autocast("cpu", torch.bfloat16):
        result = front.inputs(waves)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, expected, rtol=0, atol=0)


def test_mel_statistics_by_numpy() -> None:
    waves = noise(3, 5000)
    mel = SMALL.levels(waves)[:, 0].numpy()
    expected = np.concatenate([mel.mean(-1), mel.std(-1)], axis=1)
    np.testing.assert_allclose(replace(SMALL, channels=("phase",)).mel_statistics(waves), expected, atol=1e-3)


@pytest.mark.parametrize("name", PRESETS)
def test_a_frontend_comes_back_from_its_dictionary(name: str) -> None:
    front = preset(name, 20000, 5.0).fitted(noise(1, CROP))
    values = front.to_dict()
    assert values["kind"] == "spectra"
    assert Spectra.from_dict(values) == front


@pytest.mark.parametrize(
    "change",
    [
        {"hops": 3},
        {"kind": "waveform"},
        {"channels": ["phase", "mel"]},
        {"channels": []},
        {"f_max": 9000.0},
        {"unit": "dB"},
        {"mel_scale": "bark"},
        {"native_fft": 100},
        {"window": 2000},
        {"n_fft": 1023},
        {"mean": [0.0]},
        {"phase_at": "end"},
    ],
)
def test_what_cannot_be_is_refused(change: dict) -> None:
    with pytest.raises(IncompatibleError):
        Spectra.from_dict({**SMALL.to_dict(), **change})


def test_missing_fields_and_unknown_presets_are_refused() -> None:
    with pytest.raises(IncompatibleError, match="clip_seconds"):
        Spectra.from_dict({"kind": "spectra", "sample_rate": 16000})
    with pytest.raises(IncompatibleError, match="known: p2"):
        preset("p3", 16000, 1.0)


@settings(max_examples=25, deadline=None)
@given(gain=st.floats(-30, 20), samples=st.integers(300, 3000), seed=st.integers(0, 99))
def test_gain_moves_levels_and_leaves_phases(gain: float, samples: int, seed: int) -> None:
    waves = noise(1, samples, seed)
    plain, louder = SMALL.levels(waves)[0], SMALL.levels(waves * 10 ** (gain / 20))[0]
    # near the floor levels are cut, and what cancels in the projection is float32's rounding
    heard = plain[:2] > SMALL.floor_db + 40
    torch.testing.assert_close(louder[:2][heard], plain[:2][heard] + gain, rtol=0, atol=0.02)
    turn = (torch.remainder(louder[2] - plain[2] + 1, 2) - 1)[heard[1]]
    assert turn.abs().max() < 1e-3


@pytest.mark.parametrize("name", ["p2", "clar", "mtslvr", "exact", "quick"])
def test_silence_has_no_phase(name: str) -> None:
    """Counted from the middle, odd bins change sign, and the angle of -0.0 is half a turn."""
    front = preset(name, 20000, 5.0)
    assert (front.levels(torch.zeros(1, CROP))[0][front.channels.index("phase")] == 0).all()
