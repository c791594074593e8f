"""The line search of Moré and Thuente, for many independent problems at once."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["WolfeSearch"]

# Constants of the strong Wolfe conditions, and those of the search as named in MINPACK's dcsrch.
_C1 = 1e-4
_C2 = 0.9
_XTOL = 1e-14
_XTRAPL, _XTRAPU = 1.1, 4.0
_LONGEST = 1e30
_SHORTEST = 1e-30
# Searches that take longer only do so where rounding hides the descent.
_MAX_TRIALS = 20
# What a trial changes, unless it is not finite.
_INTERVAL = (
    *("_x", "_fx", "_gx", "_y", "_fy", "_gy", "_bracketed"),
    *("_low", "_high", "_width", "_width_before"),
)


class WolfeSearch:
    """Step lengths of a batch of problems, each in its own line search.

    A search looks for a step with f(step) <= f(0) + c1 step f'(0) and |f'(step)| <= c2 |f'(0)|.
    All problems try a step each, hear what came of it, and go on by themselves: one may be at its
    first step while its neighbor is at its tenth. The arithmetic is that of MINPACK's `dcsrch`
    [1]_, which SciPy uses; where a trial is not finite the step is halved.

    Parameters
    ----------
    f, slope : Tensor of shape (n,)
        Values and slopes, the latter negative, where the searches begin.
    step : Tensor of shape (n,)
        First steps to try.
    value_tolerance : float
        A search ends, at the lowest value it has seen, when the first slope predicts no more than
        this share of the first value between the ends of its interval, and after its last trial.

    Attributes
    ----------
    step : Tensor of shape (n,)
        The next step to try; for a search that has ended, the step it ended at.
    least : Tensor of shape (n,)
        The gain that is not worth a trial.

    References
    ----------
    .. [1] Moré and Thuente, "Line Search Algorithms with Guaranteed Sufficient Decrease", ACM
       Transactions on Mathematical Software 20 (3), 1994, :doi:`10.1145/192115.192132`.
    """

    # x: end of the interval with the lowest value; y: its other end.
    step: Tensor
    least: Tensor
    _f0: Tensor
    _slope0: Tensor
    _x: Tensor
    _fx: Tensor
    _gx: Tensor
    _y: Tensor
    _fy: Tensor
    _gy: Tensor
    _low: Tensor
    _high: Tensor
    _ceiling: Tensor
    _width: Tensor
    _width_before: Tensor
    _bracketed: Tensor
    _second_stage: Tensor
    _is_last: Tensor
    _n_trials: Tensor

    def __init__(self, f: Tensor, slope: Tensor, step: Tensor, value_tolerance: float) -> None:
        zero, endless = torch.zeros_like(f), torch.full_like(f, torch.inf)
        no = torch.zeros_like(f, dtype=torch.bool)
        self.step = step
        self._f0, self._slope0 = f, slope
        self.least = value_tolerance * f.abs()
        self._x, self._fx, self._gx = zero, f, slope
        self._y, self._fy, self._gy = zero, f, slope
        self._low, self._high, self._ceiling = zero, step + _XTRAPU * step, endless
        self._width, self._width_before = endless, endless
        self._bracketed, self._second_stage, self._is_last = no, no, no
        self._n_trials = torch.zeros_like(f, dtype=torch.long)

    def keep(self, mask: Tensor) -> None:
        """Forget the problems where the mask is False."""
        for name, value in vars(self).items():
            setattr(self, name, value[mask])

    def restart(
        self, rows: Tensor, f: Tensor, slope: Tensor, step: Tensor, value_tolerance: float
    ) -> None:
        """Begin new searches for some problems."""
        for name, value in vars(WolfeSearch(f, slope, step, value_tolerance)).items():
            setattr(self, name, getattr(self, name).index_copy(0, rows, value))

    @property
    def is_futile(self) -> Tensor:
        """Which searches have no more to gain in their interval than is worth it."""
        # Where a value was not finite, the interval ends there.
        low = torch.where(self._bracketed, self._low, self._x)
        high = torch.where(self._bracketed, self._high, torch.inf).minimum(self._ceiling)
        return ((high - low) * -self._slope0 <= self.least) & (self.least > 0)

    def advance(self, f: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """Hear the values and slopes at the steps tried, and choose the next ones.

        Parameters
        ----------
        f, slope : Tensor of shape (n,)
            What came of `step`.

        Returns
        -------
        found, failed : Tensor of shape (n,)
            Which searches have ended with a step that satisfies the conditions, or with the lowest
            value of an interval that is not worth more trials, and which without a step.
        """
        step, self._n_trials = self.step, self._n_trials + 1
        usable = torch.isfinite(f) & torch.isfinite(slope)
        decrease = _C1 * self._slope0
        test = self._f0 + step * decrease
        found = usable & (f <= test) & (slope.abs() <= -_C2 * self._slope0)
        stuck = self._bracketed & (
            (step <= self._low)
            | (step >= self._high)
            | (self._high - self._low <= _XTOL * self._high)
        )
        stuck = stuck | (step <= _SHORTEST) | (step >= _LONGEST)
        # The trial is the lowest that was seen; the slope may still be steep, as at a kink.
        found = found | (self._is_last & usable & (f <= test))
        stuck = stuck | self._is_last
        failed = ~found & (stuck | (self._n_trials >= _MAX_TRIALS))
        self._second_stage = self._second_stage | (usable & (f <= test) & (slope >= 0))

        self._ceiling = torch.where(usable, self._ceiling, step)
        before = {name: getattr(self, name) for name in _INTERVAL}
        proposed = self._narrow(step, f, slope, test, decrease)
        for name, value in before.items():
            setattr(self, name, torch.where(usable, getattr(self, name), value))
        halved = self._x + 0.5 * (step - self._x)
        proposed = torch.where(usable, proposed, halved)
        # Never again as far as where a value was not finite.
        beyond = proposed >= self._ceiling
        proposed = torch.where(beyond, 0.5 * (self._x + self._ceiling), proposed)
        is_late = (self._n_trials >= _MAX_TRIALS - 1) & (self.least > 0)
        self._is_last = ~found & (self.is_futile | is_late)
        # The lowest may be the trial just heard of.
        is_here = self._is_last & usable & (self._x == step) & (f <= test)
        found, self._is_last = found | is_here, self._is_last & ~is_here
        failed = failed & ~found
        # Nothing lower than the beginning was seen.
        failed = failed | (self._is_last & (self._x == 0))
        proposed = torch.where(self._is_last, self._x, proposed)
        self.step = torch.where(found | failed, step, proposed)
        return found, failed

    def _narrow(self, step: Tensor, f: Tensor, slope: Tensor, test: Tensor, c: Tensor) -> Tensor:
        """Take the trial into the interval and return the next step."""
        # In the first stage the function less its line of sufficient decrease is searched.
        shift = torch.where(~self._second_stage & (f <= self._fx) & (f > test), c, 0.0)
        step_new, ends, bracketed = _next_step(
            (self._x, self._fx - self._x * shift, self._gx - shift),
            (self._y, self._fy - self._y * shift, self._gy - shift),
            (step, f - step * shift, slope - shift),
            self._bracketed,
            self._low,
            self._high,
        )
        (x, fx, gx), (y, fy, gy) = ends
        self._x, self._fx, self._gx = x, fx + x * shift, gx + shift
        self._y, self._fy, self._gy = y, fy + y * shift, gy + shift
        self._bracketed = bracketed

        width = (y - x).abs()
        slow = bracketed & (width >= 0.66 * self._width_before)
        step_new = torch.where(slow, x + 0.5 * (y - x), step_new)
        self._width_before = torch.where(bracketed, self._width, self._width_before)
        self._width = torch.where(bracketed, width, self._width)
        ahead = step_new - x
        self._low = torch.where(bracketed, torch.minimum(x, y), step_new + _XTRAPL * ahead)
        self._high = torch.where(bracketed, torch.maximum(x, y), step_new + _XTRAPU * ahead)
        step_new = step_new.clamp(_SHORTEST, _LONGEST)
        exhausted = (step_new <= self._low) | (step_new >= self._high)
        exhausted = exhausted | (self._high - self._low <= _XTOL * self._high)
        return torch.where(bracketed & exhausted, x, step_new)


Point = tuple[Tensor, Tensor, Tensor]


def _next_step(
    x: Point, y: Point, trial: Point, bracketed: Tensor, low: Tensor, high: Tensor
) -> tuple[Tensor, tuple[Point, Point], Tensor]:
    """Return a safeguarded step, the new interval and whether it holds a minimum (`dcstep`).

    Each point is its step, value and slope.
    """
    (sx, fx, dx), (sy, fy, dy), (sp, fp, dp) = x, y, trial
    higher = fp > fx
    opposite = ~higher & (dp.sign() * dx.sign() < 0)
    flatter = ~higher & ~opposite & (dp.abs() < dx.abs())
    right = sp > sx

    theta, gamma = _cubic(sx, fx, dx, sp, fp, dp, signed_by=torch.where(right, 1.0, -1.0))
    secant = sp + dp / (dp - dx) * (sx - sp)

    # Case 1: a higher value. The minimum is bracketed, nearer to x.
    ratio = ((gamma - dx) + theta) / (((gamma - dx) + gamma) + dp)
    cubic = sx + ratio * (sp - sx)
    quadratic = sx + dx / ((fx - fp) / (sp - sx) + dx) / 2.0 * (sp - sx)
    nearer = (cubic - sx).abs() <= (quadratic - sx).abs()
    case1 = torch.where(nearer, cubic, cubic + (quadratic - cubic) / 2.0)

    # Case 2: slopes of opposite sign. The minimum is bracketed.
    ratio = ((-gamma - dp) + theta) / (((-gamma - dp) - gamma) + dx)
    cubic = sp + ratio * (sx - sp)
    case2 = torch.where((cubic - sp).abs() > (secant - sp).abs(), cubic, secant)

    # Case 3: the slope has the same sign and is less steep.
    ratio = ((-gamma - dp) + theta) / ((-gamma + (dx - dp)) - gamma)
    cubic = torch.where(
        (ratio < 0) & (gamma != 0), sp + ratio * (sx - sp), torch.where(right, high, low)
    )
    closer = (cubic - sp).abs() < (secant - sp).abs()
    inside = torch.where(closer, cubic, secant)
    fence = sp + 0.66 * (sy - sp)
    inside = torch.where(right, torch.minimum(fence, inside), torch.maximum(fence, inside))
    farther = (cubic - sp).abs() > (secant - sp).abs()
    outside = torch.where(farther, cubic, secant).clamp(low, high)
    case3 = torch.where(bracketed, inside, outside)

    # Case 4: the slope has the same sign and is as steep.
    theta, gamma = _cubic(sp, fp, dp, sy, fy, dy, signed_by=torch.where(sp > sy, -1.0, 1.0))
    ratio = ((gamma - dp) + theta) / (((gamma - dp) + gamma) + dy)
    case4 = torch.where(bracketed, sp + ratio * (sy - sp), torch.where(right, high, low))

    step = torch.where(
        higher, case1, torch.where(opposite, case2, torch.where(flatter, case3, case4))
    )

    def first_of(one: Point, other: Point, mask: Tensor) -> Point:
        a, b, c = (torch.where(mask, p, q) for p, q in zip(one, other, strict=True))
        return a, b, c

    y_new = first_of(trial, first_of(x, y, opposite), higher)
    return step, (first_of(x, trial, higher), y_new), bracketed | higher | opposite


def _cubic(
    a: Tensor, fa: Tensor, da: Tensor, b: Tensor, fb: Tensor, db: Tensor, *, signed_by: Tensor
) -> tuple[Tensor, Tensor]:
    """Return theta and gamma of the cubic through two points with their slopes."""
    theta = 3.0 * (fa - fb) / (b - a) + da + db
    scale = torch.maximum(theta.abs(), torch.maximum(da.abs(), db.abs()))
    root = (theta / scale) ** 2 - (da / scale) * (db / scale)
    return theta, signed_by * scale * root.clamp_min(0.0).sqrt()
