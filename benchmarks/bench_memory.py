"""Peak memory of one training step, seqgrad against torch.nn: a Markdown table.

    python benchmarks/bench_memory.py
    python benchmarks/bench_memory.py --cells gru --json memory.json

Each figure is what the resident memory of a fresh process rises to above what it held with the layer and the data made
and both sides' code loaded, in one forward and backward with all gradients; ours records the norms.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from _problems import PEERS, rivals
from _shapes import Shape
from _timing import machine

SHAPES = (Shape(32, 500, 256, 256), Shape(64, 500, 128, 128), Shape(64, 100, 512, 512), Shape(64, 500, 128, 128, True))
SMALL = Shape(2, 3, 4, 8)
_STATUS = Path("/proc/self/status")


def _peak() -> int:
    """Largest resident size of this process so far, in KiB."""
    line = next(line for line in _STATUS.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1])


def child(cell: str, shape: Shape, name: str) -> int:
    """KiB that one step adds to the peak of this process, which should be fresh."""
    torch.set_num_threads(2)
    for call in rivals(cell, SMALL, "train").values():  # code, pools and threads are there before it counts
        call()
    step = rivals(cell, shape, "train")[name]
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak counts from here
    before = _peak()
    step()
    return _peak() - before


def measure(cell: str, shape: Shape) -> dict[str, Any]:
    """One row: MiB of torch.nn and of ours, each in a process of its own."""
    facts = [cell, str(shape.N), str(shape.T), str(shape.I), str(shape.H), str(int(shape.ragged))]
    sizes = {}
    for name in ("torch", "recording"):
        command = [sys.executable, __file__, "--child", name, *facts]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        sizes[name] = int(done.stdout) / 1024
    return {"cell": cell, "shape": str(shape), **sizes, "ratio": sizes["recording"] / sizes["torch"]}


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown, a line per problem."""
    lines = ["| cell | N,T,I,H | torch.nn, MiB | seqgrad, MiB | seqgrad / torch.nn |", "|---|---|---|---|---|"]
    for row in rows:
        sizes = f"{row['torch']:.0f} | {row['recording']:.0f}"
        lines.append(f"| {row['cell']} | {row['shape']} | {sizes} | {row['ratio']:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cells", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--child", nargs=7, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not _STATUS.is_file():
        raise SystemExit("peak memory is read from /proc, which only Linux has")
    if arguments.child:
        name, cell, *numbers = arguments.child
        N, T, I, H, ragged = map(int, numbers)  # noqa: E741
        print(child(cell, Shape(N, T, I, H, bool(ragged)), name))
        return
    rows = []
    for cell in arguments.cells:
        for shape in SHAPES:
            print(f"{cell} {shape}", file=sys.stderr)
            rows.append(measure(cell, shape))
    print(table(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
