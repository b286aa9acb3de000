"""The table and the figure of a benchmark, from the JSON that bench_layers.py writes.

    python benchmarks/report.py bench.json --figure bench.svg

Prints geometric mean and worst ratio per cell, mode and peer as Markdown. The figure shows every problem: a point per
shape, right of the line where seqgrad is faster than torch.nn.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from _shapes import Shape
from _timing import geometric_mean

NAMES = {"rnn": "RNN", "residual": "ResidualRNN", "gru": "GRU", "lstm": "LSTM"}
MODES = {"infer": ("inference", "#0072b2", "o"), "train": ("training, norms recorded", "#d55e00", "s")}


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: a line per cell and peer, geometric mean and worst of both modes."""
    lines = ["| | against | inference: geometric mean, worst | training: geometric mean, worst |", "|---|---|---|---|"]
    peers = list(dict.fromkeys(name for row in rows for name in row["ratios"]))
    for cell in dict.fromkeys(row["cell"] for row in rows):
        for peer in peers:
            cells = []
            for mode in MODES:
                ratios = [
                    r["ratios"][peer] for r in rows if (r["cell"], r["mode"]) == (cell, mode) and peer in r["ratios"]
                ]
                cells.append(f"{geometric_mean(ratios):.1f}, {min(ratios):.2f}" if ratios else "")
            if not any(cells):
                continue
            lines.append(f"| {NAMES[cell]} | {peer} | {' | '.join(cells)} |")
    return "\n".join(lines)


def figure(rows: list[dict[str, Any]], title: str, path: Path) -> None:
    """One panel per cell, a line per shape, log axis of torch.nn's time over ours."""
    from matplotlib.figure import Figure

    cells = list(dict.fromkeys(row["cell"] for row in rows))
    shapes = list(dict.fromkeys(str(Shape(**row["shape"])) for row in rows))
    drawing = Figure(figsize=(10, 0.26 * len(shapes) + 1.3), layout="constrained")
    panels = drawing.subplots(1, len(cells), sharex=True, sharey=True, squeeze=False)[0]
    for axes, cell in zip(panels, cells, strict=True):
        for mode, (label, colour, marker) in MODES.items():
            found = [row for row in rows if (row["cell"], row["mode"]) == (cell, mode)]
            places = [shapes.index(str(Shape(**row["shape"]))) for row in found]
            axes.plot([row["ratio"] for row in found], places, marker, color=colour, label=label, markersize=5)
        axes.axvline(1, color="0.4", linewidth=1)
        axes.set(title=NAMES[cell], xscale="log", xlabel="torch.nn / seqgrad", yticks=range(len(shapes)))
        axes.set_yticklabels(shapes, fontsize=8)
        axes.set_xticks([0.5, 1, 2, 5, 10, 20, 50], ["½", "1", "2", "5", "10", "20", "50"])
        axes.grid(alpha=0.25)
    panels[0].set_ylabel("N, T, I, H")
    panels[0].invert_yaxis()
    drawing.legend(*panels[-1].get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=2)
    drawing.suptitle(title, fontsize=10)
    drawing.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main() -> None:
    """Read, print, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("json", type=Path, help="of bench_layers.py")
    parser.add_argument("--figure", type=Path, help="draw here; the ending chooses the format")
    arguments = parser.parse_args()
    result = json.loads(arguments.json.read_text(encoding="utf-8"))
    print(table(result["rows"]))
    if arguments.figure:
        facts = result["machine"]
        where = f"{facts['processor']}, {facts['threads']} threads, float32, torch {facts['torch']}"
        title = f"{where}; above 1: seqgrad is faster"
        figure(result["rows"], title, arguments.figure)


if __name__ == "__main__":
    main()
