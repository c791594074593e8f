"""From a proxy's parameters and samples to the networks that it trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sklearn_proxyopt.proxies._draws import Draws
from sklearn_proxyopt.proxies._net import KeepBestWeights, RateSchedule, build_net, n_groups_for
from sklearn_proxyopt.proxies._network import DenseNetworks, Ensemble, OwnNetwork
from sklearn_proxyopt.proxies._recipe import (
    Features,
    Recipe,
    TrainingData,
    candidate_recipes,
    member_rows,
)

__all__ = ["Builder"]

# A recipe in question is tried for one part in so many of the epochs; a simpler one wins where its
# held-out loss is within this factor of the lowest.
_PILOT_SHARE = 5
_TIE = 1.1


@dataclass
class Builder:
    """What is common to all networks of one fit.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int
        Widths of the hidden layers.
    activation : str
        Activation of the hidden layers.
    n_frequencies : int
        Number of Fourier features, where there are any.
    learn_frequencies : bool
        Whether their frequencies are learned.
    module : callable or None
        Makes the user's network from the numbers of variables and targets.
    n_epochs, batch_size : int
        The plan of the training.
    learning_rate : float
        The highest learning rate.
    dtype : torch.dtype
        Type of the networks.
    device : torch.device
        Where they lie.
    draws : Draws
        What everything that is drawn comes from.
    settings : dict or None
        What the user set of the skorch net.
    """

    hidden_layer_sizes: Sequence[int]
    activation: str
    n_frequencies: int
    learn_frequencies: bool
    module: Callable[[int, int], Any] | None
    n_epochs: int
    batch_size: int
    learning_rate: float
    dtype: torch.dtype
    device: torch.device
    draws: Draws
    settings: Mapping[str, Any] | None = None

    def ensemble(
        self,
        data: TrainingData,
        features: Features,
        n_members: int,
        spreads: Tensor | None = None,
    ) -> Ensemble:
        """Build untrained members, in as many groups as train fastest.

        Their starting frequencies have the spreads given, of shape (n_members,), or the features'.
        """
        n_inputs, n_outputs = data.rows.shape[1], data.targets.shape[1]
        if self.module is not None:
            with self.draws.own_modules.borrowed():
                networks = [self.module(n_inputs, n_outputs) for _ in range(n_members)]
                for network in networks:
                    _check_module(network, data.rows, n_outputs)
            return Ensemble([OwnNetwork(network) for network in networks])
        n_groups = n_groups_for(n_members, self.batch_size, self.device.type)
        if spreads is None:
            spreads = _spreads([features] * n_members)
        shares = spreads.tensor_split(n_groups)
        return Ensemble([self._networks(data, features, share) for share in shares])

    def _networks(self, data: TrainingData, features: Features, spreads: Tensor) -> DenseNetworks:
        n_inputs, n_outputs = data.rows.shape[1], data.targets.shape[1]
        return DenseNetworks(
            n_inputs,
            n_outputs,
            tuple(self.hidden_layer_sizes),
            self.activation,
            spreads,
            features.mask(n_inputs, self.n_frequencies),
            self.learn_frequencies,
            generator=self.draws.weights,
        )

    def choose_recipe(
        self,
        data: TrainingData,
        trend: str,
        kind: str | None,
        spread: str | float,
    ) -> Recipe:
        """Choose trend and features; a short training of each settles what is left open.

        All that is decided by error is computed where the networks will be trained.
        """
        kind = None if self.module is not None else kind
        if self.device.type == "cuda":
            data = data.to(self.device)
        recipes = candidate_recipes(data, trend, kind, spread, self.draws.choices)
        if len(recipes) == 1 or not len(data.held_out):
            return recipes[0].settle()
        if self.module is None and len({recipe.features.kind for recipe in recipes}) == 1:
            losses = self._held_out_losses(data, recipes)
        else:
            losses = [loss for one in recipes for loss in self._held_out_losses(data, [one])]
        good = [loss <= _TIE * min(losses) for loss in losses]
        return recipes[good.index(True)].settle()

    def _held_out_losses(self, data: TrainingData, recipes: list[Recipe]) -> list[float]:
        """Train a network for each recipe, in one stack, and return their held-out losses."""
        if self.module is not None:
            ensemble = self.ensemble(data, recipes[0].features, 1)
        else:
            spreads = _spreads([recipe.features for recipe in recipes])
            ensemble = Ensemble([self._networks(data, recipes[0].features, spreads)])
        # Recipes compete in squared errors, whatever the criterion is.
        settings = {
            name: value
            for name, value in (self.settings or {}).items()
            if not name.startswith("criterion")
        }
        net = build_net(ensemble, self.dtype, str(self.device), settings)
        n_epochs = max(self.n_epochs // _PILOT_SHARE, 1)
        best = KeepBestWeights(None)
        one_member = TrainingData(
            data.rows, data.targets, data.weight, data.kept[:1], data.held_out
        )
        remainders = [recipe.remainder[:1] for recipe in recipes if recipe.remainder is not None]
        rows = member_rows(
            one_member, torch.cat(remainders), self.dtype, self.device, self.draws.steps
        )
        schedule = RateSchedule("one-cycle", net.n_steps(rows[0], n_epochs, self.batch_size))
        with ensemble.drawing_from(self.draws.own_modules):
            net.train(*rows, self.learning_rate, n_epochs, self.batch_size, [schedule, best])
        return [
            float(loss) * float((recipe.scale[0] / data.target_scale).square().mean())
            for loss, recipe in zip(best.lowest_losses_, recipes, strict=True)
        ]


def _spreads(features: Sequence[Features]) -> Tensor:
    """Return the spread of each member's starting frequencies."""
    return torch.tensor([one.spread for one in features], dtype=torch.float32, device="cpu")


def _check_module(network: Any, rows: Tensor, n_outputs: int) -> None:
    """Check that a user's module gives one output a sample, so that no loss broadcasts."""
    if not isinstance(network, torch.nn.Module):
        raise ValueError(f"module must return a torch.nn.Module; got {type(network).__name__}.")
    parameters = list(network.parameters())
    if not parameters:
        raise ValueError("module must return a module with parameters to train; got none.")
    sample = rows[:2].cpu().to(parameters[0].dtype)
    training = network.training
    with torch.no_grad():
        shape = tuple(network.eval()(sample).shape)
    network.train(training)
    if shape != (len(sample), n_outputs):
        raise ValueError(
            f"module must map rows of shape ({len(sample)}, {rows.shape[1]}) to outputs of shape "
            f"({len(sample)}, {n_outputs}); got {shape}."
        )
