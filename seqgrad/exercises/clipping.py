"""Exercise: the one right place for clipping in a training step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import seqgrad as sg
from seqgrad.exercises._exercise import Facts, Wrong, close
from seqgrad.exercises._networks import Classifier
from seqgrad.exercises._updates import WatchedSGD, slab

FUNCTION = "training_step"
STARTER = """
import torch


def training_step(model, optimizer, loss_fn, x, y, max_norm):
    torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.zero_grad()
    loss = loss_fn(model(x), y)
    loss.backward()
    optimizer.step()
    return loss
"""
MAX_NORM = 0.5


def judge(answer: Callable[..., Any]) -> Facts:
    """Three steps on one network: what the optimizer is handed at each must be the clipped gradient of that batch."""
    torch.manual_seed(0)
    model = Classifier(sg.GRU(4, 12))
    optimizer = WatchedSGD(model.parameters(), 0.1)
    facts: Facts = {}
    for number in range(3):
        # Loud, then a quiet batch that must come through unclipped.
        x, y = torch.randn(20, 6, 4) * (1e-3 if number == 1 else 3), torch.randint(2, (6,))
        scale = 1e-2 if number == 1 else 40.0
        facts = _step(
            answer, model, optimizer, lambda out, target, k=scale: k * nn.functional.cross_entropy(out, target), x, y
        )
    return facts


def _step(
    answer: Callable[..., Any], model: Classifier, optimizer: WatchedSGD, loss_fn: Callable[..., Tensor], x: Tensor,
    y: Tensor,
) -> Facts:  # fmt: skip
    parameters = list(model.parameters())
    true = slab(torch.autograd.grad(loss_fn(model(x), y), parameters))
    left_over = slab([torch.zeros_like(p) if p.grad is None else p.grad for p in parameters])
    optimizer.handed.clear()
    answer(model, optimizer, loss_fn, x, y, MAX_NORM)
    norm = float(true.norm())
    facts = {"norm": norm, "max_norm": MAX_NORM, "updates": len(optimizer.handed)}
    if len(optimizer.handed) != 1:
        raise Wrong("updates", **facts)
    got = optimizer.handed[0]
    facts |= {"got": float(got.norm())}
    if _same(got, _clipped(true)):
        return facts
    after = slab([torch.zeros_like(p) if p.grad is None else p.grad for p in parameters])
    total = true + left_over
    if float(got.norm()) == 0:
        raise Wrong("zeroed", **facts)
    if float(left_over.norm()) > 0 and any(_same(got, v) for v in (total, _clipped(total), true + _clipped(left_over))):
        raise Wrong("accumulates", **facts)
    if _same(got, true):
        raise Wrong("after_step" if _same(after, _clipped(true)) else "unclipped", **facts)
    if _same(got, true.clamp(-MAX_NORM, MAX_NORM)):
        raise Wrong("by_value", **facts)
    if _same(got, torch.cat([_clipped(part) for part in true.split([p.numel() for p in parameters])])):
        raise Wrong("each", **facts)
    if close(float(torch.nn.functional.cosine_similarity(got, true, dim=0)), 1.0):
        raise Wrong("length", **facts)
    raise Wrong("other", **facts)


def _clipped(gradient: Tensor) -> Tensor:
    return gradient * min(1.0, MAX_NORM / max(float(gradient.norm()), 1e-30))


def _same(a: Tensor, b: Tensor) -> bool:
    return float((a - b).norm()) <= 1e-4 * float(b.norm())  # torch divides by norm + 1e-6
