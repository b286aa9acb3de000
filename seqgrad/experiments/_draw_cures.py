"""The comparison of cures as fields of numbers: a panel per task, cures by cells, shaded from bad to good."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from seqgrad.display._theme import sequence
from seqgrad.experiments._cures_plan import CELLS, CURES, TASKS
from seqgrad.experiments._cures_table import NOT_APPLICABLE, horizon, outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    from seqgrad.experiments.cures import Cures, Entry

Say = Callable[[str], str]
ACROSS = 2


def fields(figure: Figure, result: Cures, kind: str, say: Say) -> list[Axes]:
    """``outcome`` or ``horizon`` of every task; a dash where a cure does not apply."""
    cells = [cell for cell in CELLS if any(line[0] == cell for line in result.lines)]
    cures = [cure for cure in CURES if any(line[1] == cure for line in result.lines)]
    down = math.ceil(len(result.tasks) / ACROSS)
    across = min(ACROSS, len(result.tasks))
    figure.set_size_inches(2.0 + (0.4 + 0.72 * len(cells)) * across, (0.75 + 0.29 * len(cures)) * down)
    grid = figure.subplots(down, across, squeeze=False, sharey=True)
    panels: list[Axes] = list(grid.flat)
    for ax in panels[len(result.tasks) :]:
        ax.remove()
    panels = panels[: len(result.tasks)]
    for ax, task in zip(panels, result.tasks, strict=True):
        _field(ax, result, task, cells, cures, kind, say)
    return panels


def _field(ax: Axes, result: Cures, task: str, cells: list[str], cures: list[str], kind: str, say: Say) -> None:
    shades = sequence()
    entries = {(cell, cure): result.entry(task, cell, cure) for cell in cells for cure in cures}
    goods = {key: _good(task, entry, kind, list(entries.values())) for key, entry in entries.items() if entry}
    for (cell, cure), entry in entries.items():
        x, y = cells.index(cell), cures.index(cure)
        if entry is None:
            ax.text(x, y, NOT_APPLICABLE, ha="center", va="center", fontsize=8.5, alpha=0.5)
            continue
        color = shades(goods[cell, cure])
        ax.add_patch(_tile(x, y, color))
        text = outcome(task, entry, say("lang"), spread=False) if kind == "outcome" else horizon(entry)
        light = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]
        ax.text(x, y, text, ha="center", va="center", fontsize=8.5, color="#000000" if light > 0.5 else "#ffffff")
    ax.set_xlim(-0.5, len(cells) - 0.5)
    ax.set_ylim(len(cures) - 0.5, -0.5)
    ax.set_xticks(range(len(cells)), [say(f"cures.cell.{cell}") for cell in cells], fontsize=9.5)
    ax.set_yticks(range(len(cures)), [say(f"cures.{cure}") for cure in cures], fontsize=9.5)
    ax.tick_params(length=0)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
    ax.set_title(say(f"cures.{task}.{kind}"), fontsize=10, loc="left")


def _tile(x: int, y: int, color: tuple[float, ...]) -> Patch:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, facecolor=color, edgecolor="none")


def _good(task: str, entry: Entry, kind: str, among: list[Entry | None]) -> float:
    """A place 0..1 on the scale of shades: 1 is best."""
    if kind == "horizon":
        return entry.horizon_after / (TASKS[task].steps - 1) if math.isfinite(entry.horizon_after) else 0.0
    if TASKS[task].measure != "bits":
        return max(0.0, min(1.0, entry.outcome))
    finite = [one.outcome for one in among if one is not None and math.isfinite(one.outcome)]
    best = min(finite)
    return max(0.0, 1 - (entry.outcome - best) / best) if math.isfinite(entry.outcome) else 0.0
