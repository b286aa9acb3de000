"""The curse of memory: a network that remembers longer is more sensitive to its weight, though no gradient explodes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

import seqgrad as sg
from seqgrad.experiments._result import Progress, Result, positive, reporter, seeded
from seqgrad.experiments.claims import Claim, judge

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MEMORIES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98)
CORRELATIONS = (0.0, 0.9)  # of an input with the one before it
LOUDNESS = 1e-6  # of the input, where tanh is the identity to twelve digits
F64 = torch.float64


@dataclass(frozen=True)
class Memory:
    """One weight. What is measured comes from the responses to an impulse at every lag, so it has no sampling error.

    ``state``: E[h^2]. ``sensitivity``: E[(dh/dlambda)^2]. ``normalised``: the same of sqrt(1 - lambda^2) h, and
    ``reparametrised`` that with respect to nu, lambda = tanh(nu). ``sampled``: ``sensitivity`` from random inputs.
    ``largest``: the largest recorded gradient of a timestep over that of the last one.
    """

    weight: float
    correlation: float
    state: float
    sensitivity: float
    normalised: float
    reparametrised: float
    sampled: float
    largest: float


def state_law(weight: float, correlation: float = 0.0) -> float:
    """E[h^2] of ``h_t = weight h_(t-1) + x_t``, E[x_t x_(t-k)] = correlation^k, once it is stationary.

    Example:
        >>> state_law(0.5)
        1.3333333333333333
    """
    return (1 + correlation * weight) / ((1 - weight**2) * (1 - correlation * weight))


def sensitivity_law(weight: float, correlation: float = 0.0) -> float:
    """E[(dh/dweight)^2] of the same unit; for white inputs (1 + w^2) / (1 - w^2)^3.

    Two units with weights a and b have E[h_a h_b] = (f(a) + f(b)) / (1 - ab), f(a) = 1 / (1 - a correlation) - 1 / 2;
    this is its mixed derivative at a = b.

    Example:
        >>> sensitivity_law(0.5) == (1 + 0.5**2) / (1 - 0.5**2) ** 3
        True
    """
    gap = 1 - weight**2
    pull = 1 / (1 - correlation * weight)
    return (2 * pull - 1) * (1 + weight**2) / gap**3 + 2 * correlation * pull**2 * weight / gap**2


@dataclass
class CurseOfMemory(Result):
    """``memories``: one entry per weight and input correlation."""

    name: ClassVar[str] = "curse_of_memory"
    kinds: ClassVar[tuple[str, ...]] = ("sensitivity", "cures")

    lags: int
    samples: int
    memories: list[Memory]

    def chosen(self, correlation: float = 0.0) -> list[Memory]:
        """The entries of one kind of input, in the order of their weights."""
        return [one for one in self.memories if one.correlation == correlation]

    def rows(self) -> list[dict[str, Any]]:
        """One row per weight and input, with the closed forms beside what was measured."""
        return [
            {
                **asdict(one),
                "state_law": state_law(one.weight, one.correlation),
                "sensitivity_law": sensitivity_law(one.weight, one.correlation),
            }
            for one in self.memories
        ]

    def facts(self) -> dict[str, Any]:
        """Protocol, and the first and last of the white inputs' figures."""
        white = self.chosen()
        return {
            "lags": self.lags, "samples": self.samples, "low": white[0].weight, "high": white[-1].weight,
            "state": white[-1].state, "sensitivity": white[-1].sensitivity, "start": white[0].sensitivity,
            "largest": max(one.largest for one in self.memories), "tame": white[-1].reparametrised,
            "normalised": white[-1].normalised,
        }  # fmt: skip

    def draw(self, kind: str, figure: Figure, say: Callable[[str], str]) -> Any:
        """``sensitivity`` beside its law and the recorded gradient, or the ``cures``."""
        from seqgrad.experiments import _draw_theory

        return (_draw_theory.sensitivity if kind == "sensitivity" else _draw_theory.cures)(figure, self, say)


def curse_of_memory(
    weights: Sequence[float] = MEMORIES, *, lags: int = 800, seeds: int = 5, progress: bool | Progress = False
) -> CurseOfMemory:
    """A layer of ``lags`` separate units ``h_t = w h_(t-1) + x_t``: how much does the last state depend on w?

    It is a tanh RNN with W_hh = w I and W_ih = I that hears so little that it is linear. Unit k hears one impulse k
    steps before the end, so that its state is the response to it and one backward gives d/dw of each response; inputs'
    correlations then turn both into exact expectations. ``seeds`` runs with random inputs stand beside them.

    Raises:
        ValueError: weights outside [0, 1), or so close to 1 that ``lags`` steps do not suffice.

    Source: Zucchet and Orvieto 2024, "Recurrent neural networks: vanishing and exploding gradients are not the end
    of the story". The closed forms are derived in ``sensitivity_law``.

    Example:
        >>> import seqgrad as sg
        >>> run = sg.experiments.curse_of_memory((0.5,), lags=40, seeds=1)
        >>> round(run.chosen()[0].sensitivity, 9) == round((1 + 0.5**2) / (1 - 0.5**2) ** 3, 9)
        True
    """
    positive("lags", lags, at_least=2), positive("seeds", seeds)
    if not weights:
        raise ValueError("weights must name at least one weight, got none")
    for weight in weights:
        if not 0 <= weight < 1:
            raise ValueError(f"weights must lie in [0, 1), got {weight}: at 1 nothing is forgotten and no law holds")
        if weight > 0 and lags * math.log(weight) > math.log(1e-6):
            need = math.ceil(math.log(1e-6) / math.log(weight))
            raise ValueError(f"lags must be at least {need} for a weight of {weight}, got {lags}")
    start, tell = time.perf_counter(), reporter(progress, "curse_of_memory")
    memories = []
    for k, weight in enumerate(weights):
        tell(k / len(weights), f"weight {weight:g}")
        memories += _measure(weight, lags, seeds)
    memories.sort(key=lambda one: (one.correlation, one.weight))
    result = CurseOfMemory(lags, lags * seeds, memories)
    result.claims = _judge(result) if len([weight for weight in weights if weight >= 0.9]) > 1 else []
    result.seconds = time.perf_counter() - start
    return result


def _measure(weight: float, lags: int, seeds: int) -> list[Memory]:
    """One weight, every correlation."""
    impulses = torch.eye(lags, dtype=F64).flip(0)  # unit k's comes k steps before the end
    state, change, largest = _respond(weight, impulses)
    keep = math.sqrt(1 - weight**2)
    normalised = keep * change - weight / keep * state  # d(keep h)/dw
    found = []
    for correlation in CORRELATIONS:
        powers = (torch.arange(lags)[:, None] - torch.arange(lags)).abs()
        inputs = torch.tensor(correlation, dtype=F64) ** powers

        def expect(response: Tensor, inputs: Tensor = inputs) -> float:
            return float(response @ inputs @ response)

        draws = [_respond(weight, _noise(lags, correlation, seed))[1].square().mean() for seed in range(seeds)]
        found.append(
            Memory(
                weight, correlation, expect(state), expect(change), expect(normalised),
                expect(normalised) * (1 - weight**2) ** 2,  # dw/dnu = 1 - w^2
                float(torch.stack(draws).mean()), largest,
            )
        )  # fmt: skip
    return found


def _respond(weight: float, x: Tensor) -> tuple[Tensor, Tensor, float]:
    """Last states, their derivatives by the weight, both ``[units]``, and the largest relative gradient of a timestep.

    Each unit has its own weight, all equal: the diagonal of dW_hh is a derivative per unit.
    """
    units = x.shape[1]
    layer: Any = sg.RNN(units, units, bias=False, dtype=F64)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(torch.eye(units, dtype=F64))
        layer.weight_hh_l0.copy_(weight * torch.eye(units, dtype=F64))
    with sg.record(layer) as rec:
        out, _ = layer(LOUDNESS * x[:, None])
        out[-1].sum().backward()
    norms = rec[""].l0.norm("grad_h")
    return out[-1, 0].detach() / LOUDNESS, layer.weight_hh_l0.grad.diagonal() / LOUDNESS, float(norms.max() / norms[-1])


def _noise(steps: int, correlation: float, seed: int) -> Tensor:
    """``[steps, steps]``: stationary unit-variance inputs of as many units, each correlated in time."""
    with seeded(seed):
        x = torch.randn(steps, steps, dtype=F64)
    fresh = math.sqrt(1 - correlation**2)
    for t in range(1, steps):
        x[t] = correlation * x[t - 1] + fresh * x[t]
    return x


def _judge(result: CurseOfMemory) -> list[Claim]:
    rows, white = result.rows(), result.chosen()
    tail = [one for one in white if one.weight >= 0.9]
    return [
        judge("curse.state", max(abs(row["state"] / row["state_law"] - 1) for row in rows)),
        judge("curse.sensitivity", max(abs(row["sensitivity"] / row["sensitivity_law"] - 1) for row in rows)),
        judge("curse.sampled", max(abs(row["sampled"] / row["sensitivity_law"] - 1) for row in rows)),
        judge("curse.no_explosion", max(one.largest for one in result.memories)),
        judge("curse.power", _power(tail, lambda one: one.sensitivity / (1 + one.weight**2))),
        judge("curse.normalised", _power(tail, lambda one: one.normalised)),
        judge("curse.reparametrised", max(abs(one.reparametrised - 1) for one in white)),
    ]


def _power(memories: Sequence[Memory], read: Callable[[Memory], float]) -> float:
    """With which power of 1 - w^2 a quantity goes, from the first to the last of ``memories``."""
    logs, gaps = ([math.log(value(one)) for one in (memories[0], memories[-1])] for value in (read, _gap))
    return (logs[1] - logs[0]) / (gaps[1] - gaps[0])


def _gap(one: Memory) -> float:
    return 1 - one.weight**2
