"""Measure the gradient at every timestep of one layer: build it from a seed, one forward, one recorded backward."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

import seqgrad as sg
from seqgrad.experiments._result import seeded

INPUTS = 10


@dataclass(frozen=True)
class Setup:
    """A layer before it is built.

    ``recurrent``: how W_hh is drawn, ``default``, ``orthogonal`` or ``identity`` (this sets the biases to 0 too), the
    last two times ``gain``; ``xavier`` draws W_ih. ``scale``: of a residual RNN's branch. ``keep``: below 1 the value
    at which the LSTM's forget gate or the GRU's update gate starts; from 1 on the bias itself; ``"chrono"`` time scales
    up to the sequence's length.
    """

    cell: str
    recurrent: Literal["default", "orthogonal", "identity"] = "default"
    gain: float = 1.0
    zero_bias: bool = False
    keep: float | Literal["chrono"] | None = None
    nonlinearity: str = "tanh"
    xavier: bool = False
    scale: float = 1.0


@dataclass
class Flow:
    """Norm of the gradient over the whole batch at every timestep, t = 1..T first to last, and W_hh's spectrum."""

    grad_h: list[float]
    grad_c: list[float] | None
    sigma_max: float
    sigma_min: float
    weight_grad: float  # ||dL/dW_hh||, all a per-parameter detector sees
    spread: float  # how far the final states of different samples lie apart, in the unit where they do most


def build(
    setup: Setup, *, hidden: int, steps: int, inputs: int = INPUTS, dtype: torch.dtype = torch.float32, **options: Any
) -> nn.Module:
    """The layer of ``setup``, from the current seed; ``options`` such as ``truncate=`` go to the layer."""
    if setup.cell in ("rnn", "residual"):
        cls: Any = sg.RNN if setup.cell == "rnn" else sg.ResidualRNN
        options |= {"residual_scale": setup.scale} if setup.cell == "residual" else {}
        layer: Any = cls(inputs, hidden, nonlinearity=setup.nonlinearity, **options)
    else:
        layer = (sg.GRU if setup.cell == "gru" else sg.LSTM)(inputs, hidden, **options)
    layer.to(dtype)  # before the recurrent matrix is drawn: an orthogonal one should be so to the last digit of dtype
    if setup.recurrent == "identity":
        sg.init.identity_(layer, setup.gain)
    elif setup.recurrent == "orthogonal":
        sg.init.orthogonal_(layer, setup.gain)
    if setup.xavier:
        sg.init.xavier_(layer)
    if setup.zero_bias:
        nn.init.zeros_(layer.bias_ih_l0), nn.init.zeros_(layer.bias_hh_l0)
    if setup.keep == "chrono":
        sg.init.chrono_(layer, max(2, steps))
    elif setup.keep is not None:
        sg.init.forget_bias_(layer, math.log(setup.keep / (1 - setup.keep)) if setup.keep < 1 else setup.keep)
    return layer


def signal_at_start(steps: int, batch: int, *, inputs: int = INPUTS, dtype: torch.dtype = torch.float32) -> Tensor:
    """``[T, N, inputs]``, normal noise at t=1 and silence after it."""
    x = torch.zeros(steps, batch, inputs, dtype=dtype)
    x[0] = torch.randn(batch, inputs, dtype=dtype)
    return x


def spread(states: Tensor) -> Tensor:
    """``[..., N, H] -> [...]``: largest difference between any two samples in any unit."""
    return (states.amax(-2) - states.amin(-2)).amax(-1)


def flow(
    setup: Setup, *, steps: int = 100, hidden: int = 128, batch: int = 32, seed: int = 0,
    every_step: bool = False, dtype: torch.dtype = torch.float32, **options: Any,
) -> Flow:  # fmt: skip
    """One recorded backward. The loss reads the last state only (or every state, ``every_step=True``).

    It is a fixed random direction of the state, averaged over the batch: no head, so nothing but the layer is measured.
    """
    with seeded(seed):
        layer = build(setup, hidden=hidden, steps=steps, dtype=dtype, **options)
        x = signal_at_start(steps, batch, dtype=dtype)
        direction = nn.functional.normalize(torch.randn(hidden, dtype=dtype), dim=0)
    with sg.record(layer) as rec:
        out, _ = layer(x)
        read = out if every_step else out[-1:]
        (read @ direction).sum(0).mean().backward()
    series: Any = rec[""].l0
    weight: Any = layer.weight_hh_l0
    sigma = torch.linalg.svdvals(weight.detach().double()[:hidden])
    cell = None if series.grad_c is None else series.norm("grad_c").double().tolist()
    return Flow(
        series.norm("grad_h").double().tolist(), cell, float(sigma[0]), float(sigma[-1]),
        float(weight.grad.double().norm()), float(spread(out[-1].detach())),
    )  # fmt: skip
