"""The residual connection: the lesson's formula, no vanishing, the growth it brings, and the scale that ends it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from seqgrad.experiments._measure import Setup, build, flow
from seqgrad.experiments._remember import remember, success
from seqgrad.experiments._result import Progress, Result, above_zero, median, positive, reporter, seeded
from seqgrad.experiments.claims import Claim, judge

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS, LEARNS = 300, 100
SCALES = (1.0, 0.3, 0.1, 0.03, 0.01)


@dataclass
class Residual(Result):
    """``curves[set-up][seed]``: relative norms at t = 1..T; ``growth[scale]``: at t = 1, one per seed.

    ``accuracy[scale]``: of trained networks on the lesson's task at length 100, one per seed.
    """

    name: ClassVar[str] = "residual"
    kinds: ClassVar[tuple[str, ...]] = ("flow", "scale")

    steps: int
    hidden: int
    seeds: int
    training: int
    curves: dict[str, list[list[float]]]
    growth: dict[float, list[float]]
    spread: dict[float, list[float]]  # of the last state over the batch, per scale and seed
    accuracy: dict[float, list[float]]
    formula: float  # relative distance of outputs and gradients to the lesson's line written in plain torch

    def curve(self, setup: str) -> list[float]:
        """Median over seeds at every t = 1..T, relative to t = T."""
        return [median(values) for values in zip(*self.curves[setup], strict=True)]

    def rows(self) -> list[dict[str, Any]]:
        """One row per set-up, seed and timestep, and per scale and seed."""
        rows: list[dict[str, Any]] = [
            {"part": "flow", "setup": setup, "seed": seed, "t": t, "relative": value}
            for setup, runs in self.curves.items()
            for seed, curve in enumerate(runs)
            for t, value in enumerate(curve, 1)
        ]
        for scale, values in self.growth.items():
            rows += [
                {"part": "scale", "scale": scale, "seed": seed, "relative": value, "spread": self.spread[scale][seed],
                 "accuracy": self.accuracy[scale][seed]}
                for seed, value in enumerate(values)
            ]  # fmt: skip
        return rows

    def facts(self) -> dict[str, Any]:
        """Growth and success by scale."""
        facts: dict[str, Any] = {
            "steps": self.steps, "hidden": self.hidden, "seeds": self.seeds, "training": self.training,
            "scales": ", ".join(f"{scale:g}" for scale in self.growth), "learns": LEARNS,
            "table": {scale: median(values) for scale, values in self.growth.items()},
            "success": {scale: success(values) for scale, values in self.accuracy.items()},
            "state_spread": median(next(iter(self.spread.values()))),
        }  # fmt: skip
        for setup in self.curves:
            facts[f"{setup}_first"] = self.curve(setup)[0]
        return facts

    def draw(self, kind: str, figure: Figure, say: Callable[[str], str]) -> Any:
        """``flow`` (gradients by timestep) or ``scale`` (growth by residual_scale)."""
        from seqgrad.experiments import _draw_lesson, _figures

        if kind == "flow":
            return _figures.flow_curves(figure, {setup: self.curve(setup) for setup in self.curves}, say)
        return _draw_lesson.scales(figure, self.growth, say)


def residual(
    scales: Sequence[float] = SCALES, *, steps: int = 100, hidden: int = 128, seeds: int = 5, training: int = STEPS,
    progress: bool | Progress = False,
) -> Residual:  # fmt: skip
    """Measure the gradient of h_t = h_(t-1) + scale * tanh(...) and train it, for every ``residual_scale``.

    No training for the gradients: signal at t=1, loss on the last state, default weights and an orthogonal W_hh. Then
    ``training`` steps of Adam 1e-3 (H=32, clip 1, batches of 32) on the lesson's task at length 100, for each scale and
    seed. Residual paths: He, Zhang, Ren, Sun 2016, "Deep residual learning for image recognition".

    Example:
        >>> import seqgrad as sg
        >>> run = sg.experiments.residual((1.0, 0.01), steps=40, hidden=16, seeds=1, training=1)
        >>> run.growth[0.01][0] < run.growth[1.0][0]
        True
    """
    for scale in scales:
        above_zero("scales", scale)
    if not scales:
        raise ValueError("scales must name at least one residual_scale, got none")
    positive("steps", steps, at_least=2), positive("hidden", hidden, at_least=2), positive("seeds", seeds)
    positive("training", training)
    start, tell = time.perf_counter(), reporter(progress, "residual")
    chosen = tuple(dict.fromkeys(float(scale) for scale in scales))
    setups = {
        "rnn": Setup("rnn"), "residual": Setup("residual"), "residual_orthogonal": Setup("residual", "orthogonal"),
        "residual_small": Setup("residual", scale=chosen[-1]),
    }  # fmt: skip
    curves = {
        name: [_relative(setup, steps, hidden, seed)[0] for seed in range(seeds)] for name, setup in setups.items()
    }
    growth: dict[float, list[float]] = {}
    spread: dict[float, list[float]] = {}
    accuracy: dict[float, list[float]] = {}
    for k, scale in enumerate(chosen):
        tell(k / len(chosen), f"residual_scale {scale:g}")
        setup = Setup("residual", scale=scale)
        found = [_relative(setup, steps, hidden, seed) for seed in range(seeds)]
        growth[scale], spread[scale] = [curve[0] for curve, _ in found], [wide for _, wide in found]
        accuracy[scale] = [remember(setup, LEARNS, seed, steps=training) for seed in range(seeds)]
    result = Residual(steps, hidden, seeds, training, curves, growth, spread, accuracy, formula_distance())
    result.claims = _judge(result)
    result.seconds = time.perf_counter() - start
    return result


def _relative(setup: Setup, steps: int, hidden: int, seed: int) -> tuple[list[float], float]:
    run = flow(setup, steps=steps, hidden=hidden, seed=seed)
    return [value / run.grad_h[-1] for value in run.grad_h], run.spread


def formula_distance(*, steps: int = 20, hidden: int = 16, batch: int = 4, scale: float = 0.7) -> float:
    """Largest relative distance of the layer's output and gradients to the lesson's line in plain torch, float64."""
    with seeded(0):
        layer: Any = build(Setup("residual", scale=scale), hidden=hidden, steps=steps, dtype=torch.float64)
        x = torch.randn(steps, batch, 10, dtype=torch.float64)
    ours, _ = layer(x)
    h: Tensor = torch.zeros(batch, hidden, dtype=torch.float64)
    states = []
    for step in x:
        inner = nn.functional.linear(step, layer.weight_ih_l0, layer.bias_ih_l0)
        h = h + scale * torch.tanh(inner + nn.functional.linear(h, layer.weight_hh_l0, layer.bias_hh_l0))
        states.append(h)
    plain = torch.stack(states)
    pairs = [(ours, plain)]
    grads = [torch.autograd.grad(out.square().sum(), layer.parameters()) for out in (ours, plain)]
    pairs += list(zip(*grads, strict=True))
    return max(float(((a - b).norm() / b.norm()).detach()) for a, b in pairs)


def _judge(result: Residual) -> list[Claim]:
    facts = result.facts()
    claims = [judge("residual.formula", result.formula)]
    if (result.steps, result.hidden) == (100, 128):
        claims += [
            judge("residual.grows", facts["residual_first"]),
            judge("residual.orthogonal", facts["residual_orthogonal_first"]),
            judge("residual.state", facts["state_spread"]),
        ]
        if 0.01 in result.growth:
            claims.append(judge("residual.scale", median(result.growth[0.01])))
    if result.training == STEPS:
        claims.append(judge("residual.learns", min(median(values) for values in result.accuracy.values())))
    return claims
