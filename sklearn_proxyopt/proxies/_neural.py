"""The neural proxy: a regressor that learns an expensive function and gives its gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_proxyopt._utils._threads import one_thread
from sklearn_proxyopt._utils._torch_modes import matrix_precision, plain_torch
from sklearn_proxyopt._utils._validation import (
    as_generator,
    check_integer,
    check_option,
    check_real,
    check_verbose,
)
from sklearn_proxyopt.proxies._halves import networks_of_halves
from sklearn_proxyopt.proxies._predicting import PredictingMixin
from sklearn_proxyopt.proxies._savable import SavableMixin
from sklearn_proxyopt.proxies._schedule import continued_epochs
from sklearn_proxyopt.proxies._shares import check_sample_weight, draw_rows, hold_out, plan_steps

if TYPE_CHECKING:
    from torch import Tensor

    from sklearn_proxyopt.proxies._draws import Draws
    from sklearn_proxyopt.proxies._member_rows import MemberRows
    from sklearn_proxyopt.proxies._recipe import TrainingData
    from sklearn_proxyopt.proxies._smoothing import Smoothing

__all__ = ["NeuralProxyRegressor"]

SCHEDULES = ("one-cycle", "cosine", "constant")


class NeuralProxyRegressor(
    SavableMixin, PredictingMixin, CallbackSupportMixin, RegressorMixin, BaseEstimator
):
    """A surrogate model made of a neural network on a closed-form trend.

    The proxy is the sum of a trend, fitted in closed form, and a network trained by skorch on what
    the trend leaves. Samples and targets are scaled inside, so that it takes and gives values in
    the user's units, and it offers the gradient that a search needs. Several networks can be
    trained as one stack; their spread shows where they agree.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int, default=(128, 128)
        Widths of the hidden layers; empty for a network without any.
    activation : {"silu", "relu", "tanh", "gelu", "sin"}, default="silu"
        Activation of the hidden layers. Smooth ones give a proxy whose minimum has a gradient
        to follow.
    trend : {"auto", "constant", "linear", "quadratic", "cubic", "quartic", "additive"}, \
default="auto"
        The part fitted in closed form: a polynomial of that total degree, or ("additive") a
        quadratic and a sum of cosines of each variable by itself. "auto" takes
        the one that leave-one-out errors clearly favor; where none is clear, a short training
        of each decides by held-out error.
    features : {"auto", "random", "axes", None}, default="auto"
        Fourier features, for landscapes that change quickly: cosines along random directions, or
        of one variable each ("axes"), as further inputs of the network and with a linear head
        beside it. "auto" chooses one of them, or none, by the held-out error of a ridge
        regression; None has none.
    spread : "auto" or float, default="auto"
        Spread of their starting frequencies, in radians per half-width of the box. "auto"
        chooses it likewise.
    n_frequencies : int, default=128
        Number of Fourier features, where there are any. Those along axes are shared out among
        the variables, at least 8 for each.
    learn_frequencies : bool, default=True
        Whether frequencies and phases are learned or stay as drawn.
    module : callable, default=None
        A `torch.nn.Module` class, or any callable, that returns the network when called as
        ``module(n_features, n_outputs)``; it maps (n, n_features) to (n, n_outputs). None builds
        a dense network from the parameters above.
    input_noise : float or sequence of float, default=0.0
        Standard deviation of Gaussian noise that is put on each variable in training, anew at every
        step, as a share of the width of the box of the samples; values stay those of the samples
        without noise. The proxy then learns the mean of the function under the noise, its
        convolution with the Gaussian, in which narrow valleys are filled and wide basins stay. A
        sequence holds one number for each member: one fit learns all levels from smooth to sharp.
    over_prediction_penalty : float or sequence of float, default=1.0
        How many times an error of the network counts where the prediction is too high. Above 1 a
        smoothed proxy keeps to the low values under the noise, so that its minimum shifts less. A
        sequence holds one number for each member.
    n_members : int, default=1
        Number of networks, each with its own starting weights and its own batches. Their mean is
        the prediction, their spread a sign of how reliable it is. Dense networks are trained as
        stacked matrices; modules of the user one after another.
    bootstrap : bool or "halves", default=False
        Whether each member learns, trend included, from samples drawn with replacement instead of
        from all. With "halves" two members share out the samples, half for each, two more share
        them out anew, and so on.
    max_epochs : int or "auto", default="auto"
        Passes over the training samples. "auto" aims at 2,000 steps within 20 to 500 epochs.
    batch_size : int or "auto", default="auto"
        Samples a step. "auto" takes all of up to 128 samples, else a sixteenth of them within 32
        and 512.
    learning_rate : float, default=0.005
        Highest learning rate of Adam.
    schedule : {"one-cycle", "cosine", "constant"}, default="one-cycle"
        How the rate changes over the steps.
    validation_fraction : float, default=0.1
        Share of the samples, drawn at random, on which the weights to keep are chosen. With fewer
        than 50 samples, or at 0, none are held out and the last weights are kept.
    patience : int or None, default=50
        Stop after this many epochs without a lower held-out loss. None trains to the end.
    n_lbfgs_iterations : int, default=0
        Most iterations of a last stage of limited-memory BFGS on all training samples at once,
        which may sharpen a proxy of a few hundred to a few thousand samples. The weights kept are
        again those of the lowest held-out loss.
    device : str or torch.device, default="auto"
        Where the network is trained, lies and is searched: "cpu", "cuda", "cuda:1", "mps". "auto"
        keeps it on the CPU, and has what is large done on a GPU where there is one: trainings,
        searches and predictions whose sizes (members, samples, widths, steps) are above fixed
        limits, but for a `module` of your own.
    dtype : {"float64", "float32", "tf32"}, default="float64"
        Precision inside the network; samples and predictions are always float64. "tf32" is float32
        whose training on CUDA rounds the factors of matrix products to ten bits.
    warm_start : bool, default=False
        Whether `fit` goes on from the trend, scaling and weights of the fit before.
    callbacks : list of skorch callbacks, default=None
        Passed on to skorch, most of whose own callbacks work; the others are refused by name. An
        `LRScheduler` takes the place of `schedule`. For callbacks of scikit-learn, see
        `set_callbacks`.
    net : dict, default=None
        Settings of the skorch net, under skorch's names: `criterion`, `optimizer`,
        `iterator_train` and `iterator_valid`, each with arguments behind two underscores, as
        ``{"optimizer": torch.optim.AdamW, "optimizer__weight_decay": 1e-3}``. They are also
        parameters by themselves, as ``net__optimizer__weight_decay`` in `set_params` and grid
        searches. None, as a value too, leaves what is there: squared errors and Adam.
    verbose : int, default=0
        At 1 and above, skorch prints a line an epoch.
    random_state : None, int, RandomState or Generator, default=None
        Draws the split, the starting weights and the batches. No global generator is touched; what
        a `module` of your own draws from them is seeded, and they are put back.

    Attributes
    ----------
    net_ : skorch.NeuralNetRegressor
        The trained net, without the trend: `net_.module_` holds the networks on samples scaled to
        [-1, 1], and `net_.predict` and `net_.forward` return the mean over the members.
    history_ : list of dict
        One row an epoch with `train_loss` and `valid_loss`, mean squared errors in units of the
        variance that the trend leaves, or what a criterion of your own makes of them, as means over
        the members.
    n_iter_ : int
        Epochs trained in the last call of `fit`.
    member_rows_ : ndarray of shape (n_members, n_rows)
        With `bootstrap`, the samples that each member learned from, by their index in `X`.
    trend_ : str
        The trend in use.
    features_ : {"random", "axes"} or None
        The Fourier features in use.
    spread_ : float
        Their spread; 0.0 for none.
    device_ : str
        Where the network lies.
    trained_on_ : str
        Where it was trained.
    n_outputs_ : int
        Number of targets.
    n_features_in_ : int
        Number of variables.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the variables, if `X` had any.

    See Also
    --------
    sklearn_proxyopt.ProxyOptimizer : Finds the minimum of a proxy.
    sklearn_proxyopt.optimizers.GraduatedSearch : Searches from smooth proxies to sharp ones.

    Notes
    -----
    With `input_noise`, trend="auto" is the constant, and the networks learn all the rest, to the
    last epoch: samples held out under noise cannot tell which weights are best. Near a side of the
    box there are samples on one side only, so a network averages over the part of the Gaussian
    inside the box. Its starting frequencies are as low as the noise leaves those of the function.

    A trend that is asked for by name is fitted to the samples as they are and then replaced by its
    mean under the noise in closed form: Legendre polynomials turn into lower ones, and a cosine of
    frequency w is left with exp(-(w s)^2 / 2) of its amplitude, with s the noise in the same
    units. That mean sees how the trend goes on beyond the box, and it stays a mean whatever the
    penalty asks for.

    References
    ----------
    .. [1] Albreiki, Belayouni and Gupta, "On Using Deep Learning Proxies as Forward Models in
       Optimization Problems", 2023, :arxiv:`2301.07102`.
    .. [2] Tancik et al., "Fourier Features Let Networks Learn High Frequency Functions in Low
       Dimensional Domains", 2020, :arxiv:`2006.10739`.
    .. [3] "Optimization Landscapes Learned: Proxy Networks Boost Convergence in Physics-based
       Inverse Problems", :arxiv:`2501.16573`, 2025. The noise, and the penalty on predictions above
       the values.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_proxyopt import NeuralProxyRegressor
    >>> X = np.linspace(-1, 1, 80).reshape(-1, 1)
    >>> y = np.exp(X[:, 0])
    >>> proxy = NeuralProxyRegressor(max_epochs=100, random_state=0).fit(X, y)
    >>> bool(proxy.score(X, y) > 0.999)
    True
    >>> value, gradient = proxy.value_and_grad([[0.0]])
    >>> gradient.shape
    (1, 1)
    """

    _kind = "neural"
    history_: list[dict[str, Any]]

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] = (128, 128),
        *,
        activation: str = "silu",
        trend: str = "auto",
        features: str | None = "auto",
        spread: str | float = "auto",
        n_frequencies: int = 128,
        learn_frequencies: bool = True,
        module: Callable[[int, int], Any] | None = None,
        input_noise: float | Sequence[float] = 0.0,
        over_prediction_penalty: float | Sequence[float] = 1.0,
        n_members: int = 1,
        bootstrap: bool | str = False,
        max_epochs: int | str = "auto",
        batch_size: int | str = "auto",
        learning_rate: float = 5e-3,
        schedule: str = "one-cycle",
        validation_fraction: float = 0.1,
        patience: int | None = 50,
        n_lbfgs_iterations: int = 0,
        device: Any = "auto",
        dtype: str = "float64",
        warm_start: bool = False,
        callbacks: list[Any] | None = None,
        net: dict[str, Any] | None = None,
        verbose: int = 0,
        random_state: Any = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.trend = trend
        self.features = features
        self.spread = spread
        self.n_frequencies = n_frequencies
        self.learn_frequencies = learn_frequencies
        self.module = module
        self.input_noise = input_noise
        self.over_prediction_penalty = over_prediction_penalty
        self.n_members = n_members
        self.bootstrap = bootstrap
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.n_lbfgs_iterations = n_lbfgs_iterations
        self.device = device
        self.dtype = dtype
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.net = net
        self.verbose = verbose
        self.random_state = random_state

    @with_callbacks
    @plain_torch()
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train the proxy.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Evaluated samples.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their values.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights in the trend and in the loss; None weighs all samples alike.

        Returns
        -------
        self
            The fitted regressor.
        """
        import torch

        from sklearn_proxyopt.proxies._device import resolve_dtype
        from sklearn_proxyopt.proxies._draws import Draws
        from sklearn_proxyopt.proxies._smoothing import Smoothing

        X, y = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
        self.check_parameters()
        smoothing = Smoothing.of(*self._dials())
        weight = check_sample_weight(sample_weight, len(X))
        rng = as_generator(self.random_state)
        seed = int(rng.integers(2**63))
        continued = self.warm_start and hasattr(self, "net_")
        data = self._share_out(X, y, weight, rng, continued)
        steps = plan_steps(data.kept.shape[1], self.max_epochs, self.batch_size)
        if not continued:
            self._choose_device(data, steps)
        dtype, device = resolve_dtype(self.dtype), torch.device(self.trained_on_)
        draws = Draws.of(seed, device)
        with matrix_precision(self.dtype), self._at_work(continued):
            with one_thread():
                if not continued:
                    self._build(data, smoothing, steps, draws)
                self._trend = smoothing.on_trend(self._recipe.trend)
                rows = self._recipe.hand_out(data, dtype, device, draws.steps)
                rows = smoothing.on_rows(*rows)
                penalty = smoothing.error_weights(dtype, device)
            with self.net_.module.drawing_from(draws.own_modules):
                self._train(rows, *steps, penalty, smoothing.noise > 0)
        return self

    def _share_out(
        self,
        X: NDArray[np.float64],
        y: NDArray[Any],
        weight: NDArray[np.float64],
        rng: np.random.Generator,
        continued: bool,
    ) -> TrainingData:
        """Scale the samples that count to the box and say which of them each member learns from."""
        import torch

        from sklearn_proxyopt.proxies._net_settings import check_monitors
        from sklearn_proxyopt.proxies._recipe import TrainingData

        used = weight > 0
        # A copy, since torch takes no array that must not be written to.
        targets = np.array(y, dtype=np.float64, order="C").reshape(len(X), -1)
        if not used.all():
            X, targets, weight = X[used], targets[used], weight[used]
        held_out, kept = hold_out(len(X), self.validation_fraction, rng)
        check_monitors(self.callbacks, len(held_out))
        if continued:
            self._check_continuation(targets.shape[1])
        else:
            lower, upper = X[kept].min(axis=0), X[kept].max(axis=0)
            self._center = (lower + upper) / 2
            self._half_width = np.where(upper > lower, (upper - lower) / 2, 1.0)
        self.n_outputs_ = targets.shape[1]
        self._single_output = np.ndim(y) == 1
        drawn = draw_rows(kept, self.n_members, self.bootstrap, rng)
        if self.bootstrap:
            self.member_rows_ = np.flatnonzero(used)[drawn]
        rows = X - self._center
        rows /= self._half_width
        return TrainingData(
            torch.from_numpy(rows),
            torch.from_numpy(targets),
            torch.from_numpy(weight / weight.mean()),
            torch.from_numpy(drawn),
            torch.from_numpy(held_out),
        )

    def _build(
        self, data: TrainingData, smoothing: Smoothing, steps: tuple[int, int], draws: Draws
    ) -> None:
        """Choose trend and features, and build the networks that learn the rest."""
        import torch

        from sklearn_proxyopt.proxies._building import Builder
        from sklearn_proxyopt.proxies._device import resolve_dtype
        from sklearn_proxyopt.proxies._net import build_net

        dtype = resolve_dtype(self.dtype)
        device = torch.device(self.trained_on_)
        builder = Builder(
            self.hidden_layer_sizes,
            self.activation,
            self.n_frequencies,
            self.learn_frequencies,
            self.module,
            *steps,
            self.learning_rate,
            dtype,
            device,
            draws,
            settings=self.net,
        )
        self._recipe = builder.choose_recipe(
            data, smoothing.trend_name(self.trend), self.features, self.spread
        )
        features = self._recipe.features
        self.trend_ = self._recipe.trend.name
        self.features_, self.spread_ = features.kind, features.spread
        ensemble = builder.ensemble(
            data, features, self.n_members, smoothing.spreads(features.spread)
        )
        self.net_ = build_net(ensemble, dtype, str(device), self.net)

    def fit_halves(self, X: NDArray[np.float64], y: NDArray[np.float64], seed: int) -> Self:
        """Train a stack of networks like this one, each on half of the samples.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            The samples that it has learned.
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Their values.
        seed : int
            Draws the halves, and seeds the networks.

        Returns
        -------
        NeuralProxyRegressor
            Six members; `member_rows_` has the samples of each.
        """
        check_is_fitted(self)
        stack: Self = networks_of_halves(self, X, y, seed)
        return stack

    def warm_up(self) -> Self:
        """Let the next fits go on from the weights, for a third of the epochs.

        Returns
        -------
        self
            The regressor, with `warm_start` and `max_epochs` set, unless `warm_start` was.
        """
        check_is_fitted(self)
        if not self.warm_start:
            self.set_params(warm_start=True, max_epochs=continued_epochs(self.n_iter_))
        return self

    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits."""
        from sklearn_proxyopt.proxies._device import resolve_device, resolve_dtype
        from sklearn_proxyopt.proxies._net_settings import (
            changes_losses,
            check_callbacks,
            check_net,
        )
        from sklearn_proxyopt.proxies._network import ACTIVATIONS
        from sklearn_proxyopt.proxies._recipe import FEATURES
        from sklearn_proxyopt.proxies._trend import TREND_NAMES

        sizes = self.hidden_layer_sizes
        if isinstance(sizes, str) or not np.iterable(sizes):
            raise ValueError(f"hidden_layer_sizes must be a sequence of integers; got {sizes!r}.")
        for size in sizes:
            check_integer(size, "hidden_layer_sizes")
        check_option(self.activation, "activation", ACTIVATIONS)
        check_option(self.trend, "trend", ("auto", *TREND_NAMES))
        check_option(self.features, "features", ("auto", *FEATURES, None))
        if self.spread != "auto":
            check_real(self.spread, "spread", minimum=0.0, include_minimum=False)
        check_integer(self.n_frequencies, "n_frequencies")
        if self.module is not None and not callable(self.module):
            raise ValueError(f"module must be callable or None; got {self.module!r}.")
        check_integer(self.n_members, "n_members")
        check_option(self.learn_frequencies, "learn_frequencies", (True, False))
        check_option(self.bootstrap, "bootstrap", (True, False, "halves"))
        for name in ("max_epochs", "batch_size"):
            if getattr(self, name) != "auto":
                check_integer(getattr(self, name), name)
        check_real(self.learning_rate, "learning_rate", minimum=0.0, include_minimum=False)
        check_option(self.schedule, "schedule", SCHEDULES)
        check_real(self.validation_fraction, "validation_fraction", minimum=0.0, maximum=0.9)
        if self.patience is not None:
            check_integer(self.patience, "patience")
        check_verbose(self.verbose)
        check_integer(self.n_lbfgs_iterations, "n_lbfgs_iterations", minimum=0)
        noise, penalties = self._dials()
        check_net(self.net)
        check_callbacks(self.callbacks)
        own_parts = self.module is not None or changes_losses(self.net)
        if self.n_lbfgs_iterations and (own_parts or any(noise) or set(penalties) != {1.0}):
            raise ValueError(
                "n_lbfgs_iterations must be 0 with a module of your own, another criterion, "
                f"input_noise or over_prediction_penalty; got {self.n_lbfgs_iterations!r}."
            )
        resolve_device(self.device, resolve_dtype(self.dtype))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, with `deep` also each setting of the net under its name.

        Parameters
        ----------
        deep : bool, default=True
            Whether settings of the net are named by themselves too, as
            ``net__optimizer__weight_decay``.

        Returns
        -------
        dict
            Parameters and their values.
        """
        params: dict[str, Any] = super().get_params(deep=deep)
        if deep and isinstance(self.net, Mapping):
            params |= {f"net__{name}": value for name, value in self.net.items()}
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters, a setting of the net as ``net__optimizer__weight_decay``.

        Parameters
        ----------
        **params : dict
            The parameters.

        Returns
        -------
        self
            The regressor.
        """
        settings = {name[5:]: params.pop(name) for name in list(params) if name[:5] == "net__"}
        super().set_params(**params)
        if settings:
            self.net = {**(self.net or {}), **settings}
        return self

    def _dials(self) -> tuple[list[float], list[float]]:
        """Return noise and penalty of each member."""
        from sklearn_proxyopt.proxies._smoothing import check_dial

        noise = check_dial(self.input_noise, "input_noise", self.n_members, minimum=0.0)
        penalty = check_dial(
            self.over_prediction_penalty,
            "over_prediction_penalty",
            self.n_members,
            minimum=0.0,
            include_minimum=False,
        )
        return noise, penalty

    def _check_continuation(self, n_outputs: int) -> None:
        """Check that a warm start finds what it is to go on with."""
        if n_outputs != self.n_outputs_:
            raise ValueError(
                f"y must have the {self.n_outputs_} targets of the fit that warm_start goes on "
                f"from; got {n_outputs}."
            )
        if self.n_members != self.net_.module_.n_members:
            raise ValueError(
                f"n_members must be the {self.net_.module_.n_members} of the fit that warm_start "
                f"goes on from; got {self.n_members!r}."
            )

    def _train(
        self,
        rows: tuple[MemberRows, MemberRows],
        n_epochs: int,
        batch_size: int,
        penalty: Tensor | None,
        keep_last: Tensor,
    ) -> None:
        """Train the net, telling scikit-learn's callbacks of each epoch."""
        from skorch.callbacks import PrintLog

        from sklearn_proxyopt.proxies._net import KeepBestWeights, OnEpochEnd, RateSchedule
        from sklearn_proxyopt.proxies._net_settings import in_order
        from sklearn_proxyopt.proxies._polish import polish

        context = self._init_callback_context(max_subtasks=n_epochs)
        context.call_on_fit_task_begin(estimator=self)

        def tell(row: dict[str, Any]) -> bool:
            epoch = context.subcontext(task_name=f"epoch {row['epoch']}")
            epoch.call_on_fit_task_begin(estimator=self)
            return epoch.call_on_fit_task_end(
                estimator=self, reconstruction_attributes=self._fitted_attributes
            )

        training, held_out = rows
        callbacks, others, set_the_rate = in_order(self.callbacks)
        if not set_the_rate:
            n_steps = self.net_.n_steps(training, n_epochs, batch_size)
            callbacks.append(RateSchedule(self.schedule, n_steps))
        if len(held_out):
            callbacks.append(KeepBestWeights(self.patience, keep_last if keep_last.any() else None))
        callbacks += others
        if self.verbose:
            callbacks.append(PrintLog())
        watch = OnEpochEnd(tell)
        callbacks.append(watch)
        plan = self.learning_rate, n_epochs, batch_size
        self.net_.train(training, held_out, *plan, callbacks, penalty)
        if self.n_lbfgs_iterations:
            polish(self.net_.module_, training, held_out, self.n_lbfgs_iterations)
        self.history_ = list(self.net_.history)
        self.n_iter_ = len(self.history_) - watch.n_epochs_before
        if not all(np.isfinite(row["train_loss"]) for row in self.history_):
            raise ValueError(
                f"learning_rate must be low enough for the training to converge; got "
                f"{self.learning_rate!r}, with which the loss is no longer finite."
            )
        context.call_on_fit_task_end(
            estimator=self, reconstruction_attributes=self._fitted_attributes
        )

    def _fitted_attributes(self) -> dict[str, Any]:
        """Return what a copy of this estimator needs in order to predict."""
        names = (
            "net_",
            "device_",
            "trained_on_",
            "n_outputs_",
            "n_features_in_",
            "feature_names_in_",
        )
        private = ("_center", "_half_width", "_recipe", "_trend", "_single_output")
        return {name: vars(self)[name] for name in names + private if name in vars(self)}

    @property
    def _can_be_stored(self) -> bool:
        stored: bool = self.net_.module_.is_stacked
        return stored

    def _to_file(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        from sklearn_proxyopt.proxies._stored import take_apart

        return take_apart(self)

    def _from_file(
        self, arrays: dict[str, NDArray[Any]], facts: dict[str, Any], n_features: int
    ) -> Self:
        from sklearn_proxyopt.proxies._stored import put_together

        put_together(self, arrays, facts, n_features)
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.single_output = True
        tags.target_tags.multi_output = True
        return tags
