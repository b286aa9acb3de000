"""Pictures of cells side by side: a dot per seed, and the gradient against the steps back before and after training."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from seqgrad.experiments._comparison import Comparison
from seqgrad.experiments._figures import BLUE, COLORS, GREEN, ORANGE, PINK, RED, log_axis
from seqgrad.experiments._reach import FAINT, Reach
from seqgrad.experiments._result import median
from seqgrad.experiments.claims import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Say = Callable[[str], str]
LOOK = {
    "rnn": (BLUE, "o"),
    "gru": (ORANGE, "s"),
    "lstm": (GREEN, "^"),
    "residual": (RED, "D"),
    "residual_scaled": (PINK, "v"),
}
SPREAD = 10.0  # best to worst network, from which on the outcome's axis is logarithmic
FLOOR, CEILING = 1e-12, 1e6  # of the drawn gradients; what vanishes further leaves the picture


def outcomes(figure: Figure, result: Comparison, say: Say) -> Axes:
    """A dot per seed, the median as a bar, grouped by the way of reading."""
    ax = figure.add_subplot()
    width = 0.8 / len(result.cells)
    for k, cell in enumerate(result.cells):
        color, marker = LOOK[cell]
        ax.plot([], [], label=say(f"cell.{cell}"), marker=marker, color=color, linestyle="none")
        for x, group in enumerate(result.groups):
            values = [fit.outcome for fit in result.select(group, cell)]
            middle = x + (k - (len(result.cells) - 1) / 2) * width
            shift = [(seed / max(1, len(values) - 1) - 0.5) * width * 0.6 for seed in range(len(values))]
            ax.plot(
                [middle + s for s in shift], values, marker=marker, markersize=5, alpha=0.75, color=color,
                linestyle="none", markeredgewidth=0,
            )  # fmt: skip
            half, bar = width * 0.4, result.outcome(group, cell)
            ax.plot([middle - half, middle + half], [bar, bar], color=color, linewidth=2)
    ax.set_xticks(range(len(result.groups)), [say(f"{result.name}.{group}") for group in result.groups])
    ax.set_xlim(-0.55, len(result.groups) - 0.45)
    ax.set_ylabel(say(f"comparison.{result.unit}"))
    ax.grid(True, axis="y", linewidth=0.6, alpha=0.6)
    if result.reference is not None:
        ax.axhline(result.reference, color=COLORS["toy"], linestyle="--", label=say(f"{result.name}.reference"))
    every = [fit.outcome for fit in result.fits]
    _numbers(ax, say("lang"), log=max(every) > SPREAD * min(every))
    figure.legend(loc="outside lower center", ncols=3)
    return ax


def _numbers(ax: Axes, lang: str, *, log: bool) -> None:
    """Spell the numbers of the outcome's axis out, in the language."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if log:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(round(value, 6), lang)))


def reaches(figure: Figure, result: Comparison, say: Say) -> list[Axes]:
    """A panel per way of reading: the median seed's gradient, dashed untrained, solid trained."""
    count = len(result.groups)
    figure.set_size_inches(max(6.4, 3.4 * count), 4.3)
    panels: list[Axes] = list(figure.subplots(1, count, sharey=True, squeeze=False)[0])
    for ax, group in zip(panels, result.groups, strict=True):
        for cell in result.cells:
            fits = result.select(group, cell)
            for style, found in (("--", [fit.before for fit in fits]), ("-", [fit.after for fit in fits])):
                ax.plot(_middle(found), color=LOOK[cell][0], linestyle=style, linewidth=1.8)
        ax.axhline(FAINT, color=COLORS["toy"], linestyle=":")
        log_axis(ax, "")
        ax.set_xlabel(say("axis.lag"))
        if count > 1:
            ax.set_title(say(f"{result.name}.{group}"), fontsize=11)
    panels[0].set_ylabel(say("axis.relative"))
    low = min(value for ax in panels for line in ax.lines for value in _drawn(line.get_ydata()))
    high = max(value for ax in panels for line in ax.lines for value in _drawn(line.get_ydata()))
    panels[0].set_ylim(max(low / 3, FLOOR), min(high * 3, CEILING))
    for cell in result.cells:
        panels[0].plot([], [], color=LOOK[cell][0], label=say(f"cell.{cell}"))
    for style, name in (("--", "before"), ("-", "after")):
        panels[0].plot([], [], color=COLORS["toy"], linestyle=style, label=say(f"comparison.{name}"))
    panels[0].plot([], [], color=COLORS["toy"], linestyle=":", label=say("comparison.faint"))
    figure.legend(loc="outside lower center", ncols=4 if count > 1 else 3)
    return panels


def _middle(found: Sequence[Reach]) -> list[float]:
    shortest = min(len(one.curve) for one in found)
    return [median([one.curve[k] for one in found]) for k in range(shortest)]


def _drawn(values: object) -> list[float]:
    return [float(v) for v in values if math.isfinite(v) and v > 0]  # type: ignore[attr-defined]
