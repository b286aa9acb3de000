"""What options cost: each against the plain layer per unit of work, other dtypes against float32, and growth with T.

    python benchmarks/bench_options.py
    python benchmarks/bench_options.py --cells lstm --json options.json

A figure of 1.05 says: 5 % more time per real timestep, layer and direction than one plain layer of the same sizes takes
in the same mode. Training records the norms in all of them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _problems import PEERS, settle
from _timing import Timing, interleave, machine
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import seqgrad as sg

N, T, H = 32, 200, 128
STEPS = (100, 1000, 10000)  # for growth with T, at N = 8
Call = Callable[[], object]


def call_of(layer: Any, x: Tensor, mode: str, lengths: Tensor | None = None, sizes: Tensor | None = None) -> Call:
    """One inference, or one recorded training step, of ``layer`` on ``x [T, N, I]``, or ``[S, I]`` with batch sizes."""

    def output() -> Tensor:
        out = layer(
            x if sizes is None else PackedSequence(x, sizes), **{} if lengths is None else {"lengths": lengths}
        )[0]
        return out.data if isinstance(out, PackedSequence) else out

    def infer() -> None:
        with torch.inference_mode():
            output()

    def train() -> None:
        with sg.record(layer):
            output().sum().backward()
        x.grad = None
        layer.zero_grad(set_to_none=True)

    if mode == "train":
        x.requires_grad_()
    return infer if mode == "infer" else train


def variants(cell: str, mode: str) -> dict[str, tuple[Call, float]]:
    """By name: a call, and how many times the work of the plain layer it does."""
    kind: Any = PEERS[cell][1]
    x = torch.randn(T, N, H)
    lengths = torch.linspace(T, T // 10, N).long()
    real = float(lengths.sum()) / (N * T)
    packed = pack_padded_sequence(x, lengths)
    layer = kind(H, H)
    # The second layer of a bidirectional stack reads both directions; one layer keeps the work of a direction plain.
    return {
        "plain": (call_of(layer, x.clone(), mode), 1.0),
        "2 layers": (call_of(kind(H, H, 2), x.clone(), mode), 2.0),
        "bidirectional": (call_of(kind(H, H, bidirectional=True), x.clone(), mode), 2.0),
        "lengths": (call_of(layer, x.clone(), mode, lengths), real),
        "PackedSequence": (call_of(layer, packed.data, mode, sizes=packed.batch_sizes), real),
        "state_clip": (call_of(kind(H, H, state_clip=sg.clip.Norm(1.0)), x.clone(), mode), 1.0),
        "truncate": (call_of(kind(H, H, truncate=20), x.clone(), mode), 1.0),
        "bfloat16": (call_of(kind(H, H).bfloat16(), x.bfloat16(), mode), 1.0),
    }


def options(cell: str, mode: str, seconds: float) -> dict[str, float]:
    """By name: time per unit of work over that of the plain layer."""
    problems = variants(cell, mode)
    timings = interleave({name: call for name, (call, _) in problems.items()}, seconds=seconds)
    plain = timings["plain"].median
    return {name: timings[name].median / work / plain for name, (_, work) in problems.items() if name != "plain"}


def float64_over_torch(cell: str, mode: str, seconds: float) -> float:
    """torch.nn's time over ours, both in float64."""
    theirs, ours = (kind(H, H).double() for kind in PEERS[cell])
    x = torch.randn(T, N, H, dtype=torch.float64)

    def peer() -> None:
        if mode == "infer":
            with torch.inference_mode():
                theirs(x)
            return
        theirs(leaf)[0].sum().backward()
        leaf.grad = None
        theirs.zero_grad(set_to_none=True)

    leaf = x.clone().requires_grad_()
    timings = interleave({"torch": peer, "seqgrad": call_of(ours, x.clone(), mode)}, seconds=seconds)
    return timings["torch"].median / timings["seqgrad"].median


def growth(cell: str, seconds: float) -> dict[str, Timing]:
    """By T: a recorded training step at N = 8."""
    layer: Any = PEERS[cell][1](H, H)
    return interleave(
        {str(steps): call_of(layer, torch.randn(steps, 8, H), "train") for steps in STEPS}, seconds=seconds
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cells", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--seconds", type=float, default=3.0, help="budget per line")
    parser.add_argument("--json", type=Path, help="write all figures here")
    arguments = parser.parse_args()
    rows = []
    for cell in arguments.cells:
        for mode in ("infer", "train"):
            print(f"{cell} {mode}", file=sys.stderr)
            found = options(cell, mode, arguments.seconds)
            found["float64, torch.nn / seqgrad"] = float64_over_torch(cell, mode, arguments.seconds / 3)
            rows.append({"cell": cell, "mode": mode, **found})
            settle()
    names = list(rows[0])
    print(f"N={N}, T={T}, I=H={H}\n")
    print("\n".join(["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]))
    for row in rows:
        print("| " + " | ".join(v if isinstance(v, str) else f"{v:.2f}" for v in row.values()) + " |")
    print(
        f"\n| microseconds per timestep, training | {' | '.join(f'T={steps}' for steps in STEPS)} |\n"
        + "|---" * 4
        + "|"
    )
    grown = {cell: growth(cell, arguments.seconds) for cell in arguments.cells}
    for cell, timings in grown.items():
        print(f"| {cell} | " + " | ".join(f"{timings[str(s)].median / s * 1e6:.2f}" for s in STEPS) + " |")
    if arguments.json:
        times = {cell: {steps: t._asdict() for steps, t in timings.items()} for cell, timings in grown.items()}
        result = {"machine": machine(), "options": rows, "growth": times}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
