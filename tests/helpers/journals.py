"""Journals written and changed by tests."""

from __future__ import annotations

import sqlite3

import numpy as np

from sklearn_proxyopt.evaluation import Evaluator, Journal

ROWS = np.arange(12.0).reshape(6, 2)


def total(X):
    return X.sum(axis=1)


def write(path, fun=total, X=ROWS, **params):
    """Evaluate rows into a journal; return their values and the calls that took."""
    with Journal(path).writing(X.shape[1]) as writer:
        evaluate = Evaluator(fun, journal=writer, **{"vectorized": True, **params})
        writer.read_into(evaluate.record)
        return evaluate(X), evaluate.n_calls


def edit(path, *statements):
    """Change a journal as another program would."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()
