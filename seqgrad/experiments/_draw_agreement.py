"""Figures of the agreement experiments: a panel per language, a dot per seed, the median as a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from seqgrad.experiments._figures import COLORS, Say
from seqgrad.experiments._reader import CELLS
from seqgrad.experiments._result import median

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from seqgrad.experiments.agreement_distance import AgreementDistance

MARKERS = {"rnn": "o", "gru": "s", "lstm": "^"}
SHIFT = {"rnn": -0.22, "gru": 0.0, "lstm": 0.22}
CHANCE = {"en": 1 / 2, "es": 1 / 4}

Groups = Mapping[Any, Mapping[int, Sequence[float]]]  # arm -> x -> a value per seed


def panels(figure: Figure, languages: Sequence[str], say: Say) -> dict[str, Axes]:
    """Axes side by side with one y, titled by language."""
    row = figure.subplots(1, len(languages), sharey=True, squeeze=False)[0]
    for ax, language in zip(row, languages, strict=True):
        ax.set_title(say(f"agreement.language.{language}"), fontsize=11)
        ax.grid(True, axis="y", linewidth=0.6, alpha=0.6)
    return dict(zip(languages, row, strict=True))


def seeds(ax: Axes, cell: str, x: float, values: Sequence[float]) -> None:
    """A dot per seed at ``x``, moved aside for its cell, and the median as a short line."""
    x, color = x + SHIFT[cell], COLORS[cell]
    spread = [x + 0.12 * (k / max(1, len(values) - 1) - 0.5) for k in range(len(values))]
    ax.plot(
        spread, values, linestyle="none", marker=MARKERS[cell], color=color, markersize=4.5, alpha=0.75,
        markeredgewidth=0,
    )  # fmt: skip
    ax.plot([x - 0.1, x + 0.1], [median(values)] * 2, color=color, linewidth=2)


def legend(figure: Figure, cells: Sequence[str], say: Say, **line: Any) -> None:
    """The cells, below all panels."""
    from matplotlib.lines import Line2D

    handles: list[Any] = [
        Line2D([], [], marker=MARKERS[cell], color=COLORS[cell], label=say(f"network.{cell}"),
               linestyle=line.get("linestyle", "none"))
        for cell in cells
    ]  # fmt: skip
    handles += [Line2D([], [], color=COLORS["toy"], linestyle=":", label=label) for label in line.get("grey", ())]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))


def depths(figure: Figure, groups: Groups, say: Say, *, trained: int) -> Any:
    """Accuracy against depth; what was never trained on lies on shaded ground."""
    axes = _accuracy(figure, groups, say, say("agreement.axis.depth"))
    for language, ax in axes.items():
        for arm, values in groups.items():
            for x, one in values.items():
                if arm.language == language:
                    seeds(ax, arm.cell, x, one)
        ax.axvspan(trained + 0.5, trained + 1.5, color=COLORS["toy"], alpha=0.15, linewidth=0)
        ax.text(trained + 1, 1.1, say("agreement.untrained"), ha="center", va="top", fontsize=9)
        ax.set_xlim(0.5, trained + 1.5)
        ax.set_xticks(range(1, trained + 2))
    return list(axes.values())


def attractors(figure: Figure, groups: Groups, say: Say) -> Any:
    """Accuracy against the number of attractors, at the depth never trained on."""
    axes = _accuracy(figure, groups, say, say("agreement.axis.attractors"))
    for language, ax in axes.items():
        for arm, values in groups.items():
            if arm.language == language:
                known = {x: one for x, one in values.items() if one}
                color = COLORS[arm.cell]
                middle = [x + SHIFT[arm.cell] for x in known]
                ax.plot(middle, [median(one) for one in known.values()], color=color, linewidth=1.2, alpha=0.7)
                for x, one in known.items():
                    seeds(ax, arm.cell, x, one)
        ax.set_xticks(sorted({x for values in groups.values() for x in values}))
    return list(axes.values())


def _accuracy(figure: Figure, groups: Groups, say: Say, label: str) -> dict[str, Axes]:
    """Panels with accuracy on y and chance marked."""
    axes = panels(figure, list(dict.fromkeys(arm.language for arm in groups)), say)
    for language, ax in axes.items():
        ax.axhline(CHANCE[language], color=COLORS["toy"], linestyle=":")
        ax.set_ylim(-0.04, 1.12)
        ax.set_xlabel(label)
    next(iter(axes.values())).set_ylabel(say("axis.accuracy"))
    legend(figure, list(dict.fromkeys(arm.cell for arm in groups)), say, grey=(say("dependency.chance"),))
    return axes


def waits(figure: Figure, result: AgreementDistance, say: Say) -> Any:
    """Training steps against the number of modifiers; crosses on the line of the budget never got there."""
    languages = list(dict.fromkeys(net.language for net in result.networks))
    counts = sorted({net.modifiers for net in result.networks})
    axes = panels(figure, languages, say)
    for language, ax in axes.items():
        for cell in CELLS:
            groups = [result.chosen(language=language, cell=cell, modifiers=count) for count in counts]
            known = [(x, result.waits(nets)) for x, nets in enumerate(groups) if nets]
            ax.plot([x + SHIFT[cell] for x, _ in known], [median(values) for _, values in known], color=COLORS[cell],
                    linewidth=1, alpha=0.6)  # fmt: skip
            for x, values in known:
                seeds(ax, cell, x, values)
        ax.set_xticks(range(len(counts)), [str(count) for count in counts])
        ax.set_xlabel(say("agreement.axis.modifiers"))
    return _budget(figure, axes, result, say)


def ratios(figure: Figure, result: AgreementDistance, say: Say) -> Any:
    """Training steps against the log ratio of gradients at the start, a dot per network."""
    axes = panels(figure, list(dict.fromkeys(net.language for net in result.networks)), say)
    for language, ax in axes.items():
        for cell in CELLS:
            nets = result.chosen(language=language, cell=cell)
            ax.plot(
                [net.log_ratio for net in nets], result.waits(nets), linestyle="none", marker=MARKERS[cell],
                color=COLORS[cell], alpha=0.8, markeredgewidth=0,
            )  # fmt: skip
        ax.set_xlabel(say("agreement.axis.ratio"))
        ax.set_xlim(0, 1.05 * min(net.log_ratio for net in result.networks))
    return _budget(figure, axes, result, say)


def _budget(figure: Figure, axes: dict[str, Axes], result: AgreementDistance, say: Say) -> Any:
    """The common y: log of training steps, with the budget marked."""
    for ax in axes.values():
        ax.set_yscale("log")
        ax.axhline(result.budget, color=COLORS["toy"], linestyle=":")
    next(iter(axes.values())).set_ylabel(say("agreement.axis.steps"))
    cells = [cell for cell in CELLS if result.chosen(cell=cell)]
    legend(figure, cells, say, grey=(say("agreement.budget"),))
    return list(axes.values())
