"""Fitted proxies to files and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from os import PathLike
from typing import Any, ClassVar, Self

from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from sklearn_proxyopt._utils._fitted import take_over
from sklearn_proxyopt._utils._state_file import (
    part_of,
    read_arrays,
    reason_of,
    under,
    write_state,
)

__all__ = ["SavableMixin", "taken_apart"]


Arrays = dict[str, NDArray[Any]]
Facts = dict[str, Any]


def taken_apart(proxy: Any) -> tuple[Arrays, Facts]:
    """Return the arrays of a fitted proxy, and the facts that JSON can hold."""
    arrays, facts = proxy._to_file()
    return arrays, {"kind": proxy._kind, **facts}


class SavableMixin(ABC):
    """A proxy that a file of plain arrays can hold.

    The class owes the name of its kind, `_to_file` and `_from_file`.
    """

    _kind: ClassVar[str]

    @property
    def _can_be_stored(self) -> bool:
        """Whether arrays and facts say all of the proxy: not with a module of the user."""
        return True

    @abstractmethod
    def _to_file(self) -> tuple[Arrays, Facts]:
        """Return the arrays of the fitted proxy, and the facts that JSON can hold."""

    @abstractmethod
    def _from_file(self, arrays: Arrays, facts: Facts, n_features: int) -> Self:
        """Become the proxy that these tell of, or raise an error that says why they do not fit."""

    def save(self, path: str | PathLike[str]) -> None:
        """Write the fitted proxy into a file that can run no code.

        The file holds plain arrays, and text in JSON: all that the proxy needs to predict.
        Parameters are not in it: they are in the program. A network of a module of your own is
        code, which no such file holds.

        Parameters
        ----------
        path : str or path-like
            The file; one that is there is replaced.

        Raises
        ------
        ValueError
            If the proxy has a module of your own.
        """
        check_is_fitted(self)
        if not self._can_be_stored:
            raise ValueError(
                "module must be None for a proxy in a file of plain arrays; got one of your own. "
                "Pickle the proxy, or save the state_dict of net_.module_."
            )
        arrays, facts = taken_apart(self)
        own = {"class": type(self).__name__, "n_features": self.n_features_in_, "proxy": facts}  # type: ignore[attr-defined]
        write_state(path, under("proxy", arrays), own)

    def load(self, path: str | PathLike[str]) -> Self:
        """Become the fitted proxy that `save` wrote.

        It predicts to the last bit as it did, whatever the parameters of this proxy are; these hold
        for later fits.

        Parameters
        ----------
        path : str or path-like
            The file.

        Returns
        -------
        self
            The fitted proxy.

        Raises
        ------
        ValueError
            If the file is damaged, of another class, or of a format that is not known. The proxy
            stays as it was.
        """
        name = type(self).__name__
        arrays, facts = read_arrays(path, f"{name}.save")
        if facts.get("class") != name:
            raise ValueError(f"path must be of a {name}; got {path} of {facts.get('class')!r}.")
        try:
            if facts["proxy"]["kind"] != self._kind:
                raise ValueError(f"its proxy is no {name}")
            own = part_of(arrays, "proxy")
            loaded = clone(self)._from_file(own, facts["proxy"], facts["n_features"])
        except Exception as error:
            raise ValueError(
                f"path must be a file whose arrays fit together; got {path}: {reason_of(error)}"
            ) from error
        take_over(self, loaded)
        return self
