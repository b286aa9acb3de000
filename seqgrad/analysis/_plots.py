"""Drawings of this package's results, in the manners of ``seqgrad.display``; imported when something is drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from seqgrad.analysis._flow import InformationFlow
from seqgrad.analysis._lyapunov import Lyapunov
from seqgrad.display import _parts
from seqgrad.display._theme import GREY, SIZE, canvas, colors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TEXT: dict[str, dict[str, str]] = {
    "en": {
        "t": "timestep t",
        "lag": "steps back from the last state",
        "sensitivity": "sensitivity\n" + r"$\|\partial h_T/\partial x_t\|$",
        "probe": r"probe, $R^2$",
        "spread": r"spread of $h_t$",
        "zero": "exactly 0",
        "bad": "NaN or Inf",
        "index": "exponent",
        "exponent": "growth per step, nats",
        "factor": "factor per step",
        "memory": "neither grows nor fades",
        "dead": "dies at once",
    },
    "es": {
        "t": "paso de tiempo t",
        "lag": "pasos hacia atrás desde el último estado",
        "sensitivity": "sensibilidad\n" + r"$\|\partial h_T/\partial x_t\|$",
        "probe": r"sonda, $R^2$",
        "spread": r"dispersión de $h_t$",
        "zero": "exactamente 0",
        "bad": "NaN o Inf",
        "index": "exponente",
        "exponent": "crecimiento por paso, nats",
        "factor": "factor por paso",
        "memory": "ni crece ni se apaga",
        "dead": "muere enseguida",
    },
}


def words(lang: str) -> Mapping[str, str]:
    """The texts of one language.

    Raises:
        ValueError: there is no such language.
    """
    if lang not in _TEXT:
        raise ValueError(f"lang must be one of {', '.join(map(repr, _TEXT))}, got {lang!r}")
    return _TEXT[lang]


class InformationFlowDisplay:
    """Sensitivity (log), probe and spread (log) of every input step, one panel each.

    Attributes:
        ax_: the axes drawn on; the panels stand inside it.
        axes_: the panels, by name: sensitivity, probe, spread.
        figure_: their figure.
    """

    ax_: Axes
    axes_: dict[str, Axes]
    figure_: Figure

    def __init__(self, flow: InformationFlow, *, lang: str = "en") -> None:
        self.flow, self.lang, self._text = flow, lang, words(lang)

    def plot(
        self, ax: Axes | None = None, *, title: str | None = None, theme: str | None = None
    ) -> InformationFlowDisplay:
        """Draw the panels and return self; arguments as for the displays of :mod:`seqgrad.display`."""
        steps, reverse = len(self.flow.probe), self.flow.reverse
        curves = {"sensitivity": self.flow.by_step(), "probe": self.flow.probe, "spread": self.flow.spread}
        with canvas(ax, theme, (SIZE[0], 5.6)) as ax:
            self.ax_, self.figure_, self.axes_ = ax, ax.figure, {}  # type: ignore[assignment]
            ax.set_axis_off()
            gap = 0.1
            height = (1 - gap * (len(curves) - 1)) / len(curves)
            for k, (name, values) in enumerate(curves.items()):
                panel = ax.inset_axes((0, 1 - height * (k + 1) - gap * k, 1, height))
                self.axes_[name] = panel
                self._panel(panel, name, values.tolist(), colors(panel)[k])
                panel.tick_params(labelbottom=k == len(curves) - 1)
            panel.set_xlabel(self._text["t"])
            first = self.axes_["sensitivity"]
            _parts.lag_axis(first, steps, reverse, self._text["lag"])
            if title:
                first.set_title(title)
        return self

    def _panel(self, ax: Axes, name: str, values: Sequence[float], color: str) -> None:
        from matplotlib.ticker import NullFormatter

        log = name != "probe"
        shown = [v if math.isfinite(v) and (v > 0 or not log) else math.nan for v in values]
        zeros = [t for t, v in enumerate(values) if v == 0 and log]
        bad = [t for t, v in enumerate(values) if not math.isfinite(v)]
        if log:
            ax.set_yscale("log")
            ax.set_autoscaley_on(False)
        else:
            shown = [max(v, -0.1) for v in shown]  # worse than the mean is worse than the mean, by how much is chance
            ax.set_ylim(-0.15, 1.05)
            ax.axhline(0, color=GREY, linewidth=0.8)
        ax.plot(range(len(shown)), shown, color=color, linewidth=2, marker="." if len(shown) == 1 else None)
        _parts.mark(ax, zeros, bad, color)
        if log:
            _parts.open_limits(ax, None, shown, bool(zeros), bool(bad))
            ax.yaxis.set_minor_formatter(NullFormatter())  # panels are low: decades are enough
        ax.set_ylabel(self._text[name])
        ax.grid(True, alpha=0.25, linewidth=0.6)
        _parts.whole_ticks(ax.xaxis)
        _parts.widen_single(ax, len(values))
        keys = _parts.mark_keys(self._text["zero"] if zeros else None, self._text["bad"] if bad else None)
        if keys:
            ax.legend(handles=keys, fontsize="small", framealpha=0.8)


class LyapunovDisplay:
    """The spectrum: every exponent with two standard errors, and the factor per step on a second axis.

    Attributes:
        ax_: the axes drawn on.
        figure_: its figure.
    """

    ax_: Axes
    figure_: Figure

    def __init__(self, spectrum: Lyapunov, *, lang: str = "en") -> None:
        self.spectrum, self.lang, self._text = spectrum, lang, words(lang)

    def plot(self, ax: Axes | None = None, *, title: str | None = None, theme: str | None = None) -> LyapunovDisplay:
        """Draw the spectrum and return self; arguments as for the displays of :mod:`seqgrad.display`."""
        values, errors = self.spectrum.exponents.tolist(), self.spectrum.stderr.tolist()
        index = range(1, len(values) + 1)
        good = [k for k, v in zip(index, values, strict=True) if math.isfinite(v)]
        dead = [k for k, v in zip(index, values, strict=True) if v == -math.inf]
        bad = [k for k, v in zip(index, values, strict=True) if not math.isfinite(v) and v != -math.inf]
        with canvas(ax, theme) as ax:
            self.ax_, self.figure_ = ax, ax.figure  # type: ignore[assignment]
            ax.axhline(0, color=GREY, linewidth=1.2, linestyle="--", label=self._text["memory"])
            bars = [2 * errors[k - 1] if math.isfinite(errors[k - 1]) else 0.0 for k in good]
            ax.errorbar(
                good, [values[k - 1] for k in good], yerr=bars, fmt="o", color=colors(ax)[0], capsize=3, markersize=5
            )
            if not good:
                ax.set_ylim(-1, 1)
            _parts.mark(ax, dead, bad, colors(ax)[5])
            keys = _parts.mark_keys(self._text["dead"] if dead else None, self._text["bad"] if bad else None)
            ax.set_xlim(0.4, len(values) + 0.6)
            _parts.whole_ticks(ax.xaxis)
            ax.set_xlabel(self._text["index"])
            ax.set_ylabel(self._text["exponent"])
            ax.grid(True, alpha=0.25, linewidth=0.6)
            ax.legend(handles=[*ax.get_legend_handles_labels()[0], *keys], fontsize="small", framealpha=0.8)
            self._factors(ax)
            if title:
                ax.set_title(title)
        return self

    def _factors(self, ax: Axes) -> None:
        """The exponentials of the ticks on the left: what a change of the state is multiplied by."""
        from matplotlib.ticker import FuncFormatter

        right = ax.secondary_yaxis("right")
        right.set_ylabel(self._text["factor"])
        right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{math.exp(min(value, 700)):.3g}"))
