"""Rules: what can be wrong with a recurrent network in training, each as one check that names place, cause and cure.

A rule looks at one :class:`Observation` and returns :class:`Finding` objects. Anything with a ``name`` and a
``check(observation)`` is a rule: ``Monitor(model, rules=[*seqgrad.rules.default(), mine])``.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: F401 - so that Finding's annotations are found in its public home
from typing import Protocol, runtime_checkable

from seqgrad._finding import Finding, Severity
from seqgrad._finding_text import Fact  # noqa: F401 - likewise
from seqgrad._observation import Observation
from seqgrad._rules_gradient import Exploding, LossScale
from seqgrad._rules_layout import Padding, ReadTooEarly, SwappedAxes
from seqgrad._rules_nonfinite import NonFinite
from seqgrad._rules_state import DeadUnits, ExplodingState, Saturation
from seqgrad._rules_usage import LearningRate, MissingDetach, StaleGradients
from seqgrad._rules_vanishing import Underflow, Vanishing

__all__ = [
    "DeadUnits",
    "Exploding",
    "ExplodingState",
    "Finding",
    "LearningRate",
    "LossScale",
    "MissingDetach",
    "NonFinite",
    "Observation",
    "Padding",
    "ReadTooEarly",
    "Rule",
    "Saturation",
    "Severity",
    "StaleGradients",
    "SwappedAxes",
    "Underflow",
    "Vanishing",
    "default",
]

_PUBLIC: tuple[type, ...] = (
    Finding, Observation, NonFinite, MissingDetach, StaleGradients, SwappedAxes, ReadTooEarly, Padding, LearningRate,
    LossScale, Underflow, DeadUnits, Saturation, ExplodingState, Exploding, Vanishing,
)  # fmt: skip
for _class in _PUBLIC:
    _class.__module__ = __name__  # their home in documentation and pickles


@runtime_checkable
class Rule(Protocol):
    """What ``Monitor(rules=...)`` takes.

    Example:
        >>> from seqgrad.rules import Finding
        >>> class Flat:
        ...     name = "Flat"
        ...     def check(self, seen):
        ...         return [
        ...             seen.finding("Flat", "info", seen.last(key).series, t=None, value=0.0, threshold=0.0,
        ...                          text="no gradient arrives", action="loss.backward()")
        ...             for key in seen.keys if max(seen.last(key).norms) == 0
        ...         ]
    """

    name: str

    def check(self, entry: Observation) -> list[Finding]:
        """What is wrong at this step; empty if nothing is."""


def default() -> list[Rule]:
    """All rules with their default thresholds, causes before symptoms."""
    return [
        NonFinite(), MissingDetach(), StaleGradients(), SwappedAxes(), ReadTooEarly(), Padding(), LearningRate(),
        LossScale(), Underflow(), DeadUnits(), Saturation(), ExplodingState(), Exploding(), Vanishing(),
    ]  # fmt: skip
