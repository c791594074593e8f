"""A time limit for one evaluation: a child process that can be killed."""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from joblib import wrap_non_picklable_objects
from numpy.typing import NDArray

from sklearn_proxyopt.evaluation._call import Outcome, no_value, raised, returned
from sklearn_proxyopt.exceptions import EvaluationError

__all__ = ["call_within"]

_CHILD = Path(__file__).with_name("_child.py")
# Within this time a process must have loaded the function and what it imports.
_LOADING_SECONDS = 300.0


def call_within(
    limit: float,
    objective: Callable[..., Any],
    x: NDArray[np.float64],
    index: int,
    n_outputs: int | None,
) -> Outcome:
    """Call a function of one sample in a child process, and kill that at the time limit."""
    child = _take_child(_pickled(objective))
    try:
        return child.call(limit, x, index, n_outputs)
    finally:
        if child.is_alive:
            with _lock:
                _idle.append(child)
        else:
            child.close()


def _pickled(objective: Callable[..., Any]) -> bytes:
    """Return a function as bytes, or say that it cannot go to another process."""
    try:
        return pickle.dumps(wrap_non_picklable_objects(objective, keep_wrapper=False))
    except Exception as error:
        raise EvaluationError(
            "objective must be a function that another process can load, for a time limit; got "
            f"{type(error).__name__}: {str(error).rstrip('.')}. Define it at module level, without "
            "locks or open files, or pass time_limit=None."
        ) from error


class _Child:
    """A process that holds the function and evaluates one sample after another.

    Each message to it has a number, and an answer counts only under that number.

    Parameters
    ----------
    function : bytes
        The function, pickled.
    """

    def __init__(self, function: bytes) -> None:
        self.function = function
        self.is_alive = True
        self._number = 0
        self._process = subprocess.Popen(
            [sys.executable, str(_CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        threading.Thread(target=self._end_with_it, daemon=True).start()
        # The function's imports are not its evaluation, and have a limit of their own.
        watch = _Watch(_LOADING_SECONDS, self.end)
        try:
            kind, _, text, _ = self._ask((sys.path, function))
        except BaseException:
            self.close()
            raise
        finally:
            watch.stop()
        if kind != "ready":
            self.close()
            late = f"nothing within {_LOADING_SECONDS} seconds"
            raise EvaluationError(
                "objective must be a function that another process can load, for a time limit; got "
                f"{late if watch.has_ended else text} there."
            )

    def call(
        self, limit: float, x: NDArray[np.float64], index: int, n_outputs: int | None
    ) -> Outcome:
        """Return what came of a sample."""
        watch = _Watch(limit, self.end)
        try:
            kind, content, text, duration = self._ask(x)
        except BaseException:
            self.end()
            raise
        finally:
            watch.stop()
        if watch.has_ended:
            reason = f"took longer than time_limit={limit} seconds"
            return Outcome(no_value(n_outputs), limit, reason)
        if kind == "lost":
            self.end()
            reason = f"took its process down, {text}"
            return Outcome(no_value(n_outputs), watch.elapsed, reason)
        if kind == "raised":
            return raised(content, duration, n_outputs, text)
        return returned(content, duration, x, index, n_outputs)

    def end(self) -> None:
        """Kill the process, and with it those that it has started."""
        self.is_alive = False
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        elif self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End the process and close the pipes to it."""
        self.end()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()

    def _end_with_it(self) -> None:
        """Kill what a process that has died leaves behind, which could hold the pipe open."""
        self._process.wait()
        self.end()

    def _ask(self, message: Any) -> tuple[str, Any, str, float]:
        """Send a message; return its answer's kind, content, description and duration."""
        self._number += 1
        stream = self._process.stdin
        assert stream is not None
        # A process that has died is noticed by its silence.
        with suppress(OSError):
            pickle.dump((self._number, message), stream)
            stream.flush()
        return self._receive()

    def _receive(self) -> tuple[str, Any, str, float]:
        stream: Any = self._process.stdout
        number = None
        while number != self._number:
            try:
                number, kind, pickled, text, duration = pickle.load(stream)
            except (EOFError, OSError, pickle.UnpicklingError):
                return "lost", None, f"exit status {self._process.wait()}", 0.0
        return kind, _content(kind, pickled, text), text, duration


def _content(kind: str, pickled: bytes | None, text: str) -> Any:
    """Return what a process has returned or raised, its description if it cannot be read here."""
    with suppress(Exception):
        if pickled is not None:
            return pickle.loads(pickled)
    return RuntimeError(text) if kind == "raised" else text


class _Watch:
    """Calls a function once if it is not stopped within a time."""

    def __init__(self, limit: float, end: Callable[[], None]) -> None:
        self._end = end
        self._lock = threading.Lock()
        self._is_stopped = False
        self._start = time.perf_counter()
        self.has_ended = False
        # A timer of more than some centuries would end at once, in its own thread.
        self._timer = threading.Timer(min(limit, threading.TIMEOUT_MAX), self._ring)
        self._timer.daemon = True
        self._timer.start()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._start

    def stop(self) -> None:
        """Call nothing from now on."""
        with self._lock:
            self._is_stopped = True
        self._timer.cancel()

    def _ring(self) -> None:
        with self._lock:
            if not self._is_stopped:
                self.has_ended = True
                self._end()


_idle: list[_Child] = []
_lock = threading.Lock()


def _take_child(function: bytes) -> _Child:
    """Return an idle child that holds the function, or a new one; end those of other functions."""
    with _lock:
        others = [child for child in _idle if child.function != function]
        same = [child for child in _idle if child.function == function and child.is_alive]
        taken = same.pop() if same else None
        _idle[:] = same
    for child in others:
        child.close()
    return _Child(function) if taken is None else taken


@atexit.register
def _end_children() -> None:
    for child in _idle:
        child.close()
