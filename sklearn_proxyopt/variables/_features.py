"""The features of variables: what a proxy learns of them."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt.variables._experiments import Experiments

__all__ = ["Features"]


class Features(Experiments):
    """Variables as a proxy learns them: numbers on their axes, circles as waves, labels as flags.

    They stand in this order: the axes of the variables that lie on no circle and are no categories;
    sine and cosine of each that lies on a circle; an indicator for each label of each category.
    """

    def features(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what a proxy learns of samples.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Samples, in the user's units.

        Returns
        -------
        ndarray of shape (n, n_learned)
            The features; in a plain space `X` itself.
        """
        Z = self.encode(X)
        if self._is_plain.all():
            return Z
        turns = self._turns * (Z[:, self._circles] - self.bounds[self._searched[self._circles], 0])
        # The width is spelled out: of no samples it cannot be told.
        waves = np.stack([np.sin(turns), np.cos(turns)], axis=2)
        waves = waves.reshape(len(Z), 2 * len(self._circles))
        codes = np.rint(X)
        indicators = [
            (codes[:, [place]] == np.arange(len(labels))).astype(np.float64)
            for place, labels in self._categories
        ]
        return np.hstack([Z[:, self._is_plain], waves, *indicators])

    def slopes_on_axes(
        self, X: NDArray[np.float64], slopes: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return slopes along the axes of a function whose slopes along its features are known.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Samples, in the user's units.
        slopes : ndarray of shape (n, n_learned)
            Slopes along the features.

        Returns
        -------
        ndarray of shape (n, n_axes)
            Slopes along the axes, 0 along those of categories.
        """
        n_plain, n_circles = int(self._is_plain.sum()), len(self._circles)
        along = np.zeros((len(X), self.n_axes))
        along[:, self._is_plain] = slopes[:, :n_plain]
        if n_circles:
            waves = self.features(X)[:, n_plain : n_plain + 2 * n_circles]
            sines, cosines = waves[:, ::2], waves[:, 1::2]
            ahead = slopes[:, n_plain : n_plain + 2 * n_circles]
            turned = ahead[:, ::2] * cosines - ahead[:, 1::2] * sines
            along[:, self._circles] = self._turns * turned
        return along

    @cached_property
    def feature_bounds(self) -> NDArray[np.float64]:
        """The box of the features, of shape (n_learned, 2)."""
        n_labels = sum(len(labels) for _, labels in self._categories)
        waves = np.tile([-1.0, 1.0], (2 * len(self._circles), 1))
        return np.vstack([self.axes[self._is_plain], waves, np.tile([0.0, 1.0], (n_labels, 1))])

    def names_of_features(self, names: Any) -> Any:
        """Return names of the features, such as ``angle_sin`` and ``solvent_THF``.

        Parameters
        ----------
        names : ndarray of shape (n_features,) or None
            Names of the variables.

        Returns
        -------
        ndarray of shape (n_learned,) or None
            None where the variables have no names.
        """
        if names is None or (self._has_all and self._is_plain.all()):
            return names
        own = [names[place] for place in self._searched]
        kept = [name for name, is_plain in zip(own, self._is_plain, strict=True) if is_plain]
        waves = [f"{own[axis]}_{wave}" for axis in self._circles for wave in ("sin", "cos")]
        made = [f"{names[place]}_{label}" for place, labels in self._categories for label in labels]
        return np.array([*kept, *waves, *made], dtype=object)

    @cached_property
    def _is_plain(self) -> NDArray[np.bool_]:
        """Which axes a proxy learns as they are."""
        kinds = self.kinds
        return np.asarray(~(kinds.is_category | kinds.is_periodic)[self._searched])

    @cached_property
    def _circles(self) -> NDArray[np.intp]:
        """The axes that lie on a circle."""
        return np.flatnonzero(self.kinds.is_periodic[self._searched])

    @property
    def _turns(self) -> NDArray[np.float64]:
        """How many radians one unit of each circle is."""
        return 2.0 * np.pi / np.ptp(self.axes[self._circles], axis=1)

    @property
    def _categories(self) -> list[tuple[int, tuple[Any, ...]]]:
        """The places of the categories that are searched, and their labels."""
        levels = self.kinds.levels
        places = np.flatnonzero(self.kinds.is_category).tolist()
        return [(place, levels[place]) for place in places]
