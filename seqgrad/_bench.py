"""A quick look at speed, for ``seqgrad bench``: seqgrad against torch.nn on this machine, a few shapes.

The whole grid, ragged batches and files to compare belong to benchmarks/ in the source tree, not to the wheel.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seqgrad._page import environment as versions
from seqgrad.nn import GRU, LSTM, RNN
from seqgrad.record import record

PAIRS: dict[str, tuple[Any, Any]] = {"rnn": (nn.RNN, RNN), "gru": (nn.GRU, GRU), "lstm": (nn.LSTM, LSTM)}
SHAPES = ((1, 100, 64, 64), (32, 100, 64, 128), (64, 100, 256, 256))  # N, T, I, H
LEAST, MOST = 5, 200  # rounds


class Problem(NamedTuple):
    """One line of the table: a cell, N samples of T timesteps, I inputs, H units; inference or training."""

    cell: str
    N: int
    T: int
    I: int  # noqa: E741 - the letter of the formulas
    H: int
    mode: str

    def __str__(self) -> str:
        return f"{self.cell} N={self.N} T={self.T} I={self.I} H={self.H} {self.mode}"


def problems(cells: Sequence[str]) -> list[Problem]:
    """Every cell at every shape, in inference and in training."""
    return [Problem(cell, *shape, mode) for cell in cells for shape in SHAPES for mode in ("infer", "train")]


def measure(problem: Problem, device: torch.device, seconds: float) -> dict[str, Any]:
    """Milliseconds per call: median and quartiles of both, and torch.nn's median over ours."""
    times = interleave(_rivals(problem, device), device, seconds)
    milliseconds = {
        name: dict(zip(("low", "median", "high"), (1e3 * q for q in statistics.quantiles(spent, n=4)), strict=True))
        for name, spent in times.items()
    }
    ratio = milliseconds["torch"]["median"] / milliseconds["seqgrad"]["median"]
    return {**problem._asdict(), "milliseconds": milliseconds, "ratio": ratio, "rounds": len(times["torch"])}


def interleave(
    rivals: Mapping[str, Callable[[], object]], device: torch.device, seconds: float
) -> dict[str, list[float]]:
    """Call the rivals in turn, so that a slow moment of the machine meets both; seconds of every call."""

    def timed(call: Callable[[], object]) -> float:
        _wait(device)
        start = time.perf_counter()
        call()
        _wait(device)
        return time.perf_counter() - start

    for call in rivals.values():
        timed(call)
    once = sum(timed(call) for call in rivals.values())
    rounds = min(max(round(seconds / max(once, 1e-9)), LEAST), MOST)
    spent: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(rounds):
        for name, call in rivals.items():
            spent[name].append(timed(call))
    return spent


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _rivals(problem: Problem, device: torch.device) -> dict[str, Callable[[], object]]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs, ours = (kind(problem.I, problem.H).to(device) for kind in PAIRS[problem.cell])
        ours.load_state_dict(theirs.state_dict())
        x = torch.randn(problem.T, problem.N, problem.I).to(device)
    if problem.mode == "infer":
        return {"torch": _infer(theirs, x), "seqgrad": _infer(ours, x)}
    x.requires_grad_()

    def recorded() -> None:
        with record(ours):
            _train(ours, x)

    return {"torch": lambda: _train(theirs, x), "seqgrad": recorded}


def _infer(module: nn.Module, x: Tensor) -> Callable[[], object]:
    def call() -> None:
        with torch.inference_mode():
            module(x)

    return call


def _train(module: nn.Module, x: Tensor) -> None:
    """Forward and backward with all gradients, that of the input too, as in a deeper model."""
    module(x)[0].sum().backward()
    x.grad = None
    module.zero_grad(set_to_none=True)


def environment(device: torch.device) -> dict[str, str]:
    """What the figures were measured on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    return {**versions(), "device": f"{device} ({name})", "threads": str(torch.get_num_threads())}


def table(rows: Sequence[Mapping[str, Any]], facts: Mapping[str, str]) -> str:
    """Text: a line per problem, medians with their quartiles, and the geometric mean of the ratios."""
    lines = [", ".join(f"{name} {value}" for name, value in facts.items()), ""]
    lines.append(f"{'cell':<5} {'mode':<6} {'N,T,I,H':<16} {'torch.nn, ms':>22} {'seqgrad, ms':>22} {'ratio':>6}")
    for row in rows:
        shape = ",".join(str(row[letter]) for letter in "NTIH")
        both = [row["milliseconds"][name] for name in ("torch", "seqgrad")]
        told = [f"{t['median']:.3g} ({t['low']:.3g}-{t['high']:.3g})" for t in both]
        lines.append(f"{row['cell']:<5} {row['mode']:<6} {shape:<16} {told[0]:>22} {told[1]:>22} {row['ratio']:>6.2f}")
    mean = statistics.geometric_mean([row["ratio"] for row in rows])
    return "\n".join([*lines, "", f"geometric mean of the ratios: {mean:.2f}; above 1 seqgrad is faster"])
