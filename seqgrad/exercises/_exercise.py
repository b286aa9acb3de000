"""What an exercise is, what a judge says of an answer, and the small checks that judges share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Facts = dict[str, Any]  # what a text quotes: numbers and words


class Wrong(Exception):  # noqa: N818 - a verdict on an answer, not a failure of this program
    """Raised by a judge: the answer is wrong in the way that the text ``hint`` describes, with ``facts`` to quote."""

    def __init__(self, hint: str, **facts: Any) -> None:
        super().__init__(hint)
        self.hint = hint
        self.facts = facts


@dataclass(frozen=True)
class Exercise:
    """``judge`` calls the answer's function and returns facts for the praise, or raises :class:`Wrong`."""

    name: str
    function: str
    judge: Callable[[Callable[..., Any]], Facts]
    starter: str  # the code of the file to begin with; its docstring comes from the texts
    words: str  # the module of ``_words`` that speaks for it


@dataclass(frozen=True)
class Outcome:
    """``hint`` names a text: ``right``, what the judge found, or what kept it from judging, such as ``timeout``."""

    hint: str
    facts: Facts = field(default_factory=dict)
    printed: str = ""  # what the answer wrote to stdout and stderr

    @property
    def right(self) -> bool:
        """Whether the answer is right."""
        return self.hint == "right"


def need_number(value: Any, what: str) -> float:
    """``value`` as a float: a number or a tensor of one element; else the answer is told what it returned."""
    try:
        if value is None or isinstance(value, (bool, str)):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        raise Wrong("wrong_type", expected=what, got=type(value).__name__) from None


def close(a: float, b: float, tolerance: float = 1e-4) -> bool:
    """Whether two numbers agree to a relative ``tolerance``."""
    return abs(a - b) <= tolerance * max(abs(a), abs(b))
