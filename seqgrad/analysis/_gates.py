"""What the gates of a layer did: their activations from the layer's own outputs, and statistics of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import torch
from torch import Tensor
from torch.nn.functional import linear

from seqgrad import _ops
from seqgrad.analysis import _trace
from seqgrad.analysis._trace import Lengths, Trace
from seqgrad.init import CANDIDATES, GATES, KEEPS

if TYPE_CHECKING:
    import pandas

    from seqgrad.display import GatesDisplay


def activations(cell: str, x: Tensor, previous: Tensor, weights: Sequence[Tensor | None]) -> dict[str, Tensor]:
    """Gate name to ``[T, N, H]``: every step at once, since the state before each is known from the outputs.

    For a GRU also ``"recurrent_n"``, the recurrent part of n's pre-activation, which r multiplies. ``x [T, N, I]``,
    ``previous [T, N, P]``; ``weights`` begin with w_ih, w_hh, b_ih, b_hh.
    """
    w_ih, w_hh, b_ih, b_hh = weights[:4]
    assert w_ih is not None and w_hh is not None
    from_x, from_h = linear(x, w_ih, b_ih), linear(previous, w_hh, b_hh)
    if cell == "gru":
        (xr, xz, xn), (hr, hz, hn) = from_x.chunk(3, -1), from_h.chunk(3, -1)
        r = torch.sigmoid(xr + hr)
        return {"r": r, "z": torch.sigmoid(xz + hz), "n": torch.tanh(xn + r * hn), "recurrent_n": hn}
    if cell == "lstm":
        i, f, g, o = (from_x + from_h).chunk(4, -1)
        return {"i": torch.sigmoid(i), "f": torch.sigmoid(f), "g": torch.tanh(g), "o": torch.sigmoid(o)}
    act = torch.relu if cell.endswith("relu") else torch.tanh
    return {"h": act(from_x + from_h)}


@dataclass(frozen=True, eq=False)
class GateStatistics:
    """Of one gate, over the steps inside each sample.

    *Saturated* is a unit whose nonlinearity hardly passes any gradient: a sigmoid outside ``[1 - limit, limit]``, a
    tanh outside ``[-limit, limit]``, a relu at exactly 0.

    *Timescale* is -1 / (mean of ln a) in timesteps, for the gate a that multiplies the old state (f of an LSTM, z of
    a GRU): after that many steps 1/e of a memory is left, as far as the gate alone decides. inf where the gate stays
    at 1; None for other gates.
    """

    gate: str
    limit: float
    mean: float
    saturated: float  # fraction, 0..1
    timescale: float | None
    mean_by_unit: Tensor  # [H]
    saturated_by_unit: Tensor  # [H]
    timescale_by_unit: Tensor | None  # [H]
    mean_by_step: Tensor  # [T], NaN where no sample is that long
    saturated_by_step: Tensor  # [T]
    timescale_by_step: Tensor | None  # [T]

    def to_pandas(self) -> pandas.DataFrame:
        """One row per unit: gate, unit, mean, saturated, timescale."""
        columns: dict[str, Any] = {"gate": self.gate, "unit": range(len(self.mean_by_unit))}
        columns |= {"mean": self.mean_by_unit.tolist(), "saturated": self.saturated_by_unit.tolist()}
        scale = self.timescale_by_unit
        columns["timescale"] = float("nan") if scale is None else scale.tolist()
        return _pandas().DataFrame(columns)


@dataclass(frozen=True, eq=False)
class Gates(Mapping[str, Tensor]):
    """Gate activations of one layer and direction by name, each ``[T, N, H]`` in input-time order.

    Names are torch's: ``r z n`` (GRU), ``i f g o`` (LSTM); ``h`` is the activation of an RNN or ResidualRNN. Steps
    beyond a sample's length are NaN: a 0 would look like a closed gate.
    """

    layer: str  # l0, l0_reverse, l1 ...
    cell: str
    reverse: bool
    lengths: Tensor | None  # [N]
    values_by_gate: dict[str, Tensor]
    alive: Tensor  # [T, N] bool

    def __getitem__(self, gate: str) -> Tensor:
        if gate not in self.values_by_gate:
            raise KeyError(f"a {self.cell} layer has the gates {', '.join(self.values_by_gate)}, got {gate!r}")
        return self.values_by_gate[gate]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_gate)

    def __len__(self) -> int:
        return len(self.values_by_gate)

    def statistics(self, limit: float = 0.99) -> dict[str, GateStatistics]:
        """Gate name to :class:`GateStatistics`; ``limit`` in (0.5, 1) is where a unit counts as saturated."""
        if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not 0.5 < limit < 1:
            raise ValueError(f"limit must lie between 0.5 and 1, such as 0.99, got {limit!r}")
        return {gate: self._of(gate, limit) for gate in self}

    def _of(self, gate: str, limit: float) -> GateStatistics:
        value = self[gate]
        if gate in CANDIDATES or self.cell.endswith("tanh"):
            stuck = value.abs() > limit
        elif self.cell.endswith("relu"):
            stuck = value == 0
        else:
            stuck = (value > limit) | (value < 1 - limit)
        keeps = gate == KEEPS.get(self.cell)
        figures: dict[str, Any] = dict.fromkeys(("timescale", "timescale_by_unit", "timescale_by_step"))
        for name, values in (("mean", value), ("saturated", stuck), ("timescale", value.log() if keeps else None)):
            if values is None:
                continue
            means = self._means(values)
            if name == "timescale":  # of a = exp(-1 / tau); abs turns -0.0 into 0, whose inverse is inf
                means = tuple(1 / mean.abs() for mean in means)
            figures |= zip((name, f"{name}_by_unit", f"{name}_by_step"), means, strict=True)
        floats = {key: float(figures[key]) for key in ("mean", "saturated")}
        floats["timescale"] = float(figures["timescale"]) if keeps else None  # type: ignore[assignment]
        return GateStatistics(gate, limit, **{**figures, **floats})

    def _means(self, values: Tensor) -> tuple[Tensor, ...]:
        """Over everything, ``[H]`` by unit and ``[T]`` by step: of ``values [T, N, H]`` inside the samples, float64."""
        if self.lengths is not None:
            values = torch.where(self.alive.unsqueeze(-1), values, torch.zeros_like(values))
        sums, count, units = values.sum(1, dtype=torch.float64), self.alive.sum(1), values.shape[2]
        return sums.sum() / (count.sum() * units), sums.sum(0) / count.sum(), sums.sum(1) / (count * units)

    def to_pandas(self) -> pandas.DataFrame:
        """One row per timestep inside each sample and unit: layer, t, n, unit, then one column per gate."""
        t, n = self.alive.cpu().nonzero().unbind(1)
        values = {gate: value.cpu()[t, n] for gate, value in self.items()}
        units = next(iter(values.values())).shape[1]
        columns: dict[str, Any] = {
            "layer": self.layer,
            "t": t.repeat_interleave(units).tolist(),
            "n": n.repeat_interleave(units).tolist(),
            "unit": list(range(units)) * len(t),
        }
        return _pandas().DataFrame(columns | {gate: value.flatten().tolist() for gate, value in values.items()})

    def plot(self, ax: Any = None, **options: Any) -> GatesDisplay:
        """Every gate over time; a :class:`~seqgrad.display.GatesDisplay`, whose ``from_gates`` takes the options.

        Raises:
            ImportError: matplotlib is missing; ``pip install 'seqgrad[plot]'``.
        """
        from seqgrad.display import GatesDisplay

        return GatesDisplay.from_gates(self, ax, **options)

    def __repr__(self) -> str:
        steps, batch = self.alive.shape
        means = ", ".join(f"{gate} {statistics.mean:.3g}" for gate, statistics in self.statistics().items())
        return f"<Gates of {self.layer!r}: {self.cell}, T={steps}, N={batch}, mean {means}>"


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise ImportError("to_pandas needs pandas: pip install 'seqgrad[pandas]'") from error
    return pandas


@overload
def gates(
    rnn: torch.nn.Module, x: Any, hx: Any = None, *, layer: str = "l0", lengths: Lengths | None = None, out: Any = None
) -> Gates: ...


@overload
def gates(
    rnn: torch.nn.Module, x: Any, hx: Any = None, *, layer: None, lengths: Lengths | None = None, out: Any = None
) -> dict[str, Gates]: ...


@torch.no_grad()
def gates(
    rnn: torch.nn.Module,
    x: Any,
    hx: Any = None,
    *,
    layer: str | None = "l0",
    lengths: Lengths | None = None,
    out: Any = None,
) -> Gates | dict[str, Gates]:
    """Gate activations of a layer at every timestep, from one batched product: no loop over time.

    The layer is run (fused) for its outputs, unless ``out`` brings them; the state before each step is then known,
    and all gates follow at once. Computed in the dtype of the weights, at least float32, without dropout.

    Args:
        rnn: RNN, GRU, LSTM or ResidualRNN of seqgrad or torch.nn.
        x: its input ``[T, N, I]``, or any other form it takes (batch_first, unbatched, PackedSequence).
        hx: its initial state, zeros by default.
        layer: ``"l0"``, ``"l1_reverse"`` ...; None for all, as a dict.
        lengths: int ``[N]`` of a padded batch.
        out: what ``rnn(x, hx)[0]`` returned, to spare running the last layer again.

    Returns:
        :class:`Gates`, a mapping from gate name to ``[T, N, H]``; for ``layer=None`` a dict of them by layer name.

    Raises:
        TypeError: ``rnn`` is no recurrent layer. ValueError: no such layer, or shapes that do not fit.

    Example:
        >>> import torch, seqgrad as sg
        >>> lstm = sg.LSTM(4, 8)
        >>> found = gates(lstm, torch.randn(20, 3, 4))
        >>> list(found), found["f"].shape
        (['i', 'f', 'g', 'o'], torch.Size([20, 3, 8]))
    """
    module = _trace.check(rnn, "gates", layer)
    traces = _trace.trace(module, x, hx, lengths=lengths, out=out, until=layer)
    if layer is not None:
        return _gates_of(traces[layer])
    return {name: _gates_of(one) for name, one in traces.items()}


def _gates_of(trace: Trace) -> Gates:
    alive, found = trace.alive, activations(trace.cell, trace.x, trace.previous, trace.weights)
    values = {gate: found[gate] for gate in GATES[_ops.CELLS[trace.cell].gates]}
    if trace.lengths is not None:
        values = {gate: value.masked_fill(~alive.unsqueeze(-1), float("nan")) for gate, value in values.items()}
    return Gates(trace.name, trace.cell, trace.reverse, trace.lengths, values, alive)


def gate_statistics(
    rnn: torch.nn.Module,
    x: Any,
    hx: Any = None,
    *,
    layer: str = "l0",
    lengths: Lengths | None = None,
    out: Any = None,
    limit: float = 0.99,
) -> dict[str, GateStatistics]:
    """Mean, saturation and timescale of every gate; ``gates(...).statistics(limit)`` in one call.

    Arguments as in :func:`gates`; ``limit`` in (0.5, 1) is where a unit counts as saturated.

    Example:
        >>> import torch, seqgrad as sg
        >>> lstm = sg.init.forget_bias_(sg.LSTM(4, 8), 1.0)
        >>> statistics = gate_statistics(lstm, torch.zeros(20, 3, 4))
        >>> 1 < statistics["f"].timescale < 10
        True
    """
    return gates(rnn, x, hx, layer=layer, lengths=lengths, out=out).statistics(limit)
