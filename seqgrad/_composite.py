"""First and second order of a layer in torch ops, for what the fused backward can't be asked: its own derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from seqgrad import _reference


def layer(inputs: Sequence[Tensor | None], options: tuple[Any, ...]) -> tuple[Tensor, Tensor, Tensor | None]:
    """The nine inputs of the ops to out, hn and cn (LSTM, else None), by torch ops alone."""
    x, w_ih, w_hh, b_ih, b_hh, w_hr, h0, c0, lengths = inputs
    cell, reverse, scale, clip, limit, truncate = options
    assert x is not None and w_ih is not None and w_hh is not None and h0 is not None
    rows = None
    if x.dim() == 2 and lengths is not None:  # packed: one row per sample alive, step by step
        alive = torch.arange(int(lengths.max()), device=x.device).unsqueeze(1) < lengths
        rows = alive.flatten().nonzero().squeeze(1)
        x = x.new_zeros(alive.numel(), x.size(1)).index_copy(0, rows, x).unflatten(0, alive.shape)
    result = _reference.layer(
        x, w_ih, w_hh, b_ih, b_hh, h0, c0, cell=cell, lengths=lengths, w_hr=w_hr, scale=scale,
        reverse=reverse, truncate=truncate, state_clip=clip_function(clip, limit),
    )  # fmt: skip
    out = result.out if rows is None else result.out.flatten(0, 1).index_select(0, rows)
    return out, result.hn, result.cn


def clip_function(clip: str, limit: float) -> Callable[[Tensor], Tensor] | None:
    """What state_clip does to the gradient ``[N, P]`` of one step; None for no clipping."""
    if clip == "none":
        return None
    if clip == "value":
        return lambda g: g.clamp(-limit, limit)

    def rescale(g: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(g.detach(), dim=-1, keepdim=True)
        over = norm > limit
        smooth = torch.linalg.vector_norm(torch.where(over, g, torch.ones_like(g)), dim=-1, keepdim=True)
        return torch.where(over, g * (limit / smooth), g)

    return rescale


def first_order(
    grads: Sequence[Tensor | None], inputs: Sequence[Tensor | None], options: tuple[Any, ...]
) -> list[Tensor | None]:
    """Gradients of the eight inputs for those of out, hn and cn, under any transform of torch.func."""
    places = [k for k, t in enumerate(inputs[:8]) if t is not None]
    found = _pull(grads, places, inputs, options)(*[inputs[k] for k in places])
    return [found[places.index(k)] if k in places else None for k in range(8)]


def second_order(
    cotangents: Sequence[Tensor | None],
    grads: Sequence[Tensor | None],
    inputs: Sequence[Tensor | None],
    options: tuple[Any, ...],
) -> list[Tensor | None]:
    """What ``cotangents`` of the eight gradients give for grads and inputs: eleven results."""
    tensors = [*grads, *inputs[:8]]
    live = [k for k, t in enumerate(tensors) if t is not None]
    asked = [k for k, v in enumerate(cotangents) if v is not None and inputs[k] is not None]
    if not asked or all(g is None for g in grads):
        return [None] * 11

    def first(*given: Tensor) -> tuple[Tensor, ...]:
        every: list[Tensor | None] = [None] * 11
        for k, t in zip(live, given, strict=True):
            every[k] = t
        places = [k for k in range(8) if every[3 + k] is not None]
        found = _pull(every[:3], places, inputs, options)(*[every[3 + k] for k in places])
        return tuple(found[places.index(k)] for k in asked)

    pull: Callable[..., tuple[Tensor, ...]] = torch.func.vjp(first, *[tensors[k] for k in live])[1]
    found = pull(tuple(cotangents[k] for k in asked))
    return [found[live.index(k)] if k in live else None for k in range(11)]


def _pull(
    grads: Sequence[Tensor | None], places: list[int], inputs: Sequence[Tensor | None], options: tuple[Any, ...]
) -> Callable[..., tuple[Tensor, ...]]:
    """The gradients as a function of the inputs at ``places``."""

    def outputs(*given: Tensor) -> tuple[Tensor, ...]:
        every = list(inputs)
        for k, t in zip(places, given, strict=True):
            every[k] = t
        found = layer(every, options)
        return tuple(o for o, g in zip(found, grads, strict=True) if o is not None and g is not None)

    def gradients(*given: Any) -> tuple[Tensor, ...]:
        terms = tuple(g for g in grads if g is not None)
        if not terms:
            return tuple(torch.zeros_like(t) for t in given)
        pull: Callable[..., tuple[Tensor, ...]] = torch.func.vjp(outputs, *given)[1]
        return pull(terms)

    return gradients
