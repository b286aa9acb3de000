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
    """Call the rivals in turn, so that a slow moment of the machine meets all of them.

    Args:
        rivals: what to time, by name; each is called twice beforehand.
        seconds: rough budget for all timed calls together.
        least: rounds even if they exceed the budget.
        most: rounds even if the budget allows more.
        timer: seconds that one call takes.
    """
    for call in rivals.values():
        call()
    once = sum(timer(call) for call in rivals.values())
    rounds = round(seconds / max(once, 1e-9))
    rounds = min(max(rounds, least), most)
    samples: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(rounds):
        for name, call in rivals.items():
            samples[name].append(timer(call))
    return {name: _summary(values) for name, values in samples.items()}


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
