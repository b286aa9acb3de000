"""Gradient flow over time, drawn. matplotlib is imported when something is drawn, never before.

Manners of scikit-learn's Display: build from data or with ``from_record``, ``plot(ax=...)`` returns the display, whose
``ax_``, ``figure_`` and ``lines_`` are yours to go on with. Nothing here calls ``plt.show()``. Text, axes and
background follow matplotlib's rcParams, so a dark style sheet gives a dark figure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seqgrad._series import Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from seqgrad.record import GradientRecord

# Okabe and Ito's colours that hold on white and on black alike; style changes too, for print in grey.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
_STYLES = ("-", "--", "-.", ":")

_TEXT = {
    "en": {
        "t": "timestep t",
        "lag": "lag k: steps back from where backprop starts",
        "grad_h": r"$\|\partial L/\partial h_t\|$ over the batch",
        "grad_carry": r"$\|\partial L/\partial h_t\|$ carried from the future",
        "grad_c": r"$\|\partial L/\partial c_t\|$ over the batch",
        "mixed": "gradient norm over the batch",
        "relative": "relative to the start of backprop",
        "zero": "exactly 0",
        "bad": "NaN or Inf",
        "reverse": "reverse, backprop runs to the right",
        "model": "gradient flow",
    },
    "es": {
        "t": "paso de tiempo t",
        "lag": "retardo k: pasos hacia atrás desde el inicio de la retropropagación",
        "grad_h": r"$\|\partial L/\partial h_t\|$ en el lote",
        "grad_carry": r"$\|\partial L/\partial h_t\|$ que llega del futuro",
        "grad_c": r"$\|\partial L/\partial c_t\|$ en el lote",
        "mixed": "norma del gradiente en el lote",
        "relative": "respecto al inicio de la retropropagación",
        "zero": "exactamente 0",
        "bad": "NaN o Inf",
        "reverse": "inversa, la retropropagación va hacia la derecha",
        "model": "flujo del gradiente",
    },
}


@dataclass(frozen=True)
class Curve:
    """One line: ``values[t]`` is a norm >= 0 (NaN and Inf allowed) at timestep t, stored in input-time order."""

    label: str
    values: Sequence[float]
    reverse: bool = False
    quantity: str = "grad_h"

    @classmethod
    def from_series(cls, series: Series, label: str | None = None, quantity: str = "grad_h") -> Curve:
        """The batch norm of a series by timestep."""
        values = series.norm(quantity).tolist()
        return cls(series.key if label is None else label, values, series.reverse, quantity)

    def points(self, x: str) -> tuple[list[int], list[float]]:
        """Abscissae (timesteps, or lags in ascending order) and their values."""
        if x == "lag" and not self.reverse:
            return list(range(len(self.values))), list(reversed(self.values))
        return list(range(len(self.values))), list(self.values)


class GradientFlowDisplay:
    """Gradient norm at every timestep: log y, t ascending, the lag on a second axis on top.

    Exact zeros stand as rings on the floor of the axes and NaN or Inf as crosses at its ceiling: no timestep is
    dropped. Several curves share the axes; the lag axis is drawn when it means the same for all of them.

    Args:
        curves: what to draw; mostly made by :meth:`from_record`.
        lang: language of the labels, ``"en"`` or ``"es"``.

    Attributes:
        ax_: the axes drawn on.
        figure_: its figure.
        lines_: one ``Line2D`` per curve, in order; NaN in it where a marker stands in.

    Raises:
        ImportError: on ``plot``, when matplotlib is missing; ``pip install 'seqgrad[plot]'``.

    Example:
        >>> from seqgrad.display import Curve, GradientFlowDisplay
        >>> display = GradientFlowDisplay([Curve("toy", [0.25, 0.5, 1.0])]).plot()
        >>> display.ax_.get_yscale()
        'log'
    """

    ax_: Axes
    figure_: Figure
    lines_: list[Line2D]

    def __init__(self, curves: Iterable[Curve], *, lang: str = "en") -> None:
        self.curves = list(curves)
        if not self.curves:
            raise ValueError("curves must hold at least one Curve, got none; an empty record has nothing to draw")
        for curve in self.curves:
            if any(value < 0 for value in curve.values):
                raise ValueError(f"curve {curve.label!r} has a negative value; norms are >= 0")
        if lang not in _TEXT:
            raise ValueError(f"lang must be one of {', '.join(map(repr, _TEXT))}, got {lang!r}")
        self.lang = lang

    @classmethod
    def from_record(
        cls,
        record: GradientRecord | Mapping[str, GradientRecord],
        ax: Axes | None = None,
        *,
        series: str | Iterable[str] | None = None,
        quantity: str = "grad_h",
        lang: str = "en",
        **options: Any,
    ) -> GradientFlowDisplay:
        """Draw a record, or several to compare: ``{"RNN": rec_rnn, "LSTM": rec_lstm}``.

        Args:
            record: one record, or a mapping from label to record.
            ax: axes to draw on; a new figure without.
            series: keys to draw (``"encoder.rnn.l0"``); all by default.
            quantity: ``grad_h``, ``grad_carry`` or ``grad_c``; series that lack it are left out.
            lang: ``"en"`` or ``"es"``.
            options: passed to :meth:`plot`.

        Raises:
            ValueError: nothing to draw.
            KeyError: a key in ``series`` is not in the record.
        """
        records = record if isinstance(record, Mapping) else {"": record}
        wanted = [series] if isinstance(series, str) else None if series is None else list(series)
        curves = []
        for name, one in records.items():
            keys = one.keys() if wanted is None else wanted
            for key in keys:
                found = one.all(key)[-1]
                if quantity in found.quantities or wanted is not None:
                    label = key if not name else name if len(keys) == 1 else f"{name} {key}"
                    curves.append(Curve.from_series(found, label, quantity))
        if not curves:
            raise ValueError(f"record holds no {quantity} to draw: {', '.join(repr(one) for one in records.values())}")
        return cls(curves, lang=lang).plot(ax, **options)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        x: str = "t",
        title: str | None = None,
        relative: bool = False,
        **line_options: Any,
    ) -> GradientFlowDisplay:
        """Draw the curves and return self.

        Args:
            ax: axes to draw on; a new figure without.
            x: ``"t"``, timesteps ascending; or ``"lag"``, steps back, to lay sequences of several lengths or both
                directions over each other.
            title: title of the axes; none for several curves, the label of a single one.
            relative: divide each curve by its value where backprop starts (its first non-zero value).
            line_options: go to ``ax.plot`` (``linewidth=...``); a single ``color`` colours all curves.
        """
        if x not in ("t", "lag"):
            raise ValueError(f"x must be 't' or 'lag', got {x!r}")
        ax = _new_axes() if ax is None else ax
        self.ax_, self.figure_, self.lines_ = ax, ax.figure, []  # type: ignore[assignment]
        text = _TEXT[self.lang]
        ax.set_yscale("log")
        limits = ax.get_ylim() if ax.has_data() else None
        ax.set_autoscaley_on(False)  # its margins overflow where norms span hundreds of decades
        marks = [self._draw(ax, i, curve, x, relative, line_options) for i, curve in enumerate(self.curves)]
        zeros, bad = any(m[0] for m in marks), any(m[1] for m in marks)
        _open_limits(ax, limits, self.lines_, zeros, bad)
        ax.set_xlabel(text["t"] if x == "t" else text["lag"])
        quantities = {curve.quantity for curve in self.curves}
        label = text[quantities.pop()] if len(quantities) == 1 else text["mixed"]
        ax.set_ylabel(f"{label}\n{text['relative']}" if relative else label)
        _whole_ticks(ax)
        if all(len(curve.values) == 1 for curve in self.curves):
            ax.set_xlim(-0.5, 0.5)
        ax.grid(True, which="major", alpha=0.25, linewidth=0.6)
        if x == "t":
            _lag_axis(ax, self.curves, text["lag"])
        self._legend(ax, text, x, zeros, bad)
        if title is None and len(self.curves) == 1:
            title = self.curves[0].label
        if title:
            ax.set_title(title)
        return self

    def _draw(
        self, ax: Axes, number: int, curve: Curve, x: str, relative: bool, options: dict[str, Any]
    ) -> tuple[bool, bool]:
        """One line and its markers; whether it has zeros, and NaN or Inf."""
        positions, values = curve.points(x)
        scale = _first_nonzero(curve) if relative else 1.0
        shown = [v / scale if 0 < v < math.inf else math.nan for v in values]
        style: dict[str, Any] = {
            "color": PALETTE[number % len(PALETTE)],
            "linestyle": _STYLES[number % len(_STYLES)],
            "linewidth": 1.8,
        }
        style |= {"label": curve.label, **options}
        isolated = [i for i, v in enumerate(shown) if not math.isnan(v) and _alone(shown, i)]
        (line,) = ax.plot(positions, shown, **({"marker": ".", "markevery": isolated} | style if isolated else style))
        self.lines_.append(line)
        rim = ax.get_xaxis_transform()  # x in data, y in fractions of the axes: a log axis has no place for 0
        zeros = [p for p, v in zip(positions, values, strict=True) if v == 0]
        bad = [p for p, v in zip(positions, values, strict=True) if not math.isfinite(v)]
        common: dict[str, Any] = {
            "color": line.get_color(),
            "linestyle": "none",
            "transform": rim,
            "clip_on": False,
            "zorder": 4,
        }
        if zeros:
            ax.plot(zeros, [0.025] * len(zeros), marker="o", markersize=4, markerfacecolor="none", **common)
        if bad:
            ax.plot(bad, [0.975] * len(bad), marker="x", markersize=5, markeredgewidth=1.6, **common)
        return bool(zeros), bool(bad)

    def _legend(self, ax: Axes, text: Mapping[str, str], x: str, zeros: bool, bad: bool) -> None:
        from matplotlib.lines import Line2D

        handles: list[Line2D] = []
        for curve, line in zip(self.curves, self.lines_, strict=True):
            note = f" ({text['reverse']})" if curve.reverse and x == "t" else ""
            if len(self.curves) > 1 or note:
                handles.append(_key(line, f"{curve.label}{note}"))
        grey: dict[str, Any] = {"color": "#888888", "linestyle": "none"}
        if zeros:
            handles.append(Line2D([], [], marker="o", markersize=4, markerfacecolor="none", label=text["zero"], **grey))
        if bad:
            handles.append(Line2D([], [], marker="x", markersize=5, markeredgewidth=1.6, label=text["bad"], **grey))
        if handles:
            ax.legend(handles=handles, frameon=True, framealpha=0.8, fontsize="small")


def _new_axes() -> Axes:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'seqgrad[plot]'") from error
    return plt.subplots(figsize=(7.2, 4.2), layout="constrained")[1]


def _key(line: Line2D, label: str) -> Line2D:
    from matplotlib.lines import Line2D

    return Line2D(
        [], [], color=line.get_color(), linestyle=line.get_linestyle(), linewidth=line.get_linewidth(), label=label
    )


def _alone(values: Sequence[float], i: int) -> bool:
    """A point without neighbours draws no line; it needs a dot."""
    left = i > 0 and not math.isnan(values[i - 1])
    right = i + 1 < len(values) and not math.isnan(values[i + 1])
    return not left and not right


def _first_nonzero(curve: Curve) -> float:
    for value in curve.points("lag")[1]:
        if value != 0:
            return value if math.isfinite(value) else 1.0
    return 1.0


def _open_limits(ax: Axes, limits: tuple[float, float] | None, lines: Sequence[Line2D], zeros: bool, bad: bool) -> None:
    """Room below for the zeros and above for NaN and Inf, so that markers stand clear of the curves.

    ``limits`` are those of what was on the axes before; they are widened, never narrowed.
    """
    drawn: list[Any] = [line.get_ydata() for line in lines]
    values = [float(v) for data in drawn for v in data if v > 0 and math.isfinite(v)]
    if not values:
        ax.set_ylim(limits or (0.1, 10.0))
        return
    low, high = math.log10(min(values)), math.log10(max(values))
    spare = max(1.0 - (high - low), 0.0) / 2  # at least a decade: a level curve should look level
    low, high = low - spare, high + spare
    span = high - low
    bottom = 10.0 ** max(low - span * (0.12 if zeros else 0.05), -307.0)
    top = 10.0 ** min(high + span * (0.12 if bad else 0.05), 307.0)
    if limits is not None:
        bottom, top = min(bottom, limits[0]), max(top, limits[1])
    ax.set_ylim(bottom, top)


def _whole_ticks(ax: Any) -> None:
    """Ticks at whole numbers: there is no half a timestep."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))


def _lag_axis(ax: Axes, curves: Sequence[Curve], label: str) -> None:
    """Steps back on top, when one lag axis is right for every curve: same T, same direction."""
    if len({(len(curve.values), curve.reverse) for curve in curves}) != 1:
        return
    last = len(curves[0].values) - 1

    def flip(position: Any) -> Any:
        return position if curves[0].reverse else last - position

    top = ax.secondary_xaxis("top", functions=(flip, flip))
    _whole_ticks(top)
    top.set_xlabel(label)
