"""The lesson's toy (a number multiplied again and again) beside the gradient of a real network, and by name 2^k."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from seqgrad.experiments._measure import Setup, flow
from seqgrad.experiments._result import Progress, Result, median, positive, reporter
from seqgrad.experiments.claims import judge

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class Decay(Result):
    """``values[k] = factor**k`` for k = 0..steps, and real RNNs beside it.

    ``measured[seed][k]`` is a default RNN's gradient k steps back, relative to the last step.
    """

    name: ClassVar[str] = "decay"
    kinds: ClassVar[tuple[str, ...]] = ("toy",)

    factor: float
    steps: int
    values: list[float]
    measured: list[list[float]]
    sigma_max: list[float]  # largest singular value of W_hh, per seed

    @property
    def per_step(self) -> float:
        """What one step back multiplies the measured gradient by: geometric mean over the run, median of seeds."""
        return median([curve[-1] ** (1 / self.steps) for curve in self.measured])

    def rows(self) -> list[dict[str, Any]]:
        """One row per curve and lag."""
        rows: list[dict[str, Any]] = [
            {"curve": "toy", "seed": None, "lag": k, "value": v} for k, v in enumerate(self.values)
        ]
        for seed, curve in enumerate(self.measured):
            rows += [{"curve": "rnn", "seed": seed, "lag": k, "value": v} for k, v in enumerate(curve)]
        return rows

    def facts(self) -> dict[str, Any]:
        """The toy's and the networks' numbers."""
        return {
            "factor": self.factor, "steps": self.steps, "last": self.values[-1], "per_step": self.per_step,
            "sigma_max": median(self.sigma_max), "seeds": len(self.measured),
            "measured_last": median([curve[-1] for curve in self.measured]),
            "fp32_square": float(torch.tensor(0.5**100, dtype=torch.float32).square()),
        }  # fmt: skip

    def draw(self, kind: str, figure: Figure, say: Callable[[str], str]) -> Any:
        """``toy``: the two kinds of curves."""
        from seqgrad.experiments._figures import COLORS, log_axis

        ax = figure.add_subplot()
        ax.plot(self.values, color=COLORS["toy"], linestyle="--", label=f"{say('decay.toy.label')} {self.factor:g}$^k$")
        for seed, curve in enumerate(self.measured):
            label = say("decay.measured.label") if seed == 0 else None
            ax.plot(curve, color=COLORS["rnn"], alpha=0.8, linewidth=1.2, label=label)
        log_axis(ax, say("axis.relative"))
        ax.set_xlabel(say("axis.lag"))
        ax.legend()
        return ax


def decay(
    factor: float = 0.5, steps: int = 50, *, hidden: int = 128, seeds: int = 5, progress: bool | Progress = False
) -> Decay:
    """Multiply 1.0 by ``factor`` for ``steps`` steps and lay the gradient of ``seeds`` default RNNs beside it.

    The lesson's ``simulate_vanishing(50)`` is ``decay(0.5, 50).values``: 51 numbers, x being *steps back*.

    Example:
        >>> import seqgrad as sg
        >>> sg.experiments.decay(2.0, 4, seeds=1).values
        [1.0, 2.0, 4.0, 8.0, 16.0]
    """
    positive("steps", steps), positive("seeds", seeds), positive("hidden", hidden)
    start, tell = time.perf_counter(), reporter(progress, "decay")
    curves, sigma = [], []
    for seed in range(seeds):
        tell(seed / seeds, f"RNN, seed {seed}")
        run = flow(Setup("rnn"), steps=steps + 1, hidden=hidden, seed=seed)
        curves.append([value / run.grad_h[-1] for value in reversed(run.grad_h)])
        sigma.append(run.sigma_max)
    result = Decay(factor, steps, [factor**k for k in range(steps + 1)], curves, sigma)
    result.claims = [
        judge("decay.four_factors", 0.5**4),
        judge("decay.hundred_factors", 0.5**100),
        judge("decay.real_factor", result.per_step),
        judge("decay.sigma_max", median(sigma)),
    ]
    if (factor, steps) == (0.5, 50):
        result.claims.insert(2, judge("decay.simulation", result.values[-1]))
    result.seconds = time.perf_counter() - start
    return result
