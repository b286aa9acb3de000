"""Figures of the field's training experiments: outcome by network, gradient flow before and after, learning curves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from seqgrad.experiments._figures import BLUE, COLORS, FAINT, GREEN, ORANGE, PINK, RED, SKY, log_axis
from seqgrad.experiments._result import median
from seqgrad.experiments._training import WINDOW
from seqgrad.experiments.claims import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from seqgrad.experiments._trials import Trials

Say = Callable[[str], str]
WIDE = (8.4, 4.8)  # inches; room for three columns of names

LOOK: dict[str, tuple[str, str, str]] = {  # colour by family, line and marker by variant
    "rnn": (BLUE, "-", "o"),
    "rnn_omega": (RED, "-.", "D"),
    "irnn": (PINK, "--", "D"),
    "rnn_orthogonal": (SKY, "--", "v"),
    "rnn_sgd_unclipped": (PINK, ":", "<"),
    "rnn_sgd_clipped": (PINK, "-", "d"),
    "gru": (ORANGE, "-", "s"),
    "gru_chrono": (ORANGE, ":", "P"),
    "lstm": (GREEN, "-", "^"),
    "lstm_forget_one": (GREEN, "--", ">"),
    "lstm_chrono": (GREEN, ":", "X"),
}


def outcome(figure: Figure, result: Trials, say: Say) -> Axes:
    """A row per network, a dot per seed, the median as a bar; the floor is who remembers nothing."""
    ax = figure.add_subplot()
    networks = list(result.runs)
    for y, network in enumerate(networks):
        color, _, marker = LOOK[network]
        scores = [run.score for run in result.runs[network]]
        shift = [(k / max(1, len(scores) - 1) - 0.5) * 0.4 for k in range(len(scores))]
        ax.plot(
            scores, [y + s for s in shift], marker=marker, markersize=6, color=color, alpha=0.8, linestyle="none",
            markeredgewidth=0,
        )  # fmt: skip
        middle = median(scores)
        ax.plot([middle, middle], [y - 0.33, y + 0.33], color=color, linewidth=2.5)
        won = sum(result.task.reached(score) for score in scores)
        ax.annotate(
            f"{won}/{len(scores)}", (1.02, y), xycoords=("axes fraction", "data"), va="center", color=color,
            annotation_clip=False,
        )  # fmt: skip
    ax.axvline(result.floor, color=COLORS["toy"], linestyle=":", label=say(f"{result.name}.floor"))
    ax.axvline(result.task.goal, color=COLORS["toy"], linestyle="--", linewidth=1, label=say("trials.goal"))
    ax.set_yticks(range(len(networks)), [say(f"network.{network}") for network in networks])
    ax.set_ylim(len(networks) - 0.45, -0.55)
    ax.set_xlabel(say(f"{result.name}.score"))
    ax.grid(True, axis="x", linewidth=0.6, alpha=0.6)
    scores = [run.score for runs in result.runs.values() for run in runs if run.score > 0]
    if result.task.higher:
        ax.set_xlim(0, 1.04)
    elif scores and max(scores) > 10 * min(scores):
        ax.set_xscale("log")
    else:
        ax.set_xlim(left=0)
    if ax.get_xscale() == "linear":
        ax.xaxis.set_major_formatter(_decimals(say))
    figure.legend(loc="outside lower center", ncols=2)
    return ax


def _decimals(say: Say) -> Callable[[float, float], str]:
    """Ticks with the language's decimal sign."""
    return lambda value, _: number(round(value, 9), say("lang"))


def flow(figure: Figure, result: Trials, say: Say) -> Any:
    """Gradient at every timestep relative to the last, before and after training, median over seeds."""
    figure.set_size_inches(WIDE)
    panels = figure.subplots(1, 2, sharey=True)
    for ax, trained in zip(panels, (False, True), strict=True):
        for network in result.runs:
            color, style, _ = LOOK[network]
            curve = result.flow(network, trained=trained)
            label = None if trained else say(f"network.{network}")
            ax.plot(range(1, len(curve) + 1), curve, color=color, linestyle=style, linewidth=2, label=label)
        ax.axhline(FAINT, color=COLORS["toy"], linestyle=":", linewidth=1)
        log_axis(ax, say("axis.relative") if not trained else "")
        ax.set_ylim(1e-14, 300)
        ax.set_xlabel(say("axis.t"))
        ax.set_title(say("trials.after" if trained else "trials.before"), fontsize=11)
    figure.legend(loc="outside lower center", ncols=3)
    return panels


def learning(figure: Figure, result: Trials, say: Say) -> Axes:
    """Training loss, mean of every 50 steps, one thin line per seed."""
    figure.set_size_inches(WIDE)
    ax = figure.add_subplot()
    for network, runs in result.runs.items():
        color, style, _ = LOOK[network]
        for k, run in enumerate(runs):
            at = [min((window + 1) * WINDOW, result.steps) for window in range(len(run.curve))]
            label = say(f"network.{network}") if k == 0 else None
            ax.plot(at, run.curve, color=color, linestyle=style, linewidth=1.1, alpha=0.8, label=label)
    if not result.task.higher:
        ax.axhline(result.floor, color=COLORS["toy"], linestyle=":", label=say(f"{result.name}.floor"))
    log_axis(ax, say("axis.loss"))
    losses = [loss for runs in result.runs.values() for run in runs for loss in run.curve]
    if max(losses) < 20 * min(losses):
        ax.set(yscale="linear", ylim=(0, 2.5 * result.floor))
        ax.yaxis.set_major_formatter(_decimals(say))
    ax.set_xlabel(say("axis.step"))
    figure.legend(loc="outside lower center", ncols=3)
    return ax
