"""Experiments: pure functions with seeds that build, train and measure networks and return what they found.

Each result has ``to_pandas()``, ``plot()`` and ``claims``. ``EXPERIMENTS`` lists them in the order of the lesson.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_type_hints

from seqgrad.experiments._result import Drawing, Result
from seqgrad.experiments.adding import Adding, adding
from seqgrad.experiments.agreement_distance import AgreementDistance, agreement_distance
from seqgrad.experiments.centre_embedding import CentreEmbedding, centre_embedding
from seqgrad.experiments.char_cells import CharCells, char_cells
from seqgrad.experiments.char_model import CharModel, char_model
from seqgrad.experiments.claims import Claim, Spec, Verdict
from seqgrad.experiments.clipping import Clipping, clipping
from seqgrad.experiments.copy_memory import CopyMemory, copy_memory
from seqgrad.experiments.cures import Cures, cures
from seqgrad.experiments.curse_of_memory import CurseOfMemory, curse_of_memory
from seqgrad.experiments.decay import Decay, decay
from seqgrad.experiments.detection import Detection, detection
from seqgrad.experiments.digits import Digits, digits
from seqgrad.experiments.explosion import Explosion, explosion
from seqgrad.experiments.gradient_flow import GradientFlow, gradient_flow
from seqgrad.experiments.information_flow import InformationFlow, information_flow
from seqgrad.experiments.initialisation import Initialisation, initialisation
from seqgrad.experiments.long_dependency import LongDependency, long_dependency
from seqgrad.experiments.lyapunov import LyapunovSpectrum, lyapunov
from seqgrad.experiments.mean_field import MeanField, mean_field
from seqgrad.experiments.residual import Residual, residual
from seqgrad.experiments.temporal_order import TemporalOrder, temporal_order
from seqgrad.experiments.truncation import Truncation, truncation
from seqgrad.experiments.vowels import Vowels, vowels

__all__ = [
    "EXPERIMENTS",
    "Adding",
    "AgreementDistance",
    "CentreEmbedding",
    "CharCells",
    "CharModel",
    "Claim",
    "Clipping",
    "CopyMemory",
    "Cures",
    "CurseOfMemory",
    "Decay",
    "Detection",
    "Digits",
    "Drawing",
    "Experiment",
    "Explosion",
    "GradientFlow",
    "InformationFlow",
    "Initialisation",
    "LongDependency",
    "LyapunovSpectrum",
    "MeanField",
    "Residual",
    "Result",
    "Spec",
    "TemporalOrder",
    "Truncation",
    "Verdict",
    "Vowels",
    "adding",
    "agreement_distance",
    "centre_embedding",
    "char_cells",
    "char_model",
    "clipping",
    "copy_memory",
    "cures",
    "curse_of_memory",
    "decay",
    "detection",
    "digits",
    "explosion",
    "find",
    "gradient_flow",
    "information_flow",
    "initialisation",
    "long_dependency",
    "lyapunov",
    "mean_field",
    "residual",
    "run",
    "temporal_order",
    "truncation",
    "vowels",
]


Group = Literal["lesson", "field", "data"]


@dataclass(frozen=True)
class Experiment:
    """An entry of the registry: the function, what it costs (about its seconds on two cores) and its quick settings.

    ``published`` reads a result kept with the package, for documents, where a full run takes too long for them.
    ``group`` says where it belongs: ``lesson`` (all of these make the lesson's report), ``field`` (claims of the
    literature) or ``data`` (real data sets).
    """

    name: str
    function: Callable[..., Result]
    weight: float
    quick: dict[str, Any]
    group: Group = "lesson"
    published: Callable[[], Result] | None = None

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
        Experiment("char_cells", char_cells, 100, {"seeds": 1, "updates": 150, "hidden": 64}, "data"),
        Experiment(
            "digits", digits, 80, {"seeds": 1, "cells": ("rnn", "gru", "lstm"), "orders": ("row", "pixel")}, "data"
        ),
        Experiment("vowels", vowels, 15, {"seeds": 1}, "data"),
        Experiment(
            "cures", cures, 900, {"tasks": ("first_50",), "cells": ("rnn", "lstm"), "seeds": 1}, "data", Cures.load
        ),
        Experiment("adding", adding, 85, {"seeds": 1, "steps": 700}, "field"),
        Experiment("copy_memory", copy_memory, 110, {"seeds": 1, "steps": 500}, "field"),
        Experiment("temporal_order", temporal_order, 90, {"seeds": 1, "steps": 300}, "field"),
        Experiment("centre_embedding", centre_embedding, 70, {"seeds": 1, "steps": 600}, "field"),
        Experiment("agreement_distance", agreement_distance, 90, {"seeds": 1, "modifiers": (1, 3, 6)}, "field"),
        Experiment("mean_field", mean_field, 1, {"seeds": 2}, "field"),
        Experiment("lyapunov", lyapunov, 2, {"seeds": 1}, "field"),
        Experiment("curse_of_memory", curse_of_memory, 11, {"weights": (0.0, 0.5, 0.9, 0.95), "lags": 300}, "field"),
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
