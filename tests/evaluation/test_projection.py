import numpy as np
import pytest

from birdssl.evaluation.projection import project


def clouds(count=120, features=6):
    random = np.random.default_rng(0)
    kinds = np.arange(count) % 3
    return (random.normal(size=(count, features)) + 20 * np.eye(features)[kinds]).astype(np.float32), kinds


def test_clear_classes_stay_apart_on_the_plane():
    points, kinds = clouds()
    found = project(points, kinds, seed=0)
    centres = np.stack([found.points[kinds == kind].mean(0) for kind in range(3)])
    nearest = ((found.points[:, None] - centres) ** 2).sum(2).argmin(1)
    assert (nearest == kinds).mean() > 0.98
    assert found.perplexity == 30


def test_the_seed_decides_the_picture():
    points, kinds = clouds(60, 80)
    assert np.array_equal(project(points, kinds, seed=1).points, project(points, kinds, seed=1).points)


@pytest.mark.parametrize(("clips", "features"), [(5, 3), (14, 512), (8, 1)])
def test_few_clips_lower_the_perplexity(clips, features):
    found = project(np.random.default_rng(0).normal(size=(clips, features)), np.arange(clips) % 2, seed=0)
    assert found.points.shape == (clips, 2)
    assert found.perplexity == pytest.approx((clips - 1) / 3)


def test_too_few_or_equal_clips_give_a_reason():
    assert "5 clips or more; here are 3" in project(np.zeros((3, 2)), np.zeros(3, int), seed=0).reason
    assert "the same point" in project(np.ones((9, 2)), np.zeros(9, int), seed=0).reason


def test_a_part_of_many_clips_keeps_classes_in_proportion():
    kinds = np.repeat([0, 1, 2], [600, 300, 3])
    found = project(np.random.default_rng(0).normal(size=(903, 4)), kinds, seed=0, most=90)
    counts = np.bincount(kinds[found.rows])
    assert len(found.rows) == 90
    assert counts[2] >= 1
    assert 57 <= counts[0] <= 61
    assert 28 <= counts[1] <= 31
