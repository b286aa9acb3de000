"""What several displays draw: whole ticks, the lag axis, room on a log axis, markers for what has no place on it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from seqgrad.display._theme import GREY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

FLOOR, CEILING = 0.025, 0.975  # where zeros and NaN stand, in fractions of the axes
_ZERO: dict[str, Any] = {"marker": "o", "markersize": 4, "markerfacecolor": "none", "linestyle": "none"}
_BAD: dict[str, Any] = {"marker": "x", "markersize": 5, "markeredgewidth": 1.6, "linestyle": "none"}


_LETTER = 4.4  # points that one takes in a legend
_BELOW = 42  # points from the axes to a legend under their label


def mark(ax: Axes, zeros: Sequence[float], bad: Sequence[float], color: Any) -> None:
    """Rings on the floor of the axes and crosses at its ceiling: a log axis has no place for 0, NaN or Inf."""
    rim = ax.get_xaxis_transform()  # x in data, y in fractions of the axes
    common: dict[str, Any] = {"color": color, "transform": rim, "clip_on": False, "zorder": 4}
    if zeros:
        ax.plot(zeros, [FLOOR] * len(zeros), **_ZERO, **common)
    if bad:
        ax.plot(bad, [CEILING] * len(bad), **_BAD, **common)


def mark_keys(zero: str | None, bad: str | None) -> list[Line2D]:
    """Legend entries for :func:`mark`; None leaves one out."""
    from matplotlib.lines import Line2D

    keys = [(zero, _ZERO), (bad, _BAD)]
    return [Line2D([], [], color=GREY, label=label, **style) for label, style in keys if label is not None]


def open_limits(ax: Axes, before: tuple[float, float] | None, values: Iterable[float], zeros: bool, bad: bool) -> None:
    """Log y limits around ``values`` with room below for zeros and above for NaN and Inf.

    ``before`` are the limits of what was on the axes already; they are widened, never narrowed.
    """
    real = [v for v in values if v > 0 and math.isfinite(v)]
    if not real:
        ax.set_ylim(before or (0.1, 10.0))
        return
    low, high = math.log10(min(real)), math.log10(max(real))
    spare = max(1.0 - (high - low), 0.0) / 2  # at least a decade: a level curve should look level
    low, high = low - spare, high + spare
    span = high - low
    bottom = 10.0 ** max(low - span * (0.12 if zeros else 0.05), -307.0)
    top = 10.0 ** min(high + span * (0.12 if bad else 0.05), 307.0)
    if before is not None:
        bottom, top = min(bottom, before[0]), max(top, before[1])
    ax.set_ylim(bottom, top)
    ticks = far_ticks(bottom, top)
    if ticks is not None:
        ax.set_yticks(ticks)


def far_ticks(low: float, high: float) -> list[float] | None:
    """Ticks of a log axis too long for matplotlib's own, which overflow in search of one more decade."""
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    return [10.0**k for k in range(first, last + 1, 60)] if last - first > 200 else None


def key(line: Line2D, label: str | None = None) -> Line2D:
    """A legend entry for a line, by default with its own label."""
    from matplotlib.lines import Line2D

    return Line2D(
        [], [], color=line.get_color(), linestyle=line.get_linestyle(), linewidth=line.get_linewidth(),
        label=line.get_label() if label is None else label,
    )  # fmt: skip


def legend(ax: Axes, handles: Sequence[Any]) -> None:
    """A legend that covers no curve: below the axes if the figure's layout makes room, else where it covers least."""
    if ax.figure.get_layout_engine() is None:  # type: ignore[union-attr, unused-ignore]
        ax.legend(handles=handles, frameon=True, framealpha=0.8, fontsize="small")
        return
    legend_below(ax, handles)


def legend_below(ax: Axes, handles: Sequence[Any]) -> None:
    """A legend under the axes and their label, whatever their height, so that the layout can make room.

    In as many columns as fit their width: a wider one would make the layout narrow the axes.
    """
    from matplotlib.transforms import ScaledTranslation

    longest = max(len(str(handle.get_label())) for handle in handles)
    spec = ax.get_subplotspec()
    across = 1 if spec is None else spec.get_gridspec().ncols
    room = 0.8 * 72 * ax.figure.get_figwidth() / across  # type: ignore[union-attr, unused-ignore]
    columns = max(1, min(len(handles), 4, int(room / (_LETTER * (longest + 5)))))
    down = ScaledTranslation(0, -_BELOW / 72, ax.figure.dpi_scale_trans)  # type: ignore[union-attr, unused-ignore]
    ax.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0), bbox_transform=ax.transAxes + down,
        ncols=columns, frameon=False, fontsize="small", handlelength=1.4, columnspacing=1.2, borderaxespad=0,
    )  # fmt: skip


def whole_ticks(axis: Any, bins: int = 8) -> None:
    """Ticks at whole numbers: there is no half a timestep."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=bins, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))


def lag_axis(ax: Axes, steps: int, reverse: bool, label: str, *, side: str = "top") -> Any:
    """Steps back, on top of an axis of timesteps or to the right of one."""

    def flip(position: Any) -> Any:
        return position if reverse else steps - 1 - position

    add: Any = ax.secondary_xaxis if side == "top" else ax.secondary_yaxis
    other: Any = add("top" if side == "top" else "right", functions=(flip, flip))
    axis = other.xaxis if side == "top" else other.yaxis
    whole_ticks(axis)
    axis.set_label_text(label)
    return other


def widen_single(ax: Axes, steps: int) -> None:
    """One timestep alone needs some width around it."""
    if steps == 1:
        ax.set_xlim(-0.5, 0.5)


def runs(flags: Sequence[bool]) -> list[tuple[int, int]]:
    """Half-open stretches of consecutive True."""
    found: list[tuple[int, int]] = []
    for i, flag in enumerate(flags):
        if not flag:
            continue
        if found and found[-1][1] == i:
            found[-1] = (found[-1][0], i + 1)
        else:
            found.append((i, i + 1))
    return found
