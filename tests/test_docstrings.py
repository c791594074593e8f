"""Every public name is documented in full, as numpydoc understands it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest
from discovery import public_modules
from numpydoc.validate import Validator, validate

import sklearn_proxyopt

LEFT_OUT = {
    "ES01",  # one summary line is often enough
    "EX01",  # a method is shown by the example of its class
    "SA01",  # See Also only where it leads somewhere
    "SA04",
    "YD01",
    "GL08",  # reported by ruff, which knows overridden methods
}
# What classes of one's own are made of, or are given.
OF_BASES = {"Knowledge"}


def public_objects() -> Iterator[str]:
    """Yield the dotted names of public classes, their methods from here, and functions."""
    seen = set()
    for module in public_modules():
        room = module.__name__
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isroutine(value) and value not in seen:
                seen.add(value)
                yield f"{room}.{name}"
            elif inspect.isclass(value) and value not in seen:
                seen.add(value)
                yield f"{room}.{name}"
                for method, member in inspect.getmembers(value, inspect.isfunction):
                    here = member.__module__.startswith(sklearn_proxyopt.__name__)
                    if here and not method.startswith("_"):
                        yield f"{room}.{name}.{method}"


def find(name: str) -> object:
    """Return what has a dotted name."""
    return Validator._load_obj(name)


def is_shown(name: str) -> bool:
    """Tell whether a name is one that people use: no base, no error, and no method."""
    value = find(name)
    is_raised = inspect.isclass(value) and issubclass(value, Exception)
    is_owed = inspect.isabstract(value) or name.rpartition(".")[2] in OF_BASES
    return not (is_raised or is_owed or "." in getattr(value, "__qualname__", ""))


@pytest.mark.parametrize("name", list(public_objects()))
def test_the_docstring_is_complete(name):
    errors = [f"{code}: {text}" for code, text in validate(name)["errors"] if code not in LEFT_OUT]
    assert errors == []


@pytest.mark.parametrize("name", [name for name in public_objects() if is_shown(name)])
def test_what_people_use_is_shown_by_an_example(name):
    assert ">>> " in inspect.getdoc(find(name))


@pytest.mark.parametrize("room", list(public_modules()), ids=lambda room: room.__name__)
def test_the_room_says_what_it_is_for(room):
    assert room.__doc__
