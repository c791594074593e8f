"""The program of a child process: evaluates samples that come in, until nothing more comes.

It is run by its path and imports nothing of the package, so that it starts at once; what the
function needs is imported as the function is unpickled.
"""

from __future__ import annotations

import os
import pickle
import queue
import sys
import threading
import time
from typing import Any


def main() -> None:
    """Read the function, then numbered samples; answer each with what was returned or raised."""
    # What the function prints must not mix with the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    process = os.getpid()
    messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(messages,), daemon=True).start()

    def answer(number: int, kind: str, content: Any, duration: float) -> None:
        # A copy of this process that the function forked, and failed to replace, comes here too.
        if os.getpid() != process:
            os._exit(1)
        message = number, kind, _pickled(content), _description(content), duration
        pickle.dump(message, answers)
        answers.flush()

    number, (sys.path, function) = messages.get()
    try:
        objective = pickle.loads(function)
    except (Exception, SystemExit) as error:
        answer(number, "raised", error, 0.0)
        return
    answer(number, "ready", None, 0.0)
    while True:
        number, x = messages.get()
        start = time.perf_counter()
        try:
            output = objective(x)
        except (Exception, SystemExit) as error:
            answer(number, "raised", error, time.perf_counter() - start)
        else:
            answer(number, "returned", output, time.perf_counter() - start)


def _pickled(content: Any) -> bytes | None:
    """Return what was returned or raised as bytes, None where it has none."""
    try:
        return pickle.dumps(content)
    except Exception:
        return None


def _description(content: Any) -> str:
    """Return what stands in the place of something that the other process cannot read."""
    if not isinstance(content, BaseException):
        return type(content).__name__
    try:
        return f"{type(content).__name__}: {content}"
    except Exception:
        return type(content).__name__


def _read(messages: queue.SimpleQueue[Any]) -> None:
    """Hand messages on; end this process when the one that sends them has ended."""
    while True:
        try:
            messages.put(pickle.load(sys.stdin.buffer))
        except EOFError:
            os._exit(0)


if __name__ == "__main__":
    main()
