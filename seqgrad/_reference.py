"""Independent pure-torch recurrent layers: the oracle of the tests and the composite of double backward.

Forward only, one time step at a time, differentiated by autograd. Shares no math with ``csrc``.
Letters: T time, N batch, I input, H hidden, P projected state (H without projection), G gates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear


class Result(NamedTuple):
    """What one layer and direction returns; ``hs``/``cs`` are the T states autograd can be asked about."""

    out: Tensor  # [T, N, P], zero beyond a sample's length
    hn: Tensor  # [N, P]
    cn: Tensor | None  # [N, H], LSTM only
    hs: list[Tensor]  # T tensors [N, P] in input-time order: autograd.grad(loss, hs) is the total dL/dh_t
    cs: list[Tensor]  # T tensors [N, H], LSTM only


def _rnn(act: Callable[[Tensor], Tensor], residual: bool) -> Callable[..., tuple[Tensor, None]]:
    def step(wx: Tensor, wh: Tensor, h: Tensor, c: None, scale: float) -> tuple[Tensor, None]:
        a = act(wx + wh)
        return (h + scale * a if residual else a), None

    return step


def _gru(wx: Tensor, wh: Tensor, h: Tensor, c: None, scale: float) -> tuple[Tensor, None]:
    (xr, xz, xn), (hr, hz, hn) = wx.chunk(3, -1), wh.chunk(3, -1)
    r, z = torch.sigmoid(xr + hr), torch.sigmoid(xz + hz)
    n = torch.tanh(xn + r * hn)
    return (1 - z) * n + z * h, None


def _lstm(wx: Tensor, wh: Tensor, h: Tensor, c: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    i, f, g, o = (wx + wh).chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


STEPS: dict[str, Callable[..., tuple[Tensor, Tensor | None]]] = {
    "rnn_tanh": _rnn(torch.tanh, residual=False),
    "rnn_relu": _rnn(torch.relu, residual=False),
    "residual_tanh": _rnn(torch.tanh, residual=True),
    "residual_relu": _rnn(torch.relu, residual=True),
    "gru": _gru,
    "lstm": _lstm,
}


class _Clip(torch.autograd.Function):
    """The identity, with a backward of one's own. No hook: torch.func's transforms know none."""

    generate_vmap_rule = True

    @staticmethod
    def forward(h: Tensor, clip: Callable[[Tensor], Tensor]) -> Tensor:
        return h.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.clip = inputs[1]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return ctx.clip(grad), None


def _cut(state: Tensor, started: Tensor | None) -> Tensor:
    """Detach what a sample carries; one that has not begun (padding, in reverse) still holds its initial state."""
    return state.detach() if started is None else torch.where(started, state.detach(), state)


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
    state_clip: Callable[[Tensor], Tensor] | None = None,
) -> Result:
    """One layer, one direction. ``x [T, N, I]``, ``w_ih [G*H, I]``, ``w_hh [G*H, P]``, ``h0 [N, P]``, ``c0 [N, H]``.

    ``state_clip`` maps the total dL/dh_t ``[N, P]`` to what step t's cell backward receives;
    ``truncate=k`` detaches the carried state where input time crosses a multiple of k.
    """
    steps = x.shape[0]
    h, c = h0, c0
    hs: list[Tensor] = []
    cs: list[Tensor] = []
    outs: list[Tensor] = []
    wx = linear(x, w_ih, b_ih).unbind(0)
    order = range(steps - 1, -1, -1) if reverse else range(steps)
    for k, t in enumerate(order):
        if truncate and k and (t + 1 if reverse else t) % truncate == 0:
            started = None if lengths is None or not reverse else (t + 1 < lengths).to(x.device).unsqueeze(-1)
            h, c = _cut(h, started), None if c is None else _cut(c, started)
        new_h, new_c = STEPS[cell](wx[t], linear(h, w_hh, b_hh), h, c, scale)
        if w_hr is not None:
            new_h = linear(new_h, w_hr)
        if state_clip is not None:
            new_h = _Clip.apply(new_h, state_clip)  # hs sees the total gradient, the cell what clipping leaves
        hs.append(new_h)
        if new_c is not None:
            cs.append(new_c)
        if lengths is None:
            h, c = new_h, new_c
            outs.append(new_h)
        else:
            alive = (t < lengths).to(x.device).unsqueeze(-1)
            h = torch.where(alive, new_h, h)
            c = None if new_c is None or c is None else torch.where(alive, new_c, c)
            outs.append(torch.where(alive, new_h, torch.zeros_like(new_h)))
    if reverse:
        for states in (hs, cs, outs):
            states.reverse()
    return Result(torch.stack(outs), h, c, hs, cs)
