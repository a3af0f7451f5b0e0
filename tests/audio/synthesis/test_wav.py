"""Files that any reader takes, with the metadata that recorders write."""

import io
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile

from birdssl.audio.recorders import provenance
from birdssl.audio.synthesis.recorders import comment, file_name, guano, recorder
from birdssl.audio.synthesis.wav import to_int16, write_wav

TIME = datetime(2024, 5, 18, 5, 30)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_what_a_recorder_writes_is_read_back(tmp_path: Path, number: int) -> None:
    unit = recorder(number, np.random.default_rng(number))
    path = tmp_path / file_name(unit, "site-07", TIME)
    path.parent.mkdir()
    samples = np.random.default_rng(0).integers(-32768, 32767, 1001).astype(np.int16)
    note, text = comment(unit, TIME, 14.2), guano(unit, "site-07", TIME, 14.2, 1001 / 24000, 24000)
    with path.open("wb") as file:
        write_wav(file, [samples[:400], samples[400:]], 1001, 24000, comment=note, guano=text)
    read, rate = soundfile.read(path, dtype="int16")
    assert rate == 24000
    np.testing.assert_array_equal(read, samples)
    found = provenance(path, ("site-07",))
    assert (found.site, found.recorder, found.time, found.utc_offset) == ("site-07", unit.name, TIME, 0)


def test_a_wrong_number_of_samples_is_an_error() -> None:
    with pytest.raises(ValueError, match="3 frames came, 4 were announced"):
        write_wav(io.BytesIO(), [np.zeros(3, np.int16)], 4, 24000)


def test_a_file_past_four_gibibytes_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter recordings"):
        write_wav(io.BytesIO(), [], 2**31, 24000)


def test_samples_beyond_full_scale_clip() -> None:
    np.testing.assert_array_equal(to_int16(np.array([-2, -1, 0, 0.5, 1, 2])), [-32768, -32768, 0, 16384, 32767, 32767])
