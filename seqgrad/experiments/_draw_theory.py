"""Figures of the experiments that stand beside a theory: closed forms as lines, measurements as marks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seqgrad.experiments._figures import BLUE, COLORS, GREEN, ORANGE, PINK, RED, Say, log_axis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from seqgrad.experiments.curse_of_memory import CurseOfMemory
    from seqgrad.experiments.lyapunov import LyapunovSpectrum
    from seqgrad.experiments.mean_field import MeanField

GREY = COLORS["toy"]


def gains(figure: Figure, result: MeanField, say: Say) -> Any:
    """Growth of the squared norm per step against the gain."""
    from seqgrad.experiments.mean_field import growth_law

    ax = figure.add_subplot()
    low, high = min(result.growth), max(result.growth)
    fine = [low + (high - low) * k / 40 for k in range(41)]
    ax.plot(fine, [growth_law(gain) for gain in fine], color=GREY, linewidth=2, label=say("field.theory"))
    points = [(gain, value) for gain, values in result.growth.items() for value in values]
    ax.plot(
        *zip(*points, strict=True), marker="o", linestyle="none", color=BLUE, alpha=0.7, label=say("field.measured")
    )
    ax.axhline(1, color=RED, linestyle=":", label=say("field.neither"))
    ax.set_ylabel(say("field.axis.growth"))
    ax.grid(True, linewidth=0.6, alpha=0.6)
    ax.set_xlabel(say("field.axis.gain"))
    ax.legend()
    return ax


def starts(figure: Figure, result: MeanField, say: Say) -> Any:
    """Factor of the norm per step back of torch's initialisations, beside two theories."""
    from seqgrad.experiments.mean_field import STARTS

    ax = figure.add_subplot()
    names = list(result.starts)
    for k, name in enumerate(names):
        values, start = result.starts[name], STARTS[name]
        spread = [k + 0.3 * (i / max(1, len(values) - 1) - 0.5) for i in range(len(values))]
        first = k == 0
        ax.plot(
            [k - 0.3, k + 0.3], [start.tied] * 2, color=GREEN, linewidth=2, label=say("field.tied") if first else None
        )
        ax.plot(
            [k - 0.3, k + 0.3], [start.untied] * 2, color=ORANGE, linewidth=2, linestyle="--",
            label=say("field.untied") if first else None,
        )  # fmt: skip
        ax.plot(spread, values, "o", color=BLUE, alpha=0.8, label=say("field.measured") if first else None)
    ax.set_xticks(range(len(names)), [say(f"field.start.{name}") for name in names])
    ax.set_ylim(0.45, 1)
    ax.set_ylabel(say("field.axis.factor"))
    ax.grid(True, axis="y", linewidth=0.6, alpha=0.6)
    ax.legend(loc="upper left")
    return ax


def exponents(figure: Figure, result: LyapunovSpectrum, say: Say) -> Any:
    """Largest exponent and growth of the recorded gradient against the gain."""
    ax = figure.add_subplot()
    exponent, growth = result.middle("exponent"), result.middle("growth")
    ax.plot(list(exponent), list(exponent.values()), color=BLUE, linewidth=1.5, label=say("lyapunov.exponent"))
    ax.plot(
        [net.gain for net in result.networks], [net.exponent for net in result.networks], "o", color=BLUE, alpha=0.5,
        markersize=4,
    )  # fmt: skip
    ax.plot(
        list(growth), list(growth.values()), linestyle="none", marker="x", markersize=10, markeredgewidth=2,
        color=ORANGE, label=say("lyapunov.growth"),
    )  # fmt: skip
    ax.axhline(0, color=GREY, linestyle=":")
    ax.set_xlabel(say("field.axis.gain"))
    ax.set_ylabel(say("lyapunov.axis.rate"))
    ax.grid(True, linewidth=0.6, alpha=0.6)
    ax.legend(loc="lower right")
    return ax


def spectra(figure: Figure, result: LyapunovSpectrum, say: Say) -> Any:
    """The two spectra with a closed form."""
    ax = figure.add_subplot()
    looks = (("linear", BLUE, "o", result.linear), ("gaussian", ORANGE, "s", result.gaussian))
    for name, color, marker, (measured, exact) in looks:
        index = range(1, len(exact) + 1)
        ax.plot(index, exact, color=color, linewidth=1.5, alpha=0.8)
        ax.plot(
            index, measured, linestyle="none", marker=marker, color=color, markersize=8, label=say(f"lyapunov.{name}")
        )
    ax.axhline(0, color=GREY, linestyle=":")
    ax.set_xlabel(say("lyapunov.axis.index"))
    ax.set_ylabel(say("lyapunov.axis.rate"))
    ax.grid(True, linewidth=0.6, alpha=0.6)
    ax.legend(loc="lower left")
    return ax


def horizons(figure: Figure, result: LyapunovSpectrum, say: Say) -> Any:
    """The measured horizon against the one that the exponent foretells."""
    ax = figure.add_subplot()
    nets = result.foretold()
    far = max([net.predicted for net in nets] + [1.0])
    ax.plot([0, far], [0, far], color=GREY, label=say("lyapunov.equal"))
    ax.plot([net.predicted for net in nets], [net.horizon for net in nets], "o", color=BLUE, alpha=0.7)
    ax.set_xlabel(say("lyapunov.axis.predicted"))
    ax.set_ylabel(say("lyapunov.axis.horizon"))
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.grid(True, linewidth=0.6, alpha=0.6)
    ax.set_xlim(max(1.0, 0.7 * min([net.predicted for net in nets] + [far])), 1.4 * far)
    ax.legend()
    return ax


def sensitivity(figure: Figure, result: CurseOfMemory, say: Say) -> Any:
    """E[(dh/dw)^2] against how far the weight is from 1, and the largest recorded gradient."""
    from seqgrad.experiments.curse_of_memory import CORRELATIONS, sensitivity_law

    ax = figure.add_subplot()
    for correlation, color, marker in zip(CORRELATIONS, (BLUE, ORANGE), ("o", "s"), strict=True):
        chosen = result.chosen(correlation)
        gaps = [1 - one.weight for one in chosen]
        low, high = min(gaps), max(gaps)
        fine = [low * (high / low) ** (k / 60) for k in range(61)]
        ax.plot(fine, [sensitivity_law(1 - gap, correlation) for gap in fine], color=color, linewidth=1.5)
        ax.plot(
            gaps, [one.sensitivity for one in chosen], linestyle="none", marker=marker, color=color, markersize=8,
            label=say("curse.white" if correlation == 0 else "curse.correlated"),
        )  # fmt: skip
        ax.plot(gaps, [one.sampled for one in chosen], linestyle="none", marker="+", color=color, markersize=14)
    white = result.chosen()
    ax.plot(
        [1 - one.weight for one in white], [one.largest for one in white], color=GREEN, marker="^", linestyle="--",
        label=say("curse.largest"),
    )  # fmt: skip
    return _towards_one(ax, say("curse.axis.sensitivity"), say)


def cures(figure: Figure, result: CurseOfMemory, say: Say) -> Any:
    """What normalising and another parameter make of it, white inputs."""
    ax = figure.add_subplot()
    white = result.chosen()
    gaps = [1 - one.weight for one in white]
    looks = (("sensitivity", BLUE, "o"), ("normalised", PINK, "s"), ("reparametrised", GREEN, "^"))
    for name, color, marker in looks:
        values = [getattr(one, name) for one in white]
        ax.plot(gaps, values, color=color, marker=marker, linewidth=1.5, label=say(f"curse.{name}"))
    return _towards_one(ax, say("curse.axis.cures"), say)


def _towards_one(ax: Any, label: str, say: Say) -> Any:
    """x: 1 - weight on a log scale, memory growing to the right."""
    ax.set_xscale("log")
    ax.invert_xaxis()
    log_axis(ax, label)
    ax.set_xlabel(say("curse.axis.gap"))
    ax.legend(loc="upper left")
    return ax
