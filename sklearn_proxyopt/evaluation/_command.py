"""An external program as the function to be optimized."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._validation import check_option, check_real
from sklearn_proxyopt.exceptions import SetUpError

__all__ = ["CommandObjective"]

# {{name}} or {{name:.6e}}, in templates and in the command.
_PLACE = re.compile(r"\{\{\s*(\w+)\s*(?::([^{}]*))?\}\}")
_SEPARATORS = re.compile(r"[\s,;]+")
# How much of what a program said last is shown of one that failed.
_N_LINES = 5
# How long the last words of a program that was killed are waited for.
_SECONDS_TO_END = 1.0

Values = Mapping[str, Any]


class CommandObjective:
    """An external program, run in a folder of its own for each evaluation.

    The files of a template are copied into the folder with the values of the variables filled in,
    the command runs there, and what it wrote is read. One that fails raises an error, which
    `on_error` of an optimizer turns into a failed evaluation.

    Parameters
    ----------
    command : str or sequence of str
        The program and its arguments, without a shell. ``{{name}}`` stands for the value of a
        variable, ``{{name:.6e}}`` for the value in this format; a number is otherwise written with
        all of its digits.
    template : str or path-like, default=None
        A folder whose files are copied, with values filled in where they are texts, in UTF-8 or
        in an encoding like Latin-1; all else in them stays as it is. None copies nothing.
    output : str or callable, default=None
        The file that holds the result, a number or several separated by blanks, commas or line
        ends; or a function that takes the folder, a `pathlib.Path`, and returns the number or
        numbers. None reads what the program writes to its standard output.
    names : sequence of str, default=None
        The names of the variables, where they come as an array and not by name. None names them
        x0, x1, ...
    folder : str or path-like, default=None
        Where the folders of runs are made. None takes the system's folder for temporary files.
    keep : {"failed", "all", "none"}, default="failed"
        Which of them are kept.
    timeout : float, default=None
        Seconds after which the program is killed, with all that it has started, if it or its
        output has not ended.

    Raises
    ------
    RuntimeError
        When called: if the program fails, says nothing that can be read, or takes too long.
    SetUpError
        When called: if the variables are not those that command and template ask for. It ends a
        run, whatever `on_error` says.

    Examples
    --------
    >>> from sklearn_proxyopt import ProxyOptimizer
    >>> from sklearn_proxyopt.evaluation import CommandObjective
    >>> area = CommandObjective(["expr", "{{width}}", "*", "{{height}}"])
    >>> area({"width": 6, "height": 7})
    42.0
    """

    def __init__(
        self,
        command: str | Sequence[str],
        *,
        template: str | os.PathLike[str] | None = None,
        output: str | Callable[[Path], Any] | None = None,
        names: Sequence[str] | None = None,
        folder: str | os.PathLike[str] | None = None,
        keep: Literal["failed", "all", "none"] = "failed",
        timeout: float | None = None,
    ) -> None:
        self.command = shlex.split(command) if isinstance(command, str) else list(command)
        self.template = None if template is None else Path(template).resolve()
        self.output, self.names = output, names
        self.folder = None if folder is None else Path(folder).resolve()
        self.keep, self.timeout = keep, timeout
        self._check_parameters()
        self._places = self._found_places()

    def _check_parameters(self) -> None:
        check_option(self.keep, "keep", ("failed", "all", "none"))
        if self.timeout is not None:
            check_real(self.timeout, "timeout", minimum=0.0, include_minimum=False)
        if not self.command or not all(isinstance(part, str) for part in self.command):
            raise ValueError(f"command must be a program and texts; got {self.command!r}.")
        if not shutil.which(self.command[0]) and not _PLACE.search(self.command[0]):
            raise ValueError(
                "command must begin with a program that can be run; got "
                f"{self.command[0]!r}, which is not found."
            )
        if self.template is not None and not self.template.is_dir():
            raise ValueError(f"template must be a folder; got {str(self.template)!r}.")

    def _found_places(self) -> set[str]:
        """Return the names that the command and the templates ask for."""
        texts = list(self.command)
        if self.template is not None:
            texts += [_text_of(path)[0] for path in self.template.rglob("*")]
        return {name for text in texts for name, _ in _PLACE.findall(text)}

    def __call__(self, x: Values | NDArray[np.float64]) -> float | NDArray[np.float64]:
        """Run the program.

        Parameters
        ----------
        x : dict or ndarray of shape (n_features,)
            The value of each variable.

        Returns
        -------
        float or ndarray of shape (n_outputs,)
            What it found.
        """
        values = self._named(x)
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="run-", dir=self.folder))
        is_kept = self.keep != "none"
        try:
            self._fill(folder, values)
            result = self._read(folder, self._run(folder, values))
            is_kept = self.keep == "all"
            return result
        finally:
            if not is_kept:
                shutil.rmtree(folder, ignore_errors=True)

    def _named(self, x: Values | NDArray[np.float64]) -> dict[str, Any]:
        if isinstance(x, Mapping):
            values = dict(x)
        else:
            numbers = np.asarray(x, dtype=np.float64).tolist()
            names = self.names or [f"x{place}" for place in range(len(numbers))]
            if len(names) != len(numbers):
                raise SetUpError(
                    f"names must hold a name for each of the {len(numbers)} variables; got {names}."
                )
            values = dict(zip(names, numbers, strict=True))
        if set(values) != self._places:
            raise SetUpError(
                f"command and template must ask for the variables {sorted(values)}, each as "
                f"{{{{name}}}}; got {sorted(self._places)}."
            )
        return values

    def _fill(self, folder: Path, values: Values) -> None:
        """Copy the template, with values filled in."""
        if self.template is None:
            return
        shutil.copytree(self.template, folder, dirs_exist_ok=True)
        for path in folder.rglob("*"):
            text, encoding = _text_of(path)
            if _PLACE.search(text):
                path.write_bytes(_encoded(_filled(text, values), encoding, path.name))

    def _run(self, folder: Path, values: Values) -> str:
        """Run the command; return what it wrote to its standard output."""
        command = [_filled(part, values) for part in self.command]
        program = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if self.output is not None else subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            said, errors = program.communicate(timeout=self.timeout)
        except BaseException as reason:
            _end(program)
            if isinstance(reason, subprocess.TimeoutExpired):
                raise RuntimeError(f"{command[0]} took longer than {self.timeout} s.") from None
            raise
        if program.returncode:
            last = "\n".join((errors or said).splitlines()[-_N_LINES:])
            raise RuntimeError(
                f"{command[0]} ended with status {program.returncode} in {folder}: {last}"
            )
        return said

    def _read(self, folder: Path, said: str) -> float | NDArray[np.float64]:
        if callable(self.output):
            numbers = np.atleast_1d(np.asarray(self.output(folder), dtype=np.float64))
            return float(numbers[0]) if len(numbers) == 1 else numbers
        text = said if self.output is None else self._text_of_output(folder / self.output)
        try:
            found = [float(part) for part in _SEPARATORS.split(text.strip())]
        except ValueError:
            where = "its standard output" if self.output is None else self.output
            raise RuntimeError(
                f"{self.command[0]} must leave numbers in {where}; got {text.strip()[:80]!r}."
            ) from None
        return found[0] if len(found) == 1 else np.array(found)

    def _text_of_output(self, path: Path) -> str:
        if not path.is_file():
            raise RuntimeError(f"{self.command[0]} must leave a file {path.name}; got none.")
        return path.read_text(encoding="utf-8", errors="replace")


def _text_of(path: Path) -> tuple[str, str]:
    """Return the text in a file, empty if it is none, and an encoding that keeps its bytes."""
    content = path.read_bytes() if path.is_file() else b""
    try:
        return content.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return "" if b"\0" in content else content.decode("latin-1"), "latin-1"


def _encoded(text: str, encoding: str, name: str) -> bytes:
    """Return the bytes of a text, or raise an error that names what the encoding lacks."""
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name} must be in UTF-8 to take a value with {text[error.start : error.end]!r}; got "
            "another encoding. Convert the file of the template."
        ) from None


def _filled(text: str, values: Values) -> str:
    def value_at(place: re.Match[str]) -> str:
        value, form = values[place[1]], (place[2] or "").strip()
        try:
            return format(value, form) if form else str(value)
        except ValueError as error:
            raise SetUpError(
                f"command and template must ask for {place[1]} in a format of its values; got "
                f"{place[0]} for {value!r}: {error}."
            ) from error

    return _PLACE.sub(value_at, text)


def _end(program: subprocess.Popen[str]) -> None:
    """Kill a program and what it has started, which may still run when it has ended itself."""
    if hasattr(os, "killpg"):
        # A group that has ended, or whose members only wait to be asked how.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(program.pid, signal.SIGKILL)
    else:
        program.kill()
    # What has left the group may hold the pipes.
    with suppress(subprocess.TimeoutExpired):
        program.communicate(timeout=_SECONDS_TO_END)
