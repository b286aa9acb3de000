"""The fused ops under the transforms of torch.func, and in backwards that run under one.

A native op knows nothing of batched or tracked tensors: under forward mode it would even report a tangent of 0. So
under grad, vjp, jacrev and vmap the two autograd Functions below take the calls:

- a batch over the data folds into N: one fused call for all;
- a batch over the weights (an ensemble) is a fused call per member: weights are what a kernel keeps at hand;
- gradients of shared weights, per sample, come from one fused backward as dz and two batched products, or, where
  dz is wide, LSTM projects its state or a gradient is clipped or cut, from a fused backward per sample;
- second order is the torch composite's, as everywhere.

Forward mode (jvp, jacfwd, linearize) and functionalize take the composite from the start: see ``composite_only``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import TransformType, get_interpreter_stack
from torch.nn.functional import linear

from seqgrad import _composite

_Dims = Sequence[int | None]
_FUSED = (TransformType.Grad, TransformType.Vmap)

# Places among the nine inputs of an op: x, w_ih, w_hh, b_ih, b_hh, w_hr, h0, c0, lengths.
_WEIGHTS = range(1, 6)
_INPUT_AXES = (1, None, None, None, None, None, 0, 0, 0)  # where N is
_GRAD_AXES = (1, 0, 0, 1, 1)  # grad_out, grad_hn, grad_cn, out, saved
_RESULT_AXES = (1, 0, 0, 0, 0, 0, 0, 0, 2)  # of backward, once N is unfolded: the new axis

# Gates times units up to which the product with the identity that gives dz costs no more than what a call per sample
# does. Measured at N 8 to 32, T 50 to 100 on one core; at twice the width the calls are ahead by a third.
_WIDEST_DZ = 256


def active() -> bool:
    """Whether a transform of torch.func or forward-mode AD surrounds this call."""
    return torch._C._are_functorch_transforms_active() or torch.autograd.forward_ad._current_level >= 0


def by_legacy_vmap(*grads: Tensor | None) -> bool:
    """Whether torch.autograd.grad(is_grads_batched=True) asks; torch then calls an op of tensors alone in a loop."""
    return any(g is not None and torch._C._functorch.is_legacy_batchedtensor(g) for g in grads)


def composite_only() -> bool:
    """Whether one of the transforms needs torch ops all the way down."""
    if torch.autograd.forward_ad._current_level >= 0 or torch.compiler.is_compiling():
        return True
    return any(level.key() not in _FUSED for level in get_interpreter_stack() or ())


def layer(inputs: Sequence[Tensor | None], options: tuple[Any, ...]) -> tuple[Tensor, Tensor, Tensor | None]:
    """One layer and direction under grad and vmap: the nine inputs to out, hn and cn (LSTM, else None)."""
    out, hn, cn, _ = _Forward.apply(*inputs, options)
    return out, hn, None if inputs[7] is None else cn


def gradients(
    grads: Sequence[Tensor | None],
    out: Tensor,
    saved: Tensor,
    inputs: Sequence[Tensor | None],
    options: tuple[Any, ...],
    wanted: tuple[bool, bool, bool],
) -> Sequence[Any]:
    """Backward under any transform: gradients of the eight inputs, and the norms (None in forward mode)."""
    x = inputs[0]
    if composite_only() or (x is not None and x.dim() == 2):  # packed rows: one axis less than the folds below know
        return (*_composite.first_order(grads, inputs, options), None)
    return _Backward.apply(*grads, out, saved, *inputs, options, wanted)


class _Forward(torch.autograd.Function):
    @staticmethod
    def forward(*arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        *inputs, options = arguments
        with torch._C._AutoDispatchBelowAutograd():
            return torch.ops.seqgrad.forward.default(*inputs, None, *options, True)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        out, _, cn, saved = output
        ctx.save_for_backward(*inputs[:9], out, saved)
        ctx.options = inputs[9]
        ctx.mark_non_differentiable(*([saved, cn] if inputs[7] is None else [saved]))
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
        *inputs, out, saved = ctx.saved_tensors
        needs = ctx.needs_input_grad
        found = gradients(grads[:3], out, saved, inputs, ctx.options, (needs[0], any(needs[1:6]), False))
        return (*[g if need else None for g, need in zip(found[:8], needs, strict=False)], None, None)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> tuple[Any, Any]:
        *inputs, options = arguments
        if any(in_dims[k] is not None for k in _WEIGHTS):
            return _one_by_one(_Forward.apply, info.batch_size, in_dims, arguments)
        folded = _fold(inputs, in_dims, _INPUT_AXES, info.batch_size)
        out, hn, cn, saved = _Forward.apply(*folded, options)
        size, two = info.batch_size, inputs[7] is not None
        unfolded = _unfold(out, 1, size), _unfold(hn, 0, size), _unfold(cn, 0, size) if two else cn
        return (*unfolded, _unfold(saved, 1, size)), (1, 0, 0 if two else None, 1)


class _Backward(torch.autograd.Function):
    @staticmethod
    def forward(*arguments: Any) -> tuple[Tensor, ...]:
        *tensors, options, wanted = arguments
        with torch._C._AutoDispatchBelowAutograd():
            return torch.ops.seqgrad.backward.default(*tensors, *options, *wanted)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.save_for_backward(*inputs[:3], *inputs[5:14])
        ctx.options = inputs[14]
        ctx.mark_non_differentiable(output[8])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Any, ...]:
        tensors = ctx.saved_tensors
        found = _composite.second_order(cotangents[:8], tensors[:3], tensors[3:], ctx.options)
        return (*found[:3], None, None, *found[3:], None, None, None)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> tuple[Any, Any]:
        *tensors, options, (need_input, need_weights, norms) = arguments
        size, axes = info.batch_size, (*_GRAD_AXES, *_INPUT_AXES)
        # Clipped and truncated gradients are no derivatives: taken apart, their second order would be another.
        exact = options[3] == "none" and options[5] == 0
        by_product = exact and tensors[10] is None and tensors[6].shape[0] <= _WIDEST_DZ
        if any(in_dims[5 + k] is not None for k in _WEIGHTS) or (need_weights and not by_product):
            return _one_by_one(_Backward.apply, size, in_dims, arguments)
        folded = _fold(tensors, in_dims, axes, size)
        if need_weights:
            found = _per_sample(folded, options, (need_input, norms), size)
        else:
            found = _Backward.apply(*folded, options, (need_input, False, norms))
        there = [t.numel() > 0 or t.dim() > 1 for t in found]
        result = [
            _unfold(t, axis, size) if here and k not in _WEIGHTS else t
            for k, (t, axis, here) in enumerate(zip(found, _RESULT_AXES, there, strict=True))
        ]
        return tuple(result), tuple(axis if here else None for axis, here in zip(_RESULT_AXES, there, strict=True))


def _fold(tensors: Sequence[Any], in_dims: _Dims, axes: Sequence[int | None], size: int) -> list[Any]:
    """``[..., B, N, ...]`` as ``[..., B * N, ...]``, the axis of N given; what has no batch is repeated."""
    folded = []
    for tensor, dim, axis in zip(tensors, in_dims, axes, strict=False):
        if tensor is None or axis is None:
            folded.append(tensor)
            continue
        if dim is None:
            shape = list(tensor.shape)
            moved = tensor.unsqueeze(axis).expand(*shape[:axis], size, *shape[axis:])
        else:
            moved = tensor.movedim(dim, axis)
        folded.append(moved.flatten(axis, axis + 1))
    return folded


def _unfold(tensor: Tensor, axis: int, size: int) -> Tensor:
    return tensor.unflatten(axis, (size, tensor.shape[axis] // size))


def _one_by_one(
    call: Callable[..., Any], size: int, in_dims: tuple[Any, ...], arguments: Sequence[Any]
) -> tuple[Any, Any]:
    """A fused call per member of the batch; what a member returns is stacked."""
    rows = []
    for b in range(size):
        own = [
            a.select(d, b) if isinstance(a, Tensor) and d is not None else a
            for a, d in zip(arguments, in_dims, strict=True)
        ]
        rows.append(call(*own))
    stacked = tuple(torch.stack(column) for column in zip(*rows, strict=True))
    return stacked, tuple(0 for _ in stacked)


def _per_sample(folded: list[Any], options: tuple[Any, ...], needs: tuple[bool, bool], size: int) -> list[Tensor]:
    """Gradients of shared weights, one per sample of the batch, and the folded rest.

    The fused backward hands out dz, the gradient before the input's product, where W_ih is the identity; it is then
    the gradient of the input. The weights' gradients follow as batched products.
    """
    *front, x, w_ih, w_hh, b_ih, b_hh, _, h0, c0, lengths = folded
    need_input, norms = needs
    wx = linear(x, w_ih)
    eye = torch.eye(w_ih.shape[0], dtype=w_ih.dtype, device=w_ih.device)
    dz, *_, dh0, dc0, measured = _Backward.apply(
        *front, wx, eye, w_hh, b_ih, b_hh, None, h0, c0, lengths, options, (True, False, norms)
    )
    h = _before(front[3], h0, lengths, reverse=options[1])
    dz_h = dz
    if options[0] == "gru":  # its last gate sees the state through r
        width = w_hh.shape[1]
        gate = linear(h, w_hh[:width], None if b_hh is None else b_hh[:width]) + wx[..., :width]
        r = torch.sigmoid(gate if b_ih is None else gate + b_ih[:width])
        dz_h = torch.cat([dz[..., : 2 * width], dz[..., 2 * width :] * r], -1)

    def summed(left: Tensor, right: Tensor) -> Tensor:  # [T, B * N, *] twice to [B, *, *]
        a, b = (_unfold(t, 1, size).movedim(1, 0).flatten(1, 2) for t in (left, right))
        return torch.bmm(a.transpose(1, 2), b)

    none = x.new_empty(0)
    return [
        dz @ w_ih if need_input else none,
        summed(dz, x),
        summed(dz_h, h),
        none if b_ih is None else _unfold(dz, 1, size).sum((0, 2)),
        none if b_hh is None else _unfold(dz_h, 1, size).sum((0, 2)),
        none,
        dh0,
        dc0,
        measured,
    ]


def _before(out: Tensor, h0: Tensor, lengths: Tensor | None, reverse: bool) -> Tensor:
    """``[T, N, P]``: the state that each step started from."""
    if not reverse:
        return torch.cat([h0.unsqueeze(0), out[:-1]])
    later = torch.cat([out[1:], h0.unsqueeze(0)])
    if lengths is None:
        return later
    steps = torch.arange(out.shape[0], device=out.device).view(-1, 1, 1)
    return torch.where(steps == lengths.view(1, -1, 1) - 1, h0, later)
