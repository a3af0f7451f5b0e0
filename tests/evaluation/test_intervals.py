import time

import numpy as np
import pytest

from birdssl.evaluation.intervals import (
    Interval,
    bootstrap,
    difference,
    tally,
    verdict,
)


def recordings(random, per_class, classes=6, clips=10, spread=0.4):
    """Clips of recordings that each hold one class; a recording's own recall is beta around its class's."""
    kinds = np.repeat(np.arange(classes), per_class)
    middle = np.linspace(0.35, 0.85, classes)
    shares = random.beta(*((share * (1 - spread) / spread)[kinds] for share in (middle, 1 - middle)))
    right = random.random((len(kinds), clips)) < shares[:, None]
    origins = np.repeat([f"r{number}" for number in range(len(kinds))], clips)
    return tally(np.repeat(kinds, clips), right.ravel(), list(origins), classes), middle.mean()


def test_tally_adds_clips_up_by_origin_and_class():
    found = tally(np.array([0, 0, 1, 1]), [1, 0, 1, 0.5], ["a", "b", "b", "b"], 3)
    assert found.clips.tolist() == [[1, 0, 0], [1, 2, 0]]
    assert found.right.tolist() == [[1, 0, 0], [0, 1.5, 0]]
    assert found.balanced_accuracy() == pytest.approx((0.5 + 0.75) / 2)
    assert found.origins_per_class().tolist() == [2, 1, 0]


def test_a_percentile_interval_worked_by_hand():
    """Two origins, one class, one right and one wrong: draws are 0, 1/2 or 1, and the interval spans them."""
    found = bootstrap(tally(np.zeros(2, int), [1, 0], ["a", "b"], 1), seed=0)
    assert (found.balanced_accuracy.low, found.balanced_accuracy.high) == (0.0, 1.0)
    assert found.balanced_accuracy.estimate == 0.5


def test_spread_matches_the_binomial_for_many_single_clip_origins():
    random = np.random.default_rng(5)
    count = 2000
    found = bootstrap(
        tally(np.zeros(count, int), random.random(count) < 0.3, [str(n) for n in range(count)], 1), seed=1
    )
    half = 1.96 * np.sqrt(0.3 * 0.7 / count)
    assert found.balanced_accuracy.high - found.balanced_accuracy.low == pytest.approx(2 * half, rel=0.1)


def test_clips_of_one_recording_do_not_narrow_an_interval():
    """Each clip counted a hundred times over carries no news."""
    truth, right, origins = np.tile([0, 1], 7), [1, 0, 1, 1, 0, 1, 1, 1, 0, 0, 1, 1, 0, 1], [f"r{n}" for n in range(14)]
    once = bootstrap(tally(truth, right, origins, 2), seed=2)
    often = bootstrap(tally(np.repeat(truth, 100), np.repeat(right, 100), list(np.repeat(origins, 100)), 2), seed=2)
    assert once.balanced_accuracy == often.balanced_accuracy
    assert once.balanced_accuracy.high - once.balanced_accuracy.low > 0.3


def test_where_the_data_give_no_interval_the_reason_is_told():
    alone = bootstrap(tally(np.zeros(9, int), np.arange(9) % 2, ["only"] * 9, 1), seed=0)
    assert alone.balanced_accuracy == Interval(4 / 9, None, None, "one origin")
    perfect = bootstrap(tally(np.zeros(3, int), np.ones(3), ["a", "b", "c"], 2), seed=0)
    assert perfect.balanced_accuracy.reason == "all 3 origins agree"
    assert perfect.recalls[1].reason == "no clips"


def test_a_class_that_a_draw_lacks_is_left_out_of_its_mean_and_counted():
    """Three origins, class 1 in one of them only: (2/3)^3 of the draws lack it."""
    found = bootstrap(tally(np.array([0, 0, 1]), [1, 1, 0], ["a", "b", "c"], 2), seed=4)
    assert found.draws_without_a_class / found.draws == pytest.approx((2 / 3) ** 3 + (1 / 3) ** 3, abs=0.03)
    assert found.balanced_accuracy.high == 1.0


def test_the_seed_decides_every_draw():
    found = recordings(np.random.default_rng(0), 4)[0]
    assert bootstrap(found, seed=7) == bootstrap(found, seed=7)
    assert bootstrap(found, seed=7) != bootstrap(found, seed=8)


@pytest.mark.parametrize(("per_class", "least"), [(2, 0.89), (10, 0.915)])
def test_coverage_by_simulation(per_class, least):
    """Of 95 % intervals about that share holds the truth, few recordings included; least allows for 400 repeats."""
    random, held, repeats = np.random.default_rng(11), 0, 400
    for repeat in range(repeats):
        found, truth = recordings(random, per_class)
        interval = bootstrap(found, seed=repeat, draws=400).balanced_accuracy
        held += interval.low <= truth <= interval.high
    assert least <= held / repeats <= 0.99


def test_a_paired_difference_is_narrower_than_two_intervals_apart():
    """Both systems share hard and easy recordings; the pair cancels them."""
    random = np.random.default_rng(3)
    origins = np.repeat([f"r{number}" for number in range(40)], 10)
    hard = np.repeat(random.random(40), 10)
    truth = np.zeros(400, int)
    draw = random.random(400)
    better, worse = tally(truth, draw < hard + 0.1, list(origins), 1), tally(truth, draw < hard, list(origins), 1)
    gap = difference(better, worse, seed=0)
    alone = bootstrap(better, seed=0).balanced_accuracy
    assert gap.high - gap.low < 0.5 * (alone.high - alone.low)
    assert gap.low > 0
    assert verdict("A", "B", gap).startswith("A above B by ")
    assert verdict("B", "A", difference(worse, better, seed=0)).startswith("B below A by ")


def test_no_difference_is_said_in_words():
    found = recordings(np.random.default_rng(1), 3)[0]
    other = recordings(np.random.default_rng(2), 3)[0]
    assert verdict("A", "B", difference(found, other, seed=0)).startswith("no difference shown between A and B: ")
    assert "the same score in every origin" in verdict("A", "B", difference(found, found, seed=0))
    assert "too little to tell A from B: one origin" in verdict("A", "B", Interval(0.2, None, None, "one origin"))


def test_an_unpaired_difference_is_refused():
    with pytest.raises(ValueError, match="same clips"):
        difference(recordings(np.random.default_rng(1), 3)[0], recordings(np.random.default_rng(1), 4)[0], seed=0)


def test_ten_thousand_clips_and_a_thousand_draws_are_quick():
    """A bound that only a loop over clips would miss; it takes a quarter of a second."""
    random = np.random.default_rng(0)
    found = tally(random.integers(50, size=10_000), random.random(10_000) < 0.5, [str(n) for n in range(10_000)], 50)
    start = time.process_time()
    bootstrap(found, seed=0, draws=1000)
    assert time.process_time() - start < 10
