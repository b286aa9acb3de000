"""The gradient of every state as a vector: backpropagation through time in closed formulas, outside the engine.

The engine hands out norms only. Where the vectors themselves are asked for (what a step adds to the weights' gradient,
the regulariser), they are found again from the gradient at the layer's output and the gates: a Python loop of one
``[N, G*H] x [G*H, P]`` product per timestep, in float64, whose range vanishing gradients need.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import RNNBase
from torch.nn.utils.rnn import PackedSequence

from seqgrad import _figures, _ops
from seqgrad.analysis import _trace
from seqgrad.analysis._maps import StepMaps, step_maps
from seqgrad.analysis._trace import Lengths


@dataclass(frozen=True, eq=False)
class Deltas:
    """Gradients of one layer and direction, float64, 0 beyond a sample's length."""

    maps: StepMaps
    grad_h: Tensor  # [T, N, P] total dL/dh_t as step t's backward receives it, after state_clip
    grad_c: Tensor | None  # [T, N, H] dL/dc_t carried from the future, without what comes through h_t
    sources: Tensor  # [T, N, G, H]; times slopes: gradient of the pre-activations
    kept: Tensor  # [T, N, H] gradient of the state before that does not pass W_hh
    cut: Tensor  # [T] bool: truncation ends backprop between this step and the one before

    @property
    def planes(self) -> Tensor:
        """``[T, N, G * H]`` gradient of the recurrent pre-activations, delta_t."""
        return (self.maps.slopes * self.sources).flatten(2)

    def input_gradient(self) -> Tensor:
        """``[T, N, I]`` dL/dx_t through this direction."""
        return (self.maps.input_slopes * self.sources).flatten(2) @ self.maps.trace.weights.w_ih


def deltas(
    rnn: RNNBase, x: Any, output: Any, loss: Tensor, hx: Any, *, lengths: Lengths | None, until: str | None = None
) -> dict[str, Deltas]:
    """Of all layers and directions, or from the last layer down to ``until``."""
    if rnn.dropout and rnn.training and rnn.num_layers > 1:
        raise ValueError(
            "the dropout between the layers is drawn anew in each forward, so this one cannot be looked into; "
            "build the layer with dropout=0 or call .eval() on it"
        )
    out, states = output if isinstance(output, tuple) and not isinstance(output, PackedSequence) else (output, None)
    direct, ends = _direct(rnn, out, states, loss)
    with torch.no_grad():
        traces = _trace.trace(rnn, x, hx, lengths=lengths, out=out, dtype=torch.float64)
        clip = _ops._clip_function(*_ops._clip_arguments(getattr(rnn, "state_clip", None)))
        names, count = list(traces), 2 if rnn.bidirectional else 1
        truncate = getattr(rnn, "truncate", None) or 0
        found: dict[str, Deltas] = {}
        for first in reversed(range(0, len(names), count)):
            for number, part in enumerate(direct.chunk(count, -1), first):
                h, c = (None if end is None else end[number] for end in ends)
                found[names[number]] = _backward(step_maps(traces[names[number]]), part, h, c, clip, truncate)
            if until in found:
                break
            if first:
                direct = torch.stack([found[name].input_gradient() for name in names[first : first + count]]).sum(0)
    return found


def _direct(
    rnn: RNNBase, out: Any, states: Any, loss: Tensor
) -> tuple[Tensor, tuple[Tensor | None, Tensor | None]]:  # fmt: skip
    """dL/dout as ``[T, N, D * P]`` and dL/d(final h, c) as ``[L * D, N, *]`` (None: not in the loss), float64."""
    values = out.data if isinstance(out, PackedSequence) else out
    given = [] if states is None else list(states) if isinstance(states, (tuple, list)) else [states]
    tensors = [values, *given]
    if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.requires_grad:
        raise ValueError("loss must be a scalar with a graph; call this before loss.backward(), with grad mode on")
    if not all(isinstance(t, Tensor) for t in tensors):
        raise TypeError("output must be what the layer returned: out, or the pair (out, state)")
    asked = [t for t in tensors if t.requires_grad]
    grads = iter(torch.autograd.grad(loss, asked, retain_graph=True, allow_unused=True) if asked else ())
    found = [next(grads) if t.requires_grad else None for t in tensors]
    if all(g is None for g in found):
        raise ValueError("loss does not depend on output; pass the very tensors that the loss was computed from")
    first = torch.zeros_like(values) if found[0] is None else found[0]
    packed = PackedSequence(first, *out[1:]) if isinstance(out, PackedSequence) else first
    ends = [None if g is None else (g if g.dim() == 3 else g.unsqueeze(1)).double() for g in found[1:]] + [None, None]
    return _trace.time_major(rnn, packed, None, "output")[0].double(), (ends[0], ends[1])


def _backward(
    maps: StepMaps, direct: Tensor, last_h: Tensor | None, last_c: Tensor | None,
    clip: Callable[[Tensor], Tensor] | None, truncate: int,
) -> Deltas:  # fmt: skip
    trace, w_hh = maps.trace, maps.trace.weights.w_hh
    alive, steps = trace.alive.unsqueeze(-1), trace.x.shape[0]
    lstm = maps.out_slope is not None
    carry = torch.zeros_like(trace.h0) if last_h is None else last_h
    carry_c = None if trace.c0 is None else torch.zeros_like(trace.c0) if last_c is None else last_c
    grad_h, sources, kept = (
        torch.zeros_like(direct),
        torch.zeros_like(maps.slopes),
        torch.zeros_like(maps.slopes[:, :, 0]),
    )
    grad_c = torch.zeros_like(kept) if lstm else None
    cut = torch.zeros(steps, dtype=torch.bool)
    order = list(trace.order())
    for t in reversed(order):
        total = direct[t] + carry
        total = total if clip is None else clip(total)
        source, keep = maps.pull(t, total, carry_c)
        back = (maps.slopes[t] * source).flatten(1) @ w_hh
        back = back if lstm else back + keep
        grad_h[t], kept[t] = total * alive[t], keep * alive[t]
        sources[t] = source * alive[t].unsqueeze(-1)
        cut[t] = truncate > 0 and t != order[0] and (t + 1 if trace.reverse else t) % truncate == 0
        if cut[t]:
            back, keep = torch.zeros_like(back), torch.zeros_like(keep)
        carry = torch.where(alive[t], back, carry)
        if grad_c is not None and carry_c is not None:
            grad_c[t] = carry_c * alive[t]
            carry_c = torch.where(alive[t], keep, carry_c)
    return Deltas(maps, grad_h, grad_c, sources, kept, cut.to(direct.device))


def contribution(
    rnn: torch.nn.Module,
    x: Any,
    output: Any,
    loss: Tensor,
    hx: Any = None,
    *,
    layer: str = "l0",
    lengths: Lengths | None = None,
) -> Tensor:
    """``[T]`` float64: each timestep's exact share of the recurrent weights' gradient; the sum is 1.

    dL/dW_hh is the sum over t of delta_t h_{t-1}^T (over the batch as well), with delta_t the gradient of the
    pre-activations. Here is the Frobenius norm of each timestep's term, over the sum of these norms.
    ``Series.contribution`` estimates it from recorded norms alone, which costs nothing; this costs another pass in
    Python. All nan where there is nothing to share out.

    Args:
        rnn: RNN, GRU, LSTM or ResidualRNN of seqgrad or torch.nn; its ``truncate`` and ``state_clip`` are followed.
        x: its input, in any form that it takes.
        output: what ``rnn(x, hx)`` returned: out, or the pair (out, state) if the loss reads the state.
        loss: computed from ``output``; not yet backpropagated.
        hx: initial state, zeros by default.
        layer: ``"l0"``, ``"l1_reverse"`` ...
        lengths: int ``[N]`` of a padded batch.

    Raises:
        TypeError, ValueError: what was passed does not belong together, or dropout hides the lower layers.

    Example:
        >>> import torch, seqgrad as sg
        >>> rnn, x = sg.RNN(4, 8), torch.randn(50, 3, 4)
        >>> out, h = rnn(x)
        >>> share = contribution(rnn, x, out, out[-1].sum())
        >>> bool(share[-1] > share[0])
        True
    """
    module = _trace.check(rnn, "contribution", layer)
    one = deltas(module, x, output, loss, hx, lengths=lengths, until=layer)[layer]
    with torch.no_grad():
        planes, before = one.planes, one.maps.trace.previous
        terms = torch.stack([_norm(planes[t].T @ before[t]) for t in range(len(planes))])
        return _figures.contribution(terms.unsqueeze(1).cpu(), None, None)


def _norm(term: Tensor) -> Tensor:
    """Frobenius norm, scaled by the largest element: squares of 1e-200 would be 0."""
    top = term.abs().amax()
    scale = torch.where((top > 0) & top.isfinite(), top, torch.ones_like(top))
    return torch.linalg.vector_norm(term / scale) * scale
