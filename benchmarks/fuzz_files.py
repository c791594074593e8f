"""Damage files at random, and see what is read from them; pass odd arguments, and see who says so.

`journal`: a journal of evaluations is changed byte by byte, page by page, or by SQL as another tool
would; reading it must raise a `JournalError` or give what was written, and a repair must give no
row that was not written. `saves`: a file of `ProxyOptimizer.save` is changed byte by byte, or its
facts and arrays are replaced and signed again; loading it must raise a `ValueError` that begins
with "path must", or succeed, within memory and time. `arguments`: what evaluates, samples, and
reads and writes files is given odd values; it must accept them, or raise a `ValueError` that names
the argument.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import re
import signal
import sqlite3
import sys
import tempfile
import tracemalloc
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sklearn_proxyopt import NeuralProxyRegressor, ProxyOptimizer
from sklearn_proxyopt._utils import _state_file
from sklearn_proxyopt.evaluation import Evaluator, Journal
from sklearn_proxyopt.exceptions import FailedEvaluationWarning, JournalError
from sklearn_proxyopt.optimizers import MultiStartBFGS
from sklearn_proxyopt.samplers import GridSampler, SobolSampler, UniformSampler

BOX = np.array([[-2.0, 2.0], [0.0, 50.0], [-1.0, 1.0]])


def function(X: np.ndarray) -> np.ndarray:
    return np.where(X[:, 0] > 1.5, np.nan, (X**2).sum(axis=1))


def write_journal(path: Path, n_rows: int, seed: int) -> None:
    """Write a journal of names, bounds, failures and pending points, in batches of ten."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(BOX[:, 0], BOX[:, 1], (n_rows, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FailedEvaluationWarning)
        with Journal(path).writing(3, BOX, ["speed", "angle", "load"]) as writer:
            evaluate = Evaluator(function, on_error="drop", journal=writer, vectorized=True)
            writer.read_into(evaluate.record)
            for start in range(0, n_rows, 10):
                evaluate(X[start : start + 10])
            writer.seed(7)
            writer.set_pending_points(rng.uniform(BOX[:, 0], BOX[:, 1], (4, 3)))


def answers(path: Path) -> tuple:
    """Return all that a journal says."""
    journal = Journal(path)
    arrays = (*journal.rows(), journal.failed_rows(), journal.pending_points())
    return len(journal), journal.names(), journal.n_outputs(), *(a.tolist() for a in arrays)


def flip_bits(content: bytearray, draw: random.Random) -> None:
    for _ in range(draw.choice([1, 1, 1, 2, 8])):
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)


def overwrite(content: bytearray, draw: random.Random) -> None:
    size = draw.choice([1, 4, 16, 64, 512])
    start = draw.randrange(len(content) - size)
    content[start : start + size] = draw.randbytes(size)


def zero(content: bytearray, draw: random.Random) -> None:
    size = draw.choice([1, 16, 512, 4096])
    start = draw.randrange(max(1, len(content) // size)) * size
    content[start : start + size] = bytes(len(content[start : start + size]))


def swap_pages(content: bytearray, draw: random.Random) -> None:
    one, other = (draw.randrange(len(content) // 4096) * 4096 for _ in range(2))
    pages = content[one : one + 4096], content[other : other + 4096]
    content[other : other + 4096], content[one : one + 4096] = pages


def copy_page(content: bytearray, draw: random.Random) -> None:
    one, other = (draw.randrange(len(content) // 4096) * 4096 for _ in range(2))
    content[other : other + 4096] = content[one : one + 4096]


def cut(content: bytearray, draw: random.Random) -> None:
    del content[draw.randrange(1, len(content)) :]


def append(content: bytearray, draw: random.Random) -> None:
    content += draw.randbytes(draw.choice([1, 100, 4096]))


DAMAGES: list[Callable[[bytearray, random.Random], None]] = [
    *(flip_bits, flip_bits, flip_bits, overwrite, overwrite, zero),
    *(swap_pages, copy_page, cut, append),
]
EDITS = [
    "UPDATE evaluations SET value = value + 1 WHERE id = {one}",
    "UPDATE evaluations SET value = NULL WHERE id = {one}",
    "UPDATE evaluations SET value = '1.5 bar' WHERE id = {one}",
    "UPDATE evaluations SET x1 = 1e6 WHERE id = {one}",
    "UPDATE evaluations SET x1 = x'00ff' WHERE id = {one}",
    "UPDATE evaluations SET status = 'done' WHERE status = 'failed'",
    "UPDATE evaluations SET status = 'raised' WHERE id = {one}",
    "UPDATE evaluations SET id = id + 1000000 WHERE id = {one}",
    "UPDATE evaluations SET id = -id WHERE id = {one}",
    "UPDATE evaluations SET digest = '', previous = '' WHERE id = {one}",
    "UPDATE evaluations SET amends = {other} WHERE id = {one}",
    "DELETE FROM evaluations WHERE id = {one}",
    "DELETE FROM evaluations WHERE id > {one}",
    "DELETE FROM evaluations",
    "INSERT INTO evaluations SELECT 1000000, round, repeat, x0 + 1, x1, x2, value, status, error, "
    "duration, ended, chosen_by, amends, extra, previous, digest FROM evaluations WHERE id = {one}",
    "DELETE FROM pending WHERE id = 2",
    "UPDATE pending SET x0 = 0",
    "UPDATE variables SET name = 'pace' WHERE position = 0",
    "UPDATE variables SET upper = 100 WHERE position = 1",
    "DELETE FROM variables",
    "DELETE FROM facts WHERE name = 'seed'",
    "UPDATE facts SET value = 'x' WHERE name = 'journal'",
    "DELETE FROM seals",
    "UPDATE seals SET n_rows = n_rows - 1 WHERE name = 'evaluations'",
    "DROP TABLE pending",
    "ALTER TABLE evaluations RENAME COLUMN x0 TO x9",
    "ALTER TABLE evaluations ADD COLUMN note TEXT",
    "CREATE TABLE notes (text TEXT)",
    "CREATE TRIGGER t AFTER INSERT ON evaluations BEGIN DELETE FROM evaluations; END",
    "PRAGMA user_version = 2",
    "PRAGMA application_id = 0",
    "PRAGMA journal_mode = WAL",
    "VACUUM",
    "ANALYZE",
]


def damaged_journals(
    original: Path, folder: Path, n_trials: int, seed: int
) -> Iterator[tuple[str, Path]]:
    """Yield what was done to a copy of a journal, and that copy."""
    draw = random.Random(seed)
    n_rows = len(Journal(original))
    content = original.read_bytes()
    for trial in range(n_trials):
        path = folder / f"{trial}.sqlite"
        if trial % 5 == 4:
            what = draw.choice(EDITS)
            path.write_bytes(content)
            with contextlib.closing(sqlite3.connect(path)) as connection, connection:
                connection.isolation_level = None
                one, other = (draw.randrange(1, n_rows + 1) for _ in range(2))
                connection.execute(what.format(one=one, other=other))
        else:
            damage = draw.choice(DAMAGES)
            changed = bytearray(content)
            damage(changed, draw)
            what = damage.__name__
            path.write_bytes(changed)
        yield what, path
        for left in folder.glob(f"{trial}.*"):
            left.unlink()


def fuzz_journals(n_trials: int, seed: int, n_rows: int = 120) -> Counter:
    """Return how often reading a damaged journal ended how; print what is no good end."""
    ends: Counter = Counter()
    with tempfile.TemporaryDirectory() as top:
        original = Path(top, "original.sqlite")
        write_journal(original, n_rows, seed)
        wanted = answers(original)
        written = {tuple(x): y for x, y in zip(*wanted[3:5], strict=True)}
        written |= {tuple(x): None for x in wanted[5]}
        for what, path in damaged_journals(original, Path(top), n_trials, seed):
            end = _end_of(path, wanted)
            ends[end] += 1
            if end not in GOOD_ENDS:
                print(f"{end}: {what}")
            end = _end_of_writing(path, wanted)
            ends[end] += 1
            if end not in GOOD_ENDS:
                print(f"{end}: {what}")
            if end != "written to":
                repaired = _end_of_repair(path, Path(top, "repaired.sqlite"), written)
                ends[repaired] += 1
                if repaired not in GOOD_ENDS:
                    print(f"{repaired}: {what}")
    return ends


GOOD_ENDS = {
    "harmless",
    "error that names a row",
    "error that names the file or a table",
    "repaired, all rows",
    "repaired, some rows left out and said so",
    "beyond repair",
    "written to",
    "refused by a writer",
    "refused",
    "loaded",
    "refused by name",
    "accepted",
}


def _end_of(path: Path, wanted: tuple) -> str:
    try:
        found = answers(path)
    except JournalError as error:
        if str(path) not in str(error):
            return "error without the path"
        names_row = re.search(r"row \d+", str(error))
        return f"error that names {'a row' if names_row else 'the file or a table'}"
    except Exception as error:
        return f"raw {type(error).__name__}: {error}"
    return "harmless" if found == wanted else "WRONG"


def _end_of_writing(path: Path, wanted: tuple) -> str:
    """Go on from a damaged journal, as the next run does."""
    before = path.read_bytes()
    try:
        with Journal(path).writing(3, BOX, ["speed", "angle", "load"]) as writer:
            evaluate = Evaluator(function, journal=writer, on_error="drop", vectorized=True)
            writer.read_into(evaluate.record)
            evaluate(np.array([*wanted[3][:3], [0.0, 1.0, 0.5]]))
            n_calls = evaluate.n_calls
        X, y = Journal(path).rows()
    except JournalError:
        return "refused by a writer" if path.read_bytes() == before else "REFUSED BUT CHANGED"
    except Exception as error:
        return f"raw {type(error).__name__} of a writer: {error}"
    finally:
        path.write_bytes(before)
    is_right = (X[:-1].tolist(), y[:-1].tolist()) == wanted[3:5] and n_calls == 1
    return "written to" if is_right else "WRITTEN WRONG"


def _end_of_repair(path: Path, target: Path, written: dict) -> str:
    target.unlink(missing_ok=True)
    try:
        left_out = Journal(path).repair(target)
        X, y = Journal(target).rows()
        failed = Journal(target).failed_rows()
    except JournalError:
        return "beyond repair"
    except Exception as error:
        return f"raw {type(error).__name__} of a repair: {error}"
    found = {tuple(x): value for x, value in zip(X.tolist(), y.tolist(), strict=True)}
    found |= {tuple(x): None for x in failed.tolist()}
    if not found.items() <= written.items():
        return "REPAIRED WRONG"
    if len(found) == len(written):
        return "repaired, all rows"
    return "repaired, some rows left out and said so" if left_out else "LEFT OUT SILENTLY"


# Files of `save`.

ODD: list[Any] = [
    *(None, True, -1, 0, 3, 10**9, 10**30, float("nan"), float("inf"), 1e308, -0.5),
    *("", "x", "cubic", [], {}, [[[]]], ["a", "b"], {"a": 1}, [10**9], [None, None]),
]
UNWANTED_EVENTS = {"pickle.find_class", "os.system", "subprocess.Popen", "socket.connect"}
MOST_SECONDS = 20
# What loading takes besides the content of the file: code, and the training of a small proxy.
MOST_BASE_BYTES = 2**23


def save_something(path: Path, seed: int) -> Callable[[], ProxyOptimizer]:
    """Save a fitted optimizer with failures and pending points; return what loads it."""
    params = {
        "proxy": NeuralProxyRegressor((8,), max_epochs=3),
        "optimizer": MultiStartBFGS(4),
        "bounds": BOX,
        "on_error": "drop",
        "random_state": 0,
    }
    X = np.random.default_rng(seed).uniform(BOX[:, 0], BOX[:, 1], (24, 3))
    optimizer = ProxyOptimizer(**params).tell(X, function(X))
    optimizer.ask(2)
    optimizer.save(path)
    return lambda: ProxyOptimizer(**params)


def change_facts(arrays: dict, facts: dict, draw: random.Random) -> None:
    """Replace or delete a fact, at any depth."""
    place: Any = facts
    while True:
        key = draw.choice(list(place) if isinstance(place, dict) else range(len(place)))
        if isinstance(place[key], dict | list) and place[key] and draw.random() < 0.7:
            place = place[key]
        else:
            break
    if draw.random() < 0.2:
        del place[key]
    else:
        place[key] = draw.choice(ODD)


def change_numbers(arrays: dict, facts: dict, draw: random.Random) -> None:
    name = draw.choice(list(arrays))
    array = arrays[name] = np.array(arrays[name])
    if array.size and array.dtype.kind == "f":
        array.flat[draw.randrange(array.size)] = draw.choice(
            [np.nan, np.inf, -np.inf, 1e308, -1e308, 1e20, 0.0, -1.0, 5e-324]
        )


def change_shape(arrays: dict, facts: dict, draw: random.Random) -> None:
    name = draw.choice(list(arrays))
    array = arrays[name]
    arrays[name] = draw.choice(
        [
            lambda: array[:-1] if array.ndim else array[None],
            lambda: array[..., :-1] if array.ndim else array[None],
            lambda: array[None],
            lambda: array.ravel(),
            lambda: np.concatenate([array, array]) if array.ndim else array,
            lambda: np.zeros(draw.choice([(0, 10**9), (10**7, 3), (10**9, 0), (10**6,), (1,) * 6])),
            lambda: array.astype(draw.choice(["f4", "i8", "?", "f2", "u1"])),
        ]
    )()


def change_names(arrays: dict, facts: dict, draw: random.Random) -> None:
    name = draw.choice(list(arrays))
    other = draw.choice(["smuggled", "proxy.extra", "result.x", "y", "proxy.weights_7", "X.y"])
    if draw.random() < 0.5:
        del arrays[name]
    else:
        arrays[other] = arrays[name]


SIGNED = [change_facts, change_facts, change_facts, change_numbers, change_shape, change_names]


def sign(path: Path, arrays: dict, facts: dict) -> None:
    """Write a file that is signed as ours are, whatever it holds."""
    declared = {name: [array.dtype.str, list(array.shape)] for name, array in arrays.items()}
    text = json.dumps({"arrays": declared, **facts})
    checksum = _state_file._checksum(text, arrays)
    np.savez_compressed(path, facts=np.array(text), checksum=np.array(checksum), **arrays)


def damaged_saves(
    original: Path, folder: Path, n_trials: int, seed: int
) -> Iterator[tuple[str, Path]]:
    """Yield what was done to a copy of a file, and that copy."""
    draw = random.Random(seed)
    content = original.read_bytes()
    with np.load(original) as file:
        arrays = {name: file[name] for name in file.files if name != "checksum"}
    text = str(arrays.pop("facts"))
    path = folder / "damaged.npz"
    for trial in range(n_trials):
        if trial % 2:
            damage = draw.choice([flip_bits, overwrite, zero, cut, append])
            changed = bytearray(content)
            damage(changed, draw)
            path.write_bytes(changed)
            yield damage.__name__, path
        else:
            own, facts = dict(arrays), json.loads(text)
            if draw.random() < 0.9:
                del facts["arrays"]
            change = draw.choice(SIGNED)
            change(own, facts, draw)
            sign(path, own, facts)
            yield change.__name__, path


def declared_bytes(path: Path) -> int:
    """Return how many bytes the members of a file say that they have."""
    try:
        with zipfile.ZipFile(path) as archive:
            return sum(member.file_size for member in archive.infolist())
    except Exception:
        return path.stat().st_size


def fuzz_saves(n_trials: int, seed: int) -> Counter:
    """Return how often loading a damaged file ended how; print what is no good end."""
    ends: Counter = Counter()
    events: list[str] = []
    sys.addaudithook(lambda name, _: events.append(name) if name in UNWANTED_EVENTS else None)
    with tempfile.TemporaryDirectory() as top, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        original = Path(top, "original.npz")
        new = save_something(original, seed)
        new().load(original)
        for what, path in damaged_saves(original, Path(top), n_trials, seed):
            events.clear()
            end = _end_of_load(new(), path)
            if events:
                end = f"CODE: {events}"
            ends[end] += 1
            if end not in GOOD_ENDS:
                print(f"{end}: {what}", flush=True)
    return ends


def _end_of_load(optimizer: ProxyOptimizer, path: Path) -> str:
    before = dict(vars(optimizer))
    signal.signal(signal.SIGALRM, _too_late)
    signal.alarm(MOST_SECONDS)
    tracemalloc.start()
    try:
        optimizer.load(path)
        end = "loaded"
    except ValueError as error:
        end = "refused" if str(error).startswith("path must ") else f"other ValueError: {error}"
        if vars(optimizer).keys() != before.keys():
            end = f"CHANGED though refused: {error}"
    except Exception as error:
        end = f"raw {type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    most = 10 * declared_bytes(path) + MOST_BASE_BYTES
    return end if peak <= most else f"MEMORY {peak} of {most} bytes, {end}"


def _too_late(*_: Any) -> None:
    raise TimeoutError(f"no end after {MOST_SECONDS} seconds")


# Arguments.

ODD_ARGUMENTS: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 10**6, 10**30, -(10**30), 0.5, -0.5, 1e300, np.nan, np.inf),
    *(
        np.int64(2),
        np.float32(0.5),
        1j,
        "",
        "x",
        "raise",
        "drop",
        b"raise",
        "a\0b",
        [],
        [1],
        (),
        {},
    ),
    *(
        {"a": 1},
        np.zeros(3),
        np.zeros((2, 2)),
        np.array(2),
        np.array("x"),
        object(),
        max,
        Path("/"),
    ),
]
PARAMETERS = ("vectorized", "on_error", "n_jobs", "time_limit", "n_retries", "n_outputs")


class CalledError(Exception):
    """The function was called, so the arguments were accepted."""


def never(x: Any) -> Any:
    raise CalledError


def odd_calls(folder: Path) -> dict[str, Callable[[Any], Any]]:
    """Return what is called with odd values, by the name of the argument and what takes it."""

    def evaluator_with(name: str) -> Callable[[Any], Any]:
        def make(value: Any) -> None:
            Evaluator(never, **{"vectorized": False, name: value}).check_parameters()

        return make

    def writing_with(**given: Any) -> None:
        name = folder / f"{len(list(folder.iterdir()))}.sqlite"
        with Journal(name).writing(**{"n_features": 2, **given}):
            pass

    return {
        **{f"{name} of Evaluator": evaluator_with(name) for name in PARAMETERS},
        "journal of Journal": lambda value: len(Journal(value)),
        "path of backup": lambda value: Journal(folder / "good.sqlite").backup(value),
        "path of repair": lambda value: Journal(folder / "good.sqlite").repair(value),
        "path of load": lambda value: ProxyOptimizer().load(value),
        "n_features of writing": lambda value: writing_with(n_features=value),
        "n_outputs of writing": lambda value: writing_with(n_outputs=value),
        "bounds of writing": lambda value: writing_with(bounds=value),
        "names of writing": lambda value: writing_with(names=value),
        "patience of writing": lambda value: writing_with(patience=value),
        **{
            f"n_samples of {sampler.__name__}": lambda value, sampler=sampler: sampler(
                value
            ).sample(BOX)
            for sampler in (GridSampler, UniformSampler, SobolSampler)
        },
    }


def fuzz_arguments(n_trials: int, seed: int) -> Counter:
    """Return how often odd arguments led to what; print what is no good end."""
    ends: Counter = Counter()
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as top, contextlib.chdir(top):
        write_journal(Path(top, "good.sqlite"), 10, seed)
        calls = odd_calls(Path(top))
        for _ in range(n_trials):
            what, value = draw.choice(list(calls)), draw.choice(ODD_ARGUMENTS)
            end = _end_of_call(calls[what], what.split(" ")[0], value)
            ends[end] += 1
            if end not in GOOD_ENDS:
                print(f"{end}: {what} = {value!r:.60}", flush=True)
    return ends


def _end_of_call(call: Callable[[Any], Any], name: str, value: Any) -> str:
    try:
        call(value)
    except CalledError:
        return "CALLED before it was refused"
    except ValueError as error:
        return "refused by name" if str(error).startswith(f"{name} must ") else f"nameless: {error}"
    except Exception as error:
        return f"raw {type(error).__name__}: {error}"
    return "accepted"


def main() -> None:
    """Print how often each end was met; fail if one of them was no good one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["journal", "saves", "arguments"])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    fuzz = {"journal": fuzz_journals, "saves": fuzz_saves, "arguments": fuzz_arguments}[
        options.what
    ]
    ends = fuzz(options.trials, options.seed)
    for end, count in ends.most_common():
        print(f"{count:6d}  {end}")
    if set(ends) - GOOD_ENDS:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
