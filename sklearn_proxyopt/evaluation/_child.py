"""The program of a child process: evaluates rows that come in, until nothing more comes.

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
    """Read the function, then rows; answer each with what was returned or raised."""
    # What the function prints must not mix with the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(messages,), daemon=True).start()

    def answer(*message: Any) -> None:
        answers.write(_pickled(message))
        answers.flush()

    sys.path, function = messages.get()
    try:
        objective = pickle.loads(function)
    except Exception as error:
        answer("raised", error, 0.0)
        return
    answer("ready", None, 0.0)
    while True:
        x = messages.get()
        start = time.perf_counter()
        try:
            output = objective(x)
        except Exception as error:
            answer("raised", error, time.perf_counter() - start)
        else:
            answer("returned", output, time.perf_counter() - start)


def _pickled(message: tuple[Any, ...]) -> bytes:
    """Return a message as bytes that can be read back, with a description where it cannot."""
    try:
        data = pickle.dumps(message)
        pickle.loads(data)
    except Exception:
        kind, content, duration = message
        text = f"{type(content).__name__}: {content}"
        return pickle.dumps((kind, RuntimeError(text) if kind == "raised" else text, duration))
    return data


def _read(messages: queue.SimpleQueue[Any]) -> None:
    """Hand messages on; end this process when the one that sends them has ended."""
    while True:
        try:
            messages.put(pickle.load(sys.stdin.buffer))
        except EOFError:
            os._exit(0)


if __name__ == "__main__":
    main()
