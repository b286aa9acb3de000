"""Small figures of one forward, of its states, gates and input: ``[T, N]`` or smaller, on the device it ran on.

Two roads to the same numbers: one native call for plain tensors of the CPU, torch operations everywhere else.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from seqgrad import _ops
from seqgrad._facts import BOUNDED, Facts
from seqgrad._recorder import Forward
from seqgrad.analysis._gates import activations
from seqgrad.init import CANDIDATES

_SAMPLED_STEPS, _SAMPLED_BATCH = 32, 4  # gates are looked at in so many places
_CORRELATED = (256, 64, 8)  # at most so many timesteps, samples and features of the input are correlated
_NATIVE = torch.ops.seqgrad.forward_figures.default
_NATIVE_TYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


class _Sample(NamedTuple):
    """Where gates are looked at: timesteps offset, offset + stride, ... of samples 0, every, ..."""

    offset: int
    stride: int
    every: int


def measure(facts: Facts, forward: Forward, level: float, layout: bool) -> None:
    """Fill ``facts.tensors``, with ``level`` beyond which |h| or a gate counts as saturated; ``layout``: of x, too."""
    some = bool(facts.steps and facts.batch)
    gated = some and bool(facts.gates) and not forward.out.is_complex()
    read = some and forward.series in ("l0", "cell") and forward.x.shape[2] > 0 and forward.x.is_floating_point()
    saved = _ops.saved_by(forward.out) if gated else None
    at = _sample(facts) if gated else _Sample(0, 1, 1)
    facts.times = list(range(at.offset, facts.steps, at.stride)) if gated else []
    if _is_plain(forward):
        _native(facts, forward, level, saved, at, read=read)
        missing = gated and saved is None
    else:
        _states(facts, forward, level)
        if read:
            facts.tensors["x_peak"] = forward.x.abs().amax(dim=2)
        missing = gated
    if missing:
        _gates(facts, forward, level, saved, at)
    if read and layout:
        _layout(facts, forward)


def _sample(facts: Facts) -> _Sample:
    stride, every = -(-facts.steps // _SAMPLED_STEPS), -(-facts.batch // _SAMPLED_BATCH)
    # The first step of the run is always among them.
    return _Sample((facts.steps - 1) % stride if facts.reverse else 0, stride, every)


def _is_plain(forward: Forward) -> bool:
    """Whether the native call can read the tensors."""
    out, h0, x = forward.out, forward.h0, forward.x
    kinds = (Tensor, torch.nn.Parameter)
    return (
        out.is_cpu
        and type(out) is Tensor
        and type(h0) in kinds
        and type(x) in kinds
        and out.dtype in _NATIVE_TYPES
        and x.dtype in _NATIVE_TYPES
        and x.layout is torch.strided
    )


def _native(facts: Facts, forward: Forward, level: float, saved: Tensor | None, at: _Sample, *, read: bool) -> None:
    tensors, gates = facts.tensors, facts.gates
    norm, start, peak, saturated, x_peak, ends = _NATIVE(
        forward.out, forward.h0, forward.x if read else None, saved, forward.lengths, facts.cell not in BOUNDED,
        facts.cell == "rnn_tanh", level, len(gates), _candidate(facts) if gates else -1, *at,
    )  # fmt: skip
    found = {"norm": norm, "start": start, "peak": peak, "saturated": saturated, "x_peak": x_peak}
    tensors |= {name: figure for name, figure in found.items() if figure is not None}
    if saved is not None:
        tensors["gates_low"], tensors["gates_high"] = ends.unbind()
    _dead(facts, forward)


def _candidate(facts: Facts) -> int:
    """Which gate is a tanh: both of its ends count as high, and low it never is."""
    return next(k for k, gate in enumerate(facts.gates) if gate in CANDIDATES)


def _states(facts: Facts, forward: Forward, level: float) -> None:
    out, empty, tensors, wide = forward.out, forward.out.numel() == 0, facts.tensors, _wide(forward.out)
    if out.is_complex():  # its size is all that can be told: a complex tanh is not bounded, so nothing saturates
        tensors["norm"] = torch.linalg.vector_norm(out, dim=2)
        tensors["start"] = torch.linalg.vector_norm(forward.h0, dim=1)
        if forward.cell not in BOUNDED:
            tensors["peak"] = out.abs().new_zeros(out.shape[:2]) if empty else out.abs().amax(dim=2)
        return
    tensors["norm"] = torch.linalg.vector_norm(out, dim=2, dtype=wide)
    tensors["start"] = torch.linalg.vector_norm(forward.h0, dim=1, dtype=wide)
    if forward.cell not in BOUNDED:
        tensors["peak"] = out.new_zeros(out.shape[:2]) if empty else out.abs().amax(dim=2)
    if forward.cell == "rnn_tanh":
        # Ones and zeros in place: 4x as fast.
        tensors["saturated"] = out.abs().gt_(level).mean(dim=2, dtype=torch.float32)
    _dead(facts, forward)


def _dead(facts: Facts, forward: Forward) -> None:
    out = forward.out
    if forward.cell == "rnn_relu" and out.numel():
        silent = (out == 0).all(dim=1).to(torch.float32)  # [T, H]
        silent = silent if forward.reverse else silent.flip(0)
        share = silent.cummin(dim=0).values.mean(dim=1)
        facts.tensors["dead"] = share if forward.reverse else share.flip(0)


def _wide(values: Tensor) -> torch.dtype:
    """Norms of half and bfloat16 states in float32, where their squares fit."""
    return torch.float64 if values.dtype == torch.float64 else torch.float32


def _gates(facts: Facts, forward: Forward, level: float, saved: Tensor | None, at: _Sample) -> None:
    offset, stride, every = at
    if saved is None:
        values = _recomputed(facts, forward, at)
    else:
        values = saved[offset::stride, ::every, : len(facts.gates)].permute(2, 0, 1, 3)
        values = values.clone(memory_format=torch.contiguous_format)  # a copy in any case: it is changed in place
    candidate = _candidate(facts)
    values[candidate].abs_()
    sides = {"gates_high": values > level, "gates_low": values < 1 - level}  # [G, S, n, H]
    if forward.lengths is None:
        shares = {side: beyond.mean(dim=(2, 3), dtype=torch.float32) for side, beyond in sides.items()}
    else:
        alive = (_times(forward, at) < forward.lengths[::every]).to(torch.float32)  # [S, n]
        weight = alive / alive.sum(dim=1, keepdim=True).clamp(min=1)
        shares = {side: (beyond.mean(dim=3, dtype=torch.float32) * weight).sum(dim=2) for side, beyond in sides.items()}
    shares["gates_low"][candidate].zero_()
    facts.tensors |= shares


def _recomputed(facts: Facts, forward: Forward, at: _Sample) -> Tensor:
    """``[G, S, n, H]`` gate activations from one product over all places, where the forward kept none."""
    offset, stride, every = at
    out, start = forward.out, forward.h0[::every].unsqueeze(0)
    # Slices throughout: an index would have to be copied to the device.
    if forward.reverse:
        before = torch.cat([out[offset + 1 :: stride, ::every], start])
        if forward.lengths is not None:  # a short sample begins at its last step, from the initial state
            going = _times(forward, at) + 1 < forward.lengths[::every]
            before = torch.where(going.unsqueeze(2), before, start)
    else:
        before = torch.cat([start, out[stride - 1 :: stride, ::every][: len(facts.times) - 1]])
    named = activations(forward.cell, forward.x[offset::stride, ::every], before, forward.weights)
    return torch.stack([named[gate] for gate in facts.gates])


def _times(forward: Forward, at: _Sample) -> Tensor:
    """``[S, 1]`` the sampled timesteps, on the device."""
    return torch.arange(at.offset, forward.out.shape[0], at.stride, device=forward.out.device).unsqueeze(1)


def _layout(facts: Facts, forward: Forward) -> None:
    x = forward.x
    if forward.lengths is None:
        same = (x == x[-1:]).all(dim=2).to(torch.float32)  # [T, N]
        tail = same.flip(0).cumprod(dim=0).sum(dim=0)  # [N]
        alike = (x[-1] == x[-1].index_select(0, tail.argmax().unsqueeze(0))).all(dim=1)
        facts.tensors["x_tail"] = torch.where(alike & (tail > 1), tail, torch.zeros_like(tail))
    steps, batch, features = _CORRELATED
    part = x[:steps, :batch, :features].to(_wide(x))
    if part.shape[0] > 3 and part.shape[1] > 3:
        part = part - part.mean(dim=1, keepdim=True)  # what all samples share at a timestep says nothing
        variance = part.square().mean()
        along_time = (part[1:] * part[:-1]).mean() / variance
        along_batch = (part[:, 1:] * part[:, :-1]).mean() / variance
        chance = (part.shape[0] * part.shape[2]) ** -0.5
        facts.tensors["x_axes"] = torch.stack([along_time, along_batch, part.new_full((), chance)])
