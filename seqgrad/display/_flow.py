"""Gradient flow: the norm at every timestep of one backward, or of several laid over each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seqgrad._series import Series
from seqgrad.display import _parts
from seqgrad.display._text import words
from seqgrad.display._theme import STYLES, canvas, colors, shade

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from seqgrad.display._source import Past
    from seqgrad.record import GradientRecord


@dataclass(frozen=True)
class Curve:
    """One line: ``values[t]`` is a norm >= 0 (NaN and Inf allowed) at timestep t, stored in input-time order."""

    label: str
    values: Sequence[float]
    reverse: bool = False
    quantity: str = "grad_h"
    color: str | float | None = None  # or its place 0..1 in a sequence of curves; by default the next of the palette

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
        self.lang, self._text = lang, words(lang)

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

    @classmethod
    def from_history(
        cls,
        history: Past,
        name: str | None = None,
        ax: Axes | None = None,
        *,
        quantity: str = "grad_h",
        count: int = 6,
        lang: str = "en",
        **options: Any,
    ) -> GradientFlowDisplay:
        """Draw one series at up to ``count`` training steps, the first (violet) to the last (yellow).

        Args:
            history: a :class:`seqgrad.History`.
            name: the series, ``"encoder.rnn/l0"``; may be left out where there is only one.
            ax: axes to draw on; a new figure without.
            quantity: ``grad_h``, ``grad_carry`` or ``grad_c``.
            count: how many training steps, spread evenly over those recorded.
            lang: ``"en"`` or ``"es"``.
            options: passed to :meth:`plot`.

        Raises:
            ValueError: no such series, or nothing of this quantity.
        """
        from seqgrad.display._source import rows_of

        rows = [row for row in rows_of(history, name, quantity) if row.values]
        if count < len(rows):
            rows = [rows[round(i * (len(rows) - 1) / max(count - 1, 1))] for i in range(count)]
        text = words(lang)
        places = [k / max(len(rows) - 1, 1) for k in range(len(rows))]
        curves = [
            Curve(f"{text['step']} {row.step}", row.values, row.reverse, quantity, place)
            for row, place in zip(rows, places, strict=True)
        ]
        options.setdefault("title", rows[0].name if rows else None)
        return cls(curves, lang=lang).plot(ax, **options)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        x: str = "t",
        title: str | None = None,
        relative: bool = False,
        theme: str | None = None,
        **line_options: Any,
    ) -> GradientFlowDisplay:
        """Draw the curves and return self.

        Args:
            ax: axes to draw on; a new figure without.
            x: ``"t"``, timesteps ascending; or ``"lag"``, steps back, to lay sequences of several lengths or both
                directions over each other.
            title: title of the axes; none for several curves, the label of a single one.
            relative: divide each curve by its value where backprop starts (its first non-zero value).
            theme: ``"light"`` or ``"dark"`` for a new figure; by default your rcParams.
            line_options: go to ``ax.plot`` (``linewidth=...``); a single ``color`` colours all curves.

        Raises:
            ValueError: no such ``x`` or ``theme``, or ``theme`` together with ``ax``.
        """
        if x not in ("t", "lag"):
            raise ValueError(f"x must be 't' or 'lag', got {x!r}")
        with canvas(ax, theme) as ax:
            self._plot(ax, x, title, relative, line_options)
        return self

    def _plot(self, ax: Axes, x: str, title: str | None, relative: bool, line_options: dict[str, Any]) -> None:
        self.ax_, self.figure_, self.lines_ = ax, ax.figure, []  # type: ignore[assignment]
        text = self._text
        ax.set_yscale("log")
        limits = ax.get_ylim() if ax.has_data() else None
        ax.set_autoscaley_on(False)  # its margins overflow where norms span hundreds of decades
        marks = [self._draw(ax, i, curve, x, relative, line_options) for i, curve in enumerate(self.curves)]
        zeros, bad = any(m[0] for m in marks), any(m[1] for m in marks)
        drawn: list[Any] = [line.get_ydata() for line in self.lines_]
        _parts.open_limits(ax, limits, (float(v) for data in drawn for v in data), zeros, bad)
        ax.set_xlabel(text["t"] if x == "t" else text["lag"])
        if x == "t" and self._all_reverse:
            ax.set_xlabel(f"{text['t']} ({text['reverse']})")
        quantities = {curve.quantity for curve in self.curves}
        label = text[quantities.pop()] if len(quantities) == 1 else text["mixed"]
        ax.set_ylabel(f"{label}\n{text['relative']}" if relative else label)
        _parts.whole_ticks(ax.xaxis)
        _parts.widen_single(ax, max(len(curve.values) for curve in self.curves))
        ax.grid(True, which="major", alpha=0.25, linewidth=0.6)
        # One lag axis serves several curves only if they agree on length and direction.
        if x == "t" and len({(len(curve.values), curve.reverse) for curve in self.curves}) == 1:
            _parts.lag_axis(ax, len(self.curves[0].values), self.curves[0].reverse, text["lag"])
        self._legend(ax, x, zeros, bad)
        if title is None and len(self.curves) == 1:
            title = self.curves[0].label
        if title:
            ax.set_title(title)

    def _draw(
        self, ax: Axes, number: int, curve: Curve, x: str, relative: bool, options: dict[str, Any]
    ) -> tuple[bool, bool]:
        """One line and its markers; whether it has zeros, and NaN or Inf."""
        positions, values = curve.points(x)
        scale = _first_nonzero(curve) if relative else 1.0
        shown = [v / scale if 0 < v < math.inf else math.nan for v in values]
        palette = colors(ax)
        style: dict[str, Any] = {
            "color": palette[number % len(palette)] if curve.color is None else shade(ax, curve.color),
            "linestyle": STYLES[number % len(STYLES)] if curve.color is None else "-",
            "linewidth": 1.8,
        }
        style |= {"label": curve.label, **options}
        isolated = [i for i, v in enumerate(shown) if not math.isnan(v) and _alone(shown, i)]
        (line,) = ax.plot(positions, shown, **({"marker": ".", "markevery": isolated} | style if isolated else style))
        self.lines_.append(line)
        zeros = [p for p, v in zip(positions, values, strict=True) if v == 0]
        bad = [p for p, v in zip(positions, values, strict=True) if not math.isfinite(v)]
        _parts.mark(ax, zeros, bad, line.get_color())
        return bool(zeros), bool(bad)

    @property
    def _all_reverse(self) -> bool:
        """Then the axis says it once; a single curve says it in its name."""
        return len(self.curves) > 1 and all(curve.reverse for curve in self.curves)

    def _legend(self, ax: Axes, x: str, zeros: bool, bad: bool) -> None:
        text = self._text
        handles: list[Line2D] = []
        for curve, line in zip(self.curves, self.lines_, strict=True):
            note = f" ({text['reverse']})" if curve.reverse and x == "t" and not self._all_reverse else ""
            if len(self.curves) > 1 or note:
                handles.append(_parts.key(line, f"{curve.label}{note}"))
        handles += _parts.mark_keys(text["zero"] if zeros else None, text["bad"] if bad else None)
        if handles:
            _parts.legend(ax, handles)


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
