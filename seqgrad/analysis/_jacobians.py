"""Jacobians of single steps and of stretches of time, and what their spectra say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

import torch
from torch import Tensor

from seqgrad import init
from seqgrad.analysis import _trace
from seqgrad.analysis._maps import step_maps
from seqgrad.analysis._trace import Lengths


@torch.no_grad()
def step_jacobians(
    rnn: torch.nn.Module,
    x: Any,
    hx: Any = None,
    *,
    layer: str = "l0",
    lengths: Lengths | None = None,
    out: Any = None,
    state: str | None = None,
) -> Tensor:
    """``ds_t/ds_{t-1}`` of every timestep and sample, ``[T, N, S, S]``, in closed form from the gates.

    Entry ``[t, n, a, b]`` is the derivative of state unit a after step t to unit b before it; in the reverse direction
    "before" is t + 1. Their product is what carries the gradient back: for a loss on h_T alone
    ``dL/dh_t = dL/dh_T J_T ... J_{t+1}``. Beyond a sample's length the state is held and the Jacobian is the identity.

    Takes T N S^2 numbers; ask for fewer samples (``x[:, :4]``) where that is too much. Computed in the dtype of the
    weights, at least float32.

    Args:
        rnn: RNN, GRU, LSTM or ResidualRNN of seqgrad or torch.nn.
        x: its input ``[T, N, I]``, or any other form it takes.
        hx: its initial state, zeros by default.
        layer: ``"l0"``, ``"l1_reverse"`` ...
        lengths: int ``[N]`` of a padded batch.
        out: what ``rnn(x, hx)[0]`` returned, to spare running the last layer again.
        state: of an LSTM ``"hc"`` (default), the joint state, h first, S = P + H; ``"h"`` or ``"c"``, the diagonal
            block of h or c alone, with the other one fixed (``"c"`` is diag(f)). Other cells have ``"h"`` only.

    Raises:
        TypeError: ``rnn`` is no recurrent layer. ValueError: no such layer or state, or shapes that do not fit.

    Source: Bengio et al. 1994 and Pascanu et al. 2013, eq. 5, for the layers' own formulas.

    Example:
        >>> import torch, seqgrad as sg
        >>> step_jacobians(sg.LSTM(4, 8), torch.randn(20, 3, 4)).shape
        torch.Size([20, 3, 16, 16])
    """
    module = _trace.check(rnn, "step_jacobians", layer)
    states = ("hc", "h", "c") if module.mode == "LSTM" else ("h",)
    if state is not None and state not in states:
        raise ValueError(f"state must be one of {', '.join(map(repr, states))}, got {state!r}")
    one = _trace.trace(module, x, hx, lengths=lengths, out=out, until=layer)[layer]
    found = step_maps(one).matrices()
    width = one.h0.shape[1]
    if state == "h":
        return found[..., :width, :width]
    return found[..., width:, width:] if state == "c" else found


def products(jacobians: Tensor, *, reverse: bool = False) -> Tensor:
    """``[T, N, S, S]`` step Jacobians -> ``ds_end/ds_t`` for every t, the same shape.

    ``ds_end/ds_end`` is the identity; ``end`` is the last timestep, or with ``reverse`` (the layer's reverse
    direction) timestep 0.

    Example:
        >>> import torch
        >>> products(torch.full((4, 1, 1, 1), 0.5)).flatten()
        tensor([0.1250, 0.2500, 0.5000, 1.0000])
    """
    _check_matrices(jacobians, 4)
    found = torch.empty_like(jacobians)
    steps = jacobians.shape[0]
    current = torch.eye(jacobians.shape[-1], dtype=jacobians.dtype, device=jacobians.device).expand_as(jacobians[:1])[0]
    for t in range(steps) if reverse else reversed(range(steps)):
        found[t] = current
        current = current @ jacobians[t]
    return found


def product_norms(jacobians: Tensor, *, reverse: bool = False) -> Tensor:
    """``[T, N]`` float64: spectral norm of ``ds_end/ds_t``, the most that any gradient keeps on its way back to t.

    The products are taken in float64, whose range (1e-308 to 1e308) the result shares.

    Example:
        >>> import torch
        >>> product_norms(torch.full((4, 1, 1, 1), 0.5)).flatten().tolist()
        [0.125, 0.25, 0.5, 1.0]
    """
    return singular_values(products(jacobians.double(), reverse=reverse))[..., 0]


def singular_values(matrices: Tensor) -> Tensor:
    """``[..., S, S] -> [..., S]`` singular values, largest first; NaN for a matrix with NaN or Inf.

    The first is the most that one application can stretch any vector, the last the least.

    Example:
        >>> import torch
        >>> singular_values(torch.tensor([[0.0, -2.0], [0.5, 0.0]])).tolist()
        [2.0, 0.5]
    """
    _check_matrices(matrices, 2)
    return _where_finite(torch.linalg.svdvals, matrices)


@overload
def spectral_radius(what: torch.nn.Module) -> dict[str, dict[str, float]]: ...


@overload
def spectral_radius(what: Tensor) -> Tensor: ...


@torch.no_grad()
def spectral_radius(what: torch.nn.Module | Tensor) -> dict[str, dict[str, float]] | Tensor:
    """Largest absolute eigenvalue: of the recurrent matrices of a layer, per gate, or of any matrices.

    Args:
        what: a layer or cell: ``{"l0": {"r": ..., "z": ..., "n": ...}}``, keys as in ``init.recurrent_spectrum``.
            Or a tensor ``[..., S, S]``, such as step Jacobians: ``[...]``; NaN for a matrix with NaN or Inf.

    The radius of W_hh is not yet that of a step, which gates and slopes change: compare with
    ``spectral_radius(step_jacobians(rnn, x))``.

    Example:
        >>> import seqgrad as sg
        >>> spectral_radius(sg.init.identity_(sg.GRU(4, 8), scale=0.5))
        {'l0': {'r': 0.5, 'z': 0.5, 'n': 0.5}}
    """
    if isinstance(what, Tensor):
        _check_matrices(what, 2)
        return _where_finite(lambda m: torch.linalg.eigvals(m).abs(), what).amax(-1)
    spectra = init.recurrent_spectrum(what)
    return {layer: {gate: one.radius for gate, one in gates.items()} for layer, gates in spectra.items()}


def _check_matrices(matrices: Tensor, least: int) -> None:
    shape = list(matrices.shape) if isinstance(matrices, Tensor) else type(matrices).__name__
    if not isinstance(matrices, Tensor) or matrices.dim() < least or matrices.shape[-1] != matrices.shape[-2]:
        wanted = "[T, N, S, S]" if least == 4 else "[..., S, S]"
        raise ValueError(f"expected square matrices {wanted}, as step_jacobians returns, got {shape}")


def _where_finite(function: Callable[[Tensor], Tensor], matrices: Tensor) -> Tensor:
    """LAPACK refuses NaN and Inf: such matrices get NaN, the others their values."""
    fine = matrices.isfinite().all(-1).all(-1)
    values = function(torch.where(fine[..., None, None], matrices, torch.zeros_like(matrices)))
    return torch.where(fine.unsqueeze(-1), values, torch.full_like(values, float("nan")))
