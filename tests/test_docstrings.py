"""Every public name is documented in full, as numpydoc understands it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest
from discovery import public_modules
from numpydoc.validate import validate

import sklearn_proxyopt

LEFT_OUT = {
    "ES01",  # one summary line is often enough
    "EX01",  # a method is shown by the example of its class
    "SA01",  # See Also only where it leads somewhere
    "SA04",
    "YD01",
    "GL08",  # reported by ruff, which knows overridden methods
}


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


@pytest.mark.parametrize("name", list(public_objects()))
def test_the_docstring_is_complete(name):
    errors = [f"{code}: {text}" for code, text in validate(name)["errors"] if code not in LEFT_OUT]
    assert errors == []


@pytest.mark.parametrize("room", list(public_modules()), ids=lambda room: room.__name__)
def test_the_room_says_what_it_is_for(room):
    assert room.__doc__
