"""Terms to add to a loss. So far one: Omega, which asks the backward signal to keep its norm."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqgrad.analysis import _trace
from seqgrad.analysis._deltas import Deltas, deltas
from seqgrad.analysis._trace import Lengths

__all__ = ["omega"]


def omega(
    rnn: torch.nn.Module,
    x: Any,
    output: Any,
    loss: Tensor,
    hx: Any = None,
    *,
    layer: str | None = None,
    lengths: Lengths | None = None,
    squared: bool = False,
) -> Tensor:
    """Pascanu's regulariser: the mean over steps and samples of ``(||d_t ds_t/ds_{t-1}|| / ||d_t|| - 1)^2``, a scalar.

    d_t is the total dL/ds_t. The ratio is how much of the gradient one step back through time keeps: below 1 it
    vanishes, above 1 it explodes. The term asks for 1, but only along the direction in which this loss's gradient
    really travels, which leaves the network free to forget elsewhere.

    As in the paper, only the *immediate* derivative to the recurrent weights is taken: d_t, the states and the gates
    count as constants, so the term gives a gradient to ``weight_hh`` alone. It is no derivative of the number
    returned, which moves with everything; judge it by where it drives the ratio.

    The state s is h, and (h, c) for an LSTM. The paper treats the RNN; for gated cells and the residual RNN this is
    the same rule for their step Jacobians. Steps whose d_t is exactly 0 or not finite, steps beyond a sample's length
    and steps cut by ``truncate`` are left out; 0.0 if none is left.

    **Cost.** One backward from ``loss`` to ``output`` (through what follows the layer, not the layer itself), one
    forward of all layers but the last, and a Python loop over time with one ``[N, G*H] x [G*H, P]`` product per
    step in float64, because the fused backward hands out the norms of d_t and not the vectors. A training step of an
    LSTM with 128 units over 100 steps takes about six times as long with it (one CPU thread); adding the term every
    few steps is enough to steer.

    Args:
        rnn: RNN, GRU, LSTM or ResidualRNN of seqgrad or torch.nn; its ``truncate`` and ``state_clip`` are followed.
        x: its input, in any form that it takes.
        output: what ``rnn(x, hx)`` returned: out, or the pair (out, state) if the loss reads the state.
        loss: scalar computed from ``output``, not yet backpropagated. Its scale does not matter.
        hx: initial state, zeros by default.
        layer: ``"l0"``, ``"l1_reverse"`` ...; by default the mean over all layers and directions.
        lengths: int ``[N]`` of a padded batch.
        squared: compare the squared ratio with 1, as the authors' own code does.

    Raises:
        TypeError, ValueError: what was passed does not belong together, or dropout hides the lower layers.

    Source: Pascanu, Mikolov and Bengio 2013, "On the difficulty of training recurrent neural networks", eq. 9 and 10;
    there a sum over steps, here a mean, so that its weight does not depend on T.

    Example:
        >>> import torch, seqgrad as sg
        >>> rnn, head, x = sg.RNN(4, 8), torch.nn.Linear(8, 1), torch.randn(20, 3, 4)
        >>> out, h = rnn(x)
        >>> loss = head(out[-1]).square().mean()
        >>> (loss + 0.5 * omega(rnn, x, out, loss)).backward()
    """
    module = _trace.check(rnn, "omega", layer)
    found = deltas(module, x, output, loss, hx, lengths=lengths, until=layer)
    chosen = list(found) if layer is None else [layer]
    terms = [_penalty(found[name], _trace.weights_of(module, name).w_hh, squared) for name in chosen]
    return torch.stack(terms).mean()


def _penalty(one: Deltas, w_hh: Tensor, squared: bool) -> Tensor:
    """Mean of ``(ratio - 1)^2`` for one layer, a function of ``w_hh [G * H, P]`` alone."""
    with torch.no_grad():
        planes, kept, other, valid = normalised(one)
        parts = [p if p is None else p.to(w_hh.dtype) for p in (planes, kept, other)]
    return ratio_penalty(w_hh, parts[0], parts[1], parts[2], valid, squared)  # type: ignore[arg-type]


def normalised(one: Deltas) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor]:
    """What a step passes back, per unit of ``||d_t||``, before W_hh multiplies it.

    Returns:
        ``planes [T, N, G*H]``, the part of h's own path ``[T, N, P]`` (or None), the norm of the part that goes to c
        ``[T, N, 1]`` (LSTM, or None), and which entries count, ``[T, N]``.
    """
    lstm = one.grad_c is not None
    size = _size(one.grad_h if one.grad_c is None else torch.cat([one.grad_h, one.grad_c], -1))
    valid = (size > 0) & size.isfinite() & one.maps.trace.alive & ~one.cut.unsqueeze(1)

    def per_unit(values: Tensor) -> Tensor:
        return torch.where(valid.unsqueeze(-1), values / size.unsqueeze(-1), torch.zeros_like(values))

    kept = per_unit(one.kept)
    if lstm:
        return per_unit(one.planes), None, torch.linalg.vector_norm(kept, dim=-1, keepdim=True), valid
    return per_unit(one.planes), kept if one.maps.keep is not None else None, None, valid


def _size(values: Tensor) -> Tensor:
    """L2 norm over the last axis, whatever its scale."""
    top = values.abs().amax(-1, keepdim=True)
    top = torch.where(top > 0, top, torch.ones_like(top))
    return torch.linalg.vector_norm(values / top, dim=-1) * top.squeeze(-1)


def ratio_penalty(
    w_hh: Tensor, planes: Tensor, kept: Tensor | None, other: Tensor | None, valid: Tensor, squared: bool
) -> Tensor:
    """``planes @ w_hh`` plus what takes no part in it -> mean of ``(norm - 1)^2`` over the valid entries."""
    back = planes @ w_hh
    back = back if kept is None else back + kept
    back = back if other is None else torch.cat([back, other], -1)
    ratio = torch.linalg.vector_norm(back, dim=-1)  # its derivative at exactly 0 is 0, that of sqrt would be inf
    ratio = ratio.square() if squared else ratio
    miss = torch.where(valid, (ratio - 1).square(), torch.zeros_like(ratio))
    return miss.sum() / valid.sum().clamp(min=1)
