"""What a monitor costs: training in stretches with and without one, in turn, on one and the same model.

    python benchmarks/bench_monitor.py
    python benchmarks/bench_monitor.py --every 50 --rounds 200 --sizes small short --json results.json

A training step is forward, backward, clipping and Adam. A stretch holds one observed step and ``every - 1`` others, so
it pays for cold caches as a real training does. On the CPU processor time counts, which other jobs disturb least.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from _timing import machine
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
    "short": Size("GRU", 60, 32, 16, 48, 1),
    "brief": Size("GRU", 100, 32, 16, 48, 1),
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


class Training:
    """One model in training; its steps run with a monitor or without.

    Model and data are the same for both: two copies differ by several per cent for where they lie in memory alone.
    """

    def __init__(self, size: Size, device: str) -> None:
        torch.manual_seed(0)
        self.model = Reader(size).to(device)
        self._optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-4)
        self._x = torch.randn(size.T, size.N, size.I, device=device)
        self._y = torch.randint(10, (size.N,), device=device)
        self._device = device

    def step(self, monitor: sg.Monitor | None = None) -> None:
        """Forward, backward, clipping and Adam."""
        if monitor is None:
            self._loss().backward()
        else:
            with monitor:
                loss = self._loss()
                loss.backward()
            monitor.step(loss=loss)
        sg.clip.grad_norm_(self.model.parameters(), 1.0, nonfinite="keep")
        self._optimizer.step()
        self._optimizer.zero_grad()
        if self._device != "cpu":
            torch.cuda.synchronize()

    def _loss(self) -> torch.Tensor:
        return nn.functional.cross_entropy(self.model(self._x), self._y)

    def monitor(self, every: int, start: int = 0) -> sg.Monitor:
        """One that keeps silent and adds no observed steps of its own at the beginning."""
        return sg.Monitor(self.model, every=every, on_finding=None, first=0, log=False, start=start)


def measure(name: str, size: Size, every: int, rounds: int, device: str) -> dict[str, Any]:
    """Stretches of ``every`` steps with a monitor, with one that never observes, and without, in turn."""
    training = Training(size, device)
    rivals = {"watched": training.monitor(every), "idle": training.monitor(10**9, start=1), "plain": None}
    spent: dict[str, list[float]] = {kind: [] for kind in rivals}
    for turn in range(rounds + 2):
        order = list(rivals)[turn % 3 :] + list(rivals)[: turn % 3]  # whoever comes first finds another's data in cache
        for kind in order:
            start = time.process_time() if device == "cpu" else time.perf_counter()
            for _ in range(every):
                training.step(rivals[kind])
            end = time.process_time() if device == "cpu" else time.perf_counter()
            if turn > 1:
                spent[kind].append((end - start) / every)
    plain = statistics.median(spent["plain"])
    row: dict[str, Any] = {"name": name, **size._asdict(), "plain": plain}
    for kind in ("watched", "idle"):
        extra = [ours - theirs for ours, theirs in zip(spent[kind], spent["plain"], strict=True)]
        row[kind] = dict(zip(("low", "median", "high"), statistics.quantiles(extra, n=4), strict=True))
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--every", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=60, help="stretches of EVERY steps each way")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    print(
        "| model | T,N,I,H,L | step, ms | a step outside the schedule, us | one observed step, us | "
        f"every={options.every} |"
    )
    print("|---|---|---|---|---|---|")
    for name in options.sizes:
        size = SIZES[name]
        row = measure(name, size, options.every, options.rounds, options.device)
        rows.append(row)
        watched, idle, plain = row["watched"], row["idle"]["median"], row["plain"]
        once = (watched["median"] - idle) * options.every
        print(
            f"| {name} {size.cell} | {','.join(map(str, size[1:]))} | {plain * 1e3:.3g} | {idle * 1e6:+.1f} | "
            f"{once * 1e6:.0f} | {watched['median'] / plain:+.2%} "
            f"({watched['low'] / plain:+.2%} .. {watched['high'] / plain:+.2%}) |"
        )
        sys.stdout.flush()
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "every": options.every, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
