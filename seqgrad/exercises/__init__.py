"""Exercises with checkable answers: each asks for one function, and its judge runs that function on networks it builds.

``seqgrad exercises`` lists them, ``seqgrad check exercise-3 answer.py --start`` writes a file to begin with, and
``seqgrad check exercise-3 answer.py`` judges it. The texts are in ``_words/``.
"""

from __future__ import annotations

from typing import Any

from seqgrad.exercises import clipping, diverging, first_nan, flow_plot, horizon, initialisation, memory, truncation
from seqgrad.exercises._exercise import Exercise, Outcome, Wrong
from seqgrad.exercises._process import check

__all__ = ["EXERCISES", "Exercise", "Outcome", "Wrong", "check", "find"]

_IN_ORDER = (flow_plot, horizon, initialisation, diverging, clipping, truncation, memory, first_nan)


def _exercise(number: int, module: Any) -> Exercise:
    words = module.__name__.rpartition(".")[2]
    return Exercise(f"exercise-{number}", module.FUNCTION, module.judge, module.STARTER, words)


EXERCISES: dict[str, Exercise] = {
    one.name: one for one in (_exercise(number, module) for number, module in enumerate(_IN_ORDER, 1))
}


def find(name: str) -> Exercise:
    """The exercise called ``name``.

    Raises:
        ValueError: there is none; the message lists what exists.

    Example:
        >>> find("exercise-3").function
        'initialise'
    """
    if name not in EXERCISES:
        raise ValueError(f"no exercise is called {name!r}; there are: {', '.join(EXERCISES)}")
    return EXERCISES[name]
