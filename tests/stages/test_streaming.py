"""A model over sound that goes on: the same answers as from windows cut out of it, at once, in bounded memory."""

import csv
import io
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from birdssl.audio.device.spectra import Spectra
from birdssl.audio.device.waveform import Waveforms
from birdssl.audio.encode import as_int16
from birdssl.audio.resample import resample
from birdssl.cli.app import main
from birdssl.errors import BadInput, IncompatibleError, UsageError
from birdssl.models.acoustic_ssm import AcousticSSM
from birdssl.models.heads import build_head
from birdssl.models.initial import seeded_weights
from birdssl.models.registry import build_encoder
from birdssl.settings.embed import EmbedSettings
from birdssl.settings.run import RunOptions
from birdssl.stages import runner
from birdssl.stages.embed import Embed
from birdssl.stages.inference import Network
from birdssl.stages.pcm import Intake, blocks
from birdssl.stages.streaming import LISTENERS, Geometry, Heard, Listener, StreamListener, WindowListener, geometry
from birdssl.training.saved_model import Activation, ModelSpec, SavedModel, save_model

RATE = 8000
SECONDS = 0.753  # of a window: 6024 samples, off the grid of frames
CLASSES = ("frog", "owl")
SIZES = {"acoustic-ssm": {"widths": [8, 16], "ssm_layers": 2, "state": 8}, "adapted-cnn": {"widths": [8, 16]}}
FRONT = Spectra(RATE, SECONDS, SECONDS, 1, n_fft=256, window=256, hop=64, n_mels=32)
FRONTS = {
    "usual": FRONT,
    "hop of half a transform": replace(FRONT, hop=128),
    "hop that divides nothing": replace(FRONT, hop=100, window=200),
    "two transforms": replace(FRONT, n_mels=32, native_fft=62),
    "window shorter than a transform": replace(FRONT, crop_seconds=0.03, clip_seconds=0.03),
    "window of a whole number of frames": replace(FRONT, crop_seconds=0.8, clip_seconds=0.8),
}


def sound(seconds: float = 4.0) -> np.ndarray:
    """Noise whose loudness changes, with a sweep through it: (n,) int16, no exact silence at any window's ends."""
    draw = np.random.default_rng(4)
    times = np.arange(round(seconds * RATE)) / RATE
    noise = draw.standard_normal(len(times)) * (0.02 + 0.1 * np.sin(2 * np.pi * 0.7 * times) ** 2)
    made = as_int16((noise + 0.2 * np.sin(2 * np.pi * (300 + 200 * times) * times)).astype(np.float32))
    return np.where(made == 0, 1, made).astype(np.int16)


def saved(
    name: str = "acoustic-ssm", front: Spectra = FRONT, head: bool = False, activation: Activation = "softmax"
) -> SavedModel:
    """A model with batch statistics that aren't those it starts with."""
    fitted = front.fitted(torch.from_numpy(sound()[None]))
    with seeded_weights(2):
        encoder = build_encoder(name, **fitted.encoder_options, **SIZES[name])
        for _ in range(3):
            encoder(torch.randn(4, len(fitted.channels), fitted.n_mels, 20))
        top = build_head(name, encoder.features, len(CLASSES)) if head else None
    spec = ModelSpec(frontend=fitted.to_dict(), classes=CLASSES if head else (), activation=activation)
    return SavedModel(encoder.eval(), None if top is None else top.eval(), spec)


def network(**options: Any) -> Network:
    return Network(saved(**options), torch.device("cpu"))


def listen(
    model: Network,
    memory: str,
    samples: np.ndarray,
    every: float | None = 0.2,
    parts: int = 700,
    layer: str = "encoder",
) -> list[Heard]:
    """All answers, the samples given in parts of changing size."""
    draw = np.random.default_rng(1)
    with torch.inference_mode():
        listener, found, at = LISTENERS[memory](model, layer, every), [], 0
        while at < len(samples):
            count = int(draw.integers(1, 2 * parts))
            found += listener.push(samples[at : at + count])
            at += count
        return found + list(listener.finish())


def cut(samples: np.ndarray, heard: Heard, length: int) -> np.ndarray:
    """The window of an answer, filled up with zeros where the stream is shorter."""
    part = samples[round(heard.start * RATE) : round(heard.end * RATE)]
    return np.pad(part, (0, length - len(part)))


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("front", FRONTS)
def test_a_window_says_what_embed_says_of_it_cut_out(front: str, name: str) -> None:
    model, samples = network(name=name, front=FRONTS[front]), sound()
    length = FRONTS[front].crop_samples
    found = listen(model, "window", samples)
    assert len(found) > 10
    windows = np.stack([cut(samples, heard, length) for heard in found])
    expected = model.run(windows, "encoder", batch=7).embeddings
    np.testing.assert_allclose(np.stack([heard.embedding for heard in found]), expected, rtol=0, atol=1e-4)
    assert np.ptp(expected, axis=0).max() > 0.1  # the answers differ, so that this says something


def test_windows_come_at_even_steps_and_the_last_ends_with_the_stream() -> None:
    found = listen(network(), "window", sound(2.0))
    starts = [round(heard.start * RATE) for heard in found]
    assert starts[:-1] == [64 * 25 * k for k in range(len(starts) - 1)]  # 0.2 s are 25 frames of 8 ms
    assert found[-1].end == 2.0
    assert {round((heard.end - heard.start) * RATE) for heard in found} == {FRONT.crop_samples}


@pytest.mark.parametrize("memory", LISTENERS)
def test_no_answer_twice_where_the_stream_ends_with_a_window(memory: str) -> None:
    front = FRONTS["window of a whole number of frames"]
    found = listen(network(front=front), memory, sound(0.8 + 3 * 0.2))
    ends = [round(heard.end, 6) for heard in found]
    assert ends == [0.8, 1.0, 1.2, 1.4]


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("front", FRONTS)
def test_the_stream_memory_says_what_one_long_run_says(front: str, name: str) -> None:
    model, samples = network(name=name, front=FRONTS[front]), sound()
    frontend, encoder = model.frontend, model.model.encoder
    assert isinstance(frontend, Spectra)
    assert isinstance(encoder, AcousticSSM)
    with torch.inference_mode():
        frames = encoder.frames(frontend.inputs(torch.from_numpy(samples[None])))[0]
    found = listen(model, "stream", samples)
    assert len(found) > 10
    for heard in found[:-1]:
        first = round(heard.start * RATE) // frontend.hop
        expected = frames[:, first : first + frontend.frames].mean(1)
        np.testing.assert_allclose(heard.embedding, expected, rtol=0, atol=1e-4)
    np.testing.assert_allclose(found[-1].embedding, frames[:, -frontend.frames :].mean(1), rtol=0, atol=1e-4)
    assert found[-1].end == pytest.approx(4.0)


def test_the_two_memories_differ_by_what_came_before() -> None:
    samples = sound()
    window, stream = (listen(network(), memory, samples) for memory in ("window", "stream"))
    assert [heard.start for heard in window[:-1]] == [heard.start for heard in stream[: len(window) - 1]]
    assert (
        max(np.abs(one.embedding - other.embedding).max() for one, other in zip(window[3:9], stream[3:9], strict=True))
        > 1e-3
    )


@pytest.mark.parametrize("memory", LISTENERS)
def test_a_stream_shorter_than_a_window(memory: str) -> None:
    model, samples = network(), sound(0.3)
    (heard,) = listen(model, memory, samples)
    assert (heard.start, heard.end) == (0.0, 0.3)
    if memory == "window":
        expected = model.run(cut(samples, heard, FRONT.crop_samples)[None], "encoder", 1).embeddings[0]
        np.testing.assert_allclose(heard.embedding, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("memory", LISTENERS)
def test_no_sound_no_answer(memory: str) -> None:
    assert listen(network(), memory, sound(0.0)) == []


@pytest.mark.parametrize("memory", LISTENERS)
def test_how_the_sound_is_cut_into_parts_changes_nothing(memory: str) -> None:
    model, samples = network(), sound(3.0)
    small, large = listen(model, memory, samples, parts=40), listen(model, memory, samples, parts=10**6)
    assert [heard.start for heard in small] == [heard.start for heard in large]
    for one, other in zip(small, large, strict=True):
        np.testing.assert_allclose(one.embedding, other.embedding, rtol=0, atol=1e-5)


@pytest.mark.parametrize("memory", LISTENERS)
def test_windows_may_lie_apart(memory: str) -> None:
    model, samples = network(), sound()
    found = listen(model, memory, samples, every=1.2)
    assert [round(heard.start, 3) for heard in found[:3]] == [0.0, 1.2, 2.4]
    if memory == "window":
        windows = np.stack([cut(samples, heard, FRONT.crop_samples) for heard in found])
        expected = model.run(windows, "encoder", 9).embeddings
        np.testing.assert_allclose(np.stack([heard.embedding for heard in found]), expected, rtol=0, atol=1e-4)


def test_an_answer_comes_with_the_last_sample_of_its_window() -> None:
    samples = sound()
    listener = WindowListener(network(), "encoder", 0.2)
    with torch.inference_mode():
        assert list(listener.push(samples[: FRONT.crop_samples - 1])) == []
        assert len(list(listener.push(samples[FRONT.crop_samples - 1 :][:1]))) == 1


def test_with_the_whole_stream_in_mind_it_comes_half_a_transform_later() -> None:
    samples = sound()
    last = (FRONT.frames - 1) * FRONT.hop + FRONT.look_ahead  # what the window's last frame hears
    listener = StreamListener(network(), "encoder", 0.2)
    with torch.inference_mode():
        assert list(listener.push(samples[: last - 1])) == []
        assert len(list(listener.push(samples[last - 1 :][:1]))) == 1
    assert last - FRONT.crop_samples <= FRONT.look_ahead


@pytest.mark.parametrize("memory", LISTENERS)
def test_memory_doesnt_grow(memory: str) -> None:
    samples, most = sound(), 0
    with torch.inference_mode():
        listener = LISTENERS[memory](network(name="adapted-cnn"), "encoder", 0.2)
        for _ in range(15):  # a minute
            for at in range(0, len(samples), 4000):
                for _ in listener.push(samples[at : at + 4000]):
                    most = max(most, held(listener))
    assert most <= (FRONT.crop_samples + 2 * 1600 + 256) * 2 + FRONT.frames * 16 * 4


def held(listener: Listener) -> int:
    """Bytes of all tensors that a listener keeps, with what lies under views."""
    kept = [value for value in vars(listener).values() if isinstance(value, Tensor)]
    assert len(kept) == 2
    return sum(tensor.untyped_storage().nbytes() for tensor in kept)


def test_a_frame_goes_through_the_network_once_but_at_a_windows_ends() -> None:
    model, samples, seen = network(), sound(), []
    encoder = model.model.encoder
    assert isinstance(encoder, AcousticSSM)
    encoder.cnn.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[3]))
    found = listen(model, "window", samples)
    inner = geometry(FRONT, 0.2).inner
    ends = FRONT.frames - len(inner)
    assert ends == 4
    windows = len(found) - 1
    assert sum(seen[:-1]) == len(inner) + (windows - 1) * 25 + windows * ends
    assert seen[-1] == FRONT.frames  # the last one lies off the grid


@pytest.mark.parametrize(("seconds", "every"), [(0.2, 25), (0.0001, 1), (0.012, 2), (None, 24)])
def test_steps_are_whole_frames(seconds: float | None, every: int) -> None:
    assert geometry(FRONT, seconds) == Geometry(64, 128, 6024, every)


def test_inner_frames_hear_nothing_outside_the_window() -> None:
    size = Geometry(hop=256, ahead=512, length=30225, every=30)
    assert size.frames == 119
    assert size.inner == range(2, 117)
    assert size.inner.start * 256 - 512 >= 0 > (size.inner.start - 1) * 256 - 512
    assert (size.inner.stop - 1) * 256 + 512 <= 30225 < size.inner.stop * 256 + 512


@pytest.mark.parametrize(("layer", "activation"), [("encoder", "softmax"), ("penultimate", "sigmoid")])
def test_scores_are_those_of_the_window(layer: str, activation: Activation) -> None:
    model, samples = network(head=True, activation=activation), sound(2.0)
    found = listen(model, "window", samples, layer=layer)
    windows = np.stack([cut(samples, heard, FRONT.crop_samples) for heard in found])
    expected = model.run(windows, layer, 4)
    np.testing.assert_allclose(np.stack([heard.embedding for heard in found]), expected.embeddings, rtol=0, atol=1e-4)
    scores = np.stack([heard.scores for heard in found if heard.scores is not None])
    np.testing.assert_allclose(scores, expected.scores, rtol=0, atol=1e-4)


def test_models_that_hear_what_comes_are_refused() -> None:
    spec = ModelSpec(frontend=Waveforms(16000, 1.0).to_dict())
    encoder = build_encoder("wav2vec2", layers=1, width=64, channels=8).eval()
    with pytest.raises(IncompatibleError, match="wav2vec2 doesn't hear frame by frame, for each of its frames depends"):
        WindowListener(Network(SavedModel(encoder, None, spec), torch.device("cpu")), "encoder", None)


def test_it_is_no_step_of_a_recipe(folder: Path, tmp_path: Path) -> None:
    settings = EmbedSettings(model=folder, stream=True)
    with pytest.raises(UsageError, match="no step of a recipe"):
        runner.run(Embed(settings, [], tmp_path / "out", RunOptions(device="cpu")))


# --- samples ----------------------------------------------------------------------------------------------------------
def test_another_rate_is_resampled_as_clips_are() -> None:
    given, intake = sound(1.0), Intake(11025, RATE)
    parts = [intake.take(given[at : at + 999]) for at in range(0, len(given), 999)]
    expected = as_int16(resample(given.astype(np.float32) / 32768, 11025, RATE))
    np.testing.assert_array_equal(np.concatenate([*parts, intake.finish()]), expected)
    assert intake.seconds == pytest.approx(len(given) / 11025)


def test_samples_at_the_models_rate_are_taken_as_they_are() -> None:
    given = sound(0.1)
    assert Intake(RATE, RATE).take(given) is given
    np.testing.assert_array_equal(Intake(RATE, RATE).take(given.astype(np.float32) / 32768), given)


def test_a_lower_rate_is_refused() -> None:
    with pytest.raises(IncompatibleError, match=r"--stream-rate 4000: the model was trained at 8000 Hz"):
        Intake(4000, RATE)


def test_what_is_no_number_is_refused_with_its_time() -> None:
    intake, values = Intake(RATE, RATE), np.zeros(800, np.float32)
    intake.take(values)
    values[400] = np.nan
    with pytest.raises(BadInput, match=r"no number at 0\.15 s"):
        intake.take(values)


class Dribble(io.RawIOBase):
    """A pipe that gives what it likes at a time."""

    def __init__(self, data: bytes, sizes: Iterator[int]) -> None:
        self.data, self.sizes = data, sizes

    def read1(self, _: int) -> bytes:
        size = next(self.sizes)
        taken, self.data = self.data[:size], self.data[size:]
        return taken


@pytest.mark.parametrize(("form", "kind"), [("s16le", "<i2"), ("f32le", "<f4")])
def test_samples_come_whole_however_bytes_come(form: str, kind: str) -> None:
    given = np.arange(-50, 50).astype(kind)
    for seed in range(20):
        draw = np.random.default_rng(seed)
        source = Dribble(given.tobytes(), iter(lambda draw=draw: int(draw.integers(1, 9)), 0))
        found = np.concatenate(list(blocks(source, form, RATE)))
        np.testing.assert_array_equal(found, given)
        assert found.dtype == np.dtype(kind).newbyteorder("=")


def test_a_cut_off_sample_is_left_out_and_said(caplog: pytest.LogCaptureFixture) -> None:
    data = np.arange(5, dtype="<i2").tobytes() + b"\x01"
    assert np.concatenate(list(blocks(io.BytesIO(data), "s16le", RATE))).tolist() == [0, 1, 2, 3, 4]
    assert "ended within a sample; its last 1 bytes are left out" in caplog.text


def test_a_stream_of_a_single_sample() -> None:
    assert np.concatenate(list(blocks(io.BytesIO(b"\x05\x00"), "s16le", RATE))).tolist() == [5]
    assert not np.concatenate([np.zeros(0), *blocks(io.BytesIO(b""), "s16le", RATE)]).size


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "AIFF"])
def test_files_that_arent_raw_are_refused(form: str) -> None:
    held = io.BytesIO()
    soundfile.write(held, np.zeros(1000, np.float32), RATE, format=form)
    held.seek(0)
    with pytest.raises(UsageError, match=rf"(?i)this is an? {form} file, and raw PCM is expected; decode it first"):
        list(blocks(held, "s16le", RATE))


def test_a_file_of_boxes_is_refused_with_a_command_for_this_stream() -> None:
    """The command once named a rate that the stream wasn't taken at: what followed it was heard at another pitch."""
    held = io.BytesIO(b"\x00\x00\x00\x20ftypM4A " + bytes(100))
    with pytest.raises(UsageError, match=r"an MP4 or M4A file.* -f f32le -ac 1 -ar 22050 - \| .*--stream-rate 22050 "):
        list(blocks(held, "f32le", 22050))


def test_floats_beyond_full_scale_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    intake = Intake(RATE, RATE)
    for level in (0.5, 20.0, 30.0):
        intake.take(np.full(RATE, level, np.float32))
    assert [record.getMessage()[:44] for record in caplog.records] == ["the stream holds values up to 20 at 1 s; flo"]


def test_a_stream_without_a_sample_is_no_success(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give(monkeypatch, b"")
    assert run_here("--model", str(folder)) == 4
    assert "stdin ended before the first sample" in capsys.readouterr().err


# --- the command line -------------------------------------------------------------------------------------------------
COMMAND = [sys.executable, "-c", "import sys; from birdssl.cli.app import main; sys.exit(main(sys.argv[1:]))", "embed",
           "--stream", "--device", "cpu"]  # fmt: skip
# libsndfile in a process of its own, where no other decoder is installed
DECODE = """
import sys, soundfile
with soundfile.SoundFile(sys.argv[1]) as file:
    for block in file.blocks(512, dtype="int16"):
        sys.stdout.buffer.write(block.astype("<i2").tobytes())
"""


def decoder(path: Path) -> list[str]:
    """A command that writes a FLAC file as raw s16le."""
    if shutil.which("ffmpeg"):
        return ["ffmpeg", "-v", "error", "-i", str(path), "-f", "s16le", "-"]
    if shutil.which("flac"):
        return ["flac", "-sdc", "--force-raw-format", "--endian=little", "--sign=signed", str(path)]
    if shutil.which("sox"):
        return ["sox", str(path), "-t", "raw", "-e", "signed", "-b", "16", "-L", "-"]
    return [sys.executable, "-c", DECODE, str(path)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model with a head."""
    made, place = saved(head=True), tmp_path_factory.mktemp("model")
    save_model(place, made.encoder, made.head, made.spec)
    return place


@contextmanager
def piped(source: list[str], *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """`source | birdssl embed --stream`, its output not read yet."""
    with (
        subprocess.Popen(source, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as first,
        subprocess.Popen(
            [*COMMAND, *options], stdin=first.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as last,
    ):
        assert first.stdout is not None
        first.stdout.close()  # so that a closed pipe reaches the decoder
        yield last


def test_a_pipe_from_a_decoder(folder: Path, tmp_path: Path) -> None:
    samples = sound()
    soundfile.write(tmp_path / "mic.flac", samples, RATE, subtype="PCM_16")
    with piped(decoder(tmp_path / "mic.flac"), "--model", str(folder), "--stream-hop", "0.2") as run:
        out, said = run.communicate(timeout=120)
    assert run.returncode == 0, said
    lines = [json.loads(line) for line in out.splitlines()]
    assert [round(line["start"], 6) for line in lines[:3]] == [0.0, 0.2, 0.4]
    assert lines[-1]["end"] == 4.0
    windows = np.stack([samples[round(line["start"] * RATE) :][: FRONT.crop_samples] for line in lines])
    expected = network(head=True).run(windows, "penultimate", 8)
    np.testing.assert_allclose([line["embedding"] for line in lines], expected.embeddings, rtol=0, atol=1e-4)
    scores = [[line["scores"][name] for name in CLASSES] for line in lines]
    np.testing.assert_allclose(scores, expected.scores, rtol=0, atol=1e-4)
    assert said.decode().splitlines() == ["device: cpu", f"{len(lines)} windows of 4 s of sound"]


def test_lines_come_while_the_pipe_is_open_and_ctrl_c_ends_it(folder: Path) -> None:
    samples = sound()
    with subprocess.Popen(
        [*COMMAND, "--model", str(folder), "--memory", "stream"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as run:  # fmt: skip
        assert run.stdin is not None
        assert run.stdout is not None
        run.stdin.write(samples[: FRONT.crop_samples + FRONT.look_ahead].tobytes())
        run.stdin.flush()
        line = json.loads(run.stdout.readline())  # stdin is open still, so nothing waits for its end
        run.send_signal(signal.SIGINT)
        out, said = run.communicate(timeout=60)
    assert (line["start"], line["end"]) == (0.0, SECONDS)
    assert (run.returncode, out, said) == (130, b"", b"device: cpu\n")


def test_a_reader_that_leaves_ends_it_without_complaint(folder: Path) -> None:
    forever = [sys.executable, "-c", "import sys, os\nwhile True: sys.stdout.buffer.write(os.urandom(9999))"]
    with piped(forever, "--model", str(folder), "--stream-hop", "0.05") as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.readline()
        run.stdout.close()
        said = run.stderr.read()
    assert run.returncode == 0
    assert said == b"device: cpu\n"


def give(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """These bytes on stdin."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def run_here(*options: str) -> int:
    return main(["embed", "--stream", "--device", "cpu", *options])


def test_columns(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    samples = sound(1.0)
    give(monkeypatch, (samples.astype("<f4") / 32768).astype("<f4").tobytes())
    options = ["--stream-format", "f32le", "--stream-lines", "tsv", "--layer", "encoder", "-q"]
    assert run_here("--model", str(folder), *options) == 0
    out, said = capsys.readouterr()
    head, *rows = csv.reader(out.splitlines(), delimiter="\t")
    assert head == ["start", "end", "frog", "owl", "embedding"]
    assert [row[:2] for row in rows] == [["0.000000", "0.753000"], ["0.192000", "0.945000"], ["0.247000", "1.000000"]]
    assert all(sum(map(float, row[2:4])) == pytest.approx(1, abs=1e-5) for row in rows)
    window = samples[: FRONT.crop_samples]
    expected = network(head=True).run(window[None], "encoder", 1).embeddings[0]
    np.testing.assert_allclose([float(value) for value in rows[0][4].split(";")], expected, rtol=0, atol=1e-4)
    assert said == ""


def test_another_rate_on_the_command_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give(monkeypatch, sound(1.5).tobytes())  # 12,000 samples are half a second at 24 kHz
    assert run_here("--model", str(folder), "--stream-rate", "24000") == 0
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (line["start"], line["end"]) == (0.0, 0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["clips"], "an input doesn't go with --stream"),
        (["-o", "out"], "-o doesn't go with --stream"),
        (["--jobs", "2"], "--jobs doesn't go with --stream"),
        (["--roles", "copy"], "--roles goes without --stream"),
        (["--batch", "2"], "--batch goes without --stream"),
        (["--stream-hop", "0"], "--stream-hop '0': must be a number, more than 0"),
    ],
)
def test_what_doesnt_go_with_it(
    options: list[str], message: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give(monkeypatch, b"")
    assert run_here("--model", str(folder), *options) == 2
    assert message in capsys.readouterr().err


def test_it_needs_a_model_and_a_pipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here("--features", "mel-statistics") == 2
    assert "--stream runs a model" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", None)
    assert run_here("--model", "nowhere") == 2
    assert "nothing is piped in" in capsys.readouterr().err
    give(monkeypatch, b"")
    assert run_here("--model", "nowhere") == 4
    assert "--model nowhere: no such directory" in capsys.readouterr().err


def test_its_settings_need_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["embed", "clips", "--model", "m", "-o", "out", "--memory", "stream"]) == 2
    assert "--memory goes with --stream" in capsys.readouterr().err
