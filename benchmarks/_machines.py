"""What differs between timing on the host and on a GPU: the clock, the cold cache, the dtypes' settings, the facts."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from _timing import by_the_wall, machine

# What is compared with cuDNN; tf32 is float32 whose products may drop to TF32, in both libraries alike.
PRECISIONS: dict[str, torch.dtype] = {
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "fp32": torch.float32,
    "tf32": torch.float32,
}


@contextmanager
def precision(name: str) -> Iterator[None]:
    """Let float32 products use TF32 in mode ``tf32``, in matmul and cuDNN, and nowhere else."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = name == "tf32"
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


class Host:
    """The CPU and its clock. Caches stay as they are: what a layer finds there is its own doing."""

    device = "cpu"

    def seconds(self, call: Callable[[], object]) -> float:
        """How long one call takes."""
        return by_the_wall(call)

    def facts(self) -> dict[str, str | int]:
        """What a result must carry to be comparable."""
        return machine()


class Gpu:
    """The current CUDA device, timed by events behind a flushed L2 cache."""

    device = "cuda"

    def __init__(self) -> None:
        self.properties = torch.cuda.get_device_properties(torch.cuda.current_device())
        size = 2 * max(self.properties.L2_cache_size, 32 << 20)
        self._filler = torch.empty(size, dtype=torch.uint8, device="cuda")

    def seconds(self, call: Callable[[], object]) -> float:
        """How long one call takes on the device, from its first kernel to its last, gaps between launches included."""
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        self._filler.zero_()
        begin.record()
        call()
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end)) * 1e-3

    def facts(self) -> dict[str, str | int]:
        """As for the host, and the device with its software."""
        return machine() | {
            "gpu": self.properties.name,
            "compute_capability": f"{self.properties.major}.{self.properties.minor}",
            "multiprocessors": self.properties.multi_processor_count,
            "memory_gib": round(self.properties.total_memory / 2**30),
            "driver": _driver(),
            "cuda": str(torch.version.cuda),
            "cudnn": str(torch.backends.cudnn.version()),
        }


def settled(machine: Host | Gpu, call: Callable[[], object], *, seconds: float = 0.5) -> None:
    """Keep the device at work until its clocks have risen."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        machine.seconds(call)


def _driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0].strip()
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"
