"""One layer and direction on its way to the engine: device and dtype checks, autocast, the recording tap.

Shared by the layers and the single-step cells.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import _C, Tensor
from torch.autograd import forward_ad
from torch.compiler import is_compiling

from seqgrad import _ext, _func, _jit, _ops, _recorder, _reference
from seqgrad._rnn_input import PackedRows
from seqgrad.clip import Norm, Value
from seqgrad.record import make_tap

# Asked once: torch.compile of torch 2.10 cannot trace the question.
_AUTOCAST = tuple(kind for kind in ("cpu", "cuda", "xpu", "mps") if torch.amp.is_autocast_available(kind))
_DEVICES = ("cpu", "meta", "cuda") if _ext.has_cuda() and torch.version.hip is None else ("cpu", "meta")


class Weights(NamedTuple):
    """Parameters of one layer and direction, named as in torch.nn."""

    w_ih: Tensor  # [G * H, I]
    w_hh: Tensor  # [G * H, P]
    b_ih: Tensor | None  # [G * H]
    b_hh: Tensor | None  # [G * H]
    w_hr: Tensor | None = None  # [P, H], LSTM with proj_size


# What the ops raise of themselves. Their checks miss nothing, but word it their own way.
ERRORS = (RuntimeError, ValueError, TypeError)


def plain(x: Tensor) -> bool:
    """Whether nothing but a recorder stands between this call and the engine: no compiler, trace, transform, autocast.

    Such a call asks first and explains afterwards: of a tiny layer's time, most goes into questions.
    """
    return (
        type(x) is Tensor
        and (x.is_cpu or x.is_cuda)
        and not is_compiling()
        and not _C._is_tracing()
        and not _C._are_functorch_transforms_active()
        and forward_ad._current_level < 0
        and not _C._is_any_autocast_enabled()
        and not _C._len_torch_dispatch_stack()
    )


def harmonise(
    x: Tensor, states: Sequence[Tensor], weights: Sequence[Weights]
) -> tuple[Tensor, list[Tensor], list[Weights]]:
    """Check that everything lives on one device in one dtype, after casting to the autocast dtype if that is on.

    As torch.nn does on CUDA, autocast runs a whole layer in its dtype and returns that dtype; float64 is left alone.
    """
    _check_devices(x, states, weights)
    target = _autocast_dtype(x)
    if target is not None:
        x = _cast(x, target)
        states = [_cast(s, target) for s in states]
        weights = [_cast_weights(group, target) for group in weights]
    _check_dtypes(x, states, weights)
    return x, list(states), list(weights)


def run(
    module: torch.nn.Module,
    series: str,
    x: Tensor,
    weights: Weights,
    h0: Tensor | None,
    c0: Tensor | None,
    *,
    cell: str,
    lengths: Tensor | None = None,
    scale: float = 1.0,
    reverse: bool = False,
    truncate: int = 0,
    state_clip: Norm | Value | None = None,
    rows: PackedRows | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """``x [T, N, I]`` through one layer and direction: ``out [T, N, P]``, ``hn [N, P]``, ``cn [N, H]`` or None.

    States as for ``_ops.layer``. With ``rows``, x and out are packed: ``[S, *]``.
    """
    w_ih, w_hh, b_ih, b_hh, w_hr = weights
    transformed = _func.active()
    composite = transformed and _func.composite_only()
    if composite or x.is_complex() or w_hh.size(1) == 0:
        # torch.nn takes forward-mode AD, complex tensors and cells of no unit. The engine knows none of them (forward
        # mode would even see a tangent of 0), and the composite knows all.
        if state_clip is not None and x.is_complex():
            raise TypeError(f"state_clip clips real gradients, got input of {x.dtype}; pass state_clip=None")
        if state_clip is not None and composite:
            raise RuntimeError(
                "state_clip acts in backward passes (loss.backward(), torch.autograd.grad, torch.func.grad, vjp and "
                "jacrev), not in forward-mode AD (jvp, jacfwd, linearize), nor where torch.compile traces torch.func; "
                "pass state_clip=None there"
            )
        h0, c0, stacked = _ops.flat_states(x, w_hh, h0, c0, lengths, cell)
        result = _reference.layer(
            x, w_ih, w_hh, b_ih, b_hh, h0, c0,
            cell=cell, lengths=lengths, w_hr=w_hr, scale=scale, reverse=reverse, truncate=truncate,
        )  # fmt: skip
        found = result.out, result.hn, result.cn
        return _ops.stack(*found) if stacked else found
    if x.device.type not in _DEVICES:
        raise NotImplementedError(_why_not_on(x.device))
    options = _ops.options(cell, reverse, scale, state_clip, truncate)
    if transformed or (not is_compiling() and _C._is_tracing()):  # Dynamo cannot trace the last question
        h0, c0, stacked = _ops.flat_states(x, w_hh, h0, c0, lengths, cell)
        tensors = (x, w_ih, w_hh, b_ih, b_hh, w_hr, h0, c0)
        found = (
            _func.layer((*tensors, lengths), options) if transformed else _jit.traced_layer(tensors, lengths, options)
        )
        return _ops.stack(*found) if stacked else found
    tap = None
    if _recorder.on():
        tap = tap_for(module, series, x, cell=cell, state_clip=state_clip, lengths=lengths, rows=rows, reverse=reverse)
    return _ops.layer(
        x, w_ih, w_hh, b_ih, b_hh, h0, c0,
        cell=cell, lengths=lengths, w_hr=w_hr, scale=scale, reverse=reverse, truncate=truncate,
        state_clip=state_clip, tap=tap,
    )  # fmt: skip


def tap_for(
    module: torch.nn.Module,
    series: str,
    x: Tensor,
    *,
    cell: str,
    state_clip: Norm | Value | None,
    lengths: Tensor | None,
    rows: PackedRows | None,
    reverse: bool,
    **_: object,
) -> _ops.Tap | None:
    """The tap of a call, if anybody records it; what packed rows hand it comes in the user's order."""
    known = rows.users_lengths() if rows else lengths
    tap = make_tap(module, series, cell=cell, state_clip=state_clip, x=x, lengths=known, reverse=reverse)
    return rows.in_users_order(tap) if rows and callable(tap) else tap


def _why_not_on(device: torch.device) -> str:
    instead = (
        'move model and input with .to("cpu"), or give the model its torch.nn layers back with seqgrad.revert_(model)'
    )
    if device.type != "cuda" or torch.version.hip is not None:
        return f"seqgrad's kernels run on the CPU and on NVIDIA GPUs, got input on {_full_name(device)}; {instead}"
    return (
        f"this build of seqgrad holds no CUDA kernels, got input on {device}. Rebuild it from its sources, where a "
        f"CUDA toolkit is installed: {_ext.REBUILD_WITH_CUDA}\nOr {instead}"
    )


def _full_name(device: torch.device) -> str:
    return f"{device} (ROCm)" if device.type == "cuda" else str(device)


def check_state_clip(state_clip: object) -> None:
    if state_clip is not None and not isinstance(state_clip, (Norm, Value)):
        raise TypeError(
            "state_clip must be seqgrad.clip.Norm(max_norm), seqgrad.clip.Value(clip_value) or None, "
            f"got {type(state_clip).__name__} {state_clip!r}"
        )


def check_truncate(truncate: object) -> None:
    if truncate is None:
        return
    if isinstance(truncate, bool) or not isinstance(truncate, int):
        raise TypeError(f"truncate must be a positive int or None, got {type(truncate).__name__} {truncate!r}")
    if truncate <= 0:
        raise ValueError(f"truncate must be a positive int, got {truncate}; to switch truncation off pass None")


def check_residual_scale(scale: object) -> float:
    if isinstance(scale, bool) or not isinstance(scale, (int, float)):
        raise TypeError(f"residual_scale must be a finite number, got {type(scale).__name__} {scale!r}")
    if not math.isfinite(scale):
        raise ValueError(f"residual_scale must be a finite number, got {scale!r}")
    return float(scale)


def describe_options(module: torch.nn.Module) -> str:
    """The part of extra_repr that torch.nn does not know; empty when every option has its default."""
    parts = [
        f", {name}={getattr(module, name)}"
        for name, default in (("state_clip", None), ("truncate", None), ("residual_scale", 1.0))
        if getattr(module, name, default) != default
    ]
    return "".join(parts)


def _autocast_dtype(x: Tensor) -> torch.dtype | None:
    kind = x.device.type
    if kind not in _AUTOCAST or not torch.is_autocast_enabled(kind):
        return None
    return torch.get_autocast_dtype(kind)


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() and tensor.dtype != torch.float64 else tensor


def _cast_weights(weights: Weights, dtype: torch.dtype) -> Weights:
    w_ih, w_hh, *rest = weights
    return Weights(_cast(w_ih, dtype), _cast(w_hh, dtype), *(None if w is None else _cast(w, dtype) for w in rest))


def _check_devices(x: Tensor, states: Sequence[Tensor], weights: Sequence[Weights]) -> None:
    parameters = [w for group in weights for w in group if w is not None]
    for name, tensors in (("hidden", states), ("parameter", parameters)):
        for tensor in tensors:
            if tensor.device != x.device:
                raise RuntimeError(
                    f"Input and {name} tensors are not at the same device, found input tensor at {x.device} "
                    f"and {name} tensor at {tensor.device}"
                )


def _check_dtypes(x: Tensor, states: Sequence[Tensor], weights: Sequence[Weights]) -> None:
    parameters = [w for group in weights for w in group if w is not None]
    for name, tensors in (("parameter", parameters), ("hidden", states)):
        for tensor in tensors:
            if tensor.dtype != x.dtype:
                raise RuntimeError(
                    f"Input and {name} tensors are not the same dtype, found input tensor with {x.dtype} "
                    f"and {name} tensor with {tensor.dtype}; convert one of them with .to(dtype)"
                )
