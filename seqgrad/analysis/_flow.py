"""Forward information: how much of each input step is left in the last state, and whether it can be read from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import RNNBase

from seqgrad import _figures
from seqgrad.analysis import _trace
from seqgrad.analysis._gates import _pandas
from seqgrad.analysis._lyapunov import check_count
from seqgrad.analysis._trace import Lengths

if TYPE_CHECKING:
    import pandas

    from seqgrad.analysis._plots import InformationFlowDisplay

_ROOM = 2**22  # state values of one block of copies: about 32 MB in float64, a few times that with its graph
_STRENGTHS = (1e-8, 1e-6, 1e-4, 1e-2, 1.0, 100.0)  # of the ridge, relative to the largest variance of the state
_FEWEST = 3  # samples that leaving one out needs


@dataclass(frozen=True, eq=False)
class InformationFlow:
    """What the last state knows of each input step. Input-time order; NaN beyond a sample's length.

    ``sensitivity[t, n]`` is the Frobenius norm of d h_end / d x_t: how far the last state moves when x_t does. It is
    forward information, which the gradient needs on its way back: where this is 0, nothing can be learnt from x_t.

    ``probe[t]`` is the cross-validated R^2 with which a linear readout finds x_t in the last state: 1 is perfect, 0 or
    less no better than the mean of x_t. It is trained by ridge regression on all samples but one and judged on that
    one, each in turn (in closed form); of six ridge strengths the best at t counts. Whatever lies below 1e-4 of the
    state's widest direction counts as unreadable. Needs samples that differ, clearly more of them than hidden units
    to be fair to large states, and at least 3: else NaN.

    ``spread[t]`` is the root mean square over the units of the standard deviation of h_t over the batch: how far
    apart different histories keep the state.
    """

    layer: str
    reverse: bool
    lengths: Tensor | None  # [N]
    sensitivity: Tensor  # [T, N] float64
    measured: Tensor  # [T, N] bool: inside a sample whose sensitivity was asked for
    probe: Tensor  # [T] float64
    spread: Tensor  # [T] float64

    def by_lag(self) -> Tensor:
        """``[K]`` root mean square of the sensitivity over the samples, against the steps back from the last one."""
        asked = self.measured.any(0).cpu()
        lengths = None if self.lengths is None else self.lengths.cpu()[asked]
        return _figures.profile(self.sensitivity.cpu()[:, asked], lengths, self.reverse)

    def by_step(self) -> Tensor:
        """``[T]`` root mean square of the sensitivity over the samples that reach t; NaN where none does."""
        values, count = torch.where(self.measured, self.sensitivity, 0.0), self.measured.sum(1)
        found = _figures.batch_norm(values, mean=True, counts=count)
        return torch.where(count > 0, found, torch.full_like(found, float("nan")))

    def to_pandas(self) -> pandas.DataFrame:
        """One row per timestep: layer, t, sensitivity (root mean square over the samples), probe, spread."""
        columns: dict[str, Any] = {"layer": self.layer, "t": range(len(self.probe))}
        columns |= {"sensitivity": self.by_step().tolist(), "probe": self.probe.tolist()}
        return _pandas().DataFrame(columns | {"spread": self.spread.tolist()})

    def plot(self, ax: Any = None, *, lang: str = "en", **options: Any) -> InformationFlowDisplay:
        """Sensitivity, probe and spread against the timestep; a Display with ``axes_``, ``ax_`` and ``figure_``.

        Args:
            ax: matplotlib axes to draw on; a new figure without.
            lang: ``"en"`` or ``"es"``.
            options: ``title``, and ``theme`` for a new figure: ``"light"`` or ``"dark"``.

        Raises:
            ImportError: matplotlib is missing; ``pip install 'seqgrad[plot]'``.
        """
        from seqgrad.analysis._plots import InformationFlowDisplay

        return InformationFlowDisplay(self, lang=lang).plot(ax, **options)

    def __repr__(self) -> str:
        steps, batch = self.sensitivity.shape
        lag = self.by_lag().tolist() or [float("nan")]
        return (
            f"<InformationFlow into the last state of {self.layer!r}: T={steps}, N={batch}, sensitivity "
            f"{lag[0]:.3g} to the nearest input, {lag[-1]:.3g} to the farthest>"
        )


def information_flow(
    rnn: torch.nn.Module,
    x: Any,
    hx: Any = None,
    *,
    layer: str | None = None,
    lengths: Lengths | None = None,
    samples: int | None = None,
) -> InformationFlow:
    """How much of every input step the last state of a layer still holds: sensitivity, linear probe, spread.

    Runs in float64, without dropout. The sensitivity comes from one backward through P copies of every sample, each
    asking for one unit of the last state (in blocks, to bound the memory); through all layers below, so it is right
    for stacks. That is P times the work of a training step: seconds for 100 units, 100 steps and 32 samples. Take
    ``samples=4`` where it is too much; the probe wants them all.

    Args:
        rnn: RNN, GRU, LSTM or ResidualRNN of seqgrad or torch.nn.
        x: its input ``[T, N, I]``, or any other form it takes; with real, independent samples if the probe is to mean
            anything.
        hx: its initial state, zeros by default.
        layer: whose last state is asked, ``"l0"``, ``"l1_reverse"`` ...; by default the last layer's, forward. The
            last state of a reverse direction is the one at t = 0.
        lengths: int ``[N]`` of a padded batch: each sample's own last state.
        samples: the sensitivity of so many samples only, the first ones; NaN for the others.

    Raises:
        TypeError: ``rnn`` is no recurrent layer, ``samples`` no int. ValueError: no such layer, or shapes that do not
            fit.

    Example:
        >>> import torch, seqgrad as sg
        >>> flow = information_flow(sg.RNN(4, 8), torch.randn(50, 32, 4))
        >>> bool(flow.by_step()[0] < 1e-4 * flow.by_step()[-1])
        True
    """
    module = _trace.check(rnn, "information_flow", layer)
    name = layer or f"l{module.num_layers - 1}"
    traces = _trace.trace(module, x, hx, lengths=lengths, until=name, dtype=torch.float64)
    one = traces[name]
    source, known = next(iter(traces.values())).x, one.lengths
    alive = one.alive
    nan = torch.full((), float("nan"), dtype=torch.float64, device=source.device)
    if samples is not None:
        check_count("samples", samples, 1)
    few = slice(0, samples)
    starts = {key: (t.h0[few], None if t.c0 is None else t.c0[few]) for key, t in traces.items()}
    with torch.enable_grad():
        norms = _sensitivity(module, name, source[:, few], starts, None if known is None else known[few])
    measured = alive.clone()
    measured[:, norms.shape[1] :] = False
    sensitivity = torch.full_like(source[..., 0], float("nan"))
    sensitivity[:, few] = torch.where(alive[:, few], norms, nan)
    probe = _probe(_last(one), torch.where(alive.unsqueeze(-1), source, nan), alive)
    return InformationFlow(name, one.reverse, known, sensitivity, measured, probe, _spread(one.out, alive))


def _last(one: _trace.Trace) -> Tensor:
    """``[N, P]`` state after each sample's last step; its initial state where it has none."""
    steps = one.x.shape[0]
    if one.reverse:
        found, empty = one.out[0], None if one.lengths is None else one.lengths == 0
    elif one.lengths is None:
        return one.out[steps - 1]
    else:
        index = (one.lengths - 1).clamp(min=0)
        found, empty = one.out[index, torch.arange(one.x.shape[1], device=index.device)], one.lengths == 0
    return found if empty is None else torch.where(empty.unsqueeze(-1), one.h0, found)


def _sensitivity(
    rnn: RNNBase, name: str, x: Tensor, starts: dict[str, tuple[Tensor, Tensor | None]], lengths: Tensor | None
) -> Tensor:
    """``[T, N]`` norm of d h_end / d x_t, over all units: rows of the Jacobian from copies of the batch."""
    steps, batch, features = x.shape
    width = starts[name][0].shape[1]
    block = max(1, min(width, _ROOM // max(1, steps * batch * int(rnn.hidden_size))))
    norms = []
    for first in range(0, width, block):
        units = range(first, min(first + block, width))
        copies = x.repeat(1, len(units), 1).requires_grad_()
        last = _run(rnn, name, copies, starts, lengths, len(units)).view(len(units), batch, width)
        chosen = sum((last[k, :, unit].sum() for k, unit in enumerate(units)), last.new_zeros(()))
        (grad,) = torch.autograd.grad(chosen, copies)
        rows = grad.view(steps, len(units), batch, features).transpose(1, 2).reshape(steps * batch, -1)
        norms.append(_figures.batch_norm(rows))
    return _figures.batch_norm(torch.stack(norms, 1)).view(steps, batch)


def _run(
    rnn: RNNBase, until: str, x: Tensor, starts: dict[str, tuple[Tensor, Tensor | None]], lengths: Tensor | None,
    copies: int,
) -> Tensor:  # fmt: skip
    """``[copies * N, P]`` last state of ``until`` for a batch of copies, differentiable to ``x``."""
    count = 2 if rnn.bidirectional else 1
    lengths = None if lengths is None else lengths.repeat(copies)
    outs: list[Tensor] = []
    for number, name in enumerate(starts):
        if number % count == 0 and number:
            x, outs = torch.cat(outs, -1), []
        weights = _trace.cast(_trace.weights_of(rnn, name), torch.float64)
        h0, c0 = (None if s is None else s.repeat(copies, 1) for s in starts[name])
        assert h0 is not None
        reverse, scale = name.endswith("_reverse"), float(getattr(rnn, "residual_scale", 1.0))
        out, last = _trace.run(x, weights, h0, c0, _trace.cell_of(rnn), lengths, scale, reverse)
        outs.append(out)
        if name == until:
            break
    return last


def _spread(out: Tensor, alive: Tensor) -> Tensor:
    """``[T]`` root mean square over the units of the standard deviation over the samples that are there."""
    weight, count = alive.unsqueeze(-1).to(out.dtype), alive.sum(1)
    out = torch.where(alive.unsqueeze(-1), out, torch.zeros_like(out))
    mean = out.sum(1, keepdim=True) / weight.sum(1, keepdim=True)
    rows = ((out - mean) * weight).flatten(1)
    return _figures.batch_norm(rows, mean=True, counts=count * out.shape[2])


@torch.no_grad()
def _probe(last: Tensor, x: Tensor, alive: Tensor) -> Tensor:
    """``[T]`` R^2 of reading ``x [T, N, I]`` from ``last [N, P]``, over the samples that are alive at t."""
    found = torch.full((x.shape[0],), float("nan"), dtype=torch.float64, device=x.device)
    masks, which = alive.unique(dim=0, return_inverse=True)
    for k, mask in enumerate(masks):
        if int(mask.sum()) >= _FEWEST:
            times = (which == k).nonzero().squeeze(1)
            targets = x[times][:, mask].transpose(0, 1)  # [n, T', I]
            found[times] = leave_one_out(last[mask], targets)
    return found


def leave_one_out(features: Tensor, targets: Tensor) -> Tensor:
    """``features [n, P]``, ``targets [n, M, I]`` -> ``[M]`` R^2 of ridge regression, each sample by the others.

    With the hat matrix A the residual of a sample left out is its ordinary residual over 1 - A_nn, so one SVD gives
    every fold, every target and every ridge strength. The intercept is fitted too, unpenalised.
    """
    count = features.shape[0]
    if not bool(features.isfinite().all()):
        return torch.full_like(targets[0, :, 0], float("nan"))
    u, s, _ = torch.linalg.svd(features - features.mean(0), full_matrices=False)
    centred = targets - targets.mean(0)
    around = (centred * (count / (count - 1))).square().sum((0, 2))  # left-out error of the mean itself
    coefficients = torch.einsum("nr,nmi->rmi", u, centred)
    best = torch.full_like(around, -float("inf"))
    for strength in _STRENGTHS:
        ridge = strength * s[0].square() if len(s) else s.new_zeros(())
        shrink = torch.where(s > 0, s.square() / (s.square() + ridge), torch.zeros_like(s))
        residual = centred - torch.einsum("nr,r,rmi->nmi", u, shrink, coefficients)
        leverage = 1 / count + (u.square() * shrink).sum(1)
        error = (residual / (1 - leverage).view(-1, 1, 1)).square().sum((0, 2))
        best = torch.maximum(best, 1 - error / around)
    return torch.where(around > 0, best, torch.full_like(best, float("nan")))
