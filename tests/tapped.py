"""A bare recurrent layer over ``_ops.layer``: what recording needs and no more."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seqgrad import _ops
from seqgrad.clip import Norm, Value
from seqgrad.record import make_tap

_GATES = {"gru": 3, "lstm": 4}


class Tapped(nn.Module):
    """One layer, one or two directions; ``forward(x [T, N, I], lengths) -> [T, N, D*H]``."""

    def __init__(
        self,
        size_in: int,
        hidden: int,
        cell: str = "rnn_tanh",
        *,
        bidirectional: bool = False,
        state_clip: Norm | Value | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.hidden, self.cell, self.state_clip = hidden, cell, state_clip
        self.directions = ("", "_reverse") if bidirectional else ("",)
        rows = _GATES.get(cell, 1) * hidden
        for d in self.directions:
            for name, columns in (("weight_ih", size_in), ("weight_hh", hidden)):
                values = (torch.rand(rows, columns, dtype=dtype) * 2 - 1) / math.sqrt(hidden)
                self.register_parameter(f"{name}_l0{d}", nn.Parameter(values))

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        outs = []
        for d in self.directions:
            what = {"cell": self.cell, "state_clip": self.state_clip, "lengths": lengths, "reverse": bool(d)}
            tap = make_tap(self, f"l0{d}", x=x, **what)
            h0 = x.new_zeros(x.shape[1], self.hidden)
            c0 = torch.zeros_like(h0) if self.cell == "lstm" else None
            weights = getattr(self, f"weight_ih_l0{d}"), getattr(self, f"weight_hh_l0{d}")
            outs.append(_ops.layer(x, *weights, None, None, h0, c0, tap=tap, **what)[0])
        return torch.cat(outs, -1)


class TappedCell(nn.Module):
    """One step per call, recorded as series ``cell``."""

    def __init__(self, size_in: int, hidden: int, cell: str = "rnn_tanh") -> None:
        super().__init__()
        self.inner = Tapped(size_in, hidden, cell)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        what = {"cell": self.inner.cell, "state_clip": None, "lengths": None, "reverse": False}
        tap = make_tap(self, "cell", x=x.unsqueeze(0), **what)
        weights = self.inner.weight_ih_l0, self.inner.weight_hh_l0
        return _ops.layer(x.unsqueeze(0), *weights, None, None, h, tap=tap, **what)[1]


def rotation(size: int, scale: float, dtype: torch.dtype = torch.float64) -> Tensor:
    """``scale * Q`` with Q orthogonal."""
    q, _ = torch.linalg.qr(torch.randn(size, size, dtype=dtype))
    return scale * q
