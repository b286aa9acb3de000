"""What the tests of compiled and exported layers share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo import lookup_backend
from torch._guards import CompileContext
from torch.nn.utils.rnn import PackedSequence

import seqgrad as sg

LAYERS = (sg.RNN, sg.GRU, sg.LSTM, sg.ResidualRNN)
CELLS = (sg.RNNCell, sg.GRUCell, sg.LSTMCell, sg.ResidualRNNCell)
SHAPES = ((7, 3), (9, 4), (11, 6), (5, 2))  # (T, N): the second differs in both, so both are dynamic from there on


def tensors(found: Any) -> list[Tensor]:
    """All tensors of an output, in order."""
    if isinstance(found, Tensor):
        return [found]
    if isinstance(found, PackedSequence):
        return [found.data]
    return [t for part in found for t in tensors(part)]


def solve(call: Any, x: Tensor, module: nn.Module) -> list[Tensor]:
    """Outputs of ``call(x)`` and the gradients of input and parameters, for one seed."""
    torch.manual_seed(3)
    outputs = tensors(call(x))
    loss = sum((t * t.detach().cos()).sum() for t in outputs)
    grads = torch.autograd.grad(loss, [x, *module.parameters()], allow_unused=True)
    return [*outputs, *[g for g in grads if g is not None]]


class Counter:
    """A backend that counts graphs by compilation: one that torch starts anew has two, of which the second stays."""

    def __init__(self, backend: str) -> None:
        self._compile, self._compilations = lookup_backend(backend), set()

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Any]) -> Any:
        self._compilations.add(CompileContext.current_compile_id())
        return self._compile(graph, inputs)

    @property
    def frame_count(self) -> int:
        return len(self._compilations)


def counted(module: Any, backend: str, **options: Any) -> tuple[Any, Counter]:
    """``module`` compiled to whole graphs, and the counter of its graphs (``frame_count``)."""
    counter = Counter(backend)
    return torch.compile(module, backend=counter, fullgraph=True, **options), counter


@contextmanager
def inductor_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Inductor with its files in ``folder`` and without worker processes that outlive the test."""
    from torch._inductor import config

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder))
    with config.patch(compile_threads=1):
        yield
