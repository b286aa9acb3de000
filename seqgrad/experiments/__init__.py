"""Experiments: pure functions with seeds that build, train and measure networks and return what they found.

Each result has ``to_pandas()``, ``plot()`` and ``claims``. ``EXPERIMENTS`` lists them in the order of the lesson.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from seqgrad.experiments._result import Drawing, Result
from seqgrad.experiments.adding import Adding, adding
from seqgrad.experiments.char_model import CharModel, char_model
from seqgrad.experiments.claims import Claim, Spec, Verdict
from seqgrad.experiments.copy_memory import CopyMemory, copy_memory
from seqgrad.experiments.decay import Decay, decay
from seqgrad.experiments.explosion import Explosion, explosion
from seqgrad.experiments.gradient_flow import GradientFlow, gradient_flow
from seqgrad.experiments.long_dependency import LongDependency, long_dependency
from seqgrad.experiments.temporal_order import TemporalOrder, temporal_order

__all__ = [
    "EXPERIMENTS",
    "Adding",
    "CharModel",
    "Claim",
    "CopyMemory",
    "Decay",
    "Drawing",
    "Experiment",
    "Explosion",
    "GradientFlow",
    "LongDependency",
    "Result",
    "Spec",
    "TemporalOrder",
    "Verdict",
    "adding",
    "char_model",
    "copy_memory",
    "decay",
    "explosion",
    "find",
    "gradient_flow",
    "long_dependency",
    "run",
    "temporal_order",
]


Group = Literal["lesson", "field", "data"]


@dataclass(frozen=True)
class Experiment:
    """An entry of the registry: the function, what it costs (about its seconds on two cores) and its quick settings.

    ``group`` says where it belongs: ``lesson`` (all of these make the lesson's report), ``field`` (claims of the
    literature) or ``data`` (real data sets).
    """

    name: str
    function: Callable[..., Result]
    weight: float
    quick: dict[str, Any]
    group: Group = "lesson"

    def takes(self, option: str) -> bool:
        """Whether the function has an argument of this name."""
        return option in inspect.signature(self.function).parameters


EXPERIMENTS: dict[str, Experiment] = {
    entry.name: entry
    for entry in (
        Experiment("decay", decay, 1, {"seeds": 3}),
        Experiment("gradient_flow", gradient_flow, 3, {"seeds": 3}),
        Experiment("explosion", explosion, 6, {"seeds": 1}),
        Experiment("long_dependency", long_dependency, 70, {"seeds": 3, "lengths": (10, 100)}),
        Experiment("char_model", char_model, 20, {"steps": 250, "checkpoints": 4}),
        Experiment("adding", adding, 85, {"seeds": 1, "steps": 1000}, group="field"),
        Experiment("copy_memory", copy_memory, 110, {"seeds": 1, "steps": 500}, group="field"),
        Experiment("temporal_order", temporal_order, 90, {"seeds": 1, "steps": 300}, group="field"),
    )
}


def find(name: str) -> Experiment:
    """The experiment called ``name``.

    Raises:
        ValueError: there is none; the message lists what exists.
    """
    if name not in EXPERIMENTS:
        raise ValueError(f"no experiment is called {name!r}; there are: {', '.join(EXPERIMENTS)}")
    return EXPERIMENTS[name]


def run(name: str, *, quick: bool = False, **options: Any) -> Result:
    """Run an experiment by name. ``quick`` takes its small settings; ``options`` overrule both.

    Example:
        >>> import seqgrad as sg
        >>> sg.experiments.run("decay", quick=True).values[4]
        0.0625
    """
    entry = find(name)
    return entry.function(**{**(entry.quick if quick else {}), **options})
