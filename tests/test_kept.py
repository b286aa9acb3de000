"""What the forward keeps for the backward lies in memory that the next step uses again (csrc/core/kept.h)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import seqgrad as sg
from seqgrad._ops import CPU_ENGINE, saved_by

T, N, H = 100, 40, 96  # 7.7 MB of an LSTM
OLD = torch.torch_version.TorchVersion(torch.__version__) < (2, 11)
pytestmark = [
    pytest.mark.skipif(not CPU_ENGINE, reason="of the CPU engine"),
    pytest.mark.skipif(OLD, reason="torch 2.10 takes no memory from elsewhere"),
]


def address(out: Tensor) -> int:
    saved = saved_by(out)
    assert saved is not None
    return saved.data_ptr()


def gradients(layer: torch.nn.Module, loss: Tensor, retain_graph: bool = False) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(layer.parameters()), retain_graph=retain_graph))


def equal(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


def test_the_next_step_uses_the_memory_of_the_last() -> None:
    layer, x = sg.LSTM(8, H), torch.randn(T, N, 8)
    found = set()
    for _ in range(4):
        out = layer(x)[0]
        found.add(address(out))
        out.sum().backward()
        del out
    assert len(found) == 1
    shorter = layer(x[: T * 2 // 3])[0]
    assert address(shorter) in found


def test_a_graph_that_lives_keeps_its_memory_to_itself() -> None:
    layer, x, y = sg.LSTM(8, H), torch.randn(T, N, 8), torch.randn(T, N, 8)
    alone = gradients(layer, layer(x)[0].square().mean())
    first = layer(x)[0]
    loss = first.square().mean()
    assert equal(gradients(layer, loss, retain_graph=True), alone)
    for _ in range(2):
        second = layer(y)[0]
        assert address(second) != address(first)
        second.sum().backward()
    assert equal(gradients(layer, loss), alone)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_old_values_in_the_memory_change_nothing(bidirectional: bool) -> None:
    """Ragged batches leave what lies beyond a length unwritten: there is the last step's NaN."""
    layer = sg.LSTM(8, H, bidirectional=bidirectional)
    x = torch.randn(T, N, 8)
    lengths = torch.randint(1, T, (N,))
    alone = gradients(layer, layer(x, lengths=lengths)[0].square().mean())
    layer(torch.full((T, N, 8), torch.nan))[0].sum().backward()
    assert equal(gradients(layer, layer(x, lengths=lengths)[0].square().mean()), alone)
