"""The proxy that takes what its samples favor: Gaussian processes, a network, or both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_proxyopt._utils._torch_modes import plain_torch
from sklearn_proxyopt._utils._validation import as_generator, check_integer, check_real
from sklearn_proxyopt.proxies._asking import MomentsMixin
from sklearn_proxyopt.proxies._halves import RefittedProxies, processes_of_halves
from sklearn_proxyopt.proxies._kernel._wild import is_wild
from sklearn_proxyopt.proxies._kernel_proxy import KernelProxyRegressor
from sklearn_proxyopt.proxies._known_rows import KnownRows
from sklearn_proxyopt.proxies._member_functions import MemberFunctions
from sklearn_proxyopt.proxies._neural import NeuralProxyRegressor
from sklearn_proxyopt.proxies._noise_std import check_row_noise
from sklearn_proxyopt.proxies._savable import SavableMixin, taken_apart
from sklearn_proxyopt.proxies._shares import check_sample_weight

__all__ = ["ProxyRegressor"]


class ProxyRegressor(SavableMixin, MomentsMixin, RegressorMixin, BaseEstimator):
    """The default surrogate model: Gaussian processes, a network, or both.

    With fewer than `min_network_rows` samples the proxy is a `KernelProxyRegressor`. With more, a
    network is trained beside it on nine tenths of the samples, and both are weighted by their
    errors at the last tenth. The processes then learn from all samples, but at most
    `max_exact_rows` of them one by one.

    Parameters
    ----------
    min_network_rows : int, default=1000
        Number of samples from which on a network is tried.
    validation_fraction : float, default=0.1
        Share of the samples, drawn at random, on which the two are weighed.
    kernel : KernelProxyRegressor, default=None
        The Gaussian processes. None takes one with the parameters below.
    network : NeuralProxyRegressor, default=None
        The network, without members. None takes one with the parameters below.
    y_bounds : array-like of shape (2,) or (n_outputs, 2), default=None
        Lower and upper bound of the values, as of `KernelProxyRegressor`.
    noise_std : "auto", None, float or array-like of shape (n_outputs,), default="auto"
        Standard deviation of the noise of a value, as of `KernelProxyRegressor`.
    device : str or torch.device, default="auto"
        Where the proxy is learned and searched: "cpu", "cuda", "cuda:1", "mps".
    dtype : {"float64", "float32"}, default="float64"
        Precision of predictions inside the proxy; samples and predictions are always float64.
    random_state : None, int, RandomState or Generator, default=None
        Draws the samples that are held out, and all that its parts draw. No global generator is
        touched.

    Attributes
    ----------
    kernel_ : KernelProxyRegressor
        The fitted Gaussian processes.
    network_ : NeuralProxyRegressor or None
        The fitted network; None where none was tried or where it counts for no target.
    network_share_ : ndarray of shape (n_outputs,)
        How much the network counts for each target; the processes count for the rest.
    noise_std_ : float or ndarray of shape (n_outputs,)
        Standard deviation of the noise of a value, as the processes know it.
    device_ : str
        Where the proxy lies.
    n_outputs_ : int
        Number of targets.
    n_features_in_ : int
        Number of variables.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the variables, if `X` had any.

    See Also
    --------
    KernelProxyRegressor : The Gaussian processes alone.
    NeuralProxyRegressor : The network alone.

    Notes
    -----
    Where the network counts, the standard deviation of the processes is scaled by the errors of the
    network at the samples held out, and widened by how far the two are apart. It is that of the
    function, without noise that was given or that repeats have told. Samples that repeat each other
    are held out together, and the network learns their mean.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_proxyopt.proxies import ProxyRegressor
    >>> X = np.random.default_rng(0).uniform(-1, 1, (60, 2))
    >>> y = np.sin(2 * X[:, 0]) * np.exp(X[:, 1])
    >>> proxy = ProxyRegressor(random_state=0).fit(X, y)
    >>> mean, std = proxy.predict(X, return_std=True)
    >>> bool(np.abs(mean - y).max() < 1e-4)
    True
    >>> proxy.network_share_
    array([0.])
    """

    _kind = "proxy"

    def __init__(
        self,
        *,
        min_network_rows: int = 1000,
        validation_fraction: float = 0.1,
        kernel: Any = None,
        network: Any = None,
        y_bounds: Any = None,
        noise_std: Any = "auto",
        device: Any = "auto",
        dtype: str = "float64",
        random_state: Any = None,
    ) -> None:
        self.min_network_rows = min_network_rows
        self.validation_fraction = validation_fraction
        self.kernel = kernel
        self.network = network
        self.y_bounds = y_bounds
        self.noise_std = noise_std
        self.device = device
        self.dtype = dtype
        self.random_state = random_state

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        noise_std: ArrayLike | None = None,
    ) -> Self:
        """Learn the processes, and a network where there are samples enough.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Evaluated samples.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their values.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the samples; None weighs all alike.
        noise_std : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Known standard deviation of the noise of each value, in units of `y`, in place of the
            parameter `noise_std`. None leaves that to the parameter.

        Returns
        -------
        self
            The fitted regressor.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
        self.check_parameters()
        weight = check_sample_weight(sample_weight, len(X))
        used = weight > 0
        if noise_std is not None:
            noise_std = check_row_noise(noise_std, y)[used]
        rows = KnownRows(X[used], np.asarray(y)[used], weight[used], noise_std)
        rng = as_generator(self.random_state)
        seeds = [int(seed) for seed in rng.integers(2**31, size=2)]
        kernel, network = self._parts(seeds)
        blend, share = None, np.zeros(1 if y.ndim == 1 else y.shape[1])
        # A network would learn wild values as they are.
        if rows.n_distinct >= self.min_network_rows and not is_wild(rows.X, rows.y):
            blend = self._weigh((kernel, network), rows, rng)
            share = blend.share
        if blend is None or rows.n_distinct <= kernel.max_exact_rows:
            rows.teach_kernel(kernel)
        self._take(kernel, share)
        if blend is not None and share.any():
            self._join(network, blend.ratio, blend.calibration)
        return self

    def _take(self, kernel: Any, network_share: NDArray[np.float64]) -> None:
        """Become a proxy of fitted processes, until a network joins them."""
        self.kernel_, self.network_share_ = kernel, network_share
        self.network_: Any = None
        self.n_outputs_, self._single_output = kernel.n_outputs_, kernel._single_output
        self.n_features_in_, self.noise_std_ = kernel.n_features_in_, kernel.noise_std_
        self._module, self.device_ = kernel.torch_module(), kernel.device_

    def _weigh(self, parts: tuple[Any, Any], rows: KnownRows, rng: np.random.Generator) -> Any:
        """Train the network and the processes on most samples, and compare them on the rest."""
        from sklearn_proxyopt.proxies._blend import Blend

        kept, held_out = rows.split(self.validation_fraction, rng)
        kernel, network = parts
        kept.teach_kernel(kernel)
        kept.teach_network(network)
        mean, deviation = kernel.predict(held_out.X, return_std=True)
        predictions = [mean, deviation, network.predict(held_out.X), held_out.y]
        mean, deviation, other, truth = (
            np.asarray(one, dtype=np.float64).reshape(len(held_out.X), -1) for one in predictions
        )
        noise = held_out.noise_variance(kernel, kept.are_repeated)
        return Blend.learned(truth, held_out.weight, (mean, deviation), other, noise)

    def _join(
        self, network: Any, ratio: NDArray[np.float64], calibration: NDArray[np.float64]
    ) -> None:
        """Put the parts into one module."""
        from sklearn_proxyopt.proxies._blend import Blend, BlendModule

        self.network_ = network
        blend = Blend(self.network_share_, ratio, calibration)
        with plain_torch():
            joined = BlendModule(self._module, network.torch_module(), blend)
            self._module = joined.eval().to(self._module.center.device)

    def _to_file(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        arrays, own = taken_apart(self.kernel_)
        names = getattr(self, "feature_names_in_", None)
        facts: dict[str, Any] = {
            "kernel": own,
            "names": None if names is None else [str(name) for name in names],
        }
        arrays["network_share"] = self.network_share_
        if self.network_ is not None:
            of_network, facts["network"] = self.network_._to_file()
            blend = self._module.blend
            arrays |= of_network | {"ratio": blend.ratio, "calibration": blend.calibration}
        return arrays, facts

    def _from_file(
        self, arrays: dict[str, NDArray[Any]], facts: dict[str, Any], n_features: int
    ) -> Self:
        from sklearn_proxyopt.proxies._reading import expect, expect_array

        kernel, network = self._parts([0, 0])
        kernel._from_file(arrays, facts["kernel"], n_features)
        n_outputs = kernel.n_outputs_
        expect_array(arrays, "network_share", (n_outputs,), np.float64)
        self._take(kernel, arrays["network_share"])
        names = facts["names"]
        if names is not None:
            expect(len(names) == n_features, "a name for each variable")
            self.feature_names_in_ = np.array([str(name) for name in names], dtype=object)
        expect(self.network_share_.any() == ("network" in facts), "a network where one counts")
        if "network" in facts:
            network._from_file(arrays, facts["network"], n_features)
            expect(network.n_outputs_ == n_outputs, f"a network of {n_outputs} outputs")
            for name in ("ratio", "calibration"):
                expect_array(arrays, name, (n_outputs,), np.float64)
            self._join(network, arrays["ratio"], arrays["calibration"])
        return self

    @property
    def _can_be_stored(self) -> bool:
        stored: bool = self.network_ is None or getattr(self.network_, "_can_be_stored", False)
        return stored

    def _parts(self, seeds: list[int]) -> tuple[Any, Any]:
        """Return the parts, not fitted, seeded where they have no seed of their own."""
        common = {"device": self.device, "dtype": self.dtype}
        kernel, network = self.kernel, self.network
        if kernel is None:
            kernel = KernelProxyRegressor(
                y_bounds=self.y_bounds, noise_std=self.noise_std, **common
            )
        if network is None:
            network = NeuralProxyRegressor(**common)
        parts = clone(kernel), clone(network)
        for part, seed in zip(parts, seeds, strict=True):
            if part.random_state is None:
                part.set_params(random_state=seed)
        return parts

    def draw_functions(self, n_functions: int = 1, random_state: Any = None) -> MemberFunctions:
        """Draw functions that the samples allow, as the processes know them.

        Parameters
        ----------
        n_functions : int, default=1
            Number of functions.
        random_state : None, int, RandomState or Generator, default=None
            Draws them.

        Returns
        -------
        MemberFunctions
            The functions, as of `KernelProxyRegressor.draw_functions`.
        """
        check_is_fitted(self)
        drawn: MemberFunctions = self.kernel_.draw_functions(n_functions, random_state)
        return drawn

    def fit_halves(
        self, X: NDArray[np.float64], y: NDArray[np.float64], seed: int
    ) -> RefittedProxies:
        """Fit processes and network to halves of the samples.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            The samples that it has learned.
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Their values.
        seed : int
            Draws the halves, and seeds what is learned of each.

        Returns
        -------
        RefittedProxies
            Six members with `predict_members` and `torch_module`; `member_rows_` has the samples of
            each.
        """
        check_is_fitted(self)
        return processes_of_halves(self, X, y, seed)

    def smoothed(self, input_noise: float | Sequence[float]) -> MemberFunctions:
        """Return the processes under Gaussian noise on their inputs, without another fit.

        Parameters
        ----------
        input_noise : float or sequence of float
            Standard deviation of the noise on each variable, in widths of the box of the samples:
            one level, or one for each member.

        Returns
        -------
        MemberFunctions
            The levels, as of `KernelProxyRegressor.smoothed`.
        """
        check_is_fitted(self)
        levels: MemberFunctions = self.kernel_.smoothed(input_noise)
        return levels

    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits."""
        check_integer(self.min_network_rows, "min_network_rows")
        check_real(
            self.validation_fraction,
            "validation_fraction",
            minimum=0.0,
            maximum=0.5,
            include_minimum=False,
        )
        kinds = {"kernel": KernelProxyRegressor, "network": NeuralProxyRegressor}
        for name, kind in kinds.items():
            part = getattr(self, name)
            if part is not None and not isinstance(part, kind):
                raise ValueError(f"{name} must be a {kind.__name__} or None; got {part!r}.")
        for part in self._parts([0, 0]):
            part.check_parameters()
