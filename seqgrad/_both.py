"""Both directions of a bidirectional layer in one native call: eager code on the CPU, without a transform around it.

``seqgrad::forward_both`` writes the two halves of one output, so nothing is concatenated, and runs the directions at
the same time where one alone would leave a thread idle. It is for nobody to trace: compiled and exported code,
transforms and other devices take one direction at a time, and so do double backward and batches of gradients here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from seqgrad import _func, _ops
from seqgrad.clip import Norm, Value

_OPS = torch.ops.seqgrad
_WEIGHTS = 5  # of a direction: w_ih, w_hh, b_ih, b_hh, w_hr


def layer(
    x: Tensor,
    ahead: Sequence[Tensor | None],
    back: Sequence[Tensor | None],
    h0: Tensor,
    c0: Tensor | None,
    *,
    cell: str,
    lengths: Tensor | None = None,
    scale: float = 1.0,
    truncate: int = 0,
    state_clip: Norm | Value | None = None,
    taps: Sequence[_ops.Tap | None] = (None, None),
) -> tuple[Tensor, Tensor, Tensor | None]:
    """``x [T, N, I]`` or packed rows, the weights of both directions, ``h0 [2, N, P]``, ``c0 [2, N, H]`` (LSTM).

    Returns ``out [T, N, 2P]``, ``hn [2, N, P]`` and ``cn [2, N, H]`` (LSTM, else None). The rest as for ``_ops.layer``;
    ``taps``: a function each, which takes the norms ``[Q, T, N]`` of its direction.
    """
    cell, _, *rest = _ops.options(cell, False, scale, state_clip, truncate)
    settings = (cell, *rest)
    tensors = (x, *ahead, *back, h0, c0)
    handle = None if taps[0] is None and taps[1] is None else _ops.handle(x.device)[0]
    cn: Tensor | None
    if torch.is_grad_enabled() and _ops.any_wants_grad(x, *ahead, *back, h0, c0, handle):
        out, hn, *more = _apply(*tensors, handle, (lengths, settings, taps))
        cn = more[0] if more else None
    else:
        with torch._C._AutoDispatchBelowAutograd():
            out, hn, cn, _ = _OPS.forward_both.default(x, *_of_each(ahead, back, h0, c0), lengths, *settings, False)
        cn = None if c0 is None else cn
    return out, hn, cn


def _of_each(
    ahead: Sequence[Tensor | None], back: Sequence[Tensor | None], h0: Tensor, c0: Tensor | None
) -> tuple[list[Tensor], list[Tensor]]:
    """The tensors of each direction as the op wants them: those that are there, then the states."""
    found = []
    for d, weights in enumerate((ahead, back)):
        own = [w for w in weights if w is not None]
        own.append(h0[d])
        if c0 is not None:
            own.append(c0[d])
        found.append(own)
    return found[0], found[1]


class _Both(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, *arguments: Any) -> tuple[Tensor, ...]:
        *weights, h0, c0, _, fixed = arguments
        lengths, settings, _ = ctx.fixed = fixed
        pair = _of_each(weights[:_WEIGHTS], weights[_WEIGHTS:], h0, c0)
        with torch._C._AutoDispatchBelowAutograd():
            out, hn, cn, saved = _OPS.forward_both.default(x, *pair, lengths, *settings, True)
        ctx.save_for_backward(x, *weights, h0, c0, lengths, out, saved)
        ctx.set_materialize_grads(False)
        return (out, hn) if c0 is None else (out, hn, cn)

    @staticmethod
    def backward(
        ctx: Any, grad_out: Tensor | None, grad_hn: Tensor | None, grad_cn: Tensor | None = None
    ) -> tuple[Any, ...]:
        x, *rest = ctx.saved_tensors
        needs, (_, settings, taps) = ctx.needs_input_grad, ctx.fixed
        record = needs[-2] and _ops.will_run(_ops.handle(x.device)[1])
        wanted = needs[0], True in needs[1 : 1 + 2 * _WEIGHTS], record
        grads = grad_out, grad_hn, grad_cn
        if torch.is_grad_enabled() or _func.active() or _func.by_legacy_vmap(*grads):
            found, norms = _apart(grads, x, rest, settings, wanted)
        else:
            found, norms = _together(grads, x, rest, settings, wanted)
        for d in (1, 0):  # as two layers would: the last one first
            if taps[d] is not None:
                taps[d](norms[d] if record else None)
        return (*[g if need else None for g, need in zip(found, needs, strict=False)], None, None)


_Grads = tuple[Tensor | None, Tensor | None, Tensor | None]
_Wanted = tuple[bool, bool, bool]
_Found = tuple[Sequence[Tensor | None], Sequence[Tensor]]  # gradients of x, weights, h0 and c0; norms of each direction


def _together(grads: _Grads, x: Tensor, rest: Sequence[Any], settings: tuple[Any, ...], wanted: _Wanted) -> _Found:
    *weights, h0, c0, lengths, out, saved = rest
    pair = _of_each(weights[:_WEIGHTS], weights[_WEIGHTS:], h0, c0)
    with torch._C._AutoDispatchBelowAutograd():
        found = _OPS.backward_both.default(*grads, out, saved, x, *pair, lengths, *settings, *wanted)
    each = 1 + _WEIGHTS
    dx, other = found[0], found[each]
    if wanted[0]:
        dx.add_(other)
    dh0, dc0, norms = found[2 * each :]
    return (dx, *found[1:each], *found[each + 1 : 2 * each], dh0, dc0), norms


def _apart(grads: _Grads, x: Tensor, rest: Sequence[Any], settings: tuple[Any, ...], wanted: _Wanted) -> _Found:
    """The same by the ops of one direction, which know double backward and transforms."""
    *weights, h0, c0, lengths, out, saved = rest
    grad_out, grad_hn, grad_cn = grads
    width, ways, norms = out.shape[-1] // 2, [], []
    for d in (0, 1):
        half = slice(d * width, (d + 1) * width)
        own = (
            None if grad_out is None else grad_out[..., half],
            None if grad_hn is None else grad_hn[d],
            None if grad_cn is None else grad_cn[d],
        )
        given = (x, *weights[d * _WEIGHTS : (d + 1) * _WEIGHTS], h0[d], None if c0 is None else c0[d], lengths)
        cell, *more = settings
        found = _ops.pull((cell, d == 1, *more), own, (*given, out[..., half], saved[d]), wanted)
        ways.append(found[:8])
        norms.append(found[8])
    (dx, *dw, dh0, dc0), (other, *dw_back, dh0_back, dc0_back) = ways
    total = dx + other if wanted[0] else None
    dc = None if c0 is None else torch.stack([dc0, dc0_back])
    return (total, *dw, *dw_back, torch.stack([dh0, dh0_back]), dc), norms


_apply: Callable[..., Any] = super(torch.autograd.Function, _Both).apply
