"""What torch.compile and export know of the native ops: shapes and dtypes of their results, without computing them."""

from __future__ import annotations

import torch
from torch import Tensor

from seqgrad._ops import CELLS, arithmetic, check_tap, named


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
    rows, batch = x.shape[:-1], h0.shape[0]  # T and N, or S of packed rows
    info = CELLS[cell]
    if tap is not None and x.dim() == 3:
        check_tap(tap, x, info, clip != "none")
    hidden, width = w_hh.shape[0] // info.gates, w_hh.shape[1]
    cn = x.new_empty((batch, hidden) if info.states == 2 else (0,))
    saved = x.new_empty((*rows, info.saved, hidden) if save else (0,), dtype=arithmetic(x))
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

    measured = x.new_empty((0,), dtype=arithmetic(x))
    if norms:
        steps = x.shape[0] if x.dim() == 3 else torch.library.get_ctx().new_dynamic_size()  # packed rows: lengths say
        measured = measured.new_empty(CELLS[cell].states + 1 + (clip != "none"), steps, h0.shape[0])
    weights = [like(t, need_weights) for t in (w_ih, w_hh, b_ih, b_hh, w_hr)]
    return (like(x, need_input), *weights, like(h0, True), like(c0, True), measured)


@torch.library.register_fake("seqgrad::eager")
def _(
    x: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    w_hr: Tensor | None,
    h0: Tensor | None,
    c0: Tensor | None,
    lengths: Tensor | None,
    code: int,
    scale: float,
    clip_limit: float,
    save: bool,
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
    _check_devices(x, w_ih=w_ih, w_hh=w_hh, b_ih=b_ih, b_hh=b_hh, w_hr=w_hr, h0=h0, c0=c0, lengths=lengths)
    info, rows, single = CELLS[named((code, scale, clip_limit))[0]], x.shape[:-1], x.dim() == 2 and lengths is None
    hidden, width = w_hh.shape[0] // info.gates, w_hh.shape[1]
    states = (lengths.shape[0],) if lengths is not None else rows[-1:]
    if not single and (h0 is None or h0.dim() == 3):
        states = (1, *states)
    hn = None if single else x.new_empty(*states, width)
    cn = x.new_empty(*states, hidden) if info.states == 2 else None
    saved = x.new_empty((*rows, info.saved, hidden), dtype=arithmetic(x)) if save else None
    return x.new_empty(*rows, width), hn, cn, saved


@torch.library.register_fake("seqgrad::eager_backward")
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
    h0: Tensor | None,
    c0: Tensor | None,
    lengths: Tensor | None,
    code: int,
    scale: float,
    clip_limit: float,
    wanted: int,
) -> tuple[Tensor | None, ...]:
    needed = (wanted & 1, *[wanted & 2] * 5, True, True)
    found = [
        x.new_empty(t.shape) if need and t is not None else None
        for t, need in zip((x, w_ih, w_hh, b_ih, b_hh, w_hr, h0, c0), needed, strict=True)
    ]
    measured = None
    if wanted & 4:
        samples = x.shape[-2] if lengths is None else lengths.shape[0]
        steps = x.shape[0] if x.dim() == 3 else torch.library.get_ctx().new_dynamic_size()
        cell, _, _, clip, *_ = named((code, scale, clip_limit))
        measured = x.new_empty(CELLS[cell].states + 1 + (clip != "none"), steps, samples, dtype=arithmetic(x))
    return (*found, measured)
