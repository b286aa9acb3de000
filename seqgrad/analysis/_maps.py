"""The step of a layer, linearised: how a small change of the state (or of its gradient) passes one timestep.

Closed formulas from the gates; nothing is differentiated numerically or by autograd. The state is ``s = h``, or
``s = (h, c)`` for an LSTM, of size S. Every map has the form: diagonal part + sum over gates of diag(a_g) W_g.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from seqgrad.analysis._gates import activations
from seqgrad.analysis._trace import Trace


@dataclass(frozen=True, eq=False)
class StepMaps:
    """The factors of ``ds_t/ds_prev`` for every timestep and sample; the matrices only when asked for.

    ``slopes[t, n, g]`` is what a change of gate g's recurrent pre-activation does to the state (RNN, GRU: to h; LSTM:
    i, f, g to c and o to h), ``input_slopes`` the same for the input's side, where a GRU differs.
    """

    trace: Trace
    slopes: Tensor  # [T, N, G, H]
    input_slopes: Tensor  # [T, N, G, H]
    keep: Tensor | None  # [T, N, H] what of the old h (LSTM: c) stays as it is; None: nothing
    out_slope: Tensor | None  # [T, N, H] dh_t/dc_t of an LSTM before projection

    @property
    def size(self) -> int:
        """S."""
        return self.trace.weights.w_hh.shape[1] + (self.trace.hidden if self.out_slope is not None else 0)

    @property
    def recurrent(self) -> Tensor:
        """``W_hh [G, H, P]``."""
        w_hh = self.trace.weights.w_hh
        return w_hh.view(-1, self.trace.hidden, w_hh.shape[1])

    def apply(self, t: int, change: Tensor) -> Tensor:
        """``[N, S, k]`` changes of the state before step t -> ``[N, S, k]`` changes after it; ended samples hold."""
        w_hh = self.trace.weights.w_hh
        through = (w_hh @ change[:, : w_hh.shape[1]]).unflatten(1, (-1, self.trace.hidden))  # [N, G, H, k]
        found = self._spread(slice(t, t + 1), change, through)[0]
        if self.trace.lengths is None:
            return found
        return torch.where(self.trace.alive[t, :, None, None], found, change)

    def matrices(self) -> Tensor:
        """``[T, N, S, S]`` with ``[t, n, a, b] = ds_t[a] / ds_prev[b]``; identity beyond a sample's length."""
        eye = torch.eye(self.size, dtype=self.slopes.dtype, device=self.slopes.device)
        width = self.recurrent.shape[2]
        through = torch.cat([self.recurrent, self.recurrent.new_zeros(*self.recurrent.shape[:2], self.size - width)], 2)
        found = self._spread(slice(None), eye, through)
        return found if self.trace.lengths is None else torch.where(self.trace.alive[..., None, None], found, eye)

    def _spread(self, steps: slice, change: Tensor, through: Tensor) -> Tensor:
        """``change [.., S, k]`` and ``W_g change_h [.., G, H, k]`` -> ``[T', N, S, k]`` after the steps."""
        slopes = self.slopes[steps].unsqueeze(-1)
        gates = slopes.shape[2]
        width = self.recurrent.shape[2]
        if self.out_slope is None:
            found = sum(slopes[:, :, g] * through[..., g, :, :] for g in range(gates))
            return cast(Tensor, found) if self.keep is None else found + self.keep[steps].unsqueeze(-1) * change
        assert self.keep is not None
        c = self.keep[steps].unsqueeze(-1) * change[..., width:, :]
        c = c + sum(slopes[:, :, g] * through[..., g, :, :] for g in range(gates - 1))
        h = self.out_slope[steps].unsqueeze(-1) * c + slopes[:, :, gates - 1] * through[..., gates - 1, :, :]
        project = self.trace.weights.w_hr
        return torch.cat([h if project is None else project @ h, c], -2)

    def pull(self, t: int, grad_h: Tensor, grad_c: Tensor | None) -> tuple[Tensor, Tensor]:
        """The transposed map on gradients, as far as W_hh.

        ``grad_h [N, P]`` and, for an LSTM, ``grad_c [N, H]`` (without what comes through h_t) after step t ->
        ``(sources, kept)``: ``slopes * sources`` are the gradients of the recurrent pre-activations ``[N, G, H]``;
        ``kept [N, H]`` reaches the state before on a path of its own, h (GRU, residual) or c (LSTM).
        """
        if self.out_slope is None:
            kept = torch.zeros_like(grad_h) if self.keep is None else self.keep[t] * grad_h
            return grad_h.unsqueeze(1).expand_as(self.slopes[t]), kept
        assert self.keep is not None and grad_c is not None
        project = self.trace.weights.w_hr
        units = grad_h if project is None else grad_h @ project
        total_c = grad_c + self.out_slope[t] * units
        return torch.stack([total_c, total_c, total_c, units], 1), self.keep[t] * total_c


def cell_states(trace: Trace, gates: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """``c_t`` and the c before each step, ``[T, N, H]`` both, of an LSTM: ``c_t = f c + i g``, elementwise in time."""
    assert trace.c0 is not None
    forget, new = gates["f"], gates["i"] * gates["g"]
    c, alive = trace.c0, trace.alive.unsqueeze(-1)
    before, after = torch.empty_like(forget), torch.empty_like(forget)
    for t in trace.order():
        before[t] = c
        c = torch.where(alive[t], forget[t] * c + new[t], c)
        after[t] = c
    return after, before


@torch.no_grad()
def step_maps(trace: Trace) -> StepMaps:
    """Linearise every step of a traced layer."""
    gates = activations(trace.cell, trace.x, trace.previous, trace.weights)
    if trace.cell == "gru":
        r, z, n, hn = (gates[name] for name in ("r", "z", "n", "recurrent_n"))
        into_n = (1 - z) * (1 - n * n)
        of_r, of_z = into_n * hn * r * (1 - r), (trace.previous - n) * z * (1 - z)
        recurrent, entering = torch.stack([of_r, of_z, into_n * r], 2), torch.stack([of_r, of_z, into_n], 2)
        return StepMaps(trace, recurrent, entering, z, None)
    if trace.cell == "lstm":
        i, f, g, o = (gates[name] for name in "ifgo")
        c, before = cell_states(trace, gates)
        tanh_c = torch.tanh(c)
        slopes = torch.stack(
            [g * i * (1 - i), before * f * (1 - f), i * (1 - g * g), tanh_c * o * (1 - o)],
            2,
        )
        return StepMaps(trace, slopes, slopes, f, o * (1 - tanh_c * tanh_c))
    a = gates["h"]
    slope = (a > 0).to(a.dtype) if trace.cell.endswith("relu") else 1 - a * a
    slope = torch.where(a.isnan(), a, trace.scale * slope).unsqueeze(2)
    return StepMaps(trace, slope, slope, torch.ones_like(a) if trace.cell.startswith("residual") else None, None)
