"""Reading audio: the samples at a place are the same however one gets there, and broken files say what is wrong."""

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from reading import read_clip, stream_blocks

from birdssl.audio.decode import AudioFile, ClipReader, probe
from birdssl.audio.resample import resample
from birdssl.errors import BadInput

RATE = 22050


def noise(seconds: float, rate: int = RATE, channels: int = 1) -> np.ndarray:
    wave = np.random.default_rng(3).uniform(-0.5, 0.5, (round(seconds * rate), channels)).astype(np.float32)
    return wave if channels > 1 else wave[:, 0]


@pytest.fixture(params=["wav", "flac", "ogg", "mp3"])
def recording(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"recording.{request.param}"
    soundfile.write(path, noise(20), RATE)
    return path


def test_a_header_tells_rate_channels_format_and_length(recording: Path) -> None:
    info = probe(recording)
    assert (info.rate, info.channels, info.format) == (RATE, 1, recording.suffix[1:].upper())
    assert info.seconds == pytest.approx(20, abs=0.1)


def test_any_read_equals_the_slice_of_a_whole_decode(recording: Path) -> None:
    """libsndfile 1.2.2 returned other samples after a seek in OGG, and in MP3 where the bit reservoir was cut."""
    with AudioFile(recording) as audio:
        whole = audio.read(0, audio.info.frames)
    with AudioFile(recording) as audio:
        for start in (300_000, 5, 65_530, 65_536, 131_000, 400_000, 131_001, 0):
            np.testing.assert_array_equal(audio.read(start, 30_000), whole[start : start + 30_000])


def test_blocks_join_to_the_whole(recording: Path) -> None:
    with AudioFile(recording) as audio:
        whole = audio.read(0, audio.info.frames)
    np.testing.assert_array_equal(np.concatenate(list(stream_blocks(recording, frames=70_001))), whole)


def test_wav_is_exact_and_channels_are_told_apart(tmp_path: Path) -> None:
    stereo = np.stack([np.full(1000, 0.5), np.full(1000, -0.25)], axis=1)
    soundfile.write(tmp_path / "s.WAV", stereo, RATE, subtype="PCM_16")
    with AudioFile(tmp_path / "s.WAV") as audio:
        assert (audio.read(0, 10) == 0.125).all()
        assert (audio.read(0, 10, 0) == 0.5).all()
        assert (audio.read(0, 10, 1) == -0.25).all()
        assert len(audio.read(990, 100)) == 10
        assert len(audio.read(5000, 100)) == 0
        with pytest.raises(BadInput, match="no channel 2"):
            audio.read(0, 10, 2)


@pytest.mark.parametrize("target", [RATE, 16000, 44100])
def test_a_clip_equals_the_slice_of_the_resampled_recording(recording: Path, target: int) -> None:
    with AudioFile(recording) as audio:
        whole = resample(audio.read(0, audio.info.frames), RATE, target)
    clip = read_clip(recording, 6 * RATE, 3.0, target)
    assert clip.shape == (3 * target,)
    np.testing.assert_allclose(clip, whole[6 * target : 9 * target], atol=3e-6)


def test_the_end_is_padded_as_far_as_the_manifest_says(tmp_path: Path) -> None:
    path = tmp_path / "short.wav"
    soundfile.write(path, noise(4), RATE, subtype="FLOAT")
    clip = read_clip(path, 3 * RATE, 3.0, RATE, padded=2.0)
    assert clip.shape == (3 * RATE,)
    np.testing.assert_array_equal(clip[:RATE], noise(4)[3 * RATE :])
    assert not clip[RATE:].any()
    with pytest.raises(BadInput, match=r"ends at 4\.00 s, but this clip needs it up to 5\.00 s"):
        read_clip(path, 3 * RATE, 3.0, RATE, padded=1.0)


def test_a_clip_of_one_channel_may_have_a_mono_file_of_its_own(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "right.wav", np.full(RATE, 0.25), RATE)
    assert (read_clip(tmp_path / "right.wav", 0, 1.0, RATE, channel=1) == 0.25).all()


def test_one_reader_goes_from_file_to_file(tmp_path: Path) -> None:
    for name, level in (("a.wav", 0.25), ("b.wav", 0.5)):
        soundfile.write(tmp_path / name, np.full(RATE, level), RATE)
    with ClipReader(RATE) as reader:
        levels = [reader.read(tmp_path / name, 100, 0.5).mean() for name in ("a.wav", "b.wav", "a.wav")]
    assert levels == [0.25, 0.5, 0.25]


def test_a_cut_off_file_is_refused(recording: Path) -> None:
    data = recording.read_bytes()
    recording.write_bytes(data[: len(data) // 2])
    with pytest.raises(BadInput, match=rf"{recording.name}.*(cut off|corrupt)"):
        list(stream_blocks(recording))


def test_a_wav_of_unknown_length_is_read(tmp_path: Path) -> None:
    """A recorder that writes to a pipe leaves 0xFFFFFFFF as the length of the data."""
    path = tmp_path / "piped.wav"
    soundfile.write(path, noise(1), RATE, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    place = data.index(b"data") + 4
    data[place : place + 4] = struct.pack("<I", 0xFFFFFFFF)
    path.write_bytes(bytes(data))
    assert probe(path).seconds == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_broken_files_name_themselves(tmp_path: Path, suffix: str) -> None:
    empty, garbage = tmp_path / f"empty.{suffix}", tmp_path / f"garbage.{suffix}"
    empty.touch()
    garbage.write_bytes(bytes(range(256)) * 40)
    with pytest.raises(BadInput, match=r"empty.*0 bytes"):
        probe(empty)
    with pytest.raises(BadInput, match=r"garbage.*(isn't readable|no samples|corrupt)"):
        list(stream_blocks(garbage))
    with pytest.raises(BadInput, match=r"missing.*no such file"):
        probe(tmp_path / f"missing.{suffix}")


def test_no_samples_and_no_numbers(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "none.wav", np.zeros(0), RATE)
    with pytest.raises(BadInput, match="holds no samples"):
        probe(tmp_path / "none.wav")
    wave = np.zeros(RATE, np.float32)
    wave[100] = np.nan
    soundfile.write(tmp_path / "nan.wav", wave, RATE, subtype="FLOAT")
    with pytest.raises(BadInput, match="aren't finite"):
        read_clip(tmp_path / "nan.wav", 0, 1.0, RATE)


def test_real_recordings_decode_whole(shared_data: Path) -> None:
    for pattern in ("frogs/**/*.mp3", "long/**/*.mp3", "environment_esc10/**/*.ogg"):
        for path in sorted((shared_data / "field").glob(pattern))[:4]:
            frames = sum(len(block) for block in stream_blocks(path))
            assert frames == pytest.approx(probe(path).frames, abs=probe(path).rate)
