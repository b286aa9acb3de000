"""The spread over samples at every timestep: one norm over the batch may hide a sample that lost its gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from seqgrad._figures import alive
from seqgrad._series import Series
from seqgrad.display import _parts
from seqgrad.display._source import series_of
from seqgrad.display._text import words
from seqgrad.display._theme import canvas, colors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import FillBetweenPolyCollection
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from seqgrad.record import GradientRecord

LEVELS = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
MOST_LINES = 64  # samples drawn one by one


class SampleBandDisplay:
    """Median, middle half, middle 90 % and range over the samples of a batch, by timestep; log y, lag on top.

    Quantiles are taken over the samples that reach the timestep; NaN and Inf take no part in them and stand as crosses
    at the ceiling, an exact zero in any sample as a ring on the floor, down to which the bands then reach.

    Args:
        series: what to draw; mostly taken by :meth:`from_record`.
        quantity: ``grad_h``, ``grad_carry`` or ``grad_c``.
        lang: ``"en"`` or ``"es"``.

    Attributes:
        ax_: the axes drawn on.
        figure_: its figure.
        line_: the median.
        bands_: range, middle 90 %, middle half, in this order; empty when samples are drawn one by one.
        quantiles_: ``[7, T]``: smallest, 5 %, 25 %, median, 75 %, 95 %, largest; NaN where no sample is finite.

    Example:
        >>> import torch, seqgrad as sg
        >>> rnn = sg.RNN(4, 8)
        >>> with sg.record(rnn) as rec:
        ...     rnn(torch.randn(20, 16, 4))[0][-1].sum().backward()
        >>> sg.display.band(rec).quantiles_.shape
        torch.Size([7, 20])
    """

    ax_: Axes
    figure_: Figure
    line_: Line2D
    bands_: list[FillBetweenPolyCollection]
    quantiles_: torch.Tensor

    def __init__(self, series: Series, *, quantity: str = "grad_h", lang: str = "en") -> None:
        if quantity not in series.quantities or quantity == "clip_hits":
            norms = ", ".join(q for q in series.quantities if q != "clip_hits")
            raise ValueError(f"quantity must be one of {norms} for series {series.key!r}, got {quantity!r}")
        if not series.steps or not series.batch:
            raise ValueError(f"series {series.key!r} has T={series.steps}, N={series.batch}: nothing to draw")
        self.series, self.quantity = series, quantity
        self.lang, self._text = lang, words(lang)

    @classmethod
    def from_record(
        cls,
        record: GradientRecord,
        ax: Axes | None = None,
        *,
        series: str | None = None,
        quantity: str = "grad_h",
        lang: str = "en",
        **options: Any,
    ) -> SampleBandDisplay:
        """Draw the last pass of one series of a record.

        Args:
            record: what :func:`seqgrad.record` filled.
            ax: axes to draw on; a new figure without.
            series: its key (``"encoder.rnn.l0"``); may be left out where there is only one.
            quantity: ``grad_h``, ``grad_carry`` or ``grad_c``.
            lang: ``"en"`` or ``"es"``.
            options: passed to :meth:`plot`.

        Raises:
            ValueError: several series and none named, or no such quantity. KeyError: no such series.
        """
        return cls(series_of(record, series), quantity=quantity, lang=lang).plot(ax, **options)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        samples: bool = False,
        title: str | None = None,
        theme: str | None = None,
        color: str | None = None,
    ) -> SampleBandDisplay:
        """Draw the bands and return self.

        Args:
            ax: axes to draw on; a new figure without.
            samples: draw each sample as a thin line in place of the bands, the first 64 of them.
            title: title of the axes, by default the series' key.
            theme: ``"light"`` or ``"dark"`` for a new figure; by default your rcParams.
            color: of bands and lines; by default the first of the theme.

        Raises:
            ValueError: no such theme, or ``theme`` together with ``ax``.
        """
        with canvas(ax, theme) as ax:
            self._plot(ax, samples, self.series.key if title is None else title, color or colors(ax)[0])
        return self

    def _plot(self, ax: Axes, samples: bool, title: str, color: str) -> None:
        self.ax_, self.figure_ = ax, ax.figure  # type: ignore[assignment]
        series = self.series
        values = series.data[series.quantities.index(self.quantity)].double().cpu()
        lengths = None if series.lengths is None else series.lengths.cpu()
        inside = alive(series.steps, series.batch, lengths)
        good = inside & torch.isfinite(values)
        self.quantiles_ = torch.nanquantile(
            torch.where(good, values, math.nan), torch.tensor(LEVELS, dtype=torch.float64), dim=1
        )
        zeros = (inside & (values == 0)).any(dim=1).nonzero().flatten().tolist()
        bad = (inside & ~torch.isfinite(values)).any(dim=1).nonzero().flatten().tolist()
        ax.set_yscale("log")
        ax.set_autoscaley_on(False)
        _parts.open_limits(ax, None, values[good].tolist(), bool(zeros), bool(bad))
        floor, times = ax.get_ylim()[0], list(range(series.steps))
        if samples:
            self.bands_ = []
            many = min(series.batch, MOST_LINES)
            drawn = torch.where(good & (values > 0), values, math.nan)[:, :many].tolist()
            ax.plot(times, drawn, color=color, linewidth=0.8, alpha=0.6)
        else:
            self.bands_ = [self._fill(ax, times, k, floor, color) for k in range(3)]
        middle = [v if v > 0 else math.nan for v in self.quantiles_[3].tolist()]
        (self.line_,) = ax.plot(times, middle, color=color, linewidth=2, marker="." if series.steps == 1 else None)
        _parts.mark(ax, zeros, bad, color)
        self._frame(ax, title)
        self._legend(ax, color, samples, bool(zeros), bool(bad))

    def _fill(self, ax: Axes, times: list[int], k: int, floor: float, color: str) -> FillBetweenPolyCollection:
        low, high = ([max(v, floor) for v in row] for row in self.quantiles_[[k, 6 - k]].tolist())
        return ax.fill_between(times, low, high, color=color, alpha=(0.13, 0.2, 0.33)[k], linewidth=0)

    def _frame(self, ax: Axes, title: str) -> None:
        series, text = self.series, self._text
        ax.set_xlabel(text["t"])
        ax.set_ylabel(text[f"sample.{self.quantity}"])
        ax.set_title(title)
        _parts.whole_ticks(ax.xaxis)
        _parts.widen_single(ax, series.steps)
        ax.grid(True, which="major", alpha=0.25, linewidth=0.6)
        if series.reverse or series.lengths is None or bool((series.lengths == series.steps).all()):
            _parts.lag_axis(ax, series.steps, series.reverse, text["lag"])

    def _legend(self, ax: Axes, color: str, samples: bool, zeros: bool, bad: bool) -> None:
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch

        text = self._text
        handles: list[Any] = [Line2D([], [], color=color, linewidth=2, label=text["median"])]
        if samples:
            handles.append(Line2D([], [], color=color, linewidth=0.8, alpha=0.6, label=text["sample"]))
        else:
            names: Sequence[tuple[str, float]] = (("half", 0.6), ("most", 0.33), ("all", 0.13))  # as they overlap
            handles += [Patch(color=color, alpha=alpha, linewidth=0, label=text[name]) for name, alpha in names]
        handles += _parts.mark_keys(text["some zero"] if zeros else None, text["some bad"] if bad else None)
        _parts.legend(ax, handles)
