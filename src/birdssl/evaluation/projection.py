"""Embeddings laid out on a plane by t-SNE, to be looked at: near clips are alike, distances far apart mean little."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from birdssl.evaluation.metrics import Ints
from birdssl.seeds import derive, generator

# A picture of more dots is a blot; 1,000 clips take five seconds on one core, and 2,000 nine.
CLIPS = 1000
PERPLEXITY = 30.0
# Neighbours hardly change, and their search is much quicker, in the leading components (as van der Maaten did).
COMPONENTS = 50
FEWEST = 5


@dataclass(frozen=True)
class Projection:
    """Points on a plane.

    Attributes:
        points: (shown, 2), or None with `reason` where there are too few clips.
        rows: (shown,) positions of the clips shown among those given.
        perplexity: as used: 30, or less for few clips.
    """

    points: npt.NDArray[np.float64] | None
    rows: Ints
    perplexity: float
    reason: str | None = None


def project(embeddings: npt.NDArray, truth: Ints, seed: int, most: int = CLIPS) -> Projection:
    """t-SNE of embeddings (clips, features), standardised by the clips' own mean and overall deviation; seeded.

    Of more than `most` clips, a part is drawn in which each class keeps its share. Runs on one thread, for sums over
    threads differ in their last bits, which t-SNE magnifies.
    """
    rows = _subsample(truth, most, seed)
    if len(rows) < FEWEST:
        return Projection(None, rows, 0.0, f"a t-SNE picture needs {FEWEST} clips or more; here are {len(rows)}")
    points = embeddings[rows].astype(np.float64)
    points -= points.mean(axis=0)
    deviation = points.std()
    if deviation == 0:
        return Projection(None, rows, 0.0, "all embeddings are the same point")
    perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
    state = derive(seed, "t-sne") % 2**32
    with threadpool_limits(1):
        if min(points.shape) > COMPONENTS:
            points = PCA(COMPONENTS, random_state=state).fit_transform(points / deviation)
        start = "pca" if points.shape[1] >= 2 else "random"
        flat = TSNE(2, perplexity=perplexity, init=start, random_state=state, n_jobs=1).fit_transform(points)
    return Projection(flat.astype(np.float64), rows, perplexity)


def _subsample(truth: Ints, most: int, seed: int) -> Ints:
    """Positions of all clips, or of `most` of them drawn by class in proportion, at least one a class."""
    if len(truth) <= most:
        return np.arange(len(truth))
    random = generator(seed, "t-sne rows")
    shuffled = random.permutation(len(truth))
    # A clip's place within its class, over the class's size: taking the lowest takes from all classes alike.
    place = np.empty(len(truth))
    for kind in np.unique(truth):
        members = shuffled[truth[shuffled] == kind]
        place[members] = np.arange(len(members)) / len(members)
    return np.sort(shuffled[np.argsort(place[shuffled], kind="stable")][:most])
