"""Fair timing of a few rivals: interleaved in one process, warmed up, medians with their spread."""

from __future__ import annotations

import math
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch

_SETTLE = 0.01  # seconds of uncounted calls at the beginning of a turn
_SPINS = {"onnxruntime": 0.15}  # likewise, behind a rival whose idle threads hold the cores for longer
_BURST = 0.002  # seconds, about, of counted calls in a turn


class Timing(NamedTuple):
    """Seconds per call: median, the quartiles around it, and how many calls were timed."""

    median: float
    low: float
    high: float
    rounds: int


def by_the_wall(call: Callable[[], object]) -> float:
    """Seconds that one call takes, on the clock of the host."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def interleave(
    rivals: Mapping[str, Callable[[], object]],
    *,
    seconds: float = 1.0,
    least: int = 5,
    most: int = 500,
    timer: Callable[[Callable[[], object]], float] = by_the_wall,
) -> dict[str, Timing]:
    """Time the rivals in turns, so that a slow moment of the machine meets all of them.

    A turn begins with calls that are not counted. Idle threads of OpenMP and XLA spin for some milliseconds before
    they sleep, those of onnxruntime for more than fifty: without that, each rival would be timed on cores that the one
    before still holds, and in caches that it has filled.

    Args:
        rivals: what to time, by name.
        seconds: rough budget for all rivals together.
        least: counted calls of each, even if they exceed the budget.
        most: counted calls of each, even if the budget allows more.
        timer: seconds that one call takes.
    """
    for call in rivals.values():
        call()
    once = {name: timer(call) for name, call in rivals.items()}
    bursts = {name: min(max(round(_BURST / max(spent, 1e-9)), 1), most) for name, spent in once.items()}
    round_takes = sum(max(spent, _SETTLE) + bursts[name] * spent for name, spent in once.items())
    rounds = max(round(seconds / round_takes), 3)
    samples: dict[str, list[float]] = {name: [] for name in rivals}
    before = ""
    while any(len(values) < least for values in samples.values()) or rounds > 0:
        rounds -= 1
        for name, call in rivals.items():
            settled = time.perf_counter() + _SPINS.get(before, _SETTLE)
            call()
            while time.perf_counter() < settled:
                call()
            samples[name] += [timer(call) for _ in range(bursts[name])]
            before = name
    return {name: _summary(values[:most]) for name, values in samples.items()}


def _summary(values: list[float]) -> Timing:
    low, median, high = statistics.quantiles(values, n=4)
    return Timing(median, low, high, len(values))


def geometric_mean(values: Iterable[float]) -> float:
    """The mean for ratios: twice as fast and half as fast cancel."""
    return math.exp(statistics.fmean(math.log(v) for v in values))


def machine() -> dict[str, str | int]:
    """What a result must carry to be comparable: processor, threads, torch, commit, interpreter."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": _commit(),
    }


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    if facts.is_file():
        for line in facts.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
