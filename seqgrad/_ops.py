"""The native ops as torch sees them: typed call, fake kernels, autograd, double backward.

``seqgrad::forward`` runs one layer and direction over all time steps, ``seqgrad::backward`` goes back through them.
The norms leave as a gradient: ``forward`` takes a *tap*, a zero tensor ``[Q, T, N]`` that takes no part in the
computation, and the gradient of the tap is defined to be the norms. So they travel through autograd like any gradient,
without hooks into the engine. It is no mathematical derivative: gradcheck leaves the tap out, and double backward
treats the norms as constants. In eager code the tap may be a function instead, which backward calls with the norms:
that saves the zeros, a node of the graph and its hook.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqgrad import _composite, _func, _graph_tap
from seqgrad._ext import Warnings, extension
from seqgrad.clip import Norm, Value


class Cell(NamedTuple):
    """One row of the native list of cells (csrc/cells/cells.h)."""

    name: str
    gates: int  # G: rows of the weights are G * H
    states: int  # 1: h, 2: h and c
    saved: int  # values per unit kept for backward


CELLS: dict[str, Cell] = {row[0]: Cell(*row) for row in extension().CELLS}
File = Callable[[Tensor | None], None]  # takes norms; None of a backward that asked for none
Tap = Tensor | File
CPU_ENGINE = extension().cpu_engine  # asked once: torch.compile does not look into a cache
_clip_function = _composite.clip_function
_WARNINGS = Warnings()
_waiting = _WARNINGS.waiting
_STEP, _STEP_BACKWARD = torch.ops.seqgrad.step.default, torch.ops.seqgrad.step_backward.default
will_run = torch._C._will_engine_execute_node
_NUMBERS = {name: number for number, name in enumerate(CELLS)}


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


def options(
    cell: str, reverse: bool, scale: float, state_clip: Norm | Value | None, truncate: int
) -> tuple[str, bool, float, str, float, int]:
    """What an op takes beside tensors, in its order."""
    if state_clip is None:
        return cell, reverse, scale, "none", 0.0, truncate
    return cell, reverse, scale, *_clip_arguments(state_clip), truncate


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
    tap: Tap | None = None,
    stacked: bool = False,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """One layer and direction: ``x [T, N, I]`` to ``out [T, N, P]``, ``hn [N, P]``, ``cn [N, H]`` (LSTM, else None).

    ``w_ih [G*H, I]``, ``w_hh [G*H, P]``, biases ``[G*H]``, ``w_hr [P, H]``, ``h0 [N, P]``, ``c0 [N, H]``,
    ``lengths [N]`` int64, ``tap [Q, T, N]`` with Q the number of ``quantities``, or in eager code a function that takes
    such norms. ``truncate`` 0 is off. ``stacked``: hn and cn as ``[1, N, *]``, as a layer returns them. On the CPU x
    and out may be packed rows ``[S, *]`` of samples whose ``lengths`` fall.
    """
    settings = options(cell, reverse, scale, state_clip, truncate)
    tensors = (x, w_ih, w_hh, b_ih, b_hh, w_hr, h0, c0)
    file = None
    if tap is not None and not isinstance(tap, Tensor):
        file, (tap, _) = tap, handle(x.device)
    save = torch.is_grad_enabled() and any_wants_grad(w_ih, *tensors, tap)
    cn: Tensor | None
    if torch.compiler.is_compiling():
        # An exported program is there to be run: where it is trained all the same, the backward pays.
        kept = save and not _graph_tap.exporting()
        out, hn, cn, _ = torch.ops.seqgrad.forward.default(*tensors, lengths, tap, *settings, kept)
        ends = (hn, cn if CELLS[cell].states == 2 else None)
        return (out, *[None if end is None else end.unsqueeze(0) for end in ends]) if stacked else (out, *ends)
    if save:
        out, hn, *rest = _apply_layer(*tensors, tap, (lengths, settings, stacked, file))
        cn = rest[0] if rest else None
    else:
        out, hn, cn, _ = _below_autograd(*tensors, lengths, tap, *settings, False)
        cn = None if c0 is None else cn
        if stacked:
            _stack_in_place(hn, cn)
    if _waiting.value:
        _warn()
    return out, hn, cn


@cache
def handle(device: torch.device) -> tuple[Tensor, torch.autograd.graph.Node]:
    """Stands in for a tap whose norms a function takes, with its node of the graph.

    It is never given a gradient, but autograd would visit its node where it would a tap's: ``loss.backward()`` does,
    ``torch.autograd.grad`` of chosen inputs does not.
    """
    with torch.inference_mode(False), torch.enable_grad():
        handle = torch.zeros((), device=device, requires_grad=True)
        return handle, torch.autograd.graph.get_gradient_edge(handle).node


def _stack_in_place(hn: Tensor, cn: Tensor | None) -> None:
    """``[1, N, *]`` of tensors that nobody has seen yet: a view would be a node of the graph, which takes time."""
    hn.unsqueeze_(0)
    if cn is not None:
        cn.unsqueeze_(0)


def step(
    x: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    h0: Tensor,
    c0: Tensor | None,
    cell: str,
    scale: float,
) -> list[Tensor]:
    """One time step of a cell without options: ``x [N, I]`` and states ``[N, H]`` to the one or two next states.

    Eager mode alone: its ops are for nobody to trace. The rest as for ``layer``.
    """
    number = _NUMBERS[cell]
    if torch.is_grad_enabled() and any_wants_grad(w_ih, w_hh, x, h0, c0, b_ih, b_hh):
        found = _apply_step(x, w_ih, w_hh, b_ih, b_hh, h0, c0, number, scale)
        new = [found] if c0 is None else [*found]
    else:
        hn, cn, _ = _STEP(x, w_ih, w_hh, b_ih, b_hh, h0, c0, number, scale, False)
        new = [hn] if cn is None else [hn, cn]
    if _waiting.value:
        _warn()
    return new


def any_wants_grad(first: Tensor, *tensors: Tensor | None) -> bool:
    if first.requires_grad:
        return True
    for t in tensors:  # noqa: SIM110 - twice as fast as any() of a generator
        if t is not None and t.requires_grad:
            return True
    return False


def _arithmetic(x: Tensor) -> torch.dtype:
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _check_devices(x: Tensor, **others: Tensor | None) -> None:
    """The native check, for fake kernels: one meta tensor among real ones would come back as unwritten memory."""
    for name, t in others.items():
        if t is not None and t.device != x.device:
            raise ValueError(f"seqgrad: {name} must be on the same device as the input, {x.device}, got {t.device}")


def _check_tap(tap: Tensor, shape: list[int], dtype: torch.dtype) -> None:
    """The native check, for fake kernels. Symbolic sizes are left to the native one: a comparison would be a guard."""
    if tap.dtype != dtype:
        raise ValueError(f"seqgrad: tap must be {str(dtype)[6:]}, got {str(tap.dtype)[6:]}")
    if tap.dim() != 3 or tap.shape[0] != shape[0]:
        raise ValueError(f"seqgrad: tap must have shape {shape}, got {list(tap.shape)}")


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
    rows, batch = x.shape[:-1], h0.shape[0]  # T and N, or S of packed rows
    info = CELLS[cell]
    if tap is not None and x.dim() == 3:
        _check_tap(tap, [info.states + 1 + (clip != "none"), *rows], _arithmetic(x))
    hidden, width = w_hh.shape[0] // info.gates, w_hh.shape[1]
    cn = x.new_empty((batch, hidden) if info.states == 2 else (0,))
    saved = x.new_empty((*rows, info.saved, hidden) if save else (0,), dtype=_arithmetic(x))
    return x.new_empty(*rows, width), x.new_empty(batch, width), cn, saved


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

    measured = x.new_empty((0,), dtype=_arithmetic(x))
    if norms:
        steps = x.shape[0] if x.dim() == 3 else torch.library.get_ctx().new_dynamic_size()  # packed rows: lengths say
        measured = measured.new_empty(CELLS[cell].states + 1 + (clip != "none"), steps, h0.shape[0])
    weights = [like(t, need_weights) for t in (w_ih, w_hh, b_ih, b_hh, w_hr)]
    return (like(x, need_input), *weights, like(h0, True), like(c0, True), measured)


# Positions of the differentiable inputs among the arguments of each op.
_FORWARD_TENSORS = 8  # x, w_ih, w_hh, b_ih, b_hh, w_hr, h0, c0
_BACKWARD_FIRST = 5  # the same eight, behind grad_out, grad_hn, grad_cn, out, saved


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


def _below_autograd(*arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    with torch._C._AutoDispatchBelowAutograd():
        return torch.ops.seqgrad.forward.default(*arguments)


def pull(
    settings: tuple[Any, ...],
    grads: Sequence[Tensor | None],
    inputs: Sequence[Tensor | None],
    wanted: tuple[bool, bool, bool],
) -> tuple[Any, ...]:
    """Gradients of the eight inputs, then the norms.

    ``inputs`` as forward saved them: the eight, lengths, out, ``saved [T, N, S, H]``. ``wanted``: of x, of weights,
    the norms.
    """
    out, saved = inputs[9:]
    given = inputs[:9]
    assert out is not None and saved is not None
    if _func.active():
        found = _func.gradients(grads, out, saved, given, settings, wanted)
    elif torch.is_grad_enabled():  # create_graph
        found = torch.ops.seqgrad.backward.default(*grads, out, saved, *given, *settings, *wanted)
    else:
        with torch._C._AutoDispatchBelowAutograd():
            found = torch.ops.seqgrad.backward.default(*grads, out, saved, *given, *settings, *wanted)
    if _waiting.value:
        _warn()
    *gradients, norms = found
    return (*gradients, norms.detach() if wanted[2] and norms is not None else None)


class _Layer(torch.autograd.Function):
    """The two functions registered above, by a shorter road.

    torch.library's general one, which compiled code takes, costs an eager call more time than a small layer does. What
    backward needs and nobody else is kept by ``ctx`` alone: each output of a Function costs a microsecond.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Any, b_hh: Any, w_hr: Any, h0: Tensor, c0: Any, tap: Any,
        fixed: tuple[Any, ...],
    ) -> tuple[Tensor, ...]:  # fmt: skip
        lengths, settings, stacked, file = ctx.fixed = fixed
        inputs = (x, w_ih, w_hh, b_ih, b_hh, w_hr, h0, c0, lengths)
        out, hn, cn, saved = _below_autograd(*inputs, tap if file is None else None, *settings, True)
        ctx.save_for_backward(*inputs, out, saved)
        ctx.set_materialize_grads(False)
        if stacked:
            _stack_in_place(hn, None if c0 is None else cn)
        return (out, hn) if c0 is None else (out, hn, cn)

    @staticmethod
    def backward(
        ctx: Any, grad_out: Tensor | None, grad_hn: Tensor | None, grad_cn: Tensor | None = None
    ) -> tuple[Any, ...]:
        needs = ctx.needs_input_grad
        _, settings, stacked, file = ctx.fixed
        if stacked:
            grad_hn = None if grad_hn is None else grad_hn.squeeze(0)
            grad_cn = None if grad_cn is None else grad_cn.squeeze(0)
        inputs = ctx.saved_tensors
        record = needs[8] if file is None else will_run(handle(inputs[0].device)[1])
        *found, norms = pull(settings, (grad_out, grad_hn, grad_cn), inputs, (needs[0], True in needs[1:6], record))
        if file is not None:
            file(norms)
            norms = None
        return (*[g if need else None for g, need in zip(found, needs, strict=False)], norms, None)


def saved_by(out: Tensor) -> Tensor | None:
    """``[T, N, S, H]`` that an eager forward, whose ``out`` this is, kept for its backward; its gates come first.

    None where it kept nothing, or where a hook (a checkpoint, offloading) holds it: to ask would make it work.
    """
    node = out.grad_fn
    hooked = torch._C._autograd._top_saved_tensors_default_hooks(True) is not None
    if hooked or getattr(node, "_forward_cls", None) is not _Layer:
        return None
    saved: Tensor = node.saved_tensors[-1]  # type: ignore[union-attr]
    return saved


class _Step(torch.autograd.Function):
    """``step`` and its backward; double backward and batches of gradients go to the ops of a whole layer."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Any, b_hh: Any, h0: Tensor, c0: Any, number: int,
        scale: float,
    ) -> Any:  # fmt: skip
        h, c, saved = _STEP(x, w_ih, w_hh, b_ih, b_hh, h0, c0, number, scale, True)
        ctx.save_for_backward(h, saved, x, w_ih, w_hh, b_ih, b_hh, h0, c0)
        ctx.options = number, scale
        if c is None:
            return h
        ctx.set_materialize_grads(False)
        return h, c

    @staticmethod
    def backward(ctx: Any, grad_h: Tensor | None, grad_c: Tensor | None = None) -> tuple[Any, ...]:
        needs = ctx.needs_input_grad
        weights = needs[1] or needs[2] or needs[3] or needs[4]
        if torch.is_grad_enabled() or _func.active() or _func.by_legacy_vmap(grad_h, grad_c):
            found = _step_differentiably(ctx, grad_h, grad_c, (needs[0], weights, False))
        else:
            found = _STEP_BACKWARD(grad_h, grad_c, *ctx.saved_tensors, *ctx.options, needs[0], weights)
        if _waiting.value:
            _warn()
        if weights and not (needs[1] and needs[2]):
            found = [g if need else None for g, need in zip(found, needs, strict=False)]
        return (*found, None, None)


def _step_differentiably(
    ctx: Any, grad_h: Tensor | None, grad_c: Tensor | None, wanted: tuple[bool, bool, bool]
) -> list[Tensor | None]:
    h, saved, x, w_ih, w_hh, b_ih, b_hh, h0, c0 = ctx.saved_tensors
    number, scale = ctx.options
    inputs = (x.unsqueeze(0), w_ih, w_hh, b_ih, b_hh, None, h0, c0, None, h.detach().unsqueeze(0), saved)
    settings = options(list(CELLS)[number], False, scale, None, 0)
    dx, dw_ih, dw_hh, db_ih, db_hh, _, dh0, dc0, _ = pull(settings, (None, grad_h, grad_c), inputs, wanted)
    found = [dx.squeeze(0) if wanted[0] else None, dw_ih, dw_hh, db_ih, db_hh, dh0, dc0]
    return [g if need else None for g, need in zip(found, ctx.needs_input_grad, strict=False)]


# Past Function.apply, which is there for torch.func: under its transforms _func.py is in charge.
_apply_layer: Callable[..., Any] = super(torch.autograd.Function, _Layer).apply
_apply_step: Callable[..., Any] = super(torch.autograd.Function, _Step).apply


def _setup_backward(ctx: Any, inputs: Sequence[Any], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*inputs[:3], *inputs[_BACKWARD_FIRST : _BACKWARD_FIRST + 9])
    ctx.options = inputs[14:20]
    ctx.set_materialize_grads(False)


def _backward_backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
    """Double backward: the same layer once more in torch ops, differentiated twice."""
    tensors = ctx.saved_tensors
    found = _composite.second_order(grads[:8], tensors[:3], tensors[3:], ctx.options)
    return (*found[:3], None, None, *found[3:], None, *[None] * 9)


torch.library.register_autograd("seqgrad::backward", _backward_backward, setup_context=_setup_backward)
