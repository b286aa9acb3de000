"""explain: which engine and which path runs each layer, direction and pass of a call, and why. Nothing is computed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from seqgrad import _explain_text, _rnn_input
from seqgrad._cells import _Cell, _ElmanCell
from seqgrad._devices import DEVICES, named
from seqgrad._ext import CudaDevice, cuda_devices, has_cuda
from seqgrad._plan import CudaPlan, cpu_plan, cuda_plan
from seqgrad._rnn_run import _autocast_dtype
from seqgrad.clip import Norm
from seqgrad.nn import LSTMCell, _Layer

__all__ = ["DEVICES", "CudaDevice", "Explanation", "PassExplained", "explain"]


class PassExplained(NamedTuple):
    """One pass of one layer and direction."""

    series: str  # "l0", "l0_reverse", ...; "cell" for the single-step cells: the names that a record uses
    direction: str  # "forward" or "backward" pass
    engine: str  # "cpu", "cuda", "torch" (the composite of torch ops) or "none"
    path: str  # cpu: instruction set; cuda: "block", "grid" or "step"
    how: str  # how the work is cut
    step_us: float | None  # CUDA: estimated microseconds per time step; not a measurement
    why: str
    plan: CudaPlan | None  # CUDA: all figures of the plan


@dataclass(frozen=True)
class Explanation:
    """What :func:`explain` found. Iterating gives the rows; printing it, or a notebook, shows a table."""

    layer: str  # as the module prints itself
    steps: int  # T
    samples: int  # N
    dtype: str
    device: str
    rows: tuple[PassExplained, ...]

    def __iter__(self) -> Iterator[PassExplained]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> PassExplained:
        return self.rows[index]

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values, ready for json."""
        return _explain_text.to_dict(self)

    def __repr__(self) -> str:
        return _explain_text.text(self)

    def _repr_html_(self) -> str:
        return _explain_text.html(self)


class _Call(NamedTuple):
    """The sizes of a call, whatever form its input has."""

    T: int
    N: int
    dtype: torch.dtype
    where: torch.device


def explain(
    rnn: nn.Module,
    x: Tensor | PackedSequence,
    *,
    lengths: Tensor | Sequence[int] | None = None,
    device: str | CudaDevice | None = None,
) -> Explanation:
    """Say which engine and path would run ``rnn(x, lengths=lengths)`` and its backward, and why.

    Only shape, dtype and device of ``x`` matter; nothing is computed. On the CPU the answer is the instruction set and
    the use of threads (of a backward outside ``seqgrad.record``). On CUDA it is the path, and an estimated time:
    ``block`` keeps W_hh in the shared memory of one block, ``grid`` in slices over many blocks, ``step`` runs one
    product per time step. The environment variable SEQGRAD_CUDA_PATH is heeded. Times come from a cost model, not from
    a measurement.

    Args:
        rnn: a layer or a cell of ``seqgrad.nn``.
        x: what the layer would be given: ``[T, N, I]``, ``[N, T, I]`` with batch_first, ``[T, I]``, a PackedSequence;
            for a cell ``[N, I]`` or ``[I]``. With ``device=`` a tensor on the meta device will do.
        lengths: as in the layer's call.
        device: plan for another device than that of ``x``: a name such as ``"H100"`` (``seqgrad.explain.DEVICES`` has
            them all) or a ``CudaDevice`` with a device's own figures. No such device need be there.

    Raises:
        TypeError: ``rnn`` is no layer of seqgrad; the message says how to make it one.
        ValueError: an unknown device name, or an input that the layer would refuse.

    Example:
        >>> import torch, seqgrad as sg
        >>> found = sg.explain(sg.LSTM(32, 64), torch.randn(100, 8, 32), device="H100")
        >>> [row.path for row in found]
        ['block', 'block']
    """
    if isinstance(rnn, _Cell):
        call, series = _cell_call(rnn, x, lengths), ["cell"]
    elif isinstance(rnn, _Layer):
        call = _layer_call(rnn, x, lengths)
        ends = ("", "_reverse") if rnn.bidirectional else ("",)
        series = [f"l{layer}{end}" for layer in range(rnn.num_layers) for end in ends]
    else:
        raise TypeError(_not_ours(rnn))
    target, title = _target(call.where, device)
    rows = [_explain_pass(rnn, name, call, backward, target) for name in series for backward in (False, True)]
    dtype = str(call.dtype).removeprefix("torch.")
    return Explanation(repr(rnn), call.T, call.N, dtype, title, tuple(rows))


def _not_ours(rnn: object) -> str:
    kind = type(rnn).__name__
    if isinstance(rnn, (nn.RNNBase, nn.RNNCellBase)):
        return (
            f"rnn must be a layer of seqgrad, got torch.nn's own {kind}; seqgrad.convert_(rnn) turns it, or every such "
            "layer of a model, into seqgrad's"
        )
    if isinstance(rnn, nn.Module):
        return f"rnn must be one layer of seqgrad, got {kind}; pass the layer itself, such as model.rnn"
    return f"rnn must be a layer of seqgrad (RNN, GRU, LSTM, ResidualRNN or one of their cells), got {kind}"


def _layer_call(rnn: _Layer, x: Tensor | PackedSequence, lengths: Any) -> _Call:
    if isinstance(x, PackedSequence):
        if lengths is not None:
            raise ValueError("lengths= and a PackedSequence both say how long each sample is; pass only one of them")
        counts = x.batch_sizes
        _check_width(rnn.input_size, x.data)
        return _Call(counts.numel(), int(counts[0]), *_kind(x.data))
    if not isinstance(x, Tensor):
        raise TypeError(f"x must be a Tensor or a PackedSequence, got {type(x).__name__}")
    if x.dim() not in (2, 3):
        raise ValueError(f"x must be [T, N, I], or [T, I] for one sample, got {x.dim()} dimensions")
    _check_width(rnn.input_size, x)
    batched = x.dim() == 3
    if not batched:
        x = x.unsqueeze(0 if rnn.batch_first else 1)
    if rnn.batch_first:
        x = x.transpose(0, 1)
    if lengths is not None:
        _rnn_input.check_lengths(lengths, x, batched=batched)
    return _Call(x.size(0), x.size(1), *_kind(x))


def _cell_call(rnn: _Cell, x: Tensor | PackedSequence, lengths: Any) -> _Call:
    if lengths is not None:
        raise ValueError("lengths= is for layers: a cell runs a single step")
    if not isinstance(x, Tensor) or x.dim() not in (1, 2):
        got = f"{x.dim()} dimensions" if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"x must be a tensor [N, I], or [I] for one sample, got {got}")
    _check_width(rnn.input_size, x)
    return _Call(1, x.size(0) if x.dim() == 2 else 1, *_kind(x))


def _check_width(expected: int, x: Tensor) -> None:
    if x.size(-1) != expected:
        raise ValueError(f"x must have {expected} features in its last dimension, got shape {list(x.shape)}")


def _kind(x: Tensor) -> tuple[torch.dtype, torch.device]:
    dtype = x.dtype if x.dtype == torch.float64 else _autocast_dtype(x) or x.dtype
    return dtype, x.device


def _target(where: torch.device, device: str | CudaDevice | None) -> tuple[CudaDevice | str, str]:
    """The CUDA device to plan for, or "cpu", or why there is no plan; and what to call it."""
    if isinstance(device, CudaDevice):
        return device, f"a device of compute capability {device.major}.{device.minor}"
    if isinstance(device, str):
        return named(device), device
    if device is not None:
        raise TypeError(
            f"device must be a name such as 'H100', a seqgrad.explain.CudaDevice or None, got {type(device).__name__}"
        )
    if where.type == "cpu":
        return "cpu", "cpu"
    if where.type != "cuda":
        return f"there is no engine for {where.type} tensors; name a device, such as device='H100'", str(where)
    if not has_cuda():
        return (
            "this build of seqgrad holds no CUDA code; rebuild it where a CUDA toolkit is found, with SEQGRAD_CUDA=1",
            str(where),
        )
    index = where.index if where.index is not None else torch.cuda.current_device()
    return cuda_devices()[index], f"{where} ({torch.cuda.get_device_name(index)})"


def _sizes(rnn: _Layer | _Cell, series: str) -> tuple[str, int, int, int]:
    """Cell name, I, H and P of one series."""
    if isinstance(rnn, _Cell):
        if isinstance(rnn, _ElmanCell):
            name = f"{rnn._family}_{rnn.nonlinearity}"
        else:
            name = "lstm" if isinstance(rnn, LSTMCell) else "gru"
        return name, rnn.input_size, rnn.hidden_size, rnn.hidden_size
    width = rnn.proj_size or rnn.hidden_size
    inputs = rnn.input_size if series.startswith("l0") else width * (2 if rnn.bidirectional else 1)
    return rnn._cells[rnn.mode], inputs, rnn.hidden_size, width


def _explain_pass(
    rnn: _Layer | _Cell, series: str, call: _Call, backward: bool, target: CudaDevice | str
) -> PassExplained:
    direction = "backward" if backward else "forward"
    cell, inputs, H, P = _sizes(rnn, series)
    if call.dtype.is_complex or P == 0:
        why = "complex numbers run" if call.dtype.is_complex else "a layer without units runs"
        return PassExplained(series, direction, "torch", "composite", "", None, f"{why} in torch's own ops", None)
    if not call.dtype.is_floating_point:
        raise ValueError(f"x must be float32, float64, bfloat16 or float16, got {call.dtype}")
    if isinstance(target, CudaDevice):
        plan = cuda_plan(
            cell, call.dtype, T=call.T, N=call.N, H=H, P=P, backward=backward, device=target,
            clip_norm=isinstance(rnn.state_clip, Norm), wish=os.environ.get("SEQGRAD_CUDA_PATH") or "auto",
        )  # fmt: skip
        how = _explain_text.cut(plan)
        return PassExplained(series, direction, "cuda", plan.path, how, plan.estimate.step_us, plan.reason, plan)
    if target != "cpu":
        return PassExplained(series, direction, "none", "-", "", None, target, None)
    sizes = {"T": call.T, "N": call.N, "I": inputs, "H": H}
    split = cpu_plan(cell, call.dtype, sizes, P=P, backward=backward, clipped=rnn.state_clip is not None)
    free = cpu_plan(cell, call.dtype, sizes, backward=backward)
    wish, both = os.environ.get("SEQGRAD_CPU_ISA"), isinstance(rnn, _Layer) and rnn.bidirectional
    how, why = _explain_text.threads(split, free, torch.get_num_threads(), wish, both)
    return PassExplained(series, direction, "cpu", split.isa, how, None, why, None)
