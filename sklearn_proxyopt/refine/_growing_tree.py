"""The nearest of points to which others are added, without a look at all of them each time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

__all__ = ["GrowingTree"]

# A tree is made of more points than this, and made anew once more than this, and than this share
# of its points, have been added: until then each of them is looked at.
_FEW, _SHARE = 1000, 1 / 8
# Distances are compared with a margin, since products of matrices round.
_MARGIN = 1.0 + 1e-6


class GrowingTree:
    """Finds how far the nearest of some points lies, in coordinates that change from call to call.

    It is asked with the same points each time, behind which further ones may have come.
    """

    def __init__(self) -> None:
        self._tree: cKDTree | None = None
        self._n_inside = 0

    def nearest(
        self,
        points: NDArray[np.float64],
        centers: NDArray[np.float64],
        whitening: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return the distance from each center to the nearest point, in white coordinates.

        Parameters
        ----------
        points : ndarray of shape (n_points, n_features)
            The points, at least one.
        centers : ndarray of shape (n_centers, n_features)
            Where to look.
        whitening : ndarray of shape (n_features, n_features)
            What leads to white coordinates.

        Returns
        -------
        ndarray of shape (n_centers,)
            The distances.
        """
        self._grow(points)
        near = points[self._may_be_nearest(points, centers, whitening)]
        return np.asarray(cKDTree(near @ whitening).query(centers @ whitening)[0])

    def _grow(self, points: NDArray[np.float64]) -> None:
        if len(points) - self._n_inside > max(_FEW, _SHARE * self._n_inside):
            self._tree, self._n_inside = cKDTree(points), len(points)

    def _may_be_nearest(
        self,
        points: NDArray[np.float64],
        centers: NDArray[np.float64],
        whitening: NDArray[np.float64],
    ) -> NDArray[np.intp]:
        """Return the places of points among which the nearest of each center is."""
        if self._tree is None:
            return np.arange(len(points))
        one = points[self._tree.query(centers)[1]]
        reach = np.linalg.norm((one - centers) @ whitening, axis=1)
        longest = 1.0 / np.linalg.svd(whitening, compute_uv=False)[-1]
        balls = self._tree.query_ball_point(centers, _MARGIN * longest * reach)
        inside = np.unique(np.concatenate([np.array(ball, dtype=np.intp) for ball in balls]))
        return np.concatenate([inside, np.arange(self._n_inside, len(points))])
