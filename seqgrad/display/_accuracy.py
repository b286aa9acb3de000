"""Accuracy against the length of the sequences: trained networks, a dot per seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from seqgrad.display._text import words
from seqgrad.display._theme import GREY, PALETTE, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = ("o", "s", "^", "D", "v", "P")


class AccuracyVsLengthDisplay:
    """Accuracy of trained networks against sequence length: a dot per seed, the mean as a bar, successes counted.

    Seeds often learn all or nothing, so that a mean alone describes no network: the dots show them, and above each
    group stands how many have reached ``learnt``.

    Args:
        runs: per network its accuracies by length, one per seed: ``{"RNN": {10: [0.98, 0.99], 50: [0.5, 0.51]}}``.
            A network need not have every length.
        learnt: from which accuracy on a seed counts as a success.
        chance: accuracy of guessing, drawn as a dotted line.
        lang: language of the labels, ``"en"`` or ``"es"``.

    Attributes:
        ax_: the axes drawn on.
        figure_: its figure.

    Raises:
        ImportError: on ``plot``, when matplotlib is missing; ``pip install 'seqgrad[plot]'``.
        ValueError: no accuracies, or some that are no shares of 1.

    Example:
        >>> from seqgrad.display import AccuracyVsLengthDisplay
        >>> display = AccuracyVsLengthDisplay({"RNN": {10: [0.98, 0.99], 50: [0.5, 0.51]}}).plot()
        >>> [text.get_text() for text in display.ax_.texts]
        ['2/2', '0/2']
    """

    ax_: Axes
    figure_: Figure

    def __init__(
        self, runs: Mapping[str, Mapping[int, Sequence[float]]], *, learnt: float = 0.9, chance: float = 0.5,
        lang: str = "en",
    ) -> None:  # fmt: skip
        if not any(values for by_length in runs.values() for values in by_length.values()):
            raise ValueError("runs must hold accuracies: {label: {length: [one per seed]}}, got none")
        for label, by_length in runs.items():
            for length, values in by_length.items():
                if not all(0 <= value <= 1 for value in values):
                    raise ValueError(f"accuracies must lie between 0 and 1; {label!r} at length {length} has {values}")
        self.runs, self.learnt, self.chance, self._text = runs, learnt, chance, words(lang)

    def plot(
        self, ax: Axes | None = None, *, looks: Sequence[tuple[str, str]] | None = None, theme: str | None = None
    ) -> AccuracyVsLengthDisplay:
        """Draw on ``ax``, or on a new figure in ``theme``; ``looks`` are (colour, marker) pairs, one per network."""
        lengths = sorted({length for by_length in self.runs.values() for length in by_length})
        width = 0.8 / len(self.runs)
        with canvas(ax, theme) as ax:
            self.ax_, self.figure_ = ax, ax.get_figure(root=True)  # type: ignore[assignment]
            for k, (label, by_length) in enumerate(self.runs.items()):
                color, marker = looks[k] if looks else (PALETTE[k % len(PALETTE)], MARKERS[k % len(MARKERS)])
                ax.plot([], [], marker=marker, color=color, linestyle="none", label=label)
                for x, length in enumerate(lengths):
                    if by_length.get(length):
                        middle = x + (k - (len(self.runs) - 1) / 2) * width
                        self._group(middle, width, by_length[length], color, marker)
            ax.axhline(self.chance, color=GREY, linestyle=":", label=self._text["chance"])
            ax.set_xticks(range(len(lengths)), [str(length) for length in lengths])
            ax.set_xlabel(self._text["length"])
            ax.set_ylabel(self._text["accuracy"])
            ax.set_xlim(-0.55, len(lengths) - 0.45)
            ax.set_ylim(min(0.4, self.chance - 0.1), 1.08)
            ax.grid(True, axis="y", linewidth=0.6, alpha=0.6)
            self.figure_.legend(loc="outside lower center", ncols=2)
        return self

    def _group(self, middle: float, width: float, values: Sequence[float], color: str, marker: str) -> None:
        shift = [(seed / max(1, len(values) - 1) - 0.5) * width * 0.6 for seed in range(len(values))]
        self.ax_.plot(
            [middle + s for s in shift], list(values), marker=marker, markersize=5, alpha=0.75, color=color,
            linestyle="none", markeredgewidth=0,
        )  # fmt: skip
        mean = sum(values) / len(values)
        self.ax_.plot([middle - width * 0.4, middle + width * 0.4], [mean, mean], color=color, linewidth=2)
        won = sum(value >= self.learnt for value in values)
        self.ax_.annotate(f"{won}/{len(values)}", (middle, 1.03), ha="center", fontsize=8.5, color=color)
