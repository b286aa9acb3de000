"""Exercise: truncated BPTT with all that belongs to it: loss, zero_grad, step, and a state that is cut but kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import seqgrad as sg
from seqgrad.exercises._exercise import Facts, Wrong
from seqgrad.exercises._updates import WatchedSGD, slab

FUNCTION = "train_on"
STARTER = """
import torch


def train_on(model, optimizer, loss_fn, x, y, size):
    state = None
    for i in range(0, len(x), size):
        chunk = x[i : i + size]
        out, state = model(chunk, state)
        loss = loss_fn(out, y[i : i + size])
        loss.backward()
"""
STEPS, SIZE = 25, 10  # the last chunk is shorter


def judge(answer: Callable[..., Any]) -> Facts:
    """One sequence through an LSTM: every chunk's state and every update's gradient are compared."""
    torch.manual_seed(0)
    model = _Tagger()
    optimizer = WatchedSGD(model.parameters(), 0.5)
    x, y = torch.randn(STEPS, 3, 4), torch.randn(STEPS, 3, 1)
    expected: list[Tensor] = []
    optimizer.before_step = lambda: expected.append(model.gradient_of_last_call(y))
    try:
        answer(model, optimizer, nn.functional.mse_loss, x, y, SIZE)
    except RuntimeError as error:
        if "backward through the graph a second time" in str(error) or "modified by an inplace" in str(error):
            _look_at_states(model)
        raise
    _look_at_calls(model)
    _look_at_updates(optimizer.handed, expected)
    return {"chunks": len(model.calls), "size": SIZE}


class _Tagger(nn.Module):
    """An LSTM and a head on every state; notes each call's input and state."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = sg.LSTM(4, 8), nn.Linear(8, 1)
        self.calls: list[tuple[Tensor, Any]] = []

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """``x [T, N, 4]`` -> ``[T, N, 1]`` and the state ``(h, c)``."""
        self.calls.append((x, state))
        return self._run(x, state)

    def _run(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        out, state = self.rnn(x, state)
        return self.head(out), state

    def gradient_of_last_call(self, y: Tensor) -> Tensor:
        """What the chunk just seen should give, with the weights as they are now."""
        start = sum(len(x) for x, _ in self.calls[:-1])
        x, state = self.calls[-1]
        out, _ = self._run(x, sg.detach(state))
        loss = nn.functional.mse_loss(out, y[start : start + len(x)])
        return slab(torch.autograd.grad(loss, list(self.parameters())))


def _look_at_calls(model: _Tagger) -> None:
    lengths = [len(x) for x, _ in model.calls]
    right = [SIZE] * (STEPS // SIZE) + [STEPS % SIZE]
    if lengths != right:
        raise Wrong("chunks", got=", ".join(map(str, lengths)) or "–", expected=", ".join(map(str, right)))
    _look_at_states(model)


def _look_at_states(model: _Tagger) -> None:
    for _, state in model.calls[1:]:
        if state is None or not any(bool(part.any()) for part in state):
            raise Wrong("forgets_state")
        if any(part.requires_grad for part in state):
            tied = [name for name, part in zip("hc", state, strict=True) if part.requires_grad]
            raise Wrong("no_detach" if len(tied) == 2 else "half_detached", tied=tied[0])


def _look_at_updates(handed: list[Tensor], expected: list[Tensor]) -> None:
    chunks = STEPS // SIZE + 1
    if not handed:
        raise Wrong("no_step", chunks=chunks)
    if len(handed) != chunks:
        raise Wrong("steps", got=len(handed), chunks=chunks)
    for number, (got, right) in enumerate(zip(handed, expected, strict=True), 1):
        if float((got - right).norm()) <= 1e-3 * float(right.norm()):
            continue
        if number > 1 and float((got - right - handed[number - 2]).norm()) <= 1e-3 * float(got.norm()):
            raise Wrong("accumulates", chunk=number)
        raise Wrong("zeroed" if not bool(got.any()) else "other", chunk=number)
