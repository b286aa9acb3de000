"""PLACEHOLDER while the native engine is being written: same signature and results, slow. See CONTRACT."""

from __future__ import annotations

import torch
from torch import Tensor

from seqgrad import _reference
from seqgrad.clip import Norm, Value

CELLS = {"rnn_tanh": 1, "rnn_relu": 1, "residual_tanh": 1, "residual_relu": 1, "gru": 3, "lstm": 4}


def quantities(cell: str, state_clip: Norm | Value | None) -> tuple[str, ...]:
    """Names of the rows of a tap, in order."""
    q = ["grad_h", "grad_carry"]
    if cell == "lstm":
        q.append("grad_c")
    if state_clip is not None:
        q.append("clip_hits")
    return tuple(q)




def layer(x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None, h0: Tensor,
          c0: Tensor | None = None, *, cell: str, lengths: Tensor | None = None, w_hr: Tensor | None = None,
          scale: float = 1.0, reverse: bool = False, truncate: int = 0,
          state_clip: Norm | Value | None = None, tap: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor | None]:
    def hook(g: Tensor) -> Tensor:
        if isinstance(state_clip, Norm):
            n = g.norm(dim=-1, keepdim=True)
            return torch.where(n > state_clip.max_norm, g * (state_clip.max_norm / n), g)
        return g.clamp(-state_clip.clip_value, state_clip.clip_value)

    class Step(torch.autograd.Function):
        @staticmethod
        def forward(ctx, h, row):
            return h.clone()

        @staticmethod
        def backward(ctx, g):
            norms = g.norm(dim=-1).to(tap.dtype)
            rows = [norms] * (2 if cell != "lstm" else 3)
            if state_clip is not None:
                limit = state_clip.max_norm if isinstance(state_clip, Norm) else state_clip.clip_value
                big = norms > limit if isinstance(state_clip, Norm) else g.abs().amax(-1) > limit
                rows.append(big.to(tap.dtype))
            return g, torch.stack(rows)

    step = _reference.STEPS[cell]
    if tap is None:
        r = _reference.layer(x, w_ih, w_hh, b_ih, b_hh, h0, c0, cell=cell, lengths=lengths, w_hr=w_hr, scale=scale,
                             reverse=reverse, truncate=truncate, state_clip=hook if state_clip else None)
        return r.out, r.hn, r.cn
    counter = iter(range(x.shape[0] - 1, -1, -1) if reverse else range(x.shape[0]))

    def tapped(wx, wh, h, c, s):
        h, c = step(wx, wh, h, c, s)
        return Step.apply(h, tap[:, next(counter)]), c

    _reference.STEPS["tapped"] = tapped
    r = _reference.layer(x, w_ih, w_hh, b_ih, b_hh, h0, c0, cell="tapped", lengths=lengths, w_hr=w_hr, scale=scale,
                         reverse=reverse, truncate=truncate, state_clip=hook if state_clip else None)
    return r.out, r.hn, r.cn
