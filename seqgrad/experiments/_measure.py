"""Measure the gradient at every timestep of one layer: build it from a seed, one forward, one recorded backward."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import seqgrad as sg
from seqgrad.experiments._result import seeded

CELLS = ("rnn", "residual", "gru", "lstm")
INPUTS = 10


@dataclass(frozen=True)
class Setup:
    """A layer before it is built.

    ``recurrent``: how W_hh is drawn (``default``, ``orthogonal``, or a number g for ``g * orthogonal``).
    ``zero_bias``: all biases 0. ``keep``: the LSTM's forget gate or the GRU's update gate starts at this value
    (through the bias); ``"one"`` is the customary forget bias of 1, ``"chrono"`` draws the gate's time scales
    uniformly up to the sequence length (Tallec and Ollivier 2018).
    """

    cell: str
    recurrent: str | float = "default"
    zero_bias: bool = False
    keep: str | float | None = None
    nonlinearity: str = "tanh"


@dataclass
class Flow:
    """Norm of the gradient over the whole batch at every timestep, t = 1..T first to last, and W_hh's spectrum."""

    grad_h: list[float]
    grad_c: list[float] | None
    sigma_max: float
    sigma_min: float
    weight_grad: float  # ||dL/dW_hh||, all a per-parameter detector sees
    spread: float  # how far the final states of different samples lie apart: mean over units of the std over the batch


def build(setup: Setup, *, hidden: int, steps: int, inputs: int = INPUTS, dtype: torch.dtype = torch.float32) -> nn.Module:
    """The layer of ``setup``, from the current seed. Gate biases go into ``bias_ih`` alone, because both biases add."""
    if setup.cell in ("rnn", "residual"):
        cls: Any = sg.RNN if setup.cell == "rnn" else sg.ResidualRNN
        layer: Any = cls(inputs, hidden, nonlinearity=setup.nonlinearity)
    else:
        layer = (sg.GRU if setup.cell == "gru" else sg.LSTM)(inputs, hidden)
    layer.to(dtype)  # before the recurrent matrix is drawn: an orthogonal one should be so to the last digit of dtype
    with torch.no_grad():
        if setup.recurrent == "identity":
            layer.weight_hh_l0.copy_(torch.eye(hidden))
        elif setup.recurrent != "default":
            gain = 1.0 if setup.recurrent == "orthogonal" else float(setup.recurrent)
            for gate in layer.weight_hh_l0.split(hidden):
                nn.init.orthogonal_(gate, gain)
        if setup.zero_bias:
            layer.bias_ih_l0.zero_(), layer.bias_hh_l0.zero_()
        if setup.keep is not None:
            _keep(layer, setup, hidden, steps)
    return layer  # type: ignore[no-any-return]


def _keep(layer: Any, setup: Setup, hidden: int, steps: int) -> None:
    """Bias of the gate that keeps the state: f is the LSTM's second block (i f g o), z the GRU's second (r z n)."""
    bias, other = layer.bias_ih_l0, layer.bias_hh_l0
    gate = slice(hidden, 2 * hidden)
    other[gate] = 0.0
    if setup.keep == "chrono":
        bias[gate] = torch.empty(hidden).uniform_(1.0, max(2.0, steps - 1.0)).log()
        if setup.cell == "lstm":
            bias[:hidden], other[:hidden] = -bias[gate], 0.0
    elif setup.keep == "one":
        bias[gate] = 1.0
    else:
        share = float(setup.keep or 0.5)
        bias[gate] = math.log(share / (1 - share))


def signal_at_start(steps: int, batch: int, *, inputs: int = INPUTS, dtype: torch.dtype = torch.float32) -> Tensor:
    """``[T, N, inputs]``, normal noise at t=1 and silence after it."""
    x = torch.zeros(steps, batch, inputs, dtype=dtype)
    x[0] = torch.randn(batch, inputs, dtype=dtype)
    return x


def flow(
    setup: Setup, *, steps: int = 100, hidden: int = 128, batch: int = 32, seed: int = 0,
    every_step: bool = False, dtype: torch.dtype = torch.float32,
) -> Flow:  # fmt: skip
    """One recorded backward. The loss reads the last state only (or every state, ``every_step=True``).

    It is a fixed random direction of the state, averaged over the batch: no head, so nothing but the layer is measured.
    """
    with seeded(seed):
        layer = build(setup, hidden=hidden, steps=steps, dtype=dtype)
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
        float(weight.grad.double().norm()), float(out[-1].detach().std(0).mean()),
    )  # fmt: skip
