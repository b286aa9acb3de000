"""Gradient clipping: of parameters, and of the carried state gradient inside the backward."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Real
from typing import Literal

import torch
from torch import Tensor

Parameters = Tensor | torch.nn.Module | Iterable[Tensor] | Iterable[tuple[str, Tensor]]
Nonfinite = Literal["raise", "skip", "keep"]


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)  # NumPy's scalars too


def _check_limit(name: str, value: float) -> None:
    if not _is_number(value):
        raise TypeError(f"{name} must be a positive number, got {type(value).__name__} {value!r}")
    if not value > 0:  # NaN too
        raise ValueError(f"{name} must be a positive number, got {value!r}; without clipping leave it out")


@dataclass(frozen=True)
class Norm:
    """Rescale dL/dh_t of each sample to L2 norm at most ``max_norm`` before step t's cell backward.

    The direction is kept, but the result is no longer the true gradient. A record tells where it bit:
    ``series.clip_hits[t, n]`` is 1 there, ``rec.clip_hits`` the sum. ``grad_h`` is the norm before. inf never bites.

    Raises:
        TypeError, ValueError: ``max_norm`` is no positive number.

    Example:
        >>> import seqgrad as sg
        >>> sg.RNN(10, 32, state_clip=sg.clip.Norm(1.0))
        RNN(10, 32, state_clip=Norm(max_norm=1.0))
    """

    max_norm: float

    def __post_init__(self) -> None:
        _check_limit("max_norm", self.max_norm)


@dataclass(frozen=True)
class Value:
    """Clamp every element of dL/dh_t to ``[-clip_value, clip_value]`` before step t's cell backward.

    This bends the direction, and the result is no longer the true gradient. ``series.clip_hits[t, n]`` is the number
    of elements that were clamped, ``rec.clip_hits`` their sum. ``grad_h`` is the norm before. inf never bites.

    Raises:
        TypeError, ValueError: ``clip_value`` is no positive number.

    Example:
        >>> import seqgrad as sg
        >>> sg.RNN(10, 32, state_clip=sg.clip.Value(0.5))
        RNN(10, 32, state_clip=Value(clip_value=0.5))
    """

    clip_value: float

    def __post_init__(self) -> None:
        _check_limit("clip_value", self.clip_value)


@torch.no_grad()
def grad_norm_(params: Parameters, max_norm: float, nonfinite: Nonfinite = "raise") -> Tensor:
    """Scale all gradients by one factor so that their joint L2 norm is at most ``max_norm``; returns the norm before.

    The direction is kept. Clipping cures exploding gradients, not vanishing ones, and cannot repair a NaN: the factor
    would be NaN too.

    Args:
        params: a module, a tensor, or an iterable of tensors or of (name, tensor), as from ``named_parameters()``:
            names make better errors. Those without a gradient are passed over.
        max_norm: number >= 0; inf only measures.
        nonfinite: what to do about a gradient that holds NaN or Inf.
            "raise": RuntimeError naming the parameter; gradients stay as they are.
            "skip": every gradient becomes None, so the coming ``optimizer.step()`` changes nothing.
            "keep": go on as torch does; one Inf zeroes every finite gradient, one NaN spreads to all.
            "raise" and "skip" wait for the device once, "keep" never. With them a norm too large for the dtype, of
            gradients all finite, is computed in float64 and clipped as any other; "keep" sees Inf there.

    Raises:
        TypeError, ValueError: bad arguments, a negative or NaN ``max_norm`` among them. RuntimeError: see above.

    Example:
        >>> layer = torch.nn.Linear(2, 1)
        >>> layer(torch.full((1, 2), 30.0)).sum().backward()
        >>> print(f"{grad_norm_(layer, 1.0):.2f} before, {grad_norm_(layer, 1.0):.2f} after")
        42.44 before, 1.00 after
    """
    if not _is_number(max_norm):
        raise TypeError(f"max_norm must be a number >= 0, got {type(max_norm).__name__} {max_norm!r}")
    if not max_norm >= 0:
        raise ValueError(f"max_norm must be a number >= 0, got {max_norm!r}")
    if nonfinite not in ("raise", "skip", "keep"):
        raise ValueError(f'nonfinite must be "raise", "skip" or "keep", got {nonfinite!r}')
    named = [(name, p) for name, p in _named(params) if p.grad is not None]
    tensors, grads = [p for _, p in named], [p.grad for _, p in named if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(grads)
    if nonfinite != "keep" and not bool(norm.isfinite()):
        culprit = next((named_p for named_p in named if not bool(named_p[1].grad.isfinite().all())), None)  # type: ignore[union-attr]
        if culprit is None:
            return _clip_in_double(grads, max_norm)
        if nonfinite == "raise":
            raise RuntimeError(_describe(culprit, max_norm))
        for p in tensors:
            p.grad = None
        return norm
    torch.nn.utils.clip_grads_with_norm_(tensors, max_norm, norm)
    return norm


@torch.no_grad()
def grad_value_(params: Parameters, value: float) -> None:
    """Clamp every element of every gradient to ``[-value, value]``. This bends the direction; NaN stays NaN.

    Args:
        params: as for :func:`grad_norm_`.
        value: positive number.

    Raises:
        TypeError, ValueError: ``value`` is no positive number, or ``params`` holds something else than tensors.

    Example:
        >>> layer = torch.nn.Linear(2, 1)
        >>> layer(torch.tensor([[30.0, 0.25]])).sum().backward()
        >>> grad_value_(layer, 1.0)
        >>> layer.weight.grad.tolist()
        [[1.0, 0.25]]
    """
    _check_limit("value", value)
    with_grad = [p for _, p in _named(params) if p.grad is not None]
    if with_grad:  # torch fails on an empty list
        torch.nn.utils.clip_grad_value_(with_grad, value)


def _named(params: Parameters) -> list[tuple[str, Tensor]]:
    if isinstance(params, torch.nn.Module):
        return list(params.named_parameters())
    if isinstance(params, Tensor):
        return [("", params)]
    if not isinstance(params, Iterable):
        raise TypeError(f"params must be a module, a tensor or an iterable of tensors, got {type(params).__name__}")
    items = list(params)
    named: list[tuple[str, Tensor]] = []
    for k, item in enumerate(items):
        name, tensor = item if isinstance(item, tuple) and len(item) == 2 else (f"#{k} of {len(items)}", item)
        if not isinstance(tensor, Tensor):
            raise TypeError(f"params must hold tensors or (name, tensor) pairs, got {type(tensor).__name__} at {k}")
        named.append((name, tensor))
    return named


def _clip_in_double(grads: list[Tensor], max_norm: float) -> Tensor:
    """Gradients of 1e30 are finite, their sum of squares is not: measure and scale in float64."""
    norm = torch.nn.utils.get_total_norm([g.double() for g in grads])
    factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)  # torch's own rule
    for g in grads:
        g.copy_(g.double() * factor.to(g.device))
    return norm


def _describe(culprit: tuple[str, Tensor], max_norm: float) -> str:
    name, p = culprit
    grad = p.grad
    assert grad is not None
    count = f"{int(grad.isnan().sum())} NaN and {int(grad.isinf().sum())} Inf among {grad.numel()} elements"
    return (
        f"the gradient of parameter {name or 'given'} (shape {list(p.shape)}) is not finite: {count}, so clipping to "
        f"max_norm={max_norm} would spread it. Look for the first bad timestep with seqgrad.record, lower the learning "
        'rate, or pass nonfinite="skip" to leave this step out'
    )
