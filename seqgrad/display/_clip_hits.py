"""Where the per-step clipping bites: the share of samples clipped at every timestep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from seqgrad._figures import alive
from seqgrad._series import Series
from seqgrad._speech import number
from seqgrad.display import _parts
from seqgrad.display._text import words
from seqgrad.display._theme import STYLES, canvas, colors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from seqgrad.record import GradientRecord


class ClipHitsDisplay:
    """Per timestep, the share of samples whose carried gradient ``state_clip`` changed; the mean in the legend.

    The share is taken over the samples that reach the timestep. A bar a timestep for a single short series, stairs
    otherwise.

    Args:
        series: those to draw; each must have been recorded with ``state_clip``.
        lang: ``"en"`` or ``"es"``.

    Attributes:
        ax_: the axes drawn on.
        figure_: its figure.
        lines_: one line per series.
        rates_: per series the share 0..1 at every timestep, nan where no sample reaches it.

    Example:
        >>> import torch, seqgrad as sg
        >>> rnn = sg.RNN(4, 8, state_clip=sg.clip.Norm(1e-3))
        >>> with sg.record(rnn) as rec:
        ...     rnn(torch.randn(20, 16, 4))[0].sum().backward()
        >>> sg.display.clip_hits(rec).rates_["l0"][-1]
        1.0
    """

    ax_: Axes
    figure_: Figure
    lines_: list[Line2D]
    rates_: dict[str, list[float]]

    def __init__(self, series: Sequence[Series], *, lang: str = "en") -> None:
        self.series = list(series)
        if not self.series:
            raise ValueError("series must hold at least one series recorded with state_clip, got none")
        for one in self.series:
            if one.clip_hits is None:
                raise ValueError(
                    f"series {one.key!r} has no clip hits; give its layer state_clip, such as seqgrad.clip.Norm(1.0)"
                )
        self.lang, self._text = lang, words(lang)

    @classmethod
    def from_record(
        cls,
        record: GradientRecord,
        ax: Axes | None = None,
        *,
        series: str | Sequence[str] | None = None,
        lang: str = "en",
        **options: Any,
    ) -> ClipHitsDisplay:
        """Draw the last pass of the named series, or of all that were clipped.

        Args:
            record: what :func:`seqgrad.record` filled.
            ax: axes to draw on; a new figure without.
            series: keys (``"encoder.rnn.l0"``); all with clip hits by default.
            lang: ``"en"`` or ``"es"``.
            options: passed to :meth:`plot`.

        Raises:
            ValueError: no layer of the record has ``state_clip``. KeyError: no such series.
        """
        keys = [series] if isinstance(series, str) else list(record.keys() if series is None else series)
        found = [record.all(key)[-1] for key in keys]
        if series is None:
            found = [one for one in found if one.clip_hits is not None]
        return cls(found, lang=lang).plot(ax, **options)

    def plot(self, ax: Axes | None = None, *, title: str | None = None, theme: str | None = None) -> ClipHitsDisplay:
        """Draw the shares and return self.

        Args:
            ax: axes to draw on; a new figure without.
            title: title of the axes, by default the key of a single series.
            theme: ``"light"`` or ``"dark"`` for a new figure; by default your rcParams.

        Raises:
            ValueError: no such theme, or ``theme`` together with ``ax``.
        """
        with canvas(ax, theme) as ax:
            self.ax_, self.figure_, self.lines_, self.rates_ = ax, ax.figure, [], {}  # type: ignore[assignment]
            for place, one in enumerate(self.series):
                self._draw(ax, place, one)
            self._frame(ax, self.series[0].key if title is None and len(self.series) == 1 else title)
        return self

    def _draw(self, ax: Axes, place: int, series: Series) -> None:
        hits = series.clip_hits
        assert hits is not None
        lengths = None if series.lengths is None else series.lengths.cpu()
        inside = alive(series.steps, series.batch, lengths)
        hit = (inside & (hits.cpu() > 0)).sum(dim=1).double()
        rates = (hit / inside.sum(dim=1)).tolist()  # 0 / 0 is nan: no sample reaches this timestep
        self.rates_[series.key] = rates
        total = float(hit.sum() / inside.sum()) if bool(inside.any()) else float("nan")
        palette = colors(ax)
        color = palette[place % len(palette)]
        percent = [100 * rate for rate in rates]
        (line,) = ax.plot(
            range(series.steps), percent, color=color, linestyle=STYLES[place % len(STYLES)], linewidth=1.8,
            drawstyle="steps-mid", marker="." if series.steps == 1 else None,
            label=f"{series.key}: {self._text['mean']} {number(total, self.lang, '.0%')}",
        )  # fmt: skip
        if len(self.series) == 1:
            ax.fill_between(range(series.steps), 0, percent, step="mid", color=color, alpha=0.3, linewidth=0)
        self.lines_.append(line)

    def _frame(self, ax: Axes, title: str | None) -> None:
        text = self._text
        ax.set_ylim(-2, 104)
        ax.set_yticks(range(0, 101, 25))
        ax.set_xlabel(text["t"])
        ax.set_ylabel(text["hits"])
        _parts.whole_ticks(ax.xaxis)
        _parts.widen_single(ax, max(one.steps for one in self.series))
        ax.grid(True, alpha=0.25, linewidth=0.6)
        first = self.series[0]
        if len({(one.steps, one.reverse) for one in self.series}) == 1 and (
            first.reverse or all(one.lengths is None or bool((one.lengths == one.steps).all()) for one in self.series)
        ):
            _parts.lag_axis(ax, first.steps, first.reverse, text["lag"])
        if title:
            ax.set_title(title)
        _parts.legend(ax, self.lines_)
