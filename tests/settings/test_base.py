"""Settings: where a value comes from, and what a person reads when it's wrong."""

from pathlib import Path
from typing import Literal

import pytest

from birdssl.errors import UsageError
from birdssl.settings.base import Settings, check, limits, nearest, resolve, setting, summary
from birdssl.settings.evaluate import EvaluateSettings
from birdssl.settings.run import RunOptions
from birdssl.settings.segment import SegmentSettings


class ToySettings(Settings):
    """Toy verb: does
    nothing.

    More about it.
    """

    sample_rate: int = setting(44_100, "Samples a second.", ge=1000, le=400_000)
    channel: Literal["mix", "left"] = setting("mix", "Which channel.")
    rates: list[float] = setting([0.7, 1.3], "Stretch rates.")
    table: Path | None = setting(None, "A table.")
    shout: bool = setting(False, "Say it aloud.")
    top: float | None = setting(None, "Highest.", gt=0)


def test_flag_beats_variable_beats_file_beats_default(tmp_path: Path, monkeypatch):
    config = tmp_path / "c.toml"
    config.write_text('sample-rate = 1000\nchannel = "left"\nshout = true\n[other]\nx = 1\n')
    assert resolve(ToySettings, "toy", {})[0].sample_rate == 44_100
    assert resolve(ToySettings, "toy", {}, config)[0].sample_rate == 1000
    monkeypatch.setenv("BIRDSSL_TOY_SAMPLE_RATE", "2000")
    assert resolve(ToySettings, "toy", {}, config)[0].sample_rate == 2000
    settings, source = resolve(ToySettings, "toy", {"sample_rate": "3000", "channel": None}, config)
    assert (settings.sample_rate, settings.channel, settings.shout) == (3000, "left", True)
    assert source["sample_rate"] == "flag"
    assert source["channel"] == str(config)


def test_a_verb_reads_its_own_table_of_a_shared_file(tmp_path: Path):
    config = tmp_path / "c.toml"
    config.write_text("[toy]\nsample_rate = 1500\n[other]\nsample_rate = 9\n")
    assert resolve(ToySettings, "toy", {}, config)[0].sample_rate == 1500


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"sample_rate": "12"}, r"--sample-rate '12': must be a whole number, at least 1000 and at most 400000"),
        ({"sample_rate": "fast"}, r"--sample-rate 'fast': must be a whole number"),
        ({"channel": "lefft"}, r"--channel 'lefft': did you mean 'left'\? choices: mix, left"),
        ({"top": "0"}, r"--top '0': must be a number, more than 0"),
        ({"sample-rat": 1}, r"unknown setting 'sample-rat'; did you mean 'sample-rate'\?"),
        ({"shout": "perhaps"}, r"--shout 'perhaps': must be true or false"),
    ],
)
def test_a_wrong_value_is_answered_with_what_is_allowed(given: dict, sentence: str):
    with pytest.raises(UsageError, match=sentence):
        check(ToySettings, given)


def test_the_variable_a_wrong_value_came_from_is_named(monkeypatch):
    monkeypatch.setenv("BIRDSSL_TOY_CHANNEL", "up")
    with pytest.raises(UsageError, match="from BIRDSSL_TOY_CHANNEL"):
        resolve(ToySettings, "toy", {})


def test_lists_are_repeated_or_comma_separated():
    assert check(ToySettings, {"rates": ["0.5,0.6", "2"]}).rates == [0.5, 0.6, 2.0]
    assert check(ToySettings, {"rates": "1.5"}).rates == [1.5]
    assert check(ToySettings, {"rates": [1, 2]}).rates == [1.0, 2.0]
    assert check(ToySettings, {"rates": 3}).rates == [3.0]  # as a TOML file may have it


@pytest.mark.parametrize("text", ["not toml [", "sample_rat = 3"])
def test_a_faulty_file_is_named(tmp_path: Path, text: str):
    config = tmp_path / "c.toml"
    config.write_text(text)
    with pytest.raises(UsageError, match=r"c\.toml"):
        resolve(ToySettings, "toy", {}, config)
    with pytest.raises(UsageError, match="no such file"):
        resolve(ToySettings, "toy", {}, tmp_path / "gone.toml")


def test_words_derive_from_the_declaration():
    assert summary(ToySettings) == "Toy verb: does nothing."
    assert limits(ToySettings.model_fields["sample_rate"]) == "at least 1000 and at most 400000"
    assert nearest("vicrge", ["vicreg", "simclr"]) == "did you mean 'vicreg'?"
    assert nearest("zzz", ["b", "a"]) == "known: a, b"


def test_the_record_is_json_and_restores_the_settings():
    settings = check(ToySettings, {"table": "a/b.csv"})
    assert settings.record()["table"] == "a/b.csv"
    assert check(ToySettings, settings.record()) == settings


def test_a_number_in_a_file_will_do_where_a_text_may_be_one(tmp_path: Path):
    """`channel = 0`, `balance = 580` and `max-rejects = 5` were refused: "must be a text"."""
    (tmp_path / "c.toml").write_text("channel = 0\nmax-rejects = 5\n")
    assert resolve(SegmentSettings, "segment", {}, tmp_path / "c.toml", RunOptions)[0].channel == "0"
    assert resolve(RunOptions, "", {}, tmp_path / "c.toml", SegmentSettings)[0].max_rejects == "5"
    assert check(EvaluateSettings, {"classes": [1, 2]}).classes == ["1", "2"]
    with pytest.raises(UsageError, match="must be a text"):
        check(SegmentSettings, {"label": True})
