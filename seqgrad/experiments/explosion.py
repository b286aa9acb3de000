"""Gradients that grow: the exact law 2^lag, saturation, the detector, and training with and without clipping."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

import seqgrad as sg
from seqgrad.experiments import _exploding
from seqgrad.experiments._exploding import ARMS, STEPS, Training
from seqgrad.experiments._findings import scan
from seqgrad.experiments._measure import Setup, build
from seqgrad.experiments._remember import HIDDEN
from seqgrad.experiments._result import Progress, Result, above_zero, median, positive, reporter, seeded
from seqgrad.experiments.claims import judge
from seqgrad.rules import Finding

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LENGTH = 50


@dataclass
class Explosion(Result):
    """``linear`` and ``saturated``: norms at t = 1..T of W_hh = gain * Q at silent states and under loud noise."""

    name: ClassVar[str] = "explosion"
    kinds: ClassVar[tuple[str, ...]] = ("growth", "training")

    gain: float
    linear: list[float]
    saturated: list[float]
    finding: Finding | None
    trainings: list[Training]

    def runs(self, arm: str, clipped: bool) -> list[Training]:
        """The trainings of one arm, with or without clipping, one per seed."""
        return [run for run in self.trainings if run.arm == arm and (run.clip != "none") == clipped]

    def rows(self) -> list[dict[str, Any]]:
        """One row per timestep of a curve, and per step of a training."""
        rows: list[dict[str, Any]] = []
        for curve in ("linear", "saturated"):
            rows += [{"curve": curve, "t": t, "norm": value} for t, value in enumerate(getattr(self, curve), 1)]
        for run in self.trainings:
            rows += [
                {"curve": "training", "arm": run.arm, "clip": run.clip, "seed": run.seed, "step": step,
                 "loss": loss, "norm": norm}
                for step, (loss, norm) in enumerate(zip(run.losses, run.norms, strict=True), 1)
            ]  # fmt: skip
        return rows

    def facts(self) -> dict[str, Any]:
        """What was found, and how the trainings ended."""
        facts: dict[str, Any] = {
            "gain": self.gain, "lag": len(self.linear) - 1, "linear_first": self.linear[0] / self.linear[-1],
            "saturated_first": self.saturated[0] / self.saturated[-1],
            "finding": self.finding.message if self.finding else "-",
            "finding_t": _from_one(self.finding),
        }  # fmt: skip
        broken = [run.broken_at for run in self.runs("relu", False) if run.broken_at]
        seen = [f for run in self.runs("relu", False) for f in run.findings if f.rule == "NonFinite"]
        facts |= {
            "seeds": len(self.runs("relu", True)),
            "broken_at": median([float(step) for step in broken]) if broken else 0,
            "nan_finding": seen[0].message if seen else "-", "nan_t": _from_one(seen[0] if seen else None),
            "relu_start": median([run.losses[0] for run in self.runs("relu", True)] or [math.nan]),
            "relu_end": median([run.tail for run in self.runs("relu", True)] or [math.nan]),
            "relu_accuracy": median([run.accuracy for run in self.runs("relu", True)] or [math.nan]),
            "tanh_clipped": median([run.accuracy for run in self.runs("tanh", True)] or [math.nan]),
            "tanh_free": median([run.accuracy for run in self.runs("tanh", False)] or [math.nan]),
        }  # fmt: skip
        return facts

    def draw(self, kind: str, figure: Figure, say: Callable[[str], str]) -> Any:
        """``growth`` (timesteps) or ``training`` (losses)."""
        from seqgrad.experiments import _figures

        if kind == "growth":
            return _figures.growth(figure, self.linear, self.saturated, self.finding, say)
        if not self.trainings:
            raise ValueError("there is no training to draw; run explosion(train=True)")
        runs = {clip: [run.losses for run in self.runs("relu", clip != "none")] for clip in ("none", "norm")}
        return _figures.losses(figure, runs, say)


def explosion(
    gain: float = 2.0, *, train: bool = True, seeds: int = 5, steps: int = STEPS,
    progress: bool | Progress = False,
) -> Explosion:  # fmt: skip
    """Measure growing gradients of W_hh = ``gain`` * Q over 50 lags, find them, and train with and without clipping.

    The trainings (relu and tanh, recurrent gain 1.2, plain SGD, T=50) differ in one line of code: clipping by norm.

    Example:
        >>> import seqgrad as sg
        >>> boom = sg.experiments.explosion(2.0, train=False)
        >>> round(boom.linear[0] / boom.linear[4])  # 46 steps apart: 2^4
        16
    """
    positive("seeds", seeds), positive("steps", steps)
    above_zero("gain", gain)
    start, tell = time.perf_counter(), reporter(progress, "explosion")
    silent = _norms(gain, noise=0.0)
    loud = _norms(gain, noise=10.0)
    linear, saturated = silent.norm("grad_h").double().tolist(), loud.norm("grad_h").double().tolist()
    found = [finding for finding in scan(silent, step=1) if finding.rule == "Exploding"]
    plan = [(arm, clip, seed) for arm in ARMS for clip in ("none", "norm") for seed in range(seeds)] if train else []
    trainings = []
    for k, (arm, clip, seed) in enumerate(plan):
        tell(k / len(plan), f"{arm}, clipping {clip}, seed {seed}")
        trainings.append(_exploding.train(arm, clip, seed, steps))
    result = Explosion(gain, linear, saturated, found[0] if found else None, trainings)
    result.claims = _judge(result)
    result.seconds = time.perf_counter() - start
    return result


def _from_one(finding: Finding | None) -> int:
    """Its timestep as the lesson counts, 0 for none."""
    return 0 if finding is None or finding.t is None else finding.t + 1


def _norms(gain: float, *, noise: float, seed: int = 0) -> Any:
    """The recorded series of an RNN with W_hh = gain * Q and zero biases, float64, loss on a direction of h_T."""
    steps = LENGTH + 1
    with seeded(seed):
        layer = build(Setup("rnn", "orthogonal", gain, zero_bias=True), hidden=HIDDEN, steps=steps, dtype=torch.float64)
        x = noise * torch.randn(steps, 1, 10, dtype=torch.float64)
        direction = nn.functional.normalize(torch.randn(HIDDEN, dtype=torch.float64), dim=0)
    with sg.record(layer) as rec:
        out, _ = layer(x)
        (out[-1, 0] @ direction).backward()
    return rec[""].l0


def _judge(result: Explosion) -> list[Any]:
    facts = result.facts()
    claims = [judge("explosion.four_factors", 2.0**4), judge("explosion.fifty_factors", 2.0**50)]
    if result.gain == 2.0:
        claims += [
            judge("explosion.linear", facts["linear_first"]),
            judge("explosion.saturated", facts["saturated_first"]),
            judge("explosion.found_at", facts["finding_t"]),
        ]
    free, clipped = result.runs("relu", False), result.runs("relu", True)
    if free and len(clipped[0].losses) == STEPS:
        share = sum(any(f.rule == "NonFinite" for f in run.findings) for run in free) / len(free)
        fell = sum(run.finished for run in clipped) / len(clipped)
        claims += [
            judge("explosion.nan", share),
            judge("explosion.clipped_finishes", fell),
            judge("explosion.clipped_learns", facts["tanh_clipped"] - facts["tanh_free"]),
        ]
    return claims
