"""Experiments: pure functions with seeds that build, train and measure networks and return what they found.

Each result has ``to_pandas()``, ``plot()`` and ``claims``. ``EXPERIMENTS`` lists them in the order of the lesson.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_type_hints

from seqgrad.experiments._result import Drawing, Result
from seqgrad.experiments.agreement_distance import AgreementDistance, agreement_distance
from seqgrad.experiments.centre_embedding import CentreEmbedding, centre_embedding
from seqgrad.experiments.char_model import CharModel, char_model
from seqgrad.experiments.claims import Claim, Spec, Verdict
from seqgrad.experiments.clipping import Clipping, clipping
from seqgrad.experiments.decay import Decay, decay
from seqgrad.experiments.detection import Detection, detection
from seqgrad.experiments.explosion import Explosion, explosion
from seqgrad.experiments.gradient_flow import GradientFlow, gradient_flow
from seqgrad.experiments.information_flow import InformationFlow, information_flow
from seqgrad.experiments.initialisation import Initialisation, initialisation
from seqgrad.experiments.long_dependency import LongDependency, long_dependency
from seqgrad.experiments.residual import Residual, residual
from seqgrad.experiments.truncation import Truncation, truncation

__all__ = [
    "EXPERIMENTS",
    "AgreementDistance",
    "CentreEmbedding",
    "CharModel",
    "Claim",
    "Clipping",
    "Decay",
    "Detection",
    "Drawing",
    "Experiment",
    "Explosion",
    "GradientFlow",
    "InformationFlow",
    "Initialisation",
    "LongDependency",
    "Residual",
    "Result",
    "Spec",
    "Truncation",
    "Verdict",
    "agreement_distance",
    "centre_embedding",
    "char_model",
    "clipping",
    "decay",
    "detection",
    "explosion",
    "find",
    "gradient_flow",
    "information_flow",
    "initialisation",
    "long_dependency",
    "residual",
    "run",
    "truncation",
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

    @property
    def options(self) -> dict[str, Any]:
        """The function's options with their defaults, but for how it reports its progress."""
        parameters = inspect.signature(self.function).parameters
        return {name: one.default for name, one in parameters.items() if name not in ("progress", "workers")}

    @property
    def result(self) -> type[Result]:
        """The class of what it returns."""
        kind: type[Result] = get_type_hints(self.function)["return"]
        return kind

    def takes(self, option: str) -> bool:
        """Whether the function has an argument of this name."""
        return option in inspect.signature(self.function).parameters


EXPERIMENTS: dict[str, Experiment] = {
    entry.name: entry
    for entry in (
        Experiment("decay", decay, 1, {"seeds": 3}),
        Experiment("gradient_flow", gradient_flow, 1, {"seeds": 3}),
        Experiment("explosion", explosion, 8, {"seeds": 1}),
        Experiment("detection", detection, 1, {"seeds": 2}),
        Experiment("clipping", clipping, 15, {"seeds": 2}),
        Experiment("initialisation", initialisation, 3, {"seeds": 3}),
        Experiment("residual", residual, 7, {"seeds": 1}),
        Experiment("truncation", truncation, 15, {"seeds": 2, "sizes": (5, 25)}),
        Experiment("long_dependency", long_dependency, 70, {"seeds": 3, "lengths": (10, 100)}),
        Experiment("information_flow", information_flow, 13, {"seeds": 2}),
        Experiment("char_model", char_model, 20, {"steps": 250, "checkpoints": 4}),
        Experiment("centre_embedding", centre_embedding, 70, {"seeds": 1, "steps": 600}, "field"),
        Experiment("agreement_distance", agreement_distance, 90, {"seeds": 1, "modifiers": (1, 3, 6)}, "field"),
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
