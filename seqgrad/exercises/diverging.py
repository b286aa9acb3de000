"""Exercise: a training that ends in NaN, to be mended."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

import seqgrad as sg
from seqgrad.exercises._exercise import Facts, Wrong
from seqgrad.exercises._networks import Classifier, copy_of, signal_at_start

FUNCTION = "train"
STARTER = """
import torch


def train(model, batches):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    losses = []
    for x, y in batches:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
"""
STEPS, LENGTH, HIDDEN, BATCH, GAIN, LOUD = 150, 50, 32, 32, 1.2, 100.0


def judge(answer: Callable[..., Any]) -> Facts:
    """Two relu networks with W_hh = 1.2 times the identity; after the training the loss on fresh data must be low."""
    facts: Facts = {}
    for seed in range(2):
        torch.manual_seed(seed)
        model = Classifier(sg.RNN(10, HIDDEN, nonlinearity="relu"))
        sg.init.identity_(model.rnn, GAIN)
        facts = _one(answer, model)
    return facts


def _one(answer: Callable[..., Any], model: Classifier) -> Facts:
    x, y = _batch(500)
    first, before, watch = _loss(model, x, y), copy_of(model), _Watch(model)
    batches = _Batches(STEPS)
    try:
        losses = answer(model, batches)
    finally:
        watch.close()
    after = copy_of(model)
    last = _loss(model, x, y)
    facts = {"first": first, "last": last, "steps": STEPS, "taken": batches.taken, "updates": watch.updates}
    facts |= {"loud_at": watch.loud_at, "loud": watch.loud, "goal": first / 5}
    if batches.taken < STEPS:
        raise Wrong("stopped_early", **facts)
    if not all(bool(value.isfinite().all()) for value in after.values()) or not math.isfinite(last):
        raise Wrong("unclipped" if watch.loud_at else "nan", **facts)
    if not isinstance(losses, (list, tuple)) or len(losses) != STEPS:
        got = f"{type(losses).__name__} ({len(losses)})" if isinstance(losses, (list, tuple)) else type(losses).__name__
        raise Wrong("wrong_type", expected=f"list ({STEPS})", got=got)
    if all(torch.equal(before[name], after[name]) for name in before):
        raise Wrong("no_update", **facts)
    if last > first / 5:
        raise Wrong("skipped" if watch.updates < STEPS else "too_slow", **facts)
    return facts


class _Batches:
    """An iterable of fresh batches that counts what was taken."""

    def __init__(self, count: int) -> None:
        self.count, self.taken = count, 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        while self.taken < self.count:
            self.taken += 1
            yield _batch(BATCH)


class _Watch:
    """Notes at every optimizer's step, whichever the answer builds, how large the gradient is that it is handed."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.updates, self.loud_at, self.loud = model, 0, 0, 0.0
        self._handle = register_optimizer_step_pre_hook(self._look)

    def _look(self, *unused: Any) -> None:
        grads = [p.grad for p in self.model.parameters() if p.grad is not None]
        self.updates += bool(grads)
        norm = float(torch.nn.utils.get_total_norm(grads))
        if norm > LOUD and not self.loud_at:
            self.loud_at, self.loud = self.updates, norm

    def close(self) -> None:
        """Stop looking."""
        self._handle.remove()


def _batch(size: int) -> tuple[Tensor, Tensor]:
    x = signal_at_start(LENGTH, size, 10)
    return x, (x[0, :, 0] > 0).long()


def _loss(model: nn.Module, x: Tensor, y: Tensor) -> float:
    with torch.no_grad():
        return float(nn.functional.cross_entropy(model(x), y))
