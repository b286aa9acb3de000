"""How fast gradients should grow by mean-field theory, and how fast those of real layers do."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

import seqgrad as sg
from seqgrad.experiments._measure import Setup, flow
from seqgrad.experiments._result import Progress, Result, median, positive, reporter, seeded
from seqgrad.experiments.claims import Claim, judge

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GAINS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5)
DRIVE = 0.5  # standard deviation of what each unit hears at every step
WIDTH, BATCH, WARM, LAGS = 400, 8, 40, 20
TORCH = 1 / math.sqrt(3)  # the gain of torch's uniform initialisation on +-1 / sqrt(H)
FORGET = 1 / (1 + math.exp(-1.0))  # what a forget bias of 1 keeps


@dataclass(frozen=True)
class Start:
    """A start at rest: each step back is ``keep + mix A^T``, A the same random matrix of torch's gain in every step."""

    setup: Setup
    keep: float
    mix: float

    @property
    def tied(self) -> float:
        """Factor per step: all orders in which the two parts can follow each other add up to (keep + mix g)^2."""
        return self.keep + self.mix * TORCH

    @property
    def untied(self) -> float:
        """Factor per step if every step had a matrix of its own, as theory often assumes."""
        return math.hypot(self.keep, self.mix * TORCH)


STARTS: dict[str, Start] = {
    "rnn": Start(Setup("rnn"), 0.0, 1.0),
    "gru": Start(Setup("gru"), 0.5, 0.25),  # z, (1 - z) r
    "lstm": Start(Setup("lstm"), 0.5, 0.25),  # f, i o
    "lstm_forget_one": Start(Setup("lstm", keep=1.0), FORGET, 0.25),
}


def _gaussian(function: Callable[[Tensor], Tensor], scale: float) -> float:
    """E[function(scale z)] for a standard normal z."""
    z = torch.linspace(-9, 9, 6001, dtype=torch.float64)
    density = (-z.square() / 2).exp() / math.sqrt(2 * math.pi)
    return float(torch.trapezoid(function(scale * z) * density, z))


def fixed_point(gain: float, drive: float = DRIVE) -> float:
    """The variance q of pre-activations that stays as it is: q = gain^2 E[tanh^2(sqrt(q) z)] + drive^2.

    Example:
        >>> fixed_point(0.0, 0.5)
        0.25
    """
    q = gain**2 + drive**2
    for _ in range(20000):
        new = gain**2 * _gaussian(lambda x: x.tanh().square(), math.sqrt(q)) + drive**2
        if abs(new - q) < 1e-13:
            break
        q = new
    return q


def growth_law(gain: float, drive: float = DRIVE) -> float:
    """Chi, by which the mean squared norm grows per step back: gain^2 E[sech^4(sqrt(q) z)].

    Example:
        >>> round(growth_law(0.5, 0.0), 9)
        0.25
    """
    scale = math.sqrt(fixed_point(gain, drive)) if gain**2 > 1 or drive > 0 else 0.0
    return gain**2 * _gaussian(lambda x: x.cosh().pow(-4), scale)


@dataclass
class MeanField(Result):
    """``growth[gain][seed]`` of the squared norm per step, ``theory[gain]``; ``starts[name][seed]`` of the norm."""

    name: ClassVar[str] = "mean_field"
    kinds: ClassVar[tuple[str, ...]] = ("gains", "starts")

    seeds: int
    growth: dict[float, list[float]]
    theory: dict[float, float]
    starts: dict[str, list[float]]

    def crossing(self, curve: dict[float, float]) -> float:
        """The gain at which a curve over gains passes 1, by straight lines in the logarithm; NaN if it does not."""
        points = sorted((gain, math.log(value)) for gain, value in curve.items())
        for (a, low), (b, high) in pairwise(points):
            if low <= 0 < high:
                return a + (b - a) * -low / (high - low)
        return math.nan

    def medians(self) -> dict[float, float]:
        """Measured growth by gain."""
        return {gain: median(values) for gain, values in self.growth.items()}

    def rows(self) -> list[dict[str, Any]]:
        """One row per gain and seed, and per start and seed."""
        rows: list[dict[str, Any]] = [
            {"what": "gain", "gain": gain, "seed": seed, "growth": value, "theory": self.theory[gain]}
            for gain, values in self.growth.items()
            for seed, value in enumerate(values)
        ]
        for name, values in self.starts.items():
            start = STARTS[name]
            rows += [
                {"what": name, "gain": TORCH, "seed": seed, "growth": value**2, "theory": start.tied**2}
                for seed, value in enumerate(values)
            ]
        return rows

    def facts(self) -> dict[str, Any]:
        """Protocol, where growth passes 1, and each start's factor."""
        return {
            "seeds": self.seeds, "width": WIDTH, "drive": DRIVE, "lags": LAGS, "batch": BATCH,
            "crossing": self.crossing(self.medians()), "crossing_theory": self.crossing(self.theory),
            "error": self.error(), "lstm": median(self.starts["lstm"]), "lstm_tied": STARTS["lstm"].tied,
            "lstm_untied": STARTS["lstm"].untied, "rnn": median(self.starts["rnn"]),
            "gru": median(self.starts["gru"]), "lstm_forget_one": median(self.starts["lstm_forget_one"]),
        }  # fmt: skip

    def error(self) -> float:
        """The largest relative distance of a median growth to its law."""
        return max(abs(value / self.theory[gain] - 1) for gain, value in self.medians().items())

    def draw(self, kind: str, figure: Figure, say: Callable[[str], str]) -> Any:
        """``gains`` or ``starts``."""
        from seqgrad.experiments import _draw_theory

        return (_draw_theory.gains if kind == "gains" else _draw_theory.starts)(figure, self, say)


def mean_field(gains: Sequence[float] = GAINS, *, seeds: int = 5, progress: bool | Progress = False) -> MeanField:
    """Measure how the squared gradient norm grows per step back in tanh RNNs with N(0, gain^2 / H) weights.

    H=400, 8 sequences; every unit hears independent N(0, 0.25) at every step; after 40 steps the states no longer
    depend on their start, and the last 20 steps are measured. No training. Beside it, torch's own initialisations at
    H=128, signal at t=1, from lag 50 to 99.

    Raises:
        ValueError: a gain that is not positive and finite, or no gain.

    Source: Schoenholz, Gilmer, Ganguli and Sohl-Dickstein 2017, "Deep Information Propagation"; Chen, Pennington and
    Schoenholz 2018, "Dynamical Isometry and a Mean Field Theory of RNNs".

    Example:
        >>> import seqgrad as sg
        >>> run = sg.experiments.mean_field((0.5, 2.0), seeds=1)
        >>> [value > 1 for value in run.medians().values()]
        [False, True]
    """
    check_gains(gains)
    positive("seeds", seeds)
    start, tell = time.perf_counter(), reporter(progress, "mean_field")
    growth: dict[float, list[float]] = {}
    for k, gain in enumerate(gains):
        tell(k / (len(gains) + 1), f"gain {gain:g}")
        growth[gain] = [measured_growth(gain, seed) for seed in range(seeds)]
    tell(len(gains) / (len(gains) + 1), "torch's initialisations")
    starts = {name: [_factor(one.setup, seed) for seed in range(seeds)] for name, one in STARTS.items()}
    result = MeanField(seeds, growth, {gain: growth_law(gain) for gain in gains}, starts)
    result.claims = _judge(result)
    result.seconds = time.perf_counter() - start
    return result


def check_gains(gains: Sequence[float]) -> None:
    """Refuse what cannot be a gain."""
    if not gains:
        raise ValueError("gains must name at least one gain, got none")
    for gain in gains:
        if not (math.isfinite(gain) and gain > 0):
            raise ValueError(f"gains must be positive numbers, got {gain}")


def measured_growth(gain: float, seed: int) -> float:
    """Growth of the squared norm per step, over the last ``LAGS`` steps of one random network."""
    with seeded(seed):
        layer: Any = sg.RNN(WIDTH, WIDTH, bias=False)
        x = DRIVE * torch.randn(WARM + LAGS, BATCH, WIDTH)
        nn.init.normal_(layer.weight_hh_l0, std=gain / math.sqrt(WIDTH))
        direction = torch.randn(BATCH, WIDTH)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(torch.eye(WIDTH))
    with sg.record(layer) as rec:
        out, _ = layer(x)
        (out[-1] * direction).sum().backward()
    norms = rec[""].l0.norm("grad_h").double()
    return float((norms[-1 - LAGS] / norms[-1]) ** (2 / LAGS))


def _factor(setup: Setup, seed: int, *, near: int = 50, far: int = 99) -> float:
    """Factor of the norm per step back between two lags: dL/dc for an LSTM."""
    run = flow(setup, steps=far + 1, seed=seed)
    curve = run.grad_c or run.grad_h
    return (curve[-1 - far] / curve[-1 - near]) ** (1 / (far - near))


def _judge(result: MeanField) -> list[Claim]:
    claims = [judge("field.growth", result.error())]
    if not math.isnan(result.crossing(result.theory)):
        claims.append(judge("field.crossing", result.crossing(result.medians()) / result.crossing(result.theory)))
    claims += [judge(f"field.{name}", median(values)) for name, values in result.starts.items()]
    return [*claims, judge("field.untied", median(result.starts["lstm"]) / STARTS["lstm"].untied)]
