"""Train small networks on the field's memory tasks, and look at their gradient flow before and after.

An experiment brings a ``Task`` and its networks as ``Arm``; ``train_once`` is one of them from one seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

import seqgrad as sg
from seqgrad.experiments._measure import Setup, build
from seqgrad.experiments._result import seeded

WINDOW = 50  # training steps of which a learning curve gives the mean
FRESH = 1000  # samples of the test, made after training
Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Task:
    """What is to be learnt.

    ``make(length, batch)`` gives ``x [T, N, inputs]`` and targets; ``loss`` and ``score`` compare outputs with targets
    and give a scalar. The head reads the last state or, ``every_step``, all of them. A training counts as learnt
    from the first window whose loss is below ``learnt``; a seed has succeeded if its score is ``goal`` or better
    (lower, or ``higher``).
    """

    make: Callable[[int, int], Pair]
    loss: Callable[[Tensor, Tensor], Tensor]
    score: Callable[[Tensor, Tensor], Tensor]
    inputs: int
    outputs: int
    learnt: float
    goal: float
    higher: bool = False
    every_step: bool = False

    def reached(self, score: float) -> bool:
        """Whether a score on fresh data is as good as ``goal``."""
        return score >= self.goal if self.higher else score <= self.goal


@dataclass(frozen=True)
class Arm:
    """One way to build and train a network: ``optimizer`` at ``rate``, clipped to ``clip`` (``None``: not at all).

    ``input_std``: W_ih is drawn from N(0, input_std^2), as in an IRNN. ``omega``: weight of Pascanu's regulariser.
    """

    setup: Setup
    rate: float
    hidden: int = 64
    batch: int = 32
    clip: float | None = 1.0
    input_std: float | None = None
    omega: float = 0.0
    optimizer: Literal["adam", "sgd"] = "adam"


@dataclass
class Run:
    """One trained network. ``before`` and ``after``: its gradient norm at t = 1..T, relative to t = T."""

    seed: int
    score: float
    curve: list[float]  # training loss, mean of every 50 steps
    learnt_at: int | None  # training steps until that mean was below the task's threshold
    before: list[float]
    after: list[float]

    def ratio(self, *, trained: bool) -> float:
        """The gradient at the first timestep over that at the last."""
        return (self.after if trained else self.before)[0]

    def horizon(self, *, trained: bool, eps: float = 1e-3) -> int:
        """How many steps back the gradient stays, without a gap, above ``eps`` of its last value."""
        back = (self.after if trained else self.before)[::-1]
        return next((lag for lag, value in enumerate(back) if not value >= eps), len(back)) - 1


class Network(nn.Module):
    """The layer and a linear head on its last state, or on all of them."""

    def __init__(self, task: Task, arm: Arm, length: int) -> None:
        super().__init__()
        self.rnn: Any = build(arm.setup, hidden=arm.hidden, steps=length, inputs=task.inputs)
        if arm.input_std is not None:
            nn.init.normal_(self.rnn.get_parameter("weight_ih_l0"), std=arm.input_std)
        self.head = nn.Linear(arm.hidden, task.outputs)
        self.every_step = task.every_step

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``x [T, N, I]`` -> what the head says, and the states ``[T, N, H]``."""
        states, _ = self.rnn(x)
        return self.head(states if self.every_step else states[-1]), states


def train_once(task: Task, arm: Arm, length: int, steps: int, seed: int) -> Run:
    """One network from scratch, on fresh samples at every step, and its score on ``FRESH`` more."""
    with seeded(seed):
        model = Network(task, arm, task.make(length, 1)[0].size(0))
        before = profile(model, task, length)
        curve = _train(model, task, arm, length, steps)
        x, y = task.make(length, FRESH)
        with torch.no_grad():
            score = float(task.score(model(x)[0], y))
        after = profile(model, task, length)
    at = next((k for k, loss in enumerate(curve, 1) if loss < task.learnt), None)
    return Run(seed, score, curve, None if at is None else min(steps, at * WINDOW), before, after)


def _train(model: Network, task: Task, arm: Arm, length: int, steps: int) -> list[float]:
    parameters = list(model.parameters())
    kinds: dict[str, Any] = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
    optimizer = kinds[arm.optimizer](parameters, arm.rate, fused=True)
    curve: list[float] = []
    for start in range(0, steps, WINDOW):
        count = min(WINDOW, steps - start)
        x, y = task.make(length, count * arm.batch)  # a window's samples at once: making them is half the work
        losses = []
        for part, target in zip(x.split(arm.batch, 1), y.split(arm.batch, 1 if task.every_step else 0), strict=True):
            optimizer.zero_grad()
            said, states = model(part)
            loss = task.loss(said, target)
            losses.append(loss.detach())
            if arm.omega:
                loss = loss + arm.omega * sg.regularizers.omega(model.rnn, part, states, loss)
            loss.backward()
            if arm.clip is not None:
                sg.clip.grad_norm_(parameters, arm.clip, nonfinite="keep")
            optimizer.step()
        curve.append(float(torch.stack(losses).mean()))
        if not math.isfinite(curve[-1]):
            break  # what is NaN stays NaN
    return curve


def profile(model: Network, task: Task, length: int, batch: int = 64) -> list[float]:
    """Norm over a batch of dL/dc_t (LSTM) or dL/dh_t at t = 1..T, relative to t = T, for a loss on the last step alone.

    Where the task has a loss at every step, the others are left out: they would feed every timestep directly and
    hide how far the gradient travels.
    """
    x, y = task.make(length, batch)
    with sg.record(model) as rec:
        said, _ = model(x)
        task.loss(said[-1:] if task.every_step else said, y[-1:] if task.every_step else y).backward()
    model.zero_grad(set_to_none=True)
    series: Any = rec["rnn"].l0
    norms: list[float] = series.norm("grad_h" if series.grad_c is None else "grad_c").tolist()
    return [value / norms[-1] if norms[-1] else math.nan for value in norms]
