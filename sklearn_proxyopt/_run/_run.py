"""One call of an optimizer: what it shares, and the objective that it may evaluate."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._run._oracle import Oracle
from sklearn_proxyopt._run._pace import Pace
from sklearn_proxyopt._run._progress import Progress
from sklearn_proxyopt._run._settings import Settings
from sklearn_proxyopt._run._space_spec import calls_by_names, of_plain_rows
from sklearn_proxyopt._run._state import FittedState
from sklearn_proxyopt._run._stopping import StoppingCriteria
from sklearn_proxyopt._utils._dataset import Dataset
from sklearn_proxyopt._utils._goal import Goal
from sklearn_proxyopt._utils._validation import as_generator
from sklearn_proxyopt.evaluation._journal_writer import JournalWriter
from sklearn_proxyopt.variables import Variables
from sklearn_proxyopt.variables._kinds import Kinds

State = TypeVar("State", bound=FittedState)

__all__ = ["PaidRun", "Run", "draw_seeds", "open_oracle", "open_run", "writing_journal"]


@dataclass
class Run:
    """What one call of an optimizer shares.

    Parameters
    ----------
    optimizer : Settings
        Its parameters hold.
    space : Variables
        The variables inside the box.
    seeds : dict of str to int
        A seed for each part that has none of its own.
    progress : Progress
        Told of the phases.
    goal : Goal
        What is sought of the values.
    """

    optimizer: Settings
    space: Variables
    seeds: dict[str, int]
    progress: Progress
    goal: Goal

    @property
    def n_evaluated(self) -> int:
        """How many samples the run has asked the objective for."""
        return 0

    @property
    def names(self) -> NDArray[np.object_] | None:
        """The names under which the proxy sees the samples."""
        return self.optimizer._names_seen


@dataclass
class PaidRun(Run):
    """A run that may evaluate the objective.

    Parameters
    ----------
    oracle : Oracle
        The objective, and the samples known.
    n_initial : int or None
        How many samples there are before any was chosen by what is known of others; None until
        then.
    """

    oracle: Oracle
    n_initial: int | None = None

    def publish(self, state: FittedState) -> None:
        """Let a state be what the optimizer knows."""
        self.optimizer._publish(state)

    def learn(self, learn: Callable[[], State]) -> State:
        """Return what is learned of all samples."""
        return learn()

    @property
    def n_evaluated(self) -> int:
        """How many samples the run has asked the objective for."""
        return self.oracle.stopping.n_evaluated


def draw_seeds(optimizer: Settings, oracle: Oracle | None = None) -> dict[str, int]:
    """Draw a seed for each part, in an order that does not depend on which are used."""
    rng = as_generator(optimizer.random_state)
    if optimizer.random_state is None and oracle is not None:
        rng = oracle.generator()
    return {name: int(rng.integers(2**31 - 1)) for name in optimizer._seeded}


@contextmanager
def open_run(
    optimizer: Settings,
    objective: Callable[..., Any],
    data: Dataset,
    space: Variables,
    stopping: StoppingCriteria,
    *,
    box_is_given: bool,
    keeps_box: bool = False,
    patience: float = 0.0,
    pace: Pace | None = None,
) -> Iterator[PaidRun]:
    """Open a run that may evaluate; if the block fails, the optimizer keeps the samples.

    Parameters
    ----------
    optimizer : Settings
        Forgets what it knew.
    objective : callable
        The function.
    data : Dataset
        Samples that were evaluated before.
    space : Variables
        The variables.
    stopping : StoppingCriteria
        What ends the run, and what is sought.
    box_is_given : bool
        Whether the box is the user's, and not that of the samples.
    keeps_box : bool, default=False
        Whether `tell` must keep the box.
    patience : float, default=0.0
        Seconds to wait for another writer of the journal.
    pace : Pace, default=None
        What goes on side by side; None for what the workers suggest.
    """
    opened = open_oracle(optimizer, objective, data, space, stopping, box_is_given, patience, pace)
    with opened as oracle:
        optimizer._begin_anew(keeps_box, stopping.goal)
        optimizer._run_log = oracle.log
        progress, seeds = Progress(optimizer, optimizer._n_phases), draw_seeds(optimizer, oracle)
        progress.begin(objective, space, stopping)
        yield PaidRun(optimizer, space, seeds, progress, stopping.goal, oracle)


@contextmanager
def open_oracle(
    optimizer: Settings,
    objective: Callable[..., Any],
    data: Dataset,
    space: Variables,
    stopping: StoppingCriteria,
    box_is_given: bool = True,
    patience: float = 0.0,
    pace: Pace | None = None,
) -> Iterator[Oracle]:
    """Open the objective for evaluations; if the block fails, the optimizer keeps the samples."""
    form, vectorized = optimizer.input_format, optimizer.vectorized
    of_rows = of_plain_rows(objective, space, input_format=form, vectorized=vectorized)
    evaluator = optimizer._evaluator(of_rows)
    is_named = calls_by_names(form, space)
    meaning = repr((space.names, space.kinds.facts())) if is_named else ""
    record = optimizer._records.record_of(objective, optimizer._n_outputs)
    evaluator.record = record.of_meaning(meaning)
    box = space.bounds if box_is_given else None
    with writing_journal(optimizer, box, space.kinds, patience) as evaluator.journal:
        oracle = Oracle(evaluator, data, space, stopping, optimizer.n_repeats)
        try:
            with (pace or Pace()).in_flight(evaluator) as (oracle.in_flight, oracle.n_pending):
                yield oracle
        except BaseException as error:
            oracle.keep_all_on_record()
            if isinstance(error, KeyboardInterrupt):
                _say_where_rows_are(optimizer, oracle)
            known = optimizer._known.with_data(oracle.data, space)
            optimizer._publish(replace(known, n_evaluations=stopping.n_evaluated))
            raise


def _say_where_rows_are(optimizer: Settings, oracle: Oracle) -> None:
    """Tell who has interrupted a run what is kept, and how to go on."""
    n_rows = len(oracle.data.evaluated)
    where, how = "X_ and y_ of the optimizer", "pass them as X= and y= to go on"
    if optimizer.journal is not None:
        where, how = str(optimizer.journal), "run the same again to go on"
    print(
        f"Interrupted: {n_rows} rows are in {where}, without those that were being evaluated; "
        f"{how}.",
        file=sys.stderr,
    )


def writing_journal(
    optimizer: Settings, box: NDArray[np.float64] | None, kinds: Kinds, patience: float
) -> AbstractContextManager[JournalWriter | None]:
    """Open the journal as its writer, or nothing where there is none."""
    if optimizer.journal is None:
        return nullcontext()
    n_outputs = optimizer._n_outputs
    return optimizer._journal_at(optimizer.journal).writing(
        len(kinds),
        box,
        kinds.names,
        n_outputs=1 if n_outputs is None else n_outputs,
        kinds=kinds.facts(),
        patience=patience,
    )
