"""The CUDA paths on paper: FLOPs, bytes from each level, barriers and expected microseconds per time step.

    python benchmarks/roofline.py
    python benchmarks/roofline.py --device H100 --json roofline.json --markdown roofline.md

Every figure is an ESTIMATE of the cost model by which plan() chooses (csrc/cuda/cost.h, read through the extension, so
the two cannot drift apart). Nothing here is measured, and no GPU is needed. Beside it stand figures that others have
plotted for cuDNN, with their source.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch

from seqgrad import build_info
from seqgrad._devices import DEVICES, named
from seqgrad._plan import CudaPlan, cuda_plan

STEPS = 1024
CELLS = ("rnn_tanh", "gru", "lstm")
DTYPES = (torch.float16, torch.float32)
PATHS = ("block", "grid", "step")


class Size(NamedTuple):
    """A batch of N samples, H hidden units."""

    N: int
    H: int


SIZES = (Size(16, 64), Size(64, 128), Size(16, 256), Size(16, 768), Size(64, 512), Size(64, 1024))


class Peer(NamedTuple):
    """Microseconds per step that others have plotted."""

    forward: float
    both: float  # forward and backward together
    source: str


PEERS = {
    ("H100", "lstm", torch.float16, Size(16, 768)): Peer(
        2.0, 5.1, "cuDNN through torch.nn.LSTM, read off the plots of FlashRNN (Pöppel, Beck, Hochreiter, 2024)"
    )
}

HEAD = (
    *("device", "cell", "dtype", "N", "H", "pass", "path", "blocks", "MFLOP", "shared KB", "L2 KB", "HBM KB"),
    *("barriers", "floor us", "product", "pointwise", "exchange", "barrier", "us/step"),
)
NOTES = (
    f"Per time step of T = {STEPS}. **Estimates, not measurements**: csrc/cuda/cost.h has the constants and sources.",
    "A star marks the path that plan() takes for the whole pass, launch included; the others are shown where they fit.",
    "shared KB: through the shared memory of the busiest multiprocessor. L2 KB: the exchanged state (grid) or operands "
    "and weights (step) of all blocks. HBM KB: wx, out and saved values, or their counterparts of the backward.",
    "floor us: the slowest level alone, all latencies left out.",
    "block, grid: us/step is product + pointwise + exchange + barrier, or HBM where that is slower. step: pointwise, "
    "which holds the launches of both kernels, and the slower of product and HBM.",
)


def plans(device: str, cell: str, dtype: torch.dtype, size: Size, backward: bool) -> dict[str, tuple[CudaPlan, bool]]:
    """Each path that fits, and whether it is the one that plan() takes."""

    def ask(wish: str) -> CudaPlan:
        return cuda_plan(cell, dtype, T=STEPS, N=size.N, H=size.H, backward=backward, device=named(device), wish=wish)

    chosen = ask("auto").path
    asked = {path: ask(path) for path in PATHS}
    return {path: (plan, path == chosen) for path, plan in asked.items() if plan.path == path}


def rows(devices: list[str]) -> list[dict[str, Any]]:
    """One row per device, cell, dtype, size, pass and path that fits."""
    found = []
    for device in devices:
        for cell in CELLS:
            for dtype in DTYPES:
                for size in SIZES:
                    for backward in (False, True):
                        for path, (plan, chosen) in plans(device, cell, dtype, size, backward).items():
                            found.append(_row(device, cell, dtype, size, backward, path, chosen, plan))
    return found


def _row(
    device: str, cell: str, dtype: torch.dtype, size: Size, backward: bool, path: str, chosen: bool, plan: CudaPlan
) -> dict[str, Any]:
    return {
        "device": device,
        "cell": cell,
        "dtype": str(dtype).removeprefix("torch."),
        **size._asdict(),
        "T": STEPS,
        "pass": "backward" if backward else "forward",
        "path": path,
        "chosen": chosen,
        "blocks": plan.slices * plan.groups if path != "step" else 0,
        "barriers_per_step": plan.barriers / STEPS,
        "plan": {**plan._asdict(), "estimate": plan.estimate._asdict()},
    }


def versus(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The chosen paths beside what others have plotted, microseconds per step."""
    result = []
    for (device, cell, dtype, size), peer in PEERS.items():
        key = (device, cell, str(dtype).removeprefix("torch."), *size)
        ours = {
            row["pass"]: row["plan"]["estimate"]["step_us"]
            for row in found
            if row["chosen"] and (row["device"], row["cell"], row["dtype"], row["N"], row["H"]) == key
        }
        if ours:
            result.append(
                {
                    "what": f"{cell}, {key[2]}, N={size.N}, H={size.H}, {device}",
                    "estimated_forward_us": ours["forward"],
                    "estimated_both_us": ours["forward"] + ours["backward"],
                    "plotted_forward_us": peer.forward,
                    "plotted_both_us": peer.both,
                    "source": peer.source,
                }
            )
    return result


def _line(row: dict[str, Any]) -> str:
    e = row["plan"]["estimate"]
    kilobytes = (e["shared_bytes"] / 1e3, e["l2_bytes"] / 1e3, e["memory_bytes"] / 1e3)
    times = (e["floor_us"], e["product_us"], e["pointwise_us"], e["exchange_us"], e["barrier_us"], e["step_us"])
    cells = (
        *(row["device"], row["cell"], row["dtype"], row["N"], row["H"], row["pass"]),
        row["path"] + (" *" if row["chosen"] else ""),
        *(row["blocks"] or "-", f"{e['flops'] / 1e6:.3g}", *(f"{value:.0f}" for value in kilobytes)),
        *(f"{row['barriers_per_step']:.3g}", *(f"{value:.2f}" for value in times)),
    )
    return "| " + " | ".join(map(str, cells)) + " |"


def markdown(found: list[dict[str, Any]]) -> str:
    """The comparison, the table and its notes."""
    lines = ["# The CUDA paths on paper", "", *(f"- {note}" for note in NOTES), ""]
    for pair in versus(found):
        lines += [
            f"**{pair['what']}**: estimated {pair['estimated_forward_us']:.1f} us per step forward and "
            f"{pair['estimated_both_us']:.1f} forward and backward, the norms of every timestep included. Plotted "
            f"elsewhere: {pair['plotted_forward_us']} and {pair['plotted_both_us']} ({pair['source']}). Ours is an "
            "estimate of the recurrence alone; the plotted figure is a measurement of the whole layer.",
            "",
        ]
    lines += ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD), *map(_line, found)]
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    """Print or write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", nargs="+", choices=DEVICES, default=["H100", "A100"], help="default: H100 A100")
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--markdown", type=Path, help="write the table here instead of to stdout")
    given = parser.parse_args(arguments)
    found = rows(given.device)
    text = markdown(found)
    if given.markdown:
        given.markdown.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
    if given.json:
        result = {
            "measured": False,
            "build": build_info()._asdict(),
            "devices": {name: named(name)._asdict() for name in given.device},
            "versus": versus(found),
            "rows": found,
        }
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
