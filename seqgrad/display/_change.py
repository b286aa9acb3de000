"""Before and after: what a change of the model did to the gradient at every timestep."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from seqgrad._series import Series
from seqgrad.display import _parts
from seqgrad.display._flow import Curve, GradientFlowDisplay
from seqgrad.display._source import series_of
from seqgrad.display._text import words
from seqgrad.display._theme import GREY, SIZE, canvas, colors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from seqgrad.record import GradientRecord


class BeforeAfterDisplay:
    """Two records of one series: both curves above, the factor between them below, each on a log axis.

    The factor at a timestep is after over before. Where it is 0 it stands as a ring on the floor, where it is not
    finite (before is 0, either is NaN or Inf) as a cross at the ceiling.

    Args:
        before: the series as it was.
        after: the series as it is; same number of timesteps, same direction.
        quantity: ``grad_h``, ``grad_carry`` or ``grad_c``.
        labels: names for the two, by default "before" and "after" in the language of ``lang``.
        lang: ``"en"`` or ``"es"``.

    Attributes:
        ax_: the axes drawn on; the two panels stand inside it.
        flow_: the :class:`GradientFlowDisplay` above.
        change_ax_: the panel below.
        figure_: their figure.
        line_: the factor's line, NaN in it where a marker stands in.
        factor_: the factor at every timestep.

    Example:
        >>> import torch, seqgrad as sg
        >>> rnn, x = sg.RNN(4, 8), torch.randn(20, 3, 4)
        >>> def look():
        ...     with sg.record(rnn) as rec:
        ...         rnn(x)[0][-1].sum().backward()
        ...     return rec
        >>> before = look()
        >>> _ = sg.init.orthogonal_(rnn)
        >>> display = sg.display.before_after(before, look())
        >>> len(display.factor_)
        20
    """

    ax_: Axes
    flow_: GradientFlowDisplay
    change_ax_: Axes
    figure_: Figure
    line_: Line2D
    factor_: list[float]

    def __init__(
        self,
        before: Series,
        after: Series,
        *,
        quantity: str = "grad_h",
        labels: tuple[str, str] | None = None,
        lang: str = "en",
    ) -> None:
        if (before.steps, before.reverse) != (after.steps, after.reverse):
            raise ValueError(
                f"before and after must agree on timesteps and direction to be compared, got "
                f"T={before.steps}, reverse={before.reverse} and T={after.steps}, reverse={after.reverse}; "
                f"GradientFlowDisplay.plot(x='lag') lays unequal ones over each other"
            )
        self.before, self.after, self.quantity = before, after, quantity
        self.lang, self._text = lang, words(lang)
        self.labels = labels or (self._text["before"], self._text["after"])

    @classmethod
    def from_records(
        cls,
        before: GradientRecord,
        after: GradientRecord,
        ax: Axes | None = None,
        *,
        series: str | None = None,
        quantity: str = "grad_h",
        labels: tuple[str, str] | None = None,
        lang: str = "en",
        **options: Any,
    ) -> BeforeAfterDisplay:
        """Draw the last pass of one series in two records.

        Args:
            before: the record made first.
            after: the record made after the change.
            ax: axes to draw on; a new figure without.
            series: its key (``"encoder.rnn.l0"``); may be left out where there is only one.
            quantity: ``grad_h``, ``grad_carry`` or ``grad_c``.
            labels: names for the two records.
            lang: ``"en"`` or ``"es"``.
            options: passed to :meth:`plot`.

        Raises:
            ValueError: several series and none named, or the two differ in timesteps or direction.
            KeyError: no such series.
        """
        pair = series_of(before, series), series_of(after, series)
        return cls(*pair, quantity=quantity, labels=labels, lang=lang).plot(ax, **options)

    def plot(self, ax: Axes | None = None, *, title: str | None = None, theme: str | None = None) -> BeforeAfterDisplay:
        """Draw both panels and return self.

        Args:
            ax: axes to draw on; the panels share its room. A new figure without.
            title: above the curves, by default the series' key.
            theme: ``"light"`` or ``"dark"`` for a new figure; by default your rcParams.

        Raises:
            ValueError: no such theme, or ``theme`` together with ``ax``.
        """
        with canvas(ax, theme, (SIZE[0], 5.4)) as ax:
            self.ax_, self.figure_ = ax, ax.figure  # type: ignore[assignment]
            ax.set_axis_off()
            self._curves(ax.inset_axes((0, 0.4, 1, 0.6)), self.before.key if title is None else title)
            self._factor(ax.inset_axes((0, 0, 1, 0.33)))
        return self

    def _curves(self, ax: Axes, title: str) -> None:
        curves = []
        for label, series, color in zip(self.labels, (self.before, self.after), (GREY, colors(ax)[0]), strict=True):
            reach = series.horizon(quantity=self.quantity)
            note = f" ({self._text['horizon']} {reach:.0f})" if math.isfinite(reach) else ""
            curves.append(
                Curve(label + note, series.norm(self.quantity).tolist(), series.reverse, self.quantity, color)
            )
        self.flow_ = GradientFlowDisplay(curves, lang=self.lang).plot(ax, title=title)
        self.flow_.lines_[0].set_linestyle("--")
        own = ax.get_legend()
        if own is not None:  # the one below both panels takes its place
            own.remove()
        ax.set_xlabel("")
        ax.tick_params(labelbottom=False)

    def _factor(self, ax: Axes) -> None:
        text = self._text
        before, after = (series.norm(self.quantity).tolist() for series in (self.before, self.after))
        self.factor_ = [_over(b, a) for b, a in zip(before, after, strict=True)]
        times = list(range(len(self.factor_)))
        shown = [v if 0 < v < math.inf else math.nan for v in self.factor_]
        zeros = [t for t in times if self.factor_[t] == 0]
        bad = [t for t in times if not math.isfinite(self.factor_[t])]
        ax.set_yscale("log")
        ax.set_autoscaley_on(False)
        ax.axhline(1, color=GREY, linewidth=1, linestyle=":")
        marker = "." if len(times) == 1 else None
        color = colors(ax)[0]
        (self.line_,) = ax.plot(times, shown, color=color, linewidth=1.8, marker=marker)
        _parts.open_limits(ax, None, [*shown, 1.0], bool(zeros), bool(bad))
        _parts.mark(ax, zeros, bad, color)
        ax.set_xlabel(text["t"])
        ax.set_ylabel(f"{self.labels[1]} / {self.labels[0]}")
        _parts.whole_ticks(ax.xaxis)
        _parts.widen_single(ax, len(times))
        ax.grid(True, which="major", alpha=0.25, linewidth=0.6)
        self.change_ax_ = ax
        every = [v for values in (before, after, self.factor_) for v in values]
        keys = _parts.mark_keys(
            text["zero"] if 0 in every else None, text["bad"] if not all(map(math.isfinite, every)) else None
        )
        _parts.legend_below(ax, [*map(_parts.key, self.flow_.lines_), *keys])


def _over(before: float, after: float) -> float:
    """Factor from before to after; 1 where both are 0, inf where only before is, inf beyond the largest float."""
    if before == 0:
        return math.nan if math.isnan(after) else 1.0 if after == 0 else math.inf
    try:
        return after / before
    except OverflowError:
        return math.inf
