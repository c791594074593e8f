"""Which answers to inverse problems can be relied on, and how well unknowns are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_proxyopt.inverse._problem_set import ProblemSet
from sklearn_proxyopt.inverse._uncertainty import uncertainty_of

__all__ = ["InverseDiagnosis", "diagnose_problems"]

# The searches from elsewhere: candidates, also where one simulation serves all problems, and those
# of each problem that are started from.
_N_CANDIDATES, _N_SHARED, _N_STARTS = 32, 256, 4
# Log odds of a wrong answer from the logarithms of misfit and of what another search gained, as
# learned on wave packets, billiards, Kuramoto-Sivashinsky problems and flows with known truth.
_MISFIT, _GAIN, _LEVEL = 3.4, 2.0, -4.0
_LONGEST, _LARGE = 3.0, 50.0
# Relative losses below this are those of an exact fit.
_EXACT = 1e-6
# Misfits, in decades, from which a problem does not fit: three deviations of a chi-squared where
# the noise is known, ten times the better problems of the batch where it is not.
_KNOWN_LIMIT, _BATCH_LIMIT = float(np.log10(4.0)), 1.0
# Distances in half-widths of the box: of solutions that are distinct, and from a side.
_DISTINCT, _EDGE = 0.02, 2e-3


@dataclass(frozen=True)
class InverseDiagnosis:
    """What is known of the answers to some inverse problems.

    Parameters
    ----------
    unknowns : ndarray of shape (n_problems, n_unknowns)
        The answers that are judged.
    covariance : ndarray of shape (n_problems, n_unknowns, n_unknowns)
        Their covariance, in their units, by Gauss and Newton; NaN where it could not be computed.
    lower, upper : ndarray of shape (n_problems, n_unknowns)
        Ends of the intervals, which hold the true unknown with the probability `level` if the
        answer lies in the right basin; NaN where they could not be computed.
    level : float
        That probability.
    is_identifiable : ndarray of shape (n_problems,)
        Whether the measurements narrow down the box along every direction.
    flat_direction : ndarray of shape (n_problems, n_unknowns)
        The direction that is known least, of unit length in half-widths of the box.
    misfit : ndarray of shape (n_problems,)
        With known noise the reduced chi-squared; else the loss over that of the better fifth of
        the batch, where losses of an exact fit are all alike. Infinite without a finite loss.
    fits : ndarray of shape (n_problems,)
        Whether the misfit is that of a good fit.
    n_rivals : ndarray of shape (n_problems,)
        Distinct solutions that searches from elsewhere found to fit as well.
    rivals : ndarray of shape (n_problems, n_unknowns)
        The best solution that they found, NaN for none with a finite loss.
    rival_loss : ndarray of shape (n_problems,)
        Its loss.
    is_beaten : ndarray of shape (n_problems,)
        Whether that loss is clearly lower than that of the answer.
    is_at_edge : ndarray of shape (n_problems,)
        Whether the answer lies at a side of a hard box, or of what constraints leave of it.
    chance : ndarray of shape (n_problems,)
        The probability that the answer lies in the right basin, rather than other unknowns that
        explain the measurements as well or better.

    Attributes
    ----------
    verdict : ndarray of str of shape (n_problems,)
        "credible", "doubtful" or "wrong".

    Examples
    --------
    >>> from sklearn_proxyopt.inverse import DirectInverse
    >>> X = [[1.0, 2.1, 2.9, 4.0], [2.0, 1.9, 2.1, 2.0]]
    >>> found = DirectInverse().fit(X).diagnose(X)  # a straight line through each row
    >>> found.unknowns.round(1)
    array([[2.5, 1.5],
           [2. , 0. ]])
    >>> found.verdict.tolist()
    ['credible', 'credible']
    """

    unknowns: NDArray[np.float64]
    covariance: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    level: float
    is_identifiable: NDArray[np.bool_]
    flat_direction: NDArray[np.float64]
    misfit: NDArray[np.float64]
    fits: NDArray[np.bool_]
    n_rivals: NDArray[np.int64]
    rivals: NDArray[np.float64]
    rival_loss: NDArray[np.float64]
    is_beaten: NDArray[np.bool_]
    is_at_edge: NDArray[np.bool_]
    chance: NDArray[np.float64]

    @property
    def verdict(self) -> NDArray[np.str_]:
        """The chance in a word."""
        likely = np.where(self.chance >= 0.9, "credible", "doubtful")
        return np.where(self.chance >= 0.5, likely, "wrong")

    @property
    def std(self) -> NDArray[np.float64]:
        """Standard deviations of the unknowns, of shape (n_problems, n_unknowns)."""
        variances: NDArray[np.float64] = np.diagonal(self.covariance, axis1=1, axis2=2)
        return np.sqrt(variances)

    @property
    def _failed(self) -> NDArray[np.bool_]:
        """Answers without a finite loss."""
        return np.isinf(self.misfit)

    def reasons(self, index: int) -> list[str]:
        """Return the facts behind the verdict on one problem.

        Parameters
        ----------
        index : int
            Number of the problem.

        Returns
        -------
        list of str
            One fact each; "+" speaks for the answer, "-" against it.
        """
        fits, failed = self.fits[index], self._failed[index]
        facts = [
            f"{'+' if fits else '-'} {'fits' if fits else 'does not fit'} the measurements "
            f"(misfit {self.misfit[index]:.3g})"
        ]
        if failed:
            facts = ["- has no answer with a finite loss"]
        if self.is_beaten[index]:
            facts.append(f"- other unknowns explain them better: {self.rivals[index].tolist()}")
        elif not fits:
            facts.append("- no unknowns that explain them were found: outside what is simulated?")
        if self.n_rivals[index]:
            facts.append(f"- {self.n_rivals[index]} other solutions fit as well")
        if self.is_at_edge[index]:
            facts.append("- lies at the edge of the box")
        direction = self.flat_direction[index]
        if not failed and np.isnan(direction).any():
            facts.append("- its neighborhood could not be simulated")
        elif not failed and not self.is_identifiable[index]:
            facts.append(f"- not determined along {direction.round(2).tolist()}")
        return facts

    def __str__(self) -> str:
        words, counts = np.unique(self.verdict, return_counts=True)
        parts = ", ".join(f"{n} {word}" for word, n in zip(words, counts, strict=True))
        flags = {
            "have no answer with a finite loss": self._failed,
            "do not fit the measurements": ~self.fits & ~self._failed,
            "have a better solution elsewhere": self.is_beaten,
            "have other solutions that fit as well": self.n_rivals > 0,
            "lie at the edge of the box": self.is_at_edge,
            "are not determined in some direction": ~self.is_identifiable & ~self._failed,
        }
        lines = [f"{len(self.chance)} problems: {parts}."]
        lines += [f"  {flag.sum()} {text}" for text, flag in flags.items() if flag.any()]
        return "\n".join(lines)


def diagnose_problems(
    problems: ProblemSet, unknowns: Tensor, level: float, rng: np.random.Generator
) -> InverseDiagnosis:
    """Judge answers to problems.

    Parameters
    ----------
    problems : ProblemSet
        The problems.
    unknowns : Tensor of shape (n, n_unknowns)
        The answers, NaN for none.
    level : float
        Probability of the intervals.
    rng : numpy.random.Generator
        Draws where searches from elsewhere begin.

    Returns
    -------
    InverseDiagnosis
        What is known of them.
    """
    failed = ~torch.isfinite(unknowns).all(dim=1)
    guess = problems.problem.to_unknowns(problems.start)
    unknowns = torch.where(failed[:, None], guess, unknowns)
    loss = problems.losses_of(unknowns)
    loss = torch.where(failed | ~torch.isfinite(loss), torch.inf, loss)
    known = uncertainty_of(problems, unknowns, loss, level)
    ends, end_losses = _searched_elsewhere(problems, rng)
    best = end_losses.argmin(dim=0)
    each = torch.arange(len(unknowns), device=unknowns.device)
    rival_loss = end_losses[best, each]
    judged = _Judgement.of(problems, loss, rival_loss)
    # An answer without a loss has no rivals, and what has none is no rival.
    is_other = _are_distinct(problems, unknowns, ends) & torch.isfinite(end_losses - loss)
    n_rivals = (is_other & (end_losses <= loss + judged.allowance)).sum(dim=0)
    weight = n_rivals.to(loss)
    if problems.noise is not None:
        # Their likelihoods, in units of that of the answer.
        gains = torch.where(is_other, loss - end_losses, -torch.inf)
        weight = gains.clamp_max(_LARGE).exp().sum(dim=0)
    chance = torch.minimum(judged.chance, 1.0 / (1.0 + weight))
    sides = problems.problem.to_box(unknowns).abs().amax(dim=1) > 1.0 - _EDGE
    at_edge = sides & ~failed if problems.problem.hard_bounds else torch.zeros_like(sides)
    return InverseDiagnosis(
        unknowns=_array(torch.where(failed[:, None], torch.nan, unknowns)),
        covariance=known.covariance,
        lower=known.lower,
        upper=known.upper,
        level=level,
        is_identifiable=known.is_identifiable,
        flat_direction=known.flat_direction,
        misfit=_array(judged.misfit),
        fits=_array(judged.fits),
        n_rivals=_array(n_rivals),
        rivals=_array(
            torch.where(torch.isfinite(rival_loss)[:, None], ends[best, each], torch.nan)
        ),
        rival_loss=_array(rival_loss),
        is_beaten=_array(judged.is_beaten),
        is_at_edge=_array(at_edge),
        chance=_array(chance),
    )


@dataclass
class _Judgement:
    """What the losses of answers and of their alternatives say.

    Attributes
    ----------
    misfit, fits, is_beaten, chance : Tensor of shape (n,)
        As in an `InverseDiagnosis`.
    allowance : Tensor of shape (n,)
        By how much a loss may be higher, or must be lower, to count as the same.
    """

    misfit: Tensor
    fits: Tensor
    is_beaten: Tensor
    chance: Tensor
    allowance: Tensor

    @classmethod
    def of(cls, problems: ProblemSet, loss: Tensor, rival: Tensor) -> _Judgement:
        reduced = problems.reduced_chi2(_array(loss))
        exact, has_loss = _EXACT * problems.spread, torch.isfinite(loss)
        if reduced is None:
            misfit = torch.where(has_loss, _misfits_in_batch(loss, exact), torch.inf)
            decades, limit = misfit.log10(), _BATCH_LIMIT
            gain = ((loss + exact) / (rival + exact)).log10()
            allowance = exact + 0.1 * torch.where(has_loss, loss, 0.0)
        else:
            misfit = torch.as_tensor(np.nan_to_num(reduced, nan=1.0), device="cpu").to(loss)
            misfit = torch.where(has_loss, misfit, torch.inf)
            freedom = loss.new_tensor(np.maximum(problems.freedom, 0.0))
            deviations = (misfit - 1.0) * (0.5 * freedom).sqrt()
            decades, limit = (1.0 + deviations.clamp_min(0.0)).log10(), _KNOWN_LIMIT
            gain = (1.0 + (loss - rival).clamp_min(0.0)).log10()
            allowance = torch.full_like(loss, 2.0)
        beaten = rival < loss - allowance
        odds = (
            _MISFIT * decades.nan_to_num(posinf=_LONGEST).clamp(0.0, _LONGEST)
            + _GAIN * gain.nan_to_num(posinf=_LONGEST).clamp(0.0, _LONGEST)
            + _LEVEL
        )
        chance = torch.where(has_loss, torch.sigmoid(-odds), 0.0)
        return cls(misfit, decades < limit, beaten, chance, allowance)


def _misfits_in_batch(loss: Tensor, exact: Tensor) -> Tensor:
    """Return losses over that of the better fifth, in each problem no less than an exact one."""
    known = loss[torch.isfinite(loss)]
    usual = torch.quantile(known, 0.2) if len(known) else loss.new_zeros(())
    return (loss + exact) / (usual + exact)


def _searched_elsewhere(problems: ProblemSet, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return where searches from the best candidates end, and the losses there."""
    problem = problems.problem
    n_candidates = _N_CANDIDATES if problem.n_conditions else _N_SHARED
    places = rng.uniform(-1.0, 1.0, (n_candidates, problem.n_unknowns))
    points = problem.from_box(torch.as_tensor(places, device="cpu").to(problems.rows))
    candidates = problem.to_latent(points)
    losses = torch.nan_to_num(problems.survey(candidates), nan=torch.inf)
    starts = candidates[losses.argsort(dim=0)[:_N_STARTS]]
    result = problems.descend(
        starts.flatten(0, 1), tolerance=1e-8, value_tolerance=1e-9, first_step=0.01
    )
    ends = problem.to_unknowns(torch.as_tensor(result.x, device="cpu").to(points))
    values = torch.as_tensor(result.fun, device="cpu").to(points).view(_N_STARTS, -1)
    values = torch.nan_to_num(values * problems.spread, nan=torch.inf)
    return ends.view(*starts.shape), values


def _are_distinct(problems: ProblemSet, unknowns: Tensor, ends: Tensor) -> Tensor:
    """Return which ends are solutions of their own, neither the answer nor an end before."""
    kept, found = [unknowns], []
    for end in ends:
        apart = [((end - one) / problems.half_width).abs().amax(dim=1) > _DISTINCT for one in kept]
        found.append(torch.stack(apart).all(dim=0))
        kept.append(torch.where(found[-1][:, None], end, unknowns))
    return torch.stack(found)


def _array(values: Tensor) -> NDArray[Any]:
    return np.array(values.cpu().numpy())
