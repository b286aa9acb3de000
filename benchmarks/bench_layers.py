"""seqgrad against torch.nn and what else there is, layer by layer: a Markdown table, and JSON that says on what.

    python benchmarks/bench_layers.py --quick
    python benchmarks/bench_layers.py --cells gru lstm --threads 1 --json results.json
    python benchmarks/bench_layers.py --peers loop jax onnxruntime --ceilings
    python benchmarks/bench_layers.py --dtype bfloat16

A ratio above 1 means that seqgrad is faster. Training is one forward and one backward with all gradients, the norms of
every timestep recorded on our side; "recording" is what that costs over not recording. "best" is the fastest peer.
"ceiling" is the share of what the processor can do that our layer reaches, see _ceilings.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import _ceilings
import _peers
import torch
from _problems import MODES, PEERS, rivals, settle
from _shapes import GRID, QUICK, Shape
from _timing import Timing, geometric_mean, interleave, machine

from seqgrad import build_info

OURS = ("seqgrad", "recording")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def measure(
    cell: str,
    shape: Shape,
    mode: str,
    seconds: float,
    peers: Sequence[str] = (),
    ceilings: bool = False,
    dtype: torch.dtype = torch.float32,
) -> dict[str, Any]:
    """One row of the result: the timings, peer / ours by name (recording, in train mode), and recording / plain."""
    others = [name for name in peers if _peers.available(name, mode, cell)]
    timings = interleave(rivals(cell, shape, mode, dtype=dtype, peers=others), seconds=seconds)
    ours = timings.get("recording", timings["seqgrad"])
    ratios = {name: timing.median / ours.median for name, timing in timings.items() if name not in OURS}
    best = min(ratios, key=lambda name: ratios[name])
    row = {
        "cell": cell,
        "mode": mode,
        "shape": {"N": shape.N, "T": shape.T, "I": shape.I, "H": shape.H, "ragged": shape.ragged},
        "timings": {name: timing._asdict() for name, timing in timings.items()},
        "ratio": ratios["torch"],
        "ratios": ratios,
        "best": best,
        "recording_cost": ours.median / timings["seqgrad"].median - 1 if mode == "train" else None,
    }
    if ceilings:
        kind, share = _ceilings.share(cell, shape, mode, ours.median, torch.get_num_threads())
        row["ceiling"] = {"kind": kind, "share": share}
    return row


def _milliseconds(timing: Timing) -> str:
    return f"{timing.median * 1e3:.3g} ({timing.low * 1e3:.3g}-{timing.high * 1e3:.3g})"


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: one line per problem, then geometric mean and worst ratio per cell, mode and peer."""
    lines = [
        "| cell | mode | N,T,I,H | torch.nn, ms | seqgrad, ms | ratio | best peer | ceiling | recording |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        best = f"{row['best']} {row['ratios'][row['best']]:.2f}"
        timings = {name: Timing(**values) for name, values in row["timings"].items()}
        ours = timings.get("recording", timings["seqgrad"])
        cost = "" if row["recording_cost"] is None else f"{row['recording_cost']:+.1%}"
        ceiling = f"{row['ceiling']['share']:.0%} {row['ceiling']['kind']}" if "ceiling" in row else ""
        lines.append(
            f"| {row['cell']} | {row['mode']} | {Shape(**row['shape'])} | {_milliseconds(timings['torch'])} "
            f"| {_milliseconds(ours)} | {row['ratio']:.2f} | {best} | {ceiling} | {cost} |"
        )
    lines += ["", "| cell | mode | against | geometric mean | worst | at N,T,I,H |", "|---|---|---|---|---|---|"]
    for cell in PEERS:
        for mode in MODES:
            group = [row for row in rows if (row["cell"], row["mode"]) == (cell, mode)]
            lines += [_summary(cell, mode, peer, group) for peer in _in_order(group)]
    return "\n".join(lines)


def _in_order(group: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in group for name in row["ratios"]))


def _summary(cell: str, mode: str, peer: str, group: list[dict[str, Any]]) -> str:
    rows = [row for row in group if peer in row["ratios"]]
    worst = min(rows, key=lambda row: float(row["ratios"][peer]))
    mean = geometric_mean(row["ratios"][peer] for row in rows)
    return f"| {cell} | {mode} | {peer} | {mean:.2f} | {worst['ratios'][peer]:.2f} | {Shape(**worst['shape'])} |"


def main() -> None:
    """Measure, print the table to stdout and progress to stderr."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cells", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--peers", nargs="+", choices=_peers.NAMES, default=[], help="besides torch.nn")
    parser.add_argument("--ceilings", action="store_true", help="measure the machine's, and our share of them")
    parser.add_argument("--quick", action="store_true", help="the smaller half of the shapes, a third of the time each")
    parser.add_argument("--threads", type=int, help="threads of all rivals, and cores they are held to (default: all)")
    parser.add_argument("--seconds", type=float, help="budget per problem (default: 2, quick: 0.6)")
    parser.add_argument("--json", type=Path, help="write all timings here")
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="of layers and data (default: float32)")
    arguments = parser.parse_args()
    if arguments.dtype != "float32" and (arguments.peers or arguments.ceilings):
        parser.error("--peers and --ceilings are for --dtype float32: leave them out")
    if arguments.threads:
        _peers.keep_to(arguments.threads)
    seconds = arguments.seconds or (0.6 if arguments.quick else 2.0)

    problems = [
        (c, s, m) for c in arguments.cells for s in (QUICK if arguments.quick else GRID) for m in arguments.modes
    ]
    rows = []
    for number, (cell, shape, mode) in enumerate(problems, 1):
        print(f"[{number}/{len(problems)}] {cell} {mode} {shape}", file=sys.stderr)
        rows.append(measure(cell, shape, mode, seconds, arguments.peers, arguments.ceilings, DTYPES[arguments.dtype]))
        settle()
    facts = machine()
    facts["dtype"] = arguments.dtype
    print(
        f"{facts['processor']}, {facts['threads']} threads, {facts['dtype']}, torch {facts['torch']}, "
        f"commit {facts['commit']}\n"
    )
    print(table(rows))
    if arguments.json:
        result = {"machine": facts, "build": build_info()._asdict(), "rows": rows}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(f"\nAll timings: {arguments.json}", file=sys.stderr)


if __name__ == "__main__":
    main()
