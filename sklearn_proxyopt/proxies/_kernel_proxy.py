"""The kernel proxy: Gaussian processes, stacked by their errors at samples left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_proxyopt._utils._threads import threads_for
from sklearn_proxyopt._utils._torch_modes import plain_torch
from sklearn_proxyopt._utils._validation import (
    as_generator,
    check_integer,
    check_option,
    check_real,
)
from sklearn_proxyopt.proxies._asking import MomentsMixin
from sklearn_proxyopt.proxies._halves import RefittedProxies, processes_of_halves
from sklearn_proxyopt.proxies._noise_std import GivenNoise, check_noise_std, check_row_noise
from sklearn_proxyopt.proxies._savable import SavableMixin
from sklearn_proxyopt.proxies._shares import check_sample_weight

if TYPE_CHECKING:
    import torch

    from sklearn_proxyopt.proxies._kernel._learning import Plan
    from sklearn_proxyopt.proxies._kernel._warps import SoftLimits
    from sklearn_proxyopt.proxies._kernel._wild import Taming
    from sklearn_proxyopt.proxies._member_functions import MemberFunctions

__all__ = ["KernelProxyRegressor"]

# Lower limits of the noise, as a share of the variance: narrower types bear no smaller ones.
_SMALLEST_NOISE = {"float64": 1e-10, "float32": 1e-5}
# Within this share of the range of the samples values approach their bounds softly.
_SOFT_SHARE = 1e-3


class KernelProxyRegressor(SavableMixin, MomentsMixin, RegressorMixin, BaseEstimator):
    """A surrogate model made of Gaussian processes, for up to about 2,000 samples.

    The proxy is a weighted sum of a few Gaussian processes, each with a lengthscale for every
    variable: a Matern 5/2 process; with up to 100 variables a squared exponential plus a sum of
    functions of one variable each; and a squared exponential about a closed-form trend. Where high
    values stand out, the best of them also learns values under a logarithm and a power transform.
    Settings are those of the highest likelihood, weights those of the lowest error at samples left
    out, both in closed form. Use it for a few dozen to about two thousand samples. Predictions come
    with their uncertainty.

    Parameters
    ----------
    trend : {"auto", "constant", "linear", "quadratic", "cubic", "quartic", "additive"}, \
default="auto"
        The closed-form mean of one of the processes, as in `NeuralProxyRegressor`. "auto" takes the
        one that leave-one-out errors favor.
    max_exact_rows : int, default=2000
        Up to so many samples a process compares a point with each of them. With more, it compares
        the point with inducing points. Settings are learned on at most 500 samples.
    n_inducing : int, default=1000
        Number of inducing points, drawn from the samples.
    y_bounds : array-like of shape (2,) or (n_outputs, 2), default=None
        Lower and upper bound of the values, such as ``(0, 1)`` for a share or ``(0, None)`` for a
        count. Predictions stay inside; they approach a bound softly over a thousandth of the range
        of the samples, so that a sample on it is missed by less than that. None for no bounds.
    noise_std : "auto", None, float or array-like of shape (n_outputs,), default="auto"
        Standard deviation of the noise of a value, in units of `y`. "auto" learns it: from samples
        that repeat each other, and from what smooth functions leave of the others. None says that
        values are exact. A sample of a larger weight than the average has less noise.
    device : str or torch.device, default="auto"
        Where the processes are learned and searched: "cpu", "cuda", "cuda:1", "mps". "auto" takes
        CUDA where there is one, else the CPU (or "mps" for float32, with the learning on the CPU).
    dtype : {"float64", "float32"}, default="float64"
        Precision of predictions inside the proxy; samples and predictions are always float64, and
        so is the learning. With "float32" a sample is not met better than to some thousandths.
    random_state : None, int, RandomState or Generator, default=None
        Draws the samples on which settings are learned, and inducing points. No global generator is
        touched.

    Attributes
    ----------
    processes_ : list of dict
        For each target, the processes by name with their weights. A process of weight zero takes
        part in standard deviations alone.
    noise_std_ : float or ndarray of shape (n_outputs,)
        Standard deviation of the noise of a value of average weight, that of each target where
        `y` has several: what was found, or what was given. 0 for exact values.
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
    NeuralProxyRegressor : A network on a closed-form trend, for many samples.
    sklearn_proxyopt.ProxyOptimizer : Finds the minimum of a proxy.

    Notes
    -----
    Repeated samples count as one, with the mean of their values and accordingly less noise. Errors
    at samples left out leave out all repeats of a sample. A weight divides the variance of the
    noise of a sample: a weight of 3 means the same as three repetitions. A standard deviation for
    each sample, passed to `fit`, means the same as the weight ``1 / noise_std**2`` and also states
    how large the noise is. Weights and standard deviations are multiplied.

    With "auto" the noise is that of the highest likelihood, in which repeats count by their scatter
    about their means. Repeats that all agree mean that there is no noise. Repeats decide if the
    likelihood of the means contradicts them: the rest is then taken for ripples of the function.
    Without repeats, noise and ripples finer than the samples cannot be distinguished: `noise_std_`
    is then above 0 only if no noise would be far less likely, and standard deviations count it with
    the function. A few repeats, a number or None settle it.

    Far outside the box of the samples predictions go back to the mean of the values, and everywhere
    they stay within two ranges of the samples beyond the lowest and highest.

    Several targets are learned one after another, each with processes of its own.

    Values far from all others, such as penalties and outliers, would spoil every prediction. A
    `WildValuesWarning` names them. If that improves predictions of samples left out, they are
    learned as little more than the other values, or as what the others predict there, but no better
    than the median. Values of one sign that span many decades are learned as logarithms under the
    same condition.

    A standard deviation is that of the function, without the noise that was given or that repeats
    show; a new value has both. It includes how far the processes disagree, allows for the fitted
    parameters, and is scaled until somewhat more than nine of ten samples left out lie within the
    90 % interval. Where an optimizer goes, among the lowest and the highest values, it is up to
    twice as wide as the largest errors of samples left out there, and narrower with more samples: a
    point chosen for its prediction is likely to be mispredicted. No scaling widens it beyond the
    root mean square distance of the values of all samples from the prediction.

    References
    ----------
    .. [1] Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006.
    .. [2] Dubrule, "Cross Validation of Kriging in a Unique Neighborhood", 1983,
       :doi:`10.1007/BF01033232`.
    .. [3] Duvenaud, Nickisch and Rasmussen, "Additive Gaussian Processes", 2011,
       :arxiv:`1112.4394`.
    .. [4] Hvarfner, Hellsten and Nardi, "Vanilla Bayesian Optimization Performs Great in High
       Dimensions", 2024. The prior of the lengthscales, :arxiv:`2402.02229`.
    .. [5] Titsias, "Variational Learning of Inducing Variables in Sparse Gaussian Processes", 2009.
    .. [6] Binois, Gramacy and Ludkovski, "Practical Heteroscedastic Gaussian Process Modeling for
       Large Simulation Experiments", 2018. Repeated samples by their means,
       :doi:`10.1080/10618600.2018.1458625`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_proxyopt.proxies import KernelProxyRegressor
    >>> X = np.linspace(-1, 1, 12).reshape(-1, 1)
    >>> y = np.exp(X[:, 0])
    >>> proxy = KernelProxyRegressor(random_state=0).fit(X, y)
    >>> proxy.predict([[0.05]]).round(3)
    array([1.051])
    >>> value, gradient = proxy.value_and_grad([[0.0]])
    >>> gradient.round(2)
    array([[1.]])
    """

    _kind = "kernel"

    def __init__(
        self,
        *,
        trend: str = "auto",
        max_exact_rows: int = 2000,
        n_inducing: int = 1000,
        y_bounds: Any = None,
        noise_std: Any = "auto",
        device: Any = "auto",
        dtype: str = "float64",
        random_state: Any = None,
    ) -> None:
        self.trend = trend
        self.max_exact_rows = max_exact_rows
        self.n_inducing = n_inducing
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
        """Learn the processes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Evaluated samples.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their values.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights, by which the variance of the noise of a sample is divided; None
            weighs all alike.
        noise_std : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Known standard deviation of the noise of each value, in units of `y`, in place of the
            parameter `noise_std`. None leaves that to the parameter.

        Returns
        -------
        self
            The fitted regressor.
        """
        import torch

        X, y = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
        self.check_parameters()
        weight = check_sample_weight(sample_weight, len(X))
        seed = int(as_generator(self.random_state).integers(2**63))
        self._single_output = np.ndim(y) == 1
        targets = np.asarray(y, dtype=np.float64).reshape(len(X), -1)
        self.n_outputs_ = targets.shape[1]
        used = weight > 0
        limits = self._limits(targets[used])
        if noise_std is not None:
            noise_std = check_row_noise(noise_std, np.asarray(y))
        noise = GivenNoise.of(self.noise_std, noise_std, weight, self.n_outputs_)
        # Whatever modes the caller has switched on, the tensors made here are ordinary ones.
        with plain_torch(), torch.no_grad(), threads_for(len(X)):
            self._learn(X[used], targets[used], noise, limits, seed)
        return self

    def _learn(
        self,
        X: NDArray[np.float64],
        y: NDArray[np.float64],
        noise: GivenNoise,
        limits: list[SoftLimits],
        seed: int,
    ) -> None:
        """Learn a stack for each target and put all into one module."""
        import torch

        from sklearn_proxyopt.proxies._device import resolve_device, resolve_dtype
        from sklearn_proxyopt.proxies._kernel._learning import Plan, learn_stack, targets_of
        from sklearn_proxyopt.proxies._kernel._module import KernelModule
        from sklearn_proxyopt.proxies._kernel._preparing import PreparedRows

        dtype = resolve_dtype(self.dtype)
        device = resolve_device(self.device, dtype)
        smallest_noise = _SMALLEST_NOISE[self.dtype]
        plan = Plan(self.trend, self.max_exact_rows, self.n_inducing, smallest_noise)
        # Learning takes float64, which not every device has.
        learns_on = device if device.type == "cuda" else torch.device("cpu")
        y, tamings = _tamed(X, y, noise, plan, learns_on, seed)
        prepared, stacks = PreparedRows.of(X, y, noise.weight), []
        for target in targets_of(prepared, noise, learns_on):
            generator = torch.Generator(device="cpu").manual_seed(seed)
            stacks.append(learn_stack(target, plan, generator))
        module = KernelModule(
            torch.from_numpy(prepared.center),
            torch.from_numpy(prepared.half_width),
            torch.from_numpy(prepared.level),
            torch.from_numpy(prepared.spread),
            [stack.to(dtype) for stack in stacks],
            limits,
            tamings,
        )
        units = prepared.spread * np.sqrt(prepared.one / noise.average)
        units = units * [
            one.unit(level) for one, level in zip(tamings, prepared.level, strict=True)
        ]
        found = units * np.sqrt([stack.noise for stack in stacks])
        self._set_noise(found if noise.std is None else noise.std)
        self.processes_ = module.weights_by_name()
        self._place(module, device)

    def _set_noise(self, stds: NDArray[np.float64]) -> None:
        self.noise_std_ = float(stds[0]) if self._single_output else np.array(stds)

    def _place(self, module: Any, device: Any) -> None:
        """Put a module where the proxy lies."""
        import torch

        if device.type == "mps":
            module = module.to(torch.float32)
        self.device_ = str(device)
        self._module = module.eval().to(device)

    def _to_file(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the fitted proxy as arrays, and facts that JSON can hold."""
        from sklearn_proxyopt.proxies._kernel._stored import module_to_file

        arrays, facts = module_to_file(self._module)
        names = getattr(self, "feature_names_in_", None)
        facts["single_output"] = bool(self._single_output)
        facts["noise_std"] = np.atleast_1d(self.noise_std_).tolist()
        facts["names"] = None if names is None else [str(name) for name in names]
        return arrays, facts

    def _from_file(
        self, arrays: dict[str, NDArray[Any]], facts: dict[str, Any], n_features: int
    ) -> Self:
        """Become the fitted proxy that `_to_file` told of."""
        import torch

        from sklearn_proxyopt.proxies._device import resolve_device
        from sklearn_proxyopt.proxies._kernel._stored import module_from_file
        from sklearn_proxyopt.proxies._reading import expect

        names = facts["names"]
        expect(names is None or len(names) == n_features, "a name for each variable")
        with plain_torch(), torch.no_grad():
            module = module_from_file(arrays, facts, n_features)
            self._place(module, resolve_device(self.device, module.stacks[0].weights.dtype))
        self._single_output = bool(facts["single_output"])
        self.n_outputs_, self.n_features_in_ = len(module.stacks), n_features
        # Files of before noise was told apart have none.
        stds = np.array([float(std) for std in facts.get("noise_std", [0.0] * self.n_outputs_)])
        expect(len(stds) == self.n_outputs_, "a noise for each target")
        expect(bool((np.isfinite(stds) & (stds >= 0)).all()), "noise that is no less than none")
        self._set_noise(stds)
        self.processes_ = module.weights_by_name()
        if names is not None:
            self.feature_names_in_ = np.array([str(name) for name in names], dtype=object)
        return self

    def _limits(self, targets: NDArray[np.float64]) -> list[SoftLimits]:
        """Return what values each target may take."""
        from sklearn_proxyopt.proxies._kernel._preparing import check_y_bounds
        from sklearn_proxyopt.proxies._kernel._warps import SoftLimits

        bounds = check_y_bounds(self.y_bounds, targets)
        ranges = np.ptp(targets, axis=0)
        softness = np.minimum(
            _SOFT_SHARE * np.where(ranges > 0, ranges, 1.0), (bounds[:, 1] - bounds[:, 0]) / 2
        )
        return [
            SoftLimits(float(lower), float(upper), float(soft))
            for (lower, upper), soft in zip(bounds, softness, strict=True)
        ]

    def draw_functions(self, n_functions: int = 1, random_state: Any = None) -> MemberFunctions:
        """Draw functions that the samples allow.

        Each is drawn from one of the processes, chosen by its weight. The processes' own standard
        deviations hold, which are not calibrated.

        Parameters
        ----------
        n_functions : int, default=1
            Number of functions.
        random_state : None, int, RandomState or Generator, default=None
            Draws them.

        Returns
        -------
        MemberFunctions
            An object with `predict_members`, which returns an array of shape
            (n_functions, n_samples), or (n_functions, n_samples, n_outputs); with `predict`, their
            mean; and with `torch_module`, which takes the place of a function as `member`.
        """
        import torch

        from sklearn_proxyopt.proxies._kernel._paths import sample_paths
        from sklearn_proxyopt.proxies._member_functions import MemberFunctions

        check_is_fitted(self)
        check_integer(n_functions, "n_functions")
        seed = int(as_generator(random_state).integers(2**63))
        with plain_torch(), torch.no_grad():
            paths = sample_paths(self._module, n_functions, seed)
        return MemberFunctions(paths.eval(), self._single_output)

    def fit_halves(
        self, X: NDArray[np.float64], y: NDArray[np.float64], seed: int
    ) -> RefittedProxies:
        """Fit the processes to halves of the samples, with the settings learned from all.

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
        """Return the proxy under Gaussian noise on its inputs, without another fit.

        That is the mean of its predictions over the noise, in closed form, as if they went on
        outside the box of the samples as they do near it. Processes of warped values, which have
        no closed form, are left out, and a logarithm that is learned is smoothed as it is.

        Parameters
        ----------
        input_noise : float or sequence of float
            Standard deviation of the noise on each variable, in widths of the box of the samples:
            one level, or one for each member.

        Returns
        -------
        MemberFunctions
            An object with `predict_members`, which returns an array of shape
            (n_levels, n_samples), or (n_levels, n_samples, n_outputs); with `predict`, their mean;
            and with `torch_module`, which takes the place of a level as `member`. A
            `sklearn_proxyopt.optimizers.Ladder` of its members leads from smooth to sharp.
        """
        import torch

        from sklearn_proxyopt.proxies._kernel._smoothed import smoothed_levels
        from sklearn_proxyopt.proxies._member_functions import MemberFunctions

        check_is_fitted(self)
        levels = np.atleast_1d(np.asarray(input_noise, dtype=object)).tolist()
        levels = [float(check_real(one, "input_noise", minimum=0.0)) for one in levels]
        if not levels:
            raise ValueError("input_noise must hold at least one level; got none.")
        with plain_torch(), torch.no_grad():
            # A level is a standard deviation in widths of the box, of which a half is 1.
            module = smoothed_levels(self._module, [2.0 * level for level in levels])
        return MemberFunctions(module.eval(), self._single_output)

    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits."""
        from sklearn_proxyopt.proxies._device import resolve_device, resolve_dtype
        from sklearn_proxyopt.proxies._trend import TREND_NAMES

        check_option(self.trend, "trend", ("auto", *TREND_NAMES))
        check_integer(self.max_exact_rows, "max_exact_rows")
        check_integer(self.n_inducing, "n_inducing")
        check_noise_std(self.noise_std)
        resolve_device(self.device, resolve_dtype(self.dtype))


def _tamed(
    X: NDArray[np.float64],
    y: NDArray[np.float64],
    noise: GivenNoise,
    plan: Plan,
    device: torch.device,
    seed: int,
) -> tuple[NDArray[np.float64], list[Taming]]:
    """Return what is learned in place of the values (n, n_outputs), and how it was made of them."""
    from sklearn_proxyopt.proxies._kernel._taming import Tamer, tamed

    columns = [
        tamed(Tamer(X, column, noise.of_target(place), plan, device, seed))
        for place, column in enumerate(y.T)
    ]
    values, tamings = zip(*columns, strict=True)
    return np.column_stack(values), list(tamings)
