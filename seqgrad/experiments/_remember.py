"""Train one small network on the lesson's task, and the ways of clipping that experiments compare."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

import seqgrad as sg
from seqgrad.experiments._measure import Setup, build
from seqgrad.experiments._result import seeded
from seqgrad.experiments.tasks import first_element

HIDDEN, BATCH, RATE, CLIP, VALUE, TESTED = 32, 32, 1e-3, 1.0, 0.5, 1000
LEARNT = 0.9  # accuracy on fresh data above which a seed counts as a success
CLIPS = ("none", "norm", "value", "state")  # state: the carried gradient, at every timestep inside the backward


def remember(
    setup: Setup, length: int, seed: int, *, steps: int = 300, rate: float = RATE, clip: str = "norm",
    truncate: int | None = None,
) -> float:  # fmt: skip
    """Train a network of ``setup`` to tell the first element's sign at the end; its accuracy on 1000 fresh samples.

    H=32, batches of 32 fresh samples, Adam, ``clip`` (norm 1, value 0.5, or norm 1 at every timestep).
    """
    with seeded(seed):
        layer = build(setup, hidden=HIDDEN, steps=length, truncate=truncate, **state_clip(clip))
        head = nn.Linear(HIDDEN, 2)
        parameters = [*layer.parameters(), *head.parameters()]
        optimizer = torch.optim.Adam(parameters, rate, fused=True)  # a third of a step at this size
        for _ in range(steps):
            x, y = first_element(length, BATCH)
            optimizer.zero_grad()
            nn.functional.cross_entropy(head(layer(x)[0][-1]), y).backward()
            clip_(parameters, clip)
            optimizer.step()
        return accuracy(layer, head, length)


def accuracy(layer: Any, head: nn.Module, length: int) -> float:
    """Share of fresh samples that are told right."""
    x, y = first_element(length, TESTED)
    with torch.no_grad():
        return float((head(layer(x)[0][-1]).argmax(1) == y).float().mean())


def state_clip(how: str) -> dict[str, Any]:
    """What a layer has to be built with for this way of clipping."""
    return {"state_clip": sg.clip.Norm(CLIP)} if how == "state" else {}


def clip_(parameters: Iterable[nn.Parameter], how: str) -> None:
    """Clip the parameters' gradients as ``how`` says; ``none`` and ``state`` leave them alone."""
    if how == "norm":
        sg.clip.grad_norm_(parameters, CLIP, nonfinite="keep")
    elif how == "value":
        sg.clip.grad_value_(parameters, VALUE)


def success(accuracies: Iterable[float]) -> float:
    """Share of seeds that have learnt: 90 % and more on fresh data."""
    values = list(accuracies)
    return sum(value >= LEARNT for value in values) / len(values)
