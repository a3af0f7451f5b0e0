"""Vectors as plain classifiers take them: standardised by the training rows, and in no more axes than these span."""

import numpy as np
import numpy.typing as npt
from sklearn.preprocessing import StandardScaler

from birdssl.evaluation.metrics import Floats


class Standard:
    """Mean and deviation of the training rows, and, where they are wanted, the axes that these rows span.

    A linear model with a penalty on the squares of its weights has them in the span of its training rows, and the
    penalty doesn't change when axes are turned. So where vectors have more features than there are rows, the fit over
    the span is the fit over the features, with as many weights a class as there are rows: 1,200 instead of SimpleCNN's
    27,360.

    Attributes:
        rows: (clips, dimensions) the training rows as a classifier takes them.
        axes: (dimensions, features) orthonormal, or None where features stay as they are.
    """

    def __init__(self, vectors: npt.NDArray, *, spanned: bool = False) -> None:
        """`vectors` (clips, features) are the training rows; `spanned` asks for their axes where they are fewer."""
        self._scaler = StandardScaler().fit(vectors.astype(np.float64))
        self.axes: Floats | None = None
        self.rows = self(vectors)
        if spanned and self.rows.shape[0] < self.rows.shape[1]:
            self.axes = _axes(self.rows)
            self.rows = self.rows if self.axes is None else self.rows @ self.axes.T

    def __call__(self, vectors: npt.NDArray) -> Floats:
        """(clips, features) to (clips, dimensions)."""
        points: Floats = self._scaler.transform(vectors.astype(np.float64))
        return points if self.axes is None else points @ self.axes.T

    def raw(self, weights: Floats, bias: Floats) -> tuple[Floats, Floats]:
        """A layer over dimensions, (classes, dimensions) and (classes,), as one over raw vectors' features."""
        scaled = (weights if self.axes is None else weights @ self.axes) / self._scaler.scale_
        return scaled, bias - scaled @ self._scaler.mean_


def _axes(points: Floats) -> Floats | None:
    """Orthonormal axes of the rows' span; None where the rows are all zero.

    From the products of rows with each other, of which there are fewer than values in the rows. Directions with less
    of the spread than rounding leaves of it are left out.
    """
    spread, turns = np.linalg.eigh(points @ points.T)
    if spread[-1] <= 0:
        return None
    kept = spread > spread[-1] * len(points) * np.finfo(np.float64).eps
    return (turns[:, kept] / np.sqrt(spread[kept])).T @ points
