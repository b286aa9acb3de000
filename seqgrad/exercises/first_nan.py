"""Exercise: where was the first NaN of a backward born?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import seqgrad as sg
from seqgrad.exercises._exercise import Facts, Wrong, need_number

FUNCTION = "first_nan"
STARTER = """
import seqgrad as sg
import torch


def first_nan(model, loss_fn, x):
    with sg.record(model) as rec:
        loss_fn(model(x)).backward()
    series = rec["rnn"].l0
    for t in range(series.steps):
        if torch.isnan(series.grad_h[t]).any():
            return t
"""


def judge(answer: Callable[..., Any]) -> Facts:
    """Losses that spoil the gradient at a step in the middle, at the last, and not at all."""
    for seed, place in enumerate((17, 29, None, 4)):
        torch.manual_seed(seed)
        model, x = _States(), torch.randn(30, 3, 4)
        got = answer(model, _spoiled(place), x)
        if place is None:
            if got is not None:
                raise Wrong("invents", got=got if isinstance(got, int) else type(got).__name__)
            continue
        if got is None:
            raise Wrong("overlooks", expected=place)
        found = int(need_number(got, "int"))
        if found == place:
            continue
        known = {0: "earliest", place + 1: "off_by_one", place - 1: "off_by_one", 29 - place: "backwards"}
        raise Wrong(known.get(found, "other"), got=found)
    return {}


class _States(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = sg.RNN(4, 8)

    def forward(self, x: Tensor) -> Tensor:
        """All states, ``[T, N, 8]``."""
        return self.rnn(x)[0]


def _spoiled(place: int | None) -> Callable[[Tensor], Tensor]:
    """A loss over all states, one of whose terms has a finite value and a slope of 0/0: the square root at 0."""

    def loss_fn(states: Tensor) -> Tensor:
        loss = states.square().mean()
        if place is not None:
            loss = loss + (states[place] * 0).norm(dim=-1).sum() + (states[place, 0] * 0).abs().sqrt().sum()
        return loss

    return loss_fn
