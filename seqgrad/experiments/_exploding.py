"""Train networks whose recurrent gain is too large, with one way of clipping or none, and keep what happened."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

import seqgrad as sg
from seqgrad.experiments._findings import scan
from seqgrad.experiments._measure import Setup, build
from seqgrad.experiments._remember import BATCH, HIDDEN, accuracy, clip_, state_clip
from seqgrad.experiments._result import seeded
from seqgrad.experiments.tasks import first_element
from seqgrad.rules import Finding

GAIN = 1.2
# Both start with a recurrent matrix of gain 1.2. relu has no ceiling, so states, loss and weights can overflow;
# tanh has one, so the same mistake shows as a jump into saturation, after which nothing is learnt.
ARMS: dict[str, tuple[Setup, float]] = {  # set-up, learning rate of SGD
    "relu": (Setup("rnn", "identity", GAIN, nonlinearity="relu"), 0.01),
    "tanh": (Setup("rnn", "orthogonal", GAIN, zero_bias=True), 0.05),
}
LENGTH, STEPS = 50, 300


@dataclass
class Training:
    """One training run. ``norms`` are the parameters' gradient norms before clipping."""

    arm: str
    clip: str
    seed: int
    losses: list[float]
    norms: list[float]
    accuracy: float
    findings: list[Finding]

    @property
    def broken_at(self) -> int | None:
        """The first training step (from 1) whose loss is NaN or Inf."""
        return next((step for step, loss in enumerate(self.losses, 1) if not math.isfinite(loss)), None)

    @property
    def tail(self) -> float:
        """Mean loss of the last ten steps."""
        last = self.losses[-10:]
        return sum(last) / len(last)

    @property
    def finished(self) -> bool:
        """Whether every loss was a number and the last ones are at most a fifth of the first."""
        return self.broken_at is None and self.tail < self.losses[0] / 5


def train(arm: str, clip: str, seed: int, steps: int = STEPS) -> Training:
    """Train one arm on the lesson's task with plain SGD; stop one step after the loss is no longer a number."""
    setup, rate = ARMS[arm]
    with seeded(seed):
        layer: Any = build(setup, hidden=HIDDEN, steps=LENGTH, **state_clip(clip))
        head = nn.Linear(HIDDEN, 2)
        parameters = [*layer.parameters(), *head.parameters()]
        optimizer = torch.optim.SGD(parameters, rate)
        run = Training(arm, clip, seed, [], [], 0.0, [])
        for step in range(1, steps + 1):
            _step(run, layer, head, parameters, optimizer, step)
            if run.broken_at is not None and step > run.broken_at:
                break
        run.accuracy = accuracy(layer, head, LENGTH)
    return run


def _step(
    run: Training, layer: Any, head: nn.Module, parameters: list[nn.Parameter], optimizer: torch.optim.Optimizer,
    step: int,
) -> None:  # fmt: skip
    x, y = first_element(LENGTH, BATCH)
    optimizer.zero_grad()
    with sg.record(layer) as rec:
        states, _ = layer(x)
        loss = nn.functional.cross_entropy(head(states[-1]), y)
        loss.backward()
    if not any(f.rule == "NonFinite" for f in run.findings):
        seen = {finding.rule for finding in run.findings}
        run.findings += [f for f in scan(rec[""].l0, step=step, states=states) if f.rule not in seen]
    run.norms.append(float(sg.clip.grad_norm_(parameters, math.inf, nonfinite="keep")))
    clip_(parameters, run.clip)
    run.losses.append(float(loss.detach()))
    optimizer.step()
