"""The genetic operators of deap, which nothing but the genetic algorithms needs."""

from __future__ import annotations

from typing import Any

__all__ = ["deap_tools"]


def deap_tools(who: str) -> Any:
    """Return `deap.tools`, or say in the name of an optimizer what to install."""
    try:
        from deap import tools
    except ImportError as error:
        raise ImportError(f"{who} needs deap: pip install deap.") from error
    return tools
