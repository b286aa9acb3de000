"""Arrays larger than the caches are written past them (csrc/cpu/blocked.h): the same bits as in smaller batches."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import seqgrad as sg

N = 64


def run(layer: torch.nn.Module, x: Tensor) -> list[Tensor]:
    x = x.clone().requires_grad_()
    out, final = layer(x)
    out.square().sum().backward()
    assert x.grad is not None
    return [out.detach(), *(h.detach() for h in (final if isinstance(final, tuple) else (final,))), x.grad]


@pytest.mark.parametrize(
    ("layer", "steps"),
    [
        (sg.LSTM(8, 256), 128),  # 42 MB of saved
        (sg.GRU(8, 256), 160),
        (sg.LSTM(8, 264), 128),  # rows that are not whole lines
        (sg.RNN(8, 256), 520),  # 34 MB of out
        (sg.LSTM(4, 24, bidirectional=True), 5600),  # of each direction half a row, of half-filled vectors
        (sg.RNN(4, 16, bidirectional=True, dtype=torch.float64), 4200),
    ],
    ids=lambda value: f"{value}",
)
def test_halves_of_a_large_batch_have_its_bits(layer: torch.nn.Module, steps: int) -> None:
    x = torch.randn(steps, N, layer.input_size, dtype=next(layer.parameters()).dtype)
    whole = run(layer, x)
    halves = [run(layer, part) for part in x.split(N // 2, dim=1)]
    for one, *parts in zip(whole, *halves, strict=True):
        assert torch.equal(one, torch.cat(parts, dim=1))
