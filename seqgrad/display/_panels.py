"""One panel for every series of a history, on one sheet."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from seqgrad.display._flow import GradientFlowDisplay
from seqgrad.display._heatmap import HeatmapDisplay
from seqgrad.display._source import Past, rows_of
from seqgrad.display._theme import MARGIN, SIZE, theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ACROSS = 2
_PANEL = (SIZE[0] * 0.85, SIZE[1] * 0.72)  # inches


class PanelsDisplay:
    """A heatmap or a gradient flow for each series of a history, in the order of the model, colours on one scale.

    Args:
        history: a :class:`seqgrad.History` of at least one series.
        kind: ``"heatmap"`` or ``"flow"``.
        quantity: ``grad_h``, ``grad_carry`` or ``grad_c``; series without it get no panel.
        options: passed to every panel's display: ``lang=``, ``count=``.

    Attributes:
        displays_: the display of each series by name.
        ax_: the axes of the first panel; ``axes_`` has all of them.
        figure_: the figure.

    Example:
        >>> import torch, seqgrad as sg
        >>> rnn = sg.RNN(3, 8, num_layers=2)
        >>> mon = sg.Monitor(rnn, on_finding=None)
        >>> with mon:
        ...     rnn(torch.randn(20, 4, 3))[0][-1].sum().backward()
        >>> _ = mon.step()
        >>> list(mon.history.plot().displays_)
        ['l0', 'l1']
    """

    displays_: dict[str, HeatmapDisplay | GradientFlowDisplay]
    ax_: Axes
    axes_: list[Axes]
    figure_: Figure

    def __init__(self, history: Past, kind: str = "heatmap", *, quantity: str = "grad_h", **options: Any) -> None:
        if kind not in ("heatmap", "flow"):
            raise ValueError(f"kind must be 'heatmap' or 'flow', got {kind!r}")
        self.history, self.kind, self.quantity, self.options = history, kind, quantity, options
        found = {name: [row for row in rows_of(history, name, quantity) if row.values] for name in history.series}
        self._rows = {name: rows for name, rows in found.items() if rows}
        if not self._rows:
            raise ValueError(f"history holds no {quantity} to draw; a history is filled by Monitor.step()")

    def plot(self, *, theme: str | None = None) -> PanelsDisplay:
        """Draw all panels on a new figure and return self.

        Args:
            theme: ``"light"`` or ``"dark"``; by default your rcParams.

        Raises:
            ValueError: no such theme.
        """
        with _sheet(len(self._rows), theme) as (figure, axes):
            self.figure_, self.axes_, self.ax_, self.displays_ = figure, axes, axes[0], {}
            shared: dict[str, Any] = {"limits": self._limits()} if self.kind == "heatmap" else {}
            draw: Any = HeatmapDisplay.from_history if self.kind == "heatmap" else GradientFlowDisplay.from_history
            for name, ax in zip(self._rows, axes, strict=True):
                self.displays_[name] = draw(
                    self.history, name, ax, quantity=self.quantity, **{**self.options, **shared}
                )
        return self

    def _limits(self) -> tuple[float, float] | None:
        values = [v for rows in self._rows.values() for row in rows for v in row.values if 0 < v < math.inf]
        return (min(values), max(values)) if values else None


@contextmanager
def _sheet(count: int, name: str | None) -> Iterator[tuple[Figure, list[Axes]]]:
    """A new pyplot figure in the theme with one axes per panel, for the length of a drawing."""
    with theme(name):
        import matplotlib.pyplot as plt

        across = min(count, _ACROSS)
        down = -(-count // across)
        figure, grid = plt.subplots(
            down, across, squeeze=False, figsize=(_PANEL[0] * across, _PANEL[1] * down), layout="constrained"
        )
        engine: Any = figure.get_layout_engine()
        engine.set(**MARGIN)
        axes = list(grid.flat)
        for spare in axes[count:]:
            spare.remove()
        yield figure, axes[:count]
