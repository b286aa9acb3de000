"""Gates over time: how open they stand at every timestep, and how many are saturated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from seqgrad._speech import number
from seqgrad.display import _parts
from seqgrad.display._text import words
from seqgrad.display._theme import BAD, GREY, SIZE, canvas, colors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SATURATED = 0.99  # of the way to either end
_COLORS = {"z": 0, "i": 0, "f": 2, "o": 1, "g": 3, "r": 4, "n": 3}  # places in the theme's colours
_GAP = 0.2  # between panels, of their height: the tick labels at their ends need it


class GatesDisplay:
    """One panel a gate: median, middle half and middle 90 % of its activations over batch and units, by timestep.

    Gates between 0 and 1 are drawn on that range, candidates (tanh) on -1 to 1; the range is told from the values. The
    share of activations within 1 % of either end of the range stands at the panel's right, as ``saturated``. A
    timestep with NaN or Inf gets a cross; the bands leave those activations out.

    Args:
        gates: name -> activations ``[T, N, H]``, as :func:`seqgrad.analysis.gates` returns them.
        lang: ``"en"`` or ``"es"``.

    Attributes:
        ax_: the axes drawn on; the panels stand inside it.
        axes_: the panels, by gate.
        figure_: their figure.
        saturated_: share of saturated activations, by gate; nan where none is finite.

    Example:
        >>> import torch
        >>> display = GatesDisplay({"r": torch.rand(20, 3, 8), "z": torch.rand(20, 3, 8)}).plot()
        >>> list(display.axes_)
        ['r', 'z']
    """

    ax_: Axes
    axes_: dict[str, Axes]
    figure_: Figure
    saturated_: dict[str, float]

    def __init__(self, gates: Mapping[str, Tensor], *, lang: str = "en") -> None:
        if not gates:
            raise ValueError("gates must hold at least one gate, got none; an RNN without gates has none to show")
        self.gates = {name: values.detach().double().cpu() for name, values in gates.items()}
        alive = getattr(gates, "alive", None)  # [T, N]: padding is NaN in analysis.Gates, and no mistake of the layer
        self._alive: Tensor | None = None if alive is None else alive.cpu()
        for name, values in self.gates.items():
            if values.dim() != 3 or not values.numel():
                raise ValueError(
                    f"gate {name!r} must have shape [T, N, H] with no empty side, got {list(values.shape)}"
                )
        if len({values.shape[0] for values in self.gates.values()}) > 1:
            sizes = ", ".join(f"{name} T={values.shape[0]}" for name, values in self.gates.items())
            raise ValueError(f"gates must agree on the number of timesteps, got {sizes}")
        self.lang, self._text = lang, words(lang)

    @classmethod
    def from_gates(
        cls, gates: Mapping[str, Tensor], ax: Axes | None = None, *, lang: str = "en", title: str | None = None,
        theme: str | None = None,
    ) -> GatesDisplay:  # fmt: skip
        """Draw what ``seqgrad.analysis.gates(rnn, x)`` returns; see :meth:`plot`."""
        return cls(gates, lang=lang).plot(ax, title=title, theme=theme)

    def plot(self, ax: Axes | None = None, *, title: str | None = None, theme: str | None = None) -> GatesDisplay:
        """Draw the panels and return self.

        Args:
            ax: axes to draw on; the panels share its room. A new figure without.
            title: above the first panel.
            theme: ``"light"`` or ``"dark"`` for a new figure; by default your rcParams.

        Raises:
            ValueError: no such theme, or ``theme`` together with ``ax``.
        """
        with canvas(ax, theme, (SIZE[0], 0.9 + 1.3 * len(self.gates))) as ax:
            self.ax_, self.figure_, self.axes_, self.saturated_ = ax, ax.figure, {}, {}  # type: ignore[assignment]
            self._any_bad = False
            ax.set_axis_off()
            count, gap = len(self.gates), _GAP
            height = 1 / (count + gap * (count - 1))
            for k, (name, values) in enumerate(self.gates.items()):
                panel = ax.inset_axes((0, 1 - height * (k + 1 + gap * k), 1, height))
                self.axes_[name] = panel
                self._panel(panel, name, values, last=k == count - 1)
            if title:
                next(iter(self.axes_.values())).set_title(title)
            self._legend(self.axes_[name])
        return self

    def _panel(self, ax: Axes, name: str, values: Tensor, *, last: bool) -> None:
        flat = values.flatten(1)
        good = torch.isfinite(flat)
        low = -1.0 if bool((flat[good] < 0).any()) else 0.0
        cleaned = torch.where(good, flat, torch.nan)
        levels = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95], dtype=torch.float64)
        quantiles = torch.nanquantile(cleaned, levels, dim=1).tolist()
        times, color = list(range(flat.shape[0])), colors(ax)[_COLORS.get(name, 5)]
        for k, alpha in ((0, 0.2), (1, 0.33)):
            ax.fill_between(times, quantiles[k], quantiles[4 - k], color=color, alpha=alpha, linewidth=0)
        ax.plot(times, quantiles[2], color=color, linewidth=2, marker="." if len(times) == 1 else None)
        inside = torch.ones_like(values, dtype=torch.bool) if self._alive is None else self._alive.unsqueeze(-1)
        bad = (~torch.isfinite(values) & inside).flatten(1).any(dim=1).nonzero().flatten().tolist()
        self._any_bad |= bool(bad)
        _parts.mark(ax, [], bad, BAD)
        ends = flat[good]
        near = (ends > SATURATED) | (ends < 1 - SATURATED if low == 0 else ends < -SATURATED)
        share = float(near.double().mean()) if len(ends) else float("nan")
        self.saturated_[name] = share
        told = f"{number(share, self.lang, '.0%')}\n{self._text['shut']}"
        ax.annotate(told, (1.015, 0.5), xycoords="axes fraction", va="center", fontsize="small")
        ax.set_ylim(low - 0.04, 1.04)
        ax.set_yticks([low, (low + 1) / 2, 1])
        ax.set_ylabel(name, rotation=0, ha="right", va="center", fontsize="large")
        ax.grid(True, alpha=0.25, linewidth=0.6)
        _parts.whole_ticks(ax.xaxis)
        _parts.widen_single(ax, len(times))
        ax.tick_params(labelbottom=last)
        if last:
            ax.set_xlabel(self._text["t"])

    def _legend(self, ax: Axes) -> None:
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch

        text, bad = self._text, self._any_bad
        handles = [
            Line2D([], [], color=GREY, linewidth=2, label=text["median"]),
            Patch(color=GREY, alpha=0.55, linewidth=0, label=text["half"]),
            Patch(color=GREY, alpha=0.25, linewidth=0, label=text["most"]),
            *_parts.mark_keys(None, text["bad"] if bad else None),
        ]
        _parts.legend_below(ax, handles)
