"""seqgrad against torch.nn, layer by layer: a Markdown table, and JSON that says on what it was measured.

    python benchmarks/bench_layers.py --quick
    python benchmarks/bench_layers.py --cells gru lstm --threads 1 --json results.json

A ratio above 1 means that seqgrad is faster. Training is one forward and one backward with all gradients, the norms of
every timestep recorded; the last column is what recording costs over not recording.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch
from _problems import GRID, MODES, PEERS, QUICK, Shape, rivals, settle
from _timing import Timing, geometric_mean, interleave, machine

from seqgrad import build_info


def measure(cell: str, shape: Shape, mode: str, seconds: float) -> dict[str, Any]:
    """One row of the result: the timings, the ratio torch / ours (recording, in train mode), and recording / plain."""
    timings = interleave(rivals(cell, shape, mode), seconds=seconds)
    ours = timings.get("recording", timings["seqgrad"])
    return {
        "cell": cell,
        "mode": mode,
        "shape": {"N": shape.N, "T": shape.T, "I": shape.I, "H": shape.H, "ragged": shape.ragged},
        "timings": {name: timing._asdict() for name, timing in timings.items()},
        "ratio": timings["torch"].median / ours.median,
        "recording_cost": ours.median / timings["seqgrad"].median - 1 if mode == "train" else None,
    }


def _milliseconds(timing: Timing) -> str:
    return f"{timing.median * 1e3:.3g} ({timing.low * 1e3:.3g}-{timing.high * 1e3:.3g})"


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: one line per problem, then geometric mean and worst ratio per cell and mode."""
    lines = [
        "| cell | mode | N,T,I,H | torch.nn, ms | seqgrad, ms | ratio | recording |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        timings = {name: Timing(**values) for name, values in row["timings"].items()}
        ours = timings.get("recording", timings["seqgrad"])
        cost = "" if row["recording_cost"] is None else f"{row['recording_cost']:+.1%}"
        lines.append(
            f"| {row['cell']} | {row['mode']} | {Shape(**row['shape'])} | {_milliseconds(timings['torch'])} "
            f"| {_milliseconds(ours)} | {row['ratio']:.2f} | {cost} |"
        )
    lines += ["", "| cell | mode | geometric mean | worst | at N,T,I,H |", "|---|---|---|---|---|"]
    for cell in PEERS:
        for mode in MODES:
            group = [row for row in rows if (row["cell"], row["mode"]) == (cell, mode)]
            if group:
                worst = min(group, key=lambda row: float(row["ratio"]))
                mean = geometric_mean(row["ratio"] for row in group)
                lines.append(f"| {cell} | {mode} | {mean:.2f} | {worst['ratio']:.2f} | {Shape(**worst['shape'])} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table to stdout and progress to stderr."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cells", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--quick", action="store_true", help="the smaller half of the shapes, a third of the time each")
    parser.add_argument("--threads", type=int, help="threads of torch and seqgrad alike (default: torch's)")
    parser.add_argument("--seconds", type=float, help="budget per problem (default: 2, quick: 0.6)")
    parser.add_argument("--json", type=Path, help="write all timings here")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    seconds = arguments.seconds or (0.6 if arguments.quick else 2.0)

    problems = [
        (c, s, m) for c in arguments.cells for s in (QUICK if arguments.quick else GRID) for m in arguments.modes
    ]
    rows = []
    for number, (cell, shape, mode) in enumerate(problems, 1):
        print(f"[{number}/{len(problems)}] {cell} {mode} {shape}", file=sys.stderr)
        rows.append(measure(cell, shape, mode, seconds))
        settle()
    facts = machine()
    print(f"{facts['processor']}, {facts['threads']} threads, torch {facts['torch']}, commit {facts['commit']}\n")
    print(table(rows))
    if arguments.json:
        result = {"machine": facts, "build": build_info()._asdict(), "rows": rows}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(f"\nAll timings: {arguments.json}", file=sys.stderr)


if __name__ == "__main__":
    main()
