"""Timestep against training step as a map: where along the sequence, and since when in training, gradient is lost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from seqgrad.display import _parts
from seqgrad.display._source import Past, Row, names, rows_of
from seqgrad.display._text import words
from seqgrad.display._theme import BAD, GREY, ZERO, canvas, sequence

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import Figure

MOST = 480  # cells along one side; beyond it a cell may be thinner than a pixel and a NaN in it may not show
_SIGNS = "v^sDPX*"


class HeatmapDisplay:
    """Gradient norm by training step (to the right) and timestep (upwards), colour on a log scale.

    Exact zeros are black, NaN and Inf vermilion, both named in a legend; hatched paper is where a sequence was shorter.
    Beyond 480 cells a side, neighbours are drawn as one: their geometric mean, vermilion if any of them is NaN or Inf.
    Markers show where each rule first found something.

    Args:
        rows: one per training step, ascending; mostly made by :meth:`from_history`.
        quantity: what the values are: ``grad_h``, ``grad_carry`` or ``grad_c``.
        findings: objects with ``rule``, ``step`` and ``t``, drawn as markers.
        lang: ``"en"`` or ``"es"``.

    Attributes:
        ax_: the axes drawn on.
        figure_: its figure.
        mesh_: the ``QuadMesh`` of the positive finite norms, None if there are none.
        colorbar_: its colour bar, or None.

    Example:
        >>> from seqgrad.display import HeatmapDisplay, Row
        >>> rows = [Row(step, "l0", [0.1, 0.5, 1.0], reverse=False) for step in (1, 10, 20)]
        >>> HeatmapDisplay(rows).plot().ax_.get_xlabel()
        'training step'
    """

    ax_: Axes
    figure_: Figure
    mesh_: QuadMesh | None
    colorbar_: Colorbar | None

    def __init__(
        self, rows: Sequence[Row], *, quantity: str = "grad_h", findings: Sequence[Any] = (), lang: str = "en"
    ) -> None:
        self.rows = [row for row in rows if row.values]
        if not self.rows:
            raise ValueError(f"rows hold no {quantity} to draw; a history is filled by Monitor.step()")
        steps = [row.step for row in self.rows]
        if any(b <= a for a, b in pairwise(steps)):
            raise ValueError("rows must stand in order of their training steps, each step once")
        if any(value < 0 for row in self.rows for value in row.values):
            raise ValueError("rows hold a negative value; norms are >= 0")
        self.quantity, self.findings = quantity, list(findings)
        self.lang, self._text = lang, words(lang)

    @classmethod
    def from_history(
        cls,
        history: Past,
        name: str | None = None,
        ax: Axes | None = None,
        *,
        quantity: str = "grad_h",
        lang: str = "en",
        **options: Any,
    ) -> HeatmapDisplay:
        """Draw one series of a history.

        Args:
            history: a :class:`seqgrad.History`.
            name: the series, ``"encoder.rnn/l0"``; may be left out where there is only one.
            ax: axes to draw on; a new figure without.
            quantity: ``grad_h``, ``grad_carry`` or ``grad_c``.
            lang: ``"en"`` or ``"es"``.
            options: passed to :meth:`plot`.

        Raises:
            ValueError: no such series, or nothing of this quantity.
        """
        rows = rows_of(history, name, quantity)
        found = [f for f in getattr(history, "findings", ()) if rows and names(f, rows[0].name)]
        return cls(rows, quantity=quantity, findings=found, lang=lang).plot(ax, **options)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        title: str | None = None,
        theme: str | None = None,
        limits: tuple[float, float] | None = None,
    ) -> HeatmapDisplay:
        """Draw the map and return self.

        Args:
            ax: axes to draw on; a new figure without.
            title: title of the axes, by default the name of the series.
            theme: ``"light"`` or ``"dark"`` for a new figure; by default your rcParams.
            limits: smallest and largest norm of the colour scale, to compare maps; by default those of the data.

        Raises:
            ValueError: no such theme, or ``theme`` together with ``ax``.
        """
        with canvas(ax, theme) as ax:
            self._plot(ax, title, limits)
        return self

    def _plot(self, ax: Axes, title: str | None, limits: tuple[float, float] | None) -> None:
        self.ax_, self.figure_ = ax, ax.figure  # type: ignore[assignment]
        text, longest = self._text, max(len(row.values) for row in self.rows)
        columns, edges = _columns(self.rows)
        cells, bounds = _cells(columns, longest)
        ax.patch.set(hatch="///", edgecolor=GREY, linewidth=0)
        self._draw(ax, edges, bounds, cells, limits)
        ax.set_xlim(edges[0], edges[-1])
        ax.set_ylim(bounds[0], bounds[-1])
        _parts.whole_ticks(ax.xaxis, 6)
        _parts.whole_ticks(ax.yaxis)
        ax.set_xlabel(text["step"])
        ax.set_ylabel(f"{text['t']}\n({text['upwards']})" if self.rows[0].reverse else text["t"])
        ax.set_title(self.rows[0].name if title is None else title)
        absent = any(value is None for column in cells for value in column)
        self._legend(ax, cells, absent, self._mark_findings(ax))

    def _draw(
        self,
        ax: Axes,
        edges: list[float],
        bounds: list[float],
        cells: list[list[float | None]],
        limits: tuple[float, float] | None,
    ) -> None:
        import numpy
        from matplotlib.colors import ListedColormap, LogNorm

        table = numpy.array([[math.nan if v is None else v for v in column] for column in cells]).T
        known = numpy.array([[v is not None for v in column] for column in cells]).T
        good = known & numpy.isfinite(table) & (table > 0)
        mesh: dict[str, Any] = {"shading": "flat", "rasterized": True, "linewidth": 0}
        self.mesh_ = self.colorbar_ = None
        if good.any():
            low, high = limits or (float(table[good].min()), float(table[good].max()))
            if high < low * 10:  # at least a decade: noise should not look like structure
                middle = math.sqrt(low) * math.sqrt(high)
                low, high = middle / math.sqrt(10), middle * math.sqrt(10)
            shown = numpy.ma.masked_array(table, ~good)
            self.mesh_ = ax.pcolormesh(edges, bounds, shown, cmap=sequence(), norm=LogNorm(low, high), **mesh)
            self.colorbar_ = ax.figure.colorbar(
                self.mesh_, ax=ax, label=self._text[self.quantity], ticks=_parts.far_ticks(low, high)
            )
        for mask, color in ((known & (table == 0), ZERO), (known & ~numpy.isfinite(table), BAD)):
            if mask.any():
                shown = numpy.ma.masked_array(numpy.ones(table.shape), ~mask)
                ax.pcolormesh(edges, bounds, shown, cmap=ListedColormap([color]), **mesh)

    def _mark_findings(self, ax: Axes) -> list[Any]:
        """The first finding of each rule that names a place; returns legend entries."""
        first: dict[str, Any] = {}
        for finding in self.findings:
            if finding.step is not None and finding.t is not None:
                first.setdefault(finding.rule, finding)
        handles = []
        for finding, sign in zip(first.values(), _SIGNS, strict=False):
            (line,) = ax.plot(
                [finding.step], [finding.t], marker=sign, markersize=8, color="white", markeredgecolor="black",
                linestyle="none", label=finding.title(self.lang), clip_on=False, zorder=5,
            )  # fmt: skip
            handles.append(line)
        return handles

    def _legend(self, ax: Axes, cells: list[list[float | None]], absent: bool, marks: list[Any]) -> None:
        from matplotlib.patches import Patch

        values = [v for column in cells for v in column if v is not None]
        handles: list[Any] = []
        if any(v == 0 for v in values):
            handles.append(Patch(facecolor=ZERO, edgecolor=GREY, linewidth=0.8, label=self._text["zero"]))
        if not all(map(math.isfinite, values)):
            handles.append(Patch(facecolor=BAD, label=self._text["bad"]))
        if absent:
            paper = ax.get_facecolor()
            handles.append(Patch(facecolor=paper, edgecolor=GREY, hatch="///", linewidth=0, label=self._text["absent"]))
        handles += marks
        if handles:
            _parts.legend_below(ax, handles)


def _columns(rows: Sequence[Row]) -> tuple[list[list[list[float]]], list[float]]:
    """Rows gathered into at most ``MOST`` columns, and the columns' edges: half-way between neighbouring steps."""
    width = math.ceil(len(rows) / MOST)
    groups = [rows[i : i + width] for i in range(0, len(rows), width)]
    between = [(a[-1].step + b[0].step) / 2 for a, b in pairwise(groups)]
    first, last = rows[0].step, rows[-1].step
    margin = [between[0] - first, last - between[-1]] if between else [0.5, 0.5]
    return [[row.values for row in group] for group in groups], [
        first - max(margin[0], 0.5), *between, last + max(margin[1], 0.5)
    ]  # fmt: skip


def _cells(columns: list[list[list[float]]], longest: int) -> tuple[list[list[float | None]], list[float]]:
    """``[column][t]`` one number a cell, None where there was no such timestep; and the edges along t."""
    height = math.ceil(longest / MOST)
    starts = range(0, longest, height)
    cells = [
        [_merge([v for row in column for v in row[start : start + height]]) for start in starts] for column in columns
    ]
    return cells, [start - 0.5 for start in starts] + [longest - 0.5]


def _merge(values: list[float]) -> float | None:
    """One number for several: NaN if any is not finite, the geometric mean of those above 0, 0 if none is."""
    if len(values) == 1:
        return values[0]
    if not values:
        return None
    if not all(map(math.isfinite, values)):
        return math.nan
    logs = [math.log(v) for v in values if v > 0]
    return math.exp(math.fsum(logs) / len(logs)) if logs else 0.0
