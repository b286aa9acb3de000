"""Series: the gradient norms of one layer and direction in one backward. Recording is elsewhere (``_recorder``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from seqgrad import _figures

_NORMS = ("grad_h", "grad_carry", "grad_c")


class NonFinite(NamedTuple):
    """Where a NaN or Inf was born: the first one in backprop order."""

    t: int  # input timestep
    n: int  # sample
    quantity: str  # grad_carry, grad_h or grad_c
    value: float  # nan or inf
    backward: int = 0  # which backward of the record
    call: int = 0  # which call of the module


@dataclass(frozen=True, eq=False, repr=False)
class Series:
    """Gradient norms of one layer and direction, for one call of the module in one backward.

    Letters: ``T`` timesteps, ``N`` batch, ``Q`` quantities. Tensors stay on the device and in the dtype in which the
    backward wrote them (float32, or float64 for float64 layers); a figure (``ratio``, ``decay`` ...) is a Python number
    and copies to the CPU when asked. Everything is stored in input-time order, the reverse direction too, whose
    backprop runs from t = 0 upwards.

    The *lag* ``k`` is the number of steps back: ``k = length - 1 - t``, or ``k = t`` in the reverse direction. Figures
    are taken from ``profile(quantity)``, the root mean square over the batch against the lag, and start at the first
    lag whose norm is not exactly 0: there the loss enters. Steps beyond a sample's length take no part.

    ====================  ==========================================  ==============  =========  =================
    figure                definition                                  all norms 0     T = 1      NaN or Inf
    ====================  ==========================================  ==============  =========  =================
    ``ratio()``           last lag / first lag                        nan             1          nan if at an end
    ``decay()``           factor per lag, median slope of the log     nan             nan        fit stops there
    ``half_life()``       ``ln 2 / -ln(decay)``, in lags              nan             nan        fit stops there
    ``horizon(eps)``      lags that keep eps of the start             nan             0          ends there
    ``transmission()``    carried over / total, median over lags      nan             nan        lag left out
    ``contribution()``    share of each t in the weights' gradient    nan             1          all nan
    ``below_eps(eps)``    timesteps whose contribution is < eps       nan             0          nan
    ====================  ==========================================  ==============  =========  =================

    Which quantity? ``grad_h`` (the default) is the total gradient, direct plus carried. With a loss at every step, and
    in a layer that feeds another, each state gets a fresh direct part, so grad_h stays level, or follows the layer
    above, however little comes from the future. Compare it with ``grad_carry``, or ask ``transmission()``: that is what
    the recurrence itself does to the gradient.

    Example:
        >>> import torch
        >>> from seqgrad.record import Series
        >>> norms = torch.tensor([[0.25], [0.5], [1.0]])            # [T, N]
        >>> s = Series("rnn", "l0", "rnn_tanh", False, ("grad_h",), norms.unsqueeze(0))
        >>> s.decay(), s.horizon(0.4)
        (0.5, 1)
    """

    layer: str  # dotted path of the module, "" for the model itself
    name: str  # l0, l0_reverse, l1 ... or cell
    cell: str  # rnn_tanh, gru, lstm ...
    reverse: bool
    quantities: tuple[str, ...]  # names of the rows of data
    data: Tensor  # [Q, T, N]
    lengths: Tensor | None = None  # [N] int64, None: every sample has T steps
    backward: int = 0  # number of the backward within the record, from 0
    call: int = 0  # number of the module's call within the record, from 0

    def __post_init__(self) -> None:
        if self.data.dim() != 3 or self.data.shape[0] != len(self.quantities):
            raise ValueError(
                f"data must have shape [Q, T, N] with Q = {len(self.quantities)} ({', '.join(self.quantities)}), "
                f"got {list(self.data.shape)}"
            )
        if self.lengths is not None and self.lengths.shape != (self.data.shape[2],):
            raise ValueError(f"lengths must have shape [{self.data.shape[2]}], got {list(self.lengths.shape)}")

    # -- what was recorded ---------------------------------------------------------------------------------------------
    @property
    def key(self) -> str:
        """Name within the record, as the parameters are named: ``encoder.rnn.l0``."""
        return f"{self.layer}.{self.name}" if self.layer else self.name

    @property
    def steps(self) -> int:
        """T."""
        return self.data.shape[1]

    @property
    def batch(self) -> int:
        """N."""
        return self.data.shape[2]

    def _row(self, quantity: str) -> Tensor | None:
        return self.data[self.quantities.index(quantity)] if quantity in self.quantities else None

    @property
    def grad_h(self) -> Tensor:
        """``[T, N]`` L2 norm of the total dL/dh_t of each sample, direct plus carried, before any per-step clipping."""
        return self._need("grad_h")

    @property
    def grad_carry(self) -> Tensor | None:
        """``[T, N]`` norm of what arrives from the future alone; None where it is unknown (a cell in a loop)."""
        return self._row("grad_carry")

    @property
    def grad_c(self) -> Tensor | None:
        """``[T, N]`` norm of the total dL/dc_t of an LSTM; None for other cells."""
        return self._row("grad_c")

    @property
    def clip_hits(self) -> Tensor | None:
        """``[T, N]`` how often ``state_clip`` bit: 0 or 1 for Norm, elements clamped for Value; None without it."""
        return self._row("clip_hits")

    def _need(self, quantity: str) -> Tensor:
        row = self._row(quantity)
        if row is None:
            raise ValueError(
                f"series {self.key!r} ({self.cell}) has no {quantity!r}; it has {', '.join(self.quantities)}"
            )
        return row

    def _norms(self, quantity: str) -> Tensor:
        if quantity == "clip_hits":
            raise ValueError(
                "quantity must be a norm (grad_h, grad_carry or grad_c), got 'clip_hits', which counts; "
                "use series.clip_hits.sum(-1)"
            )
        return self._need(quantity)

    # -- over the batch ------------------------------------------------------------------------------------------------
    def norm(self, quantity: str = "grad_h") -> Tensor:
        """``[T]`` float64 norm over the batch, in input-time order: sqrt of the sum over n of the squares.

        Equals the norm of the whole slab ``dL/dh_t [N, H]``. Neither overflows nor underflows; NaN and Inf come
        through; steps beyond a sample's length count as 0. Stays on the device.

        Raises:
            ValueError: this series has no such quantity.
        """
        values = self._norms(quantity)
        if self.lengths is not None:
            mask = _figures.alive(self.steps, self.batch, self.lengths)
            values = torch.where(mask, values, torch.zeros_like(values))
        return _figures.batch_norm(values)

    def profile(self, quantity: str = "grad_h") -> Tensor:
        """``[K]`` float64 on the CPU against the lag k: root mean square over the samples longer than k.

        ``K`` is the longest length. Without ``lengths`` it is ``norm(quantity) / sqrt(N)`` in backprop order.
        """
        return _figures.profile(self._norms(quantity).double().cpu(), self._cpu_lengths(), self.reverse)

    def _cpu_lengths(self) -> Tensor | None:
        return None if self.lengths is None else self.lengths.cpu()

    @property
    def _tiny(self) -> float:
        return torch.finfo(self.data.dtype).tiny

    # -- figures -------------------------------------------------------------------------------------------------------
    def ratio(self, quantity: str = "grad_h") -> float:
        """Norm at the end of backprop over the norm at its start: far below 1 vanishing, far above 1 exploding.

        1.0 for one step; 0.0 if the end is exactly 0; nan if all norms are 0 or either end is NaN or Inf.
        """
        return _figures.ratio(self.profile(quantity).tolist())

    def decay(self, quantity: str = "grad_h") -> float:
        """Factor per step back: exp of the median slope of log(norm) over all pairs of lags (Theil-Sen).

        Exact for rho^k, indifferent to outliers. Uses the steps from the start of backprop to the first that is not
        finite, without those below the dtype's smallest normal number. 0.0 if everything beyond the first step
        is (almost) exactly 0; nan with fewer than two usable steps.
        """
        return _figures.decay(self.profile(quantity).tolist(), self._tiny)

    def half_life(self, quantity: str = "grad_h") -> float:
        """Steps back until the norm halves, ``ln 2 / -ln(decay)``; inf if decay >= 1, 0.0 if 0, nan if nan."""
        return _figures.half_life(self.decay(quantity))

    def horizon(self, eps: float = 1e-3, quantity: str = "grad_h") -> float:
        """How many steps back the norm stays, without a gap, >= ``eps`` x the norm at the start of backprop.

        A lag: 0 if already the next step is below (and for T = 1), ``T - 1`` if none is. A NaN or Inf ends it; nan if
        the start itself is NaN or Inf or all norms are 0. Compared with a relative slack of 1e-6.

        Raises:
            ValueError: ``eps`` is not a positive finite number.
        """
        _check_eps(eps)
        return _figures.horizon(self.profile(quantity).tolist(), eps)

    def transmission(self) -> float:
        """Median over the steps of norm(grad_carry one step further back) / norm(grad_h here).

        The share of the total gradient that survives one step back through the hidden state, whatever the loss reads:
        with a last-step loss it agrees with ``decay()``, with a loss at every step it still shows vanishing. An LSTM
        also carries gradient in its cell state, which this does not count. nan without grad_carry or usable steps.
        """
        carried = self.grad_carry
        if carried is None:
            return float("nan")
        return _figures.transmission(
            self.grad_h.double().cpu(), carried.double().cpu(), self._cpu_lengths(), self.reverse, self._tiny
        )

    def contribution(self, states: Tensor | None = None) -> Tensor:
        """``[T]`` float64 on the CPU: each timestep's share of the gradient that reaches the weights; the sum is 1.

        The weights are shared: dW_hh is the sum over t of delta_t h_{t-1}^T, and a step whose term is tiny beside the
        others teaches nothing. The share of step t is the sum over the samples of ``grad_h[t, n] * states[t, n]``, over
        the same sum for all steps. grad_h bounds delta_t, the gradient before the nonlinearity, from above; where the
        exact terms matter, ask ``seqgrad.analysis.contribution``. Input-time order; 0 beyond every sample's length.

        All nan where there is nothing to share out: all norms 0, or any of them NaN or Inf.

        Args:
            states: ``[T, N]`` norm of the state *before* each step; without it every state counts alike.

        Raises:
            ValueError: ``states`` has another shape, or a negative entry.
        """
        shape = (self.steps, self.batch)
        if states is not None and (tuple(states.shape) != shape or bool((states < 0).any())):
            got = f"shape {list(states.shape)}" if tuple(states.shape) != shape else f"{float(states.min()):.3g} in it"
            raise ValueError(f"states must hold norms >= 0 of shape {list(shape)}, got {got}")
        norms = None if states is None else states.detach().double().cpu()
        return _figures.contribution(self.grad_h.double().cpu(), norms, self._cpu_lengths())

    def below_eps(self, eps: float | None = None, states: Tensor | None = None) -> float:
        """How many timesteps add to the weights' gradient less than ``eps`` times the whole: they are lost in it.

        Counts the entries of :meth:`contribution` below ``eps``, up to the longest sample; an int, or nan where the
        contributions are nan. 0 for T = 1.

        Args:
            eps: relative; by default the rounding unit of the recorded dtype (float32: 1.2e-7). Training in half
                precision: pass ``torch.finfo(torch.float16).eps``.
            states: as in :meth:`contribution`.

        Raises:
            ValueError: ``eps`` is not a positive finite number.
        """
        eps = torch.finfo(self.data.dtype).eps if eps is None else eps
        _check_eps(eps)
        shares = self.contribution(states)
        if bool(shares.isnan().any()) or not len(shares):
            return float("nan")
        longest = self.steps if self.lengths is None else int(self._cpu_lengths().max())  # type: ignore[union-attr]
        return int((shares[:longest] < eps).sum())

    def first_nonfinite(self) -> NonFinite | None:
        """Where the first NaN or Inf was born in backprop order, or None if every norm is finite.

        The highest t for the forward direction, the lowest for the reverse one; there the lowest sample n; and of
        several quantities grad_carry before grad_h before grad_c, since what was carried in spoils the rest.
        Steps beyond a sample's length are not looked at.
        """
        order = [q for q in ("grad_carry", "grad_h", "grad_c") if q in self.quantities]
        values = torch.stack([self._need(q) for q in order]).cpu()  # [Q', T, N]
        bad = ~torch.isfinite(values) & _figures.alive(self.steps, self.batch, self._cpu_lengths())
        steps = bad.any(dim=0).any(dim=1).nonzero().squeeze(1)
        if not len(steps):
            return None
        t = int(steps[0] if self.reverse else steps[-1])
        n = int(bad[:, t].any(dim=0).nonzero()[0])
        q = int(bad[:, t, n].nonzero()[0])
        return NonFinite(t, n, order[q], float(values[q, t, n]), self.backward, self.call)

    def to(self, device: torch.device | str) -> Series:
        """The same series with its tensors on ``device``."""
        lengths = None if self.lengths is None else self.lengths.to(device)
        return replace(self, data=self.data.to(device), lengths=lengths)

    def _repr_html_(self) -> str:
        from seqgrad import _html

        return _html.series(self)

    def __repr__(self) -> str:
        direction = "reverse" if self.reverse else "forward"
        values = self.norm().cpu()
        span = f", |grad_h| {values[0]:.3g} at t=0, {values[-1]:.3g} at t={self.steps - 1}" if self.steps else ""
        return (
            f"<Series {self.key!r}: {self.cell}, {direction}, T={self.steps}, N={self.batch}, "
            f"{'/'.join(self.quantities)}{span}, decay {self.decay():.3g} per step>"
        )


def _check_eps(eps: object) -> None:
    if isinstance(eps, bool) or not isinstance(eps, (int, float)) or not 0 < eps < float("inf"):
        raise ValueError(f"eps must be a positive finite number such as 1e-3, got {eps!r}")


def _without_carry(series: Series) -> Series:
    keep = [i for i, q in enumerate(series.quantities) if q != "grad_carry"]
    return replace(series, quantities=tuple(series.quantities[i] for i in keep), data=series.data[keep])


def join_cells(passes: Sequence[Series]) -> list[Series]:
    """Calls of one cell in a user's loop -> one ``[T, N]`` series per backward, in call order.

    T is the number of calls that this backward reached. What one call of a cell receives can't be told apart into
    direct and carried, so grad_carry goes. Calls whose batch sizes differ are left as they are, one step each.
    """
    joined: list[Series] = []
    for number in sorted({p.backward for p in passes}):
        calls = sorted((p for p in passes if p.backward == number), key=lambda p: p.call)
        plain = [_without_carry(c) for c in calls]
        if len(plain) == 1 or len({(c.batch, c.quantities, c.data.dtype, c.data.device) for c in plain}) > 1:
            joined += plain
        else:
            joined.append(replace(plain[-1], data=torch.cat([c.data for c in plain], dim=1), lengths=None))
    return joined
