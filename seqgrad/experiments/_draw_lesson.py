"""Figures of single experiments of the lesson; what several share is in ``_figures.py``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

from seqgrad.experiments._figures import (
    BLUE,
    COLORS,
    GREEN,
    LINES,
    ORANGE,
    RED,
    SKY,
    Say,
    from_one,
    log_axis,
)  # fmt: skip
from seqgrad.experiments._remember import LEARNT
from seqgrad.experiments._result import median
from seqgrad.experiments.claims import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from seqgrad.experiments.clipping import Clipping
    from seqgrad.experiments.detection import Detection
    from seqgrad.experiments.information_flow import InformationFlow

WAYS = ((BLUE, "-"), (ORANGE, "--"), (RED, "-."), (GREEN, "-"))


def clip_rule(figure: Figure, result: Clipping, say: Say) -> Any:
    """Length after clipping, and cosine to the true gradient, against the length before."""
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    for how, (color, style) in zip(("norm", "value", "both"), WAYS, strict=False):
        ones = result.of(how)
        norms = list(dict.fromkeys(one.norm for one in ones))
        for ax, what in ((above, "after"), (below, "cosine")):
            middle = [median([getattr(one, what) for one in ones if one.norm == norm]) for norm in norms]
            ax.plot(norms, middle, color=color, linestyle=style, linewidth=2, label=say(f"clip.{how}"))
    above.plot(norms, norms, color=COLORS["toy"], linestyle=":", label=say("clip.none"))
    above.set_xscale("log")
    log_axis(above, say("clipping.after"))
    above.legend(loc="upper left")
    below.set_ylabel(say("clipping.cosine"))
    below.set_ylim(0, 1.08)
    below.grid(True, linewidth=0.6, alpha=0.6)
    below.set_xlabel(say("clipping.before"))
    return [above, below]


def strips(
    figure: Figure, accuracy: Mapping[tuple[str, Any], Sequence[float]], say: Say, group: str, label: str | None, *,
    x_label: str | None = None,
) -> Axes:  # fmt: skip
    """Accuracy per seed: a colour per first key (``GROUP.KEY``), a place per second (``LABEL.KEY``, or as it is)."""
    ax = figure.add_subplot()
    names, places = list(dict.fromkeys(a for a, _ in accuracy)), list(dict.fromkeys(b for _, b in accuracy))
    width = 0.7 / len(names)
    for k, (name, (color, _), marker) in enumerate(zip(names, WAYS, "os^D", strict=False)):
        ax.plot([], [], marker=marker, color=color, linestyle="none", label=say(f"{group}.{name}"))
        for x, place in enumerate(places):
            values = accuracy[name, place]
            middle = x + (k - (len(names) - 1) / 2) * width
            shift = [(seed / max(1, len(values) - 1) - 0.5) * width * 0.6 for seed in range(len(values))]
            ax.plot(
                [middle + s for s in shift], values, marker=marker, color=color, linestyle="none", alpha=0.75,
                markersize=6, markeredgewidth=0,
            )  # fmt: skip
            won = sum(value >= LEARNT for value in values)
            ax.annotate(f"{won}/{len(values)}", (middle, 1.03), ha="center", fontsize=9, color=color)
    ax.axhline(0.5, color=COLORS["toy"], linestyle=":", label=say("dependency.chance"))
    marks = [fill(say(f"{label}.{place}"), 16) if label else str(place) for place in places]
    ax.set_xticks(range(len(places)), marks)
    if x_label:
        ax.set_xlabel(say(x_label))
    ax.set_ylabel(say("axis.accuracy"))
    ax.set_xlim(-0.55, len(places) - 0.45)
    ax.set_ylim(0.4, 1.08)
    ax.grid(True, axis="y", linewidth=0.6, alpha=0.6)
    figure.legend(loc="outside lower center", ncols=3)
    return ax


def cuts(figure: Figure, curves: Mapping[str, Sequence[float]], say: Say) -> Axes:
    """Gradient norm at every t for several chunk sizes; where it is exactly zero stands a mark on the floor."""
    ax = figure.add_subplot()
    positive = [value for curve in curves.values() for value in curve if value > 0]
    floor = min(positive) / 4
    for k, (label, curve) in enumerate(curves.items()):
        color, style = (BLUE, ORANGE, RED, GREEN, SKY)[k % 5], ("-", "--", "-.", ":")[k % 4]
        alive = [(t, value) for t, value in enumerate(curve) if value > 0]
        ax.plot(*zip(*alive, strict=True), color=color, linestyle=style, linewidth=2.2, label=label)
        gone = [t for t, value in enumerate(curve) if value == 0]
        height = floor * 0.8**k
        ax.plot(gone, [height] * len(gone), color=color, marker="o", markersize=3.5, markerfacecolor="none", ls="none")
        if gone:
            ax.plot([alive[0][0]] * 2, [height, alive[0][1]], color=color, linewidth=1, alpha=0.6)
    ax.plot([], [], color=COLORS["toy"], marker="o", markerfacecolor="none", ls="none", label=say("truncation.zero"))
    log_axis(ax, say("axis.relative"))
    from_one(ax, len(next(iter(curves.values()))))
    ax.set_xlabel(say("axis.t"))
    figure.legend(loc="outside lower center", ncols=3)
    return ax


def scales(figure: Figure, growth: Mapping[float, Sequence[float]], say: Say) -> Axes:
    """The gradient at step 1, relative to the last, against ``residual_scale``; a dot per seed."""
    ax = figure.add_subplot()
    for scale, values in growth.items():
        ax.plot([scale] * len(values), values, color=RED, marker="o", linestyle="none", alpha=0.5, markersize=5)
    ax.plot(list(growth), [median(values) for values in growth.values()], color=RED, linewidth=2)
    ax.axhline(1.0, color=COLORS["toy"], linestyle=":", label=say("residual.one"))
    ax.set_xscale("log")
    log_axis(ax, say("residual.growth"))
    ax.set_xticks(list(growth), [number(s, say("lang")) for s in growth])
    ax.minorticks_off()
    ax.set_xlabel("residual_scale")
    ax.legend()
    return ax


def forward(figure: Figure, result: InformationFlow, say: Say) -> Any:
    """Sensitivity, probe and spread at every t, a panel each."""
    figure.set_size_inches(6.4, 6.6)
    panels = figure.subplots(3, 1, sharex=True)
    for setup in result.flows:
        color, style = LINES[setup]
        look = {"color": color, "linestyle": style, "linewidth": 2}
        steps = range(1, result.steps + 1)
        panels[0].plot(steps, result.curve(setup, "sensitivity"), label=say(f"network.{setup}"), **look)
        probe = result.probe(setup)
        panels[1].plot(list(probe), list(probe.values()), marker="o", markersize=3, **look)
        panels[2].plot(steps, result.curve(setup, "spread"), **look)
    log_axis(panels[0], say("info.sensitivity"))
    panels[1].axhline(0.5, color=COLORS["toy"], linestyle=":")
    panels[1].set_ylabel(say("info.probe"))
    panels[1].set_ylim(0.4, 1.05)
    panels[1].grid(True, linewidth=0.6, alpha=0.6)
    log_axis(panels[2], say("info.spread"))
    panels[2].set_xlabel(say("axis.t"))
    figure.legend(loc="outside lower center", ncols=2)
    return panels


def there_and_back(figure: Figure, result: InformationFlow, say: Say) -> Any:
    """Two panels that must not be mixed up: what h_t knows of x_1, and what t hears of the loss at the end."""
    figure.set_size_inches(6.4, 5.4)
    panels = figure.subplots(2, 1, sharex=True)
    for setup in result.flows:
        color, style = LINES[setup]
        for ax, what in zip(panels, ("sensitivity", "gradient"), strict=True):
            ax.plot(
                range(1, result.steps + 1), result.curve(setup, what), color=color, linestyle=style, linewidth=2,
                label=say(f"network.{setup}") if what == "gradient" else None,
            )  # fmt: skip
    log_axis(panels[0], say("info.sensitivity"))
    panels[0].set_title(say("info.there"), fontsize=11, loc="left")
    log_axis(panels[1], say("axis.gradient"))
    panels[1].set_title(say("info.back"), fontsize=11, loc="left")
    panels[1].set_xlabel(say("axis.t"))
    figure.legend(loc="outside lower center", ncols=2)
    return panels


def blind(figure: Figure, result: Detection, say: Say) -> Axes:
    """What a loop over the parameters sees, and what reaches the first timestep, against the recurrent gain."""
    ax = figure.add_subplot()
    for what, color, style in (("weight", BLUE, "-"), ("first_input", RED, "--")):
        curve = result.curve(what)
        label = say(f"detection.{what}")
        ax.plot(list(curve), list(curve.values()), color=color, linestyle=style, linewidth=2, label=label)
    fired = [one for one in result.seen if one.fires]
    ax.plot(
        [one.gain for one in fired], [one.weight for one in fired], color=BLUE, marker="o", markerfacecolor="none",
        linestyle="none", label=say("detection.fires"),
    )  # fmt: skip
    ax.axhline(100, color=COLORS["toy"], linestyle=":", label=say("explosion.growth.limit"))
    log_axis(ax, say("detection.norm"))
    ax.set_xlabel(say("detection.gain"))
    ax.legend(loc="lower right")
    return ax
