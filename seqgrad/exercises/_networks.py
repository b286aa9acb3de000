"""The networks that judges build, and one measurement that several of them share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import seqgrad as sg


class Classifier(nn.Module):
    """A recurrent layer ``rnn`` and a linear ``head`` on its last state: two classes. ``x [T, N, I]`` -> ``[N, 2]``."""

    def __init__(self, rnn: nn.Module) -> None:
        super().__init__()
        self.rnn = rnn
        self.head = nn.Linear(int(rnn.hidden_size), 2)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Logits from the last state."""
        return self.head(self.rnn(x)[0][-1])


def signal_at_start(steps: int, batch: int, inputs: int) -> Tensor:
    """``[T, N, inputs]``, normal noise in the first step and silence after it."""
    x = torch.zeros(steps, batch, inputs)
    x[0] = torch.randn(batch, inputs)
    return x


def reach(rnn: Any, steps: int, quantity: str = "grad_h") -> tuple[float, float]:
    """How much of the gradient arrives at the first step, and how far apart the last states of the samples lie.

    The loss reads a random direction of the last state. The first number is the norm at t=0 over the norm at T-1, the
    second the standard deviation over the batch, averaged over the units: 0 if the layer does not hear its input.
    """
    x = signal_at_start(steps, 16, rnn.input_size)
    direction = nn.functional.normalize(torch.randn(rnn.hidden_size), dim=0)
    rnn.zero_grad()
    with sg.record(rnn) as rec:
        out, _ = rnn(x)
        (out[-1] @ direction).mean().backward()
    norm = rec[""].l0.norm(quantity)
    return float(norm[0] / norm[-1]), float(out[-1].detach().std(0).mean())


def moved(rnn: nn.Module, before: dict[str, Tensor]) -> bool:
    """Whether any parameter differs from the copy ``before``."""
    return any(not torch.equal(value, before[name]) for name, value in rnn.state_dict().items())


def copy_of(module: nn.Module) -> dict[str, Tensor]:
    """The values of all parameters, apart from them."""
    return {name: value.detach().clone() for name, value in module.state_dict().items()}
