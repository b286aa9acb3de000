"""How the experiments are drawn: one style in a light and a dark form, colours that hold for colour-blind readers.

Gradient flow is drawn by ``seqgrad.display``; what is here are the other pictures and the common frame. Figures
are made without pyplot, so nothing pops up and nothing stays behind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from seqgrad.display import PALETTE, THEMES, theme
from seqgrad.experiments._result import Drawing, Result, median
from seqgrad.experiments.claims import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from seqgrad.experiments.char_model import Checkpoint
    from seqgrad.rules import Finding

Say = Callable[[str], str]

BLUE, ORANGE, GREEN, PINK, SKY, RED = PALETTE
COLORS = {"toy": "#8a8a8a", "rnn": BLUE, "gru": ORANGE, "lstm": GREEN, "residual": RED, "mark": RED}
LINES: dict[str, tuple[str, str]] = {  # colour by family, style by variant
    "rnn": (BLUE, "-"),
    "rnn_orthogonal": (SKY, "--"),
    "rnn_orthogonal_zero_bias": (PINK, "-"),
    "rnn_identity": (ORANGE, "-."),
    "residual": (RED, "-."),
    "residual_orthogonal": (ORANGE, "-"),
    "residual_small": (GREEN, "-"),
    "gru": (ORANGE, "-"),
    "lstm": (GREEN, "-"),
    "lstm_forget_one": (GREEN, "--"),
    "lstm_forget_99": (GREEN, ":"),
    "lstm_chrono": (PINK, "-."),
    "gru_orthogonal": (SKY, "--"),
    "lstm_orthogonal": (GREEN, "--"),
    "gru_chrono": (PINK, "-."),
}
CLIPPED = {"none": (RED, "-"), "norm": (BLUE, "-"), "value": (ORANGE, "--"), "state": (GREEN, "-.")}
FAINT = 1e-3  # where the horizon is read


def render(result: Result, kind: str, *, lang: str, dark: bool) -> Drawing:
    """Draw ``result.plot(kind)`` in one language and one of the two styles."""
    try:
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise ImportError("plot() needs matplotlib: pip install 'seqgrad[plot]'") from missing
    from seqgrad.experiments.texts import say

    with theme("dark" if dark else "light"):
        figure = Figure(figsize=(6.4, 4.3), layout="constrained")
        axes = result.draw(kind, figure, lambda key: say(key, lang))
    return Drawing(figure, axes)


def log_axis(ax: Axes, label: str) -> None:
    """Log y with a light grid."""
    ax.set_yscale("log")
    ax.set_ylabel(label)
    ax.grid(True, linewidth=0.6, alpha=0.6)


def from_one(ax: Axes, steps: int) -> None:
    """Timesteps are stored from 0 and spoken of from 1: label them 1, 25, 50 ... ``steps``."""
    marks = sorted({1, steps} | {round(steps * share / 4) for share in (1, 2, 3)})
    ax.set_xticks([mark - 1 for mark in marks], [str(mark) for mark in marks])


def flow_curves(figure: Figure, curves: Mapping[str, Sequence[float]], say: Say) -> Axes:
    """Gradient norm at every t, relative to the last step; the lag on top."""
    from seqgrad.display import Curve, GradientFlowDisplay

    ax = figure.add_subplot()
    shown = [Curve(say(f"setup.{name}"), values) for name, values in curves.items()]
    display = GradientFlowDisplay(shown).plot(ax)
    for line, name in zip(display.lines_, curves, strict=True):
        color, style = LINES[name]
        line.set(color=color, linestyle=style, linewidth=2.0)
    from_one(ax, len(shown[0].values))
    ax.set_xlabel(say("axis.t"))
    ax.set_ylabel(say("axis.relative"))
    for child in ax.child_axes:
        child.set_xlabel(say("axis.lag"))
    ax.legend(handles=display.lines_)
    return ax


def bars(figure: Figure, curve: Sequence[float], say: Say) -> Axes:
    """The lesson's bars of section 6, at every tenth step, the right way round: tall at the end."""
    ax = figure.add_subplot()
    steps = len(curve)
    marks = [t for t in range(steps - 50, steps + 1, 10) if t >= 1]
    heights = [curve[t - 1] for t in marks]
    ax.bar([str(t) for t in marks], heights, color=BLUE, width=0.65)
    for x, height in enumerate(heights):
        ax.annotate(number(round(height, 12), say("lang")), (x, height), ha="center", va="bottom", fontsize=10)
    log_axis(ax, say("axis.relative"))
    ax.set_ylim(min(heights) / 5, max(heights) * 4)
    ax.set_xlabel(say("axis.t"))
    return ax


def shares(figure: Figure, curve: Sequence[float], epsilon: float, say: Say) -> Axes:
    """Each timestep's share in the weights' gradient, t ascending, the lag on top, and what float32 no longer adds."""
    ax = figure.add_subplot()
    steps, floor = len(curve), min(value for value in curve if value > 0) / 10
    ax.plot([value or math.nan for value in curve], color=BLUE, linewidth=2)  # 0 at t = 1, where the state before is 0
    ax.axhline(epsilon, color=RED, linestyle=":", label=say("flow.epsilon"))
    ax.fill_between(range(steps), floor, epsilon, color=RED, alpha=0.08, linewidth=0)
    log_axis(ax, say("flow.share"))
    ax.set_ylim(floor, 3)
    from_one(ax, steps)
    ax.set_xlabel(say("axis.t"))

    def turned(t: Any) -> Any:
        return steps - 1 - t

    top = ax.secondary_xaxis("top", functions=(turned, turned))
    top.set_xlabel(say("axis.lag"))
    ax.legend(loc="upper left")
    return ax


def growth(
    figure: Figure, linear: Sequence[float], saturated: Sequence[float], finding: Finding | None, say: Say
) -> Axes:
    """The same W_hh at silent and at saturated states, the threshold of 100 and where it was passed."""
    ax = figure.add_subplot()
    ax.plot([v / linear[-1] for v in linear], color=RED, linewidth=2, label=say("explosion.growth.silent"))
    ax.plot(
        [v / saturated[-1] for v in saturated], color=BLUE, linestyle="--", linewidth=2,
        label=say("explosion.growth.loud"),
    )  # fmt: skip
    ax.axhline(100, color=COLORS["toy"], linestyle=":", label=say("explosion.growth.limit"))
    if finding and finding.t is not None:
        ax.plot([finding.t], [finding.value], marker="o", markersize=9, markerfacecolor="none", color=RED)
        ax.annotate(
            f"t = {finding.t + 1}", (finding.t, finding.value), xytext=(8, 8), textcoords="offset points",
            ha="left", color=RED,
        )  # fmt: skip
    log_axis(ax, say("axis.relative"))
    from_one(ax, len(linear))
    ax.set_xlabel(say("axis.t"))
    ax.legend(loc="upper right")
    return ax


def losses(figure: Figure, runs: Mapping[str, Sequence[Sequence[float]]], say: Say) -> Axes:
    """Training loss by step for every way of clipping; a run that is no longer a number ends in a cross."""
    ax = figure.add_subplot()
    for how, curves in runs.items():
        color, style = CLIPPED[how]
        for k, curve in enumerate(curves):
            good = [loss for loss in curve if math.isfinite(loss)]
            broken = len(good) < len(curve)
            if len(runs) == 2:  # more would hide each other
                ax.plot(range(1, len(good) + 1), good, color=color, linewidth=0.6, alpha=0.35)
            ax.plot(
                range(1, len(good) + 1), _smooth(good), color=color, linestyle=style, linewidth=2 if k == 0 else 1,
                marker="X" if broken else None, markersize=10, markevery=[len(good) - 1],
                label=say(f"clip.{how}") if k == 0 else None,
            )  # fmt: skip
            if broken and k == 0:
                text = f"{say('explosion.training.nan')} {len(good) + 1}"
                ax.annotate(text, (len(good), good[-1]), xytext=(12, 6), textcoords="offset points", color=color)
    log_axis(ax, say("axis.loss"))
    smooth = [value for curves in runs.values() for curve in curves for value in _smooth(curve) if math.isfinite(value)]
    ax.set_ylim(min(smooth) / 3, max(smooth) * 8)  # single batches may happen to cost almost nothing
    ax.set_xlabel(say("axis.step"))
    ax.legend(loc="upper right")
    return ax


def _smooth(curve: Sequence[float], reach: int = 7) -> list[float]:
    """Running median over ``2 * reach + 1`` steps, fewer at the ends."""
    return [median(curve[max(0, k - reach) : k + reach + 1]) for k in range(len(curve))]


def dots(figure: Figure, accuracy: Mapping[tuple[str, int], Sequence[float]], say: Say) -> Axes:
    """Accuracy against length: a dot per seed, the mean as a bar, successes counted above."""
    from seqgrad.display import AccuracyVsLengthDisplay

    look = {"rnn": (BLUE, "o"), "gru": (ORANGE, "s"), "lstm": (GREEN, "^")}
    runs: dict[str, dict[int, Sequence[float]]] = {}
    for (name, length), values in accuracy.items():
        runs.setdefault(name, {})[length] = values
    display = AccuracyVsLengthDisplay(
        {say(f"network.{name}"): by_length for name, by_length in runs.items()}, lang=say("lang")
    )
    return display.plot(figure.add_subplot(), looks=[look[name.split("_")[0]] for name in runs]).ax_


def learning(
    figure: Figure, train: Sequence[float], checkpoints: Sequence[Checkpoint], bigram: float, say: Say
) -> Axes:
    """Bits per character by training step, on the windows trained on and on the text held out."""
    ax = figure.add_subplot()
    ax.plot(range(1, len(train) + 1), train, color=SKY, linewidth=1, label=say("char.train"))
    ax.plot(
        [c.step for c in checkpoints], [c.bits for c in checkpoints], color=BLUE, marker="o", linewidth=2,
        label=say("char.held_out"),
    )  # fmt: skip
    ax.axhline(bigram, color=COLORS["toy"], linestyle="--", label=say("char.bigram"))
    ax.set_ylim(0, None)
    ax.set_xlabel(say("axis.step"))
    ax.set_ylabel(say("axis.bits"))
    ax.grid(True, linewidth=0.6, alpha=0.6)
    ax.legend()
    return ax


def horizons(figure: Figure, checkpoints: Sequence[Checkpoint], say: Say) -> Axes:
    """dL/dc_t of a loss on the last character, from untrained (dark) to trained (bright)."""
    import matplotlib

    ax = figure.add_subplot()
    shades = matplotlib.colormaps["viridis"]
    dark = matplotlib.rcParams["figure.facecolor"] == THEMES["dark"].paper
    low, high = (0.3, 0.98) if dark else (0.05, 0.85)
    for k, mark in enumerate(checkpoints):
        share = k / max(1, len(checkpoints) - 1)
        label = f"{say('char.step')} {mark.step}"
        ax.plot(mark.grad_c, color=shades(low + (high - low) * share), linewidth=1.8, label=label)
    ax.axhline(FAINT, color=COLORS["toy"], linestyle=":", label=say("char.faint"))
    log_axis(ax, say("axis.relative_c"))
    lowest = min(min(mark.grad_c[-60:]) for mark in checkpoints)
    ax.set_ylim(max(lowest, 1e-12), 1e4)  # room for the legend
    from_one(ax, len(checkpoints[0].grad_c))
    ax.set_xlabel(say("axis.t"))
    ax.legend(loc="upper center", ncols=3)
    return ax
