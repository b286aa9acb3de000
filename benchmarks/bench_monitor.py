"""What a monitor costs: whole training steps with and without one, interleaved in one process.

    python benchmarks/bench_monitor.py
    python benchmarks/bench_monitor.py --every 50 --seconds 20 --json results.json

A training step is forward, backward, clipping and Adam. Timed are a step without a monitor, one outside the monitor's
schedule, and one on it; the cost at ``every=k`` is what k - 1 of the second and one of the third take more than k of
the first. ``--long`` trains the same with and without, which needs minutes to tell 1 % from noise.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from _timing import interleave, machine
from torch import nn

import seqgrad as sg


class Size(NamedTuple):
    """A model and its data: ``T`` timesteps, ``N`` samples, ``I`` inputs, ``H`` units, ``L`` layers."""

    cell: str
    T: int
    N: int
    I: int  # noqa: E741 - the letter of the formulas
    H: int
    L: int


SIZES = {
    "small": Size("RNN", 50, 32, 10, 32, 1),
    "lesson": Size("GRU", 100, 32, 32, 64, 1),
    "middle": Size("LSTM", 100, 32, 128, 256, 2),
}


class Reader(nn.Module):
    """A recurrent layer and a head on its last output."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.rnn = getattr(sg, size.cell)(size.I, size.H, num_layers=size.L)
        self.head = nn.Linear(size.H, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits ``[N, 10]`` of ``x [T, N, I]``."""
        last: torch.Tensor = self.head(self.rnn(x)[0][-1])
        return last


def training(size: Size, monitor: Callable[[nn.Module], sg.Monitor] | None, device: str) -> Callable[[], None]:
    """One training step as a call."""
    torch.manual_seed(0)
    model = Reader(size).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    x = torch.randn(size.T, size.N, size.I, device=device)
    y = torch.randint(10, (size.N,), device=device)
    watch = None if monitor is None else monitor(model)

    def step() -> None:
        if watch is None:
            nn.functional.cross_entropy(model(x), y).backward()
        else:
            with watch:
                loss = nn.functional.cross_entropy(model(x), y)
                loss.backward()
            watch.step(loss=loss)
        sg.clip.grad_norm_(model.parameters(), 1.0, nonfinite="keep")
        optimizer.step()
        optimizer.zero_grad()
        if device != "cpu":
            torch.cuda.synchronize()

    return step


def _quiet(model: nn.Module, every: int) -> sg.Monitor:
    return sg.Monitor(model, every=every, on_finding=None, first=0, log=False)


def _unscheduled(model: nn.Module) -> sg.Monitor:
    return sg.Monitor(model, every=10**9, on_finding=None, first=0, log=False, start=1)


def measure(name: str, size: Size, every: int, seconds: float, device: str) -> dict[str, Any]:
    """One row of the result."""
    timings = interleave(
        {
            "plain": training(size, None, device),
            "unscheduled": training(size, _unscheduled, device),
            "scheduled": training(size, lambda model: _quiet(model, 1), device),
        },
        seconds=seconds,
        most=3000,
    )
    plain, off, on = (timings[kind].median for kind in ("plain", "unscheduled", "scheduled"))
    return {
        "name": name,
        **size._asdict(),
        "timings": {kind: timing._asdict() for kind, timing in timings.items()},
        "unscheduled_cost": off / plain - 1,
        "scheduled_cost": on / plain - 1,
        "cost": ((every - 1) * off + on) / (every * plain) - 1,
        "cost_of_scheduled": (on - plain) / (every * plain),
    }


def long_run(size: Size, every: int, rounds: int, device: str) -> float:
    """Cost from the median over rounds of whole stretches of ``every`` steps, with and without, in turn."""
    rivals = [training(size, None, device), training(size, lambda model: _quiet(model, every), device)]
    ratios = []
    for _ in range(rounds):
        spent = []
        for step in rivals:
            start = time.perf_counter()
            for _ in range(every):
                step()
            spent.append(time.perf_counter() - start)
        ratios.append(spent[1] / spent[0])
    return statistics.median(ratios) - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--every", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=15.0, help="per size")
    parser.add_argument("--long", type=int, default=0, metavar="ROUNDS", help="also train ROUNDS stretches each way")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    print("| model | T,N,I,H,L | step, ms | unscheduled | scheduled | every=50 |".replace("50", str(options.every)))
    print("|---|---|---|---|---|---|")
    for name in options.sizes:
        size = SIZES[name]
        row = measure(name, size, options.every, options.seconds, options.device)
        if options.long:
            row["long_cost"] = long_run(size, options.every, options.long, options.device)
        rows.append(row)
        shape = ",".join(map(str, size[1:]))
        step = row["timings"]["plain"]["median"] * 1e3
        extra = f" (trained: {row['long_cost']:+.2%})" if options.long else ""
        print(
            f"| {name} {size.cell} | {shape} | {step:.3g} | {row['unscheduled_cost']:+.2%} | "
            f"{row['scheduled_cost']:+.1%} | {row['cost']:+.2%}, of it {row['cost_of_scheduled']:+.2%} for the "
            f"scheduled one{extra} |"
        )
        sys.stdout.flush()
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "every": options.every, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
