"""One forward laid open: input, states and weights of every layer and direction, ready for closed formulas.

Letters: T time, N batch, I input, H hidden, P state h (H without projection), G gates. Everything is time-major and
detached from the graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import RNNBase
from torch.nn.utils.rnn import PackedSequence

from seqgrad import _figures, _ops, _reference, _rnn_input
from seqgrad._rnn_run import _DEVICES, Weights
from seqgrad.nn import ResidualRNN

Lengths = Tensor | Sequence[int]

_CELLS = {"RNN_TANH": "rnn_tanh", "RNN_RELU": "rnn_relu", "GRU": "gru", "LSTM": "lstm"}


@dataclass(frozen=True, eq=False)
class Trace:
    """What one layer and direction saw and did. ``previous`` of time t is the state from which step t started."""

    name: str  # l0, l0_reverse, l1 ...
    cell: str  # rnn_tanh, residual_relu, gru, lstm ...
    reverse: bool
    scale: float  # residual_scale, 1 for the others
    x: Tensor  # [T, N, I]
    out: Tensor  # [T, N, P], zero beyond a sample's length
    h0: Tensor  # [N, P]
    c0: Tensor | None  # [N, H], LSTM only
    weights: Weights
    lengths: Tensor | None  # [N] int64

    @property
    def hidden(self) -> int:
        """H."""
        return self.weights.w_hh.shape[0] // _ops.CELLS[self.cell].gates

    @property
    def alive(self) -> Tensor:
        """``[T, N]`` bool: step t lies inside sample n."""
        return _figures.alive(self.x.shape[0], self.x.shape[1], self.lengths, self.x.device)

    @property
    def previous(self) -> Tensor:
        """``[T, N, P]`` h before each step: ``out`` moved by one, the initial state where the sample begins."""
        first = self.h0.unsqueeze(0)
        if not self.reverse:
            return torch.cat([first, self.out[:-1]])
        moved = torch.cat([self.out[1:], first])
        if self.lengths is None:
            return moved
        started = torch.cat([self.alive[1:], torch.zeros_like(self.alive[:1])])
        return torch.where(started.unsqueeze(-1), moved, first)

    def order(self) -> Iterator[int]:
        """Timesteps as the recurrence runs through them."""
        steps = range(self.x.shape[0])
        return iter(reversed(steps)) if self.reverse else iter(steps)


def names(rnn: RNNBase) -> list[str]:
    """Layers and directions in the order of their states: l0, l0_reverse, l1 ..."""
    ends = ("", "_reverse") if rnn.bidirectional else ("",)
    return [f"l{k}{end}" for k in range(rnn.num_layers) for end in ends]


def check(rnn: object, function: str, layer: str | None = None) -> RNNBase:
    """``rnn`` if it is a recurrent layer that has ``layer``, else a TypeError or ValueError that says what to pass."""
    if not isinstance(rnn, RNNBase):
        raise TypeError(
            f"{function} expects a recurrent layer of seqgrad or torch.nn (RNN, GRU, LSTM, ResidualRNN), "
            f"got {type(rnn).__name__}; pass the layer itself, e.g. model.rnn"
        )
    if layer is not None and layer not in names(rnn):
        raise ValueError(f"layer must be one of {', '.join(map(repr, names(rnn)))}, got {layer!r}")
    return rnn


def cell_of(rnn: RNNBase) -> str:
    """The engine's name of its cell."""
    cell = _CELLS[rnn.mode]
    return cell.replace("rnn", "residual") if isinstance(rnn, ResidualRNN) else cell


def weights_of(rnn: RNNBase, name: str) -> Weights:
    """Parameters of one layer and direction, attached to the graph; parametrized ones are computed."""

    def get(kind: str) -> Tensor | None:
        return getattr(rnn, f"{kind}_{name}", None)

    w_ih, w_hh = get("weight_ih"), get("weight_hh")
    assert w_ih is not None and w_hh is not None
    return Weights(w_ih, w_hh, get("bias_ih"), get("bias_hh"), get("weight_hr"))


def cast(weights: Weights, dtype: torch.dtype) -> Weights:
    """Detached, in ``dtype``."""
    w_ih, w_hh, *rest = (None if w is None else w.detach().to(dtype) for w in weights)
    assert w_ih is not None and w_hh is not None
    return Weights(w_ih, w_hh, *rest)


@torch.no_grad()
def trace(
    rnn: RNNBase,
    x: Any,
    hx: Any = None,
    *,
    lengths: Lengths | None = None,
    out: Any = None,
    until: str | None = None,
    dtype: torch.dtype | None = None,
) -> dict[str, Trace]:
    """Run the layers up to ``until`` (all by default) once more, without dropout, and keep what each saw.

    Args:
        rnn: a layer of seqgrad or torch.nn.
        x: its input, in any form that the layer takes.
        hx: its initial state, zeros by default.
        lengths: int ``[N]`` of a padded batch; not with a PackedSequence.
        out: the layer's output for this input, if at hand: its last layer need not run again.
        until: name of the last layer and direction that is needed.
        dtype: to compute in; by default that of the weights, but at least float32.
    """
    wide = dtype or torch.promote_types(weights_of(rnn, "l0").w_ih.dtype, torch.float32)
    if wide.is_complex:
        raise TypeError(f"analysis is for real layers, got weights of {wide}")
    x, known = time_major(rnn, x, lengths)
    final = None if out is None else time_major(rnn, out, None, "out")[0].to(wide)
    states = split_state(rnn, hx, x)
    x, directions, found = x.detach().to(wide), 2 if rnn.bidirectional else 1, {}
    for number, name in enumerate(names(rnn)):
        top = number >= len(names(rnn)) - directions
        if number % directions == 0:
            source, outs = x, []
        weights = cast(weights_of(rnn, name), wide)
        h0, c0 = (None if s is None else s[number].detach().to(wide) for s in states)
        assert h0 is not None
        reverse = bool(number % directions)
        known_out = None if final is None or not top else final.chunk(directions, -1)[int(reverse)].detach()
        scale = float(getattr(rnn, "residual_scale", 1.0))
        one = run(source, weights, h0, c0, cell_of(rnn), known, scale, reverse)[0] if known_out is None else known_out
        found[name] = Trace(name, cell_of(rnn), reverse, scale, source, one, h0, c0, weights, known)
        outs.append(one)
        x = torch.cat(outs, -1) if directions == 2 else one
        if name == until:
            break
    return found


def run(
    x: Tensor, weights: Weights, h0: Tensor, c0: Tensor | None, cell: str, lengths: Tensor | None, scale: float,
    reverse: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Outputs ``[T, N, P]`` and last h ``[N, P]`` of one layer and direction; unseen by ``record``, differentiable."""
    layer = _ops.layer if x.device.type in _DEVICES else _reference.layer
    with torch.autocast(x.device.type, enabled=False):
        result = layer(
            x, *weights[:4], h0, c0, w_hr=weights.w_hr, cell=cell, lengths=lengths, scale=scale, reverse=reverse
        )
    return result[0], result[1]


def time_major(rnn: RNNBase, x: Any, lengths: Lengths | None, what: str = "x") -> tuple[Tensor, Tensor | None]:
    """``x`` (padded, unbatched or packed) as ``[T, N, *]`` and the lengths ``[N]``, None if all last T steps."""
    if isinstance(x, PackedSequence):
        if lengths is not None:
            raise ValueError("lengths= and a PackedSequence both say how long each sample is; pass only one of them")
        packing = _rnn_input.packing(x)
        return packing.pad(x.data), packing.lengths
    if not isinstance(x, Tensor) or x.dim() not in (2, 3):
        got = f"shape {list(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"{what} must be a tensor [T, N, *], [N, T, *] with batch_first, or [T, *], got {got}")
    batched = x.dim() == 3
    axis = 0 if rnn.batch_first else 1
    x = x if batched else x.unsqueeze(axis)
    x = x.transpose(0, 1) if rnn.batch_first else x
    if what == "x" and x.shape[-1] != rnn.input_size:
        raise ValueError(f"x must have {rnn.input_size} features on its last axis, got {x.shape[-1]}")
    if x.shape[0] == 0:
        raise ValueError(f"{what} must have at least one timestep, got none")
    return x, None if lengths is None else _rnn_input.check_lengths(lengths, x, batched=batched)


def split_state(rnn: RNNBase, hx: Any, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """Initial states ``h [L * D, N, P]`` and, for an LSTM, ``c [L * D, N, H]``; zeros for None."""
    lstm, rows, batch = rnn.mode == "LSTM", len(names(rnn)), x.shape[1]
    widths = (rnn.proj_size or rnn.hidden_size, rnn.hidden_size)[: 1 + lstm]
    if hx is None:
        given: Sequence[Tensor] = [x.new_zeros(rows, batch, width) for width in widths]
    else:
        given = hx if isinstance(hx, (tuple, list)) else (hx,)
    if len(given) != len(widths):
        raise ValueError(f"hx must be {'a pair (h0, c0)' if lstm else 'one tensor h0'}, got {len(given)} tensors")
    given = [s if s.dim() == 3 else s.unsqueeze(1) for s in given]
    for state, width in zip(given, widths, strict=True):
        if tuple(state.shape) != (rows, batch, width):
            raise ValueError(f"hx must have shape {[rows, batch, width]}, got {list(state.shape)}")
    return given[0], given[1] if lstm else None
