"""The native ops as torch sees them: typed call, fake kernels, autograd, double backward.

``seqgrad::forward`` runs one layer and direction over all time steps, ``seqgrad::backward`` goes back through them.
The norms leave as a gradient: ``forward`` takes a *tap*, a zero tensor ``[Q, T, N]`` that takes no part in the
computation, and the gradient of the tap is defined to be the norms. So they travel through autograd like any gradient,
without hooks into the engine. It is no mathematical derivative: gradcheck leaves the tap out, and double backward
treats the norms as constants.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqgrad import _graph_tap, _reference
from seqgrad._ext import Warnings, extension
from seqgrad.clip import Norm, Value


class Cell(NamedTuple):
    """One row of the native list of cells (csrc/cells/cells.h)."""

    name: str
    gates: int  # G: rows of the weights are G * H
    states: int  # 1: h, 2: h and c
    saved: int  # values per unit kept for backward


CELLS: dict[str, Cell] = {row[0]: Cell(*row) for row in extension().CELLS}
_WARNINGS = Warnings()
_waiting = _WARNINGS.waiting


def _warn() -> None:
    """Pass on what native code warned of. Compiled code does not come by: there it waits for the next eager call."""
    for line in _WARNINGS.take():
        warnings.warn(line, stacklevel=4)


def quantities(cell: str, state_clip: Norm | Value | None) -> tuple[str, ...]:
    """Names of the rows of a tap, in order."""
    names = ["grad_h", "grad_carry"]
    if CELLS[cell].states == 2:
        names.append("grad_c")
    if state_clip is not None:
        names.append("clip_hits")
    return tuple(names)


def _clip_arguments(state_clip: Norm | Value | None) -> tuple[str, float]:
    if state_clip is None:
        return "none", 0.0
    if isinstance(state_clip, Norm):
        return "norm", float(state_clip.max_norm)
    if isinstance(state_clip, Value):
        return "value", float(state_clip.clip_value)
    raise TypeError(
        f"state_clip must be None, seqgrad.clip.Norm or seqgrad.clip.Value, got {type(state_clip).__name__}"
    )


def layer(
    x: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    h0: Tensor,
    c0: Tensor | None = None,
    *,
    cell: str,
    lengths: Tensor | None = None,
    w_hr: Tensor | None = None,
    scale: float = 1.0,
    reverse: bool = False,
    truncate: int = 0,
    state_clip: Norm | Value | None = None,
    tap: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """One layer and direction: ``x [T, N, I]`` to ``out [T, N, P]``, ``hn [N, P]``, ``cn [N, H]`` (LSTM, else None).

    ``w_ih [G*H, I]``, ``w_hh [G*H, P]``, biases ``[G*H]``, ``w_hr [P, H]``, ``h0 [N, P]``, ``c0 [N, H]``,
    ``lengths [N]`` int64, ``tap [Q, T, N]`` with Q the number of ``quantities``. ``truncate`` 0 is off.
    """
    save = torch.is_grad_enabled() and any(
        t is not None and t.requires_grad for t in (x, w_ih, w_hh, b_ih, b_hh, w_hr, h0, c0, tap)
    )
    clip, limit = _clip_arguments(state_clip)
    arguments = (
        x,
        w_ih,
        w_hh,
        b_ih,
        b_hh,
        w_hr,
        h0,
        c0,
        lengths,
        tap,
        cell,
        reverse,
        scale,
        clip,
        limit,
        truncate,
        save,
    )
    if torch.compiler.is_compiling():
        if _graph_tap.exporting():
            # An exported program is there to be run: where it is trained all the same, the backward pays.
            arguments = (*arguments[:-1], False)
        out, hn, cn, _ = torch.ops.seqgrad.forward.default(*arguments)
        return out, hn, cn if CELLS[cell].states == 2 else None
    if save:
        out, hn, cn, _ = _Forward.apply(*arguments)
    else:
        out, hn, cn, _ = _below_autograd(arguments)
    if _waiting.value:
        _warn()
    return out, hn, cn if CELLS[cell].states == 2 else None


def _arithmetic(x: Tensor) -> torch.dtype:
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _check_devices(x: Tensor, **others: Tensor | None) -> None:
    """The native check, for fake kernels: one meta tensor among real ones would come back as unwritten memory."""
    for name, t in others.items():
        if t is not None and t.device != x.device:
            raise ValueError(f"seqgrad: {name} must be on the same device as the input, {x.device}, got {t.device}")


@torch.library.register_fake("seqgrad::forward")
def _(
    x: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    w_hr: Tensor | None,
    h0: Tensor,
    c0: Tensor | None,
    lengths: Tensor | None,
    tap: Tensor | None,
    cell: str,
    reverse: bool,
    scale: float,
    clip: str,
    clip_limit: float,
    truncate: int,
    save: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    _check_devices(x, w_ih=w_ih, w_hh=w_hh, b_ih=b_ih, b_hh=b_hh, w_hr=w_hr, h0=h0, c0=c0, lengths=lengths)
    steps, batch = x.shape[0], x.shape[1]
    info = CELLS[cell]
    hidden, width = w_hh.shape[0] // info.gates, w_hh.shape[1]
    cn = x.new_empty((batch, hidden) if info.states == 2 else (0,))
    saved = x.new_empty((steps, batch, info.saved, hidden) if save else (0,), dtype=_arithmetic(x))
    return x.new_empty(steps, batch, width), x.new_empty(batch, width), cn, saved


@torch.library.register_fake("seqgrad::backward")
def _(
    grad_out: Tensor | None,
    grad_hn: Tensor | None,
    grad_cn: Tensor | None,
    out: Tensor,
    saved: Tensor,
    x: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    w_hr: Tensor | None,
    h0: Tensor,
    c0: Tensor | None,
    lengths: Tensor | None,
    cell: str,
    reverse: bool,
    scale: float,
    clip: str,
    clip_limit: float,
    truncate: int,
    need_input: bool,
    need_weights: bool,
    norms: bool,
) -> tuple[Tensor, ...]:
    def like(t: Tensor | None, wanted: bool) -> Tensor:
        return x.new_empty(t.shape if wanted and t is not None else (0,))

    rows = CELLS[cell].states + 1 + (clip != "none")
    measured = x.new_empty((rows, x.shape[0], x.shape[1]) if norms else (0,), dtype=_arithmetic(x))
    weights = [like(t, need_weights) for t in (w_ih, w_hh, b_ih, b_hh, w_hr)]
    return (like(x, need_input), *weights, like(h0, True), like(c0, True), measured)


# Positions of the differentiable inputs among the arguments of each op.
_FORWARD_TENSORS = 8  # x, w_ih, w_hh, b_ih, b_hh, w_hr, h0, c0
_BACKWARD_FIRST = 5  # the same eight, behind grad_out, grad_hn, grad_cn, out, saved
_Grads = tuple[Tensor | None, ...]


def _setup_forward(ctx: Any, inputs: Sequence[Any], output: tuple[Tensor, ...]) -> None:
    out, _, _, saved = output
    ctx.save_for_backward(*inputs[:9], out, saved)  # the eight and lengths
    ctx.record = inputs[9] is not None
    ctx.options = inputs[10:16]
    ctx.set_materialize_grads(False)


def _forward_backward(
    ctx: Any, grad_out: Tensor | None, grad_hn: Tensor | None, grad_cn: Tensor | None, _: Any
) -> tuple[Any, ...]:
    *inputs, out, saved = ctx.saved_tensors
    if saved.dim() == 1:  # not saved: the backward of an exported program
        with torch.no_grad():
            *_, saved = torch.ops.seqgrad.forward.default(*inputs, None, *ctx.options, True)
    needs = ctx.needs_input_grad
    norms = ctx.record and needs[9]
    dx, dw_ih, dw_hh, db_ih, db_hh, dw_hr, dh0, dc0, measured = torch.ops.seqgrad.backward.default(
        grad_out, grad_hn, grad_cn, out, saved, *inputs, *ctx.options, needs[0], any(needs[1:6]), norms
    )
    grads = (dx, dw_ih, dw_hh, db_ih, db_hh, dw_hr, dh0, dc0)
    wanted = [g if need else None for g, need in zip(grads, needs, strict=False)]
    return (*wanted, None, measured.detach() if norms else None, *[None] * 7)


torch.library.register_autograd("seqgrad::forward", _forward_backward, setup_context=_setup_forward)


def _below_autograd(arguments: Sequence[Any]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    with torch._C._AutoDispatchBelowAutograd():
        return torch.ops.seqgrad.forward.default(*arguments)


class _Forward(torch.autograd.Function):
    """The two functions registered above, by a shorter road.

    torch.library's general one, which compiled code takes, costs an eager call more time than a small layer does.
    """

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        output = _below_autograd(arguments)
        _setup_forward(ctx, arguments, output)
        ctx.mark_non_differentiable(output[3])
        return output

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
        found = _forward_backward(ctx, *grads)
        if _waiting.value:
            _warn()
        return found


def _setup_backward(ctx: Any, inputs: Sequence[Any], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*inputs[:3], *inputs[_BACKWARD_FIRST : _BACKWARD_FIRST + 9])
    ctx.options = inputs[14:20]
    ctx.set_materialize_grads(False)


def _backward_backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
    """Double backward: the same layer once more in torch ops, differentiated twice."""
    *tensors, lengths = ctx.saved_tensors
    with torch.enable_grad():
        # Own aliases, so that one tensor given for two arguments still has two gradients.
        alias = [
            None if t is None else t.view_as(t) if t.requires_grad else t.detach().requires_grad_() for t in tensors
        ]
        first = _composite_vjp(alias[:3], alias[3:], lengths, ctx.options)
        pairs = [
            (f, g) for f, g in zip(first, grads[:8], strict=True) if f is not None and g is not None and f.requires_grad
        ]
        known = [a for a in alias if a is not None]
        second = (
            torch.autograd.grad(
                [f for f, _ in pairs],
                known,
                [g for _, g in pairs],
                create_graph=torch.is_grad_enabled(),
                allow_unused=True,
            )
            if pairs
            else [None] * len(known)
        )
    found = iter(second)
    result = [None if a is None else next(found) for a in alias]
    return (*result[:3], None, None, *result[3:], None, *[None] * 9)


def _composite_vjp(
    grads: list[Tensor | None], inputs: list[Tensor | None], lengths: Tensor | None, options: Sequence[Any]
) -> _Grads:
    x, w_ih, w_hh, b_ih, b_hh, w_hr, h0, c0 = inputs
    cell, reverse, scale, clip, limit, truncate = options
    assert x is not None and w_ih is not None and w_hh is not None and h0 is not None
    result = _reference.layer(
        x, w_ih, w_hh, b_ih, b_hh, h0, c0, cell=cell, lengths=lengths, w_hr=w_hr, scale=scale,
        reverse=reverse, truncate=truncate, state_clip=_clip_function(clip, limit),
    )  # fmt: skip
    outputs = [
        (o, g)
        for o, g in zip((result.out, result.hn, result.cn), grads, strict=True)
        if o is not None and g is not None
    ]
    known = [t for t in inputs if t is not None]
    found = iter(
        torch.autograd.grad(
            [o for o, _ in outputs], known, [g for _, g in outputs], create_graph=True, allow_unused=True
        )
    )
    return tuple(None if t is None else next(found) for t in inputs)


def _clip_function(clip: str, limit: float) -> Callable[[Tensor], Tensor] | None:
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


torch.library.register_autograd("seqgrad::backward", _backward_backward, setup_context=_setup_backward)
