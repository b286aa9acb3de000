"""Optimizers that remember what they were handed: a judge compares gradients, not sources."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


def slab(tensors: Iterable[Tensor]) -> Tensor:
    """All of them as one vector of float64, apart from them."""
    return torch.cat([t.detach().double().flatten() for t in tensors])


class WatchedSGD(torch.optim.SGD):
    """``handed``: at each ``step()`` the gradient of all parameters as one vector, zero where there was none."""

    def __init__(self, parameters: Iterable[torch.nn.Parameter], lr: float) -> None:
        super().__init__(parameters, lr)
        self.handed: list[Tensor] = []
        self.before_step: Callable[[], Any] = lambda: None

    def step(self, closure: Any = None) -> Any:
        """Note the gradient, then move."""
        self.before_step()
        parameters = [p for group in self.param_groups for p in group["params"]]
        self.handed.append(slab([torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]))
        return super().step(closure)
